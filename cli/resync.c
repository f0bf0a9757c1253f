/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/label_changes.h"
#include "cli/resync_plan.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/writer_view.h"
#include "common/clock.h"
#include "common/log.h"
#include "requester/dry_run.h"
#include "requester/half_written.h"
#include "resync/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_PAUSE_MS 250u
#define WAIT_MAX_S    86400u

static const struct cli_option options[] = {
    {"snapshot", 's', "ID[=VOLUME]", "only this one, over VOLUME if given; may be repeated"},
    {"partial", 'p', NULL, "snapshots named by --snapshot are meant to be less than the set"},
    {"order", 'o', "ID[,ID]...", "these first, in this order; the others as the document has them"},
    {"revert-identity", 'r', NULL, "give the LUNs the disk IDs they had when they were copied"},
    {"no-volume-check", 0, NULL, "overwrite volumes that are not in the set, too"},
    {"wait", 'w', "SECONDS", "where another resync runs, wait for it that long"},
    {"dry-run", 'n', NULL, "check everything, print which label bytes would change, write nothing"},
    {"writers", 0, NULL, "let the writers stop their applications before, and start them after"},
    {"undo", 'u', NULL, "only with a safety copy of what is overwritten"},
    {"no-undo", 0, NULL, "without one, even where it is cheap"},
    {"verify", 0, "none|sample|full", "read back what this host copied: all of it, or one in 32"},
    {"rate", 0, "BYTES[K|M|G]", "copy at most so much a second, read and written together"},
    {"yes", 'y', NULL, "overwrite; without it only the plan is printed"},
};

static HRESULT add_all(struct vss_backup_components *session, const struct resync_plan *plan,
                       struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < plan->count; i++) {
        hr = session_check(
            session,
            vss_backup_components_add_snapshot_to_recovery_set(
                session, &plan->members[i].snapshot->snapshot_id, 0, plan->members[i].destination),
            err);
    }
    return hr;
}

/* The first member takes the machine's lock for resyncs. */
static HRESULT add_members(const struct cli *cli, struct vss_backup_components *session,
                           const struct resync_plan *plan, struct error *err)
{
    unsigned long wait_s = 0;
    (void)cli_number(cli, "wait", 1, WAIT_MAX_S, 0, &wait_s); /* read_options() complained */
    uint64_t until_us = clock_monotonic_us() + (uint64_t)wait_s * 1000000u;
    bool was_told = false;
    interrupt_install();
    HRESULT hr = add_all(session, plan, err);
    while (hr == VSS_E_RESYNC_IN_PROGRESS && clock_monotonic_us() < until_us &&
           !interrupt_was_asked()) {
        if (!was_told) {
            log_line(LOG_WARNING, "waiting for up to %lu s: %s", wait_s, error_text(err));
            was_told = true;
        }
        clock_sleep_ms(WAIT_PAUSE_MS);
        error_clear(err);
        hr = add_all(session, plan, err);
    }
    return hr;
}

static HRESULT recover(const struct cli *cli, struct vss_backup_components *session,
                       struct error *err)
{
    uint32_t flags = 0;
    struct vss_async *async = NULL;
    flags |= cli_has(cli, "revert-identity") ? (uint32_t)VSS_RECOVERY_REVERT_IDENTITY_ALL : 0u;
    flags |= cli_has(cli, "no-volume-check") ? (uint32_t)VSS_RECOVERY_NO_VOLUME_CHECK : 0u;
    HRESULT hr = vss_backup_components_recover_set(session, flags, &async);
    return session_wait(session, hr, async, "resync", err);
}

static HRESULT tell(struct vss_backup_components *session,
                    HRESULT (*method)(struct vss_backup_components *, struct vss_async **),
                    const char *what, struct error *err)
{
    struct vss_async *async = NULL;
    HRESULT hr = method(session, &async);
    return session_wait(session, hr, async, what, err);
}

/* After a signal too: else the applications that were stopped stay so. */
static HRESULT post_restore(struct vss_backup_components *session, struct error *err)
{
    struct vss_async *async = NULL;
    HRESULT hr = vss_backup_components_post_restore(session, &async);
    return session_wait_to_end(session, hr, async, "starting the applications", err);
}

static HRESULT start_applications(struct vss_backup_components *session, struct error *err)
{
    HRESULT hr = post_restore(session, err);
    return SUCCEEDED(hr) ? writer_rows_check_to_end(session, err) : hr;
}

/* Where one cannot let go of its data nothing is written, and all go on as they were. */
static HRESULT stop_applications(struct vss_backup_components *session, struct error *err)
{
    struct error why = {0};
    HRESULT hr =
        tell(session, vss_backup_components_gather_writer_metadata, "asking the writers", err);
    if (SUCCEEDED(hr)) {
        hr = tell(session, vss_backup_components_pre_restore, "stopping the applications", err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    hr = writer_rows_check(session, &why);
    if (FAILED(hr) && session_is_half_written(session)) {
        return error_set(
            err, hr,
            "%s; nothing more was written, and applications that stopped stay stopped: "
            "an earlier resync left LUNs half-written",
            why.text);
    }
    if (FAILED(hr)) {
        bool goes_on = SUCCEEDED(post_restore(session, NULL));
        return error_set(err, hr, "%s; nothing was written%s", why.text,
                         goes_on ? ", and the applications were told to go on"
                                 : ", but the applications could not be told to go on: start them");
    }
    return S_OK;
}

/* After a failure applications stay down where they would find LUNs that are half-written; where
 * nothing was written they go on with what they had. */
static void end_failed(struct vss_backup_components *session, struct error *err)
{
    struct error why = {0};
    if (session_has_written(session)) {
        error_prefix(err, "the applications that writers stopped stay stopped");
    } else if (FAILED(start_applications(session, &why))) {
        error_prefix(err,
                     "nothing was written, but the applications were not all started again "
                     "(%.300s)",
                     error_text(&why));
    } else {
        error_prefix(err, "nothing was written, and the applications were started again");
    }
}

static HRESULT recover_with_writers(const struct cli *cli, struct vss_backup_components *session,
                                    struct error *err)
{
    HRESULT hr = stop_applications(session, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = recover(cli, session, err);
    if (FAILED(hr)) {
        end_failed(session, err);
        return hr;
    }
    return start_applications(session, err);
}

static void print_field(const json_t *member, const char *key)
{
    const char *text = json_string_value(json_object_get(member, key));
    if (text && *text) {
        (void)printf("  %-12s ", key);
        text_put(stdout, text);
        (void)fputc('\n', stdout);
    }
}

static bool has_failed(const json_t *member)
{
    const char *result = json_string_value(json_object_get(member, "result"));
    return result && strcmp(result, "S_OK") != 0 && strcmp(result, "E_ABORT") != 0;
}

/* Who is to blame, where it was not all. */
static void print_failed(const json_t *report)
{
    size_t index = 0;
    size_t failed = 0;
    const json_t *member = NULL;
    json_array_foreach(report, index, member)
    {
        failed += has_failed(member);
    }
    if (failed == 0 || failed == json_array_size(report)) {
        return;
    }
    (void)printf("Failed: %zu of %zu members\n", failed, json_array_size(report));
    json_array_foreach(report, index, member)
    {
        if (has_failed(member)) {
            (void)fputs("  ", stdout);
            text_put(stdout, json_string_value(json_object_get(member, "destination")));
            (void)fputc('\n', stdout);
        }
    }
}

/* What RecoverSet did, member by member; also after a failure, when some were done. */
static int print_report(const struct cli *cli, struct vss_backup_components *session)
{
    static const char *const keys[] = {"destination", "method", "ids", "undo", "result", "error"};
    char *text = NULL;
    if (FAILED(vss_backup_components_recovery_report(session, &text))) {
        return CLI_OK; /* it did not come so far */
    }
    json_t *report = json_loads(text, 0, NULL);
    vss_free_string(text);
    if (cli->json) {
        return cli_print_json(cli, report);
    }
    size_t index = 0;
    json_t *member = NULL;
    json_array_foreach(report, index, member)
    {
        (void)fputs("Snapshot ", stdout);
        text_put(stdout, json_string_value(json_object_get(member, "snapshot")));
        (void)fputc('\n', stdout);
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
            print_field(member, keys[i]);
        }
    }
    print_failed(report);
    json_decref(report);
    return CLI_OK;
}

/* False after having complained. */
static bool read_copy_options(const struct cli *cli, struct vss_session_options *out)
{
    enum copy_verify verify = VERIFY_NONE;
    const char *way = cli_value(cli, "verify");
    const char *rate = cli_value(cli, "rate");
    if (way && !copy_verify_parse(way, &verify)) {
        (void)cli_misuse(cli, "--verify is none, sample or full, not \"%s\"", way);
        return false;
    }
    if (rate && (!text_parse_size(rate, &out->copy_bytes_per_second) ||
                 out->copy_bytes_per_second < VSS_COPY_RATE_MIN ||
                 out->copy_bytes_per_second > VSS_COPY_RATE_MAX)) {
        (void)cli_misuse(cli, "--rate is 64K to 1024G bytes a second, such as 100M, not \"%s\"",
                         rate);
        return false;
    }
    out->copy_verify = way ? VSS_COPY_VERIFY_NONE + (uint32_t)verify : VSS_COPY_VERIFY_CONFIGURED;
    return true;
}

static bool read_options(const struct cli *cli, struct vss_session_options *out)
{
    unsigned long wait_s = 0;
    if (!cli_number(cli, "wait", 1, WAIT_MAX_S, 0, &wait_s)) {
        return false;
    }
    if (cli_has(cli, "undo") && cli_has(cli, "no-undo")) {
        (void)cli_misuse(cli, "--undo and --no-undo exclude each other");
        return false;
    }
    out->undo = cli_has(cli, "undo")      ? VSS_UNDO_REQUIRED
                : cli_has(cli, "no-undo") ? VSS_UNDO_NONE
                                          : VSS_UNDO_WHERE_CHEAP;
    return read_copy_options(cli, out);
}

static int resync(const struct cli *cli, const struct vss_session_options *wanted, const char *xml,
                  const struct resync_plan *plan)
{
    struct vss_backup_components *session = NULL;
    struct error err = {0};
    int exit_code = CLI_FAILED;
    HRESULT hr = session_open_with(cli, wanted, &session, &err);
    if (FAILED(hr)) {
        return cli_fail(cli, &err);
    }
    hr = session_check(session, vss_backup_components_initialize_for_restore(session, xml), &err);
    if (FAILED(hr)) {
        goto out;
    }
    if (cli_has(cli, "dry-run")) {
        session_begin_dry_run(session);
    }
    hr = add_members(cli, session, plan, &err);
    if (FAILED(hr)) {
        goto out;
    }
    if (!cli_has(cli, "yes") && !cli_has(cli, "dry-run")) {
        exit_code = resync_plan_print(cli, plan);
        (void)cli_misuse(cli, "nothing was written: --yes overwrites these LUNs");
        exit_code = exit_code == CLI_OK ? CLI_UNUSABLE : exit_code;
        goto out;
    }
    hr = cli_has(cli, "writers") && !cli_has(cli, "dry-run")
             ? recover_with_writers(cli, session, &err)
             : recover(cli, session, &err);
    if (cli_has(cli, "dry-run")) {
        exit_code = label_changes_report(cli, session, hr, &err);
        hr = S_OK; /* said */
        goto out;
    }
    exit_code = print_report(cli, session);
out:
    if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
    }
    vss_backup_components_release(session);
    return exit_code;
}

static int run(struct cli *cli)
{
    char *xml = NULL;
    struct set_record set = {0};
    struct resync_plan plan = {0};
    struct error err = {0};
    struct vss_session_options wanted = VSS_SESSION_OPTIONS_INIT;
    int exit_code = CLI_FAILED;
    if (!read_options(cli, &wanted)) {
        return CLI_UNUSABLE;
    }
    HRESULT hr = session_read_document(cli->arguments[0], &xml, &err);
    if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
        goto out;
    }
    hr = session_document_set(xml, &set, &err);
    if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
        goto out;
    }
    exit_code = resync_plan_make(cli, &set, &plan);
    if (exit_code == CLI_OK) {
        exit_code = resync(cli, &wanted, xml, &plan);
    }
out:
    resync_plan_free(&plan);
    set_record_free(&set);
    free(xml);
    return exit_code;
}

const struct cli_command command_resync = {
    .name = "resync",
    .summary = "overwrite LUNs with their shadow copies",
    .arguments = "DOCUMENT",
    .help =
        "Brings the LUNs of the set that the document describes back to the moment of the "
        "copy: all,\n"
        "or the snapshots named, over the original or over another LUN. Everything written to "
        "these\n"
        "LUNs since then is lost. All checks run first, the plan is printed, and without --yes "
        "that\n"
        "is all. Other initiators are logged out of the LUNs. The copies stay and can be used "
        "again.\n"
        "All or nothing: where one LUN is refused none is written to, and the report names "
        "those that\n"
        "failed. A part of the set needs --partial. Ctrl-C leaves what the same command makes "
        "whole.\n"
        "\n"
        "With --writers the writers (see: lunshadow writers) are told before and after. "
        "Without it\n"
        "stop what uses the LUNs yourself.\n"
        "\n"
        "Where the array makes differential copies, a safety copy of the LUNs is taken first, and\n"
        "lunshadow recover --undo puts it back.\n"
        "\n"
        "--verify and --rate are for arrays that leave copying to this host, and take the place "
        "of what\n"
        "[copy] of the configuration says.\n"
        "\n"
        "By default a LUN keeps the disk IDs it has now. A DOCUMENT of - is standard input.",
    .exit_unread = CLI_PARTIAL,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
