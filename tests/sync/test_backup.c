/* A whole library copied while pages arrive: no mark of the copy counts a row that it has not. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support_library.h"

static test_device a, b;
static bool pages_arrive; /* before the marks are copied, and after that */

/* ---- a round ------------------------------------------------------------------------------------ */

static void meet(void)
{
    test_talk(&a, &b);
    test_hang_up_complete(&a, &b);
}

int __real_tide_backup(tide_store *store, const char *path, uint32_t flags);
int __wrap_tide_backup(tide_store *store, const char *path, uint32_t flags);

int __wrap_tide_backup(tide_store *store, const char *path, uint32_t flags)
{
    int rc;

    if (pages_arrive) {
        test_entry_add(&a, "2");
        meet();
    }
    rc = __real_tide_backup(store, path, flags);
    if (pages_arrive) {
        test_entry_add(&a, "3");
        meet();
    }
    return rc;
}

/* ---- tests -------------------------------------------------------------------------------------- */

static tide_time mark_of_b(void)
{
    tide_mark mark = {.watermark = TIDE_TIME_NONE};
    uuid_t peer;

    test_uuid(peer, a.number);
    ck_assert_int_eq(
        tide_watermarks_get_mark(tide_library_watermarks(b.library), peer, "entry", &mark), TIDE_OK);
    return mark.watermark;
}

static void set_up(void)
{
    pages_arrive = false;
    test_device_open(&a, "a", 1, NULL);
    test_device_open(&b, "b", 2, NULL);
    test_entry_add(&a, "1");
    meet();
}

START_TEST(no_mark_of_a_backup_is_ahead_of_its_rows)
{
    tide_time first, last, copied;

    set_up();
    first = mark_of_b();
    pages_arrive = true;
    ck_assert_int_eq(tide_library_backup(b.library, "copy", NULL, NULL), TIDE_OK);
    pages_arrive = false;
    last = mark_of_b();
    test_entry_add(&a, "4");
    meet();
    test_entries_are(&b, "1 2 3 4");
    test_device_close(&b);
    ck_assert_int_eq(tide_library_restore("copy", "b", NULL, NULL), TIDE_OK);
    test_device_open(&b, "b", 2, NULL);
    test_entries_are(&b, "1 2 3"); /* as they were after the marks */
    copied = mark_of_b();
    ck_assert(first < copied && copied < last);
    meet();
    meet();
    test_entries_are(&b, "1 2 3 4");
    test_entries_are(&a, "1 2 3 4");
    test_device_close(&b);
    test_device_close(&a);
}
END_TEST

START_TEST(what_is_in_the_way_of_a_backup_stays)
{
    set_up();
    ck_assert_int_eq(tide_library_backup(b.library, "a", NULL, NULL), TIDE_CONFLICT);
    ck_assert_int_eq(tide_library_backup(b.library, "a/", NULL, NULL), TIDE_CONFLICT);
    ck_assert_int_eq(tide_library_backup(b.library, "no/where", NULL, NULL), TIDE_ENOENT);
    ck_assert_int_eq(tide_library_backup(b.library, "", NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_library_backup(NULL, "copy", NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_library_backup(b.library, "copy/", NULL, NULL), TIDE_OK);
    ck_assert_uint_eq(test_entries(), 3);
    ck_assert_int_eq(tide_library_restore("copy", "b", NULL, NULL), TIDE_EBUSY);
    test_entries_are(&b, "1");
    ck_assert_int_eq(tide_library_verify("b", NULL, NULL), TIDE_OK); /* while it is open */
    test_device_close(&b);
    test_device_close(&a);
}
END_TEST

/* A restore that was cut short has left a log alone: it must not meet another database. */
START_TEST(a_log_never_meets_another_database)
{
    static const char log[] = "of another database";

    set_up();
    ck_assert_int_eq(tide_library_backup(b.library, "copy", NULL, NULL), TIDE_OK);
    test_device_close(&b);
    ck_assert_int_eq(unlink("b/database.db"), 0);
    test_write_file("b/database.db-wal", log, sizeof log);
    ck_assert_int_eq(tide_library_restore("copy", "b", NULL, NULL), TIDE_OK);
    ck_assert_int_eq(access("b/database.db-wal", F_OK), -1);
    ck_assert_int_eq(tide_library_verify("b", NULL, NULL), TIDE_OK);
    test_device_open(&b, "b", 2, NULL);
    test_entries_are(&b, "1");
    test_device_close(&b);
    test_device_close(&a);
}
END_TEST

START_TEST(damaged_rows_are_not_restored)
{
    static const char nothing[4096];
    test_bytes before;

    set_up();
    ck_assert_int_eq(tide_library_backup(b.library, "copy", NULL, NULL), TIDE_OK);
    test_device_close(&b);
    before = test_read_file("b/database.db");
    {
        test_bytes rows = test_read_file("copy/database.db");

        ck_assert_uint_gt(rows.length, 6 * sizeof nothing);
        memcpy(rows.data + sizeof nothing, nothing, sizeof nothing);
        memcpy(rows.data + 3 * sizeof nothing, nothing, sizeof nothing);
        test_write_file("copy/database.db", rows.data, rows.length);
        free(rows.data);
    }
    ck_assert_int_eq(tide_library_verify("copy", NULL, NULL), TIDE_ECORRUPT);
    ck_assert_int_eq(tide_library_restore("copy", "b", NULL, NULL), TIDE_ECORRUPT);
    ck_assert(test_file_is("b/database.db", before));
    ck_assert_int_eq(tide_library_restore("a", "b", NULL, NULL), TIDE_EBUSY);
    free(before.data);
    test_device_close(&a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backup of libraries");
    TCase *tcase = test_case(suite, "backup");

    tcase_add_test(tcase, no_mark_of_a_backup_is_ahead_of_its_rows);
    tcase_add_test(tcase, what_is_in_the_way_of_a_backup_stays);
    tcase_add_test(tcase, a_log_never_meets_another_database);
    tcase_add_test(tcase, damaged_rows_are_not_restored);
    return test_run(suite);
}
