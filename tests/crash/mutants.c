/* mutants.c - a library to preload: mistakes that the replayer must find.
 *
 * TIDEMARK_CRASH_MUTANT names one: `nosync` opens LMDB with MDB_NOSYNC, `barrier` takes the
 * barriers away.
 */
#include <dlfcn.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

#include <tidemark/watermarks.h>

#define EXPORT __attribute__((visibility("default")))

typedef int open_fn(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode);
typedef int barrier_fn(tide_watermarks *marks, tide_barrier_fn *fn, void *ctx);

static int is(const char *mutant)
{
    const char *name = getenv("TIDEMARK_CRASH_MUTANT");
    return name != NULL && strcmp(name, mutant) == 0;
}

/* ISO C has no conversion from dlsym's answer to a function. */
static void find_next(const char *name, void *function)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        abort();
    }
    memcpy(function, &found, sizeof found);
}

EXPORT int mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode)
{
    open_fn *next = NULL;
    find_next("mdb_env_open", &next);
    return next(env, path, is("nosync") ? flags | MDB_NOSYNC : flags, mode);
}

EXPORT int tide_watermarks_set_barrier(tide_watermarks *marks, tide_barrier_fn *fn, void *ctx)
{
    barrier_fn *next = NULL;
    find_next("tide_watermarks_set_barrier", &next);
    return is("barrier") ? TIDE_OK : next(marks, fn, ctx);
}
