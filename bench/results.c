/* results.c - what was found: kept, compared, printed, written as JSON Lines. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

const char *class_name(durability class)
{
    return class == D2 ? "D2" : class == D1 ? "D1" : "D0";
}

result *result_new(bench *b, const char *case_name, const char *what, const char *name,
                   durability class, uint64_t size, const char *unit)
{
    if (b->result_count == RESULTS_MAX) {
        engine_failed("results", case_name, "too many");
    }
    result *r = &b->results[b->result_count++];
    *r = (result){.case_name = case_name,
                  .what = what,
                  .engine = name,
                  .class = class,
                  .size = size,
                  .threads = 1,
                  .processes = 1,
                  .unit = unit};
    return r;
}

void result_percentiles(result *r, const histogram *h)
{
    r->p50_ns = histogram_at(h, 0.5);
    r->p90_ns = histogram_at(h, 0.9);
    r->p99_ns = histogram_at(h, 0.99);
    r->p999_ns = histogram_at(h, 0.999);
    r->max_ns = (double)h->most;
}

static bool comparable(const result *a, const result *b)
{
    return strcmp(a->case_name, b->case_name) == 0 && strcmp(a->what, b->what) == 0 &&
           a->class == b->class && a->size == b->size && a->threads == b->threads &&
           a->processes == b->processes && a->batch == b->batch;
}

void results_compare(bench *b, size_t from, const char *name)
{
    for (size_t i = from; i < b->result_count; i++) {
        result *r = &b->results[i];
        for (size_t j = from; j < b->result_count; j++) {
            const result *other = &b->results[j];
            if (strcmp(other->engine, name) == 0 && comparable(r, other) && other != r) {
                double reference = spread_median(&other->samples);
                r->reference = name;
                r->ratio = reference == 0 ? 0 : spread_median(&r->samples) / reference;
            }
        }
    }
}

void results_compare_rates(bench *b, size_t from, const char *name, const char *other)
{
    results_compare(b, from, name);
    for (size_t i = from; i < b->result_count; i++) {
        result *r = &b->results[i];
        for (size_t j = from; j < b->result_count; j++) {
            const result *o = &b->results[j];
            double rate = spread_median(&o->samples);
            if (strcmp(o->engine, other) == 0 && comparable(r, o) && rate > 0 &&
                (r->reference == NULL || spread_median(&r->samples) / rate < r->ratio)) {
                r->reference = other;
                r->ratio = spread_median(&r->samples) / rate;
            }
        }
    }
}

const result *result_find(const bench *b, const char *case_name, const char *what, const char *name,
                          durability class, uint64_t size, unsigned threads, unsigned batch)
{
    for (size_t i = 0; i < b->result_count; i++) {
        const result *r = &b->results[i];
        if (strcmp(r->case_name, case_name) == 0 && strcmp(r->what, what) == 0 &&
            strcmp(r->engine, name) == 0 && r->class == class && (size == 0 || r->size == size) &&
            r->threads == threads && r->processes == 1 && r->batch == batch) {
            return r;
        }
    }
    return NULL;
}

static void print_number(double value)
{
    (void)printf(value >= 1000 ? " %12.0f" : " %12.2f", value);
}

static void print_percentile(double ns)
{
    if (ns == 0) {
        (void)printf(" %10s", "");
    } else {
        (void)printf(" %10.2f", ns / 1000);
    }
}

void results_print(const bench *b, size_t from)
{
    (void)printf("%-12s %-10s %-17s %-5s %9s %4s %4s %6s %12s %12s %12s %10s %10s  %-8s %s\n",
                 "CASE", "WHAT", "ENGINE", "CLASS", "SIZE", "THR", "PROC", "BATCH", "MEDIAN", "MIN",
                 "MAX", "P99 us", "P99.9 us", "UNIT", "RATIO");
    for (size_t i = from; i < b->result_count; i++) {
        const result *r = &b->results[i];
        (void)printf("%-12s %-10s %-17s %-5s %9" PRIu64 " %4u %4u %6u", r->case_name, r->what,
                     r->engine, class_name(r->class), r->size, r->threads, r->processes, r->batch);
        print_number(spread_median(&r->samples));
        print_number(spread_least(&r->samples));
        print_number(spread_most(&r->samples));
        print_percentile(r->p99_ns);
        print_percentile(r->p999_ns);
        (void)printf("  %-8s", r->unit);
        if (r->reference != NULL) {
            (void)printf(" %.3f of %s", r->ratio, r->reference);
        }
        (void)printf("\n");
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

static json_t *result_json(const result *r)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:i, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f,"
        " s:s?, s:f}",
        "case", r->case_name, "what", r->what, "engine", r->engine, "class", class_name(r->class),
        "size", (json_int_t)r->size, "threads", (int)r->threads, "processes", (int)r->processes,
        "batch", (int)r->batch, "unit", r->unit, "runs", (int)r->samples.count, "median",
        spread_median(&r->samples), "min", spread_least(&r->samples), "max",
        spread_most(&r->samples), "p50_ns", r->p50_ns, "p90_ns", r->p90_ns, "p99_ns", r->p99_ns,
        "p999_ns", r->p999_ns, "max_ns", r->max_ns, "reference", r->reference, "ratio", r->ratio);
}

bool results_json(const bench *b, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    bool good = file != NULL;
    for (size_t i = 0; good && i < b->result_count; i++) {
        json_t *object = result_json(&b->results[i]);
        good = object != NULL &&
               json_dumpf(object, file, JSON_COMPACT | JSON_REAL_PRECISION(9)) == 0 &&
               fputc('\n', file) != EOF;
        json_decref(object);
    }
    if (file != NULL && file != stdout) {
        good = fclose(file) == 0 && good;
    }
    return good;
}
