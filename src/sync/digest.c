/* digest.c - count and sum over the live rows of a model; see digest.h. */
#include "sync/digest.h"

#include <string.h>

#include "sync/capture.h"
#include "sync/device.h"
#include "sync/engine.h"
#include "sync/model.h"
#include "sync/transaction.h"

#define NUMBER_BYTES 8
#define SHORT_KEY 64

/* Columns of the statements that walk records. */
enum { AT_KEY, AT_VERSION, AT_DEVICE };

static void put_big_endian(uint64_t value, unsigned char *bytes)
{
    for (int i = 7; i >= 0; i--) {
        bytes[i] = (unsigned char)value;
        value >>= 8;
    }
}

static uint64_t get_big_endian(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

void tide__digest_pack(const tide__digest *digest, unsigned char bytes[TIDE__DIGEST_BYTES])
{
    put_big_endian(digest->high, bytes);
    put_big_endian(digest->low, bytes + 8);
}

void tide__digest_unpack(tide__digest *digest, const unsigned char bytes[TIDE__DIGEST_BYTES])
{
    digest->high = get_big_endian(bytes);
    digest->low = get_big_endian(bytes + 8);
}

bool tide__digest_equal(const tide__digest *a, const tide__digest *b)
{
    return a->count == b->count && a->high == b->high && a->low == b->low;
}

static void add(tide__digest *digest, const unsigned char *hash)
{
    uint64_t low = digest->low + get_big_endian(hash + 8);
    digest->high += get_big_endian(hash) + (low < digest->low);
    digest->low = low;
    digest->count++;
}

static void subtract(tide__digest *digest, const unsigned char *hash)
{
    uint64_t low = digest->low - get_big_endian(hash + 8);
    digest->high -= get_big_endian(hash) + (low > digest->low);
    digest->low = low;
    digest->count--;
}

/* The key of the record a statement stands at, as bytes; `number` is the place for one that is a
 * number. */
static int key_bytes(sqlite3_stmt *statement, unsigned char *number, const void **key, size_t *bytes)
{
    double real = 0;
    uint64_t bits = 0;
    *key = number;
    *bytes = NUMBER_BYTES;
    switch (sqlite3_column_type(statement, AT_KEY)) {
    case SQLITE_INTEGER:
        put_big_endian((uint64_t)sqlite3_column_int64(statement, AT_KEY), number);
        return TIDE_OK;
    case SQLITE_FLOAT:
        real = sqlite3_column_double(statement, AT_KEY);
        memcpy(&bits, &real, sizeof bits);
        put_big_endian(bits, number);
        return TIDE_OK;
    default:
        *key = sqlite3_column_blob(statement, AT_KEY);
        *bytes = (size_t)sqlite3_column_bytes(statement, AT_KEY);
        return *key == NULL && *bytes > 0 ? TIDE_ENOMEM : TIDE_OK;
    }
}

/* Of version, type and bytes of the key, under the device that made the version. A long key counts
 * by its own hash. */
static int hash_record(tide_sync *sync, sqlite3_stmt *statement, uuid_t out)
{
    unsigned char name[NUMBER_BYTES + 1 + SHORT_KEY];
    unsigned char number[NUMBER_BYTES];
    uuid_t hash;
    const unsigned char *device = NULL;
    const void *key = NULL;
    size_t bytes = 0;
    int rc = tide__device_uuid(sync, sqlite3_column_int64(statement, AT_DEVICE), &device);
    if (rc == TIDE_OK) {
        rc = key_bytes(statement, number, &key, &bytes);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    put_big_endian((uint64_t)sqlite3_column_int64(statement, AT_VERSION), name);
    name[NUMBER_BYTES] = (unsigned char)sqlite3_column_type(statement, AT_KEY);
    if (bytes > SHORT_KEY) {
        uuid_generate_sha1(hash, device, key, bytes);
        key = hash;
        bytes = sizeof hash;
    }
    if (bytes > 0) {
        memcpy(name + NUMBER_BYTES + 1, key, bytes);
    }
    uuid_generate_sha1(out, device, (const char *)name, NUMBER_BYTES + 1 + bytes);
    return TIDE_OK;
}

/* Adds, or takes out, every record the statement walks over. */
static int walk(tide_sync *sync, sqlite3_stmt *statement,
                void (*fn)(tide__digest *digest, const unsigned char *hash), tide__digest *digest,
                uint64_t *changed)
{
    int rc = TIDE_OK;
    while ((rc = tide__sql_step(statement, &sync->detail)) == TIDE_OK) {
        uuid_t hash;
        rc = hash_record(sync, statement, hash);
        if (rc != TIDE_OK) {
            (void)sqlite3_reset(statement);
            return rc;
        }
        fn(digest, hash);
        ++*changed;
    }
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

int tide__digest_read(tide_sync *sync, tide__model *m, tide__digest *out, uint64_t *changed)
{
    sqlite3_stmt *kept = m->statements[TIDE__SUM_KEPT];
    sqlite3_stmt *added = m->statements[TIDE__SUM_NEW];
    *changed = 0;
    int rc = tide__sql_step(kept, &sync->detail);
    if (rc != TIDE_OK) {
        return rc == TIDE_ABSENT ? tide__fail(&sync->detail, TIDE_ECORRUPT,
                                              "tidemark_resources has no %s", m->resource)
                                 : rc;
    }
    (void)sqlite3_bind_int64(added, 1, sqlite3_column_int64(kept, 0));
    *out = (tide__digest){(uint64_t)sqlite3_column_int64(kept, 1),
                          (uint64_t)sqlite3_column_int64(kept, 2),
                          (uint64_t)sqlite3_column_int64(kept, 3)};
    bool current = sqlite3_column_int(kept, 4) == 0;
    (void)sqlite3_reset(kept);
    if (current) {
        return TIDE_OK;
    }
    rc = walk(sync, m->statements[TIDE__SUM_WAS], subtract, out, changed);
    return rc == TIDE_OK ? walk(sync, added, add, out, changed) : rc;
}

static int write_digest(tide_sync *sync, tide__model *m, const tide__digest *digest, tide_time head)
{
    sqlite3_stmt *keep = m->statements[TIDE__SUM_KEEP];
    (void)sqlite3_bind_int64(keep, 1, (sqlite3_int64)digest->count);
    (void)sqlite3_bind_int64(keep, 2, (sqlite3_int64)digest->high);
    (void)sqlite3_bind_int64(keep, 3, (sqlite3_int64)digest->low);
    (void)sqlite3_bind_int64(keep, 4, head);
    int rc = tide__sql_done(keep, &sync->detail);
    return rc == TIDE_OK ? tide__sql_done(m->statements[TIDE__SUM_FORGET], &sync->detail) : rc;
}

/* Every change raises the head of the feed: while it stands, the digest does. */
int tide__digest_keep(tide_sync *sync, tide__model *m, const tide__digest *digest, tide_time head)
{
    tide_time now = 0;
    tide_time pruned = 0;
    int rc = tide__begin(sync, TIDE__APPLY);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__model_head(sync, m, &now, &pruned);
    if (rc == TIDE_OK && now == head) {
        rc = write_digest(sync, m, digest, head);
    }
    return tide__end(sync, rc);
}

static int recount(tide_sync *sync, tide__model *m)
{
    sqlite3_stmt *all = m->statements[TIDE__SUM_NEW];
    tide__digest digest = {0, 0, 0};
    tide_time head = 0;
    tide_time pruned = 0;
    uint64_t looked = 0;
    int rc = tide__capture_reconcile(sync, m);
    if (rc == TIDE_OK) {
        (void)sqlite3_bind_int64(all, 1, TIDE_TIME_NONE);
        rc = walk(sync, all, add, &digest, &looked);
    }
    if (rc == TIDE_OK) {
        rc = tide__model_head(sync, m, &head, &pruned);
    }
    return rc == TIDE_OK ? write_digest(sync, m, &digest, head) : rc;
}

int tide__digest_recount(tide_sync *sync, tide__model *m)
{
    int rc = tide__begin(sync, TIDE__APPLY);
    return rc == TIDE_OK ? tide__end(sync, recount(sync, m)) : rc;
}
