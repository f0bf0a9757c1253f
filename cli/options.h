/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_OPTIONS_H
#define LUNSHADOW_CLI_OPTIONS_H

#include "cli/command.h"

#include <stdio.h>

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_WRONG };

/* Parses the command line of cli->command with getopt_long and fills the rest of *cli, whose arrays
 * point into argv and into memory freed by options_free(). *out_verbosity: -1 where neither
 * --verbose nor
 * --trace was given, else an enum log_level. Complains itself where the result is OPTIONS_WRONG. */
enum options_result options_parse(struct cli *cli, int argc, char **argv, int *out_verbosity);
void options_free(struct cli *cli);

/* What --help prints. */
void options_help(const struct cli_command *command, FILE *stream);

#endif
