/* bench.h - a run of the benchmark: its settings, what it has found, and the cases.
 *
 * A case measures contestants (an engine in a durability class) in rounds: each round gives each
 * contestant one sample, so that what disturbs the machine disturbs all alike. A result is the median
 * of its samples with the least and the most, compared with a reference of the same case and class.
 */
#ifndef TIDEMARK_BENCH_BENCH_H
#define TIDEMARK_BENCH_BENCH_H

#include <stdbool.h>

#include "engines.h"
#include "measure.h"

#define RESULTS_MAX 1024
#define CONTESTANTS_MAX 16

typedef struct result {
    const char *case_name;
    const char *what; /* "get", "write", ... */
    const char *engine;
    durability class;
    uint64_t size; /* marks, or rows */
    unsigned threads;
    unsigned processes;
    unsigned batch; /* 0: does not apply */
    const char *unit;
    spread samples;
    double p50_ns; /* these of single operations; 0: not taken */
    double p90_ns;
    double p99_ns;
    double p999_ns;
    double max_ns;
    const char *reference; /* NULL: none */
    double ratio;          /* this median to that of the reference */
} result;

typedef struct bench {
    char folder[BENCH_PATH];
    const char *machine; /* a text block */
    unsigned runs;
    bool quick;
    bool large; /* 10 M as well */
    int64_t sample_ns;
    result results[RESULTS_MAX];
    size_t result_count;
    uint64_t hash; /* of the case under way: what all its engines must hold */
    bool hash_known;
} bench;

typedef struct bench_case {
    const char *name;
    const char *summary;
    void (*run)(bench *b);
} bench_case;

extern const bench_case cases[]; /* ends with a nameless one */

/* A new result to be filled; the other fields are as for one thread. */
result *result_new(bench *b, const char *case_name, const char *what, const char *name,
                   durability class, uint64_t size, const char *unit);
void result_percentiles(result *r, const histogram *h);
/* Sets the ratios of all results of the case to that of engine `name` in the same class, threads,
 * size and so on. */
void results_compare(bench *b, size_t from, const char *name);
/* The same for rates, with the faster of two. */
void results_compare_rates(bench *b, size_t from, const char *name, const char *other);
void results_print(const bench *b, size_t from);
const result *result_find(const bench *b, const char *case_name, const char *what, const char *name,
                          durability class, uint64_t size, unsigned threads, unsigned batch);
const char *class_name(durability class);

/* Checks that the marks an engine holds are those of the others. */
void check_hash(bench *b, const char *case_name, const char *name, session *s);
void forget_hash(bench *b);

/* A folder of the run that does not exist yet is made. `path` has BENCH_PATH bytes. */
void bench_folder(const bench *b, const char *name, char *path);
void fresh_folder(const bench *b, const char *name, char *path);

/* The store of `size` marks, loaded in random order, that several cases read. It is made once. */
void loaded_folder(bench *b, const engine_type *type, size_t size, char *path);

/* Bytes that this process has caused to be written. */
uint64_t bytes_written(void);

/* The cases, by file. */
void case_get(bench *b);
void case_get_cold(bench *b);
void case_advance(bench *b);
void case_open_loop(bench *b);
void case_threads(bench *b);
void case_processes(bench *b);
void case_mixed(bench *b);
void case_load(bench *b);
void case_size(bench *b);
void case_scan(bench *b);
void case_open(bench *b);
void case_time(bench *b);
void case_tax(bench *b);
void case_sync(bench *b);
void case_capture(bench *b);
void case_cost(bench *b);

/* P1 to P13: what was to be reached, and what was measured. Returns how many were missed. */
unsigned goals_print(const bench *b, char *text, size_t size);

/* One JSON object a line. False: the file cannot be written. */
bool results_json(const bench *b, const char *path);

/* Whether a report can be made there, before anything is measured; and makes it, Markdown and
 * plots. False: said why on stderr. */
bool report_possible(const char *folder);
bool report_write(const bench *b, const char *folder, const char *goals);

/* The machine, as a text block: static. */
const char *machine_text(const char *folder);

#endif
