/* machine.c - what it was measured on. */
#include <lmdb.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <tidemark/version.h>

#include "bench.h"

static void first_value(const char *path, const char *name, char *out, size_t size)
{
    char line[512];
    FILE *file = fopen(path, "r");
    (void)snprintf(out, size, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, name, strlen(name)) == 0 && colon != NULL) {
            (void)snprintf(out, size, "%s", colon + 1 + strspn(colon + 1, " \t"));
            out[strcspn(out, "\n")] = '\0';
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static const char *file_system(const char *folder)
{
    struct statfs fs;
    if (statfs(folder, &fs) != 0) {
        return "unknown";
    }
    switch ((unsigned long)fs.f_type) {
    case 0xEF53:
        return "ext4";
    case 0x58465342:
        return "xfs";
    case 0x9123683E:
        return "btrfs";
    case 0x01021994:
        return "tmpfs";
    default:
        return "another";
    }
}

const char *machine_text(const char *folder)
{
    static char text[2048];
    char cpu[256];
    char memory[64];
    struct utsname os;
    first_value("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    first_value("/proc/meminfo", "MemTotal", memory, sizeof memory);
    if (uname(&os) != 0) {
        (void)snprintf(os.release, sizeof os.release, "unknown");
    }
    (void)snprintf(text, sizeof text,
                   "processor    %s, %ld cores\n"
                   "memory       %s\n"
                   "system       %s %s, files on %s\n"
                   "versions     tidemark %s (%s), %s, SQLite %s\n"
                   "built with   %s, %s\n",
                   cpu, sysconf(_SC_NPROCESSORS_ONLN), memory, os.sysname, os.release,
                   file_system(folder), tide_version(), BENCH_COMMIT, mdb_version(NULL, NULL, NULL),
                   sqlite3_libversion(), BENCH_COMPILER, BENCH_FLAGS);
    return text;
}
