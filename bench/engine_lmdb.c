/* engine_lmdb.c - bare LMDB, the limit: the same bytes, one transaction a change, nothing beside it.
 *
 * No checks, no growth, no registry; a change reads, compares and puts in one write transaction, and
 * a read renews one read transaction.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines.h"

struct engine {
    MDB_env *env;
    MDB_dbi marks;
    char folder[BENCH_PATH];
};

struct session {
    engine *e;
    MDB_txn *reader; /* reset between reads */
};

static void check(const char *what, int rc)
{
    if (rc != 0) {
        engine_failed("lmdb", what, mdb_strerror(rc));
    }
}

static engine *open_engine(const char *folder, durability class)
{
    static const unsigned flags[CLASSES] = {[D2] = 0, [D1] = MDB_NOMETASYNC, [D0] = MDB_NOSYNC};
    engine *e = bench_alloc(sizeof *e);
    char path[BENCH_PATH + 16];
    MDB_txn *txn = NULL;
    (void)snprintf(e->folder, sizeof e->folder, "%s", folder);
    (void)snprintf(path, sizeof path, "%s/raw.mdb", folder);
    check("create", mdb_env_create(&e->env));
    check("map", mdb_env_set_mapsize(e->env, (size_t)64 << 30));
    check("readers", mdb_env_set_maxreaders(e->env, 1024));
    check("databases", mdb_env_set_maxdbs(e->env, 2));
    check("open", mdb_env_open(e->env, path, MDB_NOSUBDIR | MDB_NOTLS | flags[class], 0600));
    check("begin", mdb_txn_begin(e->env, NULL, 0, &txn));
    check("marks", mdb_dbi_open(txn, "marks", MDB_CREATE, &e->marks));
    check("commit", mdb_txn_commit(txn));
    return e;
}

static void close_engine(engine *e)
{
    mdb_env_close(e->env);
    free(e);
}

static session *begin(engine *e)
{
    session *s = bench_alloc(sizeof *s);
    s->e = e;
    check("reader", mdb_txn_begin(e->env, NULL, MDB_RDONLY, &s->reader));
    mdb_txn_reset(s->reader);
    return s;
}

static void end(session *s)
{
    mdb_txn_abort(s->reader);
    free(s);
}

static int put_newer(session *s, MDB_txn *txn, const mark_id *id, tide_time upto)
{
    char key_bytes[KEY_TEXT];
    char value_bytes[VALUE_TEXT];
    MDB_val key = {key_text(id, key_bytes), key_bytes};
    MDB_val value;
    int rc = mdb_get(txn, s->e->marks, &key, &value);
    if (rc == 0 && value_time(value.mv_data, value.mv_size) >= upto) {
        return STALE;
    }
    check("get", rc == MDB_NOTFOUND ? 0 : rc);
    value_text(upto, wall_clock(), value_bytes);
    value = (MDB_val){sizeof value_bytes, value_bytes};
    check("put", mdb_put(txn, s->e->marks, &key, &value, 0));
    return 0;
}

static int advance(session *s, const mark_id *id, tide_time upto)
{
    MDB_txn *txn = NULL;
    check("begin", mdb_txn_begin(s->e->env, NULL, 0, &txn));
    int rc = put_newer(s, txn, id, upto);
    if (rc == STALE) {
        mdb_txn_abort(txn);
    } else {
        check("commit", mdb_txn_commit(txn));
    }
    return rc;
}

static int get(session *s, const mark_id *id, tide_time *out)
{
    char key_bytes[KEY_TEXT];
    MDB_val key = {key_text(id, key_bytes), key_bytes};
    MDB_val value;
    check("renew", mdb_txn_renew(s->reader));
    int rc = mdb_get(s->reader, s->e->marks, &key, &value);
    *out = rc == 0 ? value_time(value.mv_data, value.mv_size) : TIDE_TIME_NONE;
    mdb_txn_reset(s->reader);
    return rc == 0 ? 0 : ABSENT;
}

static int load(session *s, const mark_id *const *ids, size_t count, tide_time upto)
{
    MDB_txn *txn = NULL;
    check("begin", mdb_txn_begin(s->e->env, NULL, 0, &txn));
    for (size_t i = 0; i < count; i++) {
        (void)put_newer(s, txn, ids[i], upto);
    }
    check("commit", mdb_txn_commit(txn));
    return 0;
}

static void flush(session *s)
{
    check("sync", mdb_env_sync(s->e->env, 1));
}

static void scan(session *s, const char *resource, seen_fn *fn, void *ctx)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    check("renew", mdb_txn_renew(s->reader));
    check("cursor", mdb_cursor_open(s->reader, s->e->marks, &cursor));
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        uuid_t peer;
        char name[32];
        if (!key_parse(key.mv_data, key.mv_size, peer, name)) {
            engine_failed("lmdb", "scan", "not a key");
        }
        if (resource == NULL || strcmp(resource, name) == 0) {
            fn(ctx, peer, name, value_time(value.mv_data, value.mv_size));
        }
    }
    mdb_cursor_close(cursor);
    mdb_txn_reset(s->reader);
}

static void compact(session *s)
{
    char copy[BENCH_PATH + 16];
    char path[BENCH_PATH + 16];
    (void)snprintf(path, sizeof path, "%s/raw.mdb", s->e->folder);
    (void)snprintf(copy, sizeof copy, "%s/copy.mdb", s->e->folder);
    check("copy", mdb_env_copy2(s->e->env, copy, MDB_CP_COMPACT));
    if (rename(copy, path) != 0) {
        engine_failed("lmdb", "compact", "rename");
    }
}

const engine_type engine_lmdb = {
    .name = "lmdb",
    .how = {[D2] = "default", [D1] = "MDB_NOMETASYNC", [D0] = "MDB_NOSYNC"},
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
