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
        rc = tide__device_id(sync, peer, page->life, &page->source);
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
