/* level.c - see level.h. */
#include "sync/level.h"

#include "sync/device.h"
#include "sync/transaction.h"

int tide__level_find(tide_sync *sync, const uuid_t peer, const tide__model *m, size_t most,
                     tide__level out[], size_t *count)
{
    sqlite3_stmt *find = sync->controls[TIDE__CONTROL_LEVEL];
    *count = 0;
    if (tide__bind_peer(find, peer, m) != SQLITE_OK ||
        sqlite3_bind_int64(find, 3, (sqlite3_int64)most) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    int rc = TIDE_OK;
    while ((rc = tide__sql_step(find, &sync->detail)) == TIDE_OK) {
        out[(*count)++] = (tide__level){.stamp = sqlite3_column_int64(find, 0),
                                        .epoch = sqlite3_column_int64(find, 1),
                                        .life = sqlite3_column_int64(find, 2)};
    }
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

static int write_level(tide_sync *sync, const char *peer, const tide__model *m,
                       const tide__level *level)
{
    return tide__sql_run_made(
        sync->db,
        sqlite3_mprintf(
            "INSERT OR REPLACE INTO main.tidemark_levels (peer, resource, epoch, life, "
            "stamp) VALUES (%Q, %Q, %lld, %lld, %lld);"
            "DELETE FROM main.tidemark_levels WHERE peer = %Q AND resource = %Q AND id "
            "NOT IN (SELECT id FROM main.tidemark_levels WHERE peer = %Q AND resource = "
            "%Q ORDER BY id DESC LIMIT %d)",
            peer, m->resource, (long long)level->epoch, (long long)level->life,
            (long long)level->stamp, peer, m->resource, peer, m->resource, TIDE__LEVELS_MAX),
        &sync->detail);
}

int tide__level_reached(tide_sync *sync, const uuid_t peer, const tide__model *m,
                        const tide__level *level)
{
    char text[UUID_STR_LEN];
    tide__level known = {TIDE_TIME_NONE, TIDE_TIME_NONE, TIDE_TIME_NONE};
    size_t count = 0;
    int rc = tide__level_find(sync, peer, m, 1, &known, &count);
    if (rc != TIDE_OK ||
        (known.epoch == level->epoch && known.life == level->life && known.stamp == level->stamp)) {
        return rc;
    }
    uuid_unparse_lower(peer, text);
    rc = tide__begin(sync, TIDE__APPLY);
    return rc != TIDE_OK ? rc : tide__end(sync, write_level(sync, text, m, level));
}
