/* The key of a mark: golden bytes, every limit of a resource name, and that nothing else is a key. */
#define _GNU_SOURCE 1
#include "base/key.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/store.h>

#include "support.h"

static const uuid_t device = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                              0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
static const uuid_t peer = {0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88,
                            0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00};
#define DEVICE_TEXT "00112233-4455-6677-8899-aabbccddeeff"
#define PEER_TEXT "ffeeddcc-bbaa-9988-7766-554433221100"

/* Decodes from a block of exactly that size and checks that the answer fits the encoder: what
 * decodes must be what encoding makes of it. */
static bool is_key(const void *bytes, size_t length)
{
    void *exact = malloc(length == 0 ? 1 : length);
    char resource[TIDE_RESOURCE_MAX + 1];
    uuid_t left, right;
    tide__key again;
    int rc;

    test_require(exact != NULL);
    memcpy(exact, bytes, length);
    rc = tide__key_decode(exact, length, left, right, resource);
    free(exact);
    if (rc != TIDE_OK) {
        test_require(rc == TIDE_ECORRUPT);
        return false;
    }
    test_require(tide__key_encode(left, right, resource, &again) == TIDE_OK);
    test_require(again.length == length && memcmp(again.text, bytes, length) == 0);
    return true;
}

START_TEST(golden_key)
{
    static const char golden[] = DEVICE_TEXT "|" PEER_TEXT "|location";
    char resource[TIDE_RESOURCE_MAX + 1];
    uuid_t left, right;
    tide__key key;

    ck_assert_int_eq(tide__key_encode(device, peer, "location", &key), TIDE_OK);
    ck_assert_uint_eq(key.length, sizeof golden - 1);
    ck_assert_str_eq(key.text, golden);
    ck_assert_int_eq(tide__key_decode(golden, sizeof golden - 1, left, right, resource), TIDE_OK);
    ck_assert_mem_eq(left, device, 16);
    ck_assert_mem_eq(right, peer, 16);
    ck_assert_str_eq(resource, "location");
    ck_assert_uint_eq(TIDE__KEY_DEVICE_END, sizeof DEVICE_TEXT);
    ck_assert_uint_eq(TIDE__KEY_PEER_END, sizeof DEVICE_TEXT + sizeof PEER_TEXT);
    ck_assert_uint_eq(TIDE__KEY_PEER_END + TIDE_RESOURCE_MAX, TIDE__KEY_MAX);
}
END_TEST

START_TEST(null_is_no_part_of_a_key)
{
    size_t length = 77;
    tide__key key;

    ck_assert_int_eq(tide__key_encode(NULL, peer, "entry", &key), TIDE_EINVAL);
    ck_assert_int_eq(tide__key_encode(device, NULL, "entry", &key), TIDE_EINVAL);
    ck_assert_int_eq(tide__key_encode(device, peer, NULL, &key), TIDE_EINVAL);
    ck_assert(!tide__resource_valid(NULL, &length));
    ck_assert_uint_eq(length, 77);
}
END_TEST

/* ---- resource names ----------------------------------------------------------------------------- */

START_TEST(a_name_has_1_to_437_bytes)
{
    char name[TIDE_RESOURCE_MAX + 2];
    size_t length = 0;

    ck_assert(!tide__resource_valid("", NULL));
    for (size_t size = 1; size <= TIDE_RESOURCE_MAX + 1; size++) {
        bool good = size <= TIDE_RESOURCE_MAX;
        tide__key key;

        memset(name, 'r', size);
        name[size] = '\0';
        length = 0;
        ck_assert(tide__resource_valid(name, &length) == good);
        ck_assert_uint_eq(length, good ? size : 0);
        ck_assert(tide__resource_valid(name, NULL) == good);
        ck_assert_int_eq(tide__key_encode(device, peer, name, &key), good ? TIDE_OK : TIDE_EINVAL);
        if (good)
            ck_assert(is_key(key.text, key.length));
    }
}
END_TEST

START_TEST(the_longest_name_may_end_in_a_whole_character_only)
{
    char name[TIDE_RESOURCE_MAX + 4];

    for (size_t size = TIDE_RESOURCE_MAX - 4; size <= TIDE_RESOURCE_MAX; size++) {
        memset(name, 'r', size);
        memcpy(name + size, "\xe2\x82\xac", 4); /* with its NUL */
        ck_assert(tide__resource_valid(name, NULL) == (size + 3 <= TIDE_RESOURCE_MAX));
    }
    memset(name, 'r', TIDE_RESOURCE_MAX - 2);
    memcpy(name + TIDE_RESOURCE_MAX - 2, "\xe2\x82", 3);
    ck_assert(!tide__resource_valid(name, NULL));
}
END_TEST

/* The reference: reads one character of valid UTF-8 that a name may hold; 0 where there is none. */
static size_t character(const unsigned char *at, size_t left)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80                     ? 1
                    : at[0] >= 0xc0 && at[0] <= 0xdf ? 2
                    : at[0] >= 0xe0 && at[0] <= 0xef ? 3
                    : at[0] >= 0xf0 && at[0] <= 0xf7 ? 4
                                                     : 0;
    uint32_t point;

    if (length == 0 || length > left)
        return 0;
    point = length == 1 ? at[0] : at[0] & (0xffU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (at[i] & 0x3f);
    }
    if (length > 1 && point < lowest[length])
        return 0;
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    if (point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == '|')
        return 0;
    return length;
}

static bool reference_valid(const unsigned char *name, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t size = character(name + at, length - at);

        if (size == 0)
            return false;
        at += size;
    }
    return length > 0;
}

static void judged_alike(const unsigned char *name, size_t length)
{
    char text[8];

    memcpy(text, name, length);
    text[length] = '\0';
    if (tide__resource_valid(text, NULL) == reference_valid(name, length))
        return;
    ck_abort_msg("%02x %02x %02x %02x (%d bytes)", name[0], name[1], name[2], name[3], (int)length);
}

START_TEST(every_name_of_up_to_three_bytes_is_judged_right)
{
    unsigned char name[4] = {0};

    for (unsigned a = 1; a < 256; a++) {
        name[0] = (unsigned char)a;
        name[1] = name[2] = 0;
        judged_alike(name, 1);
        for (unsigned b = 1; b < 256; b++) {
            name[1] = (unsigned char)b;
            name[2] = 0;
            judged_alike(name, 2);
            for (unsigned c = 1; c < 256; c++) {
                name[2] = (unsigned char)c;
                judged_alike(name, 3);
            }
        }
    }
}
END_TEST

START_TEST(names_of_four_bytes_are_judged_right)
{
    static const unsigned char last[] = {0x01, 0x20, 0x41, 0x7c, 0x7e, 0x7f, 0x80, 0x8f, 0x90,
                                         0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff};
    unsigned char name[4];

    for (unsigned a = 0x80; a < 256; a++) {
        for (unsigned b = 1; b < 256; b++) {
            for (size_t c = 0; c < sizeof last; c++) {
                for (size_t d = 0; d < sizeof last; d++) {
                    name[0] = (unsigned char)a;
                    name[1] = (unsigned char)b;
                    name[2] = last[c];
                    name[3] = last[d];
                    judged_alike(name, 4);
                }
            }
        }
    }
}
END_TEST

/* Names of every kind that is allowed, and of every kind that is not. */
static const char *const good_names[] = {"location",
                                         " ",
                                         "~",
                                         "\xc2\xa0",
                                         "\xc3\xa9",
                                         "\xdf\xbf",
                                         "\xe0\xa0\x80",
                                         "\xed\x9f\xbf",
                                         "\xee\x80\x80",
                                         "\xef\xbf\xbf",
                                         "\xf0\x90\x80\x80",
                                         "\xf4\x8f\xbf\xbf",
                                         "a/b\\c:d\"e'f%g",
                                         "\xf0\x9f\x8c\x8a tide"};

static const char *const bad_names[] = {"|",
                                        "a|b",
                                        "|a",
                                        "a|",
                                        "\x01",
                                        "\t",
                                        "a\n",
                                        "\r",
                                        "\x1f",
                                        "\x7f",
                                        ("a\x7f"
                                         "b"),
                                        "\xc2\x80",
                                        "\xc2\x85",
                                        "\xc2\x9f",
                                        ("a\xc2\x90"
                                         "b"), /* C1 controls */
                                        "\x80",
                                        "\xbf",
                                        "a\x80", /* a continuation alone */
                                        "\xc3",
                                        "\xe2\x82",
                                        "\xf0\x9f\x8c",
                                        "\xc3 ", /* cut characters */
                                        "\xc0\x80",
                                        "\xc0\xaf",
                                        "\xc1\xbf",
                                        "\xc1\xbc", /* overlong, two bytes (the last: '|') */
                                        "\xe0\x80\x80",
                                        "\xe0\x81\xbc",
                                        "\xe0\x9f\xbf", /* overlong, three */
                                        "\xf0\x80\x80\x80",
                                        "\xf0\x8f\xbf\xbf", /* overlong, four */
                                        "\xed\xa0\x80",
                                        "\xed\xbf\xbf",
                                        "\xed\xa0\xbd\xed\xb8\x80", /* surrogates */
                                        "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80",
                                        "\xf7\xbf\xbf\xbf", /* above U+10FFFF */
                                        "\xf8\x88\x80\x80\x80",
                                        "\xfc\x84\x80\x80\x80\x80",
                                        "\xfe",
                                        "\xff"};

START_TEST(good_names_are_taken)
{
    for (size_t i = 0; i < sizeof good_names / sizeof *good_names; i++) {
        size_t length = 0;

        ck_assert_msg(tide__resource_valid(good_names[i], &length), "good %d", (int)i);
        ck_assert_uint_eq(length, strlen(good_names[i]));
    }
}
END_TEST

START_TEST(bad_names_are_refused)
{
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++) {
        char text[128];
        size_t length = sizeof DEVICE_TEXT + sizeof PEER_TEXT;
        tide__key key;

        ck_assert_msg(!tide__resource_valid(bad_names[i], NULL), "bad %d", (int)i);
        ck_assert_int_eq(tide__key_encode(device, peer, bad_names[i], &key), TIDE_EINVAL);
        memcpy(text, DEVICE_TEXT "|" PEER_TEXT "|", length);
        memcpy(text + length, bad_names[i], strlen(bad_names[i]));
        ck_assert_msg(!is_key(text, length + strlen(bad_names[i])), "bad %d", (int)i);
    }
}
END_TEST

/* ---- keys --------------------------------------------------------------------------------------- */

START_TEST(every_changed_byte_is_judged)
{
    static const char golden[] = DEVICE_TEXT "|" PEER_TEXT "|location";
    char text[sizeof golden];

    for (size_t at = 0; at < sizeof golden - 1; at++) {
        for (int byte = 0; byte < 256; byte++) {
            bool mark = golden[at] == '-' || golden[at] == '|';
            bool good = at >= TIDE__KEY_PEER_END ? byte >= 0x20 && byte < 0x7f && byte != '|'
                        : mark                   ? byte == golden[at]
                                                 : byte != 0 && strchr("0123456789abcdef", byte);

            memcpy(text, golden, sizeof golden);
            text[at] = (char)byte;
            if (is_key(text, sizeof golden - 1) != good) {
                ck_abort_msg("byte %d as %d", (int)at, byte);
            }
        }
    }
}
END_TEST

START_TEST(every_length_is_judged)
{
    char text[TIDE__KEY_MAX + 64];

    memset(text, 'r', sizeof text);
    memcpy(text, DEVICE_TEXT "|" PEER_TEXT "|", TIDE__KEY_PEER_END);
    for (size_t length = 0; length <= sizeof text; length++) {
        ck_assert(is_key(text, length) == (length > TIDE__KEY_PEER_END && length <= TIDE__KEY_MAX));
    }
}
END_TEST

START_TEST(a_nul_is_no_part_of_a_key)
{
    static const char golden[] = DEVICE_TEXT "|" PEER_TEXT "|location";

    ck_assert(!is_key(golden, sizeof golden));
    for (size_t at = 0; at < sizeof golden - 1; at++) {
        char text[sizeof golden];

        memcpy(text, golden, sizeof golden);
        text[at] = '\0';
        ck_assert(!is_key(text, sizeof golden - 1));
    }
}
END_TEST

START_TEST(upper_case_is_no_key)
{
    ck_assert(!is_key("00112233-4455-6677-8899-AABBCCDDEEFF|" PEER_TEXT "|location", 82));
    ck_assert(!is_key(DEVICE_TEXT "|FFEEDDCC-BBAA-9988-7766-554433221100|location", 82));
    ck_assert(is_key(DEVICE_TEXT "|" PEER_TEXT "|LOCATION", 82));
    ck_assert(!is_key("{0112233-4455-6677-8899-aabbccddeef}|" PEER_TEXT "|location", 82));
}
END_TEST

/* The order of keys is the order of (device, peer, resource), bytes compared. */
START_TEST(random_keys_return_and_keep_their_order)
{
    static const char *const names[] = {
        "a", "a!", "aa", "ab", "b", "~", "\xc3\xa9", "\xf0\x9f\x8c\x8a", " ", "z{}"};
    test_random random = {511};
    tide__key last = {0, ""};
    uuid_t last_device, last_peer;
    const char *last_name = NULL;

    for (int i = 0; i < 20000; i++) {
        const char *name = names[test_below(&random, sizeof names / sizeof *names)];
        uuid_t d, p, back_d, back_p;
        char back[TIDE_RESOURCE_MAX + 1];
        tide__key key;

        test_uuid(d, test_below(&random, 3));
        test_uuid(p, i % 2 == 0 ? test_below(&random, 3) : test_next(&random));
        test_require(tide__key_encode(d, p, name, &key) == TIDE_OK);
        test_require(key.length == strlen(key.text));
        test_require(tide__key_decode(key.text, key.length, back_d, back_p, back) == TIDE_OK);
        test_require(memcmp(back_d, d, 16) == 0);
        test_require(memcmp(back_p, p, 16) == 0);
        test_require(strcmp(back, name) == 0);
        if (last_name != NULL) {
            int expected = memcmp(d, last_device, 16), order = strcmp(key.text, last.text);

            if (expected == 0)
                expected = memcmp(p, last_peer, 16);
            if (expected == 0)
                expected = strcmp(name, last_name);
            test_require((order > 0) - (order < 0) == (expected > 0) - (expected < 0));
        }
        last = key;
        memcpy(last_device, d, 16);
        memcpy(last_peer, p, 16);
        last_name = name;
    }
}
END_TEST

/* ---- UUIDs -------------------------------------------------------------------------------------- */

START_TEST(a_uuid_is_36_characters_in_lower_case)
{
    static const char *const bad[] = {
        "00112233-4455-6677-8899-aabbccddeefF", "00112233-4455-6677-8899-aabbccddeefg",
        "00112233-4455-6677-8899_aabbccddeeff", "001122334455-6677-8899-aabbccddeeff-",
        "-0112233-4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899-aabbccddee f",
        "0x112233-4455-6677-8899-aabbccddeeff", "00112233-4455-6677-88999aabbccddeeff"};
    char text[TIDE__UUID_TEXT + 1] = "";
    uuid_t back;

    text[TIDE__UUID_TEXT] = '#';
    tide__uuid_format(device, text);
    ck_assert_mem_eq(text, DEVICE_TEXT "#", TIDE__UUID_TEXT + 1);
    ck_assert(tide__uuid_parse(text, back));
    ck_assert_mem_eq(back, device, 16);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(!tide__uuid_parse(bad[i], back), "%s", bad[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("key");
    TCase *test = test_case(suite, "keys");

    tcase_add_test(test, golden_key);
    tcase_add_test(test, null_is_no_part_of_a_key);
    tcase_add_test(test, a_name_has_1_to_437_bytes);
    tcase_add_test(test, the_longest_name_may_end_in_a_whole_character_only);
    tcase_add_test(test, every_name_of_up_to_three_bytes_is_judged_right);
    tcase_add_test(test, names_of_four_bytes_are_judged_right);
    tcase_add_test(test, good_names_are_taken);
    tcase_add_test(test, bad_names_are_refused);
    tcase_add_test(test, every_changed_byte_is_judged);
    tcase_add_test(test, every_length_is_judged);
    tcase_add_test(test, a_nul_is_no_part_of_a_key);
    tcase_add_test(test, upper_case_is_no_key);
    tcase_add_test(test, random_keys_return_and_keep_their_order);
    tcase_add_test(test, a_uuid_is_36_characters_in_lower_case);
    return test_run(suite);
}
