/* pipe.c - a transport to a session in the same process, with faults from a seed.
 *
 * Each message gets an arrival time: now plus one tick, later when it is to be overtaken. The near
 * end's wait delivers what has arrived at the far session, fetches what that wants to send, and
 * when nothing is under way moves the virtual clock to the next deadline of either side. Everything
 * follows from the seed and the order of calls.
 */
#include <stdbool.h>
#include <string.h>

#include <tidemark/transport.h>

#include "base/alloc.h"

#define TICK_NS 1000
#define REORDER_TICKS 8 /* a late message waits up to so many ticks */
#define MILLION 1000000
#define RATE_MAX_PPM 900000

typedef struct letter {
    struct letter *next;
    int64_t arrives_ns;
    size_t size;
    char bytes[];
} letter;

struct tide_pipe {
    tide_pipe_options options;
    tide_session *far;
    tide_transport transport;
    letter *to_far; /* by arrival; what arrives together as it was sent */
    letter *to_near;
    letter *handed; /* what the near end got last */
    int64_t now_ns;
    uint64_t random;
    uint64_t messages;
    uint64_t bytes;
    bool cut;
    int far_error;
};

void tide_pipe_options_init(tide_pipe_options *options)
{
    *options = (tide_pipe_options){.size = sizeof *options};
}

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t next_random(tide_pipe *pipe)
{
    uint64_t z = (pipe->random += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool happens(tide_pipe *pipe, uint32_t ppm)
{
    return ppm > 0 && next_random(pipe) % MILLION < ppm;
}

static void drop_all(letter **queue)
{
    while (*queue != NULL) {
        letter *gone = *queue;
        *queue = gone->next;
        tide__free(gone);
    }
}

static int post(tide_pipe *pipe, letter **queue, const void *bytes, size_t size)
{
    letter *l = tide__malloc(sizeof *l + size);
    if (l == NULL) {
        return TIDE_ENOMEM;
    }
    uint64_t ticks = 1;
    if (happens(pipe, pipe->options.reorder_ppm)) {
        ticks += 1 + next_random(pipe) % REORDER_TICKS;
    }
    l->arrives_ns = pipe->now_ns + (int64_t)ticks * TICK_NS;
    l->size = size;
    if (size > 0) {
        memcpy(l->bytes, bytes, size);
    }
    while (*queue != NULL && (*queue)->arrives_ns <= l->arrives_ns) {
        queue = &(*queue)->next;
    }
    l->next = *queue;
    *queue = l;
    return TIDE_OK;
}

void tide_pipe_cut(tide_pipe *pipe)
{
    pipe->cut = true;
}

/* Puts a message on its way, or loses it, or sends it twice. */
static int carry(tide_pipe *pipe, letter **queue, const void *bytes, size_t size)
{
    if (pipe->cut) {
        return TIDE_ECLOSED;
    }
    pipe->messages++;
    pipe->bytes += size;
    int rc = TIDE_OK;
    bool lost = happens(pipe, pipe->options.loss_ppm);
    bool twice = happens(pipe, pipe->options.duplicate_ppm);
    if (!lost) {
        rc = post(pipe, queue, bytes, size);
    }
    if (rc == TIDE_OK && twice) {
        rc = post(pipe, queue, bytes, size);
    }
    if (pipe->options.cut_after_messages > 0 && pipe->messages >= pipe->options.cut_after_messages) {
        tide_pipe_cut(pipe);
    }
    return rc;
}

static letter *arrived(const tide_pipe *pipe, letter *const *queue)
{
    return *queue != NULL && (*queue)->arrives_ns <= pipe->now_ns ? *queue : NULL;
}

/* Lets the far session work on what is there now. */
static int drive_far(tide_pipe *pipe)
{
    int rc = TIDE_OK;
    tide_session_tick(pipe->far, pipe->now_ns);
    while (rc == TIDE_OK && !pipe->cut) {
        letter *l = arrived(pipe, &pipe->to_far);
        if (l != NULL) {
            pipe->to_far = l->next;
            rc = tide_session_receive(pipe->far, l->bytes, l->size);
            tide__free(l);
            continue;
        }
        const void *bytes = NULL;
        size_t size = 0;
        rc = tide_session_next(pipe->far, &bytes, &size);
        if (rc == TIDE_OK) {
            rc = carry(pipe, &pipe->to_near, bytes, size);
        }
    }
    if (rc < 0 && !pipe->cut) {
        pipe->far_error = rc; /* TIDE_ECLOSED: it was over before */
        tide_pipe_cut(pipe);
    }
    return pipe->cut ? TIDE_ECLOSED : TIDE_OK;
}

/* The next moment at which anything can happen. */
static int64_t next_event(const tide_pipe *pipe)
{
    int64_t when = tide_session_deadline(pipe->far);
    if (pipe->to_far != NULL && pipe->to_far->arrives_ns < when) {
        when = pipe->to_far->arrives_ns;
    }
    if (pipe->to_near != NULL && pipe->to_near->arrives_ns < when) {
        when = pipe->to_near->arrives_ns;
    }
    return when;
}

static int near_send(void *ctx, const void *bytes, size_t size)
{
    tide_pipe *pipe = ctx;
    return carry(pipe, &pipe->to_far, bytes, size);
}

static int near_receive(void *ctx, int64_t deadline_ns, const void **bytes, size_t *size)
{
    tide_pipe *pipe = ctx;
    drop_all(&pipe->handed);
    for (;;) {
        if (pipe->cut || drive_far(pipe) != TIDE_OK) {
            return TIDE_ECLOSED;
        }
        letter *l = arrived(pipe, &pipe->to_near);
        if (l != NULL) {
            pipe->to_near = l->next;
            l->next = NULL;
            pipe->handed = l;
            *bytes = l->bytes;
            *size = l->size;
            return TIDE_OK;
        }
        int64_t when = next_event(pipe);
        if (when >= deadline_ns) {
            /* Nobody waits for anything: time stands still. */
            pipe->now_ns =
                deadline_ns == INT64_MAX || deadline_ns < pipe->now_ns ? pipe->now_ns : deadline_ns;
            return when == INT64_MAX && deadline_ns == INT64_MAX ? TIDE_ECLOSED : TIDE_ABSENT;
        }
        pipe->now_ns = when > pipe->now_ns ? when : pipe->now_ns;
    }
}

static int64_t near_now(void *ctx)
{
    const tide_pipe *pipe = ctx;
    return pipe->now_ns;
}

int tide_pipe_open(tide_session *far, const tide_pipe_options *options, tide_pipe **out)
{
    if (out == NULL) {
        return TIDE_EINVAL;
    }
    *out = NULL;
    if (far == NULL ||
        (options != NULL &&
         (options->size != sizeof *options || options->loss_ppm > RATE_MAX_PPM ||
          options->duplicate_ppm > RATE_MAX_PPM || options->reorder_ppm > RATE_MAX_PPM))) {
        return TIDE_EINVAL;
    }
    tide_pipe *pipe = tide__calloc(1, sizeof *pipe);
    if (pipe == NULL) {
        return TIDE_ENOMEM;
    }
    tide_pipe_options_init(&pipe->options);
    if (options != NULL) {
        pipe->options = *options;
    }
    pipe->far = far;
    pipe->random = pipe->options.seed;
    pipe->transport = (tide_transport){.size = sizeof pipe->transport,
                                       .ctx = pipe,
                                       .send = near_send,
                                       .receive = near_receive,
                                       .now = near_now};
    *out = pipe;
    return TIDE_OK;
}

void tide_pipe_close(tide_pipe *pipe)
{
    if (pipe != NULL) {
        drop_all(&pipe->to_far);
        drop_all(&pipe->to_near);
        drop_all(&pipe->handed);
        tide__free(pipe);
    }
}

const tide_transport *tide_pipe_transport(tide_pipe *pipe)
{
    return &pipe->transport;
}

int tide_pipe_far_error(const tide_pipe *pipe)
{
    return pipe->far_error;
}

void tide_pipe_count(const tide_pipe *pipe, uint64_t *messages, uint64_t *bytes)
{
    if (messages != NULL) {
        *messages = pipe->messages;
    }
    if (bytes != NULL) {
        *bytes = pipe->bytes;
    }
}
