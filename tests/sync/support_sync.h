/* support_sync.h - what the tests of the engine share: SQLite's clock in our hand, SQL in one line,
 * marks in memory that fail on demand, and devices: a database, an engine, marks, a session.
 *
 * Everything here fails the test when something goes wrong that the test did not ask for.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_SYNC_H
#define TIDEMARK_TESTS_SUPPORT_SYNC_H

#include <sqlite3.h>

#include <tidemark/transport.h>
#include <tidemark/watermarks.h>

#include "support.h"
#include "sync/message.h"

/* ---- time --------------------------------------------------------------------------------------- */

/* What SQLite's 'now' says, in milliseconds since 1970, once test_clock_install was called. The
 * engines' own clocks say the same unless told otherwise. 2024-01-01 and whole TEST_STEP_MS from
 * there are numbers that SQLite's day counts hold exactly. */
#define TEST_START_MS INT64_C(1704067200000)
#define TEST_STEP_MS INT64_C(675000) /* 1/128 day */
#define TEST_START (TEST_START_MS * 1000000)
#define TEST_STEP (TEST_STEP_MS * 1000000)

extern int64_t test_now_ms;

void test_clock_install(void); /* also sets test_now_ms to TEST_START_MS */

/* ---- SQL ---------------------------------------------------------------------------------------- */

/* A connection as another program would make it, except that it does not wait for the disk. */
sqlite3 *test_connect(const char *path);

/* Runs statements; the formats are those of sqlite3_mprintf. */
void test_sql(sqlite3 *db, const char *format, ...);
int test_sql_code(sqlite3 *db, const char *sql); /* SQLite's extended code */

int64_t test_number(sqlite3 *db, const char *format, ...);

/* All rows of a query: columns joined by ' ', rows by '|', NULL as "-", blobs as hex. To be freed. */
char *test_text(sqlite3 *db, const char *format, ...);
void test_text_is(sqlite3 *db, const char *expected, const char *format, ...);

/* ---- marks in memory ---------------------------------------------------------------------------- */

typedef struct test_marks test_marks;

test_marks *test_marks_make(const uuid_t device);
void test_marks_free(test_marks *marks);
tide_watermarks *test_marks_handle(test_marks *marks);

enum { TEST_MARKS_GET, TEST_MARKS_ADVANCE, TEST_MARKS_RESET, TEST_MARKS_CALLS };

/* The call answers `code` from its (after + 1)th time on, until code TIDE_OK takes that back. */
void test_marks_fail(test_marks *marks, int call, int code, unsigned after);

/* Called before each advance, as another program that comes in between. */
void test_marks_before_advance(test_marks *marks, void (*fn)(void *ctx), void *ctx);

/* Sets a mark to anything; a watermark of TIDE_TIME_NONE removes it. */
void test_marks_set(test_marks *marks, const uuid_t peer, const char *resource, tide_time watermark,
                    tide_time epoch);

/* ---- devices ------------------------------------------------------------------------------------ */

/* The tables and models that most tests use: "place" is device-owned, "item" is shared and depends
 * on it. item.local does not travel. */
extern const char test_schema[];
extern const tide_model test_place;
extern const tide_model test_item;

typedef struct test_side {
    uint64_t number;
    char path[32];
    uuid_t device;
    tide_sync *sync;
    sqlite3 *db; /* the engine's connection */
    test_marks *marks;
    tide_session *session;
    tide_time said;   /* the session, as its messages name it; known once one was taken */
    tide_time ahead;  /* of the engine's clock */
    uint64_t changed; /* rows told by TIDE_EVENT_RESOURCE_CHANGED */
    uint64_t fitted;  /* those of them that were told without a peer */
    uint64_t parked;  /* rows told by TIDE_EVENT_PARKED, the last one with these words */
    char reason[256];
    uint32_t states[64]; /* told by TIDE_EVENT_STATE */
    size_t state_count;
} test_side;

/* A database file "N.db" with the schema, registered and attached to marks in memory. Its device is
 * test_uuid N; all belong to one library. Durability is not what these tests are about, so the
 * engine's connection does not wait for the disk. */
void test_side_open(test_side *side, uint64_t number);
/* The same with another schema and other models. */
void test_side_open_as(test_side *side, uint64_t number, const char *schema,
                       const tide_model *const *models, size_t count);
void test_side_close(test_side *side); /* session too */

void test_session_start(test_side *side, const tide_session_options *options);
void test_session_stop(test_side *side);

/* The next message, copied; false when there is none now. Any other answer fails the test. */
bool test_take(test_side *side, test_bytes *out);
/* Takes the message that must be there, and that must be of this kind. */
test_bytes test_take_kind(test_side *side, int kind);
int test_kind(test_bytes message);
void test_drop(test_bytes *message);

/* Hands a message in. test_hand also frees it. */
int test_give(test_side *side, test_bytes message);
int test_hand(test_side *side, test_bytes message);

/* Carries messages both ways, b's first, until both are silent; returns how many. Fails beyond
 * 10,000. */
size_t test_talk(test_side *a, test_side *b);

/* A whole exchange in new sessions, both of which end complete. */
void test_sync(test_side *a, test_side *b);

/* The mark of `side` about `peer`. TIDE_TIME_NONE: absent. */
tide_time test_mark(test_side *side, const test_side *peer, const char *resource);
void test_mark_full(test_side *side, const test_side *peer, const char *resource, tide_mark *out);

/* The feed as it stands: "live KEY STAMP" and "gone KEY STAMP" by stamp, stamps less TEST_START. */
char *test_feed(sqlite3 *db, const char *resource, const char *table);
void test_feed_is(sqlite3 *db, const char *expected, const char *resource, const char *table);

/* The newest stamp of the feed; 0 if it is empty. */
tide_time test_newest(sqlite3 *db, const char *resource);

/* Both tables of the two sides hold the same rows, compared with SQL. */
void test_same_rows(test_side *a, test_side *b);
bool test_rows_differ(test_side *a, test_side *b);

/* Each row of `from` that its feed has at or below `to`'s mark is in `to` with the same values,
 * each tombstone there is no row in `to`. Holds only while `to` changes nothing by itself. */
void test_mark_is_honest(test_side *from, test_side *to);

/* ---- messages made by hand ---------------------------------------------------------------------- */

/* What a page says besides its ranges: from whom, in which of its sessions, of which feed, to which
 * session and question of the other. */
typedef struct test_head {
    uuid_t library, from;
    tide_time session, epoch, to_session;
    uint32_t number;
} test_head;

/* As `from` would say it to `to`, both of which have said something before. */
test_head test_head_of(const test_side *from, const test_side *to, uint32_t number);

typedef struct test_range {
    const char *resource;
    tide_time after, upto;
    const tide_change *rows;
    size_t row_count;
} test_range;

test_bytes test_page(const test_head *head, const test_range *ranges, size_t count, bool end);

tide_time test_epoch(const test_side *side);
void test_library_uuid(uuid_t out);
tide_value test_string(const char *text);
tide_value test_integer(int64_t number);

#endif
