/* calls.h - calls of the system that fail on request, for the whole program.
 *
 * Functions in the place of libc's serve our code, LMDB, SQLite and msgpack alike: memory, files,
 * maps, locks. A scenario is run again and again, and each time another call of it fails, once or
 * from then on. Flushes that do not fail are not made: what survives a crash is no matter here.
 * What is held when a scenario has ended (memory, maps, descriptors) must be what was held before.
 */
#ifndef TIDEMARK_TESTS_FAILING_CALLS_H
#define TIDEMARK_TESTS_FAILING_CALLS_H

#include <stdbool.h>

/* Makes a call that may fail; its answer. */
#define CALLS_TRY(expression) (calls_begin(), calls_end(expression))

void calls_begin(void);
int calls_end(int answer);

/* What fails fails no longer. */
void calls_mend(void);

/* Whether this is what has failed: memory, write, flush, map, open, resize, read, lock or name
 * (NULL: any of them), with this errno (0: any). */
bool calls_failed(const char *kind, int error);

/* Begins and ends with everything closed, in an empty folder. Tells failures by child_assert. */
typedef void calls_scenario(void);

/* Runs the scenario with every call failing in turn, in every way there is for its kind; in
 * children, so that a signal is a failure that has a place. `most` calls of a kind, evenly spread,
 * fail (test_most). TIDEMARK_TEST_KIND names the one kind that is tried. Fails the test. */
void calls_fail_each(const char *name, calls_scenario *scenario, unsigned most);

/* The same, but where memory is tried a run has many failures, each in another step (what CALLS_TRY
 * makes) and no two in steps that follow one another. The scenario takes the same steps in each
 * run, whatever they answer. */
void calls_fail_each_step(const char *name, calls_scenario *scenario, unsigned most);

#endif
