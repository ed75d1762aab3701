/* walk.c - reads a tree of folders, by descriptors and not by paths.
 *
 * Each folder is opened relative to the one above it (openat, O_NOFOLLOW), so that neither the
 * length of a path nor a link put in its way matters, and is read to its end before the folders in
 * it are entered. What is remembered of a folder is the names of the folders in it that are still
 * to be entered.
 *
 * Only the OPEN_MAX deepest folders of the branch are kept open. One above them is closed, and
 * opened again as ".." when the walk comes back to it; if that is another folder by then, because
 * somebody has moved a part of the tree, what was left to do in it is given up as trouble.
 */
#include "cli/index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPEN_MAX_FOLDERS 32
#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

typedef struct pending {
    char *name;
    cli_folder folder;
} pending;

typedef struct frame {
    int fd; /* -1: closed for a while */
    dev_t device;
    ino_t inode;
    cli_folder folder;
    pending *children; /* folders to enter; the last one is next */
    size_t child_count;
    size_t child_space;
    size_t path_length;
} frame;

typedef struct walker {
    cli_call *call;
    const cli_walk *walk;
    dev_t device; /* the one file system */
    frame *frames;
    size_t depth;
    size_t space;
    char *path; /* of the deepest folder */
    size_t path_space;
} walker;

/* Makes room for one more item of `bytes`. Returns the new place, or NULL and leaves everything. */
static void *grown(void *items, size_t count, size_t *space, size_t bytes)
{
    size_t wanted = *space == 0 ? 16 : 2 * *space;
    void *place;

    if (count < *space) {
        return items;
    }
    place = reallocarray(items, wanted, bytes);
    if (place != NULL) {
        *space = wanted;
    }
    return place;
}

/* Sets the path to that of `name` in the folder whose path is `length` bytes long. */
static bool set_path(walker *w, size_t length, const char *name)
{
    size_t name_bytes = strlen(name) + 1;
    size_t needed = length + 1 + name_bytes;

    if (needed > w->path_space) {
        char *place = realloc(w->path, 2 * needed);

        if (place == NULL) {
            return false;
        }
        w->path = place;
        w->path_space = 2 * needed;
    }
    if (length == 0 || w->path[length - 1] != '/') {
        w->path[length++] = '/';
    }
    memcpy(w->path + length, name, name_bytes);
    return true;
}

static bool add_child(frame *f, const char *name, const cli_folder *folder)
{
    pending *place = grown(f->children, f->child_count, &f->child_space, sizeof *place);
    char *copy;

    if (place == NULL) {
        return false;
    }
    f->children = place;
    copy = strdup(name);
    if (copy == NULL) {
        return false;
    }
    f->children[f->child_count++] = (pending){.name = copy, .folder = *folder};
    return true;
}

static void free_frame(frame *f)
{
    for (size_t i = 0; i < f->child_count; i++) {
        free(f->children[i].name);
    }
    free(f->children);
    if (f->fd >= 0) {
        close(f->fd);
    }
}

/* ---- reading a folder ------------------------------------------------------------------------ */

/* Tells one name, and remembers it if it is a folder to enter. Sets *error when it cannot be looked at. */
static int tell_entry(walker *w, frame *f, const char *name, int *error)
{
    const cli_walk *walk = w->walk;
    cli_folder child = {.known = CLI_UNKNOWN};
    struct stat status;
    int rc;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return CLI_YES;
    }
    if (fstatat(f->fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) { /* it has gone since its name was read */
            *error = errno;
        }
        return CLI_YES;
    }
    if (status.st_dev == walk->skip_device && status.st_ino == walk->skip_inode) {
        return CLI_YES;
    }
    rc = walk->entry(walk->ctx, &f->folder, name, &status, &child);
    if (rc != CLI_YES || !S_ISDIR(status.st_mode)) {
        return rc;
    }
    if (status.st_dev != w->device) {
        return walk->complete(walk->ctx, &child); /* nothing in it belongs here */
    }
    return add_child(f, name, &child) ? CLI_YES : cli_fail_memory(w->call);
}

/* Reads the deepest folder to its end. */
static int read_folder(walker *w)
{
    frame *f = &w->frames[w->depth - 1];
    int copy = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    const struct dirent *entry;
    int error = stream == NULL ? errno : 0;
    int rc = CLI_YES;

    if (stream == NULL && copy >= 0) {
        close(copy);
    }
    while (stream != NULL && rc == CLI_YES) {
        errno = 0;
        entry = readdir(stream);
        if (entry == NULL) {
            if (errno != 0) {
                error = errno;
            }
            break;
        }
        rc = tell_entry(w, f, entry->d_name, &error);
    }
    if (stream != NULL) {
        closedir(stream);
    }
    if (rc != CLI_YES) {
        return rc;
    }
    if (error == 0) {
        return w->walk->complete(w->walk->ctx, &f->folder);
    }
    w->walk->trouble(w->walk->ctx, w->path, error);
    return CLI_YES;
}

/* ---- down and up ----------------------------------------------------------------------------- */

/* Adds a frame for the open folder `fd`, which it owns from then on, also on failure. */
static int push(walker *w, int fd, const struct stat *status, const cli_folder *folder)
{
    frame *place = grown(w->frames, w->depth, &w->space, sizeof *place);

    if (place == NULL) {
        close(fd);
        return cli_fail_memory(w->call);
    }
    w->frames = place;
    w->frames[w->depth++] = (frame){.fd = fd,
                                    .device = status->st_dev,
                                    .inode = status->st_ino,
                                    .folder = *folder,
                                    .path_length = strlen(w->path)};
    if (w->depth > OPEN_MAX_FOLDERS) {
        frame *high = &w->frames[w->depth - 1 - OPEN_MAX_FOLDERS];

        if (high->fd >= 0) {
            close(high->fd);
        }
        high->fd = -1;
    }
    return read_folder(w);
}

/* Enters the next folder in the deepest one. */
static int enter_child(walker *w)
{
    frame *f = &w->frames[w->depth - 1];
    pending *next = &f->children[f->child_count - 1];
    struct stat status;
    int fd;

    if (!set_path(w, f->path_length, next->name)) {
        return cli_fail_memory(w->call);
    }
    fd = openat(f->fd, next->name, OPEN_FLAGS);
    if (fd < 0 || fstat(fd, &status) != 0) {
        if (errno != ENOENT) {
            w->walk->trouble(w->walk->ctx, w->path, errno);
        }
        if (fd >= 0) {
            close(fd);
        }
        fd = -1;
    }
    f->child_count--;
    if (fd >= 0 && status.st_dev != w->device) { /* mounted since it was looked at */
        close(fd);
        fd = -1;
    }
    if (fd >= 0) {
        cli_folder folder = next->folder;

        free(next->name);
        return push(w, fd, &status, &folder);
    }
    free(next->name);
    return CLI_YES;
}

/* Opens a folder again that was closed, from the one in it. If that fails, what is left to do in it
 * is given up, and its frame stays closed. */
static void reopen(walker *w, frame *above, const frame *below)
{
    struct stat status;
    int error = ESTALE;

    if (below->fd >= 0) {
        above->fd = openat(below->fd, "..", OPEN_FLAGS);
        if (above->fd < 0 || fstat(above->fd, &status) != 0) {
            error = errno;
        } else if (status.st_dev == above->device && status.st_ino == above->inode) {
            return;
        }
    }
    if (above->fd >= 0) {
        close(above->fd);
    }
    above->fd = -1;
    if (above->child_count == 0) {
        return;
    }
    w->path[above->path_length] = '\0'; /* it is longer than that: the walk comes from below */
    w->walk->trouble(w->walk->ctx, w->path, error);
    while (above->child_count > 0) {
        free(above->children[--above->child_count].name);
    }
}

/* Leaves the deepest folder. */
static void leave(walker *w)
{
    frame *f = &w->frames[w->depth - 1];

    if (w->depth > 1 && f[-1].fd < 0) {
        reopen(w, f - 1, f);
    }
    free_frame(f);
    w->depth--;
}

static int walk_frames(walker *w)
{
    int rc = CLI_YES;

    while (rc == CLI_YES && w->depth > 0) {
        if (w->frames[w->depth - 1].child_count > 0) {
            rc = enter_child(w);
        } else {
            leave(w);
        }
    }
    return rc;
}

int cli_walk_tree(cli_call *call, const cli_walk *walk, const char *path, const cli_folder *root)
{
    walker w = {.call = call, .walk = walk};
    struct stat status;
    int fd = open(path, OPEN_FLAGS);
    int rc;

    if (fd < 0 || fstat(fd, &status) != 0) {
        rc = cli_fail_errno(call, errno, path);
        if (fd >= 0) {
            close(fd);
        }
        return rc;
    }
    w.device = status.st_dev;
    w.path = strdup(path);
    if (w.path == NULL) {
        close(fd);
        return cli_fail_memory(call);
    }
    w.path_space = strlen(path) + 1;
    rc = push(&w, fd, &status, root);
    if (rc == CLI_YES) {
        rc = walk_frames(&w);
    }
    while (w.depth > 0) {
        free_frame(&w.frames[--w.depth]);
    }
    free(w.frames);
    free(w.path);
    return rc;
}
