/* level.c - see level.h. */
#include "sync/level.h"

#include "sync/transaction.h"

int tide__level_find(tide_sync *sync, const uuid_t peer, const tide__model *m, tide_mark *out)
{
    char text[UUID_STR_LEN];
    sqlite3_stmt *find = sync->controls[TIDE__CONTROL_LEVEL];
    *out = (tide_mark){TIDE_TIME_NONE, TIDE_TIME_NONE, TIDE_TIME_NONE};
    uuid_unparse_lower(peer, text);
    if (sqlite3_bind_text(find, 1, text, -1, SQLITE_TRANSIENT) != SQLITE_OK ||
        sqlite3_bind_text(find, 2, m->resource, -1, SQLITE_STATIC) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    int rc = tide__sql_step(find, &sync->detail);
    if (rc == TIDE_OK) {
        out->watermark = sqlite3_column_int64(find, 0);
        out->epoch = sqlite3_column_int64(find, 1);
        (void)sqlite3_reset(find);
    }
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

int tide__level_reached(tide_sync *sync, const uuid_t peer, const tide__model *m, tide_time epoch,
                        tide_time upto)
{
    char text[UUID_STR_LEN];
    tide_mark known;
    int rc = tide__level_find(sync, peer, m, &known);
    if (rc != TIDE_OK || (known.epoch == epoch && known.watermark == upto)) {
        return rc;
    }
    uuid_unparse_lower(peer, text);
    rc = tide__begin(sync, TIDE__APPLY);
    return rc != TIDE_OK
               ? rc
               : tide__end(sync, tide__sql_run_made(
                                     sync->db,
                                     sqlite3_mprintf("INSERT OR REPLACE INTO main.tidemark_levels "
                                                     "VALUES (%Q, %Q, %lld, %lld)",
                                                     text, m->resource, (long long)epoch,
                                                     (long long)upto),
                                     &sync->detail));
}
