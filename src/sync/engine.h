/* engine.h - the inside of a tide_sync, shared by the modules of the engine.
 *
 *     transaction  the connection, its transactions, and when their rows are on disk
 *     capture      the tables and triggers that stamp every change
 *     model        what is registered: names checked, statements prepared, order
 *     feed         reading a range of our own feed
 *     apply        writing rows of a peer's feed
 *     message      MessagePack
 *     session      the conversation
 *
 * Numbers: tidemark_devices gives each device that appears in a version a small number, and each
 * feed (a device and the epoch of its feed) that rows came from another; 0 is ourselves.
 */
#ifndef TIDEMARK_SYNC_ENGINE_H
#define TIDEMARK_SYNC_ENGINE_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <tidemark/sync.h>

#include "adapter/sql.h"
#include "base/detail.h"

enum {
    TIDE__FEED_LIVE, /* rows alive behind a stamp, in feed order */
    TIDE__FEED_GONE, /* deleted ones */
    TIDE__HEAD,      /* newest stamp of the feed, 0 if it is empty */
    TIDE__NEXT,      /* the next stamp to give */
    TIDE__FIND,      /* a key: row number and version of the live row */
    TIDE__FIND_GONE, /* a key: version of the deletion */
    TIDE__INSERT,
    TIDE__UPDATE,
    TIDE__DELETE,
    TIDE__STAMP_NEW, /* capture's own records: of a row number that has none, */
    TIDE__DISPLACED, /* of a row that REPLACE took away under that number, */
    TIDE__STAMP,
    TIDE__UNSTAMP,
    TIDE__STAMP_GONE,
    TIDE__UNSTAMP_GONE,
    TIDE__COUNT,
    TIDE__STATEMENTS
};

/* Statements of the connection; prepared at open, so that a transaction can be ended when memory is
 * short. */
enum {
    TIDE__CONTROL_READ,
    TIDE__CONTROL_WRITE,
    TIDE__CONTROL_COMMIT,
    TIDE__CONTROL_ROLLBACK,
    TIDE__CONTROL_VERSION, /* changes when another connection commits */
    TIDE__CONTROLS
};

typedef struct tide__model {
    size_t place; /* among the engine's */
    uint32_t ownership;
    char *resource;
    char *table;
    char *key;
    char *row; /* the INTEGER PRIMARY KEY */
    char **columns;
    size_t column_count;
    char **depends_on;
    size_t depends_on_count;
    uint64_t applied;
    sqlite3_stmt *statements[TIDE__STATEMENTS];
} tide__model;

typedef struct tide__device {
    sqlite3_int64 id;
    uuid_t uuid;
    tide_time epoch; /* 0: the maker of versions, not a feed */
} tide__device;

struct tide_sync {
    sqlite3 *db;
    uuid_t device;
    uuid_t library;
    tide_time epoch;
    tide_watermarks *marks; /* NULL until attached */
    tide__model *models[TIDE_MODELS_MAX];
    size_t model_count;
    tide__device *devices; /* the table tidemark_devices, in memory */
    size_t device_count;
    uint32_t max_clock_ahead_ms;
    tide_event_fn *event;
    void *event_ctx;
    tide_clock_fn *clock;
    void *clock_ctx;
    tide_random_fn *random;
    void *random_ctx;
    sqlite3_stmt *controls[TIDE__CONTROLS];
    bool inside;      /* a transaction of ours is open */
    bool normal;      /* synchronous is NORMAL */
    int log_fd;       /* of the write-ahead log, for flushing it; -1 */
    uint64_t commits; /* of our connection */
    uint64_t
        durable_commits; /* how many of them, and which data_version of the others, are flushed */
    int64_t durable_version;
    atomic_bool unflushed; /* there are rows that we applied and have not flushed */
    atomic_int failed;     /* TIDE_OK, or what every call answers from now on */
    tide_metrics metrics;
    tide__detail detail;
};

/* The model of a resource; NULL if none. `length` bytes, no NUL needed. */
tide__model *tide__model_find(const tide_sync *sync, const char *resource, size_t length);

tide_time tide__now(const tide_sync *sync);
void tide__random_uuid(const tide_sync *sync, uuid_t out);
void tide__emit(const tide_sync *sync, const tide_event *event);

/* Passes on what the marks answered; of an error their reason becomes ours. */
int tide__marks_failed(tide_sync *sync, int rc);

/* All inside a transaction, because what is not in memory is looked for in the table again: another
 * engine may have given the number.
 *
 * The number of a device (epoch 0) or of its feed; -1: it has none. */
int tide__device_find(tide_sync *sync, const uuid_t uuid, tide_time epoch, sqlite3_int64 *id);
/* The same, given one if it has none. */
int tide__device_id(tide_sync *sync, const uuid_t uuid, tide_time epoch, sqlite3_int64 *id);
/* The device of a number. TIDE_OK; TIDE_ECORRUPT: there is none. */
int tide__device_uuid(tide_sync *sync, sqlite3_int64 id, const unsigned char **uuid);

#endif
