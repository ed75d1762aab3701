/* tidemark/time.h - instants, and their one canonical text.
 *
 * An instant is a count of nanoseconds since 1970-01-01T00:00:00Z without leap seconds (POSIX
 * time), from 1677-09-21T00:12:43.145224193Z to 2262-04-11T23:47:16.854775807Z. Its canonical text
 * is RFC 3339 in UTC with nine fraction digits and 'Z', 30 characters, so that the order of bytes
 * is the order of time.
 */
#ifndef TIDEMARK_TIME_H
#define TIDEMARK_TIME_H

#include <stddef.h>
#include <stdint.h>

#include <tidemark/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t tide_time; /* nanoseconds since 1970 */

#define TIDE_TIME_NONE INT64_MIN /* no time; below every instant */
#define TIDE_TIME_MIN (INT64_MIN + 1)
#define TIDE_TIME_MAX INT64_MAX
#define TIDE_TIME_TEXT 31 /* bytes of the canonical text with its NUL */

/* Reads an RFC 3339 date-time (section 5.6) of exactly `length` bytes; no NUL is needed or allowed.
 * Taken: any offset, 't' and 'z' in either case, a space for 'T', any number of fraction digits,
 * the leap second 60 where one can occur (23:59 UTC on the last day of a month). Nothing else is.
 * What does not fit in a nanosecond rounds down, a leap second to the last nanosecond before it: a
 * mark that is too low costs a re-read, one that is too high loses a row.
 *
 * TIDE_OK; TIDE_EINVAL: not such a text; TIDE_ERANGE: an instant outside the range above.
 * On failure *out is untouched. Any thread. */
TIDE_API int tide_time_parse(const char *text, size_t length, tide_time *out);

/* Writes the canonical text and a NUL; TIDE_TIME_NONE gives the empty string. Any thread. */
TIDE_API void tide_time_format(tide_time time, char text[TIDE_TIME_TEXT]);

#ifdef __cplusplus
}
#endif
#endif
