/* model.c - a registered model; see model.h. */
#include "sync/model.h"

#include <string.h>

#include "sync/capture.h"

#include "base/alloc.h"

/* ---- copying and checking ----------------------------------------------------------------------- */

static bool resource_ok(const char *name)
{
    size_t length = name == NULL ? 0 : strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return length > 0 && length <= TIDE_MODEL_NAME_MAX && name[length] == '\0';
}

static bool identifier_ok(const char *name)
{
    return name != NULL && *name != '\0' &&
           strnlen(name, TIDE_IDENTIFIER_MAX + 1) <= TIDE_IDENTIFIER_MAX;
}

/* Whether a name is among others. */
static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Of a model whose names are sound. */
static int check_parents(tide_sync *sync, const tide_model *m)
{
    if (m->parent_count > TIDE_PARENTS_MAX) {
        return tide__fail(&sync->detail, TIDE_ELIMIT, "model %s: too many parents", m->resource);
    }
    if (m->parents == NULL && m->parent_count > 0) {
        return tide__fail(&sync->detail, TIDE_EINVAL, "model %s: NULL for parents", m->resource);
    }
    for (size_t i = 0; i < m->parent_count; i++) {
        const tide_parent *p = &m->parents[i];
        if (p->no_index > 1) {
            return tide__fail(&sync->detail, TIDE_EINVAL, "model %s: no_index of parent %zu is %u",
                              m->resource, i, p->no_index);
        }
        if (p->column == NULL || !is_among(p->column, m->columns, m->column_count)) {
            return tide__fail(&sync->detail, TIDE_EINVAL,
                              "model %s: parent %zu is in none of its columns", m->resource, i);
        }
        if (p->resource == NULL || (strcmp(p->resource, m->resource) != 0 &&
                                    !is_among(p->resource, m->depends_on, m->depends_on_count))) {
            return tide__fail(&sync->detail, TIDE_EINVAL,
                              "model %s: it does not depend on the resource of parent %zu",
                              m->resource, i);
        }
    }
    return TIDE_OK;
}

static int check_shape(tide_sync *sync, const tide_model *m)
{
    const char *resource = m->resource;
    if (m->size != sizeof *m || m->ownership > TIDE_SHARED) {
        return tide__fail(&sync->detail, TIDE_EINVAL, "model: wrong size or ownership");
    }
    if (!resource_ok(resource)) {
        return tide__fail(&sync->detail, TIDE_EINVAL,
                          "model: a resource is 1 to %d of a-z, 0-9 and '_'", TIDE_MODEL_NAME_MAX);
    }
    if (!identifier_ok(m->table) || !identifier_ok(m->key)) {
        return tide__fail(&sync->detail, TIDE_EINVAL,
                          "model %s: table or key is missing or too long", resource);
    }
    if ((m->columns == NULL && m->column_count > 0) ||
        (m->depends_on == NULL && m->depends_on_count > 0)) {
        return tide__fail(&sync->detail, TIDE_EINVAL, "model %s: NULL for columns or depends_on",
                          resource);
    }
    if (m->column_count > TIDE_COLUMNS_MAX || m->depends_on_count > TIDE_DEPENDENCIES_MAX) {
        return tide__fail(&sync->detail, TIDE_ELIMIT, "model %s: too many columns or dependencies",
                          resource);
    }
    for (size_t i = 0; i < m->column_count; i++) {
        if (!identifier_ok(m->columns[i])) {
            return tide__fail(&sync->detail, TIDE_EINVAL,
                              "model %s: the name of column %zu is missing or too long", resource,
                              i);
        }
        if (sqlite3_stricmp(m->columns[i], m->key) == 0) {
            return tide__fail(&sync->detail, TIDE_EINVAL,
                              "model %s: the key %s travels anyhow, it is no column", resource,
                              m->key);
        }
        for (size_t j = 0; j < i; j++) {
            if (sqlite3_stricmp(m->columns[i], m->columns[j]) == 0) {
                return tide__fail(&sync->detail, TIDE_EINVAL, "model %s: column %s is named twice",
                                  resource, m->columns[i]);
            }
        }
    }
    for (size_t i = 0; i < m->depends_on_count; i++) {
        if (!resource_ok(m->depends_on[i])) {
            return tide__fail(&sync->detail, TIDE_EINVAL, "model %s: dependency %zu is no resource",
                              resource, i);
        }
    }
    return check_parents(sync, m);
}

static char **copy_names(const char *const *names, size_t count)
{
    char **copy = tide__calloc(count == 0 ? 1 : count, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = tide__strdup(names[i]);
        if (copy[i] == NULL) {
            while (i > 0) {
                tide__free(copy[--i]);
            }
            tide__free(copy);
            copy = NULL;
        }
    }
    return copy;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; names != NULL && i < count; i++) {
        tide__free(names[i]);
    }
    tide__free(names);
}

static bool copy_parents(tide__model *m, const tide_model *model)
{
    for (size_t i = 0; i < model->parent_count; i++) {
        tide__parent *p = &m->parents[m->parent_count++];
        p->column = tide__strdup(model->parents[i].column);
        p->resource = tide__strdup(model->parents[i].resource);
        p->no_index = model->parents[i].no_index != 0;
        if (p->column == NULL || p->resource == NULL) {
            return false;
        }
    }
    return true;
}

void tide__model_free(tide__model *m)
{
    if (m == NULL) {
        return;
    }
    for (int i = 0; i < TIDE__STATEMENTS; i++) {
        (void)sqlite3_finalize(m->statements[i]);
    }
    free_names(m->columns, m->column_count);
    free_names(m->depends_on, m->depends_on_count);
    for (size_t i = 0; i < m->parent_count; i++) {
        tide__free(m->parents[i].column);
        tide__free(m->parents[i].resource);
        (void)sqlite3_finalize(m->parents[i].reach);
    }
    tide__free(m->resource);
    tide__free(m->table);
    tide__free(m->key);
    tide__free(m->row);
    tide__free(m);
}

/* Runs a query made by sqlite3_mprintf for its first column. TIDE_OK: *out is a copy, or NULL for
 * NULL; TIDE_ABSENT: no row. */
static int ask(tide_sync *sync, char *sql, char **out)
{
    sqlite3_stmt *statement = NULL;
    *out = NULL;
    int rc = tide__sql_prepare_made(sync->db, sql, &statement, &sync->detail);
    if (rc == TIDE_OK) {
        rc = tide__sql_step(statement, &sync->detail);
    }
    if (rc == TIDE_OK && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        *out = text == NULL ? NULL : tide__strdup(text);
        rc = *out == NULL ? TIDE_ENOMEM : TIDE_OK;
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

/* TIDE_OK if the query has a row, else TIDE_EMODEL with the given words. */
static int require(tide_sync *sync, const tide_model *m, char *sql, const char *name,
                   const char *words)
{
    char *value = NULL;
    int rc = ask(sync, sql, &value);
    tide__free(value);
    return rc != TIDE_ABSENT ? rc
                             : tide__fail(&sync->detail, TIDE_EMODEL, "model %s: %s.%s %s",
                                          m->resource, m->table, name, words);
}

static int check_table(tide_sync *sync, const tide_model *m, char **row)
{
    char *type = NULL;
    int rc = ask(sync,
                 sqlite3_mprintf("SELECT type || CASE WHEN wr THEN ' without rowid' ELSE '' END "
                                 "FROM pragma_table_list WHERE schema = 'main' AND "
                                 "name = %Q COLLATE NOCASE",
                                 m->table),
                 &type);
    if (rc == TIDE_ABSENT || (rc == TIDE_OK && (type == NULL || strcmp(type, "table") != 0))) {
        rc = tide__fail(&sync->detail, TIDE_EMODEL, "model %s: %s is %s, not an ordinary table",
                        m->resource, m->table, type == NULL ? "not there" : type);
    }
    tide__free(type);
    if (rc != TIDE_OK) {
        return rc;
    }
    rc = ask(sync,
             /* One that is not the row number itself (INTEGER PRIMARY KEY DESC) has an index. */
             sqlite3_mprintf("SELECT max(name) FROM pragma_table_info(%Q, 'main') WHERE pk > 0 "
                             "HAVING count(*) = 1 AND upper(max(type)) = 'INTEGER' AND NOT EXISTS "
                             "(SELECT 1 FROM pragma_index_list(%Q, 'main') WHERE origin = 'pk')",
                             m->table, m->table),
             row);
    if (rc == TIDE_ABSENT) {
        rc = tide__fail(&sync->detail, TIDE_EMODEL,
                        "model %s: %s needs an INTEGER PRIMARY KEY, or VACUUM renumbers its rows",
                        m->resource, m->table);
    }
    return rc;
}

/* Keys are compared byte by byte on every device, so they must be here too. */
static int check_collation(tide_sync *sync, const tide_model *m)
{
    const char *collation = NULL;
    if (sqlite3_table_column_metadata(sync->db, "main", m->table, m->key, NULL, &collation, NULL,
                                      NULL, NULL) != SQLITE_OK) {
        return tide__sql_fail(sync->db, m->table, &sync->detail);
    }
    return sqlite3_stricmp(collation, "BINARY") == 0
               ? TIDE_OK
               : tide__fail(&sync->detail, TIDE_EMODEL,
                            "model %s: %s.%s has collation %s, not BINARY", m->resource, m->table,
                            m->key, collation);
}

static int check_columns(tide_sync *sync, const tide_model *m, const char *row)
{
    int rc = require(
        sync, m,
        sqlite3_mprintf("SELECT 1 FROM pragma_table_info(%Q, 'main') WHERE name = %Q COLLATE "
                        "NOCASE AND \"notnull\" AND name <> %Q COLLATE NOCASE",
                        m->table, m->key, row),
        m->key, "must be a NOT NULL column other than the primary key");
    if (rc == TIDE_OK) {
        rc = require(sync, m,
                     sqlite3_mprintf(
                         "SELECT 1 FROM pragma_index_list(%Q, 'main') l WHERE l.\"unique\" AND NOT "
                         "l.partial AND (SELECT count(*) = 1 AND max(i.name) = %Q COLLATE "
                         "NOCASE FROM pragma_index_info(l.name, 'main') i)",
                         m->table, m->key),
                     m->key, "must be UNIQUE on its own");
    }
    if (rc == TIDE_OK) {
        rc = check_collation(sync, m);
    }
    for (size_t i = 0; rc == TIDE_OK && i < m->column_count; i++) {
        rc = require(
            sync, m,
            sqlite3_mprintf("SELECT 1 FROM pragma_table_xinfo(%Q, 'main') WHERE name = %Q COLLATE "
                            "NOCASE AND hidden = 0 AND name <> %Q COLLATE NOCASE",
                            m->table, m->columns[i], row),
            m->columns[i], "is not a column that can travel");
    }
    return rc;
}

int tide__model_make(tide_sync *sync, const tide_model *model, tide__model **out)
{
    char *row = NULL;
    int rc = check_shape(sync, model);
    if (rc == TIDE_OK) {
        rc = check_table(sync, model, &row);
    }
    if (rc == TIDE_OK) {
        rc = check_columns(sync, model, row);
    }
    tide__model *m = rc == TIDE_OK ? tide__calloc(1, sizeof *m) : NULL;
    if (m == NULL) {
        tide__free(row);
        return rc == TIDE_OK ? TIDE_ENOMEM : rc;
    }
    m->ownership = model->ownership;
    m->row = row;
    m->resource = tide__strdup(model->resource);
    m->table = tide__strdup(model->table);
    m->key = tide__strdup(model->key);
    m->columns = copy_names(model->columns, model->column_count);
    m->column_count = m->columns == NULL ? 0 : model->column_count;
    m->depends_on = copy_names(model->depends_on, model->depends_on_count);
    m->depends_on_count = m->depends_on == NULL ? 0 : model->depends_on_count;
    if (m->resource == NULL || m->table == NULL || m->key == NULL || m->columns == NULL ||
        m->depends_on == NULL || !copy_parents(m, model)) {
        tide__model_free(m);
        return TIDE_ENOMEM;
    }
    *out = m;
    return TIDE_OK;
}

/* ---- statements --------------------------------------------------------------------------------- */

/* Appends `format` for each column's name. */
static void append_columns(sqlite3_str *s, const tide__model *m, const char *format)
{
    for (size_t i = 0; i < m->column_count; i++) {
        sqlite3_str_appendf(s, format, m->columns[i]);
    }
}

static char *feed_live_sql(const tide__model *m)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    sqlite3_str_appendf(
        s, "SELECT r.stamp, ifnull(r.version, r.stamp), r.device, r.source, t.\"%w\"", m->key);
    append_columns(s, m, ", t.\"%w\"");
    /* CROSS JOIN: SQLite shall walk the stamps and look up the rows, not the other way round. */
    sqlite3_str_appendf(
        s,
        " FROM main.\"tidemark_%w_rows\" r CROSS JOIN main.\"%w\" t ON t.\"%w\" = r.row "
        "WHERE r.stamp > ?1 ORDER BY r.stamp",
        m->resource, m->table, m->row);
    return sqlite3_str_finish(s);
}

static char *insert_sql(const tide__model *m)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    sqlite3_str_appendf(s, "INSERT OR ABORT INTO main.\"%w\" (\"%w\"", m->table, m->key);
    append_columns(s, m, ", \"%w\"");
    sqlite3_str_appendf(s, ") VALUES (?1");
    for (size_t i = 0; i < m->column_count; i++) {
        sqlite3_str_appendf(s, ", ?%d", (int)i + 2);
    }
    sqlite3_str_appendf(s, ")");
    return sqlite3_str_finish(s);
}

/* ?1 is the row number, so that the values have the same places as in the insert. */
static char *update_sql(const tide__model *m)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    sqlite3_str_appendf(s, "UPDATE OR ABORT main.\"%w\" SET ", m->table);
    for (size_t i = 0; i < m->column_count; i++) {
        sqlite3_str_appendf(s, "%s\"%w\" = ?%d", i == 0 ? "" : ", ", m->columns[i], (int)i + 2);
    }
    if (m->column_count == 0) {
        sqlite3_str_appendf(s, "\"%w\" = \"%w\"", m->key, m->key);
    }
    sqlite3_str_appendf(s, " WHERE \"%w\" = ?1", m->row);
    return sqlite3_str_finish(s);
}

static char *next_sql(const tide__model *m)
{
    char *next = tide__capture_next(m, "main.");
    char *sql = next == NULL ? NULL : sqlite3_mprintf("SELECT %s", next);
    sqlite3_free(next);
    return sql;
}

static char *digest_sql(const tide__model *m, int which)
{
    const char *r = m->resource;
    switch (which) {
    case TIDE__SUM_KEPT:
        return sqlite3_mprintf("SELECT summed, count, high, low, "
                               "EXISTS (SELECT 1 FROM main.\"tidemark_%w_was\") OR "
                               "EXISTS (SELECT 1 FROM main.\"tidemark_%w_rows\" "
                               "WHERE stamp > summed) "
                               "FROM main.tidemark_resources WHERE resource = %Q",
                               r, r, r);
    case TIDE__SUM_NEW:
        return sqlite3_mprintf("SELECT key, ifnull(version, stamp), device FROM "
                               "main.\"tidemark_%w_rows\" WHERE stamp > ?1",
                               r);
    case TIDE__SUM_WAS:
        return sqlite3_mprintf("SELECT key, version, device FROM main.\"tidemark_%w_was\"", r);
    case TIDE__SUM_KEEP:
        return sqlite3_mprintf("UPDATE main.tidemark_resources SET count = ?1, high = ?2, low = ?3, "
                               "summed = ?4 WHERE resource = %Q",
                               r);
    case TIDE__SUM_FORGET:
        return sqlite3_mprintf("DELETE FROM main.\"tidemark_%w_was\"", r);
    default:
        return NULL;
    }
}

/* What is asked of the records as a whole. */
static char *question_sql(const tide__model *m, int which)
{
    const char *r = m->resource;
    switch (which) {
    case TIDE__UNSEEN:
        return sqlite3_mprintf(
            "SELECT 1 FROM main.tidemark_resources WHERE resource = %Q AND (pruned > ?1 OR EXISTS "
            "(SELECT 1 FROM main.\"tidemark_%w_rows\" WHERE stamp > ?1 AND source <> ?2) OR EXISTS "
            "(SELECT 1 FROM main.\"tidemark_%w_gone\" WHERE stamp > ?1 AND source <> ?2))",
            r, r, r);
    case TIDE__COUNT:
        return sqlite3_mprintf("SELECT (SELECT count(*) FROM main.\"%w\"), "
                               "(SELECT count(*) FROM main.\"tidemark_%w_gone\")",
                               m->table, r);
    case TIDE__BEHIND:
        return sqlite3_mprintf(
            "SELECT (SELECT count(*) FROM main.\"tidemark_%w_rows\" WHERE stamp > ?1) + "
            "(SELECT count(*) FROM main.\"tidemark_%w_gone\" WHERE stamp > ?1)",
            r, r);
    default:
        return digest_sql(m, which);
    }
}

static char *statement_sql(const tide__model *m, int which)
{
    const char *r = m->resource;
    switch (which) {
    case TIDE__FEED_LIVE:
        return feed_live_sql(m);
    case TIDE__FEED_GONE:
        return sqlite3_mprintf("SELECT stamp, ifnull(version, stamp), device, source, key FROM "
                               "main.\"tidemark_%w_gone\" WHERE stamp > ?1 ORDER BY stamp",
                               r);
    case TIDE__HEAD:
        return sqlite3_mprintf(
            "SELECT max(ifnull((SELECT max(stamp) FROM main.\"tidemark_%w_rows\"), 0), "
            "ifnull((SELECT max(stamp) FROM main.\"tidemark_%w_gone\"), 0), pruned), pruned FROM "
            "main.tidemark_resources WHERE resource = %Q",
            r, r, r);
    case TIDE__NEXT:
        return next_sql(m);
    case TIDE__FIND:
        return sqlite3_mprintf(
            "SELECT t.\"%w\", ifnull(r.version, r.stamp), r.device FROM main.\"%w\" t "
            "LEFT JOIN main.\"tidemark_%w_rows\" r ON r.row = t.\"%w\" "
            "WHERE t.\"%w\" = ?1",
            m->row, m->table, r, m->row, m->key);
    case TIDE__FIND_GONE:
        return sqlite3_mprintf(
            "SELECT 0, ifnull(version, stamp), device FROM main.\"tidemark_%w_gone\" "
            "WHERE key = ?1",
            r);
    case TIDE__INSERT:
        return insert_sql(m);
    case TIDE__UPDATE:
        return update_sql(m);
    case TIDE__DELETE:
        return sqlite3_mprintf("DELETE FROM main.\"%w\" WHERE \"%w\" = ?1", m->table, m->row);
    case TIDE__STAMP_NEW: /* the key as the table has stored it */
        return sqlite3_mprintf("INSERT OR IGNORE INTO main.\"tidemark_%w_rows\" "
                               "SELECT ?1, t.\"%w\", ?3, ?4, ?5, ?6 FROM main.\"%w\" t "
                               "WHERE t.\"%w\" = ?1",
                               r, m->key, m->table, m->row);
    case TIDE__DISPLACED:
        return sqlite3_mprintf(
            "INSERT INTO main.\"tidemark_%w_gone\" SELECT r.key, ?2, NULL, 0, 0 "
            "FROM main.\"tidemark_%w_rows\" r WHERE r.row = ?1%s "
            "AND NOT EXISTS (SELECT 1 FROM main.\"%w\" t WHERE t.\"%w\" = r.key) "
            "AND NOT EXISTS (SELECT 1 FROM main.\"tidemark_%w_gone\" g WHERE g.key = r.key)",
            r, r, m->ownership == TIDE_DEVICE_OWNED ? " AND r.device = 0" : "", m->table, m->key, r);
    case TIDE__STAMP:
        /* Not REPLACE: that would take the old record away and tell no trigger. */
        return sqlite3_mprintf(
            "INSERT INTO main.\"tidemark_%w_rows\" SELECT ?1, t.\"%w\", ?3, ?4, ?5, ?6 FROM "
            "main.\"%w\" t WHERE t.\"%w\" = ?1 ON CONFLICT (row) DO UPDATE SET key = "
            "excluded.key, stamp = excluded.stamp, version = excluded.version, device = "
            "excluded.device, source = excluded.source",
            r, m->key, m->table, m->row);
    case TIDE__UNSTAMP:
        return sqlite3_mprintf("DELETE FROM main.\"tidemark_%w_rows\" WHERE row = ?1", r);
    case TIDE__STAMP_GONE:
        return sqlite3_mprintf("INSERT OR REPLACE INTO main.\"tidemark_%w_gone\" "
                               "VALUES (?2, ?3, ?4, ?5, ?6)",
                               r);
    case TIDE__UNSTAMP_GONE:
        return sqlite3_mprintf("DELETE FROM main.\"tidemark_%w_gone\" WHERE key = ?1", r);
    default:
        return question_sql(m, which);
    }
}

int tide__model_prepare(tide_sync *sync, tide__model *m)
{
    for (int i = 0; i < TIDE__STATEMENTS; i++) {
        int rc =
            tide__sql_prepare_made(sync->db, statement_sql(m, i), &m->statements[i], &sync->detail);
        if (rc != TIDE_OK) {
            return rc;
        }
    }
    return TIDE_OK;
}

int tide__model_head(tide_sync *sync, tide__model *m, tide_time *head, tide_time *pruned)
{
    sqlite3_stmt *statement = m->statements[TIDE__HEAD];
    int rc = tide__sql_step(statement, &sync->detail);
    if (rc == TIDE_OK) {
        int type = sqlite3_column_type(statement, 0);
        *head = sqlite3_column_int64(statement, 0);
        *pruned = sqlite3_column_int64(statement, 1);
        (void)sqlite3_reset(statement);
        if (type != SQLITE_INTEGER && type != SQLITE_NULL) {
            /* Anything else is above all numbers: the head, to which nobody would ever come. */
            rc = tide__fail(&sync->detail, TIDE_ECORRUPT, "%s: a stamp is no number", m->resource);
        }
    }
    return rc;
}

int tide__model_newest(tide_sync *sync, tide_time *newest)
{
    int rc = TIDE_OK;
    *newest = 0;
    for (size_t i = 0; rc == TIDE_OK && i < sync->model_count; i++) {
        tide_time head = 0;
        tide_time pruned = 0;
        rc = tide__model_head(sync, sync->models[i], &head, &pruned);
        *newest = head > *newest ? head : *newest;
    }
    return rc;
}

/* ---- finding and ordering ----------------------------------------------------------------------- */

tide__model *tide__model_find(const tide_sync *sync, const char *resource, size_t length)
{
    for (size_t i = 0; i < sync->model_count; i++) {
        const char *name = sync->models[i]->resource;
        if (strlen(name) == length && memcmp(name, resource, length) == 0) {
            return sync->models[i];
        }
    }
    return NULL;
}

/* Whether everything `m` depends on is among the first `placed` of `order`. */
static bool ready(const tide__model *m, tide__model *const *order, size_t placed)
{
    for (size_t i = 0; i < m->depends_on_count; i++) {
        bool found = false;
        for (size_t j = 0; j < placed && !found; j++) {
            found = strcmp(m->depends_on[i], order[j]->resource) == 0;
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

int tide__model_order(tide_sync *sync, tide__model **order)
{
    bool taken[TIDE_MODELS_MAX] = {false};
    for (size_t i = 0; i < sync->model_count; i++) {
        const tide__model *m = sync->models[i];
        for (size_t j = 0; j < m->depends_on_count; j++) {
            if (tide__model_find(sync, m->depends_on[j], strlen(m->depends_on[j])) == NULL) {
                return tide__fail(&sync->detail, TIDE_EMODEL,
                                  "model %s depends on %s, which is not "
                                  "registered",
                                  m->resource, m->depends_on[j]);
            }
        }
    }
    for (size_t placed = 0; placed < sync->model_count; placed++) {
        size_t i = 0;
        while (i < sync->model_count && (taken[i] || !ready(sync->models[i], order, placed))) {
            i++;
        }
        if (i == sync->model_count) {
            return tide__fail(&sync->detail, TIDE_ECYCLE,
                              "the models that are left depend on each "
                              "other in a circle");
        }
        taken[i] = true;
        order[placed] = sync->models[i];
    }
    return TIDE_OK;
}
