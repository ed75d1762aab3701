/* The pinned values, names and sentences of the answers, and the version. */
#define _GNU_SOURCE 1
#include <tidemark/error.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/detail.h"
#include "support.h"

/* Written out once more, so that a changed header cannot change both sides. */
static const struct {
    int code, value;
    const char *name;
} pinned[] = {
    {TIDE_OK, 0, "TIDE_OK"},
    {TIDE_STALE, 1, "TIDE_STALE"},
    {TIDE_GAP, 2, "TIDE_GAP"},
    {TIDE_ABSENT, 3, "TIDE_ABSENT"},
    {TIDE_CONFLICT, 4, "TIDE_CONFLICT"},
    {TIDE_EINVAL, -1, "TIDE_EINVAL"},
    {TIDE_ERANGE, -2, "TIDE_ERANGE"},
    {TIDE_ENOMEM, -3, "TIDE_ENOMEM"},
    {TIDE_EIO, -4, "TIDE_EIO"},
    {TIDE_ENOSPC, -5, "TIDE_ENOSPC"},
    {TIDE_EFULL, -6, "TIDE_EFULL"},
    {TIDE_EACCES, -7, "TIDE_EACCES"},
    {TIDE_ENOENT, -8, "TIDE_ENOENT"},
    {TIDE_EBUSY, -9, "TIDE_EBUSY"},
    {TIDE_EFORMAT, -10, "TIDE_EFORMAT"},
    {TIDE_ECORRUPT, -11, "TIDE_ECORRUPT"},
    {TIDE_EFORKED, -12, "TIDE_EFORKED"},
    {TIDE_EUNKNOWN, -13, "TIDE_EUNKNOWN"},
    {TIDE_EFILESYSTEM, -14, "TIDE_EFILESYSTEM"},
    {TIDE_ELIMIT, -15, "TIDE_ELIMIT"},
    {TIDE_EPROTO, -16, "TIDE_EPROTO"},
    {TIDE_EMODEL, -17, "TIDE_EMODEL"},
    {TIDE_ECYCLE, -18, "TIDE_ECYCLE"},
    {TIDE_ECLOCK, -19, "TIDE_ECLOCK"},
    {TIDE_ELIBRARY, -20, "TIDE_ELIBRARY"},
    {TIDE_ECONSTRAINT, -21, "TIDE_ECONSTRAINT"},
    {TIDE_ESQL, -22, "TIDE_ESQL"},
    {TIDE_ECLOSED, -23, "TIDE_ECLOSED"},
    {TIDE_EOWNER, -24, "TIDE_EOWNER"},
};

START_TEST(values_and_names_are_pinned)
{
    ck_assert_int_eq(pinned[_i].code, pinned[_i].value);
    ck_assert_str_eq(tide_code_name(pinned[_i].value), pinned[_i].name);
    ck_assert_str_ne(tide_strerror(pinned[_i].value), "unknown code");
    ck_assert_str_ne(tide_strerror(pinned[_i].value), "");
}
END_TEST

START_TEST(every_code_is_pinned_here)
{
    size_t count = 0;

#define COUNT_ONE(name, value, sentence) count++;
    TIDE_CODES(COUNT_ONE)
#undef COUNT_ONE
    ck_assert_uint_eq(count, sizeof pinned / sizeof *pinned);
}
END_TEST

START_TEST(the_sentences_are_those_of_the_header)
{
#define CHECK_ONE(name, value, sentence) ck_assert_str_eq(tide_strerror(value), sentence);
    TIDE_CODES(CHECK_ONE)
#undef CHECK_ONE
    ck_assert_str_eq(tide_strerror(TIDE_OK), "done");
    ck_assert_str_eq(tide_strerror(TIDE_ABSENT), "there is none");
    ck_assert_str_eq(tide_strerror(TIDE_ECLOSED), "the link is closed");
}
END_TEST

START_TEST(other_numbers_are_unknown)
{
    static const int others[] = {5, 6, 100, -25, -26, -100, INT_MAX, INT_MIN};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ck_assert_str_eq(tide_strerror(others[i]), "unknown code");
        ck_assert_str_eq(tide_code_name(others[i]), "TIDE_?");
    }
}
END_TEST

START_TEST(errno_has_codes)
{
    static const int codes[][2] = {
        {EINVAL, TIDE_EINVAL},  {ENAMETOOLONG, TIDE_EINVAL}, {ENOMEM, TIDE_ENOMEM},
        {ENOSPC, TIDE_ENOSPC},  {EDQUOT, TIDE_ENOSPC},       {EACCES, TIDE_EACCES},
        {EPERM, TIDE_EACCES},   {EROFS, TIDE_EACCES},        {ENOENT, TIDE_ENOENT},
        {ENOTDIR, TIDE_ENOENT}, {EBUSY, TIDE_EBUSY},         {EAGAIN, TIDE_EBUSY},
        {EIO, TIDE_EIO},        {ENXIO, TIDE_EIO},           {0, TIDE_EIO}};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        ck_assert_int_eq(tide__code_of_errno(codes[i][0]), codes[i][1]);
}
END_TEST

START_TEST(the_version_is_that_of_the_header)
{
    char text[32];

    snprintf(text, sizeof text, "%d.%d.%d", TIDE_VERSION_MAJOR, TIDE_VERSION_MINOR,
             TIDE_VERSION_PATCH);
    ck_assert_str_eq(text, TIDE_VERSION_TEXT);
    ck_assert_str_eq(tide_version(), TIDE_VERSION_TEXT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("error");
    TCase *test = test_case(suite, "codes");

    tcase_add_loop_test(test, values_and_names_are_pinned, 0, (int)(sizeof pinned / sizeof *pinned));
    tcase_add_test(test, every_code_is_pinned_here);
    tcase_add_test(test, the_sentences_are_those_of_the_header);
    tcase_add_test(test, other_numbers_are_unknown);
    tcase_add_test(test, errno_has_codes);
    tcase_add_test(test, the_version_is_that_of_the_header);
    return test_run(suite);
}
