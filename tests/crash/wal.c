/* wal.c - what SQLite reads after a cut, by its description of the log's format: a database file,
 * and over it the pages of the log up to the last commit whose frames are all whole. States that
 * are the same by this are the same to an engine.
 */
#include "fs.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 32
#define FRAME_BYTES 24
#define PAGE_BYTES 4096   /* of all our databases */
#define MAGIC 0x377f0682u /* the lowest bit: checksums of big-endian words */

typedef struct sums {
    uint32_t first;
    uint32_t second;
} sums;

static uint32_t big(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t little(const unsigned char *at)
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static sums add(sums s, const unsigned char *bytes, size_t size, bool big_endian)
{
    for (size_t i = 0; i < size; i += 8) {
        s.first += (big_endian ? big(bytes + i) : little(bytes + i)) + s.second;
        s.second += (big_endian ? big(bytes + i + 4) : little(bytes + i + 4)) + s.first;
    }
    return s;
}

static bool are(sums s, const unsigned char *at)
{
    return s.first == big(at) && s.second == big(at + 4);
}

/* Sets frames[page] to the frame that counts for each page up to `pages`; returns the size of the
 * database in pages, 0 where the log has no commit. */
static uint32_t read_log(const fs_entry *log, const unsigned char **frames, uint32_t pages)
{
    const unsigned char *bytes = log->data;
    uint32_t size = 0;
    if (log->size < HEADER_BYTES || (big(bytes) & ~1u) != MAGIC || big(bytes + 8) != PAGE_BYTES) {
        return 0;
    }
    bool big_endian = (big(bytes) & 1) != 0;
    sums s = add((sums){0, 0}, bytes, 24, big_endian);
    if (!are(s, bytes + 24)) {
        return 0;
    }
    const unsigned char *commit = bytes + HEADER_BYTES;
    const unsigned char *end = bytes + log->size;
    for (const unsigned char *at = commit; end - at >= FRAME_BYTES + PAGE_BYTES;) {
        s = add(add(s, at, 8, big_endian), at + FRAME_BYTES, PAGE_BYTES, big_endian);
        if (memcmp(at + 8, bytes + 16, 8) != 0 || !are(s, at + 16) || big(at) > pages) {
            break;
        }
        const unsigned char *next = at + FRAME_BYTES + PAGE_BYTES;
        if (big(at + 4) != 0) { /* a commit: the frames since the last one count */
            for (; commit < next; commit += FRAME_BYTES + PAGE_BYTES) {
                frames[big(commit)] = commit + FRAME_BYTES;
            }
            size = big(at + 4);
        }
        at = next;
    }
    return size;
}

static const fs_entry *log_of(const fs_image *image, const fs_entry *database)
{
    size_t bytes = strlen(database->name);
    for (size_t i = 0; i < image->count; i++) {
        const char *name = image->entries[i].name;
        if (strncmp(name, database->name, bytes) == 0 && strcmp(name + bytes, "-wal") == 0) {
            return &image->entries[i];
        }
    }
    return NULL;
}

static bool is_log(const char *name)
{
    size_t bytes = strlen(name);
    return bytes > 4 && strcmp(name + bytes - 4, "-wal") == 0;
}

static uint64_t hash_database(uint64_t hash, const fs_entry *database, const fs_entry *log)
{
    uint32_t pages = (uint32_t)(database->size / PAGE_BYTES + log->size / PAGE_BYTES + 1);
    const unsigned char **frames = calloc(pages + 1, sizeof *frames);
    if (frames == NULL) {
        abort();
    }
    uint32_t size = read_log(log, frames, pages);
    size = size == 0 ? (uint32_t)(database->size / PAGE_BYTES) : size;
    hash = fs_mix(hash, &size, sizeof size);
    for (uint32_t i = 1; i <= size && i <= pages; i++) {
        const unsigned char *page = frames[i];
        if (page == NULL && (uint64_t)i * PAGE_BYTES <= database->size) {
            page = database->data + (uint64_t)(i - 1) * PAGE_BYTES;
        }
        hash = page == NULL ? fs_mix(hash, &i, sizeof i) : fs_mix(hash, page, PAGE_BYTES);
    }
    free(frames);
    return hash;
}

uint64_t fs_recovered_hash(const fs_image *image)
{
    uint64_t hash = 2;
    for (size_t i = 0; i < image->count; i++) {
        const fs_entry *e = &image->entries[i];
        const fs_entry *log = e->folder ? NULL : log_of(image, e);
        if (e->folder || e->mapped || is_log(e->name)) {
            continue;
        }
        hash = fs_mix(hash, e->name, strlen(e->name));
        hash = log == NULL ? fs_mix(hash, e->data, e->size) : hash_database(hash, e, log);
    }
    return hash;
}
