/* backup.h - copies of a store: made under a new name, checked, and only then put in a place.
 *
 *     tide__place place;
 *     rc = tide__place_begin(&place, path, TIDE__PLACE_NEW, detail);
 *     ... make the file place.temporary ...
 *     rc = tide__place_end(&place, rc, detail);
 */
#ifndef TIDEMARK_STORE_BACKUP_H
#define TIDEMARK_STORE_BACKUP_H

#include <limits.h>

#include <tidemark/backup.h>

#include "store/core.h"
#include "store/walker.h"

typedef enum tide__placing {
    TIDE__PLACE_NEW,     /* nothing may be there */
    TIDE__PLACE_REPLACE, /* what is there goes */
    TIDE__PLACE_KEEP     /* what is there gets another name */
} tide__placing;

typedef struct tide__place {
    char path[PATH_MAX]; /* the one absolute name */
    char *temporary;
    tide__placing how;
    char *kept; /* KEEP: the other name; NULL: nothing was there */
} tide__place;

/* TIDE_CONFLICT: there is something where nothing may be. */
int tide__place_begin(tide__place *place, const char *path, tide__placing how, tide__detail *detail);

/* Where `answer` is TIDE_OK, checks the new file and gives it its name, unless somebody has a store
 * of that name open. Otherwise removes it. Frees all but `kept`, which is the caller's. */
int tide__place_end(tide__place *place, int answer, tide__detail *detail);

/* Makes the store `temporary` of all marks of one commit of the file behind `fd`. Answers as
 * tide__file_read. *unwritten: the new store could not be written, whatever the commit is like. */
int tide__copy_commit(int fd, const char *path, unsigned back, const char *temporary,
                      tide__commit *commit, bool *unwritten, tide__detail *detail);

/* Opens a store for reading alone, one that nobody has open. */
int tide__open_at_rest(const char *path, int *fd, tide__detail *detail);

/* Tells every fault of an open file; *told is set where there is one. Answers as tide_verify. */
int tide__examine(int fd, const char *path, tide_notice_fn *fn, void *ctx, bool *told,
                  tide__detail *detail);

/* tide_backup. */
int tide__core_backup(tide__core *core, const char *path, uint32_t flags, tide__detail *detail);

#endif
