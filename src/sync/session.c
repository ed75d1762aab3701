/* session.c - one conversation with one peer, without any I/O.
 *
 * Each side asks and answers. A question names our marks; the answer, a PAGE, carries ranges behind
 * them. A page is applied in one transaction and then moves the marks over its ranges. While pages
 * bring rows the next question follows at once; a page that reaches the end and brings no row ends
 * the round, and shows the peer, by the marks in the question it answered, that everything of its
 * is here.
 *
 * Nothing here trusts the order of messages. A range is judged by the mark alone: one that joins on
 * is applied, one that begins behind the mark is a gap and is asked for again, one that is known is
 * passed over. So a lost question or page costs a retry, a repeated or late one nothing.
 *
 * The first question travels in HELLO, together with our models; until the peer's HELLO is here its
 * pages are passed over, and its question is asked again by itself. The numbers of sessions are
 * random, so that of two HELLOs nobody can tell which is the later. Whoever answers us is the one
 * that lives.
 */
#include "sync/session.h"

#include <string.h>

#include "sync/conversation.h"
#include "sync/history.h"
#include "sync/model.h"

#include "base/alloc.h"

#define PAGE_ROWS 500
#define PAGE_ROWS_MAX 65536
#define PAGE_BYTES (256u << 10)
#define PAGE_BYTES_MIN 1024
#define RETRY_MS 2000

void tide_session_options_init(tide_session_options *options)
{
    *options = (tide_session_options){.size = sizeof *options,
                                      .page_rows = PAGE_ROWS,
                                      .page_bytes = PAGE_BYTES,
                                      .retry_ms = RETRY_MS,
                                      .prove = 1};
}

/* At random, because clocks go backward; with a bit set that makes them all equally long in a
 * message. */
static int64_t random_id(const tide_sync *sync)
{
    uuid_t random;
    int64_t id = 0;
    tide__random_uuid(sync, random);
    memcpy(&id, random, sizeof id);
    return (id & (INT64_MAX >> 1)) | (INT64_C(1) << 62);
}

int tide_session_open(tide_sync *sync, const tide_session_options *options, tide_session **out)
{
    tide_session_options o;
    if (out == NULL) {
        return TIDE_EINVAL;
    }
    *out = NULL;
    if (sync == NULL || sync->marks == NULL) {
        return TIDE_EINVAL;
    }
    tide_session_options_init(&o);
    if (options != NULL) {
        o = *options;
        if (o.size != sizeof o || o.page_rows < 1 || o.page_rows > PAGE_ROWS_MAX ||
            o.page_bytes < PAGE_BYTES_MIN || o.page_bytes > TIDE_MESSAGE_MAX_BYTES / 2 ||
            o.retry_ms < 1 || o.prove > 1 ||
            (o.peer != NULL && uuid_compare(o.peer, sync->device) == 0)) {
            return tide__fail(&sync->detail, TIDE_EINVAL, "session: an option is out of its range");
        }
    }
    tide_session *session = tide__calloc(1, sizeof *session);
    if (session == NULL) {
        return TIDE_ENOMEM;
    }
    int rc = tide__model_order(sync, session->order);
    if (rc == TIDE_OK) {
        rc = tide__history_check(sync);
    }
    if (rc != TIDE_OK) {
        tide__free(session);
        return rc;
    }
    session->sync = sync;
    session->order_count = sync->model_count;
    session->id = random_id(sync);
    session->options = o;
    session->ask = true;
    if (o.peer != NULL) {
        session->peer_expected = true;
        uuid_copy(session->peer, o.peer);
    }
    session->options.peer = NULL; /* copied */
    *out = session;
    return TIDE_OK;
}

void tide_session_close(tide_session *session)
{
    if (session != NULL) {
        if (session->unflushed_rows > 0) {
            (void)tide_watermarks_flush(session->sync->marks); /* else they are read again */
        }
        tide__buffer_free(&session->out);
        tide__free(session);
    }
}

int tide__session_finish(tide_session *session, int rc)
{
    session->closed = session->closed || rc < 0;
    return rc;
}

void tide__session_enter(tide_session *session, int state)
{
    if (session->state == state) {
        return;
    }
    tide_event event = {.size = sizeof event,
                        .kind = TIDE_EVENT_STATE,
                        .peer = session->peer_known || session->peer_expected ? session->peer : NULL,
                        .state = (uint32_t)state};
    session->state = state;
    tide__emit(session->sync, &event);
}

/* ---- time and states ---------------------------------------------------------------------------- */

void tide_session_tick(tide_session *session, int64_t now_ns)
{
    if (session == NULL || session->closed) {
        return;
    }
    session->now_ns = now_ns > session->now_ns ? now_ns : session->now_ns;
    session->ask = session->ask || (session->asked && session->now_ns >= session->ask_ns);
    session->news = session->news || (session->news_sent && session->now_ns >= session->news_ns);
}

int64_t tide_session_deadline(const tide_session *session)
{
    int64_t deadline = INT64_MAX;
    if (session == NULL || session->closed) {
        return INT64_MAX;
    }
    if (session->asked && !session->ask) {
        deadline = session->ask_ns;
    }
    if (session->news_sent && !session->news && session->news_ns < deadline) {
        deadline = session->news_ns;
    }
    return deadline;
}

void tide_session_notify(tide_session *session)
{
    if (session != NULL) {
        session->news = true;
        session->peer_complete = false;
    }
}

void tide__session_follow_owned_only(tide_session *session, bool only)
{
    if (session->owned_only == only) {
        return;
    }
    session->owned_only = only;
    if (!session->paused) {
        session->ask = true;
        session->number++; /* an answer to the question under way is not one to this */
        if (session->state == TIDE_READY) {
            tide__session_enter(session, TIDE_CATCHING_UP);
        }
    }
}

void tide__session_begin_round(tide_session *session)
{
    if (session->state == TIDE_READY) {
        session->ask = true;
        session->number++;
        tide__session_enter(session, TIDE_CATCHING_UP);
        tide_session_notify(session);
    }
}

void tide_session_pause(tide_session *session)
{
    if (session != NULL && !session->paused) {
        session->paused = true;
        if (session->hello == HELLO_HEARD) {
            session->ask = session->asked = false;
        } /* else it goes on, and asks for nothing: whom we have not greeted we cannot serve */
        tide__session_enter(session, TIDE_PAUSED);
    }
}

void tide_session_resume(tide_session *session)
{
    if (session != NULL && session->paused) {
        session->paused = false;
        session->ask = true;
        session->number++; /* what answers the paused HELLO is no answer to this */
        tide__session_enter(session, session->peer_known ? TIDE_CATCHING_UP : TIDE_UNINITIALIZED);
    }
}

int tide_session_state(const tide_session *session)
{
    return session == NULL ? TIDE_UNINITIALIZED : session->state;
}

int tide_session_is_complete(const tide_session *session)
{
    return session != NULL && session->state == TIDE_READY && session->peer_complete;
}

bool tide__session_looks(const tide_session *session)
{
    return session->ask || session->asked ||
           (tide__proof_waits(&session->proof) && (session->news || session->news_sent));
}

size_t tide_session_diverged(const tide_session *session)
{
    return session == NULL ? 0 : tide__proof_diverged(&session->proof);
}

int tide_session_peer(const tide_session *session, uuid_t peer)
{
    if (session == NULL || !session->peer_known) {
        return TIDE_ABSENT;
    }
    uuid_copy(peer, session->peer);
    return TIDE_OK;
}
