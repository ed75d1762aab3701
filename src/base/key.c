/* key.c - the key of a mark; see key.h. */
#include "base/key.h"

#include <string.h>

#include <tidemark/store.h>

/* Length in bytes of the UTF-8 character at p and its code point; 0 if it is not valid (RFC 3629). */
static size_t utf8_next(const unsigned char *p, size_t left, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = p[0] < 0x80           ? 1
                    : (p[0] >> 5) == 0x06 ? 2
                    : (p[0] >> 4) == 0x0e ? 3
                    : (p[0] >> 3) == 0x1e ? 4
                                          : 0;
    if (length == 0 || length > left) {
        return 0;
    }
    uint32_t value = length == 1 ? p[0] : p[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (p[i] & 0x3fu);
    }
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    if (value < smallest[length] || value > 0x10ffff || surrogate) {
        return 0;
    }
    *code = value;
    return length;
}

static bool resource_bytes_valid(const unsigned char *bytes, size_t length)
{
    if (length == 0 || length > TIDE_RESOURCE_MAX) {
        return false;
    }
    for (size_t at = 0; at < length;) {
        if (bytes[at] >= 0x20 && bytes[at] < 0x7f && bytes[at] != '|') {
            at++; /* mostly */
            continue;
        }
        uint32_t code = 0;
        size_t step = utf8_next(bytes + at, length - at, &code);
        if (step == 0 || code == '|' || code < 0x20 || (code >= 0x7f && code <= 0x9f)) {
            return false;
        }
        at += step;
    }
    return true;
}

bool tide__resource_valid(const char *name, size_t *length)
{
    size_t bytes = name == NULL ? 0 : strnlen(name, TIDE_RESOURCE_MAX + 1);
    if (!resource_bytes_valid((const unsigned char *)name, bytes)) {
        return false;
    }
    if (length != NULL) {
        *length = bytes;
    }
    return true;
}

/* By hand, as its reverse below: a read of a mark writes two of them. */
void tide__uuid_format(const uuid_t uuid, char text[TIDE__UUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < sizeof(uuid_t); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text[at++] = '-';
        }
        text[at++] = digits[uuid[i] >> 4];
        text[at++] = digits[uuid[i] & 0xf];
    }
}

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Eight hex digits in lower case to four bytes, all at once: a digit's value is its low half, plus
 * 9 for a letter; and only a digit is what its value is written as. */
static bool hex_to_bytes(const unsigned char digits[8], unsigned char out[4])
{
    uint64_t text = 0;
    for (unsigned i = 0; i < 8; i++) {
        text |= (uint64_t)digits[i] << 8 * i;
    }
    uint64_t values = (text & EACH_BYTE(0x0f)) + 9 * (text >> 6 & EACH_BYTE(1));
    uint64_t letters = (values + EACH_BYTE(6)) >> 4 & EACH_BYTE(1);
    uint64_t pairs = (values << 4 | values >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    pairs = (pairs | pairs >> 8) & UINT64_C(0x0000ffff0000ffff);
    pairs |= pairs >> 16;
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (unsigned char)(pairs >> 8 * i);
    }
    return (values & EACH_BYTE(0xf0)) == 0 &&
           text == values + EACH_BYTE('0') + letters * ('a' - '0' - 10);
}

/* By hand: libuuid takes upper case too, and a check of a file reads two of them for each mark. */
bool tide__uuid_parse(const char *text, uuid_t out)
{
    unsigned char digits[2 * sizeof(uuid_t)];
    uuid_t uuid;
    if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') {
        return false;
    }
    memcpy(digits, text, 8);
    memcpy(digits + 8, text + 9, 4);
    memcpy(digits + 12, text + 14, 4);
    memcpy(digits + 16, text + 19, 4);
    memcpy(digits + 20, text + 24, 12);
    for (size_t i = 0; i < 4; i++) {
        if (!hex_to_bytes(digits + 8 * i, uuid + 4 * i)) {
            return false;
        }
    }
    memcpy(out, uuid, sizeof uuid);
    return true;
}

/* Eight bytes at a time, each multiplied in. No seed: who could choose many names, names of our own
 * store? */
static uint64_t hash_word(uint64_t hash, const void *bytes, size_t count)
{
    uint64_t word = 0;
    memcpy(&word, bytes, count);
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static uint64_t hash_of(const unsigned char *device, const unsigned char *peer,
                        const char *resource, size_t length)
{
    uint64_t hash = hash_word(length, device, 8);
    hash = hash_word(hash, device + 8, 8);
    hash = hash_word(hash, peer, 8);
    hash = hash_word(hash, peer + 8, 8);
    size_t at = 0;
    for (; length - at >= 8; at += 8) {
        hash = hash_word(hash, resource + at, 8);
    }
    return hash_word(hash, resource + at, length - at);
}

int tide__id_make(const uuid_t device, const uuid_t peer, const char *resource, tide__id *out)
{
    size_t length = 0;
    if (device == NULL || peer == NULL || !tide__resource_valid(resource, &length)) {
        return TIDE_EINVAL;
    }
    *out = (tide__id){device, peer, resource, length, hash_of(device, peer, resource, length)};
    return TIDE_OK;
}

int tide__id_compare(const tide__id *a, const tide__id *b)
{
    int order = memcmp(a->device, b->device, sizeof(uuid_t));
    if (order == 0) {
        order = memcmp(a->peer, b->peer, sizeof(uuid_t));
    }
    if (order == 0) {
        order = memcmp(a->resource, b->resource, a->length < b->length ? a->length : b->length);
    }
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

void tide__key_of(const tide__id *id, tide__key *out)
{
    tide__uuid_format(id->device, out->text);
    out->text[TIDE__UUID_TEXT] = '|';
    tide__uuid_format(id->peer, out->text + TIDE__KEY_DEVICE_END);
    out->text[TIDE__KEY_PEER_END - 1] = '|';
    memcpy(out->text + TIDE__KEY_PEER_END, id->resource, id->length);
    out->length = TIDE__KEY_PEER_END + id->length;
    out->text[out->length] = '\0';
}

int tide__key_encode(const uuid_t device, const uuid_t peer, const char *resource, tide__key *out)
{
    tide__id id;
    int rc = tide__id_make(device, peer, resource, &id);
    if (rc == TIDE_OK) {
        tide__key_of(&id, out);
    }
    return rc;
}

int tide__key_decode(const void *bytes, size_t length, uuid_t device, uuid_t peer, char *resource)
{
    const char *text = bytes;
    if (length <= TIDE__KEY_PEER_END || text[TIDE__UUID_TEXT] != '|' ||
        text[TIDE__KEY_PEER_END - 1] != '|' || !tide__uuid_parse(text, device) ||
        !tide__uuid_parse(text + TIDE__KEY_DEVICE_END, peer)) {
        return TIDE_ECORRUPT;
    }
    size_t name_length = length - TIDE__KEY_PEER_END;
    if (!resource_bytes_valid((const unsigned char *)text + TIDE__KEY_PEER_END, name_length)) {
        return TIDE_ECORRUPT;
    }
    memcpy(resource, text + TIDE__KEY_PEER_END, name_length);
    resource[name_length] = '\0';
    return TIDE_OK;
}
