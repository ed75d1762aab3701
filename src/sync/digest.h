/* digest.h - proof that two devices hold the same rows: how many are alive, and a sum over them.
 *
 * A row counts with 122 bits of SHA-1 over its key and version (a name-based UUID, which libuuid
 * makes); the sum is modulo 2^128, so the order does not matter, and a row is taken out by
 * subtracting it. The sum of the rows up to
 * a stamp is kept in tidemark_resources. A row that changes afterwards leaves what it was in
 * tidemark_RESOURCE_was, by a trigger on its record, and has a newer stamp: so a digest costs as
 * much as has changed since the last.
 */
#ifndef TIDEMARK_SYNC_DIGEST_H
#define TIDEMARK_SYNC_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include <tidemark/time.h>

#define TIDE__DIGEST_BYTES 16
#define TIDE__SUMMED_ANEW 256 /* rows looked at for a digest that is worth keeping */

typedef struct tide__digest {
    uint64_t count;
    uint64_t high;
    uint64_t low;
} tide__digest;

struct tide_sync;
struct tide__model;

/* The sum as the message has it: 16 bytes, the most significant first. */
void tide__digest_pack(const tide__digest *digest, unsigned char bytes[TIDE__DIGEST_BYTES]);
void tide__digest_unpack(tide__digest *digest, const unsigned char bytes[TIDE__DIGEST_BYTES]);

bool tide__digest_equal(const tide__digest *a, const tide__digest *b);

/* Inside a transaction: the digest of what its snapshot shows. *changed is how many rows had to be
 * looked at. */
int tide__digest_read(struct tide_sync *sync, struct tide__model *model, tide__digest *out,
                      uint64_t *changed);

/* Keeps the digest that was read when the feed's head was `head`, if it still is; in a transaction
 * of its own. */
int tide__digest_keep(struct tide_sync *sync, struct tide__model *model, const tide__digest *digest,
                      tide_time head);

/* Counts from nothing, in a transaction of its own, after capture has looked for what no trigger
 * was told of (capture.h); and keeps that. */
int tide__digest_recount(struct tide_sync *sync, struct tide__model *model);

#endif
