/* drive.c - running a session over a transport until there is nothing left to do.
 *
 * The loop sends what the session has to say, waits for a message no longer than the session's next
 * deadline, and hands it in. When the goal is reached it goes on for what has arrived already, so
 * that the peer's last words are heard, and until digests that differ have had their last look.
 */
#include <stdbool.h>

#include <tidemark/transport.h>

#include "sync/session.h"

typedef bool goal_fn(const tide_session *session);

static bool complete(const tide_session *session)
{
    return tide_session_is_complete(session) != 0;
}

static bool ready(const tide_session *session)
{
    return tide_session_state(session) == TIDE_READY;
}

static int send_all(tide_session *session, const tide_transport *transport)
{
    const void *bytes = NULL;
    size_t size = 0;
    int rc = TIDE_OK;
    while ((rc = tide_session_next(session, &bytes, &size)) == TIDE_OK) {
        rc = transport->send(transport->ctx, bytes, size);
        if (rc != TIDE_OK) {
            return rc;
        }
    }
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

/* Waits for one message and hands it in. TIDE_ABSENT: nothing came before the deadline. */
static int hear_one(tide_session *session, const tide_transport *transport, int64_t deadline_ns)
{
    const void *bytes = NULL;
    size_t size = 0;
    int rc = transport->receive(transport->ctx, deadline_ns, &bytes, &size);
    return rc == TIDE_OK ? tide_session_receive(session, bytes, size) : rc;
}

static int drive(tide_session *session, const tide_transport *transport, goal_fn *reached)
{
    if (session == NULL || transport == NULL || transport->size != sizeof *transport ||
        tide_session_state(session) == TIDE_PAUSED) {
        return TIDE_EINVAL;
    }
    tide__session_begin_round(session);
    for (;;) {
        int64_t now_ns = transport->now(transport->ctx);
        tide_session_tick(session, now_ns);
        int rc = send_all(session, transport);
        bool done = reached(session);
        bool rests = done && !tide__session_looks(session);
        if (rc == TIDE_OK) {
            rc = hear_one(session, transport, rests ? now_ns : tide_session_deadline(session));
        }
        if ((rests && rc == TIDE_ABSENT) || (done && rc == TIDE_ECLOSED)) {
            return TIDE_OK; /* also when the peer, having all, was the first to go */
        }
        if (rc != TIDE_OK && rc != TIDE_ABSENT) {
            return rc;
        }
    }
}

int tide_sync_exchange_watermarks_and_catchup(tide_session *session, const tide_transport *transport)
{
    return drive(session, transport, complete);
}

int tide_sync_backfill_all_state(tide_session *session, const tide_transport *transport)
{
    if (session == NULL) {
        return TIDE_EINVAL;
    }
    tide__session_follow_owned_only(session, true);
    int rc = drive(session, transport, ready);
    tide__session_follow_owned_only(session, false);
    return rc;
}
