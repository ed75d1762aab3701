#include "bench.h"
bool report_write(const bench *b, const char *folder)
{
    (void)b;
    (void)folder;
    return true;
}
