/* life.h - the past of our own feed: the lives of the database, one after the other.
 *
 * A copy of a library, and an older state put in its place, share a past with the original, under
 * the same device id and the same epoch. So each opening begins a new life, whose number is larger
 * than all before and told with every message; and the life before, if a page was made in it, is
 * kept with the stamps at which its feeds ended. What somebody took from our feed is part of our
 * history if it was taken in the present life, or in one that ended at or behind the head that the
 * feed then had. Anything else is of a history that we have lost, or that lives on in a copy.
 *
 * A life ends at the head of the feed, but not beyond `until`, which is raised before a page shows
 * more: what another program wrote into restored rows before we saw them was never shown.
 */
#ifndef TIDEMARK_SYNC_LIFE_H
#define TIDEMARK_SYNC_LIFE_H

#include "sync/engine.h"

/* Inside a write transaction: the present life ends, a new one begins. */
int tide__life_begin(tide_sync *sync);

/* Inside a transaction: where a life of ours ended; TIDE_TIME_MAX: it is the present one. TIDE_OK;
 * TIDE_CONFLICT: it is none of ours; TIDE_STALE: it is too long ago to tell. */
int tide__life_end(tide_sync *sync, const tide__model *model, tide_time life, tide_time *ended);

/* The same, as whether the feed had this head in our history: TIDE_OK; TIDE_CONFLICT; TIDE_STALE. */
int tide__life_includes(tide_sync *sync, const tide__model *model, tide_time life, tide_time head);

/* Inside the snapshot of a page: whether all that it may show lies below `until`, and the life is
 * one to keep. If not, tide__life_cover makes it so, in a transaction of its own, for a later one. */
int tide__life_covers(tide_sync *sync, bool *covered);
int tide__life_cover(tide_sync *sync);

#endif
