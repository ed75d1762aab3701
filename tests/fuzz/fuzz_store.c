/* fuzz_store.c - the bytes of a store. The input chooses one of a few sound stores and changes
 * bytes of it, or is a file by itself. What the walker refuses tide_open refuses, with the same
 * answer; what it lets pass LMDB reads without a fault: every mark is seen once, in order, and
 * again by its name; and the store takes another mark, which is there when it is opened again. */
#include "fuzz/fuzz.h"

#include <tidemark/store.h>

#include "base/key.h"
#include "store/walker.h"

#define PATH "s.mdb"
#define LOCK "s.mdb-lock"
#define FILE_MOST (1u << 20)
#define STORES 4

typedef struct bytes {
    uint8_t *data;
    size_t size;
} bytes;

static bytes stores[STORES];

static tide_time fixed_now(void *ctx)
{
    (void)ctx;
    return INT64_C(1704067200000000000);
}

static int open_store(uint32_t flags, tide_store **store)
{
    tide_options options;
    tide_options_init(&options);
    options.flags = flags;
    options.map_size_bytes = 4 * FILE_MOST;
    options.max_size_bytes = 4 * FILE_MOST;
    options.max_readers = 8;
    options.clock = fixed_now;
    return tide_open(PATH, &options, store);
}

static void remove_store(void)
{
    (void)unlink(PATH);
    (void)unlink(LOCK);
}

/* `number` is the device and, below 250, gives each mark a long name, so that few fill a page. */
static void numbered(unsigned number, uuid_t device, uuid_t peer, char resource[256])
{
    memset(device, (int)(number & 0xff), sizeof(uuid_t));
    memset(peer, 7, sizeof(uuid_t));
    memset(resource, 'a' + (int)(number % 26), 250);
    (void)snprintf(resource + (number < 250 ? 200 : 8), 16, "%u", number);
}

static void add(tide_store *store, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        uuid_t device;
        uuid_t peer;
        char resource[256];
        numbered(i, device, peer, resource);
        fuzz_require(tide_advance(store, device, peer, resource, 1 + (tide_time)i) == TIDE_OK);
    }
}

/* Nothing; one page; branches; and branches with a free list. */
static void make_stores(void)
{
    static const unsigned counts[STORES] = {0, 5, 90, 90};
    for (size_t i = 0; i < STORES; i++) {
        tide_store *store = NULL;
        remove_store();
        fuzz_require(open_store(0, &store) == TIDE_OK);
        add(store, 0, counts[i]);
        for (unsigned n = 10; i == 3 && n < 60; n++) {
            uuid_t device;
            uuid_t peer;
            char resource[256];
            numbered(n, device, peer, resource);
            fuzz_require(tide_remove_peer(store, device, peer, NULL) == TIDE_OK);
        }
        tide_close(store);
        stores[i].data = fuzz_read_file(PATH, &stores[i].size);
        fuzz_require(stores[i].size < FILE_MOST);
    }
}

/* The file of this input: the bytes themselves, or a store with changes: where, how many, which;
 * and at last, where asked for, its length. */
static void write_file(fuzz_input *input)
{
    uint32_t base = fuzz_below(input, STORES + 1);
    size_t size = input->left;
    static uint8_t file[FILE_MOST];
    fuzz_require(size < FILE_MOST);
    if (base == STORES) {
        if (size > 0) {
            memcpy(file, input->at, size);
        }
    } else {
        size = stores[base].size;
        memcpy(file, stores[base].data, size);
        bool cut = fuzz_below(input, 16) == 0;
        size_t length = cut ? fuzz_number(input, 3) % (size + 1) : size;
        while (input->left > 0) {
            size_t at = fuzz_number(input, 3) % size;
            size_t count = 0;
            const uint8_t *change = fuzz_bytes(input, 1 + fuzz_below(input, 16), &count);
            memcpy(file + at, change, count < size - at ? count : size - at);
        }
        size = length;
    }
    fuzz_write_file(PATH, file, size);
}

typedef struct walk {
    tide_store *store;
    uint64_t seen;
    tide__key last;
} walk;

static int look(void *ctx, const uuid_t device, const uuid_t peer, const char *resource,
                const tide_mark *mark)
{
    walk *w = ctx;
    tide__key key;
    tide_mark again;
    fuzz_require(tide__key_encode(device, peer, resource, &key) == TIDE_OK);
    fuzz_require(w->seen == 0 || strcmp(w->last.text, key.text) < 0);
    fuzz_require(tide_get(w->store, device, peer, resource, &again) == TIDE_OK);
    fuzz_require(again.watermark == mark->watermark && again.epoch == mark->epoch &&
                 again.updated_at == mark->updated_at);
    w->last = key;
    w->seen++;
    return TIDE_OK;
}

static uint64_t count_marks(tide_store *store)
{
    walk w = {.store = store};
    tide_info info = {.size = sizeof info};
    fuzz_require(tide_each(store, NULL, NULL, NULL, look, &w) == TIDE_OK);
    fuzz_require(tide_stat(store, &info) == TIDE_OK);
    fuzz_require(info.marks == w.seen);
    return w.seen;
}

/* A sound store: it is read and written. */
static void use(tide_store *store)
{
    uuid_t device;
    uuid_t peer;
    char resource[256];
    tide_mark before = {TIDE_TIME_NONE, TIDE_TIME_NONE, TIDE_TIME_NONE};
    tide_mark after;
    uint64_t marks = count_marks(store);
    numbered(300, device, peer, resource);
    int got = tide_get(store, device, peer, resource, &before);
    fuzz_require(got == TIDE_OK || got == TIDE_ABSENT);
    int rc = tide_advance(store, device, peer, resource, TIDE_TIME_MAX);
    fuzz_require(rc == TIDE_OK || (rc == TIDE_STALE && before.watermark == TIDE_TIME_MAX) ||
                 rc == TIDE_EFULL);
    tide_close(store);
    fuzz_require(open_store(TIDE_MUST_EXIST, &store) == TIDE_OK);
    fuzz_require(count_marks(store) == marks + (rc == TIDE_OK && got == TIDE_ABSENT));
    if (rc == TIDE_OK) {
        fuzz_require(tide_get(store, device, peer, resource, &after) == TIDE_OK);
        fuzz_require(after.watermark == TIDE_TIME_MAX && after.epoch == before.epoch);
    }
    tide_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    tide__detail detail;
    tide_store *store = NULL;
    if (stores[0].data == NULL) {
        make_stores();
    }
    remove_store();
    write_file(&input);
    int fd = open(PATH, O_RDONLY);
    fuzz_require(fd >= 0);
    int sound = tide__file_verify(fd, PATH, &detail);
    fuzz_require(close(fd) == 0);
    fuzz_require(sound == TIDE_OK || sound == TIDE_ECORRUPT || sound == TIDE_EFORMAT);
    int rc = open_store(TIDE_MUST_EXIST, &store);
    if (rc == TIDE_OK) {
        fuzz_require(sound == TIDE_OK);
        use(store);
    } else {
        fuzz_require(store == NULL && (sound != TIDE_OK || rc == TIDE_EFULL));
    }
    return 0;
}
