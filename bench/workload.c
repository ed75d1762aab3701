/* workload.c - the marks that all engines are given; see workload.h. */
#include "workload.h"

#include <stdlib.h>
#include <string.h>

static const char *const resources[RESOURCES] = {"audit_log", "collection", "content",   "device",
                                                 "entry",     "location",   "sidecar",   "space",
                                                 "tag",       "tag_rel",    "user_meta", "volume"};

uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void make_uuid(uuid_t out, uint64_t n)
{
    uint64_t words[2];
    uint64_t state = n * 2 + 1;
    words[0] = random_next(&state);
    words[1] = random_next(&state);
    memcpy(out, words, sizeof words);
    out[6] = (unsigned char)(0x40 | (out[6] & 0x0f)); /* version 4 */
    out[8] = (unsigned char)(0x80 | (out[8] & 0x3f));
}

int workload_make(workload *w, size_t size)
{
    uint64_t state = 42;
    w->size = size;
    w->ids = malloc(size * sizeof *w->ids);
    w->shuffled = malloc(size * sizeof *w->shuffled);
    if (w->ids == NULL || w->shuffled == NULL) {
        workload_free(w);
        return 0;
    }
    for (size_t i = 0; i < size; i++) {
        make_uuid(w->ids[i].device, 0);
        make_uuid(w->ids[i].peer, 1 + i / RESOURCES);
        w->ids[i].resource = resources[i % RESOURCES];
        w->shuffled[i] = (uint32_t)i;
    }
    for (size_t i = size; i > 1; i--) {
        size_t j = (size_t)(random_next(&state) % i);
        uint32_t other = w->shuffled[j];
        w->shuffled[j] = w->shuffled[i - 1];
        w->shuffled[i - 1] = other;
    }
    return 1;
}

void workload_free(workload *w)
{
    free(w->ids);
    free(w->shuffled);
    w->ids = NULL;
    w->shuffled = NULL;
}

uint64_t mark_hash(const unsigned char *peer, const char *resource, tide_time watermark)
{
    uint64_t word = 0;
    uint64_t hash = (uint64_t)watermark;
    memcpy(&word, peer, sizeof word);
    hash = random_next(&hash) ^ word;
    for (const char *p = resource; *p != '\0'; p++) {
        hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
    }
    return random_next(&hash);
}
