/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/ids_wanted.h"
#include "cli/interrupt.h"
#include "cli/label_changes.h"
#include "cli/text.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "lun/label/diff.h"
#include "registry/sets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct cli_option options[] = {
    {"fresh", 'f', NULL, "new random ids"},
    {"set", 's', "KEY=VALUE",
     "mbr=0xSIGNATURE, disk=GUID, N=GUID, N.attributes=0xBITS; repeatable"},
    {"restore", 'r', "N|previous", "ids of the history: by number, or the last that were others"},
    {"repair", 0, NULL, "build a damaged or missing GPT header anew from the good one"},
    {"dry-run", 'n', NULL, "print offset, old bytes and new bytes, and write nothing"},
    {"yes", 'y', NULL, "write; without it only the plan is printed"},
};

/* ---- looking --------------------------------------------------------------------------------- */

/* A LUN's label as it is, and its history. */
struct look {
    struct lun *lun;
    char key[LUN_KEY_BYTES];
    struct vss_disk_ids now;
    struct error label_error; /* text "" where the label could be read */
    struct disk_ids_record *history;
    size_t count;
};

static void look_free(struct look *look)
{
    disk_ids_history_free(look->history, look->count);
    disk_ids_free(&look->now);
    lun_close(look->lun);
}

static HRESULT look_at(struct set_environment *env, const char *url, struct look *out,
                       struct error *err)
{
    struct label *label = NULL;
    *out = (struct look){0};
    HRESULT hr = lun_open(url, &env->lun, true, &out->lun, err);
    if (FAILED(hr)) {
        return hr;
    }
    (void)lun_info_key(&out->lun->identity.info, out->key);
    if (SUCCEEDED(label_read(&out->lun->block, LABEL_FULL, &label, &out->label_error))) {
        hr = label_ids(label, &out->now);
    }
    label_free(label);
    if (FAILED(hr)) {
        return error_set(err, hr, "out of memory reading disk ids");
    }
    return disk_ids_history(env->store, out->key, &out->history, &out->count, err);
}

static void print_ids(const struct vss_disk_ids *ids)
{
    char id[ID_TEXT_BYTES];
    char *text = text_disk_ids(ids);
    text_put(stdout, text);
    if (ids->kind == VSS_DISK_LABEL_GPT && ids->mbr_signature) {
        (void)printf(", mbr 0x%08" PRIx32, ids->mbr_signature);
    }
    (void)fputc('\n', stdout);
    free(text);
    for (uint32_t i = 0; i < ids->partition_count; i++) {
        const struct vss_partition_id *p = &ids->partitions[i];
        (void)printf("      %3" PRIu32 "  %s", p->number, id_text(&p->guid, id));
        if (p->attributes) {
            (void)printf("  attributes 0x%" PRIx64, p->attributes);
        }
        (void)fputc('\n', stdout);
    }
}

static void print_look(const struct look *look)
{
    char first[CLOCK_TEXT_BYTES];
    char last[CLOCK_TEXT_BYTES];
    text_put(stdout, look->lun->url);
    (void)fputs("  ", stdout);
    text_put(stdout, look->key);
    (void)fputs("\n  now  ", stdout);
    if (look->label_error.text[0]) {
        text_put(stdout, error_text(&look->label_error));
        (void)fputc('\n', stdout);
    } else {
        print_ids(&look->now);
    }
    for (size_t i = 0; i < look->count; i++) {
        const struct disk_ids_record *r = &look->history[i];
        (void)printf("  %3zu  %s to %s, ", i + 1, clock_text(r->first_read, first),
                     clock_text(r->last_read, last));
        text_put(stdout, r->why ? r->why : "reason not kept");
        (void)fputs("\n       ", stdout);
        print_ids(&r->ids);
    }
}

static json_t *look_json(const struct look *look)
{
    json_t *history = json_array();
    for (size_t i = 0; history && i < look->count; i++) {
        const struct disk_ids_record *r = &look->history[i];
        json_t *item = json_pack("{s:I, s:o, s:o, s:o, s:o}", "number", (json_int_t)i + 1,
                                 "first_read", text_time_to_json(r->first_read), "last_read",
                                 text_time_to_json(r->last_read), "why", text_to_json(r->why),
                                 "ids", disk_ids_to_json(&r->ids));
        if (json_array_append_new(history, item)) {
            json_decref(history);
            history = NULL;
        }
    }
    bool is_read = !look->label_error.text[0];
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "url", text_to_json(look->lun->url), "key",
        text_to_json(look->key), "now", is_read ? disk_ids_to_json(&look->now) : json_null(),
        "error", text_to_json(is_read ? NULL : error_text(&look->label_error)), "history", history);
}

static int show(struct cli *cli, struct set_environment *env)
{
    int failed = 0;
    json_t *list = json_array();
    for (int i = 0; i < cli->argument_count; i++) {
        struct look look;
        struct error err = {0};
        HRESULT hr = look_at(env, cli->arguments[i], &look, &err);
        if (SUCCEEDED(hr) && cli->json) {
            (void)json_array_append_new(list, look_json(&look));
        } else if (SUCCEEDED(hr)) {
            print_look(&look);
        } else {
            cli_warn(cli, &err);
            failed++;
        }
        look_free(&look);
    }
    int exit_code = cli->json ? cli_print_json(cli, json_incref(list)) : CLI_OK;
    json_decref(list);
    if (failed > 0) {
        exit_code = failed < cli->argument_count ? CLI_PARTIAL : CLI_FAILED;
    }
    return exit_code;
}

/* ---- changing -------------------------------------------------------------------------------- */

static HRESULT stage_all(const struct cli *cli, struct set_environment *env,
                         struct ids_change *change, struct error *err)
{
    HRESULT hr = S_OK;
    for (int i = 0; i < cli->argument_count && SUCCEEDED(hr); i++) {
        hr = ids_change_add(change, cli->arguments[i], err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < ids_change_count(change); i++) {
        struct vss_disk_ids wanted = {0};
        hr = ids_wanted(cli, env->store, ids_change_get(change, i), &wanted, err);
        if (SUCCEEDED(hr)) {
            hr = ids_change_stage(change, i, &wanted, cli_has(cli, "repair"), err);
        }
        disk_ids_free(&wanted);
    }
    return SUCCEEDED(hr) ? ids_change_check(change, err) : hr;
}

static int print_changes(const struct cli *cli, const struct ids_change *change)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < ids_change_count(change); i++) {
        const struct ids_change_lun *lun = ids_change_get(change, i);
        json_t *item = json_pack("{s:o, s:o, s:o, s:o}", "url", text_to_json(lun->url), "key",
                                 text_to_json(lun->key), "wanted", disk_ids_to_json(&lun->wanted),
                                 "changes", label_diff_to_json(lun->writes, lun->block_bytes));
        if (json_array_append_new(list, item)) {
            json_decref(list);
            list = NULL;
        }
    }
    if (cli->json || !list) {
        return cli_print_json(cli, list);
    }
    label_changes_print(list);
    json_decref(list);
    return CLI_OK;
}

/* Once begun it is done in a moment, on all LUNs: a signal before that ends it, a later one not. */
static HRESULT apply(const struct cli *cli, struct ids_change *ids, struct error *err)
{
    return interrupt_was_asked() ? error_set(err, E_ABORT, "cancelled before it began")
                                 : ids_change_apply(ids, ids_wanted_why(cli), err);
}

static int change(struct cli *cli, struct set_environment *env)
{
    struct ids_change *ids = NULL;
    struct error err = {0};
    int exit_code = CLI_FAILED;
    if (cli_has(cli, "yes")) {
        interrupt_install();
    }
    HRESULT hr = ids_change_new(env, &ids, &err);
    if (SUCCEEDED(hr)) {
        hr = stage_all(cli, env, ids, &err);
    }
    if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
        goto out;
    }
    exit_code = print_changes(cli, ids);
    if (cli_has(cli, "dry-run") || exit_code != CLI_OK) {
        goto out;
    }
    if (!cli_has(cli, "yes")) {
        exit_code = cli_misuse(cli, "nothing was written: --yes writes these bytes");
    } else if (FAILED(apply(cli, ids, &err))) {
        exit_code = cli_fail(cli, &err);
    }
out:
    ids_change_free(ids);
    return exit_code;
}

static int run(struct cli *cli)
{
    struct set_environment *env = NULL;
    struct error err = {0};
    const char *wrong = ids_wanted_wrong(cli);
    if (wrong) {
        return cli_misuse(cli, "%s", wrong);
    }
    if (FAILED(set_environment_open(cli->config_path, cli->state_directory, &env, &err))) {
        return cli_fail(cli, &err);
    }
    int exit_code = ids_wanted_any(cli) ? change(cli, env) : show(cli, env);
    set_environment_close(env);
    return exit_code;
}

const struct cli_command command_ids = {
    .name = "ids",
    .summary = "disk and partition ids of LUNs, what they were, and changing them",
    .arguments = "URL...",
    .help = "Without options prints the ids that the label of each LUN has now, and those that "
            "were read from\n"
            "it or written to it before: when, and by what.\n"
            "\n"
            "--fresh, --set or --restore change them, on all LUNs or on none: everything is staged "
            "and printed\n"
            "first (byte offset, old bytes, new bytes), ids that another visible disk has are "
            "refused with that\n"
            "disk's name, and without --yes that is all. What is written is journaled, read back, "
            "and remembered;\n"
            "where a disk fails, every disk gets its old bytes back.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run,
};
