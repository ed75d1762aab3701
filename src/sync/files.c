/* files.c - see files.h. */
#include "sync/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include <tidemark/error.h>

const char *tide__files_before(const char *path)
{
    return strncmp(path, "file:", 5) == 0 ? "./" : "";
}

void tide__files_new_name(const char *path, char out[TIDE__FILES_NAME])
{
    char unique[UUID_STR_LEN];
    uuid_t uuid;
    uuid_generate_random(uuid);
    uuid_unparse_lower(uuid, unique);
    (void)snprintf(out, TIDE__FILES_NAME, "%.*s" TIDE__NEW_TAIL "%s", PATH_MAX, path, unique);
}

int tide__files_flush(const char *path, int flags, tide__detail *detail)
{
    int rc = TIDE_OK;
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        rc = tide__fail_errno(detail, errno, path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

void tide__files_remove_rows(const char *path)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    char name[TIDE__FILES_NAME + sizeof "-journal"];
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, tails[i]);
        (void)unlink(name);
    }
}
