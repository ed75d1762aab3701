/* session.h - what drive.c asks of a session beyond its public calls. */
#ifndef TIDEMARK_SYNC_SESSION_H
#define TIDEMARK_SYNC_SESSION_H

#include <stdbool.h>

#include <tidemark/session.h>

/* Whether to follow the device-owned resources only. A change sets off a new round of questions. */
void tide__session_follow_owned_only(tide_session *session, bool only);

/* A session that was through begins another round: what is new here and there is exchanged as well. */
void tide__session_begin_round(tide_session *session);

/* Whether it is not at rest, though both have everything: a question is due or under way, or
 * digests differed and a message leads to another look at them. */
bool tide__session_looks(const tide_session *session);

#endif
