/* cut.h - power cuts: which states are tried at which moment of a recording, and what is found.
 *
 * Between two flushes what is in doubt only grows, so the states just before a flush are those of
 * all moments before it, and what was acknowledged until then is asked of each. A moment is known
 * by the number of the record that the cut comes before, a state by that and its variant; both
 * follow from the recording and nothing else. Variants are: nothing of what is in doubt; all of it;
 * each operation alone; all but one; all up to one; then, by random numbers, operations left out,
 * and sectors torn. States that are the same to the last byte are made once. Of those that are the
 * same once SQLite has recovered its databases all but one in sixteen are taken for checked.
 *
 * States are made and checked in a child, which may crash or hang: that is then what was found.
 */
#ifndef TIDEMARK_CRASH_CUT_H
#define TIDEMARK_CRASH_CUT_H

#include <stdbool.h>
#include <stdint.h>

#include "tape.h"

#define MARKS_MAX 64

/* What was acknowledged: the largest value of each name. */
typedef struct marks {
    struct {
        char name[48];
        int64_t value;
    } of[MARKS_MAX];
    size_t count;
} marks;

int64_t marks_value(const marks *m, const char *name, int64_t otherwise);
void marks_add(marks *m, const char *lines, size_t length);

/* Checks what is in `folder`; false: `why` says what is wrong. It may write there. */
typedef bool check_fn(const char *folder, const marks *acknowledged, char *why, size_t size);

#define WHY_BYTES 512

typedef struct cut_options {
    const char *folder; /* of the states */
    check_fn *check;
    uint64_t per_moment;   /* variants tried */
    uint64_t states_max;   /* of the recording; 0: no limit */
    uint64_t first_record; /* no cut before this one */
    uint64_t seed;
    bool keep_going;  /* after a state that failed */
    int64_t moment;   /* -1: all */
    uint64_t variant; /* with a moment */
} cut_options;

typedef struct cut_result {
    uint64_t moments;
    uint64_t tried;
    uint64_t states;  /* distinct ones */
    uint64_t checked; /* of them, one by one */
    uint64_t failed;
    uint64_t moment; /* of the first that failed */
    uint64_t variant;
    char why[WHY_BYTES];
} cut_result;

/* False: the recording cannot be replayed; result->why says why. */
bool cut_explore(const tape *t, const cut_options *options, cut_result *result);

/* A moment at or behind record number `first`, by chance; -1: there is none. */
int64_t cut_any_moment(const tape *t, uint64_t first, uint64_t random);

/* Puts one state into the folder; false: there is no such state. */
bool cut_make(const tape *t, const cut_options *options, marks *acknowledged);

#endif
