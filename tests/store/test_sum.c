/* The sum of the marks: every change of a mark keeps it, and what changed without it is damage. */
#define _GNU_SOURCE 1
#include "store/sum.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tidemark/backup.h>

#include "support.h"

#define FILE_NAME "sync.mdb"
#define COUNT 100

/* ---- behind the store's back -------------------------------------------------------------------- */

static MDB_env *env;
static MDB_txn *txn;
static MDB_dbi main_dbi, marks_dbi;

static void begin(void)
{
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_set_maxdbs(env, 2), 0);
    ck_assert_int_eq(mdb_env_set_mapsize(env, 4 << 20), 0);
    ck_assert_int_eq(mdb_env_open(env, FILE_NAME, MDB_NOSUBDIR, 0600), 0);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_dbi_open(txn, NULL, 0, &main_dbi), 0);
    ck_assert_int_eq(mdb_dbi_open(txn, "marks", 0, &marks_dbi), 0);
}

static void end(void)
{
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* NULL: it goes. */
static void put_sum(const char *text)
{
    char name[] = "sum", bytes[64];
    MDB_val key = {3, name}, value = {0, bytes};

    if (text == NULL) {
        ck_assert_int_eq(mdb_del(txn, main_dbi, &key, NULL), 0);
        return;
    }
    snprintf(bytes, sizeof bytes, "%s", text);
    value.mv_size = strlen(bytes);
    ck_assert_int_eq(mdb_put(txn, main_dbi, &key, &value, 0), 0);
}

static tide__sum read_sum(void)
{
    char name[] = "sum";
    MDB_val key = {3, name}, value;
    tide__sum sum;

    ck_assert_int_eq(mdb_get(txn, main_dbi, &key, &value), 0);
    ck_assert(tide__sum_decode(value.mv_data, value.mv_size, &sum));
    return sum;
}

static void put_sum_of(uint64_t number, uint64_t checks)
{
    char text[TIDE__SUM_LENGTH + 1] = "";
    tide__sum sum = {number, checks};

    tide__sum_encode(&sum, text);
    put_sum(text);
}

/* The first mark's record: cut short, so that it is damaged. */
static void damage_first(void)
{
    MDB_cursor *cursor;
    MDB_val key, value;

    ck_assert_int_eq(mdb_cursor_open(txn, marks_dbi, &cursor), 0);
    ck_assert_int_eq(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    value.mv_size--;
    ck_assert_int_eq(mdb_put(txn, marks_dbi, &key, &value, 0), 0);
    mdb_cursor_close(cursor);
}

/* ---- what is there ------------------------------------------------------------------------------ */

static void make_store(void)
{
    tide_store *store = test_open(FILE_NAME, NULL);

    ck_assert_int_eq(test_fill(store, 0, COUNT, 5), TIDE_OK);
    tide_close(store);
}

static tide_store *open_unchecked(void)
{
    tide_options options;

    test_options(&options, 0);
    options.verify_max_bytes = 0;
    return test_open(FILE_NAME, &options);
}

/* The first. */
static void keep_text(void *ctx, int code, const char *text)
{
    (void)code;
    if (*(char *)ctx == '\0')
        snprintf(ctx, 256, "%s", text);
}

static void sound(void)
{
    char text[256] = "";
    int rc = tide_verify(FILE_NAME, keep_text, text);

    ck_assert_msg(rc == TIDE_OK, "%s: %s", tide_code_name(rc), text);
}

static void refused(const char *words)
{
    char text[256] = "";
    tide_store *store = NULL;

    ck_assert_int_eq(tide_open(FILE_NAME, NULL, &store), TIDE_ECORRUPT);
    ck_assert_int_eq(tide_verify(FILE_NAME, keep_text, text), TIDE_ECORRUPT);
    ck_assert_msg(strstr(text, words) != NULL, "%s", text);
}

/* ---- tests -------------------------------------------------------------------------------------- */

START_TEST(each_change_keeps_it)
{
    uuid_t d, p;
    char resource[32];
    tide_store *store = test_open(FILE_NAME, NULL);
    size_t removed = 0;

    test_numbered(0, d, p, resource);
    sound();
    ck_assert_int_eq(test_fill(store, 0, COUNT, 5), TIDE_OK);
    sound();
    ck_assert_int_eq(tide_advance(store, d, p, resource, 6), TIDE_OK);
    sound();
    for (tide_time upto = 7; upto < 10; upto++) { /* marks that this process has read, and others */
        tide_step step = {d, p, resource, TIDE_TIME_NONE, upto, TIDE_TIME_NONE};

        ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
        ck_assert_int_eq(tide_flush(store), TIDE_OK);
        sound();
    }
    ck_assert_int_eq(tide_compare_and_set(store, d, p, resource, 9, 3), TIDE_OK);
    sound();
    ck_assert_int_eq(tide_compare_and_set(store, d, p, resource, 3, TIDE_TIME_NONE), TIDE_OK);
    sound();
    ck_assert_int_eq(tide_compare_and_set(store, d, p, resource, TIDE_TIME_NONE, 1), TIDE_OK);
    sound();
    ck_assert_int_eq(tide_remove_peer(store, d, p, &removed), TIDE_OK);
    sound();
    ck_assert_int_eq(tide_advance(store, d, p, resource, 6), TIDE_OK);
    sound();
    tide_close(store);
    begin();
    ck_assert_uint_eq(read_sum().number, mdb_txn_id(txn) - 1);
    end();
}
END_TEST

START_TEST(it_is_the_number_and_the_checks_added_up)
{
    char name[] = "sum", check[9] = "", expected[TIDE__SUM_LENGTH + 1];
    MDB_val key = {3, name}, value;
    MDB_cursor *cursor;
    unsigned long long checks = 0;

    make_store();
    begin();
    ck_assert_int_eq(mdb_cursor_open(txn, marks_dbi, &cursor), 0);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        memcpy(check, (char *)value.mv_data + value.mv_size - 8, 8);
        checks += strtoul(check, NULL, 16);
    }
    mdb_cursor_close(cursor);
    key = (MDB_val){3, name};
    ck_assert_int_eq(mdb_get(txn, main_dbi, &key, &value), 0);
    snprintf(expected, sizeof expected, "%016zx|%016llx", mdb_txn_id(txn) - 1, checks);
    ck_assert_uint_eq(value.mv_size, strlen(expected));
    ck_assert_mem_eq(value.mv_data, expected, value.mv_size);
    end();
}
END_TEST

START_TEST(marks_written_past_it_are_damage)
{
    uuid_t d, p;
    char resource[32], text[256];
    tide_store *store;

    make_store();
    begin();
    damage_first();
    end();
    refused("of an earlier commit");
    test_numbered(1, d, p, resource);
    store = open_unchecked();
    ck_assert_int_eq(tide_advance(store, d, p, resource, 9), TIDE_ECORRUPT);
    tide_detail(store, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "the sum of the marks is not of commit"));
    tide_close(store);
}
END_TEST

START_TEST(another_sum_is_damage)
{
    make_store();
    begin();
    put_sum_of(mdb_txn_id(txn), read_sum().checks + 1);
    end();
    refused("its sum is not that of the marks");
}
END_TEST

START_TEST(what_is_no_sum_is_damage)
{
    static const char *const texts[] = {"",
                                        "9",
                                        "0000000000000fff|000000000000000",
                                        "0000000000000fff|00000000000000000",
                                        "0000000000000fff 0000000000000000",
                                        "0000000000000ffg|0000000000000000",
                                        "0000000000000fff|000000000000000F",
                                        "0000000000000fff|000000000000000/",
                                        "0000000000000fff|000000000000000:",
                                        "0000000000000fff|000000000000000`",
                                        "              -1|0000000000000000"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        make_store();
        begin();
        put_sum(texts[i]);
        end();
        refused("a damaged sum");
        ck_assert_int_eq(unlink(FILE_NAME), 0);
    }
}
END_TEST

/* As mdb_load makes it. */
START_TEST(without_one_the_next_commit_counts)
{
    tide_store *store;
    uint64_t checks;

    make_store();
    begin();
    checks = read_sum().checks;
    put_sum(NULL);
    end();
    sound();
    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(test_fill(store, COUNT, 1, 5), TIDE_OK);
    tide_close(store);
    sound();
    begin();
    ck_assert_uint_ne(read_sum().checks, checks);
    damage_first();
    end();
    refused("of an earlier commit");
}
END_TEST

/* mdb_copy -c counts commits from the first one on. */
START_TEST(a_compact_copy_is_sound)
{
    tide_store *store;

    make_store();
    begin();
    end();
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_open(env, FILE_NAME, MDB_NOSUBDIR | MDB_RDONLY, 0600), 0);
    ck_assert_int_eq(mdb_env_copy2(env, "copy.mdb", MDB_CP_COMPACT), 0);
    mdb_env_close(env);
    ck_assert_int_eq(rename("copy.mdb", FILE_NAME), 0);
    ck_assert_int_eq(unlink(FILE_NAME "-lock"), 0);
    sound();
    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(test_fill(store, 0, COUNT, 6), TIDE_OK);
    tide_close(store);
    sound();
    begin();
    ck_assert_uint_eq(read_sum().number, mdb_txn_id(txn) - 1);
    end();
}
END_TEST

/* A damaged record does not tell what it has added. */
START_TEST(it_is_right_again_without_the_damaged_mark)
{
    tide_store *store;
    size_t removed = 0;

    make_store();
    begin();
    damage_first();
    put_sum_of(mdb_txn_id(txn), read_sum().checks);
    end();
    refused("a damaged mark");
    store = open_unchecked();
    for (uint64_t i = 0; i < COUNT / 2; i++) {
        uuid_t d, p;
        char resource[32];

        test_numbered(i, d, p, resource);
        ck_assert_int_eq(tide_remove_peer(store, d, p, &removed), TIDE_OK);
    }
    tide_close(store);
    sound();
}
END_TEST

/* The same of one that is damaged while it is in memory, and is written anew from there. */
START_TEST(it_is_right_again_over_the_damaged_mark)
{
    uuid_t d, p;
    char resource[32];
    tide_store *store = test_open(FILE_NAME, NULL);
    tide_step step = {d, p, resource, TIDE_TIME_NONE, 9, TIDE_TIME_NONE};
    tide_mark mark;
    test_bytes file;
    unsigned damaged = 0;
    int fd;

    test_numbered(0, d, p, resource);
    ck_assert_int_eq(tide_advance(store, d, p, resource, 5), TIDE_OK);
    ck_assert_int_eq(tide_advance_many(store, &step, 1, TIDE_DEFERRED), TIDE_OK);
    file = test_read_file(FILE_NAME);
    fd = open(FILE_NAME, O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    for (size_t at = 0; at + 71 < file.length; at++) { /* the record begins where the key ends */
        if (memcmp(file.data + at,
                   "resource-0"
                   "1970-01-01T00:00:00.000000005Z",
                   40) == 0) {
            unsigned char digit = file.data[at + 10 + 70] == '0' ? '1' : '0';

            ck_assert_int_eq(pwrite(fd, &digit, 1, (off_t)at + 10 + 70), 1);
            damaged++;
        }
    }
    close(fd);
    free(file.data);
    ck_assert_uint_gt(damaged, 0);
    ck_assert_int_eq(tide_flush(store), TIDE_OK);
    ck_assert_int_eq(tide_get(store, d, p, resource, &mark), TIDE_OK);
    ck_assert_int_eq(mark.watermark, 9);
    ck_assert_int_eq(tide_advance(store, d, p, resource, 10), TIDE_OK);
    ck_assert_int_eq(tide_advance(store, d, p, resource, 11), TIDE_OK);
    tide_close(store);
    sound();
}
END_TEST

START_TEST(a_file_that_mdb_load_has_made_is_sound)
{
    tide_store *store;

    make_store();
    ck_assert_int_eq(system("{ mdb_dump -n -a sync.mdb | mdb_load -n load.mdb; } 2>errors"), 0);
    ck_assert_int_eq(rename("load.mdb", FILE_NAME), 0);
    (void)unlink(FILE_NAME "-lock");
    sound();
    store = test_open(FILE_NAME, NULL);
    ck_assert_int_eq(test_fill(store, 0, COUNT, 6), TIDE_OK);
    tide_close(store);
    sound();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sum");
    TCase *test = test_case(suite, "sum");

    tcase_add_test(test, each_change_keeps_it);
    tcase_add_test(test, it_is_the_number_and_the_checks_added_up);
    tcase_add_test(test, marks_written_past_it_are_damage);
    tcase_add_test(test, another_sum_is_damage);
    tcase_add_test(test, what_is_no_sum_is_damage);
    tcase_add_test(test, without_one_the_next_commit_counts);
    tcase_add_test(test, a_compact_copy_is_sound);
    tcase_add_test(test, it_is_right_again_without_the_damaged_mark);
    tcase_add_test(test, it_is_right_again_over_the_damaged_mark);
    tcase_add_test(test, a_file_that_mdb_load_has_made_is_sound);
    return test_run(suite);
}
