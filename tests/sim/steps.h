/* steps.h - what can happen, drawn from a seed, and doing it.
 *
 * A step carries all its chances in one number of its own, so that a schedule from which steps were
 * taken away still does the same in the others.
 */
#ifndef TIDEMARK_TESTS_SIM_STEPS_H
#define TIDEMARK_TESTS_SIM_STEPS_H

#include "world.h"

#define STEPS_MAX 400
#define STEP_TEXT 1600

typedef struct step {
    int kind;
    int a;
    int b; /* the other device of a pair, or a */
    uint64_t arg;
} step;

/* Kinds of faults that a run can do without. */
enum {
    FAULT_LOSS = 1u,
    FAULT_DUPLICATE = 2u,
    FAULT_REORDER = 4u,
    FAULT_LATE = 8u, /* words of sessions that are over */
    FAULT_TORN = 16u,
    FAULT_ALL = 31u
};

typedef struct plan {
    uint64_t seed;
    const char *scenario;
    bool far_clocks;
    bool clones;
    unsigned faults;
    int device_count;
    int resource_count;
    int count;
    step steps[STEPS_MAX];
} plan;

typedef struct outcome {
    char failure[FAILURE_BYTES]; /* empty: all was well */
    uint64_t hash;               /* of everything that was said and done */
    uint64_t messages;
    uint64_t crashes;
} outcome;

/* The name of scenario number `index`, and what it is for; NULL behind the last. */
const char *scenario_name(int index, const char **what);

/* Draws a plan. `scenario` -1: the seed chooses one; `device_count` 0: likewise. */
void plan_draw(plan *p, uint64_t seed, int scenario, int device_count);

void plan_run(const plan *p, bool verbose, outcome *out);

/* A step in words. */
void step_say(const plan *p, const step *s, char *out, size_t size);

#endif
