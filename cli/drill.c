/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/drill.h"

#include "cli/commands.h"
#include "cli/drill_own.h"
#include "cli/interrupt.h"
#include "cli/text.h"
#include "drill/evidence.h"
#include "drill/postgresql.h"

#include <string.h>

#define MIB ((uint64_t)1024 * 1024)

static const struct cli_option options[] = {
    {"directory", 'd', "DIR", "make the array here, in an empty or absent directory"},
    {"size", 's', "SIZE", "size of each LUN, whole 4 MiB from 64M to 16G (256M)"},
    {"seconds", 'n', "N", "load before the cut, 2 to 600 (3)"},
    {"keep", 'k', NULL, "leave the array up and say how to look at it"},
    {"plain", 'p', NULL, "no loop mount even as root: copies are full copies"},
    {"postgresql", 'g', NULL, "of a PostgreSQL server on two LUNs, with its writer (512M)"},
    {"volume", 'V', "URL", "a LUN of yours, which is only read; may be repeated"},
    {"onto", 'o', "URL", "the scratch LUN for it; as often"},
    {"check", 'c', "COMMAND", "judges the recovered LUNs: exit code 0 is success"},
    {"max-rto", 'r', "SECONDS", "recovery and COMMAND take no longer"},
    {"plan", 'P', "NAME", "volumes, scratch LUNs and command of [drill NAME]"},
};

static bool read_options(const struct cli *cli, struct drill_options *out)
{
    const char *size = cli_value(cli, "size");
    unsigned long seconds = 0;
    if (!cli_number(cli, "seconds", 2, 600, 3, &seconds)) {
        return false;
    }
    bool is_size = !size || text_parse_size(size, &out->lun_bytes);
    if (!is_size || (size && (out->lun_bytes % (4 * MIB) != 0 || out->lun_bytes < 64 * MIB ||
                              out->lun_bytes > 16384 * MIB))) {
        (void)cli_misuse(cli, "--size is a multiple of 4 MiB from 64M to 16G");
        return false;
    }
    out->state_directory = cli->state_directory;
    out->work_directory = cli_value(cli, "directory");
    out->seconds = (uint32_t)seconds;
    out->keep = cli_has(cli, "keep");
    out->plain_directory = cli_has(cli, "plain");
    out->json = cli->json;
    out->out = stdout;
    out->should_stop = interrupt_was_asked;
    return true;
}

/* drill verify REPORT */
static int verify(struct cli *cli)
{
    struct error err = {0};
    if (cli->argument_count != 2 || strcmp(cli->arguments[0], "verify") != 0 ||
        cli->given_count > 0) {
        return cli_misuse(cli, "arguments: verify REPORT, without other options");
    }
    enum drill_result result = evidence_verify(cli->arguments[1], cli->json, stdout, &err);
    if (FAILED(err.code)) {
        cli_warn(cli, &err);
    }
    return (int)result;
}

static bool has_lab_options(const struct cli *cli)
{
    return cli_has(cli, "directory") || cli_has(cli, "size") || cli_has(cli, "seconds") ||
           cli_has(cli, "plain") || cli_has(cli, "postgresql");
}

static int run(struct cli *cli)
{
    if (cli->argument_count > 0) {
        return verify(cli);
    }
    if (drill_own_is_asked(cli)) {
        return has_lab_options(cli)
                   ? cli_misuse(cli, "a drill on your own LUNs makes no private array")
                   : drill_own(cli);
    }
    struct drill_options drill_options = {0};
    struct error err = {0};
    if (!read_options(cli, &drill_options)) {
        return CLI_UNUSABLE;
    }
    interrupt_install();
    enum drill_result result = cli_has(cli, "postgresql")
                                   ? drill_postgresql_run(&drill_options, &err)
                                   : drill_run(&drill_options, &err);
    if (FAILED(err.code)) {
        cli_warn(cli, &err);
    }
    return (int)result; /* drill's results are its exit codes */
}

const struct cli_command command_drill = {
    .name = "drill",
    .summary = "prove that recovery works, on a private array or with LUNs of yours",
    .arguments = "[verify REPORT]",
    .help =
        "Makes a private array with LUNs full of data, shadow-copies them under load, damages "
        "them,\n"
        "brings them back, proves every step, and takes everything away again; about a minute. It\n"
        "has a configuration and a registry of its own and writes to LUNs of its own only. The\n"
        "report is kept under the state directory, in drills/.\n"
        "\n"
        "With --postgresql a real server, its data and its WAL on two LUNs, loses a table and is\n"
        "recovered: every row acknowledged before the cut must be there. Takes root.\n"
        "\n"
        "With --volume, --onto and --check (or --plan) it shadow-copies LUNs of yours, which are "
        "only\n"
        "read, recovers them onto scratch LUNs, compares these with the copies, runs COMMAND, and "
        "takes\n"
        "copies and scratch labels away again. It writes to scratch LUNs that the configuration "
        "names\n"
        "by address and identity ([scratch NAME]), and to no others. \"verify REPORT\" tells "
        "whether a\n"
        "report is what a drill wrote, and what it says.",
    .exit_codes = "0 every check held; 1 a check failed; 2 it could not run, nothing was written;\n"
                  "3 it passed but left something behind, which it lists, or its output was not "
                  "taken.",
    .exit_unread = CLI_PARTIAL,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 0,
    .max_arguments = 2,
    .run = run,
};
