/* Every call of the system fails in turn while marks are kept in SQLite: each is as it was, or as
 * the call that was acknowledged left it, for this handle and for every other program. */
#include <tidemark/watermarks.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "failing/calls.h"
#include "support.h"

#define FILE_NAME "marks.db"
#define ENTRY "entry"

static uuid_t device, peer;
static sqlite3 *db;
static tide_watermarks *marks;
static tide_time expected, epoch; /* of the one mark */

static int open_marks(void)
{
    int rc = TIDE_OK;

    if (db == NULL && sqlite3_open(FILE_NAME, &db) != SQLITE_OK)
        rc = TIDE_ENOMEM;
    if (rc == TIDE_OK)
        rc = tide_watermarks_open_sqlite(db, device, &marks);
    if (rc != TIDE_OK) {
        child_assert(sqlite3_close(db) == SQLITE_OK);
        db = NULL;
    }
    return rc;
}

static int close_marks(void)
{
    tide_watermarks_close(marks);
    child_assert(sqlite3_close(db) == SQLITE_OK);
    db = NULL;
    marks = NULL;
    return TIDE_OK;
}

static int raise_first(void)
{
    return tide_watermarks_advance_range(marks, peer, ENTRY, TIDE_TIME_NONE, 10, 1, TIDE_DURABLE);
}

static int raise_again(void)
{
    return tide_watermarks_advance_range(marks, peer, ENTRY, 10, 20, 1, TIDE_DURABLE);
}

static int reset(void)
{
    return tide_watermarks_reset(marks, peer, ENTRY);
}

static int raise_anew(void)
{
    return tide_watermarks_advance_range(marks, peer, ENTRY, TIDE_TIME_NONE, 30, 2, TIDE_DURABLE);
}

static int delete_all(void)
{
    return tide_watermarks_delete_peer(marks, peer, NULL);
}

static int raise_last(void)
{
    return tide_watermarks_upsert(marks, peer, ENTRY, 40);
}

static int take(void *ctx, const char *resource, tide_time watermark)
{
    (void)ctx;
    (void)resource;
    child_assert(watermark == expected);
    return 0;
}

static int walk(void)
{
    tide_time max = TIDE_TIME_NONE;
    int rc = tide_watermarks_get_all_for_peer(marks, peer, take, NULL);

    if (rc == TIDE_OK)
        rc = tide_watermarks_get_max(marks, &max);
    child_assert(rc < 0 || max == expected);
    return rc;
}

static const struct {
    int (*run)(void);
    tide_time watermark, epoch; /* afterwards */
} steps[] = {
    {open_marks, TIDE_TIME_NONE, TIDE_TIME_NONE},
    {raise_first, 10, 1},
    {raise_again, 20, 1},
    {walk, 20, 1},
    {reset, TIDE_TIME_NONE, TIDE_TIME_NONE},
    {raise_anew, 30, 2},
    {delete_all, TIDE_TIME_NONE, TIDE_TIME_NONE},
    {raise_last, 40, TIDE_TIME_NONE},
    {close_marks, 40, TIDE_TIME_NONE},
    {open_marks, 40, TIDE_TIME_NONE},
    {walk, 40, TIDE_TIME_NONE},
    {close_marks, 40, TIDE_TIME_NONE},
};

/* For this handle, and as another program finds it. */
static void check(void)
{
    tide_watermarks *other = NULL;
    sqlite3 *other_db = NULL;
    tide_mark mark = {TIDE_TIME_NONE, 0, TIDE_TIME_NONE};

    if (marks != NULL) {
        int rc = tide_watermarks_get_mark(marks, peer, ENTRY, &mark);

        child_assert(rc == (expected == TIDE_TIME_NONE ? TIDE_ABSENT : TIDE_OK));
        child_assert(mark.watermark == expected && mark.epoch == epoch);
    }
    mark = (tide_mark){TIDE_TIME_NONE, 0, TIDE_TIME_NONE};
    child_assert(sqlite3_open(FILE_NAME, &other_db) == SQLITE_OK);
    child_assert(tide_watermarks_open_sqlite(other_db, device, &other) == TIDE_OK);
    (void)tide_watermarks_get_mark(other, peer, ENTRY, &mark);
    child_assert(mark.watermark == expected && mark.epoch == epoch);
    tide_watermarks_close(other);
    child_assert(sqlite3_close(other_db) == SQLITE_OK);
}

/* SQLite calls it damage when the disk cannot read a page, and says of most locks that they are held. */
static bool is_documented(int rc)
{
    return rc == TIDE_ENOMEM || rc == TIDE_EIO || rc == TIDE_ENOSPC ||
           (rc == TIDE_ECORRUPT && calls_failed("read", 0)) ||
           (rc == TIDE_EACCES && calls_failed("open", 0)) ||
           (rc == TIDE_EBUSY && calls_failed("lock", 0));
}

/* When the change is committed SQLite goes from a lock for writing to one for reading, and says of
 * a failure there that it is one of the commit. */
static bool is_done(size_t i, int rc)
{
    tide_mark mark = {TIDE_TIME_NONE, 0, TIDE_TIME_NONE};

    if (rc != TIDE_EIO || !calls_failed("lock", 0))
        return false;
    (void)tide_watermarks_get_mark(marks, peer, ENTRY, &mark);
    return mark.watermark == steps[i].watermark && mark.epoch == steps[i].epoch;
}

static void scenario(void)
{
    test_uuid(device, 1);
    test_uuid(peer, 2);
    expected = epoch = TIDE_TIME_NONE;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int rc = CALLS_TRY(steps[i].run());

        if (rc != TIDE_OK) {
            if (!is_documented(rc))
                (void)fprintf(stderr, "step %zu: %s\n", i, tide_code_name(rc));
            child_assert(is_documented(rc));
            calls_mend();
            if (steps[i].run != open_marks && !is_done(i, rc)) {
                check();
                child_assert(steps[i].run() == TIDE_OK);
            } else if (steps[i].run == open_marks) {
                child_assert(open_marks() == TIDE_OK);
            }
        }
        expected = steps[i].watermark;
        epoch = steps[i].epoch;
        check();
    }
}

START_TEST(marks_in_sqlite)
{
    calls_fail_each("marks in SQLite", scenario, 60);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failing-marks");
    TCase *test = test_case(suite, "failing-marks");

    /* Every allocation of SQLite's is one of the system's. */
    if (sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK)
        return EXIT_FAILURE;
    tcase_set_timeout(test, 0);
    tcase_add_test(test, marks_in_sqlite);
    return test_run(suite);
}
