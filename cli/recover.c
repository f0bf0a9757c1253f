/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/text.h"
#include "common/clock.h"
#include "common/id.h"
#include "provider/set/rollback.h"
#include "resync/recovery.h"

#include <inttypes.h>
#include <stdio.h>

static json_t *step_json(const struct journal_step *step)
{
    return json_pack("{s:o, s:o, s:o, s:I}", "when", text_time_to_json(step->when), "step",
                     text_to_json(step->name), "lun", text_to_json(step->lun_key), "saved_bytes",
                     (json_int_t)step->data_bytes);
}

static json_t *entry_json(const struct journal_entry *entry)
{
    json_t *steps = json_array();
    for (size_t i = 0; steps && i < entry->step_count; i++) {
        if (json_array_append_new(steps, step_json(&entry->steps[i]))) {
            json_decref(steps);
            steps = NULL;
        }
    }
    return json_pack("{s:o, s:s, s:o, s:o, s:I, s:o, s:b, s:o}", "entry",
                     text_id_to_json(&entry->entry_id), "operation",
                     journal_operation_name(entry->operation), "object",
                     text_id_to_json(&entry->object_id), "opened", text_time_to_json(entry->opened),
                     "pid", (json_int_t)entry->pid, "description", text_to_json(entry->description),
                     "destination_invalid", entry->destination_invalid, "steps", steps);
}

static int print_json(const struct cli *cli, const struct journal_entry *entries, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++) {
        if (json_array_append_new(list, entry_json(&entries[i]))) {
            json_decref(list);
            list = NULL;
        }
    }
    return cli_print_json(cli, list);
}

static void print_step(const struct journal_step *step)
{
    char when[CLOCK_TEXT_BYTES];
    (void)printf("    %s  ", clock_text(step->when, when));
    text_put(stdout, step->name);
    if (step->lun_key) {
        (void)fputs("  ", stdout);
        text_put(stdout, step->lun_key);
    }
    if (step->data_bytes > 0) {
        (void)printf("  (%zu bytes kept)", step->data_bytes);
    }
    (void)fputc('\n', stdout);
}

static void print_entry(const struct journal_entry *entry)
{
    char id[ID_TEXT_BYTES];
    char when[CLOCK_TEXT_BYTES];
    (void)printf("%s of %s\n", journal_operation_name(entry->operation),
                 id_text(&entry->object_id, id));
    (void)printf("  entry %s, begun %s by process %" PRId64 ", which is gone\n  ",
                 id_text(&entry->entry_id, id), clock_text(entry->opened, when), entry->pid);
    text_put(stdout, entry->description);
    (void)fputc('\n', stdout);
    if (entry->destination_invalid) {
        (void)puts("  DO NOT USE the LUNs named below: they are half-written. The same resync, run "
                   "again,\n"
                   "  makes them whole.");
    }
    for (size_t i = 0; i < entry->step_count; i++) {
        print_step(&entry->steps[i]);
    }
}

static int print_list(const struct cli *cli, const struct journal_entry *entries, size_t count)
{
    if (cli->json) {
        return print_json(cli, entries, count);
    }
    for (size_t i = 0; i < count; i++) {
        print_entry(&entries[i]);
    }
    if (count == 0) {
        (void)puts("No operation was left unfinished.");
    }
    return CLI_OK;
}

static int list(struct cli *cli)
{
    struct store *store = NULL;
    struct journal_entry *entries = NULL;
    size_t count = 0;
    struct error err = {0};
    HRESULT hr = store_open(cli->state_directory, &store, &err);
    if (SUCCEEDED(hr)) {
        hr = journal_load_open(store, true, &entries, &count, &err);
    }
    int exit_code = SUCCEEDED(hr) ? print_list(cli, entries, count) : cli_fail(cli, &err);
    journal_free_all(entries, count);
    store_close(store);
    return exit_code;
}

/* Is this one of the entries that the command line names, or does it name none? */
static bool is_wanted(const struct cli *cli, const struct journal_entry *entry)
{
    VSS_ID id;
    for (int i = 0; i < cli->argument_count; i++) {
        if (id_parse(cli->arguments[i], &id) && id_equal(&id, &entry->entry_id)) {
            return true;
        }
    }
    return cli->argument_count == 0;
}

static HRESULT roll_back(struct set_environment *env, const struct journal_entry *entry,
                         struct error *err)
{
    char id[ID_TEXT_BYTES];
    HRESULT hr = entry->operation == JOURNAL_RESYNC ? recovery_rollback(env, entry, err)
                                                    : set_rollback(env, entry, err);
    if (FAILED(hr)) {
        error_prefix(err, "entry %s (%s)", id_text(&entry->entry_id, id),
                     journal_operation_name(entry->operation));
    }
    return hr;
}

/* One that cannot be taken back does not keep the others from it. */
static int roll_back_all(struct cli *cli, struct set_environment *env,
                         const struct journal_entry *entries, size_t count)
{
    int done = 0;
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        struct error err = {0};
        if (!is_wanted(cli, &entries[i])) {
            continue;
        }
        if (FAILED(roll_back(env, &entries[i], &err))) {
            cli_warn(cli, &err);
            failed++;
        } else {
            done++;
        }
    }
    int exit_code = failed == 0 ? CLI_OK : done ? CLI_PARTIAL : CLI_FAILED;
    if (!cli->json) {
        (void)printf("Took back %d, left %d.\n", done, failed);
        return exit_code;
    }
    int printed = cli_print_json(cli, json_pack("{s:i, s:i}", "taken_back", done, "left", failed));
    return printed == CLI_OK ? exit_code : printed;
}

static int rollback(struct cli *cli)
{
    struct set_environment *env = NULL;
    struct journal_entry *entries = NULL;
    size_t count = 0;
    struct error err = {0};
    VSS_ID id;
    for (int i = 0; i < cli->argument_count; i++) {
        if (!id_parse(cli->arguments[i], &id)) {
            return cli_misuse(cli, "%s is not an id: see --list", cli->arguments[i]);
        }
    }
    HRESULT hr = set_environment_open(cli->config_path, cli->state_directory, &env, &err);
    if (SUCCEEDED(hr)) {
        hr = journal_load_open(env->store, true, &entries, &count, &err);
    }
    int exit_code = SUCCEEDED(hr) ? roll_back_all(cli, env, entries, count) : cli_fail(cli, &err);
    journal_free_all(entries, count);
    set_environment_close(env);
    return exit_code;
}

static int run(struct cli *cli)
{
    bool is_rollback = cli_has(cli, "rollback");
    if (is_rollback == cli_has(cli, "list")) {
        return cli_misuse(cli, "say what to do: --list or --rollback");
    }
    if (!is_rollback && cli->argument_count) {
        return cli_misuse(cli, "--list takes no arguments");
    }
    return is_rollback ? rollback(cli) : list(cli);
}

static const struct cli_option options[] = {
    {"list", 'l', NULL, "print them"},
    {"rollback", 0, NULL, "take back those named, or all"},
};

const struct cli_command command_recover = {
    .name = "recover",
    .summary = "what a process that died left unfinished",
    .arguments = "[ENTRY...]",
    .help =
        "Names every operation whose process is gone before it ended: what it was doing, to which\n"
        "LUNs, how far it had come. While there is one, lunshadow starts nothing that writes, but\n"
        "for the same resync again, which makes half-written destinations whole.\n\n"
        "Rollback takes back a half-made set (its copies are deleted) and the fence of a resync\n"
        "that had not yet written. An import, a break or a delete can be repeated as it is.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 0,
    .max_arguments = -1,
    .run = run,
};
