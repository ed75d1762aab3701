/* The engine's own tables with nonsense in them: gone, empty, with rows missing, NULL, of other
 * types, negative, immense. Opening and syncing answer; what they answer is OK or one of the typed
 * errors, and whoever hears OK has the same rows as the other. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failing/sides.h"

#define CASES_MAX 4000
#define SQL_MAX 256
#define CASE_SECONDS 60 /* then it is said to hang */

static char cases[CASES_MAX][SQL_MAX];
static unsigned case_count;

/* What a child has got to, and how many it found right or refused; shared with the test. */
static struct {
    unsigned at, same, told, taken;
} * found;

static void add(const char *format, const char *table, const char *column, const char *value)
{
    ck_assert_uint_lt(case_count, CASES_MAX);
    sqlite3_snprintf(SQL_MAX, cases[case_count++], format, table, column, value);
}

static void write_rows(const side *s, const char *sql)
{
    child_assert(sqlite3_exec(tide_sync_database(s->sync), sql, NULL, NULL, NULL) == SQLITE_OK);
}

/* Both have rows of both, deletions, acks, digests; b has a row that is parked. */
static void child_makes(void *ctx)
{
    (void)ctx;
    sides_make();
    child_assert(sides_open() == TIDE_OK);
    write_rows(&side_a, "INSERT INTO place (uuid, name) VALUES ('a-p1', 'one'), ('a-p2', 'two');"
                        "INSERT INTO item (uuid, place, code) VALUES ('a-i1', 'a-p1', 'x'), "
                        "('a-i2', 'a-p2', 'y')");
    write_rows(&side_b, "INSERT INTO item (uuid, place, code) VALUES ('b-i1', 'a-p1', 'z')");
    child_assert(sides_sync() == TIDE_OK);
    write_rows(&side_a, "DELETE FROM item WHERE uuid = 'a-i2'; UPDATE item SET code = 'w' WHERE "
                        "uuid = 'a-i1'; INSERT INTO item (uuid, place, code) VALUES ('a-i4', "
                        "'a-p1', 'u')");
    write_rows(&side_b,
               "CREATE TEMP TRIGGER refusal BEFORE INSERT ON item WHEN new.code = 'u' BEGIN "
               "SELECT RAISE(ABORT, 'not now'); END");
    child_assert(sides_sync() == TIDE_OK);
    write_rows(&side_a, "INSERT INTO item (uuid, place, code) VALUES ('a-i3', 'a-p1', 'v')");
    sides_close();
}

static int add_column(void *ctx, int count, char **values, char **names)
{
    static const char *const nonsense[] = {
        "NULL",  "-1", "0",          "1",       "9223372036854775807", "-9223372036854775808",
        "1e300", "''", "'nonsense'", "x'ff00'", "zeroblob(100000)",
    };

    (void)ctx;
    (void)count;
    (void)names;
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        add("UPDATE OR IGNORE \"%w\" SET \"%w\" = %s", values[0], values[1], nonsense[i]);
        /* constraints that SQLite cannot be talked out of leave it as it is */
    }
    return 0;
}

static int add_table(void *ctx, int count, char **values, char **names)
{
    (void)ctx;
    (void)count;
    (void)names;
    add("DROP TABLE \"%w\"", values[0], "", "");
    add("DELETE FROM \"%w\"", values[0], "", "");
    add("DELETE FROM \"%w\" WHERE rowid = (SELECT min(rowid) FROM \"%w\")", values[0], values[0],
        "");
    add("DROP TABLE \"%w\"; CREATE TABLE \"%w\" (x)", values[0], values[0], "");
    add("DROP TABLE \"%w\"; CREATE VIEW \"%w\" AS SELECT 1 AS x", values[0], values[0], "");
    return 0;
}

static int add_trigger(void *ctx, int count, char **values, char **names)
{
    (void)ctx;
    (void)count;
    (void)names;
    add("DROP TRIGGER \"%w\"", values[0], "", "");
    return 0;
}

#define OURS "name LIKE 'tidemark@_%' ESCAPE '@'"

static void list_cases(void)
{
    sqlite3 *db = NULL;

    ck_assert_int_eq(sqlite3_open("b.db", &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db,
                                  "SELECT name FROM sqlite_master WHERE type = 'table' AND " OURS,
                                  add_table, NULL, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db,
                                  "SELECT m.name, c.name FROM sqlite_master m JOIN "
                                  "pragma_table_info(m.name) c WHERE m.type = 'table' AND m." OURS,
                                  add_column, NULL, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db,
                                  "SELECT name FROM sqlite_master WHERE type = 'trigger' AND " OURS,
                                  add_trigger, NULL, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    add("UPDATE tidemark_state SET format = format + 1", "", "", "");
    add("UPDATE tidemark_state SET format = format - 1", "", "", "");
}

static const char *const files[] = {"a.db", "b.db", "b-marks.db", "a.mdb"};
static test_bytes copies[4];

static void put_back(void)
{
    static const char *const beside[] = {"a.db-wal",  "a.db-shm",       "b.db-wal",
                                         "b.db-shm",  "b-marks.db-wal", "b-marks.db-shm",
                                         "a.mdb-lock"};

    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        (void)unlink(beside[i]);
    for (size_t i = 0; i < 4; i++)
        test_write_file(files[i], copies[i].data, copies[i].length);
}

#define ROWS                                                                                         \
    "SELECT * FROM (SELECT uuid, name, '' FROM place UNION ALL SELECT uuid, place, code FROM item) " \
    "ORDER BY 1"

static bool is_typed(int rc)
{
    return rc < 0 && strcmp(tide_code_name(rc), "TIDE_?") != 0;
}

/* Who hears OK twice has what the other has; but that a value of the right kind is another than was
 * written nobody can see (a parked row's, or its record's). */
static void judge(void)
{
    int rc = sides_open();

    if (rc == TIDE_OK) {
        rc = sides_sync();
        if (rc == TIDE_OK)
            rc = sides_sync();
        if (rc == TIDE_OK) {
            char *of_a = sides_query(tide_sync_database(side_a.sync), ROWS);
            char *of_b = sides_query(tide_sync_database(side_b.sync), ROWS);

            found->same += strcmp(of_a, of_b) == 0;
            found->taken += strcmp(of_a, of_b) != 0;
            free(of_a);
            free(of_b);
        }
        sides_close();
    }
    found->told += rc != TIDE_OK;
    child_assert(rc == TIDE_OK || rc == TIDE_CONFLICT || rc == TIDE_GAP || is_typed(rc));
}

static void child_tries(void *ctx)
{
    uint64_t most = test_most(100),
             step = most == 0 || most > case_count ? 1 : case_count / most | 1;

    (void)ctx;
    (void)signal(SIGALRM, SIG_DFL); /* not Check's */
    for (; found->at < case_count; found->at += (unsigned)step) {
        sqlite3 *db = NULL;

        alarm(CASE_SECONDS);
        put_back();
        child_assert(sqlite3_open("b.db", &db) == SQLITE_OK);
        (void)sqlite3_exec(db, cases[found->at], NULL, NULL, NULL);
        child_assert(sqlite3_close(db) == SQLITE_OK);
        judge();
    }
}

START_TEST(nonsense)
{
    unsigned failed = 0;
    int status;

    test_child_ok(child_makes, NULL);
    list_cases();
    for (size_t i = 0; i < 4; i++)
        copies[i] = test_read_file(files[i]);
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(found, MAP_FAILED);
    while ((status = test_child(child_tries, NULL)) != 0 && failed < 20) {
        (void)fprintf(stderr, "^ %s\n", cases[found->at]);
        if (WIFSIGNALED(status))
            (void)fprintf(stderr, "  signal %d\n", WTERMSIG(status));
        failed++;
        found->at++;
    }
    fprintf(stderr, "nonsense: of %u cases %u harmless, %u told, %u taken for right\n", case_count,
            found->same, found->told, found->taken);
    ck_assert_uint_eq(failed, 0);
    for (size_t i = 0; i < 4; i++)
        free(copies[i].data);
    munmap(found, sizeof *found);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tables");
    TCase *test = test_case(suite, "tables");

    tcase_set_timeout(test, 0);
    tcase_add_test(test, nonsense);
    return test_run(suite);
}
