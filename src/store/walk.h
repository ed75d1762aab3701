/* walk.h - one commit of a file walked, from a metadata page on; walk.c says what then holds. */
#ifndef TIDEMARK_STORE_WALK_H
#define TIDEMARK_STORE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key.h"
#include "store/page.h"
#include "store/sum.h"
#include "store/walker.h"

typedef enum tide__tree_kind { FREE_LIST, MAIN, META, MARKS } tide__tree_kind;
#define TIDE__TREES 4

/* A tree; to `root` as it lies in the metadata, or as data in the main tree. */
typedef struct tide__tree {
    uint32_t padding;
    uint16_t flags;
    uint16_t depth;
    uint64_t branches; /* this to entries: as recorded, less what was met */
    uint64_t leaves;
    uint64_t overflows;
    uint64_t entries;
    uint64_t root;
    tide__tree_kind kind;
    bool found;
    bool faulty; /* and the walk has gone on: what was met says nothing about the counts */
} tide__tree;
_Static_assert(offsetof(tide__tree, kind) == TREE_BYTES, "a tree as LMDB stores it");

typedef struct tide__walk {
    int fd;
    const char *path;
    tide__detail *detail;
    tide__findings *findings; /* receives every fault; NULL: the walk ends at the first one */
    tide__record_fn *fn;      /* receives the marks; NULL: nobody wants them */
    void *ctx;
    tide__commit *commit; /* receives what the file says of itself; may be NULL */
    uint64_t last_page;
    uint64_t transaction;
    unsigned char *claims;              /* a bit for each page */
    unsigned char *whole;               /* all pages up to the last one, of a small file */
    unsigned char (*pages)[PAGE_BYTES]; /* else one for each level, and one for overflow pages */
    tide__tree trees[TIDE__TREES];
    tide__sum sum;                         /* as recorded, less what was met */
    bool summed;                           /* it is recorded */
    unsigned identity;                     /* records of "meta": a bit for each name */
    tide__bytes floor;                     /* the next key is not below this one; at NULL: any */
    tide__bytes last;                      /* the next key is above this one */
    unsigned char last_key[TIDE__KEY_MAX]; /* where `last` lies between two leaves */
} tide__walk;

/* Walks the commit of a metadata page; with `fn`, the trees that lead to the marks. TIDE_OK;
 * TIDE_ECORRUPT; TIDE_EFORMAT; TIDE_EIO; TIDE_ENOMEM; what fn answers. */
int tide__walk_commit(tide__walk *walk, const unsigned char *meta);

/* The free list alone: walk->claims, to be freed, then has its pages. NULL on any failure. */
int tide__walk_free_list(tide__walk *walk, const unsigned char *meta);

/* Keeps the fault that the detail names; passes the code on. */
int tide__walk_note(const tide__walk *walk, int code);

/* Tells of a fault in a page: TIDE_ECORRUPT. */
int tide__walk_fault(const tide__walk *walk, uint64_t page, const char *what);

/* Reads `size` bytes from the beginning of a page on. */
int tide__walk_read(const tide__walk *walk, uint64_t page, unsigned char *buffer, size_t size);

#endif
