/* committer.h - the one way in: every change of a mark goes through here.
 *
 * A core is what the handles of one file in one process share: the environment, the table of marks
 * in use and of waiting advances, the barriers, and the queue of calls that want a commit.
 *
 *     a deferred advance   is judged on the mark as this process sees it, and waits in the table
 *     every other change   queues; the first in the queue leads: it fixes the set of waiting
 *                          advances, runs the barriers, writes set and queue in one transaction,
 *                          each judged on what LMDB holds then, and wakes the others with their
 *                          answers
 *
 * If a barrier or the transaction fails nothing is published and everything goes on waiting. When
 * one of several calls makes a transaction fail, each gets a transaction of its own.
 *
 * Locks, in this order: commit_lock (one commit at a time), the environment's gate, its lock (the
 * table). queue_lock is taken with none of them held.
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

typedef struct tide__request tide__request;

/* Known by its ctx; `owner` is the handle it goes away with. */
typedef struct tide__barrier {
    struct tide__barrier *next;
    tide_barrier_fn *fn;
    void *ctx;
    const void *owner;
} tide__barrier;

typedef struct tide__core {
    tide__environment *environment;
    tide__table table; /* under the environment's lock */
    pthread_mutex_t queue_lock;
    tide__request *queue; /* these five under queue_lock */
    tide__request **queue_end;
    size_t queue_count;
    size_t last_group; /* how many the last commit was for */
    bool led;          /* somebody leads */
    pthread_mutex_t commit_lock;
    atomic_uintptr_t committing; /* the thread inside a commit, as a number; 0: none */
    tide__barrier *barriers;     /* under commit_lock */
    tide_clock_fn *clock;
    void *clock_ctx;
} tide__core;

/* One advance. */
typedef struct tide__advance {
    tide__id id;
    tide_time after;
    tide_time upto;
    tide_time epoch;
    size_t order;     /* steps of one mark are taken in this order */
    tide__slot *slot; /* these three are the committer's */
    tide_mark base;
    tide_mark result;
} tide__advance;

void tide__core_init(tide__core *core, tide__environment *environment, const tide_options *options);
void tide__core_destroy(tide__core *core); /* not the environment */

/* The mark as this process sees it; TIDE__NO_MARK when absent. */
int tide__core_view(tide__core *core, const tide__id *id, tide_mark *out, tide__detail *detail);

/* Advances all or none; answers as tide_advance_many. Sorts `steps`. */
int tide__core_advance(tide__core *core, tide__advance *steps, size_t count, bool durable,
                       tide__detail *detail);

/* tide_compare_and_set. */
int tide__core_set(tide__core *core, const tide__id *id, tide_time expected, tide_time desired,
                   tide__detail *detail);

/* Removes every mark of id's device about id's peer. */
int tide__core_remove(tide__core *core, const tide__id *id, size_t *removed, tide__detail *detail);

int tide__core_flush(tide__core *core, tide__detail *detail);
size_t tide__core_waiting(tide__core *core);

/* Sets, replaces or (fn NULL) takes away the barrier known by `ctx`. Nothing may be published without
 * the barrier it waited for: what waits is flushed before one goes, and dropped if it cannot be. */
int tide__core_set_barrier(tide__core *core, tide_barrier_fn *fn, void *ctx, const void *owner,
                           tide__detail *detail);

/* A handle goes: flushes, and takes its barriers away. *left is how many advances could not be
 * written. */
int tide__core_leave(tide__core *core, const void *owner, size_t *left, tide__detail *detail);

#endif
