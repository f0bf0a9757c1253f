/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/set_view.h"

#include "cli/table.h"
#include "cli/text.h"
#include "common/clock.h"
#include "lun/identity.h"
#include "provider/set/expose.h"

#include <inttypes.h>
#include <stdlib.h>

static json_t *extents_json(const struct snapshot_record *snapshot)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < snapshot->extent_count; i++) {
        const struct volume_extent *extent = &snapshot->extents[i];
        json_t *item =
            json_pack("{s:I, s:I, s:I, s:I}", "lun", (json_int_t)extent->lun_index, "first_lba",
                      (json_int_t)extent->first_lba, "blocks", (json_int_t)extent->block_count,
                      "volume_offset_blocks", (json_int_t)extent->volume_offset_blocks);
        if (json_array_append_new(list, item)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *snapshot_json(const struct snapshot_record *snapshot)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "snapshot",
        text_id_to_json(&snapshot->snapshot_id), "volume", text_to_json(snapshot->original_volume),
        "device", text_to_json(snapshot->device), "provider",
        text_id_to_json(&snapshot->provider_id), "attributes",
        text_attributes_to_json(snapshot->attributes), "status",
        text_snapshot_state(snapshot->status), "created", text_time_to_json(snapshot->created),
        "exposed_name", text_to_json(snapshot->exposed_name), "exposed_path",
        text_to_json(snapshot->exposed_path), "extents", extents_json(snapshot));
}

static json_t *side_json(const char *url, const struct vss_lun_info *info,
                         const struct vss_disk_ids *ids)
{
    char key[LUN_KEY_BYTES];
    return json_pack("{s:o, s:o, s:o, s:o}", "url", text_to_json(url), "key",
                     text_to_json(lun_info_key(info, key)), "identity", lun_info_to_json(info),
                     "disk_ids", disk_ids_to_json(ids));
}

static json_t *lun_json(const struct lun_mapping *lun)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:b, s:o, s:o}", "array", text_to_json(lun->array),
                     "provider", text_to_json(lun->provider), "block_bytes",
                     (json_int_t)lun->block_bytes, "block_count", (json_int_t)lun->block_count,
                     "is_empty", lun->is_empty, "original",
                     side_json(lun->source_url, &lun->source, &lun->source_ids), "copy",
                     side_json(lun->copy_url, &lun->copy, &lun->copy_ids));
}

/* Appends to list and keeps it, or drops it where memory is short. */
static json_t *append(json_t *list, json_t *item)
{
    if (list && json_array_append_new(list, item)) {
        json_decref(list);
        return NULL;
    }
    return list;
}

json_t *set_view_json(const struct set_record *set)
{
    json_t *snapshots = json_array();
    for (size_t i = 0; snapshots && i < set->snapshot_count; i++) {
        snapshots = append(snapshots, snapshot_json(&set->snapshots[i]));
    }
    json_t *luns = json_array();
    for (size_t i = 0; luns && i < set->lun_count; i++) {
        luns = append(luns, lun_json(&set->luns[i]));
    }
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "set",
                     text_id_to_json(&set->set_id), "context", text_context(set->context),
                     "attributes", text_attributes_to_json(set->context), "originating_machine",
                     text_to_json(set->originating_machine), "service_machine",
                     text_to_json(set->service_machine), "cut_us", (json_int_t)set->cut_us,
                     "hold_us", (json_int_t)set->hold_us, "snapshots", snapshots, "luns", luns);
}

static void print_heading(const struct set_record *set)
{
    char id[ID_TEXT_BYTES];
    char when[CLOCK_TEXT_BYTES];
    (void)printf("Set %s\n", id_text(&set->set_id, id));
    if (set->snapshot_count > 0) {
        (void)printf("  created  %s\n", clock_text(set->snapshots[0].created, when));
    }
    (void)printf("  context  %s\n", text_context(set->context));
    (void)fputs("  machine  ", stdout);
    text_put(stdout, set->originating_machine);
    (void)printf("\n  cut      %" PRIu64 " us from the first LUN to the last, I/O held %" PRIu64
                 " us\n",
                 set->cut_us, set->hold_us);
}

HRESULT set_view_summary(const struct set_record *set)
{
    static const struct table_column columns[] = {{"SNAPSHOT", false}, {"VOLUME", false}};
    struct table table = {.columns = columns, .column_count = 2};
    for (size_t i = 0; i < set->snapshot_count; i++) {
        const struct snapshot_record *snapshot = &set->snapshots[i];
        char id[ID_TEXT_BYTES];
        char *attributes = text_attributes(snapshot->attributes);
        table_add(&table, id_text(&snapshot->snapshot_id, id));
        table_add(&table, snapshot->original_volume);
        if (snapshot->device) {
            table_note(&table, "copy: %s", snapshot->device);
        }
        if (snapshot->exposed_name) {
            table_note(&table, "exposed: %s%s", snapshot->exposed_name,
                       expose_find(snapshot, NULL) == S_FALSE ? " (not mounted any more)" : "");
        }
        table_note(&table, "%s: %s", text_snapshot_state(snapshot->status),
                   attributes ? attributes : "-");
        free(attributes);
    }
    print_heading(set);
    HRESULT hr = table_print(&table, stdout, 2, 4);
    table_free(&table);
    return hr;
}

static void print_partitions(const struct vss_disk_ids *ids)
{
    char id[ID_TEXT_BYTES];
    for (uint32_t i = 0; i < ids->partition_count; i++) {
        const struct vss_partition_id *partition = &ids->partitions[i];
        (void)printf("             partition %" PRIu32 "  %s  attributes 0x%016" PRIx64 "\n",
                     partition->number, id_text(&partition->guid, id), partition->attributes);
    }
}

static void print_side(const char *title, const char *url, const struct vss_lun_info *info,
                       const struct vss_disk_ids *ids)
{
    char key[LUN_KEY_BYTES];
    char *label = text_disk_ids(ids);
    (void)printf("    %s ", title);
    text_put(stdout, url ? url : "not visible on this host");
    (void)fputs("\n             ", stdout);
    text_put(stdout, lun_info_key(info, key));
    (void)fputs("  serial ", stdout);
    text_put(stdout, info->serial_number);
    (void)fputs("\n             ", stdout);
    text_put(stdout, label);
    (void)fputc('\n', stdout);
    print_partitions(ids);
    free(label);
}

static void print_lun(size_t index, const struct lun_mapping *lun)
{
    char size[TEXT_SIZE_BYTES];
    (void)printf("  LUN %zu on array ", index);
    text_put(stdout, lun->array);
    (void)printf(", %s in blocks of %" PRIu64 " bytes%s\n",
                 text_size(lun->block_bytes * lun->block_count, size), lun->block_bytes,
                 lun->is_empty ? ", the copy is gone" : "");
    print_side("original", lun->source_url, &lun->source, &lun->source_ids);
    print_side("copy    ", lun->copy_url, &lun->copy, &lun->copy_ids);
}

HRESULT set_view_details(const struct set_record *set)
{
    HRESULT hr = set_view_summary(set);
    for (size_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        print_lun(i, &set->luns[i]);
    }
    return hr;
}

int set_view_print(const struct cli *cli, const struct set_record *set, bool details)
{
    if (cli->json) {
        return cli_print_json(cli, set_view_json(set));
    }
    HRESULT hr = details ? set_view_details(set) : set_view_summary(set);
    if (FAILED(hr)) {
        struct error err = {.code = hr, .text = "not enough memory to print the set"};
        return cli_fail(cli, &err);
    }
    return CLI_OK;
}
