/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/session.h"
#include "cli/set_view.h"

#include <stdlib.h>

/* The imported set as the registry has it now. */
static int print_imported(const struct cli *cli, const VSS_ID *set_id)
{
    struct set_record set = {0};
    struct error err = {0};
    if (FAILED(session_find_set(cli, set_id, &set, NULL, &err))) {
        return cli_fail(cli, &err);
    }
    int exit_code = set_view_print(cli, &set, false);
    set_record_free(&set);
    return exit_code;
}

static HRESULT import_document(const struct cli *cli, const char *xml, struct error *err)
{
    struct vss_backup_components *session = NULL;
    struct vss_async *async = NULL;
    HRESULT hr = session_open(cli, &session, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = session_check(session, vss_backup_components_initialize_for_backup(session, xml), err);
    if (SUCCEEDED(hr)) {
        interrupt_install();
        hr = vss_backup_components_import_snapshots(session, &async);
        hr = session_wait(session, hr, async, "import", err);
    }
    vss_backup_components_release(session);
    return hr;
}

static int run(struct cli *cli)
{
    char *xml = NULL;
    struct set_record set = {0};
    struct error err = {0};
    int exit_code = CLI_FAILED;
    HRESULT hr = session_read_document(cli->arguments[0], &xml, &err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = session_document_set(xml, &set, &err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = import_document(cli, xml, &err);
    if (FAILED(hr)) {
        goto out;
    }
    exit_code = print_imported(cli, &set.set_id);
    if (hr != S_OK) {
        cli_warn(cli, &err);
        exit_code = CLI_PARTIAL;
    }
out:
    if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
    }
    set_record_free(&set);
    free(xml);
    return exit_code;
}

const struct cli_command command_import = {
    .name = "import",
    .summary = "show the copies of a transportable set to this host",
    .arguments = "DOCUMENT",
    .help =
        "Maps the copies that the document describes to this host, finds them by their page-83\n"
        "identity, gives them fresh disk IDs and marks them as shadow copies, read-only. Exits "
        "with 3\n"
        "where only some could be imported. A DOCUMENT of - is standard input.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
