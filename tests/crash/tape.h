/* tape.h - making a recording (recording.h): what was there, the programs that run, what they
 * acknowledge; and the proof that nothing went past the recorder.
 */
#ifndef TIDEMARK_CRASH_TAPE_H
#define TIDEMARK_CRASH_TAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "recording.h"

typedef struct tape {
    recording *map;
    const char *path; /* of the file */
    const char *recorder;
} tape;

/* Begins a recording of `folder`, which has a path from the root, in the file `path`. */
bool tape_begin(tape *t, const char *path, const char *recorder, const char *folder);
/* Opens one that was kept. */
bool tape_load(tape *t, const char *path);
void tape_end(tape *t); /* the file stays */

/* Runs a program with the recorder in it, and with the library `mutant` before that unless it is
 * NULL. Its output goes to the file `output`. Returns its exit status; 128 and more: a signal. */
int tape_run(tape *t, char *const argv[], const char *mutant, const char *output);
/* The same without recording. */
int run_program(char *const argv[], const char *output);

/* "NAME VALUE": what is durable from now on. */
void tape_mark(tape *t, const char *text);

/* The record behind `r`, the first for NULL; NULL at the end. */
const record *tape_next(const tape *t, const record *r);
uint64_t tape_count(const tape *t);

/* Whether the files of the folder are, byte by byte, what the records say. */
bool tape_check(const tape *t, char *why, size_t size);

#endif
