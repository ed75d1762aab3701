/* transaction.c - the engine's transactions, and when their rows are on disk; see transaction.h. */
#include "sync/transaction.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "sync/device.h"

#include "base/alloc.h"

#define BUSY_MS 5000
#define CHECKPOINT_PAGES 1000
#define COPY_BYTES (64u << 10)

static const char *const control_sql[TIDE__CONTROLS] = {
    [TIDE__CONTROL_READ] = "BEGIN",
    [TIDE__CONTROL_WRITE] = "BEGIN IMMEDIATE",
    [TIDE__CONTROL_COMMIT] = "COMMIT",
    [TIDE__CONTROL_ROLLBACK] = "ROLLBACK",
    [TIDE__CONTROL_VERSION] = "PRAGMA main.data_version",
    [TIDE__CONTROL_STATE] = "SELECT epoch, recovering, life, shown, until FROM main.tidemark_state",
    [TIDE__CONTROL_LIFE] = ("SELECT s.life, (SELECT ended FROM main.tidemark_lives WHERE life = ?1 "
                            "AND resource = ?2), s.forgotten FROM main.tidemark_state s"),
    [TIDE__CONTROL_FOLLOWING] = ("SELECT life, head, source FROM main.tidemark_followed WHERE "
                                 "peer = ?1 AND resource = ?2"),
    [TIDE__CONTROL_FOLLOW] =
        "INSERT OR REPLACE INTO main.tidemark_followed VALUES (?1, ?2, ?3, ?4, ?5)",
    [TIDE__CONTROL_LEVEL] = ("SELECT stamp, epoch, life FROM main.tidemark_levels WHERE peer = ?1 "
                             "AND resource = ?2 ORDER BY id DESC LIMIT ?3"),
    [TIDE__CONTROL_READING] = ("SELECT epoch, generation, bound, upto, listing, sweeping FROM "
                               "main.tidemark_reads WHERE peer = ?1 AND resource = ?2"),
    [TIDE__CONTROL_DEVICE_ID] =
        "SELECT id, uuid, life FROM main.tidemark_devices WHERE uuid = ?1 AND life = ?2",
    [TIDE__CONTROL_DEVICE_UUID] = "SELECT id, uuid, life FROM main.tidemark_devices WHERE id = ?1",
    [TIDE__CONTROL_DEVICE_GIVE] = "INSERT INTO main.tidemark_devices (uuid, life) VALUES (?1, ?2)",
    [TIDE__CONTROL_LIST] =
        "INSERT INTO main.tidemark_listed VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    [TIDE__CONTROL_MOVE] =
        "UPDATE main.tidemark_reads SET upto = ?3 WHERE peer = ?1 AND resource = ?2",
};

/* ---- what is final ------------------------------------------------------------------------------ */

static int fail_for_good(tide_sync *sync)
{
    atomic_store(&sync->failed, TIDE_EUNKNOWN);
    return TIDE_EUNKNOWN;
}

static int check_failed(tide_sync *sync)
{
    int rc = atomic_load(&sync->failed);
    return rc == TIDE_OK
               ? TIDE_OK
               : tide__fail(&sync->detail, rc,
                            "an earlier flush of the database failed; close and open again");
}

/* Input and output errors leave a commit or a checkpoint in doubt; a full disk, short memory and
 * locks do not. */
static bool in_doubt(int sqlite_code)
{
    return (sqlite_code & 0xff) == SQLITE_IOERR && sqlite_code != SQLITE_IOERR_NOMEM;
}

/* ---- the connection ----------------------------------------------------------------------------- */

/* After each commit on our connection. Returning an error here would fail a commit that is done. */
static int after_commit(void *ctx, sqlite3 *db, const char *name, int pages)
{
    tide_sync *sync = ctx;
    sync->commits++;
    if (pages >= CHECKPOINT_PAGES) {
        int rc = sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        if (in_doubt(rc)) {
            (void)tide__sql_fail(db, "checkpoint", &sync->detail);
            (void)fail_for_good(sync);
        }
    }
    return SQLITE_OK;
}

static int prepare_control(tide_sync *sync, int which)
{
    return tide__sql_prepare(sync->db, control_sql[which], &sync->controls[which], &sync->detail);
}

int tide__connection_complete(tide_sync *sync)
{
    int rc = TIDE_OK;
    for (int i = TIDE__CONTROL_STATE; rc == TIDE_OK && i < TIDE__CONTROLS; i++) {
        rc = prepare_control(sync, i);
    }
    return rc;
}

int tide__connection_prepare(tide_sync *sync, const char *path)
{
    (void)sqlite3_busy_timeout(sync->db, BUSY_MS);
    if (sqlite3_exec(sync->db,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                     "PRAGMA wal_autocheckpoint = 0;",
                     NULL, NULL, NULL) != SQLITE_OK) {
        return tide__sql_fail(sync->db, path, &sync->detail);
    }
    (void)sqlite3_wal_hook(sync->db, after_commit, sync);
    int rc = TIDE_OK;
    for (int i = 0; rc == TIDE_OK && i < TIDE__CONTROLS; i++) {
        rc = i < TIDE__CONTROL_STATE ? prepare_control(sync, i) : TIDE_OK;
    }
    return rc;
}

void tide__connection_close(tide_sync *sync)
{
    for (int i = 0; i < TIDE__CONTROLS; i++) {
        (void)sqlite3_finalize(sync->controls[i]);
    }
    if (sync->db != NULL) {
        (void)sqlite3_wal_hook(sync->db, NULL, NULL);
        (void)sqlite3_busy_timeout(sync->db, 0); /* a reader may stay for ever */
        if (atomic_load(&sync->failed) != TIDE_OK) {
            /* What the log says is in doubt: nothing of it goes into the database. */
            (void)sqlite3_db_config(sync->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        } else {
            /* What does not get into the database stays in the log, where the next opener finds it. */
            (void)sqlite3_wal_checkpoint_v2(sync->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        }
        (void)sqlite3_close_v2(sync->db);
    }
    if (sync->log_fd >= 0) {
        close(sync->log_fd);
    }
}

/* ---- transactions ------------------------------------------------------------------------------- */

static int run_control(tide_sync *sync, int which)
{
    return tide__sql_done(sync->controls[which], &sync->detail);
}

/* Memory may have been too short to end the last one. */
static void end_leftover(tide_sync *sync)
{
    if (sync->inside && sqlite3_get_autocommit(sync->db) == 0) {
        (void)tide__sql_done(sync->controls[TIDE__CONTROL_ROLLBACK], NULL);
    }
    sync->inside = sync->inside && sqlite3_get_autocommit(sync->db) == 0;
}

/* The level cannot change inside a transaction. */
static int set_level(tide_sync *sync, bool normal)
{
    if (sync->normal == normal) {
        return TIDE_OK;
    }
    int rc = tide__sql_run(sync->db,
                           normal ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL",
                           &sync->detail);
    sync->normal = rc == TIDE_OK ? normal : sync->normal;
    return rc;
}

int tide__begin(tide_sync *sync, tide__purpose purpose)
{
    int rc = check_failed(sync);
    if (rc != TIDE_OK) {
        return rc;
    }
    end_leftover(sync);
    if (sqlite3_get_autocommit(sync->db) == 0) {
        return tide__fail(&sync->detail, TIDE_EBUSY,
                          "a transaction is open on the engine's connection");
    }
    rc = purpose == TIDE__READ ? TIDE_OK : set_level(sync, purpose == TIDE__APPLY);
    if (rc == TIDE_OK) {
        rc = run_control(sync, purpose == TIDE__READ ? TIDE__CONTROL_READ : TIDE__CONTROL_WRITE);
    }
    sync->inside = rc == TIDE_OK;
    return rc;
}

int tide__end(tide_sync *sync, int answer)
{
    if (answer == TIDE_OK) {
        answer = run_control(sync, TIDE__CONTROL_COMMIT);
        if (answer == TIDE_OK) {
            sync->inside = false;
            if (sync->normal) {
                atomic_store(&sync->unflushed, true);
            }
        } else if (in_doubt(sqlite3_extended_errcode(sync->db))) {
            answer = fail_for_good(sync); /* it may be there, later */
        }
    }
    if (answer != TIDE_OK) {
        end_leftover(sync);
        tide__devices_forget(sync);
    }
    (void)set_level(sync, false); /* or else at the next begin */
    return answer;
}

/* ---- the log ------------------------------------------------------------------------------------ */

static int log_failed(tide_sync *sync, const char *what)
{
    (void)tide__fail_errno(&sync->detail, errno, what);
    return fail_for_good(sync);
}

static int rewrite(int fd, unsigned char *buffer)
{
    for (off_t at = 0;;) {
        ssize_t got = pread(fd, buffer, COPY_BYTES, at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return (int)got;
        }
        ssize_t put = pwrite(fd, buffer, (size_t)got, at);
        if (put <= 0) {
            errno = put == 0 ? ENOSPC : errno;
            return -1;
        }
        at += put;
    }
}

int tide__renew_log(tide_sync *sync)
{
    const char *name = sqlite3_filename_wal(sqlite3_db_filename(sync->db, "main"));
    unsigned char *buffer = tide__malloc(COPY_BYTES);
    if (buffer == NULL) {
        return TIDE_ENOMEM;
    }
    sync->log_fd = open(name, O_RDWR | O_CLOEXEC);
    int rc = sync->log_fd < 0 ? tide__fail_errno(&sync->detail, errno, name) : TIDE_OK;
    if (rc == TIDE_OK && (rewrite(sync->log_fd, buffer) != 0 || fsync(sync->log_fd) != 0)) {
        rc = log_failed(sync, name);
    }
    tide__free(buffer);
    return rc;
}

int tide__make_durable(tide_sync *sync)
{
    sqlite3_stmt *version_of = sync->controls[TIDE__CONTROL_VERSION];
    int rc = check_failed(sync);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(version_of, &sync->detail);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    int64_t version = sqlite3_column_int64(version_of, 0);
    (void)sqlite3_reset(version_of);
    if (version == sync->durable_version && sync->commits == sync->durable_commits) {
        return TIDE_OK;
    }
    atomic_store(&sync->unflushed, false);
    if (fdatasync(sync->log_fd) != 0) {
        return log_failed(sync, "write-ahead log");
    }
    sync->durable_version = version;
    sync->durable_commits = sync->commits;
    return TIDE_OK;
}

int tide__rows_barrier(void *ctx)
{
    tide_sync *sync = ctx;
    int rc = atomic_load(&sync->failed);
    if (rc == TIDE_OK && atomic_exchange(&sync->unflushed, false) && fdatasync(sync->log_fd) != 0) {
        rc = fail_for_good(sync);
    }
    return rc;
}
