/* campaign.h - what tidemark-crash does, a command each: try a kind of disaster again and again,
 * for so many rounds or so many minutes, and say what was found.
 *
 * The first thing that fails ends a campaign; its recording is kept in the working folder with the
 * command that makes the very state again. With mutants it is the other way round: whatever is not
 * found is the failure.
 */
#ifndef TIDEMARK_CRASH_CAMPAIGN_H
#define TIDEMARK_CRASH_CAMPAIGN_H

#include "scenario.h"

typedef struct campaign_options {
    const scenario *scenario; /* NULL: all */
    uint64_t seed;            /* the first */
    uint64_t rounds;
    uint64_t minutes; /* 0: `rounds` decides */
    uint64_t per_moment;
    uint64_t states_max; /* of a recording; 0: no limit */
    uint64_t one_in;     /* of faults: of so many, one */
    bool keep_going;
} campaign_options;

typedef struct totals {
    uint64_t recordings;
    uint64_t moments;
    uint64_t states;
    uint64_t checked;
    uint64_t faults;
    uint64_t kills;
    uint64_t failed;
    bool broken; /* the tool itself could not do its work */
} totals;

typedef void campaign_fn(place *p, const campaign_options *o, totals *t);

campaign_fn campaign_cuts;    /* a cut, at every moment */
campaign_fn campaign_again;   /* a cut, and another while its state is recovered */
campaign_fn campaign_faults;  /* a failed call, a restart, a cut */
campaign_fn campaign_mutants; /* mistakes that must be found */
campaign_fn campaign_flushes; /* each single flush taken away must be found */
campaign_fn campaign_kills;   /* kill -9, and no cut */

/* Shared by the campaigns. */
bool campaign_lasts(const campaign_options *o, uint64_t round);

/* After one that was well or not. */
bool campaign_goes_on(const campaign_options *o, const totals *sum, bool well);

/* Explores the recording and adds up; false: stop. Ends the recording. */
bool campaign_explore(place *p, const scenario *s, const campaign_options *o, tape *t,
                      uint64_t first_record, totals *sum);

#endif
