/* watermarks.h - what a backend of tidemark/watermarks.h provides.
 *
 * A backend's handle begins with a struct tide_watermarks. The public calls check their arguments,
 * refuse the device as its own peer, and call through; a backend sees valid names only. `owner` and
 * `about` are the first two parts of a mark's name: (device, peer) for a watermark, (peer, device)
 * for an ack.
 */
#ifndef TIDEMARK_ADAPTER_WATERMARKS_H
#define TIDEMARK_ADAPTER_WATERMARKS_H

#include <tidemark/watermarks.h>

#include "base/detail.h"

typedef struct tide__backend {
    void (*close)(tide_watermarks *marks);
    int (*get)(tide_watermarks *marks, const uuid_t owner, const uuid_t about, const char *resource,
               tide_mark *out);
    /* As tide_advance_many for one step; owner and about are the step's. */
    int (*advance)(tide_watermarks *marks, const tide_step *step, uint32_t durability);
    int (*reset)(tide_watermarks *marks, const uuid_t about, const char *resource);
    int (*each)(tide_watermarks *marks, const uuid_t about, tide_watermark_fn *fn, void *ctx);
    int (*max)(tide_watermarks *marks, tide_time *out);
    /* All marks of `owner` about `about`; NULL for one of them: of or about anybody else. */
    int (*remove)(tide_watermarks *marks, const unsigned char *owner, const unsigned char *about,
                  size_t *removed);
    int (*flush)(tide_watermarks *marks);
    int (*set_barrier)(tide_watermarks *marks, tide_barrier_fn *fn, void *ctx);
    void (*detail)(tide_watermarks *marks, char *text, size_t size);
} tide__backend;

struct tide_watermarks {
    const tide__backend *backend;
    uuid_t device;
};

#endif
