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

/* Inside a transaction: watermark and epoch, or TIDE_TIME_NONE. */
int tide__level_find(tide_sync *sync, const uuid_t peer, const tide__model *model, tide_mark *out);

/* We are level with the peer's feed that began at `epoch`, at stamp `upto`. In a transaction of its
 * own, if that is new. */
int tide__level_reached(tide_sync *sync, const uuid_t peer, const tide__model *model,
                        tide_time epoch, tide_time upto);

#endif
