/* table.h - what this process knows of the marks in use, and the advances that wait for a commit.
 *
 * A slot holds a mark as the file has it, and the advance that waits on it, if one does: however
 * often a mark is advanced between two commits, one write is due. The table knows the number of the
 * commit it shows; while that is the file's newest, a current slot is as good as a read, and when
 * another process has committed, no slot is current any more.
 *
 * Invariants: a slot whose `seen` is the table's generation holds what the file held after commit
 * `transaction`, absence included; a slot that waits stays; at most TIDE__WAITING_MAX wait and
 * about TIDE__SLOTS_MAX are kept, those longest out of use going first. Not locked: the
 * environment's lock does it.
 */
#ifndef TIDEMARK_STORE_TABLE_H
#define TIDEMARK_STORE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key.h"
#include "base/rules.h"

#define TIDE__SLOTS_MAX 131072
#define TIDE__WAITING_MAX 65536 /* then a commit is due */

typedef struct tide__slot {
    struct tide__slot *next; /* of the same bucket */
    uint64_t seen;           /* the generation `mark` was read in; 0: it is not known */
    bool used;               /* since the hand came by */
    bool waiting;
    tide_mark mark;        /* in the file */
    tide__pending pending; /* where waiting */
    tide__id id;           /* of the bytes behind */
    unsigned char bytes[];
} tide__slot;

typedef struct tide__table {
    tide__slot **buckets; /* NULL until the first slot */
    size_t bucket_count;  /* a power of two */
    size_t count;
    size_t hand; /* the bucket that eviction looks at next */
    uint64_t transaction;
    tide__taken taken; /* the last commits that took marks back, up to `transaction` */
    uint64_t generation;
    tide__slot **waiting; /* as long as `buckets` */
    size_t waiting_count;
    unsigned char *once; /* what was read lately without a slot, by hash; NULL until the first */
} tide__table;

/* An advance that a commit publishes. */
typedef struct tide__waiting {
    tide__slot *slot;
    tide__pending pending; /* as it was when the set was fixed; */
    tide_mark mark;        /* so the mark in the file, */
    bool known;            /* where the table knew it */
    tide_mark result;      /* the mark in the file after the commit, */
    enum {                 /* and what became of the advance */
           TIDE__WRITTEN,
           TIDE__DROPPED, /* what the file held stands */
           TIDE__REMOVED, /* with its mark, by a call of the same commit */
           TIDE__SPARED,  /* there was no room: it goes on waiting */
           TIDE__DAMAGED  /* so does this: the file's record could not be read */
    } outcome;
} tide__waiting;

void tide__table_init(tide__table *table);
void tide__table_free(tide__table *table);

/* NULL: not there. */
tide__slot *tide__table_find(const tide__table *table, const tide__id *id);

/* Whether a mark that was read is worth a slot: when it was read before, not long ago. So a walk
 * over many marks does not put out those in use, and costs no memory. */
bool tide__table_worthy(tide__table *table, const tide__id *id);

/* The slot of a name, made when it is not there; NULL: no memory. */
tide__slot *tide__table_take(tide__table *table, const tide__id *id);

/* Gives up slots until `more` find a place. */
void tide__table_trim(tide__table *table, size_t more);

/* Whether the slot holds what the file holds, whose newest commit is `newest`. */
static inline bool tide__table_current(const tide__table *table, const tide__slot *slot,
                                       uint64_t newest)
{
    return slot->seen == table->generation && table->transaction == newest;
}

/* Something was read from the file after commit `transaction`, when `taken` held. False: it is
 * older than what the table knows, and must not come in. */
bool tide__table_reach(tide__table *table, uint64_t transaction, const tide__taken *taken);

/* The process itself made commit `transaction`: where that is the next one, what it did not touch
 * stays current. Answers as above. */
bool tide__table_follow(tide__table *table, uint64_t transaction, const tide__taken *taken);

/* Notes what the file holds; `current` is what reach or follow answered. */
void tide__table_note(const tide__table *table, tide__slot *slot, const tide_mark *mark,
                      bool current);

/* Whether an advance waits on the slot, and still raises the mark. */
bool tide__table_waits(const tide__table *table, const tide__slot *slot);

/* The mark as this process sees it. */
tide_mark tide__table_view(const tide__table *table, const tide__slot *slot);

/* Lets the slot wait for `upto`, which was judged on the slot's view. Where that `waits`, the wait
 * keeps its base; else the mark in the file is the base. */
void tide__table_raise(tide__table *table, tide__slot *slot, bool waits, const tide_mark *upto);

/* Copies what waits into an array to be freed; NULL when nothing does or, with *count set, when
 * memory is short. The slots stay until tide__table_settle. */
tide__waiting *tide__table_snapshot(const tide__table *table, size_t *count);

/* What was published by commit `number` waits no longer; what was raised meanwhile does, on a new
 * base where the commit wrote one, seen after commit `seen`: that is `number`, or the one before where
 * the commit took marks back itself. What was spared waits on, on the base that the commit saw. */
void tide__table_settle(tide__table *table, tide__waiting *published, size_t count, uint64_t number,
                        uint64_t seen, bool current);

/* Nothing waits any more. */
void tide__table_drop(tide__table *table);

#endif
