/* detail.h - the particulars of a failure, as one line on their way up to a handle. */
#ifndef TIDEMARK_BASE_DETAIL_H
#define TIDEMARK_BASE_DETAIL_H

#define TIDE__DETAIL_MAX 512

typedef struct tide__detail {
    char text[TIDE__DETAIL_MAX];
} tide__detail;

/* The empty line, without filling all of it. */
static inline void tide__detail_clear(tide__detail *detail)
{
    detail->text[0] = '\0';
}

/* Formats the line (control characters become '?') and returns `code`. `detail` may be NULL. */
int tide__fail(tide__detail *detail, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: "what: strerror(number)", and the code that number stands for. */
int tide__fail_errno(tide__detail *detail, int number, const char *what);

/* ENOSPC -> TIDE_ENOSPC and so on; TIDE_EIO for what has no code of its own. */
int tide__code_of_errno(int number);

#endif
