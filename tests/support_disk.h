/* support_disk.h - a small disk that fills up: in mounts of a child's own.
 *
 * A tmpfs has blocks of 4 KiB, and mounting it wants root or a user namespace. ext4 in a file has
 * blocks of 1 KiB, and wants root, mkfs.ext4 and a loop device. Where these are not to be had the
 * test says that it is skipped.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_DISK_H
#define TIDEMARK_TESTS_SUPPORT_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define TEST_NO_DISK 77 /* the status of a child that could not have one */

/* In a child: an empty tmpfs of that size as working directory. */
bool test_disk_enter(uint64_t bytes);

/* The same with an ext4, which needs some of its bytes for itself. */
bool test_disk_enter_ext4(uint64_t bytes);

/* A file "ballast" there that takes so many bytes of it. */
void test_disk_ballast(uint64_t bytes);

/* The same, that leaves so many bytes of it. */
void test_disk_leave(uint64_t bytes);

/* Runs fn(ctx) in a child. Fails the test `name` unless it ends with 0, or had no disk. */
void test_disk_run(const char *name, void (*fn)(void *ctx), void *ctx);

#endif
