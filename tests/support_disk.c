/* support_disk.c - see support_disk.h. */
#define _GNU_SOURCE 1
#include "support_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
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

/* Mounts of our own, and a folder to mount on. */
static bool prepare(void)
{
    child_assert(mkdir("disk", 0700) == 0);
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool test_disk_enter(uint64_t bytes)
{
    char options[64];

    if (geteuid() != 0 && !become_root_of_a_namespace())
        return false;
    if (!prepare())
        return false;
    snprintf(options, sizeof options, "size=%llu,nr_inodes=1000", (unsigned long long)bytes);
    if (mount("tidemark-test", "disk", "tmpfs", 0, options) != 0)
        return false;
    child_assert(chdir("disk") == 0);
    return true;
}

bool test_disk_enter_ext4(uint64_t bytes)
{
    char command[256];

    if (geteuid() != 0 || !prepare())
        return false;
    snprintf(command, sizeof command,
             "exec >/dev/null 2>&1; PATH=$PATH:/usr/sbin:/sbin; "
             "mkfs.ext4 -b 1024 -m 0 -O ^has_journal disk.ext4 %lluk && "
             "mount -t ext4 -o loop disk.ext4 disk && rm disk.ext4 && rmdir disk/lost+found",
             (unsigned long long)(bytes / 1024));
    if (system(command) != 0) /* NOLINT(cert-env33-c): programs of root's, in the test's folder */
        return false;
    child_assert(chdir("disk") == 0);
    return true;
}

static uint64_t available(void)
{
    struct statvfs disk;

    child_assert(statvfs(".", &disk) == 0);
    return (uint64_t)disk.f_bavail * disk.f_frsize;
}

void test_disk_ballast(uint64_t bytes)
{
    int fd = open("ballast", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    child_assert(fd >= 0);
    child_assert(ftruncate(fd, 0) == 0);
    child_assert(bytes == 0 || posix_fallocate(fd, 0, (off_t)bytes) == 0);
    close(fd);
}

/* A file in many pieces needs a block for the list of them. */
void test_disk_leave(uint64_t bytes)
{
    int fd = open("ballast", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct stat info;
    uint64_t all, rest;
    int rc;

    child_assert(fd >= 0);
    all = available();
    child_assert(all > bytes);
    rc = posix_fallocate(fd, 0, (off_t)(all - bytes));
    child_assert(rc == 0 || rc == ENOSPC);
    rest = available();
    child_assert(rest <= bytes && fstat(fd, &info) == 0);
    child_assert(ftruncate(fd, info.st_size - (off_t)(bytes - rest)) == 0);
    child_assert(available() == bytes);
    close(fd);
}

void test_disk_run(const char *name, void (*fn)(void *ctx), void *ctx)
{
    int status = test_child(fn, ctx);

    if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_NO_DISK) {
        test_skipped(name, "such a disk cannot be mounted here");
        return;
    }
    ck_assert_msg(!WIFSIGNALED(status), "the child died of signal %d", WTERMSIG(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
