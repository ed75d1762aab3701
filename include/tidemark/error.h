/* tidemark/error.h - the answers of every call.
 *
 * Calls that can fail return int. Zero is done. A positive code is a normal answer other than done.
 * A negative code is a failure: it changed nothing, except where the call says so; TIDE_EUNKNOWN says
 * that nobody can tell. An error never reads as "absent". The values are pinned and will not change.
 */
#ifndef TIDEMARK_ERROR_H
#define TIDEMARK_ERROR_H

#include <tidemark/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, value, sentence) */
#define TIDE_CODES(X)                                                                              \
    X(TIDE_OK, 0, "done")                                                                          \
    X(TIDE_STALE, 1, "the mark is already there or further")                                       \
    X(TIDE_GAP, 2, "the range begins beyond the mark")                                             \
    X(TIDE_ABSENT, 3, "there is none")                                                             \
    X(TIDE_CONFLICT, 4, "the mark is not what was expected")                                       \
    X(TIDE_EINVAL, -1, "invalid argument")                                                         \
    X(TIDE_ERANGE, -2, "time outside the years 1677 to 2262")                                      \
    X(TIDE_ENOMEM, -3, "out of memory")                                                            \
    X(TIDE_EIO, -4, "input/output error")                                                          \
    X(TIDE_ENOSPC, -5, "no space left on the disk")                                                \
    X(TIDE_EFULL, -6, "the store has reached its largest allowed size")                            \
    X(TIDE_EACCES, -7, "permission denied")                                                        \
    X(TIDE_ENOENT, -8, "no such file or folder")                                                   \
    X(TIDE_EBUSY, -9, "in use")                                                                    \
    X(TIDE_EFORMAT, -10, "not a file of this kind, or of another format version")                  \
    X(TIDE_ECORRUPT, -11, "damaged data")                                                          \
    X(TIDE_EFORKED, -12, "the handle was opened before fork; open a new one in the child")         \
    X(TIDE_EUNKNOWN, -13, "a write failed and its outcome is unknown; close and open again")       \
    X(TIDE_EFILESYSTEM, -14, "the file system cannot hold a store (network or user-space)")        \
    X(TIDE_ELIMIT, -15, "a limit is exceeded")                                                     \
    X(TIDE_EPROTO, -16, "malformed or unexpected message from the peer")                           \
    X(TIDE_EMODEL, -17, "unknown model, or one that does not fit its table")                       \
    X(TIDE_ECYCLE, -18, "the models depend on each other in a circle")                             \
    X(TIDE_ECLOCK, -19, "a version lies too far in the future")                                    \
    X(TIDE_ELIBRARY, -20, "the other side belongs to another library, or is this device itself")   \
    X(TIDE_ECONSTRAINT, -21, "a constraint of the table refuses the row")                          \
    X(TIDE_ESQL, -22, "SQLite reports an error")                                                   \
    X(TIDE_ECLOSED, -23, "the link is closed")                                                     \
    X(TIDE_EOWNER, -24, "the row belongs to another device")

#define TIDE_CODE_ENUM(name, value, sentence) name = (value),
enum { TIDE_CODES(TIDE_CODE_ENUM) };
#undef TIDE_CODE_ENUM

/* The sentence of a code: static, never NULL; "unknown code" for any other number. Any thread. */
TIDE_API const char *tide_strerror(int code);

/* The name of a code, as "TIDE_STALE": static, never NULL; "TIDE_?" for any other number. */
TIDE_API const char *tide_code_name(int code);

#ifdef __cplusplus
}
#endif
#endif
