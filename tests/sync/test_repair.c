/* Capture where triggers alone cannot see all: rows that REPLACE takes away, tables that are built
 * anew, columns that join later, triggers of the user's. Two devices, and after each the same rows
 * on both. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/support_sync.h"

#define ROWS "SELECT uuid, name, slot, extra FROM t ORDER BY uuid"

static const char schema[] =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT, slot UNIQUE, extra)";

static const char *const columns[] = {"name", "extra"};

/* The same table with none, one or both of the columns; `slot` does not travel. */
static const tide_model with_none = {
    .size = sizeof with_none, .resource = "item", .table = "t", .key = "uuid", .columns = columns};
static const tide_model with_name = {.size = sizeof with_name,
                                     .resource = "item",
                                     .table = "t",
                                     .key = "uuid",
                                     .columns = columns,
                                     .column_count = 1};
static const tide_model with_both = {.size = sizeof with_both,
                                     .resource = "item",
                                     .table = "t",
                                     .key = "uuid",
                                     .columns = columns,
                                     .column_count = 2};

static test_side a, b;

static void open_with(test_side *side, uint64_t number, const tide_model *model)
{
    test_side_open_as(side, number, schema, &model, 1);
}

static void set_up(void)
{
    test_clock_install();
    open_with(&a, 1, &with_name);
    open_with(&b, 2, &with_name);
}

static void tear_down(void)
{
    test_side_close(&a);
    test_side_close(&b);
}

/* Both sides, or A alone, are opened anew. */
static void again(const tide_model *model)
{
    test_side_close(&a);
    test_side_close(&b);
    open_with(&a, 1, model);
    open_with(&b, 2, model);
}

static void again_a(const tide_model *model)
{
    test_side_close(&a);
    open_with(&a, 1, model);
}

/* Between engines: what another program does to A's file. */
static void shell(const char *sql)
{
    sqlite3 *db = test_connect("1.db");

    test_sql(db, "%s", sql);
    sqlite3_close(db);
}

static void sync_and_hold(const char *rows)
{
    test_sync(&a, &b);
    test_text_is(a.db, rows, "SELECT uuid, name, extra FROM t ORDER BY uuid");
    test_text_is(b.db, rows, "SELECT uuid, name, extra FROM t ORDER BY uuid");
}

/* ---- rows that REPLACE takes away --------------------------------------------------------------- */

/* A peer's row gets the number of the one that is gone, and with it its record. */
START_TEST(a_row_taken_over_does_not_hide_a_displaced_one)
{
    test_sql(a.db, "INSERT INTO t (uuid, name, slot) VALUES ('a', 'A', 1), ('b', 'B', 2)");
    sync_and_hold("a A -|b B -");
    test_sql(a.db, "UPDATE OR REPLACE t SET slot = 2 WHERE uuid = 'a'"); /* takes b away */
    test_sql(b.db, "INSERT INTO t (uuid, name) VALUES ('c', 'C')");
    test_sync(&a, &b);
    again_a(&with_name);
    sync_and_hold("a A -|c C -");
}
END_TEST

START_TEST(a_displaced_row_that_nothing_follows_is_found_when_registered)
{
    test_sql(a.db, "INSERT INTO t (uuid, name, slot) VALUES ('a', 'A', 1), ('b', 'B', 2)");
    sync_and_hold("a A -|b B -");
    test_sql(a.db, "UPDATE OR REPLACE t SET slot = 2 WHERE uuid = 'a'");
    again_a(&with_name);
    sync_and_hold("a A -");
}
END_TEST

/* The trigger that was made last fires first. */
START_TEST(a_trigger_made_anew_does_not_hide_a_displaced_row)
{
    test_sql(a.db, "INSERT INTO t (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    sync_and_hold("a A -|b B -");
    again(&with_both);
    sync_and_hold("a A -|b B -");
    test_sql(a.db, "UPDATE OR REPLACE t SET id = 2, name = 'A9' WHERE uuid = 'a'"); /* b's number */
    sync_and_hold("a A9 -");
    again_a(&with_both);
    sync_and_hold("a A9 -");
}
END_TEST

START_TEST(two_records_of_one_key_are_one_deletion)
{
    test_sql(a.db, "INSERT INTO t (uuid, name, slot) VALUES ('a', 'A', 1), ('b', 'B', 2)");
    sync_and_hold("a A -|b B -");
    test_sql(a.db, "INSERT OR REPLACE INTO t (uuid, name, slot) VALUES ('a', 'A', 3)");
    test_sql(a.db, "INSERT OR REPLACE INTO t (uuid, name, slot) VALUES ('c', 'C', 3)"); /* a goes */
    again_a(&with_name);
    sync_and_hold("b B -|c C -");
}
END_TEST

START_TEST(a_table_that_was_emptied_by_dropping_it)
{
    test_sql(a.db, "INSERT INTO t (uuid, name) VALUES ('a', 'A')");
    test_sql(a.db, "INSERT OR REPLACE INTO t (uuid, name) VALUES ('a', 'A2')");
    sync_and_hold("a A2 -");
    test_side_close(&a);
    shell("DROP TABLE t");
    shell(schema);
    open_with(&a, 1, &with_name);
    sync_and_hold("");
}
END_TEST

/* ---- columns that join later -------------------------------------------------------------------- */

START_TEST(a_table_built_anew_with_a_column_filled)
{
    test_sql(a.db, "INSERT INTO t (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    sync_and_hold("a A -|b B -");
    test_side_close(&a);
    shell("BEGIN;"
          "CREATE TABLE n (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name, slot, extra);"
          "INSERT INTO n SELECT id, uuid, name, slot, 'filled' FROM t;"
          "DROP TABLE t; ALTER TABLE n RENAME TO t; COMMIT");
    open_with(&a, 1, &with_both);
    test_side_close(&b);
    open_with(&b, 2, &with_both);
    sync_and_hold("a A filled|b B filled");
}
END_TEST

START_TEST(a_table_built_anew_under_the_same_numbers_and_keys)
{
    test_sql(a.db, "INSERT INTO t (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    sync_and_hold("a A -|b B -");
    test_side_close(&a);
    shell("DROP TABLE t");
    shell(schema);
    shell("INSERT INTO t (uuid, name) VALUES ('a', 'A new'), ('b', 'B new')");
    open_with(&a, 1, &with_name);
    sync_and_hold("a A new -|b B new -");
}
END_TEST

START_TEST(the_first_column_of_a_model_travels)
{
    again(&with_none);
    test_sql(a.db, "INSERT INTO t (uuid, name) VALUES ('a', 'A')");
    test_sync(&a, &b);
    again(&with_name);
    sync_and_hold("a A -");
}
END_TEST

/* Rows that came back from a peer are our own all the same. */
START_TEST(a_new_column_of_rows_that_came_back_travels)
{
    uuid_t device;

    test_sql(a.db, "INSERT INTO t (uuid, name) VALUES ('a', 'A'), ('b', 'B')");
    sync_and_hold("a A -|b B -");
    uuid_copy(device, a.device);
    test_side_close(&a);
    ck_assert_int_eq(remove("1.db"), 0);
    test_now_ms += 1000;          /* its feed begins later */
    open_with(&a, 1, &with_name); /* under its old id */
    ck_assert_mem_eq(device, a.device, sizeof device);
    sync_and_hold("a A -|b B -");
    test_sql(a.db, "UPDATE t SET extra = 'filled'"); /* nothing that travels yet */
    again(&with_both);
    sync_and_hold("a A filled|b B filled");
}
END_TEST

/* ---- triggers of the user's --------------------------------------------------------------------- */

START_TEST(a_trigger_that_puts_a_deleted_row_back)
{
    test_sql(a.db, "CREATE TRIGGER keep AFTER DELETE ON t WHEN OLD.name LIKE 'keep%%' BEGIN "
                   "INSERT INTO t (uuid, name) VALUES (OLD.uuid, OLD.name || '+'); END");
    test_sql(a.db, "INSERT INTO t (uuid, name) VALUES ('a', 'keep'), ('b', 'B')");
    sync_and_hold("a keep -|b B -");
    test_sql(a.db, "DELETE FROM t WHERE uuid = 'a'");
    sync_and_hold("a keep+ -|b B -");
    test_sql(a.db, "DELETE FROM t");
    sync_and_hold("a keep++ -");
    again_a(&with_name);
    sync_and_hold("a keep++ -");
}
END_TEST

START_TEST(a_trigger_that_keeps_the_old_key)
{
    test_sql(a.db,
             "CREATE TRIGGER archive AFTER UPDATE OF uuid ON t WHEN OLD.uuid <> NEW.uuid BEGIN "
             "INSERT INTO t (uuid, name) VALUES (OLD.uuid, 'was ' || NEW.uuid); END");
    test_sql(a.db, "INSERT INTO t (uuid, name) VALUES ('a', 'A')");
    sync_and_hold("a A -");
    test_sql(a.db, "UPDATE t SET uuid = 'z' WHERE uuid = 'a'");
    sync_and_hold("a was z -|z A -");
    again_a(&with_name);
    sync_and_hold("a was z -|z A -");
}
END_TEST

/* Somebody has written behind the triggers' back: what lives here counts. */
START_TEST(a_tombstone_of_a_key_that_lives_gives_way)
{
    test_sql(a.db, "INSERT INTO t (uuid, name) VALUES ('a', 'A')");
    sync_and_hold("a A -");
    test_sql(a.db, "INSERT INTO tidemark_item_gone SELECT key, stamp + 5, NULL, 0, 0 FROM "
                   "tidemark_item_rows WHERE key = 'a'");
    test_sync(&a, &b);
    again_a(&with_name);
    sync_and_hold("a A -");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/repair");
    TCase *test = test_case(suite, "repair");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, a_row_taken_over_does_not_hide_a_displaced_one);
    tcase_add_test(test, a_displaced_row_that_nothing_follows_is_found_when_registered);
    tcase_add_test(test, a_trigger_made_anew_does_not_hide_a_displaced_row);
    tcase_add_test(test, two_records_of_one_key_are_one_deletion);
    tcase_add_test(test, a_table_that_was_emptied_by_dropping_it);
    tcase_add_test(test, a_table_built_anew_with_a_column_filled);
    tcase_add_test(test, a_table_built_anew_under_the_same_numbers_and_keys);
    tcase_add_test(test, the_first_column_of_a_model_travels);
    tcase_add_test(test, a_new_column_of_rows_that_came_back_travels);
    tcase_add_test(test, a_trigger_that_puts_a_deleted_row_back);
    tcase_add_test(test, a_trigger_that_keeps_the_old_key);
    tcase_add_test(test, a_tombstone_of_a_key_that_lives_gives_way);
    return test_run(suite);
}
