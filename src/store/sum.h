/* sum.h - what binds the pages of a commit together: the record "sum" of the main tree.
 *
 * LMDB's pages bear neither a check nor the commit they are of, so that one that was right once
 * passes for right as long as it stands in its place: a write that was lost is not seen. Each
 * commit that changes marks therefore writes its own number, and the sum of the checks of all
 * records, modulo 2^64. A main tree of an earlier commit has an earlier number, and a leaf of an
 * earlier commit makes another sum. The page is one that LMDB writes in any case.
 */
#ifndef TIDEMARK_STORE_SUM_H
#define TIDEMARK_STORE_SUM_H

#include "store/environment.h"

#define TIDE__SUM_NAME "sum"
#define TIDE__SUM_LENGTH 33 /* "NUMBER|CHECKS", 16 lower-case hex digits each */

typedef struct tide__sum {
    uint64_t number;
    uint64_t checks;
} tide__sum;

void tide__sum_encode(const tide__sum *sum, char out[TIDE__SUM_LENGTH]);

/* False: not what tide__sum_encode makes. */
bool tide__sum_decode(const void *bytes, size_t length, tide__sum *out);

/* Whether the main tree that holds the record is of this commit. A file that was copied by mdb_copy
 * -c counts its commits anew: then the number is a later one. */
bool tide__sum_is_of(const tide__sum *sum, uint64_t commit);

/* Ends a transaction that has changed marks, whose checks have grown by `growth` together. Where
 * `recount`, or without a record (marks that mdb_load has made), all are added up instead, and what
 * else may be of an earlier commit then counts as it is.
 * TIDE_ECORRUPT: the sum is not that of the commit before. */
int tide__sum_write(const tide__environment *environment, MDB_txn *txn, uint64_t growth,
                    bool recount, tide__detail *detail);

#endif
