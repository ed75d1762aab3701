/* table.h - the advances of this process that wait for a commit, by key.
 *
 * One slot a mark: however often a mark is advanced between two commits, one write is due. A slot remembers
 * the mark it was based on, so that the commit can tell whether that still holds. Not locked: the
 * committer's table lock covers it. At most TIDE__PENDING_MAX slots; then a commit is due.
 */
#ifndef TIDEMARK_STORE_TABLE_H
#define TIDEMARK_STORE_TABLE_H

#include <stddef.h>

#include "base/key.h"
#include "base/rules.h"

#define TIDE__PENDING_MAX 4096

typedef struct tide__slot {
    struct tide__slot *next; /* of the same bucket */
    tide__pending pending;
    tide__key key;
} tide__slot;

typedef struct tide__table {
    tide__slot **buckets; /* NULL until the first slot */
    size_t bucket_count;  /* a power of two */
    size_t count;
    tide__slot *spare; /* reserved, linked by next */
    size_t spare_count;
} tide__table;

void tide__table_free(tide__table *table);

/* NULL: nothing waits for this key. */
tide__slot *tide__table_find(const tide__table *table, const tide__key *key);

/* Makes sure that the next `count` raises find room. TIDE_OK; TIDE_ENOMEM. */
int tide__table_reserve(tide__table *table, size_t count);

/* Raises what waits for the key to pending->upto. A slot that pending->base comes from keeps its own base;
 * any other gets this one. Room must have been reserved. */
void tide__table_raise(tide__table *table, const tide__key *key, const tide__pending *pending);

void tide__table_remove(tide__table *table, const tide__key *key);

/* Copies all slots, sorted by key, into an array to be freed; NULL when there are none or, with *count
 * set, when memory is short. */
tide__slot *tide__table_snapshot(const tide__table *table, size_t *count);

#endif
