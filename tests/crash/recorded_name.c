/* recorded_name.c - see recorded_name.h. */
#include "recorded_name.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recording.h"

/* The name of an absolute path inside the folder ("" for the folder itself); NULL: it is outside. */
static const char *inside(const char *folder, const char *path)
{
    size_t folder_length = strlen(folder);
    if (strncmp(path, folder, folder_length) != 0 ||
        (path[folder_length] != '/' && path[folder_length] != '\0')) {
        return NULL;
    }
    return path + folder_length + (path[folder_length] == '/');
}

const char *name_of(const char *folder, int at, const char *path, char resolved[PATH_MAX])
{
    char above[PATH_MAX];
    char link[64];
    if (path == NULL) {
        return NULL;
    }
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    int length = slash == NULL ? 0 : (int)(slash - path);
    if (path[0] != '/' && at != AT_FDCWD) {
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        (void)snprintf(above, sizeof above, "%s/%.*s", link, length, path);
    } else if (slash == path) {
        (void)snprintf(above, sizeof above, "/");
    } else {
        (void)snprintf(above, sizeof above, "%.*s", slash == NULL ? 1 : length,
                       slash == NULL ? "." : path);
    }
    if (realpath(above, resolved) == NULL) {
        return NULL;
    }
    size_t used = strlen(resolved);
    if (*base != '\0' && strcmp(base, ".") != 0) {
        (void)snprintf(resolved + used, PATH_MAX - used, "%s%s", used == 1 ? "" : "/", base);
    }
    return inside(folder, resolved);
}

bool is_marks(const char *name)
{
    const char *slash = strrchr(name, '/');
    return strcmp(slash == NULL ? name : slash + 1, RECORDING_MARKS) == 0;
}

const char *opened_name(const char *folder, int fd, char path[PATH_MAX])
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) {
        return NULL;
    }
    path[length] = '\0';
    return inside(folder, path);
}

bool ends_in(const char *name, const char *tail)
{
    size_t length = strlen(name);
    size_t tail_length = strlen(tail);
    return length >= tail_length && strcmp(name + length - tail_length, tail) == 0;
}
