/* SPDX-License-Identifier: Apache-2.0 */
/* From structures to frames. Messages point into the structures; what they need beside lives in an
 * arena for as long as it takes to pack them. */
#include "provider/host/internal.h"
#include "provider/host/wire/shape.h"
#include "provider/host/wire/wire.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire.pb-c.h"

static ProtobufCBinaryData binary(const void *data, size_t bytes)
{
    return (ProtobufCBinaryData){.len = data ? bytes : 0, .data = (uint8_t *)data};
}

static ProtobufCBinaryData binary_id(const VSS_ID *id)
{
    return binary(id, sizeof(*id));
}

static void *room(struct provider_arena *arena, size_t count, size_t bytes)
{
    return provider_arena_alloc(arena, (uint64_t)count * bytes);
}

static bool encode_identifiers(struct provider_arena *arena, const struct vss_lun_info *info,
                               WireLunInfo *out)
{
    size_t count = info->device_id.identifiers ? info->device_id.identifier_count : 0;
    out->identifier_code_sets = room(arena, count, sizeof(int32_t));
    out->identifier_types = room(arena, count, sizeof(int32_t));
    out->identifiers = room(arena, count, sizeof(*out->identifiers));
    if (!out->identifier_code_sets || !out->identifier_types || !out->identifiers) {
        return false;
    }
    out->n_identifier_code_sets = out->n_identifier_types = out->n_identifiers = count;
    for (size_t i = 0; i < count; i++) {
        const struct vss_storage_identifier *from = &info->device_id.identifiers[i];
        out->identifier_code_sets[i] = from->code_set;
        out->identifier_types[i] = from->type;
        out->identifiers[i] = binary(from->identifier, from->identifier_bytes);
    }
    return true;
}

static bool encode_interconnects(struct provider_arena *arena, const struct vss_lun_info *info,
                                 WireLunInfo *out)
{
    size_t count = info->interconnects ? info->interconnect_count : 0;
    out->address_types = room(arena, count, sizeof(int32_t));
    out->ports = room(arena, count, sizeof(*out->ports));
    out->addresses = room(arena, count, sizeof(*out->addresses));
    if (!out->address_types || !out->ports || !out->addresses) {
        return false;
    }
    out->n_address_types = out->n_ports = out->n_addresses = count;
    for (size_t i = 0; i < count; i++) {
        const struct vss_interconnect *from = &info->interconnects[i];
        out->address_types[i] = from->address_type;
        out->ports[i] = binary(from->port, from->port_bytes);
        out->addresses[i] = binary(from->address, from->address_bytes);
    }
    return true;
}

static WireLunInfo *encode_info(struct provider_arena *arena, const struct vss_lun_info *info)
{
    WireLunInfo *out = room(arena, 1, sizeof(*out));
    if (!out) {
        return NULL;
    }
    wire_lun_info__init(out);
    out->version = info->version;
    out->device_type = info->device_type;
    out->device_type_modifier = info->device_type_modifier;
    out->command_queueing = info->command_queueing;
    out->bus_type = info->bus_type;
    out->vendor_id = info->vendor_id;
    out->product_id = info->product_id;
    out->product_revision = info->product_revision;
    out->serial_number = info->serial_number;
    out->disk_signature = binary_id(&info->disk_signature);
    out->device_id_version = info->device_id.version;
    bool is_whole = encode_identifiers(arena, info, out) && encode_interconnects(arena, info, out);
    return is_whole ? out : NULL;
}

/* NULL stands for no array: *out_count stays 0. */
static bool encode_infos(struct provider_arena *arena, const struct vss_lun_info *infos,
                         uint32_t count, WireLunInfo ***out, size_t *out_count)
{
    if (!infos) {
        return true;
    }
    *out = room(arena, count, sizeof(**out));
    for (uint32_t i = 0; *out && i < count; i++) {
        (*out)[i] = encode_info(arena, &infos[i]);
        if (!(*out)[i]) {
            return false;
        }
    }
    *out_count = count;
    return *out != NULL;
}

static WireState *encode_state(struct provider_arena *arena, const struct vss_state *state)
{
    WireState *out = room(arena, 1, sizeof(*out));
    if (out) {
        wire_state__init(out);
        out->has_data = state->data != NULL;
        out->data = binary(state->data, state->bytes);
    }
    return out;
}

/* ---- inputs ------------------------------------------------------------------------------------
 */

static WireLunsIn *encode_luns_in(struct provider_arena *arena, const struct vss_luns_in *in)
{
    WireLunsIn *out = room(arena, 1, sizeof(*out));
    if (!out) {
        return NULL;
    }
    wire_luns_in__init(out);
    out->context = in->context;
    out->set_id = binary_id(&in->set_id);
    out->snapshot_id = binary_id(&in->snapshot_id);
    if (in->devices) {
        out->n_devices = in->lun_count;
        out->devices = room(arena, in->lun_count, sizeof(*out->devices));
    }
    for (uint32_t i = 0; in->devices && out->devices && i < in->lun_count; i++) {
        out->devices[i] = (char *)(in->devices[i] ? in->devices[i] : "");
    }
    bool is_whole = encode_infos(arena, in->luns, in->lun_count, &out->luns, &out->n_luns) &&
                    (out->devices || !in->devices);
    return is_whole ? out : NULL;
}

static WireSetLun *encode_set_lun(struct provider_arena *arena, const struct vss_set_lun *lun)
{
    WireSetLun *out = room(arena, 1, sizeof(*out));
    if (!out) {
        return NULL;
    }
    wire_set_lun__init(out);
    out->snapshot_id = binary_id(&lun->snapshot_id);
    out->device = (char *)lun->device;
    out->source = encode_info(arena, &lun->source);
    out->destination = encode_info(arena, &lun->destination);
    out->state = encode_state(arena, &lun->state);
    return out->source && out->destination && out->state ? out : NULL;
}

static WireSetIn *encode_set_in(struct provider_arena *arena, const struct vss_set_in *in)
{
    WireSetIn *out = room(arena, 1, sizeof(*out));
    if (!out) {
        return NULL;
    }
    wire_set_in__init(out);
    out->context = in->context;
    out->set_id = binary_id(&in->set_id);
    out->initiator = (char *)in->initiator;
    out->snapshot_count = in->snapshot_count;
    out->n_luns = in->luns ? in->lun_count : 0;
    out->luns = room(arena, out->n_luns, sizeof(*out->luns));
    for (size_t i = 0; out->luns && i < out->n_luns; i++) {
        out->luns[i] = encode_set_lun(arena, &in->luns[i]);
        if (!out->luns[i]) {
            return NULL;
        }
    }
    return out->luns ? out : NULL;
}

static WireStateChangeIn *encode_state_change(struct provider_arena *arena,
                                              const struct vss_state_change_in *in)
{
    WireStateChangeIn *out = room(arena, 1, sizeof(*out));
    if (!out) {
        return NULL;
    }
    wire_state_change_in__init(out);
    out->flags = in->flags;
    out->is_resync = in->is_resync;
    out->set = encode_set_in(arena, &in->set);
    return out->set ? out : NULL;
}

static WireResyncLun *encode_resync_lun(struct provider_arena *arena,
                                        const struct vss_resync_lun *lun)
{
    WireResyncLun *out = room(arena, 1, sizeof(*out));
    if (!out) {
        return NULL;
    }
    wire_resync_lun__init(out);
    out->snapshot = encode_info(arena, &lun->snapshot);
    out->destination = encode_info(arena, &lun->destination);
    out->snapshot_state = encode_state(arena, &lun->snapshot_state);
    out->edge_bytes = lun->edge_bytes;
    return out->snapshot && out->destination && out->snapshot_state ? out : NULL;
}

static WireResyncIn *encode_resync_in(struct provider_arena *arena, const struct vss_resync_in *in)
{
    WireResyncIn *out = room(arena, 1, sizeof(*out));
    if (!out) {
        return NULL;
    }
    wire_resync_in__init(out);
    out->resync_id = binary_id(&in->resync_id);
    out->state = encode_state(arena, &in->state);
    out->n_luns = in->luns ? in->lun_count : 0;
    out->luns = room(arena, out->n_luns, sizeof(*out->luns));
    for (size_t i = 0; out->luns && i < out->n_luns; i++) {
        out->luns[i] = encode_resync_lun(arena, &in->luns[i]);
        if (!out->luns[i]) {
            return NULL;
        }
    }
    return out->luns && out->state ? out : NULL;
}

static WireUnloadIn *encode_unload(struct provider_arena *arena, const struct vss_on_unload_in *in)
{
    WireUnloadIn *out = room(arena, 1, sizeof(*out));
    if (out) {
        wire_unload_in__init(out);
        out->is_forced = in->is_forced;
    }
    return out;
}

static bool encode_in(struct provider_arena *arena, enum vss_provider_op op, const void *in,
                      WireRequest *out)
{
    if (!in) {
        return true;
    }
    switch (in_shape_of(op)) {
    case IN_LUNS:
        out->in_case = WIRE_REQUEST__IN_LUNS;
        out->luns = encode_luns_in(arena, in);
        return out->luns != NULL;
    case IN_SET:
        out->in_case = WIRE_REQUEST__IN_SET;
        out->set = encode_set_in(arena, in);
        return out->set != NULL;
    case IN_STATE_CHANGE:
        out->in_case = WIRE_REQUEST__IN_STATE_CHANGE;
        out->state_change = encode_state_change(arena, in);
        return out->state_change != NULL;
    case IN_RESYNC:
        out->in_case = WIRE_REQUEST__IN_RESYNC;
        out->resync = encode_resync_in(arena, in);
        return out->resync != NULL;
    case IN_UNLOAD:
        out->in_case = WIRE_REQUEST__IN_UNLOAD;
        out->unload = encode_unload(arena, in);
        return out->unload != NULL;
    case IN_NONE:
    case IN_LOAD:
        break;
    }
    return true;
}

/* ---- outputs -----------------------------------------------------------------------------------
 */

static WireCapabilitiesOut *encode_capabilities(struct provider_arena *arena,
                                                const struct vss_capabilities_out *from)
{
    WireCapabilitiesOut *out = room(arena, 1, sizeof(*out));
    if (!out) {
        return NULL;
    }
    wire_capabilities_out__init(out);
    out->differential = from->differential;
    out->plex = from->plex;
    out->resync = from->resync;
    out->mask = from->mask;
    out->read_only = from->read_only;
    out->consistent_set = from->consistent_set;
    out->resize = from->resize;
    out->max_snapshots_per_lun = from->max_snapshots_per_lun;
    out->description = from->description;
    return out;
}

static WireLunsOut *encode_luns_out(struct provider_arena *arena, uint32_t is_supported,
                                    const struct vss_lun_info *luns, uint32_t lun_count)
{
    WireLunsOut *out = room(arena, 1, sizeof(*out));
    if (!out) {
        return NULL;
    }
    wire_luns_out__init(out);
    out->is_supported = is_supported;
    return encode_infos(arena, luns, lun_count, &out->luns, &out->n_luns) ? out : NULL;
}

static WireStatesOut *encode_states(struct provider_arena *arena, const struct vss_states_out *from,
                                    uint32_t lun_count)
{
    WireStatesOut *out = room(arena, 1, sizeof(*out));
    if (!out) {
        return NULL;
    }
    wire_states_out__init(out);
    out->first_cut_us = from->first_cut_us;
    out->last_cut_us = from->last_cut_us;
    out->held_at_us = from->hold.held_at_us;
    out->released_at_us = from->hold.released_at_us;
    out->n_states = from->states ? lun_count : 0;
    out->states = room(arena, out->n_states, sizeof(*out->states));
    for (size_t i = 0; out->states && i < out->n_states; i++) {
        out->states[i] = encode_state(arena, &from->states[i]);
        if (!out->states[i]) {
            return NULL;
        }
    }
    return out->states ? out : NULL;
}

static WireResyncOut *encode_resync_out(struct provider_arena *arena,
                                        const struct vss_resync_out *from)
{
    WireResyncOut *out = room(arena, 1, sizeof(*out));
    if (!out) {
        return NULL;
    }
    wire_resync_out__init(out);
    out->is_done = from->is_done;
    out->state = encode_state(arena, &from->state);
    out->bytes_total = from->bytes_total;
    out->bytes_done = from->bytes_done;
    out->method = from->method;
    return out->state ? out : NULL;
}

static bool encode_out(struct provider_arena *arena, enum vss_provider_op op, const void *from,
                       uint32_t lun_count, WireReply *out)
{
    const struct vss_supported_out *supported = from;
    const struct vss_target_luns_out *targets = from;
    switch (out_shape_of(op)) {
    case OUT_CAPABILITIES:
        out->out_case = WIRE_REPLY__OUT_CAPABILITIES;
        out->capabilities = encode_capabilities(arena, from);
        return out->capabilities != NULL;
    case OUT_SUPPORTED:
        out->out_case = WIRE_REPLY__OUT_LUNS;
        out->luns = encode_luns_out(arena, supported->is_supported, supported->luns, lun_count);
        return out->luns != NULL;
    case OUT_TARGETS:
        out->out_case = WIRE_REPLY__OUT_LUNS;
        out->luns = encode_luns_out(arena, 0, targets->luns, lun_count);
        return out->luns != NULL;
    case OUT_STATES:
        out->out_case = WIRE_REPLY__OUT_STATES;
        out->states = encode_states(arena, from, lun_count);
        return out->states != NULL;
    case OUT_RESYNC:
        out->out_case = WIRE_REPLY__OUT_RESYNC;
        out->resync = encode_resync_out(arena, from);
        return out->resync != NULL;
    case OUT_NONE:
    case OUT_LOAD:
        break;
    }
    return true;
}

/* ---- frames ------------------------------------------------------------------------------------
 */

static HRESULT pack(const WireFrame *frame, struct wire_content *out)
{
    size_t bytes = wire_frame__get_packed_size(frame);
    out->data = malloc(bytes ? bytes : 1);
    if (!out->data) {
        return E_OUTOFMEMORY;
    }
    out->bytes = wire_frame__pack(frame, out->data);
    return S_OK;
}

static bool put_section(struct provider_arena *arena, const struct config_section *section,
                        WireSection *out)
{
    wire_section__init(out);
    WirePair *pairs = room(arena, section->pair_count, sizeof(*pairs));
    out->pairs = room(arena, section->pair_count, sizeof(*out->pairs));
    if (!pairs || !out->pairs) {
        return false;
    }
    for (size_t i = 0; i < section->pair_count; i++) {
        wire_pair__init(&pairs[i]);
        pairs[i].key = section->pairs[i].key;
        pairs[i].value = section->pairs[i].value;
        out->pairs[i] = &pairs[i];
    }
    out->n_pairs = section->pair_count;
    out->kind = section->kind;
    out->name = section->name;
    return true;
}

/* Sessions to LUNs need names, time-outs and portals; arrays of others are none of its business. */
static bool is_for_luns(const struct config_section *section)
{
    return strcmp(section->kind, "portal") == 0 || strcmp(section->kind, "initiator") == 0;
}

HRESULT wire_encode_hello(const struct config *config, const struct config_section *section,
                          int log_level, struct wire_content *out_content)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    WireHello hello = WIRE_HELLO__INIT;
    WireFrame frame = WIRE_FRAME__INIT;
    size_t most = 1 + (config ? config->section_count : 0);
    WireSection *sections = room(&arena, most, sizeof(*sections));
    hello.sections = room(&arena, most, sizeof(*hello.sections));
    bool ok = sections && hello.sections && put_section(&arena, section, &sections[0]);
    hello.n_sections = 1;
    for (size_t i = 0; ok && config && i < config->section_count; i++) {
        if (is_for_luns(&config->sections[i])) {
            ok = put_section(&arena, &config->sections[i], &sections[hello.n_sections++]);
        }
    }
    HRESULT hr = E_OUTOFMEMORY;
    if (ok) {
        for (size_t i = 0; i < hello.n_sections; i++) {
            hello.sections[i] = &sections[i];
        }
        hello.log_level = log_level;
        frame.content_case = WIRE_FRAME__CONTENT_HELLO;
        frame.hello = &hello;
        hr = pack(&frame, out_content);
    }
    provider_arena_free(&arena);
    return hr;
}

HRESULT wire_encode_facts(const struct wire_facts *facts, struct wire_content *out_content)
{
    WireFacts message = WIRE_FACTS__INIT;
    WireFrame frame = WIRE_FRAME__INIT;
    message.result = facts->result;
    message.error = (char *)facts->error;
    message.path = (char *)facts->path;
    message.name = (char *)facts->name;
    message.version = (char *)facts->version;
    message.has_provider_id = true;
    message.provider_id = binary_id(&facts->provider_id);
    message.has_version_id = true;
    message.version_id = binary_id(&facts->version_id);
    message.has_abi_major = true;
    message.abi_major = facts->abi_major;
    message.has_abi_minor = true;
    message.abi_minor = facts->abi_minor;
    message.has_ops = true;
    message.ops = facts->ops;
    frame.content_case = WIRE_FRAME__CONTENT_FACTS;
    frame.facts = &message;
    return pack(&frame, out_content);
}

HRESULT wire_encode_log(int level, const char *text, struct wire_content *out_content)
{
    WireLog message = WIRE_LOG__INIT;
    WireFrame frame = WIRE_FRAME__INIT;
    message.level = level;
    message.text = (char *)text;
    frame.content_case = WIRE_FRAME__CONTENT_LOG;
    frame.log = &message;
    return pack(&frame, out_content);
}

HRESULT wire_encode_request(uint64_t number, enum vss_provider_op op, uint32_t deadline_ms,
                            const void *in, struct wire_content *out_content)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    WireRequest message = WIRE_REQUEST__INIT;
    WireFrame frame = WIRE_FRAME__INIT;
    message.number = number;
    message.op = (uint32_t)op;
    message.deadline_ms = deadline_ms;
    frame.content_case = WIRE_FRAME__CONTENT_REQUEST;
    frame.request = &message;
    HRESULT hr = encode_in(&arena, op, in, &message) ? pack(&frame, out_content) : E_OUTOFMEMORY;
    provider_arena_free(&arena);
    return hr;
}

HRESULT wire_encode_reply(const struct wire_reply *reply, enum vss_provider_op op, const void *out,
                          uint32_t lun_count, struct wire_content *out_content)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    WireReply message = WIRE_REPLY__INIT;
    WireFrame frame = WIRE_FRAME__INIT;
    message.number = reply->number;
    message.result = reply->result;
    message.error = (char *)reply->error;
    frame.content_case = WIRE_FRAME__CONTENT_REPLY;
    frame.reply = &message;
    bool is_whole = FAILED(reply->result) || encode_out(&arena, op, out, lun_count, &message);
    HRESULT hr = is_whole ? pack(&frame, out_content) : E_OUTOFMEMORY;
    provider_arena_free(&arena);
    return hr;
}
