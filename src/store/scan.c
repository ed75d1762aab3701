/* scan.c - walking the marks; see scan.h. */
#include "store/scan.h"

#include <stdbool.h>
#include <string.h>

#include "base/record.h"

#include "base/alloc.h"

#define CHUNK_MARKS 128
#define CHUNK_STEPS 4096
#define AFTER_BAR ('|' + 1) /* sorts behind everything that goes on with a bar */

typedef struct found {
    uuid_t device;
    uuid_t peer;
    char resource[TIDE_RESOURCE_MAX + 1];
    tide_mark mark;
} found;

typedef struct walk {
    tide__environment *environment;
    bool has_device;
    bool has_peer;
    char device[TIDE__UUID_TEXT];
    char peer[TIDE__UUID_TEXT];
    const char *resource; /* NULL: any */
    bool ended;
    tide__key next; /* where the walk goes on */
    found *chunk;
    size_t count;
} walk;

static void seek(walk *w, const char *bytes, size_t length)
{
    memmove(w->next.text, bytes, length); /* may be a beginning of itself */
    w->next.length = length;
}

static void append(walk *w, const char *bytes, size_t length)
{
    memcpy(w->next.text + w->next.length, bytes, length);
    w->next.length += length;
}

/* The walk goes on behind everything that has the first `length` bytes of `key`, which end before a
 * bar. */
static void seek_behind(walk *w, const char *key, size_t length)
{
    seek(w, key, length);
    w->next.text[w->next.length++] = AFTER_BAR;
}

/* From the start of a device: its first peer that may fit, and there the resource. */
static void seek_peer(walk *w, const char *key)
{
    seek(w, key, TIDE__KEY_DEVICE_END);
    append(w, w->peer, TIDE__UUID_TEXT);
    append(w, "|", 1);
    if (w->resource != NULL) {
        append(w, w->resource, strlen(w->resource));
    }
}

static int compare_text(const char *a, size_t a_length, const char *b)
{
    size_t b_length = strlen(b);
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

/* Whether a key passes the filter; if not, `next` is set to the first key behind it that may. */
static bool fits(walk *w, const char *key, size_t length)
{
    if (w->has_device && memcmp(key, w->device, TIDE__UUID_TEXT) != 0) {
        w->ended = true; /* the walk began at the device */
        return false;
    }
    if (w->has_peer) {
        int order = memcmp(key + TIDE__KEY_DEVICE_END, w->peer, TIDE__UUID_TEXT);
        if (order < 0) {
            seek_peer(w, key);
            return false;
        }
        if (order > 0) {
            seek_behind(w, key, TIDE__UUID_TEXT);
            return false;
        }
    }
    if (w->resource != NULL) {
        int order =
            compare_text(key + TIDE__KEY_PEER_END, length - TIDE__KEY_PEER_END, w->resource);
        if (order < 0) {
            seek(w, key, TIDE__KEY_PEER_END);
            append(w, w->resource, strlen(w->resource));
            return false;
        }
        if (order > 0) {
            seek_behind(w, key, TIDE__KEY_PEER_END - 1);
            return false;
        }
    }
    return true;
}

static int take(walk *w, const MDB_val *key, const MDB_val *value, tide__detail *detail)
{
    found *f = &w->chunk[w->count];
    int rc = tide__key_decode(key->mv_data, key->mv_size, f->device, f->peer, f->resource);
    if (rc == TIDE_OK) {
        rc = tide__record_decode(key->mv_data, key->mv_size, value->mv_data, value->mv_size,
                                 &f->mark);
    }
    if (rc != TIDE_OK) {
        return tide__fail(detail, rc, "%s: damaged mark %.*s", w->environment->path,
                          (int)(key->mv_size < TIDE__KEY_MAX ? key->mv_size : TIDE__KEY_MAX),
                          (const char *)key->mv_data);
    }
    w->count++;
    return TIDE_OK;
}

/* Fills the chunk. `ended` is set when the walk is over. */
static int fill(walk *w, MDB_txn *txn, tide__detail *detail)
{
    MDB_cursor *cursor = NULL;
    MDB_val key = {w->next.length, w->next.text};
    MDB_val value;
    MDB_cursor_op how = MDB_SET_RANGE;
    int rc = TIDE_OK;
    int native = mdb_cursor_open(txn, w->environment->marks, &cursor);
    if (native != 0) {
        return tide__fail_lmdb(detail, native, w->environment->path);
    }
    w->count = 0;
    for (int steps = 0; w->count < CHUNK_MARKS && steps < CHUNK_STEPS; steps++) {
        native = mdb_cursor_get(cursor, &key, &value, how);
        if (native != 0) {
            w->ended = true;
            if (native != MDB_NOTFOUND) {
                rc = tide__fail_lmdb(detail, native, w->environment->path);
            }
            break;
        }
        const char *text = key.mv_data;
        if (key.mv_size <= TIDE__KEY_PEER_END || key.mv_size > TIDE__KEY_MAX ||
            text[TIDE__KEY_DEVICE_END - 1] != '|' || text[TIDE__KEY_PEER_END - 1] != '|') {
            rc = tide__fail(detail, TIDE_ECORRUPT, "%s: damaged key", w->environment->path);
            break;
        }
        if (fits(w, key.mv_data, key.mv_size)) {
            rc = take(w, &key, &value, detail);
            if (rc != TIDE_OK) {
                break;
            }
            how = MDB_NEXT;
            /* The first key behind this one is the same with a NUL, which no key has. */
            seek(w, key.mv_data, key.mv_size);
            w->next.text[w->next.length++] = '\0';
        } else if (w->ended) {
            break;
        } else {
            how = MDB_SET_RANGE;
            key = (MDB_val){w->next.length, w->next.text};
        }
    }
    mdb_cursor_close(cursor);
    return rc;
}

static void begin(walk *w, const tide__filter *filter)
{
    w->has_device = filter->device != NULL;
    w->has_peer = filter->peer != NULL;
    w->resource = filter->resource;
    if (w->has_peer) {
        tide__uuid_format(filter->peer, w->peer);
    }
    if (w->has_device) {
        tide__uuid_format(filter->device, w->device);
        seek(w, w->device, TIDE__UUID_TEXT);
        append(w, "|", 1);
        if (w->has_peer) {
            seek_peer(w, w->next.text);
        }
    } else {
        seek(w, "0", 1); /* LMDB wants a key; all of ours begin with a hex digit */
    }
}

int tide__scan(tide__environment *environment, const tide__filter *filter, tide_each_fn *fn,
               void *ctx, tide__detail *detail)
{
    walk *w = tide__calloc(1, sizeof *w);
    int rc = TIDE_OK;
    if (w == NULL || (w->chunk = tide__malloc(CHUNK_MARKS * sizeof *w->chunk)) == NULL) {
        tide__free(w);
        return TIDE_ENOMEM;
    }
    w->environment = environment;
    begin(w, filter);
    while (rc == TIDE_OK && !w->ended) {
        MDB_txn *txn = NULL;
        rc = tide__read_begin(environment, &txn, detail);
        if (rc == TIDE_OK) {
            rc = fill(w, txn, detail);
            tide__read_end(environment, txn);
        }
        for (size_t i = 0; rc == TIDE_OK && i < w->count; i++) {
            const found *f = &w->chunk[i];
            rc = fn(ctx, f->device, f->peer, f->resource, &f->mark);
        }
    }
    tide__free(w->chunk);
    tide__free(w);
    return rc;
}
