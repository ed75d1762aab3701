/* cut.c - the states a power cut may leave; see cut.h. */
#include "cut.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs.h"

#define CHECK_SECONDS 60  /* a check that takes longer hangs */
#define ONE_IN 16         /* of states that are alike once recovered */
#define TRIES_IN_VAIN 200 /* random variants of a moment that were all known already */

/* ---- what was acknowledged ---------------------------------------------------------------------- */

int64_t marks_value(const marks *m, const char *name, int64_t otherwise)
{
    for (size_t i = 0; i < m->count; i++) {
        if (strcmp(m->of[i].name, name) == 0) {
            return m->of[i].value;
        }
    }
    return otherwise;
}

static void add_mark(marks *m, const char *name, int64_t value)
{
    size_t i = 0;
    while (i < m->count && strcmp(m->of[i].name, name) != 0) {
        i++;
    }
    if (i == MARKS_MAX) {
        abort();
    }
    if (i == m->count) {
        (void)snprintf(m->of[i].name, sizeof m->of[i].name, "%.47s", name);
        m->of[i].value = value;
        m->count++;
    } else if (value > m->of[i].value) {
        m->of[i].value = value;
    }
}

void marks_add(marks *m, const char *lines, size_t length)
{
    char line[128];
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && lines[end] != '\n') {
            end++;
        }
        (void)snprintf(line, sizeof line, "%.*s", (int)(end - at), lines + at);
        char *blank = strchr(line, ' ');
        if (blank != NULL) {
            *blank = '\0';
            add_mark(m, line, strtoll(blank + 1, NULL, 10));
        }
        at = end + 1;
    }
}

/* ---- a set of hashes ---------------------------------------------------------------------------- */

typedef struct known {
    uint64_t *slots;
    size_t room;
    size_t count;
} known;

static bool insert(known *k, uint64_t hash)
{
    hash |= hash == 0; /* 0 is an empty slot */
    if (k->count * 2 >= k->room) {
        known larger = {.room = k->room == 0 ? 1024 : k->room * 2};
        larger.slots = calloc(larger.room, sizeof *larger.slots);
        if (larger.slots == NULL) {
            abort();
        }
        for (size_t i = 0; i < k->room; i++) {
            if (k->slots[i] != 0) {
                (void)insert(&larger, k->slots[i]);
            }
        }
        free(k->slots);
        *k = larger;
    }
    size_t at = (size_t)(hash & (k->room - 1));
    while (k->slots[at] != 0) {
        if (k->slots[at] == hash) {
            return false;
        }
        at = (at + 1) & (k->room - 1);
    }
    k->slots[at] = hash;
    k->count++;
    return true;
}

/* ---- variants ----------------------------------------------------------------------------------- */

/* Sets `taken` for the doubtful operations as the variant says. */
static fs_choice choose(unsigned char *taken, const uint64_t *ops, size_t count, uint64_t seed,
                        uint64_t variant, uint64_t most)
{
    uint64_t random = seed ^ (variant * UINT64_C(0xd1342543de82ef95));
    uint64_t structured = 2 + 3 * (uint64_t)count;
    uint64_t pick = variant;
    fs_choice choice = {.taken = taken, .seed = fs_random(&random)};
    if (structured > most / 2 && variant >= 2) { /* not room for all: some of them, by chance */
        pick = fs_random(&random) % 2 == 0 ? structured : 2 + fs_random(&random) % (3 * count);
    }
    for (size_t i = 0; i < count; i++) {
        taken[ops[i]] = pick == 1;
    }
    if (pick >= 2 && pick < structured) {
        size_t one = (size_t)((pick - 2) / 3);
        for (size_t i = 0; i < count; i++) {
            bool chosen[] = {i == one, i != one, i <= one};
            taken[ops[i]] = chosen[(pick - 2) % 3];
        }
    } else if (pick >= structured) {
        static const uint64_t percent[] = {10, 50, 50, 90};
        uint64_t share = percent[fs_random(&random) % 4];
        choice.torn = fs_random(&random) % 3 != 0;
        for (size_t i = 0; i < count; i++) {
            taken[ops[i]] = fs_random(&random) % 100 < share;
        }
    }
    return choice;
}

/* ---- moments ------------------------------------------------------------------------------------ */

/* Shared with the child, and what is left of it when it crashes. */
typedef struct progress {
    uint64_t moment;
    uint64_t variant; /* the one being checked */
    cut_result result;
    bool broken; /* the recording cannot be replayed */
} progress;

typedef struct exploration {
    const tape *tape;
    const cut_options *options;
    fs *fs;
    unsigned char *taken;
    marks acknowledged;
    known known;          /* states */
    known recovered;      /* and what they are once recovered */
    uint64_t from_moment; /* go on from here, after a crash */
    uint64_t from_variant;
    progress *progress;
} exploration;

/* Checks one state, unless it is known. */
static bool try_state(exploration *e, const fs_image *image)
{
    const cut_options *o = e->options;
    cut_result *result = &e->progress->result;
    char why[WHY_BYTES] = "";
    (void)alarm(CHECK_SECONDS);
    result->checked++;
    if (!fs_write(image, o->folder, e->progress->moment * 1000003 + e->progress->variant)) {
        (void)snprintf(result->why, sizeof result->why, "%s: cannot write a state there", o->folder);
        e->progress->broken = true;
        return false;
    }
    if (o->check(o->folder, &e->acknowledged, why, sizeof why)) {
        return true;
    }
    if (result->failed++ == 0) {
        result->moment = e->progress->moment;
        result->variant = e->progress->variant;
        memcpy(result->why, why, sizeof why);
    }
    return o->keep_going;
}

static bool try_moment(exploration *e, uint64_t moment)
{
    const cut_options *o = e->options;
    const uint64_t *ops = NULL;
    size_t count = fs_doubtful(e->fs, &ops);
    uint64_t vain = 0;
    uint64_t acknowledged = 0;
    for (size_t i = 0; i < e->acknowledged.count; i++) {
        acknowledged = acknowledged * 31 + (uint64_t)e->acknowledged.of[i].value;
    }
    e->progress->moment = moment;
    e->progress->result.moments += moment != e->from_moment || e->from_variant == 0;
    for (uint64_t v = 0; v < o->per_moment && vain < TRIES_IN_VAIN; v++) {
        if (o->moment >= 0) {
            v = o->variant;
        }
        fs_choice choice = choose(e->taken, ops, count, o->seed + moment, v, o->per_moment);
        const fs_image *image = fs_choose(e->fs, &choice);
        e->progress->result.tried++;
        uint64_t hash = fs_mix(acknowledged, &(uint64_t){fs_hash(image)}, sizeof(uint64_t));
        bool fresh = insert(&e->known, hash);
        vain = fresh ? 0 : vain + 1;
        e->progress->variant = v;
        if (fresh && (moment != e->from_moment || v >= e->from_variant)) {
            e->progress->result.states++;
            uint64_t alike = fs_recovered_hash(image);
            alike = fs_mix(acknowledged, &alike, sizeof alike);
            if ((insert(&e->recovered, alike) || hash % ONE_IN == 0 || o->moment >= 0) &&
                !try_state(e, image)) {
                return false;
            }
        }
        if (o->moment >= 0 || (o->states_max > 0 && e->progress->result.states >= o->states_max)) {
            return false;
        }
        if (count == 0) {
            break;
        }
    }
    return true;
}

static bool is_moment(const record *r)
{
    return r == NULL || r->kind == RECORD_FLUSH || r->kind == RECORD_FLUSH_RANGE ||
           r->kind == RECORD_FLUSH_FOLDER;
}

int64_t cut_any_moment(const tape *t, uint64_t first, uint64_t random)
{
    int64_t found = -1;
    uint64_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        uint64_t op = 0;
        uint64_t seen = 0;
        for (const record *r = tape_next(t, NULL);; r = tape_next(t, r), op++) {
            bool moment = op >= first && is_moment(r);
            count += pass == 0 && moment;
            if (pass == 1 && moment && seen++ == random % count) {
                found = (int64_t)op;
            }
            if (r == NULL) {
                break;
            }
        }
        if (count == 0) {
            break;
        }
    }
    return found;
}

/* Applies the records and calls try_moment before each flush and at the end. */
static void explore(exploration *e)
{
    const cut_options *o = e->options;
    uint64_t op = 0;
    for (const record *r = tape_next(e->tape, NULL);; r = tape_next(e->tape, r), op++) {
        bool wanted = o->moment < 0 ? op >= o->first_record && op >= e->from_moment
                                    : op == (uint64_t)o->moment;
        if (is_moment(r) && wanted && !try_moment(e, op)) {
            return;
        }
        if (r == NULL) {
            return;
        }
        if (r->kind == RECORD_MARK) {
            marks_add(&e->acknowledged, (const char *)(r + 1), r->length);
        }
        const char *wrong = fs_apply(e->fs, op, r);
        if (wrong != NULL) {
            (void)snprintf(e->progress->result.why, WHY_BYTES, "record %llu: %.200s",
                           (unsigned long long)op, wrong);
            e->progress->broken = true;
            return;
        }
    }
}

static void begin(exploration *e, const tape *t, const cut_options *options)
{
    *e = (exploration){.tape = t, .options = options};
    e->fs = fs_make();
    e->taken = calloc(tape_count(t) + 1, 1);
    e->progress =
        mmap(NULL, sizeof *e->progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (e->taken == NULL || e->progress == MAP_FAILED) {
        abort();
    }
}

static void end(exploration *e)
{
    munmap(e->progress, sizeof *e->progress);
    free(e->known.slots);
    free(e->recovered.slots);
    free(e->taken);
    fs_free(e->fs);
}

/* The child died in the check of a state: that is what is wrong with it. */
static void note_death(const exploration *e, int status)
{
    progress *p = e->progress;
    if (p->result.failed++ == 0) {
        p->result.moment = p->moment;
        p->result.variant = p->variant;
        (void)snprintf(p->result.why, WHY_BYTES, "the check ended with %s %d",
                       WIFSIGNALED(status) ? "signal" : "status",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
}

bool cut_explore(const tape *t, const cut_options *options, cut_result *result)
{
    exploration e;
    int status = 0;
    bool again = true;
    begin(&e, t, options);
    while (again) {
        pid_t pid = fork();
        if (pid == 0) {
            explore(&e);
            _exit(0);
        }
        again = false;
        if (pid < 0 || waitpid(pid, &status, 0) != pid) {
            e.progress->broken = true;
        } else if (status != 0) {
            note_death(&e, status);
            again = options->keep_going && options->moment < 0;
            e.from_moment = e.progress->moment;
            e.from_variant = e.progress->variant + 1;
        }
    }
    *result = e.progress->result;
    bool ok = !e.progress->broken;
    end(&e);
    return ok;
}

/* ---- one state ---------------------------------------------------------------------------------- */

static bool nothing(const char *folder, const marks *acknowledged, char *why, size_t size)
{
    (void)folder;
    (void)acknowledged;
    (void)why;
    (void)size;
    return true;
}

bool cut_make(const tape *t, const cut_options *options, marks *acknowledged)
{
    exploration e;
    cut_options one = *options;
    one.check = nothing;
    begin(&e, t, &one);
    explore(&e);
    (void)alarm(0);
    *acknowledged = e.acknowledged;
    bool ok = !e.progress->broken && e.progress->result.states == 1;
    end(&e);
    return ok;
}
