/* Models: which tables are taken, what is refused and in what words, the order, and the engine's
 * opening. */
#include "sync/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sync/capture.h"
#include "sync/support_sync.h"

#define MARKS_FILE "marks.mdb"

static test_side side;

static const char schema[] =
    "CREATE TABLE good (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT, size,"
    "    twice AS (size * 2), stored AS (size * 3) STORED);"
    "CREATE VIEW v AS SELECT * FROM good;"
    "CREATE VIRTUAL TABLE fts USING fts5(uuid, name);"
    "CREATE TABLE narrow (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name) WITHOUT ROWID;"
    "CREATE TABLE nokey (uuid TEXT NOT NULL UNIQUE, name);"
    "CREATE TABLE textkey (id TEXT PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name);"
    "CREATE TABLE intkey (id INT PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name);"
    "CREATE TABLE desckey (id INTEGER PRIMARY KEY DESC, uuid TEXT NOT NULL UNIQUE, name);"
    "CREATE TABLE pairkey (id INTEGER, j INTEGER, uuid TEXT NOT NULL UNIQUE, name,"
    "    PRIMARY KEY (id, j));"
    "CREATE TABLE nullable (id INTEGER PRIMARY KEY, uuid TEXT UNIQUE, name);"
    "CREATE TABLE twins (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, name);"
    "CREATE TABLE plain (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, name);"
    "CREATE INDEX plain_uuid ON plain(uuid);"
    "CREATE TABLE compound (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, name, UNIQUE (uuid, name));"
    "CREATE TABLE partial (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, name);"
    "CREATE UNIQUE INDEX partial_uuid ON partial(uuid) WHERE name IS NOT NULL;"
    "CREATE TABLE expression (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, name);"
    "CREATE UNIQUE INDEX expression_uuid ON expression(lower(uuid));"
    "CREATE TABLE generated (id INTEGER PRIMARY KEY, base, name,"
    "    uuid TEXT NOT NULL UNIQUE GENERATED ALWAYS AS (base || 'x'));"
    "CREATE TABLE folded (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL COLLATE NOCASE, name);"
    "CREATE UNIQUE INDEX folded_uuid ON folded(uuid COLLATE BINARY);"
    "CREATE TABLE nocase (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE COLLATE NOCASE, name);"
    "CREATE TABLE late (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, name);"
    "CREATE UNIQUE INDEX late_uuid ON late(uuid);"
    "CREATE TABLE late_id (uuid TEXT NOT NULL UNIQUE, name, id INTEGER, PRIMARY KEY (id));"
    "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, name);"
    "CREATE TABLE named (\"the id\" integer PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name ANY) STRICT;";

static const char *const name_column[] = {"name"};

static void set_up(void)
{
    test_clock_install();
    test_side_open_as(&side, 1, schema, NULL, 0);
}

static void tear_down(void)
{
    test_side_close(&side);
}

static tide_model model_of(const char *table)
{
    return (tide_model){.size = sizeof(tide_model),
                        .resource = "thing",
                        .table = table,
                        .key = "uuid",
                        .columns = name_column,
                        .column_count = 1};
}

/* The refusal's code, its one line that names `name`, and that it left nothing behind. */
static void refused(const tide_model *model, int code, const char *name)
{
    char detail[512] = "";
    int64_t version = test_number(side.db, "PRAGMA schema_version");

    ck_assert_int_eq(tide_sync_register(side.sync, model), code);
    tide_sync_detail(side.sync, detail, sizeof detail);
    ck_assert_msg(strlen(detail) > 0 && strchr(detail, '\n') == NULL, "detail: \"%s\"", detail);
    ck_assert_msg(strstr(detail, name) != NULL, "\"%s\" does not name %s", detail, name);
    ck_assert_int_eq(test_number(side.db, "PRAGMA schema_version"), version);
    ck_assert_int_eq(sqlite3_get_autocommit(side.db), 1);
    ck_assert_int_eq(tide_model_is_device_owned(side.sync, "thing"), TIDE_EMODEL);
}

static void taken(const tide_model *model)
{
    char detail[512] = "";
    int rc = tide_sync_register(side.sync, model);

    tide_sync_detail(side.sync, detail, sizeof detail);
    ck_assert_msg(rc == TIDE_OK, "%s: %s", model->table, detail);
}

/* ---- tables ------------------------------------------------------------------------------------- */

static const char *const bad_tables[] = {
    "missing",    "v",         "fts",      "narrow", "nokey",         "textkey",         "intkey",
    "desckey",    "pairkey",   "nullable", "twins",  "plain",         "compound",        "partial",
    "expression", "generated", "folded",   "nocase", "sqlite_master", "sqlite_sequence",
};

START_TEST(a_table_that_does_not_fit_is_refused_by_name)
{
    tide_model model = model_of(bad_tables[_i]);

    refused(&model, TIDE_EMODEL, bad_tables[_i]);
}
END_TEST

static const char *const good_tables[] = {"good", "late", "late_id", "counted", "named", "GOOD"};

START_TEST(a_table_that_fits_is_taken)
{
    tide_model model = model_of(good_tables[_i]);

    taken(&model);
    ck_assert_int_eq(tide_model_is_device_owned(side.sync, "thing"), 1);
}
END_TEST

static const char *const bad_columns[] = {"missing", "twice", "stored", "id"};

START_TEST(a_column_that_cannot_travel_is_refused_by_name)
{
    const char *const columns[] = {"name", bad_columns[_i]};
    tide_model model = model_of("good");

    model.columns = columns;
    model.column_count = 2;
    refused(&model, TIDE_EMODEL, bad_columns[_i]);
}
END_TEST

START_TEST(a_key_that_cannot_be_one_is_refused_by_name)
{
    static const char *const keys[] = {"missing", "id", "size", "twice"};
    tide_model model = model_of("good");

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        model.key = keys[i];
        refused(&model, TIDE_EMODEL, keys[i]);
    }
}
END_TEST

/* ---- arguments ---------------------------------------------------------------------------------- */

START_TEST(columns_are_named_once_and_are_not_the_key)
{
    const char *const twice[] = {"name", "size", "NAME"};
    const char *const key[] = {"name", "UUID"};
    const char *const null[] = {"name", NULL};
    const char *const empty[] = {""};
    tide_model model = model_of("good");

    model.columns = twice;
    model.column_count = 3;
    refused(&model, TIDE_EINVAL, "NAME");
    model.columns = key;
    model.column_count = 2;
    refused(&model, TIDE_EINVAL, "thing");
    model.columns = null;
    refused(&model, TIDE_EINVAL, "thing");
    model.columns = empty;
    model.column_count = 1;
    refused(&model, TIDE_EINVAL, "thing");
}
END_TEST

START_TEST(a_resource_is_a_short_plain_name)
{
    static const char *const bad[] = {"",
                                      "Thing",
                                      "a b",
                                      "a|b",
                                      "a-b",
                                      "é",
                                      "a\n",
                                      "a\"b",
                                      "a.b",
                                      ("0123456789012345678901234567890123456789"
                                       "0123456789012345678901234")};
    char longest[TIDE_MODEL_NAME_MAX + 1];
    tide_model model = model_of("good");

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        model.resource = bad[i];
        refused(&model, TIDE_EINVAL, "resource");
    }
    model.resource = NULL;
    refused(&model, TIDE_EINVAL, "resource");
    memset(longest, 'z', TIDE_MODEL_NAME_MAX);
    longest[TIDE_MODEL_NAME_MAX] = '\0';
    model.resource = longest;
    taken(&model);
    model.resource = "0";
    taken(&model);
}
END_TEST

START_TEST(identifiers_have_a_longest_length)
{
    char longest[TIDE_IDENTIFIER_MAX + 1];
    char longer[TIDE_IDENTIFIER_MAX + 2];
    const char *columns[] = {longer};
    tide_model model = model_of("good");

    memset(longest, 'x', sizeof longest);
    longest[TIDE_IDENTIFIER_MAX] = '\0';
    memset(longer, 'x', sizeof longer);
    longer[TIDE_IDENTIFIER_MAX + 1] = '\0';
    model.table = longer;
    refused(&model, TIDE_EINVAL, "thing");
    model.table = "good";
    model.key = longer;
    refused(&model, TIDE_EINVAL, "thing");
    model.key = "uuid";
    model.columns = columns;
    refused(&model, TIDE_EINVAL, "thing");
    model = model_of(NULL);
    refused(&model, TIDE_EINVAL, "thing");
    model = model_of("good");
    model.key = NULL;
    refused(&model, TIDE_EINVAL, "thing");
    test_sql(side.db, "CREATE TABLE \"%w\" (id INTEGER PRIMARY KEY, uuid NOT NULL UNIQUE, \"%w\")",
             longest, longest);
    model = model_of(longest);
    columns[0] = longest;
    model.columns = columns;
    taken(&model);
}
END_TEST

START_TEST(columns_and_dependencies_have_a_largest_number)
{
    static char names[TIDE_COLUMNS_MAX + 1][8];
    const char *columns[TIDE_COLUMNS_MAX + 1];
    const char *depends[TIDE_DEPENDENCIES_MAX + 1];
    sqlite3_str *sql = sqlite3_str_new(NULL);
    char *text;
    tide_model model = model_of("wide");

    sqlite3_str_appendall(sql, "CREATE TABLE wide (id INTEGER PRIMARY KEY, uuid NOT NULL UNIQUE");
    for (size_t i = 0; i <= TIDE_COLUMNS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "c%u", (unsigned)i);
        columns[i] = names[i];
        sqlite3_str_appendf(sql, ", %s", names[i]);
    }
    sqlite3_str_appendall(sql, ")");
    text = sqlite3_str_finish(sql);
    test_sql(side.db, "%s", text);
    sqlite3_free(text);
    for (size_t i = 0; i <= TIDE_DEPENDENCIES_MAX; i++)
        depends[i] = "other";
    model.columns = columns;
    model.column_count = TIDE_COLUMNS_MAX + 1;
    refused(&model, TIDE_ELIMIT, "thing");
    model.column_count = TIDE_COLUMNS_MAX;
    model.depends_on = depends;
    model.depends_on_count = TIDE_DEPENDENCIES_MAX + 1;
    refused(&model, TIDE_ELIMIT, "thing");
    model.depends_on_count = TIDE_DEPENDENCIES_MAX;
    taken(&model);
    test_sql(side.db, "INSERT INTO wide (uuid, c255) VALUES ('a', 1)");
    test_text_is(side.db, "a", "SELECT key FROM tidemark_thing_rows");
}
END_TEST

START_TEST(models_have_a_largest_number)
{
    tide_model model = model_of("good");
    char resource[24];

    model.resource = resource;
    for (int i = 0; i < TIDE_MODELS_MAX; i++) {
        snprintf(resource, sizeof resource, "thing_%d", i);
        taken(&model);
    }
    snprintf(resource, sizeof resource, "thing_more");
    refused(&model, TIDE_ELIMIT, "64");
}
END_TEST

START_TEST(a_resource_is_registered_once)
{
    tide_model model = model_of("good");
    tide_model other = model_of("late");
    char detail[256];

    taken(&model);
    ck_assert_int_eq(tide_sync_register(side.sync, &model), TIDE_EBUSY);
    tide_sync_detail(side.sync, detail, sizeof detail);
    ck_assert_ptr_nonnull(strstr(detail, "thing"));
    ck_assert_int_eq(tide_sync_register(side.sync, &other), TIDE_EBUSY);
    test_text_is(side.db, "0",
                 "SELECT count(*) FROM sqlite_master WHERE tbl_name = 'late' AND "
                 "type = 'trigger'");
}
END_TEST

START_TEST(other_wrong_arguments)
{
    tide_model model = model_of("good");
    const char *const depends[] = {"ok", "Not OK"};

    ck_assert_int_eq(tide_sync_register(NULL, &model), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_register(side.sync, NULL), TIDE_EINVAL);
    model.size = 0;
    refused(&model, TIDE_EINVAL, "size");
    model = model_of("good");
    model.ownership = 2;
    refused(&model, TIDE_EINVAL, "ownership");
    model = model_of("good");
    model.depends_on = depends;
    model.depends_on_count = 2;
    refused(&model, TIDE_EINVAL, "thing");
}
END_TEST

START_TEST(a_transaction_of_the_caller_is_in_the_way)
{
    tide_model model = model_of("good");

    test_sql(side.db, "BEGIN");
    ck_assert_int_eq(tide_sync_register(side.sync, &model), TIDE_EBUSY);
    ck_assert_int_eq(sqlite3_get_autocommit(side.db), 0);
    test_sql(side.db, "COMMIT");
    taken(&model);
}
END_TEST

/* ---- ownership and order ------------------------------------------------------------------------ */

START_TEST(ownership_is_as_registered)
{
    tide_model model = model_of("good");

    taken(&model);
    model.resource = "shared";
    model.ownership = TIDE_SHARED;
    taken(&model);
    ck_assert_int_eq(tide_model_is_device_owned(side.sync, "thing"), 1);
    ck_assert_int_eq(tide_model_is_device_owned(side.sync, "shared"), 0);
    ck_assert_int_eq(tide_model_is_device_owned(side.sync, "thin"), TIDE_EMODEL);
    ck_assert_int_eq(tide_model_is_device_owned(side.sync, "thing2"), TIDE_EMODEL);
    ck_assert_int_eq(tide_model_is_device_owned(side.sync, ""), TIDE_EMODEL);
    ck_assert_int_eq(tide_model_is_device_owned(side.sync, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_model_is_device_owned(NULL, "thing"), TIDE_EINVAL);
}
END_TEST

/* Registers resources from "name:dep,dep name ..." in that order. */
static void add_models(const char *words)
{
    char copy[256];
    char *save = NULL;

    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        const char *depends[8];
        size_t count = 0;
        char *rest = NULL;
        tide_model model = model_of("good");

        model.resource = strtok_r(word, ":,", &rest);
        while ((depends[count] = strtok_r(NULL, ":,", &rest)) != NULL)
            count++;
        model.depends_on = depends;
        model.depends_on_count = count;
        taken(&model);
    }
}

static int collect(void *ctx, const char *resource)
{
    char *text = ctx;

    snprintf(text + strlen(text), 256 - strlen(text), "%s%s", *text == '\0' ? "" : " ", resource);
    return 0;
}

static int stop_at_b(void *ctx, const char *resource)
{
    (void)collect(ctx, resource);
    return strcmp(resource, "b") == 0 ? 77 : 0;
}

static const struct {
    const char *models;
    int code;
    const char *order;
} orders[] = {
    {"", TIDE_OK, ""},
    {"c b a", TIDE_OK, "c b a"},
    {"c:a b a", TIDE_OK, "b a c"},
    {"d:c c:b b:a a", TIDE_OK, "a b c d"},
    {"a b:a c:a d:b,c", TIDE_OK, "a b c d"},
    {"d:b,c c:a b:a a", TIDE_OK, "a c b d"},
    {"e d:e c a:e b", TIDE_OK, "e d c a b"},
    {"a:b,b,b b", TIDE_OK, "b a"},
    {"a:a", TIDE_ECYCLE, ""},
    {"a:b b:a", TIDE_ECYCLE, ""},
    {"z a:b b:c c:a", TIDE_ECYCLE, ""},
    {"a b:nobody", TIDE_EMODEL, ""},
    {"a:b b:a c:nobody", TIDE_EMODEL, ""},
};

START_TEST(the_order_is_dependencies_first_then_registration)
{
    char text[256] = "";
    char detail[256];
    tide_session *session = NULL;

    add_models(orders[_i].models);
    ck_assert_int_eq(tide_sync_order(side.sync, collect, text), orders[_i].code);
    ck_assert_str_eq(text, orders[_i].order);
    ck_assert_int_eq(tide_session_open(side.sync, NULL, &session), orders[_i].code);
    ck_assert_int_eq(session == NULL, orders[_i].code != TIDE_OK);
    tide_session_close(session);
    if (orders[_i].code == TIDE_EMODEL) {
        tide_sync_detail(side.sync, detail, sizeof detail);
        ck_assert_ptr_nonnull(strstr(detail, "nobody"));
    }
}
END_TEST

START_TEST(a_walk_over_the_order_stops_when_told)
{
    char text[256] = "";

    add_models("a b c");
    ck_assert_int_eq(tide_sync_order(side.sync, stop_at_b, text), 77);
    ck_assert_str_eq(text, "a b");
    ck_assert_int_eq(tide_sync_order(side.sync, NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_order(NULL, collect, text), TIDE_EINVAL);
}
END_TEST

/* ---- opening and attaching ---------------------------------------------------------------------- */

/* Opens and must be refused, with a line that names `name`. */
static void open_refused(const char *path, const tide_sync_options *given, int code,
                         const char *name)
{
    tide_sync_options options;
    tide_sync *sync = side.sync;
    char detail[512] = "";

    tide_sync_options_init(&options);
    if (given != NULL)
        options = *given;
    options.detail = detail;
    options.detail_bytes = sizeof detail;
    ck_assert_int_eq(tide_sync_open(path, &options, &sync), code);
    ck_assert_ptr_null(sync);
    ck_assert_msg(strlen(detail) > 0 && strchr(detail, '\n') == NULL, "detail: \"%s\"", detail);
    ck_assert_msg(strstr(detail, name) != NULL, "\"%s\" does not name %s", detail, name);
    options.detail_bytes = 5;
    ck_assert_int_eq(tide_sync_open(path, &options, &sync), code);
    ck_assert_uint_lt(strlen(detail), 5);
}

START_TEST(what_is_no_database_is_refused)
{
    static const char text[] = "This is a text file, long enough to be looked at as a database.\n"
                               "It has more than one hundred bytes, the size of SQLite's header.\n";
    test_bytes before;

    open_refused("missing.db", NULL, TIDE_ENOENT, "missing.db");
    ck_assert_int_ne(access("missing.db", F_OK), 0);
    open_refused("no/such/folder.db", NULL, TIDE_ENOENT, "no/such/folder.db");
    ck_assert_int_eq(mkdir("folder", 0700), 0);
    open_refused("folder", NULL, TIDE_EFORMAT, "folder");
    test_write_file("text", text, sizeof text - 1);
    before = test_read_file("text");
    open_refused("text", NULL, TIDE_EFORMAT, "text");
    ck_assert(test_file_is("text", before));
    free(before.data);
    ck_assert_int_eq(mkfifo("pipe", 0600), 0);
    open_refused("pipe", NULL, TIDE_EFORMAT, "pipe");
}
END_TEST

START_TEST(an_empty_file_will_do)
{
    tide_sync *sync = NULL;
    uuid_t device;
    uuid_t library;

    test_write_file("empty.db", "", 0);
    ck_assert_int_eq(tide_sync_open("empty.db", NULL, &sync), TIDE_OK);
    tide_sync_device(sync, device);
    tide_sync_library(sync, library);
    ck_assert(!uuid_is_null(device) && !uuid_is_null(library) && uuid_compare(device, library) != 0);
    tide_sync_close(sync);
    ck_assert_int_eq(tide_sync_open("empty.db", NULL, &sync), TIDE_OK);
    tide_sync_close(sync);
}
END_TEST

START_TEST(the_identity_stays)
{
    uuid_t device;
    uuid_t library;
    uuid_t expected;
    tide_time epoch = test_epoch(&side);
    tide_sync *sync = NULL;

    test_library_uuid(expected);
    test_now_ms += TEST_STEP_MS;
    ck_assert_int_eq(tide_sync_open(side.path, NULL, &sync), TIDE_OK);
    tide_sync_device(sync, device);
    tide_sync_library(sync, library);
    ck_assert_int_eq(uuid_compare(device, side.device), 0);
    ck_assert_int_eq(uuid_compare(library, expected), 0);
    tide_sync_close(sync);
    ck_assert_int_eq(test_epoch(&side), epoch);
    ck_assert_int_eq(epoch, TEST_START);
}
END_TEST

START_TEST(another_identity_is_refused)
{
    tide_sync_options options;
    uuid_t other;
    char *before = test_text(side.db, "SELECT * FROM tidemark_state");

    test_uuid(other, 4711);
    tide_sync_options_init(&options);
    options.device = other;
    open_refused(side.path, &options, TIDE_ELIBRARY, "device");
    tide_sync_options_init(&options);
    options.library = other;
    open_refused(side.path, &options, TIDE_ELIBRARY, "library");
    test_text_is(side.db, before, "SELECT * FROM tidemark_state");
    free(before);
}
END_TEST

static void count_up(void *ctx, void *bytes, size_t size)
{
    unsigned char *out = bytes;

    for (size_t i = 0; i < size; i++)
        out[i] = (*(unsigned char *)ctx)++;
}

/* The device's id first, then the library's, each with the marks of a random UUID; then a number
 * for each session, as its messages carry it. */
START_TEST(ids_come_from_the_generator_that_was_given)
{
    static const char ids[] = "00010203-0405-4607-8809-0a0b0c0d0e0f "
                              "10111213-1415-4617-9819-1a1b1c1d1e1f";
    unsigned char next = 0;
    tide_sync_options options;
    tide_sync *sync = NULL;
    tide_session *session = NULL;
    uuid_t device;
    test_marks *marks;
    sqlite3 *db;

    test_write_file("new.db", "", 0);
    tide_sync_options_init(&options);
    options.random = count_up;
    options.random_ctx = &next;
    ck_assert_int_eq(tide_sync_open("new.db", &options, &sync), TIDE_OK);
    db = tide_sync_database(sync);
    test_text_is(db, ids, "SELECT device, library FROM tidemark_state");
    tide_sync_device(sync, device);
    marks = test_marks_make(device);
    ck_assert_int_eq(tide_sync_attach(sync, test_marks_handle(marks)), TIDE_OK);
    ck_assert_int_eq(tide_session_open(sync, NULL, &session), TIDE_OK);
    ck_assert_int_eq(next, 64); /* two ids, a life, and the session */
    tide_session_close(session);
    tide_sync_close(sync);
    test_marks_free(marks);
}
END_TEST

START_TEST(another_capture_format_is_refused)
{
    test_sql(side.db, "UPDATE tidemark_state SET format = %d", TIDE__CAPTURE_FORMAT + 1);
    open_refused(side.path, NULL, TIDE_EFORMAT, "format");
    test_sql(side.db, "UPDATE tidemark_state SET format = %d", TIDE__CAPTURE_FORMAT);
    test_sql(side.db, "UPDATE tidemark_state SET device = 'nonsense'");
    open_refused(side.path, NULL, TIDE_ECORRUPT, "tidemark_state");
    test_sql(side.db, "UPDATE tidemark_state SET device = x'00'");
    open_refused(side.path, NULL, TIDE_ECORRUPT, "tidemark_state");
}
END_TEST

START_TEST(a_lost_identity_is_not_made_anew)
{
    test_sql(side.db, "DELETE FROM tidemark_state");
    open_refused(side.path, NULL, TIDE_ECORRUPT, "tidemark_state");
}
END_TEST

START_TEST(a_damaged_list_of_devices_is_refused)
{
    test_sql(side.db, "INSERT INTO tidemark_devices VALUES (7, 'nonsense', 0)");
    open_refused(side.path, NULL, TIDE_ECORRUPT, "tidemark_devices");
}
END_TEST

START_TEST(wrong_arguments_of_opening)
{
    tide_sync_options options;
    tide_sync *sync = side.sync;

    ck_assert_int_eq(tide_sync_open(side.path, NULL, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_open(NULL, NULL, &sync), TIDE_EINVAL);
    ck_assert_ptr_null(sync);
    tide_sync_options_init(&options);
    options.size--;
    ck_assert_int_eq(tide_sync_open(side.path, &options, &sync), TIDE_EINVAL);
    tide_sync_close(NULL);
}
END_TEST

START_TEST(a_file_nobody_may_write_is_refused)
{
    if (geteuid() == 0) {
        test_skipped("a_file_nobody_may_write_is_refused", "running as root");
        return;
    }
    test_write_file("locked.db", "", 0);
    ck_assert_int_eq(chmod("locked.db", 0400), 0);
    open_refused("locked.db", NULL, TIDE_EACCES, "locked.db");
}
END_TEST

START_TEST(marks_of_another_device_are_refused)
{
    uuid_t other;
    test_marks *marks;
    char detail[256];

    test_uuid(other, 2);
    marks = test_marks_make(other);
    ck_assert_int_eq(tide_sync_attach(side.sync, test_marks_handle(marks)), TIDE_ELIBRARY);
    tide_sync_detail(side.sync, detail, sizeof detail);
    ck_assert_ptr_nonnull(strstr(detail, "device"));
    ck_assert_int_eq(tide_sync_attach(side.sync, NULL), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_attach(NULL, test_marks_handle(marks)), TIDE_EINVAL);
    test_marks_free(marks);
}
END_TEST

START_TEST(without_marks_there_is_no_session)
{
    tide_sync *sync = NULL;
    tide_session *session = side.session;
    uuid_t peer;
    tide_time mark = 5;
    tide_model model = model_of("good");

    test_uuid(peer, 2);
    ck_assert_int_eq(tide_sync_open(side.path, NULL, &sync), TIDE_OK);
    ck_assert_int_eq(tide_sync_register(sync, &model), TIDE_OK);
    ck_assert_int_eq(tide_session_open(sync, NULL, &session), TIDE_EINVAL);
    ck_assert_ptr_null(session);
    ck_assert_int_eq(tide_sync_get_resource_watermark(sync, peer, "thing", &mark), TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_update_state_watermark(sync, peer, "thing", 0, 1, 1), TIDE_EINVAL);
    ck_assert_int_eq(mark, 5);
    tide_sync_close(sync);
}
END_TEST

START_TEST(marks_through_the_engine)
{
    uuid_t peer;
    tide_time mark = 5;
    tide_model model = model_of("good");
    tide_store *store;
    tide_watermarks *marks = NULL;

    test_uuid(peer, 2);
    taken(&model);
    store = test_open(MARKS_FILE, NULL);
    ck_assert_int_eq(tide_watermarks_open_lmdb(store, side.device, &marks), TIDE_OK);
    ck_assert_int_eq(tide_sync_attach(side.sync, marks), TIDE_OK);
    ck_assert_int_eq(tide_sync_get_resource_watermark(side.sync, peer, "thing", &mark), TIDE_ABSENT);
    ck_assert_int_eq(mark, 5);
    ck_assert_int_eq(tide_sync_get_resource_watermark(side.sync, peer, "nothing", &mark),
                     TIDE_EMODEL);
    ck_assert_int_eq(tide_sync_get_resource_watermark(side.sync, side.device, "thing", &mark),
                     TIDE_EINVAL);
    ck_assert_int_eq(tide_sync_update_state_watermark(side.sync, peer, "nothing", 0, 1, 1),
                     TIDE_EMODEL);
    ck_assert_int_eq(tide_sync_update_state_watermark(side.sync, peer, "thing", 10, 20, 1),
                     TIDE_GAP);
    ck_assert_int_eq(
        tide_sync_update_state_watermark(side.sync, peer, "thing", TIDE_TIME_NONE, 20, 1), TIDE_OK);
    ck_assert_int_eq(tide_sync_update_state_watermark(side.sync, peer, "thing", 10, 20, 1),
                     TIDE_STALE);
    ck_assert_int_eq(tide_sync_update_state_watermark(side.sync, peer, "thing", 20, 30, 2),
                     TIDE_CONFLICT);
    ck_assert_int_eq(tide_sync_update_state_watermark(side.sync, peer, "thing", 21, 30, 1),
                     TIDE_GAP);
    ck_assert_int_eq(tide_sync_update_state_watermark(side.sync, peer, "thing", 20, 30, 1), TIDE_OK);
    ck_assert_int_eq(tide_sync_get_resource_watermark(side.sync, peer, "thing", &mark), TIDE_OK);
    ck_assert_int_eq(mark, 30);
    ck_assert_int_eq(tide_sync_attach(side.sync, test_marks_handle(side.marks)), TIDE_OK);
    tide_watermarks_close(marks);
    tide_close(store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/model");
    TCase *test = test_case(suite, "tables");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, a_table_that_does_not_fit_is_refused_by_name, 0,
                        (int)(sizeof bad_tables / sizeof *bad_tables));
    tcase_add_loop_test(test, a_table_that_fits_is_taken, 0,
                        (int)(sizeof good_tables / sizeof *good_tables));
    tcase_add_loop_test(test, a_column_that_cannot_travel_is_refused_by_name, 0,
                        (int)(sizeof bad_columns / sizeof *bad_columns));
    tcase_add_test(test, a_key_that_cannot_be_one_is_refused_by_name);

    test = test_case(suite, "arguments");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, columns_are_named_once_and_are_not_the_key);
    tcase_add_test(test, a_resource_is_a_short_plain_name);
    tcase_add_test(test, identifiers_have_a_longest_length);
    tcase_add_test(test, columns_and_dependencies_have_a_largest_number);
    tcase_add_test(test, models_have_a_largest_number);
    tcase_add_test(test, a_resource_is_registered_once);
    tcase_add_test(test, other_wrong_arguments);
    tcase_add_test(test, a_transaction_of_the_caller_is_in_the_way);

    test = test_case(suite, "order");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, ownership_is_as_registered);
    tcase_add_loop_test(test, the_order_is_dependencies_first_then_registration, 0,
                        (int)(sizeof orders / sizeof *orders));
    tcase_add_test(test, a_walk_over_the_order_stops_when_told);

    test = test_case(suite, "opening");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, what_is_no_database_is_refused);
    tcase_add_test(test, an_empty_file_will_do);
    tcase_add_test(test, the_identity_stays);
    tcase_add_test(test, another_identity_is_refused);
    tcase_add_test(test, ids_come_from_the_generator_that_was_given);
    tcase_add_test(test, another_capture_format_is_refused);
    tcase_add_test(test, a_lost_identity_is_not_made_anew);
    tcase_add_test(test, a_damaged_list_of_devices_is_refused);
    tcase_add_test(test, wrong_arguments_of_opening);
    tcase_add_test(test, a_file_nobody_may_write_is_refused);
    tcase_add_test(test, marks_of_another_device_are_refused);
    tcase_add_test(test, without_marks_there_is_no_session);
    tcase_add_test(test, marks_through_the_engine);
    return test_run(suite);
}
