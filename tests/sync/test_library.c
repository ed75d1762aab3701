/* Libraries: made whole or not at all, taken over only when they fit, made once, and refused in
 * words. */
#include <tidemark/library.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sync/support_sync.h"

/* ---- what stands between the library and the system --------------------------------------------- */

int __real_flock(int fd, int operation);
int __real_fsync(int fd);
int __real_nanosleep(const struct timespec *request, struct timespec *left);
int __wrap_flock(int fd, int operation);
int __wrap_fsync(int fd);
int __wrap_nanosleep(const struct timespec *request, struct timespec *left);

static unsigned locks_allowed =
    UINT_MAX; /* so many locks are given, then the folder stays locked */
static unsigned slept_ms;
static ino_t watched; /* the folder that shall be flushed */
static bool watched_flushed;

int __wrap_flock(int fd, int operation)
{
    if ((operation & LOCK_EX) == 0) {
        return __real_flock(fd, operation);
    }
    if (locks_allowed == 0) {
        ck_assert_msg((operation & LOCK_NB) != 0, "would wait for ever");
        errno = EWOULDBLOCK;
        return -1;
    }
    locks_allowed -= locks_allowed != UINT_MAX;
    return __real_flock(fd, operation);
}

int __wrap_fsync(int fd)
{
    struct stat st;

    if (watched != 0 && fstat(fd, &st) == 0 && st.st_ino == watched) {
        watched_flushed = true;
    }
    return __real_fsync(fd);
}

/* Nobody waits in tests. */
int __wrap_nanosleep(const struct timespec *request, struct timespec *left)
{
    (void)left;
    slept_ms += (unsigned)(request->tv_sec * 1000 + request->tv_nsec / 1000000);
    return 0;
}

/* ---- helpers ------------------------------------------------------------------------------------ */

static char detail[512];
static char notice[128];

static void keep_notice(void *ctx, const tide_event *event)
{
    (void)ctx;
    if (event->kind == TIDE_EVENT_NOTICE) {
        snprintf(notice, sizeof notice, "%s", event->text);
    }
}

static int open_library(const char *path, uint32_t flags, const char *name, tide_library **out)
{
    tide_library_options options;
    tide_sync_options sync;

    tide_library_options_init(&options);
    tide_sync_options_init(&sync);
    options.flags = flags;
    options.device_name = name;
    options.sync = &sync;
    sync.event = keep_notice;
    sync.detail = detail;
    sync.detail_bytes = sizeof detail;
    detail[0] = '\0';
    notice[0] = '\0';
    return tide_library_open(path, &options, out);
}

/* Opens and closes. */
static int try_library(const char *path, uint32_t flags, const char *name)
{
    tide_library *library = NULL;
    int rc = open_library(path, flags, name, &library);

    ck_assert_int_eq(library != NULL, rc == TIDE_OK);
    tide_library_close(library);
    return rc;
}

static const uint32_t new_library = TIDE_CREATE_LIBRARY | TIDE_NEW_LIBRARY;

/* Making one fails with the code and exactly these words. */
static void fails(const char *path, uint32_t flags, int code, const char *words)
{
    int rc = try_library(path, flags, "first name");

    ck_assert_msg(rc == code, "%s: %s (%s)", path, tide_code_name(rc), detail);
    ck_assert_str_eq(detail, words);
}

/* The names in a folder, sorted, with a blank behind each; "" also for no folder. To be freed. */
static char *names_in(const char *folder)
{
    char command[PATH_MAX + 64];
    char *names = calloc(1, 4096);
    size_t length;
    FILE *list;

    snprintf(command, sizeof command, "ls -A '%s' 2>/dev/null | LC_ALL=C sort | tr '\\n' ' '",
             folder);
    list = popen(command, "r"); // NOLINT(cert-env33-c): a test may ask the shell
    ck_assert_ptr_nonnull(list);
    length = fread(names, 1, 4095, list);
    names[length] = '\0';
    pclose(list);
    return names;
}

static void has(const char *folder, const char *expected)
{
    char *names = names_in(folder);

    ck_assert_str_eq(names, expected);
    free(names);
}

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static void named(const char *database, const char *name)
{
    sqlite3 *db = test_connect(database);

    test_text_is(db, name,
                 "SELECT name FROM devices WHERE uuid = (SELECT device FROM tidemark_state)");
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

/* A folder with the database of another program. */
static void foreign(const char *folder, const char *sql)
{
    char path[64];
    sqlite3 *db;

    ck_assert_int_eq(mkdir(folder, 0700), 0);
    snprintf(path, sizeof path, "%s/database.db", folder);
    db = test_connect(path);
    test_sql(db, "%s", sql);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

#define DEVICES "CREATE TABLE devices (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT"
#define OLD_DEVICES DEVICES ", last_state_watermark TEXT, last_shared_watermark TEXT);"

/* ---- making ------------------------------------------------------------------------------------- */

START_TEST(a_new_library_has_three_files)
{
    ck_assert_int_eq(try_library("lib", new_library, "first name"), TIDE_OK);
    has("lib", "database.db sync.mdb sync.mdb-lock ");
    named("lib/database.db", "first name");
    ck_assert_int_eq(try_library("lib", 0, "other"), TIDE_OK);
    ck_assert_int_eq(try_library("lib", TIDE_CREATE_LIBRARY, "other"), TIDE_OK);
    named("lib/database.db", "first name");
}
END_TEST

START_TEST(a_library_is_new_once)
{
    tide_library *library = NULL;

    ck_assert_int_eq(try_library("lib", TIDE_NEW_LIBRARY, NULL), TIDE_EINVAL);
    ck_assert_int_eq(open_library("lib", new_library, NULL, &library), TIDE_OK);
    fails("lib", new_library, TIDE_CONFLICT, "lib: is a library already");
    tide_library_close(library);
    fails("lib", new_library, TIDE_CONFLICT, "lib: is a library already");
    ck_assert_int_eq(unlink("lib/sync.mdb"), 0);
    fails("lib", new_library, TIDE_CONFLICT, "lib: is a library already");
}
END_TEST

/* What somebody's crash or full disk has left. */
START_TEST(one_that_was_made_by_half_is_completed)
{
    tide_sync *sync = NULL;

    ck_assert_int_eq(mkdir("lib", 0700), 0);
    test_write_file("lib/database.db", "", 0);
    ck_assert_int_eq(tide_sync_open("lib/database.db", NULL, &sync), TIDE_OK);
    tide_sync_close(sync);
    ck_assert_int_eq(try_library("lib", new_library, "second name"), TIDE_OK);
    named("lib/database.db", "second name");
    fails("lib", new_library, TIDE_CONFLICT, "lib: is a library already");
}
END_TEST

START_TEST(the_folder_above_is_flushed)
{
    struct stat st;

    ck_assert_int_eq(mkdir("above", 0700), 0);
    ck_assert_int_eq(stat("above", &st), 0);
    watched = st.st_ino;
    ck_assert_int_eq(try_library("above/lib", TIDE_CREATE_LIBRARY, NULL), TIDE_OK);
    ck_assert(watched_flushed);
}
END_TEST

START_TEST(what_a_stranger_calls_database_db_new_stays)
{
    static const char text[] = "mine";

    ck_assert_int_eq(mkdir("lib", 0700), 0);
    test_write_file("lib/database.db.new", text, sizeof text);
    ck_assert_int_eq(try_library("lib", new_library, NULL), TIDE_OK);
    ck_assert(test_file_is("lib/database.db.new",
                           (test_bytes){(unsigned char *)(uintptr_t)text, sizeof text}));
    has("lib", "database.db database.db.new sync.mdb sync.mdb-lock ");
}
END_TEST

START_TEST(a_folder_that_stays_locked_is_busy)
{
    ck_assert_int_eq(try_library("other", new_library, NULL), TIDE_OK);
    locks_allowed = 1; /* for the store */
    slept_ms = 0;
    fails("lib", new_library, TIDE_EBUSY, "lib: stays locked");
    ck_assert_uint_ge(slept_ms, 4000);
    ck_assert_uint_le(slept_ms, 6000);
    locks_allowed = 1;
    ck_assert_int_eq(try_library("other", 0, NULL),
                     TIDE_OK); /* one that is complete needs no lock */
}
END_TEST

/* ---- the built-in models ------------------------------------------------------------------------ */

static tide_library *opened(const char *path, uint32_t flags)
{
    tide_library *library = NULL;

    ck_assert_int_eq(open_library(path, flags, "name", &library), TIDE_OK);
    return library;
}

static sqlite3 *database_of(tide_library *library)
{
    return tide_sync_database(tide_library_sync(library));
}

static int append_resource(void *ctx, const char *resource)
{
    sqlite3_str_appendf(ctx, "%s ", resource);
    return 0;
}

START_TEST(shared_models_stand_beside_the_owned_ones)
{
    tide_library *library = opened("lib", new_library);
    tide_sync *sync = tide_library_sync(library);
    static const char *const shared[] = {"tag", "entry_tag", "entry_metadata"};
    static const char *const owned[] = {"device", "location", "entry", "volume"};
    sqlite3_str *order = sqlite3_str_new(NULL);
    char *text;

    ck_assert_int_eq(tide_sync_order(sync, append_resource, order), TIDE_OK);
    text = sqlite3_str_finish(order);
    ck_assert_str_eq(text, "device location entry volume tag entry_tag entry_metadata ");
    sqlite3_free(text);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(tide_model_is_device_owned(sync, shared[i]), 0);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(tide_model_is_device_owned(sync, owned[i]), 1);
    tide_library_close(library);
}
END_TEST

/* One that an older version made has neither their tables nor the triggers; its rows stay. */
START_TEST(an_older_library_gains_their_tables)
{
    tide_library *library = opened("lib", new_library);
    sqlite3 *db = database_of(library);

    test_sql(db, "INSERT INTO entries (uuid, name) VALUES ('e', 'E')");
    test_sql(db,
             "DROP TABLE tags; DROP TABLE entry_tags; DROP TABLE entry_metadata;"
             "DROP TABLE tidemark_tag_rows; DROP TABLE tidemark_tag_gone;"
             "DROP TABLE tidemark_entry_tag_rows; DROP TABLE tidemark_entry_tag_gone;"
             "DROP TABLE tidemark_entry_metadata_rows; DROP TABLE tidemark_entry_metadata_gone;"
             "DELETE FROM tidemark_resources WHERE resource IN ('tag', 'entry_tag', "
             "'entry_metadata'); DROP TABLE tidemark_swept; DROP INDEX tidemark_entry_parent_uuid;"
             "DROP TRIGGER tidemark_entry_cascade_0;"
             "DROP TRIGGER tidemark_entry_cascade_1;"
             "DROP TRIGGER tidemark_entry_tag_cascade_0;"
             "DROP TRIGGER tidemark_entry_metadata_cascade_0");
    tide_library_close(library);
    library = opened("lib", 0);
    db = database_of(library);
    test_sql(db, "INSERT INTO entry_metadata (uuid, entry_uuid, favorite, note) "
                 "VALUES ('e', 'e', 1, 'mine')");
    test_text_is(db, "e E", "SELECT uuid, name FROM entries");
    test_sql(db, "DELETE FROM entries");
    test_text_is(db, "0", "SELECT count(*) FROM entry_metadata");
    tide_library_close(library);
}
END_TEST

START_TEST(what_lies_on_a_location_goes_with_it)
{
    tide_library *library = opened("lib", new_library);
    sqlite3 *db = database_of(library);

    test_sql(db, "INSERT INTO locations (uuid, name) VALUES ('l', 'L'), ('m', 'M');"
                 "INSERT INTO entries (uuid, location_uuid, parent_uuid, kind) VALUES "
                 "('d', 'l', NULL, 'folder'), ('d/d', 'l', 'd', 'folder'), "
                 "('d/d/f', 'l', 'd/d', 'file'), ('g', 'l', NULL, 'file'), ('h', 'm', NULL, 'file');"
                 "INSERT INTO tags (uuid, name) VALUES ('red', 'red'), ('blue', 'blue');"
                 "INSERT INTO entry_metadata (uuid, entry_uuid) SELECT uuid, uuid FROM entries;"
                 "INSERT INTO entry_tags (uuid, entry_uuid, tag_uuid) SELECT e.uuid || '/' || "
                 "t.uuid, e.uuid, t.uuid FROM entries e, tags t");
    test_sql(db, "DELETE FROM entries WHERE uuid = 'd/d'");
    test_text_is(db, "d|g|h", "SELECT uuid FROM entries ORDER BY uuid");
    test_sql(db, "DELETE FROM tags WHERE uuid = 'blue'");
    test_text_is(db, "d/red|g/red|h/red", "SELECT uuid FROM entry_tags ORDER BY uuid");
    test_sql(db, "DELETE FROM locations WHERE uuid = 'l'");
    test_text_is(db, "h", "SELECT uuid FROM entries");
    test_text_is(db, "h", "SELECT uuid FROM entry_metadata");
    test_text_is(db, "h/red", "SELECT uuid FROM entry_tags");
    test_text_is(db, "d|d/d|d/d/f|g", "SELECT key FROM tidemark_entry_gone ORDER BY key");
    test_text_is(db, "d|d/d|d/d/f|g", "SELECT key FROM tidemark_entry_metadata_gone ORDER BY key");
    test_text_is(db, "9", "SELECT count(*) FROM tidemark_entry_tag_gone");
    tide_library_close(library);
}
END_TEST

/* ---- failing ------------------------------------------------------------------------------------ */

static const struct {
    const char *sql;
    const char *words;
} misfits[] = {
    {"CREATE TABLE devices (id INTEGER PRIMARY KEY, uuid TEXT UNIQUE, name TEXT)",
     "model device: devices.uuid must be a NOT NULL column other than the primary key"},
    {"CREATE TABLE devices (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, name TEXT)",
     "model device: devices.uuid must be UNIQUE on its own"},
    {"CREATE TABLE devices (uuid TEXT PRIMARY KEY NOT NULL, name TEXT)",
     "model device: devices needs an INTEGER PRIMARY KEY, or VACUUM renumbers its rows"},
    {OLD_DEVICES "CREATE TABLE volumes (uuid TEXT NOT NULL UNIQUE)",
     "model volume: volumes needs an INTEGER PRIMARY KEY, or VACUUM renumbers its rows"},
    {OLD_DEVICES "CREATE VIEW entries AS SELECT 1 AS id", "SQLite: Cannot add a column to a view"},
    {OLD_DEVICES "CREATE VIEW old AS SELECT last_state_watermark FROM devices",
     "SQLite: error in view old after drop column: no such column: last_state_watermark"},
};

START_TEST(a_database_that_does_not_fit_is_left_as_it_is)
{
    char words[512];
    test_bytes before;

    foreign("lib", misfits[_i].sql);
    before = test_read_file("lib/database.db");
    snprintf(words, sizeof words, "lib/database.db: %s", misfits[_i].words);
    fails("lib", new_library, _i < 4 ? TIDE_EMODEL : TIDE_ESQL, words);
    fails("lib", 0, _i < 4 ? TIDE_EMODEL : TIDE_ESQL, words);
    ck_assert(test_file_is("lib/database.db", before));
    has("lib", "database.db ");
    ck_assert_str_eq(notice, "");
    free(before.data);
}
END_TEST

START_TEST(a_text_is_no_database)
{
    static const char text[] = "this is no database at all, and long enough to be looked at";

    ck_assert_int_eq(mkdir("lib", 0700), 0);
    test_write_file("lib/database.db", text, sizeof text);
    fails("lib", new_library, TIDE_EFORMAT, "lib/database.db: file is not a database");
    fails("lib", 0, TIDE_EFORMAT, "lib/database.db: file is not a database");
    has("lib", "database.db ");
}
END_TEST

START_TEST(beside_a_bad_store_no_database_is_made)
{
    ck_assert_int_eq(mkdir("lib", 0700), 0);
    test_write_file("lib/sync.mdb", "no store", 8);
    ck_assert_int_eq(try_library("lib", new_library, NULL), TIDE_EFORMAT);
    ck_assert_ptr_nonnull(strstr(detail, "sync.mdb: too short for a store"));
    has("lib", "sync.mdb ");
}
END_TEST

/* What a crash, or an engine whose flush failed, has left in the log is for the engine to judge. */
START_TEST(looking_moves_nothing_out_of_the_log)
{
    tide_library *library = NULL;
    test_bytes database;
    test_bytes log;

    ck_assert_int_eq(open_library("lib", new_library, NULL, &library), TIDE_OK);
    test_sql(tide_sync_database(tide_library_sync(library)),
             "INSERT INTO devices (uuid, name) VALUES ('d', 'in the log')");
    database = test_read_file("lib/database.db");
    log = test_read_file("lib/database.db-wal");
    ck_assert_uint_gt(log.length, 0);
    ck_assert_int_eq(mkdir("crashed", 0700), 0);
    test_write_file("crashed/database.db", database.data, database.length);
    test_write_file("crashed/database.db-wal", log.data, log.length);
    fails("crashed", new_library, TIDE_CONFLICT, "crashed: is a library already");
    ck_assert(test_file_is("crashed/database.db", database));
    ck_assert(test_file_is("crashed/database.db-wal", log));
    tide_library_close(library);
    free(database.data);
    free(log.data);
}
END_TEST

/* Runs `work` with no file growing beyond `bytes`. */
static int within(rlim_t bytes, const char *path, const char *name)
{
    struct rlimit limit;
    tide_library *library = NULL;
    rlim_t before;
    int rc;

    (void)signal(SIGXFSZ, SIG_IGN);
    (void)getrlimit(RLIMIT_FSIZE, &limit);
    before = limit.rlim_cur;
    limit.rlim_cur = bytes;
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    rc = open_library(path, new_library, name, &library);
    limit.rlim_cur = before;
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    tide_library_close(library);
    return rc;
}

#define LARGEST 480000
#define STEP 4096

START_TEST(without_room_nothing_is_left_and_another_try_succeeds)
{
    unsigned failed = 0;

    for (rlim_t bytes = 0; bytes < LARGEST; bytes += STEP) {
        if (within(bytes, "lib", "first name") != TIDE_OK) {
            failed++;
            test_require(!is_there("lib"));
            test_require(try_library("lib", new_library, "second name") == TIDE_OK);
            named("lib/database.db", "second name");
        } else {
            named("lib/database.db", "first name");
        }
        for (size_t i = 0; i < 3; i++) {
            static const char *const files[] = {"lib/database.db", "lib/sync.mdb",
                                                "lib/sync.mdb-lock"};
            test_require(unlink(files[i]) == 0);
        }
        test_require(rmdir("lib") == 0);
    }
    ck_assert_uint_gt(failed, 20); /* in the database, its log and the store */
    ck_assert_uint_lt(failed, LARGEST / STEP);
}
END_TEST

/* The other program's rows are as they were, and what it does not know is not there, or it is
 * completed. */
START_TEST(without_room_a_takeover_can_be_tried_again)
{
    unsigned untouched = 0;

    foreign("like", OLD_DEVICES "INSERT INTO devices VALUES (1, 'd', 'n', 's', 't')");
    test_bytes before = test_read_file("like/database.db");
    for (rlim_t bytes = 0; bytes < LARGEST; bytes += STEP) {
        test_require(mkdir("lib", 0700) == 0);
        test_write_file("lib/database.db", before.data, before.length);
        int rc = within(bytes, "lib", "first name");
        if (rc != TIDE_OK && test_file_is("lib/database.db", before)) {
            untouched++;
            has("lib", "database.db ");
        }
        if (rc != TIDE_OK) {
            test_require(try_library("lib", new_library, "first name") == TIDE_OK);
        }
        named("lib/database.db", "first name");
        test_require(system("rm -r lib") == 0); // NOLINT(cert-env33-c)
    }
    ck_assert_uint_gt(untouched, 8);
    free(before.data);
}
END_TEST

/* The index that capture needs cannot be made, after the columns have been dropped. */
START_TEST(what_was_dropped_is_told_also_when_a_later_step_fails)
{
    foreign("lib", OLD_DEVICES "CREATE TABLE tidemark_entry_gone (something)");
    ck_assert_int_eq(try_library("lib", new_library, NULL), TIDE_ESQL);
    ck_assert_str_eq(notice, "Sync protocol updated, performing initial sync...");
}
END_TEST

/* ---- what is no library ------------------------------------------------------------------------- */

START_TEST(what_is_there_and_no_library_is_of_another_kind)
{
    test_write_file("file", "x", 1);
    ck_assert_int_eq(mkdir("folder", 0700), 0);
    ck_assert_int_eq(mkdir("empty", 0700), 0);
    test_write_file("empty/database.db", "", 0);
    ck_assert_int_eq(mkdir("odd", 0700), 0);
    ck_assert_int_eq(mkdir("odd/database.db", 0700), 0);
    foreign("else", "CREATE TABLE notes (id INTEGER PRIMARY KEY)");

    fails("file", 0, TIDE_EFORMAT, "file: not a library: it is no folder");
    fails("file", new_library, TIDE_EFORMAT, "file: not a library: it is no folder");
    fails("folder", 0, TIDE_EFORMAT, "folder: not a library: it has no database.db");
    fails("empty", 0, TIDE_EFORMAT, "empty: not a library: its database.db is empty");
    fails("else", 0, TIDE_EFORMAT, "else: not a library: its database.db has no table devices");
    fails("odd", 0, TIDE_EFORMAT, "odd/database.db: not a regular file");
    fails("odd", new_library, TIDE_EFORMAT, "odd/database.db: not a regular file");
    fails("nothing", 0, TIDE_ENOENT, "nothing: No such file or directory");
    fails("file/lib", 0, TIDE_ENOENT, "file/lib: Not a directory");
    fails("no/lib", new_library, TIDE_ENOENT, "no/lib: No such file or directory");
    has("empty", "database.db ");
    has("else", "database.db ");
    has("folder", "");
    ck_assert_int_eq(try_library("empty", new_library, NULL), TIDE_OK);
    ck_assert_int_eq(try_library("else", new_library, NULL), TIDE_OK);
}
END_TEST

START_TEST(capture_without_its_state_is_damage)
{
    static const char *const losses[] = {"DROP TABLE tidemark_state", "DELETE FROM tidemark_state"};
    sqlite3 *db;

    ck_assert_int_eq(try_library("lib", new_library, NULL), TIDE_OK);
    db = test_connect("lib/database.db");
    test_sql(db, "%s", losses[_i]);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    for (uint32_t flags = 0; flags <= new_library; flags += TIDE_CREATE_LIBRARY) {
        if (flags != TIDE_NEW_LIBRARY) {
            fails("lib", flags, TIDE_ECORRUPT,
                  "lib/database.db: its changes were captured, but tidemark_state has no row");
        }
    }
}
END_TEST

/* ---- names -------------------------------------------------------------------------------------- */

START_TEST(a_path_that_looks_like_a_uri_is_a_path)
{
    static const char *const paths[] = {"file:lib", "file:lib%41?mode=memory", "file:"};

    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(try_library(paths[i], new_library, NULL), TIDE_OK);
        ck_assert_int_eq(try_library(paths[i], 0, NULL), TIDE_OK);
        has(paths[i], "database.db sync.mdb sync.mdb-lock ");
    }
    has(".", "file: file:lib file:lib%41?mode=memory ");
}
END_TEST

/* Appends a folder of `length` bytes to the path and makes it unless told otherwise. */
static void deeper(char *path, size_t length, bool make)
{
    size_t end = strlen(path);

    path[end++] = '/';
    memset(path + end, 'x', length);
    path[end + length] = '\0';
    if (make) {
        ck_assert_int_eq(mkdir(path, 0700), 0);
    }
}

/* SQLite takes 512 bytes, eight of which are the tail of its journal. */
START_TEST(a_path_that_is_too_long_is_refused_with_its_limit)
{
    char path[PATH_MAX];
    const size_t limit = 512 - 8 - strlen("/database.db.new-") - 36;

    ck_assert_ptr_nonnull(getcwd(path, sizeof path));
    ck_assert_uint_lt(strlen(path), limit - 210);
    while (strlen(path) < limit - 210) {
        size_t rest = limit - 10 - strlen(path);
        deeper(path, rest > 210 ? 200 : rest, true);
    }
    deeper(path, limit - strlen(path) - 1, false);
    ck_assert_uint_eq(strlen(path), limit);
    ck_assert_int_eq(try_library(path, new_library, NULL), TIDE_OK);

    path[limit] = 'x';
    path[limit + 1] = '\0';
    ck_assert_int_eq(try_library(path, new_library, NULL), TIDE_EINVAL);
    ck_assert_ptr_nonnull(strstr(detail, "...xxx"));
    ck_assert_ptr_nonnull(
        strstr(detail, "xxx: name too long: 452 bytes from the root, SQLite takes 451"));
    ck_assert(!is_there(path));
    ck_assert_int_eq(try_library(path, 0, NULL), TIDE_ENOENT);
    ck_assert_ptr_nonnull(strstr(detail, "xxx: No such file or directory"));

    /* Its name may be short. */
    path[limit - 1] = '\0';
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(chdir(path), 0);
    ck_assert_int_eq(try_library("y", new_library, NULL), TIDE_EINVAL);
    ck_assert_str_eq(detail, "y: name too long: 452 bytes from the root, SQLite takes 451");
    has(".", "");
}
END_TEST

/* One that was made elsewhere may lie a little deeper. */
START_TEST(an_open_needs_less_room_in_the_path)
{
    char path[PATH_MAX];
    const size_t limit = 512 - 8 - strlen("/database.db");

    ck_assert_int_eq(try_library("lib", new_library, NULL), TIDE_OK);
    ck_assert_ptr_nonnull(getcwd(path, sizeof path));
    while (strlen(path) < limit - 210) {
        size_t rest = limit - 10 - strlen(path);
        deeper(path, rest > 210 ? 200 : rest, true);
    }
    deeper(path, limit - strlen(path) - 1, false);
    ck_assert_int_eq(rename("lib", path), 0);
    ck_assert_int_eq(try_library(path, 0, NULL), TIDE_OK);
    char longer[PATH_MAX + 1];
    snprintf(longer, sizeof longer, "%sx", path);
    ck_assert_int_eq(rename(path, longer), 0);
    ck_assert_int_eq(try_library(longer, 0, NULL), TIDE_EINVAL);
    ck_assert_ptr_nonnull(
        strstr(detail, "xxx: name too long: 493 bytes from the root, SQLite takes 492"));
}
END_TEST

/* ---- the suite ---------------------------------------------------------------------------------- */

int main(void)
{
    Suite *suite = suite_create("library");
    TCase *test = test_case(suite, "making");

    tcase_add_test(test, a_new_library_has_three_files);
    tcase_add_test(test, a_library_is_new_once);
    tcase_add_test(test, one_that_was_made_by_half_is_completed);
    tcase_add_test(test, the_folder_above_is_flushed);
    tcase_add_test(test, what_a_stranger_calls_database_db_new_stays);
    tcase_add_test(test, a_folder_that_stays_locked_is_busy);

    test = test_case(suite, "models");
    tcase_add_test(test, shared_models_stand_beside_the_owned_ones);
    tcase_add_test(test, an_older_library_gains_their_tables);
    tcase_add_test(test, what_lies_on_a_location_goes_with_it);

    test = test_case(suite, "failing");
    tcase_add_loop_test(test, a_database_that_does_not_fit_is_left_as_it_is, 0,
                        sizeof misfits / sizeof *misfits);
    tcase_add_test(test, a_text_is_no_database);
    tcase_add_test(test, beside_a_bad_store_no_database_is_made);
    tcase_add_test(test, looking_moves_nothing_out_of_the_log);
    tcase_add_test(test, without_room_nothing_is_left_and_another_try_succeeds);
    tcase_add_test(test, without_room_a_takeover_can_be_tried_again);
    tcase_add_test(test, what_was_dropped_is_told_also_when_a_later_step_fails);

    test = test_case(suite, "what is no library");
    tcase_add_test(test, what_is_there_and_no_library_is_of_another_kind);
    tcase_add_loop_test(test, capture_without_its_state_is_damage, 0, 2);

    test = test_case(suite, "names");
    tcase_add_test(test, a_path_that_looks_like_a_uri_is_a_path);
    tcase_add_test(test, a_path_that_is_too_long_is_refused_with_its_limit);
    tcase_add_test(test, an_open_needs_less_room_in_the_path);
    return test_run(suite);
}
