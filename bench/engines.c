/* engines.c - the list of engines, and what they share; see engines.h. */
#include "engines.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const engine_type *const all[] = {
    &engine_tidemark,
    &engine_lmdb,
    &engine_sqlite_best,
    &engine_sqlite_plan,
#ifdef BENCH_ROCKSDB
    &engine_rocksdb,
#endif
#ifdef BENCH_LEVELDB
    &engine_leveldb,
#endif
    NULL,
};

#define ALL_COUNT (sizeof all / sizeof all[0]) /* with the NULL */
const engine_type *engines[ALL_COUNT];

const engine_type *engine_named(const char *name)
{
    for (size_t i = 0; all[i] != NULL; i++) {
        if (strcmp(all[i]->name, name) == 0) {
            return all[i];
        }
    }
    return NULL;
}

bool engine_defers(const engine_type *type, durability class)
{
    return type == &engine_tidemark && class == D1;
}

bool engines_choose(const char *const *names, size_t count)
{
    size_t most = count == 0 || count > ALL_COUNT - 1 ? ALL_COUNT - 1 : count;
    for (size_t i = 0; i < most; i++) {
        engines[i] = count == 0 ? all[i] : engine_named(names[i]);
        if (engines[i] == NULL) {
            return false;
        }
    }
    engines[most] = NULL;
    return true;
}

void engine_failed(const char *name, const char *what, const char *why)
{
    (void)fprintf(stderr, "tidemark-bench: %s: %s: %s\n", name, what, why);
    exit(3);
}

void *bench_alloc(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) {
        engine_failed("memory", "allocation", "out of memory");
    }
    return memory;
}

static void put_uuid(char *text, const unsigned char *uuid)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text[at++] = '-';
        }
        text[at++] = digits[uuid[i] >> 4];
        text[at++] = digits[uuid[i] & 0xf];
    }
}

size_t key_text(const mark_id *id, char text[KEY_TEXT])
{
    size_t length = strlen(id->resource);
    put_uuid(text, id->device);
    text[36] = '|';
    put_uuid(text + 37, id->peer);
    text[73] = '|';
    memcpy(text + 74, id->resource, length + 1);
    return 74 + length;
}

void value_text(tide_time upto, tide_time updated_at, char text[VALUE_TEXT])
{
    char time[TIDE_TIME_TEXT];
    tide_time_format(upto, time);
    memcpy(text, time, 30);
    text[30] = '|';
    tide_time_format(updated_at, time);
    memcpy(text + 31, time, 30);
    memset(text + 61, '0', 10);
    text[61] = text[62] = '|';
}

bool key_parse(const char *text, size_t length, uuid_t peer, char resource[32])
{
    char uuid[UUID_STR_LEN];
    if (length < 75 || length - 74 >= 32) {
        return false;
    }
    memcpy(uuid, text + 37, 36);
    uuid[36] = '\0';
    memcpy(resource, text + 74, length - 74);
    resource[length - 74] = '\0';
    return uuid_parse(uuid, peer) == 0;
}

tide_time value_time(const char *text, size_t length)
{
    tide_time time = TIDE_TIME_NONE;
    if (length < 30 || tide_time_parse(text, 30, &time) != TIDE_OK) {
        engine_failed("value", "parse", "not a time");
    }
    return time;
}

tide_time wall_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (tide_time)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void each_file(const char *folder, void (*fn)(const char *path, void *ctx), void *ctx)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry = NULL;
    char path[BENCH_PATH];
    if (dir == NULL) {
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            fn(path, ctx);
        }
    }
    (void)closedir(dir);
}

static void add_bytes(const char *path, void *ctx)
{
    struct stat st;
    const char *lock = strstr(path, "-lock");
    /* Locks and shared memory hold no data. */
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && strstr(path, "-shm") == NULL &&
        (lock == NULL || lock[5] != '\0')) {
        *(uint64_t *)ctx += (uint64_t)st.st_size;
    } else if (S_ISDIR(st.st_mode)) {
        *(uint64_t *)ctx += folder_bytes(path);
    }
}

uint64_t folder_bytes(const char *folder)
{
    uint64_t bytes = 0;
    each_file(folder, add_bytes, &bytes);
    return bytes;
}

static void remove_file(const char *path, void *ctx)
{
    struct stat st;
    (void)ctx;
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        folder_remove(path);
    } else {
        (void)unlink(path);
    }
}

void folder_remove(const char *folder)
{
    each_file(folder, remove_file, NULL);
    (void)rmdir(folder);
}
