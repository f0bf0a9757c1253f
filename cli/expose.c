/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/text.h"

#include <stdio.h>

static int print_exposed(const struct cli *cli, const VSS_ID *id, const char *path)
{
    if (cli->json) {
        return cli_print_json(cli, json_pack("{s:o, s:o}", "snapshot", text_id_to_json(id),
                                             "exposed", text_to_json(path)));
    }
    if (path) {
        text_put(stdout, path);
        (void)fputc('\n', stdout);
    } else {
        (void)puts("Not exposed any more.");
    }
    return CLI_OK;
}

static int expose(struct cli *cli)
{
    VSS_ID id = id_null;
    char *path = NULL;
    struct vss_backup_components *session = NULL;
    struct error err = {0};
    if (!id_parse(cli->arguments[0], &id)) {
        return cli_misuse(cli, "%s is not an id: see lunshadow list", cli->arguments[0]);
    }
    HRESULT hr = session_open_for_all(cli, &session, &err);
    if (SUCCEEDED(hr)) {
        hr = session_check(session,
                           vss_backup_components_expose_snapshot(session, &id, NULL,
                                                                 VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY,
                                                                 cli->arguments[1], &path),
                           &err);
    }
    int exit_code = SUCCEEDED(hr) ? print_exposed(cli, &id, path) : cli_fail(cli, &err);
    vss_free_string(path);
    vss_backup_components_release(session);
    return exit_code;
}

static int unexpose(struct cli *cli)
{
    VSS_ID id = id_null;
    struct vss_backup_components *session = NULL;
    struct error err = {0};
    if (!id_parse(cli->arguments[0], &id)) {
        return cli_misuse(cli, "%s is not an id: see lunshadow list", cli->arguments[0]);
    }
    HRESULT hr = session_open_for_all(cli, &session, &err);
    if (SUCCEEDED(hr)) {
        hr = session_check(session, vss_backup_components_unexpose_snapshot(session, &id), &err);
    }
    int exit_code = SUCCEEDED(hr) ? print_exposed(cli, &id, NULL) : cli_fail(cli, &err);
    vss_backup_components_release(session);
    return exit_code;
}

const struct cli_command command_expose = {
    .name = "expose",
    .summary = "mount a shadow copy, read-only",
    .arguments = "SNAPSHOT DIRECTORY",
    .help =
        "Mounts the copy of a volume read-only at an empty directory. The copy is persistent and\n"
        "imported on this host. Where the kernel has no block device for its LUN,\n"
        "qemu-storage-daemon shows it as a file. Only root can. unexpose ends it; so do delete "
        "and\n"
        "break, and a restart of the machine.",
    .min_arguments = 2,
    .max_arguments = 2,
    .run = expose,
};

const struct cli_command command_unexpose = {
    .name = "unexpose",
    .summary = "unmount a shadow copy",
    .arguments = "SNAPSHOT",
    .help = "Unmounts a copy that expose mounted. It stays as it was before.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = unexpose,
};
