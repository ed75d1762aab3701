/* scan.h - walking the marks in key order, with skips instead of indexes.
 *
 * A filter on device, peer and resource is a walk over one key order: where a part of the key does
 * not fit, the walk seeks straight to the next key that may. Marks are copied out in chunks;
 * between chunks no snapshot is held, and the walk goes on behind the last key it looked at.
 */
#ifndef TIDEMARK_STORE_SCAN_H
#define TIDEMARK_STORE_SCAN_H

#include "base/detail.h"
#include "store/environment.h"

typedef struct tide__filter {
    const unsigned char *device; /* each may be NULL: any */
    const unsigned char *peer;
    const char *resource; /* valid */
} tide__filter;

/* TIDE_OK; what fn returns; an error. */
int tide__scan(tide__environment *environment, const tide__filter *filter, tide_each_fn *fn,
               void *ctx, tide__detail *detail);

#endif
