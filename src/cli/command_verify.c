/* command_verify.c - `verify`: whether a store or a library is sound, or, against another one,
 * whether two libraries have the same rows.
 *
 * The first looks at files alone, and opens nothing. The second counts rows and sums over keys and
 * versions on both sides from nothing, and moves none. Rows that one side has and the other has not
 * yet been given differ here, too: sync first.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SUM_BYTES sizeof(((tide_digest *)NULL)->sum)
#define SUM_TEXT (2 * SUM_BYTES + 1)

enum { HERE = 0, THERE = 1 };

typedef struct comparison {
    cli_call *call;
    cli_library libraries[2];
    char differing[CLI_MESSAGE_MAX]; /* names, with commas between them */
    uint64_t resources;
    uint64_t differences;
    int rc; /* exit code of what went wrong in a callback */
} comparison;

static void sum_text(const tide_digest *digest, char text[SUM_TEXT])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < SUM_BYTES; i++) {
        text[2 * i] = digits[digest->sum[i] >> 4];
        text[2 * i + 1] = digits[digest->sum[i] & 0xf];
    }
    text[SUM_TEXT - 1] = '\0';
}

static void print_resource(const comparison *c, const char *resource, const tide_digest digests[2],
                           bool equal)
{
    char sums[2][SUM_TEXT];

    if (!c->call->json) {
        cli_print(c->call, "%-14s %12" PRIu64 " %12" PRIu64 "  %s\n", resource, digests[HERE].rows,
                  digests[THERE].rows, equal ? "equal" : "different");
        return;
    }
    sum_text(&digests[HERE], sums[HERE]);
    sum_text(&digests[THERE], sums[THERE]);
    cli_print_json(c->call, json_pack("{s:s, s:s, s:b, s:o, s:o, s:s, s:s}", "type", "resource",
                                      "resource", resource, "equal", equal, "rows_here",
                                      cli_json_count(digests[HERE].rows), "rows_there",
                                      cli_json_count(digests[THERE].rows), "sum_here", sums[HERE],
                                      "sum_there", sums[THERE]));
}

static int compare_resource(void *ctx, const char *resource)
{
    comparison *c = ctx;
    tide_digest digests[2];
    size_t length = strlen(c->differing);
    bool equal;

    for (int i = HERE; i <= THERE; i++) {
        const cli_library *library = &c->libraries[i];
        int rc = tide_sync_digest(library->sync, resource, &digests[i]);

        if (rc != TIDE_OK) {
            c->rc = cli_fail_sync(c->call, rc, library->path, library->sync);
            return 1;
        }
    }
    equal = digests[HERE].rows == digests[THERE].rows &&
            memcmp(digests[HERE].sum, digests[THERE].sum, SUM_BYTES) == 0;
    c->resources++;
    c->differences += equal ? 0 : 1;
    if (!equal) {
        snprintf(c->differing + length, sizeof c->differing - length, "%s%s",
                 length > 0 ? ", " : "", resource);
    }
    print_resource(c, resource, digests, equal);
    return 0;
}

static int open_both(comparison *c)
{
    const char *paths[2] = {c->call->operands[0], cli_option_value(c->call, "against")};
    char here[CLI_UUID_TEXT];
    char there[CLI_UUID_TEXT];
    int rc = cli_refuse_same_folder(c->call, paths[HERE], paths[THERE]);

    for (int i = HERE; rc == CLI_YES && i <= THERE; i++) {
        cli_library_request request = {.path = paths[i]};

        rc = cli_library_open(c->call, &request, &c->libraries[i]);
    }
    if (rc == CLI_YES && uuid_compare(c->libraries[HERE].id, c->libraries[THERE].id) != 0) {
        cli_uuid_text(c->libraries[HERE].id, here);
        cli_uuid_text(c->libraries[THERE].id, there);
        rc = cli_fail(c->call, CLI_FAILURE, "%s: is of library %s, and %s of %s", paths[THERE],
                      there, paths[HERE], here);
    }
    return rc;
}

static int compare_libraries(comparison *c)
{
    const cli_library *here = &c->libraries[HERE];
    int rc;

    if (!c->call->json) {
        cli_print(c->call, "%-14s %12s %12s\n", "RESOURCE", "HERE", "THERE");
    }
    rc = tide_sync_order(here->sync, compare_resource, c);
    if (rc != TIDE_OK) {
        return c->rc != CLI_YES ? c->rc : cli_fail_sync(c->call, rc, here->path, here->sync);
    }
    if (c->call->json) {
        cli_print_json(c->call,
                       json_pack("{s:s, s:b, s:o, s:o}", "type", "verify", "equal",
                                 c->differences == 0, "resources", cli_json_count(c->resources),
                                 "different", cli_json_count(c->differences)));
    }
    if (c->differences > 0) {
        return cli_fail(c->call, CLI_CORRUPT, "%s: has other rows than %s: %s", here->path,
                        c->libraries[THERE].path, c->differing);
    }
    return CLI_YES;
}

/* ---- the files ------------------------------------------------------------------------------- */

static int check_files(cli_call *call)
{
    const char *path = call->operands[0];
    cli_heard heard = {.call = call, .prints = true};
    int rc = cli_is_folder(path) ? tide_library_verify(path, cli_hear, &heard)
                                 : tide_verify(path, cli_hear, &heard);

    if (call->json && (rc == TIDE_OK || rc == TIDE_ECORRUPT || rc == TIDE_EFORMAT)) {
        cli_print_json(call, json_pack("{s:s, s:b, s:o}", "type", "verify", "sound", rc == TIDE_OK,
                                       "findings", cli_json_count(heard.count)));
    } else if (rc == TIDE_OK) {
        cli_print(call, "sound\n");
    }
    if (rc == TIDE_OK) {
        return CLI_YES;
    }
    if (rc != TIDE_ECORRUPT && rc != TIDE_EFORMAT) {
        return cli_fail(call, cli_exit_of(rc), "%s", heard.first);
    }
    return cli_fail(call, cli_exit_of(rc), "%s: %s: %zu finding%s", path, tide_strerror(rc),
                    heard.count, heard.count == 1 ? "" : "s");
}

static int run_verify(cli_call *call)
{
    comparison c = {.call = call};
    int rc;

    if (cli_option_value(call, "against") == NULL) {
        return check_files(call);
    }
    if (!cli_is_folder(call->operands[0])) {
        return cli_fail(call, CLI_USAGE, "%s: not a library; --against compares libraries",
                        call->operands[0]);
    }
    rc = open_both(&c);
    if (rc == CLI_YES) {
        rc = compare_libraries(&c);
    }
    cli_library_close(&c.libraries[THERE]);
    cli_library_close(&c.libraries[HERE]);
    return rc;
}

static const cli_option verify_options[] = {
    {"against", "PEER", "compare the rows with those of this library instead"},
    {NULL, NULL, NULL},
};

const cli_command cli_command_verify = {
    .name = "verify",
    .operands = "STORE|LIBRARY",
    .options = verify_options,
    .summary = "Checks every page and mark; --against: are the rows the same?",
    .run = run_verify,
};
