/* scenario.c - which programs lose power; see scenario.h. */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "fs.h"

#define WORDS_MAX 16
#define WORD_BYTES 512

#define IDS "01010101-0101-0101-0101-010101010101 02020202-0202-0202-0202-020202020202"
#define ADVANCE "@tidemark advance @folder/marks.mdb " IDS " "
#define NS "1970-01-01T00:00:00.00000000"

/* clang-format off */
#define TWO_LIBRARIES {                                                                            \
    {"+k 6", NULL, 0}, {"+j 3", NULL, 0}, {"+x 4", NULL, 0},                                       \
    {"@tidemark init @folder/A", "A.made 1", 0},                                                   \
    {"@tidemark index @folder/A @source/A", "A.k @k", 0},                                          \
    {"@tidemark sync @folder/A @folder/B", "B.made 1", 0},                                         \
    {"@tidemark index @folder/B @source/B", "B.j @j", 0},                                          \
    {"@tidemark sync @folder/A @folder/B", "B.k @k", 0}}
/* clang-format on */

static const scenario scenarios[] = {
    {.name = "marks",
     .what = "an engine over the store: durable and deferred marks, flushes, a barrier",
     .steps = {{"@work marks @folder @seed @steps @mistake", NULL, 0}},
     .again = {{"@work marks @folder 7@seed 9", NULL, 0}},
     .check = check_marks},
    {.name = "program",
     .what = "tidemark advance and rm on a store, a process for each",
     .steps = {{ADVANCE "bare-one --after none " NS "5Z", "mark.bare-one 5", 0},
               {ADVANCE "bare-two --after none " NS "3Z", "mark.bare-two 3", 0},
               {ADVANCE "bare-one --after " NS "5Z " NS "8Z", "mark.bare-one 8", 0},
               {ADVANCE "bare-gone --after none " NS "8Z", NULL, 0},
               {"@tidemark rm @folder/marks.mdb " IDS " bare-gone --yes", NULL, 0},
               {ADVANCE "bare-two --after " NS "3Z " NS "9Z", "mark.bare-two 9", 0}},
     .again = {{ADVANCE "bare-last --after none " NS "4Z", "mark.bare-last 4", 0}},
     .check = check_marks},
    {.name = "create",
     .what = "tidemark init: a library from nothing",
     .steps = {{"@tidemark init @folder/A", "A.made 1", 0}},
     .again = {{"@tidemark init @folder/A", "A.made 1", 1}},
     .check = check_libraries},
    {.name = "sync",
     .what = "tidemark index, sync and prune of two libraries, in both roles",
     .prepare = TWO_LIBRARIES,
     .steps = {{"+k @steps", NULL, 0},
               {"+x 5", NULL, 0},
               {"@tidemark index @folder/A @source/A", "A.k @k", 0},
               {"@tidemark sync @folder/A @folder/B --page-rows @rows", "B.k @k", 0},
               {"-x", NULL, 0},
               {"+j 9", NULL, 0},
               {"@tidemark index @folder/A @source/A", NULL, 0},
               {"@tidemark index @folder/B @source/B", "B.j @j", 0},
               {"@tidemark sync @folder/B @folder/A --page-rows @rows", "A.j @j", 0},
               {"@tidemark prune @folder/A", NULL, 0}},
     .again = {{"@tidemark index @folder/A @source/A", "A.k @k", 0},
               {"@tidemark index @folder/B @source/B", "B.j @j", 0},
               {"@tidemark sync @folder/A @folder/B --page-rows @rows", "B.k @k", 0}},
     .check = check_libraries},
    {.name = "library",
     .what = "a program with two libraries open: writes, syncs, checkpoints, closes",
     .prepare = TWO_LIBRARIES,
     .steps = {{"@work library @folder @seed 5", NULL, 0}},
     .again = {{"@work library @folder 7@seed 2", NULL, 0}},
     .check = check_libraries},
};

#define SCENARIOS (sizeof scenarios / sizeof *scenarios)

const scenario *scenario_number(size_t i)
{
    return i < SCENARIOS ? &scenarios[i] : NULL;
}

const scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < SCENARIOS; i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            return &scenarios[i];
        }
    }
    return NULL;
}

/* ---- places ------------------------------------------------------------------------------------- */

bool place_make(place *p, const char *dir, const char *bin)
{
    memset(p, 0, sizeof *p);
    (void)snprintf(p->root, sizeof p->root, "%.200s/tidemark-crash-XXXXXX", dir);
    if (mkdtemp(p->root) == NULL) {
        return false;
    }
    (void)snprintf(p->live, sizeof p->live, "%s/live", p->root);
    (void)snprintf(p->state, sizeof p->state, "%s/state", p->root);
    (void)snprintf(p->second, sizeof p->second, "%s/second", p->root);
    (void)snprintf(p->tape, sizeof p->tape, "%s/tape", p->root);
    (void)snprintf(p->second_tape, sizeof p->second_tape, "%s/second-tape", p->root);
    (void)snprintf(p->output, sizeof p->output, "%s/output", p->root);
    (void)snprintf(p->recorder, sizeof p->recorder, "%.200s/libtidemark-recorder.so", bin);
    (void)snprintf(p->mutants, sizeof p->mutants, "%.200s/libtidemark-mutants.so", bin);
    p->bin = bin;
    return mkdir(p->live, 0700) == 0 && mkdir(p->state, 0700) == 0 && mkdir(p->second, 0700) == 0;
}

void place_remove(place *p)
{
    (void)fs_empty(p->root);
    (void)rmdir(p->root);
}

/* ---- commands ----------------------------------------------------------------------------------- */

/* What a command is carried out with. */
typedef struct setting {
    place *place;
    const char *folder;
    const run_options *options;
} setting;

static void stand_for(const setting *s, const char *word, char out[WORD_BYTES])
{
    const char *at = strchr(word, '@');
    const uint64_t seed = s->options->seed;
    int before = at == NULL ? 0 : (int)(at - word);
    char text[WORD_BYTES] = "";
    if (at == NULL) {
        (void)snprintf(out, WORD_BYTES, "%s", word);
        return;
    }
    if (strcmp(at, "@tidemark") == 0) {
        (void)snprintf(text, sizeof text, "%s/tidemark", s->place->bin);
    } else if (strcmp(at, "@work") == 0) {
        (void)snprintf(text, sizeof text, "%s/tidemark-crash-work", s->place->bin);
    } else if (strncmp(at, "@folder", 7) == 0) {
        (void)snprintf(text, sizeof text, "%.300s%.100s", s->folder, at + 7);
    } else if (strncmp(at, "@source", 7) == 0) {
        (void)snprintf(text, sizeof text, "%.300s/source%.100s", s->place->root, at + 7);
    } else if (strcmp(at, "@seed") == 0) {
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    } else if (strcmp(at, "@steps") == 0) {
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)(12 + seed % 9));
    } else if (strcmp(at, "@rows") == 0) {
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)(4 + seed % 5));
    } else if (strcmp(at, "@mistake") == 0) {
        (void)snprintf(text, sizeof text, "%s",
                       s->options->mistake == NULL ? "none" : s->options->mistake);
    } else {
        (void)snprintf(text, sizeof text, "%d", s->place->files[(unsigned char)at[1] & 127]);
    }
    (void)snprintf(out, WORD_BYTES, "%.*s%.400s", before < 100 ? before : 100, word, text);
}

/* Splits at blanks and fills in. */
static size_t make_words(const setting *s, const char *command, char words[][WORD_BYTES])
{
    char line[1024];
    char *rest = NULL;
    size_t count = 0;
    (void)snprintf(line, sizeof line, "%s", command);
    for (char *word = strtok_r(line, " ", &rest); word != NULL && count < WORDS_MAX - 1;
         word = strtok_r(NULL, " ", &rest)) {
        stand_for(s, word, words[count++]);
    }
    return count;
}

/* The files of B begin with j, all others are A's. */
static bool touch_files(place *p, char letter, int count, bool present)
{
    char path[PATH_MAX];
    bool ok = true;
    for (int i = 0; ok && i < count; i++) {
        int number = present ? ++p->files[(int)letter] : p->files[(int)letter]--;
        (void)snprintf(path, sizeof path, "%s/source/%c/%c%05d", p->root, letter == 'j' ? 'B' : 'A',
                       letter, number);
        if (present) {
            int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
            ok = fd >= 0 && close(fd) == 0;
        } else {
            ok = unlink(path) == 0;
        }
    }
    return ok;
}

/* Runs one step; returns its status. */
static int run_step(const setting *s, const step *one, tape *t)
{
    char words[WORDS_MAX][WORD_BYTES] = {""};
    char *argv[WORDS_MAX + 1] = {NULL};
    char mark[64];
    place *p = s->place;
    size_t count = make_words(s, one->command, words);
    int status = 0;
    if (words[0][0] == '+' || words[0][0] == '-') {
        bool more = words[0][0] == '+';
        int files = more ? atoi(words[1]) : p->files[(int)words[0][1]]; /* NOLINT(cert-err34-c) */
        return touch_files(p, words[0][1], files, more) ? 0 : 127;
    }
    for (size_t i = 0; i < count; i++) {
        argv[i] = words[i];
    }
    if (s->options->mutant != NULL) {
        (void)setenv("TIDEMARK_CRASH_MUTANT", s->options->mutant,
                     1); /* NOLINT(concurrency-mt-unsafe) */
    }
    status = t == NULL
                 ? run_program(argv, p->output)
                 : tape_run(t, argv, s->options->mutant == NULL ? NULL : p->mutants, p->output);
    if (status == one->also) {
        status = 0;
    }
    if (status == 0 && one->mark != NULL) {
        char parts[WORDS_MAX][WORD_BYTES] = {""};
        (void)make_words(s, one->mark, parts);
        (void)snprintf(mark, sizeof mark, "%.40s %.20s", parts[0], parts[1]);
        if (t == NULL) {
            marks_add(&p->prepared, mark, strlen(mark));
        } else {
            tape_mark(t, mark);
        }
    }
    return status;
}

static int run_steps(const setting *s, const step *steps, tape *t)
{
    int status = 0;
    for (size_t i = 0; i < STEPS_MAX && steps[i].command != NULL && status == 0; i++) {
        status = run_step(s, &steps[i], t);
    }
    return status;
}

/* ---- recordings --------------------------------------------------------------------------------- */

/* The last program's own words. */
static void blame(const place *p, run_result *result, const char *what, int status)
{
    char words[300] = "";
    FILE *file = fopen(p->output, "re");
    size_t got = file == NULL ? 0 : fread(words, 1, sizeof words - 1, file);
    words[got] = '\0';
    if (file != NULL) {
        (void)fclose(file);
    }
    (void)snprintf(result->why, sizeof result->why, "%s ended with status %d: %s", what, status,
                   words);
}

static bool begin_tape(place *p, const scenario *s, const char *path, const char *folder,
                       uint64_t seed, const marks *acknowledged, tape *t)
{
    char line[80];
    if (!tape_begin(t, path, p->recorder, folder)) {
        return false;
    }
    (void)snprintf(t->map->scenario, sizeof t->map->scenario, "%s", s->name);
    t->map->seed = seed;
    for (size_t i = 0; i < acknowledged->count; i++) {
        (void)snprintf(line, sizeof line, "%s %lld", acknowledged->of[i].name,
                       (long long)acknowledged->of[i].value);
        tape_mark(t, line);
    }
    return true;
}

static bool check_tape(const tape *t, run_result *result)
{
    char why[200] = "";
    bool ok = tape_check(t, why, sizeof why);
    if (!ok) {
        (void)snprintf(result->why, sizeof result->why, "went past the recorder: %s", why);
    }
    return ok;
}

static bool prepare(place *p, const scenario *s, const run_options *options, run_result *result)
{
    char path[PATH_MAX];
    static const char *const folders[] = {"source", "source/A", "source/B"};
    const setting set = {p, p->live, options};
    memset(p->files, 0, sizeof p->files);
    memset(&p->prepared, 0, sizeof p->prepared);
    (void)snprintf(path, sizeof path, "%s/source", p->root);
    bool ok = fs_empty(p->live) && (access(path, F_OK) != 0 || fs_empty(path));
    for (size_t i = 0; ok && i < sizeof folders / sizeof *folders; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", p->root, folders[i]);
        ok = mkdir(path, 0700) == 0 || errno == EEXIST;
    }
    if (!ok) {
        (void)snprintf(result->why, sizeof result->why, "%s: cannot be prepared", p->root);
        result->broken = true;
        return false;
    }
    int status = run_steps(&set, s->prepare, NULL);
    if (status != 0) {
        blame(p, result, "preparing", status);
    }
    return status == 0;
}

bool place_prepare(place *p, const scenario *s, uint64_t seed)
{
    run_result result = {.status = 0};
    const run_options options = {.seed = seed};
    bool ok = prepare(p, s, &options, &result);
    if (!ok) {
        (void)printf("BROKEN %s: %s\n", s->name, result.why);
    }
    return ok;
}

bool scenario_record(place *p, const scenario *s, const run_options *options, tape *t,
                     run_result *result)
{
    const setting set = {p, p->live, options};
    memset(result, 0, sizeof *result);
    if (!prepare(p, s, options, result)) {
        return false;
    }
    if (!begin_tape(p, s, p->tape, p->live, options->seed, &p->prepared, t)) {
        (void)snprintf(result->why, sizeof result->why, "%s: cannot be recorded", p->live);
        result->broken = true;
        return false;
    }
    t->map->fault_class = (uint32_t)options->fault_class;
    t->map->fault_at = options->fault_at;
    t->map->fault_errno = options->fault_at % 2 == 0 ? EIO : ENOSPC;
    (void)snprintf(t->map->fault_name, sizeof t->map->fault_name, "%s",
                   options->fault_name == NULL ? "" : options->fault_name);
    t->map->fault = (uint32_t)options->fault;
    result->status = run_steps(&set, s->steps, t);
    t->map->fault = FAULT_NONE;
    memcpy(result->calls, t->map->calls, sizeof result->calls);
    result->records = tape_count(t);
    bool faulty = options->fault != FAULT_NONE && options->fault != FAULT_EATEN;
    bool ok = true;
    if (result->status >= 126 || (result->status != 0 && !faulty)) {
        blame(p, result, "the program", result->status);
        ok = false;
    } else if (faulty) {
        int status = run_steps(&set, s->again, t);
        if (status != 0) {
            blame(p, result, "the restart", status);
            ok = false;
        }
    }
    ok = ok && check_tape(t, result);
    if (!ok) {
        tape_end(t);
    }
    return ok;
}

bool scenario_record_again(place *p, const scenario *s, uint64_t seed, const marks *acknowledged,
                           tape *t, run_result *result)
{
    const run_options options = {.seed = seed};
    const setting set = {p, p->state, &options};
    memset(result, 0, sizeof *result);
    if (!begin_tape(p, s, p->second_tape, p->state, seed, acknowledged, t)) {
        (void)snprintf(result->why, sizeof result->why, "%s: cannot be recorded", p->state);
        return false;
    }
    result->status = run_steps(&set, s->again, t);
    if (result->status != 0) {
        blame(p, result, "the restart", result->status);
    }
    bool ok = result->status == 0 && check_tape(t, result);
    if (!ok) {
        tape_end(t);
    }
    return ok;
}
