/* fs.h - a file system after a power cut: what is on disk for certain, and what may be.
 *
 * Records (recording.h) are applied one after the other. Each 512-byte sector of a file then has a
 * list of contents, oldest first: the first is on disk for certain, and any one of them may be what
 * a cut leaves, whatever becomes of other sectors. A flush leaves the newest only. A flush that
 * failed leaves the list and takes the pages for clean, so that later flushes pass over them until
 * somebody writes them anew (what ext4, XFS and Btrfs do). Sizes have such a list too; a truncation
 * is one step, and contents on its two sides do not mix. Names are kept by a flush of their folder
 * and by nothing else, as POSIX has it.
 *
 * An operation is known by the number of its record. A state is a choice among the operations that
 * are in doubt.
 */
#ifndef TIDEMARK_CRASH_FS_H
#define TIDEMARK_CRASH_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recording.h"

#define FS_SECTOR 512

typedef struct fs fs;

typedef struct fs_choice {
    const unsigned char *taken; /* for each operation number: whether it reached the disk */
    bool torn; /* half of the sectors do not care, and take any of their contents */
    uint64_t seed;
} fs_choice;

typedef struct fs_entry {
    const char *name;
    bool folder;
    bool mapped; /* shared memory in a file: it has no content that anybody may rely on */
    const unsigned char *data;
    uint64_t size;
} fs_entry;

typedef struct fs_image {
    fs_entry *entries; /* folders before what is in them */
    size_t count;
} fs_image;

fs *fs_make(void);
void fs_free(fs *f);

/* Applies record number `op`; NULL, or why it cannot. */
const char *fs_apply(fs *f, uint64_t op, const record *r);

/* The operations in doubt, in order; valid until the next call. */
size_t fs_doubtful(fs *f, const uint64_t **ops);

/* The state that a choice leaves; valid until the next call. */
const fs_image *fs_choose(fs *f, const fs_choice *choice);

uint64_t fs_hash(const fs_image *image);
uint64_t fs_mix(uint64_t hash, const void *bytes, size_t size);

/* The same for all states that look alike once SQLite has recovered its databases (wal.c). */
uint64_t fs_recovered_hash(const fs_image *image);

/* Empties the folder and puts the image into it. `seed` decides what is in mapped files. False:
 * errno says why. */
bool fs_write(const fs_image *image, const char *folder, uint64_t seed);

/* Whether the folder holds exactly the image, mapped files aside; if not, why. */
bool fs_compare(const fs_image *image, const char *folder, char *why, size_t size);

/* Calls fn for all that is in the folder, folders before what is in them; `name` is inside it. */
typedef bool fs_each_fn(void *ctx, const char *name, bool folder);
bool fs_each(const char *folder, fs_each_fn *fn, void *ctx);

bool fs_empty(const char *folder);

uint64_t fs_random(uint64_t *state); /* splitmix64 */

#endif
