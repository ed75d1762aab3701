/* history.c - the epochs of our own feed; see history.h. */
#include "sync/history.h"

#include "sync/capture.h"
#include "sync/life.h"
#include "sync/model.h"
#include "sync/transaction.h"

#define SEEN_AHEAD "A peer has seen more of this device than is here: everything is read again."
#define ROLLED_BACK "The database is older than what was known of it: everything is read again."
#define OTHER_MARKS                                                                                \
    "The marks belong to an earlier state of the database: everything is read again."

static void notice(const tide_sync *sync, const char *text)
{
    tide_event event = {.size = sizeof event, .kind = TIDE_EVENT_NOTICE, .text = text};
    tide__emit(sync, &event);
}

/* Runs a query that gives one integer; NULL and no row give `otherwise`. */
static int one_integer(tide_sync *sync, char *sql, tide_time otherwise, tide_time *out)
{
    sqlite3_stmt *statement = NULL;
    int rc = tide__sql_prepare_made(sync->db, sql, &statement, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    *out = otherwise;
    if (rc == TIDE_OK && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
        *out = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

static int raise_newest(tide_sync *sync, const char *resource, void *ctx)
{
    tide_time *newest = ctx;
    int rc = TIDE_OK;
    for (int i = 0; rc == TIDE_OK && i < 2; i++) {
        tide_time stamp = 0;
        rc = one_integer(sync,
                         sqlite3_mprintf("SELECT max(stamp) FROM main.\"tidemark_%w_%s\"", resource,
                                         i == 0 ? "rows" : "gone"),
                         0, &stamp);
        *newest = stamp > *newest ? stamp : *newest;
    }
    return rc;
}

/* The newest stamp of all that was ever captured, also of models that nobody registers now. */
static int newest_stamp(tide_sync *sync, tide_time *out)
{
    int rc = one_integer(
        sync,
        sqlite3_mprintf("SELECT max((SELECT floor FROM main.tidemark_state), "
                        "ifnull((SELECT max(pruned) FROM main.tidemark_resources), 0))"),
        0, out);
    return rc == TIDE_OK ? tide__capture_each(sync, raise_newest, out) : rc;
}

int tide__history_load(tide_sync *sync)
{
    sqlite3_stmt *state = sync->controls[TIDE__CONTROL_STATE];
    int rc = tide__sql_step(state, &sync->detail);
    if (rc == TIDE_OK) {
        sync->epoch = sqlite3_column_int64(state, 0);
        sync->recovering = sqlite3_column_int(state, 1) != 0;
        sync->life = sqlite3_column_int64(state, 2);
        sync->shown = sqlite3_column_int64(state, 3);
        sync->until = sqlite3_column_int64(state, 4);
        (void)sqlite3_reset(state);
    }
    return rc;
}

/* ---- a new epoch -------------------------------------------------------------------------------- */

static int write_epoch(tide_sync *sync)
{
    tide_time newest = 0;
    int rc = tide__history_load(sync);
    if (rc == TIDE_OK) {
        rc = newest_stamp(sync, &newest);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    tide_time epoch = tide__later(sync, sync->epoch);
    rc = tide__sql_run_made(
        sync->db,
        sqlite3_mprintf(
            "INSERT OR REPLACE INTO main.tidemark_epochs VALUES (%lld);"
            "UPDATE main.tidemark_state SET epoch = %lld, recovering = 1, floor = max(floor, %lld), "
            "noted = max(noted, %lld);"
            "DELETE FROM main.tidemark_reads; DELETE FROM main.tidemark_listed;"
            "DELETE FROM main.tidemark_levels;",
            (long long)sync->epoch, (long long)epoch, (long long)newest, (long long)newest),
        &sync->detail);
    return rc == TIDE_OK ? tide__life_begin(sync) : rc;
}

int tide__history_renew(tide_sync *sync, bool seen_ahead)
{
    int rc = tide__begin(sync, TIDE__WRITE);
    if (rc == TIDE_OK) {
        rc = tide__end(sync, write_epoch(sync));
    }
    if (rc == TIDE_OK) {
        rc = tide__marks_failed(sync, tide_watermarks_forget(sync->marks));
    }
    if (rc == TIDE_OK) {
        notice(sync, seen_ahead ? SEEN_AHEAD : ROLLED_BACK);
    }
    return rc;
}

int tide__history_heed(tide_sync *sync, const tide__model *m, const tide__level *seen)
{
    if (seen->epoch != sync->epoch) {
        return TIDE_OK;
    }
    int rc = tide__begin(sync, TIDE__READ);
    if (rc == TIDE_OK) {
        rc = tide__end(sync, tide__life_includes(sync, m, seen->life, seen->stamp));
    }
    return rc == TIDE_CONFLICT ? tide__history_renew(sync, true) : rc == TIDE_STALE ? TIDE_OK : rc;
}

/* Inside a transaction: what the marks will be told. */
static int write_noted(tide_sync *sync, tide_time newest)
{
    return tide__sql_run_made(
        sync->db,
        sqlite3_mprintf("UPDATE main.tidemark_state SET noted = %lld WHERE noted < %lld",
                        (long long)newest, (long long)newest),
        &sync->detail);
}

int tide__history_note(tide_sync *sync)
{
    tide_time newest = 0;
    int rc = tide__model_newest(sync, &newest);
    if (rc != TIDE_OK || newest <= sync->noted) {
        return rc;
    }
    rc = tide__begin(sync, TIDE__APPLY);
    if (rc == TIDE_OK) {
        rc = tide__end(sync, write_noted(sync, newest));
    }
    if (rc == TIDE_OK) {
        sync->noted = newest;
        rc = tide__marks_failed(
            sync, tide_watermarks_raise_history(sync->marks, sync->epoch, newest, TIDE_DEFERRED));
    }
    return rc < 0 ? rc : TIDE_OK;
}

int tide__history_recovered(tide_sync *sync, bool by_decree)
{
    int rc = tide__begin(sync, TIDE__WRITE);
    if (rc == TIDE_OK) {
        rc =
            tide__sql_run(sync->db, "UPDATE main.tidemark_state SET recovering = 0", &sync->detail);
        if (rc == TIDE_OK) {
            rc = tide__history_load(sync);
        }
        rc = tide__end(sync, rc);
    }
    if (rc == TIDE_OK) {
        notice(sync,
               by_decree ? "The rows that are here count." : "Everything has been read again.");
    }
    return rc;
}

/* ---- looking back ------------------------------------------------------------------------------- */

static int is_earlier(tide_sync *sync, tide_time epoch)
{
    tide_time found = TIDE_TIME_NONE;
    int rc =
        one_integer(sync,
                    sqlite3_mprintf("SELECT epoch FROM main.tidemark_epochs WHERE epoch = %lld",
                                    (long long)epoch),
                    TIDE_TIME_NONE, &found);
    return rc == TIDE_OK && found == TIDE_TIME_NONE ? TIDE_ABSENT : rc;
}

/* The marks' history against that of the rows. TIDE_OK: it is ours; TIDE_STALE: it is an earlier
 * one of ours; TIDE_CONFLICT: the rows are behind it. */
static int compare(tide_sync *sync, const tide_mark *known)
{
    tide_time noted = 0;
    int rc = one_integer(sync, sqlite3_mprintf("SELECT noted FROM main.tidemark_state"), 0, &noted);
    if (rc != TIDE_OK || known->watermark == TIDE_TIME_NONE) {
        return rc;
    }
    if (known->epoch == sync->epoch) {
        return known->watermark > noted ? TIDE_CONFLICT : TIDE_OK;
    }
    rc = is_earlier(sync, known->epoch);
    return rc == TIDE_OK ? TIDE_STALE : rc == TIDE_ABSENT ? TIDE_CONFLICT : rc;
}

/* Inside a transaction: compares, and notes the newest stamp, whoever gave it.
 * Rows that are written after a rollback have newer stamps than those that were lost; but they are
 * not what was noted, and before the epoch is new they must not be: else a crash here would hide
 * the rollback. */
static int look_back(tide_sync *sync, const tide_mark *known, tide_time *newest, int *answer)
{
    int rc = tide__history_load(sync);
    if (rc == TIDE_OK) {
        *answer = compare(sync, known);
        rc = *answer < 0 ? *answer : newest_stamp(sync, newest);
    }
    return rc == TIDE_OK && *answer != TIDE_CONFLICT ? write_noted(sync, *newest) : rc;
}

int tide__history_check(tide_sync *sync)
{
    tide_mark known = {TIDE_TIME_NONE, TIDE_TIME_NONE, TIDE_TIME_NONE};
    tide_time newest = 0;
    int answer = TIDE_OK;
    if (sync->looked_back) {
        return TIDE_OK;
    }
    int rc = tide__marks_failed(sync, tide_watermarks_get_history(sync->marks, &known));
    rc = rc == TIDE_ABSENT ? TIDE_OK : rc;
    if (rc == TIDE_OK) {
        rc = tide__begin(sync, TIDE__APPLY);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__end(sync, look_back(sync, &known, &newest, &answer));
    if (rc == TIDE_OK && answer == TIDE_CONFLICT) {
        rc = tide__history_renew(sync, false);
    } else if (rc == TIDE_OK && answer == TIDE_STALE) {
        rc = tide__marks_failed(sync, tide_watermarks_forget(sync->marks));
        notice(sync, OTHER_MARKS);
    }
    if (rc == TIDE_OK) {
        rc = tide__marks_failed(
            sync, tide_watermarks_raise_history(sync->marks, sync->epoch, newest, TIDE_DEFERRED));
    }
    if (rc < 0) {
        return rc;
    }
    sync->looked_back = true;
    sync->noted = newest;
    return TIDE_OK;
}

int tide__history_bound(tide_sync *sync, const tide__model *m, const tide__level seen[],
                        size_t count, tide_time *bound)
{
    *bound = TIDE_TIME_NONE;
    for (size_t i = 0; i < count; i++) {
        tide_time ended = 0;
        int rc = tide__life_end(sync, m, seen[i].life, &ended);
        if (rc == TIDE_OK) {
            *bound = seen[i].stamp < ended ? seen[i].stamp : ended;
            return TIDE_OK;
        }
        if (rc < 0) {
            return rc;
        }
    }
    return TIDE_OK;
}
