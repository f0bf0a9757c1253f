/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/providers.h"

#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "common/buffer.h"
#include "provider/host/host.h"
#include "registry/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The newest events are searched for why a plug-in was left out; each try to load it adds one. */
#define EVENTS_SEARCHED 256

struct view {
    struct config *config;
    struct store *store;
    struct providers *providers;
    struct event_record *events;
    size_t event_count;
};

static HRESULT open_view(const struct cli *cli, struct view *view, struct error *err)
{
    HRESULT hr = config_load(cli->config_path, &view->config, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = store_open(cli->state_directory, &view->store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = providers_open(view->config, view->store, &view->providers, err);
    if (FAILED(hr)) {
        return hr;
    }
    return events_load(view->store, EVENTS_SEARCHED, &view->events, &view->event_count, err);
}

static void close_view(struct view *view)
{
    events_free_all(view->events, view->event_count);
    providers_close(view->providers);
    store_close(view->store);
    config_free(view->config);
}

/* Why the array's plug-in is not used, from the event that the attempt left. */
static const char *reason_of(const struct view *view, const char *array)
{
    char *start = text_printf("array %s is not usable", array);
    const char *reason = "see lunshadow events";
    for (size_t i = 0; start && i < view->event_count; i++) {
        const char *text = view->events[i].text;
        if (text && strncmp(text, start, strlen(start)) == 0) {
            reason = text;
            break;
        }
    }
    free(start);
    return reason;
}

static const char *capability_name(uint32_t capability)
{
    static const char *const names[] = {"no", "emulated", "native"};
    return capability <= VSS_CAPABILITY_NATIVE ? names[capability] : "unknown";
}

struct capability {
    const char *name;
    uint32_t value;
};

#define CAPABILITY_COUNT 7

static void list_capabilities(const struct vss_capabilities_out *c,
                              struct capability out[CAPABILITY_COUNT])
{
    const struct capability list[CAPABILITY_COUNT] = {
        {"differential", c->differential},
        {"plex", c->plex},
        {"resync", c->resync},
        {"mask", c->mask},
        {"read-only", c->read_only},
        {"consistent-set", c->consistent_set},
        {"resize", c->resize},
    };
    memcpy(out, list, sizeof(list));
}

static json_t *capabilities_json(const struct vss_capabilities_out *capabilities)
{
    struct capability list[CAPABILITY_COUNT];
    json_t *json = json_object();
    list_capabilities(capabilities, list);
    for (size_t i = 0; json && i < CAPABILITY_COUNT; i++) {
        if (json_object_set_new(json, list[i].name, json_string(capability_name(list[i].value)))) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

static json_t *array_json(const struct view *view, const char *array)
{
    struct provider *provider = providers_find(view->providers, array);
    if (!provider) {
        return json_pack("{s:o, s:b, s:o}", "array", text_to_json(array), "usable", 0, "reason",
                         text_to_json(reason_of(view, array)));
    }
    const struct vss_provider_table *table = provider_table(provider);
    const struct vss_capabilities_out *capabilities = provider_capabilities(provider);
    return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "array",
                     text_to_json(array), "usable", 1, "name", text_to_json(table->name), "version",
                     text_to_json(table->version), "provider", text_id_to_json(&table->provider_id),
                     "version_id", text_id_to_json(&table->version_id), "path",
                     text_to_json(provider_path(provider)), "description",
                     text_to_json(capabilities->description), "capabilities",
                     capabilities_json(capabilities), "max_snapshots_per_lun",
                     (json_int_t)capabilities->max_snapshots_per_lun);
}

static void note_capabilities(struct table *table, const struct vss_capabilities_out *capabilities)
{
    struct capability list[CAPABILITY_COUNT];
    struct buffer text = BUFFER_INIT;
    list_capabilities(capabilities, list);
    for (size_t i = 0; i < CAPABILITY_COUNT; i++) {
        buffer_printf(&text, "%s%s %s", i ? ", " : "", list[i].name,
                      capability_name(list[i].value));
    }
    table_note(table, "%s", text.data ? text.data : "-");
    buffer_free(&text);
}

static void add_row(const struct view *view, const char *array, struct table *table)
{
    struct provider *provider = providers_find(view->providers, array);
    char id[ID_TEXT_BYTES];
    table_add(table, array);
    if (!provider) {
        table_add(table, "not usable");
        table_add(table, NULL);
        table_add(table, NULL);
        table_note(table, "%s", reason_of(view, array));
        return;
    }
    const struct vss_provider_table *entry = provider_table(provider);
    const struct vss_capabilities_out *capabilities = provider_capabilities(provider);
    table_add(table, entry->name);
    table_add(table, entry->version);
    table_add(table, id_text(&entry->provider_id, id));
    if (capabilities->description && *capabilities->description) {
        table_note(table, "%s", capabilities->description);
    }
    note_capabilities(table, capabilities);
    table_note(table, "%s", provider_path(provider));
}

static int print_view(const struct cli *cli, const struct view *view, const char *only)
{
    static const struct table_column columns[] = {
        {"ARRAY", false}, {"PROVIDER", false}, {"VERSION", false}, {"ID", false}};
    struct table table = {.columns = columns, .column_count = 4};
    json_t *list = cli->json ? json_array() : NULL;
    size_t arrays = 0;
    for (size_t i = 0; i < view->config->section_count; i++) {
        const struct config_section *section = &view->config->sections[i];
        if (strcmp(section->kind, "array") != 0 || (only && strcmp(section->name, only) != 0)) {
            continue;
        }
        arrays++;
        if (!cli->json) {
            add_row(view, section->name, &table);
        } else if (list && json_array_append_new(list, array_json(view, section->name))) {
            json_decref(list);
            list = NULL;
        }
    }
    if (cli->json) {
        return cli_print_json(cli, list);
    }
    HRESULT hr = table_print(&table, stdout, 0, 4);
    table_free(&table);
    if (arrays == 0) {
        (void)puts("The configuration has no [array NAME] section.");
    }
    return SUCCEEDED(hr) ? CLI_OK : CLI_FAILED;
}

int providers_print(struct cli *cli, const char *only)
{
    struct view view = {0};
    struct error err = {0};
    HRESULT hr = open_view(cli, &view, &err);
    if (SUCCEEDED(hr) && only && !config_find(view.config, "array", only)) {
        hr = error_set(&err, VSS_E_PROVIDER_NOT_REGISTERED,
                       "the configuration has no [array %s] section", only);
    }
    int exit_code = SUCCEEDED(hr) ? print_view(cli, &view, only) : cli_fail(cli, &err);
    close_view(&view);
    return exit_code;
}

static int run(struct cli *cli)
{
    return providers_print(cli, NULL);
}

const struct cli_command command_providers = {
    .name = "providers",
    .summary = "the arrays of the configuration and what their plug-ins can do",
    .arguments = "",
    .help =
        "Loads the plug-in of every [array NAME] section and prints what it says of itself; for\n"
        "one that cannot be used, why.",
    .min_arguments = 0,
    .max_arguments = 0,
    .run = run,
};
