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
#include "failing/sides.h"
#include "support.h"

#define A_ROWS 10 /* of the first step, in both tables together */

static bool all_arrived; /* a's first rows, at b */

/* ---- looking ------------------------------------------------------------------------------------ */

static long number(sqlite3 *db, const char *sql)
{
    char *text = sides_query(db, sql);
    long result = strtol(text, NULL, 10);

    free(text);
    return result;
}

#define ROWS                                                                                         \
    "SELECT * FROM (SELECT uuid, name, '' FROM place UNION ALL SELECT uuid, place, code FROM item) " \
    "ORDER BY 1"

/* Each row of a's feed up to b's mark is at b, or parked; each deletion is no row there. */
static void check_honest(sqlite3 *of_a, sqlite3 *of_b, const char *resource)
{
    tide_time mark = TIDE_TIME_NONE;
    char sql[512], *keys, *rest;
    int rc = tide_watermarks_get(side_b.marks, side_a.device, resource, &mark);

    if (rc != TIDE_OK)
        return;
    (void)snprintf(sql, sizeof sql,
                   "SELECT json_group_array(key) FROM tidemark_%s_rows WHERE stamp <= %lld",
                   resource, (long long)mark);
    keys = sides_query(of_a, sql);
    rest =
        sqlite3_mprintf("SELECT count(*) FROM json_each(%Q) WHERE value NOT IN (SELECT uuid FROM "
                        "%s UNION ALL SELECT key FROM tidemark_parked)",
                        keys, resource);
    child_assert(number(of_b, rest) == 0);
    sqlite3_free(rest);
    free(keys);
    (void)snprintf(sql, sizeof sql,
                   "SELECT json_group_array(key) FROM tidemark_%s_gone WHERE stamp <= %lld",
                   resource, (long long)mark);
    keys = sides_query(of_a, sql);
    rest = sqlite3_mprintf(
        "SELECT count(*) FROM json_each(%Q) WHERE value IN (SELECT uuid FROM %s)", keys, resource);
    child_assert(number(of_b, rest) == 0);
    sqlite3_free(rest);
    free(keys);
}

/* As other programs find it: the engine's own connection may be inside a transaction that memory
 * was too short to take back. Until a's rows have all arrived once, they come page by page. */
static void check(void)
{
    sqlite3 *of_a = NULL, *of_b = NULL;
    long arrived;

    if (side_a.sync == NULL || side_b.sync == NULL)
        return;
    child_assert(sqlite3_open("a.db", &of_a) == SQLITE_OK);
    child_assert(sqlite3_open("b.db", &of_b) == SQLITE_OK);
    check_honest(of_a, of_b, "place");
    check_honest(of_a, of_b, "item");
    arrived = number(of_b, "SELECT (SELECT count(*) FROM place WHERE uuid LIKE 'a-%') + "
                           "(SELECT count(*) FROM item WHERE uuid LIKE 'a-%')");
    child_assert(all_arrived || arrived % SIDES_PAGE_ROWS == 0 || arrived == A_ROWS);
    child_assert(sqlite3_close(of_a) == SQLITE_OK && sqlite3_close(of_b) == SQLITE_OK);
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
    return sides_code(rc);
}

static int write_a(void)
{
    return write_rows(
        &side_a,
        "INSERT INTO place (uuid, name) VALUES ('a-p1', 'one'), ('a-p2', 'two') ON CONFLICT DO "
        "NOTHING;"
        "WITH n(n) AS (VALUES (1), (2), (3), (4), (5), (6), (7)) INSERT INTO item (uuid, place, "
        "code) SELECT 'a-i' || n, 'a-p' || (1 + n % 2), 'a' || n FROM n WHERE true ON CONFLICT "
        "DO NOTHING");
}

static int write_b(void)
{
    return write_rows(&side_b,
                      "INSERT INTO place (uuid, name) VALUES ('b-p1', 'other') ON CONFLICT DO "
                      "NOTHING;"
                      "INSERT INTO item (uuid, place, code) VALUES ('b-i1', 'b-p1', 'x'), "
                      "('b-i2', 'b-p1', 'y') ON CONFLICT DO NOTHING");
}

/* i1 gets a code that an item at b has, which a does not know of yet; p2 takes its items along. */
static int change_a(void)
{
    return write_rows(&side_a, "UPDATE item SET code = 'z' WHERE uuid = 'a-i2';"
                               "UPDATE place SET name = 'first' WHERE uuid = 'a-p1';"
                               "DELETE FROM item WHERE uuid = 'a-i4';"
                               "DELETE FROM place WHERE uuid = 'a-p2'");
}

static int clash_b(void)
{
    return write_rows(&side_b,
                      "INSERT INTO item (uuid, place, code) VALUES ('b-i3', 'b-p1', 'z') ON "
                      "CONFLICT DO NOTHING");
}

static int settle_b(void)
{
    return write_rows(&side_b, "UPDATE item SET code = 'w' WHERE uuid = 'b-i3'");
}

static int delete_a(void)
{
    return write_rows(&side_a, "DELETE FROM item WHERE uuid IN ('a-i6', 'b-i1')");
}

static int sync_all(void)
{
    int rc = sides_sync();

    all_arrived |= rc == TIDE_OK;
    return rc;
}

static int prune_both(void)
{
    int rc = tide_sync_prune(side_a.sync, NULL);

    return rc == TIDE_OK ? tide_sync_prune(side_b.sync, NULL) : rc;
}

/* Who has to come back from below what was pruned. */
static int forget_b(void)
{
    int rc = tide_sync_remove_peer(side_a.sync, side_b.device);

    if (rc == TIDE_OK || rc == TIDE_ABSENT)
        rc = delete_a();
    return rc == TIDE_OK ? tide_sync_prune(side_a.sync, NULL) : rc;
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

    for (size_t i = 0; rc == TIDE_OK && i < SIDES_MODELS; i++) {
        rc = tide_sync_digest(side_a.sync, sides_models[i].resource, &of_a);
        if (rc == TIDE_OK)
            rc = tide_sync_digest(side_b.sync, sides_models[i].resource, &of_b);
        child_assert(rc != TIDE_OK || memcmp(&of_a, &of_b, sizeof of_a) == 0);
        if (rc == TIDE_OK)
            rc = tide_sync_resource_info(side_b.sync, sides_models[i].resource, &info);
        child_assert(rc != TIDE_OK || info.rows == of_b.rows);
        if (rc == TIDE_OK)
            rc = tide_sync_get_resource_watermark(side_b.sync, side_a.device,
                                                  sides_models[i].resource, &mark);
    }
    if (rc == TIDE_OK)
        rc = tide_sync_peers(side_b.sync, take_peer, &peers);
    if (rc == TIDE_OK)
        rc = tide_sync_parked(side_b.sync, take_parked, &parked);
    if (rc == TIDE_OK)
        rc = tide_watermarks_get_max(side_a.marks, &mark);
    child_assert(rc != TIDE_OK || (peers == 1 && parked == 0));
    return rc;
}

static int count_parked(void)
{
    int parked = 0;
    int rc = tide_sync_parked(side_b.sync, take_parked, &parked);

    child_assert(rc != TIDE_OK || parked == 1);
    if (rc == TIDE_OK)
        rc = tide_sync_retry_parked(side_b.sync, NULL);
    return rc;
}

static const struct {
    const char *name;
    int (*run)(void);
} steps[] = {
    {"open", sides_open_next}, {"write a", write_a},     {"write b", write_b},
    {"sync", sync_all},        {"change a", change_a},   {"clash b", clash_b},
    {"sync", sync_all},        {"parked", count_parked}, {"settle b", settle_b},
    {"sync", sync_all},        {"prune", prune_both},    {"forget b", forget_b},
    {"sync", sync_all},        {"look", look_at_both},   {"close", sides_close},
    {"open", sides_open_next}, {"sync", sync_all},       {"close", sides_close},
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

static void complain(size_t i, int rc)
{
    char of_a[256] = "", of_b[256] = "";

    tide_sync_detail(side_a.sync, of_a, sizeof of_a);
    tide_sync_detail(side_b.sync, of_b, sizeof of_b);
    (void)fprintf(stderr, "%s: %s (%s) (%s) (%s)\n", steps[i].name, tide_code_name(rc),
                  side_a.opening, of_a, of_b);
}

/* What is in doubt is so until it is opened again; all else works at once. */
static void run_step(size_t i)
{
    bool opened = sides_are_open();
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
    sides_close();
    child_assert(sides_open() == TIDE_OK);
    check();
    child_assert(steps[i].run() == TIDE_OK);
}

static const char *const result =
    "a-i2 a-p1 z a-old was there before  a-p1 first  b-i2 b-p1 y b-i3 "
    "b-p1 w b-old was there before  b-p1 other  ";

static void scenario(void)
{
    static const char *const names[] = {"a.db", "b.db"};

    all_arrived = false;
    sides_make();
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        do {
            run_step(i);
        } while (steps[i].run == sides_open_next && !sides_are_open());
    }
    for (size_t i = 0; i < 2; i++) {
        sqlite3 *db = NULL;
        char *rows;

        child_assert(sqlite3_open(names[i], &db) == SQLITE_OK);
        rows = sides_query(db, ROWS);
        if (strcmp(rows, result) != 0)
            (void)fprintf(stderr, "%s has \"%s\"\n", names[i], rows);
        child_assert(strcmp(rows, result) == 0);
        free(rows);
        child_assert(sqlite3_close(db) == SQLITE_OK);
    }
}

START_TEST(two_engines)
{
    calls_fail_each_step("two engines", scenario, 8);
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
