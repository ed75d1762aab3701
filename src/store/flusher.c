/* flusher.c - a thread that flushes; see flusher.h. */
#include "store/flusher.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#define MS_PER_SECOND 1000
#define NS_PER_MS 1000000
#define NS_PER_SECOND 1000000000

static struct timespec after_ms(uint32_t interval_ms)
{
    struct timespec when;
    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_sec += interval_ms / MS_PER_SECOND;
    when.tv_nsec += (long)(interval_ms % MS_PER_SECOND) * NS_PER_MS;
    if (when.tv_nsec >= NS_PER_SECOND) {
        when.tv_nsec -= NS_PER_SECOND;
        when.tv_sec += 1;
    }
    return when;
}

static void *run(void *ctx)
{
    tide__flusher *flusher = ctx;
    pthread_mutex_lock(&flusher->lock);
    while (!flusher->stop) {
        struct timespec when = after_ms(flusher->interval_ms);
        int rc = 0;
        while (!flusher->stop && rc != ETIMEDOUT) {
            rc = pthread_cond_timedwait(&flusher->woken, &flusher->lock, &when);
        }
        if (!flusher->stop) {
            pthread_mutex_unlock(&flusher->lock);
            (void)tide__core_flush(flusher->core, NULL);
            pthread_mutex_lock(&flusher->lock);
        }
    }
    pthread_mutex_unlock(&flusher->lock);
    return NULL;
}

int tide__flusher_start(tide__flusher *flusher, tide__core *core, uint32_t interval_ms,
                        tide__detail *detail)
{
    pthread_condattr_t monotonic;
    sigset_t all;
    sigset_t before;
    flusher->core = core;
    flusher->interval_ms = interval_ms;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&flusher->lock, NULL);
    pthread_cond_init(&flusher->woken, &monotonic);
    pthread_condattr_destroy(&monotonic);
    /* Signals are the program's business, and go to its own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(&flusher->thread, NULL, run, flusher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number != 0) {
        pthread_cond_destroy(&flusher->woken);
        pthread_mutex_destroy(&flusher->lock);
        return tide__fail_errno(detail, number, core->environment->path);
    }
    flusher->runs = true;
    return 0;
}

void tide__flusher_stop(tide__flusher *flusher)
{
    if (!flusher->runs) {
        return;
    }
    pthread_mutex_lock(&flusher->lock);
    flusher->stop = true;
    pthread_cond_signal(&flusher->woken);
    pthread_mutex_unlock(&flusher->lock);
    pthread_join(flusher->thread, NULL);
    pthread_cond_destroy(&flusher->woken);
    pthread_mutex_destroy(&flusher->lock);
    flusher->runs = false;
}
