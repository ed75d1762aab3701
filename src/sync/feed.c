/* feed.c - reading our own feed; see feed.h. */
#include "sync/feed.h"

#include <string.h>

#include "sync/device.h"
#include "sync/following.h"
#include "sync/history.h"
#include "sync/level.h"
#include "sync/life.h"
#include "sync/model.h"
#include "sync/parked.h"
#include "sync/peers.h"
#include "sync/transaction.h"

#include "base/alloc.h"

/* Columns of the two feed statements. */
enum { AT_STAMP, AT_VERSION, AT_DEVICE, AT_SOURCE, AT_KEY, AT_VALUES };

/* With a row of the largest size on top it still fits in a message. */
#define PAGE_BYTES_MOST (TIDE_MESSAGE_MAX_BYTES - TIDE_ROW_MAX_BYTES - (1u << 20))

/* One side of the merge: a statement and the stamp it stands at. */
typedef struct side {
    sqlite3_stmt *statement;
    tide_time stamp; /* TIDE_TIME_MAX at the end */
} side;

/* A digest that took some work. */
typedef struct summed {
    tide__model *model;
    tide__digest digest;
    tide_time head;
} summed;

typedef struct page {
    tide_sync *sync;
    const tide__asker *asker;
    uint32_t rows_left;
    size_t bytes_most; /* of the page; where the first row is larger, that row alone */
    size_t rows;
    size_t items;
    tide__buffer ranges;
    size_t range_count;
    summed summed[TIDE_MODELS_MAX]; /* digests worth keeping */
    size_t summed_count;
    bool due;   /* a full read is */
    bool ahead; /* the asker has seen more than there is */
} page;

static int forward(page *p, side *s)
{
    int rc = tide__sql_step(s->statement, &p->sync->detail);
    if (rc == TIDE_OK) {
        s->stamp = sqlite3_column_int64(s->statement, AT_STAMP);
    } else if (rc == TIDE_ABSENT) {
        s->stamp = TIDE_TIME_MAX;
        rc = TIDE_OK;
    }
    return rc;
}

/* False: memory was too short for SQLite to hand it out. */
static bool pack_column(msgpack_packer *p, sqlite3_stmt *statement, int column)
{
    const void *bytes = NULL;
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        (void)msgpack_pack_int64(p, sqlite3_column_int64(statement, column));
        return true;
    case SQLITE_FLOAT:
        (void)msgpack_pack_double(p, sqlite3_column_double(statement, column));
        return true;
    case SQLITE_TEXT:
        bytes = sqlite3_column_text(statement, column);
        if (bytes != NULL) {
            tide__pack_text(p, bytes, (size_t)sqlite3_column_bytes(statement, column));
        }
        return bytes != NULL;
    case SQLITE_BLOB: {
        bytes = sqlite3_column_blob(statement, column);
        size_t size = (size_t)sqlite3_column_bytes(statement, column);
        if (bytes != NULL || size == 0) {
            tide__pack_bytes(p, bytes, size);
        }
        return bytes != NULL || size == 0;
    }
    default:
        (void)msgpack_pack_nil(p);
        return true;
    }
}

static int pack_row(page *p, const tide__model *m, sqlite3_stmt *statement, bool deleted,
                    tide__buffer *rows)
{
    msgpack_packer packer;
    size_t before = rows->size;
    const unsigned char *device = NULL;
    int rc = tide__device_uuid(p->sync, sqlite3_column_int64(statement, AT_DEVICE), &device);
    if (rc != TIDE_OK) {
        return rc;
    }
    tide__packer(rows, &packer);
    (void)msgpack_pack_array(&packer, 4 + (deleted ? 0 : m->column_count));
    (void)(deleted ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer));
    tide__pack_time(&packer, sqlite3_column_int64(statement, AT_VERSION));
    tide__pack_bytes(&packer, device, sizeof(uuid_t));
    bool whole = pack_column(&packer, statement, AT_KEY);
    for (size_t i = 0; whole && !deleted && i < m->column_count; i++) {
        whole = pack_column(&packer, statement, AT_VALUES + (int)i);
    }
    if (rows->failed || !whole) {
        return TIDE_ENOMEM;
    }
    p->items += 5 + m->column_count;
    if (rows->size - before > TIDE_ROW_MAX_BYTES) {
        return tide__fail(&p->sync->detail, TIDE_ELIMIT, "%s \"%.64s\": larger than %u bytes",
                          m->resource, (const char *)sqlite3_column_text(statement, AT_KEY),
                          TIDE_ROW_MAX_BYTES);
    }
    return TIDE_OK;
}

/* Whether one row more has a place; a page takes at least one. */
static bool full(const page *p, const tide__buffer *rows)
{
    return p->rows > 0 && (p->rows_left == 0 || p->items >= TIDE__ITEMS_MAX / 2 ||
                           p->ranges.size + rows->size >= p->bytes_most);
}

/* Reads rows behind *upto in feed order until the page is full, and moves it to the last looked at.
 * A row from `from`, the peer itself, is passed over, not sent back. */
static int read_rows(page *p, const tide__model *m, sqlite3_int64 from, tide__buffer *rows,
                     size_t *count, tide_time *upto, bool *last)
{
    side live = {m->statements[TIDE__FEED_LIVE], TIDE_TIME_NONE};
    side gone = {m->statements[TIDE__FEED_GONE], TIDE_TIME_NONE};
    (void)sqlite3_bind_int64(live.statement, 1, *upto);
    (void)sqlite3_bind_int64(gone.statement, 1, *upto);
    int rc = forward(p, &live);
    if (rc == TIDE_OK) {
        rc = forward(p, &gone);
    }
    *last = false;
    while (rc == TIDE_OK) {
        bool deleted = gone.stamp < live.stamp;
        side *next = deleted ? &gone : &live;
        if (next->stamp == TIDE_TIME_MAX) {
            *last = true;
            break;
        }
        if (sqlite3_column_int64(next->statement, AT_SOURCE) != from) {
            if (full(p, rows)) {
                break;
            }
            rc = pack_row(p, m, next->statement, deleted, rows);
            ++*count;
            p->rows++;
            p->rows_left -= p->rows_left > 0;
        }
        *upto = next->stamp;
        if (rc == TIDE_OK) {
            rc = forward(p, next);
        }
    }
    (void)sqlite3_reset(live.statement);
    (void)sqlite3_reset(gone.statement);
    return rc;
}

/* Up to where we had all of the asker's feed, inside the snapshot. With rows parked that says
 * nothing: they are not in our feed. */
static int read_seen(page *p, const tide__model *m, tide__range *out)
{
    uint64_t parked = 0;
    int rc = tide__parked_count(p->sync, m, &parked);
    return rc == TIDE_OK && parked == 0
               ? tide__level_find(p->sync, p->asker->peer, m, out->rescan ? TIDE__LEVELS_MAX : 1,
                                  out->seen, &out->seen_count)
               : rc;
}

/* At the end of a round: what both sides must agree on. */
static int add_digest(page *p, tide__model *m, tide_time head, tide__range *range)
{
    uint64_t changed = 0;
    int rc = tide__digest_read(p->sync, m, &range->digest, &changed);
    range->summed = rc == TIDE_OK;
    if (range->summed && changed > TIDE__SUMMED_ANEW) {
        p->summed[p->summed_count++] = (summed){m, range->digest, head};
    }
    return rc;
}

/* Whether what the asker took before is of our history. A mark on our present feed that is not, or
 * that is beyond our head, shows that we have lost some of it. */
static int check_past(page *p, const tide__model *m, const tide__want *want, tide_time head,
                      bool *known)
{
    bool ours = want->epoch == p->sync->epoch;
    int rc = want->life == TIDE_TIME_NONE ? TIDE_STALE
                                          : tide__life_includes(p->sync, m, want->life, want->head);
    *known = rc == TIDE_OK;
    p->ahead =
        ours && (rc == TIDE_CONFLICT || (want->generation == TIDE_TIME_NONE && want->after > head));
    return p->ahead ? TIDE_STALE : rc < 0 ? rc : TIDE_OK;
}

/* The number of the rows that came from the asker itself, in the life that it is in: so it has not
 * lost them, nor is it another one that shares its past. -1 where it wants all. */
static int find_own(page *p, const tide__model *m, const tide__want *want, sqlite3_int64 *from)
{
    tide__following following;
    int rc = tide__following_find(p->sync, p->asker->peer, m, &following);
    *from = !want->all && rc == TIDE_OK && following.life == p->asker->life ? following.source : -1;
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

static int add_range(page *p, tide__model *m, const tide__want *want, bool *last)
{
    tide__buffer rows = {NULL, 0, 0, false};
    msgpack_packer packer;
    size_t count = 0;
    tide_time head = 0;
    tide_time pruned = 0;
    sqlite3_int64 from = -1;
    /* A mark of another epoch says nothing about this feed: it is read from its beginning. */
    bool ours = want->epoch == p->sync->epoch;
    tide__range range = {.resource = {m->resource, strlen(m->resource)},
                         .after = ours ? want->after : TIDE_TIME_NONE,
                         .generation = want->generation,
                         .doubts = p->asker->doubts[m->place]};
    int rc = tide__model_head(p->sync, m, &head, &pruned);
    if (rc == TIDE_OK) {
        rc = check_past(p, m, want, head, &range.known);
    }
    bool marked = ours && want->after != TIDE_TIME_NONE && want->generation == TIDE_TIME_NONE;
    range.rescan = pruned > 0 && range.after < pruned && (!ours || want->generation != pruned);
    range.upto = range.after;
    range.head = head;
    if (rc == TIDE_OK) {
        rc = read_seen(p, m, &range);
    }
    if (rc == TIDE_OK) {
        rc = find_own(p, m, want, &from);
    }
    if (rc == TIDE_OK && range.rescan) {
        p->due = true;
        range.generation = pruned;
        range.after = range.upto = TIDE_TIME_NONE;
    } else if (rc == TIDE_OK) {
        rc = read_rows(p, m, from, &rows, &count, &range.upto, last);
        if (*last && head > range.upto && head > 0) {
            range.upto = head;
        }
    }
    if (rc == TIDE_OK && *last && count == 0 && !range.rescan) {
        rc = add_digest(p, m, head, &range);
    }
    /* At our head everything is acknowledged. Only then, because the marks of a round are flushed
     * at its end: an ack must not fall. */
    if (rc == TIDE_OK && marked && range.known && *last && count == 0) {
        rc = tide__peer_acks(p->sync, p->asker->peer, m, want->after);
    }
    if (rc == TIDE_OK) {
        tide__packer(&p->ranges, &packer);
        tide__pack_range(&packer, &range);
        (void)msgpack_pack_array(&packer, count);
        tide__buffer_append(&p->ranges, rows.bytes, rows.size);
        tide__pack_range_end(&packer, &range);
        p->range_count++;
        rc = p->ranges.failed ? TIDE_ENOMEM : TIDE_OK;
    }
    tide__buffer_free(&rows);
    return rc;
}

static int add_ranges(page *p, const tide__question *question, bool *last)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && *last && i < question->count; i++) {
        const tide__want *want = &question->wants[i];
        tide__model *m = tide__model_find(p->sync, want->resource.text, want->resource.length);
        if (m != NULL) {
            rc = add_range(p, m, want, last);
        }
    }
    if (rc == TIDE_OK && p->range_count > 0) { /* an empty page shows nothing */
        rc = tide__make_durable(p->sync);
    }
    return rc;
}

static int write_page(page *p, const tide__question *question, int64_t session, tide__buffer *out,
                      const tide__served *served)
{
    msgpack_packer packer;
    const tide_sync *sync = p->sync;
    tide__packer(out, &packer);
    tide__pack_head(&packer, TIDE__PAGE, 5, sync->library, sync->device, session, sync->epoch,
                    sync->life);
    (void)msgpack_pack_int64(&packer, p->asker->session);
    (void)msgpack_pack_uint32(&packer, question->number);
    (void)msgpack_pack_uint32(&packer, served->waits      ? TIDE__WAIT
                                       : sync->recovering ? TIDE__RECOVERING
                                                          : TIDE__HEALTHY);
    (void)msgpack_pack_array(&packer, p->range_count);
    tide__buffer_append(out, p->ranges.bytes, p->ranges.size);
    tide__pack_bool(&packer, served->end);
    return out->failed ? TIDE_ENOMEM : TIDE_OK;
}

/* A snapshot that may be shown. */
static int begin_covered(tide_sync *sync)
{
    bool covered = false;
    int rc = TIDE_OK;
    while (rc == TIDE_OK && !covered) {
        rc = tide__begin(sync, TIDE__READ);
        if (rc != TIDE_OK) {
            return rc;
        }
        rc = tide__life_covers(sync, &covered);
        if (rc != TIDE_OK || !covered) {
            rc = tide__end(sync, rc);
            rc = rc == TIDE_OK ? tide__life_cover(sync) : rc;
        }
    }
    return rc;
}

int tide__feed_page(tide_sync *sync, const tide__question *question, const tide__asker *asker,
                    int64_t session, tide__buffer *out, tide__served *served)
{
    page p = {.sync = sync,
              .asker = asker,
              .rows_left = question->rows,
              .bytes_most = question->bytes < PAGE_BYTES_MOST ? question->bytes : PAGE_BYTES_MOST};
    bool last = true;
    int rc = begin_covered(sync);
    if (rc != TIDE_OK) {
        return rc;
    }
    *served = (tide__served){0, false, false, false};
    served->waits = sync->recovering && question->health == TIDE__HEALTHY;
    if (!served->waits) {
        rc = add_ranges(&p, question, &last);
    }
    served->ahead = p.ahead;
    rc = tide__end(sync, p.ahead ? TIDE_OK : rc);
    if (rc == TIDE_OK && !p.ahead) {
        served->rows = p.rows;
        served->end = last && !p.due && !served->waits;
        rc = write_page(&p, question, session, out, served);
    }
    tide__buffer_free(&p.ranges);
    for (size_t i = 0; rc == TIDE_OK && i < p.summed_count; i++) {
        rc = tide__digest_keep(sync, p.summed[i].model, &p.summed[i].digest, p.summed[i].head);
    }
    return rc;
}
