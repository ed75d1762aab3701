/* sql.c - the few words of SQLite that adapter and engine share; see sql.h. */
#include "adapter/sql.h"

#include <errno.h>

#include <tidemark/error.h>

#include "base/alloc.h"

/* A file that cannot be opened or made, though nobody forbids it. */
static int code_of_unopened(int number)
{
    switch (number) {
    case EMFILE:
    case ENFILE:
    case EINTR:
    case EIO:
        return TIDE_EIO;
    case ENOSPC:
    case EDQUOT:
        return TIDE_ENOSPC;
    default:
        return TIDE_EACCES;
    }
}

static int code_of(sqlite3 *db)
{
    int rc = sqlite3_extended_errcode(db);
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return TIDE_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return TIDE_EBUSY;
    case SQLITE_FULL:
        return TIDE_ENOSPC;
    case SQLITE_IOERR:
        return rc == SQLITE_IOERR_NOMEM ? TIDE_ENOMEM : TIDE_EIO;
    case SQLITE_CANTOPEN:
        return code_of_unopened(sqlite3_system_errno(db));
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return TIDE_EACCES;
    case SQLITE_CORRUPT:
        return TIDE_ECORRUPT;
    case SQLITE_NOTADB:
        return TIDE_EFORMAT;
    case SQLITE_CONSTRAINT:
        return TIDE_ECONSTRAINT;
    case SQLITE_TOOBIG:
        return TIDE_ELIMIT;
    default:
        return TIDE_ESQL;
    }
}

int tide__sql_fail(sqlite3 *db, const char *what, tide__detail *detail)
{
    return tide__fail(detail, code_of(db), "%s: %s", what, sqlite3_errmsg(db));
}

int tide__sql_run(sqlite3 *db, const char *sql, tide__detail *detail)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? TIDE_OK
               : tide__sql_fail(db, "SQLite", detail);
}

int tide__sql_run_made(sqlite3 *db, char *sql, tide__detail *detail)
{
    int rc = sql == NULL ? TIDE_ENOMEM : tide__sql_run(db, sql, detail);
    sqlite3_free(sql);
    return rc;
}

int tide__sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, tide__detail *detail)
{
    *out = NULL;
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK
               ? TIDE_OK
               : tide__sql_fail(db, "SQLite", detail);
}

int tide__sql_prepare_made(sqlite3 *db, char *sql, sqlite3_stmt **out, tide__detail *detail)
{
    *out = NULL;
    int rc = sql == NULL ? TIDE_ENOMEM : tide__sql_prepare(db, sql, out, detail);
    sqlite3_free(sql);
    return rc;
}

int tide__sql_step(sqlite3_stmt *statement, tide__detail *detail)
{
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        return TIDE_OK;
    }
    int code = rc == SQLITE_DONE ? TIDE_ABSENT
                                 : tide__sql_fail(sqlite3_db_handle(statement), "SQLite", detail);
    (void)sqlite3_reset(statement);
    return code;
}

int tide__sql_done(sqlite3_stmt *statement, tide__detail *detail)
{
    int rc = tide__sql_step(statement, detail);
    if (rc == TIDE_OK) {
        (void)sqlite3_reset(statement);
    }
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

int tide__sql_exists(sqlite3 *db, char *sql, tide__detail *detail)
{
    sqlite3_stmt *statement = NULL;
    int rc = tide__sql_prepare_made(db, sql, &statement, detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, detail);
    }
    (void)sqlite3_finalize(statement);
    return rc;
}
