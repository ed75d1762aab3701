/* rows.h - the rows of the smallest engine that can be: a file of numbered rows for each feed.
 *
 * Row n is n and a word that follows from it, so that whoever reads the file can tell how many rows
 * it has for certain.
 */
#ifndef TIDEMARK_CRASH_ROWS_H
#define TIDEMARK_CRASH_ROWS_H

#include <stdbool.h>
#include <stdint.h>

/* How many whole rows the file begins with; 0 where there is no file. */
int64_t rows_count(const char *path);

/* Opens the file or makes it, cuts off what is no whole row, and makes the rest durable: written
 * over itself, because a flush that failed before may have left it clean and unwritten. Returns the
 * descriptor, -1 on failure. */
int rows_open(const char *folder, const char *path, int64_t *count);

/* Appends rows number first to last. */
bool rows_append(int fd, int64_t first, int64_t last);

#endif
