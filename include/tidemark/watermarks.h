/* tidemark/watermarks.h - how far one device has got with each peer, for each resource.
 *
 * The watermark interface of a sync engine, bound to "our" device, over either of two backends that
 * keep one and the same contract: the LMDB store, or a table in SQLite
 *
 *     device_resource_watermarks(device_uuid, peer_device_uuid, resource_type,
 *                                last_watermark, updated_at)
 *
 * so that a sync.db which another program has made this way can be opened, compared and taken over.
 *
 * A watermark about oneself is refused (TIDE_EINVAL). An error never reads as "absent": a stored
 * time that cannot be read is TIDE_ECORRUPT. Threads: over LMDB as for the store; over SQLite one
 * thread at a time. Durability: over LMDB a call that changes something is durable on return unless
 * the store was opened TIDE_DEFERRED; over SQLite as the connection's own pragmas say, and inside a
 * transaction of the caller the change is part of it.
 *
 * Both backends answer, besides what is listed, TIDE_EINVAL, TIDE_ENOMEM and the errors of their
 * medium (tidemark/store.h; TIDE_ESQL, TIDE_EBUSY, TIDE_EIO, TIDE_EACCES, TIDE_ECORRUPT and
 * TIDE_ENOSPC, which is also said of a database at its max_page_count, from SQLite). UUIDs are
 * looked up in lower case.
 */
#ifndef TIDEMARK_WATERMARKS_H
#define TIDEMARK_WATERMARKS_H

#include <stddef.h>
#include <uuid/uuid.h>

#include <tidemark/error.h>
#include <tidemark/store.h>
#include <tidemark/time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sqlite3; /* from <sqlite3.h> */

typedef struct tide_watermarks tide_watermarks;

/* Over the LMDB store. The store is borrowed and must outlive *out. */
TIDE_API int tide_watermarks_open_lmdb(tide_store *store, const uuid_t device,
                                       tide_watermarks **out);

/* Over a SQLite connection, borrowed likewise. Creates the table above with its two indexes, and
 * device_resource_watermark_epochs for what that table has no column for, where they do not exist. */
TIDE_API int tide_watermarks_open_sqlite(struct sqlite3 *database, const uuid_t device,
                                         tide_watermarks **out);

/* Gives the handle back, not what it borrows. NULL is allowed. */
TIDE_API void tide_watermarks_close(tide_watermarks *marks);

/* Our device, as given at open. */
TIDE_API void tide_watermarks_device(const tide_watermarks *marks, uuid_t device);

/* Raises the watermark to `watermark` if that is newer. TIDE_OK; TIDE_STALE. */
TIDE_API int tide_watermarks_upsert(tide_watermarks *marks, const uuid_t peer, const char *resource,
                                    tide_time watermark);

/* TIDE_OK; TIDE_ABSENT: *out is untouched. */
TIDE_API int tide_watermarks_get(tide_watermarks *marks, const uuid_t peer, const char *resource,
                                 tide_time *out);

/* For each resource of the peer in byte order of the name. Non-zero stops and is returned. */
typedef int tide_watermark_fn(void *ctx, const char *resource, tide_time watermark);
TIDE_API int tide_watermarks_get_all_for_peer(tide_watermarks *marks, const uuid_t peer,
                                              tide_watermark_fn *fn, void *ctx);

/* Our largest watermark, compared as instants, not as text; for diagnosis only. TIDE_OK; TIDE_ABSENT. */
TIDE_API int tide_watermarks_get_max(tide_watermarks *marks, tide_time *out);

/* Removes all our watermarks about the peer; *removed may be NULL. TIDE_OK, also when there was none. */
TIDE_API int tide_watermarks_delete_peer(tide_watermarks *marks, const uuid_t peer, size_t *removed);

/* ---- beyond the plain watermark: what a sync engine needs --------------------------------------- */

/* The whole mark, with its epoch. TIDE_OK; TIDE_ABSENT. */
TIDE_API int tide_watermarks_get_mark(tide_watermarks *marks, const uuid_t peer,
                                      const char *resource, tide_mark *out);

/* Raises the watermark over (after, upto] of the peer's feed that began at `epoch`, as
 * tide_advance_many does for one step. `durability` is TIDE_DEFAULT_DURABILITY, as the store was
 * opened; TIDE_DURABLE; or TIDE_DEFERRED: durable at the next flush. Over SQLite a change is made
 * at once, whatever is asked for. TIDE_OK; TIDE_STALE; TIDE_GAP; TIDE_CONFLICT: the mark is of
 * another epoch. */
TIDE_API int tide_watermarks_advance_range(tide_watermarks *marks, const uuid_t peer,
                                           const char *resource, tide_time after, tide_time upto,
                                           tide_time epoch, uint32_t durability);

/* Removes one watermark, so that the peer's feed of the resource is read from its beginning.
 * TIDE_OK; TIDE_ABSENT: there was none. */
TIDE_API int tide_watermarks_reset(tide_watermarks *marks, const uuid_t peer, const char *resource);

/* Ack: how far the peer says it has got with our feed. Kept as the mark peer|device|resource; only
 * rises. `durability` as above: an ack that a crash takes back is only lower. TIDE_OK; TIDE_STALE. */
TIDE_API int tide_watermarks_set_ack(tide_watermarks *marks, const uuid_t peer,
                                     const char *resource, tide_time acked, uint32_t durability);

/* TIDE_OK; TIDE_ABSENT. */
TIDE_API int tide_watermarks_get_ack(tide_watermarks *marks, const uuid_t peer,
                                     const char *resource, tide_time *out);

/* Removes all acks of the peer, durably: it has lost what it had reported. TIDE_OK, also when there
 * was none. */
TIDE_API int tide_watermarks_delete_acks(tide_watermarks *marks, const uuid_t peer);

/* The history that the marks rest on: the epoch of our own feed, and the newest stamp in it when
 * they were published. Kept as the mark device|device|history, so that rows which are older than
 * their marks are noticed. `durability` as for tide_watermarks_advance_range. TIDE_OK; when raised
 * TIDE_STALE: it was there already, TIDE_CONFLICT: it is of another epoch; when read TIDE_ABSENT:
 * the marks have none. */
TIDE_API int tide_watermarks_raise_history(tide_watermarks *marks, tide_time epoch,
                                           tide_time newest, uint32_t durability);
TIDE_API int tide_watermarks_get_history(tide_watermarks *marks, tide_mark *out);

/* Removes everything of our device, durably: watermarks, acks, and last the history. Not all or
 * nothing: after a failure or a crash the history that is still there tells that the rest is old,
 * and the call is to be made again. TIDE_OK, also when there was nothing. */
TIDE_API int tide_watermarks_forget(tide_watermarks *marks);

/* Makes pending changes durable (tide_flush); over SQLite nothing is ever pending. */
TIDE_API int tide_watermarks_flush(tide_watermarks *marks);

/* tide_set_barrier. Over SQLite nothing waits: the barrier runs before every change, and there is
 * one for a handle (TIDE_EBUSY: of another ctx). */
TIDE_API int tide_watermarks_set_barrier(tide_watermarks *marks, tide_barrier_fn *fn, void *ctx);

/* One line about the last failure, as tide_detail; an argument that is refused (TIDE_EINVAL) is none. */
TIDE_API void tide_watermarks_detail(tide_watermarks *marks, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
