/* say.c - what a session says next: an answer, a question, or that there is news; see session.c. */
#include "sync/conversation.h"

#include <string.h>

#include "sync/feed.h"
#include "sync/following.h"
#include "sync/history.h"
#include "sync/model.h"
#include "sync/page.h"
#include "sync/reading.h"

/* Where we stand with the peer's feed of a model: in a full read, or at our mark. */
static int make_want(tide_session *session, tide__model *m, tide__want *want, bool *from_start)
{
    tide__reading reading;
    tide__following following;
    tide_mark mark;
    tide_time own_head = 0;
    *want = (tide__want){.resource = {m->resource, strlen(m->resource)},
                         .generation = TIDE_TIME_NONE,
                         .doubt = tide__proof_doubt(&session->proof, m)};
    int rc = tide__model_head(session->sync, m, &own_head, &want->pruned);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__following_find(session->sync, session->peer, m, &following);
    want->life = following.life;
    want->head = following.head;
    if (rc == TIDE_OK || rc == TIDE_ABSENT) {
        rc = tide__reading_find(session->sync, session->peer, m, &reading);
    }
    if (rc == TIDE_OK) {
        want->after = reading.upto;
        want->epoch = reading.epoch;
        want->generation = reading.generation;
        want->all = reading.listing || !reading.sweeping;
        *from_start = true;
        return TIDE_OK;
    }
    if (rc == TIDE_ABSENT) {
        rc = tide__page_mark(session->sync, session->peer, m, &mark);
    }
    if (rc == TIDE_OK) {
        want->after = mark.watermark;
        want->epoch = mark.epoch;
        *from_start = *from_start || mark.watermark == TIDE_TIME_NONE ||
                      (session->peer_known && mark.epoch != session->peer_epoch);
    }
    return rc;
}

/* Our marks as a question, dependencies first. Before the peer is known there are none to name: the
 * first question asks from the beginning only of a peer that was named at open. */
static int make_question(tide_session *session, tide__question *question)
{
    bool from_start = false;
    question->number = session->number;
    question->rows = session->options.page_rows;
    question->bytes = session->options.page_bytes;
    question->health = session->sync->recovering ? TIDE__RECOVERING : TIDE__HEALTHY;
    question->wanting = session->peer_known || session->peer_expected;
    question->count = 0;
    if (session->paused || !question->wanting) {
        return TIDE_OK;
    }
    for (size_t i = 0; i < session->order_count; i++) {
        tide__model *m = session->order[i];
        if (session->owned_only && m->ownership != TIDE_DEVICE_OWNED) {
            continue;
        }
        int rc = make_want(session, m, &question->wants[question->count++], &from_start);
        if (rc != TIDE_OK) {
            return rc;
        }
    }
    if (session->peer_known && session->state != TIDE_READY) {
        tide__session_enter(session, from_start ? TIDE_BACKFILLING : TIDE_CATCHING_UP);
    }
    return TIDE_OK;
}

static void pack_models(msgpack_packer *p, const tide_session *session)
{
    (void)msgpack_pack_array(p, session->order_count);
    for (size_t i = 0; i < session->order_count; i++) {
        const tide__model *m = session->order[i];
        (void)msgpack_pack_array(p, 2);
        tide__pack_text(p, m->resource, strlen(m->resource));
        (void)msgpack_pack_array(p, m->column_count + 1);
        tide__pack_text(p, m->key, strlen(m->key));
        for (size_t c = 0; c < m->column_count; c++) {
            tide__pack_text(p, m->columns[c], strlen(m->columns[c]));
        }
    }
}

/* The time for repeating what is sent now. */
static int64_t retry_time(const tide_session *session)
{
    int64_t retry_ns = (int64_t)session->options.retry_ms * 1000000;
    return session->now_ns > INT64_MAX - retry_ns ? INT64_MAX : session->now_ns + retry_ns;
}

/* Whether the two rest on the same of the peer's history, and of ours. Another session of ours may
 * have gone on, and deletions may have been forgotten. */
static bool same_ground(const tide__question *one, const tide__question *other)
{
    bool same = one->count == other->count;
    for (size_t i = 0; same && i < one->count; i++) {
        same = one->wants[i].life == other->wants[i].life &&
               one->wants[i].head == other->wants[i].head &&
               one->wants[i].pruned == other->wants[i].pruned;
    }
    return same;
}

static int send_question(tide_session *session)
{
    const tide_sync *sync = session->sync;
    tide__question question;
    msgpack_packer packer;
    bool hello = session->hello != HELLO_HEARD;
    int rc = make_question(session, &question);
    if (rc != TIDE_OK) {
        return rc;
    }
    /* Where our history began anew since, an answer to the question under way is none to this; nor
     * where it would rest on something else. */
    if (session->asked &&
        (session->asked_epoch != sync->epoch || !same_ground(&question, &session->mine))) {
        question.number = ++session->number;
    }
    session->mine = question;
    tide__packer(&session->out, &packer);
    tide__pack_head(&packer, hello ? TIDE__HELLO : TIDE__WANT, hello ? 2 : 1, sync->library,
                    sync->device, session->id, sync->epoch, sync->life);
    if (hello) {
        pack_models(&packer, session);
    }
    tide__pack_question(&packer, &question);
    session->ask = false;
    session->ask_ns = retry_time(session);
    session->asked = true;
    session->asked_epoch = sync->epoch;
    session->hello = hello ? HELLO_OUT : HELLO_HEARD;
    return TIDE_OK;
}

/* Whether the peer's question names everything it could follow: a paused or choosy one proves
 * nothing. */
static bool covers_all(const tide_session *session)
{
    size_t named = 0;
    for (size_t i = 0; i < session->question.question.count; i++) {
        const tide__name *name = &session->question.question.wants[i].resource;
        named += tide__model_find(session->sync, name->text, name->length) != NULL;
    }
    return named >= session->shared_count;
}

void tide__session_ask_for_proof(tide_session *session)
{
    if (session->options.prove == 1 && session->peer_complete && session->state == TIDE_READY &&
        !session->paused && !session->proof.compared && !session->proof_asked) {
        session->proof_asked = true;
        session->ask = true;
    }
}

static int send_page(tide_session *session)
{
    tide__served served;
    tide__asker asker = {session->peer, session->peer_life, session->peer_session, {false}};
    const tide__question *question = &session->question.question;
    for (size_t i = 0; i < session->order_count; i++) {
        const tide__model *m = session->order[i];
        asker.doubts[m->place] = tide__proof_tries(&session->proof, m);
    }
    int rc = tide__proof_recount(session->sync, question);
    if (rc == TIDE_OK) {
        rc = tide__feed_page(session->sync, question, &asker, session->id, &session->out, &served);
    }
    if (rc == TIDE_OK && served.ahead) {
        rc = tide__history_renew(session->sync, true);
        session->ask = true;
        if (rc == TIDE_OK) {
            rc = tide__feed_page(session->sync, question, &asker, session->id, &session->out,
                                 &served);
        }
    }
    session->answer = false;
    if (rc == TIDE_OK && served.end) {
        rc = tide__history_note(session->sync);
    }
    if (rc == TIDE_OK) {
        session->owes_news = served.waits;
        /* It asked from its marks, and nothing lies behind them. A repeated question, the answer to
         * which it has heard already, takes nothing back. */
        session->peer_complete =
            session->peer_complete || (served.end && served.rows == 0 && covers_all(session));
        tide__session_ask_for_proof(session);
    }
    return rc;
}

int tide_session_next(tide_session *session, const void **bytes, size_t *size)
{
    int rc = TIDE_OK;
    if (session == NULL || bytes == NULL || size == NULL) {
        return TIDE_EINVAL;
    }
    if (session->closed) {
        return TIDE_ECLOSED;
    }
    session->out.size = 0;
    session->out.failed = false;
    if (session->owes_news && !session->sync->recovering) {
        session->owes_news = false;
        session->news = true;
    }
    if (session->answer && session->hello != HELLO_DUE) {
        rc = send_page(session);
    } else if (session->ask) {
        rc = send_question(session);
    } else if (session->news && session->peer_known) {
        msgpack_packer packer;
        tide__packer(&session->out, &packer);
        tide__pack_head(&packer, TIDE__NEWS, 0, session->sync->library, session->sync->device,
                        session->id, session->sync->epoch, session->sync->life);
        session->news = false;
        session->news_sent = true;
        session->news_ns = retry_time(session);
    } else {
        return TIDE_ABSENT;
    }
    if (rc == TIDE_OK && session->out.failed) {
        rc = TIDE_ENOMEM;
    }
    if (rc != TIDE_OK) {
        return tide__session_finish(session, rc);
    }
    *bytes = session->out.bytes;
    *size = session->out.size;
    return TIDE_OK;
}
