/* reading.h - full reads: a peer's feed from its beginning, and the sweep at the end.
 *
 * One is due when the peer has forgotten deletions beyond our mark, or when its rows and ours
 * differ though they should not. It is kept in the database, in the transactions that apply its
 * pages: how far it has got, and the keys that were listed. When it reaches the end, our rows that
 * were not listed and that the peer had seen - up to the bound, or taken over from this very feed -
 * are those whose deletion it has forgotten; they go. While it lasts there is no mark: before it
 * begins the mark is taken away, so that after a crash it begins again or goes on, and nothing is
 * taken for read.
 *
 * A row that goes this way leaves a tombstone of its own version, and at equal versions the
 * deletion wins: so those who have it from us hear of it, and a newer version, which the peer did
 * not know, wins over it.
 */
#ifndef TIDEMARK_SYNC_READING_H
#define TIDEMARK_SYNC_READING_H

#include "sync/engine.h"
#include "sync/following.h"
#include "sync/message.h"

typedef struct tide__reading {
    tide_time epoch;
    tide_time generation;
    tide_time bound;
    tide_time upto; /* everything up to there is applied, and listed */
    bool listing;   /* there is something to sweep, maybe: keys are listed */
    bool sweeping;  /* else it only looks for what is missing here */
} tide__reading;

/* TIDE_OK; TIDE_ABSENT: there is none under way. */
int tide__reading_find(tide_sync *sync, const uuid_t peer, const tide__model *model,
                       tide__reading *out);

/* Begins one, in a transaction of its own, or begins it again under another generation; the mark
 * goes. `range` says that it is due, or why it is wanted: then the peer has forgotten no deletion.
 * `epoch` and `page` are what the range was made in. `sweeping` false: nothing is deleted at the end. */
int tide__reading_begin(tide_sync *sync, const uuid_t peer, const tide__model *model,
                        const tide__range *range, tide_time epoch, tide__following *page,
                        bool sweeping);

/* Inside the transaction that applies a page: */
int tide__reading_list(tide_sync *sync, const uuid_t peer, const tide__model *model,
                       const tide_value *key);
int tide__reading_move(tide_sync *sync, const uuid_t peer, const tide__model *model, tide_time upto);

/* The end is reached: sweeps, and forgets the read. *swept is how many rows went. */
int tide__reading_end(tide_sync *sync, const uuid_t peer, tide__model *model,
                      const tide__reading *reading, uint64_t *swept);

#endif
