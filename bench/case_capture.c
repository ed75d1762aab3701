/* case_capture.c - what capture adds to the writes of a program that knows nothing of it.
 *
 * The same writes on a plain connection, FULL, to the same table: bare; with triggers whose WHEN is
 * never true, which is what SQLite takes for any trigger at all; captured; and captured with a
 * digest kept of all rows, so that what each was must be kept too. Processor time is taken beside
 * the clock's: a disk has moods.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "entries.h"

#define SINGLES 200
#define BATCH 1000

typedef enum way { BARE, EMPTY, CAPTURED, PROVED, WAYS } way;

static const char *const way_names[WAYS] = {"bare", "empty-trigger", "captured", "captured-summed"};

enum { INSERT_ALL, INSERT, SINGLE, UPDATE, DELETE, WRITES };

/* By the clock, and in processor time. */
static const char *const write_names[WRITES][2] = {{"insert", "insert, processor"},
                                                   {"insert", "insert, processor"},
                                                   {"single insert", "single insert, processor"},
                                                   {"update", "update, processor"},
                                                   {"delete", "delete, processor"}};

static const char empty_triggers[] =
    "CREATE TRIGGER a AFTER INSERT ON entries WHEN 0 BEGIN SELECT 1; END;"
    "CREATE TRIGGER b AFTER UPDATE ON entries WHEN 0 BEGIN SELECT 1; END;"
    "CREATE TRIGGER c AFTER DELETE ON entries WHEN 0 BEGIN SELECT 1; END;";

static const char *const columns[COLUMNS] = {"location_uuid", "parent_uuid", "name",
                                             "kind",          "size",        "mtime"};

/* Nanoseconds a row of one kind of write. */
typedef struct taken {
    int64_t began_ns, began_cpu_ns;
    double ns, cpu_ns;
} taken;

static void begin(taken *t)
{
    t->began_cpu_ns = cpu_ns();
    t->began_ns = now_ns();
}

static void end(taken *t, size_t count)
{
    t->ns = (double)(now_ns() - t->began_ns) / (double)count;
    t->cpu_ns = (double)(cpu_ns() - t->began_cpu_ns) / (double)count;
}

static void capture(const char *path)
{
    const tide_model model = {.size = sizeof model,
                              .ownership = TIDE_DEVICE_OWNED,
                              .resource = "entry",
                              .table = "entries",
                              .key = "uuid",
                              .columns = columns,
                              .column_count = COLUMNS};
    tide_sync *sync = NULL;
    tide_sync_options options;
    tide_sync_options_init(&options);
    engine_check("open", tide_sync_open(path, &options, &sync));
    engine_check("register", tide_sync_register(sync, &model));
    tide_sync_close(sync);
}

static sqlite3 *open_table(const bench *b, way how)
{
    char folder[BENCH_PATH];
    char path[BENCH_PATH + 32];
    sqlite3 *db = NULL;
    fresh_folder(b, "capture", folder);
    (void)snprintf(path, sizeof path, "%s/plain.db", folder);
    if (sqlite3_open(path, &db) != SQLITE_OK) {
        engine_failed("capture", "open", path);
    }
    bench_sql_run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" CREATE_ENTRIES);
    if (how == EMPTY) {
        bench_sql_run(db, empty_triggers);
    } else if (how != BARE) {
        capture(path);
    }
    return db;
}

static void checkpoint(sqlite3 *db)
{
    bench_sql_run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void sample(const bench *b, way how, const entry *entries, size_t count, taken *out)
{
    sqlite3 *db = open_table(b, how);
    begin(&out[INSERT_ALL]);
    (void)insert_all(db, entries, count, count);
    end(&out[INSERT_ALL], count);
    (void)sqlite3_close(db);

    db = open_table(b, how);
    begin(&out[INSERT]);
    (void)insert_all(db, entries, count, BATCH);
    end(&out[INSERT], count);
    checkpoint(db);
    begin(&out[SINGLE]);
    (void)insert_all(db, entries + count, SINGLES, 1);
    end(&out[SINGLE], SINGLES);
    if (how == PROVED) {
        bench_sql_run(db, "UPDATE tidemark_resources SET summed = 9223372036854775807");
    }
    checkpoint(db);
    begin(&out[UPDATE]);
    bench_sql_run(db, "UPDATE entries SET size = size + 1");
    end(&out[UPDATE], count);
    checkpoint(db);
    begin(&out[DELETE]);
    bench_sql_run(db, "DELETE FROM entries WHERE id % 2 = 0");
    end(&out[DELETE], count / 2);
    (void)sqlite3_close(db);
}

void case_capture(bench *b)
{
    size_t count = b->quick ? 10000 : 100000;
    size_t from = b->result_count;
    uint64_t seed = 7;
    uuid_t id;
    entry *entries = bench_alloc((count + SINGLES) * sizeof *entries);
    memset(id, 3, sizeof id);
    make_entries(entries, count + SINGLES, id, &seed, FIRST_TIME);
    for (int how = 0; how < WAYS; how++) {
        for (int i = 0; i < 2 * WRITES; i++) {
            int w = i / 2;
            result *r = result_new(b, "capture", write_names[w][i % 2], way_names[how], D2, count,
                                   "ns/row");
            r->batch = (unsigned)(w == INSERT ? BATCH : w == SINGLE ? 1 : count);
        }
    }
    for (unsigned run = 0; run < b->runs; run++) {
        for (int i = 0; i < WAYS; i++) {
            int how = (i + (int)run) % WAYS; /* nobody is always the first */
            taken all[WRITES];
            sample(b, (way)how, entries, count, all);
            for (int w = 0; w < WRITES; w++) {
                result *r = &b->results[from + (size_t)(how * WRITES + w) * 2];
                spread_add(&r[0].samples, all[w].ns);
                spread_add(&r[1].samples, all[w].cpu_ns);
            }
        }
    }
    free(entries);
    results_compare(b, from, way_names[BARE]);
}
