/* trigger.c - what a write costs its program: the triggers of capture; see trigger.h. */
#include "sync/trigger.h"

/* How SQLite begins the text of a trigger it stores, whatever schema it was created in. */
#define CREATE "CREATE TRIGGER "

/* Before and behind a value, in a statement on records or tombstones: where the one at hand is
 * another device's, which is not ours to change, the statement fails instead. `row` is NEW or OLD
 * where only a record of its key counts, else NULL. */
static void unless_foreign(sqlite3_str *s, const tide__model *m, const char *row)
{
    if (m->ownership == TIDE_DEVICE_OWNED) {
        sqlite3_str_appendf(s, "CASE WHEN device <> 0");
        if (row != NULL) {
            sqlite3_str_appendf(s, " AND key IS %s.\"%w\"", row, m->key);
        }
        sqlite3_str_appendf(s, " THEN RAISE(ABORT, 'tidemark: %q belongs to another device') ELSE ",
                            m->resource);
    }
}

static void end_unless(sqlite3_str *s, const tide__model *m)
{
    if (m->ownership == TIDE_DEVICE_OWNED) {
        sqlite3_str_appendf(s, " END");
    }
}

/* The record of NEW, unless one of another key has its number. With `when`, only then. */
static void stamp_row(sqlite3_str *s, const tide__model *m, const char *next, const char *when)
{
    sqlite3_str_appendf(
        s, "  INSERT INTO \"tidemark_%w_rows\" %s NEW.\"%w\", NEW.\"%w\", %s, NULL, 0, 0",
        m->resource, when == NULL ? "VALUES (" : "SELECT", m->row, m->key, next);
    sqlite3_str_appendf(s, when == NULL ? ")" : " WHERE %s", when);
    sqlite3_str_appendf(s, " ON CONFLICT (row) DO UPDATE SET stamp = excluded.stamp, "
                           "version = NULL, device = ");
    unless_foreign(s, m, NULL);
    sqlite3_str_appendf(s, "0");
    end_unless(s, m);
    sqlite3_str_appendf(s, ", source = 0 WHERE key IS excluded.key;\n");
}

/* The record under the number of NEW, whosever it was. */
static void restamp_row(sqlite3_str *s, const tide__model *m, const char *next)
{
    sqlite3_str_appendf(s,
                        "  UPDATE \"tidemark_%w_rows\" SET key = NEW.\"%w\", stamp = %s, version = "
                        "NULL, device = ",
                        m->resource, m->key, next);
    unless_foreign(s, m, "NEW");
    sqlite3_str_appendf(s, "0");
    end_unless(s, m);
    sqlite3_str_appendf(s, ", source = 0 WHERE row = NEW.\"%w\";\n", m->row);
}

/* REPLACE may have deleted the row that had this row number, and told no trigger. Of a row that was
 * not ours to delete there is no tombstone. */
static void stamp_displaced(sqlite3_str *s, const tide__model *m, const char *next,
                            const char *unless)
{
    sqlite3_str_appendf(
        s,
        "  INSERT INTO \"tidemark_%w_gone\" SELECT r.key, %s, NULL, 0, 0 "
        "FROM \"tidemark_%w_rows\" r WHERE r.row = NEW.\"%w\" "
        "AND r.key IS NOT NEW.\"%w\"%s "
        "AND NOT EXISTS (SELECT 1 FROM \"%w\" t WHERE t.\"%w\" = r.key) "
        "AND NOT EXISTS (SELECT 1 FROM \"tidemark_%w_gone\" g WHERE g.key = r.key)%s;\n",
        m->resource, next, m->resource, m->row, m->key,
        m->ownership == TIDE_DEVICE_OWNED ? " AND r.device = 0" : "", m->table, m->key, m->resource,
        unless);
}

static void stamp_gone(sqlite3_str *s, const tide__model *m, const char *next, const char *when)
{
    sqlite3_str_appendf(s,
                        "  INSERT INTO \"tidemark_%w_gone\" SELECT OLD.\"%w\", %s, NULL, 0, 0 "
                        "WHERE %s ON CONFLICT (key) DO UPDATE SET stamp = excluded.stamp, "
                        "version = NULL, device = 0, source = 0;\n",
                        m->resource, m->key, next, when);
}

/* Before the record of OLD gets another key. */
static void refuse_foreign(sqlite3_str *s, const tide__model *m)
{
    sqlite3_str_appendf(s, "  SELECT ");
    unless_foreign(s, m, NULL);
    sqlite3_str_appendf(s, "1");
    end_unless(s, m);
    sqlite3_str_appendf(
        s, " FROM \"tidemark_%w_rows\" WHERE row = OLD.\"%w\" AND key IS OLD.\"%w\";\n",
        m->resource, m->row, m->key);
}

/* A key that lives has no tombstone. One that another device has deleted is not ours to take. */
static void unstamp_gone(sqlite3_str *s, const tide__model *m)
{
    sqlite3_str_appendf(s, "  DELETE FROM \"tidemark_%w_gone\" WHERE key = NEW.\"%w\" AND ",
                        m->resource, m->key);
    unless_foreign(s, m, NULL);
    sqlite3_str_appendf(s, "1");
    end_unless(s, m);
    sqlite3_str_appendf(s, ";\n");
}

/* The record of OLD goes, unless a row has its number again. */
static void unstamp_row(sqlite3_str *s, const tide__model *m)
{
    sqlite3_str_appendf(s, "  DELETE FROM \"tidemark_%w_rows\" WHERE row = OLD.\"%w\" AND ",
                        m->resource, m->row);
    unless_foreign(s, m, "OLD");
    sqlite3_str_appendf(s, "NOT EXISTS (SELECT 1 FROM \"%w\" WHERE \"%w\" = OLD.\"%w\")", m->table,
                        m->row, m->row);
    end_unless(s, m);
    sqlite3_str_appendf(s, ";\n");
}

static void trigger_head(sqlite3_str *s, const tide__model *m, const char *name)
{
    sqlite3_str_appendf(s, CREATE "\"tidemark_%w_%s\" AFTER ", m->resource, name);
}

static void trigger_body(sqlite3_str *s, const tide__model *m, const char *condition)
{
    sqlite3_str_appendf(s, " \"%w\" WHEN (SELECT applying FROM tidemark_state) = 0%s\nBEGIN\n",
                        m->table, condition);
}

/* A trigger of somebody else may have run before ours and deleted the row. */
static char *row_alive(const tide__model *m)
{
    return sqlite3_mprintf(" AND EXISTS (SELECT 1 FROM \"%w\" WHERE \"%w\" = NEW.\"%w\" "
                           "AND \"%w\" IS NEW.\"%w\")",
                           m->table, m->row, m->row, m->key, m->key);
}

/* The old key belongs to no row: a trigger of somebody else may have put it back before ours. */
static char *key_free(const tide__model *m)
{
    return sqlite3_mprintf("NOT EXISTS (SELECT 1 FROM \"%w\" WHERE \"%w\" = OLD.\"%w\")", m->table,
                           m->key, m->key);
}

static char *insert_trigger(const tide__model *m, const char *next)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    char *alive = row_alive(m);
    if (alive == NULL) {
        return sqlite3_str_finish(s);
    }
    trigger_head(s, m, "insert");
    sqlite3_str_appendf(s, "INSERT ON");
    trigger_body(s, m, alive);
    sqlite3_free(alive);
    stamp_row(s, m, next, NULL);
    unstamp_gone(s, m);
    sqlite3_str_appendf(s, "END");
    return sqlite3_str_finish(s);
}

/* The insert trigger leaves a record of another key alone, whichever of the two is first. */
static char *displaced_trigger(const tide__model *m, const char *next)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    char *alive = row_alive(m);
    if (alive == NULL) {
        return sqlite3_str_finish(s);
    }
    trigger_head(s, m, "displaced");
    sqlite3_str_appendf(
        s,
        "INSERT ON \"%w\" WHEN EXISTS (SELECT 1 FROM \"tidemark_%w_rows\" WHERE row = "
        "NEW.\"%w\" AND key IS NOT NEW.\"%w\") AND (SELECT applying FROM "
        "tidemark_state) = 0%s\nBEGIN\n",
        m->table, m->resource, m->row, m->key, alive);
    sqlite3_free(alive);
    stamp_displaced(s, m, next, "");
    restamp_row(s, m, next);
    sqlite3_str_appendf(s, "END");
    return sqlite3_str_finish(s);
}

static void update_head(sqlite3_str *s, const tide__model *m)
{
    trigger_head(s, m, "update");
    for (size_t i = 0; i < m->column_count; i++) {
        sqlite3_str_appendf(s, "%s \"%w\"", i == 0 ? "UPDATE OF" : ",", m->columns[i]);
    }
    sqlite3_str_appendf(s, " ON");
}

/* A change of what travels, under the same key and row number. Where the row has no record the next
 * trigger makes it, whichever of the two SQLite fires first. */
static char *update_trigger(const tide__model *m, const char *next)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    update_head(s, m);
    sqlite3_str_appendf(s,
                        " \"%w\" WHEN NEW.\"%w\" IS OLD.\"%w\" AND NEW.\"%w\" = OLD.\"%w\" AND "
                        "(SELECT applying FROM tidemark_state) = 0\nBEGIN\n",
                        m->table, m->key, m->key, m->row, m->row);
    restamp_row(s, m, next);
    sqlite3_str_appendf(s, "END");
    return sqlite3_str_finish(s);
}

/* A change of key or row number: under the old key the row is gone. Also any change of a row without
 * a record, which somebody wrote while peers' rows were applied. What is never true comes first. */
static char *rekey_trigger(const tide__model *m, const char *next)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    char *alive = row_alive(m);
    char *gone = key_free(m);
    char *own = sqlite3_mprintf(" AND r.key IS NOT OLD.\"%w\"", m->key);
    /* No list of columns: a row number also goes by the names rowid, oid and _rowid_. */
    if (alive != NULL && gone != NULL && own != NULL) {
        trigger_head(s, m, "rekey");
        sqlite3_str_appendf(
            s,
            "UPDATE ON \"%w\" WHEN (NEW.\"%w\" IS NOT OLD.\"%w\" OR NEW.\"%w\" <> "
            "OLD.\"%w\" OR NOT EXISTS (SELECT 1 FROM \"tidemark_%w_rows\" WHERE row = "
            "NEW.\"%w\")) AND (SELECT applying FROM tidemark_state) = 0%s\nBEGIN\n",
            m->table, m->key, m->key, m->row, m->row, m->resource, m->row, alive);
        refuse_foreign(s, m);
        stamp_displaced(s, m, next, own);
        stamp_gone(s, m, next, gone);
        restamp_row(s, m, next);
        stamp_row(s, m, next, "changes() = 0");
        unstamp_row(s, m);
        unstamp_gone(s, m);
        sqlite3_str_appendf(s, "END");
    }
    sqlite3_free(alive);
    sqlite3_free(gone);
    sqlite3_free(own);
    return sqlite3_str_finish(s);
}

static char *delete_trigger(const tide__model *m, const char *next)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    char *gone = key_free(m);
    if (gone != NULL) {
        trigger_head(s, m, "delete");
        sqlite3_str_appendf(s, "DELETE ON");
        trigger_body(s, m, "");
        stamp_gone(s, m, next, gone);
        unstamp_row(s, m);
        sqlite3_str_appendf(s, "END");
    }
    sqlite3_free(gone);
    return sqlite3_str_finish(s);
}

/* What a record was when the digest was kept (digest.h), whoever changes it or takes it away. */
static char *was_trigger(const tide__model *m, const char *change)
{
    return sqlite3_mprintf(
        CREATE "\"tidemark_%w_was_%s\" AFTER %s ON \"tidemark_%w_rows\" WHEN OLD.stamp <= "
               "(SELECT summed FROM tidemark_resources WHERE resource = %Q)\nBEGIN\n"
               "  INSERT INTO \"tidemark_%w_was\" VALUES (OLD.key, ifnull(OLD.version, OLD.stamp), "
               "OLD.device);\nEND",
        m->resource, change, change, m->resource, m->resource, m->resource);
}

int tide__trigger_replace(tide_sync *sync, const tide__model *m, const char *name, char *sql)
{
    if (sql == NULL) {
        return TIDE_ENOMEM;
    }
    int rc = tide__sql_exists(
        sync->db,
        sqlite3_mprintf("SELECT 1 FROM main.sqlite_master WHERE type = 'trigger' AND "
                        "name = 'tidemark_%q_%q' AND sql = %Q",
                        m->resource, name, sql),
        &sync->detail);
    if (rc == TIDE_ABSENT) {
        rc = tide__sql_run_made(
            sync->db,
            sqlite3_mprintf("DROP TRIGGER IF EXISTS main.\"tidemark_%w_%w\";" CREATE "main.%s",
                            m->resource, name, sql + sizeof CREATE - 1),
            &sync->detail);
    }
    sqlite3_free(sql);
    return rc;
}

char *tide__trigger_update_head(const tide__model *m)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    update_head(s, m);
    return sqlite3_str_finish(s);
}

int tide__trigger_records(tide_sync *sync, const tide__model *m)
{
    int rc = tide__trigger_replace(sync, m, "was_update", was_trigger(m, "update"));
    return rc == TIDE_OK ? tide__trigger_replace(sync, m, "was_delete", was_trigger(m, "delete"))
                         : rc;
}

static int make_update_trigger(tide_sync *sync, const tide__model *m, const char *next)
{
    return m->column_count > 0
               ? tide__trigger_replace(sync, m, "update", update_trigger(m, next))
               : tide__sql_run_made(
                     sync->db,
                     sqlite3_mprintf("DROP TRIGGER IF EXISTS main.\"tidemark_%w_update\"",
                                     m->resource),
                     &sync->detail);
}

int tide__trigger_table(tide_sync *sync, const tide__model *m, const char *next)
{
    int rc = tide__trigger_replace(sync, m, "insert", insert_trigger(m, next));
    if (rc == TIDE_OK) {
        rc = tide__trigger_replace(sync, m, "displaced", displaced_trigger(m, next));
    }
    if (rc == TIDE_OK) {
        rc = make_update_trigger(sync, m, next);
    }
    if (rc == TIDE_OK) {
        rc = tide__trigger_replace(sync, m, "rekey", rekey_trigger(m, next));
    }
    return rc == TIDE_OK ? tide__trigger_replace(sync, m, "delete", delete_trigger(m, next)) : rc;
}
