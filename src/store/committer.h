/* committer.h - the one way in: every change of a mark goes through here.
 *
 *     a deferred advance   is judged on the mark as this process sees it, and waits in the table
 *     every other change   queues; the first in the queue leads: it commits for all (publish.h),
 * and wakes the others with their answers
 */
#ifndef TIDEMARK_STORE_COMMITTER_H
#define TIDEMARK_STORE_COMMITTER_H

#include "store/core.h"

/* Advances all or none; answers as tide_advance_many. Sorts `steps`. */
int tide__core_advance(tide__core *core, tide__advance *steps, size_t count, bool durable,
                       tide__detail *detail);

/* tide_import. Sorts `steps`; base and result of each are those of the commit. */
int tide__core_import(tide__core *core, tide__advance *steps, size_t count, tide__detail *detail);

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
