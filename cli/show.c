/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/set_view.h"

static int run(struct cli *cli)
{
    VSS_ID id = id_null;
    struct set_record set = {0};
    struct error err = {0};
    if (!id_parse(cli->arguments[0], &id)) {
        return cli_misuse(cli, "%s is not an id: see lunshadow list", cli->arguments[0]);
    }
    if (FAILED(session_find_set(cli, &id, &set, NULL, &err))) {
        return cli_fail(cli, &err);
    }
    int exit_code = set_view_print(cli, &set, true);
    set_record_free(&set);
    return exit_code;
}

const struct cli_command command_show = {
    .name = "show",
    .summary = "one set in full: volumes, LUNs, identities, disk IDs",
    .arguments = "SET|SNAPSHOT",
    .help = "Prints all that the registry knows of a snapshot set: its snapshots, and of each LUN\n"
            "the original's and the copy's address, page-83 identity and disk IDs. The id may be\n"
            "the set's or that of one of its snapshots.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
