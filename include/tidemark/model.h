/* tidemark/model.h - which tables are synced.
 *
 * A model says how the rows of one SQLite table travel: under which resource name, by which key,
 * with which columns, after which other models, and who may change them. The table stays the
 * application's own; capture (tidemark/sync.h) adds triggers to it and tables named tidemark_...
 * beside it.
 */
#ifndef TIDEMARK_MODEL_H
#define TIDEMARK_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include <tidemark/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TIDE_MODELS_MAX 64       /* models of one engine */
#define TIDE_COLUMNS_MAX 256     /* synced columns of one model, the key not counted */
#define TIDE_DEPENDENCIES_MAX 64 /* of one model */
#define TIDE_PARENTS_MAX 8       /* of one model */
#define TIDE_IDENTIFIER_MAX 128  /* bytes of a table or column name */
#define TIDE_MODEL_NAME_MAX 64   /* bytes of a model's resource name: a-z, 0-9, '_' */

enum {
    TIDE_DEVICE_OWNED = 0, /* a row is changed only by its owner, the device that made it */
    TIDE_SHARED = 1        /* any device changes any row; the larger version wins everywhere */
};

/* A column that refers to the key of a row of another resource, or of the same one: its parent.
 * When a statement of this device deletes the parent, whoever makes it, its children go as well,
 * and theirs, each with a deletion of its own in the feed; but rows of other devices stay, which
 * only their owners may delete. A key that is changed counts as deleted. Nothing follows while a
 * peer's rows are applied: the peer's deletions of the children arrive by themselves. What is left
 * at the end of a round, a child whose parent is deleted here, is deleted by this device then, if
 * it may; a child of another device's by that device, when it hears of the parent's deletion. So a
 * child that was made or changed elsewhere meanwhile goes too. A parent that was never here is
 * waited for.
 *
 * Registering makes an index on the column, tidemark_RESOURCE_COLUMN, if none begins with it. */
typedef struct tide_parent {
    const char *column;   /* one of the model's columns */
    const char *resource; /* registered before, and in depends_on, or the model's own */
    uint32_t no_index; /* 1: none is made, which saves a tenth of each row's writing where parents
                          are few and seldom deleted: deleting one then reads the whole table */
    uint32_t reserved;
} tide_parent;

/* Ownership. The owner of a device-owned row is the device that made the version which is here,
 * alive or deleted. A statement of this device that changes, deletes or makes again a row of
 * another device's fails ("tidemark: RESOURCE belongs to another device",
 * SQLITE_CONSTRAINT_TRIGGER), and nothing of it stays; columns that do not travel may be changed. A
 * peer's change of a row of a third device's is refused with TIDE_EOWNER and, in a session, parked
 * (tidemark/sync.h), so it spreads no further. Rows found when the model is registered count as
 * made here.
 *
 * All pointers are borrowed during tide_sync_register only. */
typedef struct tide_model {
    uint32_t size;        /* sizeof(tide_model) */
    uint32_t ownership;   /* TIDE_DEVICE_OWNED or TIDE_SHARED */
    const char *resource; /* "entry": the resource of the marks, the same on every device */
    const char *table;    /* "entries": an ordinary table with an INTEGER PRIMARY KEY */
    const char *key; /* "uuid": NOT NULL and UNIQUE on its own, collation BINARY; the same on every
                        device */
    const char *const *columns; /* what travels besides the key; by name, in this order */
    size_t column_count;
    const char *const *depends_on; /* resources whose rows these refer to: they travel first */
    size_t depends_on_count;
    const tide_parent *parents; /* rows that take their children along */
    size_t parent_count;
} tide_model;

#ifdef __cplusplus
}
#endif
#endif
