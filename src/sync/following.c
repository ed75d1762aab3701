/* following.c - see following.h. */
#include "sync/following.h"

#include "sync/device.h"

int tide__following_find(tide_sync *sync, const uuid_t peer, const tide__model *m,
                         tide__following *out)
{
    sqlite3_stmt *find = sync->controls[TIDE__CONTROL_FOLLOWING];
    *out = (tide__following){TIDE_TIME_NONE, TIDE_TIME_NONE, -1};
    if (tide__bind_peer(find, peer, m) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    int rc = tide__sql_step(find, &sync->detail);
    if (rc == TIDE_OK) {
        out->life = sqlite3_column_int64(find, 0);
        out->head = sqlite3_column_int64(find, 1);
        out->source = sqlite3_column_int64(find, 2);
        (void)sqlite3_reset(find);
    }
    return rc;
}

/* A number for a following that begins. None that a row of the resource has: an earlier following
 * may have begun in this very life and have gone on into that of a copy. */
static int begin(tide_sync *sync, const uuid_t peer, const tide__model *m, tide_time life,
                 sqlite3_int64 *source)
{
    char uuid[UUID_STR_LEN];
    const char *r = m->resource;
    sqlite3_stmt *find = NULL;
    uuid_unparse_lower(peer, uuid);
    int rc = tide__sql_prepare_made(
        sync->db,
        sqlite3_mprintf(
            "SELECT ifnull((SELECT id FROM main.tidemark_devices WHERE uuid = %Q AND life > 0 AND id "
            "NOT IN (SELECT source FROM main.\"tidemark_%w_rows\" UNION ALL SELECT source FROM "
            "main.\"tidemark_%w_gone\" UNION ALL SELECT source FROM main.tidemark_parked WHERE "
            "resource = %Q) LIMIT 1), -1), max(%lld, 1, ifnull((SELECT max(life) + 1 FROM "
            "main.tidemark_devices WHERE uuid = %Q), 1))",
            uuid, r, r, r, (long long)life, uuid),
        &find, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(find, &sync->detail);
    }
    if (rc == TIDE_OK) {
        *source = sqlite3_column_int64(find, 0);
        life = sqlite3_column_int64(find, 1);
    }
    (void)sqlite3_finalize(find);
    return rc != TIDE_OK || *source >= 0 ? rc : tide__device_id(sync, peer, life, source);
}

int tide__following_go_on(tide_sync *sync, const uuid_t peer, const tide__model *m, bool known,
                          tide__following *page)
{
    tide__following before;
    sqlite3_stmt *follow = sync->controls[TIDE__CONTROL_FOLLOW];
    int rc = tide__following_find(sync, peer, m, &before);
    page->source = before.source;
    if (rc == TIDE_OK && known && before.life == page->life && before.head == page->head) {
        return TIDE_OK;
    }
    if (rc == TIDE_ABSENT || (rc == TIDE_OK && !known)) {
        rc = begin(sync, peer, m, page->life, &page->source);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    if (tide__bind_peer(follow, peer, m) != SQLITE_OK ||
        sqlite3_bind_int64(follow, 3, page->life) != SQLITE_OK ||
        sqlite3_bind_int64(follow, 4, page->head) != SQLITE_OK ||
        sqlite3_bind_int64(follow, 5, page->source) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    return tide__sql_done(follow, &sync->detail);
}
