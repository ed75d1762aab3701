/* link.c - two sessions and the messages between them.
 *
 * A message may be lost, repeated or overtaken, as the link's own generator says, so that what is
 * done elsewhere changes nothing here. What is under way when a link is cut may be kept: it reaches
 * the sessions of the next link between the two, as late words of sessions that are over.
 */
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define MILLION 1000000
#define TICK_NS 1000000
#define LATE_TICKS 40 /* what is overtaken waits up to so many */

link_pair *link_between(world *w, int a, int b)
{
    return a < b ? &w->links[a][b] : &w->links[b][a];
}

static void drop_all(letter **queue)
{
    while (*queue != NULL) {
        letter *gone = *queue;
        *queue = gone->next;
        free(gone);
    }
}

/* The page sizes are small, so that feeds take many pages. */
static int open_end(end *e, device *d, const device *peer, sim_random *random)
{
    tide_session_options options;
    tide_session_options_init(&options);
    options.page_rows = (uint32_t)(1 + sim_below(random, sim_below(random, 4) == 0 ? 100 : 8));
    options.page_bytes = 1024;
    bool named = sim_below(random, 2) == 0 && peer->identity != d->identity;
    options.peer = named ? peer->world->devices[peer->identity].id : NULL;
    e->device = d;
    device_enter(d);
    int rc = tide_session_open(d->sync, &options, &e->session);
    d->fresh = false;
    d->ahead = d->ahead && rc != TIDE_OK;
    return rc;
}

bool link_open(link_pair *l, device *a, device *b, const faults *f, uint64_t seed)
{
    link_cut(l, false);
    l->random.state = seed;
    l->faults = *f;
    l->posted = 0;
    l->open = true;
    int rc = open_end(&l->ends[0], a, b, &l->random);
    bool ok = device_answer(a, "session", rc);
    rc = open_end(&l->ends[1], b, a, &l->random);
    return device_answer(b, "session", rc) && ok;
}

void link_cut(link_pair *l, bool lose)
{
    for (int i = 0; i < 2; i++) {
        end *e = &l->ends[i];
        if (e->session != NULL) {
            device_enter(e->device);
            tide_session_close(e->session);
        }
        e->session = NULL;
        if (lose) {
            drop_all(&e->inbox);
        }
    }
    l->open = false;
}

void link_cut_all(device *d)
{
    for (int i = 0; i < DEVICES_MAX; i++) {
        if (i != d->number) {
            link_cut(link_between(d->world, i, d->number), d->world->healing);
        }
    }
}

/* ---- messages ----------------------------------------------------------------------------------- */

static bool happens(link_pair *l, uint32_t ppm)
{
    return ppm > 0 && sim_below(&l->random, MILLION) < ppm;
}

static void post(world *w, link_pair *l, letter **queue, const void *bytes, size_t size)
{
    letter *new = malloc(sizeof *new + size);
    if (new == NULL) {
        world_fail(w, "simulator", "out of memory");
        return;
    }
    uint64_t ticks = 1;
    if (happens(l, l->faults.reorder)) {
        ticks += 1 + sim_below(&l->random, LATE_TICKS);
    }
    new->arrives_ns = w->now_ns + (int64_t)ticks *TICK_NS;
    new->size = size;
    memcpy(new->bytes, bytes, size);
    while (*queue != NULL && (*queue)->arrives_ns <= new->arrives_ns) {
        queue = &(*queue)->next;
    }
    new->next = *queue;
    *queue = new;
}

static void carry(world *w, link_pair *l, letter **queue, const void *bytes, size_t size)
{
    bool lost = happens(l, l->faults.loss);
    bool twice = happens(l, l->faults.duplicate);
    world_hash(w, bytes, size);
    w->messages++;
    l->posted++;
    if (!lost) {
        post(w, l, queue, bytes, size);
    }
    if (twice) {
        post(w, l, queue, bytes, size);
    }
}

/* An error ends the link. Two are nobody's fault: a clock that is too far off, and a clone. */
static bool ended(world *w, link_pair *l, const end *e, const char *what, int rc)
{
    if (rc >= 0 && !disk_is_off(e->device->number)) {
        return false;
    }
    bool clones = l->ends[0].device->identity == l->ends[1].device->identity;
    if (rc == TIDE_ELIBRARY && clones) {
        world_note(w, "device %d meets itself", e->device->number);
    } else if (rc == TIDE_ECLOCK && w->far_clocks && !w->healing) {
        world_note(w, "device %d refuses a version from the future", e->device->number);
    } else {
        (void)device_answer(e->device, what, rc);
    }
    link_cut(l, false);
    return true;
}

/* Sends all that an end has to say. */
static bool speak(world *w, link_pair *l, int from)
{
    end *e = &l->ends[from];
    const void *bytes = NULL;
    size_t size = 0;
    device_enter(e->device);
    tide_session_tick(e->session, w->now_ns);
    int rc = TIDE_OK;
    while (rc == TIDE_OK) {
        rc = tide_session_next(e->session, &bytes, &size);
        if (ended(w, l, e, "next", rc)) {
            return false;
        }
        if (rc == TIDE_OK) {
            carry(w, l, &l->ends[1 - from].inbox, bytes, size);
        }
    }
    return true;
}

/* Hands over the first letter that is there. */
static bool hear(world *w, link_pair *l, int to)
{
    end *e = &l->ends[to];
    letter *first = e->inbox;
    if (first == NULL) {
        return true;
    }
    e->inbox = first->next;
    device_enter(e->device);
    e->device->fresh = false;
    tide_session_tick(e->session, w->now_ns);
    int rc = tide_session_receive(e->session, first->bytes, first->size);
    free(first);
    return !ended(w, l, e, "receive", rc);
}

static int64_t earlier(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

bool link_run(link_pair *l, uint64_t most)
{
    for (uint64_t i = 0; l->open && i < most;) {
        world *w = l->ends[0].device->world;
        if (!speak(w, l, 0) || !speak(w, l, 1)) {
            return true;
        }
        int64_t arrivals[2];
        for (int e = 0; e < 2; e++) {
            arrivals[e] = l->ends[e].inbox == NULL ? INT64_MAX : l->ends[e].inbox->arrives_ns;
        }
        int64_t letters = earlier(arrivals[0], arrivals[1]);
        int64_t when = earlier(letters, earlier(tide_session_deadline(l->ends[0].session),
                                                tide_session_deadline(l->ends[1].session)));
        if (when == INT64_MAX) {
            return true;
        }
        w->now_ns = when > w->now_ns ? when : w->now_ns;
        if (letters <= w->now_ns && !hear(w, l, arrivals[1] < arrivals[0])) {
            return true;
        }
        i++;
    }
    return !l->open;
}
