/* files.h - the two files of a library, and how files are made whole: under a name that nobody else
 * has, flushed, renamed, and the folder flushed. */
#ifndef TIDEMARK_SYNC_FILES_H
#define TIDEMARK_SYNC_FILES_H

#include <limits.h>

#include "base/detail.h"

#define TIDE__DATABASE "database.db"
#define TIDE__STORE "sync.mdb"
#define TIDE__NEW_TAIL ".new-" /* and a UUID: behind the name of what is being made */

#define TIDE__FILES_NAME (PATH_MAX + 128)

/* Before a path that SQLite would take for a URI; else nothing. */
const char *tide__files_before(const char *path);

/* The name under which `path`, shorter than PATH_MAX, is made. */
void tide__files_new_name(const char *path, char out[TIDE__FILES_NAME]);

/* Opens with `flags` of open(2), and flushes. */
int tide__files_flush(const char *path, int flags, tide__detail *detail);

/* Removes a database, with all that SQLite may have put beside it. */
void tide__files_remove_rows(const char *path);

#endif
