/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include "common/buffer.h"
#include "common/log.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option common_options[] = {
    {"config", 'c', "FILE", "configuration file"},
    {"state-dir", 0, "DIR", "state directory, which holds the registry"},
    {"json", 0, NULL, "print JSON for a machine"},
    {"verbose", 'v', NULL, "say what is done on standard error; twice: in detail"},
    {"trace", 0, NULL, "as --verbose, and every SCSI command"},
    {"help", 'h', NULL, "print this help"},
};

#define COMMON_COUNT (sizeof(common_options) / sizeof(common_options[0]))
/* getopt's value for an option without a letter: above every character. */
#define FIRST_VALUE 256

static const struct cli_option *option_at(const struct cli_command *command, size_t index)
{
    return index < command->option_count ? &command->options[index]
                                         : &common_options[index - command->option_count];
}

static size_t option_count(const struct cli_command *command)
{
    return command->option_count + COMMON_COUNT;
}

/* Both tables that getopt_long wants, from ours. *out_letters is to be freed with the result. */
static struct option *make_getopt_tables(const struct cli_command *command, char **out_letters)
{
    size_t count = option_count(command);
    struct option *table = calloc(count + 1, sizeof(*table));
    struct buffer letters = BUFFER_INIT;
    for (size_t i = 0; table && i < count; i++) {
        const struct cli_option *option = option_at(command, i);
        table[i].name = option->name;
        table[i].has_arg = option->argument ? required_argument : no_argument;
        table[i].val = FIRST_VALUE + (int)i;
        if (option->letter) {
            buffer_printf(&letters, "%c%s", option->letter, option->argument ? ":" : "");
        }
    }
    *out_letters = buffer_take(&letters);
    if (!*out_letters) {
        free(table);
        return NULL;
    }
    return table;
}

static const struct cli_option *find_option(const struct cli_command *command, int value)
{
    if (value >= FIRST_VALUE) {
        return option_at(command, (size_t)(value - FIRST_VALUE));
    }
    for (size_t i = 0; i < option_count(command); i++) {
        if (option_at(command, i)->letter == value) {
            return option_at(command, i);
        }
    }
    return NULL;
}

/* Takes one option in; false for --help. */
static bool take_option(struct cli *cli, const struct cli_option *option, const char *value,
                        int *verbosity)
{
    if (strcmp(option->name, "help") == 0) {
        return false;
    }
    if (strcmp(option->name, "config") == 0) {
        cli->config_path = value;
    } else if (strcmp(option->name, "state-dir") == 0) {
        cli->state_directory = value;
    } else if (strcmp(option->name, "json") == 0) {
        cli->json = true;
    } else if (strcmp(option->name, "verbose") == 0) {
        *verbosity = *verbosity < LOG_INFO ? LOG_INFO : LOG_DEBUG;
    } else if (strcmp(option->name, "trace") == 0) {
        *verbosity = LOG_TRACE;
    } else {
        cli->given[cli->given_count++] = (struct cli_given){option, value};
    }
    return true;
}

static enum options_result parse_all(struct cli *cli, int argc, char **argv,
                                     const struct option *table, const char *letters,
                                     int *verbosity)
{
    opterr = 1;
    optind = 1;
    for (;;) {
        int value = getopt_long(argc, argv, letters, table, NULL);
        if (value < 0) {
            return OPTIONS_RUN;
        }
        const struct cli_option *option = find_option(cli->command, value);
        if (!option) { /* getopt has said what is wrong */
            (void)fprintf(stderr, "See: lunshadow %s --help\n", cli->command->name);
            return OPTIONS_WRONG;
        }
        if (!take_option(cli, option, optarg, verbosity)) {
            return OPTIONS_HELP;
        }
    }
}

static enum options_result check_arguments(const struct cli *cli)
{
    const struct cli_command *command = cli->command;
    if (cli->argument_count < command->min_arguments) {
        (void)cli_misuse(cli, "something is missing: lunshadow %s %s", command->name,
                         command->arguments);
        return OPTIONS_WRONG;
    }
    if (command->max_arguments >= 0 && cli->argument_count > command->max_arguments) {
        (void)cli_misuse(cli, "too many arguments: lunshadow %s %s", command->name,
                         command->arguments);
        return OPTIONS_WRONG;
    }
    return OPTIONS_RUN;
}

enum options_result options_parse(struct cli *cli, int argc, char **argv, int *out_verbosity)
{
    enum options_result result = OPTIONS_WRONG;
    char *letters = NULL;
    char *given_name = argv[0];
    struct option *table = make_getopt_tables(cli->command, &letters);
    *out_verbosity = -1;
    cli->given = calloc((size_t)argc, sizeof(*cli->given));
    /* getopt names the program by argv[0] when it complains. */
    char *name = text_printf("lunshadow: %s", cli->command->name);
    if (!table || !cli->given || !name) {
        (void)cli_misuse(cli, "out of memory");
        goto out;
    }
    argv[0] = name;
    result = parse_all(cli, argc, argv, table, letters, out_verbosity);
    cli->arguments = argv + optind;
    cli->argument_count = argc - optind;
    if (result == OPTIONS_RUN) {
        result = check_arguments(cli);
    }
out:
    argv[0] = given_name;
    free(name);
    free(table);
    free(letters);
    return result;
}

void options_free(struct cli *cli)
{
    free(cli->given);
    cli->given = NULL;
    cli->given_count = 0;
}

static void print_options(const struct cli_option *options, size_t count, FILE *stream)
{
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *option = &options[i];
        char left[64];
        (void)snprintf(left, sizeof(left), "%c%c%s--%s%s%s", option->letter ? '-' : ' ',
                       option->letter ? option->letter : ' ', option->letter ? ", " : "  ",
                       option->name, option->argument ? " " : "",
                       option->argument ? option->argument : "");
        (void)fprintf(stream, "  %-30s %s\n", left, option->help);
    }
}

void options_help(const struct cli_command *command, FILE *stream)
{
    (void)fprintf(stream, "usage: lunshadow %s [OPTION...]%s%s\n\n%s\n", command->name,
                  *command->arguments ? " " : "", command->arguments, command->help);
    if (command->option_count > 0) {
        (void)fputs("\nOptions:\n", stream);
        print_options(command->options, command->option_count, stream);
    }
    (void)fputs("\nOptions of every command:\n", stream);
    print_options(common_options, COMMON_COUNT, stream);
    (void)fprintf(stream, "\nExit codes: %s\n",
                  command->exit_codes ? command->exit_codes
                                      : "0 done; 1 failed, the code is printed; 2 wrong use or "
                                        "could not start;\n3 done in part, what is missing is "
                                        "printed.");
}
