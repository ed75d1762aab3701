/* meta.h - what the file says of itself: the sub-database "meta". */
#ifndef TIDEMARK_STORE_META_H
#define TIDEMARK_STORE_META_H

#include "store/environment.h"

/* Opens the two sub-databases of a new environment, and reads format and identity. TIDE_OK;
 * TIDE_EFORMAT; TIDE_ECORRUPT; errors. */
int tide__meta_open(tide__environment *environment, tide__detail *detail);

/* The number of a commit as a record of "meta" has it: decimal, and nothing else. */
bool tide__number_decode(const void *bytes, size_t length, uint64_t *out);

/* The last commits that took marks back: the records "rewound" and "removed" of "meta", in decimal.
 * A file that was copied by mdb_copy -c counts its commits anew, and what it says of later ones is
 * void. Writing changes those that are the commit of `txn` itself. */
int tide__taken_read(tide__environment *environment, MDB_txn *txn, tide__taken *out,
                     tide__detail *detail);
int tide__taken_write(tide__environment *environment, MDB_txn *txn, const tide__taken *taken,
                      tide__detail *detail);

#endif
