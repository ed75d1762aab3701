/* The pipe: whole exchanges over a link that loses, repeats, reorders and breaks. However it went, the
 * tables are equal in the end, by SQL; and at no moment is a mark beyond the rows that are there. */
#include <tidemark/transport.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/support_sync.h"

#define SEEDS 400
#define LOSS_MOST 300000
#define MESSAGES_MOST 4000 /* of one exchange over a faulty link */

static test_side a, b;

static void set_up(void)
{
    test_clock_install();
    test_side_open(&a, 1);
    test_side_open(&b, 2);
}

static void tear_down(void)
{
    test_side_close(&a);
    test_side_close(&b);
}

static tide_pipe *open_pipe(const tide_pipe_options *options)
{
    tide_pipe *pipe = NULL;

    test_require(tide_pipe_open(b.session, options, &pipe) == TIDE_OK);
    return pipe;
}

/* An exchange of a with b in new sessions; what it answered, and the messages it took. */
static int exchange(const tide_session_options *session, const tide_pipe_options *options,
                    uint64_t *messages)
{
    tide_pipe *pipe;
    int rc;

    test_session_start(&a, session);
    test_session_start(&b, session);
    pipe = open_pipe(options);
    rc = tide_sync_exchange_watermarks_and_catchup(a.session, tide_pipe_transport(pipe));
    test_require(tide_pipe_far_error(pipe) == TIDE_OK);
    tide_pipe_count(pipe, messages, NULL);
    tide_pipe_close(pipe);
    test_session_stop(&a);
    test_session_stop(&b);
    return rc;
}

static void write_some(test_side *side, test_random *random, unsigned count)
{
    while (count-- > 0) {
        unsigned key = (unsigned)test_below(random, 12);
        unsigned value = (unsigned)test_below(random, 1000);
        switch (test_below(random, 5)) {
        case 0:
            test_sql(side->db, "DELETE FROM item WHERE uuid = 'k%u'", key);
            break;
        case 1:
            test_sql(side->db,
                     "INSERT INTO place (uuid, name) VALUES ('p%u of %u', '%u') ON CONFLICT "
                     "(uuid) DO UPDATE SET name = excluded.name",
                     key, (unsigned)side->number, value);
            break;
        default:
            test_sql(side->db,
                     "INSERT INTO item (uuid, name, size) VALUES ('k%u', 'of %u', %u) "
                     "ON CONFLICT (uuid) DO UPDATE SET name = excluded.name, "
                     "size = excluded.size",
                     key, (unsigned)side->number, value);
        }
    }
}

/* ---- a good link -------------------------------------------------------------------------------- */

START_TEST(a_good_link_brings_everything)
{
    uint64_t messages = 0;
    test_random random = {1};

    write_some(&a, &random, 40);
    write_some(&b, &random, 40);
    ck_assert_int_eq(exchange(NULL, NULL, &messages), TIDE_OK);
    test_same_rows(&a, &b);
    test_mark_is_honest(&a, &b);
    test_mark_is_honest(&b, &a);
    ck_assert_uint_le(messages, 10);
}
END_TEST

START_TEST(nothing_to_do_takes_few_messages)
{
    tide_session_options options;
    uint64_t messages = 0;
    uint64_t bytes = 0;
    tide_pipe *pipe;

    ck_assert_int_eq(exchange(NULL, NULL, NULL), TIDE_OK);
    tide_session_options_init(&options);
    options.peer = b.device;
    test_session_start(&a, &options);
    options.peer = a.device;
    test_session_start(&b, &options);
    pipe = open_pipe(NULL);
    ck_assert_int_eq(
        tide_sync_exchange_watermarks_and_catchup(a.session, tide_pipe_transport(pipe)), TIDE_OK);
    tide_pipe_count(pipe, &messages, &bytes);
    ck_assert_uint_eq(messages, 4);
    ck_assert_uint_gt(bytes, 4 * 40);
    ck_assert_int_eq(
        tide_sync_exchange_watermarks_and_catchup(a.session, tide_pipe_transport(pipe)), TIDE_OK);
    tide_pipe_count(pipe, &messages, NULL);
    ck_assert_uint_eq(messages, 4 + 5); /* NEWS, a question each way, and the answers */
    tide_pipe_count(pipe, NULL, NULL);
    tide_pipe_close(pipe);
}
END_TEST

/* The session stays open: what is written then comes with the next call. */
START_TEST(an_exchange_can_be_called_again)
{
    test_random random = {2};
    tide_pipe *pipe;

    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
    pipe = open_pipe(NULL);
    for (int i = 0; i < 10; i++) {
        write_some(&a, &random, 5);
        write_some(&b, &random, 5);
        tide_session_notify(a.session);
        tide_session_notify(b.session);
        ck_assert_int_eq(
            tide_sync_exchange_watermarks_and_catchup(a.session, tide_pipe_transport(pipe)),
            TIDE_OK);
        test_mark_is_honest(&a, &b);
    }
    test_sql(b.db, "SELECT 1");
    ck_assert_int_eq(tide_pipe_far_error(pipe), TIDE_OK);
    tide_pipe_close(pipe);
    ck_assert_int_eq(exchange(NULL, NULL, NULL), TIDE_OK);
    test_same_rows(&a, &b);
}
END_TEST

START_TEST(a_backfill_reads_what_is_device_owned)
{
    tide_pipe *pipe;

    test_sql(b.db,
             "INSERT INTO place (uuid) VALUES ('p'), ('q'); INSERT INTO item (uuid) VALUES ('x')");
    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
    pipe = open_pipe(NULL);
    ck_assert_int_eq(tide_sync_backfill_all_state(a.session, tide_pipe_transport(pipe)), TIDE_OK);
    test_text_is(a.db, "p|q", "SELECT uuid FROM place ORDER BY uuid");
    test_text_is(a.db, "", "SELECT uuid FROM item");
    ck_assert_int_eq(test_mark(&a, &b, "item"), TIDE_TIME_NONE);
    ck_assert_int_eq(test_mark(&a, &b, "place"), test_newest(b.db, "place"));
    ck_assert_int_eq(tide_sync_exchange_watermarks_and_catchup(a.session, tide_pipe_transport(pipe)),
                     TIDE_OK); /* the rest */
    test_same_rows(&a, &b);
    tide_pipe_close(pipe);
}
END_TEST

START_TEST(wrong_arguments)
{
    tide_pipe *pipe = (tide_pipe *)&a;
    tide_pipe_options bad;
    tide_transport transport;

    test_session_start(&b, NULL);
    ck_assert_int_eq(tide_pipe_open(NULL, NULL, &pipe), TIDE_EINVAL);
    ck_assert_ptr_null(pipe);
    ck_assert_int_eq(tide_pipe_open(b.session, NULL, NULL), TIDE_EINVAL);
    for (int i = 0; i < 4; i++) {
        tide_pipe_options_init(&bad);
        bad.size -= i == 0;
        bad.loss_ppm = i == 1 ? 900001 : 0;
        bad.duplicate_ppm = i == 2 ? 900001 : 0;
        bad.reorder_ppm = i == 3 ? UINT32_MAX : 0;
        ck_assert_int_eq(tide_pipe_open(b.session, &bad, &pipe), TIDE_EINVAL);
    }
    tide_pipe_close(NULL);
    pipe = open_pipe(NULL);
    transport = *tide_pipe_transport(pipe);
    transport.size--;
    ck_assert_int_eq(tide_sync_exchange_watermarks_and_catchup(b.session, &transport), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_exchange_watermarks_and_catchup(b.session, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_exchange_watermarks_and_catchup(NULL, tide_pipe_transport(pipe)),
                     TIDE_EINVAL);
    tide_pipe_close(pipe);
}
END_TEST

/* ---- a bad link --------------------------------------------------------------------------------- */

static void bad_link(uint64_t seed, tide_pipe_options *options, tide_session_options *session)
{
    test_random random = {seed ^ 0x5eed};

    tide_pipe_options_init(options);
    options->seed = seed;
    options->loss_ppm = (uint32_t)test_below(&random, LOSS_MOST + 1);
    options->duplicate_ppm = (uint32_t)test_below(&random, LOSS_MOST + 1);
    options->reorder_ppm = (uint32_t)test_below(&random, LOSS_MOST + 1);
    tide_session_options_init(session);
    session->page_rows = 1 + (uint32_t)test_below(&random, 6);
}

/* One seed: rounds of writing on both sides, each followed by an exchange over the same bad link.
 * Answers the number of messages of all of them. */
static uint64_t run_seed(uint64_t seed)
{
    tide_pipe_options options;
    tide_session_options session;
    test_random random = {seed};
    uint64_t total = 0;

    bad_link(seed, &options, &session);
    for (int round = 0; round < 3; round++) {
        uint64_t messages = 0;
        int rc;

        write_some(&a, &random, 1 + (unsigned)test_below(&random, 15));
        write_some(&b, &random, 1 + (unsigned)test_below(&random, 15));
        rc = exchange(&session, &options, &messages);
        total += messages;
        ck_assert_msg(rc == TIDE_OK, "seed %llu, round %d: %s", (unsigned long long)seed, round,
                      tide_code_name(rc));
        ck_assert_uint_lt(messages, MESSAGES_MOST);
        ck_assert_msg(!test_rows_differ(&a, &b), "seed %llu, round %d", (unsigned long long)seed,
                      round);
    }
    return total;
}

static void empty_files(void)
{
    static const char *const names[] = {"1.db", "1.db-wal", "1.db-shm",
                                        "2.db", "2.db-wal", "2.db-shm"};

    tear_down();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(names[i]);
    set_up();
}

START_TEST(whatever_the_link_does_both_sides_end_equal)
{
    (void)run_seed((uint64_t)_i);
}
END_TEST

START_TEST(the_same_seed_is_the_same_run)
{
    uint64_t first = run_seed((uint64_t)_i);

    empty_files();
    ck_assert_uint_eq(run_seed((uint64_t)_i), first);
}
END_TEST

/* Both sides write while the exchange runs: from the events of a, at its own connection and b's. */
static test_random writing;
static int writes_left;

static const tide_transport *inner;

static int writing_send(void *ctx, const void *bytes, size_t size)
{
    (void)ctx;
    if (writes_left > 0) {
        writes_left--;
        test_side *side = test_below(&writing, 2) == 0 ? &a : &b;
        write_some(side, &writing, 1 + (unsigned)test_below(&writing, 3));
        tide_session_notify(side->session);
    }
    return inner->send(inner->ctx, bytes, size);
}

static int plain_receive(void *ctx, int64_t deadline_ns, const void **bytes, size_t *size)
{
    (void)ctx;
    return inner->receive(inner->ctx, deadline_ns, bytes, size);
}

static int64_t plain_now(void *ctx)
{
    (void)ctx;
    return inner->now(inner->ctx);
}

START_TEST(both_sides_write_while_it_runs)
{
    tide_pipe_options options;
    tide_session_options session;
    tide_transport outer = {
        .size = sizeof outer, .send = writing_send, .receive = plain_receive, .now = plain_now};
    tide_pipe *pipe;
    uint64_t messages = 0;
    int rc;

    bad_link((uint64_t)_i, &options, &session);
    writing = (test_random){(uint64_t)_i};
    writes_left = 12;
    write_some(&a, &writing, 10);
    write_some(&b, &writing, 10);
    test_session_start(&a, &session);
    test_session_start(&b, &session);
    pipe = open_pipe(&options);
    inner = tide_pipe_transport(pipe);
    do { /* it may be complete before all is written */
        rc = tide_sync_exchange_watermarks_and_catchup(a.session, &outer);
        ck_assert_msg(rc == TIDE_OK, "seed %d: %s", _i, tide_code_name(rc));
        tide_pipe_count(pipe, &messages, NULL);
        ck_assert_uint_lt(messages, MESSAGES_MOST);
    } while (writes_left > 0 && (writes_left = 0, true));
    tide_pipe_close(pipe);
    ck_assert_int_eq(exchange(&session, &options, NULL), TIDE_OK);
    test_same_rows(&a, &b);
}
END_TEST

/* ---- cuts --------------------------------------------------------------------------------------- */

/* Only a writes, so that what b must hold is exact; the link is cut after _i messages, each time
 * anew. */
START_TEST(after_every_cut_a_clean_exchange_completes)
{
    tide_pipe_options options;
    tide_session_options session;
    test_random random = {77};
    uint64_t messages = 0;
    int rc;

    tide_session_options_init(&session);
    session.page_rows = 3;
    tide_pipe_options_init(&options);
    options.cut_after_messages = (uint64_t)_i;
    write_some(&a, &random, 60);
    rc = exchange(&session, &options, &messages);
    ck_assert_uint_le(messages, (uint64_t)_i);
    test_mark_is_honest(&a, &b);
    if (rc == TIDE_OK)
        test_same_rows(&a, &b);
    else
        ck_assert_int_eq(rc, TIDE_ECLOSED);
    ck_assert_int_eq(exchange(&session, NULL, NULL), TIDE_OK);
    test_same_rows(&a, &b);
    test_mark_is_honest(&a, &b);
    ck_assert_int_eq(test_mark(&b, &a, "item"), test_newest(a.db, "item"));
    ck_assert_int_eq(test_mark(&b, &a, "place"), test_newest(a.db, "place"));
}
END_TEST

/* One cut after another, further each time: it gets there by cuts alone, and never beyond. */
START_TEST(cut_after_cut_gets_there)
{
    tide_pipe_options options;
    tide_session_options session;
    test_random random = {78};
    tide_time before = TIDE_TIME_NONE;
    int rc = TIDE_ECLOSED;
    int tries = 0;

    bad_link((uint64_t)_i, &options, &session);
    write_some(&a, &random, 60);
    while (rc != TIDE_OK) {
        options.seed++;
        options.cut_after_messages = 6 + (uint64_t)tries % 7;
        rc = exchange(&session, &options, NULL);
        ck_assert(rc == TIDE_OK || rc == TIDE_ECLOSED);
        test_mark_is_honest(&a, &b);
        ck_assert_int_ge(test_mark(&b, &a, "item"), before);
        before = test_mark(&b, &a, "item");
        ck_assert_int_lt(++tries, 500);
    }
    test_same_rows(&a, &b);
}
END_TEST

START_TEST(both_write_and_the_link_is_cut)
{
    tide_pipe_options options;
    tide_session_options session;
    test_random random = {(uint64_t)_i + 1000};

    for (int round = 0; round < 6; round++) {
        bad_link((uint64_t)_i * 10 + (uint64_t)round, &options, &session);
        options.cut_after_messages = 1 + test_below(&random, 25);
        write_some(&a, &random, 8);
        write_some(&b, &random, 8);
        int rc = exchange(&session, &options, NULL);
        ck_assert(rc == TIDE_OK || rc == TIDE_ECLOSED);
    }
    ck_assert_int_eq(exchange(&session, NULL, NULL), TIDE_OK);
    test_same_rows(&a, &b);
}
END_TEST

START_TEST(a_cut_ends_both)
{
    tide_pipe *pipe;
    const void *bytes = NULL;
    size_t size = 0;

    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
    pipe = open_pipe(NULL);
    tide_pipe_cut(pipe);
    inner = tide_pipe_transport(pipe);
    ck_assert_int_eq(inner->send(inner->ctx, "x", 1), TIDE_ECLOSED);
    ck_assert_int_eq(inner->receive(inner->ctx, INT64_MAX, &bytes, &size), TIDE_ECLOSED);
    ck_assert_int_eq(tide_sync_exchange_watermarks_and_catchup(a.session, inner), TIDE_ECLOSED);
    ck_assert_int_eq(tide_pipe_far_error(pipe), TIDE_OK);
    tide_pipe_close(pipe);
}
END_TEST

START_TEST(an_error_of_the_far_side_is_told)
{
    tide_pipe *pipe;

    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X')");
    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
    test_marks_fail(b.marks, TEST_MARKS_ADVANCE, TIDE_ENOSPC, 0);
    pipe = open_pipe(NULL);
    ck_assert_int_eq(tide_sync_exchange_watermarks_and_catchup(a.session, tide_pipe_transport(pipe)),
                     TIDE_ECLOSED);
    ck_assert_int_eq(tide_pipe_far_error(pipe), TIDE_ENOSPC);
    tide_pipe_close(pipe);
}
END_TEST

START_TEST(an_error_of_the_near_side_is_answered)
{
    tide_pipe *pipe;

    test_sql(b.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X')");
    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
    test_marks_fail(a.marks, TEST_MARKS_ADVANCE, TIDE_EIO, 0);
    pipe = open_pipe(NULL);
    ck_assert_int_eq(
        tide_sync_exchange_watermarks_and_catchup(a.session, tide_pipe_transport(pipe)), TIDE_EIO);
    ck_assert_int_eq(tide_pipe_far_error(pipe), TIDE_OK);
    tide_pipe_close(pipe);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/pipe");
    TCase *test = test_case(suite, "a good link");
    int less =
        test_sanitized() ? 10 : 1; /* the same with fewer seeds, each of which is as slow as ten */

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, a_good_link_brings_everything);
    tcase_add_test(test, nothing_to_do_takes_few_messages);
    tcase_add_test(test, an_exchange_can_be_called_again);
    tcase_add_test(test, a_backfill_reads_what_is_device_owned);
    tcase_add_test(test, wrong_arguments);

    test = test_case(suite, "a bad link");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, whatever_the_link_does_both_sides_end_equal, 0, SEEDS / less);
    tcase_add_loop_test(test, the_same_seed_is_the_same_run, 1000, 1000 + 20 / less);
    tcase_add_loop_test(test, both_sides_write_while_it_runs, 0, 100 / less);

    test = test_case(suite, "cuts");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, after_every_cut_a_clean_exchange_completes, 1, 40);
    tcase_add_loop_test(test, cut_after_cut_gets_there, 0, 20 / less);
    tcase_add_loop_test(test, both_write_and_the_link_is_cut, 0, 40 / less);
    tcase_add_test(test, a_cut_ends_both);
    tcase_add_test(test, an_error_of_the_far_side_is_told);
    tcase_add_test(test, an_error_of_the_near_side_is_answered);
    return test_run(suite);
}
