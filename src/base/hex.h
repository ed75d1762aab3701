/* hex.h - numbers as lower-case hexadecimal digits, as many as there is room for. */
#ifndef TIDEMARK_BASE_HEX_H
#define TIDEMARK_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void tide__hex_put(uint64_t number, char *out, size_t digits)
{
    for (; digits > 0; digits--, number >>= 4) {
        out[digits - 1] = "0123456789abcdef"[number & 0xf];
    }
}

/* False: not that many digits. */
static inline bool tide__hex_get(const char *text, size_t digits, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        unsigned digit = (unsigned)text[i] - '0';
        unsigned letter = (unsigned)text[i] - 'a';
        if (digit > 9 && letter > 5) {
            return false;
        }
        *out = *out << 4 | (digit <= 9 ? digit : letter + 10);
    }
    return true;
}

#endif
