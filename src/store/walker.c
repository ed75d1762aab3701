/* walker.c - which commits a file has, and whether they stand; see walker.h.
 *
 * The two metadata pages have the last commit and the one before it. While a walk goes on they may
 * change: a fault is one only when they are still as they were.
 */
#include "store/walker.h"

#include <string.h>

#include <tidemark/error.h>

#include "store/walk.h"

#define WALK_TRIES 8

typedef unsigned char meta_pair[2][META_BYTES];

static int read_metas(const tide__walk *w, meta_pair metas)
{
    int rc = tide__walk_read(w, 0, metas[0], META_BYTES);
    return rc == TIDE_OK ? tide__walk_read(w, 1, metas[1], META_BYTES) : rc;
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
static int check_numbers(const tide__walk *w, meta_pair metas)
{
    unsigned newer = newer_of(metas);
    uint64_t number = tide__get64(metas[newer] + META_AT_TRANSACTION);
    return number % 2 == newer && number - tide__get64(metas[1 - newer] + META_AT_TRANSACTION) == 1
               ? TIDE_OK
               : tide__walk_fault(w, newer, "impossible transaction number");
}

static int walk_newest(tide__walk *w, meta_pair metas)
{
    for (unsigned i = 0; i < 2; i++) {
        if (!meta_sound(metas, i)) {
            return tide__walk_fault(w, i, "damaged metadata");
        }
    }
    int rc = check_numbers(w, metas);
    return rc == TIDE_OK ? tide__walk_commit(w, metas[newer_of(metas)]) : rc;
}

/* Whether the metadata is as it was; if not, takes over what it is now. */
static bool stands(const tide__walk *w, meta_pair metas)
{
    meta_pair now;
    tide__walk quiet = *w; /* that they cannot be read has been told */
    quiet.findings = NULL;
    if (read_metas(&quiet, now) != TIDE_OK || memcmp(metas, now, sizeof now) == 0) {
        return true;
    }
    memcpy(metas, now, sizeof now);
    return false;
}

static int overtaken(const tide__walk *w)
{
    return tide__fail(w->detail, TIDE_EBUSY, "%s: changes while it is checked", w->path);
}

int tide__file_verify(int fd, const char *path, tide__detail *detail)
{
    meta_pair metas;
    tide__walk w = {.fd = fd, .path = path, .detail = detail};
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
 * told: most that it has it shares with the last one. Where it is no store, and has no sum
 * either, it was none yet: of a file that mdb_load has made. */
static int examine_previous(const tide__walk *w, const unsigned char *m)
{
    tide__detail why;
    tide__walk before = {.fd = w->fd, .path = w->path, .detail = &why};
    tide__detail_clear(&why);
    int rc = tide__walk_commit(&before, m);
    if (rc == TIDE_EFORMAT && !before.summed) {
        return TIDE_OK;
    }
    if (rc != TIDE_ECORRUPT && rc != TIDE_EFORMAT && rc != TIDE_EIO) {
        return rc;
    }
    (void)tide__walk_note(
        w, tide__fail(w->detail, TIDE_ECORRUPT, "%s: the commit before the last, %llu: %s", w->path,
                      (unsigned long long)before.transaction, why.text + strlen(w->path) + 2));
    return TIDE_OK;
}

static int examine(tide__walk *w, meta_pair metas)
{
    unsigned pages[2];
    bool sound[2] = {meta_sound(metas, 0), meta_sound(metas, 1)};
    if (!sound[0] && !sound[1] && tide__get32(metas[0] + META_AT_MAGIC) != META_MAGIC &&
        tide__get32(metas[1] + META_AT_MAGIC) != META_MAGIC) {
        return tide__walk_note(
            w, tide__fail(w->detail, TIDE_EFORMAT, "%s: not an LMDB file", w->path));
    }
    for (unsigned i = 0; i < 2; i++) {
        if (!sound[i]) {
            (void)tide__walk_fault(w, i, "damaged metadata");
        }
    }
    if (sound[0] && sound[1]) {
        (void)check_numbers(w, metas);
    }
    size_t count = list_commits(metas, pages);
    int rc = count > 0 ? tide__walk_commit(w, metas[pages[0]]) : TIDE_OK;
    return rc == TIDE_OK && count > 1 ? examine_previous(w, metas[pages[1]]) : rc;
}

int tide__file_examine(int fd, const char *path, tide__findings *findings, tide__detail *detail)
{
    meta_pair metas;
    tide__walk w = {.fd = fd, .path = path, .detail = detail, .findings = findings};
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
    tide__walk w = {
        .fd = fd, .path = path, .detail = detail, .fn = fn, .ctx = ctx, .commit = commit};
    *commit = (tide__commit){.marks = TIDE_MARKS_UNKNOWN};
    int rc = read_metas(&w, metas);
    if (rc != TIDE_OK || back >= list_commits(metas, pages)) {
        return rc == TIDE_OK ? TIDE_ABSENT : rc;
    }
    commit->alone = !meta_sound(metas, 0) || !meta_sound(metas, 1);
    commit->number = tide__get64(metas[pages[back]] + META_AT_TRANSACTION);
    rc = tide__walk_commit(&w, metas[pages[back]]);
    return stands(&w, metas) ? rc : overtaken(&w);
}

int tide__file_free_pages(int fd, const char *path, unsigned char **bits, uint64_t *last_page,
                          tide__detail *detail)
{
    meta_pair metas;
    unsigned pages[2];
    tide__walk w = {.fd = fd, .path = path, .detail = detail};
    int rc = read_metas(&w, metas);
    if (rc == TIDE_OK) {
        rc = list_commits(metas, pages) == 0 ? TIDE_ABSENT
                                             : tide__walk_free_list(&w, metas[pages[0]]);
    }
    *bits = w.claims;
    *last_page = w.last_page;
    return rc;
}
