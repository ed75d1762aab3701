/* conversation.h - the inside of a tide_session: session.c opens, closes and tells its state, say.c
 * makes what it says, hear.c takes what it hears. */
#ifndef TIDEMARK_SYNC_CONVERSATION_H
#define TIDEMARK_SYNC_CONVERSATION_H

#include <tidemark/session.h>

#include "sync/engine.h"
#include "sync/message.h"
#include "sync/proof.h"

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
    size_t shared_count;                /* models that both have, */
    size_t rival_shared_count;          /* and those of the rival, below */
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
    bool peer_complete;
    kept_question question;
    tide__question mine; /* our question, as it was last asked */

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

/* An error ends the session; passes the answer on. */
int tide__session_finish(tide_session *session, int rc);

void tide__session_enter(tide_session *session, int state);

/* Both have everything, but when we compared the peer had not yet: one question more. */
void tide__session_ask_for_proof(tide_session *session);

#endif
