/* alloc.h - the one seam through which all memory comes, and the functions that do not compile here.
 *
 * Include it last. A test fails the Nth allocation by linking with --wrap on these four.
 */
#ifndef TIDEMARK_BASE_ALLOC_H
#define TIDEMARK_BASE_ALLOC_H

#include <stddef.h>

void *tide__malloc(size_t bytes);
void *tide__calloc(size_t count, size_t bytes);
void *tide__realloc(void *memory, size_t bytes);
void tide__free(void *memory); /* NULL is allowed */
char *tide__strdup(const char *text);

#if defined(__GNUC__) && !defined(TIDE__ALLOC_IMPLEMENTATION)
#pragma GCC poison malloc calloc realloc strdup strndup
#pragma GCC poison sprintf vsprintf strcpy strcat strncpy strtok gmtime localtime asctime ctime    \
    rand srand gets
#endif

#endif
