/* level.h - up to where we had everything of a peer's feed of a resource.
 *
 * Unlike a mark, which in the middle of a round lies between rows that moved on and rows that did
 * not, this is taken at the end of one: every row that the feed then had is here. So of a row that
 * stands at or below it, in that feed or in an older state of it, we can say: we have seen it. It
 * is kept with the rows, and true of them whatever becomes of the marks.
 */
#ifndef TIDEMARK_SYNC_LEVEL_H
#define TIDEMARK_SYNC_LEVEL_H

#include "sync/engine.h"

/* Of the peer's feed; of each of its last lives (life.h) the last level is kept, because the peer
 * may have lost the later ones. */
typedef struct tide__level {
    tide_time stamp;
    tide_time epoch;
    tide_time life;
} tide__level;

#define TIDE__LEVELS_MAX 16

/* The last `most` of them, the newest first, and how many there are. */
int tide__level_find(tide_sync *sync, const uuid_t peer, const tide__model *model, size_t most,
                     tide__level out[], size_t *count);

/* We are level with the peer's feed. In a transaction of its own, if that is new. */
int tide__level_reached(tide_sync *sync, const uuid_t peer, const tide__model *model,
                        const tide__level *level);

#endif
