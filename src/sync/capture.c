/* capture.c - every change gets a stamp; see capture.h. */
#include "sync/capture.h"

#include <string.h>

#include "base/key.h"
#include "sync/cascade.h"
#include "sync/life.h"
#include "sync/parked.h"
#include "sync/sound.h"
#include "sync/transaction.h"
#include "sync/trigger.h"

#include "base/alloc.h"

static const char identity_schema[] =
    "CREATE TABLE IF NOT EXISTS main.tidemark_state (\n"
    "    id INTEGER PRIMARY KEY CHECK (id = 1),\n"
    "    format INTEGER NOT NULL,\n"
    "    device TEXT NOT NULL,\n"
    "    library TEXT NOT NULL,\n"
    "    epoch INTEGER NOT NULL,   -- when our feed began, nanoseconds since 1970\n"
    "    floor INTEGER NOT NULL,   -- every new stamp is above it\n"
    "    applying INTEGER NOT NULL, -- 1 inside the engine's own transactions\n"
    "    recovering INTEGER NOT NULL, -- 1 from a rollback until we have caught up\n"
    "    noted INTEGER NOT NULL,   -- the newest stamp that the marks were told of\n"
    "    life INTEGER NOT NULL,    -- the present one,\n"
    "    shown INTEGER NOT NULL,   -- the last one in which a page was made\n"
    "    forgotten INTEGER NOT NULL, -- those up to this one are in no table any more\n"
    "    until INTEGER NOT NULL    -- no stamp above was shown to anybody\n"
    ");\n"
    "CREATE TABLE IF NOT EXISTS main.tidemark_devices (\n"
    "    id INTEGER PRIMARY KEY,   -- 0 is this device\n"
    "    uuid TEXT NOT NULL,\n"
    "    life INTEGER NOT NULL,    -- since which rows were taken from its feed; 0: the maker of\n"
    "                              -- versions\n"
    "    UNIQUE (uuid, life)\n"
    ");\n"
    "CREATE TABLE IF NOT EXISTS main.tidemark_epochs (\n"
    "    epoch INTEGER PRIMARY KEY -- of an earlier feed of ours\n"
    ");\n"
    "CREATE TABLE IF NOT EXISTS main.tidemark_lives (\n"
    "    life INTEGER NOT NULL, resource TEXT NOT NULL,\n"
    "    ended INTEGER NOT NULL, -- the head of the feed then\n"
    "    PRIMARY KEY (life, resource)\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS main.tidemark_resources (\n"
    "    resource TEXT PRIMARY KEY,\n"
    "    pruned INTEGER NOT NULL, -- deletions up to this stamp may have been forgotten; 0: none\n"
    "    summed INTEGER NOT NULL, -- the digest of the rows up to this stamp\n"
    "    count INTEGER NOT NULL,\n"
    "    high INTEGER NOT NULL,\n"
    "    low INTEGER NOT NULL\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS main.tidemark_peers (\n"
    "    uuid TEXT PRIMARY KEY,\n"
    "    epoch INTEGER NOT NULL,  -- of its feed, when its acks were reported\n"
    "    since INTEGER NOT NULL,  -- registered, by our clock\n"
    "    contact INTEGER NOT NULL -- the last session that reached READY; 0: none\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS main.tidemark_reads (\n"
    "    peer TEXT NOT NULL,\n"
    "    resource TEXT NOT NULL,\n"
    "    epoch INTEGER NOT NULL,      -- of the feed that is read,\n"
    "    generation INTEGER NOT NULL, -- and up to where it was pruned\n"
    "    bound INTEGER,               -- what the peer has seen of our feed; NULL: nothing\n"
    "    upto INTEGER,                -- how far we have read; NULL: not begun\n"
    "    listing INTEGER NOT NULL,    -- 1: keys are listed, for the sweep\n"
    "    sweeping INTEGER NOT NULL,   -- 0: nothing is deleted at the end\n"
    "    PRIMARY KEY (peer, resource)\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS main.tidemark_levels (\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    peer TEXT NOT NULL, resource TEXT NOT NULL,\n"
    "    epoch INTEGER NOT NULL, life INTEGER NOT NULL, -- of the peer's feed,\n"
    "    stamp INTEGER NOT NULL, -- and its head when we had everything of it\n"
    "    UNIQUE (peer, resource, life)\n"
    ");\n"
    "CREATE TABLE IF NOT EXISTS main.tidemark_followed (\n"
    "    peer TEXT NOT NULL, resource TEXT NOT NULL,\n"
    "    life INTEGER NOT NULL,   -- of the peer, in which the last page was made,\n"
    "    head INTEGER NOT NULL,   -- and the end of its feed then\n"
    "    source INTEGER NOT NULL, -- the number in tidemark_devices that rows get\n"
    "    PRIMARY KEY (peer, resource)\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS main.tidemark_listed (\n"
    "    peer TEXT NOT NULL, resource TEXT NOT NULL, key NOT NULL,\n"
    "    PRIMARY KEY (peer, resource, key)\n"
    ") WITHOUT ROWID;\n";

/* The clock of the database itself, in nanoseconds since 1970, good to a millisecond, and no
 * further than 2261: behind that there would be no room for stamps. */
#define NOW                                                                                        \
    "min(CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER), 9200000000000) * 1000000"

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
    int rc = tide__sql_prepare(sync->db,
                               "SELECT format, device, library, epoch, recovering FROM "
                               "main.tidemark_state",
                               &statement, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    if (rc == TIDE_OK) {
        int format = sqlite3_column_int(statement, 0);
        const char *device_text = (const char *)sqlite3_column_text(statement, 1);
        const char *library_text = (const char *)sqlite3_column_text(statement, 2);
        sync->epoch = sqlite3_column_int64(statement, 3);
        sync->recovering = sqlite3_column_int(statement, 4) != 0;
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

/* Of a database that has none: it is new, unless it already knows devices. */
static int write_identity(tide_sync *sync, const unsigned char *device, const unsigned char *library)
{
    char device_text[UUID_STR_LEN];
    char library_text[UUID_STR_LEN];
    int rc = tide__sql_exists(sync->db, sqlite3_mprintf("SELECT 1 FROM main.tidemark_devices"),
                              &sync->detail);
    if (rc != TIDE_ABSENT) {
        return rc != TIDE_OK
                   ? rc
                   : tide__fail(&sync->detail, TIDE_ECORRUPT, "tidemark_state has lost its row");
    }
    tide__random_uuid(sync, sync->device);
    tide__random_uuid(sync, sync->library);
    uuid_copy(sync->device, device != NULL ? device : sync->device);
    uuid_copy(sync->library, library != NULL ? library : sync->library);
    uuid_unparse_lower(sync->device, device_text);
    uuid_unparse_lower(sync->library, library_text);
    sync->epoch = tide__now(sync);
    return tide__sql_run_made(
        sync->db,
        sqlite3_mprintf(
            "INSERT INTO main.tidemark_state VALUES (1, %d, %Q, %Q, %lld, 0, 0, 0, 0, 0, 0, 0, 0);"
            "INSERT INTO main.tidemark_devices VALUES (0, %Q, 0);",
            TIDE__CAPTURE_FORMAT, device_text, library_text, (long long)sync->epoch, device_text),
        &sync->detail);
}

int tide__capture_identity(tide_sync *sync, const unsigned char *device,
                           const unsigned char *library)
{
    int rc = tide__begin(sync, TIDE__WRITE);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__renew_log(sync);
    if (rc == TIDE_OK) {
        rc = tide__sql_run(sync->db, identity_schema, &sync->detail);
    }
    if (rc == TIDE_OK) {
        rc = tide__parked_install(sync);
    }
    if (rc == TIDE_OK) {
        rc = read_identity(sync, device, library);
        if (rc == TIDE_ABSENT) {
            rc = write_identity(sync, device, library);
        }
    }
    if (rc == TIDE_OK) {
        rc = tide__connection_complete(sync);
    }
    if (rc == TIDE_OK) {
        rc = tide__sound(sync);
    }
    if (rc == TIDE_OK) {
        rc = tide__life_begin(sync);
    }
    return tide__end(sync, rc);
}

int tide__capture_each(tide_sync *sync, tide__resource_fn *fn, void *ctx)
{
    sqlite3_stmt *names = NULL;
    int rc = tide__sql_prepare(sync->db, "SELECT resource FROM main.tidemark_resources", &names,
                               &sync->detail);
    while (rc == TIDE_OK && (rc = tide__sql_step(names, &sync->detail)) == TIDE_OK) {
        const char *resource = (const char *)sqlite3_column_text(names, 0);
        rc = resource == NULL ? TIDE_ENOMEM : fn(sync, resource, ctx);
    }
    (void)sqlite3_finalize(names);
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

/* ---- one model ---------------------------------------------------------------------------------- */

char *tide__capture_next(const tide__model *m, const char *schema)
{
    return sqlite3_mprintf("max(" NOW ", 1 + max("
                           "ifnull((SELECT max(stamp) FROM %s\"tidemark_%w_rows\"), 0), "
                           "ifnull((SELECT max(stamp) FROM %s\"tidemark_%w_gone\"), 0), "
                           "(SELECT floor FROM %stidemark_state)))",
                           schema, m->resource, schema, m->resource, schema);
}

static int make_tables(tide_sync *sync, const tide__model *m)
{
    return tide__sql_run_made(
        sync->db,
        sqlite3_mprintf(
            "CREATE TABLE IF NOT EXISTS main.\"tidemark_%w_rows\" (row INTEGER PRIMARY KEY, key NOT NULL, "
            "stamp INTEGER NOT NULL, version INTEGER, device INTEGER NOT NULL, "
            "source INTEGER NOT NULL);"
            "CREATE INDEX IF NOT EXISTS main.\"tidemark_%w_rows_stamp\" ON \"tidemark_%w_rows\"(stamp);"
            "CREATE TABLE IF NOT EXISTS main.\"tidemark_%w_gone\" (key NOT NULL PRIMARY KEY, "
            "stamp INTEGER NOT NULL, version INTEGER, device INTEGER NOT NULL, "
            "source INTEGER NOT NULL) WITHOUT ROWID;"
            "CREATE INDEX IF NOT EXISTS main.\"tidemark_%w_gone_stamp\" ON \"tidemark_%w_gone\"(stamp);"
            "CREATE TABLE IF NOT EXISTS main.\"tidemark_%w_was\" (key NOT NULL, version INTEGER NOT NULL, "
            "device INTEGER NOT NULL);"
            "INSERT INTO main.tidemark_resources SELECT %Q, 0, 0, 0, 0, 0 WHERE NOT EXISTS "
            "(SELECT 1 FROM main.tidemark_resources WHERE resource = %Q);",
            m->resource, m->resource, m->resource, m->resource, m->resource, m->resource,
            m->resource, m->resource, m->resource),
        &sync->detail);
}

/* What the triggers were not there for, or were not told of. In this order, and nothing is taken
 * away before something newer is there: */
static const char *const repairs[] = {
    /* $R resource, $T table, $I row number, $K key, $N next stamp; $O 1 if it is device-owned, else
     * 0: then what another device made is never taken for ours */
    /* a record whose key lives nowhere any more becomes a tombstone, */
    "INSERT INTO main.\"tidemark_$R_gone\" SELECT r.key, n.next + row_number() OVER (ORDER BY r.row), NULL, "
    "0, 0 FROM (SELECT $N AS next) n CROSS JOIN (SELECT key, min(row) AS row FROM main.\"tidemark_$R_rows\" "
    "WHERE NOT ($O AND device <> 0) GROUP BY key) r WHERE NOT EXISTS (SELECT 1 FROM main.\"$T\" t WHERE t.\"$K\" = r.key) "
    "AND NOT EXISTS (SELECT 1 FROM main.\"tidemark_$R_gone\" g WHERE g.key = r.key)",
    /* the newest stamp may be of a record that goes now, */
    "UPDATE main.tidemark_state SET floor = max(floor, "
    "ifnull((SELECT max(stamp) FROM main.\"tidemark_$R_rows\"), 0), "
    "ifnull((SELECT max(stamp) FROM main.\"tidemark_$R_gone\"), 0)) WHERE EXISTS "
    "(SELECT 1 FROM main.\"tidemark_$R_rows\" r WHERE NOT EXISTS "
    "(SELECT 1 FROM main.\"$T\" t WHERE t.\"$I\" = r.row AND t.\"$K\" IS r.key)) OR EXISTS "
    "(SELECT 1 FROM main.\"tidemark_$R_gone\" g JOIN main.\"$T\" t ON t.\"$K\" = g.key)",
    /* the record of a row that has another number now goes with it, if it is another device's: the
     * newest of its key, unless the row has one, */
    "INSERT OR REPLACE INTO main.\"tidemark_$R_rows\" SELECT t.\"$I\", r.key, max(r.stamp), r.version, "
    "r.device, r.source FROM main.\"tidemark_$R_rows\" r JOIN main.\"$T\" t ON t.\"$K\" = r.key "
    "WHERE $O AND r.device <> 0 AND NOT EXISTS (SELECT 1 FROM main.\"tidemark_$R_rows\" o "
    "WHERE o.row = t.\"$I\" AND o.key IS r.key) GROUP BY r.key",
    /* records of rows that are not there, or have another key, go, */
    "DELETE FROM main.\"tidemark_$R_rows\" AS r WHERE NOT EXISTS "
    "(SELECT 1 FROM main.\"$T\" t WHERE t.\"$I\" = r.row AND t.\"$K\" IS r.key)",
    /* rows without a record get one, */
    "INSERT INTO main.\"tidemark_$R_rows\" SELECT t.\"$I\", t.\"$K\", "
    "n.next + row_number() OVER (ORDER BY t.\"$I\"), NULL, 0, 0 "
    "FROM (SELECT $N AS next) n CROSS JOIN main.\"$T\" t "
    "WHERE NOT EXISTS (SELECT 1 FROM main.\"tidemark_$R_rows\" r WHERE r.row = t.\"$I\")",
    /* a row that lives is newer than the tombstone of its key, */
    "UPDATE main.\"tidemark_$R_rows\" SET version = NULL, device = 0, source = 0, stamp = x.stamp FROM "
    "(SELECT r.row, n.next + row_number() OVER (ORDER BY r.row) AS stamp FROM (SELECT $N AS next) n CROSS JOIN "
    "main.\"tidemark_$R_rows\" r JOIN main.\"tidemark_$R_gone\" g ON g.key = r.key WHERE "
    "NOT ($O AND r.device <> 0) AND ifnull(r.version, r.stamp) <= ifnull(g.version, g.stamp)) x WHERE x.row = \"tidemark_$R_rows\".row",
    /* and a key that lives has no tombstone. */
    "DELETE FROM main.\"tidemark_$R_gone\" AS g WHERE EXISTS "
    "(SELECT 1 FROM main.\"$T\" t WHERE t.\"$K\" = g.key)",
};

/* Every row of ours may have changed for the others. Not so for shared models,
 * where a newer version would undo what others wrote; there a new column travels with the next
 * change. */
static const char restamp[] =
    "UPDATE main.\"tidemark_$R_rows\" SET version = NULL, source = 0, stamp = x.stamp FROM (SELECT r.row, n.next + "
    "row_number() OVER (ORDER BY r.stamp) AS stamp FROM (SELECT $N AS next) n CROSS JOIN "
    "main.\"tidemark_$R_rows\" r WHERE r.device = 0) x WHERE x.row = \"tidemark_$R_rows\".row";

/* Replaces the $-letters; identifiers stand between double quotes in the text. */
static char *text_for(const tide__model *m, const char *next, const char *sql)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    for (const char *p = sql; *p != '\0'; p++) {
        if (*p != '$') {
            sqlite3_str_appendchar(s, 1, *p);
            continue;
        }
        p++;
        if (*p == 'N') {
            sqlite3_str_appendall(s, next);
        } else if (*p == 'O') {
            sqlite3_str_appendchar(s, 1, m->ownership == TIDE_DEVICE_OWNED ? '1' : '0');
        } else {
            const char *name = *p == 'R'   ? m->resource
                               : *p == 'T' ? m->table
                               : *p == 'I' ? m->row
                                           : m->key;
            sqlite3_str_appendf(s, "%w", name);
        }
    }
    return sqlite3_str_finish(s);
}

static int run_for(tide_sync *sync, const tide__model *m, const char *next, const char *sql)
{
    return tide__sql_run_made(sync->db, text_for(m, next, sql), &sync->detail);
}

/* Whether records and rows fit together: as many of both, each row's with its key, and no tombstone
 * of a key that lives. One pass over the rows. */
static const char fits[] =
    "SELECT (SELECT count(*) FROM main.\"tidemark_$R_rows\") = (SELECT count(*) FROM main.\"$T\") AND NOT EXISTS "
    "(SELECT 1 FROM main.\"$T\" t LEFT JOIN main.\"tidemark_$R_rows\" r ON r.row = t.\"$I\" "
    "WHERE r.key IS NOT t.\"$K\") AND NOT EXISTS (SELECT 1 FROM main.\"tidemark_$R_gone\" g JOIN "
    "main.\"$T\" t ON t.\"$K\" = g.key)";

static int reconcile(tide_sync *sync, const tide__model *m, const char *next)
{
    sqlite3_stmt *statement = NULL;
    int rc = tide__sql_prepare_made(sync->db, text_for(m, next, fits), &statement, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    bool fit = rc == TIDE_OK && sqlite3_column_int(statement, 0) != 0;
    (void)sqlite3_finalize(statement);
    for (size_t i = 0; rc == TIDE_OK && !fit && i < sizeof repairs / sizeof *repairs; i++) {
        rc = run_for(sync, m, next, repairs[i]);
    }
    return rc;
}

int tide__capture_reconcile(tide_sync *sync, const tide__model *m)
{
    char *next = tide__capture_next(m, "");
    int rc = next == NULL ? TIDE_ENOMEM : reconcile(sync, m, next);
    sqlite3_free(next);
    return rc;
}

/* Whether rows may have changed for the others without a trigger that saw it: records are there,
 * and the triggers are not, or are of other columns. The head of the update trigger tells which;
 * with none there is no such trigger. */
static int changed_unseen(tide_sync *sync, const tide__model *m, bool *changed)
{
    sqlite3_stmt *statement = NULL;
    char *head = m->column_count > 0 ? tide__trigger_update_head(m) : sqlite3_mprintf("none");
    if (head == NULL) {
        return TIDE_ENOMEM;
    }
    int rc = tide__sql_prepare_made(
        sync->db,
        sqlite3_mprintf(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM main.\"tidemark_%w_rows\") AND (NOT EXISTS "
            "(SELECT 1 FROM main.sqlite_master WHERE type = 'trigger' AND "
            "name = 'tidemark_%q_insert') OR substr(ifnull((SELECT sql FROM main.sqlite_master WHERE "
            "type = 'trigger' AND name = 'tidemark_%q_update'), 'none'), 1, length(%Q)) <> %Q)",
            m->resource, m->resource, m->resource, head, head),
        &statement, &sync->detail);
    sqlite3_free(head);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    (void)sqlite3_finalize(statement);
    *changed = rc == TIDE_OK;
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

int tide__capture_install(tide_sync *sync, const tide__model *m)
{
    char *next =
        tide__capture_next(m, ""); /* a trigger must not name the schema, or ATTACH refuses it */
    if (next == NULL) {
        return TIDE_ENOMEM;
    }
    bool changed = false;
    int rc = make_tables(sync, m);
    if (rc == TIDE_OK) {
        rc = tide__trigger_records(sync, m);
    }
    if (rc == TIDE_OK) {
        rc = changed_unseen(sync, m, &changed);
    }
    if (rc == TIDE_OK) {
        rc = reconcile(sync, m, next);
    }
    if (rc == TIDE_OK && changed && m->ownership == TIDE_DEVICE_OWNED) {
        rc = run_for(sync, m, next, restamp);
    }
    if (rc == TIDE_OK) {
        rc = tide__trigger_table(sync, m, next);
    }
    sqlite3_free(next);
    return rc == TIDE_OK ? tide__cascade_install(sync, m) : rc;
}
