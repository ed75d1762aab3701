/* peers.h - the devices that follow our feed, how far each has got, and what may be forgotten.
 *
 * A peer is registered when it is first heard. What it names as its mark is its ack: everything up
 * to there it has. A deletion that all registered peers have acknowledged is forgotten (pruned);
 * who comes from below that, a new or a removed peer, reads everything (reading.h).
 */
#ifndef TIDEMARK_SYNC_PEERS_H
#define TIDEMARK_SYNC_PEERS_H

#include "sync/engine.h"

/* The peer has said HELLO from the feed that began at `epoch`. With another epoch than before it
 * may have lost what it acknowledged. */
int tide__peer_met(tide_sync *sync, const uuid_t peer, tide_time epoch);

/* Its mark on our feed. */
int tide__peer_acks(tide_sync *sync, const uuid_t peer, const tide__model *model, tide_time upto);

/* The same as it was last heard; TIDE_TIME_NONE: never. */
int tide__peer_acked(tide_sync *sync, const uuid_t peer, const tide__model *model, tide_time *upto);

/* A session with it has reached READY. */
int tide__peer_contact(tide_sync *sync, const uuid_t peer);

#endif
