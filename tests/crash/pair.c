/* pair.c - two libraries; see pair.h. */
#include "pair.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void on_event(void *ctx, const tide_event *event)
{
    side *s = ctx;
    if (event->kind == TIDE_EVENT_NOTICE || event->kind == TIDE_EVENT_PARKED ||
        event->kind == TIDE_EVENT_DIVERGED) {
        s->told++;
        (void)snprintf(s->text, sizeof s->text, "%s",
                       event->text == NULL ? "rows differ" : event->text);
    }
}

bool side_open(side *s, const char *folder, const char *name, uint32_t flags, char why[PAIR_WHY])
{
    char detail[256] = "";
    tide_library_options options;
    tide_sync_options sync;
    tide_options store;
    *s = (side){.library = NULL};
    (void)snprintf(s->path, sizeof s->path, "%s/%s", folder, name);
    tide_library_options_init(&options);
    tide_sync_options_init(&sync);
    options.flags = flags;
    options.device_name = name;
    options.sync = &sync;
    tide_options_init(&store);
    options.store = &store;
    store.map_size_bytes = 1 << 20; /* address space costs time, too */
    store.max_readers = 8;
    sync.event = on_event;
    sync.event_ctx = s;
    sync.detail = detail;
    sync.detail_bytes = sizeof detail;
    int rc = tide_library_open(s->path, &options, &s->library);
    if (rc != TIDE_OK) {
        (void)snprintf(why, PAIR_WHY, "%s cannot be opened: %s: %s", name, tide_strerror(rc),
                       detail);
    }
    return rc == TIDE_OK;
}

void side_close(side *s)
{
    tide_library_close(s->library);
    s->library = NULL;
}

static sqlite3 *database(const side *s)
{
    return tide_sync_database(tide_library_sync(s->library));
}

bool side_run(side *s, const char *sql, char why[PAIR_WHY])
{
    bool ok = sqlite3_exec(database(s), sql, NULL, NULL, NULL) == SQLITE_OK;
    if (!ok) {
        (void)snprintf(why, PAIR_WHY, "%.60s: %.200s", sql, sqlite3_errmsg(database(s)));
    }
    return ok;
}

bool side_ask(side *s, int64_t *value, char why[PAIR_WHY], const char *format, ...)
{
    va_list list;
    sqlite3_stmt *statement = NULL;
    va_start(list, format);
    char *sql = sqlite3_vmprintf(format, list);
    va_end(list);
    bool ok = sqlite3_prepare_v2(database(s), sql, -1, &statement, NULL) == SQLITE_OK &&
              sqlite3_step(statement) == SQLITE_ROW;
    if (ok) {
        *value = sqlite3_column_int64(statement, 0);
    } else {
        (void)snprintf(why, PAIR_WHY, "%.200s: %.200s", sql, sqlite3_errmsg(database(s)));
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return ok;
}

bool pair_sync(side *a, side *b, uint32_t page_rows, char why[PAIR_WHY])
{
    tide_session_options options;
    tide_session *near = NULL;
    tide_session *far = NULL;
    tide_pipe *link = NULL;
    tide_session_options_init(&options);
    options.page_rows = page_rows;
    int rc = tide_session_open(tide_library_sync(a->library), &options, &near);
    rc = rc != TIDE_OK ? rc : tide_session_open(tide_library_sync(b->library), &options, &far);
    rc = rc != TIDE_OK ? rc : tide_pipe_open(far, NULL, &link);
    if (rc == TIDE_OK) {
        rc = tide_sync_exchange_watermarks_and_catchup(near, tide_pipe_transport(link));
        rc = rc == TIDE_ECLOSED && tide_pipe_far_error(link) != TIDE_OK ? tide_pipe_far_error(link)
                                                                        : rc;
    }
    tide_pipe_close(link);
    tide_session_close(far);
    tide_session_close(near);
    if (rc != TIDE_OK) {
        (void)snprintf(why, PAIR_WHY, "sync: %s", tide_strerror(rc));
    }
    return rc == TIDE_OK;
}
