/* feed.h - reading our own feed: the answer to a question.
 *
 * One page answers from one snapshot of the database, so that rows and head belong together. The ranges
 * come in the order asked for; the first that does not fit whole ends the page.
 */
#ifndef TIDEMARK_SYNC_FEED_H
#define TIDEMARK_SYNC_FEED_H

#include "sync/engine.h"
#include "sync/message.h"

/* Appends the PAGE for `peer` to `out`. *rows is how many it carries; *end says that it reaches the head of
 * everything asked for. TIDE_ELIMIT: a row is larger than TIDE_ROW_MAX_BYTES. */
int tide__feed_page(tide_sync *sync, const tide__question *question, const uuid_t peer,
                    tide__buffer *out, size_t *rows, bool *end);

#endif
