/* registry.h - the files this process has open: the library's only process-wide state.
 *
 * LMDB's locks are fcntl locks, which a process holds per file: a second environment on the same
 * file would think itself alone and reset the lock table under the first. So a file, known by
 * device and inode, has one core, shared and counted. After a fork the child inherits none: its
 * generation is another one, and every handle remembers the generation it was made in.
 */
#ifndef TIDEMARK_STORE_REGISTRY_H
#define TIDEMARK_STORE_REGISTRY_H

#include "base/detail.h"
#include "store/committer.h"

/* The core of the file `path`, opened or created as `options` say, or shared. `moved` is empty, or
 * says that a file was moved aside, why and where to. */
int tide__registry_acquire(const char *path, const tide_options *options, tide__core **out,
                           tide__detail *moved, tide__detail *detail);

/* Gives it back; the last one closes the environment. */
void tide__registry_release(tide__core *core);

/* Changes in the child of every fork. */
unsigned tide__registry_generation(void);

#endif
