/* case_store.c - whole stores: loading, size, walking, opening. */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define TYPICAL 240
#define TYPICAL_ROUNDS 10 /* how often each mark of a typical library has moved */

static size_t usual_size(const bench *b)
{
    return b->quick ? 100000 : 1000000;
}

static void load_size(bench *b, size_t size)
{
    for (unsigned run = 0; run < b->runs; run++) {
        forget_hash(b);
        for (size_t i = 0; engines[i] != NULL; i++) {
            char path[BENCH_PATH];
            char name[128];
            bool last = run + 1 == b->runs;
            loaded_folder(b, engines[i], size, path);
            if (!last ||
                size != usual_size(b)) { /* the last of the usual size is for other cases */
                (void)snprintf(name, sizeof name, "loaded-%s-%zu", engines[i]->name, size);
                bench_folder(b, name, path);
                folder_remove(path);
            }
        }
    }
}

void case_load(bench *b)
{
    size_t from = b->result_count;
    unsigned runs = b->runs;
    load_size(b, 10000);
    b->runs = b->quick ? 1 : runs;
    load_size(b, usual_size(b));
    if (b->large) {
        b->runs = 1;
        load_size(b, 10000000);
    }
    b->runs = runs;
    results_compare(b, from, "sqlite-best");
}

/* Tidemark has no call for this; LMDB's own does it, on the closed file. */
static void compact_tidemark(const char *folder)
{
    char path[BENCH_PATH + 16];
    char copy[BENCH_PATH + 16];
    MDB_env *env = NULL;
    (void)snprintf(path, sizeof path, "%s/sync.mdb", folder);
    (void)snprintf(copy, sizeof copy, "%s/copy.mdb", folder);
    if (mdb_env_create(&env) != 0 || mdb_env_set_maxdbs(env, 2) != 0 ||
        mdb_env_open(env, path, MDB_NOSUBDIR | MDB_RDONLY, 0600) != 0 ||
        mdb_env_copy2(env, copy, MDB_CP_COMPACT) != 0) {
        engine_failed("tidemark", "compact", path);
    }
    mdb_env_close(env);
    if (rename(copy, path) != 0) {
        engine_failed("tidemark", "compact", "rename");
    }
}

static void measure_size(bench *b, const char *what, const engine_type *type, size_t size,
                         const char *folder)
{
    result *r = result_new(b, "size", what, type->name, D1, size, "bytes");
    spread_add(&r->samples, (double)folder_bytes(folder));
}

static void size_typical(bench *b, const engine_type *type, const workload *w)
{
    char name[128];
    char path[BENCH_PATH];
    (void)snprintf(name, sizeof name, "size-%s", type->name);
    fresh_folder(b, name, path);
    engine *e = type->open(path, D1);
    session *s = type->begin(e);
    for (size_t i = 0; i < TYPICAL * TYPICAL_ROUNDS; i++) {
        const mark_id *id = &w->ids[w->shuffled[i % TYPICAL]];
        (void)type->load(s, &id, 1, FIRST_TIME + (tide_time)(i / TYPICAL));
        type->flush(s); /* so that each is a commit of its own */
    }
    type->end(s);
    type->close(e);
    measure_size(b, "loaded", type, TYPICAL, path);
}

void case_size(bench *b)
{
    size_t from = b->result_count;
    char path[BENCH_PATH];
    workload w;
    (void)workload_make(&w, TYPICAL);
    for (size_t i = 0; engines[i] != NULL; i++) {
        size_typical(b, engines[i], &w);
        forget_hash(b);
        loaded_folder(b, engines[i], usual_size(b), path);
        measure_size(b, "loaded", engines[i], usual_size(b), path);
    }
    workload_free(&w);
    for (size_t i = 0; engines[i] != NULL; i++) {
        loaded_folder(b, engines[i], usual_size(b), path);
        if (engines[i] == &engine_tidemark) {
            compact_tidemark(path);
        } else {
            engine *e = engines[i]->open(path, D1);
            session *s = engines[i]->begin(e);
            engines[i]->compact(s);
            engines[i]->end(s);
            engines[i]->close(e);
        }
        measure_size(b, "compacted", engines[i], usual_size(b), path);
        folder_remove(path); /* the next case loads it anew */
    }
    results_compare(b, from, "sqlite-plan");
}

static void count_seen(void *ctx, const unsigned char *peer, const char *resource,
                       tide_time watermark)
{
    (void)peer;
    (void)resource;
    (void)watermark;
    ++*(uint64_t *)ctx;
}

static void scan_with(bench *b, const char *what, const char *resource, uint64_t expected)
{
    size_t from = b->result_count;
    size_t size = usual_size(b);
    for (size_t i = 0; engines[i] != NULL; i++) {
        (void)result_new(b, "scan", what, engines[i]->name, D1, size, "ns/mark");
    }
    for (unsigned run = 0; run < b->runs; run++) {
        for (size_t i = 0; engines[i] != NULL; i++) {
            char path[BENCH_PATH];
            uint64_t seen = 0;
            loaded_folder(b, engines[i], size, path);
            engine *e = engines[i]->open(path, D1);
            session *s = engines[i]->begin(e);
            int64_t began = now_ns();
            engines[i]->scan(s, resource, count_seen, &seen);
            spread_add(&b->results[from + i].samples, (double)(now_ns() - began) / (double)seen);
            engines[i]->end(s);
            engines[i]->close(e);
            if (seen != expected) {
                engine_failed(engines[i]->name, "scan", "another number of marks than expected");
            }
        }
    }
    results_compare(b, from, "sqlite-best");
}

void case_scan(bench *b)
{
    size_t size = usual_size(b);
    char path[BENCH_PATH];
    forget_hash(b);
    for (size_t i = 0; engines[i] != NULL; i++) {
        loaded_folder(b, engines[i], size, path);
    }
    scan_with(b, "all", NULL, size);
    scan_with(b, "resource", "entry", (size + RESOURCES - 5) / RESOURCES);
}

void case_open(bench *b)
{
    size_t size = usual_size(b);
    char path[BENCH_PATH];
    workload w;
    forget_hash(b);
    for (size_t i = 0; engines[i] != NULL; i++) {
        loaded_folder(b, engines[i], size, path);
    }
    size_t from = b->result_count;
    (void)workload_make(&w, size);
    for (size_t i = 0; engines[i] != NULL; i++) {
        (void)result_new(b, "open", "first get", engines[i]->name, D1, size, "us");
    }
    for (unsigned run = 0; run < b->runs; run++) {
        for (size_t i = 0; engines[i] != NULL; i++) {
            tide_time got = 0;
            loaded_folder(b, engines[i], size, path);
            int64_t began = now_ns();
            engine *e = engines[i]->open(path, D1);
            session *s = engines[i]->begin(e);
            int rc = engines[i]->get(s, &w.ids[run], &got);
            double us = (double)(now_ns() - began) / 1000;
            engines[i]->end(s);
            engines[i]->close(e);
            if (rc != 0) {
                engine_failed(engines[i]->name, "open", "a mark is missing");
            }
            spread_add(&b->results[from + i].samples, us);
        }
    }
    workload_free(&w);
    results_compare(b, from, "sqlite-best");
}
