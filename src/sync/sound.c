/* sound.c - the engine's own tables looked at when they are opened; see sound.h. */
#include "sync/sound.h"

#define COLUMNS_MOST 9
#define LAST_NUMBER (INT64_MAX - (1 << 20)) /* behind it there is no room for a later one */

/* The columns that hold a whole number, in tables with a row for a device, a resource or a life. */
static const struct table {
    const char *name;
    const char *columns[COLUMNS_MOST];
} tables[] = {
    {"tidemark_state",
     {"epoch", "floor", "applying", "recovering", "noted", "life", "shown", "until", "forgotten"}},
    {"tidemark_devices", {"life"}},
    {"tidemark_lives", {"life", "ended"}},
    {"tidemark_resources", {"pruned", "summed", "count", "high", "low"}},
    {"tidemark_peers", {"epoch", "since", "contact"}},
    {"tidemark_reads",
     {"epoch", "generation", "ifnull(bound, 0)", "ifnull(upto, 0)", "listing", "sweeping"}},
    {"tidemark_levels", {"epoch", "life", "stamp"}},
    {"tidemark_followed", {"life", "head", "source"}},
};

/* Each table's name, if a row of it is not as it should be. An epoch and a life have room for
 * later ones. */
static char *unsound_sql(void)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        sqlite3_str_appendf(s, "SELECT '%s' FROM main.%s WHERE 0", tables[t].name, tables[t].name);
        for (int c = 0; c < COLUMNS_MOST && tables[t].columns[c] != NULL; c++) {
            sqlite3_str_appendf(s, " OR typeof(%s) <> 'integer'", tables[t].columns[c]);
        }
        sqlite3_str_appendall(s, " UNION ALL ");
    }
    sqlite3_str_appendf(
        s,
        "SELECT 'tidemark_state' FROM main.tidemark_state WHERE epoch NOT BETWEEN %lld AND %lld OR life NOT BETWEEN 0 AND %lld",
        -LAST_NUMBER, LAST_NUMBER, LAST_NUMBER);
    return sqlite3_str_finish(s);
}

int tide__sound(tide_sync *sync)
{
    sqlite3_stmt *statement = NULL;
    int rc = tide__sql_prepare_made(sync->db, unsound_sql(), &statement, &sync->detail);
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
