/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/info.h"

#include "common/buffer.h"
#include "common/id.h"

#include <stdlib.h>
#include <string.h>

static HRESULT copy_text(const char *from, char **out)
{
    *out = text_copy(from);
    return from && !*out ? E_OUTOFMEMORY : S_OK;
}

static HRESULT copy_bytes(const uint8_t *from, uint32_t length, uint8_t **out)
{
    if (length == 0) {
        return S_OK;
    }
    if (!from) {
        return E_INVALIDARG;
    }
    *out = malloc(length);
    if (!*out) {
        return E_OUTOFMEMORY;
    }
    memcpy(*out, from, length);
    return S_OK;
}

static HRESULT copy_texts(const struct vss_lun_info *from, struct vss_lun_info *out)
{
    HRESULT hr = copy_text(from->vendor_id, &out->vendor_id);
    if (FAILED(hr)) {
        return hr;
    }
    hr = copy_text(from->product_id, &out->product_id);
    if (FAILED(hr)) {
        return hr;
    }
    hr = copy_text(from->product_revision, &out->product_revision);
    if (FAILED(hr)) {
        return hr;
    }
    return copy_text(from->serial_number, &out->serial_number);
}

static HRESULT copy_identifiers(const struct vss_storage_device_id_descriptor *from,
                                struct vss_storage_device_id_descriptor *out)
{
    out->version = from->version;
    if (from->identifier_count == 0) {
        return S_OK;
    }
    if (!from->identifiers) {
        return E_INVALIDARG;
    }
    out->identifiers = calloc(from->identifier_count, sizeof(*out->identifiers));
    if (!out->identifiers) {
        return E_OUTOFMEMORY;
    }
    out->identifier_count = from->identifier_count;
    for (uint32_t i = 0; i < from->identifier_count; i++) {
        const struct vss_storage_identifier *f = &from->identifiers[i];
        struct vss_storage_identifier *o = &out->identifiers[i];
        o->code_set = f->code_set;
        o->type = f->type;
        o->identifier_bytes = f->identifier_bytes;
        HRESULT hr = copy_bytes(f->identifier, f->identifier_bytes, &o->identifier);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return S_OK;
}

static HRESULT copy_interconnect(const struct vss_interconnect *from, struct vss_interconnect *out)
{
    out->address_type = from->address_type;
    out->port_bytes = from->port_bytes;
    out->address_bytes = from->address_bytes;
    HRESULT hr = copy_bytes(from->port, from->port_bytes, &out->port);
    if (FAILED(hr)) {
        return hr;
    }
    return copy_bytes(from->address, from->address_bytes, &out->address);
}

static HRESULT copy_interconnects(const struct vss_lun_info *from, struct vss_lun_info *out)
{
    if (from->interconnect_count == 0) {
        return S_OK;
    }
    if (!from->interconnects) {
        return E_INVALIDARG;
    }
    out->interconnects = calloc(from->interconnect_count, sizeof(*out->interconnects));
    if (!out->interconnects) {
        return E_OUTOFMEMORY;
    }
    out->interconnect_count = from->interconnect_count;
    for (uint32_t i = 0; i < from->interconnect_count; i++) {
        HRESULT hr = copy_interconnect(&from->interconnects[i], &out->interconnects[i]);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return S_OK;
}

HRESULT lun_info_copy(const struct vss_lun_info *from, struct vss_lun_info *out)
{
    *out = (struct vss_lun_info){.version = from->version,
                                 .device_type = from->device_type,
                                 .device_type_modifier = from->device_type_modifier,
                                 .command_queueing = from->command_queueing,
                                 .reserved = from->reserved,
                                 .bus_type = from->bus_type,
                                 .disk_signature = from->disk_signature};
    HRESULT hr = copy_texts(from, out);
    if (FAILED(hr)) {
        goto out;
    }
    hr = copy_identifiers(&from->device_id, &out->device_id);
    if (FAILED(hr)) {
        goto out;
    }
    hr = copy_interconnects(from, out);
out:
    if (FAILED(hr)) {
        lun_info_free(out);
    }
    return hr;
}

void lun_info_free(struct vss_lun_info *info)
{
    free(info->vendor_id);
    free(info->product_id);
    free(info->product_revision);
    free(info->serial_number);
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        free(info->device_id.identifiers[i].identifier);
    }
    free(info->device_id.identifiers);
    for (uint32_t i = 0; i < info->interconnect_count; i++) {
        free(info->interconnects[i].port);
        free(info->interconnects[i].address);
    }
    free(info->interconnects);
    *info = (struct vss_lun_info){0};
}

HRESULT disk_ids_copy(const struct vss_disk_ids *from, struct vss_disk_ids *out)
{
    *out = (struct vss_disk_ids){0};
    if (from->partition_count > 0 && !from->partitions) {
        return E_INVALIDARG;
    }
    struct vss_partition_id *partitions = NULL;
    if (from->partition_count > 0) {
        partitions = calloc(from->partition_count, sizeof(*partitions));
        if (!partitions) {
            return E_OUTOFMEMORY;
        }
        memcpy(partitions, from->partitions, from->partition_count * sizeof(*partitions));
    }
    *out = *from;
    out->partitions = partitions;
    return S_OK;
}

void disk_ids_free(struct vss_disk_ids *ids)
{
    free(ids->partitions);
    *ids = (struct vss_disk_ids){0};
}

static bool partition_ids_equal(const struct vss_disk_ids *a, const struct vss_disk_ids *b)
{
    if (a->partition_count != b->partition_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->partition_count; i++) {
        const struct vss_partition_id *pa = &a->partitions[i];
        const struct vss_partition_id *pb = &b->partitions[i];
        if (pa->number != pb->number || !id_equal(&pa->guid, &pb->guid) ||
            pa->attributes != pb->attributes) {
            return false;
        }
    }
    return true;
}

bool disk_ids_equal(const struct vss_disk_ids *a, const struct vss_disk_ids *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    if (a->kind == VSS_DISK_LABEL_NONE) {
        return true;
    }
    bool is_gpt = a->kind == VSS_DISK_LABEL_GPT;
    return a->mbr_signature == b->mbr_signature &&
           (!is_gpt || (id_equal(&a->disk_guid, &b->disk_guid) && partition_ids_equal(a, b)));
}

bool disk_ids_share_partitions(const struct vss_disk_ids *a, const struct vss_disk_ids *b)
{
    bool is_same = a->kind == b->kind && a->partition_count == b->partition_count;
    for (uint32_t i = 0; is_same && i < a->partition_count; i++) {
        is_same = a->partitions[i].number == b->partitions[i].number;
    }
    return is_same;
}

const struct vss_partition_id *disk_ids_partition(const struct vss_disk_ids *ids, uint32_t number)
{
    for (uint32_t i = 0; i < ids->partition_count; i++) {
        if (ids->partitions[i].number == number) {
            return &ids->partitions[i];
        }
    }
    return NULL;
}

VSS_ID disk_ids_signature(const struct vss_disk_ids *ids)
{
    VSS_ID signature = {0};
    if (ids->kind == VSS_DISK_LABEL_GPT) {
        signature = ids->disk_guid;
    } else if (ids->kind == VSS_DISK_LABEL_MBR) {
        signature.data1 = ids->mbr_signature;
    }
    return signature;
}
