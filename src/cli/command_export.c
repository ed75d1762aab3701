/* command_export.c - `export` and `import`: marks as JSON Lines, one a line.
 *
 * An import is read whole before a store is opened or made, and then written in one commit. What is
 * read is a file of `export`, or the SQLite database of another program (import_sqlite.c).
 */
#include "cli/import.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX 8192 /* of a mark; the longest takes 3,000 */
#define FIRST_MARKS 64

/* ---- export ---------------------------------------------------------------------------------- */

static int export_mark(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                       const tide_mark *mark)
{
    return !cli_print_json(
        ctx, json_pack("{s:o, s:o, s:s, s:o, s:o, s:o}", "device", cli_json_uuid(device), "peer",
                       cli_json_uuid(peer), "resource", resource, "watermark",
                       cli_json_time(mark->watermark), "updated_at",
                       cli_json_time(mark->updated_at), "epoch", cli_json_time(mark->epoch)));
}

static int run_export(cli_call *call)
{
    char path[PATH_MAX];
    cli_store store;
    int rc = cli_store_path(call, call->operands[0], path);

    if (rc != CLI_YES) {
        return rc;
    }
    rc = cli_store_open(call, path, false, &store);
    if (rc == CLI_YES) {
        int code = tide_each(store.handle, NULL, NULL, NULL, export_mark, call);

        /* A callback stops it when nothing can be written any more; that is told at the end. */
        rc = code < 0 ? cli_fail_store(call, code, path, store.handle) : CLI_YES;
    }
    cli_store_close(&store);
    return rc;
}

/* ---- what is read ---------------------------------------------------------------------------- */

int cli_import_add(cli_import *import, const char *device, const char *peer, const char *resource,
                   const char *watermark, const char *epoch)
{
    cli_call *call = import->call;
    cli_imported_mark mark = {.epoch = TIDE_TIME_NONE};
    int rc = cli_read_uuid(call, "device", device, mark.device);

    if (rc == CLI_YES) {
        rc = cli_read_uuid(call, "peer", peer, mark.peer);
    }
    if (rc == CLI_YES) {
        rc = cli_read_resource(call, "resource", resource);
    }
    if (rc == CLI_YES) {
        rc = cli_read_time(call, "watermark", watermark, false, &mark.watermark);
    }
    if (rc == CLI_YES && epoch != NULL) {
        rc = cli_read_time(call, "epoch", epoch, false, &mark.epoch);
    }
    if (rc != CLI_YES) {
        return rc;
    }
    if (import->count == TIDE_IMPORT_MAX) {
        return cli_fail(call, CLI_USAGE, "more than %d marks", TIDE_IMPORT_MAX);
    }
    if (import->count == import->room) {
        size_t room = import->room == 0 ? FIRST_MARKS : 2 * import->room;
        cli_imported_mark *marks = realloc(import->marks, room * sizeof *marks);

        if (marks == NULL) {
            return cli_fail_memory(call);
        }
        import->marks = marks;
        import->room = room;
    }
    mark.resource = strdup(resource);
    if (mark.resource == NULL) {
        return cli_fail_memory(call);
    }
    import->marks[import->count++] = mark;
    return CLI_YES;
}

int cli_import_refuse(cli_import *import, const char *what, uint64_t number, int rc)
{
    char reason[CLI_MESSAGE_MAX];

    if (rc != CLI_USAGE) { /* not for what was read */
        return rc;
    }
    memcpy(reason, import->call->message, sizeof reason);
    return cli_fail(import->call, CLI_CORRUPT, "%s: %s %" PRIu64 ": %s", import->path, what, number,
                    reason);
}

/* A member of a line: a text, or null where that is allowed. */
static int read_text(cli_call *call, const json_t *object, const char *name, bool null_allowed,
                     const char **out)
{
    const json_t *value = json_object_get(object, name);

    *out = json_string_value(value);
    if (*out != NULL || (null_allowed && json_is_null(value))) {
        return CLI_YES;
    }
    return cli_fail(call, CLI_USAGE, "%s: %s", name, value == NULL ? "missing" : "not a string");
}

static int read_object(cli_import *import, const json_t *object)
{
    static const char *const names[] = {"device",    "peer",       "resource",
                                        "watermark", "updated_at", "epoch"};
    const char *texts[6] = {NULL};
    tide_time updated_at;
    int rc = CLI_YES;

    if (!json_is_object(object)) {
        return cli_fail(import->call, CLI_USAGE, "not an object");
    }
    for (size_t i = 0; rc == CLI_YES && i < 6; i++) {
        rc = read_text(import->call, object, names[i], i == 5, &texts[i]);
    }
    if (rc == CLI_YES && json_object_size(object) != 6) {
        rc = cli_fail(import->call, CLI_USAGE, "a member that no mark has");
    }
    if (rc == CLI_YES) {
        rc = cli_read_time(import->call, "updated_at", texts[4], false, &updated_at);
    }
    return rc == CLI_YES ? cli_import_add(import, texts[0], texts[1], texts[2], texts[3], texts[5])
                         : rc;
}

static int read_line(cli_import *import, const char *line, size_t length)
{
    json_error_t error;
    json_t *object;
    int rc;

    if (length > LINE_BYTES_MAX) {
        return cli_fail(import->call, CLI_USAGE, "longer than %d bytes", LINE_BYTES_MAX);
    }
    object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        return cli_fail(import->call, CLI_USAGE, "%s", error.text);
    }
    rc = read_object(import, object);
    json_decref(object);
    return rc;
}

static int read_lines(cli_import *import, FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    uint64_t number = 0;
    ssize_t length;
    int rc = CLI_YES;

    while (rc == CLI_YES && (length = getline(&line, &room, file)) >= 0) {
        rc = cli_import_refuse(import, "line", ++number, read_line(import, line, (size_t)length));
    }
    free(line);
    return rc == CLI_YES && ferror(file) ? cli_fail_errno(import->call, errno, import->path) : rc;
}

static int read_file(cli_import *import, const char *path)
{
    char head[16];
    FILE *file;
    int rc;

    if (path == NULL || strcmp(path, "-") == 0) {
        import->path = "standard input";
        return read_lines(import, stdin);
    }
    import->path = path;
    file = fopen(path, "rbe");
    if (file == NULL) {
        return cli_fail_errno(import->call, errno, path);
    }
    if (fread(head, 1, sizeof head, file) == sizeof head &&
        memcmp(head, "SQLite format 3", sizeof head) == 0) {
        fclose(file);
        return cli_import_sqlite(import, path);
    }
    rewind(file);
    rc = read_lines(import, file);
    fclose(file);
    return rc;
}

/* ---- import ---------------------------------------------------------------------------------- */

static void print_imported(cli_call *call, const tide_imported *counts)
{
    if (call->json) {
        cli_print_json(call, json_pack("{s:s, s:o, s:o, s:o, s:o}", "answer", "ok", "added",
                                       cli_json_count(counts->added), "raised",
                                       cli_json_count(counts->raised), "equal",
                                       cli_json_count(counts->equal), "kept",
                                       cli_json_count(counts->kept)));
    } else {
        cli_print(call,
                  "added %" PRIu64 ", raised %" PRIu64 ", equal %" PRIu64 ", kept %" PRIu64 "\n",
                  counts->added, counts->raised, counts->equal, counts->kept);
    }
}

static int write_marks(cli_import *import, const char *path)
{
    cli_call *call = import->call;
    tide_imported counts = {.size = sizeof counts};
    tide_step *steps = calloc(import->count + 1, sizeof *steps);
    cli_store store;
    int rc;

    if (steps == NULL) {
        return cli_fail_memory(call);
    }
    for (size_t i = 0; i < import->count; i++) {
        const cli_imported_mark *mark = &import->marks[i];

        steps[i] = (tide_step){mark->device,   mark->peer,      mark->resource,
                               TIDE_TIME_NONE, mark->watermark, mark->epoch};
    }
    rc = cli_store_open(call, path, true, &store);
    if (rc == CLI_YES) {
        rc = tide_import(store.handle, steps, import->count, &counts);
        rc = rc == TIDE_OK ? CLI_YES : cli_fail_store(call, rc, path, store.handle);
    }
    cli_store_close(&store);
    free(steps);
    if (rc == CLI_YES) {
        print_imported(call, &counts);
    }
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const cli_imported_mark *x = a;
    const cli_imported_mark *y = b;
    int order = memcmp(x->device, y->device, sizeof x->device);

    order = order != 0 ? order : memcmp(x->peer, y->peer, sizeof x->peer);
    return order != 0 ? order : strcmp(x->resource, y->resource);
}

/* Before a store is made. */
static int refuse_twice(cli_import *import)
{
    if (import->count > 1) {
        qsort(import->marks, import->count, sizeof *import->marks, by_name);
    }
    for (size_t i = 1; i < import->count; i++) {
        const cli_imported_mark *mark = &import->marks[i];

        if (by_name(mark - 1, mark) == 0) {
            char device[CLI_UUID_TEXT];
            char peer[CLI_UUID_TEXT];

            cli_uuid_text(mark->device, device);
            cli_uuid_text(mark->peer, peer);
            return cli_fail(import->call, CLI_CORRUPT, "%s: named twice: %s %s %s", import->path,
                            device, peer, mark->resource);
        }
    }
    return CLI_YES;
}

static int run_import(cli_call *call)
{
    char path[PATH_MAX];
    cli_import import = {.call = call};
    int rc = cli_store_path(call, call->operands[0], path);

    if (rc == CLI_YES) {
        rc = read_file(&import, call->operand_count > 1 ? call->operands[1] : NULL);
    }
    if (rc == CLI_YES) {
        rc = refuse_twice(&import);
    }
    if (rc == CLI_YES) {
        rc = write_marks(&import, path);
    }
    for (size_t i = 0; i < import.count; i++) {
        free(import.marks[i].resource);
    }
    free(import.marks);
    return rc;
}

const cli_command cli_command_export = {
    .name = "export",
    .operands = "STORE|LIBRARY",
    .summary = "Writes all marks to standard output, as JSON Lines.",
    .run = run_export,
};

const cli_command cli_command_import = {
    .name = "import",
    .operands = "STORE|LIBRARY [FILE]",
    .summary = "Takes over marks of an export or of a sync.db; lowers none.",
    .run = run_import,
};
