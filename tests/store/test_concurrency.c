/* Many threads and processes on the same marks: the result is the maximum, nothing is lost, and no
 * reader ever sees a mark go back. */
#define _GNU_SOURCE 1
#include <tidemark/store.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define MARKS 16
#define THREADS 8
#define PROCESSES 2

static uuid_t device, peer;

static void set_up(void)
{
    test_uuid(device, 1);
    test_uuid(peer, 2);
    tide_close(test_open(FILE_NAME, NULL));
}

static void name_of(uint64_t n, char name[16])
{
    snprintf(name, 16, "mark-%d", (int)n);
}

/* What all threads and processes share. */
typedef struct shared {
    _Atomic int64_t highest[MARKS]; /* what was asked for, over all threads */
    atomic_int failures;
    atomic_int writers;
} shared;

static shared *share(void)
{
    void *memory =
        mmap(NULL, sizeof(shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    memset(memory, 0, sizeof(shared));
    return memory;
}

typedef struct worker {
    pthread_t thread;
    shared *all;
    tide_store *store;
    uint64_t seed;
    int rounds;
} worker;

static void note_failure(worker *self, int line, int rc)
{
    fprintf(stderr, "%s:%d: worker %d: %s\n", __FILE__, line, (int)self->seed, tide_code_name(rc));
    atomic_fetch_add(&self->all->failures, 1);
}

/* Runs `body` in THREADS threads of this process; `self` is a template. */
static void run_threads(const worker *template, void *(*body)(void *ctx))
{
    worker workers[THREADS];

    for (int i = 0; i < THREADS; i++) {
        workers[i] = *template;
        workers[i].seed = template->seed * THREADS + (uint64_t)i;
        child_assert(pthread_create(&workers[i].thread, NULL, body, &workers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        child_assert(pthread_join(workers[i].thread, NULL) == 0);
    }
}

static void run_processes(shared *all, const tide_options *options, int rounds, int processes,
                          void *(*body)(void *ctx))
{
    pid_t pids[8];

    for (int i = 0; i < processes; i++) {
        pids[i] = fork();
        ck_assert_int_ge(pids[i], 0);
        if (pids[i] == 0) {
            worker template = {.all = all, .seed = (uint64_t)i + 1, .rounds = rounds};

            child_assert(tide_open(FILE_NAME, options, &template.store) == TIDE_OK);
            run_threads(&template, body);
            tide_close(template.store);
            _exit(0);
        }
    }
    for (int i = 0; i < processes; i++) {
        int status = -1;

        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_int_eq(atomic_load(&all->failures), 0);
}

/* ---- the result is the maximum ------------------------------------------------------------------ */

static void raise_highest(shared *all, size_t n, tide_time time)
{
    int64_t seen = atomic_load(&all->highest[n]);

    while (seen < time && !atomic_compare_exchange_weak(&all->highest[n], &seen, time)) {
    }
}

/* Random advances and ranges; every mark that is read must stand at or above what was read before. */
static void *hammer(void *ctx)
{
    worker *self = ctx;
    test_random random = {self->seed};
    tide_time seen[MARKS];

    for (size_t n = 0; n < MARKS; n++) {
        seen[n] = TIDE_TIME_NONE;
    }
    for (int i = 0; i < self->rounds; i++) {
        size_t n = (size_t)test_below(&random, MARKS);
        tide_time upto = 1 + (tide_time)test_below(&random, 1000000);
        tide_time after = TIDE_TIME_NONE;
        uint32_t durability = i % 8 == 0 ? TIDE_DURABLE : TIDE_DEFERRED;
        tide_mark mark = {TIDE_TIME_NONE, 0, 0};
        tide_step step;
        char name[16];
        int rc;

        name_of(n, name);
        if (i % 3 == 0 && seen[n] != TIDE_TIME_NONE && seen[n] < upto)
            after = seen[n];
        step = (tide_step){device, peer, name, after, upto, TIDE_TIME_NONE};
        rc = tide_advance_many(self->store, &step, 1, durability);
        if (rc != TIDE_OK && rc != TIDE_STALE) { /* the mark never goes below `after` again */
            note_failure(self, __LINE__, rc);
            break;
        }
        raise_highest(self->all, n, upto);
        rc = tide_get(self->store, device, peer, name, &mark);
        if (rc != TIDE_OK || mark.watermark < upto || mark.watermark < seen[n]) {
            note_failure(self, __LINE__, rc);
            break;
        }
        seen[n] = mark.watermark;
    }
    return NULL;
}

START_TEST(the_result_of_all_advances_is_the_maximum)
{
    shared *all = share();
    tide_store *store;

    run_processes(all, NULL, test_sanitized() ? 300 : 1000, PROCESSES, hammer);
    store = test_open(FILE_NAME, NULL);
    for (uint64_t n = 0; n < MARKS; n++) {
        tide_mark mark;
        char name[16];

        name_of(n, name);
        ck_assert_int_eq(tide_get(store, device, peer, name, &mark), TIDE_OK);
        ck_assert_int_eq(mark.watermark, atomic_load(&all->highest[n]));
    }
    tide_close(store);
    munmap(all, sizeof *all);
}
END_TEST

/* ---- nothing goes back -------------------------------------------------------------------------- */

static int not_below(void *ctx, const uuid_t d, const uuid_t p, const char *resource,
                     const tide_mark *mark)
{
    tide_time *seen = ctx;
    char *end = NULL;

    (void)d;
    (void)p;
    if (strncmp(resource, "mark-", 5) != 0)
        return -1;
    long n = strtol(resource + 5, &end, 10);
    if (*end != '\0' || n < 0 || n >= MARKS)
        return -1;
    if (mark->watermark < seen[n])
        return -2;
    seen[n] = mark->watermark;
    return 0;
}

/* Even threads write, odd ones only read and walk. */
static void *read_or_write(void *ctx)
{
    worker *self = ctx;
    test_random random = {self->seed};
    tide_time seen[MARKS], walked[MARKS];
    bool writes = self->seed % 2 == 0;

    for (size_t n = 0; n < MARKS; n++) {
        seen[n] = walked[n] = TIDE_TIME_NONE;
    }
    if (writes)
        atomic_fetch_add(&self->all->writers, 1);
    for (int i = 0; i < self->rounds; i++) {
        size_t n = (size_t)test_below(&random, MARKS);
        tide_mark mark = {TIDE_TIME_NONE, 0, 0};
        char name[16];
        int rc;

        name_of(n, name);
        if (writes) {
            rc = tide_advance(self->store, device, peer, name,
                              (tide_time)(i * 64) + (tide_time)test_below(&random, 64));
            if (rc < 0 || rc > TIDE_STALE)
                note_failure(self, __LINE__, rc);
            continue;
        }
        rc = tide_get(self->store, device, peer, name, &mark);
        if (rc < 0 || mark.watermark < seen[n])
            note_failure(self, __LINE__, rc);
        seen[n] = mark.watermark;
        if (i % 16 == 0) {
            rc = tide_each(self->store, device, NULL, NULL, not_below, walked);
            if (rc != TIDE_OK)
                note_failure(self, __LINE__, rc);
        }
    }
    return NULL;
}

START_TEST(no_reader_sees_a_mark_go_back)
{
    shared *all = share();

    run_processes(all, NULL, test_sanitized() ? 60 : 150, PROCESSES, read_or_write);
    ck_assert_int_eq(atomic_load(&all->writers), PROCESSES * THREADS / 2);
    munmap(all, sizeof *all);
}
END_TEST

/* ---- exact counting ----------------------------------------------------------------------------- */

static void *count_up(void *ctx)
{
    worker *self = ctx;

    for (int i = 0; i < self->rounds; i++) {
        for (;;) {
            tide_mark mark = {TIDE_TIME_NONE, 0, 0};
            int rc = tide_get(self->store, device, peer, "counter", &mark);
            tide_time next = rc == TIDE_ABSENT ? 1 : mark.watermark + 1;

            if (rc != TIDE_OK && rc != TIDE_ABSENT) {
                note_failure(self, __LINE__, rc);
                return NULL;
            }
            rc = tide_compare_and_set(self->store, device, peer, "counter", mark.watermark, next);
            if (rc == TIDE_OK)
                break;
            if (rc != TIDE_CONFLICT) {
                note_failure(self, __LINE__, rc);
                return NULL;
            }
        }
    }
    return NULL;
}

START_TEST(compare_and_set_counts_exactly)
{
    shared *all = share();
    tide_store *store;
    tide_mark mark;
    int rounds = 25;

    run_processes(all, NULL, rounds, PROCESSES, count_up);
    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(tide_get(store, device, peer, "counter", &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, rounds * PROCESSES * THREADS);
    tide_close(store);
    munmap(all, sizeof *all);
}
END_TEST

/* ---- all or none -------------------------------------------------------------------------------- */

/* Two marks move together always; a reader that reads the first and then the second must never find
 * the second behind the first. */
static void *move_two(void *ctx)
{
    worker *self = ctx;
    bool writes = self->seed % 4 == 0;

    for (int i = 1; i <= self->rounds; i++) {
        tide_step steps[2] = {{device, peer, "left", TIDE_TIME_NONE, i, TIDE_TIME_NONE},
                              {device, peer, "right", TIDE_TIME_NONE, i, TIDE_TIME_NONE}};
        tide_mark left = {TIDE_TIME_NONE, 0, 0}, right = left;
        int rc;

        if (writes) {
            rc =
                tide_advance_many(self->store, steps, 2, i % 2 == 0 ? TIDE_DURABLE : TIDE_DEFERRED);
            if (rc < 0 || rc > TIDE_STALE)
                note_failure(self, __LINE__, rc);
            continue;
        }
        rc = tide_get(self->store, device, peer, "left", &left);
        if (rc < 0)
            note_failure(self, __LINE__, rc);
        rc = tide_get(self->store, device, peer, "right", &right);
        if (rc < 0 || right.watermark < left.watermark)
            note_failure(self, __LINE__, rc);
    }
    return NULL;
}

START_TEST(steps_that_move_together_are_seen_together)
{
    shared *all = share();

    run_processes(all, NULL, test_sanitized() ? 100 : 300, PROCESSES, move_two);
    munmap(all, sizeof *all);
}
END_TEST

/* ---- growing at once ---------------------------------------------------------------------------- */

#define GROWERS 4
#define EACH 500

static void *fill_own_range(void *ctx)
{
    worker *self = ctx;
    uint64_t first = self->seed * EACH;
    int rc = test_fill(self->store, first, EACH, 5);

    if (rc != TIDE_OK)
        note_failure(self, __LINE__, rc);
    if (test_count_at(self->store, first, EACH, 5) != EACH)
        note_failure(self, __LINE__, 0);
    return NULL;
}

START_TEST(processes_that_grow_the_file_at_once_lose_nothing)
{
    shared *all = share();
    tide_info info = {.size = sizeof info};
    tide_options options;
    tide_store *store;

    test_options(&options, 64 * 1024);
    run_processes(all, &options, 1, GROWERS, fill_own_range);
    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    ck_assert_uint_eq(info.marks, GROWERS * THREADS * EACH);
    ck_assert_uint_eq(test_count_at(store, THREADS * EACH, GROWERS * THREADS * EACH, 5),
                      GROWERS * THREADS * EACH);
    tide_close(store);
    munmap(all, sizeof *all);
}
END_TEST

/* ---- killed in the middle ----------------------------------------------------------------------- */

static _Noreturn void write_until_killed(shared *all)
{
    tide_store *store = NULL;

    child_assert(tide_open(FILE_NAME, NULL, &store) == TIDE_OK);
    for (tide_time time = atomic_load(&all->highest[0]) + 1;; time++) {
        child_assert(tide_advance(store, device, peer, "entry", time) == TIDE_OK);
        atomic_store(&all->highest[0], time);
    }
}

START_TEST(a_killed_writer_blocks_nobody_and_loses_nothing)
{
    shared *all = share();
    tide_store *store;

    for (int round = 0; round < 10; round++) {
        int64_t wanted = atomic_load(&all->highest[0]) + 1 + round % 3;
        tide_mark mark;
        int status;
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            write_until_killed(all);
        while (atomic_load(&all->highest[0]) < wanted) {
            ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
        }
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        store = test_open(FILE_NAME, NULL);
        ck_assert_int_eq(tide_get(store, device, peer, "entry", &mark), TIDE_OK);
        /* one more than was acknowledged may have been on its way */
        ck_assert_int_ge(mark.watermark, atomic_load(&all->highest[0]));
        ck_assert_int_le(mark.watermark, atomic_load(&all->highest[0]) + 1);
        atomic_store(&all->highest[0], mark.watermark);
        ck_assert_int_eq(tide_advance(store, device, peer, "tag", round), TIDE_OK);
        tide_close(store);
    }
    munmap(all, sizeof *all);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("concurrency");
    TCase *test = test_case(suite, "concurrency");

    tcase_add_checked_fixture(test, set_up, NULL);
    tcase_add_test(test, the_result_of_all_advances_is_the_maximum);
    tcase_add_test(test, no_reader_sees_a_mark_go_back);
    tcase_add_test(test, compare_and_set_counts_exactly);
    tcase_add_test(test, steps_that_move_together_are_seen_together);
    tcase_add_test(test, processes_that_grow_the_file_at_once_lose_nothing);
    tcase_add_test(test, a_killed_writer_blocks_nobody_and_loses_nothing);
    return test_run(suite);
}
