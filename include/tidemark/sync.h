/* tidemark/sync.h - the sync engine on one SQLite database.
 *
 * Every device orders its rows of a resource by the stamp of their last change there, own and
 * taken-over rows alike. That order is its feed. To follow a peer is to ask for the rows behind
 * one's mark, apply them range by range, each in one SQLite transaction, and then raise the mark
 * over the range.
 *
 *     tide_sync_open      the database; it gets an identity when it has none
 *     tide_sync_register  each model; triggers now capture every change, whoever makes it
 *     tide_sync_attach    the watermarks
 *     tide_session_open   (tidemark/session.h) for each peer
 *
 * Capture is plain SQL in triggers: any program may write the tables, also the sqlite3 shell. The
 * engine opens a connection of its own, in WAL mode with synchronous=FULL and without automatic
 * checkpoints; it checkpoints itself. A peer's rows are flushed many pages at a time, always before
 * marks that count them are published and before they are served to others; until then a power cut
 * takes rows and marks back together. Programs of yours that can, should write through that
 * connection (tide_sync_database): SQLite before 3.51.3 may, rarely, damage a WAL that two
 * connections checkpoint at once, and a connection of your own checkpoints by default.
 *
 * What capture cannot see: rows that INSERT OR REPLACE deletes because of a UNIQUE column other
 * than the key become deletions when the model is registered next; and what triggers and foreign
 * key actions of your own do to other rows while a peer's rows are applied is not stamped (rows
 * deleted or inserted that way are found at the next registration). Do not use an engine across
 * fork: SQLite does not allow it.
 *
 * Constraints: rows arrive in the order of their last change, and a row may not fit yet, or never.
 * One that the table refuses (UNIQUE, CHECK, NOT NULL, STRICT, a foreign key that is checked at
 * once, RAISE(ABORT), RAISE(FAIL) or RAISE(IGNORE) of a trigger of yours), or that belongs to
 * another device (tidemark/model.h), is parked: kept in the database, in the version that is
 * largest, and tried again when other rows have arrived and when a round of a session ends. It goes
 * when a newer version is applied, when what is here is as new, or with a newer deletion that is
 * pruned. Until it fits it is in no table of yours and is not passed on. Two rows that swapped
 * their UNIQUE values wait for each other until one is changed again. What fails only at commit
 * cannot be blamed on a row: a foreign key that is DEFERRED and still violated after a page, and
 * RAISE(ROLLBACK). Then the session ends with TIDE_ECONSTRAINT, its mark before the page, and so
 * will the next.
 *
 * Threads: one thread at a time for an engine and everything opened on it.
 * Answers besides those listed: TIDE_EINVAL, TIDE_ENOMEM, TIDE_ESQL, TIDE_EBUSY (the database
 * stayed locked for five seconds), TIDE_EIO, TIDE_ENOSPC, TIDE_ECORRUPT, TIDE_EUNKNOWN (a flush of
 * the database, or a commit, failed: whether the last rows are there is not known, and every call
 * answers so until the engine is closed and opened again). tide_sync_detail has the particulars.
 */
#ifndef TIDEMARK_SYNC_H
#define TIDEMARK_SYNC_H

#include <stddef.h>
#include <stdint.h>
#include <uuid/uuid.h>

#include <tidemark/error.h>
#include <tidemark/model.h>
#include <tidemark/time.h>
#include <tidemark/watermarks.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sqlite3;

typedef struct tide_sync tide_sync;

enum {
    TIDE_EVENT_NOTICE = 1,           /* `text` is for the user */
    TIDE_EVENT_RESOURCE_CHANGED = 2, /* `count` rows of `resource` from `peer` were written or
                                        deleted; without a peer: rows that had been parked */
    TIDE_EVENT_STATE = 3,   /* the session with `peer` reached `state` (tidemark/session.h) */
    TIDE_EVENT_PARKED = 4,  /* `count` rows of `resource` from `peer` were parked, the first because
                               of `text` */
    TIDE_EVENT_DIVERGED = 5 /* rows of `resource` here and at `peer` differ, though each has
                               everything of the other, also after reading everything again */
};

typedef struct tide_event {
    uint32_t size;
    uint32_t kind;
    const unsigned char *peer; /* 16 bytes, or NULL */
    const char *resource;      /* or NULL */
    const char *text;          /* or NULL */
    uint64_t count;
    uint32_t state;
    uint32_t reserved;
} tide_event;

/* Called inside engine calls, after the transaction it tells of. The pointers are valid during the
 * call. Must not call the engine. */
typedef void tide_event_fn(void *ctx, const tide_event *event);

/* Fills `bytes` with `size` random ones. Called inside engine calls; must not call the engine. */
typedef void tide_random_fn(void *ctx, void *bytes, size_t size);

typedef struct tide_sync_options {
    uint32_t size;               /* sizeof; set by tide_sync_options_init */
    uint32_t max_clock_ahead_ms; /* versions further ahead of the clock are refused; default 300000 */
    const unsigned char
        *device; /* 16 bytes; NULL: as the database says, or a random one if it is new */
    const unsigned char *library; /* 16 bytes, likewise: only databases of one library sync */
    tide_event_fn *event;         /* may be NULL */
    void *event_ctx;
    tide_clock_fn *clock; /* "now" for that bound and for latencies; NULL: the real-time clock */
    void *clock_ctx;
    tide_random_fn *random; /* for the ids of devices, libraries and sessions, which no two may
                               share; NULL: the system's */
    void *random_ctx;
    char *detail;        /* receives one line when tide_sync_open fails; may be NULL */
    size_t detail_bytes; /* its size */
} tide_sync_options;

TIDE_API void tide_sync_options_init(tide_sync_options *options);

/* Opens the database file `path`, which must exist (an empty file will do), and gives it an
 * identity when it has none: device, library, epoch of its feed. TIDE_OK; TIDE_ENOENT; TIDE_EACCES;
 * TIDE_EFORMAT: not a SQLite database, or captured by another version of this library;
 * TIDE_ELIBRARY: options name another device or library than the database. */
TIDE_API int tide_sync_open(const char *path, const tide_sync_options *options, tide_sync **out);

/* Checkpoints and closes. NULL is allowed. Close its sessions first. The triggers stay and go on
 * capturing. */
TIDE_API void tide_sync_close(tide_sync *sync);

/* Adds a model and starts capture: rows already there join the feed now, in rowid order.
 * Registering the model the database already knows is cheap; one with other columns rebuilds the
 * triggers. TIDE_OK; TIDE_EMODEL: the table or a column is missing, it is a view, a virtual or a
 * WITHOUT ROWID table, the key is not NOT NULL, UNIQUE and of collation BINARY, or there is no
 * INTEGER PRIMARY KEY (without one VACUUM would renumber the rows); TIDE_EBUSY: the resource is
 * registered already; TIDE_ELIMIT. */
TIDE_API int tide_sync_register(tide_sync *sync, const tide_model *model);

/* Says where the marks are; borrowed, and must outlive the engine. They get a barrier
 * (tide_watermarks_set_barrier, known by `sync`) that flushes the rows they count; it goes when the
 * engine is closed or attached to others. TIDE_OK; TIDE_ELIBRARY: they belong to another device
 * than the database. */
TIDE_API int tide_sync_attach(tide_sync *sync, tide_watermarks *marks);

/* The engine's own connection, for writing the application's rows. Do not close it, leave
 * journal_mode, synchronous, wal_autocheckpoint and recursive_triggers as they are, and have no
 * transaction open when calling the engine (TIDE_EBUSY). foreign_keys is off, as SQLite has it by
 * default; if you turn it on, a peer's row that violates one is parked (see above). */
TIDE_API struct sqlite3 *tide_sync_database(tide_sync *sync);

TIDE_API void tide_sync_device(const tide_sync *sync, uuid_t device);
TIDE_API void tide_sync_library(const tide_sync *sync, uuid_t library);

/* ---- history ------------------------------------------------------------------------------------ */

/* 1 while the engine recovers, else 0. A database that is older than its marks say, or older than
 * what a peer has seen of it, was restored, copied or rolled back. Its feed then begins anew: marks
 * and acks are dropped, everything is read again from the peers, and until one that is not
 * recovering itself has been read to the end, this device serves only others that recover. So lost
 * rows come back, and deletions that were forgotten here are not undone elsewhere. It is noticed
 * when the first session is opened, or while one runs, and told by TIDE_EVENT_NOTICE; the state is
 * in the database, durably. */
TIDE_API int tide_sync_is_recovering(tide_sync *sync);

/* Ends it by decree, durably: the rows that are here count. For when nobody is left to read from,
 * because all devices were rolled back, or because no healthy one had ever had everything of this
 * device. Deletions that were forgotten may be undone by it. TIDE_OK, also when it was not
 * recovering. */
TIDE_API int tide_sync_accept(tide_sync *sync);

/* ---- peers -------------------------------------------------------------------------------------- */

typedef struct tide_peer {
    uint32_t size;
    uint32_t reserved;
    uuid_t device;
    tide_time epoch;   /* of its feed, as last heard */
    tide_time since;   /* registered: when it was first heard */
    tide_time contact; /* a session with it was last READY; TIDE_TIME_NONE: never */
} tide_peer;

/* Calls fn for each registered peer, in the order of their ids; *peer is valid during the call, and
 * fn may call the engine. A peer is registered when it is first heard. TIDE_OK; what fn returns,
 * where that is not 0: it stops there. */
typedef int tide_peer_fn(void *ctx, const tide_peer *peer);
TIDE_API int tide_sync_peers(tide_sync *sync, tide_peer_fn *fn, void *ctx);

/* Forgets a peer and its acks, durably: it no longer keeps deletions from being pruned. If it comes
 * back it is new, and reads everything where something was pruned meanwhile. Our marks on its feed
 * stay: they say which of its rows were known here, and so were deleted if they are here no more.
 * TIDE_OK; TIDE_ABSENT: it was not registered. */
TIDE_API int tide_sync_remove_peer(tide_sync *sync, const uuid_t peer);

/* Forgets deletions that every registered peer has acknowledged, and parked rows that are older
 * than they, in one transaction, durable on return; with no peer registered, all. *pruned (may be
 * NULL) is how many. Nothing while the engine recovers. TIDE_OK, also when there was none;
 * TIDE_EINVAL: not attached to marks. */
TIDE_API int tide_sync_prune(tide_sync *sync, uint64_t *pruned);

/* ---- models ------------------------------------------------------------------------------------- */

/* Calls fn for each registered resource, dependencies first, otherwise in order of registration.
 * TIDE_OK; TIDE_ECYCLE; TIDE_EMODEL: one depends on a resource that is not registered; what fn
 * returns. */
typedef int tide_resource_fn(void *ctx, const char *resource);
TIDE_API int tide_sync_order(tide_sync *sync, tide_resource_fn *fn, void *ctx);

/* 1 if device-owned, 0 if shared; TIDE_EMODEL: not registered. */
TIDE_API int tide_model_is_device_owned(tide_sync *sync, const char *resource);

/* ---- marks -------------------------------------------------------------------------------------- */

/* How far we have got with the peer's feed of the resource. TIDE_OK; TIDE_ABSENT; TIDE_EMODEL. */
TIDE_API int tide_sync_get_resource_watermark(tide_sync *sync, const uuid_t peer,
                                              const char *resource, tide_time *out);

/* Raises that mark over (after, upto] of the peer's feed of `epoch`, for a program that applies
 * rows by itself; those rows must be durable before. TIDE_OK; TIDE_STALE; TIDE_GAP; TIDE_CONFLICT;
 * TIDE_EMODEL. */
TIDE_API int tide_sync_update_state_watermark(tide_sync *sync, const uuid_t peer,
                                              const char *resource, tide_time after, tide_time upto,
                                              tide_time epoch);

/* ---- rows --------------------------------------------------------------------------------------- */

enum { TIDE_NULL = 0, TIDE_INTEGER = 1, TIDE_FLOAT = 2, TIDE_STRING = 3, TIDE_BYTES = 4 };

typedef struct tide_value {
    uint32_t type;
    uint32_t bytes; /* of data */
    int64_t integer;
    double real;
    const void *data; /* TIDE_STRING and TIDE_BYTES */
} tide_value;

/* One row as it stands in a peer's feed. */
typedef struct tide_change {
    uint32_t size;
    uint32_t deleted; /* 1: the row is gone; there are no values */
    const char *resource;
    tide_time version;     /* stamp of the change where it was made, */
    uuid_t version_device; /* and the device that made it: the larger (version, device) wins */
    tide_value key;
    const tide_value *values; /* in the order of the model's columns */
    size_t value_count;
} tide_change;

/* Applies one row that came from `peer`: writes it if its version is newer than what is here.
 * Durable on return. It moves no mark: a row alone says nothing about the rows before it. TIDE_OK:
 * written; TIDE_STALE: what is here is as new or newer; TIDE_EMODEL; TIDE_ECLOCK; TIDE_ECONSTRAINT;
 * TIDE_EOWNER: another device owns the row; TIDE_EPROTO: wrong number of values. */
TIDE_API int tide_sync_apply_state_change(tide_sync *sync, const uuid_t peer,
                                          const tide_change *change);

#define TIDE_CHANGES_MAX 65536

/* The same for 1 to TIDE_CHANGES_MAX rows of any resources in one transaction, all or none. Each is
 * written if its version is newer than what is here; *written (may be NULL) is how many were. With
 * TIDE_DURABLE (or TIDE_DEFAULT_DURABILITY) they are durable on return; with TIDE_DEFERRED when the
 * marks are flushed next, or a page is served, so that a mark raised after this call is never ahead
 * of them. TIDE_OK: at least one was written; TIDE_STALE: none; the errors above, and then nothing was. */
TIDE_API int tide_sync_apply_state_changes(tide_sync *sync, const uuid_t peer,
                                           const tide_change *changes, size_t count,
                                           uint32_t durability, size_t *written);

/* ---- parked rows -------------------------------------------------------------------------------- */

/* A row that could not be written. Pointers are valid during the call that gets it. */
typedef struct tide_parked {
    uint32_t size;
    uint32_t deleted; /* 1: a deletion is what was refused */
    const char *resource;
    tide_value key;
    tide_time version;
    uuid_t version_device;
    int32_t code; /* TIDE_ECONSTRAINT, TIDE_EOWNER, TIDE_EMODEL: its columns are no longer those of
                     the model, TIDE_ECORRUPT */
    uint32_t reserved;
    const char *reason; /* one line */
    tide_time since;
    uint64_t tries;
} tide_parked;

/* Calls fn for each parked row, those that have waited longest first. It must not call the engine.
 * TIDE_OK; what fn returns, where that is not 0: it stops there. */
typedef int tide_parked_fn(void *ctx, const tide_parked *row);
TIDE_API int tide_sync_parked(tide_sync *sync, tide_parked_fn *fn, void *ctx);

/* Tries each parked row again now; *written (may be NULL) is how many were written. What is written
 * is durable on return. TIDE_OK, also if none was. An error comes from one transaction of 1024
 * tries: those before it stand. */
TIDE_API int tide_sync_retry_parked(tide_sync *sync, size_t *written);

/* ---- knowing more ------------------------------------------------------------------------------- */

typedef struct tide_metrics {
    uint32_t size; /* set by the caller */
    uint32_t reserved;
    uint64_t changes_applied; /* rows written or deleted by this engine since it was opened */
    uint64_t changes_stale;   /* rows received that were here already */
    uint64_t pages_applied;   /* ranges applied */
    uint64_t pages_refused;   /* ranges that did not join on, or were known */
    uint64_t apply_ns;        /* time spent applying, marks included */
    uint64_t apply_max_ns;    /* longest page */
    uint64_t changes_parked;  /* rows parked */
} tide_metrics;

TIDE_API int tide_sync_metrics(tide_sync *sync, tide_metrics *out);

/* The metrics of one resource: rows alive here, deleted rows remembered, newest stamp of the feed
 * (TIDE_TIME_NONE: empty), rows written since the engine was opened, rows parked now. TIDE_OK;
 * TIDE_EMODEL. */
typedef struct tide_resource_info {
    uint32_t size; /* set by the caller */
    uint32_t ownership;
    uint64_t rows;
    uint64_t tombstones;
    uint64_t changes_applied;
    tide_time head;
    uint64_t parked;
} tide_resource_info;

TIDE_API int tide_sync_resource_info(tide_sync *sync, const char *resource, tide_resource_info *out);

/* How many rows and deletions of our feed of a resource lie behind a stamp (nanoseconds;
 * TIDE_TIME_NONE: all): what a peer may not have, whose ack that stamp is. Only reads; the time is
 * that of the rows counted. TIDE_OK; TIDE_EMODEL: no such resource is registered; TIDE_EINVAL:
 * NULL; errors as tide_sync_resource_info. */
TIDE_API int tide_sync_rows_behind(tide_sync *sync, const char *resource, tide_time stamp,
                                   uint64_t *out);

/* What two devices with the same rows of a resource have in common: how many are alive, and a sum
 * over keys and versions in which the order does not matter. Sessions compare it by themselves. */
typedef struct tide_digest {
    uint64_t rows;
    unsigned char sum[16];
} tide_digest;

/* Counts it from nothing, in one write transaction: every row is looked at, and what no trigger was
 * told of is found and stamped. For comparing on demand. TIDE_OK; TIDE_EMODEL. */
TIDE_API int tide_sync_digest(tide_sync *sync, const char *resource, tide_digest *out);

/* Copies one line about the last failure, as tide_detail does. */
TIDE_API void tide_sync_detail(tide_sync *sync, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
