/* snapshot.h - a library as it is at one moment: its rows, peers, marks, acks and parked rows.
 *
 * `status` shows one and `watch` compares two. Each part is read on its own: what others write
 * meanwhile may be in a later part and not in an earlier one.
 */
#ifndef TIDEMARK_CLI_SNAPSHOT_H
#define TIDEMARK_CLI_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"

/* ---- snapshot.c ------------------------------------------------------------------------------ */

typedef struct cli_resource {
    char name[TIDE_MODEL_NAME_MAX + 1];
    tide_resource_info info;
} cli_resource;

typedef struct cli_peer {
    tide_peer peer;
    char *name; /* valid UTF-8; NULL: none is known */
} cli_peer;

/* Of this device about a peer, or of a peer about this device. */
typedef struct cli_mark {
    uuid_t peer;
    char *resource;
    tide_mark mark;
    uint64_t behind; /* an ack: rows and deletions behind it */
} cli_mark;

typedef struct cli_marks {
    cli_mark *items; /* in order of peer and resource */
    size_t count;
    size_t space;
} cli_marks;

/* A row that came from a peer and could not be written. */
typedef struct cli_parked {
    tide_parked row; /* without its pointers */
    char *resource;
    char *key;    /* valid UTF-8; bytes in base 16 */
    char *reason; /* valid UTF-8 */
} cli_parked;

typedef struct cli_snapshot {
    tide_time now;
    bool recovering;
    cli_resource resources[TIDE_MODELS_MAX];
    size_t resource_count;
    cli_peer *peers;
    size_t peer_count;
    size_t peer_space;
    cli_marks marks;
    cli_marks acks;
    cli_parked *parked; /* those that have waited longest first */
    size_t parked_count;
    size_t parked_space;
} cli_snapshot;

/* CLI_YES or an exit code with a message. *out is to be freed in either case. */
int cli_snapshot_take(const cli_library *library, cli_snapshot *out);
void cli_snapshot_free(cli_snapshot *snapshot);

/* Where the peer's marks on our feed stand; NULL: it has told of none. */
const cli_mark *cli_snapshot_ack(const cli_snapshot *snapshot, const uuid_t peer,
                                 const char *resource);

/* How many rows and deletions lie behind an ack, which may be NULL. */
uint64_t cli_behind(const cli_resource *resource, const cli_mark *ack);

json_t *cli_peer_object(const cli_peer *peer, tide_time now);

/* ---- command_status.c ------------------------------------------------------------------------ */

/* Prints all of it, as text or as JSON. */
void cli_snapshot_print(const cli_library *library, const cli_snapshot *snapshot);

/* ---- prometheus.c ---------------------------------------------------------------------------- */

/* Prints all of it in the text format of Prometheus. */
void cli_snapshot_print_metrics(const cli_library *library, const cli_snapshot *snapshot);

#endif
