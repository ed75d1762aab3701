/* writes.h - what applications do to their rows, as SQL. */
#ifndef TIDEMARK_TESTS_SIM_WRITES_H
#define TIDEMARK_TESTS_SIM_WRITES_H

#include <stddef.h>

#include "random.h"

/* One statement on rows that device `owner` may write, its own and shared ones, of the first
 * `resource_count` resources. */
void writes_one(int resource_count, int owner, sim_random *random, char *out, size_t size);

/* A transaction of some, which may be taken back. */
void writes_several(int resource_count, int owner, sim_random *random, char *out, size_t size);

#endif
