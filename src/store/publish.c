/* publish.c - one commit; see publish.h. */
#include "store/publish.h"

#include "store/meta.h"
#include "store/sum.h"

#include <stdlib.h>
#include <string.h>

#include "base/record.h"
#include "base/rules.h"

#include "base/alloc.h"

#define PORTION_MARKS 32768 /* of a commit of what waits */

/* One transaction: what it is given and what it found out. Played again from the start after growth. */
typedef struct transaction {
    tide__core *core;
    tide__waiting *waiting; /* sorted */
    size_t waiting_count;
    tide__request *group;
    tide_time now;
    uint64_t number;
    uint64_t known;    /* the commit that `waiting` shows the marks of */
    tide__taken taken; /* this commit included, where it takes marks back */
    MDB_cursor *marks; /* LMDB closes it with the transaction */
    uint64_t growth;   /* of the sum of all checks */
    bool recount;      /* a record that goes does not say what it has added */
    size_t unwritten;  /* marks that waited to be made, and were removed instead */
    bool dirty;
    bool sparing; /* there is no room for all: only what the call is about is published */
    bool damaged; /* something that waits could not be published, here or in a portion before */
    int full;     /* what a portion of what waits was told; TIDE_OK: there was room */
} transaction;

/* ---- inside a write transaction ----------------------------------------------------------------- */

/* A record goes. One that does not hold does not tell what it has added. */
static void goes(transaction *t, const MDB_val *name, const MDB_val *old)
{
    t->recount |= !tide__record_holds(name->mv_data, name->mv_size, old->mv_data, old->mv_size);
    t->growth -= tide__record_check(old->mv_data, old->mv_size);
}

/* Puts the cursor on a mark, whose record goes. */
static int take_out(transaction *t, MDB_val *name)
{
    MDB_val old;
    int rc = mdb_cursor_get(t->marks, name, &old, MDB_SET);
    if (rc == 0) {
        goes(t, name, &old);
    }
    return rc;
}

static int put_mark(transaction *t, const tide__id *id, tide_mark *mark, tide__detail *detail)
{
    char record[TIDE__RECORD_MAX];
    tide__key key;
    mark->updated_at = t->now;
    tide__key_of(id, &key);
    MDB_val name = {key.length, key.text};
    MDB_val value = {tide__record_encode(&key, mark, record), record};
    int rc = take_out(t, &name);
    if (rc == 0 || rc == MDB_NOTFOUND) {
        rc = mdb_cursor_put(t->marks, &name, &value, rc == 0 ? MDB_CURRENT : 0);
    }
    t->growth += tide__record_check(value.mv_data, value.mv_size);
    t->dirty = true;
    return rc == 0 ? TIDE_OK : tide__fail_lmdb(detail, rc, t->core->environment->path);
}

static int delete_mark(transaction *t, const tide__id *id, tide__detail *detail)
{
    tide__key key;
    tide__key_of(id, &key);
    MDB_val name = {key.length, key.text};
    int rc = take_out(t, &name);
    if (rc == 0) {
        rc = mdb_cursor_del(t->marks, 0);
    }
    t->dirty = true;
    return rc == 0 ? TIDE_OK : tide__fail_lmdb(detail, rc, t->core->environment->path);
}

static int id_to_step(const void *a, const void *b)
{
    return tide__id_compare(a, &((const tide__advance *)b)->id);
}

/* Whether a call looks at the mark, or changes it. */
static bool concerns(const tide__request *r, const tide__id *id)
{
    switch (r->kind) {
    case TIDE__ADVANCE:
        return bsearch(id, r->steps, r->step_count, sizeof *r->steps, id_to_step) != NULL;
    case TIDE__SET:
        return tide__id_compare(r->id, id) == 0;
    case TIDE__REMOVE:
        return memcmp(r->id->device, id->device, sizeof(uuid_t)) == 0 &&
               memcmp(r->id->peer, id->peer, sizeof(uuid_t)) == 0;
    case TIDE__FLUSH:
    default:
        return true;
    }
}

/* Whether only a record is damaged. What LMDB itself finds damaged ends the transaction. */
static bool goes_on(const transaction *t, MDB_txn *txn)
{
    MDB_stat unused;
    return mdb_stat(txn, t->core->environment->marks, &unused) == 0;
}

/* Judges one on what the file holds, and writes it where that is what becomes of it. */
static int publish_one(transaction *t, MDB_txn *txn, tide__waiting *w, tide__detail *detail)
{
    const tide__id *id = &w->slot->id;
    tide_mark now = w->mark;
    int rc = w->known && t->known == t->number - 1
                 ? TIDE_OK
                 : tide__mark_read(t->core->environment, txn, id, &now, detail);
    if (rc != TIDE_OK && (rc != TIDE_ECORRUPT || !goes_on(t, txn))) {
        return rc;
    }
    bool stands = rc == TIDE_OK && tide__rule_stands(&w->pending, &now, &t->taken);
    w->result = now;
    if (t->group->kind == TIDE__REMOVE && concerns(t->group, id)) {
        /* Writing it first could need more room than there is. */
        w->outcome = TIDE__REMOVED;
        w->result = TIDE__NO_MARK;
        t->unwritten += stands && now.watermark == TIDE_TIME_NONE;
    } else if (rc != TIDE_OK) {
        w->outcome = TIDE__DAMAGED; /* calls about this mark find that themselves */
        t->damaged = true;
    } else if (!stands) {
        w->outcome = TIDE__DROPPED;
    } else if (t->sparing && !concerns(t->group, id)) {
        w->outcome = TIDE__SPARED;
    } else {
        w->outcome = TIDE__WRITTEN;
        w->result = w->pending.upto;
        return put_mark(t, id, &w->result, detail);
    }
    return TIDE_OK;
}

static int publish_waiting(transaction *t, MDB_txn *txn, tide__detail *detail)
{
    int rc = TIDE_OK;
    t->unwritten = 0;
    for (size_t i = 0; rc == TIDE_OK && i < t->waiting_count; i++) {
        rc = publish_one(t, txn, &t->waiting[i], detail);
    }
    return rc;
}

static void flush_in(const transaction *t, tide__request *r, const tide__detail *detail)
{
    r->answer = t->damaged ? TIDE_ECORRUPT : TIDE_OK;
    if (t->damaged && r->detail != NULL && r->detail != detail) {
        *r->detail = *detail;
    }
}

/* Two passes: nothing is written until all steps are known to join on. */
static int advance_in(transaction *t, MDB_txn *txn, tide__request *r, tide__detail *detail)
{
    r->answer = TIDE_STALE;
    for (size_t i = 0, run = 0; i < r->step_count; i += run) {
        tide__advance *steps = &r->steps[i];
        run = tide__run_of(steps, r->step_count - i);
        int rc = tide__mark_read(t->core->environment, txn, &steps->id, &steps->base, detail);
        if (rc != TIDE_OK) {
            return rc;
        }
        steps->result = steps->base;
        rc = tide__judge_run(steps, run, &steps->result);
        if ((rc == TIDE_GAP || rc == TIDE_CONFLICT) && !r->passes_over) {
            r->answer = rc;
            return TIDE_OK;
        }
        r->answer = rc == TIDE_OK ? TIDE_OK : r->answer;
    }
    for (size_t i = 0, run = 0; i < r->step_count; i += run) {
        tide__advance *steps = &r->steps[i];
        run = tide__run_of(steps, r->step_count - i);
        if (steps->result.watermark != steps->base.watermark) {
            int rc = put_mark(t, &steps->id, &steps->result, detail);
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
        t->taken.back = t->number;
    }
    if (r->desired == TIDE_TIME_NONE) {
        t->taken.removed = t->number;
    }
    return r->desired == TIDE_TIME_NONE ? delete_mark(t, r->id, detail)
                                        : put_mark(t, r->id, &r->result, detail);
}

static int remove_in(transaction *t, tide__request *r, tide__detail *detail)
{
    int rc = 0;
    tide__key prefix;
    tide__key_of(r->id, &prefix);
    MDB_val key = {TIDE__KEY_PEER_END, prefix.text};
    MDB_val value;
    r->removed = t->unwritten;
    /* Where a cursor stands after a delete is LMDB's affair: look for the prefix anew each time. */
    while ((rc = mdb_cursor_get(t->marks, &key, &value, MDB_SET_RANGE)) == 0 &&
           key.mv_size > TIDE__KEY_PEER_END &&
           memcmp(key.mv_data, prefix.text, TIDE__KEY_PEER_END) == 0) {
        goes(t, &key, &value);
        rc = mdb_cursor_del(t->marks, 0);
        if (rc != 0) {
            break;
        }
        r->removed++;
        t->dirty = true;
        t->taken.back = t->taken.removed = t->number;
        key = (MDB_val){TIDE__KEY_PEER_END, prefix.text};
    }
    return rc == 0 || rc == MDB_NOTFOUND ? TIDE_OK
                                         : tide__fail_lmdb(detail, rc, t->core->environment->path);
}

/* The body of the transaction. Anything but TIDE_OK aborts it; with nothing to write that is right. */
static int play(MDB_txn *txn, void *ctx, tide__detail *detail)
{
    transaction *t = ctx;
    tide__environment *environment = t->core->environment;
    t->dirty = t->recount = false;
    t->growth = 0;
    t->number = mdb_txn_id(txn);
    int rc = mdb_cursor_open(txn, environment->marks, &t->marks);
    rc = rc != 0 ? tide__fail_lmdb(detail, rc, environment->path)
                 : tide__taken_read(environment, txn, &t->taken, detail);
    if (rc == TIDE_OK) {
        rc = publish_waiting(t, txn, detail);
    }
    for (tide__request *r = t->group; rc == TIDE_OK && r != NULL; r = r->next) {
        r->answer = TIDE_OK;
        switch (r->kind) {
        case TIDE__FLUSH:
            flush_in(t, r, detail);
            break;
        case TIDE__ADVANCE:
            rc = advance_in(t, txn, r, detail);
            break;
        case TIDE__SET:
            rc = set_in(t, txn, r, detail);
            break;
        case TIDE__REMOVE:
            rc = remove_in(t, r, detail);
            break;
        }
    }
    if (rc == TIDE_OK && t->taken.back == t->number) {
        rc = tide__taken_write(environment, txn, &t->taken, detail);
    }
    if (rc == TIDE_OK && t->dirty) {
        return tide__sum_write(environment, txn, t->growth, t->recount, detail);
    }
    return rc == TIDE_OK ? TIDE_STALE : rc;
}

/* ---- a commit ----------------------------------------------------------------------------------- */

static void note(tide__core *core, const tide__id *id, const tide_mark *mark, bool current)
{
    tide__slot *slot = tide__table_find(&core->table, id);
    if (slot != NULL) {
        tide__table_note(&core->table, slot, mark, current);
    }
}

/* When the commit itself has taken marks back: what waits on other marks is based on what is still
 * true. `before` held until then. */
static void vouch_for_others(const transaction *t, const tide__taken *before)
{
    const tide__table *table = &t->core->table;
    for (size_t i = 0; i < table->waiting_count; i++) {
        tide__slot *slot = table->waiting[i];
        if (slot->seen == table->generation && !concerns(t->group, &slot->id) &&
            tide__rule_stands(&slot->pending, &slot->mark, before)) {
            slot->pending.base = slot->mark;
            slot->pending.based_on = t->number;
        }
    }
}

/* What the transaction found and wrote goes into the table. */
static void settle(const transaction *t)
{
    tide__core *core = t->core;
    tide__table *table = &core->table;
    tide__core_lock(core);
    uint64_t number = t->dirty ? t->number : t->number - 1;
    bool takes_back = t->taken.back == t->number;
    bool next = number == table->transaction + 1;
    tide__taken before = table->taken;
    bool current = t->dirty ? tide__table_follow(table, number, &t->taken)
                            : tide__table_reach(table, number, &t->taken);
    /* What was taken back had been published before that, so it is newer than its new base. */
    tide__table_settle(table, t->waiting, t->waiting_count, number,
                       takes_back ? number - 1 : number, current);
    if (takes_back && next) {
        vouch_for_others(t, &before);
    }
    for (const tide__request *r = t->group; r != NULL; r = r->next) {
        bool done = r->answer == TIDE_OK || r->answer == TIDE_STALE;
        for (size_t i = 0, run = 0; done && i < r->step_count; i += run) {
            run = tide__run_of(&r->steps[i], r->step_count - i);
            note(core, &r->steps[i].id, &r->steps[i].result, current);
        }
        if (r->kind == TIDE__SET) {
            note(core, r->id, &r->result, current);
        } else if (r->kind == TIDE__REMOVE && r->removed > 0) {
            table->generation++; /* whatever the removed ones were: all is read again */
        }
    }
    tide__core_unlock(core);
}

static bool only_flushes(const tide__request *group)
{
    while (group != NULL && group->kind == TIDE__FLUSH) {
        group = group->next;
    }
    return group == NULL;
}

static bool is_full(int rc)
{
    return rc == TIDE_EFULL || rc == TIDE_ENOSPC;
}

static int transact(transaction *t, tide__detail *detail)
{
    tide__environment *environment = t->core->environment;
    const tide__request *r = t->group;
    bool some_wait = t->waiting_count > 0;
    int rc = some_wait ? t->full : TIDE_OK;
    t->now = tide__core_now(t->core);
    t->sparing = false;
    if (rc == TIDE_OK) { /* what lies beyond the largest size is not for what waits */
        rc = tide__write(environment, play, t, !some_wait && tide__takes_back(r), detail);
    }
    if (is_full(rc) && some_wait && r->kind != TIDE__FLUSH && r->next == NULL) {
        /* Marks that wait for room must not keep others from being overwritten. */
        t->sparing = true;
        rc = tide__write(environment, play, t, tide__takes_back(r), detail);
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

/* What was published is settled, and must not be published again over what came after it. */
static void keep_waiting(transaction *t)
{
    size_t left = 0;
    for (size_t i = 0; i < t->waiting_count; i++) {
        if (t->waiting[i].outcome == TIDE__SPARED || t->waiting[i].outcome == TIDE__DAMAGED) {
            t->waiting[left++] = t->waiting[i];
        }
    }
    t->waiting_count = left;
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
        if (rc == TIDE_OK) {
            keep_waiting(t);
        } else {
            r->answer = rc;
        }
        r->next = next;
    }
}

/* Publishes what waits, but for the last portion, which goes with the group. In order of keys, a
 * portion touches few pages; and pages that one commit frees serve the next but one, so that the
 * file does not grow to hold two of everything. Where one finds no room, the group goes with all
 * that is left, and spares it. */
static int publish_portions(transaction *t, tide__detail *detail)
{
    tide__request flush = {.kind = TIDE__FLUSH};
    tide__request *group = t->group;
    size_t left = t->waiting_count;
    int rc = TIDE_OK;
    t->group = &flush;
    t->waiting_count = PORTION_MARKS;
    while (left > PORTION_MARKS && (rc = transact(t, detail)) == TIDE_OK) {
        left -= PORTION_MARKS;
        t->waiting += PORTION_MARKS;
    }
    t->group = group;
    t->waiting_count = left;
    if (is_full(rc) && !only_flushes(group)) {
        t->full = rc;
        rc = TIDE_OK;
    }
    return rc;
}

static int publish_all(transaction *t, tide__detail *detail)
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

static int by_key(const void *a, const void *b)
{
    const tide__waiting *x = a;
    const tide__waiting *y = b;
    return tide__id_compare(&x->slot->id, &y->slot->id);
}

void tide__publish(tide__core *core, tide__request *group)
{
    tide__detail detail;
    transaction t = {.core = core, .group = group};
    tide__detail_clear(&detail);
    int rc = tide__environment_alive(core->environment, &detail);
    tide__core_lock(core);
    tide__waiting *waiting = tide__table_snapshot(&core->table, &t.waiting_count);
    t.known = core->table.transaction;
    tide__core_unlock(core);
    if (rc == TIDE_OK && waiting == NULL && t.waiting_count > 0) {
        rc = TIDE_ENOMEM;
    } else if (rc == TIDE_OK && (t.waiting_count > 0 || !only_flushes(group))) {
        if (t.waiting_count > 1) { /* without the lock: slots that wait stay */
            qsort(waiting, t.waiting_count, sizeof *waiting, by_key);
        }
        t.waiting = waiting;
        rc = publish_all(&t, &detail);
    }
    if (rc < 0) {
        fail_group(group, rc, &detail);
    }
    tide__free(waiting);
}
