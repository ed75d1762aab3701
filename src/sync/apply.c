/* apply.c - writing rows of a peer's feed; see apply.h. */
#include "sync/apply.h"

#include "sync/device.h"

#include <string.h>

#include "base/alloc.h"

/* What is here under a key. */
typedef struct present {
    bool alive;
    bool gone;
    bool recorded; /* false: capture was not told of it yet */
    sqlite3_int64 row;
    tide_time version;
    sqlite3_int64 device;
} present;

int tide__apply_begin(tide__apply *apply, tide_sync *sync, tide__purpose purpose)
{
    memset(apply, 0, sizeof *apply);
    apply->sync = sync;
    int rc = tide__begin(sync, purpose);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__sql_run(sync->db, "UPDATE main.tidemark_state SET applying = 1", &sync->detail);
    return rc == TIDE_OK ? TIDE_OK : tide__end(sync, rc);
}

tide_time tide__apply_newest(const tide__apply *apply)
{
    tide_time newest = TIDE_TIME_NONE;
    for (size_t i = 0; i < apply->sync->model_count; i++) {
        if (apply->next[i] != 0 && apply->next[i] - 1 > newest) {
            newest = apply->next[i] - 1;
        }
    }
    return newest;
}

int tide__apply_end(tide__apply *apply, int answer)
{
    tide_sync *sync = apply->sync;
    tide_time given = tide__apply_newest(apply);
    if (answer == TIDE_OK) {
        answer = tide__sql_run_made(
            sync->db,
            sqlite3_mprintf("UPDATE main.tidemark_state SET applying = 0, floor = max(floor, %lld), "
                            "noted = max(noted, %lld)",
                            (long long)apply->newest, (long long)given),
            &sync->detail);
    }
    return tide__end(sync, answer);
}

int tide__apply_check_clock(tide_sync *sync, const tide__model *model, tide_time version)
{
    tide_time now = tide__now(sync);
    tide_time ahead = (tide_time)sync->max_clock_ahead_ms * 1000000;
    if (version <= now || (uint64_t)version - (uint64_t)now <= (uint64_t)ahead) {
        return TIDE_OK;
    }
    return tide__fail(
        &sync->detail, TIDE_ECLOCK,
        "%s: a version lies %lld s ahead of our clock, allowed are %u ms", model->resource,
        (long long)(((uint64_t)version - (uint64_t)now) / 1000000000), sync->max_clock_ahead_ms);
}

/* ---- binding ------------------------------------------------------------------------------------ */

/* A binding that fails leaves what was there, or half of what should be: the step after it must not
 * be taken. */
static void bound(tide__apply *apply, int rc)
{
    if (rc != SQLITE_OK && apply->bind_code == TIDE_OK) {
        apply->bind_code = tide__sql_fail(apply->sync->db, "SQLite", &apply->sync->detail);
    }
}

static void bind_integer(tide__apply *apply, sqlite3_stmt *statement, int at, sqlite3_int64 value)
{
    bound(apply, sqlite3_bind_int64(statement, at, value));
}

/* The values outlive the step, and bindings are overwritten before the next: nothing is copied. */
int tide__bind_value(sqlite3_stmt *statement, int at, const tide_value *value)
{
    switch (value->type) {
    case TIDE_INTEGER:
        return sqlite3_bind_int64(statement, at, value->integer);
    case TIDE_FLOAT:
        return sqlite3_bind_double(statement, at, value->real);
    case TIDE_STRING:
        return sqlite3_bind_text64(statement, at, value->bytes == 0 ? "" : value->data,
                                   value->bytes, SQLITE_STATIC, SQLITE_UTF8);
    case TIDE_BYTES: /* a NULL pointer would mean NULL */
        return value->bytes == 0
                   ? sqlite3_bind_zeroblob(statement, at, 0)
                   : sqlite3_bind_blob64(statement, at, value->data, value->bytes, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(statement, at);
    }
}

static void bind_value(tide__apply *apply, sqlite3_stmt *statement, int at, const tide_value *value)
{
    bound(apply, tide__bind_value(statement, at, value));
}

/* Steps, if everything is bound: tide__sql_step. */
static int step(tide__apply *apply, sqlite3_stmt *statement)
{
    return apply->bind_code != TIDE_OK ? apply->bind_code
                                       : tide__sql_step(statement, &apply->sync->detail);
}

static int run(tide__apply *apply, sqlite3_stmt *statement)
{
    return apply->bind_code != TIDE_OK ? apply->bind_code
                                       : tide__sql_done(statement, &apply->sync->detail);
}

/* The same for a statement that must have changed one row: ON CONFLICT IGNORE and RAISE(IGNORE)
 * refuse in silence. */
static int run_one(tide__apply *apply, sqlite3_stmt *statement)
{
    int rc = run(apply, statement);
    return rc != TIDE_OK || sqlite3_changes(apply->sync->db) == 1
               ? rc
               : tide__fail(&apply->sync->detail, TIDE_ECONSTRAINT,
                            "ignored by the table or a trigger");
}

static int run_with_key(tide__apply *apply, sqlite3_stmt *statement, const tide_value *key)
{
    bind_value(apply, statement, 1, key);
    return run(apply, statement);
}

static int run_with_row(tide__apply *apply, sqlite3_stmt *statement, sqlite3_int64 row)
{
    bind_integer(apply, statement, 1, row);
    return run(apply, statement);
}

/* ---- one row ------------------------------------------------------------------------------------ */

static int find(tide__apply *apply, tide__model *m, const tide_value *key, present *out)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < 2; i++) {
        sqlite3_stmt *statement = m->statements[i == 0 ? TIDE__FIND : TIDE__FIND_GONE];
        bind_value(apply, statement, 1, key);
        int rc = step(apply, statement);
        if (rc == TIDE_ABSENT) {
            continue;
        }
        if (rc != TIDE_OK) {
            return rc;
        }
        out->alive = i == 0;
        out->gone = i == 1;
        out->row = sqlite3_column_int64(statement, 0);
        out->version = sqlite3_column_int64(statement, 1);
        out->device = sqlite3_column_int64(statement, 2);
        out->recorded = sqlite3_column_type(statement, 2) != SQLITE_NULL;
        (void)sqlite3_reset(statement);
        break;
    }
    return TIDE_OK;
}

/* TIDE_OK: the change's (version, device) is larger than what is here, or it is the deletion of
 * this very version; TIDE_STALE. */
static int compare(tide__apply *apply, const tide_change *change, const present *here)
{
    const unsigned char *device = NULL;
    bool known = here->alive || here->gone;
    if (!known || change->version != here->version) {
        return !known || change->version > here->version ? TIDE_OK : TIDE_STALE;
    }
    int rc = tide__device_uuid(apply->sync, here->device, &device);
    if (rc != TIDE_OK) {
        return rc;
    }
    int order = uuid_compare(change->version_device, device);
    return order > 0 || (order == 0 && change->deleted && here->alive) ? TIDE_OK : TIDE_STALE;
}

/* A device-owned row is changed by the device that made what is here, and by no other. */
static int check_owner(tide__apply *apply, const tide__model *m, const tide_change *change,
                       const present *here)
{
    const unsigned char *owner = NULL;
    char text[UUID_STR_LEN];
    if (m->ownership != TIDE_DEVICE_OWNED || !here->recorded) {
        return TIDE_OK;
    }
    int rc = tide__device_uuid(apply->sync, here->device, &owner);
    if (rc != TIDE_OK || uuid_compare(change->version_device, owner) == 0) {
        return rc;
    }
    uuid_unparse_lower(owner, text);
    return tide__fail(&apply->sync->detail, TIDE_EOWNER, "the row belongs to device %s", text);
}

static int next_stamp(tide__apply *apply, tide__model *m, tide_time *out)
{
    if (apply->next[m->place] == 0) {
        sqlite3_stmt *statement = m->statements[TIDE__NEXT];
        int rc = tide__sql_step(statement, &apply->sync->detail);
        if (rc != TIDE_OK) {
            return rc;
        }
        apply->next[m->place] = sqlite3_column_int64(statement, 0);
        (void)sqlite3_reset(statement);
    }
    *out = apply->next[m->place]++;
    return TIDE_OK;
}

/* Binds the record of a row: the statements number their parameters alike. */
static int bind_record(tide__apply *apply, tide__model *m, sqlite3_stmt *statement,
                       const tide_change *change, sqlite3_int64 row)
{
    sqlite3_int64 device = 0;
    tide_time next = 0;
    int rc = tide__device_id(apply->sync, change->version_device, 0, &device);
    if (rc == TIDE_OK) {
        rc = next_stamp(apply, m, &next);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    bind_integer(apply, statement, 1, row);
    bind_value(apply, statement, 2, &change->key);
    bind_integer(apply, statement, 3, next);
    bind_integer(apply, statement, 4, change->version);
    bind_integer(apply, statement, 5, device);
    bind_integer(apply, statement, 6, apply->source);
    return TIDE_OK;
}

/* Writes the record of a live or a deleted row. */
static int stamp(tide__apply *apply, tide__model *m, const tide_change *change, sqlite3_int64 row)
{
    sqlite3_stmt *statement = m->statements[change->deleted ? TIDE__STAMP_GONE : TIDE__STAMP];
    int rc = bind_record(apply, m, statement, change, row);
    return rc == TIDE_OK ? run(apply, statement) : rc;
}

/* The same for a row that was just inserted. A record under its number is of a row that REPLACE
 * took away and told no trigger: its key gets a tombstone first. */
static int stamp_new(tide__apply *apply, tide__model *m, const tide_change *change,
                     sqlite3_int64 row)
{
    sqlite3_stmt *statement = m->statements[TIDE__STAMP_NEW];
    tide_time next = 0;
    int rc = bind_record(apply, m, statement, change, row);
    if (rc == TIDE_OK) {
        rc = run(apply, statement);
    }
    if (rc != TIDE_OK || sqlite3_changes(apply->sync->db) == 1) {
        return rc;
    }
    rc = next_stamp(apply, m, &next);
    if (rc == TIDE_OK) {
        bind_integer(apply, m->statements[TIDE__DISPLACED], 1, row);
        bind_integer(apply, m->statements[TIDE__DISPLACED], 2, next);
        rc = run(apply, m->statements[TIDE__DISPLACED]);
    }
    return rc == TIDE_OK ? stamp(apply, m, change, row) : rc;
}

static int write_live(tide__apply *apply, tide__model *m, const tide_change *change,
                      const present *here)
{
    sqlite3_stmt *statement = m->statements[here->alive ? TIDE__UPDATE : TIDE__INSERT];
    if (here->alive) {
        bind_integer(apply, statement, 1, here->row);
    } else {
        bind_value(apply, statement, 1, &change->key);
    }
    for (size_t i = 0; i < change->value_count; i++) {
        bind_value(apply, statement, (int)i + 2, &change->values[i]);
    }
    int rc = run_one(apply, statement);
    if (rc == TIDE_OK) {
        rc = here->alive ? stamp(apply, m, change, here->row)
                         : stamp_new(apply, m, change, sqlite3_last_insert_rowid(apply->sync->db));
    }
    if (rc == TIDE_OK && here->gone) {
        rc = run_with_key(apply, m->statements[TIDE__UNSTAMP_GONE], &change->key);
    }
    return rc;
}

/* A tombstone is kept also for a key that was never here: others may still follow our feed for it.
 * The record goes last, after a newer one is there. */
static int write_gone(tide__apply *apply, tide__model *m, const tide_change *change,
                      const present *here)
{
    int rc = TIDE_OK;
    if (here->alive) {
        bind_integer(apply, m->statements[TIDE__DELETE], 1, here->row);
        rc = run_one(apply, m->statements[TIDE__DELETE]);
    }
    if (rc == TIDE_OK) {
        rc = stamp(apply, m, change, 0);
    }
    if (rc == TIDE_OK && here->alive) {
        rc = run_with_row(apply, m->statements[TIDE__UNSTAMP], here->row);
    }
    return rc;
}

bool tide__apply_refused(int answer)
{
    return answer == TIDE_ECONSTRAINT || answer == TIDE_EOWNER;
}

int tide__apply_explain(tide__apply *apply, const tide__model *m, const tide_change *change,
                        int answer)
{
    const tide_value *key = &change->key;
    if (!tide__apply_refused(answer)) {
        return answer;
    }
    tide__detail why = apply->sync->detail;
    return tide__fail(&apply->sync->detail, answer, "%s \"%.*s\": %.300s", m->resource,
                      key->type == TIDE_STRING && key->bytes <= 64 ? (int)key->bytes : 0,
                      (const char *)key->data, why.text);
}

int tide__apply_row(tide__apply *apply, tide__model *m, const tide_change *change)
{
    present here;
    if (change->version > apply->newest) {
        apply->newest = change->version;
    }
    int rc = find(apply, m, &change->key, &here);
    if (rc == TIDE_OK) {
        rc = compare(apply, change, &here);
        apply->sync->metrics.changes_stale += rc == TIDE_STALE;
    }
    if (rc == TIDE_OK) {
        rc = check_owner(apply, m, change, &here);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    return change->deleted ? write_gone(apply, m, change, &here)
                           : write_live(apply, m, change, &here);
}
