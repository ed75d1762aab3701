/* memory_lmdb.c - keeps the two large blocks of an LMDB environment, its lists of freed and of
 * dirty pages, for the next one. AddressSanitizer maps blocks of that size anew each time, with
 * their shadow, and unmaps them: that took longer than everything else an input does. Only these
 * two sizes are kept, which nothing but LMDB asks for; all other memory stays with
 * AddressSanitizer. Built without it: this runs before it is ready. */
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define LIST_NUMBERS 131072
#define FREED_BYTES ((LIST_NUMBERS + 1) * sizeof(size_t)) /* malloc by mdb_midl_alloc */
#define DIRTY_BYTES (LIST_NUMBERS * 2 * sizeof(size_t))   /* calloc by mdb_env_open */

void *__interceptor_malloc(size_t size);
void *__interceptor_calloc(size_t count, size_t size);
void *__interceptor_realloc(void *bytes, size_t size);
void __interceptor_free(void *bytes);

#pragma GCC visibility push(default)
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *bytes, size_t size);
void free(void *bytes);
#pragma GCC visibility pop

typedef struct block {
    void *bytes;
    atomic_flag taken;
} block;

static block freed = {NULL, ATOMIC_FLAG_INIT};
static block dirty = {NULL, ATOMIC_FLAG_INIT};

/* NULL: somebody has it. */
static void *take(block *kept, size_t size)
{
    if (atomic_flag_test_and_set(&kept->taken)) {
        return NULL;
    }
    if (kept->bytes == NULL) {
        kept->bytes = __interceptor_malloc(size);
    }
    return kept->bytes;
}

void *malloc(size_t size)
{
    void *bytes = size == FREED_BYTES ? take(&freed, size) : NULL;
    return bytes != NULL ? bytes : __interceptor_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    void *bytes = count * size == DIRTY_BYTES ? take(&dirty, DIRTY_BYTES) : NULL;
    return bytes != NULL ? memset(bytes, 0, DIRTY_BYTES) : __interceptor_calloc(count, size);
}

static block *kept_of(const void *bytes)
{
    return bytes == NULL          ? NULL
           : bytes == freed.bytes ? &freed
           : bytes == dirty.bytes ? &dirty
                                  : NULL;
}

void free(void *bytes)
{
    block *kept = kept_of(bytes);
    if (kept != NULL) {
        atomic_flag_clear(&kept->taken);
    } else {
        __interceptor_free(bytes);
    }
}

/* One that grows is not kept any more. */
void *realloc(void *bytes, size_t size)
{
    block *kept = kept_of(bytes);
    if (kept != NULL) {
        kept->bytes = NULL;
        atomic_flag_clear(&kept->taken);
    }
    return __interceptor_realloc(bytes, size);
}
