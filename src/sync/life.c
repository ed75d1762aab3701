/* life.c - the lives of the database; see life.h. */
#include "sync/life.h"

#include "sync/capture.h"
#include "sync/history.h"
#include "sync/model.h"
#include "sync/transaction.h"

#define LIVES_KEPT 1000
#define COVER_NS (60 * INT64_C(1000000000)) /* `until` is raised so far ahead, and so, seldom */

/* One resource of the life that ends, whether its model is registered now or not. */
static int end_resource(tide_sync *sync, const char *resource, void *ctx)
{
    (void)ctx;
    return tide__sql_run_made(
        sync->db,
        sqlite3_mprintf(
            "INSERT INTO main.tidemark_lives SELECT s.life, r.resource, min(s.until, max(r.pruned, "
            "ifnull((SELECT max(stamp) FROM main.\"tidemark_%w_rows\"), 0), "
            "ifnull((SELECT max(stamp) FROM main.\"tidemark_%w_gone\"), 0))) "
            "FROM main.tidemark_state s, main.tidemark_resources r WHERE s.shown = s.life AND "
            "r.resource = %Q",
            resource, resource, resource),
        &sync->detail);
}

int tide__life_begin(tide_sync *sync)
{
    int rc = tide__history_load(sync);
    if (rc == TIDE_OK) {
        rc = tide__capture_each(sync, end_resource, NULL);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    tide_time life = tide__later(sync, sync->life);
    rc = tide__sql_run_made(
        sync->db,
        /* A query within, because SQLite takes no OFFSET of a query that gives one value. */
        sqlite3_mprintf("UPDATE main.tidemark_state SET life = %lld, forgotten = max(forgotten, "
                        "ifnull((SELECT life FROM (SELECT DISTINCT life FROM main.tidemark_lives "
                        "ORDER BY life DESC LIMIT 1 OFFSET %d)), 0));"
                        "DELETE FROM main.tidemark_lives WHERE life <= (SELECT forgotten FROM "
                        "main.tidemark_state)",
                        (long long)life, LIVES_KEPT),
        &sync->detail);
    return rc == TIDE_OK ? tide__history_load(sync) : rc;
}

int tide__life_end(tide_sync *sync, const tide__model *m, tide_time life, tide_time *ended)
{
    sqlite3_stmt *find = sync->controls[TIDE__CONTROL_LIFE];
    if (sqlite3_bind_int64(find, 1, life) != SQLITE_OK ||
        sqlite3_bind_text(find, 2, m->resource, -1, SQLITE_STATIC) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    int rc = tide__sql_step(find, &sync->detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    if (sqlite3_column_int64(find, 0) == life) {
        *ended = TIDE_TIME_MAX;
    } else if (sqlite3_column_type(find, 1) != SQLITE_NULL) {
        *ended = sqlite3_column_int64(find, 1);
    } else {
        rc = life <= sqlite3_column_int64(find, 2) ? TIDE_STALE : TIDE_CONFLICT;
    }
    (void)sqlite3_reset(find);
    return rc;
}

int tide__life_includes(tide_sync *sync, const tide__model *m, tide_time life, tide_time head)
{
    tide_time ended = 0;
    int rc = tide__life_end(sync, m, life, &ended);
    return rc == TIDE_OK && head > ended ? TIDE_CONFLICT : rc;
}

int tide__life_covers(tide_sync *sync, bool *covered)
{
    tide_time newest = 0;
    int rc = tide__history_load(sync);
    if (rc == TIDE_OK) {
        rc = tide__model_newest(sync, &newest);
    }
    *covered = rc == TIDE_OK && newest <= sync->until && sync->shown == sync->life;
    return rc;
}

/* Inside a write transaction. */
static int cover(tide_sync *sync)
{
    tide_time newest = 0;
    int rc = tide__model_newest(sync, &newest);
    tide_time until = newest > TIDE_TIME_MAX - COVER_NS ? TIDE_TIME_MAX : newest + COVER_NS;
    return rc != TIDE_OK
               ? rc
               : tide__sql_run_made(sync->db,
                                    sqlite3_mprintf("UPDATE main.tidemark_state SET shown = life, "
                                                    "until = max(until, %lld)",
                                                    (long long)until),
                                    &sync->detail);
}

int tide__life_cover(tide_sync *sync)
{
    int rc = tide__begin(sync, TIDE__APPLY);
    return rc == TIDE_OK ? tide__end(sync, cover(sync)) : rc;
}
