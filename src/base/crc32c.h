/* crc32c.h - CRC-32C (Castagnoli, RFC 3720 B.4), the check of a record. */
#ifndef TIDEMARK_BASE_CRC32C_H
#define TIDEMARK_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C of `bytes`, going on from `crc` (0 to begin with). */
uint32_t tide__crc32c(uint32_t crc, const void *bytes, size_t length);

/* The same without SSE 4.2; here for its test. */
uint32_t tide__crc32c_by_tables(uint32_t crc, const void *bytes, size_t length);

#endif
