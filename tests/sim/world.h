/* world.h - the simulated world: devices, each a real library on a drive of its own (disk.h), links
 * between them, and one virtual time.
 *
 * Everything follows from a seed: the clocks, the ids, SQLite's own time and random numbers, and
 * what the disks keep. Nothing waits. The first thing that is not as it must be is kept in
 * `failure`, and ends the run.
 *
 *     device.c   libraries, rows, crashes        check.c   what must hold, always and at the end
 *     link.c     sessions and messages           steps.c   what can happen, and how often
 *     heal.c     the end without faults          shrink.c  less that fails all the same
 */
#ifndef TIDEMARK_TESTS_SIM_WORLD_H
#define TIDEMARK_TESTS_SIM_WORLD_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uuid/uuid.h>

#include <tidemark/tidemark.h>

#include "disk.h"
#include "random.h"

#define DEVICES_MAX DISK_DRIVES
#define KEYS_MAX 64
#define FAILURE_BYTES 640
#define SECOND INT64_C(1000000000)
#define EPOCH_PRESENT (-1) /* as a told epoch: the one that it has when it is looked at */

/* What the simulator writes: a device-owned and a shared model. A world of whole libraries has two
 * more: `locations`, and `devices`, whose rows are made by the libraries. Opening a library takes
 * 12 ms, four times as long as its parts with two models: most worlds are of parts. */
enum { ENTRY, TAG, LOCATION, DEVICE, RESOURCES };
enum { RESOURCES_OF_PARTS = LOCATION };

typedef struct resource {
    const char *name;
    const char *table;
    const char *columns; /* besides uuid; the first takes what is written */
    const char *title;   /* that first one */
    char letter;         /* keys are this letter and a number */
    int own_keys;        /* so many of a device's own; 0: the keys are everybody's */
    int keys;            /* all together */
} resource;

extern const resource resources[RESOURCES];

/* How a row stands on a device. */
typedef struct row {
    bool known; /* alive, or a tombstone */
    bool gone;
    bool made; /* by this device itself, in this version */
    tide_time stamp;
    tide_time version;
    int maker; /* the device of the version */
} row;

typedef struct snapshot {
    tide_time epoch;
    uint64_t count;
    row rows[RESOURCES][KEYS_MAX];
} snapshot;

struct world;

typedef struct device {
    struct world *world;
    int number;
    int identity; /* its own number; that of another device in a clone */
    uuid_t id;
    bool absent; /* nobody yet */
    bool born;   /* its library has been made: from now on it must be there */
    bool open;
    tide_library *library; /* NULL: closed, or of parts */
    tide_sync *sync;
    tide_store *store;
    tide_watermarks *marks;
    sqlite3 *shell;       /* another program's connection; NULL: closed */
    int64_t skew_ns;      /* of its clock against the world's time */
    int64_t skew_most_ns; /* the largest it has been */
    int crash;            /* what a crash under way leaves, and its seed */
    uint64_t crash_seed;
    uint64_t crashes;
    snapshot seen;
    bool loose;           /* what was written may not have been flushed */
    bool fresh;           /* `seen` is how it stands */
    snapshot kept;        /* what was durable here once, and must never be older again */
    snapshot forgotten;   /* deletions that were pruned here */
    bool ahead;           /* its marks may be ahead of its rows, until the engine has looked */
    tide_time told_epoch; /* of a copy: others may have seen other rows under it; 0: none */
    disk_copy *saved;
} device;

typedef struct letter {
    struct letter *next;
    int64_t arrives_ns;
    size_t size;
    char bytes[];
} letter;

typedef struct end {
    device *device;
    tide_session *session;
    letter *inbox; /* by arrival */
} end;

/* Rates in parts per million. */
typedef struct faults {
    uint32_t loss;
    uint32_t duplicate;
    uint32_t reorder;
} faults;

typedef struct link_pair {
    bool open;
    end ends[2];
    faults faults;
    sim_random random;
    uint64_t posted;
} link_pair;

typedef struct world {
    int device_count;
    int resource_count;
    bool far_clocks; /* clocks may differ by more than a peer accepts */
    bool clones;     /* there may be two of a device */
    bool healing;
    bool verbose;
    bool prunes;    /* deletions were forgotten */
    bool returns;   /* and may have returned: something was restored, doubled or given up */
    int64_t now_ns; /* since the world began */
    sim_random random;
    uint64_t hash;
    uint64_t messages;
    row deleted[RESOURCES][KEYS_MAX]; /* the newest deletion that anybody made; `made`: for certain */
    device devices[DEVICES_MAX];
    link_pair links[DEVICES_MAX][DEVICES_MAX]; /* [a][b] with a < b */
    char failure[FAILURE_BYTES];               /* empty: nothing */
} world;

/* ---- world.c ------------------------------------------------------------------------------------ */

/* Once in the process: SQLite's clock and random numbers become the world's. */
void world_prepare(void);

void world_begin(world *w, uint64_t seed, int device_count, int resource_count);
void world_end(world *w);

/* Keeps the first failure. */
void world_fail(world *w, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool world_failed(const world *w);

/* What happened goes into the hash, and is shown when verbose. */
void world_note(world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_hash(world *w, const void *bytes, size_t size);

/* ---- device.c ----------------------------------------------------------------------------------- */

/* Opens its library, making it the first time, and after a crash meanwhile once more. */
bool device_open(device *d);
void device_close(device *d); /* with its sessions and its shell */

/* From here on what is called is called on this device: it decides SQLite's clock. */
void device_enter(device *d);
tide_time device_now(const device *d);

sqlite3 *device_database(device *d);
sqlite3 *device_shell(device *d, bool full); /* NULL: it failed */

/* An answer that is an error fails the run, unless the drive is off. False: it was an error. */
bool device_answer(device *d, const char *what, int rc);
bool device_run(device *d, sqlite3 *db, const char *sql);

/* What is on the device now was flushed: it must stay. */
void device_keep(device *d);

/* What was kept is there, or something newer. */
void device_check_kept(device *d);

/* Deletions that it has here may be forgotten from now on. */
void device_may_forget(device *d);

/* If its drive is off: it goes down, and comes up with what is left. */
void device_settle(device *d);

const snapshot *device_snapshot(device *d);

/* A row's key as text. */
void key_text(int r, int key, char out[UUID_STR_LEN]);

/* ---- link.c ------------------------------------------------------------------------------------- */

link_pair *link_between(world *w, int a, int b);
bool link_open(link_pair *l, device *a, device *b, const faults *f, uint64_t seed);
void link_cut(link_pair *l, bool lose); /* what is under way may reach later sessions */
void link_cut_all(device *d);

/* Delivers up to `most` messages; time goes on as they need. True: nothing more will come. */
bool link_run(link_pair *l, uint64_t most);

/* ---- check.c ------------------------------------------------------------------------------------ */

/* Marks never claim what is not there, and what was durable has stayed. */
void check_marks(world *w);
/* All devices hold the same rows; *best is the newest that any of them held. */
void check_equal(world *w, const snapshot *best);
/* The newest of each row that any device holds. */
void check_collect(world *w, snapshot *best);
bool row_is_older(const row *left, const row *right); /* of the same version, a deletion is newer */

/* ---- heal.c ------------------------------------------------------------------------------------- */

/* Without faults, until everybody is through; then everything is checked. */
void heal(world *w);

#endif
