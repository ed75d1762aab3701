/* command_store.c - the commands on a bare store, one a run: parse, open, do, close.
 *
 * What the commands do is in store_verbs.c; the shell does the same on a store that it keeps open.
 */
#include "cli/cli.h"

#include <stdio.h>

/* As for libraries: what the store says while it is being opened may be the reason of a failure. */
static void on_notice(void *ctx, int code, const char *text)
{
    cli_store *store = ctx;

    (void)code;
    if (store->handle != NULL) {
        cli_note(store->call, "%s: %s", store->path, text);
    } else {
        snprintf(store->notice, sizeof store->notice, "%s", text);
    }
}

int cli_store_open(cli_call *call, const char *path, bool create, cli_store *store)
{
    tide_options options;
    int rc;

    *store = (cli_store){.call = call, .path = path};
    tide_options_init(&options);
    options.flags = create ? 0 : TIDE_MUST_EXIST;
    options.notice = on_notice;
    options.notice_ctx = store;
    rc = tide_open(path, &options, &store->handle);
    if (rc != TIDE_OK) {
        return cli_fail_code(call, rc, path, store->notice);
    }
    if (store->notice[0] != '\0') {
        cli_note(call, "%s: %s", path, store->notice);
    }
    return CLI_YES;
}

void cli_store_close(cli_store *store)
{
    tide_close(store->handle);
    store->handle = NULL;
}

int cli_run_verb(cli_call *call)
{
    const cli_verb *verb = cli_find_verb(call->command->name);
    cli_request request;
    cli_store store;
    int rc = cli_read_request(call, verb, 1, &request);

    if (rc == CLI_YES && verb->removes) {
        rc = cli_confirm(call, "remove marks", "remove %s of device %s about %s from %s?",
                         call->operand_count > 3 ? call->operands[3] : "every mark",
                         call->operands[1], call->operands[2], call->operands[0]);
    }
    if (rc != CLI_YES) {
        return rc;
    }
    rc = cli_store_open(call, call->operands[0], verb->creates, &store);
    if (rc == CLI_YES) {
        rc = verb->run(call, &store, &request);
    }
    cli_store_close(&store);
    return rc;
}
