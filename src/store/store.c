/* store.c - the public calls of tidemark/store.h: arguments in, answers and details out.
 *
 * Each call checks fork and arguments, encodes the key, and hands on to the core. A failure's
 * particulars travel in a tide__detail on the stack and are kept in the handle.
 */
#include <tidemark/store.h>

#include <stdio.h>
#include <string.h>

#include "base/detail.h"
#include "base/key.h"
#include "base/rules.h"
#include "store/backup.h"
#include "store/committer.h"
#include "store/marks.h"
#include "store/registry.h"
#include "store/scan.h"

#include "base/alloc.h"

#define MAP_BYTES (64ull << 30)
#define MAX_BYTES (1ull << 40)
#define VERIFY_BYTES (4u << 20)
#define MAP_LEAST_BYTES (64u << 10)
#define MAX_LEAST_BYTES (256u << 10) /* with less, a change finds no page to copy to */
#define READERS 1024
#define READERS_MOST 65536

struct tide_store {
    tide__core *core;
    unsigned generation;
    uint32_t durability;
    tide_notice_fn *notice;
    void *notice_ctx;
    pthread_mutex_t detail_lock;
    tide__detail detail;
};

void tide_options_init(tide_options *options)
{
    *options = (tide_options){
        .size = sizeof *options,
        .durability = TIDE_DURABLE,
        .max_readers = READERS,
        .map_size_bytes = MAP_BYTES,
        .max_size_bytes = MAX_BYTES,
        .verify_max_bytes = VERIFY_BYTES,
    };
}

static int check_options(const tide_options *o, tide__detail *detail)
{
    if (o->size != sizeof *o || (o->flags & ~(uint32_t)TIDE_MUST_EXIST) != 0) {
        return tide__fail(detail, TIDE_EINVAL,
                          "options: not made by tide_options_init, or an unknown flag");
    }
    if ((o->flags & TIDE_MUST_EXIST) != 0 && o->on_unusable == TIDE_MOVE_ASIDE) {
        return tide__fail(detail, TIDE_EINVAL,
                          "options: a file that must exist cannot be moved aside");
    }
    if (o->durability > TIDE_DEFERRED || o->on_unusable > TIDE_MOVE_ASIDE) {
        return tide__fail(detail, TIDE_EINVAL, "options: unknown durability or on_unusable");
    }
    if (o->max_readers < 1 || o->max_readers > READERS_MOST) {
        return tide__fail(detail, TIDE_EINVAL, "options: max_readers %u is not 1 to %d",
                          o->max_readers, READERS_MOST);
    }
    if (o->map_size_bytes < MAP_LEAST_BYTES || o->max_size_bytes < MAX_LEAST_BYTES ||
        o->map_size_bytes > INT64_MAX || o->max_size_bytes > INT64_MAX) {
        return tide__fail(detail, TIDE_EINVAL,
                          "options: map_size_bytes or max_size_bytes out of its range");
    }
    return TIDE_OK;
}

/* Keeps the particulars of a failure; passes the answer on. */
static int answer(tide_store *store, int rc, const tide__detail *detail)
{
    if (rc < 0) {
        pthread_mutex_lock(&store->detail_lock);
        if (detail->text[0] != '\0') {
            store->detail = *detail;
        } else {
            (void)tide__fail(&store->detail, rc, "%s", tide_strerror(rc));
        }
        pthread_mutex_unlock(&store->detail_lock);
    }
    return rc;
}

static int invalid(tide_store *store, const char *what)
{
    tide__detail detail;
    return answer(store, tide__fail(&detail, TIDE_EINVAL, "%s", what), &detail);
}

/* The first thing each call does. */
static int enter(const tide_store *store, tide__detail *detail)
{
    tide__detail_clear(detail);
    if (store == NULL) {
        return TIDE_EINVAL;
    }
    return store->generation == tide__registry_generation() ? TIDE_OK : TIDE_EFORKED;
}

static int check_name(const uuid_t device, const uuid_t peer, const char *resource, tide__id *id,
                      tide__detail *detail)
{
    if (device == NULL || peer == NULL || resource == NULL) {
        return tide__fail(detail, TIDE_EINVAL, "NULL for device, peer or resource");
    }
    int rc = tide__id_make(device, peer, resource, id);
    return rc == TIDE_OK ? rc
                         : tide__fail(detail, rc,
                                      "resource \"%.64s\": 1 to %d bytes of UTF-8 without '|' and "
                                      "control characters",
                                      resource, TIDE_RESOURCE_MAX);
}

int tide_open(const char *path, const tide_options *options, tide_store **out)
{
    tide_options o;
    tide__detail detail;
    tide__detail moved;
    tide__detail_clear(&detail);
    tide__detail_clear(&moved);
    if (out == NULL) {
        return TIDE_EINVAL;
    }
    *out = NULL;
    tide_options_init(&o);
    if (path == NULL || *path == '\0') {
        return TIDE_EINVAL;
    }
    int rc = options == NULL ? TIDE_OK : check_options(options, &detail);
    if (rc == TIDE_OK && options != NULL) {
        o = *options;
        o.map_size_bytes = (o.map_size_bytes + 4095) / 4096 * 4096;
        o.max_size_bytes = o.max_size_bytes / 4096 * 4096;
    }
    tide_store *store = tide__calloc(1, sizeof *store);
    if (rc == TIDE_OK) {
        rc = store == NULL ? TIDE_ENOMEM
                           : tide__registry_acquire(path, &o, &store->core, &moved, &detail);
    }
    if (moved.text[0] != '\0' && o.notice != NULL) {
        o.notice(o.notice_ctx, TIDE_OK, moved.text);
    }
    if (rc != TIDE_OK) {
        tide__free(store);
        if (options != NULL && options->size == sizeof *options && options->notice != NULL) {
            options->notice(options->notice_ctx, rc,
                            detail.text[0] != '\0' ? detail.text : tide_strerror(rc));
        }
        return rc;
    }
    store->generation = tide__registry_generation();
    store->notice = o.notice;
    store->notice_ctx = o.notice_ctx;
    store->durability = o.durability == TIDE_DEFAULT_DURABILITY ? TIDE_DURABLE : o.durability;
    pthread_mutex_init(&store->detail_lock, NULL);
    *out = store;
    return TIDE_OK;
}

void tide_close(tide_store *store)
{
    tide__detail detail;
    if (store != NULL && enter(store, &detail) == TIDE_OK) {
        size_t left = 0;
        int rc = tide__core_leave(store->core, store, &left, &detail);
        if (rc < 0 && left > 0 && store->notice != NULL) {
            tide__detail text;
            (void)tide__fail(&text, rc, "%zu advances were not written: %.400s", left,
                             detail.text[0] != '\0' ? detail.text : tide_strerror(rc));
            store->notice(store->notice_ctx, rc, text.text);
        }
        tide__registry_release(store->core);
        pthread_mutex_destroy(&store->detail_lock);
    }
    tide__free(store);
}

int tide_get(tide_store *store, const uuid_t device, const uuid_t peer, const char *resource,
             tide_mark *out)
{
    tide__id id;
    tide__detail detail;
    tide_mark mark;
    int rc = enter(store, &detail);
    if (rc != TIDE_OK || out == NULL) {
        return rc != TIDE_OK ? rc : invalid(store, "NULL for out");
    }
    rc = check_name(device, peer, resource, &id, &detail);
    if (rc == TIDE_OK) {
        rc = tide__core_view(store->core, &id, &mark, &detail);
    }
    if (rc == TIDE_OK) {
        if (mark.watermark == TIDE_TIME_NONE) {
            return TIDE_ABSENT;
        }
        *out = mark;
    }
    return answer(store, rc, &detail);
}

static int prepare(const tide_step *step, size_t order, tide__advance *out, tide__detail *detail)
{
    if (step->upto == TIDE_TIME_NONE || step->after >= step->upto) {
        return tide__fail(detail, TIDE_EINVAL, "an empty range, or one that ends nowhere");
    }
    out->after = step->after;
    out->upto = step->upto;
    out->epoch = step->epoch;
    out->order = order;
    return check_name(step->device, step->peer, step->resource, &out->id, detail);
}

int tide_advance_many(tide_store *store, const tide_step *steps, size_t count, uint32_t durability)
{
    tide__detail detail;
    tide__advance one;
    tide__advance *advances = &one;
    int rc = enter(store, &detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    if (steps == NULL || count == 0 || count > TIDE_STEPS_MAX || durability > TIDE_DEFERRED) {
        (void)tide__fail(&detail, 0, "1 to %d steps and a durability are needed", TIDE_STEPS_MAX);
        return answer(store, TIDE_EINVAL, &detail);
    }
    if (count > 1 && (advances = tide__malloc(count * sizeof *advances)) == NULL) {
        return answer(store, TIDE_ENOMEM, &detail);
    }
    for (size_t i = 0; rc == TIDE_OK && i < count; i++) {
        rc = prepare(&steps[i], i, &advances[i], &detail);
    }
    if (rc == TIDE_OK) {
        bool durable = (durability == TIDE_DEFAULT_DURABILITY ? store->durability : durability) ==
                       TIDE_DURABLE;
        rc = tide__core_advance(store->core, advances, count, durable, &detail);
    }
    if (advances != &one) {
        tide__free(advances);
    }
    return answer(store, rc, &detail);
}

/* What became of one mark. */
static void count_import(const tide__advance *step, tide_imported *counts)
{
    if (step->result.watermark > step->base.watermark) {
        *(step->base.watermark == TIDE_TIME_NONE ? &counts->added : &counts->raised) += 1;
    } else if (step->base.watermark == step->upto &&
               (step->epoch == TIDE_TIME_NONE || step->epoch == step->base.epoch)) {
        counts->equal++;
    } else {
        counts->kept++;
    }
}

int tide_import(tide_store *store, const tide_step *marks, size_t count, tide_imported *imported)
{
    tide__detail detail;
    tide_imported counts = {.size = sizeof counts};
    int rc = enter(store, &detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    if ((marks == NULL && count > 0) || count > TIDE_IMPORT_MAX ||
        (imported != NULL && imported->size != sizeof *imported)) {
        return invalid(store, "NULL or too many marks, or the size of imported is not set");
    }
    tide__advance *steps = count > 0 ? tide__malloc(count * sizeof *steps) : NULL;
    if (count > 0 && steps == NULL) {
        return answer(store, TIDE_ENOMEM, &detail);
    }
    for (size_t i = 0; rc == TIDE_OK && i < count; i++) {
        rc = marks[i].after != TIDE_TIME_NONE
                 ? tide__fail(&detail, TIDE_EINVAL, "a range that begins somewhere")
                 : prepare(&marks[i], i, &steps[i], &detail);
    }
    if (rc == TIDE_OK && count > 0) {
        rc = tide__core_import(store->core, steps, count, &detail);
    }
    for (size_t i = 0; rc == TIDE_OK && i < count; i++) {
        count_import(&steps[i], &counts);
    }
    if (rc == TIDE_OK && imported != NULL) {
        *imported = counts;
    }
    tide__free(steps);
    return answer(store, rc, &detail);
}

int tide_advance_range(tide_store *store, const uuid_t device, const uuid_t peer,
                       const char *resource, tide_time after, tide_time upto)
{
    tide_step step = {device, peer, resource, after, upto, TIDE_TIME_NONE};
    return tide_advance_many(store, &step, 1, TIDE_DEFAULT_DURABILITY);
}

int tide_advance(tide_store *store, const uuid_t device, const uuid_t peer, const char *resource,
                 tide_time upto)
{
    return tide_advance_range(store, device, peer, resource, TIDE_TIME_NONE, upto);
}

int tide_compare_and_set(tide_store *store, const uuid_t device, const uuid_t peer,
                         const char *resource, tide_time expected, tide_time desired)
{
    tide__id id;
    tide__detail detail;
    int rc = enter(store, &detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = check_name(device, peer, resource, &id, &detail);
    if (rc == TIDE_OK) {
        rc = tide__core_set(store->core, &id, expected, desired, &detail);
    }
    return answer(store, rc, &detail);
}

int tide_each(tide_store *store, const unsigned char *device, const unsigned char *peer,
              const char *resource, tide_each_fn *fn, void *ctx)
{
    tide__detail detail;
    tide__filter filter = {device, peer, resource};
    int rc = enter(store, &detail);
    if (rc != TIDE_OK || fn == NULL) {
        return rc != TIDE_OK ? rc : invalid(store, "NULL for fn");
    }
    if (resource != NULL && !tide__resource_valid(resource, NULL)) {
        (void)tide__fail(&detail, 0, "resource \"%.64s\": not a resource name", resource);
        return answer(store, TIDE_EINVAL, &detail);
    }
    rc = tide__core_flush(store->core, &detail);
    if (rc == TIDE_OK || rc == TIDE_EFULL || rc == TIDE_ENOSPC) {
        rc = tide__scan(store->core->environment, &filter, fn, ctx, &detail);
    }
    return answer(store, rc, &detail);
}

int tide_remove_peer(tide_store *store, const uuid_t device, const uuid_t peer, size_t *removed)
{
    tide__id id;
    tide__detail detail;
    size_t count = 0;
    int rc = enter(store, &detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = check_name(device, peer, "-", &id, &detail); /* any resource: only the others count */
    if (rc == TIDE_OK) {
        rc = tide__core_remove(store->core, &id, &count, &detail);
    }
    if (rc == TIDE_OK && removed != NULL) {
        *removed = count;
    }
    return answer(store, rc, &detail);
}

static int raise_max(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                     const tide_mark *mark)
{
    tide_time *max = ctx;
    (void)device;
    (void)peer;
    (void)resource;
    if (mark->watermark > *max) {
        *max = mark->watermark;
    }
    return TIDE_OK;
}

int tide_max(tide_store *store, const uuid_t device, tide_time *out)
{
    tide__detail detail;
    tide_time max = TIDE_TIME_NONE;
    int rc = enter(store, &detail);
    if (rc != TIDE_OK || device == NULL || out == NULL) {
        return rc != TIDE_OK ? rc : invalid(store, "NULL for device or out");
    }
    rc = tide_each(store, device, NULL, NULL, raise_max, &max);
    if (rc == TIDE_OK) {
        if (max == TIDE_TIME_NONE) {
            return TIDE_ABSENT;
        }
        *out = max;
    }
    return rc;
}

int tide_flush(tide_store *store)
{
    tide__detail detail;
    int rc = enter(store, &detail);
    return rc != TIDE_OK ? rc : answer(store, tide__core_flush(store->core, &detail), &detail);
}

int tide_backup(tide_store *store, const char *path, uint32_t flags)
{
    tide__detail detail;
    int rc = enter(store, &detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    if (path == NULL || *path == '\0' || (flags & ~(uint32_t)TIDE_REPLACE) != 0) {
        return invalid(store, "NULL or empty path, or an unknown flag");
    }
    rc = tide__core_backup(store->core, path, flags, &detail);
    return answer(store, rc, &detail);
}

int tide_set_barrier(tide_store *store, tide_barrier_fn *fn, void *ctx)
{
    tide__detail detail;
    int rc = enter(store, &detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__core_set_barrier(store->core, fn, ctx, store, &detail);
    return answer(store, rc, &detail);
}

int tide_stat(tide_store *store, tide_info *info)
{
    tide__detail detail;
    int rc = enter(store, &detail);
    if (rc != TIDE_OK || info == NULL || info->size != sizeof *info) {
        return rc != TIDE_OK ? rc : invalid(store, "info is NULL or its size is not set");
    }
    tide_info filled = {.size = sizeof filled};
    rc = tide__environment_stat(store->core->environment, &filled, &detail);
    if (rc == TIDE_OK) {
        filled.pending = tide__core_waiting(store->core);
        *info = filled;
    }
    return answer(store, rc, &detail);
}

void tide_detail(tide_store *store, char *text, size_t size)
{
    if (text == NULL || size == 0) {
        return;
    }
    tide__detail unused;
    text[0] = '\0';
    if (enter(store, &unused) == TIDE_OK) {
        pthread_mutex_lock(&store->detail_lock);
        (void)snprintf(text, size, "%s", store->detail.text);
        pthread_mutex_unlock(&store->detail_lock);
    }
}
