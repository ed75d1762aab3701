/* recording.h - what the recorder writes down and the replayer reads: one file, mapped by all.
 *
 * The driver makes the file and names it in the environment variable TIDEMARK_CRASH; every program
 * that runs with the recorder preloaded appends to it. A call and its record are one step behind
 * the lock, so the order of the records is an order in which the calls may have happened. The file
 * begins with what was in the folder before, so it can be replayed without the folder.
 */
#ifndef TIDEMARK_CRASH_RECORDING_H
#define TIDEMARK_CRASH_RECORDING_H

#include <pthread.h>
#include <stdint.h>

#define RECORDING_VARIABLE "TIDEMARK_CRASH"
#define RECORDING_MAGIC 0x31435254u
#define RECORDING_BYTES                                                                            \
    (UINT64_C(1) << 30) /* of address space; the file is as large as its records */
#define RECORDING_FILES 4096
#define RECORDING_PATH 512

/* A program under test says what it takes to be durable by appending lines to this file in the
 * folder. It is not part of the folder's states. */
#define RECORDING_MARKS ".acknowledged"

typedef enum record_kind {
    RECORD_FOUND = 1,    /* a file that was there: name, NUL, content */
    RECORD_FOLDER,       /* a folder that was made, or was there (flag): name */
    RECORD_CREATE,       /* name */
    RECORD_WRITE,        /* offset, bytes */
    RECORD_SIZE,         /* offset: the new size */
    RECORD_FLUSH,        /* of a file */
    RECORD_FLUSH_RANGE,  /* offset, length in `extra`: written through */
    RECORD_FLUSH_FAILED, /* its pages count as clean and may be unwritten */
    RECORD_RANGE_FAILED, /* the same for a write-through: offset, length in `extra` */
    RECORD_FLUSH_FOLDER, /* name */
    RECORD_RENAME,       /* from, NUL, to */
    RECORD_LINK,         /* name */
    RECORD_UNLINK,       /* name */
    RECORD_MAPPED,       /* shared and writable: what is stored there goes past the recorder */
    RECORD_MARK,         /* text */
    RECORD_RUN,          /* a program begins: its name */
    RECORD_FAULT,        /* a call was failed: its name */
    RECORD_UNKNOWN       /* something this model does not know: its name */
} record_kind;

enum { RECORD_WAS_THERE = 1u };

typedef struct record {
    uint32_t kind;
    uint32_t flags;
    uint64_t file; /* inode number */
    uint64_t offset;
    uint64_t extra;
    uint64_t length; /* of what follows, padded to 8 bytes */
} record;

/* The classes of calls that can be failed, each counted by itself. A write that is written through
 * is a write and, after it, a flush. */
typedef enum call_class {
    CALL_OPEN,
    CALL_WRITE,
    CALL_SIZE, /* ftruncate, fallocate */
    CALL_NAME, /* rename, link, unlink, mkdir, rmdir */
    CALL_FLUSH,
    CALL_CLASSES
} call_class;

typedef enum fault_kind {
    FAULT_NONE,
    FAULT_ONCE,     /* this call fails */
    FAULT_FOR_GOOD, /* this one and all later ones of the class */
    FAULT_SHORT,    /* half of it is written; the next one fails */
    FAULT_RETRIED,  /* a flush fails, the program flushes again and is told that all is well */
    FAULT_EATEN     /* a flush does nothing and is told to have been done */
} fault_kind;

typedef struct recording {
    uint32_t magic;
    uint32_t fault; /* fault_kind */
    uint32_t fault_class;
    uint32_t fault_errno;
    uint64_t fault_at;   /* the number of the call, from 1; FAULT_EATEN with 0: all of them */
    char fault_name[64]; /* only files whose name ends so; "": all */
    uint64_t calls[CALL_CLASSES];
    pthread_mutex_t lock; /* robust, between processes */
    char folder[RECORDING_PATH];
    char scenario[32]; /* what the driver needs to make a state again */
    uint64_t seed;
    uint64_t per_moment;
    uint64_t file_count;
    uint64_t files[RECORDING_FILES]; /* inode numbers that belong to the folder */
    uint64_t used;                   /* bytes of records behind this */
    uint64_t lost;                   /* records there was no room for */
} recording;

#define RECORDING_FIRST ((sizeof(recording) + 63) / 64 * 64)

#endif
