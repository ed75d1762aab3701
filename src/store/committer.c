/* committer.c - the one way in; see committer.h. */
#include "store/committer.h"

#include <sched.h>
#include <stdlib.h>

#include "store/marks.h"
#include "store/publish.h"

#include "base/alloc.h"

#define GROUP_STEPS_MAX 4096 /* advances of the calls that share a transaction */
#define GATHER_TRIES 8

/* ---- the queue ---------------------------------------------------------------------------------- */

/* A barrier that changes what it is the barrier of would wait for itself. */
static int refuse_reentry(tide__core *core, tide__detail *detail)
{
    return atomic_load_explicit(&core->committing, memory_order_relaxed) != (uintptr_t)pthread_self()
               ? TIDE_OK
               : tide__fail(detail, TIDE_EBUSY, "%s: called from inside its own barrier",
                            core->environment->path);
}

static void enter_commit(tide__core *core)
{
    pthread_mutex_lock(&core->commit_lock);
    atomic_store(&core->committing, (uintptr_t)pthread_self());
}

static void leave_commit(tide__core *core)
{
    atomic_store(&core->committing, 0);
    pthread_mutex_unlock(&core->commit_lock);
}

/* Takes the group from the head of the queue. What takes marks back may go beyond the largest size,
 * so it goes alone. */
static tide__request *take_group(tide__core *core)
{
    tide__request *first = core->queue;
    tide__request *last = first;
    size_t steps = first->step_count;
    core->last_group = 1;
    while (!tide__takes_back(first) && last->next != NULL && !tide__takes_back(last->next) &&
           steps + last->next->step_count <= GROUP_STEPS_MAX) {
        last = last->next;
        steps += last->step_count;
        core->last_group++;
    }
    core->queue = last->next;
    core->queue_count -= core->last_group;
    if (core->queue == NULL) {
        core->queue_end = &core->queue;
    }
    last->next = NULL;
    return first;
}

/* Those whom the last commit answered are about to ask for the next. Without a moment's patience
 * for them, large and tiny groups would alternate. */
static void gather(tide__core *core)
{
    size_t expected = core->last_group;
    for (int i = 0; i < GATHER_TRIES && core->queue_count < expected; i++) {
        pthread_mutex_unlock(&core->queue_lock);
        sched_yield();
        pthread_mutex_lock(&core->queue_lock);
    }
}

/* With queue_lock held, which is given up: commits for the head of the queue, and wakes who leads
 * next and who is served. */
static void lead(tide__core *core, const tide__request *self)
{
    core->led = true;
    gather(core);
    tide__request *group = take_group(core);
    pthread_mutex_unlock(&core->queue_lock);
    enter_commit(core);
    tide__publish(core, group);
    leave_commit(core);
    pthread_mutex_lock(&core->queue_lock);
    tide__request *next = core->queue;
    core->led = next != NULL;
    if (next != NULL) {
        next->leads = true;
    }
    pthread_mutex_unlock(&core->queue_lock);
    if (next != NULL) {
        (void)sem_post(&next->woken);
    }
    while (group != NULL) {
        tide__request *served = group;
        group = group->next; /* before its thread goes on */
        if (served != self) {
            (void)sem_post(&served->woken);
        }
    }
}

static int commit(tide__core *core, tide__request *r, tide__detail *detail)
{
    int rc = refuse_reentry(core, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    r->detail = detail;
    (void)sem_init(&r->woken, 0, 0);
    pthread_mutex_lock(&core->queue_lock);
    *core->queue_end = r;
    core->queue_end = &r->next;
    core->queue_count++;
    bool leads = !core->led;
    if (!leads) {
        pthread_mutex_unlock(&core->queue_lock);
        while (sem_wait(&r->woken) != 0) {
            /* a signal */
        }
        leads = r->leads;
        if (leads) {
            pthread_mutex_lock(&core->queue_lock);
        }
    }
    if (leads) {
        lead(core, r);
    }
    (void)sem_destroy(&r->woken);
    return r->answer;
}

/* ---- changes --------------------------------------------------------------------------------- */

static int by_key_then_order(const void *a, const void *b)
{
    const tide__advance *x = a;
    const tide__advance *y = b;
    int order = tide__id_compare(&x->id, &y->id);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

int tide__core_advance(tide__core *core, tide__advance *steps, size_t count, bool durable,
                       tide__detail *detail)
{
    if (count > 1) {
        qsort(steps, count, sizeof *steps, by_key_then_order);
    }
    if (!durable) {
        int rc = refuse_reentry(core, detail);
        if (rc == TIDE_OK) {
            rc = tide__core_defer(core, steps, count, detail);
        }
        if (rc != TIDE__NO_ROOM) {
            return rc;
        }
    }
    /* Asked for, or the table is full: a commit empties it. */
    tide__request r = {.kind = TIDE__ADVANCE, .steps = steps, .step_count = count};
    return commit(core, &r, detail);
}

int tide__core_import(tide__core *core, tide__advance *steps, size_t count, tide__detail *detail)
{
    tide__key key;
    qsort(steps, count, sizeof *steps, by_key_then_order);
    for (size_t i = 1; i < count; i++) {
        if (tide__id_compare(&steps[i - 1].id, &steps[i].id) == 0) {
            tide__key_of(&steps[i].id, &key);
            return tide__fail(detail, TIDE_EINVAL, "named twice: %s", key.text);
        }
    }
    tide__request r = {
        .kind = TIDE__ADVANCE, .steps = steps, .step_count = count, .passes_over = true};
    int rc = commit(core, &r, detail);
    return rc == TIDE_STALE ? TIDE_OK : rc;
}

int tide__core_set(tide__core *core, const tide__id *id, tide_time expected, tide_time desired,
                   tide__detail *detail)
{
    tide__request r = {.kind = TIDE__SET, .id = id, .expected = expected, .desired = desired};
    return commit(core, &r, detail);
}

int tide__core_remove(tide__core *core, const tide__id *id, size_t *removed, tide__detail *detail)
{
    tide__request r = {.kind = TIDE__REMOVE, .id = id};
    int rc = commit(core, &r, detail);
    if (rc == TIDE_OK) {
        *removed = r.removed;
    }
    return rc;
}

size_t tide__core_waiting(tide__core *core)
{
    tide__core_lock(core);
    size_t count = core->table.waiting_count;
    tide__core_unlock(core);
    return count;
}

int tide__core_flush(tide__core *core, tide__detail *detail)
{
    tide__request r = {.kind = TIDE__FLUSH};
    int rc = refuse_reentry(core, detail);
    if (rc == TIDE_OK) {
        rc = tide__environment_alive(core->environment, detail);
    }
    /* An advance that is just being published waits until it is. */
    return rc != TIDE_OK || tide__core_waiting(core) == 0 ? rc : commit(core, &r, detail);
}

/* ---- barriers ----------------------------------------------------------------------------------- */

/* Inside a commit: nothing may be published without the barrier it waited for. */
static int flush_or_drop(tide__core *core, size_t *lost, tide__detail *detail)
{
    tide__request r = {.kind = TIDE__FLUSH, .detail = detail};
    tide__publish(core, &r);
    tide__core_lock(core);
    *lost = 0;
    if (r.answer < 0) {
        *lost = core->table.waiting_count;
        tide__table_drop(&core->table);
    }
    tide__core_unlock(core);
    return r.answer;
}

static tide__barrier **find_barrier(tide__core *core, const void *ctx)
{
    tide__barrier **link = &core->barriers;
    while (*link != NULL && (*link)->ctx != ctx) {
        link = &(*link)->next;
    }
    return link;
}

static int set_barrier(tide__core *core, tide_barrier_fn *fn, void *ctx, const void *owner,
                       tide__detail *detail)
{
    tide__barrier **link = find_barrier(core, ctx);
    tide__barrier *barrier = *link;
    size_t lost = 0;
    int rc = TIDE_OK;
    if (fn == NULL && barrier != NULL) {
        rc = flush_or_drop(core, &lost, detail);
        core->lost += lost;
        *link = barrier->next;
        tide__free(barrier);
    } else if (fn != NULL) {
        if (barrier == NULL && (barrier = tide__calloc(1, sizeof *barrier)) == NULL) {
            return TIDE_ENOMEM;
        }
        barrier->fn = fn;
        barrier->ctx = ctx;
        barrier->owner = owner;
        *link = barrier;
    }
    return rc;
}

int tide__core_set_barrier(tide__core *core, tide_barrier_fn *fn, void *ctx, const void *owner,
                           tide__detail *detail)
{
    int rc = refuse_reentry(core, detail);
    if (rc == TIDE_OK) {
        enter_commit(core);
        rc = set_barrier(core, fn, ctx, owner, detail);
        leave_commit(core);
    }
    return rc;
}

static bool has_barrier(const tide__core *core, const void *owner)
{
    const tide__barrier *barrier = core->barriers;
    while (barrier != NULL && barrier->owner != owner) {
        barrier = barrier->next;
    }
    return barrier != NULL;
}

int tide__core_leave(tide__core *core, const void *owner, size_t *left, tide__detail *detail)
{
    tide__request r = {.kind = TIDE__FLUSH, .detail = detail};
    enter_commit(core);
    if (has_barrier(core, owner)) {
        r.answer = flush_or_drop(core, left, detail);
        for (tide__barrier **link = &core->barriers; *link != NULL;) {
            tide__barrier *barrier = *link;
            if (barrier->owner == owner) {
                *link = barrier->next;
                tide__free(barrier);
            } else {
                link = &barrier->next;
            }
        }
    } else {
        tide__publish(core, &r);
        *left = tide__core_waiting(core);
    }
    *left += core->lost;
    core->lost = 0;
    leave_commit(core);
    return r.answer;
}
