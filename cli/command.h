/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_COMMAND_H
#define LUNSHADOW_CLI_COMMAND_H

#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Exit codes of every subcommand that has none of its own. */
#define CLI_OK       0
#define CLI_FAILED   1 /* the operation failed; its code was printed */
#define CLI_UNUSABLE 2 /* wrong use, or it could not start; nothing was changed */
#define CLI_PARTIAL  3 /* done in part; what is missing was printed */

struct cli;

/* One option of a subcommand: parsing and --help both come from this. */
struct cli_option {
    const char *name;     /* without the dashes */
    char letter;          /* 0: none */
    const char *argument; /* what stands behind it in the help; NULL: takes none */
    const char *help;
};

/* One subcommand: a row of main.c's table. */
struct cli_command {
    const char *name;
    const char *summary;    /* one line for the list of commands */
    const char *arguments;  /* as the usage line shows them; "" for none */
    const char *help;       /* what it does; paragraphs of lines up to 78 columns */
    const char *exit_codes; /* where they are its own; NULL: those above */
    int exit_unread; /* it is done, but what it printed did not reach its reader; 0: CLI_FAILED */
    const struct cli_option *options;
    size_t option_count;
    int min_arguments;
    int max_arguments;           /* -1: any number */
    int (*run)(struct cli *cli); /* returns the exit code */
};

struct cli_given {
    const struct cli_option *option;
    const char *value; /* NULL where the option takes none */
};

/* A subcommand as it was called. */
struct cli {
    const struct cli_command *command;
    struct cli_given *given; /* in the order of the command line */
    size_t given_count;
    char **arguments;
    int argument_count;
    const char *config_path;     /* --config, NULL: the default */
    const char *state_directory; /* --state-dir, NULL: the default */
    bool json;
};

/* Parses argv (argv[0] is the subcommand's name), sets up logging, runs it. Returns the exit code.
 */
int cli_run(const struct cli_command *command, int argc, char **argv);

bool cli_has(const struct cli *cli, const char *option);
/* The last value given, or NULL. */
const char *cli_value(const struct cli *cli, const char *option);

/* "lunshadow: VERB: text (NAME 0x...)" on standard error. Returns CLI_FAILED. */
int cli_fail(const struct cli *cli, const struct error *err);
/* The same line without turning it into an exit code: for parts of a result that failed. */
void cli_warn(const struct cli *cli, const struct error *err);
/* "lunshadow: VERB: text" and where to find help. Returns CLI_UNUSABLE. */
int cli_misuse(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A decimal number min..max of an option's value; fallback where it was not given. False after
 * having complained. */
bool cli_number(const struct cli *cli, const char *option, unsigned long min, unsigned long max,
                unsigned long fallback, unsigned long *out);

/* Prints root, indented, and drops the reference; NULL means that memory was short. CLI_OK, or the
 * command's exit_unread. */
int cli_print_json(const struct cli *cli, json_t *root);

#endif
