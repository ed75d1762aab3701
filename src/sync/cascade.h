/* cascade.h - rows that go with the row they refer to: tide_model.parents.
 *
 * For each parent of a model `c` there is a trigger tidemark_c_cascade_N on the parent's table,
 * which deletes the children of a deleted row like any other statement would, so capture gives each
 * its own tombstone. SQLite runs no trigger inside itself unless recursive_triggers is on; where a
 * model is its own parent, the statement therefore finds all that is below the row by itself. Rows
 * of other devices in device-owned models are left.
 *
 * The triggers stand still while a peer's rows are applied. What that leaves behind is swept at the
 * end of a round: children of tombstones that came since the last sweep, and children that came
 * since then whose parent has a tombstone. tidemark_swept says how far each sweep got in both
 * feeds, so one costs what is new. A child of another device's is passed over for good: its owner
 * sweeps it.
 */
#ifndef TIDEMARK_SYNC_CASCADE_H
#define TIDEMARK_SYNC_CASCADE_H

#include "sync/engine.h"

/* Indexes and triggers of a model, also taken away where it has no such parent any more. Inside the
 * transaction that installs the model. TIDE_EMODEL: a parent is not registered. */
int tide__cascade_install(tide_sync *sync, const tide__model *model);

/* The end of a round: sweeps, in a transaction of its own, if anything is new. */
int tide__cascade_settle(tide_sync *sync);

#endif
