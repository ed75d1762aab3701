/* Keeping a store safe: every fault is named, a copy is whole or not there, what was there is kept,
 * and what is rescued never says more than the damaged store did. */
#define _GNU_SOURCE 1
#include <tidemark/backup.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/builder.h"
#include "store/walker.h"
#include "support.h"

#define STORE "sync.mdb"
#define COPY "copy.mdb"
#define PAGE 4096
#define COUNT 250 /* one commit of test_fill */

/* ---- what is heard ------------------------------------------------------------------------------ */

#define LINES_MAX 512

static struct {
    size_t count;
    int codes[LINES_MAX];
    char texts[LINES_MAX][512];
} heard;

static void hear(void *ctx, int code, const char *text)
{
    ck_assert_ptr_eq(ctx, &heard);
    test_require(heard.count < LINES_MAX);
    heard.codes[heard.count] = code;
    snprintf(heard.texts[heard.count++], sizeof heard.texts[0], "%s", text);
}

static void heard_line(size_t at, int code, const char *words)
{
    ck_assert_uint_lt(at, heard.count);
    ck_assert_msg(heard.codes[at] == code && strstr(heard.texts[at], words) != NULL,
                  "%s: %s, expected %s: %s", tide_code_name(heard.codes[at]), heard.texts[at],
                  tide_code_name(code), words);
}

static int verify(const char *path)
{
    heard.count = 0;
    return tide_verify(path, hear, &heard);
}

static int restore(const char *from, const char *path)
{
    heard.count = 0;
    return tide_restore(from, path, hear, &heard);
}

static tide_repaired repaired;

static int repair(void)
{
    heard.count = 0;
    repaired = (tide_repaired){.size = sizeof repaired};
    return tide_repair(STORE, COPY, hear, &heard, &repaired);
}

/* ---- stores and their bytes --------------------------------------------------------------------- */

static void make_store(const char *path, uint64_t count, int commits)
{
    tide_store *store = test_open(path, NULL);

    for (int i = 1; i <= commits; i++) {
        ck_assert_int_eq(test_fill(store, 0, count, i), TIDE_OK);
    }
    tide_close(store);
}

static uint64_t count_at(const char *path, uint64_t count, tide_time upto)
{
    tide_store *store = test_open(path, NULL);
    uint64_t found = test_count_at(store, 0, count, upto);
    tide_info info = {.size = sizeof info};

    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    ck_assert_uint_eq(info.marks, found);
    tide_close(store);
    return found;
}

static uint64_t get(const char *path, size_t at, size_t width)
{
    uint64_t value = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, &value, width, (off_t)at), (ssize_t)width);
    close(fd);
    return value;
}

static void put(const char *path, size_t at, const void *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, length, (off_t)at), (ssize_t)length);
    close(fd);
}

static void flip(const char *path, size_t at)
{
    unsigned char byte = (unsigned char)(get(path, at, 1) ^ 1);

    put(path, at, &byte, 1);
}

static size_t newest_meta(const char *path)
{
    return get(path, 144, 8) < get(path, PAGE + 144, 8) ? PAGE : 0;
}

static size_t node(const char *path, size_t page, size_t index)
{
    return page + get(path, page + 16 + 2 * index, 2);
}

static size_t node_data(const char *path, size_t at)
{
    return at + 8 + get(path, at + 6, 2);
}

static size_t nodes(const char *path, size_t page)
{
    return (get(path, page + 12, 2) - 16) / 2;
}

/* The pages of the tree of marks: the root, a branch in a store of COUNT marks, and its leaves. */
static size_t root(const char *path)
{
    size_t main_tree = get(path, newest_meta(path) + 88 + 40, 8) * PAGE;

    return get(path, node_data(path, node(path, main_tree, 0)) + 40, 8) * PAGE;
}

static size_t leaf(const char *path, size_t index)
{
    return get(path, node(path, root(path), index), 4) * PAGE;
}

static void damage_mark(const char *path, size_t leaf_index, size_t index)
{
    flip(path, node_data(path, node(path, leaf(path, leaf_index), index)) + 5);
}

static size_t free_root(const char *path)
{
    return get(path, newest_meta(path) + 40 + 40, 8) * PAGE;
}

/* ---- verify ------------------------------------------------------------------------------------- */

START_TEST(every_commit_is_sound_and_the_one_before_it)
{
    tide_store *store = test_open(STORE, NULL);
    test_random random = {7};

    ck_assert_int_eq(verify(STORE), TIDE_OK);
    for (int i = 1; i <= 300; i++) {
        uuid_t device, peer;
        char resource[32];
        uint64_t n = test_below(&random, 40);

        test_numbered(n, device, peer, resource);
        if (test_below(&random, 4) == 0) {
            ck_assert_int_eq(tide_remove_peer(store, device, peer, NULL), TIDE_OK);
        } else {
            ck_assert_int_eq(test_fill(store, n, 1 + test_below(&random, 200), i), TIDE_OK);
        }
        ck_assert_int_eq(verify(STORE), TIDE_OK);
        ck_assert_uint_eq(heard.count, 0);
    }
    tide_close(store);
}
END_TEST

START_TEST(every_fault_is_named)
{
    char words[64];
    size_t newest;
    static const unsigned char zeroes[PAGE];

    make_store(STORE, COUNT, 3);
    newest = newest_meta(STORE);
    damage_mark(STORE, 0, 1);
    damage_mark(STORE, 0, 3);
    damage_mark(STORE, 2, 0);
    put(STORE, leaf(STORE, 4), zeroes, PAGE);
    put(STORE, PAGE - newest + 16, zeroes, 4);
    ck_assert_int_eq(verify(STORE), TIDE_ECORRUPT);
    ck_assert_uint_eq(heard.count, 5);
    snprintf(words, sizeof words, STORE ": page %d: damaged metadata", newest == 0);
    heard_line(0, TIDE_ECORRUPT, words);
    snprintf(words, sizeof words, STORE ": page %zu: a damaged mark: ", leaf(STORE, 0) / PAGE);
    heard_line(1, TIDE_ECORRUPT, words);
    heard_line(2, TIDE_ECORRUPT, words);
    ck_assert_str_ne(heard.texts[1], heard.texts[2]);
    snprintf(words, sizeof words, STORE ": page %zu: a damaged mark: ", leaf(STORE, 2) / PAGE);
    heard_line(3, TIDE_ECORRUPT, words);
    snprintf(words, sizeof words, STORE ": page %zu: bears another number", leaf(STORE, 4) / PAGE);
    heard_line(4, TIDE_ECORRUPT, words);
}
END_TEST

START_TEST(the_commit_before_the_last_is_checked_too)
{
    char words[64];
    size_t old_leaf;
    tide_store *store;

    make_store(STORE, COUNT, 3);
    old_leaf = leaf(STORE, 0);
    store = test_open(STORE, NULL);
    ck_assert_int_eq(test_fill(store, 0, COUNT, 4), TIDE_OK);
    tide_close(store);
    ck_assert_uint_ne(leaf(STORE, 0), old_leaf);
    flip(STORE, old_leaf);
    ck_assert_int_eq(verify(STORE), TIDE_ECORRUPT);
    ck_assert_uint_eq(heard.count, 1);
    snprintf(words, sizeof words, ": page %zu: bears another number", old_leaf / PAGE);
    heard_line(0, TIDE_ECORRUPT, "the commit before the last, ");
    heard_line(0, TIDE_ECORRUPT, words);
}
END_TEST

START_TEST(what_is_no_store_is_told)
{
    ck_assert_int_eq(verify("missing"), TIDE_ENOENT);
    heard_line(0, TIDE_ENOENT, "missing: ");
    ck_assert_int_eq(mkdir("folder", 0700), 0);
    ck_assert_int_eq(verify("folder"), TIDE_EFORMAT);
    heard_line(0, TIDE_EFORMAT, "folder: not a regular file");
    test_write_file("short", "x", 1);
    ck_assert_int_eq(verify("short"), TIDE_ECORRUPT);
    heard_line(0, TIDE_ECORRUPT, "short: page 0: behind the end of the file");
    {
        static const char text[3 * PAGE] = "text";
        test_write_file("text", text, sizeof text);
    }
    ck_assert_int_eq(verify("text"), TIDE_EFORMAT);
    heard_line(0, TIDE_EFORMAT, "text: not an LMDB file");
    ck_assert_uint_eq(heard.count, 1);
    ck_assert_int_eq(tide_verify("text", NULL, NULL), TIDE_EFORMAT);
    ck_assert_int_eq(tide_verify("", NULL, NULL), TIDE_EINVAL);
}
END_TEST

START_TEST(a_file_cut_short_names_the_pages_it_lost)
{
    size_t pages;

    make_store(STORE, COUNT, 1);
    pages = test_file_size(STORE) / PAGE;
    ck_assert_int_eq(truncate(STORE, (off_t)(pages - 2) * PAGE), 0);
    ck_assert_int_eq(verify(STORE), TIDE_ECORRUPT);
    heard_line(0, TIDE_ECORRUPT, "the last page is behind the end of the file");
    ck_assert_uint_gt(heard.count, 1);
}
END_TEST

/* ---- backup ------------------------------------------------------------------------------------- */

START_TEST(a_backup_has_all_and_what_waits)
{
    tide_store *store;
    tide_info info = {.size = sizeof info}, copied = {.size = sizeof copied};
    uuid_t device, peer;
    char resource[32];
    tide_step step = {device, peer, resource, TIDE_TIME_NONE, 9, TIDE_TIME_NONE};

    make_store(STORE, COUNT, 2);
    store = test_open(STORE, NULL);
    test_numbered(COUNT, device, peer, resource);
    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
    ck_assert_int_eq(tide_backup(store, COPY, 0), TIDE_OK);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    ck_assert_uint_eq(info.pending, 0);
    tide_close(store);
    ck_assert_int_eq(verify(COPY), TIDE_OK);
    ck_assert_uint_eq(test_entries(), 3); /* store, lock, copy */
    store = test_open(COPY, NULL);
    ck_assert_uint_eq(test_count_at(store, 0, COUNT, 2), COUNT);
    ck_assert_uint_eq(test_count_at(store, COUNT, 1, 9), 1);
    ck_assert_int_eq(tide_stat(store, &copied), TIDE_OK);
    ck_assert_uint_eq(copied.marks, COUNT + 1);
    ck_assert_int_eq(memcmp(copied.store_id, info.store_id, 16), 0);
    ck_assert_int_eq(copied.created_at, info.created_at);
    ck_assert_uint_lt(copied.file_bytes, info.file_bytes);
    ck_assert_int_eq(test_fill(store, 0, COUNT, 3), TIDE_OK);
    tide_close(store);
}
END_TEST

START_TEST(a_backup_of_more_than_one_portion)
{
    tide_store *store;

    make_store(STORE, 70000, 1);
    store = test_open(STORE, NULL);
    ck_assert_int_eq(tide_backup(store, COPY, 0), TIDE_OK);
    tide_close(store);
    ck_assert_int_eq(verify(COPY), TIDE_OK);
    ck_assert_uint_eq(count_at(COPY, 70000, 1), 70000);
}
END_TEST

START_TEST(a_backup_never_goes_over_a_file_unless_told)
{
    static const char text[] = "mine";
    test_bytes mine = {(unsigned char *)(uintptr_t)text, sizeof text};
    tide_store *store = test_open(STORE, NULL), *other;

    test_write_file(COPY, text, sizeof text);
    ck_assert_int_eq(tide_backup(store, COPY, 0), TIDE_CONFLICT);
    ck_assert(test_file_is(COPY, mine));
    ck_assert_int_eq(tide_backup(store, COPY, 2), TIDE_EINVAL);
    ck_assert_int_eq(tide_backup(store, "", 0), TIDE_EINVAL);
    ck_assert_int_eq(tide_backup(store, "no/where", 0), TIDE_ENOENT);
    ck_assert_int_eq(tide_backup(store, COPY, TIDE_REPLACE), TIDE_OK);
    ck_assert_int_eq(verify(COPY), TIDE_OK);
    other = test_open(COPY, NULL);
    ck_assert_int_eq(tide_backup(store, COPY, TIDE_REPLACE), TIDE_EBUSY);
    ck_assert_int_eq(tide_backup(store, STORE, TIDE_REPLACE), TIDE_EBUSY);
    tide_close(other);
    tide_close(store);
    ck_assert_uint_eq(test_entries(), 4); /* two stores and their locks */
}
END_TEST

START_TEST(a_store_that_another_process_has_open_is_not_replaced)
{
    test_remote remote;
    tide_store *store;

    test_remote_start(&remote);
    ck_assert_int_eq(test_remote_open(&remote, COPY, 0), TIDE_OK);
    store = test_open(STORE, NULL);
    ck_assert_int_eq(tide_backup(store, COPY, TIDE_REPLACE), TIDE_EBUSY);
    tide_close(store);
    ck_assert_int_eq(restore(STORE, COPY), TIDE_EBUSY);
    heard_line(0, TIDE_EBUSY, "another program has it open");
    ck_assert_int_eq(restore(COPY, STORE), TIDE_EBUSY);
    ck_assert_int_eq(
        tide_repair(COPY, "new.mdb", NULL, NULL, &(tide_repaired){.size = sizeof repaired}),
        TIDE_EBUSY);
    test_remote_close(&remote);
    ck_assert_int_eq(restore(STORE, COPY), TIDE_OK);
    test_remote_stop(&remote);
}
END_TEST

START_TEST(a_damaged_mark_stops_a_backup)
{
    tide_options options;
    tide_store *store;
    char detail[512];

    make_store(STORE, COUNT, 1);
    damage_mark(STORE, 1, 1);
    test_options(&options, 0);
    options.verify_max_bytes = 0;
    store = test_open(STORE, &options);
    ck_assert_int_eq(tide_backup(store, COPY, 0), TIDE_ECORRUPT);
    tide_detail(store, detail, sizeof detail);
    ck_assert_ptr_nonnull(strstr(detail, "damaged mark"));
    tide_close(store);
    ck_assert_uint_eq(test_entries(), 2);
}
END_TEST

/* ---- beside a writer ---------------------------------------------------------------------------- */

#define TOGETHER 50
#define BACKUPS 20

typedef struct writer {
    test_signal more, done;
} writer;

/* Raises many marks in each commit, until nobody listens. */
static void write_on(void *ctx)
{
    writer *w = ctx;
    tide_store *store = NULL;
    tide_time upto = 0;

    close(w->more.write_fd);
    child_assert(tide_open(STORE, NULL, &store) == TIDE_OK);
    while (test_signal_wait(&w->more)) {
        for (int i = 0; i < 20; i++) {
            child_assert(test_fill(store, 0, TOGETHER, ++upto) == TIDE_OK);
            if (i == 5)
                test_signal_send(&w->done);
        }
    }
    tide_close(store);
}

typedef struct together {
    tide_time at;
    uint64_t count;
    bool same;
} together;

static int see(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
               const tide_mark *mark)
{
    together *t = ctx;

    (void)device;
    (void)peer;
    (void)resource;
    t->same = t->same && (t->count == 0 || t->at == mark->watermark);
    t->at = mark->watermark;
    t->count++;
    return 0;
}

START_TEST(a_backup_beside_a_writer_is_one_snapshot)
{
    writer w;
    pid_t pid;
    int status;
    tide_store *store;
    tide_time before = 0;

    test_signal_make(&w.more);
    test_signal_make(&w.done);
    pid = fork();
    if (pid == 0) {
        write_on(&w);
        _exit(0);
    }
    ck_assert_int_gt(pid, 0);
    store = test_open(STORE, NULL);
    for (int i = 0; i < BACKUPS; i++) {
        together t = {.same = true};
        tide_store *copy;

        test_signal_send(&w.more);
        ck_assert(test_signal_wait(&w.done)); /* it is in the middle */
        ck_assert_int_eq(tide_backup(store, COPY, TIDE_REPLACE), TIDE_OK);
        ck_assert_int_eq(verify(COPY), TIDE_OK);
        copy = test_open(COPY, NULL);
        ck_assert_int_eq(tide_each(copy, NULL, NULL, NULL, see, &t), TIDE_OK);
        tide_close(copy);
        ck_assert(t.same);
        ck_assert_uint_eq(t.count, TOGETHER);
        ck_assert_int_gt(t.at, before);
        before = t.at;
    }
    tide_close(store);
    test_signal_close(&w.more);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    test_signal_close(&w.done);
}
END_TEST

/* ---- killed in the middle ----------------------------------------------------------------------- */

static int puts_left = -1, rewrites_left = -1, checks_left = -1; /* below 0: for ever */

int __real_tide__builder_put(tide__builder *builder, const void *key, size_t key_length,
                             const void *record, size_t length, tide__detail *detail);
int __wrap_tide__builder_put(tide__builder *builder, const void *key, size_t key_length,
                             const void *record, size_t length, tide__detail *detail);
int __real_tide__file_rewrite(const char *path, off_t pages, tide__detail *detail);
int __wrap_tide__file_rewrite(const char *path, off_t pages, tide__detail *detail);
int __real_tide__file_verify(int fd, const char *path, tide__detail *detail);
int __wrap_tide__file_verify(int fd, const char *path, tide__detail *detail);

static void die_at(int *left)
{
    if (*left >= 0 && (*left)-- == 0) {
        (void)raise(SIGKILL);
    }
}

int __wrap_tide__builder_put(tide__builder *builder, const void *key, size_t key_length,
                             const void *record, size_t length, tide__detail *detail)
{
    die_at(&puts_left);
    return __real_tide__builder_put(builder, key, key_length, record, length, detail);
}

int __wrap_tide__file_rewrite(const char *path, off_t pages, tide__detail *detail)
{
    die_at(&rewrites_left);
    return __real_tide__file_rewrite(path, pages, detail);
}

int __wrap_tide__file_verify(int fd, const char *path, tide__detail *detail)
{
    die_at(&checks_left);
    return __real_tide__file_verify(fd, path, detail);
}

static void back_up_and_die(void *ctx)
{
    tide_store *store = NULL;
    int **point = ctx;

    child_assert(tide_open(STORE, NULL, &store) == TIDE_OK);
    *point[0] = *point[1];
    (void)tide_backup(store, COPY, 0);
}

static bool is_temporary(const char *name)
{
    static const char beginning[] = COPY ".new-";

    return strncmp(name, beginning, sizeof beginning - 1) == 0;
}

/* How many files of the folder are not whole yet; they are removed. */
static size_t remove_temporary(void)
{
    DIR *folder = opendir(".");
    const struct dirent *entry;
    size_t count = 0;

    ck_assert_ptr_nonnull(folder);
    while ((entry = readdir(folder)) != NULL) {
        if (is_temporary(entry->d_name)) {
            count++;
            ck_assert_int_eq(unlink(entry->d_name), 0);
        }
    }
    closedir(folder);
    return count;
}

START_TEST(who_is_killed_leaves_no_half_backup)
{
    static int at[] = {0, 1, COUNT - 1, 0, 0};
    static int *const which[] = {&puts_left, &puts_left, &puts_left, &rewrites_left, &checks_left};
    tide_store *store;

    make_store(STORE, COUNT, 1);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        int *point[2] = {which[i], &at[i]};
        int status = test_child(back_up_and_die, point);

        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        ck_assert_int_eq(access(COPY, F_OK), -1);
        ck_assert_uint_eq(remove_temporary(), 1);
        ck_assert_uint_eq(test_entries(), 2);
    }
    store = test_open(STORE, NULL);
    ck_assert_int_eq(tide_backup(store, COPY, 0), TIDE_OK);
    tide_close(store);
    ck_assert_uint_eq(count_at(COPY, COUNT, 1), COUNT);
}
END_TEST

/* ---- restore ------------------------------------------------------------------------------------ */

/* The one entry of the folder whose name goes on with ".replaced-". */
static void find_kept(char name[256])
{
    static const char beginning[] = STORE ".replaced-";
    DIR *folder = opendir(".");
    const struct dirent *entry;
    size_t count = 0;

    while ((entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, beginning, sizeof beginning - 1) == 0) {
            snprintf(name, 256, "%s", entry->d_name);
            count++;
        }
    }
    closedir(folder);
    ck_assert_uint_eq(count, 1);
}

START_TEST(a_restore_keeps_what_was_there)
{
    char kept[256];
    test_bytes before;
    tide_store *store;

    make_store(STORE, COUNT, 1);
    store = test_open(STORE, NULL);
    ck_assert_int_eq(tide_backup(store, COPY, 0), TIDE_OK);
    ck_assert_int_eq(test_fill(store, 0, COUNT + 7, 5), TIDE_OK);
    ck_assert_int_eq(restore(COPY, STORE), TIDE_EBUSY);
    heard_line(0, TIDE_EBUSY, "this process has it open");
    ck_assert_int_eq(restore(STORE, COPY), TIDE_EBUSY);
    tide_close(store);
    before = test_read_file(STORE);
    ck_assert_int_eq(restore(COPY, STORE), TIDE_OK);
    ck_assert_uint_eq(heard.count, 1);
    find_kept(kept);
    heard_line(0, TIDE_OK, kept);
    ck_assert(test_file_is(kept, before));
    free(before.data);
    ck_assert_uint_eq(count_at(STORE, COUNT, 1), COUNT);
    ck_assert_uint_eq(count_at(COPY, COUNT, 1), COUNT);
    ck_assert_int_eq(unlink(STORE), 0);
    ck_assert_int_eq(restore(COPY, STORE), TIDE_OK);
    ck_assert_uint_eq(heard.count, 0);
    ck_assert_uint_eq(count_at(STORE, COUNT, 1), COUNT);
}
END_TEST

START_TEST(a_damaged_backup_changes_nothing)
{
    test_bytes before;

    make_store(STORE, COUNT, 2);
    make_store(COPY, COUNT, 1);
    ck_assert_int_eq(unlink(COPY "-lock"), 0);
    damage_mark(COPY, 0, 0);
    damage_mark(COPY, 3, 0);
    before = test_read_file(STORE);
    ck_assert_int_eq(restore(COPY, STORE), TIDE_ECORRUPT);
    ck_assert_uint_eq(heard.count, 2);
    ck_assert_int_eq(restore("missing", STORE), TIDE_ENOENT);
    ck_assert_uint_eq(heard.count, 1);
    ck_assert_int_eq(restore(COPY, ""), TIDE_EINVAL);
    ck_assert(test_file_is(STORE, before));
    ck_assert_uint_eq(test_entries(), 3);
    free(before.data);
}
END_TEST

/* ---- repair ------------------------------------------------------------------------------------- */

static void rescued(uint32_t from, uint64_t marks, uint64_t recorded, uint64_t lost, uint64_t older)
{
    ck_assert_int_eq(repair(), TIDE_OK);
    ck_assert_uint_eq(repaired.from, from);
    ck_assert_uint_eq(repaired.marks, marks);
    ck_assert_uint_eq(repaired.recorded, recorded);
    ck_assert_uint_eq(repaired.lost, lost);
    ck_assert_uint_eq(repaired.older, older);
    ck_assert_int_eq(tide_verify(COPY, NULL, NULL), TIDE_OK);
}

START_TEST(a_sound_store_is_copied)
{
    test_bytes before;

    make_store(STORE, COUNT, 3);
    before = test_read_file(STORE);
    rescued(TIDE_FROM_LAST, COUNT, COUNT, 0, 0);
    ck_assert_uint_eq(count_at(COPY, COUNT, 3), COUNT);
    ck_assert_int_eq(repair(), TIDE_CONFLICT);
    ck_assert(test_file_is(STORE, before));
    free(before.data);
}
END_TEST

START_TEST(a_damaged_free_list_costs_nothing)
{
    make_store(STORE, COUNT, 3);
    flip(STORE, free_root(STORE));
    ck_assert_int_eq(verify(STORE), TIDE_ECORRUPT);
    rescued(TIDE_FROM_LAST, COUNT, COUNT, 0, 0);
    ck_assert_uint_eq(count_at(COPY, COUNT, 3), COUNT);
}
END_TEST

START_TEST(behind_damaged_metadata_is_the_commit_before)
{
    make_store(STORE, COUNT, 3);
    flip(STORE, newest_meta(STORE) + 16);
    rescued(TIDE_FROM_PREVIOUS, COUNT, TIDE_MARKS_UNKNOWN, 0, COUNT);
    ck_assert_uint_eq(count_at(COPY, COUNT, 2), COUNT);
    heard_line(heard.count - 1, TIDE_OK, "which may not be the last");
}
END_TEST

START_TEST(where_the_last_commit_is_damaged_is_the_one_before)
{
    tide_store *store;

    make_store(STORE, COUNT, 3);
    store = test_open(STORE, NULL);
    ck_assert_int_eq(test_fill(store, 0, COUNT, 4), TIDE_OK);
    tide_close(store);
    flip(STORE, leaf(STORE, 2)); /* a page that the last commit has written */
    rescued(TIDE_FROM_PREVIOUS, COUNT, COUNT, 0, COUNT);
    heard_line(heard.count - 1, TIDE_OK, "the one before the last");
    ck_assert_uint_eq(count_at(COPY, COUNT, 3), COUNT);
}
END_TEST

/* Marks that two commits after them have not touched: both share their pages. */
static void make_shared(void)
{
    tide_store *store;

    make_store(STORE, COUNT, 3);
    store = test_open(STORE, NULL);
    ck_assert_int_eq(test_fill(store, 0, 1, 4), TIDE_OK);
    ck_assert_int_eq(test_fill(store, 0, 1, 3 + 2), TIDE_OK);
    ck_assert_int_eq(test_fill(store, 1, COUNT - 1, 5), TIDE_OK);
    ck_assert_int_eq(test_fill(store, 0, 1, 6), TIDE_OK);
    ck_assert_int_eq(test_fill(store, 0, 1, 7), TIDE_OK);
    tide_close(store);
}

/* A leaf that does not hold the mark that the last commits were about. */
static size_t still_leaf(void)
{
    return nodes(STORE, root(STORE)) - 1;
}

START_TEST(a_damaged_mark_is_lost_and_no_other)
{
    make_shared();
    damage_mark(STORE, still_leaf(), 0);
    rescued(TIDE_FROM_PAGES, COUNT - 1, COUNT, 1, 0);
    heard_line(0, TIDE_ECORRUPT, "a damaged mark: ");
    heard_line(heard.count - 1, TIDE_OK, "249 marks from its pages, 1 of 250 are lost");
    ck_assert_uint_eq(repaired.marks, COUNT - 1);
}
END_TEST

START_TEST(a_damaged_page_is_lost_and_no_other)
{
    static const unsigned char zeroes[PAGE];
    size_t lost;

    make_shared();
    lost = nodes(STORE, leaf(STORE, still_leaf()));
    put(STORE, leaf(STORE, still_leaf()), zeroes, PAGE);
    rescued(TIDE_FROM_PAGES, COUNT - lost, COUNT, lost, 0);
}
END_TEST

START_TEST(without_its_branch_no_mark_is_lost)
{
    static const unsigned char zeroes[PAGE];
    tide_store *store;
    tide_info info = {.size = sizeof info};

    make_shared();
    store = test_open(STORE, NULL);
    ck_assert_int_eq(tide_stat(store, &info), TIDE_OK);
    tide_close(store);
    put(STORE, root(STORE), zeroes, PAGE);
    /* The commit before has a root of its own. */
    rescued(TIDE_FROM_PREVIOUS, COUNT, COUNT, 0, COUNT);
    ck_assert_int_eq(unlink(COPY), 0);
    ck_assert_int_eq(unlink(COPY "-lock"), -1);
    flip(STORE, PAGE - newest_meta(STORE) + 16);
    rescued(TIDE_FROM_PAGES, COUNT, TIDE_MARKS_UNKNOWN, TIDE_MARKS_UNKNOWN, 0);
    store = test_open(COPY, NULL);
    ck_assert_uint_eq(test_count_at(store, 1, COUNT - 1, 5), COUNT - 1);
    ck_assert_uint_eq(test_count_at(store, 0, 1, 7), 1);
    {
        tide_info copied = {.size = sizeof copied};

        ck_assert_int_eq(tide_stat(store, &copied), TIDE_OK);
        ck_assert_int_eq(memcmp(copied.store_id, info.store_id, 16), 0);
        ck_assert_int_eq(copied.created_at, info.created_at);
    }
    tide_close(store);
}
END_TEST

START_TEST(without_metadata_marks_are_the_lowest_found)
{
    static const unsigned char zeroes[2 * PAGE];
    tide_store *store;

    make_store(STORE, COUNT, 1);
    store = test_open(STORE, NULL);
    ck_assert_int_eq(test_fill(store, 0, 1, 8), TIDE_OK);
    tide_close(store);
    put(STORE, 0, zeroes, sizeof zeroes);
    rescued(TIDE_FROM_PAGES, COUNT, TIDE_MARKS_UNKNOWN, TIDE_MARKS_UNKNOWN, COUNT);
    ck_assert_uint_eq(count_at(COPY, COUNT, 1), COUNT);
    heard_line(heard.count - 3, TIDE_ECORRUPT, "may be older: 1970-01-01T00:00:00.000000001Z");
    heard_line(heard.count - 3, TIDE_ECORRUPT, "|resource-0");
    heard_line(heard.count - 2, TIDE_ECORRUPT, "its free list is damaged");
    heard_line(heard.count - 1, TIDE_OK, "how many are lost is not known");
}
END_TEST

START_TEST(a_removed_mark_stays_removed)
{
    tide_store *store;
    uuid_t device, peer;
    char resource[32];
    size_t removed = 0;

    make_shared();
    store = test_open(STORE, NULL);
    test_numbered(3, device, peer, resource);
    ck_assert_int_eq(tide_remove_peer(store, device, peer, &removed), TIDE_OK);
    ck_assert_uint_gt(removed, 0);
    ck_assert_int_eq(test_fill(store, 0, 1, 8), TIDE_OK);
    ck_assert_int_eq(test_fill(store, 0, 1, 9), TIDE_OK);
    tide_close(store);
    damage_mark(STORE, still_leaf(), 0);
    rescued(TIDE_FROM_PAGES, COUNT - removed - 1, COUNT - removed, 1, 0);
    store = test_open(COPY, NULL);
    ck_assert_uint_eq(test_count_at(store, 3, 1, 5), 0);
    tide_close(store);
}
END_TEST

START_TEST(what_has_no_mark_is_no_store)
{
    unsigned char noise[8 * PAGE];
    test_random random = {5};

    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (unsigned char)test_next(&random);
    }
    test_write_file(STORE, noise, sizeof noise);
    ck_assert_int_eq(repair(), TIDE_EFORMAT);
    ck_assert_uint_eq(test_entries(), 1);
    ck_assert_int_eq(tide_repair(STORE, COPY, NULL, NULL, NULL), TIDE_EINVAL);
}
END_TEST

/* Damage of any kind: what comes out is sound, and no mark is further than it was. */
START_TEST(no_damage_makes_a_mark_rise)
{
    test_random random = {11};
    test_bytes sound;
    size_t rescues = 0;

    make_shared();
    sound = test_read_file(STORE);
    for (int round = 0; round < 300; round++) {
        uint64_t flips = 1 + test_below(&random, 40);
        int rc;

        test_write_file(STORE, sound.data, sound.length);
        for (uint64_t i = 0; i < flips; i++) {
            size_t page = test_below(&random, sound.length / PAGE) * PAGE;
            size_t at = page + test_below(&random, round % 2 == 0 ? 64 : PAGE);
            unsigned char byte = (unsigned char)test_next(&random);

            put(STORE, at, &byte, 1);
        }
        rc = repair();
        if (rc == TIDE_OK) {
            tide_store *store = test_open(COPY, NULL);
            tide_info info = {.size = sizeof info};

            test_require(tide_stat(store, &info) == TIDE_OK && info.marks == repaired.marks);
            for (uint64_t n = 0; n < COUNT; n++) {
                uuid_t device, peer;
                char resource[32];
                tide_mark mark;

                test_numbered(n, device, peer, resource);
                rc = tide_get(store, device, peer, resource, &mark);
                test_require(rc == TIDE_ABSENT ||
                             (rc == TIDE_OK && mark.watermark <= (n == 0 ? 7 : 5)));
            }
            tide_close(store);
            rescues++;
            test_require(unlink(COPY) == 0 && unlink(COPY "-lock") == 0);
        } else {
            test_require(access(COPY, F_OK) != 0);
        }
    }
    ck_assert_uint_eq(rescues, 300);
    free(sound.data);
}
END_TEST

/* ---- import ------------------------------------------------------------------------------------- */

START_TEST(an_import_raises_and_never_lowers)
{
    tide_store *store = test_open(STORE, NULL);
    uuid_t a, b;
    tide_imported counts = {.size = sizeof counts};
    tide_mark mark;

    test_uuid(a, 1);
    test_uuid(b, 2);
    tide_step there[] = {{a, b, "equal", TIDE_TIME_NONE, 5, 50},
                         {a, b, "further", TIDE_TIME_NONE, 5, TIDE_TIME_NONE},
                         {a, b, "lower", TIDE_TIME_NONE, 5, 50},
                         {a, b, "other", TIDE_TIME_NONE, 5, 50}};
    tide_step marks[] = {{a, b, "other", TIDE_TIME_NONE, 9, 60},
                         {a, b, "new", TIDE_TIME_NONE, 9, 60},
                         {a, b, "lower", TIDE_TIME_NONE, 9, TIDE_TIME_NONE},
                         {a, b, "further", TIDE_TIME_NONE, 4, TIDE_TIME_NONE},
                         {a, b, "equal", TIDE_TIME_NONE, 5, 50}};

    ck_assert_int_eq(tide_advance_many(store, there, 4, TIDE_DEFERRED), TIDE_OK);
    ck_assert_int_eq(tide_import(store, marks, 5, &counts), TIDE_OK);
    ck_assert_uint_eq(counts.added, 1);
    ck_assert_uint_eq(counts.raised, 1);
    ck_assert_uint_eq(counts.equal, 1);
    ck_assert_uint_eq(counts.kept, 2);
    ck_assert_int_eq(tide_get(store, a, b, "new", &mark), TIDE_OK);
    ck_assert(mark.watermark == 9 && mark.epoch == 60);
    ck_assert_int_eq(tide_get(store, a, b, "lower", &mark), TIDE_OK);
    ck_assert(mark.watermark == 9 && mark.epoch == 50);
    ck_assert_int_eq(tide_get(store, a, b, "further", &mark), TIDE_OK);
    ck_assert(mark.watermark == 5);
    ck_assert_int_eq(tide_get(store, a, b, "other", &mark), TIDE_OK);
    ck_assert(mark.watermark == 5 && mark.epoch == 50);
    ck_assert_int_eq(tide_import(store, marks, 5, &counts), TIDE_OK);
    ck_assert_uint_eq(counts.added + counts.raised, 0);
    ck_assert_uint_eq(counts.equal, 3);
    ck_assert_int_eq(tide_import(store, NULL, 0, NULL), TIDE_OK);
    tide_close(store);
}
END_TEST

START_TEST(an_import_is_all_or_nothing)
{
    tide_store *store = test_open(STORE, NULL);
    uuid_t a, b;
    char detail[256];
    tide_imported counts = {.size = sizeof counts};
    tide_mark mark;

    test_uuid(a, 1);
    test_uuid(b, 2);
    tide_step twice[] = {{a, b, "x", TIDE_TIME_NONE, 5, TIDE_TIME_NONE},
                         {a, b, "y", TIDE_TIME_NONE, 5, TIDE_TIME_NONE},
                         {a, b, "x", TIDE_TIME_NONE, 6, TIDE_TIME_NONE}};
    tide_step begins[] = {{a, b, "x", 1, 5, TIDE_TIME_NONE}};
    tide_step nowhere[] = {{a, b, "x", TIDE_TIME_NONE, TIDE_TIME_NONE, TIDE_TIME_NONE}};
    tide_step misnamed[] = {{a, b, "x", TIDE_TIME_NONE, 5, TIDE_TIME_NONE},
                            {a, b, "x|", TIDE_TIME_NONE, 5, TIDE_TIME_NONE}};

    ck_assert_int_eq(tide_import(store, twice, 3, &counts), TIDE_EINVAL);
    tide_detail(store, detail, sizeof detail);
    ck_assert_ptr_nonnull(strstr(detail, "named twice: "));
    ck_assert_int_eq(tide_import(store, begins, 1, &counts), TIDE_EINVAL);
    ck_assert_int_eq(tide_import(store, nowhere, 1, &counts), TIDE_EINVAL);
    ck_assert_int_eq(tide_import(store, misnamed, 2, &counts), TIDE_EINVAL);
    ck_assert_int_eq(tide_import(store, NULL, 1, &counts), TIDE_EINVAL);
    counts.size = 1;
    ck_assert_int_eq(tide_import(store, twice, 1, &counts), TIDE_EINVAL);
    ck_assert_int_eq(tide_get(store, a, b, "x", &mark), TIDE_ABSENT);
    tide_close(store);
}
END_TEST

START_TEST(an_import_may_be_larger_than_a_call)
{
    static unsigned char uuids[2][16];
    static char names[3 * TIDE_STEPS_MAX][16];
    static tide_step steps[3 * TIDE_STEPS_MAX];
    tide_options options;
    tide_store *store;
    tide_imported counts = {.size = sizeof counts};
    const size_t count = sizeof steps / sizeof *steps;

    test_uuid(uuids[0], 1);
    test_uuid(uuids[1], 2);
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "%zu", i);
        steps[i] = (tide_step){uuids[0], uuids[1], names[i], TIDE_TIME_NONE, 7, TIDE_TIME_NONE};
    }
    test_options(&options, 64 << 10); /* the map grows, and all is played again */
    store = test_open(STORE, &options);
    ck_assert_int_eq(tide_import(store, steps, count, &counts), TIDE_OK);
    ck_assert_uint_eq(counts.added, count);
    ck_assert_int_eq(tide_import(store, steps, count, &counts), TIDE_OK);
    ck_assert_uint_eq(counts.equal, count);
    tide_close(store);
    ck_assert_int_eq(verify(STORE), TIDE_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backup");
    TCase *tcase = test_case(suite, "verify");

    tcase_add_test(tcase, every_commit_is_sound_and_the_one_before_it);
    tcase_add_test(tcase, every_fault_is_named);
    tcase_add_test(tcase, the_commit_before_the_last_is_checked_too);
    tcase_add_test(tcase, what_is_no_store_is_told);
    tcase_add_test(tcase, a_file_cut_short_names_the_pages_it_lost);

    tcase = test_case(suite, "backup");
    tcase_add_test(tcase, a_backup_has_all_and_what_waits);
    tcase_add_test(tcase, a_backup_of_more_than_one_portion);
    tcase_add_test(tcase, a_backup_never_goes_over_a_file_unless_told);
    tcase_add_test(tcase, a_store_that_another_process_has_open_is_not_replaced);
    tcase_add_test(tcase, a_damaged_mark_stops_a_backup);
    tcase_add_test(tcase, a_backup_beside_a_writer_is_one_snapshot);
    tcase_add_test(tcase, who_is_killed_leaves_no_half_backup);

    tcase = test_case(suite, "restore");
    tcase_add_test(tcase, a_restore_keeps_what_was_there);
    tcase_add_test(tcase, a_damaged_backup_changes_nothing);

    tcase = test_case(suite, "repair");
    tcase_add_test(tcase, a_sound_store_is_copied);
    tcase_add_test(tcase, a_damaged_free_list_costs_nothing);
    tcase_add_test(tcase, behind_damaged_metadata_is_the_commit_before);
    tcase_add_test(tcase, where_the_last_commit_is_damaged_is_the_one_before);
    tcase_add_test(tcase, a_damaged_mark_is_lost_and_no_other);
    tcase_add_test(tcase, a_damaged_page_is_lost_and_no_other);
    tcase_add_test(tcase, without_its_branch_no_mark_is_lost);
    tcase_add_test(tcase, without_metadata_marks_are_the_lowest_found);
    tcase_add_test(tcase, a_removed_mark_stays_removed);
    tcase_add_test(tcase, what_has_no_mark_is_no_store);
    tcase_add_test(tcase, no_damage_makes_a_mark_rise);

    tcase = test_case(suite, "import");
    tcase_add_test(tcase, an_import_raises_and_never_lowers);
    tcase_add_test(tcase, an_import_is_all_or_nothing);
    tcase_add_test(tcase, an_import_may_be_larger_than_a_call);
    return test_run(suite);
}
