/* builder.h - a store file made from nothing, mark by mark in the order of their keys.
 *
 * Nobody may know the file before tide__builder_end has answered TIDE_OK: LMDB works on it without
 * a lock file, writes its first pages without a flush, and a crash leaves a half. So it is made
 * under a name of its own, flushed, and only then renamed by the caller.
 */
#ifndef TIDEMARK_STORE_BUILDER_H
#define TIDEMARK_STORE_BUILDER_H

#include <stddef.h>

#include "base/detail.h"
#include "store/file.h"

typedef struct tide__builder tide__builder;

/* Makes the file `path`, which must not exist, mode 0600. *out is NULL on failure; what there is of
 * the file is then the caller's to remove. */
int tide__builder_begin(const char *path, const tide__identity *identity, tide__builder **out,
                        tide__detail *detail);

/* Adds one mark; its key is above all before. Both must decode. */
int tide__builder_put(tide__builder *builder, const void *key, size_t key_length,
                      const void *record, size_t length, tide__detail *detail);

/* Where `answer` is TIDE_OK, commits and flushes all; frees the builder in any case, NULL is
 * allowed. TIDE_OK: the file is whole and on disk; else it is the caller's to remove. */
int tide__builder_end(tide__builder *builder, int answer, tide__detail *detail);

#endif
