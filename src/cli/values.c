/* values.c - texts of the command line to values, and values to texts.
 *
 * A text that is wrong is refused here, before a store is opened or made, with a line that names it.
 */
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NS_PER_S 1000000000
#define SECONDS_DIGITS 9 /* before the point */
#define HEX_DIGITS "0123456789ABCDEF"
#define RANDOM_POOL_BYTES (256 * sizeof(uuid_t)) /* more may come in parts */

int cli_read_uuid(cli_call *call, const char *what, const char *text, uuid_t out)
{
    if (uuid_parse(text, out) != 0) {
        return cli_fail(call, CLI_USAGE, "%s '%s': not a UUID", what, text);
    }
    return CLI_YES;
}

int cli_read_time(cli_call *call, const char *what, const char *text, bool none_allowed,
                  tide_time *out)
{
    int rc;

    if (none_allowed && strcmp(text, "none") == 0) {
        *out = TIDE_TIME_NONE;
        return CLI_YES;
    }
    rc = tide_time_parse(text, strlen(text), out);
    if (rc == TIDE_ERANGE) {
        return cli_fail(call, CLI_USAGE, "%s '%s': %s", what, text, tide_strerror(rc));
    }
    if (rc != TIDE_OK) {
        return cli_fail(call, CLI_USAGE, "%s '%s': not an RFC 3339 time%s", what, text,
                        none_allowed ? " or 'none'" : "");
    }
    return CLI_YES;
}

int cli_read_count(cli_call *call, const char *what, const char *text, uint64_t least,
                   uint64_t most, uint64_t *out)
{
    unsigned long long value = 0;
    char *end = NULL;

    errno = 0;
    if (text[0] >= '0' && text[0] <= '9') {
        value = strtoull(text, &end, 10);
    }
    if (end == NULL || *end != '\0' || errno != 0 || value < least || value > most) {
        return cli_fail(call, CLI_USAGE, "%s '%s': not a number from %" PRIu64 " to %" PRIu64, what,
                        text, least, most);
    }
    *out = value;
    return CLI_YES;
}

int cli_read_seconds(cli_call *call, const char *what, const char *text, uint64_t least_ms,
                     uint64_t most_ms, uint64_t *out_ms)
{
    size_t whole = strspn(text, "0123456789");
    size_t digits = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    size_t length = whole + (text[whole] == '.' ? 1 : 0) + digits;
    uint64_t value = 0;

    for (size_t i = 0; i < whole && i < SECONDS_DIGITS; i++) {
        value = 10 * value + (uint64_t)(text[i] - '0');
    }
    for (size_t i = 0; i < 3; i++) {
        value = 10 * value + (i < digits ? (uint64_t)(text[whole + 1 + i] - '0') : 0);
    }
    if (whole == 0 || whole > SECONDS_DIGITS || (text[whole] == '.' && digits == 0) || digits > 3 ||
        text[length] != '\0' || value < least_ms || value > most_ms) {
        return cli_fail(call, CLI_USAGE, "%s '%s': not seconds from %g to %g", what, text,
                        (double)least_ms / 1e3, (double)most_ms / 1e3);
    }
    *out_ms = value;
    return CLI_YES;
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 sequence at `text` (RFC 3629: no surrogates, nothing overlong, at most
 * U+10FFFF) and its code point; 0: there is none. The NUL ends a sequence, so nothing behind it is
 * read. */
static size_t utf8_sequence(const unsigned char *text, uint32_t *point)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length;
    uint32_t value;

    if (text[0] < 0x80) {
        *point = text[0];
        return 1;
    }
    if (text[0] < 0xc2 || text[0] > 0xf4) {
        return 0;
    }
    length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    value = text[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (text[i] & 0x3fu);
    }
    if (value < smallest[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return 0;
    }
    *point = value;
    return length;
}

/* Whether the escape of a byte stands there, as cli_utf8_escape writes it. */
static bool is_escape(const char *at)
{
    return at[0] == '\\' && at[1] == 'x' && strspn(at + 2, HEX_DIGITS) >= 2;
}

bool cli_utf8_plain(const char *text)
{
    const char *at = text;

    while ((at = strchr(at, '\\')) != NULL) {
        if (is_escape(at)) {
            return false;
        }
        at++;
    }
    return cli_utf8_valid(text);
}

bool cli_utf8_valid(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    uint32_t point;

    while (*at != '\0') {
        size_t length = utf8_sequence(at, &point);

        if (length == 0) {
            return false;
        }
        at += length;
    }
    return true;
}

char *cli_utf8_escape(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    uint32_t point;
    char *copy;
    char *to;

    if (cli_utf8_plain(text)) {
        return strdup(text);
    }
    copy = malloc(4 * strlen(text) + 1);
    if (copy == NULL) {
        return NULL;
    }
    to = copy;
    while (*at != '\0') {
        size_t length = utf8_sequence(at, &point);

        if (length == 0 || *at == '\\') {
            *to++ = '\\';
            *to++ = 'x';
            *to++ = HEX_DIGITS[*at >> 4];
            *to++ = HEX_DIGITS[*at & 0xf];
            at++;
            continue;
        }
        memcpy(to, at, length);
        to += length;
        at += length;
    }
    *to = '\0';
    return copy;
}

int cli_read_resource(cli_call *call, const char *what, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    uint32_t point;

    if (text[0] == '\0' || strlen(text) > TIDE_RESOURCE_MAX) {
        return cli_fail(call, CLI_USAGE, "%s '%.60s': not 1 to %d bytes long", what, text,
                        TIDE_RESOURCE_MAX);
    }
    while (*at != '\0') {
        size_t length = utf8_sequence(at, &point);

        if (length == 0) {
            return cli_fail(call, CLI_USAGE, "%s '%s': not valid UTF-8", what, text);
        }
        if (point == '|' || point < 0x20 || (point >= 0x7f && point <= 0x9f)) {
            return cli_fail(call, CLI_USAGE, "%s '%s': has '|' or a control character", what, text);
        }
        at += length;
    }
    return CLI_YES;
}

/* ---- times and UUIDs as text ----------------------------------------------------------------- */

tide_time cli_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (tide_time)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t cli_age_ns(tide_time now, tide_time then)
{
    if (then < 0 && now > INT64_MAX + then) {
        return INT64_MAX;
    }
    if (then > 0 && now < INT64_MIN + then) {
        return INT64_MIN;
    }
    return now - then;
}

void cli_age_text(int64_t age_ns, char text[CLI_AGE_TEXT])
{
    static const struct {
        uint64_t seconds;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    uint64_t seconds = (age_ns < 0 ? (uint64_t)0 - (uint64_t)age_ns : (uint64_t)age_ns) / NS_PER_S;
    const char *sign = age_ns < 0 && seconds > 0 ? "-" : "";
    size_t i = 0;

    while (i < 3 && seconds < units[i].seconds) {
        i++;
    }
    if (i == 3) {
        snprintf(text, CLI_AGE_TEXT, "%s%" PRIu64 "s", sign, seconds);
    } else {
        snprintf(text, CLI_AGE_TEXT, "%s%" PRIu64 "%c%02" PRIu64 "%c", sign,
                 seconds / units[i].seconds, units[i].letter,
                 seconds % units[i].seconds / units[i + 1].seconds, units[i + 1].letter);
    }
}

void cli_uuid_text(const uuid_t uuid, char text[CLI_UUID_TEXT])
{
    uuid_unparse_lower(uuid, text);
}

/* RFC 9562, section 5.4. libuuid makes six system calls for each; an index makes a hundred thousand. */
void cli_new_uuid(uuid_t out)
{
    static unsigned char pool[RANDOM_POOL_BYTES];
    static size_t left;

    if (left == 0 && getrandom(pool, sizeof pool, 0) == (ssize_t)sizeof pool) {
        left = sizeof pool;
    }
    if (left == 0) { /* interrupted by a signal, or a kernel without it */
        uuid_generate_random(out);
        return;
    }
    left -= sizeof(uuid_t);
    memcpy(out, pool + left, sizeof(uuid_t));
    out[6] = (unsigned char)((out[6] & 0x0f) | 0x40);
    out[8] = (unsigned char)((out[8] & 0x3f) | 0x80);
}
