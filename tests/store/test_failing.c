/* Flushes that fail: what a store answers afterwards, until it is opened again. */
#define _GNU_SOURCE 1
#include <tidemark/store.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define ENTRY device, peer, "entry"

static int failing; /* so many flushes fail from now on */
static uuid_t device, peer;

/* In the place of libc's: LMDB flushes its data with it. */
__attribute__((visibility("default"))) int fdatasync(int fd)
{
    if (failing > 0) {
        failing--;
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static void set_up(void)
{
    failing = 0;
    test_uuid(device, 1);
    test_uuid(peer, 2);
}

static void doubtful(tide_store *store)
{
    tide_step step = {device, peer, "entry", TIDE_TIME_NONE, 900, TIDE_TIME_NONE};
    tide_info info = {.size = sizeof info};
    tide_store *second = NULL;
    tide_mark mark;
    tide_time max;

    ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_EUNKNOWN);
    ck_assert_int_eq(tide_flush(store), TIDE_EUNKNOWN);
    ck_assert_int_eq(tide_advance(store, ENTRY, 900), TIDE_EUNKNOWN);
    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_EUNKNOWN);
    ck_assert_int_eq(tide_compare_and_set(store, ENTRY, 5, 900), TIDE_EUNKNOWN);
    ck_assert_int_eq(tide_remove_peer(store, device, peer, NULL), TIDE_EUNKNOWN);
    ck_assert_int_eq(tide_max(store, device, &max), TIDE_EUNKNOWN);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_EUNKNOWN);
    ck_assert_int_eq(tide_open(FILE_NAME, NULL, &second), TIDE_EUNKNOWN);
    ck_assert_ptr_null(second);
}

START_TEST(a_failed_flush_is_final_until_it_is_opened_again)
{
    tide_store *store = test_open(FILE_NAME, NULL);
    char detail[256];
    tide_mark mark;

    ck_assert_int_eq(tide_advance(store, ENTRY, 5), TIDE_OK);
    failing = 1;
    ck_assert_int_eq(tide_advance(store, ENTRY, 6), TIDE_EUNKNOWN);
    ck_assert_int_eq(failing, 0);
    tide_detail(store, detail, sizeof detail);
    ck_assert_ptr_nonnull(strstr(detail, FILE_NAME));
    doubtful(store);
    doubtful(store);
    tide_close(store);

    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_OK);
    ck_assert(mark.watermark == 5 || mark.watermark == 6);
    ck_assert_int_eq(tide_advance(store, ENTRY, 7), TIDE_OK);
    tide_close(store);
}
END_TEST

START_TEST(what_waited_is_not_published_after_a_failed_flush)
{
    tide_options options;
    tide_store *store;
    tide_mark mark;

    test_options(&options, 0);
    options.durability = TIDE_DEFERRED;
    store = test_open(FILE_NAME, &options);
    ck_assert_int_eq(tide_advance(store, ENTRY, 5), TIDE_OK);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, ENTRY, 6), TIDE_OK);
    failing = 1;
    ck_assert_int_eq(tide_flush(store), TIDE_EUNKNOWN);
    doubtful(store);
    tide_close(store);
    store = test_open(FILE_NAME, &options);
    ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_OK);
    ck_assert(mark.watermark == 5 || mark.watermark == 6);
    tide_close(store);
}
END_TEST

static void count_notice(void *ctx, int code, const char *text)
{
    (void)code;
    (void)text;
    ++*(int *)ctx;
}

/* What is in doubt was told to whoever made it; a notice is for what waits and is lost. */
START_TEST(a_close_that_loses_nothing_says_nothing)
{
    tide_options options;
    tide_store *store;
    int notices = 0;

    test_options(&options, 0);
    options.notice = count_notice;
    options.notice_ctx = &notices;
    store = test_open(FILE_NAME, &options);
    ck_assert_int_eq(tide_advance(store, ENTRY, 5), TIDE_OK);
    failing = 1;
    ck_assert_int_eq(tide_advance(store, ENTRY, 6), TIDE_EUNKNOWN);
    tide_close(store);
    ck_assert_int_eq(notices, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failing");
    TCase *test = test_case(suite, "failing");

    tcase_add_checked_fixture(test, set_up, NULL);
    tcase_add_test(test, a_failed_flush_is_final_until_it_is_opened_again);
    tcase_add_test(test, what_waited_is_not_published_after_a_failed_flush);
    tcase_add_test(test, a_close_that_loses_nothing_says_nothing);
    return test_run(suite);
}
