/* library.c - a library: the folder, its two files, and the built-in models.
 *
 * Opening goes: database (made whole under another name where it is missing), store, engine, tables and columns
 * of the built-in models, the older protocol's global marks dropped, models, watermarks.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <tidemark/library.h>

#include "sync/engine.h"
#include "sync/model.h"
#include "sync/transaction.h"

#include "base/alloc.h"

#define DATABASE "database.db"
#define STORE "sync.mdb"
#define MIGRATION_NOTICE "Sync protocol updated, performing initial sync..."
#define NAME_BYTES 256

struct tide_library {
    tide_sync *sync;
    tide_store *store;
    tide_watermarks *marks;
};

typedef struct builtin {
    tide_model model;
    const char *create;
} builtin;

static const char *const on_device[] = {"device"};
static const char *const on_location[] = {"location"};
static const char *const device_columns[] = {"name"};
static const char *const location_columns[] = {"device_uuid", "name", "path"};
static const char *const entry_columns[] = {"location_uuid", "parent_uuid", "name",
                                            "kind",          "size",        "mtime"};
static const char *const volume_columns[] = {"device_uuid", "name", "mount_point", "file_system",
                                             "total_bytes"};

#define MODEL(name, table_name, columns_, depends)                                                 \
    {                                                                                              \
        .size = sizeof(tide_model), .ownership = TIDE_DEVICE_OWNED, .resource = (name),            \
        .table = (table_name), .key = "uuid", .columns = (columns_),                               \
        .column_count = sizeof(columns_) / sizeof *(columns_), .depends_on = (depends),            \
        .depends_on_count = 1                                                                      \
    }

static const builtin builtins[] = {
    {{.size = sizeof(tide_model),
      .ownership = TIDE_DEVICE_OWNED,
      .resource = "device",
      .table = "devices",
      .key = "uuid",
      .columns = device_columns,
      .column_count = 1},
     "CREATE TABLE IF NOT EXISTS main.devices ("
     "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT)"},
    {MODEL("location", "locations", location_columns, on_device),
     "CREATE TABLE IF NOT EXISTS main.locations ("
     "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, device_uuid TEXT, name TEXT, path TEXT)"},
    {MODEL("entry", "entries", entry_columns, on_location),
     "CREATE TABLE IF NOT EXISTS main.entries ("
     "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, location_uuid TEXT, parent_uuid TEXT, "
     "name TEXT, kind TEXT, size INTEGER, mtime TEXT)"},
    {MODEL("volume", "volumes", volume_columns, on_device),
     "CREATE TABLE IF NOT EXISTS main.volumes ("
     "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, device_uuid TEXT, name TEXT, "
     "mount_point TEXT, file_system TEXT, total_bytes INTEGER)"},
};

#define BUILTINS (sizeof builtins / sizeof *builtins)

/* What opening needs on its way. */
typedef struct opening {
    const char *path;
    char database[PATH_MAX];
    char store[PATH_MAX];
    tide_library_options options;
    tide_sync_options sync;
    tide_options store_options;
    tide__detail detail;
} opening;

void tide_library_options_init(tide_library_options *options)
{
    *options = (tide_library_options){.size = sizeof *options};
}

/* ---- the database ------------------------------------------------------------------------------- */

static int flush_path(const char *path, int flags, tide__detail *detail)
{
    int rc = TIDE_OK;
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        rc = tide__fail_errno(detail, errno, path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

/* Gives a new file its tables and its identity, and leaves nothing of it in a log. */
static int fill_database(opening *o, const char *path)
{
    tide_sync *sync = NULL;
    tide_sync_options options = o->sync;
    int rc = TIDE_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return tide__fail_errno(&o->detail, errno, path);
    }
    close(fd);
    options.detail = o->detail.text;
    options.detail_bytes = sizeof o->detail.text;
    rc = tide_sync_open(path, &options, &sync);
    if (rc != TIDE_OK) {
        return rc;
    }
    for (size_t i = 0; rc == TIDE_OK && i < BUILTINS; i++) {
        rc = tide__sql_run(sync->db, builtins[i].create, &o->detail);
    }
    if (rc == TIDE_OK && sqlite3_wal_checkpoint_v2(sync->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                                   NULL) != SQLITE_OK) {
        rc = tide__sql_fail(sync->db, path, &o->detail);
    }
    tide_sync_close(sync);
    return rc == TIDE_OK ? flush_path(path, O_RDWR, &o->detail) : rc;
}

static void remove_litter(const char *path)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    char name[PATH_MAX + 16];
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, tails[i]);
        (void)unlink(name);
    }
}

/* The database is born whole: made under another name, flushed, renamed. Whoever makes one holds the lock of the
 * folder, so what lies under that name is what a crash has left. */
static int make_database(opening *o)
{
    char temporary[PATH_MAX + 8];
    struct stat st;
    int rc = TIDE_OK;
    (void)snprintf(temporary, sizeof temporary, "%s.new", o->database);
    int folder = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return tide__fail_errno(&o->detail, errno, o->path);
    }
    while (flock(folder, LOCK_EX) != 0) {
        if (errno != EINTR) {
            rc = tide__fail_errno(&o->detail, errno, o->path);
            break;
        }
    }
    if (rc == TIDE_OK && stat(o->database, &st) != 0) { /* nobody was faster */
        remove_litter(temporary);
        rc = fill_database(o, temporary);
        if (rc == TIDE_OK && rename(temporary, o->database) != 0) {
            rc = tide__fail_errno(&o->detail, errno, o->database);
        }
        if (rc == TIDE_OK && fsync(folder) != 0) {
            rc = tide__fail_errno(&o->detail, errno, o->path);
        }
        remove_litter(temporary);
    }
    close(folder);
    return rc;
}

/* Runs a query without parameters. TIDE_OK: it has a row; TIDE_ABSENT. */
static int exists(sqlite3 *db, char *sql, tide__detail *detail)
{
    sqlite3_stmt *statement = NULL;
    int rc = tide__sql_prepare_made(db, sql, &statement, detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, detail);
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

static int has_column(sqlite3 *db, const char *table, const char *column, tide__detail *detail)
{
    return exists(db,
                  sqlite3_mprintf(
                      "SELECT 1 FROM pragma_table_info(%Q, 'main') WHERE name = %Q COLLATE NOCASE",
                      table, column),
                  detail);
}

/* A folder counts as a library when its database has been captured, or has a table of devices. */
static int recognise(const opening *o, tide__detail *detail)
{
    sqlite3 *db = NULL;
    int rc = TIDE_OK;
    if (sqlite3_open_v2(o->database, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL) !=
        SQLITE_OK) {
        rc = db == NULL ? TIDE_ENOMEM : tide__sql_fail(db, o->database, detail);
    } else {
        rc = exists(db,
                    sqlite3_mprintf("SELECT 1 FROM sqlite_master WHERE type = 'table' AND "
                                    "name IN ('tidemark_state', 'devices')"),
                    detail);
        if (rc == TIDE_ABSENT) {
            rc = tide__fail(detail, TIDE_ENOENT,
                            "%s: not a library: its " DATABASE " has no devices", o->path);
        } else if (rc < 0) {
            rc = tide__sql_fail(db, o->database, detail);
        }
    }
    (void)sqlite3_close(db);
    return rc;
}

/* ---- tables and columns ------------------------------------------------------------------------- */

/* Creates what is missing of one built-in table: a table that another program made may lack columns, one that is
 * captured had them all. */
static int complete_table(tide_sync *sync, const builtin *b)
{
    int rc = tide__sql_run(sync->db, b->create, &sync->detail);
    if (rc == TIDE_OK) {
        rc = exists(
            sync->db,
            sqlite3_mprintf("SELECT 1 FROM main.sqlite_master WHERE name = 'tidemark_%q_rows'",
                            b->model.resource),
            &sync->detail);
        if (rc != TIDE_ABSENT) {
            return rc;
        }
        rc = TIDE_OK;
    }
    for (size_t i = 0; rc == TIDE_OK && i < b->model.column_count; i++) {
        rc = has_column(sync->db, b->model.table, b->model.columns[i], &sync->detail);
        if (rc == TIDE_ABSENT) {
            rc = tide__sql_run_made(sync->db,
                                    sqlite3_mprintf("ALTER TABLE main.\"%w\" ADD COLUMN \"%w\"",
                                                    b->model.table, b->model.columns[i]),
                                    &sync->detail);
        }
    }
    return rc;
}

/* A column with an index cannot be dropped. */
static int drop_indexes_on(tide_sync *sync, const char *column)
{
    sqlite3_stmt *statement = NULL;
    int rc = tide__sql_prepare_made(
        sync->db,
        sqlite3_mprintf(
            "SELECT group_concat('DROP INDEX main.\"' || replace(l.name, '\"', '\"\"') || '\"',"
            " ';') FROM pragma_index_list('devices', 'main') l WHERE l.origin = 'c' AND EXISTS"
            " (SELECT 1 FROM pragma_index_info(l.name, 'main') i WHERE i.name = %Q COLLATE NOCASE)",
            column),
        &statement, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    char *sql = NULL;
    if (rc == TIDE_OK && sqlite3_column_type(statement, 0) == SQLITE_TEXT) {
        sql = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
    }
    (void)sqlite3_finalize(statement);
    return rc != TIDE_OK || sql == NULL ? rc : tide__sql_run_made(sync->db, sql, &sync->detail);
}

/* Drops the two global marks of the older protocol. *dropped says whether there was one. */
static int drop_global_marks(tide_sync *sync, bool *dropped)
{
    static const char *const columns[] = {"last_state_watermark", "last_shared_watermark"};
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < 2; i++) {
        rc = has_column(sync->db, "devices", columns[i], &sync->detail);
        if (rc == TIDE_OK) {
            *dropped = true;
            rc = drop_indexes_on(sync, columns[i]);
        }
        if (rc == TIDE_OK) {
            rc = tide__sql_run_made(
                sync->db, sqlite3_mprintf("ALTER TABLE main.devices DROP COLUMN \"%w\"", columns[i]),
                &sync->detail);
        } else if (rc == TIDE_ABSENT) {
            rc = TIDE_OK;
        }
    }
    return rc;
}

static int bring_up_to_date(tide_sync *sync, bool *dropped)
{
    int rc = tide__begin(sync, TIDE__WRITE);
    if (rc != TIDE_OK) {
        return rc;
    }
    for (size_t i = 0; rc == TIDE_OK && i < BUILTINS; i++) {
        rc = complete_table(sync, &builtins[i]);
    }
    /* Nothing is dropped from a database that cannot be a library. */
    for (size_t i = 0; rc == TIDE_OK && i < BUILTINS; i++) {
        tide__model *checked = NULL;
        rc = tide__model_make(sync, &builtins[i].model, &checked);
        tide__model_free(checked);
    }
    if (rc == TIDE_OK) {
        rc = drop_global_marks(sync, dropped);
    }
    return tide__end(sync, rc);
}

/* Every device is a row of `devices`, its own first. */
static int ensure_own_row(tide_sync *sync, const char *name)
{
    char uuid[UUID_STR_LEN];
    char host[NAME_BYTES] = "";
    uuid_unparse_lower(sync->device, uuid);
    if (name == NULL && gethostname(host, sizeof host - 1) == 0) {
        name = host;
    }
    return tide__sql_run_made(
        sync->db,
        sqlite3_mprintf("INSERT INTO main.devices (uuid, name) SELECT %Q, %Q WHERE NOT "
                        "EXISTS (SELECT 1 FROM main.devices WHERE uuid = %Q)",
                        uuid, name == NULL ? "" : name, uuid),
        &sync->detail);
}

/* ---- opening ------------------------------------------------------------------------------------ */

static int open_engine(opening *o, tide_library *library)
{
    bool dropped = false;
    o->sync.detail = o->detail.text;
    o->sync.detail_bytes = sizeof o->detail.text;
    int rc = tide_sync_open(o->database, &o->sync, &library->sync);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = bring_up_to_date(library->sync, &dropped);
    for (size_t i = 0; rc == TIDE_OK && i < BUILTINS; i++) {
        rc = tide_sync_register(library->sync, &builtins[i].model);
    }
    if (rc == TIDE_OK) {
        rc = ensure_own_row(library->sync, o->options.device_name);
    }
    if (rc != TIDE_OK) {
        (void)tide__fail(&o->detail, rc, "%s: %.400s", o->database, library->sync->detail.text);
    } else if (dropped) {
        tide_event event = {
            .size = sizeof event, .kind = TIDE_EVENT_NOTICE, .text = MIGRATION_NOTICE};
        tide__emit(library->sync, &event);
    }
    return rc;
}

/* The store's own words about a failed open, and on to the caller's notice. */
static void keep_notice(void *ctx, int code, const char *text)
{
    opening *o = ctx;
    (void)tide__fail(&o->detail, code, "%s", text);
    if (o->options.store != NULL && o->options.store->notice != NULL) {
        o->options.store->notice(o->options.store->notice_ctx, code, text);
    }
}

static int open_store(opening *o, tide_library *library)
{
    tide_options_init(&o->store_options);
    if (o->options.store != NULL) {
        o->store_options = *o->options.store;
    }
    o->store_options.notice = keep_notice;
    o->store_options.notice_ctx = o;
    return tide_open(o->store, &o->store_options, &library->store);
}

static int find_files(opening *o)
{
    struct stat st;
    bool create = (o->options.flags & TIDE_CREATE_LIBRARY) != 0;
    if (strlen(o->path) + sizeof DATABASE + 1 >= sizeof o->database) {
        return tide__fail(&o->detail, TIDE_EINVAL, "%.64s...: name too long", o->path);
    }
    (void)snprintf(o->database, sizeof o->database, "%s/" DATABASE, o->path);
    (void)snprintf(o->store, sizeof o->store, "%s/" STORE, o->path);
    if (create && mkdir(o->path, 0700) != 0 && errno != EEXIST) {
        return tide__fail_errno(&o->detail, errno, o->path);
    }
    if (stat(o->path, &st) != 0) {
        return tide__fail_errno(&o->detail, errno, o->path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return tide__fail(&o->detail, TIDE_ENOENT, "%s: not a folder", o->path);
    }
    if (stat(o->database, &st) == 0) {
        return create ? TIDE_OK : recognise(o, &o->detail);
    }
    if (errno != ENOENT) {
        return tide__fail_errno(&o->detail, errno, o->database);
    }
    return create ? make_database(o)
                  : tide__fail(&o->detail, TIDE_ENOENT, "%s: not a library: it has no " DATABASE,
                               o->path);
}

static bool options_ok(const tide_library_options *o)
{
    return o->size == sizeof *o && (o->flags & ~(uint32_t)TIDE_CREATE_LIBRARY) == 0 &&
           (o->sync == NULL || o->sync->size == sizeof *o->sync) &&
           (o->store == NULL || o->store->size == sizeof *o->store);
}

static int open_parts(opening *o, tide_library **out)
{
    int rc = find_files(o);
    tide_library *library = rc == TIDE_OK ? tide__calloc(1, sizeof *library) : NULL;
    if (library == NULL) {
        return rc == TIDE_OK ? TIDE_ENOMEM : rc;
    }
    /* The store first: opening it changes nothing that is there. */
    rc = open_store(o, library);
    if (rc == TIDE_OK) {
        rc = open_engine(o, library);
    }
    if (rc == TIDE_OK) {
        rc = tide_watermarks_open_lmdb(library->store, library->sync->device, &library->marks);
    }
    if (rc == TIDE_OK) {
        rc = tide_sync_attach(library->sync, library->marks);
    }
    if (rc != TIDE_OK) {
        tide_library_close(library);
        return rc;
    }
    *out = library;
    return TIDE_OK;
}

int tide_library_open(const char *path, const tide_library_options *options, tide_library **out)
{
    if (out == NULL) {
        return TIDE_EINVAL;
    }
    *out = NULL;
    if (path == NULL || *path == '\0' || (options != NULL && !options_ok(options))) {
        return TIDE_EINVAL;
    }
    opening *o = tide__calloc(1, sizeof *o);
    if (o == NULL) {
        return TIDE_ENOMEM;
    }
    o->path = path;
    tide_library_options_init(&o->options);
    o->options = options != NULL ? *options : o->options;
    tide_sync_options_init(&o->sync);
    o->sync = o->options.sync != NULL ? *o->options.sync : o->sync;
    int rc = open_parts(o, out);
    const tide_sync_options *asked = o->options.sync;
    if (rc != TIDE_OK && asked != NULL && asked->detail != NULL && asked->detail_bytes > 0) {
        (void)snprintf(asked->detail, asked->detail_bytes, "%s",
                       o->detail.text[0] != '\0' ? o->detail.text : tide_strerror(rc));
    }
    tide__free(o);
    return rc;
}

void tide_library_close(tide_library *library)
{
    if (library != NULL) {
        tide_sync_close(library->sync);
        tide_watermarks_close(library->marks);
        tide_close(library->store);
        tide__free(library);
    }
}

tide_sync *tide_library_sync(tide_library *library)
{
    return library->sync;
}

tide_store *tide_library_store(tide_library *library)
{
    return library->store;
}

tide_watermarks *tide_library_watermarks(tide_library *library)
{
    return library->marks;
}
