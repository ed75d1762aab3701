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

#include "sync/engine.h"
#include "sync/feed.h"
#include "sync/following.h"
#include "sync/history.h"
#include "sync/message.h"
#include "sync/model.h"
#include "sync/page.h"
#include "sync/peers.h"
#include "sync/proof.h"
#include "sync/reading.h"

#include "base/alloc.h"

#define PAGE_ROWS 500
#define PAGE_ROWS_MAX 65536
#define PAGE_BYTES (256u << 10)
#define PAGE_BYTES_MIN 1024
#define RETRY_MS 2000
#define OVER_REMEMBERED 8

/* What has become of our HELLO, without which the peer passes over all we say. */
enum {
    HELLO_DUE,  /* goes out before anything else */
    HELLO_OUT,  /* each question is one, until there is an answer */
    HELLO_HEARD /* a page has answered it: WANT will do */
};

/* A question of the peer, with the names it points to. */
typedef struct kept_question {
    tide__question question;
    char names[TIDE_MODELS_MAX][TIDE_MODEL_NAME_MAX];
} kept_question;

struct tide_session {
    tide_sync *sync;
    int64_t id; /* tells this session from others of this device */
    tide_session_options options;
    tide__model *
        order[TIDE_MODELS_MAX]; /* what this session follows: later models are for later sessions */
    size_t order_count;
    bool closed;
    bool paused;
    bool owned_only; /* follow device-owned resources only */
    int state;

    bool peer_expected; /* `peer` is the only one allowed */
    bool peer_known;    /* its HELLO is here, its models fit */
    uuid_t peer;
    tide_time peer_epoch;
    tide_time peer_life;
    size_t shared_count;                /* models that both have */
    int64_t peer_session;               /* the one we talk with */
    int64_t peer_over[OVER_REMEMBERED]; /* earlier ones of the peer: a late message of theirs counts
                                           no more */
    size_t peer_over_count;

    /* What we say. At every moment:
     *
     *     HELLO_DUE     implies ask
     *     HELLO_OUT     implies ask or asked
     *     HELLO_HEARD   with paused implies neither
     *     ask, asked    also both: it is due again, and an answer to the first would do
     *     news_sent     with news: likewise
     *     answer        implies questioned, and that implies peer_known */
    int hello;
    bool ask;              /* our question is due */
    bool asked;            /* it is under way, and an answer is awaited */
    tide_time asked_epoch; /* of our feed then: marks of another are gone */
    uint32_t number;       /* of our question; the same when repeated, a new one after an answer */
    bool news;             /* the peer shall hear that there are new rows */
    bool news_sent;        /* it was told, and has asked nothing since */
    int64_t now_ns;
    int64_t ask_ns;  /* when a question without an answer is asked again, */
    int64_t news_ns; /* and when news without a question are told again */

    bool questioned; /* `question` is of the peer's session */
    bool answer;     /* and is due an answer */
    kept_question question;
    bool peer_complete;

    /* Another session of the peer that has said HELLO: a new one, or a late word of one that we
     * never met. It takes the place of the one we talk with when it answers us. */
    bool has_rival;
    int64_t rival;
    kept_question rival_question;

    bool owes_news; /* the peer was told to wait until we have recovered */

    tide__proof proof;
    bool proof_asked; /* one question more, because the last page could not be compared in all it
                         has; once for each change */

    size_t unflushed_rows; /* applied, and their marks deferred */
    tide__buffer out;
};

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

/* An error ends the session. */
static int finish(tide_session *session, int rc)
{
    session->closed = session->closed || rc < 0;
    return rc;
}

static void enter_state(tide_session *session, int state)
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

/* ---- asking ------------------------------------------------------------------------------------- */

/* Where we stand with the peer's feed of a model: in a full read, or at our mark. */
static int make_want(tide_session *session, const tide__model *m, tide__want *want, bool *from_start)
{
    tide__reading reading;
    tide__following following;
    tide_mark mark;
    *want = (tide__want){.resource = {m->resource, strlen(m->resource)},
                         .generation = TIDE_TIME_NONE,
                         .doubt = tide__proof_doubt(&session->proof, m)};
    int rc = tide__following_find(session->sync, session->peer, m, &following);
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
        const tide__model *m = session->order[i];
        if (session->owned_only && m->ownership != TIDE_DEVICE_OWNED) {
            continue;
        }
        int rc = make_want(session, m, &question->wants[question->count++], &from_start);
        if (rc != TIDE_OK) {
            return rc;
        }
    }
    if (session->peer_known && session->state != TIDE_READY) {
        enter_state(session, from_start ? TIDE_BACKFILLING : TIDE_CATCHING_UP);
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

static int send_question(tide_session *session)
{
    const tide_sync *sync = session->sync;
    tide__question question;
    msgpack_packer packer;
    bool hello = session->hello != HELLO_HEARD;
    /* Where our history began anew since, an answer to the question under way is none to this. */
    session->number += session->asked && session->asked_epoch != sync->epoch;
    int rc = make_question(session, &question);
    if (rc != TIDE_OK) {
        return rc;
    }
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

/* Both have everything, but when we compared the peer had not yet: one question more. */
static void ask_for_proof(tide_session *session)
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
        ask_for_proof(session);
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
        return finish(session, rc);
    }
    *bytes = session->out.bytes;
    *size = session->out.size;
    return TIDE_OK;
}

/* ---- hearing ------------------------------------------------------------------------------------ */

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

/* The models both sides have must have the same columns in the same order. */
static int check_offers(tide_session *session, const tide__message *message)
{
    session->shared_count = 0;
    for (size_t i = 0; i < message->offer_count; i++) {
        const tide__offer *offer = &message->offers[i];
        const tide__model *m =
            tide__model_find(session->sync, offer->resource.text, offer->resource.length);
        if (m == NULL) {
            continue;
        }
        session->shared_count++;
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
static void hear_rival(tide_session *session, const tide__message *message)
{
    if (!session->has_rival || session->rival != message->session) {
        session->has_rival = true;
        session->rival = message->session;
        session->hello = HELLO_DUE;
        session->ask = true;
        session->number++; /* what was asked before is answered by neither */
    }
    copy_question(&session->rival_question, &message->question);
}

/* The rival has answered. */
static void change_to_rival(tide_session *session)
{
    session->peer_over[session->peer_over_count++ % OVER_REMEMBERED] = session->peer_session;
    session->peer_session = session->rival;
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
    int rc = check_offers(session, message);
    if (rc != TIDE_OK) {
        return rc;
    }
    if (session->peer_known && message->session != session->peer_session) {
        hear_rival(session, message);
        return TIDE_OK;
    }
    if (!session->peer_known) {
        uuid_copy(session->peer, message->from);
        session->peer_known = true;
        /* Now that we know whose feed our marks are about; unless we knew, and have asked. */
        session->ask = session->ask || !session->peer_expected;
        if (!session->paused) {
            enter_state(session, TIDE_CATCHING_UP);
        }
    }
    session->peer_session = message->session;
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
    int rc =
        tide__page_apply(session->sync, session->peer, message, &session->unflushed_rows, &gap);
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
        enter_state(session, TIDE_READY);
    }
    if (rc == TIDE_OK && !more) {
        ask_for_proof(session);
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
    int rc = note_history(session, message);
    if (rc != TIDE_OK) {
        return rc;
    }
    if (session->paused || message->health == TIDE__WAIT) {
        session->ask = session->hello == HELLO_DUE; /* else its NEWS will tell when to ask */
        return TIDE_OK;
    }
    if (session->asked_epoch != session->sync->epoch) {
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
        return finish(session, TIDE_ENOMEM);
    }
    int rc = tide__message_decode(message, bytes, size, &session->sync->detail);
    if (rc == TIDE_OK) {
        rc = hear(session, message);
        tide__message_free(message);
    }
    tide__free(message);
    return finish(session, rc);
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
            enter_state(session, TIDE_CATCHING_UP);
        }
    }
}

void tide__session_begin_round(tide_session *session)
{
    if (session->state == TIDE_READY) {
        session->ask = true;
        session->number++;
        enter_state(session, TIDE_CATCHING_UP);
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
        enter_state(session, TIDE_PAUSED);
    }
}

void tide_session_resume(tide_session *session)
{
    if (session != NULL && session->paused) {
        session->paused = false;
        session->ask = true;
        session->number++; /* what answers the paused HELLO is no answer to this */
        enter_state(session, session->peer_known ? TIDE_CATCHING_UP : TIDE_UNINITIALIZED);
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
