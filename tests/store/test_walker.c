/* The check of a whole file: sound files of every shape pass, each kind of damage has its answer,
 * and what passes never crashes LMDB nor shows another mark. */
#define _GNU_SOURCE 1
#include "store/walker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define PAGE 4096
#define COUNT 100
#define KEY_LENGTH 74 /* "device|peer|" */

/* ---- memory ------------------------------------------------------------------------------------- */

static int allocations_left = -1; /* until one fails; below 0: none does */

void *__real_tide__malloc(size_t bytes);
void *__real_tide__calloc(size_t count, size_t bytes);
void *__wrap_tide__malloc(size_t bytes);
void *__wrap_tide__calloc(size_t count, size_t bytes);

void *__wrap_tide__malloc(size_t bytes)
{
    return allocations_left >= 0 && allocations_left-- == 0 ? NULL : __real_tide__malloc(bytes);
}

void *__wrap_tide__calloc(size_t count, size_t bytes)
{
    return allocations_left >= 0 && allocations_left-- == 0 ? NULL
                                                            : __real_tide__calloc(count, bytes);
}

/* ---- files -------------------------------------------------------------------------------------- */

static int verify_file(const char *path, tide__detail *detail)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc;

    ck_assert_int_ge(fd, 0);
    detail->text[0] = '\0';
    rc = tide__file_verify(fd, path, detail);
    close(fd);
    return rc;
}

static void sound(const char *path)
{
    tide__detail detail;
    int rc = verify_file(path, &detail);

    ck_assert_msg(rc == TIDE_OK, "%s: %s", tide_code_name(rc), detail.text);
}

/* A damaged store in memory, whose bytes the walker reads through a file without a name. */
static test_bytes whole;
static int fd = -1;

static void make_store(uint64_t count, int commits)
{
    tide_store *store = test_open(FILE_NAME, NULL);

    for (int i = 1; i <= commits; i++) {
        ck_assert_int_eq(test_fill(store, 0, count, i), TIDE_OK);
    }
    tide_close(store);
}

static void set_up(void)
{
    make_store(COUNT, 6);
    whole = test_read_file(FILE_NAME);
    fd = memfd_create("damaged", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, whole.data, whole.length), (ssize_t)whole.length);
}

static void tear_down(void)
{
    close(fd);
    free(whole.data);
}

static void put_back(size_t at, const void *bytes, size_t length)
{
    test_require(pwrite(fd, bytes, length, (off_t)at) == (ssize_t)length);
}

static uint64_t get(size_t at, size_t width)
{
    uint64_t value = 0;

    memcpy(&value, whole.data + at, width);
    return value;
}

/* ---- where things are --------------------------------------------------------------------------- */

static size_t newest_meta(void)
{
    return get(144, 8) < get(PAGE + 144, 8) ? PAGE : 0;
}

static size_t node(size_t page, size_t index)
{
    return page + get(page + 16 + 2 * index, 2);
}

static size_t node_data(size_t at)
{
    return at + 8 + get(at + 6, 2);
}

/* The record of "marks" (0) or "meta" (1) on the one page of the main tree. */
static size_t sub_database(size_t index)
{
    return node_data(node(get(newest_meta() + 88 + 40, 8) * PAGE, index));
}

static size_t marks_root(void)
{
    return get(sub_database(0) + 40, 8) * PAGE;
}

static uint64_t child(size_t page, size_t index)
{
    return get(node(page, index), 4);
}

/* The first record of the free list: a count and page numbers. */
static size_t free_record(void)
{
    return node_data(node(get(newest_meta() + 40 + 40, 8) * PAGE, 0));
}

/* ---- sound files -------------------------------------------------------------------------------- */

START_TEST(a_new_store_and_each_commit_are_sound)
{
    tide_store *store = test_open(FILE_NAME, NULL);

    sound(FILE_NAME);
    for (uint64_t n = 0; n < 90; n++) {
        ck_assert_int_eq(test_fill(store, n * 7 % 90, 1, 5), TIDE_OK);
        sound(FILE_NAME);
    }
    for (uint64_t n = 0; n < 90; n++) {
        uuid_t device, peer;
        char resource[32];

        test_numbered(n, device, peer, resource);
        ck_assert_int_eq(tide_compare_and_set(store, device, peer, resource, 5, TIDE_TIME_NONE),
                         TIDE_OK);
        sound(FILE_NAME);
    }
    tide_close(store);
    sound(FILE_NAME);
}
END_TEST

/* Overflow pages in the free list, or 0. */
static size_t free_overflow(void)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_stat stat;

    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_set_mapsize(env, 64 << 20), 0);
    ck_assert_int_eq(mdb_env_open(env, FILE_NAME, MDB_NOSUBDIR | MDB_RDONLY, 0600), 0);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    ck_assert_int_eq(mdb_stat(txn, 0, &stat), 0);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return stat.ms_overflow_pages;
}

/* Of a file that is too large to be read at one go. */
static void zero_pages(void)
{
    static const unsigned char zeroes[PAGE];
    test_bytes large = test_read_file(FILE_NAME);
    int file = open(FILE_NAME, O_WRONLY | O_CLOEXEC);
    tide__detail detail;
    size_t refused = 0;

    ck_assert_uint_gt(large.length, 5 << 20);
    ck_assert_int_ge(file, 0);
    for (size_t page = 0; page < large.length; page += (1 + page / PAGE / 16) * PAGE) {
        int rc;

        ck_assert_int_eq(pwrite(file, zeroes, PAGE, (off_t)page), PAGE);
        rc = verify_file(FILE_NAME, &detail);
        ck_assert(rc == TIDE_OK || (rc == TIDE_ECORRUPT && detail.text[0] != '\0'));
        refused += rc != TIDE_OK;
        ck_assert_int_eq(pwrite(file, large.data + page, PAGE, (off_t)page), PAGE);
    }
    ck_assert_uint_gt(refused, 10);
    sound(FILE_NAME);
    close(file);
    free(large.data);
}

START_TEST(a_large_store_is_sound_in_any_order_and_with_a_long_free_list)
{
    enum { MANY = 12000 };
    tide_step *steps = calloc(TIDE_STEPS_MAX, sizeof *steps);
    uuid_t *ids = calloc(2 * TIDE_STEPS_MAX, sizeof *ids);
    char(*names)[32] = calloc(TIDE_STEPS_MAX, sizeof *names);
    tide_store *store = test_open(FILE_NAME, NULL);
    tide_options options;

    ck_assert(steps != NULL && ids != NULL && names != NULL);
    ck_assert_int_eq(test_fill(store, 0, MANY, 5), TIDE_OK);
    sound(FILE_NAME);
    for (uint64_t i = 0; i < TIDE_STEPS_MAX; i++) { /* one commit frees most of the pages */
        test_numbered(i * 7919 % MANY, ids[2 * i], ids[2 * i + 1], names[i]);
        steps[i] =
            (tide_step){ids[2 * i], ids[2 * i + 1], names[i], TIDE_TIME_NONE, 6, TIDE_TIME_NONE};
    }
    ck_assert_int_eq(tide_advance_many(store, steps, TIDE_STEPS_MAX, TIDE_DURABLE), TIDE_OK);
    sound(FILE_NAME);
    tide_close(store);
    ck_assert_uint_gt(free_overflow(), 0);
    test_options(&options, 0);
    options.verify_max_bytes = UINT64_MAX;
    store = test_open(FILE_NAME, &options);
    for (uint64_t i = 0; i < TIDE_STEPS_MAX; i++) {
        size_t removed = 0;

        if (i % 64 == 0)
            ck_assert_int_eq(tide_remove_peer(store, ids[2 * i], ids[2 * i + 1], &removed), TIDE_OK);
        if (i % 256 == 0)
            sound(FILE_NAME);
    }
    tide_close(store);
    sound(FILE_NAME);
    zero_pages();
    free(steps);
    free(ids);
    free(names);
}
END_TEST

/* ---- each kind of damage ------------------------------------------------------------------------ */

/* Writes `value` there, expects the answer, and puts the bytes back. */
static void damage(size_t at, size_t width, uint64_t value, int expected, const char *words)
{
    tide__detail detail = {""};
    int rc;

    ck_assert_uint_ne(get(at, width), value);
    put_back(at, &value, width);
    rc = tide__file_verify(fd, "F", &detail);
    ck_assert_msg(rc == expected && strstr(detail.text, words) != NULL,
                  "page %zu byte %zu: %s \"%s\", not %s \"%s\"", at / PAGE, at % PAGE,
                  tide_code_name(rc), detail.text, tide_code_name(expected), words);
    put_back(at, whole.data + at, width);
    ck_assert_int_eq(tide__file_verify(fd, "F", &detail), TIDE_OK);
}

static void corrupt(size_t at, size_t width, uint64_t value, const char *words)
{
    damage(at, width, value, TIDE_ECORRUPT, words);
}

START_TEST(damaged_metadata_is_found)
{
    size_t newer = newest_meta();
    size_t older = PAGE - newer;
    uint64_t transaction = get(newer + 144, 8);

    for (size_t m = 0; m <= PAGE; m += PAGE) {
        corrupt(m, 8, 2, "damaged metadata");
        corrupt(m + 10, 2, 2, "damaged metadata");
        corrupt(m + 16, 4, 0xBEEFC0DF, "damaged metadata");
        corrupt(m + 20, 4, 2, "damaged metadata");
        corrupt(m + 40, 4, 8192, "damaged metadata");
    }
    corrupt(newer + 44, 2, 0, "impossible root of the free list");
    corrupt(newer + 44, 2, 0x4009, "impossible root of the free list");
    corrupt(newer + 88 + 4, 2, 4, "impossible root of the main tree");
    corrupt(newer + 88 + 6, 2, 33, "impossible root of the main tree");
    corrupt(newer + 88 + 6, 2, 0, "impossible root of the main tree");
    corrupt(newer + 88 + 6, 2, 2, "not a branch");
    corrupt(newer + 88 + 40, 8, UINT64_MAX, "impossible root of the main tree");
    corrupt(newer + 88 + 40, 8, whole.length / PAGE, "out of range");
    corrupt(newer + 88 + 40, 8, 1, "out of range");
    corrupt(newer + 88 + 8, 8, 1, "other counts");
    corrupt(newer + 88 + 16, 8, 2, "other counts");
    corrupt(newer + 88 + 24, 8, 1, "other counts");
    corrupt(newer + 88 + 32, 8, 4, "other counts");
    corrupt(newer + 40 + 32, 8, 0, "other counts");
    corrupt(newer + 136, 8, whole.length / PAGE, "behind the end");
    corrupt(newer + 136, 8, UINT64_MAX, "behind the end");
    corrupt(newer + 136, 8, 0, "behind the end");
    corrupt(newer + 136, 8, 3, "out of range");
    corrupt(newer + 144, 8, transaction ^ 1, "transaction");
    corrupt(newer + 144, 8, transaction + 2, "transaction");
    corrupt(newer + 144, 8, transaction + (UINT64_C(1) << 40), "transaction");
    corrupt(older + 144, 8, transaction, "transaction");
    corrupt(older + 144, 8, transaction - 3, "transaction");
}
END_TEST

START_TEST(a_damaged_page_is_found)
{
    size_t root = marks_root();
    size_t leaf = child(root, 0) * PAGE;
    uint64_t upper = get(leaf + 14, 2);

    ck_assert_uint_eq(get(root + 10, 2), 1);
    ck_assert_uint_eq(get(leaf + 10, 2), 2);
    for (size_t page = root;; page = leaf) {
        corrupt(page, 8, get(page, 8) + 1, "bears another number");
        corrupt(page + 10, 2, 3 - get(page + 10, 2), page == root ? "not a branch" : "not a leaf");
        corrupt(page + 10, 2, get(page + 10, 2) | 0x10, "not a");
        corrupt(page + 12, 2, 16, "impossible bounds");
        corrupt(page + 12, 2, get(page + 12, 2) + 1, "impossible bounds");
        corrupt(page + 12, 2, get(page + 14, 2) + 2, "impossible bounds");
        corrupt(page + 12, 2, get(page + 12, 2) - 2, "gaps");
        corrupt(page + 14, 2, 4098, "impossible bounds");
        corrupt(page + 14, 2, 4096, "out of bounds");
        corrupt(page + 14, 2, get(page + 14, 2) - 2, "gaps");
        corrupt(page + 16, 2, 2, "out of bounds");
        corrupt(page + 16, 2, 4090, "out of bounds");
        corrupt(page + 16, 2, get(page + 16, 2) + 1, "out of bounds");
        corrupt(page + 16, 2, get(page + 18, 2), "gaps");
        corrupt(node(page, 1) + 6, 2, 512, "longer than the page");
        corrupt(node(page, 1) + 6, 2, get(node(page, 1) + 6, 2) + 2, "gaps");
        if (page == leaf)
            break;
    }
    corrupt(node(leaf, 0), 4, 5000, "longer than the page");
    corrupt(node(leaf, 0), 4, UINT32_MAX, "longer than the page");
    corrupt(node(leaf, 0) + 4, 2, 1, "gaps");
    corrupt(node(leaf, 0) + 4, 2, 2, "a damaged mark");
    corrupt(node(leaf, 0) + 4, 2, 4, "a damaged mark");
    ck_assert_uint_gt(upper, get(leaf + 12, 2));
}
END_TEST

START_TEST(a_damaged_tree_is_found)
{
    size_t root = marks_root();
    size_t leaf = child(root, 0) * PAGE;
    size_t marks = sub_database(0);
    uint64_t first_two = get(leaf + 16, 4);

    corrupt(node(root, 0), 4, 0, "out of range");
    corrupt(node(root, 0), 4, whole.length / PAGE, "out of range");
    corrupt(node(root, 0) + 4, 2, 1, "out of range"); /* bits 32 and up of the child */
    corrupt(node(root, 0), 4, root / PAGE, "referred to twice");
    corrupt(node(root, 1), 4, child(root, 0), "referred to twice");
    corrupt(root + 16, 4, get(root + 16, 4) >> 16 | get(root + 16, 2) << 16, "keys out of order");
    corrupt(leaf + 16, 4, first_two >> 16 | (first_two & 0xffff) << 16, "keys out of order");
    corrupt(node(root, 1) + 8, 1, 0, "keys out of order");
    corrupt(node(root, 1) + 8, 1, 0xff, "keys out of order");
    corrupt(marks + 4, 2, 4, "impossible root of marks");
    corrupt(marks + 6, 2, get(marks + 6, 2) + 1, "not a branch");
    corrupt(marks + 6, 2, 1, "not a leaf");
    corrupt(marks + 8, 8, 0, "marks has other counts");
    corrupt(marks + 16, 8, get(marks + 16, 8) - 1, "marks has other counts");
    corrupt(marks + 24, 8, 1, "marks has other counts");
    corrupt(marks + 32, 8, COUNT + 1, "marks has other counts");
    corrupt(marks + 40, 8, leaf / PAGE, "not a branch");
    corrupt(sub_database(1) + 40, 8, root / PAGE, "not a leaf");
    corrupt(sub_database(1) + 32, 8, 2, "meta has other counts");
}
END_TEST

START_TEST(a_damaged_free_list_is_found)
{
    size_t record = free_record();
    size_t list = record / PAGE * PAGE;
    uint64_t count = get(record, 8);

    ck_assert_uint_ge(count, 2);
    corrupt(record, 8, count + 1, "more free pages");
    corrupt(record, 8, UINT64_MAX, "more free pages");
    corrupt(record + 8, 8, 1, "out of range");
    corrupt(record + 8, 8, whole.length / PAGE, "out of range");
    corrupt(record + 16, 8, get(record + 8, 8), "out of order");
    corrupt(record + 8, 8, UINT64_MAX, "out of order");
    corrupt(record + 8 * count, 8, 1, "out of range");
    corrupt(record - 8, 8, 0, "not a record of the free list");
    corrupt(record - 8, 8, get(newest_meta() + 144, 8) + 1, "not a record of the free list");
    corrupt(list + 10, 2, 0x22, "not a leaf");
    corrupt(node(list, 0) + 6, 2, 7, "keys out of order");
    for (uint64_t page = 2; page < whole.length / PAGE; page++) {
        bool is_free = false;

        for (uint64_t i = 1; i <= count; i++) {
            is_free = is_free || get(record + 8 * i, 8) == page;
        }
        if (!is_free && page > get(record + 16, 8))
            damage(record + 8, 8, page, TIDE_ECORRUPT, "twice");
    }
}
END_TEST

START_TEST(each_bit_of_a_mark_counts)
{
    size_t leaf = child(marks_root(), 1) * PAGE;
    size_t at = node(leaf, 1) + 8;
    size_t end = node_data(node(leaf, 1)) + get(node(leaf, 1), 4);

    ck_assert_uint_gt(end - at, KEY_LENGTH + 71);
    for (; at < end; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            corrupt(at, 1, whole.data[at] ^ 1U << bit, "page ");
        }
    }
}
END_TEST

START_TEST(what_is_no_store_is_told_from_damage)
{
    size_t marks = node(get(newest_meta() + 88 + 40, 8) * PAGE, 0);
    size_t meta = get(sub_database(1) + 40, 8) * PAGE;

    damage(marks + 8, 1, 'l', TIDE_EFORMAT, "something else");
    damage(marks + 4, 2, 0, TIDE_EFORMAT, "something else");
    damage(node_data(node(meta, 1)), 1, '2', TIDE_EFORMAT, "another format version"); /* format */
    damage(node(meta, 1) + 8, 1, 'e', TIDE_EFORMAT, "no format version");
    corrupt(node_data(node(meta, 0)), 1, 'x', "damaged identity"); /* created */
    corrupt(node_data(node(meta, 2)), 1, 'x', "damaged identity"); /* store */
    corrupt(node(meta, 2) + 8, 1, 't', "damaged identity");
}
END_TEST

START_TEST(a_file_cut_anywhere_is_damaged)
{
    tide__detail detail;

    for (size_t length = whole.length; length > 0; length -= length % PAGE == 0 ? 1 : PAGE - 1) {
        ck_assert_int_eq(ftruncate(fd, (off_t)length), 0);
        ck_assert_int_eq(tide__file_verify(fd, "F", &detail),
                         length == whole.length ? TIDE_OK : TIDE_ECORRUPT);
    }
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(tide__file_verify(fd, "F", &detail), TIDE_ECORRUPT);
}
END_TEST

START_TEST(without_memory_there_is_no_answer)
{
    tide__detail detail;

    for (int n = 0; n < 2; n++) { /* bitmap and pages */
        allocations_left = n;
        ck_assert_int_eq(tide__file_verify(fd, "F", &detail), TIDE_ENOMEM);
        allocations_left = -1;
    }
    ck_assert_int_eq(tide__file_verify(fd, "F", &detail), TIDE_OK);
}
END_TEST

/* ---- what passes is right ----------------------------------------------------------------------- */

typedef struct job {
    uint64_t at, passed, refused, opened;
} job;

/* In a child: LMDB alone, with what the walker let pass. */
static void open_and_compare(bool may_fall_back)
{
    tide_options options;
    tide_store *store = NULL;
    uint64_t found;

    test_write_file("passed.mdb", whole.data, whole.length);
    test_options(&options, 1 << 20);
    options.verify_max_bytes = 0;
    child_assert(tide_open("passed.mdb", &options, &store) == TIDE_OK);
    found = test_count_at(store, 0, COUNT, 6);
    if (may_fall_back && found == 0)
        found = test_count_at(store, 0, COUNT, 5);
    child_assert(found == COUNT);
    child_assert(test_fill(store, 0, COUNT, 7) == TIDE_OK); /* free pages are taken */
    child_assert(test_count_at(store, 0, COUNT, 7) == COUNT);
    tide_close(store);
}

/* Whether `bytes` at `at` pass; now and then, whether they did so rightly. */
static void judge(job *progress, size_t at, size_t length, uint64_t every)
{
    tide__detail detail;
    int rc;

    put_back(at, whole.data + at, length);
    rc = tide__file_verify(fd, "F", &detail);
    child_assert(rc == TIDE_OK || rc == TIDE_ECORRUPT || rc == TIDE_EFORMAT);
    if (rc != TIDE_OK) {
        progress->refused++;
    } else if (progress->passed++ % every == 0) {
        progress->opened++;
        open_and_compare(at < 2 * PAGE);
    }
}

static void child_flips(void *ctx)
{
    job *progress = ctx;
    size_t step = test_sanitized() ? 11 : 3;

    for (size_t page = 0; page < whole.length; page += PAGE) {
        for (size_t bit = page * 8; bit < (page + PAGE) * 8;
             bit += bit < (page + 160) * 8 ? step : 106 * step) {
            progress->at = bit;
            whole.data[bit / 8] ^= (unsigned char)(1U << bit % 8);
            judge(progress, bit / 8, 1, page < 2 * PAGE ? 11 : 211);
            whole.data[bit / 8] ^= (unsigned char)(1U << bit % 8);
            put_back(bit / 8, whole.data + bit / 8, 1);
        }
    }
}

static void child_moves_pages(void *ctx)
{
    static unsigned char saved[PAGE];
    job *progress = ctx;

    for (size_t to = 0; to < whole.length; to += PAGE) {
        memcpy(saved, whole.data + to, PAGE);
        for (size_t from = 0; from < whole.length; from += PAGE) {
            progress->at = to / PAGE * 1000 + from / PAGE;
            if (from == to)
                memset(whole.data + to, 0, PAGE);
            else
                memcpy(whole.data + to, whole.data + from, PAGE);
            judge(progress, to, PAGE, 53);
            memcpy(whole.data + to, saved, PAGE);
        }
        put_back(to, saved, PAGE);
    }
}

/* Several small damages at once, mostly in heads, often with plausible numbers. */
static void child_mutates(void *ctx)
{
    job *progress = ctx;
    test_random random = {4711};
    unsigned char *saved = malloc(whole.length);
    uint64_t rounds = test_sanitized() ? 2000 : 8000;

    child_assert(saved != NULL);
    memcpy(saved, whole.data, whole.length);
    for (progress->at = 0; progress->at < rounds; progress->at++) {
        for (uint64_t i = 0; i <= test_below(&random, 4); i++) {
            size_t page = (size_t)test_below(&random, whole.length / PAGE) * PAGE;
            size_t at = page + (size_t)test_below(&random, i % 2 == 0 ? 64 : PAGE - 8) / 2 * 2;
            uint64_t value = test_below(&random, i % 3 == 0 ? PAGE + 8 : whole.length / PAGE + 2);

            memcpy(whole.data + at, &value, test_below(&random, 2) == 0 ? 2 : 8);
        }
        judge(progress, 0, whole.length, 307);
        memcpy(whole.data, saved, whole.length);
    }
    free(saved);
}

static void attack(void (*fn)(void *ctx))
{
    job *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;

    ck_assert_ptr_ne(progress, MAP_FAILED);
    status = test_child(fn, progress);
    ck_assert_msg(status == 0, "status %x at %llu", (unsigned)status,
                  (unsigned long long)progress->at);
    ck_assert_uint_gt(progress->refused, 100);
    ck_assert_uint_gt(progress->opened, 0);
    munmap(progress, sizeof *progress);
}

START_TEST(what_passes_a_flipped_bit_is_right)
{
    attack(child_flips);
}
END_TEST

START_TEST(what_passes_a_misplaced_page_is_right)
{
    attack(child_moves_pages);
}
END_TEST

START_TEST(what_passes_several_damages_is_right)
{
    attack(child_mutates);
}
END_TEST

/* ---- beside a writer ---------------------------------------------------------------------------- */

static void write_for_ever(void)
{
    tide_store *store = NULL;

    child_assert(tide_open(FILE_NAME, NULL, &store) == TIDE_OK);
    for (tide_time upto = 100;; upto++) {
        child_assert(test_fill(store, (uint64_t)upto * 31 % 2000, 1, upto) == TIDE_OK);
    }
}

START_TEST(commits_of_another_process_are_no_damage)
{
    tide__detail detail;
    uint64_t first;
    pid_t writer;
    int status = 0;

    make_store(2000, 2);
    writer = fork();
    ck_assert_int_ge(writer, 0);
    if (writer == 0)
        write_for_ever();
    for (int i = 0; i < 300; i++) {
        int rc = verify_file(FILE_NAME, &detail);

        ck_assert_msg(rc == TIDE_OK || rc == TIDE_EBUSY, "%s", detail.text);
    }
    first = 0;
    for (int i = 0; i < 50; i++) {
        tide_info info = {.size = sizeof info};
        tide_store *store = test_open(FILE_NAME, NULL);

        ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
        ck_assert_uint_eq(info.marks, 2000);
        ck_assert_uint_ge(info.transaction, first);
        first = info.transaction;
        tide_close(store);
    }
    ck_assert_int_eq(kill(writer, SIGKILL), 0);
    ck_assert_int_eq(waitpid(writer, &status, 0), writer);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    sound(FILE_NAME);
}
END_TEST

/* ---- in tide_open ------------------------------------------------------------------------------- */

START_TEST(a_file_is_checked_up_to_the_size_that_was_asked_for)
{
    size_t leaf = child(marks_root(), 0) * PAGE;
    uint64_t used = (get(newest_meta() + 136, 8) + 1) * PAGE;
    const uint64_t limits[] = {0, used - 1, used, UINT64_MAX};
    tide_options options;
    tide_store *store = NULL;

    whole.data[node_data(node(leaf, 0)) + 3] ^= 1; /* a digit of a watermark */
    test_write_file(FILE_NAME, whole.data, whole.length);
    for (int i = 0; i < 4; i++) {
        test_options(&options, 0);
        options.verify_max_bytes = limits[i];
        ck_assert_int_eq(tide_open(FILE_NAME, &options, &store), i < 2 ? TIDE_OK : TIDE_ECORRUPT);
        if (store != NULL)
            ck_assert_uint_eq(test_count_at(store, 0, COUNT, 6), COUNT - 1);
        tide_close(store);
    }
    ck_assert_int_eq(tide_open(FILE_NAME, NULL, &store), TIDE_ECORRUPT);
}
END_TEST

/* Only the first opener of a process checks. */
START_TEST(a_second_handle_does_not_check_again)
{
    size_t leaf = child(marks_root(), 0) * PAGE;
    size_t at = node_data(node(leaf, 0)) + 3;
    tide_store *first = test_open(FILE_NAME, NULL);
    tide_store *second = NULL;
    int file = open(FILE_NAME, O_WRONLY | O_CLOEXEC);
    unsigned char other = whole.data[at] ^ 1;

    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(pwrite(file, &other, 1, (off_t)at), 1);
    close(file);
    second = test_open(FILE_NAME, NULL);
    ck_assert_uint_eq(test_count_at(second, 0, COUNT, 6), COUNT - 1);
    tide_close(second);
    tide_close(first);
    ck_assert_int_eq(tide_open(FILE_NAME, NULL, &first), TIDE_ECORRUPT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("walker");
    TCase *test = test_case(suite, "sound");

    tcase_add_test(test, a_new_store_and_each_commit_are_sound);
    tcase_add_test(test, a_large_store_is_sound_in_any_order_and_with_a_long_free_list);
    tcase_add_test(test, commits_of_another_process_are_no_damage);
    test = test_case(suite, "damaged");
    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, damaged_metadata_is_found);
    tcase_add_test(test, a_damaged_page_is_found);
    tcase_add_test(test, a_damaged_tree_is_found);
    tcase_add_test(test, a_damaged_free_list_is_found);
    tcase_add_test(test, each_bit_of_a_mark_counts);
    tcase_add_test(test, what_is_no_store_is_told_from_damage);
    tcase_add_test(test, a_file_cut_anywhere_is_damaged);
    tcase_add_test(test, without_memory_there_is_no_answer);
    tcase_add_test(test, what_passes_a_flipped_bit_is_right);
    tcase_add_test(test, what_passes_a_misplaced_page_is_right);
    tcase_add_test(test, what_passes_several_damages_is_right);
    tcase_add_test(test, a_file_is_checked_up_to_the_size_that_was_asked_for);
    tcase_add_test(test, a_second_handle_does_not_check_again);
    return test_run(suite);
}
