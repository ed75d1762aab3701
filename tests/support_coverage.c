/* support_coverage.c - a child that ends by _exit, as those of the tests do, leaves what it has
 * counted. In the preset `coverage` only, where each call of _exit comes here. */
#include <unistd.h>

void __gcov_dump(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}
