/* builtin.h - the tables that every library has, and their models. */
#ifndef TIDEMARK_SYNC_BUILTIN_H
#define TIDEMARK_SYNC_BUILTIN_H

#include "sync/engine.h"

/* Makes the tables in a new database. */
int tide__builtin_create(tide_sync *sync);

/* Gives an older database, or one of another program, the tables and columns that it lacks, and
 * takes the two global marks of an older protocol away: *dropped says whether there was one. The
 * first inside a transaction, the second in one of its own. */
int tide__builtin_change(tide_sync *sync, bool *dropped);
int tide__builtin_bring_up_to_date(tide_sync *sync, bool *dropped);

/* tide_sync_register for each. */
int tide__builtin_register(tide_sync *sync);

#endif
