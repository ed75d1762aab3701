/* The marks in use, answered from memory: right when other processes write, bounded, and flushed by
 * a thread where one is asked for. */
#define _GNU_SOURCE 1
#include "store/table.h"

#include <string.h>
#include <tidemark/store.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define ENTRY device, peer, "entry"

static uuid_t device, peer;

static void set_up(void)
{
    test_uuid(device, 1);
    test_uuid(peer, 2);
}

static uint64_t transaction_of(tide_store *store)
{
    tide_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    return info.transaction;
}

static uint64_t pending_of(tide_store *store)
{
    tide_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    return info.pending;
}

/* ---- the table by itself ------------------------------------------------------------------------ */

static tide__id id_of(const char *resource)
{
    tide__id id;

    ck_assert_int_eq(tide__id_make(device, peer, resource, &id), TIDE_OK);
    return id;
}

static const tide__taken never = {0, 0};

START_TEST(slots_are_current_until_somebody_else_commits)
{
    tide__table table;
    tide__id id = id_of("entry"), other = id_of("tag");
    tide_mark mark = {5, 6, 7};
    tide__slot *slot, *second;

    tide__table_init(&table);
    ck_assert_ptr_null(tide__table_find(&table, &id));
    slot = tide__table_take(&table, &id);
    second = tide__table_take(&table, &other);
    ck_assert_ptr_eq(tide__table_find(&table, &id), slot);
    ck_assert_ptr_eq(tide__table_take(&table, &id), slot);
    ck_assert(!tide__table_current(&table, slot, 0)); /* nothing is known of it */
    ck_assert(tide__table_reach(&table, 10, &never));
    tide__table_note(&table, slot, &mark, true);
    tide__table_note(&table, second, &mark, true);
    ck_assert(tide__table_current(&table, slot, 10));
    ck_assert(!tide__table_current(&table, slot, 11)); /* there is a newer commit */

    ck_assert(tide__table_follow(&table, 11, &never)); /* our own: the rest stands */
    ck_assert(tide__table_current(&table, slot, 11));
    ck_assert(!tide__table_reach(&table, 10, &never)); /* an old snapshot */
    ck_assert(tide__table_current(&table, slot, 11));
    ck_assert(tide__table_follow(&table, 13, &never)); /* ours, but 12 was another's */
    ck_assert(!tide__table_current(&table, slot, 13));
    tide__table_note(&table, slot, &mark, true);
    ck_assert(tide__table_current(&table, slot, 13));
    ck_assert(!tide__table_current(&table, second, 13));
    ck_assert(tide__table_reach(&table, 14, &never)); /* another's */
    ck_assert(!tide__table_current(&table, slot, 14));
    tide__table_free(&table);
}
END_TEST

START_TEST(a_mark_is_worth_a_slot_the_second_time)
{
    tide__table table;
    tide__id id = id_of("entry"), other = id_of("tag");

    tide__table_init(&table);
    ck_assert(!tide__table_worthy(&table, &id));
    ck_assert(!tide__table_worthy(&table, &other));
    ck_assert(tide__table_worthy(&table, &id));
    ck_assert(tide__table_worthy(&table, &other));
    tide__table_free(&table);
}
END_TEST

START_TEST(what_is_long_out_of_use_goes_and_what_waits_stays)
{
    tide__table table;
    tide__id waiting = id_of("waiting"), used = id_of("used");
    tide_mark base = {1, 1, TIDE_TIME_NONE}, upto = {2, 1, TIDE_TIME_NONE};
    tide__slot *slot;

    tide__table_init(&table);
    (void)tide__table_reach(&table, 1, &never);
    slot = tide__table_take(&table, &waiting);
    tide__table_note(&table, slot, &base, true);
    tide__table_raise(&table, slot, false, &upto);
    for (uint64_t n = 0; n < 2 * TIDE__SLOTS_MAX; n++) {
        uuid_t d, p;
        char resource[32];
        tide__id id;

        test_numbered(n, d, p, resource);
        test_require(tide__id_make(d, p, resource, &id) == TIDE_OK);
        tide__table_trim(&table, 1);
        test_require(tide__table_take(&table, &id) != NULL);
        test_require(tide__table_take(&table, &used) != NULL); /* again and again */
        test_require(table.count <= TIDE__SLOTS_MAX + 1);
    }
    ck_assert_ptr_eq(tide__table_find(&table, &waiting), slot);
    ck_assert_ptr_nonnull(tide__table_find(&table, &used));
    ck_assert_int_eq(tide__table_view(&table, slot).watermark, 2);
    ck_assert_uint_eq(table.waiting_count, 1);
    tide__table_free(&table);
}
END_TEST

/* ---- through the store -------------------------------------------------------------------------- */

START_TEST(more_marks_than_the_table_holds)
{
    uint64_t count = TIDE__SLOTS_MAX + 20000;
    tide_options options;
    tide_store *store;

    test_options(&options, 0);
    options.durability = TIDE_DEFERRED;
    store = test_open(FILE_NAME, &options);
    for (uint64_t n = 0; n < count; n++) {
        uuid_t d, p;
        char resource[32];

        test_numbered(n, d, p, resource);
        test_require(tide_advance(store, d, p, resource, 5) == TIDE_OK);
    }
    ck_assert_uint_le(pending_of(store), TIDE__WAITING_MAX);
    for (int i = 0; i < 2; i++) /* from memory and from the file */
        ck_assert_uint_eq(test_count_at(store, 0, count, 5), count);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_uint_eq(pending_of(store), 0);
    ck_assert_uint_eq(test_count_at(store, 0, count, 5), count);
    tide_close(store);
    store = test_open(FILE_NAME, NULL);
    ck_assert_uint_eq(test_count_at(store, 0, count, 5), count);
    tide_close(store);
}
END_TEST

/* What another process writes, takes back or removes is seen at the next read, and so is what it
 * leaves alone. */
START_TEST(marks_in_memory_follow_another_process)
{
    test_remote remote;
    tide_store *store;
    tide_mark mark;

    test_remote_start(&remote);
    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(test_remote_open(&remote, FILE_NAME, 0), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, ENTRY, 10), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, peer, "tag", 10), TIDE_OK);
    for (tide_time i = 1; i <= 50; i++) {
        for (int twice = 0; twice < 3; twice++) { /* until it is kept */
            ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_OK);
            ck_assert_int_eq(mark.watermark, 9 + i);
            ck_assert_int_eq(tide_get(store, device, peer, "tag", &mark), TIDE_OK);
            ck_assert_int_eq(mark.watermark, 10);
        }
        ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 10 + i), TIDE_OK);
    }
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 60, 3), TIDE_OK);
    ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 3);
    ck_assert_int_eq(test_remote_set(&remote, ENTRY, 3, TIDE_TIME_NONE), TIDE_OK);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_ABSENT);
    ck_assert_int_eq(test_remote_advance(&remote, ENTRY, 1), TIDE_OK);
    ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 1);
    tide_close(store);
    test_remote_stop(&remote);
}
END_TEST

START_TEST(a_commit_of_our_own_leaves_the_rest_in_memory)
{
    tide_store *store = test_open(FILE_NAME, NULL);
    tide_mark mark;
    uint64_t before;

    ck_assert_int_eq(tide_advance(store, ENTRY, 1), TIDE_OK);
    ck_assert_int_eq(tide_compare_and_set(store, ENTRY, 1, 7), TIDE_OK);
    ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_OK);
    ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_OK);
    ck_assert_int_eq(tide_compare_and_set(store, ENTRY, 7, 8), TIDE_OK);
    ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 8);
    before = transaction_of(store);
    ck_assert_int_eq(tide_advance(store, ENTRY, 8), TIDE_STALE);
    ck_assert_uint_eq(transaction_of(store), before); /* nothing to write, nothing written */
    ck_assert_int_eq(tide_remove_peer(store, device, peer, NULL), TIDE_OK);
    ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_ABSENT);
    tide_close(store);
}
END_TEST

/* ---- the thread that flushes -------------------------------------------------------------------- */

static int signal_flushed(void *ctx)
{
    test_signal_send(ctx);
    return 0;
}

START_TEST(a_thread_flushes_where_one_is_asked_for)
{
    tide_options options;
    test_signal flushed;
    tide_store *store;
    test_remote remote;
    tide_mark mark;
    int rc;

    test_remote_start(&remote);
    test_signal_make(&flushed);
    test_options(&options, 0);
    options.durability = TIDE_DEFERRED;
    options.flush_interval_ms = 1;
    store = test_open(FILE_NAME, &options);
    ck_assert_int_eq(test_remote_open(&remote, FILE_NAME, 0), TIDE_OK);
    ck_assert_int_eq(tide_set_barrier(store, signal_flushed, &flushed), TIDE_OK);
    for (tide_time i = 1; i <= 20; i++) {
        ck_assert_int_eq(tide_advance(store, ENTRY, i), TIDE_OK);
        ck_assert(test_signal_wait(&flushed)); /* the thread is at it */
        while (pending_of(store) > 0) {
        }
        rc = test_remote_get(&remote, ENTRY, &mark);
        ck_assert_int_eq(rc, TIDE_OK);
        ck_assert_int_eq(mark.watermark, i);
    }
    ck_assert_int_eq(tide_set_barrier(store, NULL, &flushed), TIDE_OK);
    tide_close(store);
    test_remote_stop(&remote);
    test_signal_close(&flushed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table");
    TCase *test = test_case(suite, "table");

    tcase_add_checked_fixture(test, set_up, NULL);
    tcase_add_test(test, slots_are_current_until_somebody_else_commits);
    tcase_add_test(test, a_mark_is_worth_a_slot_the_second_time);
    tcase_add_test(test, what_is_long_out_of_use_goes_and_what_waits_stays);
    tcase_add_test(test, more_marks_than_the_table_holds);
    tcase_add_test(test, marks_in_memory_follow_another_process);
    tcase_add_test(test, a_commit_of_our_own_leaves_the_rest_in_memory);
    tcase_add_test(test, a_thread_flushes_where_one_is_asked_for);
    return test_run(suite);
}
