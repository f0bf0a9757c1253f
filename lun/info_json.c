/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/info.h"

#include "common/buffer.h"
#include "common/id.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_IDENTIFIER_BYTES   255u /* the length field of a designator is one byte */
#define MAX_INTERCONNECT_BYTES 4096u

/* ---- writing ---- */

/* Puts value (whose reference is taken) under key; false where either allocation failed. */
static bool put(json_t *object, const char *key, json_t *value)
{
    return value && json_object_set_new(object, key, value) == 0;
}

/* NULL becomes null. What a device or a plug-in hands over may not be UTF-8, which JSON must be:
 * such bytes become '?', so that nothing matches by accident and nothing is lost for the reader. */
static json_t *text_to_json(const char *text)
{
    if (!text) {
        return json_null();
    }
    json_t *json = json_string(text);
    if (json) {
        return json;
    }
    char *clean = text_copy(text);
    if (!clean) {
        return NULL;
    }
    for (char *c = clean; *c; c++) {
        if ((unsigned char)*c >= 0x80) {
            *c = '?';
        }
    }
    json = json_string(clean);
    free(clean);
    return json;
}

static json_t *bytes_to_json(const uint8_t *bytes, uint32_t length)
{
    struct buffer text = BUFFER_INIT;
    buffer_add_text(&text, "");
    for (uint32_t i = 0; i < length; i++) {
        buffer_printf(&text, "%02x", bytes[i]);
    }
    json_t *json = FAILED(buffer_status(&text)) ? NULL : json_string(text.data);
    buffer_free(&text);
    return json;
}

static json_t *id_to_json(const VSS_ID *id)
{
    char text[ID_TEXT_BYTES];
    return json_string(id_text(id, text));
}

/* Numbers whose bits matter: text, because JSON readers keep 53 bits only. */
static json_t *bits_to_json(uint64_t value, int digits)
{
    char text[19];
    (void)snprintf(text, sizeof(text), "0x%0*" PRIx64, digits, value);
    return json_string(text);
}

static json_t *identifier_to_json(const struct vss_storage_identifier *identifier)
{
    json_t *json = json_object();
    bool ok = json && put(json, "code_set", json_integer(identifier->code_set)) &&
              put(json, "type", json_integer(identifier->type)) &&
              put(json, "identifier",
                  bytes_to_json(identifier->identifier, identifier->identifier_bytes));
    if (!ok) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *identifiers_to_json(const struct vss_storage_device_id_descriptor *device_id)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < device_id->identifier_count; i++) {
        if (json_array_append_new(list, identifier_to_json(&device_id->identifiers[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *interconnect_to_json(const struct vss_interconnect *interconnect)
{
    json_t *json = json_object();
    bool ok =
        json && put(json, "address_type", json_integer(interconnect->address_type)) &&
        put(json, "port", bytes_to_json(interconnect->port, interconnect->port_bytes)) &&
        put(json, "address", bytes_to_json(interconnect->address, interconnect->address_bytes));
    if (!ok) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *interconnects_to_json(const struct vss_lun_info *info)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < info->interconnect_count; i++) {
        if (json_array_append_new(list, interconnect_to_json(&info->interconnects[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

json_t *lun_info_to_json(const struct vss_lun_info *info)
{
    json_t *json = json_object();
    bool ok = json && put(json, "version", json_integer(info->version)) &&
              put(json, "device_type", json_integer(info->device_type)) &&
              put(json, "device_type_modifier", json_integer(info->device_type_modifier)) &&
              put(json, "command_queueing", json_integer(info->command_queueing)) &&
              put(json, "bus_type", json_integer(info->bus_type)) &&
              put(json, "vendor_id", text_to_json(info->vendor_id)) &&
              put(json, "product_id", text_to_json(info->product_id)) &&
              put(json, "product_revision", text_to_json(info->product_revision)) &&
              put(json, "serial_number", text_to_json(info->serial_number)) &&
              put(json, "disk_signature", id_to_json(&info->disk_signature)) &&
              put(json, "device_id_version", json_integer(info->device_id.version)) &&
              put(json, "identifiers", identifiers_to_json(&info->device_id)) &&
              put(json, "interconnects", interconnects_to_json(info));
    if (!ok) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *partition_to_json(const struct vss_partition_id *partition)
{
    json_t *json = json_object();
    bool ok = json && put(json, "number", json_integer(partition->number)) &&
              put(json, "guid", id_to_json(&partition->guid)) &&
              put(json, "attributes", bits_to_json(partition->attributes, 16));
    if (!ok) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *partitions_to_json(const struct vss_disk_ids *ids)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < ids->partition_count; i++) {
        if (json_array_append_new(list, partition_to_json(&ids->partitions[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static const char *const kind_names[] = {"none", "mbr", "gpt"}; /* by enum vss_disk_label */

json_t *disk_ids_to_json(const struct vss_disk_ids *ids)
{
    if (ids->kind < VSS_DISK_LABEL_NONE || ids->kind > VSS_DISK_LABEL_GPT) {
        return NULL;
    }
    json_t *json = json_object();
    bool ok = json && put(json, "kind", json_string(kind_names[ids->kind]));
    if (ok && ids->kind != VSS_DISK_LABEL_NONE) {
        ok = put(json, "mbr_signature", bits_to_json(ids->mbr_signature, 8));
    }
    if (ok && ids->kind == VSS_DISK_LABEL_GPT) {
        ok = put(json, "disk_guid", id_to_json(&ids->disk_guid)) &&
             put(json, "partitions", partitions_to_json(ids));
    }
    if (!ok) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* ---- reading ---- */

static HRESULT bad_key(struct error *err, const char *key, const char *wanted)
{
    return error_set(err, VSS_E_UNEXPECTED, "stored identity: \"%s\" is not %s", key, wanted);
}

static HRESULT get_number(const json_t *json, const char *key, int64_t min, int64_t max,
                          int64_t *out, struct error *err)
{
    const json_t *value = json_object_get(json, key);
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max) {
        return bad_key(err, key, "a number in its range");
    }
    *out = json_integer_value(value);
    return S_OK;
}

static HRESULT get_byte(const json_t *json, const char *key, uint8_t *out, struct error *err)
{
    int64_t value = 0;
    HRESULT hr = get_number(json, key, 0, UINT8_MAX, &value, err);
    *out = (uint8_t)value;
    return hr;
}

static HRESULT get_u32(const json_t *json, const char *key, uint32_t *out, struct error *err)
{
    int64_t value = 0;
    HRESULT hr = get_number(json, key, 0, UINT32_MAX, &value, err);
    *out = (uint32_t)value;
    return hr;
}

static HRESULT get_i32(const json_t *json, const char *key, int32_t *out, struct error *err)
{
    int64_t value = 0;
    HRESULT hr = get_number(json, key, INT32_MIN, INT32_MAX, &value, err);
    *out = (int32_t)value;
    return hr;
}

/* The text of value, or NULL where it is none or hides a NUL. */
static const char *plain_text(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

/* Absent and null give NULL. */
static HRESULT get_text(const json_t *json, const char *key, char **out, struct error *err)
{
    const json_t *value = json_object_get(json, key);
    if (!value || json_is_null(value)) {
        return S_OK;
    }
    const char *text = plain_text(value);
    if (!text) {
        return bad_key(err, key, "text or null");
    }
    *out = text_copy(text);
    return *out ? S_OK : error_set(err, E_OUTOFMEMORY, "memory is short");
}

static HRESULT get_id(const json_t *json, const char *key, VSS_ID *out, struct error *err)
{
    const char *text = plain_text(json_object_get(json, key));
    if (!text || !id_parse(text, out)) {
        return bad_key(err, key, "an id");
    }
    return S_OK;
}

static bool is_hex(const char *text, size_t digits)
{
    for (size_t i = 0; i < digits; i++) {
        if (!isxdigit((unsigned char)text[i])) {
            return false;
        }
    }
    return true;
}

/* "0x" and exactly `digits` hex digits, at most 16. */
static HRESULT get_bits(const json_t *json, const char *key, size_t digits, uint64_t *out,
                        struct error *err)
{
    const char *text = plain_text(json_object_get(json, key));
    if (!text || strlen(text) != digits + 2 || text[0] != '0' || text[1] != 'x' ||
        !is_hex(text + 2, digits)) {
        return bad_key(err, key, "hex text of its length");
    }
    *out = strtoull(text + 2, NULL, 16);
    return S_OK;
}

static uint8_t hex_byte(const char *text)
{
    char pair[3] = {text[0], text[1], '\0'};
    return (uint8_t)strtoul(pair, NULL, 16);
}

static HRESULT get_bytes(const json_t *json, const char *key, uint32_t max_bytes, uint8_t **out,
                         uint32_t *out_bytes, struct error *err)
{
    const char *text = plain_text(json_object_get(json, key));
    size_t digits = text ? strlen(text) : 0;
    if (!text || digits % 2 != 0 || digits / 2 > max_bytes || !is_hex(text, digits)) {
        return bad_key(err, key, "hex text of a length allowed");
    }
    if (digits == 0) {
        return S_OK;
    }
    *out = malloc(digits / 2);
    if (!*out) {
        return error_set(err, E_OUTOFMEMORY, "memory is short");
    }
    *out_bytes = (uint32_t)(digits / 2);
    for (uint32_t i = 0; i < *out_bytes; i++) {
        (*out)[i] = hex_byte(text + 2 * (size_t)i);
    }
    return S_OK;
}

/* An array of count items of item_bytes, zeroed, for the JSON list under key. */
static HRESULT get_list(const json_t *json, const char *key, size_t item_bytes,
                        const json_t **out_list, void **out_items, uint32_t *out_count,
                        struct error *err)
{
    const json_t *list = json_object_get(json, key);
    if (!json_is_array(list) || json_array_size(list) > UINT16_MAX) {
        return bad_key(err, key, "a list of a length allowed");
    }
    *out_list = list;
    *out_count = 0;
    size_t count = json_array_size(list);
    if (count == 0) {
        return S_OK;
    }
    *out_items = calloc(count, item_bytes);
    if (!*out_items) {
        return error_set(err, E_OUTOFMEMORY, "memory is short");
    }
    *out_count = (uint32_t)count;
    return S_OK;
}

static HRESULT read_identifier(const json_t *json, struct vss_storage_identifier *out,
                               struct error *err)
{
    HRESULT hr = get_i32(json, "code_set", &out->code_set, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = get_i32(json, "type", &out->type, err);
    if (FAILED(hr)) {
        return hr;
    }
    return get_bytes(json, "identifier", MAX_IDENTIFIER_BYTES, &out->identifier,
                     &out->identifier_bytes, err);
}

static HRESULT read_identifiers(const json_t *json, struct vss_storage_device_id_descriptor *out,
                                struct error *err)
{
    HRESULT hr = get_u32(json, "device_id_version", &out->version, err);
    if (FAILED(hr)) {
        return hr;
    }
    const json_t *list = NULL;
    void *items = NULL;
    hr = get_list(json, "identifiers", sizeof(*out->identifiers), &list, &items,
                  &out->identifier_count, err);
    out->identifiers = items;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < out->identifier_count; i++) {
        hr = read_identifier(json_array_get(list, i), &out->identifiers[i], err);
    }
    return hr;
}

static HRESULT read_interconnect(const json_t *json, struct vss_interconnect *out,
                                 struct error *err)
{
    HRESULT hr = get_i32(json, "address_type", &out->address_type, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = get_bytes(json, "port", MAX_INTERCONNECT_BYTES, &out->port, &out->port_bytes, err);
    if (FAILED(hr)) {
        return hr;
    }
    return get_bytes(json, "address", MAX_INTERCONNECT_BYTES, &out->address, &out->address_bytes,
                     err);
}

static HRESULT read_interconnects(const json_t *json, struct vss_lun_info *out, struct error *err)
{
    const json_t *list = NULL;
    void *items = NULL;
    HRESULT hr = get_list(json, "interconnects", sizeof(*out->interconnects), &list, &items,
                          &out->interconnect_count, err);
    out->interconnects = items;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < out->interconnect_count; i++) {
        hr = read_interconnect(json_array_get(list, i), &out->interconnects[i], err);
    }
    return hr;
}

static HRESULT read_numbers(const json_t *json, struct vss_lun_info *out, struct error *err)
{
    HRESULT hr = get_u32(json, "version", &out->version, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = get_byte(json, "device_type", &out->device_type, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = get_byte(json, "device_type_modifier", &out->device_type_modifier, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = get_byte(json, "command_queueing", &out->command_queueing, err);
    if (FAILED(hr)) {
        return hr;
    }
    return get_i32(json, "bus_type", &out->bus_type, err);
}

static HRESULT read_texts(const json_t *json, struct vss_lun_info *out, struct error *err)
{
    HRESULT hr = get_text(json, "vendor_id", &out->vendor_id, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = get_text(json, "product_id", &out->product_id, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = get_text(json, "product_revision", &out->product_revision, err);
    if (FAILED(hr)) {
        return hr;
    }
    return get_text(json, "serial_number", &out->serial_number, err);
}

HRESULT lun_info_from_json(const json_t *json, struct vss_lun_info *out, struct error *err)
{
    *out = (struct vss_lun_info){0};
    HRESULT hr = read_numbers(json, out, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = read_texts(json, out, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = get_id(json, "disk_signature", &out->disk_signature, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = read_identifiers(json, &out->device_id, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = read_interconnects(json, out, err);
out:
    if (FAILED(hr)) {
        lun_info_free(out);
    }
    return hr;
}

static HRESULT read_partition(const json_t *json, struct vss_partition_id *out, struct error *err)
{
    HRESULT hr = get_u32(json, "number", &out->number, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = get_id(json, "guid", &out->guid, err);
    if (FAILED(hr)) {
        return hr;
    }
    return get_bits(json, "attributes", 16, &out->attributes, err);
}

static HRESULT read_partitions(const json_t *json, struct vss_disk_ids *out, struct error *err)
{
    const json_t *list = NULL;
    void *items = NULL;
    HRESULT hr = get_list(json, "partitions", sizeof(*out->partitions), &list, &items,
                          &out->partition_count, err);
    out->partitions = items;
    uint32_t previous = 0;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < out->partition_count; i++) {
        hr = read_partition(json_array_get(list, i), &out->partitions[i], err);
        if (SUCCEEDED(hr) && out->partitions[i].number <= previous) {
            hr = bad_key(err, "number", "above the one before it");
        }
        previous = out->partitions[i].number;
    }
    return hr;
}

static HRESULT read_kind(const json_t *json, int32_t *out, struct error *err)
{
    const char *text = plain_text(json_object_get(json, "kind"));
    for (int32_t kind = VSS_DISK_LABEL_NONE; text && kind <= VSS_DISK_LABEL_GPT; kind++) {
        if (strcmp(text, kind_names[kind]) == 0) {
            *out = kind;
            return S_OK;
        }
    }
    return bad_key(err, "kind", "none, mbr or gpt");
}

static HRESULT read_gpt_ids(const json_t *json, struct vss_disk_ids *out, struct error *err)
{
    HRESULT hr = get_id(json, "disk_guid", &out->disk_guid, err);
    if (FAILED(hr)) {
        return hr;
    }
    return read_partitions(json, out, err);
}

HRESULT disk_ids_from_json(const json_t *json, struct vss_disk_ids *out, struct error *err)
{
    *out = (struct vss_disk_ids){0};
    uint64_t signature = 0;
    HRESULT hr = read_kind(json, &out->kind, err);
    if (FAILED(hr) || out->kind == VSS_DISK_LABEL_NONE) {
        goto out;
    }
    hr = get_bits(json, "mbr_signature", 8, &signature, err);
    if (FAILED(hr)) {
        goto out;
    }
    out->mbr_signature = (uint32_t)signature;
    if (out->kind == VSS_DISK_LABEL_GPT) {
        hr = read_gpt_ids(json, out, err);
    }
out:
    if (FAILED(hr)) {
        disk_ids_free(out);
    }
    return hr;
}
