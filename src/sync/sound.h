/* sound.h - whether the engine's own tables hold what the engine has put there.
 *
 * SQLite keeps any value in any column. A text where a stamp should be compares above all stamps,
 * and reads as 0: what goes by it would never come to an end.
 */
#ifndef TIDEMARK_SYNC_SOUND_H
#define TIDEMARK_SYNC_SOUND_H

#include "sync/engine.h"

/* Looks at the small tables, those with a row for a device or a resource. TIDE_OK; TIDE_ECORRUPT. */
int tide__sound(tide_sync *sync);

#endif
