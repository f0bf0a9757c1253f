/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/events.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>

static const char *level_name(int32_t level)
{
    static const char *const names[] = {"error", "warning", "info", "debug", "trace"};
    return level >= LOG_ERROR && level <= LOG_TRACE ? names[level] : "unknown";
}

static json_t *event_json(const struct event_record *event)
{
    char code[TEXT_CODE_BYTES];
    return json_pack("{s:o, s:s, s:s, s:o, s:o}", "when", text_time_to_json(event->when), "level",
                     level_name(event->level), "code", text_code(event->code, code), "object",
                     id_is_null(&event->object_id) ? json_null()
                                                   : text_id_to_json(&event->object_id),
                     "text", text_to_json(event->text));
}

static int print_json(const struct cli *cli, const struct event_record *events, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++) {
        if (json_array_append_new(list, event_json(&events[i]))) {
            json_decref(list);
            list = NULL;
        }
    }
    return cli_print_json(cli, list);
}

static HRESULT print_table(const struct event_record *events, size_t count)
{
    static const struct table_column columns[] = {
        {"WHEN", false}, {"LEVEL", false}, {"CODE", false}};
    struct table table = {.columns = columns, .column_count = 3};
    for (size_t i = 0; i < count; i++) {
        char text[CLOCK_TEXT_BYTES > TEXT_CODE_BYTES ? CLOCK_TEXT_BYTES : TEXT_CODE_BYTES];
        char id[ID_TEXT_BYTES];
        table_add(&table, clock_text(events[i].when, text));
        table_add(&table, level_name(events[i].level));
        table_add(&table, text_code(events[i].code, text));
        if (!id_is_null(&events[i].object_id)) {
            table_note(&table, "of %s", id_text(&events[i].object_id, id));
        }
        table_note(&table, "%s", events[i].text ? events[i].text : "-");
    }
    HRESULT hr = table_print(&table, stdout, 0, 4);
    table_free(&table);
    return hr;
}

static int run(struct cli *cli)
{
    unsigned long limit = 0;
    if (!cli_number(cli, "limit", 1, 10000, 20, &limit)) {
        return CLI_UNUSABLE;
    }
    struct store *store = NULL;
    struct event_record *events = NULL;
    size_t count = 0;
    struct error err = {0};
    int exit_code = CLI_OK;
    HRESULT hr = store_open(cli->state_directory, &store, &err);
    if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
        goto out;
    }
    hr = events_load(store, limit, &events, &count, &err);
    if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
        goto out;
    }
    if (cli->json) {
        exit_code = print_json(cli, events, count);
    } else {
        exit_code = SUCCEEDED(print_table(events, count)) ? CLI_OK : CLI_FAILED;
    }
out:
    events_free_all(events, count);
    store_close(store);
    return exit_code;
}

static const struct cli_option options[] = {
    {"limit", 'n', "N", "the newest N events (1 to 10000; 20)"},
};

const struct cli_command command_events = {
    .name = "events",
    .summary = "what went wrong lately: vetoes, time-outs, plug-ins that do not load",
    .arguments = "",
    .help = "Prints the newest events of the registry, newest first.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 0,
    .max_arguments = 0,
    .run = run,
};
