/* import_sqlite.c - the marks that another program keeps in a SQLite database.
 *
 * The table is device_resource_watermarks; the epochs, which not every program has, are in
 * device_resource_watermark_epochs. The database is only read.
 */
#include "cli/import.h"

#include <sqlite3.h>
#include <string.h>

#define COLUMNS 5
#define BUSY_MS 5000

static const char plain_sql[] =
    "SELECT device_uuid, peer_device_uuid, resource_type, last_watermark, NULL "
    "FROM device_resource_watermarks";
static const char epoch_sql[] =
    "SELECT w.device_uuid, w.peer_device_uuid, w.resource_type, w.last_watermark, e.epoch "
    "FROM device_resource_watermarks w LEFT JOIN device_resource_watermark_epochs e "
    "USING (device_uuid, peer_device_uuid, resource_type)";
static const char has_epochs_sql[] =
    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'device_resource_watermark_epochs'";

static int fail(const cli_import *import, sqlite3 *db)
{
    int code = sqlite3_errcode(db);

    return cli_fail(import->call,
                    code == SQLITE_BUSY ? CLI_BUSY
                    : code == SQLITE_ERROR || code == SQLITE_CORRUPT || code == SQLITE_NOTADB
                        ? CLI_CORRUPT
                        : CLI_FAILURE,
                    "%s: %s", import->path, sqlite3_errmsg(db));
}

/* A text that ends where it says; NULL gives NULL. */
static int column(cli_import *import, sqlite3_stmt *statement, int at, const char **out)
{
    static const char *const names[COLUMNS] = {"device_uuid", "peer_device_uuid", "resource_type",
                                               "last_watermark", "epoch"};

    *out = NULL;
    if (sqlite3_column_type(statement, at) == SQLITE_NULL && at == COLUMNS - 1) {
        return CLI_YES;
    }
    *out = (const char *)sqlite3_column_text(statement, at);
    if (*out == NULL || strlen(*out) != (size_t)sqlite3_column_bytes(statement, at)) {
        return cli_fail(import->call, CLI_USAGE, "%s: not a text", names[at]);
    }
    return CLI_YES;
}

static int read_row(cli_import *import, sqlite3_stmt *statement)
{
    const char *texts[COLUMNS];
    int rc = CLI_YES;

    for (int i = 0; rc == CLI_YES && i < COLUMNS; i++) {
        rc = column(import, statement, i, &texts[i]);
    }
    return rc == CLI_YES ? cli_import_add(import, texts[0], texts[1], texts[2], texts[3], texts[4])
                         : rc;
}

static int read_rows(cli_import *import, sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    uint64_t number = 0;
    bool has_epochs;
    int step = SQLITE_ROW;
    int rc = CLI_YES;

    if (sqlite3_prepare_v2(db, has_epochs_sql, -1, &statement, NULL) != SQLITE_OK) {
        return fail(import, db);
    }
    has_epochs = sqlite3_step(statement) == SQLITE_ROW;
    sqlite3_finalize(statement);
    if (sqlite3_prepare_v2(db, has_epochs ? epoch_sql : plain_sql, -1, &statement, NULL) !=
        SQLITE_OK) {
        return fail(import, db);
    }
    while (rc == CLI_YES && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        rc = cli_import_refuse(import, "row", ++number, read_row(import, statement));
    }
    if (rc == CLI_YES && step != SQLITE_DONE) {
        rc = fail(import, db);
    }
    sqlite3_finalize(statement);
    return rc;
}

int cli_import_sqlite(cli_import *import, const char *path)
{
    sqlite3 *db = NULL;
    int rc;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
        rc = db == NULL ? cli_fail_memory(import->call) : fail(import, db);
    } else {
        sqlite3_busy_timeout(db, BUSY_MS);
        rc = read_rows(import, db);
    }
    sqlite3_close(db);
    return rc;
}
