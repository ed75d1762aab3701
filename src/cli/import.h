/* import.h - what is read for `import`, from whichever kind of file. */
#ifndef TIDEMARK_CLI_IMPORT_H
#define TIDEMARK_CLI_IMPORT_H

#include "cli/cli.h"

typedef struct cli_imported_mark {
    uuid_t device;
    uuid_t peer;
    char *resource;
    tide_time watermark;
    tide_time epoch;
} cli_imported_mark;

typedef struct cli_import {
    cli_call *call;
    const char *path; /* as it is called in messages */
    cli_imported_mark *marks;
    size_t count;
    size_t room;
} cli_import;

/* Adds a mark; `epoch` may be NULL. CLI_YES, or an exit code with a message that names the part. */
int cli_import_add(cli_import *import, const char *device, const char *peer, const char *resource,
                   const char *watermark, const char *epoch);

/* Where `rc` is CLI_USAGE, the file is not what it should be: puts where that was before the
 * message, "line" or "row" and its number, and returns CLI_CORRUPT. */
int cli_import_refuse(cli_import *import, const char *what, uint64_t number, int rc);

/* Reads the table device_resource_watermarks of a SQLite database. */
int cli_import_sqlite(cli_import *import, const char *path);

#endif
