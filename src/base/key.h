/* key.h - the key of a mark: "device|peer|resource" as text.
 *
 * UUIDs are 36 characters, lower case; the resource is what follows, to the end. Nothing else is a
 * key, so encoding is a bijection and the order of keys is the order of (device, peer, resource) as
 * text.
 */
#ifndef TIDEMARK_BASE_KEY_H
#define TIDEMARK_BASE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uuid/uuid.h>

#define TIDE__UUID_TEXT 36
#define TIDE__KEY_DEVICE_END (TIDE__UUID_TEXT + 1)     /* past "device|" */
#define TIDE__KEY_PEER_END (2 * (TIDE__UUID_TEXT + 1)) /* past "device|peer|" */
#define TIDE__KEY_MAX 511                              /* LMDB's limit */

typedef struct tide__key {
    size_t length;
    char text[TIDE__KEY_MAX + 1]; /* with a NUL behind it, for messages */
} tide__key;

/* The name of a mark as a caller gives it; everything is borrowed. */
typedef struct tide__id {
    const unsigned char *device;
    const unsigned char *peer;
    const char *resource;
    size_t length; /* of the resource */
    uint64_t hash; /* of all three, for tables */
} tide__id;

/* TIDE_OK; TIDE_EINVAL: a NULL, or not a resource name. */
int tide__id_make(const uuid_t device, const uuid_t peer, const char *resource, tide__id *out);

/* The order of the keys. */
int tide__id_compare(const tide__id *a, const tide__id *b);

/* The key of a valid name. */
void tide__key_of(const tide__id *id, tide__key *out);

/* Whether `name` may be a resource name: 1 to TIDE_RESOURCE_MAX bytes of valid UTF-8 without '|'
 * and control characters. *length is set when it may; NULL is allowed. */
bool tide__resource_valid(const char *name, size_t *length);

/* tide__id_make and tide__key_of. */
int tide__key_encode(const uuid_t device, const uuid_t peer, const char *resource, tide__key *out);

/* The reverse, from bytes that a file gave us. The resource goes to `resource` as a C string of at
 * most TIDE_RESOURCE_MAX bytes. TIDE_OK; TIDE_ECORRUPT: not a key that tide__key_encode makes. */
int tide__key_decode(const void *bytes, size_t length, uuid_t device, uuid_t peer, char *resource);

/* Writes the 36 characters of a UUID in lower case, without a NUL. */
void tide__uuid_format(const uuid_t uuid, char text[TIDE__UUID_TEXT]);

/* Reads exactly 36 characters in lower case. */
bool tide__uuid_parse(const char *text, uuid_t out);

#endif
