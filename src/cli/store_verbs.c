/* store_verbs.c - what can be done with a bare store: ls, get, advance, set, rm, stat.
 *
 * Each verb is used by the one-shot command of its name and by the shell. An answer is one line: a
 * word
 * ("ok", "stale", "gap", "absent", "conflict"), or what was asked for. Only `ls` and `stat` have
 * more to say; in the shell, where an answer is always one line, they say it as one line of JSON.
 */
#include "cli/prometheus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RM_ATTEMPTS 100 /* against writers that move the mark between our look and our removal */

static const char *answer_word(int rc)
{
    switch (rc) {
    case TIDE_OK:
        return "ok";
    case TIDE_STALE:
        return "stale";
    case TIDE_GAP:
        return "gap";
    case TIDE_ABSENT:
        return "absent";
    case TIDE_CONFLICT:
        return "conflict";
    default:
        return "no";
    }
}

/* Answers with the word for `rc`, or fails. */
static int answer(cli_call *call, const cli_store *store, int rc)
{
    if (rc < 0) {
        return cli_fail_store(call, rc, store->path, store->handle);
    }
    if (call->json) {
        cli_print_json(call, json_pack("{s:s}", "answer", answer_word(rc)));
    } else {
        cli_print(call, "%s\n", answer_word(rc));
    }
    return cli_exit_of(rc);
}

/* ---- reading the command line ---------------------------------------------------------------- */

static int read_operands(cli_call *call, size_t skip, bool none_allowed, cli_request *out)
{
    const char *const *operands = call->operands + skip;
    size_t count = call->operand_count - skip;
    int rc = CLI_YES;

    if (count > 0) {
        rc = cli_read_uuid(call, "DEVICE", operands[0], out->device);
        out->has_device = true;
    }
    if (rc == CLI_YES && count > 1) {
        rc = cli_read_uuid(call, "PEER", operands[1], out->peer);
        out->has_peer = true;
    }
    if (rc == CLI_YES && count > 2) {
        rc = cli_read_resource(call, "RESOURCE", operands[2]);
        out->resource = operands[2];
    }
    if (rc == CLI_YES && count > 3) {
        rc = cli_read_time(call, "TIME", operands[3], none_allowed, &out->time);
    }
    return rc;
}

static int read_options(cli_call *call, cli_request *out)
{
    const char *device = cli_option_value(call, "device");
    const char *peer = cli_option_value(call, "peer");
    const char *resource = cli_option_value(call, "resource");
    const char *after = cli_option_value(call, "after");
    const char *expected = cli_option_value(call, "expect");
    int rc = CLI_YES;

    if (device != NULL) {
        rc = cli_read_uuid(call, "--device", device, out->device);
        out->has_device = true;
    }
    if (rc == CLI_YES && peer != NULL) {
        rc = cli_read_uuid(call, "--peer", peer, out->peer);
        out->has_peer = true;
    }
    if (rc == CLI_YES && resource != NULL) {
        rc = cli_read_resource(call, "--resource", resource);
        out->resource = resource;
    }
    if (rc == CLI_YES && after != NULL) {
        rc = cli_read_time(call, "--after", after, true, &out->after);
        out->has_after = true;
    }
    if (rc == CLI_YES && expected != NULL) {
        rc = cli_read_time(call, "--expect", expected, true, &out->expected);
    }
    return rc;
}

int cli_read_request(cli_call *call, const cli_verb *verb, size_t skip, cli_request *out)
{
    const char *name = verb->command.name;
    bool sets = strcmp(name, "set") == 0;
    int rc;

    *out = (cli_request){.resource = NULL};
    rc = read_operands(call, skip, sets, out);
    if (rc == CLI_YES) {
        rc = read_options(call, out);
    }
    if (rc == CLI_YES && sets && cli_option_value(call, "expect") == NULL) {
        rc = cli_fail(call, CLI_USAGE, "--expect: missing; see 'tidemark help set'");
    }
    if (rc == CLI_YES) {
        rc = cli_refuse_both_formats(call);
    }
    if (rc == CLI_YES && call->in_shell && cli_option_value(call, "prometheus") != NULL) {
        rc = cli_fail(call, CLI_USAGE, "--prometheus: not in the shell; see 'tidemark help stat'");
    }
    if (rc == CLI_YES && out->has_after && out->after >= out->time) {
        rc = cli_fail(call, CLI_USAGE, "--after '%s': not before TIME",
                      cli_option_value(call, "after"));
    }
    return rc;
}

/* ---- ls, get --------------------------------------------------------------------------------- */

typedef struct listing {
    cli_call *call;
    tide_time now;
    json_t *array; /* in the shell: all of them, to be printed as one line */
    bool no_memory;
} listing;

static json_t *mark_object(const uuid_t device, const uuid_t peer, const char *resource,
                           const tide_mark *mark, tide_time now)
{
    return json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "device", cli_json_uuid(device), "peer",
                     cli_json_uuid(peer), "resource", resource, "watermark",
                     cli_json_time(mark->watermark), "updated_at", cli_json_time(mark->updated_at),
                     "epoch", cli_json_time(mark->epoch), "age_ns",
                     cli_json_signed(cli_age_ns(now, mark->watermark)));
}

static int list_mark(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                     const tide_mark *mark)
{
    listing *list = ctx;
    char device_text[CLI_UUID_TEXT];
    char peer_text[CLI_UUID_TEXT];
    char watermark[TIDE_TIME_TEXT];
    char updated_at[TIDE_TIME_TEXT];
    char age[CLI_AGE_TEXT];

    if (list->array != NULL) {
        list->no_memory = json_array_append_new(list->array, mark_object(device, peer, resource,
                                                                         mark, list->now)) != 0;
        return list->no_memory;
    }
    if (list->call->json) {
        return !cli_print_json(list->call, mark_object(device, peer, resource, mark, list->now));
    }
    cli_uuid_text(device, device_text);
    cli_uuid_text(peer, peer_text);
    tide_time_format(mark->watermark, watermark);
    tide_time_format(mark->updated_at, updated_at);
    cli_age_text(cli_age_ns(list->now, mark->watermark), age);
    return !cli_print(list->call, "%s %s %-14s %s %s %10s\n", device_text, peer_text, resource,
                      watermark, updated_at, age);
}

static int run_ls(cli_call *call, const cli_store *store, const cli_request *request)
{
    listing list = {.call = call, .now = cli_now()};
    int rc;

    if (call->in_shell) {
        list.array = json_array();
        if (list.array == NULL) {
            return cli_fail_memory(call);
        }
    }
    rc = tide_each(store->handle, request->has_device ? request->device : NULL,
                   request->has_peer ? request->peer : NULL, request->resource, list_mark, &list);
    if (rc == TIDE_OK && list.array != NULL) {
        cli_print_json(call, json_incref(list.array));
    }
    json_decref(list.array);
    if (list.no_memory) {
        return cli_fail_memory(call);
    }
    return cli_fail_store(call, rc, store->path, store->handle);
}

static int run_get(cli_call *call, const cli_store *store, const cli_request *request)
{
    tide_mark mark;
    char watermark[TIDE_TIME_TEXT];
    int rc = tide_get(store->handle, request->device, request->peer, request->resource, &mark);

    if (rc != TIDE_OK) {
        return answer(call, store, rc);
    }
    if (call->json) {
        json_t *object =
            mark_object(request->device, request->peer, request->resource, &mark, cli_now());

        if (object != NULL && json_object_set_new(object, "answer", json_string("ok")) != 0) {
            json_decref(object);
            object = NULL;
        }
        cli_print_json(call, object);
        return CLI_YES;
    }
    tide_time_format(mark.watermark, watermark);
    cli_print(call, "%s\n", watermark);
    return CLI_YES;
}

/* ---- advance, set, rm ------------------------------------------------------------------------ */

static int run_advance(cli_call *call, const cli_store *store, const cli_request *request)
{
    if (request->has_after) {
        return answer(call, store,
                      tide_advance_range(store->handle, request->device, request->peer,
                                         request->resource, request->after, request->time));
    }
    return answer(call, store,
                  tide_advance(store->handle, request->device, request->peer, request->resource,
                               request->time));
}

static int run_set(cli_call *call, const cli_store *store, const cli_request *request)
{
    return answer(call, store,
                  tide_compare_and_set(store->handle, request->device, request->peer,
                                       request->resource, request->expected, request->time));
}

/* Removes one mark whatever it is: from what it is just now, again when somebody has moved it since. */
static int remove_mark(const cli_store *store, const cli_request *request)
{
    int rc = TIDE_CONFLICT;

    for (int i = 0; i < RM_ATTEMPTS && rc == TIDE_CONFLICT; i++) {
        tide_mark mark;

        rc = tide_get(store->handle, request->device, request->peer, request->resource, &mark);
        if (rc == TIDE_OK) {
            rc = tide_compare_and_set(store->handle, request->device, request->peer,
                                      request->resource, mark.watermark, TIDE_TIME_NONE);
        }
    }
    return rc;
}

static int run_rm(cli_call *call, const cli_store *store, const cli_request *request)
{
    size_t removed = 1;
    int rc;

    if (request->resource != NULL) {
        rc = remove_mark(store, request);
    } else {
        rc = tide_remove_peer(store->handle, request->device, request->peer, &removed);
    }
    if (rc == TIDE_OK && removed == 0) {
        rc = TIDE_ABSENT;
    }
    if (rc != TIDE_OK) {
        return answer(call, store, rc);
    }
    if (call->json) {
        cli_print_json(call,
                       json_pack("{s:s, s:o}", "answer", "ok", "removed", cli_json_count(removed)));
    } else {
        cli_print(call, "removed %zu\n", removed);
    }
    return CLI_YES;
}

/* ---- stat ------------------------------------------------------------------------------------ */

static json_t *info_object(const tide_info *info)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:i, s:i, s:i}", "store_id",
        cli_json_uuid(info->store_id), "created_at", cli_json_time(info->created_at), "marks",
        cli_json_count(info->marks), "pending", cli_json_count(info->pending), "file_bytes",
        cli_json_count(info->file_bytes), "used_bytes", cli_json_count(info->used_bytes),
        "map_bytes", cli_json_count(info->map_bytes), "transaction",
        cli_json_count(info->transaction), "format_version", (int)info->format_version,
        "page_bytes", (int)info->page_bytes, "depth", (int)info->depth, "readers",
        (int)info->readers, "max_readers", (int)info->max_readers);
}

static void print_metrics(cli_call *call, const char *path, const tide_info *info)
{
    static const char *const names[] = {
        "tidemark_store_marks",     "tidemark_store_file_bytes",  "tidemark_store_used_bytes",
        "tidemark_store_map_bytes", "tidemark_store_page_bytes",  "tidemark_store_tree_depth",
        "tidemark_store_readers",   "tidemark_store_readers_max",
    };
    static const char *const helps[] = {
        "Committed marks.",
        "Size of the file.",
        "Of the file, what is in use.",
        "Address space the file is mapped in.",
        "Size of a page.",
        "Depth of the tree of marks.",
        "Slots of readers in use, idle ones included.",
        "Slots of readers.",
    };
    const uint64_t values[] = {info->marks,     info->file_bytes, info->used_bytes,
                               info->map_bytes, info->page_bytes, info->depth,
                               info->readers,   info->max_readers};
    char id[CLI_UUID_TEXT];
    cli_label labels[CLI_LABELS_MAX] = {{"store", id}, {"path", path}};

    cli_uuid_text(info->store_id, id);
    cli_metric(call, "tidemark_store_info", "gauge", "The store and its file; always 1.");
    cli_sample_count(call, "tidemark_store_info", labels, 1);
    labels[1].name = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cli_metric(call, names[i], "gauge", helps[i]);
        cli_sample_count(call, names[i], labels, values[i]);
    }
    cli_metric(call, "tidemark_store_commits_total", "counter", "Commits since the store was made.");
    cli_sample_count(call, "tidemark_store_commits_total", labels, info->transaction);
    cli_metric(call, "tidemark_store_created_timestamp_seconds", "gauge",
               "When the store was made.");
    cli_sample_time(call, "tidemark_store_created_timestamp_seconds", labels, info->created_at);
}

static int run_stat_metrics(cli_call *call, const char *path, const tide_info *info)
{
    char *shown = cli_utf8_escape(path);

    if (shown == NULL) {
        return cli_fail_memory(call);
    }
    print_metrics(call, shown, info);
    free(shown);
    return CLI_YES;
}

static int run_stat(cli_call *call, const cli_store *store, const cli_request *request)
{
    tide_info info = {.size = sizeof info};
    char id[CLI_UUID_TEXT];
    char created_at[TIDE_TIME_TEXT];
    int rc = tide_stat(store->handle, &info);

    (void)request;
    if (rc != TIDE_OK) {
        return cli_fail_store(call, rc, store->path, store->handle);
    }
    if (cli_option_value(call, "prometheus") != NULL) {
        return run_stat_metrics(call, store->path, &info);
    }
    if (call->json || call->in_shell) {
        cli_print_json(call, info_object(&info));
        return CLI_YES;
    }
    cli_uuid_text(info.store_id, id);
    tide_time_format(info.created_at, created_at);
    cli_print(call, "store        %s\ncreated      %s\nformat       %" PRIu32 "\n", id, created_at,
              info.format_version);
    cli_print(call, "marks        %" PRIu64 "\npending      %" PRIu64 "\n", info.marks,
              info.pending);
    cli_print(call, "file         %" PRIu64 " bytes, %" PRIu64 " used\n", info.file_bytes,
              info.used_bytes);
    cli_print(call, "map          %" PRIu64 " bytes\npage         %" PRIu32 " bytes\n",
              info.map_bytes, info.page_bytes);
    cli_print(call, "depth        %" PRIu32 "\ntransaction  %" PRIu64 "\n", info.depth,
              info.transaction);
    cli_print(call, "readers      %" PRIu32 " of %" PRIu32 "\n", info.readers, info.max_readers);
    return CLI_YES;
}

/* ---- the table ------------------------------------------------------------------------------- */

static const cli_option ls_options[] = {
    {"device", "UUID", "only marks of this device"},
    {"peer", "UUID", "only marks about this peer"},
    {"resource", "NAME", "only marks of this resource"},
    {NULL, NULL, NULL},
};

static const cli_option advance_options[] = {
    {"after", "TIME|none", "only if the mark is at TIME or further: (after, TIME] was read"},
    {NULL, NULL, NULL},
};

static const cli_option set_options[] = {
    {"expect", "TIME|none", "what the mark has to be; required"},
    {NULL, NULL, NULL},
};

static const cli_option rm_options[] = {
    {"yes", NULL, "do not ask"},
    {NULL, NULL, NULL},
};

static const cli_option stat_options[] = {
    {"prometheus", NULL, "answer in the text format of Prometheus"},
    {NULL, NULL, NULL},
};

const cli_verb cli_verbs[CLI_VERB_COUNT] = {
    {.command = {"ls", "STORE", ls_options, "Lists marks.", cli_run_verb}, .run = run_ls},
    {.command = {"get", "STORE DEVICE PEER RESOURCE", NULL, "Shows the watermark of one mark.",
                 cli_run_verb},
     .run = run_get},
    {.command = {"advance", "STORE DEVICE PEER RESOURCE TIME", advance_options,
                 "Raises a mark, if TIME is newer.", cli_run_verb},
     .creates = true,
     .run = run_advance},
    {.command = {"set", "STORE DEVICE PEER RESOURCE TIME|none", set_options,
                 "Sets, rewinds or removes a mark that is as expected.", cli_run_verb},
     .creates = true,
     .run = run_set},
    {.command = {"rm", "STORE DEVICE PEER [RESOURCE]", rm_options,
                 "Removes a device's marks about a peer.", cli_run_verb},
     .removes = true,
     .run = run_rm},
    {.command = {"stat", "STORE", stat_options, "Shows a store's size and identity.", cli_run_verb},
     .run = run_stat},
};

const cli_verb *cli_find_verb(const char *name)
{
    for (size_t i = 0; i < CLI_VERB_COUNT; i++) {
        if (strcmp(cli_verbs[i].command.name, name) == 0) {
            return &cli_verbs[i];
        }
    }
    return NULL;
}
