/* alloc.c - the one seam through which all memory comes; see alloc.h. */
#define TIDE__ALLOC_IMPLEMENTATION
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void *tide__malloc(size_t bytes)
{
    return malloc(bytes);
}

void *tide__calloc(size_t count, size_t bytes)
{
    return calloc(count, bytes);
}

void *tide__realloc(void *memory, size_t bytes)
{
    return realloc(memory, bytes);
}

void tide__free(void *memory)
{
    free(memory);
}

char *tide__strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = tide__malloc(bytes);
    if (copy != NULL) {
        memcpy(copy, text, bytes);
    }
    return copy;
}
