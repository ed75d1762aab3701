/* tidemark/backup.h - keeping a store safe: check it, copy it, put it back, rescue what is left.
 *
 *     tide_verify("sync.mdb", print, NULL);                  what is wrong with the file?
 *     tide_backup(store, "sync.backup", 0);                  a copy, while others go on writing
 *     tide_restore("sync.backup", "sync.mdb", print, NULL);  the copy in the store's place
 *     tide_repair("sync.mdb", "sync.new", print, NULL, &r);  a store made of what can still be read
 *
 * All of them make new files whole or not at all: under the name NAME.new-UUID beside the target,
 * flushed, checked page by page and mark by mark, and only then renamed; then the folder is
 * flushed. A crash leaves the file of that name, which may be deleted. New files have mode 0600,
 * the id and the time of birth of the store that they come from, and next to no free pages.
 *
 * Threads: each call from any thread. They block for as long as they read and write. Durability:
 * what TIDE_OK speaks of is on disk.
 *
 * An older set of marks is a safe one, as long as the rows are not older still: marks that are
 * lower make a device read rows again. Where rows and marks are kept together, copy the marks
 * first (tide_library_backup does).
 */
#ifndef TIDEMARK_BACKUP_H
#define TIDEMARK_BACKUP_H

#include <stddef.h>
#include <stdint.h>

#include <tidemark/error.h>
#include <tidemark/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Checks the file `path`, also one that tide_open refuses: both metadata pages; of the last commit
 * every page, the order and number of keys, the free list and every record's check; and whether the
 * commit before it, which tide_repair falls back on, is sound as well. Reads only, and takes no
 * lock: LMDB's memory map is not used.
 *
 * `finding`, which may be NULL, hears one line for each fault, once the walk is done and the faults
 * are known to stand: `code` is TIDE_ECORRUPT, TIDE_EFORMAT or TIDE_EIO. From 10,000 on only their
 * number is told. When the call itself fails, it hears why. Memory: a bit for each page, and the
 * findings.
 *
 * TIDE_OK: nothing was found; TIDE_ECORRUPT: something was; TIDE_EFORMAT: it is not a store, or of
 * another format version; TIDE_EBUSY: it looked faulty, but other processes have changed it
 * meanwhile, eight times (a backup of it can be verified in peace); TIDE_ENOENT; TIDE_EACCES;
 * TIDE_EIO; TIDE_ENOMEM; TIDE_EINVAL: a NULL or empty path. */
TIDE_API int tide_verify(const char *path, tide_notice_fn *finding, void *ctx);

enum { TIDE_REPLACE = 1u }; /* flag: an existing file may be replaced */

/* Writes the marks of `store` to the new file `path`, which is a store of its own then: one
 * snapshot, with all that waited in this process, which is flushed first; where there is no space
 * for that in `store` (TIDE_ENOSPC, TIDE_EFULL) the snapshot is of what is committed. Other threads
 * and processes go on reading and writing meanwhile, but for one thing: a map that has to grow
 * (tide_options.map_size_bytes) waits. The file of `store` grows by what is written meanwhile,
 * because a snapshot keeps its pages.
 *
 * `flags`: 0 or TIDE_REPLACE. TIDE_OK; TIDE_CONFLICT: `path` is there, and stays as it is;
 * TIDE_EBUSY: it is a store that is open, here or elsewhere, or the call came from inside a
 * barrier; TIDE_ECORRUPT: a damaged mark or page, or the copy is not what was written;
 * TIDE_ENOENT: no such folder; TIDE_ENOSPC; and what every call may answer (store.h). The reason
 * is in tide_detail(store). */
TIDE_API int tide_backup(tide_store *store, const char *path, uint32_t flags);

/* Puts a copy of the store `from`, a backup, in the place of the store `path`, which may be
 * missing. `from` is checked as by tide_verify before anything else, and stays. What was at `path`
 * is kept as PATH.replaced-TIME; both change names in one step, or, where the file system cannot do
 * that, the old one goes first.
 *
 * `notice`, which may be NULL, hears one line for each fault of `from`, why the call failed, or,
 * with TIDE_OK, where the old file went.
 *
 * TIDE_OK; TIDE_EBUSY: `path` or `from` is open, here or elsewhere, or another program held the
 * folder for five seconds; TIDE_ECORRUPT, TIDE_EFORMAT: of `from`, and nothing has changed;
 * TIDE_ENOENT; TIDE_EACCES; TIDE_EFILESYSTEM: see tide_open; TIDE_ENOSPC; TIDE_EIO; TIDE_ENOMEM;
 * TIDE_EINVAL: a NULL or empty path. */
TIDE_API int tide_restore(const char *from, const char *path, tide_notice_fn *notice, void *ctx);

enum {
    TIDE_FROM_LAST = 1,     /* all marks of the last commit */
    TIDE_FROM_PREVIOUS = 2, /* all marks of the commit before it */
    TIDE_FROM_PAGES = 3     /* those marks whose own check holds, page by page */
};

#define TIDE_MARKS_UNKNOWN UINT64_MAX

typedef struct tide_repaired {
    uint32_t size;     /* sizeof(tide_repaired), set by the caller */
    uint32_t from;     /* TIDE_FROM_LAST, TIDE_FROM_PREVIOUS or TIDE_FROM_PAGES */
    uint64_t marks;    /* in the new store */
    uint64_t recorded; /* in the last commit by its own account; TIDE_MARKS_UNKNOWN: unreadable */
    uint64_t lost;     /* of those not in the new store; with TIDE_FROM_PREVIOUS 0, because that
                          commit is whole; TIDE_MARKS_UNKNOWN: cannot be told */
    uint64_t older;    /* marks in the new store that may be older than they were. With
                          TIDE_FROM_PREVIOUS all: of those that the last commit changed it is not
                          known which. */
} tide_repaired;

/* Makes the new store `to` from what can be read of the damaged store `path`, which is only read:
 * from its last commit, where the marks in it are whole; else from the commit before; else from
 * every page that has whole marks and is not free. A mark of which several versions are found gets
 * the lowest: it makes a device read rows again, a higher one could make it skip some. For the same
 * reason pages that are known to be free are passed over: a mark that was removed stays removed.
 * Only where the free list itself is damaged may one come back, and the notices say so. To put the
 * new store in the old one's place, tide_restore(to, path).
 *
 * `notice`, which may be NULL, hears one line for each fault of `path`; for each mark by name whose
 * record is damaged, or that may be older; and what was made of it all. *repaired is filled where
 * TIDE_OK is answered.
 *
 * TIDE_OK: also when nothing was wrong; TIDE_CONFLICT: `to` is there; TIDE_EBUSY: `path` is open,
 * here or elsewhere, or its folder held for five seconds; TIDE_EFORMAT: `path` is no store, or
 * nothing in it looks like one; TIDE_ENOENT; TIDE_EACCES; TIDE_ENOSPC; TIDE_EIO; TIDE_ENOMEM (the
 * last way keeps all marks in memory); TIDE_EINVAL. */
TIDE_API int tide_repair(const char *path, const char *to, tide_notice_fn *notice, void *ctx,
                         tide_repaired *repaired);

#ifdef __cplusplus
}
#endif
#endif
