/* clock.h - what time it is: from the caller's clock where one is given, else from the system's. */
#ifndef TIDEMARK_BASE_CLOCK_H
#define TIDEMARK_BASE_CLOCK_H

#include <tidemark/store.h>

/* Never TIDE_TIME_NONE: what is written down must have a time. `clock` NULL: the system's real-time
 * clock. */
tide_time tide__clock_now(tide_clock_fn *clock, void *ctx);

#endif
