/* fuzz.h - what the fuzzers share: the input as a supply of small numbers, and a condition that
 * ends the run.
 *
 * Each fuzzer is a libFuzzer program (LLVMFuzzerTestOneInput) and works in the folder it was
 * started in, which scripts/fuzz makes and removes. A supply that is used up gives zeros, so that
 * every input means something.
 */
#ifndef TIDEMARK_TESTS_FUZZ_H
#define TIDEMARK_TESTS_FUZZ_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* A new file of these bytes, or in the place of one. */
static inline void fuzz_write_file(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    fuzz_require(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && close(fd) == 0);
}

/* The bytes of a file; to be freed. */
static inline uint8_t *fuzz_read_file(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY);
    off_t length = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    uint8_t *bytes = length <= 0 ? NULL : malloc((size_t)length);
    fuzz_require(bytes != NULL && pread(fd, bytes, (size_t)length, 0) == length && close(fd) == 0);
    *size = (size_t)length;
    return bytes;
}

#endif
