/* SPDX-License-Identifier: Apache-2.0 */
/* What a plug-in can ask of its host during a call. */
#include "common/clock.h"
#include "common/log.h"
#include "provider/guard.h"
#include "provider/host/internal.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Where sanitizers watch, every piece has a block of its own, so that they see who leaves it. */
#ifdef __SANITIZE_ADDRESS__
enum { BLOCK_BYTES_MIN = 0, BLOCK_BYTES_MAX = 0 };
#else
enum { BLOCK_BYTES_MIN = 4096, BLOCK_BYTES_MAX = 32 * 1024 };
#endif

/* Pieces are cut off the newest block, which is larger than the one before. */
struct provider_block {
    struct provider_block *next;
    size_t used;
    size_t bytes;
    alignas(max_align_t) uint8_t data[];
};

struct vss_hold {
    struct vss_hold *next; /* of its call */
    struct guard *guard;
};

static size_t next_block_bytes(const struct provider_block *newest, size_t wanted)
{
    size_t bytes = newest ? 2 * newest->bytes : BLOCK_BYTES_MIN;
    if (bytes > BLOCK_BYTES_MAX) {
        bytes = BLOCK_BYTES_MAX;
    }
    return wanted > bytes ? wanted : bytes;
}

void *provider_arena_alloc(struct provider_arena *arena, uint64_t bytes)
{
    const size_t grain = alignof(max_align_t);
    if (bytes > PTRDIFF_MAX - sizeof(struct provider_block) - grain) {
        return NULL;
    }
    size_t wanted = bytes ? ((size_t)bytes + grain - 1) / grain * grain : grain;
    struct provider_block *block = arena->first;
    if (!block || block->bytes - block->used < wanted) {
        size_t room = next_block_bytes(block, wanted);
        block = calloc(1, sizeof(*block) + room);
        if (!block) {
            arena->is_short = true;
            return NULL;
        }
        block->bytes = room;
        block->next = arena->first;
        arena->first = block;
    }
    void *piece = block->data + block->used;
    block->used += wanted;
    return piece;
}

void provider_arena_free(struct provider_arena *arena)
{
    while (arena->first) {
        struct provider_block *block = arena->first;
        arena->first = block->next;
        free(block);
    }
    arena->is_short = false;
}

void provider_arena_join(struct provider_arena *arena, struct provider_arena *from)
{
    struct provider_block **last = &from->first;
    while (*last) {
        last = &(*last)->next;
    }
    *last = arena->first;
    arena->first = from->first;
    from->first = NULL;
}

static struct provider_call_context *context_of(const struct vss_call *call)
{
    return call->host_data;
}

static void *service_alloc(const struct vss_call *call, uint64_t bytes)
{
    return provider_arena_alloc(context_of(call)->arena, bytes);
}

static void service_log(const struct vss_call *call, uint32_t level, const char *line)
{
    enum log_level ours = level > VSS_LOG_DEBUG ? LOG_DEBUG : (enum log_level)level;
    log_line(ours, "%s array=%s", line, call->array);
}

static void service_error(const struct vss_call *call, const char *line)
{
    struct error *error = &context_of(call)->error;
    if (!error->text[0]) {
        (void)error_set(error, VSS_E_UNEXPECTED, "%s", line);
    }
}

static const char *service_config(const struct vss_call *call, const char *key)
{
    return config_value(context_of(call)->provider->section, key, NULL);
}

static HRESULT start_guard(const struct vss_hold_target *targets, uint32_t target_count,
                           uint32_t deadline_ms, struct guard **out, struct error *err)
{
    struct guard_target *copy = calloc(target_count, sizeof(*copy));
    if (!copy) {
        return E_OUTOFMEMORY;
    }
    for (uint32_t i = 0; i < target_count; i++) {
        copy[i] = (struct guard_target){.kind = GUARD_PROCESS, .pid = targets[i].pid};
    }
    HRESULT hr = guard_start(copy, target_count, deadline_ms, out, err);
    free(copy);
    return hr;
}

static HRESULT service_hold_begin(const struct vss_call *call,
                                  const struct vss_hold_target *targets, uint32_t target_count,
                                  uint32_t deadline_ms, struct vss_hold **out_hold)
{
    struct provider_call_context *context = context_of(call);
    *out_hold = NULL;
    if (!context->may_hold || !targets || target_count == 0) {
        return error_set(&context->service, E_INVALIDARG,
                         "a hold is only possible within CommitSnapshots, and of something");
    }
    struct vss_hold *hold = calloc(1, sizeof(*hold));
    if (!hold) {
        return E_OUTOFMEMORY;
    }
    HRESULT hr = start_guard(targets, target_count, deadline_ms, &hold->guard, &context->service);
    if (SUCCEEDED(hr)) {
        hr = guard_hold(hold->guard, &context->service);
        if (FAILED(hr)) {
            struct guard_report unused;
            (void)guard_release(hold->guard, &unused, NULL);
        }
    }
    if (FAILED(hr)) {
        free(hold);
        return hr;
    }
    hold->next = context->holds;
    context->holds = hold;
    *out_hold = hold;
    return S_OK;
}

/* False where the call has no such hold: never begun, or ended before. */
static bool take_hold(struct provider_call_context *context, const struct vss_hold *hold)
{
    for (struct vss_hold **at = &context->holds; *at; at = &(*at)->next) {
        if (*at == hold) {
            *at = hold->next;
            return true;
        }
    }
    return false;
}

bool provider_end_holds(struct provider_call_context *context)
{
    bool any = context->holds != NULL;
    while (context->holds) {
        struct vss_hold *hold = context->holds;
        context->holds = hold->next;
        (void)guard_release(hold->guard, NULL, NULL);
        free(hold);
    }
    return any;
}

static HRESULT service_hold_end(const struct vss_call *call, struct vss_hold *hold,
                                struct vss_hold_report *out_report)
{
    struct provider_call_context *context = context_of(call);
    struct guard_report report;
    if (!take_hold(context, hold)) {
        return error_set(&context->service, E_INVALIDARG, "no such hold in this call");
    }
    HRESULT hr = guard_release(hold->guard, &report, &context->broken);
    free(hold);
    out_report->held_at_us = report.held_at_us;
    out_report->released_at_us = report.released_at_us;
    return hr;
}

static uint64_t service_now_us(const struct vss_call *call)
{
    (void)call;
    return clock_monotonic_us();
}

static HRESULT service_lun_open(const struct vss_call *call, const char *device, uint32_t flags,
                                struct vss_host_lun **out_lun, struct vss_host_lun_info *info)
{
    struct provider_call_context *context = context_of(call);
    *out_lun = NULL;
    if (context->may_hold) {
        return error_set(&context->service, E_INVALIDARG,
                         "no LUN is opened within CommitSnapshots: its I/O may be held");
    }
    return lun_access_open(&context->luns, context->provider->config, device, flags, out_lun, info,
                           &context->service);
}

static HRESULT service_lun_read(const struct vss_call *call, struct vss_host_lun *lun, uint64_t lba,
                                uint32_t blocks, void *data)
{
    struct provider_call_context *context = context_of(call);
    return lun_access_read(&context->luns, lun, lba, blocks, data, &context->service);
}

static HRESULT service_lun_write(const struct vss_call *call, struct vss_host_lun *lun,
                                 uint64_t lba, uint32_t blocks, const void *data)
{
    struct provider_call_context *context = context_of(call);
    return lun_access_write(&context->luns, lun, lba, blocks, data, &context->service);
}

static HRESULT service_lun_close(const struct vss_call *call, struct vss_host_lun *lun)
{
    struct provider_call_context *context = context_of(call);
    return lun_access_close(&context->luns, lun, &context->service);
}

const struct vss_host provider_host_services = {
    .struct_size = sizeof(struct vss_host),
    .abi_major = VSS_PROVIDER_ABI_MAJOR,
    .abi_minor = VSS_PROVIDER_ABI_MINOR,
    .alloc = service_alloc,
    .log = service_log,
    .error = service_error,
    .config = service_config,
    .hold_begin = service_hold_begin,
    .hold_end = service_hold_end,
    .now_us = service_now_us,
    .lun_open = service_lun_open,
    .lun_read = service_lun_read,
    .lun_write = service_lun_write,
    .lun_close = service_lun_close,
};
