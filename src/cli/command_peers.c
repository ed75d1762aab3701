/* command_peers.c - `peers`, `prune` and `accept`: who follows a library, and what it keeps for them.
 *
 * A deletion is remembered until every registered peer has acknowledged it. What `prune` leaves lies
 * behind the least ack of a resource, so the peers that have it are those that hold all of it back;
 * others may hold back a part.
 */
#include "cli/snapshot.h"

#include <inttypes.h>
#include <string.h>

/* Opens the library, runs `work` on it, closes it. */
static int with_library(cli_call *call, int (*work)(const cli_library *library))
{
    cli_library_request request = {.path = call->operands[0]};
    cli_library library;
    int rc = cli_library_open(call, &request, &library);

    if (rc == CLI_YES) {
        rc = work(&library);
    }
    cli_library_close(&library);
    return rc;
}

static void print_answer(cli_call *call, const char *word)
{
    if (call->json) {
        cli_print_json(call, json_pack("{s:s}", "answer", word));
    } else {
        cli_print(call, "%s\n", word);
    }
}

/* ---- peers ----------------------------------------------------------------------------------- */

static const cli_option peers_options[] = {
    {"remove", "DEVICE", "forget this peer and what it has acknowledged"},
    {"yes", NULL, "do not ask"},
    {NULL, NULL, NULL},
};

static void print_peer(cli_call *call, const cli_peer *peer, tide_time now)
{
    char device[CLI_UUID_TEXT];
    char since[TIDE_TIME_TEXT];
    char contact[TIDE_TIME_TEXT] = "-";
    char epoch[TIDE_TIME_TEXT];

    if (call->json) {
        cli_print_json(call, cli_peer_object(peer, now));
        return;
    }
    cli_uuid_text(peer->peer.device, device);
    tide_time_format(peer->peer.since, since);
    tide_time_format(peer->peer.epoch, epoch);
    if (peer->peer.contact != TIDE_TIME_NONE) {
        tide_time_format(peer->peer.contact, contact);
    }
    cli_print_line(call, "%-36s %-30s %-30s %-30s %s", device, since, contact, epoch,
                   peer->name != NULL ? peer->name : "-");
}

static int list_peers(const cli_library *library)
{
    cli_call *call = library->call;
    cli_snapshot snapshot;
    int rc = cli_snapshot_take(library, &snapshot);

    if (rc == CLI_YES && !call->json && snapshot.peer_count > 0) {
        cli_print(call, "%-36s %-30s %-30s %-30s %s\n", "PEER", "FIRST SEEN", "LAST CONTACT",
                  "EPOCH", "NAME");
    }
    for (size_t i = 0; rc == CLI_YES && i < snapshot.peer_count; i++) {
        print_peer(call, &snapshot.peers[i], snapshot.now);
    }
    cli_snapshot_free(&snapshot);
    return rc;
}

static int remove_peer(const cli_library *library)
{
    cli_call *call = library->call;
    uuid_t peer;
    int rc = cli_read_uuid(call, "--remove", cli_option_value(call, "remove"), peer);

    if (rc != CLI_YES) {
        return rc;
    }
    rc = tide_sync_remove_peer(library->sync, peer);
    if (rc >= 0) {
        print_answer(call, rc == TIDE_OK ? "ok" : "absent");
    }
    return cli_fail_sync(call, rc, library->path, library->sync);
}

static int run_peers(cli_call *call)
{
    const char *text = cli_option_value(call, "remove");
    uuid_t peer;
    int rc;

    if (text == NULL && cli_option_value(call, "yes") != NULL) {
        return cli_fail(call, CLI_USAGE, "--yes: only with --remove");
    }
    if (text == NULL) {
        return with_library(call, list_peers);
    }
    rc = cli_read_uuid(call, "--remove", text, peer);
    if (rc == CLI_YES) {
        rc = cli_confirm(call, "forget a peer", "forget peer %s of %s?", text, call->operands[0]);
    }
    return rc == CLI_YES ? with_library(call, remove_peer) : rc;
}

const cli_command cli_command_peers = {
    .name = "peers",
    .operands = "LIBRARY",
    .options = peers_options,
    .summary = "Lists the peers of a library, or forgets one.",
    .run = run_peers,
};

/* ---- prune ----------------------------------------------------------------------------------- */

/* The least ack of a resource; TIDE_TIME_NONE: a peer has told of none. */
static tide_time least_ack(const cli_snapshot *snapshot, const char *resource)
{
    tide_time least = TIDE_TIME_MAX;

    for (size_t i = 0; i < snapshot->peer_count; i++) {
        const cli_mark *ack = cli_snapshot_ack(snapshot, snapshot->peers[i].peer.device, resource);
        tide_time watermark = ack != NULL ? ack->mark.watermark : TIDE_TIME_NONE;

        least = watermark < least ? watermark : least;
    }
    return least;
}

static void print_held(cli_call *call, const cli_peer *peer, const cli_resource *resource,
                       tide_time ack)
{
    char device[CLI_UUID_TEXT];
    char watermark[TIDE_TIME_TEXT];

    if (call->json) {
        cli_print_json(call, json_pack("{s:s, s:o, s:s?, s:s, s:o, s:o}", "type", "held", "peer",
                                       cli_json_uuid(peer->peer.device), "name", peer->name,
                                       "resource", resource->name, "deletions",
                                       cli_json_count(resource->info.tombstones), "ack",
                                       cli_json_time(ack)));
        return;
    }
    cli_uuid_text(peer->peer.device, device);
    tide_time_format(ack, watermark);
    cli_print_line(call, "%-36s %-14s %12" PRIu64 "  %-30s %s", device, resource->name,
                   resource->info.tombstones, ack != TIDE_TIME_NONE ? watermark : "-",
                   peer->name != NULL ? peer->name : "-");
}

/* Whoever has only the least ack of a resource in which deletions are left. */
static void print_all_held(cli_call *call, const cli_snapshot *snapshot)
{
    bool header_printed = call->json;

    for (size_t i = 0; i < snapshot->resource_count; i++) {
        const cli_resource *r = &snapshot->resources[i];
        tide_time least = least_ack(snapshot, r->name);

        for (size_t j = 0; r->info.tombstones > 0 && j < snapshot->peer_count; j++) {
            const cli_peer *p = &snapshot->peers[j];
            const cli_mark *ack = cli_snapshot_ack(snapshot, p->peer.device, r->name);

            if ((ack != NULL ? ack->mark.watermark : TIDE_TIME_NONE) != least) {
                continue;
            }
            if (!header_printed) {
                cli_print(call, "\n%-36s %-14s %12s  %-30s %s\n", "HELD BACK BY", "RESOURCE",
                          "DELETIONS", "ACK", "NAME");
            }
            header_printed = true;
            print_held(call, p, r, least);
        }
    }
}

static int prune(const cli_library *library)
{
    cli_call *call = library->call;
    cli_snapshot snapshot;
    uint64_t pruned = 0;
    int rc = tide_sync_prune(library->sync, &pruned);

    if (rc != TIDE_OK) {
        return cli_fail_sync(call, rc, library->path, library->sync);
    }
    rc = cli_snapshot_take(library, &snapshot);
    if (rc == CLI_YES && snapshot.recovering) {
        rc = cli_fail(call, CLI_NO, "%s: is recovering; nothing is forgotten meanwhile",
                      library->path);
    } else if (rc == CLI_YES) {
        if (call->json) {
            cli_print_json(call, json_pack("{s:s, s:o}", "type", "prune", "forgotten",
                                           cli_json_count(pruned)));
        } else {
            cli_print(call, "%" PRIu64 " deletions forgotten\n", pruned);
        }
        print_all_held(call, &snapshot);
    }
    cli_snapshot_free(&snapshot);
    return rc;
}

static int run_prune(cli_call *call)
{
    return with_library(call, prune);
}

const cli_command cli_command_prune = {
    .name = "prune",
    .operands = "LIBRARY",
    .summary = "Forgets deletions that every peer has, and says who holds others back.",
    .run = run_prune,
};

/* ---- accept ---------------------------------------------------------------------------------- */

static const cli_option accept_options[] = {
    {"yes", NULL, "do not ask"},
    {NULL, NULL, NULL},
};

static int accept_rows(const cli_library *library)
{
    cli_call *call = library->call;
    int rc = tide_sync_is_recovering(library->sync);

    if (rc == 0) {
        return cli_fail(call, CLI_NO, "%s: is not recovering", library->path);
    }
    if (rc == 1) {
        rc = cli_confirm(call, "end the recovery",
                         "end the recovery of %s by letting its rows count as they are?",
                         library->path);
        if (rc != CLI_YES) {
            return rc;
        }
        rc = tide_sync_accept(library->sync);
    }
    if (rc == TIDE_OK) {
        print_answer(call, "ok");
    }
    return cli_fail_sync(call, rc, library->path, library->sync);
}

static int run_accept(cli_call *call)
{
    return with_library(call, accept_rows);
}

const cli_command cli_command_accept = {
    .name = "accept",
    .operands = "LIBRARY",
    .options = accept_options,
    .summary = "Ends a recovery by letting the rows of this library count as they are.",
    .run = run_accept,
};
