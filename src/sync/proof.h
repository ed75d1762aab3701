/* proof.h - whether our rows and the peer's are the same, by their digests.
 *
 * They can be compared when each has everything of the other: we have asked and nothing is left,
 * and the peer's mark on our feed stands at our head.
 */
#ifndef TIDEMARK_SYNC_PROOF_H
#define TIDEMARK_SYNC_PROOF_H

#include "sync/engine.h"
#include "sync/message.h"

/* The peer, and the epoch of its feed. */
typedef struct tide__whose {
    const unsigned char *peer;
    tide_time epoch;
} tide__whose;

/* A range of the last page of a round; *model is whose. TIDE_OK: equal, or not to be compared now:
 * then *compared is false, unless another question would not help; TIDE_CONFLICT: they differ, also
 * after ours was counted from nothing. */
int tide__prove(tide_sync *sync, const tide__whose *whose, const tide__range *range,
                tide__model **model, bool *compared);

#endif
