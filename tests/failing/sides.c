/* sides.c - two databases that sync; see sides.h. */
#include "failing/sides.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE place (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT);"
    "CREATE TABLE item (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, place TEXT, code TEXT UNIQUE);"
    "INSERT INTO place (uuid, name) VALUES ('%s-old', 'was there before');";

static const char *const place_columns[] = {"name"};
static const char *const item_columns[] = {"place", "code"};
static const char *const item_depends[] = {"place"};
static const tide_parent item_parents[] = {{.column = "place", .resource = "place"}};
const tide_model sides_models[SIDES_MODELS] = {{.size = sizeof(tide_model),
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

side side_a = {.name = "a"}, side_b = {.name = "b"};
static test_random numbers;
static tide_time now =
    INT64_C(4000000000000000000); /* versions are SQLite's, and must not be ahead */

/* ---- open and closed ---------------------------------------------------------------------------- */

static void give_random(void *ctx, void *bytes, size_t size)
{
    unsigned char *to = bytes;

    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)test_next(ctx);
}

int sides_code(int sqlite_code)
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

static int open_database(side *s)
{
    char path[32];
    tide_sync_options options;
    uuid_t library;

    test_uuid(s->device, s == &side_a ? 1 : 2);
    test_uuid(library, 9);
    tide_sync_options_init(&options);
    options.device = s->device;
    options.library = library;
    options.random = give_random;
    options.random_ctx = &numbers;
    options.clock = test_clock;
    options.clock_ctx = &now;
    options.detail = s->opening;
    options.detail_bytes = sizeof s->opening;
    (void)snprintf(path, sizeof path, "%s.db", s->name);
    return tide_sync_open(path, &options, &s->sync);
}

static int register_place(side *s)
{
    return tide_sync_register(s->sync, &sides_models[0]);
}

static int register_item(side *s)
{
    return tide_sync_register(s->sync, &sides_models[1]);
}

static int open_marks(side *s)
{
    char path[32];
    tide_options options;
    int rc;

    if (s == &side_a) {
        test_options(&options, 64 << 10);
        rc = tide_open("a.mdb", &options, &s->store);
        return rc == TIDE_OK ? tide_watermarks_open_lmdb(s->store, s->device, &s->marks) : rc;
    }
    (void)snprintf(path, sizeof path, "%s-marks.db", s->name);
    rc = sides_code(sqlite3_open(path, &s->marks_db));
    return rc == TIDE_OK ? tide_watermarks_open_sqlite(s->marks_db, s->device, &s->marks) : rc;
}

static int attach_marks(side *s)
{
    return tide_sync_attach(s->sync, s->marks);
}

/* The marks part the two calls that are longest by far, as two in a row do not fail in one run. */
static int (*const parts[])(side *s) = {open_database, register_place, open_marks, register_item,
                                        attach_marks};
#define PARTS (sizeof parts / sizeof *parts)

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
    s->open = 0;
}

bool sides_are_open(void)
{
    return side_b.reached == PARTS;
}

int sides_open_next(void)
{
    side *s = side_a.reached < PARTS ? &side_a : &side_b;
    int rc;

    child_assert(!sides_are_open());
    do {
        rc = parts[s->open](s);
    } while (rc == TIDE_OK && s->open++ < s->reached);
    if (rc == TIDE_OK)
        s->reached = s->open;
    else
        close_side(s);
    return rc;
}

int sides_open(void)
{
    int rc = TIDE_OK;

    while (rc == TIDE_OK && !sides_are_open())
        rc = sides_open_next();
    if (rc != TIDE_OK)
        sides_close();
    return rc;
}

int sides_close(void)
{
    close_side(&side_a);
    close_side(&side_b);
    side_a.reached = side_b.reached = 0;
    return TIDE_OK;
}

/* ---- working ------------------------------------------------------------------------------------ */

void sides_make(void)
{
    static const char *const names[] = {"a", "b"};

    numbers.state = 7;
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

char *sides_query(sqlite3 *db, const char *sql)
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

int sides_sync(void)
{
    tide_session_options options;
    tide_session *near = NULL, *far = NULL;
    int rc;

    tide_session_options_init(&options);
    options.page_rows = SIDES_PAGE_ROWS;
    rc = tide_session_open(side_a.sync, &options, &near);
    if (rc == TIDE_OK)
        rc = tide_session_open(side_b.sync, &options, &far);
    if (rc == TIDE_OK)
        rc = talk(near, far);
    if (rc == TIDE_OK) {
        if (tide_session_diverged(near) > 0 || tide_session_diverged(far) > 0)
            rc = TIDE_CONFLICT;
        else if (tide_session_is_complete(near) != 1)
            rc = TIDE_GAP;
    }
    tide_session_close(near);
    tide_session_close(far);
    return rc;
}
