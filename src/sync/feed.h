/* feed.h - reading our own feed: the answer to a question.
 *
 * One page answers from one snapshot of the database, so that rows and head belong together. The
 * ranges come in the order asked for; the first that does not fit whole ends the page.
 */
#ifndef TIDEMARK_SYNC_FEED_H
#define TIDEMARK_SYNC_FEED_H

#include "sync/engine.h"
#include "sync/message.h"

/* Whom a page is for. Rows that came from this very feed of its are not sent back; should the peer
 * have lost them, its feed has another epoch. */
typedef struct tide__asker {
    const unsigned char *peer;
    tide_time epoch;
    int64_t session;
} tide__asker;

/* Appends the PAGE for the asker to `out`, and makes durable here what it shows. *rows is how many
 * it carries; *end says that it reaches the head of everything asked for. TIDE_ELIMIT: a row is
 * larger than TIDE_ROW_MAX_BYTES. */
int tide__feed_page(tide_sync *sync, const tide__question *question, const tide__asker *asker,
                    int64_t session, tide__buffer *out, size_t *rows, bool *end);

#endif
