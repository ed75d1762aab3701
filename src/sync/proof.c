/* proof.c - comparing digests; see proof.h. */
#include "sync/proof.h"

#include "sync/digest.h"
#include "sync/history.h"
#include "sync/model.h"
#include "sync/parked.h"
#include "sync/reading.h"
#include "sync/transaction.h"

/* What comes after TIDE__READ_AGAIN. */
enum {
    WAITING = TIDE__READ_AGAIN + 1, /* the peer was told, and may be reading again itself */
    LAST_LOOK,                      /* it has done what it can */
    DIVERGED                        /* the user was told */
};

/* A page, and the peer it is from. */
typedef struct whose {
    const unsigned char *peer;
    const tide__message *page;
} whose;

/* ---- comparing ---------------------------------------------------------------------------------- */

/* Inside a transaction: whether the peer has everything of our feed, but for what came from its
 * own; deletions that were forgotten here it has had, too. */
static int has_all(tide_sync *sync, const whose *peer, tide__model *m, const tide__range *range)
{
    sqlite3_stmt *unseen = m->statements[TIDE__UNSEEN];
    tide__following following;
    bool seen = range->seen_count > 0 && range->seen[0].epoch == sync->epoch;
    int rc = tide__following_find(sync, peer->peer, m, &following);
    if (rc == TIDE_OK || rc == TIDE_ABSENT) {
        (void)sqlite3_bind_int64(unseen, 1, seen ? range->seen[0].stamp : 0);
        (void)sqlite3_bind_int64(unseen, 2, following.source);
        rc = tide__sql_step(unseen, &sync->detail);
        (void)sqlite3_reset(unseen);
    }
    return rc == TIDE_OK ? TIDE_STALE : rc == TIDE_ABSENT ? TIDE_OK : rc;
}

/* Inside a transaction. *head is our head, TIDE_TIME_NONE where the two are not to be compared;
 * *never says that another question would not help. */
static int compare(tide_sync *sync, const whose *peer, tide__model *m, const tide__range *range,
                   tide_time *head, tide__digest *digest, uint64_t *changed, bool *never)
{
    tide_time pruned = 0;
    uint64_t parked = 0;
    int rc = tide__history_load(sync);
    if (rc == TIDE_OK) {
        rc = tide__parked_count(sync, m, &parked);
    }
    *never = parked > 0 || sync->recovering;
    if (rc == TIDE_OK && !*never) {
        rc = has_all(sync, peer, m, range);
    }
    if (rc != TIDE_OK || *never) {
        return rc == TIDE_STALE ? TIDE_OK : rc;
    }
    rc = tide__model_head(sync, m, head, &pruned);
    return rc == TIDE_OK ? tide__digest_read(sync, m, digest, changed) : rc;
}

static int look(tide_sync *sync, const whose *peer, tide__model *m, const tide__range *range,
                bool *compared)
{
    tide__digest digest = {0, 0, 0};
    tide_time head = TIDE_TIME_NONE;
    uint64_t changed = 0;
    int rc = tide__begin(sync, TIDE__READ);
    if (rc == TIDE_OK) {
        rc = tide__end(sync, compare(sync, peer, m, range, &head, &digest, &changed, compared));
    }
    if (rc == TIDE_OK && head != TIDE_TIME_NONE && changed > TIDE__SUMMED_ANEW) {
        rc = tide__digest_keep(sync, m, &digest, head);
    }
    if (rc != TIDE_OK || head == TIDE_TIME_NONE) {
        return rc;
    }
    *compared = true;
    return tide__digest_equal(&digest, &range->digest) ? TIDE_OK : TIDE_CONFLICT;
}

/* *compared: it was, or another question would not help. TIDE_CONFLICT: they differ, also after
 * ours was counted from nothing. */
static int prove(tide_sync *sync, const whose *peer, tide__model *m, const tide__range *range,
                 bool *compared)
{
    *compared = false;
    if (!range->summed) {
        return TIDE_OK;
    }
    int rc = look(sync, peer, m, range, compared);
    if (rc == TIDE_CONFLICT) { /* it may be ours that is wrong */
        rc = tide__digest_recount(sync, m);
        rc = rc == TIDE_OK ? look(sync, peer, m, range, compared) : rc;
    }
    return rc;
}

/* ---- what is done ------------------------------------------------------------------------------- */

static int take_step(tide__proof *proof, tide_sync *sync, const whose *peer, tide__model *m,
                     const tide__range *range, uint32_t number, bool *again, bool *news)
{
    tide_event event = {.size = sizeof event,
                        .kind = TIDE_EVENT_DIVERGED,
                        .peer = peer->peer,
                        .resource = m->resource};
    tide__following page = {peer->page->life, range->head, -1};
    unsigned char *stage = &proof->stage[m->place];
    switch (*stage) {
    case TIDE__NO_DOUBT:
        *stage = TIDE__RECOUNT; /* ours was, when they were compared */
        *again = true;
        return TIDE_OK;
    case TIDE__RECOUNT:
        *stage = TIDE__READ_AGAIN;
        *again = true;
        return tide__reading_begin(sync, peer->peer, m, range, peer->page->epoch, &page, false);
    case TIDE__READ_AGAIN:
        *stage = WAITING;
        proof->number = number;
        *news = true;
        return TIDE_OK;
    case LAST_LOOK:
        *stage = range->doubts ? WAITING : DIVERGED;
        proof->number = number;
        if (*stage == DIVERGED) {
            tide__emit(sync, &event);
        }
        return TIDE_OK;
    default:
        return TIDE_OK;
    }
}

int tide__proof_compare(tide__proof *proof, tide_sync *sync, const uuid_t peer,
                        const tide__message *page, uint32_t number, bool *again, bool *news)
{
    const whose of = {peer, page};
    int rc = TIDE_OK;
    proof->compared = true;
    for (size_t i = 0; rc == TIDE_OK && i < page->range_count; i++) {
        const tide__range *range = &page->ranges[i];
        tide__model *m = tide__model_find(sync, range->resource.text, range->resource.length);
        bool compared = false;
        if (m == NULL) {
            continue;
        }
        rc = prove(sync, &of, m, range, &compared);
        proof->compared = proof->compared && compared;
        if (rc == TIDE_CONFLICT) {
            rc = take_step(proof, sync, &of, m, range, number, again, news);
        } else if (rc == TIDE_OK && compared && proof->stage[m->place] != DIVERGED) {
            proof->stage[m->place] = TIDE__NO_DOUBT;
        }
    }
    return rc;
}

bool tide__proof_hear(tide__proof *proof, const tide_sync *sync, const tide__question *question)
{
    bool due = false;
    for (size_t i = 0; i < question->count; i++) {
        const tide__want *want = &question->wants[i];
        const tide__model *m = tide__model_find(sync, want->resource.text, want->resource.length);
        bool done = want->doubt != TIDE__RECOUNT && want->generation == TIDE_TIME_NONE;
        if (m != NULL && done && proof->stage[m->place] == WAITING &&
            question->number != proof->number) {
            proof->stage[m->place] = LAST_LOOK;
            due = true;
        }
    }
    return due;
}

int tide__proof_recount(tide_sync *sync, const tide__question *question)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < question->count; i++) {
        const tide__want *want = &question->wants[i];
        tide__model *m = want->doubt == TIDE__RECOUNT
                             ? tide__model_find(sync, want->resource.text, want->resource.length)
                             : NULL;
        rc = m == NULL ? TIDE_OK : tide__digest_recount(sync, m);
    }
    return rc;
}

/* ---- where it stands ---------------------------------------------------------------------------- */

uint32_t tide__proof_doubt(const tide__proof *proof, const tide__model *m)
{
    unsigned char stage = proof->stage[m->place];
    return stage > TIDE__DOUBT_MAX ? TIDE__DOUBT_MAX : stage;
}

bool tide__proof_tries(const tide__proof *proof, const tide__model *m)
{
    unsigned char stage = proof->stage[m->place];
    return stage == TIDE__RECOUNT || stage == TIDE__READ_AGAIN;
}

bool tide__proof_waits(const tide__proof *proof)
{
    bool waits = false;
    for (size_t i = 0; i < TIDE_MODELS_MAX; i++) {
        waits = waits || proof->stage[i] == WAITING || proof->stage[i] == LAST_LOOK;
    }
    return waits;
}

size_t tide__proof_diverged(const tide__proof *proof)
{
    size_t count = 0;
    for (size_t i = 0; i < TIDE_MODELS_MAX; i++) {
        count += proof->stage[i] == DIVERGED;
    }
    return count;
}
