/* main.c - the program `tidemark`: finds the command, runs it, prints its failure, exits.
 *
 * The first word that is no option names the command; options before it are as good as behind it.
 * Data goes to stdout and talk to stderr. Exit codes are in cli.h and in tidemark(1).
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int run_help(cli_call *call);

static const cli_command command_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "Explains a command, or names them all.",
    .run = run_help,
};

/* In the order in which `tidemark help` names them. */
static const cli_command *const commands[] = {
    &cli_command_init,     &cli_command_index,    &cli_command_sync,     &cli_command_status,
    &cli_command_watch,    &cli_command_verify,   &cli_command_peers,    &cli_command_prune,
    &cli_command_accept,   &cli_command_backup,   &cli_command_restore,  &cli_command_repair,
    &cli_command_export,   &cli_command_import,   &cli_verbs[0].command, &cli_verbs[1].command,
    &cli_verbs[2].command, &cli_verbs[3].command, &cli_verbs[4].command, &cli_verbs[5].command,
    &cli_command_shell,    &command_help,
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const cli_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int refuse_command(cli_call *call, const char *word)
{
    const char *names[COMMAND_COUNT];
    const char *nearest;

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i]->name;
    }
    nearest = cli_nearest(word, names, COMMAND_COUNT);
    if (nearest != NULL) {
        return cli_fail(call, CLI_USAGE, "%s: no such command; did you mean '%s'?", word, nearest);
    }
    return cli_fail(call, CLI_USAGE, "%s: no such command; see 'tidemark help'", word);
}

static void print_overview(cli_call *call)
{
    cli_print(call,
              "Usage: tidemark COMMAND [OPERAND]... [OPTION]...\n"
              "Keeps and shows how far each device has got in syncing a library.\n\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        cli_print(call, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    }
    cli_print(call,
              "\n'tidemark help COMMAND' explains one. A library is a folder, a store the file "
              "of its marks.\nExit codes: 0 yes, 1 no, 2 usage, 3 failure, 4 busy, 5 damaged or of "
              "another kind.\n");
}

static int run_help(cli_call *call)
{
    const cli_command *command;

    if (call->operand_count == 0) {
        print_overview(call);
        return CLI_YES;
    }
    command = find_command(call->operands[0]);
    if (command == NULL) {
        return refuse_command(call, call->operands[0]);
    }
    cli_print_help(call, command);
    return CLI_YES;
}

/* A standard stream that is closed would give its number to the next file that is opened, and
 * answers would be written into a database. Such a stream is opened the wrong way round, so that
 * using it fails. */
static void keep_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) {
            exit(CLI_FAILURE);
        }
    }
}

/* `tidemark --help`, `tidemark --version`, or options and no command. */
static int run_without_command(cli_call *call, int argc, char **argv)
{
    static const char *const names[] = {"help", "version"};
    const char *nearest;

    if (argc == 1) {
        return cli_fail(call, CLI_USAGE, "no command; see 'tidemark help'");
    }
    if (strcmp(argv[1], "--version") == 0) {
        cli_print(call, "tidemark %s\n", tide_version());
        return CLI_YES;
    }
    if (strcmp(argv[1], "--help") == 0) {
        print_overview(call);
        return CLI_YES;
    }
    nearest = cli_nearest(argv[1] + strspn(argv[1], "-"), names, 2);
    if (nearest != NULL) {
        return cli_fail(call, CLI_USAGE, "%s: no such option; did you mean '--%s'?", argv[1],
                        nearest);
    }
    return cli_fail(call, CLI_USAGE, "%s: no command with it; see 'tidemark help'", argv[1]);
}

static int run_command(cli_call *call, int argc, char **argv)
{
    const cli_command *command;
    char *word;
    int at = 1;
    int rc;

    while (at < argc && argv[at][0] == '-') {
        at++;
    }
    if (at >= argc) {
        return run_without_command(call, argc, argv);
    }
    word = argv[at];
    command = find_command(word);
    if (command == NULL) {
        return refuse_command(call, word);
    }
    for (; at > 1; at--) { /* what stood before the command follows it */
        argv[at] = argv[at - 1];
    }
    argv[1] = word;
    rc = cli_parse_options(command, 0, argc - 1, argv + 1, call);
    if (rc != CLI_YES) {
        return rc;
    }
    if (call->help) {
        cli_print_help(call, command);
        return CLI_YES;
    }
    return command->run(call);
}

int main(int argc, char **argv)
{
    cli_call call = {.progress = -1};
    int rc;

    keep_standard_streams();
    rc = run_command(&call, argc, argv);
    rc = cli_output_finish(&call, rc);
    cli_print_failure(&call);
    return rc;
}
