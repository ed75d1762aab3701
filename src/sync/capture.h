/* capture.h - every change gets a stamp, in its own transaction, by plain SQL.
 *
 * For a model `m` on table T there are
 *
 *     tidemark_m_rows (row, key, stamp, version, device, source)   by row number: each live row
 *     tidemark_m_gone (key, stamp, version, device, source)        by key: each deleted one
 *
 * and five triggers on T. `stamp` is the row's place in our feed; (version, device) says where and
 * when it was last changed, version NULL meaning the stamp itself; `source` is the feed it came
 * from, 0 for us.
 *
 * The next stamp is max(newest stamp + 1, floor + 1, now). SQLite has one writer, so the order of
 * commits is the order of stamps, and no change can appear at or below a stamp that was served.
 * Whatever takes a record away first gives a newer one or raises the floor, so that the newest
 * stamp never falls.
 *
 * While the engine applies a peer's rows, tidemark_state.applying is 1 inside its transaction and
 * the triggers stand still; the engine writes the records itself.
 *
 * A device-owned row whose record has a device other than 0 is not ours: the triggers refuse what
 * would change or delete it, and nothing here takes such a record for one of ours.
 */
#ifndef TIDEMARK_SYNC_CAPTURE_H
#define TIDEMARK_SYNC_CAPTURE_H

#include "sync/engine.h"

#define TIDE__CAPTURE_FORMAT 3

/* Reads device, library and epoch of the database, or gives it what it lacks. */
int tide__capture_identity(tide_sync *sync, const unsigned char *device,
                           const unsigned char *library);

/* Makes tables and triggers of a checked model where they are missing or another, and gives every
 * row that has no record one. Inside a transaction. */
int tide__capture_install(tide_sync *sync, const tide__model *model);

/* Each resource that was ever registered; anything but TIDE_OK ends it. */
typedef int tide__resource_fn(tide_sync *sync, const char *resource, void *ctx);
int tide__capture_each(tide_sync *sync, tide__resource_fn *fn, void *ctx);

/* The SQL expression for the next stamp of a model, its tables behind `schema` ("main." or
 * nothing); to be freed with sqlite3_free. NULL: no memory. */
char *tide__capture_next(const tide__model *model, const char *schema);

/* Inside a write transaction: finds what changed without a trigger that saw it, rows that REPLACE
 * took away among them, and gives it stamps and tombstones. */
int tide__capture_reconcile(tide_sync *sync, const tide__model *model);

#endif
