/* meta.c - see meta.h. */
#include "store/meta.h"

#include <stdio.h>
#include <string.h>

#include "base/key.h"
#include "store/file.h"

#define NUMBER_TEXT 24 /* 64 bits in decimal, and a NUL */

static int get_text(MDB_txn *txn, MDB_dbi dbi, const char *name, char *text, size_t size)
{
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}; /* LMDB only reads it */
    MDB_val value;
    int rc = mdb_get(txn, dbi, &key, &value);
    if (rc != 0) {
        return rc;
    }
    size_t length = value.mv_size < size - 1 ? value.mv_size : size - 1;
    memcpy(text, value.mv_data, length);
    text[length] = '\0';
    return 0;
}

int tide__meta_open(tide__environment *environment, tide__detail *detail)
{
    const char *path = environment->path;
    MDB_txn *txn = NULL;
    char format[64];
    char id[64];
    char created[64];
    int rc = tide__read_begin(environment, &txn, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    int native = mdb_dbi_open(txn, TIDE__DB_META, 0, &environment->meta);
    if (native == 0) {
        native = mdb_dbi_open(txn, TIDE__DB_MARKS, 0, &environment->marks);
    }
    if (native == 0) {
        native = mdb_dbi_open(txn, NULL, 0, &environment->main);
    }
    if (native == 0) {
        native = get_text(txn, environment->meta, TIDE__META_FORMAT, format, sizeof format);
    }
    if (native == MDB_NOTFOUND) {
        rc = tide__fail(detail, TIDE_EFORMAT, "%s: an LMDB file, but not a store", path);
    } else if (native != 0) {
        rc = tide__fail_lmdb(detail, native, path);
    } else if (strcmp(format, TIDE__FORMAT_VERSION) != 0) {
        rc = tide__fail(detail, TIDE_EFORMAT, "%s: format version %s, expected %s", path, format,
                        TIDE__FORMAT_VERSION);
    } else if (get_text(txn, environment->meta, TIDE__META_STORE, id, sizeof id) != 0 ||
               get_text(txn, environment->meta, TIDE__META_CREATED, created, sizeof created) != 0 ||
               strlen(id) != TIDE__UUID_TEXT || !tide__uuid_parse(id, environment->store_id) ||
               tide_time_parse(created, strlen(created), &environment->created_at) != TIDE_OK) {
        rc = tide__fail(detail, TIDE_ECORRUPT, "%s: damaged identity", path);
    }
    /* Committed, not aborted: only so do the sub-databases stay open for later transactions. */
    native = mdb_txn_commit(txn);
    pthread_rwlock_unlock(&environment->gate);
    if (rc == TIDE_OK && native != 0) {
        rc = tide__fail_lmdb(detail, native, path);
    }
    return rc;
}

bool tide__number_decode(const void *bytes, size_t length, uint64_t *out)
{
    const char *text = bytes;
    *out = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)text[i] - '0';
        if (digit > 9 || *out > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *out = *out * 10 + digit;
    }
    return length > 0;
}

static int read_number(tide__environment *environment, MDB_txn *txn, const char *name,
                       uint64_t *out, tide__detail *detail)
{
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}; /* LMDB only reads it */
    MDB_val value;
    uint64_t number = 0;
    int rc = mdb_get(txn, environment->meta, &key, &value);
    *out = 0;
    if (rc == MDB_NOTFOUND) {
        return TIDE_OK;
    }
    if (rc != 0) {
        return tide__fail_lmdb(detail, rc, environment->path);
    }
    if (!tide__number_decode(value.mv_data, value.mv_size, &number)) {
        return tide__fail(detail, TIDE_ECORRUPT, "%s: damaged record \"%s\"", environment->path,
                          name);
    }
    *out = number <= mdb_txn_id(txn) ? number : 0;
    return TIDE_OK;
}

int tide__taken_read(tide__environment *environment, MDB_txn *txn, tide__taken *out,
                     tide__detail *detail)
{
    int rc = read_number(environment, txn, TIDE__META_REWOUND, &out->back, detail);
    return rc != TIDE_OK ? rc
                         : read_number(environment, txn, TIDE__META_REMOVED, &out->removed, detail);
}

static int write_number(tide__environment *environment, MDB_txn *txn, char *name, uint64_t number,
                        tide__detail *detail)
{
    char text[NUMBER_TEXT];
    int length = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    MDB_val key = {strlen(name), name};
    MDB_val value = {(size_t)length, text};
    int rc = mdb_put(txn, environment->meta, &key, &value, 0);
    return rc == 0 ? TIDE_OK : tide__fail_lmdb(detail, rc, environment->path);
}

int tide__taken_write(tide__environment *environment, MDB_txn *txn, const tide__taken *taken,
                      tide__detail *detail)
{
    char back[] = TIDE__META_REWOUND;
    char removed[] = TIDE__META_REMOVED;
    uint64_t now = mdb_txn_id(txn);
    int rc = TIDE_OK;
    if (taken->back == now) {
        rc = write_number(environment, txn, back, now, detail);
    }
    if (rc == TIDE_OK && taken->removed == now) {
        rc = write_number(environment, txn, removed, now, detail);
    }
    return rc;
}
