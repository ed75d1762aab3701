/* command_library.c - `init` and `status`. */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- init
 * ------------------------------------------------------------------------------------------- */

static const cli_option init_options[] = {
    {"name", "NAME", "what to call this device; default: the host's name"},
    {"join", "LIBRARY", "belong to the same library as this one, as another device"},
    {NULL, NULL, NULL},
};

static int read_library_id(cli_call *call, const char *path, uuid_t id)
{
    cli_library_request request = {.path = path};
    cli_library library;
    int rc = cli_library_open(call, &request, &library);

    if (rc == CLI_YES) {
        uuid_copy(id, library.id);
    }
    cli_library_close(&library);
    return rc;
}

static void print_identity(cli_call *call, const cli_library *library)
{
    char id[CLI_UUID_TEXT];
    char device[CLI_UUID_TEXT];

    if (call->json) {
        cli_print_json(call, json_pack("{s:s, s:o, s:o}", "path", library->shown_path, "library",
                                       cli_json_uuid(library->id), "device",
                                       cli_json_uuid(library->device)));
        return;
    }
    cli_uuid_text(library->id, id);
    cli_uuid_text(library->device, device);
    cli_print(call, "library  %s\ndevice   %s\n", id, device);
}

static int run_init(cli_call *call)
{
    const char *join = cli_option_value(call, "join");
    const char *name = cli_option_value(call, "name");
    cli_library_request request = {.path = call->operands[0],
                                   .flags = TIDE_CREATE_LIBRARY | TIDE_NEW_LIBRARY,
                                   .device_name = name};
    cli_library library;
    uuid_t joined;
    int rc;

    if (name != NULL && (name[0] == '\0' || !cli_utf8_valid(name))) {
        return cli_fail(call, CLI_USAGE, "--name '%s': empty or not valid UTF-8", name);
    }
    if (join != NULL) {
        rc = read_library_id(call, join, joined);
        if (rc != CLI_YES) {
            return rc;
        }
        request.join = joined;
    }
    rc = cli_library_open(call, &request, &library);
    if (rc == CLI_YES) {
        print_identity(call, &library);
    }
    cli_library_close(&library);
    return rc;
}

const cli_command cli_command_init = {
    .name = "init",
    .operands = "LIBRARY",
    .options = init_options,
    .summary = "Makes a library, or makes the database.db of another program into one.",
    .run = run_init,
};

/* ---- status
 * ----------------------------------------------------------------------------------------- */

#define KEY_TEXT 128     /* bytes of a key that are shown */
#define PARKED_SHOWN 20u /* parked rows, except as JSON */

typedef struct status_walk {
    cli_call *call;
    cli_library *library;
    tide_time now;
    bool about_us; /* marks of the peers about this device, and not the other way round */
    bool header_printed;
    uint64_t parked; /* rows */
    int rc;          /* exit code of what went wrong in a callback */
} status_walk;

static int show_resource(void *ctx, const char *resource)
{
    status_walk *walk = ctx;
    cli_call *call = walk->call;
    tide_resource_info info = {.size = sizeof info};
    char head[TIDE_TIME_TEXT];
    int rc = tide_sync_resource_info(walk->library->sync, resource, &info);

    if (rc != TIDE_OK) {
        return rc;
    }
    if (call->json) {
        return !cli_print_json(
            call,
            json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "type", "resource", "resource",
                      resource, "ownership",
                      info.ownership == TIDE_DEVICE_OWNED ? "device" : "shared", "rows",
                      cli_json_count(info.rows), "tombstones", cli_json_count(info.tombstones),
                      "parked", cli_json_count(info.parked), "head", cli_json_time(info.head)));
    }
    if (!walk->header_printed) {
        cli_print(call, "\n%-14s %12s %12s %12s  %s\n", "RESOURCE", "ROWS", "TOMBSTONES", "PARKED",
                  "HEAD");
    }
    walk->header_printed = true;
    tide_time_format(info.head, head);
    return !cli_print(call, "%-14s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %s\n", resource,
                      info.rows, info.tombstones, info.parked,
                      info.head == TIDE_TIME_NONE ? "-" : head);
}

/* A key as text; bytes in base 16. */
static void key_text(const tide_value *key, char text[KEY_TEXT])
{
    const unsigned char *bytes = key->data;

    text[0] = '\0';
    switch (key->type) {
    case TIDE_INTEGER:
        snprintf(text, KEY_TEXT, "%" PRId64, key->integer);
        break;
    case TIDE_FLOAT:
        snprintf(text, KEY_TEXT, "%.17g", key->real);
        break;
    case TIDE_STRING:
        snprintf(text, KEY_TEXT, "%.*s", (int)(key->bytes < KEY_TEXT ? key->bytes : KEY_TEXT - 1),
                 (const char *)key->data);
        break;
    default:
        for (size_t i = 0; i < key->bytes && 2 * i + 2 < KEY_TEXT; i++) {
            snprintf(text + 2 * i, 3, "%02X", bytes[i]);
        }
    }
    if (!cli_utf8_valid(text)) { /* cut within a character, or never UTF-8 */
        snprintf(text, KEY_TEXT, "?");
    }
}

static int show_parked(void *ctx, const tide_parked *row)
{
    status_walk *walk = ctx;
    cli_call *call = walk->call;
    char key[KEY_TEXT];
    char since[TIDE_TIME_TEXT];

    key_text(&row->key, key);
    if (call->json) {
        return !cli_print_json(
            call, json_pack("{s:s, s:s, s:s, s:b, s:o, s:o, s:s, s:s, s:o, s:o}", "type", "parked",
                            "resource", row->resource, "key", key, "deleted", (int)row->deleted,
                            "version", cli_json_time(row->version), "device",
                            cli_json_uuid(row->version_device), "code", tide_code_name(row->code),
                            "reason", row->reason, "since", cli_json_time(row->since), "tries",
                            cli_json_count(row->tries)));
    }
    if (walk->parked++ >= PARKED_SHOWN) {
        return 0;
    }
    if (!walk->header_printed) {
        cli_print(call, "\n%-14s %-36s %6s %-30s  %s\n", "PARKED", "KEY", "TRIES", "SINCE",
                  "REASON");
    }
    walk->header_printed = true;
    tide_time_format(row->since, since);
    return !cli_print_line(call, "%-14s %-36s %6" PRIu64 " %s  %s", row->resource, key, row->tries,
                           since, row->reason);
}

static int show_all_parked(status_walk *walk)
{
    int rc;

    walk->header_printed = false;
    rc = tide_sync_parked(walk->library->sync, show_parked, walk);
    if (rc == TIDE_OK && walk->parked > PARKED_SHOWN) {
        cli_print(walk->call, "and %" PRIu64 " more\n", walk->parked - PARKED_SHOWN);
    }
    return rc;
}

static int show_mark(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                     const tide_mark *mark)
{
    status_walk *walk = ctx;
    cli_call *call = walk->call;
    const unsigned char *other = walk->about_us ? device : peer;
    int64_t age_ns = cli_age_ns(walk->now, mark->watermark);
    char other_text[CLI_UUID_TEXT];
    char watermark[TIDE_TIME_TEXT];
    char updated_at[TIDE_TIME_TEXT];
    char age[CLI_AGE_TEXT];

    if (uuid_compare(device, peer) == 0) { /* of our own history */
        return 0;
    }
    if (call->json) {
        return !cli_print_json(call, json_pack("{s:s, s:o, s:s, s:o, s:o, s:o}", "type",
                                               walk->about_us ? "ack" : "mark", "peer",
                                               cli_json_uuid(other), "resource", resource,
                                               "watermark", cli_json_time(mark->watermark),
                                               "updated_at", cli_json_time(mark->updated_at),
                                               "age_ns", cli_json_signed(age_ns)));
    }
    if (!walk->header_printed) {
        cli_print(call, "\n%-36s %-14s %-30s %10s  %s\n", walk->about_us ? "PEER HAS" : "PEER",
                  "RESOURCE", "WATERMARK", "AGE", "UPDATED");
    }
    walk->header_printed = true;
    cli_uuid_text(other, other_text);
    tide_time_format(mark->watermark, watermark);
    tide_time_format(mark->updated_at, updated_at);
    cli_age_text(age_ns, age);
    return !cli_print(call, "%-36s %-14s %s %10s  %s\n", other_text, resource, watermark, age,
                      updated_at);
}

static void show_identity(cli_call *call, const cli_library *library)
{
    char id[CLI_UUID_TEXT];
    char device[CLI_UUID_TEXT];

    if (call->json) {
        cli_print_json(call, json_pack("{s:s, s:s, s:o, s:o}", "type", "library", "path",
                                       library->shown_path, "library", cli_json_uuid(library->id),
                                       "device", cli_json_uuid(library->device)));
        return;
    }
    cli_uuid_text(library->id, id);
    cli_uuid_text(library->device, device);
    cli_print(call, "device   %s\nlibrary  %s\n", device, id);
    cli_print_line(call, "path     %s", library->shown_path);
}

static int show_library(cli_call *call, cli_library *library)
{
    status_walk walk = {.call = call, .library = library, .now = cli_now()};
    int rc;

    show_identity(call, library);
    rc = tide_sync_order(library->sync, show_resource, &walk);
    if (rc == TIDE_OK) {
        rc = show_all_parked(&walk);
    }
    if (rc != TIDE_OK) {
        return cli_fail_sync(call, rc, library->path, library->sync);
    }
    walk.header_printed = false;
    rc = tide_each(library->store, library->device, NULL, NULL, show_mark, &walk);
    if (rc != TIDE_OK) {
        return cli_fail_store(call, rc, library->path, library->store);
    }
    walk.header_printed = false;
    walk.about_us = true;
    rc = tide_each(library->store, NULL, library->device, NULL, show_mark, &walk);
    return cli_fail_store(call, rc, library->path, library->store);
}

static int run_status(cli_call *call)
{
    cli_library_request request = {.path = call->operands[0]};
    cli_library library;
    int rc = cli_library_open(call, &request, &library);

    if (rc == CLI_YES) {
        rc = show_library(call, &library);
    }
    cli_library_close(&library);
    return rc;
}

const cli_command cli_command_status = {
    .name = "status",
    .operands = "LIBRARY",
    .summary = "Shows a library's rows and how far it and its peers have got.",
    .run = run_status,
};
