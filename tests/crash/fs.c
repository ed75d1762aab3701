/* fs.c - the model of a file system after a power cut; see fs.h. */
#include "fs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SECTORS 8 /* what the system writes out together */

typedef struct content {
    uint64_t op;
    const unsigned char *bytes; /* NULL: zeros */
    bool cut;                   /* what a truncation left of it */
} content;

typedef struct sector {
    content *list; /* NULL: zeros, for certain */
    uint32_t count;
    uint32_t room;
    bool dirty;
} sector;

typedef struct length {
    uint64_t op;
    uint64_t size;
} length;

typedef struct file {
    uint64_t inode;
    bool mapped;
    sector *sectors;
    size_t sector_count;
    length *lengths;
    size_t length_count;
    unsigned char **joined; /* contents made of an older one and a part */
    size_t joined_count;
    unsigned char *image; /* for fs_choose */
    size_t image_room;
} file;

typedef struct name {
    char text[RECORDING_PATH];
    file *file; /* NULL: a folder */
} name;

typedef struct naming {
    uint64_t op;
    char from[RECORDING_PATH]; /* "": no name goes */
    char to[RECORDING_PATH];   /* "": none comes */
    file *file;
} naming;

struct fs {
    file **files;
    size_t file_count;
    name *names; /* on disk for certain */
    size_t name_count;
    naming *namings; /* in doubt */
    size_t naming_count;
    uint64_t *ops;
    size_t op_count;
    fs_image image;
    name *chosen;
    char unknown[RECORDING_PATH];
};

uint64_t fs_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void *more(void *array, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0) { /* room grows when the count is a power of two */
        return array;
    }
    void *grown = realloc(array, (count == 0 ? 1 : 2 * count) * size);
    if (grown == NULL) {
        abort();
    }
    return grown;
}

fs *fs_make(void)
{
    fs *f = calloc(1, sizeof *f);
    if (f == NULL) {
        abort();
    }
    return f;
}

void fs_free(fs *f)
{
    for (size_t i = 0; i < f->file_count; i++) {
        file *g = f->files[i];
        for (size_t s = 0; s < g->sector_count; s++) {
            free(g->sectors[s].list);
        }
        for (size_t j = 0; j < g->joined_count; j++) {
            free(g->joined[j]);
        }
        free(g->joined);
        free(g->sectors);
        free(g->lengths);
        free(g->image);
        free(g);
    }
    free(f->files);
    free(f->names);
    free(f->namings);
    free(f->ops);
    free(f->image.entries);
    free(f->chosen);
    free(f);
}

/* ---- files -------------------------------------------------------------------------------------- */

/* The newest file of that number: a number is given again when its file is gone. */
static file *find_file(const fs *f, uint64_t inode)
{
    for (size_t i = f->file_count; i-- > 0;) {
        if (f->files[i]->inode == inode) {
            return f->files[i];
        }
    }
    return NULL;
}

static file *add_file(fs *f, uint64_t inode)
{
    file *g = calloc(1, sizeof *g);
    f->files = more(f->files, f->file_count, sizeof(file *));
    if (g == NULL) {
        abort();
    }
    g->inode = inode;
    g->lengths = more(NULL, 0, sizeof(length));
    g->lengths[0] = (length){0, 0};
    g->length_count = 1;
    f->files[f->file_count++] = g;
    return g;
}

static uint64_t newest_size(const file *g)
{
    return g->lengths[g->length_count - 1].size;
}

static void add_length(file *g, uint64_t op, uint64_t size)
{
    g->lengths = more(g->lengths, g->length_count, sizeof(length));
    g->lengths[g->length_count++] = (length){op, size};
    size_t sectors = (size + FS_SECTOR - 1) / FS_SECTOR;
    if (sectors > g->sector_count) {
        size_t room = sectors + sectors / 2 + PAGE_SECTORS;
        g->sectors = realloc(g->sectors, room * sizeof(sector));
        if (g->sectors == NULL) {
            abort();
        }
        memset(g->sectors + g->sector_count, 0, (room - g->sector_count) * sizeof(sector));
        g->sector_count = room;
    }
}

/* The pages that hold bytes `at` to `end` as numbers of sectors. */
static size_t page_begin(uint64_t at)
{
    return at / FS_SECTOR / PAGE_SECTORS * PAGE_SECTORS;
}

static size_t page_end(const file *g, uint64_t end)
{
    uint64_t page = (uint64_t)PAGE_SECTORS * FS_SECTOR;
    uint64_t sectors = (end + page - 1) / page * PAGE_SECTORS;
    return sectors < g->sector_count ? sectors : g->sector_count;
}

static void set_dirty(file *g, uint64_t at, uint64_t end, bool dirty)
{
    sector *sectors = g->sectors;
    for (size_t i = page_begin(at), last = page_end(g, end); sectors != NULL && i < last; i++) {
        sectors[i].dirty = dirty;
    }
}

static void settle(file *g, uint64_t at, uint64_t end)
{
    for (size_t i = page_begin(at), last = page_end(g, end); i < last; i++) {
        sector *s = &g->sectors[i];
        if (s->dirty && s->count > 0) {
            s->list[0] = s->list[s->count - 1];
            s->count = 1;
        }
        s->dirty = false;
    }
    g->lengths[0] = g->lengths[g->length_count - 1];
    g->length_count = 1;
}

/* Whether the sector's newest content is this one: writing it again leaves nothing more in doubt. */
static bool holds(const sector *s, const unsigned char *bytes)
{
    static const unsigned char zeros[FS_SECTOR];
    const unsigned char *newest = s->count == 0 ? NULL : s->list[s->count - 1].bytes;
    return memcmp(newest == NULL ? zeros : newest, bytes == NULL ? zeros : bytes, FS_SECTOR) == 0;
}

static void add_content(sector *s, uint64_t op, const unsigned char *bytes, bool cut)
{
    if (!cut && holds(s, bytes)) {
        return;
    }
    if (s->count == 0) { /* zeros, until now */
        s->list = more(s->list, 0, sizeof(content));
        s->list[s->count++] = (content){0, NULL, false};
        s->room = 1;
    }
    if (s->count == s->room) {
        s->room *= 2;
        s->list = realloc(s->list, s->room * sizeof(content));
        if (s->list == NULL) {
            abort();
        }
    }
    s->list[s->count++] = (content){op, bytes, cut};
}

/* `bytes` lie in the recording, and stay there; NULL are the zeros of a truncation. */
static void write_file(file *g, uint64_t op, uint64_t at, const unsigned char *bytes, uint64_t size)
{
    assert(size == 0 || g->sectors != NULL); /* its length was added before */
    for (uint64_t done = 0; done < size;) {
        sector *s = &g->sectors[(at + done) / FS_SECTOR];
        uint64_t in = (at + done) % FS_SECTOR;
        uint64_t take = FS_SECTOR - in < size - done ? FS_SECTOR - in : size - done;
        const unsigned char *piece = bytes == NULL ? NULL : bytes + done;
        if (take < FS_SECTOR) {
            const unsigned char *old = s->count == 0 ? NULL : s->list[s->count - 1].bytes;
            unsigned char *joined = calloc(1, FS_SECTOR);
            g->joined = more(g->joined, g->joined_count, sizeof *g->joined);
            if (joined == NULL) {
                abort();
            }
            g->joined[g->joined_count++] = joined;
            if (old != NULL) {
                memcpy(joined, old, FS_SECTOR);
            }
            if (piece != NULL) {
                memcpy(joined + in, piece, take);
            } else {
                memset(joined + in, 0, take);
            }
            piece = joined;
        }
        add_content(s, op, piece, bytes == NULL);
        done += take;
    }
    set_dirty(g, at, at + size, true);
}

static void apply_write(file *g, uint64_t op, uint64_t at, const unsigned char *bytes, uint64_t size)
{
    if (at + size > newest_size(g)) {
        add_length(g, op, at + size);
    }
    write_file(g, op, at, bytes, size);
}

static void apply_size(file *g, uint64_t op, uint64_t size)
{
    uint64_t old = newest_size(g);
    add_length(g, op, size);
    if (size < old) {
        write_file(g, op, size, NULL, (old + FS_SECTOR - 1) / FS_SECTOR * FS_SECTOR - size);
    }
}

/* ---- names -------------------------------------------------------------------------------------- */

static size_t folder_part(const char *text)
{
    const char *slash = strrchr(text, '/');
    return slash == NULL ? 0 : (size_t)(slash - text);
}

static bool is_in(const char *text, const char *folder)
{
    size_t bytes = folder_part(text);
    return bytes == strlen(folder) && memcmp(text, folder, bytes) == 0;
}

static void remove_name(name *names, size_t *count, const char *text)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(names[i].text, text) == 0) {
            names[i] = names[--*count];
            return;
        }
    }
}

static void do_naming(name **names, size_t *count, const naming *n)
{
    if (n->from[0] != '\0') {
        remove_name(*names, count, n->from);
    }
    if (n->to[0] != '\0') {
        remove_name(*names, count, n->to);
        *names = more(*names, *count, sizeof(name));
        memcpy((*names)[*count].text, n->to, sizeof n->to);
        (*names)[(*count)++].file = n->file;
    }
}

static void flush_folder(fs *f, const char *folder)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->naming_count; i++) {
        const naming *n = &f->namings[i];
        if (is_in(n->to[0] != '\0' ? n->to : n->from, folder)) {
            do_naming(&f->names, &f->name_count, n);
        } else {
            f->namings[kept++] = *n;
        }
    }
    f->naming_count = kept;
}

static void copy_text(char *out, const unsigned char *bytes, uint64_t size)
{
    size_t take = size < RECORDING_PATH - 1 ? size : RECORDING_PATH - 1;
    memcpy(out, bytes, take);
    out[take] = '\0';
}

static const char *apply_naming(fs *f, uint64_t op, const record *r, const unsigned char *bytes)
{
    naming n = {.op = op};
    char other[RECORDING_PATH];
    size_t first = strnlen((const char *)bytes, r->length);
    bool two = r->kind == RECORD_RENAME || r->kind == RECORD_LINK;
    if (r->kind == RECORD_UNLINK) {
        copy_text(n.from, bytes, r->length);
    } else if (two && first < r->length) {
        copy_text(other, bytes, first);
        copy_text(n.to, bytes + first + 1, r->length - first - 1);
        if (r->kind == RECORD_RENAME) {
            memcpy(n.from, other, sizeof other);
            if (folder_part(n.from) != folder_part(n.to) ||
                memcmp(n.from, n.to, folder_part(n.to)) != 0) {
                return "a rename from folder to folder";
            }
        }
    } else {
        copy_text(n.to, bytes, r->length);
    }
    if (r->kind == RECORD_CREATE) {
        n.file = add_file(f, r->file);
    } else if (two && (n.file = find_file(f, r->file)) == NULL) {
        return "a name for a file that nobody opened";
    }
    f->namings = more(f->namings, f->naming_count, sizeof n);
    f->namings[f->naming_count++] = n;
    return NULL;
}

/* ---- records ------------------------------------------------------------------------------------ */

static const char *apply_found(fs *f, const record *r, const unsigned char *bytes)
{
    naming n = {.op = 0};
    size_t name_bytes = strnlen((const char *)bytes, r->length);
    copy_text(n.to, bytes, name_bytes);
    if (r->kind == RECORD_FOUND) {
        n.file = add_file(f, r->file);
        if (r->length > name_bytes + 1) {
            apply_write(n.file, 0, 0, bytes + name_bytes + 1, r->length - name_bytes - 1);
        }
        settle(n.file, 0, newest_size(n.file));
    }
    do_naming(&f->names, &f->name_count, &n);
    return NULL;
}

static const char *apply_to_file(file *g, uint64_t op, const record *r, const unsigned char *bytes)
{
    switch (r->kind) {
    case RECORD_WRITE:
        apply_write(g, op, r->offset, bytes, r->length);
        return NULL;
    case RECORD_SIZE:
        apply_size(g, op, r->offset);
        return NULL;
    case RECORD_FLUSH:
        settle(g, 0, (uint64_t)g->sector_count * FS_SECTOR);
        return NULL;
    case RECORD_FLUSH_RANGE:
        settle(g, r->offset, r->offset + r->extra);
        return NULL;
    case RECORD_FLUSH_FAILED:
        set_dirty(g, 0, (uint64_t)g->sector_count * FS_SECTOR, false);
        return NULL;
    case RECORD_RANGE_FAILED:
        set_dirty(g, r->offset, r->offset + r->extra, false);
        return NULL;
    case RECORD_MAPPED:
        g->mapped = true;
        return NULL;
    default:
        return "a record of no known kind";
    }
}

const char *fs_apply(fs *f, uint64_t op, const record *r)
{
    char folder[RECORDING_PATH];
    const unsigned char *bytes = (const unsigned char *)(r + 1);
    switch (r->kind) {
    case RECORD_FOUND:
        return apply_found(f, r, bytes);
    case RECORD_FOLDER:
        return (r->flags & RECORD_WAS_THERE) != 0 ? apply_found(f, r, bytes)
                                                  : apply_naming(f, op, r, bytes);
    case RECORD_CREATE:
    case RECORD_RENAME:
    case RECORD_LINK:
    case RECORD_UNLINK:
        return apply_naming(f, op, r, bytes);
    case RECORD_FLUSH_FOLDER:
        copy_text(folder, bytes, r->length);
        flush_folder(f, folder);
        return NULL;
    case RECORD_MARK:
    case RECORD_RUN:
    case RECORD_FAULT:
        return NULL;
    case RECORD_UNKNOWN:
        copy_text(f->unknown, bytes, r->length);
        return f->unknown;
    default:
        break;
    }
    file *g = find_file(f, r->file);
    return g == NULL ? "a file that nobody opened" : apply_to_file(g, op, r, bytes);
}

/* ---- states ------------------------------------------------------------------------------------- */

static void doubt(fs *f, uint64_t op)
{
    f->ops = more(f->ops, f->op_count, sizeof *f->ops);
    f->ops[f->op_count++] = op;
}

static int compare_ops(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

size_t fs_doubtful(fs *f, const uint64_t **ops)
{
    size_t kept = 0;
    f->op_count = 0;
    for (size_t i = 0; i < f->file_count; i++) {
        const file *g = f->files[i];
        for (size_t s = 0; !g->mapped && s < g->sector_count; s++) {
            for (uint32_t c = 1; c < g->sectors[s].count; c++) {
                doubt(f, g->sectors[s].list[c].op);
            }
        }
        for (size_t c = 1; !g->mapped && c < g->length_count; c++) {
            doubt(f, g->lengths[c].op);
        }
    }
    for (size_t i = 0; i < f->naming_count; i++) {
        if (f->namings[i].file == NULL || !f->namings[i].file->mapped) {
            doubt(f, f->namings[i].op);
        }
    }
    if (f->op_count > 0) {
        qsort(f->ops, f->op_count, sizeof *f->ops, compare_ops);
    }
    for (size_t i = 0; i < f->op_count; i++) {
        if (i == 0 || f->ops[i] != f->ops[i - 1]) {
            f->ops[kept++] = f->ops[i];
        }
    }
    f->op_count = kept;
    *ops = f->ops;
    return kept;
}

/* Sizes are changed one after the other: the last of those that reached the disk. */
static const length *choose_length(const file *g, const fs_choice *choice, uint64_t *random)
{
    size_t at = g->length_count - 1;
    if (choice->torn && at > 0 && fs_random(random) % 2 == 0) {
        return &g->lengths[fs_random(random) % g->length_count];
    }
    while (at > 0 && choice->taken[g->lengths[at].op] == 0) {
        at--;
    }
    return &g->lengths[at];
}

/* A truncation takes away all that is older, or has not happened; then nothing that was written
 * behind it, where it cut, has found its place either. */
static const unsigned char *choose_content(const sector *s, const length *last,
                                           const fs_choice *choice, uint64_t *random)
{
    uint32_t first = 0;
    uint32_t end = s->count == 0 ? 0 : 1;
    while (end < s->count && (!s->list[end].cut || s->list[end].op <= last->op)) {
        first = s->list[end].cut ? end : first;
        end++;
    }
    if (end == 0) {
        return NULL;
    }
    if (choice->torn && end - first > 1 && fs_random(random) % 2 == 0) {
        return s->list[first + fs_random(random) % (end - first)].bytes;
    }
    uint32_t at = end - 1;
    while (at > first && choice->taken[s->list[at].op] == 0) {
        at--;
    }
    return s->list[at].bytes;
}

static void choose_file(file *g, const fs_choice *choice, uint64_t *random, fs_entry *entry)
{
    const length *last = choose_length(g, choice, random);
    entry->mapped = g->mapped;
    entry->size = g->mapped ? newest_size(g) : last->size;
    size_t sectors = (entry->size + FS_SECTOR - 1) / FS_SECTOR;
    if (sectors * FS_SECTOR > g->image_room) {
        g->image_room = sectors * FS_SECTOR * 2;
        g->image = realloc(g->image, g->image_room);
        if (g->image == NULL) {
            abort();
        }
    }
    for (size_t i = 0; !g->mapped && i < sectors; i++) {
        const unsigned char *bytes = choose_content(&g->sectors[i], last, choice, random);
        if (bytes == NULL) {
            memset(g->image + i * FS_SECTOR, 0, FS_SECTOR);
        } else {
            memcpy(g->image + i * FS_SECTOR, bytes, FS_SECTOR);
        }
    }
    entry->data = g->image;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const name *)a)->text, ((const name *)b)->text);
}

static bool has_folder(const name *names, size_t count, const char *text)
{
    size_t bytes = folder_part(text);
    bool found = bytes == 0;
    for (size_t i = 0; i < count && !found; i++) {
        found = names[i].file == NULL && strlen(names[i].text) == bytes &&
                memcmp(names[i].text, text, bytes) == 0;
    }
    return found;
}

const fs_image *fs_choose(fs *f, const fs_choice *choice)
{
    uint64_t random = choice->seed;
    size_t count = 0;
    free(f->chosen);
    f->chosen = NULL;
    for (size_t i = 0; i < f->name_count; i++) {
        f->chosen = more(f->chosen, count, sizeof(name));
        f->chosen[count++] = f->names[i];
    }
    for (size_t i = 0; i < f->naming_count; i++) {
        if (choice->taken[f->namings[i].op] != 0) {
            do_naming(&f->chosen, &count, &f->namings[i]);
        }
    }
    if (count > 0) {
        qsort(f->chosen, count, sizeof(name), compare_names);
    }
    f->image.count = 0;
    f->image.entries = realloc(f->image.entries, (count + 1) * sizeof(fs_entry));
    if (f->image.entries == NULL) {
        abort();
    }
    for (size_t i = 0; i < count; i++) {
        const name *n = &f->chosen[i];
        if (!has_folder(f->chosen, count, n->text)) {
            continue;
        }
        fs_entry *entry = &f->image.entries[f->image.count++];
        *entry = (fs_entry){.name = n->text, .folder = n->file == NULL};
        if (n->file != NULL) {
            choose_file(n->file, choice, &random, entry);
        }
    }
    return &f->image;
}
