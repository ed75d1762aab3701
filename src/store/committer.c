/* committer.c - the one way in; see committer.h. */
#include "store/committer.h"

#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/record.h"
#include "base/rules.h"

#include "base/alloc.h"

#define GROUP_STEPS_MAX 4096 /* advances of the calls that share a transaction */
#define GATHER_TRIES 8
#define PORTION_MARKS 32768 /* of a commit of what waits */

/* A call that wants a commit. It lies on the stack of its thread, which waits to be woken:
 * answered, or to lead. */
struct tide__request {
    enum { FLUSH, ADVANCE, SET, REMOVE } kind;
    tide__advance *steps; /* ADVANCE, sorted */
    size_t step_count;
    const tide__id *id; /* SET; REMOVE: without the resource */
    tide_time expected; /* SET */
    tide_time desired;  /* SET */
    tide_mark result;   /* SET: the mark afterwards */
    size_t removed;     /* REMOVE */
    int answer;         /* where the transaction is done */
    tide__detail *detail;

    tide__request *next;
    sem_t woken; /* one of its own: who is woken need not queue for a lock that all want */
    bool leads;
};

/* One transaction: what it is given and what it found out. Played again from the start after growth. */
typedef struct transaction {
    tide__core *core;
    tide__waiting *waiting; /* sorted */
    size_t waiting_count;
    tide__request *group;
    tide_time now;
    uint64_t number;
    uint64_t known;   /* the commit that `waiting` shows the marks of */
    uint64_t rewound; /* the last commit that took a mark back */
    bool dirty;
    bool sparing; /* there is no room for all: only what the call is about is published */
} transaction;

void tide__core_init(tide__core *core, tide__environment *environment, const tide_options *options)
{
    core->environment = environment;
    core->clock = options->clock;
    core->clock_ctx = options->clock_ctx;
    core->queue_end = &core->queue;
    tide__table_init(&core->table);
    atomic_init(&core->committing, 0);
    pthread_mutex_init(&core->commit_lock, NULL);
    pthread_mutex_init(&core->queue_lock, NULL);
}

void tide__core_destroy(tide__core *core)
{
    tide__table_free(&core->table);
    pthread_mutex_destroy(&core->queue_lock);
    pthread_mutex_destroy(&core->commit_lock);
}

static tide_time now_of(const tide__core *core)
{
    return tide__clock_now(core->clock, core->clock_ctx);
}

static void lock_table(tide__core *core)
{
    pthread_mutex_lock(&core->environment->lock);
}

static void unlock_table(tide__core *core)
{
    pthread_mutex_unlock(&core->environment->lock);
}

/* ---- steps of one mark -------------------------------------------------------------------------- */

/* How many steps from the first on name the same mark. */
static size_t run_of(const tide__advance *steps, size_t count)
{
    size_t run = 1;
    while (run < count && tide__id_compare(&steps[run].id, &steps->id) == 0) {
        run++;
    }
    return run;
}

/* Judges a run on *mark, one step after the other. TIDE_OK: *mark was raised. */
static int judge_run(const tide__advance *steps, size_t run, tide_mark *mark)
{
    int answer = TIDE_STALE;
    for (size_t i = 0; i < run; i++) {
        int rc = tide__rule_advance(mark, steps[i].after, steps[i].upto, steps[i].epoch);
        if (rc == TIDE_GAP || rc == TIDE_CONFLICT) {
            return rc;
        }
        if (rc == TIDE_OK) {
            answer = TIDE_OK;
        }
    }
    return answer;
}

/* ---- inside a write transaction ----------------------------------------------------------------- */

static int put_mark(transaction *t, MDB_txn *txn, const tide__id *id, tide_mark *mark,
                    tide__detail *detail)
{
    char record[TIDE__RECORD_MAX];
    tide__key key;
    const tide__environment *environment = t->core->environment;
    mark->updated_at = t->now;
    tide__key_of(id, &key);
    MDB_val name = {key.length, key.text};
    MDB_val value = {tide__record_encode(&key, mark, record), record};
    int rc = mdb_put(txn, environment->marks, &name, &value, 0);
    t->dirty = true;
    return rc == 0 ? TIDE_OK : tide__fail_lmdb(detail, rc, environment->path);
}

static int delete_mark(transaction *t, MDB_txn *txn, const tide__id *id, tide__detail *detail)
{
    tide__key key;
    const tide__environment *environment = t->core->environment;
    tide__key_of(id, &key);
    MDB_val name = {key.length, key.text};
    int rc = mdb_del(txn, environment->marks, &name, NULL);
    t->dirty = true;
    return rc == 0 ? TIDE_OK : tide__fail_lmdb(detail, rc, environment->path);
}

static int by_key(const void *a, const void *b)
{
    return tide__id_compare(a, &((const tide__advance *)b)->id);
}

/* Whether a call looks at the mark, or changes it. */
static bool concerns(const tide__request *r, const tide__id *id)
{
    switch (r->kind) {
    case ADVANCE:
        return bsearch(id, r->steps, r->step_count, sizeof *r->steps, by_key) != NULL;
    case SET:
        return tide__id_compare(r->id, id) == 0;
    case REMOVE:
        return memcmp(r->id->device, id->device, sizeof(uuid_t)) == 0 &&
               memcmp(r->id->peer, id->peer, sizeof(uuid_t)) == 0;
    case FLUSH:
    default:
        return true;
    }
}

static int publish_waiting(transaction *t, MDB_txn *txn, tide__detail *detail)
{
    for (size_t i = 0; i < t->waiting_count; i++) {
        tide__waiting *w = &t->waiting[i];
        tide_mark now = w->mark;
        int rc = w->known && t->known == t->number - 1
                     ? TIDE_OK
                     : tide__mark_read(t->core->environment, txn, &w->slot->id, &now, detail);
        if (rc != TIDE_OK) {
            return rc;
        }
        w->result = tide__rule_publish(&w->pending, &now, t->rewound);
        w->passed = t->sparing && !concerns(t->group, &w->slot->id);
        if (w->result.watermark != now.watermark && !w->passed) {
            rc = put_mark(t, txn, &w->slot->id, &w->result, detail);
            if (rc != TIDE_OK) {
                return rc;
            }
        }
    }
    return TIDE_OK;
}

/* Two passes: nothing is written until all steps are known to join on. */
static int advance_in(transaction *t, MDB_txn *txn, tide__request *r, tide__detail *detail)
{
    r->answer = TIDE_STALE;
    for (size_t i = 0, run = 0; i < r->step_count; i += run) {
        tide__advance *steps = &r->steps[i];
        run = run_of(steps, r->step_count - i);
        int rc = tide__mark_read(t->core->environment, txn, &steps->id, &steps->base, detail);
        if (rc != TIDE_OK) {
            return rc;
        }
        steps->result = steps->base;
        rc = judge_run(steps, run, &steps->result);
        if (rc == TIDE_GAP || rc == TIDE_CONFLICT) {
            r->answer = rc;
            return TIDE_OK;
        }
        r->answer = rc == TIDE_OK ? TIDE_OK : r->answer;
    }
    for (size_t i = 0, run = 0; i < r->step_count; i += run) {
        tide__advance *steps = &r->steps[i];
        run = run_of(steps, r->step_count - i);
        if (steps->result.watermark != steps->base.watermark) {
            int rc = put_mark(t, txn, &steps->id, &steps->result, detail);
            if (rc != TIDE_OK) {
                return rc;
            }
        }
    }
    return TIDE_OK;
}

static int set_in(transaction *t, MDB_txn *txn, tide__request *r, tide__detail *detail)
{
    int rc = tide__mark_read(t->core->environment, txn, r->id, &r->result, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    r->answer = tide__rule_set(&r->result, r->expected, r->desired);
    if (r->answer != TIDE_OK || r->expected == r->desired) {
        return TIDE_OK;
    }
    if (r->desired < r->expected) {
        t->rewound = t->number;
    }
    return r->desired == TIDE_TIME_NONE ? delete_mark(t, txn, r->id, detail)
                                        : put_mark(t, txn, r->id, &r->result, detail);
}

static int remove_in(transaction *t, MDB_txn *txn, tide__request *r, tide__detail *detail)
{
    const tide__environment *environment = t->core->environment;
    MDB_cursor *cursor = NULL;
    tide__key prefix;
    tide__key_of(r->id, &prefix);
    MDB_val key = {TIDE__KEY_PEER_END, prefix.text};
    MDB_val value;
    r->removed = 0;
    int rc = mdb_cursor_open(txn, environment->marks, &cursor);
    if (rc != 0) {
        return tide__fail_lmdb(detail, rc, environment->path);
    }
    /* Where a cursor stands after a delete is LMDB's affair: look for the prefix anew each time. */
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE)) == 0 &&
           key.mv_size > TIDE__KEY_PEER_END &&
           memcmp(key.mv_data, prefix.text, TIDE__KEY_PEER_END) == 0) {
        rc = mdb_cursor_del(cursor, 0);
        if (rc != 0) {
            break;
        }
        r->removed++;
        t->dirty = true;
        t->rewound = t->number;
        key = (MDB_val){TIDE__KEY_PEER_END, prefix.text};
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? TIDE_OK : tide__fail_lmdb(detail, rc, environment->path);
}

/* The body of the transaction. Anything but TIDE_OK aborts it; with nothing to write that is right. */
static int play(MDB_txn *txn, void *ctx, tide__detail *detail)
{
    transaction *t = ctx;
    t->dirty = false;
    t->number = mdb_txn_id(txn);
    int rc = tide__rewound_read(t->core->environment, txn, &t->rewound, detail);
    if (rc == TIDE_OK) {
        rc = publish_waiting(t, txn, detail);
    }
    for (tide__request *r = t->group; rc == TIDE_OK && r != NULL; r = r->next) {
        r->answer = TIDE_OK;
        switch (r->kind) {
        case FLUSH:
            break;
        case ADVANCE:
            rc = advance_in(t, txn, r, detail);
            break;
        case SET:
            rc = set_in(t, txn, r, detail);
            break;
        case REMOVE:
            rc = remove_in(t, txn, r, detail);
            break;
        }
    }
    if (rc == TIDE_OK && t->rewound == t->number) {
        rc = tide__rewound_write(t->core->environment, txn, t->number, detail);
    }
    return rc == TIDE_OK && !t->dirty ? TIDE_STALE : rc;
}

/* ---- a commit ----------------------------------------------------------------------------------- */

static void note(tide__core *core, const tide__id *id, const tide_mark *mark, bool current)
{
    tide__slot *slot = tide__table_find(&core->table, id);
    if (slot != NULL) {
        tide__table_note(&core->table, slot, mark, current);
    }
}

/* What the transaction found and wrote goes into the table. */
static void settle(const transaction *t)
{
    tide__core *core = t->core;
    tide__table *table = &core->table;
    lock_table(core);
    uint64_t number = t->dirty ? t->number : t->number - 1;
    bool current = t->dirty ? tide__table_follow(table, number, t->rewound)
                            : tide__table_reach(table, number, t->rewound);
    tide__table_settle(table, t->waiting, t->waiting_count, number, current);
    for (const tide__request *r = t->group; r != NULL; r = r->next) {
        for (size_t i = 0, run = 0; i < r->step_count && r->answer <= TIDE_STALE; i += run) {
            run = run_of(&r->steps[i], r->step_count - i);
            note(core, &r->steps[i].id, &r->steps[i].result, current);
        }
        if (r->kind == SET) {
            note(core, r->id, &r->result, current);
        } else if (r->kind == REMOVE && r->removed > 0) {
            table->generation++; /* whatever the removed ones were: all is read again */
        }
    }
    unlock_table(core);
}

/* Takes marks back: so must be possible in a full store, too. */
static bool takes_back(const tide__request *r)
{
    return r->kind == REMOVE || (r->kind == SET && r->desired < r->expected);
}

static bool only_flushes(const tide__request *group)
{
    while (group != NULL && group->kind == FLUSH) {
        group = group->next;
    }
    return group == NULL;
}

static int transact(transaction *t, tide__detail *detail)
{
    tide__environment *environment = t->core->environment;
    const tide__request *r = t->group;
    bool full = false;
    t->now = now_of(t->core);
    t->sparing = false;
    int rc = tide__write(environment, play, t, takes_back(r), detail);
    full = rc == TIDE_EFULL || rc == TIDE_ENOSPC;
    if (full && t->waiting_count > 0 && r->kind != FLUSH && r->next == NULL) {
        /* Marks that wait for room must not keep others from being overwritten. */
        t->sparing = true;
        rc = tide__write(environment, play, t, takes_back(r), detail);
    }
    if (rc != TIDE_OK && rc != TIDE_STALE) {
        return rc;
    }
    settle(t);
    t->known += t->dirty && t->known == t->number - 1; /* the same, and what was just written */
    return TIDE_OK;
}

static int run_barriers(const tide__core *core, tide__detail *detail)
{
    for (const tide__barrier *b = core->barriers; b != NULL; b = b->next) {
        int rc = b->fn(b->ctx);
        if (rc < 0) {
            return tide__fail(detail, rc, "%s: the barrier failed: %s", core->environment->path,
                              tide_strerror(rc));
        }
    }
    return TIDE_OK;
}

/* Every call of the group has the same failure. */
static void fail_group(tide__request *group, int rc, const tide__detail *detail)
{
    for (tide__request *r = group; r != NULL; r = r->next) {
        r->answer = rc;
        if (r->detail != NULL && r->detail != detail) {
            *r->detail = *detail;
        }
    }
}

/* Each call alone: one has made the transaction of all fail. */
static void transact_each(transaction *t)
{
    tide__request *next = NULL;
    for (tide__request *r = t->group; r != NULL; r = next) {
        next = r->next;
        r->next = NULL;
        t->group = r;
        int rc = transact(t, r->detail);
        if (rc == TIDE_OK && !t->sparing) {
            t->waiting_count = 0; /* published */
        } else if (rc != TIDE_OK) {
            r->answer = rc;
        }
        r->next = next;
    }
}

/* Publishes what waits, but for the last portion, which goes with the group. In order of keys, a
 * portion touches few pages; and pages that one commit frees serve the next but one, so that the
 * file does not grow to hold two of everything. */
static int publish_portions(transaction *t, tide__detail *detail)
{
    tide__request flush = {.kind = FLUSH};
    tide__request *group = t->group;
    size_t left = t->waiting_count;
    int rc = TIDE_OK;
    t->group = &flush;
    t->waiting_count = PORTION_MARKS;
    while (rc == TIDE_OK && left > PORTION_MARKS) {
        rc = transact(t, detail);
        left -= PORTION_MARKS;
        t->waiting += PORTION_MARKS;
    }
    t->group = group;
    t->waiting_count = left;
    return rc;
}

static int publish(transaction *t, tide__detail *detail)
{
    int rc = run_barriers(t->core, detail);
    if (rc == TIDE_OK) {
        rc = publish_portions(t, detail);
    }
    if (rc == TIDE_OK) {
        rc = transact(t, detail);
        if (rc < 0 && rc != TIDE_EUNKNOWN && t->group->next != NULL) {
            transact_each(t);
            rc = TIDE_OK;
        }
    }
    return rc;
}

/* With commit_lock held: answers every call of the group. */
static void commit_group(tide__core *core, tide__request *group)
{
    tide__detail detail;
    transaction t = {.core = core, .group = group};
    tide__detail_clear(&detail);
    int rc = tide__environment_alive(core->environment, &detail);
    lock_table(core);
    tide__waiting *waiting = tide__table_snapshot(&core->table, &t.waiting_count);
    t.known = core->table.transaction;
    unlock_table(core);
    if (rc == TIDE_OK && waiting == NULL && t.waiting_count > 0) {
        rc = TIDE_ENOMEM;
    } else if (rc == TIDE_OK && (t.waiting_count > 0 || !only_flushes(group))) {
        t.waiting = waiting;
        rc = publish(&t, &detail);
    }
    if (rc < 0) {
        fail_group(group, rc, &detail);
    }
    tide__free(waiting);
}

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
    while (!takes_back(first) && last->next != NULL && !takes_back(last->next) &&
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
    commit_group(core, group);
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

/* ---- the mark as this process sees it ----------------------------------------------------------- */

/* The slot of a name if it holds what the file holds; with the table locked. */
static tide__slot *current_slot(tide__core *core, const tide__id *id)
{
    tide__slot *slot = tide__table_find(&core->table, id);
    return slot != NULL && tide__table_current(&core->table, slot,
                                               tide__environment_newest(core->environment))
               ? slot
               : NULL;
}

/* With a snapshot that shows more than commit `known`, the last rewind comes in. */
static int see_rewound(const tide__core *core, MDB_txn *txn, uint64_t known, uint64_t *rewound,
                       tide__detail *detail)
{
    *rewound = 0;
    return mdb_txn_id(txn) > known ? tide__rewound_read(core->environment, txn, rewound, detail)
                                   : TIDE_OK;
}

/* Reads the mark from the file, and keeps it where it is in use. `known` is the commit the table
 * showed before. TIDE_ABSENT: what was read is old already. */
static int load(tide__core *core, const tide__id *id, uint64_t known, tide_mark *out,
                tide__detail *detail)
{
    MDB_txn *txn = NULL;
    uint64_t rewound = 0;
    int rc = tide__read_begin(core->environment, &txn, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    uint64_t number = mdb_txn_id(txn);
    rc = see_rewound(core, txn, known, &rewound, detail);
    if (rc == TIDE_OK) {
        rc = tide__mark_read(core->environment, txn, id, out, detail);
    }
    tide__read_end(core->environment, txn);
    if (rc != TIDE_OK) {
        return rc;
    }
    lock_table(core);
    if (tide__table_reach(&core->table, number, rewound)) {
        tide__slot *slot = tide__table_find(&core->table, id);
        if (slot == NULL && tide__table_worthy(&core->table, id)) {
            tide__table_trim(&core->table, 1);
            slot = tide__table_take(&core->table, id);
        }
        if (slot != NULL) { /* without memory for it, it is read again next time */
            tide__table_note(&core->table, slot, out, true);
            *out = tide__table_view(&core->table, slot);
        }
    } else {
        rc = TIDE_ABSENT;
    }
    unlock_table(core);
    return rc;
}

int tide__core_view(tide__core *core, const tide__id *id, tide_mark *out, tide__detail *detail)
{
    lock_table(core);
    const tide__slot *slot = current_slot(core, id);
    uint64_t known = core->table.transaction;
    if (slot != NULL) {
        *out = tide__table_view(&core->table, slot);
    }
    unlock_table(core);
    int rc = slot != NULL ? TIDE_OK : TIDE_ABSENT;
    while (rc == TIDE_ABSENT) {
        rc = load(core, id, known, out, detail);
    }
    return rc;
}

/* ---- advances ----------------------------------------------------------------------------------- */

static int by_key_then_order(const void *a, const void *b)
{
    const tide__advance *x = a;
    const tide__advance *y = b;
    int order = tide__id_compare(&x->id, &y->id);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

/* With the table locked, and the slots of all runs current: judges all, then raises all. */
static int raise_all(tide__core *core, tide__advance *steps, size_t count)
{
    int answer = TIDE_STALE;
    for (size_t i = 0, run = 0; i < count; i += run) {
        run = run_of(&steps[i], count - i);
        steps[i].base = steps[i].result = tide__table_view(&core->table, steps[i].slot);
        int rc = judge_run(&steps[i], run, &steps[i].result);
        if (rc == TIDE_GAP || rc == TIDE_CONFLICT) {
            return rc;
        }
        answer = rc == TIDE_OK ? TIDE_OK : answer;
    }
    for (size_t i = 0, run = 0; answer == TIDE_OK && i < count; i += run) {
        tide__slot *slot = steps[i].slot;
        run = run_of(&steps[i], count - i);
        if (steps[i].result.watermark == steps[i].base.watermark) {
            continue;
        }
        /* The clock is read once a wait, not once an advance. */
        steps[i].result.updated_at = slot->waiting ? slot->pending.upto.updated_at : now_of(core);
        tide__table_raise(&core->table, slot, &steps[i].base, &steps[i].result);
    }
    return answer;
}

/* Finds the current slots of all runs. */
static bool find_slots(tide__core *core, tide__advance *steps, size_t count)
{
    for (size_t i = 0, run = 0; i < count; i += run) {
        run = run_of(&steps[i], count - i);
        if ((steps[i].slot = current_slot(core, &steps[i].id)) == NULL) {
            return false;
        }
    }
    return true;
}

/* Makes the slots of all runs current, from a snapshot of the newest commit the table knows. */
static int load_slots(tide__core *core, MDB_txn *txn, tide__advance *steps, size_t count,
                      tide__detail *detail)
{
    tide__table *table = &core->table;
    tide__table_trim(table, count);
    for (size_t i = 0, run = 0; i < count; i += run) {
        tide_mark mark;
        run = run_of(&steps[i], count - i);
        tide__slot *slot = tide__table_take(table, &steps[i].id);
        if (slot == NULL) {
            return TIDE_ENOMEM;
        }
        steps[i].slot = slot;
        if (slot->seen != table->generation) {
            int rc = tide__mark_read(core->environment, txn, &slot->id, &mark, detail);
            if (rc != TIDE_OK) {
                return rc;
            }
            tide__table_note(table, slot, &mark, true);
        }
    }
    return TIDE_OK;
}

/* The same over slots that must be read first. TIDE_ABSENT: the snapshot was old already. */
static int defer_cold(tide__core *core, tide__advance *steps, size_t count, uint64_t known,
                      tide__detail *detail)
{
    MDB_txn *txn = NULL;
    uint64_t rewound = 0;
    int rc = tide__read_begin(core->environment, &txn, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = see_rewound(core, txn, known, &rewound, detail);
    lock_table(core);
    if (rc == TIDE_OK) {
        rc = tide__table_reach(&core->table, mdb_txn_id(txn), rewound)
                 ? load_slots(core, txn, steps, count, detail)
                 : TIDE_ABSENT;
    }
    if (rc == TIDE_OK) {
        rc = raise_all(core, steps, count);
    }
    unlock_table(core);
    tide__read_end(core->environment, txn);
    return rc;
}

/* *room: there was a place for as many; else a commit is due. */
static int defer(tide__core *core, tide__advance *steps, size_t count, bool *room,
                 tide__detail *detail)
{
    int rc = TIDE_ABSENT;
    lock_table(core);
    uint64_t known = core->table.transaction;
    *room = core->table.waiting_count + count <= TIDE__WAITING_MAX;
    if (*room && find_slots(core, steps, count)) {
        rc = raise_all(core, steps, count);
    }
    unlock_table(core);
    while (*room && rc == TIDE_ABSENT) {
        rc = defer_cold(core, steps, count, known, detail);
    }
    return rc;
}

int tide__core_advance(tide__core *core, tide__advance *steps, size_t count, bool durable,
                       tide__detail *detail)
{
    if (count > 1) {
        qsort(steps, count, sizeof *steps, by_key_then_order);
    }
    if (!durable) {
        bool room = false;
        int rc = refuse_reentry(core, detail);
        if (rc == TIDE_OK) {
            rc = defer(core, steps, count, &room, detail);
        }
        if (rc != TIDE_ABSENT) {
            return rc;
        }
    }
    /* Asked for, or the table is full: a commit empties it. */
    tide__request r = {.kind = ADVANCE, .steps = steps, .step_count = count};
    return commit(core, &r, detail);
}

/* ---- the other changes -------------------------------------------------------------------------- */

int tide__core_set(tide__core *core, const tide__id *id, tide_time expected, tide_time desired,
                   tide__detail *detail)
{
    tide__request r = {.kind = SET, .id = id, .expected = expected, .desired = desired};
    return commit(core, &r, detail);
}

int tide__core_remove(tide__core *core, const tide__id *id, size_t *removed, tide__detail *detail)
{
    tide__request r = {.kind = REMOVE, .id = id};
    int rc = commit(core, &r, detail);
    if (rc == TIDE_OK) {
        *removed = r.removed;
    }
    return rc;
}

size_t tide__core_waiting(tide__core *core)
{
    lock_table(core);
    size_t count = core->table.waiting_count;
    unlock_table(core);
    return count;
}

int tide__core_flush(tide__core *core, tide__detail *detail)
{
    tide__request r = {.kind = FLUSH};
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
    tide__request r = {.kind = FLUSH, .detail = detail};
    commit_group(core, &r);
    lock_table(core);
    *lost = 0;
    if (r.answer < 0) {
        *lost = core->table.waiting_count;
        tide__table_drop(&core->table);
    }
    unlock_table(core);
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
    tide__request r = {.kind = FLUSH, .detail = detail};
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
        commit_group(core, &r);
        *left = tide__core_waiting(core);
    }
    leave_commit(core);
    return r.answer;
}
