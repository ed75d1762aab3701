/* workload.h - the marks that all engines are given, the same in each run and on each machine.
 *
 * One device, twelve resources for each peer, as in a library with many peers; times rise from a
 * fixed one.
 */
#ifndef TIDEMARK_BENCH_WORKLOAD_H
#define TIDEMARK_BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <uuid/uuid.h>

#include <tidemark/time.h>

#define RESOURCES 12
#define FIRST_TIME INT64_C(1767225600000000000) /* 2026-01-01 */

typedef struct mark_id {
    uuid_t device;
    uuid_t peer;
    const char *resource; /* one of RESOURCES */
} mark_id;

typedef struct workload {
    size_t size;
    mark_id *ids;
    uint32_t *shuffled; /* 0 to size - 1 in random order */
} workload;

/* False: no memory. */
int workload_make(workload *w, size_t size);
void workload_free(workload *w);

/* splitmix64 */
uint64_t random_next(uint64_t *state);

/* An order-independent hash of one mark, to be added up: engines that hold the same marks have the
 * same sum. */
uint64_t mark_hash(const unsigned char *peer, const char *resource, tide_time watermark);

#endif
