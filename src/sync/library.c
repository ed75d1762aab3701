/* library.c - a library: the folder and its two files.
 *
 * Opening looks first and writes last, so that a failure changes as little as it can. The database
 * is looked at; one that is not captured yet is tried on in a transaction that is taken back. Then
 * the store is opened. Only then comes what cannot be taken back: the log mode of a database, and
 * its identity.
 *
 * A library is complete when `devices` has the row of the device itself, which is written last.
 * What is not complete is worked on under the lock of the folder. Whoever writes that row has made
 * the library; whoever fails before takes away the files that it made.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <tidemark/library.h>

#include "sync/builtin.h"
#include "sync/engine.h"
#include "sync/files.h"
#include "sync/transaction.h"
#include "sync/wal_index.h"

#include "base/alloc.h"

#define MIGRATION_NOTICE "Sync protocol updated, performing initial sync..."
#define NAME_BYTES 256
#define SHOWN_BYTES 160        /* of a path in messages */
#define JOURNAL_BYTES 8        /* SQLite keeps them free behind the longest path it takes */
#define BUSY_MS 5000           /* as the engine waits */
#define FOLDER_LOCK_TRIES 5000 /* of a millisecond, as the store waits */

struct tide_library {
    tide_sync *sync;
    tide_store *store;
    tide_watermarks *marks;
    tide_notice_fn *notice; /* the caller's, for the life of the store */
    void *notice_ctx;
    tide__detail *opening; /* receives what is noticed while opening; NULL afterwards */
};

/* What opening needs on its way, and what it has found and made. */
typedef struct opening {
    const char *path;
    char shown[SHOWN_BYTES];              /* the folder in messages */
    char shown_database[SHOWN_BYTES * 2]; /* and its database */
    char database[PATH_MAX];
    char store[PATH_MAX];
    tide_library_options options;
    tide_sync_options sync;
    tide_options store_options;
    int lock;                                    /* the folder, locked; -1: not locked */
    bool captured;                               /* the database has an identity */
    bool complete;                               /* and the row of its device */
    bool made_folder, made_store, made_database; /* by this call: gone again if it fails */
    dev_t store_device;                          /* the file that is open as the store */
    ino_t store_inode;
    tide__detail detail;
} opening;

void tide_library_options_init(tide_library_options *options)
{
    *options = (tide_library_options){.size = sizeof *options};
}

/* ---- the folder --------------------------------------------------------------------------------- */

/* A long path loses its middle, so that the reason behind it finds room. */
static void set_shown(opening *o)
{
    const size_t half = (SHOWN_BYTES - sizeof "...") / 2;
    size_t length = strlen(o->path);
    if (length < SHOWN_BYTES) {
        (void)snprintf(o->shown, SHOWN_BYTES, "%s", o->path);
    } else {
        (void)snprintf(o->shown, SHOWN_BYTES, "%.*s...%s", (int)half, o->path,
                       o->path + length - half);
    }
    (void)snprintf(o->shown_database, sizeof o->shown_database, "%s/" TIDE__DATABASE, o->shown);
}

static bool creates(const opening *o)
{
    return (o->options.flags & TIDE_CREATE_LIBRARY) != 0;
}

static bool is_missing(const char *path)
{
    struct stat st;
    return stat(path, &st) != 0 && errno == ENOENT;
}

/* One that may be written and not read cannot be flushed, which is no reason to make nothing in it.
 * */
static int flush_folder_above(char *resolved, tide__detail *detail)
{
    char *slash = strrchr(resolved, '/');
    slash[slash == resolved ? 1 : 0] = '\0';
    return access(resolved, R_OK) == 0 ? tide__files_flush(resolved, O_RDONLY | O_DIRECTORY, detail)
                                       : TIDE_OK;
}

/* SQLite measures a path from the root, after all links. */
static int check_length(opening *o, const char *resolved)
{
    const sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    size_t behind = sizeof "/" TIDE__DATABASE - 1 + JOURNAL_BYTES;
    if (creates(o) && is_missing(o->database)) {
        behind += sizeof TIDE__NEW_TAIL - 1 + UUID_STR_LEN - 1;
    }
    if (vfs == NULL || strlen(resolved) + behind <= (size_t)vfs->mxPathname) {
        return TIDE_OK;
    }
    return tide__fail(&o->detail, TIDE_EINVAL,
                      "%s: name too long: %zu bytes from the root, SQLite takes %zu", o->shown,
                      strlen(resolved), (size_t)vfs->mxPathname - behind);
}

/* Makes the folder where that is asked for, and sets the paths of the two files. */
static int find_folder(opening *o)
{
    char resolved[PATH_MAX];
    struct stat st;
    if (strlen(o->path) + sizeof "./" + sizeof "/" TIDE__DATABASE > sizeof o->database) {
        return tide__fail(&o->detail, TIDE_EINVAL, "%s: name too long: %zu bytes", o->shown,
                          strlen(o->path));
    }
    (void)snprintf(o->database, sizeof o->database, "%s%s/" TIDE__DATABASE,
                   tide__files_before(o->path), o->path);
    (void)snprintf(o->store, sizeof o->store, "%s/" TIDE__STORE, o->path);
    if (creates(o)) {
        o->made_folder = mkdir(o->path, 0700) == 0;
        if (!o->made_folder && errno != EEXIST) {
            return tide__fail_errno(&o->detail, errno, o->shown);
        }
    }
    if (stat(o->path, &st) != 0) {
        return tide__fail_errno(&o->detail, errno, o->shown);
    }
    if (!S_ISDIR(st.st_mode)) {
        return tide__fail(&o->detail, TIDE_EFORMAT, "%s: not a library: it is no folder", o->shown);
    }
    if (realpath(o->path, resolved) == NULL) {
        return tide__fail_errno(&o->detail, errno, o->shown);
    }
    int rc = check_length(o, resolved);
    return rc == TIDE_OK && o->made_folder ? flush_folder_above(resolved, &o->detail) : rc;
}

static int lock_folder(opening *o, int tries)
{
    const struct timespec millisecond = {0, 1000000};
    int rc = TIDE_OK;
    int fd = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return tide__fail_errno(&o->detail, errno, o->shown);
    }
    while (rc == TIDE_OK && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            rc = tide__fail_errno(&o->detail, errno, o->shown);
        } else if (tries-- == 0) {
            rc = tide__fail(&o->detail, TIDE_EBUSY, "%s: stays locked", o->shown);
        } else {
            (void)nanosleep(&millisecond, NULL);
        }
    }
    if (rc != TIDE_OK) {
        close(fd);
        return rc;
    }
    o->lock = fd;
    return TIDE_OK;
}

/* ---- a new database ----------------------------------------------------------------------------- */

/* Gives a new file its tables and its identity, and leaves nothing of it in a log. */
static int fill_database(opening *o, const char *path)
{
    tide_sync *sync = NULL;
    tide_sync_options options = o->sync;
    int rc = TIDE_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return tide__fail_errno(&o->detail, errno, o->shown_database);
    }
    close(fd);
    options.detail = o->detail.text;
    options.detail_bytes = sizeof o->detail.text;
    rc = tide_sync_open(path, &options, &sync);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__builtin_create(sync);
    if (rc != TIDE_OK) {
        o->detail = sync->detail;
    }
    if (rc == TIDE_OK && sqlite3_wal_checkpoint_v2(sync->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                                   NULL) != SQLITE_OK) {
        rc = tide__sql_fail(sync->db, o->shown_database, &o->detail);
    }
    tide_sync_close(sync);
    return rc == TIDE_OK ? tide__files_flush(path, O_RDWR, &o->detail) : rc;
}

/* The database is born whole: made under a name that nobody else has, flushed, renamed. The folder
 * is locked. */
static int make_database(opening *o)
{
    char temporary[TIDE__FILES_NAME];
    tide__files_new_name(o->database, temporary);
    int rc = fill_database(o, temporary);
    if (rc == TIDE_OK) {
        o->made_database = rename(temporary, o->database) == 0;
        if (!o->made_database || fsync(o->lock) != 0) {
            rc = tide__fail_errno(&o->detail, errno, o->shown_database);
        }
    }
    tide__files_remove_rows(temporary);
    return rc;
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

/* ---- looking ------------------------------------------------------------------------------------ */

static int has_table(sqlite3 *db, const char *glob, tide__detail *detail)
{
    return tide__sql_exists(
        db,
        sqlite3_mprintf("SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND "
                        "lower(name) GLOB %Q",
                        glob),
        detail);
}

/* A connection that changes nothing by being opened and closed. TIDE_OK; *db is NULL when there is
 * no database. */
static int open_plainly(opening *o, sqlite3 **db)
{
    char log[PATH_MAX + JOURNAL_BYTES];
    struct stat st;
    *db = NULL;
    if (stat(o->database, &st) != 0) {
        return errno == ENOENT ? TIDE_OK : tide__fail_errno(&o->detail, errno, o->shown_database);
    }
    if (!S_ISREG(st.st_mode)) {
        return tide__fail(&o->detail, TIDE_EFORMAT, "%s: not a regular file", o->shown_database);
    }
    if (access(o->database, R_OK | W_OK) != 0) {
        return tide__fail_errno(&o->detail, errno, o->shown_database);
    }
    (void)snprintf(log, sizeof log, "%s-wal", o->database);
    bool logged = stat(log, &st) == 0 && st.st_size > 0;
    if (sqlite3_open_v2(o->database, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL) !=
        SQLITE_OK) {
        int rc = *db == NULL ? TIDE_ENOMEM : tide__sql_fail(*db, o->shown_database, &o->detail);
        (void)sqlite3_close(*db);
        *db = NULL;
        return rc;
    }
    tide__wal_index_guard(*db);
    (void)sqlite3_busy_timeout(*db, BUSY_MS);
    if (logged) { /* what is in a log may be in doubt (transaction.h): that is for the engine */
        (void)sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    return TIDE_OK;
}

static int look(opening *o, sqlite3 *db)
{
    o->captured = o->complete = false;
    int rc = db != NULL ? has_table(db, "tidemark_state", NULL) : TIDE_ABSENT;
    if (rc == TIDE_OK) {
        rc = tide__sql_exists(db, sqlite3_mprintf("SELECT 1 FROM main.tidemark_state"), NULL);
        o->captured = rc == TIDE_OK;
    }
    if (rc == TIDE_OK) {
        rc = tide__sql_exists(
            db,
            sqlite3_mprintf("SELECT 1 FROM pragma_table_info('devices', 'main') WHERE "
                            "name = 'uuid' COLLATE NOCASE"),
            NULL);
    }
    if (rc == TIDE_OK) {
        rc = tide__sql_exists(db,
                              sqlite3_mprintf("SELECT 1 FROM main.devices WHERE uuid = "
                                              "(SELECT device FROM main.tidemark_state)"),
                              NULL);
        o->complete = rc == TIDE_OK;
    }
    return rc < 0 ? tide__sql_fail(db, o->shown_database, &o->detail) : TIDE_OK;
}

/* Whether a database that is not captured can become a library: everything is done to it, and taken
 * back. */
static int try_on(opening *o, sqlite3 *db)
{
    tide_sync plain = {.db = db}; /* as much of an engine as checking needs */
    bool dropped = false;
    struct stat st;
    if (has_table(db, "tidemark_*_rows", NULL) == TIDE_OK) {
        return tide__fail(&o->detail, TIDE_ECORRUPT,
                          "%s: its changes were captured, but tidemark_state has no row",
                          o->shown_database);
    }
    if (!creates(o) && has_table(db, "devices", NULL) == TIDE_ABSENT) {
        bool empty = stat(o->database, &st) == 0 && st.st_size == 0;
        return tide__fail(&o->detail, TIDE_EFORMAT, "%s: not a library: its " TIDE__DATABASE " %s",
                          o->shown, empty ? "is empty" : "has no table devices");
    }
    int rc = tide__sql_run(db, "BEGIN IMMEDIATE", &plain.detail);
    if (rc == TIDE_OK) {
        rc = tide__builtin_change(&plain, &dropped);
        (void)tide__sql_run(db, "ROLLBACK", NULL);
    }
    return rc == TIDE_OK
               ? rc
               : tide__fail(&o->detail, rc, "%s: %.300s", o->shown_database, plain.detail.text);
}

/* Finds out what the database is, and refuses what is no library and cannot or shall not become
 * one. */
static int inspect(opening *o)
{
    sqlite3 *db = NULL;
    int rc = open_plainly(o, &db);
    if (rc == TIDE_OK) {
        rc = look(o, db);
    }
    if (rc == TIDE_OK && db == NULL && !creates(o)) {
        rc = tide__fail(&o->detail, TIDE_EFORMAT, "%s: not a library: it has no " TIDE__DATABASE,
                        o->shown);
    } else if (rc == TIDE_OK && db != NULL && !o->captured) {
        rc = try_on(o, db);
    } else if (rc == TIDE_OK && o->complete && (o->options.flags & TIDE_NEW_LIBRARY) != 0) {
        rc = tide__fail(&o->detail, TIDE_CONFLICT, "%s: is a library already", o->shown);
    }
    (void)sqlite3_close(db);
    return rc;
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
    rc = tide__builtin_bring_up_to_date(library->sync, &dropped);
    if (rc == TIDE_OK && dropped) {
        tide_event event = {
            .size = sizeof event, .kind = TIDE_EVENT_NOTICE, .text = MIGRATION_NOTICE};
        tide__emit(library->sync, &event);
    }
    if (rc == TIDE_OK) {
        rc = tide__builtin_register(library->sync);
    }
    if (rc == TIDE_OK) {
        rc = tide_watermarks_open_lmdb(library->store, library->sync->device, &library->marks);
    }
    if (rc == TIDE_OK) {
        rc = tide_sync_attach(library->sync, library->marks);
    }
    if (rc == TIDE_OK) { /* the last step: with it the library is complete */
        rc = ensure_own_row(library->sync, o->options.device_name);
    }
    return rc == TIDE_OK ? rc
                         : tide__fail(&o->detail, rc, "%s: %.300s", o->shown_database,
                                      library->sync->detail.text);
}

/* The store's own words, about a failed open too, and on to the caller's notice. */
static void keep_notice(void *ctx, int code, const char *text)
{
    tide_library *library = ctx;
    if (library->opening != NULL) {
        (void)tide__fail(library->opening, code, "%s", text);
    }
    if (library->notice != NULL) {
        library->notice(library->notice_ctx, code, text);
    }
}

static int open_store(opening *o, tide_library *library)
{
    struct stat st;
    tide_options_init(&o->store_options);
    if (o->options.store != NULL) {
        o->store_options = *o->options.store;
    }
    library->notice = o->store_options.notice;
    library->notice_ctx = o->store_options.notice_ctx;
    library->opening = &o->detail;
    o->store_options.notice = keep_notice;
    o->store_options.notice_ctx = library;
    o->made_store = is_missing(o->store);
    int rc = tide_open(o->store, &o->store_options, &library->store);
    if (rc == TIDE_OK && stat(o->store, &st) == 0) {
        o->store_device = st.st_dev;
        o->store_inode = st.st_ino;
    }
    return rc;
}

/* Locks the folder, looks again at what may have changed meanwhile, and makes a database if there
 * is none. */
static int begin_making(opening *o)
{
    struct stat st;
    int rc = lock_folder(o, FOLDER_LOCK_TRIES);
    if (rc == TIDE_OK &&
        (stat(o->store, &st) != 0 || st.st_dev != o->store_device || st.st_ino != o->store_inode)) {
        rc = tide__fail(&o->detail, TIDE_EBUSY, "%s: another program has just failed to make it",
                        o->shown);
    }
    if (rc == TIDE_OK) {
        rc = inspect(o);
    }
    return rc == TIDE_OK && is_missing(o->database) ? make_database(o) : rc;
}

/* After a failure, with everything closed. Nobody else works on a database that this call has made
 * and not completed, for want of the lock; a store beside a database with an identity belongs to
 * that; and whoever holds the lock now makes a library with the store that is there. */
static void take_back(opening *o)
{
    tide__detail reason = o->detail;
    char lock[PATH_MAX + 8];
    sqlite3 *db = NULL;
    if (o->made_database) {
        tide__files_remove_rows(o->database);
    }
    if (o->made_store && (o->lock >= 0 || lock_folder(o, 0) == TIDE_OK)) {
        if (open_plainly(o, &db) == TIDE_OK && look(o, db) == TIDE_OK && !o->captured) {
            (void)snprintf(lock, sizeof lock, "%s-lock", o->store);
            (void)unlink(o->store);
            (void)unlink(lock);
        }
        (void)sqlite3_close(db);
    }
    if (o->made_folder) {
        (void)rmdir(o->path);
    }
    o->detail = reason;
}

static bool options_ok(const tide_library_options *o)
{
    const uint32_t create = TIDE_CREATE_LIBRARY;
    const uint32_t create_new = TIDE_CREATE_LIBRARY | TIDE_NEW_LIBRARY;
    return o->size == sizeof *o &&
           (o->flags == 0 || o->flags == create || o->flags == create_new) &&
           (o->sync == NULL || o->sync->size == sizeof *o->sync) &&
           (o->store == NULL || o->store->size == sizeof *o->store);
}

static int open_parts(opening *o, tide_library *library)
{
    int rc = find_folder(o);
    if (rc == TIDE_OK) {
        rc = inspect(o);
    }
    if (rc == TIDE_OK) {
        rc = open_store(o, library);
    }
    if (rc == TIDE_OK && !o->complete) {
        rc = begin_making(o);
    }
    return rc == TIDE_OK ? open_engine(o, library) : rc;
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
    tide_library *library = tide__calloc(1, sizeof *library);
    if (o == NULL || library == NULL) {
        tide__free(o);
        tide__free(library);
        return TIDE_ENOMEM;
    }
    o->path = path;
    o->lock = -1;
    set_shown(o);
    tide_library_options_init(&o->options);
    o->options = options != NULL ? *options : o->options;
    tide_sync_options_init(&o->sync);
    o->sync = o->options.sync != NULL ? *o->options.sync : o->sync;
    int rc = open_parts(o, library);
    if (rc == TIDE_OK) {
        library->opening = NULL;
        *out = library;
    } else {
        tide_library_close(library);
        take_back(o);
    }
    if (o->lock >= 0) {
        close(o->lock);
    }
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
