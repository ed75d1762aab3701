/* scenario.h - which programs lose power, and the place they do it in.
 *
 * A place is a folder in memory with a folder `live` that programs work in, one `state` for what a
 * cut leaves of it, and files to index. Everything in it follows from the scenario and the seed,
 * but for the numbers that libraries and stores draw for themselves; a recording keeps those.
 */
#ifndef TIDEMARK_CRASH_SCENARIO_H
#define TIDEMARK_CRASH_SCENARIO_H

#include "cut.h"
#include "tape.h"

#define STEPS_MAX 12
#define PLACE_PATH 256

/* A command line in which words that begin with @ stand for something (scenario.c), or `+LETTER N`,
 * which adds N files to be indexed, or `-LETTER`, which takes away what `+x` added. When it has
 * ended with status 0, `mark` is durable. */
typedef struct step {
    const char *command;
    const char *mark;
    int also; /* a status that is as good as 0 */
} step;

typedef struct scenario {
    const char *name;
    const char *what;
    step prepare[STEPS_MAX]; /* not recorded */
    step steps[STEPS_MAX];
    step again[STEPS_MAX]; /* what a restart does; must succeed */
    check_fn *check;
} scenario;

typedef struct place {
    char root[PLACE_PATH];
    char live[PLACE_PATH + 16];
    char state[PLACE_PATH + 16];
    char second[PLACE_PATH + 16]; /* of a cut while a state is recovered */
    char tape[PLACE_PATH + 16];
    char second_tape[PLACE_PATH + 16];
    char output[PLACE_PATH + 16]; /* of the program that ran last */
    char recorder[PLACE_PATH + 48];
    char mutants[PLACE_PATH + 48];
    const char *bin; /* where tidemark and tidemark-crash-work are */
    int files[128];  /* to be indexed, by letter */
    marks prepared;
} place;

const scenario *scenario_find(const char *name);
const scenario *scenario_number(size_t i); /* NULL behind the last */

bool place_make(place *p, const char *dir, const char *bin);
void place_remove(place *p);

typedef struct run_options {
    uint64_t seed;
    fault_kind fault;
    call_class fault_class;
    uint64_t fault_at;
    const char *fault_name;
    const char *mutant;  /* of mutants.c */
    const char *mistake; /* of work.c */
} run_options;

typedef struct run_result {
    int status;       /* of the first program that did not end with 0 */
    uint64_t records; /* before a restart */
    uint64_t calls[CALL_CLASSES];
    bool broken;         /* the folder could not be made ready: nothing was run */
    char why[WHY_BYTES]; /* what went wrong with the run itself */
} run_result;

/* Empties `live` and prepares it. */
bool place_prepare(place *p, const scenario *s, uint64_t seed);

/* Prepares `live`, records the scenario's steps in it, and, after a fault, a restart. False: why. A
 * program that fails is no reason, unless the restart does. The recording stays open. */
bool scenario_record(place *p, const scenario *s, const run_options *options, tape *t,
                     run_result *result);

/* Records a restart in `state`, which holds what a first cut left. */
bool scenario_record_again(place *p, const scenario *s, uint64_t seed, const marks *acknowledged,
                           tape *t, run_result *result);

#endif
