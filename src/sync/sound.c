/* sound.c - the engine's own tables looked at when they are opened; see sound.h. */
#include "sync/sound.h"

#include "base/alloc.h"

#define IS(column) "typeof(" column ") IS 'integer'"
#define MAY_BE(column) "typeof(" column ") IN ('integer', 'null')"
#define TABLE(name, sound) "SELECT '" name "' FROM main." name " WHERE NOT (" sound ")"

/* The epoch is an instant; the smallest and the largest number stand for none and for all. */
static const char unsound[] =
    TABLE("tidemark_state", IS("epoch") " AND epoch NOT IN (-9223372036854775807 - 1, 9223372036854775807) AND " IS("floor") " AND " IS("applying") " AND " IS("recovering") " AND " IS("noted")) " UNION ALL " TABLE("tidemark_devices", IS("epoch")) " UNION ALL " TABLE(
        "tidemark_epochs",
        IS("ended")) " UNION ALL " TABLE("tidemark_resources",
                                         IS("pruned") " AND " IS("summed") " AND " IS("count") " AND " IS("high") " AND " IS(
                                             "low")) " UNION ALL " TABLE("tidemark_peers",
                                                                         IS("epoch") " AND " IS("since") " AND " IS(
                                                                             "contact")) " UNION ALL " TABLE("tidemark_reads",
                                                                                                             IS("epoch") " AND " IS("generation") " AND " MAY_BE("bound") " AND " MAY_BE("upto") " AND " IS(
                                                                                                                 "listing") " AND " IS("sweeping")) " UNION ALL " TABLE("tidemark_levels",
                                                                                                                                                                        IS("epoch") " AND " IS(
                                                                                                                                                                            "stamp"));

int tide__sound(tide_sync *sync)
{
    sqlite3_stmt *statement = NULL;
    int rc = tide__sql_prepare(sync->db, unsound, &statement, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    if (rc == TIDE_OK) {
        rc = tide__fail(&sync->detail, TIDE_ECORRUPT, "%s holds what is no number or no time",
                        (const char *)sqlite3_column_text(statement, 0));
    }
    (void)sqlite3_finalize(statement);
    return rc == TIDE_ABSENT ? TIDE_OK : rc;
}
