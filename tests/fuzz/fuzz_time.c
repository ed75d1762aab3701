/* fuzz_time.c - times as text: whatever is taken is an instant whose canonical text leads back to
 * it, and the order of such texts is the order of time. */
#include "fuzz/fuzz.h"

#include <tidemark/time.h>

#define CANONICAL (TIDE_TIME_TEXT - 1)

static void check_instant(tide_time time, char text[TIDE_TIME_TEXT])
{
    tide_time again = TIDE_TIME_NONE;
    tide_time_format(time, text);
    fuzz_require(strlen(text) == CANONICAL);
    fuzz_require(tide_time_parse(text, CANONICAL, &again) == TIDE_OK && again == time);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    const char *given = (const char *)data;
    char text[TIDE_TIME_TEXT];
    char other[TIDE_TIME_TEXT];
    tide_time time = 42;
    int rc = tide_time_parse(given, size, &time);
    if (rc == TIDE_OK) {
        fuzz_require(time != TIDE_TIME_NONE);
        check_instant(time, text);
        /* What looks canonical is, except for a leap second, which is none of ours. */
        if (size == CANONICAL && given[10] == 'T' && given[19] == '.' && given[29] == 'Z' &&
            given[17] != '6') {
            fuzz_require(memcmp(given, text, CANONICAL) == 0);
        }
    } else {
        fuzz_require((rc == TIDE_EINVAL || rc == TIDE_ERANGE) && time == 42);
    }
    tide_time first = (tide_time)fuzz_number(&input, 8);
    tide_time second = (tide_time)fuzz_number(&input, 8);
    if (first != TIDE_TIME_NONE && second != TIDE_TIME_NONE) {
        check_instant(first, text);
        check_instant(second, other);
        fuzz_require((strcmp(text, other) < 0) == (first < second));
    }
    return 0;
}
