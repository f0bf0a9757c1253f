/* SPDX-License-Identifier: Apache-2.0 */
/* replay in a provider's place: answers as it was recorded. */
#include "provider/shims/play.h"

#include "common/buffer.h"
#include "provider/host/internal.h"
#include "provider/host/ops.h"
#include "provider/shims/shim.h"
#include "provider/shims/stack.h"

#include <stdlib.h>
#include <string.h>

struct play {
    struct recording recording;
    size_t at;                    /* behind what was answered last */
    uint64_t number;              /* of the request there, from 1 */
    char *position_path;          /* NULL: every process begins at the beginning */
    struct provider_arena memory; /* answers live as long as this process plays */
};

/* ---- where it is -------------------------------------------------------------------------------
 */

/* Moves over whole frames up to there, counting the requests. */
static HRESULT seek(struct play *p, size_t position)
{
    HRESULT hr = S_OK;
    while (hr == S_OK && p->at < position) {
        struct provider_arena arena = PROVIDER_ARENA_INIT;
        struct wire_frame frame;
        hr = recording_next(&p->recording, &p->at, &arena, &frame);
        p->number += hr == S_OK && frame.kind == WIRE_REQUEST;
        provider_arena_free(&arena);
    }
    return hr == S_OK && p->at == position ? S_OK : VSS_E_UNEXPECTED;
}

static HRESULT recall_position(struct play *p, struct error *err)
{
    size_t position = 0;
    if (p->position_path && recording_recall_position(p->position_path, &position) == S_OK &&
        position > 0 && FAILED(seek(p, position))) {
        return error_set(err, E_INVALIDARG, "%s names no place of %s; remove it", p->position_path,
                         p->recording.path);
    }
    return S_OK;
}

/* ---- what comes next ---------------------------------------------------------------------------
 */

/* The next request from at on; notes and the beginnings of processes are passed over, and so is the
 * reply of a call that is not asked for. S_FALSE: none. */
static HRESULT next_request(const struct play *p, size_t *at, struct provider_arena *arena,
                            struct wire_frame *out)
{
    HRESULT hr = recording_next(&p->recording, at, arena, out);
    while (hr == S_OK && out->kind != WIRE_REQUEST) {
        hr = recording_next(&p->recording, at, arena, out);
    }
    return hr;
}

/* OnLoad, OnUnload and the question for capabilities come with processes, which may be others now.
 */
static bool comes_with_processes(enum vss_provider_op op)
{
    return op == VSS_OP_ON_LOAD || op == VSS_OP_ON_UNLOAD || op == VSS_OP_GET_CAPABILITIES;
}

/* The one that is to be answered: the next one, without what comes with processes where something
 * else is asked. */
static HRESULT find_request(const struct play *p, enum vss_provider_op op, size_t *at,
                            uint64_t *number, struct provider_arena *arena, struct wire_frame *out)
{
    HRESULT hr = S_OK;
    do {
        hr = next_request(p, at, arena, out);
        *number += hr == S_OK;
    } while (hr == S_OK && out->request.op != op && !comes_with_processes(op) &&
             comes_with_processes(out->request.op));
    return hr;
}

static HRESULT complain(const struct vss_call *call, char *line)
{
    call->host->error(call, line ? line : "out of memory");
    free(line);
    return VSS_E_PROVIDER_VETO;
}

static HRESULT check_request(const struct wire_request *recorded, uint64_t number,
                             enum vss_provider_op op, const struct vss_call *call, const void *in)
{
    char *difference = NULL;
    const char *name = op_find(op)->name;
    if (recorded->op != op) {
        return complain(call,
                        text_printf("replay: call %llu of the recording is %s, not %s",
                                    (unsigned long long)number, op_find(recorded->op)->name, name));
    }
    HRESULT hr = play_compare(op, &recorded->in, in, &difference);
    if (FAILED(hr) || !difference) {
        return hr;
    }
    char *line = text_printf("replay: %s, call %llu of the recording, was asked something else: %s",
                             name, (unsigned long long)number, difference);
    free(difference);
    return complain(call, line);
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static HRESULT answer(struct play *p, enum vss_provider_op op, const struct vss_call *call,
                      const void *in, const struct wire_frame *frame, void *out)
{
    struct error err = {0};
    if (frame->reply.error) {
        call->host->error(call, frame->reply.error);
    }
    if (FAILED(frame->reply.result) || !op_find(op)->out_bytes) {
        return frame->reply.result;
    }
    HRESULT hr = wire_take_out(frame, op, wire_lun_count(op, in), &p->memory, out, &err);
    if (FAILED(hr)) {
        call->host->error(call, error_text(&err));
        return VSS_E_PROVIDER_VETO;
    }
    return frame->reply.result;
}

/* What was recorded for the request before at. */
static HRESULT take_reply(struct play *p, size_t *at, uint64_t number, enum vss_provider_op op,
                          const struct vss_call *call, const void *in, void *out)
{
    struct wire_frame frame;
    size_t behind = *at;
    HRESULT hr = recording_next(&p->recording, &behind, &p->memory, &frame);
    if (hr != S_OK || frame.kind != WIRE_REPLY) {
        (void)complain(call, text_printf("replay: in call %llu, %s, the recorded process ended",
                                         (unsigned long long)number, op_find(op)->name));
        return VSS_E_UNEXPECTED_PROVIDER_ERROR;
    }
    *at = behind;
    return answer(p, op, call, in, &frame, out);
}

/* Something else was recorded there: what was said first, or nothing. */
static HRESULT answer_with_process(struct play *p, enum vss_provider_op op,
                                   const struct vss_call *call, const void *in, void *out)
{
    size_t at = 0;
    uint64_t number = 0;
    struct wire_frame frame;
    HRESULT hr = op == VSS_OP_GET_CAPABILITIES ? S_OK : S_FALSE;
    while (hr == S_OK) {
        hr = next_request(p, &at, &p->memory, &frame);
        number++;
        if (hr == S_OK && frame.request.op == op) {
            return take_reply(p, &at, number, op, call, in, out);
        }
    }
    return SUCCEEDED(hr) ? S_OK : hr;
}

static HRESULT play_call(struct shim_layer *layer, enum vss_provider_op op,
                         const struct vss_call *call, const void *in, void *out)
{
    struct play *p = layer->data;
    struct wire_frame frame;
    size_t at = p->at;
    uint64_t number = p->number;
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    HRESULT hr = find_request(p, op, &at, &number, &arena, &frame);
    bool is_it = hr == S_OK && frame.request.op == op;
    if (comes_with_processes(op) && SUCCEEDED(hr) && !is_it) {
        provider_arena_free(&arena);
        return answer_with_process(p, op, call, in, out);
    }
    if (FAILED(hr)) {
        hr = complain(call, text_printf("replay: what is behind call %llu of the recording cannot "
                                        "be read",
                                        (unsigned long long)number));
    } else if (hr != S_OK) {
        hr = complain(call, text_printf("replay: the recording ends after %llu calls; %s was not "
                                        "recorded",
                                        (unsigned long long)number, op_find(op)->name));
    } else {
        hr = check_request(&frame.request, number, op, call, in);
    }
    provider_arena_free(&arena);
    if (FAILED(hr)) {
        return hr;
    }
    hr = take_reply(p, &at, number, op, call, in, out);
    p->at = at;
    p->number = number;
    if (p->position_path && FAILED(recording_keep_position(p->position_path, at))) {
        return complain(call,
                        text_copy("replay: the file of \"replay_position\" cannot be written"));
    }
    return hr;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

/* The first facts say whose table this is. */
static HRESULT take_facts(struct play *p, struct shim_layer *layer, struct error *err)
{
    size_t at = 0;
    struct wire_frame frame;
    HRESULT hr = recording_next(&p->recording, &at, &p->memory, &frame);
    while (hr == S_OK && frame.kind == WIRE_LOG) {
        hr = recording_next(&p->recording, &at, &p->memory, &frame);
    }
    if (hr != S_OK || frame.kind != WIRE_FACTS || FAILED(frame.facts.result)) {
        return error_set(err, E_INVALIDARG, "%s does not say whose recording it is",
                         p->recording.path);
    }
    layer->table = (struct vss_provider_table){.magic = VSS_PROVIDER_MAGIC,
                                               .struct_size = sizeof(layer->table),
                                               .abi_major = frame.facts.abi_major,
                                               .abi_minor = frame.facts.abi_minor,
                                               .provider_id = frame.facts.provider_id,
                                               .version_id = frame.facts.version_id,
                                               .name = frame.facts.name,
                                               .version = frame.facts.version,
                                               .type = VSS_PROV_HARDWARE,
                                               .op_count = VSS_OP_COUNT};
    shim_fill_table(layer, frame.facts.ops);
    return S_OK;
}

static HRESULT play_open(struct shim_layer *layer, const struct config_section *section,
                         struct error *err)
{
    const char *path = config_value(section, "replay_file", NULL);
    const char *position = config_value(section, "replay_position", NULL);
    struct play *p = calloc(1, sizeof(*p));
    layer->data = p;
    if (p && position) {
        p->position_path = text_copy(position);
    }
    if (!p || (position && !p->position_path)) {
        return error_set(err, E_OUTOFMEMORY, "out of memory");
    }
    if (!path) {
        return error_set(err, E_INVALIDARG, "\"replay_file =\" must name the recording to play");
    }
    HRESULT hr = recording_load(path, &p->recording, err);
    if (SUCCEEDED(hr)) {
        hr = take_facts(p, layer, err);
    }
    return SUCCEEDED(hr) ? recall_position(p, err) : hr;
}

static void play_close(struct shim_layer *layer)
{
    struct play *p = layer->data;
    if (p) {
        recording_free(&p->recording);
        provider_arena_free(&p->memory);
        free(p->position_path);
    }
    free(p);
}

const struct shim shim_play = {
    .name = "replay", .open = play_open, .call = play_call, .close = play_close};

const char *shims_recording(const struct shim_layer *layer)
{
    while (layer->next) {
        layer = layer->next;
    }
    return layer->shim == &shim_play ? ((const struct play *)layer->data)->recording.path : NULL;
}
