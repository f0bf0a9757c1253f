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

static int run(struct cli *cli)
{
    VSS_ID id = id_null;
    VSS_ID nondeleted = id_null;
    int32_t deleted = 0;
    bool is_snapshot = false;
    struct set_record set = {0};
    struct vss_backup_components *session = NULL;
    struct error err = {0};
    if (!id_parse(cli->arguments[0], &id)) {
        return cli_misuse(cli, "%s is not an id: see lunshadow list", cli->arguments[0]);
    }
    int exit_code = CLI_FAILED;
    HRESULT hr = session_find_set(cli, &id, &set, &is_snapshot, &err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = session_open_for_all(cli, &session, &err);
    if (FAILED(hr)) {
        goto out;
    }
    interrupt_install();
    hr =
        session_check(session,
                      vss_backup_components_delete_snapshots(
                          session, &id, is_snapshot ? VSS_OBJECT_SNAPSHOT : VSS_OBJECT_SNAPSHOT_SET,
                          false, &deleted, &nondeleted),
                      &err);
    exit_code = print_result(cli, deleted, &nondeleted);
out:
    if (FAILED(hr)) {
        (void)cli_fail(cli, &err);
        exit_code = deleted > 0 ? CLI_PARTIAL : CLI_FAILED;
    }
    vss_backup_components_release(session);
    set_record_free(&set);
    return exit_code;
}

const struct cli_command command_delete = {
    .name = "delete",
    .summary = "delete a snapshot or a whole set",
    .arguments = "SET|SNAPSHOT",
    .help =
        "Deletes a snapshot, or all of a set one after the other until one fails. A copy LUN is\n"
        "deleted from its array with the last snapshot on it.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
