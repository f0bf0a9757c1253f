/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* In the order of the help: look, make, use, end, prove. */
static const struct cli_command *const commands[] = {
    &command_luns,     &command_ids,      &command_lint,  &command_compare, &command_providers,
    &command_writers,  &command_create,   &command_list,  &command_show,    &command_import,
    &command_expose,   &command_unexpose, &command_break, &command_resync,  &command_delete,
    &command_recover,  &command_drill,    &command_lab,   &command_events,  &command_error,
    &command_provider,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *stream)
{
    (void)fputs("usage: lunshadow COMMAND [OPTION...] [ARGUMENT...]\n\n"
                "VSS-style shadow copies of SAN LUNs.\n\n",
                stream);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        (void)fprintf(stream, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    (void)fputs("\nlunshadow COMMAND --help says more; so does the manual page lunshadow(1).\n",
                stream);
}

int main(int argc, char **argv)
{
    /* A reader that goes away must not end us between two steps on an array; see flush_output(). */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* ignored by whoever started us, children would go unwaited */
    if (argc < 2) {
        print_help(stderr);
        return CLI_UNUSABLE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)puts("lunshadow " LUNSHADOW_VERSION);
        return CLI_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, argv[1]) == 0) {
            return cli_run(commands[i], argc - 1, argv + 1);
        }
    }
    (void)fprintf(stderr, "lunshadow: no such command; see: lunshadow --help\n");
    return CLI_UNUSABLE;
}
