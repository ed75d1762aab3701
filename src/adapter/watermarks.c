/* watermarks.c - the public calls of tidemark/watermarks.h: arguments in, on to the backend. */
#include "adapter/watermarks.h"

#include "base/key.h"

#define HISTORY "history" /* resource of the mark about ourselves */

/* A peer that can have watermarks: somebody else. */
static int check_peer(const tide_watermarks *marks, const uuid_t peer)
{
    return marks != NULL && peer != NULL && uuid_compare(marks->device, peer) != 0 ? TIDE_OK
                                                                                   : TIDE_EINVAL;
}

static int check(const tide_watermarks *marks, const uuid_t peer, const char *resource)
{
    return tide__resource_valid(resource, NULL) ? check_peer(marks, peer) : TIDE_EINVAL;
}

void tide_watermarks_close(tide_watermarks *marks)
{
    if (marks != NULL) {
        marks->backend->close(marks);
    }
}

void tide_watermarks_device(const tide_watermarks *marks, uuid_t device)
{
    uuid_copy(device, marks->device);
}

int tide_watermarks_get_mark(tide_watermarks *marks, const uuid_t peer, const char *resource,
                             tide_mark *out)
{
    int rc = out == NULL ? TIDE_EINVAL : check(marks, peer, resource);
    return rc == TIDE_OK ? marks->backend->get(marks, marks->device, peer, resource, out) : rc;
}

int tide_watermarks_get(tide_watermarks *marks, const uuid_t peer, const char *resource,
                        tide_time *out)
{
    tide_mark mark;
    int rc = out == NULL ? TIDE_EINVAL : tide_watermarks_get_mark(marks, peer, resource, &mark);
    if (rc == TIDE_OK) {
        *out = mark.watermark;
    }
    return rc;
}

int tide_watermarks_advance_range(tide_watermarks *marks, const uuid_t peer, const char *resource,
                                  tide_time after, tide_time upto, tide_time epoch,
                                  uint32_t durability)
{
    int rc = check(marks, peer, resource);
    if (rc == TIDE_OK && (after >= upto || durability > TIDE_DEFERRED)) {
        rc = TIDE_EINVAL;
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    tide_step step = {marks->device, peer, resource, after, upto, epoch};
    return marks->backend->advance(marks, &step, durability);
}

int tide_watermarks_upsert(tide_watermarks *marks, const uuid_t peer, const char *resource,
                           tide_time watermark)
{
    return tide_watermarks_advance_range(marks, peer, resource, TIDE_TIME_NONE, watermark,
                                         TIDE_TIME_NONE, TIDE_DEFAULT_DURABILITY);
}

int tide_watermarks_reset(tide_watermarks *marks, const uuid_t peer, const char *resource)
{
    int rc = check(marks, peer, resource);
    return rc == TIDE_OK ? marks->backend->reset(marks, peer, resource) : rc;
}

int tide_watermarks_set_ack(tide_watermarks *marks, const uuid_t peer, const char *resource,
                            tide_time acked, uint32_t durability)
{
    int rc = acked == TIDE_TIME_NONE || durability > TIDE_DEFERRED ? TIDE_EINVAL
                                                                   : check(marks, peer, resource);
    if (rc != TIDE_OK) {
        return rc;
    }
    tide_step step = {peer, marks->device, resource, TIDE_TIME_NONE, acked, TIDE_TIME_NONE};
    return marks->backend->advance(marks, &step, durability);
}

int tide_watermarks_get_ack(tide_watermarks *marks, const uuid_t peer, const char *resource,
                            tide_time *out)
{
    tide_mark mark;
    int rc = out == NULL ? TIDE_EINVAL : check(marks, peer, resource);
    if (rc == TIDE_OK) {
        rc = marks->backend->get(marks, peer, marks->device, resource, &mark);
    }
    if (rc == TIDE_OK) {
        *out = mark.watermark;
    }
    return rc;
}

int tide_watermarks_get_all_for_peer(tide_watermarks *marks, const uuid_t peer,
                                     tide_watermark_fn *fn, void *ctx)
{
    int rc = fn == NULL ? TIDE_EINVAL : check_peer(marks, peer);
    return rc == TIDE_OK ? marks->backend->each(marks, peer, fn, ctx) : rc;
}

int tide_watermarks_get_max(tide_watermarks *marks, tide_time *out)
{
    return marks == NULL || out == NULL ? TIDE_EINVAL : marks->backend->max(marks, out);
}

int tide_watermarks_delete_peer(tide_watermarks *marks, const uuid_t peer, size_t *removed)
{
    size_t count = 0;
    int rc = check_peer(marks, peer);
    if (rc == TIDE_OK) {
        rc = marks->backend->remove(marks, marks->device, peer, &count);
    }
    if (rc == TIDE_OK && removed != NULL) {
        *removed = count;
    }
    return rc;
}

int tide_watermarks_delete_acks(tide_watermarks *marks, const uuid_t peer)
{
    size_t count = 0;
    int rc = check_peer(marks, peer);
    return rc == TIDE_OK ? marks->backend->remove(marks, peer, marks->device, &count) : rc;
}

int tide_watermarks_raise_history(tide_watermarks *marks, tide_time epoch, tide_time newest,
                                  uint32_t durability)
{
    if (marks == NULL || epoch == TIDE_TIME_NONE || newest == TIDE_TIME_NONE ||
        durability > TIDE_DEFERRED) {
        return TIDE_EINVAL;
    }
    tide_step step = {marks->device, marks->device, HISTORY, TIDE_TIME_NONE, newest, epoch};
    return marks->backend->advance(marks, &step, durability);
}

int tide_watermarks_get_history(tide_watermarks *marks, tide_mark *out)
{
    return marks == NULL || out == NULL
               ? TIDE_EINVAL
               : marks->backend->get(marks, marks->device, marks->device, HISTORY, out);
}

/* The history last: while it is there, what is left of the rest is known to be old. */
int tide_watermarks_forget(tide_watermarks *marks)
{
    size_t count = 0;
    if (marks == NULL) {
        return TIDE_EINVAL;
    }
    int rc = marks->backend->remove(marks, marks->device, NULL, &count);
    if (rc == TIDE_OK) {
        rc = marks->backend->remove(marks, NULL, marks->device, &count);
    }
    return rc == TIDE_OK ? marks->backend->remove(marks, marks->device, marks->device, &count) : rc;
}

int tide_watermarks_flush(tide_watermarks *marks)
{
    return marks == NULL ? TIDE_EINVAL : marks->backend->flush(marks);
}

int tide_watermarks_set_barrier(tide_watermarks *marks, tide_barrier_fn *fn, void *ctx)
{
    return marks == NULL ? TIDE_EINVAL : marks->backend->set_barrier(marks, fn, ctx);
}

void tide_watermarks_detail(tide_watermarks *marks, char *text, size_t size)
{
    if (text != NULL && size > 0) {
        text[0] = '\0';
        if (marks != NULL) {
            marks->backend->detail(marks, text, size);
        }
    }
}
