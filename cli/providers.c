/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/providers.h"

#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "provider/host/host.h"
#include "provider/shims/stack.h"
#include "registry/events.h"
#include "registry/providers.h"

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
    struct provider_record *known;
    size_t known_count;
};

/* Which rows to print: one array's, those of one provider, or all (name NULL). */
struct choice {
    const char *name;
    bool is_id;
    VSS_ID id;
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
    hr = providers_load_all(view->store, &view->known, &view->known_count, err);
    if (FAILED(hr)) {
        return hr;
    }
    return events_load(view->store, EVENTS_SEARCHED, &view->events, &view->event_count, err);
}

static void close_view(struct view *view)
{
    events_free_all(view->events, view->event_count);
    providers_free_all(view->known, view->known_count);
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

/* NULL where the provider is not registered. */
static const struct provider_record *find_registered(const struct view *view, const VSS_ID *id)
{
    for (size_t i = 0; i < view->known_count; i++) {
        if (view->known[i].registered && id_equal(&view->known[i].provider_id, id)) {
            return &view->known[i];
        }
    }
    return NULL;
}

static json_t *registered_json(const struct provider_record *registered)
{
    char abi[32];
    if (!registered) {
        return json_null();
    }
    (void)snprintf(abi, sizeof(abi), "%u.%u", registered->abi_major, registered->abi_minor);
    return json_pack("{s:o, s:I, s:s, s:o}", "when", text_time_to_json(registered->registered),
                     "rank", (json_int_t)registered->rank, "abi", abi, "path",
                     text_to_json(registered->path));
}

static void note_registered(struct table *table, const struct provider_record *registered,
                            const char *more)
{
    char when[CLOCK_TEXT_BYTES];
    table_note(table, "registered %s, rank %lld, ABI %u.%u%s",
               clock_text(registered->registered, when), (long long)registered->rank,
               registered->abi_major, registered->abi_minor, more);
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

/* "trace/fault" of "provider = trace/fault/tgt", malloc'ed; NULL where no shim stands there. */
static char *shims_of(const struct view *view, const char *array)
{
    const struct config_section *section = config_find(view->config, "array", array);
    const char *value = section ? config_value(section, "provider", "") : "";
    size_t length = (size_t)(shims_rest(value) - value);
    return length ? strndup(value, length - 1) : NULL;
}

static json_t *shims_json(const struct view *view, const char *array)
{
    char *shims = shims_of(view, array);
    json_t *json = text_to_json(shims);
    free(shims);
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
    return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "array",
                     text_to_json(array), "usable", 1, "name", text_to_json(table->name), "version",
                     text_to_json(table->version), "provider", text_id_to_json(&table->provider_id),
                     "version_id", text_id_to_json(&table->version_id), "path",
                     text_to_json(provider_path(provider)), "description",
                     text_to_json(capabilities->description), "capabilities",
                     capabilities_json(capabilities), "max_snapshots_per_lun",
                     (json_int_t)capabilities->max_snapshots_per_lun, "registered",
                     registered_json(find_registered(view, &table->provider_id)), "shims",
                     shims_json(view, array));
}

static json_t *unused_json(const struct provider_record *provider)
{
    return json_pack("{s:n, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "array", "usable", 0,
                     "reason", "no usable array has it", "name", text_to_json(provider->name),
                     "version", text_to_json(provider->version), "provider",
                     text_id_to_json(&provider->provider_id), "version_id",
                     text_id_to_json(&provider->version_id), "path", text_to_json(provider->path),
                     "registered", registered_json(provider));
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
    char *shims = shims_of(view, array);
    if (shims) {
        table_note(table, "behind shims: %s", shims);
    }
    free(shims);
    const struct provider_record *registered = find_registered(view, &entry->provider_id);
    if (registered) {
        note_registered(table, registered, "");
    }
}

static void add_unused_row(const struct provider_record *provider, struct table *table)
{
    char id[ID_TEXT_BYTES];
    table_add(table, NULL);
    table_add(table, provider->name);
    table_add(table, provider->version);
    table_add(table, id_text(&provider->provider_id, id));
    table_note(table, "%s", provider->path);
    note_registered(table, provider, ", in no usable array");
}

/* ---- what to print --------------------------------------------------------------------------- */

static bool is_array_wanted(const struct view *view, const struct choice *choice, const char *array)
{
    struct provider *p = providers_find(view->providers, array);
    if (choice->is_id) {
        return p && id_equal(&provider_table(p)->provider_id, &choice->id);
    }
    return !choice->name || strcmp(choice->name, array) == 0;
}

/* Registered, and in no row yet: no array that could be opened has it. */
static bool is_unused_wanted(const struct view *view, const struct choice *choice,
                             const struct provider_record *provider)
{
    bool is_named = choice->is_id ? id_equal(&choice->id, &provider->provider_id) : !choice->name;
    return provider->registered && is_named &&
           !providers_has_id(view->providers, &provider->provider_id);
}

/* A row of either form; list is NULL where it could not be made longer. */
struct output {
    const struct view *view;
    struct table *table; /* NULL: JSON */
    json_t *list;
    size_t rows;
};

static void add_json(struct output *out, json_t *json)
{
    if (!out->list) {
        json_decref(json);
    } else if (json_array_append_new(out->list, json)) {
        json_decref(out->list);
        out->list = NULL;
    }
}

static void put_array(struct output *out, const char *array)
{
    out->rows++;
    if (out->table) {
        add_row(out->view, array, out->table);
    } else {
        add_json(out, array_json(out->view, array));
    }
}

static void put_unused(struct output *out, const struct provider_record *provider)
{
    out->rows++;
    if (out->table) {
        add_unused_row(provider, out->table);
    } else {
        add_json(out, unused_json(provider));
    }
}

static void put_all(struct output *out, const struct choice *choice)
{
    const struct view *view = out->view;
    for (size_t i = 0; i < view->config->section_count; i++) {
        const struct config_section *section = &view->config->sections[i];
        if (strcmp(section->kind, "array") == 0 && is_array_wanted(view, choice, section->name)) {
            put_array(out, section->name);
        }
    }
    for (size_t i = 0; i < view->known_count; i++) {
        if (is_unused_wanted(view, choice, &view->known[i])) {
            put_unused(out, &view->known[i]);
        }
    }
}

static int print_view(const struct cli *cli, const struct view *view, const struct choice *choice)
{
    static const struct table_column columns[] = {
        {"ARRAY", false}, {"PROVIDER", false}, {"VERSION", false}, {"ID", false}};
    struct table table = {.columns = columns, .column_count = 4};
    struct output out = {
        .view = view, .table = cli->json ? NULL : &table, .list = cli->json ? json_array() : NULL};
    put_all(&out, choice);
    if (cli->json) {
        return cli_print_json(cli, out.list);
    }
    HRESULT hr = table_print(&table, stdout, 0, 4);
    table_free(&table);
    if (out.rows == 0) {
        (void)puts("The configuration has no [array NAME] section, and no provider is registered.");
    }
    return SUCCEEDED(hr) ? CLI_OK : CLI_FAILED;
}

/* An array's name comes before a provider's id, should one look like the other. */
static HRESULT choose(const struct view *view, struct choice *choice, struct error *err)
{
    if (!choice->name || config_find(view->config, "array", choice->name)) {
        return S_OK;
    }
    choice->is_id = id_parse(choice->name, &choice->id);
    if (!choice->is_id) {
        return error_set(err, VSS_E_PROVIDER_NOT_REGISTERED,
                         "the configuration has no [array %s] section", choice->name);
    }
    if (!find_registered(view, &choice->id) && !providers_has_id(view->providers, &choice->id)) {
        return error_set(err, VSS_E_PROVIDER_NOT_REGISTERED,
                         "provider %s is not registered, and no usable array has it", choice->name);
    }
    return S_OK;
}

int providers_print(struct cli *cli, const char *only)
{
    struct view view = {0};
    struct error err = {0};
    struct choice choice = {.name = only};
    HRESULT hr = open_view(cli, &view, &err);
    if (SUCCEEDED(hr)) {
        hr = choose(&view, &choice, &err);
    }
    int exit_code = SUCCEEDED(hr) ? print_view(cli, &view, &choice) : cli_fail(cli, &err);
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
        "one that cannot be used, why. Then the registered providers that no usable array has.",
    .min_arguments = 0,
    .max_arguments = 0,
    .run = run,
};
