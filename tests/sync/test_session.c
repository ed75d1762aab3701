/* Sessions by hand: what one side says is carried, kept back, repeated or made up by the test, and
 * the rows and marks after it are exact. */
#include <tidemark/session.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/support_sync.h"

#define MS INT64_C(1000000)

static test_side a, b;
static tide_session_options options;

static void set_up(void)
{
    test_clock_install();
    test_side_open(&a, 1);
    test_now_ms += TEST_STEP_MS; /* the epochs differ */
    test_side_open(&b, 2);
    tide_session_options_init(&options);
}

static void tear_down(void)
{
    test_side_close(&a);
    test_side_close(&b);
}

/* Both open sides again with other tables. */
static void open_as(const char *schema_a, const char *schema_b, const tide_model *const *models,
                    size_t count)
{
    test_side_close(&a);
    test_side_close(&b);
    remove("1.db");
    remove("2.db");
    test_side_open_as(&a, 1, schema_a, models, count);
    test_side_open_as(&b, 2, schema_b, models, count);
}

static void start_both(void)
{
    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
}

/* Both sessions complete, both feeds and marks at their ends. */
static void both_complete(void)
{
    ck_assert_int_eq(tide_session_state(a.session), TIDE_READY);
    ck_assert_int_eq(tide_session_state(b.session), TIDE_READY);
    ck_assert_int_eq(tide_session_is_complete(a.session), 1);
    ck_assert_int_eq(tide_session_is_complete(b.session), 1);
    test_same_rows(&a, &b);
}

/* b gets a session with `options` that knows a and has asked it question 0 from its marks. */
static void b_asks(void)
{
    test_bytes hello;

    options.peer = a.device;
    test_session_start(&b, &options);
    hello = test_take_kind(&b, TIDE__HELLO);
    test_drop(&hello);
    test_session_start(&a, NULL);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    hello = (test_bytes){NULL, 0};
    ck_assert(!test_take(&b, &hello));
}

/* What a question asks for: its number, and the mark it names for "item". */
static uint32_t number_of(test_bytes question, tide_time *item_after)
{
    static tide__message message;
    tide__detail detail;
    uint32_t number;

    ck_assert_int_eq(tide__message_decode(&message, question.data, question.length, &detail),
                     TIDE_OK);
    number = message.question.number;
    for (size_t i = 0; i < message.question.count; i++) {
        if (message.question.wants[i].resource.length == 4 && item_after != NULL)
            *item_after = message.question.wants[i].after;
    }
    tide__message_free(&message);
    return number;
}

static tide_value values[16][2];

/* Row number `i` of a page by hand: a live item. */
static tide_change live(size_t i, const char *key, const char *name, tide_time version)
{
    tide_change change = {.size = sizeof change,
                          .resource = "item",
                          .version = version,
                          .key = test_string(key),
                          .values = values[i],
                          .value_count = 2};

    values[i][0] = test_string(name);
    values[i][1] = test_integer((int64_t)i);
    uuid_copy(change.version_device, a.device);
    return change;
}

static tide_change gone(const char *key, tide_time version)
{
    tide_change change = {.size = sizeof change,
                          .deleted = 1,
                          .resource = "item",
                          .version = version,
                          .key = test_string(key)};

    uuid_copy(change.version_device, a.device);
    return change;
}

static test_bytes page_of(tide_time epoch, uint32_t number, tide_time after, tide_time upto,
                          const tide_change *rows, size_t count)
{
    test_range range = {"item", after, upto, rows, count};
    test_head head = test_head_of(&a, &b, number);

    head.epoch = epoch;
    return test_page(&head, &range, 1, true);
}

/* Hands b a page of a's feed for its question `number`. */
static int give_page(uint32_t number, tide_time after, tide_time upto, const tide_change *rows,
                     size_t count)
{
    return test_hand(&b, page_of(test_epoch(&a), number, after, upto, rows, count));
}

static void items_are(const char *expected)
{
    test_text_is(b.db, expected, "SELECT uuid, name FROM item ORDER BY uuid");
}

static void mark_is(tide_time expected)
{
    ck_assert_int_eq(test_mark(&b, &a, "item"), expected);
}

/* After an error: the session is over, and says so to everything. */
static void is_over(test_side *side)
{
    const void *bytes = NULL;
    size_t size = 0;
    char text[256] = "";

    tide_sync_detail(side->sync, text, sizeof text);
    ck_assert(text[0] != '\0' && strchr(text, '\n') == NULL);
    ck_assert_int_eq(tide_session_receive(side->session, "x", 1), TIDE_ECLOSED);
    ck_assert_int_eq(tide_session_next(side->session, &bytes, &size), TIDE_ECLOSED);
    ck_assert_int_eq(tide_session_deadline(side->session), INT64_MAX);
    ck_assert_int_eq(sqlite3_get_autocommit(side->db), 1);
    tide_session_tick(side->session, INT64_MAX);
    tide_session_notify(side->session);
    ck_assert_int_eq(tide_session_next(side->session, &bytes, &size), TIDE_ECLOSED);
}

/* A fresh exchange brings everything: nothing that happened before is in its way. */
static void next_session_completes(void)
{
    test_sync(&a, &b);
    test_same_rows(&a, &b);
    mark_is(test_newest(a.db, "item"));
}

/* ---- conversations ------------------------------------------------------------------------------ */

/* Both speak at once, as over a link: HELLO and an answer without rows. */
static void two_messages_each_way(void)
{
    for (int round = 0; round < 2; round++) {
        int kind = round == 0 ? TIDE__HELLO : TIDE__PAGE;
        test_bytes of_a = test_take_kind(&a, kind);
        test_bytes of_b = test_take_kind(&b, kind);
        ck_assert_int_eq(test_hand(&b, of_a), TIDE_OK);
        ck_assert_int_eq(test_hand(&a, of_b), TIDE_OK);
    }
    ck_assert_uint_eq(test_talk(&a, &b), 0);
    both_complete();
    ck_assert_int_eq(tide_session_deadline(a.session), INT64_MAX);
}

START_TEST(nothing_to_do_takes_two_messages_each_way)
{
    options.peer = b.device;
    test_session_start(&a, &options);
    options.peer = a.device;
    test_session_start(&b, &options);
    two_messages_each_way();
}
END_TEST

START_TEST(nothing_to_do_after_a_sync_either)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x'), ('y'); INSERT INTO place (uuid) "
                   "VALUES ('p'); DELETE FROM item WHERE uuid = 'y'");
    test_sql(b.db, "INSERT INTO item (uuid) VALUES ('z')");
    test_sync(&a, &b);
    options.peer = b.device;
    test_session_start(&a, &options);
    options.peer = a.device;
    test_session_start(&b, &options);
    two_messages_each_way();
    ck_assert_int_eq(test_mark(&a, &b, "item"), test_newest(b.db, "item"));
    ck_assert_int_eq(test_mark(&b, &a, "item"), test_newest(a.db, "item"));
}
END_TEST

/* One side hears the other's HELLO before it has said anything. No message is lost here, so that
 * nothing may have to wait for a repetition. */
START_TEST(who_hears_before_speaking_loses_no_time)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    test_sync(&a, &b);
    options.peer = b.device;
    test_session_start(&a, &options);
    options.peer = a.device;
    test_session_start(&b, &options);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    test_talk(&a, &b);
    both_complete();
}
END_TEST

START_TEST(the_first_sync_brings_everything_both_ways)
{
    tide_metrics metrics = {.size = sizeof metrics};
    tide_mark mark;

    test_sql(a.db, "INSERT INTO place (uuid, name) VALUES ('p', 'P');"
                   "INSERT INTO item (uuid, name, size, local) VALUES ('x', 'X', 1, 'stays'),"
                   "('y', NULL, x'00', 1), ('z', 'Z', 1.5, 0);"
                   "DELETE FROM item WHERE uuid = 'z'");
    test_sql(b.db, "INSERT INTO item (uuid, name, size, local) VALUES ('w', 'W', 'text', 'stays')");
    start_both();
    test_talk(&a, &b);
    both_complete();
    test_text_is(b.db, "w W text stays|x X 1 -|y - 00 -",
                 "SELECT uuid, name, size, local FROM item "
                 "ORDER BY uuid");
    test_text_is(b.db, "p P", "SELECT uuid, name FROM place");
    test_text_is(b.db, "z", "SELECT key FROM tidemark_item_gone");
    test_mark_full(&b, &a, "item", &mark);
    ck_assert_int_eq(mark.watermark, test_newest(a.db, "item"));
    ck_assert_int_eq(mark.epoch, test_epoch(&a));
    ck_assert_int_eq(tide_sync_metrics(b.sync, &metrics), TIDE_OK);
    ck_assert_uint_eq(metrics.changes_applied, 4); /* p, x, y and the tombstone */
    ck_assert_uint_eq(metrics.changes_stale, 0);
    ck_assert_uint_eq(b.changed, 4);
    ck_assert_uint_eq(a.changed, 1);
}
END_TEST

START_TEST(states_are_told_in_order)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x'); INSERT INTO place (uuid) VALUES ('p')");
    start_both();
    ck_assert_int_eq(tide_session_state(b.session), TIDE_UNINITIALIZED);
    test_talk(&a, &b);
    ck_assert_uint_ge(b.state_count, 3);
    ck_assert_uint_eq(b.states[b.state_count - 1], TIDE_READY);
    ck_assert_uint_eq(b.states[b.state_count - 2], TIDE_CATCHING_UP);
    ck_assert_uint_eq(b.states[b.state_count - 3], TIDE_BACKFILLING);
    start_both();
    test_talk(&a, &b);
    ck_assert_uint_eq(b.state_count, 2);
    ck_assert_uint_eq(b.states[0], TIDE_CATCHING_UP);
    ck_assert_uint_eq(b.states[1], TIDE_READY);
}
END_TEST

START_TEST(the_peer_is_known_after_its_hello)
{
    uuid_t peer;

    memset(peer, 7, sizeof peer);
    start_both();
    ck_assert_int_eq(tide_session_peer(b.session, peer), TIDE_ABSENT);
    ck_assert_uint_eq(peer[0], 7);
    test_talk(&a, &b);
    ck_assert_int_eq(tide_session_peer(b.session, peer), TIDE_OK);
    ck_assert_int_eq(uuid_compare(peer, a.device), 0);
}
END_TEST

START_TEST(news_are_fetched_while_the_session_is_open)
{
    start_both();
    test_talk(&a, &b);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X')");
    ck_assert_uint_eq(test_talk(&a, &b), 0);
    tide_session_notify(a.session);
    ck_assert_int_eq(tide_session_is_complete(a.session), 0);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__NEWS)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__WANT)), TIDE_OK);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__PAGE)), TIDE_OK);
    items_are("x X");
    mark_is(test_newest(a.db, "item"));
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__WANT)), TIDE_OK);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__PAGE)), TIDE_OK);
    ck_assert_uint_eq(test_talk(&a, &b), 0);
    both_complete();
    test_sql(b.db, "UPDATE item SET name = 'of b'");
    test_sql(a.db, "INSERT INTO place (uuid) VALUES ('p')");
    tide_session_notify(a.session);
    tide_session_notify(b.session);
    test_talk(&a, &b);
    both_complete();
    items_are("x of b");
}
END_TEST

START_TEST(rows_written_while_pages_are_read_are_not_lost)
{
    test_random random = {(uint64_t)_i};

    test_sql(a.db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) "
                   "INSERT INTO item (uuid, name) SELECT 'k' || i, i FROM n");
    options.page_rows = 3;
    b.ahead = 1000 * TEST_STEP; /* the feed of a runs ahead of the clock when that goes back */
    test_session_start(&a, &options);
    test_session_start(&b, &options);
    for (int i = 0; i < 60; i++) {
        test_bytes message;
        unsigned key = 1 + (unsigned)test_below(&random, 40);
        test_now_ms += (int64_t)test_below(&random, 3) * TEST_STEP_MS - TEST_STEP_MS;
        switch (test_below(&random, 3)) {
        case 0:
            test_sql(a.db, "DELETE FROM item WHERE uuid = 'k%u'", key);
            break;
        case 1:
            test_sql(a.db,
                     "INSERT INTO item (uuid, name) VALUES ('k%u', 'new') ON CONFLICT (uuid) "
                     "DO UPDATE SET name = name || '+'",
                     key);
            break;
        default:
            break;
        }
        if (test_take(&a, &message))
            ck_assert_int_eq(test_hand(&b, message), TIDE_OK);
        test_mark_is_honest(&a, &b);
        if (test_take(&b, &message))
            ck_assert_int_eq(test_hand(&a, message), TIDE_OK);
    }
    tide_session_notify(a.session);
    test_talk(&a, &b);
    both_complete();
    mark_is(test_newest(a.db, "item"));
}
END_TEST

/* Rows that came from the peer are not sent back, and the mark passes over them all the same. */
START_TEST(rows_are_not_sent_back)
{
    tide_metrics metrics = {.size = sizeof metrics};

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x'), ('y')");
    test_sync(&a, &b);
    test_sync(&a, &b);
    ck_assert_int_eq(test_mark(&a, &b, "item"), test_newest(b.db, "item"));
    ck_assert_int_eq(tide_sync_metrics(a.sync, &metrics), TIDE_OK);
    ck_assert_uint_eq(metrics.changes_applied + metrics.changes_stale, 0);
    test_text_is(a.db, "2", "SELECT count(*) FROM tidemark_item_rows WHERE source = 0");
}
END_TEST

START_TEST(a_model_only_one_side_has_is_no_obstacle)
{
    test_side_close(&b);
    remove("2.db");
    static const tide_model *const only[] = {&test_place};
    test_side_open_as(&b, 2, test_schema, only, 1);
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x'); INSERT INTO place (uuid) VALUES ('p')");
    start_both();
    test_talk(&a, &b);
    ck_assert_int_eq(tide_session_is_complete(a.session), 1);
    ck_assert_int_eq(tide_session_is_complete(b.session), 1);
    test_text_is(b.db, "p", "SELECT uuid FROM place");
}
END_TEST

/* ---- lost, repeated, overtaken ------------------------------------------------------------------ */

START_TEST(a_question_is_asked_again_at_its_time)
{
    test_bytes first;
    test_bytes again;

    options.retry_ms = 100;
    options.peer = a.device;
    test_session_start(&b, &options);
    tide_session_tick(b.session, 1000);
    first = test_take_kind(&b, TIDE__HELLO);
    ck_assert_int_eq(tide_session_deadline(b.session), 1000 + 100 * MS);
    ck_assert(!test_take(&b, &again));
    tide_session_tick(b.session, 1000 + 100 * MS - 1);
    ck_assert(!test_take(&b, &again));
    tide_session_tick(b.session, 5); /* a clock that goes back is not believed */
    ck_assert(!test_take(&b, &again));
    tide_session_tick(b.session, 1000 + 100 * MS);
    again = test_take_kind(&b, TIDE__HELLO);
    ck_assert(test_same_bytes(first, again));
    ck_assert_int_eq(tide_session_deadline(b.session), 1000 + 200 * MS);
    test_drop(&first);
    test_drop(&again);
}
END_TEST

START_TEST(news_are_told_again_until_a_question_comes)
{
    test_bytes none;
    test_bytes news;

    start_both();
    test_talk(&a, &b);
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    tide_session_notify(a.session);
    news = test_take_kind(&a, TIDE__NEWS);
    test_drop(&news); /* lost */
    ck_assert_int_eq(tide_session_deadline(a.session), 2000 * MS);
    tide_session_tick(a.session, 2000 * MS - 1);
    ck_assert(!test_take(&a, &none));
    tide_session_tick(a.session, 2000 * MS);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__NEWS)), TIDE_OK);
    test_talk(&a, &b);
    both_complete();
    ck_assert_int_eq(tide_session_deadline(a.session), INT64_MAX);
}
END_TEST

/* A question is lost, and news are told each second meanwhile: each waits for its own time. */
START_TEST(news_do_not_put_off_a_question)
{
    test_bytes lost;
    test_bytes none;

    start_both();
    test_talk(&a, &b);
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    tide_session_notify(a.session);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__NEWS)), TIDE_OK);
    lost = test_take_kind(&b, TIDE__WANT);
    test_drop(&lost);
    ck_assert_int_eq(tide_session_deadline(b.session), 2000 * MS);
    tide_session_tick(b.session, 1000 * MS);
    tide_session_notify(b.session);
    lost = test_take_kind(&b, TIDE__NEWS);
    test_drop(&lost);
    ck_assert_int_eq(tide_session_deadline(b.session), 2000 * MS);
    tide_session_tick(b.session, 2000 * MS - 1);
    ck_assert(!test_take(&b, &none));
    tide_session_tick(b.session, 2000 * MS);
    ck_assert_int_eq(tide_session_deadline(b.session), 3000 * MS); /* of the news */
    lost = test_take_kind(&b, TIDE__WANT);
    test_drop(&lost);
    ck_assert_int_eq(tide_session_deadline(b.session), 3000 * MS);
    tide_session_tick(b.session, 3000 * MS);
    ck_assert_int_eq(tide_session_deadline(b.session), 4000 * MS); /* of the question */
    lost = test_take_kind(&b, TIDE__NEWS);
    test_drop(&lost);
    ck_assert(!test_take(&b, &none));
    tide_session_tick(b.session, 4000 * MS);
    test_talk(&a, &b);
    items_are("x -");
    ck_assert_int_eq(tide_session_deadline(b.session), 5000 * MS);
    tide_session_tick(b.session, 5000 * MS);
    test_talk(&a, &b);
    both_complete();
    ck_assert_int_eq(tide_session_deadline(b.session), INT64_MAX);
}
END_TEST

START_TEST(a_lost_page_is_asked_for_again)
{
    test_bytes page;

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x'), ('y')");
    start_both();
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    page = test_take_kind(&a, TIDE__PAGE);
    test_drop(&page);
    test_talk(&a, &b); /* whatever else there is to say */
    items_are("");
    mark_is(TIDE_TIME_NONE);
    tide_session_tick(b.session, 2000 * MS);
    test_talk(&a, &b);
    both_complete();
    mark_is(test_newest(a.db, "item"));
}
END_TEST

START_TEST(a_repeated_page_changes_nothing)
{
    test_bytes page;
    tide_time head;
    char *feed;

    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X'), ('y', 'Y')");
    start_both();
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    page = test_take_kind(&a, TIDE__PAGE);
    ck_assert_int_eq(test_give(&b, page), TIDE_OK);
    head = test_mark(&b, &a, "item");
    ck_assert_int_eq(head, test_newest(a.db, "item"));
    feed = test_feed(b.db, "item", "item");
    ck_assert_int_eq(test_give(&b, page), TIDE_OK);
    test_talk(&a, &b);
    ck_assert_int_eq(test_give(&b, page), TIDE_OK);
    test_feed_is(b.db, feed, "item", "item");
    mark_is(head);
    both_complete();
    ck_assert_uint_eq(b.changed, 2);
    free(feed);
    /* Older than what has come since: it must bring nothing back. */
    test_sql(a.db, "DELETE FROM item WHERE uuid = 'x'; UPDATE item SET name = 'newer'");
    tide_session_notify(a.session);
    test_talk(&a, &b);
    items_are("y newer");
    ck_assert_int_eq(test_give(&b, page), TIDE_OK);
    items_are("y newer");
    test_talk(&a, &b);
    both_complete();
    test_drop(&page);
}
END_TEST

/* A new session takes an old page: even where it joins on it cannot undo. */
START_TEST(an_old_page_in_a_new_session_changes_nothing)
{
    tide_change rows[] = {live(0, "x", "old", TEST_START + 1), live(1, "y", "old", TEST_START + 2)};

    b_asks();
    ck_assert_int_eq(give_page(0, TIDE_TIME_NONE, TEST_START + 2, rows, 2), TIDE_OK);
    rows[0] = live(0, "x", "new", TEST_START + 3);
    rows[1] = gone("y", TEST_START + 4);
    ck_assert_int_eq(give_page(1, TEST_START + 2, TEST_START + 4, rows, 2), TIDE_OK);
    items_are("x old|y old"); /* nobody had asked */
    b_asks();
    ck_assert_int_eq(give_page(0, TEST_START + 2, TEST_START + 4, rows, 2), TIDE_OK);
    items_are("x new");
    mark_is(TEST_START + 4);
    rows[0] = live(0, "x", "old", TEST_START + 1);
    rows[1] = live(1, "y", "old", TEST_START + 2);
    b_asks();
    ck_assert_int_eq(give_page(0, TEST_START, TEST_START + 2, rows, 2), TIDE_OK);
    items_are("x new");
    mark_is(TEST_START + 4);
    b_asks(); /* a longer one that joins on, with old versions in it */
    ck_assert_int_eq(give_page(0, TEST_START, TEST_START + 5, rows, 2), TIDE_OK);
    items_are("x new");
    mark_is(TEST_START + 5);
}
END_TEST

START_TEST(a_page_for_another_question_is_passed_over)
{
    tide_change row = live(0, "x", "X", TEST_START + 1);
    test_bytes want;
    tide_time after = 7;

    b_asks();
    ck_assert_int_eq(give_page(1, TIDE_TIME_NONE, TEST_START + 1, &row, 1), TIDE_OK);
    ck_assert_int_eq(give_page(UINT32_MAX, TIDE_TIME_NONE, TEST_START + 1, &row, 1), TIDE_OK);
    items_are("");
    mark_is(TIDE_TIME_NONE);
    ck_assert_int_eq(give_page(0, TIDE_TIME_NONE, TEST_START + 1, &row, 1), TIDE_OK);
    items_are("x X");
    want = test_take_kind(&b, TIDE__WANT);
    ck_assert_uint_eq(number_of(want, &after), 1);
    ck_assert_int_eq(after, TEST_START + 1);
    test_drop(&want);
}
END_TEST

START_TEST(the_pages_of_a_peer_that_is_not_known_are_passed_over)
{
    tide_change row = live(0, "x", "X", TEST_START + 1);
    test_bytes hello;

    options.peer = a.device;
    test_session_start(&b, &options);
    hello = test_take_kind(&b, TIDE__HELLO);
    ck_assert_int_eq(give_page(0, TIDE_TIME_NONE, TEST_START + 1, &row, 1), TIDE_OK);
    items_are("");
    test_drop(&hello);
}
END_TEST

START_TEST(two_questions_before_an_answer_are_answered_once)
{
    test_bytes question;
    test_bytes page;

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    start_both();
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    question = test_take_kind(&b, TIDE__HELLO);
    ck_assert_int_eq(test_give(&a, question), TIDE_OK);
    ck_assert_int_eq(test_give(&a, question), TIDE_OK);
    page = test_take_kind(&a, TIDE__PAGE);
    ck_assert_int_eq(test_hand(&b, page), TIDE_OK);
    test_talk(&a, &b);
    both_complete();
    ck_assert_int_eq(test_hand(&a, question), TIDE_OK); /* once more, late */
    test_talk(&a, &b);
    both_complete();
}
END_TEST

/* What is late is harmless, and must not be taken for the peer's present state: everything is here. */
START_TEST(a_question_that_comes_late_does_not_undo_completeness)
{
    test_bytes question;

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    start_both();
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    question = test_take_kind(&b, TIDE__HELLO);
    ck_assert_int_eq(test_give(&a, question), TIDE_OK);
    test_talk(&a, &b);
    both_complete();
    ck_assert_int_eq(test_hand(&a, question), TIDE_OK);
    test_talk(&a, &b);
    tide_session_tick(a.session, 3600 * 1000 * MS);
    tide_session_tick(b.session, 3600 * 1000 * MS);
    test_talk(&a, &b);
    both_complete();
}
END_TEST

/* The first HELLO, which asks nothing because it does not know whom, comes once more after the real
 * question. */
START_TEST(a_first_hello_that_comes_late_does_not_undo_completeness)
{
    test_bytes hello;

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    test_sync(&a, &b);
    start_both();
    hello = test_take_kind(&b, TIDE__HELLO);
    ck_assert_int_eq(test_give(&a, hello), TIDE_OK);
    test_talk(&a, &b);
    both_complete();
    ck_assert_int_eq(test_hand(&a, hello), TIDE_OK);
    test_talk(&a, &b);
    both_complete();
}
END_TEST

/* The news are lost, an old question comes instead: it must not pass for having heard them. */
START_TEST(a_question_that_comes_late_does_not_swallow_the_news)
{
    test_bytes question;
    test_bytes news;

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    start_both();
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    question = test_take_kind(&b, TIDE__HELLO);
    ck_assert_int_eq(test_give(&a, question), TIDE_OK);
    test_talk(&a, &b);
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('y')");
    tide_session_notify(a.session);
    news = test_take_kind(&a, TIDE__NEWS);
    test_drop(&news);
    ck_assert_int_eq(test_hand(&a, question), TIDE_OK);
    test_talk(&a, &b);
    for (int i = 1; i <= 3; i++) {
        tide_session_tick(a.session, 3600 * 1000 * MS * i);
        tide_session_tick(b.session, 3600 * 1000 * MS * i);
        test_talk(&a, &b);
    }
    items_are("x -|y -");
    both_complete();
}
END_TEST

/* The program on one side starts again; the other has kept its session. */
START_TEST(a_peer_that_begins_anew_is_answered)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    start_both();
    test_talk(&a, &b);
    both_complete();
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('y')");
    test_session_start(&b, NULL);
    for (int i = 1; i <= 3; i++) {
        test_talk(&a, &b);
        tide_session_tick(a.session, 3600 * 1000 * MS * i);
        tide_session_tick(b.session, 3600 * 1000 * MS * i);
    }
    test_talk(&a, &b);
    items_are("x -|y -");
    ck_assert_int_eq(tide_session_state(b.session), TIDE_READY);
}
END_TEST

/* The same, and its clock has gone back meanwhile. */
START_TEST(a_peer_that_begins_anew_with_an_earlier_clock_is_answered)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    test_side_close(&b); /* before, so that the program is a new one, too */
    test_now_ms += 10 * TEST_STEP_MS;
    test_side_open(&b, 2);
    start_both();
    test_talk(&a, &b);
    both_complete();
    test_side_close(&b);
    test_now_ms -= 10 * TEST_STEP_MS;
    test_side_open(&b, 2);
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('y')");
    test_session_start(&b, NULL);
    for (int i = 1; i <= 3; i++) {
        test_talk(&a, &b);
        tide_session_tick(a.session, 3600 * 1000 * MS * i);
        tide_session_tick(b.session, 3600 * 1000 * MS * i);
    }
    test_talk(&a, &b);
    items_are("x -|y -");
    ck_assert_int_eq(tide_session_state(b.session), TIDE_READY);
}
END_TEST

/* B's first HELLO is late: B has given that session up and talks in another. */
static test_bytes late_hello(void)
{
    test_bytes hello;

    test_session_start(&b, NULL);
    hello = test_take_kind(&b, TIDE__HELLO);
    test_session_start(&b, NULL);
    return hello;
}

/* One of a session that nobody has met: it must not take the place of the one that lives. */
START_TEST(a_hello_that_comes_late_ends_no_conversation)
{
    test_bytes hello = late_hello();

    test_session_start(&a, NULL);
    test_talk(&a, &b);
    both_complete();
    for (int i = 0; i < 3; i++) {
        size_t messages;

        ck_assert_int_eq(test_give(&a, hello), TIDE_OK);
        messages = test_talk(&a, &b);
        ck_assert_uint_le(messages, 4); /* it costs one exchange, */
        both_complete();
        ck_assert_int_eq(tide_session_deadline(a.session), INT64_MAX); /* and nothing is owed */
    }
    test_drop(&hello);
    test_sql(b.db, "INSERT INTO item (uuid) VALUES ('new')");
    tide_session_notify(b.session);
    test_talk(&a, &b);
    both_complete();
    test_text_is(a.db, "new", "SELECT uuid FROM item");
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('z')");
    tide_session_notify(a.session);
    test_talk(&a, &b);
    items_are("new -|z -");
}
END_TEST

/* It is the first that A hears of B. */
START_TEST(a_late_hello_that_comes_first_gives_way)
{
    test_bytes hello = late_hello();

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    test_sql(b.db, "INSERT INTO item (uuid) VALUES ('y')");
    test_session_start(&a, NULL);
    ck_assert_int_eq(test_hand(&a, hello), TIDE_OK);
    for (int i = 1; i <= 3; i++) {
        test_talk(&a, &b);
        tide_session_tick(a.session, 3000 * MS * i);
        tide_session_tick(b.session, 3000 * MS * i);
    }
    test_talk(&a, &b);
    items_are("x -|y -");
    both_complete();
}
END_TEST

/* It comes while B really begins anew. */
START_TEST(a_late_hello_does_not_keep_a_new_session_out)
{
    test_bytes hello = late_hello();

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    test_session_start(&a, NULL);
    test_talk(&a, &b);
    both_complete();
    test_sql(b.db, "INSERT INTO item (uuid) VALUES ('y')");
    test_session_start(&b, NULL);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, hello), TIDE_OK);
    for (int i = 1; i <= 3; i++) {
        test_talk(&a, &b);
        tide_session_tick(a.session, 3000 * MS * i);
        tide_session_tick(b.session, 3000 * MS * i);
    }
    test_talk(&a, &b);
    items_are("x -|y -");
    both_complete();
}
END_TEST

/* Everything B ever said may come again at any time. */
START_TEST(late_words_of_any_session_end_no_conversation)
{
    test_random random = {(uint64_t)_i + 1};
    test_bytes said[64];
    size_t count = 0;

    test_session_start(&a, NULL);
    for (int life = 0; life < 12; life++) {
        char sql[96];

        test_session_start(&b, NULL);
        for (int i = 1; i <= 40; i++) {
            test_bytes message;

            if (test_below(&random, 4) == 0 && count > 0)
                ck_assert_int_eq(test_give(&a, said[test_below(&random, count)]), TIDE_OK);
            if (test_take(&b, &message)) {
                if (test_below(&random, 5) > 0)
                    ck_assert_int_eq(test_give(&a, message), TIDE_OK);
                if (count < 64)
                    said[count++] = message;
                else
                    test_drop(&message);
            }
            if (test_take(&a, &message))
                ck_assert_int_eq(test_hand(&b, message), TIDE_OK);
            tide_session_tick(a.session, (life * 40 + i) * 500 * MS);
            tide_session_tick(b.session, (life * 40 + i) * 500 * MS);
        }
        snprintf(sql, sizeof sql, "INSERT INTO item (uuid) VALUES ('%c%d')", life % 2 ? 'b' : 'a',
                 life);
        test_sql(life % 2 ? b.db : a.db, "%s", sql);
    }
    for (int i = 1; i <= 4; i++) { /* the link is good again */
        tide_session_notify(a.session);
        tide_session_notify(b.session);
        test_talk(&a, &b);
        tide_session_tick(a.session, (600 + 6 * i) * 500 * MS);
        tide_session_tick(b.session, (600 + 6 * i) * 500 * MS);
    }
    both_complete();
    test_same_rows(&a, &b);
    test_text_is(a.db, "12", "SELECT count(*) FROM item");
    while (count > 0)
        test_drop(&said[--count]);
}
END_TEST

/* A page that was made for an earlier session of ours, and one from an earlier session of the peer. */
START_TEST(what_belongs_to_another_session_is_passed_over)
{
    tide_change row = live(0, "x", "X", TEST_START + 1);
    test_range range = {"item", TIDE_TIME_NONE, TEST_START + 1, &row, 1};
    test_head head;

    b_asks();
    for (int i = 0; i < 4; i++) {
        head = test_head_of(&a, &b, 0);
        head.session += i == 0 ? -1 : i == 1 ? 1 : 0;
        head.to_session += i == 2 ? -1 : i == 3 ? 1 : 0;
        ck_assert_int_eq(test_hand(&b, test_page(&head, &range, 1, true)), TIDE_OK);
        items_are("");
        mark_is(TIDE_TIME_NONE);
    }
    head = test_head_of(&a, &b, 0);
    ck_assert_int_eq(test_hand(&b, test_page(&head, &range, 1, true)), TIDE_OK);
    items_are("x X");
}
END_TEST

/* ---- ranges that do not join on ----------------------------------------------------------------- */

START_TEST(a_gap_is_not_applied_and_moves_nothing)
{
    tide_change row = live(0, "x", "X", TEST_START + 20);
    tide_metrics metrics = {.size = sizeof metrics};
    test_bytes want;
    tide_time after = 7;

    test_marks_set(b.marks, a.device, "item", TEST_START + 10, test_epoch(&a));
    b_asks();
    ck_assert_int_eq(give_page(0, TEST_START + 11, TEST_START + 20, &row, 1), TIDE_OK);
    items_are("");
    mark_is(TEST_START + 10);
    ck_assert_int_eq(tide_sync_metrics(b.sync, &metrics), TIDE_OK);
    ck_assert_uint_eq(metrics.pages_refused, 1);
    ck_assert_uint_eq(metrics.pages_applied, 0);
    want = test_take_kind(&b, TIDE__WANT); /* it asks at once, from its mark */
    ck_assert_uint_eq(number_of(want, &after), 1);
    ck_assert_int_eq(after, TEST_START + 10);
    test_drop(&want);
}
END_TEST

START_TEST(a_gap_before_there_is_any_mark)
{
    tide_change row = live(0, "x", "X", TEST_START + 20);

    b_asks();
    ck_assert_int_eq(give_page(0, TEST_START, TEST_START + 20, &row, 1), TIDE_OK);
    items_are("");
    mark_is(TIDE_TIME_NONE);
}
END_TEST

START_TEST(a_range_that_begins_below_the_mark_joins_on)
{
    tide_change row = live(0, "x", "X", TEST_START + 20);

    test_marks_set(b.marks, a.device, "item", TEST_START + 10, test_epoch(&a));
    b_asks();
    ck_assert_int_eq(give_page(0, TEST_START + 5, TEST_START + 20, &row, 1), TIDE_OK);
    items_are("x X");
    mark_is(TEST_START + 20);
}
END_TEST

START_TEST(a_range_that_ends_at_the_mark_is_known)
{
    tide_change row = live(0, "x", "X", TEST_START + 5);

    test_marks_set(b.marks, a.device, "item", TEST_START + 10, test_epoch(&a));
    b_asks();
    ck_assert_int_eq(give_page(0, TEST_START, TEST_START + 10, &row, 1), TIDE_OK);
    items_are("");
    mark_is(TEST_START + 10);
}
END_TEST

START_TEST(an_empty_range_moves_the_mark_over_itself_only)
{
    test_marks_set(b.marks, a.device, "item", TEST_START + 10, test_epoch(&a));
    b_asks();
    ck_assert_int_eq(give_page(0, TEST_START + 10, TEST_START + 10, NULL, 0), TIDE_OK);
    mark_is(TEST_START + 10);
    ck_assert_int_eq(tide_session_state(b.session), TIDE_READY);
    test_session_stop(&b);
    b_asks();
    ck_assert_int_eq(give_page(0, TEST_START + 10, TEST_START + 30, NULL, 0), TIDE_OK);
    mark_is(TEST_START + 30);
}
END_TEST

START_TEST(an_empty_feed_leaves_no_mark)
{
    b_asks();
    ck_assert_int_eq(give_page(0, TIDE_TIME_NONE, TIDE_TIME_NONE, NULL, 0), TIDE_OK);
    mark_is(TIDE_TIME_NONE);
    ck_assert_int_eq(tide_session_state(b.session), TIDE_READY);
}
END_TEST

/* One page, several ranges: each is judged by its own mark. */
START_TEST(ranges_are_judged_one_by_one)
{
    tide_change item_row = live(0, "x", "X", TEST_START + 20);
    tide_value name = test_string("P");
    tide_change place_row = {.size = sizeof place_row,
                             .resource = "place",
                             .version = TEST_START + 1,
                             .key = test_string("p"),
                             .values = &name,
                             .value_count = 1};
    test_range ranges[] = {{"item", TEST_START + 15, TEST_START + 20, &item_row, 1},
                           {"place", TIDE_TIME_NONE, TEST_START + 1, &place_row, 1}};
    test_head head;

    uuid_copy(place_row.version_device, a.device);
    test_marks_set(b.marks, a.device, "item", TEST_START + 10, test_epoch(&a));
    b_asks();
    head = test_head_of(&a, &b, 0);
    ck_assert_int_eq(test_hand(&b, test_page(&head, ranges, 2, true)), TIDE_OK);
    items_are("");
    mark_is(TEST_START + 10);
    test_text_is(b.db, "p P", "SELECT uuid, name FROM place");
    ck_assert_int_eq(test_mark(&b, &a, "place"), TEST_START + 1);
}
END_TEST

/* There was no mark when b asked. Another program has raised one since, over more than the page
 * brings. */
START_TEST(a_mark_that_appeared_since_the_question_stands)
{
    tide_change row = live(0, "x", "X", TEST_START + 20);

    b_asks();
    test_marks_set(b.marks, a.device, "item", TEST_START + 40, test_epoch(&a));
    ck_assert_int_eq(give_page(0, TIDE_TIME_NONE, TEST_START + 30, &row, 1), TIDE_OK);
    mark_is(TEST_START + 40);
}
END_TEST

/* ---- epochs ------------------------------------------------------------------------------------- */

START_TEST(a_page_of_a_new_feed_is_read_from_its_beginning_only)
{
    tide_change row = live(0, "x", "X", TEST_START + 20);
    tide_mark mark;

    test_marks_set(b.marks, a.device, "item", TEST_START + 50, test_epoch(&a) - 1);
    b_asks();
    ck_assert_int_eq(give_page(0, TEST_START + 10, TEST_START + 60, &row, 1), TIDE_OK);
    items_are("");
    test_mark_full(&b, &a, "item", &mark);
    ck_assert_int_eq(mark.watermark, TEST_START + 50);
    ck_assert_int_eq(mark.epoch, test_epoch(&a) - 1);
    test_session_stop(&b);
    b_asks();
    ck_assert_int_eq(give_page(0, TIDE_TIME_NONE, TEST_START + 20, &row, 1), TIDE_OK);
    items_are("x X");
    test_mark_full(&b, &a, "item", &mark);
    ck_assert_int_eq(mark.watermark, TEST_START + 20); /* lower, and right */
    ck_assert_int_eq(mark.epoch, test_epoch(&a));
}
END_TEST

START_TEST(a_mark_without_an_epoch_is_not_trusted)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x'), ('y')");
    test_marks_set(b.marks, a.device, "item", TEST_START + INT64_C(1000000000000), TIDE_TIME_NONE);
    next_session_completes();
}
END_TEST

static void renew(test_side *side, int64_t now_ms)
{
    uint64_t number = side->number;

    test_side_close(side);
    remove("1.db");
    remove("1.db-wal");
    remove("1.db-shm");
    test_now_ms = now_ms;
    test_side_open(side, number);
}

START_TEST(a_peer_whose_database_is_new_is_read_from_the_beginning)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x'), ('y')");
    test_sync(&a, &b);
    renew(&a, test_now_ms + TEST_STEP_MS);
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('z')");
    start_both();
    test_talk(&a, &b);
    test_text_is(b.db, "z", "SELECT uuid FROM item WHERE uuid = 'z'");
    mark_is(test_newest(a.db, "item"));
}
END_TEST

/* Its clock was behind when the new database was made. */
START_TEST(a_new_database_may_have_an_earlier_epoch)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x'), ('y')");
    test_sync(&a, &b);
    renew(&a, test_now_ms - 10 * TEST_STEP_MS);
    a.ahead = b.ahead = 10 * TEST_STEP; /* it has been set since */
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('z')");
    start_both();
    test_talk(&a, &b); /* it comes to an end */
    test_text_is(b.db, "z", "SELECT uuid FROM item WHERE uuid = 'z'");
    mark_is(test_newest(a.db, "item"));
}
END_TEST

/* It is new and has nothing yet: an old mark about it is no reason to fail. */
START_TEST(a_new_database_may_be_empty)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x'), ('y')");
    test_sync(&a, &b);
    renew(&a, test_now_ms + TEST_STEP_MS);
    b_asks();
    ck_assert_int_eq(give_page(0, TIDE_TIME_NONE, TIDE_TIME_NONE, NULL, 0), TIDE_OK);
    ck_assert_int_eq(tide_session_state(b.session), TIDE_READY);
}
END_TEST

/* A device that lost its database gets its rows back from its peers. */
START_TEST(a_device_that_lost_everything_gets_its_own_rows_back)
{
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X'), ('y', 'Y')");
    test_sync(&a, &b);
    renew(&a, test_now_ms + TEST_STEP_MS);
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('z'); INSERT INTO place (uuid) VALUES ('p')");
    start_both();
    test_talk(&a, &b);
    test_text_is(a.db, "x X|y Y|z -", "SELECT uuid, name FROM item ORDER BY uuid");
}
END_TEST

/* ---- marks that others change ------------------------------------------------------------------- */

static const struct {
    tide_time
        mark; /* what the other program sets after the question, less TEST_START; 0: removes it */
    bool applied;
    tide_time then;
} others[] = {
    {10, true, 30},  {20, true, 30}, {29, true, 30}, {30, false, 30},
    {40, false, 40}, {9, false, 9},  {1, false, 1},  {0, false, 0},
};

/* b has asked from 10; the page is (10, 30]. */
START_TEST(a_mark_that_changed_since_the_question_decides)
{
    tide_change row = live(0, "x", "X", TEST_START + 20);
    tide_time mark = others[_i].mark == 0 ? TIDE_TIME_NONE : TEST_START + others[_i].mark;
    tide_time then = others[_i].then == 0 ? TIDE_TIME_NONE : TEST_START + others[_i].then;

    test_marks_set(b.marks, a.device, "item", TEST_START + 10, test_epoch(&a));
    b_asks();
    test_marks_set(b.marks, a.device, "item", mark, test_epoch(&a));
    ck_assert_int_eq(give_page(0, TEST_START + 10, TEST_START + 30, &row, 1), TIDE_OK);
    items_are(others[_i].applied ? "x X" : "");
    mark_is(then);
}
END_TEST

static tide_mark meddled;

static void meddle(void *ctx)
{
    (void)ctx;
    test_marks_set(b.marks, a.device, "item", meddled.watermark, meddled.epoch);
}

/* Between the rows and the mark: what the other program did stands, and the range is read again. */
START_TEST(a_mark_that_changed_since_the_rows_stands)
{
    tide_change row = live(0, "x", "X", TEST_START + 20);
    tide_mark mark;
    const tide_mark cases[] = {{TIDE_TIME_NONE, 0, 0},
                               {TEST_START + 5, 0, test_epoch(&a)},
                               {TEST_START + 99, 0, test_epoch(&a)},
                               {TEST_START + 15, 0, test_epoch(&a) + 1}};

    meddled = cases[_i];
    test_marks_set(b.marks, a.device, "item", TEST_START + 10, test_epoch(&a));
    b_asks();
    test_marks_before_advance(b.marks, meddle, NULL);
    ck_assert_int_eq(give_page(0, TEST_START + 10, TEST_START + 30, &row, 1), TIDE_OK);
    test_marks_before_advance(b.marks, NULL, NULL);
    test_mark_full(&b, &a, "item", &mark);
    ck_assert_int_eq(mark.watermark, meddled.watermark);
    items_are("x X");
    mark.watermark = 7;
    test_bytes want = test_take_kind(&b, TIDE__WANT);
    (void)number_of(want, &mark.watermark);
    ck_assert_int_eq(mark.watermark, meddled.watermark);
    test_drop(&want);
}
END_TEST

/* ---- refusals ----------------------------------------------------------------------------------- */

/* Hands b a message that must be refused: nothing applied, no mark moved, the session over. */
static void refused(test_bytes message, int code)
{
    char *items = test_text(b.db, "SELECT * FROM item ORDER BY id");
    char *feed = test_feed(b.db, "item", "item");
    char *state = test_text(b.db, "SELECT * FROM tidemark_state");
    tide_time mark = test_mark(&b, &a, "item");

    ck_assert_int_eq(test_hand(&b, message), code);
    is_over(&b);
    test_text_is(b.db, items, "SELECT * FROM item ORDER BY id");
    test_feed_is(b.db, feed, "item", "item");
    test_text_is(b.db, state, "SELECT * FROM tidemark_state");
    mark_is(mark);
    free(items);
    free(feed);
    free(state);
}

START_TEST(another_library_is_refused)
{
    tide_change row = live(0, "x", "X", TEST_START + 1);
    test_range range = {"item", TIDE_TIME_NONE, TEST_START + 1, &row, 1};
    test_head head;

    b_asks();
    head = test_head_of(&a, &b, 0);
    test_uuid(head.library, 77);
    refused(test_page(&head, &range, 1, true), TIDE_ELIBRARY);
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('y')");
    next_session_completes();
}
END_TEST

START_TEST(our_own_device_id_is_refused)
{
    test_head head;

    test_session_start(&b, NULL);
    refused(test_take_kind(&b, TIDE__HELLO), TIDE_ELIBRARY); /* its own words come back */
    b_asks();
    head = test_head_of(&a, &b, 0);
    uuid_copy(head.from, b.device);
    refused(test_page(&head, NULL, 0, true), TIDE_ELIBRARY);
}
END_TEST

START_TEST(another_peer_than_before_is_refused)
{
    test_head head;

    b_asks();
    head = test_head_of(&a, &b, 0);
    test_uuid(head.from, 3);
    refused(test_page(&head, NULL, 0, true), TIDE_ELIBRARY);
    options.peer = head.from;
    test_session_start(&b, &options);
    test_session_start(&a, NULL);
    refused(test_take_kind(&a, TIDE__HELLO), TIDE_ELIBRARY);
}
END_TEST

static const char *const one_column[] = {"name"};
static const char *const other_order[] = {"size", "name"};
static const char *const other_name[] = {"name", "local"};
static const struct {
    const char *const *columns;
    size_t count;
    const char *key;
} other_columns[] = {
    {one_column, 1, "uuid"}, {other_order, 2, "uuid"}, {other_name, 2, "uuid"},
    {NULL, 0, "uuid"},       {one_column, 1, "size"},
};

START_TEST(other_columns_are_refused)
{
    tide_model model = test_item;
    const tide_model *const models[] = {&test_place, &model};

    model.columns = other_columns[_i].columns;
    model.column_count = other_columns[_i].count;
    model.key = other_columns[_i].key;
    test_side_close(&a);
    remove("1.db");
    test_side_open_as(&a, 1,
                      "CREATE TABLE place (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name);"
                      "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name,"
                      " size NOT NULL UNIQUE, local)",
                      models, 2);
    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
    refused(test_take_kind(&a, TIDE__HELLO), TIDE_EMODEL);
    test_session_start(&b, NULL); /* a finds the same */
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_EMODEL);
    is_over(&a);
}
END_TEST

START_TEST(a_resource_nobody_asked_for_is_refused)
{
    test_range range = {"unknown", TIDE_TIME_NONE, TEST_START, NULL, 0};
    test_head head;

    b_asks();
    head = test_head_of(&a, &b, 0);
    refused(test_page(&head, &range, 1, true), TIDE_EMODEL);
}
END_TEST

START_TEST(another_protocol_is_refused)
{
    test_bytes hello;

    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
    hello = test_take_kind(&a, TIDE__HELLO);
    ck_assert_uint_eq(hello.data[2], TIDE__PROTOCOL);
    hello.data[2] = TIDE__PROTOCOL + 1;
    refused(hello, TIDE_EPROTO);
}
END_TEST

START_TEST(a_version_of_the_future_is_refused)
{
    tide_time now = test_now_ms * MS;
    tide_change rows[] = {live(0, "x", "X", TEST_START + 1),
                          live(1, "y", "Y", now + 300000 * MS + 1)};

    b_asks();
    refused(page_of(test_epoch(&a), 0, TIDE_TIME_NONE, now, rows, 2), TIDE_ECLOCK);
    rows[1].version--;
    b_asks();
    ck_assert_int_eq(give_page(0, TIDE_TIME_NONE, now, rows, 2), TIDE_OK);
    items_are("x X|y Y");
    rows[0] = gone("x", TIDE_TIME_MAX);
    b_asks();
    refused(page_of(test_epoch(&a), 0, now, now + 1, rows, 1), TIDE_ECLOCK);
}
END_TEST

/* What is refused is refused also where it would not be applied. */
START_TEST(a_malformed_row_refuses_the_whole_page)
{
    tide_change rows[] = {live(0, "x", "X", TEST_START + 1), live(1, "y", "Y", TEST_START + 2),
                          live(2, "z", "Z", TEST_START + 3)};

    rows[2].value_count = 1;
    b_asks();
    refused(page_of(test_epoch(&a), 0, TIDE_TIME_NONE, TEST_START + 3, rows, 3), TIDE_EPROTO);
    b_asks();
    refused(page_of(test_epoch(&a), 0, TEST_START, TEST_START + 3, rows, 3),
            TIDE_EPROTO); /* a gap */
}
END_TEST

/* What a constraint refuses is parked (test_parked.c); this takes the transaction with it. */
START_TEST(a_rollback_takes_the_whole_page_back)
{
    static const char schema[] =
        "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name, size, local);";
    static const char trigger[] =
        "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name, size, local);"
        "CREATE TRIGGER t BEFORE INSERT ON item WHEN NEW.name = 'bad' BEGIN "
        "SELECT RAISE(ROLLBACK, 'no'); END";
    tide_model alone = test_item;
    tide_change rows[] = {live(0, "x", "X", TEST_START + 1), live(1, "y", "bad", TEST_START + 2),
                          live(2, "z", "Z", TEST_START + 3)};
    const tide_model *const models[] = {&alone};
    char text[512];

    alone.depends_on_count = 0;
    open_as(schema, trigger, models, 1);
    b_asks();
    refused(page_of(test_epoch(&a), 0, TIDE_TIME_NONE, TEST_START + 3, rows, 3), TIDE_ECONSTRAINT);
    b_asks();
    (void)give_page(0, TIDE_TIME_NONE, TEST_START + 3, rows, 3);
    tide_sync_detail(b.sync, text, sizeof text);
    ck_assert_str_eq(text, "item \"y\": SQLite: no");
}
END_TEST

START_TEST(a_transaction_on_the_engines_connection_is_in_the_way)
{
    tide_change row = live(0, "x", "X", TEST_START + 1);
    const void *bytes = NULL;
    size_t size = 0;

    b_asks();
    test_sql(b.db, "BEGIN; INSERT INTO item (uuid) VALUES ('mine')");
    ck_assert_int_eq(give_page(0, TIDE_TIME_NONE, TEST_START + 1, &row, 1), TIDE_EBUSY);
    ck_assert_int_eq(sqlite3_get_autocommit(b.db), 0);
    mark_is(TIDE_TIME_NONE);
    test_sql(b.db, "COMMIT");
    items_are("mine -");
    is_over(&b);
    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    test_sql(a.db, "BEGIN; INSERT INTO item (uuid) VALUES ('unborn')");
    ck_assert_int_eq(tide_session_next(a.session, &bytes, &size), TIDE_EBUSY);
    test_sql(a.db, "ROLLBACK");
    is_over(&a);
    next_session_completes();
}
END_TEST

/* ---- errors of what is below -------------------------------------------------------------------- */

/* Marks cannot be written after the rows are in: the error is told, the next session reads the rows
 * again and changes nothing. */
START_TEST(marks_that_cannot_be_written)
{
    char *feed;

    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X'), ('y', 'Y')");
    start_both();
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    test_marks_fail(b.marks, TEST_MARKS_ADVANCE, TIDE_ENOSPC, 0);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__PAGE)), TIDE_ENOSPC);
    is_over(&b);
    items_are("x X|y Y");
    mark_is(TIDE_TIME_NONE);
    feed = test_feed(b.db, "item", "item");
    test_marks_fail(b.marks, TEST_MARKS_ADVANCE, TIDE_OK, 0);
    next_session_completes();
    test_feed_is(b.db, feed, "item", "item");
    free(feed);
}
END_TEST

START_TEST(the_second_of_two_marks_cannot_be_written)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x'); INSERT INTO place (uuid) VALUES ('p')");
    start_both();
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    test_marks_fail(b.marks, TEST_MARKS_ADVANCE, TIDE_EIO, 1);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__PAGE)), TIDE_EIO);
    is_over(&b);
    ck_assert_int_eq(test_mark(&b, &a, "place"), test_newest(a.db, "place"));
    mark_is(TIDE_TIME_NONE);
    test_marks_fail(b.marks, TEST_MARKS_ADVANCE, TIDE_OK, 0);
    next_session_completes();
}
END_TEST

/* An error is never "there is no mark". */
START_TEST(marks_that_cannot_be_read)
{
    tide_change row = live(0, "x", "X", TEST_START + 20);
    const void *bytes = NULL;
    size_t size = 0;
    char text[256];

    test_marks_set(b.marks, a.device, "item", TEST_START + 10, test_epoch(&a));
    b_asks();
    test_marks_fail(b.marks, TEST_MARKS_GET, TIDE_ECORRUPT, 0);
    refused(page_of(test_epoch(&a), 0, TEST_START + 10, TEST_START + 20, &row, 1), TIDE_ECORRUPT);
    options.peer = a.device;
    test_session_start(&b, &options);
    ck_assert_int_eq(tide_session_next(b.session, &bytes, &size), TIDE_ECORRUPT);
    is_over(&b);
    tide_sync_detail(b.sync, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "told to fail"));
    test_marks_fail(b.marks, TEST_MARKS_GET, TIDE_OK, 0);
    mark_is(TEST_START + 10);
}
END_TEST

START_TEST(a_mark_of_an_old_feed_that_cannot_be_removed)
{
    tide_change row = live(0, "x", "X", TEST_START + 20);

    test_marks_set(b.marks, a.device, "item", TEST_START + 50, test_epoch(&a) - 1);
    b_asks();
    test_marks_fail(b.marks, TEST_MARKS_RESET, TIDE_EIO, 0);
    ck_assert_int_eq(give_page(0, TIDE_TIME_NONE, TEST_START + 20, &row, 1), TIDE_EIO);
    is_over(&b);
    mark_is(TEST_START + 50);
    test_marks_fail(b.marks, TEST_MARKS_RESET, TIDE_OK, 0);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X2')");
    next_session_completes();
}
END_TEST

/* A table that cannot be read is an error, not an empty page that says "all of it". */
static const char *const damages[] = {"DROP TABLE item", "DROP TABLE tidemark_item_gone",
                                      "ALTER TABLE item RENAME COLUMN name TO title",
                                      "DROP TABLE tidemark_item_rows"};

START_TEST(a_feed_that_cannot_be_read_is_an_error)
{
    sqlite3 *other = test_connect(a.path);
    const void *bytes = NULL;
    size_t size = 0;

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    start_both();
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    test_sql(other, "DROP TRIGGER tidemark_item_insert; DROP TRIGGER tidemark_item_update;"
                    "DROP TRIGGER tidemark_item_rekey; DROP TRIGGER tidemark_item_delete");
    test_sql(other, "%s", damages[_i]);
    ck_assert_int_eq(tide_session_next(a.session, &bytes, &size), TIDE_ESQL);
    is_over(&a);
    sqlite3_close(other);
}
END_TEST

START_TEST(a_row_of_an_unknown_device_is_an_error)
{
    const void *bytes = NULL;
    size_t size = 0;

    test_sql(a.db,
             "INSERT INTO item (uuid) VALUES ('x'); UPDATE tidemark_item_rows SET device = 99");
    start_both();
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(tide_session_next(a.session, &bytes, &size), TIDE_ECORRUPT);
    is_over(&a);
}
END_TEST

/* ---- pausing ------------------------------------------------------------------------------------ */

START_TEST(a_paused_session_asks_nothing_and_serves)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    test_sql(b.db, "INSERT INTO item (uuid) VALUES ('y')");
    start_both();
    tide_session_pause(b.session);
    ck_assert_int_eq(tide_session_state(b.session), TIDE_PAUSED);
    test_talk(&a, &b);
    tide_session_tick(b.session, 3600 * 1000 * MS);
    test_talk(&a, &b);
    items_are("y -");
    mark_is(TIDE_TIME_NONE);
    ck_assert_int_eq(tide_session_state(b.session), TIDE_PAUSED);
    tide_session_resume(b.session);
    test_talk(&a, &b);
    tide_session_tick(a.session, 7200 * 1000 * MS);
    tide_session_tick(b.session, 7200 * 1000 * MS);
    test_talk(&a, &b);
    both_complete();
}
END_TEST

/* Whom it has not greeted it cannot serve: HELLO is said all the same, and again when it is lost. */
START_TEST(a_session_paused_before_its_hello_has_arrived_serves)
{
    bool lost = _i > 0;
    test_bytes message;

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    test_sql(b.db, "INSERT INTO item (uuid) VALUES ('y')");
    options.peer = _i == 2 ? NULL : b.device;
    test_session_start(&a, &options);
    options.peer = a.device;
    test_session_start(&b, &options);
    if (!lost)
        tide_session_pause(a.session);
    message = test_take_kind(&a, TIDE__HELLO);
    if (lost)
        tide_session_pause(a.session);
    else
        ck_assert_int_eq(test_give(&b, message), TIDE_OK);
    test_drop(&message);
    test_talk(&a, &b);
    for (int i = 1; lost && i <= 2; i++) { /* until b knows a, pages are passed over */
        tide_session_tick(a.session, 2000 * MS * i);
        tide_session_tick(b.session, 2000 * MS * i);
        test_talk(&a, &b);
    }
    items_are("x -|y -");
    ck_assert_int_eq(tide_session_state(b.session), TIDE_READY);
    test_text_is(a.db, "x", "SELECT uuid FROM item");
    ck_assert_int_eq(tide_session_state(a.session), TIDE_PAUSED);
    ck_assert_int_eq(tide_session_is_complete(b.session), 0);
    ck_assert_int_eq(tide_session_deadline(a.session), INT64_MAX); /* it was heard */
    tide_session_resume(a.session);
    test_talk(&a, &b);
    both_complete();
}
END_TEST

/* What answered the paused session's HELLO is no answer to what it asks when it goes on. */
START_TEST(the_answer_to_a_paused_hello_ends_no_round)
{
    test_bytes empty;

    test_sql(b.db, "INSERT INTO item (uuid) VALUES ('y')");
    options.peer = b.device;
    test_session_start(&a, &options);
    options.peer = a.device;
    test_session_start(&b, &options);
    tide_session_pause(a.session);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    empty = test_take_kind(&b, TIDE__PAGE);
    tide_session_resume(a.session);
    ck_assert_int_eq(test_hand(&a, empty), TIDE_OK);
    ck_assert_int_eq(tide_session_state(a.session), TIDE_CATCHING_UP);
    test_talk(&a, &b);
    both_complete();
    test_text_is(a.db, "y", "SELECT uuid FROM item");
}
END_TEST

START_TEST(a_paused_session_serves_a_peer_that_begins_anew)
{
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    start_both();
    test_talk(&a, &b);
    both_complete();
    tide_session_pause(a.session);
    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('y')");
    options.peer = _i == 0 ? NULL : a.device;
    test_session_start(&b, &options);
    test_talk(&a, &b);
    items_are("x -|y -");
    ck_assert_int_eq(tide_session_state(b.session), TIDE_READY);
    ck_assert_int_eq(tide_session_state(a.session), TIDE_PAUSED);
    ck_assert_int_eq(tide_session_deadline(a.session), INT64_MAX);
    tide_session_resume(a.session);
    test_talk(&a, &b);
    both_complete();
}
END_TEST

START_TEST(pausing_in_the_middle_passes_over_what_comes)
{
    test_bytes page;

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('x')");
    start_both();
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    page = test_take_kind(&a, TIDE__PAGE);
    tide_session_pause(b.session);
    tide_session_pause(b.session);
    ck_assert_int_eq(tide_session_deadline(b.session), 2000 * MS); /* whether it was heard */
    ck_assert_int_eq(test_hand(&b, page), TIDE_OK);
    ck_assert_int_eq(tide_session_deadline(b.session), INT64_MAX);
    items_are("");
    test_sql(b.db, "INSERT INTO item (uuid) VALUES ('y')");
    tide_session_notify(b.session);
    test_talk(&a, &b); /* it still serves */
    test_text_is(a.db, "x|y", "SELECT uuid FROM item ORDER BY uuid");
    tide_session_notify(a.session);
    test_talk(&a, &b);
    items_are("y -");
    tide_session_resume(b.session);
    tide_session_resume(b.session);
    test_talk(&a, &b);
    both_complete();
}
END_TEST

/* ---- page boundaries ---------------------------------------------------------------------------- */

/* A feed in which live rows and tombstones alternate irregularly, at one moment of the clock. */
static void mixed_feed(void)
{
    test_sql(a.db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 23) "
                   "INSERT INTO item (uuid, name) SELECT printf('k%%02d', i), i FROM n");
    test_sql(a.db, "DELETE FROM item WHERE uuid IN ('k03', 'k04', 'k11', 'k23');"
                   "UPDATE item SET name = 'new' WHERE uuid IN ('k01', 'k22');"
                   "DELETE FROM item WHERE uuid IN ('k01', 'k05');"
                   "INSERT INTO item (uuid) VALUES ('k03'), ('k99')");
}

/* What b must hold when its mark is `upto`: exactly the feed of a to there. */
static void b_holds_the_feed_to(tide_time upto)
{
    char *live_keys = test_text(a.db,
                                "SELECT t.uuid, t.name FROM item t JOIN tidemark_item_rows r "
                                "ON r.row = t.id WHERE r.stamp <= %lld ORDER BY t.uuid",
                                (long long)upto);
    char *gone_keys = test_text(a.db,
                                "SELECT key FROM tidemark_item_gone WHERE stamp <= %lld "
                                "ORDER BY key",
                                (long long)upto);

    test_text_is(b.db, live_keys, "SELECT uuid, name FROM item ORDER BY uuid");
    test_text_is(b.db, gone_keys, "SELECT key FROM tidemark_item_gone ORDER BY key");
    free(live_keys);
    free(gone_keys);
}

/* The stamp of the feed's n-th row (from 1), or of its last. */
static tide_time stamp_of(size_t n)
{
    return test_number(a.db,
                       "SELECT max(stamp) FROM (SELECT stamp FROM (SELECT stamp FROM "
                       "tidemark_item_rows UNION ALL SELECT stamp FROM tidemark_item_gone) "
                       "ORDER BY stamp LIMIT %d)",
                       (int)n);
}

/* Every page is carried by hand: after each, exactly so many rows more, and the mark at the last. */
START_TEST(every_page_boundary_is_exact)
{
    size_t done = 0;
    size_t total;

    mixed_feed();
    total = (size_t)test_number(a.db, "SELECT (SELECT count(*) FROM tidemark_item_rows) + "
                                      "(SELECT count(*) FROM tidemark_item_gone)");
    ck_assert_uint_eq(total, 24);
    options.page_rows = (uint32_t)_i;
    test_session_start(&a, NULL);
    test_session_start(&b, &options);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    while (done < total) {
        ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__PAGE)), TIDE_OK);
        done = done + (size_t)_i < total ? done + (size_t)_i : total;
        mark_is(stamp_of(done));
        b_holds_the_feed_to(stamp_of(done));
        ck_assert_int_eq(tide_session_state(b.session), TIDE_BACKFILLING);
        ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__WANT)), TIDE_OK);
    }
    test_talk(&a, &b);
    both_complete();
    ck_assert_uint_eq(b.changed, total);
}
END_TEST

/* A session that ends after any page goes on from there in the next. */
START_TEST(every_page_boundary_is_a_place_to_stop)
{
    size_t done = 0;

    mixed_feed();
    options.page_rows = (uint32_t)_i;
    while (done < 24) {
        test_session_start(&a, NULL);
        test_session_start(&b, &options);
        ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
        ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
        ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__PAGE)), TIDE_OK);
        done = done + (size_t)_i < 24 ? done + (size_t)_i : 24;
        mark_is(stamp_of(done));
        b_holds_the_feed_to(stamp_of(done));
    }
    ck_assert_uint_eq(b.changed, 24);
}
END_TEST

START_TEST(pages_are_about_as_long_as_asked_for)
{
    size_t count = 0;

    test_sql(a.db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) "
                   "INSERT INTO item (uuid, name) SELECT printf('k%%02d', i), printf('%%0300d', i) "
                   "FROM n");
    test_sql(a.db, "UPDATE item SET name = printf('%%05000d', 1) WHERE uuid = 'k07'");
    options.page_bytes = 1024;
    test_session_start(&a, NULL);
    test_session_start(&b, &options);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__HELLO)), TIDE_OK);
    while (b.changed < 20) {
        test_bytes page = test_take_kind(&a, TIDE__PAGE);
        uint64_t before = b.changed;
        size_t length = page.length;
        ck_assert_int_eq(test_hand(&b, page), TIDE_OK);
        ck_assert_uint_gt(b.changed, before);
        ck_assert_uint_lt(length, 1024 + 5037 + 128); /* the row of 5037 bytes, the heads */
        ck_assert_int_eq(test_mark(&b, &a, "item"), stamp_of((size_t)b.changed));
        b_holds_the_feed_to(stamp_of((size_t)b.changed));
        ck_assert_int_eq(test_hand(&a, test_take_kind(&b, TIDE__WANT)), TIDE_OK);
        ck_assert_uint_le(++count, 20);
    }
    ck_assert_uint_gt(count, 4);
    test_talk(&a, &b);
    both_complete();
}
END_TEST

/* Rows of the peer itself are passed over: a page may be short, or empty, and not be the end. */
START_TEST(a_short_page_is_not_the_end)
{
    test_sql(b.db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) "
                   "INSERT INTO item (uuid) SELECT 'b' || i FROM n");
    test_sync(&a, &b);
    test_marks_set(b.marks, a.device, "item", TIDE_TIME_NONE, 0);
    test_sql(a.db,
             "INSERT INTO item (uuid) VALUES ('x'); UPDATE item SET name = 'y' WHERE uuid = 'b4';"
             "INSERT INTO item (uuid) VALUES ('z')");
    options.page_rows = 1;
    test_session_start(&a, NULL);
    test_session_start(&b, &options);
    test_talk(&a, &b);
    both_complete();
    mark_is(test_newest(a.db, "item"));
}
END_TEST

START_TEST(options_have_ranges)
{
    tide_session *session = b.session;
    tide_session_options bad[8];

    for (size_t i = 0; i < 8; i++)
        tide_session_options_init(&bad[i]);
    bad[0].size--;
    bad[1].page_rows = 0;
    bad[2].page_rows = 65537;
    bad[3].page_bytes = 1023;
    bad[4].page_bytes = UINT32_MAX;
    bad[5].retry_ms = 0;
    bad[6].peer = b.device;
    bad[7].page_rows = UINT32_MAX;
    for (size_t i = 0; i < 8; i++) {
        ck_assert_int_eq(tide_session_open(b.sync, &bad[i], &session), TIDE_EINVAL);
        ck_assert_ptr_null(session);
    }
    ck_assert_int_eq(tide_session_open(NULL, NULL, &session), TIDE_EINVAL);
    ck_assert_int_eq(tide_session_open(b.sync, NULL, NULL), TIDE_EINVAL);
    tide_session_close(NULL);
    ck_assert_int_eq(tide_session_receive(NULL, "", 0), TIDE_EINVAL);
    ck_assert_int_eq(tide_session_is_complete(NULL), 0);
}
END_TEST

/* ---- tables of real programs -------------------------------------------------------------------- */

static tide_model item_alone(void)
{
    tide_model model = test_item;

    model.depends_on_count = 0;
    return model;
}

/* The new key takes over the old one's place in a UNIQUE column: the old row must go first. */
START_TEST(a_renamed_row_with_a_unique_column_arrives)
{
    static const char schema[] =
        "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, "
        "name TEXT UNIQUE, size)";
    tide_model model = item_alone();
    const tide_model *const models[] = {&model};

    open_as(schema, schema, models, 1);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X')");
    start_both();
    test_talk(&a, &b);
    items_are("x X");
    test_sql(a.db, "UPDATE item SET uuid = 'y'");
    start_both();
    test_talk(&a, &b);
    items_are("y X");
}
END_TEST

/* A UTF-16 database, texts with a NUL inside, every type and extreme. */
START_TEST(values_arrive_as_they_are)
{
    static const char schema[] =
        "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, "
        "name, size)";
    tide_model model = item_alone();
    const tide_model *const models[] = {&model};
    char *rows;

    open_as(
        "PRAGMA encoding = 'UTF-16'; CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL "
        "UNIQUE, name, size)",
        schema, models, 1);
    test_text_is(a.db, "UTF-16le", "PRAGMA encoding");
    test_sql(
        a.db,
        "INSERT INTO item (uuid, name, size) VALUES ('', '', x''), ('é☃', 'a' || char(0) || 'b', NULL),"
        "('i', 9223372036854775807, -9223372036854775807 - 1), ('s', 0, -1), ('u', 127, 128),"
        "('v', -32, -33), ('w', 255, 256), ('x', 65535, 65536), ('y', 4294967295, 4294967296),"
        "('r', 0.1, -1e300), ('inf', 9e999, -9e999), ('t', '1', x'31'),"
        "('long', printf('%%0300d', 1), zeroblob(70000)), ('z', -0.0, 1.0)");
    start_both();
    test_talk(&a, &b);
    rows =
        test_text(a.db, "SELECT hex(CAST(uuid || '' AS BLOB)) <> '', length(uuid), typeof(name), "
                        "quote(name), length(name), typeof(size), quote(size) FROM item ORDER BY "
                        "length(uuid), size, name");
    test_text_is(b.db, rows,
                 "SELECT hex(CAST(uuid || '' AS BLOB)) <> '', length(uuid), typeof(name), "
                 "quote(name), length(name), typeof(size), quote(size) FROM item ORDER BY "
                 "length(uuid), size, name");
    free(rows);
}
END_TEST

static void add_conversations(Suite *suite)
{
    TCase *test = test_case(suite, "conversations");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, nothing_to_do_takes_two_messages_each_way);
    tcase_add_test(test, nothing_to_do_after_a_sync_either);
    tcase_add_test(test, who_hears_before_speaking_loses_no_time);
    tcase_add_test(test, the_first_sync_brings_everything_both_ways);
    tcase_add_test(test, states_are_told_in_order);
    tcase_add_test(test, the_peer_is_known_after_its_hello);
    tcase_add_test(test, news_are_fetched_while_the_session_is_open);
    tcase_add_loop_test(test, rows_written_while_pages_are_read_are_not_lost, 0, 10);
    tcase_add_test(test, rows_are_not_sent_back);
    tcase_add_test(test, a_model_only_one_side_has_is_no_obstacle);
}

static void add_faults_of_the_link(Suite *suite)
{
    TCase *test = test_case(suite, "faults of the link");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, a_question_is_asked_again_at_its_time);
    tcase_add_test(test, news_are_told_again_until_a_question_comes);
    tcase_add_test(test, news_do_not_put_off_a_question);
    tcase_add_test(test, a_lost_page_is_asked_for_again);
    tcase_add_test(test, a_repeated_page_changes_nothing);
    tcase_add_test(test, an_old_page_in_a_new_session_changes_nothing);
    tcase_add_test(test, a_page_for_another_question_is_passed_over);
    tcase_add_test(test, the_pages_of_a_peer_that_is_not_known_are_passed_over);
    tcase_add_test(test, two_questions_before_an_answer_are_answered_once);
    tcase_add_test(test, a_question_that_comes_late_does_not_undo_completeness);
    tcase_add_test(test, a_first_hello_that_comes_late_does_not_undo_completeness);
    tcase_add_test(test, a_question_that_comes_late_does_not_swallow_the_news);
    tcase_add_test(test, a_peer_that_begins_anew_is_answered);
    tcase_add_test(test, a_peer_that_begins_anew_with_an_earlier_clock_is_answered);
    tcase_add_test(test, a_hello_that_comes_late_ends_no_conversation);
    tcase_add_test(test, a_late_hello_that_comes_first_gives_way);
    tcase_add_test(test, a_late_hello_does_not_keep_a_new_session_out);
    tcase_add_loop_test(test, late_words_of_any_session_end_no_conversation, 0, 30);
    tcase_add_test(test, what_belongs_to_another_session_is_passed_over);
}

static void add_ranges(Suite *suite)
{
    TCase *test = test_case(suite, "ranges");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, a_gap_is_not_applied_and_moves_nothing);
    tcase_add_test(test, a_gap_before_there_is_any_mark);
    tcase_add_test(test, a_range_that_begins_below_the_mark_joins_on);
    tcase_add_test(test, a_range_that_ends_at_the_mark_is_known);
    tcase_add_test(test, an_empty_range_moves_the_mark_over_itself_only);
    tcase_add_test(test, an_empty_feed_leaves_no_mark);
    tcase_add_test(test, ranges_are_judged_one_by_one);
    tcase_add_test(test, a_mark_that_appeared_since_the_question_stands);
    tcase_add_test(test, a_page_of_a_new_feed_is_read_from_its_beginning_only);
    tcase_add_test(test, a_mark_without_an_epoch_is_not_trusted);
    tcase_add_test(test, a_peer_whose_database_is_new_is_read_from_the_beginning);
    tcase_add_test(test, a_new_database_may_have_an_earlier_epoch);
    tcase_add_test(test, a_new_database_may_be_empty);
    tcase_add_test(test, a_device_that_lost_everything_gets_its_own_rows_back);
    tcase_add_loop_test(test, a_mark_that_changed_since_the_question_decides, 0,
                        (int)(sizeof others / sizeof *others));
    tcase_add_loop_test(test, a_mark_that_changed_since_the_rows_stands, 0, 4);
}

static void add_refusals(Suite *suite)
{
    TCase *test = test_case(suite, "refusals");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, another_library_is_refused);
    tcase_add_test(test, our_own_device_id_is_refused);
    tcase_add_test(test, another_peer_than_before_is_refused);
    tcase_add_loop_test(test, other_columns_are_refused, 0,
                        (int)(sizeof other_columns / sizeof *other_columns));
    tcase_add_test(test, a_resource_nobody_asked_for_is_refused);
    tcase_add_test(test, another_protocol_is_refused);
    tcase_add_test(test, a_version_of_the_future_is_refused);
    tcase_add_test(test, a_malformed_row_refuses_the_whole_page);
    tcase_add_test(test, a_rollback_takes_the_whole_page_back);
    tcase_add_test(test, a_transaction_on_the_engines_connection_is_in_the_way);
    tcase_add_test(test, options_have_ranges);
}

static void add_errors_below(Suite *suite)
{
    TCase *test = test_case(suite, "errors below");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, marks_that_cannot_be_written);
    tcase_add_test(test, the_second_of_two_marks_cannot_be_written);
    tcase_add_test(test, marks_that_cannot_be_read);
    tcase_add_test(test, a_mark_of_an_old_feed_that_cannot_be_removed);
    tcase_add_loop_test(test, a_feed_that_cannot_be_read_is_an_error, 0,
                        (int)(sizeof damages / sizeof *damages));
    tcase_add_test(test, a_row_of_an_unknown_device_is_an_error);
}

static void add_pausing_and_pages(Suite *suite)
{
    TCase *test = test_case(suite, "pausing and pages");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, a_paused_session_asks_nothing_and_serves);
    tcase_add_loop_test(test, a_session_paused_before_its_hello_has_arrived_serves, 0, 3);
    tcase_add_test(test, the_answer_to_a_paused_hello_ends_no_round);
    tcase_add_loop_test(test, a_paused_session_serves_a_peer_that_begins_anew, 0, 2);
    tcase_add_test(test, pausing_in_the_middle_passes_over_what_comes);
    tcase_add_loop_test(test, every_page_boundary_is_exact, 1, 8);
    tcase_add_loop_test(test, every_page_boundary_is_a_place_to_stop, 1, 8);
    tcase_add_test(test, pages_are_about_as_long_as_asked_for);
    tcase_add_test(test, a_short_page_is_not_the_end);
}

static void add_tables_of_programs(Suite *suite)
{
    TCase *test = test_case(suite, "tables of programs");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, a_renamed_row_with_a_unique_column_arrives);
    tcase_add_test(test, values_arrive_as_they_are);
}

int main(void)
{
    Suite *suite = suite_create("sync/session");

    add_conversations(suite);
    add_faults_of_the_link(suite);
    add_ranges(suite);
    add_refusals(suite);
    add_errors_below(suite);
    add_pausing_and_pages(suite);
    add_tables_of_programs(suite);
    return test_run(suite);
}
