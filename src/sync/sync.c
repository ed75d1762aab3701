/* sync.c - the engine's handle: opening, registering, and the calls on marks and single rows.
 *
 * The handle brings the parts together: a connection (transaction.h), capture, models, and the marks.
 * Attaching the marks gives them a barrier: none is published before the rows it counts are on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tidemark/sync.h>

#include "base/clock.h"
#include "base/key.h"
#include "sync/apply.h"
#include "sync/capture.h"
#include "sync/device.h"
#include "sync/digest.h"
#include "sync/engine.h"
#include "sync/history.h"
#include "sync/model.h"
#include "sync/parked.h"
#include "sync/transaction.h"
#include "sync/wal_index.h"

#include "base/alloc.h"

#define CLOCK_AHEAD_MS 300000

/* ---- small services of the engine --------------------------------------------------------------- */

tide_time tide__now(const tide_sync *sync)
{
    return tide__clock_now(sync->clock, sync->clock_ctx);
}

void tide__random_uuid(const tide_sync *sync, uuid_t out)
{
    if (sync->random == NULL) {
        uuid_generate_random(out);
        return;
    }
    sync->random(sync->random_ctx, out, sizeof(uuid_t));
    out[6] = (unsigned char)((out[6] & 0x0f) | 0x40); /* RFC 4122, section 4.4 */
    out[8] = (unsigned char)((out[8] & 0x3f) | 0x80);
}

tide_time tide__later(const tide_sync *sync, tide_time last)
{
    uuid_t random;
    tide_time now = tide__now(sync);
    tide__random_uuid(sync, random);
    return 1 + (now > last ? now : last) + (random[0] << 8 | random[1]);
}

void tide__emit(const tide_sync *sync, const tide_event *event)
{
    if (sync->event != NULL) {
        sync->event(sync->event_ctx, event);
    }
}

void tide__tell_changed(tide_sync *sync, const unsigned char *peer, tide__model *m, uint64_t count)
{
    tide_event event = {.size = sizeof event,
                        .kind = TIDE_EVENT_RESOURCE_CHANGED,
                        .peer = peer,
                        .resource = m->resource,
                        .count = count};
    m->applied += count;
    sync->metrics.changes_applied += count;
    tide__emit(sync, &event);
}

/* ---- opening ------------------------------------------------------------------------------------ */

void tide_sync_options_init(tide_sync_options *options)
{
    *options = (tide_sync_options){.size = sizeof *options, .max_clock_ahead_ms = CLOCK_AHEAD_MS};
}

static int open_database(tide_sync *sync, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return tide__fail_errno(&sync->detail, errno, path);
    }
    if (!S_ISREG(st.st_mode)) {
        return tide__fail(&sync->detail, TIDE_EFORMAT, "%s: not a regular file", path);
    }
    if (access(path, R_OK | W_OK) != 0) {
        return tide__fail_errno(&sync->detail, errno, path);
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path, &sync->db, flags, NULL) != SQLITE_OK) {
        return sync->db == NULL ? TIDE_ENOMEM : tide__sql_fail(sync->db, path, &sync->detail);
    }
    tide__wal_index_guard(sync->db);
    return tide__connection_prepare(sync, path);
}

static bool options_ok(const tide_sync_options *o)
{
    return o == NULL || (o->size == sizeof *o && (o->detail == NULL || o->detail_bytes > 0));
}

int tide_sync_open(const char *path, const tide_sync_options *options, tide_sync **out)
{
    tide_sync_options o;
    if (out == NULL) {
        return TIDE_EINVAL;
    }
    *out = NULL;
    if (path == NULL || !options_ok(options)) {
        return TIDE_EINVAL;
    }
    tide_sync_options_init(&o);
    o = options != NULL ? *options : o;
    tide_sync *sync = tide__calloc(1, sizeof *sync);
    if (sync == NULL) {
        return TIDE_ENOMEM;
    }
    sync->max_clock_ahead_ms = o.max_clock_ahead_ms;
    sync->event = o.event;
    sync->event_ctx = o.event_ctx;
    sync->clock = o.clock;
    sync->clock_ctx = o.clock_ctx;
    sync->random = o.random;
    sync->random_ctx = o.random_ctx;
    sync->metrics.size = sizeof sync->metrics;
    sync->log_fd = -1;
    sync->durable_version = -1;
    int rc = open_database(sync, path);
    if (rc == TIDE_OK) {
        rc = tide__capture_identity(sync, o.device, o.library);
    }
    if (rc == TIDE_OK) {
        rc = tide__devices_load(sync);
    }
    if (rc == TIDE_OK) {
        rc = tide__parked_prepare(sync);
    }
    if (rc != TIDE_OK) {
        if (o.detail != NULL) {
            (void)sqlite3_snprintf((int)o.detail_bytes, o.detail, "%s",
                                   sync->detail.text[0] != '\0' ? sync->detail.text
                                                                : tide_strerror(rc));
        }
        tide_sync_close(sync);
        return rc;
    }
    *out = sync;
    return TIDE_OK;
}

void tide_sync_close(tide_sync *sync)
{
    if (sync == NULL) {
        return;
    }
    if (sync->marks != NULL) {
        (void)tide_watermarks_set_barrier(sync->marks, NULL, sync); /* flushes, or drops */
    }
    for (size_t i = 0; i < sync->model_count; i++) {
        tide__model_free(sync->models[i]);
    }
    tide__parked_finalize(sync);
    tide__connection_close(sync);
    tide__free(sync->devices);
    tide__free(sync);
}

int tide_sync_register(tide_sync *sync, const tide_model *model)
{
    tide__model *m = NULL;
    if (sync == NULL || model == NULL) {
        return TIDE_EINVAL;
    }
    int rc = tide__model_make(sync, model, &m);
    if (rc != TIDE_OK) {
        return rc;
    }
    if (tide__model_find(sync, m->resource, strlen(m->resource)) != NULL) {
        rc = tide__fail(&sync->detail, TIDE_EBUSY, "model %s is registered already", m->resource);
    } else if (sync->model_count == TIDE_MODELS_MAX) {
        rc = tide__fail(&sync->detail, TIDE_ELIMIT, "more than %d models", TIDE_MODELS_MAX);
    } else {
        rc = tide__begin(sync, TIDE__WRITE);
        if (rc == TIDE_OK) {
            rc = tide__end(sync, tide__capture_install(sync, m));
        }
    }
    if (rc == TIDE_OK) {
        rc = tide__model_prepare(sync, m);
    }
    if (rc != TIDE_OK) {
        tide__model_free(m);
        return rc;
    }
    m->place = sync->model_count;
    sync->models[sync->model_count++] = m;
    return TIDE_OK;
}

int tide_sync_attach(tide_sync *sync, tide_watermarks *marks)
{
    uuid_t device;
    if (sync == NULL || marks == NULL) {
        return TIDE_EINVAL;
    }
    tide_watermarks_device(marks, device);
    if (uuid_compare(device, sync->device) != 0) {
        return tide__fail(&sync->detail, TIDE_ELIBRARY, "the marks belong to another device");
    }
    int rc = tide_watermarks_set_barrier(marks, tide__rows_barrier, sync);
    if (rc == TIDE_OK && sync->marks != NULL && sync->marks != marks) {
        rc = tide_watermarks_set_barrier(sync->marks, NULL, sync);
    }
    if (rc == TIDE_OK) {
        sync->marks = marks;
    }
    return rc;
}

sqlite3 *tide_sync_database(tide_sync *sync)
{
    return sync->db;
}

void tide_sync_device(const tide_sync *sync, uuid_t device)
{
    uuid_copy(device, sync->device);
}

void tide_sync_library(const tide_sync *sync, uuid_t library)
{
    uuid_copy(library, sync->library);
}

/* ---- history ------------------------------------------------------------------------------------ */

int tide_sync_is_recovering(tide_sync *sync)
{
    int rc = sync == NULL ? TIDE_EINVAL : tide__history_load(sync);
    return rc == TIDE_OK ? sync->recovering : rc;
}

int tide_sync_accept(tide_sync *sync)
{
    int rc = tide_sync_is_recovering(sync);
    return rc == 1 ? tide__history_recovered(sync, true) : rc;
}

/* ---- models ------------------------------------------------------------------------------------- */

/* The model of a resource that a caller names. */
static int named(tide_sync *sync, const char *resource, tide__model **out)
{
    if (sync == NULL || resource == NULL) {
        return TIDE_EINVAL;
    }
    tide__model *m = tide__model_find(sync, resource, strlen(resource));
    if (m == NULL) {
        (void)tide__fail(&sync->detail, 0, "resource \"%.64s\" is not registered", resource);
        return TIDE_EMODEL;
    }
    *out = m;
    return TIDE_OK;
}

int tide_sync_order(tide_sync *sync, tide_resource_fn *fn, void *ctx)
{
    tide__model *order[TIDE_MODELS_MAX];
    if (sync == NULL || fn == NULL) {
        return TIDE_EINVAL;
    }
    int rc = tide__model_order(sync, order);
    for (size_t i = 0; rc == TIDE_OK && i < sync->model_count; i++) {
        rc = fn(ctx, order[i]->resource);
    }
    return rc;
}

int tide_model_is_device_owned(tide_sync *sync, const char *resource)
{
    tide__model *m = NULL;
    int rc = named(sync, resource, &m);
    return rc == TIDE_OK ? m->ownership == TIDE_DEVICE_OWNED : rc;
}

/* ---- marks -------------------------------------------------------------------------------------- */

int tide__marks_failed(tide_sync *sync, int rc)
{
    if (rc < 0) {
        tide__detail why = {""};
        tide_watermarks_detail(sync->marks, why.text, sizeof why.text);
        (void)tide__fail(&sync->detail, rc, "marks: %.400s",
                         why.text[0] != '\0' ? why.text : tide_strerror(rc));
    }
    return rc;
}

int tide_sync_get_resource_watermark(tide_sync *sync, const uuid_t peer, const char *resource,
                                     tide_time *out)
{
    tide__model *m = NULL;
    int rc = named(sync, resource, &m);
    if (rc == TIDE_OK && sync->marks == NULL) {
        rc = TIDE_EINVAL;
    }
    return rc == TIDE_OK
               ? tide__marks_failed(sync, tide_watermarks_get(sync->marks, peer, resource, out))
               : rc;
}

int tide_sync_update_state_watermark(tide_sync *sync, const uuid_t peer, const char *resource,
                                     tide_time after, tide_time upto, tide_time epoch)
{
    tide__model *m = NULL;
    int rc = named(sync, resource, &m);
    if (rc == TIDE_OK && sync->marks == NULL) {
        rc = TIDE_EINVAL;
    }
    return rc == TIDE_OK
               ? tide__marks_failed(sync, tide_watermarks_advance_range(sync->marks, peer, resource,
                                                                        after, upto, epoch,
                                                                        TIDE_DEFAULT_DURABILITY))
               : rc;
}

/* ---- rows --------------------------------------------------------------------------------------- */

static bool value_ok(const tide_value *value)
{
    return value->type <= TIDE_BYTES &&
           (value->type < TIDE_STRING || value->bytes == 0 || value->data != NULL);
}

static int check_change(tide_sync *sync, const tide__model *m, const tide_change *change)
{
    if (change->values == NULL && change->value_count > 0) {
        return tide__fail(&sync->detail, TIDE_EINVAL, "%s: NULL for values", m->resource);
    }
    bool ok = change->version != TIDE_TIME_NONE && change->key.type != TIDE_NULL &&
              value_ok(&change->key) && change->deleted <= 1;
    if (!ok || change->value_count != (change->deleted ? 0 : m->column_count)) {
        return tide__fail(&sync->detail, TIDE_EPROTO, "%s: %zu values, expected %zu, or no key",
                          m->resource, change->value_count, change->deleted ? 0 : m->column_count);
    }
    for (size_t i = 0; i < change->value_count; i++) {
        if (!value_ok(&change->values[i])) {
            return tide__fail(&sync->detail, TIDE_EPROTO, "%s: value %zu has no type", m->resource,
                              i);
        }
    }
    return tide__apply_check_clock(sync, m, change->version);
}

/* Finds the model of each change, and checks it against that. */
static int check_changes(tide_sync *sync, const tide_change *changes, size_t count)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < count; i++) {
        tide__model *m = NULL;
        rc =
            changes[i].size == sizeof *changes ? named(sync, changes[i].resource, &m) : TIDE_EINVAL;
        if (rc == TIDE_OK) {
            rc = check_change(sync, m, &changes[i]);
        }
    }
    return rc;
}

static int apply_changes(tide_sync *sync, const uuid_t peer, const tide_change *changes,
                         size_t count, tide__purpose purpose, uint64_t *written)
{
    tide__apply apply;
    int rc = tide__apply_begin(&apply, sync, purpose);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__device_id(sync, peer, 0, &apply.source);
    for (size_t i = 0; rc == TIDE_OK && i < count; i++) {
        tide__model *m = tide__model_find(sync, changes[i].resource, strlen(changes[i].resource));
        rc = tide__parked_write(&apply, m, &changes[i]);
        rc = tide__apply_explain(&apply, m, &changes[i], rc);
        written[m->place] += rc == TIDE_OK;
        rc = rc == TIDE_STALE ? TIDE_OK : rc;
    }
    return tide__apply_end(&apply, rc);
}

int tide_sync_apply_state_changes(tide_sync *sync, const uuid_t peer, const tide_change *changes,
                                  size_t count, uint32_t durability, size_t *written)
{
    uint64_t counts[TIDE_MODELS_MAX] = {0};
    uint64_t all = 0;
    if (sync == NULL || peer == NULL || changes == NULL || count == 0 || count > TIDE_CHANGES_MAX ||
        durability > TIDE_DEFERRED || uuid_compare(peer, sync->device) == 0) {
        return TIDE_EINVAL;
    }
    int rc = check_changes(sync, changes, count);
    if (rc == TIDE_OK) {
        rc = apply_changes(sync, peer, changes, count,
                           durability == TIDE_DEFERRED ? TIDE__APPLY : TIDE__WRITE, counts);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    for (size_t i = 0; i < sync->model_count; i++) {
        all += counts[i];
        if (counts[i] > 0) {
            tide__tell_changed(sync, peer, sync->models[i], counts[i]);
        }
    }
    if (written != NULL) {
        *written = (size_t)all;
    }
    return all > 0 ? TIDE_OK : TIDE_STALE;
}

int tide_sync_apply_state_change(tide_sync *sync, const uuid_t peer, const tide_change *change)
{
    return tide_sync_apply_state_changes(sync, peer, change, 1, TIDE_DURABLE, NULL);
}

/* ---- knowing more ------------------------------------------------------------------------------- */

int tide_sync_metrics(tide_sync *sync, tide_metrics *out)
{
    if (sync == NULL || out == NULL || out->size != sizeof *out) {
        return TIDE_EINVAL;
    }
    *out = sync->metrics;
    return TIDE_OK;
}

int tide_sync_resource_info(tide_sync *sync, const char *resource, tide_resource_info *out)
{
    tide__model *m = NULL;
    int rc = out == NULL || out->size != sizeof *out ? TIDE_EINVAL : named(sync, resource, &m);
    if (rc != TIDE_OK) {
        return rc;
    }
    tide_resource_info info = {
        .size = sizeof info, .ownership = m->ownership, .changes_applied = m->applied};
    sqlite3_stmt *count = m->statements[TIDE__COUNT];
    tide_time pruned = 0;
    rc = tide__sql_step(count, &sync->detail);
    if (rc == TIDE_OK) {
        info.rows = (uint64_t)sqlite3_column_int64(count, 0);
        info.tombstones = (uint64_t)sqlite3_column_int64(count, 1);
        (void)sqlite3_reset(count);
        rc = tide__model_head(sync, m, &info.head, &pruned);
    }
    if (rc == TIDE_OK) {
        info.head = info.head == 0 ? TIDE_TIME_NONE : info.head;
        rc = tide__parked_count(sync, m, &info.parked);
    }
    if (rc == TIDE_OK) {
        *out = info;
    }
    return rc;
}

int tide_sync_rows_behind(tide_sync *sync, const char *resource, tide_time stamp, uint64_t *out)
{
    tide__model *m = NULL;
    int rc = out == NULL ? TIDE_EINVAL : named(sync, resource, &m);
    if (rc != TIDE_OK) {
        return rc;
    }
    sqlite3_stmt *behind = m->statements[TIDE__BEHIND];
    if (sqlite3_bind_int64(behind, 1, stamp) != SQLITE_OK) {
        return tide__sql_fail(sync->db, "SQLite", &sync->detail);
    }
    rc = tide__sql_step(behind, &sync->detail);
    if (rc == TIDE_OK) {
        *out = (uint64_t)sqlite3_column_int64(behind, 0);
        (void)sqlite3_reset(behind);
    }
    return rc;
}

int tide_sync_digest(tide_sync *sync, const char *resource, tide_digest *out)
{
    tide__model *m = NULL;
    tide__digest digest;
    uint64_t changed = 0;
    int rc = out == NULL ? TIDE_EINVAL : named(sync, resource, &m);
    if (rc == TIDE_OK) {
        rc = tide__digest_recount(sync, m);
    }
    if (rc == TIDE_OK) {
        rc = tide__begin(sync, TIDE__READ);
    }
    if (rc == TIDE_OK) {
        rc = tide__end(sync, tide__digest_read(sync, m, &digest, &changed));
    }
    if (rc == TIDE_OK) {
        out->rows = digest.count;
        tide__digest_pack(&digest, out->sum);
    }
    return rc;
}

void tide_sync_detail(tide_sync *sync, char *text, size_t size)
{
    if (text != NULL && size > 0) {
        (void)sqlite3_snprintf((int)(size < INT32_MAX ? size : INT32_MAX), text, "%s",
                               sync == NULL ? "" : sync->detail.text);
    }
}
