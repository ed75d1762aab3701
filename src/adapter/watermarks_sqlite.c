/* watermarks_sqlite.c - watermarks over the table device_resource_watermarks in SQLite.
 *
 * The table and its indexes are those that other programs make; what it has no column for, the
 * epoch, is in device_resource_watermark_epochs beside it. Times are compared as instants, never as
 * text: another program may have written "+00:00" or fewer digits. Every change reads, judges and
 * writes in one transaction, or in a savepoint of the caller's.
 */
#include "adapter/sql.h"
#include "adapter/watermarks.h"
#include "base/clock.h"
#include "base/key.h"
#include "base/rules.h"

#include "base/alloc.h"

static const char schema[] = "CREATE TABLE IF NOT EXISTS device_resource_watermarks (\n"
                             "    device_uuid TEXT NOT NULL,\n"
                             "    peer_device_uuid TEXT NOT NULL,\n"
                             "    resource_type TEXT NOT NULL,\n"
                             "    last_watermark TEXT NOT NULL,\n"
                             "    updated_at TEXT NOT NULL,\n"
                             "    PRIMARY KEY (device_uuid, peer_device_uuid, resource_type)\n"
                             ");\n"
                             "CREATE INDEX IF NOT EXISTS idx_resource_watermarks_peer\n"
                             "    ON device_resource_watermarks(peer_device_uuid, resource_type);\n"
                             "CREATE INDEX IF NOT EXISTS idx_resource_watermarks_resource\n"
                             "    ON device_resource_watermarks(resource_type);\n"
                             "CREATE TABLE IF NOT EXISTS device_resource_watermark_epochs (\n"
                             "    device_uuid TEXT NOT NULL,\n"
                             "    peer_device_uuid TEXT NOT NULL,\n"
                             "    resource_type TEXT NOT NULL,\n"
                             "    epoch TEXT NOT NULL,\n"
                             "    PRIMARY KEY (device_uuid, peer_device_uuid, resource_type)\n"
                             ") WITHOUT ROWID;\n";

enum { GET, PUT, PUT_EPOCH, REMOVE, REMOVE_EPOCH, REMOVE_PEER, REMOVE_PEER_EPOCHS, STATEMENTS };

static const char *const sql[STATEMENTS] = {
    [GET] = "SELECT w.last_watermark, w.updated_at, e.epoch FROM device_resource_watermarks w"
            " LEFT JOIN device_resource_watermark_epochs e USING"
            " (device_uuid, peer_device_uuid, resource_type)"
            " WHERE w.device_uuid = ?1 AND w.peer_device_uuid = ?2 AND w.resource_type = ?3",
    [PUT] = "INSERT INTO device_resource_watermarks VALUES (?1, ?2, ?3, ?4, ?5)"
            " ON CONFLICT (device_uuid, peer_device_uuid, resource_type) DO UPDATE SET"
            " last_watermark = excluded.last_watermark, updated_at = excluded.updated_at",
    [PUT_EPOCH] = "INSERT INTO device_resource_watermark_epochs VALUES (?1, ?2, ?3, ?4)"
                  " ON CONFLICT DO UPDATE SET epoch = excluded.epoch",
    [REMOVE] = "DELETE FROM device_resource_watermarks WHERE device_uuid = ?1 AND"
               " peer_device_uuid = ?2 AND resource_type = ?3",
    [REMOVE_EPOCH] = "DELETE FROM device_resource_watermark_epochs WHERE device_uuid = ?1 AND"
                     " peer_device_uuid = ?2 AND resource_type = ?3",
    [REMOVE_PEER] = "DELETE FROM device_resource_watermarks WHERE device_uuid = ifnull(?1,"
                    " device_uuid) AND peer_device_uuid = ifnull(?2, peer_device_uuid)"
                    " AND (device_uuid <> peer_device_uuid OR ?1 = ?2)",
    [REMOVE_PEER_EPOCHS] = "DELETE FROM device_resource_watermark_epochs WHERE device_uuid ="
                           " ifnull(?1, device_uuid) AND peer_device_uuid = ifnull(?2,"
                           " peer_device_uuid) AND (device_uuid <> peer_device_uuid OR"
                           " ?1 = ?2)",
};

#define LIST                                                                                       \
    "SELECT resource_type, last_watermark FROM device_resource_watermarks WHERE device_uuid = ?1"
static const char list_all_sql[] = LIST " AND peer_device_uuid <> ?1";
static const char list_peer_sql[] = LIST " AND peer_device_uuid = ?2 ORDER BY resource_type";

typedef struct sqlite_watermarks {
    tide_watermarks base;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    tide_barrier_fn *barrier;
    void *barrier_ctx;
    bool leftover; /* memory was too short to take our last transaction back */
    tide__detail detail;
} sqlite_watermarks;

static sqlite_watermarks *self_of(tide_watermarks *marks)
{
    return (sqlite_watermarks *)marks;
}

/* Nobody, our own reading included, may see what was not acknowledged, or add to it. */
static int take_back(sqlite_watermarks *self, tide__detail *detail)
{
    int rc = TIDE_OK;
    if (self->leftover && sqlite3_get_autocommit(self->db) == 0) {
        rc = tide__sql_run(self->db, "ROLLBACK", detail);
    }
    self->leftover = self->leftover && sqlite3_get_autocommit(self->db) == 0;
    return self->leftover ? rc : TIDE_OK;
}

static void close_handle(tide_watermarks *marks)
{
    sqlite_watermarks *self = self_of(marks);
    (void)take_back(self, NULL);
    for (int i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(self->statements[i]);
    }
    tide__free(self);
}

/* ---- statements --------------------------------------------------------------------------------- */

/* Bindings that failed are worse than none: a NULL for a resource would stand for all. */
static int bind_uuid(sqlite3_stmt *statement, int at, const unsigned char *uuid)
{
    char text[TIDE__UUID_TEXT];
    if (uuid == NULL) {
        return sqlite3_bind_null(statement, at); /* anybody, where a statement takes that */
    }
    tide__uuid_format(uuid, text);
    return sqlite3_bind_text(statement, at, text, sizeof text, SQLITE_TRANSIENT);
}

static int bind_time(sqlite3_stmt *statement, int at, tide_time time)
{
    char text[TIDE_TIME_TEXT];
    tide_time_format(time, text);
    return sqlite3_bind_text(statement, at, text, sizeof text - 1, SQLITE_TRANSIENT);
}

/* The first parameters of a statement: device, peer and, where it has a third, resource. */
static int bind_name(sqlite_watermarks *self, sqlite3_stmt *statement, const unsigned char *owner,
                     const unsigned char *about, const char *resource)
{
    int rc = bind_uuid(statement, 1, owner);
    if (rc == SQLITE_OK && sqlite3_bind_parameter_count(statement) >= 2) {
        rc = bind_uuid(statement, 2, about);
    }
    if (rc == SQLITE_OK && sqlite3_bind_parameter_count(statement) >= 3) {
        rc = sqlite3_bind_text(statement, 3, resource, -1, SQLITE_TRANSIENT);
    }
    return rc == SQLITE_OK ? TIDE_OK : tide__sql_fail(self->db, "SQLite", &self->detail);
}

/* A time that somebody stored; NULL gives TIDE_TIME_NONE, anything unreadable is an error. */
static int column_time(sqlite_watermarks *self, sqlite3_stmt *statement, int column, tide_time *out)
{
    if (sqlite3_column_type(statement, column) == SQLITE_NULL) {
        *out = TIDE_TIME_NONE;
        return TIDE_OK;
    }
    const char *text = (const char *)sqlite3_column_text(statement, column);
    int length = sqlite3_column_bytes(statement, column);
    if (text == NULL || tide_time_parse(text, (size_t)length, out) != TIDE_OK) {
        return tide__fail(&self->detail, TIDE_ECORRUPT,
                          "device_resource_watermarks: \"%.64s\" is not a time",
                          text == NULL ? "" : text);
    }
    return TIDE_OK;
}

/* ---- reading ------------------------------------------------------------------------------------ */

static int get(tide_watermarks *marks, const uuid_t owner, const uuid_t about, const char *resource,
               tide_mark *out)
{
    sqlite_watermarks *self = self_of(marks);
    sqlite3_stmt *statement = self->statements[GET];
    tide_mark mark;
    int rc = take_back(self, &self->detail);
    if (rc == TIDE_OK) {
        rc = bind_name(self, statement, owner, about, resource);
    }
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &self->detail);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = column_time(self, statement, 0, &mark.watermark);
    if (rc == TIDE_OK) {
        rc = column_time(self, statement, 1, &mark.updated_at);
    }
    if (rc == TIDE_OK) {
        rc = column_time(self, statement, 2, &mark.epoch);
    }
    (void)sqlite3_reset(statement);
    if (rc == TIDE_OK) {
        *out = mark;
    }
    return rc;
}

/* All our watermarks, or with `about` those about one peer. */
static int list(sqlite_watermarks *self, const unsigned char *about, tide_watermark_fn *fn,
                void *ctx)
{
    /* A statement for each walk, because the callback may walk too. */
    sqlite3_stmt *statement = NULL;
    int rc = take_back(self, &self->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_prepare(self->db, about == NULL ? list_all_sql : list_peer_sql, &statement,
                               &self->detail);
    }
    if (rc == TIDE_OK) {
        rc = bind_name(self, statement, self->base.device, about, NULL);
    }
    bool ended = false;
    while (rc == TIDE_OK && !ended) {
        tide_time watermark = TIDE_TIME_NONE;
        rc = tide__sql_step(statement, &self->detail);
        ended = rc == TIDE_ABSENT;
        if (rc == TIDE_OK) {
            const char *resource = (const char *)sqlite3_column_text(statement, 0);
            rc = resource == NULL ? TIDE_ENOMEM : column_time(self, statement, 1, &watermark);
            if (rc == TIDE_OK) {
                rc = fn(ctx, resource, watermark);
            }
        }
    }
    (void)sqlite3_finalize(statement);
    return ended ? TIDE_OK : rc;
}

static int each(tide_watermarks *marks, const uuid_t about, tide_watermark_fn *fn, void *ctx)
{
    return list(self_of(marks), about, fn, ctx);
}

static int raise_max(void *ctx, const char *resource, tide_time watermark)
{
    tide_time *max = ctx;
    (void)resource;
    if (watermark > *max) {
        *max = watermark;
    }
    return TIDE_OK;
}

static int get_max(tide_watermarks *marks, tide_time *out)
{
    tide_time max = TIDE_TIME_NONE;
    int rc = list(self_of(marks), NULL, raise_max, &max);
    if (rc == TIDE_OK && max == TIDE_TIME_NONE) {
        return TIDE_ABSENT;
    }
    if (rc == TIDE_OK) {
        *out = max;
    }
    return rc;
}

/* ---- changing ----------------------------------------------------------------------------------- */

/* A transaction of our own, or a savepoint in the caller's. */
static int begin(sqlite_watermarks *self, bool *nested)
{
    if (self->barrier != NULL) {
        int rc = self->barrier(self->barrier_ctx);
        if (rc < 0) {
            return tide__fail(&self->detail, rc, "the barrier failed: %s", tide_strerror(rc));
        }
    }
    int rc = take_back(self, &self->detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    *nested = sqlite3_get_autocommit(self->db) == 0;
    return tide__sql_run(self->db, *nested ? "SAVEPOINT tidemark_watermarks" : "BEGIN IMMEDIATE",
                         &self->detail);
}

/* Commits on TIDE_OK, else takes back what was done; passes the answer on. */
static int end(sqlite_watermarks *self, bool nested, int answer)
{
    if (answer == TIDE_OK) {
        answer = tide__sql_run(self->db, nested ? "RELEASE tidemark_watermarks" : "COMMIT",
                               &self->detail);
    }
    if (answer != TIDE_OK && nested) {
        (void)tide__sql_run(self->db,
                            "ROLLBACK TO tidemark_watermarks; RELEASE tidemark_watermarks", NULL);
    } else if (answer != TIDE_OK) {
        self->leftover = true;
        (void)take_back(self, NULL);
    }
    return answer;
}

static int put(sqlite_watermarks *self, const tide_step *step, const tide_mark *mark)
{
    sqlite3_stmt *statement = self->statements[PUT];
    int rc = bind_name(self, statement, step->device, step->peer, step->resource);
    if (rc == TIDE_OK && (bind_time(statement, 4, mark->watermark) != SQLITE_OK ||
                          bind_time(statement, 5, tide__clock_now(NULL, NULL)) != SQLITE_OK)) {
        rc = tide__sql_fail(self->db, "SQLite", &self->detail);
    }
    if (rc == TIDE_OK) {
        rc = tide__sql_done(statement, &self->detail);
    }
    /* Another program that removed the mark has left its epoch behind. */
    bool known = mark->epoch != TIDE_TIME_NONE;
    statement = self->statements[known ? PUT_EPOCH : REMOVE_EPOCH];
    if (rc == TIDE_OK) {
        rc = bind_name(self, statement, step->device, step->peer, step->resource);
    }
    if (rc == TIDE_OK && known && bind_time(statement, 4, mark->epoch) != SQLITE_OK) {
        rc = tide__sql_fail(self->db, "SQLite", &self->detail);
    }
    return rc == TIDE_OK ? tide__sql_done(statement, &self->detail) : rc;
}

static int advance(tide_watermarks *marks, const tide_step *step, uint32_t durability)
{
    sqlite_watermarks *self = self_of(marks);
    tide_mark mark = TIDE__NO_MARK;
    bool nested = false;
    (void)durability; /* the connection's affair */
    int rc = begin(self, &nested);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = get(marks, step->device, step->peer, step->resource, &mark);
    if (rc == TIDE_OK || rc == TIDE_ABSENT) {
        rc = tide__rule_advance(&mark, step->after, step->upto, step->epoch);
    }
    if (rc == TIDE_OK) {
        rc = put(self, step, &mark);
    }
    return end(self, nested, rc);
}

static int run_named(sqlite_watermarks *self, int which, const unsigned char *owner,
                     const unsigned char *about, const char *resource)
{
    sqlite3_stmt *statement = self->statements[which];
    int rc = bind_name(self, statement, owner, about, resource);
    return rc == TIDE_OK ? tide__sql_done(statement, &self->detail) : rc;
}

/* Removes one mark, or with resource NULL all of them. */
static int remove_marks(sqlite_watermarks *self, const unsigned char *owner,
                        const unsigned char *about, const char *resource, size_t *removed)
{
    bool all = resource == NULL;
    bool nested = false;
    int rc = begin(self, &nested);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = run_named(self, all ? REMOVE_PEER : REMOVE, owner, about, resource);
    if (rc == TIDE_OK) {
        *removed = (size_t)sqlite3_changes(self->db);
        rc = run_named(self, all ? REMOVE_PEER_EPOCHS : REMOVE_EPOCH, owner, about, resource);
    }
    return end(self, nested, rc);
}

static int reset(tide_watermarks *marks, const uuid_t about, const char *resource)
{
    size_t removed = 0;
    int rc = remove_marks(self_of(marks), marks->device, about, resource, &removed);
    return rc == TIDE_OK && removed == 0 ? TIDE_ABSENT : rc;
}

static int remove_of(tide_watermarks *marks, const unsigned char *owner, const unsigned char *about,
                     size_t *removed)
{
    return remove_marks(self_of(marks), owner, about, NULL, removed);
}

static int flush(tide_watermarks *marks)
{
    (void)marks;
    return TIDE_OK;
}

static int set_barrier(tide_watermarks *marks, tide_barrier_fn *fn, void *ctx)
{
    sqlite_watermarks *self = self_of(marks);
    if (self->barrier != NULL && self->barrier_ctx != ctx) {
        return fn == NULL ? TIDE_OK
                          : tide__fail(&self->detail, TIDE_EBUSY, "there is a barrier already");
    }
    self->barrier = fn;
    self->barrier_ctx = ctx;
    return TIDE_OK;
}

static void detail(tide_watermarks *marks, char *text, size_t size)
{
    (void)sqlite3_snprintf((int)(size < INT32_MAX ? size : INT32_MAX), text, "%s",
                           self_of(marks)->detail.text);
}

static const tide__backend backend = {
    .close = close_handle,
    .get = get,
    .advance = advance,
    .reset = reset,
    .each = each,
    .max = get_max,
    .remove = remove_of,
    .flush = flush,
    .set_barrier = set_barrier,
    .detail = detail,
};

int tide_watermarks_open_sqlite(sqlite3 *database, const uuid_t device, tide_watermarks **out)
{
    if (out == NULL) {
        return TIDE_EINVAL;
    }
    *out = NULL;
    if (database == NULL || device == NULL) {
        return TIDE_EINVAL;
    }
    sqlite_watermarks *self = tide__calloc(1, sizeof *self);
    if (self == NULL) {
        return TIDE_ENOMEM;
    }
    self->base.backend = &backend;
    uuid_copy(self->base.device, device);
    self->db = database;
    int rc = tide__sql_run(database, schema, &self->detail);
    for (int i = 0; rc == TIDE_OK && i < STATEMENTS; i++) {
        rc = tide__sql_prepare(database, sql[i], &self->statements[i], &self->detail);
    }
    if (rc != TIDE_OK) {
        close_handle(&self->base);
        return rc;
    }
    *out = &self->base;
    return TIDE_OK;
}
