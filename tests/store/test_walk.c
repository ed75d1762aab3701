/* tide_each: every filter against brute force, the order, stopping, and callbacks that use the store. */
#define _GNU_SOURCE 1
#include <tidemark/store.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define MOST 2000

typedef struct item {
    uuid_t device, peer;
    char resource[TIDE_RESOURCE_MAX + 1];
    tide_mark mark;
} item;

typedef struct list {
    size_t count;
    size_t stop_at; /* 0: never */
    int stop_with;
    item items[MOST];
} list;

static tide_store *store;
static tide_time now;
static list want, got;

static void set_up(void)
{
    tide_options options;

    now = 1000;
    test_options(&options, 0);
    options.clock = test_clock;
    options.clock_ctx = &now;
    store = test_open("sync.mdb", &options);
    memset(&want, 0, sizeof want);
    memset(&got, 0, sizeof got);
}

static void tear_down(void)
{
    tide_close(store);
    store = NULL;
}

static void add(list *to, const unsigned char *device, const unsigned char *peer,
                const char *resource, const tide_mark *mark)
{
    item *one;

    ck_assert_uint_lt(to->count, MOST);
    one = &to->items[to->count++];
    memcpy(one->device, device, 16);
    memcpy(one->peer, peer, 16);
    snprintf(one->resource, sizeof one->resource, "%s", resource);
    one->mark = *mark;
}

static int collect(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                   const tide_mark *mark)
{
    list *to = ctx;

    add(to, device, peer, resource, mark);
    return to->stop_at != 0 && to->count == to->stop_at ? to->stop_with : 0;
}

static int by_key(const void *left, const void *right)
{
    const item *a = left, *b = right;
    int order = memcmp(a->device, b->device, 16);

    if (order == 0)
        order = memcmp(a->peer, b->peer, 16);
    return order != 0 ? order : strcmp(a->resource, b->resource);
}

static bool same_item(const item *a, const item *b)
{
    return by_key(a, b) == 0 && a->mark.watermark == b->mark.watermark &&
           a->mark.updated_at == b->mark.updated_at && a->mark.epoch == b->mark.epoch;
}

/* Walks with the filter and compares with the marks of `want` that fit it. */
static void walk_is(const unsigned char *device, const unsigned char *peer, const char *resource)
{
    size_t at = 0;

    got.count = 0;
    got.stop_at = 0;
    ck_assert_int_eq(tide_each(store, device, peer, resource, collect, &got), TIDE_OK);
    for (size_t i = 0; i < want.count; i++) {
        const item *one = &want.items[i];

        if (device != NULL && memcmp(device, one->device, 16) != 0)
            continue;
        if (peer != NULL && memcmp(peer, one->peer, 16) != 0)
            continue;
        if (resource != NULL && strcmp(resource, one->resource) != 0)
            continue;
        test_require(at < got.count);
        test_require(same_item(&got.items[at], one));
        at++;
    }
    ck_assert_uint_eq(got.count, at);
}

/* ---- filters ------------------------------------------------------------------------------------ */

static const char *const names[] = {"a",      "a!",    "a ",       "aa",       "ab",
                                    "b",      "entry", "~",        "\xc3\xa9", " ",
                                    "entry~", "z}",    "location", "}",        "\xf4\x8f\xbf\xbf"};
#define NAMES (sizeof names / sizeof *names)
#define PARTIES 10

/* Party 0 is all zeroes, party 1 all ones, 2 and 3 differ in the last bit. */
static void party(uuid_t out, uint64_t n)
{
    memset(out, n == 0 ? 0 : 0xff, 16);
    if (n >= 2)
        test_uuid(out, n < 4 ? 2 : n);
    if (n == 3)
        out[15] ^= 1;
}

static void fill_at_random(test_random *random, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        item one;
        bool known = false;
        tide_step step;

        party(one.device, test_below(random, PARTIES));
        party(one.peer, test_below(random, PARTIES));
        snprintf(one.resource, sizeof one.resource, "%s", names[test_below(random, NAMES)]);
        one.mark = (tide_mark){test_any_time(random), now,
                               i % 3 == 0 ? test_any_time(random) : TIDE_TIME_NONE};
        for (size_t k = 0; k < want.count; k++) {
            known = known || by_key(&want.items[k], &one) == 0;
        }
        if (known)
            continue;
        step = (tide_step){one.device,     one.peer,           one.resource,
                           TIDE_TIME_NONE, one.mark.watermark, one.mark.epoch};
        ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
        add(&want, one.device, one.peer, one.resource, &one.mark);
    }
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    qsort(want.items, want.count, sizeof *want.items, by_key);
}

START_TEST(every_filter_agrees_with_brute_force)
{
    test_random random = {8};
    size_t counts[] = {3, 40, 300, 1100};

    fill_at_random(&random, counts[_i]);
    ck_assert_uint_ge(want.count, 2);
    walk_is(NULL, NULL, NULL);
    ck_assert_uint_eq(got.count, want.count);
    for (uint64_t d = 0; d <= PARTIES;
         d++) { /* one party and one name too many: they have no mark */
        uuid_t device;

        party(device, d);
        walk_is(device, NULL, NULL);
        walk_is(NULL, device, NULL);
        for (uint64_t p = 0; p <= PARTIES; p++) {
            uuid_t peer;

            party(peer, p);
            walk_is(device, peer, NULL);
            for (size_t r = 0; r <= NAMES; r++) {
                walk_is(device, peer, r < NAMES ? names[r] : "none");
            }
        }
        for (size_t r = 0; r <= NAMES; r++) {
            walk_is(device, NULL, r < NAMES ? names[r] : "none");
            walk_is(NULL, device, r < NAMES ? names[r] : "none");
        }
    }
    for (size_t r = 0; r <= NAMES; r++) {
        walk_is(NULL, NULL, r < NAMES ? names[r] : "none");
    }
}
END_TEST

START_TEST(an_empty_store_has_nothing_to_walk)
{
    uuid_t device;

    test_uuid(device, 1);
    walk_is(NULL, NULL, NULL);
    walk_is(device, NULL, NULL);
    walk_is(NULL, device, NULL);
    walk_is(device, device, "entry");
    walk_is(NULL, NULL, "entry");
}
END_TEST

START_TEST(the_longest_names_are_walked)
{
    char name[TIDE_RESOURCE_MAX + 1];
    uuid_t device, peer;
    tide_mark mark = {1, 1000, TIDE_TIME_NONE};

    memset(name, 'r', sizeof name);
    name[TIDE_RESOURCE_MAX] = '\0';
    for (uint64_t d = 0; d < 4; d++) {
        party(device, d);
        party(peer, 3 - d);
        ck_assert_int_eq(tide_advance(store, device, peer, name, 1), TIDE_OK);
        add(&want, device, peer, name, &mark);
        name[TIDE_RESOURCE_MAX - 1] = '\0';
        ck_assert_int_eq(tide_advance(store, device, peer, name, 1), TIDE_OK);
        add(&want, device, peer, name, &mark);
        name[TIDE_RESOURCE_MAX - 1] = 'r';
    }
    qsort(want.items, want.count, sizeof *want.items, by_key);
    walk_is(NULL, NULL, NULL);
    walk_is(NULL, NULL, name);
    ck_assert_uint_eq(got.count, 4);
    walk_is(device, NULL, name);
    walk_is(NULL, peer, name);
    ck_assert_uint_eq(got.count, 1);
}
END_TEST

START_TEST(a_long_walk_over_the_longest_names_is_whole)
{
    static char names_of[1000][TIDE_RESOURCE_MAX + 1];
    tide_mark mark = {1, 1000, TIDE_TIME_NONE};
    uuid_t device, peer;

    party(device, 4);
    for (size_t i = 0; i < 1000; i++) {
        tide_step step = {device, peer, names_of[i], TIDE_TIME_NONE, 1, TIDE_TIME_NONE};

        party(peer, 5 + i / 100);
        memset(names_of[i], 'r', TIDE_RESOURCE_MAX);
        snprintf(names_of[i], 5, "%04zu", i);
        names_of[i][4] = '-';
        ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
        add(&want, device, peer, names_of[i], &mark);
    }
    qsort(want.items, want.count, sizeof *want.items, by_key);
    walk_is(NULL, NULL, NULL);
    walk_is(device, NULL, NULL);
    walk_is(NULL, peer, NULL);
    ck_assert_uint_eq(got.count, 100);
    walk_is(NULL, NULL, names_of[999]);
    ck_assert_uint_eq(got.count, 1);
}
END_TEST

/* ---- stopping ----------------------------------------------------------------------------------- */

START_TEST(what_the_callback_returns_stops_the_walk_and_is_returned)
{
    static const int values[] = {1, 2, 4, 7, -1, -5000, INT32_MAX, INT32_MIN};
    test_random random = {9};
    uuid_t device;

    fill_at_random(&random, 200);
    memcpy(device, want.items[0].device, 16);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        got.count = 0;
        got.stop_at = i + 1;
        got.stop_with = values[i];
        ck_assert_int_eq(tide_each(store, NULL, NULL, NULL, collect, &got), values[i]);
        ck_assert_uint_eq(got.count, i + 1);
        got.count = 0;
        got.stop_at = 1;
        ck_assert_int_eq(tide_each(store, device, NULL, NULL, collect, &got), values[i]);
        ck_assert_uint_eq(got.count, 1);
        got.count = 0;
        ck_assert_int_eq(tide_each(store, NULL, NULL, want.items[0].resource, collect, &got),
                         values[i]);
        ck_assert_uint_eq(got.count, 1);
    }
}
END_TEST

/* ---- pending ------------------------------------------------------------------------------------ */

START_TEST(what_is_pending_is_flushed_and_walked)
{
    tide_info info = {.size = sizeof info};
    tide_mark mark = {7, 1000, TIDE_TIME_NONE};
    uuid_t device, peer;
    tide_step step;

    party(device, 4);
    party(peer, 5);
    step = (tide_step){device, peer, "entry", TIDE_TIME_NONE, 7, TIDE_TIME_NONE};
    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
    add(&want, device, peer, "entry", &mark);
    walk_is(NULL, NULL, NULL);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    ck_assert_uint_eq(info.pending, 0);
    ck_assert_uint_eq(info.marks, 1);
}
END_TEST

static int failing_barrier(void *ctx)
{
    (void)ctx;
    return -4242;
}

START_TEST(without_the_flush_there_is_no_walk)
{
    uuid_t device, peer;
    tide_step step;

    party(device, 4);
    party(peer, 5);
    step = (tide_step){device, peer, "entry", TIDE_TIME_NONE, 7, TIDE_TIME_NONE};
    ck_assert_int_eq(tide_set_barrier(store, failing_barrier, NULL), TIDE_OK);
    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
    ck_assert_int_eq(tide_each(store, NULL, NULL, NULL, collect, &got), -4242);
    ck_assert_uint_eq(got.count, 0);
    ck_assert_int_eq(tide_set_barrier(store, NULL, NULL), -4242);
}
END_TEST

/* ---- callbacks that use the store --------------------------------------------------------------- */

typedef struct visit {
    size_t seen[600];
    size_t calls;
} visit;

static size_t number_of(const char *resource)
{
    return (size_t)strtoul(resource + 1, NULL, 10);
}

static int read_in_walk(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                        const tide_mark *mark)
{
    visit *all = ctx;
    tide_mark now_is;

    ck_assert_int_eq(tide_get(store, device, peer, resource, &now_is), TIDE_OK);
    ck_assert_mem_eq(&now_is, mark, sizeof now_is);
    all->seen[number_of(resource)]++;
    all->calls++;
    return 0;
}

static int nested_walk(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                       const tide_mark *mark)
{
    visit inner;

    memset(&inner, 0, sizeof inner);
    ck_assert_int_eq(tide_each(store, device, peer, resource, read_in_walk, &inner), TIDE_OK);
    ck_assert_uint_eq(inner.calls, 1);
    return read_in_walk(ctx, device, peer, resource, mark);
}

/* Raises the mark at hand, removes the one before and the one behind, adds one far behind. */
static int change_in_walk(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                          const tide_mark *mark)
{
    visit *all = ctx;
    size_t n = number_of(resource);
    char other[16];

    all->seen[n]++;
    all->calls++;
    if (n % 4 == 2)
        return 0; /* gone by now, and seen as it was */
    ck_assert_int_eq(tide_advance(store, device, peer, resource, mark->watermark + 1), TIDE_OK);
    if (n % 4 == 1 && n < 500) {
        snprintf(other, sizeof other, "r%03zu", n - 1);
        ck_assert_int_eq(tide_compare_and_set(store, device, peer, other, 2, TIDE_TIME_NONE),
                         TIDE_OK);
        snprintf(other, sizeof other, "r%03zu", n + 1);
        ck_assert_int_eq(tide_compare_and_set(store, device, peer, other, 1, TIDE_TIME_NONE),
                         TIDE_OK);
        snprintf(other, sizeof other, "r%03zu", 500 + n / 20);
        (void)tide_advance(store, device, peer, other, 1);
    }
    return 0;
}

static void make_series(uuid_t device, uuid_t peer, size_t count)
{
    party(device, 4);
    party(peer, 5);
    for (size_t i = 0; i < count; i++) {
        char name[32];
        tide_step step = {device, peer, name, TIDE_TIME_NONE, 1, TIDE_TIME_NONE};

        snprintf(name, sizeof name, "r%03zu", i);
        ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
    }
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
}

START_TEST(a_callback_may_read_and_walk)
{
    uuid_t device, peer;
    visit all;

    memset(&all, 0, sizeof all);
    make_series(device, peer, 500);
    ck_assert_int_eq(tide_each(store, NULL, NULL, NULL, read_in_walk, &all), TIDE_OK);
    ck_assert_uint_eq(all.calls, 500);
    memset(&all, 0, sizeof all);
    ck_assert_int_eq(tide_each(store, device, peer, NULL, nested_walk, &all), TIDE_OK);
    ck_assert_uint_eq(all.calls, 500);
}
END_TEST

START_TEST(a_callback_may_change_the_store_and_what_stays_is_seen_once)
{
    uuid_t device, peer;
    visit all;

    memset(&all, 0, sizeof all);
    make_series(device, peer, 500);
    ck_assert_int_eq(tide_each(store, device, NULL, NULL, change_in_walk, &all), TIDE_OK);
    for (size_t n = 0; n < 500; n++) {
        tide_mark mark;
        char name[16];
        int rc;

        snprintf(name, sizeof name, "r%03zu", n);
        rc = tide_get(store, device, peer, name, &mark);
        if (n % 2 == 1) { /* these stay */
            test_require(all.seen[n] == 1);
            test_require(rc == TIDE_OK && mark.watermark == 2);
        } else {
            test_require(all.seen[n] <= 1);
            test_require(rc == TIDE_ABSENT);
        }
        if (n % 4 == 0)
            test_require(all.seen[n] == 1); /* removed only after its turn */
    }
    for (size_t n = 500; n < 600; n++) {
        test_require(all.seen[n] <= 1);
    }
}
END_TEST

static int remove_in_walk(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                          const tide_mark *mark)
{
    (void)resource;
    (void)mark;
    ++*(size_t *)ctx;
    ck_assert_int_eq(tide_remove_peer(store, device, peer, NULL), TIDE_OK);
    return 0;
}

START_TEST(a_callback_may_take_everything_away)
{
    tide_info info = {.size = sizeof info};
    uuid_t device, peer;
    size_t calls = 0;

    make_series(device, peer, 500);
    ck_assert_int_eq(tide_each(store, NULL, NULL, NULL, remove_in_walk, &calls), TIDE_OK);
    ck_assert_uint_ge(calls, 1);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    ck_assert_uint_eq(info.marks, 0);
}
END_TEST

static int store_has_no_snapshot(void *ctx, const uuid_t device, const uuid_t peer,
                                 const char *resource, const tide_mark *mark)
{
    tide_info *first = ctx;
    tide_info info = {.size = sizeof info};

    (void)device;
    (void)peer;
    (void)mark;
    ck_assert_int_eq(test_fill(store, 0, 600, (tide_time)number_of(resource)), TIDE_OK);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    if (number_of(resource) == 20)
        *first = info;
    if (number_of(resource) > 20)
        ck_assert_uint_eq(info.file_bytes, first->file_bytes);
    return number_of(resource) == 60;
}

/* A snapshot held meanwhile would make each of these commits take new pages. */
START_TEST(no_snapshot_is_held_while_the_callback_runs)
{
    tide_info first;
    uuid_t device, peer;

    make_series(device, peer, 100);
    ck_assert_int_eq(tide_each(store, device, peer, NULL, store_has_no_snapshot, &first), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("walk");
    TCase *test = test_case(suite, "walks");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, every_filter_agrees_with_brute_force, 0, 4);
    tcase_add_test(test, an_empty_store_has_nothing_to_walk);
    tcase_add_test(test, the_longest_names_are_walked);
    tcase_add_test(test, a_long_walk_over_the_longest_names_is_whole);
    tcase_add_test(test, what_the_callback_returns_stops_the_walk_and_is_returned);
    tcase_add_test(test, what_is_pending_is_flushed_and_walked);
    tcase_add_test(test, without_the_flush_there_is_no_walk);
    tcase_add_test(test, a_callback_may_read_and_walk);
    tcase_add_test(test, a_callback_may_change_the_store_and_what_stays_is_seen_once);
    tcase_add_test(test, a_callback_may_take_everything_away);
    tcase_add_test(test, no_snapshot_is_held_while_the_callback_runs);
    return test_run(suite);
}
