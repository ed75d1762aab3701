/* heal.c - the end of a run: no more faults, and everybody talks with everybody until nothing is new.
 *
 * The clocks are set, later than any was. Then rounds: each pair exchanges what is new, within a
 * bound on its messages. A round in which nobody receives a row is the last, and it must come
 * soon. Two that are one device make their peers read everything again and again, and digests are
 * compared in some rounds only: there, several rounds in which nothing changes are the last.
 *
 * Where all recover, none of which could tell the others what they have lost, somebody must say that
 * what is there counts; also where one recovers, and no peer has ever known all of its rows.
 */
#include <stdio.h>

#include "world.h"

#define ROUNDS_MAX 4          /* one spreads everything, the next are echoes */
#define ROUNDS_MAX_RETURNS 12 /* full reads, and digests that are looked into */
#define QUIET_MESSAGES                                                                             \
    8 /* HELLO and an empty page each way, and a question that knows whom it asks */
#define ROUNDS_MAX_CLONES 24
#define ROUNDS_QUIET_CLONES 4
#define QUIET_MESSAGES_RETURNS 40
#define PAIR_MESSAGES 64
#define CLOCK_MARGIN (3600 * SECOND)

static void set_clocks(world *w)
{
    int64_t most = 0;
    for (int i = 0; i < w->device_count; i++) {
        const device *d = &w->devices[i];
        most = d->skew_most_ns > most ? d->skew_most_ns : most;
    }
    for (int i = 0; i < w->device_count; i++) {
        w->devices[i].skew_ns = most + CLOCK_MARGIN;
    }
}

static uint64_t rows_received(device *d)
{
    tide_metrics m = {.size = sizeof m};
    (void)device_answer(d, "metrics", tide_sync_metrics(d->sync, &m));
    return m.changes_applied + (d->world->clones ? 0 : m.changes_stale);
}

static bool recovers(device *d)
{
    device_enter(d);
    return tide_sync_is_recovering(d->sync) == 1;
}

/* True: neither has received a row. */
static bool exchange(world *w, device *a, device *b)
{
    const faults none = {0, 0, 0};
    link_pair *l = link_between(w, a->number, b->number);
    bool odd = w->returns || w->prunes;
    uint64_t before = rows_received(a) + rows_received(b);
    uint64_t most =
        PAIR_MESSAGES + (odd ? 12u : 4u) * (device_snapshot(a)->count + device_snapshot(b)->count);
    bool through = link_open(l, a, b, &none, sim_next(&w->random)) && link_run(l, most);
    if (world_failed(w)) {
        return true;
    }
    uint64_t rows = rows_received(a) + rows_received(b) - before;
    if (!through) {
        world_fail(w, "no end", "devices %d and %d: more than %llu messages", a->number, b->number,
                   (unsigned long long)most);
    } else if (!recovers(a) && !recovers(b) &&
               (!tide_session_is_complete(l->ends[0].session) ||
                !tide_session_is_complete(l->ends[1].session))) {
        world_fail(w, "no end", "devices %d and %d are quiet, and not complete", a->number,
                   b->number);
    } else if (rows == 0 && !w->clones &&
               l->posted > (odd ? QUIET_MESSAGES_RETURNS : QUIET_MESSAGES)) {
        world_fail(w, "no end", "devices %d and %d: %llu messages for no row", a->number, b->number,
                   (unsigned long long)l->posted);
    }
    link_cut(l, true);
    return rows == 0;
}

static bool round_is_quiet(world *w)
{
    bool quiet = true;
    for (int a = 0; a < w->device_count; a++) {
        for (int b = a + 1; b < w->device_count && !world_failed(w); b++) {
            device *left = &w->devices[a];
            device *right = &w->devices[b];
            if (!left->absent && !right->absent && left->identity != right->identity) {
                bool none = exchange(w, left, right);
                quiet = quiet && none;
            }
        }
    }
    return quiet;
}

/* Where all recover, or a round has changed nothing: what the first of them has counts. False:
 * nobody recovers. */
static bool help_out(world *w, bool quiet)
{
    device *first = NULL;
    int recovering = 0;
    int present = 0;
    for (int i = 0; i < w->device_count && !world_failed(w); i++) {
        device *d = &w->devices[i];
        bool mine = !d->absent && recovers(d);
        first = mine && first == NULL ? d : first;
        recovering += mine;
        present += !d->absent;
    }
    if (first != NULL && (quiet || recovering == present)) {
        device_enter(first);
        (void)device_answer(first, "accept", tide_sync_accept(first->sync));
        world_note(w, "what device %d has counts", first->number);
    }
    return first != NULL;
}

/* Whatever was written, the drives have seen. */
static void check_drives(world *w)
{
    for (int i = 0; i < w->device_count && !world_failed(w); i++) {
        const char *unseen = disk_unseen(i);
        if (unseen == NULL) {
            device_close(&w->devices[i]);
            unseen = disk_unseen(i);
        }
        if (unseen != NULL) {
            world_fail(w, "simulator", "drive %d: writes to %s were not seen", i, unseen);
        }
    }
}

void heal(world *w)
{
    snapshot best;
    int still = 0; /* so many rounds changed nothing */
    bool recovering = false;
    for (int i = 0; i < w->device_count && !world_failed(w); i++) {
        disk_arm(i, 0);
        if (!w->devices[i].absent && device_open(&w->devices[i])) {
            device_check_kept(&w->devices[i]);
        }
    }
    w->healing = true;
    for (int i = 0; i < w->device_count; i++) {
        link_cut_all(&w->devices[i]);
    }
    if (world_failed(w)) {
        return;
    }
    set_clocks(w);
    check_marks(w);
    check_collect(w, &best);
    int enough = w->clones ? ROUNDS_QUIET_CLONES : 1;
    int most = w->clones                 ? ROUNDS_MAX_CLONES
               : w->returns || w->prunes ? ROUNDS_MAX_RETURNS
                                         : ROUNDS_MAX;
    for (int i = 0; i < most && still < enough && !world_failed(w); i++) {
        bool quiet = round_is_quiet(w);
        recovering = help_out(w, quiet);
        still = quiet && (!recovering || w->clones) ? still + 1 : 0;
        world_note(w, "healing, round %d: %s", i + 1, quiet ? "nothing was new" : "rows were new");
    }
    if (still < enough) {
        world_fail(w, "no end", "after %d rounds %s", most,
                   recovering ? "somebody still recovers" : "rows are still sent");
    }
    if (!world_failed(w)) {
        check_marks(w);
        check_equal(w, &best);
        check_drives(w);
    }
}
