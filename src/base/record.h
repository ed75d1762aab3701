/* record.h - the value of a mark: "watermark|updated_at|epoch|check" as text.
 *
 * Times are canonical (30 characters), epoch is empty where none is known, check is eight
 * lower-case hex digits: CRC-32C (Castagnoli, RFC 3720 B.4) over the key, a bar, and the record up
 * to the bar before the check. LMDB has no checksums; with this one a damaged mark is an error,
 * never a value.
 */
#ifndef TIDEMARK_BASE_RECORD_H
#define TIDEMARK_BASE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tidemark/store.h>

#include "base/key.h"

#define TIDE__RECORD_MAX (3 * 31 + 8) /* 30 + 1 + 30 + 1 + 30 + 1 + 8 = 101 bytes */

/* The record of `mark` under `key`; returns its length. watermark and updated_at must be times. */
size_t tide__record_encode(const tide__key *key, const tide_mark *mark, char out[TIDE__RECORD_MAX]);

/* Whether a record of this key has the right check. */
bool tide__record_holds(const void *key, size_t key_length, const void *bytes, size_t length);

/* The check of a record, as a number; 0 of bytes that have none. */
uint32_t tide__record_check(const void *bytes, size_t length);

/* TIDE_OK; TIDE_ECORRUPT: not a record that tide__record_encode makes for this key. */
int tide__record_decode(const void *key, size_t key_length, const void *bytes, size_t length,
                        tide_mark *out);

#endif
