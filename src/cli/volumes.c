/* volumes.c - the mounted file systems of this device as rows of `volumes`.
 *
 * A volume is known by its mount point. Left out are file systems that hold no files of anybody's,
 * those without any blocks, and single files that are mounted over others. Where several are
 * mounted on one point, the last one counts, as it hides the others.
 */
#include "cli/index.h"

#include <errno.h>
#include <mntent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define MOUNT_LINE_MAX 65536

typedef struct volume {
    char *mount_point; /* valid UTF-8 */
    char *file_system;
    int64_t total_bytes; /* -1: not known */
} volume;

typedef struct volumes {
    volume *items;
    size_t count;
    size_t space;
} volumes;

static bool is_pseudo(const char *type)
{
    static const char *const types[] = {
        "autofs", "binfmt_misc", "bpf",        "cgroup",     "cgroup2",   "configfs", "debugfs",
        "devpts", "devtmpfs",    "efivarfs",   "fusectl",    "hugetlbfs", "mqueue",   "nsfs",
        "proc",   "pstore",      "rpc_pipefs", "securityfs", "selinuxfs", "sysfs",    "tracefs",
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(type, types[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int64_t total_bytes(const char *mount_point)
{
    struct statvfs status;
    unsigned long long bytes;

    if (statvfs(mount_point, &status) != 0) {
        return -1;
    }
    if (__builtin_mul_overflow((unsigned long long)status.f_blocks,
                               (unsigned long long)status.f_frsize, &bytes) ||
        bytes > INT64_MAX) {
        return INT64_MAX;
    }
    return (int64_t)bytes;
}

static void drop_volume(volumes *all, size_t index)
{
    free(all->items[index].mount_point);
    free(all->items[index].file_system);
    all->items[index] = all->items[--all->count];
}

static bool add_volume(volumes *all, const struct mntent *mount, int64_t bytes)
{
    volume v = {.mount_point = cli_utf8_escape(mount->mnt_dir),
                .file_system = cli_utf8_escape(mount->mnt_type),
                .total_bytes = bytes};

    if (all->count == all->space) {
        size_t space = all->space == 0 ? 32 : 2 * all->space;
        volume *place = reallocarray(all->items, space, sizeof *place);

        if (place != NULL) {
            all->items = place;
            all->space = space;
        }
    }
    if (v.mount_point == NULL || v.file_system == NULL || all->count == all->space) {
        free(v.mount_point);
        free(v.file_system);
        return false;
    }
    for (size_t i = all->count; i-- > 0;) {
        if (strcmp(all->items[i].mount_point, v.mount_point) == 0) {
            drop_volume(all, i);
        }
    }
    all->items[all->count++] = v;
    return true;
}

static int read_mounts(cli_call *call, volumes *all)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    char *line = malloc(MOUNT_LINE_MAX);
    struct mntent mount;
    int rc = CLI_YES;

    if (mounts == NULL) {
        rc = cli_fail_errno(call, errno, "/proc/self/mounts");
    } else if (line == NULL) {
        rc = cli_fail_memory(call);
    }
    while (rc == CLI_YES && getmntent_r(mounts, &mount, line, MOUNT_LINE_MAX) != NULL) {
        struct stat status;
        int64_t bytes;

        if (is_pseudo(mount.mnt_type)) {
            continue;
        }
        if (stat(mount.mnt_dir, &status) == 0 && !S_ISDIR(status.st_mode)) {
            continue;
        }
        bytes = total_bytes(mount.mnt_dir);
        if (bytes != 0 && !add_volume(all, &mount, bytes)) {
            rc = cli_fail_memory(call);
        }
    }
    if (mounts != NULL) {
        endmntent(mounts);
    }
    free(line);
    return rc;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static const char *volume_name(const volume *v)
{
    const char *slash = strrchr(v->mount_point, '/');

    return slash != NULL && slash[1] != '\0' ? slash + 1 : v->mount_point;
}

static void bind_bytes(sqlite3_stmt *statement, int index, int64_t bytes)
{
    if (bytes < 0) {
        sqlite3_bind_null(statement, index);
    } else {
        sqlite3_bind_int64(statement, index, bytes);
    }
}

/* Inserts the volume, or updates its row where that says something else. */
static int write_volume(cli_writer *writer, const uuid_t device, const volume *v)
{
    static const char insert[] =
        "INSERT INTO volumes(uuid, device_uuid, name, mount_point, file_system, total_bytes) "
        "SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS "
        "(SELECT 1 FROM volumes WHERE device_uuid = ?2 AND mount_point = ?4)";
    static const char update[] =
        "UPDATE volumes SET name = ?3, file_system = ?5, total_bytes = ?6 "
        "WHERE device_uuid = ?2 AND mount_point = ?4 AND "
        "(name IS NOT ?3 OR file_system IS NOT ?5 OR total_bytes IS NOT ?6)";
    const char *const texts[] = {insert, update};
    int rc = CLI_YES;

    for (size_t i = 0; rc == CLI_YES && i < 2; i++) {
        sqlite3_stmt *statement = NULL;
        uuid_t uuid;

        rc = cli_writer_prepare(writer, texts[i], &statement);
        if (rc != CLI_YES) {
            break;
        }
        if (i == 0) {
            cli_new_uuid(uuid);
            cli_bind_uuid(statement, 1, uuid);
        }
        cli_bind_uuid(statement, 2, device);
        cli_bind_text(statement, 3, volume_name(v));
        cli_bind_text(statement, 4, v->mount_point);
        cli_bind_text(statement, 5, v->file_system);
        bind_bytes(statement, 6, v->total_bytes);
        rc = cli_writer_run(writer, statement);
        sqlite3_finalize(statement);
    }
    return rc;
}

static bool is_mounted(const volumes *all, const char *mount_point)
{
    for (size_t i = 0; mount_point != NULL && i < all->count; i++) {
        if (strcmp(all->items[i].mount_point, mount_point) == 0) {
            return true;
        }
    }
    return false;
}

/* Deletes the rows of this device whose file system is mounted no more. */
static int delete_gone(cli_writer *writer, const uuid_t device, const volumes *all)
{
    sqlite3_stmt *rows = NULL;
    sqlite3_stmt *removal = NULL;
    int step = SQLITE_DONE;
    int rc = cli_writer_prepare(
        writer, "SELECT id, mount_point FROM volumes WHERE device_uuid = ?1 ORDER BY id", &rows);

    if (rc == CLI_YES) {
        rc = cli_writer_prepare(writer, "DELETE FROM volumes WHERE id = ?1", &removal);
    }
    if (rc == CLI_YES) {
        cli_bind_uuid(rows, 1, device);
    }
    while (rc == CLI_YES && (step = sqlite3_step(rows)) == SQLITE_ROW) {
        if (is_mounted(all, (const char *)sqlite3_column_text(rows, 1))) {
            continue;
        }
        sqlite3_bind_int64(removal, 1, sqlite3_column_int64(rows, 0));
        rc = cli_writer_run(writer, removal);
    }
    if (rc == CLI_YES && step != SQLITE_DONE) {
        rc = cli_fail_sqlite(writer->call, writer->database, writer->path);
    }
    sqlite3_finalize(removal);
    sqlite3_finalize(rows);
    return rc;
}

int cli_write_volumes(cli_writer *writer, const uuid_t device)
{
    volumes all = {.items = NULL};
    int rc = read_mounts(writer->call, &all);

    for (size_t i = 0; rc == CLI_YES && i < all.count; i++) {
        rc = write_volume(writer, device, &all.items[i]);
    }
    if (rc == CLI_YES) {
        rc = delete_gone(writer, device, &all);
    }
    if (rc == CLI_YES) {
        rc = cli_writer_commit(writer);
    }
    while (all.count > 0) {
        drop_volume(&all, all.count - 1);
    }
    free(all.items);
    return rc;
}
