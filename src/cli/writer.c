/* writer.c - SQL in IMMEDIATE transactions of some thousand rows, with prepared statements.
 *
 * A transaction a row would wait for the disk at each; one for everything would keep other programs
 * from writing for the whole run. After a failure the open transaction is rolled back, the earlier
 * ones stay, and the next run goes on from there.
 */
#include "cli/index.h"

#include <sqlite3.h>
#include <string.h>

#define TRANSACTION_ROWS 4096

int cli_fail_sqlite(cli_call *call, sqlite3 *database, const char *path)
{
    int code = CLI_FAILURE;

    switch (sqlite3_errcode(database) & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        code = CLI_BUSY;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = CLI_CORRUPT;
        break;
    default:
        break;
    }
    return cli_fail(call, code, "%s: %s", path, sqlite3_errmsg(database));
}

int cli_writer_prepare(cli_writer *writer, const char *sql, sqlite3_stmt **out)
{
    if (sqlite3_prepare_v2(writer->database, sql, -1, out, NULL) != SQLITE_OK) {
        return cli_fail_sqlite(writer->call, writer->database, writer->path);
    }
    return CLI_YES;
}

static int execute(cli_writer *writer, const char *sql)
{
    if (sqlite3_exec(writer->database, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return cli_fail_sqlite(writer->call, writer->database, writer->path);
    }
    return CLI_YES;
}

/* Whether the last statement would have changed a row of another device's (tidemark/model.h): that
 * statement did nothing, and the transaction is as it was. */
static bool was_foreign(const cli_writer *writer)
{
    return sqlite3_extended_errcode(writer->database) == SQLITE_CONSTRAINT_TRIGGER &&
           strstr(sqlite3_errmsg(writer->database), "belongs to another device") != NULL;
}

int cli_writer_run(cli_writer *writer, sqlite3_stmt *statement)
{
    int rc = CLI_YES;

    if (!writer->open) {
        rc = execute(writer, "BEGIN IMMEDIATE");
        if (rc != CLI_YES) {
            return rc;
        }
        writer->open = true;
        writer->pending = 0;
    }
    if (sqlite3_step(statement) != SQLITE_DONE) {
        if (was_foreign(writer)) {
            writer->foreign++;
        } else {
            rc = cli_fail_sqlite(writer->call, writer->database, writer->path);
        }
    }
    sqlite3_reset(statement);
    if (rc == CLI_YES && ++writer->pending >= TRANSACTION_ROWS) {
        rc = cli_writer_commit(writer);
    }
    return rc;
}

int cli_writer_commit(cli_writer *writer)
{
    int rc;

    if (!writer->open) {
        return CLI_YES;
    }
    rc = execute(writer, "COMMIT");
    if (rc == CLI_YES) {
        writer->open = false;
    }
    return rc;
}

void cli_writer_abandon(cli_writer *writer)
{
    if (writer->open && !sqlite3_get_autocommit(writer->database)) {
        sqlite3_exec(writer->database, "ROLLBACK", NULL, NULL, NULL);
    }
    writer->open = false;
}

void cli_bind_uuid(sqlite3_stmt *statement, int index, const unsigned char *uuid)
{
    char text[CLI_UUID_TEXT];

    if (uuid == NULL) {
        sqlite3_bind_null(statement, index);
        return;
    }
    cli_uuid_text(uuid, text);
    sqlite3_bind_text(statement, index, text, CLI_UUID_TEXT - 1, SQLITE_TRANSIENT);
}

void cli_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
}
