/* support_disk.c - see support_disk.h. */
#define _GNU_SOURCE 1
#include "support_disk.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static bool write_line(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return done;
}

/* Root of a user namespace of its own, where that is allowed. */
static bool become_root_of_a_namespace(void)
{
    char uid_map[32], gid_map[32];

    snprintf(uid_map, sizeof uid_map, "0 %lu 1", (unsigned long)getuid());
    snprintf(gid_map, sizeof gid_map, "0 %lu 1", (unsigned long)getgid());
    return unshare(CLONE_NEWUSER) == 0 && write_line("/proc/self/setgroups", "deny") &&
           write_line("/proc/self/uid_map", uid_map) && write_line("/proc/self/gid_map", gid_map);
}

bool test_disk_enter(uint64_t bytes)
{
    char options[64];

    child_assert(mkdir("disk", 0700) == 0);
    if (geteuid() != 0 && !become_root_of_a_namespace())
        return false;
    if (unshare(CLONE_NEWNS) != 0)
        return false;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return false;
    snprintf(options, sizeof options, "size=%llu,nr_inodes=1000", (unsigned long long)bytes);
    if (mount("tidemark-test", "disk", "tmpfs", 0, options) != 0)
        return false;
    child_assert(chdir("disk") == 0);
    return true;
}

void test_disk_ballast(uint64_t bytes)
{
    int fd = open("ballast", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    child_assert(fd >= 0);
    child_assert(ftruncate(fd, 0) == 0);
    child_assert(bytes == 0 || posix_fallocate(fd, 0, (off_t)bytes) == 0);
    close(fd);
}

void test_disk_run(const char *name, void (*fn)(void *ctx), void *ctx)
{
    int status = test_child(fn, ctx);

    if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_NO_DISK) {
        test_skipped(name, "a tmpfs of a given size cannot be mounted here");
        return;
    }
    ck_assert_msg(!WIFSIGNALED(status), "the child died of signal %d", WTERMSIG(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
