/* clock.c - what time it is; see clock.h. */
#include "base/clock.h"

#include <time.h>

tide_time tide__clock_now(tide_clock_fn *clock, void *ctx)
{
    if (clock != NULL) {
        tide_time now = clock(ctx);
        return now == TIDE_TIME_NONE ? 0 : now;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (tide_time)now.tv_sec * 1000000000 + now.tv_nsec;
}
