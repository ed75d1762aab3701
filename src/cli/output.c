/* output.c - what goes to stdout: the answers, as text or as JSON Lines.
 *
 * Every write is checked. The first one that fails is remembered in the call, and the program ends
 * with CLI_FAILURE whatever the command itself had to say: an answer that did not arrive is none.
 */
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool note_result(cli_call *call, bool written)
{
    if (!written && call->output_errno == 0) {
        call->output_errno = errno != 0 ? errno : EIO;
    }
    return call->output_errno == 0;
}

bool cli_print(cli_call *call, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    errno = 0;
    length = vprintf(format, arguments);
    va_end(arguments);
    return note_result(call, length >= 0);
}

bool cli_print_line(cli_call *call, const char *format, ...)
{
    va_list arguments;
    char *line = NULL;
    bool written;

    va_start(arguments, format);
    errno = 0;
    written = vasprintf(&line, format, arguments) >= 0;
    va_end(arguments);
    if (written) {
        cli_make_one_line(line);
        written = puts(line) != EOF;
        free(line);
    }
    return note_result(call, written);
}

bool cli_print_json(cli_call *call, json_t *object)
{
    bool written;

    if (object == NULL) {
        return note_result(call, (errno = ENOMEM, false));
    }
    errno = 0;
    written = json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) == 0 &&
              putchar('\n') != EOF;
    json_decref(object);
    return note_result(call, written);
}

bool cli_output_flush(cli_call *call)
{
    errno = 0;
    return note_result(call, fflush(stdout) == 0 && !ferror(stdout));
}

int cli_output_finish(cli_call *call, int code)
{
    cli_output_flush(call);
    if (call->output_errno == 0 || (call->output_errno == EPIPE && call->reader_may_go)) {
        return code;
    }
    return cli_fail_errno(call, call->output_errno, "standard output");
}

json_t *cli_json_count(uint64_t count)
{
    return json_sprintf("%" PRIu64, count);
}

json_t *cli_json_signed(int64_t count)
{
    return json_sprintf("%" PRId64, count);
}

json_t *cli_json_time(tide_time time)
{
    char text[TIDE_TIME_TEXT];

    if (time == TIDE_TIME_NONE) {
        return json_null();
    }
    tide_time_format(time, text);
    return json_string(text);
}

json_t *cli_json_uuid(const uuid_t uuid)
{
    char text[CLI_UUID_TEXT];

    cli_uuid_text(uuid, text);
    return json_string(text);
}
