/* detail.c - the particulars of a failure; see detail.h. */
#include "base/detail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tidemark/error.h>

int tide__fail(tide__detail *detail, int code, const char *format, ...)
{
    if (detail != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(detail->text, sizeof detail->text, format, arguments);
        va_end(arguments);
        for (char *p = detail->text; *p != '\0'; p++) {
            if ((unsigned char)*p < 0x20 || *p == 0x7f) {
                *p = '?';
            }
        }
    }
    return code;
}

int tide__fail_errno(tide__detail *detail, int number, const char *what)
{
    char words[128];
    /* The GNU strerror_r returns the text, in `words` or static. */
    return tide__fail(detail, tide__code_of_errno(number), "%s: %s", what,
                      strerror_r(number, words, sizeof words));
}

int tide__code_of_errno(int number)
{
    switch (number) {
    case EINVAL:
    case ENAMETOOLONG:
        return TIDE_EINVAL;
    case ENOMEM:
        return TIDE_ENOMEM;
    case ENOSPC:
    case EDQUOT:
        return TIDE_ENOSPC;
    case EACCES:
    case EPERM:
    case EROFS:
        return TIDE_EACCES;
    case ENOENT:
    case ENOTDIR:
        return TIDE_ENOENT;
    case EBUSY:
    case EAGAIN:
        return TIDE_EBUSY;
    default:
        return TIDE_EIO;
    }
}
