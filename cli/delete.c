/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/session.h"
#include "cli/text.h"

#include <stdio.h>

static int print_result(const struct cli *cli, int32_t deleted, const VSS_ID *nondeleted)
{
    if (cli->json) {
        return cli_print_json(
            cli, json_pack("{s:i, s:o}", "deleted", (int)deleted, "failed_at",
                           id_is_null(nondeleted) ? json_null() : text_id_to_json(nondeleted)));
    }
    (void)printf("Deleted %d snapshot%s.\n", (int)deleted, deleted == 1 ? "" : "s");
    return CLI_OK;
}

/* Adds to *deleted what went; *nondeleted: the first snapshot that did not. */
static HRESULT delete_one(struct cli *cli, struct vss_backup_components *session, const char *text,
                          int32_t *deleted, VSS_ID *nondeleted, struct error *err)
{
    VSS_ID id = id_null;
    bool is_snapshot = false;
    int32_t count = 0;
    struct set_record set = {0};
    (void)id_parse(text, &id); /* run() has looked at it */
    HRESULT hr = session_find_set(cli, &id, &set, &is_snapshot, err);
    if (SUCCEEDED(hr)) {
        hr = session_check(session,
                           vss_backup_components_delete_snapshots(
                               session, &id,
                               is_snapshot ? VSS_OBJECT_SNAPSHOT : VSS_OBJECT_SNAPSHOT_SET, false,
                               &count, nondeleted),
                           err);
    }
    *deleted += count;
    set_record_free(&set);
    return hr;
}

static int run(struct cli *cli)
{
    VSS_ID nondeleted = id_null;
    int32_t deleted = 0;
    struct vss_backup_components *session = NULL;
    struct error err = {0};
    for (int i = 0; i < cli->argument_count; i++) {
        if (!id_parse(cli->arguments[i], &nondeleted)) {
            return cli_misuse(cli, "%s is not an id: see lunshadow list", cli->arguments[i]);
        }
    }
    nondeleted = id_null;
    HRESULT hr = session_open_for_all(cli, &session, &err);
    if (FAILED(hr)) {
        return cli_fail(cli, &err);
    }
    interrupt_install();
    for (int i = 0; SUCCEEDED(hr) && i < cli->argument_count; i++) {
        hr = interrupt_was_asked()
                 ? error_set(&err, E_ABORT, "cancelled; %s and what was named after it is left",
                             cli->arguments[i])
                 : delete_one(cli, session, cli->arguments[i], &deleted, &nondeleted, &err);
    }
    int exit_code = CLI_OK;
    if (SUCCEEDED(hr) || deleted > 0 || !id_is_null(&nondeleted)) {
        exit_code = print_result(cli, deleted, &nondeleted);
    }
    if (FAILED(hr)) {
        (void)cli_fail(cli, &err);
        exit_code = deleted > 0 ? CLI_PARTIAL : CLI_FAILED;
    }
    vss_backup_components_release(session);
    return exit_code;
}

const struct cli_command command_delete = {
    .name = "delete",
    .summary = "delete snapshots or whole sets",
    .arguments = "SET|SNAPSHOT...",
    .help =
        "Deletes snapshots, or all of a set, one after the other until one fails. A copy LUN is\n"
        "deleted from its array with the last snapshot on it. The safety copy of a resync is a\n"
        "set too; lunshadow recover --list names it.",
    .exit_unread = CLI_PARTIAL,
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run,
};
