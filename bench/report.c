/* report.c - a run as report.md with plots beside it, drawn by gnuplot.
 *
 * Every result is in the tables, also those where Tidemark loses. Plots: latencies of a durable
 * raise, throughput over threads, cost of a mark over size, bytes on disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

extern char **environ;

/* ---- gnuplot ------------------------------------------------------------------------------------ */

/* Starts gnuplot with a pipe for its input; NULL: there is none. */
static FILE *start_gnuplot(pid_t *pid)
{
    char name[] = "gnuplot";
    char *arguments[] = {name, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    if (pipe(ends) != 0) {
        return NULL;
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    (void)posix_spawn_file_actions_addclose(&actions, ends[0]);
    (void)posix_spawn_file_actions_addclose(&actions, ends[1]);
    int rc = posix_spawnp(pid, name, &actions, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[0]);
    FILE *input = rc == 0 ? fdopen(ends[1], "w") : NULL;
    if (input == NULL) {
        (void)close(ends[1]);
    }
    return input;
}

static bool end_gnuplot(FILE *input, pid_t pid)
{
    int status = 0;
    bool written = fclose(input) == 0;
    return waitpid(pid, &status, 0) == pid && status == 0 && written;
}

bool report_possible(const char *folder)
{
    pid_t pid = 0;
    FILE *input = NULL;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        (void)fprintf(stderr, "tidemark-bench: %s: %s\n", folder, strerror(errno));
        return false;
    }
    input = start_gnuplot(&pid);
    if (input == NULL || !end_gnuplot(input, pid)) {
        (void)fprintf(stderr, "tidemark-bench: --report: gnuplot is not installed\n");
        return false;
    }
    return true;
}

/* ---- plots -------------------------------------------------------------------------------------- */

typedef double value_fn(const result *r);

static double median_of(const result *r)
{
    return spread_median(&r->samples);
}

/* The data block of one engine: x and y of its results of a case. False: it has none. */
static bool put_data(FILE *plot, const bench *b, const char *case_name, const char *what,
                     const char *name, durability class, value_fn *x)
{
    bool some = false;
    for (size_t i = 0; i < b->result_count; i++) {
        const result *r = &b->results[i];
        if (strcmp(r->case_name, case_name) == 0 && strcmp(r->what, what) == 0 &&
            strcmp(r->engine, name) == 0 && r->class == class && r->processes == 1) {
            if (!some) {
                (void)fprintf(plot, "$%s << EOD\n", name[0] == 's' ? name + 7 : name);
            }
            (void)fprintf(plot, "%g %g\n", x(r), median_of(r));
            some = true;
        }
    }
    if (some) {
        (void)fprintf(plot, "EOD\n");
    }
    return some;
}

static double threads_of(const result *r)
{
    return r->threads;
}

static double size_of(const result *r)
{
    return (double)r->size;
}

/* The engine at a place in the list, and behind the others the one that only case_threads has. */
static const engine_type *nth_engine(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (engines[i] == NULL) {
            return NULL;
        }
    }
    return engines[n] != NULL ? engines[n] : &engine_sqlite_queue;
}

/* Lines over a quantity, one for each engine, both axes logarithmic. */
static void plot_lines(FILE *plot, const bench *b, const char *case_name, const char *what,
                       durability class, value_fn *x)
{
    char command[1024] = "";
    size_t used = 0;
    const engine_type *type = NULL;
    for (size_t i = 0; (type = nth_engine(i)) != NULL; i++) {
        const char *name = type->name;
        if (put_data(plot, b, case_name, what, name, class, x)) {
            used += (size_t)snprintf(command + used, sizeof command - used,
                                     "%s$%s using 1:2 with linespoints lw %d title '%s'",
                                     used == 0 ? "" : ", ", name[0] == 's' ? name + 7 : name,
                                     i == 0 ? 3 : 1, name);
        }
    }
    if (used > 0) {
        (void)fprintf(plot, "plot %s\n", command);
    }
}

static void plot_threads(FILE *plot, const bench *b)
{
    (void)fprintf(plot, "set title 'Durable raises of a mark (D2): throughput over threads'\n"
                        "set xlabel 'threads'\nset ylabel 'raises a second'\nset logscale xy\n");
    plot_lines(plot, b, "threads", "advance", D2, threads_of);
}

static void plot_load(FILE *plot, const bench *b)
{
    (void)fprintf(plot, "set title 'Bulk load in random order (D1): cost of a mark over size'\n"
                        "set xlabel 'marks'\nset ylabel 'ns a mark'\nset logscale xy\n");
    plot_lines(plot, b, "load", "load", D1, size_of);
}

static void plot_latency(FILE *plot, const bench *b)
{
    (void)fprintf(plot,
                  "set title 'A durable raise at a fixed rate (D2): latency from when it was due'\n"
                  "set ylabel 'microseconds'\nset logscale y\nset style data histograms\n"
                  "set style fill solid 0.8\n$data << EOD\nengine p50 p90 p99 p99.9\n");
    for (size_t i = 0; i < b->result_count; i++) {
        const result *r = &b->results[i];
        if (strcmp(r->case_name, "open-loop") == 0) {
            (void)fprintf(plot, "%s %g %g %g %g\n", r->engine, r->p50_ns / 1000, r->p90_ns / 1000,
                          r->p99_ns / 1000, r->p999_ns / 1000);
        }
    }
    (void)fprintf(plot, "EOD\nplot for [c=2:5] $data using c:xtic(1) title columnheader(c)\n");
}

static void plot_size(FILE *plot, const bench *b)
{
    (void)fprintf(plot, "set title 'Bytes on disk of a large store'\nset ylabel 'bytes a mark'\n"
                        "set style data histograms\nset style fill solid 0.8\n"
                        "$data << EOD\nengine loaded compacted\n");
    for (size_t i = 0; i < b->result_count; i++) {
        const result *r = &b->results[i];
        if (strcmp(r->case_name, "size") == 0 && strcmp(r->what, "loaded") == 0 && r->size > 240) {
            const result *c =
                result_find(b, "size", "compacted", r->engine, r->class, r->size, 1, 0);
            (void)fprintf(plot, "%s %g %g\n", r->engine, median_of(r) / (double)r->size,
                          c == NULL ? 0 : median_of(c) / (double)r->size);
        }
    }
    (void)fprintf(plot, "EOD\nplot for [c=2:3] $data using c:xtic(1) title columnheader(c)\n");
}

typedef struct plot {
    const char *name;
    const char *case_name; /* drawn when it has results */
    void (*draw)(FILE *plot, const bench *b);
} plot;

static const plot plots[] = {{"threads", "threads", plot_threads},
                             {"latency", "open-loop", plot_latency},
                             {"load", "load", plot_load},
                             {"size", "size", plot_size}};

static bool has_case(const bench *b, const char *case_name)
{
    for (size_t i = 0; i < b->result_count; i++) {
        if (strcmp(b->results[i].case_name, case_name) == 0) {
            return true;
        }
    }
    return false;
}

static bool draw(const bench *b, const plot *p, const char *folder)
{
    pid_t pid = 0;
    FILE *input = start_gnuplot(&pid);
    if (input == NULL) {
        return false;
    }
    (void)fprintf(input,
                  "set terminal svg size 760,420 font 'sans-serif,12' background 'white'\n"
                  "set output '%s/%s.svg'\nset key outside right\nset grid ytics\n",
                  folder, p->name);
    p->draw(input, b);
    return end_gnuplot(input, pid);
}

/* ---- the text ----------------------------------------------------------------------------------- */

static void put_number(FILE *file, double value)
{
    (void)fprintf(file, value >= 100 ? " %.0f |" : " %.2f |", value);
}

static void put_percentile(FILE *file, double ns)
{
    if (ns == 0) {
        (void)fprintf(file, " |");
    } else {
        put_number(file, ns / 1000);
    }
}

static void put_case(FILE *file, const bench *b, const bench_case *c)
{
    if (!has_case(b, c->name)) {
        return;
    }
    (void)fprintf(
        file,
        "\n## %s\n\n%s\n\n"
        "| what | engine | class | size | threads | processes | batch | median | min | max "
        "| unit | p50 us | p99 us | p99.9 us | ratio |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        c->name, c->summary);
    for (size_t i = 0; i < b->result_count; i++) {
        const result *r = &b->results[i];
        if (strcmp(r->case_name, c->name) != 0) {
            continue;
        }
        (void)fprintf(file, "| %s | %s | %s | %" PRIu64 " | %u | %u | %u |", r->what, r->engine,
                      class_name(r->class), r->size, r->threads, r->processes, r->batch);
        put_number(file, spread_median(&r->samples));
        put_number(file, spread_least(&r->samples));
        put_number(file, spread_most(&r->samples));
        (void)fprintf(file, " %s |", r->unit);
        put_percentile(file, r->p50_ns);
        put_percentile(file, r->p99_ns);
        put_percentile(file, r->p999_ns);
        if (r->reference != NULL) {
            (void)fprintf(file, " %.3f of %s", r->ratio, r->reference);
        }
        (void)fprintf(file, " |\n");
    }
}

static void put_engines(FILE *file)
{
    (void)fprintf(
        file, "\n## Engines and classes\n\n"
              "D2: what returned survives a power cut. D1: the store does, its newest changes may "
              "not. They are not alike in D1: after `kill -9` Tidemark is back at its last flush, "
              "because deferred advances wait in the process, while SQLite at NORMAL and the others "
              "have lost nothing. One flush at the end of each sample is in Tidemark's times. D0: "
              "only the end of the process is survived.\n\n"
              "| engine | D2 | D1 | D0 |\n|---|---|---|---|\n");
    const engine_type *type = NULL;
    for (size_t i = 0; (type = nth_engine(i)) != NULL; i++) {
        (void)fprintf(file, "| %s |", type->name);
        for (int class = D2; class >= D0; class --) {
            const char *how = type->how[class];
            (void)fprintf(file, " %s |", how == NULL ? "" : how);
        }
        (void)fprintf(file, "\n");
    }
    (void)fprintf(file, "\n```sql\n");
    for (size_t i = 0; bench_sql[i] != NULL; i++) {
        (void)fprintf(file, "%s;\n", bench_sql[i]);
    }
    (void)fprintf(file, "```\n");
}

bool report_write(const bench *b, const char *folder, const char *goals)
{
    char path[BENCH_PATH];
    (void)snprintf(path, sizeof path, "%s/report.md", folder);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        (void)fprintf(stderr, "tidemark-bench: %s: %s\n", path, strerror(errno));
        return false;
    }
    (void)fprintf(file, "# Benchmark report\n\n```\n%s```\n\n%s", b->machine, goals);
    bool drawn = true;
    for (size_t i = 0; i < sizeof plots / sizeof *plots; i++) {
        if (has_case(b, plots[i].case_name)) {
            (void)fprintf(file, "\n![%s](%s.svg)\n", plots[i].name, plots[i].name);
            drawn = draw(b, &plots[i], folder) && drawn;
        }
    }
    for (size_t i = 0; cases[i].name != NULL; i++) {
        put_case(file, b, &cases[i]);
    }
    put_engines(file);
    bool written = fclose(file) == 0;
    if (!drawn || !written) {
        (void)fprintf(stderr, "tidemark-bench: %s: %s\n", folder,
                      written ? "gnuplot failed" : "cannot be written");
    }
    return drawn && written;
}
