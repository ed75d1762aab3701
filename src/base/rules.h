/* rules.h - the rules of marks, as functions over values.
 *
 * An absent mark is a mark whose watermark is TIDE_TIME_NONE: below every time, so that every
 * comparison covers it. A rule answers what a change does to a mark; it reads no clock and no
 * store.
 */
#ifndef TIDEMARK_BASE_RULES_H
#define TIDEMARK_BASE_RULES_H

#include <stdbool.h>

#include <tidemark/store.h>

#define TIDE__NO_MARK ((tide_mark){TIDE_TIME_NONE, TIDE_TIME_NONE, TIDE_TIME_NONE})

/* Raises *mark over (after, upto]. TIDE_OK: *mark has the new watermark and epoch, updated_at
 * untouched; TIDE_STALE, TIDE_GAP, TIDE_CONFLICT: *mark is untouched. */
int tide__rule_advance(tide_mark *mark, tide_time after, tide_time upto, tide_time epoch);

/* Sets *mark from `expected` to `desired`. TIDE_OK; TIDE_CONFLICT. */
int tide__rule_set(tide_mark *mark, tide_time expected, tide_time desired);

/* The last commits that took any mark back, and that removed any; 0: none did. */
typedef struct tide__taken {
    uint64_t back; /* rewound or removed */
    uint64_t removed;
} tide__taken;

/* An advance that waits for its commit, and what it was based on. */
typedef struct tide__pending {
    tide_mark base;
    uint64_t based_on; /* the commit that showed the base */
    tide_mark upto;
} tide__pending;

/* Whether a waiting advance still raises the mark, which the file now holds as *now. Another
 * process may meanwhile have gone further, or have rewound, removed or restarted the mark: then
 * what the file holds stands, because the advance was based on what is no longer true. When any
 * mark was taken back after the base was seen, a mark that is not the base any more counts as taken
 * back, wherever it stands by now; and so does one that was absent, when any was removed. */
bool tide__rule_stands(const tide__pending *pending, const tide_mark *now, const tide__taken *taken);

#endif
