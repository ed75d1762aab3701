/* fork: an inherited handle answers TIDE_EFORKED and touches nothing, the parent goes on
 * undisturbed, and the child may open the file anew. */
#define _GNU_SOURCE 1
#include <tidemark/store.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define ENTRY device, peer, "entry"

static tide_store *store;
static uuid_t device, peer;

static void set_up(void)
{
    test_uuid(device, 1);
    test_uuid(peer, 2);
    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(tide_advance(store, ENTRY, 100), TIDE_OK);
}

static void tear_down(void)
{
    tide_close(store);
    store = NULL;
}

static tide_time watermark(tide_store *handle, const char *resource)
{
    tide_mark mark = {TIDE_TIME_NONE, 0, 0};

    return tide_get(handle, device, peer, resource, &mark) < 0 ? TIDE_TIME_MIN : mark.watermark;
}

static int each_nothing(void *ctx, const uuid_t d, const uuid_t p, const char *resource,
                        const tide_mark *mark)
{
    (void)d;
    (void)p;
    (void)resource;
    (void)mark;
    ++*(int *)ctx;
    return 0;
}

static int no_barrier(void *ctx)
{
    ++*(int *)ctx;
    return 0;
}

static void every_call_is_forked(tide_store *inherited)
{
    static const tide_mark untouched = {-1, -2, -3};
    tide_step step = {device, peer, "entry", TIDE_TIME_NONE, 999, TIDE_TIME_NONE};
    tide_info info = {.size = sizeof info}, same = info;
    tide_mark mark = untouched;
    tide_time time = 5;
    size_t removed = 6;
    char detail[64];
    int calls = 0;

    child_assert(tide_get(inherited, ENTRY, &mark) == TIDE_EFORKED);
    child_assert(tide_advance(inherited, ENTRY, 999) == TIDE_EFORKED);
    child_assert(tide_advance_range(inherited, ENTRY, 100, 999) == TIDE_EFORKED);
    child_assert(tide_compare_and_set(inherited, ENTRY, 100, 999) == TIDE_EFORKED);
    child_assert(tide_advance_many(inherited, &step, 1, TIDE_DEFERRED) == TIDE_EFORKED);
    child_assert(tide_advance_many(inherited, &step, 1, TIDE_DURABLE) == TIDE_EFORKED);
    child_assert(tide_each(inherited, NULL, NULL, NULL, each_nothing, &calls) == TIDE_EFORKED);
    child_assert(tide_remove_peer(inherited, device, peer, &removed) == TIDE_EFORKED);
    child_assert(tide_max(inherited, device, &time) == TIDE_EFORKED);
    child_assert(tide_flush(inherited) == TIDE_EFORKED);
    child_assert(tide_set_barrier(inherited, no_barrier, &calls) == TIDE_EFORKED);
    child_assert(tide_stat(inherited, &info) == TIDE_EFORKED);
    tide_detail(inherited, detail, sizeof detail);
    child_assert(memcmp(&mark, &untouched, sizeof mark) == 0);
    child_assert(memcmp(&info, &same, sizeof info) == 0);
    child_assert(time == 5 && removed == 6 && calls == 0);
}

static void child_calls(void *ctx)
{
    (void)ctx;
    every_call_is_forked(store);
    every_call_is_forked(store);
    tide_close(store);
}

START_TEST(in_the_child_every_call_is_refused_and_the_parent_goes_on)
{
    tide_info before = {.size = sizeof before}, after = before;

    ck_assert_int_eq(tide_stat(store, &before), TIDE_OK);
    for (int i = 0; i < 5; i++) {
        test_child_ok(child_calls, NULL);
        ck_assert_int_eq(watermark(store, "entry"), 100 + i);
        ck_assert_int_eq(tide_advance(store, ENTRY, 101 + i), TIDE_OK);
    }
    ck_assert_int_eq(tide_stat(store, &after), TIDE_OK);
    ck_assert_uint_eq(after.transaction, before.transaction + 5);
    ck_assert_uint_eq(after.readers, before.readers);
}
END_TEST

static void child_leaves(void *ctx)
{
    (void)ctx;
}

START_TEST(a_child_that_just_ends_does_no_harm)
{
    for (int i = 0; i < 5; i++) {
        test_child_ok(child_leaves, NULL);
        ck_assert_int_eq(tide_advance(store, ENTRY, 200 + i), TIDE_OK);
        ck_assert_int_eq(watermark(store, "entry"), 200 + i);
    }
}
END_TEST

static void child_opens_anew(void *ctx)
{
    const tide_time *upto = ctx;
    tide_store *own = NULL;

    child_assert(tide_open(FILE_NAME, NULL, &own) == TIDE_OK);
    child_assert(watermark(own, "entry") == *upto - 1);
    child_assert(tide_advance(own, ENTRY, *upto) == TIDE_OK);
    child_assert(tide_get(store, ENTRY, &(tide_mark){0}) == TIDE_EFORKED);
    tide_close(store);
    child_assert(watermark(own, "entry") == *upto);
    child_assert(tide_advance(own, device, peer, "tag", *upto) == TIDE_OK);
    tide_close(own);
}

START_TEST(a_child_may_open_anew_and_the_parent_sees_its_change)
{
    for (tide_time upto = 101; upto < 110; upto += 2) {
        test_child_ok(child_opens_anew, &upto);
        ck_assert_int_eq(watermark(store, "entry"), upto);
        ck_assert_int_eq(watermark(store, "tag"), upto);
        ck_assert_int_eq(tide_advance(store, ENTRY, upto + 1), TIDE_OK);
    }
}
END_TEST

static void child_closes(void *ctx)
{
    (void)ctx;
    tide_close(store);
}

START_TEST(a_child_does_not_publish_what_is_pending_in_the_parent)
{
    tide_step step = {device, peer, "entry", TIDE_TIME_NONE, 200, TIDE_TIME_NONE};
    test_remote remote;
    tide_mark mark;

    tear_down();
    test_remote_start(&remote);
    ck_assert_int_eq(test_remote_open(&remote, FILE_NAME, 0), TIDE_OK);
    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
    test_child_ok(child_closes, NULL);
    ck_assert_int_eq(test_remote_get(&remote, ENTRY, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 100);
    ck_assert_int_eq(watermark(store, "entry"), 200);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(test_remote_get(&remote, ENTRY, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 200);
    test_remote_stop(&remote);
}
END_TEST

static void grandchild(void *ctx)
{
    tide_store *own = ctx;

    every_call_is_forked(own);
    every_call_is_forked(store);
    tide_close(own);
    tide_close(store);
    child_assert(tide_open(FILE_NAME, NULL, &own) == TIDE_OK);
    child_assert(tide_advance(own, ENTRY, 300) == TIDE_OK);
    tide_close(own);
}

static void child_forks_again(void *ctx)
{
    tide_store *own = NULL;

    (void)ctx;
    child_assert(tide_open(FILE_NAME, NULL, &own) == TIDE_OK);
    child_assert(test_child(grandchild, own) == 0);
    child_assert(watermark(own, "entry") == 300);
    child_assert(tide_advance(own, ENTRY, 301) == TIDE_OK);
    tide_close(own);
}

START_TEST(a_childs_own_handle_is_refused_in_its_child)
{
    test_child_ok(child_forks_again, NULL);
    ck_assert_int_eq(watermark(store, "entry"), 301);
}
END_TEST

/* A process that is forked while other threads are in the middle of calls. */

static atomic_bool stop;
static atomic_int failures;

static void *hammer(void *ctx)
{
    const char *resource = ctx;

    for (tide_time time = 1; !atomic_load(&stop); time++) {
        tide_store *second = NULL;

        if (tide_advance(store, device, peer, resource, time) != TIDE_OK ||
            watermark(store, resource) != time || tide_open(FILE_NAME, NULL, &second) != TIDE_OK) {
            atomic_fetch_add(&failures, 1);
        }
        tide_close(second);
    }
    return NULL;
}

static void child_of_busy_parent(void *ctx)
{
    tide_store *own = NULL;

    (void)ctx;
    alarm(60); /* a lock that nobody will ever give back would hang here */
    every_call_is_forked(store);
    tide_close(store);
    child_assert(tide_open(FILE_NAME, NULL, &own) == TIDE_OK);
    child_assert(watermark(own, "entry") == 100);
    tide_close(own);
}

START_TEST(forking_while_threads_call_does_no_harm)
{
    char names[2][4] = {"t1", "t2"};
    pthread_t threads[2];

    atomic_store(&stop, false);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, names[i]), 0);
    }
    for (int i = 0; i < 40; i++) {
        test_child_ok(child_of_busy_parent, NULL);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    ck_assert_int_eq(atomic_load(&failures), 0);
    ck_assert_int_eq(watermark(store, "entry"), 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fork");
    TCase *test = test_case(suite, "fork");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, in_the_child_every_call_is_refused_and_the_parent_goes_on);
    tcase_add_test(test, a_child_that_just_ends_does_no_harm);
    tcase_add_test(test, a_child_may_open_anew_and_the_parent_sees_its_change);
    tcase_add_test(test, a_child_does_not_publish_what_is_pending_in_the_parent);
    tcase_add_test(test, a_childs_own_handle_is_refused_in_its_child);
    tcase_add_test(test, forking_while_threads_call_does_no_harm);
    return test_run(suite);
}
