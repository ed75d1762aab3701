/* options.c - the command line of one command, and its help.
 *
 * Operands and options come in any order, "--" ends the options. getopt_long does the reading; what
 * it refuses is told in our own words, with the nearest name for a mistyped one. A line of the
 * shell goes the same way, so nothing is left in getopt's state from one call to the next.
 */
#include "cli/cli.h"

#include <getopt.h>
#include <string.h>

#define VALUE_BASE                                                                                 \
    256 /* above every character, so that a long option is never taken for a short one */
#define COMMON_COUNT 4
#define NAMES_MAX (CLI_OPTIONS_MAX + COMMON_COUNT)
#define WORD_MAX 48 /* longer words are near to nothing */

static const cli_option common[COMMON_COUNT + 1] = {
    {"json", NULL, "answer in JSON Lines"},
    {"progress", NULL, "show progress, also where stderr is no terminal"},
    {"no-progress", NULL, "show no progress"},
    {"help", NULL, "show this help"},
    {NULL, NULL, NULL},
};

/* ---- the nearest word ------------------------------------------------------------------------ */

static size_t least(size_t a, size_t b, size_t c)
{
    size_t smaller = a < b ? a : b;

    return smaller < c ? smaller : c;
}

/* Edits from one word to the other: letters put in, left out, replaced, or two neighbours swapped. */
static size_t distance(const char *from, const char *to)
{
    size_t rows[3][WORD_MAX + 1];
    size_t from_length = strlen(from);
    size_t to_length = strlen(to);
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    if (from_length > WORD_MAX || to_length > WORD_MAX) {
        return WORD_MAX;
    }
    for (size_t j = 0; j <= to_length; j++) {
        last[j] = j;
    }
    for (size_t i = 1; i <= from_length; i++) {
        size_t *oldest = before;

        now[0] = i;
        for (size_t j = 1; j <= to_length; j++) {
            size_t replaced = last[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);

            now[j] = least(last[j] + 1, now[j - 1] + 1, replaced);
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
                now[j] = least(now[j], before[j - 2] + 1, now[j]);
            }
        }
        before = last;
        last = now;
        now = oldest;
    }
    return last[to_length];
}

const char *cli_nearest(const char *word, const char *const *names, size_t count)
{
    size_t length = strlen(word);
    size_t nearest = length < 6 ? 1 : length / 3; /* with more edits it is another word */
    const char *found = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t edits = distance(word, names[i]);
        bool goes_on = strncmp(word, names[i], length) == 0; /* rather than a word cut short */

        if (edits < nearest || (edits == nearest && (found == NULL || goes_on))) {
            nearest = edits;
            found = names[i];
        }
    }
    return found;
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct parser {
    cli_call *call;
    struct option longs[NAMES_MAX + 1];
    const char *names[NAMES_MAX];
    size_t own_count; /* the command's options come first, then the common ones */
    size_t count;
} parser;

static void add_options(parser *p, const cli_option *options)
{
    for (; options != NULL && options->name != NULL && p->count < NAMES_MAX; options++) {
        p->names[p->count] = options->name;
        p->longs[p->count] = (struct option){
            .name = options->name,
            .has_arg = options->argument != NULL ? required_argument : no_argument,
            .val = VALUE_BASE + (int)p->count,
        };
        p->count++;
    }
}

static void take_option(parser *p, size_t index, const char *value)
{
    cli_call *call = p->call;
    const char *name = p->names[index];

    if (index < p->own_count) {
        call->values[index] = value != NULL ? value : "";
    } else if (strcmp(name, "json") == 0) {
        call->json = true;
    } else if (strcmp(name, "help") == 0) {
        call->help = true;
    } else {
        call->progress = strcmp(name, "progress") == 0 ? 1 : 0;
    }
}

static int refuse_long_option(parser *p, const char *text)
{
    char word[WORD_MAX + 1];
    const char *name = text + 2;
    size_t length = strcspn(name, "=");
    size_t beginnings = 0;
    const char *nearest = NULL;

    for (size_t i = 0; i < p->count; i++) {
        beginnings += strncmp(p->names[i], name, length) == 0;
    }
    if (beginnings > 1) {
        return cli_fail(p->call, CLI_USAGE, "--%.*s: begins more than one option", (int)length,
                        name);
    }
    if (length <= WORD_MAX) {
        memcpy(word, name, length);
        word[length] = '\0';
        nearest = cli_nearest(word, p->names, p->count);
    }
    if (nearest != NULL) {
        return cli_fail(p->call, CLI_USAGE, "--%.*s: no such option; did you mean '--%s'?",
                        (int)length, name, nearest);
    }
    return cli_fail(p->call, CLI_USAGE, "--%.*s: no such option; see 'tidemark help %s'",
                    (int)length, name, p->call->command->name);
}

/* What getopt_long answered with '?' or ':'. */
static int refuse_option(parser *p, int answer, char **argv)
{
    if (optopt >= VALUE_BASE) {
        const char *name = p->names[optopt - VALUE_BASE];

        return cli_fail(p->call, CLI_USAGE, "--%s: %s", name,
                        answer == ':' ? "needs a value" : "takes no value");
    }
    if (optopt != 0) {
        return cli_fail(p->call, CLI_USAGE, "-%c: no such option; see 'tidemark help %s'", optopt,
                        p->call->command->name);
    }
    return refuse_long_option(p, argv[optind - 1]);
}

/* No command takes so many; check_operands tells the first that is too many. */
static void add_operand(cli_call *call, const char *text)
{
    if (call->operand_count < CLI_OPERANDS_MAX) {
        call->operands[call->operand_count++] = text;
    }
}

/* Compares the number of operands with the names in "STORE DEVICE [RESOURCE]", `skip` of them left out. */
static int check_operands(cli_call *call, size_t skip)
{
    const char *names = call->command->operands;
    size_t given = call->operand_count + skip;
    size_t index = 0;

    while (*names != '\0') {
        size_t length = strcspn(names, " ");

        if (index == given && names[0] != '[') {
            return cli_fail(call, CLI_USAGE, "%.*s: missing; see 'tidemark help %s'", (int)length,
                            names, call->command->name);
        }
        index++;
        names += length + strspn(names + length, " ");
    }
    if (given > index) {
        return cli_fail(call, CLI_USAGE, "'%s': too many operands", call->operands[index - skip]);
    }
    for (size_t i = 0; i < call->operand_count; i++) {
        if (call->operands[i][0] == '\0') {
            return cli_fail(call, CLI_USAGE, "'': an operand is empty");
        }
    }
    return CLI_YES;
}

int cli_parse_options(const cli_command *command, size_t skip, int argc, char **argv, cli_call *call)
{
    parser p = {.call = call};
    int answer;

    call->command = command;
    add_options(&p, command->options);
    p.own_count = p.count;
    add_options(&p, common);
    opterr = 0;
    optind = 0; /* glibc and musl: forget the last command line */
    while ((answer = getopt_long(argc, argv, "-:", p.longs, NULL)) != -1) {
        if (answer == 1) { /* an operand, wherever it stands */
            add_operand(call, optarg);
        } else if (answer >= VALUE_BASE) {
            take_option(&p, (size_t)(answer - VALUE_BASE), optarg);
        } else {
            return refuse_option(&p, answer, argv);
        }
    }
    for (int i = optind; i < argc; i++) {
        add_operand(call, argv[i]);
    }
    return call->help ? CLI_YES : check_operands(call, skip);
}

const char *cli_option_value(const cli_call *call, const char *name)
{
    const cli_option *options = call->command->options;

    for (size_t i = 0; options != NULL && options[i].name != NULL && i < CLI_OPTIONS_MAX; i++) {
        if (strcmp(options[i].name, name) == 0) {
            return call->values[i];
        }
    }
    return NULL;
}

int cli_refuse_both_formats(cli_call *call)
{
    if (call->json && cli_option_value(call, "prometheus") != NULL) {
        return cli_fail(call, CLI_USAGE, "--prometheus: not together with --json");
    }
    return CLI_YES;
}

/* ---- help ------------------------------------------------------------------------------------ */

static void print_options(cli_call *call, const cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        const char *argument = options->argument != NULL ? options->argument : "";
        int width = 20 - (int)strlen(options->name);

        cli_print(call, "  --%s %-*s %s\n", options->name, width > 0 ? width : 0, argument,
                  options->help);
    }
}

void cli_print_help(cli_call *call, const cli_command *command)
{
    cli_print(call, "Usage: tidemark %s %s%s[OPTION]...\n%s\n\nOptions:\n", command->name,
              command->operands, command->operands[0] != '\0' ? " " : "", command->summary);
    print_options(call, command->options);
    print_options(call, common);
}
