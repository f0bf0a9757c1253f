/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CLI_COMMANDS_H
#define LUNSHADOW_CLI_COMMANDS_H

#include "cli/command.h"

/* Every subcommand: defined in the file of its name, listed in main.c's table. */
extern const struct cli_command command_break;
extern const struct cli_command command_compare;
extern const struct cli_command command_create;
extern const struct cli_command command_delete;
extern const struct cli_command command_drill;
extern const struct cli_command command_error;
extern const struct cli_command command_events;
extern const struct cli_command command_ids;
extern const struct cli_command command_expose;
extern const struct cli_command command_import;
extern const struct cli_command command_lab;
extern const struct cli_command command_lint;
extern const struct cli_command command_list;
extern const struct cli_command command_luns;
extern const struct cli_command command_provider;
extern const struct cli_command command_providers;
extern const struct cli_command command_recover;
extern const struct cli_command command_resync;
extern const struct cli_command command_show;
extern const struct cli_command command_writers;
extern const struct cli_command command_unexpose;

#endif
