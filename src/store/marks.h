/* marks.h - marks as this process sees them: from the table while it shows the file's newest
 * commit, else from the file. A deferred advance is judged on that view, and waits in the table.
 */
#ifndef TIDEMARK_STORE_MARKS_H
#define TIDEMARK_STORE_MARKS_H

#include "store/core.h"

/* TIDE__NO_MARK when absent. */
int tide__core_view(tide__core *core, const tide__id *id, tide_mark *out, tide__detail *detail);

enum { TIDE__NO_ROOM = 1000 }; /* beyond all codes: no answer of a call */

/* Judges all steps, then raises all or none. TIDE__NO_ROOM: so many find no place in the table, and
 * a commit is due. */
int tide__core_defer(tide__core *core, tide__advance *steps, size_t count, tide__detail *detail);

#endif
