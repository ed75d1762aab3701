/* Files that are no store or a damaged one: a typed error, never a signal, never another mark than
 * was written; the file stays as it is, or is moved aside byte for byte. */
#define _GNU_SOURCE 1
#include <tidemark/store.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define PAGE 4096
#define COUNT 200 /* marks in the store to be damaged */

static void open_fails(const char *path, const tide_options *options, int expected)
{
    tide_store *store = (tide_store *)&store; /* any pointer but NULL */
    int rc = tide_open(path, options, &store);

    ck_assert_msg(rc == expected, "%s: %s, not %s", path, tide_code_name(rc),
                  tide_code_name(expected));
    ck_assert_ptr_null(store);
}

/* Refused, and neither the file nor its folder is changed by that. */
static void refused(const void *bytes, size_t length, int expected)
{
    test_bytes whole = {NULL, length};
    size_t entries;

    whole.data = malloc(length + 1);
    ck_assert_ptr_nonnull(whole.data);
    memcpy(whole.data, bytes, length);
    test_write_file(FILE_NAME, bytes, length);
    entries = test_entries();
    for (int i = 0; i < 2; i++) {
        open_fails(FILE_NAME, NULL, expected);
        ck_assert(test_file_is(FILE_NAME, whole));
        ck_assert_uint_eq(test_entries(), entries);
    }
    free(whole.data);
}

static void make_store(const char *path)
{
    tide_store *store = test_open(path, NULL);

    ck_assert_int_eq(test_fill(store, 0, COUNT, 5), TIDE_OK);
    ck_assert_int_eq(test_fill(store, 0, COUNT, 6), TIDE_OK);
    tide_close(store);
}

/* ---- files that are no store -------------------------------------------------------------------- */

START_TEST(an_empty_file_is_no_store)
{
    refused("", 0, TIDE_EFORMAT);
}
END_TEST

START_TEST(a_text_is_no_store)
{
    static const char text[] = "Dear diary,\nnothing happened today.\n";
    char *longer = malloc(100000);

    refused(text, sizeof text - 1, TIDE_EFORMAT);
    ck_assert_ptr_nonnull(longer);
    for (size_t i = 0; i < 100000; i++) {
        longer[i] = text[i % (sizeof text - 1)];
    }
    refused(longer, 100000, TIDE_EFORMAT);
    free(longer);
}
END_TEST

START_TEST(random_bytes_are_no_store)
{
    static unsigned char bytes[64 * 1024];
    test_random random = {64};

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)test_next(&random);
    }
    for (size_t length = 1; length <= sizeof bytes; length = length * 2 + 1) {
        refused(bytes, length, TIDE_EFORMAT);
    }
    memset(bytes, 0, sizeof bytes);
    refused(bytes, PAGE, TIDE_EFORMAT);
    refused(bytes, sizeof bytes, TIDE_EFORMAT);
    memset(bytes, 0xff, sizeof bytes);
    refused(bytes, sizeof bytes, TIDE_EFORMAT);
}
END_TEST

START_TEST(a_sqlite_file_is_no_store)
{
    static unsigned char bytes[8 * PAGE];
    static const unsigned char head[] = "SQLite format 3\0\x10\x00\x02\x02\x00\x40\x20\x20";

    memcpy(bytes, head, sizeof head - 1); /* with its NUL */
    bytes[31] = 8;
    bytes[100] = 13;
    refused(bytes, sizeof bytes, TIDE_EFORMAT);
}
END_TEST

/* What to put into a foreign LMDB file. */
typedef struct foreign {
    const char *database; /* NULL: the unnamed one */
    const char *key, *value;
} foreign;

/* What such a program knows nothing of is that marks have a sum: none is there then. */
static void write_through_lmdb(const foreign *what, size_t count)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi main;
    char name[] = "sum";
    MDB_val sum = {3, name};
    int rc;

    child_assert(mdb_env_create(&env) == 0);
    child_assert(mdb_env_set_maxdbs(env, 8) == 0);
    child_assert(mdb_env_set_mapsize(env, 4 << 20) == 0);
    child_assert(mdb_env_open(env, FILE_NAME, MDB_NOSUBDIR, 0600) == 0);
    child_assert(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    for (size_t i = 0; i < count; i++) {
        char key_text[512], value_text[512];
        MDB_val key, value;
        MDB_dbi dbi;

        snprintf(key_text, sizeof key_text, "%s", what[i].key);
        child_assert(mdb_dbi_open(txn, what[i].database, MDB_CREATE, &dbi) == 0);
        key = (MDB_val){strlen(key_text), key_text};
        if (what[i].value == NULL) {
            child_assert(mdb_del(txn, dbi, &key, NULL) == 0);
            continue;
        }
        snprintf(value_text, sizeof value_text, "%s", what[i].value);
        value = (MDB_val){strlen(value_text), value_text};
        child_assert(mdb_put(txn, dbi, &key, &value, 0) == 0);
    }
    child_assert(mdb_dbi_open(txn, NULL, 0, &main) == 0);
    rc = mdb_del(txn, main, &sum, NULL);
    child_assert(rc == 0 || rc == MDB_NOTFOUND);
    child_assert(mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
}

static void child_writes(void *ctx)
{
    const foreign *what = ctx;
    size_t count = 0;

    while (what[count].key != NULL) {
        count++;
    }
    write_through_lmdb(what, count);
}

static void refused_after(foreign *what, int expected)
{
    test_bytes before;

    test_child_ok(child_writes, what);
    before = test_read_file(FILE_NAME);
    for (int i = 0; i < 2; i++) {
        open_fails(FILE_NAME, NULL, expected);
        ck_assert(test_file_is(FILE_NAME, before));
    }
    free(before.data);
}

START_TEST(an_lmdb_file_of_another_program_is_no_store)
{
    foreign plain[] = {{NULL, "hello", "world"}, {NULL, "key", "value"}, {NULL, NULL, NULL}};

    refused_after(plain, TIDE_EFORMAT);
}
END_TEST

START_TEST(an_lmdb_file_with_databases_of_our_names_is_no_store)
{
    foreign marks_only[] = {{"marks", "hello", "world"}, {NULL, NULL, NULL}};
    foreign meta_too[] = {{"meta", "hello", "world"}, {NULL, NULL, NULL}};
    foreign others[] = {{"users", "1", "root"}, {"groups", "1", "wheel"}, {NULL, NULL, NULL}};

    refused_after(marks_only, TIDE_EFORMAT);
    refused_after(meta_too, TIDE_EFORMAT);
    ck_assert_int_eq(unlink(FILE_NAME), 0);
    refused_after(others, TIDE_EFORMAT);
}
END_TEST

START_TEST(another_format_version_is_refused)
{
    static const char *const versions[] = {"2", "0", "10", "1 ", " 1", "01", "", "one", "1\n"};

    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        foreign what[] = {{"meta", "format", versions[i]}, {NULL, NULL, NULL}};

        make_store(FILE_NAME);
        refused_after(what, TIDE_EFORMAT);
        ck_assert_int_eq(unlink(FILE_NAME), 0);
    }
}
END_TEST

START_TEST(a_store_without_its_version_is_refused)
{
    foreign what[] = {{"meta", "format", NULL}, {NULL, NULL, NULL}};

    make_store(FILE_NAME);
    refused_after(what, TIDE_EFORMAT);
}
END_TEST

/* ---- records that are damaged ------------------------------------------------------------------- */

#define GOOD_KEY                                                                                   \
    "00112233-4455-6677-8899-aabbccddeeff|ffeeddcc-bbaa-9988-7766-554433221100|location"
#define GOOD_RECORD "2025-01-01T10:00:00.000000000Z|2025-01-01T10:00:01.000000002Z||84b55948"

static foreign damages[][2] = {
    {{"marks", GOOD_KEY, "2025-01-01T10:00:00.000000000Z|2025-01-01T10:00:01.000000002Z||84b55949"},
     {NULL, NULL, NULL}},
    {{"marks", GOOD_KEY, "2025-01-01T10:00:01.000000000Z|2025-01-01T10:00:01.000000002Z||84b55948"},
     {NULL, NULL, NULL}},
    {{"marks", GOOD_KEY, "2025-01-01T10:00:00.000000000Z"}, {NULL, NULL, NULL}},
    {{"marks", GOOD_KEY, ""}, {NULL, NULL, NULL}},
    {{"marks", "00112233-4455-6677-8899-aabbccddeeff|ffeeddcc-bbaa-9988-7766-554433221100|other",
      GOOD_RECORD},
     {NULL, NULL, NULL}},
    {{"marks", "not a key", GOOD_RECORD}, {NULL, NULL, NULL}},
    {{"marks", "00112233-4455-6677-8899-AABBCCDDEEFF|ffeeddcc-bbaa-9988-7766-554433221100|location",
      GOOD_RECORD},
     {NULL, NULL, NULL}},
    {{"marks", "~", "~"}, {NULL, NULL, NULL}},
};

START_TEST(the_golden_record_is_none_of_them)
{
    foreign what[] = {{"marks", GOOD_KEY, GOOD_RECORD}, {NULL, NULL, NULL}};
    tide_info info = {.size = sizeof info};
    tide_store *store;

    make_store(FILE_NAME);
    test_child_ok(child_writes, what);
    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    ck_assert_uint_eq(info.marks, COUNT + 1);
    tide_close(store);
}
END_TEST

START_TEST(a_damaged_record_is_found_at_open)
{
    make_store(FILE_NAME);
    refused_after(damages[_i], TIDE_ECORRUPT);
}
END_TEST

static int count_call(void *ctx, const uuid_t d, const uuid_t p, const char *resource,
                      const tide_mark *mark)
{
    (void)d;
    (void)p;
    (void)resource;
    (void)mark;
    ++*(int *)ctx;
    return 0;
}

/* Damage that comes while the store is open is found by the call that meets it. */
START_TEST(a_damaged_record_is_an_error_and_never_absent)
{
    uuid_t device, peer;
    tide_mark mark = {-1, -2, -3};
    tide_step step = {device, peer, "location", TIDE_TIME_NONE, INT64_MAX, TIDE_TIME_NONE};
    tide_store *store;
    tide_time max = 0;
    int calls = 0;

    ck_assert_int_eq(uuid_parse("00112233-4455-6677-8899-aabbccddeeff", device), 0);
    ck_assert_int_eq(uuid_parse("ffeeddcc-bbaa-9988-7766-554433221100", peer), 0);
    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(tide_advance(store, device, peer, "entry", 1), TIDE_OK);
    test_child_ok(child_writes, damages[0]);
    ck_assert_int_eq(tide_get(store, device, peer, "location", &mark), TIDE_ECORRUPT);
    ck_assert_int_eq(mark.watermark, -1);
    ck_assert_int_eq(tide_advance(store, device, peer, "location", INT64_MAX), TIDE_ECORRUPT);
    ck_assert_int_eq(tide_advance_range(store, device, peer, "location", TIDE_TIME_NONE, 1),
                     TIDE_ECORRUPT);
    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_ECORRUPT);
    ck_assert_int_eq(tide_compare_and_set(store, device, peer, "location", TIDE_TIME_NONE, 5),
                     TIDE_ECORRUPT);
    ck_assert_int_eq(tide_each(store, NULL, NULL, NULL, count_call, &calls), TIDE_ECORRUPT);
    ck_assert_int_eq(tide_max(store, device, &max), TIDE_ECORRUPT);
    ck_assert_int_eq(tide_get(store, device, peer, "entry", &mark), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, device, peer, "entry", 2), TIDE_OK);
    tide_close(store);
}
END_TEST

/* They would be met by the first read of a mark that is not in memory. */
START_TEST(a_bad_number_of_a_commit_is_damage)
{
    static foreign bad[][2] = {
        {{"meta", "removed", "14\xec"}, {NULL, NULL, NULL}},
        {{"meta", "rewound", ""}, {NULL, NULL, NULL}},
        {{"meta", "rewound", " 1"}, {NULL, NULL, NULL}},
        {{"meta", "rewound", "-1"}, {NULL, NULL, NULL}},
        {{"meta", "rewound", "18446744073709551616"}, {NULL, NULL, NULL}},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        make_store(FILE_NAME);
        refused_after(bad[i], TIDE_ECORRUPT);
        ck_assert_int_eq(unlink(FILE_NAME), 0);
    }
}
END_TEST

START_TEST(a_bad_identity_is_damage)
{
    static foreign bad[][2] = {
        {{"meta", "store", "no uuid"}, {NULL, NULL, NULL}},
        {{"meta", "created", "yesterday"}, {NULL, NULL, NULL}},
        {{"meta", "store", NULL}, {NULL, NULL, NULL}},
        {{"meta", "created", NULL}, {NULL, NULL, NULL}},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        make_store(FILE_NAME);
        refused_after(bad[i], TIDE_ECORRUPT);
        ck_assert_int_eq(unlink(FILE_NAME), 0);
    }
}
END_TEST

/* ---- truncated and flipped ---------------------------------------------------------------------- */

/* What a child has got to; lives in memory that it shares with the test. */
typedef struct progress {
    uint64_t at;
    uint64_t refused, opened;
} progress;

typedef struct damage_job {
    test_bytes whole;
    progress *progress;
    uint64_t from, to;
} damage_job;

static void forget_files(void)
{
    (void)unlink(FILE_NAME);
    (void)unlink(FILE_NAME "-lock");
}

/* Runs the job in a child, so that a signal is a failure that names its place. */
static progress run_job(void (*fn)(void *ctx), damage_job *job)
{
    progress result;
    int status;

    job->progress = mmap(NULL, sizeof *job->progress, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(job->progress, MAP_FAILED);
    status = test_child(fn, job);
    result = *job->progress;
    munmap(job->progress, sizeof *job->progress);
    ck_assert_msg(!WIFSIGNALED(status), "signal %d at %llu", WTERMSIG(status),
                  (unsigned long long)result.at);
    ck_assert_msg(WEXITSTATUS(status) == 0, "failed at %llu", (unsigned long long)result.at);
    return result;
}

static void child_truncates(void *ctx)
{
    damage_job *job = ctx;

    for (uint64_t length = job->from; length < job->to; length++) {
        tide_store *store = (tide_store *)&store;
        test_bytes part = {job->whole.data, (size_t)length};
        int rc;

        job->progress->at = length;
        test_write_file(FILE_NAME, part.data, part.length);
        rc = tide_open(FILE_NAME, NULL, &store);
        child_assert(rc == (length < 2 * PAGE ? TIDE_EFORMAT : TIDE_ECORRUPT));
        child_assert(store == NULL);
        child_assert(test_file_is(FILE_NAME, part));
        job->progress->refused++;
    }
}

START_TEST(a_file_cut_by_1_to_4096_bytes_is_damaged)
{
    damage_job job;
    uint64_t length;

    make_store(FILE_NAME);
    job.whole = test_read_file(FILE_NAME);
    length = job.whole.length;
    ck_assert_uint_gt(length, 8 * PAGE);
    job.from = length - PAGE;
    job.to = length;
    forget_files();
    ck_assert_uint_eq(run_job(child_truncates, &job).refused, PAGE);
    free(job.whole.data);
}
END_TEST

START_TEST(a_file_cut_at_any_page_is_damaged)
{
    damage_job job;
    uint64_t pages;

    make_store(FILE_NAME);
    job.whole = test_read_file(FILE_NAME);
    pages = job.whole.length / PAGE;
    ck_assert_uint_eq(job.whole.length % PAGE, 0);
    forget_files();
    for (uint64_t page = 0; page < pages; page++) {
        job.from = page * PAGE;
        job.to = job.from + 1;
        ck_assert_uint_eq(run_job(child_truncates, &job).refused, 1);
    }
    job.from = PAGE - 1; /* around the ends of the two meta pages */
    job.to = PAGE + 2;
    run_job(child_truncates, &job);
    job.from = 2 * PAGE - 1;
    job.to = 2 * PAGE + 2;
    run_job(child_truncates, &job);
    free(job.whole.data);
}
END_TEST

static int stop_at_once(void *ctx, const uuid_t d, const uuid_t p, const char *resource,
                        const tide_mark *mark)
{
    (void)ctx;
    (void)d;
    (void)p;
    (void)resource;
    (void)mark;
    return 0;
}

/* Keys whose bars are not where they belong, in a file that is taken on trust: a walk that skips
 * goes by them. */
START_TEST(a_walk_over_damaged_keys_ends)
{
    static const char peer_text[] = "d0a2c1de-3a55-4c3b-8b0e-0f8f1a3f5a11";
    static const char *const keys[] = {
        "00000000-0000-0000-0000-000000000000\xff"
        "00000000-0000-0000-0000-000000000000|e",
        "00000000-0000-0000-0000-000000000000|00000000-0000-0000-0000-000000000000\xff"
        "e",
        "00000000-0000-0000-0000-000000000000\x01"
        "ffffffff-0000-0000-0000-000000000000|e",
    };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        foreign what[] = {{"marks", keys[i], "bad"}, {NULL, NULL, NULL}};
        tide_store *store = NULL;
        tide_options options;
        uuid_t peer;

        forget_files();
        make_store(FILE_NAME);
        test_child_ok(child_writes, what);
        tide_options_init(&options);
        options.verify_max_bytes = 0;
        ck_assert_int_eq(tide_open(FILE_NAME, &options, &store), TIDE_OK);
        uuid_parse(peer_text, peer);
        ck_assert_int_eq(tide_each(store, NULL, peer, NULL, stop_at_once, NULL), TIDE_ECORRUPT);
        ck_assert_int_eq(tide_each(store, NULL, NULL, "z", stop_at_once, NULL), TIDE_ECORRUPT);
        ck_assert_int_eq(tide_each(store, NULL, NULL, NULL, stop_at_once, NULL), TIDE_ECORRUPT);
        tide_close(store);
    }
}
END_TEST

/* Compares a walk with the store as it was made: every mark, all at the same time. */
typedef struct expected_walk {
    uint64_t seen;
    tide_time upto;
    bool wrong;
} expected_walk;

static int check_mark(void *ctx, const uuid_t d, const uuid_t p, const char *resource,
                      const tide_mark *mark)
{
    expected_walk *walk = ctx;
    uint64_t n = strtoull(resource + sizeof "resource-" - 1, NULL, 10);
    uuid_t device, peer;
    char name[32];

    test_numbered(n, device, peer, name);
    if (walk->seen == 0)
        walk->upto = mark->watermark;
    if (n >= COUNT || strcmp(name, resource) != 0 || memcmp(d, device, 16) != 0 ||
        memcmp(p, peer, 16) != 0 || mark->watermark != walk->upto) {
        walk->wrong = true;
    }
    walk->seen++;
    return 0;
}

/* A damaged file may be refused, or opened; but then every mark in it must be right. One bit in a
 * meta page can make the commit before the last one the newest: LMDB has no check there, and that
 * tree is whole, so with `may_fall_back` all marks of that commit are right, too. */
static void judge_damaged(damage_job *job, bool may_fall_back)
{
    expected_walk walk = {0, 0, false};
    tide_store *store = NULL;
    tide_mark mark;
    int rc = tide_open(FILE_NAME, NULL, &store);

    if (rc != TIDE_OK) {
        child_assert(rc == TIDE_EFORMAT || rc == TIDE_ECORRUPT);
        job->progress->refused++;
        return;
    }
    job->progress->opened++;
    child_assert(tide_each(store, NULL, NULL, NULL, check_mark, &walk) == TIDE_OK);
    child_assert(!walk.wrong);
    child_assert(walk.seen == COUNT);
    child_assert(walk.upto == 6 || (may_fall_back && walk.upto == 5));
    for (uint64_t n = 0; n < COUNT; n++) {
        uuid_t device, peer;
        char resource[32];

        test_numbered(n, device, peer, resource);
        child_assert(tide_get(store, device, peer, resource, &mark) == TIDE_OK);
        child_assert(mark.watermark == walk.upto);
    }
    tide_close(store);
}

static void child_flips(void *ctx)
{
    damage_job *job = ctx;
    test_random random = {job->from};

    for (uint64_t i = 0; i < job->to; i++) {
        uint64_t at = test_below(&random, job->whole.length * 8);

        if (i % 4 == 0)
            at = at / 8 / PAGE * PAGE * 8 + test_below(&random, 64 * 8); /* page heads */
        if (i % 16 == 1)
            at = test_below(&random, 160 * 8) + i / 16 % 2 * PAGE * 8; /* metas */
        job->progress->at = at;
        forget_files();
        job->whole.data[at / 8] ^= (unsigned char)(1U << at % 8);
        test_write_file(FILE_NAME, job->whole.data, job->whole.length);
        job->whole.data[at / 8] ^= (unsigned char)(1U << at % 8);
        judge_damaged(job, at / 8 < 2 * PAGE);
    }
}

START_TEST(a_flipped_bit_never_gives_another_mark)
{
    damage_job job;
    progress result;

    make_store(FILE_NAME);
    job.whole = test_read_file(FILE_NAME);
    job.from = 1; /* the seed */
    job.to = test_sanitized() ? 300 : 1500;
    result = run_job(child_flips, &job);
    ck_assert_uint_eq(result.refused + result.opened, job.to);
    ck_assert_uint_gt(result.refused, job.to / 4);
    free(job.whole.data);
}
END_TEST

static void child_overwrites_pages(void *ctx)
{
    damage_job *job = ctx;
    test_random random = {77};
    uint64_t pages = job->whole.length / PAGE;
    unsigned char *data = malloc(job->whole.length);

    child_assert(data != NULL);
    for (uint64_t i = 0; i < pages * 4; i++) {
        uint64_t page = i / 4;

        memcpy(data, job->whole.data, job->whole.length);
        switch (i % 4) {
        case 0: /* zeroes, as after a lost write */
            memset(data + page * PAGE, 0, PAGE);
            break;
        case 1: /* another page of the same file, as after a misplaced one */
            memcpy(data + page * PAGE, job->whole.data + (page + 3) % pages * PAGE, PAGE);
            break;
        case 2: /* half of the page */
            memset(data + page * PAGE + PAGE / 2, 0, PAGE / 2);
            break;
        default:
            for (size_t k = 0; k < PAGE; k++) {
                data[page * PAGE + k] = (unsigned char)test_next(&random);
            }
        }
        job->progress->at = i;
        forget_files();
        test_write_file(FILE_NAME, data, job->whole.length);
        judge_damaged(job, false);
    }
    free(data);
}

START_TEST(a_lost_or_misplaced_page_never_gives_another_mark)
{
    damage_job job;
    progress result;

    make_store(FILE_NAME);
    job.whole = test_read_file(FILE_NAME);
    job.from = job.to = 0;
    result = run_job(child_overwrites_pages, &job);
    ck_assert_uint_eq(result.refused + result.opened, job.whole.length / PAGE * 4);
    ck_assert_uint_gt(result.refused, job.whole.length / PAGE);
    free(job.whole.data);
}
END_TEST

START_TEST(bytes_behind_the_end_do_no_harm)
{
    test_bytes whole;
    unsigned char *longer;
    tide_store *store;

    make_store(FILE_NAME);
    whole = test_read_file(FILE_NAME);
    longer = calloc(1, whole.length + 10000);
    ck_assert_ptr_nonnull(longer);
    memcpy(longer, whole.data, whole.length);
    test_write_file(FILE_NAME, longer, whole.length + 10000);
    store = test_open(FILE_NAME, NULL);
    ck_assert_uint_eq(test_count_at(store, 0, COUNT, 6), COUNT);
    ck_assert_int_eq(test_fill(store, 0, COUNT, 7), TIDE_OK);
    tide_close(store);
    free(longer);
    free(whole.data);
}
END_TEST

/* ---- moved aside -------------------------------------------------------------------------------- */

typedef struct notice_state {
    int calls;
    char text[1024];
} notice_state;

static void notice(void *ctx, int code, const char *text)
{
    notice_state *state = ctx;

    (void)code;
    state->calls++;
    snprintf(state->text, sizeof state->text, "%s", text);
}

/* The one file that was moved aside; LMDB's lock file may have gone with it. */
static void find_evidence(char *name, size_t size)
{
    DIR *folder = opendir(".");
    const struct dirent *entry;
    int found = 0;

    ck_assert_ptr_nonnull(folder);
    while ((entry = readdir(folder)) != NULL) {
        const char *lock = strstr(entry->d_name, "-lock");

        if (strncmp(entry->d_name, FILE_NAME ".unusable-", sizeof FILE_NAME + 9) != 0)
            continue;
        if (lock != NULL && strcmp(lock, "-lock") == 0)
            continue;
        snprintf(name, size, "%s", entry->d_name);
        found++;
    }
    closedir(folder);
    ck_assert_int_eq(found, 1);
}

static tide_time the_time = INT64_C(1735725600000000000);

static void aside_options(tide_options *options, notice_state *state)
{
    test_options(options, 0);
    options->on_unusable = TIDE_MOVE_ASIDE;
    options->notice = notice;
    options->notice_ctx = state;
    options->clock = test_clock;
    options->clock_ctx = &the_time;
}

START_TEST(an_unusable_file_is_moved_aside_byte_for_byte)
{
    static const char text[] = "Dear diary,\nthis was no store.\n";
    test_bytes bytes = {(unsigned char *)strdup(text), sizeof text - 1};
    tide_info info = {.size = sizeof info};
    notice_state state = {0, ""};
    tide_options options;
    char name[256];
    tide_store *store;

    test_write_file(FILE_NAME, text, sizeof text - 1);
    aside_options(&options, &state);
    store = test_open(FILE_NAME, &options);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    ck_assert_uint_eq(info.marks, 0);
    ck_assert_int_eq(test_fill(store, 0, 10, 5), TIDE_OK);
    tide_close(store);
    find_evidence(name, sizeof name);
    ck_assert(test_file_is(name, bytes));
    ck_assert_int_eq(state.calls, 1);
    ck_assert_ptr_nonnull(strstr(state.text, name));
    ck_assert_ptr_null(strchr(state.text, '\n'));
    store = test_open(FILE_NAME, &options); /* the new one is used from now on */
    ck_assert_uint_eq(test_count_at(store, 0, 10, 5), 10);
    tide_close(store);
    find_evidence(name, sizeof name);
    ck_assert_int_eq(state.calls, 1);
    free(bytes.data);
}
END_TEST

/* The clock stands still: no evidence may overwrite earlier evidence. */
START_TEST(files_moved_aside_at_the_same_time_are_all_kept)
{
    notice_state state = {0, ""};
    tide_options options;
    bool seen[5] = {false};
    const struct dirent *entry;
    DIR *folder;

    aside_options(&options, &state);
    for (int i = 0; i < 5; i++) {
        char text[32];

        snprintf(text, sizeof text, "number %d", i);
        test_write_file(FILE_NAME, text, strlen(text));
        tide_close(test_open(FILE_NAME, &options));
        ck_assert_int_eq(state.calls, i + 1);
    }
    folder = opendir(".");
    ck_assert_ptr_nonnull(folder);
    while ((entry = readdir(folder)) != NULL) {
        test_bytes bytes;

        if (strncmp(entry->d_name, FILE_NAME ".unusable-", sizeof FILE_NAME + 9) != 0)
            continue;
        bytes = test_read_file(entry->d_name);
        if (bytes.length == 8 && memcmp(bytes.data, "number ", 7) == 0) {
            seen[bytes.data[7] - '0'] = true;
        }
        free(bytes.data);
    }
    closedir(folder);
    for (int i = 0; i < 5; i++) {
        ck_assert_msg(seen[i], "number %d is gone", i);
    }
}
END_TEST

START_TEST(a_newer_store_is_moved_aside)
{
    foreign newer[] = {{"meta", "format", "2"}, {NULL, NULL, NULL}};
    notice_state state = {0, ""};
    tide_options options;
    test_bytes evidence;
    char name[256];

    aside_options(&options, &state);
    make_store(FILE_NAME);
    test_child_ok(child_writes, newer);
    evidence = test_read_file(FILE_NAME);
    tide_close(test_open(FILE_NAME, &options));
    find_evidence(name, sizeof name);
    ck_assert(test_file_is(name, evidence));
    free(evidence.data);
}
END_TEST

START_TEST(a_truncated_store_is_moved_aside)
{
    notice_state state = {0, ""};
    tide_options options;
    test_bytes evidence;
    char name[256];

    aside_options(&options, &state);
    make_store(FILE_NAME);
    ck_assert_int_eq(truncate(FILE_NAME, (off_t)test_file_size(FILE_NAME) - 1), 0);
    evidence = test_read_file(FILE_NAME);
    tide_close(test_open(FILE_NAME, &options));
    find_evidence(name, sizeof name);
    ck_assert(test_file_is(name, evidence));
    ck_assert_int_eq(state.calls, 1);
    free(evidence.data);
}
END_TEST

START_TEST(a_good_or_missing_file_is_not_moved)
{
    notice_state state = {0, ""};
    tide_options options;
    tide_store *store;

    aside_options(&options, &state);
    tide_close(test_open(FILE_NAME, &options));
    ck_assert_uint_eq(test_entries(), 2);
    forget_files();
    make_store(FILE_NAME);
    store = test_open(FILE_NAME, &options);
    ck_assert_uint_eq(test_count_at(store, 0, COUNT, 6), COUNT);
    tide_close(store);
    ck_assert_uint_eq(test_entries(), 2);
    ck_assert_int_eq(state.calls, 0);
}
END_TEST

static void child_without_permission(void *ctx)
{
    tide_store *store = NULL;

    if (geteuid() == 0)
        child_assert(setgid(65534) == 0 && setuid(65534) == 0);
    child_assert(tide_open(FILE_NAME, ctx, &store) == TIDE_EACCES);
    child_assert(store == NULL);
}

START_TEST(a_file_that_may_not_be_read_is_not_moved)
{
    notice_state state = {0, ""};
    tide_options options;
    test_bytes whole;

    aside_options(&options, &state);
    make_store(FILE_NAME);
    whole = test_read_file(FILE_NAME);
    ck_assert_int_eq(chmod(".", 0777), 0);
    ck_assert_int_eq(chmod(FILE_NAME, 0), 0);
    test_child_ok(child_without_permission, &options);
    ck_assert_uint_eq(test_entries(), 2);
    ck_assert_int_eq(chmod(FILE_NAME, 0600), 0);
    ck_assert(test_file_is(FILE_NAME, whole));
    free(whole.data);
}
END_TEST

START_TEST(a_file_that_must_exist_cannot_be_moved_aside)
{
    test_bytes bytes = {(unsigned char *)strdup("no store"), 8};
    notice_state state = {0, ""};
    tide_options options;

    aside_options(&options, &state);
    options.flags = TIDE_MUST_EXIST;
    test_write_file(FILE_NAME, bytes.data, bytes.length);
    open_fails(FILE_NAME, &options, TIDE_EINVAL);
    ck_assert(test_file_is(FILE_NAME, bytes));
    ck_assert_uint_eq(test_entries(), 1);
    free(bytes.data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damage");
    TCase *test = test_case(suite, "damage");

    tcase_add_test(test, an_empty_file_is_no_store);
    tcase_add_test(test, a_text_is_no_store);
    tcase_add_test(test, random_bytes_are_no_store);
    tcase_add_test(test, a_sqlite_file_is_no_store);
    tcase_add_test(test, an_lmdb_file_of_another_program_is_no_store);
    tcase_add_test(test, an_lmdb_file_with_databases_of_our_names_is_no_store);
    tcase_add_test(test, another_format_version_is_refused);
    tcase_add_test(test, a_store_without_its_version_is_refused);
    tcase_add_test(test, the_golden_record_is_none_of_them);
    tcase_add_loop_test(test, a_damaged_record_is_found_at_open, 0,
                        (int)(sizeof damages / sizeof *damages));
    tcase_add_test(test, a_damaged_record_is_an_error_and_never_absent);
    tcase_add_test(test, a_bad_identity_is_damage);
    tcase_add_test(test, a_bad_number_of_a_commit_is_damage);
    tcase_add_test(test, a_file_cut_by_1_to_4096_bytes_is_damaged);
    tcase_add_test(test, a_file_cut_at_any_page_is_damaged);
    tcase_add_test(test, a_walk_over_damaged_keys_ends);
    tcase_add_test(test, a_flipped_bit_never_gives_another_mark);
    tcase_add_test(test, a_lost_or_misplaced_page_never_gives_another_mark);
    tcase_add_test(test, bytes_behind_the_end_do_no_harm);
    tcase_add_test(test, an_unusable_file_is_moved_aside_byte_for_byte);
    tcase_add_test(test, files_moved_aside_at_the_same_time_are_all_kept);
    tcase_add_test(test, a_newer_store_is_moved_aside);
    tcase_add_test(test, a_truncated_store_is_moved_aside);
    tcase_add_test(test, a_good_or_missing_file_is_not_moved);
    tcase_add_test(test, a_file_that_may_not_be_read_is_not_moved);
    tcase_add_test(test, a_file_that_must_exist_cannot_be_moved_aside);
    return test_run(suite);
}
