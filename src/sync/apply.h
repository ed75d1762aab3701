/* apply.h - writing rows of a peer's feed into our tables.
 *
 * A row is written only if its version is larger than what is here, live or deleted; so applying is
 * idempotent and the order of arrival does not matter. Each row written gets our next stamp: it is
 * part of our feed from then on. Begin and end enclose any number of rows in one transaction;
 * nothing stays of it when it fails.
 */
#ifndef TIDEMARK_SYNC_APPLY_H
#define TIDEMARK_SYNC_APPLY_H

#include "sync/engine.h"
#include "sync/transaction.h"

typedef struct tide__apply {
    tide_sync *sync;
    sqlite3_int64 source;            /* of the rows that follow; the caller's, 0 at first */
    int bind_code;                   /* TIDE_OK, or why a statement is not as it should be */
    tide_time newest;                /* version seen, for the floor */
    tide_time next[TIDE_MODELS_MAX]; /* stamp to give, by place of the model; 0: not asked yet */
    bool parked_asked;               /* parked.h: whether there are parked rows is known, */
    bool parked;                     /* and this is it */
    bool again;                      /* it must begin anew, with rows guarded */
} tide__apply;

/* `purpose` is TIDE__APPLY, or TIDE__WRITE to be durable at the end. */
int tide__apply_begin(tide__apply *apply, tide_sync *sync, tide__purpose purpose);

/* TIDE_OK: written; TIDE_STALE; TIDE_ECONSTRAINT: the table refuses it, TIDE_EOWNER: another device
 * owns what is here, and the reason is the detail; errors. `change` has been checked against the
 * model. The table is changed before any record is, so a statement that is taken back whole leaves
 * nothing of a row that is refused. */
int tide__apply_row(tide__apply *apply, tide__model *model, const tide_change *change);

/* Whether an answer of the former is about this row alone. */
bool tide__apply_refused(int answer);

/* Puts the row's name before the reason where it was refused, and passes the answer on. */
int tide__apply_explain(tide__apply *apply, const tide__model *model, const tide_change *change,
                        int answer);

/* The newest stamp that was given, TIDE_TIME_NONE if none was. */
tide_time tide__apply_newest(const tide__apply *apply);

/* Commits on TIDE_OK, else takes everything back; passes the answer on. */
int tide__apply_end(tide__apply *apply, int answer);

/* Binds a value, which must stay until the statement has been stepped; answers SQLite's code. */
int tide__bind_value(sqlite3_stmt *statement, int at, const tide_value *value);

/* Whether a version may be taken over: TIDE_OK or TIDE_ECLOCK. */
int tide__apply_check_clock(tide_sync *sync, const tide__model *model, tide_time version);

#endif
