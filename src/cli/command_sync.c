/* command_sync.c - `sync`: two libraries of this machine exchange their rows.
 *
 * One session each and a pipe between them. The pipe can lose, repeat, reorder and be cut on
 * request, which is how the protocol is tried on real folders: whatever is done to it, another
 * `sync` goes on from the marks. Faults come from a seed, and time in the pipe is virtual, so lost
 * messages cost no real time.
 */
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS_MAX 65536
#define RATE_MAX_PPM 900000 /* with nearly everything lost, nothing would ever end */

enum { FIRST = 0, SECOND = 1 };

typedef struct resource_count {
    char name[TIDE_MODEL_NAME_MAX + 1];
    uint64_t rows[2]; /* that arrived in the first and in the second library */
    bool differs;     /* though each side has everything of the other */
} resource_count;

typedef struct settings {
    tide_pipe_options pipe;
    tide_session_options session;
    uint64_t cut_after; /* rows; 0: never */
} settings;

typedef struct exchange exchange;

typedef struct side {
    exchange *whole;
    int index;
    cli_library library;
    tide_session *session;
} side;

struct exchange {
    cli_call *call;
    settings settings;
    side sides[2];
    tide_pipe *pipe;
    resource_count resources[TIDE_MODELS_MAX];
    size_t resource_count;
    uint64_t rows;
    uint64_t pruned[2];
    bool cut;
    bool diverged;
};

/* ---- options --------------------------------------------------------------------------------- */

static const cli_option sync_options[] = {
    {"cut-after", "ROWS", "cut the link when this many rows have arrived"},
    {"loss", "PPM", "lose so many of a million messages"},
    {"duplicate", "PPM", "deliver so many of a million messages twice"},
    {"reorder", "PPM", "let so many of a million messages be overtaken"},
    {"seed", "N", "of the faults: the same seed, the same run; default 0"},
    {"page-rows", "N", "rows asked for at a time; default 500"},
    {NULL, NULL, NULL},
};

static int read_number(cli_call *call, const char *name, uint64_t most, uint64_t least,
                       uint64_t *out)
{
    const char *text = cli_option_value(call, name);
    char what[32];

    if (text == NULL) {
        return CLI_YES;
    }
    snprintf(what, sizeof what, "--%s", name);
    return cli_read_count(call, what, text, least, most, out);
}

static int read_settings(cli_call *call, settings *out)
{
    uint64_t loss = 0;
    uint64_t duplicate = 0;
    uint64_t reorder = 0;
    uint64_t page_rows;
    int rc;

    tide_pipe_options_init(&out->pipe);
    tide_session_options_init(&out->session);
    out->cut_after = 0;
    page_rows = out->session.page_rows;
    rc = read_number(call, "cut-after", INT64_MAX, 1, &out->cut_after);
    if (rc == CLI_YES) {
        rc = read_number(call, "loss", RATE_MAX_PPM, 0, &loss);
    }
    if (rc == CLI_YES) {
        rc = read_number(call, "duplicate", RATE_MAX_PPM, 0, &duplicate);
    }
    if (rc == CLI_YES) {
        rc = read_number(call, "reorder", RATE_MAX_PPM, 0, &reorder);
    }
    if (rc == CLI_YES) {
        rc = read_number(call, "seed", UINT64_MAX, 0, &out->pipe.seed);
    }
    if (rc == CLI_YES) {
        rc = read_number(call, "page-rows", PAGE_ROWS_MAX, 1, &page_rows);
    }
    out->pipe.loss_ppm = (uint32_t)loss;
    out->pipe.duplicate_ppm = (uint32_t)duplicate;
    out->pipe.reorder_ppm = (uint32_t)reorder;
    out->session.page_rows = (uint32_t)page_rows;
    return rc;
}

/* ---- what arrives ---------------------------------------------------------------------------- */

static resource_count *count_of(exchange *x, const char *resource)
{
    for (size_t i = 0; i < x->resource_count; i++) {
        if (strcmp(x->resources[i].name, resource) == 0) {
            return &x->resources[i];
        }
    }
    return NULL;
}

static int add_resource(void *ctx, const char *resource)
{
    exchange *x = ctx;

    if (x->resource_count < TIDE_MODELS_MAX && strlen(resource) <= TIDE_MODEL_NAME_MAX) {
        memcpy(x->resources[x->resource_count++].name, resource, strlen(resource) + 1);
    }
    return 0;
}

static void on_event(void *ctx, const tide_event *event)
{
    side *s = ctx;
    exchange *x = s->whole;
    resource_count *count;

    count = event->resource != NULL ? count_of(x, event->resource) : NULL;
    if (event->kind == TIDE_EVENT_DIVERGED && count != NULL) {
        count->differs = true;
    }
    if (event->kind != TIDE_EVENT_RESOURCE_CHANGED) {
        return;
    }
    if (count != NULL) {
        count->rows[s->index] += event->count;
    }
    x->rows += event->count;
    if (x->settings.cut_after != 0 && x->rows >= x->settings.cut_after && !x->cut &&
        x->pipe != NULL) {
        x->cut = true;
        tide_pipe_cut(x->pipe);
    }
    cli_progress(x->call, "%" PRIu64 " rows", x->rows);
}

/* ---- both libraries -------------------------------------------------------------------------- */

static int compare_identities(cli_call *call, const side *sides)
{
    char first[CLI_UUID_TEXT];
    char second[CLI_UUID_TEXT];

    cli_uuid_text(sides[FIRST].library.id, first);
    cli_uuid_text(sides[SECOND].library.id, second);
    if (strcmp(first, second) != 0) {
        return cli_fail(call, CLI_FAILURE, "%s: is of library %s, and %s of %s",
                        sides[SECOND].library.path, second, sides[FIRST].library.path, first);
    }
    if (uuid_compare(sides[FIRST].library.device, sides[SECOND].library.device) == 0) {
        return cli_fail(call, CLI_FAILURE, "%s: is the same device as %s, a copy of it",
                        sides[SECOND].library.path, sides[FIRST].library.path);
    }
    return CLI_YES;
}

static int open_side(exchange *x, int index, const unsigned char *join)
{
    side *s = &x->sides[index];
    cli_library_request request = {.path = x->call->operands[index],
                                   .flags = join != NULL ? TIDE_CREATE_LIBRARY : 0,
                                   .join = join,
                                   .event = on_event,
                                   .event_ctx = s};

    s->whole = x;
    s->index = index;
    return cli_library_open(x->call, &request, &s->library);
}

static int open_libraries(exchange *x)
{
    cli_call *call = x->call;
    const char *second = call->operands[SECOND];
    bool joins = cli_library_absent(second);
    int rc = cli_refuse_same_folder(call, call->operands[FIRST], second);

    if (rc == CLI_YES) {
        rc = open_side(x, FIRST, NULL);
    }
    if (rc == CLI_YES) {
        rc = open_side(x, SECOND, joins ? x->sides[FIRST].library.id : NULL);
    }
    if (rc == CLI_YES && joins) {
        cli_note(call, "%s: made as a new device of the library of %s", second,
                 call->operands[FIRST]);
    }
    return rc == CLI_YES ? compare_identities(call, x->sides) : rc;
}

static int open_sessions(exchange *x)
{
    int rc = tide_sync_order(x->sides[FIRST].library.sync, add_resource, x);

    if (rc != TIDE_OK) {
        return cli_fail_sync(x->call, rc, x->sides[FIRST].library.path,
                             x->sides[FIRST].library.sync);
    }
    for (int i = FIRST; i <= SECOND; i++) {
        side *s = &x->sides[i];
        tide_session_options options = x->settings.session;

        options.peer = x->sides[i == FIRST ? SECOND : FIRST].library.device;
        rc = tide_session_open(s->library.sync, &options, &s->session);
        if (rc != TIDE_OK) {
            return cli_fail_sync(x->call, rc, s->library.path, s->library.sync);
        }
    }
    rc = tide_pipe_open(x->sides[SECOND].session, &x->settings.pipe, &x->pipe);
    return cli_fail_code(x->call, rc, "pipe", NULL);
}

static void close_exchange(exchange *x)
{
    tide_pipe_close(x->pipe);
    x->pipe = NULL;
    for (int i = FIRST; i <= SECOND; i++) {
        tide_session_close(x->sides[i].session);
        cli_library_close(&x->sides[i].library);
    }
}

/* ---- the exchange and what it says ----------------------------------------------------------- */

static const char *result_of(const exchange *x)
{
    return x->cut ? "cut" : x->diverged ? "different" : "complete";
}

static void print_json_counts(const exchange *x, uint64_t messages, uint64_t bytes, double seconds)
{
    for (size_t i = 0; i < x->resource_count; i++) {
        cli_print_json(x->call, json_pack("{s:s, s:s, s:o, s:o, s:b}", "type", "resource",
                                          "resource", x->resources[i].name, "to_first",
                                          cli_json_count(x->resources[i].rows[FIRST]), "to_second",
                                          cli_json_count(x->resources[i].rows[SECOND]), "different",
                                          x->resources[i].differs));
    }
    cli_print_json(
        x->call, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:f, s:f}", "type", "sync",
                           "result", result_of(x), "rows", cli_json_count(x->rows),
                           "forgotten_first", cli_json_count(x->pruned[FIRST]), "forgotten_second",
                           cli_json_count(x->pruned[SECOND]), "messages", cli_json_count(messages),
                           "bytes", cli_json_count(bytes), "seconds", seconds, "rows_per_second",
                           seconds > 0 ? (double)x->rows / seconds : 0.0));
}

static void print_counts(const exchange *x)
{
    double seconds = cli_elapsed(x->call);
    uint64_t messages = 0;
    uint64_t bytes = 0;

    tide_pipe_count(x->pipe, &messages, &bytes);
    if (x->call->json) {
        print_json_counts(x, messages, bytes, seconds);
        return;
    }
    cli_print(x->call, "%-14s %12s %12s\n", "RESOURCE", "TO FIRST", "TO SECOND");
    for (size_t i = 0; i < x->resource_count; i++) {
        cli_print(x->call, "%-14s %12" PRIu64 " %12" PRIu64 "\n", x->resources[i].name,
                  x->resources[i].rows[FIRST], x->resources[i].rows[SECOND]);
    }
    cli_print(x->call, "%" PRIu64 " rows, %" PRIu64 " messages, %" PRIu64 " bytes\n", x->rows,
              messages, bytes);
    cli_print(x->call, "%.3f seconds, %.0f rows/s\n", seconds,
              seconds > 0 ? (double)x->rows / seconds : 0.0);
    if (x->pruned[FIRST] + x->pruned[SECOND] > 0) {
        cli_print(x->call,
                  "%" PRIu64 " deletions forgotten in the first, %" PRIu64 " in the second\n",
                  x->pruned[FIRST], x->pruned[SECOND]);
    }
    if (x->cut) {
        cli_print(x->call, "cut after %" PRIu64 " rows\n", x->rows);
    } else {
        cli_print(x->call, "%s\n", result_of(x));
    }
}

/* The exit code for what ended the exchange. */
static int judge(exchange *x, int rc)
{
    const side *guilty = &x->sides[FIRST];
    int far = tide_pipe_far_error(x->pipe);

    if (rc == TIDE_OK) { /* the cut came too late to keep anything back */
        x->cut = false;
        return CLI_YES;
    }
    if (rc == TIDE_ECLOSED && x->cut && (far == TIDE_OK || far == TIDE_ECLOSED)) {
        return CLI_NO;
    }
    if (rc == TIDE_ECLOSED && far != TIDE_OK) {
        guilty = &x->sides[SECOND];
        rc = far;
    }
    return cli_fail_sync(x->call, rc, guilty->library.path, guilty->library.sync);
}

/* What a complete exchange leaves: deletions that both have are forgotten, rows that differ told. */
static int finish_exchange(exchange *x)
{
    for (int i = FIRST; i <= SECOND; i++) {
        x->diverged = x->diverged || tide_session_diverged(x->sides[i].session) > 0;
    }
    for (int i = FIRST; i <= SECOND && !x->diverged; i++) {
        const cli_library *library = &x->sides[i].library;
        int rc = tide_sync_prune(library->sync, &x->pruned[i]);

        if (rc != TIDE_OK) {
            return cli_fail_sync(x->call, rc, library->path, library->sync);
        }
        if (tide_sync_is_recovering(library->sync) == 1) {
            cli_note(x->call, "%s: is still recovering; see 'tidemark help accept'", library->path);
        }
    }
    return CLI_YES;
}

/* Names the resources that differ. */
static int fail_diverged(exchange *x)
{
    char names[TIDE_MODELS_MAX * (TIDE_MODEL_NAME_MAX + 2) + 1] = "";
    size_t length = 0;

    for (size_t i = 0; i < x->resource_count; i++) {
        if (x->resources[i].differs) {
            length += (size_t)snprintf(names + length, sizeof names - length, "%s%s",
                                       length > 0 ? ", " : "", x->resources[i].name);
        }
    }
    return cli_fail(x->call, CLI_CORRUPT,
                    "%s: rows still differ from those of %s when all is read again: %s",
                    x->sides[SECOND].library.path, x->sides[FIRST].library.path, names);
}

static int run_exchange(exchange *x)
{
    int rc = open_libraries(x);

    if (rc == CLI_YES) {
        rc = open_sessions(x);
    }
    if (rc != CLI_YES) {
        return rc;
    }
    cli_progress_begin(x->call);
    rc = tide_sync_exchange_watermarks_and_catchup(x->sides[FIRST].session,
                                                   tide_pipe_transport(x->pipe));
    cli_progress_end(x->call);
    rc = judge(x, rc);
    if (rc == CLI_YES) {
        rc = finish_exchange(x);
    }
    if (rc == CLI_YES || rc == CLI_NO) {
        print_counts(x);
    }
    return rc == CLI_YES && x->diverged ? fail_diverged(x) : rc;
}

static int run_sync(cli_call *call)
{
    exchange *x = calloc(1, sizeof *x);
    int rc;

    if (x == NULL) {
        return cli_fail_memory(call);
    }
    x->call = call;
    rc = read_settings(call, &x->settings);
    if (rc == CLI_YES) {
        rc = run_exchange(x);
    }
    close_exchange(x);
    free(x);
    return rc;
}

const cli_command cli_command_sync = {
    .name = "sync",
    .operands = "LIBRARY LIBRARY",
    .options = sync_options,
    .summary = "Brings two libraries to the same rows; makes the second where there is none.",
    .run = run_sync,
};
