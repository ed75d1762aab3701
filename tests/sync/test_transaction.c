/* When rows are on disk: before marks that count them, before a page leaves, and what follows a
 * flush that fails. Flushes are watched by putting functions of our own in the place of libc's. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tidemark/tidemark.h>

#include "support.h"

/* ---- flushes, watched --------------------------------------------------------------------------- */

static char trace[4096];  /* a letter a flush: w the log of B, m the marks of B, W the log of A */
static int failing_log;   /* so many flushes of the log fail, */
static int failing_marks; /* and so many of B's marks */
static const char *whose; /* "/A/" or "/B/" */

static bool is_log(const char *name)
{
    size_t length = strlen(name);

    return length > 4 && strcmp(name + length - 4, "-wal") == 0;
}

static int flush(int fd, long call)
{
    char link[64], name[512];
    size_t at = strlen(trace);
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, name, sizeof name - 1);
    name[length < 0 ? 0 : length] = '\0';
    if (at + 1 < sizeof trace) {
        const char *letter = strstr(name, "/B/sync.mdb") != NULL ? "m"
                             : !is_log(name)                     ? ""
                             : strstr(name, "/B/") != NULL       ? "w"
                                                                 : "W";
        snprintf(trace + at, sizeof trace - at, "%s", letter);
    }
    if (failing_log > 0 && is_log(name) && strstr(name, whose) != NULL) {
        failing_log--;
        errno = EIO;
        return -1;
    }
    if (failing_marks > 0 && strstr(name, "/B/sync.mdb") != NULL) {
        failing_marks--;
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, fd);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    return flush(fd, SYS_fdatasync);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
    return flush(fd, SYS_fsync);
}

static void forget(void)
{
    trace[0] = '\0';
}

/* ---- two libraries ------------------------------------------------------------------------------ */

static tide_library *a, *b;
static tide_session *from_a, *from_b;
static tide_pipe *pipe_ab;

static tide_library *open_library(const char *path, const unsigned char *id)
{
    char detail[256] = "";
    tide_library *library = NULL;
    tide_library_options options;
    tide_sync_options sync;

    tide_library_options_init(&options);
    tide_sync_options_init(&sync);
    options.flags = TIDE_CREATE_LIBRARY;
    options.sync = &sync;
    sync.library = id;
    sync.detail = detail;
    sync.detail_bytes = sizeof detail;
    ck_assert_msg(tide_library_open(path, &options, &library) == TIDE_OK, "%s", detail);
    return library;
}

static void run_sql(tide_library *library, const char *sql)
{
    char *why = NULL;
    int rc = sqlite3_exec(tide_sync_database(tide_library_sync(library)), sql, NULL, NULL, &why);

    ck_assert_msg(rc == SQLITE_OK, "%s", why);
}

static int64_t rows_of(tide_library *library)
{
    sqlite3_stmt *statement = NULL;
    int64_t count;

    ck_assert_int_eq(sqlite3_prepare_v2(tide_sync_database(tide_library_sync(library)),
                                        "SELECT count(*) FROM entries", -1, &statement, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

static void add_entries(tide_library *library, int count)
{
    char sql[256];

    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
             "INSERT INTO entries (uuid, name) SELECT lower(hex(randomblob(16))), 'n' || i FROM n",
             count);
    run_sql(library, sql);
}

static void set_up(void)
{
    uuid_t id;

    failing_log = 0;
    test_uuid(id, 9);
    a = open_library("A", id);
    b = open_library("B", id);
    forget();
}

static void open_sessions(uint32_t page_rows)
{
    tide_session_options options;

    tide_session_options_init(&options);
    options.page_rows = page_rows;
    ck_assert_int_eq(tide_session_open(tide_library_sync(a), NULL, &from_a), TIDE_OK);
    tide_session_pause(from_a); /* it serves */
    ck_assert_int_eq(tide_session_open(tide_library_sync(b), &options, &from_b), TIDE_OK);
    ck_assert_int_eq(tide_pipe_open(from_a, NULL, &pipe_ab), TIDE_OK);
}

static void close_sessions(void)
{
    tide_pipe_close(pipe_ab);
    tide_session_close(from_b);
    tide_session_close(from_a);
    pipe_ab = NULL;
    from_a = from_b = NULL;
}

static int follow(uint32_t page_rows)
{
    int rc;

    open_sessions(page_rows);
    rc = tide_sync_backfill_all_state(from_b, tide_pipe_transport(pipe_ab));
    close_sessions();
    return rc;
}

static void tear_down(void)
{
    tide_library_close(b);
    tide_library_close(a);
    a = b = NULL;
}

static uint64_t waiting(void)
{
    tide_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_stat(tide_library_store(b), &info), TIDE_OK);
    return info.pending;
}

/* ---- order -------------------------------------------------------------------------------------- */

/* However many pages, rows are flushed once, and marks after them. */
START_TEST(rows_are_flushed_before_their_marks)
{
    add_entries(a, 400);
    forget();
    ck_assert_int_eq(follow(20), TIDE_OK);
    ck_assert_int_eq(rows_of(b), 400);
    ck_assert_uint_eq(waiting(), 0);
    for (const char *p = trace; *p != '\0'; p++) {
        if (*p == 'm')
            ck_assert_msg(memchr(trace, 'w', (size_t)(p - trace)) != NULL, "%s", trace);
    }
    ck_assert_ptr_nonnull(strchr(trace, 'm'));
    ck_assert_msg(strchr(strchr(trace, 'w') + 1, 'w') == NULL, "%s", trace); /* one for all pages */
}
END_TEST

/* Somebody else's durable change publishes what the engine has deferred: not without its rows. */
START_TEST(another_call_on_the_marks_flushes_the_rows_first)
{
    const void *bytes = NULL;
    size_t size = 0;
    uuid_t device, peer;
    const char *mark;

    add_entries(a, 100);
    open_sessions(20);
    for (int turn = 0; turn < 4; turn++) { /* some pages, not the last */
        while (tide_session_next(from_b, &bytes, &size) == TIDE_OK)
            ck_assert_int_eq(tide_session_receive(from_a, bytes, size), TIDE_OK);
        while (tide_session_next(from_a, &bytes, &size) == TIDE_OK)
            ck_assert_int_eq(tide_session_receive(from_b, bytes, size), TIDE_OK);
    }
    ck_assert_int_gt(rows_of(b), 0);
    ck_assert_int_lt(rows_of(b), 100);
    ck_assert_uint_gt(waiting(), 0);
    forget();
    test_uuid(device, 1);
    test_uuid(peer, 2);
    ck_assert_int_eq(tide_advance(tide_library_store(b), device, peer, "other", 1), TIDE_OK);
    ck_assert_uint_eq(waiting(), 0);
    mark = strchr(trace, 'm');
    ck_assert_ptr_nonnull(mark);
    ck_assert_msg(strchr(trace, 'w') != NULL && strchr(trace, 'w') < mark, "%s", trace);
    close_sessions();
}
END_TEST

START_TEST(a_page_leaves_when_its_rows_are_on_disk)
{
    sqlite3 *shell = NULL;

    ck_assert_int_eq(follow(100), TIDE_OK);
    ck_assert_int_eq(sqlite3_open("A/database.db", &shell), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(shell,
                                  "PRAGMA synchronous = NORMAL;"
                                  "INSERT INTO entries (uuid, name) VALUES ('x', 'y')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    forget();
    ck_assert_int_eq(follow(100), TIDE_OK);
    ck_assert_int_eq(rows_of(b), 1);
    ck_assert_msg(trace[0] == 'W', "%s", trace);
    sqlite3_close(shell);
}
END_TEST

/* ---- a flush that fails ------------------------------------------------------------------------- */

START_TEST(what_could_not_be_flushed_does_not_leave)
{
    sqlite3 *shell = NULL;
    uuid_t id;

    ck_assert_int_eq(sqlite3_open("A/database.db", &shell), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(shell,
                                  "PRAGMA synchronous = NORMAL;"
                                  "INSERT INTO entries (uuid, name) VALUES ('x', 'y')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    failing_log = 1;
    whose = "/A/";
    ck_assert_int_eq(follow(100), TIDE_ECLOSED);
    ck_assert_int_eq(failing_log, 0);
    ck_assert_int_eq(rows_of(b), 0);
    /* A second flush would say yes: the system takes the pages for written. */
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(follow(100), TIDE_ECLOSED);
        ck_assert_int_eq(rows_of(b), 0);
    }
    sqlite3_close(shell);
    tide_library_close(a);
    test_uuid(id, 9);
    forget();
    a = open_library("A", id);
    ck_assert_msg(strchr(trace, 'W') != NULL, "the log was not written anew");
    ck_assert_int_eq(follow(100), TIDE_OK);
    ck_assert_int_eq(rows_of(b), 1);
}
END_TEST

START_TEST(marks_do_not_go_ahead_of_rows_that_could_not_be_flushed)
{
    tide_time mark = 0;
    uuid_t device, peer, id;

    test_uuid(id, 9);
    tide_sync_device(tide_library_sync(b), device);
    tide_sync_device(tide_library_sync(a), peer);
    add_entries(a, 100);
    failing_log = 1;
    whose = "/B/";
    ck_assert_int_eq(follow(20), TIDE_EUNKNOWN);
    ck_assert_int_eq(failing_log, 0);
    ck_assert_int_eq(follow(20), TIDE_EUNKNOWN);
    tide_library_close(b);

    b = open_library("B", id);
    ck_assert_int_eq(tide_watermarks_get(tide_library_watermarks(b), peer, "entry", &mark),
                     TIDE_ABSENT);
    ck_assert_int_eq(follow(20), TIDE_OK);
    ck_assert_int_eq(rows_of(b), 100);
    ck_assert_int_eq(tide_watermarks_get(tide_library_watermarks(b), peer, "entry", &mark), TIDE_OK);
}
END_TEST

static void keep_text(void *ctx, int code, const char *text)
{
    ck_assert_int_lt(code, 0);
    snprintf(ctx, 256, "%s", text);
}

/* By the notice that was given for the store, long after opening. */
START_TEST(marks_that_cannot_be_written_at_the_end_are_told)
{
    char text[256] = "";
    tide_library_options options;
    tide_options store;

    tide_library_close(b);
    tide_library_options_init(&options);
    tide_options_init(&store);
    options.store = &store;
    store.notice = keep_text;
    store.notice_ctx = text;
    ck_assert_int_eq(tide_library_open("B", &options, &b), TIDE_OK);
    memset(&options, 0xff, sizeof options);
    memset(&store, 0xff, sizeof store);
    add_entries(a, 100);
    failing_marks = 1;
    ck_assert_int_eq(follow(20), TIDE_EUNKNOWN);
    ck_assert_int_eq(failing_marks, 0);
    ck_assert_str_eq(text, "");
    tide_library_close(b);
    b = NULL;
    ck_assert_msg(strstr(text, "B/sync.mdb") != NULL, "%s", text);
}
END_TEST

/* ---- after a crash ------------------------------------------------------------------------------ */

static void child_writes_and_dies(void *ctx)
{
    sqlite3 *shell = NULL;

    (void)ctx;
    child_assert(sqlite3_open("C/database.db", &shell) == SQLITE_OK);
    child_assert(sqlite3_exec(shell, "INSERT INTO entries (uuid, name) VALUES ('x', 'y')", NULL,
                              NULL, NULL) == SQLITE_OK);
    _exit(0);
}

START_TEST(the_first_opener_writes_the_log_anew)
{
    tide_library *c = open_library("C", NULL);
    const char *wal = "C/database.db-wal";

    tide_library_close(c);
    test_child_ok(child_writes_and_dies, NULL);
    ck_assert_uint_gt(test_file_size(wal), 0);
    forget();
    c = open_library("C", NULL);
    ck_assert_ptr_nonnull(strchr(trace, 'W'));
    ck_assert_int_eq(rows_of(c), 1);
    tide_library_close(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/transaction");
    TCase *test = test_case(suite, "transaction");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, rows_are_flushed_before_their_marks);
    tcase_add_test(test, another_call_on_the_marks_flushes_the_rows_first);
    tcase_add_test(test, a_page_leaves_when_its_rows_are_on_disk);
    tcase_add_test(test, what_could_not_be_flushed_does_not_leave);
    tcase_add_test(test, marks_do_not_go_ahead_of_rows_that_could_not_be_flushed);
    tcase_add_test(test, marks_that_cannot_be_written_at_the_end_are_told);
    tcase_add_test(test, the_first_opener_writes_the_log_anew);
    return test_run(suite);
}
