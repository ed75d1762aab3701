/* file.c - the data file before LMDB maps it; see file.h. */
#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include <tidemark/error.h>

#include "store/builder.h"
#include "store/layout.h"

#include "base/alloc.h"
#include "base/populate.h"

#define FOLDER_LOCK_TRIES 5000 /* of a millisecond */
#define META_PAGES 2
#define NAME_EXTRA 64

/* File systems where LMDB's shared map and fcntl locks do not hold; values from statfs(2). */
static bool unsuitable(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) {
        return false;
    }
    switch ((unsigned long)fs.f_type & 0xffffffffu) {
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case 0xff534d42u: /* CIFS */
    case 0xfe534d42u: /* SMB2 */
    case V9FS_MAGIC:
    case 0x65735546u: /* FUSE */
        return true;
    default:
        return false;
    }
}

/* How many bytes there are, at most as many as asked for; -1: errno says why nobody knows. */
static ssize_t read_at(int fd, unsigned char *buffer, size_t bytes, off_t at)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(fd, buffer + done, bytes - done, at + (off_t)done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? -1 : (ssize_t)done;
        }
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int check_metas(int fd, const char *path, uint64_t *used_bytes, tide__detail *detail)
{
    unsigned char page[PAGE_BYTES];
    uint64_t newest_txn = 0;
    uint64_t last_page = 0;
    for (int i = 0; i < 2; i++) {
        uint32_t magic = 0;
        uint32_t version = 0;
        uint32_t page_size = 0;
        uint64_t last = 0;
        uint64_t txn = 0;
        ssize_t got = read_at(fd, page, sizeof page, (off_t)i * PAGE_BYTES);
        if (got != (ssize_t)sizeof page) { /* that it cannot be read makes it no other file */
            return got < 0 ? tide__fail_errno(detail, errno, path)
                           : tide__fail(detail, TIDE_EFORMAT, "%s: too short for a store", path);
        }
        memcpy(&magic, page + META_AT_MAGIC, sizeof magic);
        memcpy(&version, page + META_AT_VERSION, sizeof version);
        memcpy(&page_size, page + META_AT_FREE_LIST, sizeof page_size);
        memcpy(&last, page + META_AT_LAST_PAGE, sizeof last);
        memcpy(&txn, page + META_AT_TRANSACTION, sizeof txn);
        if (magic != META_MAGIC) {
            return tide__fail(detail, TIDE_EFORMAT, "%s: not an LMDB file", path);
        }
        if (version != META_VERSION) {
            return tide__fail(detail, TIDE_EFORMAT, "%s: LMDB file version %u, expected %u", path,
                              version, META_VERSION);
        }
        if (page_size != PAGE_BYTES) {
            return tide__fail(detail, TIDE_EFORMAT, "%s: page size %u, expected %d", path,
                              page_size, PAGE_BYTES);
        }
        if (i == 0 || txn > newest_txn) {
            newest_txn = txn;
            last_page = last;
        }
    }
    /* The size is read after the metas: a writer extends the file before it says so in a meta. */
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return tide__fail_errno(detail, errno, path);
    }
    if (last_page >= UINT64_MAX / PAGE_BYTES - 1 ||
        (uint64_t)st.st_size < (last_page + 1) * PAGE_BYTES) {
        return tide__fail(detail, TIDE_ECORRUPT,
                          "%s: %lld bytes, but its metadata speaks of %llu pages", path,
                          (long long)st.st_size, (unsigned long long)last_page + 1);
    }
    *used_bytes = (last_page + 1) * PAGE_BYTES;
    return TIDE_OK;
}

int tide__file_inspect(const char *path, uint64_t *used_bytes, tide__detail *detail)
{
    struct stat st;
    int rc = TIDE_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return tide__fail_errno(detail, errno, path);
    }
    if (fstat(fd, &st) != 0) {
        rc = tide__fail_errno(detail, errno, path);
    } else if (!S_ISREG(st.st_mode)) {
        rc = tide__fail(detail, TIDE_EFORMAT, "%s: not a regular file", path);
    } else if (st.st_nlink > 1) {
        /* LMDB's lock file goes by name: under two names there would be two, and two writers at once. */
        rc = tide__fail(detail, TIDE_EBUSY, "%s: has %llu names (hard links), a store may have one",
                        path, (unsigned long long)st.st_nlink);
    } else if (unsuitable(fd)) {
        rc = tide__fail(detail, TIDE_EFILESYSTEM, "%s: on a network or user-space file system",
                        path);
    } else {
        rc = check_metas(fd, path, used_bytes, detail);
    }
    close(fd);
    return rc;
}

int tide__file_rewrite(const char *path, off_t pages, tide__detail *detail)
{
    unsigned char page[PAGE_BYTES];
    int rc = TIDE_OK;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return tide__fail_errno(detail, errno, path);
    }
    for (off_t i = 0; i < pages; i++) {
        ssize_t got = read_at(fd, page, sizeof page, i * PAGE_BYTES);
        if (got >= 0 && got < (ssize_t)sizeof page) {
            break; /* its end */
        }
        ssize_t put = got < 0 ? -1 : pwrite(fd, page, sizeof page, i * PAGE_BYTES);
        if (put != (ssize_t)sizeof page) { /* a short one: the disk is full */
            rc = tide__fail_errno(detail, put < 0 ? errno : ENOSPC, path);
            break;
        }
    }
    if (rc == TIDE_OK && fsync(fd) != 0) {
        rc = tide__fail_errno(detail, errno, path);
    }
    close(fd);
    return rc;
}

static int make_birth_file(const char *path, tide_time now, tide__detail *detail)
{
    tide__builder *builder = NULL;
    tide__identity identity = {.created_at = now};
    uuid_generate_random(identity.store_id);
    int rc = tide__builder_begin(path, &identity, &builder, detail);
    return rc == TIDE_OK ? tide__builder_end(builder, rc, detail) : rc;
}

int tide__file_rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return errno;
    }
    if (access(to, F_OK) == 0) {
        return EEXIST;
    }
    return rename(from, to) == 0 ? 0 : errno;
}

char *tide__file_name(const char *path, const char *middle, const char *tail)
{
    size_t bytes = strlen(path) + strlen(middle) + strlen(tail) + 1;
    char *name = tide__malloc(bytes);
    if (name != NULL) {
        (void)snprintf(name, bytes, "%s%s%s", path, middle, tail);
    }
    return name;
}

char *tide__file_new_name(const char *path)
{
    char unique[UUID_STR_LEN]; /* what lies there already may be somebody's */
    uuid_t uuid;
    uuid_generate_random(uuid);
    uuid_unparse_lower(uuid, unique);
    return tide__file_name(path, ".new-", unique);
}

int tide__folder_flush(int fd, const char *path, tide__detail *detail)
{
    return fsync(fd) == 0 ? TIDE_OK : tide__fail_errno(detail, errno, path);
}

static int open_folder(const char *path, int *fd, tide__detail *detail)
{
    const char *slash = strrchr(path, '/');
    char *folder =
        tide__strdup(slash == NULL || slash == path ? (slash == NULL ? "." : "/") : path);
    if (folder == NULL) {
        return TIDE_ENOMEM;
    }
    if (slash != NULL && slash != path) {
        folder[slash - path] = '\0';
    }
    int rc = TIDE_OK;
    *fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) {
        rc = tide__fail_errno(detail, errno, folder);
    }
    tide__free(folder);
    return rc;
}

int tide__folder_suits(int fd, const char *path, tide__detail *detail)
{
    return unsuitable(fd) ? tide__fail(detail, TIDE_EFILESYSTEM,
                                       "%s: on a network or user-space file system", path)
                          : TIDE_OK;
}

int tide__file_create(const char *path, tide_time now, int folder, tide__detail *detail)
{
    int suits = tide__folder_suits(folder, path, detail);
    if (suits != TIDE_OK) {
        return suits;
    }
    char *temporary = tide__file_new_name(path);
    if (temporary == NULL) {
        return TIDE_ENOMEM;
    }
    int rc = make_birth_file(temporary, now, detail);
    if (rc == TIDE_OK) {
        int number = tide__file_rename_new(temporary, path);
        rc = number == 0 ? tide__folder_flush(folder, path, detail)
                         : tide__fail_errno(detail, number, path);
    }
    (void)unlink(temporary); /* gone already when it was renamed */
    tide__free(temporary);
    return rc;
}

/* Whether another process holds a lock on the file, as every user of LMDB does. */
static bool locked(int fd)
{
    struct flock user = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_GETLK, &user) != 0 || user.l_type != F_UNLCK;
}

int tide__file_in_use(const char *path, bool *used, tide__detail *detail)
{
    char *name = tide__file_name(path, "-lock", "");
    if (name == NULL) {
        return TIDE_ENOMEM;
    }
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    int rc = fd >= 0 || errno == ENOENT ? TIDE_OK : tide__fail_errno(detail, errno, name);
    *used = fd >= 0 && locked(fd);
    if (fd >= 0) {
        close(fd);
    }
    tide__free(name);
    return rc;
}

/* Gives each page of a file its block, by way of a map: 0 or errno. Who else has it open sees no
 * change. */
static int fill(int fd, off_t bytes)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || (st.st_size < bytes && ftruncate(fd, bytes) != 0)) {
        return errno;
    }
    void *map = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return errno;
    }
    bool filled = tide__populate(map, (size_t)bytes);
    (void)munmap(map, (size_t)bytes);
    return filled ? 0 : ENOSPC;
}

/* Gives LMDB's lock file its full size on disk. *used: another process has it open. */
static int reserve_lock(const char *name, uint32_t max_readers, bool *used, tide__detail *detail)
{
    /* LMDB: a header of two cache lines and one line for each reader. */
    off_t bytes = (off_t)(2 + max_readers) * 64;
    struct stat st;
    int number = 0;
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return tide__fail_errno(detail, errno, name);
    }
    /* While another process has it mapped it must keep its length: LMDB takes the number of reader
     * slots from the length, and the others have mapped fewer. */
    *used = locked(fd);
    if (*used && fstat(fd, &st) == 0) {
        bytes = st.st_size;
    }
    do {
        number = bytes > 0 && fallocate(fd, 0, 0, bytes) != 0 ? errno : 0;
    } while (number == EINTR);
    if (number == EOPNOTSUPP) { /* ext2, ext3 */
        number = fill(fd, bytes);
    }
    close(fd);
    return number == 0 ? TIDE_OK : tide__fail_errno(detail, number, name);
}

int tide__file_prepare(const char *path, uint32_t max_readers, tide__detail *detail)
{
    bool used = false;
    char *name = tide__file_name(path, "-lock", "");
    if (name == NULL) {
        return TIDE_ENOMEM;
    }
    int rc = reserve_lock(name, max_readers, &used, detail);
    tide__free(name);
    /* A flush that failed in an earlier life may have left pages that the system takes for written. */
    return rc == TIDE_OK && !used ? tide__file_rewrite(path, META_PAGES, detail) : rc;
}

/* Whoever still has the old file open keeps the old lock file with it. */
static int move_lock(const char *path, const char *target, tide__detail *detail)
{
    char *from = tide__file_name(path, "-lock", "");
    char *to = tide__file_name(target, "-lock", "");
    int rc = from == NULL || to == NULL ? TIDE_ENOMEM : TIDE_OK;
    if (rc == TIDE_OK) {
        int number = tide__file_rename_new(from, to);
        rc = number == 0 || number == ENOENT ? TIDE_OK : tide__fail_errno(detail, number, to);
    }
    tide__free(from);
    tide__free(to);
    return rc;
}

char *tide__file_aside_name(const char *path, const char *why, tide_time now, int attempt)
{
    char tail[TIDE_TIME_TEXT + NAME_EXTRA];
    tide_time_format(now, tail);
    if (attempt > 1) {
        (void)snprintf(tail + TIDE_TIME_TEXT - 1, NAME_EXTRA, "-%d", attempt);
    }
    return tide__file_name(path, why, tail);
}

int tide__file_move_aside(const char *path, tide_time now, char **moved_to, tide__detail *detail)
{
    char *target = NULL;
    int number = EEXIST;
    *moved_to = NULL;
    /* What was moved aside in the same nanosecond is evidence too. */
    for (int i = 1; i <= TIDE__ASIDE_MOST && number == EEXIST; i++) {
        tide__free(target);
        target = tide__file_aside_name(path, ".unusable-", now, i);
        if (target == NULL) {
            return TIDE_ENOMEM;
        }
        number = tide__file_rename_new(path, target);
    }
    int rc =
        number == 0 ? move_lock(path, target, detail) : tide__fail_errno(detail, number, target);
    int folder = -1;
    if (rc == TIDE_OK) {
        rc = open_folder(path, &folder, detail);
    }
    if (rc == TIDE_OK) {
        rc = tide__folder_flush(folder, path, detail);
        close(folder);
    }
    if (rc != TIDE_OK) {
        tide__free(target);
        return rc;
    }
    *moved_to = target;
    return TIDE_OK;
}

int tide__folder_lock(const char *path, int *fd, tide__detail *detail)
{
    int rc = open_folder(path, fd, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    struct timespec millisecond = {0, 1000000};
    int tries = 0;
    while (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || ++tries > FOLDER_LOCK_TRIES) {
            rc = errno == EWOULDBLOCK
                     ? tide__fail(detail, TIDE_EBUSY, "%s: its folder stays locked", path)
                     : tide__fail_errno(detail, errno, path);
            break;
        }
        nanosleep(&millisecond, NULL);
    }
    if (rc == TIDE_OK) {
        rc = tide__folder_flush(*fd, path, detail);
    }
    if (rc != TIDE_OK) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}
