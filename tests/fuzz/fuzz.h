/* fuzz.h - what the fuzzers share: the input as a supply of small numbers, and a condition that
 * ends the run.
 *
 * Each fuzzer is a libFuzzer program (LLVMFuzzerTestOneInput) and works in the folder it was
 * started in, which scripts/fuzz makes and removes. A supply that is used up gives zeros, so that
 * every input means something.
 */
#ifndef TIDEMARK_TESTS_FUZZ_H
#define TIDEMARK_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer keeps the input when a program aborts. */
#define fuzz_require(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

typedef struct fuzz_input {
    const uint8_t *at;
    size_t left;
} fuzz_input;

/* The next `bytes` bytes, 1 to 8, as a number, the least significant first. */
static inline uint64_t fuzz_number(fuzz_input *input, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes && input->left > 0; i++) {
        number |= (uint64_t)*input->at++ << (8 * i);
        input->left--;
    }
    return number;
}

/* The next byte, as a number below `limit`. */
static inline uint32_t fuzz_below(fuzz_input *input, uint32_t limit)
{
    return (uint32_t)fuzz_number(input, 1) % limit;
}

/* Up to `most` bytes that lie in the input; *size is how many there are. */
static inline const uint8_t *fuzz_bytes(fuzz_input *input, size_t most, size_t *size)
{
    const uint8_t *bytes = input->at;
    *size = most < input->left ? most : input->left;
    input->at += *size;
    input->left -= *size;
    return bytes;
}

#endif
