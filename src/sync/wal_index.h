/* wal_index.h - the index of SQLite's log (NAME-shm), a file that all connections map.
 *
 * SQLite gives it one byte in each 4 KiB on disk, and maps it. Where a file system has smaller
 * blocks (ext4 of less than 512 MiB has 1 KiB) the others are holes, and on a full disk whoever
 * writes to one dies of SIGBUS. So our connections ask for all of a map before it is written to.
 */
#ifndef TIDEMARK_SYNC_WAL_INDEX_H
#define TIDEMARK_SYNC_WAL_INDEX_H

#include <sqlite3.h>

/* To be called when the connection is opened. A full disk is SQLITE_FULL then. As before it is on
 * kernels before 5.14, with another VFS, and where a page needs another block each time it is
 * written (file systems that copy on write). */
void tide__wal_index_guard(sqlite3 *db);

#endif
