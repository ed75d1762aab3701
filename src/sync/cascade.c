/* cascade.c - rows that go with the row they refer to; see cascade.h. */
#include "sync/cascade.h"

#include <string.h>

#include "sync/transaction.h"
#include "sync/trigger.h"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS main.tidemark_swept (\n"
    "    resource TEXT NOT NULL,\n"
    "    parent TEXT NOT NULL,  -- the column\n"
    "    gone INTEGER NOT NULL, -- stamp of the parents' newest tombstone,\n"
    "    live INTEGER NOT NULL, -- and of the newest child, looked at\n"
    "    PRIMARY KEY (resource, parent)\n"
    ") WITHOUT ROWID";

/* A model and one of its parents, which is a registered model or the same one. */
typedef struct relation {
    const tide__model *child;
    const tide__model *parent;
    const char *column;
} relation;

static bool find_relation(const tide_sync *sync, const tide__model *m, size_t i, relation *out)
{
    const tide__parent *p = &m->parents[i];
    *out = (relation){.child = m, .column = p->column};
    out->parent = strcmp(p->resource, m->resource) == 0
                      ? m
                      : tide__model_find(sync, p->resource, strlen(p->resource));
    return out->parent != NULL;
}

/* ---- triggers ----------------------------------------------------------------------------------- */

/* Whether the child in question is ours to delete, as the end of a WHERE on its table. */
static char *ours_sql(const tide__model *m)
{
    return m->ownership == TIDE_SHARED
               ? sqlite3_mprintf("")
               : sqlite3_mprintf(" AND EXISTS (SELECT 1 FROM \"tidemark_%w_rows\" r WHERE "
                                 "r.row = \"%w\".\"%w\" AND r.device = 0)",
                                 m->resource, m->table, m->row);
}

/* What is below OLD in a table whose rows refer to each other. */
static char *below_sql(const relation *r)
{
    const tide__model *m = r->child;
    return sqlite3_mprintf("\"%w\" IN (WITH RECURSIVE below(key) AS (SELECT OLD.\"%w\" UNION "
                           "SELECT t.\"%w\" FROM below JOIN \"%w\" t ON t.\"%w\" = below.key) "
                           "SELECT key FROM below)",
                           m->key, m->key, m->key, m->table, r->column);
}

static char *trigger_sql(const relation *r, size_t i)
{
    const tide__model *c = r->child;
    const tide__model *p = r->parent;
    sqlite3_str *s = sqlite3_str_new(NULL);
    char *ours = ours_sql(c);
    char *which = p == c ? below_sql(r) : sqlite3_mprintf("\"%w\" = OLD.\"%w\"", r->column, p->key);
    if (ours != NULL && which != NULL) {
        sqlite3_str_appendf(s,
                            "CREATE TRIGGER \"tidemark_%w_cascade_%d\" AFTER DELETE ON \"%w\" WHEN "
                            "(SELECT applying FROM tidemark_state) = 0 AND "
                            "EXISTS (SELECT 1 FROM \"%w\" WHERE \"%w\" = OLD.\"%w\") AND "
                            "NOT EXISTS (SELECT 1 FROM \"%w\" WHERE \"%w\" = OLD.\"%w\")\nBEGIN\n"
                            "  DELETE FROM \"%w\" WHERE %s%s;\nEND",
                            c->resource, (int)i, p->table, c->table, r->column, p->key, p->table,
                            p->key, p->key, c->table, which, ours);
    }
    sqlite3_free(ours);
    sqlite3_free(which);
    return sqlite3_str_finish(s);
}

/* An index that begins with the column, if the table has none. */
static int make_index(tide_sync *sync, const relation *r)
{
    const tide__model *m = r->child;
    int rc = tide__sql_exists(
        sync->db,
        sqlite3_mprintf("SELECT 1 FROM pragma_index_list(%Q, 'main') l JOIN "
                        "pragma_index_info(l.name, 'main') i ON i.seqno = 0 WHERE NOT l.partial "
                        "AND i.name = %Q COLLATE NOCASE",
                        m->table, r->column),
        &sync->detail);
    return rc == TIDE_ABSENT
               ? tide__sql_run_made(
                     sync->db,
                     sqlite3_mprintf("CREATE INDEX main.\"tidemark_%w_%w\" ON \"%w\"(\"%w\")",
                                     m->resource, r->column, m->table, r->column),
                     &sync->detail)
               : rc;
}

static int install_one(tide_sync *sync, const tide__model *m, size_t i)
{
    char name[] = "cascade_0";
    relation r;
    if (!find_relation(sync, m, i, &r)) {
        return tide__fail(&sync->detail, TIDE_EMODEL,
                          "model %s: its parent %s is not registered before it", m->resource,
                          m->parents[i].resource);
    }
    name[sizeof name - 2] = (char)('0' + i);
    int rc = m->parents[i].no_index ? TIDE_OK : make_index(sync, &r);
    return rc == TIDE_OK ? tide__trigger_replace(sync, m, name, trigger_sql(&r, i)) : rc;
}

int tide__cascade_install(tide_sync *sync, const tide__model *m)
{
    int rc = m->parent_count > 0 ? tide__sql_run(sync->db, schema, &sync->detail) : TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < TIDE_PARENTS_MAX; i++) {
        rc = i < m->parent_count
                 ? install_one(sync, m, i)
                 : tide__sql_run_made(
                       sync->db,
                       sqlite3_mprintf("DROP TRIGGER IF EXISTS main.\"tidemark_%w_cascade_%d\"",
                                       m->resource, (int)i),
                       &sync->detail);
    }
    return rc;
}

/* ---- sweeping ----------------------------------------------------------------------------------- */

/* How far the sweeps have got, and how far there is to go. */
typedef struct reach {
    sqlite3_int64 gone, live;
    sqlite3_int64 gone_head, live_head;
} reach;

static int prepare_reach(tide_sync *sync, const relation *r, sqlite3_stmt **out)
{
    return tide__sql_prepare_made(
        sync->db,
        sqlite3_mprintf("SELECT ifnull(s.gone, 0), ifnull(s.live, 0), "
                        "ifnull((SELECT max(stamp) FROM main.\"tidemark_%w_gone\"), 0), "
                        "ifnull((SELECT max(stamp) FROM main.\"tidemark_%w_rows\"), 0) "
                        "FROM (SELECT 1) LEFT JOIN main.tidemark_swept s "
                        "ON s.resource = %Q AND s.parent = %Q",
                        r->parent->resource, r->child->resource, r->child->resource, r->column),
        out, &sync->detail);
}

/* At the end of each round, so the statement is kept. */
static int find_reach(tide_sync *sync, const relation *r, sqlite3_stmt **statement, reach *out)
{
    int rc = *statement == NULL ? prepare_reach(sync, r, statement) : TIDE_OK;
    if (rc == TIDE_OK) {
        rc = tide__sql_step(*statement, &sync->detail);
    }
    if (rc == TIDE_OK) {
        *out = (reach){sqlite3_column_int64(*statement, 0), sqlite3_column_int64(*statement, 1),
                       sqlite3_column_int64(*statement, 2), sqlite3_column_int64(*statement, 3)};
        (void)sqlite3_reset(*statement);
    }
    return rc;
}

/* Runs a deletion and counts its rows; those that go with them are not counted. Rows that the table
 * does not let go stay, and the reach stays where it is. */
static int sweep_by(tide_sync *sync, char *sql, uint64_t *count, bool *refused)
{
    int rc = tide__sql_run_made(sync->db, sql, &sync->detail);
    if (rc == TIDE_OK) {
        *count += (uint64_t)sqlite3_changes(sync->db);
    } else if (rc == TIDE_ECONSTRAINT && sqlite3_get_autocommit(sync->db) == 0) {
        *refused = true;
        rc = TIDE_OK;
    }
    return rc;
}

static int sweep(tide_sync *sync, const relation *r, const reach *at, uint64_t *count)
{
    const tide__model *c = r->child;
    const char *p = r->parent->resource;
    bool refused = false;
    char *ours = ours_sql(c);
    if (ours == NULL) {
        return TIDE_ENOMEM;
    }
    int rc = TIDE_OK;
    if (at->gone < at->gone_head) {
        rc = sweep_by(sync,
                      sqlite3_mprintf("DELETE FROM main.\"%w\" WHERE \"%w\" IN (SELECT key FROM "
                                      "main.\"tidemark_%w_gone\" WHERE stamp > %lld)%s",
                                      c->table, r->column, p, at->gone, ours),
                      count, &refused);
    }
    if (rc == TIDE_OK && at->live < at->live_head && at->gone_head > 0) {
        /* CROSS JOIN: what is new is walked, and looked up in the others. */
        rc = sweep_by(sync,
                      sqlite3_mprintf("DELETE FROM main.\"%w\" WHERE \"%w\" IN (SELECT n.row FROM "
                                      "main.\"tidemark_%w_rows\" n CROSS JOIN main.\"%w\" t ON "
                                      "t.\"%w\" = n.row CROSS JOIN main.\"tidemark_%w_gone\" g ON "
                                      "g.key = t.\"%w\" WHERE n.stamp > %lld%s)",
                                      c->table, c->row, c->resource, c->table, c->row, p, r->column,
                                      at->live,
                                      c->ownership == TIDE_SHARED ? "" : " AND n.device = 0"),
                      count, &refused);
    }
    sqlite3_free(ours);
    return rc == TIDE_OK && !refused
               ? tide__sql_run_made(
                     sync->db,
                     sqlite3_mprintf("INSERT OR REPLACE INTO main.tidemark_swept VALUES "
                                     "(%Q, %Q, %lld, %lld)",
                                     c->resource, r->column, at->gone_head, at->live_head),
                     &sync->detail)
               : rc;
}

/* Whether anything is new to a sweep; with `counts` it is swept, and counted by place. */
static int look(tide_sync *sync, bool *due, uint64_t *counts)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < sync->model_count; i++) {
        tide__model *m = sync->models[i];
        for (size_t j = 0; rc == TIDE_OK && j < m->parent_count; j++) {
            relation r;
            reach at;
            (void)find_relation(sync, m, j, &r); /* it was there when `m` was registered */
            rc = find_reach(sync, &r, &m->parents[j].reach, &at);
            bool new = rc == TIDE_OK && (at.gone < at.gone_head || at.live < at.live_head);
            *due = *due || new;
            if (new &&counts != NULL) {
                rc = sweep(sync, &r, &at, &counts[i]);
            }
        }
    }
    return rc;
}

int tide__cascade_settle(tide_sync *sync)
{
    uint64_t counts[TIDE_MODELS_MAX] = {0};
    bool due = false;
    int rc = look(sync, &due, NULL);
    if (rc != TIDE_OK || !due) {
        return rc;
    }
    rc = tide__begin(sync, TIDE__APPLY);
    if (rc == TIDE_OK) {
        rc = tide__end(sync, look(sync, &due, counts));
    }
    for (size_t i = 0; rc == TIDE_OK && i < sync->model_count; i++) {
        if (counts[i] > 0) {
            tide__tell_changed(sync, NULL, sync->models[i], counts[i]);
        }
    }
    return rc == TIDE_ECONSTRAINT ? TIDE_OK : rc; /* at commit: the next round tries again */
}
