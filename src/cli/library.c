/* library.c - opening a library, with everything it has to say on the way.
 *
 * The library speaks through three channels: notices of the engine as events, notices of the store,
 * and one line of detail when opening fails. A notice of the store while it is being opened waits
 * until it is known whether opening fails: then it is the reason, otherwise it is talk.
 */
#include "cli/cli.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void on_event(void *ctx, const tide_event *event)
{
    cli_library *library = ctx;

    if (event->kind == TIDE_EVENT_NOTICE) {
        cli_note(library->call, "%s: %s", library->path, event->text != NULL ? event->text : "");
    } else if (library->event != NULL) {
        library->event(library->event_ctx, event);
    }
}

static void on_store_notice(void *ctx, int code, const char *text)
{
    cli_library *library = ctx;

    (void)code;
    if (library->handle != NULL) {
        cli_note(library->call, "%s: %s", library->path, text);
    } else {
        snprintf(library->notice, sizeof library->notice, "%s", text);
    }
}

/* Where the library names the folder itself, its words are the whole line. */
static int fail_opening(const cli_library *library, int code, const char *detail)
{
    size_t length = strlen(library->path);

    if (strncmp(detail, library->path, length) == 0 && strncmp(detail + length, ": ", 2) == 0) {
        return cli_fail(library->call, cli_exit_of(code), "%s", detail);
    }
    if (code == TIDE_CONFLICT) {
        return cli_fail(library->call, CLI_NO, "%s: is a library already", library->path);
    }
    return cli_fail_code(library->call, code, library->path, detail);
}

int cli_library_open(cli_call *call, const cli_library_request *request, cli_library *library)
{
    tide_library_options options;
    tide_sync_options sync;
    tide_options store;
    char detail[1024] = "";
    int rc;

    *library = (cli_library){.call = call,
                             .path = request->path,
                             .event = request->event,
                             .event_ctx = request->event_ctx};
    library->shown_path = cli_utf8_escape(request->path);
    if (library->shown_path == NULL) {
        return cli_fail_memory(call);
    }

    tide_library_options_init(&options);
    tide_sync_options_init(&sync);
    tide_options_init(&store);
    options.flags = request->flags;
    options.device_name = request->device_name;
    options.sync = &sync;
    options.store = &store;
    sync.library = request->join;
    sync.event = on_event;
    sync.event_ctx = library;
    sync.detail = detail;
    sync.detail_bytes = sizeof detail;
    store.notice = on_store_notice;
    store.notice_ctx = library;

    rc = tide_library_open(request->path, &options, &library->handle);
    if (rc != TIDE_OK) {
        return fail_opening(library, rc, detail[0] != '\0' ? detail : library->notice);
    }
    if (library->notice[0] != '\0') {
        cli_note(call, "%s: %s", library->path, library->notice);
    }
    library->sync = tide_library_sync(library->handle);
    library->store = tide_library_store(library->handle);
    tide_sync_device(library->sync, library->device);
    tide_sync_library(library->sync, library->id);
    return CLI_YES;
}

void cli_library_close(cli_library *library)
{
    tide_library_close(library->handle);
    free(library->shown_path);
    *library = (cli_library){.handle = NULL};
}

int cli_refuse_same_folder(cli_call *call, const char *first, const char *second)
{
    struct stat one;
    struct stat other;

    if (stat(first, &one) == 0 && stat(second, &other) == 0 && one.st_dev == other.st_dev &&
        one.st_ino == other.st_ino) {
        return cli_fail(call, CLI_USAGE, "%s: is the same library as %s", second, first);
    }
    return CLI_YES;
}

/* ---- looking --------------------------------------------------------------------------------- */

/* What a crash left of a library that was just being made does not count. */
static bool is_litter(const char *name)
{
    static const char *const beginnings[] = {"database.db.new-", "sync.mdb.new"};

    for (size_t i = 0; i < 2; i++) {
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0) {
            return true;
        }
    }
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

bool cli_library_absent(const char *path)
{
    struct stat status;
    DIR *folder;
    const struct dirent *entry;
    bool empty = true;

    if (lstat(path, &status) != 0) {
        return true;
    }
    folder = opendir(path);
    if (folder == NULL) {
        return false;
    }
    while (empty && (entry = readdir(folder)) != NULL) {
        empty = is_litter(entry->d_name);
    }
    closedir(folder);
    return empty;
}
