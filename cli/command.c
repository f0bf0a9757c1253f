/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include "cli/options.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Log lines carry names that arrays gave; see text.h. */
static void log_to_terminal(enum log_level level, const char *line, void *user)
{
    (void)level;
    (void)user;
    (void)fputs("lunshadow: ", stderr);
    text_put(stderr, line);
    (void)fputc('\n', stderr);
}

static int unread(const struct cli_command *command)
{
    return command->exit_unread ? command->exit_unread : CLI_FAILED;
}

/* A listing that did not reach its reader must not end with 0. */
static int flush_output(int exit_code, int exit_unread)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return exit_code;
    }
    (void)fprintf(stderr, "lunshadow: cannot write to standard output\n");
    return exit_code == CLI_OK ? exit_unread : exit_code;
}

int cli_run(const struct cli_command *command, int argc, char **argv)
{
    struct cli cli = {.command = command};
    int verbosity = -1;
    int exit_code = CLI_UNUSABLE;
    int exit_unread = CLI_FAILED;
    switch (options_parse(&cli, argc, argv, &verbosity)) {
    case OPTIONS_HELP:
        options_help(command, stdout);
        exit_code = CLI_OK;
        break;
    case OPTIONS_WRONG:
        break;
    case OPTIONS_RUN:
        log_set_sink(log_to_terminal, NULL,
                     verbosity < 0 ? LOG_WARNING : (enum log_level)verbosity);
        progress_use_json(cli.json);
        exit_code = command->run(&cli);
        exit_unread = unread(command);
        log_set_sink(NULL, NULL, LOG_ERROR);
        break;
    }
    options_free(&cli);
    return flush_output(exit_code, exit_unread);
}

bool cli_has(const struct cli *cli, const char *option)
{
    for (size_t i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].option->name, option) == 0) {
            return true;
        }
    }
    return false;
}

const char *cli_value(const struct cli *cli, const char *option)
{
    const char *value = NULL;
    for (size_t i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].option->name, option) == 0) {
            value = cli->given[i].value;
        }
    }
    return value;
}

void cli_warn(const struct cli *cli, const struct error *err)
{
    char code[TEXT_CODE_BYTES];
    (void)fflush(stdout); /* what was printed before stands before it */
    (void)fprintf(stderr, "lunshadow: %s: ", cli->command->name);
    text_put(stderr, error_text(err));
    (void)fprintf(stderr, " (%s)\n", text_code(err->code, code));
}

int cli_fail(const struct cli *cli, const struct error *err)
{
    cli_warn(cli, err);
    return CLI_FAILED;
}

int cli_misuse(const struct cli *cli, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) {
        text = NULL;
    }
    va_end(args);
    (void)fflush(stdout);
    (void)fprintf(stderr, "lunshadow: %s: ", cli->command->name);
    text_put(stderr, text ? text : "out of memory");
    (void)fprintf(stderr, "\nSee: lunshadow %s --help\n", cli->command->name);
    free(text);
    return CLI_UNUSABLE;
}

bool cli_number(const struct cli *cli, const char *option, unsigned long min, unsigned long max,
                unsigned long fallback, unsigned long *out)
{
    const char *text = cli_value(cli, option);
    *out = fallback;
    if (!text) {
        return true;
    }
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    bool is_number = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    if (!is_number || value < min || value > max) {
        (void)cli_misuse(cli, "--%s is a number from %lu to %lu", option, min, max);
        return false;
    }
    *out = value;
    return true;
}

int cli_print_json(const struct cli *cli, json_t *root)
{
    if (!root) {
        struct error err = {.code = E_OUTOFMEMORY, .text = "out of memory while writing JSON"};
        cli_warn(cli, &err);
        return unread(cli->command);
    }
    int result = json_dumpf(root, stdout, JSON_INDENT(2));
    (void)fputc('\n', stdout);
    json_decref(root);
    return result == 0 ? CLI_OK : unread(cli->command);
}
