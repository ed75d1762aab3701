/* goals.c - P1 to P13: what was to be reached, and what this run measured.
 *
 * P1 counts marks as the engine makes them: deferred, and written behind their rows. A mark on disk
 * never claims a row that is not; it may come later than its rows.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

typedef struct sheet {
    const bench *b;
    char *text;
    size_t size;
    size_t used;
    unsigned missed;
} sheet;

static double median_of(const sheet *s, const char *case_name, const char *what, const char *name,
                        durability class, uint64_t size, unsigned threads, unsigned batch)
{
    const result *r = result_find(s->b, case_name, what, name, class, size, threads, batch);
    return r == NULL ? 0 : spread_median(&r->samples);
}

__attribute__((format(printf, 2, 3))) static void put(sheet *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(s->text + s->used, s->size - s->used, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < s->size - s->used) {
        s->used += (size_t)length;
    }
}

/* A line; a value of 0 was not measured in this run. */
static void line(sheet *s, const char *goal, const char *what, double value, double limit,
                 bool at_most, const char *unit)
{
    if (value == 0) {
        return;
    }
    bool reached = at_most ? value <= limit : value >= limit;
    put(s, "| %s | %s | %s %g %s | %.*f %s | %s |\n", goal, what, at_most ? "<=" : ">=", limit,
        unit, value >= 100 ? 0 : 3, value, unit, reached ? "reached" : "missed");
    s->missed += !reached;
}

static double quotient(double above, double below)
{
    return below == 0 ? 0 : above / below;
}

static void taxes(sheet *s)
{
    static const unsigned batches[] = {1, 100, 1000};
    static const durability classes[] = {D1, D2};
    for (size_t c = 0; c < 2; c++) {
        for (size_t i = 0; i < 3; i++) {
            char what[192];
            double without = median_of(s, "tax", "apply", "without", classes[c], 0, 1, batches[i]);
            double plan = median_of(s, "tax", "apply", "sqlite-plan", classes[c], 0, 1, batches[i]);
            double marked =
                median_of(s, "tax", "apply", "tidemark-deferred", classes[c], 0, 1, batches[i]);
            double share =
                median_of(s, "tax", "share", "tidemark-deferred", classes[c], 0, 1, batches[i]);
            (void)snprintf(what, sizeof what,
                           "tax on an applied change, rows %s, marks deferred behind their barrier, "
                           "batch %u (side by side %.2f; the plan's way, marks %s too, %.1f)",
                           class_name(classes[c]), batches[i], quotient(marked, without),
                           class_name(classes[c]), quotient(plan, without));
            line(s, "P1", what, share, 1.02, true, "x");
        }
    }
}

/* SQLite from many threads is at its best behind a queue that commits in groups, which the program
 * must bring. The ratios without one are told as well; behind a mutex alone it is as fast as from
 * one thread. */
static void threaded_marks(sheet *s)
{
    char what[192];
    double mine = median_of(s, "threads", "advance", "tidemark", D2, 0, 64, 0);
    double apart = median_of(s, "threads", "advance", "sqlite-best", D2, 0, 64, 0);
    double alone = median_of(s, "threads", "advance", "sqlite-best", D2, 0, 1, 0);
    double queued = median_of(s, "threads", "advance", "sqlite-queue", D2, 0, 64, 0);
    (void)snprintf(
        what, sizeof what,
        "durable advances of 64 threads over SQLite's best at FULL, a queue that commits in "
        "groups included (over a connection each %.1f, over one thread %.1f)",
        quotient(mine, apart), quotient(mine, alone));
    line(s, "P6", what, quotient(mine, apart > queued ? apart : queued), 20, false, "x");
}

static void single_marks(sheet *s)
{
    double hot = median_of(s, "get", "hot", "tidemark", D2, 0, 1, 0);
    double cold = median_of(s, "get", "cold", "tidemark", D1, 0, 1, 0);
    double deferred = median_of(s, "advance", "advance", "tidemark", D1, 0, 1, 0);
    double durable = median_of(s, "advance", "advance", "tidemark", D2, 0, 1, 0);
    line(s, "P2", "get of a mark in use", hot, 60, true, "ns");
    line(s, "P2", "times faster than SQLite's best",
         quotient(median_of(s, "get", "hot", "sqlite-best", D2, 0, 1, 0), hot), 50, false, "x");
    line(s, "P3", "get of a cold mark over a bare mdb_get",
         quotient(cold, median_of(s, "get", "cold", "lmdb", D1, 0, 1, 0)), 1.3, true, "x");
    line(s, "P4", "deferred advance", deferred, 80, true, "ns");
    line(s, "P4", "times faster than SQLite's best at NORMAL",
         quotient(median_of(s, "advance", "advance", "sqlite-best", D1, 0, 1, 0), deferred), 100,
         false, "x");
    line(s, "P5", "durable advance over a bare LMDB transaction",
         quotient(durable, median_of(s, "advance", "advance", "lmdb", D2, 0, 1, 0)), 1.05, true,
         "x");
    threaded_marks(s);
}

static void whole_stores(sheet *s)
{
    static const uint64_t sizes[] = {100000, 1000000, 10000000};
    double small = median_of(s, "load", "load", "tidemark", D1, 10000, 1, 4096);
    for (size_t i = 0; i < 3; i++) {
        char what[96];
        uint64_t n = sizes[i];
        double mine = median_of(s, "load", "load", "tidemark", D1, n, 1, 4096);
        (void)snprintf(what, sizeof what, "bulk load of %llu marks over SQLite's best",
                       (unsigned long long)n);
        line(s, "P7", what,
             quotient(median_of(s, "load", "load", "sqlite-best", D1, n, 1, 4096), mine), 3, false,
             "x");
        /* log n, from 10,000: 5/4, 6/4 and 7/4 */
        (void)snprintf(what, sizeof what, "a mark of %llu over one of 10000", (unsigned long long)n);
        line(s, "P7", what, quotient(mine, small), (5 + (double)i) / 4, true, "x");
    }
    line(s, "P8", "typical library",
         median_of(s, "size", "loaded", "tidemark", D1, 240, 1, 0) / 1024, 96, true, "KiB");
    for (size_t i = 0; i < 2; i++) {
        double plan = median_of(s, "size", "loaded", "sqlite-plan", D1, sizes[i], 1, 0);
        line(s, "P8", "large store over the plan's file",
             quotient(median_of(s, "size", "loaded", "tidemark", D1, sizes[i], 1, 0), plan), 1.3,
             true, "x");
        line(s, "P8", "the same, compacted",
             quotient(median_of(s, "size", "compacted", "tidemark", D1, sizes[i], 1, 0), plan), 0.8,
             true, "x");
        line(s, "P9", "open a large store, and a first get",
             median_of(s, "open", "first get", "tidemark", D1, sizes[i], 1, 0) / 1000, 2, true,
             "ms");
    }
    line(s, "P10", "first sync over an INSERT loop (rates)",
         quotient(median_of(s, "sync", "first", "insert-loop", D1, 0, 1, 0),
                  median_of(s, "sync", "first", "tidemark", D1, 0, 1, 0)),
         0.5, false, "x");
}

/* P11: a program's writes with capture and without. */
static void captured_writes(sheet *s)
{
    static const char *const writes[] = {"insert", "single insert", "update", "delete"};
    static const uint64_t sizes[] = {10000, 100000};
    for (size_t n = 0; n < 2; n++) {
        for (size_t i = 0; i < 4; i++) {
            char what[96];
            unsigned batch = i == 0 ? 1000 : i == 1 ? 1 : (unsigned)sizes[n];
            double bare = median_of(s, "capture", writes[i], "bare", D2, sizes[n], 1, batch);
            double empty =
                median_of(s, "capture", writes[i], "empty-trigger", D2, sizes[n], 1, batch);
            double mine = median_of(s, "capture", writes[i], "captured", D2, sizes[n], 1, batch);
            (void)snprintf(what, sizeof what, "captured over bare: %s (a trigger without work %.2f)",
                           writes[i], quotient(empty, bare));
            line(s, "P11", what, quotient(mine, bare), 1.6, true, "x");
        }
    }
}

/* P12: what a first sync of a large library needs, on each side; P13: one with nothing to do. */
static void engine_costs(sheet *s)
{
    static const char *const sides[] = {"serving", "following"};
    for (size_t i = 0; i < 2; i++) {
        char what[96];
        (void)snprintf(what, sizeof what, "most memory of a first sync of 1000000 entries, %s",
                       sides[i]);
        line(s, "P12", what, median_of(s, "cost", "memory", sides[i], D1, 1000000, 1, 0), 64, true,
             "MiB");
    }
    line(s, "P13", "processor time of a sync with nothing to do, both sides",
         median_of(s, "cost", "idle sync, processor", "proved", D1, 0, 1, 0) / 1000, 1, true, "ms");
}

unsigned goals_print(const bench *b, char *text, size_t size)
{
    sheet s = {.b = b, .text = text, .size = size};
    put(&s, "| goal | what | to reach | measured | |\n|---|---|---|---|---|\n");
    taxes(&s);
    single_marks(&s);
    whole_stores(&s);
    captured_writes(&s);
    engine_costs(&s);
    return s.missed;
}
