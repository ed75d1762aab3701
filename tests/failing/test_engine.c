/* Every call of the system fails in turn while two databases are captured, synced over a pipe,
 * pruned, read in full and compared, the marks of one in LMDB, those of the other in SQLite. After
 * each failure no mark is ahead of its rows, no page is there by half, and once it is over all goes
 * on to the same rows. */
#include <tidemark/tidemark.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failing/calls.h"
#include "support.h"

#define PAGE_ROWS 3
#define A_ROWS 10 /* of the first step, in both tables together */

static const char schema[] =
    "CREATE TABLE place (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT);"
    "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, place TEXT, code TEXT UNIQUE);"
    "INSERT INTO place (uuid, name) VALUES ('%s-old', 'was there before');";

static const char *const place_columns[] = {"name"};
static const char *const item_columns[] = {"place", "code"};
static const char *const item_depends[] = {"place"};
static const tide_parent item_parents[] = {{.column = "place", .resource = "place"}};
static const tide_model models[] = {{.size = sizeof(tide_model),
                                     .ownership = TIDE_DEVICE_OWNED,
                                     .resource = "place",
                                     .table = "place",
                                     .key = "uuid",
                                     .columns = place_columns,
                                     .column_count = 1},
                                    {.size = sizeof(tide_model),
                                     .ownership = TIDE_SHARED,
                                     .resource = "item",
                                     .table = "item",
                                     .key = "uuid",
                                     .columns = item_columns,
                                     .column_count = 2,
                                     .depends_on = item_depends,
                                     .depends_on_count = 1,
                                     .parents = item_parents,
                                     .parent_count = 1}};

typedef struct side {
    const char *name;
    uuid_t device;
    tide_sync *sync;
    tide_watermarks *marks;
    tide_store *store; /* a's marks */
    sqlite3 *marks_db; /* b's */
} side;

static side a = {.name = "a"}, b = {.name = "b"};
static test_random numbers;
static tide_time now;
static bool all_arrived;  /* a's first rows, at b */
static char opening[256]; /* the reason of a failure */

/* ---- open and closed ---------------------------------------------------------------------------- */

static void give_random(void *ctx, void *bytes, size_t size)
{
    unsigned char *to = bytes;

    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)test_next(ctx);
}

static int code_of(int sqlite_code)
{
    switch (sqlite_code & 0xff) {
    case SQLITE_OK:
        return TIDE_OK;
    case SQLITE_NOMEM:
        return TIDE_ENOMEM;
    case SQLITE_FULL:
        return TIDE_ENOSPC;
    default:
        return TIDE_EIO;
    }
}

static int open_marks(side *s)
{
    char path[32];
    tide_options options;
    int rc;

    if (s == &a) {
        test_options(&options, 64 << 10);
        rc = tide_open("a.mdb", &options, &s->store);
        return rc == TIDE_OK ? tide_watermarks_open_lmdb(s->store, s->device, &s->marks) : rc;
    }
    (void)snprintf(path, sizeof path, "%s-marks.db", s->name);
    rc = code_of(sqlite3_open(path, &s->marks_db));
    return rc == TIDE_OK ? tide_watermarks_open_sqlite(s->marks_db, s->device, &s->marks) : rc;
}

static void close_side(side *s)
{
    tide_sync_close(s->sync);
    tide_watermarks_close(s->marks);
    tide_close(s->store);
    child_assert(sqlite3_close(s->marks_db) == SQLITE_OK);
    s->sync = NULL;
    s->marks = NULL;
    s->store = NULL;
    s->marks_db = NULL;
}

static int open_parts(side *s)
{
    char path[32];
    tide_sync_options options;
    uuid_t library;
    int rc;

    tide_sync_options_init(&options);
    test_uuid(library, 9);
    options.device = s->device;
    options.library = library;
    options.random = give_random;
    options.random_ctx = &numbers;
    options.clock = test_clock;
    options.clock_ctx = &now;
    options.detail = opening;
    options.detail_bytes = sizeof opening;
    (void)snprintf(path, sizeof path, "%s.db", s->name);
    rc = tide_sync_open(path, &options, &s->sync);
    for (size_t i = 0; rc == TIDE_OK && i < sizeof models / sizeof *models; i++)
        rc = tide_sync_register(s->sync, &models[i]);
    if (rc == TIDE_OK)
        rc = open_marks(s);
    return rc == TIDE_OK ? tide_sync_attach(s->sync, s->marks) : rc;
}

static int open_side(side *s)
{
    int rc = open_parts(s);

    if (rc != TIDE_OK)
        close_side(s);
    return rc;
}

static int open_both(void)
{
    int rc = open_side(&a);

    if (rc == TIDE_OK)
        rc = open_side(&b);
    if (rc != TIDE_OK)
        close_side(&a);
    return rc;
}

static int close_both(void)
{
    close_side(&a);
    close_side(&b);
    return TIDE_OK;
}

/* ---- looking ------------------------------------------------------------------------------------ */

/* What a query gives, rows and columns joined; to be freed. */
static char *query(sqlite3 *db, const char *sql)
{
    sqlite3_str *text = sqlite3_str_new(NULL);
    sqlite3_stmt *statement = NULL;
    char *made, *copy;

    child_assert(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++)
            sqlite3_str_appendf(text, "%s ", sqlite3_column_text(statement, i));
    }
    child_assert(sqlite3_finalize(statement) == SQLITE_OK);
    made = sqlite3_str_finish(text);
    copy = strdup(made == NULL ? "" : made);
    child_assert(copy != NULL);
    sqlite3_free(made);
    return copy;
}

static long number(sqlite3 *db, const char *sql)
{
    char *text = query(db, sql);
    long result = strtol(text, NULL, 10);

    free(text);
    return result;
}

#define ROWS                                                                                         \
    "SELECT * FROM (SELECT uuid, name, '' FROM place UNION ALL SELECT uuid, place, code FROM item) " \
    "ORDER BY 1"

/* Each row of a's feed up to b's mark is at b, or parked; each deletion is no row there. */
static void check_honest(const char *resource)
{
    tide_time mark = TIDE_TIME_NONE;
    char sql[512], *keys, *rest;
    int rc = tide_watermarks_get(b.marks, a.device, resource, &mark);

    if (rc != TIDE_OK)
        return;
    (void)snprintf(sql, sizeof sql,
                   "SELECT json_group_array(key) FROM tidemark_%s_rows WHERE stamp <= %lld",
                   resource, (long long)mark);
    keys = query(tide_sync_database(a.sync), sql);
    rest =
        sqlite3_mprintf("SELECT count(*) FROM json_each(%Q) WHERE value NOT IN (SELECT uuid FROM "
                        "%s UNION ALL SELECT key FROM tidemark_parked)",
                        keys, resource);
    child_assert(number(tide_sync_database(b.sync), rest) == 0);
    sqlite3_free(rest);
    free(keys);
    (void)snprintf(sql, sizeof sql,
                   "SELECT json_group_array(key) FROM tidemark_%s_gone WHERE stamp <= %lld",
                   resource, (long long)mark);
    keys = query(tide_sync_database(a.sync), sql);
    rest = sqlite3_mprintf(
        "SELECT count(*) FROM json_each(%Q) WHERE value IN (SELECT uuid FROM %s)", keys, resource);
    child_assert(number(tide_sync_database(b.sync), rest) == 0);
    sqlite3_free(rest);
    free(keys);
}

/* Until a's rows have all arrived once, they come page by page. */
static void check(void)
{
    long arrived;

    if (a.sync == NULL || b.sync == NULL)
        return;
    check_honest("place");
    check_honest("item");
    if (all_arrived)
        return;
    arrived = number(tide_sync_database(b.sync),
                     "SELECT (SELECT count(*) FROM place WHERE uuid LIKE 'a-%') + "
                     "(SELECT count(*) FROM item WHERE uuid LIKE 'a-%')");
    child_assert(arrived % PAGE_ROWS == 0 || arrived == A_ROWS);
}

/* ---- steps, each of which may be done again ----------------------------------------------------- */

static int write_rows(side *s, const char *sql)
{
    sqlite3 *db = tide_sync_database(s->sync);
    int rc = SQLITE_OK;

    if (sqlite3_get_autocommit(db) == 0) /* memory was too short to end the last one */
        rc = sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK && sqlite3_get_autocommit(db) == 0)
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code_of(rc);
}

static int write_a(void)
{
    return write_rows(
        &a, "INSERT INTO place (uuid, name) VALUES ('a-p1', 'one'), ('a-p2', 'two') ON CONFLICT DO "
            "NOTHING;"
            "WITH n(n) AS (VALUES (1), (2), (3), (4), (5), (6), (7)) INSERT INTO item (uuid, place, "
            "code) SELECT 'a-i' || n, 'a-p' || (1 + n % 2), 'a' || n FROM n WHERE true ON CONFLICT "
            "DO NOTHING");
}

static int write_b(void)
{
    return write_rows(&b, "INSERT INTO place (uuid, name) VALUES ('b-p1', 'other') ON CONFLICT DO "
                          "NOTHING;"
                          "INSERT INTO item (uuid, place, code) VALUES ('b-i1', 'b-p1', 'x'), "
                          "('b-i2', 'b-p1', 'y') ON CONFLICT DO NOTHING");
}

/* i1 gets a code that an item at b has, which a does not know of yet; p2 takes its items along. */
static int change_a(void)
{
    return write_rows(&a, "UPDATE item SET code = 'z' WHERE uuid = 'a-i2';"
                          "UPDATE place SET name = 'first' WHERE uuid = 'a-p1';"
                          "DELETE FROM item WHERE uuid = 'a-i4';"
                          "DELETE FROM place WHERE uuid = 'a-p2'");
}

static int clash_b(void)
{
    return write_rows(&b, "INSERT INTO item (uuid, place, code) VALUES ('b-i3', 'b-p1', 'z') ON "
                          "CONFLICT DO NOTHING");
}

static int settle_b(void)
{
    return write_rows(&b, "UPDATE item SET code = 'w' WHERE uuid = 'b-i3'");
}

static int delete_a(void)
{
    return write_rows(&a, "DELETE FROM item WHERE uuid IN ('a-i6', 'b-i1')");
}

static int talk(tide_session *near, tide_session *far)
{
    tide_pipe *pipe = NULL;
    int rc = tide_pipe_open(far, NULL, &pipe);

    if (rc == TIDE_OK) {
        rc = tide_sync_exchange_watermarks_and_catchup(near, tide_pipe_transport(pipe));
        if (rc == TIDE_OK || rc == TIDE_ECLOSED)
            rc = tide_pipe_far_error(pipe) != TIDE_OK ? tide_pipe_far_error(pipe) : rc;
    }
    tide_pipe_close(pipe);
    return rc;
}

static int sync_both(void)
{
    tide_session_options options;
    tide_session *near = NULL, *far = NULL;
    int rc;

    tide_session_options_init(&options);
    options.page_rows = PAGE_ROWS;
    rc = tide_session_open(a.sync, &options, &near);
    if (rc == TIDE_OK)
        rc = tide_session_open(b.sync, &options, &far);
    if (rc == TIDE_OK)
        rc = talk(near, far);
    if (rc == TIDE_OK) {
        child_assert(tide_session_is_complete(near) == 1 && tide_session_is_complete(far) == 1);
        child_assert(tide_session_diverged(near) == 0 && tide_session_diverged(far) == 0);
        all_arrived = true;
    }
    tide_session_close(near);
    tide_session_close(far);
    return rc;
}

static int prune_both(void)
{
    int rc = tide_sync_prune(a.sync, NULL);

    return rc == TIDE_OK ? tide_sync_prune(b.sync, NULL) : rc;
}

/* Who has to come back from below what was pruned. */
static int forget_b(void)
{
    int rc = tide_sync_remove_peer(a.sync, b.device);

    if (rc == TIDE_OK || rc == TIDE_ABSENT)
        rc = delete_a();
    return rc == TIDE_OK ? tide_sync_prune(a.sync, NULL) : rc;
}

static int take_peer(void *ctx, const tide_peer *peer)
{
    *(int *)ctx += peer->contact != TIDE_TIME_NONE;
    return 0;
}

static int take_parked(void *ctx, const tide_parked *row)
{
    *(int *)ctx += row->code == TIDE_ECONSTRAINT;
    return 0;
}

static int look_at_both(void)
{
    tide_resource_info info = {.size = sizeof info};
    tide_digest of_a, of_b;
    tide_time mark;
    int peers = 0, parked = 0, rc = TIDE_OK;

    for (size_t i = 0; rc == TIDE_OK && i < sizeof models / sizeof *models; i++) {
        rc = tide_sync_digest(a.sync, models[i].resource, &of_a);
        if (rc == TIDE_OK)
            rc = tide_sync_digest(b.sync, models[i].resource, &of_b);
        child_assert(rc != TIDE_OK || memcmp(&of_a, &of_b, sizeof of_a) == 0);
        if (rc == TIDE_OK)
            rc = tide_sync_resource_info(b.sync, models[i].resource, &info);
        child_assert(rc != TIDE_OK || info.rows == of_b.rows);
        if (rc == TIDE_OK)
            rc = tide_sync_get_resource_watermark(b.sync, a.device, models[i].resource, &mark);
    }
    if (rc == TIDE_OK)
        rc = tide_sync_peers(b.sync, take_peer, &peers);
    if (rc == TIDE_OK)
        rc = tide_sync_parked(b.sync, take_parked, &parked);
    if (rc == TIDE_OK)
        rc = tide_watermarks_get_max(a.marks, &mark);
    child_assert(rc != TIDE_OK || (peers == 1 && parked == 0));
    return rc;
}

static int count_parked(void)
{
    int parked = 0;
    int rc = tide_sync_parked(b.sync, take_parked, &parked);

    child_assert(rc != TIDE_OK || parked == 1);
    if (rc == TIDE_OK)
        rc = tide_sync_retry_parked(b.sync, NULL);
    return rc;
}

static const struct {
    const char *name;
    int (*run)(void);
} steps[] = {
    {"open", open_both},    {"write a", write_a},   {"write b", write_b},  {"sync", sync_both},
    {"change a", change_a}, {"clash b", clash_b},   {"sync", sync_both},   {"parked", count_parked},
    {"settle b", settle_b}, {"sync", sync_both},    {"prune", prune_both}, {"forget b", forget_b},
    {"sync", sync_both},    {"look", look_at_both}, {"close", close_both}, {"open", open_both},
    {"sync", sync_both},    {"close", close_both},
};

/* ---- judging them ------------------------------------------------------------------------------- */

/* SQLite calls it damage when the disk cannot read a page, and says of most locks that they are
 * held. What it cannot open for writing it opens for reading, and if that goes well, or finds no
 * file, has forgotten why. */
static bool is_documented(int rc)
{
    return rc == TIDE_ENOMEM || rc == TIDE_EIO || rc == TIDE_ENOSPC || rc == TIDE_EUNKNOWN ||
           (rc == TIDE_ECORRUPT && calls_failed("read", EIO)) ||
           (rc == TIDE_EACCES && calls_failed("open", 0)) ||
           ((rc == TIDE_EBUSY || rc == TIDE_ESQL) && calls_failed("lock", 0));
}

static bool has_opened(void)
{
    return a.sync != NULL;
}

static void complain(size_t i, int rc)
{
    char of_a[256] = "", of_b[256] = "";

    tide_sync_detail(a.sync, of_a, sizeof of_a);
    tide_sync_detail(b.sync, of_b, sizeof of_b);
    (void)fprintf(stderr, "%s: %s (%s) (%s) (%s)\n", steps[i].name, tide_code_name(rc), opening,
                  of_a, of_b);
}

/* What is in doubt is so until it is opened again; all else works at once. */
static void run_step(size_t i)
{
    bool opened = has_opened();
    int rc = CALLS_TRY(steps[i].run());
    int again;

    if (rc == TIDE_OK)
        return;
    if (!is_documented(rc))
        complain(i, rc);
    child_assert(is_documented(rc));
    calls_mend();
    check();
    again = steps[i].run();
    if (again == TIDE_OK)
        return;
    if (again != TIDE_EUNKNOWN)
        complain(i, again);
    child_assert(again == TIDE_EUNKNOWN && opened);
    close_both();
    child_assert(open_both() == TIDE_OK);
    check();
    child_assert(steps[i].run() == TIDE_OK);
}

static void make_databases(void)
{
    static const char *const names[] = {"a", "b"};

    for (size_t i = 0; i < 2; i++) {
        char path[32], sql[sizeof schema + 8];
        sqlite3 *db = NULL;

        (void)snprintf(path, sizeof path, "%s.db", names[i]);
        (void)snprintf(sql, sizeof sql, schema, names[i]);
        child_assert(sqlite3_open(path, &db) == SQLITE_OK);
        child_assert(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
        child_assert(sqlite3_close(db) == SQLITE_OK);
    }
}

static const char *const result =
    "a-i2 a-p1 z a-old was there before  a-p1 first  b-i2 b-p1 y b-i3 "
    "b-p1 w b-old was there before  b-p1 other  ";

static void scenario(void)
{
    static const char *const names[] = {"a.db", "b.db"};

    numbers.state = 7;
    all_arrived = false;
    now = INT64_C(4000000000000000000); /* versions are SQLite's, and must not be ahead */
    test_uuid(a.device, 1);
    test_uuid(b.device, 2);
    make_databases();
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        run_step(i);
    for (size_t i = 0; i < 2; i++) {
        sqlite3 *db = NULL;
        char *rows;

        child_assert(sqlite3_open(names[i], &db) == SQLITE_OK);
        rows = query(db, ROWS);
        if (strcmp(rows, result) != 0)
            (void)fprintf(stderr, "%s has \"%s\"\n", names[i], rows);
        child_assert(strcmp(rows, result) == 0);
        free(rows);
        child_assert(sqlite3_close(db) == SQLITE_OK);
    }
}

START_TEST(two_engines)
{
    calls_fail_each("two engines", scenario, 8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failing-engine");
    TCase *test = test_case(suite, "failing-engine");

    /* Every allocation of SQLite's is one of the system's. */
    if (sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK)
        return EXIT_FAILURE;
    tcase_set_timeout(test, 0);
    tcase_add_test(test, two_engines);
    return test_run(suite);
}
