/* capture.c - every change gets a stamp; see capture.h. */
#include "sync/capture.h"

#include <string.h>

#include "base/key.h"

#include "base/alloc.h"

static const char identity_schema[] =
    "CREATE TABLE IF NOT EXISTS tidemark_state (\n"
    "    id INTEGER PRIMARY KEY CHECK (id = 1),\n"
    "    format INTEGER NOT NULL,\n"
    "    device TEXT NOT NULL,\n"
    "    library TEXT NOT NULL,\n"
    "    epoch INTEGER NOT NULL,   -- when our feed began, nanoseconds since 1970\n"
    "    floor INTEGER NOT NULL,   -- every new stamp is above it\n"
    "    applying INTEGER NOT NULL -- 1 inside the engine's own transactions\n"
    ");\n"
    "CREATE TABLE IF NOT EXISTS tidemark_devices (\n"
    "    id INTEGER PRIMARY KEY,   -- 0 is this device\n"
    "    uuid TEXT NOT NULL UNIQUE\n"
    ");\n";

/* The clock of the database itself, in nanoseconds since 1970, good to a millisecond. */
#define NOW "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) * 1000000"

/* ---- identity ----------------------------------------------------------------------------------- */

static int differs(tide_sync *sync, const char *what, const char *stored, const unsigned char *asked)
{
    char text[UUID_STR_LEN];
    if (asked == NULL) {
        return TIDE_OK;
    }
    uuid_unparse_lower(asked, text);
    return strcmp(stored, text) == 0
               ? TIDE_OK
               : tide__fail(&sync->detail, TIDE_ELIBRARY,
                            "the database belongs to %s %s, not to %s", what, stored, text);
}

/* Inside a transaction: the row of tidemark_state. */
static int read_identity(tide_sync *sync, const unsigned char *device, const unsigned char *library)
{
    sqlite3_stmt *statement = NULL;
    int rc =
        tide__sql_prepare(sync->db, "SELECT format, device, library, epoch FROM tidemark_state",
                          &statement, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    if (rc == TIDE_OK) {
        int format = sqlite3_column_int(statement, 0);
        const char *device_text = (const char *)sqlite3_column_text(statement, 1);
        const char *library_text = (const char *)sqlite3_column_text(statement, 2);
        sync->epoch = sqlite3_column_int64(statement, 3);
        if (format != TIDE__CAPTURE_FORMAT) {
            rc = tide__fail(&sync->detail, TIDE_EFORMAT, "captured by format %d, expected %d",
                            format, TIDE__CAPTURE_FORMAT);
        } else if (device_text == NULL || library_text == NULL ||
                   uuid_parse(device_text, sync->device) != 0 ||
                   uuid_parse(library_text, sync->library) != 0) {
            rc = tide__fail(&sync->detail, TIDE_ECORRUPT, "tidemark_state holds no identity");
        } else {
            rc = differs(sync, "device", device_text, device);
            if (rc == TIDE_OK) {
                rc = differs(sync, "library", library_text, library);
            }
        }
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

static int write_identity(tide_sync *sync, const unsigned char *device, const unsigned char *library)
{
    char device_text[UUID_STR_LEN];
    char library_text[UUID_STR_LEN];
    uuid_generate_random(sync->device);
    uuid_generate_random(sync->library);
    uuid_copy(sync->device, device != NULL ? device : sync->device);
    uuid_copy(sync->library, library != NULL ? library : sync->library);
    uuid_unparse_lower(sync->device, device_text);
    uuid_unparse_lower(sync->library, library_text);
    sync->epoch = tide__now(sync);
    return tide__sql_run_made(
        sync->db,
        sqlite3_mprintf("INSERT INTO tidemark_state VALUES (1, %d, %Q, %Q, %lld, 0, 0);"
                        "INSERT INTO tidemark_devices VALUES (0, %Q);",
                        TIDE__CAPTURE_FORMAT, device_text, library_text, (long long)sync->epoch,
                        device_text),
        &sync->detail);
}

int tide__capture_identity(tide_sync *sync, const unsigned char *device,
                           const unsigned char *library)
{
    int rc = tide__begin(sync);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__sql_run(sync->db, identity_schema, &sync->detail);
    if (rc == TIDE_OK) {
        rc = read_identity(sync, device, library);
        if (rc == TIDE_ABSENT) {
            rc = write_identity(sync, device, library);
        }
    }
    return tide__end(sync, rc);
}

/* ---- one model ---------------------------------------------------------------------------------- */

char *tide__capture_next(const tide__model *m)
{
    return sqlite3_mprintf("max(" NOW ", 1 + max("
                           "ifnull((SELECT max(stamp) FROM \"tidemark_%w_rows\"), 0), "
                           "ifnull((SELECT max(stamp) FROM \"tidemark_%w_gone\"), 0), "
                           "(SELECT floor FROM tidemark_state)))",
                           m->resource, m->resource);
}

static int make_tables(tide_sync *sync, const tide__model *m)
{
    return tide__sql_run_made(
        sync->db,
        sqlite3_mprintf(
            "CREATE TABLE IF NOT EXISTS \"tidemark_%w_rows\" (row INTEGER PRIMARY KEY, key NOT NULL, "
            "stamp INTEGER NOT NULL, version INTEGER, device INTEGER NOT NULL, "
            "source INTEGER NOT NULL);"
            "CREATE INDEX IF NOT EXISTS \"tidemark_%w_rows_stamp\" ON \"tidemark_%w_rows\"(stamp);"
            "CREATE TABLE IF NOT EXISTS \"tidemark_%w_gone\" (key NOT NULL PRIMARY KEY, "
            "stamp INTEGER NOT NULL, version INTEGER, device INTEGER NOT NULL, "
            "source INTEGER NOT NULL) WITHOUT ROWID;"
            "CREATE INDEX IF NOT EXISTS \"tidemark_%w_gone_stamp\" ON \"tidemark_%w_gone\"(stamp);",
            m->resource, m->resource, m->resource, m->resource, m->resource, m->resource),
        &sync->detail);
}

/* The pieces of trigger bodies. None of them can meet a conflict, because the conflict clause of the
 * statement that fires a trigger (INSERT OR IGNORE) would replace ours. The newest stamp is read before
 * anything is taken away. */

static void stamp_row(sqlite3_str *s, const tide__model *m, const char *next)
{
    sqlite3_str_appendf(
        s,
        "  UPDATE \"tidemark_%w_rows\" SET key = NEW.\"%w\", stamp = %s, "
        "version = NULL, device = 0, source = 0 WHERE row = NEW.\"%w\";\n"
        "  INSERT INTO \"tidemark_%w_rows\" SELECT NEW.\"%w\", NEW.\"%w\", %s, NULL, "
        "0, 0 WHERE NOT EXISTS (SELECT 1 FROM \"tidemark_%w_rows\" "
        "WHERE row = NEW.\"%w\");\n",
        m->resource, m->key, next, m->row, m->resource, m->row, m->key, next, m->resource, m->row);
}

static void stamp_gone(sqlite3_str *s, const tide__model *m, const char *next)
{
    sqlite3_str_appendf(s,
                        "  UPDATE \"tidemark_%w_gone\" SET stamp = %s, version = NULL, device = 0, "
                        "source = 0 WHERE key = OLD.\"%w\";\n"
                        "  INSERT INTO \"tidemark_%w_gone\" SELECT OLD.\"%w\", %s, NULL, 0, 0 "
                        "WHERE NOT EXISTS (SELECT 1 FROM \"tidemark_%w_gone\" "
                        "WHERE key = OLD.\"%w\");\n",
                        m->resource, next, m->key, m->resource, m->key, next, m->resource, m->key);
}

static void trigger_head(sqlite3_str *s, const tide__model *m, const char *name)
{
    sqlite3_str_appendf(s, "CREATE TRIGGER \"tidemark_%w_%s\" AFTER ", m->resource, name);
}

static void trigger_body(sqlite3_str *s, const tide__model *m, const char *condition)
{
    sqlite3_str_appendf(s, " ON \"%w\" WHEN (SELECT applying FROM tidemark_state) = 0%s\nBEGIN\n",
                        m->table, condition);
}

static char *insert_trigger(const tide__model *m, const char *next)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    trigger_head(s, m, "insert");
    sqlite3_str_appendf(s, "INSERT");
    trigger_body(s, m, "");
    stamp_row(s, m, next);
    sqlite3_str_appendf(s, "  DELETE FROM \"tidemark_%w_gone\" WHERE key = NEW.\"%w\";\nEND",
                        m->resource, m->key);
    return sqlite3_str_finish(s);
}

/* A change of what travels, under the same key and row number. */
static char *update_trigger(const tide__model *m, const char *next)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    trigger_head(s, m, "update");
    for (size_t i = 0; i < m->column_count; i++) {
        sqlite3_str_appendf(s, "%s \"%w\"", i == 0 ? "UPDATE OF" : ",", m->columns[i]);
    }
    trigger_body(s, m, "");
    stamp_row(s, m, next);
    sqlite3_str_appendf(s, "END");
    return sqlite3_str_finish(s);
}

/* A change of key or row number: under the old key the row is gone. */
static char *rekey_trigger(const tide__model *m, const char *next)
{
    char *condition = sqlite3_mprintf(" AND (NEW.\"%w\" COLLATE BINARY IS NOT OLD.\"%w\""
                                      " OR NEW.\"%w\" <> OLD.\"%w\")",
                                      m->key, m->key, m->row, m->row);
    sqlite3_str *s = sqlite3_str_new(NULL);
    trigger_head(s, m, "rekey");
    sqlite3_str_appendf(s, "UPDATE OF \"%w\", \"%w\"", m->key, m->row);
    trigger_body(s, m, condition == NULL ? "" : condition);
    stamp_row(s, m, next);
    stamp_gone(s, m, next);
    sqlite3_str_appendf(s,
                        "  DELETE FROM \"tidemark_%w_gone\" WHERE key = NEW.\"%w\";\n"
                        "  DELETE FROM \"tidemark_%w_rows\" WHERE row = OLD.\"%w\" "
                        "AND row <> NEW.\"%w\";\nEND",
                        m->resource, m->key, m->resource, m->row, m->row);
    sqlite3_free(condition);
    return sqlite3_str_finish(s);
}

static char *delete_trigger(const tide__model *m, const char *next)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    trigger_head(s, m, "delete");
    sqlite3_str_appendf(s, "DELETE");
    trigger_body(s, m, "");
    stamp_gone(s, m, next);
    sqlite3_str_appendf(s, "  DELETE FROM \"tidemark_%w_rows\" WHERE row = OLD.\"%w\";\nEND",
                        m->resource, m->row);
    return sqlite3_str_finish(s);
}

/* Creates the trigger unless the very same one is there; frees `sql`. */
static int make_trigger(tide_sync *sync, const tide__model *m, const char *name, char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sql == NULL) {
        return TIDE_ENOMEM;
    }
    int rc = tide__sql_prepare_made(
        sync->db,
        sqlite3_mprintf("SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND "
                        "name = 'tidemark_%q_%q' AND sql = %Q",
                        m->resource, name, sql),
        &statement, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    (void)sqlite3_finalize(statement);
    if (rc == TIDE_ABSENT) {
        rc = tide__sql_run_made(sync->db,
                                sqlite3_mprintf("DROP TRIGGER IF EXISTS \"tidemark_%w_%w\"; %s",
                                                m->resource, name, sql),
                                &sync->detail);
    }
    sqlite3_free(sql);
    return rc;
}

/* Rows without a record: they were there before capture, or came in while the triggers were dropped. And
 * records without a row: INSERT OR REPLACE deletes rows behind the triggers' back. */
static int reconcile(tide_sync *sync, const tide__model *m, const char *next)
{
    return tide__sql_run_made(
        sync->db,
        sqlite3_mprintf(
            "INSERT INTO \"tidemark_%w_rows\" SELECT t.\"%w\", t.\"%w\", "
            "n.next + row_number() OVER (ORDER BY t.\"%w\"), NULL, 0, 0 "
            "FROM (SELECT %s AS next) n CROSS JOIN \"%w\" t "
            "WHERE NOT EXISTS (SELECT 1 FROM \"tidemark_%w_rows\" r WHERE r.row = t.\"%w\");"
            "INSERT INTO \"tidemark_%w_gone\" SELECT r.key, "
            "n.next + row_number() OVER (ORDER BY r.row), NULL, 0, 0 "
            "FROM (SELECT %s AS next) n CROSS JOIN \"tidemark_%w_rows\" r "
            "WHERE NOT EXISTS (SELECT 1 FROM \"%w\" t WHERE t.\"%w\" = r.row) "
            "AND NOT EXISTS (SELECT 1 FROM \"%w\" t WHERE t.\"%w\" = r.key) "
            "AND NOT EXISTS (SELECT 1 FROM \"tidemark_%w_gone\" g WHERE g.key = r.key);"
            "UPDATE tidemark_state SET floor = max(floor, "
            "ifnull((SELECT max(stamp) FROM \"tidemark_%w_rows\"), 0)) WHERE EXISTS "
            "(SELECT 1 FROM \"tidemark_%w_rows\" r WHERE NOT EXISTS "
            "(SELECT 1 FROM \"%w\" t WHERE t.\"%w\" = r.row));"
            "DELETE FROM \"tidemark_%w_rows\" WHERE NOT EXISTS "
            "(SELECT 1 FROM \"%w\" t WHERE t.\"%w\" = row);",
            m->resource, m->row, m->key, m->row, next, m->table, m->resource, m->row, m->resource,
            next, m->resource, m->table, m->row, m->table, m->key, m->resource, m->resource,
            m->resource, m->table, m->row, m->resource, m->table, m->row),
        &sync->detail);
}

int tide__capture_install(tide_sync *sync, const tide__model *m)
{
    char *next = tide__capture_next(m);
    if (next == NULL) {
        return TIDE_ENOMEM;
    }
    int rc = make_tables(sync, m);
    if (rc == TIDE_OK) {
        rc = reconcile(sync, m, next);
    }
    if (rc == TIDE_OK) {
        rc = make_trigger(sync, m, "insert", insert_trigger(m, next));
    }
    if (rc == TIDE_OK && m->column_count > 0) {
        rc = make_trigger(sync, m, "update", update_trigger(m, next));
    }
    if (rc == TIDE_OK) {
        rc = make_trigger(sync, m, "rekey", rekey_trigger(m, next));
    }
    if (rc == TIDE_OK) {
        rc = make_trigger(sync, m, "delete", delete_trigger(m, next));
    }
    sqlite3_free(next);
    return rc;
}
