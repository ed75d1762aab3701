/* page.h - applying a page of a peer's feed: its rows in one transaction, then the marks.
 *
 * A range is judged by our mark alone, as the mark is now: one that joins on is applied, one that
 * begins beyond the mark is a gap and left, one that ends at or below it is known. So is one left
 * that was made for an older following (following.h) than ours is by now, or that we asked for
 * before deletions were forgotten here. Every row of the page is checked before the first is
 * written. A row that cannot be written is parked (parked.h) in the same transaction, so the mark
 * moves over it as well.
 */
#ifndef TIDEMARK_SYNC_PAGE_H
#define TIDEMARK_SYNC_PAGE_H

#include "sync/engine.h"
#include "sync/message.h"

/* Our mark on the peer's feed of a model; an absent one gives TIDE_OK and no times. */
int tide__page_mark(tide_sync *sync, const uuid_t peer, const tide__model *model, tide_mark *out);

/* Whether a page may be applied as the answer to `asked`: all in it was asked for, and every row is
 * well-formed and not of the future. Says what is not, and changes nothing. TIDE_OK; TIDE_EMODEL;
 * TIDE_EPROTO; TIDE_ECLOCK. */
int tide__page_check(tide_sync *sync, const tide__question *asked, const tide__message *message);

/* Applies a page that may be (tide__page_check), counts and tells. *gap: a range did not join on.
 * *unflushed_rows is the caller's count of rows that are in and wait for a flush: this adds to it,
 * also where the answer is an error of the marks, and flushes when they are many or the page is the
 * last. After every other error nothing of the page is here. */
int tide__page_apply(tide_sync *sync, const uuid_t peer, const tide__question *asked,
                     const tide__message *message, size_t *unflushed_rows, bool *gap);

#endif
