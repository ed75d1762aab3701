/* parked.c - rows that cannot be written now; see parked.h. */
#include "sync/parked.h"

#include <string.h>

#include "sync/device.h"
#include "sync/pack.h"
#include "sync/transaction.h"

#include "base/alloc.h"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS main.tidemark_parked (\n"
    "    id INTEGER PRIMARY KEY,   -- the order in which they are tried again\n"
    "    resource TEXT NOT NULL,\n"
    "    key NOT NULL,\n"
    "    version INTEGER NOT NULL,\n"
    "    device INTEGER NOT NULL,\n"
    "    source INTEGER NOT NULL,\n"
    "    deleted INTEGER NOT NULL,\n"
    "    data BLOB NOT NULL,       -- the values, each as MessagePack, one after the other\n"
    "    code INTEGER NOT NULL,    -- why it was refused last, as tidemark/error.h has it,\n"
    "    reason TEXT NOT NULL,     -- and in words\n"
    "    since INTEGER NOT NULL,   -- nanoseconds since 1970\n"
    "    tries INTEGER NOT NULL,\n"
    "    UNIQUE (resource, key)\n"
    ");\n";

#define PARKED "main.tidemark_parked"

static const char *const statement_sql[TIDE__PARKED_STATEMENTS] = {
    [TIDE__PARKED_ANY] = "SELECT EXISTS (SELECT 1 FROM " PARKED ")",
    [TIDE__PARKED_FIND] =
        "SELECT id, version, device FROM " PARKED " WHERE resource = ?1 AND key = ?2",
    [TIDE__PARKED_PUT] = "INSERT INTO " PARKED " (resource, key, version, device, source, deleted, "
                         "data, code, reason, since, tries) "
                         "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1)",
    [TIDE__PARKED_DROP] = "DELETE FROM " PARKED " WHERE id = ?1",
    [TIDE__PARKED_NEXT] =
        "SELECT id, resource, key, version, device, source, deleted, data FROM " PARKED
        " WHERE id <= ?1 ORDER BY id LIMIT 1",
    [TIDE__PARKED_LAST] = "SELECT ifnull(max(id), 0) FROM " PARKED,
    [TIDE__PARKED_AGAIN] = "UPDATE " PARKED " SET id = 1 + (SELECT max(id) FROM " PARKED "), "
                           "tries = tries + 1, code = ?2, reason = ?3 WHERE id = ?1",
    [TIDE__PARKED_COUNT] = "SELECT count(*) FROM " PARKED " WHERE resource = ?1",
    [TIDE__PARKED_LIST] = "SELECT resource, key, version, device, deleted, code, reason, since, "
                          "tries FROM " PARKED " ORDER BY since, resource, key",
    [TIDE__PARKED_MARK] = "SAVEPOINT tidemark_row",
    [TIDE__PARKED_BACK] = "ROLLBACK TO tidemark_row",
    [TIDE__PARKED_UNMARK] = "RELEASE tidemark_row",
};

/* Why a row is refused. */
typedef struct reason {
    int code;
    char text[TIDE__REASON_MAX];
} reason;

int tide__parked_install(tide_sync *sync)
{
    return tide__sql_run(sync->db, schema, &sync->detail);
}

int tide__parked_prepare(tide_sync *sync)
{
    int rc = TIDE_OK;
    for (int i = 0; rc == TIDE_OK && i < TIDE__PARKED_STATEMENTS; i++) {
        rc = tide__sql_prepare(sync->db, statement_sql[i], &sync->parked[i], &sync->detail);
    }
    return rc;
}

void tide__parked_finalize(tide_sync *sync)
{
    for (int i = 0; i < TIDE__PARKED_STATEMENTS; i++) {
        (void)sqlite3_finalize(sync->parked[i]);
        sync->parked[i] = NULL;
    }
}

/* ---- small steps -------------------------------------------------------------------------------- */

/* `rc` is that of all bindings of the statement together. */
static int run_bound(tide_sync *sync, int rc, int which)
{
    return rc == SQLITE_OK ? tide__sql_done(sync->parked[which], &sync->detail)
                           : tide__sql_fail(sync->db, "SQLite", &sync->detail);
}

static int run(tide_sync *sync, int which)
{
    return run_bound(sync, SQLITE_OK, which);
}

/* The first column of a statement that has always one row. */
static int ask(tide_sync *sync, int which, int64_t *out)
{
    int rc = tide__sql_step(sync->parked[which], &sync->detail);
    if (rc == TIDE_OK) {
        *out = sqlite3_column_int64(sync->parked[which], 0);
        (void)sqlite3_reset(sync->parked[which]);
    }
    return rc;
}

static int ask_any(tide_sync *sync, bool *any)
{
    int64_t found = 0;
    int rc = ask(sync, TIDE__PARKED_ANY, &found);
    *any = found != 0;
    return rc;
}

static int drop(tide_sync *sync, sqlite3_int64 id)
{
    return run_bound(sync, sqlite3_bind_int64(sync->parked[TIDE__PARKED_DROP], 1, id),
                     TIDE__PARKED_DROP);
}

/* The reason that the detail has. */
static reason reason_of(const tide_sync *sync, int code)
{
    static const char by_sqlite[] = "SQLite: ";
    const char *text = sync->detail.text;
    reason why = {.code = code};
    text += strncmp(text, by_sqlite, sizeof by_sqlite - 1) == 0 ? sizeof by_sqlite - 1 : 0;
    (void)sqlite3_snprintf(sizeof why.text, why.text, "%s", text);
    return why;
}

/* Whether a statement that is refused may leave something behind. */
static int ask_guard(tide_sync *sync, bool *guarded)
{
    sqlite3_stmt *statement = NULL;
    int rc = tide__sql_prepare(
        sync->db,
        "SELECT EXISTS (SELECT 1 FROM (SELECT type, name FROM main.sqlite_master UNION ALL "
        "SELECT type, name FROM temp.sqlite_master) WHERE type = 'trigger' AND "
        "name NOT GLOB 'tidemark_*')",
        &statement, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    *guarded = rc == TIDE_OK && sqlite3_column_int(statement, 0) != 0;
    (void)sqlite3_finalize(statement);
    return rc;
}

static bool transaction_is_gone(const tide_sync *sync)
{
    return sqlite3_get_autocommit(sync->db) != 0;
}

/* ---- what is parked under a key ----------------------------------------------------------------- */

/* TIDE_OK: *id, and whether the change's version is larger or equal (`newer`); TIDE_ABSENT. */
static int find(tide_sync *sync, const tide__model *m, const tide_change *change, sqlite3_int64 *id,
                int *newer)
{
    sqlite3_stmt *statement = sync->parked[TIDE__PARKED_FIND];
    const unsigned char *device = NULL;
    int bound = sqlite3_bind_text(statement, 1, m->resource, -1, SQLITE_STATIC);
    bound = bound == SQLITE_OK ? tide__bind_value(statement, 2, &change->key) : bound;
    if (bound != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    int rc = tide__sql_step(statement, &sync->detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    *id = sqlite3_column_int64(statement, 0);
    tide_time version = sqlite3_column_int64(statement, 1);
    sqlite3_int64 number = sqlite3_column_int64(statement, 2);
    (void)sqlite3_reset(statement);
    *newer = change->version > version ? 1 : -1;
    if (change->version == version) {
        rc = tide__device_uuid(sync, number, &device);
        *newer = rc == TIDE_OK ? uuid_compare(change->version_device, device) : 0;
    }
    return rc;
}

/* After a row was written: what is parked under its key goes, unless it is newer. */
static int forget(tide__apply *apply, const tide__model *m, const tide_change *change)
{
    sqlite3_int64 id = 0;
    int newer = 0;
    int rc = TIDE_OK;
    if (!apply->parked_asked) {
        rc = ask_any(apply->sync, &apply->parked);
        apply->parked_asked = rc == TIDE_OK;
    }
    if (rc != TIDE_OK || !apply->parked) {
        return rc;
    }
    rc = find(apply->sync, m, change, &id, &newer);
    if (rc == TIDE_OK && newer >= 0) {
        rc = drop(apply->sync, id);
    }
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

static int put(tide__apply *apply, const tide__model *m, const tide_change *change,
               const tide__buffer *data, const reason *why)
{
    tide_sync *sync = apply->sync;
    sqlite3_stmt *statement = sync->parked[TIDE__PARKED_PUT];
    sqlite3_int64 device = 0;
    int rc = tide__device_id(sync, change->version_device, 0, &device);
    if (rc != TIDE_OK) {
        return rc;
    }
    const struct {
        int at;
        sqlite3_int64 value;
    } numbers[] = {{3, change->version}, {4, device},    {5, apply->source},
                   {6, change->deleted}, {8, why->code}, {10, tide__now(sync)}};
    int bound = sqlite3_bind_text(statement, 1, m->resource, -1, SQLITE_STATIC);
    if (bound == SQLITE_OK) {
        bound = tide__bind_value(statement, 2, &change->key);
    }
    for (size_t i = 0; bound == SQLITE_OK && i < sizeof numbers / sizeof *numbers; i++) {
        bound = sqlite3_bind_int64(statement, numbers[i].at, numbers[i].value);
    }
    if (bound == SQLITE_OK) { /* a NULL pointer would mean NULL */
        bound = data->size == 0
                    ? sqlite3_bind_zeroblob(statement, 7, 0)
                    : sqlite3_bind_blob64(statement, 7, data->bytes, data->size, SQLITE_STATIC);
    }
    if (bound == SQLITE_OK) {
        bound = sqlite3_bind_text(statement, 9, why->text, -1, SQLITE_STATIC);
    }
    rc = run_bound(sync, bound, TIDE__PARKED_PUT);
    (void)sqlite3_clear_bindings(statement); /* they end with this call */
    return rc;
}

/* TIDE_OK; TIDE_STALE: a row that is parked is as new. */
static int park(tide__apply *apply, const tide__model *m, const tide_change *change,
                const reason *why)
{
    tide__buffer data = {NULL, 0, 0, false};
    sqlite3_int64 id = 0;
    int newer = 0;
    int rc = find(apply->sync, m, change, &id, &newer);
    if (rc == TIDE_OK) {
        rc = newer > 0 ? drop(apply->sync, id) : TIDE_STALE;
    }
    if (rc != TIDE_OK && rc != TIDE_ABSENT) {
        return rc;
    }
    msgpack_packer packer;
    tide__packer(&data, &packer);
    for (size_t i = 0; i < change->value_count; i++) {
        tide__pack_value(&packer, &change->values[i]);
    }
    rc = data.failed ? TIDE_ENOMEM : put(apply, m, change, &data, why);
    tide__buffer_free(&data);
    apply->parked_asked = apply->parked = true;
    return rc;
}

/* ---- a row that arrives ------------------------------------------------------------------------- */

int tide__parked_write(tide__apply *apply, tide__model *m, const tide_change *change)
{
    int rc = tide__apply_row(apply, m, change);
    return rc == TIDE_OK ? forget(apply, m, change) : rc;
}

/* The end of the savepoint of a row. One that was refused leaves nothing, the numbers of devices
 * that it was given neither. */
static int end_guard(tide_sync *sync, int answer)
{
    int rc = TIDE_OK;
    if (answer < 0) {
        tide__devices_forget(sync);
        rc = run(sync, TIDE__PARKED_BACK);
    }
    if (rc == TIDE_OK) {
        rc = run(sync, TIDE__PARKED_UNMARK);
    }
    return rc == TIDE_OK ? answer : rc;
}

/* The same in a savepoint, so that a refused row leaves nothing. */
static int write_guarded(tide__apply *apply, tide__model *m, const tide_change *change)
{
    tide_sync *sync = apply->sync;
    int rc = run(sync, TIDE__PARKED_MARK);
    if (rc != TIDE_OK) {
        return rc;
    }
    int answer = tide__parked_write(apply, m, change);
    if (answer < 0 && (!tide__apply_refused(answer) || transaction_is_gone(sync))) {
        return answer;
    }
    return end_guard(sync, answer);
}

int tide__parked_apply(tide__apply *apply, tide__model *m, const tide_change *change,
                       tide__parking *parking)
{
    tide_sync *sync = apply->sync;
    int answer =
        m->guarded ? write_guarded(apply, m, change) : tide__parked_write(apply, m, change);
    if (!tide__apply_refused(answer)) {
        return answer;
    }
    if (transaction_is_gone(sync)) {
        return tide__apply_explain(apply, m, change, answer);
    }
    reason why = reason_of(sync, answer);
    if (answer == TIDE_ECONSTRAINT && !m->guarded) {
        int rc = ask_guard(sync, &m->guarded);
        apply->again = m->guarded;
        if (rc != TIDE_OK || m->guarded) {
            return rc == TIDE_OK ? answer : rc;
        }
    }
    int rc = park(apply, m, change, &why);
    if (rc == TIDE_OK && parking->count++ == 0) {
        memcpy(parking->reason, why.text, sizeof parking->reason);
    }
    return rc == TIDE_OK ? TIDE_STALE : rc;
}

/* ---- trying again ------------------------------------------------------------------------------- */

/* A parked row, copied: its place is about to change. */
typedef struct waiting {
    sqlite3_int64 id;
    sqlite3_int64 source;
    sqlite3_value *key;
    sqlite3_value *data;
    tide__model *model; /* NULL: not registered */
    tide_change change;
    tide_value values[TIDE_COLUMNS_MAX];
} waiting;

static void free_waiting(waiting *w)
{
    sqlite3_value_free(w->key);
    sqlite3_value_free(w->data);
}

static tide_value value_of(sqlite3_value *value)
{
    tide_value out = {.type = TIDE_NULL};
    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        out.type = TIDE_INTEGER;
        out.integer = sqlite3_value_int64(value);
        break;
    case SQLITE_FLOAT:
        out.type = TIDE_FLOAT;
        out.real = sqlite3_value_double(value);
        break;
    case SQLITE_TEXT:
        out.type = TIDE_STRING;
        out.data = sqlite3_value_text(value);
        out.bytes = (uint32_t)sqlite3_value_bytes(value);
        break;
    case SQLITE_BLOB:
        out.type = TIDE_BYTES;
        out.data = sqlite3_value_blob(value);
        out.bytes = (uint32_t)sqlite3_value_bytes(value);
        break;
    default:
        break;
    }
    return out;
}

/* The next in turn up to a number. TIDE_OK: to be freed; TIDE_ABSENT. */
static int next_waiting(tide_sync *sync, int64_t upto, waiting *w)
{
    sqlite3_stmt *statement = sync->parked[TIDE__PARKED_NEXT];
    const unsigned char *device = NULL;
    if (sqlite3_bind_int64(statement, 1, upto) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    int rc = tide__sql_step(statement, &sync->detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    const char *resource = (const char *)sqlite3_column_text(statement, 1);
    w->id = sqlite3_column_int64(statement, 0);
    w->model = resource == NULL ? NULL : tide__model_find(sync, resource, strlen(resource));
    w->key = sqlite3_value_dup(sqlite3_column_value(statement, 2));
    w->change.version = sqlite3_column_int64(statement, 3);
    sqlite3_int64 number = sqlite3_column_int64(statement, 4);
    w->source = sqlite3_column_int64(statement, 5);
    w->change.deleted = sqlite3_column_int(statement, 6) != 0;
    w->data = sqlite3_value_dup(sqlite3_column_value(statement, 7));
    rc = resource == NULL || w->key == NULL || w->data == NULL ? TIDE_ENOMEM : TIDE_OK;
    (void)sqlite3_reset(statement);
    if (rc == TIDE_OK) {
        rc = tide__device_uuid(sync, number, &device);
    }
    if (rc == TIDE_OK) {
        uuid_copy(w->change.version_device, device);
        w->change.size = sizeof w->change;
        w->change.resource = w->model == NULL ? NULL : w->model->resource;
        w->change.key = value_of(w->key);
    } else {
        free_waiting(w);
    }
    return rc;
}

/* Whether a foreign key that is checked at commit is violated now. */
static bool is_owing(const tide_sync *sync)
{
    int now = 0;
    int most = 0;
    return sqlite3_db_status(sync->db, SQLITE_DBSTATUS_DEFERRED_FKS, &now, &most, 0) == SQLITE_OK &&
           now != 0;
}

/* Writes the row, if it can be. TIDE_OK; TIDE_STALE; TIDE_ECONSTRAINT and the like with the reason;
 * errors. It also must not make the commit fail, which would take the page back each time. */
static int write_waiting(tide__apply *apply, waiting *w, reason *why)
{
    tide_sync *sync = apply->sync;
    bool owing = is_owing(sync);
    int rc = run(sync, TIDE__PARKED_MARK);
    if (rc != TIDE_OK) {
        return rc;
    }
    int answer = tide__apply_row(apply, w->model, &w->change);
    if (answer < 0 && (!tide__apply_refused(answer) || transaction_is_gone(sync))) {
        return tide__apply_explain(apply, w->model, &w->change, answer);
    }
    if (answer < 0) {
        *why = reason_of(sync, answer);
    } else if (answer == TIDE_OK && !owing && is_owing(sync)) {
        answer = TIDE_ECONSTRAINT;
        *why = (reason){answer, "FOREIGN KEY constraint, checked at commit"};
    }
    return end_guard(sync, answer);
}

static int keep(tide_sync *sync, sqlite3_int64 id, const reason *why)
{
    sqlite3_stmt *statement = sync->parked[TIDE__PARKED_AGAIN];
    int bound = sqlite3_bind_int64(statement, 1, id);
    bound = bound == SQLITE_OK ? sqlite3_bind_int64(statement, 2, why->code) : bound;
    bound =
        bound == SQLITE_OK ? sqlite3_bind_text(statement, 3, why->text, -1, SQLITE_STATIC) : bound;
    int rc = run_bound(sync, bound, TIDE__PARKED_AGAIN);
    (void)sqlite3_clear_bindings(statement);
    return rc;
}

/* TIDE_OK: it was written; TIDE_STALE: it is gone, or stays. */
static int try_again(tide__apply *apply, waiting *w)
{
    tide_sync *sync = apply->sync;
    sqlite3_int64 source = apply->source;
    reason why = {TIDE_EMODEL, "its resource is not registered"};
    int answer = TIDE_EMODEL;
    w->change.values = w->values;
    if (w->model != NULL &&
        !tide__get_values(sqlite3_value_blob(w->data), (size_t)sqlite3_value_bytes(w->data),
                          w->values, TIDE_COLUMNS_MAX, &w->change.value_count)) {
        why = (reason){TIDE_ECORRUPT, "its values are damaged"};
    } else if (w->model != NULL &&
               w->change.value_count != (w->change.deleted ? 0 : w->model->column_count)) {
        why = (reason){TIDE_EMODEL, "the model has other columns than it had"};
    } else if (w->model != NULL) {
        apply->source = w->source;
        answer = write_waiting(apply, w, &why);
        apply->source = source;
        if (answer < 0 && (!tide__apply_refused(answer) || transaction_is_gone(sync))) {
            return answer;
        }
    }
    int rc = answer < 0 ? keep(sync, w->id, &why) : drop(sync, w->id);
    return rc != TIDE_OK || answer == TIDE_OK ? rc : TIDE_STALE;
}

int tide__parked_retry(tide__apply *apply, size_t most, int64_t *upto, uint64_t *written)
{
    tide_sync *sync = apply->sync;
    int rc = *upto == 0 ? ask(sync, TIDE__PARKED_LAST, upto) : TIDE_OK;
    for (size_t tried = 0; rc == TIDE_OK && *upto != 0 && tried < most; tried++) {
        waiting w = {.id = 0};
        rc = next_waiting(sync, *upto, &w);
        if (rc == TIDE_ABSENT) {
            *upto = 0;
            return TIDE_OK;
        }
        if (rc != TIDE_OK) {
            return rc;
        }
        rc = try_again(apply, &w);
        if (rc == TIDE_OK) { /* those before it may fit now */
            written[w.model->place]++;
            rc = ask(sync, TIDE__PARKED_LAST, upto);
        }
        rc = rc == TIDE_STALE ? TIDE_OK : rc;
        free_waiting(&w);
    }
    return rc;
}

/* One transaction of trying again, and its events. */
static int retry_some(tide_sync *sync, tide__purpose purpose, int64_t *upto, uint64_t *all)
{
    uint64_t written[TIDE_MODELS_MAX] = {0};
    tide__apply apply;
    int rc = tide__apply_begin(&apply, sync, purpose);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__parked_retry(&apply, TIDE__PARKED_PER_ROUND, upto, written);
    rc = tide__apply_end(&apply, rc);
    for (size_t i = 0; rc == TIDE_OK && i < sync->model_count; i++) {
        *all += written[i];
        if (written[i] > 0) {
            tide__tell_changed(sync, NULL, sync->models[i], written[i]);
        }
    }
    return rc;
}

int tide__parked_settle(tide_sync *sync)
{
    bool any = false;
    int64_t upto = 0;
    uint64_t written = 0;
    int rc = ask_any(sync, &any);
    return rc == TIDE_OK && any ? retry_some(sync, TIDE__APPLY, &upto, &written) : rc;
}

#define UUID "(SELECT uuid FROM main.tidemark_devices WHERE id = %s)"

int tide__parked_prune(tide_sync *sync, const tide__model *m, tide_time upto)
{
    return tide__sql_run_made(
        sync->db,
        sqlite3_mprintf("DELETE FROM " PARKED " AS p WHERE resource = %Q AND EXISTS (SELECT 1 FROM "
                        "main.\"tidemark_%w_gone\" g WHERE g.key = p.key AND g.stamp <= %lld AND "
                        "(p.version, " UUID ") <= (ifnull(g.version, g.stamp), " UUID "))",
                        m->resource, m->resource, (long long)upto, "p.device", "g.device"),
        &sync->detail);
}

/* ---- for the application ------------------------------------------------------------------------ */

int tide_sync_retry_parked(tide_sync *sync, size_t *written)
{
    uint64_t all = 0;
    int64_t upto = 0;
    int rc = TIDE_OK;
    if (sync == NULL) {
        return TIDE_EINVAL;
    }
    do {
        rc = retry_some(sync, TIDE__WRITE, &upto, &all);
    } while (rc == TIDE_OK && upto != 0);
    if (rc == TIDE_OK && written != NULL) {
        *written = (size_t)all;
    }
    return rc;
}

static int show(tide_sync *sync, sqlite3_stmt *statement, tide_parked_fn *fn, void *ctx)
{
    const unsigned char *device = NULL;
    int rc = tide__device_uuid(sync, sqlite3_column_int64(statement, 3), &device);
    if (rc != TIDE_OK) {
        return rc;
    }
    tide_parked row = {.size = sizeof row,
                       .deleted = sqlite3_column_int(statement, 4) != 0,
                       .resource = (const char *)sqlite3_column_text(statement, 0),
                       .key = value_of(sqlite3_column_value(statement, 1)),
                       .version = sqlite3_column_int64(statement, 2),
                       .code = sqlite3_column_int(statement, 5),
                       .reason = (const char *)sqlite3_column_text(statement, 6),
                       .since = sqlite3_column_int64(statement, 7),
                       .tries = (uint64_t)sqlite3_column_int64(statement, 8)};
    uuid_copy(row.version_device, device);
    return row.resource == NULL || row.reason == NULL ? TIDE_ENOMEM : fn(ctx, &row);
}

int tide_sync_parked(tide_sync *sync, tide_parked_fn *fn, void *ctx)
{
    if (sync == NULL || fn == NULL) {
        return TIDE_EINVAL;
    }
    sqlite3_stmt *statement = sync->parked[TIDE__PARKED_LIST];
    int rc = tide__begin(sync, TIDE__READ);
    if (rc != TIDE_OK) {
        return rc;
    }
    int told = TIDE_OK;
    while (told == TIDE_OK && (rc = tide__sql_step(statement, &sync->detail)) == TIDE_OK) {
        told = show(sync, statement, fn, ctx);
    }
    (void)sqlite3_reset(statement);
    rc = tide__end(sync, rc == TIDE_ABSENT ? TIDE_OK : rc);
    return told != TIDE_OK ? told : rc;
}

int tide__parked_count(tide_sync *sync, const tide__model *m, uint64_t *out)
{
    int64_t count = 0;
    sqlite3_stmt *statement = sync->parked[TIDE__PARKED_COUNT];
    if (sqlite3_bind_text(statement, 1, m->resource, -1, SQLITE_STATIC) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    int rc = ask(sync, TIDE__PARKED_COUNT, &count);
    *out = (uint64_t)count;
    return rc;
}
