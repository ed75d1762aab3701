/* findings.c - what is wrong with a file; see findings.h. */
#include "store/findings.h"

#include "base/detail.h"

#include "base/alloc.h"

#define FIRST_ROOM 16

void tide__findings_add(tide__findings *findings, int code, const char *text)
{
    if (findings->code != TIDE_EFORMAT) {
        findings->code = code == TIDE_EFORMAT ? TIDE_EFORMAT : TIDE_ECORRUPT;
    }
    findings->count++;
    if (findings->kept_count == TIDE__FINDINGS_KEPT || findings->no_memory) {
        return;
    }
    if (findings->kept_count == findings->room) {
        size_t room = findings->room == 0 ? FIRST_ROOM : 2 * findings->room;
        tide__finding *kept = tide__realloc(findings->kept, room * sizeof *kept);
        findings->no_memory = kept == NULL;
        if (kept == NULL) {
            return;
        }
        findings->kept = kept;
        findings->room = room;
    }
    char *copy = tide__strdup(text);
    findings->no_memory = copy == NULL;
    if (copy != NULL) {
        findings->kept[findings->kept_count++] = (tide__finding){code, copy};
    }
}

void tide__findings_tell(const tide__findings *findings, tide_notice_fn *fn, void *ctx)
{
    tide__detail more;
    for (size_t i = 0; fn != NULL && i < findings->kept_count; i++) {
        fn(ctx, findings->kept[i].code, findings->kept[i].text);
    }
    if (fn != NULL && findings->count > findings->kept_count) {
        (void)tide__fail(&more, 0, "and %zu more", findings->count - findings->kept_count);
        fn(ctx, findings->code, more.text);
    }
}

void tide__findings_clear(tide__findings *findings)
{
    for (size_t i = 0; i < findings->kept_count; i++) {
        tide__free(findings->kept[i].text);
    }
    tide__free(findings->kept);
    *findings = (tide__findings){.code = TIDE_OK};
}
