/* Marks through the public header: every call, every answer, and that a failure changes nothing. */
#define _GNU_SOURCE 1
#include <tidemark/store.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support.h"

#define FILE_NAME "sync.mdb"

static const tide_mark untouched = {-11, -22, -33};

static tide_store *store;
static tide_time now; /* of the store's clock */
static uuid_t device, peer, other;

static void open_again(void)
{
    tide_options options;

    tide_close(store);
    test_options(&options, 0);
    options.clock = test_clock;
    options.clock_ctx = &now;
    store = test_open(FILE_NAME, &options);
}

static void set_up(void)
{
    now = 1000;
    test_uuid(device, 1);
    test_uuid(peer, 2);
    test_uuid(other, 3);
    store = NULL;
    open_again();
}

static void tear_down(void)
{
    tide_close(store);
    store = NULL;
}

static void mark_is(const uuid_t d, const uuid_t p, const char *resource, tide_time watermark,
                    tide_time updated_at, tide_time epoch)
{
    tide_mark mark = untouched;

    ck_assert_int_eq(tide_get(store, d, p, resource, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, watermark);
    ck_assert_int_eq(mark.updated_at, updated_at);
    ck_assert_int_eq(mark.epoch, epoch);
}

static void at(const char *resource, tide_time watermark)
{
    tide_mark mark = untouched;

    ck_assert_int_eq(tide_get(store, device, peer, resource, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, watermark);
}

static void absent(const char *resource)
{
    tide_mark mark = untouched;

    ck_assert_int_eq(tide_get(store, device, peer, resource, &mark), TIDE_ABSENT);
    ck_assert_mem_eq(&mark, &untouched, sizeof mark);
}

static int advance(const char *resource, tide_time upto)
{
    return tide_advance(store, device, peer, resource, upto);
}

static int range(const char *resource, tide_time after, tide_time upto)
{
    return tide_advance_range(store, device, peer, resource, after, upto);
}

static int set(const char *resource, tide_time expected, tide_time desired)
{
    return tide_compare_and_set(store, device, peer, resource, expected, desired);
}

static tide_step step(const char *resource, tide_time after, tide_time upto, tide_time epoch)
{
    return (tide_step){device, peer, resource, after, upto, epoch};
}

static int many(const tide_step *steps, size_t count)
{
    return tide_advance_many(store, steps, count, TIDE_DEFAULT_DURABILITY);
}

static tide_info info(void)
{
    tide_info out;

    memset(&out, 0, sizeof out);
    out.size = sizeof out;
    ck_assert_int_eq(tide_stat(store, &out), TIDE_OK);
    return out;
}

/* ---- one mark ----------------------------------------------------------------------------------- */

START_TEST(an_absent_mark_is_absent)
{
    absent("entry");
    ck_assert_int_eq(advance("entry", 5), TIDE_OK);
    absent("entr");
    absent("entry2");
    absent("Entry");
    ck_assert_int_eq(tide_get(store, peer, device, "entry", &(tide_mark){0}), TIDE_ABSENT);
    ck_assert_int_eq(tide_get(store, device, other, "entry", &(tide_mark){0}), TIDE_ABSENT);
    ck_assert_int_eq(tide_get(store, other, peer, "entry", &(tide_mark){0}), TIDE_ABSENT);
}
END_TEST

START_TEST(advance_raises_and_never_lowers)
{
    ck_assert_int_eq(advance("entry", 100), TIDE_OK);
    at("entry", 100);
    ck_assert_int_eq(advance("entry", 100), TIDE_STALE);
    ck_assert_int_eq(advance("entry", 99), TIDE_STALE);
    ck_assert_int_eq(advance("entry", -5), TIDE_STALE);
    ck_assert_int_eq(advance("entry", TIDE_TIME_MIN), TIDE_STALE);
    at("entry", 100);
    ck_assert_int_eq(advance("entry", 101), TIDE_OK);
    at("entry", 101);
    ck_assert_int_eq(advance("entry", TIDE_TIME_MAX), TIDE_OK);
    at("entry", TIDE_TIME_MAX);
    ck_assert_int_eq(advance("entry", TIDE_TIME_MAX), TIDE_STALE);
}
END_TEST

START_TEST(advance_knows_the_ends_of_time)
{
    ck_assert_int_eq(advance("entry", TIDE_TIME_NONE), TIDE_EINVAL);
    absent("entry");
    ck_assert_int_eq(advance("entry", TIDE_TIME_MIN), TIDE_OK);
    at("entry", TIDE_TIME_MIN);
    ck_assert_int_eq(advance("entry", TIDE_TIME_MIN), TIDE_STALE);
    ck_assert_int_eq(advance("entry", TIDE_TIME_MIN + 1), TIDE_OK);
    ck_assert_int_eq(advance("entry", TIDE_TIME_NONE), TIDE_EINVAL);
    at("entry", TIDE_TIME_MIN + 1);
    ck_assert_int_eq(advance("entry", -1), TIDE_OK);
    ck_assert_int_eq(advance("entry", 0), TIDE_OK);
    at("entry", 0);
}
END_TEST

START_TEST(a_range_must_join_on)
{
    ck_assert_int_eq(range("entry", 50, 60), TIDE_GAP);
    ck_assert_int_eq(range("entry", TIDE_TIME_MIN, 60), TIDE_GAP);
    absent("entry");
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 60), TIDE_OK);
    at("entry", 60);
    ck_assert_int_eq(range("entry", 61, 70), TIDE_GAP);
    ck_assert_int_eq(range("entry", 69, 70), TIDE_GAP);
    at("entry", 60);
    ck_assert_int_eq(range("entry", 60, 70), TIDE_OK);
    at("entry", 70);
    ck_assert_int_eq(range("entry", 10, 80), TIDE_OK);
    at("entry", 80);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 90), TIDE_OK);
    ck_assert_int_eq(range("entry", TIDE_TIME_MIN, 100), TIDE_OK);
    at("entry", 100);
    ck_assert_int_eq(range("entry", 10, 100), TIDE_STALE);
    ck_assert_int_eq(range("entry", 10, 99), TIDE_STALE);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, TIDE_TIME_MIN), TIDE_STALE);
    ck_assert_int_eq(range("entry", 100, TIDE_TIME_MAX), TIDE_OK);
    at("entry", TIDE_TIME_MAX);
    ck_assert_int_eq(range("entry", TIDE_TIME_MAX - 1, TIDE_TIME_MAX), TIDE_STALE);
}
END_TEST

START_TEST(a_range_at_the_beginning_of_time)
{
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, TIDE_TIME_MIN), TIDE_OK);
    at("entry", TIDE_TIME_MIN);
    ck_assert_int_eq(range("entry", TIDE_TIME_MIN, TIDE_TIME_MIN + 1), TIDE_OK);
    at("entry", TIDE_TIME_MIN + 1);
    ck_assert_int_eq(range("tag", TIDE_TIME_MAX - 1, TIDE_TIME_MAX), TIDE_GAP);
    ck_assert_int_eq(range("tag", TIDE_TIME_NONE, TIDE_TIME_MAX), TIDE_OK);
    at("tag", TIDE_TIME_MAX);
}
END_TEST

START_TEST(a_range_has_a_length)
{
    ck_assert_int_eq(advance("entry", 100), TIDE_OK);
    ck_assert_int_eq(range("entry", 100, 100), TIDE_EINVAL);
    ck_assert_int_eq(range("entry", 200, 100), TIDE_EINVAL);
    ck_assert_int_eq(range("entry", 50, 49), TIDE_EINVAL);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, TIDE_TIME_NONE), TIDE_EINVAL);
    ck_assert_int_eq(range("entry", 1, TIDE_TIME_NONE), TIDE_EINVAL);
    ck_assert_int_eq(range("entry", TIDE_TIME_MAX, TIDE_TIME_MAX), TIDE_EINVAL);
    ck_assert_int_eq(range("entry", TIDE_TIME_MAX, TIDE_TIME_MIN), TIDE_EINVAL);
    at("entry", 100);
}
END_TEST

START_TEST(compare_and_set_is_exact)
{
    ck_assert_int_eq(set("entry", 5, 10), TIDE_CONFLICT);
    ck_assert_int_eq(set("entry", TIDE_TIME_MIN, 10), TIDE_CONFLICT);
    ck_assert_int_eq(set("entry", 5, TIDE_TIME_NONE), TIDE_CONFLICT);
    ck_assert_int_eq(set("entry", 5, 5), TIDE_CONFLICT);
    absent("entry");
    ck_assert_int_eq(set("entry", TIDE_TIME_NONE, TIDE_TIME_NONE), TIDE_OK);
    absent("entry");
    ck_assert_int_eq(set("entry", TIDE_TIME_NONE, 10), TIDE_OK);
    at("entry", 10);
    ck_assert_int_eq(set("entry", TIDE_TIME_NONE, 20), TIDE_CONFLICT);
    ck_assert_int_eq(set("entry", TIDE_TIME_NONE, TIDE_TIME_NONE), TIDE_CONFLICT);
    ck_assert_int_eq(set("entry", 9, 20), TIDE_CONFLICT);
    ck_assert_int_eq(set("entry", 11, 20), TIDE_CONFLICT);
    ck_assert_int_eq(set("entry", 9, TIDE_TIME_NONE), TIDE_CONFLICT);
    at("entry", 10);
    ck_assert_int_eq(set("entry", 10, 10), TIDE_OK);
    at("entry", 10);
    ck_assert_int_eq(set("entry", 10, 20), TIDE_OK);
    ck_assert_int_eq(set("entry", 20, 5), TIDE_OK);
    at("entry", 5);
    ck_assert_int_eq(set("entry", 5, TIDE_TIME_MIN), TIDE_OK);
    ck_assert_int_eq(set("entry", TIDE_TIME_MIN, TIDE_TIME_MAX), TIDE_OK);
    at("entry", TIDE_TIME_MAX);
    ck_assert_int_eq(set("entry", TIDE_TIME_MAX, TIDE_TIME_NONE), TIDE_OK);
    absent("entry");
    ck_assert_int_eq(set("entry", TIDE_TIME_MAX, TIDE_TIME_NONE), TIDE_CONFLICT);
}
END_TEST

START_TEST(a_rewound_mark_advances_again)
{
    ck_assert_int_eq(advance("entry", 100), TIDE_OK);
    ck_assert_int_eq(set("entry", 100, 50), TIDE_OK);
    ck_assert_int_eq(range("entry", 60, 70), TIDE_GAP);
    ck_assert_int_eq(range("entry", 50, 70), TIDE_OK);
    at("entry", 70);
    ck_assert_int_eq(set("entry", 70, TIDE_TIME_NONE), TIDE_OK);
    ck_assert_int_eq(range("entry", 50, 70), TIDE_GAP);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 1), TIDE_OK);
    at("entry", 1);
}
END_TEST

START_TEST(updated_at_is_the_clock_at_the_last_write)
{
    ck_assert_int_eq(advance("entry", 100), TIDE_OK);
    mark_is(device, peer, "entry", 100, 1000, TIDE_TIME_NONE);
    now = 2000;
    ck_assert_int_eq(advance("entry", 100), TIDE_STALE);
    ck_assert_int_eq(range("entry", 200, 300), TIDE_GAP);
    ck_assert_int_eq(set("entry", 1, 2), TIDE_CONFLICT);
    mark_is(device, peer, "entry", 100, 1000, TIDE_TIME_NONE);
    ck_assert_int_eq(range("entry", 100, 150), TIDE_OK);
    mark_is(device, peer, "entry", 150, 2000, TIDE_TIME_NONE);
    now = 500; /* the clock may go back */
    ck_assert_int_eq(set("entry", 150, 50), TIDE_OK);
    mark_is(device, peer, "entry", 50, 500, TIDE_TIME_NONE);
    now = TIDE_TIME_MIN;
    ck_assert_int_eq(advance("entry", 60), TIDE_OK);
    mark_is(device, peer, "entry", 60, TIDE_TIME_MIN, TIDE_TIME_NONE);
    now = TIDE_TIME_MAX;
    ck_assert_int_eq(advance("entry", 70), TIDE_OK);
    mark_is(device, peer, "entry", 70, TIDE_TIME_MAX, TIDE_TIME_NONE);
}
END_TEST

START_TEST(a_clock_without_time_does_no_damage)
{
    tide_mark mark = untouched;
    int rc;

    now = TIDE_TIME_NONE;
    rc = advance("entry", 100);
    now = 7;
    if (rc == TIDE_OK) {
        ck_assert_int_eq(tide_get(store, device, peer, "entry", &mark), TIDE_OK);
        ck_assert_int_eq(mark.watermark, 100);
    } else {
        ck_assert_int_lt(rc, 0);
        absent("entry");
    }
    open_again();
    ck_assert_int_eq(advance("entry", 200), TIDE_OK);
    at("entry", 200);
}
END_TEST

static tide_time real_time(void)
{
    struct timespec time;

    ck_assert_int_eq(clock_gettime(CLOCK_REALTIME, &time), 0);
    return (tide_time)time.tv_sec * 1000000000 + time.tv_nsec;
}

START_TEST(without_a_clock_it_is_the_systems)
{
    tide_time before = real_time(), after;
    tide_store *plain = test_open("plain.mdb", NULL);
    tide_mark mark;

    ck_assert_int_eq(tide_advance(plain, device, peer, "entry", 1), TIDE_OK);
    after = real_time();
    ck_assert_int_eq(tide_get(plain, device, peer, "entry", &mark), TIDE_OK);
    ck_assert_int_ge(mark.updated_at, before);
    ck_assert_int_le(mark.updated_at, after);
    tide_close(plain);
}
END_TEST

START_TEST(the_parties_are_told_apart)
{
    ck_assert_int_eq(tide_advance(store, device, peer, "entry", 1), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, peer, device, "entry", 2), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, other, "entry", 3), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, peer, "tag", 4), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, device, "entry", 5), TIDE_OK);
    mark_is(device, peer, "entry", 1, 1000, TIDE_TIME_NONE);
    mark_is(peer, device, "entry", 2, 1000, TIDE_TIME_NONE);
    mark_is(device, other, "entry", 3, 1000, TIDE_TIME_NONE);
    mark_is(device, peer, "tag", 4, 1000, TIDE_TIME_NONE);
    mark_is(device, device, "entry", 5, 1000, TIDE_TIME_NONE);
    ck_assert_uint_eq(info().marks, 5);
}
END_TEST

/* ---- several marks ------------------------------------------------------------------------------ */

START_TEST(many_steps_are_all_or_none)
{
    ck_assert_int_eq(advance("c", 30), TIDE_OK);
    ck_assert_int_eq(many((tide_step[]){step("a", TIDE_TIME_NONE, 10, TIDE_TIME_NONE),
                                        step("b", TIDE_TIME_NONE, 20, TIDE_TIME_NONE),
                                        step("c", 31, 40, TIDE_TIME_NONE)},
                          3),
                     TIDE_GAP);
    absent("a");
    absent("b");
    at("c", 30);
    ck_assert_int_eq(
        many((tide_step[]){step("c", 30, 40, TIDE_TIME_NONE), step("b", 5, 20, TIDE_TIME_NONE)}, 2),
        TIDE_GAP);
    at("c", 30);
    absent("b");
    ck_assert_int_eq(many((tide_step[]){step("c", 30, 40, TIDE_TIME_NONE),
                                        step("a", TIDE_TIME_NONE, 10, TIDE_TIME_NONE),
                                        step("b", TIDE_TIME_NONE, 20, TIDE_TIME_NONE)},
                          3),
                     TIDE_OK);
    at("a", 10);
    at("b", 20);
    at("c", 40);
    ck_assert_uint_eq(info().marks, 3);
}
END_TEST

START_TEST(many_steps_are_stale_only_if_all_are)
{
    ck_assert_int_eq(advance("a", 10), TIDE_OK);
    ck_assert_int_eq(advance("b", 10), TIDE_OK);
    now = 2000;
    ck_assert_int_eq(many((tide_step[]){step("a", TIDE_TIME_NONE, 10, TIDE_TIME_NONE),
                                        step("b", 3, 9, TIDE_TIME_NONE)},
                          2),
                     TIDE_STALE);
    mark_is(device, peer, "a", 10, 1000, TIDE_TIME_NONE);
    ck_assert_int_eq(many((tide_step[]){step("a", TIDE_TIME_NONE, 10, TIDE_TIME_NONE),
                                        step("b", 10, 11, TIDE_TIME_NONE)},
                          2),
                     TIDE_OK);
    mark_is(device, peer, "a", 10, 1000, TIDE_TIME_NONE);
    mark_is(device, peer, "b", 11, 2000, TIDE_TIME_NONE);
}
END_TEST

START_TEST(later_steps_see_earlier_ones)
{
    ck_assert_int_eq(
        many((tide_step[]){step("a", TIDE_TIME_NONE, 10, TIDE_TIME_NONE),
                           step("b", TIDE_TIME_NONE, 5, TIDE_TIME_NONE),
                           step("a", 10, 20, TIDE_TIME_NONE), step("a", 20, 30, TIDE_TIME_NONE),
                           step("a", 3, 25, TIDE_TIME_NONE)},
             5),
        TIDE_OK);
    at("a", 30);
    at("b", 5);
    ck_assert_int_eq(many((tide_step[]){step("c", 10, 20, TIDE_TIME_NONE),
                                        step("c", TIDE_TIME_NONE, 10, TIDE_TIME_NONE)},
                          2),
                     TIDE_GAP);
    absent("c");
    ck_assert_int_eq(
        many((tide_step[]){step("c", TIDE_TIME_NONE, 10, TIDE_TIME_NONE),
                           step("a", 30, 31, TIDE_TIME_NONE), step("c", 11, 20, TIDE_TIME_NONE)},
             3),
        TIDE_GAP);
    absent("c");
    at("a", 30);
}
END_TEST

START_TEST(an_absent_mark_takes_the_epoch)
{
    tide_step one = step("a", TIDE_TIME_NONE, 10, 77);

    ck_assert_int_eq(many(&one, 1), TIDE_OK);
    mark_is(device, peer, "a", 10, 1000, 77);
    ck_assert_int_eq(advance("a", 20), TIDE_OK);
    mark_is(device, peer, "a", 20, 1000, 77);
    ck_assert_int_eq(range("a", 20, 30), TIDE_OK);
    mark_is(device, peer, "a", 30, 1000, 77);
    ck_assert_int_eq(set("a", 30, 15), TIDE_OK);
    mark_is(device, peer, "a", 15, 1000, 77);
    one = step("a", 15, 40, 77);
    ck_assert_int_eq(many(&one, 1), TIDE_OK);
    one = step("a", 40, 50, TIDE_TIME_NONE);
    ck_assert_int_eq(many(&one, 1), TIDE_OK);
    mark_is(device, peer, "a", 50, 1000, 77);
    open_again();
    mark_is(device, peer, "a", 50, 1000, 77);
}
END_TEST

START_TEST(another_epoch_is_a_conflict)
{
    tide_step one = step("a", TIDE_TIME_NONE, 10, 77);
    static const tide_time others[] = {76, 78, 0, TIDE_TIME_MIN, TIDE_TIME_MAX};

    ck_assert_int_eq(many(&one, 1), TIDE_OK);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        one = step("a", 10, 20, others[i]);
        ck_assert_int_eq(many(&one, 1), TIDE_CONFLICT);
        one = step("a", TIDE_TIME_NONE, 5, others[i]); /* also where it would be stale */
        ck_assert_int_eq(many(&one, 1), TIDE_CONFLICT);
        ck_assert_int_eq(
            many((tide_step[]){step("b", TIDE_TIME_NONE, 1, 77), step("a", 10, 20, others[i])}, 2),
            TIDE_CONFLICT);
        absent("b");
    }
    mark_is(device, peer, "a", 10, 1000, 77);
}
END_TEST

START_TEST(a_mark_without_an_epoch_takes_none)
{
    tide_step one = step("a", TIDE_TIME_NONE, 20, 77);

    ck_assert_int_eq(advance("a", 10), TIDE_OK);
    ck_assert_int_eq(many(&one, 1), TIDE_CONFLICT);
    mark_is(device, peer, "a", 10, 1000, TIDE_TIME_NONE);
    ck_assert_int_eq(set("b", TIDE_TIME_NONE, 10), TIDE_OK);
    mark_is(device, peer, "b", 10, 1000, TIDE_TIME_NONE);
    one = step("b", 10, 20, 77);
    ck_assert_int_eq(many(&one, 1), TIDE_CONFLICT);
    mark_is(device, peer, "b", 10, 1000, TIDE_TIME_NONE);
}
END_TEST

START_TEST(a_removed_mark_has_no_epoch)
{
    tide_step one = step("a", TIDE_TIME_NONE, 10, 77);

    ck_assert_int_eq(many(&one, 1), TIDE_OK);
    ck_assert_int_eq(set("a", 10, TIDE_TIME_NONE), TIDE_OK);
    ck_assert_int_eq(set("a", TIDE_TIME_NONE, 5), TIDE_OK);
    mark_is(device, peer, "a", 5, 1000, TIDE_TIME_NONE);
    ck_assert_int_eq(set("a", 5, TIDE_TIME_NONE), TIDE_OK);
    one = step("a", TIDE_TIME_NONE, 10, 88);
    ck_assert_int_eq(many(&one, 1), TIDE_OK);
    mark_is(device, peer, "a", 10, 1000, 88);
}
END_TEST

START_TEST(the_first_step_gives_the_epoch_to_the_second)
{
    ck_assert_int_eq(
        many((tide_step[]){step("a", TIDE_TIME_NONE, 10, 77), step("a", 10, 20, 78)}, 2),
        TIDE_CONFLICT);
    absent("a");
    ck_assert_int_eq(
        many((tide_step[]){step("a", TIDE_TIME_NONE, 10, TIDE_TIME_NONE), step("a", 10, 20, 78)}, 2),
        TIDE_CONFLICT);
    absent("a");
    ck_assert_int_eq(many((tide_step[]){step("a", TIDE_TIME_NONE, 10, 77), step("a", 10, 20, 77),
                                        step("a", 20, 30, TIDE_TIME_NONE)},
                          3),
                     TIDE_OK);
    mark_is(device, peer, "a", 30, 1000, 77);
}
END_TEST

START_TEST(up_to_4096_steps)
{
    static tide_step steps[TIDE_STEPS_MAX + 1];
    static char names[TIDE_STEPS_MAX + 1][16];

    for (int i = 0; i <= TIDE_STEPS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "r%d", i);
        steps[i] = step(names[i], TIDE_TIME_NONE, i + 1, TIDE_TIME_NONE);
    }
    ck_assert_int_eq(many(steps, TIDE_STEPS_MAX + 1), TIDE_EINVAL);
    ck_assert_int_eq(many(steps, SIZE_MAX), TIDE_EINVAL);
    ck_assert_uint_eq(info().marks, 0);
    ck_assert_int_eq(many(steps, TIDE_STEPS_MAX), TIDE_OK);
    ck_assert_uint_eq(info().marks, TIDE_STEPS_MAX);
    for (int i = 0; i < TIDE_STEPS_MAX; i++) {
        at(names[i], i + 1);
    }
    absent(names[TIDE_STEPS_MAX]);
    ck_assert_int_eq(many(steps, TIDE_STEPS_MAX), TIDE_STALE);
}
END_TEST

/* ---- removing, the largest ---------------------------------------------------------------------- */

START_TEST(remove_peer_removes_this_peer_of_this_device)
{
    size_t removed = 99;

    ck_assert_int_eq(tide_advance(store, device, peer, "a", 1), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, peer, "b", 2), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, peer, "~~", 3), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, other, "a", 4), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, peer, device, "a", 5), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, other, peer, "a", 6), TIDE_OK);
    ck_assert_int_eq(tide_remove_peer(store, device, peer, &removed), TIDE_OK);
    ck_assert_uint_eq(removed, 3);
    absent("a");
    absent("b");
    absent("~~");
    mark_is(device, other, "a", 4, 1000, TIDE_TIME_NONE);
    mark_is(peer, device, "a", 5, 1000, TIDE_TIME_NONE);
    mark_is(other, peer, "a", 6, 1000, TIDE_TIME_NONE);
    ck_assert_int_eq(tide_remove_peer(store, device, peer, &removed), TIDE_OK);
    ck_assert_uint_eq(removed, 0);
    ck_assert_int_eq(tide_remove_peer(store, device, other, NULL), TIDE_OK);
    ck_assert_uint_eq(info().marks, 2);
    ck_assert_int_eq(range("a", TIDE_TIME_NONE, 7), TIDE_OK);
    at("a", 7);
    open_again();
    ck_assert_uint_eq(info().marks, 3);
}
END_TEST

START_TEST(remove_peer_removes_thousands)
{
    static tide_step steps[3000];
    static char names[3000][16];
    size_t removed = 0;

    for (int i = 0; i < 3000; i++) {
        snprintf(names[i], sizeof names[i], "r%d", i);
        steps[i] = step(names[i], TIDE_TIME_NONE, 1, TIDE_TIME_NONE);
    }
    ck_assert_int_eq(many(steps, 3000), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, other, "keep", 1), TIDE_OK);
    ck_assert_int_eq(tide_remove_peer(store, device, peer, &removed), TIDE_OK);
    ck_assert_uint_eq(removed, 3000);
    ck_assert_uint_eq(info().marks, 1);
}
END_TEST

START_TEST(max_is_the_largest_of_the_device)
{
    tide_time max = 4711;

    ck_assert_int_eq(tide_max(store, device, &max), TIDE_ABSENT);
    ck_assert_int_eq(max, 4711);
    ck_assert_int_eq(tide_advance(store, other, peer, "a", 900), TIDE_OK);
    ck_assert_int_eq(tide_max(store, device, &max), TIDE_ABSENT);
    ck_assert_int_eq(max, 4711);
    ck_assert_int_eq(tide_advance(store, device, peer, "a", TIDE_TIME_MIN), TIDE_OK);
    ck_assert_int_eq(tide_max(store, device, &max), TIDE_OK);
    ck_assert_int_eq(max, TIDE_TIME_MIN);
    ck_assert_int_eq(tide_advance(store, device, peer, "b", -5), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, other, "a", -3), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, other, "z", -4), TIDE_OK);
    ck_assert_int_eq(tide_max(store, device, &max), TIDE_OK);
    ck_assert_int_eq(max, -3);
    ck_assert_int_eq(tide_remove_peer(store, device, other, NULL), TIDE_OK);
    ck_assert_int_eq(tide_max(store, device, &max), TIDE_OK);
    ck_assert_int_eq(max, -5);
}
END_TEST

/* ---- bad arguments ------------------------------------------------------------------------------ */

static int count_call(void *ctx, const uuid_t d, const uuid_t p, const char *resource,
                      const tide_mark *mark)
{
    (void)d;
    (void)p;
    (void)resource;
    (void)mark;
    ++*(int *)ctx;
    return 0;
}

START_TEST(null_is_refused_everywhere)
{
    tide_step steps[2] = {step("a", TIDE_TIME_NONE, 1, TIDE_TIME_NONE),
                          step("b", TIDE_TIME_NONE, 1, TIDE_TIME_NONE)};
    tide_store *none = test_open("other.mdb", NULL), *left = none;
    tide_time time = 5;
    tide_mark mark = untouched;
    tide_info space;
    int calls = 0;

    memset(&space, 0, sizeof space);
    space.size = sizeof space;
    ck_assert_int_eq(tide_open(NULL, NULL, &none), TIDE_EINVAL);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(tide_open("third.mdb", NULL, NULL), TIDE_EINVAL);
    tide_close(left);
    tide_close(NULL);
    ck_assert_int_eq(tide_get(NULL, device, peer, "a", &mark), TIDE_EINVAL);
    ck_assert_int_eq(tide_get(store, NULL, peer, "a", &mark), TIDE_EINVAL);
    ck_assert_int_eq(tide_get(store, device, NULL, "a", &mark), TIDE_EINVAL);
    ck_assert_int_eq(tide_get(store, device, peer, NULL, &mark), TIDE_EINVAL);
    ck_assert_int_eq(tide_get(store, device, peer, "a", NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_advance(NULL, device, peer, "a", 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_advance(store, NULL, peer, "a", 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_advance(store, device, NULL, "a", 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_advance(store, device, peer, NULL, 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_advance_range(NULL, device, peer, "a", 0, 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_advance_range(store, NULL, peer, "a", 0, 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_advance_range(store, device, NULL, "a", 0, 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_advance_range(store, device, peer, NULL, 0, 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_compare_and_set(NULL, device, peer, "a", 0, 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_compare_and_set(store, NULL, peer, "a", 0, 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_compare_and_set(store, device, NULL, "a", 0, 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_compare_and_set(store, device, peer, NULL, 0, 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_advance_many(NULL, steps, 2, 0), TIDE_EINVAL);
    ck_assert_int_eq(tide_advance_many(store, NULL, 2, 0), TIDE_EINVAL);
    steps[1].device = NULL;
    ck_assert_int_eq(many(steps, 2), TIDE_EINVAL);
    steps[1] = step("b", TIDE_TIME_NONE, 1, TIDE_TIME_NONE);
    steps[1].peer = NULL;
    ck_assert_int_eq(many(steps, 2), TIDE_EINVAL);
    steps[1] = step(NULL, TIDE_TIME_NONE, 1, TIDE_TIME_NONE);
    ck_assert_int_eq(many(steps, 2), TIDE_EINVAL);
    ck_assert_int_eq(tide_each(NULL, NULL, NULL, NULL, count_call, &calls), TIDE_EINVAL);
    ck_assert_int_eq(tide_each(store, NULL, NULL, NULL, NULL, &calls), TIDE_EINVAL);
    ck_assert_int_eq(tide_remove_peer(NULL, device, peer, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_remove_peer(store, NULL, peer, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_remove_peer(store, device, NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_max(NULL, device, &time), TIDE_EINVAL);
    ck_assert_int_eq(tide_max(store, NULL, &time), TIDE_EINVAL);
    ck_assert_int_eq(tide_max(store, device, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_flush(NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_set_barrier(NULL, NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_stat(NULL, &space), TIDE_EINVAL);
    ck_assert_int_eq(tide_stat(store, NULL), TIDE_EINVAL);
    space.size = 0;
    ck_assert_int_eq(tide_stat(store, &space), TIDE_EINVAL);
    ck_assert_mem_eq(&mark, &untouched, sizeof mark);
    ck_assert_int_eq(time, 5);
    ck_assert_int_eq(calls, 0);
    ck_assert_uint_eq(info().marks, 0);
}
END_TEST

static char too_long[TIDE_RESOURCE_MAX + 2];

static const char *const bad_names[] = {"",
                                        "|",
                                        "a|b",
                                        "a\nb",
                                        "\x01",
                                        "\x1f",
                                        "\x7f",
                                        "\xc2\x80",
                                        "\xc2\x9f",
                                        "\xff",
                                        "\xc0\x80",
                                        "\xed\xa0\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xe2\x82",
                                        too_long};

START_TEST(bad_names_are_refused_and_write_nothing)
{
    const char *bad = bad_names[_i];
    test_bytes before;
    tide_mark mark = untouched;
    tide_info was;
    int calls = 0;

    memset(too_long, 'r', sizeof too_long - 1);
    ck_assert_int_eq(advance("entry", 1), TIDE_OK);
    was = info();
    before = test_read_file(FILE_NAME);
    ck_assert_int_eq(tide_get(store, device, peer, bad, &mark), TIDE_EINVAL);
    ck_assert_mem_eq(&mark, &untouched, sizeof mark);
    ck_assert_int_eq(advance(bad, 1), TIDE_EINVAL);
    ck_assert_int_eq(range(bad, TIDE_TIME_NONE, 1), TIDE_EINVAL);
    ck_assert_int_eq(set(bad, TIDE_TIME_NONE, 1), TIDE_EINVAL);
    ck_assert_int_eq(set(bad, TIDE_TIME_NONE, TIDE_TIME_NONE), TIDE_EINVAL);
    ck_assert_int_eq(many((tide_step[]){step("good", TIDE_TIME_NONE, 1, TIDE_TIME_NONE),
                                        step(bad, TIDE_TIME_NONE, 1, TIDE_TIME_NONE)},
                          2),
                     TIDE_EINVAL);
    ck_assert_int_eq(tide_each(store, NULL, NULL, bad, count_call, &calls), TIDE_EINVAL);
    ck_assert_int_eq(tide_each(store, device, peer, bad, count_call, &calls), TIDE_EINVAL);
    ck_assert_int_eq(calls, 0);
    ck_assert_uint_eq(info().transaction, was.transaction);
    ck_assert_uint_eq(info().pending, 0);
    ck_assert(test_file_is(FILE_NAME, before));
    free(before.data);
}
END_TEST

START_TEST(bad_steps_write_nothing)
{
    static const struct {
        tide_time after, upto;
    } bad[] = {{1, 1},
               {2, 1},
               {TIDE_TIME_NONE, TIDE_TIME_NONE},
               {5, TIDE_TIME_NONE},
               {TIDE_TIME_MAX, TIDE_TIME_MIN}};
    tide_step good = step("good", TIDE_TIME_NONE, 1, TIDE_TIME_NONE);

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(many((tide_step[]){good, step("bad", bad[i].after, bad[i].upto, 5)}, 2),
                         TIDE_EINVAL);
        ck_assert_int_eq(many((tide_step[]){step("bad", bad[i].after, bad[i].upto, 5), good}, 2),
                         TIDE_EINVAL);
    }
    ck_assert_int_eq(tide_advance_many(store, &good, 1, 3), TIDE_EINVAL);
    ck_assert_int_eq(tide_advance_many(store, &good, 1, UINT32_MAX), TIDE_EINVAL);
    ck_assert_uint_eq(info().marks, 0);
    ck_assert_uint_eq(info().pending, 0);
    absent("good");
    absent("bad");
}
END_TEST

START_TEST(names_of_every_kind_are_kept)
{
    static char longest[TIDE_RESOURCE_MAX + 1];
    static const char *const names[] = {"a",
                                        " ",
                                        "~",
                                        "\xc2\xa0",
                                        "\xf4\x8f\xbf\xbf",
                                        "a/b\\c:d\"e'f%g{}",
                                        "\xf0\x9f\x8c\x8a tide",
                                        "a ",
                                        "A",
                                        longest};

    memset(longest, 'r', sizeof longest - 1);
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        ck_assert_int_eq(advance(names[i], i), TIDE_OK);
    }
    open_again();
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        at(names[i], i);
    }
    ck_assert_uint_eq(info().marks, sizeof names / sizeof *names);
}
END_TEST

/* ---- staying ------------------------------------------------------------------------------------ */

START_TEST(marks_stay_when_the_store_is_opened_again)
{
    tide_step one = step("c", TIDE_TIME_NONE, 30, 77);
    tide_info first = info(), second;

    ck_assert_int_eq(first.created_at, 1000);
    ck_assert_int_eq(advance("a", 10), TIDE_OK);
    now = 2000;
    ck_assert_int_eq(set("b", TIDE_TIME_NONE, 20), TIDE_OK);
    now = 3000;
    ck_assert_int_eq(many(&one, 1), TIDE_OK);
    for (int i = 0; i < 3; i++) {
        now = 4000;
        open_again();
        mark_is(device, peer, "a", 10, 1000, TIDE_TIME_NONE);
        mark_is(device, peer, "b", 20, 2000, TIDE_TIME_NONE);
        mark_is(device, peer, "c", 30, 3000, 77);
        second = info();
        ck_assert_int_eq(second.created_at, 1000);
        ck_assert_mem_eq(second.store_id, first.store_id, 16);
        ck_assert_uint_eq(second.marks, 3);
    }
}
END_TEST

START_TEST(two_stores_have_two_identities)
{
    tide_store *second = test_open("second.mdb", NULL);
    tide_info mine = info(), its;

    memset(&its, 0, sizeof its);
    its.size = sizeof its;
    ck_assert_int_eq(tide_stat(second, &its), TIDE_OK);
    ck_assert_mem_ne(mine.store_id, its.store_id, 16);
    ck_assert_int_eq(advance("a", 10), TIDE_OK);
    ck_assert_int_eq(tide_get(second, device, peer, "a", &(tide_mark){0}), TIDE_ABSENT);
    tide_close(second);
    at("a", 10);
}
END_TEST

START_TEST(stat_tells_the_truth)
{
    tide_info now_is = info();

    ck_assert_uint_eq(now_is.size, sizeof now_is);
    ck_assert_uint_eq(now_is.format_version, 1);
    ck_assert_uint_eq(now_is.marks, 0);
    ck_assert_uint_eq(now_is.pending, 0);
    ck_assert_uint_eq(now_is.max_readers, 1024);
    ck_assert_uint_eq(now_is.page_bytes, 4096);
    ck_assert_int_eq(test_fill(store, 0, 1000, 5), TIDE_OK);
    now_is = info();
    ck_assert_uint_eq(now_is.marks, 1000);
    ck_assert_uint_eq(now_is.file_bytes, test_file_size(FILE_NAME));
    ck_assert_uint_le(now_is.used_bytes, now_is.file_bytes);
    ck_assert_uint_ge(now_is.used_bytes, 1000 * (82 + 71)); /* at least the bytes of its records */
    ck_assert_uint_ge(now_is.map_bytes, now_is.file_bytes);
    ck_assert_uint_ge(now_is.depth, 2);
    ck_assert_uint_ge(now_is.transaction, 4);
}
END_TEST

START_TEST(each_commit_is_one_transaction)
{
    uint64_t before = info().transaction;

    ck_assert_int_eq(advance("a", 1), TIDE_OK);
    ck_assert_uint_eq(info().transaction, before + 1);
    ck_assert_int_eq(advance("a", 1), TIDE_STALE);
    ck_assert_int_eq(range("a", 5, 6), TIDE_GAP);
    ck_assert_int_eq(set("a", 5, 6), TIDE_CONFLICT);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_uint_eq(info().transaction, before + 1);
    ck_assert_int_eq(test_fill(store, 0, 256, 1), TIDE_OK);
    ck_assert_uint_eq(info().transaction, before + 2);
}
END_TEST

START_TEST(the_detail_is_one_line_cut_to_size)
{
    char text[256], small[8];

    memset(text, 'x', sizeof text);
    tide_detail(store, text, sizeof text);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(advance("a|b", 1), TIDE_EINVAL);
    tide_detail(store, text, sizeof text);
    ck_assert_uint_gt(strlen(text), 7);
    ck_assert_ptr_null(strchr(text, '\n'));
    memset(small, 'x', sizeof small);
    tide_detail(store, small, sizeof small);
    ck_assert_uint_eq(strlen(small), 7);
    ck_assert_mem_eq(small, text, 7);
    small[0] = 'x';
    tide_detail(store, small, 1);
    ck_assert_str_eq(small, "");
    small[0] = 'x';
    tide_detail(store, small, 0);
    ck_assert_int_eq(small[0], 'x');
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("marks");
    TCase *test = test_case(suite, "marks");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, an_absent_mark_is_absent);
    tcase_add_test(test, advance_raises_and_never_lowers);
    tcase_add_test(test, advance_knows_the_ends_of_time);
    tcase_add_test(test, a_range_must_join_on);
    tcase_add_test(test, a_range_at_the_beginning_of_time);
    tcase_add_test(test, a_range_has_a_length);
    tcase_add_test(test, compare_and_set_is_exact);
    tcase_add_test(test, a_rewound_mark_advances_again);
    tcase_add_test(test, updated_at_is_the_clock_at_the_last_write);
    tcase_add_test(test, a_clock_without_time_does_no_damage);
    tcase_add_test(test, without_a_clock_it_is_the_systems);
    tcase_add_test(test, the_parties_are_told_apart);
    tcase_add_test(test, many_steps_are_all_or_none);
    tcase_add_test(test, many_steps_are_stale_only_if_all_are);
    tcase_add_test(test, later_steps_see_earlier_ones);
    tcase_add_test(test, an_absent_mark_takes_the_epoch);
    tcase_add_test(test, another_epoch_is_a_conflict);
    tcase_add_test(test, a_mark_without_an_epoch_takes_none);
    tcase_add_test(test, a_removed_mark_has_no_epoch);
    tcase_add_test(test, the_first_step_gives_the_epoch_to_the_second);
    tcase_add_test(test, up_to_4096_steps);
    tcase_add_test(test, remove_peer_removes_this_peer_of_this_device);
    tcase_add_test(test, remove_peer_removes_thousands);
    tcase_add_test(test, max_is_the_largest_of_the_device);
    tcase_add_test(test, null_is_refused_everywhere);
    tcase_add_loop_test(test, bad_names_are_refused_and_write_nothing, 0,
                        (int)(sizeof bad_names / sizeof *bad_names));
    tcase_add_test(test, bad_steps_write_nothing);
    tcase_add_test(test, names_of_every_kind_are_kept);
    tcase_add_test(test, marks_stay_when_the_store_is_opened_again);
    tcase_add_test(test, two_stores_have_two_identities);
    tcase_add_test(test, stat_tells_the_truth);
    tcase_add_test(test, each_commit_is_one_transaction);
    tcase_add_test(test, the_detail_is_one_line_cut_to_size);
    return test_run(suite);
}
