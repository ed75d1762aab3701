/* proof.c - comparing digests; see proof.h. */
#include "sync/proof.h"

#include "sync/digest.h"
#include "sync/history.h"
#include "sync/transaction.h"

#define SUMMED_ANEW 256 /* rows behind the kept digest; then it is kept anew */

/* Inside a transaction. *head is our head, TIDE_TIME_NONE where the two are not to be compared. */
static int compare(tide_sync *sync, tide__model *m, const tide__range *range, tide_time *head,
                   tide__digest *digest, uint64_t *changed)
{
    sqlite3_stmt *statement = m->statements[TIDE__HEAD];
    tide_time seen = range->seen.watermark == TIDE_TIME_NONE ? 0 : range->seen.watermark;
    int rc = tide__history_load(sync);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    *head = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    if (*head != seen || (seen > 0 && range->seen.epoch != sync->epoch) || sync->recovering) {
        *head = TIDE_TIME_NONE;
        return TIDE_OK;
    }
    return tide__digest_read(sync, m, digest, changed);
}

static int look(tide_sync *sync, tide__model *m, const tide__range *range, bool *compared)
{
    tide__digest digest = {0, 0, 0};
    tide_time head = TIDE_TIME_NONE;
    uint64_t changed = 0;
    int rc = tide__begin(sync, TIDE__READ);
    if (rc == TIDE_OK) {
        rc = tide__end(sync, compare(sync, m, range, &head, &digest, &changed));
    }
    if (rc == TIDE_OK && head != TIDE_TIME_NONE && changed > SUMMED_ANEW) {
        rc = tide__digest_keep(sync, m, &digest, head);
    }
    if (rc != TIDE_OK || head == TIDE_TIME_NONE) {
        return rc;
    }
    *compared = true;
    return tide__digest_equal(&digest, &range->digest) ? TIDE_OK : TIDE_CONFLICT;
}

int tide__prove(tide_sync *sync, const tide__range *range, tide__model **model, bool *compared)
{
    tide__model *m = tide__model_find(sync, range->resource.text, range->resource.length);
    *model = m;
    *compared = false;
    if (m == NULL || !range->summed) {
        return TIDE_OK;
    }
    int rc = look(sync, m, range, compared);
    if (rc == TIDE_CONFLICT) { /* it may be ours that is wrong */
        rc = tide__digest_recount(sync, m);
        rc = rc == TIDE_OK ? look(sync, m, range, compared) : rc;
    }
    return rc;
}
