/* test_traps.c - how other syncs lost rows, tried on whole libraries; docs/traps.md has the list.
 *
 * Only what has no test nearer to the code. Messages are carried by hand, so that each can be lost;
 * time is what the test says.
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support_library.h"

/* ---- libraries ---------------------------------------------------------------------------------- */

#define SECOND INT64_C(1000000000)

static test_device a, b, c;
static tide_time clock_ahead; /* of the engines' clocks */

static tide_time now(void *ctx)
{
    struct timespec time;

    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &time);
    return (tide_time)time.tv_sec * SECOND + time.tv_nsec + clock_ahead;
}

static void set_up(void)
{
    clock_ahead = 0;
    test_device_open(&a, "A", 1, now);
    test_device_open(&b, "B", 2, now);
    test_device_open(&c, "C", 3, now);
}

static void tear_down(void)
{
    test_device_close(&a);
    test_device_close(&b);
    test_device_close(&c);
}

/* ---- rows --------------------------------------------------------------------------------------- */

/* Names n1 to n`count`, in one statement. */
static void add_many(const test_device *s, unsigned count)
{
    char sql[256];

    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u) "
             "INSERT INTO entries (uuid, name) SELECT 'n' || i, i FROM n",
             count);
    test_device_sql(s, sql);
}

static int64_t rows_of(const test_device *s)
{
    sqlite3_stmt *statement = NULL;
    int64_t count;

    ck_assert_int_eq(sqlite3_prepare_v2(tide_sync_database(test_device_sync(s)),
                                        "SELECT count(*) FROM entries", -1, &statement, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

/* The next stamp of s lies this far ahead of its clock: as if that had been ahead. */
static void run_ahead(const test_device *s, int64_t ahead_ns)
{
    char sql[128];
    tide_time floor = now(NULL) + ahead_ns;

    snprintf(sql, sizeof sql, "UPDATE tidemark_state SET floor = max(floor, %lld)",
             (long long)floor);
    test_device_sql(s, sql);
}

/* ---- marks -------------------------------------------------------------------------------------- */

static tide_time mark_of(const test_device *s, const test_device *peer, const char *resource)
{
    uuid_t device;
    tide_time mark = TIDE_TIME_NONE;
    int rc;

    test_uuid(device, peer->number);
    rc = tide_sync_get_resource_watermark(test_device_sync(s), device, resource, &mark);
    ck_assert(rc == TIDE_OK || rc == TIDE_ABSENT);
    return mark;
}

/* How far `peer` has got with the feed of s, as s knows. */
static tide_time ack_of(const test_device *s, const test_device *peer, const char *resource)
{
    uuid_t device;
    tide_time ack = TIDE_TIME_NONE;
    int rc;

    test_uuid(device, peer->number);
    rc = tide_watermarks_get_ack(tide_library_watermarks(s->library), device, resource, &ack);
    ck_assert(rc == TIDE_OK || rc == TIDE_ABSENT);
    return ack;
}

static tide_resource_info info_of(const test_device *s, const char *resource)
{
    tide_resource_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_sync_resource_info(test_device_sync(s), resource, &info), TIDE_OK);
    return info;
}

static tide_metrics metrics_of(const test_device *s)
{
    tide_metrics metrics = {.size = sizeof metrics};

    ck_assert_int_eq(tide_sync_metrics(test_device_sync(s), &metrics), TIDE_OK);
    return metrics;
}

/* ---- sessions ----------------------------------------------------------------------------------- */

static void call(test_device *x, test_device *y, uint32_t page_rows)
{
    tide_session_options options;

    tide_session_options_init(&options);
    options.page_rows = page_rows;
    ck_assert_int_eq(tide_session_open(test_device_sync(x), &options, &x->session), TIDE_OK);
    ck_assert_int_eq(tide_session_open(test_device_sync(y), &options, &y->session), TIDE_OK);
}

/* Carries one message, or loses it. TIDE_ABSENT: there is none. Else what the receiver answers. */
static int carry(test_device *from, test_device *to, bool lose)
{
    unsigned char copy[TEST_MESSAGE_MAX];
    size_t size = 0;

    if (!test_device_says(from, copy, &size))
        return TIDE_ABSENT;
    return lose ? TIDE_OK : tide_session_receive(to->session, copy, size);
}

/* Until both are silent; returns how many messages there were. */
static unsigned talk(test_device *x, test_device *y)
{
    unsigned messages = 0;

    for (int silent = 0; silent < 2;) {
        test_device *from = messages % 2 == 0 ? x : y; /* in turn, as long as there is something */
        test_device *to = from == x ? y : x;
        int rc = carry(from, to, false);
        if (rc == TIDE_ABSENT)
            rc = carry(to, from, false);
        ck_assert_msg(rc == TIDE_OK || rc == TIDE_ABSENT, "%s", tide_code_name(rc));
        silent = rc == TIDE_ABSENT ? 2 : 0;
        messages += rc == TIDE_OK;
        ck_assert_uint_lt(messages, 5000);
    }
    return messages;
}

static unsigned meet(test_device *x, test_device *y)
{
    unsigned messages;

    call(x, y, 500);
    messages = talk(x, y);
    test_hang_up_complete(x, y);
    return messages;
}

/* ---- which value becomes the mark --------------------------------------------------------------- */

/* The mark is the newest stamp of what came: no clock of ours, and none of a third device. */
START_TEST(a_mark_is_the_peers_stamp_whatever_our_clock_says)
{
    static const tide_time off[] = {0, 86400 * 365 * SECOND, 200 * SECOND};

    test_entry_add(&a, "x");
    run_ahead(&a, _i == 2 ? 100 * SECOND : 0);
    test_entry_add(&a, "y");
    clock_ahead = off[_i];
    meet(&a, &b);
    ck_assert_int_eq(mark_of(&b, &a, "entry"), info_of(&a, "entry").head);
    ck_assert_int_eq(mark_of(&a, &b, "entry"), info_of(&b, "entry").head);
    ck_assert_int_eq(mark_of(&b, &a, "volume"), TIDE_TIME_NONE);
    clock_ahead = 0;
    test_entry_add(&a, "z");
    meet(&a, &b);
    test_entries_are(&b, "x y z");
}
END_TEST

START_TEST(a_mark_on_one_peer_says_nothing_about_another)
{
    test_entry_add(&c, "early");
    run_ahead(&b, 100 * SECOND);
    test_entry_add(&b, "late");
    meet(&a, &b);
    ck_assert_int_gt(mark_of(&a, &b, "entry"), info_of(&c, "entry").head);
    ck_assert_int_eq(mark_of(&a, &c, "entry"), TIDE_TIME_NONE);
    meet(&a, &c);
    test_entries_are(&a, "early late");
    ck_assert_int_eq(mark_of(&a, &c, "entry"), info_of(&c, "entry").head);
}
END_TEST

/* C takes A's rows from B, whose clock is ahead, and then from A: nothing of A's is behind. */
START_TEST(a_relay_does_not_raise_the_owners_mark)
{
    test_entry_add(&a, "x");
    run_ahead(&b, 100 * SECOND);
    meet(&a, &b);
    test_entry_add(&a, "y");
    meet(&b, &c);
    test_entries_are(&c, "x");
    ck_assert_int_eq(mark_of(&c, &a, "entry"), TIDE_TIME_NONE);
    ck_assert_int_eq(mark_of(&c, &b, "entry"), info_of(&b, "entry").head);
    meet(&a, &c);
    test_entries_are(&c, "x y");
    ck_assert_int_eq(mark_of(&c, &a, "entry"), info_of(&a, "entry").head);
}
END_TEST

/* Where nothing changes no row is sent again, no mark moves, and the contact is known all the same. */
START_TEST(quiet_resources_are_not_read_again_and_contact_is_known)
{
    tide_metrics before;
    tide_time mark;

    test_entry_add(&a, "x");
    meet(&a, &b);
    meet(&a, &b);
    mark = mark_of(&b, &a, "entry");
    before = metrics_of(&b);
    clock_ahead = 3600 * SECOND;
    meet(&a, &b);
    ck_assert_int_eq(mark_of(&b, &a, "entry"), mark);
    ck_assert_int_eq(mark_of(&b, &a, "volume"), TIDE_TIME_NONE);
    ck_assert_uint_eq(metrics_of(&b).changes_applied, before.changes_applied);
    ck_assert_uint_eq(metrics_of(&b).changes_stale, before.changes_stale);
    ck_assert_uint_eq(metrics_of(&b).pages_applied, before.pages_applied);
    test_query_is(&b, "1",
                  "SELECT contact > (SELECT max(stamp) FROM tidemark_entry_rows) + 3599000000000 "
                  "AS it FROM tidemark_peers");
}
END_TEST

/* ---- pages -------------------------------------------------------------------------------------- */

/* One statement, one moment: a mark inside it is exact, and nothing is sent twice. */
START_TEST(rows_of_one_moment_are_told_apart_at_every_page_boundary)
{
    add_many(&a, 20);
    for (int i = 0; i < 100 && rows_of(&b) < 20; i++) {
        call(&a, &b, 3);
        for (int m = 0; m < 4; m++) {
            (void)carry(&a, &b, false);
            (void)carry(&b, &a, false);
        }
        test_hang_up(&a, &b);
    }
    meet(&a, &b);
    ck_assert_int_eq(rows_of(&b), 20);
    ck_assert_uint_eq(info_of(&b, "entry").changes_applied, 20);
    ck_assert_uint_eq(metrics_of(&b).changes_stale, 0);
}
END_TEST

/* Nothing that a column holds takes part in the order. */
START_TEST(rows_of_nothing_but_null_do_not_end_the_pages)
{
    add_many(&a, 5);
    test_device_sql(&a, "UPDATE entries SET name = '', kind = NULL, mtime = NULL, size = NULL");
    test_entry_add(&a, "last");
    call(&a, &b, 1);
    talk(&a, &b);
    ck_assert_int_eq(tide_session_is_complete(b.session), 1);
    test_hang_up(&a, &b);
    test_entries_are(&b, "last n1 n2 n3 n4 n5");
}
END_TEST

/* Each page brings as many rows as it may, though A writes one more before each. */
START_TEST(steady_writes_do_not_starve_who_catches_up)
{
    char name[32];
    int64_t had = 0;
    unsigned pages = 0;

    add_many(&a, 50);
    call(&a, &b, 5);
    tide_session_pause(a.session);
    for (int i = 0; i < 40; i++) {
        int64_t has_now;
        snprintf(name, sizeof name, "new%d", i);
        test_entry_add(&a, name);
        tide_session_notify(a.session);
        while (carry(&b, &a, false) == TIDE_OK)
            ;
        ck_assert_int_ne(carry(&a, &b, false), TIDE_ABSENT);
        has_now = rows_of(&b);
        ck_assert_int_le(has_now - had, 5);
        pages += has_now > had;
        had = has_now;
    }
    ck_assert_int_ge(had, 50 + 30);
    ck_assert_uint_ge(pages, 16);
    test_hang_up(&a, &b);
    meet(&a, &b);
    ck_assert_int_eq(rows_of(&b), 90);
}
END_TEST

/* ---- the link ----------------------------------------------------------------------------------- */

/* One way only: questions arrive, answers do not. Nobody takes that for the end. */
START_TEST(who_hears_no_answer_is_never_ready)
{
    test_entry_add(&a, "x");
    call(&a, &b, 500);
    for (int i = 1; i <= 50; i++) {
        (void)carry(&b, &a, false);
        (void)carry(&a, &b, true);
        tide_session_tick(a.session, i * 3 * SECOND);
        tide_session_tick(b.session, i * 3 * SECOND);
        ck_assert_int_eq(tide_session_is_complete(a.session), 0);
        ck_assert_int_eq(tide_session_is_complete(b.session), 0);
        ck_assert_int_ne(tide_session_state(b.session), TIDE_READY);
    }
    ck_assert_int_eq(mark_of(&b, &a, "entry"), TIDE_TIME_NONE);
    ck_assert_int_eq(ack_of(&a, &b, "entry"), TIDE_TIME_NONE);
    talk(&a, &b);
    tide_session_tick(a.session, 1000 * SECOND);
    tide_session_tick(b.session, 1000 * SECOND);
    talk(&a, &b);
    ck_assert_int_eq(tide_session_is_complete(a.session), 1);
    ck_assert_int_eq(tide_session_is_complete(b.session), 1);
    test_hang_up(&a, &b);
    test_entries_are(&b, "x");
}
END_TEST

/* Every message from A that is number _i of three is lost: no ack is above what B has. */
START_TEST(a_lost_page_is_never_acknowledged)
{
    tide_time ack = TIDE_TIME_NONE;

    add_many(&a, 12);
    call(&a, &b, 1);
    for (int i = 0; i < 400 && !tide_session_is_complete(a.session); i++) {
        (void)carry(&a, &b, i % 3 == _i);
        (void)carry(&b, &a, false);
        ck_assert_int_le(ack_of(&a, &b, "entry"), mark_of(&b, &a, "entry"));
        ck_assert_int_ge(ack_of(&a, &b, "entry"), ack);
        ack = ack_of(&a, &b, "entry");
        tide_session_tick(a.session, i * 3 * SECOND);
        tide_session_tick(b.session, i * 3 * SECOND);
    }
    ck_assert_int_eq(tide_session_is_complete(a.session), 1);
    ck_assert_int_eq(ack, info_of(&a, "entry").head);
    ck_assert_int_eq(rows_of(&b), 12);
    test_hang_up(&a, &b);
}
END_TEST

/* A reads B, and B asks for nothing: B has acknowledged nothing, and nothing of A's is pruned for
 * its sake, though A knows B. */
START_TEST(reading_a_peer_acknowledges_nothing_of_ours)
{
    test_entry_add(&a, "x");
    test_entry_add(&b, "of b");
    test_entry_delete(&a, "x");
    call(&a, &b, 500);
    tide_session_pause(b.session);
    talk(&a, &b);
    test_hang_up(&a, &b);
    test_entries_are(&a, "of b");
    ck_assert_int_eq(ack_of(&a, &b, "entry"), TIDE_TIME_NONE);
    ck_assert_int_eq(ack_of(&b, &a, "entry"), info_of(&b, "entry").head);
    ck_assert_uint_eq(test_prune(&a), 0);
    ck_assert_uint_eq(info_of(&a, "entry").tombstones, 1);
    meet(&a, &b);
    ck_assert_uint_eq(test_prune(&a), 1);
}
END_TEST

/* ---- deletes ------------------------------------------------------------------------------------ */

/* The page with the deletion is lost for good; what is written after it does not hide it. */
START_TEST(a_lost_deletion_comes_before_what_is_newer)
{
    test_entry_add(&a, "x");
    test_entry_add(&a, "y");
    meet(&a, &b);
    test_entry_delete(&a, "x");
    call(&a, &b, 500);
    for (int i = 0; i < 10; i++) {
        (void)carry(&a, &b, true);
        (void)carry(&b, &a, false);
    }
    test_hang_up(&a, &b);
    test_entries_are(&b, "x y");
    test_entry_add(&a, "z");
    call(&a, &b, 1); /* and in another page than z */
    talk(&a, &b);
    test_hang_up(&a, &b);
    test_entries_are(&b, "y z");
}
END_TEST

/* Ten years are no reason to forget it while somebody has not heard of it. */
START_TEST(a_deletion_does_not_age)
{
    test_entry_add(&a, "x");
    meet(&a, &b);
    meet(&a, &c);
    test_entry_delete(&a, "x");
    meet(&a, &c);
    clock_ahead = 10 * 365 * 86400 * SECOND;
    ck_assert_uint_eq(test_prune(&a), 0);
    meet(&a, &c);
    ck_assert_uint_eq(test_prune(&a), 0);
    ck_assert_uint_eq(info_of(&a, "entry").tombstones, 1);
    meet(&b, &c); /* C has it, too */
    test_entries_are(&b, "");
}
END_TEST

/* ---- who owns, what is followed ----------------------------------------------------------------- */

/* A hands a volume over; C is far ahead in A's feed and in B's. */
START_TEST(a_row_that_is_handed_over_reaches_who_is_far_ahead)
{
    test_device_sql(&a, "INSERT INTO volumes (uuid, name) VALUES ('v', 'of a')");
    for (int i = 0; i < 2; i++) {
        meet(&a, &b);
        meet(&b, &c);
        meet(&a, &c);
    }
    test_entry_add(&a, "x");
    test_device_sql(&a, "UPDATE volumes SET device_uuid = 'b', name = 'of b'");
    meet(&a, &c);
    test_query_is(&c, "v of b", "SELECT uuid || ' ' || name AS it FROM volumes");
    meet(&a, &b);
    test_query_is(&b, "v of b", "SELECT uuid || ' ' || name AS it FROM volumes");
}
END_TEST

static const char *const note_columns[] = {"text"};
static const tide_model note = {.size = sizeof note,
                                .ownership = TIDE_SHARED,
                                .resource = "note",
                                .table = "notes",
                                .key = "uuid",
                                .columns = note_columns,
                                .column_count = 1};

/* Both had the table all the time; only A said that it is synced. */
START_TEST(a_model_that_joins_later_is_read_from_its_beginning)
{
    const test_device *both[] = {&a, &b};

    for (int i = 0; i < 2; i++)
        test_device_sql(
            both[i], "CREATE TABLE notes (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, text)");
    ck_assert_int_eq(tide_sync_register(test_device_sync(&a), &note), TIDE_OK);
    test_device_sql(&a, "INSERT INTO notes (uuid, text) VALUES ('m', '1'), ('n', '2')");
    test_device_sql(&b, "INSERT INTO notes (uuid, text) VALUES ('o', '3')");
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_entry_add(&a, "y");
    meet(&a, &b);
    test_query_is(&b, "o", "SELECT uuid AS it FROM notes");
    ck_assert_int_eq(tide_sync_register(test_device_sync(&b), &note), TIDE_OK);
    meet(&a, &b);
    test_query_is(&b, "m1 n2 o3", "SELECT uuid || text AS it FROM notes ORDER BY uuid");
    test_query_is(&a, "m1 n2 o3", "SELECT uuid || text AS it FROM notes ORDER BY uuid");
    ck_assert_uint_eq(info_of(&b, "entry").changes_applied, 2);
}
END_TEST

/* ---- restored, and nobody noticed --------------------------------------------------------------- */

/* All of A is restored, and it writes before it meets B: its feed is longer than what B has seen of
 * it, so that nothing looks wrong. What A had lost was its own: rows, a change, a deletion. */
START_TEST(a_restored_device_that_wrote_at_once_gets_back_what_it_lost)
{
    test_entry_add(&a, "gone");
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_device_back_up(&a);
    test_entry_add(&a, "y");
    test_device_sql(&a, "UPDATE entries SET name = 'changed' WHERE uuid = 'x'");
    test_entry_delete(&a, "gone");
    meet(&a, &b);
    if (_i == 1)
        ck_assert_uint_eq(test_prune(&b), 0); /* A has not said that it has B's tombstone */
    if (_i == 2) {
        meet(&a, &b);
        ck_assert_uint_eq(test_prune(&b), 1);
    }
    test_device_restore(&a);
    test_entries_are(&a, "gone x");
    test_entry_add(&a, "z");
    meet(&a, &b);
    meet(&a, &b);
    test_entries_are(&a, "x y z");
    test_entries_are(&b, "x y z");
    test_query_is(&a, "changed", "SELECT name AS it FROM entries WHERE uuid = 'x'");
    meet(&b, &c);
    test_entries_are(&c, "x y z");
}
END_TEST

/* The database alone, as it was while the program ran: since then A has applied nothing, and has
 * opened no engine. */
static void restore_database_while_open(bool pruned)
{
    test_entry_add(&a, "gone");
    test_entry_add(&a, "x");
    meet(&a, &b);
    test_device_sql(&a, "VACUUM INTO 'backup.db'");
    test_entry_add(&a, "y");
    test_entry_delete(&a, "gone");
    meet(&a, &b);
    meet(&a, &b);
    test_entries_are(&b, "x y");
    if (pruned)
        ck_assert_uint_eq(test_prune(&b), 1);
    test_device_close(&a);
    test_shell("rm -f A/database.db* && mv backup.db A/database.db");
    test_device_open(&a, "A", 1, now);
    test_entries_are(&a, "gone x");
    test_entry_add(&a, "z");
    meet(&a, &b);
    meet(&a, &b);
    test_entries_are(&a, "x y z");
    test_entries_are(&b, "x y z");
}

START_TEST(a_database_restored_alone_from_a_running_program)
{
    restore_database_while_open(false);
}
END_TEST

START_TEST(a_database_restored_alone_does_not_undo_a_pruned_deletion)
{
    restore_database_while_open(true);
}
END_TEST

/* A's clock was ahead when its lost rows were written; after the restore it writes below and above
 * what B has seen. 1: and a full read is due. */
START_TEST(what_a_restored_device_writes_below_the_peers_mark_stays)
{
    test_entry_add(&a, "x");
    test_entry_add(&b, "w");
    meet(&a, &b);
    meet(&a, &b);
    test_device_back_up(&a);
    run_ahead(&a, 100 * SECOND);
    test_entry_add(&a, "y");
    test_entry_delete(&b, "w");
    meet(&a, &b);
    meet(&a, &b);
    if (_i == 1)
        ck_assert_uint_eq(test_prune(&b), 1);
    test_device_restore(&a);
    test_entries_are(&a, "w x");
    test_entry_add(&a, "z1"); /* below */
    run_ahead(&a, 200 * SECOND);
    test_entry_add(&a, "z2"); /* above */
    meet(&a, &b);
    meet(&a, &b);
    test_entries_are(&a, "x y z1 z2");
    test_entries_are(&b, "x y z1 z2");
}
END_TEST

/* ---- proof -------------------------------------------------------------------------------------- */

static tide_digest digest_of(const test_device *s)
{
    tide_digest digest;

    memset(&digest, 0, sizeof digest);
    ck_assert_int_eq(tide_sync_digest(test_device_sync(s), "entry", &digest), TIDE_OK);
    return digest;
}

/* The same rows under other row numbers are the same; as many other rows are not. */
START_TEST(equal_counts_of_other_rows_are_told_apart)
{
    tide_digest left, right;

    test_device_sql(&b, "INSERT INTO entries (id, uuid, name) VALUES (100, 'b', 'b')");
    test_entry_add(&a, "x");
    test_entry_add(&a, "y");
    meet(&a, &b);
    left = digest_of(&a);
    right = digest_of(&b);
    ck_assert_uint_eq(left.rows, 3);
    ck_assert_uint_eq(right.rows, 3);
    ck_assert_mem_eq(left.sum, right.sum, sizeof left.sum);
    test_device_sql(&b,
                    "UPDATE tidemark_state SET applying = 1; DELETE FROM entries WHERE uuid = 'x';"
                    "DELETE FROM tidemark_entry_rows WHERE key = 'x';"
                    "UPDATE tidemark_state SET applying = 0");
    test_entry_add(&b, "w");
    right = digest_of(&b);
    ck_assert_uint_eq(right.rows, 3);
    ck_assert_mem_ne(left.sum, right.sum, sizeof left.sum);
    meet(&a, &b);
    meet(&a, &b);
    test_entries_are(&a, "b w x y");
    test_entries_are(&b, "b w x y");
    left = digest_of(&a);
    right = digest_of(&b);
    ck_assert_mem_eq(left.sum, right.sum, sizeof left.sum);
}
END_TEST

/* In each session one side has something new: B, A, or both. */
START_TEST(what_differs_is_found_though_there_is_always_something_new)
{
    char name[32];

    test_entry_add(&a, "x");
    meet(&a, &b);
    meet(&a, &b);
    test_device_sql(&b,
                    "UPDATE tidemark_state SET applying = 1; DELETE FROM entries WHERE uuid = 'x';"
                    "DELETE FROM tidemark_entry_rows WHERE key = 'x';"
                    "UPDATE tidemark_state SET applying = 0");
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "new%d", i);
        if (_i != 1)
            test_entry_add(&b, name);
        snprintf(name, sizeof name, "other%d", i);
        if (_i != 0)
            test_entry_add(&a, name);
        meet(&a, &b);
    }
    test_query_is(&b, "x", "SELECT uuid AS it FROM entries WHERE uuid = 'x'");
}
END_TEST

START_TEST(the_figures_are_exact)
{
    add_many(&a, 5);
    test_entry_add(&a, "x");
    test_entry_delete(&a, "x");
    for (int i = 0; i < 2; i++) { /* the second time there is nothing */
        meet(&a, &b);
        ck_assert_uint_eq(info_of(&b, "entry").rows, 5);
        ck_assert_uint_eq(info_of(&b, "entry").tombstones, 1);
        ck_assert_uint_eq(info_of(&b, "entry").changes_applied, 6);
        ck_assert_uint_eq(info_of(&b, "device").changes_applied, 1); /* A's own row */
        ck_assert_uint_eq(metrics_of(&b).changes_applied, 7);
        ck_assert_uint_eq(metrics_of(&b).changes_stale, 0);
        ck_assert_uint_eq(metrics_of(&b).pages_refused, 0);
        ck_assert_uint_eq(info_of(&a, "entry").changes_applied, 0);
    }
}
END_TEST

/* How often the store commits does not depend on how many rows or pages there are. */
START_TEST(marks_are_not_written_for_each_page)
{
    test_device *followers[] = {&b, &c};
    static const uint32_t page_rows[] = {500, 10};
    uint64_t commits[2];

    add_many(&a, 500);
    for (int i = 0; i < 2; i++) {
        tide_info before = {.size = sizeof before}, after = before;
        tide_store *store = tide_library_store(followers[i]->library);
        ck_assert_int_eq(tide_stat(store, &before), TIDE_OK);
        call(&a, followers[i], page_rows[i]);
        tide_session_pause(a.session);
        talk(&a, followers[i]);
        test_hang_up(&a, followers[i]);
        ck_assert_int_eq(tide_stat(store, &after), TIDE_OK);
        ck_assert_int_eq(rows_of(followers[i]), 500);
        commits[i] = after.transaction - before.transaction;
    }
    ck_assert_uint_eq(commits[1], commits[0]);
}
END_TEST

/* ---- open --------------------------------------------------------------------------------------- */

int main(void)
{
    Suite *suite = suite_create("traps");
    TCase *test = test_case(suite, "traps");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_loop_test(test, a_mark_is_the_peers_stamp_whatever_our_clock_says, 0, 3);
    tcase_add_test(test, a_mark_on_one_peer_says_nothing_about_another);
    tcase_add_test(test, a_relay_does_not_raise_the_owners_mark);
    tcase_add_test(test, quiet_resources_are_not_read_again_and_contact_is_known);
    tcase_add_test(test, rows_of_one_moment_are_told_apart_at_every_page_boundary);
    tcase_add_test(test, rows_of_nothing_but_null_do_not_end_the_pages);
    tcase_add_test(test, steady_writes_do_not_starve_who_catches_up);
    tcase_add_test(test, who_hears_no_answer_is_never_ready);
    tcase_add_loop_test(test, a_lost_page_is_never_acknowledged, 0, 3);
    tcase_add_test(test, reading_a_peer_acknowledges_nothing_of_ours);
    tcase_add_test(test, a_lost_deletion_comes_before_what_is_newer);
    tcase_add_test(test, a_deletion_does_not_age);
    tcase_add_test(test, a_row_that_is_handed_over_reaches_who_is_far_ahead);
    tcase_add_test(test, a_model_that_joins_later_is_read_from_its_beginning);
    tcase_add_loop_test(test, a_restored_device_that_wrote_at_once_gets_back_what_it_lost, 0, 3);
    tcase_add_test(test, a_database_restored_alone_from_a_running_program);
    tcase_add_test(test, a_database_restored_alone_does_not_undo_a_pruned_deletion);
    tcase_add_loop_test(test, what_a_restored_device_writes_below_the_peers_mark_stays, 0, 2);
    tcase_add_loop_test(test, what_differs_is_found_though_there_is_always_something_new, 0, 3);
    tcase_add_test(test, equal_counts_of_other_rows_are_told_apart);
    tcase_add_test(test, the_figures_are_exact);
    tcase_add_test(test, marks_are_not_written_for_each_page);
    return test_run(suite);
}
