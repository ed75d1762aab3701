/* file.h - the data file before LMDB maps it: born whole, looked at with pread, moved aside.
 *
 * LMDB writes the first 8 KiB of a new file without a flush, trusts every byte of an old one, and
 * faults when a file is shorter than its own metadata says. So a new store is made under another
 * name, committed, flushed, and only then renamed; and an old one is checked before it is mapped.
 */
#ifndef TIDEMARK_STORE_FILE_H
#define TIDEMARK_STORE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <uuid/uuid.h>

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

/* What a store says of itself. */
typedef struct tide__identity {
    uuid_t store_id;
    tide_time created_at;
} tide__identity;

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

/* Writes the first pages of a file over themselves, and flushes it. */
int tide__file_rewrite(const char *path, off_t pages, tide__detail *detail);

/* Whether another process has the store open, with the folder locked. Not for a file that this
 * process has open: closing LMDB's lock file would give up its locks. */
int tide__file_in_use(const char *path, bool *used, tide__detail *detail);

/* Renames without replacing; where the file system cannot, the folder's lock has to do. Returns 0
 * or an errno. */
int tide__file_rename_new(const char *from, const char *to);

/* Names beside a file, to be freed; NULL: no memory. PATH, two texts behind it; PATH.new-UUID, for
 * what is not whole yet; PATH, `why` and the time, and a number from the second attempt on. */
char *tide__file_name(const char *path, const char *middle, const char *tail);
char *tide__file_new_name(const char *path);
#define TIDE__ASIDE_MOST 1000
char *tide__file_aside_name(const char *path, const char *why, tide_time now, int attempt);

/* Renames file and lock file to PATH.unusable-TIME. *moved_to (to be freed) is the new name. */
int tide__file_move_aside(const char *path, tide_time now, char **moved_to, tide__detail *detail);

/* Takes the lock on the folder of `path` that every open, creation and moving aside takes, and
 * makes the folder's entries durable: an earlier life may have failed between rename and flush. *fd
 * to be closed. */
int tide__folder_lock(const char *path, int *fd, tide__detail *detail);

/* TIDE_OK, or TIDE_EFILESYSTEM: a store cannot work there. */
int tide__folder_suits(int fd, const char *path, tide__detail *detail);

/* Makes the entries of a folder durable; `path` is for the detail. */
int tide__folder_flush(int fd, const char *path, tide__detail *detail);

#endif
