/* findings.h - lines about what is wrong with a file, kept until it is known that they hold: a
 * commit of another process may overtake whoever looks, and then all is looked at anew. */
#ifndef TIDEMARK_STORE_FINDINGS_H
#define TIDEMARK_STORE_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include <tidemark/store.h>

#define TIDE__FINDINGS_KEPT 10000 /* of more only the number is told */

typedef struct tide__finding {
    int code;
    char *text;
} tide__finding;

typedef struct tide__findings {
    tide__finding *kept;
    size_t kept_count;
    size_t room;
    size_t count; /* of all */
    int code;     /* TIDE_OK while there is none, else TIDE_EFORMAT or TIDE_ECORRUPT */
    bool no_memory;
} tide__findings;

void tide__findings_add(tide__findings *findings, int code, const char *text);

/* One call a finding; one more where some were not kept. `fn` may be NULL. */
void tide__findings_tell(const tide__findings *findings, tide_notice_fn *fn, void *ctx);

/* Empty again, with nothing to free. */
void tide__findings_clear(tide__findings *findings);

#endif
