/* Parked rows: what the table of one device refuses stops nothing, leaves nothing, is not lost, and
 * is written when it fits. */
#include "sync/parked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/support_sync.h"

#define PLACE "CREATE TABLE place (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT);"
#define ITEM(columns)                                                                              \
    "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, " columns ", local);"

/* A gate: while it is shut, items named 'bad' are refused. */
#define GATE                                                                                       \
    PLACE ITEM("name, size") "CREATE TABLE gate (shut); INSERT INTO gate VALUES (1);"              \
                             "CREATE TRIGGER gate_i BEFORE INSERT ON item WHEN NEW.name = 'bad' "  \
                             "AND (SELECT shut FROM gate) BEGIN SELECT RAISE(ABORT, 'shut'); END;"

static const tide_model *const models[] = {&test_place, &test_item};

static test_side a, b;

/* a takes everything, b what its schema allows. */
static void open_both(const char *schema)
{
    test_clock_install();
    test_side_open(&a, 1);
    test_side_open_as(&b, 2, schema, models, 2);
}

static void tear_down(void)
{
    test_side_close(&a);
    test_side_close(&b);
}

static void items_are(test_side *side, const char *expected)
{
    test_text_is(side->db, expected, "SELECT uuid, name FROM item ORDER BY uuid");
}

static int append_row(void *ctx, const tide_parked *row)
{
    test_require(row->size == sizeof *row && row->key.type == TIDE_STRING);
    sqlite3_str_appendf(ctx, "%s%s %.*s %lld %s %llu %s", sqlite3_str_length(ctx) > 0 ? "|" : "",
                        row->resource, (int)row->key.bytes, (const char *)row->key.data,
                        (long long)(row->version - TEST_START),
                        row->deleted ? "gone" : tide_code_name(row->code),
                        (unsigned long long)row->tries, row->reason);
    return 0;
}

/* "RESOURCE KEY VERSION CODE|gone TRIES REASON" of each, the oldest first. */
static void parked_are(test_side *side, const char *expected)
{
    sqlite3_str *list = sqlite3_str_new(NULL);
    char *text;

    ck_assert_int_eq(tide_sync_parked(side->sync, append_row, list), TIDE_OK);
    text = sqlite3_str_finish(list);
    ck_assert_str_eq(text == NULL ? "" : text, expected);
    sqlite3_free(text);
}

static uint64_t parked_count(test_side *side, const char *resource)
{
    tide_resource_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_sync_resource_info(side->sync, resource, &info), TIDE_OK);
    return info.parked;
}

/* ---- a row that is refused ---------------------------------------------------------------------- */

static const struct {
    const char *schema, *reason;
} constraints[] = {
    {PLACE ITEM("name CHECK (name <> 'bad'), size"), "CHECK constraint failed: name <> 'bad'"},
    {PLACE ITEM("name UNIQUE, size") "INSERT INTO item (uuid, name) VALUES ('w', 'bad')",
     "UNIQUE constraint failed: item.name"},
    {PLACE ITEM("name, size NOT NULL"), "NOT NULL constraint failed: item.size"},
    {PLACE "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT, size "
           "INTEGER, local INTEGER CHECK (name <> 'bad')) STRICT",
     "CHECK constraint failed: name <> 'bad'"},
    {PLACE ITEM("name, size") "CREATE TRIGGER t BEFORE INSERT ON item WHEN NEW.name = 'bad' BEGIN "
                              "SELECT RAISE(ABORT, 'not that'); END",
     "not that"},
    {PLACE ITEM("name, size") "CREATE TRIGGER t BEFORE INSERT ON item WHEN NEW.name = 'bad' BEGIN "
                              "SELECT RAISE(FAIL, 'nor that'); END",
     "nor that"},
    {PLACE ITEM("name, size") "CREATE TRIGGER t BEFORE INSERT ON item WHEN NEW.name = 'bad' BEGIN "
                              "SELECT RAISE(IGNORE); END",
     "ignored by the table or a trigger"},
};

START_TEST(the_page_goes_on_over_it)
{
    tide_metrics metrics = {.size = sizeof metrics};
    char text[256];

    open_both(constraints[_i].schema);
    test_sql(a.db, "INSERT INTO item (uuid, name, size) VALUES ('x', 'X', 1), ('y', 'bad', NULL), "
                   "('z', 'Z', 3)");
    test_sync(&a, &b);
    test_text_is(b.db, "x X 1|z Z 3",
                 "SELECT uuid, name, size FROM item WHERE uuid <> 'w' ORDER BY uuid");
    ck_assert_int_eq(test_mark(&b, &a, "item"), test_newest(a.db, "item"));
    snprintf(text, sizeof text, "item y 1 TIDE_ECONSTRAINT 3 %s", constraints[_i].reason);
    parked_are(&b, text); /* tried as it came, after its page, and at the end of the round */
    ck_assert_uint_eq(parked_count(&b, "item"), 1);
    ck_assert_uint_eq(parked_count(&b, "place"), 0);
    ck_assert_uint_eq(b.parked, 1);
    ck_assert_str_eq(b.reason, constraints[_i].reason);
    ck_assert_int_eq(tide_sync_metrics(b.sync, &metrics), TIDE_OK);
    ck_assert_uint_eq(metrics.changes_parked, 1);
    ck_assert_uint_eq(metrics.changes_applied, 2);
    test_text_is(b.db, "", "SELECT key FROM tidemark_item_rows WHERE key = 'y'");
    test_text_is(b.db, "", "SELECT key FROM tidemark_item_gone");
}
END_TEST

/* Where a trigger of somebody else does half before it refuses, SQLite lets that half stay. */
static const char *const halves[] = {"RAISE(FAIL, 'no')", "RAISE(IGNORE)", "RAISE(ABORT, 'no')"};

START_TEST(it_leaves_nothing)
{
    open_both(GATE "CREATE TABLE log (line)");
    test_sql(b.db,
             "DROP TRIGGER gate_i; CREATE TRIGGER half BEFORE INSERT ON item BEGIN INSERT INTO log "
             "VALUES (NEW.uuid); SELECT %s WHERE NEW.name = 'bad'; END",
             halves[_i]);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('w', 'W'), ('x', 'bad'), ('y', 'bad'), "
                   "('z', 'Z')");
    test_sync(&a, &b);
    items_are(&b, "w W|z Z");
    test_text_is(b.db, "w z", "SELECT group_concat(line, ' ') FROM log");
    ck_assert_uint_eq(parked_count(&b, "item"), 2);
    ck_assert_uint_eq(b.parked, 2); /* told once, though the page was begun twice */
    ck_assert_uint_eq(b.changed, 2);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('q', 'Q'), ('r', 'bad')");
    test_sync(&a, &b);
    test_text_is(b.db, "w z q", "SELECT group_concat(line, ' ') FROM log");
    ck_assert_uint_eq(parked_count(&b, "item"), 3);
}
END_TEST

START_TEST(a_deletion_that_is_refused_leaves_the_row)
{
    open_both(GATE);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X')");
    test_sync(&a, &b);
    test_sql(b.db, "CREATE TRIGGER stay BEFORE DELETE ON item BEGIN SELECT RAISE(ABORT, 'stay'); "
                   "END");
    test_sql(a.db, "DELETE FROM item");
    test_sync(&a, &b);
    items_are(&b, "x X");
    test_text_is(b.db, "", "SELECT key FROM tidemark_item_gone");
    test_text_is(b.db, "x 0", "SELECT key, version - %lld FROM tidemark_item_rows",
                 (long long)TEST_START);
    parked_are(&b, "item x 1 gone 2 stay");
    test_sql(b.db, "DROP TRIGGER stay");
    test_sync(&a, &b);
    items_are(&b, "");
    test_text_is(b.db, "x 1", "SELECT key, version - %lld FROM tidemark_item_gone",
                 (long long)TEST_START);
    parked_are(&b, "");
}
END_TEST

START_TEST(a_call_for_one_row_answers_and_parks_nothing)
{
    tide_value values[2] = {test_string("bad"), {.type = TIDE_NULL}};
    tide_change change = {.size = sizeof change,
                          .resource = "item",
                          .version = TEST_START,
                          .key = test_string("x"),
                          .values = values,
                          .value_count = 2};

    open_both(GATE);
    uuid_copy(change.version_device, a.device);
    ck_assert_int_eq(tide_sync_apply_state_change(b.sync, a.device, &change), TIDE_ECONSTRAINT);
    parked_are(&b, "");
    ck_assert_uint_eq(b.parked, 0);
}
END_TEST

/* What fails at commit, or takes the transaction with it, is no single row's fault. */
static const char *const final[] = {
    PLACE ITEM("name REFERENCES place(uuid) DEFERRABLE INITIALLY DEFERRED, size"),
    GATE "DROP TRIGGER gate_i; CREATE TRIGGER t BEFORE INSERT ON item BEGIN "
         "SELECT RAISE(ROLLBACK, 'all'); END",
};

START_TEST(what_takes_the_transaction_ends_the_session)
{
    test_bytes message;
    int rc = TIDE_OK;

    open_both(final[_i]);
    test_sql(b.db, "PRAGMA foreign_keys = ON");
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'nowhere')");
    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
    for (int i = 0; i < 20 && rc == TIDE_OK; i++) {
        if (test_take(&b, &message))
            ck_assert_int_eq(test_hand(&a, message), TIDE_OK);
        if (test_take(&a, &message))
            rc = test_hand(&b, message);
    }
    ck_assert_int_eq(rc, TIDE_ECONSTRAINT);
    ck_assert_int_eq(test_mark(&b, &a, "item"), TIDE_TIME_NONE);
    items_are(&b, "");
    parked_are(&b, "");
}
END_TEST

/* ---- which row is parked ------------------------------------------------------------------------ */

START_TEST(of_one_key_the_largest_version_is_parked)
{
    open_both(GATE);
    test_sql(a.db, "INSERT INTO item (uuid, name, size) VALUES ('x', 'bad', 1)");
    test_sync(&a, &b);
    parked_are(&b, "item x 0 TIDE_ECONSTRAINT 2 shut");
    test_sql(a.db, "UPDATE item SET size = 2");
    test_sync(&a, &b);
    parked_are(&b, "item x 1 TIDE_ECONSTRAINT 2 shut");
    ck_assert_uint_eq(b.parked, 2);
    test_sql(b.db, "UPDATE gate SET shut = 0");
    ck_assert_int_eq(tide_sync_retry_parked(b.sync, NULL), TIDE_OK);
    test_text_is(b.db, "x bad 2", "SELECT uuid, name, size FROM item");
}
END_TEST

/* Versions 1 (good), 2 (bad) and 3 (good) of one key, each by itself. */
START_TEST(a_newer_version_takes_it_out_and_an_older_does_not)
{
    tide_value values[2] = {test_string("old"), {.type = TIDE_NULL}};
    tide_change change = {.size = sizeof change,
                          .resource = "item",
                          .version = TEST_START - 1,
                          .key = test_string("x"),
                          .values = values,
                          .value_count = 2};

    open_both(GATE);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'bad')");
    test_sync(&a, &b);
    uuid_copy(change.version_device, a.device);
    ck_assert_int_eq(tide_sync_apply_state_change(b.sync, a.device, &change), TIDE_OK);
    items_are(&b, "x old");
    ck_assert_uint_eq(parked_count(&b, "item"), 1);
    test_sql(a.db, "UPDATE item SET name = 'good'");
    test_sync(&a, &b);
    items_are(&b, "x good");
    parked_are(&b, "");
}
END_TEST

START_TEST(one_that_was_overtaken_goes)
{
    open_both(GATE);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'bad')");
    test_sync(&a, &b);
    test_sql(b.db, "INSERT INTO item (uuid, name) VALUES ('x', 'mine')"); /* a newer version */
    test_sync(&a, &b);
    parked_are(&b, "");
    items_are(&b, "x mine");
    items_are(&a, "x mine");
}
END_TEST

/* ---- trying again ------------------------------------------------------------------------------- */

/* It is stamped as if it arrived now, with its own version, and does not go back. */
START_TEST(one_that_fits_becomes_part_of_the_feed)
{
    tide_time before;

    open_both(PLACE ITEM("name UNIQUE, size"));
    test_sql(b.db, "INSERT INTO item (uuid, name) VALUES ('w', 'X')");
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X')");
    test_sync(&a, &b);
    ck_assert_uint_eq(parked_count(&b, "item"), 1);
    test_now_ms += TEST_STEP_MS;
    test_sql(b.db, "UPDATE item SET name = 'W'");
    before = test_newest(b.db, "item");
    a.changed = 0;
    test_sync(&a, &b);
    test_same_rows(&a, &b);
    items_are(&b, "w W|x X");
    ck_assert_uint_eq(b.fitted, 1);
    test_text_is(b.db, "x 1 0",
                 "SELECT key, stamp - %lld, version - %lld FROM tidemark_item_rows WHERE key = 'x'",
                 (long long)before, (long long)TEST_START);
    ck_assert_uint_eq(a.changed, 1); /* w alone */
    ck_assert_int_eq(test_number(b.db, "SELECT life FROM tidemark_devices d JOIN "
                                       "tidemark_item_rows r ON r.source = d.id WHERE key = 'x'"),
                     test_number(a.db, "SELECT life FROM tidemark_state"));
}
END_TEST

/* With foreign keys a parent's deletion arrives before its child's: one sync brings both. */
START_TEST(a_parent_goes_after_its_child)
{
    open_both(PLACE ITEM("name REFERENCES place(uuid), size"));
    test_sql(b.db, "PRAGMA foreign_keys = ON");
    test_sql(a.db, "INSERT INTO place (uuid) VALUES ('p'); "
                   "INSERT INTO item (uuid, name) VALUES ('x', 'p')");
    test_sync(&a, &b);
    items_are(&b, "x p");
    test_sql(a.db, "DELETE FROM item; DELETE FROM place");
    test_sync(&a, &b);
    test_same_rows(&a, &b);
    ck_assert_uint_eq(b.parked, 1);
    parked_are(&b, "");
}
END_TEST

/* It must not make the commit of a page fail, for ever and for all rows. */
START_TEST(one_that_would_fail_at_commit_stays_parked)
{
    open_both(PLACE ITEM("name REFERENCES place(uuid) DEFERRABLE INITIALLY DEFERRED, size UNIQUE"));
    test_sql(b.db, "PRAGMA foreign_keys = ON; INSERT INTO item (uuid, size) VALUES ('w', 1)");
    test_sql(a.db, "INSERT INTO item (uuid, name, size) VALUES ('x', 'nowhere', 1)");
    test_sync(&a, &b);
    test_sql(b.db, "UPDATE item SET size = 2");
    test_sync(&a, &b);
    items_are(&b, "w -");
    parked_are(&b, "item x 0 TIDE_ECONSTRAINT 3 FOREIGN KEY constraint, checked at commit");
    test_sql(a.db, "INSERT INTO place (uuid) VALUES ('nowhere')");
    test_sync(&a, &b);
    items_are(&b, "w -|x nowhere");
}
END_TEST

START_TEST(values_of_all_types_are_kept)
{
    open_both(GATE);
    test_sql(b.db, "DROP TRIGGER gate_i; CREATE TRIGGER gate_i BEFORE INSERT ON item WHEN "
                   "(SELECT shut FROM gate) BEGIN SELECT RAISE(ABORT, 'shut'); END");
    test_sql(a.db, "INSERT INTO item (uuid, name, size) VALUES ('1', NULL, NULL), ('2', '', x''), "
                   "('3', 'text', 9223372036854775807), ('4', 'minus', -9223372036854775808), "
                   "('5', 'real', 0.1), ('6', 'blob', x'00ff'), ('', 'no key', 1)");
    test_sync(&a, &b);
    ck_assert_uint_eq(parked_count(&b, "item"), 7);
    test_sql(b.db, "UPDATE gate SET shut = 0");
    test_sync(&a, &b);
    test_same_rows(&a, &b);
    parked_are(&b, "");
}
END_TEST

START_TEST(it_outlives_the_engine)
{
    open_both(GATE);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'bad')");
    test_sync(&a, &b);
    test_side_close(&b);
    test_side_open_as(&b, 2, "", models, 2);
    parked_are(&b, "item x 0 TIDE_ECONSTRAINT 2 shut");
    test_sql(b.db, "UPDATE gate SET shut = 0");
    ck_assert_int_eq(tide_sync_retry_parked(b.sync, NULL), TIDE_OK);
    items_are(&b, "x bad");
}
END_TEST

START_TEST(the_application_may_ask_for_a_try)
{
    size_t written = 77;

    open_both(GATE);
    ck_assert_int_eq(tide_sync_retry_parked(b.sync, &written), TIDE_OK);
    ck_assert_uint_eq(written, 0);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'bad'), ('y', 'bad')");
    test_sync(&a, &b);
    ck_assert_int_eq(tide_sync_retry_parked(b.sync, &written), TIDE_OK);
    ck_assert_uint_eq(written, 0);
    parked_are(&b, "item x 0 TIDE_ECONSTRAINT 3 shut|item y 1 TIDE_ECONSTRAINT 3 shut");
    test_sql(b.db, "UPDATE gate SET shut = 0");
    ck_assert_int_eq(tide_sync_retry_parked(b.sync, &written), TIDE_OK);
    ck_assert_uint_eq(written, 2);
    items_are(&b, "x bad|y bad");
    ck_assert_int_eq(tide_sync_retry_parked(NULL, NULL), TIDE_EINVAL);
}
END_TEST

/* One fits only after the one that is tried behind it: the pass goes round. */
START_TEST(a_pass_goes_on_while_rows_fit)
{
    size_t written = 0;

    open_both(PLACE ITEM("name REFERENCES item(uuid), size"));
    test_sql(b.db, "PRAGMA foreign_keys = ON");
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('w', 'x'), ('x', 'y'), ('y', 'z')");
    test_sync(&a, &b);
    ck_assert_uint_eq(parked_count(&b, "item"), 3);
    test_sql(b.db, "INSERT INTO item (uuid) VALUES ('z')");
    ck_assert_int_eq(tide_sync_retry_parked(b.sync, &written), TIDE_OK);
    ck_assert_uint_eq(written, 3);
    items_are(&b, "w x|x y|y z|z -");
}
END_TEST

/* A page of b's session with a; `name` of one item. */
static void give_one(uint32_t number, tide_time after, tide_time upto)
{
    tide_value values[2] = {test_string("good"), {.type = TIDE_NULL}};
    tide_change row = {.size = sizeof row,
                       .resource = "item",
                       .version = upto,
                       .key = test_string("good"),
                       .values = values,
                       .value_count = 2};
    test_range range = {"item", after, upto, &row, 1};
    test_head head = test_head_of(&a, &b, number);

    uuid_copy(row.version_device, a.device);
    ck_assert_int_eq(test_hand(&b, test_page(&head, &range, 1, false)), TIDE_OK);
}

/* So many with a page that writes rows, those first that were not tried for longest. */
START_TEST(a_page_tries_some_in_turn)
{
    enum { ROWS = TIDE__PARKED_PER_PAGE + 36 };
    tide_session_options options;
    test_bytes message;
    tide_time mark;

    open_both(GATE);
    test_sql(a.db,
             "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
             "INSERT INTO item (uuid, name) SELECT i, 'bad' FROM n",
             100 + ROWS - 1);
    test_sync(&a, &b);
    ck_assert_uint_eq(parked_count(&b, "item"), ROWS);
    mark = test_mark(&b, &a, "item");
    tide_session_options_init(&options);
    options.peer = a.device;
    test_session_start(&b, &options);
    message = test_take_kind(&b, TIDE__HELLO);
    test_drop(&message);
    test_session_start(&a, NULL);
    ck_assert_int_eq(test_hand(&b, test_take_kind(&a, TIDE__HELLO)), TIDE_OK);
    test_sql(b.db, "UPDATE gate SET shut = 0");
    give_one(0, mark, mark + 1);
    ck_assert_uint_eq(parked_count(&b, "item"), 36);
    ck_assert_uint_eq(b.fitted, TIDE__PARKED_PER_PAGE);
    test_text_is(b.db, "164 199", "SELECT min(key), max(key) FROM tidemark_parked");
}
END_TEST

static int seven(void *ctx, const tide_parked *row)
{
    (void)row;
    ++*(int *)ctx;
    return 7;
}

START_TEST(the_list_stops_when_told)
{
    int calls = 0;

    open_both(GATE);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'bad'), ('y', 'bad')");
    test_sync(&a, &b);
    ck_assert_int_eq(tide_sync_parked(b.sync, seven, &calls), 7);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(tide_sync_parked(NULL, append_row, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_parked(b.sync, NULL, NULL), TIDE_EINVAL);
}
END_TEST

/* The values cannot be what they were: such a row is kept and shown, and is in nobody's way. */
START_TEST(a_damaged_one_stays)
{
    open_both(GATE);
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'bad'), ('y', 'bad'), ('z', 'bad')");
    test_sync(&a, &b);
    test_sql(b.db, "UPDATE gate SET shut = 0;"
                   "UPDATE tidemark_parked SET data = x'ddffffffff' WHERE key = 'x';"
                   "UPDATE tidemark_parked SET data = x'c0' WHERE key = 'y'");
    test_sync(&a, &b);
    items_are(&b, "z bad");
    parked_are(&b, "item x 0 TIDE_ECORRUPT 4 its values are damaged|"
                   "item y 1 TIDE_EMODEL 4 the model has other columns than it had");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parked");
    TCase *test = test_case(suite, "refused");

    tcase_add_checked_fixture(test, NULL, tear_down);
    tcase_add_loop_test(test, the_page_goes_on_over_it, 0, sizeof constraints / sizeof *constraints);
    tcase_add_loop_test(test, it_leaves_nothing, 0, sizeof halves / sizeof *halves);
    tcase_add_test(test, a_deletion_that_is_refused_leaves_the_row);
    tcase_add_test(test, a_call_for_one_row_answers_and_parks_nothing);
    tcase_add_loop_test(test, what_takes_the_transaction_ends_the_session, 0,
                        sizeof final / sizeof *final);

    test = test_case(suite, "which");
    tcase_add_checked_fixture(test, NULL, tear_down);
    tcase_add_test(test, of_one_key_the_largest_version_is_parked);
    tcase_add_test(test, a_newer_version_takes_it_out_and_an_older_does_not);
    tcase_add_test(test, one_that_was_overtaken_goes);

    test = test_case(suite, "again");
    tcase_add_checked_fixture(test, NULL, tear_down);
    tcase_add_test(test, one_that_fits_becomes_part_of_the_feed);
    tcase_add_test(test, a_parent_goes_after_its_child);
    tcase_add_test(test, one_that_would_fail_at_commit_stays_parked);
    tcase_add_test(test, values_of_all_types_are_kept);
    tcase_add_test(test, it_outlives_the_engine);
    tcase_add_test(test, the_application_may_ask_for_a_try);
    tcase_add_test(test, a_pass_goes_on_while_rows_fit);
    tcase_add_test(test, a_page_tries_some_in_turn);
    tcase_add_test(test, the_list_stops_when_told);
    tcase_add_test(test, a_damaged_one_stays);
    return test_run(suite);
}
