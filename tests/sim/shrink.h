/* shrink.h - less of a plan that fails all the same. */
#ifndef TIDEMARK_TESTS_SIM_SHRINK_H
#define TIDEMARK_TESTS_SIM_SHRINK_H

#include "steps.h"

/* Takes kinds of faults, devices and steps away from the plan as long as it fails in the same way
 * as *out says, at most `runs` times; *out is then of what is left. */
void shrink(plan *p, outcome *out, int runs);

#endif
