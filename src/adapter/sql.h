/* sql.h - the few words of SQLite that both the adapter and the engine speak.
 *
 * SQLite's result codes are translated here and nowhere else; the message of the connection goes
 * into the detail. Only libtidemark-sync contains this file.
 */
#ifndef TIDEMARK_ADAPTER_SQL_H
#define TIDEMARK_ADAPTER_SQL_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/detail.h"

/* The code for the connection's last error, its message prefixed with `what` in the detail. */
int tide__sql_fail(sqlite3 *db, const char *what, tide__detail *detail);

/* Runs SQL that returns no rows. */
int tide__sql_run(sqlite3 *db, const char *sql, tide__detail *detail);

/* The same for SQL made by sqlite3_mprintf, which it frees; NULL is TIDE_ENOMEM. */
int tide__sql_run_made(sqlite3 *db, char *sql, tide__detail *detail);

int tide__sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, tide__detail *detail);
int tide__sql_prepare_made(sqlite3 *db, char *sql, sqlite3_stmt **out, tide__detail *detail);

/* Steps a statement: TIDE_OK with a row, TIDE_ABSENT at the end (and reset), or an error (and reset). */
int tide__sql_step(sqlite3_stmt *statement, tide__detail *detail);

/* Whether a query made by sqlite3_mprintf, which it frees, has a row: TIDE_OK; TIDE_ABSENT. */
int tide__sql_exists(sqlite3 *db, char *sql, tide__detail *detail);

/* Steps a statement that returns no row, and resets it. */
int tide__sql_done(sqlite3_stmt *statement, tide__detail *detail);

#endif
