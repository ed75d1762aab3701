/* fuzz_record.c - the key and the record of a mark. The input is a key, a newline, a record. A
 * check of 32 bits hides the reader from random bytes, so the record is read as it stands and with
 * its check made right. What is read is written as the same bytes; what was written and then
 * changed in one byte is not read. */
#include "fuzz/fuzz.h"

#include "base/crc32c.h"
#include "base/key.h"
#include "base/record.h"

#define CHECK 8
#define RECORD_MOST 512

/* Reads a key; one that is read is written as the same bytes. */
static int read_key(const char *bytes, size_t length, tide__key *key)
{
    uuid_t device;
    uuid_t peer;
    char resource[TIDE_RESOURCE_MAX + 1];
    int rc = tide__key_decode(bytes, length, device, peer, resource);
    fuzz_require(rc == TIDE_OK || rc == TIDE_ECORRUPT);
    if (rc == TIDE_OK) {
        fuzz_require(tide__key_encode(device, peer, resource, key) == TIDE_OK);
        fuzz_require(key->length == length && memcmp(key->text, bytes, length) == 0);
    }
    return rc;
}

static void read_record(const tide__key *key, const char *bytes, size_t length)
{
    tide_mark mark;
    char again[TIDE__RECORD_MAX];
    int rc = tide__record_decode(key->text, key->length, bytes, length, &mark);
    fuzz_require(rc == TIDE_OK || rc == TIDE_ECORRUPT);
    if (rc == TIDE_OK) {
        fuzz_require(tide__record_encode(key, &mark, again) == length);
        fuzz_require(memcmp(again, bytes, length) == 0);
    }
}

static void make_right(const tide__key *key, char *record, size_t length)
{
    char check[CHECK + 1];
    uint32_t crc = tide__crc32c(0, key->text, key->length);
    crc = tide__crc32c(crc, "|", 1);
    crc = tide__crc32c(crc, record, length - CHECK - 1);
    (void)snprintf(check, sizeof check, "%08x", crc);
    memcpy(record + length - CHECK, check, CHECK);
}

/* A mark made of the input. */
static void write_record(const tide__key *key, fuzz_input *input)
{
    tide_mark mark = {(tide_time)fuzz_number(input, 8), (tide_time)fuzz_number(input, 8),
                      (tide_time)fuzz_number(input, 8)};
    tide_mark read;
    char record[TIDE__RECORD_MAX];
    if (mark.watermark == TIDE_TIME_NONE || mark.updated_at == TIDE_TIME_NONE) {
        return;
    }
    size_t length = tide__record_encode(key, &mark, record);
    fuzz_require(tide__record_decode(key->text, key->length, record, length, &read) == TIDE_OK);
    fuzz_require(read.watermark == mark.watermark && read.updated_at == mark.updated_at &&
                 read.epoch == mark.epoch);
    size_t place = fuzz_number(input, 1) % length;
    char change = (char)(1 + fuzz_below(input, 255));
    record[place] = (char)(record[place] ^ change);
    fuzz_require(tide__record_decode(key->text, key->length, record, length, &read) ==
                 TIDE_ECORRUPT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uuid_t nobody = {0};
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    size_t key_length = end == NULL ? size : (size_t)(end - data);
    size_t length = end == NULL ? 0 : size - key_length - 1;
    tide__key key;
    if (read_key((const char *)data, key_length, &key) != TIDE_OK) {
        fuzz_require(tide__key_encode(nobody, nobody, "entry", &key) == TIDE_OK);
    }
    if (end != NULL && length <= RECORD_MOST) {
        char record[RECORD_MOST];
        memcpy(record, end + 1, length);
        read_record(&key, record, length);
        if (length > CHECK) {
            make_right(&key, record, length);
            read_record(&key, record, length);
        }
    }
    fuzz_input input = {end == NULL ? data : end + 1, end == NULL ? size : length};
    write_record(&key, &input);
    return 0;
}
