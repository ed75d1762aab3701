/* following.h - which history of a peer our rows from it rest on.
 *
 * A page is made in one life of the peer (life.h), when its feed had a head. Both are kept with the
 * rows of the page, and named in the next question, so that the peer can tell whether what we took
 * is part of its history, or of one that it has lost or that lives on in a copy. As long as it is,
 * that is one following, and the rows we take have its number as their source; so a sweep may say
 * of a row: it came from this very feed. Otherwise the next page begins another one, with a number
 * that no row of the resource has yet: one that began in the same life may have gone on into a copy's.
 */
#ifndef TIDEMARK_SYNC_FOLLOWING_H
#define TIDEMARK_SYNC_FOLLOWING_H

#include "sync/engine.h"

typedef struct tide__following {
    tide_time life; /* of the peer, in which the last page was made, */
    tide_time head; /* and where its feed then ended; 0: it was empty */
    sqlite3_int64 source;
} tide__following;

/* TIDE_OK; TIDE_ABSENT: we never followed it, *out has no times and the source of no row. */
int tide__following_find(tide_sync *sync, const uuid_t peer, const tide__model *model,
                         tide__following *out);

/* Inside the transaction that takes a page: it was made in `page`'s life and head. `known`:
 * the peer knows what we took before. *page gets its source. */
int tide__following_go_on(tide_sync *sync, const uuid_t peer, const tide__model *model, bool known,
                          tide__following *page);

#endif
