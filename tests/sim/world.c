/* world.c - virtual time, randomness and what went wrong; see world.h. */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIX_EPOCH_MS INT64_C(210866760000000) /* of SQLite's time, in Julian days */

static world *current; /* the one whose seed SQLite's numbers come from */
static device *entered;

/* ---- SQLite's surroundings ---------------------------------------------------------------------- */

static int sqlite_time(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
    (void)vfs;
    *out = UNIX_EPOCH_MS + device_now(entered) / 1000000;
    return SQLITE_OK;
}

static int sqlite_time_in_days(sqlite3_vfs *vfs, double *out)
{
    sqlite3_int64 ms = 0;
    (void)sqlite_time(vfs, &ms);
    *out = (double)ms / 86400000.0;
    return SQLITE_OK;
}

static int sqlite_random(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    for (int i = 0; i < size; i++) {
        out[i] = (char)(current == NULL ? 0 : sim_next(&current->random));
    }
    return size;
}

void world_prepare(void)
{
    static sqlite3_vfs vfs;
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 512, 300);
    vfs = *sqlite3_vfs_find(NULL);
    vfs.zName = "tidemark-sim";
    vfs.xCurrentTimeInt64 = sqlite_time;
    vfs.xCurrentTime = sqlite_time_in_days;
    vfs.xRandomness = sqlite_random;
    (void)sqlite3_vfs_register(&vfs, 1);
}

/* 2026-01-01, and what has gone by since. */
tide_time device_now(const device *d)
{
    return INT64_C(1767225600) * SECOND + (d == NULL ? 0 : d->world->now_ns + d->skew_ns);
}

void device_enter(device *d)
{
    entered = d;
}

/* ---- beginning and end -------------------------------------------------------------------------- */

void world_begin(world *w, uint64_t seed, int device_count, int resource_count)
{
    memset(w, 0, sizeof *w);
    disk_reset();
    w->device_count = device_count;
    w->resource_count = resource_count;
    w->random.state = seed;
    w->hash = 0xcbf29ce484222325u;
    current = w;
    sqlite3_randomness(0, NULL); /* seeded anew, from ours */
    for (int i = 0; i < DEVICES_MAX; i++) {
        device *d = &w->devices[i];
        d->world = w;
        d->number = d->identity = i;
        memset(d->id, 0, sizeof d->id);
        d->id[6] = 0x40; /* what a random one has */
        d->id[8] = 0x80;
        d->id[15] = (unsigned char)(i + 1);
    }
}

void world_end(world *w)
{
    for (int i = 0; i < DEVICES_MAX; i++) {
        disk_cut(i); /* nothing of it is needed any more */
        device_enter(&w->devices[i]);
        device_close(&w->devices[i]);
        disk_free(w->devices[i].saved);
    }
    device_enter(NULL);
    current = NULL;
}

void world_fail(world *w, const char *what, const char *format, ...)
{
    char text[FAILURE_BYTES / 2];
    va_list arguments;
    if (w->failure[0] == '\0') {
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        (void)snprintf(w->failure, sizeof w->failure, "%s: %s", what, text);
    }
}

bool world_failed(const world *w)
{
    return w->failure[0] != '\0';
}

/* FNV-1a, eight bytes at a time. */
void world_hash(world *w, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    while (size > 0) {
        uint64_t word = 0;
        size_t count = size < sizeof word ? size : sizeof word;
        memcpy(&word, p, count);
        w->hash = (w->hash ^ word ^ count) * 0x100000001b3u;
        w->hash ^= w->hash >> 29;
        p += count;
        size -= count;
    }
}

void world_note(world *w, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    world_hash(w, text, strlen(text));
    if (w->verbose) {
        (void)printf("%12.6f  %s\n", (double)w->now_ns / (double)SECOND, text);
    }
}
