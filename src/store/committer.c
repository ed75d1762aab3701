/* committer.c - the one way in; see committer.h. */
#include "store/committer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/record.h"
#include "base/rules.h"

#include "base/alloc.h"

/* What a commit is asked for besides publishing what waits. */
typedef struct request {
    enum { FLUSH, ADVANCE, SET, REMOVE } kind;
    const tide__advance *steps; /* ADVANCE, sorted */
    size_t step_count;
    const tide__key *key; /* SET, REMOVE */
    size_t prefix_length; /* REMOVE */
    tide_time expected;   /* SET */
    tide_time desired;
    size_t removed; /* REMOVE: the result */
} request;

/* One transaction: what it is given and what it found out. Played again from the start after growth. */
typedef struct transaction {
    tide__core *core;
    const tide__slot *slots; /* sorted */
    size_t slot_count;
    request *request;
    tide_time now;
    int answer; /* to the request */
} transaction;

void tide__core_init(tide__core *core, tide__environment *environment, const tide_options *options)
{
    core->environment = environment;
    core->clock = options->clock;
    core->clock_ctx = options->clock_ctx;
    atomic_init(&core->committing, 0);
    pthread_mutex_init(&core->commit_lock, NULL);
    pthread_mutex_init(&core->table_lock, NULL);
}

void tide__core_destroy(tide__core *core)
{
    tide__table_free(&core->table);
    pthread_mutex_destroy(&core->table_lock);
    pthread_mutex_destroy(&core->commit_lock);
}

static tide_time now_of(const tide__core *core)
{
    if (core->clock != NULL) {
        tide_time now = core->clock(core->clock_ctx);
        return now == TIDE_TIME_NONE ? 0 : now; /* a record must have a time */
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (tide_time)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- inside a write transaction ----------------------------------------------------------------- */

static int put_mark(const transaction *t, MDB_txn *txn, const tide__key *key, tide_mark *mark,
                    tide__detail *detail)
{
    char record[TIDE__RECORD_MAX];
    const tide__environment *environment = t->core->environment;
    mark->updated_at = t->now;
    MDB_val name = {key->length, (void *)(uintptr_t)key->text}; /* LMDB only reads it */
    MDB_val value = {tide__record_encode(key, mark, record), record};
    int rc = mdb_put(txn, environment->marks, &name, &value, 0);
    return rc == 0 ? TIDE_OK : tide__fail_lmdb(detail, rc, environment->path);
}

static int delete_mark(const transaction *t, MDB_txn *txn, const tide__key *key,
                       tide__detail *detail)
{
    const tide__environment *environment = t->core->environment;
    MDB_val name = {key->length, (void *)(uintptr_t)key->text};
    int rc = mdb_del(txn, environment->marks, &name, NULL);
    return rc == 0 ? TIDE_OK : tide__fail_lmdb(detail, rc, environment->path);
}

static int publish_waiting(const transaction *t, MDB_txn *txn, bool *dirty, tide__detail *detail)
{
    for (size_t i = 0; i < t->slot_count; i++) {
        const tide__slot *slot = &t->slots[i];
        tide_mark now;
        int rc = tide__mark_read(t->core->environment, txn, &slot->key, &now, detail);
        if (rc != TIDE_OK) {
            return rc;
        }
        tide_mark mark = tide__rule_publish(&slot->pending, &now);
        if (mark.watermark != now.watermark) {
            rc = put_mark(t, txn, &slot->key, &mark, detail);
            if (rc != TIDE_OK) {
                return rc;
            }
            *dirty = true;
        }
    }
    return TIDE_OK;
}

/* How many steps from the first on name the same mark. */
static size_t same_key_run(const tide__advance *steps, size_t count)
{
    size_t run = 1;
    while (run < count && strcmp(steps[run].key.text, steps->key.text) == 0) {
        run++;
    }
    return run;
}

/* Judges a run of steps of one mark, one after the other. TIDE_OK: *mark was raised. */
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

/* Two passes: nothing is written until all steps are known to join on. */
static int advance_in(transaction *t, MDB_txn *txn, bool *dirty, tide__detail *detail)
{
    const request *r = t->request;
    t->answer = TIDE_STALE;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0, run = 0; i < r->step_count; i += run) {
            const tide__advance *steps = &r->steps[i];
            tide_mark mark;
            run = same_key_run(steps, r->step_count - i);
            int rc = tide__mark_read(t->core->environment, txn, &steps->key, &mark, detail);
            if (rc != TIDE_OK) {
                return rc;
            }
            int answer = judge_run(steps, run, &mark);
            if (answer == TIDE_GAP || answer == TIDE_CONFLICT) {
                t->answer = answer;
                return TIDE_OK;
            }
            if (answer == TIDE_OK && pass == 1) {
                rc = put_mark(t, txn, &steps->key, &mark, detail);
                if (rc != TIDE_OK) {
                    return rc;
                }
                t->answer = TIDE_OK;
                *dirty = true;
            }
        }
    }
    return TIDE_OK;
}

static int set_in(transaction *t, MDB_txn *txn, bool *dirty, tide__detail *detail)
{
    const request *r = t->request;
    tide_mark mark;
    int rc = tide__mark_read(t->core->environment, txn, r->key, &mark, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    t->answer = tide__rule_set(&mark, r->expected, r->desired);
    if (t->answer != TIDE_OK || r->expected == r->desired) {
        return TIDE_OK;
    }
    *dirty = true;
    return r->desired == TIDE_TIME_NONE ? delete_mark(t, txn, r->key, detail)
                                        : put_mark(t, txn, r->key, &mark, detail);
}

static int remove_in(transaction *t, MDB_txn *txn, bool *dirty, tide__detail *detail)
{
    request *r = t->request;
    const tide__environment *environment = t->core->environment;
    MDB_cursor *cursor = NULL;
    MDB_val key = {r->prefix_length, (void *)(uintptr_t)r->key->text};
    MDB_val value;
    r->removed = 0;
    int rc = mdb_cursor_open(txn, environment->marks, &cursor);
    if (rc != 0) {
        return tide__fail_lmdb(detail, rc, environment->path);
    }
    /* Where a cursor stands after a delete is LMDB's affair: look for the prefix anew each time. */
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE)) == 0 &&
           key.mv_size > r->prefix_length &&
           memcmp(key.mv_data, r->key->text, r->prefix_length) == 0) {
        rc = mdb_cursor_del(cursor, 0);
        if (rc != 0) {
            break;
        }
        r->removed++;
        *dirty = true;
        key = (MDB_val){r->prefix_length, (void *)(uintptr_t)r->key->text};
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? TIDE_OK : tide__fail_lmdb(detail, rc, environment->path);
}

/* The body of the transaction. Anything but TIDE_OK aborts it; with nothing to write that is right. */
static int play(MDB_txn *txn, void *ctx, tide__detail *detail)
{
    transaction *t = ctx;
    bool dirty = false;
    t->answer = TIDE_OK;
    int rc = publish_waiting(t, txn, &dirty, detail);
    if (rc == TIDE_OK) {
        switch (t->request->kind) {
        case FLUSH:
            break;
        case ADVANCE:
            rc = advance_in(t, txn, &dirty, detail);
            break;
        case SET:
            rc = set_in(t, txn, &dirty, detail);
            break;
        case REMOVE:
            rc = remove_in(t, txn, &dirty, detail);
            break;
        }
    }
    return rc == TIDE_OK && !dirty ? TIDE_STALE : rc;
}

/* ---- a commit ----------------------------------------------------------------------------------- */

/* What was published leaves the table; what was raised meanwhile stays, on a new base. */
static void settle(tide__core *core, const tide__slot *slots, size_t count)
{
    pthread_mutex_lock(&core->table_lock);
    for (size_t i = 0; i < count; i++) {
        tide__slot *slot = tide__table_find(&core->table, &slots[i].key);
        if (slot->pending.upto.watermark == slots[i].pending.upto.watermark) {
            tide__table_remove(&core->table, &slots[i].key);
        } else {
            slot->pending.base = slots[i].pending.upto;
        }
    }
    pthread_mutex_unlock(&core->table_lock);
}

static int commit_locked(tide__core *core, request *r, tide__detail *detail)
{
    transaction t = {.core = core, .request = r, .answer = TIDE_OK};
    size_t count = 0;
    pthread_mutex_lock(&core->table_lock);
    tide__slot *slots = tide__table_snapshot(&core->table, &count);
    pthread_mutex_unlock(&core->table_lock);
    if (slots == NULL && count > 0) {
        return TIDE_ENOMEM;
    }
    if (count == 0 && r->kind == FLUSH) {
        return TIDE_OK;
    }
    int rc = core->barrier == NULL ? TIDE_OK : core->barrier(core->barrier_ctx);
    if (rc < 0) {
        (void)tide__fail(detail, rc, "%s: the barrier failed: %s", core->environment->path,
                         tide_strerror(rc));
        tide__free(slots);
        return rc;
    }
    t.slots = slots;
    t.slot_count = count;
    t.now = now_of(core);
    bool removes = r->kind == REMOVE || (r->kind == SET && r->desired == TIDE_TIME_NONE);
    rc = tide__write(core->environment, play, &t, removes, detail);
    if (rc == TIDE_OK || rc == TIDE_STALE) {
        settle(core, slots, count);
        rc = t.answer;
    }
    tide__free(slots);
    return rc;
}

/* A barrier that changes what it is the barrier of would wait for itself. */
static int refuse_reentry(tide__core *core, tide__detail *detail)
{
    return atomic_load(&core->committing) != (uintptr_t)pthread_self()
               ? TIDE_OK
               : tide__fail(detail, TIDE_EBUSY, "%s: called from inside its own barrier",
                            core->environment->path);
}

static int enter_commit(tide__core *core, tide__detail *detail)
{
    int rc = refuse_reentry(core, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    pthread_mutex_lock(&core->commit_lock);
    atomic_store(&core->committing, (uintptr_t)pthread_self());
    return TIDE_OK;
}

static void leave_commit(tide__core *core)
{
    atomic_store(&core->committing, 0);
    pthread_mutex_unlock(&core->commit_lock);
}

static int commit(tide__core *core, request *r, tide__detail *detail)
{
    int rc = enter_commit(core, detail);
    if (rc == TIDE_OK) {
        rc = commit_locked(core, r, detail);
        leave_commit(core);
    }
    return rc;
}

/* ---- the mark as this process sees it ----------------------------------------------------------- */

/* With the table lock held. */
static int view_locked(tide__core *core, const tide__key *key, tide_mark *out, tide__detail *detail)
{
    MDB_txn *txn = NULL;
    int rc = tide__read_begin(core->environment, &txn, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__mark_read(core->environment, txn, key, out, detail);
    tide__read_end(core->environment, txn);
    if (rc == TIDE_OK) {
        const tide__slot *slot = tide__table_find(&core->table, key);
        if (slot != NULL) {
            *out = tide__rule_publish(&slot->pending, out);
        }
    }
    return rc;
}

int tide__core_view(tide__core *core, const tide__key *key, tide_mark *out, tide__detail *detail)
{
    pthread_mutex_lock(&core->table_lock);
    int rc = view_locked(core, key, out, detail);
    pthread_mutex_unlock(&core->table_lock);
    return rc;
}

/* ---- advances ----------------------------------------------------------------------------------- */

static int by_key_then_order(const void *a, const void *b)
{
    const tide__advance *x = a;
    const tide__advance *y = b;
    int order = strcmp(x->key.text, y->key.text);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

/* With the table lock held: judges all, then raises all. `plan` has room for one entry a step. */
static int defer_locked(tide__core *core, const tide__advance *steps, size_t count,
                        tide__pending *plan, tide__detail *detail)
{
    int result = TIDE_STALE;
    int rc = tide__table_reserve(&core->table, count);
    for (size_t i = 0, run = 0; rc == TIDE_OK && i < count; i += run) {
        run = same_key_run(&steps[i], count - i);
        rc = view_locked(core, &steps[i].key, &plan[i].base, detail);
        if (rc == TIDE_OK) {
            plan[i].upto = plan[i].base;
            int answer = judge_run(&steps[i], run, &plan[i].upto);
            if (answer == TIDE_OK) {
                result = TIDE_OK;
            } else if (answer != TIDE_STALE) {
                rc = answer;
            }
        }
    }
    if (rc != TIDE_OK || result != TIDE_OK) {
        return rc != TIDE_OK ? rc : result;
    }
    tide_time now = now_of(core);
    for (size_t i = 0, run = 0; i < count; i += run) {
        run = same_key_run(&steps[i], count - i);
        if (plan[i].upto.watermark != plan[i].base.watermark) {
            plan[i].upto.updated_at = now;
            tide__table_raise(&core->table, &steps[i].key, &plan[i]);
        }
    }
    return TIDE_OK;
}

static int defer(tide__core *core, const tide__advance *steps, size_t count, bool *room,
                 tide__detail *detail)
{
    tide__pending one;
    tide__pending *plan = count == 1 ? &one : tide__malloc(count * sizeof *plan);
    int rc = TIDE_OK;
    if (plan == NULL) {
        return TIDE_ENOMEM;
    }
    pthread_mutex_lock(&core->table_lock);
    *room = core->table.count + count <= TIDE__PENDING_MAX;
    if (*room) {
        rc = defer_locked(core, steps, count, plan, detail);
    }
    pthread_mutex_unlock(&core->table_lock);
    if (plan != &one) {
        tide__free(plan);
    }
    return rc;
}

int tide__core_advance(tide__core *core, tide__advance *steps, size_t count, bool durable,
                       tide__detail *detail)
{
    if (count > 1) {
        qsort(steps, count, sizeof *steps, by_key_then_order);
    }
    bool room = false;
    if (!durable) {
        int rc = refuse_reentry(core, detail);
        if (rc == TIDE_OK) {
            rc = defer(core, steps, count, &room, detail);
        }
        if (rc != TIDE_OK || room) {
            return rc;
        }
    }
    /* Asked for, or the table is full: a commit empties it. */
    request r = {.kind = ADVANCE, .steps = steps, .step_count = count};
    return commit(core, &r, detail);
}

int tide__core_set(tide__core *core, const tide__key *key, tide_time expected, tide_time desired,
                   tide__detail *detail)
{
    request r = {.kind = SET, .key = key, .expected = expected, .desired = desired};
    return commit(core, &r, detail);
}

int tide__core_remove(tide__core *core, const tide__key *prefix, size_t length, size_t *removed,
                      tide__detail *detail)
{
    request r = {.kind = REMOVE, .key = prefix, .prefix_length = length};
    int rc = commit(core, &r, detail);
    if (rc == TIDE_OK) {
        *removed = r.removed;
    }
    return rc;
}

int tide__core_flush(tide__core *core, tide__detail *detail)
{
    request r = {.kind = FLUSH};
    return commit(core, &r, detail);
}

int tide__core_set_barrier(tide__core *core, tide_barrier_fn *fn, void *ctx, const void *owner,
                           tide__detail *detail)
{
    int rc = enter_commit(core, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    if (core->barrier != NULL && core->barrier_owner != owner) {
        rc = tide__fail(detail, TIDE_EBUSY, "%s: another handle has set a barrier",
                        core->environment->path);
    } else {
        core->barrier = fn;
        core->barrier_ctx = ctx;
        core->barrier_owner = fn == NULL ? NULL : owner;
    }
    leave_commit(core);
    return rc;
}
