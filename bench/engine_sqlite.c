/* engine_sqlite.c - SQLite as its best users would run it, as they would from many threads, and as
 * the plan of the protocol writes it.
 *
 * best  WAL, one connection a thread, BLOB ids and INTEGER times, WITHOUT ROWID, one prepared
 *       conditional upsert, 64 MiB of cache, secure_delete off (Debian turns it on).
 *
 * queue the same, but all threads write through one connection, which commits for all that wait;
 *       with a connection each they would poll for the lock, and flush one by one.
 *
 * plan  the table and indexes of device_resource_watermarks, text everywhere; each change reads,
 *       compares and upserts with statements prepared each time, as that code does.
 *
 * All wait for locks. bench_sql is what the report prints.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines.h"

static const char best_schema[] =
    "CREATE TABLE IF NOT EXISTS marks (device BLOB, peer BLOB, resource TEXT, watermark INTEGER NOT NULL,"
    " updated_at INTEGER NOT NULL, PRIMARY KEY (device, peer, resource)) WITHOUT ROWID";
static const char best_upsert[] =
    "INSERT INTO marks VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET watermark ="
    " excluded.watermark, updated_at = excluded.updated_at WHERE excluded.watermark > watermark";
static const char best_get[] =
    "SELECT watermark FROM marks WHERE device = ?1 AND peer = ?2 AND resource = ?3";

static const char plan_schema[] =
    "CREATE TABLE IF NOT EXISTS device_resource_watermarks (device_uuid TEXT NOT NULL, peer_device_uuid"
    " TEXT NOT NULL, resource_type TEXT NOT NULL, last_watermark TEXT NOT NULL, updated_at TEXT NOT NULL,"
    " PRIMARY KEY (device_uuid, peer_device_uuid, resource_type));"
    "CREATE INDEX IF NOT EXISTS idx_resource_watermarks_peer ON"
    " device_resource_watermarks(peer_device_uuid, resource_type);"
    "CREATE INDEX IF NOT EXISTS idx_resource_watermarks_resource ON"
    " device_resource_watermarks(resource_type)";
static const char plan_get[] =
    "SELECT last_watermark FROM device_resource_watermarks"
    " WHERE device_uuid = ? AND peer_device_uuid = ? AND resource_type = ?";
static const char plan_upsert[] =
    "INSERT INTO device_resource_watermarks (device_uuid, peer_device_uuid, resource_type, last_watermark,"
    " updated_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (device_uuid, peer_device_uuid, resource_type)"
    " DO UPDATE SET last_watermark = excluded.last_watermark, updated_at = excluded.updated_at";

/* An advance that waits for its commit, on the stack of its thread. */
typedef struct queued {
    struct queued *next;
    const mark_id *id;
    tide_time upto;
    int answer;
    bool leads; /* woken to commit for those behind, not answered */
    sem_t woken;
} queued;

struct engine {
    char path[BENCH_PATH];
    durability class;
    bool plan;
    session *writer; /* these of the queue only */
    pthread_mutex_t lock;
    queued *first;
    queued **end;
    size_t count;
    size_t last_group;
    bool led;
};

struct session {
    engine *e;
    sqlite3 *db;
    sqlite3_stmt *upsert; /* best only */
    sqlite3_stmt *get;
};

static const char *name_of(const session *s)
{
    return s->e->plan ? "sqlite-plan" : "sqlite-best";
}

static void check(const session *s, const char *what, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE) {
        engine_failed(name_of(s), what, sqlite3_errmsg(s->db));
    }
}

static void run(const session *s, const char *sql)
{
    check(s, sql, sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

static engine *open_kind(const char *folder, durability class, bool plan)
{
    engine *e = bench_alloc(sizeof *e);
    (void)snprintf(e->path, sizeof e->path, "%s/sync.db", folder);
    e->class = class;
    e->plan = plan;
    return e;
}

static engine *open_best(const char *folder, durability class)
{
    return open_kind(folder, class, false);
}

static engine *open_plan(const char *folder, durability class)
{
    return open_kind(folder, class, true);
}

static void close_engine(engine *e)
{
    free(e);
}

static sqlite3_stmt *prepare(const session *s, const char *sql, unsigned flags)
{
    sqlite3_stmt *statement = NULL;
    check(s, sql, sqlite3_prepare_v3(s->db, sql, -1, flags, &statement, NULL));
    return statement;
}

static session *begin(engine *e)
{
    static const char *const level[CLASSES] = {[D2] = "PRAGMA synchronous = FULL",
                                               [D1] = "PRAGMA synchronous = NORMAL",
                                               [D0] = "PRAGMA synchronous = OFF"};
    session *s = bench_alloc(sizeof *s);
    s->e = e;
    if (sqlite3_open(e->path, &s->db) != SQLITE_OK) {
        engine_failed(name_of(s), "open", e->path);
    }
    (void)sqlite3_busy_timeout(s->db, 60000);
    run(s, "PRAGMA journal_mode = WAL; PRAGMA secure_delete = OFF");
    run(s, level[e->class]);
    if (e->plan) {
        run(s, plan_schema);
    } else {
        run(s, "PRAGMA cache_size = -65536");
        run(s, best_schema);
        s->upsert = prepare(s, best_upsert, SQLITE_PREPARE_PERSISTENT);
        s->get = prepare(s, best_get, SQLITE_PREPARE_PERSISTENT);
    }
    return s;
}

static void end(session *s)
{
    (void)sqlite3_finalize(s->upsert);
    (void)sqlite3_finalize(s->get);
    if (sqlite3_close(s->db) != SQLITE_OK) {
        engine_failed(name_of(s), "close", sqlite3_errmsg(s->db));
    }
    free(s);
}

/* ---- as well as it can be ----------------------------------------------------------------------- */

static void bind_id(sqlite3_stmt *statement, const mark_id *id)
{
    (void)sqlite3_bind_blob(statement, 1, id->device, sizeof(uuid_t), SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 2, id->peer, sizeof(uuid_t), SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 3, id->resource, -1, SQLITE_STATIC);
}

static int best_advance_fn(session *s, const mark_id *id, tide_time upto)
{
    bind_id(s->upsert, id);
    (void)sqlite3_bind_int64(s->upsert, 4, upto);
    (void)sqlite3_bind_int64(s->upsert, 5, wall_clock());
    check(s, "upsert", sqlite3_step(s->upsert));
    check(s, "upsert", sqlite3_reset(s->upsert));
    return sqlite3_changes(s->db) > 0 ? 0 : STALE;
}

static int best_get_fn(session *s, const mark_id *id, tide_time *out)
{
    bind_id(s->get, id);
    int rc = sqlite3_step(s->get);
    check(s, "get", rc);
    *out = rc == SQLITE_ROW ? sqlite3_column_int64(s->get, 0) : TIDE_TIME_NONE;
    check(s, "get", sqlite3_reset(s->get));
    return rc == SQLITE_ROW ? 0 : ABSENT;
}

static void best_scan(session *s, const char *resource, seen_fn *fn, void *ctx)
{
    sqlite3_stmt *statement = prepare(
        s, "SELECT peer, resource, watermark FROM marks WHERE ?1 IS NULL OR resource = ?1", 0);
    int rc = SQLITE_OK;
    (void)sqlite3_bind_text(statement, 1, resource, -1, SQLITE_STATIC);
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        fn(ctx, sqlite3_column_blob(statement, 0), (const char *)sqlite3_column_text(statement, 1),
           sqlite3_column_int64(statement, 2));
    }
    check(s, "scan", rc);
    (void)sqlite3_finalize(statement);
}

/* ---- from many threads ------------------------------------------------------------------------- */

static engine *open_queue(const char *folder, durability class)
{
    engine *e = open_kind(folder, class, false);
    e->writer = begin(e);
    e->end = &e->first;
    (void)pthread_mutex_init(&e->lock, NULL);
    return e;
}

static void close_queue(engine *e)
{
    end(e->writer);
    (void)pthread_mutex_destroy(&e->lock);
    close_engine(e);
}

/* One transaction for all; one alone needs no BEGIN. */
static void commit_group(engine *e, queued *group)
{
    bool several = group->next != NULL;
    if (several) {
        run(e->writer, "BEGIN IMMEDIATE");
    }
    for (queued *q = group; q != NULL; q = q->next) {
        q->answer = best_advance_fn(e->writer, q->id, q->upto);
    }
    if (several) {
        run(e->writer, "COMMIT");
    }
}

/* With the lock held, which is given up: commits for all that wait, as Tidemark's committer does. */
static void lead_queue(engine *e, const queued *self)
{
    e->led = true;
    for (int i = 0; i < 8 && e->count < e->last_group; i++) {
        (void)pthread_mutex_unlock(&e->lock);
        (void)sched_yield();
        (void)pthread_mutex_lock(&e->lock);
    }
    queued *group = e->first;
    e->last_group = e->count;
    e->first = NULL;
    e->end = &e->first;
    e->count = 0;
    (void)pthread_mutex_unlock(&e->lock);
    commit_group(e, group);
    (void)pthread_mutex_lock(&e->lock);
    queued *next = e->first;
    e->led = next != NULL;
    if (next != NULL) {
        next->leads = true;
        (void)sem_post(&next->woken);
    }
    (void)pthread_mutex_unlock(&e->lock);
    while (group != NULL) {
        queued *served = group;
        group = group->next; /* before its thread goes on */
        if (served != self) {
            (void)sem_post(&served->woken);
        }
    }
}

static int queue_advance_fn(session *s, const mark_id *id, tide_time upto)
{
    engine *e = s->e;
    queued q = {.id = id, .upto = upto};
    (void)sem_init(&q.woken, 0, 0);
    (void)pthread_mutex_lock(&e->lock);
    *e->end = &q;
    e->end = &q.next;
    e->count++;
    bool leads = !e->led;
    if (!leads) {
        (void)pthread_mutex_unlock(&e->lock);
        (void)sem_wait(&q.woken);
        leads = q.leads;
        if (leads) {
            (void)pthread_mutex_lock(&e->lock);
        }
    }
    if (leads) {
        lead_queue(e, &q);
    }
    (void)sem_destroy(&q.woken);
    return q.answer;
}

/* ---- as the plan writes it ---------------------------------------------------------------------- */

static void bind_text_id(sqlite3_stmt *statement, const mark_id *id)
{
    char text[UUID_STR_LEN];
    uuid_unparse_lower(id->device, text);
    (void)sqlite3_bind_text(statement, 1, text, -1, SQLITE_TRANSIENT);
    uuid_unparse_lower(id->peer, text);
    (void)sqlite3_bind_text(statement, 2, text, -1, SQLITE_TRANSIENT);
    (void)sqlite3_bind_text(statement, 3, id->resource, -1, SQLITE_STATIC);
}

static int plan_get_fn(session *s, const mark_id *id, tide_time *out)
{
    sqlite3_stmt *statement = prepare(s, plan_get, 0);
    bind_text_id(statement, id);
    int rc = sqlite3_step(statement);
    check(s, "get", rc);
    *out = rc == SQLITE_ROW ? value_time((const char *)sqlite3_column_text(statement, 0),
                                         (size_t)sqlite3_column_bytes(statement, 0))
                            : TIDE_TIME_NONE;
    (void)sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? 0 : ABSENT;
}

static void bind_time(sqlite3_stmt *statement, int at, tide_time time)
{
    char text[TIDE_TIME_TEXT];
    tide_time_format(time, text);
    (void)sqlite3_bind_text(statement, at, text, -1, SQLITE_TRANSIENT);
}

static int plan_advance_fn(session *s, const mark_id *id, tide_time upto)
{
    tide_time existing = TIDE_TIME_NONE;
    if (plan_get_fn(s, id, &existing) == 0 && upto <= existing) {
        return STALE;
    }
    sqlite3_stmt *statement = prepare(s, plan_upsert, 0);
    bind_text_id(statement, id);
    bind_time(statement, 4, upto);
    bind_time(statement, 5, wall_clock());
    check(s, "upsert", sqlite3_step(statement));
    (void)sqlite3_finalize(statement);
    return 0;
}

static void plan_scan(session *s, const char *resource, seen_fn *fn, void *ctx)
{
    sqlite3_stmt *statement =
        prepare(s,
                resource == NULL ? "SELECT peer_device_uuid, resource_type, last_watermark FROM"
                                   " device_resource_watermarks"
                                 : "SELECT peer_device_uuid, resource_type, last_watermark FROM"
                                   " device_resource_watermarks WHERE resource_type = ?1",
                0);
    int rc = SQLITE_OK;
    if (resource != NULL) {
        (void)sqlite3_bind_text(statement, 1, resource, -1, SQLITE_STATIC);
    }
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        uuid_t peer;
        (void)uuid_parse((const char *)sqlite3_column_text(statement, 0), peer);
        fn(ctx, peer, (const char *)sqlite3_column_text(statement, 1),
           value_time((const char *)sqlite3_column_text(statement, 2), 30));
    }
    check(s, "scan", rc);
    (void)sqlite3_finalize(statement);
}

/* ---- both --------------------------------------------------------------------------------------- */

static int load(session *s, const mark_id *const *ids, size_t count, tide_time upto)
{
    run(s, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < count; i++) {
        (void)(s->e->plan ? plan_advance_fn : best_advance_fn)(s, ids[i], upto);
    }
    run(s, "COMMIT");
    return 0;
}

static void flush(session *s)
{
    run(s, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void compact(session *s)
{
    run(s, "VACUUM");
    flush(s);
}

const engine_type engine_sqlite_best = {
    .name = "sqlite-best",
    .how = {[D2] = "WAL, synchronous=FULL", [D1] = "WAL, synchronous=NORMAL", [D0] = "WAL, OFF"},
    .open = open_best,
    .close = close_engine,
    .begin = begin,
    .end = end,
    .advance = best_advance_fn,
    .get = best_get_fn,
    .load = load,
    .flush = flush,
    .scan = best_scan,
    .compact = compact,
};

const engine_type engine_sqlite_queue = {
    .name = "sqlite-queue",
    .how = {[D2] = "WAL, synchronous=FULL, one writer for all threads",
            [D1] = "WAL, synchronous=NORMAL, one writer for all threads",
            [D0] = "WAL, OFF, one writer for all threads"},
    .open = open_queue,
    .close = close_queue,
    .begin = begin,
    .end = end,
    .advance = queue_advance_fn,
    .get = best_get_fn,
    .load = load,
    .flush = flush,
    .scan = best_scan,
    .compact = compact,
};

const engine_type engine_sqlite_plan = {
    .name = "sqlite-plan",
    .how = {[D2] = "WAL, synchronous=FULL", [D1] = "WAL, synchronous=NORMAL", [D0] = "WAL, OFF"},
    .open = open_plan,
    .close = close_engine,
    .begin = begin,
    .end = end,
    .advance = plan_advance_fn,
    .get = plan_get_fn,
    .load = load,
    .flush = flush,
    .scan = plan_scan,
    .compact = compact,
};

const char *const bench_sql[] = {best_schema, best_upsert, best_get, plan_schema,
                                 plan_get,    plan_upsert, NULL};
