/* marks.c - marks as this process sees them; see marks.h. */
#include "store/marks.h"

#include "store/meta.h"

/* Private answers lie beyond all codes. */
enum { AGAIN = TIDE__NO_ROOM + 1 };

/* ---- views -------------------------------------------------------------------------------------- */

/* The slot of a name if it holds what the file holds; with the table locked. */
static tide__slot *current_slot(tide__core *core, const tide__id *id)
{
    tide__slot *slot = tide__table_find(&core->table, id);
    return slot != NULL && tide__table_current(&core->table, slot,
                                               tide__environment_newest(core->environment))
               ? slot
               : NULL;
}

/* With a snapshot that shows more than commit `known`: when marks were last taken back. */
static int see_taken(const tide__core *core, MDB_txn *txn, uint64_t known, tide__taken *taken,
                     tide__detail *detail)
{
    *taken = (tide__taken){0, 0};
    return mdb_txn_id(txn) > known ? tide__taken_read(core->environment, txn, taken, detail)
                                   : TIDE_OK;
}

/* Reads the mark from the file, and keeps it where it is in use. `known` is the commit the table
 * showed before. AGAIN: what was read is old already. */
static int load(tide__core *core, const tide__id *id, uint64_t known, tide_mark *out,
                tide__detail *detail)
{
    MDB_txn *txn = NULL;
    tide__taken taken;
    int rc = tide__read_begin(core->environment, &txn, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    uint64_t number = mdb_txn_id(txn);
    rc = see_taken(core, txn, known, &taken, detail);
    if (rc == TIDE_OK) {
        rc = tide__mark_read(core->environment, txn, id, out, detail);
    }
    tide__read_end(core->environment, txn);
    if (rc != TIDE_OK) {
        return rc;
    }
    tide__core_lock(core);
    if (tide__table_reach(&core->table, number, &taken)) {
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
        rc = AGAIN;
    }
    tide__core_unlock(core);
    return rc;
}

int tide__core_view(tide__core *core, const tide__id *id, tide_mark *out, tide__detail *detail)
{
    tide__core_lock(core);
    const tide__slot *slot = current_slot(core, id);
    uint64_t known = core->table.transaction;
    if (slot != NULL) {
        *out = tide__table_view(&core->table, slot);
    }
    tide__core_unlock(core);
    int rc = slot != NULL ? TIDE_OK : AGAIN;
    while (rc == AGAIN) {
        rc = load(core, id, known, out, detail);
    }
    return rc;
}

/* ---- deferred advances -------------------------------------------------------------------------- */

/* With the table locked, and the slots of all runs current: judges all, then raises all. */
static int raise_all(tide__core *core, tide__advance *steps, size_t count)
{
    int answer = TIDE_STALE;
    for (size_t i = 0, run = 0; i < count; i += run) {
        run = tide__run_of(&steps[i], count - i);
        const tide__slot *slot = steps[i].slot;
        steps[i].waits = tide__table_waits(&core->table, slot);
        steps[i].base = steps[i].result = steps[i].waits ? slot->pending.upto : slot->mark;
        int rc = tide__judge_run(&steps[i], run, &steps[i].result);
        if (rc == TIDE_GAP || rc == TIDE_CONFLICT) {
            return rc;
        }
        answer = rc == TIDE_OK ? TIDE_OK : answer;
    }
    for (size_t i = 0, run = 0; answer == TIDE_OK && i < count; i += run) {
        tide__slot *slot = steps[i].slot;
        run = tide__run_of(&steps[i], count - i);
        if (steps[i].result.watermark == steps[i].base.watermark) {
            continue;
        }
        /* The clock is read once a wait, not once an advance. */
        steps[i].result.updated_at =
            steps[i].waits ? slot->pending.upto.updated_at : tide__core_now(core);
        tide__table_raise(&core->table, slot, steps[i].waits, &steps[i].result);
    }
    return answer;
}

/* Finds the current slots of all runs. */
static bool find_slots(tide__core *core, tide__advance *steps, size_t count)
{
    for (size_t i = 0, run = 0; i < count; i += run) {
        run = tide__run_of(&steps[i], count - i);
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
        run = tide__run_of(&steps[i], count - i);
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

/* The same over slots that must be read first. AGAIN: the snapshot was old already. */
static int defer_cold(tide__core *core, tide__advance *steps, size_t count, uint64_t known,
                      tide__detail *detail)
{
    MDB_txn *txn = NULL;
    tide__taken taken;
    int rc = tide__read_begin(core->environment, &txn, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = see_taken(core, txn, known, &taken, detail);
    tide__core_lock(core);
    if (rc == TIDE_OK) {
        rc = tide__table_reach(&core->table, mdb_txn_id(txn), &taken)
                 ? load_slots(core, txn, steps, count, detail)
                 : AGAIN;
    }
    if (rc == TIDE_OK) {
        rc = raise_all(core, steps, count);
    }
    tide__core_unlock(core);
    tide__read_end(core->environment, txn);
    return rc;
}

int tide__core_defer(tide__core *core, tide__advance *steps, size_t count, tide__detail *detail)
{
    int rc = AGAIN;
    tide__core_lock(core);
    uint64_t known = core->table.transaction;
    if (core->table.waiting_count + count > TIDE__WAITING_MAX) {
        rc = TIDE__NO_ROOM;
    } else if (find_slots(core, steps, count)) {
        rc = raise_all(core, steps, count);
    }
    tide__core_unlock(core);
    while (rc == AGAIN) {
        rc = defer_cold(core, steps, count, known, detail);
    }
    return rc;
}
