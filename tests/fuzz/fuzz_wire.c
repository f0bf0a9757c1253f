/* SPDX-License-Identifier: Apache-2.0 */

/* Frames of a plug-in's process, and of recordings: what decodes is encoded to bytes that decode to
 * the same again. The first byte of the input chooses the operation that a reply answers, the
 * second how many LUNs that was about; the rest is the frame. */

#include "fuzz/fuzz.h"

#include <string.h>

#include "provider/host/internal.h"
#include "provider/host/wire/shape.h"
#include "provider/host/wire/wire.h"

#define HEADER_BYTES 2u

/* The question that a reply answers. */
struct question {
    enum vss_provider_op op;
    uint32_t lun_count;
};

/* ---- what must hold of what was decoded ---- */

static size_t touch(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    size_t sum = 0;
    for (size_t i = 0; i < bytes; i++) {
        sum += at[i];
    }
    return sum;
}

static size_t touch_text(const char *text)
{
    return text ? strlen(text) : 0;
}

static size_t touch_state(const struct vss_state *state)
{
    fuzz_check(state->bytes <= VSS_PROVIDER_STATE_BYTES_MAX);
    fuzz_check(state->data || state->bytes == 0);
    return touch(state->data, state->bytes);
}

static size_t check_info(const struct vss_lun_info *info)
{
    size_t sum = touch_text(info->vendor_id) + touch_text(info->product_id) +
                 touch_text(info->product_revision) + touch_text(info->serial_number);
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *id = &info->device_id.identifiers[i];
        fuzz_check(id->identifier_bytes <= 255);
        sum += touch(id->identifier, id->identifier_bytes);
    }
    for (uint32_t i = 0; i < info->interconnect_count; i++) {
        const struct vss_interconnect *path = &info->interconnects[i];
        sum += touch(path->port, path->port_bytes) + touch(path->address, path->address_bytes);
    }
    return sum;
}

static size_t check_infos(const struct vss_lun_info *luns, uint32_t count)
{
    size_t sum = 0;
    for (uint32_t i = 0; luns && i < count; i++) {
        sum += check_info(&luns[i]);
    }
    return sum;
}

static size_t check_set(const struct vss_set_in *in)
{
    size_t sum = touch_text(in->initiator);
    for (uint32_t i = 0; i < in->lun_count; i++) {
        const struct vss_set_lun *lun = &in->luns[i];
        sum += touch_text(lun->device) + touch_state(&lun->state);
        sum += check_info(&lun->source) + check_info(&lun->destination);
    }
    return sum;
}

static size_t check_pair(const struct vss_resync_lun *lun)
{
    return touch_state(&lun->snapshot_state) + check_info(&lun->snapshot) +
           check_info(&lun->destination);
}

static size_t check_resync(const struct vss_resync_in *in)
{
    size_t sum = touch_state(&in->state);
    for (uint32_t i = 0; i < in->lun_count; i++) {
        sum += check_pair(&in->luns[i]);
    }
    return sum;
}

static size_t check_in(const struct wire_request *request)
{
    const union wire_in *in = &request->in;
    size_t sum = 0;
    switch (in_shape_of(request->op)) {
    case IN_LUNS:
        for (uint32_t i = 0; i < in->luns.lun_count; i++) {
            sum += touch_text(in->luns.devices[i]);
        }
        return sum + check_infos(in->luns.luns, in->luns.lun_count);
    case IN_SET:
        return check_set(&in->set);
    case IN_STATE_CHANGE:
        return check_set(&in->state_change.set);
    case IN_RESYNC:
        return check_resync(&in->resync);
    case IN_CHANGES:
        return check_pair(in->changes.lun);
    default:
        return 0;
    }
}

static size_t check_out(const struct question *q, const union wire_out *out)
{
    size_t sum = 0;
    switch (out_shape_of(q->op)) {
    case OUT_CAPABILITIES:
        return touch_text(out->capabilities.description);
    case OUT_SUPPORTED:
        return check_infos(out->supported.luns, q->lun_count);
    case OUT_TARGETS:
        return check_infos(out->target_luns.luns, q->lun_count);
    case OUT_STATES:
        for (uint32_t i = 0; out->states.states && i < q->lun_count; i++) {
            sum += touch_state(&out->states.states[i]);
        }
        return sum;
    case OUT_RESYNC:
        return touch_state(&out->resync.state) + touch_text(out->resync.method);
    case OUT_CHANGES:
        fuzz_check(out->changes.extent_count <= VSS_PROVIDER_EXTENTS_MAX);
        return touch(out->changes.extents,
                     out->changes.extent_count * sizeof(*out->changes.extents));
    default:
        return 0;
    }
}

/* ---- once more ---- */

static HRESULT encode_hello(const struct wire_hello *hello, struct wire_content *out)
{
    struct config others = hello->config;
    others.sections++;
    others.section_count--;
    return wire_encode_hello(&others, hello->config.sections, hello->log_level, out);
}

/* Both outputs stay empty where there is nothing to encode: a reply that does not fit the question.
 */
static void encode_reply(const struct wire_frame *frame, const struct question *q,
                         struct provider_arena *arena, struct wire_content *out)
{
    union wire_out taken;
    struct error err = {0};
    memset(&taken, 0, sizeof(taken));
    if (SUCCEEDED(frame->reply.result)) {
        HRESULT hr = wire_take_out(frame, q->op, q->lun_count, arena, &taken, &err);
        if (FAILED(hr)) {
            fuzz_check(hr == VSS_E_UNEXPECTED && fuzz_is_line(err.text));
            return;
        }
        (void)check_out(q, &taken);
    }
    fuzz_check(wire_encode_reply(&frame->reply, q->op, &taken, q->lun_count, out) == S_OK);
}

static void encode_again(const struct wire_frame *frame, const struct question *q,
                         struct provider_arena *arena, struct wire_content *out)
{
    const struct wire_request *request = &frame->request;
    switch (frame->kind) {
    case WIRE_HELLO:
        fuzz_check(encode_hello(&frame->hello, out) == S_OK);
        break;
    case WIRE_FACTS:
        (void)touch_text(frame->facts.name);
        fuzz_check(wire_encode_facts(&frame->facts, out) == S_OK);
        break;
    case WIRE_REQUEST:
        (void)check_in(request);
        fuzz_check(wire_encode_request(request->number, request->op, request->deadline_ms,
                                       &request->in, out) == S_OK);
        break;
    case WIRE_REPLY:
        encode_reply(frame, q, arena, out);
        break;
    case WIRE_LOG:
        fuzz_check(wire_encode_log(frame->log.level, frame->log.text, out) == S_OK);
        break;
    case WIRE_NONE:
        fuzz_check(frame->kind != WIRE_NONE);
    }
}

/* The same, from a frame of ours: it must decode. */
static void check_same_again(const struct wire_content *once, const struct question *q)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct wire_content twice = {0};
    struct wire_frame frame;
    fuzz_check(wire_decode(once->data, once->bytes, &arena, &frame) == S_OK);
    encode_again(&frame, q, &arena, &twice);
    fuzz_check(twice.data && twice.bytes == once->bytes);
    fuzz_check(memcmp(twice.data, once->data, once->bytes) == 0);
    free(twice.data);
    provider_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct wire_content once = {0};
    struct wire_frame frame;
    if (size < HEADER_BYTES) {
        return 0;
    }
    const struct question q = {(enum vss_provider_op)(data[0] % VSS_OP_COUNT), data[1]};
    HRESULT hr = wire_decode(data + HEADER_BYTES, size - HEADER_BYTES, &arena, &frame);
    fuzz_check(hr == S_OK || hr == VSS_E_UNEXPECTED);
    if (SUCCEEDED(hr)) {
        encode_again(&frame, &q, &arena, &once);
    }
    if (once.data) {
        check_same_again(&once, &q);
    }
    free(once.data);
    provider_arena_free(&arena);
    return 0;
}
