/* tidemark/library.h - a library: a folder with database.db (SQLite, rows) and sync.mdb (marks).
 *
 * Opening one brings engine, store and watermarks together and registers the built-in models, in
 * this order:
 *
 *     resource        table           columns besides the key uuid            depends on
 *     device          devices         name                                    -
 *     location        locations       device_uuid, name, path                 device
 *     entry           entries         location_uuid, parent_uuid, name,       location
 *                                     kind, size, mtime
 *     volume          volumes         device_uuid, name, mount_point,         device
 *                                     file_system, total_bytes
 *     tag             tags            name, color                             -
 *     entry_tag       entry_tags      entry_uuid, tag_uuid                    entry, tag
 *     entry_metadata  entry_metadata  entry_uuid, favorite, note              entry
 *
 * The first four are device-owned: what a device has and what lies on it, and each device makes its
 * own row of `devices` and none for others. entries.kind is 'file', 'folder', 'link' or 'other',
 * entries.mtime a canonical time (tidemark/time.h); `tidemark index` fills them. The other three
 * are shared: what people say about entries, on whichever device. Give a row of entry_metadata the
 * uuid of its entry, and one of entry_tags both uuids with a '/' between, so that two devices that
 * say the same make the same row, and not two.
 *
 * Whoever deletes a location deletes its entries, whoever deletes an entry what is in it
 * (parent_uuid), its entry_tags and its entry_metadata, whoever deletes a tag its entry_tags
 * (tide_parent in tidemark/model.h).
 *
 * A database that another program made can become a library, by TIDE_CREATE_LIBRARY or, if it has a
 * table `devices`, by being opened. Of these tables those that are missing are made, also in a
 * library that an older version made. Those that are there keep their rows; each must be an
 * ordinary table with an INTEGER PRIMARY KEY and a column `uuid` that is NOT NULL and UNIQUE on its
 * own (TIDE_EMODEL). They are changed in these ways and no other: columns that are missing are
 * added; devices.last_state_watermark and devices.last_shared_watermark, the two global marks of an
 * older protocol, are dropped with their indexes and the notice "Sync protocol updated, performing
 * initial sync..."; and capture adds its triggers, and indexes on the columns that refer to parents
 * (tidemark/model.h). The database is in WAL mode from then on.
 */
#ifndef TIDEMARK_LIBRARY_H
#define TIDEMARK_LIBRARY_H

#include <stddef.h>
#include <stdint.h>
#include <uuid/uuid.h>

#include <tidemark/error.h>
#include <tidemark/store.h>
#include <tidemark/sync.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tide_library tide_library;

enum {
    TIDE_CREATE_LIBRARY = 1u, /* flag: make folder, database and store where they are missing */
    TIDE_NEW_LIBRARY = 2u     /* flag, with the other one: it must not be a library yet */
};

typedef struct tide_library_options {
    uint32_t size;                 /* sizeof; set by tide_library_options_init */
    uint32_t flags;                /* 0, TIDE_CREATE_LIBRARY, or both */
    const char *device_name;       /* of a new library; NULL: the host's name */
    const tide_sync_options *sync; /* device, library, clock, events; NULL: defaults. Its detail
                                      receives one line when tide_library_open fails. */
    const tide_options *store;     /* NULL: defaults */
} tide_library_options;

TIDE_API void tide_library_options_init(tide_library_options *options);

/* Opens the library in the folder `path`, whose own path from the root may have 492 bytes, and 451
 * to make one (SQLite takes 512 for a file and what it puts beside it). Reading needs the right to
 * write, too: readers of LMDB and SQLite announce themselves in files.
 *
 * The reason of a failure goes to options->sync->detail, wherever it arose. TIDE_OK; TIDE_CONFLICT:
 * TIDE_NEW_LIBRARY, and it is a library already (of several that try at once, one gets TIDE_OK);
 * TIDE_ENOENT: no such folder; TIDE_EFORMAT: `path` is there and is no library, or database.db or
 * sync.mdb is something else; TIDE_EMODEL: a table does not fit; TIDE_ECORRUPT: also a database
 * whose capture has lost its state; TIDE_EBUSY: also a folder in which another program has been
 * making a library for five seconds; TIDE_EINVAL: also a path that is too long; the errors of
 * tide_open, tide_sync_open and tide_sync_register.
 *
 * A failure changes nothing that can be told before: all that needs no writing is checked first.
 * Files and the folder that this call has made are gone again. If writing itself fails while the
 * database of another program becomes a library (a full disk, a lock), that may have its identity,
 * columns and WAL mode already; it is not a library before all is done, and another call with
 * TIDE_CREATE_LIBRARY goes on from there. */
TIDE_API int tide_library_open(const char *path, const tide_library_options *options,
                               tide_library **out);
TIDE_API void tide_library_close(tide_library *library); /* NULL is allowed */

TIDE_API tide_sync *tide_library_sync(tide_library *library);
TIDE_API tide_store *tide_library_store(tide_library *library);
TIDE_API tide_watermarks *tide_library_watermarks(tide_library *library);

/* ---- keeping it safe ---------------------------------------------------------------------------- */

/* The three calls do for a library what those of tidemark/backup.h do for a store. `notice` may be
 * NULL; it hears one line for each fault, why the call failed, and what was kept under which name.
 * Any thread. */

/* Checks both files in the folder `path`, also of a library that cannot be opened: the store as
 * tide_verify, the database by SQLite's integrity_check. Changes neither. TIDE_OK: nothing was
 * found; TIDE_ECORRUPT, TIDE_EFORMAT: something was; TIDE_ENOENT: a file is missing; TIDE_EBUSY;
 * TIDE_EACCES; TIDE_EIO; TIDE_ESQL; TIDE_ENOMEM; TIDE_EINVAL. */
TIDE_API int tide_library_verify(const char *path, tide_notice_fn *finding, void *ctx);

/* Copies the library to the new folder `path`, which is a library of the same device then: its
 * marks by tide_backup, and after them its rows by SQLite's backup, each in one snapshot, while
 * others go on writing. In this order no mark of the copy counts a row that the copy does not have:
 * a mark rises after its rows are there, and the rows are seen later than the marks. The folder is
 * made under another name, flushed, checked, and then renamed. It is to be kept and not to be used:
 * a copy that lives on beside the original is a second device with the id of the first.
 *
 * TIDE_OK: it is on disk; TIDE_CONFLICT: `path` is there, also as an empty folder; the errors of
 * tide_backup; TIDE_ECORRUPT: also rows; TIDE_ESQL; TIDE_EINVAL. */
TIDE_API int tide_library_backup(tide_library *library, const char *path, tide_notice_fn *notice,
                                 void *ctx);

/* Puts a copy of the backup `from`, once it is checked, in the place of the library `path`, or
 * makes that folder. What was there is kept beside the new files as NAME.replaced-TIME. No process
 * may have the library open, this one included. The older marks come before the older rows; a crash
 * in between leaves either older marks to newer rows, which costs nothing but reading again, or for
 * a moment no database.db: then call it once more. When the library is next in touch with its
 * peers, the engine notices that its history went back, tells so, and reads again what it lost.
 *
 * TIDE_OK; TIDE_ECORRUPT, TIDE_EFORMAT, TIDE_ENOENT: of `from`, and nothing has changed;
 * TIDE_EBUSY: `path` or `from` is open, and nothing has changed; TIDE_ENOSPC; TIDE_EACCES;
 * TIDE_EIO; TIDE_ESQL; TIDE_ENOMEM; TIDE_EINVAL. */
TIDE_API int tide_library_restore(const char *from, const char *path, tide_notice_fn *notice,
                                  void *ctx);

#ifdef __cplusplus
}
#endif
#endif
