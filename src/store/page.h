/* page.h - a page of LMDB 0.9 as bytes: its head, its nodes, and what can be wrong with them.
 *
 * Nothing here trusts the page further than tide__page_fault has looked: node_at and child_at are
 * for pages without a fault. Numbers in the file have the machine's byte order.
 */
#ifndef TIDEMARK_STORE_PAGE_H
#define TIDEMARK_STORE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/layout.h"

/* A page: number u64, padding u16, flags u16, then lower u16 and upper u16, or the count u32 of
 * overflow pages, then an offset u16 for each node. */
enum {
    PAGE_AT_FLAGS = 10,
    PAGE_AT_LOWER = 12,
    PAGE_AT_UPPER = 14,
    PAGE_AT_COUNT = 12,
    PAGE_HEAD = 16
};
enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4, META_PAGE = 8 };

/* A node: size of the data u32, flags u16, size of the key u16, key, data. On a branch the first
 * three u16 are the child. Big data is the number of its first overflow page. Sizes are rounded up
 * to 2. */
enum { NODE_AT_FLAGS = 4, NODE_AT_KEY_SIZE = 6, NODE_HEAD = 8 };
enum { BIG_DATA = 1, SUB_DATABASE = 2 };

typedef struct tide__bytes {
    const unsigned char *at;
    size_t length;
} tide__bytes;

typedef struct tide__node {
    tide__bytes key;
    tide__bytes data;
    uint16_t flags;
} tide__node;

static inline uint16_t tide__get16(const unsigned char *at)
{
    uint16_t value = 0;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t tide__get32(const unsigned char *at)
{
    uint32_t value = 0;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t tide__get64(const unsigned char *at)
{
    uint64_t value = 0;
    memcpy(&value, at, sizeof value);
    return value;
}

tide__node tide__node_at(const unsigned char *page, size_t index);
uint64_t tide__child_at(const unsigned char *page, size_t index);

/* NULL, or what is wrong with how the nodes lie on a page; *count is how many there are. */
const char *tide__page_fault(const unsigned char *page, bool leaf, size_t *count);

/* The same for one node, by its offset. NULL: it lies within the page; *size is what it takes. */
const char *tide__node_fault(const unsigned char *page, size_t at, bool leaf, size_t *size);

/* Reads `size` bytes from the beginning of a page on. *got is less at the end of the file. Returns
 * 0 or an errno. */
int tide__page_read(int fd, uint64_t page, unsigned char *buffer, size_t size, size_t *got);

#endif
