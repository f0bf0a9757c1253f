/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/writer_view.h"

#include <stdio.h>

/* A session that has asked the writers who they are; it tells them nothing else. */
static HRESULT open_with_writers(const struct cli *cli, struct vss_backup_components **out,
                                 struct error *err)
{
    struct vss_async *async = NULL;
    HRESULT hr = session_open(cli, out, err);
    if (SUCCEEDED(hr)) {
        hr = session_check(*out, vss_backup_components_initialize_for_backup(*out, NULL), err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    hr = vss_backup_components_gather_writer_metadata(*out, &async);
    return session_wait(*out, hr, async, "asking the writers", err);
}

static json_t *row_json(const struct writer_row *row)
{
    char failure[TEXT_CODE_BYTES];
    char application[TEXT_CODE_BYTES];
    return json_pack(
        "{s:o, s:o, s:o, s:s, s:s, s:s, s:o}", "name", text_to_json(row->name), "class",
        text_id_to_json(&row->class_id), "instance", text_id_to_json(&row->instance_id), "state",
        writer_state_name(row->state), "failure", text_code(row->failure, failure), "application",
        text_code(row->application, application), "message", text_to_json(row->message));
}

static int print_json(const struct cli *cli, const struct writer_rows *rows)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < rows->count; i++) {
        if (json_array_append_new(list, row_json(&rows->items[i]))) {
            json_decref(list);
            list = NULL;
        }
    }
    return cli_print_json(cli, list);
}

static HRESULT print_table(const struct writer_rows *rows)
{
    static const struct table_column columns[] = {{"NAME", false}, {"STATE", false}};
    struct table table = {.columns = columns, .column_count = 2};
    for (size_t i = 0; i < rows->count; i++) {
        const struct writer_row *row = &rows->items[i];
        char class[ID_TEXT_BYTES];
        char instance[ID_TEXT_BYTES];
        table_add(&table, row->name);
        table_add(&table, writer_state_name(row->state));
        if (!id_is_null(&row->instance_id)) {
            table_note(&table, "class %s, instance %s", id_text(&row->class_id, class),
                       id_text(&row->instance_id, instance));
        }
        if (row->message && *row->message != '\0') {
            char code[TEXT_CODE_BYTES];
            table_note(&table, "%s (%s)", row->message, text_code(row->failure, code));
        }
    }
    HRESULT hr = table_print(&table, stdout, 0, 4);
    table_free(&table);
    return hr;
}

static bool has_failed(const struct writer_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (FAILED(rows->items[i].failure)) {
            return true;
        }
    }
    return false;
}

static int run(struct cli *cli)
{
    struct vss_backup_components *session = NULL;
    struct writer_rows rows = {0};
    struct error err = {0};
    int exit_code = CLI_OK;
    HRESULT hr = open_with_writers(cli, &session, &err);
    if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
        goto out;
    }
    hr = writer_rows_gather(session, &rows, &err);
    if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
        goto out;
    }
    if (cli->json) {
        exit_code = print_json(cli, &rows);
    } else {
        exit_code = SUCCEEDED(print_table(&rows)) ? CLI_OK : CLI_FAILED;
    }
    if (exit_code == CLI_OK && has_failed(&rows)) {
        exit_code = CLI_PARTIAL;
    }
out:
    writer_rows_free(&rows);
    vss_backup_components_release(session);
    return exit_code;
}

const struct cli_command command_writers = {
    .name = "writers",
    .summary = "the applications that make themselves consistent for a copy",
    .arguments = "",
    .help =
        "Starts the writers of writers.d, asks each who it is, prints that and how it stands, and\n"
        "ends them again; nothing is frozen. One that fails is told why, and makes the exit code "
        "3.",
    .options = NULL,
    .option_count = 0,
    .min_arguments = 0,
    .max_arguments = 0,
    .run = run,
};
