/* core.h - what the handles of one file in one process share.
 *
 *     committer   the calls that change marks, and who commits for whom
 *     publish     one commit: what waits, and the calls of a group
 *     marks       marks as this process sees them: views, and deferred advances
 *
 * Locks, in this order: commit_lock (one commit at a time), the environment's gate, its lock (the
 * table). queue_lock is taken with none of them held.
 */
#ifndef TIDEMARK_STORE_CORE_H
#define TIDEMARK_STORE_CORE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/detail.h"
#include "base/key.h"
#include "store/environment.h"
#include "store/table.h"

/* Known by its ctx; `owner` is the handle it goes away with. */
typedef struct tide__barrier {
    struct tide__barrier *next;
    tide_barrier_fn *fn;
    void *ctx;
    const void *owner;
} tide__barrier;

/* One advance. */
typedef struct tide__advance {
    tide__id id;
    tide_time after;
    tide_time upto;
    tide_time epoch;
    size_t order;     /* steps of one mark are taken in this order */
    tide__slot *slot; /* these four are the committer's */
    bool waits;       /* an advance waits on the slot, and is the base */
    tide_mark base;
    tide_mark result;
} tide__advance;

/* A call that wants a commit. It lies on the stack of its thread, which waits to be woken:
 * answered, or to lead. */
typedef struct tide__request {
    enum { TIDE__FLUSH, TIDE__ADVANCE, TIDE__SET, TIDE__REMOVE } kind;
    tide__advance *steps; /* ADVANCE, sorted */
    size_t step_count;
    bool passes_over;   /* ADVANCE: steps that do not raise their marks stop nothing */
    const tide__id *id; /* SET; REMOVE: without the resource */
    tide_time expected; /* SET */
    tide_time desired;  /* SET */
    tide_mark result;   /* SET: the mark afterwards */
    size_t removed;     /* REMOVE */
    int answer;         /* where the transaction is done */
    tide__detail *detail;

    struct tide__request *next;
    sem_t woken; /* one of its own: who is woken need not queue for a lock that all want */
    bool leads;
} tide__request;

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
    tide__barrier *barriers;     /* these two under commit_lock */
    size_t lost;                 /* advances that went with their barrier, unwritten and untold */
    tide_clock_fn *clock;
    void *clock_ctx;
} tide__core;

void tide__core_init(tide__core *core, tide__environment *environment, const tide_options *options);
void tide__core_destroy(tide__core *core); /* not the environment */

tide_time tide__core_now(const tide__core *core);

/* The table's lock; here, because a read of a mark in use is little more. */
static inline void tide__core_lock(tide__core *core)
{
    pthread_mutex_lock(&core->environment->lock);
}

static inline void tide__core_unlock(tide__core *core)
{
    pthread_mutex_unlock(&core->environment->lock);
}

/* How many steps from the first on name the same mark. */
size_t tide__run_of(const tide__advance *steps, size_t count);

/* Judges a run on *mark, one step after the other. TIDE_OK: *mark was raised. */
int tide__judge_run(const tide__advance *steps, size_t run, tide_mark *mark);

/* Whether a call takes marks back: that must be possible in a full store, too. */
bool tide__takes_back(const tide__request *r);

#endif
