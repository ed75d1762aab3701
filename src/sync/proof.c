/* proof.c - comparing digests; see proof.h. */
#include "sync/proof.h"

#include "sync/digest.h"
#include "sync/history.h"
#include "sync/model.h"
#include "sync/parked.h"
#include "sync/transaction.h"

/* Inside a transaction: whether the peer has everything of our feed, but for what came from its
 * own; deletions that were forgotten here it has had, too. */
static int has_all(tide_sync *sync, const tide__whose *whose, const tide__model *m,
                   const tide_mark *seen)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_int64 source = -1;
    bool ours = seen->epoch == sync->epoch;
    long long after = seen->watermark == TIDE_TIME_NONE || !ours ? 0 : seen->watermark;
    int rc = tide__device_find(sync, whose->peer, whose->epoch, &source);
    if (rc == TIDE_OK) {
        rc = tide__sql_prepare_made(
            sync->db,
            sqlite3_mprintf("SELECT 1 WHERE (SELECT pruned FROM main.tidemark_resources WHERE "
                            "resource = %Q) > %lld OR EXISTS (SELECT 1 FROM "
                            "main.\"tidemark_%w_rows\" WHERE "
                            "stamp > %lld AND source <> %lld) OR EXISTS (SELECT 1 FROM "
                            "main.\"tidemark_%w_gone\" WHERE stamp > %lld AND source <> %lld)",
                            m->resource, after, m->resource, after, (long long)source, m->resource,
                            after, (long long)source),
            &statement, &sync->detail);
    }
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    (void)sqlite3_finalize(statement);
    return rc == TIDE_OK ? TIDE_STALE : rc == TIDE_ABSENT ? TIDE_OK : rc;
}

/* Inside a transaction. *head is our head, TIDE_TIME_NONE where the two are not to be compared;
 * *never says that another question would not help. */
static int compare(tide_sync *sync, const tide__whose *whose, tide__model *m,
                   const tide__range *range, tide_time *head, tide__digest *digest,
                   uint64_t *changed, bool *never)
{
    tide_time pruned = 0;
    uint64_t parked = 0;
    int rc = tide__history_load(sync);
    if (rc == TIDE_OK) {
        rc = tide__parked_count(sync, m, &parked);
    }
    *never = parked > 0 || sync->recovering;
    if (rc == TIDE_OK && !*never) {
        rc = has_all(sync, whose, m, &range->seen);
    }
    if (rc != TIDE_OK || *never) {
        return rc == TIDE_STALE ? TIDE_OK : rc;
    }
    rc = tide__model_head(sync, m, head, &pruned);
    return rc == TIDE_OK ? tide__digest_read(sync, m, digest, changed) : rc;
}

static int look(tide_sync *sync, const tide__whose *whose, tide__model *m, const tide__range *range,
                bool *compared)
{
    tide__digest digest = {0, 0, 0};
    tide_time head = TIDE_TIME_NONE;
    uint64_t changed = 0;
    int rc = tide__begin(sync, TIDE__READ);
    if (rc == TIDE_OK) {
        rc = tide__end(sync, compare(sync, whose, m, range, &head, &digest, &changed, compared));
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

int tide__prove(tide_sync *sync, const tide__whose *whose, const tide__range *range,
                tide__model **model, bool *compared)
{
    tide__model *m = tide__model_find(sync, range->resource.text, range->resource.length);
    *model = m;
    *compared = false;
    if (m == NULL || !range->summed) {
        return TIDE_OK;
    }
    int rc = look(sync, whose, m, range, compared);
    if (rc == TIDE_CONFLICT) { /* it may be ours that is wrong */
        rc = tide__digest_recount(sync, m);
        rc = rc == TIDE_OK ? look(sync, whose, m, range, compared) : rc;
    }
    return rc;
}
