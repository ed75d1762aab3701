/* disk.c - disks that keep nothing but what was flushed; see disk.h.
 *
 * A file here is an object with its durable image and the span written since; names point to it,
 * once as they are and once as they would survive. Descriptors are followed from open to close, so
 * that a file without a name, or under a new one, stays the same object.
 */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "random.h"

#define EXPORTED __attribute__((visibility("default")))
#define NAMES_MAX 24
#define NAME_BYTES 96
#define DESCRIPTORS 1024
#define BLOCK 512

typedef struct bytes {
    unsigned char *data;
    size_t length;
} bytes;

typedef struct file {
    struct file *next; /* of its drive */
    bytes image;
    size_t room;
    off_t dirty_from; /* not in the image: [from, to), empty when from >= to */
    off_t dirty_to;
} file;

typedef struct name {
    char text[NAME_BYTES];
    file *file;
} name;

typedef struct names {
    name list[NAMES_MAX];
    int count;
} names;

typedef struct drive {
    char path[PATH_MAX];
    names now;
    names durable;
    file *files;
    uint64_t fuse; /* writing calls until the power goes; 0: it stays */
    bool off;
} drive;

typedef struct handle {
    drive *drive; /* NULL: not watched */
    file *file;   /* NULL: the folder */
    bool through; /* O_DSYNC */
} handle;

struct disk_copy {
    int count;
    struct {
        char text[NAME_BYTES];
        bytes content;
    } files[NAMES_MAX];
};

static char root[PATH_MAX]; /* with a slash at its end; empty: nothing is watched */
static size_t root_length;
static drive drives[DISK_DRIVES];
static handle handles[DESCRIPTORS];

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "tidemark-sim: disk: %s: %s\n", what, why);
    exit(3);
}

static void *must_have(void *memory)
{
    if (memory == NULL) {
        die("memory", "none left");
    }
    return memory;
}

/* ---- system calls, past the functions below ----------------------------------------------------- */

static int raw_open(const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static bytes read_whole(const char *path)
{
    struct stat st;
    bytes b = {NULL, 0};
    int fd = raw_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0 || fstat(fd, &st) != 0) {
        die(path, strerror(errno));
    }
    b.length = (size_t)st.st_size;
    b.data = must_have(malloc(b.length + 1));
    if (syscall(SYS_pread64, fd, b.data, b.length, (off_t)0) != (ssize_t)b.length) {
        die(path, "cannot be read");
    }
    (void)syscall(SYS_close, fd);
    return b;
}

static void write_whole(const char *path, bytes b)
{
    int fd = raw_open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_pwrite64, fd, b.data, b.length, (off_t)0) != (ssize_t)b.length) {
        die(path, strerror(errno));
    }
    (void)syscall(SYS_close, fd);
}

static bytes copy_of(bytes b)
{
    bytes copy = {must_have(malloc(b.length + 1)), b.length};
    if (b.length > 0) {
        memcpy(copy.data, b.data, b.length);
    }
    return copy;
}

/* ---- names -------------------------------------------------------------------------------------- */

static name *find(names *n, const char *text)
{
    for (int i = 0; i < n->count; i++) {
        if (strcmp(n->list[i].text, text) == 0) {
            return &n->list[i];
        }
    }
    return NULL;
}

/* NULL: none has the name, as the folder itself. */
static file *file_named(names *n, const char *text)
{
    const name *found = find(n, text);
    return found == NULL ? NULL : found->file;
}

static void add(names *n, const char *text, file *f)
{
    if (n->count == NAMES_MAX || strlen(text) >= NAME_BYTES) {
        die(text, "too many names, or too long a name");
    }
    (void)snprintf(n->list[n->count].text, NAME_BYTES, "%s", text);
    n->list[n->count++].file = f;
}

static void take_away(names *n, const char *text)
{
    name *found = find(n, text);
    if (found != NULL) {
        *found = n->list[--n->count];
    }
}

static file *new_file(drive *d)
{
    file *f = must_have(calloc(1, sizeof *f));
    f->next = d->files;
    d->files = f;
    return f;
}

/* The drive and the name in it; the name of the folder itself is empty. */
static drive *drive_of(const char *path, const char **text)
{
    if (root_length == 0 || strncmp(path, root, root_length) != 0 || path[root_length] < '0' ||
        path[root_length] >= '0' + DISK_DRIVES) {
        return NULL;
    }
    const char *rest = path + root_length + 1;
    *text = *rest == '/' ? rest + 1 : rest;
    return *rest == '/' || *rest == '\0' ? &drives[path[root_length] - '0'] : NULL;
}

static bool ends_with(const char *text, const char *tail)
{
    size_t length = strlen(text);
    return length >= strlen(tail) && strcmp(text + length - strlen(tail), tail) == 0;
}

/* What need not survive. */
static bool passes(const char *text)
{
    return ends_with(text, "-shm") || ends_with(text, "-lock");
}

static handle *watched(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS && handles[fd].drive != NULL ? &handles[fd] : NULL;
}

/* ---- images ------------------------------------------------------------------------------------- */

static void set_length(file *f, size_t length)
{
    if (length > f->room) {
        f->room = length * 2;
        f->image.data = must_have(realloc(f->image.data, f->room));
    }
    if (length > f->image.length) {
        memset(f->image.data + f->image.length, 0, length - f->image.length);
    }
    f->image.length = length;
}

static void make_dirty(file *f, off_t from, off_t to)
{
    if (f->dirty_from >= f->dirty_to) {
        f->dirty_from = from;
        f->dirty_to = to;
    }
    f->dirty_from = from < f->dirty_from ? from : f->dirty_from;
    f->dirty_to = to > f->dirty_to ? to : f->dirty_to;
}

/* Brings the image up to what the descriptor shows. */
static void refresh(file *f, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        die("fstat", strerror(errno));
    }
    set_length(f, (size_t)st.st_size);
    off_t to = f->dirty_to < st.st_size ? f->dirty_to : st.st_size;
    if (f->dirty_from < to) {
        size_t count = (size_t)(to - f->dirty_from);
        if (syscall(SYS_pread64, fd, f->image.data + f->dirty_from, count, f->dirty_from) !=
            (ssize_t)count) {
            die("pread", strerror(errno));
        }
    }
    f->dirty_from = f->dirty_to = 0;
}

static void write_through(file *f, const struct iovec *parts, int count, off_t at)
{
    for (int i = 0; i < count; i++) {
        size_t to = (size_t)at + parts[i].iov_len;
        set_length(f, to > f->image.length ? to : f->image.length);
        memcpy(f->image.data + at, parts[i].iov_base, parts[i].iov_len);
        at += (off_t)parts[i].iov_len;
    }
}

/* Before each writing call: whether it may be done. */
static bool powered(drive *d)
{
    if (!d->off && d->fuse > 0 && --d->fuse == 0) {
        d->off = true;
    }
    errno = d->off ? EIO : errno;
    return !d->off;
}

/* ---- in the place of libc's --------------------------------------------------------------------- */

static int open_watched(const char *path, int flags, mode_t mode)
{
    const char *text = NULL;
    drive *d = drive_of(path, &text);
    bool watching = d != NULL && !passes(text);
    bool known = watching && (*text == '\0' || find(&d->now, text) != NULL);
    if (watching && !known && d->off && (flags & O_CREAT) != 0) {
        errno = EIO;
        return -1;
    }
    int fd = raw_open(path, flags, mode);
    if (fd < 0 || !watching) {
        return fd;
    }
    if (fd >= DESCRIPTORS) {
        die(path, "too many descriptors");
    }
    if (!known) {
        add(&d->now, text, new_file(d));
    }
    handles[fd] = (handle){d, file_named(&d->now, text), (flags & O_DSYNC) != 0};
    return fd;
}

static mode_t mode_of(int flags, va_list rest)
{
    return (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
}

EXPORTED int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_watched(path, flags, mode);
}

EXPORTED int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_watched(path, flags, mode);
}

EXPORTED int close(int fd)
{
    if (watched(fd) != NULL) {
        handles[fd].drive = NULL;
    }
    return (int)syscall(SYS_close, fd);
}

static ssize_t put_raw(int fd, const struct iovec *parts, int count, off_t at)
{
    return syscall(SYS_pwritev, fd, parts, (long)count, at, 0L);
}

/* A write that the power does not last for may get halfway, unless it is written through: the disk
 * keeps sectors whole. */
static ssize_t put(int fd, const struct iovec *parts, int count, off_t at)
{
    const handle *h = watched(fd);
    if (h == NULL) {
        return put_raw(fd, parts, count, at);
    }
    bool was_off = h->drive->off;
    if (!powered(h->drive)) {
        struct iovec half = {parts->iov_base, parts->iov_len / 2};
        if (!was_off && !h->through && put_raw(fd, &half, 1, at) > 0) {
            make_dirty(h->file, at, at + (off_t)half.iov_len);
        }
        errno = EIO;
        return -1;
    }
    ssize_t done = put_raw(fd, parts, count, at);
    if (done > 0 && h->through) {
        write_through(h->file, parts, count, at);
    } else if (done > 0) {
        make_dirty(h->file, at, at + done);
    }
    return done;
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    struct iovec part = {(void *)(uintptr_t)data, size};
    return put(fd, &part, 1, at);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    struct iovec part = {(void *)(uintptr_t)data, size};
    return put(fd, &part, 1, at);
}

EXPORTED ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    return put(fd, parts, count, at);
}

/* At the descriptor's own place. */
static ssize_t put_here(int fd, const struct iovec *parts, int count)
{
    if (watched(fd) == NULL) {
        return syscall(SYS_writev, fd, parts, (long)count);
    }
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = put(fd, parts, count, at);
    if (done > 0) {
        (void)lseek(fd, at + done, SEEK_SET);
    }
    return done;
}

EXPORTED ssize_t write(int fd, const void *data, size_t size)
{
    struct iovec part = {(void *)(uintptr_t)data, size};
    return put_here(fd, &part, 1);
}

EXPORTED ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return put_here(fd, parts, count);
}

static int truncate_watched(int fd, off_t length)
{
    const handle *h = watched(fd);
    if (h != NULL && !powered(h->drive)) {
        return -1;
    }
    int rc = (int)syscall(SYS_ftruncate, fd, length);
    if (rc == 0 && h != NULL) {
        off_t end = (off_t)h->file->image.length;
        make_dirty(h->file, length, end > length ? end : length);
    }
    return rc;
}

EXPORTED int ftruncate(int fd, off_t length)
{
    return truncate_watched(fd, length);
}

EXPORTED int ftruncate64(int fd, off64_t length)
{
    return truncate_watched(fd, length);
}

/* The real flush is left out: nobody cuts the power of the machine this runs on. */
static int flush(int fd, long call)
{
    const handle *h = watched(fd);
    if (h == NULL) {
        return (int)syscall(call, fd);
    }
    if (!powered(h->drive)) {
        return -1;
    }
    if (h->file == NULL) {
        h->drive->durable = h->drive->now;
    } else {
        refresh(h->file, fd);
    }
    return 0;
}

EXPORTED int fsync(int fd)
{
    return flush(fd, SYS_fsync);
}

EXPORTED int fdatasync(int fd)
{
    return flush(fd, SYS_fdatasync);
}

static int rename_watched(const char *from, const char *to, unsigned flags)
{
    const char *old = NULL;
    const char *new = NULL;
    drive *d = drive_of(from, &old);
    bool watching = d != NULL && !passes(old);
    if (watching && drive_of(to, &new) != d) {
        die(from, "renamed away from its drive");
    }
    if (watching && !powered(d)) {
        return -1;
    }
    int rc = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
    if (rc == 0 && watching) {
        file *f = file_named(&d->now, old);
        take_away(&d->now, old);
        take_away(&d->now, new);
        add(&d->now, new, f != NULL ? f : new_file(d));
    }
    return rc;
}

EXPORTED int rename(const char *from, const char *to)
{
    return rename_watched(from, to, 0);
}

EXPORTED int renameat2(int from_folder, const char *from, int to_folder, const char *to,
                       unsigned flags)
{
    if (from_folder != AT_FDCWD || to_folder != AT_FDCWD) {
        return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    }
    return rename_watched(from, to, flags);
}

EXPORTED int unlink(const char *path)
{
    const char *text = NULL;
    drive *d = drive_of(path, &text);
    bool watching = d != NULL && !passes(text);
    if (watching && find(&d->now, text) != NULL && !powered(d)) {
        return -1;
    }
    int rc = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (rc == 0 && watching) {
        take_away(&d->now, text);
    }
    return rc;
}

/* ---- what the simulator does to a drive --------------------------------------------------------- */

static void path_in(const drive *d, const char *text, char out[PATH_MAX + NAME_BYTES])
{
    (void)snprintf(out, PATH_MAX + NAME_BYTES, "%s/%s", d->path, text);
}

static void remove_all(const drive *d)
{
    char path[PATH_MAX + NAME_BYTES];
    const struct dirent *e = NULL;
    DIR *folder = opendir(d->path);
    if (folder == NULL) {
        die(d->path, strerror(errno));
    }
    while ((e = readdir(folder)) != NULL) {
        if (e->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/%.90s", d->path, e->d_name);
            (void)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
        }
    }
    (void)closedir(folder);
}

static void forget(drive *d)
{
    while (d->files != NULL) {
        file *gone = d->files;
        d->files = gone->next;
        free(gone->image.data);
        free(gone);
    }
    d->now.count = d->durable.count = 0;
    d->fuse = 0;
    d->off = false;
}

void disk_watch(const char *folder)
{
    char resolved[PATH_MAX];
    if (realpath(folder, resolved) == NULL || strlen(resolved) + 3 > sizeof root) {
        die(folder, strerror(errno));
    }
    for (int i = 0; i < DISK_DRIVES; i++) {
        (void)snprintf(drives[i].path, sizeof drives[i].path, "%.4000s/%d", resolved, i);
        if (mkdir(drives[i].path, 0700) != 0 && errno != EEXIST) {
            die(drives[i].path, strerror(errno));
        }
    }
    (void)snprintf(root, sizeof root, "%.4000s/", resolved);
    root_length = strlen(root);
}

void disk_reset(void)
{
    for (int i = 0; i < DISK_DRIVES; i++) {
        remove_all(&drives[i]);
        forget(&drives[i]);
    }
}

const char *disk_path(int number)
{
    return drives[number].path;
}

void disk_arm(int number, uint64_t calls)
{
    drives[number].fuse = calls;
}

bool disk_is_armed(int number)
{
    return drives[number].fuse > 0;
}

void disk_cut(int number)
{
    drives[number].off = true;
}

bool disk_is_off(int number)
{
    return drives[number].off;
}

static const char *still_open(const drive *d)
{
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        for (int i = 0; handles[fd].drive == d && i < d->now.count; i++) {
            if (d->now.list[i].file == handles[fd].file) {
                return d->now.list[i].text;
            }
        }
        if (handles[fd].drive == d) {
            return "a file without a name";
        }
    }
    return NULL;
}

/* What is left of a file: the image, with what was not flushed as `crash` has it. */
static bytes remains(drive *d, const char *text, const file *f, int crash, sim_random *random)
{
    char path[PATH_MAX + NAME_BYTES];
    const name *now = find(&d->now, text);
    if (crash == DISK_POWER || now == NULL || now->file != f) {
        return copy_of(f->image);
    }
    path_in(d, text, path);
    bytes b = read_whole(path);
    if (crash == DISK_KILL) {
        return b;
    }
    if (b.length < f->image.length && sim_below(random, 2) == 0) { /* the cut had not got there */
        b.data = must_have(realloc(b.data, f->image.length));
        memcpy(b.data + b.length, f->image.data + b.length, f->image.length - b.length);
        b.length = f->image.length;
    }
    for (size_t at = 0; at < b.length; at += BLOCK) {
        size_t count = b.length - at < BLOCK ? b.length - at : BLOCK;
        size_t old = at >= f->image.length          ? 0
                     : f->image.length - at < count ? f->image.length - at
                                                    : count;
        if ((old < count || memcmp(b.data + at, f->image.data + at, count) != 0) &&
            sim_below(random, 2) == 0) {
            memset(b.data + at, 0, count);
            if (old > 0) {
                memcpy(b.data + at, f->image.data + at, old);
            }
        }
    }
    return b;
}

static void set_files(drive *d, disk_copy *copy)
{
    char path[PATH_MAX + NAME_BYTES];
    remove_all(d);
    forget(d);
    for (int i = 0; i < copy->count; i++) {
        file *f = new_file(d);
        path_in(d, copy->files[i].text, path);
        write_whole(path, copy->files[i].content);
        set_length(f, copy->files[i].content.length);
        if (f->image.length > 0) {
            memcpy(f->image.data, copy->files[i].content.data, f->image.length);
        }
        add(&d->now, copy->files[i].text, f);
    }
    d->durable = d->now;
}

static disk_copy *crash_copy(drive *d, int crash, uint64_t seed)
{
    sim_random random = {seed};
    disk_copy *copy = must_have(calloc(1, sizeof *copy));
    bool named = crash == DISK_KILL || (crash == DISK_TORN && sim_below(&random, 2) == 0);
    const names *n = named ? &d->now : &d->durable;
    for (int i = 0; i < n->count; i++) {
        memcpy(copy->files[i].text, n->list[i].text, NAME_BYTES);
        copy->files[i].content = remains(d, n->list[i].text, n->list[i].file, crash, &random);
    }
    copy->count = n->count;
    return copy;
}

bool disk_restore(int number, int crash, uint64_t seed, const char **why)
{
    *why = still_open(&drives[number]);
    if (*why != NULL) {
        return false;
    }
    if (crash == DISK_KILL) { /* what was not flushed still is not */
        drives[number].fuse = 0;
        drives[number].off = false;
        return true;
    }
    disk_copy *copy = crash_copy(&drives[number], crash, seed);
    set_files(&drives[number], copy);
    disk_free(copy);
    return true;
}

disk_copy *disk_save(int number)
{
    return crash_copy(&drives[number], DISK_POWER, 0);
}

void disk_free(disk_copy *copy)
{
    if (copy != NULL) {
        for (int i = 0; i < copy->count; i++) {
            free(copy->files[i].content.data);
        }
        free(copy);
    }
}

static void take_files(disk_copy *into, const disk_copy *from, const char *prefix, bool beginning)
{
    for (int i = 0; i < from->count; i++) {
        if ((strncmp(from->files[i].text, prefix, strlen(prefix)) == 0) == beginning) {
            into->files[into->count] = from->files[i];
            into->files[into->count++].content = copy_of(from->files[i].content);
        }
    }
}

void disk_load(int number, const disk_copy *copy, const char *prefix)
{
    disk_copy *stays = crash_copy(&drives[number], DISK_KILL, 0);
    disk_copy *mixed = must_have(calloc(1, sizeof *mixed));
    if (still_open(&drives[number]) != NULL) {
        die(drives[number].path, "open");
    }
    take_files(mixed, copy, prefix, true);
    take_files(mixed, stays, prefix, false);
    set_files(&drives[number], mixed);
    disk_free(stays);
    disk_free(mixed);
}

const char *disk_unseen(int number)
{
    drive *d = &drives[number];
    char path[PATH_MAX + NAME_BYTES];
    const char *unseen = NULL;
    const struct dirent *e = NULL;
    for (int i = 0; i < d->now.count && unseen == NULL; i++) {
        file *f = d->now.list[i].file;
        path_in(d, d->now.list[i].text, path);
        int fd = raw_open(path, O_RDONLY | O_CLOEXEC, 0);
        if (fd < 0) {
            return d->now.list[i].text;
        }
        refresh(f, fd);
        (void)syscall(SYS_close, fd);
        bytes real = read_whole(path);
        if (real.length != f->image.length ||
            (real.length > 0 && memcmp(real.data, f->image.data, real.length) != 0)) {
            unseen = d->now.list[i].text;
        }
        free(real.data);
    }
    DIR *folder = opendir(d->path);
    while (folder != NULL && unseen == NULL && (e = readdir(folder)) != NULL) {
        if (e->d_name[0] != '.' && !passes(e->d_name) && find(&d->now, e->d_name) == NULL) {
            unseen = "a name that was not seen";
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return unseen;
}
