/* repair.c - a store made of what can still be read of a damaged one; see tidemark/backup.h.
 *
 * Three ways, each only where those before it fail: the last commit, the one before it, and every
 * page by itself. The third takes what proves itself, because a record's check covers its key; it
 * takes no page that is known to be free, and of several versions of a mark the lowest. So no mark
 * of the new store claims rows that the damaged one did not, unless the free list is damaged too,
 * and then that is told.
 */
#include "store/backup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/record.h"
#include "store/builder.h"
#include "store/page.h"

#include "base/alloc.h"

#define FIRST_MARKS 1024
#define FIRST_BYTES (FIRST_MARKS * 160)

/* A mark that was found: its key and then its record lie at `at`. */
typedef struct found {
    size_t at;
    uint16_t key_length;
    uint16_t length;
    tide_time watermark;
} found;

typedef struct repair {
    int fd;
    const char *path;
    tide_notice_fn *notice;
    void *ctx;
    tide__detail *detail;
    tide_repaired result;
    unsigned char *free_pages; /* a bit each; NULL: not known */
    tide__identity identity;   /* as found; the id is null where it was not */
    unsigned char *bytes;      /* keys and records */
    size_t bytes_used, bytes_room;
    found *marks;
    size_t count, room;
    bool unwritten; /* it is the new store that failed: another way to read will not help */
    int unread;     /* why a page could not be read: errno, or 0 */
} repair;

static void tell(const repair *r, int code, const tide__detail *line)
{
    if (r->notice != NULL) {
        r->notice(r->ctx, code, line->text);
    }
}

/* ---- page by page ------------------------------------------------------------------------------- */

/* Doubles `room` until `needed` fits. */
static void *grown(void *array, size_t *room, size_t needed, size_t first, size_t size)
{
    size_t larger = *room == 0 ? first : *room;
    while (larger < needed) {
        larger *= 2;
    }
    void *memory = larger == *room ? array : tide__realloc(array, larger * size);
    *room = memory != NULL ? larger : *room;
    return memory;
}

static int keep_mark(repair *r, const tide__node *n, tide_time watermark)
{
    size_t length = n->key.length + n->data.length;
    found *marks = grown(r->marks, &r->room, r->count + 1, FIRST_MARKS, sizeof *marks);
    if (marks == NULL) {
        return TIDE_ENOMEM;
    }
    r->marks = marks;
    unsigned char *bytes = grown(r->bytes, &r->bytes_room, r->bytes_used + length, FIRST_BYTES, 1);
    if (bytes == NULL) {
        return TIDE_ENOMEM;
    }
    r->bytes = bytes;
    memcpy(bytes + r->bytes_used, n->key.at, n->key.length);
    memcpy(bytes + r->bytes_used + n->key.length, n->data.at, n->data.length);
    r->marks[r->count++] =
        (found){r->bytes_used, (uint16_t)n->key.length, (uint16_t)n->data.length, watermark};
    r->bytes_used += length;
    return TIDE_OK;
}

static bool named(const tide__node *n, const char *name)
{
    return n->key.length == strlen(name) && memcmp(n->key.at, name, n->key.length) == 0;
}

/* What the node proves to be: a mark, or a part of the store's identity. */
static int take_node(repair *r, const tide__node *n)
{
    char resource[TIDE_RESOURCE_MAX + 1];
    uuid_t device;
    uuid_t peer;
    tide_mark mark;
    const char *text = (const char *)n->data.at;
    if (n->flags != 0) {
        return TIDE_OK;
    }
    if (named(n, TIDE__META_STORE) && n->data.length == TIDE__UUID_TEXT) {
        if (!tide__uuid_parse(text, r->identity.store_id)) {
            uuid_clear(r->identity.store_id);
        }
    } else if (named(n, TIDE__META_CREATED)) {
        (void)tide_time_parse(text, n->data.length, &r->identity.created_at);
    } else if (tide__key_decode(n->key.at, n->key.length, device, peer, resource) == TIDE_OK &&
               tide__record_decode(n->key.at, n->key.length, n->data.at, n->data.length, &mark) ==
                   TIDE_OK) {
        return keep_mark(r, n, mark.watermark);
    }
    return TIDE_OK;
}

/* Whatever kind of page it says it is: records prove themselves. */
static int take_page(repair *r, const unsigned char *page)
{
    size_t lower = tide__get16(page + PAGE_AT_LOWER);
    int rc = TIDE_OK;
    if (lower <= PAGE_HEAD || lower > PAGE_BYTES) {
        return TIDE_OK;
    }
    for (size_t i = 0; rc == TIDE_OK && i < (lower - PAGE_HEAD) / 2; i++) {
        size_t size = 0;
        if (tide__node_fault(page, tide__get16(page + PAGE_HEAD + 2 * i), true, &size) == NULL) {
            tide__node n = tide__node_at(page, i);
            /* Of big data only a page number lies here. */
            rc = (n.flags & BIG_DATA) == 0 ? take_node(r, &n) : TIDE_OK;
        }
    }
    return rc;
}

static int take_pages(repair *r)
{
    unsigned char page[PAGE_BYTES];
    struct stat st;
    uint64_t last = 0;
    if (fstat(r->fd, &st) != 0) {
        return tide__fail_errno(r->detail, errno, r->path);
    }
    uint64_t end = (uint64_t)st.st_size / PAGE_BYTES;
    int rc = tide__file_free_pages(r->fd, r->path, &r->free_pages, &last, r->detail);
    if (rc == TIDE_ENOMEM) {
        return rc;
    }
    end = rc == TIDE_OK && last + 1 < end ? last + 1 : end;
    rc = TIDE_OK;
    for (uint64_t number = 2; rc == TIDE_OK && number < end; number++) {
        size_t got = 0;
        bool is_free = r->free_pages != NULL && (r->free_pages[number / 8] & 1u << number % 8) != 0;
        int native = is_free ? 0 : tide__page_read(r->fd, number, page, sizeof page, &got);
        if (native != 0) {
            r->unread = native;
        } else if (got == sizeof page) {
            rc = take_page(r, page);
        }
    }
    return rc;
}

/* ---- one of each -------------------------------------------------------------------------------- */

static int compare_keys(const found *a, const found *b, const unsigned char *bytes)
{
    size_t shorter = a->key_length < b->key_length ? a->key_length : b->key_length;
    int order = memcmp(bytes + a->at, bytes + b->at, shorter);
    return order != 0 ? order : a->key_length - b->key_length;
}

static int by_key_then_watermark(const void *a, const void *b, void *bytes)
{
    const found *x = a;
    const found *y = b;
    int order = compare_keys(x, y, bytes);
    return order != 0 ? order : (x->watermark > y->watermark) - (x->watermark < y->watermark);
}

/* How many there are of one mark, from its lowest version on. */
static size_t versions(const repair *r, size_t at)
{
    size_t count = 1;
    while (at + count < r->count &&
           compare_keys(&r->marks[at], &r->marks[at + count], r->bytes) == 0) {
        count++;
    }
    return count;
}

static void tell_older(const repair *r, const found *lowest, const found *highest)
{
    char low[TIDE_TIME_TEXT];
    char high[TIDE_TIME_TEXT];
    tide__detail line;
    tide_time_format(lowest->watermark, low);
    tide_time_format(highest->watermark, high);
    (void)tide__fail(&line, 0, "%s: may be older: %s is in it, %s was found too: %.*s", r->path,
                     low, high, (int)lowest->key_length, (const char *)r->bytes + lowest->at);
    tell(r, TIDE_ECORRUPT, &line);
}

static int put_lowest(repair *r, tide__builder *builder)
{
    int rc = TIDE_OK;
    size_t count = 0;
    for (size_t i = 0; rc == TIDE_OK && i < r->count; i += count) {
        const found *f = &r->marks[i];
        count = versions(r, i);
        if (f[count - 1].watermark > f->watermark) {
            r->result.older++;
            tell_older(r, f, &f[count - 1]);
        }
        rc = tide__builder_put(builder, r->bytes + f->at, f->key_length,
                               r->bytes + f->at + f->key_length, f->length, r->detail);
        r->result.marks++;
    }
    return rc;
}

static int complete_identity(repair *r)
{
    tide__detail line;
    if (uuid_is_null(r->identity.store_id)) {
        if (r->count == 0 && r->unread != 0) { /* which may be a store all the same */
            return tide__fail_errno(r->detail, r->unread, r->path);
        }
        if (r->count == 0) {
            return tide__fail(r->detail, TIDE_EFORMAT, "%s: nothing in it looks like a store",
                              r->path);
        }
        uuid_generate_random(r->identity.store_id);
        (void)tide__fail(&line, 0, "%s: its id is lost: the new store has another one", r->path);
        tell(r, TIDE_ECORRUPT, &line);
    }
    if (r->identity.created_at == TIDE_TIME_NONE) {
        r->identity.created_at = tide__clock_now(NULL, NULL);
    }
    return TIDE_OK;
}

static void sum_up(repair *r)
{
    tide_repaired *result = &r->result;
    tide__detail line;
    bool counted = r->free_pages != NULL && result->recorded != TIDE_MARKS_UNKNOWN;
    result->lost = TIDE_MARKS_UNKNOWN;
    if (r->free_pages == NULL) {
        result->older = result->marks;
        (void)tide__fail(&line, 0,
                         "%s: its free list is damaged: marks may be older, and removed ones may "
                         "be back",
                         r->path);
        tell(r, TIDE_ECORRUPT, &line);
    }
    if (counted) {
        result->lost = result->recorded > result->marks ? result->recorded - result->marks : 0;
        (void)tide__fail(&line, 0, "%s: %llu marks from its pages, %llu of %llu are lost", r->path,
                         (unsigned long long)result->marks, (unsigned long long)result->lost,
                         (unsigned long long)result->recorded);
    } else {
        (void)tide__fail(&line, 0, "%s: %llu marks from its pages; how many are lost is not known",
                         r->path, (unsigned long long)result->marks);
    }
    tell(r, TIDE_OK, &line);
}

static int from_pages(repair *r, const char *temporary)
{
    tide__builder *builder = NULL;
    r->result.from = TIDE_FROM_PAGES;
    r->identity.created_at = TIDE_TIME_NONE;
    int rc = take_pages(r);
    if (rc == TIDE_OK && r->count > 0) {
        qsort_r(r->marks, r->count, sizeof *r->marks, by_key_then_watermark, r->bytes);
    }
    if (rc == TIDE_OK) {
        rc = complete_identity(r);
    }
    if (rc == TIDE_OK) {
        rc = tide__builder_begin(temporary, &r->identity, &builder, r->detail);
    }
    if (rc == TIDE_OK) {
        rc = put_lowest(r, builder);
    }
    rc = tide__builder_end(builder, rc, r->detail);
    if (rc == TIDE_OK) {
        sum_up(r);
    }
    tide__free(r->free_pages);
    tide__free(r->bytes);
    tide__free(r->marks);
    return rc;
}

/* ---- from a whole commit ------------------------------------------------------------------------ */

static bool next_way(const repair *r, int rc)
{
    return !r->unwritten &&
           (rc == TIDE_ECORRUPT || rc == TIDE_EFORMAT || rc == TIDE_EIO || rc == TIDE_ABSENT);
}

static int from_commit(repair *r, unsigned back, const char *temporary)
{
    tide__commit commit;
    tide__detail line;
    int rc = tide__copy_commit(r->fd, r->path, back, temporary, &commit, &r->unwritten, r->detail);
    if (back == 0) {
        r->result.recorded = commit.alone ? TIDE_MARKS_UNKNOWN : commit.marks;
    }
    if (rc != TIDE_OK) {
        return rc;
    }
    bool last = back == 0 && !commit.alone;
    r->result.from = last ? TIDE_FROM_LAST : TIDE_FROM_PREVIOUS;
    r->result.marks = commit.marks;
    r->result.older = last ? 0 : commit.marks;
    if (last) {
        (void)tide__fail(&line, 0, "%s: all %llu marks of its last commit", r->path,
                         (unsigned long long)commit.marks);
    } else {
        (void)tide__fail(
            &line, 0, "%s: all %llu marks of commit %llu, %s: what came after it is not in them",
            r->path, (unsigned long long)commit.marks, (unsigned long long)commit.number,
            back == 0 ? "which may not be the last" : "the one before the last");
    }
    tell(r, TIDE_OK, &line);
    return TIDE_OK;
}

/* The ways, one after the other. */
static int rescue(repair *r, const char *to)
{
    tide__place place;
    int rc = tide__place_begin(&place, to, TIDE__PLACE_NEW, r->detail);
    if (rc == TIDE_OK) {
        rc = from_commit(r, 0, place.temporary);
        if (next_way(r, rc)) {
            rc = from_commit(r, 1, place.temporary);
        }
        if (next_way(r, rc)) {
            rc = from_pages(r, place.temporary);
        }
    }
    return tide__place_end(&place, rc, r->detail);
}

int tide_repair(const char *path, const char *to, tide_notice_fn *notice, void *ctx,
                tide_repaired *repaired)
{
    tide__detail detail;
    repair r = {.fd = -1, .path = path, .notice = notice, .ctx = ctx, .detail = &detail};
    tide__detail_clear(&detail);
    if (path == NULL || *path == '\0' || to == NULL || *to == '\0' || repaired == NULL ||
        repaired->size != sizeof *repaired) {
        return TIDE_EINVAL;
    }
    r.result.size = sizeof r.result;
    int rc = tide__open_at_rest(path, &r.fd, &detail);
    if (rc == TIDE_OK) {
        bool told = false; /* whatever it is, there are other ways to read the file */
        rc = tide__examine(r.fd, path, notice, ctx, &told, &detail);
        rc = rc == TIDE_OK || next_way(&r, rc) ? rescue(&r, to) : rc;
        close(r.fd);
    }
    if (rc == TIDE_OK) {
        *repaired = r.result;
    } else if (notice != NULL) {
        notice(ctx, rc, detail.text[0] != '\0' ? detail.text : tide_strerror(rc));
    }
    return rc;
}
