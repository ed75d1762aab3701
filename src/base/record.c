/* record.c - the value of a mark; see record.h. */
#include "base/record.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/hex.h"

#define TIME_LENGTH (TIDE_TIME_TEXT - 1)
#define CHECK_LENGTH 8
#define LENGTH_PLAIN (2 * (TIME_LENGTH + 1) + 1 + CHECK_LENGTH) /* without epoch: 71 */
#define LENGTH_EPOCH (LENGTH_PLAIN + TIME_LENGTH)               /* with: 101 */

static void put_check(const void *key, size_t key_length, const char *record, size_t length,
                      char out[CHECK_LENGTH])
{
    uint32_t crc = tide__crc32c(0, key, key_length);
    crc = tide__crc32c(crc, "|", 1);
    crc = tide__crc32c(crc, record, length);
    tide__hex_put(crc, out, CHECK_LENGTH);
}

size_t tide__record_encode(const tide__key *key, const tide_mark *mark, char out[TIDE__RECORD_MAX])
{
    char text[TIDE_TIME_TEXT];
    size_t at = 0;
    tide_time_format(mark->watermark, text);
    memcpy(out, text, TIME_LENGTH);
    at += TIME_LENGTH;
    out[at++] = '|';
    tide_time_format(mark->updated_at, text);
    memcpy(out + at, text, TIME_LENGTH);
    at += TIME_LENGTH;
    out[at++] = '|';
    if (mark->epoch != TIDE_TIME_NONE) {
        tide_time_format(mark->epoch, text);
        memcpy(out + at, text, TIME_LENGTH);
        at += TIME_LENGTH;
    }
    put_check(key->text, key->length, out, at, out + at + 1);
    out[at++] = '|';
    return at + CHECK_LENGTH;
}

bool tide__record_holds(const void *key, size_t key_length, const void *bytes, size_t length)
{
    const char *text = bytes;
    char check[CHECK_LENGTH];
    if (length != LENGTH_PLAIN && length != LENGTH_EPOCH) {
        return false;
    }
    put_check(key, key_length, text, length - CHECK_LENGTH - 1, check);
    return memcmp(check, text + length - CHECK_LENGTH, CHECK_LENGTH) == 0;
}

uint32_t tide__record_check(const void *bytes, size_t length)
{
    const char *end = (const char *)bytes + length;
    uint64_t check = 0;
    return length >= CHECK_LENGTH && tide__hex_get(end - CHECK_LENGTH, CHECK_LENGTH, &check)
               ? (uint32_t)check
               : 0;
}

/* A time in its canonical text and no other. tide_time_parse takes more forms than we write; of
 * those with 30 characters these are all: other separators, fewer digits and an offset, a leap
 * second. */
static bool canonical_time(const char *text, tide_time *out)
{
    return text[10] == 'T' && text[19] == '.' && text[TIME_LENGTH - 1] == 'Z' && text[17] != '6' &&
           tide_time_parse(text, TIME_LENGTH, out) == TIDE_OK;
}

int tide__record_decode(const void *key, size_t key_length, const void *bytes, size_t length,
                        tide_mark *out)
{
    const char *text = bytes;
    tide_mark mark = {TIDE_TIME_NONE, TIDE_TIME_NONE, TIDE_TIME_NONE};
    if (!tide__record_holds(key, key_length, bytes, length) ||
        text[length - CHECK_LENGTH - 1] != '|' || text[TIME_LENGTH] != '|' ||
        text[2 * TIME_LENGTH + 1] != '|' || !canonical_time(text, &mark.watermark) ||
        !canonical_time(text + TIME_LENGTH + 1, &mark.updated_at)) {
        return TIDE_ECORRUPT;
    }
    if (length == LENGTH_EPOCH && !canonical_time(text + 2 * (TIME_LENGTH + 1), &mark.epoch)) {
        return TIDE_ECORRUPT;
    }
    *out = mark;
    return TIDE_OK;
}
