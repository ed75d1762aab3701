/* command_index.c - `index`: a real folder into the tables of a library.
 *
 * The rows of a location are what the last run found below its folder. This run walks the folder
 * again and writes the difference: new rows, changed ones (size, mtime or kind), and removals. A
 * folder that cannot be read says nothing about what is in it, so the rows below it stay.
 *
 * Order of writing: the location, the volumes, the entries with each folder before what is in it,
 * the removals with each folder after what is in it. A run that is broken off leaves what it has
 * committed, and the next one goes on from there.
 *
 * Sizes are those of files and links; a folder has 0. Names and paths are stored as cli_utf8_escape
 * writes them.
 */
#include "cli/index.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000

typedef struct indexing {
    cli_call *call;
    cli_library *library;
    cli_writer writer;
    char *folder;       /* realpath of DIR */
    char *shown_folder; /* the same as it is stored */
    char *location;     /* its key: the text in its column uuid */
    bool location_is_new;
    cli_known *known;
    sqlite3_stmt *insertion;
    sqlite3_stmt *update;
    sqlite3_stmt *removal;
    uint64_t fresh;
    uint64_t changed;
    uint64_t gone;
    uint64_t unchanged;
    uint64_t kept; /* not found, in folders that could not be read */
    uint64_t unreadable;
    uint64_t escaped;
} indexing;

/* ---- the location ---------------------------------------------------------------------------- */

static int find_location(indexing *run, bool *found)
{
    cli_writer *writer = &run->writer;
    sqlite3_stmt *rows = NULL;
    const char *key;
    int step;
    int rc = cli_writer_prepare(
        writer,
        "SELECT uuid FROM locations WHERE device_uuid = ?1 AND path = ?2 ORDER BY id LIMIT 1",
        &rows);

    if (rc != CLI_YES) {
        return rc;
    }
    cli_bind_uuid(rows, 1, run->library->device);
    cli_bind_text(rows, 2, run->shown_folder);
    step = sqlite3_step(rows);
    *found = step == SQLITE_ROW;
    if (step == SQLITE_ROW) {
        key = (const char *)sqlite3_column_text(rows, 0);
        run->location = key != NULL ? strdup(key) : NULL;
        if (run->location == NULL) {
            rc = cli_fail_memory(run->call);
        }
    } else if (step != SQLITE_DONE) {
        rc = cli_fail_sqlite(run->call, writer->database, writer->path);
    }
    sqlite3_finalize(rows);
    return rc;
}

static int write_location(indexing *run)
{
    const char *slash = strrchr(run->shown_folder, '/');
    const char *name = slash != NULL && slash[1] != '\0' ? slash + 1 : run->shown_folder;
    sqlite3_stmt *insertion = NULL;
    uuid_t uuid;
    bool found = false;
    int rc = find_location(run, &found);

    if (rc != CLI_YES || found) {
        return rc;
    }
    rc = cli_writer_prepare(
        &run->writer, "INSERT INTO locations(uuid, device_uuid, name, path) VALUES(?1, ?2, ?3, ?4)",
        &insertion);
    if (rc != CLI_YES) {
        return rc;
    }
    run->location = malloc(CLI_UUID_TEXT);
    if (run->location == NULL) {
        rc = cli_fail_memory(run->call);
    } else {
        cli_new_uuid(uuid);
        cli_uuid_text(uuid, run->location);
        cli_bind_text(insertion, 1, run->location);
        cli_bind_uuid(insertion, 2, run->library->device);
        cli_bind_text(insertion, 3, name);
        cli_bind_text(insertion, 4, run->shown_folder);
        rc = cli_writer_run(&run->writer, insertion);
    }
    sqlite3_finalize(insertion);
    run->location_is_new = true;
    return rc == CLI_YES ? cli_writer_commit(&run->writer) : rc;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* What a row has to say about a name, besides where it is. */
static void describe(const struct stat *status, cli_row *out)
{
    int64_t seconds = status->st_mtim.tv_sec;

    if (S_ISREG(status->st_mode)) {
        out->kind = CLI_FILE;
    } else if (S_ISDIR(status->st_mode)) {
        out->kind = CLI_FOLDER;
    } else {
        out->kind = S_ISLNK(status->st_mode) ? CLI_LINK : CLI_OTHER;
    }
    out->size = out->kind == CLI_FILE || out->kind == CLI_LINK ? status->st_size : 0;
    if (__builtin_mul_overflow(seconds, (int64_t)NS_PER_S, &out->mtime) ||
        __builtin_add_overflow(out->mtime, (int64_t)status->st_mtim.tv_nsec, &out->mtime) ||
        out->mtime < TIDE_TIME_MIN) {
        out->mtime = seconds < 0 ? TIDE_TIME_MIN : TIDE_TIME_MAX;
    }
}

/* Binds kind, size and mtime, the three that may change. */
static void bind_description(sqlite3_stmt *statement, int first, const cli_row *row)
{
    char mtime[TIDE_TIME_TEXT];

    tide_time_format(row->mtime, mtime);
    sqlite3_bind_text(statement, first, cli_kind_names[row->kind], -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, first + 1, row->size);
    cli_bind_text(statement, first + 2, mtime);
}

static int insert_entry(indexing *run, const uuid_t uuid, const cli_folder *folder,
                        const char *name, const cli_row *row)
{
    cli_bind_uuid(run->insertion, 1, uuid);
    cli_bind_text(run->insertion, 2, run->location);
    if (folder->known == CLI_KNOWN_ROOT) {
        sqlite3_bind_null(run->insertion, 3);
    } else if (folder->known == CLI_UNKNOWN) {
        cli_bind_uuid(run->insertion, 3, folder->uuid);
    } else {
        cli_bind_text(run->insertion, 3, cli_known_key(run->known, folder->known));
    }
    cli_bind_text(run->insertion, 4, name);
    bind_description(run->insertion, 5, row);
    run->fresh++;
    return cli_writer_run(&run->writer, run->insertion);
}

/* Of rows that other programs wrote, some may belong to other devices. */
static int count_written(indexing *run, sqlite3_stmt *statement, uint64_t *count)
{
    uint64_t foreign = run->writer.foreign;
    int rc = cli_writer_run(&run->writer, statement);

    *count += run->writer.foreign == foreign;
    return rc;
}

static int update_entry(indexing *run, const cli_row *row)
{
    sqlite3_bind_int64(run->update, 1, row->id);
    bind_description(run->update, 2, row);
    return count_written(run, run->update, &run->changed);
}

/* Brings the row of one name up to date; *child is what the walk needs if it is a folder. */
static int write_entry(indexing *run, const cli_folder *folder, const char *name,
                       const struct stat *status, cli_folder *child)
{
    cli_row now = {.id = 0};
    cli_row row;
    int rc = CLI_YES;

    describe(status, &now);
    child->known = cli_known_find(run->known, folder->known, name, &row);
    if (child->known == CLI_UNKNOWN) {
        cli_new_uuid(child->uuid);
        rc = insert_entry(run, child->uuid, folder, name, &now);
    } else {
        now.id = row.id;
        if (row.kind != now.kind || row.size != now.size || row.mtime != now.mtime) {
            rc = update_entry(run, &now);
        } else {
            run->unchanged++;
        }
        if (now.kind != CLI_FOLDER) { /* if it was one, what was in it is gone */
            cli_known_complete(run->known, child->known);
        }
    }
    return rc;
}

static int on_entry(void *ctx, const cli_folder *folder, const char *name,
                    const struct stat *status, cli_folder *child)
{
    indexing *run = ctx;
    char *stored = NULL;
    int rc;

    if (!cli_utf8_plain(name)) {
        stored = cli_utf8_escape(name);
        if (stored == NULL) {
            return cli_fail_memory(run->call);
        }
        run->escaped++;
    }
    rc = write_entry(run, folder, stored != NULL ? stored : name, status, child);
    free(stored);
    return rc;
}

static int on_complete(void *ctx, const cli_folder *folder)
{
    indexing *run = ctx;

    cli_known_complete(run->known, folder->known);
    cli_progress(run->call, "%" PRIu64 " entries, %" PRIu64 " new, %" PRIu64 " changed",
                 run->fresh + run->changed + run->unchanged, run->fresh, run->changed);
    return CLI_YES;
}

static void on_trouble(void *ctx, const char *path, int error)
{
    indexing *run = ctx;

    run->unreadable++;
    cli_note(run->call, "%s: %s", path, strerror(error));
}

static int on_gone(void *ctx, int64_t id)
{
    indexing *run = ctx;

    sqlite3_bind_int64(run->removal, 1, id);
    return count_written(run, run->removal, &run->gone);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static int prepare_statements(indexing *run)
{
    int rc = cli_writer_prepare(&run->writer,
                                "INSERT INTO entries(uuid, location_uuid, parent_uuid, name, kind, "
                                "size, mtime) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                                &run->insertion);

    if (rc == CLI_YES) {
        rc = cli_writer_prepare(&run->writer,
                                "UPDATE entries SET kind = ?2, size = ?3, mtime = ?4 WHERE id = ?1",
                                &run->update);
    }
    if (rc == CLI_YES) {
        rc = cli_writer_prepare(&run->writer, "DELETE FROM entries WHERE id = ?1", &run->removal);
    }
    return rc;
}

static int write_entries(indexing *run)
{
    cli_folder root = {.known = CLI_KNOWN_ROOT};
    struct stat own;
    cli_walk walk = {.ctx = run, .entry = on_entry, .complete = on_complete, .trouble = on_trouble};
    int rc;

    if (stat(run->library->path, &own) != 0) { /* its own files change with every run */
        return cli_fail_errno(run->call, errno, run->library->path);
    }
    walk.skip_device = own.st_dev;
    walk.skip_inode = own.st_ino;
    rc = cli_known_load(run->call, run->writer.database, run->library->path, run->location,
                        &run->known);
    if (rc == CLI_YES) {
        rc = prepare_statements(run);
    }
    if (rc == CLI_YES) {
        rc = cli_walk_tree(run->call, &walk, run->folder, &root);
    }
    if (rc == CLI_YES) {
        rc = cli_known_gone(run->call, run->known, on_gone, run, &run->kept);
    }
    if (rc == CLI_YES) {
        rc = cli_writer_commit(&run->writer);
    }
    return rc;
}

static void print_summary(indexing *run)
{
    cli_call *call = run->call;
    double seconds = cli_elapsed(call);
    uint64_t rows = run->fresh + run->changed + run->gone + run->unchanged;
    double rate = seconds > 0 ? (double)rows / seconds : 0;

    if (run->unreadable > 0) {
        cli_note(call,
                 "%s: folders that could not be read: %" PRIu64
                 "; rows below them, which stay as they are: %" PRIu64,
                 run->folder, run->unreadable, run->kept);
    }
    if (run->escaped > 0) {
        cli_note(
            call,
            "%s: names that are not UTF-8 or look escaped, stored with bytes as \\xNN: %" PRIu64,
            run->folder, run->escaped);
    }
    if (run->writer.foreign > 0) {
        cli_note(call, "%s: rows that belong to other devices, left as they are: %" PRIu64,
                 run->folder, run->writer.foreign);
    }
    if (call->json) {
        cli_print_json(
            call,
            json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:f}",
                      "location", run->location, "path", run->shown_folder, "created",
                      run->location_is_new, "new", cli_json_count(run->fresh), "changed",
                      cli_json_count(run->changed), "gone", cli_json_count(run->gone), "unchanged",
                      cli_json_count(run->unchanged), "unreadable", cli_json_count(run->unreadable),
                      "kept", cli_json_count(run->kept), "escaped", cli_json_count(run->escaped),
                      "foreign", cli_json_count(run->writer.foreign), "seconds", seconds,
                      "rows_per_second", rate));
        return;
    }
    cli_print_line(call, "location %s %s", run->location, run->shown_folder);
    cli_print(call,
              "%" PRIu64 " new, %" PRIu64 " changed, %" PRIu64 " gone, %" PRIu64 " unchanged\n",
              run->fresh, run->changed, run->gone, run->unchanged);
    cli_print(call, "%.3f seconds, %.0f rows/s\n", seconds, rate);
}

static int index_folder(indexing *run)
{
    int rc;

    run->writer = (cli_writer){.call = run->call,
                               .database = tide_sync_database(run->library->sync),
                               .path = run->library->path};
    rc = write_location(run);
    if (rc == CLI_YES) {
        rc = cli_write_volumes(&run->writer, run->library->device);
    }
    if (rc == CLI_YES) {
        rc = write_entries(run);
    }
    if (rc != CLI_YES) {
        cli_writer_abandon(&run->writer);
    }
    sqlite3_finalize(run->insertion);
    sqlite3_finalize(run->update);
    sqlite3_finalize(run->removal);
    cli_known_free(run->known);
    cli_progress_end(run->call);
    if (rc == CLI_YES) {
        print_summary(run);
    }
    return rc;
}

/* Sets both forms of the folder's path. */
static int find_folder(indexing *run, const char *dir)
{
    struct stat status;

    run->folder = realpath(dir, NULL);
    if (run->folder == NULL || stat(run->folder, &status) != 0) {
        return cli_fail_errno(run->call, errno, dir);
    }
    if (!S_ISDIR(status.st_mode)) {
        return cli_fail_errno(run->call, ENOTDIR, dir);
    }
    run->shown_folder = cli_utf8_escape(run->folder);
    return run->shown_folder != NULL ? CLI_YES : cli_fail_memory(run->call);
}

static int run_index(cli_call *call)
{
    cli_library_request request = {.path = call->operands[0]};
    cli_library library = {.handle = NULL};
    indexing run = {.call = call, .library = &library};
    int rc = find_folder(&run, call->operands[1]);

    if (run.shown_folder != NULL) {
        rc = cli_library_open(call, &request, &library);
        if (rc == CLI_YES) {
            cli_progress_begin(call);
            rc = index_folder(&run);
        }
        cli_library_close(&library);
    }
    free(run.folder);
    free(run.shown_folder);
    free(run.location);
    return rc;
}

const cli_command cli_command_index = {
    .name = "index",
    .operands = "LIBRARY DIR",
    .summary = "Records what is in a folder, or what has changed in it since the last time.",
    .run = run_index,
};
