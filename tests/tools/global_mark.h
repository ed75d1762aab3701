/* global_mark.h - the old way, to be compared with: ONE watermark for all kinds of rows.
 *
 * A backend of the engine's watermark interface that keeps a single mark per peer in a small text
 * file. It is as good as one mark can be: it is read when the backend is opened and then stands for
 * every resource that the session has not yet read; within the session each resource goes on from
 * where it has got. What is stored is the largest watermark reached, together with the epoch of the
 * peer's feed. So without a cut nothing is lost. Only tests and tidemark-old-way know it.
 *
 * One mark lies beyond the head of a resource that has nothing as new. To the engine that would
 * mean that the peer was rolled back, and it would read everything again; the old way knew no such
 * thing, so there the mark stands at the head, which asks for the same rows: none.
 */
#ifndef TIDEMARK_TESTS_GLOBAL_MARK_H
#define TIDEMARK_TESTS_GLOBAL_MARK_H

#include <tidemark/sync.h>

/* The mark is read from `path` if there is one, and written there whenever it rises. `peer` is whom
 * it is about. */
int global_mark_open(const char *path, const uuid_t device, tide_sync *peer, tide_watermarks **out);

#endif
