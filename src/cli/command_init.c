/* command_init.c - `init`. */
#include "cli/cli.h"

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
