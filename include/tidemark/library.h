/* tidemark/library.h - a library: a folder with database.db (SQLite: the rows) and sync.mdb (the marks).
 *
 * Opening one brings engine, store and watermarks together and registers the built-in models, in this
 * order:
 *
 *     resource  table      columns besides the key uuid                          depends on
 *     device    devices    name                                                  -
 *     location  locations  device_uuid, name, path                               device
 *     entry     entries    location_uuid, parent_uuid, name, kind, size, mtime   location
 *     volume    volumes    device_uuid, name, mount_point, file_system, total_bytes   device
 *
 * All are device-owned. entries.kind is 'file', 'folder', 'link' or 'other', entries.mtime a canonical time
 * (tidemark/time.h); `tidemark index` fills them. A database that another program made with tables of these names is taken as it is:
 * missing columns are added, and devices.last_state_watermark and devices.last_shared_watermark, the two
 * global marks of an older protocol, are dropped with the notice "Sync protocol updated, performing
 * initial sync...".
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
    TIDE_CREATE_LIBRARY = 1u
}; /* flag: make folder, database and store where they are missing */

typedef struct tide_library_options {
    uint32_t size;                 /* sizeof; set by tide_library_options_init */
    uint32_t flags;                /* 0 or TIDE_CREATE_LIBRARY */
    const char *device_name;       /* of a new library; NULL: the host's name */
    const tide_sync_options *sync; /* device, library, clock, events; NULL: defaults. Its detail receives
                                      one line when tide_library_open fails. */
    const tide_options *store; /* NULL: defaults */
} tide_library_options;

TIDE_API void tide_library_options_init(tide_library_options *options);

/* Opens the library in the folder `path`.
 * The reason of a failure goes to options->sync->detail, wherever it arose.
 * TIDE_OK; TIDE_ENOENT: no such folder, or nothing in it that is a library; TIDE_EFORMAT: database.db or
 * sync.mdb is something else; the errors of tide_open, tide_sync_open and tide_sync_register. Nothing is
 * changed on failure, except that files of a library may be left where none was, and that a database may have been
 * given its identity. */
TIDE_API int tide_library_open(const char *path, const tide_library_options *options,
                               tide_library **out);
TIDE_API void tide_library_close(tide_library *library); /* NULL is allowed */

TIDE_API tide_sync *tide_library_sync(tide_library *library);
TIDE_API tide_store *tide_library_store(tide_library *library);
TIDE_API tide_watermarks *tide_library_watermarks(tide_library *library);

#ifdef __cplusplus
}
#endif
#endif
