/* feed.c - reading our own feed; see feed.h. */
#include "sync/feed.h"

#include <string.h>

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

typedef struct page {
    tide_sync *sync;
    sqlite3_int64 asker; /* the number of its feed */
    uint32_t rows_left;
    size_t bytes_most; /* of the page; where the first row is larger, that row alone */
    size_t rows;
    size_t items;
    tide__buffer ranges;
    size_t range_count;
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

/* Reads rows behind `after` in feed order until the page is full. *upto is the last stamp looked at. */
static int read_rows(page *p, const tide__model *m, tide_time after, tide__buffer *rows,
                     size_t *count, tide_time *upto, bool *last)
{
    side live = {m->statements[TIDE__FEED_LIVE], TIDE_TIME_NONE};
    side gone = {m->statements[TIDE__FEED_GONE], TIDE_TIME_NONE};
    (void)sqlite3_bind_int64(live.statement, 1, after);
    (void)sqlite3_bind_int64(gone.statement, 1, after);
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
        /* A row that came from the peer itself is passed over, not sent back. */
        if (sqlite3_column_int64(next->statement, AT_SOURCE) != p->asker) {
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

static int read_head(page *p, const tide__model *m, tide_time *head)
{
    sqlite3_stmt *statement = m->statements[TIDE__HEAD];
    int rc = tide__sql_step(statement, &p->sync->detail);
    if (rc == TIDE_OK) {
        *head = sqlite3_column_int64(statement, 0);
        (void)sqlite3_reset(statement);
    }
    return rc;
}

static int add_range(page *p, const tide__model *m, const tide__want *want, bool *last)
{
    tide__buffer rows = {NULL, 0, 0, false};
    msgpack_packer packer;
    size_t count = 0;
    tide_time head = 0;
    /* A mark of another epoch says nothing about this feed: it is read from its beginning. */
    tide_time after = want->epoch == p->sync->epoch ? want->after : TIDE_TIME_NONE;
    int rc = read_head(p, m, &head);
    tide_time upto = after;
    if (rc == TIDE_OK) {
        rc = read_rows(p, m, after, &rows, &count, &upto, last);
    }
    if (rc == TIDE_OK) {
        if (*last && head > upto && head > 0) {
            upto = head;
        }
        tide__packer(&p->ranges, &packer);
        (void)msgpack_pack_array(&packer, 4);
        tide__pack_text(&packer, m->resource, strlen(m->resource));
        tide__pack_time(&packer, after);
        tide__pack_time(&packer, upto);
        (void)msgpack_pack_array(&packer, count);
        tide__buffer_append(&p->ranges, rows.bytes, rows.size);
        p->range_count++;
        rc = p->ranges.failed ? TIDE_ENOMEM : TIDE_OK;
    }
    tide__buffer_free(&rows);
    return rc;
}

int tide__feed_page(tide_sync *sync, const tide__question *question, const tide__asker *asker,
                    int64_t session, tide__buffer *out, size_t *rows, bool *end)
{
    page p = {.sync = sync, .rows_left = question->rows, .bytes_most = question->bytes};
    if (p.bytes_most > PAGE_BYTES_MOST) {
        p.bytes_most = PAGE_BYTES_MOST;
    }
    msgpack_packer packer;
    int rc = tide__begin(sync, TIDE__READ);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__device_find(sync, asker->peer, asker->epoch, &p.asker);
    bool last = true;
    for (size_t i = 0; rc == TIDE_OK && last && i < question->count; i++) {
        const tide__want *want = &question->wants[i];
        const tide__model *m = tide__model_find(sync, want->resource.text, want->resource.length);
        if (m != NULL) {
            rc = add_range(&p, m, want, &last);
        }
    }
    if (rc == TIDE_OK && p.range_count > 0) { /* an empty page shows nothing */
        rc = tide__make_durable(sync);
    }
    rc = tide__end(sync, rc);
    if (rc == TIDE_OK) {
        tide__packer(out, &packer);
        tide__pack_head(&packer, TIDE__PAGE, 4, sync->library, sync->device, session, sync->epoch);
        (void)msgpack_pack_int64(&packer, asker->session);
        (void)msgpack_pack_uint32(&packer, question->number);
        (void)msgpack_pack_array(&packer, p.range_count);
        tide__buffer_append(out, p.ranges.bytes, p.ranges.size);
        (void)(last ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer));
        rc = out->failed ? TIDE_ENOMEM : TIDE_OK;
        *rows = p.rows;
        *end = last;
    }
    tide__buffer_free(&p.ranges);
    return rc;
}
