/* page.c - a page as bytes; see page.h. */
#include "store/page.h"

#include <errno.h>
#include <unistd.h>

#include "base/key.h"

tide__node tide__node_at(const unsigned char *page, size_t index)
{
    const unsigned char *at = page + tide__get16(page + PAGE_HEAD + 2 * index);
    tide__node n = {.flags = tide__get16(at + NODE_AT_FLAGS)};
    n.key = (tide__bytes){at + NODE_HEAD, tide__get16(at + NODE_AT_KEY_SIZE)};
    n.data = (tide__bytes){n.key.at + n.key.length, tide__get32(at)};
    return n;
}

uint64_t tide__child_at(const unsigned char *page, size_t index)
{
    const unsigned char *at = page + tide__get16(page + PAGE_HEAD + 2 * index);
    return tide__get32(at) | (uint64_t)tide__get16(at + NODE_AT_FLAGS) << 32;
}

const char *tide__node_fault(const unsigned char *page, size_t at, bool leaf, size_t *size)
{
    if (at < PAGE_HEAD || at > PAGE_BYTES - NODE_HEAD || at % 2 != 0) {
        return "a node out of bounds";
    }
    size_t key = tide__get16(page + at + NODE_AT_KEY_SIZE);
    size_t data = !leaf ? 0
                  : (tide__get16(page + at + NODE_AT_FLAGS) & BIG_DATA) != 0
                      ? sizeof(uint64_t)
                      : tide__get32(page + at);
    *size = NODE_HEAD + key + data;
    return key > TIDE__KEY_MAX || *size > PAGE_BYTES - at ? "a node longer than the page" : NULL;
}

const char *tide__page_fault(const unsigned char *page, bool leaf, size_t *count)
{
    uint16_t sizes[PAGE_BYTES / 2] = {0}; /* of the node that begins there */
    size_t lower = tide__get16(page + PAGE_AT_LOWER);
    size_t upper = tide__get16(page + PAGE_AT_UPPER);
    if (lower <= PAGE_HEAD || lower > upper || upper > PAGE_BYTES || (lower | upper) % 2 != 0) {
        return "impossible bounds";
    }
    *count = (lower - PAGE_HEAD) / 2;
    for (size_t i = 0; i < *count; i++) {
        size_t at = tide__get16(page + PAGE_HEAD + 2 * i);
        size_t size = 0;
        const char *fault =
            at < upper ? "a node out of bounds" : tide__node_fault(page, at, leaf, &size);
        if (fault != NULL) {
            return fault;
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

int tide__page_read(int fd, uint64_t page, unsigned char *buffer, size_t size, size_t *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t n = pread(fd, buffer + *got, size - *got, (off_t)(page * PAGE_BYTES + *got));
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n == 0) {
            break;
        }
        *got += n < 0 ? 0 : (size_t)n;
    }
    return 0;
}
