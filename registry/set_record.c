/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/sets.h"

#include "common/buffer.h"
#include "lun/info.h"

#include <stdlib.h>
#include <string.h>

void snapshot_record_free(struct snapshot_record *snapshot)
{
    free(snapshot->original_volume);
    free(snapshot->device);
    free(snapshot->exposed_name);
    free(snapshot->exposed_path);
    free(snapshot->extents);
    *snapshot = (struct snapshot_record){0};
}

void lun_mapping_free(struct lun_mapping *lun)
{
    free(lun->provider);
    free(lun->array);
    free(lun->source_url);
    free(lun->copy_url);
    lun_info_free(&lun->source);
    lun_info_free(&lun->copy);
    disk_ids_free(&lun->source_ids);
    disk_ids_free(&lun->copy_ids);
    free(lun->state);
    *lun = (struct lun_mapping){0};
}

void set_record_free(struct set_record *set)
{
    free(set->originating_machine);
    free(set->service_machine);
    for (size_t i = 0; i < set->snapshot_count; i++) {
        snapshot_record_free(&set->snapshots[i]);
    }
    free(set->snapshots);
    for (size_t i = 0; i < set->lun_count; i++) {
        lun_mapping_free(&set->luns[i]);
    }
    free(set->luns);
    *set = (struct set_record){0};
}

void sets_free_all(struct set_record *sets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        set_record_free(&sets[i]);
    }
    free(sets);
}

static HRESULT copy_text(const char *from, char **out)
{
    *out = text_copy(from);
    return from && !*out ? E_OUTOFMEMORY : S_OK;
}

static HRESULT copy_bytes(const void *from, size_t bytes, void **out)
{
    *out = NULL;
    if (!from || bytes == 0) {
        return S_OK;
    }
    *out = malloc(bytes);
    if (!*out) {
        return E_OUTOFMEMORY;
    }
    memcpy(*out, from, bytes);
    return S_OK;
}

static HRESULT copy_snapshot(const struct snapshot_record *from, struct snapshot_record *out)
{
    out->snapshot_id = from->snapshot_id;
    out->provider_id = from->provider_id;
    out->attributes = from->attributes;
    out->status = from->status;
    out->created = from->created;
    void *extents = NULL;
    HRESULT hr = copy_bytes(from->extents, from->extent_count * sizeof(*from->extents), &extents);
    if (FAILED(hr)) {
        return hr;
    }
    out->extents = extents;
    out->extent_count = extents ? from->extent_count : 0;
    hr = copy_text(from->original_volume, &out->original_volume);
    if (FAILED(hr)) {
        return hr;
    }
    hr = copy_text(from->device, &out->device);
    if (FAILED(hr)) {
        return hr;
    }
    hr = copy_text(from->exposed_name, &out->exposed_name);
    if (FAILED(hr)) {
        return hr;
    }
    return copy_text(from->exposed_path, &out->exposed_path);
}

static HRESULT copy_lun_texts(const struct lun_mapping *from, struct lun_mapping *out)
{
    HRESULT hr = copy_text(from->provider, &out->provider);
    if (FAILED(hr)) {
        return hr;
    }
    hr = copy_text(from->array, &out->array);
    if (FAILED(hr)) {
        return hr;
    }
    hr = copy_text(from->source_url, &out->source_url);
    if (FAILED(hr)) {
        return hr;
    }
    return copy_text(from->copy_url, &out->copy_url);
}

static HRESULT copy_lun_identities(const struct lun_mapping *from, struct lun_mapping *out)
{
    HRESULT hr = lun_info_copy(&from->source, &out->source);
    if (FAILED(hr)) {
        return hr;
    }
    hr = lun_info_copy(&from->copy, &out->copy);
    if (FAILED(hr)) {
        return hr;
    }
    hr = disk_ids_copy(&from->source_ids, &out->source_ids);
    if (FAILED(hr)) {
        return hr;
    }
    return disk_ids_copy(&from->copy_ids, &out->copy_ids);
}

static HRESULT copy_lun(const struct lun_mapping *from, struct lun_mapping *out)
{
    out->block_bytes = from->block_bytes;
    out->block_count = from->block_count;
    out->is_empty = from->is_empty;
    void *state = NULL;
    HRESULT hr = copy_bytes(from->state, from->state_bytes, &state);
    if (FAILED(hr)) {
        return hr;
    }
    out->state = state;
    out->state_bytes = state ? from->state_bytes : 0;
    hr = copy_lun_texts(from, out);
    if (FAILED(hr)) {
        return hr;
    }
    return copy_lun_identities(from, out);
}

static HRESULT copy_members(const struct set_record *from, struct set_record *out)
{
    HRESULT hr = S_OK;
    out->snapshots =
        calloc(from->snapshot_count ? from->snapshot_count : 1, sizeof(*out->snapshots));
    out->luns = calloc(from->lun_count ? from->lun_count : 1, sizeof(*out->luns));
    if (!out->snapshots || !out->luns) {
        return E_OUTOFMEMORY;
    }
    out->snapshot_count = from->snapshot_count;
    out->lun_count = from->lun_count;
    for (size_t i = 0; i < from->snapshot_count && SUCCEEDED(hr); i++) {
        hr = copy_snapshot(&from->snapshots[i], &out->snapshots[i]);
    }
    for (size_t i = 0; i < from->lun_count && SUCCEEDED(hr); i++) {
        hr = copy_lun(&from->luns[i], &out->luns[i]);
    }
    return hr;
}

HRESULT set_record_copy(const struct set_record *from, struct set_record *out)
{
    *out = (struct set_record){0};
    out->set_id = from->set_id;
    out->context = from->context;
    out->cut_us = from->cut_us;
    out->hold_us = from->hold_us;
    HRESULT hr = copy_text(from->originating_machine, &out->originating_machine);
    if (SUCCEEDED(hr)) {
        hr = copy_text(from->service_machine, &out->service_machine);
    }
    if (SUCCEEDED(hr)) {
        hr = copy_members(from, out);
    }
    if (FAILED(hr)) {
        set_record_free(out);
    }
    return hr;
}
