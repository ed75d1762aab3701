/* walker.h - every byte that LMDB trusts, checked with pread before LMDB may see the file. */
#ifndef TIDEMARK_STORE_WALKER_H
#define TIDEMARK_STORE_WALKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tidemark/backup.h>

#include "base/detail.h"
#include "store/file.h"
#include "store/findings.h"

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

/* The same, but names every fault instead of the first: of both metadata pages, and of the last
 * commit; and the first one of the commit before it, which nobody overwrites before the next but
 * one. TIDE_OK: *findings, empty before, says what was found; TIDE_EBUSY; TIDE_ENOMEM. */
int tide__file_examine(int fd, const char *path, tide__findings *findings, tide__detail *detail);

/* A commit, and what it says of itself. */
typedef struct tide__commit {
    uint64_t number; /* LMDB's; 0: there is none */
    uint64_t marks;  /* as many are recorded; TIDE_MARKS_UNKNOWN: that cannot be read */
    tide__identity identity;
    bool alone; /* the other metadata page is damaged: this may not be the commit it is taken for */
} tide__commit;

/* Receives one mark, key and record as they lie in the file and proven to decode. */
typedef int tide__record_fn(void *ctx, const void *key, size_t key_length, const void *record,
                            size_t length);

/* Hands out the marks of the newest commit (`back` 0) or of the one before (1), in the order of
 * their keys, while it walks the trees that they need; what it does when it fails is void.
 * commit->identity is complete before the first mark. Answers as tide__file_verify, TIDE_ABSENT:
 * the metadata page is damaged, or shows no commit yet; and what fn answers. The file must be at
 * rest. */
int tide__file_read(int fd, const char *path, unsigned back, tide__commit *commit,
                    tide__record_fn *fn, void *ctx, tide__detail *detail);

/* Which pages hold nothing that counts in the newest commit: a bit each, to be freed, up to
 * *last_page. TIDE_OK; anything else: that cannot be told. The file must be at rest. */
int tide__file_free_pages(int fd, const char *path, unsigned char **bits, uint64_t *last_page,
                          tide__detail *detail);

#endif
