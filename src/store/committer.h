/* committer.h - the one way in: every change of a mark goes through here.
 *
 * A core is what the handles of one file in one process share: the environment, the table of waiting
 * advances, the barrier. A deferred advance is judged against the mark as this process sees it and waits in
 * the table. A commit fixes the set of waiting advances, runs the barrier, and writes them together with
 * the change that asked for it in one transaction, each judged again against what LMDB holds then. If the
 * barrier or the transaction fails nothing is published and everything goes on waiting.
 *
 * Locks, in this order: commit_lock (one commit at a time), table_lock (the table), the environment's gate.
 */
#ifndef TIDEMARK_STORE_COMMITTER_H
#define TIDEMARK_STORE_COMMITTER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/detail.h"
#include "base/key.h"
#include "store/environment.h"
#include "store/table.h"

typedef struct tide__core {
    tide__environment *environment;
    pthread_mutex_t commit_lock;
    atomic_uintptr_t committing; /* the thread inside a commit, as a number; 0: none */
    pthread_mutex_t table_lock;
    tide__table table;
    tide_barrier_fn *barrier; /* these three under commit_lock */
    void *barrier_ctx;
    const void *barrier_owner;
    tide_clock_fn *clock;
    void *clock_ctx;
} tide__core;

/* One advance, its key encoded. */
typedef struct tide__advance {
    tide__key key;
    tide_time after;
    tide_time upto;
    tide_time epoch;
    size_t order; /* steps of one key are taken in this order */
} tide__advance;

void tide__core_init(tide__core *core, tide__environment *environment, const tide_options *options);
void tide__core_destroy(tide__core *core); /* not the environment */

/* The mark as this process sees it; TIDE__NO_MARK when absent. */
int tide__core_view(tide__core *core, const tide__key *key, tide_mark *out, tide__detail *detail);

/* Advances all or none; answers as tide_advance_many. Sorts `steps`. */
int tide__core_advance(tide__core *core, tide__advance *steps, size_t count, bool durable,
                       tide__detail *detail);

/* tide_compare_and_set. */
int tide__core_set(tide__core *core, const tide__key *key, tide_time expected, tide_time desired,
                   tide__detail *detail);

/* Removes every mark whose key begins with the first `length` bytes of `prefix`. */
int tide__core_remove(tide__core *core, const tide__key *prefix, size_t length, size_t *removed,
                      tide__detail *detail);

int tide__core_flush(tide__core *core, tide__detail *detail);

int tide__core_set_barrier(tide__core *core, tide_barrier_fn *fn, void *ctx, const void *owner,
                           tide__detail *detail);

#endif
