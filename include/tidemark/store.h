/* tidemark/store.h - the watermark store: one durable mark per (device, peer, resource).
 *
 * The mark of (device, peer, resource) says: `device` has applied every row of `resource` whose
 * stamp in `peer`'s feed is <= the watermark, in that version or a newer one. An absent mark is
 * below every time, and TIDE_TIME_NONE stands for it wherever a time is compared.
 *
 * A store is one LMDB file (plus LMDB's "-lock" file beside it), shared by any number of processes.
 *
 *     tide_store *store;
 *     int rc = tide_open("sync.mdb", NULL, &store);
 *     rc = tide_advance_range(store, device, peer, "entry", after, upto);
 *     tide_close(store);
 *
 * Threads: a handle may be used by any number of threads at once; only tide_close must be the last
 * call. Two handles on one file in one process share everything but their detail text. A thread must
 * not be cancelled inside a call: it would keep locks that all others need. Fork: in a
 * forked child every call on an inherited handle answers TIDE_EFORKED and touches nothing;
 * tide_close frees what it can. A child may open the file anew.
 *
 * Every call may also answer TIDE_EINVAL (a NULL or malformed argument, before any I/O),
 * TIDE_ENOMEM, TIDE_EIO, TIDE_ENOSPC, TIDE_EFULL, TIDE_EACCES, TIDE_EBUSY (LMDB's reader table is
 * full, or the call came from inside a barrier), TIDE_ECORRUPT (a record that fails its check:
 * never a value, never "absent"), TIDE_EFORKED, TIDE_EUNKNOWN (a flush to disk failed: whether the
 * last change is there is not known, and every later call on the file gives the same answer until
 * all its handles are closed and it is opened again). tide_detail has the particulars. Calls that
 * write give up after TIDE_ENOSPC or TIDE_EFULL with nothing changed; the store stays open and
 * readable.
 */
#ifndef TIDEMARK_STORE_H
#define TIDEMARK_STORE_H

#include <stddef.h>
#include <stdint.h>
#include <uuid/uuid.h>

#include <tidemark/error.h>
#include <tidemark/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A resource name: 1 to 437 bytes of valid UTF-8 without '|' and control characters (U+0000 to
 * U+001F, U+007F to U+009F). 437 is LMDB's 511 bytes of key less two UUIDs and two bars. */
#define TIDE_RESOURCE_MAX 437

typedef struct tide_store tide_store;

typedef struct tide_mark {
    tide_time watermark;  /* how far */
    tide_time updated_at; /* when it was last written, by the clock of that process; of an advance
                             that waits, when it began to */
    tide_time epoch;      /* when the peer's feed began; TIDE_TIME_NONE where not known */
} tide_mark;

/* ---- opening ------------------------------------------------------------------------------------ */

enum {
    TIDE_DEFAULT_DURABILITY = 0, /* per call: as the handle says; at open: TIDE_DURABLE */
    TIDE_DURABLE = 1,            /* returns when the change is on disk; survives a power cut */
    TIDE_DEFERRED = 2            /* may return before; kept by tide_flush, tide_close or any durable
                                    call on the file (in a full store what finds no room goes on
                                    waiting). A crash falls back to the last of those, which only
                                    makes a device read rows again. */
};

enum {
    TIDE_REFUSE = 0,    /* an unusable file makes tide_open fail; it is left as it is */
    TIDE_MOVE_ASIDE = 1 /* a regular file is renamed to PATH.unusable-TIME and a new store begins;
                           not together with TIDE_MUST_EXIST */
};

enum { TIDE_MUST_EXIST = 1u }; /* flag: never create the file */

/* Receives one line about something that happened outside the answer of a call: why tide_open
 * failed, where an unusable file went, that tide_close could not write what was deferred. `text` is
 * valid during the call only. Must not call the store. */
typedef void tide_notice_fn(void *ctx, int code, const char *text);

/* The time for updated_at; NULL: the system's real-time clock. Called inside calls that write, with
 * locks held: it must not call the store, and `clock_ctx` must live as long as any handle of the
 * file in this process. */
typedef tide_time tide_clock_fn(void *ctx);

typedef struct tide_options {
    uint32_t size;        /* sizeof(tide_options); set by tide_options_init */
    uint32_t flags;       /* 0 or TIDE_MUST_EXIST */
    uint32_t durability;  /* of this handle's calls that do not say otherwise */
    uint32_t on_unusable; /* TIDE_REFUSE (default) or TIDE_MOVE_ASIDE */
    uint32_t
        max_readers; /* slots for concurrent readers of all processes: 1 to 65536, default 1024 */
    uint32_t flush_interval_ms; /* 0 (default): what is deferred waits for a call that flushes; else
                                   a thread of the library flushes it so often. Not for programs
                                   that fork. */
    uint64_t map_size_bytes;    /* address space to begin with, 64 KiB to 2^63 - 1; default 64 GiB,
                                   halved until it fits. The file is only as large as its
                                   content. */
    uint64_t max_size_bytes;    /* the map grows up to this, then TIDE_EFULL; 256 KiB to 2^63 - 1,
                                   default 1 TiB. Marks can still be overwritten and removed then;
                                   taking marks back may make the file up to a few MiB larger. */
    uint64_t verify_max_bytes;  /* a file that uses no more than this is checked whole, every page
                                   and mark, by its first opener in a process; default 4 MiB, 0:
                                   never. A larger one is taken on trust: LMDB keeps no checksums,
                                   and damage to its pages can crash the process or hide marks. */
    tide_notice_fn *notice;     /* may be NULL; kept for tide_close */
    void *notice_ctx;
    tide_clock_fn *clock; /* may be NULL */
    void *clock_ctx;
} tide_options;

TIDE_API void tide_options_init(tide_options *options);

/* Opens or creates the store in the file `path`, whose folder must exist. `options` NULL: defaults.
 * A new file is born whole: made under another name beside it, flushed, then renamed; mode 0600.
 * The first opener of a file in a process checks it and decides map size, largest size, reader
 * slots, clock and flush interval; later handles in that process join it. docs/format.md says what
 * is checked.
 *
 * TIDE_OK; TIDE_ENOENT: no such folder, or no file and TIDE_MUST_EXIST; TIDE_EACCES; TIDE_EFORMAT:
 * not a store, or of another format version; TIDE_ECORRUPT: shorter than its own metadata says, or
 * damaged; TIDE_EFILESYSTEM: NFS, SMB, 9p or FUSE, where LMDB's locks and map do not work;
 * TIDE_EINVAL; TIDE_EIO; TIDE_ENOSPC; TIDE_ENOMEM (also: not enough address space for 1 MiB of
 * map); TIDE_EBUSY: for five seconds another program held the folder, creating or recovering a
 * file; or the file has several names (hard links), or was replaced while this process has it open,
 * or another version of LMDB has it open; TIDE_EUNKNOWN: a handle of this process is in doubt, see
 * above. *out is NULL on failure. */
TIDE_API int tide_open(const char *path, const tide_options *options, tide_store **out);

/* Flushes what is pending and gives the handle back; `store` may be NULL. When that flush fails and
 * something was pending, the notice of the handle's options hears it: what was deferred is gone
 * then, unless another handle of this process keeps the file open and this one had set no barrier.
 * Not to be called from inside a barrier. */
TIDE_API void tide_close(tide_store *store);

/* ---- one mark ----------------------------------------------------------------------------------- */

/* Reads the mark as this process sees it, pending advances included.
 * TIDE_OK; TIDE_ABSENT: *out is untouched. */
TIDE_API int tide_get(tide_store *store, const uuid_t device, const uuid_t peer,
                      const char *resource, tide_mark *out);

/* Raises the mark to `upto` if that is newer; its epoch stays. `upto` is TIDE_TIME_MIN or later.
 * TIDE_OK: raised; TIDE_STALE: the mark was there or further already. */
TIDE_API int tide_advance(tide_store *store, const uuid_t device, const uuid_t peer,
                          const char *resource, tide_time upto);

/* Raises the mark over the range (after, upto] if the range joins on: after <= mark < upto. `after`
 * TIDE_TIME_NONE is the beginning of the feed. `after` must be below `upto` (TIDE_EINVAL).
 * TIDE_OK: raised; TIDE_STALE: upto <= mark; TIDE_GAP: mark < after, rows between would be lost. */
TIDE_API int tide_advance_range(tide_store *store, const uuid_t device, const uuid_t peer,
                                const char *resource, tide_time after, tide_time upto);

/* Sets the mark from exactly `expected` (TIDE_TIME_NONE: absent) to `desired` (TIDE_TIME_NONE:
 * remove it), forward or backward; always durable. This is how an operator rewinds or resets. The
 * epoch stays; a mark made this way has none. Setting a mark to the value it has is TIDE_OK.
 * TIDE_OK; TIDE_CONFLICT: the mark was not `expected`. */
TIDE_API int tide_compare_and_set(tide_store *store, const uuid_t device, const uuid_t peer,
                                  const char *resource, tide_time expected, tide_time desired);

/* ---- several marks ------------------------------------------------------------------------------ */

typedef struct tide_step {
    const unsigned char *device; /* 16 bytes */
    const unsigned char *peer;   /* 16 bytes */
    const char *resource;
    tide_time after; /* as in tide_advance_range; TIDE_TIME_NONE joins on to any mark */
    tide_time upto;
    tide_time epoch; /* TIDE_TIME_NONE: whatever the mark has; else the mark must have this epoch,
                        and an absent mark takes it */
} tide_step;

#define TIDE_STEPS_MAX 4096

/* Advances 1 to TIDE_STEPS_MAX marks, each like tide_advance_range, all or none: durable ones in
 * one commit, deferred ones at once for this process (a crash in the middle of a flush may keep
 * some of them). TIDE_OK: at least one was raised, the others were there or further; TIDE_STALE:
 * all were; TIDE_GAP: one does not join on; TIDE_CONFLICT: one belongs to another epoch. The last
 * two change nothing. A mark may be named several times; later steps then see the earlier ones. */
TIDE_API int tide_advance_many(tide_store *store, const tide_step *steps, size_t count,
                               uint32_t durability);

#define TIDE_IMPORT_MAX 10000000 /* marks of one call */

typedef struct tide_imported {
    uint32_t size; /* sizeof(tide_imported), set by the caller */
    uint32_t reserved;
    uint64_t added;  /* there was no such mark */
    uint64_t raised; /* the mark was lower, of the same epoch or where none was given */
    uint64_t equal;  /* the mark stands exactly there */
    uint64_t kept;   /* the mark is further, or of another epoch, and stays as it is */
} tide_imported;

/* Takes over marks that were written down elsewhere, all in one commit, durably: each is raised to
 * `upto` of its step by the rules of tide_advance_many, but one that is further already or belongs
 * to another epoch is kept and stops nothing. So no mark ever falls. `after` must be
 * TIDE_TIME_NONE, a mark may be named only once, and the marks get the time of the import as
 * updated_at. `imported` may be NULL. 0 to TIDE_IMPORT_MAX marks; memory: about 200 bytes each.
 *
 * TIDE_OK: *imported says what became of them; TIDE_EINVAL: one is malformed or named twice;
 * errors as tide_advance_many. On anything but TIDE_OK nothing has changed. */
TIDE_API int tide_import(tide_store *store, const tide_step *marks, size_t count,
                         tide_imported *imported);

/* Called for each mark; the pointers are valid during the call only. Non-zero stops the walk and is
 * returned by it. The callback may call the store. */
typedef int tide_each_fn(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                         const tide_mark *mark);

/* Walks the marks in key order: by device, peer, resource, as text. NULL means any, so that one
 * call serves one device, one device and peer, one peer, one resource, or all. Pending advances are
 * flushed first; where there is no space for them (TIDE_ENOSPC, TIDE_EFULL) the walk shows what is
 * committed. No snapshot is held while the callback runs: a mark that changes meanwhile is seen in
 * its old or new state, and every mark that stays is seen once. Cost: one seek per (device, peer)
 * where `resource` or `peer` skips, else one step per mark. TIDE_OK: all seen; what the callback
 * returned; an error. */
TIDE_API int tide_each(tide_store *store, const unsigned char *device, const unsigned char *peer,
                       const char *resource, tide_each_fn *fn, void *ctx);

/* Removes every mark of `device` about `peer`, durably and at once, pending ones included.
 * *removed, which may be NULL, counts both. */
TIDE_API int tide_remove_peer(tide_store *store, const uuid_t device, const uuid_t peer,
                              size_t *removed);

/* The largest watermark of `device` over all peers and resources, marks about itself included, by a
 * walk as tide_each; for diagnosis: it must never stand for a peer or a resource. TIDE_OK;
 * TIDE_ABSENT: no mark. */
TIDE_API int tide_max(tide_store *store, const uuid_t device, tide_time *out);

/* ---- durability --------------------------------------------------------------------------------- */

/* Makes everything durable that any handle of this file in this process has pending; runs the
 * barriers. More than a few thousand marks are written in several commits, in order of their keys.
 * TIDE_OK; when nothing was pending no barrier runs. On an error what was not written stays
 * pending. TIDE_ECORRUPT: the record of a pending mark is damaged; that one goes on waiting, all
 * others are written. */
TIDE_API int tide_flush(tide_store *store);

/* The barrier runs after the set of marks to publish is fixed and before they are written; it makes
 * the rows they count durable, so that no mark on disk is ever ahead of its rows. A negative result
 * publishes nothing and is returned by the call that wanted to publish; what was deferred goes on
 * waiting. From inside a barrier, calls that change or flush this store answer TIDE_EBUSY; reading
 * is allowed, tide_each and tide_max flush. It is called on the thread of whoever flushes, the one
 * of flush_interval_ms included, one at a time; all other calls that write wait meanwhile, so it
 * must not wait for a thread that is in one.
 *
 * A file may have several, of all handles in this process, each known by its `ctx`; all run.
 * Setting one with a `ctx` that is there replaces that one. fn NULL takes it away, after a flush of
 * what is pending; if that fails, what was deferred is dropped, because nothing vouches for its rows
 * any more.
 * Barriers go with the handle they were set on. TIDE_OK; with fn NULL what tide_flush answers. */
typedef int tide_barrier_fn(void *ctx);
TIDE_API int tide_set_barrier(tide_store *store, tide_barrier_fn *fn, void *ctx);

/* ---- knowing more ------------------------------------------------------------------------------- */

typedef struct tide_info {
    uint32_t size;           /* sizeof(tide_info), set by the caller */
    uint32_t format_version; /* of the file: 1 */
    uint64_t marks;          /* committed marks */
    uint64_t pending;        /* marks with an advance of this process that is not durable yet */
    uint64_t file_bytes;
    uint64_t used_bytes; /* of them in use; the rest is free for later marks */
    uint64_t map_bytes;
    uint64_t transaction; /* LMDB's number of the last commit */
    uint32_t page_bytes;
    uint32_t depth;   /* of the tree of marks */
    uint32_t readers; /* slots in use by all processes, idle ones kept for reuse included */
    uint32_t max_readers;
    tide_time created_at;
    unsigned char store_id[16];
} tide_info;

/* Fills *info, whose `size` the caller has set. TIDE_OK or an error. */
TIDE_API int tide_stat(tide_store *store, tide_info *info);

/* Copies the particulars of the last failure on this handle (path, errno's or LMDB's words) as one
 * line, cut to `size` bytes with its NUL; the empty string if there was none. Any thread. */
TIDE_API void tide_detail(tide_store *store, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
