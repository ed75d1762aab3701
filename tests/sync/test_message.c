/* Messages: the bytes of the four kinds, and what becomes of every other byte string: a typed
 * error, or something harmless; never a crash, never more memory than a small multiple of what
 * arrived. */
#include "sync/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "sync/support_sync.h"

#define RANDOM_STRINGS 200000
#define MUTATIONS 200000
#define SESSION_MUTATIONS 6000

/* ---- messages written as text ------------------------------------------------------------------- */

/* Packs one message from words: numbers, "1.5f", nil, true, false, 'text', x'hex', [ ... ]; LIB and
 * DEV are the library and a device, STR64 and STR65 texts of that many letters, ext is an
 * extension, {} a map. */
/* strcspn, which a sanitizer that is strict with strings lets read on to the end. */
static size_t length_until(const char *p, const char *ends)
{
    size_t length = 0;

    while (p[length] != '\0' && strchr(ends, p[length]) == NULL)
        length++;
    return length;
}

static const char *pack_words(tide__buffer *out, const char *p);

static const char *skip_blanks(const char *p)
{
    while (*p == ' ' || *p == '\n')
        p++;
    return p;
}

static const char *pack_array(tide__buffer *out, const char *p)
{
    tide__buffer inside = {NULL, 0, 0, false};
    msgpack_packer packer;
    size_t count = 0;

    for (p = skip_blanks(p); *p != ']'; p = skip_blanks(p)) {
        p = pack_words(&inside, p);
        count++;
    }
    tide__packer(out, &packer);
    msgpack_pack_array(&packer, count);
    tide__buffer_append(out, inside.bytes == NULL ? "" : inside.bytes, inside.size);
    tide__buffer_free(&inside);
    return p + 1;
}

static void pack_hex(msgpack_packer *packer, const char *p, size_t digits)
{
    unsigned char bytes[64];

    for (size_t i = 0; i < digits / 2; i++) {
        char pair[] = {p[2 * i], p[2 * i + 1], '\0'};
        bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    tide__pack_bytes(packer, bytes, digits / 2);
}

static void pack_word(tide__buffer *out, const char *word)
{
    static const char letters[] =
        "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    msgpack_packer packer;
    uuid_t uuid;

    tide__packer(out, &packer);
    if (strcmp(word, "nil") == 0) {
        msgpack_pack_nil(&packer);
    } else if (strcmp(word, "true") == 0) {
        msgpack_pack_true(&packer);
    } else if (strcmp(word, "false") == 0) {
        msgpack_pack_false(&packer);
    } else if (strcmp(word, "LIB") == 0) {
        test_library_uuid(uuid);
        tide__pack_bytes(&packer, uuid, 16);
    } else if (strcmp(word, "DEV") == 0) {
        test_uuid(uuid, 2);
        tide__pack_bytes(&packer, uuid, 16);
    } else if (strcmp(word, "STR64") == 0) {
        tide__pack_text(&packer, letters, 64);
    } else if (strcmp(word, "STR65") == 0) {
        tide__pack_text(&packer, letters, 65);
    } else if (strcmp(word, "ext") == 0) {
        tide__buffer_append(out, "\xd4\x01\x02", 3);
    } else if (strcmp(word, "{}") == 0) {
        msgpack_pack_map(&packer, 0);
    } else if (word[strlen(word) - 1] == 'f') {
        msgpack_pack_double(&packer, strtod(word, NULL));
    } else if (word[0] == '-') {
        msgpack_pack_int64(&packer, strtoll(word, NULL, 10));
    } else {
        msgpack_pack_uint64(&packer, strtoull(word, NULL, 10));
    }
}

static const char *pack_words(tide__buffer *out, const char *p)
{
    msgpack_packer packer;
    char word[64];
    size_t length;

    tide__packer(out, &packer);
    p = skip_blanks(p);
    if (*p == '[')
        return pack_array(out, p + 1);
    if (*p == '\'') {
        length = length_until(p + 1, "'");
        tide__pack_text(&packer, p + 1, length);
        return p + length + 2;
    }
    if (*p == 'x' && p[1] == '\'') {
        length = length_until(p + 2, "'");
        pack_hex(&packer, p + 2, length);
        return p + length + 3;
    }
    length = length_until(p, " \n[]");
    test_require(length > 0 && length < sizeof word);
    memcpy(word, p, length);
    word[length] = '\0';
    pack_word(out, word);
    return p + length;
}

static tide__buffer words(const char *text)
{
    tide__buffer buffer = {NULL, 0, 0, false};

    (void)pack_words(&buffer, text);
    test_require(!buffer.failed);
    return buffer;
}

/* ---- decoding ----------------------------------------------------------------------------------- */

static tide__message message;
static tide__detail detail;

/* Decodes, checks every row, frees. TIDE_OK or what refused it. The bytes are in memory of their
 * own size, so that a sanitizer sees each byte too many that is read. */
static int decode(const void *bytes, size_t size)
{
    static tide_value values[TIDE_COLUMNS_MAX];
    unsigned char *exact = malloc(size == 0 ? 1 : size);
    int rc;

    test_require(exact != NULL);
    memcpy(exact, bytes, size);
    memset(&message, 0xaa, sizeof message);
    detail.text[0] = '\0';
    rc = tide__message_decode(&message, exact, size, &detail);
    if (rc == TIDE_OK && message.kind == TIDE__PAGE) {
        for (size_t i = 0; i < message.range_count; i++) {
            for (size_t r = 0; r < message.ranges[i].rows->size && rc == TIDE_OK; r++) {
                tide_change change;
                rc = tide__message_row(&message.ranges[i], r, 2, &change, values);
            }
        }
        tide__message_free(&message);
    } else if (rc == TIDE_OK) {
        tide__message_free(&message);
    } else {
        test_require(detail.text[0] != '\0');
    }
    free(exact);
    return rc;
}

static int decode_words(const char *text)
{
    tide__buffer buffer = words(text);
    int rc = decode(buffer.bytes, buffer.size);

    tide__buffer_free(&buffer);
    return rc;
}

static const char *const good[] = {
    "[1 3 LIB DEV 3 5 6 [] [0 1 1 0 nil]]",
    "[1 3 LIB DEV 3 5 6 [['item' ['uuid' 'name']]] [0 500 262144 0 [['item' nil nil nil false 0 nil nil]]]]",
    "[1 3 LIB DEV 3 -5 6 [[STR64 []]] [4294967295 65536 67108864 0 []]]",
    "[2 3 LIB DEV 3 0 6 [0 1 1 0 []]]",
    "[2 3 LIB DEV 3 9223372036854775807 6 [0 1 1 0 [['item' 7 8 nil false 0 5 0] ['other' -9223372036854775807 nil nil false 0 nil nil]]]]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil nil [] nil false 9 true [] false nil]] false]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 7 7 [] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[false 5 DEV 'a' nil -1] [true 6 DEV x'00']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[false 5 DEV 1.5f 'b' x'']] nil false 9 true [] false nil]] true]",
    "[4 3 LIB DEV 3 5 6]",
};

#define LEVEL "[1 2 3] "

static const char *const bad[] = {
    /* not an array, or no head */
    "nil",
    "1",
    "'text'",
    "x'00'",
    "[]",
    "[1]",
    "[4 1 LIB DEV]",
    "true",
    "{}",
    "ext",
    /* wrong protocol, in every kind */
    "[4 2 LIB DEV 3 5]",
    "[4 0 LIB DEV 3 5]",
    "[4 -1 LIB DEV 3 5]",
    "[4 '3' LIB DEV 3 5]",
    "[4 3f LIB DEV 3 5]",
    "[4 4294967299 LIB DEV 3 5]",
    "[3 1 LIB DEV 3 5 9 0 0 [] true]",
    /* wrong kinds */
    "[0 3 LIB DEV 3 5 6]",
    "[5 3 LIB DEV 3 5 6]",
    "[-1 3 LIB DEV 3 5 6]",
    "[4294967300 3 LIB DEV 3 5 6]",
    "['x' 3 LIB DEV 3 5 6]",
    "[nil 3 LIB DEV 3 5 6]",
    "[true 3 LIB DEV 3 5 6]",
    /* heads */
    "[4 3 x'00' DEV 3 5 6]",
    "[4 3 nil DEV 3 5 6]",
    "[4 3 '0123456789abcdef' DEV 3 5 6]",
    "[4 3 LIB x'000102030405060708090a0b0c0d0e0f10' 3 5 6]",
    "[4 3 LIB 'x' 3 5 6]",
    "[4 1 LIB DEV 5]",
    "[4 3 LIB DEV nil 5 6]",
    "[4 3 LIB DEV 'x' 5 6]",
    "[4 3 LIB DEV 3f 5 6]",
    "[4 3 LIB DEV 9223372036854775808 5 6]",
    "[4 3 LIB DEV 3 nil 6]",
    "[4 3 LIB DEV 3 'x' 6]",
    "[4 3 LIB DEV 3 5f 6]",
    "[4 3 LIB DEV 3 9223372036854775808 6]",
    "[4 3 LIB DEV 3 -9223372036854775808 6]",
    "[4 3 LIB DEV 3 5 6 6]",
    "[4 3 LIB DEV 3 [] 6]",
    /* questions */
    "[2 3 LIB DEV 3 5 6]",
    "[2 3 LIB DEV 3 5 6 nil]",
    "[2 3 LIB DEV 3 5 6 []]",
    "[2 3 LIB DEV 3 5 6 [0 1 1]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 [] 1]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 []] 1]",
    "[2 3 LIB DEV 3 5 6 [-1 1 1 0 []]]",
    "[2 3 LIB DEV 3 5 6 [4294967296 1 1 0 []]]",
    "[2 3 LIB DEV 3 5 6 [0 0 1 0 []]]",
    "[2 3 LIB DEV 3 5 6 [0 65537 1 0 []]]",
    "[2 3 LIB DEV 3 5 6 [0 1 0 0 []]]",
    "[2 3 LIB DEV 3 5 6 [0 1 67108865 0 []]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 true]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [nil]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [[]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 2 []]]", /* nobody asks in that state */
    "[2 3 LIB DEV 3 5 6 [0 1 1 nil []]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' nil nil nil nil 0 nil nil]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' nil nil 1.5f false 0]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' nil]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' nil nil nil]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['' nil nil nil false 0 nil nil]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [[STR65 nil nil nil false 0 nil nil]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [[x'61' nil nil nil false 0 nil nil]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' 'x' nil nil false 0 nil nil]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' 1.5f nil nil false 0 nil nil]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' -9223372036854775808 nil nil false 0 nil nil]]]]",
    /* a resource twice */
    "[1 3 LIB DEV 3 5 6 [['a' []] ['b' []] ['a' []]] [0 1 1 0 []]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['a' 1 2 nil false 0 5 0] ['b' 1 2 nil false 0 5 0] ['b' 3 2 nil false 0 5 0]]]]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['a' 1 2 [] nil false 9 true [] false nil] ['a' 2 3 [] nil false 9 true [] false nil]] true]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' nil 9223372036854775808 nil false 0 nil nil]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' nil nil nil false 0]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' nil nil nil false 0 5 nil]]]]", /* one without the other */
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' nil nil nil false 0 nil 5]]]]",
    "[2 3 LIB DEV 3 5 6 [0 1 1 0 [['item' nil nil nil false 0 'x' 5]]]]",
    /* offers */
    "[1 3 LIB DEV 3 5 6 nil [0 1 1 0 []]]",
    "[1 3 LIB DEV 3 5 6 [[]] [0 1 1 0 []]]",
    "[1 3 LIB DEV 3 5 6 ['item'] [0 1 1 0 []]]",
    "[1 3 LIB DEV 3 5 6 [['item']] [0 1 1 0 []]]",
    "[1 3 LIB DEV 3 5 6 [['item' nil]] [0 1 1 0 []]]",
    "[1 3 LIB DEV 3 5 6 [['item' [1]]] [0 1 1 0 []]]",
    "[1 3 LIB DEV 3 5 6 [['item' [x'61']]] [0 1 1 0 []]]",
    "[1 3 LIB DEV 3 5 6 [['' []]] [0 1 1 0 []]]",
    "[1 3 LIB DEV 3 5 6 [[STR65 []]] [0 1 1 0 []]]",
    "[1 3 LIB DEV 3 5 6 [['item' [] []]] [0 1 1 0 []]]",
    "[1 3 LIB DEV 3 5 6 []]",
    "[1 3 LIB DEV 3 5 6 [] [0 1 1 0 []] 1]",
    /* pages */
    "[3 3 LIB DEV 3 5 6 9 0 0 []]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [] nil]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [] 1]",
    "[3 3 LIB DEV 3 5 6 0 0 [] true]",
    "[3 3 LIB DEV 3 5 6 'x' 0 0 [] true]",
    "[3 3 LIB DEV 3 5 6 9 -1 0 [] true]",
    "[3 3 LIB DEV 3 5 6 9 4294967296 0 [] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 nil true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [] true true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [[]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil nil true nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil nil [] 1]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil nil true []]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil nil nil nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 9 8 [] nil false 9 true [] false nil]] true]", /* backwards */
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 9 nil [] nil false 9 true [] false nil]] true]", /* likewise */
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 9 9 [[true 5 DEV 'a']] nil false 9 true [] false nil]] true]", /* rows in nothing */
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil nil [[true 5 DEV 'a']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 1.5f 9 [] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['' 8 9 [] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [[STR65 8 9 [] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [[1 8 9 [] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 3 [] true]", /* no such health */
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] 1.5f false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil 0 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil nil [] nil true 9 true [] false nil]] true]", /* of none */
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true [[]] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true [[1]] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true [[1 2 3f]] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true 7 false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true [] false []]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true [] false [-1 LIB]]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true [] false [1 x'00']]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true [] false [1 'x']]] true]",
    "[3 3 LIB DEV 3 5 nil 9 0 0 [] true]", /* in no life */
    "[4 3 LIB DEV 3 5]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false nil true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 nil [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true nil false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true [[1 2 nil]] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true [[1 2 3 4]] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' 8 9 [] nil false 9 true [" LEVEL LEVEL LEVEL LEVEL LEVEL LEVEL
        LEVEL LEVEL LEVEL LEVEL LEVEL LEVEL LEVEL LEVEL LEVEL LEVEL LEVEL "] false nil]] true]",
    /* rows */
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [nil] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[]] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[true 5 DEV]] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[true 5 DEV nil]] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[true nil DEV 'a']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[true 1.5f DEV 'a']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[1 5 DEV 'a']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[true 5 x'00' 'a']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[true 5 DEV 'a' 'v' 'v']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[false 5 DEV 'a' 'v']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[false 5 DEV 'a' 'v' 'v' 'v']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[false 5 DEV true 'v' 'v']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[false 5 DEV [] 'v' 'v']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[false 5 DEV 'a' true 'v']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[false 5 DEV 'a' [] 'v']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[false 5 DEV 'a' 9223372036854775808 'v']] nil false 9 true [] false nil]] true]",
    /* what MessagePack has and our messages have not */
    "[4 3 LIB DEV 3 ext 6]",
    "[4 3 LIB DEV 3 {}]",
    "[3 3 LIB DEV 3 5 6 9 0 0 {} true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[false 5 DEV 'a' ext 'v']] nil false 9 true [] false nil]] true]",
    "[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [[false 5 DEV 'a' {} 'v']] nil false 9 true [] false nil]] true]",
    /* deeper than ours are */
    "[4 3 LIB DEV 3 [[[[[[[[[[[[[]]]]]]]]]]]]]]",
};

START_TEST(what_is_well_formed_is_decoded)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(decode_words(good[i]) == TIDE_OK, "%s: %s", good[i], detail.text);
}
END_TEST

START_TEST(what_is_malformed_is_refused)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc = decode_words(bad[i]);
        ck_assert_msg(rc == TIDE_EPROTO, "%s: %s", bad[i], tide_code_name(rc));
    }
}
END_TEST

START_TEST(the_fields_arrive)
{
    tide__buffer buffer = words("[1 3 LIB DEV 3 -7 6 [['item' ['uuid' 'name']] ['place' ['uuid']]]"
                                " [9 20 3000 1 [['place' nil nil nil false 0 nil nil]"
                                " ['item' -5 8 6 true 2 3 0]]]]");
    uuid_t uuid;

    ck_assert_int_eq(tide__message_decode(&message, buffer.bytes, buffer.size, &detail), TIDE_OK);
    ck_assert_int_eq(message.kind, TIDE__HELLO);
    test_library_uuid(uuid);
    ck_assert_int_eq(uuid_compare(message.library, uuid), 0);
    test_uuid(uuid, 2);
    ck_assert_int_eq(uuid_compare(message.from, uuid), 0);
    ck_assert_int_eq(message.session, 3);
    ck_assert_int_eq(message.epoch, -7);
    ck_assert_uint_eq(message.offer_count, 2);
    ck_assert_uint_eq(message.offers[0].columns->size, 2);
    ck_assert_uint_eq(message.offers[1].resource.length, 5);
    ck_assert_mem_eq(message.offers[1].resource.text, "place", 5);
    ck_assert_uint_eq(message.question.number, 9);
    ck_assert_uint_eq(message.question.rows, 20);
    ck_assert_uint_eq(message.question.bytes, 3000);
    ck_assert_uint_eq(message.question.health, TIDE__RECOVERING);
    ck_assert_uint_eq(message.question.wants[1].doubt, TIDE__READ_AGAIN);
    ck_assert(message.question.wanting);
    ck_assert_uint_eq(message.question.count, 2);
    ck_assert_int_eq(message.question.wants[0].generation, TIDE_TIME_NONE);
    ck_assert(!message.question.wants[0].all);
    ck_assert_int_eq(message.question.wants[1].generation, 6);
    ck_assert(message.question.wants[1].all);
    ck_assert_int_eq(message.question.wants[0].after, TIDE_TIME_NONE);
    ck_assert_int_eq(message.question.wants[0].epoch, TIDE_TIME_NONE);
    ck_assert_int_eq(message.question.wants[1].after, -5);
    ck_assert_int_eq(message.question.wants[1].epoch, 8);
    ck_assert_int_eq(message.question.wants[0].life, TIDE_TIME_NONE);
    ck_assert_int_eq(message.question.wants[0].head, TIDE_TIME_NONE);
    ck_assert_int_eq(message.question.wants[1].life, 3);
    ck_assert_int_eq(message.question.wants[1].head, 0);
    tide__message_free(&message);
    tide__buffer_free(&buffer);
}
END_TEST

START_TEST(the_rows_arrive)
{
    tide__buffer buffer =
        words("[3 3 LIB DEV 3 5 6 9 77 1 [['item' 3 9 [[false -4 DEV 'a' nil 1.5f] "
              "[true 6 DEV 9]] 2 false 11 true [[7 8 5] [6 8 4]] true "
              "[5 x'0102030405060708090a0b0c0d0e0f10']]] true]");
    tide_value values[2];
    tide_change change;

    ck_assert_int_eq(tide__message_decode(&message, buffer.bytes, buffer.size, &detail), TIDE_OK);
    ck_assert_int_eq(message.kind, TIDE__PAGE);
    ck_assert_uint_eq(message.number, 77);
    ck_assert(message.end);
    ck_assert_uint_eq(message.range_count, 1);
    ck_assert_int_eq(message.ranges[0].after, 3);
    ck_assert_int_eq(message.ranges[0].upto, 9);
    ck_assert_int_eq(message.to_session, 9);
    ck_assert_uint_eq(message.health, TIDE__RECOVERING);
    ck_assert_int_eq(message.ranges[0].generation, 2);
    ck_assert(!message.ranges[0].rescan);
    ck_assert_int_eq(message.life, 6);
    ck_assert_int_eq(message.ranges[0].head, 11);
    ck_assert(message.ranges[0].known);
    ck_assert_uint_eq(message.ranges[0].seen_count, 2);
    ck_assert_int_eq(message.ranges[0].seen[0].stamp, 7);
    ck_assert_int_eq(message.ranges[0].seen[0].epoch, 8);
    ck_assert_int_eq(message.ranges[0].seen[0].life, 5);
    ck_assert_int_eq(message.ranges[0].seen[1].life, 4);
    ck_assert(message.ranges[0].doubts);
    ck_assert(message.ranges[0].summed);
    ck_assert_uint_eq(message.ranges[0].digest.count, 5);
    ck_assert_uint_eq(message.ranges[0].digest.high, UINT64_C(0x0102030405060708));
    ck_assert_uint_eq(message.ranges[0].digest.low, UINT64_C(0x090a0b0c0d0e0f10));
    ck_assert_int_eq(tide__message_row(&message.ranges[0], 0, 2, &change, values), TIDE_OK);
    ck_assert_int_eq(change.version, -4);
    ck_assert_uint_eq(change.deleted, 0);
    ck_assert_uint_eq(change.key.type, TIDE_STRING);
    ck_assert_uint_eq(change.key.bytes, 1);
    ck_assert_uint_eq(change.value_count, 2);
    ck_assert_uint_eq(values[0].type, TIDE_NULL);
    ck_assert_uint_eq(values[1].type, TIDE_FLOAT);
    ck_assert(values[1].real == 1.5);
    ck_assert_int_eq(tide__message_row(&message.ranges[0], 1, 2, &change, values), TIDE_OK);
    ck_assert_uint_eq(change.deleted, 1);
    ck_assert_uint_eq(change.value_count, 0);
    ck_assert_uint_eq(change.key.type, TIDE_INTEGER);
    ck_assert_int_eq(change.key.integer, 9);
    tide__message_free(&message);
    tide__buffer_free(&buffer);
}
END_TEST

/* The bytes themselves: another implementation must be able to rely on them. */
START_TEST(the_bytes_are_these)
{
    static const unsigned char want[] = {
        0x98,     2,    3,    0xc4, 16,   0,    1,    2,    3,    4,    5,    6,    7,
        8,        9,    10,   11,   12,   13,   14,   15,   0xc4, 16,   16,   17,   18,
        19,       20,   21,   22,   23,   24,   25,   26,   27,   28,   29,   30,   31,
        0x2a,     0xcf, 0x17, 0xa6, 0x05, 0xdf, 0xb2, 0x2c, 0,    0,    11,   0x95, 3,
        0xcd,     0x01, 0xf4, 0xce, 0,    4,    0,    0,    0,    0x92, 0x98, 0xa4, 'i',
        't',      'e',  'm',  0xc0, 0xc0, 0xc0, 0xc2, 0,    0xc0, 0xc0, 0x98, 0xa1, 'p',
        0x80 - 1, 0xff, 6,    0xc3, 1,    7,    9};
    tide__question question = {
        .number = 3, .rows = 500, .bytes = 262144, .wanting = true, .count = 2};
    tide__buffer buffer = {NULL, 0, 0, false};
    msgpack_packer packer;
    uuid_t library, from;

    for (unsigned i = 0; i < 16; i++) {
        library[i] = (unsigned char)i;
        from[i] = (unsigned char)(16 + i);
    }
    question.wants[0] = (tide__want){{"item", 4},    TIDE_TIME_NONE, TIDE_TIME_NONE,
                                     TIDE_TIME_NONE, false,          0,
                                     TIDE_TIME_NONE, TIDE_TIME_NONE, 0};
    question.wants[1] = (tide__want){{"p", 1}, 127, -1, 6, true, 1, 7, 9, 0};
    tide__packer(&buffer, &packer);
    tide__pack_head(&packer, TIDE__WANT, 1, library, from, 42, INT64_C(0x17a605dfb22c0000), 11);
    tide__pack_question(&packer, &question);
    ck_assert(!buffer.failed);
    ck_assert_uint_eq(buffer.size, sizeof want);
    ck_assert_mem_eq(buffer.bytes, want, sizeof want);
    tide__buffer_free(&buffer);
}
END_TEST

/* ---- limits ------------------------------------------------------------------------------------- */

/* `count` copies of `item` inside head and tail, with their numbers in place of "##". */
static int decode_many(const char *head, const char *item, size_t count, const char *tail)
{
    size_t size = strlen(head) + count * (strlen(item) + 1) + strlen(tail) + 1;
    char *text = malloc(size);
    char *end = text;
    int rc;

    test_require(text != NULL);
    end += sprintf(end, "%s", head);
    for (size_t i = 0; i < count; i++) {
        char *number;

        end += sprintf(end, "%s ", item);
        number = strstr(end - strlen(item) - 1, "##");
        if (number != NULL) {
            number[0] = (char)('0' + i / 10);
            number[1] = (char)('0' + i % 10);
        }
    }
    sprintf(end, "%s", tail);
    rc = decode_words(text);
    free(text);
    return rc;
}

START_TEST(counts_have_limits)
{
    static const struct {
        const char *head, *item, *tail;
        size_t most;
    } lists[] = {
        {"[2 3 LIB DEV 3 5 6 [0 1 1 0 [", "['i##' nil nil nil false 0 nil nil]", "]]]",
         TIDE_MODELS_MAX},
        {"[1 3 LIB DEV 3 5 6 [", "['i##' []]", "] [0 1 1 0 []]]", TIDE_MODELS_MAX},
        {"[1 3 LIB DEV 3 5 6 [['item' [", "'c'", "]]] [0 1 1 0 []]]", TIDE_COLUMNS_MAX + 1},
        {"[3 3 LIB DEV 3 5 6 9 0 0 [", "['i##' 1 2 [] nil false 9 true [] false nil]", "] true]",
         TIDE_MODELS_MAX},
    };

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        ck_assert_int_eq(decode_many(lists[i].head, lists[i].item, lists[i].most, lists[i].tail),
                         TIDE_OK);
        ck_assert_int_eq(decode_many(lists[i].head, lists[i].item, lists[i].most + 1, lists[i].tail),
                         TIDE_EPROTO);
    }
    ck_assert_int_eq(decode_many("[3 3 LIB DEV 3 5 6 9 0 0 [['item' nil 9 [", "[true 5 DEV 'a']",
                                 70000, "] nil false 9 true [] false nil]] true]"),
                     TIDE_OK);
}
END_TEST

START_TEST(a_message_has_a_largest_size)
{
    size_t size = (size_t)TIDE_MESSAGE_MAX_BYTES + 1;
    unsigned char *bytes = calloc(1, size);

    ck_assert_ptr_nonnull(bytes);
    detail.text[0] = '\0';
    ck_assert_int_eq(tide__message_decode(&message, bytes, size, &detail), TIDE_ELIMIT);
    ck_assert(detail.text[0] != '\0');
    ck_assert_int_eq(tide__message_decode(&message, bytes, size - 1, &detail), TIDE_EPROTO);
    free(bytes);
}
END_TEST

/* A few bytes that promise four billion things. */
START_TEST(declared_lengths_ask_for_no_memory)
{
    static const struct {
        unsigned char bytes[12];
        size_t size;
    } lies[] = {
        {{0xdd, 0xff, 0xff, 0xff, 0xff}, 5},       /* array */
        {{0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0}, 6}, /* with one item */
        {{0xdc, 0xff, 0xff}, 3},                   /* array 16 */
        {{0x91, 0xdd, 0x7f, 0xff, 0xff, 0xff}, 6}, /* inside one */
        {{0x92, 0xdd, 0x00, 0x00, 0x00, 0x06, 0, 0, 0, 0, 0, 0}, 12},
        {{0xdb, 0xff, 0xff, 0xff, 0xff}, 5}, /* str */
        {{0xc6, 0xff, 0xff, 0xff, 0xff}, 5}, /* bin */
        {{0xc6, 0xff, 0xff, 0xff, 0xfa, 0}, 6},
        {{0xdf, 0xff, 0xff, 0xff, 0xff}, 5},    /* map */
        {{0xc9, 0xff, 0xff, 0xff, 0xff, 1}, 6}, /* ext */
        {{0xdd}, 1},
        {{0xdd, 0}, 2},
        {{0xdc, 0}, 2},
        {{0xc6, 0, 0}, 3},
        {{0xcf, 0}, 2},
        {{0xc1}, 1},
    };

    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        ck_assert_int_eq(decode(lies[i].bytes, lies[i].size), TIDE_EPROTO);
    ck_assert_int_eq(decode("", 0), TIDE_EPROTO);
}
END_TEST

#define MEMORY_MOST (64u << 20)

static size_t peak_bytes(void)
{
    struct rusage usage;

    child_assert(getrusage(RUSAGE_SELF, &usage) == 0);
    return (size_t)usage.ru_maxrss * 1024;
}

/* A message of `items` values in all, all but five in one list. */
static int decode_nils(size_t items)
{
    size_t size = items + 4;
    unsigned char *bytes = malloc(size);
    int rc;

    child_assert(bytes != NULL);
    memset(bytes, 0xc0, size);
    memcpy(bytes, ((unsigned char[]){0x95, 1, 1, 0xdd}), 4);
    for (int i = 0; i < 4; i++)
        bytes[4 + i] = (unsigned char)(((items - 6) >> (24 - 8 * i)) & 0xff);
    rc = tide__message_decode(&message, bytes, size, &detail);
    free(bytes);
    return rc;
}

static void decode_many_nils(void *ctx)
{
    size_t before = peak_bytes();

    (void)ctx;
    child_assert(decode_nils((64u << 20) - 4) == TIDE_EPROTO);
    child_assert(peak_bytes() - before <= (size_t)TIDE_MESSAGE_MAX_BYTES + (1u << 20));
    child_assert(decode_nils(TIDE__ITEMS_MAX + 1) == TIDE_EPROTO);
    child_assert(strstr(detail.text, "not one of ours") != NULL);
    child_assert(decode_nils(TIDE__ITEMS_MAX) == TIDE_EPROTO);
    child_assert(strstr(detail.text, "head") != NULL); /* it was unpacked */
    child_assert(peak_bytes() - before <= (size_t)TIDE_MESSAGE_MAX_BYTES + MEMORY_MOST);
}

/* What is in a message costs one object of msgpack-c for each item: their number is limited. */
START_TEST(memory_is_bounded)
{
    if (test_sanitized())
        test_skipped("memory_is_bounded", "the sanitizer has its own memory");
    else
        test_child_ok(decode_many_nils, NULL);
}
END_TEST

/* ---- real messages ------------------------------------------------------------------------------ */

#define REAL_MAX 32

static test_side a, b;
static test_bytes real[REAL_MAX];
static size_t real_count;

static void keep(test_bytes bytes)
{
    test_require(real_count < REAL_MAX);
    real[real_count++] = bytes;
}

/* A conversation between two that each have rows of every type and a tombstone; all its messages. */
static void set_up_real(void)
{
    test_clock_install();
    test_side_open(&a, 1);
    test_side_open(&b, 2);
    test_sql(a.db, "INSERT INTO place (uuid, name) VALUES ('p', 'P'), ('q', NULL);"
                   "INSERT INTO item (uuid, name, size) VALUES ('t', 'text', 7), ('f', 'Ä', 1.5),"
                   "('n', NULL, -5000000000), ('b', 'blob', x'00ff'), ('e', '', x''), ('g', 'x', 1);"
                   "DELETE FROM item WHERE uuid = 'g'");
    test_sql(b.db, "INSERT INTO item (uuid, name) VALUES ('of b', 'x'), ('z', 'x');"
                   "DELETE FROM item WHERE uuid = 'z'");
    real_count = 0;
    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
    for (size_t quiet = 0; quiet < 2; quiet++) {
        test_side *from = quiet == 0 ? &a : &b;
        test_bytes bytes;
        if (test_take(from, &bytes)) {
            keep(bytes);
            ck_assert_int_eq(test_give(from == &a ? &b : &a, bytes), TIDE_OK);
            quiet = SIZE_MAX;
        }
    }
    test_same_rows(&a, &b);
    tide_session_notify(a.session);
    keep(test_take_kind(&a, TIDE__NEWS));
    test_session_stop(&a);
    test_session_stop(&b);
}

static void tear_down_real(void)
{
    while (real_count > 0)
        test_drop(&real[--real_count]);
    test_side_close(&a);
    test_side_close(&b);
}

START_TEST(every_kind_is_among_the_real_ones)
{
    unsigned seen = 0;

    for (size_t i = 0; i < real_count; i++) {
        ck_assert_int_eq(decode(real[i].data, real[i].length), decode(real[i].data, real[i].length));
        seen |= 1u << test_kind(real[i]);
    }
    ck_assert_uint_eq(seen,
                      1u << TIDE__HELLO | 1u << TIDE__WANT | 1u << TIDE__PAGE | 1u << TIDE__NEWS);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    for (size_t i = 0; i < real_count; i++) {
        for (size_t size = 0; size < real[i].length; size++)
            test_require(decode(real[i].data, size) == TIDE_EPROTO);
    }
}
END_TEST

START_TEST(a_byte_too_many_is_refused)
{
    unsigned char bytes[4096];

    for (size_t i = 0; i < real_count; i++) {
        test_require(real[i].length < sizeof bytes);
        memcpy(bytes, real[i].data, real[i].length);
        for (unsigned more = 0; more < 256; more++) {
            bytes[real[i].length] = (unsigned char)more;
            test_require(decode(bytes, real[i].length + 1) == TIDE_EPROTO);
        }
    }
}
END_TEST

START_TEST(every_corruption_of_a_byte_is_an_error_or_harmless)
{
    const unsigned step = test_sanitized() ? 7 : 1; /* every seventh, where each takes long */

    for (size_t i = 0; i < real_count; i++) {
        for (size_t at = 0; at < real[i].length; at++) {
            unsigned char was = real[i].data[at];
            for (unsigned change = 1; change < 256; change += step) {
                int rc;
                real[i].data[at] = (unsigned char)(was ^ change);
                rc = decode(real[i].data, real[i].length);
                test_require(rc == TIDE_OK || rc == TIDE_EPROTO);
            }
            real[i].data[at] = was;
        }
    }
}
END_TEST

START_TEST(random_bytes_are_an_error_or_harmless)
{
    static const unsigned char heads[] = {0x95, 0x96, 0x97, 0x98, 0xdc, 0xdd, 0x90, 0xc4};
    test_random random = {42};
    unsigned char bytes[96];
    size_t taken = 0;

    for (size_t i = 0; i < RANDOM_STRINGS; i++) {
        size_t size = (size_t)test_below(&random, sizeof bytes);
        for (size_t j = 0; j < sizeof bytes; j++)
            bytes[j] = (unsigned char)test_next(&random);
        if (i % 2 == 0) {
            bytes[0] = heads[test_below(&random, sizeof heads)];
            bytes[1] = (unsigned char)(1 + test_below(&random, 4));
            bytes[2] = TIDE__PROTOCOL;
        }
        int rc = decode(bytes, size);
        test_require(rc == TIDE_OK || rc == TIDE_EPROTO);
        taken += rc == TIDE_OK;
    }
    ck_assert_uint_eq(taken, 0);
}
END_TEST

/* A real message with pieces cut out, doubled, moved in from another, or overwritten. */
static size_t mutate(test_random *random, unsigned char *bytes, size_t room)
{
    const test_bytes *from = &real[test_below(random, real_count)];
    const test_bytes *other = &real[test_below(random, real_count)];
    size_t size = from->length;
    unsigned steps = 1 + (unsigned)test_below(random, 3);

    test_require(size < room / 4);
    memcpy(bytes, from->data, size);
    while (steps-- > 0 && size > 0) {
        size_t at = (size_t)test_below(random, size);
        size_t left = size - at;
        size_t n = 1 + (size_t)test_below(random, left < 24 ? left : 24);
        size_t there = (size_t)test_below(random, other->length);
        switch (test_below(random, 5)) {
        case 0:
            bytes[at] = (unsigned char)test_next(random);
            break;
        case 1: /* cut out */
            memmove(bytes + at, bytes + at + n, left - n);
            size -= n;
            break;
        case 2: /* double */
            memmove(bytes + at + n, bytes + at, left);
            size += n;
            break;
        case 3: /* from another */
            n = n < other->length - there ? n : other->length - there;
            memcpy(bytes + at, other->data + there, n < left ? n : left);
            break;
        default: /* another count or length */
            bytes[at] = (unsigned char)(bytes[at] + 1 - 2 * (int)test_below(random, 2));
        }
    }
    return size;
}

START_TEST(mutated_messages_are_an_error_or_harmless)
{
    test_random random = {43};
    unsigned char bytes[4096];

    for (size_t i = 0; i < (test_sanitized() ? MUTATIONS / 7 : MUTATIONS); i++) {
        size_t size = mutate(&random, bytes, sizeof bytes);
        int rc = decode(bytes, size);
        test_require(rc == TIDE_OK || rc == TIDE_EPROTO);
    }
}
END_TEST

/* ---- into sessions ------------------------------------------------------------------------------ */

/* A session of b that knows a and waits for the page with number 0. */
static void wait_for_page(void)
{
    tide_session_options options;
    test_bytes bytes;

    tide_session_options_init(&options);
    options.peer = a.device;
    test_session_start(&b, &options);
    test_drop((bytes = test_take_kind(&b, TIDE__HELLO), &bytes));
    for (size_t i = 0; i < real_count; i++) {
        if (test_kind(real[i]) == TIDE__HELLO) { /* the first is a's */
            ck_assert_int_eq(test_give(&b, real[i]), TIDE_OK);
            break;
        }
    }
}

static char *state_of_b(void)
{
    char *rows =
        test_text(b.db, "SELECT 'i', uuid, name, size FROM item UNION ALL "
                        "SELECT 'p', uuid, name, NULL FROM place UNION ALL "
                        "SELECT 'g', key, stamp, version FROM tidemark_item_gone UNION ALL "
                        "SELECT 'r', key, stamp, version FROM tidemark_item_rows UNION ALL "
                        "SELECT 'f', floor, applying, NULL FROM tidemark_state");
    char *all = sqlite3_mprintf("%s %lld %lld", rows, (long long)test_mark(&b, &a, "item"),
                                (long long)test_mark(&b, &a, "place"));

    free(rows);
    return all;
}

static bool typed(int rc)
{
    return rc == TIDE_EPROTO || rc == TIDE_ELIMIT || rc == TIDE_ELIBRARY || rc == TIDE_EMODEL ||
           rc == TIDE_ECLOCK || rc == TIDE_ECONSTRAINT;
}

/* Hands the bytes to a session that waits for a page: taken, or a typed error that changed nothing
 * and ended the session. */
static void give_safely(test_bytes bytes)
{
    char *before;
    char *after;
    char text[256];
    int rc;
    const void *next;
    size_t size;

    wait_for_page();
    before = state_of_b();
    rc = test_give(&b, bytes);
    if (rc != TIDE_OK) {
        after = state_of_b();
        ck_assert_msg(typed(rc), "%s", tide_code_name(rc));
        test_require(strcmp(before, after) == 0);
        tide_sync_detail(b.sync, text, sizeof text);
        test_require(text[0] != '\0' && strchr(text, '\n') == NULL);
        test_require(tide_session_receive(b.session, bytes.data, bytes.length) == TIDE_ECLOSED);
        test_require(tide_session_next(b.session, &next, &size) == TIDE_ECLOSED);
        test_require(tide_session_deadline(b.session) == INT64_MAX);
        sqlite3_free(after);
    } else {
        while ((rc = tide_session_next(b.session, &next, &size)) == TIDE_OK)
            test_require(decode(next, size) == TIDE_OK || b.session != NULL);
        test_require(rc == TIDE_ABSENT || rc < 0);
    }
    test_require(sqlite3_get_autocommit(b.db) == 1);
    sqlite3_free(before);
}

START_TEST(corrupted_pages_do_no_harm_to_a_session)
{
    for (size_t i = 0; i < real_count; i++) {
        for (size_t at = 0; at < real[i].length; at++) {
            unsigned char was = real[i].data[at];
            test_bytes copy = {malloc(real[i].length), real[i].length};
            memcpy(copy.data, real[i].data, copy.length);
            for (unsigned bit = 0; bit < 8; bit++) {
                copy.data[at] = (unsigned char)(was ^ 1u << bit);
                give_safely(copy);
            }
            test_drop(&copy);
        }
    }
}
END_TEST

START_TEST(mutated_messages_do_no_harm_to_a_session)
{
    test_random random = {44};
    unsigned char bytes[4096];

    for (size_t i = 0; i < (test_sanitized() ? SESSION_MUTATIONS / 6 : SESSION_MUTATIONS); i++) {
        test_bytes mutated = {bytes, mutate(&random, bytes, sizeof bytes)};
        give_safely(mutated);
    }
}
END_TEST

START_TEST(malformed_words_do_no_harm_to_a_session)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tide__buffer buffer = words(bad[i]);
        test_bytes bytes = {(unsigned char *)buffer.bytes, buffer.size};
        give_safely(bytes);
        tide__buffer_free(&buffer);
    }
}
END_TEST

/* ---- large rows --------------------------------------------------------------------------------- */

/* What a row of "item" with a one-letter key, a name of 64 KiB or more and no size takes besides
 * the name. */
#define ROW_OVERHEAD 37

static void insert_named(const char *key, size_t bytes)
{
    test_sql(a.db, "INSERT INTO item (uuid, name) VALUES (%Q, CAST(zeroblob(%lld) AS TEXT))", key,
             (long long)bytes);
}

START_TEST(the_largest_row_is_served)
{
    insert_named("x", TIDE_ROW_MAX_BYTES - ROW_OVERHEAD);
    test_sync(&a, &b);
    ck_assert_int_eq(
        test_number(b.db, "SELECT length(CAST(name AS BLOB)) FROM item WHERE uuid = 'x'"),
        TIDE_ROW_MAX_BYTES - ROW_OVERHEAD);
}
END_TEST

START_TEST(a_larger_row_is_an_error_that_names_it)
{
    char text[256];
    const void *bytes;
    size_t size;
    int rc = TIDE_OK;

    insert_named("x", TIDE_ROW_MAX_BYTES - ROW_OVERHEAD + 1);
    test_session_start(&a, NULL);
    test_session_start(&b, NULL);
    test_hand(&b, test_take_kind(&a, TIDE__HELLO));
    test_hand(&a, test_take_kind(&b, TIDE__HELLO));
    rc = tide_session_next(a.session, &bytes, &size);
    ck_assert_int_eq(rc, TIDE_ELIMIT);
    tide_sync_detail(a.sync, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "item \"x\""));
    ck_assert_int_eq(tide_session_next(a.session, &bytes, &size), TIDE_ECLOSED);
}
END_TEST

/* Whatever is asked for, the answer is no longer than a message may be. */
START_TEST(a_page_is_never_longer_than_a_message)
{
    tide_session_options options;

    insert_named("x", TIDE_ROW_MAX_BYTES - ROW_OVERHEAD - 64);
    insert_named("y", TIDE_ROW_MAX_BYTES - ROW_OVERHEAD);
    tide_session_options_init(&options);
    options.page_bytes = TIDE_MESSAGE_MAX_BYTES / 2;
    test_session_start(&a, &options);
    test_session_start(&b, &options);
    test_talk(&a, &b);
    ck_assert_int_eq(tide_session_is_complete(b.session), 1);
    ck_assert_int_eq(test_number(b.db, "SELECT count(*) FROM item WHERE uuid IN ('x', 'y')"), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/message");
    TCase *test = test_case(suite, "words");

    tcase_add_test(test, what_is_well_formed_is_decoded);
    tcase_add_test(test, what_is_malformed_is_refused);
    tcase_add_test(test, the_fields_arrive);
    tcase_add_test(test, the_rows_arrive);
    tcase_add_test(test, the_bytes_are_these);
    tcase_add_test(test, counts_have_limits);
    tcase_add_test(test, a_message_has_a_largest_size);
    tcase_add_test(test, declared_lengths_ask_for_no_memory);
    tcase_add_test(test, memory_is_bounded);

    test = test_case(suite, "real");
    tcase_add_checked_fixture(test, set_up_real, tear_down_real);
    tcase_add_test(test, every_kind_is_among_the_real_ones);
    tcase_add_test(test, every_truncation_is_refused);
    tcase_add_test(test, a_byte_too_many_is_refused);
    tcase_add_test(test, every_corruption_of_a_byte_is_an_error_or_harmless);
    tcase_add_test(test, random_bytes_are_an_error_or_harmless);
    tcase_add_test(test, mutated_messages_are_an_error_or_harmless);
    tcase_add_test(test, corrupted_pages_do_no_harm_to_a_session);
    tcase_add_test(test, mutated_messages_do_no_harm_to_a_session);
    tcase_add_test(test, malformed_words_do_no_harm_to_a_session);
    tcase_add_test(test, the_largest_row_is_served);
    tcase_add_test(test, a_larger_row_is_an_error_that_names_it);
    tcase_add_test(test, a_page_is_never_longer_than_a_message);
    return test_run(suite);
}
