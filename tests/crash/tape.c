/* tape.c - making a recording; see tape.h. */
#include "tape.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs.h"

/* ---- records ------------------------------------------------------------------------------------ */

static unsigned char *end_of(const tape *t)
{
    return (unsigned char *)t->map + RECORDING_FIRST + t->map->used;
}

/* A record whose `length` bytes the caller fills in. */
static unsigned char *add_record(tape *t, record head)
{
    unsigned char *at = end_of(t);
    memcpy(at, &head, sizeof head);
    t->map->used += sizeof head + (head.length + 7) / 8 * 8;
    return at + sizeof head;
}

const record *tape_next(const tape *t, const record *r)
{
    const unsigned char *at = (const unsigned char *)t->map + RECORDING_FIRST;
    if (r != NULL) {
        at = (const unsigned char *)(r + 1) + (r->length + 7) / 8 * 8;
    }
    return at < end_of(t) ? (const record *)(const void *)at : NULL;
}

uint64_t tape_count(const tape *t)
{
    uint64_t count = 0;
    for (const record *r = tape_next(t, NULL); r != NULL; r = tape_next(t, r)) {
        count++;
    }
    return count;
}

void tape_mark(tape *t, const char *text)
{
    record head = {.kind = RECORD_MARK, .length = strlen(text)};
    memcpy(add_record(t, head), text, head.length);
}

/* ---- beginning ---------------------------------------------------------------------------------- */

static bool add_found(void *ctx, const char *name, bool folder)
{
    tape *t = ctx;
    char path[PATH_MAX];
    struct stat st;
    record head = {.kind = folder ? RECORD_FOLDER : RECORD_FOUND, .flags = RECORD_WAS_THERE};
    size_t name_bytes = strlen(name) + 1;
    (void)snprintf(path, sizeof path, "%s/%s", t->map->folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return false;
    }
    head.file = st.st_ino;
    head.length = name_bytes + (folder ? 0 : (uint64_t)st.st_size);
    unsigned char *bytes = add_record(t, head);
    memcpy(bytes, name, name_bytes);
    ssize_t got = folder ? 0 : read(fd, bytes + name_bytes, (size_t)st.st_size);
    close(fd);
    if (!folder && t->map->file_count < RECORDING_FILES) {
        t->map->files[t->map->file_count++] = st.st_ino;
    }
    return folder || got == st.st_size;
}

static bool map_file(tape *t, const char *path, int flags)
{
    int fd = open(path, flags | O_RDWR | O_CLOEXEC, 0600);
    t->path = path;
    t->map = MAP_FAILED;
    if (fd >= 0 && ((flags & O_CREAT) == 0 || ftruncate(fd, (off_t)RECORDING_BYTES) == 0)) {
        t->map = mmap(NULL, RECORDING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (fd >= 0) {
        close(fd);
    }
    return t->map != MAP_FAILED;
}

bool tape_begin(tape *t, const char *path, const char *recorder, const char *folder)
{
    pthread_mutexattr_t shared;
    (void)unlink(path);
    t->recorder = recorder;
    if (!map_file(t, path, O_CREAT | O_EXCL)) {
        return false;
    }
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&shared, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&t->map->lock, &shared);
    pthread_mutexattr_destroy(&shared);
    (void)snprintf(t->map->folder, sizeof t->map->folder, "%s", folder);
    t->map->fault_errno = EIO;
    t->map->magic = RECORDING_MAGIC;
    return fs_each(folder, add_found, t);
}

bool tape_load(tape *t, const char *path)
{
    return map_file(t, path, 0) && t->map->magic == RECORDING_MAGIC;
}

void tape_end(tape *t)
{
    uint64_t bytes = RECORDING_FIRST + t->map->used;
    munmap(t->map, RECORDING_BYTES);
    if (truncate(t->path, (off_t)bytes) != 0) { /* a hole: it costs nothing */
        perror(t->path);
    }
}

/* ---- programs ----------------------------------------------------------------------------------- */

static _Noreturn void become(char *const argv[], const char *preload, const char *recording_path,
                             const char *output)
{
    int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) {
        _exit(127);
    }
    if (recording_path != NULL) {
        (void)setenv("LD_PRELOAD", preload, 1);              /* NOLINT(concurrency-mt-unsafe) */
        (void)setenv(RECORDING_VARIABLE, recording_path, 1); /* NOLINT(concurrency-mt-unsafe) */
    }
    (void)execv(argv[0], argv);
    _exit(127);
}

static int wait_for(pid_t pid)
{
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return 127;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int run_program(char *const argv[], const char *output)
{
    pid_t pid = fork();
    if (pid == 0) {
        become(argv, NULL, NULL, output);
    }
    return wait_for(pid);
}

int tape_run(tape *t, char *const argv[], const char *mutant, const char *output)
{
    char preload[2 * PATH_MAX];
    record head = {.kind = RECORD_RUN, .length = strlen(argv[0])};
    memcpy(add_record(t, head), argv[0], head.length);
    (void)snprintf(preload, sizeof preload, "%s%s%s", mutant == NULL ? "" : mutant,
                   mutant == NULL ? "" : ":", t->recorder);
    pid_t pid = fork();
    if (pid == 0) {
        become(argv, preload, t->path, output);
    }
    return wait_for(pid);
}

/* ---- proof -------------------------------------------------------------------------------------- */

static bool may_be_mapped(const char *name)
{
    size_t length = strlen(name);
    return (length > 4 && strcmp(name + length - 4, "-shm") == 0) ||
           (length > 5 && strcmp(name + length - 5, "-lock") == 0);
}

bool tape_check(const tape *t, char *why, size_t size)
{
    uint64_t op = 0;
    uint64_t count = tape_count(t);
    unsigned char *taken = malloc(count + 1);
    fs *f = fs_make();
    const char *wrong = taken == NULL ? "no memory" : NULL;
    for (const record *r = tape_next(t, NULL); r != NULL && wrong == NULL; r = tape_next(t, r)) {
        wrong = fs_apply(f, op++, r);
    }
    if (wrong == NULL && t->map->lost > 0) {
        wrong = "the recording is full";
    }
    bool ok = wrong == NULL;
    if (!ok) {
        (void)snprintf(why, size, "%.200s", wrong);
    } else {
        memset(taken, 1, count + 1);
        const fs_image *image = fs_choose(f, &(fs_choice){.taken = taken});
        for (size_t i = 0; ok && i < image->count; i++) {
            ok = !image->entries[i].mapped || may_be_mapped(image->entries[i].name);
            if (!ok) {
                (void)snprintf(why, size, "%.200s: written through a map", image->entries[i].name);
            }
        }
        ok = ok && fs_compare(image, t->map->folder, why, size);
    }
    fs_free(f);
    free(taken);
    return ok;
}
