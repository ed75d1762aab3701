/* entries.c - rows for the cases about the engine; see entries.h. */
#include "entries.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

void engine_check(const char *what, int rc)
{
    if (rc < 0) {
        engine_failed("engine", what, tide_strerror(rc));
    }
}

tide_library *open_library(const char *path, const unsigned char *id)
{
    tide_library *library = NULL;
    tide_library_options options;
    tide_sync_options sync;
    tide_options store;
    tide_library_options_init(&options);
    tide_sync_options_init(&sync);
    tide_options_init(&store);
    store.durability = TIDE_DEFERRED;
    options.flags = TIDE_CREATE_LIBRARY;
    options.sync = &sync;
    options.store = &store;
    sync.library = id;
    engine_check("open", tide_library_open(path, &options, &library));
    return library;
}

static tide_value text_value(const char *text)
{
    return (tide_value){.type = TIDE_STRING, .bytes = (uint32_t)strlen(text), .data = text};
}

void make_entries(entry *entries, size_t count, const unsigned char *peer, uint64_t *seed,
                  tide_time from)
{
    for (size_t i = 0; i < count; i++) {
        entry *e = &entries[i];
        uint64_t a = random_next(seed);
        uint64_t b = random_next(seed);
        (void)snprintf(e->key, sizeof e->key, "%08x-%04x-4%03x-a%03x-%012" PRIx64,
                       (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff),
                       (unsigned)(b >> 52), b & UINT64_C(0xffffffffffff));
        (void)snprintf(e->name, sizeof e->name, "file-%zu.txt", i);
        e->values[0] = text_value("4f2c6a52-65cf-4d63-a4ee-7d1ff6ed8a0f");
        e->values[1] = text_value("d0a2c1de-3a55-4c3b-8b0e-0f8f1a3f5a11");
        e->values[2] = text_value(e->name);
        e->values[3] = text_value("file");
        e->values[4] = (tide_value){.type = TIDE_INTEGER, .integer = (int64_t)(a & 0xfffff)};
        e->values[5] = text_value("2026-01-01T00:00:00.000000000Z");
        e->change = (tide_change){.size = sizeof e->change,
                                  .resource = "entry",
                                  .version = from + (tide_time)i,
                                  .key = text_value(e->key),
                                  .values = e->values,
                                  .value_count = COLUMNS};
        uuid_copy(e->change.version_device, peer);
    }
}

void bench_sql_run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        engine_failed("engine", sql, sqlite3_errmsg(db));
    }
}

#define INSERT_ENTRY                                                                               \
    "INSERT INTO entries (uuid, location_uuid, parent_uuid, name, kind, size, mtime)"              \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"

double insert_all(sqlite3 *db, const entry *entries, size_t count, size_t batch)
{
    sqlite3_stmt *insert = NULL;
    int64_t began = now_ns();
    if (sqlite3_prepare_v2(db, INSERT_ENTRY, -1, &insert, NULL) != SQLITE_OK) {
        engine_failed("engine", "insert", sqlite3_errmsg(db));
    }
    for (size_t i = 0; i < count; i++) {
        const tide_value *values = entries[i].values;
        if (i % batch == 0) {
            bench_sql_run(db, i == 0 ? "BEGIN" : "COMMIT; BEGIN");
        }
        (void)sqlite3_bind_text(insert, 1, entries[i].key, -1, SQLITE_STATIC);
        for (int c = 0; c < COLUMNS; c++) {
            if (values[c].type == TIDE_INTEGER) {
                (void)sqlite3_bind_int64(insert, c + 2, values[c].integer);
            } else {
                (void)sqlite3_bind_text(insert, c + 2, values[c].data, -1, SQLITE_STATIC);
            }
        }
        if (sqlite3_step(insert) != SQLITE_DONE || sqlite3_reset(insert) != SQLITE_OK) {
            engine_failed("engine", "insert", sqlite3_errmsg(db));
        }
    }
    bench_sql_run(db, "COMMIT");
    (void)sqlite3_finalize(insert);
    return (double)(now_ns() - began) / (double)count;
}
