/* report.c - what goes to stderr: the one line of an error, talk, and progress.
 *
 * Texts come from paths, peers and damaged files; control characters in them are shown as '?', so
 * that a line stays one line and no terminal is told what to do. What is wrong stands at the end of
 * a line and what it is about at the front, so a line that is too long is cut in the middle.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_WAIT_S 1.0
#define PROGRESS_STEP_S 0.2
#define PROGRESS_WIDTH 78

void cli_make_one_line(char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte < 0x20 || byte == 0x7f) {
            *text = '?';
        }
    }
}

/* Between two characters, if it is UTF-8. */
static void cut_middle(char line[CLI_MESSAGE_MAX], const char *text, size_t length)
{
    const size_t most = (CLI_MESSAGE_MAX - sizeof "...") / 2;
    size_t head = most;
    const char *tail = text + length - most;

    for (int i = 0; i < 3 && ((unsigned char)text[head] & 0xc0) == 0x80; i++) {
        head--;
    }
    for (int i = 0; i < 3 && ((unsigned char)*tail & 0xc0) == 0x80; i++) {
        tail++;
    }
    snprintf(line, CLI_MESSAGE_MAX, "%.*s...%s", (int)head, text, tail);
}

static void format_line(char line[CLI_MESSAGE_MAX], const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void format_line(char line[CLI_MESSAGE_MAX], const char *format, va_list arguments)
{
    char *text = NULL;
    int length = vasprintf(&text, format, arguments);

    if (length < 0) {
        snprintf(line, CLI_MESSAGE_MAX, "%s", strerror(ENOMEM));
        return;
    }
    if (length < CLI_MESSAGE_MAX) {
        memcpy(line, text, (size_t)length + 1);
    } else {
        cut_middle(line, text, (size_t)length);
    }
    free(text);
    cli_make_one_line(line);
}

int cli_exit_of(int code)
{
    switch (code) {
    case TIDE_OK:
        return CLI_YES;
    case TIDE_EINVAL:
    case TIDE_ERANGE:
        return CLI_USAGE;
    case TIDE_EBUSY:
        return CLI_BUSY;
    case TIDE_EFORMAT:
    case TIDE_ECORRUPT:
        return CLI_CORRUPT;
    default:
        return code > 0 ? CLI_NO : CLI_FAILURE;
    }
}

int cli_fail(cli_call *call, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    format_line(call->message, format, arguments);
    va_end(arguments);
    return code;
}

int cli_fail_code(cli_call *call, int code, const char *thing, const char *detail)
{
    size_t length = strlen(thing);

    if (code >= 0) {
        return cli_exit_of(code);
    }
    if (detail == NULL || detail[0] == '\0') {
        return cli_fail(call, cli_exit_of(code), "%s: %s", thing, tide_strerror(code));
    }
    if (strncmp(detail, thing, length) == 0 && strncmp(detail + length, ": ", 2) == 0) {
        detail += length + 2; /* it is named once */
    }
    return cli_fail(call, cli_exit_of(code), "%s: %s (%s)", thing, tide_strerror(code), detail);
}

int cli_fail_store(cli_call *call, int code, const char *path, tide_store *store)
{
    char detail[1024] = "";

    tide_detail(store, detail, sizeof detail);
    return cli_fail_code(call, code, path, detail);
}

int cli_fail_sync(cli_call *call, int code, const char *path, tide_sync *sync)
{
    char detail[1024] = "";

    tide_sync_detail(sync, detail, sizeof detail);
    return cli_fail_code(call, code, path, detail);
}

int cli_fail_errno(cli_call *call, int error, const char *thing)
{
    return cli_fail(call, CLI_FAILURE, "%s: %s", thing, strerror(error));
}

int cli_fail_memory(cli_call *call)
{
    return cli_fail(call, CLI_FAILURE, "memory: %s", strerror(ENOMEM));
}

static void hide_progress(cli_call *call)
{
    if (!call->progress_visible) {
        return;
    }
    fprintf(stderr, "\r%*s\r", PROGRESS_WIDTH, "");
    call->progress_visible = false;
}

void cli_note(cli_call *call, const char *format, ...)
{
    char text[CLI_MESSAGE_MAX];
    va_list arguments;

    va_start(arguments, format);
    format_line(text, format, arguments);
    va_end(arguments);
    hide_progress(call);
    fprintf(stderr, "tidemark: %s: %s\n", call->command->name, text);
}

int cli_confirm(cli_call *call, const char *purpose, const char *format, ...)
{
    char question[CLI_MESSAGE_MAX];
    char line[16];
    va_list arguments;

    if (cli_option_value(call, "yes") != NULL) {
        return CLI_YES;
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        return cli_fail(call, CLI_USAGE, "%s: no terminal to ask on; give --yes to %s",
                        call->operands[0], purpose);
    }
    va_start(arguments, format);
    format_line(question, format, arguments);
    va_end(arguments);
    fprintf(stderr, "tidemark: %s: %s [y/N] ", call->command->name, question);
    if (fgets(line, sizeof line, stdin) != NULL && (line[0] == 'y' || line[0] == 'Y')) {
        return CLI_YES;
    }
    return cli_fail(call, CLI_NO, "%s: nothing is changed", call->operands[0]);
}

void cli_print_failure(const cli_call *call)
{
    if (call->message[0] == '\0') {
        return;
    }
    if (call->command != NULL) {
        fprintf(stderr, "tidemark: %s: %s\n", call->command->name, call->message);
    } else {
        fprintf(stderr, "tidemark: %s\n", call->message);
    }
}

/* ---- progress -------------------------------------------------------------------------------- */

static double seconds_since(const struct timespec *then)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

void cli_progress_begin(cli_call *call)
{
    clock_gettime(CLOCK_MONOTONIC, &call->started);
    call->shown = call->started;
    if (call->progress < 0) {
        call->progress = isatty(STDERR_FILENO) ? 1 : 0;
    }
}

double cli_elapsed(const cli_call *call)
{
    return seconds_since(&call->started);
}

void cli_progress(cli_call *call, const char *format, ...)
{
    char text[PROGRESS_WIDTH + 1];
    va_list arguments;

    if (call->progress <= 0 || seconds_since(&call->shown) < PROGRESS_STEP_S ||
        cli_elapsed(call) < PROGRESS_WAIT_S) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cli_make_one_line(text);
    fprintf(stderr, "\r%-*s", PROGRESS_WIDTH, text);
    call->progress_visible = true;
    clock_gettime(CLOCK_MONOTONIC, &call->shown);
}

void cli_progress_end(cli_call *call)
{
    hide_progress(call);
}
