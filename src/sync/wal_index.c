/* wal_index.c - the index of SQLite's log; see wal_index.h.
 *
 * The connection's file gets methods that differ from SQLite's in one. SQLite may use them until
 * the last statement of a closed connection is gone, so they are never freed: one table, made of
 * those of the first file. A file with others, of another VFS, keeps its own.
 */
#include "sync/wal_index.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const sqlite3_io_methods *theirs;
static sqlite3_io_methods ours;

static int map(sqlite3_file *file, int region, int bytes, int extend, void volatile **memory)
{
    int rc = theirs->xShmMap(file, region, bytes, extend, memory);
    if (rc == SQLITE_OK && *memory != NULL &&
        madvise((void *)(uintptr_t)*memory, (size_t)bytes, MADV_POPULATE_WRITE) != 0 &&
        errno == EFAULT) {
        *memory = NULL;
        rc = SQLITE_FULL;
    }
    return rc;
}

void tide__wal_index_guard(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, (void *)&file);
    if (file == NULL || file->pMethods == NULL || file->pMethods->iVersion < 2) {
        return;
    }
    pthread_mutex_lock(&lock);
    if (theirs == NULL && file->pMethods->xShmMap != NULL) {
        theirs = file->pMethods;
        ours = *theirs;
        ours.xShmMap = map;
    }
    bool alike = file->pMethods == theirs;
    pthread_mutex_unlock(&lock);
    if (alike) {
        file->pMethods = &ours;
    }
}
