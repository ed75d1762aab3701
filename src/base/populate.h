/* populate.h - memory of a file that is about to be written to: each page gets its block on disk
 * now, where a full disk is an answer, and not at the first write, where it is SIGBUS. */
#ifndef TIDEMARK_BASE_POPULATE_H
#define TIDEMARK_BASE_POPULATE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* False: there is no room. Changes no byte. True as well where the system cannot be asked (before
 * Linux 5.14), or where there is nothing to ask for: memory that may not be written, or that does
 * not begin with a page. */
static inline bool tide__populate(void *memory, size_t bytes)
{
    return madvise(memory, bytes, MADV_POPULATE_WRITE) == 0 || errno != EFAULT;
}

#endif
