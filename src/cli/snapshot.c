/* snapshot.c - reads a library into memory, so that nothing is open while it is printed. */
#include "cli/snapshot.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/index.h"

#define NO_MEMORY 1 /* what callbacks stop with; no code of the library that a walk ends with */

typedef struct reading {
    const cli_library *library;
    cli_snapshot *snapshot;
    cli_marks *marks;
    bool about_us; /* marks of peers about this device, and not the other way round */
} reading;

/* Makes room for one more item of `bytes`. Returns the new place, or NULL and leaves everything. */
static void *grown(void *items, size_t count, size_t *space, size_t bytes)
{
    size_t wanted = *space == 0 ? 16 : 2 * *space;
    void *place;

    if (count < *space) {
        return items;
    }
    place = reallocarray(items, wanted, bytes);
    if (place != NULL) {
        *space = wanted;
    }
    return place;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static int read_resource(void *ctx, const char *resource)
{
    const reading *r = ctx;
    cli_resource *place = &r->snapshot->resources[r->snapshot->resource_count];

    if (r->snapshot->resource_count == TIDE_MODELS_MAX || strlen(resource) > TIDE_MODEL_NAME_MAX) {
        return TIDE_ELIMIT;
    }
    memcpy(place->name, resource, strlen(resource) + 1);
    place->info.size = sizeof place->info;
    r->snapshot->resource_count++;
    return tide_sync_resource_info(r->library->sync, resource, &place->info);
}

/* ---- peers ----------------------------------------------------------------------------------- */

static int read_peer(void *ctx, const tide_peer *peer)
{
    const reading *r = ctx;
    cli_snapshot *s = r->snapshot;
    cli_peer *place = grown(s->peers, s->peer_count, &s->peer_space, sizeof *place);

    if (place == NULL) {
        return NO_MEMORY;
    }
    s->peers = place;
    s->peers[s->peer_count++] = (cli_peer){.peer = *peer};
    return 0;
}

/* What the peers are called, if rows about them are here. */
static int read_names(const cli_library *library, cli_snapshot *snapshot)
{
    sqlite3 *database = tide_sync_database(library->sync);
    sqlite3_stmt *rows = NULL;
    int step = SQLITE_DONE;
    int rc = CLI_YES;

    if (sqlite3_prepare_v2(database,
                           "SELECT name FROM devices WHERE uuid = ?1 COLLATE NOCASE AND name "
                           "IS NOT NULL LIMIT 1",
                           -1, &rows, NULL) != SQLITE_OK) {
        return cli_fail_sqlite(library->call, database, library->path);
    }
    for (size_t i = 0; i < snapshot->peer_count && rc == CLI_YES; i++) {
        cli_peer *p = &snapshot->peers[i];
        const char *name = NULL;

        sqlite3_reset(rows);
        cli_bind_uuid(rows, 1, p->peer.device);
        step = sqlite3_step(rows);
        if (step == SQLITE_ROW) {
            name = (const char *)sqlite3_column_text(rows, 0);
            p->name = name != NULL ? cli_utf8_escape(name) : NULL;
            rc = p->name == NULL ? cli_fail_memory(library->call) : CLI_YES;
        } else if (step != SQLITE_DONE) {
            rc = cli_fail_sqlite(library->call, database, library->path);
        }
    }
    sqlite3_finalize(rows);
    return rc;
}

json_t *cli_peer_object(const cli_peer *peer, tide_time now)
{
    json_t *age = peer->peer.contact == TIDE_TIME_NONE
                      ? json_null()
                      : cli_json_signed(cli_age_ns(now, peer->peer.contact));

    return json_pack("{s:s, s:o, s:s?, s:o, s:o, s:o, s:o}", "type", "peer", "peer",
                     cli_json_uuid(peer->peer.device), "name", peer->name, "since",
                     cli_json_time(peer->peer.since), "contact", cli_json_time(peer->peer.contact),
                     "age_ns", age, "epoch", cli_json_time(peer->peer.epoch));
}

/* ---- marks ----------------------------------------------------------------------------------- */

static int read_mark(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                     const tide_mark *mark)
{
    const reading *r = ctx;
    cli_marks *marks = r->marks;
    cli_mark *place;

    if (uuid_compare(device, peer) == 0) { /* of our own history */
        return 0;
    }
    place = grown(marks->items, marks->count, &marks->space, sizeof *place);
    if (place == NULL) {
        return NO_MEMORY;
    }
    marks->items = place;
    place += marks->count;
    *place = (cli_mark){.resource = strdup(resource), .mark = *mark};
    uuid_copy(place->peer, r->about_us ? device : peer);
    if (place->resource == NULL) {
        return NO_MEMORY;
    }
    marks->count++;
    return 0;
}

const cli_mark *cli_snapshot_ack(const cli_snapshot *snapshot, const uuid_t peer,
                                 const char *resource)
{
    for (size_t i = 0; i < snapshot->acks.count; i++) {
        const cli_mark *ack = &snapshot->acks.items[i];

        if (uuid_compare(ack->peer, peer) == 0 && strcmp(ack->resource, resource) == 0) {
            return ack;
        }
    }
    return NULL;
}

uint64_t cli_behind(const cli_resource *resource, const cli_mark *ack)
{
    return ack != NULL ? ack->behind : resource->info.rows + resource->info.tombstones;
}

/* ---- parked rows ----------------------------------------------------------------------------- */

static char *hex_text(const unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789ABCDEF";
    char *text = malloc(2 * count + 1);

    for (size_t i = 0; text != NULL && i < count; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 0xf];
    }
    if (text != NULL) {
        text[2 * count] = '\0';
    }
    return text;
}

static char *string_text(const char *bytes, size_t count)
{
    char *copy = strndup(count > 0 ? bytes : "", count);
    char *text = copy != NULL ? cli_utf8_escape(copy) : NULL;

    free(copy);
    return text;
}

static char *key_text(const tide_value *key)
{
    char number[32];

    if (key->type == TIDE_INTEGER) {
        snprintf(number, sizeof number, "%" PRId64, key->integer);
    } else if (key->type == TIDE_FLOAT) {
        snprintf(number, sizeof number, "%.17g", key->real);
    } else {
        return key->type == TIDE_STRING ? string_text(key->data, key->bytes)
                                        : hex_text(key->data, key->bytes);
    }
    return strdup(number);
}

static int read_parked(void *ctx, const tide_parked *row)
{
    const reading *r = ctx;
    cli_snapshot *s = r->snapshot;
    cli_parked *place = grown(s->parked, s->parked_count, &s->parked_space, sizeof *place);

    if (place == NULL) {
        return NO_MEMORY;
    }
    s->parked = place;
    place += s->parked_count++;
    *place = (cli_parked){.row = *row,
                          .resource = strdup(row->resource),
                          .key = key_text(&row->key),
                          .reason = cli_utf8_escape(row->reason)};
    place->row.resource = place->row.reason = NULL;
    place->row.key = (tide_value){.type = TIDE_NULL};
    return place->resource == NULL || place->key == NULL || place->reason == NULL ? NO_MEMORY : 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int fail_walk(const cli_library *library, int rc, bool of_store)
{
    if (rc == NO_MEMORY) {
        return cli_fail_memory(library->call);
    }
    return of_store ? cli_fail_store(library->call, rc, library->path, library->store)
                    : cli_fail_sync(library->call, rc, library->path, library->sync);
}

static int read_marks(const cli_library *library, cli_snapshot *snapshot)
{
    reading r = {.library = library, .snapshot = snapshot, .marks = &snapshot->marks};
    int rc = tide_each(library->store, library->device, NULL, NULL, read_mark, &r);

    if (rc == TIDE_OK) {
        r.marks = &snapshot->acks;
        r.about_us = true;
        rc = tide_each(library->store, NULL, library->device, NULL, read_mark, &r);
    }
    return fail_walk(library, rc, true);
}

/* Of resources that are known here; of another nothing is behind. */
static int count_behind(const cli_library *library, cli_snapshot *snapshot)
{
    int rc = TIDE_OK;

    for (size_t i = 0; rc == TIDE_OK && i < snapshot->acks.count; i++) {
        cli_mark *ack = &snapshot->acks.items[i];

        rc = tide_sync_rows_behind(library->sync, ack->resource, ack->mark.watermark, &ack->behind);
        rc = rc == TIDE_EMODEL ? TIDE_OK : rc;
    }
    return fail_walk(library, rc, false);
}

int cli_snapshot_take(const cli_library *library, cli_snapshot *out)
{
    reading r = {.library = library, .snapshot = out};
    int rc;

    *out = (cli_snapshot){.now = cli_now()};
    rc = tide_sync_is_recovering(library->sync);
    out->recovering = rc > 0;
    if (rc >= 0) {
        rc = tide_sync_order(library->sync, read_resource, &r);
    }
    if (rc == TIDE_OK) {
        rc = tide_sync_peers(library->sync, read_peer, &r);
    }
    if (rc == TIDE_OK) {
        rc = tide_sync_parked(library->sync, read_parked, &r);
    }
    if (rc != TIDE_OK) {
        return fail_walk(library, rc, false);
    }
    rc = read_names(library, out);
    if (rc == CLI_YES) {
        rc = read_marks(library, out);
    }
    return rc == CLI_YES ? count_behind(library, out) : rc;
}

static void free_marks(cli_marks *marks)
{
    for (size_t i = 0; i < marks->count; i++) {
        free(marks->items[i].resource);
    }
    free(marks->items);
}

void cli_snapshot_free(cli_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->peer_count; i++) {
        free(snapshot->peers[i].name);
    }
    free(snapshot->peers);
    free_marks(&snapshot->marks);
    free_marks(&snapshot->acks);
    for (size_t i = 0; i < snapshot->parked_count; i++) {
        free(snapshot->parked[i].resource);
        free(snapshot->parked[i].key);
        free(snapshot->parked[i].reason);
    }
    free(snapshot->parked);
    *snapshot = (cli_snapshot){.now = TIDE_TIME_NONE};
}
