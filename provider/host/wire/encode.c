/* SPDX-License-Identifier: Apache-2.0 */
/* From structures to frames. Messages point into the structures, or into what was made flat of
 * them, for as long as it takes to pack them. */
#include "provider/host/internal.h"
#include "provider/host/wire/flat.h"
#include "provider/host/wire/shape.h"
#include "provider/host/wire/wire.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire.pb-c.h"

/* What a request or a reply points to. */
struct parts {
    struct flat_writer flat;
    WireLuns luns; /* what flat holds */
    WireState state;
    WireSetIn set_in; /* of a state change too */
    union {
        WireLunsIn luns_in;
        WireStateChangeIn change_in;
        WireResyncIn resync_in;
        WireChangesIn changes_in;
        WireUnloadIn unload_in;
        WireCapabilitiesOut capabilities;
        WireLunsOut luns_out;
        WireStatesOut states_out;
        WireResyncOut resync_out;
        WireChangesOut changes_out;
    } of;
};

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

/* Once all of them are in flat. */
static WireLuns *seal(struct parts *parts, uint32_t count)
{
    const struct flat_writer *flat = &parts->flat;
    wire_luns__init(&parts->luns);
    parts->luns.count = count;
    parts->luns.n_numbers = flat->numbers.length / sizeof(uint32_t);
    parts->luns.numbers = (uint32_t *)(void *)flat->numbers.data; /* malloc'ed, so aligned */
    parts->luns.data = binary(flat->data.data, flat->data.length);
    return &parts->luns;
}

static WireState *encode_state(struct parts *parts, const struct vss_state *state)
{
    wire_state__init(&parts->state);
    parts->state.has_data = state->data != NULL;
    parts->state.data = binary(state->data, state->bytes);
    return &parts->state;
}

/* ---- inputs ------------------------------------------------------------------------------------
 */

static WireLunsIn *encode_luns_in(struct parts *parts, const struct vss_luns_in *in)
{
    WireLunsIn *out = &parts->of.luns_in;
    wire_luns_in__init(out);
    out->context = in->context;
    out->set_id = binary_id(&in->set_id);
    out->snapshot_id = binary_id(&in->snapshot_id);
    for (uint32_t i = 0; i < in->lun_count; i++) {
        flat_put_text(&parts->flat, in->devices ? in->devices[i] : NULL);
        flat_put_info(&parts->flat, &in->luns[i]);
    }
    out->luns = seal(parts, in->lun_count);
    return out;
}

static WireSetIn *encode_set_in(struct parts *parts, const struct vss_set_in *in)
{
    WireSetIn *out = &parts->set_in;
    uint32_t count = in->luns ? in->lun_count : 0;
    wire_set_in__init(out);
    out->context = in->context;
    out->set_id = binary_id(&in->set_id);
    out->initiator = (char *)in->initiator;
    out->snapshot_count = in->snapshot_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct vss_set_lun *lun = &in->luns[i];
        flat_put_id(&parts->flat, &lun->snapshot_id);
        flat_put_text(&parts->flat, lun->device);
        flat_put_info(&parts->flat, &lun->source);
        flat_put_info(&parts->flat, &lun->destination);
        flat_put_state(&parts->flat, &lun->state);
    }
    out->luns = seal(parts, count);
    return out;
}

static WireStateChangeIn *encode_state_change(struct parts *parts,
                                              const struct vss_state_change_in *in)
{
    WireStateChangeIn *out = &parts->of.change_in;
    wire_state_change_in__init(out);
    out->flags = in->flags;
    out->is_resync = in->is_resync;
    out->set = encode_set_in(parts, &in->set);
    return out;
}

static void put_resync_lun(struct parts *parts, const struct vss_resync_lun *lun)
{
    flat_put_info(&parts->flat, &lun->snapshot);
    flat_put_info(&parts->flat, &lun->destination);
    flat_put_state(&parts->flat, &lun->snapshot_state);
    flat_put_number(&parts->flat, (uint32_t)lun->edge_bytes);
    flat_put_number(&parts->flat, (uint32_t)(lun->edge_bytes >> 32));
}

static WireResyncIn *encode_resync_in(struct parts *parts, const struct vss_resync_in *in)
{
    WireResyncIn *out = &parts->of.resync_in;
    uint32_t count = in->luns ? in->lun_count : 0;
    wire_resync_in__init(out);
    out->resync_id = binary_id(&in->resync_id);
    out->state = encode_state(parts, &in->state);
    for (uint32_t i = 0; i < count; i++) {
        put_resync_lun(parts, &in->luns[i]);
    }
    out->luns = seal(parts, count);
    return out;
}

static WireChangesIn *encode_changes_in(struct parts *parts, const struct vss_changes_in *in)
{
    WireChangesIn *out = &parts->of.changes_in;
    wire_changes_in__init(out);
    out->extent_max = in->extent_max;
    out->from_byte = in->from_byte;
    put_resync_lun(parts, in->lun);
    out->luns = seal(parts, 1);
    return out;
}

static WireUnloadIn *encode_unload(struct parts *parts, const struct vss_on_unload_in *in)
{
    WireUnloadIn *out = &parts->of.unload_in;
    wire_unload_in__init(out);
    out->is_forced = in->is_forced;
    return out;
}

static void encode_in(struct parts *parts, enum vss_provider_op op, const void *in,
                      WireRequest *out)
{
    switch (in ? in_shape_of(op) : IN_NONE) {
    case IN_LUNS:
        out->in_case = WIRE_REQUEST__IN_LUNS;
        out->luns = encode_luns_in(parts, in);
        break;
    case IN_SET:
        out->in_case = WIRE_REQUEST__IN_SET;
        out->set = encode_set_in(parts, in);
        break;
    case IN_STATE_CHANGE:
        out->in_case = WIRE_REQUEST__IN_STATE_CHANGE;
        out->state_change = encode_state_change(parts, in);
        break;
    case IN_RESYNC:
        out->in_case = WIRE_REQUEST__IN_RESYNC;
        out->resync = encode_resync_in(parts, in);
        break;
    case IN_CHANGES:
        out->in_case = WIRE_REQUEST__IN_CHANGES;
        out->changes = encode_changes_in(parts, in);
        break;
    case IN_UNLOAD:
        out->in_case = WIRE_REQUEST__IN_UNLOAD;
        out->unload = encode_unload(parts, in);
        break;
    case IN_NONE:
    case IN_LOAD:
        break;
    }
}

/* ---- outputs -----------------------------------------------------------------------------------
 */

static WireCapabilitiesOut *encode_capabilities(struct parts *parts,
                                                const struct vss_capabilities_out *from)
{
    WireCapabilitiesOut *out = &parts->of.capabilities;
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

static WireLunsOut *encode_luns_out(struct parts *parts, uint32_t is_supported,
                                    const struct vss_lun_info *luns, uint32_t lun_count)
{
    WireLunsOut *out = &parts->of.luns_out;
    wire_luns_out__init(out);
    out->is_supported = is_supported;
    for (uint32_t i = 0; luns && i < lun_count; i++) {
        flat_put_info(&parts->flat, &luns[i]);
    }
    out->luns = luns ? seal(parts, lun_count) : NULL;
    return out;
}

static WireStatesOut *encode_states(struct parts *parts, const struct vss_states_out *from,
                                    uint32_t lun_count)
{
    WireStatesOut *out = &parts->of.states_out;
    wire_states_out__init(out);
    out->first_cut_us = from->first_cut_us;
    out->last_cut_us = from->last_cut_us;
    out->held_at_us = from->hold.held_at_us;
    out->released_at_us = from->hold.released_at_us;
    for (uint32_t i = 0; from->states && i < lun_count; i++) {
        flat_put_state(&parts->flat, &from->states[i]);
    }
    out->states = from->states ? seal(parts, lun_count) : NULL;
    return out;
}

static WireResyncOut *encode_resync_out(struct parts *parts, const struct vss_resync_out *from)
{
    WireResyncOut *out = &parts->of.resync_out;
    wire_resync_out__init(out);
    out->is_done = from->is_done;
    out->state = encode_state(parts, &from->state);
    out->bytes_total = from->bytes_total;
    out->bytes_done = from->bytes_done;
    out->method = from->method;
    return out;
}

/* Extents are packed as they lie in memory: two numbers each. Those that are only counted become
 * one number, which is refused: as none they would say that nothing has changed. */
static WireChangesOut *encode_changes_out(struct parts *parts, const struct vss_changes_out *from)
{
    _Static_assert(sizeof(struct vss_extent) == 2 * sizeof(uint64_t), "two numbers");
    WireChangesOut *out = &parts->of.changes_out;
    wire_changes_out__init(out);
    out->is_known = from->is_known;
    out->next_byte = from->next_byte;
    const uint32_t most = VSS_PROVIDER_EXTENTS_MAX + 1; /* enough to be refused */
    uint32_t count = from->extent_count < most ? from->extent_count : most;
    if (from->is_known && count) {
        out->n_numbers = from->extents ? 2 * (size_t)count : 1;
        out->numbers = from->extents ? &from->extents->offset : &out->next_byte;
    }
    return out;
}

static void encode_out(struct parts *parts, enum vss_provider_op op, const void *from,
                       uint32_t lun_count, WireReply *out)
{
    const struct vss_supported_out *supported = from;
    const struct vss_target_luns_out *targets = from;
    switch (out_shape_of(op)) {
    case OUT_CAPABILITIES:
        out->out_case = WIRE_REPLY__OUT_CAPABILITIES;
        out->capabilities = encode_capabilities(parts, from);
        break;
    case OUT_SUPPORTED:
        out->out_case = WIRE_REPLY__OUT_LUNS;
        out->luns = encode_luns_out(parts, supported->is_supported, supported->luns, lun_count);
        break;
    case OUT_TARGETS:
        out->out_case = WIRE_REPLY__OUT_LUNS;
        out->luns = encode_luns_out(parts, 0, targets->luns, lun_count);
        break;
    case OUT_STATES:
        out->out_case = WIRE_REPLY__OUT_STATES;
        out->states = encode_states(parts, from, lun_count);
        break;
    case OUT_RESYNC:
        out->out_case = WIRE_REPLY__OUT_RESYNC;
        out->resync = encode_resync_out(parts, from);
        break;
    case OUT_CHANGES:
        out->out_case = WIRE_REPLY__OUT_CHANGES;
        out->changes = encode_changes_out(parts, from);
        break;
    case OUT_NONE:
    case OUT_LOAD:
        break;
    }
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
    struct parts parts;
    WireRequest message = WIRE_REQUEST__INIT;
    WireFrame frame = WIRE_FRAME__INIT;
    message.number = number;
    message.op = (uint32_t)op;
    message.deadline_ms = deadline_ms;
    frame.content_case = WIRE_FRAME__CONTENT_REQUEST;
    frame.request = &message;
    parts.flat = (struct flat_writer)FLAT_WRITER_INIT;
    encode_in(&parts, op, in, &message);
    HRESULT hr = flat_status(&parts.flat);
    hr = SUCCEEDED(hr) ? pack(&frame, out_content) : hr;
    flat_writer_free(&parts.flat);
    return hr;
}

HRESULT wire_encode_reply(const struct wire_reply *reply, enum vss_provider_op op, const void *out,
                          uint32_t lun_count, struct wire_content *out_content)
{
    struct parts parts;
    WireReply message = WIRE_REPLY__INIT;
    WireFrame frame = WIRE_FRAME__INIT;
    message.number = reply->number;
    message.result = reply->result;
    message.error = (char *)reply->error;
    frame.content_case = WIRE_FRAME__CONTENT_REPLY;
    frame.reply = &message;
    parts.flat = (struct flat_writer)FLAT_WRITER_INIT;
    if (SUCCEEDED(reply->result)) {
        encode_out(&parts, op, out, lun_count, &message);
    }
    HRESULT hr = flat_status(&parts.flat);
    hr = SUCCEEDED(hr) ? pack(&frame, out_content) : hr;
    flat_writer_free(&parts.flat);
    return hr;
}
