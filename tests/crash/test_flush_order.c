/* What is on disk when the power goes: after every flush of a sync, no mark is ahead of its rows.
 *
 * The harshest disk is one that keeps nothing but what was flushed. This test has such a disk in
 * memory: functions of our own in the place of libc's copy a file to it when the file is flushed,
 * and LMDB's metadata when it is written, because it is written through. Each state of that disk is
 * then put into a folder of its own and opened: every row that a mark counts must be there, and the
 * sync, gone on with, must end complete.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tidemark/tidemark.h>

#include "support.h"

#define FILES 3
#define STATES_MAX 400

static const char *const names[FILES] = {"database.db", "database.db-wal", "sync.mdb"};

typedef struct state {
    test_bytes files[FILES];
} state;

static bool watching;
static state disk; /* what would be left */
static state states[STATES_MAX];
static size_t state_count;

/* ---- the disk ----------------------------------------------------------------------------------- */

/* Which file of B this is; -1: none. */
static int file_of(int fd)
{
    char link[64], name[512];
    ssize_t length;

    if (!watching)
        return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, name, sizeof name - 1);
    name[length < 0 ? 0 : length] = '\0';
    for (int i = 0; i < FILES; i++) {
        size_t tail = strlen(names[i]) + 3;

        if (length > (ssize_t)tail && strncmp(name + length - tail, "/B/", 3) == 0 &&
            strcmp(name + length - tail + 3, names[i]) == 0)
            return i;
    }
    return -1;
}

static test_bytes copy_of(test_bytes bytes)
{
    test_bytes copy = {malloc(bytes.length + 1), bytes.length};

    ck_assert_ptr_nonnull(copy.data);
    if (bytes.length > 0)
        memcpy(copy.data, bytes.data, bytes.length);
    return copy;
}

static void keep_state(void)
{
    ck_assert_uint_lt(state_count, STATES_MAX);
    for (int i = 0; i < FILES; i++)
        states[state_count].files[i] = copy_of(disk.files[i]);
    state_count++;
}

static void keep_file(int fd, int file)
{
    struct stat st;

    ck_assert_int_eq(fstat(fd, &st), 0);
    free(disk.files[file].data);
    disk.files[file] = (test_bytes){malloc((size_t)st.st_size + 1), (size_t)st.st_size};
    ck_assert_int_eq(pread(fd, disk.files[file].data, (size_t)st.st_size, 0), st.st_size);
    keep_state();
}

static int flush(int fd, long call)
{
    int file = file_of(fd);
    int rc = (int)syscall(call, fd);

    if (rc == 0 && file >= 0)
        keep_file(fd, file);
    return rc;
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    return flush(fd, SYS_fdatasync);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
    return flush(fd, SYS_fsync);
}

/* Written through, where the descriptor says so: LMDB's metadata. */
__attribute__((visibility("default"))) ssize_t pwrite(int fd, const void *bytes, size_t size,
                                                      off_t at)
{
    ssize_t put = syscall(SYS_pwrite64, fd, bytes, size, at);
    int file = put > 0 && (fcntl(fd, F_GETFL) & O_DSYNC) != 0 ? file_of(fd) : -1;

    if (file >= 0) {
        ck_assert_uint_ge(disk.files[file].length, (size_t)at + (size_t)put);
        memcpy(disk.files[file].data + at, bytes, (size_t)put);
        keep_state();
    }
    return put;
}

/* ---- libraries ---------------------------------------------------------------------------------- */

static uuid_t library_id;

static tide_library *open_library(const char *path, uint32_t flags)
{
    char detail[256] = "";
    tide_library *library = NULL;
    tide_library_options options;
    tide_sync_options sync;

    tide_library_options_init(&options);
    tide_sync_options_init(&sync);
    options.flags = flags;
    options.sync = &sync;
    sync.library = library_id;
    sync.detail = detail;
    sync.detail_bytes = sizeof detail;
    ck_assert_msg(tide_library_open(path, &options, &library) == TIDE_OK, "%s: %s", path, detail);
    return library;
}

static void run_sql(tide_library *library, const char *sql)
{
    char *why = NULL;
    int rc = sqlite3_exec(tide_sync_database(tide_library_sync(library)), sql, NULL, NULL, &why);

    ck_assert_msg(rc == SQLITE_OK, "%s", why);
}

static int64_t ask(tide_library *library, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = tide_sync_database(tide_library_sync(library));
    int64_t value;

    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s",
                  sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static int follow(tide_library *a, tide_library *b, uint32_t page_rows)
{
    tide_session *server = NULL, *client = NULL;
    tide_session_options options;
    tide_pipe *link = NULL;
    int rc;

    tide_session_options_init(&options);
    options.page_rows = page_rows;
    ck_assert_int_eq(tide_session_open(tide_library_sync(a), NULL, &server), TIDE_OK);
    ck_assert_int_eq(tide_session_open(tide_library_sync(b), &options, &client), TIDE_OK);
    ck_assert_int_eq(tide_pipe_open(server, NULL, &link), TIDE_OK);
    rc = tide_sync_exchange_watermarks_and_catchup(client, tide_pipe_transport(link));
    tide_pipe_close(link);
    tide_session_close(client);
    tide_session_close(server);
    return rc;
}

/* ---- what must be true of a state ---------------------------------------------------------------- */

#define COLUMNS "uuid, location_uuid, name, size"

/* Every row of A at or below the mark is in C as it is in A, or A has changed it since. */
static void check_honest(tide_library *c, const unsigned char *peer, size_t number)
{
    static const char *const resources[] = {"entry", "location"};
    static const char *const tables[] = {"entries", "locations"};

    for (int i = 0; i < 2; i++) {
        tide_time mark = TIDE_TIME_NONE;
        char sql[512];
        int rc = tide_watermarks_get(tide_library_watermarks(c), peer, resources[i], &mark);

        ck_assert(rc == TIDE_OK || rc == TIDE_ABSENT);
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM a.tidemark_%s_rows r WHERE r.stamp <= %lld AND r.source = 0 "
                 "AND r.key NOT IN (SELECT uuid FROM main.%s)",
                 resources[i], (long long)mark, tables[i]);
        ck_assert_msg(ask(c, sql) == 0, "state %zu: the mark of %s is ahead of its rows", number,
                      resources[i]);
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM a.tidemark_%s_gone g WHERE g.stamp <= %lld AND g.source = 0 "
                 "AND g.key IN (SELECT uuid FROM main.%s)",
                 resources[i], (long long)mark, tables[i]);
        ck_assert_msg(ask(c, sql) == 0, "state %zu: a row of %s is still there", number,
                      resources[i]);
    }
}

static void check_state(tide_library *a, const state *s, size_t number)
{
    char path[64];
    uuid_t peer;
    tide_library *c;

    ck_assert(mkdir("C", 0700) == 0 || errno == EEXIST);
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "C/%s", names[i]);
        (void)unlink(path);
        if (s->files[i].length > 0)
            test_write_file(path, s->files[i].data, s->files[i].length);
    }
    (void)unlink("C/sync.mdb-lock");
    (void)unlink("C/database.db-shm");
    c = open_library("C", 0);
    tide_sync_device(tide_library_sync(a), peer);
    run_sql(c, "ATTACH 'A/database.db' AS a");
    check_honest(c, peer, number);
    run_sql(c, "DETACH a");
    ck_assert_int_eq(follow(a, c, 50), TIDE_OK);
    run_sql(c, "ATTACH 'A/database.db' AS a");
    ck_assert_int_eq(ask(c, "SELECT count(*) FROM (SELECT " COLUMNS " FROM a.entries EXCEPT "
                            "SELECT " COLUMNS " FROM main.entries)"),
                     0);
    ck_assert_int_eq(ask(c, "SELECT count(*) FROM (SELECT " COLUMNS " FROM main.entries EXCEPT "
                            "SELECT " COLUMNS " FROM a.entries)"),
                     0);
    tide_library_close(c);
}

/* ---- a life ------------------------------------------------------------------------------------- */

static void add_entries(tide_library *a, int count, int round)
{
    char sql[512];

    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
             "INSERT INTO entries (uuid, name, size) SELECT 'r%d-' || i, 'n', i FROM n",
             count, round);
    run_sql(a, sql);
}

static void watch(void)
{
    for (int i = 0; i < FILES; i++) {
        char path[64];

        snprintf(path, sizeof path, "B/%s", names[i]);
        disk.files[i] = access(path, F_OK) == 0 ? test_read_file(path) : (test_bytes){NULL, 0};
    }
    watching = true;
}

START_TEST(no_mark_is_ahead_of_its_rows_at_any_flush)
{
    tide_library *a, *b;
    tide_time time = 1;
    uuid_t device, peer;

    test_uuid(library_id, 9);
    test_uuid(device, 1);
    test_uuid(peer, 2);
    a = open_library("A", TIDE_CREATE_LIBRARY);
    b = open_library("B", TIDE_CREATE_LIBRARY);
    watch();
    for (int round = 0; round < 6; round++) {
        add_entries(a, round == 0 ? 3000 : 40, round);
        run_sql(a, "UPDATE entries SET size = size + 1 WHERE id % 7 = 0");
        run_sql(a, "DELETE FROM entries WHERE id % 11 = 0");
        run_sql(a, "INSERT INTO locations (uuid, name) VALUES (hex(randomblob(8)), 'l')");
        ck_assert_int_eq(follow(a, b, 25), TIDE_OK);
        /* somebody else's durable change, and rows of B's own */
        ck_assert_int_eq(tide_advance(tide_library_store(b), device, peer, "other", time++),
                         TIDE_OK);
        if (round == 3) { /* close checkpoints */
            tide_library_close(b);
            b = open_library("B", 0);
        }
    }
    tide_library_close(b);
    watching = false;
    ck_assert_uint_gt(state_count, 30);
    for (size_t i = 0; i < state_count; i++)
        check_state(a, &states[i], i);
    tide_library_close(a);
    fprintf(stderr, "%zu states\n", state_count);
    for (size_t i = 0; i < state_count; i++)
        for (int n = 0; n < FILES; n++)
            free(states[i].files[n].data);
    for (int n = 0; n < FILES; n++)
        free(disk.files[n].data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flush order");
    TCase *test = test_case(suite, "flush order");

    tcase_set_timeout(test, 240);
    tcase_add_test(test, no_mark_is_ahead_of_its_rows_at_any_flush);
    return test_run(suite);
}
