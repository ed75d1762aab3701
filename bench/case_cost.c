/* case_cost.c - what the engine takes of a machine: memory of a first sync, processor time of a
 * sync with nothing to do, and how much of both syncs digests are.
 *
 * Memory is taken in two processes with a socket between, one a side, because a device has one of
 * them only. The rest is in one process, both sides together.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "entries.h"

static const char *const prove_names[] = {"unproved", "proved"};

static void fail(const char *what, const char *why)
{
    engine_failed("cost", what, why);
}

/* The id of all libraries here. */
static const unsigned char library_id[16] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3};

/* Made by SQL, so that nobody holds them in memory; in keys of random order. */
static void fill(tide_library *library, size_t count)
{
    char sql[640];
    (void)snprintf(
        sql, sizeof sql,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %zu) "
        "INSERT INTO entries (uuid, location_uuid, parent_uuid, name, kind, size, mtime) "
        "SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-' || hex(randomblob(2)) || "
        "'-' || hex(randomblob(2)) || '-' || hex(randomblob(6))), "
        "'4f2c6a52-65cf-4d63-a4ee-7d1ff6ed8a0f', 'd0a2c1de-3a55-4c3b-8b0e-0f8f1a3f5a11', "
        "'file-' || i || '.txt', 'file', i, '2026-01-01T00:00:00.000000000Z' FROM n",
        count);
    bench_sql_run(tide_sync_database(tide_library_sync(library)), sql);
}

static tide_session *open_session(tide_library *library, bool prove)
{
    tide_session *opened = NULL;
    tide_session_options options;
    tide_session_options_init(&options);
    options.prove = prove;
    engine_check("session", tide_session_open(tide_library_sync(library), &options, &opened));
    return opened;
}

/* ---- memory, in processes of their own ---------------------------------------------------------- */

static void put_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t put = write(fd, at, size);
        if (put <= 0) {
            fail("socket", strerror(errno));
        }
        at += put;
        size -= (size_t)put;
    }
}

/* False: the other side has closed. */
static bool get_all(int fd, void *bytes, size_t size)
{
    char *at = bytes;
    while (size > 0) {
        ssize_t got = read(fd, at, size);
        if (got < 0) {
            fail("socket", strerror(errno));
        }
        if (got == 0) {
            return false;
        }
        at += got;
        size -= (size_t)got;
    }
    return true;
}

/* A message is its length and its bytes. Only one side has large ones, so both may block. Who asks
 * and has everything says so by closing its half, and hears out the other. */
static void talk(tide_session *me, int fd, bool asks)
{
    size_t size = 0;
    do {
        const void *bytes = NULL;
        int rc = TIDE_OK;
        while ((rc = tide_session_next(me, &bytes, &size)) == TIDE_OK) {
            put_all(fd, &size, sizeof size);
            put_all(fd, bytes, size);
        }
        engine_check("next", rc);
        if (asks && tide_session_is_complete(me)) {
            (void)shutdown(fd, SHUT_WR);
            while (read(fd, &size, sizeof size) > 0) {
            }
            return;
        }
        if (!get_all(fd, &size, sizeof size)) {
            return;
        }
        void *message = bench_alloc(size);
        if (!get_all(fd, message, size)) {
            fail("socket", "a message was cut");
        }
        engine_check("receive", tide_session_receive(me, message, size));
        free(message);
    } while (true);
}

typedef struct side {
    char folder[BENCH_PATH];
    size_t fill; /* rows made before; the other side has none and asks */
    int fd;
    pid_t pid;
} side;

/* Starts a process that fills its library, or syncs it over its socket. */
static void start(side *s, bool filling, int other_fd)
{
    s->pid = fork();
    if (s->pid < 0) {
        fail("fork", strerror(errno));
    }
    if (s->pid == 0) {
        if (!filling) {
            (void)close(other_fd);
        }
        tide_library *library = open_library(s->folder, library_id);
        if (filling) {
            fill(library, s->fill);
        } else {
            tide_session *me = open_session(library, true);
            talk(me, s->fd, s->fill == 0);
            tide_session_close(me);
            (void)close(s->fd);
        }
        tide_library_close(library);
        _exit(0);
    }
}

/* The most memory it ever had, in MiB. */
static double finish(side *s)
{
    struct rusage usage;
    int status = 0;
    if (wait4(s->pid, &status, 0, &usage) != s->pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0) {
        fail("process", "failed");
    }
    return (double)usage.ru_maxrss / 1024;
}

static void memory(bench *b)
{
    side from = {.fill = b->quick ? 20000 : 1000000};
    side to = {.fill = 0};
    int ends[2];
    fresh_folder(b, "memory-from", from.folder);
    fresh_folder(b, "memory-to", to.folder);
    result *serving = result_new(b, "cost", "memory", "serving", D1, from.fill, "MiB");
    result *following = result_new(b, "cost", "memory", "following", D1, from.fill, "MiB");
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        fail("socket", strerror(errno));
    }
    from.fd = ends[0];
    to.fd = ends[1];
    start(&from, true, -1);
    (void)finish(&from);
    start(&from, false, to.fd);
    start(&to, false, from.fd);
    (void)close(ends[0]);
    (void)close(ends[1]);
    spread_add(&following->samples, finish(&to));
    spread_add(&serving->samples, finish(&from));
    folder_remove(from.folder);
    tide_library *library = open_library(to.folder, library_id);
    tide_resource_info info = {.size = sizeof info};
    engine_check("count", tide_sync_resource_info(tide_library_sync(library), "entry", &info));
    tide_library_close(library);
    folder_remove(to.folder);
    if (info.rows != from.fill) {
        fail("memory", "rows are missing");
    }
}

/* ---- time --------------------------------------------------------------------------------------- */

/* Processor time and the clock's of one exchange, in nanoseconds; opening is not in it. */
static void exchange(tide_library *a, tide_library *b, bool prove, double *cpu, double *wall)
{
    tide_session *far = open_session(a, prove);
    tide_session *near = open_session(b, prove);
    tide_pipe *link = NULL;
    engine_check("pipe", tide_pipe_open(far, NULL, &link));
    int64_t began_cpu = cpu_ns();
    int64_t began = now_ns();
    engine_check("sync", tide_sync_exchange_watermarks_and_catchup(near, tide_pipe_transport(link)));
    *wall = (double)(now_ns() - began);
    *cpu = (double)(cpu_ns() - began_cpu);
    tide_pipe_close(link);
    tide_session_close(near);
    tide_session_close(far);
}

/* A first sync, and then some with nothing to do; in both ways. */
static void run_syncs(const bench *b, bool prove, size_t count, spread *first, spread *first_cpu,
                      spread *idle_cpu)
{
    char path[2][BENCH_PATH];
    spread each = {.count = 0};
    double cpu = 0;
    double wall = 0;
    fresh_folder(b, "cost-a", path[0]);
    fresh_folder(b, "cost-b", path[1]);
    tide_library *from = open_library(path[0], library_id);
    tide_library *to = open_library(path[1], library_id);
    fill(from, count);
    exchange(from, to, prove, &cpu, &wall);
    spread_add(first, wall / (double)count);
    spread_add(first_cpu, cpu / (double)count);
    exchange(from, to, prove, &cpu, &wall); /* what the first has left to do */
    for (int i = 0; i < RUNS_MAX; i++) {
        exchange(from, to, prove, &cpu, &wall);
        spread_add(&each, cpu / 1000);
    }
    spread_add(idle_cpu, spread_median(&each));
    tide_library_close(from);
    tide_library_close(to);
}

void case_cost(bench *b)
{
    size_t count = b->quick ? 10000 : 100000;
    result *first[2];
    result *first_cpu[2];
    result *idle_cpu[2];
    memory(b);
    size_t from = b->result_count;
    for (int prove = 0; prove < 2; prove++) {
        const char *name = prove_names[prove];
        first[prove] = result_new(b, "cost", "first sync", name, D1, count, "ns/row");
        first_cpu[prove] =
            result_new(b, "cost", "first sync, processor", name, D1, count, "ns/row");
        idle_cpu[prove] = result_new(b, "cost", "idle sync, processor", name, D1, count, "us");
    }
    for (unsigned run = 0; run < b->runs; run++) {
        for (unsigned i = 0; i < 2; i++) {
            unsigned prove = (i + run) % 2;
            run_syncs(b, prove == 1, count, &first[prove]->samples, &first_cpu[prove]->samples,
                      &idle_cpu[prove]->samples);
        }
    }
    results_compare(b, from, prove_names[0]);
}
