/* device.c - a device: its library, its rows, and its crashes.
 *
 * Everything that writes may find the drive off. Then nothing it answers counts; device_settle
 * takes the device down, lets the drive keep what it would keep, and opens the library again.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "world.h"

#define MAP_BYTES (1u << 20)
#define STORE_BYTES (64u << 20)
#define READERS 8
#define SQL_BYTES 512
#define PATH_BYTES 600
#define NUMBERS_MAX 1024 /* of devices, and of epochs that rows came from */

const resource resources[RESOURCES] = {
    [ENTRY] = {"entry", "entries", "name, size, kind", "name", 'e', 8, 64},
    [LOCATION] = {"location", "locations", "name, path", "name", 'l', 4, 32},
    [TAG] = {"tag", "tags", "name, color", "name", 't', 0, 16},
    [DEVICE] = {"device", "devices", "name", "name", 0, 1, DEVICES_MAX},
};

static const char *const entry_columns[] = {"name", "size", "kind"};
static const char *const tag_columns[] = {"name", "color"};

static const tide_model entry_model = {.size = sizeof(tide_model),
                                       .ownership = TIDE_DEVICE_OWNED,
                                       .resource = "entry",
                                       .table = "entries",
                                       .key = "uuid",
                                       .columns = entry_columns,
                                       .column_count = 3};

static const tide_model tag_model = {.size = sizeof(tide_model),
                                     .ownership = TIDE_SHARED,
                                     .resource = "tag",
                                     .table = "tags",
                                     .key = "uuid",
                                     .columns = tag_columns,
                                     .column_count = 2};

void key_text(int r, int key, char out[UUID_STR_LEN])
{
    if (r == DEVICE) {
        uuid_t id = {0};
        id[6] = 0x40;
        id[8] = 0x80;
        id[15] = (unsigned char)(key + 1);
        uuid_unparse_lower(id, out);
    } else {
        (void)snprintf(out, UUID_STR_LEN, "%c%d", resources[r].letter, key);
    }
}

/* The number behind the letter, or the last byte of an id; -1: none of ours. */
static int key_number(int r, const char *text)
{
    long key = text == NULL  ? -1
               : r == DEVICE ? strtol(text + strlen(text) - 2, NULL, 16) - 1
                             : strtol(text + 1, NULL, 10);
    return key >= 0 && key < resources[r].keys ? (int)key : -1;
}

/* ---- answers ------------------------------------------------------------------------------------ */

bool device_answer(device *d, const char *what, int rc)
{
    if (rc >= 0) {
        return true;
    }
    if (!disk_is_off(d->number)) {
        char detail[256] = "";
        if (d->sync != NULL) {
            tide_sync_detail(d->sync, detail, sizeof detail);
        }
        world_fail(d->world, "error", "device %d: %s: %s: %s", d->number, what, tide_code_name(rc),
                   detail);
    }
    return false;
}

bool device_run(device *d, sqlite3 *db, const char *sql)
{
    char *why = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &why);
    if (rc != SQLITE_OK && !disk_is_off(d->number)) {
        world_fail(d->world, "error", "device %d: %s: %s", d->number, sql,
                   why == NULL ? sqlite3_errstr(rc) : why);
    }
    sqlite3_free(why);
    d->fresh = false;
    return rc == SQLITE_OK;
}

/* ---- what must stay ----------------------------------------------------------------------------- */

void device_check_kept(device *d)
{
    const snapshot *now = device_snapshot(d);
    for (int r = 0; r < d->world->resource_count; r++) {
        for (int k = 0; k < resources[r].keys; k++) {
            const row *before = &d->kept.rows[r][k];
            const row *after = &now->rows[r][k];
            const row *forgotten = &d->forgotten.rows[r][k];
            bool pruned = forgotten->known && !row_is_older(forgotten, before);
            if (before->known && !pruned && (!after->known || row_is_older(after, before))) {
                char key[UUID_STR_LEN];
                key_text(r, k, key);
                world_fail(d->world, "durable row lost",
                           "device %d: %s %s was flushed in version %lld, and is %s %lld",
                           d->number, resources[r].name, key, (long long)before->version,
                           after->known ? "in" : "gone,", (long long)after->version);
                return;
            }
        }
    }
}

void device_keep(device *d)
{
    if (!disk_is_off(d->number)) {
        d->fresh = d->fresh && !d->loose;
        d->loose = false;
        d->kept = *device_snapshot(d);
    }
}

/* ---- opening and closing ------------------------------------------------------------------------ */

static tide_time device_clock(void *ctx)
{
    return device_now(ctx);
}

static void device_random(void *ctx, void *bytes, size_t size)
{
    const device *d = ctx;
    unsigned char *out = bytes;
    for (size_t i = 0; i < size; i++) {
        out[i] = (unsigned char)sim_next(&d->world->random);
    }
}

static void device_event(void *ctx, const tide_event *event)
{
    const device *d = ctx;
    if (event->kind == TIDE_EVENT_NOTICE) {
        world_note(d->world, "device %d: %s", d->number, event->text);
    } else if (event->kind == TIDE_EVENT_DIVERGED) {
        world_note(d->world, "device %d: its rows of %s are not those of device %d", d->number,
                   event->resource, event->peer[sizeof(uuid_t) - 1] - 1);
    } else if (event->kind == TIDE_EVENT_PARKED) {
        world_note(d->world, "device %d parks %llu rows of %s from device %d: %s", d->number,
                   (unsigned long long)event->count, event->resource,
                   event->peer[sizeof(uuid_t) - 1] - 1, event->text);
    }
}

/* What both ways of opening are told. */
typedef struct opening {
    char name[16];
    tide_library_options library;
    tide_sync_options sync;
    tide_options store;
    char detail[256];
} opening;

static void set_options(device *d, opening *o)
{
    static const unsigned char library_id[sizeof(uuid_t)] = {1, 2, 3};
    tide_library_options_init(&o->library);
    tide_sync_options_init(&o->sync);
    tide_options_init(&o->store);
    (void)snprintf(o->name, sizeof o->name, "device %d", d->identity);
    o->library.flags = d->born ? 0 : TIDE_CREATE_LIBRARY;
    o->library.device_name = o->name;
    o->library.sync = &o->sync;
    o->library.store = &o->store;
    o->sync.device = d->world->devices[d->identity].id;
    o->sync.library = library_id;
    o->sync.clock = device_clock;
    o->sync.clock_ctx = d;
    o->sync.event = device_event;
    o->sync.event_ctx = d;
    o->sync.random = device_random;
    o->sync.random_ctx = d;
    o->sync.detail = o->detail;
    o->sync.detail_bytes = sizeof o->detail;
    o->store.flags =
        d->born && d->world->resource_count == RESOURCES_OF_PARTS ? TIDE_MUST_EXIST : 0;
    o->store.map_size_bytes = MAP_BYTES;
    o->store.max_size_bytes = STORE_BYTES;
    o->store.max_readers = READERS;
    o->store.clock = device_clock;
    o->store.clock_ctx = d;
    o->detail[0] = '\0';
}

static int open_library(device *d, const opening *o)
{
    int rc = tide_library_open(disk_path(d->number), &o->library, &d->library);
    if (rc == TIDE_OK) {
        d->sync = tide_library_sync(d->library);
        d->store = tide_library_store(d->library);
        d->marks = tide_library_watermarks(d->library);
    }
    return rc;
}

/* An empty file, and its name, flushed. */
static int make_file(const char *path, const char *folder)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int above = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = file >= 0 && above >= 0 && fsync(file) == 0 && fsync(above) == 0;
    if (file >= 0) {
        (void)close(file);
    }
    if (above >= 0) {
        (void)close(above);
    }
    return done ? TIDE_OK : TIDE_EIO;
}

/* Engine, store and marks each by itself. */
static int open_parts(device *d, const opening *o)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/database.db", disk_path(d->number));
    int rc = d->born ? TIDE_OK : make_file(path, disk_path(d->number));
    if (rc == TIDE_OK) {
        rc = tide_sync_open(path, &o->sync, &d->sync);
    }
    if (rc == TIDE_OK) {
        (void)snprintf(path, sizeof path, "%s/sync.mdb", disk_path(d->number));
        rc = tide_open(path, &o->store, &d->store);
    }
    if (rc == TIDE_OK) {
        rc = tide_watermarks_open_lmdb(d->store, o->sync.device, &d->marks);
    }
    return rc == TIDE_OK ? tide_sync_attach(d->sync, d->marks) : rc;
}

/* The application's own tables and models; a library has them by itself. */
static int add_models(device *d)
{
    if (d->library != NULL) {
        return TIDE_OK;
    }
    if (!device_run(d, device_database(d),
                    "CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, "
                    "uuid TEXT NOT NULL UNIQUE, name, size, kind);"
                    "CREATE TABLE IF NOT EXISTS tags (id INTEGER PRIMARY KEY, "
                    "uuid TEXT NOT NULL UNIQUE, name, color)")) {
        return TIDE_ESQL;
    }
    int rc = tide_sync_register(d->sync, &entry_model);
    return rc == TIDE_OK ? tide_sync_register(d->sync, &tag_model) : rc;
}

static bool open_all(device *d)
{
    opening o;
    device_enter(d);
    set_options(d, &o);
    int rc =
        d->world->resource_count == RESOURCES_OF_PARTS ? open_parts(d, &o) : open_library(d, &o);
    if (rc != TIDE_OK && !disk_is_off(d->number)) {
        world_fail(d->world, "error", "device %d cannot be opened: %s: %s", d->number,
                   tide_code_name(rc), o.detail);
    }
    if (rc != TIDE_OK) {
        return false;
    }
    d->born = d->born || !disk_is_off(d->number);
    d->open = device_answer(d, "register", add_models(d)) && !disk_is_off(d->number);
    return d->open;
}

/* Making a library takes long, and nearly always gives the same: unless it shall crash meanwhile it
 * is made once, and copied. Of the world's random numbers it takes none. */
static void be_born(device *d)
{
    static disk_copy *newborn[DEVICES_MAX][RESOURCES + 1];
    disk_copy **mine = &newborn[d->number][d->world->resource_count];
    sim_random before = d->world->random;
    int64_t skew_ns = d->skew_ns;
    if (*mine == NULL) {
        d->skew_ns = -d->world->now_ns;
        d->world->random.state = (uint64_t)d->number;
        sqlite3_randomness(0, NULL);
        if (open_all(d)) {
            device_close(d);
            *mine = disk_save(d->number);
        }
        d->skew_ns = skew_ns;
        d->world->random = before;
    }
    sqlite3_randomness(0, NULL);
    if (*mine != NULL) {
        disk_load(d->number, *mine, "");
        d->born = true;
    }
}

static bool try_open(device *d)
{
    if (!d->born && !disk_is_armed(d->number) && d->crashes == 0) {
        be_born(d);
    }
    if (world_failed(d->world) || !open_all(d)) {
        return false;
    }
    device_check_kept(d);
    device_keep(d); /* opening has flushed the log */
    return true;
}

bool device_open(device *d)
{
    if (!d->open && !try_open(d) && disk_is_off(d->number)) {
        device_settle(d);
    }
    return d->open && !world_failed(d->world);
}

void device_close(device *d)
{
    link_cut_all(d);
    device_enter(d);
    (void)sqlite3_close(d->shell);
    if (d->library != NULL) {
        tide_library_close(d->library);
    } else {
        tide_sync_close(d->sync);
        tide_watermarks_close(d->marks);
        tide_close(d->store);
    }
    d->open = false;
    d->shell = NULL;
    d->library = NULL;
    d->sync = NULL;
    d->marks = NULL;
    d->store = NULL;
    d->fresh = false;
}

sqlite3 *device_database(device *d)
{
    return tide_sync_database(d->sync);
}

sqlite3 *device_shell(device *d, bool full)
{
    device_enter(d);
    if (d->shell == NULL) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/database.db", disk_path(d->number));
        if (sqlite3_open_v2(path, &d->shell, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
            (void)sqlite3_close(d->shell);
            d->shell = NULL;
            return NULL;
        }
    }
    return device_run(d, d->shell,
                      full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL")
               ? d->shell
               : NULL;
}

/* ---- crashes ------------------------------------------------------------------------------------ */

static bool come_up(device *d)
{
    const char *why = NULL;
    device_close(d);
    if (!disk_restore(d->number, d->crash, d->crash_seed, &why)) {
        world_fail(d->world, "left open", "device %d: %s", d->number, why);
        return false;
    }
    return try_open(d);
}

void device_settle(device *d)
{
    static const char *const left[] = {"what was flushed", "all that was written",
                                       "some of what was not flushed"};
    if (!disk_is_off(d->number) || world_failed(d->world)) {
        return;
    }
    d->crashes++;
    world_note(d->world, "device %d went down; %s is left", d->number, left[d->crash]);
    if (come_up(d) && d->crash == DISK_KILL && (d->crash_seed >> 32) % 2 == 0) {
        d->crash = DISK_POWER; /* what the dead process had not flushed was flushed by opening */
        disk_cut(d->number);
        (void)come_up(d);
    }
}

/* ---- how it stands ------------------------------------------------------------------------------ */

/* The numbers of devices in a database. */
typedef struct numbers {
    int makers[NUMBERS_MAX];
    tide_time epoch;
} numbers;

static bool read_numbers(sqlite3 *db, numbers *n)
{
    sqlite3_stmt *s = NULL;
    bool ok =
        sqlite3_prepare_v2(db, "SELECT id, uuid FROM tidemark_devices", -1, &s, NULL) == SQLITE_OK;
    int rc = SQLITE_ERROR;
    while (ok && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        int id = sqlite3_column_int(s, 0);
        if (id >= 0 && id < NUMBERS_MAX) {
            n->makers[id] = key_number(DEVICE, (const char *)sqlite3_column_text(s, 1));
        }
    }
    (void)sqlite3_finalize(s);
    if (rc != SQLITE_DONE ||
        sqlite3_prepare_v2(db, "SELECT epoch FROM tidemark_state", -1, &s, NULL) != SQLITE_OK) {
        return false;
    }
    ok = sqlite3_step(s) == SQLITE_ROW;
    n->epoch = sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s);
    return ok;
}

/* A record counts if the row with its number has its key, as the engine reads it. */
static bool read_rows(sqlite3 *db, int r, const numbers *n, snapshot *out)
{
    char sql[SQL_BYTES];
    sqlite3_stmt *s = NULL;
    int rc = SQLITE_ERROR;
    (void)snprintf(sql, sizeof sql,
                   "SELECT t.uuid, r.stamp, ifnull(r.version, r.stamp), r.device, 0, "
                   "r.version IS NULL FROM tidemark_%s_rows r CROSS JOIN %s t ON t.id = r.row "
                   "UNION ALL SELECT key, stamp, ifnull(version, stamp), device, 1, "
                   "version IS NULL FROM tidemark_%s_gone",
                   resources[r].name, resources[r].table, resources[r].name);
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK) {
        return false;
    }
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        int key = key_number(r, (const char *)sqlite3_column_text(s, 0));
        int maker = sqlite3_column_int(s, 3);
        if (key < 0 || maker < 0 || maker >= NUMBERS_MAX) {
            break;
        }
        out->rows[r][key] = (row){.known = true,
                                  .gone = sqlite3_column_int(s, 4) != 0,
                                  .made = sqlite3_column_int(s, 5) != 0,
                                  .stamp = sqlite3_column_int64(s, 1),
                                  .version = sqlite3_column_int64(s, 2),
                                  .maker = n->makers[maker]};
        out->count++;
    }
    (void)sqlite3_finalize(s);
    return rc == SQLITE_DONE;
}

/* A deletion that was made somewhere may make a row go everywhere, for ever. */
static void note_deletions(device *d)
{
    for (int r = 0; r < d->world->resource_count; r++) {
        for (int k = 0; k < resources[r].keys; k++) {
            const row *here = &d->seen.rows[r][k];
            row *newest = &d->world->deleted[r][k];
            bool made = here->gone && here->made;
            if (made && (!newest->known || row_is_older(newest, here))) {
                *newest = *here;
                newest->made = !d->loose;
            } else if (made && newest->version == here->version && newest->maker == here->maker) {
                newest->made = newest->made || !d->loose;
            }
        }
    }
}

void device_may_forget(device *d)
{
    const snapshot *now = device_snapshot(d);
    for (int r = 0; r < d->world->resource_count; r++) {
        for (int k = 0; k < resources[r].keys; k++) {
            row *forgotten = &d->forgotten.rows[r][k];
            const row *here = &now->rows[r][k];
            if (here->gone && (!forgotten->known || row_is_older(forgotten, here))) {
                *forgotten = *here;
            }
        }
    }
}

const snapshot *device_snapshot(device *d)
{
    numbers n = {.epoch = TIDE_TIME_NONE};
    if (d->fresh) {
        return &d->seen;
    }
    device_enter(d);
    memset(&d->seen, 0, sizeof d->seen);
    bool ok = read_numbers(device_database(d), &n);
    for (int r = 0; ok && r < d->world->resource_count; r++) {
        ok = read_rows(device_database(d), r, &n, &d->seen);
    }
    d->seen.epoch = n.epoch;
    d->fresh = ok;
    d->told_epoch = ok && d->told_epoch == EPOCH_PRESENT ? n.epoch : d->told_epoch;
    note_deletions(d);
    if (!ok && !disk_is_off(d->number)) {
        world_fail(d->world, "error", "device %d cannot be read: %s", d->number,
                   sqlite3_errmsg(device_database(d)));
    }
    return &d->seen;
}
