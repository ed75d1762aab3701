/* hear.c - what a session hears: whose it is, and what becomes of it; see session.c. */
#include "sync/conversation.h"

#include <string.h>

#include "sync/history.h"
#include "sync/page.h"
#include "sync/peers.h"

#include "base/alloc.h"

static int check_sender(tide_session *session, const tide__message *message)
{
    tide_sync *sync = session->sync;
    if (uuid_compare(message->library, sync->library) != 0) {
        return tide__fail(&sync->detail, TIDE_ELIBRARY, "the peer belongs to another library");
    }
    if (uuid_compare(message->from, sync->device) == 0) {
        return tide__fail(&sync->detail, TIDE_ELIBRARY, "the peer has our own device id");
    }
    if ((session->peer_known || session->peer_expected) &&
        uuid_compare(message->from, session->peer) != 0) {
        return tide__fail(&sync->detail, TIDE_ELIBRARY, "the peer is another device than expected");
    }
    return TIDE_OK;
}

/* The models both sides have must have the same columns in the same order; how many they are. */
static int check_offers(tide_session *session, const tide__message *message, size_t *shared)
{
    *shared = 0;
    for (size_t i = 0; i < message->offer_count; i++) {
        const tide__offer *offer = &message->offers[i];
        const tide__model *m =
            tide__model_find(session->sync, offer->resource.text, offer->resource.length);
        if (m == NULL) {
            continue;
        }
        ++*shared;
        bool same = offer->columns->size == m->column_count + 1;
        for (size_t c = 0; same && c < offer->columns->size; c++) {
            const char *name = c == 0 ? m->key : m->columns[c - 1];
            const msgpack_object_str *theirs = &offer->columns->ptr[c].via.str;
            same = strlen(name) == theirs->size && memcmp(name, theirs->ptr, theirs->size) == 0;
        }
        if (!same) {
            return tide__fail(&session->sync->detail, TIDE_EMODEL,
                              "the peer's model %s has other columns than ours", m->resource);
        }
    }
    return TIDE_OK;
}

static void copy_question(kept_question *kept, const tide__question *question)
{
    kept->question = *question;
    for (size_t i = 0; i < question->count; i++) {
        const tide__name *name = &question->wants[i].resource;
        memmove(kept->names[i], name->text, name->length);
        kept->question.wants[i].resource.text = kept->names[i];
    }
}

/* Keeps the peer's latest question; an earlier one that has no answer yet is answered by this. One
 * that was overtaken says nothing about where the peer stands now: false. */
static bool keep_question(tide_session *session, const tide__question *question)
{
    int32_t later = (int32_t)(question->number - session->question.question.number);
    if (session->questioned && later < 0) {
        return false;
    }
    bool repeated = session->questioned && later == 0;
    if (!repeated) {
        session->news_sent = false; /* it has heard of them, or will in the answer */
        session->peer_complete =
            question->wanting && session->shared_count == 0; /* nothing to follow */
    }
    session->questioned = true;
    copy_question(&session->question, question);
    session->answer = question->wanting; /* by an empty page where it asks for nothing */
    if (tide__proof_hear(&session->proof, session->sync, question)) {
        session->ask = !session->paused;
    }
    return true;
}

/* A HELLO of another session than the one we talk with. If the peer has begun anew it knows nothing
 * of us, and must hear our HELLO; if the word is late, our HELLO reaches the session we know, and
 * costs one exchange. Which of the two answers is the one that lives. */
static void hear_rival(tide_session *session, const tide__message *message, size_t shared)
{
    if (!session->has_rival || session->rival != message->session) {
        session->has_rival = true;
        session->rival = message->session;
        session->hello = HELLO_DUE;
        session->ask = true;
        session->number++; /* what was asked before is answered by neither */
    }
    session->rival_shared_count = shared;
    copy_question(&session->rival_question, &message->question);
}

/* The rival has answered. */
static void change_to_rival(tide_session *session)
{
    session->peer_over[session->peer_over_count++ % OVER_REMEMBERED] = session->peer_session;
    session->peer_session = session->rival;
    session->shared_count = session->rival_shared_count;
    session->questioned = false;
    (void)keep_question(session, &session->rival_question.question);
}

/* The peer's database has this life now, and its feed this epoch. One older than that of our marks:
 * the peer was restored as a whole, or lives twice. */
static int note_history(tide_session *session, const tide__message *message)
{
    session->peer_life = message->life;
    if (session->peer_epoch == message->epoch) {
        return TIDE_OK;
    }
    session->peer_epoch = message->epoch;
    return tide__peer_met(session->sync, session->peer, message->epoch);
}

/* Its feed may have begun anew since its last message. */
static int hear_question(tide_session *session, const tide__message *message)
{
    return keep_question(session, &message->question) ? note_history(session, message) : TIDE_OK;
}

static int hear_hello(tide_session *session, const tide__message *message)
{
    size_t shared = 0;
    int rc = check_offers(session, message, &shared);
    if (rc != TIDE_OK) {
        return rc;
    }
    if (session->peer_known && message->session != session->peer_session) {
        hear_rival(session, message, shared);
        return TIDE_OK;
    }
    if (!session->peer_known) {
        uuid_copy(session->peer, message->from);
        session->peer_known = true;
        /* Now that we know whose feed our marks are about; unless we knew, and have asked. */
        session->ask = session->ask || !session->peer_expected;
        if (!session->paused) {
            tide__session_enter(session, TIDE_CATCHING_UP);
        }
    }
    session->peer_session = message->session;
    session->shared_count = shared;
    return hear_question(session, message);
}

/* Whether a peer that was read to its end makes up for what we lost: its rows can be relied on, and
 * it has known ours. */
static bool can_restore(const tide_session *session, const tide__message *message)
{
    bool known = false;
    for (size_t i = 0; i < message->range_count; i++) {
        known = known || message->ranges[i].seen_count > 0;
    }
    return known && message->health == TIDE__HEALTHY &&
           message->range_count >= session->shared_count;
}

static int apply_page(tide_session *session, const tide__message *message)
{
    size_t carried = 0;
    bool gap = false;
    int rc = tide__page_apply(session->sync, session->peer, &session->mine, message,
                              &session->unflushed_rows, &gap);
    if (rc != TIDE_OK) {
        return rc;
    }
    /* A page with rows, a gap, or one that did not reach the end leads to the next question. */
    for (size_t i = 0; i < message->range_count; i++) {
        carried += message->ranges[i].rows->size;
    }
    if (session->sync->recovering && message->end && !gap && can_restore(session, message)) {
        rc = tide__history_recovered(session->sync, false);
    }
    bool more = gap || carried > 0 || !message->end;
    if (carried > 0) {
        session->proof.compared = session->proof_asked = false;
    }
    if (rc == TIDE_OK && !more && session->options.prove == 1) {
        rc = tide__proof_compare(&session->proof, session->sync, session->peer, message,
                                 session->question.question.number, &more, &session->news);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    session->ask = more || session->hello == HELLO_DUE;
    if (!more && session->state != TIDE_READY) {
        rc = tide__peer_contact(session->sync, session->peer);
        tide__session_enter(session, TIDE_READY);
    }
    if (rc == TIDE_OK && !more) {
        tide__session_ask_for_proof(session);
    }
    return rc;
}

/* Only the answer that is awaited counts: any other is a repetition, or late. Whoever gives it lives. */
static int hear_page(tide_session *session, const tide__message *message)
{
    if (message->to_session != session->id || !session->asked ||
        message->number != session->number) {
        return TIDE_OK;
    }
    if (message->session != session->peer_session) {
        change_to_rival(session);
    }
    session->has_rival = false;
    session->asked = false;
    session->number++;
    session->hello = session->hello == HELLO_OUT ? HELLO_HEARD : session->hello;
    bool rests = session->paused || message->health == TIDE__WAIT;
    bool stale = session->asked_epoch != session->sync->epoch;
    /* First, because of a page that is refused nothing counts, its epoch neither. */
    int rc = rests || stale ? TIDE_OK : tide__page_check(session->sync, &session->mine, message);
    if (rc == TIDE_OK) {
        rc = note_history(session, message);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    if (rests) {
        session->ask = session->hello == HELLO_DUE; /* else its NEWS will tell when to ask */
        return TIDE_OK;
    }
    if (stale) {
        session->ask = true; /* our history began anew since: it answers for marks that are gone */
        return TIDE_OK;
    }
    return apply_page(session, message);
}

static bool is_over(const tide_session *session, int64_t peer_session)
{
    for (size_t i = 0; i < session->peer_over_count && i < OVER_REMEMBERED; i++) {
        if (session->peer_over[i] == peer_session) {
            return true;
        }
    }
    return false;
}

/* What is of a session of the peer that is over, or that has not said HELLO, is passed over. */
static int hear(tide_session *session, const tide__message *message)
{
    int rc = check_sender(session, message);
    if (rc != TIDE_OK || is_over(session, message->session)) {
        return rc;
    }
    if (message->kind == TIDE__HELLO) {
        return hear_hello(session, message);
    }
    bool of_rival = session->has_rival && message->session == session->rival;
    if (!session->peer_known || (message->session != session->peer_session && !of_rival)) {
        return TIDE_OK;
    }
    if (message->kind == TIDE__PAGE) {
        return hear_page(session, message);
    }
    if (of_rival) {
        return TIDE_OK; /* not before it has answered */
    }
    if (message->kind == TIDE__WANT) {
        return hear_question(session, message);
    }
    if (!session->paused && !session->asked) {
        session->ask = true; /* NEWS */
    }
    return TIDE_OK;
}

int tide_session_receive(tide_session *session, const void *bytes, size_t size)
{
    tide__message *message = NULL;
    if (session == NULL || (bytes == NULL && size > 0)) {
        return TIDE_EINVAL;
    }
    if (session->closed) {
        return TIDE_ECLOSED;
    }
    if ((message = tide__malloc(sizeof *message)) == NULL) {
        return tide__session_finish(session, TIDE_ENOMEM);
    }
    int rc = tide__message_decode(message, bytes, size, &session->sync->detail);
    if (rc == TIDE_OK) {
        rc = hear(session, message);
        tide__message_free(message);
    }
    tide__free(message);
    return tide__session_finish(session, rc);
}
