/* common.c - what several cases need: folders, loaded stores, the hash of what a store holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "bench.h"

#define LOAD_BATCH 4096
#define BYTES_A_MARK 1600 /* of the largest engine while it loads, with its log */

void bench_folder(const bench *b, const char *name, char *path)
{
    int length = snprintf(path, BENCH_PATH, "%s/%s", b->folder, name);
    if (length >= BENCH_PATH - 32) {
        engine_failed("folder", name, "name too long");
    }
    (void)mkdir(path, 0700);
}

void fresh_folder(const bench *b, const char *name, char *path)
{
    bench_folder(b, name, path);
    folder_remove(path);
    bench_folder(b, name, path);
}

static void add_hash(void *ctx, const unsigned char *peer, const char *resource, tide_time watermark)
{
    *(uint64_t *)ctx += mark_hash(peer, resource, watermark);
}

void forget_hash(bench *b)
{
    b->hash_known = false;
}

void check_hash(bench *b, const char *case_name, const char *name, session *s)
{
    const engine_type *type = engine_named(name);
    uint64_t hash = 0;
    type->scan(s, NULL, add_hash, &hash);
    if (b->hash_known && hash != b->hash) {
        engine_failed(name, case_name, "holds other marks than the engine before");
    }
    b->hash = hash;
    b->hash_known = true;
}

uint64_t bytes_written(void)
{
    char line[128];
    uint64_t bytes = 0;
    FILE *file = fopen("/proc/self/io", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "write_bytes: ", 13) == 0) {
            bytes = strtoull(line + 13, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes;
}

static void check_space(const bench *b, size_t size)
{
    struct statvfs fs;
    uint64_t needed = (uint64_t)size * BYTES_A_MARK;
    if (statvfs(b->folder, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < needed) {
        char why[128];
        (void)snprintf(why, sizeof why, "%zu marks need %llu MiB, the disk has %llu MiB left", size,
                       (unsigned long long)(needed >> 20),
                       (unsigned long long)((uint64_t)fs.f_bavail * fs.f_frsize >> 20));
        engine_failed("space", b->folder, why);
    }
}

/* Loads all marks in random order, LOAD_BATCH to a transaction. */
static void load_all(const engine_type *type, session *s, const workload *w)
{
    const mark_id *batch[LOAD_BATCH];
    size_t count = 0;
    for (size_t i = 0; i < w->size; i++) {
        batch[count++] = &w->ids[w->shuffled[i]];
        if (count == LOAD_BATCH || i + 1 == w->size) {
            (void)type->load(s, batch, count, FIRST_TIME);
            count = 0;
        }
    }
    type->flush(s);
}

void loaded_folder(bench *b, const engine_type *type, size_t size, char *path)
{
    char name[128];
    struct stat st;
    (void)snprintf(name, sizeof name, "loaded-%s-%zu", type->name, size);
    if (snprintf(path, BENCH_PATH, "%s/%s", b->folder, name) > 0 && stat(path, &st) == 0) {
        return;
    }
    workload w;
    check_space(b, size);
    if (!workload_make(&w, size)) {
        engine_failed("memory", name, "out of memory");
    }
    bench_folder(b, name, path);
    engine *e = type->open(path, D1);
    session *s = type->begin(e);
    int64_t began = now_ns();
    load_all(type, s, &w);
    double ns = (double)(now_ns() - began) / (double)size;
    result *r = NULL;
    for (size_t i = 0; i < b->result_count; i++) {
        result *other = &b->results[i];
        if (strcmp(other->case_name, "load") == 0 && strcmp(other->engine, type->name) == 0 &&
            other->size == size) {
            r = other;
        }
    }
    if (r == NULL) {
        r = result_new(b, "load", "load", type->name, D1, size, "ns/mark");
        r->batch = LOAD_BATCH;
    }
    spread_add(&r->samples, ns);
    check_hash(b, "load", type->name, s);
    type->end(s);
    type->close(e);
    workload_free(&w);
}
