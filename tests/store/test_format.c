/* The file as other programs see it: golden text through LMDB's own tool and through LMDB itself. */
#define _GNU_SOURCE 1
#include <tidemark/store.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lmdb.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define DEVICE "00112233-4455-6677-8899-aabbccddeeff"
#define PEER "ffeeddcc-bbaa-9988-7766-554433221100"

static const uuid_t device = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                              0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
static const uuid_t peer = {0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88,
                            0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00};

#define TEN INT64_C(1735725600000000000)   /* 2025-01-01T10:00:00Z */
#define LATER INT64_C(1735725601000000002) /* 2025-01-01T10:00:01.000000002Z */
#define BEGAN INT64_C(1735603200000000000) /* 2024-12-31T00:00:00Z */
#define MADE INT64_C(1735725599000000000)  /* 2025-01-01T09:59:59Z */

#define AT_TEN "2025-01-01T10:00:00.000000000Z"
#define AT_LATER "2025-01-01T10:00:01.000000002Z"

/* key, value */
static const char *const golden_marks[][2] = {
    {DEVICE "|" PEER "|entry", AT_TEN "|" AT_LATER "|2024-12-31T00:00:00.000000000Z|f634e47c"},
    {DEVICE "|" PEER "|location", AT_TEN "|" AT_LATER "||84b55948"},
    {PEER "|" DEVICE "|\xc3\xa9t\xc3\xa9", "1969-12-31T23:59:59.999999999Z|" AT_LATER "||340f0d02"},
    {PEER "|" DEVICE "|a\\b", "1677-09-21T00:12:43.145224193Z|" AT_LATER "||33e9deea"},
    {PEER "|" DEVICE "|end", "2262-04-11T23:47:16.854775807Z|" AT_LATER "||7f6b702f"},
};
#define MARKS (sizeof golden_marks / sizeof *golden_marks)

static void make_store(void)
{
    tide_time now = MADE;
    tide_options options;
    tide_store *store;
    tide_step step = {device, peer, "entry", TIDE_TIME_NONE, TEN, BEGAN};

    test_options(&options, 0);
    options.clock = test_clock;
    options.clock_ctx = &now;
    store = test_open(FILE_NAME, &options);
    now = LATER;
    ck_assert_int_eq(tide_advance(store, device, peer, "location", TEN), TIDE_OK);
    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DURABLE), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, peer, device, "\xc3\xa9t\xc3\xa9", -1), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, peer, device, "a\\b", TIDE_TIME_MIN), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, peer, device, "end", TIDE_TIME_MAX), TIDE_OK);
    tide_close(store);
}

/* ---- through the tool --------------------------------------------------------------------------- */

/* What `mdb_dump -p` prints between header and end; false where the tool is not installed. */
static bool dump(const char *name, char *out, size_t size)
{
    static const char header[] = "HEADER=END\n", end[] = "DATA=END\n";
    char command[128];
    const char *from, *to;
    test_bytes text;
    int rc;

    if (system("command -v mdb_dump >/dev/null 2>&1") != 0)
        return false;
    snprintf(command, sizeof command, "mdb_dump -n -p -s %s " FILE_NAME " >dump", name);
    rc = system(command);
    ck_assert_int_eq(rc, 0);
    text = test_read_file("dump");
    text.data[text.length] = '\0';
    from = strstr((char *)text.data, header);
    ck_assert_ptr_nonnull(from);
    from += sizeof header - 1;
    to = strstr(from, end);
    ck_assert_ptr_nonnull(to);
    ck_assert_uint_lt((size_t)(to - from), size);
    memcpy(out, from, (size_t)(to - from));
    out[to - from] = '\0';
    free(text.data);
    return true;
}

START_TEST(the_marks_are_text_that_any_tool_shows)
{
    static const char expected[] =
        " " DEVICE "|" PEER "|entry\n"
        " " AT_TEN "|" AT_LATER "|2024-12-31T00:00:00.000000000Z|f634e47c\n"
        " " DEVICE "|" PEER "|location\n"
        " " AT_TEN "|" AT_LATER "||84b55948\n"
        " " PEER "|" DEVICE "|a\\5cb\n"
        " 1677-09-21T00:12:43.145224193Z|" AT_LATER "||33e9deea\n"
        " " PEER "|" DEVICE "|end\n"
        " 2262-04-11T23:47:16.854775807Z|" AT_LATER "||7f6b702f\n"
        " " PEER "|" DEVICE "|\\c3\\a9t\\c3\\a9\n"
        " 1969-12-31T23:59:59.999999999Z|" AT_LATER "||340f0d02\n";
    char text[4096], *backslash;

    make_store();
    if (!dump("marks", text, sizeof text)) {
        test_skipped("the_marks_are_text_that_any_tool_shows", "mdb_dump is not installed");
        return;
    }
    /* Before 0.9.25 the tool does not escape the backslash itself. */
    backslash = strstr(text, "|a\\b\n");
    if (backslash != NULL) {
        memmove(backslash + 4, backslash + 2, strlen(backslash + 2) + 1);
        memcpy(backslash, "|a\\5c", 5);
    }
    ck_assert_str_eq(text, expected);
}
END_TEST

START_TEST(the_metadata_are_text_that_any_tool_shows)
{
    char text[4096], expected[256], id[UUID_STR_LEN];
    tide_info info = {.size = sizeof info};
    tide_store *store;

    make_store();
    if (!dump("meta", text, sizeof text)) {
        test_skipped("the_metadata_are_text_that_any_tool_shows", "mdb_dump is not installed");
        return;
    }
    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    tide_close(store);
    ck_assert_int_eq(info.created_at, MADE);
    ck_assert_uint_eq(info.format_version, 1);
    uuid_unparse_lower(info.store_id, id);
    snprintf(expected, sizeof expected,
             " created\n 2025-01-01T09:59:59.000000000Z\n format\n 1\n store\n %s\n", id);
    ck_assert_str_eq(text, expected);
}
END_TEST

/* ---- through LMDB ------------------------------------------------------------------------------- */

static void read_marks(void *ctx)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key, value;
    size_t found = 0;
    unsigned flags = 99;

    (void)ctx;
    child_assert(mdb_env_create(&env) == 0);
    child_assert(mdb_env_set_maxdbs(env, 4) == 0);
    child_assert(mdb_env_open(env, FILE_NAME, MDB_NOSUBDIR | MDB_RDONLY, 0600) == 0);
    child_assert(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
    child_assert(mdb_dbi_open(txn, "marks", 0, &dbi) == 0);
    child_assert(mdb_dbi_flags(txn, dbi, &flags) == 0);
    child_assert(flags == 0);
    child_assert(mdb_cursor_open(txn, dbi, &cursor) == 0);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        bool known = false;

        for (size_t i = 0; i < MARKS; i++) {
            const char *const *one = golden_marks[i];

            if (key.mv_size != strlen(one[0]) || memcmp(key.mv_data, one[0], key.mv_size) != 0) {
                continue;
            }
            known = true;
            child_assert(value.mv_size == strlen(one[1]));
            child_assert(memcmp(value.mv_data, one[1], value.mv_size) == 0);
        }
        child_assert(known);
        found++;
    }
    child_assert(found == MARKS);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

START_TEST(the_bytes_are_those_of_the_documented_format)
{
    make_store();
    test_child_ok(read_marks, NULL);
}
END_TEST

START_TEST(the_file_has_exactly_two_databases)
{
    char text[4096];

    make_store();
    if (system("command -v mdb_dump >/dev/null 2>&1") != 0) {
        test_skipped("the_file_has_exactly_two_databases", "mdb_dump is not installed");
        return;
    }
    ck_assert_int_eq(system("mdb_dump -n -l " FILE_NAME " >list"), 0);
    {
        test_bytes list = test_read_file("list");

        ck_assert_uint_lt(list.length, sizeof text);
        memcpy(text, list.data, list.length);
        text[list.length] = '\0';
        free(list.data);
    }
    ck_assert_str_eq(text, "marks\nmeta\n");
}
END_TEST

START_TEST(an_advance_writes_over_the_record_in_place)
{
    tide_info info = {.size = sizeof info};
    tide_store *store;

    make_store();
    store = test_open(FILE_NAME, NULL);
    for (int i = 1; i <= 20; i++) {
        ck_assert_int_eq(tide_advance(store, device, peer, "location", TEN + i), TIDE_OK);
    }
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    ck_assert_uint_eq(info.marks, MARKS);
    ck_assert_uint_eq(info.depth, 1);
    tide_close(store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format");
    TCase *test = test_case(suite, "format");

    tcase_add_test(test, the_marks_are_text_that_any_tool_shows);
    tcase_add_test(test, the_metadata_are_text_that_any_tool_shows);
    tcase_add_test(test, the_bytes_are_those_of_the_documented_format);
    tcase_add_test(test, the_file_has_exactly_two_databases);
    tcase_add_test(test, an_advance_writes_over_the_record_in_place);
    return test_run(suite);
}
