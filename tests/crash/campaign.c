/* campaign.c - power cuts; see campaign.h. */
#include "campaign.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"

#define SECOND_CUTS 4 /* first cuts of a recording that are recovered and cut again */

static const char *const class_names[CALL_CLASSES] = {"open", "write", "size", "name", "flush"};

bool campaign_lasts(const campaign_options *o, uint64_t round)
{
    static time_t began;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (began == 0) {
        began = now.tv_sec;
    }
    return o->minutes == 0 ? round < o->rounds : (uint64_t)(now.tv_sec - began) < o->minutes * 60;
}

bool campaign_goes_on(const campaign_options *o, const totals *sum, bool well)
{
    return !sum->broken && (well || o->keep_going);
}

/* Copies the recording to where it stays. */
static bool keep(const tape *t, char name[64])
{
    static int number;
    char buffer[65536];
    ssize_t got = 0;
    struct stat st;
    do {
        (void)snprintf(name, 64, "crash-%.20s-%llu-%d.tape", t->map->scenario,
                       (unsigned long long)t->map->seed, number++);
    } while (stat(name, &st) == 0);
    int from = open(t->path, O_RDONLY | O_CLOEXEC);
    int to = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    uint64_t left = RECORDING_FIRST + t->map->used;
    bool ok = from >= 0 && to >= 0;
    while (ok && left > 0) {
        got = read(from, buffer, sizeof buffer < left ? sizeof buffer : left);
        ok = got > 0 && write(to, buffer, (size_t)got) == got;
        left -= ok ? (uint64_t)got : 0;
    }
    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
    return ok;
}

static void tell_failure(const tape *t, const cut_result *result)
{
    char name[64];
    (void)printf("FAILED %s seed %llu, %llu states, the first %llu.%llu: %s\n", t->map->scenario,
                 (unsigned long long)t->map->seed, (unsigned long long)result->failed,
                 (unsigned long long)result->moment, (unsigned long long)result->variant,
                 result->why);
    for (const record *r = tape_next(t, NULL); r != NULL; r = tape_next(t, r)) {
        if (r->kind == RECORD_FAULT) {
            (void)printf("  after the failure of a call: %s, %.*s\n",
                         class_names[t->map->fault_class], (int)r->length, (const char *)(r + 1));
        }
    }
    if (keep(t, name)) {
        (void)printf("  again: tidemark-crash replay %s %llu.%llu\n", name,
                     (unsigned long long)result->moment, (unsigned long long)result->variant);
    }
}

/* What a mutant needs: it looks at the result itself, and nothing is kept. */
static bool explore_quietly(const scenario *s, const char *folder, const campaign_options *o,
                            tape *t, uint64_t first_record, cut_result *result)
{
    const cut_options options = {.folder = folder,
                                 .check = s->check,
                                 .per_moment = o->per_moment,
                                 .states_max = o->states_max,
                                 .first_record = first_record,
                                 .seed = t->map->seed,
                                 .keep_going = o->keep_going,
                                 .moment = -1};
    t->map->per_moment = o->per_moment;
    return cut_explore(t, &options, result);
}

bool campaign_explore(place *p, const scenario *s, const campaign_options *o, tape *t,
                      uint64_t first_record, totals *sum)
{
    cut_result result;
    const char *folder = strcmp(t->map->folder, p->live) == 0 ? p->state : p->second;
    bool ok = explore_quietly(s, folder, o, t, first_record, &result);
    sum->recordings++;
    sum->moments += result.moments;
    sum->states += result.states;
    sum->checked += result.checked;
    sum->failed += result.failed;
    if (!ok) {
        (void)printf("BROKEN %s: %s\n", s->name, result.why);
        sum->broken = true;
    } else if (result.failed > 0) {
        tell_failure(t, &result);
    }
    tape_end(t);
    return campaign_goes_on(o, sum, ok && result.failed == 0);
}

static bool tell_run(const scenario *s, uint64_t seed, const run_result *result, totals *sum)
{
    (void)printf("%s %s seed %llu: %s\n", result->broken ? "BROKEN" : "FAILED", s->name,
                 (unsigned long long)seed, result->why);
    sum->failed += !result->broken;
    sum->broken = sum->broken || result->broken;
    return false;
}

/* Runs fn for each scenario and seed. */
typedef bool one_fn(place *p, const scenario *s, const campaign_options *o, uint64_t seed,
                    totals *sum);

static void for_each(place *p, const campaign_options *o, one_fn *fn, totals *sum)
{
    bool going = true;
    for (uint64_t round = 0; going && campaign_lasts(o, round); round++) {
        const scenario *s = NULL;
        for (size_t i = 0; going && (s = scenario_number(i)) != NULL; i++) {
            if (o->scenario == NULL || o->scenario == s) {
                going = campaign_goes_on(o, sum, fn(p, s, o, o->seed + round, sum));
                (void)fflush(stdout);
            }
        }
    }
}

/* ---- one cut ------------------------------------------------------------------------------------ */

static bool cut_once(place *p, const scenario *s, const campaign_options *o, uint64_t seed,
                     totals *sum)
{
    tape t;
    run_result run;
    const run_options options = {.seed = seed};
    if (!scenario_record(p, s, &options, &t, &run)) {
        return tell_run(s, seed, &run, sum);
    }
    uint64_t before = sum->states;
    bool ok = campaign_explore(p, s, o, &t, 0, sum);
    (void)printf("%s seed %llu: %llu states\n", s->name, (unsigned long long)seed,
                 (unsigned long long)(sum->states - before));
    return ok;
}

void campaign_cuts(place *p, const campaign_options *o, totals *sum)
{
    for_each(p, o, cut_once, sum);
}

/* ---- and another -------------------------------------------------------------------------------- */

static bool cut_again(place *p, const scenario *s, const campaign_options *o, tape *first,
                      uint64_t random, totals *sum)
{
    tape t;
    run_result run;
    marks acknowledged;
    const cut_options one = {.folder = p->state,
                             .per_moment = o->per_moment,
                             .seed = first->map->seed,
                             .moment = cut_any_moment(first, 0, random),
                             .variant = fs_random(&random) % 1000};
    if (!cut_make(first, &one, &acknowledged)) {
        (void)printf("BROKEN %s: no such state\n", s->name);
        sum->broken = true;
        return false;
    }
    if (!scenario_record_again(p, s, first->map->seed, &acknowledged, &t, &run)) {
        (void)printf("the first cut was %lld.%llu\n", (long long)one.moment,
                     (unsigned long long)one.variant);
        return tell_run(s, first->map->seed, &run, sum);
    }
    return campaign_explore(p, s, o, &t, 0, sum);
}

static bool cut_twice(place *p, const scenario *s, const campaign_options *o, uint64_t seed,
                      totals *sum)
{
    tape t;
    run_result run;
    const run_options options = {.seed = seed};
    uint64_t random = seed;
    bool ok = true;
    uint64_t before = sum->states;
    if (!scenario_record(p, s, &options, &t, &run)) {
        return tell_run(s, seed, &run, sum);
    }
    for (int i = 0; ok && i < SECOND_CUTS; i++) {
        ok = campaign_goes_on(o, sum, cut_again(p, s, o, &t, fs_random(&random), sum));
    }
    tape_end(&t);
    (void)printf("%s seed %llu: %llu states after a second cut\n", s->name,
                 (unsigned long long)seed, (unsigned long long)(sum->states - before));
    return ok;
}

void campaign_again(place *p, const campaign_options *o, totals *sum)
{
    for_each(p, o, cut_twice, sum);
}

/* ---- after a failed call ------------------------------------------------------------------------ */

static uint64_t first_fault(const tape *t)
{
    uint64_t op = 0;
    for (const record *r = tape_next(t, NULL); r != NULL; r = tape_next(t, r), op++) {
        if (r->kind == RECORD_FAULT) {
            break;
        }
    }
    return op;
}

static bool fail_call(place *p, const scenario *s, const campaign_options *o,
                      const run_options *options, totals *sum)
{
    tape t;
    run_result run;
    if (!scenario_record(p, s, options, &t, &run)) {
        (void)printf("call %llu of class %s, failure %d\n", (unsigned long long)options->fault_at,
                     class_names[options->fault_class], (int)options->fault);
        return tell_run(s, options->seed, &run, sum);
    }
    uint64_t fault = first_fault(&t);
    if (fault == tape_count(&t)) { /* this run made fewer calls than the first */
        tape_end(&t);
        return true;
    }
    sum->faults++;
    return campaign_explore(p, s, o, &t, fault, sum);
}

static bool fail_calls(place *p, const scenario *s, const campaign_options *o, uint64_t seed,
                       totals *sum)
{
    tape t;
    run_result clean;
    run_options options = {.seed = seed};
    uint64_t random = seed;
    uint64_t before = sum->states;
    uint64_t faults = sum->faults;
    bool ok = true;
    if (!scenario_record(p, s, &options, &t, &clean)) {
        return tell_run(s, seed, &clean, sum);
    }
    tape_end(&t);
    for (int class = 0; ok && class < CALL_CLASSES; class ++) {
        for (uint64_t at = 1; ok && at <= clean.calls[class]; at++) {
            static const fault_kind kinds[] = {FAULT_ONCE, FAULT_FOR_GOOD, FAULT_SHORT};
            for (int k = 0; ok && k < (class == CALL_WRITE ? 3 : 2); k++) {
                options.fault = kinds[k];
                options.fault_class = (call_class) class;
                options.fault_at = at;
                bool chosen = fs_random(&random) % o->one_in == 0;
                ok = campaign_goes_on(o, sum, !chosen || fail_call(p, s, o, &options, sum));
                ok = ok && campaign_lasts(o, 0);
            }
        }
    }
    (void)printf("%s seed %llu: %llu states after %llu failed calls\n", s->name,
                 (unsigned long long)seed, (unsigned long long)(sum->states - before),
                 (unsigned long long)(sum->faults - faults));
    return ok;
}

void campaign_faults(place *p, const campaign_options *o, totals *sum)
{
    for_each(p, o, fail_calls, sum);
}

/* ---- mistakes that must be found ---------------------------------------------------------------- */

static const struct mutant {
    const char *name;
    const char *scenario;
    run_options options;
} mutants[] = {
    {"LMDB with MDB_NOSYNC", "marks", {.mutant = "nosync"}},
    {"an engine without a barrier", "marks", {.mistake = "no-barrier"}},
    {"an engine that marks before it applies", "marks", {.mistake = "mark-first"}},
    {"a flush of marks that is tried again",
     "marks",
     {.fault = FAULT_RETRIED, .fault_class = CALL_FLUSH, .fault_name = "marks.mdb"}},
    {"a flush of rows that is tried again",
     "marks",
     {.fault = FAULT_RETRIED, .fault_class = CALL_FLUSH, .fault_name = ".rows"}},
    {"the engine's barrier taken away", "sync", {.mutant = "barrier"}},
    {"rows that are never flushed",
     "sync",
     {.fault = FAULT_EATEN, .fault_class = CALL_FLUSH, .fault_name = "database.db-wal"}},
    {"marks that are never flushed",
     "sync",
     {.fault = FAULT_EATEN, .fault_class = CALL_FLUSH, .fault_name = "sync.mdb"}},
    {"folders that are never flushed",
     "create",
     {.fault = FAULT_EATEN, .fault_class = CALL_FLUSH, .fault_name = "A"}},
};

#define MUTANTS (sizeof mutants / sizeof *mutants)
#define MUTANT_SEEDS 40

/* One that is tried again is found once the flush is one that matters: the calls are gone through. */
static bool find_mutant(place *p, const struct mutant *m, const campaign_options *o, totals *sum)
{
    const scenario *s = scenario_find(m->scenario);
    for (uint64_t i = 0; i < MUTANT_SEEDS; i++) {
        tape t;
        run_result run;
        cut_result result;
        run_options options = m->options;
        options.seed = o->seed + i;
        options.fault_at = options.fault == FAULT_RETRIED ? i + 1 : 0;
        if (!scenario_record(p, s, &options, &t, &run)) {
            if (options.fault != FAULT_RETRIED || run.status >= 126) {
                return tell_run(s, options.seed, &run, sum);
            }
            continue;
        }
        bool ok = explore_quietly(s, p->state, o, &t, 0, &result);
        sum->recordings++;
        sum->states += result.states;
        sum->checked += result.checked;
        tape_end(&t);
        if (!ok) {
            return tell_run(s, options.seed, &run, sum);
        }
        if (result.failed > 0) {
            (void)printf("found: %s: %s\n", m->name, result.why);
            return true;
        }
    }
    (void)printf("NOT FOUND: %s\n", m->name);
    sum->failed++;
    return false;
}

void campaign_mutants(place *p, const campaign_options *o, totals *sum)
{
    for (size_t i = 0; i < MUTANTS; i++) {
        (void)find_mutant(p, &mutants[i], o, sum);
    }
}

/* ---- each flush --------------------------------------------------------------------------------- */

static bool is_flush(const record *r)
{
    return r->kind == RECORD_FLUSH || r->kind == RECORD_FLUSH_RANGE ||
           r->kind == RECORD_FLUSH_FOLDER;
}

/* Which flushes of a recording leave something less in doubt, after the first acknowledgement and
 * before the last. Those that make the files cover one another, and after the last nothing is
 * promised. Returns how many flushes there are. */
static uint64_t flushes_that_matter(const tape *t, bool *matters, uint64_t most)
{
    fs *f = fs_make();
    const uint64_t *ops = NULL;
    uint64_t op = 0;
    uint64_t count = 0;
    uint64_t first = UINT64_MAX;
    uint64_t last = 0;
    for (const record *r = tape_next(t, NULL); r != NULL; r = tape_next(t, r)) {
        bool flush = is_flush(r) && count < most;
        size_t before = flush ? fs_doubtful(f, &ops) : 0;
        (void)fs_apply(f, op++, r);
        if (flush) {
            matters[count++] = fs_doubtful(f, &ops) < before;
        } else if (r->kind == RECORD_MARK) {
            first = first == UINT64_MAX ? count : first;
            last = count;
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        matters[i] = matters[i] && i >= first && i < last;
    }
    fs_free(f);
    return count;
}

#define FLUSHES_MAX 1000

static bool take_flush(place *p, const scenario *s, const campaign_options *o, uint64_t at,
                       totals *sum)
{
    tape t;
    run_result run;
    cut_result result = {.failed = 0};
    const run_options options = {
        .seed = o->seed, .fault = FAULT_EATEN, .fault_class = CALL_FLUSH, .fault_at = at};
    if (!scenario_record(p, s, &options, &t, &run)) {
        return tell_run(s, o->seed, &run, sum);
    }
    (void)explore_quietly(s, p->state, o, &t, 0, &result);
    sum->recordings++;
    sum->states += result.states;
    sum->checked += result.checked;
    if (result.failed == 0) {
        uint64_t op = first_fault(&t);
        const record *r = tape_next(&t, NULL);
        for (uint64_t i = 0; i < op && r != NULL; i++) {
            r = tape_next(&t, r);
        }
        (void)printf("NOT FOUND: %s without flush %llu, of \"%.*s\"\n", s->name,
                     (unsigned long long)at, r == NULL ? 0 : (int)r->length,
                     r == NULL ? "" : (const char *)(r + 1));
    }
    tape_end(&t);
    return result.failed > 0;
}

static bool take_flushes(place *p, const scenario *s, const campaign_options *o, uint64_t seed,
                         totals *sum)
{
    bool matters[FLUSHES_MAX];
    tape t;
    run_result run;
    uint64_t found = 0;
    uint64_t tried = 0;
    const run_options clean = {.seed = seed};
    if (!scenario_record(p, s, &clean, &t, &run)) {
        return tell_run(s, seed, &run, sum);
    }
    uint64_t count = flushes_that_matter(&t, matters, FLUSHES_MAX);
    tape_end(&t);
    for (uint64_t i = 0; i < count; i++) {
        if (matters[i]) {
            tried++;
            found += take_flush(p, s, o, i + 1, sum);
        }
    }
    (void)printf("%s seed %llu: %llu flushes, %llu that matter, %llu were missed\n", s->name,
                 (unsigned long long)seed, (unsigned long long)count, (unsigned long long)tried,
                 (unsigned long long)found);
    sum->failed += tried - found;
    return true;
}

void campaign_flushes(place *p, const campaign_options *o, totals *sum)
{
    for_each(p, o, take_flushes, sum);
}
