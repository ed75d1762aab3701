/* backup.c - a whole library checked, copied and put back; see tidemark/library.h.
 *
 * The order is everything. Marks may be older than the rows they count, never newer: so a backup
 * copies the marks first, while others write, and then the rows; and a restore puts the older marks
 * in their place while the newer rows are still there. The rows go last, and by renaming alone: the
 * old database, then its log, which must never meet another database; then the new one comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tidemark/backup.h>
#include <tidemark/library.h>

#include "base/clock.h"
#include "sync/engine.h"
#include "sync/files.h"
#include "sync/wal_index.h"

#include "base/alloc.h"

#define BUSY_MS 5000
#define NAME_BYTES TIDE__FILES_NAME

typedef struct copying {
    tide_notice_fn *notice;
    void *ctx;
    bool told;
    tide__detail detail;
} copying;

static void hear(void *ctx, int code, const char *text)
{
    copying *c = ctx;
    c->told = c->told || code != TIDE_OK;
    if (c->notice != NULL) {
        c->notice(c->ctx, code, text);
    }
}

/* Tells a failure that nobody has told yet; passes it on. */
static int end(copying *c, int rc)
{
    if (rc != TIDE_OK && !c->told) {
        hear(c, rc, c->detail.text[0] != '\0' ? c->detail.text : tide_strerror(rc));
    }
    return rc;
}

static bool valid(const char *path)
{
    return path != NULL && *path != '\0' && strlen(path) < PATH_MAX;
}

static void name_of(char out[NAME_BYTES], const char *folder, const char *name)
{
    (void)sqlite3_snprintf(NAME_BYTES, out, "%s%s/%s", tide__files_before(folder), folder, name);
}

/* Of the folder that has `path` in it. */
static int flush_above(copying *c, const char *path)
{
    char folder[NAME_BYTES];
    (void)snprintf(folder, sizeof folder, "%s", path);
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') {
        folder[--length] = '\0';
    }
    char *slash = strrchr(folder, '/');
    if (slash != NULL) {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    return tide__files_flush(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY, &c->detail);
}

/* ---- rows --------------------------------------------------------------------------------------- */

/* Whether something lies in a log. It may be in doubt (transaction.h): that is for the engine. */
static bool is_logged(const char *path)
{
    char log[NAME_BYTES + 8];
    struct stat st;
    (void)snprintf(log, sizeof log, "%s-wal", path);
    return stat(log, &st) == 0 && st.st_size > 0;
}

/* The name of a file that nobody can change, on a medium where SQLite can put nothing beside it. */
static void immutable_name(char out[3 * NAME_BYTES], const char *path)
{
    static const char digits[] = "0123456789ABCDEF";
    char *at = out + snprintf(out, 3 * NAME_BYTES, "file:");
    for (const char *p = path; *p != '\0' && at < out + 3 * NAME_BYTES - 32; p++) {
        unsigned char byte = (unsigned char)*p;
        if (byte == '%' || byte == '?' || byte == '#') {
            *at++ = '%';
            *at++ = digits[byte >> 4];
            *at++ = digits[byte & 0xf];
        } else {
            *at++ = *p;
        }
    }
    (void)snprintf(at, 32, "?immutable=1");
}

/* Opens a database so that it is the same afterwards: the last connection that may write takes an
 * empty log away, and none touches one that is not. */
static int open_rows(copying *c, const char *path, bool to_lock, sqlite3 **db)
{
    char uri[3 * NAME_BYTES];
    bool logged = is_logged(path);
    int flags = logged && !to_lock ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    const char *name = path;
    if (!logged && access(path, W_OK) != 0) {
        flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
        immutable_name(uri, path);
        name = uri;
    }
    if (sqlite3_open_v2(name, db, flags | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK) {
        int rc = *db == NULL ? TIDE_ENOMEM : tide__sql_fail(*db, path, &c->detail);
        (void)sqlite3_close(*db);
        *db = NULL;
        return rc;
    }
    tide__wal_index_guard(*db);
    (void)sqlite3_busy_timeout(*db, BUSY_MS);
    (void)sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, logged ? 1 : 0, NULL);
    return TIDE_OK;
}

/* SQLite's own check; each line that it has is a finding. */
static int check_rows(copying *c, const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    tide__detail line;
    bool faulty = false;
    int rc = access(path, F_OK) == 0 ? open_rows(c, path, false, &db)
                                     : tide__fail_errno(&c->detail, errno, path);
    if (rc == TIDE_OK) {
        rc = tide__sql_prepare(db, "PRAGMA integrity_check", &statement, &c->detail);
    }
    while (rc == TIDE_OK && (rc = tide__sql_step(statement, &c->detail)) == TIDE_OK) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text == NULL) { /* a line is never NULL: there was no memory for it */
            rc = TIDE_ENOMEM;
        } else if (strcmp(text, "ok") != 0) {
            faulty = true;
            hear(c, tide__fail(&line, TIDE_ECORRUPT, "%s: %s", path, text), line.text);
        }
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    if (rc != TIDE_ABSENT) {
        hear(c, rc, c->detail.text[0] != '\0' ? c->detail.text : tide_strerror(rc));
        return rc;
    }
    return faulty ? TIDE_ECORRUPT : TIDE_OK;
}

/* All pages in one step, so in one snapshot; writers of a log go on meanwhile. */
static int copy_pages(copying *c, sqlite3 *source, sqlite3 *target, const char *path)
{
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", source, "main");
    if (backup == NULL) {
        return tide__sql_fail(target, path, &c->detail);
    }
    (void)sqlite3_backup_step(backup, -1);
    return sqlite3_backup_finish(backup) == SQLITE_OK ? TIDE_OK
                                                      : tide__sql_fail(target, path, &c->detail);
}

/* Makes the new file `to`, checked and on disk. */
static int copy_rows(copying *c, const char *from, const char *to)
{
    sqlite3 *source = NULL;
    sqlite3 *target = NULL;
    int fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return tide__fail_errno(&c->detail, errno, to);
    }
    close(fd);
    int rc = open_rows(c, from, false, &source);
    if (rc == TIDE_OK) {
        rc = open_rows(c, to, false, &target);
    }
    if (rc == TIDE_OK) {
        rc = copy_pages(c, source, target, to);
    }
    (void)sqlite3_close(target);
    (void)sqlite3_close(source);
    if (rc == TIDE_OK) {
        rc = check_rows(c, to);
    }
    return rc == TIDE_OK ? tide__files_flush(to, O_RDWR, &c->detail) : rc;
}

/* ---- verify and backup -------------------------------------------------------------------------- */

static int check_both(copying *c, const char *path)
{
    char database[NAME_BYTES];
    char store[NAME_BYTES];
    name_of(database, path, TIDE__DATABASE);
    name_of(store, path, TIDE__STORE);
    int marks = tide_verify(store, hear, c);
    int rows = check_rows(c, database);
    return marks != TIDE_OK ? marks : rows;
}

int tide_library_verify(const char *path, tide_notice_fn *finding, void *ctx)
{
    copying c = {.notice = finding, .ctx = ctx};
    return valid(path) ? end(&c, check_both(&c, path)) : TIDE_EINVAL;
}

static int fill_folder(copying *c, tide_library *library, const char *folder)
{
    char database[NAME_BYTES];
    char store[NAME_BYTES];
    name_of(database, folder, TIDE__DATABASE);
    name_of(store, folder, TIDE__STORE);
    int rc = tide_backup(tide_library_store(library), store, 0); /* marks first */
    if (rc != TIDE_OK) {
        tide_detail(tide_library_store(library), c->detail.text, sizeof c->detail.text);
        return rc;
    }
    rc = copy_rows(c, sqlite3_db_filename(tide_library_sync(library)->db, "main"), database);
    return rc == TIDE_OK ? tide__files_flush(folder, O_RDONLY | O_DIRECTORY, &c->detail) : rc;
}

static void remove_folder(const char *folder)
{
    char name[NAME_BYTES];
    name_of(name, folder, TIDE__DATABASE);
    tide__files_remove_rows(name);
    name_of(name, folder, TIDE__STORE);
    (void)unlink(name);
    (void)rmdir(folder);
}

/* A path of a folder may end in slashes, which a name beside it must not have in its middle. */
static void trim(char out[NAME_BYTES], const char *path)
{
    (void)snprintf(out, NAME_BYTES, "%s", path);
    for (size_t length = strlen(out); length > 1 && out[length - 1] == '/'; length--) {
        out[length - 1] = '\0';
    }
}

int tide_library_backup(tide_library *library, const char *path, tide_notice_fn *notice, void *ctx)
{
    copying c = {.notice = notice, .ctx = ctx};
    char folder[NAME_BYTES];
    char temporary[NAME_BYTES];
    struct stat st;
    if (library == NULL || !valid(path)) {
        return TIDE_EINVAL;
    }
    trim(folder, path);
    if (lstat(folder, &st) == 0) {
        return end(&c, tide__fail(&c.detail, TIDE_CONFLICT, "%s: is there already", path));
    }
    tide__files_new_name(folder, temporary);
    if (mkdir(temporary, 0700) != 0) {
        return end(&c, tide__fail_errno(&c.detail, errno, path));
    }
    int rc = fill_folder(&c, library, temporary);
    if (rc == TIDE_OK && renameat2(AT_FDCWD, temporary, AT_FDCWD, folder, RENAME_NOREPLACE) != 0) {
        rc = errno == EEXIST ? tide__fail(&c.detail, TIDE_CONFLICT, "%s: is there already", path)
                             : tide__fail_errno(&c.detail, errno, path);
    }
    if (rc != TIDE_OK) {
        remove_folder(temporary);
        return end(&c, rc);
    }
    return end(&c, flush_above(&c, folder));
}

/* ---- restore ------------------------------------------------------------------------------------ */

/* Whether somebody has the database open, by SQLite's own locks: with a log even an idle connection
 * keeps the file from being locked alone. One that is no database nobody works with. */
static int refuse_busy(copying *c, const char *path)
{
    sqlite3 *db = NULL;
    if (access(path, F_OK) != 0) {
        return TIDE_OK;
    }
    int rc = open_rows(c, path, true, &db);
    if (rc == TIDE_OK) {
        (void)sqlite3_busy_timeout(db, 0);
        int native = sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; ROLLBACK",
                                  NULL, NULL, NULL);
        rc = (native & 0xff) == SQLITE_BUSY
                 ? tide__fail(&c->detail, TIDE_EBUSY, "%s: another program has it open", path)
                 : TIDE_OK;
    }
    (void)sqlite3_close(db);
    return rc;
}

/* Gives a file another name, if it is there. */
static int move(copying *c, const char *from, const char *to, bool *moved)
{
    *moved = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0;
    return *moved || errno == ENOENT ? TIDE_OK : tide__fail_errno(&c->detail, errno, from);
}

/* Gives the old database another name, and its log with it, also one that a restore which was cut
 * short has left alone. */
static int set_aside(copying *c, const char *database)
{
    char kept[NAME_BYTES + TIDE_TIME_TEXT + 16];
    char from[NAME_BYTES + 8];
    char to[sizeof kept + 8];
    char now[TIDE_TIME_TEXT];
    tide__detail line;
    bool moved = false;
    bool logged = false;
    tide_time_format(tide__clock_now(NULL, NULL), now);
    (void)snprintf(kept, sizeof kept, "%s.replaced-%s", database, now);
    int rc = move(c, database, kept, &moved);
    (void)snprintf(from, sizeof from, "%s-wal", database);
    (void)snprintf(to, sizeof to, "%s-wal", kept);
    if (rc == TIDE_OK) {
        rc = move(c, from, to, &logged);
    }
    (void)snprintf(from, sizeof from, "%s-shm", database); /* made anew from the log */
    if (rc == TIDE_OK && unlink(from) != 0 && errno != ENOENT) {
        rc = tide__fail_errno(&c->detail, errno, from);
    }
    if (rc == TIDE_OK && moved) {
        (void)tide__fail(&line, 0, "%s: kept as %s", database, kept);
        hear(c, TIDE_OK, line.text);
    }
    return rc == TIDE_OK ? flush_above(c, database) : rc;
}

static int put_back(copying *c, const char *from, const char *path, const char *temporary)
{
    char source[NAME_BYTES];
    char database[NAME_BYTES];
    char store[NAME_BYTES];
    name_of(source, from, TIDE__DATABASE);
    name_of(database, path, TIDE__DATABASE);
    int rc = refuse_busy(c, database);
    if (rc == TIDE_OK) {
        rc = copy_rows(c, source, temporary);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    name_of(source, from, TIDE__STORE);
    name_of(store, path, TIDE__STORE);
    rc = tide_restore(source, store, hear, c);
    if (rc == TIDE_OK) {
        rc = set_aside(c, database);
    }
    if (rc == TIDE_OK && rename(temporary, database) != 0) {
        rc = tide__fail_errno(&c->detail, errno, database);
    }
    return rc == TIDE_OK ? flush_above(c, database) : rc;
}

int tide_library_restore(const char *from, const char *path, tide_notice_fn *notice, void *ctx)
{
    copying c = {.notice = notice, .ctx = ctx};
    char database[NAME_BYTES];
    char temporary[NAME_BYTES];
    if (!valid(from) || !valid(path)) {
        return TIDE_EINVAL;
    }
    int rc = check_both(&c, from);
    if (rc != TIDE_OK) {
        return end(&c, rc);
    }
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST) {
        return end(&c, tide__fail_errno(&c.detail, errno, path));
    }
    name_of(database, path, TIDE__DATABASE);
    tide__files_new_name(database, temporary);
    rc = put_back(&c, from, path, temporary);
    tide__files_remove_rows(temporary); /* gone already when it was renamed */
    if (rc != TIDE_OK) {
        (void)(made && rmdir(path) == 0);
    } else if (made) {
        rc = flush_above(&c, path);
    }
    return end(&c, rc);
}
