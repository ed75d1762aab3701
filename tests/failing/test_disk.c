/* A disk that is full in earnest, with every amount of free space there can be on it: no signal, an
 * answer that says so, nothing lost that was acknowledged or waits; and with room again all goes on. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failing/sides.h"
#include "support_disk.h"

#define KIB UINT64_C(1024)
#define MARKS 60
#define RUN_SECONDS 60 /* then it is said to hang */

typedef struct disk {
    bool (*enter)(uint64_t bytes);
    uint64_t block; /* what it gives out */
} disk;

static disk tmpfs = {test_disk_enter, 4 * KIB}, ext4 = {test_disk_enter_ext4, KIB};

/* About `most` of them up to `bytes`, and an odd number of blocks, so that few of them are pages. */
static uint64_t stride(const disk *d, uint64_t bytes, uint64_t most)
{
    uint64_t blocks = bytes / d->block;

    most = test_most(most);
    return most == 0 || most >= blocks ? d->block : (blocks / most | 1) * d->block;
}

/* Runs fn on a disk with every amount of free space up to `most_free`. It tells whether that was
 * too little for it. */
static void fill_each(const disk *d, uint64_t most_free, uint64_t most,
                      bool (*fn)(uint64_t free_bytes))
{
    uint64_t step = stride(d, most_free, most);
    unsigned runs = 0, full = 0;

    (void)signal(SIGALRM, SIG_DFL); /* not Check's */
    if (!d->enter(2 * most_free + 1024 * KIB))
        _exit(TEST_NO_DISK);
    for (uint64_t free_bytes = 0; free_bytes <= most_free; free_bytes += step) {
        alarm(RUN_SECONDS);
        full += fn(free_bytes);
        runs++;
    }
    (void)fprintf(stderr, "%u of %u runs were full\n", full, runs);
    child_assert(full > 0);
}

/* ---- a store ------------------------------------------------------------------------------------ */

#define STORE_FREE (512 * KIB)
#define OPEN_FREE (64 * KIB) /* with more than that, it opens */

static uuid_t device, peer;

/* Advances mark `n` to `upto`. The answer is one of the two. */
static bool advance(tide_store *store, int n, tide_time upto, uint32_t durability)
{
    char resource[32];
    tide_step step = {device, peer, resource, TIDE_TIME_NONE, upto, TIDE_TIME_NONE};
    int rc;

    (void)snprintf(resource, sizeof resource, "resource-%d", n);
    rc = tide_advance_many(store, &step, 1, durability);
    child_assert(rc == TIDE_OK || rc == TIDE_ENOSPC);
    return rc == TIDE_OK;
}

static void expect(tide_store *store, const tide_time marks[MARKS])
{
    for (int n = 0; n < MARKS; n++) {
        tide_mark mark = {TIDE_TIME_NONE, 0, 0};
        char resource[32];
        int rc;

        (void)snprintf(resource, sizeof resource, "resource-%d", n);
        rc = tide_get(store, device, peer, resource, &mark);
        child_assert(rc == (marks[n] == TIDE_TIME_NONE ? TIDE_ABSENT : TIDE_OK));
        child_assert(mark.watermark == marks[n]);
    }
}

static bool use_store(uint64_t free_bytes)
{
    tide_info info = {.size = sizeof info};
    tide_time marks[MARKS];
    tide_store *store = NULL;
    bool full;
    int rc;

    test_uuid(device, 1);
    test_uuid(peer, 2);
    for (int n = 0; n < MARKS; n++)
        marks[n] = TIDE_TIME_NONE;
    test_disk_leave(free_bytes);
    rc = tide_open("sync.mdb", NULL, &store);
    child_assert(rc == TIDE_OK || (rc == TIDE_ENOSPC && store == NULL));
    if (rc == TIDE_OK) {
        for (int n = 0; n < MARKS / 2; n++) {
            if (advance(store, n, 10, TIDE_DURABLE))
                marks[n] = 10;
        }
        for (int n = 0; n < MARKS; n++) {
            if (advance(store, n, 20, TIDE_DEFERRED))
                marks[n] = 20;
        }
        rc = tide_flush(store);
        child_assert(rc == TIDE_OK || rc == TIDE_ENOSPC);
        expect(store, marks);
        child_assert(tide_stat(store, &info) == TIDE_OK);
        child_assert(info.pending == (rc == TIDE_OK ? 0 : MARKS));
    }
    full = rc != TIDE_OK;
    test_disk_ballast(0);
    if (store == NULL)
        child_assert(tide_open("sync.mdb", NULL, &store) == TIDE_OK);
    child_assert(tide_flush(store) == TIDE_OK);
    expect(store, marks);
    child_assert(advance(store, 1, 30, TIDE_DURABLE));
    marks[1] = 30;
    tide_close(store);
    child_assert(tide_open("sync.mdb", NULL, &store) == TIDE_OK);
    expect(store, marks);
    tide_close(store);
    child_assert(test_entries() == 3); /* with the ballast */
    child_assert(unlink("sync.mdb") == 0 && unlink("sync.mdb-lock") == 0);
    return full;
}

static void child_uses_stores(void *ctx)
{
    fill_each(ctx, STORE_FREE, 128, use_store);
}

static void child_opens_stores(void *ctx)
{
    fill_each(ctx, OPEN_FREE, OPEN_FREE / KIB, use_store);
}

START_TEST(a_store)
{
    test_disk_run("a_store", child_uses_stores, &tmpfs);
}
END_TEST

START_TEST(a_store_in_small_blocks)
{
    test_disk_run("a_store_in_small_blocks", child_uses_stores, &ext4);
}
END_TEST

static bool no_fallocate; /* as on ext2 and ext3 */

int __real_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
    if (no_fallocate) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_fallocate(fd, mode, offset, length);
}

START_TEST(a_store_where_no_space_can_be_asked_for)
{
    no_fallocate = true;
    test_disk_run("a_store_where_no_space_can_be_asked_for", child_opens_stores, &ext4);
    no_fallocate = false;
}
END_TEST

/* ---- two engines -------------------------------------------------------------------------------- */

#define ENGINE_FREE (4096 * KIB) /* with more than that, nothing is full */

/* A full disk may be found as one that cannot be written: SQLite has no other word where it makes a
 * file, and none but EIO where it fills one that is mapped. */
static bool is_full(int rc)
{
    return rc == TIDE_ENOSPC || rc == TIDE_EIO || rc == TIDE_EUNKNOWN;
}

static int write_rows(side *s, const char *prefix)
{
    sqlite3 *db = tide_sync_database(s->sync);
    char sql[256];
    int rc;

    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 60) "
                   "INSERT INTO item (uuid, place, code) SELECT '%s' || n, hex(zeroblob(400)), '%s' "
                   "|| n FROM n WHERE true ON CONFLICT DO NOTHING",
                   prefix, prefix);
    rc = sqlite3_exec(db, sql, NULL, NULL, NULL) & 0xff;
    child_assert(rc == SQLITE_OK || rc == SQLITE_FULL || rc == SQLITE_IOERR ||
                 rc == SQLITE_CANTOPEN);
    return rc == SQLITE_OK ? TIDE_OK : TIDE_ENOSPC;
}

static int use_both(void)
{
    int rc = sides_open();

    if (rc == TIDE_OK)
        rc = write_rows(&side_a, "a");
    if (rc == TIDE_OK)
        rc = write_rows(&side_b, "b");
    if (rc == TIDE_OK)
        rc = sides_sync();
    return rc;
}

static bool use_engines(uint64_t free_bytes)
{
    static const char *const left[] = {"a.db", "b.db", "b-marks.db", "a.mdb", "a.mdb-lock"};
    char *of_a, *of_b;
    bool full;
    int rc;

    sides_make();
    test_disk_leave(free_bytes);
    rc = use_both();
    if (rc != TIDE_OK && !is_full(rc))
        (void)fprintf(stderr, "%llu bytes free: %s\n", (unsigned long long)free_bytes,
                      tide_code_name(rc));
    child_assert(rc == TIDE_OK || is_full(rc));
    full = rc != TIDE_OK;
    sides_close();
    test_disk_ballast(0);
    rc = use_both();
    if (rc != TIDE_OK)
        (void)fprintf(stderr, "after %llu bytes free: %s\n", (unsigned long long)free_bytes,
                      tide_code_name(rc));
    child_assert(rc == TIDE_OK);
    of_a = sides_query(tide_sync_database(side_a.sync), "SELECT * FROM item ORDER BY uuid");
    of_b = sides_query(tide_sync_database(side_b.sync), "SELECT count(*) FROM item");
    child_assert(strcmp(of_b, "120 ") == 0);
    free(of_b);
    free(of_a);
    sides_close();
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        child_assert(unlink(left[i]) == 0);
    return full;
}

static void child_uses_engines(void *ctx)
{
    fill_each(ctx, ENGINE_FREE, 43, use_engines); /* 95 and 380 KiB among them: SIGBUS once */
}

START_TEST(two_engines)
{
    test_disk_run("two_engines", child_uses_engines, &tmpfs);
}
END_TEST

START_TEST(two_engines_in_small_blocks)
{
    test_disk_run("two_engines_in_small_blocks", child_uses_engines, &ext4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disk");
    TCase *test = test_case(suite, "disk");

    tcase_set_timeout(test, 0);
    tcase_add_test(test, a_store);
    tcase_add_test(test, a_store_in_small_blocks);
    tcase_add_test(test, a_store_where_no_space_can_be_asked_for);
    tcase_add_test(test, two_engines);
    tcase_add_test(test, two_engines_in_small_blocks);
    return test_run(suite);
}
