/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/text.h"
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* What an enumeration gave, all of it. */
struct objects {
    struct vss_object_prop *items;
    size_t count;
};

static void free_objects(struct objects *objects)
{
    for (size_t i = 0; i < objects->count; i++) {
        vss_free_object_properties(&objects->items[i]);
    }
    free(objects->items);
}

static HRESULT fetch_objects(struct vss_backup_components *session, int32_t type,
                             struct objects *out, struct error *err)
{
    struct vss_enum_object *found = NULL;
    HRESULT hr = session_check(
        session, vss_backup_components_query(session, &id_null, VSS_OBJECT_NONE, type, &found),
        err);
    while (hr == S_OK) {
        struct vss_object_prop *items = realloc(out->items, (out->count + 1) * sizeof(*items));
        if (!items) {
            hr = error_set(err, E_OUTOFMEMORY, "not enough memory for the listing");
            break;
        }
        out->items = items;
        uint32_t fetched = 0;
        hr = session_check(session, vss_enum_object_next(found, 1, &items[out->count], &fetched),
                           err);
        if (SUCCEEDED(hr)) {
            out->count += fetched;
        }
    }
    vss_enum_object_release(found);
    return FAILED(hr) ? hr : S_OK;
}

static json_t *snapshot_json(const struct vss_snapshot_prop *snap)
{
    return json_pack(
        "{s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "snapshot",
        text_id_to_json(&snap->snapshot_id), "set", text_id_to_json(&snap->snapshot_set_id),
        "snapshots_in_set", (int)snap->snapshots_count, "volume",
        text_to_json(snap->original_volume_name), "device",
        text_to_json(snap->snapshot_device_object), "originating_machine",
        text_to_json(snap->originating_machine), "service_machine",
        text_to_json(snap->service_machine), "exposed_name", text_to_json(snap->exposed_name),
        "exposed_path", text_to_json(snap->exposed_path), "provider",
        text_id_to_json(&snap->provider_id), "attributes",
        text_attributes_to_json((uint32_t)snap->snapshot_attributes), "created",
        text_time_to_json(snap->creation_timestamp), "status", text_snapshot_state(snap->status));
}

static json_t *provider_json(const struct vss_provider_prop *prov)
{
    return json_pack("{s:o, s:o, s:i, s:o, s:o}", "provider", text_id_to_json(&prov->provider_id),
                     "name", text_to_json(prov->provider_name), "type", (int)prov->provider_type,
                     "version", text_to_json(prov->provider_version), "version_id",
                     text_id_to_json(&prov->provider_version_id));
}

static int print_json(const struct cli *cli, const struct objects *objects)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < objects->count; i++) {
        const struct vss_object_prop *item = &objects->items[i];
        json_t *json = item->type == VSS_OBJECT_PROVIDER ? provider_json(&item->obj.prov)
                                                         : snapshot_json(&item->obj.snap);
        if (json_array_append_new(list, json)) {
            json_decref(list);
            list = NULL;
        }
    }
    return cli_print_json(cli, list);
}

static HRESULT print_providers(const struct objects *objects)
{
    static const struct table_column columns[] = {
        {"PROVIDER", false}, {"NAME", false}, {"VERSION", false}};
    struct table table = {.columns = columns, .column_count = 3};
    for (size_t i = 0; i < objects->count; i++) {
        const struct vss_provider_prop *prov = &objects->items[i].obj.prov;
        char id[ID_TEXT_BYTES];
        table_add(&table, id_text(&prov->provider_id, id));
        table_add(&table, prov->provider_name);
        table_add(&table, prov->provider_version);
    }
    HRESULT hr = table_print(&table, stdout, 0, 0);
    table_free(&table);
    return hr;
}

static void add_snapshot_row(struct table *table, const struct vss_snapshot_prop *snap)
{
    char id[ID_TEXT_BYTES];
    char *attributes = text_attributes((uint32_t)snap->snapshot_attributes);
    table_add(table, id_text(&snap->snapshot_id, id));
    table_add(table, snap->original_volume_name);
    if (snap->snapshot_device_object) {
        table_note(table, "copy: %s", snap->snapshot_device_object);
    }
    if (snap->exposed_name) {
        table_note(table, "exposed: %s", snap->exposed_name);
    }
    table_note(table, "%s", attributes ? attributes : "-");
    free(attributes);
}

/* The snapshots from first on that are of one set; how many these are goes to *out_count. */
static HRESULT print_set(const struct objects *objects, size_t first, size_t *out_count)
{
    static const struct table_column columns[] = {{"SNAPSHOT", false}, {"VOLUME", false}};
    struct table table = {.columns = columns, .column_count = 2};
    const struct vss_snapshot_prop *head = &objects->items[first].obj.snap;
    char id[ID_TEXT_BYTES];
    char when[CLOCK_TEXT_BYTES];
    size_t count = 0;
    while (first + count < objects->count) {
        const struct vss_snapshot_prop *snap = &objects->items[first + count].obj.snap;
        if (!id_equal(&snap->snapshot_set_id, &head->snapshot_set_id)) {
            break;
        }
        add_snapshot_row(&table, snap);
        count++;
    }
    (void)printf("%sSet %s\n  %s, %zu of %d snapshots\n", first > 0 ? "\n" : "",
                 id_text(&head->snapshot_set_id, id), clock_text(head->creation_timestamp, when),
                 count, (int)head->snapshots_count);
    HRESULT hr = table_print(&table, stdout, 2, 4);
    table_free(&table);
    *out_count = count;
    return hr;
}

static HRESULT print_snapshots(const struct objects *objects)
{
    HRESULT hr = S_OK;
    size_t count = 0;
    for (size_t i = 0; SUCCEEDED(hr) && i < objects->count; i += count) {
        hr = print_set(objects, i, &count);
    }
    if (objects->count == 0) {
        (void)puts("There are no snapshots.");
    }
    return hr;
}

static int run(struct cli *cli)
{
    bool want_providers = cli_has(cli, "providers");
    struct vss_backup_components *session = NULL;
    struct objects objects = {0};
    struct error err = {0};
    int exit_code = CLI_OK;
    HRESULT hr = session_open_for_all(cli, &session, &err);
    if (FAILED(hr)) {
        return cli_fail(cli, &err);
    }
    hr = fetch_objects(session, want_providers ? VSS_OBJECT_PROVIDER : VSS_OBJECT_SNAPSHOT,
                       &objects, &err);
    if (FAILED(hr)) {
        exit_code = cli_fail(cli, &err);
    } else if (cli->json) {
        exit_code = print_json(cli, &objects);
    } else if (FAILED(want_providers ? print_providers(&objects) : print_snapshots(&objects))) {
        exit_code = CLI_FAILED;
    }
    free_objects(&objects);
    vss_backup_components_release(session);
    return exit_code;
}

static const struct cli_option options[] = {
    {"providers", 'p', NULL, "the providers instead, as the requester sees them"},
};

const struct cli_command command_list = {
    .name = "list",
    .summary = "the snapshots of this host's registry",
    .arguments = "",
    .help = "Lists all snapshots, by set, of every context.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 0,
    .max_arguments = 0,
    .run = run,
};
