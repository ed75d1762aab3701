/* index.h - the parts of `index`: the walk, the rows that are known, and the writer.
 *
 *     walk.c          reads folders and says what is in them
 *     known.c         the rows of the last run, found by folder and name; tells which are gone
 *     writer.c        SQL in transactions of some thousand rows
 *     volumes.c       mounted file systems to rows
 *     command_index.c brings them together
 */
#ifndef TIDEMARK_CLI_INDEX_H
#define TIDEMARK_CLI_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cli/cli.h"

struct sqlite3;
struct sqlite3_stmt;

/* ---- walk.c ---------------------------------------------------------------------------------- */

#define CLI_UNKNOWN UINT32_MAX

/* A folder, as its owner knows it. The walk only carries it about. */
typedef struct cli_folder {
    uint32_t known; /* its place among the known rows; CLI_UNKNOWN: it is new, */
    uuid_t uuid;    /* and this is its key */
} cli_folder;

/* Functions that return int return an exit code; one that is not CLI_YES ends the walk, which
 * returns it. */
typedef struct cli_walk {
    void *ctx;
    /* A name in `folder`. For a folder that shall be entered, sets *child. */
    int (*entry)(void *ctx, const cli_folder *folder, const char *name, const struct stat *status,
                 cli_folder *child);
    /* Every name in `folder` has been told. Is not called for one that could not be read to its end. */
    int (*complete)(void *ctx, const cli_folder *folder);
    /* A folder could not be read, or not to its end. */
    void (*trouble)(void *ctx, const char *path, int error);
    /* A folder that is left out, with all that is below it. */
    dev_t skip_device;
    ino_t skip_inode;
} cli_walk;

/* Walks the tree below `path`, depth first, a folder before what is in it. Symbolic links are not
 * followed, and no other file system is entered. Holds a bounded number of folders open, however
 * deep the tree is. */
int cli_walk_tree(cli_call *call, const cli_walk *walk, const char *path, const cli_folder *root);

/* ---- known.c --------------------------------------------------------------------------------- */

typedef struct cli_known cli_known;

enum { CLI_FILE = 0, CLI_FOLDER = 1, CLI_LINK = 2, CLI_OTHER = 3, CLI_KIND_UNKNOWN = 4 };
extern const char *const cli_kind_names[CLI_KIND_UNKNOWN];

typedef struct cli_row {
    int64_t id; /* of the row in its table */
    int64_t size;
    tide_time mtime; /* TIDE_TIME_NONE: there was none that can be read */
    int kind;
} cli_row;

#define CLI_KNOWN_ROOT 0 /* the location itself */

/* Reads the rows of a location. CLI_YES or an exit code with a message; *out is NULL then. */
int cli_known_load(cli_call *call, struct sqlite3 *database, const char *path, const char *location,
                   cli_known **out);
void cli_known_free(cli_known *known); /* NULL is allowed */

/* Finds a row that was not found before, marks it as found and copies it to *row. Returns its
 * place, or CLI_UNKNOWN. `folder` may be CLI_UNKNOWN. */
uint32_t cli_known_find(cli_known *known, uint32_t folder, const char *name, cli_row *row);

/* The key of the row in that place: the text in its column uuid. */
const char *cli_known_key(const cli_known *known, uint32_t place);

/* Says that everything in that folder has been looked for. */
void cli_known_complete(cli_known *known, uint32_t folder);

/* For each row that is gone, what is in a folder before the folder: a row that was not found, in a
 * folder that was read to its end or that is gone itself; and a row that hangs on none. Sets *kept
 * to the number of rows that were not found and yet are not gone. Returns what `gone` returns. */
int cli_known_gone(cli_call *call, cli_known *known, int (*gone)(void *ctx, int64_t id), void *ctx,
                   uint64_t *kept);

/* ---- writer.c -------------------------------------------------------------------------------- */

typedef struct cli_writer {
    cli_call *call;
    struct sqlite3 *database;
    const char *path; /* for messages */
    uint32_t pending; /* rows in the open transaction */
    uint64_t foreign; /* statements that did nothing, because the row is another device's */
    bool open;
} cli_writer;

int cli_writer_prepare(cli_writer *writer, const char *sql, struct sqlite3_stmt **out);

/* Runs a statement that changes a row, in the open transaction or a new one; commits a full one. A
 * row that belongs to another device stays as it is, which is counted and no failure. The statement
 * is reset and keeps its bindings. */
int cli_writer_run(cli_writer *writer, struct sqlite3_stmt *statement);
int cli_writer_commit(cli_writer *writer);
void cli_writer_abandon(cli_writer *writer); /* rolls an open transaction back */

/* The exit code and message for what the connection has just answered. */
int cli_fail_sqlite(cli_call *call, struct sqlite3 *database, const char *path);

/* Binds a UUID as text, NULL as SQL's null. */
void cli_bind_uuid(struct sqlite3_stmt *statement, int index, const unsigned char *uuid);
void cli_bind_text(struct sqlite3_stmt *statement, int index, const char *text);

/* ---- volumes.c ------------------------------------------------------------------------------- */

/* Makes the volumes rows of `device` say what is mounted now. */
int cli_write_volumes(cli_writer *writer, const uuid_t device);

#endif
