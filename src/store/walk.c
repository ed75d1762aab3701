/* walk.c - one commit of a file, page by page; see walk.h.
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
 * - The main tree is of this very commit, and the checks of all marks make the sum that it bears:
 * no page is of an earlier one (sum.h).
 *
 * What cannot be seen: records of "meta" that are right in form. LMDB keeps no checksums.
 *
 * Numbers in the file have the machine's byte order. The metadata's mapsize and address and the
 * padding of pages and trees are not checked: nothing reads them.
 */
#include "store/walk.h"

#include "store/meta.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <tidemark/error.h>

#include "base/record.h"

#include "base/alloc.h"

#define NO_PAGE UINT64_MAX /* the root of an empty tree */
#define DEPTH_MOST 32      /* of LMDB's cursors */
#define WHOLE_BYTES (4u << 20)

enum { INTEGER_KEY = 8, NO_SUBDIR = 0x4000 }; /* flags of a tree */

int tide__walk_note(const tide__walk *w, int code)
{
    if (w->findings != NULL) {
        tide__findings_add(w->findings, code, w->detail->text);
    }
    return code;
}

int tide__walk_fault(const tide__walk *w, uint64_t page, const char *what)
{
    return tide__walk_note(w, tide__fail(w->detail, TIDE_ECORRUPT, "%s: page %llu: %s", w->path,
                                         (unsigned long long)page, what));
}

static int no_store(const tide__walk *w, const char *what)
{
    return tide__walk_note(w, tide__fail(w->detail, TIDE_EFORMAT,
                                         "%s: an LMDB file, but not a store: %s", w->path, what));
}

/* Where all faults are wanted, one ends nothing but the page or record that it was found in. */
static int go_on(tide__walk *w, tide__tree *t, int rc)
{
    if (w->findings == NULL || (rc != TIDE_ECORRUPT && rc != TIDE_EIO)) {
        return rc;
    }
    t->faulty = true;
    w->floor.at = NULL; /* it may lie on a page that makes room for the next */
    return TIDE_OK;
}

int tide__walk_read(const tide__walk *w, uint64_t page, unsigned char *buffer, size_t size)
{
    char words[128];
    size_t got = 0;
    int number = tide__page_read(w->fd, page, buffer, size, &got);
    uint64_t at = page + got / PAGE_BYTES;
    if (number != 0) {
        return tide__walk_note(w, tide__fail(w->detail, tide__code_of_errno(number),
                                             "%s: page %llu: %s", w->path, (unsigned long long)at,
                                             strerror_r(number, words, sizeof words)));
    }
    return got == size ? TIDE_OK : tide__walk_fault(w, at, "behind the end of the file");
}

/* The page up to the last one: in `whole`, or read into the place of its level. */
static int read_page(const tide__walk *w, uint64_t number, unsigned level,
                     const unsigned char **page)
{
    if (w->whole != NULL) {
        *page = w->whole + number * PAGE_BYTES;
        return TIDE_OK;
    }
    *page = w->pages[level];
    return tide__walk_read(w, number, w->pages[level], PAGE_BYTES);
}

/* Pages `first` to `first` + count - 1 are reached, or free, and nobody else's. */
static int claim(tide__walk *w, uint64_t first, uint64_t count)
{
    if (first < 2 || first > w->last_page || count > w->last_page - first + 1) {
        return tide__walk_fault(w, first, "referred to, but out of range");
    }
    for (uint64_t page = first; page < first + count; page++) {
        unsigned char bit = (unsigned char)(1u << page % 8);
        if ((w->claims[page / 8] & bit) != 0) {
            return tide__walk_fault(w, page, "referred to twice");
        }
        w->claims[page / 8] |= bit;
    }
    return TIDE_OK;
}

/* ---- pages -------------------------------------------------------------------------------------- */

static int compare(tide__tree_kind kind, tide__bytes left, tide__bytes right)
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

static bool key_possible(tide__tree_kind kind, tide__bytes key)
{
    return kind == FREE_LIST ? key.length == sizeof(uint64_t) : key.length > 0;
}

/* ---- what the leaves hold ----------------------------------------------------------------------- */

typedef struct id_list {
    uint64_t left;
    uint64_t previous;
} id_list;

static int claim_ids(tide__walk *w, uint64_t page, id_list *ids, const unsigned char *at,
                     size_t count)
{
    int rc = TIDE_OK;
    for (size_t i = 0; rc == TIDE_OK && i < count && ids->left > 0; i++) {
        uint64_t id = tide__get64(at + 8 * i);
        if (id >= ids->previous) {
            return tide__walk_fault(w, page, "free pages out of order");
        }
        rc = claim(w, id, 1);
        ids->previous = id;
        ids->left--;
    }
    return rc;
}

/* A record of the free list: a count, then as many pages that the transaction in the key has freed,
 * falling. It may be longer than that. */
static int free_record(tide__walk *w, tide__tree *t, uint64_t page, const tide__node *n)
{
    const unsigned char *data = n->data.at;
    size_t here = n->data.length / 8;
    uint64_t at = page;
    uint64_t freed_in = tide__get64(n->key.at);
    if (freed_in < 1 || freed_in > w->transaction || n->data.length % 8 != 0 || here < 1 ||
        (n->flags & ~BIG_DATA) != 0) {
        return tide__walk_fault(w, page, "not a record of the free list");
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
            return tide__walk_fault(w, at, "not an overflow page");
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
        return tide__walk_fault(w, at, "more free pages than the record holds");
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

static void load_tree(tide__tree *t, const unsigned char *at)
{
    memcpy(t, at, TREE_BYTES);
    t->found = true;
}

static bool named(tide__bytes key, const char *name)
{
    return key.length == strlen(name) && memcmp(key.at, name, key.length) == 0;
}

/* A record of the main tree. */
static int main_record(tide__walk *w, uint64_t page, const tide__node *n)
{
    tide__tree_kind kind = named(n->key, TIDE__DB_MARKS) ? MARKS : META;
    if (named(n->key, TIDE__SUM_NAME)) {
        w->summed = true;
        return n->flags == 0 && tide__sum_decode(n->data.at, n->data.length, &w->sum)
                   ? TIDE_OK
                   : tide__walk_fault(w, page, "a damaged sum");
    }
    if (n->flags != SUB_DATABASE || n->data.length != TREE_BYTES ||
        (kind == META && !named(n->key, TIDE__DB_META))) {
        return no_store(w, "something else in its main tree");
    }
    load_tree(&w->trees[kind], n->data.at);
    return TIDE_OK;
}

static int identity(tide__walk *w, uint64_t page, const tide__node *n)
{
    static const char *const names[] = {TIDE__META_FORMAT, TIDE__META_STORE, TIDE__META_CREATED,
                                        TIDE__META_REWOUND, TIDE__META_REMOVED};
    static const unsigned count = sizeof names / sizeof *names;
    const char *text = (const char *)n->data.at;
    tide_time created = 0;
    uint64_t number = 0;
    uuid_t id;
    unsigned which = 0;
    while (which < count && !named(n->key, names[which])) {
        which++;
    }
    if (which == 0 && (n->flags != 0 || !named(n->data, TIDE__FORMAT_VERSION))) {
        return tide__walk_note(
            w, tide__fail(w->detail, TIDE_EFORMAT, "%s: another format version: %.*s, expected %s",
                          w->path, (int)(n->data.length < 16 ? n->data.length : 16), text,
                          TIDE__FORMAT_VERSION));
    }
    if (n->flags != 0 ||
        (which == 1 && (n->data.length != TIDE__UUID_TEXT || !tide__uuid_parse(text, id))) ||
        (which == 2 && tide_time_parse(text, n->data.length, &created) != TIDE_OK)) {
        return tide__walk_fault(w, page, "damaged identity");
    }
    if (which > 2 && which < count && !tide__number_decode(text, n->data.length, &number)) {
        return tide__walk_fault(w, page, "a damaged record of \"meta\"");
    }
    if (w->commit != NULL && which == 1) {
        uuid_copy(w->commit->identity.store_id, id);
    } else if (w->commit != NULL && which == 2) {
        w->commit->identity.created_at = created;
    }
    w->identity |= 1u << which;
    return TIDE_OK;
}

static int mark(tide__walk *w, uint64_t page, const tide__node *n)
{
    char resource[TIDE_RESOURCE_MAX + 1];
    char what[TIDE__KEY_MAX + 32];
    uuid_t device;
    uuid_t peer;
    tide_mark value;
    if (tide__key_decode(n->key.at, n->key.length, device, peer, resource) != TIDE_OK) {
        return tide__walk_fault(w, page, "a damaged mark");
    }
    if (n->flags != 0 || tide__record_decode(n->key.at, n->key.length, n->data.at, n->data.length,
                                             &value) != TIDE_OK) {
        (void)snprintf(what, sizeof what, "a damaged mark: %.*s", (int)n->key.length,
                       (const char *)n->key.at);
        return tide__walk_fault(w, page, what);
    }
    w->sum.checks -= tide__record_check(n->data.at, n->data.length);
    return w->fn == NULL ? TIDE_OK
                         : w->fn(w->ctx, n->key.at, n->key.length, n->data.at, n->data.length);
}

static int record(tide__walk *w, tide__tree *t, uint64_t page, const tide__node *n)
{
    t->entries--;
    switch (t->kind) {
    case FREE_LIST:
        return free_record(w, t, page, n);
    case MAIN:
        return main_record(w, page, n);
    case META:
        return identity(w, page, n);
    case MARKS:
    default:
        return mark(w, page, n);
    }
}

/* ---- trees -------------------------------------------------------------------------------------- */

static int walk_leaf(tide__walk *w, tide__tree *t, uint64_t number, const unsigned char *page,
                     size_t count)
{
    int rc = TIDE_OK;
    t->leaves--;
    for (size_t i = 0; rc == TIDE_OK && i < count; i++) {
        tide__node n = tide__node_at(page, i);
        if (!key_possible(t->kind, n.key) ||
            (w->last.at != NULL && compare(t->kind, w->last, n.key) >= 0) ||
            (w->floor.at != NULL && compare(t->kind, w->floor, n.key) > 0)) {
            rc = tide__walk_fault(w, number, "keys out of order");
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

static int walk_page(tide__walk *w, tide__tree *t, uint64_t number, unsigned level)
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
        return tide__walk_fault(w, number, "bears another number");
    }
    if (tide__get16(page + PAGE_AT_FLAGS) != (leaf ? LEAF : BRANCH)) {
        return tide__walk_fault(w, number, leaf ? "not a leaf" : "not a branch");
    }
    const char *what = tide__page_fault(page, leaf, &count);
    if (what != NULL) {
        return tide__walk_fault(w, number, what);
    }
    if (leaf) {
        return walk_leaf(w, t, number, page, count);
    }
    /* LMDB asserts two, except in the free list. */
    if (count < 2 && t->kind != FREE_LIST) {
        return tide__walk_fault(w, number, "a branch with one child");
    }
    t->branches--;
    for (size_t i = 0; rc == TIDE_OK && i < count; i++) {
        tide__node n = tide__node_at(page, i);
        if (i > 0) {
            if (!key_possible(t->kind, n.key) ||
                (w->last.at != NULL && compare(t->kind, w->last, n.key) >= 0)) {
                return tide__walk_fault(w, number, "keys out of order");
            }
            w->floor = n.key;
        }
        rc = go_on(w, t, walk_page(w, t, tide__child_at(page, i), level + 1));
    }
    return rc;
}

static int walk_tree(tide__walk *w, tide__tree_kind kind)
{
    static const char *const names[] = {"the free list", "the main tree", "meta", "marks"};
    tide__tree *t = &w->trees[kind];
    int rc = TIDE_OK;
    unsigned flags = kind == FREE_LIST ? t->flags & ~(unsigned)NO_SUBDIR : t->flags;
    t->kind = kind;
    w->last.at = NULL;
    w->floor.at = NULL;
    if (flags != (kind == FREE_LIST ? INTEGER_KEY : 0) || t->depth > DEPTH_MOST ||
        (t->depth == 0) != (t->root == NO_PAGE)) {
        return go_on(w, t,
                     tide__walk_note(w, tide__fail(w->detail, TIDE_ECORRUPT,
                                                   "%s: page %llu: impossible root of %s", w->path,
                                                   (unsigned long long)t->root, names[kind])));
    }
    if (t->depth > 0) {
        rc = go_on(w, t, walk_page(w, t, t->root, 0));
    }
    if (rc == TIDE_OK && !t->faulty && (t->branches | t->leaves | t->overflows | t->entries) != 0) {
        rc = go_on(
            w, t,
            tide__walk_note(w, tide__fail(w->detail, TIDE_ECORRUPT,
                                          "%s: page %llu: %s has other counts than recorded",
                                          w->path, (unsigned long long)t->root, names[kind])));
    }
    return rc;
}

/* ---- one commit --------------------------------------------------------------------------------- */

/* Takes over the commit of one metadata page. */
static int begin(tide__walk *w, const unsigned char *m)
{
    struct stat st;
    if (fstat(w->fd, &st) != 0) {
        return tide__fail_errno(w->detail, errno, w->path);
    }
    uint64_t pages = (uint64_t)st.st_size / PAGE_BYTES;
    w->transaction = tide__get64(m + META_AT_TRANSACTION);
    w->last_page = tide__get64(m + META_AT_LAST_PAGE);
    if (w->last_page < 1 || w->last_page >= pages) {
        int rc = tide__walk_fault(w, tide__get64(m), "the last page is behind the end of the file");
        if (w->findings == NULL) {
            return rc;
        }
        w->last_page = pages - 1; /* both metadata pages have been read */
    }
    memset(w->trees, 0, sizeof w->trees);
    load_tree(&w->trees[FREE_LIST], m + META_AT_FREE_LIST);
    load_tree(&w->trees[MAIN], m + META_AT_MAIN);
    w->identity = 0;
    w->summed = false;
    return TIDE_OK;
}

/* Memory for what begin has found; a small file is read at one go, which takes a tenth of the time.
 * A page that cannot be read then hides all others, so not where every fault is wanted. */
static int make_room(tide__walk *w)
{
    size_t used = (size_t)(w->last_page + 1) * PAGE_BYTES;
    w->claims = tide__calloc(w->last_page / 8 + 1, 1);
    if (w->claims == NULL) {
        return TIDE_ENOMEM;
    }
    if (used <= WHOLE_BYTES && w->findings == NULL) {
        w->whole = tide__malloc(used);
        return w->whole == NULL ? TIDE_ENOMEM : tide__walk_read(w, 0, w->whole, used);
    }
    w->pages = tide__malloc((DEPTH_MOST + 1) * sizeof *w->pages);
    return w->pages == NULL ? TIDE_ENOMEM : TIDE_OK;
}

static void free_room(tide__walk *w)
{
    tide__free(w->claims);
    tide__free(w->whole);
    tide__free(w->pages);
    w->claims = NULL;
    w->whole = NULL;
    w->pages = NULL;
}

static int walk_marks(tide__walk *w)
{
    tide__tree *main = &w->trees[MAIN];
    tide__tree *marks = &w->trees[MARKS];
    int rc = TIDE_OK;
    if (w->summed && !main->faulty && !tide__sum_is_of(&w->sum, w->transaction)) {
        rc = go_on(w, main, tide__walk_fault(w, main->root, "of an earlier commit"));
    }
    if (rc == TIDE_OK) {
        rc = walk_tree(w, MARKS);
    }
    if (rc == TIDE_OK && w->summed && !main->faulty && !marks->faulty && w->sum.checks != 0) {
        rc = go_on(w, marks, tide__walk_fault(w, main->root, "its sum is not that of the marks"));
    }
    return rc;
}

/* The three trees that a store is made of. */
static int walk_store(tide__walk *w)
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
            return (w->identity & 1u) == 0
                       ? no_store(w, "no format version")
                       : tide__walk_fault(w, w->trees[META].root, "damaged identity");
        }
    }
    return rc == TIDE_OK && w->trees[MARKS].found ? walk_marks(w) : rc;
}

int tide__walk_commit(tide__walk *w, const unsigned char *m)
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

int tide__walk_free_list(tide__walk *w, const unsigned char *m)
{
    unsigned char *claims = NULL;
    int rc = begin(w, m);
    if (rc == TIDE_OK) {
        rc = make_room(w);
    }
    if (rc == TIDE_OK) {
        rc = walk_tree(w, FREE_LIST);
    }
    if (rc == TIDE_OK) {
        claims = w->claims;
        w->claims = NULL;
    }
    free_room(w);
    w->claims = claims;
    return rc;
}
