/* engine_tidemark.c - the store itself, through its public header. */
#include <stdio.h>
#include <stdlib.h>

#include <tidemark/store.h>

#include "engines.h"

struct engine {
    tide_store *store;
    char path[BENCH_PATH];
};

struct session {
    engine *e;
};

static _Noreturn void failed(const char *what, int code)
{
    engine_failed("tidemark", what, tide_strerror(code));
}

static engine *open_engine(const char *folder, durability class)
{
    engine *e = bench_alloc(sizeof *e);
    tide_options options;
    tide_options_init(&options);
    options.durability = class == D2 ? TIDE_DURABLE : TIDE_DEFERRED;
    (void)snprintf(e->path, sizeof e->path, "%s/sync.mdb", folder);
    int rc = tide_open(e->path, &options, &e->store);
    if (rc != TIDE_OK) {
        failed("open", rc);
    }
    return e;
}

static void close_engine(engine *e)
{
    tide_close(e->store);
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

static int advance(session *s, const mark_id *id, tide_time upto)
{
    int rc = tide_advance(s->e->store, id->device, id->peer, id->resource, upto);
    if (rc != TIDE_OK && rc != TIDE_STALE) {
        failed("advance", rc);
    }
    return rc;
}

static int get(session *s, const mark_id *id, tide_time *out)
{
    tide_mark mark;
    int rc = tide_get(s->e->store, id->device, id->peer, id->resource, &mark);
    if (rc < 0) {
        failed("get", rc);
    }
    *out = rc == TIDE_OK ? mark.watermark : TIDE_TIME_NONE;
    return rc;
}

static int load(session *s, const mark_id *const *ids, size_t count, tide_time upto)
{
    tide_step *steps = bench_alloc(count * sizeof *steps);
    int rc = TIDE_OK;
    for (size_t i = 0; i < count; i++) {
        steps[i] = (tide_step){ids[i]->device, ids[i]->peer, ids[i]->resource,
                               TIDE_TIME_NONE, upto,         TIDE_TIME_NONE};
    }
    for (size_t i = 0; rc >= 0 && i < count; i += TIDE_STEPS_MAX) {
        size_t some = count - i < TIDE_STEPS_MAX ? count - i : TIDE_STEPS_MAX;
        rc = tide_advance_many(s->e->store, steps + i, some, TIDE_DEFAULT_DURABILITY);
    }
    free(steps);
    if (rc < 0) {
        failed("load", rc);
    }
    return rc;
}

static void flush(session *s)
{
    int rc = tide_flush(s->e->store);
    if (rc != TIDE_OK) {
        failed("flush", rc);
    }
}

typedef struct each_context {
    seen_fn *fn;
    void *ctx;
} each_context;

static int pass_on(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                   const tide_mark *mark)
{
    const each_context *each = ctx;
    (void)device;
    each->fn(each->ctx, peer, resource, mark->watermark);
    return 0;
}

static void scan(session *s, const char *resource, seen_fn *fn, void *ctx)
{
    each_context each = {fn, ctx};
    int rc = tide_each(s->e->store, NULL, NULL, resource, pass_on, &each);
    if (rc != TIDE_OK) {
        failed("scan", rc);
    }
}

const engine_type engine_tidemark = {
    .name = "tidemark",
    .how = {[D2] = "TIDE_DURABLE", [D1] = "TIDE_DEFERRED, and a flush"},
    .open = open_engine,
    .close = close_engine,
    .begin = begin,
    .end = end,
    .advance = advance,
    .get = get,
    .load = load,
    .flush = flush,
    .scan = scan,
};
