/* check.h - what must hold in every state that a cut or a kill leaves. Each is a check_fn (cut.h).
 */
#ifndef TIDEMARK_CRASH_CHECK_H
#define TIDEMARK_CRASH_CHECK_H

#include "cut.h"

/* A store marks.mdb and files of rows: it opens and verifies, no mark is below what was
 * acknowledged as "mark.RESOURCE VALUE" or above the rows in RESOURCE.rows, and it can be written,
 * closed and opened again. */
check_fn check_marks;

/* Libraries A and B: what was acknowledged as made ("A.made 1") opens as it is, anything else can
 * be made; pages verify; the entries k00001 to kN of "A.k N" are there; no mark is ahead of its
 * rows, in either direction; and a sync ends with the same rows on both sides, and without anything
 * for the user to hear. */
check_fn check_libraries;

#endif
