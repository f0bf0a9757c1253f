/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/label_changes.h"
#include "cli/session.h"
#include "cli/text.h"
#include "requester/dry_run.h"

#include <stdio.h>

static const struct cli_option options[] = {
    {"mask", 'm', NULL, "hide the copies from every initiator; goes with no other option"},
    {"read-write", 'w', NULL, "leave the copies writable"},
    {"revert-identity", 'r', NULL, "give the copies the originals' disk IDs"},
    {"no-revert-identity", 'k', NULL, "keep the copies' own disk IDs"},
    {"dry-run", 'n', NULL, "print offset, old bytes and new bytes, and write nothing"},
};

static uint32_t flags_of(const struct cli *cli)
{
    static const uint32_t flags[] = {VSS_BREAKEX_FLAG_MASK_LUNS, VSS_BREAKEX_FLAG_MAKE_READ_WRITE,
                                     VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL,
                                     VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE};
    uint32_t result = 0;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (cli_has(cli, options[i].name)) {
            result |= flags[i];
        }
    }
    return result;
}

static HRESULT break_set(const struct cli *cli, const VSS_ID *set_id, uint32_t flags,
                         struct vss_backup_components **out_session, struct error *err)
{
    HRESULT hr = session_open_for_all(cli, out_session, err);
    if (SUCCEEDED(hr)) {
        struct vss_async *async = NULL;
        if (cli_has(cli, "dry-run")) {
            session_begin_dry_run(*out_session);
        }
        interrupt_install();
        hr = vss_backup_components_break_snapshot_set_ex(*out_session, set_id, flags, &async);
        hr = session_wait(*out_session, hr, async, "break", err);
    }
    return hr;
}

static void print_luns(const struct set_record *set, uint32_t flags)
{
    (void)printf("These LUNs are plain LUNs now%s; lunshadow no longer knows them as copies:\n",
                 flags & VSS_BREAKEX_FLAG_MASK_LUNS ? ", hidden from every initiator" : "");
    for (size_t i = 0; i < set->lun_count; i++) {
        (void)fputs("  ", stdout);
        text_put(stdout, set->luns[i].copy_url ? set->luns[i].copy_url : set->luns[i].array);
        (void)fputc('\n', stdout);
    }
}

static json_t *result_json(const struct set_record *set)
{
    json_t *luns = json_array();
    for (size_t i = 0; luns && i < set->lun_count; i++) {
        if (json_array_append_new(luns, text_to_json(set->luns[i].copy_url))) {
            json_decref(luns);
            luns = NULL;
        }
    }
    return json_pack("{s:o, s:o}", "broken", text_id_to_json(&set->set_id), "luns", luns);
}

/* Breaks it and says what came of it. */
static int do_break(const struct cli *cli, const VSS_ID *id, uint32_t flags,
                    const struct set_record *set)
{
    struct vss_backup_components *session = NULL;
    struct error err = {0};
    int exit_code = CLI_OK;
    HRESULT hr = break_set(cli, id, flags, &session, &err);
    if (cli_has(cli, "dry-run")) {
        exit_code = label_changes_report(cli, session, hr, &err);
    } else if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
    } else if (cli->json) {
        exit_code = cli_print_json(cli, result_json(set));
    } else {
        print_luns(set, flags);
    }
    vss_backup_components_release(session);
    return exit_code;
}

static int run(struct cli *cli)
{
    VSS_ID id = id_null;
    bool is_snapshot = false;
    struct set_record set = {0};
    struct error err = {0};
    int exit_code = CLI_OK;
    if (!id_parse(cli->arguments[0], &id)) {
        return cli_misuse(cli, "%s is not an id: see lunshadow list", cli->arguments[0]);
    }
    uint32_t flags = flags_of(cli);
    if ((flags & VSS_BREAKEX_FLAG_MASK_LUNS) && flags != VSS_BREAKEX_FLAG_MASK_LUNS) {
        return cli_misuse(cli, "--mask goes with no other option");
    }
    if ((flags & VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL) &&
        (flags & VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE)) {
        return cli_misuse(cli, "--revert-identity and --no-revert-identity exclude each other");
    }
    if (FAILED(session_find_set(cli, &id, &set, &is_snapshot, &err))) {
        return cli_fail(cli, &err);
    }
    if (is_snapshot) {
        exit_code =
            cli_misuse(cli, "%s is a snapshot: only whole sets can be broken", cli->arguments[0]);
    } else {
        exit_code = do_break(cli, &id, flags, &set);
    }
    set_record_free(&set);
    return exit_code;
}

const struct cli_command command_break = {
    .name = "break",
    .summary = "end a set's life as a shadow copy; its LUNs stay",
    .arguments = "SET",
    .help =
        "The copies of the set become plain LUNs, which lunshadow forgets. Without options they\n"
        "get the originals' disk IDs back where no original is visible to this host, and keep\n"
        "their own where one is. --revert-identity fails, and changes nothing, while one is: two\n"
        "disks with one ID lose data. Both fail where that cannot be told, because a configured\n"
        "portal does not answer; --no-revert-identity keeps their own without a look. --dry-run\n"
        "prints which bytes of the labels would change.",
    .exit_unread = CLI_PARTIAL,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
