/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/label_changes.h"
#include "cli/session.h"
#include "cli/set_view.h"
#include "requester/dry_run.h"

#include <stdlib.h>

static const struct cli_option options[] = {
    {"dry-run", 'n', NULL, "print offset, old bytes and new bytes, and write nothing"},
};

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

static HRESULT import_document(const struct cli *cli, const char *xml,
                               struct vss_backup_components **out_session, struct error *err)
{
    struct vss_async *async = NULL;
    HRESULT hr = session_open(cli, out_session, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (cli_has(cli, "dry-run")) {
        session_begin_dry_run(*out_session);
    }
    struct vss_backup_components *session = *out_session;
    hr = session_check(session, vss_backup_components_initialize_for_backup(session, xml), err);
    if (SUCCEEDED(hr)) {
        interrupt_install();
        hr = vss_backup_components_import_snapshots(session, &async);
        hr = session_wait(session, hr, async, "import", err);
    }
    return hr;
}

static int import(const struct cli *cli, const char *xml, const VSS_ID *set_id)
{
    struct vss_backup_components *session = NULL;
    struct error err = {0};
    int exit_code = CLI_FAILED;
    HRESULT hr = import_document(cli, xml, &session, &err);
    if (cli_has(cli, "dry-run")) {
        exit_code = label_changes_report(cli, session, hr, &err);
    } else if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
    } else {
        exit_code = print_imported(cli, set_id);
    }
    if (SUCCEEDED(hr) && hr != S_OK) {
        cli_warn(cli, &err);
        exit_code = CLI_PARTIAL;
    }
    vss_backup_components_release(session);
    return exit_code;
}

static int run(struct cli *cli)
{
    char *xml = NULL;
    struct set_record set = {0};
    struct error err = {0};
    HRESULT hr = session_read_document(cli->arguments[0], &xml, &err);
    if (SUCCEEDED(hr)) {
        hr = session_document_set(xml, &set, &err);
    }
    int exit_code = SUCCEEDED(hr) ? import(cli, xml, &set.set_id) : cli_fail(cli, &err);
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
        "where only some could be imported. A DOCUMENT of - is standard input. --dry-run shows "
        "them to\n"
        "this host, prints which bytes of their labels would change, and hides them again.",
    .exit_unread = CLI_PARTIAL,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
