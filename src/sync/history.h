/* history.h - the history of our own feed, and whether it is still the one that others have seen.
 *
 * A feed has an epoch. Rows that are rolled back - a database restored, a copy taken into use - are
 * another history under old stamps; so the feed gets a new epoch, above all its stamps. Marks and
 * acks rest on the history that they were given in, and go with it.
 *
 * A rollback is noticed when the marks are first used, because they remember how far the rows had
 * got (tidemark_state.noted); when a peer has seen more of our feed than there is; and when it names
 * a life that is none of ours (life.h). Then we are
 * recovering: we serve only others who are, until we have read everything anew from somebody who is
 * not. So rows that we lost come back, and deletions that we forgot are not undone elsewhere.
 */
#ifndef TIDEMARK_SYNC_HISTORY_H
#define TIDEMARK_SYNC_HISTORY_H

#include "sync/engine.h"
#include "sync/level.h"

/* Compares the marks with the rows, once for an engine; and takes what belongs to another history
 * away. */
int tide__history_check(tide_sync *sync);

/* Inside a transaction: epoch and recovering as the database has them, whoever changed them. */
int tide__history_load(tide_sync *sync);

/* Our rows are not what others have seen: a new epoch, and no marks. In transactions of its own.
 * `seen_ahead`: a peer has said so, not our marks. */
int tide__history_renew(tide_sync *sync, bool seen_ahead);

/* A peer was level with our feed of a model, of this epoch, in a life that is none of ours: renews. */
int tide__history_heed(tide_sync *sync, const tide__model *model, const tide__level *seen);

/* A round has ended: what peers have seen of our rows is known to our marks. */
int tide__history_note(tide_sync *sync);

/* Everything has been read anew from a peer whose rows can be relied on, or somebody has said that
 * what is here counts. */
int tide__history_recovered(tide_sync *sync, bool by_decree);

/* How much of our present rows a peer has seen that was level with our feed at these points: up to
 * this stamp, or TIDE_TIME_NONE. Inside a transaction. */
int tide__history_bound(tide_sync *sync, const tide__model *model, const tide__level seen[],
                        size_t count, tide_time *bound);

#endif
