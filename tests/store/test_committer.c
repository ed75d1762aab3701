/* Calls that share a commit: one transaction for all, an answer for each. The test holds the lead
 * until everybody queues, then lets the queue go. */
#define _GNU_SOURCE 1
#include "store/committer.h"
#include "store/marks.h"
#include "store/sum.h"

#include <lmdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define CALLS 8

static uuid_t device, peer;
static tide__core core;
static tide__environment *environment;

static void open_core(const tide_options *options)
{
    tide__detail detail;

    memset(&core, 0, sizeof core);
    ck_assert_int_eq(tide__environment_open(FILE_NAME, options, &environment, &detail), TIDE_OK);
    tide__core_init(&core, environment, options);
}

static void set_up(void)
{
    tide_options options;

    test_uuid(device, 1);
    test_uuid(peer, 2);
    tide_close(test_open(FILE_NAME, NULL));
    tide_options_init(&options);
    open_core(&options);
}

static void tear_down(void)
{
    tide__core_destroy(&core);
    tide__environment_close(environment);
}

typedef struct call {
    pthread_t thread;
    char resource[24];
    tide_time after, upto;
    int answer;
    tide__detail detail;
} call;

static void *advance(void *ctx)
{
    call *c = ctx;
    tide__advance step = {.after = c->after, .upto = c->upto, .epoch = TIDE_TIME_NONE};

    tide__detail_clear(&c->detail);
    ck_assert_int_eq(tide__id_make(device, peer, c->resource, &step.id), TIDE_OK);
    c->answer = tide__core_advance(&core, &step, 1, true, &c->detail);
    return NULL;
}

static size_t queued(void)
{
    size_t count;

    pthread_mutex_lock(&core.queue_lock);
    count = core.queue_count;
    pthread_mutex_unlock(&core.queue_lock);
    return count;
}

/* Lets all calls queue behind one another, and then commit together with one more. Returns its
 * answer. */
static int run_together(call *calls, size_t count)
{
    call last = {.resource = "last", .after = TIDE_TIME_NONE, .upto = 1};

    pthread_mutex_lock(&core.queue_lock);
    core.led = true;
    pthread_mutex_unlock(&core.queue_lock);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(pthread_create(&calls[i].thread, NULL, advance, &calls[i]), 0);
        while (queued() < i + 1) {
            sched_yield();
        }
    }
    pthread_mutex_lock(&core.queue_lock);
    core.led = false;
    pthread_mutex_unlock(&core.queue_lock);
    advance(&last);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(pthread_join(calls[i].thread, NULL), 0);
    }
    return last.answer;
}

static uint64_t transaction(void)
{
    tide_info info = {.size = sizeof info};
    tide__detail detail;

    ck_assert_int_eq(tide__environment_stat(environment, &info, &detail), TIDE_OK);
    return info.transaction;
}

static void stands_at(const char *resource, tide_time expected)
{
    tide__detail detail;
    tide__id id;
    tide_mark mark;

    ck_assert_int_eq(tide__id_make(device, peer, resource, &id), TIDE_OK);
    ck_assert_int_eq(tide__core_view(&core, &id, &mark, &detail), TIDE_OK);
    ck_assert_int_eq(mark.watermark, expected);
}

static void make_calls(call *calls)
{
    for (int i = 0; i < CALLS; i++) {
        calls[i] = (call){.after = TIDE_TIME_NONE, .upto = 10 + i};
        snprintf(calls[i].resource, sizeof calls[i].resource, "mark-%d", i);
    }
}

START_TEST(who_waits_together_commits_together)
{
    call calls[CALLS];
    uint64_t before = transaction();

    make_calls(calls);
    ck_assert_int_eq(run_together(calls, CALLS), TIDE_OK);
    ck_assert_uint_eq(transaction(), before + 1);
    for (int i = 0; i < CALLS; i++) {
        ck_assert_int_eq(calls[i].answer, TIDE_OK);
        stands_at(calls[i].resource, 10 + i);
    }
    stands_at("last", 1);
}
END_TEST

/* In the order of the queue: the second sees what the first did. */
START_TEST(each_hears_its_own_answer)
{
    call calls[5] = {{.resource = "mark", .after = TIDE_TIME_NONE, .upto = 10},
                     {.resource = "mark", .after = 20, .upto = 30},
                     {.resource = "mark", .after = 10, .upto = 15},
                     {.resource = "mark", .after = TIDE_TIME_NONE, .upto = 12},
                     {.resource = "other", .after = 5, .upto = 6}};
    uint64_t before = transaction();

    ck_assert_int_eq(run_together(calls, 5), TIDE_OK);
    ck_assert_uint_eq(transaction(), before + 1);
    ck_assert_int_eq(calls[0].answer, TIDE_OK);
    ck_assert_int_eq(calls[1].answer, TIDE_GAP);
    ck_assert_int_eq(calls[2].answer, TIDE_OK);
    ck_assert_int_eq(calls[3].answer, TIDE_STALE);
    ck_assert_int_eq(calls[4].answer, TIDE_GAP);
    stands_at("mark", 15);
    stands_at("other", TIDE_TIME_NONE);
}
END_TEST

static void damage(const char *resource)
{
    MDB_txn *txn = NULL;
    tide__key key;
    char bad[] = "bad";
    MDB_val name, value = {3, bad};

    ck_assert_int_eq(tide__key_encode(device, peer, resource, &key), TIDE_OK);
    name = (MDB_val){key.length, key.text};
    ck_assert_int_eq(mdb_txn_begin(environment->mdb, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_put(txn, environment->marks, &name, &value, 0), 0);
    ck_assert_int_eq(tide__sum_write(environment, txn, 0, false, NULL), TIDE_OK);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
}

START_TEST(one_that_fails_does_not_fail_the_others)
{
    call calls[CALLS];
    uint64_t before;

    damage("mark-3");
    before = transaction();
    make_calls(calls);
    ck_assert_int_eq(run_together(calls, CALLS), TIDE_OK);
    for (int i = 0; i < CALLS; i++) {
        ck_assert_int_eq(calls[i].answer, i == 3 ? TIDE_ECORRUPT : TIDE_OK);
        ck_assert((calls[i].detail.text[0] != '\0') == (i == 3));
        if (i != 3)
            stands_at(calls[i].resource, 10 + i);
    }
    ck_assert_ptr_nonnull(strstr(calls[3].detail.text, "mark-3"));
    ck_assert_uint_eq(transaction(), before + CALLS); /* each by itself */
}
END_TEST

static int failing_barrier(void *ctx)
{
    ++*(int *)ctx;
    return -4242;
}

START_TEST(a_barrier_that_fails_fails_all)
{
    call calls[CALLS];
    int barriers = 0;
    uint64_t before = transaction();

    make_calls(calls);
    ck_assert_int_eq(tide__core_set_barrier(&core, failing_barrier, &barriers, &core, NULL),
                     TIDE_OK);
    ck_assert_int_eq(run_together(calls, CALLS), -4242);
    for (size_t i = 0; i < CALLS; i++) {
        ck_assert_int_eq(calls[i].answer, -4242);
        stands_at(calls[i].resource, TIDE_TIME_NONE);
    }
    ck_assert_int_eq(barriers, 1);
    ck_assert_uint_eq(transaction(), before);
    ck_assert_int_eq(tide__core_set_barrier(&core, NULL, &barriers, &core, NULL), TIDE_OK);
}
END_TEST

/* A removal goes alone, whoever waits before and behind it. */
START_TEST(what_takes_marks_back_goes_alone)
{
    tide__detail detail;
    tide__id id;
    call first = {.resource = "mark", .after = TIDE_TIME_NONE, .upto = 10};
    uint64_t before;
    size_t removed = 0;

    advance(&first);
    before = transaction();
    ck_assert_int_eq(tide__id_make(device, peer, "mark", &id), TIDE_OK);
    ck_assert_int_eq(tide__core_remove(&core, &id, &removed, &detail), TIDE_OK);
    ck_assert_uint_eq(removed, 1);
    ck_assert_uint_eq(transaction(), before + 1);
    stands_at("mark", TIDE_TIME_NONE);
}
END_TEST

static void defer(const char *resource, tide_time upto)
{
    tide__advance step = {.after = TIDE_TIME_NONE, .upto = upto, .epoch = TIDE_TIME_NONE};
    tide__detail detail;

    ck_assert_int_eq(tide__id_make(device, peer, resource, &step.id), TIDE_OK);
    ck_assert_int_eq(tide__core_advance(&core, &step, 1, false, &detail), TIDE_OK);
}

/* A store of 1 MiB without room for one mark more, with the marks "mark" at 10 and "last" at 0. */
static void open_full_core(void)
{
    tide_options options;
    tide_store *store;
    uint64_t count = 0;

    tear_down();
    test_options(&options, UINT64_C(64) << 10);
    options.max_size_bytes = UINT64_C(1) << 20;
    store = test_open(FILE_NAME, &options);
    ck_assert_int_eq(tide_advance(store, device, peer, "mark", 10), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, peer, "last", 0), TIDE_OK);
    for (uint64_t some = 256; some > 0; some /= 2) {
        while (test_fill(store, count, some, 5) == TIDE_OK) {
            count += some;
        }
    }
    tide_close(store);
    open_core(&options);
}

/* A mark that was published with the first call must not be published again with the second. */
START_TEST(in_a_full_store_each_call_publishes_what_is_left)
{
    call calls[2] = {{.resource = "mark", .after = TIDE_TIME_NONE, .upto = 100},
                     {.resource = "mark", .after = TIDE_TIME_NONE, .upto = 60}};
    char resource[24];

    open_full_core();
    for (int i = 0; i < 200; i++) { /* more than the last pages have left */
        snprintf(resource, sizeof resource, "pending-%d", i);
        defer(resource, 9);
    }
    defer("mark", 50);
    ck_assert_int_eq(run_together(calls, 2), TIDE_OK);
    ck_assert_int_eq(calls[0].answer, TIDE_OK);
    ck_assert_int_eq(calls[1].answer, TIDE_STALE);
    stands_at("mark", 100);
    ck_assert_uint_eq(tide__core_waiting(&core), 200);
}
END_TEST

/* The others are written, by whatever call. */
START_TEST(a_damaged_mark_that_waits_fails_nothing_else)
{
    call first = {.resource = "mark", .after = TIDE_TIME_NONE, .upto = 10};
    call other = {.resource = "other", .after = TIDE_TIME_NONE, .upto = 10};
    tide__detail detail;
    tide__id id;
    size_t removed = 0;

    advance(&first);
    defer("mark", 50);
    defer("tag", 5);
    damage("mark");
    advance(&other);
    ck_assert_int_eq(other.answer, TIDE_OK);
    ck_assert_uint_eq(tide__core_waiting(&core), 1);
    defer("tag", 6);
    tide__detail_clear(&detail);
    ck_assert_int_eq(tide__core_flush(&core, &detail), TIDE_ECORRUPT);
    ck_assert_ptr_nonnull(strstr(detail.text, "|mark"));
    ck_assert_uint_eq(tide__core_waiting(&core), 1);
    stands_at("tag", 6);
    first.upto = 60;
    advance(&first);
    ck_assert_int_eq(first.answer, TIDE_ECORRUPT);
    ck_assert_int_eq(tide__id_make(device, peer, "-", &id), TIDE_OK);
    ck_assert_int_eq(tide__core_remove(&core, &id, &removed, &detail), TIDE_OK);
    ck_assert_uint_eq(removed, 3);
    ck_assert_uint_eq(tide__core_waiting(&core), 0);
    ck_assert_int_eq(tide__core_flush(&core, &detail), TIDE_OK);
    stands_at("mark", TIDE_TIME_NONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("committer");
    TCase *test = test_case(suite, "committer");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, who_waits_together_commits_together);
    tcase_add_test(test, each_hears_its_own_answer);
    tcase_add_test(test, one_that_fails_does_not_fail_the_others);
    tcase_add_test(test, a_barrier_that_fails_fails_all);
    tcase_add_test(test, what_takes_marks_back_goes_alone);
    tcase_add_test(test, in_a_full_store_each_call_publishes_what_is_left);
    tcase_add_test(test, a_damaged_mark_that_waits_fails_nothing_else);
    return test_run(suite);
}
