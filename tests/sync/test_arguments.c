/* What has no meaning is refused and changes nothing: NULL, names that are none, flags that do not
 * exist; and LMDB's answers in our words. */
#include <tidemark/backup.h>
#include <tidemark/tidemark.h>

#include <errno.h>
#include <limits.h>
#include <lmdb.h>
#include <string.h>

#include "store/environment.h"
#include "support_sync.h"

static char too_long[PATH_MAX + 1];

/* ---- files -------------------------------------------------------------------------------------- */

static const char *const no_paths[] = {NULL, "", too_long};

static void set_up_path(void)
{
    memset(too_long, 'x', PATH_MAX);
}

START_TEST(a_path_that_is_none_is_refused)
{
    const char *path = no_paths[_i];
    tide_library *library = NULL;
    tide_repaired repaired = {.size = sizeof repaired};

    ck_assert_int_eq(tide_library_verify(path, NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_library_restore(path, "library", NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_library_restore("copy", path, NULL, NULL), TIDE_EINVAL);
    if (path != too_long) {
        ck_assert_int_eq(tide_library_open(path, NULL, &library), TIDE_EINVAL);
        ck_assert_int_eq(tide_verify(path, NULL, NULL), TIDE_EINVAL);
        ck_assert_int_eq(tide_restore(path, "store", NULL, NULL), TIDE_EINVAL);
        ck_assert_int_eq(tide_restore("copy", path, NULL, NULL), TIDE_EINVAL);
        ck_assert_int_eq(tide_repair(path, "new", NULL, NULL, &repaired), TIDE_EINVAL);
        ck_assert_int_eq(tide_repair("old", path, NULL, NULL, &repaired), TIDE_EINVAL);
    }
    ck_assert_ptr_null(library);
    ck_assert_uint_eq(test_entries(), 0);
}
END_TEST

START_TEST(what_has_no_place_to_go_is_refused)
{
    tide_repaired repaired = {.size = sizeof repaired - 1};

    ck_assert_int_eq(tide_library_open("library", NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_repair("old", "new", NULL, NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_repair("old", "new", NULL, NULL, &repaired), TIDE_EINVAL);
    ck_assert_uint_eq(test_entries(), 0);
}
END_TEST

/* ---- sessions and engines ----------------------------------------------------------------------- */

START_TEST(no_session_is_none)
{
    const void *bytes = NULL;
    size_t size = 0;
    uuid_t peer;

    tide_session_close(NULL);
    tide_session_tick(NULL, 1);
    tide_session_notify(NULL);
    tide_session_pause(NULL);
    tide_session_resume(NULL);
    ck_assert_int_eq(tide_session_receive(NULL, "x", 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_session_next(NULL, &bytes, &size), TIDE_EINVAL);
    ck_assert_int_eq(tide_session_state(NULL), TIDE_UNINITIALIZED);
    ck_assert_int_eq(tide_session_is_complete(NULL), 0);
    ck_assert_uint_eq(tide_session_diverged(NULL), 0);
    ck_assert_int_eq(tide_session_peer(NULL, peer), TIDE_ABSENT);
}
END_TEST

static int hear_peer(void *ctx, const tide_peer *peer)
{
    (void)ctx;
    (void)peer;
    return TIDE_OK;
}

static int hear_parked(void *ctx, const tide_parked *row)
{
    (void)ctx;
    (void)row;
    return TIDE_OK;
}

START_TEST(no_engine_is_none)
{
    tide_metrics metrics = {.size = sizeof metrics};
    tide_resource_info info = {.size = sizeof info};
    tide_digest digest;
    tide_time time;
    uint64_t count = 4711;
    uuid_t peer;
    char text[8] = "x";

    test_uuid(peer, 2);
    tide_sync_close(NULL);
    ck_assert_int_eq(tide_sync_is_recovering(NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_accept(NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_peers(NULL, hear_peer, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_remove_peer(NULL, peer), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_prune(NULL, &count), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_parked(NULL, hear_parked, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_retry_parked(NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_metrics(NULL, &metrics), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_resource_info(NULL, "item", &info), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_rows_behind(NULL, "item", 1, &count), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_digest(NULL, "item", &digest), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_get_resource_watermark(NULL, peer, "item", &time), TIDE_EINVAL);
    tide_sync_detail(NULL, text, sizeof text);
    ck_assert_str_eq(text, "");
    ck_assert_uint_eq(count, 4711);
}
END_TEST

START_TEST(an_engine_answers_only_where_it_can)
{
    tide_metrics metrics = {.size = sizeof metrics - 1};
    tide_resource_info info = {.size = sizeof info - 1};
    uint64_t count = 4711;
    test_side a;

    test_side_open(&a, 1);
    ck_assert_int_eq(tide_sync_peers(a.sync, NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_remove_peer(a.sync, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_parked(a.sync, NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_metrics(a.sync, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_metrics(a.sync, &metrics), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_resource_info(a.sync, "item", NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_resource_info(a.sync, "item", &info), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_digest(a.sync, "item", NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_rows_behind(a.sync, "item", 1, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_rows_behind(a.sync, "none", 1, &count), TIDE_EMODEL);
    ck_assert_int_eq(tide_sync_rows_behind(a.sync, "item", 1, &count), TIDE_OK);
    ck_assert_uint_eq(count, 0);
    test_side_close(&a);
}
END_TEST

START_TEST(a_model_whose_lists_are_missing_is_refused)
{
    static const char *const columns[] = {"name"};
    tide_model model = {.size = sizeof model,
                        .ownership = TIDE_SHARED,
                        .resource = "other",
                        .table = "other",
                        .key = "uuid",
                        .columns = columns,
                        .column_count = 1};
    test_side a;

    test_side_open(&a, 1);
    test_sql(a.db,
             "CREATE TABLE other (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT)");
    model.columns = NULL;
    ck_assert_int_eq(tide_sync_register(a.sync, &model), TIDE_EINVAL);
    model.columns = columns;
    model.depends_on_count = 1;
    ck_assert_int_eq(tide_sync_register(a.sync, &model), TIDE_EINVAL);
    model.depends_on_count = 0;
    model.parent_count = 1;
    ck_assert_int_eq(tide_sync_register(a.sync, &model), TIDE_EINVAL);
    model.parent_count = 0;
    ck_assert_int_eq(tide_sync_register(NULL, &model), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_register(a.sync, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_register(a.sync, &model), TIDE_OK);
    test_side_close(&a);
}
END_TEST

START_TEST(a_peer_that_is_no_device_is_damage)
{
    test_side a, b;

    test_clock_install();
    test_side_open(&a, 1);
    test_side_open(&b, 2);
    test_sync(&a, &b);
    test_sql(a.db, "UPDATE tidemark_peers SET uuid = 'nobody'");
    ck_assert_int_eq(tide_sync_peers(a.sync, hear_peer, NULL), TIDE_ECORRUPT);
    test_side_close(&b);
    test_side_close(&a);
}
END_TEST

/* ---- LMDB's answers ----------------------------------------------------------------------------- */

static const struct {
    int native, code;
} answers[] = {
    {MDB_MAP_FULL, TIDE_EFULL},
    {MDB_READERS_FULL, TIDE_EBUSY},
    {MDB_INVALID, TIDE_EFORMAT},
    {MDB_VERSION_MISMATCH, TIDE_EFORMAT},
    {MDB_INCOMPATIBLE, TIDE_EFORMAT},
    {MDB_CORRUPTED, TIDE_ECORRUPT},
    {MDB_PAGE_NOTFOUND, TIDE_ECORRUPT},
    {MDB_BAD_TXN, TIDE_ECORRUPT},
    {MDB_PANIC, TIDE_EUNKNOWN},
    {MDB_PAGE_FULL, TIDE_EIO},
    {ENOSPC, TIDE_ENOSPC},
    {ENOMEM, TIDE_ENOMEM},
};

START_TEST(the_answers_of_lmdb_have_codes)
{
    tide__detail detail;

    ck_assert_int_eq(tide__fail_lmdb(&detail, answers[_i].native, "FILE"), answers[_i].code);
    ck_assert_ptr_eq(strstr(detail.text, "FILE: "), detail.text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arguments");
    TCase *test = test_case(suite, "arguments");

    tcase_add_checked_fixture(test, set_up_path, NULL);
    tcase_add_loop_test(test, a_path_that_is_none_is_refused, 0, sizeof no_paths / sizeof *no_paths);
    tcase_add_test(test, what_has_no_place_to_go_is_refused);
    tcase_add_test(test, no_session_is_none);
    tcase_add_test(test, no_engine_is_none);
    tcase_add_test(test, an_engine_answers_only_where_it_can);
    tcase_add_test(test, a_model_whose_lists_are_missing_is_refused);
    tcase_add_test(test, a_peer_that_is_no_device_is_damage);
    tcase_add_loop_test(test, the_answers_of_lmdb_have_codes, 0, sizeof answers / sizeof *answers);
    return test_run(suite);
}
