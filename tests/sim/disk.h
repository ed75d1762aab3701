/* disk.h - disks that keep nothing but what was flushed, one for each simulated device.
 *
 * The folders 0, 1, ... below a root are drives. Functions in the place of libc's watch what is
 * written there and keep beside each file its durable image: its content at its last fsync or
 * fdatasync, and what went through a descriptor opened O_DSYNC. Names are durable as of the last
 * fsync of the folder. Lock files and SQLite's -shm are not watched: they do not outlive a crash.
 *
 *     disk_watch      once: the root
 *     disk_arm        the power of a drive goes at its Nth writing call from now, or
 *     disk_cut        at once; every writing call answers EIO from then on
 *     disk_restore    when everything on it is closed: what a crash has left is put there
 *
 * One thread. What this program itself does wrong ends it.
 */
#ifndef TIDEMARK_TESTS_SIM_DISK_H
#define TIDEMARK_TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISK_DRIVES 8

/* What a crash leaves of what was written and not flushed. */
enum {
    DISK_POWER, /* nothing */
    DISK_KILL,  /* all of it, and still not flushed: the process died, the system lives */
    DISK_TORN,  /* of each 512 bytes the old or the new */
    DISK_CRASHES
};

/* `root` is there; the drives are made in it. */
void disk_watch(const char *root);

/* Empties all drives, and switches them on. Everything on them is closed. */
void disk_reset(void);

/* The folder of a drive. Valid for ever. */
const char *disk_path(int number);

void disk_arm(int number, uint64_t calls); /* 0: not any more */
bool disk_is_armed(int number);
void disk_cut(int number);
bool disk_is_off(int number);

/* Puts what a crash of that kind leaves in place, and switches the drive on. False: a file on the
 * drive is still open, which *why names. */
bool disk_restore(int number, int crash, uint64_t seed, const char **why);

/* An older state: the files as they would survive a loss of power now. */
typedef struct disk_copy disk_copy;
disk_copy *disk_save(int number);
void disk_free(disk_copy *copy); /* NULL is allowed */

/* Replaces the files whose names begin with `prefix` ("": all) by those of the copy. Everything on
 * the drive is closed. */
void disk_load(int number, const disk_copy *copy, const char *prefix);

/* Whether every write was seen: after a flush of everything the images must be the files. NULL, or
 * the name of a file that differs; the files are read by system calls of their own. */
const char *disk_unseen(int number);

#endif
