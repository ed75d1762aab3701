/* time.c - RFC 3339 date-times to nanoseconds and back, without libc's calendar.
 *
 * Days are counted in the proleptic Gregorian calendar by the usual shift of the year to March, so
 * that a leap day is the last day of its year. Both directions are straight arithmetic on fixed
 * positions. Parsing keeps seconds and fraction apart until the range is known, so nothing can
 * overflow, and drops what does not fit: the fraction is always added upward from the second, so
 * dropping digits rounds down.
 */
#include <tidemark/time.h>

#include <stdbool.h>

#define NS_PER_SECOND 1000000000
#define SECONDS_PER_DAY 86400
#define DAYS_PER_ERA 146097 /* 400 years */
#define SHIFT_DAYS 719468   /* 0000-03-01 to 1970-01-01 */

/* The first and last whole second that lies at least partly in the range, and how far it goes in
 * them. */
#define SECOND_MIN (-9223372037)
#define SECOND_MIN_NS 145224193 /* of TIDE_TIME_MIN */
#define SECOND_MAX 9223372036
#define SECOND_MAX_NS 854775807

static int64_t days_from_civil(int year, int month, int day)
{
    year -= month <= 2;
    int era = (year >= 0 ? year : year - 399) / 400;
    int year_of_era = year - era * 400;
    int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * DAYS_PER_ERA + day_of_era - SHIFT_DAYS;
}

static int days_in_month(int year, int month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Two digits at p; -1 (or less, or more than 99) if they are not digits. */
static int two(const char *p)
{
    unsigned tens = (unsigned)(unsigned char)p[0] - '0';
    unsigned ones = (unsigned)(unsigned char)p[1] - '0';
    return tens > 9 || ones > 9 ? -1 : (int)(tens * 10 + ones);
}

/* Whether a leap second can stand at this local time: 23:59:60 UTC on the last day of a month. */
static bool leap_second_possible(int64_t utc_second_59)
{
    int64_t days = utc_second_59 / SECONDS_PER_DAY;
    int64_t rest = utc_second_59 % SECONDS_PER_DAY;
    if (rest < 0) {
        rest += SECONDS_PER_DAY;
        days -= 1;
    }
    if (rest != SECONDS_PER_DAY - 1) {
        return false;
    }
    /* The next day must be the first of a month. */
    int64_t z = days + 1 + SHIFT_DAYS;
    int64_t era = (z >= 0 ? z : z - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t doe = z - era * DAYS_PER_ERA;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / (DAYS_PER_ERA - 1)) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    return doy == (153 * mp + 2) / 5;
}

/* Reads ".digits" at *p into nanoseconds, digits beyond the ninth are dropped. */
static bool parse_fraction(const char **p, const char *end, int *ns)
{
    const char *at = *p + 1;
    int value = 0;
    int scale = NS_PER_SECOND;
    const char *first = at;
    while (at < end && (unsigned)(unsigned char)*at - '0' <= 9) {
        if (scale > 1) {
            scale /= 10;
            value += (*at - '0') * scale;
        }
        at++;
    }
    *p = at;
    *ns = value;
    return at > first;
}

/* Reads the offset, which must end the text; *seconds is what local time is ahead of UTC. */
static bool parse_offset(const char *p, const char *end, int *seconds)
{
    if (end - p == 1 && (*p == 'Z' || *p == 'z')) {
        *seconds = 0;
        return true;
    }
    if (end - p != 6 || (*p != '+' && *p != '-') || p[3] != ':') {
        return false;
    }
    int hours = two(p + 1);
    int minutes = two(p + 4);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) {
        return false;
    }
    *seconds = (hours * 60 + minutes) * 60 * (*p == '-' ? -1 : 1);
    return true;
}

int tide_time_parse(const char *text, size_t length, tide_time *out)
{
    if (text == NULL || out == NULL || length < 20) {
        return TIDE_EINVAL;
    }
    const char *end = text + length;
    int century = two(text);
    int year = two(text + 2);
    int month = two(text + 5);
    int day = two(text + 8);
    int hour = two(text + 11);
    int minute = two(text + 14);
    int second = two(text + 17);
    bool separators = text[4] == '-' && text[7] == '-' && text[13] == ':' && text[16] == ':' &&
                      (text[10] == 'T' || text[10] == 't' || text[10] == ' ');
    if (!separators || (century | year | month | day | hour | minute | second) < 0) {
        return TIDE_EINVAL;
    }
    year += century * 100;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 ||
        minute > 59 || second > 60) {
        return TIDE_EINVAL;
    }
    const char *p = text + 19;
    int ns = 0;
    if (*p == '.' && !parse_fraction(&p, end, &ns)) {
        return TIDE_EINVAL;
    }
    int offset = 0;
    if (!parse_offset(p, end, &offset)) {
        return TIDE_EINVAL;
    }
    int64_t seconds = days_from_civil(year, month, day) * SECONDS_PER_DAY +
                      (hour * 60 + minute) * 60 + second - offset;
    if (second == 60) {
        seconds -= 1;
        ns = NS_PER_SECOND - 1;
        if (!leap_second_possible(seconds)) {
            return TIDE_EINVAL;
        }
    }
    if (seconds < SECOND_MIN || (seconds == SECOND_MIN && ns < SECOND_MIN_NS) ||
        seconds > SECOND_MAX || (seconds == SECOND_MAX && ns > SECOND_MAX_NS)) {
        return TIDE_ERANGE;
    }
    /* Before 1970 the product alone may lie below INT64_MIN: one second is taken from the other side. */
    *out = seconds < 0 ? (seconds + 1) * NS_PER_SECOND + (ns - NS_PER_SECOND)
                       : seconds * NS_PER_SECOND + ns;
    return TIDE_OK;
}

static void put_two(char *p, unsigned value)
{
    p[0] = (char)('0' + value / 10);
    p[1] = (char)('0' + value % 10);
}

void tide_time_format(tide_time time, char text[TIDE_TIME_TEXT])
{
    if (time == TIDE_TIME_NONE) {
        text[0] = '\0';
        return;
    }
    int64_t seconds = time / NS_PER_SECOND;
    int32_t ns = (int32_t)(time % NS_PER_SECOND);
    if (ns < 0) {
        ns += NS_PER_SECOND;
        seconds -= 1;
    }
    int64_t days = seconds / SECONDS_PER_DAY;
    int32_t rest = (int32_t)(seconds % SECONDS_PER_DAY);
    if (rest < 0) {
        rest += SECONDS_PER_DAY;
        days -= 1;
    }
    /* The range lies within one shift of the calendar, so all of this is positive and small. */
    uint32_t z = (uint32_t)(days + SHIFT_DAYS);
    uint32_t era = z / DAYS_PER_ERA;
    uint32_t doe = z - era * DAYS_PER_ERA;
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / (DAYS_PER_ERA - 1)) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint32_t mp = (5 * doy + 2) / 153;
    uint32_t month = mp < 10 ? mp + 3 : mp - 9;
    uint32_t year = era * 400 + yoe + (month <= 2);
    put_two(text, year / 100);
    put_two(text + 2, year % 100);
    text[4] = '-';
    put_two(text + 5, month);
    text[7] = '-';
    put_two(text + 8, doy - (153 * mp + 2) / 5 + 1);
    text[10] = 'T';
    put_two(text + 11, (uint32_t)rest / 3600);
    text[13] = ':';
    put_two(text + 14, (uint32_t)rest / 60 % 60);
    text[16] = ':';
    put_two(text + 17, (uint32_t)rest % 60);
    text[19] = '.';
    uint32_t fraction = (uint32_t)ns;
    uint32_t high = fraction / 10000; /* five digits, then four */
    uint32_t low = fraction % 10000;
    text[20] = (char)('0' + high / 10000);
    put_two(text + 21, high / 100 % 100);
    put_two(text + 23, high % 100);
    put_two(text + 25, low / 100);
    put_two(text + 27, low % 100);
    text[29] = 'Z';
    text[30] = '\0';
}
