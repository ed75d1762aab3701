/* engine_lsm.c - LevelDB or RocksDB through its C interface: the text keys and values of Tidemark's
 * file.
 *
 * Both have the same interface under their own prefix, so this file is compiled once for each:
 * STORE is the prefix. It has no compare-and-set, so a change takes one of a set of locks, by key,
 * reads, compares and puts.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef STORE_IS_ROCKSDB
#include <rocksdb/c.h>
#define STORE rocksdb
#else
#include <leveldb/c.h>
#define STORE leveldb
#endif

#include "engines.h"

#define STRIPES 64
#define JOIN(a, b) a##_##b
#define JOIN_EXPANDED(a, b) JOIN(a, b)
#define DB(name) JOIN_EXPANDED(STORE, name)
#define TEXT(name) #name
#define TEXT_EXPANDED(name) TEXT(name)
#define NAME TEXT_EXPANDED(STORE)

struct engine {
    DB(t) * db;
    DB(options_t) * options;
    DB(readoptions_t) * read;
    DB(writeoptions_t) * write;
    pthread_mutex_t stripes[STRIPES];
};

struct session {
    engine *e;
};

static void check(const char *what, char *why)
{
    if (why != NULL) {
        engine_failed(NAME, what, why);
    }
}

static engine *open_engine(const char *folder, durability class)
{
    engine *e = bench_alloc(sizeof *e);
    char path[BENCH_PATH + 16];
    char *why = NULL;
    (void)snprintf(path, sizeof path, "%s/" NAME, folder);
    e->options = DB(options_create)();
    DB(options_set_create_if_missing)(e->options, 1);
    e->read = DB(readoptions_create)();
    e->write = DB(writeoptions_create)();
    DB(writeoptions_set_sync)(e->write, class == D2);
    for (size_t i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&e->stripes[i], NULL);
    }
    e->db = DB(open)(e->options, path, &why);
    check("open", why);
    return e;
}

static void close_engine(engine *e)
{
    DB(close)(e->db);
    DB(writeoptions_destroy)(e->write);
    DB(readoptions_destroy)(e->read);
    DB(options_destroy)(e->options);
    free(e);
}

static session *begin(engine *e)
{
    session *s = bench_alloc(sizeof *s);
    s->e = e;
    return s;
}

static void end(session *s)
{
    free(s);
}

static int get_by(const session *s, const char *key, size_t length, tide_time *out)
{
    char *why = NULL;
    size_t size = 0;
    char *value = DB(get)(s->e->db, s->e->read, key, length, &size, &why);
    check("get", why);
    *out = value == NULL ? TIDE_TIME_NONE : value_time(value, size);
    DB(free)(value);
    return *out == TIDE_TIME_NONE ? ABSENT : 0;
}

static int get(session *s, const mark_id *id, tide_time *out)
{
    char key[KEY_TEXT];
    return get_by(s, key, key_text(id, key), out);
}

static int advance(session *s, const mark_id *id, tide_time upto)
{
    char key[KEY_TEXT];
    char value[VALUE_TEXT];
    char *why = NULL;
    tide_time existing = TIDE_TIME_NONE;
    size_t length = key_text(id, key);
    uint64_t hash = mark_hash(id->peer, id->resource, 0);
    pthread_mutex_t *stripe = &s->e->stripes[hash % STRIPES];
    pthread_mutex_lock(stripe);
    int rc = get_by(s, key, length, &existing) == 0 && upto <= existing ? STALE : 0;
    if (rc == 0) {
        value_text(upto, wall_clock(), value);
        DB(put)(s->e->db, s->e->write, key, length, value, sizeof value, &why);
        check("put", why);
    }
    pthread_mutex_unlock(stripe);
    return rc;
}

static int load(session *s, const mark_id *const *ids, size_t count, tide_time upto)
{
    DB(writebatch_t) *batch = DB(writebatch_create)();
    char *why = NULL;
    for (size_t i = 0; i < count; i++) {
        char key[KEY_TEXT];
        char value[VALUE_TEXT];
        tide_time existing = TIDE_TIME_NONE;
        size_t length = key_text(ids[i], key);
        if (get_by(s, key, length, &existing) != 0 || upto > existing) {
            value_text(upto, wall_clock(), value);
            DB(writebatch_put)(batch, key, length, value, sizeof value);
        }
    }
    DB(write)(s->e->db, s->e->write, batch, &why);
    check("write", why);
    DB(writebatch_destroy)(batch);
    return 0;
}

/* A write that is flushed takes all before it along. */
static void flush(session *s)
{
    DB(writebatch_t) *batch = DB(writebatch_create)();
    DB(writeoptions_t) *synced = DB(writeoptions_create)();
    char *why = NULL;
    DB(writeoptions_set_sync)(synced, 1);
    DB(write)(s->e->db, synced, batch, &why);
    check("flush", why);
    DB(writeoptions_destroy)(synced);
    DB(writebatch_destroy)(batch);
}

static void scan(session *s, const char *resource, seen_fn *fn, void *ctx)
{
    DB(iterator_t) *it = DB(create_iterator)(s->e->db, s->e->read);
    for (DB(iter_seek_to_first)(it); DB(iter_valid)(it); DB(iter_next)(it)) {
        size_t key_size = 0;
        size_t value_size = 0;
        const char *key = DB(iter_key)(it, &key_size);
        const char *value = DB(iter_value)(it, &value_size);
        uuid_t peer;
        char name[32];
        if (!key_parse(key, key_size, peer, name)) {
            engine_failed(NAME, "scan", "not a key");
        }
        if (resource == NULL || strcmp(resource, name) == 0) {
            fn(ctx, peer, name, value_time(value, value_size));
        }
    }
    DB(iter_destroy)(it);
}

static void compact(session *s)
{
    DB(compact_range)(s->e->db, NULL, 0, NULL, 0);
}

const engine_type JOIN_EXPANDED(engine, STORE) = {
    .name = NAME,
    .how = {[D2] = "sync=true", [D1] = "sync=false"},
    .open = open_engine,
    .close = close_engine,
    .begin = begin,
    .end = end,
    .advance = advance,
    .get = get,
    .load = load,
    .flush = flush,
    .scan = scan,
    .compact = compact,
};
