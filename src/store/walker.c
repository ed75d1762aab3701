/* walker.c - the whole file checked before LMDB may see it; see walker.h.
 *
 * LMDB follows page numbers, offsets and counts as it finds them. For each of the four trees (free
 * list, main, "meta", "marks") this holds when a walk ends well:
 *
 * - A page bears its own number and is a leaf at exactly the recorded depth, a branch above it. Its
 * nodes fill it from `upper` to the end without gap or overlap.
 * - Keys ascend strictly in the order LMDB searches by. A branch's key is above all keys to its
 * left and not above any to its right; the first key of a branch is never looked at.
 * - Pages and entries are as many as recorded.
 * - No page is reached twice, free twice, or both. So the walk ends on any input, and what LMDB
 * takes from the free list is nobody's. A page that is neither is lost, which does no harm:
 * mdb_copy's manual speaks of page leaks.
 * - Each mark decodes, its checksum included.
 *
 * What cannot be seen: a page that is whole but of an earlier commit, when keys and counts are the
 * same, and another UUID or time in "meta". LMDB keeps no checksums.
 *
 * Numbers in the file have the machine's byte order. The metadata's mapsize and address and the
 * padding of pages and trees are not checked: nothing reads them.
 */
#include "store/walker.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tidemark/error.h>

#include "base/key.h"
#include "base/record.h"
#include "store/file.h"
#include "store/page.h"

#include "base/alloc.h"

#define NO_PAGE UINT64_MAX /* the root of an empty tree */
#define DEPTH_MOST 32      /* of LMDB's cursors */
#define WALK_TRIES 8
#define WHOLE_BYTES (4u << 20)

enum { INTEGER_KEY = 8, NO_SUBDIR = 0x4000 }; /* flags of a tree */

typedef enum tree_kind { FREE_LIST, MAIN, META, MARKS } tree_kind;
#define TREES 4

/* A tree; to `root` as it lies in the metadata, or as data in the main tree. */
typedef struct tree {
    uint32_t padding;
    uint16_t flags;
    uint16_t depth;
    uint64_t branches; /* this to entries: as recorded, less what was met */
    uint64_t leaves;
    uint64_t overflows;
    uint64_t entries;
    uint64_t root;
    tree_kind kind;
    bool found;
    bool faulty; /* and the walk has gone on: what was met says nothing about the counts */
} tree;
_Static_assert(offsetof(tree, kind) == TREE_BYTES, "a tree as LMDB stores it");

typedef struct walk {
    int fd;
    const char *path;
    tide__detail *detail;
    tide__findings *findings; /* receives every fault; NULL: the walk ends at the first one */
    tide__record_fn *fn;      /* receives the marks; NULL: nobody wants them */
    void *ctx;
    tide__commit *commit; /* receives what the file says of itself; may be NULL */
    uint64_t last_page;
    uint64_t transaction;
    unsigned char *claims;              /* a bit for each page */
    unsigned char *whole;               /* all pages up to the last one, of a small file */
    unsigned char (*pages)[PAGE_BYTES]; /* else one for each level, and one for overflow pages */
    tree trees[TREES];
    unsigned identity;                     /* records of "meta": a bit for each name */
    tide__bytes floor;                     /* the next key is not below this one; at NULL: any */
    tide__bytes last;                      /* the next key is above this one */
    unsigned char last_key[TIDE__KEY_MAX]; /* where `last` lies between two leaves */
} walk;

/* Keeps the fault that the detail names; passes the code on. */
static int note(const walk *w, int code)
{
    if (w->findings != NULL) {
        tide__findings_add(w->findings, code, w->detail->text);
    }
    return code;
}

static int fault(const walk *w, uint64_t page, const char *what)
{
    return note(w, tide__fail(w->detail, TIDE_ECORRUPT, "%s: page %llu: %s", w->path,
                              (unsigned long long)page, what));
}

static int no_store(const walk *w, const char *what)
{
    return note(w, tide__fail(w->detail, TIDE_EFORMAT, "%s: an LMDB file, but not a store: %s",
                              w->path, what));
}

/* Where all faults are wanted, one ends nothing but the page or record that it was found in. */
static int go_on(walk *w, tree *t, int rc)
{
    if (w->findings == NULL || (rc != TIDE_ECORRUPT && rc != TIDE_EIO)) {
        return rc;
    }
    t->faulty = true;
    w->floor.at = NULL; /* it may lie on a page that makes room for the next */
    return TIDE_OK;
}

static int read_at(const walk *w, uint64_t page, unsigned char *buffer, size_t size)
{
    char words[128];
    size_t got = 0;
    int number = tide__page_read(w->fd, page, buffer, size, &got);
    uint64_t at = page + got / PAGE_BYTES;
    if (number != 0) {
        return note(w,
                    tide__fail(w->detail, tide__code_of_errno(number), "%s: page %llu: %s", w->path,
                               (unsigned long long)at, strerror_r(number, words, sizeof words)));
    }
    return got == size ? TIDE_OK : fault(w, at, "behind the end of the file");
}

/* The page up to the last one: in `whole`, or read into the place of its level. */
static int read_page(const walk *w, uint64_t number, unsigned level, const unsigned char **page)
{
    if (w->whole != NULL) {
        *page = w->whole + number * PAGE_BYTES;
        return TIDE_OK;
    }
    *page = w->pages[level];
    return read_at(w, number, w->pages[level], PAGE_BYTES);
}

/* Pages `first` to `first` + count - 1 are reached, or free, and nobody else's. */
static int claim(walk *w, uint64_t first, uint64_t count)
{
    if (first < 2 || first > w->last_page || count > w->last_page - first + 1) {
        return fault(w, first, "referred to, but out of range");
    }
    for (uint64_t page = first; page < first + count; page++) {
        unsigned char bit = (unsigned char)(1u << page % 8);
        if ((w->claims[page / 8] & bit) != 0) {
            return fault(w, page, "referred to twice");
        }
        w->claims[page / 8] |= bit;
    }
    return TIDE_OK;
}

/* ---- pages -------------------------------------------------------------------------------------- */

static int compare(tree_kind kind, tide__bytes left, tide__bytes right)
{
    if (kind == FREE_LIST) {
        uint64_t l = tide__get64(left.at);
        uint64_t r = tide__get64(right.at);
        return (l > r) - (l < r);
    }
    size_t shorter = left.length < right.length ? left.length : right.length;
    int order = memcmp(left.at, right.at, shorter);
    return order != 0 ? order : (left.length > right.length) - (left.length < right.length);
}

static bool key_possible(tree_kind kind, tide__bytes key)
{
    return kind == FREE_LIST ? key.length == sizeof(uint64_t) : key.length > 0;
}

/* ---- what the leaves hold ----------------------------------------------------------------------- */

typedef struct id_list {
    uint64_t left;
    uint64_t previous;
} id_list;

static int claim_ids(walk *w, uint64_t page, id_list *ids, const unsigned char *at, size_t count)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < count && ids->left > 0; i++) {
        uint64_t id = tide__get64(at + 8 * i);
        if (id >= ids->previous) {
            return fault(w, page, "free pages out of order");
        }
        rc = claim(w, id, 1);
        ids->previous = id;
        ids->left--;
    }
    return rc;
}

/* A record of the free list: a count, then as many pages that the transaction in the key has freed,
 * falling. It may be longer than that. */
static int free_record(walk *w, tree *t, uint64_t page, const tide__node *n)
{
    const unsigned char *data = n->data.at;
    size_t here = n->data.length / 8;
    uint64_t at = page;
    uint64_t freed_in = tide__get64(n->key.at);
    if (freed_in < 1 || freed_in > w->transaction || n->data.length % 8 != 0 || here < 1 ||
        (n->flags & ~BIG_DATA) != 0) {
        return fault(w, page, "not a record of the free list");
    }
    if ((n->flags & BIG_DATA) != 0) {
        const unsigned char *head = NULL;
        uint64_t needed = (PAGE_HEAD + (uint64_t)n->data.length + PAGE_BYTES - 1) / PAGE_BYTES;
        at = tide__get64(n->data.at);
        int rc = claim(w, at, needed);
        if (rc == TIDE_OK) {
            rc = read_page(w, at, DEPTH_MOST, &head);
        }
        if (rc != TIDE_OK) {
            return rc;
        }
        uint64_t pages = tide__get32(head + PAGE_AT_COUNT); /* may be more than are needed now */
        if (tide__get64(head) != at || tide__get16(head + PAGE_AT_FLAGS) != OVERFLOW ||
            pages < needed) {
            return fault(w, at, "not an overflow page");
        }
        if (pages > needed && (rc = claim(w, at + needed, pages - needed)) != TIDE_OK) {
            return rc;
        }
        t->overflows -= pages;
        data = head + PAGE_HEAD;
        here = (PAGE_BYTES - PAGE_HEAD) / 8;
    }
    id_list ids = {tide__get64(data), NO_PAGE};
    if (ids.left > n->data.length / 8 - 1) {
        return fault(w, at, "more free pages than the record holds");
    }
    int rc = claim_ids(w, at, &ids, data + 8, here - 1);
    while (rc == TIDE_OK && ids.left > 0) {
        rc = read_page(w, ++at, DEPTH_MOST, &data);
        if (rc == TIDE_OK) {
            rc = claim_ids(w, at, &ids, data, PAGE_BYTES / 8);
        }
    }
    return rc;
}

static void load_tree(tree *t, const unsigned char *at)
{
    memcpy(t, at, TREE_BYTES);
    t->found = true;
}

static bool named(tide__bytes key, const char *name)
{
    return key.length == strlen(name) && memcmp(key.at, name, key.length) == 0;
}

static int sub_database(walk *w, const tide__node *n)
{
    tree_kind kind = named(n->key, TIDE__DB_MARKS) ? MARKS : META;
    if (n->flags != SUB_DATABASE || n->data.length != TREE_BYTES ||
        (kind == META && !named(n->key, TIDE__DB_META))) {
        return no_store(w, "something else in its main tree");
    }
    load_tree(&w->trees[kind], n->data.at);
    return TIDE_OK;
}

static int identity(walk *w, uint64_t page, const tide__node *n)
{
    static const char *const names[] = {TIDE__META_FORMAT, TIDE__META_STORE, TIDE__META_CREATED};
    const char *text = (const char *)n->data.at;
    tide_time created = 0;
    uuid_t id;
    unsigned which = 0;
    while (which < 3 && !named(n->key, names[which])) {
        which++;
    }
    if (which == 0 && (n->flags != 0 || !named(n->data, TIDE__FORMAT_VERSION))) {
        return note(w, tide__fail(w->detail, TIDE_EFORMAT,
                                  "%s: another format version: %.*s, expected %s", w->path,
                                  (int)(n->data.length < 16 ? n->data.length : 16), text,
                                  TIDE__FORMAT_VERSION));
    }
    if (n->flags != 0 ||
        (which == 1 && (n->data.length != TIDE__UUID_TEXT || !tide__uuid_parse(text, id))) ||
        (which == 2 && tide_time_parse(text, n->data.length, &created) != TIDE_OK)) {
        return fault(w, page, "damaged identity");
    }
    if (w->commit != NULL && which == 1) {
        uuid_copy(w->commit->identity.store_id, id);
    } else if (w->commit != NULL && which == 2) {
        w->commit->identity.created_at = created;
    }
    w->identity |= 1u << which;
    return TIDE_OK;
}

static int mark(walk *w, uint64_t page, const tide__node *n)
{
    char resource[TIDE_RESOURCE_MAX + 1];
    char what[TIDE__KEY_MAX + 32];
    uuid_t device;
    uuid_t peer;
    tide_mark value;
    if (tide__key_decode(n->key.at, n->key.length, device, peer, resource) != TIDE_OK) {
        return fault(w, page, "a damaged mark");
    }
    if (n->flags != 0 || tide__record_decode(n->key.at, n->key.length, n->data.at, n->data.length,
                                             &value) != TIDE_OK) {
        (void)snprintf(what, sizeof what, "a damaged mark: %.*s", (int)n->key.length,
                       (const char *)n->key.at);
        return fault(w, page, what);
    }
    return w->fn == NULL ? TIDE_OK
                         : w->fn(w->ctx, n->key.at, n->key.length, n->data.at, n->data.length);
}

static int record(walk *w, tree *t, uint64_t page, const tide__node *n)
{
    t->entries--;
    switch (t->kind) {
    case FREE_LIST:
        return free_record(w, t, page, n);
    case MAIN:
        return sub_database(w, n);
    case META:
        return identity(w, page, n);
    case MARKS:
    default:
        return mark(w, page, n);
    }
}

/* ---- trees -------------------------------------------------------------------------------------- */

static int walk_leaf(walk *w, tree *t, uint64_t number, const unsigned char *page, size_t count)
{
    int rc = TIDE_OK;
    t->leaves--;
    for (size_t i = 0; rc == TIDE_OK && i < count; i++) {
        tide__node n = tide__node_at(page, i);
        if (!key_possible(t->kind, n.key) ||
            (w->last.at != NULL && compare(t->kind, w->last, n.key) >= 0) ||
            (w->floor.at != NULL && compare(t->kind, w->floor, n.key) > 0)) {
            rc = fault(w, number, "keys out of order");
            break;
        }
        w->last = n.key;
        w->floor.at = NULL;
        rc = go_on(w, t, record(w, t, number, &n));
    }
    if (w->last.at != NULL) {
        memcpy(w->last_key, w->last.at, w->last.length);
        w->last.at = w->last_key;
    }
    return rc;
}

static int walk_page(walk *w, tree *t, uint64_t number, unsigned level)
{
    const unsigned char *page = NULL;
    bool leaf = level + 1u == t->depth;
    size_t count = 0;
    int rc = claim(w, number, 1);
    if (rc == TIDE_OK) {
        rc = read_page(w, number, level, &page);
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    if (tide__get64(page) != number) {
        return fault(w, number, "bears another number");
    }
    if (tide__get16(page + PAGE_AT_FLAGS) != (leaf ? LEAF : BRANCH)) {
        return fault(w, number, leaf ? "not a leaf" : "not a branch");
    }
    const char *what = tide__page_fault(page, leaf, &count);
    if (what != NULL) {
        return fault(w, number, what);
    }
    if (leaf) {
        return walk_leaf(w, t, number, page, count);
    }
    /* LMDB asserts two, except in the free list. */
    if (count < 2 && t->kind != FREE_LIST) {
        return fault(w, number, "a branch with one child");
    }
    t->branches--;
    for (size_t i = 0; rc == TIDE_OK && i < count; i++) {
        tide__node n = tide__node_at(page, i);
        if (i > 0) {
            if (!key_possible(t->kind, n.key) ||
                (w->last.at != NULL && compare(t->kind, w->last, n.key) >= 0)) {
                return fault(w, number, "keys out of order");
            }
            w->floor = n.key;
        }
        rc = go_on(w, t, walk_page(w, t, tide__child_at(page, i), level + 1));
    }
    return rc;
}

static int walk_tree(walk *w, tree_kind kind)
{
    static const char *const names[] = {"the free list", "the main tree", "meta", "marks"};
    tree *t = &w->trees[kind];
    int rc = TIDE_OK;
    unsigned flags = kind == FREE_LIST ? t->flags & ~(unsigned)NO_SUBDIR : t->flags;
    t->kind = kind;
    w->last.at = NULL;
    w->floor.at = NULL;
    if (flags != (kind == FREE_LIST ? INTEGER_KEY : 0) || t->depth > DEPTH_MOST ||
        (t->depth == 0) != (t->root == NO_PAGE)) {
        return go_on(
            w, t,
            note(w, tide__fail(w->detail, TIDE_ECORRUPT, "%s: page %llu: impossible root of %s",
                               w->path, (unsigned long long)t->root, names[kind])));
    }
    if (t->depth > 0) {
        rc = go_on(w, t, walk_page(w, t, t->root, 0));
    }
    if (rc == TIDE_OK && !t->faulty && (t->branches | t->leaves | t->overflows | t->entries) != 0) {
        rc = go_on(w, t,
                   note(w, tide__fail(w->detail, TIDE_ECORRUPT,
                                      "%s: page %llu: %s has other counts than recorded", w->path,
                                      (unsigned long long)t->root, names[kind])));
    }
    return rc;
}

/* ---- one commit --------------------------------------------------------------------------------- */

/* Takes over the commit of one metadata page. */
static int begin(walk *w, const unsigned char *m)
{
    struct stat st;
    if (fstat(w->fd, &st) != 0) {
        return tide__fail_errno(w->detail, errno, w->path);
    }
    uint64_t pages = (uint64_t)st.st_size / PAGE_BYTES;
    w->transaction = tide__get64(m + META_AT_TRANSACTION);
    w->last_page = tide__get64(m + META_AT_LAST_PAGE);
    if (w->last_page < 1 || w->last_page >= pages) {
        int rc = fault(w, tide__get64(m), "the last page is behind the end of the file");
        if (w->findings == NULL) {
            return rc;
        }
        w->last_page = pages - 1; /* both metadata pages have been read */
    }
    memset(w->trees, 0, sizeof w->trees);
    load_tree(&w->trees[FREE_LIST], m + META_AT_FREE_LIST);
    load_tree(&w->trees[MAIN], m + META_AT_MAIN);
    w->identity = 0;
    return TIDE_OK;
}

/* Memory for what begin has found; a small file is read at one go, which takes a tenth of the time.
 * A page that cannot be read then hides all others, so not where every fault is wanted. */
static int make_room(walk *w)
{
    size_t used = (size_t)(w->last_page + 1) * PAGE_BYTES;
    w->claims = tide__calloc(w->last_page / 8 + 1, 1);
    if (w->claims == NULL) {
        return TIDE_ENOMEM;
    }
    if (used <= WHOLE_BYTES && w->findings == NULL) {
        w->whole = tide__malloc(used);
        return w->whole == NULL ? TIDE_ENOMEM : read_at(w, 0, w->whole, used);
    }
    w->pages = tide__malloc((DEPTH_MOST + 1) * sizeof *w->pages);
    return w->pages == NULL ? TIDE_ENOMEM : TIDE_OK;
}

static void free_room(walk *w)
{
    tide__free(w->claims);
    tide__free(w->whole);
    tide__free(w->pages);
    w->claims = NULL;
    w->whole = NULL;
    w->pages = NULL;
}

/* The three trees that a store is made of. */
static int walk_store(walk *w)
{
    int rc = walk_tree(w, MAIN);
    bool lost = w->trees[MAIN].faulty; /* then what is missing is no other kind of file */
    if (rc == TIDE_OK && (!w->trees[META].found || !w->trees[MARKS].found) && !lost) {
        return no_store(w, "no sub-databases \"marks\" and \"meta\"");
    }
    if (rc == TIDE_OK && w->commit != NULL && w->trees[MARKS].found) {
        w->commit->marks = w->trees[MARKS].entries;
    }
    if (rc == TIDE_OK && w->trees[META].found) {
        rc = walk_tree(w, META);
        lost = w->trees[META].faulty;
        if (rc == TIDE_OK && (w->identity & 7u) != 7u && !lost) {
            return (w->identity & 1u) == 0 ? no_store(w, "no format version")
                                           : fault(w, w->trees[META].root, "damaged identity");
        }
    }
    return rc == TIDE_OK && w->trees[MARKS].found ? walk_tree(w, MARKS) : rc;
}

static int walk_commit(walk *w, const unsigned char *m)
{
    int rc = begin(w, m);
    if (rc == TIDE_OK) {
        rc = make_room(w);
    }
    if (rc == TIDE_OK) {
        rc = walk_store(w);
    }
    if (rc == TIDE_OK && w->fn == NULL) { /* for the marks alone, the free list does not matter */
        rc = walk_tree(w, FREE_LIST);
    }
    free_room(w);
    return rc;
}

/* ---- the metadata ------------------------------------------------------------------------------- */

typedef unsigned char meta_pair[2][META_BYTES];

static int read_metas(const walk *w, meta_pair metas)
{
    int rc = read_at(w, 0, metas[0], META_BYTES);
    return rc == TIDE_OK ? read_at(w, 1, metas[1], META_BYTES) : rc;
}

static bool meta_sound(meta_pair metas, unsigned i)
{
    const unsigned char *m = metas[i];
    return tide__get64(m) == i && tide__get16(m + PAGE_AT_FLAGS) == META_PAGE &&
           tide__get32(m + META_AT_MAGIC) == META_MAGIC &&
           tide__get32(m + META_AT_VERSION) == META_VERSION &&
           tide__get32(m + META_AT_FREE_LIST) == PAGE_BYTES;
}

/* The page of the newer commit, as LMDB chooses it. */
static unsigned newer_of(meta_pair metas)
{
    return tide__get64(metas[0] + META_AT_TRANSACTION) < tide__get64(metas[1] + META_AT_TRANSACTION);
}

/* Transaction N is on page N % 2, N - 1 on the other. */
static int check_numbers(const walk *w, meta_pair metas)
{
    unsigned newer = newer_of(metas);
    uint64_t number = tide__get64(metas[newer] + META_AT_TRANSACTION);
    return number % 2 == newer && number - tide__get64(metas[1 - newer] + META_AT_TRANSACTION) == 1
               ? TIDE_OK
               : fault(w, newer, "impossible transaction number");
}

static int walk_newest(walk *w, meta_pair metas)
{
    for (unsigned i = 0; i < 2; i++) {
        if (!meta_sound(metas, i)) {
            return fault(w, i, "damaged metadata");
        }
    }
    int rc = check_numbers(w, metas);
    return rc == TIDE_OK ? walk_commit(w, metas[newer_of(metas)]) : rc;
}

/* Whether the metadata is as it was; if not, takes over what it is now. */
static bool stands(const walk *w, meta_pair metas)
{
    meta_pair now;
    walk quiet = *w; /* that they cannot be read has been told */
    quiet.findings = NULL;
    if (read_metas(&quiet, now) != TIDE_OK || memcmp(metas, now, sizeof now) == 0) {
        return true;
    }
    memcpy(metas, now, sizeof now);
    return false;
}

static int overtaken(const walk *w)
{
    return tide__fail(w->detail, TIDE_EBUSY, "%s: changes while it is checked", w->path);
}

int tide__file_verify(int fd, const char *path, tide__detail *detail)
{
    meta_pair metas;
    walk w = {.fd = fd, .path = path, .detail = detail};
    int rc = read_metas(&w, metas);
    for (int tries = 0; rc == TIDE_OK; tries++) {
        rc = walk_newest(&w, metas);
        if ((rc != TIDE_ECORRUPT && rc != TIDE_EFORMAT) || stands(&w, metas)) {
            break;
        }
        rc = tries + 1 < WALK_TRIES ? TIDE_OK : overtaken(&w);
    }
    return rc;
}

/* ---- all faults, and the marks of one commit ---------------------------------------------------- */

/* The sound metadata pages with a commit, the newer first. */
static size_t list_commits(meta_pair metas, unsigned pages[2])
{
    unsigned newer = newer_of(metas);
    size_t count = 0;
    for (unsigned i = 0; i < 2; i++) {
        unsigned page = i == 0 ? newer : 1 - newer;
        if (meta_sound(metas, page) && tide__get64(metas[page] + META_AT_TRANSACTION) > 0) {
            pages[count++] = page;
        }
    }
    return count;
}

/* The commit before the last is what is left when the last one is damaged. Of it the first fault is
 * told: most that it has it shares with the last one. */
static int examine_previous(const walk *w, const unsigned char *m)
{
    tide__detail why;
    walk before = {.fd = w->fd, .path = w->path, .detail = &why};
    tide__detail_clear(&why);
    int rc = walk_commit(&before, m);
    if (rc != TIDE_ECORRUPT && rc != TIDE_EFORMAT && rc != TIDE_EIO) {
        return rc;
    }
    (void)note(w, tide__fail(w->detail, TIDE_ECORRUPT, "%s: the commit before the last, %llu: %s",
                             w->path, (unsigned long long)before.transaction,
                             why.text + strlen(w->path) + 2));
    return TIDE_OK;
}

static int examine(walk *w, meta_pair metas)
{
    unsigned pages[2];
    bool sound[2] = {meta_sound(metas, 0), meta_sound(metas, 1)};
    if (!sound[0] && !sound[1] && tide__get32(metas[0] + META_AT_MAGIC) != META_MAGIC &&
        tide__get32(metas[1] + META_AT_MAGIC) != META_MAGIC) {
        return note(w, tide__fail(w->detail, TIDE_EFORMAT, "%s: not an LMDB file", w->path));
    }
    for (unsigned i = 0; i < 2; i++) {
        if (!sound[i]) {
            (void)fault(w, i, "damaged metadata");
        }
    }
    if (sound[0] && sound[1]) {
        (void)check_numbers(w, metas);
    }
    size_t count = list_commits(metas, pages);
    int rc = count > 0 ? walk_commit(w, metas[pages[0]]) : TIDE_OK;
    return rc == TIDE_OK && count > 1 ? examine_previous(w, metas[pages[1]]) : rc;
}

int tide__file_examine(int fd, const char *path, tide__findings *findings, tide__detail *detail)
{
    meta_pair metas;
    walk w = {.fd = fd, .path = path, .detail = detail, .findings = findings};
    if (read_metas(&w, metas) != TIDE_OK) {
        return TIDE_OK;
    }
    for (int tries = 0; tries < WALK_TRIES; tries++) {
        int rc = examine(&w, metas);
        if (findings->no_memory || rc == TIDE_ENOMEM) {
            return TIDE_ENOMEM;
        }
        if (findings->count == 0 || stands(&w, metas)) {
            return findings->count == 0 ? rc : TIDE_OK;
        }
        tide__findings_clear(findings);
    }
    return overtaken(&w);
}

int tide__file_read(int fd, const char *path, unsigned back, tide__commit *commit,
                    tide__record_fn *fn, void *ctx, tide__detail *detail)
{
    meta_pair metas;
    unsigned pages[2];
    walk w = {.fd = fd, .path = path, .detail = detail, .fn = fn, .ctx = ctx, .commit = commit};
    *commit = (tide__commit){.marks = TIDE_MARKS_UNKNOWN};
    int rc = read_metas(&w, metas);
    if (rc != TIDE_OK || back >= list_commits(metas, pages)) {
        return rc == TIDE_OK ? TIDE_ABSENT : rc;
    }
    commit->alone = !meta_sound(metas, 0) || !meta_sound(metas, 1);
    commit->number = tide__get64(metas[pages[back]] + META_AT_TRANSACTION);
    rc = walk_commit(&w, metas[pages[back]]);
    return stands(&w, metas) ? rc : overtaken(&w);
}

int tide__file_free_pages(int fd, const char *path, unsigned char **bits, uint64_t *last_page,
                          tide__detail *detail)
{
    meta_pair metas;
    unsigned pages[2];
    walk w = {.fd = fd, .path = path, .detail = detail};
    *bits = NULL;
    int rc = read_metas(&w, metas);
    if (rc == TIDE_OK && list_commits(metas, pages) == 0) {
        rc = TIDE_ABSENT;
    }
    if (rc == TIDE_OK) {
        rc = begin(&w, metas[pages[0]]);
    }
    if (rc == TIDE_OK) {
        rc = make_room(&w);
    }
    if (rc == TIDE_OK) {
        rc = walk_tree(&w, FREE_LIST);
    }
    if (rc == TIDE_OK) {
        *bits = w.claims;
        *last_page = w.last_page;
        w.claims = NULL;
    }
    free_room(&w);
    return rc;
}
