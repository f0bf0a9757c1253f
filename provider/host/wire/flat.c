/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/host/wire/flat.h"

#include <string.h>

enum { IDENTIFIER_BYTES_MAX = 255, ADDRESS_BYTES_MAX = 4096, LIST_MAX = 1024, ITEM_NUMBERS = 3 };

/* ---- putting -----------------------------------------------------------------------------------
 */

static void put_numbers(struct flat_writer *w, const uint32_t *numbers, size_t count)
{
    buffer_add(&w->numbers, numbers, count * sizeof(*numbers));
}

void flat_put_number(struct flat_writer *w, uint32_t number)
{
    put_numbers(w, &number, 1);
}

void flat_put_id(struct flat_writer *w, const VSS_ID *id)
{
    buffer_add(&w->data, id, sizeof(*id));
}

/* With its NUL; 0 is no text. */
static uint32_t put_text_bytes(struct flat_writer *w, const char *text)
{
    size_t bytes = text ? strlen(text) + 1 : 0;
    if (bytes > UINT32_MAX) {
        w->data.status = E_OUTOFMEMORY;
        return 0;
    }
    buffer_add(&w->data, text, bytes);
    return (uint32_t)bytes;
}

void flat_put_text(struct flat_writer *w, const char *text)
{
    flat_put_number(w, put_text_bytes(w, text));
}

/* One more than its bytes, because a state of none is not no state. */
void flat_put_state(struct flat_writer *w, const struct vss_state *state)
{
    flat_put_number(w, state->data ? state->bytes + 1 : 0);
    buffer_add(&w->data, state->data, state->data ? state->bytes : 0);
}

static void put_identifiers(struct flat_writer *w, const struct vss_storage_identifier *ids,
                            uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = ids[i].identifier ? ids[i].identifier_bytes : 0;
        const uint32_t numbers[ITEM_NUMBERS] = {(uint32_t)ids[i].code_set, (uint32_t)ids[i].type,
                                                bytes};
        put_numbers(w, numbers, ITEM_NUMBERS);
        buffer_add(&w->data, ids[i].identifier, bytes);
    }
}

static void put_interconnects(struct flat_writer *w, const struct vss_interconnect *paths,
                              uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t port_bytes = paths[i].port ? paths[i].port_bytes : 0;
        uint32_t address_bytes = paths[i].address ? paths[i].address_bytes : 0;
        const uint32_t numbers[ITEM_NUMBERS] = {(uint32_t)paths[i].address_type, port_bytes,
                                                address_bytes};
        put_numbers(w, numbers, ITEM_NUMBERS);
        buffer_add(&w->data, paths[i].port, port_bytes);
        buffer_add(&w->data, paths[i].address, address_bytes);
    }
}

void flat_put_info(struct flat_writer *w, const struct vss_lun_info *info)
{
    const struct vss_storage_device_id_descriptor *ids = &info->device_id;
    uint32_t identifiers = ids->identifiers ? ids->identifier_count : 0;
    uint32_t interconnects = info->interconnects ? info->interconnect_count : 0;
    flat_put_id(w, &info->disk_signature);
    uint32_t numbers[FLAT_INFO_NUMBERS] = {info->version,
                                           info->device_type,
                                           info->device_type_modifier,
                                           info->command_queueing,
                                           (uint32_t)info->bus_type,
                                           ids->version,
                                           identifiers,
                                           interconnects};
    numbers[8] = put_text_bytes(w, info->vendor_id);
    numbers[9] = put_text_bytes(w, info->product_id);
    numbers[10] = put_text_bytes(w, info->product_revision);
    numbers[11] = put_text_bytes(w, info->serial_number);
    put_numbers(w, numbers, FLAT_INFO_NUMBERS);
    put_identifiers(w, ids->identifiers, identifiers);
    put_interconnects(w, info->interconnects, interconnects);
}

HRESULT flat_status(const struct flat_writer *w)
{
    HRESULT hr = buffer_status(&w->numbers);
    return FAILED(hr) ? hr : buffer_status(&w->data);
}

void flat_writer_free(struct flat_writer *w)
{
    buffer_free(&w->numbers);
    buffer_free(&w->data);
}

/* ---- taking ------------------------------------------------------------------------------------
 */

/* NULL where it is bad, also of 0 numbers. */
static const uint32_t *take_numbers(struct flat_reader *r, size_t count)
{
    r->is_bad = r->is_bad || r->number_count < count;
    if (r->is_bad) {
        return NULL;
    }
    const uint32_t *numbers = r->numbers;
    r->numbers += count;
    r->number_count -= count;
    return numbers;
}

/* At most `most`; NULL where it is bad or there are none. */
static uint8_t *take_bytes(struct flat_reader *r, size_t bytes, size_t most)
{
    r->is_bad = r->is_bad || r->data_bytes < bytes || bytes > most;
    if (r->is_bad || bytes == 0) {
        return NULL;
    }
    const uint8_t *data = r->data;
    r->data += bytes;
    r->data_bytes -= bytes;
    return (uint8_t *)(uintptr_t)data; /* the arena's, which is the call's to write to */
}

void *flat_take_room(struct flat_reader *r, size_t count, size_t numbers, size_t bytes)
{
    r->is_bad = r->is_bad || r->number_count / numbers < count;
    void *room = r->is_bad ? NULL : provider_arena_alloc(r->arena, (uint64_t)count * bytes);
    r->is_bad = !room;
    return room;
}

uint32_t flat_take_number(struct flat_reader *r)
{
    const uint32_t *number = take_numbers(r, 1);
    return number ? *number : 0;
}

VSS_ID flat_take_id(struct flat_reader *r)
{
    VSS_ID id = {0};
    const uint8_t *bytes = take_bytes(r, sizeof(id), sizeof(id));
    if (bytes) {
        memcpy(&id, bytes, sizeof(id));
    }
    return id;
}

static char *take_text_bytes(struct flat_reader *r, uint32_t bytes)
{
    uint8_t *text = take_bytes(r, bytes, SIZE_MAX);
    if (text && text[bytes - 1] != '\0') {
        r->is_bad = true;
        return NULL;
    }
    return (char *)text;
}

const char *flat_take_text(struct flat_reader *r)
{
    return take_text_bytes(r, flat_take_number(r));
}

/* Empty is not absent: data then points somewhere, with no bytes behind it. */
void flat_take_state(struct flat_reader *r, struct vss_state *out)
{
    uint32_t number = flat_take_number(r);
    *out = (struct vss_state){0};
    if (number == 0) {
        return;
    }
    uint32_t bytes = number - 1;
    if (bytes > VSS_PROVIDER_STATE_BYTES_MAX) {
        r->long_state_bytes = bytes;
    }
    const uint8_t *data = take_bytes(r, bytes, VSS_PROVIDER_STATE_BYTES_MAX);
    if (!r->is_bad) {
        *out = (struct vss_state){.bytes = bytes, .data = data ? data : (const uint8_t *)""};
    }
}

static void take_identifiers(struct flat_reader *r, uint32_t count,
                             struct vss_storage_device_id_descriptor *out)
{
    r->is_bad = r->is_bad || count > LIST_MAX;
    if (r->is_bad || count == 0) {
        return;
    }
    struct vss_storage_identifier *items = flat_take_room(r, count, ITEM_NUMBERS, sizeof(*items));
    for (uint32_t i = 0; items && i < count; i++) {
        const uint32_t *numbers = take_numbers(r, ITEM_NUMBERS);
        if (!numbers) {
            return;
        }
        items[i] = (struct vss_storage_identifier){
            .code_set = (int32_t)numbers[0],
            .type = (int32_t)numbers[1],
            .identifier_bytes = numbers[2],
            .identifier = take_bytes(r, numbers[2], IDENTIFIER_BYTES_MAX)};
    }
    out->identifier_count = items ? count : 0;
    out->identifiers = items;
}

static void take_interconnects(struct flat_reader *r, uint32_t count, struct vss_lun_info *out)
{
    r->is_bad = r->is_bad || count > LIST_MAX;
    if (r->is_bad || count == 0) {
        return;
    }
    struct vss_interconnect *items = flat_take_room(r, count, ITEM_NUMBERS, sizeof(*items));
    for (uint32_t i = 0; items && i < count; i++) {
        const uint32_t *numbers = take_numbers(r, ITEM_NUMBERS);
        if (!numbers) {
            return;
        }
        items[i] = (struct vss_interconnect){.address_type = (int32_t)numbers[0],
                                             .port_bytes = numbers[1],
                                             .port = take_bytes(r, numbers[1], ADDRESS_BYTES_MAX),
                                             .address_bytes = numbers[2]};
        items[i].address = take_bytes(r, numbers[2], ADDRESS_BYTES_MAX);
    }
    out->interconnect_count = items ? count : 0;
    out->interconnects = items;
}

void flat_take_info(struct flat_reader *r, struct vss_lun_info *out)
{
    VSS_ID signature = flat_take_id(r);
    const uint32_t *numbers = take_numbers(r, FLAT_INFO_NUMBERS);
    *out = (struct vss_lun_info){0};
    if (!numbers || numbers[1] > UINT8_MAX || numbers[2] > UINT8_MAX || numbers[3] > UINT8_MAX) {
        r->is_bad = true;
        return;
    }
    *out = (struct vss_lun_info){.version = numbers[0],
                                 .device_type = (uint8_t)numbers[1],
                                 .device_type_modifier = (uint8_t)numbers[2],
                                 .command_queueing = (uint8_t)numbers[3],
                                 .bus_type = (int32_t)numbers[4],
                                 .disk_signature = signature,
                                 .device_id = {.version = numbers[5]}};
    out->vendor_id = take_text_bytes(r, numbers[8]);
    out->product_id = take_text_bytes(r, numbers[9]);
    out->product_revision = take_text_bytes(r, numbers[10]);
    out->serial_number = take_text_bytes(r, numbers[11]);
    take_identifiers(r, numbers[6], &out->device_id);
    take_interconnects(r, numbers[7], out);
}
