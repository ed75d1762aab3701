/* main.c - tidemark-bench: which cases, how often, where to, and what comes out. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

const bench_case cases[] = {
    {"time", "formatting and parsing a time", case_time},
    {"get", "reading one of 240 marks in use", case_get},
    {"advance", "raising one of 240 marks, one thread", case_advance},
    {"open-loop", "durable raises at a fixed rate, measured from when they were due",
     case_open_loop},
    {"threads", "raising marks from 1 to 64 threads; what was stale is not counted", case_threads},
    {"processes", "raising marks from 1 to 4 processes; what was stale is not counted",
     case_processes},
    {"mixed", "three readers beside a writer", case_mixed},
    {"load", "bulk load in random order: 10 thousand, 1 million, with --large 10 million",
     case_load},
    {"get-cold", "reading marks of a large store that are not in memory of ours", case_get_cold},
    {"scan", "walking a large store, whole and by resource", case_scan},
    {"open", "opening a large store, and a first read", case_open},
    {"size", "bytes on disk: a typical library, a large store, compacted", case_size},
    {"tax",
     "what watermarks add to an applied change: rows in the class, Tidemark's marks deferred behind "
     "them in both, the plan's in the class of the rows",
     case_tax},
    {"sync", "a first sync of 100 thousand rows, against an INSERT loop", case_sync},
    {"capture", "what capture adds to inserts, updates and deletes of a program", case_capture},
    {"cost", "memory of a first sync, processor time of one with nothing to do, digests", case_cost},
    {NULL, NULL, NULL},
};

static const char usage[] =
    "usage: tidemark-bench [--list] [--case NAME]... [--engine NAME]... [--quick] [--large]\n"
    "                      [--runs N] [--json FILE] [--report DIR] [--dir DIR]\n"
    "  --list        name the cases\n"
    "  --case NAME   only this one; may be given several times\n"
    "  --engine NAME only this one; may be given several times\n"
    "  --quick       smaller stores and shorter samples: under a minute in all\n"
    "  --large       load 10 million marks as well\n"
    "  --runs N      samples of each, 1 to 15 (default 5, quick 3)\n"
    "  --json FILE   every result as a line of JSON; - is stdout\n"
    "  --report DIR  write report.md and plots (through gnuplot) into DIR\n"
    "  --dir DIR     make the stores in a new folder in DIR (default: here)\n";

typedef struct settings {
    bool wanted[sizeof cases / sizeof *cases];
    bool some;
    const char *json;
    const char *report;
    const char *dir;
    const char *chosen[CONTESTANTS_MAX];
    size_t chosen_count;
} settings;

static int complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "tidemark-bench: %s: %s\n", what, why);
    return 2;
}

static int want(settings *s, const char *name)
{
    for (size_t i = 0; cases[i].name != NULL; i++) {
        if (strcmp(cases[i].name, name) == 0) {
            s->wanted[i] = s->some = true;
            return 0;
        }
    }
    return complain(name, "no such case; --list names them");
}

static int choose(settings *s, const char *name)
{
    if (engine_named(name) == NULL || s->chosen_count == CONTESTANTS_MAX) {
        return complain(name, "no such engine; --list names them");
    }
    s->chosen[s->chosen_count++] = name;
    return 0;
}

static int read_runs(bench *b, const char *text)
{
    char *end = NULL;
    unsigned long runs = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || runs < 1 || runs > 15) {
        return complain(text, "--runs takes a number from 1 to 15");
    }
    b->runs = (unsigned)runs;
    return 0;
}

static void list(void)
{
    for (size_t i = 0; cases[i].name != NULL; i++) {
        (void)printf("%-10s %s\n", cases[i].name, cases[i].summary);
    }
    (void)printf("\nengines:");
    (void)engines_choose(NULL, 0);
    for (size_t i = 0; engines[i] != NULL; i++) {
        (void)printf(" %s", engines[i]->name);
    }
    (void)printf("\n");
}

/* 0: go on; otherwise the exit status plus one. */
static int read_options(bench *b, settings *s, int argc, char **argv)
{
    enum { LIST, CASE, ENGINE, QUICK, LARGE, RUNS, JSON, REPORT, DIR, HELP };
    static const struct option options[] = {{"list", no_argument, NULL, LIST},
                                            {"case", required_argument, NULL, CASE},
                                            {"engine", required_argument, NULL, ENGINE},
                                            {"quick", no_argument, NULL, QUICK},
                                            {"large", no_argument, NULL, LARGE},
                                            {"runs", required_argument, NULL, RUNS},
                                            {"json", required_argument, NULL, JSON},
                                            {"report", required_argument, NULL, REPORT},
                                            {"dir", required_argument, NULL, DIR},
                                            {"help", no_argument, NULL, HELP},
                                            {NULL, 0, NULL, 0}};
    int option = 0;
    int rc = 0;
    while (rc == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case LIST:
            list();
            return 1;
        case HELP:
            (void)fputs(usage, stdout);
            return 1;
        case CASE:
            rc = want(s, optarg);
            break;
        case ENGINE:
            rc = choose(s, optarg);
            break;
        case QUICK:
            b->quick = true;
            break;
        case LARGE:
            b->large = true;
            break;
        case RUNS:
            rc = read_runs(b, optarg);
            break;
        case JSON:
            s->json = optarg;
            break;
        case REPORT:
            s->report = optarg;
            break;
        case DIR:
            s->dir = optarg;
            break;
        default:
            rc = 2;
            break;
        }
    }
    if (rc == 0 && optind < argc) {
        rc = complain(argv[optind], "operands are not taken");
    }
    return rc == 0 ? 0 : rc + 1;
}

static int make_folder(bench *b, const char *dir)
{
    int length = snprintf(b->folder, sizeof b->folder, "%s/tidemark-bench.XXXXXX", dir);
    if (length >= (int)sizeof b->folder || mkdtemp(b->folder) == NULL) {
        (void)fprintf(stderr, "tidemark-bench: %s: %s\n", dir, strerror(errno));
        return 3;
    }
    return 0;
}

static void run_cases(bench *b, const settings *s)
{
    for (size_t i = 0; cases[i].name != NULL; i++) {
        if (!s->some || s->wanted[i]) {
            size_t from = b->result_count;
            (void)fprintf(stderr, "tidemark-bench: %s\n", cases[i].name);
            cases[i].run(b);
            if (s->json == NULL || strcmp(s->json, "-") != 0) {
                results_print(b, from);
            }
        }
    }
}

static int write_results(const bench *b, const settings *s)
{
    static char goals[16384];
    bool quiet = s->json != NULL && strcmp(s->json, "-") == 0;
    (void)goals_print(b, goals, sizeof goals);
    if (!quiet) {
        (void)printf("%s\n%s", b->machine, goals);
    }
    if (s->json != NULL && !results_json(b, s->json)) {
        (void)fprintf(stderr, "tidemark-bench: %s: cannot be written\n", s->json);
        return 3;
    }
    return s->report == NULL || report_write(b, s->report, goals) ? 0 : 3;
}

int main(int argc, char **argv)
{
    static bench b = {.runs = 0};
    static settings s = {.dir = "."};
    int rc = read_options(&b, &s, argc, argv);
    if (rc != 0) {
        return rc - 1;
    }
    if (b.runs == 0) {
        b.runs = b.quick ? 3 : 5;
    }
    if (s.report != NULL && !report_possible(s.report)) {
        return 3;
    }
    (void)engines_choose(s.chosen, s.chosen_count);
    b.sample_ns = b.quick ? 60000000 : 1000000000;
    rc = make_folder(&b, s.dir);
    if (rc != 0) {
        return rc;
    }
    b.machine = machine_text(b.folder);
    run_cases(&b, &s);
    folder_remove(b.folder);
    return write_results(&b, &s);
}
