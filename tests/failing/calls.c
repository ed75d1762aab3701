/* calls.c - calls of the system that fail on request; see calls.h. */
#define _GNU_SOURCE 1
#include "failing/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define EXPORTED __attribute__((visibility("default")))
#define SHORT 0        /* in the place of an error: half of the bytes */
#define RUN_SECONDS 60 /* after which a run is said to hang */
#define FAILURES_MAX 10
#define SANITIZED_MOST 3
#define STEPS_MAX 64
#define START_NS INT64_C(1704067200000000000) /* 2024 */
#define STEP_NS 100000

typedef enum kind { MEMORY, WRITE, FLUSH, MAP, OPEN, RESIZE, READ, LOCK, NAME, KINDS } kind;

static const char *const kind_names[KINDS] = {"memory", "write", "flush", "map", "open",
                                              "resize", "read",  "lock",  "name"};

typedef struct failure {
    kind kind;
    int error;
    bool for_good;
} failure;

static const failure failures[] = {
    {MEMORY, ENOMEM, false}, {MEMORY, ENOMEM, true}, {WRITE, EIO, false},
    {WRITE, EIO, true},      {WRITE, ENOSPC, false}, {WRITE, ENOSPC, true},
    {WRITE, EINTR, false},   {WRITE, SHORT, false},  {WRITE, SHORT, true},
    {FLUSH, EIO, false},     {FLUSH, EIO, true},     {FLUSH, ENOSPC, false},
    {MAP, ENOMEM, false},    {MAP, ENOMEM, true},    {OPEN, EMFILE, false},
    {OPEN, EMFILE, true},    {OPEN, EINTR, false},   {OPEN, ENOSPC, false},
    {RESIZE, ENOSPC, false}, {RESIZE, ENOSPC, true}, {RESIZE, EIO, false},
    {RESIZE, EINTR, false},  {READ, EIO, false},     {READ, EIO, true},
    {READ, EINTR, false},    {READ, SHORT, false},   {LOCK, ENOLCK, false},
    {LOCK, ENOLCK, true},    {LOCK, EINTR, false},   {NAME, EIO, false},
    {NAME, EIO, true},
};

typedef struct held {
    long blocks, maps, descriptors;
} held;

/* How far a failure has got; shared with the child that tries. */
typedef struct progress {
    uint64_t calls, stride; /* in a run; every stride-th is tried */
    uint64_t tried, runs;
    uint64_t step, call;      /* tried last */
    uint64_t next[STEPS_MAX]; /* of each step the call that is tried next; 0: not known yet */
} progress;

static progress *reached;
static bool by_step;          /* else a whole run is one step */
static unsigned step, spared; /* from 1 */
static bool may_fail;
static bool trying; /* inside CALLS_TRY */
static failure wanted;
static uint64_t left; /* calls until it comes; 0: none is wanted, or it is there */
static bool failing;  /* for good */
static bool happened;
static uint64_t counts[KINDS];
static held holding;
static int64_t now_ns = START_NS;

/* ---- which call fails --------------------------------------------------------------------------- */

static bool fails(kind which)
{
    if (!trying)
        return false;
    counts[which]++;
    if (which != wanted.kind)
        return false;
    if (left > 0 && --left == 0) {
        happened = true;
        failing = wanted.for_good;
        spared = step + 1;
        reached->step = step;
        reached->call = reached->next[step];
        reached->next[step] += reached->stride;
        reached->tried++;
        return true;
    }
    return failing;
}

/* The same for what can be done in part: a number of bytes to do, or -1. */
static ssize_t part(kind which, size_t size)
{
    if (!fails(which))
        return (ssize_t)size;
    if (wanted.error == SHORT)
        return (ssize_t)(size > 1 ? size / 2 : size);
    errno = wanted.error;
    return -1;
}

static int refused(void)
{
    errno = wanted.error;
    return -1;
}

/* The step after one that failed is spared: what a failure leaves behind meets calls that go well. */
static void begin_step(void)
{
    uint64_t *next, stride = reached->stride;

    step++;
    child_assert(step < STEPS_MAX);
    next = &reached->next[step];
    if (*next == 0 && stride > 0) /* evenly spread over the scenario, not over each step */
        *next = stride - (counts[wanted.kind] + stride - 1) % stride;
    left = may_fail && !failing && step != spared ? *next : 0;
}

void calls_begin(void)
{
    if (by_step)
        begin_step();
    trying = true;
}

int calls_end(int answer)
{
    trying = false;
    return answer;
}

void calls_mend(void)
{
    failing = false;
}

bool calls_failed(const char *which, int error)
{
    return happened && (which == NULL || strcmp(which, kind_names[wanted.kind]) == 0) &&
           (error == 0 || error == wanted.error);
}

/* ---- memory ------------------------------------------------------------------------------------- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t bytes);
void *REAL(calloc)(size_t count, size_t bytes);
void *REAL(realloc)(void *memory, size_t bytes);
void REAL(free)(void *memory);

EXPORTED void *malloc(size_t bytes)
{
    void *memory = NULL;

    if (fails(MEMORY))
        errno = ENOMEM;
    else
        memory = REAL(malloc)(bytes);
    holding.blocks += memory != NULL;
    return memory;
}

EXPORTED void *calloc(size_t count, size_t bytes)
{
    void *memory = NULL;

    if (fails(MEMORY))
        errno = ENOMEM;
    else
        memory = REAL(calloc)(count, bytes);
    holding.blocks += memory != NULL;
    return memory;
}

EXPORTED void *realloc(void *memory, size_t bytes)
{
    void *larger = NULL;

    if (fails(MEMORY))
        errno = ENOMEM;
    else
        larger = REAL(realloc)(memory, bytes);
    holding.blocks += memory == NULL && larger != NULL;
    return larger;
}

EXPORTED void free(void *memory)
{
    holding.blocks -= memory != NULL;
    REAL(free)(memory);
}

/* ---- files -------------------------------------------------------------------------------------- */

static int do_open(const char *path, int flags, mode_t mode)
{
    int fd;

    if (fails(OPEN))
        return refused();
    /* Written through would only mean slow. */
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags & ~O_DSYNC, mode);
    holding.descriptors += fd >= 0;
    return fd;
}

EXPORTED int open(const char *path, int flags, ...)
{
    va_list rest;
    mode_t mode = 0;

    va_start(rest, flags);
    if ((flags & O_CREAT) != 0)
        mode = va_arg(rest, mode_t); // NOLINT(clang-analyzer-valist.Uninitialized): it was started
    va_end(rest);
    return do_open(path, flags, mode);
}

EXPORTED int open64(const char *path, int flags, ...) __attribute__((alias("open")));

EXPORTED int close(int fd)
{
    int rc = (int)syscall(SYS_close, fd);

    holding.descriptors -= rc == 0;
    return rc;
}

EXPORTED ssize_t read(int fd, void *bytes, size_t size)
{
    ssize_t some = part(READ, size);

    return some < 0 ? some : syscall(SYS_read, fd, bytes, (size_t)some);
}

EXPORTED ssize_t pread(int fd, void *bytes, size_t size, off_t at)
{
    ssize_t some = part(READ, size);

    return some < 0 ? some : syscall(SYS_pread64, fd, bytes, (size_t)some, at);
}

EXPORTED ssize_t pread64(int fd, void *bytes, size_t size, off64_t at)
{
    return pread(fd, bytes, size, at);
}

EXPORTED ssize_t write(int fd, const void *bytes, size_t size)
{
    ssize_t some = part(WRITE, size);

    return some < 0 ? some : syscall(SYS_write, fd, bytes, (size_t)some);
}

EXPORTED ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    ssize_t some = part(WRITE, size);

    return some < 0 ? some : syscall(SYS_pwrite64, fd, bytes, (size_t)some, at);
}

EXPORTED ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at)
{
    return pwrite(fd, bytes, size, at);
}

EXPORTED ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    ssize_t some = part(WRITE, 2);

    if (some < 0)
        return some;
    return some == 2 ? syscall(SYS_writev, fd, pieces, count)
                     : syscall(SYS_write, fd, pieces->iov_base, pieces->iov_len / 2);
}

EXPORTED int fsync(int fd)
{
    (void)fd;
    return fails(FLUSH) ? refused() : 0;
}

EXPORTED int fdatasync(int fd)
{
    (void)fd;
    return fails(FLUSH) ? refused() : 0;
}

EXPORTED int ftruncate(int fd, off_t size)
{
    return fails(RESIZE) ? refused() : (int)syscall(SYS_ftruncate, fd, size);
}

EXPORTED int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

EXPORTED int fallocate(int fd, int mode, off_t at, off_t size)
{
    return fails(RESIZE) ? refused() : (int)syscall(SYS_fallocate, fd, mode, at, size);
}

EXPORTED int unlink(const char *path)
{
    return fails(NAME) ? refused() : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

EXPORTED int rename(const char *from, const char *to)
{
    return fails(NAME) ? refused() : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORTED int renameat2(int from_folder, const char *from, int to_folder, const char *to,
                       unsigned flags)
{
    return fails(NAME) ? refused()
                       : (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

EXPORTED int mkdir(const char *path, mode_t mode)
{
    return fails(NAME) ? refused() : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

/* ---- maps and locks ----------------------------------------------------------------------------- */

EXPORTED void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t from)
{
    void *map;

    if (fails(MAP)) {
        (void)refused();
        return MAP_FAILED;
    }
    map = (void *)syscall(SYS_mmap, at, size, protection, flags, fd, from);
    holding.maps += map != MAP_FAILED;
    return map;
}

EXPORTED void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t from)
{
    return mmap(at, size, protection, flags, fd, from);
}

EXPORTED int munmap(void *at, size_t size)
{
    int rc = (int)syscall(SYS_munmap, at, size);

    holding.maps -= rc == 0;
    return rc;
}

/* Giving a lock back cannot fail. */
static int do_fcntl(int fd, int command, long argument)
{
    bool locks = (command == F_SETLK || command == F_SETLKW) &&
                 ((const struct flock *)argument)->l_type != F_UNLCK;

    return locks && fails(LOCK) ? refused() : (int)syscall(SYS_fcntl, fd, command, argument);
}

EXPORTED int fcntl(int fd, int command, ...)
{
    va_list arguments;
    long argument;

    va_start(arguments, command);
    argument = va_arg(arguments, long);
    va_end(arguments);
    return do_fcntl(fd, command, argument);
}

EXPORTED int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

EXPORTED int flock(int fd, int what)
{
    return fails(LOCK) ? refused() : (int)syscall(SYS_flock, fd, what);
}

/* ---- time --------------------------------------------------------------------------------------- */

/* It goes by calls, so that each run is like the last; nobody holds a lock, so none is waited for. */
EXPORTED int clock_gettime(clockid_t clock, struct timespec *out)
{
    (void)clock;
    now_ns += STEP_NS;
    out->tv_sec = now_ns / 1000000000;
    out->tv_nsec = now_ns % 1000000000;
    return 0;
}

EXPORTED int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec time;

    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &time);
    out->tv_sec = time.tv_sec;
    out->tv_usec = time.tv_nsec / 1000;
    return 0;
}

EXPORTED int nanosleep(const struct timespec *time, struct timespec *rest)
{
    (void)time;
    (void)rest;
    return 0;
}

EXPORTED int usleep(useconds_t time)
{
    (void)time;
    return 0;
}

/* ---- every call in turn ------------------------------------------------------------------------- */

typedef struct job {
    calls_scenario *scenario;
    const failure *failure;
    uint64_t most; /* 0: all */
    bool by_step;
} job;

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    return walk->level == 0 ? 0 : remove(path);
}

static void run(const job *j, bool fail)
{
    memset(counts, 0, sizeof counts);
    wanted = *j->failure;
    may_fail = fail;
    failing = happened = false;
    step = spared = 0;
    now_ns = START_NS;
    child_assert(nftw(".", remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
    by_step = j->by_step;
    if (!by_step)
        begin_step();
    alarm(RUN_SECONDS);
    j->scenario();
    alarm(0);
}

static void child_tries(void *ctx)
{
    const job *j = ctx;
    held before;

    (void)signal(SIGALRM, SIG_DFL); /* not Check's */
    run(j, false);                  /* what the libraries keep for good */
    reached->calls = counts[j->failure->kind];
    reached->stride = j->most > 0 && reached->calls > j->most ? reached->calls / j->most : 1;
    run(j, false);
    before = holding;
    reached->calls = counts[j->failure->kind];
    /* A step may be longer or shorter after one that failed. */
    while (j->by_step || reached->tried * reached->stride < reached->calls) {
        run(j, true);
        if (!happened) {
            child_assert(j->by_step);
            break;
        }
        if (test_sanitized()) /* which has functions of its own that allocate, and looks by itself */
            holding.blocks = before.blocks;
        if (memcmp(&holding, &before, sizeof before) != 0) {
            (void)fprintf(stderr, "%ld blocks, %ld maps, %ld descriptors more than before\n",
                          holding.blocks - before.blocks, holding.maps - before.maps,
                          holding.descriptors - before.descriptors);
            test_child_failed(__FILE__, __LINE__, "something is leaked");
        }
        reached->runs++;
    }
#if defined(__SANITIZE_ADDRESS__)
    child_assert(__lsan_do_recoverable_leak_check() == 0);
#endif
}

/* All of one kind. Returns how many failed. */
static unsigned fail_each(const char *name, job *j)
{
    const failure *f = j->failure;
    unsigned failed = 0;

    memset(reached, 0, sizeof *reached);
    while (failed < FAILURES_MAX) {
        uint64_t tried = reached->tried;
        int status = test_child(child_tries, j);

        if (status == 0)
            break;
        failed++;
        (void)fprintf(stderr, "^ %s: %s call %llu of step %llu, %s, %s", name, kind_names[f->kind],
                      (unsigned long long)reached->call, (unsigned long long)reached->step,
                      f->error == SHORT ? "done in part" : strerror(f->error),
                      f->for_good ? "for good" : "once");
        (void)fprintf(stderr, WIFSIGNALED(status) ? ": signal %d\n" : "\n", WTERMSIG(status));
        if (reached->tried == tried) /* nothing has failed yet */
            break;
    }
    (void)fprintf(stderr, "%s: %s, %s, %s: %llu of %llu calls in %llu runs\n", name,
                  kind_names[f->kind], f->error == SHORT ? "done in part" : strerror(f->error),
                  f->for_good ? "for good" : "once", (unsigned long long)reached->tried,
                  (unsigned long long)reached->calls, (unsigned long long)reached->runs);
    return failed;
}

static void fail_all(const char *name, calls_scenario *scenario, unsigned most, bool memory_by_step)
{
    const char *only = getenv("TIDEMARK_TEST_KIND");
    job j = {.scenario = scenario, .most = test_most(test_sanitized() ? SANITIZED_MOST : most)};
    unsigned failed = 0, tried = 0;

    reached =
        mmap(NULL, sizeof *reached, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(reached, MAP_FAILED);
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        j.failure = &failures[i];
        j.by_step = memory_by_step && failures[i].kind == MEMORY;
        if (only == NULL || strcmp(only, kind_names[failures[i].kind]) == 0) {
            failed += fail_each(name, &j);
            tried++;
        }
    }
    munmap(reached, sizeof *reached);
    ck_assert_msg(tried > 0, "TIDEMARK_TEST_KIND: no kind is called %s", only);
    ck_assert_msg(failed == 0, "%u failed", failed);
}

void calls_fail_each(const char *name, calls_scenario *scenario, unsigned most)
{
    fail_all(name, scenario, most, false);
}

void calls_fail_each_step(const char *name, calls_scenario *scenario, unsigned most)
{
    fail_all(name, scenario, most, true);
}
