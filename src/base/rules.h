/* rules.h - the rules of marks, as functions over values.
 *
 * An absent mark is a mark whose watermark is TIDE_TIME_NONE: below every time, so that every
 * comparison covers it. A rule answers what a change does to a mark; it reads no clock and no
 * store.
 */
#ifndef TIDEMARK_BASE_RULES_H
#define TIDEMARK_BASE_RULES_H

#include <tidemark/store.h>

#define TIDE__NO_MARK ((tide_mark){TIDE_TIME_NONE, TIDE_TIME_NONE, TIDE_TIME_NONE})

/* Raises *mark over (after, upto]. TIDE_OK: *mark has the new watermark and epoch, updated_at
 * untouched; TIDE_STALE, TIDE_GAP, TIDE_CONFLICT: *mark is untouched. */
int tide__rule_advance(tide_mark *mark, tide_time after, tide_time upto, tide_time epoch);

/* Sets *mark from `expected` to `desired`. TIDE_OK; TIDE_CONFLICT. */
int tide__rule_set(tide_mark *mark, tide_time expected, tide_time desired);

/* An advance that waits for its commit, and what it was based on. */
typedef struct tide__pending {
    tide_mark base;
    uint64_t based_on; /* the commit that showed the base */
    tide_mark upto;
} tide__pending;

/* What a waiting advance makes of the mark that the file holds now. Another process may meanwhile
 * have gone further (its mark stands), or have rewound, removed or restarted the mark: then that
 * stands, and the waiting advance is dropped, because it was based on what is no longer true.
 * `rewound` is the last commit that took any mark back. When it is later than the base, a mark that
 * is not the base any more counts as taken back, wherever it stands by now. */
tide_mark tide__rule_publish(const tide__pending *pending, const tide_mark *now, uint64_t rewound);

#endif
