#define _GNU_SOURCE 1
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESOURCE_SIZE 512
#define PATH_SIZE 256
#define FILL_STEPS 256

/* ---- programs and folders ----------------------------------------------------------------------- */

static char base_folder[PATH_MAX]; /* of the program; the folders of the tests are inside */
static int home_fd = -1;           /* where the program was started */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static void enter_folder(void)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/XXXXXX", base_folder);
    ck_assert_ptr_nonnull(mkdtemp(path));
    ck_assert_int_eq(chdir(path), 0);
}

static void leave_folder(void)
{
    char path[PATH_MAX];

    ck_assert_ptr_nonnull(getcwd(path, sizeof path));
    ck_assert_int_eq(fchdir(home_fd), 0);
    ck_assert_int_eq(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

TCase *test_case(Suite *suite, const char *name)
{
    TCase *test = tcase_create(name);

    tcase_add_checked_fixture(test, enter_folder, leave_folder);
    tcase_set_timeout(test, 300);
    suite_add_tcase(suite, test);
    return test;
}

int test_run(Suite *suite)
{
    const char *root = getenv("TMPDIR");
    SRunner *runner;
    int failed;

    snprintf(base_folder, sizeof base_folder, "%s/tidemark-test-XXXXXX",
             root != NULL && *root != '\0' ? root : "/tmp");
    home_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (home_fd < 0 || mkdtemp(base_folder) == NULL || chmod(base_folder, 0755) != 0) {
        perror(base_folder);
        srunner_free(srunner_create(suite));
        return EXIT_FAILURE;
    }
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (fchdir(home_fd) != 0 || nftw(base_folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        perror(base_folder);
        failed++;
    }
    close(home_fd);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void test_skipped(const char *test, const char *why)
{
    fprintf(stderr, "skipped: %s: %s\n", test, why);
}

bool test_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

uint64_t test_most(uint64_t most)
{
    const char *text = getenv("TIDEMARK_TEST_MOST");

    return text == NULL ? most : strtoull(text, NULL, 10);
}

size_t test_entries(void)
{
    DIR *folder = opendir(".");
    const struct dirent *entry;
    size_t count = 0;

    ck_assert_ptr_nonnull(folder);
    while ((entry = readdir(folder)) != NULL) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(folder);
    return count;
}

/* ---- the generator ------------------------------------------------------------------------------ */

uint64_t test_next(test_random *random) /* SplitMix64 */
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t test_below(test_random *random, uint64_t limit)
{
    return test_next(random) % limit;
}

tide_time test_any_time(test_random *random)
{
    for (;;) {
        uint64_t bits = test_next(random);
        tide_time time;

        memcpy(&time, &bits, sizeof time);
        if (time != TIDE_TIME_NONE)
            return time;
    }
}

void test_uuid(uuid_t out, uint64_t n)
{
    test_random random = {n};
    uint64_t words[2];

    words[0] = test_next(&random);
    words[1] = test_next(&random);
    for (size_t i = 0; i < 16; i++) {
        out[i] = (unsigned char)(words[i / 8] >> (8 * (i % 8)));
    }
}

/* ---- files -------------------------------------------------------------------------------------- */

test_bytes test_read_file(const char *path)
{
    test_bytes bytes = {NULL, 0};
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(fstat(fd, &info), 0);
    bytes.length = (size_t)info.st_size;
    bytes.data = malloc(bytes.length + 1);
    ck_assert_ptr_nonnull(bytes.data);
    ck_assert_int_eq(read(fd, bytes.data, bytes.length + 1), (ssize_t)bytes.length);
    close(fd);
    return bytes;
}

void test_write_file(const char *path, const void *data, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(write(fd, data, length), (ssize_t)length);
    ck_assert_int_eq(close(fd), 0);
}

bool test_same_bytes(test_bytes left, test_bytes right)
{
    return left.length == right.length && memcmp(left.data, right.data, left.length) == 0;
}

bool test_file_is(const char *path, test_bytes expected)
{
    test_bytes now = test_read_file(path);
    bool same = test_same_bytes(now, expected);

    free(now.data);
    return same;
}

uint64_t test_file_size(const char *path)
{
    struct stat info;

    ck_assert_int_eq(stat(path, &info), 0);
    return (uint64_t)info.st_size;
}

/* ---- stores ------------------------------------------------------------------------------------- */

tide_time test_clock(void *ctx)
{
    return *(const tide_time *)ctx;
}

void test_options(tide_options *options, uint64_t map_size_bytes)
{
    tide_options_init(options);
    if (map_size_bytes != 0)
        options->map_size_bytes = map_size_bytes;
}

tide_store *test_open(const char *path, const tide_options *options)
{
    tide_store *store = NULL;
    int rc = tide_open(path, options, &store);

    ck_assert_msg(rc == TIDE_OK, "tide_open(%s): %s", path, tide_code_name(rc));
    ck_assert_ptr_nonnull(store);
    return store;
}

void test_numbered(uint64_t n, uuid_t device, uuid_t peer, char resource[32])
{
    test_uuid(device, n % 7);
    test_uuid(peer, 100 + n % 31);
    snprintf(resource, 32, "resource-%llu", (unsigned long long)n);
}

int test_fill(tide_store *store, uint64_t first, uint64_t count, tide_time upto)
{
    static const size_t most = FILL_STEPS;
    unsigned char uuids[FILL_STEPS][2][16];
    char resources[FILL_STEPS][32];
    tide_step steps[FILL_STEPS];

    while (count > 0) {
        size_t some = count < most ? (size_t)count : most;
        int rc;

        for (size_t i = 0; i < some; i++) {
            test_numbered(first + i, uuids[i][0], uuids[i][1], resources[i]);
            steps[i] = (tide_step){.device = uuids[i][0],
                                   .peer = uuids[i][1],
                                   .resource = resources[i],
                                   .after = TIDE_TIME_NONE,
                                   .upto = upto,
                                   .epoch = TIDE_TIME_NONE};
        }
        rc = tide_advance_many(store, steps, some, TIDE_DURABLE);
        if (rc != TIDE_OK)
            return rc;
        first += some;
        count -= some;
    }
    return TIDE_OK;
}

uint64_t test_count_at(tide_store *store, uint64_t first, uint64_t count, tide_time upto)
{
    uint64_t found = 0;

    for (uint64_t n = first; n < first + count; n++) {
        uuid_t device, peer;
        char resource[32];
        tide_mark mark;

        test_numbered(n, device, peer, resource);
        if (tide_get(store, device, peer, resource, &mark) != TIDE_OK)
            continue;
        if (mark.watermark == upto)
            found++;
    }
    return found;
}

/* ---- children ----------------------------------------------------------------------------------- */

_Noreturn void test_child_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: in a child: %s\n", file, line, what);
    fflush(stderr);
    _exit(1);
}

int test_child(void (*fn)(void *ctx), void *ctx)
{
    int status = 0;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        fn(ctx);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0) {
        ck_assert_int_eq(errno, EINTR);
    }
    return status;
}

void test_child_ok(void (*fn)(void *ctx), void *ctx)
{
    int status = test_child(fn, ctx);

    ck_assert_msg(!WIFSIGNALED(status), "the child died of signal %d", WTERMSIG(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}

void test_signal_make(test_signal *signal)
{
    int fds[2];

    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    signal->read_fd = fds[0];
    signal->write_fd = fds[1];
}

void test_signal_send(const test_signal *signal)
{
    char byte = '!';

    if (write(signal->write_fd, &byte, 1) != 1)
        abort();
}

bool test_signal_wait(const test_signal *signal)
{
    char byte;

    return read(signal->read_fd, &byte, 1) == 1;
}

void test_signal_close(test_signal *signal)
{
    close(signal->read_fd);
    close(signal->write_fd);
}

/* ---- a second process --------------------------------------------------------------------------- */

enum { DO_OPEN, DO_CLOSE, DO_GET, DO_STEP, DO_SET, DO_ADVANCE, DO_FILL, DO_COUNT };

typedef struct request {
    int what;
    uint64_t first, count, map_size_bytes;
    tide_time time, other_time, epoch;
    unsigned char device[16], peer[16];
    char text[RESOURCE_SIZE]; /* resource or path */
} request;

typedef struct reply {
    int rc;
    tide_mark mark;
    uint64_t count;
} reply;

static bool read_all(int fd, void *data, size_t length)
{
    unsigned char *at = data;

    while (length > 0) {
        ssize_t got = read(fd, at, length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        length -= (size_t)got;
    }
    return true;
}

static bool write_all(int fd, const void *data, size_t length)
{
    const unsigned char *at = data;

    while (length > 0) {
        ssize_t put = write(fd, at, length);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        at += put;
        length -= (size_t)put;
    }
    return true;
}

static void serve(tide_store **store, const request *ask, reply *answer)
{
    tide_options options;
    tide_step step;

    switch (ask->what) {
    case DO_OPEN:
        test_options(&options, ask->map_size_bytes);
        answer->rc = tide_open(ask->text, &options, store);
        break;
    case DO_CLOSE:
        tide_close(*store);
        *store = NULL;
        break;
    case DO_GET:
        answer->rc = tide_get(*store, ask->device, ask->peer, ask->text, &answer->mark);
        break;
    case DO_STEP:
        step =
            (tide_step){ask->device, ask->peer, ask->text, ask->time, ask->other_time, ask->epoch};
        answer->rc = tide_advance_many(*store, &step, 1, TIDE_DURABLE);
        break;
    case DO_SET:
        answer->rc = tide_compare_and_set(*store, ask->device, ask->peer, ask->text, ask->time,
                                          ask->other_time);
        break;
    case DO_ADVANCE:
        answer->rc = tide_advance(*store, ask->device, ask->peer, ask->text, ask->time);
        break;
    case DO_FILL:
        answer->rc = test_fill(*store, ask->first, ask->count, ask->time);
        break;
    case DO_COUNT:
        answer->count = test_count_at(*store, ask->first, ask->count, ask->time);
        break;
    default:
        test_child_failed(__FILE__, __LINE__, "an unknown request");
    }
}

static _Noreturn void remote_main(int in_fd, int out_fd)
{
    tide_store *store = NULL;
    request ask;

    while (read_all(in_fd, &ask, sizeof ask)) {
        reply answer;

        memset(&answer, 0, sizeof answer);
        serve(&store, &ask, &answer);
        if (!write_all(out_fd, &answer, sizeof answer))
            break;
    }
    tide_close(store);
    _exit(0);
}

void test_remote_start(test_remote *remote)
{
    int to[2], from[2];

    ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
    fflush(NULL);
    remote->pid = fork();
    ck_assert_int_ge(remote->pid, 0);
    if (remote->pid == 0) {
        close(to[1]);
        close(from[0]);
        remote_main(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    remote->to_fd = to[1];
    remote->from_fd = from[0];
}

void test_remote_stop(test_remote *remote)
{
    int status = 0;

    close(remote->to_fd);
    close(remote->from_fd);
    ck_assert_int_eq(waitpid(remote->pid, &status, 0), remote->pid);
    ck_assert_int_eq(status, 0);
}

static reply call(test_remote *remote, const request *ask)
{
    reply answer;

    memset(&answer, 0, sizeof answer);
    ck_assert(write_all(remote->to_fd, ask, sizeof *ask));
    ck_assert_msg(read_all(remote->from_fd, &answer, sizeof answer), "the second process is gone");
    return answer;
}

static request about(int what, const unsigned char *device, const unsigned char *peer,
                     const char *text)
{
    request ask;

    memset(&ask, 0, sizeof ask);
    ask.what = what;
    if (device != NULL)
        memcpy(ask.device, device, 16);
    if (peer != NULL)
        memcpy(ask.peer, peer, 16);
    if (text != NULL)
        snprintf(ask.text, sizeof ask.text, "%s", text);
    return ask;
}

int test_remote_open(test_remote *remote, const char *path, uint64_t map_size_bytes)
{
    request ask = about(DO_OPEN, NULL, NULL, path);

    ask.map_size_bytes = map_size_bytes;
    return call(remote, &ask).rc;
}

void test_remote_close(test_remote *remote)
{
    request ask = about(DO_CLOSE, NULL, NULL, NULL);

    call(remote, &ask);
}

int test_remote_get(test_remote *remote, const uuid_t device, const uuid_t peer,
                    const char *resource, tide_mark *out)
{
    request ask = about(DO_GET, device, peer, resource);
    reply answer = call(remote, &ask);

    *out = answer.mark;
    return answer.rc;
}

int test_remote_advance(test_remote *remote, const uuid_t device, const uuid_t peer,
                        const char *resource, tide_time upto)
{
    request ask = about(DO_ADVANCE, device, peer, resource);

    ask.time = upto;
    return call(remote, &ask).rc;
}

int test_remote_set(test_remote *remote, const uuid_t device, const uuid_t peer,
                    const char *resource, tide_time expected, tide_time desired)
{
    request ask = about(DO_SET, device, peer, resource);

    ask.time = expected;
    ask.other_time = desired;
    return call(remote, &ask).rc;
}

int test_remote_step(test_remote *remote, const tide_step *step)
{
    request ask = about(DO_STEP, step->device, step->peer, step->resource);

    ask.time = step->after;
    ask.other_time = step->upto;
    ask.epoch = step->epoch;
    return call(remote, &ask).rc;
}

int test_remote_fill(test_remote *remote, uint64_t first, uint64_t count, tide_time upto)
{
    request ask = about(DO_FILL, NULL, NULL, NULL);

    ask.first = first;
    ask.count = count;
    ask.time = upto;
    return call(remote, &ask).rc;
}

uint64_t test_remote_count_at(test_remote *remote, uint64_t first, uint64_t count, tide_time upto)
{
    request ask = about(DO_COUNT, NULL, NULL, NULL);

    ask.first = first;
    ask.count = count;
    ask.time = upto;
    return call(remote, &ask).count;
}
