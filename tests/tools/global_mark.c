/* global_mark.c - the old way; see global_mark.h. */
#include "tools/global_mark.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/watermarks.h"
#include "base/rules.h"

typedef struct position {
    char resource[TIDE_RESOURCE_MAX + 1];
    tide_mark mark;
} position;

typedef struct global_mark {
    tide_watermarks base;
    char *path;
    tide_sync *peer;
    tide_mark global;
    tide_mark at_start;
    position positions[TIDE_MODELS_MAX];
    size_t count;
} global_mark;

static position *find(global_mark *self, const char *resource)
{
    for (size_t i = 0; i < self->count; i++) {
        if (strcmp(self->positions[i].resource, resource) == 0) {
            return &self->positions[i];
        }
    }
    if (self->count == TIDE_MODELS_MAX) {
        return NULL;
    }
    position *p = &self->positions[self->count++];
    (void)snprintf(p->resource, sizeof p->resource, "%s", resource);
    p->mark = self->at_start;
    tide_resource_info info = {.size = sizeof info};
    if (tide_sync_resource_info(self->peer, resource, &info) == TIDE_OK &&
        info.head < p->mark.watermark) {
        p->mark.watermark = info.head;
    }
    return p;
}

/* The old way knew what we have of a peer, no acks and no history. */
static bool is_watermark(const global_mark *self, const uuid_t owner, const uuid_t about)
{
    return uuid_compare(owner, self->base.device) == 0 &&
           uuid_compare(about, self->base.device) != 0;
}

static void close_handle(tide_watermarks *marks)
{
    free(((global_mark *)marks)->path);
    free(marks);
}

static int get(tide_watermarks *marks, const uuid_t owner, const uuid_t about, const char *resource,
               tide_mark *out)
{
    if (!is_watermark((global_mark *)marks, owner, about)) {
        return TIDE_ABSENT;
    }
    const position *p = find((global_mark *)marks, resource);
    if (p == NULL || p->mark.watermark == TIDE_TIME_NONE) {
        return p == NULL ? TIDE_ELIMIT : TIDE_ABSENT;
    }
    *out = p->mark;
    return TIDE_OK;
}

static int save(const global_mark *self)
{
    char watermark[TIDE_TIME_TEXT];
    char epoch[TIDE_TIME_TEXT];
    FILE *file = fopen(self->path, "w");
    tide_time_format(self->global.watermark, watermark);
    tide_time_format(self->global.epoch, epoch);
    if (file == NULL) {
        return TIDE_EIO;
    }
    int written = fprintf(file, "%s %s\n", watermark, epoch);
    return fclose(file) == 0 && written > 0 ? TIDE_OK : TIDE_EIO;
}

static int advance(tide_watermarks *marks, const tide_step *step, uint32_t durability)
{
    global_mark *self = (global_mark *)marks;
    (void)durability;
    if (!is_watermark(self, step->device, step->peer)) {
        return TIDE_STALE;
    }
    position *p = find(self, step->resource);
    int rc = p == NULL ? TIDE_ELIMIT
                       : tide__rule_advance(&p->mark, step->after, step->upto, step->epoch);
    if (rc == TIDE_OK && step->upto > self->global.watermark) {
        self->global = p->mark;
        rc = save(self);
    }
    return rc;
}

static int reset(tide_watermarks *marks, const uuid_t about, const char *resource)
{
    position *p = find((global_mark *)marks, resource);
    (void)about;
    if (p != NULL) {
        p->mark = TIDE__NO_MARK;
    }
    return p == NULL ? TIDE_ELIMIT : TIDE_OK;
}

static int each(tide_watermarks *marks, const uuid_t about, tide_watermark_fn *fn, void *ctx)
{
    (void)marks;
    (void)about;
    (void)fn;
    (void)ctx;
    return TIDE_OK; /* there are no marks by resource */
}

static int get_max(tide_watermarks *marks, tide_time *out)
{
    const global_mark *self = (global_mark *)marks;
    *out = self->global.watermark;
    return self->global.watermark == TIDE_TIME_NONE ? TIDE_ABSENT : TIDE_OK;
}

static int remove_peer(tide_watermarks *marks, const unsigned char *owner,
                       const unsigned char *about, size_t *removed)
{
    (void)marks;
    (void)owner;
    (void)about;
    *removed = 0;
    return TIDE_OK;
}

static int flush(tide_watermarks *marks)
{
    (void)marks;
    return TIDE_OK;
}

static int set_barrier(tide_watermarks *marks, tide_barrier_fn *fn, void *ctx)
{
    (void)marks;
    (void)fn;
    (void)ctx;
    return TIDE_OK;
}

static void detail(tide_watermarks *marks, char *text, size_t size)
{
    (void)snprintf(text, size, "%s", ((global_mark *)marks)->path);
}

static const tide__backend backend = {
    .close = close_handle,
    .get = get,
    .advance = advance,
    .reset = reset,
    .each = each,
    .max = get_max,
    .remove = remove_peer,
    .flush = flush,
    .set_barrier = set_barrier,
    .detail = detail,
};

static int load(global_mark *self)
{
    char watermark[TIDE_TIME_TEXT];
    char epoch[TIDE_TIME_TEXT];
    FILE *file = fopen(self->path, "r");
    if (file == NULL) {
        return TIDE_OK; /* the first session */
    }
    int fields = fscanf(file, "%30s %30s", watermark, epoch);
    (void)fclose(file);
    if (fields != 2 ||
        tide_time_parse(watermark, strlen(watermark), &self->global.watermark) != TIDE_OK ||
        tide_time_parse(epoch, strlen(epoch), &self->global.epoch) != TIDE_OK) {
        return TIDE_ECORRUPT;
    }
    self->global.updated_at = self->global.watermark;
    return TIDE_OK;
}

int global_mark_open(const char *path, const uuid_t device, tide_sync *peer, tide_watermarks **out)
{
    size_t bytes = strlen(path) + 1;
    global_mark *self = calloc(1, sizeof *self);
    *out = NULL;
    if (self == NULL || (self->path = malloc(bytes)) == NULL) {
        free(self);
        return TIDE_ENOMEM;
    }
    memcpy(self->path, path, bytes);
    self->base.backend = &backend;
    self->peer = peer;
    uuid_copy(self->base.device, device);
    self->global = TIDE__NO_MARK;
    int rc = load(self);
    if (rc != TIDE_OK) {
        close_handle(&self->base);
        return rc;
    }
    self->at_start = self->global;
    *out = &self->base;
    return TIDE_OK;
}
