/* Opening: options, paths, permissions, and that all handles of one file in a process share one open. */
#define _GNU_SOURCE 1
#include <tidemark/store.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define NOBODY 65534

static uuid_t device, peer;

static void set_up(void)
{
    test_uuid(device, 1);
    test_uuid(peer, 2);
}

static tide_time watermark(tide_store *store, const char *resource)
{
    tide_mark mark = {TIDE_TIME_NONE, 0, 0};
    int rc = tide_get(store, device, peer, resource, &mark);

    ck_assert(rc == TIDE_OK || rc == TIDE_ABSENT);
    return mark.watermark;
}

static tide_info info_of(tide_store *store)
{
    tide_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    return info;
}

/* Opens and expects this failure. */
static void open_fails(const char *path, const tide_options *options, int expected)
{
    tide_store *store = (tide_store *)&store; /* any pointer but NULL */
    int rc = tide_open(path, options, &store);

    ck_assert_msg(rc == expected, "%s: %s, not %s", path, tide_code_name(rc),
                  tide_code_name(expected));
    ck_assert_ptr_null(store);
}

/* ---- options ------------------------------------------------------------------------------------ */

START_TEST(the_defaults_are_those_of_the_header)
{
    tide_options options;

    memset(&options, 0x5a, sizeof options);
    tide_options_init(&options);
    ck_assert_uint_eq(options.size, sizeof options);
    ck_assert_uint_eq(options.flags, 0);
    ck_assert(options.durability == TIDE_DEFAULT_DURABILITY || options.durability == TIDE_DURABLE);
    ck_assert_uint_eq(options.on_unusable, TIDE_REFUSE);
    ck_assert_uint_eq(options.max_readers, 1024);
    ck_assert_uint_eq(options.flush_interval_ms, 0);
    ck_assert_uint_eq(options.map_size_bytes, UINT64_C(64) << 30);
    ck_assert_uint_eq(options.max_size_bytes, UINT64_C(1) << 40);
    ck_assert(options.notice == NULL);
    ck_assert(options.clock == NULL);
}
END_TEST

START_TEST(bad_options_are_refused_and_make_nothing)
{
    tide_options good, bad;

    tide_options_init(&good);
#define REFUSED(field, value)                                                                      \
    do {                                                                                           \
        bad = good;                                                                                \
        bad.field = (value);                                                                       \
        open_fails(FILE_NAME, &bad, TIDE_EINVAL);                                                  \
    } while (0)
    REFUSED(size, 0);
    REFUSED(flags, 2);
    REFUSED(flags, TIDE_MUST_EXIST | 0x80000000U);
    REFUSED(durability, 3);
    REFUSED(on_unusable, 2);
    REFUSED(map_size_bytes, UINT64_MAX);
    REFUSED(max_readers, 0);
    REFUSED(max_readers, 65537);
    REFUSED(map_size_bytes, 0);
    REFUSED(map_size_bytes, 65535);
#undef REFUSED
    ck_assert_uint_eq(test_entries(), 0);
}
END_TEST

START_TEST(the_least_and_the_most_are_taken)
{
    tide_options options;
    tide_store *store;

    tide_options_init(&options);
    options.map_size_bytes = 65536;
    options.max_readers = 65536;
    store = test_open(FILE_NAME, &options);
    ck_assert_uint_eq(info_of(store).max_readers, 65536);
    ck_assert_int_eq(tide_advance(store, device, peer, "entry", 1), TIDE_OK);
    tide_close(store);
    options.max_readers = 1;
    store = test_open("second.mdb", &options);
    ck_assert_uint_eq(info_of(store).max_readers, 1);
    ck_assert_int_eq(tide_advance(store, device, peer, "entry", 1), TIDE_OK);
    ck_assert_int_eq(watermark(store, "entry"), 1);
    tide_close(store);
}
END_TEST

START_TEST(must_exist_never_creates)
{
    tide_options options;
    tide_store *store;

    tide_options_init(&options);
    options.flags = TIDE_MUST_EXIST;
    open_fails(FILE_NAME, &options, TIDE_ENOENT);
    ck_assert_uint_eq(test_entries(), 0);
    tide_close(test_open(FILE_NAME, NULL));
    store = test_open(FILE_NAME, &options);
    tide_close(store);
}
END_TEST

typedef struct notice_state {
    int calls;
    int code;
    char text[512];
} notice_state;

static void notice(void *ctx, int code, const char *text)
{
    notice_state *state = ctx;

    state->calls++;
    state->code = code;
    snprintf(state->text, sizeof state->text, "%s", text);
}

START_TEST(the_notice_says_why_an_open_failed)
{
    notice_state state = {0, 0, ""};
    tide_options options;

    tide_options_init(&options);
    options.notice = notice;
    options.notice_ctx = &state;
    open_fails("missing/sync.mdb", &options, TIDE_ENOENT);
    ck_assert_int_eq(state.calls, 1);
    ck_assert_int_eq(state.code, TIDE_ENOENT);
    ck_assert_ptr_nonnull(strstr(state.text, "missing"));
    ck_assert_ptr_null(strchr(state.text, '\n'));
    tide_close(test_open(FILE_NAME, &options));
    ck_assert_int_eq(state.calls, 1);
}
END_TEST

/* ---- paths and permissions ---------------------------------------------------------------------- */

START_TEST(a_missing_folder_is_told)
{
    open_fails("missing/sync.mdb", NULL, TIDE_ENOENT);
    open_fails("a/b/c/sync.mdb", NULL, TIDE_ENOENT);
    ck_assert_uint_eq(test_entries(), 0);
}
END_TEST

START_TEST(a_folder_is_no_store)
{
    struct stat info;
    tide_options options;

    ck_assert_int_eq(mkdir("folder", 0700), 0);
    open_fails("folder", NULL, TIDE_EFORMAT);
    tide_options_init(&options);
    options.on_unusable = TIDE_MOVE_ASIDE; /* it is no unusable file either */
    open_fails("folder", &options, TIDE_EFORMAT);
    ck_assert_int_eq(stat("folder", &info), 0);
    ck_assert(S_ISDIR(info.st_mode));
    ck_assert_uint_eq(test_entries(), 1);
}
END_TEST

START_TEST(a_fifo_is_no_store_and_nobody_waits_for_it)
{
    ck_assert_int_eq(mkfifo("fifo", 0600), 0);
    open_fails("fifo", NULL, TIDE_EFORMAT);
}
END_TEST

START_TEST(files_are_for_their_owner_only)
{
    mode_t old = umask(0);
    tide_store *store = test_open(FILE_NAME, NULL);
    struct stat info;

    umask(old);
    ck_assert_int_eq(stat(FILE_NAME, &info), 0);
    ck_assert_uint_eq(info.st_mode & 07777, 0600);
    ck_assert_int_eq(stat(FILE_NAME "-lock", &info), 0);
    ck_assert_uint_eq(info.st_mode & 07777, 0600);
    ck_assert_uint_eq(test_entries(), 2); /* nothing else is left beside it */
    tide_close(store);
    ck_assert_uint_eq(test_entries(), 2);
}
END_TEST

static void become_somebody_else(void)
{
    if (geteuid() != 0)
        return;
    child_assert(setgid(NOBODY) == 0);
    child_assert(setuid(NOBODY) == 0);
}

static void child_open_is_denied(void *ctx)
{
    tide_store *store = NULL;
    int rc;

    become_somebody_else();
    rc = tide_open(ctx, NULL, &store);
    if (rc != TIDE_EACCES)
        fprintf(stderr, "%s: %s\n", (const char *)ctx, tide_code_name(rc));
    child_assert(rc == TIDE_EACCES);
    child_assert(store == NULL);
}

START_TEST(an_unreadable_file_is_denied)
{
    char name[] = FILE_NAME;

    tide_close(test_open(FILE_NAME, NULL));
    ck_assert_int_eq(chmod(".", 0777), 0);
    ck_assert_int_eq(chmod(FILE_NAME, geteuid() == 0 ? 0600 : 0), 0);
    test_child_ok(child_open_is_denied, name);
    ck_assert_int_eq(chmod(FILE_NAME, 0600), 0);
}
END_TEST

START_TEST(a_file_that_may_only_be_read_is_denied)
{
    char name[] = FILE_NAME;

    tide_close(test_open(FILE_NAME, NULL));
    ck_assert_int_eq(chmod(".", 0777), 0);
    ck_assert_int_eq(chmod(FILE_NAME, 0444), 0);
    ck_assert_int_eq(chmod(FILE_NAME "-lock", 0666), 0);
    test_child_ok(child_open_is_denied, name);
}
END_TEST

START_TEST(a_folder_without_write_permission_is_denied)
{
    char name[] = "folder/sync.mdb";

    ck_assert_int_eq(chmod(".", 0755), 0);
    ck_assert_int_eq(mkdir("folder", 0755), 0);
    ck_assert_int_eq(chmod("folder", 0555), 0);
    test_child_ok(child_open_is_denied, name);
    ck_assert_int_eq(chmod("folder", 0755), 0);
    ck_assert_int_eq(rmdir("folder"), 0); /* it is empty */
}
END_TEST

START_TEST(a_folder_without_search_permission_is_denied)
{
    char name[] = "folder/sync.mdb";

    ck_assert_int_eq(chmod(".", 0755), 0);
    ck_assert_int_eq(mkdir("folder", 0700), 0);
    if (geteuid() != 0)
        ck_assert_int_eq(chmod("folder", 0600), 0);
    test_child_ok(child_open_is_denied, name);
    ck_assert_int_eq(chmod("folder", 0700), 0);
}
END_TEST

START_TEST(every_descriptor_closes_on_exec)
{
    tide_store *store = test_open(FILE_NAME, NULL);
    char here[PATH_MAX], link[PATH_MAX];
    const struct dirent *entry;
    DIR *folder;
    int found = 0;

    ck_assert_int_eq(test_fill(store, 0, 100, 5), TIDE_OK);
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        test_skipped("every_descriptor_closes_on_exec", "there is no /proc");
        tide_close(store);
        return;
    }
    while ((entry = readdir(folder)) != NULL) {
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, link, sizeof link - 1);

        if (length <= 0)
            continue;
        link[length] = '\0';
        if (strncmp(link, here, strlen(here)) != 0)
            continue;
        int fd = (int)strtol(entry->d_name, NULL, 10);
        ck_assert_msg((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "%s", link);
        found++;
    }
    closedir(folder);
    ck_assert_int_ge(found, 2); /* at least data and lock file */
    tide_close(store);
}
END_TEST

static int open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    if (folder == NULL)
        return 0;
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

START_TEST(close_gives_every_descriptor_back)
{
    int before = open_descriptors(), after;
    tide_options options;

    for (int i = 0; i < 20; i++) {
        tide_store *store = test_open(FILE_NAME, NULL), *second = test_open(FILE_NAME, NULL);

        ck_assert_int_eq(test_fill(store, 0, 50, i), TIDE_OK);
        tide_close(store);
        tide_close(second);
        open_fails("missing/sync.mdb", NULL, TIDE_ENOENT);
        test_write_file("text", "no store", 8);
        open_fails("text", NULL, TIDE_EFORMAT);
        test_options(&options, 0);
        options.flags = TIDE_MUST_EXIST;
        open_fails("none.mdb", &options, TIDE_ENOENT);
    }
    after = open_descriptors();
    ck_assert_int_eq(after, before);
}
END_TEST

/* ---- one open for each file --------------------------------------------------------------------- */

/* `base` is above every mark that is there already. */
static void handles_share(const char *first_path, const char *second_path, tide_time base)
{
    tide_store *first = test_open(first_path, NULL), *second = test_open(second_path, NULL);

    ck_assert_ptr_ne(first, second);
    ck_assert_int_eq(tide_advance(first, device, peer, "entry", base + 10), TIDE_OK);
    ck_assert_int_eq(watermark(second, "entry"), base + 10);
    ck_assert_int_eq(tide_advance(second, device, peer, "entry", base + 20), TIDE_OK);
    ck_assert_int_eq(watermark(first, "entry"), base + 20);
    ck_assert_mem_eq(info_of(first).store_id, info_of(second).store_id, 16);
    ck_assert_uint_eq(info_of(first).transaction, info_of(second).transaction);
    tide_close(first);
    ck_assert_int_eq(watermark(second, "entry"), base + 20);
    ck_assert_int_eq(tide_advance(second, device, peer, "entry", base + 30), TIDE_OK);
    ck_assert_int_eq(test_fill(second, 0, 500, base), TIDE_OK);
    first = test_open(first_path, NULL);
    ck_assert_int_eq(watermark(first, "entry"), base + 30);
    tide_close(second);
    ck_assert_int_eq(tide_advance(first, device, peer, "entry", base + 40), TIDE_OK);
    ck_assert_uint_eq(test_count_at(first, 0, 500, base), 500);
    tide_close(first);
}

START_TEST(two_handles_share_one_open)
{
    handles_share(FILE_NAME, FILE_NAME, 0);
}
END_TEST

START_TEST(a_path_may_be_written_in_many_ways)
{
    char here[PATH_MAX];
    char absolute[PATH_MAX + 16];

    ck_assert_int_eq(mkdir("folder", 0700), 0);
    handles_share("one.mdb", "./folder/..//one.mdb", 0);
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    snprintf(absolute, sizeof absolute, "%s/two.mdb", here);
    handles_share(absolute, "two.mdb", 0);
    handles_share("three.mdb", ".//three.mdb", 0);
}
END_TEST

START_TEST(links_lead_to_the_same_store)
{
    tide_close(test_open(FILE_NAME, NULL));
    ck_assert_int_eq(mkdir("folder", 0700), 0);
    ck_assert_int_eq(symlink("../" FILE_NAME, "folder/link.mdb"), 0);
    ck_assert_int_eq(symlink(".", "same"), 0);
    handles_share(FILE_NAME, "folder/link.mdb", 0);
    handles_share("folder/link.mdb", "same/same/" FILE_NAME, 100);
}
END_TEST

/* The lock file goes by name: two names would be two writers at once. */
START_TEST(a_file_with_two_names_is_refused)
{
    test_bytes before;

    tide_close(test_open(FILE_NAME, NULL));
    before = test_read_file(FILE_NAME);
    ck_assert_int_eq(link(FILE_NAME, "hard.mdb"), 0);
    open_fails(FILE_NAME, NULL, TIDE_EBUSY);
    open_fails("hard.mdb", NULL, TIDE_EBUSY);
    ck_assert(test_file_is(FILE_NAME, before));
    ck_assert_int_eq(unlink("hard.mdb"), 0);
    tide_close(test_open(FILE_NAME, NULL));
    free(before.data);
}
END_TEST

START_TEST(what_lies_beside_a_new_store_stays)
{
    unsigned char text[] = "precious";
    test_bytes bytes = {text, 8};

    test_write_file(FILE_NAME ".new", text, 8);
    tide_close(test_open(FILE_NAME, NULL));
    ck_assert(test_file_is(FILE_NAME ".new", bytes));
    ck_assert_uint_eq(test_entries(), 3); /* and the store, and its lock file */
}
END_TEST

/* Through a link the lock file must be the one that everybody else uses. */
START_TEST(a_link_does_not_make_a_second_lock_file)
{
    tide_store *store;

    tide_close(test_open(FILE_NAME, NULL));
    ck_assert_int_eq(symlink(FILE_NAME, "link.mdb"), 0);
    store = test_open("link.mdb", NULL);
    ck_assert_int_eq(tide_advance(store, device, peer, "entry", 1), TIDE_OK);
    ck_assert_uint_eq(test_entries(), 3);
    tide_close(store);
}
END_TEST

START_TEST(many_handles_come_and_go)
{
    tide_store *handles[16] = {NULL};
    test_random random = {16};
    tide_time last = TIDE_TIME_NONE;

    for (int i = 0; i < 2000; i++) {
        size_t at = test_below(&random, 16);

        if (handles[at] == NULL) {
            handles[at] = test_open(i % 2 == 0 ? FILE_NAME : "./" FILE_NAME, NULL);
        } else if (i % 3 == 0) {
            tide_close(handles[at]);
            handles[at] = NULL;
            continue;
        }
        ck_assert_int_eq(watermark(handles[at], "entry"), last);
        if (i % 16 == 0) {
            last = i;
            ck_assert_int_eq(tide_advance(handles[at], device, peer, "entry", i), TIDE_OK);
        }
    }
    for (size_t at = 0; at < 16; at++) {
        tide_close(handles[at]);
    }
    ck_assert_int_eq(last, 1984);
}
END_TEST

typedef struct worker {
    pthread_t thread;
    tide_time number;
    int failures;
} worker;

static void *open_and_close(void *ctx)
{
    worker *self = ctx;

    for (tide_time i = 0; i < 40; i++) {
        tide_store *store = NULL;
        char resource[16];
        tide_mark mark = {0, 0, 0};

        snprintf(resource, sizeof resource, "r%d", (int)self->number);
        if (tide_open(FILE_NAME, NULL, &store) != TIDE_OK) {
            self->failures++;
            continue;
        }
        self->failures += tide_advance(store, device, peer, resource, i) != TIDE_OK;
        self->failures += tide_get(store, device, peer, resource, &mark) != TIDE_OK;
        self->failures += mark.watermark != i;
        tide_close(store);
    }
    return NULL;
}

START_TEST(threads_open_and_close_at_once)
{
    worker workers[8];
    tide_store *store;

    for (int i = 0; i < 8; i++) {
        workers[i].number = i;
        workers[i].failures = 0;
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, open_and_close, &workers[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
        ck_assert_int_eq(workers[i].failures, 0);
    }
    store = test_open(FILE_NAME, NULL);
    for (int i = 0; i < 8; i++) {
        char resource[16];

        snprintf(resource, sizeof resource, "r%d", i);
        ck_assert_int_eq(watermark(store, resource), 39);
    }
    ck_assert_uint_eq(info_of(store).marks, 8);
    tide_close(store);
}
END_TEST

/* The processes race to be the one that makes the file: all must end in one and the same. */
static _Noreturn void child_opens_at_a_signal(const test_signal *go)
{
    tide_store *store = NULL;
    char resource[32];
    int rc;

    close(go->write_fd);
    child_assert(!test_signal_wait(go));
    rc = tide_open(FILE_NAME, NULL, &store);
    if (rc != TIDE_OK)
        fprintf(stderr, "tide_open: %s\n", tide_code_name(rc));
    child_assert(rc == TIDE_OK);
    snprintf(resource, sizeof resource, "p%ld", (long)getpid());
    child_assert(tide_advance(store, device, peer, resource, 1) == TIDE_OK);
    tide_close(store);
    _exit(0);
}

START_TEST(processes_that_create_at_once_create_one_store)
{
    for (int round = 0; round < 5; round++) {
        pid_t pids[8];
        test_signal go;
        tide_store *store;

        test_signal_make(&go);
        for (int i = 0; i < 8; i++) {
            pids[i] = fork();
            ck_assert_int_ge(pids[i], 0);
            if (pids[i] == 0)
                child_opens_at_a_signal(&go);
        }
        test_signal_close(&go); /* end of file is the signal for all */
        for (int i = 0; i < 8; i++) {
            int status = -1;

            ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
            ck_assert_int_eq(status, 0);
        }
        store = test_open(FILE_NAME, NULL);
        ck_assert_uint_eq(info_of(store).marks, 8);
        tide_close(store);
        ck_assert_uint_eq(test_entries(), 2);
        ck_assert_int_eq(unlink(FILE_NAME), 0);
        ck_assert_int_eq(unlink(FILE_NAME "-lock"), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("environment");
    TCase *test = test_case(suite, "environment");

    tcase_add_checked_fixture(test, set_up, NULL);
    tcase_add_test(test, the_defaults_are_those_of_the_header);
    tcase_add_test(test, bad_options_are_refused_and_make_nothing);
    tcase_add_test(test, the_least_and_the_most_are_taken);
    tcase_add_test(test, must_exist_never_creates);
    tcase_add_test(test, the_notice_says_why_an_open_failed);
    tcase_add_test(test, a_missing_folder_is_told);
    tcase_add_test(test, a_folder_is_no_store);
    tcase_add_test(test, a_fifo_is_no_store_and_nobody_waits_for_it);
    tcase_add_test(test, files_are_for_their_owner_only);
    tcase_add_test(test, an_unreadable_file_is_denied);
    tcase_add_test(test, a_file_that_may_only_be_read_is_denied);
    tcase_add_test(test, a_folder_without_write_permission_is_denied);
    tcase_add_test(test, a_folder_without_search_permission_is_denied);
    tcase_add_test(test, every_descriptor_closes_on_exec);
    tcase_add_test(test, close_gives_every_descriptor_back);
    tcase_add_test(test, two_handles_share_one_open);
    tcase_add_test(test, a_path_may_be_written_in_many_ways);
    tcase_add_test(test, links_lead_to_the_same_store);
    tcase_add_test(test, a_file_with_two_names_is_refused);
    tcase_add_test(test, what_lies_beside_a_new_store_stays);
    tcase_add_test(test, a_link_does_not_make_a_second_lock_file);
    tcase_add_test(test, many_handles_come_and_go);
    tcase_add_test(test, threads_open_and_close_at_once);
    tcase_add_test(test, processes_that_create_at_once_create_one_store);
    return test_run(suite);
}
