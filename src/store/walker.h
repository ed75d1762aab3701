/* walker.h - every byte that LMDB trusts, checked with pread before LMDB may see the file. */
#ifndef TIDEMARK_STORE_WALKER_H
#define TIDEMARK_STORE_WALKER_H

#include "base/detail.h"

/* Walks the last commit of the file behind `fd`; `path` is for *detail, one line that names page
 * and fault. Writes nothing and takes no lock. Memory: one bit for each page, and the whole of a
 * file up to 4 MiB or 132 KiB for a larger one. Time: linear; about 0.2 us for each mark, and for a
 * larger file one pread for each page in use.
 *
 * Other processes may commit meanwhile. LMDB reuses a page of one commit only in the third commit
 * after it, so a walk normally ends before; a walk that finds a fault while the metadata has
 * changed begins anew.
 *
 * TIDE_OK: LMDB can be trusted with the file. TIDE_ECORRUPT. TIDE_EFORMAT: a sound LMDB file, but
 * not a store of this version. TIDE_EBUSY: each walk was overtaken by commits; a caller that holds
 * LMDB's write transaction never gets this one. TIDE_EIO; TIDE_ENOMEM. */
int tide__file_verify(int fd, const char *path, tide__detail *detail);

#endif
