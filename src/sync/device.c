/* device.c - see device.h. */
#include "sync/device.h"

#include "base/alloc.h"

/* The oldest gives way. */
static const tide__device *remember(tide_sync *sync, sqlite3_int64 id, const uuid_t uuid,
                                    tide_time life)
{
    tide__device *device = &sync->devices[sync->device_next++ % TIDE__DEVICES_KEPT];
    device->id = id;
    device->life = life;
    uuid_copy(device->uuid, uuid);
    sync->device_count += sync->device_count < TIDE__DEVICES_KEPT;
    return device;
}

static int remember_row(tide_sync *sync, sqlite3_stmt *row, const tide__device **out)
{
    uuid_t uuid;
    const char *text = (const char *)sqlite3_column_text(row, 1);
    if (text == NULL || uuid_parse(text, uuid) != 0) {
        return tide__fail(&sync->detail, TIDE_ECORRUPT, "tidemark_devices holds no device id");
    }
    *out = remember(sync, sqlite3_column_int64(row, 0), uuid, sqlite3_column_int64(row, 2));
    return TIDE_OK;
}

int tide__devices_load(tide_sync *sync)
{
    sqlite3_stmt *statement = NULL;
    const tide__device *device = NULL;
    sync->devices = tide__calloc(TIDE__DEVICES_KEPT, sizeof *sync->devices);
    if (sync->devices == NULL) {
        return TIDE_ENOMEM;
    }
    int rc = tide__sql_prepare(sync->db, "SELECT id, uuid, life FROM main.tidemark_devices",
                               &statement, &sync->detail);
    while (rc == TIDE_OK && (rc = tide__sql_step(statement, &sync->detail)) == TIDE_OK) {
        rc = remember_row(sync, statement, &device);
    }
    (void)sqlite3_finalize(statement);
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

void tide__devices_forget(tide_sync *sync)
{
    sync->device_count = 0;
    sync->device_next = 0;
}

/* What a statement that is bound finds in the table. TIDE_ABSENT: nothing. */
static int look_up(tide_sync *sync, sqlite3_stmt *find, const tide__device **out)
{
    int rc = tide__sql_step(find, &sync->detail);
    if (rc == TIDE_OK) {
        rc = remember_row(sync, find, out);
        (void)sqlite3_reset(find);
    }
    return rc;
}

int tide__device_uuid(tide_sync *sync, sqlite3_int64 id, const unsigned char **uuid)
{
    sqlite3_stmt *find = sync->controls[TIDE__CONTROL_DEVICE_UUID];
    const tide__device *device = NULL;
    for (size_t i = 0; i < sync->device_count; i++) {
        if (sync->devices[i].id == id) {
            *uuid = sync->devices[i].uuid;
            return TIDE_OK;
        }
    }
    if (sqlite3_bind_int64(find, 1, id) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    int rc = look_up(sync, find, &device);
    if (device != NULL) {
        *uuid = device->uuid;
    }
    return rc == TIDE_ABSENT ? tide__fail(&sync->detail, TIDE_ECORRUPT,
                                          "tidemark_devices: no device %lld", (long long)id)
                             : rc;
}

int tide__device_find(tide_sync *sync, const uuid_t uuid, tide_time life, sqlite3_int64 *id)
{
    sqlite3_stmt *find = sync->controls[TIDE__CONTROL_DEVICE_ID];
    const tide__device *device = NULL;
    char text[UUID_STR_LEN];
    for (size_t i = 0; i < sync->device_count; i++) {
        if (sync->devices[i].life == life && uuid_compare(sync->devices[i].uuid, uuid) == 0) {
            *id = sync->devices[i].id;
            return TIDE_OK;
        }
    }
    uuid_unparse_lower(uuid, text);
    if (sqlite3_bind_text(find, 1, text, -1, SQLITE_TRANSIENT) != SQLITE_OK ||
        sqlite3_bind_int64(find, 2, life) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    int rc = look_up(sync, find, &device);
    *id = device == NULL ? -1 : device->id;
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

int tide__device_id(tide_sync *sync, const uuid_t uuid, tide_time life, sqlite3_int64 *id)
{
    sqlite3_stmt *give = sync->controls[TIDE__CONTROL_DEVICE_GIVE];
    char text[UUID_STR_LEN];
    int rc = tide__device_find(sync, uuid, life, id);
    if (rc != TIDE_OK || *id >= 0) {
        return rc;
    }
    uuid_unparse_lower(uuid, text);
    if (sqlite3_bind_text(give, 1, text, -1, SQLITE_TRANSIENT) != SQLITE_OK ||
        sqlite3_bind_int64(give, 2, life) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    rc = tide__sql_done(give, &sync->detail);
    if (rc == TIDE_OK) {
        *id = remember(sync, sqlite3_last_insert_rowid(sync->db), uuid, life)->id;
    }
    return rc;
}

int tide__bind_peer(sqlite3_stmt *statement, const uuid_t peer, const tide__model *m)
{
    char text[UUID_STR_LEN];
    uuid_unparse_lower(peer, text);
    int rc = sqlite3_bind_text(statement, 1, text, -1, SQLITE_TRANSIENT);
    return rc == SQLITE_OK ? sqlite3_bind_text(statement, 2, m->resource, -1, SQLITE_STATIC) : rc;
}
