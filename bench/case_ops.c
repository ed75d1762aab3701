/* case_ops.c - one thread: reading and raising marks, hot and cold, closed and open loop. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

#define TYPICAL 240 /* 20 peers with 12 resources */
#define BLOCK 64    /* operations timed together where one is too short for the clock */

typedef struct contestant {
    const engine_type *type;
    durability class;
    engine *e;
    session *s;
    histogram latencies;
    result *result; /* filled at the end: results may move until then */
    spread samples;
    spread bytes;
    uint64_t next; /* position in the workload, and time to give */
} contestant;

static contestant *enter(const bench *b, const char *case_name, durability class, size_t *count)
{
    contestant *all = bench_alloc(CONTESTANTS_MAX * sizeof *all);
    *count = 0;
    for (size_t i = 0; engines[i] != NULL && *count < CONTESTANTS_MAX; i++) {
        char name[128];
        char path[BENCH_PATH];
        if (engines[i]->how[class] == NULL) {
            continue;
        }
        contestant *c = &all[(*count)++];
        (void)snprintf(name, sizeof name, "%s-%s-%s", case_name, engines[i]->name,
                       class_name(class));
        fresh_folder(b, name, path);
        c->type = engines[i];
        c->class = class;
        c->e = c->type->open(path, class);
        c->s = c->type->begin(c->e);
    }
    return all;
}

static void leave(contestant *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        all[i].type->end(all[i].s);
        all[i].type->close(all[i].e);
    }
    free(all);
}

static void load_typical(contestant *all, size_t count, const workload *w)
{
    const mark_id *ids[TYPICAL];
    for (size_t i = 0; i < TYPICAL; i++) {
        ids[i] = &w->ids[i];
    }
    for (size_t i = 0; i < count; i++) {
        (void)all[i].type->load(all[i].s, ids, TYPICAL, FIRST_TIME);
        all[i].type->flush(all[i].s);
    }
}

static void results_of(bench *b, const char *case_name, const char *what, contestant *all,
                       size_t count, uint64_t size, const char *unit)
{
    for (size_t i = 0; i < count; i++) {
        result *r = result_new(b, case_name, what, all[i].type->name, all[i].class, size, unit);
        r->samples = all[i].samples;
        result_percentiles(r, &all[i].latencies);
    }
}

/* Times blocks of operations until the sample is over; returns nanoseconds an operation. The mean
 * of a block hides its slow ones, so only single operations give percentiles. */
typedef void op_fn(contestant *c, const workload *w);

static double sample(contestant *c, const workload *w, op_fn *op, unsigned block, int64_t sample_ns)
{
    int64_t began = now_ns();
    int64_t before = began;
    uint64_t done = 0;
    do {
        for (unsigned i = 0; i < block; i++) {
            op(c, w);
        }
        int64_t after = now_ns();
        if (block == 1) {
            histogram_add(&c->latencies, (uint64_t)(after - before));
        }
        before = after;
        done += block;
    } while (before - began < sample_ns);
    return (double)(before - began) / (double)done;
}

static void get_next(contestant *c, const workload *w)
{
    tide_time got = 0;
    if (c->type->get(c->s, &w->ids[c->next++ % w->size], &got) != 0) {
        engine_failed(c->type->name, "get", "a mark is missing");
    }
}

static void get_shuffled(contestant *c, const workload *w)
{
    tide_time got = 0;
    if (c->type->get(c->s, &w->ids[w->shuffled[c->next++ % w->size]], &got) != 0) {
        engine_failed(c->type->name, "get", "a mark is missing");
    }
}

static void advance_next(contestant *c, const workload *w)
{
    uint64_t n = c->next++;
    if (c->type->advance(c->s, &w->ids[n % w->size], FIRST_TIME + 1 + (tide_time)n) != 0) {
        engine_failed(c->type->name, "advance", "a newer time was called stale");
    }
}

void case_get(bench *b)
{
    size_t count = 0;
    size_t from = b->result_count;
    workload w;
    contestant *all = enter(b, "get", D2, &count);
    (void)workload_make(&w, TYPICAL);
    load_typical(all, count, &w);
    for (unsigned run = 0; run < b->runs; run++) {
        for (size_t i = 0; i < count; i++) {
            spread_add(&all[i].samples, sample(&all[i], &w, get_next, BLOCK, b->sample_ns));
        }
    }
    results_of(b, "get", "hot", all, count, TYPICAL, "ns/op");
    results_compare(b, from, "sqlite-best");
    leave(all, count);
    workload_free(&w);
}

/* From the large stores; no mark is read twice while it could still be in memory of ours. */
void case_get_cold(bench *b)
{
    size_t size = b->quick ? 100000 : 1000000;
    size_t count = 0;
    contestant *all = bench_alloc(CONTESTANTS_MAX * sizeof *all);
    char path[BENCH_PATH];
    workload w;
    forget_hash(b);
    for (size_t i = 0; engines[i] != NULL; i++) {
        loaded_folder(b, engines[i], size, path);
    }
    size_t from = b->result_count;
    (void)workload_make(&w, size);
    for (size_t i = 0; engines[i] != NULL && count < CONTESTANTS_MAX; i++) {
        contestant *c = &all[count++];
        loaded_folder(b, engines[i], size, path);
        c->type = engines[i];
        c->class = D1;
        c->e = c->type->open(path, D1);
        c->s = c->type->begin(c->e);
    }
    for (unsigned run = 0; run < b->runs; run++) {
        for (size_t i = 0; i < count; i++) {
            all[i].next = (uint64_t)run * (size / b->runs);
            int64_t began = now_ns();
            uint64_t some = size / b->runs;
            for (uint64_t n = 0; n < some; n++) {
                get_shuffled(&all[i], &w);
            }
            spread_add(&all[i].samples, (double)(now_ns() - began) / (double)some);
        }
    }
    results_of(b, "get", "cold", all, count, size, "ns/op");
    results_compare(b, from, "lmdb");
    leave(all, count);
    workload_free(&w);
}

static void advance_in(bench *b, durability class, const workload *w)
{
    size_t count = 0;
    contestant *all = enter(b, "advance", class, &count);
    load_typical(all, count, w);
    for (unsigned run = 0; run < b->runs; run++) {
        for (size_t i = 0; i < count; i++) {
            contestant *c = &all[i];
            bool short_ones = engine_defers(c->type, class);
            uint64_t first = c->next;
            uint64_t bytes = bytes_written();
            int64_t began = now_ns();
            (void)sample(c, w, advance_next, short_ones ? BLOCK : 1, b->sample_ns);
            if (short_ones) {
                c->type->flush(c->s); /* part of its price */
            }
            double done = (double)(c->next - first);
            spread_add(&c->samples, (double)(now_ns() - began) / done);
            spread_add(&c->bytes, (double)(bytes_written() - bytes) / done);
        }
    }
    results_of(b, "advance", "advance", all, count, TYPICAL, "ns/op");
    for (size_t i = 0; i < count; i++) {
        result *r = result_new(b, "advance", "written", all[i].type->name, class, TYPICAL, "B/op");
        r->samples = all[i].bytes;
    }
    leave(all, count);
}

void case_advance(bench *b)
{
    size_t from = b->result_count;
    workload w;
    (void)workload_make(&w, TYPICAL);
    advance_in(b, D2, &w);
    advance_in(b, D1, &w);
    results_compare(b, from, "sqlite-best");
    /* The limit of a durable change is LMDB's own transaction. */
    for (size_t i = from; i < b->result_count; i++) {
        result *r = &b->results[i];
        const result *raw = result_find(b, "advance", r->what, "lmdb", r->class, TYPICAL, 1, 0);
        if (r->class == D2 && strcmp(r->engine, "tidemark") == 0 && raw != NULL) {
            r->reference = "lmdb";
            r->ratio = spread_median(&r->samples) / spread_median(&raw->samples);
        }
    }
    workload_free(&w);
}

/* ---- open loop ---------------------------------------------------------------------------------- */

/* Asks at a fixed rate, and measures each from the moment it should have begun: whoever is late
 * makes the next ones late. */
static void open_loop(contestant *c, const workload *w, int64_t interval_ns, int64_t duration_ns)
{
    int64_t began = now_ns();
    for (int64_t intended = began; intended < began + duration_ns; intended += interval_ns) {
        while (now_ns() < intended) {
            struct timespec pause = {0, intended - now_ns() > 100000 ? 50000 : 0};
            (void)nanosleep(&pause, NULL);
        }
        advance_next(c, w);
        histogram_add(&c->latencies, (uint64_t)(now_ns() - intended));
    }
}

void case_open_loop(bench *b)
{
    size_t count = 0;
    workload w;
    contestant *all = enter(b, "open-loop", D2, &count);
    (void)workload_make(&w, TYPICAL);
    load_typical(all, count, &w);
    double slowest = 0;
    for (size_t i = 0; i < count; i++) {
        double ns = sample(&all[i], &w, advance_next, 1, b->sample_ns / 2);
        slowest = ns > slowest ? ns : slowest;
        all[i].latencies = (histogram){.count = 0};
    }
    int64_t interval_ns = (int64_t)(2 * slowest); /* half of what the slowest can do */
    for (unsigned run = 0; run < b->runs; run++) {
        for (size_t i = 0; i < count; i++) {
            uint64_t first = all[i].next;
            int64_t began = now_ns();
            open_loop(&all[i], &w, interval_ns, b->sample_ns);
            spread_add(&all[i].samples,
                       (double)(all[i].next - first) * 1e9 / (double)(now_ns() - began));
        }
    }
    /* All keep to the rate that is asked: what differs is the latency. */
    results_of(b, "open-loop", "advance", all, count, TYPICAL, "op/s");
    leave(all, count);
    workload_free(&w);
}

/* ---- times -------------------------------------------------------------------------------------- */

void case_time(bench *b)
{
    result *format = result_new(b, "time", "format", "tidemark", D0, 1, "ns/op");
    result *parse = result_new(b, "time", "parse", "tidemark", D0, 1, "ns/op");
    char text[TIDE_TIME_TEXT];
    for (unsigned run = 0; run < b->runs; run++) {
        const int times = 1000000;
        tide_time sum = 0;
        int64_t began = now_ns();
        for (int i = 0; i < times; i++) {
            tide_time_format(FIRST_TIME + i * INT64_C(1000003), text);
            sum += text[28];
        }
        spread_add(&format->samples, (double)(now_ns() - began) / times);
        began = now_ns();
        for (int i = 0; i < times; i++) {
            tide_time back = 0;
            text[28] = (char)('0' + i % 10);
            sum += tide_time_parse(text, TIDE_TIME_TEXT - 1, &back) + (back & 1);
        }
        spread_add(&parse->samples, (double)(now_ns() - began) / times);
        if (sum == 0) {
            engine_failed("time", "format", "impossible");
        }
    }
}
