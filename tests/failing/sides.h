/* sides.h - two databases, "a.db" and "b.db", with two models, captured and synced over a pipe: the
 * marks of a are in LMDB, those of b in SQLite. For children: what may not fail is told by
 * child_assert.
 */
#ifndef TIDEMARK_TESTS_FAILING_SIDES_H
#define TIDEMARK_TESTS_FAILING_SIDES_H

#include <sqlite3.h>

#include <tidemark/tidemark.h>

#include "support.h"

#define SIDES_PAGE_ROWS 3
#define SIDES_MODELS 2

extern const tide_model
    sides_models[SIDES_MODELS]; /* place, device-owned; item, shared, of a place */

typedef struct side {
    const char *name;
    uuid_t device;
    tide_sync *sync;
    tide_watermarks *marks;
    tide_store *store;    /* a's marks */
    sqlite3 *marks_db;    /* b's */
    size_t open, reached; /* parts, now and before it failed */
    char opening[256];    /* the reason of a failure */
} side;

extern side side_a, side_b;

/* Makes both databases, each with a row that is there before its capture. */
void sides_make(void);

/* Opens both, or none. What is random, and what time it is, is the same after each sides_make. */
int sides_open(void);
bool sides_are_open(void);
int sides_close(void); /* TIDE_OK */

/* Opens the next part of a, or else of b. On failure the side is closed, and the next call opens it
 * as far again. */
int sides_open_next(void);

/* A whole exchange in new sessions. TIDE_OK: a ends complete, which says it of both; TIDE_CONFLICT:
 * one says that rows differ; TIDE_GAP: a is not complete; an error of either. */
int sides_sync(void);

/* The code for what SQLite has answered. */
int sides_code(int sqlite_code);

/* What a query gives, rows and columns joined; to be freed. */
char *sides_query(sqlite3 *db, const char *sql);

#endif
