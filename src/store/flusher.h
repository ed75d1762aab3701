/* flusher.h - a thread that flushes a file's waiting advances every so often, for those who ask for
 * one.
 *
 * It does what tide_flush does, barriers included, and nothing else; so what waits is never older
 * than the interval and one commit. A flush that fails is tried again at the next interval.
 */
#ifndef TIDEMARK_STORE_FLUSHER_H
#define TIDEMARK_STORE_FLUSHER_H

#include "store/committer.h"

typedef struct tide__flusher {
    tide__core *core;
    uint32_t interval_ms;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool runs;
    bool stop; /* under `lock` */
} tide__flusher;

/* TIDE_OK; TIDE_ENOMEM, TIDE_EBUSY: the system gives no thread. Zeroed before. */
int tide__flusher_start(tide__flusher *flusher, tide__core *core, uint32_t interval_ms,
                        tide__detail *detail);

/* Waits until it has ended; nothing where it was not started. */
void tide__flusher_stop(tide__flusher *flusher);

#endif
