/* recorder.c - a library to preload: writes down what a program does to the files of one folder.
 *
 * It stands in for the calls of libc that change files. A call on anything outside the folder goes
 * through untouched; so does sync_file_range, which promises nothing about a cut. One inside is
 * made and written down behind one lock (recording.h); it can also be failed, or a flush be
 * swallowed, where the recording asks for that. What goes another way (stdio's own writes, system
 * calls made by hand, copies inside the kernel) is not seen; the replayer finds that out by
 * comparing what it rebuilds with the real files.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "recorded_name.h"
#include "recording.h"

#define EXPORT __attribute__((visibility("default")))

static recording *tape; /* NULL: nothing is recorded */

__attribute__((constructor)) static void begin_recording(void)
{
    const char *name = getenv(RECORDING_VARIABLE);
    int fd = name == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    void *map = (void *)syscall(SYS_mmap, NULL, RECORDING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                                fd, 0L);
    syscall(SYS_close, fd);
    if (map != MAP_FAILED && ((recording *)map)->magic == RECORDING_MAGIC) {
        tape = map;
    }
}

static void take_lock(void)
{
    if (pthread_mutex_lock(&tape->lock) == EOWNERDEAD) {
        (void)pthread_mutex_consistent(&tape->lock);
    }
}

static void give_lock(void)
{
    (void)pthread_mutex_unlock(&tape->lock);
}

/* ---- records ------------------------------------------------------------------------------------ */

static void put_record(record head, const struct iovec *parts, int part_count)
{
    unsigned char *at = (unsigned char *)tape + RECORDING_FIRST + tape->used;
    uint64_t left = head.length;
    uint64_t whole = sizeof head + (head.length + 7) / 8 * 8;
    if (RECORDING_FIRST + tape->used + whole > RECORDING_BYTES) {
        tape->lost++;
        return;
    }
    memcpy(at, &head, sizeof head);
    at += sizeof head;
    for (int i = 0; i < part_count && left > 0; i++) {
        size_t take = parts[i].iov_len < left ? parts[i].iov_len : left;
        memcpy(at, parts[i].iov_base, take);
        at += take;
        left -= take;
    }
    tape->used += whole;
}

static void put_text(record_kind kind, uint64_t file, uint32_t flags, const char *text)
{
    struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    put_record((record){.kind = kind, .flags = flags, .file = file, .length = part.iov_len}, &part,
               1);
}

static void put_plain(record_kind kind, uint64_t file, uint64_t offset, uint64_t extra)
{
    put_record((record){.kind = kind, .file = file, .offset = offset, .extra = extra}, NULL, 0);
}

/* ---- what is inside ----------------------------------------------------------------------------- */

static void add_file(uint64_t inode)
{
    for (uint64_t i = 0; i < tape->file_count; i++) {
        if (tape->files[i] == inode) {
            return;
        }
    }
    if (tape->file_count == RECORDING_FILES) {
        put_text(RECORD_UNKNOWN, 0, 0, "more files than the recorder can hold");
        return;
    }
    tape->files[tape->file_count++] = inode;
}

/* Whether the descriptor is a file of the folder. With the lock. */
static bool ours(int fd, struct stat *st)
{
    if (fstat(fd, st) != 0 || !S_ISREG(st->st_mode)) {
        return false;
    }
    for (uint64_t i = 0; i < tape->file_count; i++) {
        if (tape->files[i] == st->st_ino) {
            return true;
        }
    }
    return false;
}

/* ---- faults ------------------------------------------------------------------------------------- */

/* Counts the call, and says what shall become of it. */
static fault_kind fault(call_class class, const char *name)
{
    uint64_t number = 0;
    if (tape->fault_name[0] == '\0' || (name != NULL && ends_in(name, tape->fault_name))) {
        number = ++tape->calls[class];
    }
    if (number == 0 || tape->fault == FAULT_NONE || tape->fault_class != (uint32_t) class) {
        return FAULT_NONE;
    }
    bool now = number == tape->fault_at;
    if (tape->fault == FAULT_FOR_GOOD) {
        now = number >= tape->fault_at;
    } else if (tape->fault == FAULT_EATEN) {
        now = now || tape->fault_at == 0;
    } else if (tape->fault == FAULT_SHORT && number == tape->fault_at + 1) {
        put_text(RECORD_FAULT, 0, 0, "behind a short one");
        errno = (int)tape->fault_errno;
        return FAULT_ONCE;
    }
    if (!now) {
        return FAULT_NONE;
    }
    put_text(RECORD_FAULT, 0, 0, name == NULL ? "" : name);
    errno = (int)tape->fault_errno;
    return (fault_kind)tape->fault;
}

/* ---- opening ------------------------------------------------------------------------------------ */

static int open_inside(int at, const char *path, const char *name, int flags, mode_t mode)
{
    struct stat before = {0};
    struct stat st;
    take_lock();
    bool existed = fstatat(at, path, &before, 0) == 0;
    if (!is_marks(name) && fault(CALL_OPEN, name) != FAULT_NONE) {
        give_lock();
        return -1;
    }
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    int number = errno;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !is_marks(name)) {
        add_file(st.st_ino);
        if (!existed) {
            put_text(RECORD_CREATE, st.st_ino, 0, name);
        } else if ((flags & O_TRUNC) != 0 && before.st_size > 0) {
            put_plain(RECORD_SIZE, st.st_ino, 0, 0);
        }
    }
    give_lock();
    errno = number;
    return fd;
}

static int any_open(int at, const char *path, int flags, mode_t mode)
{
    char resolved[PATH_MAX];
    int number = errno;
    const char *name = tape == NULL ? NULL : name_of(tape->folder, at, path, resolved);
    errno = number;
    return name == NULL || *name == '\0' || (flags & O_DIRECTORY) != 0
               ? (int)syscall(SYS_openat, at, path, flags, mode)
               : open_inside(at, path, name, flags, mode);
}

#define MODE_OF(flags, last)                                                                       \
    mode_t mode = 0;                                                                               \
    if (((flags)&O_CREAT) != 0 || ((flags)&O_TMPFILE) == O_TMPFILE) {                              \
        va_list list;                                                                              \
        va_start(list, last);                                                                      \
        mode = (mode_t)va_arg(list, int);                                                          \
        va_end(list);                                                                              \
    }

EXPORT int open(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return any_open(AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int at, const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return any_open(at, path, flags, mode);
}

EXPORT int creat(const char *path, mode_t mode)
{
    return any_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* ---- writing ------------------------------------------------------------------------------------ */

/* A write at `at`, or at the file's position where that is negative. Written through where the
 * descriptor says so: a write, and then a flush of it. */
static ssize_t write_inside(int fd, const struct stat *st, const struct iovec *parts, int count,
                            off_t at)
{
    char path[PATH_MAX];
    const char *name = opened_name(tape->folder, fd, path);
    struct iovec half = parts[0];
    fault_kind asked = fault(CALL_WRITE, name);
    if (asked == FAULT_ONCE || asked == FAULT_FOR_GOOD) {
        return -1;
    }
    if (asked == FAULT_SHORT && half.iov_len > 1) {
        half.iov_len /= 2;
        parts = &half;
        count = 1;
    }
    ssize_t put = syscall(SYS_pwritev2, fd, parts, (long)count, (long)at, 0L, 0L);
    if (put <= 0) {
        return put;
    }
    if (at < 0) {
        at = lseek(fd, 0, SEEK_CUR) - put;
    }
    put_record((record){.kind = RECORD_WRITE,
                        .file = st->st_ino,
                        .offset = (uint64_t)at,
                        .length = (uint64_t)put},
               parts, count);
    if ((fcntl(fd, F_GETFL) & O_DSYNC) == 0) {
        return put;
    }
    asked = fault(CALL_FLUSH, name);
    if (asked == FAULT_NONE) {
        put_plain(RECORD_FLUSH_RANGE, st->st_ino, (uint64_t)at, (uint64_t)put);
    } else if (asked != FAULT_EATEN) {
        put_plain(RECORD_RANGE_FAILED, st->st_ino, (uint64_t)at, (uint64_t)put);
    }
    return asked == FAULT_ONCE || asked == FAULT_FOR_GOOD ? -1 : put;
}

/* A line to the file of marks; true: this was one. */
static bool mark_inside(int fd, const struct iovec *part)
{
    char path[PATH_MAX];
    const char *name = opened_name(tape->folder, fd, path);
    if (name == NULL || !is_marks(name)) {
        return false;
    }
    put_record((record){.kind = RECORD_MARK, .length = part->iov_len}, part, 1);
    return true;
}

static ssize_t any_write(int fd, const struct iovec *parts, int count, off_t at)
{
    struct stat st;
    ssize_t put = 0;
    if (tape == NULL) {
        return syscall(SYS_pwritev2, fd, parts, (long)count, (long)at, 0L, 0L);
    }
    take_lock();
    if (count > 0 && ours(fd, &st)) {
        put = write_inside(fd, &st, parts, count, at);
    } else {
        put = syscall(SYS_pwritev2, fd, parts, (long)count, (long)at, 0L, 0L);
        if (put > 0) {
            (void)mark_inside(fd, parts);
        }
    }
    int number = errno;
    give_lock();
    errno = number;
    return put;
}

static ssize_t one_write(int fd, const void *bytes, size_t size, off_t at)
{
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    return any_write(fd, &part, 1, at);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t size)
{
    return one_write(fd, bytes, size, -1);
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    return one_write(fd, bytes, size, at);
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return any_write(fd, parts, count, -1);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    return any_write(fd, parts, count, at);
}

/* ---- sizes -------------------------------------------------------------------------------------- */

typedef enum resizing { CUT, GROW } resizing;

/* ftruncate(fd, size), or fallocate(fd, mode, at, size). */
static int resize(int fd, resizing how, int mode, off_t at, off_t size)
{
    char path[PATH_MAX];
    struct stat st;
    struct stat after;
    int rc = 0;
    if (tape != NULL) {
        take_lock();
    }
    bool inside_it = tape != NULL && ours(fd, &st);
    if (inside_it && fault(CALL_SIZE, opened_name(tape->folder, fd, path)) != FAULT_NONE) {
        rc = -1;
    } else {
        rc = how == CUT ? (int)syscall(SYS_ftruncate, fd, size)
                        : (int)syscall(SYS_fallocate, fd, mode, at, size);
    }
    int number = errno;
    if (rc == 0 && inside_it && fstat(fd, &after) == 0) {
        if (how == GROW && (mode & ~FALLOC_FL_KEEP_SIZE) != 0) {
            put_text(RECORD_UNKNOWN, st.st_ino, 0, "fallocate with a mode");
        } else if (after.st_size != st.st_size) {
            put_plain(RECORD_SIZE, st.st_ino, (uint64_t)after.st_size, 0);
        }
    }
    if (tape != NULL) {
        give_lock();
    }
    errno = number;
    return rc;
}

EXPORT int ftruncate(int fd, off_t size)
{
    return resize(fd, CUT, 0, 0, size);
}

EXPORT int fallocate(int fd, int mode, off_t at, off_t size)
{
    return resize(fd, GROW, mode, at, size);
}

EXPORT int posix_fallocate(int fd, off_t at, off_t size)
{
    return resize(fd, GROW, 0, at, size) == 0 ? 0 : errno;
}

/* ---- names -------------------------------------------------------------------------------------- */

/* A call that changes a name, made and written down. `from` is NULL where there is one name. */
typedef struct renaming {
    uint32_t kind; /* record_kind */
    int from_at;
    const char *from;
    int to_at;
    const char *to;
    unsigned flags;
} renaming;

static long rename_call(const renaming *r)
{
    switch (r->kind) {
    case RECORD_RENAME:
        return syscall(SYS_renameat2, r->from_at, r->from, r->to_at, r->to, r->flags);
    case RECORD_LINK:
        return syscall(SYS_linkat, r->from_at, r->from, r->to_at, r->to, r->flags);
    case RECORD_FOLDER:
        return syscall(SYS_mkdirat, r->to_at, r->to, r->flags);
    default:
        return syscall(SYS_unlinkat, r->to_at, r->to, r->flags);
    }
}

static void put_renaming(const renaming *r, const char *from, const char *to)
{
    struct stat st;
    struct iovec parts[] = {{(void *)(uintptr_t)from, from == NULL ? 0 : strlen(from) + 1},
                            {(void *)(uintptr_t)to, to == NULL ? 0 : strlen(to)}};
    record head = {.kind = r->kind, .length = parts[0].iov_len + parts[1].iov_len};
    if (r->kind == RECORD_LINK || r->kind == RECORD_RENAME) {
        if (from == NULL || to == NULL || (r->flags & RENAME_EXCHANGE) != 0) {
            put_text(RECORD_UNKNOWN, 0, 0, "a name that comes in, goes out or changes places");
            return;
        }
        head.file = fstatat(r->to_at, r->to, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino : 0;
    }
    put_record(head, parts, 2);
}

static int change_name(renaming r)
{
    char from_path[PATH_MAX];
    char to_path[PATH_MAX];
    int before = errno;
    const char *from = NULL;
    const char *to = NULL;
    if (tape != NULL) {
        from = name_of(tape->folder, r.from_at, r.from, from_path);
        to = name_of(tape->folder, r.to_at, r.to, to_path);
    }
    errno = before;
    if ((from == NULL && to == NULL) || (to != NULL && is_marks(to))) {
        return (int)rename_call(&r);
    }
    take_lock();
    long rc = fault(CALL_NAME, to != NULL ? to : from) != FAULT_NONE ? -1 : rename_call(&r);
    int number = errno;
    if (rc == 0) {
        put_renaming(&r, from, to);
    }
    give_lock();
    errno = number;
    return (int)rc;
}

EXPORT int rename(const char *from, const char *to)
{
    return change_name((renaming){RECORD_RENAME, AT_FDCWD, from, AT_FDCWD, to, 0});
}

EXPORT int renameat(int from_at, const char *from, int to_at, const char *to)
{
    return change_name((renaming){RECORD_RENAME, from_at, from, to_at, to, 0});
}

EXPORT int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    return change_name((renaming){RECORD_RENAME, from_at, from, to_at, to, flags});
}

EXPORT int link(const char *from, const char *to)
{
    return change_name((renaming){RECORD_LINK, AT_FDCWD, from, AT_FDCWD, to, 0});
}

EXPORT int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    return change_name((renaming){RECORD_LINK, from_at, from, to_at, to, (unsigned)flags});
}

EXPORT int unlink(const char *path)
{
    return change_name((renaming){RECORD_UNLINK, 0, NULL, AT_FDCWD, path, 0});
}

EXPORT int unlinkat(int at, const char *path, int flags)
{
    return change_name((renaming){RECORD_UNLINK, 0, NULL, at, path, (unsigned)flags});
}

EXPORT int rmdir(const char *path)
{
    return change_name((renaming){RECORD_UNLINK, 0, NULL, AT_FDCWD, path, AT_REMOVEDIR});
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    return change_name((renaming){RECORD_FOLDER, 0, NULL, AT_FDCWD, path, mode});
}

EXPORT int mkdirat(int at, const char *path, mode_t mode)
{
    return change_name((renaming){RECORD_FOLDER, 0, NULL, at, path, mode});
}

/* ---- flushing ----------------------------------------------------------------------------------- */

static int flush_inside(int fd, const struct stat *st, long call)
{
    char path[PATH_MAX];
    const char *name = opened_name(tape->folder, fd, path);
    bool folder = S_ISDIR(st->st_mode);
    switch (fault(CALL_FLUSH, name)) {
    case FAULT_EATEN:
        return 0;
    case FAULT_RETRIED:
    case FAULT_ONCE:
    case FAULT_FOR_GOOD:
    case FAULT_SHORT:
        if (!folder) {
            put_plain(RECORD_FLUSH_FAILED, st->st_ino, 0, 0);
        }
        return tape->fault == FAULT_RETRIED ? 0 : -1;
    case FAULT_NONE:
    default:
        break;
    }
    if (syscall(call, fd) != 0) {
        return -1;
    }
    if (folder) {
        put_text(RECORD_FLUSH_FOLDER, 0, 0, name);
    } else {
        put_plain(RECORD_FLUSH, st->st_ino, 0, 0);
    }
    return 0;
}

static int any_flush(int fd, long call)
{
    char path[PATH_MAX];
    struct stat st;
    if (tape == NULL) {
        return (int)syscall(call, fd);
    }
    take_lock();
    bool known = ours(fd, &st) || (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) &&
                                   opened_name(tape->folder, fd, path) != NULL);
    int rc = known ? flush_inside(fd, &st, call) : (int)syscall(call, fd);
    int number = errno;
    give_lock();
    errno = number;
    return rc;
}

EXPORT int fsync(int fd)
{
    return any_flush(fd, SYS_fsync);
}

EXPORT int fdatasync(int fd)
{
    return any_flush(fd, SYS_fdatasync);
}

/* ---- maps --------------------------------------------------------------------------------------- */

static void *any_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    struct stat st;
    void *map = (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
    int number = errno;
    if (tape != NULL && fd >= 0 && map != MAP_FAILED && (flags & MAP_SHARED) != 0 &&
        (protection & PROT_WRITE) != 0) {
        take_lock();
        if (ours(fd, &st)) {
            put_plain(RECORD_MAPPED, st.st_ino, 0, 0);
        }
        give_lock();
    }
    errno = number;
    return map;
}

EXPORT void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return any_mmap(at, size, protection, flags, fd, offset);
}

/* ---- the same under the names for large files --------------------------------------------------- */

#define SAME_AS(name) __attribute__((visibility("default"), alias(name)))

SAME_AS("open") int open64(const char *path, int flags, ...);
SAME_AS("openat") int openat64(int at, const char *path, int flags, ...);
SAME_AS("pwrite") ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at);
SAME_AS("pwritev") ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at);
SAME_AS("ftruncate") int ftruncate64(int fd, off_t size);
SAME_AS("fallocate") int fallocate64(int fd, int mode, off_t at, off_t size);
SAME_AS("posix_fallocate") int posix_fallocate64(int fd, off_t at, off_t size);
SAME_AS("mmap")
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
