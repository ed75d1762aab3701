/* case_many.c - many at once: threads and processes that raise marks, readers beside a writer. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define TYPICAL 240
#define THREADS_MAX 64

/* What a crew of threads shares. */
typedef struct crew {
    const engine_type *type;
    durability class;
    engine *e;
    workload w;
    atomic_uint_fast64_t *time; /* each change gives a newer one */
    pthread_barrier_t start;
    atomic_int_fast64_t until_ns;
    int64_t sample_ns;
} crew;

typedef struct worker {
    crew *crew;
    unsigned number;
    bool reads;
    uint64_t done; /* marks raised, or read */
    histogram *latencies;
    pthread_t thread;
} worker;

static void work(worker *me, session *s)
{
    crew *c = me->crew;
    uint64_t n = me->number * 7u;
    int64_t before = now_ns();
    while (before < atomic_load_explicit(&c->until_ns, memory_order_relaxed)) {
        const mark_id *id = &c->w.ids[n++ % c->w.size];
        tide_time got = 0;
        if (me->reads) {
            (void)c->type->get(s, id, &got);
            me->done++;
        } else {
            /* Somebody else may be faster with a newer time; that is no raise. */
            tide_time upto = FIRST_TIME + (tide_time)atomic_fetch_add(c->time, 1);
            me->done += c->type->advance(s, id, upto) == 0;
        }
        int64_t after = now_ns();
        histogram_add(me->latencies, (uint64_t)(after - before));
        before = after;
    }
}

static void *run_worker(void *ctx)
{
    worker *me = ctx;
    session *s = me->crew->type->begin(me->crew->e);
    (void)pthread_barrier_wait(&me->crew->start);
    work(me, s);
    me->crew->type->end(s);
    return NULL;
}

/* Lets `writers` and `readers` work for a sample; returns seconds, a flush of what was deferred
 * included, and counts what was done. */
static double run_crew(crew *c, unsigned writers, unsigned readers, uint64_t *written,
                       uint64_t *read, histogram *latencies)
{
    worker *all = bench_alloc((writers + readers) * sizeof *all);
    pthread_barrier_init(&c->start, NULL, writers + readers + 1);
    atomic_store(&c->until_ns, INT64_MAX);
    for (unsigned i = 0; i < writers + readers; i++) {
        all[i] = (worker){.crew = c, .number = i, .reads = i >= writers};
        all[i].latencies = bench_alloc(sizeof *all[i].latencies);
        if (pthread_create(&all[i].thread, NULL, run_worker, &all[i]) != 0) {
            engine_failed("threads", c->type->name, "cannot be made");
        }
    }
    (void)pthread_barrier_wait(&c->start);
    int64_t began = now_ns();
    atomic_store(&c->until_ns, began + c->sample_ns);
    *written = *read = 0;
    for (unsigned i = 0; i < writers + readers; i++) {
        (void)pthread_join(all[i].thread, NULL);
        *(all[i].reads ? read : written) += all[i].done;
        if (all[i].reads == (readers > 0)) {
            histogram_merge(latencies, all[i].latencies); /* of readers where there are some */
        }
        free(all[i].latencies);
    }
    if (engine_defers(c->type, c->class)) {
        session *s = c->type->begin(c->e);
        c->type->flush(s);
        c->type->end(s);
    }
    double seconds = (double)(now_ns() - began) / 1e9;
    (void)pthread_barrier_destroy(&c->start);
    free(all);
    return seconds;
}

static void open_crew(const bench *b, crew *c, const char *name, const engine_type *type,
                      durability class)
{
    char folder[128];
    char path[BENCH_PATH];
    (void)snprintf(folder, sizeof folder, "%s-%s-%s", name, type->name, class_name(class));
    fresh_folder(b, folder, path);
    c->type = type;
    c->class = class;
    c->sample_ns = b->sample_ns;
    c->time = bench_alloc(sizeof *c->time);
    atomic_init(c->time, 1);
    (void)workload_make(&c->w, TYPICAL);
    c->e = type->open(path, class);
    session *s = type->begin(c->e);
    for (size_t i = 0; i < TYPICAL; i++) {
        const mark_id *id = &c->w.ids[i];
        (void)type->load(s, &id, 1, FIRST_TIME);
    }
    type->flush(s);
    type->end(s);
}

static void close_crew(crew *c)
{
    c->type->close(c->e);
    workload_free(&c->w);
    free(c->time);
}

/* Opens each engine of the class once, and one more where it is not NULL; measures in rounds, closes. */
static void compete(bench *b, const char *name, durability class, unsigned writers,
                    unsigned readers, const engine_type *more)
{
    crew *crews = bench_alloc(CONTESTANTS_MAX * sizeof *crews);
    histogram *latencies = bench_alloc(CONTESTANTS_MAX * sizeof *latencies);
    spread *writes = bench_alloc(CONTESTANTS_MAX * sizeof *writes);
    spread *reads = bench_alloc(CONTESTANTS_MAX * sizeof *reads);
    size_t count = 0;
    for (size_t i = 0; engines[i] != NULL && count < CONTESTANTS_MAX; i++) {
        if (engines[i]->how[class] != NULL) {
            open_crew(b, &crews[count++], name, engines[i], class);
        }
    }
    if (more != NULL && count < CONTESTANTS_MAX) {
        open_crew(b, &crews[count++], name, more, class);
    }
    for (unsigned run = 0; run < b->runs; run++) {
        for (size_t i = 0; i < count; i++) {
            uint64_t written = 0;
            uint64_t read = 0;
            double seconds = run_crew(&crews[i], writers, readers, &written, &read, &latencies[i]);
            spread_add(&writes[i], (double)written / seconds);
            spread_add(&reads[i], (double)read / seconds);
        }
    }
    for (size_t i = 0; i < count; i++) {
        for (int what = 0; what < (readers > 0 ? 2 : 1); what++) {
            result *r = result_new(b, name, what == 0 ? "advance" : "get", crews[i].type->name,
                                   class, TYPICAL, "op/s");
            r->threads = writers + readers;
            r->samples = what == 0 ? writes[i] : reads[i];
            if (readers == 0 || what == 1) {
                result_percentiles(r, &latencies[i]);
            }
        }
        close_crew(&crews[i]);
    }
    free(crews);
    free(latencies);
    free(writes);
    free(reads);
}

static bool takes_part(const engine_type *type)
{
    size_t i = 0;
    while (engines[i] != NULL && engines[i] != type) {
        i++;
    }
    return engines[i] != NULL;
}

void case_threads(bench *b)
{
    static const unsigned durable[] = {1, 4, 16, 64};
    static const unsigned deferred[] = {1, 2, 4, 8};
    size_t from = b->result_count;
    const engine_type *more = takes_part(&engine_sqlite_best) ? &engine_sqlite_queue : NULL;
    for (size_t i = 0; i < sizeof durable / sizeof *durable; i++) {
        if (!b->quick || durable[i] == 1 || durable[i] == THREADS_MAX) {
            compete(b, "threads", D2, durable[i], 0, more);
        }
    }
    for (size_t i = 0; i < sizeof deferred / sizeof *deferred; i++) {
        if (!b->quick || deferred[i] == 4) {
            compete(b, "threads", D1, deferred[i], 0, more);
        }
    }
    results_compare_rates(b, from, "sqlite-best", "sqlite-queue");
}

void case_mixed(bench *b)
{
    size_t from = b->result_count;
    compete(b, "mixed", D1, 1, 3, NULL);
    results_compare(b, from, "sqlite-best");
}

/* ---- processes ---------------------------------------------------------------------------------- */

/* What a child tells. */
typedef struct output {
    uint64_t done;
    int64_t ns;
} output;

/* In a child, which opens the store for itself: works for a sample, and tells how much it did. All
 * children take their times from one counter, so that none is stale for being slower. */
static void child_works(const engine_type *type, const char *path, durability class, unsigned number,
                        int64_t sample_ns, atomic_uint_fast64_t *time, int to_parent)
{
    crew c = {.type = type, .sample_ns = sample_ns, .time = time};
    histogram *latencies = bench_alloc(sizeof *latencies);
    worker me = {.crew = &c, .number = number, .latencies = latencies};
    (void)workload_make(&c.w, TYPICAL);
    c.e = type->open(path, class);
    session *s = type->begin(c.e);
    int64_t began = now_ns();
    atomic_init(&c.until_ns, began + sample_ns);
    work(&me, s);
    if (engine_defers(type, class)) {
        type->flush(s);
    }
    output out = {me.done, now_ns() - began};
    type->end(s);
    type->close(c.e);
    ssize_t written = write(to_parent, &out, sizeof out);
    _exit(written == (ssize_t)sizeof out ? 0 : 1);
}

static double run_processes(const bench *b, const engine_type *type, const char *path,
                            durability class, unsigned count)
{
    int ends[2];
    double rate = 0;
    atomic_uint_fast64_t *time =
        mmap(NULL, sizeof *time, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    (void)fflush(NULL);
    if (time == MAP_FAILED || pipe(ends) != 0) {
        engine_failed("processes", type->name, "no memory to share, or no pipe");
    }
    atomic_init(time, 1);
    for (unsigned i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            child_works(type, path, class, i, b->sample_ns, time, ends[1]);
        } else if (pid < 0) {
            engine_failed("processes", type->name, "cannot fork");
        }
    }
    for (unsigned i = 0; i < count; i++) {
        output out = {0, 1};
        int status = 0;
        if (read(ends[0], &out, sizeof out) != (ssize_t)sizeof out || wait(&status) < 0 ||
            status != 0) {
            engine_failed("processes", type->name, "a child failed");
        }
        rate += (double)out.done * 1e9 / (double)out.ns;
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)munmap(time, sizeof *time);
    return rate;
}

void case_processes(bench *b)
{
    static const unsigned counts[] = {1, 2, 4};
    static const durability classes[] = {D2, D1};
    size_t from = b->result_count;
    for (size_t c = 0; c < 2; c++) {
        for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
            for (size_t i = 0; engines[i] != NULL; i++) {
                /* LSM stores belong to one process. */
                if (engines[i]->how[classes[c]] != NULL && engines[i] != engine_named("rocksdb") &&
                    engines[i] != engine_named("leveldb") && (!b->quick || counts[n] == 2)) {
                    result *r = result_new(b, "processes", "advance", engines[i]->name, classes[c],
                                           TYPICAL, "op/s");
                    r->processes = counts[n];
                }
            }
        }
    }
    for (unsigned run = 0; run < b->runs; run++) {
        for (size_t i = from; i < b->result_count; i++) {
            result *r = &b->results[i];
            char name[128];
            char path[BENCH_PATH];
            (void)snprintf(name, sizeof name, "processes-%s-%s", r->engine, class_name(r->class));
            fresh_folder(b, name, path);
            const engine_type *type = engine_named(r->engine);
            engine *e = type->open(path, r->class); /* the tables */
            type->end(type->begin(e));
            type->close(e);
            spread_add(&r->samples, run_processes(b, type, path, r->class, r->processes));
        }
    }
    results_compare(b, from, "sqlite-best");
}
