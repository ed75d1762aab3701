/* measure.h - clocks, spreads and latency histograms.
 *
 * A histogram counts nanoseconds in buckets of about 1.6 % width (64 to a power of two), so that
 * percentiles are right to that and memory is fixed. A spread is what several runs of one thing
 * gave: median, least, most.
 */
#ifndef TIDEMARK_BENCH_MEASURE_H
#define TIDEMARK_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#define RUNS_MAX 31

/* The monotonic clock. */
int64_t now_ns(void);

/* Processor time of this process. */
int64_t cpu_ns(void);

typedef struct spread {
    double values[RUNS_MAX];
    size_t count;
} spread;

void spread_add(spread *s, double value);
double spread_median(const spread *s);
double spread_least(const spread *s);
double spread_most(const spread *s);

#define HISTOGRAM_BUCKETS (59 * 64)

typedef struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t most;
} histogram;

void histogram_add(histogram *h, uint64_t ns);
void histogram_merge(histogram *into, const histogram *from);

/* The value below which `fraction` (0 to 1) of all lie: the middle of its bucket; 0 of an empty one. */
double histogram_at(const histogram *h, double fraction);

#endif
