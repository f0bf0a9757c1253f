/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/recover.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/text.h"
#include "common/clock.h"
#include "common/id.h"
#include "provider/set/environment.h"
#include "registry/set_marks.h"
#include "resync/recovery.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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
    return json_pack("{s:o, s:s, s:o, s:o, s:I, s:o, s:b, s:o, s:o, s:o}", "entry",
                     text_id_to_json(&entry->entry_id), "operation",
                     journal_operation_name(entry->operation), "object",
                     text_id_to_json(&entry->object_id), "opened", text_time_to_json(entry->opened),
                     "pid", (json_int_t)entry->pid, "description", text_to_json(entry->description),
                     "destination_invalid", entry->destination_invalid, "no_resume",
                     text_to_json(recover_refusal(entry, RECOVER_RESUME)), "no_rollback",
                     text_to_json(recover_refusal(entry, RECOVER_ROLLBACK)), "steps", steps);
}

/* All that dead processes left. */
struct leftovers {
    struct journal_entry *entries;
    size_t entry_count;
    VSS_ID *sets; /* auto-release ones */
    size_t set_count;
    struct safety_copy *copies;
    size_t copy_count;
};

static HRESULT load(struct store *store, const struct config *config, struct leftovers *out,
                    struct error *err)
{
    *out = (struct leftovers){0};
    HRESULT hr = journal_load_open(store, true, &out->entries, &out->entry_count, err);
    if (SUCCEEDED(hr)) {
        hr = set_marks_load_abandoned(store, &out->sets, &out->set_count, err);
    }
    return SUCCEEDED(hr) ? undo_list(store, config, &out->copies, &out->copy_count, err) : hr;
}

static void leftovers_free(struct leftovers *left)
{
    journal_free_all(left->entries, left->entry_count);
    free(left->sets);
    free(left->copies);
}

static json_t *copy_json(const struct safety_copy *copy)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I}", "resync", text_id_to_json(&copy->resync_id),
                     "set", text_id_to_json(&copy->set_id), "taken", text_time_to_json(copy->taken),
                     "expires", copy->expires ? text_time_to_json(copy->expires) : json_null(),
                     "luns", (json_int_t)copy->lun_count, "bytes", (json_int_t)copy->bytes);
}

static int print_json(const struct cli *cli, const struct leftovers *left)
{
    json_t *entries = json_array();
    json_t *sets = json_array();
    json_t *copies = json_array();
    int status = 0;
    for (size_t i = 0; i < left->entry_count; i++) {
        status |= json_array_append_new(entries, entry_json(&left->entries[i]));
    }
    for (size_t i = 0; i < left->set_count; i++) {
        status |= json_array_append_new(sets, text_id_to_json(&left->sets[i]));
    }
    for (size_t i = 0; i < left->copy_count; i++) {
        status |= json_array_append_new(copies, copy_json(&left->copies[i]));
    }
    json_t *list = json_pack("{s:o, s:o, s:o}", "entries", entries, "abandoned_sets", sets,
                             "safety_copies", copies);
    if (status) {
        json_decref(list);
        list = NULL;
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

static void print_way(const struct journal_entry *entry, enum recover_way way)
{
    const char *name = way == RECOVER_RESUME ? "--resume" : "--rollback";
    const char *does = way == RECOVER_RESUME ? "finishes it" : "takes it back";
    const char *refusal = recover_refusal(entry, way);
    (void)printf("  %-10s  %s%s\n", name, refusal ? "not possible: " : does,
                 refusal ? refusal : "");
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
        (void)puts("  DO NOT USE the LUNs named below: they are half-written.");
    }
    print_way(entry, RECOVER_RESUME);
    print_way(entry, RECOVER_ROLLBACK);
    for (size_t i = 0; i < entry->step_count; i++) {
        print_step(&entry->steps[i]);
    }
}

static void print_set(const VSS_ID *set_id)
{
    char id[ID_TEXT_BYTES];
    (void)printf("auto-release set %s\n  its session is gone, so nobody needs its copies any more\n"
                 "  --rollback  deletes them\n",
                 id_text(set_id, id));
}

static void print_copy(const struct safety_copy *copy)
{
    char id[ID_TEXT_BYTES];
    char when[CLOCK_TEXT_BYTES];
    char size[TEXT_SIZE_BYTES];
    (void)printf("safety copy of what resync %s overwrote\n", id_text(&copy->resync_id, id));
    (void)printf("  set %s, %zu LUNs, %s, taken %s", id_text(&copy->set_id, id), copy->lun_count,
                 text_size(copy->bytes, size), clock_text(copy->taken, when));
    (void)printf(copy->expires ? ", kept until %s\n" : "%s\n",
                 copy->expires ? clock_text(copy->expires, when) : "");
    (void)puts("  --undo      puts it back\n  --discard   deletes it");
}

static int print_list(const struct cli *cli, const struct leftovers *left)
{
    if (cli->json) {
        return print_json(cli, left);
    }
    for (size_t i = 0; i < left->entry_count; i++) {
        print_entry(&left->entries[i]);
    }
    for (size_t i = 0; i < left->set_count; i++) {
        print_set(&left->sets[i]);
    }
    for (size_t i = 0; i < left->copy_count; i++) {
        print_copy(&left->copies[i]);
    }
    if (left->entry_count + left->set_count == 0) {
        (void)puts("No operation was left unfinished.");
    }
    return CLI_OK;
}

static int list(struct cli *cli)
{
    struct store *store = NULL;
    struct config *config = NULL;
    struct leftovers left = {0};
    struct error err = {0};
    HRESULT hr = config_load(cli->config_path, &config, &err);
    if (SUCCEEDED(hr)) {
        hr = store_open(cli->state_directory, &store, &err);
    }
    if (SUCCEEDED(hr)) {
        hr = load(store, config, &left, &err);
    }
    int exit_code = SUCCEEDED(hr) ? print_list(cli, &left) : cli_fail(cli, &err);
    leftovers_free(&left);
    store_close(store);
    config_free(config);
    return exit_code;
}

/* ---- what changes something ------------------------------------------------------------------ */

/* An environment whose running operation a signal cancels. */
static HRESULT open_environment(const struct cli *cli, struct set_environment **out,
                                struct error *err)
{
    HRESULT hr = set_environment_open(cli->config_path, cli->state_directory, out, err);
    if (SUCCEEDED(hr)) {
        interrupt_install();
        interrupt_cancels(&(*out)->cancelled);
    }
    return hr;
}

static void close_environment(struct set_environment *env)
{
    interrupt_cancels(NULL);
    set_environment_close(env);
}

/* ---- dealing with them ----------------------------------------------------------------------- */

struct tally {
    int done;
    int failed;
};

/* Is this what the command line names, or does it name nothing? */
static bool is_wanted(const struct cli *cli, const VSS_ID *one, const VSS_ID *other)
{
    VSS_ID id;
    for (int i = 0; i < cli->argument_count; i++) {
        if (id_parse(cli->arguments[i], &id) && (id_equal(&id, one) || id_equal(&id, other))) {
            return true;
        }
    }
    return cli->argument_count == 0;
}

/* Several entries about the same destinations end together. */
static bool is_open(struct set_environment *env, const VSS_ID *entry_id)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    bool found = FAILED(journal_load_open(env->store, true, &entries, &count, NULL));
    for (size_t i = 0; i < count; i++) {
        found = found || id_equal(&entries[i].entry_id, entry_id);
    }
    journal_free_all(entries, count);
    return found;
}

static void count_result(struct cli *cli, HRESULT hr, const char *what, const VSS_ID *id,
                         struct error *err, struct tally *tally)
{
    char text[ID_TEXT_BYTES];
    tally->done += SUCCEEDED(hr);
    tally->failed += FAILED(hr);
    if (FAILED(hr)) {
        error_prefix(err, "%s %s", what, id_text(id, text));
        cli_warn(cli, err);
    }
}

/* What is done about entries: one of the two ways, or nothing. */
enum action { ACTION_RESUME, ACTION_ROLLBACK, ACTION_FORGET };

/* Between two of them a signal ends it; what one is in the middle of may look at env->cancelled. */
static HRESULT check_not_cancelled(struct error *err)
{
    return interrupt_was_asked() ? error_set(err, E_ABORT, "cancelled before it began") : S_OK;
}

static HRESULT act_on(struct set_environment *env, const VSS_ID *entry_id, enum action action,
                      struct error *err)
{
    HRESULT hr = check_not_cancelled(err);
    if (FAILED(hr)) {
        return hr;
    }
    if (action == ACTION_FORGET) {
        return recover_forget(env, entry_id, err);
    }
    return recover_entry(env, entry_id, action == ACTION_RESUME ? RECOVER_RESUME : RECOVER_ROLLBACK,
                         err);
}

static void deal_with_entries(struct cli *cli, struct set_environment *env,
                              const struct leftovers *left, enum action action, struct tally *tally)
{
    for (size_t i = 0; i < left->entry_count; i++) {
        const struct journal_entry *entry = &left->entries[i];
        struct error err = {0};
        if (is_wanted(cli, &entry->entry_id, &entry->object_id) && is_open(env, &entry->entry_id)) {
            HRESULT hr = act_on(env, &entry->entry_id, action, &err);
            count_result(cli, hr, journal_operation_name(entry->operation), &entry->entry_id, &err,
                         tally);
        }
    }
}

static void delete_sets(struct cli *cli, struct set_environment *env, const struct leftovers *left,
                        struct tally *tally)
{
    for (size_t i = 0; i < left->set_count; i++) {
        struct error err = {0};
        if (is_wanted(cli, &left->sets[i], &left->sets[i])) {
            HRESULT hr = check_not_cancelled(&err);
            hr = SUCCEEDED(hr) ? recover_abandoned(env, &left->sets[i], &err) : hr;
            count_result(cli, hr, "set", &left->sets[i], &err, tally);
        }
    }
}

static bool is_known(const struct leftovers *left, const VSS_ID *id)
{
    bool found = false;
    for (size_t i = 0; i < left->entry_count; i++) {
        found = found || id_equal(&left->entries[i].entry_id, id) ||
                id_equal(&left->entries[i].object_id, id);
    }
    for (size_t i = 0; i < left->set_count; i++) {
        found = found || id_equal(&left->sets[i], id);
    }
    return found;
}

static bool check_arguments(const struct cli *cli, const struct leftovers *left)
{
    for (int i = 0; i < cli->argument_count; i++) {
        VSS_ID id;
        if (!id_parse(cli->arguments[i], &id)) {
            (void)cli_misuse(cli, "%s is not an id: see --list", cli->arguments[i]);
            return false;
        }
        if (!is_known(left, &id)) {
            (void)cli_misuse(cli, "nothing unfinished is called %s: see --list", cli->arguments[i]);
            return false;
        }
    }
    return true;
}

static int print_tally(const struct cli *cli, enum action action, const struct tally *tally)
{
    static const char *const words[] = {"Finished", "Took back", "Forgot"};
    static const char *const keys[] = {"finished", "taken_back", "forgotten"};
    int exit_code = tally->failed == 0 ? CLI_OK : tally->done ? CLI_PARTIAL : CLI_FAILED;
    if (!cli->json) {
        (void)printf("%s %d, left %d.\n", words[action], tally->done, tally->failed);
        return exit_code;
    }
    int printed = cli_print_json(
        cli, json_pack("{s:i, s:i}", keys[action], tally->done, "left", tally->failed));
    return printed == CLI_OK ? exit_code : printed;
}

/* One that cannot be dealt with does not keep the others from it. Copies come last: while an entry
 * is open, nothing is deleted. */
static int deal_with(struct cli *cli, enum action action)
{
    struct set_environment *env = NULL;
    struct leftovers left = {0};
    struct tally tally = {0};
    struct error err = {0};
    int exit_code = CLI_UNUSABLE;
    HRESULT hr = open_environment(cli, &env, &err);
    if (SUCCEEDED(hr)) {
        hr = load(env->store, env->config, &left, &err);
    }
    if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
    } else if (check_arguments(cli, &left)) {
        deal_with_entries(cli, env, &left, action, &tally);
        if (action == ACTION_ROLLBACK) {
            delete_sets(cli, env, &left, &tally);
        }
        exit_code = print_tally(cli, action, &tally);
    }
    leftovers_free(&left);
    close_environment(env);
    return exit_code;
}

/* ---- safety copies --------------------------------------------------------------------------- */

static int say(const struct cli *cli, const char *word, const char *key, int number)
{
    if (cli->json) {
        return cli_print_json(cli, json_pack("{s:i}", key, number));
    }
    (void)printf("%s %d.\n", word, number);
    return CLI_OK;
}

static int undo(struct cli *cli, struct set_environment *env, const VSS_ID *id)
{
    struct error err = {0};
    return FAILED(undo_run(env, id, &err)) ? cli_fail(cli, &err)
                                           : say(cli, "Put back", "put_back", 1);
}

/* Those named, or all whose time is over. */
static int discard(struct cli *cli, struct set_environment *env)
{
    int32_t deleted = 0;
    struct error err = {0};
    HRESULT hr = cli->argument_count ? S_OK : undo_expire(env, &deleted, &err);
    for (int i = 0; SUCCEEDED(hr) && i < cli->argument_count; i++) {
        VSS_ID id;
        (void)id_parse(cli->arguments[i], &id);
        hr = check_not_cancelled(&err);
        error_prefix(&err, "%s", cli->arguments[i]);
        hr = SUCCEEDED(hr) ? undo_discard(env, &id, &err) : hr;
        deleted += SUCCEEDED(hr);
    }
    int exit_code = FAILED(hr) ? cli_fail(cli, &err) : CLI_OK;
    exit_code = FAILED(hr) && deleted > 0 ? CLI_PARTIAL : exit_code;
    int said = say(cli, "Deleted", "deleted", deleted);
    return exit_code == CLI_OK ? said : exit_code;
}

static int deal_with_copies(struct cli *cli, bool is_undo)
{
    struct set_environment *env = NULL;
    struct error err = {0};
    VSS_ID id = id_null;
    for (int i = 0; i < cli->argument_count; i++) {
        if (!id_parse(cli->arguments[i], &id)) {
            return cli_misuse(cli, "%s is not an id: see --list", cli->arguments[i]);
        }
    }
    if (is_undo && cli->argument_count != 1) {
        return cli_misuse(cli, "--undo takes the id of one resync: see --list");
    }
    HRESULT hr = open_environment(cli, &env, &err);
    int exit_code = FAILED(hr) ? cli_fail(cli, &err)
                    : is_undo  ? undo(cli, env, &id)
                               : discard(cli, env);
    close_environment(env);
    return exit_code;
}

static int run(struct cli *cli)
{
    static const char *const actions[] = {"list",   "resume", "rollback",
                                          "forget", "undo",   "discard"};
    int given = 0;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        given += cli_has(cli, actions[i]);
    }
    if (given != 1) {
        return cli_misuse(cli, "say what to do: --list, --resume, --rollback, --forget, --undo or "
                               "--discard");
    }
    if (cli_has(cli, "list")) {
        return cli->argument_count ? cli_misuse(cli, "--list takes no arguments") : list(cli);
    }
    if (cli_has(cli, "undo") || cli_has(cli, "discard")) {
        return deal_with_copies(cli, cli_has(cli, "undo"));
    }
    if (cli_has(cli, "forget") && cli->argument_count == 0) {
        return cli_misuse(cli, "--forget takes the ids of what is to be forgotten: see --list");
    }
    return deal_with(cli, cli_has(cli, "resume")     ? ACTION_RESUME
                          : cli_has(cli, "rollback") ? ACTION_ROLLBACK
                                                     : ACTION_FORGET);
}

static const struct cli_option options[] = {
    {"list", 'l', NULL, "print them, and what can be done about each"},
    {"resume", 0, NULL, "finish those named, or all"},
    {"rollback", 0, NULL, "take back those named, or all"},
    {"forget", 0, NULL, "forget those named; what they left stays as it is"},
    {"undo", 0, NULL, "put back what the resync named overwrote"},
    {"discard", 0, NULL, "delete the safety copies named, or all whose time is over"},
};

const struct cli_command command_recover = {
    .name = "recover",
    .summary = "what a process that died left unfinished",
    .arguments = "[ID...]",
    .help =
        "Names every operation whose process was gone before it ended: what it was doing, to "
        "which\n"
        "LUNs, how far it had come, and whether it can be finished, taken back, or both. While "
        "there\n"
        "is one, lunshadow starts nothing that writes, but for the same resync again, which makes\n"
        "half-written destinations whole. Copies that should have ended with a session that is "
        "gone\n"
        "are named too; --rollback deletes them.\n\n"
        "Safety copies of what resyncs overwrote are listed too: --undo puts one back, byte for "
        "byte,\n"
        "and leaves it where it is; --discard deletes it.\n\n"
        "An ID is that of an entry, or of the set or resync that it is about.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 0,
    .max_arguments = -1,
    .run = run,
};
