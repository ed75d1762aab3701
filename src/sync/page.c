/* page.c - applying a page of a peer's feed; see page.h. */
#include "sync/page.h"

#include <string.h>
#include <time.h>

#include "sync/cascade.h"
#include "sync/history.h"
#include "sync/level.h"
#include "sync/model.h"
#include "sync/parked.h"
#include "sync/reading.h"

#define FLUSH_ROWS 32768 /* a crash costs so many rows read again, at most */

/* What becomes of one range. */
typedef struct judged {
    tide__model *model;
    const tide__want *want; /* what it answers */
    bool apply;
    bool restart; /* of a new epoch, from its beginning: the old mark goes first */
    bool rescan;  /* a full read begins */
    bool full;    /* it is part of one, */
    bool last;    /* and reaches the head */
    bool here;    /* it begins and ends at our mark */
    bool follows; /* what we rest on is not what it was */
    tide__reading reading;
    uint64_t written;
    tide__parking parking;
} judged;

typedef struct page {
    tide_sync *sync;
    const unsigned char *peer;
    const tide__question *asked; /* what the page answers */
    const tide__message *message;
    judged judged[TIDE_MODELS_MAX];   /* by range */
    size_t rows;                      /* of the ranges to apply */
    bool writes;                      /* there is something to do in the database */
    uint64_t fitted[TIDE_MODELS_MAX]; /* of those that were parked, by place of the model */
    bool gap;
    tide_time newest; /* stamp given */
} page;

int tide__page_mark(tide_sync *sync, const uuid_t peer, const tide__model *m, tide_mark *out)
{
    *out = (tide_mark){TIDE_TIME_NONE, TIDE_TIME_NONE, TIDE_TIME_NONE};
    int rc = tide_watermarks_get_mark(sync->marks, peer, m->resource, out);
    return rc == TIDE_ABSENT ? TIDE_OK : tide__marks_failed(sync, rc);
}

/* A range of a full read goes on from where that has got, of the same epoch and generation. Where
 * the feed has begun anew, or what was read is not of its history, the read begins anew. */
static void judge_full(page *p, const tide__range *range, judged *out)
{
    const tide__reading *reading = &out->reading;
    out->rescan = p->message->epoch != reading->epoch || !range->known;
    bool fits =
        !out->rescan && range->generation == reading->generation && range->after <= reading->upto;
    out->apply = fits && (range->upto > reading->upto || out->last);
    p->gap = p->gap || !fits;
}

static void judge_plain(page *p, const tide__range *range, const tide_mark *mark, judged *out)
{
    if (range->generation != TIDE_TIME_NONE) {
        p->gap = true; /* of a full read that is over */
    } else if (mark->watermark != TIDE_TIME_NONE && mark->epoch != p->message->epoch) {
        out->restart = range->after == TIDE_TIME_NONE;
        out->apply = out->restart;
        p->gap = p->gap || !out->restart;
    } else {
        out->apply = range->after <= mark->watermark && range->upto > mark->watermark;
        out->here = range->after == mark->watermark && range->upto == mark->watermark;
        p->gap = p->gap || range->after > mark->watermark;
    }
}

/* The page as something to rest on. */
static tide__following following_of(const page *p, const tide__range *range)
{
    return (tide__following){p->message->life, range->head, -1};
}

static const tide__want *want_of(const tide__question *asked, const tide__range *range)
{
    const tide__name *name = &range->resource;
    for (size_t i = 0; i < asked->count; i++) {
        const tide__want *want = &asked->wants[i];
        if (want->resource.length == name->length &&
            memcmp(want->resource.text, name->text, name->length) == 0) {
            return want;
        }
    }
    return NULL;
}

/* Where nothing new is, the life and the head may be. If another session of ours has taken a page
 * since we asked, `known` is not about what we rest on now: it is asked again. */
static int judge_following(page *p, const tide__range *range, judged *out)
{
    tide__following before;
    int rc = tide__following_find(p->sync, p->peer, out->model, &before);
    bool same = rc == TIDE_OK && range->known && before.life == p->message->life &&
                before.head == range->head;
    if (before.life != out->want->life || before.head != out->want->head) {
        out->apply = out->here = out->rescan = false;
        p->gap = true;
    }
    out->follows = (out->apply || out->here) && !same;
    p->rows += out->apply ? range->rows->size : 0;
    p->writes = p->writes || out->follows || (out->apply && (out->full || range->rows->size > 0));
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}

static int judge_range(page *p, size_t i)
{
    tide_mark mark = {TIDE_TIME_NONE, TIDE_TIME_NONE, TIDE_TIME_NONE};
    const tide__range *range = &p->message->ranges[i];
    judged *out = &p->judged[i];
    out->model = tide__model_find(p->sync, range->resource.text, range->resource.length);
    out->want = want_of(p->asked, range);
    /* The ranges of a page reach their heads, but for the last of a page that is not the end. */
    out->last = i + 1 < p->message->range_count || p->message->end;
    int rc = tide__reading_find(p->sync, p->peer, out->model, &out->reading);
    out->full = rc == TIDE_OK;
    if (rc == TIDE_ABSENT) {
        rc = tide__page_mark(p->sync, p->peer, out->model, &mark);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    if (range->rescan) {
        out->rescan = !out->full || out->reading.epoch != p->message->epoch ||
                      out->reading.generation != range->generation;
        p->gap = true;
    } else if (out->full) {
        judge_full(p, range, out);
    } else {
        judge_plain(p, range, &mark, out);
    }
    return judge_following(p, range, out);
}

static int check_rows(tide_sync *sync, const tide__model *m, const tide__range *range)
{
    tide_value values[TIDE_COLUMNS_MAX];
    for (size_t r = 0; r < range->rows->size; r++) {
        tide_change change;
        int rc = tide__message_row(range, r, m->column_count, &change, values);
        if (rc != TIDE_OK) {
            return tide__fail(&sync->detail, rc, "row %zu of %s is malformed", r, m->resource);
        }
        rc = tide__apply_check_clock(sync, m, change.version);
        if (rc != TIDE_OK) {
            return rc;
        }
    }
    return TIDE_OK;
}

int tide__page_check(tide_sync *sync, const tide__question *asked, const tide__message *message)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < message->range_count; i++) {
        const tide__range *range = &message->ranges[i];
        const tide__name *name = &range->resource;
        const tide__model *m = tide__model_find(sync, name->text, name->length);
        rc = m == NULL || want_of(asked, range) == NULL
                 ? tide__fail(&sync->detail, TIDE_EMODEL,
                              "the peer sends \"%.*s\", which nobody asked for", (int)name->length,
                              name->text)
                 : check_rows(sync, m, range);
    }
    return rc;
}

/* What was deleted here and forgotten since we asked may be in the answer: it may be older than the
 * peer's word that it has heard of that. Then it is asked for again. */
static int judge_age(page *p, judged *j)
{
    tide_time head = 0;
    tide_time pruned = 0;
    int rc = tide__model_head(p->sync, j->model, &head, &pruned);
    if (rc == TIDE_OK && pruned != j->want->pruned) {
        j->apply = j->follows = false;
        p->gap = true;
    }
    return rc;
}

/* Of a range that check_rows has seen. */
static int write_range(page *p, tide__apply *apply, const tide__range *range, judged *j)
{
    tide_value values[TIDE_COLUMNS_MAX];
    tide__following following = following_of(p, range);
    int rc = tide__following_go_on(p->sync, p->peer, j->model, range->known, &following);
    j->written = 0;
    j->parking.count = 0;
    apply->source = following.source;
    for (size_t r = 0; rc == TIDE_OK && r < range->rows->size; r++) {
        tide_change change;
        (void)tide__message_row(range, r, j->model->column_count, &change, values);
        rc = tide__parked_apply(apply, j->model, &change, &j->parking);
        j->written += rc == TIDE_OK;
        rc = rc == TIDE_STALE ? TIDE_OK : rc;
        if (rc == TIDE_OK && j->full && j->reading.listing) {
            rc = tide__reading_list(p->sync, p->peer, j->model, &change.key);
        }
    }
    if (rc == TIDE_OK && j->full && j->last) {
        uint64_t swept = 0;
        rc = tide__reading_end(p->sync, p->peer, j->model, &j->reading, &swept);
        j->written += swept;
    } else if (rc == TIDE_OK && j->full) {
        rc = tide__reading_move(p->sync, p->peer, j->model, range->upto);
    }
    return rc;
}

static int write_rows(page *p, bool *again)
{
    tide__apply apply;
    uint64_t written = 0;
    int64_t upto = 0;
    int rc = tide__apply_begin(&apply, p->sync, TIDE__APPLY);
    *again = false;
    if (rc != TIDE_OK) {
        return rc;
    }
    for (size_t i = 0; rc == TIDE_OK && i < p->message->range_count; i++) {
        judged *j = &p->judged[i];
        rc = j->apply || j->follows ? judge_age(p, j) : TIDE_OK;
        if (rc == TIDE_OK && (j->apply || j->follows)) {
            rc = write_range(p, &apply, &p->message->ranges[i], j);
            written += j->written;
        }
    }
    if (rc == TIDE_OK && written > 0) { /* what was parked may fit now */
        rc = tide__parked_retry(&apply, TIDE__PARKED_PER_PAGE, &upto, p->fitted);
    }
    *again = apply.again;
    p->newest = tide__apply_newest(&apply);
    return tide__apply_end(&apply, rc);
}

/* One model more is guarded each time that it begins anew. */
static int write_page(page *p)
{
    bool again = true;
    int rc = TIDE_OK;
    uint64_t stale = p->sync->metrics.changes_stale;
    while (again) {
        p->sync->metrics.changes_stale = stale;
        rc = write_rows(p, &again);
    }
    return rc;
}

/* The full reads that are due. */
static int begin_readings(page *p)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < p->message->range_count; i++) {
        const tide__range *range = &p->message->ranges[i];
        const judged *j = &p->judged[i];
        if (j->rescan) {
            rc = range->seen_count == 0 ? TIDE_OK
                                        : tide__history_heed(p->sync, j->model, &range->seen[0]);
        }
        if (rc == TIDE_OK && j->rescan) {
            tide__following following = following_of(p, range);
            rc =
                tide__reading_begin(p->sync, p->peer, j->model, range, p->message->epoch,
                                    &following, range->rescan && (!j->full || j->reading.sweeping));
        }
    }
    return rc;
}

static void tell_parked(page *p, const judged *j)
{
    tide_event event = {.size = sizeof event,
                        .kind = TIDE_EVENT_PARKED,
                        .peer = p->peer,
                        .resource = j->model->resource,
                        .text = j->parking.reason,
                        .count = j->parking.count};
    p->sync->metrics.changes_parked += j->parking.count;
    tide__emit(p->sync, &event);
}

/* The rows are in, whatever becomes of the marks. */
static void count_and_tell(page *p)
{
    tide_metrics *metrics = &p->sync->metrics;
    for (size_t i = 0; i < p->message->range_count; i++) {
        const tide__range *range = &p->message->ranges[i];
        const judged *j = &p->judged[i];
        if (range->after != range->upto) {
            *(j->apply ? &metrics->pages_applied : &metrics->pages_refused) += 1;
        }
        if (j->written > 0) {
            tide__tell_changed(p->sync, p->peer, j->model, j->written);
        }
        if (j->parking.count > 0) {
            tell_parked(p, j);
        }
    }
    for (size_t i = 0; i < p->sync->model_count; i++) {
        if (p->fitted[i] > 0) {
            tide__tell_changed(p->sync, NULL, p->sync->models[i], p->fitted[i]);
        }
    }
}

/* Deferred: the marks are not published before the rows they count are flushed. */
static int raise_marks(page *p)
{
    tide_watermarks *marks = p->sync->marks;
    for (size_t i = 0; i < p->message->range_count; i++) {
        const tide__range *range = &p->message->ranges[i];
        const judged *j = &p->judged[i];
        const char *resource = j->model->resource;
        if (!j->apply || (j->full && !j->last)) {
            continue;
        }
        int rc = j->restart ? tide_watermarks_reset(marks, p->peer, resource) : TIDE_OK;
        if (rc >= 0 && range->upto != TIDE_TIME_NONE) {
            rc = tide_watermarks_advance_range(marks, p->peer, resource,
                                               j->full ? TIDE_TIME_NONE : range->after, range->upto,
                                               p->message->epoch, TIDE_DEFERRED);
        }
        if (rc < 0) {
            return tide__marks_failed(p->sync, rc);
        }
    }
    int rc = p->newest == TIDE_TIME_NONE
                 ? TIDE_OK
                 : tide_watermarks_raise_history(marks, p->sync->epoch, p->newest, TIDE_DEFERRED);
    return rc < 0 ? tide__marks_failed(p->sync, rc) : TIDE_OK;
}

/* The page reaches the heads of all its ranges, and everything before is here. */
static int note_levels(page *p)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < p->message->range_count; i++) {
        const tide__range *range = &p->message->ranges[i];
        tide__level level = {range->upto, p->message->epoch, p->message->life};
        if (range->upto != TIDE_TIME_NONE) {
            rc = tide__level_reached(p->sync, p->peer, p->judged[i].model, &level);
        }
    }
    return rc;
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void count_time(tide_metrics *metrics, int64_t began_ns)
{
    uint64_t ns = (uint64_t)(monotonic_ns() - began_ns);
    metrics->apply_ns += ns;
    metrics->apply_max_ns = ns > metrics->apply_max_ns ? ns : metrics->apply_max_ns;
}

int tide__page_apply(tide_sync *sync, const uuid_t peer, const tide__question *asked,
                     const tide__message *message, size_t *unflushed_rows, bool *gap)
{
    page p = {
        .sync = sync, .peer = peer, .asked = asked, .message = message, .newest = TIDE_TIME_NONE};
    int64_t began_ns = monotonic_ns();
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < message->range_count; i++) {
        rc = judge_range(&p, i);
    }
    if (rc == TIDE_OK && p.writes) {
        rc = write_page(&p);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    *unflushed_rows += p.rows;
    count_and_tell(&p);
    rc = raise_marks(&p);
    if (rc == TIDE_OK) {
        rc = begin_readings(&p);
    }
    if (rc == TIDE_OK && message->end && p.rows == 0 && !p.gap) { /* the round ends */
        rc = tide__parked_settle(sync);
        rc = rc == TIDE_OK ? tide__cascade_settle(sync) : rc;
    }
    if (rc == TIDE_OK && message->end && !p.gap) {
        rc = note_levels(&p);
    }
    if (rc == TIDE_OK && message->end) {
        rc = tide__history_note(sync);
    }
    if (rc == TIDE_OK && (message->end || *unflushed_rows >= FLUSH_ROWS)) {
        rc = tide__marks_failed(sync, tide_watermarks_flush(sync->marks));
        *unflushed_rows = 0;
    }
    if (rc == TIDE_OK) {
        count_time(&sync->metrics, began_ns);
        *gap = p.gap;
    }
    return rc;
}
