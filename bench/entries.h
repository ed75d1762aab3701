/* entries.h - rows for the cases about the engine: a table of files with names and sizes, keys in
 * random order, alike in each run.
 */
#ifndef TIDEMARK_BENCH_ENTRIES_H
#define TIDEMARK_BENCH_ENTRIES_H

#include <sqlite3.h>

#include <tidemark/tidemark.h>

#include "bench.h"

#define COLUMNS 6
#define CREATE_ENTRIES                                                                             \
    "CREATE TABLE entries (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE,"                     \
    " location_uuid TEXT, parent_uuid TEXT, name TEXT, kind TEXT, size INTEGER, mtime TEXT)"

/* One change of an entry, with its texts. */
typedef struct entry {
    tide_change change;
    tide_value values[COLUMNS];
    char key[40];
    char name[32];
} entry;

void make_entries(entry *entries, size_t count, const unsigned char *peer, uint64_t *seed,
                  tide_time from);

/* A library of the usual models, whose marks are deferred. */
tide_library *open_library(const char *path, const unsigned char *id);

/* Writes the entries with one prepared statement, `batch` to a transaction; nanoseconds a row. */
double insert_all(sqlite3 *db, const entry *entries, size_t count, size_t batch);

/* These end the program when something fails. */
void engine_check(const char *what, int rc);
void bench_sql_run(sqlite3 *db, const char *sql);

#endif
