/* layout.h - where LMDB 0.9 keeps what on its two metadata pages, on 64-bit machines. */
#ifndef TIDEMARK_STORE_LAYOUT_H
#define TIDEMARK_STORE_LAYOUT_H

#include <stddef.h>

#define PAGE_BYTES 4096
#define TREE_BYTES 48

enum {
    META_AT_MAGIC = 16,
    META_AT_VERSION = 20,
    META_AT_FREE_LIST = 40, /* its first word is the size of a page */
    META_AT_MAIN = META_AT_FREE_LIST + TREE_BYTES,
    META_AT_LAST_PAGE = META_AT_MAIN + TREE_BYTES,
    META_AT_TRANSACTION = META_AT_LAST_PAGE + 8,
    META_BYTES = META_AT_TRANSACTION + 8
};
#define META_MAGIC 0xBEEFC0DEu
#define META_VERSION 1u

_Static_assert(sizeof(size_t) == 8, "LMDB's files of 32-bit machines are others");

#endif
