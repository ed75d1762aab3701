/* Every call of the system fails in turn while a store is made, used, grown, closed and opened
 * again: each answer is one of the documented ones, what was acknowledged is there, what was
 * refused is not, and once the failure is over all goes on to the same marks. */
#include <tidemark/store.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failing/calls.h"
#include "support.h"

#define FILE_NAME "sync.mdb"
#define MARKS 48
#define OF_FIRST_PEER 8 /* marks; the others are of the second */
#define MAP_BYTES (64u << 10)

typedef struct op {
    enum {
        OPEN,
        MANY,
        RANGE,
        SET,
        REMOVE,
        FLUSH,
        EACH,
        MAX,
        STAT,
        BARRIER,
        NO_BARRIER,
        SECOND,
        CLOSE
    } what;
    unsigned first, count;
    uint32_t durability;
    tide_time after, upto;
} op;

static const op ops[] = {
    {.what = OPEN},
    {MANY, 0, 1, TIDE_DURABLE, TIDE_TIME_NONE, 10},
    {MANY, 0, 8, TIDE_DEFERRED, TIDE_TIME_NONE, 20},
    {.what = BARRIER},
    {.what = FLUSH},
    {MANY, 0, MARKS, TIDE_DURABLE, TIDE_TIME_NONE, 30}, /* the map grows */
    {RANGE, 2, 1, TIDE_DURABLE, 40, 50},                /* a gap */
    {RANGE, 2, 1, TIDE_DURABLE, 10, 20},                /* stale */
    {RANGE, 2, 1, TIDE_DURABLE, 20, 40},
    {SET, 3, 1, TIDE_DURABLE, 0, 15},
    {SET, 4, 1, TIDE_DURABLE, 0, TIDE_TIME_NONE},
    {.what = EACH},
    {.what = MAX},
    {.what = STAT},
    {MANY, 4, 10, TIDE_DEFERRED, TIDE_TIME_NONE, 60},
    {MANY, 4, 4, TIDE_DEFERRED, 60, 70},
    {.what = EACH},
    {MANY, 4, 10, TIDE_DEFERRED, TIDE_TIME_NONE, 80},
    {REMOVE, 0, OF_FIRST_PEER, TIDE_DURABLE, 0, TIDE_TIME_NONE},
    {MANY, 0, 12, TIDE_DEFERRED, TIDE_TIME_NONE, 90},
    {.what = STAT},
    {.what = CLOSE},
    {.what = OPEN},
    {.what = EACH},
    {.what = BARRIER},
    {MANY, 6, 30, TIDE_DEFERRED, TIDE_TIME_NONE, 100},
    {.what = NO_BARRIER},
    {.what = SECOND},
    {MANY, 20, 28, TIDE_DEFERRED, TIDE_TIME_NONE, 110},
    {.what = CLOSE},
};

#define FINAL(n) ((n) >= 20 ? 110 : (n) >= 6 ? 100 : 90)

static struct {
    tide_time seen, durable;
} marks[MARKS];
static char names[MARKS][TIDE_RESOURCE_MAX + 1];
static uuid_t device, peers[2];
static tide_store *store;
static bool lost;   /* tide_close has told so */
static bool spared; /* a walk has left waiting what waits */

static const unsigned char *peer_of(unsigned n)
{
    return peers[n >= OF_FIRST_PEER];
}

static void notice(void *ctx, int code, const char *text)
{
    (void)ctx;
    (void)code;
    lost |= strstr(text, "were not written") != NULL;
}

static int barrier(void *ctx)
{
    (void)ctx;
    return TIDE_OK;
}

/* ---- what a call does --------------------------------------------------------------------------- */

static bool is_named(const op *o, unsigned n)
{
    return n >= o->first && n < o->first + o->count;
}

static bool writes(const op *o)
{
    return o->what == MANY || o->what == RANGE || o->what == SET || o->what == REMOVE;
}

static bool flushes(const op *o)
{
    return (writes(o) && o->durability == TIDE_DURABLE) || o->what == FLUSH || o->what == EACH ||
           o->what == MAX || o->what == NO_BARRIER;
}

static tide_time mark_after(const op *o, unsigned n)
{
    bool raises = (o->what == MANY || o->what == RANGE) && marks[n].seen >= o->after;

    if (!writes(o) || !is_named(o, n))
        return marks[n].seen;
    return !raises && o->what != SET && o->what != REMOVE ? marks[n].seen
           : raises && marks[n].seen > o->upto            ? marks[n].seen
                                                          : o->upto;
}

static int answer_of(const op *o)
{
    bool changes = false;

    for (unsigned n = 0; n < MARKS; n++)
        changes |= mark_after(o, n) != marks[n].seen;
    if (o->what != MANY && o->what != RANGE)
        return TIDE_OK;
    return changes ? TIDE_OK : marks[o->first].seen < o->after ? TIDE_GAP : TIDE_STALE;
}

/* ---- making it ---------------------------------------------------------------------------------- */

typedef struct walk {
    unsigned as_seen, as_durable, all;
} walk;

static int check_mark(void *ctx, const uuid_t d, const uuid_t peer, const char *resource,
                      const tide_mark *mark)
{
    walk *w = ctx;
    unsigned n = (unsigned)strtoul(resource, NULL, 10);

    child_assert(n < MARKS && strcmp(resource, names[n]) == 0);
    child_assert(uuid_compare(d, device) == 0 && uuid_compare(peer, peer_of(n)) == 0);
    w->as_seen += mark->watermark == marks[n].seen;
    w->as_durable += mark->watermark == marks[n].durable;
    w->all++;
    return 0;
}

/* What is seen; or what is durable, where there is no space for the rest. Which, tells `spared`. */
static int look_at_all(void)
{
    walk w = {0, 0, 0};
    unsigned seen = 0, durable = 0;
    int rc = tide_each(store, NULL, NULL, NULL, check_mark, &w);

    for (unsigned n = 0; n < MARKS; n++) {
        seen += marks[n].seen != TIDE_TIME_NONE;
        durable += marks[n].durable != TIDE_TIME_NONE;
    }
    if (rc == TIDE_OK) {
        spared = w.all != seen || w.as_seen != seen;
        child_assert(!spared ||
                     (calls_failed(NULL, ENOSPC) && w.all == durable && w.as_durable == durable));
    }
    return rc;
}

static int look_at_max(void)
{
    tide_time max = TIDE_TIME_NONE, seen = TIDE_TIME_NONE, durable = TIDE_TIME_NONE;
    int rc = tide_max(store, device, &max);

    for (unsigned n = 0; n < MARKS; n++) {
        seen = marks[n].seen > seen ? marks[n].seen : seen;
        durable = marks[n].durable > durable ? marks[n].durable : durable;
    }
    if (rc >= 0) {
        spared = max != seen;
        child_assert(!spared || (calls_failed(NULL, ENOSPC) && max == durable));
    }
    return rc;
}

static int look_at_info(void)
{
    tide_info info = {.size = sizeof info};
    unsigned pending = 0;
    int rc = tide_stat(store, &info);

    for (unsigned n = 0; n < MARKS; n++)
        pending += marks[n].seen != marks[n].durable;
    child_assert(rc != TIDE_OK || info.pending == pending);
    return rc;
}

static int open_store(tide_store **out)
{
    tide_options options;
    int rc;

    test_options(&options, MAP_BYTES);
    options.on_unusable = TIDE_MOVE_ASIDE; /* no failure makes a file unusable */
    options.notice = notice;
    *out = (tide_store *)&options;
    rc = tide_open(FILE_NAME, &options, out);
    child_assert((rc == TIDE_OK) == (*out != NULL));
    return rc;
}

static int open_another(void)
{
    tide_store *another;
    tide_mark mark;
    int rc = open_store(&another);

    if (rc == TIDE_OK)
        rc = tide_get(another, device, peer_of(9), names[9], &mark);
    child_assert(rc != TIDE_OK || mark.watermark == marks[9].seen);
    tide_close(another);
    return rc;
}

static int perform(const op *o)
{
    tide_step steps[MARKS] = {{.device = device}};
    int rc = TIDE_OK;

    for (unsigned i = 0; i < o->count; i++) {
        unsigned n = o->first + i;

        steps[i] = (tide_step){device, peer_of(n), names[n], o->after, o->upto, TIDE_TIME_NONE};
    }
    switch (o->what) {
    case OPEN:
        return open_store(&store);
    case MANY:
        return tide_advance_many(store, steps, o->count, o->durability);
    case RANGE:
        return tide_advance_range(store, device, steps->peer, steps->resource, o->after, o->upto);
    case SET:
        return tide_compare_and_set(store, device, steps->peer, steps->resource,
                                    marks[o->first].seen, o->upto);
    case REMOVE:
        return tide_remove_peer(store, device, steps->peer, NULL);
    case FLUSH:
        return tide_flush(store);
    case EACH:
        return look_at_all();
    case MAX:
        return look_at_max();
    case STAT:
        return look_at_info();
    case BARRIER:
    case NO_BARRIER:
        return tide_set_barrier(store, o->what == BARRIER ? barrier : NULL, &device);
    case SECOND:
        return open_another();
    case CLOSE:
        tide_close(store);
        store = NULL;
    }
    return rc;
}

/* ---- judging it --------------------------------------------------------------------------------- */

static bool is_documented(int rc)
{
    return rc == TIDE_ENOMEM || rc == TIDE_EIO || rc == TIDE_ENOSPC || rc == TIDE_EUNKNOWN;
}

/* Every mark is what was acknowledged, or an error while the failure lasts. */
static void look(bool lasts)
{
    for (unsigned n = 0; store != NULL && n < MARKS; n++) {
        tide_mark mark = {0, 0, 0};
        int rc = lasts ? CALLS_TRY(tide_get(store, device, peer_of(n), names[n], &mark))
                       : tide_get(store, device, peer_of(n), names[n], &mark);

        if (rc == TIDE_OK)
            child_assert(mark.watermark == marks[n].seen);
        else if (rc == TIDE_ABSENT)
            child_assert(marks[n].seen == TIDE_TIME_NONE);
        else
            child_assert(lasts && is_documented(rc));
    }
}

static void expect_doubt(const op *o)
{
    tide_mark mark;
    char detail[256] = "";

    for (unsigned n = 0; n < MARKS; n++)
        child_assert(tide_get(store, device, peer_of(n), names[n], &mark) == TIDE_EUNKNOWN);
    child_assert(tide_flush(store) == TIDE_EUNKNOWN);
    child_assert(!writes(o) || perform(o) == TIDE_EUNKNOWN);
    tide_detail(store, detail, sizeof detail);
    child_assert(detail[0] != '\0');
}

/* Opened again: marks are as they were durable or seen, or as the call in doubt, if there was one,
 * would have made them; that one by half is none. */
static void take_stock(const op *o)
{
    unsigned old = 0, new = 0;

    for (unsigned n = 0; n < MARKS; n++) {
        tide_mark mark = {TIDE_TIME_NONE, 0, 0};
        int rc = tide_get(store, device, peer_of(n), names[n], &mark);
        tide_time after = o != NULL ? mark_after(o, n) : marks[n].seen;

        child_assert(rc == TIDE_OK || rc == TIDE_ABSENT);
        child_assert(mark.watermark == marks[n].durable || mark.watermark == marks[n].seen ||
                     mark.watermark == after);
        if (o != NULL && is_named(o, n) && after != marks[n].seen && after != marks[n].durable) {
            old += mark.watermark != after;
            new += mark.watermark == after;
        }
        child_assert(o != NULL || lost || mark.watermark == marks[n].seen);
        marks[n].seen = marks[n].durable = mark.watermark;
    }
    child_assert(old == 0 || new == 0);
}

static void take_effect(const op *o)
{
    tide_info info = {.size = sizeof info};

    for (unsigned n = 0; n < MARKS; n++)
        marks[n].seen = mark_after(o, n);
    if (writes(o) &&
        calls_failed(NULL, ENOSPC)) { /* for want of space what else waits may go on waiting */
        child_assert(tide_stat(store, &info) == TIDE_OK);
        spared = info.pending > 0;
    }
    for (unsigned n = 0; flushes(o) && n < MARKS; n++) {
        if (!spared || is_named(o, n))
            marks[n].durable = marks[n].seen;
    }
    spared = false;
    if (o->what == OPEN)
        take_stock(NULL);
    look(false);
}

/* Nothing vouches for it any more. */
static void drop_waiting(void)
{
    for (unsigned n = 0; n < MARKS; n++)
        marks[n].seen = marks[n].durable;
}

/* Makes a call. False: what had waited is lost, and has to be done again. */
static bool step(const op *o)
{
    int expected = answer_of(o);
    int rc = CALLS_TRY(perform(o));
    bool was_lost = lost;

    if (rc != expected && rc != TIDE_EUNKNOWN) {
        tide_mark mark;

        child_assert(is_documented(rc));
        if (o->what == NO_BARRIER) {
            drop_waiting();
            was_lost = true;
        }
        look(true);
        calls_mend();
        /* A map that could not be made anew is gone, and with it the store until it is opened again. */
        if (rc == TIDE_ENOMEM && store != NULL &&
            tide_get(store, device, peer_of(9), names[9], &mark) == TIDE_EUNKNOWN) {
            rc = TIDE_EUNKNOWN;
        } else {
            look(false);
            rc = perform(o);
        }
    }
    if (rc == TIDE_EUNKNOWN) {
        calls_mend();
        if (store != NULL) {
            expect_doubt(o);
            tide_close(store);
        }
        child_assert(open_store(&store) == TIDE_OK);
        take_stock(o);
        lost = false;
        return false;
    }
    if (rc != expected)
        (void)fprintf(stderr, "call %d: %s, not %s\n", (int)(o - ops), tide_code_name(rc),
                      tide_code_name(expected));
    child_assert(rc == expected);
    take_effect(o);
    if (o->what == OPEN)
        lost = false;
    return (o->what != OPEN && o->what != NO_BARRIER) || !was_lost;
}

static void prepare(void)
{
    test_uuid(device, 1);
    test_uuid(peers[0], 2);
    test_uuid(peers[1], 3);
    for (unsigned n = 0; n < MARKS; n++) {
        (void)memset(names[n], 'r', TIDE_RESOURCE_MAX);
        names[n][TIDE_RESOURCE_MAX] = '\0';
        names[n][snprintf(names[n], 8, "%u", n)] = '-';
        marks[n].seen = marks[n].durable = TIDE_TIME_NONE;
    }
    store = NULL;
    lost = spared = false;
}

static void scenario(void)
{
    prepare();
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (!step(&ops[i]))
            i = 0; /* it is open */
    }
    calls_mend();
    child_assert(open_store(&store) == TIDE_OK);
    take_stock(NULL);
    for (unsigned n = 0; n < MARKS; n++)
        child_assert(lost || marks[n].seen == FINAL(n));
    tide_close(store);
    child_assert(test_entries() == 2 || calls_failed("name", 0));
}

START_TEST(a_store)
{
    calls_fail_each("a store", scenario, 30);
}
END_TEST

/* ---- a file in the way -------------------------------------------------------------------------- */

static const char diary[] = "Dear diary,\nthis was no store.\n";

/* Opening is done again until it is done; the diary is somewhere all the time. */
static void scenario_aside(void)
{
    test_bytes bytes = {(unsigned char *)(uintptr_t)diary, sizeof diary - 1};
    tide_time now = 0;
    tide_options options;
    int rc;

    test_options(&options, MAP_BYTES);
    options.on_unusable = TIDE_MOVE_ASIDE;
    options.clock = test_clock;
    options.clock_ctx = &now;
    test_write_file(FILE_NAME, diary, sizeof diary - 1);
    rc = CALLS_TRY(tide_open(FILE_NAME, &options, &store));
    calls_mend();
    if (rc != TIDE_OK) {
        child_assert(is_documented(rc) && store == NULL);
        child_assert(tide_open(FILE_NAME, &options, &store) == TIDE_OK);
    }
    tide_close(store);
    child_assert(test_file_is(FILE_NAME ".unusable-1970-01-01T00:00:00.000000000Z", bytes));
    child_assert(test_entries() == 3 || calls_failed("name", 0));
}

START_TEST(a_file_that_is_moved_aside)
{
    calls_fail_each("a file that is moved aside", scenario_aside, 30);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failing-store");
    TCase *test = test_case(suite, "failing-store");

    tcase_set_timeout(test, 0);
    tcase_add_test(test, a_store);
    tcase_add_test(test, a_file_that_is_moved_aside);
    return test_run(suite);
}
