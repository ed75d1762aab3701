/* support_library.c - see support_library.h. */
#include "support_library.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY 9

/* ---- devices ------------------------------------------------------------------------------------ */

static void on_event(void *ctx, const tide_event *event)
{
    test_device *device = ctx;

    device->notices += event->kind == TIDE_EVENT_NOTICE;
    device->diverged += event->kind == TIDE_EVENT_DIVERGED;
}

void test_device_open(test_device *device, const char *path, uint64_t number, tide_clock_fn *clock)
{
    char detail[256] = "";
    uuid_t uuid, id;
    tide_library_options options;
    tide_sync_options sync;

    memset(device, 0, sizeof *device);
    snprintf(device->path, sizeof device->path, "%s", path);
    device->number = number;
    device->clock = clock;
    test_uuid(uuid, number);
    test_uuid(id, LIBRARY);
    tide_library_options_init(&options);
    tide_sync_options_init(&sync);
    options.flags = TIDE_CREATE_LIBRARY;
    options.device_name = device->path;
    options.sync = &sync;
    sync.device = uuid;
    sync.library = id;
    sync.event = on_event;
    sync.event_ctx = device;
    sync.clock = clock;
    sync.detail = detail;
    sync.detail_bytes = sizeof detail;
    ck_assert_msg(tide_library_open(path, &options, &device->library) == TIDE_OK, "%s", detail);
}

void test_device_close(test_device *device)
{
    tide_library_close(device->library);
    device->library = NULL;
}

void test_device_reopen(test_device *device)
{
    test_device again = *device;

    test_device_close(device);
    test_device_open(device, again.path, again.number, again.clock);
}

tide_sync *test_device_sync(const test_device *device)
{
    return tide_library_sync(device->library);
}

void test_shell(const char *command)
{
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): cp and rm in the test's folder */
}

/* Runs a command while the device is closed; each $ in it stands for its folder. */
static void while_closed(test_device *device, const char *command)
{
    char line[256] = "";
    size_t at = 0;

    for (const char *p = command; *p != '\0'; p++)
        at += (size_t)snprintf(line + at, sizeof line - at, "%s",
                               *p == '$' ? device->path : (char[]){*p, '\0'});
    test_device again = *device;
    test_device_close(device);
    test_shell(line);
    test_device_open(device, again.path, again.number, again.clock);
}

void test_device_back_up(test_device *device)
{
    while_closed(device, "rm -rf backup && cp -r $ backup");
}

void test_device_restore(test_device *device)
{
    while_closed(device, "rm -r $ && mv backup $");
}

void test_device_back_up_rows(test_device *device)
{
    while_closed(device, "cp $/database.db backup.db");
}

void test_device_restore_rows(test_device *device)
{
    while_closed(device, "rm -f $/database.db-wal $/database.db-shm && cp backup.db $/database.db");
}

/* ---- rows --------------------------------------------------------------------------------------- */

void test_device_sql(const test_device *device, const char *sql)
{
    char *why = NULL;
    int rc = sqlite3_exec(tide_sync_database(test_device_sync(device)), sql, NULL, NULL, &why);

    ck_assert_msg(rc == SQLITE_OK, "%s: %s", sql, why == NULL ? "" : why);
}

void test_query_is(const test_device *device, const char *expected, const char *query)
{
    char sql[512];
    sqlite3_stmt *statement = NULL;
    const char *got;

    snprintf(sql, sizeof sql, "SELECT ifnull(group_concat(it, ' '), '') FROM (%s)", query);
    ck_assert_int_eq(
        sqlite3_prepare_v2(tide_sync_database(test_device_sync(device)), sql, -1, &statement, NULL),
        SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    got = (const char *)sqlite3_column_text(statement, 0);
    ck_assert_msg(strcmp(got, expected) == 0, "%s has \"%s\", not \"%s\"", device->path, got,
                  expected);
    sqlite3_finalize(statement);
}

void test_entry_add(const test_device *device, const char *name)
{
    char sql[256];

    snprintf(sql, sizeof sql, "INSERT INTO entries (uuid, name) VALUES ('%s', '%s')", name, name);
    test_device_sql(device, sql);
}

void test_entry_delete(const test_device *device, const char *name)
{
    char sql[256];

    snprintf(sql, sizeof sql, "DELETE FROM entries WHERE uuid = '%s'", name);
    test_device_sql(device, sql);
}

void test_entries_are(const test_device *device, const char *expected)
{
    test_query_is(device, expected, "SELECT uuid AS it FROM entries ORDER BY uuid");
}

uint64_t test_prune(const test_device *device)
{
    uint64_t pruned = 0;

    ck_assert_int_eq(tide_sync_prune(test_device_sync(device), &pruned), TIDE_OK);
    return pruned;
}

/* ---- sessions ----------------------------------------------------------------------------------- */

bool test_device_says(test_device *device, unsigned char copy[TEST_MESSAGE_MAX], size_t *size)
{
    char detail[256] = "";
    const void *bytes = NULL;
    int rc = tide_session_next(device->session, &bytes, size);

    if (rc == TIDE_ABSENT)
        return false;
    tide_sync_detail(test_device_sync(device), detail, sizeof detail);
    ck_assert_msg(rc == TIDE_OK, "%s says %s: %s", device->path, tide_code_name(rc), detail);
    ck_assert_uint_le(*size, TEST_MESSAGE_MAX);
    memcpy(copy, bytes, *size);
    return true;
}

void test_device_greet(test_device *device, const test_device *other)
{
    uuid_t peer;
    tide_session_options options;

    test_uuid(peer, other->number);
    tide_session_options_init(&options);
    options.peer = peer;
    ck_assert_int_eq(tide_session_open(test_device_sync(device), &options, &device->session),
                     TIDE_OK);
}

bool test_carry(test_device *from, test_device *to)
{
    unsigned char copy[TEST_MESSAGE_MAX];
    size_t size = 0;

    if (!test_device_says(from, copy, &size))
        return false;
    ck_assert_int_eq(tide_session_receive(to->session, copy, size), TIDE_OK);
    return true;
}

void test_talk(test_device *x, test_device *y)
{
    bool moved = true;

    test_device_greet(x, y);
    test_device_greet(y, x);
    for (int i = 0; moved; i++) {
        ck_assert_int_lt(i, 1000);
        moved = test_carry(x, y);
        moved = test_carry(y, x) || moved;
    }
}

void test_hang_up(test_device *x, test_device *y)
{
    tide_session_close(x->session);
    tide_session_close(y->session);
    x->session = y->session = NULL;
}

void test_hang_up_complete(test_device *x, test_device *y)
{
    ck_assert_int_eq(tide_session_is_complete(x->session), 1);
    ck_assert_int_eq(tide_session_is_complete(y->session), 1);
    ck_assert_uint_eq(tide_session_diverged(x->session), 0);
    ck_assert_uint_eq(tide_session_diverged(y->session), 0);
    test_hang_up(x, y);
}
