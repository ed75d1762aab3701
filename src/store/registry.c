/* registry.c - the files this process has open; see registry.h. */
#include "store/registry.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/file.h"
#include "store/flusher.h"

#include "base/alloc.h"

typedef struct entry {
    struct entry *next;
    tide__core core; /* handed out; the entry is found from it */
    tide__flusher flusher;
    dev_t device;
    ino_t inode;
    size_t users;
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static entry *entries;
static atomic_uint generation;

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

/* The child starts with nothing open. What the parent has open is left alone: LMDB must not be
 * called. */
static void after_fork_in_child(void)
{
    entries = NULL;
    atomic_fetch_add(&generation, 1);
    pthread_mutex_unlock(&lock);
}

static void watch_forks(void)
{
    (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

unsigned tide__registry_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_relaxed);
}

static tide_time now_of(const tide_options *options)
{
    return tide__clock_now(options->clock, options->clock_ctx);
}

int tide__registry_name(const char *path, char out[PATH_MAX], tide__detail *detail)
{
    struct stat st;
    bool there = true;
    while (there) {
        if (realpath(path, out) != NULL) {
            return TIDE_OK;
        }
        if (errno != ENOENT) {
            return tide__fail_errno(detail, errno, path);
        }
        there = lstat(path, &st) == 0;
        if (there && S_ISLNK(st.st_mode)) {
            return tide__fail(detail, TIDE_ENOENT, "%s: a link that leads nowhere", path);
        } /* else somebody has made it meanwhile */
    }
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    char folder[PATH_MAX];
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        length >= sizeof folder) {
        return tide__fail(detail, TIDE_EINVAL, "%s: not a file name", path);
    }
    memcpy(folder, path, length);
    folder[length] = '\0';
    if (realpath(slash == NULL ? "." : length == 0 ? "/" : folder, out) == NULL) {
        return tide__fail_errno(detail, errno, slash == NULL ? "." : folder);
    }
    size_t used = strlen(out);
    if (used + 1 + strlen(name) >= PATH_MAX) {
        return tide__fail(detail, TIDE_EINVAL, "%s: name too long", path);
    }
    (void)snprintf(out + used, PATH_MAX - used, "%s%s", used > 1 ? "/" : "", name);
    return TIDE_OK;
}

static entry *find(const char *path, const struct stat *st)
{
    for (entry *e = entries; e != NULL; e = e->next) {
        if ((st != NULL && e->device == st->st_dev && e->inode == st->st_ino) ||
            (st == NULL && strcmp(e->core.environment->path, path) == 0)) {
            return e;
        }
    }
    return NULL;
}

/* Creates the file where there is none, opens it, and moves an unusable one out of the way when
 * allowed. */
static int open_environment(const char *path, const tide_options *options, int folder,
                            tide__environment **out, tide__detail *moved, tide__detail *detail)
{
    int rc = tide__environment_open(path, options, out, detail);
    struct stat st;
    bool unusable =
        (rc == TIDE_EFORMAT || rc == TIDE_ECORRUPT) && stat(path, &st) == 0 && S_ISREG(st.st_mode);
    if (unusable && options->on_unusable == TIDE_MOVE_ASIDE) {
        char *moved_to = NULL;
        tide__detail why = *detail;
        rc = tide__file_move_aside(path, now_of(options), &moved_to, detail);
        if (rc != TIDE_OK) {
            return rc;
        }
        (void)tide__fail(moved, 0, "%s; moved to %s", why.text, moved_to);
        tide__free(moved_to);
        rc = TIDE_ENOENT;
    }
    if (rc == TIDE_ENOENT && (options->flags & TIDE_MUST_EXIST) == 0) {
        rc = tide__file_create(path, now_of(options), folder, detail);
        if (rc == TIDE_OK) {
            rc = tide__environment_open(path, options, out, detail);
        }
    }
    return rc;
}

static void discard(entry *e)
{
    tide__flusher_stop(&e->flusher);
    tide__core_destroy(&e->core);
    tide__environment_close(e->core.environment);
    tide__free(e);
}

/* With the registry locked: a file that nobody here has open. */
static int add(const char *path, const tide_options *options, entry **out, tide__detail *moved,
               tide__detail *detail)
{
    struct stat st;
    int folder = -1;
    tide__environment *environment = NULL;
    entry *e = tide__calloc(1, sizeof *e);
    if (e == NULL) {
        return TIDE_ENOMEM;
    }
    int rc = tide__folder_lock(path, &folder, detail);
    if (rc == TIDE_OK) {
        rc = open_environment(path, options, folder, &environment, moved, detail);
        close(folder);
    }
    if (rc == TIDE_OK && fstat(environment->fd, &st) != 0) {
        rc = tide__fail_errno(detail, errno, path);
        tide__environment_close(environment);
    }
    if (rc != TIDE_OK) {
        tide__free(e);
        return rc;
    }
    e->device = st.st_dev;
    e->inode = st.st_ino;
    tide__core_init(&e->core, environment, options);
    if (options->flush_interval_ms > 0) {
        rc = tide__flusher_start(&e->flusher, &e->core, options->flush_interval_ms, detail);
        if (rc != TIDE_OK) {
            discard(e);
            return rc;
        }
    }
    e->next = entries;
    entries = e;
    *out = e;
    return TIDE_OK;
}

int tide__registry_acquire(const char *path, const tide_options *options, tide__core **out,
                           tide__detail *moved, tide__detail *detail)
{
    char name[PATH_MAX];
    struct stat st;
    entry *e = NULL;
    pthread_once(&once, watch_forks);
    int rc = tide__registry_name(path, name, detail);
    if (rc != TIDE_OK) {
        return rc;
    }
    pthread_mutex_lock(&lock);
    if (stat(name, &st) == 0) {
        e = find(name, &st);
    }
    if (e == NULL && find(name, NULL) != NULL) {
        rc = tide__fail(detail, TIDE_EBUSY, "%s: replaced while this process has it open", path);
    } else if (e == NULL) {
        rc = add(name, options, &e, moved, detail);
    } else {
        rc = tide__environment_alive(e->core.environment, detail);
    }
    if (rc == TIDE_OK && e != NULL) {
        e->users++;
        *out = &e->core;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

/* With the registry locked; `path` is the one absolute name. */
static int at_rest(const char *path, tide__detail *detail)
{
    struct stat st;
    bool used = false;
    if ((stat(path, &st) == 0 && find(path, &st) != NULL) || find(path, NULL) != NULL) {
        return tide__fail(detail, TIDE_EBUSY, "%s: this process has it open", path);
    }
    int rc = tide__file_in_use(path, &used, detail);
    return rc == TIDE_OK && used
               ? tide__fail(detail, TIDE_EBUSY, "%s: another program has it open", path)
               : rc;
}

int tide__registry_at_rest(const char *path, tide__detail *detail)
{
    char name[PATH_MAX];
    pthread_once(&once, watch_forks);
    int rc = tide__registry_name(path, name, detail);
    if (rc == TIDE_OK) {
        pthread_mutex_lock(&lock);
        rc = at_rest(name, detail);
        pthread_mutex_unlock(&lock);
    }
    return rc;
}

int tide__registry_alone(const char *path, tide__alone_fn *fn, void *ctx, tide__detail *detail)
{
    char name[PATH_MAX];
    int folder = -1;
    pthread_once(&once, watch_forks);
    int rc = tide__registry_name(path, name, detail);
    if (rc == TIDE_OK) {
        pthread_mutex_lock(&lock);
        rc = tide__folder_lock(name, &folder, detail);
        if (rc == TIDE_OK) {
            rc = at_rest(name, detail);
        }
        if (rc == TIDE_OK) {
            rc = fn(name, folder, ctx, detail);
        }
        pthread_mutex_unlock(&lock);
        if (folder >= 0) {
            close(folder);
        }
    }
    return rc;
}

void tide__registry_release(tide__core *core)
{
    pthread_mutex_lock(&lock);
    entry *previous = NULL;
    entry *e = entries;
    while (e != NULL && &e->core != core) {
        previous = e;
        e = e->next;
    }
    if (e != NULL && --e->users == 0) {
        *(previous == NULL ? &entries : &previous->next) = e->next;
        discard(e);
    }
    pthread_mutex_unlock(&lock);
}
