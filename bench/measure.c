/* measure.c - clocks, spreads and latency histograms; see measure.h. */
#include "measure.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SUB_BITS 6 /* buckets to a power of two, as a power of two */

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t cpu_ns(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (int64_t)spent.tv_sec * 1000000000 + spent.tv_nsec;
}

void spread_add(spread *s, double value)
{
    if (s->count < RUNS_MAX) {
        s->values[s->count++] = value;
    }
}

static int by_value(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

static double nth(const spread *s, size_t n)
{
    double sorted[RUNS_MAX];
    memcpy(sorted, s->values, sizeof sorted);
    qsort(sorted, s->count, sizeof *sorted, by_value);
    return s->count == 0 ? 0 : sorted[n];
}

double spread_median(const spread *s)
{
    return s->count % 2 == 1 || s->count == 0
               ? nth(s, s->count / 2)
               : (nth(s, s->count / 2 - 1) + nth(s, s->count / 2)) / 2;
}

double spread_least(const spread *s)
{
    return nth(s, 0);
}

double spread_most(const spread *s)
{
    return nth(s, s->count == 0 ? 0 : s->count - 1);
}

/* Below 64 each value has a bucket of its own; above, the six bits behind the leading one choose. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < 1u << SUB_BITS) {
        return (size_t)ns;
    }
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - SUB_BITS;
    return ((size_t)(shift + 1) << SUB_BITS) + (size_t)((ns >> shift) & ((1u << SUB_BITS) - 1));
}

static double middle_of(size_t bucket)
{
    if (bucket < 1u << SUB_BITS) {
        return (double)bucket;
    }
    unsigned shift = (unsigned)(bucket >> SUB_BITS) - 1;
    uint64_t low = ((uint64_t)1 << SUB_BITS | (bucket & ((1u << SUB_BITS) - 1))) << shift;
    return (double)low + (double)((uint64_t)1 << shift) / 2;
}

void histogram_add(histogram *h, uint64_t ns)
{
    h->counts[bucket_of(ns)]++;
    h->count++;
    h->most = ns > h->most ? ns : h->most;
}

void histogram_merge(histogram *into, const histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->counts[i] += from->counts[i];
    }
    into->count += from->count;
    into->most = from->most > into->most ? from->most : into->most;
}

double histogram_at(const histogram *h, double fraction)
{
    uint64_t wanted = (uint64_t)(fraction * (double)h->count);
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen > wanted) {
            return middle_of(i);
        }
    }
    return (double)h->most;
}
