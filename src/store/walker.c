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
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tidemark/error.h>

#include "base/key.h"
#include "base/record.h"
#include "store/file.h"
#include "store/layout.h"

#include "base/alloc.h"

#define NO_PAGE UINT64_MAX /* the root of an empty tree */
#define DEPTH_MOST 32      /* of LMDB's cursors */
#define WALK_TRIES 8
#define WHOLE_BYTES (4u << 20)

/* A page: number u64, padding u16, flags u16, then lower u16 and upper u16, or the count u32 of
 * overflow pages, then an offset u16 for each node. */
enum {
    PAGE_AT_FLAGS = 10,
    PAGE_AT_LOWER = 12,
    PAGE_AT_UPPER = 14,
    PAGE_AT_COUNT = 12,
    PAGE_HEAD = 16
};
enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4, META_PAGE = 8 };

/* A node: size of the data u32, flags u16, size of the key u16, key, data. On a branch the first
 * three u16 are the child. Big data is the number of its first overflow page. Sizes are rounded up
 * to 2. */
enum { NODE_AT_FLAGS = 4, NODE_AT_KEY_SIZE = 6, NODE_HEAD = 8 };
enum { BIG_DATA = 1, SUB_DATABASE = 2 };

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
} tree;
_Static_assert(offsetof(tree, kind) == TREE_BYTES, "a tree as LMDB stores it");

typedef struct bytes {
    const unsigned char *at;
    size_t length;
} bytes;

typedef struct node {
    bytes key;
    bytes data;
    uint16_t flags;
} node;

typedef struct walk {
    int fd;
    const char *path;
    tide__detail *detail;
    uint64_t last_page;
    uint64_t transaction;
    unsigned char *claims;              /* a bit for each page */
    unsigned char *whole;               /* all pages up to the last one, of a small file */
    unsigned char (*pages)[PAGE_BYTES]; /* else one for each level, and one for overflow pages */
    tree trees[TREES];
    unsigned identity;                     /* records of "meta": a bit for each name */
    bytes floor;                           /* the next key is not below this one; at NULL: any */
    bytes last;                            /* the next key is above this one */
    unsigned char last_key[TIDE__KEY_MAX]; /* where `last` lies between two leaves */
} walk;

static uint16_t get16(const unsigned char *at)
{
    uint16_t value = 0;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint32_t get32(const unsigned char *at)
{
    uint32_t value = 0;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t get64(const unsigned char *at)
{
    uint64_t value = 0;
    memcpy(&value, at, sizeof value);
    return value;
}

static int fault(const walk *w, uint64_t page, const char *what)
{
    return tide__fail(w->detail, TIDE_ECORRUPT, "%s: page %llu: %s", w->path,
                      (unsigned long long)page, what);
}

static int no_store(const walk *w, const char *what)
{
    return tide__fail(w->detail, TIDE_EFORMAT, "%s: an LMDB file, but not a store: %s", w->path,
                      what);
}

static int read_at(const walk *w, uint64_t page, unsigned char *buffer, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(w->fd, buffer + done, size - done, (off_t)(page * PAGE_BYTES + done));
        if (got < 0 && errno != EINTR) {
            return tide__fail_errno(w->detail, errno, w->path);
        }
        if (got == 0) {
            return fault(w, page + done / PAGE_BYTES, "behind the end of the file");
        }
        done += got < 0 ? 0 : (size_t)got;
    }
    return TIDE_OK;
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

static node node_at(const unsigned char *page, size_t index)
{
    const unsigned char *at = page + get16(page + PAGE_HEAD + 2 * index);
    node n = {.flags = get16(at + NODE_AT_FLAGS)};
    n.key = (bytes){at + NODE_HEAD, get16(at + NODE_AT_KEY_SIZE)};
    n.data = (bytes){n.key.at + n.key.length, get32(at)};
    return n;
}

static uint64_t child_at(const unsigned char *page, size_t index)
{
    const unsigned char *at = page + get16(page + PAGE_HEAD + 2 * index);
    return get32(at) | (uint64_t)get16(at + NODE_AT_FLAGS) << 32;
}

/* NULL, or what is wrong with how the nodes lie on a page. */
static const char *layout_fault(const unsigned char *page, bool leaf, size_t *count)
{
    uint16_t sizes[PAGE_BYTES / 2] = {0}; /* of the node that begins there */
    size_t lower = get16(page + PAGE_AT_LOWER);
    size_t upper = get16(page + PAGE_AT_UPPER);
    if (lower <= PAGE_HEAD || lower > upper || upper > PAGE_BYTES || (lower | upper) % 2 != 0) {
        return "impossible bounds";
    }
    *count = (lower - PAGE_HEAD) / 2;
    for (size_t i = 0; i < *count; i++) {
        size_t at = get16(page + PAGE_HEAD + 2 * i);
        if (at < upper || at > PAGE_BYTES - NODE_HEAD || at % 2 != 0) {
            return "a node out of bounds";
        }
        size_t key = get16(page + at + NODE_AT_KEY_SIZE);
        size_t data = !leaf                                                ? 0
                      : (get16(page + at + NODE_AT_FLAGS) & BIG_DATA) != 0 ? sizeof(uint64_t)
                                                                           : get32(page + at);
        size_t size = NODE_HEAD + key + data;
        if (key > TIDE__KEY_MAX || size > PAGE_BYTES - at) {
            return "a node longer than the page";
        }
        sizes[at / 2] = (uint16_t)((size + 1) / 2 * 2);
    }
    size_t at = upper;
    size_t met = 0;
    while (at < PAGE_BYTES && sizes[at / 2] != 0) {
        at += sizes[at / 2];
        met++;
    }
    return at == PAGE_BYTES && met == *count ? NULL : "nodes with gaps, or over one another";
}

static int compare(tree_kind kind, bytes left, bytes right)
{
    if (kind == FREE_LIST) {
        uint64_t l = get64(left.at);
        uint64_t r = get64(right.at);
        return (l > r) - (l < r);
    }
    size_t shorter = left.length < right.length ? left.length : right.length;
    int order = memcmp(left.at, right.at, shorter);
    return order != 0 ? order : (left.length > right.length) - (left.length < right.length);
}

static bool key_possible(tree_kind kind, bytes key)
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
        uint64_t id = get64(at + 8 * i);
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
static int free_record(walk *w, tree *t, uint64_t page, const node *n)
{
    const unsigned char *data = n->data.at;
    size_t here = n->data.length / 8;
    uint64_t at = page;
    uint64_t freed_in = get64(n->key.at);
    if (freed_in < 1 || freed_in > w->transaction || n->data.length % 8 != 0 || here < 1 ||
        (n->flags & ~BIG_DATA) != 0) {
        return fault(w, page, "not a record of the free list");
    }
    if ((n->flags & BIG_DATA) != 0) {
        const unsigned char *head = NULL;
        uint64_t needed = (PAGE_HEAD + (uint64_t)n->data.length + PAGE_BYTES - 1) / PAGE_BYTES;
        at = get64(n->data.at);
        int rc = claim(w, at, needed);
        if (rc == TIDE_OK) {
            rc = read_page(w, at, DEPTH_MOST, &head);
        }
        if (rc != TIDE_OK) {
            return rc;
        }
        uint64_t pages = get32(head + PAGE_AT_COUNT); /* may be more than are needed now */
        if (get64(head) != at || get16(head + PAGE_AT_FLAGS) != OVERFLOW || pages < needed) {
            return fault(w, at, "not an overflow page");
        }
        if (pages > needed && (rc = claim(w, at + needed, pages - needed)) != TIDE_OK) {
            return rc;
        }
        t->overflows -= pages;
        data = head + PAGE_HEAD;
        here = (PAGE_BYTES - PAGE_HEAD) / 8;
    }
    id_list ids = {get64(data), NO_PAGE};
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

static bool named(bytes key, const char *name)
{
    return key.length == strlen(name) && memcmp(key.at, name, key.length) == 0;
}

static int sub_database(walk *w, const node *n)
{
    tree_kind kind = named(n->key, TIDE__DB_MARKS) ? MARKS : META;
    if (n->flags != SUB_DATABASE || n->data.length != TREE_BYTES ||
        (kind == META && !named(n->key, TIDE__DB_META))) {
        return no_store(w, "something else in its main tree");
    }
    load_tree(&w->trees[kind], n->data.at);
    return TIDE_OK;
}

static int identity(walk *w, uint64_t page, const node *n)
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
        return tide__fail(w->detail, TIDE_EFORMAT, "%s: another format version: %.*s, expected %s",
                          w->path, (int)(n->data.length < 16 ? n->data.length : 16), text,
                          TIDE__FORMAT_VERSION);
    }
    if (n->flags != 0 ||
        (which == 1 && (n->data.length != TIDE__UUID_TEXT || !tide__uuid_parse(text, id))) ||
        (which == 2 && tide_time_parse(text, n->data.length, &created) != TIDE_OK)) {
        return fault(w, page, "damaged identity");
    }
    w->identity |= 1u << which;
    return TIDE_OK;
}

static int mark(walk *w, uint64_t page, const node *n)
{
    char resource[TIDE_RESOURCE_MAX + 1];
    uuid_t device;
    uuid_t peer;
    tide_mark value;
    if (n->flags != 0 ||
        tide__key_decode(n->key.at, n->key.length, device, peer, resource) != TIDE_OK ||
        tide__record_decode(n->key.at, n->key.length, n->data.at, n->data.length, &value) !=
            TIDE_OK) {
        return fault(w, page, "a damaged mark");
    }
    return TIDE_OK;
}

static int record(walk *w, tree *t, uint64_t page, const node *n)
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
        node n = node_at(page, i);
        if (!key_possible(t->kind, n.key) ||
            (w->last.at != NULL && compare(t->kind, w->last, n.key) >= 0) ||
            (w->floor.at != NULL && compare(t->kind, w->floor, n.key) > 0)) {
            return fault(w, number, "keys out of order");
        }
        w->last = n.key;
        w->floor.at = NULL;
        rc = record(w, t, number, &n);
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
    if (get64(page) != number) {
        return fault(w, number, "bears another number");
    }
    if (get16(page + PAGE_AT_FLAGS) != (leaf ? LEAF : BRANCH)) {
        return fault(w, number, leaf ? "not a leaf" : "not a branch");
    }
    const char *what = layout_fault(page, leaf, &count);
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
        node n = node_at(page, i);
        if (i > 0) {
            if (!key_possible(t->kind, n.key) || compare(t->kind, w->last, n.key) >= 0) {
                return fault(w, number, "keys out of order");
            }
            w->floor = n.key;
        }
        rc = walk_page(w, t, child_at(page, i), level + 1);
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
        return tide__fail(w->detail, TIDE_ECORRUPT, "%s: page %llu: impossible root of %s", w->path,
                          (unsigned long long)t->root, names[kind]);
    }
    if (t->depth > 0) {
        rc = walk_page(w, t, t->root, 0);
    }
    if (rc == TIDE_OK && (t->branches | t->leaves | t->overflows | t->entries) != 0) {
        rc =
            tide__fail(w->detail, TIDE_ECORRUPT, "%s: page %llu: %s has other counts than recorded",
                       w->path, (unsigned long long)t->root, names[kind]);
    }
    return rc;
}

/* ---- the file ----------------------------------------------------------------------------------- */

typedef unsigned char meta_pair[2][META_BYTES];

static int read_metas(const walk *w, meta_pair metas)
{
    int rc = read_at(w, 0, metas[0], META_BYTES);
    return rc == TIDE_OK ? read_at(w, 1, metas[1], META_BYTES) : rc;
}

/* Takes over the newer commit, as LMDB chooses it: transaction N is on page N % 2, N - 1 on the
 * other. */
static int begin(walk *w, meta_pair metas)
{
    uint64_t transactions[2];
    struct stat st;
    for (unsigned i = 0; i < 2; i++) {
        const unsigned char *m = metas[i];
        transactions[i] = get64(m + META_AT_TRANSACTION);
        if (get64(m) != i || get16(m + PAGE_AT_FLAGS) != META_PAGE ||
            get32(m + META_AT_MAGIC) != META_MAGIC || get32(m + META_AT_VERSION) != META_VERSION ||
            get32(m + META_AT_FREE_LIST) != PAGE_BYTES) {
            return fault(w, i, "damaged metadata");
        }
    }
    unsigned newer = transactions[0] < transactions[1];
    const unsigned char *m = metas[newer];
    w->transaction = transactions[newer];
    w->last_page = get64(m + META_AT_LAST_PAGE);
    if (w->transaction % 2 != newer || w->transaction - transactions[1 - newer] != 1) {
        return fault(w, newer, "impossible transaction number");
    }
    if (fstat(w->fd, &st) != 0) {
        return tide__fail_errno(w->detail, errno, w->path);
    }
    if (w->last_page < 1 || w->last_page >= (uint64_t)st.st_size / PAGE_BYTES) {
        return fault(w, newer, "the last page is behind the end of the file");
    }
    memset(w->trees, 0, sizeof w->trees);
    load_tree(&w->trees[FREE_LIST], m + META_AT_FREE_LIST);
    load_tree(&w->trees[MAIN], m + META_AT_MAIN);
    w->identity = 0;
    return TIDE_OK;
}

/* Memory for what begin has found; a small file is read at one go, which takes a tenth of the time. */
static int make_room(walk *w)
{
    size_t used = (size_t)(w->last_page + 1) * PAGE_BYTES;
    w->claims = tide__calloc(w->last_page / 8 + 1, 1);
    if (w->claims == NULL) {
        return TIDE_ENOMEM;
    }
    if (used <= WHOLE_BYTES) {
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

static int walk_file(walk *w, meta_pair metas)
{
    int rc = begin(w, metas);
    if (rc == TIDE_OK) {
        rc = make_room(w);
    }
    if (rc == TIDE_OK) {
        rc = walk_tree(w, MAIN);
    }
    if (rc == TIDE_OK && (!w->trees[META].found || !w->trees[MARKS].found)) {
        return no_store(w, "no sub-databases \"marks\" and \"meta\"");
    }
    if (rc == TIDE_OK) {
        rc = walk_tree(w, META);
    }
    if (rc == TIDE_OK && (w->identity & 7u) != 7u) {
        return (w->identity & 1u) == 0 ? no_store(w, "no format version")
                                       : fault(w, w->trees[META].root, "damaged identity");
    }
    if (rc == TIDE_OK) {
        rc = walk_tree(w, MARKS);
    }
    return rc == TIDE_OK ? walk_tree(w, FREE_LIST) : rc;
}

int tide__file_verify(int fd, const char *path, tide__detail *detail)
{
    meta_pair before;
    meta_pair after;
    walk w = {.fd = fd, .path = path, .detail = detail};
    int rc = read_metas(&w, before);
    for (int tries = 0; rc == TIDE_OK; tries++) {
        rc = walk_file(&w, before);
        free_room(&w);
        if ((rc != TIDE_ECORRUPT && rc != TIDE_EFORMAT) || read_metas(&w, after) != TIDE_OK ||
            memcmp(before, after, sizeof before) == 0) {
            break;
        }
        rc = tries + 1 < WALK_TRIES
                 ? TIDE_OK
                 : tide__fail(detail, TIDE_EBUSY, "%s: changes while it is checked", path);
        memcpy(before, after, sizeof before);
    }
    return rc;
}
