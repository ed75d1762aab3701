/* random.h - numbers that a seed fixes, the same on every machine. */
#ifndef TIDEMARK_TESTS_SIM_RANDOM_H
#define TIDEMARK_TESTS_SIM_RANDOM_H

#include <stdint.h>

typedef struct sim_random {
    uint64_t state;
} sim_random;

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static inline uint64_t sim_next(sim_random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 to limit - 1. */
static inline uint64_t sim_below(sim_random *random, uint64_t limit)
{
    return sim_next(random) % limit;
}

#endif
