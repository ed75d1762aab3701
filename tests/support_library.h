/* support_library.h - whole libraries in folders, for tests that restore, copy and wipe them.
 *
 * Everything here fails the test when something goes wrong that the test did not ask for.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_LIBRARY_H
#define TIDEMARK_TESTS_SUPPORT_LIBRARY_H

#include <tidemark/tidemark.h>

#include "support.h"

#define TEST_MESSAGE_MAX 65536

typedef struct test_device {
    char path[8];
    uint64_t number;
    tide_clock_fn *clock;
    tide_library *library;
    tide_session *session;
    unsigned notices;  /* told by TIDE_EVENT_NOTICE since it was opened */
    unsigned diverged; /* by TIDE_EVENT_DIVERGED */
    bool lies;         /* about digests; for the test's own use */
} test_device;

/* The library in the folder `path`, made if it is not there: device test_uuid NUMBER of one and the
 * same library. `clock` NULL: the real-time clock. */
void test_device_open(test_device *device, const char *path, uint64_t number, tide_clock_fn *clock);
void test_device_close(test_device *device);
void test_device_reopen(test_device *device);
tide_sync *test_device_sync(const test_device *device);

void test_shell(const char *command);

/* Keeps a copy of its folder, or of its database alone; and puts that back in its place. The device
 * is closed and opened again. */
void test_device_back_up(test_device *device);
void test_device_restore(test_device *device);
void test_device_back_up_rows(test_device *device);
void test_device_restore_rows(test_device *device);

void test_device_sql(const test_device *device, const char *sql);

/* What the column `it` of a query gives, its rows joined by blanks. */
void test_query_is(const test_device *device, const char *expected, const char *query);

/* An entry whose key and name are `name`; and the keys of all, in order. */
void test_entry_add(const test_device *device, const char *name);
void test_entry_delete(const test_device *device, const char *name);
void test_entries_are(const test_device *device, const char *expected);

uint64_t test_prune(const test_device *device); /* how many deletions were forgotten */

/* The next message of its session, copied; false when there is none now. */
bool test_device_says(test_device *device, unsigned char copy[TEST_MESSAGE_MAX], size_t *size);

/* Opens its session, for meeting the other. */
void test_device_greet(test_device *device, const test_device *other);

/* Hands the next message over, which must be taken; false when there is none now. */
bool test_carry(test_device *from, test_device *to);

/* A whole exchange in new sessions, which are then open and silent. */
void test_talk(test_device *x, test_device *y);

/* Ends both sessions; the second also fails unless both are complete and no rows differ. */
void test_hang_up(test_device *x, test_device *y);
void test_hang_up_complete(test_device *x, test_device *y);

#endif
