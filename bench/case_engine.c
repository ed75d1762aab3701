/* case_engine.c - the sync engine: what watermarks add to an applied change, and a whole first
 * sync.
 *
 * The tax is measured on the engine's apply path, rows in SQLite included: batches of changes in
 * one transaction each (tide_sync_apply_state_changes), by themselves; with Tidemark's marks,
 * raised over each batch's range; and with the plan's way, which reads, compares and upserts a
 * watermark in SQLite for each change.
 *
 * The class is that of the rows. The marks are deferred behind the engine's barrier in both,
 * because that is what the engine does: the promise is that a mark on disk never claims a row that
 * is not, not that it is there when the rows are. The plan's way makes each mark as durable as the
 * rows.
 *
 * Side by side, the disk's moods are larger than what is to be seen: so the time inside the calls
 * for marks, the flush at the end included, is also taken by itself, and the tax is the whole over
 * the whole without it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tidemark/tidemark.h>

#include "entries.h"

#define SECOND INT64_C(1000000000)

/* ---- the tax ------------------------------------------------------------------------------------ */

typedef enum way { WITHOUT, TIDEMARK, PLAN, WAYS } way;

static const char *const way_names[WAYS] = {"without", "tidemark-deferred", "sqlite-plan"};

/* Both ways end with their rows on disk. */
static void flush_rows(const char *folder)
{
    char path[BENCH_PATH + 32];
    (void)snprintf(path, sizeof path, "%s/database.db-wal", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fdatasync(fd) != 0) {
        engine_failed("engine", "flush", path);
    }
    (void)close(fd);
}

/* One sample of one way. */
typedef struct trial {
    tide_library *library;
    char folder[BENCH_PATH];
    durability class;
    way how;
    session *plan; /* PLAN only */
    mark_id mark;
    entry *entries;
    tide_change *changes;
    size_t count;
    size_t batch;
    int64_t marks_ns; /* spent on marks, TIDEMARK only */
} trial;

/* Applies all in batches, and does with the watermarks as `how` says. Nanoseconds a change. */
static double apply_all(trial *t)
{
    tide_sync *sync = tide_library_sync(t->library);
    tide_time at = TIDE_TIME_NONE;
    int64_t began = now_ns();
    for (size_t i = 0; i < t->count; i += t->batch) {
        const tide_change *batch = t->changes + i;
        size_t some = t->count - i < t->batch ? t->count - i : t->batch;
        engine_check("apply", tide_sync_apply_state_changes(
                                  sync, t->mark.peer, batch, some,
                                  t->class == D2 ? TIDE_DURABLE : TIDE_DEFERRED, NULL));
        if (t->how == TIDEMARK) {
            tide_time upto = batch[some - 1].version;
            int64_t before = now_ns();
            engine_check("mark", tide_sync_update_state_watermark(sync, t->mark.peer, "entry", at,
                                                                  upto, SECOND));
            t->marks_ns += now_ns() - before;
            at = upto;
        }
        for (size_t n = 0; t->how == PLAN && n < some; n++) {
            (void)engine_sqlite_plan.advance(t->plan, &t->mark, batch[n].version);
        }
    }
    flush_rows(t->folder);
    if (t->how == TIDEMARK) {
        int64_t before = now_ns();
        engine_check("flush", tide_flush(tide_library_store(t->library)));
        t->marks_ns += now_ns() - before;
    }
    return (double)(now_ns() - began) / (double)t->count;
}

static double tax_sample(const bench *b, trial *t, uint64_t *seed)
{
    t->mark = (mark_id){.resource = "entry"};
    t->entries = bench_alloc(t->count * sizeof *t->entries);
    t->changes = bench_alloc(t->count * sizeof *t->changes);
    memset(t->mark.peer, 7, sizeof t->mark.peer);
    memset(t->mark.device, 8, sizeof t->mark.device);
    fresh_folder(b, "tax", t->folder);
    t->library = open_library(t->folder, NULL);
    make_entries(t->entries, t->count, t->mark.peer, seed, FIRST_TIME);
    for (size_t i = 0; i < t->count; i++) {
        t->changes[i] = t->entries[i].change;
    }
    engine *e = t->how == PLAN ? engine_sqlite_plan.open(t->folder, t->class) : NULL;
    t->plan = e != NULL ? engine_sqlite_plan.begin(e) : NULL;
    double ns = apply_all(t);
    if (e != NULL) {
        engine_sqlite_plan.end(t->plan);
        engine_sqlite_plan.close(e);
    }
    tide_library_close(t->library);
    free(t->entries);
    free(t->changes);
    return ns;
}

static void tax_in(bench *b, durability class, size_t batch, size_t count)
{
    size_t from = b->result_count;
    uint64_t seed = batch + (uint64_t) class;
    unsigned runs = b->quick ? b->runs : 2 * b->runs + 1;
    for (int how = 0; how < WAYS; how++) {
        result *r = result_new(b, "tax", "apply", way_names[how], class, count, "ns/change");
        r->batch = (unsigned)batch;
    }
    result *share = result_new(b, "tax", "share", way_names[TIDEMARK], class, count, "x");
    share->batch = (unsigned)batch;
    for (unsigned run = 0; run < runs; run++) {
        for (int i = 0; i < WAYS; i++) {
            int how = (i + (int)run) % WAYS; /* nobody is always the first */
            /* The plan's way is slow enough to be seen with less. */
            bool less = how == PLAN && class == D2 && count > 2000;
            trial t = {
                .class = class, .how = (way)how, .batch = batch, .count = less ? 2000 : count};
            if (how == PLAN && run >= b->runs) {
                continue;
            }
            double ns = tax_sample(b, &t, &seed);
            spread_add(&b->results[from + (size_t)how].samples, ns);
            if (how == TIDEMARK) {
                double all = ns * (double)t.count;
                spread_add(&share->samples, all / (all - (double)t.marks_ns));
            }
        }
    }
}

void case_tax(bench *b)
{
    size_t from = b->result_count;
    unsigned most = b->quick ? 4 : 1;
    tax_in(b, D1, 1, 8000 / most);
    tax_in(b, D1, 100, 40000 / most);
    tax_in(b, D1, 1000, 40000 / most);
    tax_in(b, D2, 1, 4000 / most);
    tax_in(b, D2, 100, 40000 / most);
    tax_in(b, D2, 1000, 40000 / most);
    results_compare(b, from, "without");
}

/* ---- a first sync ------------------------------------------------------------------------------- */

/* The rows alone: the table of entries, WAL, NORMAL, nothing that captures. */
static double insert_sample(const bench *b, const entry *entries, size_t count, size_t batch)
{
    char path[BENCH_PATH];
    char file[BENCH_PATH + 32];
    sqlite3 *db = NULL;
    fresh_folder(b, "insert", path);
    (void)snprintf(file, sizeof file, "%s/plain.db", path);
    if (sqlite3_open(file, &db) != SQLITE_OK) {
        engine_failed("engine", "open", file);
    }
    bench_sql_run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" CREATE_ENTRIES);
    double ns = insert_all(db, entries, count, batch);
    (void)sqlite3_close(db);
    return ns;
}

static double sync_sample(const bench *b, tide_library *a, const unsigned char *id, size_t count)
{
    char path[BENCH_PATH];
    tide_session *from = NULL;
    tide_session *to = NULL;
    tide_pipe *link = NULL;
    fresh_folder(b, "sync-b", path);
    tide_library *to_library = open_library(path, id);
    int64_t began = now_ns();
    engine_check("session", tide_session_open(tide_library_sync(a), NULL, &from));
    engine_check("session", tide_session_open(tide_library_sync(to_library), NULL, &to));
    engine_check("pipe", tide_pipe_open(from, NULL, &link));
    engine_check("sync", tide_sync_exchange_watermarks_and_catchup(to, tide_pipe_transport(link)));
    double ns = (double)(now_ns() - began) / (double)count;
    tide_resource_info info = {.size = sizeof info};
    engine_check("count", tide_sync_resource_info(tide_library_sync(to_library), "entry", &info));
    if (info.rows != count) {
        engine_failed("engine", "sync", "rows are missing");
    }
    tide_pipe_close(link);
    tide_session_close(to);
    tide_session_close(from);
    tide_library_close(to_library);
    return ns;
}

void case_sync(bench *b)
{
    size_t count = b->quick ? 20000 : 100000;
    size_t from = b->result_count;
    uint64_t seed = 99;
    char path[BENCH_PATH];
    uuid_t id;
    entry *entries = bench_alloc(count * sizeof *entries);
    memset(id, 3, sizeof id);
    make_entries(entries, count, id, &seed, FIRST_TIME);
    fresh_folder(b, "sync-a", path);
    tide_library *a = open_library(path, id);
    (void)insert_all(tide_sync_database(tide_library_sync(a)), entries, count, 1000);
    result *whole = result_new(b, "sync", "first", "tidemark", D1, count, "ns/row");
    result *plain = result_new(b, "sync", "first", "insert-loop", D1, count, "ns/row");
    for (unsigned run = 0; run < b->runs; run++) {
        spread_add(&whole->samples, sync_sample(b, a, id, count));
        spread_add(&plain->samples, insert_sample(b, entries, count, 500)); /* a page */
    }
    tide_library_close(a);
    free(entries);
    results_compare(b, from, "insert-loop");
}
