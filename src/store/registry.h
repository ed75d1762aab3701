/* registry.h - the files this process has open: the library's only process-wide state.
 *
 * LMDB's locks are fcntl locks, which a process holds per file: a second environment on the same
 * file would think itself alone and reset the lock table under the first. So a file, known by
 * device and inode, has one core, shared and counted. After a fork the child inherits none: its
 * generation is another one, and every handle remembers the generation it was made in.
 */
#ifndef TIDEMARK_STORE_REGISTRY_H
#define TIDEMARK_STORE_REGISTRY_H

#include <limits.h>

#include "base/detail.h"
#include "store/committer.h"

/* The core of the file `path`, opened or created as `options` say, or shared. `moved` is empty, or
 * says that a file was moved aside, why and where to. */
int tide__registry_acquire(const char *path, const tide_options *options, tide__core **out,
                           tide__detail *moved, tide__detail *detail);

/* Gives it back; the last one closes the environment. */
void tide__registry_release(tide__core *core);

/* The one absolute name of a file, whether it exists or not: the lock file's name comes from it. */
int tide__registry_name(const char *path, char out[PATH_MAX], tide__detail *detail);

/* Whether nobody has the file open, here or elsewhere, at this moment. TIDE_OK; TIDE_EBUSY. */
int tide__registry_at_rest(const char *path, tide__detail *detail);

/* Runs fn with the folder of the file `path` locked, whose one absolute name it gets, while nobody
 * has the file open, here or elsewhere, nor can open it. TIDE_EBUSY: somebody has; what fn answers. */
typedef int tide__alone_fn(const char *path, int folder, void *ctx, tide__detail *detail);
int tide__registry_alone(const char *path, tide__alone_fn *fn, void *ctx, tide__detail *detail);

/* Changes in the child of every fork. */
unsigned tide__registry_generation(void);

#endif
