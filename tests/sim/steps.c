/* steps.c - what can happen; see steps.h.
 *
 * To add something: a function that does it, a line in `kinds`, and its weight in a scenario. The
 * function takes its chances from the step's own number only, leaves a device with its drive off as
 * it is, and says nothing about errors of such a device.
 */
#include "steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "writes.h"

#define PPM_MOST 300000
#define CLOCK_NEAR_S 120 /* two devices at the ends are less apart than a peer accepts */
#define CLOCK_FAR_S 172800
#define CHECK_EVERY 8

enum {
    WRITE,
    BURST,
    SHELL,
    LOOSE,
    OFFLINE,
    CONNECT,
    RUN,
    CUT,
    NOTIFY,
    PAUSE,
    RESUME,
    FLUSH,
    CHECKPOINT,
    REOPEN,
    CRASH,
    FUSE,
    CLOCK,
    WAIT,
    SAVE,
    RESTORE,
    RESTORE_ROWS,
    RESTORE_MARKS,
    CLONE,
    PRUNE,
    REMOVE,
    KINDS
};

/* ---- writing ------------------------------------------------------------------------------------ */

/* What a step writes, as SQL. */
static void sql_of(const step *s, int resource_count, int owner, char out[STEP_TEXT])
{
    sim_random random = {s->arg};
    if (s->kind == BURST || s->kind == OFFLINE) {
        writes_several(resource_count, owner, &random, out, STEP_TEXT);
    } else {
        writes_one(resource_count, owner, &random, out, STEP_TEXT);
    }
}

static void run_write(device *d, sqlite3 *db, const step *s, bool full)
{
    char sql[STEP_TEXT];
    if (db == NULL) {
        return;
    }
    sql_of(s, d->world->resource_count, d->identity, sql);
    int before = sqlite3_total_changes(db);
    device_enter(d);
    bool done = device_run(d, db, sql);
    if (!done && sqlite3_get_autocommit(db) == 0) {
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    d->loose = d->loose || !full;
    if (done && d->open) {
        (void)device_snapshot(d); /* for what was deleted */
    }
    /* A flush of the log flushes all that is in it. */
    bool rolled_back = strstr(sql, "ROLLBACK") != NULL;
    if (done && full && !rolled_back && d->open && sqlite3_total_changes(db) != before) {
        device_keep(d);
    }
}

static void do_write(world *w, const step *s)
{
    device *d = &w->devices[s->a];
    run_write(d, device_database(d), s, true);
}

static void do_shell(world *w, const step *s)
{
    device *d = &w->devices[s->a];
    run_write(d, device_shell(d, s->kind == SHELL), s, s->kind == SHELL);
}

static void do_offline(world *w, const step *s)
{
    device *d = &w->devices[s->a];
    device_close(d);
    run_write(d, device_shell(d, true), s, true);
    if (!disk_is_off(d->number)) {
        (void)sqlite3_close(d->shell);
        d->shell = NULL;
        (void)device_open(d);
    }
}

/* ---- talking ------------------------------------------------------------------------------------ */

static unsigned faults_allowed = FAULT_ALL;

static uint32_t rate(sim_random *random, unsigned fault)
{
    uint64_t ppm = sim_below(random, 2) == 0 ? 0 : sim_below(random, PPM_MOST);
    return (faults_allowed & fault) != 0 ? (uint32_t)ppm : 0;
}

static faults faults_of(const step *s)
{
    sim_random random = {s->arg};
    faults f;
    f.loss = rate(&random, FAULT_LOSS);
    f.duplicate = rate(&random, FAULT_DUPLICATE);
    f.reorder = rate(&random, FAULT_REORDER);
    return f;
}

static void do_connect(world *w, const step *s)
{
    faults f = faults_of(s);
    device *a = &w->devices[s->a < s->b ? s->a : s->b];
    device *b = &w->devices[s->a < s->b ? s->b : s->a];
    (void)link_open(link_between(w, s->a, s->b), a, b, &f, s->arg);
}

static uint64_t messages_of(const step *s)
{
    return 1 + s->arg % 24;
}

static void do_run(world *w, const step *s)
{
    (void)link_run(link_between(w, s->a, s->b), messages_of(s));
}

static bool loses(const step *s)
{
    return (faults_allowed & FAULT_LATE) == 0 || s->arg % 2 == 0;
}

static void do_cut(world *w, const step *s)
{
    link_cut(link_between(w, s->a, s->b), loses(s));
    check_marks(w);
}

static tide_session *session_of(world *w, const step *s)
{
    link_pair *l = link_between(w, s->a, s->b);
    end *e = &l->ends[l->ends[0].device == &w->devices[s->a] ? 0 : 1];
    device_enter(e->device);
    return l->open ? e->session : NULL;
}

static void do_notify(world *w, const step *s)
{
    tide_session_notify(session_of(w, s)); /* NULL does nothing */
}

static void do_pause(world *w, const step *s)
{
    tide_session *session = session_of(w, s);
    if (s->kind == PAUSE) {
        tide_session_pause(session);
    } else {
        tide_session_resume(session);
    }
}

/* ---- the device --------------------------------------------------------------------------------- */

static void do_flush(world *w, const step *s)
{
    device *d = &w->devices[s->a];
    device_enter(d);
    (void)device_answer(d, "flush", tide_flush(d->store));
}

static const char *checkpoint_of(const step *s)
{
    static const char *const modes[] = {"PASSIVE", "FULL", "RESTART", "TRUNCATE"};
    return modes[s->arg % 4];
}

static void do_checkpoint(world *w, const step *s)
{
    device *d = &w->devices[s->a];
    char sql[64];
    sqlite3 *db = device_shell(d, true);
    (void)snprintf(sql, sizeof sql, "PRAGMA wal_checkpoint(%s)", checkpoint_of(s));
    if (db != NULL) {
        (void)device_run(d, db, sql);
    }
}

static void do_reopen(world *w, const step *s)
{
    device_close(&w->devices[s->a]);
    (void)device_open(&w->devices[s->a]);
}

static int crash_of(const step *s)
{
    int crash = (int)(s->arg % DISK_CRASHES);
    return crash == DISK_TORN && (faults_allowed & FAULT_TORN) == 0 ? DISK_POWER : crash;
}

static uint64_t fuse_of(const step *s)
{
    sim_random random = {s->arg};
    return 1 + sim_below(&random, sim_below(&random, 2) == 0 ? 12 : 120);
}

static void do_crash(world *w, const step *s)
{
    device *d = &w->devices[s->a];
    d->crash = crash_of(s);
    d->crash_seed = s->arg;
    if (s->kind == CRASH) {
        disk_cut(d->number);
    } else {
        disk_arm(d->number, fuse_of(s));
    }
}

static int64_t skew_of(const step *s, bool far)
{
    sim_random random = {s->arg};
    uint64_t most = far && sim_below(&random, 2) == 0 ? CLOCK_FAR_S : CLOCK_NEAR_S;
    return ((int64_t)sim_below(&random, 2 * most * 1000) - (int64_t)most * 1000) * 1000000;
}

static void do_clock(world *w, const step *s)
{
    device *d = &w->devices[s->a];
    d->skew_ns = skew_of(s, w->far_clocks);
    d->skew_most_ns = d->skew_ns > d->skew_most_ns ? d->skew_ns : d->skew_most_ns;
}

static int64_t wait_of(const step *s)
{
    return (int64_t)(s->arg % 6000) * 1000000;
}

static void do_wait(world *w, const step *s)
{
    w->now_ns += wait_of(s);
}

/* ---- copies ------------------------------------------------------------------------------------- */

static void do_save(world *w, const step *s)
{
    device *d = &w->devices[s->a];
    disk_free(d->saved);
    d->saved = disk_save(d->number);
}

/* What was durable need not be there any more: it is older. */
static void do_restore(world *w, const step *s)
{
    device *d = &w->devices[s->a];
    if (d->saved != NULL) {
        device_close(d);
        if (!disk_is_off(d->number)) {
            disk_load(d->number, d->saved,
                      s->kind == RESTORE        ? ""
                      : s->kind == RESTORE_ROWS ? "database.db"
                                                : "sync.mdb");
            w->returns = true;
            d->ahead = true;
            if (s->kind != RESTORE_MARKS) {
                memset(&d->kept, 0, sizeof d->kept);
                d->told_epoch = EPOCH_PRESENT;
            }
            (void)device_open(d);
        }
    }
}

/* The last device is nobody until it becomes a copy of another. */
static void do_clone(world *w, const step *s)
{
    device *from = &w->devices[s->a];
    device *to = &w->devices[w->device_count - 1];
    if (to->absent && from != to) {
        disk_copy *copy = disk_save(from->number);
        disk_load(to->number, copy, "");
        disk_free(copy);
        to->identity = from->identity;
        from->told_epoch = to->told_epoch = EPOCH_PRESENT;
        from->fresh = false;
        to->ahead = from->ahead;
        w->returns = true;
        to->absent = false;
        to->born = true;
        (void)device_open(to);
    }
}

/* ---- forgetting --------------------------------------------------------------------------------- */

static int count_peer(void *ctx, const tide_peer *peer)
{
    (void)peer;
    ++*(int *)ctx;
    return 0;
}

/* Somebody who is not known here may have a row of the deleted key that is older. */
static void do_prune(world *w, const step *s)
{
    device *d = &w->devices[s->a];
    uint64_t count = 0;
    int peers = 0;
    device_may_forget(d);
    device_enter(d);
    d->fresh = false;
    int rc = tide_sync_peers(d->sync, count_peer, &peers);
    bool ok = device_answer(d, "peers", rc);
    rc = tide_sync_prune(d->sync, &count);
    ok = device_answer(d, "prune", rc) && ok;
    d->ahead = d->ahead && !ok;
    if (!ok || count > 0) {
        w->prunes = true;
        w->returns = w->returns || peers < w->device_count - 1;
    }
    world_note(w, "device %d forgets %llu deletions", s->a, (unsigned long long)count);
}

static void do_remove(world *w, const step *s)
{
    device *d = &w->devices[s->a];
    int identity = w->devices[s->b].identity;
    if (identity != d->identity) {
        device_enter(d);
        (void)device_answer(d, "remove", tide_sync_remove_peer(d->sync, w->devices[identity].id));
        d->fresh = false;
        w->returns = true;
    }
}

/* ---- the table ---------------------------------------------------------------------------------- */

typedef struct kind {
    const char *words; /* device %a, device %b, %s: the detail */
    void (*run)(world *w, const step *s);
    bool pair; /* of two devices */
} kind;

static const kind kinds[KINDS] = {
    [WRITE] = {"device %a: %s", do_write, false},
    [BURST] = {"device %a: %s", do_write, false},
    [SHELL] = {"device %a, by another program: %s", do_shell, false},
    [LOOSE] = {"device %a, by another program that does not flush: %s", do_shell, false},
    [OFFLINE] = {"device %a, while the library is closed: %s", do_offline, false},
    [CONNECT] = {"devices %a and %b connect%s", do_connect, true},
    [RUN] = {"devices %a and %b: %s messages", do_run, true},
    [CUT] = {"devices %a and %b are cut%s", do_cut, true},
    [NOTIFY] = {"device %a tells device %b of news", do_notify, true},
    [PAUSE] = {"device %a pauses towards device %b", do_pause, true},
    [RESUME] = {"device %a resumes towards device %b", do_pause, true},
    [FLUSH] = {"device %a flushes its marks", do_flush, false},
    [CHECKPOINT] = {"device %a, by another program: checkpoint %s", do_checkpoint, false},
    [REOPEN] = {"device %a is closed and opened", do_reopen, false},
    [CRASH] = {"device %a crashes%s", do_crash, false},
    [FUSE] = {"device %a will crash at writing call %s", do_crash, false},
    [CLOCK] = {"device %a sets its clock to %s against the true one", do_clock, false},
    [WAIT] = {"%s go by", do_wait, false},
    [SAVE] = {"device %a is copied away", do_save, false},
    [RESTORE] = {"device %a becomes its copy", do_restore, false},
    [RESTORE_ROWS] = {"the database of device %a becomes its copy", do_restore, false},
    [RESTORE_MARKS] = {"the marks of device %a become their copy", do_restore, false},
    [CLONE] = {"a copy of device %a lives beside it", do_clone, false},
    [PRUNE] = {"device %a forgets deletions that all have heard of", do_prune, false},
    [REMOVE] = {"device %a removes device %b from its list", do_remove, true},
};

typedef struct scenario {
    const char *name;
    const char *what;
    bool far_clocks;
    bool clones; /* the last device is nobody at first */
    int devices_most;
    int weights[KINDS];
} scenario;

#define WRITES [WRITE] = 18, [BURST] = 6, [SHELL] = 4
#define TALK                                                                                       \
    [CONNECT] = 13, [RUN] = 36, [CUT] = 3, [NOTIFY] = 5, [PAUSE] = 1, [RESUME] = 2, [WAIT] = 2
#define CARE [LOOSE] = 4, [FLUSH] = 2, [CHECKPOINT] = 2, [REOPEN] = 2, [OFFLINE] = 1
#define CRASHES [CRASH] = 3, [FUSE] = 5

static const scenario scenarios[] = {
    {"links", "bad links and nothing else", false, false, 5, {WRITES, TALK}},
    {"crash", "crashes, good and bad links", false, false, 4, {WRITES, TALK, CARE, CRASHES}},
    {"pair",
     "two devices, many crashes",
     false,
     false,
     2,
     {WRITES, TALK, CARE, [CRASH] = 5, [FUSE] = 12}},
    {"clock", "clocks that jump", false, false, 4, {WRITES, TALK, CARE, [CLOCK] = 10}},
    {"far", "clocks days apart", true, false, 4, {WRITES, TALK, CRASHES, [CLOCK] = 5}},
    {"mixed",
     "everything the engine stands",
     false,
     false,
     5,
     {WRITES, TALK, CARE, CRASHES, [CLOCK] = 4}},
    {"wide", "up to eight devices", false, false, 8, {WRITES, TALK, CARE, CRASHES, [CLOCK] = 4}},
    {"marks",
     "older marks under the same rows",
     false,
     false,
     4,
     {WRITES, TALK, CARE, [SAVE] = 4, [RESTORE_MARKS] = 3}},
    {"rows",
     "older rows under the same marks",
     false,
     false,
     4,
     {WRITES, TALK, CARE, [SAVE] = 4, [RESTORE_ROWS] = 3}},
    {"restore",
     "a device becomes an older copy of itself",
     false,
     false,
     4,
     {WRITES, TALK, CARE, CRASHES, [SAVE] = 4, [RESTORE] = 3}},
    {"clone", "a device lives twice", false, true, 4, {WRITES, TALK, CARE, [CLONE] = 3}},
    {"prune",
     "deletions are forgotten",
     false,
     false,
     4,
     {WRITES, TALK, CARE, CRASHES, [CLOCK] = 2, [PRUNE] = 8}},
    {"remove",
     "deletions are forgotten, and peers that come back",
     false,
     false,
     4,
     {WRITES, TALK, CARE, CRASHES, [CLOCK] = 2, [PRUNE] = 8, [REMOVE] = 4}},
    {"worn",
     "older copies, and deletions that are forgotten",
     false,
     false,
     4,
     {WRITES, TALK, CARE, CRASHES, [PRUNE] = 8, [REMOVE] = 2, [SAVE] = 4, [RESTORE] = 2,
      [RESTORE_ROWS] = 1, [RESTORE_MARKS] = 1}},
    {"twins",
     "a device lives twice, and deletions are forgotten",
     false,
     true,
     4,
     {WRITES, TALK, CARE, [CLONE] = 3, [PRUNE] = 8}},
};

#define SCENARIOS ((int)(sizeof scenarios / sizeof *scenarios))

const char *scenario_name(int index, const char **what)
{
    if (index >= SCENARIOS) {
        return NULL;
    }
    *what = scenarios[index].what;
    return scenarios[index].name;
}

/* ---- in words ----------------------------------------------------------------------------------- */

static void say_faults(const step *s, char *out, size_t size)
{
    faults f = faults_of(s);
    (void)snprintf(out, size, ", of 100 messages %u are lost, %u repeated, %u late", f.loss / 10000,
                   f.duplicate / 10000, f.reorder / 10000);
}

static void detail_of(const plan *p, const step *s, char out[STEP_TEXT])
{
    static const char *const crashes[] = {", what was not flushed is gone",
                                          ", what was written stays", ", and the disk keeps some"};
    out[0] = '\0';
    switch (s->kind) {
    case WRITE:
    case BURST:
    case SHELL:
    case LOOSE:
    case OFFLINE:
        sql_of(s, p->resource_count, s->a, out);
        break;
    case CONNECT:
        say_faults(s, out, STEP_TEXT);
        break;
    case RUN:
        (void)snprintf(out, STEP_TEXT, "%llu", (unsigned long long)messages_of(s));
        break;
    case CUT:
        (void)snprintf(out, STEP_TEXT, "%s", loses(s) ? "" : ", what is under way may come later");
        break;
    case CHECKPOINT:
        (void)snprintf(out, STEP_TEXT, "%s", checkpoint_of(s));
        break;
    case CRASH:
        (void)snprintf(out, STEP_TEXT, "%s", crashes[crash_of(s)]);
        break;
    case FUSE:
        (void)snprintf(out, STEP_TEXT, "%llu from now%s", (unsigned long long)fuse_of(s),
                       crashes[crash_of(s)]);
        break;
    case CLOCK:
        (void)snprintf(out, STEP_TEXT, "%+.3f s",
                       (double)skew_of(s, p->far_clocks) / (double)SECOND);
        break;
    case WAIT:
        (void)snprintf(out, STEP_TEXT, "%.3f s", (double)wait_of(s) / (double)SECOND);
        break;
    default:
        break;
    }
}

void step_say(const plan *p, const step *s, char *out, size_t size)
{
    char detail[STEP_TEXT];
    size_t at = 0;
    faults_allowed = p->faults;
    detail_of(p, s, detail);
    out[0] = '\0';
    for (const char *c = kinds[s->kind].words; *c != '\0' && at + 1 < size; c++) {
        if (*c != '%') {
            out[at++] = *c;
            out[at] = '\0';
            continue;
        }
        c++;
        if (*c == 's') {
            (void)snprintf(out + at, size - at, "%s", detail);
        } else {
            (void)snprintf(out + at, size - at, "%d", *c == 'a' ? s->a : s->b);
        }
        at = strlen(out);
    }
}

/* ---- drawing ------------------------------------------------------------------------------------ */

static int draw_kind(const scenario *of, sim_random *random)
{
    int sum = 0;
    for (int i = 0; i < KINDS; i++) {
        sum += of->weights[i];
    }
    int at = (int)sim_below(random, (uint64_t)sum);
    int i = 0;
    while (at >= of->weights[i]) {
        at -= of->weights[i++];
    }
    return i;
}

/* Two devices; mostly such as have connected before. */
static void draw_pair(const plan *p, sim_random *random, step *s)
{
    uint64_t count = (uint64_t)p->device_count;
    s->a = (int)sim_below(random, count);
    s->b = (s->a + 1 + (int)sim_below(random, count - 1)) % p->device_count;
    for (int tries = 0; s->kind != CONNECT && p->count > 0 && tries < 12; tries++) {
        const step *other = &p->steps[sim_below(random, (uint64_t)p->count)];
        if (other->kind == CONNECT) {
            bool turned = sim_below(random, 2) == 0;
            s->a = turned ? other->b : other->a;
            s->b = turned ? other->a : other->b;
            return;
        }
    }
}

void plan_draw(plan *p, uint64_t seed, int which, int device_count)
{
    sim_random random = {seed * 0x2545f4914f6cdd1du + 1};
    int choose = (int)sim_below(&random, SCENARIOS);
    const scenario *of = &scenarios[which < 0 ? choose : which];
    uint64_t most = (uint64_t)of->devices_most;
    uint64_t least = of->clones ? 3 : most > 5 ? 5 : 2;
    memset(p, 0, sizeof *p);
    p->seed = seed;
    p->scenario = of->name;
    p->far_clocks = of->far_clocks;
    p->clones = of->clones;
    p->faults = FAULT_ALL;
    p->device_count = (int)(least + sim_below(&random, most - least + 1));
    p->device_count = device_count > 0 ? device_count : p->device_count;
    p->resource_count = sim_below(&random, 4) == 0 ? RESOURCES : RESOURCES_OF_PARTS;
    int count = 40 + (int)sim_below(&random, 30 * (uint64_t)p->device_count);
    while (p->count < count && p->count < STEPS_MAX) {
        step s = {.kind = draw_kind(of, &random)};
        if (kinds[s.kind].pair) {
            draw_pair(p, &random, &s);
        } else {
            s.a = s.b = (int)sim_below(&random, (uint64_t)p->device_count);
        }
        s.arg = sim_next(&random);
        p->steps[p->count++] = s;
    }
}

/* ---- running ------------------------------------------------------------------------------------ */

/* A device lives from the first step that names it; its first opening may crash already. */
static bool ready(world *w, const step *s)
{
    if (w->devices[s->a].absent || w->devices[s->b].absent) {
        return false;
    }
    return s->kind == WAIT || s->kind == CLOCK || (s->kind == FUSE && !w->devices[s->a].open) ||
           (device_open(&w->devices[s->a]) && device_open(&w->devices[s->b]));
}

static void run_step(world *w, const plan *p, const step *s)
{
    char text[STEP_TEXT + 64];
    if (!ready(w, s)) {
        return;
    }
    /* Two of a device do nothing in the same millisecond, as SQLite counts them. */
    w->now_ns += w->clones ? SECOND / 500 : 0;
    step_say(p, s, text, sizeof text);
    world_note(w, "%s", text);
    kinds[s->kind].run(w, s);
    bool down = false;
    for (int i = 0; i < w->device_count; i++) {
        down = down || disk_is_off(i);
        device_settle(&w->devices[i]);
    }
    if (down) {
        check_marks(w);
    }
}

void plan_run(const plan *p, bool verbose, outcome *out)
{
    static world w; /* large */
    world_begin(&w, p->seed, p->device_count, p->resource_count);
    w.verbose = verbose;
    w.far_clocks = p->far_clocks;
    w.clones = p->clones;
    w.devices[p->device_count - 1].absent = p->clones;
    faults_allowed = p->faults;
    for (int i = 0; i < p->count && !world_failed(&w); i++) {
        run_step(&w, p, &p->steps[i]);
        if (i % CHECK_EVERY == 0) {
            check_marks(&w);
        }
    }
    if (!world_failed(&w)) {
        heal(&w);
    }
    memset(out, 0, sizeof *out);
    memcpy(out->failure, w.failure, sizeof out->failure);
    out->hash = w.hash;
    out->messages = w.messages;
    for (int i = 0; i < w.device_count; i++) {
        out->crashes += w.devices[i].crashes;
    }
    world_end(&w);
}
