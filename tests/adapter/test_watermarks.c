/* The watermark interface: one contract, held to by both backends, and what is particular to SQLite. */
#define _GNU_SOURCE 1
#include <tidemark/watermarks.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "support.h"

enum { OVER_LMDB, OVER_SQLITE, BACKENDS };

static int backend;
static tide_store *store;
static sqlite3 *database;
static tide_watermarks *marks;
static uuid_t device, peer, other;

static const tide_mark untouched = {-1, -2, -3};

/* ---- fixture ------------------------------------------------------------------------------------ */

static void open_medium(void)
{
    if (backend == OVER_LMDB) {
        store = test_open("sync.mdb", NULL);
    } else {
        ck_assert_int_eq(sqlite3_open("sync.db", &database), SQLITE_OK);
        /* No test cuts the power: the flushes would only cost time. */
        ck_assert_int_eq(sqlite3_exec(database, "PRAGMA synchronous=OFF", NULL, NULL, NULL),
                         SQLITE_OK);
    }
}

static void close_medium(void)
{
    tide_close(store);
    store = NULL;
    /* SQLITE_BUSY would mean that a statement was left behind */
    ck_assert_int_eq(sqlite3_close(database), SQLITE_OK);
    database = NULL;
}

static tide_watermarks *open_for(const uuid_t own)
{
    tide_watermarks *out = NULL;
    int rc = backend == OVER_LMDB ? tide_watermarks_open_lmdb(store, own, &out)
                                  : tide_watermarks_open_sqlite(database, own, &out);

    ck_assert_msg(rc == TIDE_OK, "%s", tide_code_name(rc));
    ck_assert_ptr_nonnull(out);
    return out;
}

static void begin(int over)
{
    backend = over;
    open_medium();
    marks = open_for(device);
}

static void open_again(void)
{
    tide_watermarks_close(marks);
    close_medium();
    open_medium();
    marks = open_for(device);
}

static void set_up(void)
{
    test_uuid(device, 1);
    test_uuid(peer, 2);
    test_uuid(other, 3);
    store = NULL;
    database = NULL;
    marks = NULL;
}

static void tear_down(void)
{
    tide_watermarks_close(marks);
    marks = NULL;
    close_medium();
}

static tide_time time_of(const char *text)
{
    tide_time time = 0;

    ck_assert_int_eq(tide_time_parse(text, strlen(text), &time), TIDE_OK);
    return time;
}

/* TIDE_TIME_NONE: absent. */
static void at(const char *resource, tide_time expected)
{
    tide_time time = 4711;
    int rc = tide_watermarks_get(marks, peer, resource, &time);

    ck_assert_int_eq(rc, expected == TIDE_TIME_NONE ? TIDE_ABSENT : TIDE_OK);
    ck_assert_int_eq(time, expected == TIDE_TIME_NONE ? 4711 : expected);
}

static void ack_at(const char *resource, tide_time expected)
{
    tide_time time = 4711;
    int rc = tide_watermarks_get_ack(marks, peer, resource, &time);

    ck_assert_int_eq(rc, expected == TIDE_TIME_NONE ? TIDE_ABSENT : TIDE_OK);
    ck_assert_int_eq(time, expected == TIDE_TIME_NONE ? 4711 : expected);
}

static void epoch_is(const char *resource, tide_time expected)
{
    tide_mark mark = untouched;

    ck_assert_int_eq(tide_watermarks_get_mark(marks, peer, resource, &mark), TIDE_OK);
    ck_assert_int_eq(mark.epoch, expected);
}

static int upsert(const char *resource, tide_time watermark)
{
    return tide_watermarks_upsert(marks, peer, resource, watermark);
}

static int range(const char *resource, tide_time after, tide_time upto, tide_time epoch)
{
    return tide_watermarks_advance_range(marks, peer, resource, after, upto, epoch,
                                         TIDE_DEFAULT_DURABILITY);
}

/* ---- the plain watermark ------------------------------------------------------------------------ */

START_TEST(each_resource_has_its_own_watermark)
{
    begin(_i);
    ck_assert_int_eq(upsert("location", time_of("2025-01-01T10:00:00Z")), TIDE_OK);
    ck_assert_int_eq(upsert("entry", time_of("2025-01-01T15:00:00Z")), TIDE_OK);
    at("location", time_of("2025-01-01T10:00:00Z"));
    at("entry", time_of("2025-01-01T15:00:00Z"));
    at("volume", TIDE_TIME_NONE);
    open_again();
    at("location", time_of("2025-01-01T10:00:00Z"));
    at("entry", time_of("2025-01-01T15:00:00Z"));
}
END_TEST

START_TEST(each_peer_and_each_device_has_its_own_watermark)
{
    tide_watermarks *second;
    tide_time time = 0;

    begin(_i);
    second = open_for(other);
    ck_assert_int_eq(upsert("entry", 10), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_upsert(marks, other, "entry", 20), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_upsert(second, peer, "entry", 30), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_upsert(second, device, "entry", 40), TIDE_OK);
    at("entry", 10);
    ck_assert_int_eq(tide_watermarks_get(marks, other, "entry", &time), TIDE_OK);
    ck_assert_int_eq(time, 20);
    ck_assert_int_eq(tide_watermarks_get(second, peer, "entry", &time), TIDE_OK);
    ck_assert_int_eq(time, 30);
    ck_assert_int_eq(tide_watermarks_get(second, device, "entry", &time), TIDE_OK);
    ck_assert_int_eq(time, 40);
    tide_watermarks_close(second);
}
END_TEST

START_TEST(upsert_raises_and_never_lowers)
{
    begin(_i);
    ck_assert_int_eq(upsert("entry", 100), TIDE_OK);
    ck_assert_int_eq(upsert("entry", 100), TIDE_STALE);
    ck_assert_int_eq(upsert("entry", 99), TIDE_STALE);
    ck_assert_int_eq(upsert("entry", -5), TIDE_STALE);
    at("entry", 100);
    ck_assert_int_eq(upsert("entry", 101), TIDE_OK);
    at("entry", 101);
    ck_assert_int_eq(upsert("entry", TIDE_TIME_NONE), TIDE_EINVAL);
    at("entry", 101);
    ck_assert_int_eq(upsert("entry", TIDE_TIME_MAX), TIDE_OK);
    at("entry", TIDE_TIME_MAX);
    ck_assert_int_eq(upsert("tag", TIDE_TIME_NONE), TIDE_EINVAL);
    at("tag", TIDE_TIME_NONE);
    ck_assert_int_eq(upsert("tag", TIDE_TIME_MIN), TIDE_OK);
    at("tag", TIDE_TIME_MIN);
    ck_assert_int_eq(upsert("tag", TIDE_TIME_MIN), TIDE_STALE);
    ck_assert_int_eq(upsert("tag", -1), TIDE_OK);
    ck_assert_int_eq(upsert("tag", 0), TIDE_OK);
    at("tag", 0);
}
END_TEST

START_TEST(nanoseconds_are_kept)
{
    test_random random = {9};

    begin(_i);
    for (int i = 0; i < 50; i++) {
        tide_time time = test_any_time(&random), back = 0;
        char resource[16];

        snprintf(resource, sizeof resource, "r%d", i);
        test_require(upsert(resource, time) == TIDE_OK);
        test_require(tide_watermarks_get(marks, peer, resource, &back) == TIDE_OK);
        test_require(back == time);
        if (time == TIDE_TIME_MAX)
            continue;
        test_require(upsert(resource, time + 1) == TIDE_OK);
        test_require(upsert(resource, time) == TIDE_STALE);
    }
}
END_TEST

START_TEST(a_watermark_about_oneself_is_refused)
{
    tide_time time = 4711;
    tide_mark mark = untouched;
    size_t removed = 99;

    begin(_i);
    ck_assert_int_eq(tide_watermarks_upsert(marks, device, "entry", 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_advance_range(marks, device, "entry", TIDE_TIME_NONE, 1, 5,
                                                   TIDE_DEFAULT_DURABILITY),
                     TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, device, "entry", 1, TIDE_DEFAULT_DURABILITY),
                     TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get(marks, device, "entry", &time), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_mark(marks, device, "entry", &mark), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_ack(marks, device, "entry", &time), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_reset(marks, device, "entry"), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_delete_peer(marks, device, &removed), TIDE_EINVAL);
    ck_assert_int_eq(time, 4711);
    ck_assert_mem_eq(&mark, &untouched, sizeof mark);
    ck_assert_int_eq(tide_watermarks_get_max(marks, &time), TIDE_ABSENT);
}
END_TEST

/* ---- all for a peer, the largest ---------------------------------------------------------------- */

typedef struct listing {
    int count;
    int stop_at, stop_with;
    char resources[32][64];
    tide_time times[32];
} listing;

static int list_one(void *ctx, const char *resource, tide_time watermark)
{
    listing *list = ctx;

    ck_assert_int_lt(list->count, 32);
    snprintf(list->resources[list->count], 64, "%s", resource);
    list->times[list->count++] = watermark;
    return list->stop_at != 0 && list->count == list->stop_at ? list->stop_with : 0;
}

START_TEST(all_for_a_peer_come_in_the_order_of_their_bytes)
{
    static const char *const shuffled[] = {
        "b", "a", "~", "A",           "a b", "ab", "\xc3\xa9", "aa", "B", "\xf0\x9f\x8c\x8a",
        "Z", "z", "_", "\xef\xbf\xbf"};
    static const char *const ordered[] = {
        "A",  "B", "Z", "_", "a",        "a b",          "aa",
        "ab", "b", "z", "~", "\xc3\xa9", "\xef\xbf\xbf", "\xf0\x9f\x8c\x8a"};
    const int count = (int)(sizeof shuffled / sizeof *shuffled);
    listing list;

    begin(_i);
    memset(&list, 0, sizeof list);
    ck_assert_int_eq(tide_watermarks_get_all_for_peer(marks, peer, list_one, &list), TIDE_OK);
    ck_assert_int_eq(list.count, 0);
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(upsert(shuffled[i], i), TIDE_OK);
        ck_assert_int_eq(tide_watermarks_upsert(marks, other, shuffled[i], 1000), TIDE_OK);
        ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "ack", i, TIDE_DEFAULT_DURABILITY),
                         TIDE_OK);
    }
    ck_assert_int_eq(tide_watermarks_get_all_for_peer(marks, peer, list_one, &list), TIDE_OK);
    ck_assert_int_eq(list.count, count);
    for (int i = 0; i < count; i++) {
        ck_assert_str_eq(list.resources[i], ordered[i]);
        ck_assert_str_eq(shuffled[list.times[i]], ordered[i]);
    }
}
END_TEST

START_TEST(what_the_callback_returns_stops_and_is_returned)
{
    static const int values[] = {1, 3, 100, -1, -5000};

    begin(_i);
    for (int i = 0; i < 10; i++) {
        char resource[16];

        snprintf(resource, sizeof resource, "r%d", i);
        ck_assert_int_eq(upsert(resource, i), TIDE_OK);
    }
    for (int i = 0; i < (int)(sizeof values / sizeof *values); i++) {
        listing list;

        memset(&list, 0, sizeof list);
        list.stop_at = i + 1;
        list.stop_with = values[i];
        ck_assert_int_eq(tide_watermarks_get_all_for_peer(marks, peer, list_one, &list), values[i]);
        ck_assert_int_eq(list.count, i + 1);
    }
    ck_assert_int_eq(upsert("r0", 50), TIDE_OK); /* nothing is left open */
}
END_TEST

START_TEST(the_largest_is_compared_as_an_instant)
{
    tide_watermarks *second;
    tide_time max = 4711;

    begin(_i);
    second = open_for(other);
    ck_assert_int_eq(tide_watermarks_get_max(marks, &max), TIDE_ABSENT);
    ck_assert_int_eq(max, 4711);
    ck_assert_int_eq(tide_watermarks_upsert(second, peer, "entry", 100000), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "entry", 200000, TIDE_DEFAULT_DURABILITY),
                     TIDE_OK);
    ck_assert_int_eq(tide_watermarks_get_max(marks, &max), TIDE_ABSENT);
    ck_assert_int_eq(upsert("entry", TIDE_TIME_MIN), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_get_max(marks, &max), TIDE_OK);
    ck_assert_int_eq(max, TIDE_TIME_MIN);
    ck_assert_int_eq(upsert("tag", -10), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_upsert(marks, other, "tag", -9), TIDE_OK);
    ck_assert_int_eq(upsert("volume", -11), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_get_max(marks, &max), TIDE_OK);
    ck_assert_int_eq(max, -9);
    tide_watermarks_close(second);
}
END_TEST

START_TEST(delete_peer_takes_our_watermarks_about_it)
{
    tide_watermarks *second;
    tide_time time = 0;
    size_t removed = 99;

    begin(_i);
    second = open_for(other);
    ck_assert_int_eq(upsert("a", 1), TIDE_OK);
    ck_assert_int_eq(range("b", TIDE_TIME_NONE, 2, 77), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_upsert(marks, other, "a", 3), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_upsert(second, peer, "a", 4), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "a", 5, TIDE_DEFAULT_DURABILITY), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_delete_peer(marks, peer, &removed), TIDE_OK);
    ck_assert_uint_eq(removed, 2);
    at("a", TIDE_TIME_NONE);
    at("b", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_watermarks_get(marks, other, "a", &time), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_get(second, peer, "a", &time), TIDE_OK);
    ack_at("a", 5);
    ck_assert_int_eq(tide_watermarks_delete_peer(marks, peer, &removed), TIDE_OK);
    ck_assert_uint_eq(removed, 0);
    ck_assert_int_eq(tide_watermarks_delete_peer(marks, other, NULL), TIDE_OK);
    ck_assert_int_eq(range("b", TIDE_TIME_NONE, 2, 88), TIDE_OK); /* the epoch went with it */
    epoch_is("b", 88);
    tide_watermarks_close(second);
}
END_TEST

/* ---- ranges, epochs, reset ---------------------------------------------------------------------- */

START_TEST(a_range_must_join_on)
{
    begin(_i);
    ck_assert_int_eq(range("entry", 50, 60, TIDE_TIME_NONE), TIDE_GAP);
    ck_assert_int_eq(range("entry", TIDE_TIME_MIN, 60, TIDE_TIME_NONE), TIDE_GAP);
    at("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 60, TIDE_TIME_NONE), TIDE_OK);
    at("entry", 60);
    ck_assert_int_eq(range("entry", 61, 70, TIDE_TIME_NONE), TIDE_GAP);
    ck_assert_int_eq(range("entry", 60, 70, TIDE_TIME_NONE), TIDE_OK);
    ck_assert_int_eq(range("entry", 10, 80, TIDE_TIME_NONE), TIDE_OK);
    at("entry", 80);
    ck_assert_int_eq(range("entry", 10, 80, TIDE_TIME_NONE), TIDE_STALE);
    ck_assert_int_eq(range("entry", 10, 79, TIDE_TIME_NONE), TIDE_STALE);
    ck_assert_int_eq(range("entry", 80, 80, TIDE_TIME_NONE), TIDE_EINVAL);
    ck_assert_int_eq(range("entry", 90, 80, TIDE_TIME_NONE), TIDE_EINVAL);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, TIDE_TIME_NONE, TIDE_TIME_NONE), TIDE_EINVAL);
    at("entry", 80);
    ck_assert_int_eq(range("entry", 80, TIDE_TIME_MAX, TIDE_TIME_NONE), TIDE_OK);
    at("entry", TIDE_TIME_MAX);
    ck_assert_int_eq(range("tag", TIDE_TIME_NONE, TIDE_TIME_MIN, TIDE_TIME_NONE), TIDE_OK);
    at("tag", TIDE_TIME_MIN);
}
END_TEST

START_TEST(an_epoch_is_taken_kept_and_told_apart)
{
    begin(_i);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 10, 77), TIDE_OK);
    epoch_is("entry", 77);
    ck_assert_int_eq(range("entry", 10, 20, 78), TIDE_CONFLICT);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 5, 78), TIDE_CONFLICT);
    at("entry", 10);
    ck_assert_int_eq(range("entry", 10, 20, 77), TIDE_OK);
    ck_assert_int_eq(range("entry", 20, 30, TIDE_TIME_NONE), TIDE_OK);
    epoch_is("entry", 77);
    ck_assert_int_eq(upsert("entry", 40), TIDE_OK);
    epoch_is("entry", 77);
    ck_assert_int_eq(range("entry", 50, 60, 77), TIDE_GAP);
    ck_assert_int_eq(range("entry", 30, 40, 77), TIDE_STALE);
    open_again();
    epoch_is("entry", 77);
    at("entry", 40);
}
END_TEST

START_TEST(a_mark_without_an_epoch_takes_none)
{
    begin(_i);
    ck_assert_int_eq(upsert("entry", 10), TIDE_OK);
    epoch_is("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(range("entry", 10, 20, 77), TIDE_CONFLICT);
    at("entry", 10);
    ck_assert_int_eq(range("entry", 10, 20, TIDE_TIME_NONE), TIDE_OK);
    epoch_is("entry", TIDE_TIME_NONE);
}
END_TEST

START_TEST(a_reset_watermark_begins_anew)
{
    begin(_i);
    ck_assert_int_eq(tide_watermarks_reset(marks, peer, "entry"), TIDE_ABSENT);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 10, 77), TIDE_OK);
    ck_assert_int_eq(upsert("tag", 5), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_reset(marks, peer, "entry"), TIDE_OK);
    at("entry", TIDE_TIME_NONE);
    at("tag", 5);
    ck_assert_int_eq(tide_watermarks_reset(marks, peer, "entry"), TIDE_ABSENT);
    ck_assert_int_eq(range("entry", 5, 10, 88), TIDE_GAP);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 3, 88), TIDE_OK);
    epoch_is("entry", 88);
    ck_assert_int_eq(tide_watermarks_reset(marks, peer, "entry"), TIDE_OK);
    ck_assert_int_eq(upsert("entry", 2), TIDE_OK);
    epoch_is("entry", TIDE_TIME_NONE);
}
END_TEST

static tide_time real_time(void)
{
    struct timespec time;

    ck_assert_int_eq(clock_gettime(CLOCK_REALTIME, &time), 0);
    return (tide_time)time.tv_sec * 1000000000 + time.tv_nsec;
}

START_TEST(the_whole_mark_can_be_read)
{
    tide_mark mark = untouched, again = untouched;
    tide_time before, after;

    begin(_i);
    ck_assert_int_eq(tide_watermarks_get_mark(marks, peer, "entry", &mark), TIDE_ABSENT);
    ck_assert_mem_eq(&mark, &untouched, sizeof mark);
    before = real_time();
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 10, 77), TIDE_OK);
    after = real_time();
    ck_assert_int_eq(tide_watermarks_get_mark(marks, peer, "entry", &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 10);
    ck_assert_int_eq(mark.epoch, 77);
    ck_assert_int_ge(mark.updated_at, before);
    ck_assert_int_le(mark.updated_at, after);
    ck_assert_int_eq(upsert("entry", 5), TIDE_STALE);
    ck_assert_int_eq(tide_watermarks_get_mark(marks, peer, "entry", &again), TIDE_OK);
    ck_assert_mem_eq(&again, &mark, sizeof mark);
}
END_TEST

/* ---- acks --------------------------------------------------------------------------------------- */

START_TEST(an_ack_is_the_peers_mark_about_us)
{
    tide_watermarks *theirs;
    tide_time time = 0;

    begin(_i);
    theirs = open_for(peer);
    ack_at("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "entry", 100, TIDE_DEFAULT_DURABILITY),
                     TIDE_OK);
    ack_at("entry", 100);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "entry", 100, TIDE_DEFAULT_DURABILITY),
                     TIDE_STALE);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "entry", 50, TIDE_DEFAULT_DURABILITY),
                     TIDE_STALE);
    ack_at("entry", 100);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "entry", 150, TIDE_DEFAULT_DURABILITY),
                     TIDE_OK);
    ack_at("entry", 150);
    ack_at("tag", TIDE_TIME_NONE);
    at("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_watermarks_get(theirs, device, "entry", &time), TIDE_OK);
    ck_assert_int_eq(time, 150);
    ck_assert_int_eq(tide_watermarks_upsert(theirs, device, "entry", 200), TIDE_OK);
    ack_at("entry", 200);
    ck_assert_int_eq(
        tide_watermarks_set_ack(marks, peer, "entry", TIDE_TIME_NONE, TIDE_DEFAULT_DURABILITY),
        TIDE_EINVAL);
    ck_assert_int_eq(upsert("entry", 7), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_get_ack(theirs, device, "entry", &time), TIDE_OK);
    ck_assert_int_eq(time, 7);
    tide_watermarks_close(theirs);
}
END_TEST

/* ---- arguments ---------------------------------------------------------------------------------- */

START_TEST(null_is_refused_everywhere)
{
    tide_time time = 4711;
    tide_mark mark = untouched;
    tide_watermarks *none = marks;
    listing list;

    begin(_i);
    memset(&list, 0, sizeof list);
    if (backend == OVER_LMDB) {
        none = marks;
        ck_assert_int_eq(tide_watermarks_open_lmdb(NULL, device, &none), TIDE_EINVAL);
        ck_assert_ptr_null(none);
        ck_assert_int_eq(tide_watermarks_open_lmdb(store, NULL, &none), TIDE_EINVAL);
        ck_assert_int_eq(tide_watermarks_open_lmdb(store, device, NULL), TIDE_EINVAL);
    } else {
        none = marks;
        ck_assert_int_eq(tide_watermarks_open_sqlite(NULL, device, &none), TIDE_EINVAL);
        ck_assert_ptr_null(none);
        ck_assert_int_eq(tide_watermarks_open_sqlite(database, NULL, &none), TIDE_EINVAL);
        ck_assert_int_eq(tide_watermarks_open_sqlite(database, device, NULL), TIDE_EINVAL);
    }
    tide_watermarks_close(NULL);
    ck_assert_int_eq(tide_watermarks_upsert(NULL, peer, "a", 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_upsert(marks, NULL, "a", 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_upsert(marks, peer, NULL, 1), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get(NULL, peer, "a", &time), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get(marks, NULL, "a", &time), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get(marks, peer, NULL, &time), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get(marks, peer, "a", NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_all_for_peer(NULL, peer, list_one, &list), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_all_for_peer(marks, NULL, list_one, &list), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_all_for_peer(marks, peer, NULL, &list), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_max(NULL, &time), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_max(marks, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_delete_peer(NULL, peer, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_delete_peer(marks, NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_mark(NULL, peer, "a", &mark), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_mark(marks, NULL, "a", &mark), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_mark(marks, peer, NULL, &mark), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_mark(marks, peer, "a", NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_advance_range(NULL, peer, "a", 0, 1, 2, 0), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_advance_range(marks, NULL, "a", 0, 1, 2, 0), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_advance_range(marks, peer, NULL, 0, 1, 2, 0), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_advance_range(marks, peer, "a", 0, 1, 2, 3), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_reset(NULL, peer, "a"), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_reset(marks, NULL, "a"), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_reset(marks, peer, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_set_ack(NULL, peer, "a", 1, TIDE_DEFAULT_DURABILITY),
                     TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, NULL, "a", 1, TIDE_DEFAULT_DURABILITY),
                     TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, NULL, 1, TIDE_DEFAULT_DURABILITY),
                     TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_ack(NULL, peer, "a", &time), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_ack(marks, NULL, "a", &time), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_ack(marks, peer, NULL, &time), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_ack(marks, peer, "a", NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_flush(NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_set_barrier(NULL, NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(time, 4711);
    ck_assert_mem_eq(&mark, &untouched, sizeof mark);
    ck_assert_int_eq(tide_watermarks_get_max(marks, &time), TIDE_ABSENT);
}
END_TEST

START_TEST(bad_names_are_refused_and_good_ones_kept)
{
    static char longest[TIDE_RESOURCE_MAX + 1], too_long[TIDE_RESOURCE_MAX + 2];
    static const char *const bad[] = {"",         "|",    "a|b",          "a\n",   "\x7f",
                                      "\xc2\x80", "\xff", "\xed\xa0\x80", too_long};
    static const char *const good[] = {
        " ", "'", "\"; DROP TABLE device_resource_watermarks; --", "%", "_", "\xc3\xa9", longest};
    tide_time time = 4711;
    tide_mark mark = untouched;

    begin(_i);
    memset(longest, 'r', sizeof longest - 1);
    memset(too_long, 'r', sizeof too_long - 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(upsert(bad[i], 1), TIDE_EINVAL);
        ck_assert_int_eq(tide_watermarks_get(marks, peer, bad[i], &time), TIDE_EINVAL);
        ck_assert_int_eq(tide_watermarks_get_mark(marks, peer, bad[i], &mark), TIDE_EINVAL);
        ck_assert_int_eq(range(bad[i], TIDE_TIME_NONE, 1, 5), TIDE_EINVAL);
        ck_assert_int_eq(tide_watermarks_reset(marks, peer, bad[i]), TIDE_EINVAL);
        ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, bad[i], 1, TIDE_DEFAULT_DURABILITY),
                         TIDE_EINVAL);
        ck_assert_int_eq(tide_watermarks_get_ack(marks, peer, bad[i], &time), TIDE_EINVAL);
    }
    ck_assert_int_eq(time, 4711);
    ck_assert_int_eq(tide_watermarks_get_max(marks, &time), TIDE_ABSENT);
    for (int i = 0; i < (int)(sizeof good / sizeof *good); i++) {
        ck_assert_int_eq(upsert(good[i], i), TIDE_OK);
    }
    open_again();
    for (int i = 0; i < (int)(sizeof good / sizeof *good); i++) {
        at(good[i], i);
    }
}
END_TEST

START_TEST(the_device_is_ours)
{
    uuid_t back;

    begin(_i);
    tide_watermarks_device(marks, back);
    ck_assert_mem_eq(back, device, 16);
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

    state->calls++;
    return state->answer;
}

START_TEST(the_barrier_runs_before_a_change_and_may_stop_it)
{
    barrier_state state = {0, -4242};

    begin(_i);
    ck_assert_int_eq(tide_watermarks_set_barrier(marks, barrier, &state), TIDE_OK);
    ck_assert_int_eq(upsert("entry", 10), -4242);
    ck_assert_int_eq(state.calls, 1);
    at("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 10, 77), -4242);
    ck_assert_int_eq(state.calls, 2);
    at("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "entry", 10, TIDE_DEFAULT_DURABILITY),
                     -4242);
    ck_assert_int_eq(state.calls, 3);
    ack_at("entry", TIDE_TIME_NONE);
    state.answer = 0;
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 10, 77), TIDE_OK);
    ck_assert_int_eq(state.calls, 4);
    ck_assert_int_eq(upsert("entry", 20), TIDE_OK);
    ck_assert_int_eq(state.calls, 5);
    at("entry", 20);
    state.answer = 6; /* only a negative answer stops */
    ck_assert_int_eq(upsert("entry", 30), TIDE_OK);
    at("entry", 30);
    ck_assert_int_eq(tide_watermarks_set_barrier(marks, NULL, marks), TIDE_OK); /* not ours */
    ck_assert_int_eq(upsert("entry", 35), TIDE_OK);
    ck_assert_int_eq(state.calls, 7);
    ck_assert_int_eq(tide_watermarks_set_barrier(marks, NULL, &state), TIDE_OK);
    ck_assert_int_eq(upsert("entry", 40), TIDE_OK);
    ck_assert_int_eq(state.calls, 7);
    ck_assert_int_eq(tide_watermarks_flush(marks), TIDE_OK);
}
END_TEST

START_TEST(deferred_changes_wait_for_the_flush)
{
    tide_options options;
    barrier_state state = {0, 0};
    tide_info info = {.size = sizeof info};

    backend = OVER_LMDB;
    test_options(&options, 0);
    options.durability = TIDE_DEFERRED;
    store = test_open("sync.mdb", &options);
    marks = open_for(device);
    ck_assert_int_eq(tide_watermarks_set_barrier(marks, barrier, &state), TIDE_OK);
    ck_assert_int_eq(upsert("entry", 10), TIDE_OK);
    ck_assert_int_eq(range("tag", TIDE_TIME_NONE, 10, 77), TIDE_OK);
    ck_assert_int_eq(state.calls, 0);
    at("entry", 10);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    ck_assert_uint_eq(info.pending, 2);
    ck_assert_int_eq(tide_watermarks_flush(marks), TIDE_OK);
    ck_assert_int_eq(state.calls, 1);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    ck_assert_uint_eq(info.pending, 0);
    ck_assert_uint_eq(info.marks, 2);
    ck_assert_int_eq(tide_watermarks_set_barrier(marks, NULL, NULL), TIDE_OK);
}
END_TEST

/* ---- both backends, side by side ---------------------------------------------------------------- */

typedef struct pair {
    tide_watermarks *left, *right;
} pair;

static int random_change(test_random *random, tide_watermarks *on)
{
    static const char *const names[] = {"a", "b", "c"};
    const char *name = names[test_below(random, 3)];
    const unsigned char *who = test_below(random, 2) == 0 ? peer : other;
    tide_time first = (tide_time)test_below(random, 40) - 20;
    tide_time second = first + 1 + (tide_time)test_below(random, 20);
    tide_time epoch =
        test_below(random, 2) == 0 ? TIDE_TIME_NONE : (tide_time)test_below(random, 2);
    size_t removed = 0;
    int rc;

    if (test_below(random, 3) == 0)
        first = TIDE_TIME_NONE;
    switch (test_below(random, 10)) {
    case 0:
    case 1:
        return tide_watermarks_upsert(on, who, name, second);
    case 2:
        return tide_watermarks_set_ack(on, who, name, second, TIDE_DEFAULT_DURABILITY);
    case 3:
        return tide_watermarks_reset(on, who, name);
    case 4:
        rc = tide_watermarks_delete_peer(on, who, &removed);
        return rc == TIDE_OK ? 1000 + (int)removed : rc;
    default:
        return tide_watermarks_advance_range(on, who, name, first, second, epoch,
                                             TIDE_DEFAULT_DURABILITY);
    }
}

START_TEST(both_backends_answer_alike)
{
    test_random left = {12}, right = {12};
    tide_options options;
    sqlite3 *plain = NULL;
    pair both;

    backend = OVER_LMDB;
    test_options(&options, 0);
    options.durability = TIDE_DEFERRED;
    store = test_open("sync.mdb", &options);
    both.left = marks = open_for(device);
    ck_assert_int_eq(sqlite3_open("sync.db", &plain), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(plain, "PRAGMA synchronous=OFF", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(tide_watermarks_open_sqlite(plain, device, &both.right), TIDE_OK);
    for (int i = 0; i < 1500; i++) {
        int rc = random_change(&left, both.left), other_rc = random_change(&right, both.right);

        if (rc != other_rc)
            ck_abort_msg("change %d: %d and %d", i, rc, other_rc);
        for (int k = 0; k < 6; k++) {
            tide_mark a = untouched, b = untouched;
            const unsigned char *who = k % 2 == 0 ? peer : other;
            const char name[2] = {(char)('a' + k / 2), '\0'};

            rc = tide_watermarks_get_mark(both.left, who, name, &a);
            other_rc = tide_watermarks_get_mark(both.right, who, name, &b);
            if (rc != other_rc || a.watermark != b.watermark || a.epoch != b.epoch) {
                ck_abort_msg("mark %d after change %d", k, i);
            }
            rc = tide_watermarks_get_ack(both.left, who, name, &a.watermark);
            other_rc = tide_watermarks_get_ack(both.right, who, name, &b.watermark);
            if (rc != other_rc || a.watermark != b.watermark) {
                ck_abort_msg("ack %d after change %d", k, i);
            }
        }
    }
    tide_watermarks_close(both.right);
    ck_assert_int_eq(sqlite3_close(plain), SQLITE_OK);
}
END_TEST

/* ---- SQLite ------------------------------------------------------------------------------------- */

static void sql(const char *text)
{
    char *message = NULL;
    int rc = sqlite3_exec(database, text, NULL, NULL, &message);

    ck_assert_msg(rc == SQLITE_OK, "%s: %s", text, message == NULL ? "" : message);
}

static void query(const char *text, char *out, size_t size)
{
    sqlite3_stmt *statement = NULL;

    ck_assert_int_eq(sqlite3_prepare_v2(database, text, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    snprintf(out, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
}

/* The tokens of a statement: comments go, space between two names is one blank, other space goes. */
static void tokens(const char *text, char *out)
{
    size_t at = 0;
    bool space = false;

    for (; *text != '\0'; text++) {
        if (text[0] == '-' && text[1] == '-') {
            while (text[1] != '\0' && text[1] != '\n') {
                text++;
            }
            space = true;
        } else if (isspace((unsigned char)*text)) {
            space = true;
        } else {
            bool name = isalnum((unsigned char)*text) || *text == '_';
            bool after_name = at > 0 && (isalnum((unsigned char)out[at - 1]) || out[at - 1] == '_');

            if (space && name && after_name)
                out[at++] = ' ';
            out[at++] = *text;
            space = false;
        }
    }
    out[at] = '\0';
}

static const char table_sql[] = "CREATE TABLE device_resource_watermarks ("
                                "device_uuid TEXT NOT NULL, "
                                "peer_device_uuid TEXT NOT NULL, "
                                "resource_type TEXT NOT NULL, "
                                "last_watermark TEXT NOT NULL, "
                                "updated_at TEXT NOT NULL, "
                                "PRIMARY KEY (device_uuid, peer_device_uuid, resource_type))";
static const char peer_index_sql[] =
    "CREATE INDEX idx_resource_watermarks_peer "
    "ON device_resource_watermarks(peer_device_uuid, resource_type)";
static const char resource_index_sql[] = "CREATE INDEX idx_resource_watermarks_resource "
                                         "ON device_resource_watermarks(resource_type)";

static void schema_is(const char *name, const char *expected)
{
    char question[256], text[2048], is[2048], wanted[2048];

    snprintf(question, sizeof question, "SELECT sql FROM sqlite_master WHERE name = '%s'", name);
    query(question, text, sizeof text);
    tokens(text, is);
    tokens(expected, wanted);
    ck_assert_str_eq(is, wanted);
}

START_TEST(sqlite_has_the_table_and_its_indexes)
{
    char count[16];

    begin(OVER_SQLITE);
    schema_is("device_resource_watermarks", table_sql);
    schema_is("idx_resource_watermarks_peer", peer_index_sql);
    schema_is("idx_resource_watermarks_resource", resource_index_sql);
    query("SELECT count(*) FROM sqlite_master WHERE type = 'table'", count, sizeof count);
    ck_assert_str_eq(count, "2");
    query("SELECT count(*) FROM sqlite_master WHERE name = 'device_resource_watermark_epochs'",
          count, sizeof count);
    ck_assert_str_eq(count, "1");
    open_again(); /* a second time changes nothing */
    schema_is("device_resource_watermarks", table_sql);
}
END_TEST

START_TEST(sqlite_rows_are_what_other_programs_expect)
{
    char text[128], expected[UUID_STR_LEN];
    tide_time time = 0;

    begin(OVER_SQLITE);
    ck_assert_int_eq(upsert("entry", time_of("2025-01-01T10:00:00.5Z")), TIDE_OK);
    query("SELECT device_uuid FROM device_resource_watermarks", text, sizeof text);
    uuid_unparse_lower(device, expected);
    ck_assert_str_eq(text, expected);
    query("SELECT peer_device_uuid FROM device_resource_watermarks", text, sizeof text);
    uuid_unparse_lower(peer, expected);
    ck_assert_str_eq(text, expected);
    query("SELECT resource_type FROM device_resource_watermarks", text, sizeof text);
    ck_assert_str_eq(text, "entry");
    query("SELECT typeof(last_watermark) || typeof(updated_at) FROM device_resource_watermarks",
          text, sizeof text);
    ck_assert_str_eq(text, "texttext");
    query("SELECT last_watermark FROM device_resource_watermarks", text, sizeof text);
    ck_assert_int_eq(tide_time_parse(text, strlen(text), &time), TIDE_OK);
    ck_assert_int_eq(time, time_of("2025-01-01T10:00:00.5Z"));
    query("SELECT updated_at FROM device_resource_watermarks", text, sizeof text);
    ck_assert_int_eq(tide_time_parse(text, strlen(text), &time), TIDE_OK);
    query("SELECT julianday(last_watermark) = julianday('2025-01-01T10:00:00.5Z') "
          "FROM device_resource_watermarks",
          text, sizeof text);
    ck_assert_str_eq(text, "1");
}
END_TEST

static void insert(const char *resource, const char *watermark)
{
    char text[1024], own[UUID_STR_LEN], its[UUID_STR_LEN];

    uuid_unparse_lower(device, own);
    uuid_unparse_lower(peer, its);
    snprintf(text, sizeof text,
             "INSERT OR REPLACE INTO device_resource_watermarks VALUES "
             "('%s', '%s', '%s', %s, '2025-01-02T00:00:00.123456789+00:00')",
             own, its, resource, watermark);
    sql(text);
}

/* A file made by another program: with these statements, its own formatting, and its own times. */
static void begin_with_foreign_file(bool with_second_index)
{
    backend = OVER_SQLITE;
    open_medium();
    sql("CREATE TABLE device_resource_watermarks (\n"
        "    device_uuid TEXT NOT NULL,        -- Our device UUID\n"
        "    peer_device_uuid TEXT NOT NULL,   -- Peer's device UUID\n"
        "    resource_type TEXT NOT NULL,      -- \"location\", \"entry\", \"volume\", etc.\n"
        "    last_watermark TEXT NOT NULL,     -- RFC3339 timestamp\n"
        "    updated_at TEXT NOT NULL,         -- RFC3339 timestamp\n\n"
        "    PRIMARY KEY (device_uuid, peer_device_uuid, resource_type)\n);\n"
        "CREATE INDEX idx_resource_watermarks_peer\n"
        "    ON device_resource_watermarks(peer_device_uuid, resource_type);\n");
    if (with_second_index) {
        sql("CREATE INDEX idx_resource_watermarks_resource\n"
            "    ON device_resource_watermarks(resource_type);\n");
    }
    insert("location", "'2025-01-01T10:00:00+00:00'");
    insert("entry", "'2025-01-01T15:00:00.123456789+00:00'");
    insert("volume", "'2025-01-01T23:00:00-05:00'"); /* the latest instant, though not as text */
    insert("tag", "'2025-01-02T03:30:00+00:00'");
    marks = open_for(device);
}

START_TEST(a_sync_db_of_another_program_is_taken_over)
{
    tide_time max = 0;
    tide_mark mark;
    listing list;

    begin_with_foreign_file(_i == 0);
    schema_is("idx_resource_watermarks_resource", resource_index_sql);
    at("location", time_of("2025-01-01T10:00:00Z"));
    at("entry", time_of("2025-01-01T15:00:00.123456789Z"));
    at("volume", time_of("2025-01-02T04:00:00Z"));
    ck_assert_int_eq(tide_watermarks_get_mark(marks, peer, "tag", &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, time_of("2025-01-02T03:30:00Z"));
    ck_assert_int_eq(mark.updated_at, time_of("2025-01-02T00:00:00.123456789Z"));
    ck_assert_int_eq(mark.epoch, TIDE_TIME_NONE);
    ck_assert_int_eq(tide_watermarks_get_max(marks, &max), TIDE_OK);
    ck_assert_int_eq(max, time_of("2025-01-02T04:00:00Z"));
    memset(&list, 0, sizeof list);
    ck_assert_int_eq(tide_watermarks_get_all_for_peer(marks, peer, list_one, &list), TIDE_OK);
    ck_assert_int_eq(list.count, 4);
    ck_assert_str_eq(list.resources[0], "entry");
    ck_assert_str_eq(list.resources[3], "volume");
    ck_assert_int_eq(list.times[3], time_of("2025-01-02T04:00:00Z"));
}
END_TEST

START_TEST(instants_are_compared_and_not_texts)
{
    begin_with_foreign_file(true);
    /* later as text, earlier as an instant, and the other way round */
    ck_assert_int_eq(upsert("volume", time_of("2025-01-02T03:59:59Z")), TIDE_STALE);
    at("volume", time_of("2025-01-02T04:00:00Z"));
    ck_assert_int_eq(upsert("volume", time_of("2025-01-02T04:00:00Z")), TIDE_STALE);
    ck_assert_int_eq(upsert("volume", time_of("2025-01-02T04:00:00.000000001Z")), TIDE_OK);
    insert("volume", "'2025-01-02T05:00:00+05:00'"); /* midnight UTC */
    ck_assert_int_eq(upsert("volume", time_of("2025-01-02T00:00:00.000000001Z")), TIDE_OK);
    at("volume", time_of("2025-01-02T00:00:00.000000001Z"));
    ck_assert_int_eq(upsert("location", time_of("2025-01-01T10:00:00Z")), TIDE_STALE);
    ck_assert_int_eq(range("location", time_of("2025-01-01T10:00:00Z"),
                           time_of("2025-01-01T10:00:01Z"), TIDE_TIME_NONE),
                     TIDE_OK);
    ck_assert_int_eq(range("entry", time_of("2025-01-01T15:00:00.123456790Z"),
                           time_of("2025-01-01T16:00:00Z"), TIDE_TIME_NONE),
                     TIDE_GAP);
}
END_TEST

static const char *const garbage[] = {"'yesterday'",
                                      "''",
                                      "'2025-01-01'",
                                      "'2025-01-01 10:00:00'",
                                      "1735725600",
                                      "x'00ff'",
                                      "'9999-01-01T00:00:00Z'",
                                      "'2025-01-01T10:00:00Z '",
                                      "'2025-01-01T10:00:00Z' || char(0)"};

START_TEST(a_time_that_cannot_be_read_is_damage_and_never_absent)
{
    tide_time time = 4711;
    tide_mark mark = untouched;
    char before[128], after[128];
    listing list;

    begin(OVER_SQLITE);
    insert("entry", garbage[_i]);
    memset(&list, 0, sizeof list);
    query("SELECT quote(last_watermark) FROM device_resource_watermarks", before, sizeof before);
    ck_assert_int_eq(tide_watermarks_get(marks, peer, "entry", &time), TIDE_ECORRUPT);
    ck_assert_int_eq(tide_watermarks_get_mark(marks, peer, "entry", &mark), TIDE_ECORRUPT);
    ck_assert_int_eq(tide_watermarks_get_max(marks, &time), TIDE_ECORRUPT);
    ck_assert_int_eq(tide_watermarks_get_all_for_peer(marks, peer, list_one, &list), TIDE_ECORRUPT);
    ck_assert_int_eq(upsert("entry", TIDE_TIME_MAX), TIDE_ECORRUPT);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 5, 77), TIDE_ECORRUPT);
    ck_assert_int_eq(time, 4711);
    ck_assert_mem_eq(&mark, &untouched, sizeof mark);
    query("SELECT quote(last_watermark) FROM device_resource_watermarks", after, sizeof after);
    ck_assert_str_eq(before, after);
    ck_assert_int_eq(upsert("tag", 5), TIDE_OK); /* the others can be used */
    at("tag", 5);
}
END_TEST

START_TEST(a_change_is_part_of_the_callers_transaction)
{
    begin(OVER_SQLITE);
    ck_assert_int_eq(upsert("entry", 5), TIDE_OK);
    sql("CREATE TABLE rows (id INTEGER PRIMARY KEY); BEGIN; INSERT INTO rows VALUES (1)");
    ck_assert_int_eq(upsert("entry", 10), TIDE_OK);
    ck_assert_int_eq(upsert("entry", 9), TIDE_STALE);
    ck_assert_int_eq(range("tag", TIDE_TIME_NONE, 10, 77), TIDE_OK);
    ck_assert_int_eq(range("tag", 11, 12, 77), TIDE_GAP);
    ck_assert_int_eq(range("tag", 10, 12, 78), TIDE_CONFLICT);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "entry", 3, TIDE_DEFAULT_DURABILITY),
                     TIDE_OK);
    at("entry", 10);
    ck_assert_int_eq(sqlite3_get_autocommit(database), 0); /* it is still the caller's */
    sql("ROLLBACK");
    at("entry", 5);
    at("tag", TIDE_TIME_NONE);
    ack_at("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(range("tag", TIDE_TIME_NONE, 10, 78), TIDE_OK); /* no epoch was left behind */
    epoch_is("tag", 78);

    sql("BEGIN IMMEDIATE; INSERT INTO rows VALUES (2)");
    ck_assert_int_eq(upsert("entry", 20), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_reset(marks, peer, "tag"), TIDE_OK);
    sql("COMMIT");
    open_again();
    at("entry", 20);
    at("tag", TIDE_TIME_NONE);

    sql("BEGIN; SAVEPOINT one");
    ck_assert_int_eq(upsert("entry", 30), TIDE_OK);
    sql("ROLLBACK TO one; RELEASE one; COMMIT");
    at("entry", 20);
}
END_TEST

START_TEST(a_refusal_leaves_the_callers_transaction_alone)
{
    char count[8];

    begin(OVER_SQLITE);
    sql("CREATE TABLE rows (id INTEGER PRIMARY KEY)");
    insert("entry", "'garbage'");
    sql("BEGIN; INSERT INTO rows VALUES (1)");
    ck_assert_int_eq(upsert("entry", 10), TIDE_ECORRUPT);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 10, 77), TIDE_ECORRUPT);
    ck_assert_int_eq(sqlite3_get_autocommit(database), 0);
    sql("COMMIT");
    query("SELECT count(*) FROM rows", count, sizeof count);
    ck_assert_str_eq(count, "1");
}
END_TEST

static void no_statement_is_busy(void)
{
    for (sqlite3_stmt *one = sqlite3_next_stmt(database, NULL); one != NULL;
         one = sqlite3_next_stmt(database, one)) {
        ck_assert_msg(!sqlite3_stmt_busy(one), "%s", sqlite3_sql(one));
    }
    ck_assert_int_ne(sqlite3_get_autocommit(database), 0);
}

START_TEST(no_call_leaves_a_statement_or_transaction_open)
{
    tide_time time;
    tide_mark mark;
    listing list;

    begin(OVER_SQLITE);
    no_statement_is_busy();
    for (int i = 0; i < 2; i++) {
        memset(&list, 0, sizeof list);
        list.stop_at = 1;
        list.stop_with = 9;
        (void)tide_watermarks_get(marks, peer, "entry", &time);
        no_statement_is_busy();
        (void)upsert("entry", 10);
        no_statement_is_busy();
        (void)upsert("entry", 5);
        no_statement_is_busy();
        (void)range("tag", TIDE_TIME_NONE, 10, 77);
        no_statement_is_busy();
        (void)range("tag", 20, 30, 77);
        no_statement_is_busy();
        (void)range("tag", 10, 30, 78);
        no_statement_is_busy();
        (void)tide_watermarks_get_mark(marks, peer, "tag", &mark);
        no_statement_is_busy();
        (void)tide_watermarks_get_max(marks, &time);
        no_statement_is_busy();
        ck_assert_int_eq(tide_watermarks_get_all_for_peer(marks, peer, list_one, &list), 9);
        no_statement_is_busy();
        (void)tide_watermarks_set_ack(marks, peer, "entry", 1, TIDE_DEFAULT_DURABILITY);
        no_statement_is_busy();
        (void)tide_watermarks_get_ack(marks, peer, "entry", &time);
        no_statement_is_busy();
        (void)tide_watermarks_reset(marks, peer, "tag");
        no_statement_is_busy();
        (void)tide_watermarks_delete_peer(marks, other, NULL);
        no_statement_is_busy();
    }
    insert("bad", "'garbage'");
    (void)tide_watermarks_get_max(marks, &time);
    no_statement_is_busy();
    (void)upsert("bad", 1);
    no_statement_is_busy();
}
END_TEST

START_TEST(another_connection_that_writes_makes_it_busy)
{
    sqlite3 *second = NULL;
    tide_time time = 4711;

    begin(OVER_SQLITE);
    ck_assert_int_eq(upsert("entry", 5), TIDE_OK);
    ck_assert_int_eq(sqlite3_open("sync.db", &second), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(second, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(upsert("entry", 10), TIDE_EBUSY);
    ck_assert_int_eq(tide_watermarks_get(marks, peer, "entry", &time), TIDE_EBUSY);
    ck_assert_int_eq(time, 4711);
    ck_assert_int_eq(sqlite3_exec(second, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    no_statement_is_busy();
    at("entry", 5);
    ck_assert_int_eq(upsert("entry", 10), TIDE_OK);
    ck_assert_int_eq(sqlite3_close(second), SQLITE_OK);
}
END_TEST

START_TEST(a_full_database_is_told)
{
    int rc = TIDE_OK, count = 0;

    begin(OVER_SQLITE);
    sql("PRAGMA max_page_count = 12");
    while (rc == TIDE_OK) {
        char resource[400];

        memset(resource, 'r', sizeof resource - 1);
        snprintf(resource, 16, "%010d", count);
        resource[10] = '-';
        resource[sizeof resource - 1] = '\0';
        rc = upsert(resource, 1);
        count += rc == TIDE_OK;
    }
    ck_assert_int_eq(rc, TIDE_ENOSPC);
    ck_assert_int_gt(count, 1);
    no_statement_is_busy();
    sql("PRAGMA max_page_count = 1000");
    ck_assert_int_eq(upsert("more", 1), TIDE_OK);
}
END_TEST

START_TEST(a_table_of_another_shape_is_an_error)
{
    tide_watermarks *out = (tide_watermarks *)&out;

    backend = OVER_SQLITE;
    open_medium();
    sql("CREATE TABLE device_resource_watermarks (something TEXT)");
    ck_assert_int_lt(tide_watermarks_open_sqlite(database, device, &out), 0);
    ck_assert_ptr_null(out);
}
END_TEST

/* Another program knows nothing of the table beside it: what it deletes must be gone with its epoch. */
START_TEST(a_row_that_another_program_deleted_has_no_epoch)
{
    begin(OVER_SQLITE);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 10, 77), TIDE_OK);
    sql("DELETE FROM device_resource_watermarks");
    at("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(range("entry", TIDE_TIME_NONE, 5, 88), TIDE_OK);
    epoch_is("entry", 88);
    sql("DELETE FROM device_resource_watermarks");
    ck_assert_int_eq(upsert("entry", 3), TIDE_OK);
    epoch_is("entry", TIDE_TIME_NONE);
}
END_TEST

/* ---- history and forgetting --------------------------------------------------------------------- */

static void history_at(tide_time watermark, tide_time epoch)
{
    tide_mark mark = {7, 7, 7};

    ck_assert_int_eq(tide_watermarks_get_history(marks, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, watermark);
    ck_assert_int_eq(mark.epoch, epoch);
}

static int raise_history(tide_time epoch, tide_time newest)
{
    return tide_watermarks_raise_history(marks, epoch, newest, TIDE_DURABLE);
}

START_TEST(the_history_rises_within_its_epoch)
{
    tide_mark mark = {7, 7, 7};
    tide_time time = 7;

    begin(_i);
    ck_assert_int_eq(tide_watermarks_get_history(marks, &mark), TIDE_ABSENT);
    ck_assert_int_eq(mark.watermark, 7);
    ck_assert_int_eq(raise_history(5, 100), TIDE_OK);
    history_at(100, 5);
    ck_assert_int_eq(raise_history(5, 100), TIDE_STALE);
    ck_assert_int_eq(raise_history(5, 99), TIDE_STALE);
    ck_assert_int_eq(raise_history(6, 200), TIDE_CONFLICT);
    history_at(100, 5);
    ck_assert_int_eq(raise_history(5, 101), TIDE_OK);
    history_at(101, 5);
    ck_assert_int_eq(tide_watermarks_get_max(marks, &time), TIDE_ABSENT); /* it is no watermark */
    ck_assert_int_eq(raise_history(TIDE_TIME_NONE, 1), TIDE_EINVAL);
    ck_assert_int_eq(raise_history(5, TIDE_TIME_NONE), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_raise_history(marks, 5, 200, 99), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_raise_history(NULL, 5, 200, TIDE_DURABLE), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_history(marks, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_get_history(NULL, &mark), TIDE_EINVAL);
}
END_TEST

START_TEST(acks_of_one_peer_can_be_removed)
{
    begin(_i);
    ck_assert_int_eq(upsert("entry", 1), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_delete_acks(marks, peer), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "entry", 5, TIDE_DURABLE), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "tag", 6, TIDE_DURABLE), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_delete_acks(marks, peer), TIDE_OK);
    ack_at("entry", TIDE_TIME_NONE);
    ack_at("tag", TIDE_TIME_NONE);
    at("entry", 1);
    ck_assert_int_eq(tide_watermarks_delete_acks(marks, device), TIDE_EINVAL);
    ck_assert_int_eq(tide_watermarks_delete_acks(NULL, peer), TIDE_EINVAL);
}
END_TEST

/* Everything of our device goes; what others know of each other stays. */
START_TEST(all_can_be_forgotten)
{
    tide_watermarks *theirs;
    tide_mark mark;
    uuid_t third;
    tide_time time = 0;

    begin(_i);
    test_uuid(third, 333);
    theirs = open_for(peer);
    ck_assert_int_eq(tide_watermarks_forget(marks), TIDE_OK);
    ck_assert_int_eq(upsert("entry", 1), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_upsert(marks, third, "entry", 2), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, peer, "entry", 5, TIDE_DURABLE), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_set_ack(marks, third, "tag", 5, TIDE_DEFERRED), TIDE_OK);
    ck_assert_int_eq(raise_history(5, 100), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_upsert(theirs, third, "entry", 9), TIDE_OK);
    ck_assert_int_eq(tide_watermarks_forget(marks), TIDE_OK);
    at("entry", TIDE_TIME_NONE);
    ack_at("entry", TIDE_TIME_NONE);
    ck_assert_int_eq(tide_watermarks_get(marks, third, "entry", &time), TIDE_ABSENT);
    ck_assert_int_eq(tide_watermarks_get_ack(marks, third, "tag", &time), TIDE_ABSENT);
    ck_assert_int_eq(tide_watermarks_get_history(marks, &mark), TIDE_ABSENT);
    ck_assert_int_eq(tide_watermarks_get(theirs, third, "entry", &time), TIDE_OK);
    ck_assert_int_eq(time, 9);
    ck_assert_int_eq(tide_watermarks_forget(NULL), TIDE_EINVAL);
    tide_watermarks_close(theirs);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watermarks");
    TCase *both = test_case(suite, "contract"), *lmdb = test_case(suite, "lmdb");
    TCase *sqlite = test_case(suite, "sqlite");

    tcase_add_checked_fixture(both, set_up, tear_down);
    tcase_add_checked_fixture(lmdb, set_up, tear_down);
    tcase_add_checked_fixture(sqlite, set_up, tear_down);
    tcase_add_loop_test(both, each_resource_has_its_own_watermark, 0, BACKENDS);
    tcase_add_loop_test(both, each_peer_and_each_device_has_its_own_watermark, 0, BACKENDS);
    tcase_add_loop_test(both, upsert_raises_and_never_lowers, 0, BACKENDS);
    tcase_add_loop_test(both, nanoseconds_are_kept, 0, BACKENDS);
    tcase_add_loop_test(both, a_watermark_about_oneself_is_refused, 0, BACKENDS);
    tcase_add_loop_test(both, all_for_a_peer_come_in_the_order_of_their_bytes, 0, BACKENDS);
    tcase_add_loop_test(both, what_the_callback_returns_stops_and_is_returned, 0, BACKENDS);
    tcase_add_loop_test(both, the_largest_is_compared_as_an_instant, 0, BACKENDS);
    tcase_add_loop_test(both, delete_peer_takes_our_watermarks_about_it, 0, BACKENDS);
    tcase_add_loop_test(both, a_range_must_join_on, 0, BACKENDS);
    tcase_add_loop_test(both, an_epoch_is_taken_kept_and_told_apart, 0, BACKENDS);
    tcase_add_loop_test(both, a_mark_without_an_epoch_takes_none, 0, BACKENDS);
    tcase_add_loop_test(both, a_reset_watermark_begins_anew, 0, BACKENDS);
    tcase_add_loop_test(both, the_whole_mark_can_be_read, 0, BACKENDS);
    tcase_add_loop_test(both, an_ack_is_the_peers_mark_about_us, 0, BACKENDS);
    tcase_add_loop_test(both, the_history_rises_within_its_epoch, 0, BACKENDS);
    tcase_add_loop_test(both, acks_of_one_peer_can_be_removed, 0, BACKENDS);
    tcase_add_loop_test(both, all_can_be_forgotten, 0, BACKENDS);
    tcase_add_loop_test(both, null_is_refused_everywhere, 0, BACKENDS);
    tcase_add_loop_test(both, bad_names_are_refused_and_good_ones_kept, 0, BACKENDS);
    tcase_add_loop_test(both, the_device_is_ours, 0, BACKENDS);
    tcase_add_loop_test(both, the_barrier_runs_before_a_change_and_may_stop_it, 0, BACKENDS);
    tcase_add_test(lmdb, deferred_changes_wait_for_the_flush);
    tcase_add_test(lmdb, both_backends_answer_alike);
    tcase_add_test(sqlite, sqlite_has_the_table_and_its_indexes);
    tcase_add_test(sqlite, sqlite_rows_are_what_other_programs_expect);
    tcase_add_loop_test(sqlite, a_sync_db_of_another_program_is_taken_over, 0, 2);
    tcase_add_test(sqlite, instants_are_compared_and_not_texts);
    tcase_add_loop_test(sqlite, a_time_that_cannot_be_read_is_damage_and_never_absent, 0,
                        (int)(sizeof garbage / sizeof *garbage));
    tcase_add_test(sqlite, a_change_is_part_of_the_callers_transaction);
    tcase_add_test(sqlite, a_refusal_leaves_the_callers_transaction_alone);
    tcase_add_test(sqlite, no_call_leaves_a_statement_or_transaction_open);
    tcase_add_test(sqlite, another_connection_that_writes_makes_it_busy);
    tcase_add_test(sqlite, a_full_database_is_told);
    tcase_add_test(sqlite, a_table_of_another_shape_is_an_error);
    tcase_add_test(sqlite, a_row_that_another_program_deleted_has_no_epoch);
    return test_run(suite);
}
