/* Every call of the system fails in turn while a store is copied, checked, put back and rescued,
 * and while a library is made, copied, checked and put back. What was there stays or the whole copy
 * is in its place; nothing is there by half, nothing is left over, and once the failure is over the
 * same call succeeds. */
#include <tidemark/backup.h>
#include <tidemark/tidemark.h>

#include <dirent.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failing/calls.h"
#include "store/layout.h"
#include "support.h"

#define STORE "sync.mdb"
#define COPY "copy.mdb"
#define RESCUED "rescued.mdb"
#define MARKS 40
#define NEW_MARK ".new-"

/* SQLite calls it damage when the disk cannot read a page, or its check has no memory for one, and
 * says of most locks that they are held; what it cannot open for writing it opens for reading. */
static bool is_documented(int rc)
{
    return rc == TIDE_ENOMEM || rc == TIDE_EIO || rc == TIDE_ENOSPC || rc == TIDE_EUNKNOWN ||
           (rc == TIDE_ECORRUPT && (calls_failed("read", 0) || calls_failed("memory", 0))) ||
           (rc == TIDE_EACCES && calls_failed("open", 0)) ||
           ((rc == TIDE_EBUSY || rc == TIDE_ESQL) && calls_failed("lock", 0));
}

static void expect_documented(const char *what, int rc)
{
    if (!is_documented(rc))
        (void)fprintf(stderr, "%s: %s\n", what, tide_code_name(rc));
    child_assert(is_documented(rc));
}

/* What was begun is gone, unless names could not be taken away. */
static void expect_nothing_begun(const char *folder)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;

    child_assert(entries != NULL);
    while ((entry = readdir(entries)) != NULL)
        child_assert(strstr(entry->d_name, NEW_MARK) == NULL || calls_failed("name", 0));
    child_assert(closedir(entries) == 0);
}

/* ---- a store ------------------------------------------------------------------------------------ */

static uuid_t device, peer;
static tide_store *store;

static int open_at(const char *path, tide_store **out)
{
    tide_options options;

    test_options(&options, 64 << 10);
    return tide_open(path, &options, out);
}

static void name_mark(char out[32], unsigned n)
{
    (void)snprintf(out, 32, "r%u", n);
}

static void raise_all(tide_time upto)
{
    tide_step steps[MARKS];
    char names[MARKS][32];

    for (unsigned n = 0; n < MARKS; n++) {
        name_mark(names[n], n);
        steps[n] = (tide_step){device, peer, names[n], TIDE_TIME_NONE, upto, TIDE_TIME_NONE};
    }
    child_assert(tide_advance_many(store, steps, MARKS, TIDE_DURABLE) == TIDE_OK);
}

/* The one time at which all marks of the store in a file are. */
static tide_time level_of(const char *path)
{
    tide_store *s = NULL;
    tide_mark first, mark;
    char name[32];

    child_assert(tide_verify(path, NULL, NULL) == TIDE_OK);
    child_assert(open_at(path, &s) == TIDE_OK);
    child_assert(tide_get(s, device, peer, "r0", &first) == TIDE_OK);
    for (unsigned n = 1; n < MARKS; n++) {
        name_mark(name, n);
        child_assert(tide_get(s, device, peer, name, &mark) == TIDE_OK);
        child_assert(mark.watermark == first.watermark);
    }
    tide_close(s);
    return first.watermark;
}

static void reopen_if_in_doubt(int rc)
{
    if (rc != TIDE_EUNKNOWN)
        return;
    tide_close(store);
    child_assert(open_at(STORE, &store) == TIDE_OK);
}

/* The copy is the one there was, if there was one, or the new one. */
static void back_up(uint32_t flags, tide_time before, tide_time after)
{
    int rc = CALLS_TRY(tide_backup(store, COPY, flags));

    if (rc != TIDE_OK) {
        expect_documented("tide_backup", rc);
        calls_mend();
        if (access(COPY, F_OK) == 0) {
            tide_time level = level_of(COPY);

            child_assert(level == before || level == after);
        } else {
            child_assert(before == TIDE_TIME_NONE);
        }
        reopen_if_in_doubt(rc);
        child_assert(tide_backup(store, COPY, TIDE_REPLACE) == TIDE_OK);
    }
    calls_mend();
    expect_nothing_begun(".");
    child_assert(level_of(COPY) == after);
}

static void check_copy(void)
{
    int rc = CALLS_TRY(tide_verify(COPY, NULL, NULL));

    if (rc != TIDE_OK)
        expect_documented("tide_verify", rc);
    calls_mend();
    child_assert(tide_verify(COPY, NULL, NULL) == TIDE_OK);
}

static void put_back(tide_time before, tide_time after)
{
    int rc = CALLS_TRY(tide_restore(COPY, STORE, NULL, NULL));

    if (rc != TIDE_OK) {
        tide_time level;

        expect_documented("tide_restore", rc);
        calls_mend();
        level = level_of(STORE);
        child_assert(level == before || level == after);
        child_assert(tide_restore(COPY, STORE, NULL, NULL) == TIDE_OK);
    }
    calls_mend();
    expect_nothing_begun(".");
    child_assert(level_of(STORE) == after);
}

/* Neither commit leads anywhere any more; the pages are what they were. */
static void lose_the_roots(void)
{
    test_bytes bytes = test_read_file(STORE);

    for (size_t meta = 0; meta < 2; meta++)
        bytes.data[meta * PAGE_BYTES + META_AT_MAIN + TREE_BYTES - 8] ^= 0x40;
    test_write_file(STORE, bytes.data, bytes.length);
    free(bytes.data);
    child_assert(tide_verify(STORE, NULL, NULL) == TIDE_ECORRUPT);
}

static void rescue(uint32_t way, tide_time after)
{
    tide_repaired repaired = {.size = sizeof repaired};
    int rc = CALLS_TRY(tide_repair(STORE, RESCUED, NULL, NULL, &repaired));

    if (rc != TIDE_OK) {
        expect_documented("tide_repair", rc);
        calls_mend();
        if (access(RESCUED, F_OK) == 0) {
            child_assert(level_of(RESCUED) == after);
            child_assert(unlink(RESCUED) == 0);
        }
        child_assert(tide_repair(STORE, RESCUED, NULL, NULL, &repaired) == TIDE_OK);
    }
    calls_mend();
    expect_nothing_begun(".");
    child_assert(tide_verify(RESCUED, NULL, NULL) == TIDE_OK);
    /* What cannot be read is passed over, a commit or a page, and only that. */
    if (repaired.from != way || repaired.marks != MARKS)
        child_assert(rc == TIDE_OK && calls_failed("read", EIO));
    else
        child_assert(level_of(RESCUED) == after);
    child_assert(unlink(RESCUED) == 0);
    (void)unlink(RESCUED "-lock");
}

static void scenario_store(void)
{
    test_uuid(device, 1);
    test_uuid(peer, 2);
    child_assert(open_at(STORE, &store) == TIDE_OK);
    raise_all(10);
    back_up(0, TIDE_TIME_NONE, 10);
    raise_all(20);
    back_up(TIDE_REPLACE, 10, 20);
    check_copy();
    raise_all(30);
    tide_close(store);
    put_back(30, 20);
    rescue(TIDE_FROM_LAST, 20);
    lose_the_roots();
    rescue(TIDE_FROM_PAGES, 20);
}

START_TEST(copies_of_a_store)
{
    calls_fail_each("copies of a store", scenario_store, 3);
}
END_TEST

/* ---- a library ---------------------------------------------------------------------------------- */

static tide_library *library;

static int open_library(void)
{
    tide_library_options options;
    tide_sync_options sync;
    tide_options marks;
    uuid_t id;
    int rc;

    test_uuid(id, 9);
    test_options(&marks, 64 << 10);
    tide_sync_options_init(&sync);
    tide_library_options_init(&options);
    options.flags = TIDE_CREATE_LIBRARY;
    options.device_name = "device";
    options.sync = &sync;
    options.store = &marks;
    sync.device = device;
    sync.library = id;
    rc = tide_library_open("library", &options, &library);
    child_assert((rc == TIDE_OK) == (library != NULL));
    return rc;
}

static void try_to_open(void)
{
    int rc = CALLS_TRY(open_library());

    if (rc != TIDE_OK) {
        expect_documented("tide_library_open", rc);
        calls_mend();
        child_assert(open_library() == TIDE_OK);
    }
    calls_mend();
}

static void close_library(void)
{
    tide_library_close(library);
    library = NULL;
}

static void add_row(const char *name)
{
    char *sql = sqlite3_mprintf("INSERT INTO entries (uuid, name) VALUES (%Q, %Q)", name, name);

    child_assert(sqlite3_exec(tide_sync_database(tide_library_sync(library)), sql, NULL, NULL,
                              NULL) == SQLITE_OK);
    sqlite3_free(sql);
}

static long rows_of(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    long rows;

    child_assert(sqlite3_open(path, &db) == SQLITE_OK);
    child_assert(sqlite3_prepare_v2(db, "SELECT count(*) FROM entries", -1, &statement, NULL) ==
                 SQLITE_OK);
    child_assert(sqlite3_step(statement) == SQLITE_ROW);
    rows = sqlite3_column_int(statement, 0);
    child_assert(sqlite3_finalize(statement) == SQLITE_OK && sqlite3_close(db) == SQLITE_OK);
    return rows;
}

static void back_up_library(long rows)
{
    int rc = CALLS_TRY(tide_library_backup(library, "copy", NULL, NULL));

    if (rc != TIDE_OK) {
        expect_documented("tide_library_backup", rc);
        calls_mend();
        if (rc == TIDE_EUNKNOWN) {
            close_library();
            child_assert(open_library() == TIDE_OK);
        }
        rc = tide_library_backup(library, "copy", NULL, NULL);
        child_assert(rc == (access("copy", F_OK) == 0 && rc != TIDE_OK ? TIDE_CONFLICT : TIDE_OK));
    }
    calls_mend();
    expect_nothing_begun(".");
    child_assert(tide_library_verify("copy", NULL, NULL) == TIDE_OK);
    child_assert(rows_of("copy/database.db") == rows);
}

static void check_library(void)
{
    int rc = CALLS_TRY(tide_library_verify("copy", NULL, NULL));

    if (rc != TIDE_OK)
        expect_documented("tide_library_verify", rc);
    calls_mend();
    child_assert(tide_library_verify("copy", NULL, NULL) == TIDE_OK);
}

static void put_library_back(long rows)
{
    int rc = CALLS_TRY(tide_library_restore("copy", "library", NULL, NULL));

    if (rc != TIDE_OK) {
        expect_documented("tide_library_restore", rc);
        calls_mend();
        child_assert(tide_library_restore("copy", "library", NULL, NULL) == TIDE_OK);
    }
    calls_mend();
    expect_nothing_begun("library");
    child_assert(tide_library_verify("library", NULL, NULL) == TIDE_OK);
    child_assert(rows_of("library/database.db") == rows);
}

static void scenario_library(void)
{
    library = NULL;
    test_uuid(device, 1);
    try_to_open();
    add_row("one");
    back_up_library(1);
    check_library();
    add_row("two");
    close_library();
    try_to_open();
    close_library();
    put_library_back(1);
}

/* Takes long: unless asked how many, flushes alone. */
START_TEST(a_library_and_its_copy)
{
    if (getenv("TIDEMARK_TEST_MOST") == NULL)
        ck_assert_int_eq(setenv("TIDEMARK_TEST_KIND", "flush", 0), 0);
    calls_fail_each_step("a library and its copy", scenario_library, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failing-copies");
    TCase *test = test_case(suite, "failing-copies");

    tcase_set_timeout(test, 0);
    tcase_add_test(test, copies_of_a_store);
    tcase_add_test(test, a_library_and_its_copy);
    return test_run(suite);
}
