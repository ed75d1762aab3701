/* table.c - the advances that wait for a commit; see table.h. */
#include "store/table.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/error.h>

#include "base/alloc.h"

#define FIRST_BUCKETS 64

/* FNV-1a: keys are ours, not a stranger's, so no seed is needed. */
static size_t hash(const tide__key *key)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < key->length; i++) {
        h = (h ^ (unsigned char)key->text[i]) * 1099511628211u;
    }
    return (size_t)(h ^ h >> 32);
}

static bool same(const tide__key *a, const tide__key *b)
{
    return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

static tide__slot **bucket_of(const tide__table *table, const tide__key *key)
{
    return &table->buckets[hash(key) & (table->bucket_count - 1)];
}

void tide__table_free(tide__table *table)
{
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (tide__slot *slot = table->buckets[i]; slot != NULL;) {
            tide__slot *next = slot->next;
            tide__free(slot);
            slot = next;
        }
    }
    for (tide__slot *slot = table->spare; slot != NULL;) {
        tide__slot *next = slot->next;
        tide__free(slot);
        slot = next;
    }
    tide__free(table->buckets);
    *table = (tide__table){.buckets = NULL};
}

tide__slot *tide__table_find(const tide__table *table, const tide__key *key)
{
    if (table->count == 0) {
        return NULL;
    }
    tide__slot *slot = *bucket_of(table, key);
    while (slot != NULL && !same(&slot->key, key)) {
        slot = slot->next;
    }
    return slot;
}

/* Doubles the buckets until there is at least one for each of `count` slots. */
static int reserve_buckets(tide__table *table, size_t count)
{
    size_t bucket_count = table->bucket_count == 0 ? FIRST_BUCKETS : table->bucket_count;
    while (bucket_count < count) {
        bucket_count *= 2;
    }
    if (bucket_count == table->bucket_count) {
        return TIDE_OK;
    }
    tide__slot **buckets = tide__calloc(bucket_count, sizeof(tide__slot *));
    if (buckets == NULL) {
        return TIDE_ENOMEM;
    }
    tide__table larger = {.buckets = buckets, .bucket_count = bucket_count};
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (tide__slot *slot = table->buckets[i]; slot != NULL;) {
            tide__slot *next = slot->next;
            tide__slot **bucket = bucket_of(&larger, &slot->key);
            slot->next = *bucket;
            *bucket = slot;
            slot = next;
        }
    }
    tide__free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = bucket_count;
    return TIDE_OK;
}

int tide__table_reserve(tide__table *table, size_t count)
{
    while (table->spare_count < count) {
        tide__slot *slot = tide__malloc(sizeof *slot);
        if (slot == NULL) {
            return TIDE_ENOMEM;
        }
        slot->next = table->spare;
        table->spare = slot;
        table->spare_count++;
    }
    return reserve_buckets(table, table->count + count);
}

void tide__table_raise(tide__table *table, const tide__key *key, const tide__pending *pending)
{
    tide__slot *slot = tide__table_find(table, key);
    if (slot != NULL && slot->pending.upto.watermark == pending->base.watermark) {
        slot->pending.upto = pending->upto;
        return;
    }
    if (slot == NULL) {
        slot = table->spare;
        table->spare = slot->next;
        table->spare_count--;
        tide__slot **bucket = bucket_of(table, key);
        slot->next = *bucket;
        *bucket = slot;
        slot->key.length = key->length;
        memcpy(slot->key.text, key->text, key->length + 1);
        table->count++;
    }
    slot->pending = *pending;
}

void tide__table_remove(tide__table *table, const tide__key *key)
{
    if (table->count == 0) {
        return;
    }
    tide__slot **link = bucket_of(table, key);
    while (*link != NULL && !same(&(*link)->key, key)) {
        link = &(*link)->next;
    }
    tide__slot *slot = *link;
    if (slot != NULL) {
        *link = slot->next;
        tide__free(slot);
        table->count--;
    }
}

static int by_key(const void *a, const void *b)
{
    const tide__slot *x = a;
    const tide__slot *y = b;
    /* Keys hold no NUL, and end with one here. */
    return strcmp(x->key.text, y->key.text);
}

tide__slot *tide__table_snapshot(const tide__table *table, size_t *count)
{
    *count = table->count;
    if (table->count == 0) {
        return NULL;
    }
    tide__slot *slots = tide__malloc(table->count * sizeof *slots);
    if (slots == NULL) {
        return NULL;
    }
    size_t at = 0;
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (const tide__slot *slot = table->buckets[i]; slot != NULL; slot = slot->next) {
            slots[at++] = *slot;
        }
    }
    qsort(slots, at, sizeof *slots, by_key);
    return slots;
}
