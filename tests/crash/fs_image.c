/* fs_image.c - images of a file system, in folders; see fs.h. */
#include "fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- folders ------------------------------------------------------------------------------------ */

static bool each_in(const char *folder, const char *inside, fs_each_fn *fn, void *ctx)
{
    char path[PATH_MAX];
    bool ok = true;
    (void)snprintf(path, sizeof path, "%s/%s", folder, inside);
    DIR *stream = opendir(path);
    if (stream == NULL) {
        return false;
    }
    const struct dirent *entry = NULL;
    while (ok && (entry = readdir(stream)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        char name[PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (snprintf(name, sizeof name, "%s%s%s", inside, *inside == '\0' ? "" : "/",
                     entry->d_name) >= (int)sizeof name) {
            ok = false;
            break;
        }
        bool is_folder = entry->d_type == DT_DIR;
        ok = fn(ctx, name, is_folder) && (!is_folder || each_in(folder, name, fn, ctx));
    }
    closedir(stream);
    return ok;
}

bool fs_each(const char *folder, fs_each_fn *fn, void *ctx)
{
    return each_in(folder, "", fn, ctx);
}

/* Folders are emptied by the walk itself, and go after it. */
typedef struct emptying {
    const char *folder;
    char folders[64][RECORDING_PATH];
    size_t count;
} emptying;

static bool remove_one(void *ctx, const char *name, bool folder)
{
    emptying *e = ctx;
    char path[PATH_MAX];
    if (folder) {
        return e->count < 64 &&
               snprintf(e->folders[e->count++], RECORDING_PATH, "%s", name) < RECORDING_PATH;
    }
    (void)snprintf(path, sizeof path, "%s/%s", e->folder, name);
    return unlink(path) == 0;
}

bool fs_empty(const char *folder)
{
    emptying e = {.folder = folder};
    char path[PATH_MAX];
    if (!fs_each(folder, remove_one, &e)) {
        return false;
    }
    while (e.count > 0) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, e.folders[--e.count]);
        if (rmdir(path) != 0) {
            return false;
        }
    }
    return true;
}

/* ---- images ------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9fb21c651e98df25);
    return hash ^ (hash >> 32);
}

uint64_t fs_mix(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t word = 0;
    hash = mix(hash, size);
    for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = mix(hash, word);
    }
    word = 0;
    memcpy(&word, at, size);
    return mix(hash, word);
}

uint64_t fs_hash(const fs_image *image)
{
    uint64_t hash = 1;
    for (size_t i = 0; i < image->count; i++) {
        const fs_entry *e = &image->entries[i];
        hash = fs_mix(hash, e->name, strlen(e->name));
        if (!e->folder && !e->mapped) {
            hash = fs_mix(hash, e->data, e->size);
        }
    }
    return hash;
}

/* Shared memory after a cut is anything: not there, zeros, or worse. */
static bool fill_mapped(int fd, uint64_t size, uint64_t seed)
{
    uint64_t words[512];
    bool zeros = fs_random(&seed) % 2 == 0;
    for (uint64_t at = 0; !zeros && at < size; at += sizeof words) {
        uint64_t take = size - at < sizeof words ? size - at : sizeof words;
        for (size_t i = 0; i < 512; i++) {
            words[i] = fs_random(&seed);
        }
        if (pwrite(fd, words, take, (off_t)at) != (ssize_t)take) {
            return false;
        }
    }
    return ftruncate(fd, (off_t)size) == 0;
}

static bool write_entry(const fs_entry *e, const char *path, uint64_t seed)
{
    if (e->folder) {
        return mkdir(path, 0700) == 0;
    }
    if (e->mapped && fs_random(&seed) % 3 == 0) {
        return true;
    }
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && (e->mapped ? fill_mapped(fd, e->size, seed)
                                    : write(fd, e->data, e->size) == (ssize_t)e->size);
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

bool fs_write(const fs_image *image, const char *folder, uint64_t seed)
{
    char path[PATH_MAX];
    bool ok = fs_empty(folder);
    for (size_t i = 0; ok && i < image->count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, image->entries[i].name);
        ok = write_entry(&image->entries[i], path, seed + i);
    }
    return ok;
}

/* ---- comparing ---------------------------------------------------------------------------------- */

typedef struct comparison {
    const fs_image *image;
    const char *folder;
    char *why;
    size_t size;
    size_t found;
} comparison;

static bool same_file(const fs_entry *e, const char *path)
{
    unsigned char buffer[65536];
    bool same = true;
    uint64_t at = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (;;) {
        ssize_t got = fd < 0 ? -1 : read(fd, buffer, sizeof buffer);
        if (got <= 0) {
            same = got == 0 && at == e->size;
            break;
        }
        if (at + (uint64_t)got > e->size || memcmp(buffer, e->data + at, (size_t)got) != 0) {
            same = false;
            break;
        }
        at += (uint64_t)got;
    }
    if (fd >= 0) {
        close(fd);
    }
    return same;
}

static bool compare_one(void *ctx, const char *name, bool folder)
{
    comparison *c = ctx;
    char path[PATH_MAX];
    const char *slash = strrchr(name, '/');
    if (strcmp(slash == NULL ? name : slash + 1, RECORDING_MARKS) == 0) {
        return true;
    }
    for (size_t i = 0; i < c->image->count; i++) {
        const fs_entry *e = &c->image->entries[i];
        if (strcmp(e->name, name) != 0 || e->folder != folder) {
            continue;
        }
        c->found++;
        (void)snprintf(path, sizeof path, "%s/%s", c->folder, name);
        if (!folder && !e->mapped && !same_file(e, path)) {
            (void)snprintf(c->why, c->size, "%.200s: not what was recorded", name);
            return false;
        }
        return true;
    }
    (void)snprintf(c->why, c->size, "%.200s: not recorded", name);
    return false;
}

bool fs_compare(const fs_image *image, const char *folder, char *why, size_t size)
{
    comparison c = {.image = image, .folder = folder, .why = why, .size = size};
    if (!fs_each(folder, compare_one, &c)) {
        return false;
    }
    if (c.found != image->count) {
        (void)snprintf(why, size, "%zu names were recorded, %zu are there", image->count, c.found);
        return false;
    }
    return true;
}
