/* feed.h - reading our own feed: the answer to a question.
 *
 * One page answers from one snapshot of the database, so that rows and head belong together. The
 * ranges come in the order asked for; the first that does not fit whole ends the page. Where
 * deletions behind the asker's mark are forgotten, there is instead of a range the word that a full
 * read is due; and while our own history is in doubt, nothing for those whose is not.
 */
#ifndef TIDEMARK_SYNC_FEED_H
#define TIDEMARK_SYNC_FEED_H

#include "sync/engine.h"
#include "sync/message.h"

/* Whom a page is for. Rows that came from its feed in this very life are not sent back. */
typedef struct tide__asker {
    const unsigned char *peer;
    tide_time life;
    int64_t session;
    bool doubts[TIDE_MODELS_MAX]; /* by place of the model: ours, about its rows */
} tide__asker;

/* What became of a page. */
typedef struct tide__served {
    size_t rows; /* how many it carries */
    bool end;    /* it reaches the head of everything asked for */
    bool waits;  /* it says that we serve later */
    bool ahead;  /* none was made: the asker has seen more of our feed than there is */
} tide__served;

/* Appends the PAGE for the asker to `out`, and makes durable here what it shows. TIDE_ELIMIT: a row
 * is larger than TIDE_ROW_MAX_BYTES. */
int tide__feed_page(tide_sync *sync, const tide__question *question, const tide__asker *asker,
                    int64_t session, tide__buffer *out, tide__served *served);

#endif
