/* Deferred advances: seen at once here, nowhere else until they are flushed; the barrier before
 * that; and what becomes of them when another process has changed the mark meanwhile. */
#define _GNU_SOURCE 1
#include <tidemark/store.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define ENTRY device, peer, "entry"

static test_remote remote; /* a process of its own, with its own open of the file */
static tide_store *store;  /* deferred by default */
static uuid_t device, peer;

static tide_store *open_deferred(void)
{
    tide_options options;

    test_options(&options, 0);
    options.durability = TIDE_DEFERRED;
    return test_open(FILE_NAME, &options);
}

static void set_up(void)
{
    test_uuid(device, 1);
    test_uuid(peer, 2);
    test_remote_start(&remote);
    store = open_deferred();
    ck_assert_int_eq(test_remote_open(&remote, FILE_NAME, 0), TIDE_OK);
}

static void tear_down(void)
{
    tide_close(store);
    store = NULL;
    test_remote_stop(&remote);
}

/* TIDE_TIME_NONE: absent. */
static void here(const char *resource, tide_time expected)
{
    tide_mark mark = {TIDE_TIME_NONE, 0, 0};
    int rc = tide_get(store, device, peer, resource, &mark);

    ck_assert_int_eq(rc, expected == TIDE_TIME_NONE ? TIDE_ABSENT : TIDE_OK);
    ck_assert_int_eq(mark.watermark, expected);
}

static void there(const char *resource, tide_time expected)
{
    tide_mark mark = {TIDE_TIME_NONE, 0, 0};
    int rc = test_remote_get(&remote, device, peer, resource, &mark);

    ck_assert_int_eq(rc, expected == TIDE_TIME_NONE ? TIDE_ABSENT : TIDE_OK);
    if (rc == TIDE_OK)
        ck_assert_int_eq(mark.watermark, expected);
}

static void defer(const char *resource, tide_time upto)
{
    ck_assert_int_eq(tide_advance(store, device, peer, resource, upto), TIDE_OK);
}

static int durably(const char *resource, tide_time upto)
{
    tide_step step = {device, peer, resource, TIDE_TIME_NONE, upto, TIDE_TIME_NONE};

    return tide_advance_many(store, &step, 1, TIDE_DURABLE);
}

static uint64_t pending(void)
{
    tide_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    return info.pending;
}

/* ---- where a deferred advance is seen ----------------------------------------------------------- */

START_TEST(seen_at_once_here_and_not_in_the_file)
{
    tide_store *second = test_open(FILE_NAME, NULL);
    tide_mark mark;

    defer("entry", 100);
    here("entry", 100);
    ck_assert_int_eq(tide_get(second, ENTRY, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 100);
    there("entry", TIDE_TIME_NONE);
    ck_assert_uint_eq(pending(), 1);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 100);
    here("entry", 100);
    ck_assert_uint_eq(pending(), 0);
    tide_close(second);
}
END_TEST

START_TEST(the_rules_hold_before_the_flush)
{
    tide_time max = 0;

    defer("entry", 100);
    ck_assert_int_eq(tide_advance(store, ENTRY, 100), TIDE_STALE);
    ck_assert_int_eq(tide_advance(store, ENTRY, 99), TIDE_STALE);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 101, 110), TIDE_GAP);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 100, 110), TIDE_OK);
    here("entry", 110);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, TIDE_TIME_NONE, 120), TIDE_OK);
    here("entry", 120);
    ck_assert_int_eq(tide_advance_range(store, device, peer, "tag", 5, 10), TIDE_GAP);
    here("tag", TIDE_TIME_NONE);
    there("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_max(store, device, &max), TIDE_OK);
    ck_assert_int_eq(max, 120);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 120);
}
END_TEST

START_TEST(pending_counts_what_is_not_durable)
{
    ck_assert_uint_eq(pending(), 0);
    defer("a", 1);
    defer("b", 1);
    defer("c", 1);
    ck_assert_uint_eq(pending(), 3);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_uint_eq(pending(), 0);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
}
END_TEST

START_TEST(a_hundred_thousand_advances_are_one_transaction)
{
    tide_info before = {.size = sizeof before}, after = before;

    ck_assert_int_eq(tide_stat(store, &before), TIDE_OK);
    for (tide_time time = 1; time <= 100000; time++) {
        test_require(tide_advance(store, ENTRY, time) == TIDE_OK);
    }
    there("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(tide_stat(store, &after), TIDE_OK);
    ck_assert_uint_eq(after.transaction, before.transaction + 1);
    there("entry", 100000);
}
END_TEST

/* ---- what flushes ------------------------------------------------------------------------------- */

START_TEST(close_flushes)
{
    defer("entry", 100);
    tide_close(store);
    there("entry", 100);
    store = open_deferred();
    here("entry", 100);
}
END_TEST

START_TEST(closing_one_of_two_handles_flushes)
{
    tide_store *second = open_deferred();

    defer("entry", 100);
    ck_assert_int_eq(tide_advance(second, device, peer, "tag", 200), TIDE_OK);
    tide_close(store);
    there("entry", 100);
    store = second;
    here("tag", 200);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("tag", 200);
}
END_TEST

START_TEST(a_durable_call_flushes)
{
    tide_store *durable = test_open(FILE_NAME, NULL);
    size_t removed = 0;

    defer("entry", 100);
    ck_assert_int_eq(tide_advance(durable, device, peer, "tag", 1), TIDE_OK);
    there("tag", 1);
    there("entry", 100);

    defer("entry", 200);
    ck_assert_int_eq(tide_advance_range(durable, device, peer, "tag", 1, 2), TIDE_OK);
    there("entry", 200);

    defer("entry", 300);
    ck_assert_int_eq(durably("tag", 3), TIDE_OK);
    there("entry", 300);

    defer("entry", 400);
    ck_assert_int_eq(tide_compare_and_set(store, device, peer, "tag", 3, 1), TIDE_OK);
    there("tag", 1);
    there("entry", 400);

    defer("entry", 500);
    ck_assert_int_eq(tide_remove_peer(store, peer, device, &removed), TIDE_OK);
    there("entry", 500);
    tide_close(durable);
}
END_TEST

/* Who advances durably and hears that the mark is there already, may rely on its being there. */
START_TEST(a_durable_call_that_is_stale_makes_the_mark_durable)
{
    defer("entry", 100);
    ck_assert_int_eq(durably("entry", 100), TIDE_STALE);
    there("entry", 100);
    defer("entry", 200);
    ck_assert_int_eq(durably("entry", 150), TIDE_STALE);
    there("entry", 200);
}
END_TEST

START_TEST(many_steps_may_be_deferred)
{
    tide_step steps[] = {{device, peer, "a", TIDE_TIME_NONE, 10, 77},
                         {device, peer, "b", TIDE_TIME_NONE, 20, TIDE_TIME_NONE},
                         {device, peer, "a", 10, 30, 77}};
    tide_store *durable = test_open(FILE_NAME, NULL);
    tide_mark mark;

    ck_assert_int_eq(tide_advance_many(durable, steps, 3, TIDE_DEFERRED), TIDE_OK);
    here("a", 30);
    here("b", 20);
    there("a", TIDE_TIME_NONE);
    steps[0].epoch = 78;
    steps[1].upto = 40;
    ck_assert_int_eq(tide_advance_many(durable, steps, 2, TIDE_DEFERRED), TIDE_CONFLICT);
    here("b", 20);
    ck_assert_int_eq(tide_flush(durable), TIDE_OK);
    ck_assert_int_eq(test_remote_get(&remote, device, peer, "a", &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 30);
    ck_assert_int_eq(mark.epoch, 77);
    there("b", 20);
    tide_close(durable);
}
END_TEST

START_TEST(the_default_is_that_of_the_handle)
{
    tide_step step = {device, peer, "entry", TIDE_TIME_NONE, 10, TIDE_TIME_NONE};
    tide_store *durable = test_open(FILE_NAME, NULL);

    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFAULT_DURABILITY), TIDE_OK);
    there("entry", TIDE_TIME_NONE);
    step.upto = 20;
    ck_assert_int_eq(tide_advance_many(durable, &step, 1, TIDE_DEFAULT_DURABILITY), TIDE_OK);
    there("entry", 20);
    tide_close(durable);
}
END_TEST

START_TEST(compare_and_set_goes_from_the_mark_as_seen_here)
{
    defer("entry", 100);
    ck_assert_int_eq(tide_compare_and_set(store, ENTRY, TIDE_TIME_NONE, 50), TIDE_CONFLICT);
    here("entry", 100);
    ck_assert_int_eq(tide_compare_and_set(store, ENTRY, 100, 50), TIDE_OK);
    here("entry", 50);
    there("entry", 50);
    defer("entry", 60);
    ck_assert_int_eq(tide_compare_and_set(store, ENTRY, 60, TIDE_TIME_NONE), TIDE_OK);
    here("entry", TIDE_TIME_NONE);
    there("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", TIDE_TIME_NONE);
}
END_TEST

START_TEST(remove_peer_removes_what_is_pending)
{
    uuid_t other;

    test_uuid(other, 3);
    ck_assert_int_eq(durably("entry", 10), TIDE_OK);
    defer("entry", 20);
    defer("tag", 5);
    ck_assert_int_eq(tide_advance(store, device, other, "tag", 6), TIDE_OK);
    ck_assert_int_eq(tide_remove_peer(store, device, peer, NULL), TIDE_OK);
    here("entry", TIDE_TIME_NONE);
    here("tag", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", TIDE_TIME_NONE);
    there("tag", TIDE_TIME_NONE);
    ck_assert_int_eq(test_remote_get(&remote, device, other, "tag", &(tide_mark){0}), TIDE_OK);
}
END_TEST

START_TEST(thousands_may_be_pending)
{
    for (uint64_t n = 0; n < 20000; n++) {
        uuid_t d, p;
        char resource[32];

        test_numbered(n, d, p, resource);
        test_require(tide_advance(store, d, p, resource, 5) == TIDE_OK);
    }
    ck_assert_uint_eq(test_count_at(store, 0, 20000, 5), 20000);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_uint_eq(pending(), 0);
    ck_assert_uint_eq(test_remote_count_at(&remote, 0, 20000, 5), 20000);
}
END_TEST

/* ---- the barrier -------------------------------------------------------------------------------- */

typedef struct barrier_state {
    int calls;
    int answer;
} barrier_state;

static int barrier(void *ctx)
{
    barrier_state *state = ctx;
    tide_mark mark;

    state->calls++;
    /* nothing is in the file yet */
    ck_assert_int_eq(test_remote_get(&remote, ENTRY, &mark), TIDE_ABSENT);
    return state->answer;
}

START_TEST(the_barrier_runs_before_publication)
{
    barrier_state state = {0, 0};

    ck_assert_int_eq(tide_set_barrier(store, barrier, &state), TIDE_OK);
    defer("entry", 100);
    defer("tag", 100);
    ck_assert_int_eq(state.calls, 0);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(state.calls, 1);
    there("entry", 100);
    ck_assert_int_eq(tide_set_barrier(store, NULL, &state), TIDE_OK);
    defer("entry", 200);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(state.calls, 1);
}
END_TEST

START_TEST(where_nothing_waits_no_barrier_runs)
{
    barrier_state state = {0, -4242};

    ck_assert_int_eq(tide_set_barrier(store, barrier, &state), TIDE_OK);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(store, NULL, &state), TIDE_OK);
    ck_assert_int_eq(state.calls, 0);
}
END_TEST

START_TEST(a_barrier_that_fails_publishes_nothing_and_keeps_all)
{
    barrier_state state = {0, -4242};

    ck_assert_int_eq(tide_set_barrier(store, barrier, &state), TIDE_OK);
    defer("entry", 100);
    defer("tag", 50);
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(tide_flush(store), -4242);
        ck_assert_int_eq(state.calls, i);
        there("entry", TIDE_TIME_NONE);
        there("tag", TIDE_TIME_NONE);
        here("entry", 100);
        ck_assert_uint_eq(pending(), 2);
    }
    defer("entry", 110);
    state.answer = 0;
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 110);
    there("tag", 50);
    ck_assert_uint_eq(pending(), 0);
}
END_TEST

START_TEST(only_a_negative_answer_stops)
{
    barrier_state state = {0, 7};

    ck_assert_int_eq(tide_set_barrier(store, barrier, &state), TIDE_OK);
    defer("entry", 100);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(state.calls, 1);
    there("entry", 100);
}
END_TEST

START_TEST(the_barrier_runs_for_durable_calls)
{
    barrier_state state = {0, -4242};
    tide_step step = {device, peer, "entry", TIDE_TIME_NONE, 5, TIDE_TIME_NONE};

    ck_assert_int_eq(tide_set_barrier(store, barrier, &state), TIDE_OK);
    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DURABLE), -4242);
    ck_assert_int_eq(state.calls, 1);
    here("entry", TIDE_TIME_NONE); /* a negative answer changed nothing */
    ck_assert_int_eq(tide_compare_and_set(store, ENTRY, TIDE_TIME_NONE, 5), -4242);
    ck_assert_int_eq(state.calls, 2);
    here("entry", TIDE_TIME_NONE);
    state.answer = 0;
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", TIDE_TIME_NONE);
    state.calls = 0;
    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DURABLE), TIDE_OK);
    ck_assert_int_eq(state.calls, 1);
    there("entry", 5);
}
END_TEST

START_TEST(close_runs_the_barrier)
{
    barrier_state state = {0, 0};

    ck_assert_int_eq(tide_set_barrier(store, barrier, &state), TIDE_OK);
    defer("entry", 100);
    tide_close(store);
    ck_assert_int_eq(state.calls, 1);
    there("entry", 100);
    store = open_deferred();
    defer("entry", 200);
    ck_assert_int_eq(tide_flush(store), TIDE_OK); /* the barrier went with its handle */
    ck_assert_int_eq(state.calls, 1);
}
END_TEST

static int counting_barrier(void *ctx)
{
    barrier_state *state = ctx;

    state->calls++;
    return state->answer;
}

START_TEST(all_barriers_of_a_file_run)
{
    barrier_state mine = {0, 0}, its = {0, 0};
    tide_store *second = open_deferred();

    ck_assert_int_eq(tide_set_barrier(store, counting_barrier, &mine), TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(second, counting_barrier, &its), TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(second, counting_barrier, &its),
                     TIDE_OK); /* the same again */
    ck_assert_int_eq(tide_advance(second, ENTRY, 100), TIDE_OK);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(mine.calls, 1);
    ck_assert_int_eq(its.calls, 1);
    ck_assert_int_eq(tide_compare_and_set(second, ENTRY, 100, TIDE_TIME_NONE), TIDE_OK);
    ck_assert_int_eq(mine.calls, 2);

    its.answer = -4242; /* one that fails stops all */
    defer("entry", 100);
    ck_assert_int_eq(tide_flush(store), -4242);
    there("entry", TIDE_TIME_NONE);
    here("entry", 100);
    its.answer = 0;
    ck_assert_int_eq(tide_set_barrier(store, NULL, &mine), TIDE_OK);
    there("entry", 100);
    ck_assert_int_eq(tide_compare_and_set(second, ENTRY, 100, TIDE_TIME_NONE), TIDE_OK);
    mine.calls = its.calls = 0;

    tide_close(second); /* and its barrier goes with it */
    defer("entry", 200);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(mine.calls, 0);
    ck_assert_int_eq(its.calls, 0);
    ck_assert_int_eq(tide_set_barrier(store, NULL, &mine), TIDE_OK); /* none of that ctx */
}
END_TEST

/* Without the barrier nothing would vouch for the rows. */
START_TEST(what_a_barrier_was_to_vouch_for_goes_with_it)
{
    barrier_state state = {0, -4242};
    tide_store *second = open_deferred();

    ck_assert_int_eq(durably("tag", 5), TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(store, barrier, &state), TIDE_OK);
    defer("entry", 100);
    defer("tag", 10);
    ck_assert_int_eq(tide_set_barrier(store, NULL, &state), -4242);
    ck_assert_int_eq(state.calls, 1);
    ck_assert_uint_eq(pending(), 0);
    here("entry", TIDE_TIME_NONE);
    here("tag", 5);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", TIDE_TIME_NONE);
    there("tag", 5);

    ck_assert_int_eq(tide_set_barrier(store, barrier, &state), TIDE_OK);
    defer("entry", 100);
    tide_close(store);
    ck_assert_int_eq(state.calls, 2);
    store = second;
    ck_assert_uint_eq(pending(), 0);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    here("entry", TIDE_TIME_NONE);
    there("entry", TIDE_TIME_NONE);
}
END_TEST

typedef struct notice_state {
    int calls;
    int code;
    char text[512];
} notice_state;

static void keep_notice(void *ctx, int code, const char *text)
{
    notice_state *state = ctx;

    state->calls++;
    state->code = code;
    snprintf(state->text, sizeof state->text, "%s", text);
}

START_TEST(a_close_that_cannot_flush_says_so)
{
    barrier_state state = {0, -4242};
    notice_state notice = {0, 0, ""};
    tide_options options;
    tide_store *noticed;

    test_options(&options, 0);
    options.durability = TIDE_DEFERRED;
    options.notice = keep_notice;
    options.notice_ctx = &notice;
    noticed = test_open(FILE_NAME, &options);
    ck_assert_int_eq(tide_set_barrier(noticed, barrier, &state), TIDE_OK);
    ck_assert_int_eq(tide_advance(noticed, ENTRY, 100), TIDE_OK);
    ck_assert_int_eq(tide_advance(noticed, device, peer, "tag", 100), TIDE_OK);
    tide_close(noticed);
    ck_assert_int_eq(notice.calls, 1);
    ck_assert_int_eq(notice.code, -4242);
    ck_assert_ptr_nonnull(strstr(notice.text, "2 advances were not written"));
    ck_assert_ptr_nonnull(strstr(notice.text, "barrier"));
    noticed = test_open(FILE_NAME, &options);
    ck_assert_int_eq(tide_advance(noticed, ENTRY, 100), TIDE_OK);
    tide_close(noticed);
    ck_assert_int_eq(notice.calls, 1);
    there("entry", 100);
}
END_TEST

static int each_nothing(void *ctx, const uuid_t d, const uuid_t p, const char *resource,
                        const tide_mark *mark)
{
    (void)ctx;
    (void)d;
    (void)p;
    (void)resource;
    (void)mark;
    return 0;
}

static int calling_barrier(void *ctx)
{
    tide_store *const *handles = ctx;

    for (int i = 0; i < 2; i++) {
        tide_step step = {device, peer, "entry", TIDE_TIME_NONE, 5, TIDE_TIME_NONE};
        tide_info info = {.size = sizeof info};
        tide_store *inner = handles[i];
        tide_mark mark;
        tide_time max;

        ck_assert_int_eq(tide_advance(inner, ENTRY, 999), TIDE_EBUSY);
        ck_assert_int_eq(tide_advance_range(inner, ENTRY, TIDE_TIME_NONE, 999), TIDE_EBUSY);
        ck_assert_int_eq(tide_advance_many(inner, &step, 1, TIDE_DURABLE), TIDE_EBUSY);
        ck_assert_int_eq(tide_advance_many(inner, &step, 1, TIDE_DEFERRED), TIDE_EBUSY);
        ck_assert_int_eq(tide_compare_and_set(inner, ENTRY, 100, 5), TIDE_EBUSY);
        ck_assert_int_eq(tide_remove_peer(inner, device, peer, NULL), TIDE_EBUSY);
        ck_assert_int_eq(tide_flush(inner), TIDE_EBUSY);
        ck_assert_int_eq(tide_each(inner, NULL, NULL, NULL, each_nothing, NULL), TIDE_EBUSY);
        ck_assert_int_eq(tide_max(inner, device, &max), TIDE_EBUSY);
        ck_assert_int_eq(tide_set_barrier(inner, NULL, NULL), TIDE_EBUSY);
        ck_assert_int_eq(tide_get(inner, ENTRY, &mark), TIDE_OK);
        ck_assert_int_eq(tide_stat(inner, &info), TIDE_OK);
    }
    return 0;
}

START_TEST(a_barrier_must_not_call_the_store)
{
    tide_store *handles[2] = {store, open_deferred()};

    ck_assert_int_eq(tide_set_barrier(store, calling_barrier, handles), TIDE_OK);
    defer("entry", 100);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 100);
    here("entry", 100);
    ck_assert_int_eq(tide_set_barrier(store, NULL, handles), TIDE_OK);
    tide_close(handles[1]);
}
END_TEST

typedef struct thread_state {
    test_signal begun;
    pthread_t thread;
    int barriers;
    int answer_get, answer_advance;
} thread_state;

static void *other_thread(void *ctx)
{
    thread_state *state = ctx;
    tide_mark mark;

    test_signal_send(&state->begun);
    state->answer_get = tide_get(store, device, peer, "tag", &mark);
    state->answer_advance = tide_advance(store, device, peer, "volume", 1);
    return NULL;
}

/* Starts the other thread, once, and goes on when it is about to call. */
static int threaded_barrier(void *ctx)
{
    thread_state *state = ctx;

    if (state->barriers++ > 0)
        return 0;
    ck_assert_int_eq(pthread_create(&state->thread, NULL, other_thread, state), 0);
    ck_assert(test_signal_wait(&state->begun));
    return 0;
}

START_TEST(another_thread_is_not_inside_the_barrier)
{
    thread_state state;

    memset(&state, 0, sizeof state);
    test_signal_make(&state.begun);
    ck_assert_int_eq(durably("tag", 1), TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(store, threaded_barrier, &state), TIDE_OK);
    defer("entry", 100);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(pthread_join(state.thread, NULL), 0);
    ck_assert_int_eq(state.answer_get, TIDE_OK);
    ck_assert_int_eq(state.answer_advance, TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(store, NULL, &state), TIDE_OK);
    test_signal_close(&state.begun);
}
END_TEST

/* The set is fixed before the barrier: what comes meanwhile was not made durable by it. */
START_TEST(what_comes_during_the_barrier_is_not_lost)
{
    thread_state state;

    memset(&state, 0, sizeof state);
    test_signal_make(&state.begun);
    ck_assert_int_eq(tide_set_barrier(store, threaded_barrier, &state), TIDE_OK);
    defer("entry", 100);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(pthread_join(state.thread, NULL), 0);
    there("entry", 100);
    here("volume", 1);
    there("volume", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_set_barrier(store, NULL, &state), TIDE_OK);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("volume", 1);
    test_signal_close(&state.begun);
}
END_TEST

/* ---- another process changes the mark meanwhile ------------------------------------------------- */

static void base_at_100_and_200_pending(void)
{
    ck_assert_int_eq(durably("entry", 100), TIDE_OK);
    defer("entry", 200);
    there("entry", 100);
}

START_TEST(what_another_process_wrote_is_seen)
{
    ck_assert_int_eq(durably("entry", 100), TIDE_OK);
    here("entry", 100);
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 150), TIDE_OK);
    here("entry", 150);
    ck_assert_int_eq(tide_advance(store, ENTRY, 140), TIDE_STALE);
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 150, 50), TIDE_OK);
    here("entry", 50);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 60, 70), TIDE_GAP);
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 50, TIDE_TIME_NONE), TIDE_OK);
    here("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 5), TIDE_OK);
    ck_assert_int_eq(tide_compare_and_set(store, ENTRY, 5, 6), TIDE_OK);
    there("entry", 6);
}
END_TEST

START_TEST(further_elsewhere_stays_further)
{
    base_at_100_and_200_pending();
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 300), TIDE_OK);
    here("entry", 300);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 300);
    here("entry", 300);
    ck_assert_uint_eq(pending(), 0);
}
END_TEST

START_TEST(less_far_elsewhere_is_raised)
{
    base_at_100_and_200_pending();
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 150), TIDE_OK);
    here("entry", 200);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 200);
}
END_TEST

START_TEST(created_elsewhere_is_raised)
{
    defer("entry", 200);
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 150), TIDE_OK);
    here("entry", 200);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 200);
}
END_TEST

START_TEST(a_rewind_elsewhere_stands)
{
    base_at_100_and_200_pending();
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 100, 50), TIDE_OK);
    ck_assert_int_ge(tide_flush(store), 0);
    there("entry", 50);
    here("entry", 50);
    ck_assert_uint_eq(pending(), 0);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 60, 70), TIDE_GAP);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 50, 70), TIDE_OK);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 70);
}
END_TEST

START_TEST(a_rewind_elsewhere_stands_with_every_way_to_flush)
{
    base_at_100_and_200_pending();
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 100, 50), TIDE_OK);
    ck_assert_int_eq(durably("tag", 1), TIDE_OK);
    there("entry", 50);
    there("tag", 1);
    defer("entry", 90);
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 50, 40), TIDE_OK);
    tide_close(store);
    there("entry", 40);
    store = open_deferred();
    here("entry", 40);
}
END_TEST

START_TEST(a_rewind_elsewhere_is_seen_before_the_flush)
{
    base_at_100_and_200_pending();
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 100, 50), TIDE_OK);
    here("entry", 50);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 200, 300), TIDE_GAP);
    ck_assert_int_ge(tide_flush(store), 0);
    there("entry", 50);
}
END_TEST

START_TEST(more_advances_do_not_hide_a_rewind_elsewhere)
{
    base_at_100_and_200_pending();
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 100, 50), TIDE_OK);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 200, 300), TIDE_GAP);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 50, 60), TIDE_OK);
    here("entry", 60);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 60);
}
END_TEST

START_TEST(a_removal_elsewhere_stands)
{
    base_at_100_and_200_pending();
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 100, TIDE_TIME_NONE), TIDE_OK);
    ck_assert_int_ge(tide_flush(store), 0);
    there("entry", TIDE_TIME_NONE);
    here("entry", TIDE_TIME_NONE);
    ck_assert_uint_eq(pending(), 0);
}
END_TEST

/* Wherever the mark has got to since: it was taken back meanwhile. */
START_TEST(a_rewind_elsewhere_stands_also_above_the_base)
{
    ck_assert_int_eq(durably("entry", 50), TIDE_OK);
    defer("entry", 100);
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 90), TIDE_OK);
    here("entry", 100);
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 90, 60), TIDE_OK);
    here("entry", 60);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 60);
    here("entry", 60);
    ck_assert_uint_eq(pending(), 0);
}
END_TEST

START_TEST(a_removal_elsewhere_stands_also_above_the_base)
{
    ck_assert_int_eq(durably("entry", 50), TIDE_OK);
    defer("entry", 100);
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 50, TIDE_TIME_NONE), TIDE_OK);
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 55), TIDE_OK);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 55);
    here("entry", 55);
}
END_TEST

START_TEST(a_rewind_of_another_mark_takes_nothing_back)
{
    ck_assert_int_eq(durably("entry", 50), TIDE_OK);
    ck_assert_int_eq(durably("tag", 50), TIDE_OK);
    defer("entry", 100);
    ck_assert_int_eq(test_remote_set(&remote, device, peer, "tag", 50, 10), TIDE_OK);
    here("entry", 100);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 100);
    there("tag", 10);
    defer("entry", 120); /* after the rewind: it is over */
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 110), TIDE_OK);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 120);
}
END_TEST

static void *advance_again(void *ctx)
{
    int *answer = ctx;

    *answer = tide_advance_range(store, ENTRY, 50, 100);
    return NULL;
}

/* Rewinds elsewhere, and lets another thread of ours go on from there. */
static int rewinding_barrier(void *ctx)
{
    barrier_state *state = ctx;
    pthread_t thread;

    if (state->calls++ == 0) {
        ck_assert_int_eq(test_remote_set(&remote, ENTRY, 60, 50), TIDE_OK);
        ck_assert_int_eq(pthread_create(&thread, NULL, advance_again, &state->answer), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
    }
    return 0;
}

START_TEST(what_is_deferred_on_a_rewind_during_the_flush_is_kept)
{
    barrier_state state = {0, -1};

    ck_assert_int_eq(durably("entry", 60), TIDE_OK);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 60, 100), TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(store, rewinding_barrier, &state), TIDE_OK);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(state.answer, TIDE_OK);
    here("entry", 100);
    there("entry", 50);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 100);
    ck_assert_int_eq(tide_set_barrier(store, NULL, &state), TIDE_OK);
}
END_TEST

static void *advance_further(void *ctx)
{
    int *answer = ctx;

    *answer = tide_advance_range(store, ENTRY, 50, 70);
    return NULL;
}

static void advance_in_a_thread(barrier_state *state)
{
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, advance_further, &state->answer), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(state->answer, TIDE_OK);
}

/* Lets another thread of ours go on from what waits, and rewinds elsewhere. */
static int rewinding_behind_barrier(void *ctx)
{
    barrier_state *state = ctx;

    if (state->calls++ == 0) {
        advance_in_a_thread(state);
        ck_assert_int_eq(test_remote_set(&remote, ENTRY, 10, 5), TIDE_OK);
        ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 30), TIDE_OK);
    }
    return 0;
}

START_TEST(a_rewind_elsewhere_stands_over_what_is_deferred_during_the_flush)
{
    barrier_state state = {0, -1};

    ck_assert_int_eq(durably("entry", 10), TIDE_OK);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 10, 50), TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(store, rewinding_behind_barrier, &state), TIDE_OK);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 30);
    here("entry", 30);
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 55), TIDE_OK); /* above what was dropped */
    here("entry", 55);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 55);
    ck_assert_int_eq(tide_set_barrier(store, NULL, &state), TIDE_OK);
}
END_TEST

static int advancing_barrier(void *ctx)
{
    barrier_state *state = ctx;

    if (state->calls++ == 0)
        advance_in_a_thread(state);
    return 0;
}

START_TEST(a_rewind_here_stands_over_what_is_deferred_during_it)
{
    barrier_state state = {0, -1};

    ck_assert_int_eq(durably("entry", 10), TIDE_OK);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 10, 50), TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(store, advancing_barrier, &state), TIDE_OK);
    ck_assert_int_eq(tide_compare_and_set(store, ENTRY, 50, 20), TIDE_OK);
    here("entry", 20);
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 55), TIDE_OK);
    here("entry", 55);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 55);
    ck_assert_int_eq(tide_set_barrier(store, NULL, &state), TIDE_OK);
}
END_TEST

/* What waits is removed, and so is what was raised on it meanwhile. */
START_TEST(a_removal_here_stands_over_what_is_deferred_during_it)
{
    barrier_state state = {0, -1};
    size_t removed = 0;

    ck_assert_int_eq(tide_advance(store, ENTRY, 50), TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(store, advancing_barrier, &state), TIDE_OK);
    ck_assert_int_eq(tide_remove_peer(store, device, peer, &removed), TIDE_OK);
    ck_assert_uint_eq(removed, 1);
    here("entry", TIDE_TIME_NONE);
    ck_assert_uint_eq(pending(), 0);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_set_barrier(store, NULL, &state), TIDE_OK);
}
END_TEST

/* The other thread is done with its calls when the set is written. */
static int joining_barrier(void *ctx)
{
    thread_state *state = ctx;

    if (state->barriers == 0) {
        (void)threaded_barrier(ctx);
        ck_assert_int_eq(pthread_join(state->thread, NULL), 0);
    }
    return 0;
}

/* A removal of other marks says nothing about a first mark that came during it. */
START_TEST(a_removal_here_keeps_first_marks_of_others)
{
    thread_state other;
    uuid_t gone;

    memset(&other, 0, sizeof other);
    test_uuid(gone, 3);
    test_signal_make(&other.begun);
    ck_assert_int_eq(tide_advance(store, device, gone, "entry", 5), TIDE_OK);
    ck_assert_int_eq(durably("tag", 1), TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(store, joining_barrier, &other), TIDE_OK);
    ck_assert_int_eq(tide_remove_peer(store, device, gone, NULL), TIDE_OK);
    ck_assert_int_eq(other.answer_advance, TIDE_OK);
    here("volume", 1);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("volume", 1);
    ck_assert_int_eq(tide_set_barrier(store, NULL, &other), TIDE_OK);
    test_signal_close(&other.begun);
}
END_TEST

/* The file has what waits, of another's making: what is raised now is based on that. */
START_TEST(an_advance_on_the_mark_in_the_file_does_not_inherit_a_dropped_base)
{
    ck_assert_int_eq(durably("entry", 10), TIDE_OK);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 10, 50), TIDE_OK);
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 10, 5), TIDE_OK);
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 50), TIDE_OK);
    here("entry", 50);
    ck_assert_int_eq(tide_advance_range(store, ENTRY, 50, 70), TIDE_OK);
    here("entry", 70);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 70);
}
END_TEST

START_TEST(a_removal_elsewhere_stands_where_there_was_no_mark)
{
    defer("entry", 50);
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 30), TIDE_OK);
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 30, TIDE_TIME_NONE), TIDE_OK);
    here("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", TIDE_TIME_NONE);
    ck_assert_uint_eq(pending(), 0);
}
END_TEST

/* A rewind removes nothing. */
START_TEST(a_rewind_of_another_mark_keeps_first_marks)
{
    ck_assert_int_eq(durably("tag", 10), TIDE_OK);
    defer("entry", 50);
    ck_assert_int_eq(test_remote_set(&remote, device, peer, "tag", 10, 5), TIDE_OK);
    here("entry", 50);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 50);
}
END_TEST

/* After a reset of our own the mark is as absent as one that never was. */
START_TEST(a_mark_that_was_reset_here_begins_anew)
{
    ck_assert_int_eq(durably("entry", 10), TIDE_OK);
    defer("entry", 20);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(durably("tag", 10), TIDE_OK);
    ck_assert_int_eq(tide_compare_and_set(store, ENTRY, 20, TIDE_TIME_NONE), TIDE_OK);
    defer("entry", 50);
    ck_assert_int_eq(test_remote_set(&remote, device, peer, "tag", 10, 5), TIDE_OK);
    here("entry", 50);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 50);
}
END_TEST

START_TEST(another_epoch_elsewhere_stands)
{
    tide_step mine = {device, peer, "entry", TIDE_TIME_NONE, 100, 77};
    tide_step its = {device, peer, "entry", TIDE_TIME_NONE, 150, 88};
    tide_mark mark;

    ck_assert_int_eq(tide_advance_many(store, &mine, 1, TIDE_DURABLE), TIDE_OK);
    mine.upto = 200;
    ck_assert_int_eq(tide_advance_many(store, &mine, 1, TIDE_DEFERRED), TIDE_OK);
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 100, TIDE_TIME_NONE), TIDE_OK);
    ck_assert_int_eq(test_remote_step(&remote, &its), TIDE_OK);
    ck_assert_int_ge(tide_flush(store), 0);
    ck_assert_int_eq(test_remote_get(&remote, ENTRY, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 150);
    ck_assert_int_eq(mark.epoch, 88);
    ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 150);
    ck_assert_int_eq(mark.epoch, 88);
}
END_TEST

START_TEST(an_epoch_given_elsewhere_first_stands)
{
    tide_step mine = {device, peer, "entry", TIDE_TIME_NONE, 200, 77};
    tide_step its = {device, peer, "entry", TIDE_TIME_NONE, 150, 88};
    tide_mark mark;

    ck_assert_int_eq(tide_advance_many(store, &mine, 1, TIDE_DEFERRED), TIDE_OK);
    ck_assert_int_eq(test_remote_step(&remote, &its), TIDE_OK);
    ck_assert_int_ge(tide_flush(store), 0);
    ck_assert_int_eq(test_remote_get(&remote, ENTRY, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 150);
    ck_assert_int_eq(mark.epoch, 88);
}
END_TEST

START_TEST(a_rewind_here_takes_back_what_is_pending)
{
    tide_store *second = test_open(FILE_NAME, NULL);

    base_at_100_and_200_pending();
    ck_assert_int_eq(tide_compare_and_set(second, ENTRY, 200, 20), TIDE_OK);
    here("entry", 20);
    there("entry", 20);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    there("entry", 20);
    tide_close(second);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deferred");
    TCase *test = test_case(suite, "deferred");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, seen_at_once_here_and_not_in_the_file);
    tcase_add_test(test, the_rules_hold_before_the_flush);
    tcase_add_test(test, pending_counts_what_is_not_durable);
    tcase_add_test(test, a_hundred_thousand_advances_are_one_transaction);
    tcase_add_test(test, close_flushes);
    tcase_add_test(test, closing_one_of_two_handles_flushes);
    tcase_add_test(test, a_durable_call_flushes);
    tcase_add_test(test, a_durable_call_that_is_stale_makes_the_mark_durable);
    tcase_add_test(test, many_steps_may_be_deferred);
    tcase_add_test(test, the_default_is_that_of_the_handle);
    tcase_add_test(test, compare_and_set_goes_from_the_mark_as_seen_here);
    tcase_add_test(test, remove_peer_removes_what_is_pending);
    tcase_add_test(test, thousands_may_be_pending);
    tcase_add_test(test, the_barrier_runs_before_publication);
    tcase_add_test(test, where_nothing_waits_no_barrier_runs);
    tcase_add_test(test, a_barrier_that_fails_publishes_nothing_and_keeps_all);
    tcase_add_test(test, only_a_negative_answer_stops);
    tcase_add_test(test, the_barrier_runs_for_durable_calls);
    tcase_add_test(test, close_runs_the_barrier);
    tcase_add_test(test, all_barriers_of_a_file_run);
    tcase_add_test(test, what_a_barrier_was_to_vouch_for_goes_with_it);
    tcase_add_test(test, a_close_that_cannot_flush_says_so);
    tcase_add_test(test, a_barrier_must_not_call_the_store);
    tcase_add_test(test, another_thread_is_not_inside_the_barrier);
    tcase_add_test(test, what_comes_during_the_barrier_is_not_lost);
    tcase_add_test(test, what_another_process_wrote_is_seen);
    tcase_add_test(test, further_elsewhere_stays_further);
    tcase_add_test(test, less_far_elsewhere_is_raised);
    tcase_add_test(test, created_elsewhere_is_raised);
    tcase_add_test(test, a_rewind_elsewhere_stands);
    tcase_add_test(test, a_rewind_elsewhere_stands_with_every_way_to_flush);
    tcase_add_test(test, a_rewind_elsewhere_is_seen_before_the_flush);
    tcase_add_test(test, more_advances_do_not_hide_a_rewind_elsewhere);
    tcase_add_test(test, a_removal_elsewhere_stands);
    tcase_add_test(test, a_rewind_elsewhere_stands_also_above_the_base);
    tcase_add_test(test, a_removal_elsewhere_stands_also_above_the_base);
    tcase_add_test(test, a_rewind_of_another_mark_takes_nothing_back);
    tcase_add_test(test, what_is_deferred_on_a_rewind_during_the_flush_is_kept);
    tcase_add_test(test, a_rewind_elsewhere_stands_over_what_is_deferred_during_the_flush);
    tcase_add_test(test, a_rewind_here_stands_over_what_is_deferred_during_it);
    tcase_add_test(test, a_removal_here_stands_over_what_is_deferred_during_it);
    tcase_add_test(test, a_removal_here_keeps_first_marks_of_others);
    tcase_add_test(test, an_advance_on_the_mark_in_the_file_does_not_inherit_a_dropped_base);
    tcase_add_test(test, a_removal_elsewhere_stands_where_there_was_no_mark);
    tcase_add_test(test, a_rewind_of_another_mark_keeps_first_marks);
    tcase_add_test(test, a_mark_that_was_reset_here_begins_anew);
    tcase_add_test(test, another_epoch_elsewhere_stands);
    tcase_add_test(test, an_epoch_given_elsewhere_first_stands);
    tcase_add_test(test, a_rewind_here_takes_back_what_is_pending);
    return test_run(suite);
}
