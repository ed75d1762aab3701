/* pack.h - values as MessagePack, in messages and in parked rows. */
#ifndef TIDEMARK_SYNC_PACK_H
#define TIDEMARK_SYNC_PACK_H

#include <msgpack.h>
#include <stdbool.h>

#include <tidemark/sync.h>

/* Grows as it is written; a failure sticks in `failed` and is looked at once, at the end. */
typedef struct tide__buffer {
    char *bytes;
    size_t size;
    size_t room;
    bool failed;
} tide__buffer;

void tide__buffer_free(tide__buffer *buffer);
void tide__buffer_append(tide__buffer *buffer, const void *bytes, size_t size);
void tide__packer(tide__buffer *buffer, msgpack_packer *packer);

void tide__pack_text(msgpack_packer *p, const char *text, size_t length);
void tide__pack_bytes(msgpack_packer *p, const void *bytes, size_t size);
void tide__pack_time(msgpack_packer *p, tide_time time);
void tide__pack_bool(msgpack_packer *p, bool value);
void tide__pack_value(msgpack_packer *p, const tide_value *value);

/* False: it is none, or none that SQLite has. */
bool tide__get_integer(const msgpack_object *o, int64_t *out);

/* One value of a row, which points into the bytes `o` was read from. False: no row has such. */
bool tide__get_value(const msgpack_object *o, tide_value *out);

/* The values of a row, one after the other, as tide__pack_value wrote them; they point into the
 * bytes. False: the bytes are damaged, or there are more than `most`. */
bool tide__get_values(const char *bytes, size_t size, tide_value values[], size_t most,
                      size_t *count);

#endif
