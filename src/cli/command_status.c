/* command_status.c - `status`: a library's rows, its peers, and how far it and they have got. */
#include "cli/snapshot.h"

#include <inttypes.h>
#include <stdio.h>

#define PARKED_SHOWN 20u /* parked rows, except as JSON */

static void print_identity(const cli_library *library, const cli_snapshot *snapshot)
{
    cli_call *call = library->call;
    char id[CLI_UUID_TEXT];
    char device[CLI_UUID_TEXT];

    if (call->json) {
        cli_print_json(call, json_pack("{s:s, s:s, s:o, s:o, s:b}", "type", "library", "path",
                                       library->shown_path, "library", cli_json_uuid(library->id),
                                       "device", cli_json_uuid(library->device), "recovering",
                                       snapshot->recovering));
        return;
    }
    cli_uuid_text(library->id, id);
    cli_uuid_text(library->device, device);
    cli_print(call, "device   %s\nlibrary  %s\n", device, id);
    cli_print_line(call, "path     %s", library->shown_path);
    cli_print(call, "recovery %s\n", snapshot->recovering ? "under way" : "none");
}

static void print_resources(cli_call *call, const cli_snapshot *snapshot)
{
    if (!call->json) {
        cli_print(call, "\n%-14s %12s %12s %12s  %s\n", "RESOURCE", "ROWS", "TOMBSTONES", "PARKED",
                  "HEAD");
    }
    for (size_t i = 0; i < snapshot->resource_count; i++) {
        const cli_resource *r = &snapshot->resources[i];
        const tide_resource_info *info = &r->info;
        char head[TIDE_TIME_TEXT];

        if (call->json) {
            cli_print_json(
                call, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "type", "resource",
                                "resource", r->name, "ownership",
                                info->ownership == TIDE_DEVICE_OWNED ? "device" : "shared", "rows",
                                cli_json_count(info->rows), "tombstones",
                                cli_json_count(info->tombstones), "parked",
                                cli_json_count(info->parked), "head", cli_json_time(info->head)));
            continue;
        }
        tide_time_format(info->head, head);
        cli_print(call, "%-14s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %s\n", r->name, info->rows,
                  info->tombstones, info->parked, info->head == TIDE_TIME_NONE ? "-" : head);
    }
}

static void print_peers(cli_call *call, const cli_snapshot *snapshot)
{
    if (!call->json && snapshot->peer_count > 0) {
        cli_print(call, "\n%-36s %-30s %10s  %s\n", "PEER", "LAST CONTACT", "AGE", "NAME");
    }
    for (size_t i = 0; i < snapshot->peer_count; i++) {
        const cli_peer *p = &snapshot->peers[i];
        bool met = p->peer.contact != TIDE_TIME_NONE;
        char device[CLI_UUID_TEXT];
        char contact[TIDE_TIME_TEXT];
        char age[CLI_AGE_TEXT] = "-";

        if (call->json) {
            cli_print_json(call, cli_peer_object(p, snapshot->now));
            continue;
        }
        cli_uuid_text(p->peer.device, device);
        tide_time_format(p->peer.contact, contact);
        if (met) {
            cli_age_text(cli_age_ns(snapshot->now, p->peer.contact), age);
        }
        cli_print_line(call, "%-36s %-30s %10s  %s", device, met ? contact : "-", age,
                       p->name != NULL ? p->name : "-");
    }
}

static void print_marks(cli_call *call, const cli_snapshot *snapshot)
{
    if (!call->json && snapshot->marks.count > 0) {
        cli_print(call, "\n%-36s %-14s %-30s %10s  %s\n", "PEER", "RESOURCE", "WATERMARK", "AGE",
                  "UPDATED");
    }
    for (size_t i = 0; i < snapshot->marks.count; i++) {
        const cli_mark *m = &snapshot->marks.items[i];
        int64_t age_ns = cli_age_ns(snapshot->now, m->mark.watermark);
        char peer[CLI_UUID_TEXT];
        char watermark[TIDE_TIME_TEXT];
        char updated_at[TIDE_TIME_TEXT];
        char age[CLI_AGE_TEXT];

        if (call->json) {
            cli_print_json(call, json_pack("{s:s, s:o, s:s, s:o, s:o, s:o}", "type", "mark", "peer",
                                           cli_json_uuid(m->peer), "resource", m->resource,
                                           "watermark", cli_json_time(m->mark.watermark),
                                           "updated_at", cli_json_time(m->mark.updated_at),
                                           "age_ns", cli_json_signed(age_ns)));
            continue;
        }
        cli_uuid_text(m->peer, peer);
        tide_time_format(m->mark.watermark, watermark);
        tide_time_format(m->mark.updated_at, updated_at);
        cli_age_text(age_ns, age);
        cli_print(call, "%-36s %-14s %-30s %10s  %s\n", peer, m->resource, watermark, age,
                  updated_at);
    }
}

/* ---- what the peers have --------------------------------------------------------------------- */

static void print_ack_json(cli_call *call, tide_time now, const cli_peer *peer,
                           const cli_resource *resource, const cli_mark *ack)
{
    json_t *behind = cli_json_count(cli_behind(resource, ack));
    json_t *age = ack != NULL ? cli_json_signed(cli_age_ns(now, ack->mark.watermark)) : json_null();

    cli_print_json(
        call,
        json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o}", "type", "ack", "peer",
                  cli_json_uuid(peer->peer.device), "resource", resource->name, "watermark",
                  cli_json_time(ack != NULL ? ack->mark.watermark : TIDE_TIME_NONE), "updated_at",
                  cli_json_time(ack != NULL ? ack->mark.updated_at : TIDE_TIME_NONE), "age_ns", age,
                  "behind", behind));
}

static void print_ack(cli_call *call, tide_time now, const cli_peer *peer,
                      const cli_resource *resource, const cli_mark *ack)
{
    char device[CLI_UUID_TEXT];
    char watermark[TIDE_TIME_TEXT] = "-";
    char age[CLI_AGE_TEXT] = "-";

    if (call->json) {
        print_ack_json(call, now, peer, resource, ack);
        return;
    }
    cli_uuid_text(peer->peer.device, device);
    if (ack != NULL) {
        tide_time_format(ack->mark.watermark, watermark);
        cli_age_text(cli_age_ns(now, ack->mark.watermark), age);
    }
    cli_print(call, "%-36s %-14s %-30s %10s  %" PRIu64 "\n", device, resource->name, watermark, age,
              cli_behind(resource, ack));
}

static void print_acks(cli_call *call, const cli_snapshot *snapshot)
{
    if (!call->json && snapshot->peer_count > 0) {
        cli_print(call, "\n%-36s %-14s %-30s %10s  %s\n", "PEER HAS", "RESOURCE", "ACK", "AGE",
                  "BEHIND IT");
    }
    for (size_t i = 0; i < snapshot->peer_count; i++) {
        const cli_peer *p = &snapshot->peers[i];

        for (size_t j = 0; j < snapshot->resource_count; j++) {
            const cli_resource *r = &snapshot->resources[j];

            print_ack(call, snapshot->now, p, r,
                      cli_snapshot_ack(snapshot, p->peer.device, r->name));
        }
    }
}

/* ---- parked rows ----------------------------------------------------------------------------- */

static void print_parked_json(cli_call *call, const cli_parked *parked)
{
    const tide_parked *row = &parked->row;

    cli_print_json(call,
                   json_pack("{s:s, s:s, s:s, s:b, s:o, s:o, s:s, s:s, s:o, s:o}", "type", "parked",
                             "resource", parked->resource, "key", parked->key, "deleted",
                             (int)row->deleted, "version", cli_json_time(row->version), "device",
                             cli_json_uuid(row->version_device), "code", tide_code_name(row->code),
                             "reason", parked->reason, "since", cli_json_time(row->since), "tries",
                             cli_json_count(row->tries)));
}

static void print_parked(cli_call *call, const cli_snapshot *snapshot)
{
    if (!call->json && snapshot->parked_count > 0) {
        cli_print(call, "\n%-14s %-36s %6s %-30s  %s\n", "PARKED", "KEY", "TRIES", "SINCE",
                  "REASON");
    }
    for (size_t i = 0; i < snapshot->parked_count; i++) {
        const cli_parked *p = &snapshot->parked[i];
        char since[TIDE_TIME_TEXT];

        if (call->json) {
            print_parked_json(call, p);
            continue;
        }
        if (i == PARKED_SHOWN) {
            cli_print(call, "and %zu more\n", snapshot->parked_count - i);
            break;
        }
        tide_time_format(p->row.since, since);
        cli_print_line(call, "%-14s %-36s %6" PRIu64 " %-30s  %s", p->resource, p->key,
                       p->row.tries, since, p->reason);
    }
}

void cli_snapshot_print(const cli_library *library, const cli_snapshot *snapshot)
{
    print_identity(library, snapshot);
    print_resources(library->call, snapshot);
    print_peers(library->call, snapshot);
    print_marks(library->call, snapshot);
    print_acks(library->call, snapshot);
    print_parked(library->call, snapshot);
}

/* ---- the command ----------------------------------------------------------------------------- */

static const cli_option status_options[] = {
    {"prometheus", NULL, "answer in the text format of Prometheus"},
    {NULL, NULL, NULL},
};

static int run_status(cli_call *call)
{
    cli_library_request request = {.path = call->operands[0]};
    cli_library library;
    cli_snapshot snapshot;
    int rc = cli_refuse_both_formats(call);

    if (rc != CLI_YES) {
        return rc;
    }
    rc = cli_library_open(call, &request, &library);
    if (rc == CLI_YES) {
        rc = cli_snapshot_take(&library, &snapshot);
        if (rc == CLI_YES && cli_option_value(call, "prometheus") != NULL) {
            cli_snapshot_print_metrics(&library, &snapshot);
        } else if (rc == CLI_YES) {
            cli_snapshot_print(&library, &snapshot);
        }
        cli_snapshot_free(&snapshot);
    }
    cli_library_close(&library);
    return rc;
}

const cli_command cli_command_status = {
    .name = "status",
    .operands = "LIBRARY",
    .options = status_options,
    .summary = "Shows a library's rows and how far it and its peers have got.",
    .run = run_status,
};
