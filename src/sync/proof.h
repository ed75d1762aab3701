/* proof.h - whether our rows and the peer's are the same, by their digests, and what is done if
 * not.
 *
 * They can be compared when each has everything of the other: we have asked and nothing is left,
 * and behind the peer's level our feed has nothing but what came from its own. Not while rows are
 * parked on either side.
 *
 * Where they differ, each step when the last did not help: both count anew; everything is read
 * again, without deleting anything; the peer is told, so that it does the same; and when it has, a
 * last look decides whether the user hears of it.
 */
#ifndef TIDEMARK_SYNC_PROOF_H
#define TIDEMARK_SYNC_PROOF_H

#include "sync/engine.h"
#include "sync/message.h"

typedef struct tide__proof {
    bool compared;                        /* all of the last page that ended a round */
    unsigned char stage[TIDE_MODELS_MAX]; /* by place of the model */
    uint32_t number; /* of the peer's last question when we began to wait for it */
} tide__proof;

/* The last page of a round; `number` is that of the peer's last question. *again: there is
 * something to try that begins with a question; *news: the peer shall ask, and compare. */
int tide__proof_compare(tide__proof *proof, tide_sync *sync, const uuid_t peer,
                        const tide__message *page, uint32_t number, bool *again, bool *news);

/* A question of the peer's. True: it has done what it can, and our last look is due. */
bool tide__proof_hear(tide__proof *proof, const tide_sync *sync, const tide__question *question);

/* Counts our digests anew where a question of the peer's doubts them. */
int tide__proof_recount(tide_sync *sync, const tide__question *question);

uint32_t tide__proof_doubt(const tide__proof *proof,
                           const tide__model *model); /* for our question */
bool tide__proof_tries(const tide__proof *proof,
                       const tide__model *model);      /* we have not done all */
bool tide__proof_waits(const tide__proof *proof);      /* for the peer, in any model */
size_t tide__proof_diverged(const tide__proof *proof); /* how many models the user heard of */

#endif
