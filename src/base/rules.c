/* rules.c - the rules of marks; see rules.h. */
#include "base/rules.h"

int tide__rule_advance(tide_mark *mark, tide_time after, tide_time upto, tide_time epoch)
{
    if (epoch != TIDE_TIME_NONE && mark->watermark != TIDE_TIME_NONE && mark->epoch != epoch) {
        return TIDE_CONFLICT;
    }
    if (upto <= mark->watermark) {
        return TIDE_STALE;
    }
    if (after > mark->watermark) {
        return TIDE_GAP;
    }
    mark->watermark = upto;
    if (epoch != TIDE_TIME_NONE) {
        mark->epoch = epoch;
    }
    return TIDE_OK;
}

int tide__rule_set(tide_mark *mark, tide_time expected, tide_time desired)
{
    if (mark->watermark != expected) {
        return TIDE_CONFLICT;
    }
    mark->watermark = desired;
    if (desired == TIDE_TIME_NONE) {
        *mark = TIDE__NO_MARK;
    }
    return TIDE_OK;
}

static bool same_mark(const tide_mark *a, const tide_mark *b)
{
    return a->watermark == b->watermark && a->epoch == b->epoch && a->updated_at == b->updated_at;
}

/* Whether a mark was taken back since the base was seen, as far as that can be told. Nothing tells
 * a mark that was never there from one that was made and removed. */
static bool taken_back(const tide__pending *pending, const tide_mark *now, const tide__taken *taken)
{
    const tide_mark *base = &pending->base;
    if (now->watermark < base->watermark) {
        return true;
    }
    return taken->back > pending->based_on &&
           (!same_mark(now, base) ||
            (base->watermark == TIDE_TIME_NONE && taken->removed > pending->based_on));
}

bool tide__rule_stands(const tide__pending *pending, const tide_mark *now, const tide__taken *taken)
{
    bool further = now->watermark >= pending->upto.watermark;
    /* The base was absent or of one epoch with `upto`; marks of two epochs cannot be compared. */
    bool restarted = now->watermark != TIDE_TIME_NONE && now->epoch != pending->upto.epoch;
    return !further && !restarted && !taken_back(pending, now, taken);
}
