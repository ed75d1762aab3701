/* fuzz_shell.c - lines of `tidemark shell`. Each command line is answered by exactly one line, as
 * text or as JSON, whatever stands in it; and the store is sound afterwards. One input in four has
 * the shell make the store, the others find it made. */
#include "fuzz/fuzz_cli.h"

#include <jansson.h>
#include <stdbool.h>

#include "base/detail.h"
#include "store/walker.h"

#define PATH "s.mdb"
#define LOCK "s.mdb-lock"

/* How many of the lines want an answer: all but blank ones, comments, and what follows `quit`. */
static size_t count_commands(const char *text, size_t size)
{
    size_t commands = 0;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t next = end == NULL ? size : (size_t)(end - text) + 1;
        size_t last = end == NULL ? size : next - 1;
        while (at < last && strchr(" \t\r", text[at]) != NULL && text[at] != '\0') {
            at++;
        }
        commands += at < last && text[at] != '#';
        at = next;
    }
    return commands;
}

static void check_answer(const char *line, size_t length, bool json)
{
    if (json) {
        json_t *value = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
        fuzz_require(value != NULL);
        json_decref(value);
    }
    for (size_t i = 0; i < length; i++) {
        fuzz_require((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
    }
}

static size_t count_answers(const char *text, size_t size, bool json)
{
    size_t lines = 0;
    for (size_t at = 0; at < size; lines++) {
        const char *end = memchr(text + at, '\n', size - at);
        fuzz_require(end != NULL);
        size_t length = (size_t)(end - text) - at;
        check_answer(text + at, length, json);
        at += length + 1;
    }
    return lines;
}

/* No store, or a new one as the shell has made it before. */
static void prepare_store(bool made)
{
    static uint8_t *store;
    static size_t store_size;
    (void)unlink(PATH);
    (void)unlink(LOCK);
    if (store == NULL) {
        cli_call call = {.command = &cli_command_shell, .operands = {PATH}, .operand_count = 1};
        size_t size = 0;
        int rc = 0;
        free(fuzz_answers(&call, "", 0, &size, &rc));
        fuzz_require(rc == CLI_YES && size == 0);
        store = fuzz_read_file(PATH, &store_size);
        (void)unlink(PATH);
        (void)unlink(LOCK);
    }
    if (made) {
        fuzz_write_file(PATH, store, store_size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tide__detail detail;
    size_t answers_size = 0;
    int rc = 0;
    if (size < 2) {
        return 0;
    }
    bool json = data[0] % 2 != 0;
    cli_call call = {
        .command = &cli_command_shell, .operands = {PATH}, .operand_count = 1, .json = json};
    const char *text = (const char *)data + 1;
    size--;
    prepare_store(data[0] / 2 % 4 != 0);
    char *answers = fuzz_answers(&call, text, size, &answers_size, &rc);
    size_t commands = count_commands(text, size);
    size_t lines = count_answers(answers, answers_size, json);
    fuzz_require(rc == CLI_YES);
    fuzz_require(lines == commands || (lines < commands && memmem(text, size, "quit", 4) != NULL));
    free(answers);
    int fd = open(PATH, O_RDONLY);
    fuzz_require(fd >= 0 && tide__file_verify(fd, PATH, &detail) == TIDE_OK && close(fd) == 0);
    return 0;
}
