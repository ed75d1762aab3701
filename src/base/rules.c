/* rules.c - the rules of marks; see rules.h. */
#include "base/rules.h"

#include <stdbool.h>

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
        mark->epoch = TIDE_TIME_NONE;
    }
    return TIDE_OK;
}

static bool same_mark(const tide_mark *a, const tide_mark *b)
{
    return a->watermark == b->watermark && a->epoch == b->epoch && a->updated_at == b->updated_at;
}

tide_mark tide__rule_publish(const tide__pending *pending, const tide_mark *now, uint64_t rewound)
{
    bool further = now->watermark >= pending->upto.watermark;
    bool taken_back = now->watermark < pending->base.watermark ||
                      (rewound > pending->based_on && !same_mark(now, &pending->base));
    /* The base was absent or of one epoch with `upto`; marks of two epochs cannot be compared. */
    bool restarted = now->watermark != TIDE_TIME_NONE && now->epoch != pending->upto.epoch;
    return further || taken_back || restarted ? *now : pending->upto;
}
