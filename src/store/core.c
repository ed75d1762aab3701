/* core.c - see core.h. */
#include "store/core.h"

#include "base/clock.h"
#include "base/rules.h"

void tide__core_init(tide__core *core, tide__environment *environment, const tide_options *options)
{
    core->environment = environment;
    core->clock = options->clock;
    core->clock_ctx = options->clock_ctx;
    core->queue_end = &core->queue;
    tide__table_init(&core->table);
    atomic_init(&core->committing, 0);
    pthread_mutex_init(&core->commit_lock, NULL);
    pthread_mutex_init(&core->queue_lock, NULL);
}

void tide__core_destroy(tide__core *core)
{
    tide__table_free(&core->table);
    pthread_mutex_destroy(&core->queue_lock);
    pthread_mutex_destroy(&core->commit_lock);
}

tide_time tide__core_now(const tide__core *core)
{
    return tide__clock_now(core->clock, core->clock_ctx);
}

size_t tide__run_of(const tide__advance *steps, size_t count)
{
    size_t run = 1;
    while (run < count && tide__id_compare(&steps[run].id, &steps->id) == 0) {
        run++;
    }
    return run;
}

int tide__judge_run(const tide__advance *steps, size_t run, tide_mark *mark)
{
    int answer = TIDE_STALE;
    for (size_t i = 0; i < run; i++) {
        int rc = tide__rule_advance(mark, steps[i].after, steps[i].upto, steps[i].epoch);
        if (rc == TIDE_GAP || rc == TIDE_CONFLICT) {
            return rc;
        }
        if (rc == TIDE_OK) {
            answer = TIDE_OK;
        }
    }
    return answer;
}

bool tide__takes_back(const tide__request *r)
{
    return r->kind == TIDE__REMOVE || (r->kind == TIDE__SET && r->desired < r->expected);
}
