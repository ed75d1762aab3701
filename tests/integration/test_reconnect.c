/* test_reconnect.c - many rows of several kinds, a link that is cut, and what is there afterwards.
 *
 * Library A holds 50 locations, 10 volumes and 15,000 entries whose stamps lie apart: locations
 * first, volumes in the middle, entries last and many. B follows, the link is cut, B follows again.
 * Afterwards B must hold exactly A's rows, wherever the cut fell: over the LMDB store and over the
 * SQLite table. Over one global watermark it must not: that this loses rows is asserted too.
 *
 * Nothing waits: the pipe's time is virtual, and stamps come from the floor of A's clock, which the
 * test sets. Rows are compared by SQL, not by the engine.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tidemark/tidemark.h>

#include "support.h"
#include "tools/global_mark.h"

#define LOCATIONS 50
#define VOLUMES 10
#define ENTRIES 15000
#define SECOND 1000000000
#define BASE 4102444800 /* 2100-01-01: ahead of every clock, so that the floor decides */

typedef enum backend { LMDB, SQLITE, GLOBAL } backend;

/* ---- the engine's surroundings ------------------------------------------------------------------- */

static tide_time far_future(void *ctx)
{
    (void)ctx;
    return (tide_time)(BASE + 1000000) * SECOND;
}

typedef struct cutter {
    tide_pipe *pipe;
    uint64_t entries;
    uint64_t cut_after; /* entries; 0: never */
} cutter;

static void count_entries(void *ctx, const tide_event *event)
{
    cutter *c = ctx;
    if (c != NULL && event->kind == TIDE_EVENT_RESOURCE_CHANGED &&
        strcmp(event->resource, "entry") == 0) {
        c->entries += event->count;
        if (c->cut_after > 0 && c->entries >= c->cut_after) {
            tide_pipe_cut(c->pipe);
        }
    }
}

static tide_library *open_library(const char *path, const unsigned char *library_id, cutter *c)
{
    char detail[256] = "";
    tide_library *library = NULL;
    tide_library_options options;
    tide_sync_options sync;
    tide_library_options_init(&options);
    tide_sync_options_init(&sync);
    options.flags = TIDE_CREATE_LIBRARY;
    options.device_name = path;
    options.sync = &sync;
    sync.clock = far_future;
    sync.library = library_id;
    sync.event = count_entries;
    sync.event_ctx = c;
    sync.detail = detail;
    sync.detail_bytes = sizeof detail;
    int rc = tide_library_open(path, &options, &library);
    ck_assert_msg(rc == TIDE_OK, "%s: %s", tide_strerror(rc), detail);
    return library;
}

static void run_sql(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &why);
    ck_assert_msg(rc == SQLITE_OK, "%s: %s", sql, why == NULL ? "" : why);
}

static int64_t ask_sql(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    ck_assert_int_eq(sqlite3_finalize(statement), SQLITE_OK);
    return value;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    test_require(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
    return statement;
}

static void run_with(sqlite3_stmt *statement, int64_t first, int64_t second)
{
    test_require(sqlite3_bind_int64(statement, 1, first) == SQLITE_OK);
    test_require(sqlite3_bind_int64(statement, 2, second) == SQLITE_OK);
    test_require(sqlite3_step(statement) == SQLITE_DONE);
    test_require(sqlite3_reset(statement) == SQLITE_OK);
}

/* One row after the other, each a second later: location i at BASE + i, volume i at BASE + 50 + i,
 * entry i at BASE + 100 + i, by raising the floor below each. Statements are prepared once, because
 * the triggers are compiled with each. */
static void fill(tide_library *library)
{
    sqlite3 *db = tide_sync_database(tide_library_sync(library));
    sqlite3_stmt *floor = prepare(db, "UPDATE tidemark_state SET floor = ?1 * ?2 - 1");
    sqlite3_stmt *location = prepare(db, "INSERT INTO locations (uuid, name, path) VALUES "
                                         "('location-' || ?1, 'n', '/' || ?2)");
    sqlite3_stmt *volume = prepare(db, "INSERT INTO volumes (uuid, name, total_bytes) VALUES "
                                       "('volume-' || ?1, 'n', ?2)");
    sqlite3_stmt *entry = prepare(db, "INSERT INTO entries (uuid, location_uuid, name, kind, size, "
                                      "mtime) VALUES ('entry-' || ?1, 'location-' || ?2, "
                                      "'n' || ?1, 'file', ?1, '')");
    run_sql(db, "BEGIN");
    for (int64_t i = 0; i < LOCATIONS + VOLUMES + ENTRIES; i++) {
        int64_t second = BASE + (i < LOCATIONS + VOLUMES ? i : i + 100 - LOCATIONS - VOLUMES);
        run_with(floor, second, SECOND);
        if (i < LOCATIONS) {
            run_with(location, i, i);
        } else if (i < LOCATIONS + VOLUMES) {
            run_with(volume, i, i);
        } else {
            run_with(entry, i, i % LOCATIONS);
        }
    }
    run_sql(db, "COMMIT");
    sqlite3_finalize(floor);
    sqlite3_finalize(location);
    sqlite3_finalize(volume);
    sqlite3_finalize(entry);
}

/* ---- one session -------------------------------------------------------------------------------- */

/* B's marks of the kind asked for; over SQLite in `sync.db`, globally in `global.mark`. */
typedef struct marks {
    tide_watermarks *handle;
    sqlite3 *db;
} marks;

static marks attach(tide_library *a, tide_library *b, backend kind)
{
    marks m = {NULL, NULL};
    uuid_t device;
    tide_sync_device(tide_library_sync(b), device);
    if (kind == SQLITE) {
        ck_assert_int_eq(sqlite3_open("B/sync.db", &m.db), SQLITE_OK);
        ck_assert_int_eq(tide_watermarks_open_sqlite(m.db, device, &m.handle), TIDE_OK);
    } else if (kind == GLOBAL) {
        ck_assert_int_eq(global_mark_open("B/global.mark", device, tide_library_sync(a), &m.handle),
                         TIDE_OK);
    }
    if (m.handle != NULL) {
        ck_assert_int_eq(tide_sync_attach(tide_library_sync(b), m.handle), TIDE_OK);
    }
    return m;
}

/* B follows A until done or cut. Returns the answer; *messages counts what was carried. */
static int follow(tide_library *a, backend kind, uint64_t cut_messages, uint64_t cut_entries,
                  uint64_t *messages)
{
    uuid_t library_id;
    cutter c = {NULL, 0, cut_entries};
    tide_session *server = NULL;
    tide_session *client = NULL;
    tide_session_options options;
    tide_pipe_options faults;
    tide_sync_library(tide_library_sync(a), library_id);
    tide_library *b = open_library("B", library_id, &c);
    marks m = attach(a, b, kind);
    tide_session_options_init(&options);
    options.page_rows = 1000;
    options.prove = kind == GLOBAL ? 0 : 1; /* digests would find what the old way loses */
    tide_pipe_options_init(&faults);
    faults.cut_after_messages = cut_messages;
    ck_assert_int_eq(tide_session_open(tide_library_sync(a), NULL, &server), TIDE_OK);
    tide_session_pause(server); /* A is the one who is followed here */
    ck_assert_int_eq(tide_session_open(tide_library_sync(b), &options, &client), TIDE_OK);
    ck_assert_int_eq(tide_pipe_open(server, &faults, &c.pipe), TIDE_OK);
    int rc = tide_sync_backfill_all_state(client, tide_pipe_transport(c.pipe));
    ck_assert_int_eq(tide_pipe_far_error(c.pipe), TIDE_OK);
    tide_pipe_count(c.pipe, messages, NULL);
    tide_pipe_close(c.pipe);
    tide_session_close(client);
    tide_session_close(server);
    tide_library_close(b);
    tide_watermarks_close(m.handle);
    ck_assert_int_eq(sqlite3_close(m.db), SQLITE_OK);
    return rc;
}

/* ---- what must be true --------------------------------------------------------------------------- */

static const char *const tables[] = {"locations", "volumes", "entries"};
static const char *const resources[] = {"location", "volume", "entry"};
static const char *const columns[] = {
    "uuid, device_uuid, name, path",
    "uuid, device_uuid, name, mount_point, file_system, total_bytes",
    "uuid, location_uuid, parent_uuid, name, kind, size, mtime"};

/* Rows of A that are not in B as they are in A, and rows of B that are not in A. */
static int64_t missing(int table)
{
    sqlite3 *db = NULL;
    char sql[512];
    ck_assert_int_eq(sqlite3_open("A/database.db", &db), SQLITE_OK);
    run_sql(db, "ATTACH 'B/database.db' AS b");
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM (SELECT %s FROM main.%s EXCEPT SELECT %s FROM b.%s)",
                   columns[table], tables[table], columns[table], tables[table]);
    int64_t lost = ask_sql(db, sql);
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM (SELECT %s FROM b.%s EXCEPT SELECT %s FROM main.%s)",
                   columns[table], tables[table], columns[table], tables[table]);
    ck_assert_int_eq(ask_sql(db, sql), 0);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    return lost;
}

/* No mark of B claims a row that is not there. Only meaningful for marks by resource. */
static void check_marks(tide_library *a, backend kind)
{
    uuid_t library_id;
    uuid_t peer;
    char sql[512];
    tide_sync_library(tide_library_sync(a), library_id);
    tide_sync_device(tide_library_sync(a), peer);
    tide_library *b = open_library("B", library_id, NULL);
    marks m = attach(a, b, kind);
    sqlite3 *db = tide_sync_database(tide_library_sync(b));
    run_sql(db, "ATTACH 'A/database.db' AS a");
    for (int i = 0; i < 3; i++) {
        tide_time mark = TIDE_TIME_NONE;
        int rc = tide_sync_get_resource_watermark(tide_library_sync(b), peer, resources[i], &mark);
        ck_assert(rc == TIDE_OK || rc == TIDE_ABSENT);
        (void)snprintf(sql, sizeof sql,
                       "SELECT count(*) FROM a.tidemark_%s_rows r JOIN a.%s t ON t.id = r.row "
                       "WHERE r.stamp <= %lld AND t.uuid NOT IN (SELECT uuid FROM main.%s)",
                       resources[i], tables[i], (long long)mark, tables[i]);
        ck_assert_int_eq(ask_sql(db, sql), 0);
    }
    run_sql(db, "DETACH a");
    tide_library_close(b);
    tide_watermarks_close(m.handle);
    ck_assert_int_eq(sqlite3_close(m.db), SQLITE_OK);
}

static void check_complete(void)
{
    for (int i = 0; i < 3; i++) {
        ck_assert_msg(missing(i) == 0, "%s are missing", tables[i]);
    }
}

static void remove_b(void)
{
    static const char *const names[] = {
        "B/database.db",   "B/database.db-wal", "B/database.db-shm", "B/sync.mdb",
        "B/sync.mdb-lock", "B/sync.db",         "B/global.mark",     "B"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)remove(names[i]);
    }
}

static tide_library *make_a(void)
{
    tide_library *a = open_library("A", NULL, NULL);
    fill(a);
    return a;
}

/* Cuts after every single message: at each page's boundary, between resources, before and after
 * each question. Each time B begins anew, is cut, follows again, and must be complete. */
static void cut_everywhere(backend kind, uint64_t step)
{
    tide_library *a = make_a();
    uint64_t all = 0;
    uint64_t ignored = 0;
    ck_assert_int_eq(follow(a, kind, 0, 0, &all), TIDE_OK);
    check_complete();
    ck_assert_uint_gt(all, 2 * (ENTRIES / 1000));
    for (uint64_t cut = 1; cut < all; cut += step) {
        remove_b();
        ck_assert_int_eq(follow(a, kind, cut, 0, &ignored), TIDE_ECLOSED);
        check_marks(a, kind);
        ck_assert_int_eq(follow(a, kind, 0, 0, &ignored), TIDE_OK);
        check_complete();
    }
    tide_library_close(a);
}

START_TEST(stamps_are_where_the_test_puts_them)
{
    tide_library *a = make_a();
    sqlite3 *db = tide_sync_database(tide_library_sync(a));
    ck_assert_int_eq(ask_sql(db, "SELECT min(stamp) FROM tidemark_location_rows"),
                     (int64_t)BASE * SECOND);
    ck_assert_int_eq(ask_sql(db, "SELECT max(stamp) FROM tidemark_volume_rows"),
                     (int64_t)(BASE + 59) * SECOND);
    ck_assert_int_eq(ask_sql(db, "SELECT min(stamp) FROM tidemark_entry_rows"),
                     (int64_t)(BASE + 100) * SECOND);
    ck_assert_int_eq(ask_sql(db, "SELECT max(stamp) FROM tidemark_entry_rows"),
                     (int64_t)(BASE + 100 + ENTRIES - 1) * SECOND);
    tide_library_close(a);
}
END_TEST

START_TEST(a_cut_after_5000_entries_loses_nothing)
{
    tide_library *a = make_a();
    uint64_t messages = 0;
    for (int kind = LMDB; kind <= SQLITE; kind++) {
        remove_b();
        ck_assert_int_eq(follow(a, (backend)kind, 0, 5000, &messages), TIDE_ECLOSED);
        ck_assert_int_ge(missing(2), ENTRIES - 6000);
        ck_assert_int_eq(missing(1), VOLUMES);
        check_marks(a, (backend)kind);
        ck_assert_int_eq(follow(a, (backend)kind, 0, 0, &messages), TIDE_OK);
        check_complete();
    }
    tide_library_close(a);
}
END_TEST

START_TEST(one_global_watermark_loses_the_volumes)
{
    tide_library *a = make_a();
    uint64_t messages = 0;
    /* Without a cut it is right. */
    ck_assert_int_eq(follow(a, GLOBAL, 0, 0, &messages), TIDE_OK);
    check_complete();
    /* With one the mark has gone past the volumes, and no later session finds them. */
    remove_b();
    ck_assert_int_eq(follow(a, GLOBAL, 0, 5000, &messages), TIDE_ECLOSED);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(follow(a, GLOBAL, 0, 0, &messages), TIDE_OK);
        ck_assert_int_eq(missing(0), 0);
        ck_assert_int_eq(missing(1), VOLUMES);
        ck_assert_int_eq(missing(2), 0);
    }
    tide_library_close(a);
}
END_TEST

START_TEST(cuts_at_every_message_over_lmdb)
{
    cut_everywhere(LMDB, test_sanitized() ? 9 : 1);
}
END_TEST

START_TEST(cuts_at_every_message_over_sqlite)
{
    cut_everywhere(SQLITE, test_sanitized() ? 9 : 1);
}
END_TEST

/* What happens in A while the link is down arrives as well: changes, new rows, deletions. */
START_TEST(changes_made_while_cut_off_arrive)
{
    tide_library *a = make_a();
    sqlite3 *db = tide_sync_database(tide_library_sync(a));
    uint64_t messages = 0;
    ck_assert_int_eq(follow(a, LMDB, 0, 5000, &messages), TIDE_ECLOSED);
    run_sql(db, "UPDATE entries SET size = size + 1 WHERE id % 3 = 0");
    run_sql(db, "DELETE FROM entries WHERE id % 7 = 0");
    run_sql(db, "INSERT INTO entries (uuid, name) VALUES ('late-1', 'x'), ('late-2', 'y')");
    run_sql(db, "DELETE FROM volumes WHERE uuid = 'volume-51'");
    run_sql(db, "DELETE FROM locations WHERE uuid = 'location-0'");
    run_sql(db, "INSERT INTO locations (uuid, name) VALUES ('location-0', 'again')");
    ck_assert_int_eq(follow(a, LMDB, 0, 0, &messages), TIDE_OK);
    check_complete();
    tide_library_close(a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reconnect");
    TCase *tcase = test_case(suite, "reconnect");
    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, stamps_are_where_the_test_puts_them);
    tcase_add_test(tcase, a_cut_after_5000_entries_loses_nothing);
    tcase_add_test(tcase, one_global_watermark_loses_the_volumes);
    tcase_add_test(tcase, cuts_at_every_message_over_lmdb);
    tcase_add_test(tcase, cuts_at_every_message_over_sqlite);
    tcase_add_test(tcase, changes_made_while_cut_off_arrive);
    return test_run(suite);
}
