/* SPDX-License-Identifier: Apache-2.0 */
/* From frames to structures. The unpacked message lives in the call's arena, and the structures
 * point into it. */
#include "provider/host/internal.h"
#include "provider/host/wire/flat.h"
#include "provider/host/wire/shape.h"
#include "provider/host/wire/wire.h"

#include <stdbool.h>
#include <string.h>

#include "wire.pb-c.h"

/* A frame of empty messages takes many times its own length when unpacked. */
struct budget {
    struct provider_arena *arena;
    size_t bytes_left;
};

static void *take(void *user, size_t bytes)
{
    struct budget *budget = user;
    if (bytes > budget->bytes_left) {
        return NULL;
    }
    budget->bytes_left -= bytes;
    return provider_arena_alloc(budget->arena, bytes);
}

static void give_back(void *user, void *block)
{
    (void)user; /* all of it goes with the arena */
    (void)block;
}

static bool decode_id(ProtobufCBinaryData from, VSS_ID *out)
{
    if (from.len != sizeof(*out)) {
        return false;
    }
    memcpy(out, from.data, sizeof(*out));
    return true;
}

static struct flat_reader read_luns(struct provider_arena *arena, const WireLuns *from)
{
    return (struct flat_reader){.arena = arena,
                                .numbers = from->numbers,
                                .number_count = from->n_numbers,
                                .data = from->data.data,
                                .data_bytes = from->data.len};
}

/* Empty is not absent: data then points somewhere, with no bytes behind it. */
static bool decode_state(struct provider_arena *arena, const WireState *from, struct vss_state *out)
{
    *out = (struct vss_state){0};
    if (!from->has_data) {
        return true;
    }
    out->bytes = (uint32_t)from->data.len;
    out->data = from->data.len ? from->data.data : provider_arena_alloc(arena, 0);
    return from->data.len <= VSS_PROVIDER_STATE_BYTES_MAX && out->data;
}

/* ---- inputs ------------------------------------------------------------------------------------
 */

static bool decode_luns_in(struct provider_arena *arena, const WireLunsIn *from,
                           struct vss_luns_in *out)
{
    struct flat_reader r = read_luns(arena, from->luns);
    size_t count = from->luns->count;
    const size_t numbers = FLAT_TEXT_NUMBERS + FLAT_INFO_NUMBERS;
    struct vss_lun_info *luns = flat_take_room(&r, count, numbers, sizeof(*luns));
    const char **devices = flat_take_room(&r, count, numbers, sizeof(*devices));
    for (size_t i = 0; !r.is_bad && i < count; i++) {
        devices[i] = flat_take_text(&r);
        flat_take_info(&r, &luns[i]);
    }
    *out = (struct vss_luns_in){.struct_size = sizeof(*out),
                                .context = from->context,
                                .lun_count = from->luns->count,
                                .devices = devices,
                                .luns = luns};
    return !r.is_bad && decode_id(from->set_id, &out->set_id) &&
           decode_id(from->snapshot_id, &out->snapshot_id);
}

static bool decode_set_in(struct provider_arena *arena, const WireSetIn *from,
                          struct vss_set_in *out)
{
    struct flat_reader r = read_luns(arena, from->luns);
    size_t count = from->luns->count;
    const size_t numbers = FLAT_TEXT_NUMBERS + 2 * FLAT_INFO_NUMBERS + FLAT_STATE_NUMBERS;
    struct vss_set_lun *luns = flat_take_room(&r, count, numbers, sizeof(*luns));
    for (size_t i = 0; !r.is_bad && i < count; i++) {
        luns[i].snapshot_id = flat_take_id(&r);
        luns[i].device = flat_take_text(&r);
        flat_take_info(&r, &luns[i].source);
        flat_take_info(&r, &luns[i].destination);
        flat_take_state(&r, &luns[i].state);
    }
    *out = (struct vss_set_in){.struct_size = sizeof(*out),
                               .context = from->context,
                               .lun_count = from->luns->count,
                               .snapshot_count = from->snapshot_count,
                               .luns = luns,
                               .initiator = from->initiator};
    return !r.is_bad && decode_id(from->set_id, &out->set_id);
}

/* NULL: damaged. */
static const struct vss_resync_lun *take_resync_luns(struct provider_arena *arena,
                                                     const WireLuns *from)
{
    struct flat_reader r = read_luns(arena, from);
    size_t count = from->count;
    const size_t numbers = 2 * FLAT_INFO_NUMBERS + FLAT_STATE_NUMBERS + 2;
    struct vss_resync_lun *luns = flat_take_room(&r, count, numbers, sizeof(*luns));
    for (size_t i = 0; !r.is_bad && i < count; i++) {
        flat_take_info(&r, &luns[i].snapshot);
        flat_take_info(&r, &luns[i].destination);
        flat_take_state(&r, &luns[i].snapshot_state);
        luns[i].edge_bytes = flat_take_number(&r);
        luns[i].edge_bytes |= (uint64_t)flat_take_number(&r) << 32;
    }
    return r.is_bad ? NULL : luns;
}

static bool decode_resync_in(struct provider_arena *arena, const WireResyncIn *from,
                             struct vss_resync_in *out)
{
    *out = (struct vss_resync_in){.struct_size = sizeof(*out),
                                  .lun_count = from->luns->count,
                                  .luns = take_resync_luns(arena, from->luns)};
    return out->luns && decode_id(from->resync_id, &out->resync_id) &&
           decode_state(arena, from->state, &out->state);
}

static bool decode_changes_in(struct provider_arena *arena, const WireChangesIn *from,
                              struct vss_changes_in *out)
{
    *out = (struct vss_changes_in){.struct_size = sizeof(*out),
                                   .extent_max = from->extent_max,
                                   .from_byte = from->from_byte,
                                   .lun = take_resync_luns(arena, from->luns)};
    return out->lun && from->luns->count == 1;
}

static bool decode_in(struct provider_arena *arena, const WireRequest *from, enum in_shape shape,
                      union wire_in *out)
{
    switch (shape) {
    case IN_LUNS:
        return from->in_case == WIRE_REQUEST__IN_LUNS &&
               decode_luns_in(arena, from->luns, &out->luns);
    case IN_SET:
        return from->in_case == WIRE_REQUEST__IN_SET && decode_set_in(arena, from->set, &out->set);
    case IN_STATE_CHANGE:
        if (from->in_case != WIRE_REQUEST__IN_STATE_CHANGE) {
            return false;
        }
        out->state_change =
            (struct vss_state_change_in){.struct_size = sizeof(out->state_change),
                                         .flags = from->state_change->flags,
                                         .is_resync = from->state_change->is_resync};
        return decode_set_in(arena, from->state_change->set, &out->state_change.set);
    case IN_RESYNC:
        return from->in_case == WIRE_REQUEST__IN_RESYNC &&
               decode_resync_in(arena, from->resync, &out->resync);
    case IN_CHANGES:
        return from->in_case == WIRE_REQUEST__IN_CHANGES &&
               decode_changes_in(arena, from->changes, &out->changes);
    case IN_UNLOAD:
        out->on_unload = (struct vss_on_unload_in){.struct_size = sizeof(out->on_unload)};
        out->on_unload.is_forced =
            from->in_case == WIRE_REQUEST__IN_UNLOAD ? from->unload->is_forced : 1;
        return true;
    case IN_LOAD:
        out->on_load = (struct vss_on_load_in){.struct_size = sizeof(out->on_load)};
        return true;
    case IN_NONE:
        break;
    }
    return true;
}

/* ---- frames ------------------------------------------------------------------------------------
 */

static bool take_section(struct provider_arena *arena, const WireSection *from,
                         struct config_section *out)
{
    struct config_pair *pairs = provider_arena_alloc(arena, from->n_pairs * sizeof(*pairs));
    if (!pairs) {
        return false;
    }
    for (size_t i = 0; i < from->n_pairs; i++) {
        pairs[i] = (struct config_pair){.key = from->pairs[i]->key, .value = from->pairs[i]->value};
    }
    *out = (struct config_section){
        .kind = from->kind, .name = from->name, .pairs = pairs, .pair_count = from->n_pairs};
    return true;
}

static bool take_hello(struct provider_arena *arena, const WireHello *from, struct wire_hello *out)
{
    struct config_section *sections =
        provider_arena_alloc(arena, from->n_sections * sizeof(*sections));
    bool ok = sections && from->n_sections > 0;
    for (size_t i = 0; ok && i < from->n_sections; i++) {
        ok = take_section(arena, from->sections[i], &sections[i]);
    }
    out->config = (struct config){
        .path = (char *)"", .sections = sections, .section_count = from->n_sections};
    out->log_level = from->log_level;
    return ok;
}

static bool take_facts(const WireFacts *from, struct wire_facts *out)
{
    *out = (struct wire_facts){.result = from->result,
                               .error = from->error,
                               .path = from->path,
                               .name = from->name,
                               .version = from->version,
                               .abi_major = (uint16_t)from->abi_major,
                               .abi_minor = (uint16_t)from->abi_minor,
                               .ops = from->ops};
    if (FAILED(from->result)) {
        return true;
    }
    return from->path && from->name && from->version && from->has_provider_id &&
           from->has_version_id && decode_id(from->provider_id, &out->provider_id) &&
           decode_id(from->version_id, &out->version_id);
}

static bool take_request(struct provider_arena *arena, const WireRequest *from,
                         struct wire_request *out)
{
    if (from->op >= VSS_OP_COUNT) {
        return false;
    }
    out->number = from->number;
    out->op = (enum vss_provider_op)from->op;
    out->deadline_ms = from->deadline_ms;
    return decode_in(arena, from, in_shape_of(out->op), &out->in);
}

static bool take_content(struct provider_arena *arena, const WireFrame *frame,
                         struct wire_frame *out)
{
    switch (frame->content_case) {
    case WIRE_FRAME__CONTENT_HELLO:
        out->kind = WIRE_HELLO;
        return take_hello(arena, frame->hello, &out->hello);
    case WIRE_FRAME__CONTENT_FACTS:
        out->kind = WIRE_FACTS;
        return take_facts(frame->facts, &out->facts);
    case WIRE_FRAME__CONTENT_REQUEST:
        out->kind = WIRE_REQUEST;
        return take_request(arena, frame->request, &out->request);
    case WIRE_FRAME__CONTENT_REPLY:
        out->kind = WIRE_REPLY;
        out->reply = (struct wire_reply){.number = frame->reply->number,
                                         .result = frame->reply->result,
                                         .error = frame->reply->error};
        out->message = frame->reply;
        return true;
    case WIRE_FRAME__CONTENT_LOG:
        out->kind = WIRE_LOG;
        out->log = (struct wire_log){.level = frame->log->level, .text = frame->log->text};
        return true;
    default:
        return false;
    }
}

HRESULT wire_decode(const uint8_t *content, size_t bytes, struct provider_arena *arena,
                    struct wire_frame *out)
{
    struct budget budget = {.arena = arena, .bytes_left = WIRE_DECODED_BYTES_MAX};
    ProtobufCAllocator allocator = {.alloc = take, .free = give_back, .allocator_data = &budget};
    *out = (struct wire_frame){0};
    WireFrame *frame = wire_frame__unpack(&allocator, bytes, content);
    return frame && take_content(arena, frame, out) ? S_OK : VSS_E_UNEXPECTED;
}

/* ---- outputs -----------------------------------------------------------------------------------
 */

static HRESULT wrong_kind(enum vss_provider_op op, struct error *err)
{
    return error_set(err, VSS_E_UNEXPECTED, "the answer to %s is of another kind",
                     provider_op_name(op));
}

static HRESULT wrong_count(enum vss_provider_op op, size_t count, uint32_t lun_count,
                           struct error *err)
{
    return error_set(err, VSS_E_UNEXPECTED, "%s answered with %zu LUNs where %u were asked about",
                     provider_op_name(op), count, lun_count);
}

static void take_capabilities(const WireCapabilitiesOut *from, struct vss_capabilities_out *out)
{
    *out = (struct vss_capabilities_out){.struct_size = sizeof(*out),
                                         .differential = from->differential,
                                         .plex = from->plex,
                                         .resync = from->resync,
                                         .mask = from->mask,
                                         .read_only = from->read_only,
                                         .consistent_set = from->consistent_set,
                                         .resize = from->resize,
                                         .max_snapshots_per_lun = from->max_snapshots_per_lun,
                                         .description = from->description};
}

static HRESULT take_luns(const WireLuns *from, enum vss_provider_op op, uint32_t lun_count,
                         struct provider_arena *arena, struct vss_lun_info **out, struct error *err)
{
    *out = NULL;
    if (!from) {
        return S_OK;
    }
    if (from->count != lun_count) {
        return wrong_count(op, from->count, lun_count, err);
    }
    struct flat_reader r = read_luns(arena, from);
    struct vss_lun_info *luns = flat_take_room(&r, lun_count, FLAT_INFO_NUMBERS, sizeof(*luns));
    for (size_t i = 0; !r.is_bad && i < lun_count; i++) {
        flat_take_info(&r, &luns[i]);
    }
    if (r.is_bad) {
        return error_set(err, VSS_E_UNEXPECTED,
                         "%s answered with an info that no LUN can have: a designator over 255 "
                         "bytes, or a field out of its range",
                         provider_op_name(op));
    }
    *out = luns;
    return S_OK;
}

static HRESULT bad_state(enum vss_provider_op op, size_t bytes, struct error *err)
{
    return error_set(err, VSS_E_UNEXPECTED, "%s returned %zu bytes of state; the limit is %u",
                     provider_op_name(op), bytes, VSS_PROVIDER_STATE_BYTES_MAX);
}

static HRESULT take_states(const WireStatesOut *from, enum vss_provider_op op, uint32_t lun_count,
                           struct provider_arena *arena, struct vss_states_out *out,
                           struct error *err)
{
    *out = (struct vss_states_out){
        .struct_size = sizeof(*out),
        .first_cut_us = from->first_cut_us,
        .last_cut_us = from->last_cut_us,
        .hold = {.held_at_us = from->held_at_us, .released_at_us = from->released_at_us}};
    if (!from->states) {
        return S_OK;
    }
    if (from->states->count != lun_count) {
        return wrong_count(op, from->states->count, lun_count, err);
    }
    struct flat_reader r = read_luns(arena, from->states);
    struct vss_state *states = flat_take_room(&r, lun_count, FLAT_STATE_NUMBERS, sizeof(*states));
    for (size_t i = 0; !r.is_bad && i < lun_count; i++) {
        flat_take_state(&r, &states[i]);
    }
    if (r.is_bad) {
        return bad_state(op, r.long_state_bytes, err);
    }
    out->states = states;
    return S_OK;
}

static HRESULT take_resync(const WireResyncOut *from, enum vss_provider_op op,
                           struct provider_arena *arena, struct vss_resync_out *out,
                           struct error *err)
{
    *out = (struct vss_resync_out){.struct_size = sizeof(*out),
                                   .is_done = from->is_done,
                                   .bytes_total = from->bytes_total,
                                   .bytes_done = from->bytes_done,
                                   .method = from->method};
    return decode_state(arena, from->state, &out->state)
               ? S_OK
               : bad_state(op, from->state->data.len, err);
}

static HRESULT take_changes(const WireChangesOut *from, enum vss_provider_op op,
                            struct provider_arena *arena, struct vss_changes_out *out,
                            struct error *err)
{
    size_t count = from->n_numbers / 2;
    if (from->n_numbers % 2) {
        return error_set(err, VSS_E_UNEXPECTED, "%s counts extents that it does not give",
                         provider_op_name(op));
    }
    if (count > VSS_PROVIDER_EXTENTS_MAX) {
        return error_set(err, VSS_E_UNEXPECTED, "%s named %zu extents; the limit is %u",
                         provider_op_name(op), count, VSS_PROVIDER_EXTENTS_MAX);
    }
    struct vss_extent *extents = provider_arena_alloc(arena, count * sizeof(*extents));
    if (!extents) {
        return error_set(err, E_OUTOFMEMORY, "out of memory reading an answer");
    }
    for (size_t i = 0; i < count; i++) {
        extents[i] = (struct vss_extent){from->numbers[2 * i], from->numbers[2 * i + 1]};
    }
    *out = (struct vss_changes_out){.struct_size = sizeof(*out),
                                    .is_known = from->is_known,
                                    .extent_count = (uint32_t)count,
                                    .extents = extents,
                                    .next_byte = from->next_byte};
    return S_OK;
}

HRESULT wire_take_out(const struct wire_frame *frame, enum vss_provider_op op, uint32_t lun_count,
                      struct provider_arena *arena, void *out, struct error *err)
{
    const WireReply *reply = frame->message;
    struct vss_supported_out *supported = out;
    struct vss_target_luns_out *targets = out;
    switch (out_shape_of(op)) {
    case OUT_CAPABILITIES:
        if (reply->out_case != WIRE_REPLY__OUT_CAPABILITIES) {
            return wrong_kind(op, err);
        }
        take_capabilities(reply->capabilities, out);
        return S_OK;
    case OUT_SUPPORTED:
        if (reply->out_case != WIRE_REPLY__OUT_LUNS) {
            return wrong_kind(op, err);
        }
        supported->is_supported = reply->luns->is_supported;
        return take_luns(reply->luns->luns, op, lun_count, arena, &supported->luns, err);
    case OUT_TARGETS:
        return reply->out_case == WIRE_REPLY__OUT_LUNS
                   ? take_luns(reply->luns->luns, op, lun_count, arena, &targets->luns, err)
                   : wrong_kind(op, err);
    case OUT_STATES:
        return reply->out_case == WIRE_REPLY__OUT_STATES
                   ? take_states(reply->states, op, lun_count, arena, out, err)
                   : wrong_kind(op, err);
    case OUT_RESYNC:
        return reply->out_case == WIRE_REPLY__OUT_RESYNC
                   ? take_resync(reply->resync, op, arena, out, err)
                   : wrong_kind(op, err);
    case OUT_CHANGES:
        return reply->out_case == WIRE_REPLY__OUT_CHANGES
                   ? take_changes(reply->changes, op, arena, out, err)
                   : wrong_kind(op, err);
    case OUT_NONE:
    case OUT_LOAD:
        break;
    }
    return S_OK;
}

uint32_t wire_lun_count(enum vss_provider_op op, const void *in)
{
    const struct vss_luns_in *luns = in;
    const struct vss_set_in *set = in;
    const struct vss_state_change_in *change = in;
    const struct vss_resync_in *resync = in;
    switch (in_shape_of(op)) {
    case IN_LUNS:
        return luns->lun_count;
    case IN_SET:
        return set->lun_count;
    case IN_STATE_CHANGE:
        return change->set.lun_count;
    case IN_RESYNC:
        return resync->lun_count;
    case IN_CHANGES:
        return 1;
    default:
        return 0;
    }
}
