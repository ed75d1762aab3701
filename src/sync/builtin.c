/* builtin.c - see builtin.h. */
#include "sync/builtin.h"

#include "sync/model.h"
#include "sync/transaction.h"

typedef struct builtin {
    tide_model model;
    const char *create;
} builtin;

static const char *const on_device[] = {"device"};
static const char *const on_location[] = {"location"};
static const char *const on_entry[] = {"entry"};
static const char *const on_entry_and_tag[] = {"entry", "tag"};
static const char *const device_columns[] = {"name"};
static const char *const location_columns[] = {"device_uuid", "name", "path"};
static const char *const entry_columns[] = {"location_uuid", "parent_uuid", "name",
                                            "kind",          "size",        "mtime"};
static const char *const volume_columns[] = {"device_uuid", "name", "mount_point", "file_system",
                                             "total_bytes"};
static const char *const tag_columns[] = {"name", "color"};
static const char *const entry_tag_columns[] = {"entry_uuid", "tag_uuid"};
static const char *const metadata_columns[] = {"entry_uuid", "favorite", "note"};
/* Locations are few: no index. */
static const tide_parent entry_parents[] = {
    {.column = "location_uuid", .resource = "location", .no_index = 1},
    {.column = "parent_uuid", .resource = "entry"}};
static const tide_parent entry_tag_parents[] = {{.column = "entry_uuid", .resource = "entry"},
                                                {.column = "tag_uuid", .resource = "tag"}};
static const tide_parent metadata_parents[] = {{.column = "entry_uuid", .resource = "entry"}};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Each builtin has columns; dependencies and parents may be NONE. */
#define NONE NULL, 0
#define SOME(array) (array), COUNT(array)
#define MODEL(ownership_, name, table_name, columns_, depends, parents_)                           \
    {                                                                                              \
        sizeof(tide_model), (ownership_), (name), (table_name), "uuid", SOME(columns_), depends,   \
            parents_                                                                               \
    }

static const builtin builtins[] = {
    {MODEL(TIDE_DEVICE_OWNED, "device", "devices", device_columns, NONE, NONE),
     "CREATE TABLE IF NOT EXISTS main.devices ("
     "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT)"},
    {MODEL(TIDE_DEVICE_OWNED, "location", "locations", location_columns, SOME(on_device), NONE),
     "CREATE TABLE IF NOT EXISTS main.locations ("
     "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, device_uuid TEXT, name TEXT, path TEXT)"},
    {MODEL(TIDE_DEVICE_OWNED, "entry", "entries", entry_columns, SOME(on_location),
           SOME(entry_parents)),
     "CREATE TABLE IF NOT EXISTS main.entries ("
     "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, location_uuid TEXT, parent_uuid TEXT, "
     "name TEXT, kind TEXT, size INTEGER, mtime TEXT)"},
    {MODEL(TIDE_DEVICE_OWNED, "volume", "volumes", volume_columns, SOME(on_device), NONE),
     "CREATE TABLE IF NOT EXISTS main.volumes ("
     "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, device_uuid TEXT, name TEXT, "
     "mount_point TEXT, file_system TEXT, total_bytes INTEGER)"},
    {MODEL(TIDE_SHARED, "tag", "tags", tag_columns, NONE, NONE),
     "CREATE TABLE IF NOT EXISTS main.tags ("
     "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT, color TEXT)"},
    {MODEL(TIDE_SHARED, "entry_tag", "entry_tags", entry_tag_columns, SOME(on_entry_and_tag),
           SOME(entry_tag_parents)),
     "CREATE TABLE IF NOT EXISTS main.entry_tags ("
     "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, entry_uuid TEXT, tag_uuid TEXT)"},
    {MODEL(TIDE_SHARED, "entry_metadata", "entry_metadata", metadata_columns, SOME(on_entry),
           SOME(metadata_parents)),
     "CREATE TABLE IF NOT EXISTS main.entry_metadata ("
     "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, entry_uuid TEXT, favorite INTEGER, "
     "note TEXT)"},
};

#define BUILTINS COUNT(builtins)

int tide__builtin_create(tide_sync *sync)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < BUILTINS; i++) {
        rc = tide__sql_run(sync->db, builtins[i].create, &sync->detail);
    }
    return rc;
}

int tide__builtin_register(tide_sync *sync)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < BUILTINS; i++) {
        rc = tide_sync_register(sync, &builtins[i].model);
    }
    return rc;
}

/* ---- bringing up to date ------------------------------------------------------------------------ */

static int has_column(sqlite3 *db, const char *table, const char *column, tide__detail *detail)
{
    return tide__sql_exists(
        db,
        sqlite3_mprintf("SELECT 1 FROM pragma_table_info(%Q, 'main') WHERE name = %Q COLLATE NOCASE",
                        table, column),
        detail);
}

/* Creates what is missing of one built-in table: a table that another program made may lack
 * columns, one that is captured had them all. */
static int complete_table(tide_sync *sync, const builtin *b)
{
    int rc = tide__sql_run(sync->db, b->create, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_exists(
            sync->db,
            sqlite3_mprintf("SELECT 1 FROM main.sqlite_master WHERE name = 'tidemark_%q_rows'",
                            b->model.resource),
            &sync->detail);
        if (rc != TIDE_ABSENT) {
            return rc;
        }
        rc = TIDE_OK;
    }
    for (size_t i = 0; rc == TIDE_OK && i < b->model.column_count; i++) {
        rc = has_column(sync->db, b->model.table, b->model.columns[i], &sync->detail);
        if (rc == TIDE_ABSENT) {
            rc = tide__sql_run_made(sync->db,
                                    sqlite3_mprintf("ALTER TABLE main.\"%w\" ADD COLUMN \"%w\"",
                                                    b->model.table, b->model.columns[i]),
                                    &sync->detail);
        }
    }
    return rc;
}

/* A column with an index cannot be dropped. */
static int drop_indexes_on(tide_sync *sync, const char *column)
{
    sqlite3_stmt *statement = NULL;
    int rc = tide__sql_prepare_made(
        sync->db,
        sqlite3_mprintf(
            "SELECT group_concat('DROP INDEX main.\"' || replace(l.name, '\"', '\"\"') || '\"',"
            " ';') FROM pragma_index_list('devices', 'main') l WHERE l.origin = 'c' AND EXISTS"
            " (SELECT 1 FROM pragma_index_info(l.name, 'main') i WHERE i.name = %Q COLLATE NOCASE)",
            column),
        &statement, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    char *sql = NULL;
    if (rc == TIDE_OK && sqlite3_column_type(statement, 0) == SQLITE_TEXT) {
        sql = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
    }
    (void)sqlite3_finalize(statement);
    return rc != TIDE_OK || sql == NULL ? rc : tide__sql_run_made(sync->db, sql, &sync->detail);
}

/* Drops the two global marks of the older protocol. */
static int drop_global_marks(tide_sync *sync, bool *dropped)
{
    static const char *const columns[] = {"last_state_watermark", "last_shared_watermark"};
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < 2; i++) {
        rc = has_column(sync->db, "devices", columns[i], &sync->detail);
        if (rc == TIDE_OK) {
            *dropped = true;
            rc = drop_indexes_on(sync, columns[i]);
        }
        if (rc == TIDE_OK) {
            rc = tide__sql_run_made(
                sync->db, sqlite3_mprintf("ALTER TABLE main.devices DROP COLUMN \"%w\"", columns[i]),
                &sync->detail);
        } else if (rc == TIDE_ABSENT) {
            rc = TIDE_OK;
        }
    }
    return rc;
}

int tide__builtin_change(tide_sync *sync, bool *dropped)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < BUILTINS; i++) {
        rc = complete_table(sync, &builtins[i]);
    }
    /* Nothing is dropped from a database that cannot be a library. */
    for (size_t i = 0; rc == TIDE_OK && i < BUILTINS; i++) {
        tide__model *checked = NULL;
        rc = tide__model_make(sync, &builtins[i].model, &checked);
        tide__model_free(checked);
    }
    return rc == TIDE_OK ? drop_global_marks(sync, dropped) : rc;
}

int tide__builtin_bring_up_to_date(tide_sync *sync, bool *dropped)
{
    int rc = tide__begin(sync, TIDE__WRITE);
    return rc == TIDE_OK ? tide__end(sync, tide__builtin_change(sync, dropped)) : rc;
}
