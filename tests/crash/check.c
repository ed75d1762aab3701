/* check.c - what must hold in every state; see check.h. */
#include "check.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tidemark/tidemark.h>

#include "pair.h"
#include "rows.h"

/* ---- a store ------------------------------------------------------------------------------------ */

typedef struct walk {
    const char *folder;
    char *why;
    size_t size;
} walk;

static int check_rows(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                      const tide_mark *mark)
{
    walk *w = ctx;
    char path[PATH_MAX];
    (void)device;
    (void)peer;
    (void)snprintf(path, sizeof path, "%s/%s.rows", w->folder, resource);
    if (strncmp(resource, "bare", 4) == 0) { /* a mark without rows */
        return 0;
    }
    int64_t rows = rows_count(path);
    if (mark->watermark > rows) {
        (void)snprintf(w->why, w->size, "the mark of %s is %lld, its rows are %lld", resource,
                       (long long)mark->watermark, (long long)rows);
        return 1;
    }
    return 0;
}

static bool check_acknowledged(tide_store *store, const marks *m, char *why, size_t size)
{
    tide_mark mark;
    uuid_t device;
    uuid_t peer;
    memset(device, 1, sizeof device);
    memset(peer, 2, sizeof peer);
    for (size_t i = 0; i < m->count; i++) {
        const char *resource = m->of[i].name + sizeof "mark." - 1;
        int rc = tide_get(store, device, peer, resource, &mark);
        if (rc != TIDE_OK || mark.watermark < m->of[i].value) {
            (void)snprintf(why, size, "%s was acknowledged at %lld and is %lld (%s)", resource,
                           (long long)m->of[i].value, rc == TIDE_OK ? (long long)mark.watermark : 0,
                           tide_strerror(rc));
            return false;
        }
    }
    return true;
}

static bool check_writable(tide_store *store, char *why, size_t size)
{
    tide_mark mark = {0, 0, 0};
    uuid_t device;
    uuid_t peer;
    memset(device, 3, sizeof device);
    memset(peer, 4, sizeof peer);
    int rc = tide_get(store, device, peer, "bare-check", &mark);
    if (rc == TIDE_OK || rc == TIDE_ABSENT) {
        rc = tide_advance(store, device, peer, "bare-check", mark.watermark + 1);
    }
    if (rc != TIDE_OK) {
        (void)snprintf(why, size, "a new mark: %s", tide_strerror(rc));
    }
    return rc == TIDE_OK;
}

bool check_marks(const char *folder, const marks *acknowledged, char *why, size_t size)
{
    char path[PATH_MAX];
    tide_options options;
    tide_store *store = NULL;
    walk w = {folder, why, size};
    (void)snprintf(path, sizeof path, "%s/marks.mdb", folder);
    tide_options_init(&options);
    options.flags = acknowledged->count > 0 ? TIDE_MUST_EXIST : 0;
    options.map_size_bytes = 1 << 20; /* address space costs time, too */
    options.max_readers = 8;
    bool ok = true;
    for (int i = 0; ok && i < 2; i++) { /* the second time it was opened and written before */
        int rc = tide_open(path, &options, &store);
        if (rc != TIDE_OK) {
            (void)snprintf(why, size, "%s: %s", i == 0 ? "it cannot be opened" : "opened again",
                           tide_strerror(rc));
            return false;
        }
        rc = tide_each(store, NULL, NULL, NULL, check_rows, &w);
        if (rc < 0) {
            (void)snprintf(why, size, "the marks: %s", tide_strerror(rc));
        }
        ok = rc == TIDE_OK && check_acknowledged(store, acknowledged, why, size) &&
             check_writable(store, why, size);
        tide_close(store);
    }
    return ok;
}

/* ---- libraries ---------------------------------------------------------------------------------- */

static const struct table {
    const char *resource;
    const char *name;
    const char *columns;
} tables[] = {
    {"device", "devices", "uuid, name"},
    {"location", "locations", "uuid, device_uuid, name, path"},
    {"entry", "entries", "uuid, location_uuid, parent_uuid, name, kind, size, mtime"},
    {"volume", "volumes", "uuid, device_uuid, name, mount_point, total_bytes"},
};

#define TABLES (sizeof tables / sizeof *tables)

static bool check_pages(side *s, const char *name, char *why)
{
    int64_t sound = 0;
    bool ok = side_ask(s, &sound, why, "SELECT integrity_check = 'ok' FROM pragma_integrity_check");
    if (ok && sound == 0) {
        (void)snprintf(why, PAIR_WHY, "%s: its database is damaged", name);
    }
    return ok && sound == 1;
}

/* The entries that were acknowledged for this side. */
static bool check_kept(side *s, const char *name, const marks *m, char *why)
{
    static const char letters[] = {'k', 'j'};
    for (size_t i = 0; i < sizeof letters; i++) {
        char mark[8];
        int64_t count = 0;
        (void)snprintf(mark, sizeof mark, "%s.%c", name, letters[i]);
        long long most = marks_value(m, mark, 0);
        if (!side_ask(s, &count, why,
                      "SELECT count(*) FROM entries WHERE name BETWEEN '%c00001' AND '%c%05lld'",
                      letters[i], letters[i], most)) {
            return false;
        }
        if (count != most) {
            (void)snprintf(why, PAIR_WHY, "%s has %lld of the %lld entries %c", name,
                           (long long)count, most, letters[i]);
            return false;
        }
    }
    return true;
}

/* How many of the keys that `sql` finds in `from` are in the table of `to`, and how many are not. */
static bool count_keys(side *from, side *to, const char *sql, const char *table, int64_t count[2],
                       char *why)
{
    char find[80];
    sqlite3_stmt *keys = NULL;
    sqlite3_stmt *row = NULL;
    sqlite3 *there = tide_sync_database(tide_library_sync(to->library));
    (void)snprintf(find, sizeof find, "SELECT 1 FROM %s WHERE uuid = ?1", table);
    int rc = sqlite3_prepare_v2(tide_sync_database(tide_library_sync(from->library)), sql, -1,
                                &keys, NULL);
    rc = rc != SQLITE_OK ? rc : sqlite3_prepare_v2(there, find, -1, &row, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(keys)) == SQLITE_ROW) {
        rc = sqlite3_bind_value(row, 1, sqlite3_column_value(keys, 0));
        if (rc == SQLITE_OK) {
            count[sqlite3_step(row) == SQLITE_ROW]++;
            rc = sqlite3_reset(row);
        }
    }
    sqlite3_finalize(row);
    sqlite3_finalize(keys);
    if (rc != SQLITE_DONE) {
        (void)snprintf(why, PAIR_WHY, "%.200s: %s", sql, sqlite3_errstr(rc));
    }
    return rc == SQLITE_DONE;
}

/* Every row that `from` made at or below the mark of `to` is in `to`, and what was deleted is not. */
static bool check_honest(side *from, side *to, char *why)
{
    static const char *const records[] = {"rows", "gone"};
    uuid_t peer;
    char sql[200];
    tide_sync_device(tide_library_sync(from->library), peer);
    for (size_t i = 0; i < TABLES; i++) {
        const struct table *t = &tables[i];
        tide_time mark = TIDE_TIME_NONE;
        int64_t count[2][2] = {{0}};
        int rc =
            tide_watermarks_get(tide_library_watermarks(to->library), peer, t->resource, &mark);
        if (rc < 0) {
            (void)snprintf(why, PAIR_WHY, "the mark of %s: %s", t->resource, tide_strerror(rc));
            return false;
        }
        for (int r = 0; r < 2; r++) {
            (void)snprintf(sql, sizeof sql,
                           "SELECT key FROM tidemark_%s_%s WHERE stamp <= %lld AND source = 0",
                           t->resource, records[r], (long long)mark);
            if (!count_keys(from, to, sql, t->name, count[r], why)) {
                return false;
            }
        }
        if (count[0][0] + count[1][1] > 0) {
            (void)snprintf(why, PAIR_WHY, "the mark of %s is ahead of %lld rows and %lld deletions",
                           t->resource, (long long)count[0][0], (long long)count[1][1]);
            return false;
        }
    }
    return true;
}

/* All rows of all tables as one text; the caller frees it with sqlite3_free. */
static char *all_rows(side *s, char *why)
{
    sqlite3_str *text = sqlite3_str_new(NULL);
    sqlite3 *db = tide_sync_database(tide_library_sync(s->library));
    int rc = SQLITE_DONE;
    for (size_t i = 0; rc == SQLITE_DONE && i < TABLES; i++) {
        char sql[200];
        sqlite3_stmt *row = NULL;
        (void)snprintf(sql, sizeof sql, "SELECT %s FROM %s ORDER BY uuid", tables[i].columns,
                       tables[i].name);
        rc = sqlite3_prepare_v2(db, sql, -1, &row, NULL);
        while (rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
            for (int c = 0; c < sqlite3_column_count(row); c++) {
                const unsigned char *value = sqlite3_column_text(row, c);
                sqlite3_str_appendf(text, "%Q|", value);
            }
            sqlite3_str_appendf(text, "%s\n", tables[i].name);
            rc = SQLITE_OK;
        }
        sqlite3_finalize(row);
    }
    if (rc != SQLITE_DONE) {
        (void)snprintf(why, PAIR_WHY, "its rows: %s", sqlite3_errstr(rc));
    }
    return sqlite3_str_finish(text);
}

static bool check_same(side *a, side *b, char *why)
{
    char *left = all_rows(a, why);
    char *right = all_rows(b, why);
    bool ok = left != NULL && right != NULL && why[0] == '\0' && strcmp(left, right) == 0;
    if (!ok && why[0] == '\0') {
        (void)snprintf(why, PAIR_WHY, "after a sync the rows differ");
    }
    sqlite3_free(left);
    sqlite3_free(right);
    return ok;
}

static bool open_side(side *s, const char *folder, const char *name, const marks *m, char *why)
{
    char made[16];
    (void)snprintf(made, sizeof made, "%s.made", name);
    uint32_t flags = marks_value(m, made, 0) == 0 ? TIDE_CREATE_LIBRARY : 0;
    return side_open(s, folder, name, flags, why) && check_pages(s, name, why) &&
           check_kept(s, name, m, why);
}

static bool check_both(side *a, side *b, char *why)
{
    bool ok = check_honest(a, b, why) && check_honest(b, a, why) && pair_sync(a, b, 50, why) &&
              check_same(a, b, why);
    if (ok && (a->told > 0 || b->told > 0)) {
        (void)snprintf(why, PAIR_WHY, "the user was told: %s", a->told > 0 ? a->text : b->text);
        ok = false;
    }
    if (ok && (tide_sync_is_recovering(tide_library_sync(a->library)) != 0 ||
               tide_sync_is_recovering(tide_library_sync(b->library)) != 0)) {
        (void)snprintf(why, PAIR_WHY, "a cut was taken for a restore");
        ok = false;
    }
    return ok;
}

bool check_libraries(const char *folder, const marks *acknowledged, char *why, size_t size)
{
    char words[PAIR_WHY] = "";
    side a = {.library = NULL};
    side b = {.library = NULL};
    bool two = marks_value(acknowledged, "B.made", 0) != 0;
    bool ok =
        open_side(&a, folder, "A", acknowledged, words) &&
        (!two || (open_side(&b, folder, "B", acknowledged, words) && check_both(&a, &b, words)));
    side_close(&b);
    side_close(&a);
    (void)snprintf(why, size, "%s", words);
    return ok;
}
