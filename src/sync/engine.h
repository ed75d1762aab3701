/* engine.h - the inside of a tide_sync, shared by the modules of the engine.
 *
 *     transaction  the connection, its transactions, and when their rows are on disk
 *     capture      the records and tombstones that stamp every change
 *     trigger      what writes them, in plain SQL
 *     cascade      rows that go with the row they refer to
 *     model        what is registered: names checked, statements prepared, order
 *     feed         reading a range of our own feed
 *     apply        writing rows of a peer's feed
 *     parked       rows of a peer's feed that the table refuses
 *     page         a page of ranges: judged, applied, marks raised
 *     reading      full reads, and the sweep at their end
 *     following    which history of a peer our rows from it rest on
 *     level        up to where we had everything of a peer
 *     history      our own feed: its epochs, and whether it was rolled back
 *     life         our own feed: what a copy shares with the original
 *     sound        whether our own tables hold what we have put there
 *     device       small numbers for devices and followings
 *     peers        who is registered, how far each has got, and what may be forgotten
 *     digest       proof that two devices hold the same rows
 *     message      MessagePack
 *     session      the conversation: say, hear
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
    TIDE__HEAD, /* newest stamp of the feed, 0 if it is empty; up to where it is pruned, or 0 */
    TIDE__NEXT, /* the next stamp to give */
    TIDE__FIND, /* a key: row number and version of the live row */
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
    TIDE__BEHIND,   /* rows and deletions behind a stamp */
    TIDE__UNSEEN,   /* whether there is anything behind a stamp that is not of a source */
    TIDE__SUM_KEPT, /* digest.h: the sum as it was kept, and whether anything has changed, */
    TIDE__SUM_NEW,  /* the records behind a stamp, */
    TIDE__SUM_WAS,  /* and what changed ones were then; */
    TIDE__SUM_KEEP, /* both go when the sum is kept anew */
    TIDE__SUM_FORGET,
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
    TIDE__CONTROL_STATE, /* epoch, recovering, life, shown, until; these when our tables are there */
    TIDE__CONTROL_LIFE, /* life, resource: the present life, where this ended, the last forgotten */
    TIDE__CONTROL_FOLLOWING,   /* peer, resource */
    TIDE__CONTROL_FOLLOW,      /* the same, life, head, source */
    TIDE__CONTROL_LEVEL,       /* peer, resource, count: the last levels */
    TIDE__CONTROL_READING,     /* peer, resource: the full read under way */
    TIDE__CONTROL_DEVICE_ID,   /* uuid, life: number, uuid, life; of a device (device.h), */
    TIDE__CONTROL_DEVICE_UUID, /* number: the same, */
    TIDE__CONTROL_DEVICE_GIVE, /* uuid, life: a new one */
    TIDE__CONTROL_LIST,        /* peer, resource, key */
    TIDE__CONTROL_MOVE,        /* peer, resource, stamp */
    TIDE__CONTROLS
};

/* Of parked rows (parked.h); prepared at open. */
enum {
    TIDE__PARKED_ANY,    /* whether there is one */
    TIDE__PARKED_FIND,   /* a resource and key: number and version */
    TIDE__PARKED_PUT,    /* a row, behind all others */
    TIDE__PARKED_DROP,   /* by number */
    TIDE__PARKED_NEXT,   /* the first in turn up to a number */
    TIDE__PARKED_LAST,   /* the largest number, 0 if there is none */
    TIDE__PARKED_AGAIN,  /* was tried in vain: behind all others */
    TIDE__PARKED_COUNT,  /* of a resource */
    TIDE__PARKED_LIST,   /* all, the oldest first */
    TIDE__PARKED_MARK,   /* one row in a transaction: a savepoint, */
    TIDE__PARKED_BACK,   /* back to it, */
    TIDE__PARKED_UNMARK, /* and away with it */
    TIDE__PARKED_STATEMENTS
};

typedef struct tide__parent {
    char *column;
    char *resource;
    bool no_index;
    sqlite3_stmt *reach; /* cascade.h: how far its sweeps have got; NULL before the first */
} tide__parent;

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
    tide__parent parents[TIDE_PARENTS_MAX];
    size_t parent_count;
    bool guarded; /* a row that is refused may leave something behind: see parked.h */
    uint64_t applied;
    sqlite3_stmt *statements[TIDE__STATEMENTS];
} tide__model;

struct tide__device;

struct tide_sync {
    sqlite3 *db;
    uuid_t device;
    uuid_t library;
    tide_time epoch;
    bool recovering;        /* history.h */
    tide_time life;         /* life.h: the present one, */
    tide_time shown;        /* the last one in which a page was made, */
    tide_time until;        /* and above what no stamp was shown */
    bool looked_back;       /* the marks have been found to fit our history, */
    tide_time noted;        /* the newest stamp that they know */
    tide_watermarks *marks; /* NULL until attached */
    tide__model *models[TIDE_MODELS_MAX];
    size_t model_count;
    struct tide__device *devices; /* those of tidemark_devices that were last met, in a ring, */
    size_t device_count;          /* how many, */
    size_t device_next;           /* and where the next goes */
    uint32_t max_clock_ahead_ms;
    tide_event_fn *event;
    void *event_ctx;
    tide_clock_fn *clock;
    void *clock_ctx;
    tide_random_fn *random;
    void *random_ctx;
    sqlite3_stmt *controls[TIDE__CONTROLS];
    sqlite3_stmt *parked[TIDE__PARKED_STATEMENTS];
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

/* The number of an epoch or a life: now, and above the last; and a little further, at random, so
 * that two copies do not give the same one. */
tide_time tide__later(const tide_sync *sync, tide_time last);

void tide__emit(const tide_sync *sync, const tide_event *event);

/* Counts what was written of a resource, and tells of it. `peer` may be NULL. */
void tide__tell_changed(tide_sync *sync, const unsigned char *peer, tide__model *m, uint64_t count);

/* Passes on what the marks answered; of an error their reason becomes ours. */
int tide__marks_failed(tide_sync *sync, int rc);

#endif
