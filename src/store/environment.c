/* environment.c - LMDB, tamed; see environment.h. */
#include "store/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/record.h"
#include "base/rules.h"
#include "store/file.h"
#include "store/layout.h"
#include "store/meta.h"
#include "store/walker.h"

#include "base/alloc.h"

#define MAP_FLOOR_BYTES (1u << 20)
#define OPEN_TRIES 5
#define REMAP_TRIES 16
#define SNAPSHOT_TRIES 3
#define REMOVAL_BYTES (1u << 20) /* of map beyond the largest size, for transactions that remove */
#define PROBE_BYTES (64 << 10)

int tide__fail_lmdb(tide__detail *detail, int rc, const char *what)
{
    int code = TIDE_EIO;
    switch (rc) {
    case MDB_MAP_FULL:
        code = TIDE_EFULL;
        break;
    case MDB_READERS_FULL:
        code = TIDE_EBUSY;
        break;
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        code = TIDE_EFORMAT;
        break;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_BAD_TXN:
        code = TIDE_ECORRUPT;
        break;
    case MDB_PANIC:
        code = TIDE_EUNKNOWN;
        break;
    default:
        if (rc > 0) {
            return tide__fail_errno(detail, rc, what);
        }
        break;
    }
    return tide__fail(detail, code, "%s: %s", what, mdb_strerror(rc));
}

/* Whether the file cannot grow: the file system is full, or the user's share of it. LMDB says EIO
 * for both, when it could not write all; what it could write has used up the rest. */
static bool disk_full(const tide__environment *environment)
{
    struct stat st;
    struct statvfs fs;
    if (fstat(environment->fd, &st) == 0 &&
        fallocate(environment->fd, FALLOC_FL_KEEP_SIZE, st.st_size, PROBE_BYTES) != 0) {
        return errno == ENOSPC || errno == EDQUOT ||
               (fstatvfs(environment->fd, &fs) == 0 && fs.f_bavail * fs.f_frsize < PROBE_BYTES);
    }
    return false;
}

int tide__environment_alive(const tide__environment *environment, tide__detail *detail)
{
    int code = atomic_load_explicit(&environment->dead, memory_order_relaxed);
    return code == 0 ? TIDE_OK
                     : tide__fail(detail, code,
                                  "%s: an earlier failure leaves it in doubt; close and open again",
                                  environment->path);
}

/* A transaction that cannot begin. LMDB 0.9.26 to 0.9.31, in another process, destroys the locks that
 * are shared when it closes; LMDB's answer is EINVAL from then on, and only opening again helps. */
static int begin_failed(tide__environment *environment, int native, tide__detail *detail)
{
    if (native != EINVAL) {
        return tide__fail_lmdb(detail, native, environment->path);
    }
    atomic_store(&environment->dead, TIDE_EUNKNOWN);
    return tide__fail(detail, TIDE_EUNKNOWN, "%s: its locks are gone; close and open again",
                      environment->path);
}

/* ---- the map ------------------------------------------------------------------------------------ */

/* Whether that much address space can be had. LMDB, when its own mmap fails, has already lost the
 * old map. */
static bool map_fits(uint64_t bytes)
{
    void *probe = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return probe != MAP_FAILED && munmap(probe, bytes) == 0;
}

/* With the gate taken alone: gives the environment a map of at least `bytes`. */
static int remap(tide__environment *environment, uint64_t bytes, tide__detail *detail)
{
    if (!map_fits(bytes)) {
        return tide__fail(detail, TIDE_ENOMEM, "%s: no address space for a map of %llu bytes",
                          environment->path, (unsigned long long)bytes);
    }
    pthread_mutex_lock(&environment->lock);
    int rc = mdb_env_set_mapsize(environment->mdb, bytes);
    if (rc != 0) {
        atomic_store(&environment->dead, TIDE_EUNKNOWN); /* there is no map any more */
    }
    pthread_mutex_unlock(&environment->lock);
    if (rc != 0) {
        return tide__fail_lmdb(detail, rc, environment->path);
    }
    environment->map_bytes = bytes;
    return TIDE_OK;
}

/* Another process has made the file larger than our map. */
static int follow_growth(tide__environment *environment, tide__detail *detail)
{
    MDB_envinfo info;
    pthread_rwlock_wrlock(&environment->gate);
    int rc = tide__environment_alive(environment, detail);
    if (rc == TIDE_OK) {
        mdb_env_info(environment->mdb, &info);
        uint64_t used = ((uint64_t)info.me_last_pgno + 1) * PAGE_BYTES;
        uint64_t bytes = environment->map_bytes;
        while (bytes < used) {
            bytes *= 2;
        }
        /* Unless another thread was faster. */
        rc = bytes == environment->map_bytes ? TIDE_OK : remap(environment, bytes, detail);
    }
    pthread_rwlock_unlock(&environment->gate);
    return rc;
}

/* Our own transaction does not fit. */
static int grow(tide__environment *environment, uint64_t most, tide__detail *detail)
{
    pthread_rwlock_wrlock(&environment->gate);
    int rc = tide__environment_alive(environment, detail);
    if (rc != TIDE_OK) {
        /* a reader's remap has failed meanwhile */
    } else if (environment->map_bytes >= most) {
        rc = tide__fail(detail, TIDE_EFULL, "%s: %llu bytes allowed", environment->path,
                        (unsigned long long)environment->max_bytes);
    } else {
        uint64_t bytes = environment->map_bytes * 2;
        rc = remap(environment, bytes < most ? bytes : most, detail);
    }
    pthread_rwlock_unlock(&environment->gate);
    return rc;
}

/* ---- opening ------------------------------------------------------------------------------------ */

typedef struct reader_scan {
    long own;
    bool own_found;
} reader_scan;

/* One line a slot: "pid thread txnid", after a heading. */
static int scan_reader(const char *line, void *ctx)
{
    reader_scan *scan = ctx;
    if (strtol(line, NULL, 10) == scan->own) {
        scan->own_found = true;
    }
    return 0;
}

static int open_mdb(tide__environment *environment, uint32_t max_readers, tide__detail *detail)
{
    struct timespec pause = {0, 2000000};
    int rc = 0;
    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        MDB_env *mdb = NULL;
        rc = mdb_env_create(&mdb);
        if (rc != 0) {
            break;
        }
        if ((rc = mdb_env_set_maxdbs(mdb, 2)) == 0 &&
            (rc = mdb_env_set_maxreaders(mdb, max_readers)) == 0 &&
            (rc = mdb_env_set_mapsize(mdb, environment->map_bytes)) == 0 &&
            (rc = mdb_env_open(mdb, environment->path, MDB_NOSUBDIR | MDB_NOTLS, 0600)) == 0) {
            environment->mdb = mdb;
            return TIDE_OK;
        }
        mdb_env_close(mdb);
        /* Another process may be just opening or closing the lock file. */
        if (rc != EAGAIN && rc != EINVAL && rc != EINTR && rc != MDB_INVALID) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH) {
        /* The data file has been looked at: it is the lock file, of another LMDB that has the store
         * open. */
        return tide__fail(detail, TIDE_EBUSY, "%s-lock: in use by another version of LMDB",
                          environment->path);
    }
    return tide__fail_lmdb(detail, rc, environment->path);
}

/* mdb_reader_check passes over slots with our own process id, so those that a killed namesake left
 * (pid 1 of an earlier container, say) would pin pages for ever. Closing the environment clears
 * them, once a read transaction has made LMDB notice that the pid is its own. */
static int clear_readers(tide__environment *environment, uint32_t max_readers, tide__detail *detail)
{
    reader_scan scan = {(long)getpid(), false};
    int gone = 0;
    (void)mdb_reader_list(environment->mdb, scan_reader, &scan);
    if (scan.own_found) {
        MDB_txn *txn = NULL;
        if (mdb_txn_begin(environment->mdb, NULL, MDB_RDONLY, &txn) == 0) {
            mdb_txn_abort(txn);
        }
        mdb_env_close(environment->mdb);
        environment->mdb = NULL;
        int rc = open_mdb(environment, max_readers, detail);
        if (rc != TIDE_OK) {
            return rc;
        }
    }
    (void)mdb_reader_check(environment->mdb, &gone);
    return TIDE_OK;
}

/* Checks the file before LMDB has mapped it. Where other processes commit too fast for that, *later
 * is set: it has to be done with LMDB's write lock, which needs the environment. */
static int verify(const char *path, bool *later, tide__detail *detail)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return tide__fail_errno(detail, errno, path);
    }
    int rc = tide__file_verify(fd, path, detail);
    close(fd);
    *later = rc == TIDE_EBUSY;
    return *later ? TIDE_OK : rc;
}

/* Opening an environment and beginning a transaction, LMDB reads nothing but its metadata. */
static int verify_alone(MDB_txn *txn, void *ctx, tide__detail *detail)
{
    const tide__environment *environment = ctx;
    (void)txn;
    return tide__file_verify(environment->fd, environment->path, detail);
}

int tide__environment_open(const char *path, const tide_options *options, tide__environment **out,
                           tide__detail *detail)
{
    uint64_t used = 0;
    bool verify_later = false;
    *out = NULL;
    int rc = tide__file_inspect(path, &used, detail);
    if (rc == TIDE_OK && used <= options->verify_max_bytes) {
        rc = verify(path, &verify_later, detail);
    }
    if (rc == TIDE_OK) {
        rc = tide__file_prepare(path, options->max_readers, detail);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    tide__environment *environment = tide__calloc(1, sizeof *environment);
    if (environment == NULL || (environment->path = tide__strdup(path)) == NULL) {
        tide__free(environment);
        return TIDE_ENOMEM;
    }
    pthread_rwlockattr_t writers_first;
    pthread_rwlockattr_init(&writers_first);
    pthread_rwlockattr_setkind_np(&writers_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&environment->gate, &writers_first);
    pthread_rwlockattr_destroy(&writers_first);
    pthread_mutex_init(&environment->lock, NULL);
    pthread_mutex_init(&environment->pool_lock, NULL);
    environment->fd = -1;
    environment->max_bytes = options->max_size_bytes;
    environment->map_bytes = options->map_size_bytes < options->max_size_bytes
                                 ? options->map_size_bytes
                                 : options->max_size_bytes;
    while (environment->map_bytes > MAP_FLOOR_BYTES && !map_fits(environment->map_bytes)) {
        environment->map_bytes /= 2;
    }
    while (environment->map_bytes < used) {
        environment->map_bytes *= 2;
    }
    /* LMDB needs memory of its own beside the map. mmap may call a size that is too large for it
     * invalid, and valgrind's does. What is invalid for another reason stays so. */
    while (((rc = open_mdb(environment, options->max_readers, detail)) == TIDE_ENOMEM ||
            rc == TIDE_EINVAL) &&
           environment->map_bytes / 2 >= MAP_FLOOR_BYTES && environment->map_bytes / 2 >= used) {
        environment->map_bytes /= 2;
    }
    if (rc == TIDE_OK) {
        rc = clear_readers(environment, options->max_readers, detail);
    }
    if (rc == TIDE_OK) {
        /* LMDB 0.9.24 opens the data file without O_CLOEXEC. */
        int native = mdb_env_get_fd(environment->mdb, &environment->fd);
        if (native != 0 || fcntl(environment->fd, F_SETFD, FD_CLOEXEC) != 0) {
            rc = tide__fail_errno(detail, native != 0 ? native : errno, path);
        }
    }
    if (rc == TIDE_OK && verify_later) {
        rc = tide__write(environment, verify_alone, environment, false, detail);
    }
    if (rc == TIDE_OK) {
        rc = tide__meta_open(environment, detail);
    }
    if (rc != TIDE_OK) {
        tide__environment_close(environment);
        return rc;
    }
    *out = environment;
    return TIDE_OK;
}

void tide__environment_close(tide__environment *environment)
{
    for (size_t i = 0; i < environment->pool_count; i++) {
        mdb_txn_abort(environment->pool[i]);
    }
    if (environment->mdb != NULL) {
        mdb_env_close(environment->mdb);
    }
    pthread_mutex_destroy(&environment->pool_lock);
    pthread_mutex_destroy(&environment->lock);
    pthread_rwlock_destroy(&environment->gate);
    tide__free(environment->path);
    tide__free(environment);
}

/* ---- reading ------------------------------------------------------------------------------------ */

uint64_t tide__environment_newest(tide__environment *environment)
{
    MDB_envinfo info;
    if (atomic_load_explicit(&environment->dead, memory_order_relaxed) != 0) {
        return UINT64_MAX; /* no table is as new as that, and whoever goes on hears why */
    }
    mdb_env_info(environment->mdb, &info);
    return info.me_last_txnid;
}

static MDB_txn *pool_take(tide__environment *environment)
{
    MDB_txn *txn = NULL;
    pthread_mutex_lock(&environment->pool_lock);
    if (environment->pool_count > 0) {
        txn = environment->pool[--environment->pool_count];
    }
    pthread_mutex_unlock(&environment->pool_lock);
    return txn;
}

/* Behind the gate: a snapshot, new or renewed. */
static int snapshot(tide__environment *environment, MDB_txn **txn)
{
    *txn = pool_take(environment);
    int rc =
        *txn == NULL ? mdb_txn_begin(environment->mdb, NULL, MDB_RDONLY, txn) : mdb_txn_renew(*txn);
    /* LMDB reads the number of the last commit, then copies its meta page; a writer two commits
     * ahead may overwrite that page in between. */
    for (int tries = 0; rc == 0 && tries < SNAPSHOT_TRIES; tries++) {
        MDB_envinfo info;
        mdb_env_info(environment->mdb, &info);
        if (info.me_last_txnid < mdb_txn_id(*txn) + 2) {
            break;
        }
        mdb_txn_reset(*txn);
        rc = mdb_txn_renew(*txn);
    }
    if (rc != 0) {
        mdb_txn_abort(*txn);
        *txn = NULL;
    }
    return rc;
}

int tide__read_begin(tide__environment *environment, MDB_txn **txn, tide__detail *detail)
{
    for (int tries = 0;; tries++) {
        pthread_rwlock_rdlock(&environment->gate);
        int rc = tide__environment_alive(environment, detail);
        if (rc != TIDE_OK) {
            pthread_rwlock_unlock(&environment->gate);
            return rc;
        }
        int native = snapshot(environment, txn);
        if (native == 0) {
            return TIDE_OK;
        }
        if (native == MDB_READERS_FULL) {
            int gone = 0;
            (void)mdb_reader_check(environment->mdb, &gone);
        }
        pthread_rwlock_unlock(&environment->gate);
        if (tries >= REMAP_TRIES || (native != MDB_MAP_RESIZED && native != MDB_READERS_FULL)) {
            return begin_failed(environment, native, detail);
        }
        if (native == MDB_MAP_RESIZED) {
            rc = follow_growth(environment, detail);
            if (rc != TIDE_OK) {
                return rc;
            }
        }
    }
}

void tide__read_end(tide__environment *environment, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    pthread_mutex_lock(&environment->pool_lock);
    if (environment->pool_count < TIDE__READ_POOL) {
        environment->pool[environment->pool_count++] = txn;
        txn = NULL;
    }
    pthread_mutex_unlock(&environment->pool_lock);
    mdb_txn_abort(txn); /* NULL is allowed */
    pthread_rwlock_unlock(&environment->gate);
}

int tide__mark_read(tide__environment *environment, MDB_txn *txn, const tide__id *id,
                    tide_mark *out, tide__detail *detail)
{
    tide__key key;
    tide__key_of(id, &key);
    MDB_val name = {key.length, key.text};
    MDB_val value;
    int rc = mdb_get(txn, environment->marks, &name, &value);
    if (rc == MDB_NOTFOUND) {
        *out = TIDE__NO_MARK;
        return TIDE_OK;
    }
    if (rc != 0) {
        return tide__fail_lmdb(detail, rc, environment->path);
    }
    if (tide__record_decode(key.text, key.length, value.mv_data, value.mv_size, out) != TIDE_OK) {
        return tide__fail(detail, TIDE_ECORRUPT, "%s: damaged mark %s", environment->path, key.text);
    }
    return TIDE_OK;
}

/* ---- writing ------------------------------------------------------------------------------------ */

/* Behind the gate, after a commit that failed: not when it was metadata that could not be written.
 * A write transaction tells; one that reads may want a slot that the reader table does not have. */
static bool still_works(const tide__environment *environment)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(environment->mdb, NULL, 0, &txn);
    if (rc == 0) {
        mdb_txn_abort(txn);
    }
    return rc != MDB_PANIC;
}

static uint64_t pages_of_marks(const tide__environment *environment, MDB_txn *txn)
{
    MDB_stat tree;
    return mdb_stat(txn, environment->marks, &tree) == 0
               ? tree.ms_branch_pages + tree.ms_leaf_pages + tree.ms_overflow_pages
               : 0;
}

/* Runs fn. Where removals have made the file larger than it may be, the map holds no new marks back,
 * and they would use up what the next removal needs: then the tree of marks must keep to the size. */
static int run_within(tide__environment *environment, MDB_txn *txn, tide__write_fn *fn, void *ctx,
                      tide__detail *detail)
{
    bool beyond = environment->map_bytes > environment->max_bytes;
    uint64_t before = beyond ? pages_of_marks(environment, txn) : 0;
    int rc = fn(txn, ctx, detail);
    if (rc == TIDE_OK && beyond) {
        uint64_t after = pages_of_marks(environment, txn);
        rc = after > before && after > environment->max_bytes / PAGE_BYTES ? TIDE_EFULL : TIDE_OK;
    }
    return rc;
}

/* Behind the gate: one attempt. LMDB's own number goes to *native when that is what went wrong. */
static int attempt(tide__environment *environment, tide__write_fn *fn, void *ctx, int *native,
                   tide__detail *detail)
{
    MDB_txn *txn = NULL;
    int gone = 0;
    int rc = tide__environment_alive(environment, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    (void)mdb_reader_check(environment->mdb, &gone); /* dead readers would pin pages */
    *native = mdb_txn_begin(environment->mdb, NULL, 0, &txn);
    if (*native != 0) {
        return begin_failed(environment, *native, detail);
    }
    rc = run_within(environment, txn, fn, ctx, detail);
    if (rc != TIDE_OK) {
        mdb_txn_abort(txn);
        return rc;
    }
    *native = mdb_txn_commit(txn);
    if (*native == 0 || *native == MDB_MAP_FULL) {
        return *native == 0 ? TIDE_OK : TIDE_EFULL;
    }
    /* A full disk is a short write before anything refers to it: the next transaction writes those
     * pages anew. Everything else is final. */
    bool full =
        *native == ENOSPC || *native == EDQUOT || (*native == EIO && disk_full(environment));
    if (full && still_works(environment)) {
        return tide__fail_errno(detail, ENOSPC, environment->path);
    }
    atomic_store(&environment->dead, TIDE_EUNKNOWN);
    (void)tide__fail_lmdb(detail, *native, environment->path);
    return TIDE_EUNKNOWN;
}

/* When a removal went beyond the largest size: back to it, or as near as what is used allows. */
static void shrink(tide__environment *environment)
{
    MDB_envinfo info;
    pthread_rwlock_wrlock(&environment->gate);
    if (tide__environment_alive(environment, NULL) == TIDE_OK &&
        environment->map_bytes > environment->max_bytes) {
        mdb_env_info(environment->mdb, &info);
        uint64_t used = ((uint64_t)info.me_last_pgno + 1) * PAGE_BYTES;
        (void)remap(environment, used > environment->max_bytes ? used : environment->max_bytes,
                    NULL);
    }
    pthread_rwlock_unlock(&environment->gate);
}

int tide__write(tide__environment *environment, tide__write_fn *fn, void *ctx, bool removes,
                tide__detail *detail)
{
    pthread_rwlock_rdlock(&environment->gate);
    uint64_t most = environment->max_bytes;
    if (removes) { /* also where earlier removals have used up what there was beyond */
        most = (environment->map_bytes > most ? environment->map_bytes : most) + REMOVAL_BYTES;
    }
    pthread_rwlock_unlock(&environment->gate);
    int rc = TIDE_OK;
    int resized = 0;
    bool again = false;
    do {
        int native = 0;
        pthread_rwlock_rdlock(&environment->gate);
        rc = attempt(environment, fn, ctx, &native, detail);
        pthread_rwlock_unlock(&environment->gate);
        again = false;
        if (native == MDB_MAP_RESIZED && resized++ < REMAP_TRIES) {
            rc = follow_growth(environment, detail);
            again = rc == TIDE_OK;
        } else if (rc == TIDE_EFULL) {
            rc = grow(environment, most, detail);
            again = rc == TIDE_OK;
        }
    } while (again);
    if (removes) {
        shrink(environment);
    }
    return rc;
}
