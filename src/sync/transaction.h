/* transaction.h - the engine's transactions on its connection, and when their rows are on disk.
 *
 * The connection is in WAL mode with synchronous=FULL, for the application. A transaction that
 * applies a peer's rows is NORMAL: its rows are flushed together with those of others, by one flush
 * of the write-ahead log, when it matters: before marks that count them are published
 * (tide__rows_barrier), and before a page that shows them leaves (tide__make_durable).
 *
 * A flush or commit that fails is final: whether the rows are on disk is not known, a second flush
 * would not tell (the system may take the pages for written), so every call answers TIDE_EUNKNOWN
 * until the database is opened again; and the next opener writes the log over itself before anybody
 * relies on it.
 */
#ifndef TIDEMARK_SYNC_TRANSACTION_H
#define TIDEMARK_SYNC_TRANSACTION_H

#include "sync/engine.h"

/* Puts the connection into its mode. */
int tide__connection_prepare(tide_sync *sync, const char *path);

/* The statements on our own tables, when these are there. */
int tide__connection_complete(tide_sync *sync);

/* Checkpoints what can be, and closes. Nothing happens where there is no connection. */
void tide__connection_close(tide_sync *sync);

typedef enum tide__purpose {
    TIDE__READ,  /* one snapshot */
    TIDE__WRITE, /* takes the write lock; durable when it ends */
    TIDE__APPLY  /* the same, and durable at the next flush */
} tide__purpose;

int tide__begin(tide_sync *sync, tide__purpose purpose);

/* Commits on TIDE_OK, takes everything back on anything else, and passes the answer on. */
int tide__end(tide_sync *sync, int answer);

/* Inside a write transaction: writes the log over itself and flushes it, because a flush that
 * failed in an earlier life may have left it clean and unwritten. */
int tide__renew_log(tide_sync *sync);

/* Makes durable what is committed, whoever wrote it. Inside a transaction, for what its snapshot
 * shows. Rows that a program with synchronous=OFF has moved into the database file by itself are
 * beyond reach. */
int tide__make_durable(tide_sync *sync);

/* A tide_barrier_fn: makes durable what TIDE__APPLY has committed. Any thread. */
int tide__rows_barrier(void *ctx);

#endif
