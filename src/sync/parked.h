/* parked.h - rows of a peer's feed that cannot be written now, kept until they can.
 *
 * A row that a constraint refuses, or that another device owns, must neither stop its feed nor get
 * lost. It is parked: kept whole in tidemark_parked, in the transaction that would have written it,
 * so the mark may move over it. One row is parked for each (resource, key), of the largest version;
 * a newer version that is applied takes it out. It is not in our feed and does not travel.
 *
 * Parked rows are tried again in turn, each as if it arrived now: some of them whenever a page
 * wrote rows, more at the end of a round. One that fits is written, with its version and the feed
 * it came from; one whose version is no longer larger than what is here goes.
 *
 * A statement that a constraint refuses is taken back whole by SQLite, so a refused row leaves
 * nothing. Not so where a trigger of somebody else says RAISE(FAIL) or RAISE(IGNORE): what it did
 * before stays. So when a row is refused in a database with such triggers, the page begins anew,
 * with each row of the model in a savepoint, and so do all later pages. RAISE(ROLLBACK) takes the
 * page's transaction with it; then there is nothing to park in.
 */
#ifndef TIDEMARK_SYNC_PARKED_H
#define TIDEMARK_SYNC_PARKED_H

#include "sync/apply.h"

#define TIDE__PARKED_PER_PAGE 64    /* tried again with a page that wrote rows */
#define TIDE__PARKED_PER_ROUND 1024 /* and at the end of a round */
#define TIDE__REASON_MAX 200        /* bytes of a reason's text */

/* Makes the table where it is missing; inside a transaction. Then: the statements. */
int tide__parked_install(tide_sync *sync);
int tide__parked_prepare(tide_sync *sync);
void tide__parked_finalize(tide_sync *sync);

/* tide__apply_row, after which an older version that is parked goes. */
int tide__parked_write(tide__apply *apply, tide__model *model, const tide_change *change);

/* What was parked of a range. */
typedef struct tide__parking {
    uint64_t count;
    char reason[TIDE__REASON_MAX]; /* of the first */
} tide__parking;

/* The same for a row of a page: one that is refused is parked. TIDE_OK: written; TIDE_STALE: what is
 * here or parked is as new, or the row is parked now; errors, and with apply->again set the
 * transaction is to be taken back and begun anew. */
int tide__parked_apply(tide__apply *apply, tide__model *model, const tide_change *change,
                       tide__parking *parking);

/* Tries rows again, `most` at most. *upto is the end of a pass, 0 to begin one; it is 0 again when
 * every row has been tried since the last one fitted. Adds to `written`, by place of the model. */
int tide__parked_retry(tide__apply *apply, size_t most, int64_t *upto, uint64_t *written);

/* The end of a round: a transaction of its own, if there are parked rows. */
int tide__parked_settle(tide_sync *sync);

/* Inside a transaction, before the deletions up to a stamp are forgotten: what is parked and older
 * than they are goes, because nothing else would tell that it is. */
int tide__parked_prune(tide_sync *sync, const tide__model *model, tide_time upto);

int tide__parked_count(tide_sync *sync, const tide__model *model, uint64_t *out);

#endif
