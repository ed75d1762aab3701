/* device.h - small numbers for devices and for followings of their feeds.
 *
 * tidemark_devices gives each device that appears in a version a number, and each following of a
 * feed (following.h: a device and the life in which it began, or a number above) that rows came
 * from another; 0 is ourselves. The devices last met are kept in memory, and no more of them,
 * because a peer names as many as it likes.
 */
#ifndef TIDEMARK_SYNC_DEVICE_H
#define TIDEMARK_SYNC_DEVICE_H

#include "sync/engine.h"

typedef struct tide__device {
    sqlite3_int64 id;
    uuid_t uuid;
    tide_time life; /* in which we began to follow it, or a number above where there was one
                       already; 0: the maker of versions, not a feed */
} tide__device;

#define TIDE__DEVICES_KEPT 256

/* Once, at open: sees that the table is sound. */
int tide__devices_load(tide_sync *sync);
/* After a transaction that was taken back: the numbers given in it are gone. */
void tide__devices_forget(tide_sync *sync);

/* All inside a transaction, because what is not in memory is looked for in the table: another
 * engine may have given the number.
 *
 * The number of a device (life 0) or of a following of its feed; -1: it has none. */
int tide__device_find(tide_sync *sync, const uuid_t uuid, tide_time life, sqlite3_int64 *id);
/* The same, given one if it has none. */
int tide__device_id(tide_sync *sync, const uuid_t uuid, tide_time life, sqlite3_int64 *id);
/* The device of a number, until the next call. TIDE_OK; TIDE_ECORRUPT: there is none. */
int tide__device_uuid(tide_sync *sync, sqlite3_int64 id, const unsigned char **uuid);

/* Binds the first two parameters of a statement on what is kept of a peer and a resource: answers
 * SQLite's code. */
int tide__bind_peer(sqlite3_stmt *statement, const uuid_t peer, const tide__model *model);

#endif
