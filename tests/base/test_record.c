/* The value of a mark: golden bytes, the check's known answers, and that nothing else is a record. */
#define _GNU_SOURCE 1
#include "base/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

#include "support.h"

static const char key_text[] =
    "00112233-4455-6677-8899-aabbccddeeff|ffeeddcc-bbaa-9988-7766-554433221100|location";

#define TEN INT64_C(1735725600000000000)   /* 2025-01-01T10:00:00Z */
#define LATER INT64_C(1735725601000000002) /* 2025-01-01T10:00:01.000000002Z */
#define BEGAN INT64_C(1735603200000000000) /* 2024-12-31T00:00:00Z */

static const tide_mark plain = {TEN, LATER, TIDE_TIME_NONE}, whole = {TEN, LATER, BEGAN};
static const char plain_text[] =
    "2025-01-01T10:00:00.000000000Z|2025-01-01T10:00:01.000000002Z||84b55948";
static const char whole_text[] = "2025-01-01T10:00:00.000000000Z|2025-01-01T10:00:01.000000002Z|"
                                 "2024-12-31T00:00:00.000000000Z|f7d296a1";

static tide__key golden_key(void)
{
    tide__key key;

    memset(&key, 0, sizeof key);
    key.length = sizeof key_text - 1;
    memcpy(key.text, key_text, sizeof key_text);
    return key;
}

/* Decodes from blocks of exactly those sizes. */
static int decode(const void *key, size_t key_length, const void *bytes, size_t length,
                  tide_mark *out)
{
    void *exact_key = malloc(key_length == 0 ? 1 : key_length);
    void *exact = malloc(length == 0 ? 1 : length);
    int rc;

    test_require(exact_key != NULL && exact != NULL);
    memcpy(exact_key, key, key_length);
    memcpy(exact, bytes, length);
    rc = tide__record_decode(exact_key, key_length, exact, length, out);
    free(exact_key);
    free(exact);
    return rc;
}

static int decode_here(const void *bytes, size_t length)
{
    tide_mark mark;

    return decode(key_text, sizeof key_text - 1, bytes, length, &mark);
}

static bool same_mark(const tide_mark *left, const tide_mark *right)
{
    return left->watermark == right->watermark && left->updated_at == right->updated_at &&
           left->epoch == right->epoch;
}

/* ---- the check ---------------------------------------------------------------------------------- */

START_TEST(the_check_has_the_known_answers)
{
    /* RFC 3720, B.4, the last one an iSCSI read command */
    static const unsigned char command[48] = {
        0x01, 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02};
    unsigned char bytes[32];

    ck_assert_uint_eq(tide__crc32c(0, "123456789", 9), 0xe3069283);
    ck_assert_uint_eq(tide__crc32c(0, "", 0), 0);
    ck_assert_uint_eq(tide__crc32c(0, "a", 1), 0xc1d04330);
    memset(bytes, 0, sizeof bytes);
    ck_assert_uint_eq(tide__crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_uint_eq(tide__crc32c(0, bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++) {
        bytes[i] = (unsigned char)i;
    }
    ck_assert_uint_eq(tide__crc32c(0, bytes, 32), 0x46dd794e);
    for (unsigned i = 0; i < 32; i++) {
        bytes[i] = (unsigned char)(31 - i);
    }
    ck_assert_uint_eq(tide__crc32c(0, bytes, 32), 0x113fdb5c);
    ck_assert_uint_eq(tide__crc32c(0, command, 48), 0xd9963a56);
}
END_TEST

static uint32_t slow_crc32c(const unsigned char *bytes, size_t length)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
        }
    }
    return ~crc;
}

START_TEST(the_check_goes_on_from_any_place_and_any_alignment)
{
    unsigned char bytes[600];
    test_random random = {3720};

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)test_next(&random);
    }
    for (size_t length = 0; length < 520; length++) {
        size_t start = length % 17, cut = (size_t)test_below(&random, length + 1);
        uint32_t crc = slow_crc32c(bytes + start, length);
        uint32_t head = tide__crc32c(0, bytes + start, cut);

        ck_assert_uint_eq(tide__crc32c(0, bytes + start, length), crc);
        ck_assert_uint_eq(tide__crc32c_by_tables(0, bytes + start, length), crc);
        ck_assert_uint_eq(tide__crc32c(head, bytes + start + cut, length - cut), crc);
        ck_assert_uint_eq(tide__crc32c_by_tables(head, bytes + start + cut, length - cut), crc);
    }
}
END_TEST

/* ---- records ------------------------------------------------------------------------------------ */

static void golden_both_ways(const tide_mark *mark, const char *text)
{
    char out[TIDE__RECORD_MAX + 1];
    tide__key key = golden_key();
    tide_mark back = {1, 2, 3};

    memset(out, '#', sizeof out);
    ck_assert_uint_eq(tide__record_encode(&key, mark, out), strlen(text));
    ck_assert_mem_eq(out, text, strlen(text));
    ck_assert_int_eq(out[strlen(text)], '#');
    ck_assert_int_eq(decode(key_text, sizeof key_text - 1, text, strlen(text), &back), TIDE_OK);
    ck_assert(same_mark(&back, mark));
}

START_TEST(golden_records)
{
    golden_both_ways(&plain, plain_text);
    golden_both_ways(&whole, whole_text);
    ck_assert_uint_eq(sizeof whole_text - 1, TIDE__RECORD_MAX);
}
END_TEST

START_TEST(random_records_return)
{
    test_random random = {101};

    for (int i = 0; i < 20000; i++) {
        char out[TIDE__RECORD_MAX];
        tide_mark mark = {test_any_time(&random), test_any_time(&random), TIDE_TIME_NONE}, back;
        tide__key key;
        uuid_t device, peer;
        size_t length;

        if (i % 3 == 0)
            mark.watermark = i % 2 == 0 ? TIDE_TIME_MIN : TIDE_TIME_MAX;
        if (i % 5 != 0)
            mark.epoch = test_any_time(&random);
        test_uuid(device, test_next(&random));
        test_uuid(peer, test_next(&random));
        test_require(tide__key_encode(device, peer, "entry", &key) == TIDE_OK);
        length = tide__record_encode(&key, &mark, out);
        test_require(decode(key.text, key.length, out, length, &back) == TIDE_OK);
        test_require(same_mark(&back, &mark));
    }
}
END_TEST

START_TEST(every_changed_byte_is_damage)
{
    static const char *const texts[] = {plain_text, whole_text};

    for (size_t i = 0; i < 2; i++) {
        char text[TIDE__RECORD_MAX];
        size_t length = strlen(texts[i]);

        for (size_t at = 0; at < length; at++) {
            for (int change = 1; change < 256; change++) {
                memcpy(text, texts[i], length);
                text[at] = (char)(text[at] ^ change);
                ck_assert_msg(decode_here(text, length) == TIDE_ECORRUPT, "byte %d by %d", (int)at,
                              change);
            }
        }
    }
}
END_TEST

START_TEST(every_changed_byte_of_the_key_is_damage)
{
    static const char *const texts[] = {plain_text, whole_text};

    for (size_t at = 0; at < sizeof key_text - 1; at++) {
        for (int change = 1; change < 256; change++) {
            char key[sizeof key_text];

            memcpy(key, key_text, sizeof key);
            key[at] = (char)(key[at] ^ change);
            for (size_t i = 0; i < 2; i++) {
                tide_mark mark = {7, 7, 7};

                test_require(decode(key, sizeof key - 1, texts[i], strlen(texts[i]), &mark) ==
                             TIDE_ECORRUPT);
                test_require(mark.watermark == 7);
            }
        }
    }
    for (size_t length = 0; length < sizeof key_text - 1; length++) {
        tide_mark mark;

        ck_assert_int_eq(decode(key_text, length, plain_text, sizeof plain_text - 1, &mark),
                         TIDE_ECORRUPT);
    }
}
END_TEST

START_TEST(every_other_length_is_damage)
{
    char text[3 * TIDE__RECORD_MAX];

    for (size_t length = 0; length < sizeof whole_text - 1; length++) {
        ck_assert_int_eq(decode_here(whole_text, length), TIDE_ECORRUPT);
        if (length < sizeof plain_text - 1) {
            test_require(decode_here(plain_text, length) == TIDE_ECORRUPT);
        }
    }
    for (int fill = 0; fill < 256; fill++) {
        memset(text, fill, sizeof text);
        memcpy(text, whole_text, sizeof whole_text - 1);
        for (size_t length = sizeof whole_text; length <= sizeof text; length++) {
            test_require(decode_here(text, length) == TIDE_ECORRUPT);
        }
        memcpy(text, plain_text, sizeof plain_text - 1);
        for (size_t length = sizeof plain_text; length <= sizeof text; length++) {
            test_require(decode_here(text, length) == TIDE_ECORRUPT);
        }
    }
}
END_TEST

/* A body with its right check: only the body can be wrong. */
static int decode_sealed(const char *body)
{
    unsigned char sealed[256];
    char record[256];
    uint32_t crc;
    int length;

    length = snprintf((char *)sealed, sizeof sealed, "%s|%s", key_text, body);
    crc = slow_crc32c(sealed, (size_t)length);
    length = snprintf(record, sizeof record, "%s|%08x", body, crc);
    return decode_here(record, (size_t)length);
}

#define GOOD "2025-01-01T10:00:00.000000000Z"

START_TEST(a_right_check_does_not_make_another_text_a_record)
{
    static const char *const bodies[] = {
        "",
        "|",
        "||",
        "|||",
        GOOD,
        GOOD "|" GOOD,
        "|" GOOD "|",
        GOOD "||",
        GOOD "||" GOOD,
        "|" GOOD "|" GOOD,
        GOOD "|" GOOD "||",
        GOOD "|" GOOD "|" GOOD "|",
        GOOD "|" GOOD "|" GOOD "|" GOOD,
        GOOD " |" GOOD "|",
        GOOD "-" GOOD "|",
        GOOD "|" GOOD "-",
        GOOD "|" GOOD "| ",
        "2025-01-01T10:00:00Z|" GOOD "|",
        GOOD "|2025-01-01T10:00:00Z|",
        GOOD "|" GOOD "|2025-01-01T10:00:00Z",
        "2025-01-01 10:00:00.000000000Z|" GOOD "|",
        "2025-01-01t10:00:00.000000000Z|" GOOD "|",
        "2025-01-01T10:00:00.000000000z|" GOOD "|",
        GOOD "|2025-01-01T10:00:00.000000000z|",
        GOOD "|" GOOD "|2025-01-01T10:00:00.000000000z",
        "2025-01-01T10:00:00.0000+00:00|" GOOD "|",
        "2025-01-01T11:00:00.0000+01:00|" GOOD "|",
        GOOD "|" GOOD "|2025-01-01T11:00:00.0000+01:00",
        "2016-12-31T23:59:60.000000000Z|" GOOD "|",
        "2025-02-30T10:00:00.000000000Z|" GOOD "|",
        "9999-01-01T10:00:00.000000000Z|" GOOD "|",
        GOOD "|0000-01-01T10:00:00.000000000Z|",
        GOOD "|" GOOD "|1677-09-21T00:12:43.145224192Z",
        "1677-09-21T00:12:43.145224192Z|" GOOD "|",
        "                              |" GOOD "|",
        GOOD "|" GOOD "|                              ",
    };

    ck_assert_int_eq(decode_sealed(GOOD "|" GOOD "|"), TIDE_OK);
    ck_assert_int_eq(decode_sealed(GOOD "|" GOOD "|" GOOD), TIDE_OK);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        ck_assert_msg(decode_sealed(bodies[i]) == TIDE_ECORRUPT, "\"%s\"", bodies[i]);
    }
}
END_TEST

START_TEST(the_check_is_in_lower_case)
{
    char text[sizeof plain_text];

    memcpy(text, plain_text, sizeof text);
    ck_assert_int_eq(text[65], 'b');
    text[65] = 'B';
    ck_assert_int_eq(decode_here(text, sizeof text - 1), TIDE_ECORRUPT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record");
    TCase *test = test_case(suite, "records");

    tcase_add_test(test, the_check_has_the_known_answers);
    tcase_add_test(test, the_check_goes_on_from_any_place_and_any_alignment);
    tcase_add_test(test, golden_records);
    tcase_add_test(test, random_records_return);
    tcase_add_test(test, every_changed_byte_is_damage);
    tcase_add_test(test, every_changed_byte_of_the_key_is_damage);
    tcase_add_test(test, every_other_length_is_damage);
    tcase_add_test(test, a_right_check_does_not_make_another_text_a_record);
    tcase_add_test(test, the_check_is_in_lower_case);
    return test_run(suite);
}
