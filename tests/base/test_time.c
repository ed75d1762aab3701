/* Instants and their text: golden values, everything RFC 3339 allows, everything it does not, the
 * ends of the range, and the agreement with a slow calendar of our own. */
#define _GNU_SOURCE 1
#include <tidemark/time.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define SECOND INT64_C(1000000000)
#define UNTOUCHED INT64_C(0x5ca1ab1e)

/* Parses exactly these bytes from a block of exactly their size, so that a sanitizer sees an overrun. */
static int parse_bytes(const void *text, size_t length, tide_time *out)
{
    char *exact = malloc(length == 0 ? 1 : length);
    int rc;

    test_require(exact != NULL);
    memcpy(exact, text, length);
    rc = tide_time_parse(exact, length, out);
    free(exact);
    return rc;
}

static void accepts(const char *text, tide_time expected)
{
    tide_time time = UNTOUCHED;
    int rc = parse_bytes(text, strlen(text), &time);

    ck_assert_msg(rc == TIDE_OK, "\"%s\": %s", text, tide_code_name(rc));
    ck_assert_msg(time == expected, "\"%s\": %lld, not %lld", text, (long long)time,
                  (long long)expected);
}

static void answers_bytes(const void *text, size_t length, int expected)
{
    tide_time time = UNTOUCHED;
    int rc = parse_bytes(text, length, &time);

    ck_assert_msg(rc == expected, "\"%.*s\": %s", (int)length, (const char *)text,
                  tide_code_name(rc));
    ck_assert_msg(time == UNTOUCHED, "\"%.*s\": out was written", (int)length, (const char *)text);
}

static void refuses(const char *text)
{
    answers_bytes(text, strlen(text), TIDE_EINVAL);
}

static void out_of_range(const char *text)
{
    answers_bytes(text, strlen(text), TIDE_ERANGE);
}

static void formats(tide_time time, const char *expected)
{
    char text[TIDE_TIME_TEXT];

    memset(text, 'x', sizeof text);
    tide_time_format(time, text);
    ck_assert_str_eq(text, expected);
}

/* ---- golden values ------------------------------------------------------------------------------ */

static const struct {
    tide_time time;
    const char *text;
} golden[] = {
    {0, "1970-01-01T00:00:00.000000000Z"},
    {1, "1970-01-01T00:00:00.000000001Z"},
    {-1, "1969-12-31T23:59:59.999999999Z"},
    {-SECOND, "1969-12-31T23:59:59.000000000Z"},
    {-SECOND - 1, "1969-12-31T23:59:58.999999999Z"},
    {86400 * SECOND - 1, "1970-01-01T23:59:59.999999999Z"},
    {951782400 * SECOND, "2000-02-29T00:00:00.000000000Z"},
    {951868800 * SECOND, "2000-03-01T00:00:00.000000000Z"},
    {-2203977600 * SECOND, "1900-02-28T00:00:00.000000000Z"},
    {-2203891200 * SECOND, "1900-03-01T00:00:00.000000000Z"},
    {INT64_C(1000000000) * SECOND, "2001-09-09T01:46:40.000000000Z"},
    {INT64_C(1234567890123456789), "2009-02-13T23:31:30.123456789Z"},
    {INT64_C(1735725600) * SECOND, "2025-01-01T10:00:00.000000000Z"},
    {INT64_C(4102444800) * SECOND, "2100-01-01T00:00:00.000000000Z"},
    {TIDE_TIME_MIN, "1677-09-21T00:12:43.145224193Z"},
    {TIDE_TIME_MIN + 1, "1677-09-21T00:12:43.145224194Z"},
    {TIDE_TIME_MAX, "2262-04-11T23:47:16.854775807Z"},
    {TIDE_TIME_MAX - 1, "2262-04-11T23:47:16.854775806Z"},
};

START_TEST(golden_texts_are_written_and_read)
{
    formats(golden[_i].time, golden[_i].text);
    accepts(golden[_i].text, golden[_i].time);
}
END_TEST

START_TEST(none_is_the_empty_text)
{
    formats(TIDE_TIME_NONE, "");
    refuses("");
}
END_TEST

START_TEST(the_format_writes_31_bytes_and_no_more)
{
    char text[TIDE_TIME_TEXT + 1];

    memset(text, 'x', sizeof text);
    tide_time_format(0, text);
    ck_assert_uint_eq(strlen(text), TIDE_TIME_TEXT - 1);
    ck_assert_int_eq(text[TIDE_TIME_TEXT], 'x');
}
END_TEST

/* ---- what is taken ------------------------------------------------------------------------------ */

START_TEST(every_form_of_rfc_3339_is_taken)
{
    const tide_time ten = INT64_C(1735725600) * SECOND; /* 2025-01-01T10:00:00Z */

    accepts("2025-01-01T10:00:00Z", ten);
    accepts("2025-01-01t10:00:00z", ten);
    accepts("2025-01-01T10:00:00z", ten);
    accepts("2025-01-01t10:00:00Z", ten);
    accepts("2025-01-01 10:00:00Z", ten);
    accepts("2025-01-01 10:00:00z", ten);
    accepts("2025-01-01T10:00:00+00:00", ten);
    accepts("2025-01-01T10:00:00-00:00", ten);
    accepts("2025-01-01T11:00:00+01:00", ten);
    accepts("2025-01-01T15:30:00+05:30", ten);
    accepts("2025-01-01T10:01:00+00:01", ten);
    accepts("2025-01-01T09:59:00-00:01", ten);
    accepts("2024-12-31T22:00:00-12:00", ten);
    accepts("2025-01-02T09:59:00+23:59", ten);
    accepts("2024-12-31T10:01:00-23:59", ten);
    accepts("2025-01-01 11:00:00.5+01:00", ten + SECOND / 2);
    accepts("2025-01-01t10:00:00.5z", ten + SECOND / 2);
    accepts("2025-01-01T10:00:00.123456+00:00", ten + 123456000);
}
END_TEST

START_TEST(any_number_of_fraction_digits_is_taken)
{
    const tide_time ten = INT64_C(1735725600) * SECOND;
    char text[2100];
    tide_time part = 0;

    for (size_t digits = 1; digits <= 2000; digits++) {
        int head = snprintf(text, sizeof text, "2025-01-01T10:00:00.");

        ck_assert_int_eq(head, 20);
        for (size_t i = 0; i < digits; i++) {
            text[20 + i] = (char)('1' + i % 9);
        }
        text[20 + digits] = 'Z';
        text[21 + digits] = '\0';
        if (digits <= 9) {
            tide_time scale = 1;

            for (size_t i = digits; i < 9; i++) {
                scale *= 10;
            }
            part += (tide_time)digits * scale;
        }
        accepts(text, ten + part);
    }
    ck_assert_int_eq(part, 123456789);
}
END_TEST

START_TEST(what_does_not_fit_rounds_down)
{
    accepts("1970-01-01T00:00:00.9999999999Z", SECOND - 1);
    accepts("1970-01-01T00:00:00.0000000009Z", 0);
    accepts("1969-12-31T23:59:59.9999999999Z", -1);
    accepts("1969-12-31T23:59:59.0000000009Z", -SECOND);
    accepts("1969-12-31T23:59:58.9999999995Z", -SECOND - 1);
    accepts("1901-05-05T05:05:05.1234567899Z", INT64_C(-2166720894876543211));
    accepts("2262-04-11T23:47:16.8547758079Z", TIDE_TIME_MAX);
    accepts("1677-09-21T00:12:43.1452241939999Z", TIDE_TIME_MIN);
}
END_TEST

START_TEST(a_leap_second_is_the_last_nanosecond_before_it)
{
    const tide_time end_of_2016 = INT64_C(1483228800) * SECOND;

    accepts("2016-12-31T23:59:60Z", end_of_2016 - 1);
    accepts("2016-12-31T23:59:60.000000000Z", end_of_2016 - 1);
    accepts("2016-12-31T23:59:60.999999999Z", end_of_2016 - 1);
    accepts("2016-12-31 23:59:60.5z", end_of_2016 - 1);
    accepts("2017-01-01T00:59:60+01:00", end_of_2016 - 1);
    accepts("2016-12-31T15:59:60-08:00", end_of_2016 - 1);
    accepts("2017-01-01T05:29:60.25+05:30", end_of_2016 - 1);
    accepts("2017-01-01T23:58:60+23:59", end_of_2016 - 1);
    accepts("2016-12-31T00:00:60-23:59", end_of_2016 - 1);
    accepts("1990-12-31T23:59:60Z", INT64_C(662688000) * SECOND - 1);
    accepts("1969-12-31T23:59:60Z", -1);
    accepts("1972-06-30T23:59:60Z", INT64_C(78796800) * SECOND - 1);
    accepts("2025-01-31T23:59:60Z", INT64_C(1738368000) * SECOND - 1);
    accepts("2025-02-28T23:59:60Z", INT64_C(1740787200) * SECOND - 1);
    accepts("2024-02-29T23:59:60Z", INT64_C(1709251200) * SECOND - 1);
    accepts("2025-03-01T00:29:60+00:30", INT64_C(1740787200) * SECOND - 1);
}
END_TEST

START_TEST(a_leap_second_elsewhere_is_refused)
{
    refuses("2016-12-31T22:59:60Z");
    refuses("2016-12-31T23:58:60Z");
    refuses("2016-12-30T23:59:60Z");
    refuses("2016-12-31T00:00:60Z");
    refuses("2024-02-28T23:59:60Z");
    refuses("2023-02-27T23:59:60Z");
    refuses("2016-12-31T23:59:60+01:00");
    refuses("2016-12-31T23:59:60-08:00");
    refuses("2016-12-31T23:59:60+00:01");
    refuses("2017-01-01T23:59:60+01:00");
    refuses("2025-06-15T12:00:60Z");
    refuses("1500-06-15T12:00:60Z");
    refuses("2016-12-31T23:59:61Z");
}
END_TEST

/* ---- what is refused ---------------------------------------------------------------------------- */

static const char *const refused[] = {
    "2025-1-01T10:00:00Z",
    "2025-01-1T10:00:00Z",
    "2025-01-01T1:00:00Z",
    "2025-01-01T10:0:00Z",
    "2025-01-01T10:00:0Z",
    "025-01-01T10:00:00Z",
    "02025-01-01T10:00:00Z",
    "+2025-01-01T10:00:00Z",
    "-025-01-01T10:00:00Z",
    " 2025-01-01T10:00:00Z",
    "2025-01-01T10:00:00Z ",
    "2025-01-01T10:00:00Z\n",
    "2025-01-01T10:00:00ZZ",
    "2025-01-01T10:00:00Z+00:00",
    "2025-01-01T10:00:00+00:00Z",
    "2025-01-01T10:00:00+00:000",
    "2025/01/01T10:00:00Z",
    "2025-01/01T10:00:00Z",
    "2025.01.01T10:00:00Z",
    "20250101T100000Z",
    "2025-01-01_10:00:00Z",
    "2025-01-01\t10:00:00Z",
    "2025-01-01  10:00:00Z",
    "2025-01-0110:00:00Z",
    "2025-01-01T10-00-00Z",
    "2025-01-01T10.00.00Z",
    "2025-01-01T10:00Z",
    "2025-01-01T10Z",
    "2025-01-01",
    "2025-01-01Z",
    "2025-001T10:00:00Z",
    "2025-W01-3T10:00:00Z",
    "2025-01-01T10:00:00",
    "2025-01-01T10:00:00.Z",
    "2025-01-01T10:00:00.+00:00",
    "2025-01-01T10:00:00,5Z",
    "2025-01-01T10:00:00.5.5Z",
    "2025-01-01T10:00:00.-5Z",
    "2025-01-01T10:00:00. 5Z",
    "2025-01-01T10:00:00.5e3Z",
    "2025-01-01T10:00:00.1234567890aZ",
    "2025-01-01T10:00:00.5",
    "2025-00-01T10:00:00Z",
    "2025-13-01T10:00:00Z",
    "2025-01-00T10:00:00Z",
    "2025-01-32T10:00:00Z",
    "2025-02-29T10:00:00Z",
    "2025-02-30T10:00:00Z",
    "2024-02-30T10:00:00Z",
    "1900-02-29T10:00:00Z",
    "2100-02-29T10:00:00Z",
    "2025-04-31T10:00:00Z",
    "2025-06-31T10:00:00Z",
    "2025-09-31T10:00:00Z",
    "2025-11-31T10:00:00Z",
    "9999-02-29T10:00:00Z",
    "2025-01-01T24:00:00Z",
    "2025-01-01T25:00:00Z",
    "2025-01-01T10:60:00Z",
    "2025-01-01T10:00:60Z",
    "2025-01-01T10:00:61Z",
    "2025-01-01T10:00:99Z",
    "2025-01-01T-1:00:00Z",
    "2025-01-01T10:00:00+24:00",
    "2025-01-01T10:00:00-24:00",
    "2025-01-01T10:00:00+12:60",
    "2025-01-01T10:00:00+99:99",
    "2025-01-01T10:00:00+0100",
    "2025-01-01T10:00:00+01",
    "2025-01-01T10:00:00+1:00",
    "2025-01-01T10:00:00+01:0",
    "2025-01-01T10:00:00+01-00",
    "2025-01-01T10:00:00 +01:00",
    "2025-01-01T10:00:00+ 1:00",
    ("2025-01-01T10:00:00\xe2\x88\x92"
     "01:00"), /* U+2212, the minus sign that is not a hyphen */
    "2025-01-01T10:00:00 Z",
    "2025-01-01T10:00:00A",
    "2025-01-01T10:00:00UTC",
    "2025-01-01T10:00:00GMT",
    "\xd9\xa2\xd9\xa0\xd9\xa2\xd9\xa5-01-01T10:00:00Z", /* Arabic-Indic digits */
    ("\xef\xbc\x92"
     "025-01-01T10:00:00Z"), /* a fullwidth digit */
    ("\xef\xbb\xbf"
     "2025-01-01T10:00:00Z"), /* a byte order mark */
    "2025-01-01T10:00:00\xc2\xa0Z",
    "2025-01-01T10:00:0:Z",
    "2025-01-01T1/:00:00Z",
    "20 5-01-01T10:00:00Z",
    "2025-01-01T10:00:00.00000000/Z",
    "2025-01-01T10:00:00.00000000:Z",
    "now",
    "0",
    "Z",
    "-",
};

START_TEST(other_texts_are_refused)
{
    refuses(refused[_i]);
}
END_TEST

START_TEST(every_prefix_is_refused)
{
    static const char *const whole[] = {
        "2025-01-01T10:00:00.123456789Z", "2025-01-01T10:00:00Z", "2025-01-01 10:00:00+05:30",
        "2025-01-01T10:00:00.123456789123-00:00", "2016-12-31T23:59:60Z"};

    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        for (size_t length = 0; length < strlen(whole[i]); length++) {
            answers_bytes(whole[i], length, TIDE_EINVAL);
        }
    }
    ck_assert_int_eq(tide_time_parse(NULL, 0, &(tide_time){0}), TIDE_EINVAL);
}
END_TEST

START_TEST(every_byte_behind_is_refused)
{
    static const char *const whole[] = {"2025-01-01T10:00:00Z", "2025-01-01T10:00:00.5+00:00"};

    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        size_t length = strlen(whole[i]);
        char longer[64];

        memcpy(longer, whole[i], length);
        for (int byte = 0; byte < 256; byte++) {
            longer[length] = (char)byte;
            answers_bytes(longer, length + 1, TIDE_EINVAL);
        }
    }
}
END_TEST

/* Each byte of a text changed to each other value. What still passes is a text of the same grammar:
 * it may be a date outside the range, but it is not malformed. */
START_TEST(every_changed_byte_is_judged)
{
    static const char whole[] = "2025-01-11T10:10:10.555555555+01:10";
    static const char *const good[sizeof whole - 1] = {
        "0123456789", "0123456789", "0123456789", "0123456789", "-",          "01",
        "123456789",  "-",          "0123",       "0123456789", "Tt ",        "012",
        "0123456789", ":",          "012345",     "0123456789", ":",          "012345",
        "0123456789", ".",          "0123456789", "0123456789", "0123456789", "0123456789",
        "0123456789", "0123456789", "0123456789", "0123456789", "0123456789", "+-",
        "012",        "0123456789", ":",          "012345",     "0123456789"};

    for (size_t at = 0; at < sizeof whole - 1; at++) {
        for (int byte = 0; byte < 256; byte++) {
            tide_time time = UNTOUCHED;
            char text[sizeof whole];
            int rc;

            memcpy(text, whole, sizeof whole);
            text[at] = (char)byte;
            rc = parse_bytes(text, sizeof whole - 1, &time);
            if ((rc != TIDE_EINVAL) != (byte != 0 && strchr(good[at], byte) != NULL)) {
                ck_abort_msg("byte %d as %d: %s", (int)at, byte, tide_code_name(rc));
            }
            test_require((rc == TIDE_OK) == (time != UNTOUCHED));
        }
    }
}
END_TEST

START_TEST(a_nul_inside_is_refused)
{
    static const char whole[] = "2025-01-01T10:00:00.5+01:00";

    for (size_t at = 0; at < sizeof whole - 1; at++) {
        char text[sizeof whole];

        memcpy(text, whole, sizeof whole);
        text[at] = '\0';
        answers_bytes(text, sizeof whole - 1, TIDE_EINVAL);
    }
    answers_bytes(whole, sizeof whole, TIDE_EINVAL);
}
END_TEST

/* ---- the ends ----------------------------------------------------------------------------------- */

START_TEST(the_ends_are_inside)
{
    accepts("1677-09-21T00:12:43.145224193Z", TIDE_TIME_MIN);
    accepts("1677-09-21T01:12:43.145224193+01:00", TIDE_TIME_MIN);
    accepts("1677-09-20T00:13:43.145224193-23:59", TIDE_TIME_MIN);
    accepts("1677-09-22T00:11:43.145224193+23:59", TIDE_TIME_MIN);
    accepts("2262-04-11T23:47:16.854775807Z", TIDE_TIME_MAX);
    accepts("2262-04-12T00:47:16.854775807+01:00", TIDE_TIME_MAX);
    accepts("2262-04-12T23:46:16.854775807+23:59", TIDE_TIME_MAX);
    accepts("2262-04-10T23:48:16.854775807-23:59", TIDE_TIME_MAX);
}
END_TEST

START_TEST(outside_the_ends_is_told_apart)
{
    out_of_range("1677-09-21T00:12:43.145224192Z"); /* the value that stands for no time */
    out_of_range("1677-09-21T00:12:43.1452241929999Z");
    out_of_range("1677-09-21T00:12:43.145224191Z");
    out_of_range("1677-09-21T00:12:43Z");
    out_of_range("1677-09-21T00:12:42.999999999Z");
    out_of_range("1677-09-21T00:12:43.145224193+00:01");
    out_of_range("1677-09-21T01:12:43.145224192+01:00");
    out_of_range("2262-04-11T23:47:16.854775808Z");
    out_of_range("2262-04-11T23:47:17Z");
    out_of_range("2262-04-11T23:47:16.854775807-00:01");
    out_of_range("2262-04-12T00:47:16.854775808+01:00");
    out_of_range("1677-09-20T23:59:59Z");
    out_of_range("2262-04-12T00:00:00Z");
    out_of_range("2262-04-30T23:59:60Z");
    out_of_range("0000-01-01T00:00:00Z");
    out_of_range("0000-02-29T00:00:00Z");
    out_of_range("0000-01-01T00:00:00+23:59");
    out_of_range("0000-01-01T00:59:60+01:00");
    out_of_range("0001-01-01T00:00:00Z");
    out_of_range("9999-12-31T23:59:59Z");
    out_of_range("9999-12-31T23:59:60Z");
    out_of_range("9999-12-31T23:59:59.999999999-23:59");
    out_of_range("1385-01-01T00:00:00Z"); /* would wrap to a year inside the range */
    out_of_range("2554-07-21T23:34:33.709551616Z");
    out_of_range("2554-07-22T00:00:00Z");
}
END_TEST

/* ---- many --------------------------------------------------------------------------------------- */

START_TEST(a_million_times_return_and_keep_their_order)
{
    test_random random = {20250101};
    char last[TIDE_TIME_TEXT];
    tide_time last_time = 0;

    tide_time_format(last_time, last);
    for (int i = 0; i < 1000000; i++) {
        char text[TIDE_TIME_TEXT];
        tide_time time = test_any_time(&random), back = UNTOUCHED;
        int order, expected;

        if (i % 4 == 0)
            time = last_time == TIDE_TIME_MAX ? last_time : last_time + 1;
        tide_time_format(time, text);
        test_require(strlen(text) == 30);
        test_require(tide_time_parse(text, 30, &back) == TIDE_OK);
        test_require(back == time);
        order = memcmp(text, last, 30);
        order = (order > 0) - (order < 0);
        expected = (time > last_time) - (time < last_time);
        test_require(order == expected);
        memcpy(last, text, sizeof last);
        last_time = time;
    }
}
END_TEST

/* The slow calendar: it counts days one year and one month at a time. */
static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 ? leap : 0);
}

static int64_t slow_days(int year, int month, int day)
{
    int64_t days = 0;

    for (int y = 1970; y < year; y++) {
        days += month_days(y, 2) == 29 ? 366 : 365;
    }
    for (int y = year; y < 1970; y++) {
        days -= month_days(y, 2) == 29 ? 366 : 365;
    }
    for (int m = 1; m < month; m++) {
        days += month_days(year, m);
    }
    return days + day - 1;
}

/* One random text of a year in [first, last], with what it must give. */
static int random_text(test_random *random, int first, int last, char *text, size_t size,
                       tide_time *expected)
{
    static const int64_t lowest = -9223372037, highest = 9223372036;
    int year = first + (int)test_below(random, (uint64_t)(last - first) + 1);
    int month = 1 + (int)test_below(random, 12);
    int day = 1 + (int)test_below(random, (uint64_t)month_days(year, month));
    int hour = (int)test_below(random, 24), minute = (int)test_below(random, 60);
    int second = (int)test_below(random, 60);
    int digits = (int)test_below(random, 16);
    int offset = (int)test_below(random, 2 * 1439 + 1) - 1439;
    int64_t seconds =
        slow_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset * 60;
    int64_t part = 0;
    int at = snprintf(text, size, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day, hour, minute,
                      second);

    if (digits > 0)
        text[at++] = '.';
    for (int i = 0; i < digits; i++) {
        int digit = (int)test_below(random, 10);

        text[at++] = (char)('0' + digit);
        if (i < 9)
            part = part * 10 + digit;
    }
    for (int i = digits; i < 9; i++) {
        part *= 10;
    }
    snprintf(text + at, size - (size_t)at, "%c%02d:%02d", offset < 0 ? '-' : '+', abs(offset) / 60,
             abs(offset) % 60);
    if (seconds < lowest || (seconds == lowest && part < 145224193))
        return TIDE_ERANGE;
    if (seconds > highest || (seconds == highest && part > 854775807))
        return TIDE_ERANGE;
    *expected = seconds < 0 ? (seconds + 1) * SECOND + (part - SECOND) : seconds * SECOND + part;
    return TIDE_OK;
}

START_TEST(random_dates_agree_with_the_slow_calendar)
{
    test_random random = {3339};
    int refused_count = 0;

    for (int i = 0; i < 100000; i++) {
        tide_time expected = UNTOUCHED, time = UNTOUCHED;
        char text[64];
        int first = i % 4 == 0 ? 0 : 1678, last = i % 4 == 0 ? 9999 : 2261;
        int rc = random_text(&random, first, last, text, sizeof text, &expected);

        if (tide_time_parse(text, strlen(text), &time) != rc || time != expected) {
            ck_abort_msg("%s: %lld, not %lld", text, (long long)time, (long long)expected);
        }
        refused_count += rc == TIDE_ERANGE;
    }
    ck_assert_int_gt(refused_count, 20000); /* the generator did go outside */
}
END_TEST

START_TEST(the_year_of_each_end_agrees_with_the_slow_calendar)
{
    test_random random = {1677};

    for (int i = 0; i < 20000; i++) {
        tide_time expected = UNTOUCHED, time = UNTOUCHED;
        char text[64];
        int year = i % 2 == 0 ? 1677 : 2262;
        int rc = random_text(&random, year, year, text, sizeof text, &expected);

        if (tide_time_parse(text, strlen(text), &time) != rc || time != expected) {
            ck_abort_msg("%s: %lld, not %lld", text, (long long)time, (long long)expected);
        }
    }
}
END_TEST

START_TEST(every_day_of_the_range_is_written_as_the_slow_calendar_does)
{
    int64_t day_number = slow_days(1677, 9, 22);

    for (int year = 1677; year <= 2262; year++) {
        for (int month = 1; month <= 12; month++) {
            for (int day = 1; day <= month_days(year, month); day++) {
                char text[TIDE_TIME_TEXT], expected[64];

                if (year == 1677 && (month < 9 || (month == 9 && day < 22)))
                    continue;
                if (year == 2262 && (month > 4 || (month == 4 && day > 10)))
                    continue;
                tide_time_format(day_number * 86400 * SECOND, text);
                snprintf(expected, sizeof expected, "%04d-%02d-%02dT00:00:00.000000000Z", year,
                         month, day);
                test_require(strcmp(text, expected) == 0);
                day_number++;
            }
        }
    }
    ck_assert_int_eq(day_number, slow_days(2262, 4, 11));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("time");
    TCase *test = test_case(suite, "values");

    tcase_add_loop_test(test, golden_texts_are_written_and_read, 0,
                        (int)(sizeof golden / sizeof *golden));
    tcase_add_test(test, none_is_the_empty_text);
    tcase_add_test(test, the_format_writes_31_bytes_and_no_more);
    tcase_add_test(test, every_form_of_rfc_3339_is_taken);
    tcase_add_test(test, any_number_of_fraction_digits_is_taken);
    tcase_add_test(test, what_does_not_fit_rounds_down);
    tcase_add_test(test, a_leap_second_is_the_last_nanosecond_before_it);
    tcase_add_test(test, a_leap_second_elsewhere_is_refused);
    tcase_add_loop_test(test, other_texts_are_refused, 0, (int)(sizeof refused / sizeof *refused));
    tcase_add_test(test, every_prefix_is_refused);
    tcase_add_test(test, every_byte_behind_is_refused);
    tcase_add_test(test, every_changed_byte_is_judged);
    tcase_add_test(test, a_nul_inside_is_refused);
    tcase_add_test(test, the_ends_are_inside);
    tcase_add_test(test, outside_the_ends_is_told_apart);
    tcase_add_test(test, a_million_times_return_and_keep_their_order);
    tcase_add_test(test, random_dates_agree_with_the_slow_calendar);
    tcase_add_test(test, the_year_of_each_end_agrees_with_the_slow_calendar);
    tcase_add_test(test, every_day_of_the_range_is_written_as_the_slow_calendar_does);
    return test_run(suite);
}
