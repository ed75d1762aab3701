/* shell.c - `shell`: the commands on one store, line by line from stdin.
 *
 * Exactly one line on stdout answers each command line, and is flushed before the next line is
 * read, so that a program can talk to it over two pipes. Errors are answers too: "error " and the
 * reason. Blank lines and lines that begin with '#' are passed over, however long. Words are
 * separated by blanks; what stands in '...' or "..." belongs to one word as it is. Ends at the end
 * of input or at `quit`.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 4096
#define WORDS_MAX (CLI_OPERANDS_MAX + 2 * CLI_OPTIONS_MAX)

enum { LINE_END = 0, LINE_READ = 1, LINE_TOO_LONG = 2, LINE_HAS_NUL = 3, LINE_FAILED = 4 };

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

/* Reads one line without its newline and without blanks before it, all of it also when it does not
 * fit. */
static int read_line(char line[LINE_MAX_BYTES + 1])
{
    size_t length = 0;
    int answer = LINE_READ;
    int byte;

    errno = 0;
    while ((byte = getc_unlocked(stdin)) != EOF && byte != '\n') {
        if (length == 0 && is_blank((char)byte)) {
            continue;
        }
        if (length == LINE_MAX_BYTES) {
            answer = LINE_TOO_LONG;
            continue;
        }
        if (byte == '\0') {
            answer = LINE_HAS_NUL; /* and is kept: a '#' behind it makes no comment */
        }
        line[length++] = (char)byte;
    }
    line[length] = '\0';
    if (byte == EOF && ferror(stdin)) {
        return LINE_FAILED;
    }
    if (byte == EOF && length == 0 && answer == LINE_READ) {
        return LINE_END;
    }
    return answer;
}

/* Splits the line in place. Returns the number of words, or -1 and a message. */
static int split_line(cli_call *call, char *line, char *words[WORDS_MAX + 1])
{
    char *at = line;
    char *to = line;
    int count = 0;

    for (;;) {
        char quote = '\0';

        while (is_blank(*at)) {
            at++;
        }
        if (*at == '\0') {
            break;
        }
        if (count == WORDS_MAX) {
            cli_fail(call, CLI_USAGE, "too many words");
            return -1;
        }
        words[count++] = to;
        for (; *at != '\0' && (quote != '\0' || !is_blank(*at)); at++) {
            if (quote == '\0' && (*at == '\'' || *at == '"')) {
                quote = *at;
            } else if (*at == quote && quote != '\0') {
                quote = '\0';
            } else {
                *to++ = *at;
            }
        }
        if (quote != '\0') {
            cli_fail(call, CLI_USAGE, "a quotation mark has no second one");
            return -1;
        }
        if (*at != '\0') {
            at++; /* before the NUL overwrites it */
        }
        *to++ = '\0';
    }
    words[count] = NULL;
    return count;
}

/* `count` words, the first of which is no verb. */
static int refuse_words(cli_call *call, int count, char **words)
{
    static const cli_command *const elsewhere[] = {
        &cli_command_init,   &cli_command_index,  &cli_command_sync,  &cli_command_status,
        &cli_command_watch,  &cli_command_verify, &cli_command_peers, &cli_command_prune,
        &cli_command_accept, &cli_command_shell};
    const char *names[CLI_VERB_COUNT + 1];
    const char *word = words[0];
    const char *nearest;

    if (count > 1 && strcmp(word, "quit") == 0) {
        return cli_fail(call, CLI_USAGE, "quit: '%s': too many operands", words[1]);
    }
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++) {
        if (strcmp(word, elsewhere[i]->name) == 0) {
            return cli_fail(call, CLI_USAGE, "%s: not in the shell", word);
        }
    }
    for (size_t i = 0; i < CLI_VERB_COUNT; i++) {
        names[i] = cli_verbs[i].command.name;
    }
    names[CLI_VERB_COUNT] = "quit";
    nearest = cli_nearest(word, names, CLI_VERB_COUNT + 1);
    if (nearest != NULL) {
        return cli_fail(call, CLI_USAGE, "%s: no such command; did you mean '%s'?", word, nearest);
    }
    return cli_fail(call, CLI_USAGE, "%s: no such command", word);
}

/* Runs one command line; its answer is printed, or kept in the call's message. */
static int run_words(cli_call *call, const cli_store *store, int count, char **words)
{
    const cli_verb *verb = cli_find_verb(words[0]);
    cli_request request;
    int rc;

    if (verb == NULL) {
        return refuse_words(call, count, words);
    }
    rc = cli_parse_options(&verb->command, 1, count, words, call);
    if (rc == CLI_YES && call->help) {
        return cli_fail(call, CLI_USAGE, "--help: not in the shell; see 'tidemark help %s'",
                        words[0]);
    }
    if (rc == CLI_YES) {
        rc = cli_read_request(call, verb, 0, &request);
    }
    if (rc == CLI_YES && verb->removes && cli_option_value(call, "yes") == NULL) {
        return cli_fail(call, CLI_USAGE, "--yes: missing; %s does not ask in the shell", words[0]);
    }
    return rc == CLI_YES ? verb->run(call, store, &request) : rc;
}

static void print_error(cli_call *call, int rc)
{
    const char *name = call->command != NULL ? call->command->name : NULL;
    char *text = cli_utf8_escape(call->message);

    if (call->json) {
        cli_print_json(call, json_pack("{s:s, s:i, s:s?, s:s?}", "answer", "error", "exit", rc,
                                       "command", name, "message", text));
    } else {
        cli_print(call, "error %s%s%s\n", name != NULL ? name : "", name != NULL ? ": " : "",
                  call->message);
    }
    free(text);
}

/* Answers one line. false: nothing more can be answered; the reason is in `shell`. */
static bool answer_line(cli_call *shell, const cli_store *store, char *line, int state, bool *quit)
{
    cli_call call = {.json = shell->json, .in_shell = true};
    char *words[WORDS_MAX + 1];
    int count = 0;
    int rc = CLI_USAGE;

    if (state == LINE_TOO_LONG) {
        cli_fail(&call, CLI_USAGE, "the line is longer than %d bytes", LINE_MAX_BYTES);
    } else if (state == LINE_HAS_NUL) {
        cli_fail(&call, CLI_USAGE, "the line has a NUL byte");
    } else {
        count = split_line(&call, line, words);
    }
    if (count > 0) {
        *quit = count == 1 && strcmp(words[0], "quit") == 0;
        if (*quit) {
            return true;
        }
        rc = run_words(&call, store, count, words);
    } else if (call.message[0] == '\0') {
        return true; /* a blank line */
    }
    if (call.message[0] != '\0') {
        print_error(&call, rc);
    }
    if (cli_output_finish(&call, CLI_YES) == CLI_YES) {
        return true;
    }
    shell->output_errno = call.output_errno;
    return false;
}

static int run_shell(cli_call *call)
{
    char line[LINE_MAX_BYTES + 1];
    cli_store store;
    bool quit = false;
    int state = LINE_END;
    int rc = cli_store_open(call, call->operands[0], true, &store);

    while (rc == CLI_YES && !quit) {
        state = read_line(line);
        if (state == LINE_END || state == LINE_FAILED) {
            break;
        }
        if (line[0] != '#' && !answer_line(call, &store, line, state, &quit)) {
            break;
        }
    }
    if (state == LINE_FAILED) {
        rc = cli_fail_errno(call, errno, "standard input");
    }
    cli_store_close(&store);
    return rc;
}

const cli_command cli_command_shell = {
    .name = "shell",
    .operands = "STORE",
    .summary = "Reads commands on a store from stdin and answers each with one line.",
    .run = run_shell,
};
