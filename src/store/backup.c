/* backup.c - a store checked, copied and put back; see tidemark/backup.h. */
#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/record.h"
#include "store/builder.h"
#include "store/committer.h"
#include "store/registry.h"

#include "base/alloc.h"

static void tell(tide_notice_fn *fn, void *ctx, int code, const tide__detail *detail)
{
    if (fn != NULL) {
        fn(ctx, code, detail->text[0] != '\0' ? detail->text : tide_strerror(code));
    }
}

/* ---- verify ------------------------------------------------------------------------------------- */

/* O_NONBLOCK: a pipe must not make us wait for its other end. */
static int open_file(const char *path, int *fd, tide__detail *detail)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) {
        return tide__fail_errno(detail, errno, path);
    }
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)) {
        return TIDE_OK;
    }
    close(*fd);
    *fd = -1;
    return tide__fail(detail, TIDE_EFORMAT, "%s: not a regular file", path);
}

int tide__examine(int fd, const char *path, tide_notice_fn *fn, void *ctx, bool *told,
                  tide__detail *detail)
{
    tide__findings findings = {.code = TIDE_OK};
    int rc = tide__file_examine(fd, path, &findings, detail);
    if (rc == TIDE_OK) {
        tide__findings_tell(&findings, fn, ctx);
        rc = findings.code;
        *told = findings.count > 0;
    }
    tide__findings_clear(&findings);
    return rc;
}

int tide_verify(const char *path, tide_notice_fn *finding, void *ctx)
{
    tide__detail detail;
    int fd = -1;
    tide__detail_clear(&detail);
    if (path == NULL || *path == '\0') {
        return TIDE_EINVAL;
    }
    int rc = open_file(path, &fd, &detail);
    bool told = false;
    if (rc == TIDE_OK) {
        rc = tide__examine(fd, path, finding, ctx, &told, &detail);
        close(fd);
    }
    if (rc != TIDE_OK && !told) {
        tell(finding, ctx, rc, &detail);
    }
    return rc;
}

int tide__open_at_rest(const char *path, int *fd, tide__detail *detail)
{
    int rc = open_file(path, fd, detail);
    if (rc == TIDE_OK) {
        rc = tide__registry_at_rest(path, detail);
    }
    if (rc != TIDE_OK && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

/* ---- a new file in its place -------------------------------------------------------------------- */

int tide__place_begin(tide__place *place, const char *path, tide__placing how, tide__detail *detail)
{
    struct stat st;
    *place = (tide__place){.how = how};
    int rc = tide__registry_name(path, place->path, detail);
    if (rc == TIDE_OK && how == TIDE__PLACE_NEW && lstat(place->path, &st) == 0) {
        rc = tide__fail(detail, TIDE_CONFLICT, "%s: is there already", path);
    }
    if (rc == TIDE_OK && (place->temporary = tide__file_new_name(place->path)) == NULL) {
        rc = TIDE_ENOMEM;
    }
    return rc;
}

/* The new file gets the name under which the old one shall be kept, then both change names, so that
 * at no time there is no store. */
static int exchange(tide__place *place)
{
    int number = EEXIST;
    for (int i = 1; i <= TIDE__ASIDE_MOST && number == EEXIST; i++) {
        tide__free(place->kept);
        place->kept =
            tide__file_aside_name(place->path, ".replaced-", tide__clock_now(NULL, NULL), i);
        number =
            place->kept == NULL ? ENOMEM : tide__file_rename_new(place->temporary, place->kept);
    }
    if (number != 0) {
        return number;
    }
    if (renameat2(AT_FDCWD, place->kept, AT_FDCWD, place->path, RENAME_EXCHANGE) == 0) {
        return 0;
    }
    number = errno;
    if (rename(place->kept, place->temporary) != 0 || (number != EINVAL && number != ENOSYS)) {
        return number;
    }
    number = tide__file_rename_new(place->path, place->kept);
    return number != 0 ? number : tide__file_rename_new(place->temporary, place->path);
}

static int settle(const char *path, int folder, void *ctx, tide__detail *detail)
{
    tide__place *place = ctx;
    struct stat st;
    int number = 0;
    int rc = tide__folder_suits(folder, path, detail);
    if (rc != TIDE_OK && place->how == TIDE__PLACE_KEEP) {
        return rc; /* a copy may lie there, a store that is used may not */
    }
    if (place->how == TIDE__PLACE_REPLACE) {
        number = rename(place->temporary, path) == 0 ? 0 : errno;
    } else if (place->how == TIDE__PLACE_KEEP && lstat(path, &st) == 0) {
        number = exchange(place);
    } else {
        number = tide__file_rename_new(place->temporary, path);
    }
    if (number == EEXIST) {
        return tide__fail(detail, TIDE_CONFLICT, "%s: is there already", path);
    }
    return number == 0 ? tide__folder_flush(folder, path, detail)
                       : tide__fail_errno(detail, number, path);
}

/* What was written is read again, before anybody relies on it. */
static int check_copy(const tide__place *place, tide__detail *detail)
{
    int fd = -1;
    int rc = open_file(place->temporary, &fd, detail);
    if (rc == TIDE_OK) {
        rc = tide__file_verify(fd, place->temporary, detail);
        close(fd);
    }
    return rc;
}

int tide__place_end(tide__place *place, int answer, tide__detail *detail)
{
    if (answer == TIDE_OK) {
        answer = check_copy(place, detail);
    }
    if (answer == TIDE_OK) {
        answer = tide__registry_alone(place->path, settle, place, detail);
    }
    if (place->temporary != NULL && answer != TIDE_OK) {
        (void)unlink(place->temporary);
    }
    tide__free(place->temporary);
    place->temporary = NULL;
    return answer;
}

/* ---- copying ------------------------------------------------------------------------------------ */

typedef struct copying {
    const char *temporary;
    const tide__commit *commit;
    tide__builder *builder; /* from the first mark on */
    bool unwritten;
    tide__detail *detail;
} copying;

static int put_mark(void *ctx, const void *key, size_t key_length, const void *record, size_t length)
{
    copying *c = ctx;
    int rc = c->builder != NULL
                 ? TIDE_OK
                 : tide__builder_begin(c->temporary, &c->commit->identity, &c->builder, c->detail);
    if (rc == TIDE_OK) {
        rc = tide__builder_put(c->builder, key, key_length, record, length, c->detail);
    }
    c->unwritten = rc != TIDE_OK;
    return rc;
}

int tide__copy_commit(int fd, const char *path, unsigned back, const char *temporary,
                      tide__commit *commit, bool *unwritten, tide__detail *detail)
{
    copying c = {.temporary = temporary, .commit = commit, .detail = detail};
    int rc = tide__file_read(fd, path, back, commit, put_mark, &c, detail);
    bool was_read = rc == TIDE_OK;
    if (was_read && c.builder == NULL) {
        rc = tide__builder_begin(temporary, &commit->identity, &c.builder, detail);
    }
    rc = tide__builder_end(c.builder, rc, detail);
    *unwritten = c.unwritten || (was_read && rc != TIDE_OK);
    if (rc != TIDE_OK) {
        (void)unlink(temporary);
    }
    return rc;
}

/* With the backup open. */
static int put_back(int fd, const char *from, const char *path, char **kept, tide__detail *detail)
{
    tide__place place;
    tide__commit commit;
    bool unwritten = false;
    int rc = tide__place_begin(&place, path, TIDE__PLACE_KEEP, detail);
    if (rc == TIDE_OK) {
        rc = tide__copy_commit(fd, from, 0, place.temporary, &commit, &unwritten, detail);
    }
    rc = tide__place_end(&place, rc, detail);
    *kept = place.kept;
    return rc;
}

int tide_restore(const char *from, const char *path, tide_notice_fn *notice, void *ctx)
{
    tide__detail detail;
    char *kept = NULL;
    int fd = -1;
    bool told = false;
    tide__detail_clear(&detail);
    if (from == NULL || *from == '\0' || path == NULL || *path == '\0') {
        return TIDE_EINVAL;
    }
    int rc = tide__open_at_rest(from, &fd, &detail);
    if (rc == TIDE_OK) {
        rc = tide__examine(fd, from, notice, ctx, &told, &detail);
        rc = rc == TIDE_OK ? put_back(fd, from, path, &kept, &detail) : rc;
        close(fd);
    }
    if (rc == TIDE_OK && kept != NULL) {
        (void)tide__fail(&detail, 0, "%s: kept as %s", path, kept);
        tell(notice, ctx, TIDE_OK, &detail);
    } else if (rc != TIDE_OK && !told) {
        tell(notice, ctx, rc, &detail);
    }
    tide__free(kept);
    return rc;
}

/* ---- backup ------------------------------------------------------------------------------------- */

/* Copies all marks of a snapshot. LMDB's own compacting copy refuses a file that has lost pages,
 * and looks at no record. */
static int copy_snapshot(tide__environment *environment, MDB_txn *txn, const char *temporary,
                         tide__detail *detail)
{
    tide__identity identity = {.created_at = environment->created_at};
    tide__builder *builder = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    tide_mark mark;
    uuid_copy(identity.store_id, environment->store_id);
    int native = mdb_cursor_open(txn, environment->marks, &cursor);
    if (native != 0) {
        return tide__fail_lmdb(detail, native, environment->path);
    }
    int rc = tide__builder_begin(temporary, &identity, &builder, detail);
    while (rc == TIDE_OK && (native = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        rc = tide__record_decode(key.mv_data, key.mv_size, value.mv_data, value.mv_size, &mark);
        if (rc == TIDE_OK) {
            rc = tide__builder_put(builder, key.mv_data, key.mv_size, value.mv_data, value.mv_size,
                                   detail);
        } else {
            rc = tide__fail(detail, rc, "%s: damaged mark %.*s", environment->path,
                            (int)(key.mv_size < TIDE__KEY_MAX ? key.mv_size : TIDE__KEY_MAX),
                            (const char *)key.mv_data);
        }
    }
    if (rc == TIDE_OK && native != MDB_NOTFOUND) {
        rc = tide__fail_lmdb(detail, native, environment->path);
    }
    mdb_cursor_close(cursor);
    return tide__builder_end(builder, rc, detail);
}

int tide__core_backup(tide__core *core, const char *path, uint32_t flags, tide__detail *detail)
{
    tide__place place;
    MDB_txn *txn = NULL;
    int rc = tide__core_flush(core, detail);
    if (rc != TIDE_OK && rc != TIDE_EFULL && rc != TIDE_ENOSPC) {
        return rc;
    }
    rc = tide__place_begin(
        &place, path, (flags & TIDE_REPLACE) != 0 ? TIDE__PLACE_REPLACE : TIDE__PLACE_NEW, detail);
    if (rc == TIDE_OK) {
        rc = tide__read_begin(core->environment, &txn, detail);
    }
    if (rc == TIDE_OK) {
        rc = copy_snapshot(core->environment, txn, place.temporary, detail);
        tide__read_end(core->environment, txn);
    }
    return tide__place_end(&place, rc, detail);
}
