/* recorded_name.h - names of files as the recorder knows them: inside its folder, without that. The
 * folder itself is "".
 */
#ifndef TIDEMARK_CRASH_RECORDED_NAME_H
#define TIDEMARK_CRASH_RECORDED_NAME_H

#include <limits.h>
#include <stdbool.h>

/* The name of any path, whose last part need not exist and is not followed; NULL: it is outside. */
const char *name_of(const char *folder, int at, const char *path, char resolved[PATH_MAX]);

/* The name that a descriptor was opened under, or has now. */
const char *opened_name(const char *folder, int fd, char path[PATH_MAX]);

bool is_marks(const char *name); /* the file of acknowledgements */
bool ends_in(const char *name, const char *tail);

#endif
