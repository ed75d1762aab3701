/* check.c - what must hold.
 *
 * Always: a mark of A about B's feed, of B's present epoch, claims that each row of that feed with
 * a stamp at or below it is on A in that version or a newer one. The tables of both are read with
 * SQL, the mark as the engine sees it.
 *
 * Not where a copy was put in the place of what others had seen, until the engine has noticed.
 *
 * At the end: every device holds the same rows, alive and deleted, of the same versions; they are
 * the newest that any device held; and the tables have the same values. Where deletions were
 * pruned, a row may be gone because of one that nobody remembers; but it was made. In a world of
 * which something was restored, doubled or given up, such a row may also have returned. Of two that
 * are one device, one need not hear of what the other has deleted, if it never had it.
 */
#include <stdio.h>
#include <string.h>

#include "world.h"

bool row_is_older(const row *left, const row *right)
{
    if (left->version != right->version || left->maker != right->maker) {
        return left->version < right->version ||
               (left->version == right->version && left->maker < right->maker);
    }
    return !left->gone && right->gone;
}

/* ---- marks -------------------------------------------------------------------------------------- */

static void check_mark(world *w, device *a, device *b, int r, tide_time mark)
{
    const snapshot *here = device_snapshot(a);
    const snapshot *there = device_snapshot(b);
    char key[UUID_STR_LEN];
    for (int k = 0; k < resources[r].keys; k++) {
        const row *theirs = &there->rows[r][k];
        const row *ours = &here->rows[r][k];
        const row *forgotten = &a->forgotten.rows[r][k];
        bool pruned = forgotten->known && !row_is_older(forgotten, theirs);
        if (theirs->known && theirs->stamp <= mark && !pruned &&
            (!ours->known || row_is_older(ours, theirs))) {
            key_text(r, k, key);
            world_fail(w, "mark ahead of its rows",
                       "device %d has %s of device %d up to %lld, but %s %s of stamp %lld, version "
                       "%lld by %d, is %s %lld",
                       a->number, resources[r].name, b->number, (long long)mark, resources[r].name,
                       key, (long long)theirs->stamp, (long long)theirs->version, theirs->maker,
                       ours->known ? "here in version" : "not here", (long long)ours->version);
            return;
        }
    }
}

void check_marks(world *w)
{
    for (int i = 0; i < w->device_count * w->device_count; i++) {
        device *a = &w->devices[i / w->device_count];
        device *b = &w->devices[i % w->device_count];
        if (a->identity == b->identity || !a->open || !b->open || a->ahead ||
            device_snapshot(a)->epoch == a->told_epoch ||
            device_snapshot(b)->epoch == b->told_epoch) {
            continue;
        }
        for (int r = 0; r < w->resource_count && !world_failed(w); r++) {
            tide_mark mark;
            device_enter(a);
            int rc = tide_watermarks_get_mark(a->marks, w->devices[b->identity].id,
                                              resources[r].name, &mark);
            (void)device_answer(a, "mark", rc);
            if (rc == TIDE_OK && mark.epoch == device_snapshot(b)->epoch) {
                check_mark(w, a, b, r, mark.watermark);
            }
        }
    }
}

/* ---- the end ------------------------------------------------------------------------------------ */

void check_collect(world *w, snapshot *best)
{
    memset(best, 0, sizeof *best);
    for (int i = 0; i < w->device_count; i++) {
        if (w->devices[i].absent) {
            continue;
        }
        const snapshot *s = device_snapshot(&w->devices[i]);
        for (int r = 0; r < w->resource_count; r++) {
            for (int k = 0; k < resources[r].keys; k++) {
                const row *here = &s->rows[r][k];
                row *most = &best->rows[r][k];
                if (here->known && (!most->known || row_is_older(most, here))) {
                    *most = *here;
                }
            }
        }
        best->count += s->count;
    }
}

/* What a row may be at the end, where *best is the newest of it that any device held. */
static bool may_be(const world *w, const row *here, const row *best, const row *deleted)
{
    bool same = here->known == best->known && here->gone == best->gone &&
                here->version == best->version && here->maker == best->maker;
    bool dead = deleted->known && !row_is_older(deleted, best);
    bool alive = here->known && !here->gone;
    bool forgetful = w->prunes || (w->returns && best->gone);
    if (!forgetful || !best->known) {
        return same;
    }
    return !alive ? dead : same && (!dead || w->returns || !deleted->made);
}

static void check_versions(world *w, device *d, const snapshot *best)
{
    const snapshot *s = device_snapshot(d);
    char key[UUID_STR_LEN];
    for (int r = 0; r < w->resource_count; r++) {
        for (int k = 0; k < resources[r].keys; k++) {
            const row *here = &s->rows[r][k];
            const row *must = &best->rows[r][k];
            const row *deleted = &w->deleted[r][k];
            if (!may_be(w, here, must, deleted)) {
                bool alive = here->known && !here->gone;
                key_text(r, k, key);
                world_fail(w,
                           alive && !row_is_older(here, must)      ? "returned"
                           : alive || (must->known && !must->gone) ? "lost"
                                                                   : "not equal",
                           "device %d: %s %s is %s in version %lld by %d, and should be %s in "
                           "version %lld by %d, deleted in %lld",
                           d->number, resources[r].name, key,
                           here->gone    ? "deleted"
                           : here->known ? "here"
                                         : "unknown",
                           (long long)here->version, here->maker,
                           must->gone    ? "deleted"
                           : must->known ? "here"
                                         : "unknown",
                           (long long)must->version, must->maker, (long long)deleted->version);
                return;
            }
        }
    }
}

/* The same statement on two databases gives the same rows. */
static void check_values(world *w, device *a, device *b, int r)
{
    char sql[256];
    sqlite3_stmt *left = NULL;
    sqlite3_stmt *right = NULL;
    (void)snprintf(sql, sizeof sql, "SELECT uuid, %s FROM %s ORDER BY uuid", resources[r].columns,
                   resources[r].table);
    if (sqlite3_prepare_v2(device_database(a), sql, -1, &left, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(device_database(b), sql, -1, &right, NULL) != SQLITE_OK) {
        world_fail(w, "error", "%s cannot be read", resources[r].table);
    }
    bool more = !world_failed(w);
    while (more && !world_failed(w)) {
        more = sqlite3_step(left) == SQLITE_ROW;
        if ((sqlite3_step(right) == SQLITE_ROW) != more) {
            world_fail(w, "not equal", "devices %d and %d: %s has more rows on one", a->number,
                       b->number, resources[r].table);
        }
        for (int c = 0; more && c < sqlite3_column_count(left); c++) {
            int size = sqlite3_column_bytes(left, c);
            if (sqlite3_column_type(left, c) != sqlite3_column_type(right, c) ||
                sqlite3_column_bytes(right, c) != size ||
                (size > 0 && memcmp(sqlite3_column_blob(left, c), sqlite3_column_blob(right, c),
                                    (size_t)size) != 0)) {
                world_fail(w, "not equal", "devices %d and %d: %s %s differs in %s", a->number,
                           b->number, resources[r].name, (const char *)sqlite3_column_text(left, 0),
                           sqlite3_column_name(left, c));
                break;
            }
        }
    }
    (void)sqlite3_finalize(left);
    (void)sqlite3_finalize(right);
}

/* The tables and what is known of them fit together. */
static void check_counts(world *w, device *d)
{
    const snapshot *s = device_snapshot(d);
    for (int r = 0; r < w->resource_count; r++) {
        tide_resource_info info = {.size = sizeof info};
        uint64_t alive = 0;
        uint64_t gone = 0;
        for (int k = 0; k < resources[r].keys; k++) {
            alive += s->rows[r][k].known && !s->rows[r][k].gone;
            gone += s->rows[r][k].gone;
        }
        int rc = tide_sync_resource_info(d->sync, resources[r].name, &info);
        if (device_answer(d, "info", rc) && (info.rows != alive || info.tombstones != gone)) {
            world_fail(w, "not equal",
                       "device %d: %s: %llu rows and %llu tombstones, expected %llu "
                       "and %llu",
                       d->number, resources[r].name, (unsigned long long)info.rows,
                       (unsigned long long)info.tombstones, (unsigned long long)alive,
                       (unsigned long long)gone);
        }
    }
}

void check_equal(world *w, const snapshot *best)
{
    for (int i = 0; i < w->device_count && !world_failed(w) && !w->devices[i].absent; i++) {
        check_versions(w, &w->devices[i], best);
    }
    for (int i = 0; i < w->device_count && !world_failed(w) && !w->devices[i].absent; i++) {
        check_counts(w, &w->devices[i]);
        for (int r = 0; i > 0 && r < w->resource_count && !world_failed(w); r++) {
            check_values(w, &w->devices[0], &w->devices[i], r);
        }
    }
}
