/* shrink.c - less of a plan that fails all the same: delta debugging; see shrink.h. */
#include "shrink.h"

#include <string.h>

typedef struct shrinking {
    plan *best;
    outcome *out;
    int runs;
    plan candidate;
} shrinking;

/* The failure's name, before the colon. */
static bool same_failure(const outcome *a, const outcome *b)
{
    size_t length = strcspn(a->failure, ":");
    return length > 0 && length == strcspn(b->failure, ":") &&
           memcmp(a->failure, b->failure, length) == 0;
}

/* Whether the candidate fails as well; then it is the best. */
static bool try_candidate(shrinking *s)
{
    outcome out;
    if (s->runs <= 0) {
        return false;
    }
    s->runs--;
    plan_run(&s->candidate, false, &out);
    if (!same_failure(s->out, &out)) {
        return false;
    }
    *s->best = s->candidate;
    *s->out = out;
    return true;
}

static void without_faults(shrinking *s)
{
    for (unsigned fault = 1; fault <= FAULT_ALL; fault *= 2) {
        s->candidate = *s->best;
        s->candidate.faults &= ~fault;
        (void)try_candidate(s);
    }
}

static void without_device(shrinking *s, int gone)
{
    plan *c = &s->candidate;
    *c = *s->best;
    c->count = 0;
    c->device_count--;
    for (int i = 0; i < s->best->count; i++) {
        step of = s->best->steps[i];
        if (of.a != gone && of.b != gone) {
            of.a -= of.a > gone;
            of.b -= of.b > gone;
            c->steps[c->count++] = of;
        }
    }
    (void)try_candidate(s);
}

static bool without_steps(shrinking *s, int from, int count)
{
    plan *c = &s->candidate;
    *c = *s->best;
    count = count > c->count - from ? c->count - from : count;
    memmove(&c->steps[from], &c->steps[from + count],
            (size_t)(c->count - from - count) * sizeof *c->steps);
    c->count -= count;
    return try_candidate(s);
}

void shrink(plan *p, outcome *out, int runs)
{
    static shrinking s;            /* large */
    int least = p->clones ? 3 : 2; /* two that are one do not talk with each other */
    s = (shrinking){.best = p, .out = out, .runs = runs};
    without_faults(&s);
    for (int d = p->device_count - 1; d >= 0 && p->device_count > least; d--) {
        without_device(&s, d);
    }
    for (int chunk = p->count / 2; chunk > 0; chunk /= 2) {
        for (int from = 0; from < p->count && s.runs > 0;) {
            from += without_steps(&s, from, chunk) ? 0 : chunk;
        }
    }
    /* Once more, one by one: a step may have been needed by one that is gone. */
    for (int from = p->count - 1; from >= 0 && s.runs > 0; from--) {
        (void)without_steps(&s, from, 1);
    }
    for (int d = p->device_count - 1; d >= 0 && p->device_count > least; d--) {
        without_device(&s, d);
    }
    without_faults(&s);
}
