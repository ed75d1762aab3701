/* command_backup.c - `backup`, `restore` and `repair`: what keeps a store or a library safe.
 *
 * Whether it is one or the other is seen from what is there: a library is a folder. The work is the
 * libraries'; what they have to say comes as lines, of which a failure's first becomes the error
 * line, so that there is one.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPAIRED ".repaired"

bool cli_is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int cli_store_path(cli_call *call, const char *path, char out[PATH_MAX])
{
    int length = snprintf(out, PATH_MAX, cli_is_folder(path) ? "%s/sync.mdb" : "%s", path);

    return length < PATH_MAX ? CLI_YES : cli_fail(call, CLI_USAGE, "%s: name too long", path);
}

/* ---- what the libraries say ------------------------------------------------------------------ */

void cli_hear(void *ctx, int code, const char *text)
{
    cli_heard *heard = ctx;
    bool found = code == TIDE_OK || code == TIDE_ECORRUPT || code == TIDE_EFORMAT ||
                 code == TIDE_EIO; /* else it is why the call failed */

    if (code == TIDE_OK && !heard->prints) {
        cli_note(heard->call, "%s", text);
    } else if (found && heard->prints && heard->call->json) {
        cli_print_json(heard->call,
                       json_pack("{s:s, s:s, s:s}", "type", code == TIDE_OK ? "note" : "finding",
                                 "code", tide_code_name(code), "text", text));
    } else if (found && heard->prints) {
        cli_print_line(heard->call, "%s", text);
    }
    if (code != TIDE_OK && heard->count++ == 0) {
        snprintf(heard->first, sizeof heard->first, "%s", text);
    }
    if (code != TIDE_OK) {
        snprintf(heard->last, sizeof heard->last, "%s", text);
    }
}

/* The error line of a call that has failed. */
static int fail_heard(cli_call *call, int rc, const cli_heard *heard)
{
    int code = rc == TIDE_CONFLICT ? CLI_NO : cli_exit_of(rc);

    if (heard->count > 1) {
        return cli_fail(call, code, "%s; and %zu more: see 'tidemark verify'", heard->first,
                        heard->count - 1);
    }
    return cli_fail(call, code, "%s", heard->count > 0 ? heard->first : tide_strerror(rc));
}

static int answer_ok(cli_call *call)
{
    if (call->json) {
        cli_print_json(call, json_pack("{s:s}", "answer", "ok"));
    } else {
        cli_print(call, "ok\n");
    }
    return CLI_YES;
}

/* ---- backup ---------------------------------------------------------------------------------- */

static int back_up_store(cli_call *call, const char *path, const char *target, bool replace)
{
    cli_store store;
    int rc = cli_store_open(call, path, false, &store);

    if (rc == CLI_YES) {
        int code = tide_backup(store.handle, target, replace ? TIDE_REPLACE : 0);

        rc = code == TIDE_CONFLICT ? cli_fail(call, CLI_NO, "%s: is there already", target)
                                   : cli_fail_store(call, code, path, store.handle);
    }
    cli_store_close(&store);
    return rc;
}

static int back_up_library(cli_call *call, const char *path, const char *target)
{
    cli_library_request request = {.path = path};
    cli_heard heard = {.call = call};
    cli_library library;
    int rc = cli_library_open(call, &request, &library);

    if (rc == CLI_YES) {
        int code = tide_library_backup(library.handle, target, cli_hear, &heard);

        rc = code == TIDE_OK ? CLI_YES : fail_heard(call, code, &heard);
    }
    cli_library_close(&library);
    return rc;
}

static int run_backup(cli_call *call)
{
    const char *path = call->operands[0];
    bool replace = cli_option_value(call, "replace") != NULL;
    int rc;

    if (!cli_is_folder(path)) {
        rc = back_up_store(call, path, call->operands[1], replace);
    } else if (replace) {
        rc = cli_fail(call, CLI_USAGE, "--replace: not for a library; name a new folder");
    } else {
        rc = back_up_library(call, path, call->operands[1]);
    }
    return rc == CLI_YES ? answer_ok(call) : rc;
}

/* ---- restore --------------------------------------------------------------------------------- */

static int run_restore(cli_call *call)
{
    const char *from = call->operands[0];
    const char *path = call->operands[1];
    cli_heard heard = {.call = call};
    int rc;

    if (cli_is_folder(from)) {
        rc = tide_library_restore(from, path, cli_hear, &heard);
    } else if (cli_is_folder(path)) {
        return cli_fail(call, CLI_USAGE, "%s: is a library, and %s a store", path, from);
    } else {
        rc = tide_restore(from, path, cli_hear, &heard);
    }
    return rc == TIDE_OK ? answer_ok(call) : fail_heard(call, rc, &heard);
}

/* ---- repair ---------------------------------------------------------------------------------- */

static json_t *count_or_null(uint64_t count)
{
    return count == TIDE_MARKS_UNKNOWN ? json_null() : cli_json_count(count);
}

static void print_repaired(cli_call *call, const tide_repaired *repaired, const char *where)
{
    static const char *const names[] = {"", "last", "previous", "pages"};
    char *shown = cli_utf8_escape(where);

    if (call->json) {
        cli_print_json(call, shown == NULL ? NULL
                                           : json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}",
                                                       "type", "repair", "store", shown, "from",
                                                       names[repaired->from], "marks",
                                                       cli_json_count(repaired->marks), "recorded",
                                                       count_or_null(repaired->recorded), "lost",
                                                       count_or_null(repaired->lost), "older",
                                                       cli_json_count(repaired->older)));
    } else {
        cli_print_line(call, "%s: is sound, and has %" PRIu64 " marks", where, repaired->marks);
    }
    free(shown);
}

static int run_repair(cli_call *call)
{
    char path[PATH_MAX];
    char target[PATH_MAX];
    cli_heard heard = {.call = call, .prints = true};
    tide_repaired repaired = {.size = sizeof repaired};
    bool in_place = cli_option_value(call, "in-place") != NULL;
    int rc = cli_store_path(call, call->operands[0], path);

    if (rc != CLI_YES) {
        return rc;
    }
    if (snprintf(target, sizeof target, "%s" REPAIRED, path) >= (int)sizeof target) {
        return cli_fail(call, CLI_USAGE, "%s: name too long", path);
    }
    rc = tide_repair(path, target, cli_hear, &heard, &repaired);
    if (rc != TIDE_OK) {
        return cli_fail(call, rc == TIDE_CONFLICT ? CLI_NO : cli_exit_of(rc), "%s", heard.last);
    }
    if (in_place) {
        heard = (cli_heard){.call = call, .prints = true};
        rc = tide_restore(target, path, cli_hear, &heard);
        if (rc != TIDE_OK) {
            return fail_heard(call, rc, &heard);
        }
        (void)unlink(target); /* a copy of what is in its place now */
    }
    print_repaired(call, &repaired, in_place ? path : target);
    return CLI_YES;
}

/* ---- the table ------------------------------------------------------------------------------- */

static const cli_option backup_options[] = {
    {"replace", NULL, "replace TARGET, a store, if it is there"},
    {NULL, NULL, NULL},
};

const cli_command cli_command_backup = {
    .name = "backup",
    .operands = "STORE|LIBRARY TARGET",
    .options = backup_options,
    .summary = "Copies a store or a library while others go on writing.",
    .run = run_backup,
};

const cli_command cli_command_restore = {
    .name = "restore",
    .operands = "BACKUP STORE|LIBRARY",
    .summary = "Puts a backup in its place, and keeps what was there.",
    .run = run_restore,
};

static const cli_option repair_options[] = {
    {"in-place", NULL, "put the new store in the place of the damaged one, which is kept"},
    {NULL, NULL, NULL},
};

const cli_command cli_command_repair = {
    .name = "repair",
    .operands = "STORE|LIBRARY",
    .options = repair_options,
    .summary = "Makes a new store of what a damaged one still holds.",
    .run = run_repair,
};
