/* work.c - tidemark-crash-work: the programs that lose power or are killed.
 *
 * `marks` and `threads` are the smallest engine over a store: rows in files of their own, marks over
 * them, and a barrier that flushes the rows. What such an engine has to do is all here: make its rows
 * durable before marks count them, take a failed flush for final, and begin by writing over itself
 * what an earlier life may have left in doubt. `library` is an application over two libraries.
 *
 * What is durable is told by a line in the file .acknowledged (recording.h).
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tidemark/tidemark.h>

#include "fs.h"
#include "pair.h"
#include "recording.h"
#include "rows.h"

#define FEEDS 3
#define THREADS_MAX 16

enum { AS_IT_SHOULD, WITHOUT_BARRIER, MARK_FIRST }; /* the last two are mistakes to be found */

static int acknowledgements = -1;
static const char *folder;
static int mistake;

static _Noreturn void give_up(const char *what, int rc)
{
    (void)fprintf(stderr, "%s: %s\n", what, tide_strerror(rc));
    exit(1);
}

static void acknowledge(const char *name, int64_t value)
{
    char line[128];
    /* It begins anew, because a kill in the middle of a write leaves half a line. */
    int length = snprintf(line, sizeof line, "\n%s %lld\n", name, (long long)value);
    if (write(acknowledgements, line, (size_t)length) != length) {
        give_up(RECORDING_MARKS, TIDE_EIO);
    }
}

/* ---- an engine of rows in files ----------------------------------------------------------------- */

typedef struct feed {
    int64_t rows;
    int64_t marked;
    char name[32];
    char mark_name[48];
    char path[PATH_MAX];
    int fd;
    atomic_bool failed; /* a flush did: never flush and count on it again */
} feed;

static void ids(uuid_t device, uuid_t peer)
{
    memset(device, 1, sizeof(uuid_t));
    memset(peer, 2, sizeof(uuid_t));
}

static int flush_rows(void *ctx)
{
    feed *f = ctx;
    if (!atomic_load(&f->failed) && fdatasync(f->fd) != 0) {
        atomic_store(&f->failed, true);
    }
    return atomic_load(&f->failed) ? TIDE_EUNKNOWN : TIDE_OK;
}

static tide_store *open_store(feed *feeds, size_t count)
{
    char path[PATH_MAX];
    tide_store *store = NULL;
    (void)snprintf(path, sizeof path, "%s/marks.mdb", folder);
    int rc = tide_open(path, NULL, &store);
    for (size_t i = 0; rc == TIDE_OK && mistake != WITHOUT_BARRIER && i < count; i++) {
        rc = tide_set_barrier(store, flush_rows, &feeds[i]);
    }
    if (rc != TIDE_OK) {
        give_up(path, rc);
    }
    return store;
}

static void open_feed(feed *f, const char *name)
{
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    (void)snprintf(f->mark_name, sizeof f->mark_name, "mark.%s", name);
    (void)snprintf(f->path, sizeof f->path, "%s/%s.rows", folder, name);
    f->fd = rows_open(folder, f->path, &f->rows);
    if (f->fd < 0) {
        give_up(f->path, TIDE_EIO);
    }
}

/* Where the feed goes on. A mark above the rows would be the very thing that must not be. */
static void find_mark(tide_store *store, feed *f)
{
    uuid_t device;
    uuid_t peer;
    tide_mark mark = {0, 0, 0};
    ids(device, peer);
    int rc = tide_get(store, device, peer, f->name, &mark);
    if ((rc != TIDE_OK && rc != TIDE_ABSENT) || mark.watermark > f->rows) {
        give_up(f->name, rc == TIDE_OK ? TIDE_ECORRUPT : rc);
    }
    f->marked = mark.watermark;
}

static void append(feed *f, int64_t count)
{
    if (!rows_append(f->fd, f->rows + 1, f->rows + count)) {
        give_up(f->path, TIDE_EIO);
    }
    f->rows += count;
}

static int count_rows(tide_store *store, feed *f, int64_t upto, uint32_t durability)
{
    uuid_t device;
    uuid_t peer;
    ids(device, peer);
    tide_step step = {device, peer,          f->name, f->marked == 0 ? TIDE_TIME_NONE : f->marked,
                      upto,   TIDE_TIME_NONE};
    int rc = tide_advance_many(store, &step, 1, durability);
    if (rc == TIDE_OK) {
        f->marked = upto;
    }
    return rc;
}

/* Some rows more, and the mark over them: the barrier sees to the order. */
static int take_over(tide_store *store, feed *f, int64_t count, uint32_t durability)
{
    if (mistake == MARK_FIRST) {
        int rc = count_rows(store, f, f->rows + count, durability);
        append(f, count);
        return rc;
    }
    append(f, count);
    return count_rows(store, f, f->rows, durability);
}

/* After a durable call, about the mark of `own` or about all: what was deferred is kept too, but
 * where a disk was full it may go on waiting. */
static void acknowledge_feeds(tide_store *store, const feed *feeds, const feed *own)
{
    tide_info info = {.size = sizeof info};
    int rc = tide_stat(store, &info);
    if (rc != TIDE_OK) {
        give_up("what waits", rc);
    }
    for (int i = 0; i < FEEDS; i++) {
        if (feeds[i].marked > 0 && (info.pending == 0 || &feeds[i] == own)) {
            acknowledge(feeds[i].mark_name, feeds[i].marked);
        }
    }
}

static int run_marks(uint64_t seed, int64_t steps)
{
    static const char *const names[FEEDS] = {"one", "two", "three"};
    feed feeds[FEEDS] = {0};
    for (int i = 0; i < FEEDS; i++) {
        open_feed(&feeds[i], names[i]);
    }
    tide_store *store = open_store(feeds, FEEDS);
    for (int i = 0; i < FEEDS; i++) {
        find_mark(store, &feeds[i]);
    }
    for (int64_t n = 0; n < steps; n++) {
        uint64_t kind = fs_random(&seed) % 20;
        feed *f = &feeds[fs_random(&seed) % FEEDS];
        int64_t count = 1 + (int64_t)(fs_random(&seed) % 40);
        bool durable = kind < 6;
        int rc = TIDE_OK;
        if (kind == 19) {
            tide_close(store);
            store = open_store(feeds, FEEDS);
        } else if (kind >= 16) {
            rc = tide_flush(store);
            durable = true;
        } else {
            rc = take_over(store, f, count, durable ? TIDE_DURABLE : TIDE_DEFERRED);
        }
        if (rc != TIDE_OK) {
            give_up("a mark", rc);
        }
        if (durable) {
            acknowledge_feeds(store, feeds, kind < 6 ? f : NULL);
        }
    }
    tide_close(store);
    return 0;
}

/* ---- many at once, until they are killed -------------------------------------------------------- */

static void *run_thread(void *ctx)
{
    feed *f = ctx;
    uint64_t seed = (uint64_t)f->rows;
    tide_store *store = open_store(f, 1);
    find_mark(store, f);
    for (;;) {
        uint64_t kind = fs_random(&seed) % 8;
        int rc = kind == 0 ? tide_flush(store)
                           : take_over(store, f, 1 + (int64_t)(fs_random(&seed) % 20),
                                       kind < 4 ? TIDE_DURABLE : TIDE_DEFERRED);
        if (rc != TIDE_OK) {
            give_up(f->name, rc);
        }
        if (kind < 4 && f->marked > 0) {
            acknowledge(f->mark_name, f->marked);
        }
    }
    return NULL;
}

static int run_threads(const char *name, int count)
{
    static feed feeds[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    for (int i = 0; i < count; i++) {
        char one[32];
        (void)snprintf(one, sizeof one, "%.12s-%d", name, i);
        open_feed(&feeds[i], one);
        if (pthread_create(&threads[i], NULL, run_thread, &feeds[i]) != 0) {
            give_up(one, TIDE_ENOMEM);
        }
    }
    for (int i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    return 0;
}

/* ---- an application over two libraries ---------------------------------------------------------- */

static void must(bool ok, const char *why)
{
    if (!ok) {
        (void)fprintf(stderr, "%s\n", why);
        exit(1);
    }
}

/* Adds entries that stay, LETTERnnnnn, and changes and deletes some that do not. */
static int64_t write_entries(side *s, char letter, int64_t count, uint64_t *seed)
{
    char sql[700];
    char why[PAIR_WHY] = "";
    char mark[8];
    int64_t last = 0;
    must(side_ask(s, &last, why, "SELECT count(*) FROM entries WHERE name GLOB '%c[0-9]*'", letter),
         why);
    (void)snprintf(
        sql, sizeof sql,
        "BEGIN IMMEDIATE;"
        "WITH n(i) AS (SELECT %lld UNION ALL SELECT i + 1 FROM n WHERE i < %lld) "
        "INSERT INTO entries (uuid, name, size) SELECT printf('%c%%05d', i), printf('%c%%05d', i), "
        "i FROM n;"
        "INSERT INTO entries (uuid, name, size) SELECT 'x' || hex(randomblob(8)), 'passing', 0;"
        "UPDATE entries SET size = size + 1 WHERE name GLOB '%c*%llu';"
        "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE name = 'passing' AND uuid IN "
        "(SELECT key FROM tidemark_entry_rows WHERE source = 0) ORDER BY id LIMIT 1);"
        "COMMIT",
        (long long)last + 1, (long long)last + count, letter, letter, letter,
        (unsigned long long)(fs_random(seed) % 10));
    must(side_run(s, sql, why), why);
    (void)snprintf(mark, sizeof mark, "%c.%c", letter == 'k' ? 'A' : 'B', letter);
    acknowledge(mark, last + count);
    return last + count;
}

static int run_library(uint64_t seed, int64_t rounds)
{
    char why[PAIR_WHY] = "";
    side a;
    side b;
    must(side_open(&a, folder, "A", 0, why) && side_open(&b, folder, "B", 0, why), why);
    for (int64_t i = 0; i < rounds; i++) {
        int64_t k = write_entries(&a, 'k', 1 + (int64_t)(fs_random(&seed) % 40), &seed);
        int64_t j = write_entries(&b, 'j', 1 + (int64_t)(fs_random(&seed) % 10), &seed);
        must(pair_sync(&a, &b, 3 + (uint32_t)(fs_random(&seed) % 20), why), why);
        acknowledge("B.k", k);
        acknowledge("A.j", j);
        switch (fs_random(&seed) % 4) {
        case 0:
            must(side_run(&a, "PRAGMA wal_checkpoint(PASSIVE)", why), why);
            break;
        case 1:
            must(side_run(&b, "PRAGMA wal_checkpoint(TRUNCATE)", why), why);
            break;
        case 2: /* closing checkpoints too */
            side_close(&b);
            must(side_open(&b, folder, "B", 0, why), why);
            break;
        default:
            break;
        }
    }
    side_close(&b);
    side_close(&a);
    return 0;
}

/* ---- which -------------------------------------------------------------------------------------- */

int main(int count, char **words)
{
    static const char usage[] = "usage: tidemark-crash-work marks FOLDER SEED STEPS [MISTAKE]\n"
                                "       tidemark-crash-work threads FOLDER NAME THREADS\n"
                                "       tidemark-crash-work library FOLDER SEED ROUNDS\n";
    char path[PATH_MAX];
    if (count < 5) {
        (void)fputs(usage, stderr);
        return 2;
    }
    folder = words[2];
    (void)snprintf(path, sizeof path, "%s/" RECORDING_MARKS, folder);
    acknowledgements = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (acknowledgements < 0) {
        perror(path);
        return 1;
    }
    if (count > 5) {
        mistake = strcmp(words[5], "no-barrier") == 0   ? WITHOUT_BARRIER
                  : strcmp(words[5], "mark-first") == 0 ? MARK_FIRST
                                                        : AS_IT_SHOULD;
    }
    uint64_t seed = strtoull(words[3], NULL, 10);
    long long number = strtoll(words[4], NULL, 10);
    if (strcmp(words[1], "marks") == 0) {
        return run_marks(seed, number);
    }
    if (strcmp(words[1], "threads") == 0 && number > 0 && number <= THREADS_MAX) {
        return run_threads(words[3], (int)number);
    }
    if (strcmp(words[1], "library") == 0) {
        return run_library(seed, number);
    }
    (void)fputs(usage, stderr);
    return 2;
}
