/* peers.c - who follows us; see peers.h. */
#include "sync/peers.h"

#include "sync/history.h"
#include "sync/parked.h"
#include "sync/transaction.h"

#include "base/alloc.h"

/* Stored epoch of a peer; TIDE_ABSENT: it is not registered. */
static int find_peer(tide_sync *sync, const char *text, tide_time *epoch)
{
    sqlite3_stmt *statement = NULL;
    int rc = tide__sql_prepare_made(
        sync->db, sqlite3_mprintf("SELECT epoch FROM main.tidemark_peers WHERE uuid = %Q", text),
        &statement, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    if (rc == TIDE_OK) {
        *epoch = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

/* A crash that takes it back costs nothing: it is met again. */
static int write_peer(tide_sync *sync, const char *text, tide_time epoch)
{
    int rc = tide__begin(sync, TIDE__APPLY);
    if (rc != TIDE_OK) {
        return rc;
    }
    return tide__end(
        sync, tide__sql_run_made(
                  sync->db,
                  sqlite3_mprintf("INSERT INTO main.tidemark_peers VALUES (%Q, %lld, %lld, 0) "
                                  "ON CONFLICT (uuid) DO UPDATE SET epoch = excluded.epoch",
                                  text, (long long)epoch, (long long)tide__now(sync)),
                  &sync->detail));
}

int tide__peer_met(tide_sync *sync, const uuid_t peer, tide_time epoch)
{
    char text[UUID_STR_LEN];
    tide_time known = 0;
    uuid_unparse_lower(peer, text);
    int rc = find_peer(sync, text, &known);
    if (rc == TIDE_OK && known == epoch) {
        return TIDE_OK;
    }
    if (rc == TIDE_OK && epoch < known) {
        tide_event event = {.size = sizeof event,
                            .kind = TIDE_EVENT_NOTICE,
                            .peer = peer,
                            .text = "A peer comes back with an earlier history: it was restored, or "
                                    "lives twice."};
        tide__emit(sync, &event);
    }
    if (rc == TIDE_OK) {
        rc = tide__marks_failed(sync, tide_watermarks_delete_acks(sync->marks, peer));
    }
    return rc == TIDE_OK || rc == TIDE_ABSENT ? write_peer(sync, text, epoch) : rc;
}

int tide__peer_acks(tide_sync *sync, const uuid_t peer, const tide__model *m, tide_time upto)
{
    int rc = tide__marks_failed(
        sync, tide_watermarks_set_ack(sync->marks, peer, m->resource, upto, TIDE_DEFERRED));
    return rc < 0 ? rc : TIDE_OK;
}

int tide__peer_acked(tide_sync *sync, const uuid_t peer, const tide__model *m, tide_time *upto)
{
    *upto = TIDE_TIME_NONE;
    int rc =
        tide__marks_failed(sync, tide_watermarks_get_ack(sync->marks, peer, m->resource, upto));
    return rc < 0 ? rc : TIDE_OK;
}

int tide__peer_contact(tide_sync *sync, const uuid_t peer)
{
    char text[UUID_STR_LEN];
    uuid_unparse_lower(peer, text);
    int rc = tide__begin(sync, TIDE__APPLY);
    return rc != TIDE_OK
               ? rc
               : tide__end(sync, tide__sql_run_made(
                                     sync->db,
                                     sqlite3_mprintf("UPDATE main.tidemark_peers SET contact = %lld "
                                                     "WHERE uuid = %Q",
                                                     (long long)tide__now(sync), text),
                                     &sync->detail));
}

/* ---- the list ----------------------------------------------------------------------------------- */

/* All of them, to be freed, so that no statement is open while somebody is told. */
static int load_peers(tide_sync *sync, tide_peer **out, size_t *count)
{
    sqlite3_stmt *statement = NULL;
    tide_peer *peers = NULL;
    *count = 0;
    int rc = tide__sql_prepare(
        sync->db, "SELECT uuid, epoch, since, contact FROM main.tidemark_peers ORDER BY uuid",
        &statement, &sync->detail);
    while (rc == TIDE_OK && (rc = tide__sql_step(statement, &sync->detail)) == TIDE_OK) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        tide_peer *larger = tide__realloc(peers, (*count + 1) * sizeof *peers);
        if (larger == NULL) {
            rc = TIDE_ENOMEM;
            break;
        }
        peers = larger;
        tide_peer *peer = &peers[*count];
        *peer = (tide_peer){.size = sizeof *peer,
                            .epoch = sqlite3_column_int64(statement, 1),
                            .since = sqlite3_column_int64(statement, 2),
                            .contact = sqlite3_column_int64(statement, 3)};
        peer->contact = peer->contact == 0 ? TIDE_TIME_NONE : peer->contact;
        if (text == NULL || uuid_parse(text, peer->device) != 0) {
            rc = tide__fail(&sync->detail, TIDE_ECORRUPT, "tidemark_peers holds no device id");
            break;
        }
        ++*count;
    }
    (void)sqlite3_finalize(statement);
    if (rc != TIDE_ABSENT) {
        tide__free(peers);
        return rc;
    }
    *out = peers;
    return TIDE_OK;
}

int tide_sync_peers(tide_sync *sync, tide_peer_fn *fn, void *ctx)
{
    tide_peer *peers = NULL;
    size_t count = 0;
    if (sync == NULL || fn == NULL) {
        return TIDE_EINVAL;
    }
    int rc = load_peers(sync, &peers, &count);
    for (size_t i = 0; rc == TIDE_OK && i < count; i++) {
        rc = fn(ctx, &peers[i]);
    }
    tide__free(peers);
    return rc;
}

int tide_sync_remove_peer(tide_sync *sync, const uuid_t peer)
{
    char text[UUID_STR_LEN];
    tide_time epoch = 0;
    if (sync == NULL || peer == NULL || sync->marks == NULL) {
        return TIDE_EINVAL;
    }
    uuid_unparse_lower(peer, text);
    int rc = find_peer(sync, text, &epoch);
    if (rc == TIDE_OK) {
        rc = tide__begin(sync, TIDE__WRITE);
    }
    if (rc == TIDE_OK) {
        rc = tide__end(sync, tide__sql_run_made(
                                 sync->db,
                                 sqlite3_mprintf("DELETE FROM main.tidemark_peers WHERE uuid = %Q;"
                                                 "DELETE FROM main.tidemark_reads WHERE peer = %Q;"
                                                 "DELETE FROM main.tidemark_listed WHERE peer = %Q",
                                                 text, text, text),
                                 &sync->detail));
    }
    return rc == TIDE_OK ? tide__marks_failed(sync, tide_watermarks_delete_acks(sync->marks, peer))
                         : rc;
}

/* ---- pruning ------------------------------------------------------------------------------------ */

/* Up to where all registered peers have our feed of a model; TIDE_TIME_NONE: one has nothing. */
static int least_ack(tide_sync *sync, const tide__model *m, const tide_peer *peers, size_t count,
                     tide_time *out)
{
    *out = TIDE_TIME_MAX;
    for (size_t i = 0; i < count; i++) {
        tide_time ack = TIDE_TIME_NONE;
        int rc = tide__peer_acked(sync, peers[i].device, m, &ack);
        if (rc != TIDE_OK) {
            return rc;
        }
        *out = ack < *out ? ack : *out;
    }
    return TIDE_OK;
}

/* Inside a transaction. The newest stamp must not fall, so where it is one of those that go,
 * `pruned` keeps it. */
static int prune_model(tide_sync *sync, const tide__model *m, tide_time upto, uint64_t *pruned)
{
    const char *r = m->resource;
    int rc = tide__parked_prune(sync, m, upto);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = tide__sql_run_made(
        sync->db,
        sqlite3_mprintf("UPDATE main.tidemark_resources SET pruned = max(pruned, ifnull((SELECT "
                        "max(stamp) FROM main.\"tidemark_%w_gone\" WHERE stamp <= %lld), 0)) WHERE "
                        "resource = %Q;"
                        "UPDATE main.tidemark_state SET floor = max(floor, (SELECT pruned FROM "
                        "main.tidemark_resources WHERE resource = %Q));",
                        r, (long long)upto, r, r),
        &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_run_made(sync->db,
                                sqlite3_mprintf("DELETE FROM main.\"tidemark_%w_gone\" WHERE "
                                                "stamp <= %lld",
                                                r, (long long)upto),
                                &sync->detail);
    }
    *pruned += rc == TIDE_OK ? (uint64_t)sqlite3_changes(sync->db) : 0;
    return rc;
}

static int prune_all(tide_sync *sync, const tide_peer *peers, size_t count, uint64_t *pruned)
{
    int rc = tide__history_load(sync);
    for (size_t i = 0; rc == TIDE_OK && !sync->recovering && i < sync->model_count; i++) {
        tide_time upto = TIDE_TIME_NONE;
        rc = least_ack(sync, sync->models[i], peers, count, &upto);
        if (rc == TIDE_OK && upto != TIDE_TIME_NONE) {
            rc = prune_model(sync, sync->models[i], upto, pruned);
        }
    }
    return rc;
}

int tide_sync_prune(tide_sync *sync, uint64_t *pruned)
{
    tide_peer *peers = NULL;
    size_t count = 0;
    uint64_t all = 0;
    if (sync == NULL || sync->marks == NULL) {
        return TIDE_EINVAL;
    }
    int rc = tide__history_check(sync);
    if (rc == TIDE_OK) {
        rc = tide__begin(sync, TIDE__WRITE);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = load_peers(sync, &peers, &count);
    if (rc == TIDE_OK) {
        rc = prune_all(sync, peers, count, &all);
    }
    rc = tide__end(sync, rc);
    tide__free(peers);
    if (rc == TIDE_OK && pruned != NULL) {
        *pruned = all;
    }
    return rc;
}
