/* device.c - see device.h. */
#include "sync/device.h"

#include "base/alloc.h"

int tide__devices_load(tide_sync *sync)
{
    sqlite3_stmt *statement = NULL;
    tide__device *devices = NULL;
    size_t count = 0;
    int rc = tide__sql_prepare(sync->db, "SELECT id, uuid, life FROM main.tidemark_devices",
                               &statement, &sync->detail);
    while (rc == TIDE_OK && (rc = tide__sql_step(statement, &sync->detail)) == TIDE_OK) {
        const char *text = (const char *)sqlite3_column_text(statement, 1);
        tide__device *larger = tide__realloc(devices, (count + 1) * sizeof *devices);
        if (larger == NULL) {
            rc = TIDE_ENOMEM;
            break;
        }
        devices = larger;
        devices[count].id = sqlite3_column_int64(statement, 0);
        devices[count].life = sqlite3_column_int64(statement, 2);
        if (text == NULL || uuid_parse(text, devices[count].uuid) != 0) {
            rc = tide__fail(&sync->detail, TIDE_ECORRUPT, "tidemark_devices holds no device id");
            break;
        }
        count++;
    }
    (void)sqlite3_finalize(statement);
    if (rc != TIDE_ABSENT) {
        tide__free(devices);
        return rc;
    }
    tide__free(sync->devices);
    sync->devices = devices;
    sync->device_count = count;
    return TIDE_OK;
}

static const tide__device *find_number(const tide_sync *sync, sqlite3_int64 id)
{
    for (size_t i = 0; i < sync->device_count; i++) {
        if (sync->devices[i].id == id) {
            return &sync->devices[i];
        }
    }
    return NULL;
}

static const tide__device *find_device(const tide_sync *sync, const uuid_t uuid, tide_time life)
{
    for (size_t i = 0; i < sync->device_count; i++) {
        if (sync->devices[i].life == life && uuid_compare(sync->devices[i].uuid, uuid) == 0) {
            return &sync->devices[i];
        }
    }
    return NULL;
}

int tide__device_uuid(tide_sync *sync, sqlite3_int64 id, const unsigned char **uuid)
{
    const tide__device *device = find_number(sync, id);
    if (device == NULL) {
        int rc = tide__devices_load(sync);
        if (rc != TIDE_OK) {
            return rc;
        }
        device = find_number(sync, id);
    }
    if (device == NULL) {
        return tide__fail(&sync->detail, TIDE_ECORRUPT, "tidemark_devices: no device %lld",
                          (long long)id);
    }
    *uuid = device->uuid;
    return TIDE_OK;
}

int tide__device_find(tide_sync *sync, const uuid_t uuid, tide_time life, sqlite3_int64 *id)
{
    const tide__device *device = find_device(sync, uuid, life);
    if (device == NULL) {
        int rc = tide__devices_load(sync);
        if (rc != TIDE_OK) {
            return rc;
        }
        device = find_device(sync, uuid, life);
    }
    *id = device == NULL ? -1 : device->id;
    return TIDE_OK;
}

int tide__device_id(tide_sync *sync, const uuid_t uuid, tide_time life, sqlite3_int64 *id)
{
    char text[UUID_STR_LEN];
    int rc = tide__device_find(sync, uuid, life, id);
    if (rc != TIDE_OK || *id >= 0) {
        return rc;
    }
    uuid_unparse_lower(uuid, text);
    rc = tide__sql_run_made(
        sync->db,
        sqlite3_mprintf("INSERT INTO main.tidemark_devices (uuid, life) VALUES (%Q, %lld)", text,
                        (long long)life),
        &sync->detail);
    return rc == TIDE_OK ? tide__device_find(sync, uuid, life, id) : rc;
}

int tide__bind_peer(sqlite3_stmt *statement, const uuid_t peer, const tide__model *m)
{
    char text[UUID_STR_LEN];
    uuid_unparse_lower(peer, text);
    int rc = sqlite3_bind_text(statement, 1, text, -1, SQLITE_TRANSIENT);
    return rc == SQLITE_OK ? sqlite3_bind_text(statement, 2, m->resource, -1, SQLITE_STATIC) : rc;
}
