/* pair.h - two libraries, A and B, in the folders of that name, for the program under test and for
 * the checker. Failures are told in words.
 */
#ifndef TIDEMARK_CRASH_PAIR_H
#define TIDEMARK_CRASH_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include <tidemark/tidemark.h>

#define PAIR_WHY 512

typedef struct side {
    tide_library *library;
    char path[512];
    uint64_t told; /* notices, parked rows, rows that differ: none is due after a cut */
    char text[256];
} side;

/* False: `why` says why. */
bool side_open(side *s, const char *folder, const char *name, uint32_t flags, char why[PAIR_WHY]);
void side_close(side *s);

bool side_run(side *s, const char *sql, char why[PAIR_WHY]);
/* The first value of the first row; false also where there is none. */
bool side_ask(side *s, int64_t *value, char why[PAIR_WHY], const char *format, ...);

/* Until each has what the other has. */
bool pair_sync(side *a, side *b, uint32_t page_rows, char why[PAIR_WHY]);

#endif
