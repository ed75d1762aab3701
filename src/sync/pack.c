/* pack.c - see pack.h. */
#include "sync/pack.h"

#include <string.h>

#include "base/alloc.h"

#define BUFFER_FIRST 1024

void tide__buffer_free(tide__buffer *buffer)
{
    tide__free(buffer->bytes);
    *buffer = (tide__buffer){NULL, 0, 0, false};
}

void tide__buffer_append(tide__buffer *buffer, const void *bytes, size_t size)
{
    if (buffer->failed || size == 0) {
        return;
    }
    if (size > buffer->room - buffer->size) {
        size_t room = buffer->room == 0 ? BUFFER_FIRST : buffer->room;
        while (room - buffer->size < size) {
            room *= 2;
        }
        char *larger = tide__realloc(buffer->bytes, room);
        if (larger == NULL) {
            buffer->failed = true;
            return;
        }
        buffer->bytes = larger;
        buffer->room = room;
    }
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
}

static int write_out(void *data, const char *bytes, size_t size)
{
    tide__buffer_append(data, bytes, size);
    return 0;
}

void tide__packer(tide__buffer *buffer, msgpack_packer *packer)
{
    msgpack_packer_init(packer, buffer, write_out);
}

void tide__pack_text(msgpack_packer *p, const char *text, size_t length)
{
    (void)msgpack_pack_str(p, length);
    if (length > 0) {
        (void)msgpack_pack_str_body(p, text, length);
    }
}

void tide__pack_bytes(msgpack_packer *p, const void *bytes, size_t size)
{
    (void)msgpack_pack_bin(p, size);
    if (size > 0) {
        (void)msgpack_pack_bin_body(p, bytes, size);
    }
}

void tide__pack_time(msgpack_packer *p, tide_time time)
{
    if (time == TIDE_TIME_NONE) {
        (void)msgpack_pack_nil(p);
    } else {
        (void)msgpack_pack_int64(p, time);
    }
}

void tide__pack_bool(msgpack_packer *p, bool value)
{
    (void)(value ? msgpack_pack_true(p) : msgpack_pack_false(p));
}

void tide__pack_value(msgpack_packer *p, const tide_value *value)
{
    switch (value->type) {
    case TIDE_INTEGER:
        (void)msgpack_pack_int64(p, value->integer);
        break;
    case TIDE_FLOAT:
        (void)msgpack_pack_double(p, value->real);
        break;
    case TIDE_STRING:
        tide__pack_text(p, value->data, value->bytes);
        break;
    case TIDE_BYTES:
        tide__pack_bytes(p, value->data, value->bytes);
        break;
    default:
        (void)msgpack_pack_nil(p);
        break;
    }
}

/* ---- reading ------------------------------------------------------------------------------------ */

bool tide__get_integer(const msgpack_object *o, int64_t *out)
{
    if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        *out = o->via.i64;
        return true;
    }
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= INT64_MAX) {
        *out = (int64_t)o->via.u64;
        return true;
    }
    return false;
}

bool tide__get_value(const msgpack_object *o, tide_value *out)
{
    *out = (tide_value){.type = TIDE_NULL};
    if (o->type == MSGPACK_OBJECT_NIL) {
        return true;
    }
    if (tide__get_integer(o, &out->integer)) {
        out->type = TIDE_INTEGER;
        return true;
    }
    if (o->type == MSGPACK_OBJECT_FLOAT64) {
        out->type = TIDE_FLOAT;
        out->real = o->via.f64;
        return true;
    }
    if (o->type == MSGPACK_OBJECT_STR) {
        *out = (tide_value){.type = TIDE_STRING, .bytes = o->via.str.size, .data = o->via.str.ptr};
        return true;
    }
    if (o->type == MSGPACK_OBJECT_BIN) {
        *out = (tide_value){.type = TIDE_BYTES, .bytes = o->via.bin.size, .data = o->via.bin.ptr};
        return true;
    }
    return false;
}

/* Arrays and maps, which would take memory for what their heads announce, are in no row. */
static bool is_container(char head)
{
    unsigned char b = (unsigned char)head;
    return (b >= 0x80 && b <= 0x9f) || (b >= 0xdc && b <= 0xdf);
}

bool tide__get_values(const char *bytes, size_t size, tide_value values[], size_t most,
                      size_t *count)
{
    size_t at = 0;
    bool good = true;
    *count = 0;
    while (good && at < size) {
        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        good = *count < most && !is_container(bytes[at]) &&
               msgpack_unpack_next(&unpacked, bytes, size, &at) == MSGPACK_UNPACK_SUCCESS &&
               tide__get_value(&unpacked.data, &values[*count]);
        *count += good;
        msgpack_unpacked_destroy(&unpacked);
    }
    return good;
}
