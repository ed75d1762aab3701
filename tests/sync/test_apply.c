/* Applying: the larger (version, device) wins whatever comes first, twice changes nothing, and what
 * was taken over becomes part of our own feed without coming back to where it came from. */
#include "sync/apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/support_sync.h"

static test_side a, b, c;
static uuid_t peer, other;

static void set_up(void)
{
    test_clock_install();
    test_side_open(&a, 1);
    test_uuid(peer, 8);
    test_uuid(other, 9);
}

static void tear_down(void)
{
    test_side_close(&a);
}

static void set_up_three(void)
{
    set_up();
    test_side_open(&b, 2);
    test_side_open(&c, 3);
}

static void tear_down_three(void)
{
    tear_down();
    test_side_close(&b);
    test_side_close(&c);
}

/* ---- changes by hand ---------------------------------------------------------------------------- */

static tide_value values[2];

/* A change of `key` at TEST_START + `at` by `device`; `name` NULL: the row is gone. */
static tide_change change_of(const char *key, const char *name, int64_t at, const uuid_t device)
{
    tide_change change = {.size = sizeof change,
                          .deleted = name == NULL,
                          .resource = "item",
                          .version = TEST_START + at,
                          .key = test_string(key),
                          .values = values,
                          .value_count = name == NULL ? 0 : 2};

    values[0] = name == NULL ? (tide_value){.type = TIDE_NULL} : test_string(name);
    values[1] = test_integer(at);
    uuid_copy(change.version_device, device);
    return change;
}

static int apply(test_side *side, const char *key, const char *name, int64_t at, const uuid_t device)
{
    tide_change change = change_of(key, name, at, device);

    return tide_sync_apply_state_change(side->sync, peer, &change);
}

static void items_are(test_side *side, const char *expected)
{
    test_text_is(side->db, expected, "SELECT uuid, name, size FROM item ORDER BY uuid");
}

/* The versions as they would be served: "live|gone KEY VERSION DEVICE" by key. */
static void versions_are(test_side *side, const char *expected)
{
    test_text_is(
        side->db, expected,
        "SELECT kind, key, ifnull(version, stamp) - %lld, (SELECT uuid FROM tidemark_devices "
        "d WHERE d.id = device) = (SELECT device FROM tidemark_state) FROM "
        "(SELECT 'live' kind, * FROM (SELECT key, stamp, version, device FROM "
        "tidemark_item_rows) UNION ALL SELECT 'gone', key, stamp, version, device FROM "
        "tidemark_item_gone) ORDER BY key, kind",
        (long long)TEST_START);
}

/* ---- answers ------------------------------------------------------------------------------------ */

START_TEST(a_newer_version_is_written_and_an_older_is_stale)
{
    ck_assert_int_eq(apply(&a, "x", "five", 5, peer), TIDE_OK);
    items_are(&a, "x five 5");
    ck_assert_int_eq(apply(&a, "x", "four", 4, peer), TIDE_STALE);
    ck_assert_int_eq(apply(&a, "x", "five again", 5, peer), TIDE_STALE);
    items_are(&a, "x five 5");
    ck_assert_int_eq(apply(&a, "x", "six", 6, peer), TIDE_OK);
    items_are(&a, "x six 6");
    ck_assert_int_eq(apply(&a, "x", NULL, 5, peer), TIDE_STALE);
    ck_assert_int_eq(apply(&a, "x", NULL, 6, peer),
                     TIDE_OK); /* the deletion of this very version */
    items_are(&a, "");
    ck_assert_int_eq(apply(&a, "x", "six", 6, peer), TIDE_STALE);
    ck_assert_int_eq(apply(&a, "x", NULL, 6, peer), TIDE_STALE);
    ck_assert_int_eq(apply(&a, "x", NULL, 7, peer), TIDE_OK);
    ck_assert_int_eq(apply(&a, "x", "late", 7, peer), TIDE_STALE);
    ck_assert_int_eq(apply(&a, "x", "late", 6, peer), TIDE_STALE);
    ck_assert_int_eq(apply(&a, "x", NULL, 7, peer), TIDE_STALE);
    ck_assert_int_eq(apply(&a, "x", "again", 8, peer), TIDE_OK);
    items_are(&a, "x again 8");
    versions_are(&a, "live x 8 0");
}
END_TEST

START_TEST(of_equal_versions_the_larger_device_wins)
{
    const unsigned char *small = uuid_compare(peer, other) < 0 ? peer : other;
    const unsigned char *large = small == peer ? other : peer;

    ck_assert_int_eq(apply(&a, "x", "small", 5, small), TIDE_OK);
    ck_assert_int_eq(apply(&a, "x", "large", 5, large), TIDE_OK);
    items_are(&a, "x large 5");
    ck_assert_int_eq(apply(&a, "x", "small", 5, small), TIDE_STALE);
    items_are(&a, "x large 5");
    ck_assert_int_eq(apply(&a, "x", NULL, 5, small), TIDE_STALE);
    ck_assert_int_eq(apply(&a, "y", NULL, 5, small), TIDE_OK);
    ck_assert_int_eq(apply(&a, "y", "large", 5, large), TIDE_OK);
    items_are(&a, "x large 5|y large 5");
}
END_TEST

/* Our own row has a version too: the stamp it was given, and our device. */
START_TEST(our_own_rows_take_part)
{
    int expected = uuid_compare(peer, a.device) > 0 ? TIDE_OK : TIDE_STALE;

    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'ours'), ('y', 'ours')");
    ck_assert_int_eq(apply(&a, "x", "theirs", -1, peer), TIDE_STALE);
    ck_assert_int_eq(apply(&a, "y", "theirs", 1, peer), expected);
    ck_assert_int_eq(apply(&a, "x", "theirs", 0, a.device), TIDE_STALE);
    ck_assert_int_eq(apply(&a, "x", "theirs", 1, peer), TIDE_OK);
    ck_assert_int_eq(apply(&a, "x", NULL, 2, peer), TIDE_OK);
    test_sql(a.db, "DELETE FROM item WHERE uuid = 'y'");
    ck_assert_int_eq(apply(&a, "y", "theirs", 2, peer), TIDE_STALE);
}
END_TEST

START_TEST(a_tombstone_is_kept_for_a_key_that_was_never_here)
{
    ck_assert_int_eq(apply(&a, "x", NULL, 5, peer), TIDE_OK);
    versions_are(&a, "gone x 5 0");
    ck_assert_int_eq(apply(&a, "x", "older", 4, peer), TIDE_STALE);
    items_are(&a, "");
}
END_TEST

START_TEST(wrong_changes_are_refused_and_change_nothing)
{
    tide_change good = change_of("x", "X", 1, peer);
    tide_change bad[10];
    tide_value wrong[2] = {test_string("X"), {.type = 9}};
    const int codes[10] = {TIDE_EINVAL, TIDE_EMODEL, TIDE_EINVAL, TIDE_EPROTO, TIDE_EPROTO,
                           TIDE_EPROTO, TIDE_EPROTO, TIDE_EPROTO, TIDE_EPROTO, TIDE_ECLOCK};
    char *before = test_text(a.db, "SELECT * FROM tidemark_state");

    for (size_t i = 0; i < 10; i++)
        bad[i] = good;
    bad[0].size--;
    bad[1].resource = "nothing";
    bad[2].resource = NULL;
    bad[3].value_count = 1;
    bad[4].deleted = 1; /* with values */
    bad[5].key.type = TIDE_NULL;
    bad[6].key = (tide_value){.type = TIDE_BYTES, .bytes = 3, .data = NULL};
    bad[7].values = wrong;
    bad[8].version = TIDE_TIME_NONE;
    bad[9].version = TEST_START + INT64_C(300000000001);
    for (size_t i = 0; i < 10; i++)
        ck_assert_msg(tide_sync_apply_state_change(a.sync, peer, &bad[i]) == codes[i], "case %zu",
                      i);
    ck_assert_int_eq(tide_sync_apply_state_change(NULL, peer, &good), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_apply_state_change(a.sync, NULL, &good), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_apply_state_change(a.sync, peer, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_apply_state_change(a.sync, a.device, &good), TIDE_EINVAL);
    items_are(&a, "");
    versions_are(&a, "");
    test_text_is(a.db, before, "SELECT * FROM tidemark_state");
    free(before);
    good.version = TEST_START + INT64_C(300000000000);
    ck_assert_int_eq(tide_sync_apply_state_change(a.sync, peer, &good), TIDE_OK);
}
END_TEST

START_TEST(many_changes_are_one_transaction)
{
    tide_value x[2] = {test_string("X"), test_integer(1)};
    tide_value y[2] = {test_string("Y"), test_integer(2)};
    tide_change changes[3] = {change_of("x", "", 1, peer), change_of("y", "", 2, peer),
                              change_of("x", NULL, 3, peer)};
    size_t written = 77;

    changes[0].values = x;
    changes[1].values = y;
    ck_assert_int_eq(
        tide_sync_apply_state_changes(a.sync, peer, changes, 2, TIDE_DEFERRED, &written), TIDE_OK);
    ck_assert_uint_eq(written, 2);
    items_are(&a, "x X 1|y Y 2");
    ck_assert_int_eq(tide_sync_apply_state_changes(a.sync, peer, changes, 2, TIDE_DURABLE, &written),
                     TIDE_STALE);
    ck_assert_uint_eq(written, 0);
    ck_assert_int_eq(tide_sync_apply_state_changes(a.sync, peer, changes, 3, 0, NULL), TIDE_OK);
    items_are(&a, "y Y 2");

    changes[0].version = TEST_START + 10;
    changes[2].resource = "nothing";
    written = 77;
    ck_assert_int_eq(tide_sync_apply_state_changes(a.sync, peer, changes, 3, 0, &written),
                     TIDE_EMODEL);
    changes[2].resource = "item";
    test_sql(a.db, "CREATE TRIGGER no BEFORE DELETE ON item BEGIN SELECT RAISE(ABORT, 'no'); END");
    changes[2] = change_of("y", NULL, 11, peer);
    ck_assert_int_eq(tide_sync_apply_state_changes(a.sync, peer, changes, 3, 0, &written),
                     TIDE_ECONSTRAINT);
    ck_assert_uint_eq(written, 77);
    items_are(&a, "y Y 2"); /* all or none */
    ck_assert_int_eq(tide_sync_apply_state_changes(a.sync, peer, changes, 0, 0, NULL), TIDE_EINVAL);
    ck_assert_int_eq(
        tide_sync_apply_state_changes(a.sync, peer, changes, TIDE_CHANGES_MAX + 1, 0, NULL),
        TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_apply_state_changes(a.sync, peer, changes, 1, 3, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_apply_state_changes(a.sync, peer, NULL, 1, 0, NULL), TIDE_EINVAL);
}
END_TEST

START_TEST(it_answers_busy_inside_a_transaction)
{
    test_sql(a.db, "BEGIN");
    ck_assert_int_eq(apply(&a, "x", "X", 1, peer), TIDE_EBUSY);
    test_sql(a.db, "COMMIT");
    ck_assert_int_eq(apply(&a, "x", "X", 1, peer), TIDE_OK);
}
END_TEST

START_TEST(a_constraint_changes_nothing)
{
    char text[256];

    test_sql(a.db,
             "CREATE UNIQUE INDEX u ON item(name); INSERT INTO item (uuid, name) VALUES ('w', 'X')");
    ck_assert_int_eq(apply(&a, "x", "X", 1, peer), TIDE_ECONSTRAINT);
    tide_sync_detail(a.sync, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "item \"x\""));
    items_are(&a, "w X -");
    versions_are(&a, "live w 0 1");
    test_text_is(a.db, "0 0", "SELECT floor, applying FROM tidemark_state");
    test_text_is(a.db, "1", "SELECT count(*) FROM tidemark_devices");
    ck_assert_int_eq(apply(&a, "x", "Y", 1, peer), TIDE_OK); /* and the engine goes on */
    items_are(&a, "w X -|x Y 1");
}
END_TEST

START_TEST(an_empty_text_is_not_null)
{
    tide_change change = change_of("", "", 1, peer);
    static const uint32_t types[] = {TIDE_STRING, TIDE_BYTES};

    ck_assert_int_eq(tide_sync_apply_state_change(a.sync, peer, &change), TIDE_OK);
    test_text_is(a.db, "text text", "SELECT typeof(uuid), typeof(name) FROM item");
    for (size_t i = 0; i < 2; i++) { /* no data is needed for no bytes */
        change = change_of("x", "", 2 + (int64_t)i, peer);
        values[0] = (tide_value){.type = types[i], .bytes = 0, .data = NULL};
        ck_assert_int_eq(tide_sync_apply_state_change(a.sync, peer, &change), TIDE_OK);
        ck_assert_int_eq(test_number(a.db, "SELECT name IS NULL FROM item WHERE uuid = 'x'"), 0);
    }
    change = change_of("", NULL, 5, peer);
    change.key.data = NULL;
    ck_assert_int_eq(tide_sync_apply_state_change(a.sync, peer, &change), TIDE_OK);
    test_text_is(a.db, "x", "SELECT uuid FROM item");
}
END_TEST

/* A trigger or a conflict clause of the table's own that swallows the row: nothing may be recorded
 * for it, least of all under the number of another row. */
static const char *const swallowing[] = {
    "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT, size, local);"
    "CREATE TRIGGER t BEFORE INSERT ON item WHEN NEW.name = 'bad' BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, "
    "name TEXT CHECK (name <> 'never') UNIQUE ON CONFLICT IGNORE, size, local);"
    "INSERT INTO item (uuid, name) VALUES ('has it', 'bad')",
};

START_TEST(a_row_that_the_table_swallows_is_a_constraint)
{
    tide_model model = test_item;
    const tide_model *const models[] = {&model};

    model.depends_on_count = 0;
    test_side_close(&a);
    remove("1.db");
    test_side_open_as(&a, 1, swallowing[_i], models, 1);
    ck_assert_int_eq(apply(&a, "w", "good", 1, peer), TIDE_OK);
    ck_assert_int_eq(apply(&a, "x", "bad", 2, peer), TIDE_ECONSTRAINT);
    test_text_is(a.db, "",
                 "SELECT row, key FROM tidemark_item_rows EXCEPT SELECT id, uuid FROM item");
    test_text_is(a.db, "1",
                 "SELECT ifnull(version, stamp) - %lld FROM tidemark_item_rows WHERE key = 'w'",
                 (long long)TEST_START);
}
END_TEST

/* ---- stamps and the floor ----------------------------------------------------------------------- */

START_TEST(applied_rows_get_stamps_above_all_before)
{
    tide_time before;

    test_sql(a.db, "INSERT INTO item (uuid) VALUES ('ours')");
    before = test_newest(a.db, "item");
    ck_assert_int_eq(apply(&a, "x", "X", -1000, peer), TIDE_OK); /* an old version */
    ck_assert_int_eq(test_number(a.db, "SELECT stamp FROM tidemark_item_rows WHERE key = 'x'"),
                     before + 1);
    ck_assert_int_eq(apply(&a, "y", NULL, -999, peer), TIDE_OK);
    ck_assert_int_eq(test_number(a.db, "SELECT stamp FROM tidemark_item_gone WHERE key = 'y'"),
                     before + 2);
    versions_are(&a, "live ours 0 1|live x -1000 0|gone y -999 0");
    test_now_ms -= TEST_STEP_MS; /* SQLite's clock, not the engine's */
    a.ahead = TEST_STEP;
    ck_assert_int_eq(apply(&a, "z", "Z", -998, peer), TIDE_OK);
    ck_assert_int_eq(test_newest(a.db, "item"), before + 3);
}
END_TEST

/* Whoever changes a row here after seeing the peer's version makes a larger version, whatever our
 * clock. */
START_TEST(the_floor_rises_to_each_version_seen)
{
    int64_t ahead = INT64_C(250000000000);

    ck_assert_int_eq(apply(&a, "x", "theirs", ahead, peer), TIDE_OK);
    ck_assert_int_eq(test_number(a.db, "SELECT floor FROM tidemark_state"), TEST_START + ahead);
    test_sql(a.db, "UPDATE item SET name = 'ours'");
    versions_are(&a, "live x 250000000001 1");
    ck_assert_int_eq(apply(&a, "x", "theirs", ahead, peer), TIDE_STALE);
    items_are(&a, "x ours 250000000000");
    ck_assert_int_eq(apply(&a, "x", "older", 5, peer), TIDE_STALE);
    ck_assert_int_eq(test_number(a.db, "SELECT floor FROM tidemark_state"), TEST_START + ahead);
    test_sql(a.db, "INSERT INTO place (uuid) VALUES ('p')"); /* every resource is above it */
    ck_assert_int_eq(test_newest(a.db, "place"), TEST_START + ahead + 1);
    test_sql(a.db, "DELETE FROM item");
    ck_assert_int_eq(apply(&a, "x", "theirs", ahead + 1, peer), TIDE_STALE);
}
END_TEST

START_TEST(the_floor_survives_a_restart)
{
    ck_assert_int_eq(apply(&a, "x", "theirs", INT64_C(250000000000), peer), TIDE_OK);
    test_side_close(&a);
    test_now_ms -= 100 * TEST_STEP_MS;
    test_side_open(&a, 1);
    test_sql(a.db, "UPDATE item SET name = 'ours'");
    versions_are(&a, "live x 250000000001 1");
}
END_TEST

START_TEST(a_foreign_change_of_a_taken_over_row_is_ours)
{
    sqlite3 *shell = test_connect(a.path);

    ck_assert_int_eq(apply(&a, "x", "theirs", 5, peer), TIDE_OK);
    test_text_is(shell, "1", "SELECT source FROM tidemark_item_rows");
    test_sql(shell, "UPDATE item SET name = 'ours'");
    test_text_is(shell, "- 0 0", "SELECT version, device, source FROM tidemark_item_rows");
    sqlite3_close(shell);
}
END_TEST

/* ---- every order of arrival --------------------------------------------------------------------- */

typedef struct step {
    const char *key, *name;
    int64_t at;
    int device; /* 0: peer, 1: other */
} step;

#define STEPS 7

static const step steps[STEPS] = {
    {"x", "one", 1, 0},  {"x", NULL, 2, 1},    {"x", "three", 3, 0}, {"x", NULL, 4, 0},
    {"x", "five", 5, 1}, {"y", "tie a", 6, 0}, {"y", "tie b", 6, 1},
};
static const step ending_in_delete[STEPS] = {
    {"x", "one", 1, 0}, {"x", "two", 2, 1}, {"x", NULL, 3, 0},   {"x", "four", 4, 1},
    {"x", NULL, 5, 1},  {"x", NULL, 5, 0},  {"y", "only", 6, 1},
};

static void apply_step(const step *s)
{
    int rc = apply(&a, s->key, s->name, s->at, s->device == 0 ? peer : other);

    test_require(rc == TIDE_OK || rc == TIDE_STALE);
}

static size_t permutations;

/* Heap's algorithm; each order on empty tables, then everything once more. */
static void permute(const step *set, size_t order[STEPS], size_t n, const char *rows,
                    const char *versions)
{
    if (n > 1) {
        for (size_t i = 0; i < n; i++) {
            size_t swap = n % 2 == 0 ? i : 0;
            size_t kept;
            permute(set, order, n - 1, rows, versions);
            kept = order[swap];
            order[swap] = order[n - 1];
            order[n - 1] = kept;
        }
        return;
    }
    permutations++;
    test_sql(a.db, "UPDATE tidemark_state SET applying = 1; DELETE FROM item; DELETE FROM "
                   "tidemark_item_rows; DELETE FROM tidemark_item_gone; "
                   "UPDATE tidemark_state SET applying = 0");
    for (size_t i = 0; i < STEPS; i++)
        apply_step(&set[order[i]]);
    items_are(&a, rows);
    versions_are(&a, versions);
    if (permutations % 16 != 0)
        return;
    char *feed = test_feed(a.db, "item", "item");
    for (size_t i = STEPS; i > 0; i--)
        apply_step(&set[order[i - 1]]);
    test_feed_is(a.db, feed, "item", "item");
    free(feed);
}

START_TEST(every_order_of_arrival_ends_the_same)
{
    size_t order[STEPS] = {0, 1, 2, 3, 4, 5, 6};
    bool larger = uuid_compare(other, peer) > 0;

    permutations = 0;
    if (_i == 0)
        permute(steps, order, STEPS, larger ? "x five 5|y tie b 6" : "x five 5|y tie a 6",
                "live x 5 0|live y 6 0");
    else
        permute(ending_in_delete, order, STEPS, "y only 6", "gone x 5 0|live y 6 0");
    ck_assert_uint_eq(permutations, 5040);
}
END_TEST

/* ---- relay -------------------------------------------------------------------------------------- */

static uint64_t stale(test_side *side)
{
    tide_metrics metrics = {.size = sizeof metrics};

    ck_assert_int_eq(tide_sync_metrics(side->sync, &metrics), TIDE_OK);
    return metrics.changes_stale;
}

static uint64_t applied(test_side *side)
{
    tide_metrics metrics = {.size = sizeof metrics};

    ck_assert_int_eq(tide_sync_metrics(side->sync, &metrics), TIDE_OK);
    return metrics.changes_applied;
}

START_TEST(a_relay_brings_the_rows_on_and_nothing_back)
{
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X'), ('y', 'Y'); DELETE FROM item "
                   "WHERE uuid = 'y'");
    test_sync(&a, &b);
    test_sync(&b, &c);
    test_same_rows(&a, &c);
    versions_are(&c, "live x 0 0|gone y 2 0");
    ck_assert_uint_eq(applied(&c), 2);
    test_sync(&c, &a); /* the ring closes: a hears of its own rows, and has them */
    test_sync(&c, &a);
    ck_assert_uint_eq(applied(&a), 0);
    versions_are(&a, "live x 0 1|gone y 2 1");
    test_sync(&a, &b);
    ck_assert_uint_eq(applied(&b), 2);
    ck_assert_uint_eq(applied(&c), 2);
    ck_assert_uint_eq(stale(&b), 0);
}
END_TEST

START_TEST(a_ring_comes_to_rest)
{
    uint64_t before;

    for (int round = 0; round < 3; round++) {
        test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('a%d', 'A')", round);
        test_sql(b.db, "INSERT INTO item (uuid, name) VALUES ('b%d', 'B')", round);
        test_sql(c.db, "UPDATE item SET name = name || 'c'");
        test_sync(&a, &b);
        test_sync(&b, &c);
        test_sync(&c, &a);
    }
    for (int round = 0; round < 3; round++) {
        test_sync(&a, &b);
        test_sync(&b, &c);
        test_sync(&c, &a);
    }
    before = applied(&a) + applied(&b) + applied(&c) + stale(&a) + stale(&b) + stale(&c);
    test_sync(&a, &b);
    test_sync(&b, &c);
    test_sync(&c, &a);
    ck_assert_uint_eq(applied(&a) + applied(&b) + applied(&c) + stale(&a) + stale(&b) + stale(&c),
                      before);
    test_same_rows(&a, &b);
    test_same_rows(&b, &c);
}
END_TEST

/* The same row is changed on both sides at once: both end with the larger (version, device). */
START_TEST(a_conflict_ends_the_same_on_both_sides)
{
    bool a_wins;

    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X')");
    test_sync(&a, &b);
    test_sql(a.db, "UPDATE item SET name = 'of a'");
    test_sql(b.db, "UPDATE item SET name = 'of b'");
    a_wins = test_number(a.db, "SELECT stamp FROM tidemark_item_rows") >
                 test_number(b.db, "SELECT stamp FROM tidemark_item_rows") ||
             (test_number(a.db, "SELECT stamp FROM tidemark_item_rows") ==
                  test_number(b.db, "SELECT stamp FROM tidemark_item_rows") &&
              uuid_compare(a.device, b.device) > 0);
    test_sync(&a, &b);
    test_sync(&a, &b);
    test_same_rows(&a, &b);
    test_text_is(a.db, a_wins ? "of a" : "of b", "SELECT name FROM item");
}
END_TEST

/* A row is deleted on one side and changed later on the other: the later one wins; and the other way. */
START_TEST(a_delete_and_a_change_end_the_same_on_both_sides)
{
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X'), ('y', 'Y')");
    test_sync(&a, &b);
    test_sql(a.db, "DELETE FROM item WHERE uuid = 'x'");
    test_sql(b.db, "DELETE FROM item WHERE uuid = 'y'");
    test_now_ms += TEST_STEP_MS;
    test_sql(b.db, "UPDATE item SET name = 'changed' WHERE uuid = 'x'");
    test_sql(a.db, "UPDATE item SET name = 'changed' WHERE uuid = 'y'");
    test_sync(&a, &b);
    test_sync(&a, &b);
    test_same_rows(&a, &b);
    items_are(&a, "x changed -|y changed -");
    test_text_is(b.db, "0", "SELECT count(*) FROM tidemark_item_gone");
    test_sql(a.db, "DELETE FROM item");
    test_sync(&a, &b);
    test_sync(&b, &c);
    items_are(&c, "");
    test_text_is(c.db, "x|y", "SELECT key FROM tidemark_item_gone ORDER BY key");
}
END_TEST

/* Each side's clock is hours off; the three still agree, and later changes win over what they saw. */
START_TEST(clocks_that_disagree_do_no_harm)
{
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'first')");
    test_sync(&a, &b);
    test_now_ms -= 50 * TEST_STEP_MS; /* b's clock is behind */
    a.ahead = b.ahead = c.ahead = 50 * TEST_STEP;
    test_sql(b.db, "UPDATE item SET name = 'second'");
    test_sync(&a, &b);
    items_are(&a, "x second -");
    test_sql(a.db, "UPDATE item SET name = 'third'");
    test_sync(&a, &c);
    test_sql(c.db, "DELETE FROM item");
    test_sync(&b, &c);
    test_sync(&a, &c);
    items_are(&a, "");
    items_are(&b, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/apply");
    TCase *test = test_case(suite, "one row");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, a_newer_version_is_written_and_an_older_is_stale);
    tcase_add_test(test, of_equal_versions_the_larger_device_wins);
    tcase_add_test(test, our_own_rows_take_part);
    tcase_add_test(test, a_tombstone_is_kept_for_a_key_that_was_never_here);
    tcase_add_test(test, wrong_changes_are_refused_and_change_nothing);
    tcase_add_test(test, many_changes_are_one_transaction);
    tcase_add_test(test, it_answers_busy_inside_a_transaction);
    tcase_add_test(test, a_constraint_changes_nothing);
    tcase_add_test(test, an_empty_text_is_not_null);
    tcase_add_loop_test(test, a_row_that_the_table_swallows_is_a_constraint, 0,
                        (int)(sizeof swallowing / sizeof *swallowing));
    tcase_add_test(test, applied_rows_get_stamps_above_all_before);
    tcase_add_test(test, the_floor_rises_to_each_version_seen);
    tcase_add_test(test, the_floor_survives_a_restart);
    tcase_add_test(test, a_foreign_change_of_a_taken_over_row_is_ours);
    tcase_add_loop_test(test, every_order_of_arrival_ends_the_same, 0, 2);

    test = test_case(suite, "relay");
    tcase_add_checked_fixture(test, set_up_three, tear_down_three);
    tcase_add_test(test, a_relay_brings_the_rows_on_and_nothing_back);
    tcase_add_test(test, a_ring_comes_to_rest);
    tcase_add_test(test, a_conflict_ends_the_same_on_both_sides);
    tcase_add_test(test, a_delete_and_a_change_end_the_same_on_both_sides);
    tcase_add_test(test, clocks_that_disagree_do_no_harm);
    return test_run(suite);
}
