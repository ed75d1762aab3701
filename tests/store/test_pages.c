/* Every bit of a small store flipped in turn, every length, every page in another's place, and every
 * page as it was some commits ago: opening and reading answer with the right marks or a typed error. */
#define _GNU_SOURCE 1
#include <tidemark/store.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define PAGE 4096
#define COUNT 100 /* marks */
#define COMMITS 9
#define JUDGE_SECONDS 60 /* then it is said to hang */

/* Commit `k` of 1 to COMMITS raises every third mark to `k`; the first one makes them all. */
static tide_time mark_at(uint64_t n, int k)
{
    while (k > 1 && n % 3 != (uint64_t)k % 3)
        k--;
    return k;
}

static test_bytes states[COMMITS + 1]; /* the file after each commit */
static test_bytes whole;               /* and after the last */

static void make_store(void)
{
    tide_store *store = test_open(FILE_NAME, NULL);

    for (int k = 1; k <= COMMITS; k++) {
        for (uint64_t n = 0; n < COUNT; n++) {
            uuid_t device, peer;
            char resource[32];
            tide_step step = {device, peer, resource, TIDE_TIME_NONE, k, TIDE_TIME_NONE};

            test_numbered(n, device, peer, resource);
            if (k == 1 || n % 3 == (uint64_t)k % 3)
                ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
        }
        ck_assert_int_eq(tide_flush(store), TIDE_OK);
        states[k] = test_read_file(FILE_NAME);
    }
    tide_close(store);
    whole = test_read_file(FILE_NAME);
}

static void free_store(void)
{
    for (int k = 1; k <= COMMITS; k++)
        free(states[k].data);
    free(whole.data);
}

/* ---- judging ------------------------------------------------------------------------------------ */

/* What the child has got to, and found; shared with the test. */
static struct {
    uint64_t at, refused, right, older;
} * found;

typedef struct judgement {
    uint64_t seen;
    bool wrong;        /* one is what it never was */
    bool last, before; /* all are as after the last commit; as after the one before */
} judgement;

static int judge_mark(void *ctx, const uuid_t d, const uuid_t p, const char *resource,
                      const tide_mark *mark)
{
    judgement *j = ctx;
    uint64_t n = strtoull(resource + sizeof "resource-" - 1, NULL, 10);
    uuid_t device, peer;
    char name[32];
    bool once = false;

    test_numbered(n, device, peer, name);
    for (int k = 1; k <= COMMITS; k++)
        once |= mark->watermark == mark_at(n, k);
    j->wrong |= n >= COUNT || strcmp(name, resource) != 0 || memcmp(d, device, 16) != 0 ||
                memcmp(p, peer, 16) != 0 || !once;
    j->last &= mark->watermark == mark_at(n, COMMITS);
    j->before &= mark->watermark == mark_at(n, COMMITS - 1);
    j->seen++;
    return 0;
}

/* What may be there instead of the marks of the last commit. A meta page has no check in LMDB: one
 * that is damaged can leave the commit before the last as the newest, and that tree is whole. */
enum { LAST, FALLS_BACK };

static void judge(const unsigned char *data, size_t length, int allowed)
{
    judgement j = {0, false, true, true};
    tide_store *store = NULL;
    int rc;

    (void)unlink(FILE_NAME);
    (void)unlink(FILE_NAME "-lock");
    test_write_file(FILE_NAME, data, length);
    alarm(JUDGE_SECONDS);
    rc = tide_open(FILE_NAME, NULL, &store);
    if (rc != TIDE_OK) {
        child_assert((rc == TIDE_EFORMAT || rc == TIDE_ECORRUPT) && store == NULL);
        found->refused++;
        return;
    }
    child_assert(tide_each(store, NULL, NULL, NULL, judge_mark, &j) == TIDE_OK);
    child_assert(!j.wrong && j.seen == COUNT);
    child_assert(j.last || (allowed == FALLS_BACK && j.before));
    for (uint64_t n = 0; n < COUNT; n++) {
        uuid_t device, peer;
        char resource[32];
        tide_mark mark;

        test_numbered(n, device, peer, resource);
        child_assert(tide_get(store, device, peer, resource, &mark) == TIDE_OK);
        child_assert(!j.last || mark.watermark == mark_at(n, COMMITS));
    }
    tide_close(store);
    found->right += j.last;
    found->older += !j.last;
}

/* In a child, so that a signal is a failure that names its place. */
static void try_all(const char *what, void (*fn)(void *ctx))
{
    int status;

    make_store();
    (void)signal(SIGALRM, SIG_DFL); /* of the child; it is not Check's */
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(found, MAP_FAILED);
    status = test_child(fn, NULL);
    fprintf(stderr, "%s: %llu refused, %llu right, %llu older\n", what,
            (unsigned long long)found->refused, (unsigned long long)found->right,
            (unsigned long long)found->older);
    ck_assert_msg(!WIFSIGNALED(status), "signal %d at %llu", WTERMSIG(status),
                  (unsigned long long)found->at);
    ck_assert_msg(WEXITSTATUS(status) == 0, "failed at %llu", (unsigned long long)found->at);
    ck_assert_uint_gt(found->refused, 0);
    munmap(found, sizeof *found);
    free_store();
}

/* So that about `most` of `count` are tried, and not always the same bit of a byte. */
static uint64_t stride(uint64_t count, uint64_t most)
{
    most = test_most(most);
    return most == 0 || most > count ? 1 : count / most | 1;
}

/* ---- what is done to the file ------------------------------------------------------------------- */

static void child_flips(void *ctx)
{
    uint64_t bits = whole.length * 8, step = stride(bits, 4000);

    (void)ctx;
    for (uint64_t at = 0; at < bits; at += step) {
        unsigned char bit = (unsigned char)(1U << at % 8);

        found->at = at;
        whole.data[at / 8] ^= bit;
        judge(whole.data, whole.length, at / 8 < 2 * PAGE ? FALLS_BACK : LAST);
        whole.data[at / 8] ^= bit;
    }
}

START_TEST(every_bit)
{
    try_all("bits flipped", child_flips);
}
END_TEST

static void child_cuts(void *ctx)
{
    uint64_t step = stride(whole.length, 500);

    (void)ctx;
    for (uint64_t length = 0; length < whole.length; length += step) {
        found->at = length;
        judge(whole.data, length, LAST);
    }
    for (uint64_t length = 0; length < whole.length; length += PAGE) {
        found->at = length;
        judge(whole.data, length, LAST);
    }
    child_assert(found->right == 0);
}

START_TEST(every_length)
{
    try_all("cut", child_cuts);
}
END_TEST

/* Each page over each other one, and the two of them in each other's place. */
static void child_swaps(void *ctx)
{
    uint64_t pages = whole.length / PAGE;
    unsigned char *data = malloc(whole.length);

    (void)ctx;
    child_assert(data != NULL);
    for (uint64_t i = 0; i < pages * pages * 2; i++) {
        uint64_t to = i / 2 % pages, from = i / 2 / pages;
        int allowed = to < 2 || (i % 2 == 1 && from < 2) ? FALLS_BACK : LAST;

        found->at = i;
        memcpy(data, whole.data, whole.length);
        memcpy(data + to * PAGE, whole.data + from * PAGE, PAGE);
        if (i % 2 == 1)
            memcpy(data + from * PAGE, whole.data + to * PAGE, PAGE);
        judge(data, whole.length, allowed);
    }
    free(data);
}

START_TEST(every_page_in_anothers_place)
{
    try_all("misplaced", child_swaps);
}
END_TEST

/* Each page as it was after each earlier commit: a write that was lost. */
static void child_ages(void *ctx)
{
    unsigned char *data = malloc(whole.length);

    (void)ctx;
    child_assert(data != NULL);
    for (int k = 1; k < COMMITS; k++) {
        for (uint64_t page = 0; page < states[k].length / PAGE; page++) {
            found->at = (uint64_t)k * 1000 + page;
            if (memcmp(states[k].data + page * PAGE, whole.data + page * PAGE, PAGE) == 0)
                continue;
            memcpy(data, whole.data, whole.length);
            memcpy(data + page * PAGE, states[k].data + page * PAGE, PAGE);
            judge(data, whole.length, page < 2 ? FALLS_BACK : LAST);
        }
    }
    free(data);
}

START_TEST(every_page_as_it_was)
{
    try_all("stale", child_ages);
}
END_TEST

static void child_zeroes(void *ctx)
{
    unsigned char *data = malloc(whole.length);

    (void)ctx;
    child_assert(data != NULL);
    for (uint64_t from = 0; from < whole.length; from += PAGE / 2) {
        for (uint64_t size = PAGE / 2; size <= PAGE; size *= 2) {
            found->at = from;
            memcpy(data, whole.data, whole.length);
            memset(data + from, 0, from + size > whole.length ? whole.length - from : size);
            judge(data, whole.length, from < 2 * PAGE ? FALLS_BACK : LAST);
        }
    }
    free(data);
}

START_TEST(every_page_of_zeroes)
{
    try_all("zeroed", child_zeroes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pages");
    TCase *test = test_case(suite, "pages");

    tcase_set_timeout(test, 0);
    tcase_add_test(test, every_bit);
    tcase_add_test(test, every_length);
    tcase_add_test(test, every_page_in_anothers_place);
    tcase_add_test(test, every_page_as_it_was);
    tcase_add_test(test, every_page_of_zeroes);
    return test_run(suite);
}
