/* cli.h - what the files of the program `tidemark` share.
 *
 * A command is a cli_command in a table; running one is a cli_call. main.c finds the command,
 * cli_parse_options fills the call, command->run does the work and returns the exit code. A failure
 * is not printed where it happens: cli_fail keeps one line in the call, and whoever made the call
 * prints it, the program on stderr behind "tidemark: COMMAND: ", the shell on stdout behind "error
 * ". So every error is one line, and the shell and the one-shot commands share their code.
 */
#ifndef TIDEMARK_CLI_CLI_H
#define TIDEMARK_CLI_CLI_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <uuid/uuid.h>

#include <tidemark/tidemark.h>

#define CLI_OPERANDS_MAX 8
#define CLI_OPTIONS_MAX 16
#define CLI_MESSAGE_MAX 2048 /* bytes of an error line; a longer one loses its middle */
#define CLI_UUID_TEXT 37     /* bytes of a UUID's text with its NUL */
#define CLI_AGE_TEXT 32

enum {
    CLI_YES = 0,
    CLI_NO = 1,      /* a normal no: stale, gap, absent, conflict, cut */
    CLI_USAGE = 2,   /* the command line is wrong */
    CLI_FAILURE = 3, /* input and output, and whatever has no code of its own */
    CLI_BUSY = 4,
    CLI_CORRUPT = 5 /* damaged, or not what it should be */
};

typedef struct cli_call cli_call;

typedef struct cli_option {
    const char *name;
    const char *argument; /* what its value is called; NULL: it takes none */
    const char *help;
} cli_option;

typedef struct cli_command {
    const char *name;
    const char *operands;      /* "STORE DEVICE PEER [RESOURCE]": the optional ones last */
    const cli_option *options; /* besides --json and the like, which every command has; ends with a
                                  nameless one; NULL: none */
    const char *summary;
    int (*run)(cli_call *call);
} cli_command;

struct cli_call {
    const cli_command *command;
    const char *operands[CLI_OPERANDS_MAX];
    size_t operand_count;
    const char *values[CLI_OPTIONS_MAX]; /* of command->options; NULL: not given; "" for a flag */
    bool json;
    bool help;
    int progress;                  /* 1 and 0 as asked for, -1: only on a terminal */
    bool in_shell;                 /* answers are one line each, and nobody can be asked */
    char message[CLI_MESSAGE_MAX]; /* of the failure; empty: there is nothing to say */
    int output_errno;              /* of the first failed write to stdout */
    bool reader_may_go;            /* a pipe that nobody reads any more is a normal end */
    struct timespec started;       /* of the work whose progress is shown */
    struct timespec shown;
    bool progress_visible;
};

/* ---- report.c: what goes to stderr ----------------------------------------------------------- */

/* Keeps the line about a failure and returns `code`, an exit code. */
int cli_fail(cli_call *call, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same from a code of the library: "thing: sentence (detail)". `detail` may be NULL or empty.
 * Returns the exit code for it; for one that is no failure it says nothing. */
int cli_fail_code(cli_call *call, int code, const char *thing, const char *detail);
int cli_fail_store(cli_call *call, int code, const char *path, tide_store *store);
int cli_fail_sync(cli_call *call, int code, const char *path, tide_sync *sync);
int cli_fail_errno(cli_call *call, int error, const char *thing);
int cli_fail_memory(cli_call *call);

int cli_exit_of(int code); /* the exit code for a code of the library */

/* Control characters become '?': paths and peers may have them, and a line shall stay one. */
void cli_make_one_line(char *text);

/* Prints a line of talk at once. */
void cli_note(cli_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Asks on the terminal whether to go on; --yes is yes. `purpose` is what --yes is given for.
 * CLI_YES, CLI_NO, or CLI_USAGE where nobody can be asked. */
int cli_confirm(cli_call *call, const char *purpose, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints the line of the failure, if there is one. */
void cli_print_failure(const cli_call *call);

/* Begins the work whose progress is shown; elapsed: seconds since then. */
void cli_progress_begin(cli_call *call);
double cli_elapsed(const cli_call *call);

/* Says how far the work is, when somebody is looking and a second has gone by. Cheap enough for
 * each row of a batch, not for each row. */
void cli_progress(cli_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_progress_end(cli_call *call);

/* ---- output.c: what goes to stdout ----------------------------------------------------------- */

/* Both remember a failed write in the call; cli_output_finish tells it. false: it is no use to go on. */
bool cli_print(cli_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool cli_print_json(cli_call *call,
                    json_t *object); /* one line; takes the reference; NULL: no memory */

/* The same for one line with texts of others in it: adds its end, and control characters become
 * '?'. */
bool cli_print_line(cli_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Brings to the reader what was printed so far. */
bool cli_output_flush(cli_call *call);

/* Flushes, and returns `code`, or CLI_FAILURE with its line when not everything could be written. */
int cli_output_finish(cli_call *call, int code);

/* Values for JSON: counts as strings, TIDE_TIME_NONE as null. NULL when out of memory. */
json_t *cli_json_count(uint64_t count);
json_t *cli_json_signed(int64_t count);
json_t *cli_json_time(tide_time time);
json_t *cli_json_uuid(const uuid_t uuid);

/* ---- options.c: the command line ------------------------------------------------------------- */

/* Reads operands and options in any order. `skip` operands at the front of command->operands are
 * not expected (the shell has its store already). Returns CLI_YES or CLI_USAGE with a message. */
int cli_parse_options(const cli_command *command, size_t skip, int argc, char **argv,
                      cli_call *call);

/* The value of an option, "" for a flag; NULL: not given. */
const char *cli_option_value(const cli_call *call, const char *name);

/* Of a command that takes --prometheus: not with --json. CLI_YES or CLI_USAGE with a message. */
int cli_refuse_both_formats(cli_call *call);

/* The name among `names` that `word` was most likely meant to be; NULL: none is near. */
const char *cli_nearest(const char *word, const char *const *names, size_t count);

void cli_print_help(cli_call *call, const cli_command *command);

/* ---- values.c: texts to values and back ------------------------------------------------------ */

/* Each returns CLI_YES, or CLI_USAGE with a message that begins with `what`. */
int cli_read_uuid(cli_call *call, const char *what, const char *text, uuid_t out);
int cli_read_resource(cli_call *call, const char *what, const char *text);
int cli_read_count(cli_call *call, const char *what, const char *text, uint64_t least,
                   uint64_t most, uint64_t *out);

/* `none_allowed`: "none" is TIDE_TIME_NONE. */
int cli_read_time(cli_call *call, const char *what, const char *text, bool none_allowed,
                  tide_time *out);

/* Seconds with up to three digits behind a point, as milliseconds. */
int cli_read_seconds(cli_call *call, const char *what, const char *text, uint64_t least_ms,
                     uint64_t most_ms, uint64_t *out_ms);

tide_time cli_now(void);
int64_t cli_age_ns(tide_time now, tide_time then); /* held within what fits */
void cli_age_text(int64_t age_ns, char text[CLI_AGE_TEXT]);
void cli_uuid_text(const uuid_t uuid, char text[CLI_UUID_TEXT]);
void cli_new_uuid(uuid_t out); /* a random one */

bool cli_utf8_valid(const char *text);

/* A copy of a file name or path as valid UTF-8, another one for each: as it is if it is plain,
 * otherwise with each byte that does not belong, and each backslash, as \xNN, N being 0 to 9 or A
 * to F. Plain is valid UTF-8 that has no \xNN yet. NULL: no memory. The caller frees it. */
char *cli_utf8_escape(const char *text);
bool cli_utf8_plain(const char *text);

/* ---- library.c: opening libraries ------------------------------------------------------------ */

typedef struct cli_library {
    cli_call *call;
    const char *path;
    char *shown_path; /* path as valid UTF-8 */
    tide_library *handle;
    tide_sync *sync;
    tide_store *store;
    uuid_t device;
    uuid_t id;
    tide_event_fn *event; /* receives what is not a notice; may be NULL */
    void *event_ctx;
    char notice[1024]; /* what the store said last while it was being opened */
} cli_library;

typedef struct cli_library_request {
    const char *path;
    uint32_t flags;            /* of tide_library_options */
    const char *device_name;   /* NULL: the host's */
    const unsigned char *join; /* id of the library to belong to; NULL: its own or a new one */
    tide_event_fn *event;
    void *event_ctx;
} cli_library_request;

/* CLI_YES or an exit code with a message. *library is to be closed in either case. */
int cli_library_open(cli_call *call, const cli_library_request *request, cli_library *library);
void cli_library_close(cli_library *library);

/* CLI_YES, or CLI_USAGE with a message if both paths lead to one folder. */
int cli_refuse_same_folder(cli_call *call, const char *first, const char *second);

/* Whether there is nothing at `path`, or an empty folder. */
bool cli_library_absent(const char *path);

/* ---- command_store.c: opening stores --------------------------------------------------------- */

typedef struct cli_store {
    cli_call *call;
    const char *path;
    tide_store *handle;
    char notice[1024]; /* what the store said last while it was being opened */
} cli_store;

/* CLI_YES or an exit code with a message. *store is to be closed in either case. */
int cli_store_open(cli_call *call, const char *path, bool create, cli_store *store);
void cli_store_close(cli_store *store);

int cli_run_verb(cli_call *call); /* run of every cli_verb's command */

/* ---- command_backup.c: stores and libraries alike -------------------------------------------- */

bool cli_is_folder(const char *path);

/* The store itself, or the one of a library. CLI_YES or CLI_USAGE with a message. */
int cli_store_path(cli_call *call, const char *path, char out[PATH_MAX]);

/* What a library says in lines, one call each: a tide_notice_fn, for which `ctx` is a cli_heard. */
typedef struct cli_heard {
    cli_call *call;
    bool prints;  /* the lines are the answer; else what is no failure is talk */
    size_t count; /* of those about failures */
    char first[1024];
    char last[1024];
} cli_heard;

void cli_hear(void *ctx, int code, const char *text);

/* ---- store_verbs.c: the commands on a bare store --------------------------------------------- */

typedef struct cli_request {
    uuid_t device;
    uuid_t peer;
    const char *resource; /* NULL: not given */
    bool has_device;
    bool has_peer;
    bool has_after;
    tide_time time;
    tide_time after;
    tide_time expected;
} cli_request;

typedef struct cli_verb {
    cli_command command;
    bool creates; /* may make the store */
    bool removes; /* asks first */
    int (*run)(cli_call *call, const cli_store *store, const cli_request *request);
} cli_verb;

#define CLI_VERB_COUNT 6
extern const cli_verb cli_verbs[CLI_VERB_COUNT];

const cli_verb *cli_find_verb(const char *name);

/* Turns the call's texts into values; `skip`: operands before DEVICE. */
int cli_read_request(cli_call *call, const cli_verb *verb, size_t skip, cli_request *out);

/* ---- the commands ---------------------------------------------------------------------------- */

extern const cli_command cli_command_init;
extern const cli_command cli_command_index;
extern const cli_command cli_command_sync;
extern const cli_command cli_command_status;
extern const cli_command cli_command_watch;
extern const cli_command cli_command_verify;
extern const cli_command cli_command_backup;
extern const cli_command cli_command_restore;
extern const cli_command cli_command_repair;
extern const cli_command cli_command_export;
extern const cli_command cli_command_import;
extern const cli_command cli_command_peers;
extern const cli_command cli_command_prune;
extern const cli_command cli_command_accept;
extern const cli_command cli_command_shell;

#endif
