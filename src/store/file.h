/* file.h - the data file before LMDB maps it: born whole, looked at with pread, moved aside.
 *
 * LMDB writes the first 8 KiB of a new file without a flush, trusts every byte of an old one, and
 * faults when a file is shorter than its own metadata says. So a new store is made under another
 * name, committed, flushed, and only then renamed; and an old one is checked before it is mapped.
 */
#ifndef TIDEMARK_STORE_FILE_H
#define TIDEMARK_STORE_FILE_H

#include <stdint.h>

#include <tidemark/time.h>

#include "base/detail.h"

#define TIDE__FORMAT_VERSION "1"
#define TIDE__DB_MARKS "marks"
#define TIDE__DB_META "meta"
#define TIDE__META_FORMAT "format"
#define TIDE__META_STORE "store"
#define TIDE__META_CREATED "created"
#define TIDE__META_REWOUND "rewound"
#define TIDE__META_REMOVED "removed"

/* Makes the store `path`, where there is no file of that name, with the folder locked. */
int tide__file_create(const char *path, tide_time now, int folder, tide__detail *detail);

/* Looks at the head of an existing file. TIDE_OK: LMDB may open it, and needs *used_bytes of map;
 * TIDE_ENOENT; TIDE_EFORMAT; TIDE_ECORRUPT; TIDE_EFILESYSTEM; TIDE_EACCES; TIDE_EIO. */
int tide__file_inspect(const char *path, uint64_t *used_bytes, tide__detail *detail);

/* Gives LMDB's lock file its full size on disk, so that a full disk is an error here and no SIGBUS
 * later. Where nobody has the store open, writes its metadata over itself and flushes it: a flush
 * that failed before may have left it unwritten and clean. With the folder locked, and no
 * environment of this process on the file. */
int tide__file_prepare(const char *path, uint32_t max_readers, tide__detail *detail);

/* Renames file and lock file to PATH.unusable-TIME. *moved_to (to be freed) is the new name. */
int tide__file_move_aside(const char *path, tide_time now, char **moved_to, tide__detail *detail);

/* Takes the lock on the folder of `path` that every open, creation and moving aside takes, and
 * makes the folder's entries durable: an earlier life may have failed between rename and flush. *fd
 * to be closed. */
int tide__folder_lock(const char *path, int *fd, tide__detail *detail);

#endif
