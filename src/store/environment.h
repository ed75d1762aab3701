/* environment.h - LMDB, tamed: one open file, its map, its readers and its write transactions.
 *
 * Invariants: no LMDB pointer outlives the call that made it; no snapshot is held between calls;
 * every LMDB call happens behind `gate` (shared), and only a change of the map takes the gate
 * alone; a file is opened once per process (registry.h sees to that). A map that is too small grows
 * and the whole transaction is played again, so what runs in one must depend on its arguments only.
 *
 * Failure: when a commit fails and the disk is not simply full, nobody knows what is on disk (a
 * failed fsync may have left pages that look clean). The environment is then dead: every call
 * answers TIDE_EUNKNOWN until it is closed.
 */
#ifndef TIDEMARK_STORE_ENVIRONMENT_H
#define TIDEMARK_STORE_ENVIRONMENT_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tidemark/store.h>

#include "base/detail.h"
#include "base/key.h"
#include "base/rules.h"

#define TIDE__READ_POOL 64 /* snapshots kept for reuse, reset, so that they pin nothing */

typedef struct tide__environment {
    MDB_env *mdb;
    MDB_dbi marks;
    MDB_dbi meta;
    MDB_dbi main;
    int fd;
    char *path;
    uint64_t map_bytes;
    uint64_t max_bytes;
    tide_time created_at;
    uuid_t store_id;
    atomic_int dead; /* 0, or the answer of every call from now on */
    pthread_rwlock_t gate;
    pthread_mutex_t lock; /* short; taken behind the gate, or without it. A remap takes it too, so
                             that whoever holds it may ask for the newest commit. */
    pthread_mutex_t pool_lock;
    MDB_txn *pool[TIDE__READ_POOL];
    size_t pool_count;
} tide__environment;

/* Opens the existing, inspected file `path` (canonical). *out is NULL on failure. */
int tide__environment_open(const char *path, const tide_options *options, tide__environment **out,
                           tide__detail *detail);
void tide__environment_close(tide__environment *environment);

/* TIDE_OK, or what every call answers from now on. Whoever goes on to LMDB asks behind the gate,
 * because a failed remap leaves no map. */
int tide__environment_alive(const tide__environment *environment, tide__detail *detail);

/* The number of the newest commit, by whatever process, with `lock` held: a look at two words in
 * the map. UINT64_MAX when the environment is dead. */
uint64_t tide__environment_newest(tide__environment *environment);

/* Begins a snapshot of what is committed. It must be ended by the same thread, soon. */
int tide__read_begin(tide__environment *environment, MDB_txn **txn, tide__detail *detail);
void tide__read_end(tide__environment *environment, MDB_txn *txn);

/* Runs fn in a write transaction and commits it when fn answers TIDE_OK; any other answer aborts it
 * and is returned. fn answers TIDE_EFULL when LMDB says MDB_MAP_FULL, and is then called again on a
 * larger map. One that `removes` may go a little beyond the largest size, because LMDB needs pages
 * to free pages; marks that are added may not, whatever the map is by then. One thread of the
 * process at a time. */
typedef int tide__write_fn(MDB_txn *txn, void *ctx, tide__detail *detail);
int tide__write(tide__environment *environment, tide__write_fn *fn, void *ctx, bool removes,
                tide__detail *detail);

/* Reads one mark; an absent one gives TIDE_OK and TIDE__NO_MARK. */
int tide__mark_read(tide__environment *environment, MDB_txn *txn, const tide__id *id,
                    tide_mark *out, tide__detail *detail);

/* All that tide_stat tells of the file (info.c). */
int tide__environment_stat(tide__environment *environment, tide_info *info, tide__detail *detail);

/* "what: LMDB's words", and the code LMDB's or errno's number stands for. */
int tide__fail_lmdb(tide__detail *detail, int rc, const char *what);

#endif
