/* tidemark/transport.h - carrying messages between two sessions.
 *
 * A transport is a small struct of functions. tide_sync_exchange_watermarks_and_catchup drives a
 * session over one. A pipe is the transport to a session in the same process, with faults on
 * request.
 */
#ifndef TIDEMARK_TRANSPORT_H
#define TIDEMARK_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#include <tidemark/error.h>
#include <tidemark/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tide_transport {
    uint32_t size; /* sizeof(tide_transport) */
    uint32_t reserved;
    void *ctx;
    /* Sends one message whole. TIDE_OK; TIDE_ECLOSED; another error. */
    int (*send)(void *ctx, const void *bytes, size_t size);
    /* Waits until `deadline_ns` on the clock of now() at the latest for a message. *bytes is valid
     * until the next call. TIDE_OK; TIDE_ABSENT: none came; TIDE_ECLOSED; another error. */
    int (*receive)(void *ctx, int64_t deadline_ns, const void **bytes, size_t *size);
    /* A clock that only goes forward. */
    int64_t (*now)(void *ctx);
} tide_transport;

/* Exchanges marks with the peer behind the transport and goes on until each side has what the other
 * has. The session stays open: another call exchanges what is new since, on both sides. Whoever is
 * through may close the link; the other end then has everything too, and answers TIDE_OK. A peer
 * that is paused tells nothing: the call then goes on until the peer resumes, or the link ends.
 *
 * A program that wants live changes all the time does by itself what this call does in a loop: tell
 * the session the time (tide_session_tick), send all that tide_session_next gives, wait for a
 * message until tide_session_deadline at the latest, hand it to tide_session_receive; and call
 * tide_session_notify when it has written rows.
 *
 * TIDE_OK; TIDE_EINVAL: the session is paused; TIDE_ECLOSED: the link ended before that - the marks
 * tell how far it got, a new session goes on from there; what tide_session_receive and
 * tide_session_next answer. */
TIDE_API int tide_sync_exchange_watermarks_and_catchup(tide_session *session,
                                                       const tide_transport *transport);

/* Reads the peer's device-owned resources, dependencies first, each from its own mark, and stops
 * when they are all here; the peer may still be reading ours, and the session follows all resources
 * again afterwards. Answers as above. */
TIDE_API int tide_sync_backfill_all_state(tide_session *session, const tide_transport *transport);

/* ---- a pipe inside one process ------------------------------------------------------------------ */

typedef struct tide_pipe tide_pipe;

/* Faults come from a generator that `seed` fixes: the same seed, sessions and libraries give the
 * same run. Rates are in parts per million of messages, 0 to 900000: with more lost than that
 * nothing would ever end (TIDE_EINVAL). */
typedef struct tide_pipe_options {
    uint32_t size; /* sizeof; set by tide_pipe_options_init */
    uint32_t loss_ppm;
    uint32_t duplicate_ppm;
    uint32_t reorder_ppm; /* a message waits behind later ones */
    uint64_t seed;
    uint64_t cut_after_messages; /* both directions together; 0: never */
} tide_pipe_options;

TIDE_API void tide_pipe_options_init(tide_pipe_options *options);

/* Makes a pipe to `far`, a session of another library, which the pipe drives: whoever waits for a
 * message lets `far` work meanwhile. Time in the pipe is virtual: it jumps to the next deadline
 * when nothing is under way, so that lost messages cost no real time. One thread. `far` is
 * borrowed. */
TIDE_API int tide_pipe_open(tide_session *far, const tide_pipe_options *options, tide_pipe **out);
TIDE_API void tide_pipe_close(tide_pipe *pipe); /* NULL is allowed */

/* The near end. Valid as long as the pipe. An error of the far session ends the link (TIDE_ECLOSED)
 * and is kept for tide_pipe_far_error. */
TIDE_API const tide_transport *tide_pipe_transport(tide_pipe *pipe);

/* Cuts the link: what is under way is lost, both ends answer TIDE_ECLOSED. May be called from an
 * event. */
TIDE_API void tide_pipe_cut(tide_pipe *pipe);

/* What ended the far session: a code, TIDE_OK if nothing did. */
TIDE_API int tide_pipe_far_error(const tide_pipe *pipe);

/* Messages and bytes that were given to the pipe, both directions together. Either pointer may be NULL. */
TIDE_API void tide_pipe_count(const tide_pipe *pipe, uint64_t *messages, uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
