/* support.h - what the test programs share: a folder for each test, a seeded generator, whole
 * files, children, and a second process that works on a store at our word.
 *
 * Every test runs inside its own empty folder, so that paths in tests are plain names; the folder
 * goes away with the program, also when the test crashed. Failures in a child are told with
 * child_assert, because Check's own assertions belong to the process that runs the test.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_H
#define TIDEMARK_TESTS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uuid/uuid.h>

#include <check.h>

#include <tidemark/store.h>

/* ck_assert for the inside of long loops: Check's own writes to a file each time it holds. */
#define test_require(condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("Assertion '%s' failed", #condition);                                     \
    } while (0)

/* ---- programs and folders ----------------------------------------------------------------------- */

/* Runs the suite and frees it; returns the exit status of the program. */
int test_run(Suite *suite);

/* A new case of the suite in which every test has its own empty folder as working directory. */
TCase *test_case(Suite *suite, const char *name);

/* Says in words that a test cannot run here. */
void test_skipped(const char *test, const char *why);

/* Whether the program is built with a sanitizer that needs the address space for itself. */
bool test_sanitized(void);

/* How many cases of a kind a test tries: TIDEMARK_TEST_MOST where that is set, 0 for all there are. */
uint64_t test_most(uint64_t most);

/* The number of entries of the working directory, without "." and "..". */
size_t test_entries(void);

/* ---- a generator of our own, the same numbers on every machine ---------------------------------- */

typedef struct test_random {
    uint64_t state;
} test_random;

uint64_t test_next(test_random *random);
uint64_t test_below(test_random *random, uint64_t limit); /* 0 to limit - 1 */
tide_time test_any_time(test_random *random);             /* TIDE_TIME_MIN to TIDE_TIME_MAX */

/* UUID number `n`: always the same 16 bytes, different for different n. */
void test_uuid(uuid_t out, uint64_t n);

/* ---- files -------------------------------------------------------------------------------------- */

typedef struct test_bytes {
    unsigned char *data;
    size_t length;
} test_bytes;

test_bytes test_read_file(const char *path); /* the caller frees .data */
void test_write_file(const char *path, const void *data, size_t length);
bool test_same_bytes(test_bytes left, test_bytes right);
bool test_file_is(const char *path, test_bytes expected);
uint64_t test_file_size(const char *path);

/* ---- stores ------------------------------------------------------------------------------------- */

/* A tide_clock_fn that answers the tide_time ctx points to. */
tide_time test_clock(void *ctx);

/* Options with a small map of `map_size_bytes` (0: the default). */
void test_options(tide_options *options, uint64_t map_size_bytes);

/* Opens or fails the test. */
tide_store *test_open(const char *path, const tide_options *options);

/* Mark number `n` of a big set: its own device, peer and resource. */
void test_numbered(uint64_t n, uuid_t device, uuid_t peer, char resource[32]);

/* Raises the marks number first to first + count - 1 to `upto`, durably, many to a commit. Returns
 * the first answer that is not TIDE_OK. */
int test_fill(tide_store *store, uint64_t first, uint64_t count, tide_time upto);

/* How many of those marks stand exactly at `upto`. */
uint64_t test_count_at(tide_store *store, uint64_t first, uint64_t count, tide_time upto);

/* ---- children ----------------------------------------------------------------------------------- */

/* In a child: says where and ends the child with status 1. */
_Noreturn void test_child_failed(const char *file, int line, const char *what);
#define child_assert(condition)                                                                    \
    ((condition) ? (void)0 : test_child_failed(__FILE__, __LINE__, #condition))

/* Forks, runs fn(ctx) in the child, waits; returns the status as of waitpid. */
int test_child(void (*fn)(void *ctx), void *ctx);

/* The same, and fails the test unless the child ended with status 0. */
void test_child_ok(void (*fn)(void *ctx), void *ctx);

/* A pair of one-byte messages between two processes or threads. */
typedef struct test_signal {
    int read_fd, write_fd;
} test_signal;

void test_signal_make(test_signal *signal);
void test_signal_send(const test_signal *signal);
bool test_signal_wait(const test_signal *signal); /* false: the other side has gone */
void test_signal_close(test_signal *signal);

/* ---- a second process --------------------------------------------------------------------------- */

/* A process with a store of its own. Start it before this process opens any store. Its calls answer
 * what the call answered over there. It ends when this process does. */
typedef struct test_remote {
    pid_t pid;
    int to_fd, from_fd;
} test_remote;

void test_remote_start(test_remote *remote);
void test_remote_stop(
    test_remote *remote); /* closes its store; fails the test unless it ended well */

int test_remote_open(test_remote *remote, const char *path, uint64_t map_size_bytes);
void test_remote_close(test_remote *remote);
int test_remote_get(test_remote *remote, const uuid_t device, const uuid_t peer,
                    const char *resource, tide_mark *out);
int test_remote_advance(test_remote *remote, const uuid_t device, const uuid_t peer,
                        const char *resource, tide_time upto);
int test_remote_set(test_remote *remote, const uuid_t device, const uuid_t peer,
                    const char *resource, tide_time expected, tide_time desired);
int test_remote_step(test_remote *remote, const tide_step *step);
int test_remote_fill(test_remote *remote, uint64_t first, uint64_t count, tide_time upto);
uint64_t test_remote_count_at(test_remote *remote, uint64_t first, uint64_t count, tide_time upto);

#endif
