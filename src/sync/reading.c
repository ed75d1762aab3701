/* reading.c - full reads; see reading.h. */
#include "sync/reading.h"

#include "sync/apply.h"
#include "sync/capture.h"
#include "sync/device.h"
#include "sync/history.h"
#include "sync/transaction.h"

static tide_time column_time(sqlite3_stmt *statement, int column)
{
    return sqlite3_column_type(statement, column) == SQLITE_NULL
               ? TIDE_TIME_NONE
               : sqlite3_column_int64(statement, column);
}

/* SQL for a time: TIDE_TIME_NONE is NULL. `text` has room for 24 characters. */
static const char *time_sql(tide_time time, char *text)
{
    if (time == TIDE_TIME_NONE) {
        return "NULL";
    }
    (void)sqlite3_snprintf(24, text, "%lld", (long long)time);
    return text;
}

int tide__reading_find(tide_sync *sync, const uuid_t peer, const tide__model *m, tide__reading *out)
{
    sqlite3_stmt *find = sync->controls[TIDE__CONTROL_READING];
    if (tide__bind_peer(find, peer, m) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    int rc = tide__sql_step(find, &sync->detail);
    if (rc == TIDE_OK) {
        *out = (tide__reading){.epoch = sqlite3_column_int64(find, 0),
                               .generation = sqlite3_column_int64(find, 1),
                               .bound = column_time(find, 2),
                               .upto = column_time(find, 3),
                               .listing = sqlite3_column_int(find, 4) != 0,
                               .sweeping = sqlite3_column_int(find, 5) != 0};
        (void)sqlite3_reset(find);
    }
    return rc;
}

/* Whether a row of ours may have to go at the end. Inside a transaction. */
static int may_sweep(tide_sync *sync, const tide__model *m, tide_time bound, sqlite3_int64 source)
{
    return tide__sql_exists(
        sync->db,
        sqlite3_mprintf("SELECT 1 FROM main.\"tidemark_%w_rows\" WHERE stamp <= %lld OR "
                        "source = %lld",
                        m->resource, (long long)bound, (long long)source),
        &sync->detail);
}

static int write_begin(tide_sync *sync, const uuid_t peer, const tide__model *m,
                       const tide__reading *reading)
{
    char uuid[UUID_STR_LEN];
    char bound[24];
    uuid_unparse_lower(peer, uuid);
    return tide__sql_run_made(
        sync->db,
        sqlite3_mprintf("DELETE FROM main.tidemark_listed WHERE peer = %Q AND resource = %Q;"
                        "INSERT OR REPLACE INTO main.tidemark_reads VALUES (%Q, %Q, %lld, %lld, %s, "
                        "NULL, %d, %d)",
                        uuid, m->resource, uuid, m->resource, (long long)reading->epoch,
                        (long long)reading->generation, time_sql(reading->bound, bound),
                        reading->listing, reading->sweeping),
        &sync->detail);
}

int tide__reading_begin(tide_sync *sync, const uuid_t peer, const tide__model *m,
                        const tide__range *range, tide_time epoch, tide__following *page,
                        bool sweeping)
{
    tide__reading reading = {.epoch = epoch,
                             .generation = range->rescan ? range->generation : 0,
                             .bound = TIDE_TIME_NONE,
                             .upto = TIDE_TIME_NONE,
                             .sweeping = sweeping};
    int rc = tide__marks_failed(sync, tide_watermarks_reset(sync->marks, peer, m->resource));
    if (rc >= 0) {
        rc = tide__begin(sync, TIDE__WRITE);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__following_go_on(sync, peer, m, range->known, page);
    if (rc == TIDE_OK && sweeping) {
        rc = tide__history_bound(sync, m, range->seen, range->seen_count, &reading.bound);
        if (rc == TIDE_OK) {
            rc = may_sweep(sync, m, reading.bound, page->source);
            reading.listing = rc == TIDE_OK;
            rc = rc == TIDE_ABSENT ? TIDE_OK : rc;
        }
    }
    if (rc == TIDE_OK) {
        rc = write_begin(sync, peer, m, &reading);
    }
    return tide__end(sync, rc);
}

static int run_for(tide_sync *sync, int which, const uuid_t peer, const tide__model *m,
                   const tide_value *key, tide_time upto)
{
    sqlite3_stmt *statement = sync->controls[which];
    int rc = tide__bind_peer(statement, peer, m);
    if (rc == SQLITE_OK) {
        rc = key != NULL ? tide__bind_value(statement, 3, key)
                         : sqlite3_bind_int64(statement, 3, upto);
    }
    return rc == SQLITE_OK ? tide__sql_done(statement, &sync->detail)
                           : tide__sql_fail(sync->db, "SQLite", &sync->detail);
}

int tide__reading_list(tide_sync *sync, const uuid_t peer, const tide__model *m,
                       const tide_value *key)
{
    return run_for(sync, TIDE__CONTROL_LIST, peer, m, key, 0);
}

int tide__reading_move(tide_sync *sync, const uuid_t peer, const tide__model *m, tide_time upto)
{
    return run_for(sync, TIDE__CONTROL_MOVE, peer, m, NULL, upto);
}

/* What the sweep takes: not listed, and seen by the peer. The first %lld is the bound, the second
 * the number of its feed. */
#define UNLISTED                                                                                   \
    " FROM main.\"tidemark_%w_rows\" r WHERE (r.stamp <= %lld OR r.source = %lld) AND NOT EXISTS " \
    "(SELECT 1 FROM main.tidemark_listed l WHERE l.peer = %Q AND l.resource = %Q AND l.key = r.key)"

/* Row, tombstone, record: so each statement still finds what the sweep takes. */
static int sweep(tide_sync *sync, const char *peer, tide__model *m, tide_time bound,
                 sqlite3_int64 source, uint64_t *swept)
{
    const char *r = m->resource;
    char *next = tide__capture_next(m, "main.");
    if (next == NULL) {
        return TIDE_ENOMEM;
    }
    int rc = tide__sql_run_made(
        sync->db,
        sqlite3_mprintf("DELETE FROM main.\"%w\" WHERE \"%w\" IN (SELECT r.row" UNLISTED ")",
                        m->table, m->row, r, (long long)bound, (long long)source, peer, r),
        &sync->detail);
    if (rc == TIDE_OK) {
        *swept = (uint64_t)sqlite3_changes(sync->db);
        rc = tide__sql_run_made(
            sync->db,
            sqlite3_mprintf(
                "INSERT OR REPLACE INTO main.\"tidemark_%w_gone\" SELECT r.key, (SELECT %s) + "
                "row_number() OVER (ORDER BY r.stamp), ifnull(r.version, r.stamp), "
                "r.device, 0" UNLISTED,
                r, next, r, (long long)bound, (long long)source, peer, r),
            &sync->detail);
    }
    sqlite3_free(next);
    if (rc == TIDE_OK) {
        rc = tide__sql_run_made(
            sync->db,
            sqlite3_mprintf(
                "DELETE FROM main.\"tidemark_%w_rows\" WHERE row IN (SELECT r.row" UNLISTED ")", r,
                r, (long long)bound, (long long)source, peer, r),
            &sync->detail);
    }
    return rc;
}

int tide__reading_end(tide_sync *sync, const uuid_t peer, tide__model *m,
                      const tide__reading *reading, uint64_t *swept)
{
    char text[UUID_STR_LEN];
    tide__following following;
    uuid_unparse_lower(peer, text);
    *swept = 0;
    int rc = tide__following_find(sync, peer, m, &following);
    if (rc == TIDE_OK && reading->listing) {
        rc = sweep(sync, text, m, reading->bound, following.source, swept);
    }
    if (rc == TIDE_OK) {
        rc = tide__sql_run_made(
            sync->db,
            sqlite3_mprintf("DELETE FROM main.tidemark_reads WHERE peer = %Q AND resource = %Q;"
                            "DELETE FROM main.tidemark_listed WHERE peer = %Q AND resource = %Q",
                            text, m->resource, text, m->resource),
            &sync->detail);
    }
    return rc;
}
