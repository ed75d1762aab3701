/* fuzz_cli.h - a command of the program, run inside the fuzzer. */
#ifndef TIDEMARK_TESTS_FUZZ_CLI_H
#define TIDEMARK_TESTS_FUZZ_CLI_H

#include "fuzz/fuzz.h"

#include "cli/cli.h"

/* What the command prints when it reads `input`; to be freed. */
static inline char *fuzz_answers(cli_call *call, const char *input, size_t size,
                                 size_t *answers_size, int *rc)
{
    FILE *in = stdin;
    FILE *out = stdout;
    char *answers = NULL;
    stdin = fmemopen((void *)(uintptr_t)input, size, "r");
    stdout = open_memstream(&answers, answers_size);
    fuzz_require(stdin != NULL && stdout != NULL);
    *rc = call->command->run(call);
    fuzz_require(fclose(stdout) == 0 && fclose(stdin) == 0);
    stdin = in;
    stdout = out;
    return answers;
}

#endif
