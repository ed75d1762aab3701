/* trigger.h - the triggers of capture (capture.h): five on a model's table, two on its records.
 *
 * The conflict clause of the statement that fires a trigger (INSERT OR IGNORE) replaces those in
 * it, but not an upsert: what may find something in its place is one, and nothing else here can
 * meet a conflict. The newest stamp is read before anything is taken away.
 *
 * Every row that is written pays for each statement and each look-up: so a statement finds, judges
 * and writes at once, and what is rare has a trigger of its own. That is on the table: a trigger on
 * the records must not name the table, or nobody could drop it and build it anew.
 */
#ifndef TIDEMARK_SYNC_TRIGGER_H
#define TIDEMARK_SYNC_TRIGGER_H

#include "sync/engine.h"

/* Both make what is missing or another, inside the transaction that installs the model. The one on
 * the table: `next` is tide__capture_next without a schema. */
int tide__trigger_records(tide_sync *sync, const tide__model *model);
int tide__trigger_table(tide_sync *sync, const tide__model *model, const char *next);

/* Creates the trigger tidemark_RESOURCE_NAME unless the very same one is there. `sql` was made by
 * sqlite3_mprintf and is freed; it names no schema, and NULL is TIDE_ENOMEM. */
int tide__trigger_replace(tide_sync *sync, const tide__model *model, const char *name, char *sql);

/* How the update trigger of a model begins: it says which columns travel. To be freed with
 * sqlite3_free; NULL: no memory. */
char *tide__trigger_update_head(const tide__model *model);

#endif
