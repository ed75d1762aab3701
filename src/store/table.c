/* table.c - the marks in use, and the advances that wait; see table.h. */
#include "store/table.h"

#include <stdlib.h>
#include <string.h>

#include <tidemark/error.h>

#include "base/alloc.h"

#define FIRST_BUCKETS 64
#define ONCE_BYTES 65536

static bool same(const tide__slot *slot, const tide__id *id)
{
    return slot->id.hash == id->hash && slot->id.length == id->length &&
           memcmp(slot->id.device, id->device, 16) == 0 &&
           memcmp(slot->id.peer, id->peer, 16) == 0 &&
           memcmp(slot->id.resource, id->resource, id->length) == 0;
}

void tide__table_init(tide__table *table)
{
    *table = (tide__table){.generation = 1};
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
    tide__free(table->buckets);
    tide__free(table->waiting);
    tide__free(table->once);
    tide__table_init(table);
}

tide__slot *tide__table_find(const tide__table *table, const tide__id *id)
{
    if (table->count == 0) {
        return NULL;
    }
    tide__slot *slot = table->buckets[id->hash & (table->bucket_count - 1)];
    while (slot != NULL && !same(slot, id)) {
        slot = slot->next;
    }
    if (slot != NULL) {
        slot->used = true;
    }
    return slot;
}

bool tide__table_worthy(tide__table *table, const tide__id *id)
{
    if (table->once == NULL && (table->once = tide__calloc(ONCE_BYTES, 1)) == NULL) {
        return true;
    }
    unsigned char tag = (unsigned char)(id->hash >> 48 | 1); /* 0 is an empty place */
    unsigned char *place = &table->once[id->hash % ONCE_BYTES];
    bool again = *place == tag;
    *place = tag;
    return again;
}

/* Doubles buckets and waiting list when the slots outnumber them. */
static int make_room(tide__table *table)
{
    size_t count = table->bucket_count == 0 ? FIRST_BUCKETS : 2 * table->bucket_count;
    if (table->count < table->bucket_count) {
        return TIDE_OK;
    }
    tide__slot **buckets = tide__calloc(count, sizeof(tide__slot *));
    tide__slot **waiting = tide__realloc(table->waiting, count * sizeof(tide__slot *));
    if (waiting != NULL) {
        table->waiting = waiting;
    }
    if (buckets == NULL || waiting == NULL) {
        tide__free(buckets);
        return TIDE_ENOMEM;
    }
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (tide__slot *slot = table->buckets[i]; slot != NULL;) {
            tide__slot *next = slot->next;
            tide__slot **bucket = &buckets[slot->id.hash & (count - 1)];
            slot->next = *bucket;
            *bucket = slot;
            slot = next;
        }
    }
    tide__free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = count;
    return TIDE_OK;
}

tide__slot *tide__table_take(tide__table *table, const tide__id *id)
{
    tide__slot *slot = tide__table_find(table, id);
    if (slot != NULL) {
        return slot;
    }
    if (make_room(table) != TIDE_OK ||
        (slot = tide__malloc(sizeof *slot + 32 + id->length + 1)) == NULL) {
        return NULL;
    }
    *slot = (tide__slot){.used = true, .id = *id};
    memcpy(slot->bytes, id->device, 16);
    memcpy(slot->bytes + 16, id->peer, 16);
    memcpy(slot->bytes + 32, id->resource, id->length);
    slot->bytes[32 + id->length] = '\0';
    slot->id.device = slot->bytes;
    slot->id.peer = slot->bytes + 16;
    slot->id.resource = (const char *)slot->bytes + 32;
    tide__slot **bucket = &table->buckets[id->hash & (table->bucket_count - 1)];
    slot->next = *bucket;
    *bucket = slot;
    table->count++;
    return slot;
}

/* The clock: a slot that was used since the hand came by last is spared once. */
void tide__table_trim(tide__table *table, size_t more)
{
    for (size_t looked = 0;
         table->count + more > TIDE__SLOTS_MAX && looked < 2 * table->bucket_count; looked++) {
        tide__slot **link = &table->buckets[table->hand];
        table->hand = (table->hand + 1) & (table->bucket_count - 1);
        while (*link != NULL) {
            tide__slot *slot = *link;
            if (slot->waiting || slot->used) {
                slot->used = false;
                link = &slot->next;
            } else {
                *link = slot->next;
                tide__free(slot);
                table->count--;
            }
        }
    }
}

bool tide__table_reach(tide__table *table, uint64_t transaction, const tide__taken *taken)
{
    if (transaction > table->transaction) {
        table->transaction = transaction;
        table->taken = *taken;
        table->generation++;
    }
    return transaction == table->transaction;
}

bool tide__table_follow(tide__table *table, uint64_t transaction, const tide__taken *taken)
{
    if (transaction == table->transaction + 1) {
        table->transaction = transaction;
        table->taken = *taken;
    }
    return tide__table_reach(table, transaction, taken);
}

void tide__table_note(const tide__table *table, tide__slot *slot, const tide_mark *mark,
                      bool current)
{
    if (current) {
        slot->mark = *mark;
        slot->seen = table->generation;
    }
}

bool tide__table_waits(const tide__table *table, const tide__slot *slot)
{
    return slot->waiting && tide__rule_stands(&slot->pending, &slot->mark, &table->taken);
}

tide_mark tide__table_view(const tide__table *table, const tide__slot *slot)
{
    return tide__table_waits(table, slot) ? slot->pending.upto : slot->mark;
}

void tide__table_raise(tide__table *table, tide__slot *slot, bool waits, const tide_mark *upto)
{
    if (!waits) {
        slot->pending.base = slot->mark;
        slot->pending.based_on = table->transaction;
    }
    slot->pending.upto = *upto;
    if (!slot->waiting) {
        slot->waiting = true;
        table->waiting[table->waiting_count++] = slot;
    }
}

tide__waiting *tide__table_snapshot(const tide__table *table, size_t *count)
{
    *count = table->waiting_count;
    if (table->waiting_count == 0) {
        return NULL;
    }
    tide__waiting *waiting = tide__malloc(table->waiting_count * sizeof *waiting);
    for (size_t i = 0; waiting != NULL && i < table->waiting_count; i++) {
        waiting[i].slot = table->waiting[i];
        waiting[i].pending = table->waiting[i]->pending;
        waiting[i].mark = table->waiting[i]->mark;
        waiting[i].known = table->waiting[i]->seen == table->generation;
    }
    return waiting;
}

static void settle_one(tide__waiting *published, uint64_t number, uint64_t seen)
{
    tide__slot *slot = published->slot;
    tide__pending *then = &published->pending;
    if (slot->pending.based_on != then->based_on ||
        slot->pending.base.watermark != then->base.watermark) {
        return; /* another process had changed the mark, and this is a new wait */
    }
    if (published->outcome == TIDE__SPARED) {
        slot->pending.base = then->base = published->result; /* it was judged again, and stands */
        slot->pending.based_on = then->based_on = number;
    } else if (published->outcome == TIDE__REMOVED ||
               slot->pending.upto.watermark == then->upto.watermark) {
        slot->waiting = false;
    } else if (published->outcome == TIDE__WRITTEN) {
        slot->pending.base = published->result;
        slot->pending.based_on = seen;
    }
    /* Else it was raised on what was dropped; its old base tells that. */
}

void tide__table_settle(tide__table *table, tide__waiting *published, size_t count, uint64_t number,
                        uint64_t seen, bool current)
{
    for (size_t i = 0; i < count; i++) {
        if (published[i].outcome != TIDE__DAMAGED) {
            tide__table_note(table, published[i].slot, &published[i].result, current);
            settle_one(&published[i], number, seen);
        }
    }
    size_t left = 0;
    for (size_t i = 0; i < table->waiting_count; i++) {
        if (table->waiting[i]->waiting) {
            table->waiting[left++] = table->waiting[i];
        }
    }
    table->waiting_count = left;
}

void tide__table_drop(tide__table *table)
{
    for (size_t i = 0; i < table->waiting_count; i++) {
        table->waiting[i]->waiting = false;
    }
    table->waiting_count = 0;
}
