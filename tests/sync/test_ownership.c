/* Ownership: a device-owned row is changed by the device that made it and by no other, whoever
 * writes and whatever a peer says; and rows go with the row they refer to. */
#include <tidemark/sync.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/support_sync.h"

static test_side a, b, c;

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

static void places_are(test_side *side, const char *expected)
{
    test_text_is(side->db, expected, "SELECT uuid, name FROM place ORDER BY uuid");
}

/* ---- statements --------------------------------------------------------------------------------- */

static const char *const foreign_statements[] = {
    "UPDATE place SET name = 'mine' WHERE uuid = 'p'",
    "UPDATE OR IGNORE place SET name = 'mine'",
    "UPDATE OR REPLACE place SET name = name",
    "UPDATE place SET uuid = 'q' WHERE uuid = 'p'",
    "UPDATE place SET id = 77 WHERE uuid = 'p'",
    "UPDATE place SET uuid = 'gone' WHERE uuid = 'own'",
    "DELETE FROM place WHERE uuid = 'p'",
    "DELETE FROM place",
    "INSERT INTO place (uuid, name) VALUES ('gone', 'mine')",
    "INSERT OR REPLACE INTO place (id, uuid, name) SELECT id, uuid, 'mine' FROM place WHERE uuid = 'p'",
    "INSERT INTO place (uuid, name) VALUES ('p', 'x') ON CONFLICT (uuid) DO UPDATE SET name = 'mine'",
};

/* a made p and deleted 'gone'; b has both, and a row of its own. */
static void share(void)
{
    test_sql(a.db, "INSERT INTO place (uuid, name) VALUES ('p', 'P'), ('gone', 'G')");
    test_sync(&a, &b);
    test_sql(a.db, "DELETE FROM place WHERE uuid = 'gone'");
    test_sync(&a, &b);
    test_sql(b.db, "INSERT INTO place (uuid, name) VALUES ('own', 'O')");
}

START_TEST(a_statement_on_a_row_of_another_device_fails_and_changes_nothing)
{
    static const char records[] = "SELECT * FROM (SELECT row, key, stamp, version, device, source "
                                  "FROM tidemark_place_rows UNION ALL SELECT 0, * FROM "
                                  "tidemark_place_gone) ORDER BY row, key";
    char *before;

    share();
    before = test_text(b.db, records);
    ck_assert_int_eq(test_sql_code(b.db, foreign_statements[_i]), SQLITE_CONSTRAINT_TRIGGER);
    ck_assert_str_eq(sqlite3_errmsg(b.db), "tidemark: place belongs to another device");
    places_are(&b, "own O|p P");
    test_text_is(b.db, before, records);
    free(before);
}
END_TEST

START_TEST(the_owner_may_do_all_of_that)
{
    share();
    test_sql(a.db, "%s", foreign_statements[_i]);
    test_sync(&a, &b);
    test_sync(&a, &b);
}
END_TEST

START_TEST(shared_rows_are_everybodys)
{
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES ('x', 'X'), ('y', 'Y'), ('z', 'Z')");
    test_sync(&a, &b);
    test_sql(b.db, "UPDATE item SET name = 'mine' WHERE uuid = 'x'; DELETE FROM item WHERE "
                   "uuid = 'y'; UPDATE item SET uuid = 'q' WHERE uuid = 'z'");
    test_sync(&a, &b);
    test_text_is(a.db, "q Z|x mine", "SELECT uuid, name FROM item ORDER BY uuid");
}
END_TEST

/* A model that becomes shared, or device-owned, has other triggers from then on. */
START_TEST(the_model_decides)
{
    tide_model shared = test_place;
    const tide_model *const models[] = {&shared, &test_item};

    shared.ownership = TIDE_SHARED;
    share();
    test_side_close(&b);
    test_side_open_as(&b, 2, test_schema, models, 2);
    test_sql(b.db, "UPDATE place SET name = 'mine' WHERE uuid = 'p'");
    test_side_close(&b);
    test_side_open(&b, 2);
    test_sql(b.db, "UPDATE place SET name = 'mine again' WHERE uuid = 'p'"); /* it made that */
    ck_assert_int_eq(test_sql_code(b.db, "INSERT INTO place (uuid) VALUES ('gone')"),
                     SQLITE_CONSTRAINT_TRIGGER);
}
END_TEST

/* ---- what a peer says --------------------------------------------------------------------------- */

static int apply(test_side *side, const char *key, const char *name, int64_t at, const uuid_t device)
{
    tide_value value = test_string(name == NULL ? "" : name);
    tide_change change = {.size = sizeof change,
                          .deleted = name == NULL,
                          .resource = "place",
                          .version = TEST_START + at,
                          .key = test_string(key),
                          .values = &value,
                          .value_count = name == NULL ? 0 : 1};

    uuid_copy(change.version_device, device);
    return tide_sync_apply_state_change(side->sync, a.device, &change);
}

START_TEST(a_change_by_another_device_is_refused)
{
    uuid_t third;
    char text[256];

    test_uuid(third, 9);
    ck_assert_int_eq(apply(&b, "p", "P", 10, a.device), TIDE_OK);
    ck_assert_int_eq(apply(&b, "p", "theirs", 20, third), TIDE_EOWNER);
    tide_sync_detail(b.sync, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "place \"p\": the row belongs to device "));
    ck_assert_int_eq(apply(&b, "p", NULL, 20, third), TIDE_EOWNER);
    ck_assert_int_eq(apply(&b, "p", "older", 5, third), TIDE_STALE);
    places_are(&b, "p P");
    ck_assert_int_eq(apply(&b, "p", "again", 11, a.device), TIDE_OK);
    ck_assert_int_eq(apply(&b, "p", NULL, 12, a.device), TIDE_OK);
    ck_assert_int_eq(apply(&b, "p", "theirs", 30, third), TIDE_EOWNER); /* deleted, it is a's too */
    places_are(&b, "");
    ck_assert_int_eq(apply(&b, "p", "back", 13, a.device), TIDE_OK);
    test_sql(b.db, "INSERT INTO place (uuid) VALUES ('own')");
    ck_assert_int_eq(apply(&b, "own", "theirs", 1000, a.device), TIDE_EOWNER);
    places_are(&b, "own -|p back");
}
END_TEST

/* c takes the model for a shared one and changes a's row. */
START_TEST(a_device_that_breaks_the_rule_harms_only_itself)
{
    tide_model shared = test_place;
    const tide_model *const models[] = {&shared, &test_item};
    tide_resource_info info = {.size = sizeof info};
    char owner[UUID_STR_LEN];

    shared.ownership = TIDE_SHARED;
    test_side_open_as(&c, 3, test_schema, models, 2);
    test_sql(a.db, "INSERT INTO place (uuid, name) VALUES ('p', 'P')");
    test_sync(&a, &b);
    test_sync(&b, &c);
    test_now_ms += TEST_STEP_MS;
    test_sql(c.db, "UPDATE place SET name = 'theirs'");
    test_sync(&b, &c);
    places_are(&b, "p P");
    ck_assert_uint_eq(b.parked, 1);
    uuid_unparse_lower(a.device, owner);
    ck_assert_ptr_nonnull(strstr(b.reason, "the row belongs to device "));
    ck_assert_ptr_nonnull(strstr(b.reason, owner));
    ck_assert_int_eq(test_mark(&b, &c, "place"), test_newest(c.db, "place"));
    test_sync(&a, &b);
    places_are(&a, "p P");
    ck_assert_uint_eq(a.parked, 0); /* it went no further */
    test_now_ms += TEST_STEP_MS;
    test_sql(a.db, "UPDATE place SET name = 'P2'");
    test_sync(&a, &b);
    places_are(&b, "p P2");
    ck_assert_int_eq(tide_sync_resource_info(b.sync, "place", &info), TIDE_OK);
    ck_assert_uint_eq(info.parked, 0); /* a newer version has come */
    test_side_close(&c);
}
END_TEST

/* ---- what capture was not told of --------------------------------------------------------------- */

static void without_triggers(test_side *side, const char *sql)
{
    test_side_close(side);
    sqlite3 *db = test_connect("2.db");
    test_sql(db,
             "DROP TRIGGER tidemark_place_insert; DROP TRIGGER tidemark_place_update;"
             "DROP TRIGGER tidemark_place_rekey; DROP TRIGGER tidemark_place_delete; %s",
             sql);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    test_side_open(side, 2);
}

/* Rows of a keep their maker and version under other numbers, also each other's; one that is lost
 * here is not deleted for all. */
START_TEST(repairing_takes_nothing_for_ours)
{
    static const char versions[] = "SELECT key, version - %lld, device <> 0 FROM "
                                   "tidemark_place_rows ORDER BY key";

    test_sql(a.db, "INSERT INTO place (uuid, name) VALUES ('p', 'P'), ('q', 'Q'), ('r', 'R')");
    test_sync(&a, &b);
    test_sql(b.db, "INSERT INTO place (uuid) VALUES ('own'), ('own too')");
    without_triggers(&b, "UPDATE place SET id = id + 100; UPDATE place SET id = 103 - id;"
                         "DELETE FROM place WHERE uuid IN ('r', 'own')");
    test_text_is(b.db, "own too - 0|p 0 1|q 1 1", versions, (long long)TEST_START);
    test_text_is(b.db, "own", "SELECT key FROM tidemark_place_gone");
    test_text_is(b.db, "own too|p|q",
                 "SELECT r.key FROM tidemark_place_rows r JOIN place t ON t.id = r.row AND "
                 "t.uuid = r.key ORDER BY r.key");
    test_sync(&a, &b);
    test_text_is(a.db, "own too|p|q|r", "SELECT uuid FROM place ORDER BY uuid");
    ck_assert_uint_eq(a.parked, 0);
}
END_TEST

/* ---- rows that go with others ------------------------------------------------------------------- */

static const char tree_schema[] =
    "CREATE TABLE root (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE);"
    "CREATE TABLE node (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, root TEXT, above TEXT);"
    "CREATE TABLE note (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, node TEXT);";

static const char *const node_columns[] = {"root", "above"};
static const char *const note_columns[] = {"node"};
static const char *const on_root[] = {"root"};
static const char *const on_node[] = {"node"};
static const tide_parent node_parents[] = {{.column = "root", .resource = "root", .no_index = 1},
                                           {.column = "above", .resource = "node"}};
static const tide_parent note_parents[] = {{.column = "node", .resource = "node"}};
static const tide_model root_model = {
    .size = sizeof(tide_model), .resource = "root", .table = "root", .key = "uuid"};
static const tide_model node_model = {.size = sizeof(tide_model),
                                      .resource = "node",
                                      .table = "node",
                                      .key = "uuid",
                                      .columns = node_columns,
                                      .column_count = 2,
                                      .depends_on = on_root,
                                      .depends_on_count = 1,
                                      .parents = node_parents,
                                      .parent_count = 2};
static const tide_model note_model = {.size = sizeof(tide_model),
                                      .ownership = TIDE_SHARED,
                                      .resource = "note",
                                      .table = "note",
                                      .key = "uuid",
                                      .columns = note_columns,
                                      .column_count = 1,
                                      .depends_on = on_node,
                                      .depends_on_count = 1,
                                      .parents = note_parents,
                                      .parent_count = 1};
static const tide_model *const tree_models[] = {&root_model, &node_model, &note_model};

static void set_up_trees(void)
{
    test_clock_install();
    test_side_open_as(&a, 1, tree_schema, tree_models, 3);
    test_side_open_as(&b, 2, tree_schema, tree_models, 3);
    /* r holds 1, which holds 2, which holds 3; s holds 9. Each node has a note. */
    test_sql(a.db, "INSERT INTO root (uuid) VALUES ('r'), ('s');"
                   "INSERT INTO node (uuid, root, above) VALUES ('1', 'r', NULL), ('2', 'r', '1'), "
                   "('3', 'r', '2'), ('9', 's', NULL);"
                   "INSERT INTO note (uuid, node) SELECT 'n' || uuid, uuid FROM node");
}

#define NODES "SELECT uuid FROM node ORDER BY uuid"
#define NOTES "SELECT uuid FROM note ORDER BY uuid"

static void nodes_are(test_side *side, const char *nodes, const char *notes)
{
    test_text_is(side->db, nodes, NODES);
    test_text_is(side->db, notes, NOTES);
}

START_TEST(children_go_with_their_parent)
{
    test_sync(&a, &b);
    test_sql(a.db, "DELETE FROM node WHERE uuid = '2'");
    nodes_are(&a, "1|9", "n1|n9");
    test_text_is(a.db, "2|3", "SELECT key FROM tidemark_node_gone ORDER BY key");
    test_text_is(a.db, "n2|n3", "SELECT key FROM tidemark_note_gone ORDER BY key");
    test_sql(a.db, "DELETE FROM root WHERE uuid = 'r'");
    nodes_are(&a, "9", "n9");
    test_text_is(a.db, "9", "SELECT key FROM tidemark_node_rows");
    b.changed = 0;
    test_sync(&a, &b);
    nodes_are(&b, "9", "n9");
    ck_assert_uint_eq(b.changed, 7); /* a root, three nodes and their notes: a's own deletions */
    ck_assert_int_eq(test_number(b.db, "SELECT count(*) FROM tidemark_note_gone WHERE device = 0"),
                     0);
}
END_TEST

/* Whoever deletes: another program, many rows at once, with recursive_triggers or without. */
START_TEST(any_program_takes_them_along)
{
    sqlite3 *db = test_connect("1.db");

    test_sql(db, "PRAGMA recursive_triggers = %d", _i);
    test_sql(db, "UPDATE node SET above = '3' WHERE uuid = '1'"); /* a circle */
    test_sql(db, "DELETE FROM node WHERE uuid = '3'");
    nodes_are(&a, "9", "n9");
    test_sql(db, "DELETE FROM root");
    nodes_are(&a, "", "");
    test_text_is(
        a.db, "4 4 2",
        "SELECT (SELECT count(*) FROM tidemark_node_gone), "
        "(SELECT count(*) FROM tidemark_note_gone), (SELECT count(*) FROM tidemark_root_gone)");
    test_text_is(a.db, "0 0",
                 "SELECT (SELECT count(*) FROM tidemark_node_rows), "
                 "(SELECT count(*) FROM tidemark_note_rows)");
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

/* b put a node of its own below a's: a cannot delete it, b does when it hears. */
START_TEST(a_child_of_another_device_goes_by_its_owner)
{
    test_sync(&a, &b);
    test_sql(b.db, "INSERT INTO node (uuid, root, above) VALUES ('4', 'r', '3')");
    test_sync(&a, &b);
    test_sql(a.db, "DELETE FROM root WHERE uuid = 'r'");
    nodes_are(&a, "4|9", "n9");
    test_sync(&a, &b);
    nodes_are(&b, "9", "n9");
    ck_assert_uint_eq(b.fitted, 1); /* told as changed by nobody else */
    test_sync(&a, &b);
    nodes_are(&a, "9", "n9");
    ck_assert_uint_eq(a.parked + b.parked, 0);
}
END_TEST

/* A note that b wrote while a deleted its node: neither device keeps it. */
START_TEST(a_child_that_arrives_for_a_deleted_parent_goes)
{
    test_sync(&a, &b);
    test_sql(b.db, "INSERT INTO note (uuid, node) VALUES ('late', '3'), ('kept', '9')");
    test_sql(a.db, "DELETE FROM node WHERE uuid = '3'");
    test_sync(&a, &b);
    test_sync(&a, &b);
    nodes_are(&a, "1|2|9", "kept|n1|n2|n9");
    nodes_are(&b, "1|2|9", "kept|n1|n2|n9");
    test_text_is(a.db, "late|n3", "SELECT key FROM tidemark_note_gone ORDER BY key");
}
END_TEST

/* Its parent has not come yet, or was never told of: it waits. */
START_TEST(a_child_of_an_unknown_parent_stays)
{
    test_sql(a.db, "INSERT INTO note (uuid, node) VALUES ('lone', 'nowhere')");
    test_sync(&a, &b);
    test_sync(&a, &b);
    nodes_are(&b, "1|2|3|9", "lone|n1|n2|n3|n9");
}
END_TEST

/* What the table does not let go stays, ends no session, and is tried again. */
START_TEST(a_sweep_that_is_refused_is_repeated)
{
    test_sync(&a, &b);
    test_sql(b.db, "INSERT INTO note (uuid, node) VALUES ('late', '3');"
                   "CREATE TRIGGER stay BEFORE DELETE ON note WHEN OLD.uuid = 'late' "
                   "BEGIN SELECT RAISE(ABORT, 'stay'); END");
    test_sql(a.db, "CREATE TRIGGER stay BEFORE DELETE ON note WHEN OLD.uuid = 'late' "
                   "BEGIN SELECT RAISE(ABORT, 'stay'); END; DELETE FROM node WHERE uuid = '3'");
    test_sync(&a, &b);
    nodes_are(&b, "1|2|9", "late|n1|n2|n9");
    test_sql(a.db, "DROP TRIGGER stay");
    test_sql(b.db, "DROP TRIGGER stay");
    test_sync(&a, &b);
    nodes_are(&b, "1|2|9", "n1|n2|n9");
    test_sync(&a, &b);
    nodes_are(&a, "1|2|9", "n1|n2|n9");
}
END_TEST

START_TEST(parents_are_checked)
{
    tide_parent parents[9] = {{.column = "node", .resource = "node"}};
    tide_model model = note_model;
    tide_sync *sync = NULL;

    test_write_file("3.db", "", 0);
    ck_assert_int_eq(tide_sync_open("3.db", NULL, &sync), TIDE_OK);
    test_sql(tide_sync_database(sync), "%s", tree_schema);
    model.parents = NULL;
    ck_assert_int_eq(tide_sync_register(sync, &model), TIDE_EINVAL);
    model.parents = parents;
    ck_assert_int_eq(tide_sync_register(sync, &model), TIDE_EMODEL); /* node is not registered */
    parents[0] = (tide_parent){.column = "uuid", .resource = "node"};
    ck_assert_int_eq(tide_sync_register(sync, &model), TIDE_EINVAL);
    parents[0] = (tide_parent){.column = "node", .resource = "root"};
    ck_assert_int_eq(tide_sync_register(sync, &model), TIDE_EINVAL);
    parents[0] = (tide_parent){.resource = "node"};
    ck_assert_int_eq(tide_sync_register(sync, &model), TIDE_EINVAL);
    parents[0] = (tide_parent){.column = "node", .resource = "node", .no_index = 2};
    ck_assert_int_eq(tide_sync_register(sync, &model), TIDE_EINVAL);
    model.parent_count = 9;
    ck_assert_int_eq(tide_sync_register(sync, &model), TIDE_ELIMIT);
    ck_assert_int_eq(tide_sync_register(sync, &root_model), TIDE_OK);
    ck_assert_int_eq(tide_sync_register(sync, &node_model), TIDE_OK);
    ck_assert_int_eq(tide_sync_register(sync, &note_model), TIDE_OK);
    test_text_is(tide_sync_database(sync), "tidemark_node_above|tidemark_note_node",
                 "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name IN "
                 "('node', 'note') AND sql IS NOT NULL ORDER BY name");
    tide_sync_close(sync);
}
END_TEST

/* A model without parents leaves no trigger behind. */
START_TEST(a_model_may_lose_its_parents)
{
    tide_model alone = note_model;
    const tide_model *const models[] = {&root_model, &node_model, &alone};

    alone.parent_count = 0;
    test_side_close(&a);
    test_side_open_as(&a, 1, tree_schema, models, 3);
    test_sql(a.db, "DELETE FROM node WHERE uuid = '9'");
    nodes_are(&a, "1|2|3", "n1|n2|n3|n9");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ownership");
    TCase *test = test_case(suite, "owned");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, a_statement_on_a_row_of_another_device_fails_and_changes_nothing, 0,
                        sizeof foreign_statements / sizeof *foreign_statements);
    tcase_add_loop_test(test, the_owner_may_do_all_of_that, 0, 5);
    tcase_add_test(test, shared_rows_are_everybodys);
    tcase_add_test(test, the_model_decides);
    tcase_add_test(test, a_change_by_another_device_is_refused);
    tcase_add_test(test, a_device_that_breaks_the_rule_harms_only_itself);
    tcase_add_test(test, repairing_takes_nothing_for_ours);

    test = test_case(suite, "cascade");
    tcase_add_checked_fixture(test, set_up_trees, tear_down);
    tcase_add_test(test, children_go_with_their_parent);
    tcase_add_loop_test(test, any_program_takes_them_along, 0, 2);
    tcase_add_test(test, a_child_of_another_device_goes_by_its_owner);
    tcase_add_test(test, a_child_that_arrives_for_a_deleted_parent_goes);
    tcase_add_test(test, a_child_of_an_unknown_parent_stays);
    tcase_add_test(test, a_sweep_that_is_refused_is_repeated);
    tcase_add_test(test, parents_are_checked);
    tcase_add_test(test, a_model_may_lose_its_parents);
    return test_run(suite);
}
