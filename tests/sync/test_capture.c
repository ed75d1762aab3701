/* Capture: what each kind of write leaves in the feed. The writes are those of other programs,
 * through plain connections, and of the engine's own connection, where the two must do the same.
 * Stamps are exact: the clock of SQLite stands still unless a test moves it. */
#include "sync/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/support_sync.h"

enum { FOREIGN, OWN, WRITERS }; /* which connection writes, in loops */

static test_side side;
static sqlite3 *shell; /* another program */
static sqlite3 *writer;

static const char schema[] =
    "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT, size, local);"
    "CREATE TABLE slot (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, place TEXT UNIQUE);";

static const char *const item_columns[] = {"name", "size"};
static const char *const slot_columns[] = {"place"};
static const tide_model item = {.size = sizeof item,
                                .ownership = TIDE_SHARED,
                                .resource = "item",
                                .table = "item",
                                .key = "uuid",
                                .columns = item_columns,
                                .column_count = 2};
static const tide_model slot = {.size = sizeof slot,
                                .ownership = TIDE_SHARED,
                                .resource = "slot",
                                .table = "slot",
                                .key = "uuid",
                                .columns = slot_columns,
                                .column_count = 1};
static const tide_model *const models[] = {&item, &slot};

static void open_side(void)
{
    test_side_open_as(&side, 1, schema, models, 2);
}

static void set_up(void)
{
    test_clock_install();
    open_side();
    shell = test_connect(side.path);
    writer = shell;
}

static void tear_down(void)
{
    sqlite3_close(shell);
    test_side_close(&side);
}

/* Closes and opens the engine: what is registered is registered again. */
static void register_again(void)
{
    bool own = writer == side.db;

    test_side_close(&side);
    open_side();
    if (own)
        writer = side.db;
}

static void write_through(int which)
{
    writer = which == FOREIGN ? shell : side.db;
}

static void run(const char *sql)
{
    test_sql(writer, "%s", sql);
}

static void feed_is(const char *expected)
{
    test_feed_is(shell, expected, "item", "item");
}

static void slots_are(const char *expected)
{
    test_feed_is(shell, expected, "slot", "slot");
}

/* The feed without its stamps, where only order matters. */
static void order_is(const char *expected, const char *resource, const char *table)
{
    test_text_is(shell, expected,
                 "SELECT kind, key FROM (SELECT 'live' kind, t.uuid key, r.stamp stamp FROM "
                 "\"tidemark_%w_rows\" r JOIN \"%w\" t ON t.id = r.row UNION ALL "
                 "SELECT 'gone', key, stamp FROM \"tidemark_%w_gone\") ORDER BY stamp",
                 resource, table, resource);
}

/* The feed where not even order matters: first the tombstones, then the rows, by key. */
static void holds(const char *expected)
{
    test_text_is(shell, expected,
                 "SELECT kind, key FROM (SELECT 'live' kind, t.uuid key FROM tidemark_item_rows r "
                 "JOIN item t ON t.id = r.row UNION ALL SELECT 'gone', key FROM tidemark_item_gone) "
                 "ORDER BY kind, key");
}

static tide_time head(void)
{
    return test_newest(shell, "item");
}

/* ---- each kind of write ------------------------------------------------------------------------- */

START_TEST(an_insert_joins_the_feed)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A')");
    feed_is("live a 0");
    run("INSERT INTO item (uuid, name) VALUES ('b', 'B')");
    feed_is("live a 0|live b 1");
    test_text_is(shell, "a - 0 0|b - 0 0",
                 "SELECT key, version, device, source FROM tidemark_item_rows ORDER BY stamp");
}
END_TEST

START_TEST(an_update_of_what_travels_moves_the_row_to_the_end)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    run("UPDATE item SET name = 'AA' WHERE uuid = 'a'");
    feed_is("live b 1|live a 2");
    run("UPDATE item SET size = 1, local = 2 WHERE uuid = 'b'");
    feed_is("live a 2|live b 3");
}
END_TEST

START_TEST(an_update_of_what_does_not_travel_is_nothing)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    run("UPDATE item SET local = 'x'");
    feed_is("live a 0|live b 1");
    run("UPDATE item SET uuid = uuid, id = id");
    feed_is("live a 0|live b 1");
    run("UPDATE item SET name = 'x' WHERE uuid = 'nobody'");
    run("DELETE FROM item WHERE uuid = 'nobody'");
    feed_is("live a 0|live b 1");
}
END_TEST

START_TEST(a_delete_leaves_a_tombstone)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    run("DELETE FROM item WHERE uuid = 'a'");
    feed_is("live b 1|gone a 2");
    test_text_is(shell, "a - 0 0",
                 "SELECT key, version, device, source FROM tidemark_item_gone ORDER BY stamp");
    run("DELETE FROM item");
    feed_is("gone a 2|gone b 3");
    test_text_is(shell, "0", "SELECT count(*) FROM tidemark_item_rows");
}
END_TEST

START_TEST(a_row_made_again_has_no_tombstone_and_a_newer_stamp)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    run("DELETE FROM item WHERE uuid = 'a'");
    run("INSERT INTO item (uuid, name) VALUES ('a', 'again')");
    feed_is("live b 1|live a 3");
    run("DELETE FROM item WHERE uuid = 'a'");
    feed_is("live b 1|gone a 4");
}
END_TEST

/* Under the old key the row is gone, and that comes first: a peer that took the new row in first
 * would hold two rows where a UNIQUE column allows one. */
START_TEST(a_renamed_row_is_gone_under_its_old_key)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    run("UPDATE item SET uuid = 'c' WHERE uuid = 'a'");
    order_is("live b|gone a|live c", "item", "item");
    ck_assert_int_eq(head(), TEST_START + 3);
    run("UPDATE item SET uuid = 'a' WHERE uuid = 'c'");
    order_is("live b|gone c|live a", "item", "item");
    ck_assert_int_gt(head(), TEST_START + 3);
}
END_TEST

START_TEST(a_row_with_another_number_is_the_same_row)
{
    tide_time before;

    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    before = head();
    run("UPDATE item SET id = 77 WHERE uuid = 'a'");
    order_is("live b|live a", "item", "item");
    ck_assert_int_gt(head(), before);
    test_text_is(shell, "77 a|2 b", "SELECT row, key FROM tidemark_item_rows ORDER BY key");
    before = head();
    run("UPDATE item SET name = 'still captured' WHERE id = 77");
    ck_assert_int_gt(head(), before);
    run("UPDATE item SET id = 1, uuid = 'c', name = 'all at once' WHERE id = 77");
    holds("gone a|live b|live c");
}
END_TEST

START_TEST(an_upsert_is_an_insert_or_an_update)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    run("INSERT INTO item (uuid, name) VALUES ('a', 'new') ON CONFLICT (uuid) DO NOTHING");
    feed_is("live a 0|live b 1");
    run("INSERT INTO item (uuid, name) VALUES ('a', 'new') "
        "ON CONFLICT (uuid) DO UPDATE SET name = excluded.name");
    feed_is("live b 1|live a 2");
    run("INSERT INTO item (uuid, name) VALUES ('a', 'new') "
        "ON CONFLICT (uuid) DO UPDATE SET local = excluded.name");
    feed_is("live b 1|live a 2");
    run("INSERT INTO item (uuid, name) VALUES ('c', 'new') "
        "ON CONFLICT (uuid) DO UPDATE SET name = excluded.name");
    feed_is("live b 1|live a 2|live c 3");
}
END_TEST

START_TEST(insert_or_ignore_stamps_what_it_inserts_only)
{
    write_through(_i);
    run("INSERT OR IGNORE INTO item (uuid, name) VALUES ('a', 'A'), ('a', 'A2'), ('b', 'B')");
    feed_is("live a 0|live b 1");
    run("INSERT OR IGNORE INTO item (uuid, name) VALUES ('a', 'A3')");
    feed_is("live a 0|live b 1");
    run("DELETE FROM item WHERE uuid = 'a'");
    run("INSERT OR IGNORE INTO item (uuid, name) VALUES ('a', 'A4')");
    feed_is("live b 1|live a 3");
    run("UPDATE OR IGNORE item SET uuid = 'b' WHERE uuid = 'a'");
    feed_is("live b 1|live a 3");
    run("UPDATE OR IGNORE item SET name = 'x' WHERE uuid = 'b'");
    feed_is("live a 3|live b 4");
}
END_TEST

START_TEST(insert_or_replace_of_a_key_is_the_same_key)
{
    tide_time before;

    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    before = head();
    run("INSERT OR REPLACE INTO item (uuid, name) VALUES ('a', 'new')");
    order_is("live b|live a", "item", "item");
    ck_assert_int_gt(head(), before);
    before = head();
    run("REPLACE INTO item (id, uuid, name) SELECT id, uuid, 'newer' FROM item WHERE uuid = 'b'");
    order_is("live a|live b", "item", "item");
    ck_assert_int_gt(head(), before);
    before = head();
    run("INSERT OR REPLACE INTO item (uuid) VALUES ('b'), ('a'), ('c')");
    order_is("live b|live a|live c", "item", "item");
    ck_assert_int_gt(head(), before);
    register_again();
    order_is("live b|live a|live c", "item", "item");
}
END_TEST

/* REPLACE takes the row that holds the number: its key is gone from the table and must be in the
 * feed. */
START_TEST(a_row_replaced_under_its_number_is_gone_under_its_key)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    run("INSERT OR REPLACE INTO item (id, uuid, name) VALUES (1, 'c', 'C')");
    register_again();
    holds("gone a|live b|live c");
}
END_TEST

START_TEST(update_or_replace_of_a_key)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    run("UPDATE OR REPLACE item SET uuid = 'b' WHERE uuid = 'a'");
    holds("gone a|live b");
    register_again();
    holds("gone a|live b");
    test_text_is(shell, "b A", "SELECT uuid, name FROM item");
}
END_TEST

START_TEST(update_or_replace_of_a_row_number)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    run("UPDATE OR REPLACE item SET id = 2 WHERE id = 1");
    register_again();
    test_text_is(shell, "a", "SELECT t.uuid FROM item t JOIN tidemark_item_rows r ON r.row = t.id");
    test_text_is(shell, "b", "SELECT key FROM tidemark_item_gone");
}
END_TEST

/* No trigger is told of the deletion: it is found at the next registration, on whichever connection. */
START_TEST(a_row_replaced_for_a_second_unique_column_is_gone)
{
    tide_time before;

    write_through(_i);
    run("INSERT INTO slot (uuid, place) VALUES ('a', 'p'), ('b', 'q'), ('c', 'r')");
    before = test_newest(shell, "slot");
    run("INSERT OR REPLACE INTO slot (uuid, place) VALUES ('d', 'p')");
    ck_assert_int_gt(test_newest(shell, "slot"), before);
    before = test_newest(shell, "slot");
    register_again();
    test_text_is(shell, "a", "SELECT key FROM tidemark_slot_gone");
    test_text_is(shell, "",
                 "SELECT row, key FROM tidemark_slot_rows EXCEPT SELECT id, uuid FROM slot");
    ck_assert_int_gt(test_newest(shell, "slot"), before);
    run("UPDATE OR REPLACE slot SET place = 'q' WHERE uuid = 'c'");
    register_again();
    order_is("live d|gone a|live c|gone b", "slot", "slot");
}
END_TEST

/* The number of a row that REPLACE removed is given again before anybody registers. */
START_TEST(a_replaced_row_is_gone_also_when_its_number_is_in_use_again)
{
    write_through(_i);
    run("INSERT INTO slot (uuid, place) VALUES ('a', 'p'), ('b', 'q')");
    run("INSERT OR REPLACE INTO slot (uuid, place) VALUES ('c', 'q')"); /* b is gone */
    run("DELETE FROM slot WHERE uuid = 'c'");
    run("INSERT INTO slot (id, uuid, place) VALUES (2, 'd', 'q')");
    register_again();
    test_text_is(shell, "b|c", "SELECT key FROM tidemark_slot_gone ORDER BY key");
    test_text_is(shell, "a|d",
                 "SELECT t.uuid FROM tidemark_slot_rows r JOIN slot t ON t.id = r.row ORDER BY 1");
}
END_TEST

/* SQLite fires the trigger first that was made last, and a program may have dropped any of ours. */
START_TEST(a_replaced_row_is_gone_whichever_trigger_is_first)
{
    run(_i == 0 ? "DROP TRIGGER tidemark_slot_insert" : "DROP TRIGGER tidemark_slot_displaced");
    register_again();
    run("INSERT INTO slot (uuid, place) VALUES ('a', 'p'), ('b', 'q')");
    run("INSERT OR REPLACE INTO slot (id, uuid, place) VALUES (2, 'c', 'p')"); /* a and b are gone */
    order_is("gone b|live c", "slot", "slot");
    register_again();
    order_is("gone b|live c|gone a", "slot", "slot");
}
END_TEST

/* The conflict clause of a statement counts for what its triggers do as well: not for an upsert. */
static const char *const clauses[] = {"",           " OR ABORT",   " OR FAIL",
                                      " OR IGNORE", " OR REPLACE", " OR ROLLBACK"};

START_TEST(conflict_clauses_do_not_reach_the_records)
{
    const char *clause = clauses[_i];

    run("INSERT INTO item (uuid) VALUES ('a'), ('b')");
    run("DELETE FROM item WHERE uuid = 'a'");
    test_sql(writer, "INSERT%s INTO item (uuid) VALUES ('a')", clause);
    feed_is("live b 1|live a 3");
    test_sql(writer, "UPDATE%s item SET name = 'x' WHERE uuid = 'b'", clause);
    feed_is("live a 3|live b 4");
    /* what triggers were not told of left a record and a tombstone in the way */
    run("UPDATE tidemark_state SET applying = 1; DELETE FROM item WHERE uuid = 'b'; "
        "UPDATE tidemark_state SET applying = 0");
    test_sql(writer, "INSERT%s INTO item (id, uuid) VALUES (2, 'b')", clause);
    feed_is("live a 3|live b 5");
    run("INSERT INTO tidemark_item_gone VALUES ('b', 1, 1, 0, 0)");
    test_sql(writer, "UPDATE%s item SET uuid = 'c' WHERE uuid = 'b'", clause);
    order_is("live a|gone b|live c", "item", "item");
    test_text_is(shell, "b - 0 0", "SELECT key, version, device, source FROM tidemark_item_gone");
}
END_TEST

START_TEST(a_change_of_a_row_without_a_record_gives_it_one)
{
    run("INSERT INTO item (uuid) VALUES ('a'), ('b')");
    run("DELETE FROM tidemark_item_rows WHERE key = 'a'");
    run("UPDATE item SET name = 'x' WHERE uuid = 'a'"); /* made by one trigger, raised by another */
    feed_is("live b 1|live a 3");
    run("DELETE FROM tidemark_item_rows WHERE key = 'b'");
    run("UPDATE item SET uuid = 'c' WHERE uuid = 'b'");
    feed_is("live a 3|gone b 4|live c 5");
}
END_TEST

START_TEST(keys_are_swapped)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    run("BEGIN; UPDATE item SET uuid = 'x' WHERE id = 1; UPDATE item SET uuid = 'a' WHERE id = 2; "
        "UPDATE item SET uuid = 'b' WHERE id = 1; COMMIT");
    test_text_is(shell, "a B|b A", "SELECT uuid, name FROM item ORDER BY uuid");
    holds("gone x|live a|live b");
    test_text_is(shell, "1 b|2 a", "SELECT row, key FROM tidemark_item_rows ORDER BY row");
}
END_TEST

START_TEST(row_numbers_are_swapped)
{
    write_through(_i);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    run("BEGIN; UPDATE item SET id = -1 WHERE uuid = 'a'; UPDATE item SET id = 1 WHERE uuid = 'b'; "
        "UPDATE item SET id = 2 WHERE uuid = 'a'; COMMIT");
    order_is("live b|live a", "item", "item");
    test_text_is(shell, "1 b|2 a", "SELECT row, key FROM tidemark_item_rows ORDER BY row");
}
END_TEST

START_TEST(one_statement_gives_each_row_its_own_stamp)
{
    write_through(_i);
    run("INSERT INTO item (uuid) VALUES ('a'), ('b'), ('c')");
    feed_is("live a 0|live b 1|live c 2");
    run("UPDATE item SET size = 1");
    feed_is("live a 3|live b 4|live c 5");
    run("UPDATE item SET uuid = uuid || 'x'");
    test_text_is(shell, "6 6",
                 "SELECT count(*), count(DISTINCT stamp) FROM (SELECT stamp FROM tidemark_item_rows "
                 "UNION ALL SELECT stamp FROM tidemark_item_gone) WHERE stamp > %lld",
                 (long long)TEST_START + 5);
    run("DELETE FROM item");
    test_text_is(shell, "6 6", "SELECT count(*), count(DISTINCT stamp) FROM tidemark_item_gone");
    run("INSERT INTO item (uuid) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 1000) SELECT 'n' || i FROM n");
    test_text_is(shell, "1000", "SELECT count(DISTINCT stamp) FROM tidemark_item_rows");
}
END_TEST

START_TEST(what_is_rolled_back_was_never_there)
{
    write_through(_i);
    run("INSERT INTO item (uuid) VALUES ('a'), ('b')");
    run("BEGIN; INSERT INTO item (uuid) VALUES ('c'); DELETE FROM item WHERE uuid = 'a'; ROLLBACK");
    feed_is("live a 0|live b 1");
    run("BEGIN; INSERT INTO item (uuid) VALUES ('c'); SAVEPOINT s; "
        "DELETE FROM item WHERE uuid = 'a'; UPDATE item SET name = 'x'; ROLLBACK TO s; "
        "UPDATE item SET name = 'y' WHERE uuid = 'a'; COMMIT");
    feed_is("live b 1|live c 2|live a 3");
    ck_assert_int_eq(test_sql_code(writer, "INSERT INTO item (uuid) VALUES ('d'), ('e'), ('a')"),
                     SQLITE_CONSTRAINT_UNIQUE);
    feed_is("live b 1|live c 2|live a 3");
}
END_TEST

START_TEST(two_programs_take_turns)
{
    for (int i = 0; i < 20; i++) {
        write_through(i % 2);
        test_sql(writer, "INSERT INTO item (uuid) VALUES ('k%02d')", i);
        ck_assert_int_eq(head(), TEST_START + i);
    }
    test_text_is(shell, "20",
                 "SELECT count(*) FROM tidemark_item_rows WHERE key = 'k' || "
                 "printf('%%02d', stamp - %lld)",
                 (long long)TEST_START);
}
END_TEST

START_TEST(a_writer_that_waited_for_another_comes_behind_it)
{
    sqlite3 *second = test_connect(side.path);

    test_sql(shell, "BEGIN; SELECT count(*) FROM item"); /* a reader that wants to write later */
    test_sql(second, "INSERT INTO item (uuid) VALUES ('b')");
    ck_assert_int_eq(test_sql_code(shell, "INSERT INTO item (uuid) VALUES ('a')"),
                     SQLITE_BUSY_SNAPSHOT);
    test_sql(shell, "ROLLBACK; BEGIN IMMEDIATE; INSERT INTO item (uuid) VALUES ('a')");
    ck_assert_int_eq(test_sql_code(second, "INSERT INTO item (uuid) VALUES ('c')"), SQLITE_BUSY);
    test_sql(shell, "COMMIT");
    test_sql(second, "INSERT INTO item (uuid) VALUES ('c')");
    feed_is("live b 0|live a 1|live c 2");
    sqlite3_close(second);
}
END_TEST

/* ---- clocks ------------------------------------------------------------------------------------- */

START_TEST(stamps_are_the_clock_and_rise_when_it_does_not)
{
    run("INSERT INTO item (uuid) VALUES ('a')");
    test_now_ms += TEST_STEP_MS;
    run("INSERT INTO item (uuid) VALUES ('b')");
    run("INSERT INTO item (uuid) VALUES ('c')");
    feed_is("live a 0|live b 675000000000|live c 675000000001");
    test_now_ms -= 3 * TEST_STEP_MS;
    run("UPDATE item SET name = 'x' WHERE uuid = 'a'");
    feed_is("live b 675000000000|live c 675000000001|live a 675000000002");
    test_now_ms = 0; /* 1970 */
    run("DELETE FROM item WHERE uuid = 'c'");
    feed_is("live b 675000000000|live a 675000000002|gone c 675000000003");
    test_now_ms = -86400000; /* and before */
    run("INSERT INTO item (uuid) VALUES ('d')");
    feed_is("live b 675000000000|live a 675000000002|gone c 675000000003|live d 675000000004");
    test_now_ms = TEST_START_MS + 2 * TEST_STEP_MS;
    run("INSERT INTO item (uuid) VALUES ('e')");
    ck_assert_int_eq(head(), TEST_START + 2 * TEST_STEP);
}
END_TEST

START_TEST(a_clock_before_1970_begins_at_one)
{
    test_now_ms = -86400000;
    run("INSERT INTO item (uuid) VALUES ('a'), ('b')");
    test_text_is(shell, "a 1|b 2", "SELECT key, stamp FROM tidemark_item_rows ORDER BY stamp");
}
END_TEST

/* The feed of a resource is its own: what happens to another does not move it. */
START_TEST(each_resource_has_its_own_feed)
{
    run("INSERT INTO item (uuid) VALUES ('a'); INSERT INTO slot (uuid) VALUES ('s');"
        "INSERT INTO item (uuid) VALUES ('b')");
    feed_is("live a 0|live b 1");
    slots_are("live s 0");
}
END_TEST

START_TEST(the_newest_stamp_never_falls)
{
    static const char *const writes[] = {
        "INSERT INTO item (uuid) VALUES ('a'), ('b'), ('c')",
        "DELETE FROM item WHERE uuid = 'c'", /* the newest */
        "INSERT INTO item (uuid) VALUES ('c')",
        "INSERT OR REPLACE INTO item (uuid) VALUES ('c')",
        "INSERT OR REPLACE INTO item (id, uuid) VALUES (3, 'c')",
        "UPDATE item SET uuid = 'd' WHERE uuid = 'c'",
        "UPDATE item SET id = 50 WHERE uuid = 'd'",
        "INSERT OR REPLACE INTO item (id, uuid) VALUES (50, 'e')",
        "UPDATE OR REPLACE item SET uuid = 'e' WHERE uuid = 'a'",
        "UPDATE OR REPLACE item SET id = 51 WHERE uuid = 'e'",
        "DELETE FROM item",
        "INSERT INTO item (uuid) VALUES ('a')",
    };
    tide_time before = 0;

    write_through(_i);
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        run(writes[i]);
        ck_assert_msg(head() > before, "%s", writes[i]);
        before = head();
        register_again();
        ck_assert_msg(head() >= before, "registering after %s", writes[i]);
        before = head();
    }
}
END_TEST

/* ---- every write, in any order ------------------------------------------------------------------ */

#define KEYS 8

/* The rows by key as text, "" where there is none. */
static void snapshot(char *rows[KEYS])
{
    for (int i = 0; i < KEYS; i++) {
        free(rows[i]);
        rows[i] =
            test_text(shell, "SELECT quote(name), quote(size) FROM item WHERE uuid = 'k%d'", i);
    }
}

/* One write by chance. */
static void any_write(test_random *random)
{
    unsigned key = (unsigned)test_below(random, KEYS);
    unsigned other = (unsigned)test_below(random, KEYS);
    unsigned value = (unsigned)test_below(random, 1000);
    const char * or = writer == side.db && test_below(random, 2) == 0 ? "REPLACE" : "IGNORE";

    switch (test_below(random, 9)) {
    case 0:
        test_sql(writer, "INSERT OR %s INTO item (uuid, name) VALUES ('k%u', %u)", or, key, value);
        break;
    case 1:
        test_sql(writer, "INSERT OR %s INTO item (id, uuid, name) VALUES (%u, 'k%u', %u)", or,
                 1 + other, key, value);
        break;
    case 2:
        test_sql(writer, "UPDATE item SET size = %u WHERE uuid = 'k%u'", value, key);
        break;
    case 3:
        test_sql(writer, "UPDATE item SET local = %u", value);
        break;
    case 4:
        test_sql(writer, "UPDATE OR %s item SET uuid = 'k%u' WHERE uuid = 'k%u'", or, other, key);
        break;
    case 5:
        test_sql(writer, "UPDATE OR %s item SET id = %u WHERE uuid = 'k%u'", or, 1 + other, key);
        break;
    case 6:
        test_sql(writer, "UPDATE OR %s item SET id = %u, uuid = 'k%u', name = %u WHERE uuid = 'k%u'",
                 or, 1 + value % 9, other, value, key);
        break;
    case 7:
        test_sql(writer,
                 "INSERT INTO item (uuid, size) VALUES ('k%u', %u), ('k%u', %u) "
                 "ON CONFLICT (uuid) DO UPDATE SET size = excluded.size",
                 key, value, other, value + 1);
        break;
    default:
        test_sql(writer, "DELETE FROM item WHERE uuid IN ('k%u', 'k%u')", key, other);
    }
}

/* What must hold after each commit: a peer that has the feed up to `before` learns of every key
 * that is not as it was, and of each key the feed says the one thing that is true. */
static void feed_tells(char *const was[KEYS], char *const is[KEYS], tide_time before)
{
    tide_time now = head();
    bool changed = false;

    for (int i = 0; i < KEYS; i++) {
        if (strcmp(was[i], is[i]) == 0)
            continue;
        changed = true;
        ck_assert_int_eq(
            test_number(
                shell,
                "SELECT (SELECT count(*) FROM item t JOIN tidemark_item_rows r ON r.row = "
                "t.id WHERE uuid = 'k%d' AND stamp > %lld) * 10 + "
                "(SELECT count(*) FROM tidemark_item_gone WHERE key = 'k%d' AND stamp > %lld)",
                i, (long long)before, i, (long long)before),
            *is[i] == '\0' ? 1 : 10);
    }
    ck_assert_msg(changed ? now > before : now >= before, "the newest went from %lld to %lld",
                  (long long)before, (long long)now);
    test_text_is(shell, "",
                 "SELECT id, uuid FROM item EXCEPT SELECT row, key FROM "
                 "tidemark_item_rows");
    test_text_is(shell, "",
                 "SELECT key FROM tidemark_item_gone WHERE key IN (SELECT uuid FROM item)");
    test_text_is(shell, "",
                 "SELECT stamp FROM (SELECT stamp FROM tidemark_item_rows UNION ALL SELECT stamp "
                 "FROM tidemark_item_gone) GROUP BY stamp HAVING count(*) > 1 OR "
                 "typeof(stamp) <> 'integer'");
}

START_TEST(whatever_is_written_the_feed_tells_of_it)
{
    test_random random = {(uint64_t)_i};
    char *was[KEYS] = {NULL};
    char *is[KEYS] = {NULL};

    snapshot(was);
    for (int i = 0; i < 150; i++) {
        tide_time before = head();
        unsigned writes = 1 + (unsigned)test_below(&random, 3);
        bool undo = test_below(&random, 6) == 0;

        write_through((int)test_below(&random, 2));
        test_now_ms += (int64_t)test_below(&random, 3) * TEST_STEP_MS - TEST_STEP_MS;
        run("BEGIN");
        while (writes-- > 0)
            any_write(&random);
        run(undo ? "ROLLBACK" : "COMMIT");
        snapshot(is);
        feed_tells(was, is, before);
        if (undo)
            ck_assert_int_eq(head(), before);
        snapshot(was);
    }
    tide_time before = head();
    register_again();
    test_text_is(shell, "",
                 "SELECT row, key FROM tidemark_item_rows EXCEPT SELECT id, uuid FROM item");
    feed_tells(was, was, before);
    for (int i = 0; i < KEYS; i++) {
        free(was[i]);
        free(is[i]);
    }
}
END_TEST

/* ---- registering -------------------------------------------------------------------------------- */

START_TEST(rows_that_were_there_before_join_in_the_order_of_their_numbers)
{
    static const tide_model *const only[] = {&item};
    test_side late;
    sqlite3 *db = test_connect("2.db");

    test_sql(db, "%s", schema);
    test_sql(db, "INSERT INTO item (id, uuid) VALUES (9, 'a'), (-3, 'b'), (4, 'c')");
    test_side_open_as(&late, 2, schema, only, 1);
    test_text_is(db, "b|c|a", "SELECT key FROM tidemark_item_rows ORDER BY stamp");
    test_text_is(db, "3 0", "SELECT count(DISTINCT stamp), count(version) FROM tidemark_item_rows");
    ck_assert_int_ge(test_number(db, "SELECT min(stamp) FROM tidemark_item_rows"), TEST_START);
    test_sql(db, "INSERT INTO item (uuid) VALUES ('d')");
    test_text_is(db, "b|c|a|d", "SELECT key FROM tidemark_item_rows ORDER BY stamp");
    sqlite3_close(db);
    test_side_close(&late);
}
END_TEST

static void drop_triggers(void)
{
    test_sql(shell, "DROP TRIGGER tidemark_item_insert; DROP TRIGGER tidemark_item_update;"
                    "DROP TRIGGER tidemark_item_rekey; DROP TRIGGER tidemark_item_delete");
}

START_TEST(what_was_inserted_and_deleted_without_triggers_is_caught)
{
    tide_time before;

    run("INSERT INTO item (uuid) VALUES ('a'), ('b'), ('c')");
    before = head();
    drop_triggers();
    run("INSERT INTO item (uuid) VALUES ('d'), ('e'); DELETE FROM item WHERE uuid IN ('b', 'e');"
        "DELETE FROM item WHERE uuid = 'c'");
    ck_assert_int_eq(head(), before);
    register_again();
    holds("gone b|gone c|live a|live d");
    ck_assert_int_gt(test_number(shell, "SELECT stamp FROM tidemark_item_rows WHERE key = 'd'"),
                     before);
    before = head();
    run("INSERT INTO item (uuid) VALUES ('f')"); /* the triggers are back */
    ck_assert_int_gt(head(), before);
}
END_TEST

START_TEST(deletes_of_the_newest_without_triggers_do_not_lower_the_newest)
{
    tide_time before;

    run("INSERT INTO item (uuid) VALUES ('a'), ('b')");
    run("DELETE FROM item WHERE uuid = 'b'; INSERT INTO item (uuid) VALUES ('b')");
    before = head();
    drop_triggers();
    run("DELETE FROM item WHERE uuid = 'b'; INSERT INTO item (id, uuid) VALUES (99, 'b')");
    register_again();
    ck_assert_int_gt(head(), before);
    order_is("live a|live b", "item", "item");
    before = head();
    drop_triggers();
    run("DELETE FROM item");
    register_again();
    order_is("gone a|gone b", "item", "item");
    ck_assert_int_gt(head(), before);
}
END_TEST

START_TEST(a_row_made_again_without_triggers_has_no_tombstone)
{
    run("INSERT INTO item (uuid) VALUES ('a'), ('b'); DELETE FROM item WHERE uuid = 'a'");
    drop_triggers();
    run("INSERT INTO item (uuid) VALUES ('a')");
    register_again();
    order_is("live b|live a", "item", "item");
}
END_TEST

START_TEST(a_key_that_was_changed_without_triggers_is_caught)
{
    tide_time before;

    run("INSERT INTO item (uuid) VALUES ('a'), ('b')");
    before = head();
    drop_triggers();
    run("UPDATE item SET uuid = 'c' WHERE uuid = 'a'");
    register_again();
    test_text_is(shell, "a", "SELECT key FROM tidemark_item_gone WHERE stamp > %lld",
                 (long long)before);
    test_text_is(shell, "c", "SELECT key FROM tidemark_item_rows WHERE stamp > %lld",
                 (long long)before);
}
END_TEST

START_TEST(a_row_number_that_was_given_again_without_triggers_is_caught)
{
    tide_time before;

    run("INSERT INTO item (uuid) VALUES ('a'), ('b')");
    before = head();
    drop_triggers();
    run("DELETE FROM item WHERE uuid = 'b'; INSERT INTO item (uuid) VALUES ('c')");
    test_text_is(shell, "2 c", "SELECT id, uuid FROM item WHERE id = 2");
    register_again();
    test_text_is(shell, "b", "SELECT key FROM tidemark_item_gone WHERE stamp > %lld",
                 (long long)before);
    test_text_is(shell, "c", "SELECT key FROM tidemark_item_rows WHERE stamp > %lld",
                 (long long)before);
}
END_TEST

START_TEST(registering_again_changes_nothing)
{
    char *was;
    char *is;
    int64_t version;

    run("INSERT INTO item (uuid) VALUES ('a'), ('b'); DELETE FROM item WHERE uuid = 'a'");
    was = test_text(shell, "SELECT type, name, rootpage, sql FROM sqlite_master ORDER BY name");
    version = test_number(shell, "PRAGMA schema_version");
    register_again();
    register_again();
    is = test_text(shell, "SELECT type, name, rootpage, sql FROM sqlite_master ORDER BY name");
    ck_assert_str_eq(was, is);
    ck_assert_int_eq(test_number(shell, "PRAGMA schema_version"), version);
    feed_is("live b 1|gone a 2");
    free(was);
    free(is);
}
END_TEST

START_TEST(other_columns_rebuild_the_triggers)
{
    static const char *const columns[] = {"local"};
    tide_model other = item;
    const tide_model *const others[] = {&other};
    tide_time before;

    other.columns = columns;
    other.column_count = 1;
    run("INSERT INTO item (uuid) VALUES ('a'), ('b')");
    test_side_close(&side);
    test_side_open_as(&side, 1, schema, others, 1);
    before = head();
    run("UPDATE item SET name = 'x', size = 1 WHERE uuid = 'a'");
    ck_assert_int_eq(head(), before);
    run("UPDATE item SET local = 'x' WHERE uuid = 'a'");
    ck_assert_int_gt(head(), before);
    order_is("live b|live a", "item", "item");
}
END_TEST

/* A column that joins the model never travelled: whoever follows must be told of each row again.
 * Not of the rows of a shared model: others may know newer values. */
START_TEST(a_column_that_joins_the_model_gives_our_rows_new_stamps)
{
    static const char *const columns[] = {"name", "size", "local"};
    tide_model narrow = item;
    tide_model wide = item;
    const tide_model *const before[] = {&narrow};
    const tide_model *const after[] = {&wide};
    tide_time newest;

    narrow.ownership = wide.ownership = _i == 0 ? TIDE_DEVICE_OWNED : TIDE_SHARED;
    wide.columns = columns;
    wide.column_count = 3;
    test_side_close(&side);
    test_side_open_as(&side, 1, schema, before, 1);
    run("INSERT INTO item (uuid, local) VALUES ('a', 1), ('b', 2)");
    newest = head();
    test_side_close(&side);
    test_side_open_as(&side, 1, schema, after, 1);
    test_text_is(shell, _i == 0 ? "a|b" : "",
                 "SELECT key FROM tidemark_item_rows WHERE stamp > %lld ORDER BY stamp",
                 (long long)newest);
    newest = head();
    run("UPDATE item SET local = 3 WHERE uuid = 'b'");
    ck_assert_int_gt(head(), newest);
    newest = head();
    test_side_close(&side); /* it happens once */
    test_side_open_as(&side, 1, schema, after, 1);
    ck_assert_int_eq(head(), newest);
}
END_TEST

START_TEST(a_model_of_nothing_but_its_key)
{
    tide_model bare = item;
    const tide_model *const others[] = {&bare};
    tide_time before;

    bare.columns = NULL;
    bare.column_count = 0;
    test_side_close(&side);
    test_side_open_as(&side, 1, schema, others, 1);
    run("INSERT INTO item (uuid) VALUES ('a'), ('b')");
    before = head();
    run("UPDATE item SET local = 1");
    ck_assert_int_eq(head(), before);
    run("DELETE FROM item WHERE uuid = 'a'; UPDATE item SET uuid = 'c' WHERE uuid = 'b'");
    holds("gone a|gone b|live c");
}
END_TEST

/* From some columns to none and back: either is a change of what travels, and happens once. */
START_TEST(columns_that_leave_and_return_give_our_rows_new_stamps_once)
{
    tide_model wide = item;
    tide_model bare = item;
    const tide_model *const with[] = {&wide};
    const tide_model *const without[] = {&bare};

    wide.ownership = bare.ownership = TIDE_DEVICE_OWNED;
    bare.columns = NULL;
    bare.column_count = 0;
    test_side_close(&side);
    test_side_open_as(&side, 1, schema, with, 1);
    run("INSERT INTO item (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    feed_is("live a 0|live b 1");
    for (int i = 0; i < 3; i++) {
        test_side_close(&side);
        test_side_open_as(&side, 1, schema, without, 1);
        feed_is("live a 3|live b 4");
        run("UPDATE item SET name = name || '+'"); /* it does not travel now */
        feed_is("live a 3|live b 4");
    }
    for (int i = 0; i < 3; i++) {
        test_side_close(&side);
        test_side_open_as(&side, 1, schema, with, 1);
        feed_is("live a 6|live b 7");
    }
    run("UPDATE item SET name = 'C' WHERE uuid = 'a'");
    feed_is("live b 7|live a 8");
}
END_TEST

START_TEST(vacuum_keeps_everything_right)
{
    write_through(_i);
    run("INSERT INTO item (id, uuid) VALUES (10, 'a'), (20, 'b'), (30, 'c'), (40, 'd')");
    run("DELETE FROM item WHERE uuid = 'b'");
    run("VACUUM");
    feed_is("live a 0|live c 2|live d 3|gone b 4");
    run("UPDATE item SET name = 'x' WHERE uuid = 'c'; DELETE FROM item WHERE uuid = 'd'");
    feed_is("live a 0|gone b 4|live c 5|gone d 6");
    register_again();
    feed_is("live a 0|gone b 4|live c 5|gone d 6");
}
END_TEST

/* Another program has the file under another name, and writes. */
START_TEST(the_database_can_be_attached)
{
    sqlite3 *other = test_connect(":memory:");

    run("INSERT INTO item (uuid) VALUES ('a')");
    test_sql(other, "ATTACH %Q AS elsewhere", side.path);
    test_sql(other, "INSERT INTO elsewhere.item (uuid) VALUES ('b'), ('c');"
                    "UPDATE elsewhere.item SET name = 'x' WHERE uuid = 'a';"
                    "UPDATE elsewhere.item SET uuid = 'd' WHERE uuid = 'b';"
                    "DELETE FROM elsewhere.item WHERE uuid = 'c'");
    sqlite3_close(other);
    holds("gone b|gone c|live a|live d");
    ck_assert_int_gt(head(), TEST_START + 2);
}
END_TEST

/* The engine's connection has another database attached, or a temporary table, with the same names. */
START_TEST(names_elsewhere_on_the_connection_do_not_matter)
{
    sqlite3 *other = test_connect("elsewhere.db");

    test_sql(other, "%s", schema);
    sqlite3_close(other);
    test_sql(side.db, "ATTACH 'elsewhere.db' AS elsewhere; CREATE TEMP TABLE tidemark_state (floor, "
                      "applying, device); INSERT INTO temp.tidemark_state VALUES (0, 1, 7)");
    test_sql(side.db, "INSERT INTO main.item (uuid) VALUES ('a')");
    test_sql(side.db, "INSERT INTO elsewhere.item (uuid) VALUES ('b')");
    feed_is("live a 0");
}
END_TEST

START_TEST(a_rename_of_the_table_by_its_owner_leaves_the_triggers_working)
{
    run("INSERT INTO item (uuid) VALUES ('a')");
    test_sql(shell, "ALTER TABLE item ADD COLUMN more");
    run("UPDATE item SET more = 1");
    feed_is("live a 0");
    run("UPDATE item SET name = 'x'");
    feed_is("live a 1");
}
END_TEST

START_TEST(the_engine_counts_what_is_there)
{
    tide_resource_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_sync_resource_info(side.sync, "item", &info), TIDE_OK);
    ck_assert_int_eq(info.head, TIDE_TIME_NONE);
    ck_assert_uint_eq(info.rows, 0);
    ck_assert_uint_eq(info.tombstones, 0);
    run("INSERT INTO item (uuid) VALUES ('a'), ('b'), ('c'); DELETE FROM item WHERE uuid = 'c'");
    ck_assert_int_eq(tide_sync_resource_info(side.sync, "item", &info), TIDE_OK);
    ck_assert_int_eq(info.head, TEST_START + 3);
    ck_assert_uint_eq(info.rows, 2);
    ck_assert_uint_eq(info.tombstones, 1);
    ck_assert_uint_eq(info.changes_applied, 0);
    ck_assert_uint_eq(info.ownership, TIDE_SHARED);
}
END_TEST

START_TEST(what_lies_behind_a_stamp_is_counted)
{
    uint64_t behind = 9;

    ck_assert_int_eq(tide_sync_rows_behind(side.sync, "item", TIDE_TIME_NONE, &behind), TIDE_OK);
    ck_assert_uint_eq(behind, 0);
    run("INSERT INTO item (uuid) VALUES ('a'), ('b'), ('c'); DELETE FROM item WHERE uuid = 'b'");
    ck_assert_int_eq(tide_sync_rows_behind(side.sync, "item", TIDE_TIME_NONE, &behind), TIDE_OK);
    ck_assert_uint_eq(behind, 3);
    ck_assert_int_eq(tide_sync_rows_behind(side.sync, "item", TEST_START, &behind), TIDE_OK);
    ck_assert_uint_eq(behind, 2); /* c, and that b is gone */
    ck_assert_int_eq(tide_sync_rows_behind(side.sync, "item", TEST_START + 3, &behind), TIDE_OK);
    ck_assert_uint_eq(behind, 0);
    ck_assert_int_eq(tide_sync_rows_behind(side.sync, "other", 0, &behind), TIDE_EMODEL);
    ck_assert_int_eq(tide_sync_rows_behind(side.sync, "item", 0, NULL), TIDE_EINVAL);
}
END_TEST

/* ---- names and keys ----------------------------------------------------------------------------- */

static const struct {
    const char *table, *row, *key, *column;
} odd[] = {
    {"select", "order", "group", "where"},
    {"it's", "ro'w", "ke'y", "col'umn"},
    {"a \"quoted\" table", "a \"row\"", "a \"key\"", "a \"column\""},
    {"Möbel für Öfen", "Zeile ☃", "Schlüssel", "値"},
    {"%w%s%q%d", "%Q", "%lld", "%z"},
    {"new", "old", "NEW", "stamp"},
    {"tab;le--", "[row]", "`key`", "col\tumn"},
    {"tidemark", "row", "key", "version"},
};

START_TEST(odd_names_are_names)
{
    const char *const columns[] = {odd[_i].column};
    tide_model model = {.size = sizeof model,
                        .resource = "odd_1",
                        .table = odd[_i].table,
                        .key = odd[_i].key,
                        .columns = columns,
                        .column_count = 1};
    const tide_model *const only[] = {&model};
    test_side strange;
    char *sql =
        sqlite3_mprintf("CREATE TABLE \"%w\" (\"%w\" INTEGER PRIMARY KEY, \"%w\" TEXT NOT NULL "
                        "UNIQUE, \"%w\", rest)",
                        odd[_i].table, odd[_i].row, odd[_i].key, odd[_i].column);

    test_side_open_as(&strange, 2, sql, only, 1);
    sqlite3_free(sql);
    test_sql(strange.db, "INSERT INTO \"%w\" (\"%w\", \"%w\") VALUES ('a', 1), ('b', 2), ('c', 3)",
             odd[_i].table, odd[_i].key, odd[_i].column);
    test_sql(strange.db, "UPDATE \"%w\" SET \"%w\" = 9 WHERE \"%w\" = 'a'", odd[_i].table,
             odd[_i].column, odd[_i].key);
    test_sql(strange.db, "UPDATE \"%w\" SET \"%w\" = 'd' WHERE \"%w\" = 'b'", odd[_i].table,
             odd[_i].key, odd[_i].key);
    test_sql(strange.db, "DELETE FROM \"%w\" WHERE \"%w\" = 'c'", odd[_i].table, odd[_i].key);
    test_text_is(strange.db, "1 a|2 d", "SELECT row, key FROM tidemark_odd_1_rows ORDER BY row");
    test_text_is(strange.db, "b|c", "SELECT key FROM tidemark_odd_1_gone ORDER BY key");
    test_side_close(&strange);
    test_side_open_as(&strange, 2, "", only, 1);
    test_text_is(strange.db, "1 a|2 d", "SELECT row, key FROM tidemark_odd_1_rows ORDER BY row");
    test_side_close(&strange);
}
END_TEST

START_TEST(names_that_the_table_spells_otherwise)
{
    static const char *const columns[] = {"NAME", "Size"};
    tide_model model = item;
    const tide_model *const only[] = {&model};

    model.table = "ITEM";
    model.key = "UUID";
    model.columns = columns;
    test_side_close(&side);
    test_side_open_as(&side, 1, schema, only, 1);
    run("INSERT INTO item (uuid) VALUES ('a'), ('b'); UPDATE item SET size = 1 WHERE uuid = 'a'");
    order_is("live b|live a", "item", "item");
}
END_TEST

static const struct {
    const char *type, *values[3]; /* the key's, as SQL */
} keys[] = {
    {"TEXT", {"'a'", "'b'", "'a' || char(0) || 'b'"}},
    {"TEXT", {"''", "' '", "'é'"}},
    {"INTEGER", {"1", "-9223372036854775808", "9223372036854775807"}},
    {"BLOB", {"x'00'", "x'0001'", "x''"}},
    {"REAL", {"1.5", "1e300", "2"}},
    {"", {"1", "'1'", "x'31'"}},
};

START_TEST(keys_of_every_type)
{
    static const char *const columns[] = {"v"};
    tide_model model = {.size = sizeof model,
                        .resource = "keyed",
                        .table = "t",
                        .key = "k",
                        .columns = columns,
                        .column_count = 1};
    const tide_model *const only[] = {&model};
    const char *const *k = keys[_i].values;
    test_side typed;
    char *sql = sqlite3_mprintf("CREATE TABLE t (id INTEGER PRIMARY KEY, k %s NOT NULL UNIQUE, v)",
                                keys[_i].type);

    test_side_open_as(&typed, 2, sql, only, 1);
    sqlite3_free(sql);
    test_sql(typed.db, "INSERT INTO t (k) VALUES (%s), (%s)", k[0], k[1]);
    test_sql(typed.db, "DELETE FROM t WHERE k = %s", k[0]);
    test_sql(typed.db, "UPDATE t SET k = %s WHERE k = %s", k[2], k[1]);
    test_text_is(typed.db, "2", "SELECT count(*) FROM tidemark_keyed_gone");
    test_sql(typed.db, "INSERT INTO t (k) VALUES (%s)", k[0]);
    test_text_is(typed.db, "1", "SELECT count(*) FROM tidemark_keyed_gone");
    test_sql(typed.db, "INSERT INTO t (k) VALUES (%s)", k[1]);
    test_text_is(typed.db, "0", "SELECT count(*) FROM tidemark_keyed_gone");
    test_text_is(typed.db, "3 3",
                 "SELECT count(*), count(DISTINCT stamp) FROM t JOIN tidemark_keyed_rows r ON "
                 "r.row = id AND r.key IS k AND typeof(r.key) = typeof(k)");
    test_side_close(&typed);
}
END_TEST

START_TEST(closing_the_engine_goes_on_capturing)
{
    run("INSERT INTO item (uuid) VALUES ('a')");
    test_side_close(&side);
    run("INSERT INTO item (uuid) VALUES ('b'); UPDATE item SET name = 'x' WHERE uuid = 'a'");
    feed_is("live b 1|live a 2");
    open_side();
    feed_is("live b 1|live a 2");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/capture");
    TCase *test = test_case(suite, "writes");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, an_insert_joins_the_feed, 0, WRITERS);
    tcase_add_loop_test(test, an_update_of_what_travels_moves_the_row_to_the_end, 0, WRITERS);
    tcase_add_loop_test(test, an_update_of_what_does_not_travel_is_nothing, 0, WRITERS);
    tcase_add_loop_test(test, a_delete_leaves_a_tombstone, 0, WRITERS);
    tcase_add_loop_test(test, a_row_made_again_has_no_tombstone_and_a_newer_stamp, 0, WRITERS);
    tcase_add_loop_test(test, a_renamed_row_is_gone_under_its_old_key, 0, WRITERS);
    tcase_add_loop_test(test, a_row_with_another_number_is_the_same_row, 0, WRITERS);
    tcase_add_loop_test(test, an_upsert_is_an_insert_or_an_update, 0, WRITERS);
    tcase_add_loop_test(test, insert_or_ignore_stamps_what_it_inserts_only, 0, WRITERS);
    tcase_add_loop_test(test, insert_or_replace_of_a_key_is_the_same_key, 0, WRITERS);
    tcase_add_loop_test(test, a_row_replaced_under_its_number_is_gone_under_its_key, 0, WRITERS);
    tcase_add_loop_test(test, update_or_replace_of_a_key, 0, WRITERS);
    tcase_add_loop_test(test, update_or_replace_of_a_row_number, 0, WRITERS);
    tcase_add_loop_test(test, a_row_replaced_for_a_second_unique_column_is_gone, 0, WRITERS);
    tcase_add_loop_test(test, a_replaced_row_is_gone_also_when_its_number_is_in_use_again, 0,
                        WRITERS);
    tcase_add_loop_test(test, a_replaced_row_is_gone_whichever_trigger_is_first, 0, 2);
    tcase_add_loop_test(test, conflict_clauses_do_not_reach_the_records, 0,
                        (int)(sizeof clauses / sizeof *clauses));
    tcase_add_test(test, a_change_of_a_row_without_a_record_gives_it_one);
    tcase_add_loop_test(test, keys_are_swapped, 0, WRITERS);
    tcase_add_loop_test(test, row_numbers_are_swapped, 0, WRITERS);
    tcase_add_loop_test(test, one_statement_gives_each_row_its_own_stamp, 0, WRITERS);
    tcase_add_loop_test(test, what_is_rolled_back_was_never_there, 0, WRITERS);
    tcase_add_test(test, two_programs_take_turns);
    tcase_add_test(test, a_writer_that_waited_for_another_comes_behind_it);

    test = test_case(suite, "clocks");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, stamps_are_the_clock_and_rise_when_it_does_not);
    tcase_add_test(test, a_clock_before_1970_begins_at_one);
    tcase_add_test(test, each_resource_has_its_own_feed);
    tcase_add_loop_test(test, the_newest_stamp_never_falls, 0, WRITERS);
    tcase_add_loop_test(test, whatever_is_written_the_feed_tells_of_it, 0, 20);

    test = test_case(suite, "registering");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, rows_that_were_there_before_join_in_the_order_of_their_numbers);
    tcase_add_test(test, what_was_inserted_and_deleted_without_triggers_is_caught);
    tcase_add_test(test, deletes_of_the_newest_without_triggers_do_not_lower_the_newest);
    tcase_add_test(test, a_row_made_again_without_triggers_has_no_tombstone);
    tcase_add_test(test, a_key_that_was_changed_without_triggers_is_caught);
    tcase_add_test(test, a_row_number_that_was_given_again_without_triggers_is_caught);
    tcase_add_test(test, registering_again_changes_nothing);
    tcase_add_test(test, other_columns_rebuild_the_triggers);
    tcase_add_loop_test(test, a_column_that_joins_the_model_gives_our_rows_new_stamps, 0, 2);
    tcase_add_test(test, a_model_of_nothing_but_its_key);
    tcase_add_test(test, columns_that_leave_and_return_give_our_rows_new_stamps_once);
    tcase_add_loop_test(test, vacuum_keeps_everything_right, 0, WRITERS);
    tcase_add_test(test, the_database_can_be_attached);
    tcase_add_test(test, names_elsewhere_on_the_connection_do_not_matter);
    tcase_add_test(test, a_rename_of_the_table_by_its_owner_leaves_the_triggers_working);
    tcase_add_test(test, the_engine_counts_what_is_there);
    tcase_add_test(test, what_lies_behind_a_stamp_is_counted);
    tcase_add_test(test, closing_the_engine_goes_on_capturing);

    test = test_case(suite, "names and keys");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, odd_names_are_names, 0, (int)(sizeof odd / sizeof *odd));
    tcase_add_test(test, names_that_the_table_spells_otherwise);
    tcase_add_loop_test(test, keys_of_every_type, 0, (int)(sizeof keys / sizeof *keys));
    return test_run(suite);
}
