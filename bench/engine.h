/* engine.h - what a store must do to take part: hold watermarks, each raised only to a newer time.
 *
 * An engine is opened on an empty or existing folder, in a durability class:
 *
 *     D2  a change that returned survives a power cut
 *     D1  the store is sound after a power cut, the newest changes may be gone
 *     D0  only the end of the process is survived
 *
 * In D1 Tidemark's newest changes are gone after a kill as well, back to the last flush, because
 * they wait in the process; those of the others are in the system's hands by then. So its flush is
 * part of what is timed.
 *
 * Each thread works through a handle of its own. All answer 0 for done and STALE for a time that is
 * not newer; anything else ends the benchmark with a message.
 */
#ifndef TIDEMARK_BENCH_ENGINE_H
#define TIDEMARK_BENCH_ENGINE_H

#include <stdbool.h>

#include "workload.h"

typedef enum durability { D0, D1, D2, CLASSES } durability;

enum { STALE = 1, ABSENT = 3 };

typedef struct engine engine;   /* the store, as an implementation has it */
typedef struct session session; /* one thread's way into it */

/* Called for each mark of a scan. */
typedef void seen_fn(void *ctx, const unsigned char *peer, const char *resource,
                     tide_time watermark);

typedef struct engine_type {
    const char *name;
    const char *how[CLASSES]; /* what a class means here; NULL: it has none such */
    engine *(*open)(const char *folder, durability class);
    void (*close)(engine *e);
    session *(*begin)(engine *e);
    void (*end)(session *s);
    int (*advance)(session *s, const mark_id *id, tide_time upto);
    int (*get)(session *s, const mark_id *id, tide_time *out);
    /* Raises `count` marks in one transaction. */
    int (*load)(session *s, const mark_id *const *ids, size_t count, tide_time upto);
    /* Makes durable what is deferred. */
    void (*flush)(session *s);
    /* All marks of a resource, or with NULL all there are. */
    void (*scan)(session *s, const char *resource, seen_fn *fn, void *ctx);
    /* Rewrites the store as small as it can be; NULL: it has no such call. */
    void (*compact)(session *s);
} engine_type;

/* Those that take part; ends with NULL. */
extern const engine_type *engines[];

/* Whether its changes wait in the process until a flush, which is then part of their price. */
bool engine_defers(const engine_type *type, durability class);

/* NULL: there is none of that name, taking part or not. */
const engine_type *engine_named(const char *name);

/* Lets only the named ones take part, in the order given; `count` 0: all. False: one is not there. */
bool engines_choose(const char *const *names, size_t count);

/* Prints the reason and ends the program. */
_Noreturn void engine_failed(const char *name, const char *what, const char *why);

/* Bytes on disk of all files of a folder. */
uint64_t folder_bytes(const char *folder);

/* Removes a folder of files, and the folder. */
void folder_remove(const char *folder);

#endif
