/* publish.h - one commit: everything that waits, and the calls of a group, in one transaction.
 *
 * The set of waiting advances is fixed, the barriers run, then set and group are written, each judged
 * on what LMDB holds then. If a barrier or the transaction fails nothing is published and everything
 * goes on waiting. When one of several calls makes the transaction fail, each gets one of its own.
 */
#ifndef TIDEMARK_STORE_PUBLISH_H
#define TIDEMARK_STORE_PUBLISH_H

#include "store/core.h"

/* With commit_lock held: answers every call of the group. */
void tide__publish(tide__core *core, tide__request *group);

#endif
