/* wal_index.c - the index of SQLite's log; see wal_index.h.
 *
 * The connection's file gets methods that differ from SQLite's in one. SQLite may use them until
 * the last statement of a closed connection is gone, so they are never freed: one table, made of
 * that of SQLite's own files, which is never freed either. Files of another VFS keep theirs.
 */
#include "sync/wal_index.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/populate.h"

#define METHODS_VERSION 3 /* what the table has room for */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const sqlite3_io_methods *theirs;
static sqlite3_io_methods ours;

static int map(sqlite3_file *file, int region, int bytes, int extend, void volatile **memory)
{
    int rc = theirs->xShmMap(file, region, bytes, extend, memory);
    if (rc == SQLITE_OK && *memory != NULL &&
        !tide__populate((void *)(uintptr_t)*memory, (size_t)bytes)) {
        *memory = NULL;
        rc = SQLITE_FULL;
    }
    return rc;
}

static bool is_sqlites(sqlite3 *db)
{
    const sqlite3_vfs *vfs = NULL;
    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_VFS_POINTER, (void *)&vfs);
    return vfs != NULL && (strcmp(vfs->zName, "unix") == 0 || strcmp(vfs->zName, "unix-excl") == 0);
}

void tide__wal_index_guard(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, (void *)&file);
    if (file == NULL || file->pMethods == NULL || file->pMethods->iVersion < METHODS_VERSION ||
        !is_sqlites(db)) {
        return;
    }
    pthread_mutex_lock(&lock);
    if (theirs == NULL) {
        theirs = file->pMethods;
        ours = *theirs;
        ours.iVersion = METHODS_VERSION;
        ours.xShmMap = map;
    }
    bool alike = file->pMethods == theirs;
    pthread_mutex_unlock(&lock);
    if (alike) {
        file->pMethods = &ours;
    }
}
