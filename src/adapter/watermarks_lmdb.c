/* watermarks_lmdb.c - watermarks over the LMDB store: each call is one call of the store. */
#include "adapter/watermarks.h"

#include <stdbool.h>

#include "base/alloc.h"

typedef struct lmdb_watermarks {
    tide_watermarks base;
    tide_store *store;
} lmdb_watermarks;

static tide_store *store_of(tide_watermarks *marks)
{
    return ((lmdb_watermarks *)marks)->store;
}

static void close_handle(tide_watermarks *marks)
{
    tide__free(marks);
}

static int get(tide_watermarks *marks, const uuid_t owner, const uuid_t about, const char *resource,
               tide_mark *out)
{
    return tide_get(store_of(marks), owner, about, resource, out);
}

static int advance(tide_watermarks *marks, const tide_step *step, uint32_t durability)
{
    return tide_advance_many(store_of(marks), step, 1, durability);
}

static int reset(tide_watermarks *marks, const uuid_t about, const char *resource)
{
    for (;;) {
        tide_mark mark;
        int rc = tide_get(store_of(marks), marks->device, about, resource, &mark);
        if (rc == TIDE_OK) {
            rc = tide_compare_and_set(store_of(marks), marks->device, about, resource,
                                      mark.watermark, TIDE_TIME_NONE);
        }
        if (rc != TIDE_CONFLICT) {
            return rc;
        }
        /* Somebody has moved the mark between the two calls: look again. */
    }
}

typedef struct each_context {
    tide_watermark_fn *fn;
    void *ctx;
} each_context;

static int pass_on(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                   const tide_mark *mark)
{
    const each_context *context = ctx;
    (void)device;
    (void)peer;
    return context->fn(context->ctx, resource, mark->watermark);
}

static int each(tide_watermarks *marks, const uuid_t about, tide_watermark_fn *fn, void *ctx)
{
    each_context context = {fn, ctx};
    return tide_each(store_of(marks), marks->device, about, NULL, pass_on, &context);
}

static int raise_max(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                     const tide_mark *mark)
{
    tide_time *max = ctx;
    (void)resource;
    if (uuid_compare(device, peer) != 0 && mark->watermark > *max) { /* not our own history */
        *max = mark->watermark;
    }
    return 0;
}

static int get_max(tide_watermarks *marks, tide_time *out)
{
    tide_time max = TIDE_TIME_NONE;
    int rc = tide_each(store_of(marks), marks->device, NULL, NULL, raise_max, &max);
    if (rc == TIDE_OK && max == TIDE_TIME_NONE) {
        return TIDE_ABSENT;
    }
    *out = rc == TIDE_OK ? max : *out;
    return rc;
}

/* The first mark of a walk, but for those of a device about itself. */
typedef struct first {
    bool found;
    uuid_t device;
    uuid_t peer;
} first;

static int take_first(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                      const tide_mark *mark)
{
    first *f = ctx;
    (void)resource;
    (void)mark;
    if (uuid_compare(device, peer) == 0) {
        return 0;
    }
    f->found = true;
    uuid_copy(f->device, device);
    uuid_copy(f->peer, peer);
    return 1;
}

/* What waits is seen by no walk: it is written first, and removed then. */
static int remove_of(tide_watermarks *marks, const unsigned char *owner, const unsigned char *about,
                     size_t *removed)
{
    if (owner != NULL && about != NULL) {
        return tide_remove_peer(store_of(marks), owner, about, removed);
    }
    int rc = tide_flush(store_of(marks));
    *removed = 0;
    while (rc == TIDE_OK) {
        first f = {.found = false};
        size_t count = 0;
        rc = tide_each(store_of(marks), owner, about, NULL, take_first, &f);
        if (!f.found) {
            break;
        }
        rc = tide_remove_peer(store_of(marks), f.device, f.peer, &count);
        *removed += count;
    }
    return rc;
}

static int flush(tide_watermarks *marks)
{
    return tide_flush(store_of(marks));
}

static int set_barrier(tide_watermarks *marks, tide_barrier_fn *fn, void *ctx)
{
    return tide_set_barrier(store_of(marks), fn, ctx);
}

static void detail(tide_watermarks *marks, char *text, size_t size)
{
    tide_detail(store_of(marks), text, size);
}

static const tide__backend backend = {
    .close = close_handle,
    .get = get,
    .advance = advance,
    .reset = reset,
    .each = each,
    .max = get_max,
    .remove = remove_of,
    .flush = flush,
    .set_barrier = set_barrier,
    .detail = detail,
};

int tide_watermarks_open_lmdb(tide_store *store, const uuid_t device, tide_watermarks **out)
{
    if (out == NULL) {
        return TIDE_EINVAL;
    }
    *out = NULL;
    if (store == NULL || device == NULL) {
        return TIDE_EINVAL;
    }
    lmdb_watermarks *marks = tide__calloc(1, sizeof *marks);
    if (marks == NULL) {
        return TIDE_ENOMEM;
    }
    marks->base.backend = &backend;
    uuid_copy(marks->base.device, device);
    marks->store = store;
    *out = &marks->base;
    return TIDE_OK;
}
