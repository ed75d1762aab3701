/* Space: the map that grows, its limit, growth by another process, little address space, a full
 * disk, and readers that died. */
#define _GNU_SOURCE 1
#include <tidemark/store.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "support.h"
#include "support_disk.h"

#define FILE_NAME "sync.mdb"
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define SMALL_MAP (64 * KIB)
#define ENTRY device, peer, "entry"

static uuid_t device, peer;

static void set_up(void)
{
    test_uuid(device, 1001);
    test_uuid(peer, 1002);
}

static tide_info info_of(tide_store *store)
{
    tide_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    return info;
}

static tide_store *open_with(uint64_t map_size_bytes, uint64_t max_size_bytes)
{
    tide_options options;

    test_options(&options, map_size_bytes);
    options.max_size_bytes = max_size_bytes;
    return test_open(FILE_NAME, &options);
}

/* ---- the map ------------------------------------------------------------------------------------ */

START_TEST(the_map_grows_as_needed)
{
    tide_store *store = open_with(SMALL_MAP, UINT64_C(1) << 40);
    tide_info info;

    ck_assert_uint_lt(info_of(store).map_bytes, MIB);
    ck_assert_int_eq(test_fill(store, 0, 20000, 5), TIDE_OK);
    ck_assert_uint_eq(test_count_at(store, 0, 20000, 5), 20000);
    ck_assert_int_eq(test_fill(store, 0, 20000, 6), TIDE_OK);
    info = info_of(store);
    ck_assert_uint_eq(info.marks, 20000);
    ck_assert_uint_gt(info.map_bytes, 3 * MIB);
    tide_close(store);
    store = open_with(SMALL_MAP, UINT64_C(1) << 40);
    ck_assert_uint_eq(test_count_at(store, 0, 20000, 6), 20000);
    ck_assert_int_eq(test_fill(store, 0, 20000, 7), TIDE_OK);
    tide_close(store);
}
END_TEST

START_TEST(one_big_step_grows_the_map_more_than_once)
{
    static tide_step steps[TIDE_STEPS_MAX];
    static char names[TIDE_STEPS_MAX][TIDE_RESOURCE_MAX + 1];
    tide_store *store = open_with(SMALL_MAP, UINT64_C(1) << 40);

    for (int i = 0; i < TIDE_STEPS_MAX; i++) { /* about 2.5 MB of keys and records at once */
        memset(names[i], 'r', TIDE_RESOURCE_MAX);
        snprintf(names[i], 16, "%d", i);
        names[i][strlen(names[i])] = '-';
        names[i][TIDE_RESOURCE_MAX] = '\0';
        steps[i] = (tide_step){device, peer, names[i], TIDE_TIME_NONE, i, TIDE_TIME_NONE};
    }
    ck_assert_int_eq(tide_advance_many(store, steps, TIDE_STEPS_MAX, TIDE_DURABLE), TIDE_OK);
    for (int i = 0; i < TIDE_STEPS_MAX; i++) {
        tide_mark mark;

        test_require(tide_get(store, device, peer, names[i], &mark) == TIDE_OK);
        test_require(mark.watermark == i);
    }
    ck_assert_uint_eq(info_of(store).marks, TIDE_STEPS_MAX);
    tide_close(store);
}
END_TEST

START_TEST(the_default_map_leaves_the_file_small)
{
    tide_store *store = test_open(FILE_NAME, NULL);

    ck_assert_int_eq(tide_advance(store, ENTRY, 1), TIDE_OK);
    ck_assert_uint_le(test_file_size(FILE_NAME), 96 * KIB);
    if (!test_sanitized())
        ck_assert_uint_eq(info_of(store).map_bytes, UINT64_C(64) << 30);
    tide_close(store);
}
END_TEST

static int count_marks(void *ctx, const uuid_t d, const uuid_t p, const char *resource,
                       const tide_mark *mark)
{
    (void)d;
    (void)p;
    (void)resource;
    (void)mark;
    ++*(uint64_t *)ctx;
    return 0;
}

/* Raises marks one by one from `first` until the store refuses; returns how many it took. */
static uint64_t fill_until(tide_store *store, uint64_t first, tide_time upto, int expected)
{
    uint64_t n = first;

    for (;; n++) {
        uuid_t d, p;
        char resource[32];
        tide_mark mark;
        int rc;

        test_numbered(n, d, p, resource);
        rc = tide_advance(store, d, p, resource, upto);
        if (rc == TIDE_OK)
            continue;
        ck_assert_msg(rc == expected, "%s", tide_code_name(rc));
        ck_assert_int_eq(tide_get(store, d, p, resource, &mark), TIDE_ABSENT);
        return n - first;
    }
}

/* Fills a store of at most 1 MiB to the last mark; returns how many there are. */
static uint64_t fill_store(tide_store *store)
{
    uint64_t count = 0;

    for (uint64_t some = 256; some > 1; some /= 2) {
        while (test_fill(store, count, some, 5) == TIDE_OK) {
            count += some;
        }
    }
    return count + fill_until(store, count, 5, TIDE_EFULL);
}

START_TEST(at_its_largest_size_the_store_is_full_and_readable)
{
    tide_store *store = open_with(SMALL_MAP, MIB);
    uint64_t count = fill_store(store), seen = 0;

    ck_assert_uint_gt(count, 2000);
    ck_assert_uint_le(test_file_size(FILE_NAME), MIB);
    ck_assert_uint_eq(info_of(store).marks, count);
    ck_assert_uint_eq(info_of(store).map_bytes, MIB);
    ck_assert_uint_eq(test_count_at(store, 0, count, 5), count);
    ck_assert_int_eq(tide_each(store, NULL, NULL, NULL, count_marks, &seen), TIDE_OK);
    ck_assert_uint_eq(seen, count);
    tide_close(store);
    store = open_with(SMALL_MAP, MIB);
    ck_assert_uint_eq(test_count_at(store, 0, count, 5), count);
    tide_close(store);
    store = open_with(SMALL_MAP, 4 * MIB); /* a larger limit is a larger store */
    ck_assert_uint_eq(info_of(store).marks, count);
    ck_assert_int_eq(test_fill(store, 100000, 2000, 5), TIDE_OK);
    tide_close(store);
}
END_TEST

START_TEST(in_a_full_store_marks_can_still_be_raised)
{
    tide_store *store = open_with(SMALL_MAP, MIB);
    uint64_t count = fill_store(store);

    for (uint64_t n = 0; n < count; n += 7) {
        uuid_t d, p;
        char resource[32];
        int rc;

        test_numbered(n, d, p, resource);
        rc = tide_advance(store, d, p, resource, 6);
        ck_assert_msg(rc == TIDE_OK, "mark %d: %s", (int)n, tide_code_name(rc));
    }
    ck_assert_uint_eq(test_count_at(store, 0, count, 6), (count + 6) / 7);
    tide_close(store);
}
END_TEST

/* Without that a full store could never become smaller. */
START_TEST(in_a_full_store_marks_can_still_be_removed)
{
    tide_store *store = open_with(SMALL_MAP, MIB);
    uint64_t count = fill_store(store);
    size_t all = 0;
    uuid_t d, p;
    char resource[32];

    for (uint64_t n = 0; n < 7 * 31; n++) {
        size_t removed = 0;

        test_numbered(n, d, p, resource);
        ck_assert_int_eq(tide_remove_peer(store, d, p, &removed), TIDE_OK);
        ck_assert_uint_gt(removed, 0);
        all += removed;
    }
    ck_assert_uint_eq(all, count);
    ck_assert_int_eq(test_fill(store, 0, 1000, 7), TIDE_OK);
    tide_close(store);
}
END_TEST

START_TEST(in_a_full_store_one_mark_can_be_removed)
{
    tide_store *store = open_with(SMALL_MAP, MIB);
    uint64_t count = fill_store(store);
    uuid_t d, p;
    char resource[32];

    for (uint64_t n = 0; n < count; n += 97) {
        test_numbered(n, d, p, resource);
        ck_assert_int_eq(tide_compare_and_set(store, d, p, resource, 5, TIDE_TIME_NONE), TIDE_OK);
    }
    tide_close(store);
}
END_TEST

START_TEST(in_a_full_store_deferred_marks_stay_pending)
{
    tide_store *store = open_with(SMALL_MAP, MIB);
    uint64_t count = fill_store(store);
    tide_step step = {device, peer, NULL, TIDE_TIME_NONE, 9, TIDE_TIME_NONE};
    tide_mark mark;
    char resource[32];

    for (int i = 0; i < 200; i++) { /* more than fits into what the last page has left */
        snprintf(resource, sizeof resource, "pending-%d", i);
        step.resource = resource;
        ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(tide_flush(store), TIDE_EFULL);
        ck_assert_uint_eq(info_of(store).pending, 200);
        ck_assert_uint_eq(info_of(store).marks, count);
        ck_assert_int_eq(tide_get(store, device, peer, "pending-199", &mark), TIDE_OK);
    }
    tide_close(store);
}
END_TEST

/* New marks that wait for room do not keep marks that are there from being raised, or removed. */
START_TEST(in_a_full_store_waiting_marks_are_in_nobodys_way)
{
    tide_store *store = open_with(SMALL_MAP, MIB);
    uint64_t count = fill_store(store);
    tide_step step = {device, peer, NULL, TIDE_TIME_NONE, 9, TIDE_TIME_NONE};
    tide_mark mark;
    uuid_t d, p;
    char resource[32];

    for (int i = 0; i < 200; i++) {
        snprintf(resource, sizeof resource, "pending-%d", i);
        step.resource = resource;
        ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
    }
    test_numbered(5, d, p, resource);
    step = (tide_step){d, p, resource, TIDE_TIME_NONE, 6, TIDE_TIME_NONE};
    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
    ck_assert_uint_eq(info_of(store).pending, 201);
    ck_assert_int_eq(tide_advance_range(store, d, p, resource, 6, 7), TIDE_OK); /* on what waits */
    ck_assert_uint_eq(info_of(store).pending, 200);
    ck_assert_uint_eq(info_of(store).marks, count);
    ck_assert_int_eq(tide_get(store, device, peer, "pending-199", &mark), TIDE_OK);
    ck_assert_int_eq(tide_compare_and_set(store, d, p, resource, 7, 5), TIDE_OK);
    for (uint64_t n = 0; n < 7 * 31; n++) { /* until there is room again */
        test_numbered(n, d, p, resource);
        ck_assert_int_eq(tide_remove_peer(store, d, p, NULL), TIDE_OK);
    }
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_uint_eq(info_of(store).pending, 0);
    ck_assert_uint_eq(info_of(store).marks, 200);
    tide_close(store);
}
END_TEST

/* Lets marks of a peer that has none wait. */
static void defer_new(tide_store *store, const uuid_t of, int first, int count)
{
    char resource[32];

    for (int i = first; i < first + count; i++) {
        tide_step step = {device, of, resource, TIDE_TIME_NONE, 9, TIDE_TIME_NONE};

        snprintf(resource, sizeof resource, "pending-%d", i);
        test_require(tide_advance_many(store, &step, 1, TIDE_DEFERRED) == TIDE_OK);
    }
}

/* Also where they are more than one commit takes. */
START_TEST(in_a_full_store_many_waiting_marks_are_in_nobodys_way)
{
    tide_store *store = open_with(SMALL_MAP, MIB);
    uint64_t count = fill_store(store);
    size_t removed = 0;
    uuid_t d, p;
    char resource[32];

    defer_new(store, peer, 0, 40000);
    test_numbered(5, d, p, resource);
    ck_assert_int_eq(tide_compare_and_set(store, d, p, resource, 5, 3), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, d, p, resource, 8), TIDE_OK);
    ck_assert_uint_eq(info_of(store).pending, 40000);
    ck_assert_uint_eq(info_of(store).marks, count);
    ck_assert_int_eq(tide_flush(store), TIDE_EFULL);
    ck_assert_int_eq(tide_remove_peer(store, d, p, &removed), TIDE_OK);
    ck_assert_uint_eq(info_of(store).marks, count - removed);
    ck_assert_uint_eq(info_of(store).pending, 40000);
    tide_close(store);
}
END_TEST

START_TEST(in_a_full_store_a_peer_whose_marks_all_wait_can_be_removed)
{
    tide_store *store = open_with(SMALL_MAP, MIB);
    uint64_t count = fill_store(store);
    size_t removed = 0;

    defer_new(store, peer, 0, 20000);
    ck_assert_int_eq(tide_remove_peer(store, device, peer, &removed), TIDE_OK);
    ck_assert_uint_eq(removed, 20000);
    ck_assert_uint_eq(info_of(store).pending, 0);
    ck_assert_uint_eq(info_of(store).marks, count);
    ck_assert_uint_eq(info_of(store).map_bytes, MIB);
    ck_assert_uint_le(test_file_size(FILE_NAME), MIB);
    tide_close(store);
}
END_TEST

/* The room beyond the largest size is for taking back, whatever else waits. */
START_TEST(in_a_full_store_what_waits_is_not_written_beyond_the_largest_size)
{
    tide_store *store = open_with(SMALL_MAP, MIB);
    uint64_t count = fill_store(store);
    uuid_t d, p;
    char resource[32];

    test_numbered(5, d, p, resource);
    for (int i = 0; i < 4; i++) {
        defer_new(store, peer, i * 3000, 3000);
        ck_assert_int_eq(tide_flush(store), TIDE_EFULL);
        ck_assert_int_eq(tide_compare_and_set(store, d, p, resource, 5 - i, 4 - i), TIDE_OK);
        ck_assert_uint_eq(info_of(store).marks, count);
        ck_assert_uint_eq(info_of(store).pending, (uint64_t)(i + 1) * 3000);
        ck_assert_uint_le(test_file_size(FILE_NAME), MIB + 64 * KIB);
    }
    tide_close(store);
}
END_TEST

/* What taking back has used beyond the largest size is not for new marks either: else each round
 * would use up a little more. */
START_TEST(taking_back_and_filling_again_keeps_to_the_size)
{
    tide_store *store = open_with(SMALL_MAP, MIB);
    uint64_t next = fill_store(store);

    for (uint64_t round = 0; round < 200; round++) {
        uuid_t d, p;
        char resource[32];

        test_numbered(round, d, p, resource);
        ck_assert_int_eq(tide_compare_and_set(store, d, p, resource, 5, 4), TIDE_OK);
        next += fill_until(store, next, 5, TIDE_EFULL);
    }
    ck_assert_uint_le(test_file_size(FILE_NAME), MIB + 128 * KIB);
    tide_close(store);
}
END_TEST

START_TEST(another_process_may_grow_the_file)
{
    test_remote remote;
    tide_store *store;

    test_remote_start(&remote);
    store = open_with(SMALL_MAP, UINT64_C(1) << 40);
    ck_assert_int_eq(tide_advance(store, ENTRY, 1), TIDE_OK);
    ck_assert_int_eq(test_remote_open(&remote, FILE_NAME, SMALL_MAP), TIDE_OK);
    for (uint64_t round = 0; round < 4; round++) {
        uint64_t base = round * 20000;

        ck_assert_int_eq(test_remote_fill(&remote, base, 10000, 5), TIDE_OK);
        if (round % 2 == 0) {
            ck_assert_uint_eq(test_count_at(store, base, 10000, 5), 10000);
        }
        ck_assert_int_eq(tide_advance(store, ENTRY, (tide_time)(2 + round)), TIDE_OK);
        ck_assert_int_eq(test_fill(store, base + 10000, 10000, 6), TIDE_OK);
        ck_assert_uint_eq(test_remote_count_at(&remote, base + 10000, 10000, 6), 10000);
        ck_assert_uint_eq(test_count_at(store, base, 10000, 5), 10000);
    }
    ck_assert_uint_eq(info_of(store).marks, 80001);
    tide_close(store);
    test_remote_stop(&remote);
}
END_TEST

START_TEST(a_walk_follows_a_file_that_has_grown)
{
    uint64_t seen = 0;
    test_remote remote;
    tide_store *store;

    test_remote_start(&remote);
    store = open_with(SMALL_MAP, UINT64_C(1) << 40);
    ck_assert_int_eq(test_remote_open(&remote, FILE_NAME, SMALL_MAP), TIDE_OK);
    ck_assert_int_eq(test_remote_fill(&remote, 0, 10000, 5), TIDE_OK);
    ck_assert_int_eq(tide_each(store, NULL, NULL, NULL, count_marks, &seen), TIDE_OK);
    ck_assert_uint_eq(seen, 10000);
    ck_assert_uint_eq(info_of(store).marks, 10000);
    tide_close(store);
    test_remote_stop(&remote);
}
END_TEST

/* ---- little address space ----------------------------------------------------------------------- */

static uint64_t address_space(void)
{
    char line[128];
    FILE *file = fopen("/proc/self/statm", "r");

    child_assert(file != NULL);
    child_assert(fgets(line, sizeof line, file) != NULL);
    fclose(file);
    return strtoull(line, NULL, 10) * 4096; /* its first number is in pages */
}

static void leave_address_space(uint64_t bytes)
{
    struct rlimit limit;

    limit.rlim_cur = limit.rlim_max = address_space() + bytes;
    child_assert(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void child_with_a_gigabyte(void *ctx)
{
    tide_info info = {.size = sizeof info};
    tide_store *store = NULL;

    (void)ctx;
    leave_address_space(1024 * MIB);
    child_assert(tide_open(FILE_NAME, NULL, &store) == TIDE_OK);
    child_assert(tide_stat(store, &info) == TIDE_OK);
    child_assert(info.map_bytes == 512 * MIB); /* 64 GiB, halved until it fits */
    child_assert(test_fill(store, 0, 2000, 5) == TIDE_OK);
    child_assert(test_count_at(store, 0, 2000, 5) == 2000);
    tide_close(store);
}

static void child_with_nothing(void *ctx)
{
    tide_store *store = (tide_store *)&store;
    int rc;

    (void)ctx;
    leave_address_space(512 * KIB);
    rc = tide_open(FILE_NAME, NULL, &store);
    if (rc != TIDE_ENOMEM)
        fprintf(stderr, "tide_open: %s\n", tide_code_name(rc));
    child_assert(rc == TIDE_ENOMEM);
    child_assert(store == NULL);
}

static void child_that_cannot_grow(void *ctx)
{
    tide_store *store = NULL;
    tide_options options;
    uint64_t count = 0;
    int rc;

    (void)ctx;
    test_options(&options, MIB);
    leave_address_space(6 * MIB);
    child_assert(tide_open(FILE_NAME, &options, &store) == TIDE_OK);
    while ((rc = test_fill(store, count, 256, 5)) == TIDE_OK) {
        count += 256;
    }
    if (rc != TIDE_ENOMEM)
        fprintf(stderr, "tide_advance_many: %s\n", tide_code_name(rc));
    child_assert(rc == TIDE_ENOMEM);
    child_assert(count > 1000);
    child_assert(test_count_at(store, 0, count, 5) == count); /* it stays readable */
    tide_close(store);
    child_assert(tide_open(FILE_NAME, &options, &store) == TIDE_OK);
    child_assert(test_count_at(store, 0, count, 5) == count);
    tide_close(store);
}

START_TEST(little_address_space_gives_a_smaller_map)
{
    if (test_sanitized()) {
        test_skipped("little_address_space_gives_a_smaller_map", "the sanitizer needs it itself");
        return;
    }
    test_child_ok(child_with_a_gigabyte, NULL);
    test_child_ok(child_with_nothing, NULL);
}
END_TEST

START_TEST(a_map_that_cannot_grow_is_an_error_and_no_crash)
{
    if (test_sanitized()) {
        test_skipped("a_map_that_cannot_grow_is_an_error_and_no_crash",
                     "the sanitizer needs the address space itself");
        return;
    }
    test_child_ok(child_that_cannot_grow, NULL);
}
END_TEST

static size_t largest_map; /* 0: any is taken */

int __real_mdb_env_set_mapsize(MDB_env *env, size_t bytes);
int __wrap_mdb_env_set_mapsize(MDB_env *env, size_t bytes);

int __wrap_mdb_env_set_mapsize(MDB_env *env, size_t bytes)
{
    return largest_map > 0 && bytes > largest_map ? EINVAL : __real_mdb_env_set_mapsize(env, bytes);
}

/* Which is what valgrind answers to a map that it has no room for. */
START_TEST(a_map_that_is_refused_as_invalid_gives_a_smaller_one)
{
    tide_store *store;

    largest_map = 5 * MIB;
    store = open_with(64 * MIB, UINT64_C(1) << 40);
    ck_assert_uint_eq(info_of(store).map_bytes, 4 * MIB);
    ck_assert_int_eq(tide_advance(store, ENTRY, 1), TIDE_OK);
    tide_close(store);
    largest_map = 1; /* none at all */
    store = NULL;
    ck_assert_int_eq(tide_open(FILE_NAME, NULL, &store), TIDE_EINVAL);
    ck_assert_ptr_null(store);
    largest_map = 0;
}
END_TEST

/* ---- a full disk -------------------------------------------------------------------------------- */

static void child_opens_on_every_size(void *ctx)
{
    static const uint64_t disk = 512 * KIB;
    bool opened = false;

    (void)ctx;
    if (!test_disk_enter(disk))
        _exit(TEST_NO_DISK);
    for (uint64_t free_bytes = 0; free_bytes <= disk && !opened; free_bytes += 4 * KIB) {
        tide_store *store = (tide_store *)&store;
        int rc;

        test_disk_ballast(disk - free_bytes);
        rc = tide_open(FILE_NAME, NULL, &store);
        if (rc == TIDE_OK) {
            opened = true;
            rc = tide_advance(store, ENTRY, 1);
            child_assert(rc == TIDE_OK || rc == TIDE_ENOSPC);
            tide_close(store);
            continue;
        }
        if (rc != TIDE_ENOSPC) {
            fprintf(stderr, "%llu bytes free: %s\n", (unsigned long long)free_bytes,
                    tide_code_name(rc));
        }
        child_assert(rc == TIDE_ENOSPC);
        child_assert(store == NULL);
    }
    child_assert(opened);
    test_disk_ballast(0);
    {
        tide_store *store = NULL;

        child_assert(tide_open(FILE_NAME, NULL, &store) == TIDE_OK);
        child_assert(test_fill(store, 0, 500, 5) == TIDE_OK);
        child_assert(test_count_at(store, 0, 500, 5) == 500);
        tide_close(store);
        child_assert(test_entries() == 3); /* ballast, data, lock: nothing half made is left */
    }
}

START_TEST(opening_on_a_full_disk_is_an_error_and_no_crash)
{
    test_disk_run("opening_on_a_full_disk_is_an_error_and_no_crash", child_opens_on_every_size,
                  NULL);
}
END_TEST

static void child_reopens_without_lock_file(void *ctx)
{
    static const uint64_t disk = 512 * KIB;
    uint64_t used;
    bool opened = false;

    (void)ctx;
    if (!test_disk_enter(disk))
        _exit(TEST_NO_DISK);
    {
        tide_store *store = NULL;

        child_assert(tide_open(FILE_NAME, NULL, &store) == TIDE_OK);
        child_assert(tide_advance(store, ENTRY, 7) == TIDE_OK);
        tide_close(store);
    }
    child_assert(unlink(FILE_NAME "-lock") == 0);
    used = (test_file_size(FILE_NAME) + 4095) / 4096 * 4096;
    for (uint64_t free_bytes = 0; !opened; free_bytes += 4 * KIB) {
        tide_store *store = NULL;
        tide_mark mark = {0, 0, 0};
        int rc;

        child_assert(used + free_bytes <= disk);
        test_disk_ballast(disk - used - free_bytes);
        rc = tide_open(FILE_NAME, NULL, &store);
        child_assert(rc == TIDE_OK || rc == TIDE_ENOSPC);
        if (rc != TIDE_OK) {
            (void)unlink(FILE_NAME "-lock");
            continue;
        }
        opened = true;
        child_assert(tide_get(store, ENTRY, &mark) == TIDE_OK);
        child_assert(mark.watermark == 7);
        tide_close(store);
    }
}

START_TEST(opening_an_old_store_on_a_full_disk_is_an_error_and_no_crash)
{
    test_disk_run("opening_an_old_store_on_a_full_disk_is_an_error_and_no_crash",
                  child_reopens_without_lock_file, NULL);
}
END_TEST

/* The marks first to first + count - 1 one by one, until the answer is not TIDE_OK. */
static uint64_t raise_until_full(tide_store *store, uint64_t first)
{
    for (uint64_t n = first;; n++) {
        uuid_t d, p;
        char resource[32];
        tide_mark mark;
        int rc;

        test_numbered(n, d, p, resource);
        rc = tide_advance(store, d, p, resource, 5);
        if (rc == TIDE_OK)
            continue;
        if (rc != TIDE_ENOSPC)
            fprintf(stderr, "tide_advance: %s\n", tide_code_name(rc));
        child_assert(rc == TIDE_ENOSPC);
        child_assert(tide_get(store, d, p, resource, &mark) == TIDE_ABSENT);
        return n - first;
    }
}

static void child_fills_the_disk(void *ctx)
{
    static const uint64_t disk = 1024 * KIB;
    tide_step step = {device, peer, "entry", TIDE_TIME_NONE, 9, TIDE_TIME_NONE};
    tide_info info = {.size = sizeof info};
    tide_store *store = NULL;
    tide_mark mark;
    uint64_t count;

    (void)ctx;
    if (!test_disk_enter(disk))
        _exit(TEST_NO_DISK);
    test_disk_ballast(256 * KIB);
    child_assert(tide_open(FILE_NAME, NULL, &store) == TIDE_OK);
    count = raise_until_full(store, 0);
    child_assert(count > 500);
    child_assert(test_count_at(store, 0, count, 5) == count);
    /* deferred ones wait */
    for (int i = 0; i < 400; i++) {
        char resource[32];

        snprintf(resource, sizeof resource, "pending-%d", i);
        step.resource = resource;
        child_assert(tide_advance_many(store, &step, 1, TIDE_DEFERRED) == TIDE_OK);
    }
    child_assert(tide_flush(store) == TIDE_ENOSPC);
    child_assert(tide_flush(store) == TIDE_ENOSPC);
    child_assert(tide_stat(store, &info) == TIDE_OK);
    child_assert(info.pending == 400 && info.marks == count);
    child_assert(tide_get(store, device, peer, "pending-399", &mark) == TIDE_OK);
    child_assert(test_count_at(store, 0, count, 5) == count);
    /* and with room again everything goes on */
    test_disk_ballast(0);
    child_assert(tide_flush(store) == TIDE_OK);
    child_assert(tide_advance(store, ENTRY, 9) == TIDE_OK);
    child_assert(tide_stat(store, &info) == TIDE_OK);
    child_assert(info.pending == 0 && info.marks == count + 400 + 1);
    tide_close(store);
    child_assert(tide_open(FILE_NAME, NULL, &store) == TIDE_OK);
    child_assert(test_count_at(store, 0, count, 5) == count);
    child_assert(tide_get(store, device, peer, "pending-0", &mark) == TIDE_OK);
    tide_close(store);
}

START_TEST(a_disk_that_fills_up_loses_nothing)
{
    test_disk_run("a_disk_that_fills_up_loses_nothing", child_fills_the_disk, NULL);
}
END_TEST

/* The store's own snapshot, kept for the next read, has the one slot that there is. */
static void child_fills_the_disk_and_the_readers(void *ctx)
{
    static const uint64_t disk = 1024 * KIB;
    tide_options options;
    tide_store *store = NULL;
    tide_mark mark;
    uint64_t count;

    (void)ctx;
    if (!test_disk_enter(disk))
        _exit(TEST_NO_DISK);
    test_disk_ballast(256 * KIB);
    tide_options_init(&options);
    options.max_readers = 1;
    child_assert(tide_open(FILE_NAME, &options, &store) == TIDE_OK);
    child_assert(tide_get(store, ENTRY, &mark) == TIDE_ABSENT);
    count = raise_until_full(store, 0);
    child_assert(test_count_at(store, 0, count, 5) == count);
    test_disk_ballast(0);
    child_assert(tide_advance(store, ENTRY, 9) == TIDE_OK);
    tide_close(store);
}

START_TEST(a_disk_and_readers_that_fill_up_lose_nothing)
{
    test_disk_run("a_disk_and_readers_that_fill_up_lose_nothing",
                  child_fills_the_disk_and_the_readers, NULL);
}
END_TEST

static void child_reopens_a_full_disk(void *ctx)
{
    static const uint64_t disk = 1024 * KIB;
    tide_store *store = NULL;
    uint64_t count;

    (void)ctx;
    if (!test_disk_enter(disk))
        _exit(TEST_NO_DISK);
    child_assert(tide_open(FILE_NAME, NULL, &store) == TIDE_OK);
    count = raise_until_full(store, 0);
    tide_close(store);
    store = NULL;
    child_assert(tide_open(FILE_NAME, NULL, &store) == TIDE_OK);
    child_assert(test_count_at(store, 0, count, 5) == count);
    tide_close(store);
}

START_TEST(a_store_on_a_full_disk_opens_again)
{
    test_disk_run("a_store_on_a_full_disk_opens_again", child_reopens_a_full_disk, NULL);
}
END_TEST

/* ---- readers that died -------------------------------------------------------------------------- */

/* A foreign process that reads through LMDB itself and is killed in the middle of it. */
static void leave_stale_reader(void)
{
    test_signal ready;
    int status = 0;
    pid_t pid;

    test_signal_make(&ready);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        MDB_env *env;
        MDB_txn *txn;

        child_assert(mdb_env_create(&env) == 0);
        child_assert(mdb_env_set_maxdbs(env, 4) == 0);
        child_assert(mdb_env_open(env, FILE_NAME, MDB_NOSUBDIR, 0600) == 0);
        child_assert(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
        test_signal_send(&ready);
        for (;;) {
            pause();
        }
    }
    close(ready.write_fd);
    ck_assert(test_signal_wait(&ready));
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    close(ready.read_fd);
}

/* Many commits, each over all of the marks; returns the size of the file. */
static uint64_t churn(tide_store *store, tide_time from, tide_time to)
{
    for (tide_time time = from; time < to; time++) {
        ck_assert_int_eq(test_fill(store, 0, 256, time), TIDE_OK);
    }
    return test_file_size(FILE_NAME);
}

START_TEST(a_dead_reader_does_not_grow_the_file_on_and_on)
{
    tide_store *store = test_open(FILE_NAME, NULL);
    uint64_t steady, after;

    ck_assert_int_eq(test_fill(store, 0, 256, 1), TIDE_OK);
    steady = churn(store, 2, 50);
    leave_stale_reader();
    after = churn(store, 50, 1050);
    tide_close(store);
    /* One commit takes about a dozen new pages while an old snapshot stands: 1000 of them take 48 MB. */
    ck_assert_msg(after <= 4 * steady, "%llu bytes, from %llu", (unsigned long long)after,
                  (unsigned long long)steady);
}
END_TEST

START_TEST(opening_clears_dead_readers)
{
    tide_store *store = test_open(FILE_NAME, NULL);
    uint32_t readers = info_of(store).readers;
    uint64_t steady;

    ck_assert_int_eq(test_fill(store, 0, 256, 1), TIDE_OK);
    steady = churn(store, 2, 50);
    tide_close(store);
    leave_stale_reader();
    store = test_open(FILE_NAME, NULL);
    ck_assert_uint_eq(info_of(store).readers, readers);
    ck_assert_uint_eq(churn(store, 50, 250), steady);
    tide_close(store);
}
END_TEST

START_TEST(dead_readers_do_not_use_up_the_slots)
{
    tide_options options;
    tide_store *store;
    tide_mark mark;

    test_options(&options, 0);
    options.max_readers = 3;
    store = test_open(FILE_NAME, &options);
    ck_assert_int_eq(tide_advance(store, ENTRY, 1), TIDE_OK);
    tide_close(store);
    for (int i = 0; i < 8; i++) {
        store = test_open(FILE_NAME, &options);
        leave_stale_reader();
        ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_OK);
        leave_stale_reader();
        ck_assert_int_eq(tide_advance(store, ENTRY, i + 2), TIDE_OK);
        ck_assert_int_eq(tide_get(store, ENTRY, &mark), TIDE_OK);
        ck_assert_int_eq(mark.watermark, i + 2);
        tide_close(store);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("space");
    TCase *test = test_case(suite, "space");

    tcase_add_checked_fixture(test, set_up, NULL);
    tcase_add_test(test, the_map_grows_as_needed);
    tcase_add_test(test, one_big_step_grows_the_map_more_than_once);
    tcase_add_test(test, the_default_map_leaves_the_file_small);
    tcase_add_test(test, at_its_largest_size_the_store_is_full_and_readable);
    tcase_add_test(test, in_a_full_store_marks_can_still_be_raised);
    tcase_add_test(test, in_a_full_store_marks_can_still_be_removed);
    tcase_add_test(test, in_a_full_store_one_mark_can_be_removed);
    tcase_add_test(test, in_a_full_store_deferred_marks_stay_pending);
    tcase_add_test(test, in_a_full_store_waiting_marks_are_in_nobodys_way);
    tcase_add_test(test, in_a_full_store_many_waiting_marks_are_in_nobodys_way);
    tcase_add_test(test, in_a_full_store_a_peer_whose_marks_all_wait_can_be_removed);
    tcase_add_test(test, in_a_full_store_what_waits_is_not_written_beyond_the_largest_size);
    tcase_add_test(test, taking_back_and_filling_again_keeps_to_the_size);
    tcase_add_test(test, another_process_may_grow_the_file);
    tcase_add_test(test, a_walk_follows_a_file_that_has_grown);
    tcase_add_test(test, little_address_space_gives_a_smaller_map);
    tcase_add_test(test, a_map_that_cannot_grow_is_an_error_and_no_crash);
    tcase_add_test(test, a_map_that_is_refused_as_invalid_gives_a_smaller_one);
    tcase_add_test(test, opening_on_a_full_disk_is_an_error_and_no_crash);
    tcase_add_test(test, opening_an_old_store_on_a_full_disk_is_an_error_and_no_crash);
    tcase_add_test(test, a_disk_that_fills_up_loses_nothing);
    tcase_add_test(test, a_disk_and_readers_that_fill_up_lose_nothing);
    tcase_add_test(test, a_store_on_a_full_disk_opens_again);
    tcase_add_test(test, a_dead_reader_does_not_grow_the_file_on_and_on);
    tcase_add_test(test, opening_clears_dead_readers);
    tcase_add_test(test, dead_readers_do_not_use_up_the_slots);
    return test_run(suite);
}
