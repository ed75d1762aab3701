/* message.h - the four messages, as MessagePack. docs/protocol.md describes them.
 *
 * Every message is one array: kind, protocol, library, sender, its session, epoch of its feed, its
 * life, then
 *
 *     HELLO  models [[resource, columns] ...], question
 *     WANT   question
 *     PAGE   session, number, health, ranges, end
 *     NEWS   (nothing)
 *
 * question: [number, rows, bytes, health, wants], wants nil from one who does not know yet
 * whom it asks; want: [resource, after, epoch, generation, all, doubt, life, head]; range:
 * [resource, after, upto, rows, generation, rescan, head, known, seen, doubts, digest], seen
 * [[stamp, epoch, life] ...], digest nil or [count, sum]; row: [deleted, version, device, key,
 * values ...]. A PAGE has the session and number of its question. Decoding is msgpack-c's; here the
 * bytes are measured before, so that no count can ask for more memory than the message is long, and
 * every field is checked after. What is decoded points into the message.
 */
#ifndef TIDEMARK_SYNC_MESSAGE_H
#define TIDEMARK_SYNC_MESSAGE_H

#include <msgpack.h>
#include <stdbool.h>

#include <tidemark/session.h>

#include "base/detail.h"
#include "sync/digest.h"
#include "sync/level.h"
#include "sync/pack.h"

#define TIDE__PROTOCOL 3

/* Values of all kinds in one message: msgpack-c takes 24 bytes for each. */
#define TIDE__ITEMS_MAX (2u << 20)

enum { TIDE__HELLO = 1, TIDE__WANT = 2, TIDE__PAGE = 3, TIDE__NEWS = 4 };

typedef struct tide__name {
    const char *text; /* no NUL */
    size_t length;
} tide__name;

/* Of the sender: whether its rows can be relied on. */
enum {
    TIDE__HEALTHY = 0,
    TIDE__RECOVERING = 1, /* its history was rolled back, and it has not caught up yet; */
    TIDE__WAIT = 2        /* and so it serves nobody who is healthy (PAGE) */
};

/* What was done about digests that differ, each when the last did not help. */
enum {
    TIDE__NO_DOUBT,
    TIDE__RECOUNT,    /* ours was counted from nothing; the peer shall do so, too */
    TIDE__READ_AGAIN, /* everything is read again, or has been */
    TIDE__DOUBT_MAX = TIDE__READ_AGAIN
};

typedef struct tide__want {
    tide__name resource;
    tide_time after;      /* TIDE_TIME_NONE: from the beginning */
    tide_time epoch;      /* of the feed that `after` counts; TIDE_TIME_NONE: none */
    tide_time generation; /* of the full read this goes on with; TIDE_TIME_NONE: it is none */
    bool all;             /* also the rows that came from the asker */
    uint32_t doubt;
    tide_time life;   /* the last page that was taken was made in it; TIDE_TIME_NONE: none was, */
    tide_time head;   /* when the feed ended there; likewise */
    tide_time pruned; /* not sent: up to where the asker's own feed was pruned when it asked */
} tide__want;

typedef struct tide__question {
    uint32_t number;
    uint32_t rows;
    uint32_t bytes;
    uint32_t health;
    bool wanting; /* false: wants are nil */
    size_t count;
    tide__want wants[TIDE_MODELS_MAX];
} tide__question;

typedef struct tide__offer {
    tide__name resource;
    const msgpack_object_array *columns; /* of strings, the key first */
} tide__offer;

typedef struct tide__range {
    tide__name resource;
    tide_time after;
    tide_time upto;                   /* TIDE_TIME_NONE: the feed is empty */
    const msgpack_object_array *rows; /* each checked by tide__message_row */
    tide_time generation;             /* of the full read it belongs to, or that is due; NONE */
    bool rescan;                      /* a full read is due: there are no rows */
    tide_time head;                   /* where the feed ends; 0: it is empty */
    bool known;        /* what the asker took before is part of the sender's history */
    size_t seen_count; /* of the sender's levels with our feed, the newest first; all of them only
                          where a full read is due */
    tide__level seen[TIDE__LEVELS_MAX];
    bool doubts; /* the sender is still looking for the reason why digests differ */
    bool summed; /* there is a digest */
    tide__digest digest;
} tide__range;

typedef struct tide__message {
    msgpack_unpacked unpacked;
    int kind;
    uuid_t library;
    uuid_t from;
    int64_t session;
    tide_time epoch;
    tide_time life;
    tide__question question; /* HELLO, WANT */
    size_t offer_count;      /* HELLO */
    tide__offer offers[TIDE_MODELS_MAX];
    int64_t to_session; /* PAGE */
    uint32_t number;
    uint32_t health;
    size_t range_count;
    tide__range ranges[TIDE_MODELS_MAX];
    bool end;
} tide__message;

/* TIDE_OK: to be given back with tide__message_free; TIDE_EPROTO; TIDE_ELIMIT; TIDE_ENOMEM. */
int tide__message_decode(tide__message *message, const void *bytes, size_t size,
                         tide__detail *detail);
void tide__message_free(tide__message *message);

/* Row `i` of a range, with `value_count` values expected. TIDE_OK; TIDE_EPROTO. */
int tide__message_row(const tide__range *range, size_t i, size_t value_count, tide_change *change,
                      tide_value *values);

/* ---- encoding ----------------------------------------------------------------------------------- */

/* The array's head with `fields` fields behind the seven of every message. */
void tide__pack_head(msgpack_packer *p, int kind, size_t fields, const uuid_t library,
                     const uuid_t from, int64_t session, tide_time epoch, tide_time life);
void tide__pack_question(msgpack_packer *p, const tide__question *question);

/* A range is packed in two parts, with the array of its rows between them. */
void tide__pack_range(msgpack_packer *p, const tide__range *range);
void tide__pack_range_end(msgpack_packer *p, const tide__range *range);

#endif
