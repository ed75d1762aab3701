/* tidemark/session.h - one conversation with one peer, without any I/O.
 *
 * Bytes from the peer go in by tide_session_receive, bytes for it come out of tide_session_next,
 * time comes in by tide_session_tick; nothing else happens. Both sides run the same code, and each
 * both follows the other's feed and serves its own. A message may be lost, repeated or overtaken by
 * another: a range that does not join on to the mark is not applied, and asked for again. A session
 * that ends, however it ends, leaves the marks at what is applied; the next one goes on from there.
 *
 * Message boundaries are the transport's business (tidemark/transport.h). The messages are
 * described in docs/protocol.md.
 */
#ifndef TIDEMARK_SESSION_H
#define TIDEMARK_SESSION_H

#include <stddef.h>
#include <stdint.h>
#include <uuid/uuid.h>

#include <tidemark/error.h>
#include <tidemark/sync.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TIDE_MESSAGE_MAX_BYTES (64u << 20) /* a longer message is refused unread */
#define TIDE_ROW_MAX_BYTES (32u << 20)     /* a row that would encode to more cannot be served */

typedef struct tide_session tide_session;

/* Where our following of the peer stands. */
enum {
    TIDE_UNINITIALIZED = 0, /* nothing heard from the peer yet */
    TIDE_BACKFILLING = 1,   /* reading at least one feed from its beginning */
    TIDE_CATCHING_UP = 2,   /* reading on from marks */
    TIDE_READY = 3,         /* everything the peer had when it last answered is here */
    TIDE_PAUSED = 4         /* by tide_session_pause: asks for nothing, still serves */
};

typedef struct tide_session_options {
    uint32_t size;       /* sizeof; set by tide_session_options_init */
    uint32_t page_rows;  /* rows asked for at a time: 1 to 65536, default 500 */
    uint32_t page_bytes; /* about, 1 KiB to 32 MiB: default 256 KiB; one row always fits */
    uint32_t retry_ms;   /* ask again after this long without an answer; default 2000 */
    uint32_t prove;      /* 1, the default: compare digests when both sides have everything;
                            0: leave that out, to measure what it costs */
    uint32_t reserved;
    const unsigned char *peer; /* 16 bytes: accept no other; NULL: whoever answers */
} tide_session_options;

TIDE_API void tide_session_options_init(tide_session_options *options);

/* Begins a conversation; the first message is ready at once. `options` NULL: defaults. The engine
 * must be attached to its marks and outlive the session. The first session of an engine compares
 * rows and marks, and writes what it finds (tide_sync_is_recovering). TIDE_OK; TIDE_EINVAL: not
 * attached, or an option out of its range; TIDE_ECYCLE, TIDE_EMODEL: as tide_sync_order; the errors
 * of SQLite and of the marks. *out is NULL on failure. */
TIDE_API int tide_session_open(tide_sync *sync, const tide_session_options *options,
                               tide_session **out);
TIDE_API void tide_session_close(tide_session *session); /* NULL is allowed */

/* Takes in one message. TIDE_OK, also for one that is late, repeated or does not join on.
 * TIDE_EPROTO, TIDE_ELIMIT: not a message; TIDE_ELIBRARY: a peer of another library, with our own
 * device id, or another peer than before; TIDE_EMODEL: its model has other columns, or it sends
 * what nobody asked for; TIDE_ECLOCK; TIDE_ECONSTRAINT: a foreign key fails at commit (rows that
 * the table refuses are parked, see tidemark/sync.h); the errors of SQLite and of the marks. After
 * an error nothing of the message is applied, no mark has moved, and the session is over: it
 * answers TIDE_ECLOSED from then on. One case alone is softer: when the rows are in and the marks,
 * or what is noted after them, could not be written, the answer is that error. Some marks may
 * have moved over these rows; the rows of the others will be read again, which changes nothing. */
TIDE_API int tide_session_receive(tide_session *session, const void *bytes, size_t size);

/* Gives the next message to send. *bytes is valid until the next call on the session.
 * TIDE_OK; TIDE_ABSENT: nothing to send now; TIDE_ECLOSED; TIDE_ELIMIT: a row of ours is too large
 * to be sent; errors of SQLite and of the marks. An error ends the session, and so it will the next
 * while the row is there. */
TIDE_API int tide_session_next(tide_session *session, const void **bytes, size_t *size);

/* Says what time it is, on any clock that only goes forward; a question that was not answered in
 * time is asked again. Call it at least every retry_ms. */
TIDE_API void tide_session_tick(tide_session *session, int64_t now_ns);

/* When tide_session_tick will next have something to do, on that clock; INT64_MAX: never. */
TIDE_API int64_t tide_session_deadline(const tide_session *session);

/* Says that rows were written here, so that the peer hears of it while the session is idle. */
TIDE_API void tide_session_notify(tide_session *session);

TIDE_API void tide_session_pause(tide_session *session);
TIDE_API void tide_session_resume(tide_session *session);

/* One of the states above. */
TIDE_API int tide_session_state(const tide_session *session);

/* 1 when we are READY and the peer has told by its marks that it has all of ours, of every model
 * that both have; else 0. A peer that is paused tells nothing. */
TIDE_API int tide_session_is_complete(const tide_session *session);

/* Of how many resources the rows here and at the peer still differ, though each side has everything
 * of the other: found by digests at the end of each round, and read again once. 0 is the rule;
 * anything else wants a look at the database. */
TIDE_API size_t tide_session_diverged(const tide_session *session);

/* The peer's device id. TIDE_OK; TIDE_ABSENT: nothing heard yet. */
TIDE_API int tide_session_peer(const tide_session *session, uuid_t peer);

#ifdef __cplusplus
}
#endif
#endif
