/* known.c - the rows that an earlier run wrote for a location, in memory.
 *
 * A row is found by the row of its folder and its name. Rows are kept in one array, names and keys
 * in one buffer, and chained by place: children of a folder for the question what is gone, and
 * buckets of two hash tables, first by key to find each row's folder, then by (folder, name) for
 * the walk. About 120 bytes and the name for each row. Place 0 is the location itself.
 *
 * Other programs write rows too. So a key, the text in the column uuid, need not be a UUID, and two
 * rows of one folder may have the same name: each is found once.
 */
#include "cli/index.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define NOTHING UINT32_MAX
#define ROWS_MAX (UINT32_MAX - 1) /* places are 32 bits, and NOTHING is none */
#define NO_TEXT SIZE_MAX

const char *const cli_kind_names[CLI_KIND_UNKNOWN] = {"file", "folder", "link", "other"};

/* What has become of a row. */
enum { UNSEEN = 0, FOUND = 1, GONE = 2, KEPT = 3 };

typedef struct node {
    cli_row row;
    size_t key;        /* where it begins in texts */
    size_t parent_key; /* NO_TEXT: directly in the location */
    size_t name;
    uint32_t parent;
    uint32_t first_child;
    uint32_t next_sibling;
    uint32_t next_in_bucket;
    uint8_t state;
    bool complete; /* everything in it has been looked for */
} node;

struct cli_known {
    node *nodes;
    size_t count;
    size_t space;
    char *texts;
    size_t texts_bytes;
    size_t texts_space;
    uint32_t *buckets;
    size_t mask; /* buckets less one, a power of two less one */
};

/* FNV-1a, 64 bits. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t hash_key(const char *key)
{
    return hash_bytes(UINT64_C(0xcbf29ce484222325), key, strlen(key));
}

static uint64_t hash_name(uint32_t folder, const char *name)
{
    return hash_bytes(hash_bytes(UINT64_C(0xcbf29ce484222325), &folder, sizeof folder), name,
                      strlen(name));
}

static uint32_t *bucket_of(const cli_known *known, uint64_t hash)
{
    return &known->buckets[(hash ^ hash >> 32) & known->mask];
}

/* ---- loading --------------------------------------------------------------------------------- */

static bool add_text(cli_known *known, const char *text, size_t *out)
{
    size_t bytes = strlen(text) + 1;

    if (bytes > known->texts_space - known->texts_bytes) {
        size_t space = 2 * (known->texts_space + bytes);
        char *place = realloc(known->texts, space);

        if (place == NULL) {
            return false;
        }
        known->texts = place;
        known->texts_space = space;
    }
    memcpy(known->texts + known->texts_bytes, text, bytes);
    *out = known->texts_bytes;
    known->texts_bytes += bytes;
    return true;
}

/* The same for the key of a folder. Rows of one folder mostly follow each other and share it. */
static bool add_parent(cli_known *known, const char *key, size_t *out)
{
    size_t before = known->nodes[known->count - 1].parent_key;

    if (key == NULL || (before != NO_TEXT && strcmp(known->texts + before, key) == 0)) {
        *out = key == NULL ? NO_TEXT : before;
        return true;
    }
    return add_text(known, key, out);
}

/* A new node at the end, or NULL. `parent`: the key of its folder, NULL: the location. */
static node *add_node(cli_known *known, const char *key, const char *parent, const char *name)
{
    node new = {.parent_key = NO_TEXT,
                .parent = NOTHING,
                .first_child = NOTHING,
                .next_sibling = NOTHING,
                .next_in_bucket = NOTHING};
    node *place;

    if (known->count == known->space) {
        size_t space = known->space == 0 ? 64 : 2 * known->space;

        place = known->count < ROWS_MAX ? reallocarray(known->nodes, space, sizeof *place) : NULL;
        if (place == NULL) {
            return NULL;
        }
        known->nodes = place;
        known->space = space;
    }
    if (!add_text(known, key, &new.key) || !add_text(known, name, &new.name) ||
        (known->count > 0 && !add_parent(known, parent, &new.parent_key))) {
        return NULL;
    }
    place = &known->nodes[known->count++];
    *place = new;
    return place;
}

static int kind_of(const char *name)
{
    for (int kind = 0; name != NULL && kind < CLI_KIND_UNKNOWN; kind++) {
        if (strcmp(name, cli_kind_names[kind]) == 0) {
            return kind;
        }
    }
    return CLI_KIND_UNKNOWN;
}

/* Columns: id, uuid, parent_uuid, name, kind, size, mtime. Values that cannot be read only differ
 * from what the walk will find. */
static int load_row(cli_call *call, sqlite3_stmt *rows, cli_known *known)
{
    const char *uuid = (const char *)sqlite3_column_text(rows, 1);
    const char *parent = (const char *)sqlite3_column_text(rows, 2);
    const char *name = (const char *)sqlite3_column_text(rows, 3);
    const char *mtime = (const char *)sqlite3_column_text(rows, 6);
    node *n = add_node(known, uuid != NULL ? uuid : "", parent, name != NULL ? name : "");

    if (n == NULL) {
        return cli_fail_memory(call);
    }
    n->row.id = sqlite3_column_int64(rows, 0);
    n->row.kind = kind_of((const char *)sqlite3_column_text(rows, 4));
    n->row.size = sqlite3_column_type(rows, 5) == SQLITE_NULL ? -1 : sqlite3_column_int64(rows, 5);
    n->row.mtime = TIDE_TIME_NONE;
    if (mtime != NULL && tide_time_parse(mtime, strlen(mtime), &n->row.mtime) != TIDE_OK) {
        n->row.mtime = TIDE_TIME_NONE;
    }
    return CLI_YES;
}

static int load_rows(cli_call *call, sqlite3 *database, const char *path, const char *location,
                     cli_known *known)
{
    sqlite3_stmt *rows = NULL;
    int rc = CLI_YES;
    int step;

    if (sqlite3_prepare_v2(database,
                           "SELECT id, uuid, parent_uuid, name, kind, size, mtime FROM entries "
                           "WHERE location_uuid = ?1",
                           -1, &rows, NULL) != SQLITE_OK) {
        return cli_fail_sqlite(call, database, path);
    }
    cli_bind_text(rows, 1, location);
    while ((step = sqlite3_step(rows)) == SQLITE_ROW && rc == CLI_YES) {
        rc = load_row(call, rows, known);
        cli_progress(call, "%zu rows read", known->count - 1);
    }
    if (rc == CLI_YES && step != SQLITE_DONE) {
        rc = cli_fail_sqlite(call, database, path);
    }
    sqlite3_finalize(rows);
    return rc;
}

/* ---- linking --------------------------------------------------------------------------------- */

static bool make_buckets(cli_known *known)
{
    size_t count = 64;

    while (count < known->count) {
        count *= 2;
    }
    known->buckets = calloc(count, sizeof *known->buckets);
    known->mask = count - 1;
    return known->buckets != NULL;
}

static void clear_buckets(cli_known *known)
{
    for (size_t i = 0; i <= known->mask; i++) {
        known->buckets[i] = NOTHING;
    }
}

static void put_in_bucket(cli_known *known, uint32_t place, uint64_t hash)
{
    uint32_t *bucket = bucket_of(known, hash);

    known->nodes[place].next_in_bucket = *bucket;
    *bucket = place;
}

static uint32_t find_folder(const cli_known *known, size_t key)
{
    const char *text = known->texts + key;
    uint32_t place;

    if (key == NO_TEXT) {
        return CLI_KNOWN_ROOT;
    }
    place = *bucket_of(known, hash_key(text));
    while (place != NOTHING && strcmp(known->texts + known->nodes[place].key, text) != 0) {
        place = known->nodes[place].next_in_bucket;
    }
    return place;
}

/* Hangs each row on its folder, and makes the table by folder and name. */
static void link_rows(cli_known *known)
{
    clear_buckets(known);
    for (uint32_t i = 1; i < known->count; i++) {
        put_in_bucket(known, i, hash_key(known->texts + known->nodes[i].key));
    }
    for (uint32_t i = 1; i < known->count; i++) {
        node *n = &known->nodes[i];

        n->parent = find_folder(known, n->parent_key);
        if (n->parent == NOTHING) {
            continue;
        }
        n->next_sibling = known->nodes[n->parent].first_child;
        known->nodes[n->parent].first_child = i;
    }
    clear_buckets(known);
    for (uint32_t i = 1; i < known->count; i++) {
        const node *n = &known->nodes[i];

        if (n->parent != NOTHING) {
            put_in_bucket(known, i, hash_name(n->parent, known->texts + n->name));
        }
    }
}

int cli_known_load(cli_call *call, sqlite3 *database, const char *path, const char *location,
                   cli_known **out)
{
    cli_known *known = calloc(1, sizeof *known);
    node *root = known != NULL ? add_node(known, "", NULL, "") : NULL;
    int rc;

    *out = NULL;
    if (root == NULL) {
        cli_known_free(known);
        return cli_fail_memory(call);
    }
    root->state = FOUND;
    root->row.kind = CLI_FOLDER;
    rc = load_rows(call, database, path, location, known);
    if (rc == CLI_YES && !make_buckets(known)) {
        rc = cli_fail_memory(call);
    }
    if (rc != CLI_YES) {
        cli_known_free(known);
        return rc;
    }
    link_rows(known);
    *out = known;
    return CLI_YES;
}

void cli_known_free(cli_known *known)
{
    if (known == NULL) {
        return;
    }
    free(known->nodes);
    free(known->texts);
    free(known->buckets);
    free(known);
}

/* ---- the walk's questions -------------------------------------------------------------------- */

uint32_t cli_known_find(cli_known *known, uint32_t folder, const char *name, cli_row *row)
{
    uint32_t place;

    if (folder == CLI_UNKNOWN) {
        return CLI_UNKNOWN;
    }
    place = *bucket_of(known, hash_name(folder, name));
    while (place != NOTHING) {
        node *n = &known->nodes[place];

        if (n->state == UNSEEN && n->parent == folder && strcmp(known->texts + n->name, name) == 0) {
            n->state = FOUND;
            *row = n->row;
            return place;
        }
        place = n->next_in_bucket;
    }
    return CLI_UNKNOWN;
}

const char *cli_known_key(const cli_known *known, uint32_t place)
{
    return known->texts + known->nodes[place].key;
}

void cli_known_complete(cli_known *known, uint32_t folder)
{
    if (folder != CLI_UNKNOWN) {
        known->nodes[folder].complete = true;
    }
}

/* Decides about the children of a row that is decided. */
static size_t judge_children(cli_known *known, uint32_t folder, uint32_t *order, size_t count)
{
    const node *above = &known->nodes[folder];
    bool gone = above->state == GONE || (above->state == FOUND && above->complete);

    for (uint32_t i = above->first_child; i != NOTHING; i = known->nodes[i].next_sibling) {
        node *n = &known->nodes[i];

        if (n->state == UNSEEN) {
            n->state = gone ? GONE : KEPT;
        }
        order[count++] = i;
    }
    return count;
}

int cli_known_gone(cli_call *call, cli_known *known, int (*gone)(void *ctx, int64_t id), void *ctx,
                   uint64_t *kept)
{
    uint32_t *order = calloc(known->count, sizeof *order); /* a folder before what is in it */
    size_t count = 1;
    int rc = CLI_YES;

    *kept = 0;
    if (order == NULL) {
        return cli_fail_memory(call);
    }
    order[0] = CLI_KNOWN_ROOT;
    for (size_t i = 0; i < count; i++) {
        count = judge_children(known, order[i], order, count);
    }
    free(order);
    order = NULL;

    for (size_t i = known->count; rc == CLI_YES && i-- > 1;) {
        if (known->nodes[i].state == KEPT) {
            ++*kept;
        } else if (known->nodes[i].state !=
                   FOUND) { /* also rows that hang on none, or on each other */
            rc = gone(ctx, known->nodes[i].row.id);
        }
    }
    return rc;
}
