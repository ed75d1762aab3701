/* Each allocation fails in turn while a session hears what a peer says: HELLO, pages with rows, with
 * deletions and without either, questions, news. The answer is TIDE_ENOMEM and the session is over,
 * or it is heard all the same; nothing is here by half, and the next session brings everything. */
#include <tidemark/tidemark.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failing/calls.h"
#include "failing/sides.h"
#include "support.h"

#define MESSAGES_MAX 40

static sqlite3 *of_b; /* as another program sees it */

#define ROWS                                                                                        \
    "SELECT * FROM (SELECT uuid, name, '' FROM place UNION ALL SELECT uuid, place, code FROM item " \
    "UNION ALL SELECT key, version, 'gone' FROM tidemark_item_gone UNION ALL SELECT key, version, " \
    "code FROM tidemark_parked) ORDER BY 1"

typedef struct state {
    char rows[512];
    tide_time marks[SIDES_MODELS]; /* also those that are not flushed yet */
} state;

static state b_now(void)
{
    state now;
    char *rows = sides_query(of_b, ROWS);

    child_assert(strlen(rows) < sizeof now.rows);
    memset(&now, 0, sizeof now);
    memcpy(now.rows, rows, strlen(rows));
    free(rows);
    for (size_t i = 0; i < SIDES_MODELS; i++) {
        int rc = tide_watermarks_get(side_b.marks, side_a.device, sides_models[i].resource,
                                     &now.marks[i]);
        child_assert(rc == TIDE_OK || rc == TIDE_ABSENT);
        now.marks[i] = rc == TIDE_OK ? now.marks[i] : TIDE_TIME_NONE;
    }
    return now;
}

static state heard[MESSAGES_MAX]; /* after each message, when nothing failed */
static size_t heard_count;

/* Nothing of the message is here; or all of its rows are, and of its marks some, because what could
 * not be written comes after them. */
static void check_refused(const state *before, const state *full)
{
    state now = b_now();
    bool whole = strcmp(now.rows, full->rows) == 0;

    child_assert(whole || strcmp(now.rows, before->rows) == 0);
    for (size_t i = 0; i < SIDES_MODELS; i++)
        child_assert(now.marks[i] == before->marks[i] || (whole && now.marks[i] == full->marks[i]));
}

static void run(side *s, const char *sql)
{
    child_assert(sqlite3_exec(tide_sync_database(s->sync), sql, NULL, NULL, NULL) == SQLITE_OK);
}

/* b hears a message of a's. False: it was refused. */
static bool hear(tide_session *b, const void *bytes, size_t size)
{
    state before = b_now();
    int rc = CALLS_TRY(tide_session_receive(b, bytes, size));

    child_assert(heard_count < MESSAGES_MAX);
    if (rc == TIDE_OK) {
        if (!calls_failed(NULL, 0))
            heard[heard_count] = b_now();
        heard_count++;
        return true;
    }
    calls_mend();
    child_assert(rc == TIDE_ENOMEM);
    child_assert(tide_session_receive(b, bytes, size) == TIDE_ECLOSED);
    check_refused(&before, &heard[heard_count]);
    return false;
}

/* Carries messages until both are silent, or one was refused. */
static bool talk(tide_session *a, tide_session *b)
{
    const void *bytes;
    size_t size;
    unsigned quiet = 0, count = 0;

    while (quiet < 2) {
        tide_session *from = count++ % 2 == 0 ? a : b;
        int rc = tide_session_next(from, &bytes, &size);
        child_assert(count < MESSAGES_MAX && (rc == TIDE_OK || rc == TIDE_ABSENT));
        quiet = rc == TIDE_OK ? 0 : quiet + 1;
        if (rc == TIDE_OK && from == a && !hear(b, bytes, size))
            return false;
        if (rc == TIDE_OK && from == b)
            child_assert(tide_session_receive(a, bytes, size) == TIDE_OK);
    }
    return true;
}

/* What is new at a arrives at b, in this session or else in the next. */
static void bring(tide_session **a, tide_session **b)
{
    tide_session_options options;

    tide_session_options_init(&options);
    options.page_rows = SIDES_PAGE_ROWS;
    for (int i = 0; i < 2; i++) {
        if (*a == NULL) {
            child_assert(tide_session_open(side_a.sync, &options, a) == TIDE_OK);
            child_assert(tide_session_open(side_b.sync, &options, b) == TIDE_OK);
        } else {
            tide_session_notify(*a);
        }
        if (talk(*a, *b))
            break;
        child_assert(i == 0); /* it fails once */
        tide_session_close(*a);
        tide_session_close(*b);
        *a = *b = NULL;
    }
    child_assert(tide_session_is_complete(*a) == 1 && tide_session_diverged(*b) == 0);
}

static void scenario(void)
{
    tide_session *a = NULL, *b = NULL;

    heard_count = 0;
    sides_make();
    child_assert(sides_open() == TIDE_OK);
    child_assert(sqlite3_open("b.db", &of_b) == SQLITE_OK);
    run(&side_a, "INSERT INTO place (uuid, name) VALUES ('p', 'P');"
                 "INSERT INTO item (uuid, place, code) VALUES ('i', 'p', 'x'), ('j', 'p', 'y'),"
                 "('k', 'p', 'z')");
    run(&side_b, "INSERT INTO item (uuid, place, code) VALUES ('l', 'p', 'y')"); /* j is parked */
    bring(&a, &b);
    run(&side_a, "DELETE FROM item WHERE uuid = 'i'; UPDATE item SET code = 'w' WHERE uuid = 'k'");
    bring(&a, &b);
    tide_session_close(a);
    tide_session_close(b);
    child_assert(sqlite3_close(of_b) == SQLITE_OK);
    sides_close();
}

START_TEST(every_message_that_is_heard)
{
    calls_fail_each("hearing", scenario, 24);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failing-hear");
    TCase *test = test_case(suite, "failing-hear");

    /* Every allocation of SQLite's is one of the system's. The other calls are test_engine's. */
    if (sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK ||
        setenv("TIDEMARK_TEST_KIND", "memory", 0) != 0)
        return EXIT_FAILURE;
    tcase_set_timeout(test, 0);
    tcase_add_test(test, every_message_that_is_heard);
    return test_run(suite);
}
