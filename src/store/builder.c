/* builder.c - a store from nothing; see builder.h. */
#include "store/builder.h"

#include <errno.h>
#include <lmdb.h>
#include <stdbool.h>
#include <string.h>
#include <sys/statfs.h>

#include <tidemark/error.h>

#include "base/key.h"
#include "base/record.h"
#include "store/environment.h"
#include "store/layout.h"
#include "store/sum.h"

#include "base/alloc.h"

#define BIRTH_MAP_BYTES (256u << 10)
#define PORTION_MARKS 32768         /* to a commit */
#define PORTION_BYTES (64ull << 20) /* of map: six of the longest marks fill a page */
#define FIRST_PAGES (BIRTH_MAP_BYTES / PAGE_BYTES) /* LMDB has left two of them unflushed */

struct tide__builder {
    const char *path;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi marks;
    MDB_dbi main;
    uint64_t checks; /* of the marks so far, added up */
    size_t uncommitted;
};

/* LMDB says EIO where the disk is full. */
static int failed(const tide__builder *b, int native, tide__detail *detail)
{
    struct statfs fs;
    bool full = native == EIO && statfs(b->path, &fs) == 0 &&
                (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < BIRTH_MAP_BYTES;
    return tide__fail_lmdb(detail, full ? ENOSPC : native, b->path);
}

static int put_text(MDB_txn *txn, MDB_dbi dbi, const char *name, const char *text, size_t length)
{
    /* LMDB only reads through these pointers. */
    MDB_val key = {strlen(name), (void *)(uintptr_t)name};
    MDB_val value = {length, (void *)(uintptr_t)text};
    return mdb_put(txn, dbi, &key, &value, 0);
}

/* Begins the first transaction. */
static int write_identity(tide__builder *b, const tide__identity *identity)
{
    MDB_dbi meta = 0;
    char created[TIDE_TIME_TEXT];
    char id[TIDE__UUID_TEXT];
    tide__uuid_format(identity->store_id, id);
    tide_time_format(identity->created_at, created);
    int rc = mdb_txn_begin(b->env, NULL, 0, &b->txn);
    if (rc == 0) {
        rc = mdb_dbi_open(b->txn, TIDE__DB_MARKS, MDB_CREATE, &b->marks);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(b->txn, TIDE__DB_META, MDB_CREATE, &meta);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(b->txn, NULL, 0, &b->main);
    }
    if (rc == 0) {
        rc = put_text(b->txn, meta, TIDE__META_FORMAT, TIDE__FORMAT_VERSION,
                      strlen(TIDE__FORMAT_VERSION));
    }
    if (rc == 0) {
        rc = put_text(b->txn, meta, TIDE__META_STORE, id, sizeof id);
    }
    return rc == 0 ? put_text(b->txn, meta, TIDE__META_CREATED, created, sizeof created - 1) : rc;
}

int tide__builder_begin(const char *path, const tide__identity *identity, tide__builder **out,
                        tide__detail *detail)
{
    tide__builder *b = tide__calloc(1, sizeof *b);
    *out = NULL;
    if (b == NULL) {
        return TIDE_ENOMEM;
    }
    b->path = path;
    int rc = mdb_env_create(&b->env);
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(b->env, 2);
    }
    if (rc == 0) {
        rc = mdb_env_set_mapsize(b->env, BIRTH_MAP_BYTES);
    }
    if (rc == 0) {
        rc = mdb_env_open(b->env, path, MDB_NOSUBDIR | MDB_NOLOCK, 0600);
    }
    if (rc == 0) {
        rc = write_identity(b, identity);
    }
    if (rc != 0) {
        return tide__builder_end(b, failed(b, rc, detail), detail);
    }
    *out = b;
    return TIDE_OK;
}

static int commit(tide__builder *b)
{
    char text[TIDE__SUM_LENGTH];
    tide__sum sum = {mdb_txn_id(b->txn), b->checks};
    tide__sum_encode(&sum, text);
    int rc = put_text(b->txn, b->main, TIDE__SUM_NAME, text, sizeof text);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_txn_commit(b->txn);
    b->txn = NULL;
    b->uncommitted = 0;
    return rc;
}

/* Ends a portion, and makes room for the next. */
static int next_portion(tide__builder *b)
{
    MDB_envinfo info;
    int rc = commit(b);
    if (rc == 0) {
        rc = mdb_env_info(b->env, &info);
    }
    if (rc == 0) {
        rc = mdb_env_set_mapsize(b->env,
                                 ((uint64_t)info.me_last_pgno + 1) * PAGE_BYTES + PORTION_BYTES);
    }
    return rc == 0 ? mdb_txn_begin(b->env, NULL, 0, &b->txn) : rc;
}

int tide__builder_put(tide__builder *b, const void *key, size_t key_length, const void *record,
                      size_t length, tide__detail *detail)
{
    MDB_val name = {key_length, (void *)(uintptr_t)key}; /* LMDB only reads through these */
    MDB_val value = {length, (void *)(uintptr_t)record};
    MDB_envinfo info;
    int rc = 0;
    if (b->uncommitted == PORTION_MARKS ||
        (b->uncommitted == 0 && mdb_env_info(b->env, &info) == 0 &&
         info.me_mapsize <= BIRTH_MAP_BYTES)) {
        rc = next_portion(b);
    }
    if (rc == 0) {
        rc = mdb_put(b->txn, b->marks, &name, &value, MDB_APPEND);
    }
    b->checks += tide__record_check(record, length);
    b->uncommitted++;
    return rc == 0 ? TIDE_OK : failed(b, rc, detail);
}

int tide__builder_end(tide__builder *b, int answer, tide__detail *detail)
{
    if (b == NULL) {
        return answer;
    }
    if (answer == TIDE_OK) {
        int rc = commit(b);
        answer = rc == 0 ? TIDE_OK : failed(b, rc, detail);
    }
    mdb_txn_abort(b->txn); /* NULL is allowed */
    if (b->env != NULL) {
        mdb_env_close(b->env);
    }
    if (answer == TIDE_OK) {
        answer = tide__file_rewrite(b->path, FIRST_PAGES, detail);
    }
    tide__free(b);
    return answer;
}
