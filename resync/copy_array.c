/* SPDX-License-Identifier: Apache-2.0 */
/* ResyncLuns: the array copies by itself. */
#include "common/buffer.h"
#include "common/clock.h"
#include "resync/copy.h"

#include <stdlib.h>
#include <string.h>

/* Between two polls of an array that copies by itself. */
#define POLL_PAUSE_MS 20

struct vss_resync_lun copy_pair(const struct recovery_disk *disk)
{
    const struct edges *e = disk->edges;
    uint32_t edge = e->head_blocks > e->tail_blocks ? e->head_blocks : e->tail_blocks;
    return (struct vss_resync_lun){
        .snapshot = disk->mapping->copy,
        .destination = disk->info,
        .snapshot_state = {.bytes = disk->mapping->state_bytes, .data = disk->mapping->state},
        .edge_bytes = (uint64_t)edge * e->block_bytes,
    };
}

/* What ResyncLuns is told about each pair. */
static struct vss_resync_lun *build_pairs(const struct recovery *r)
{
    struct vss_resync_lun *pairs = calloc(r->disk_count, sizeof(*pairs));
    for (size_t i = 0; pairs && i < r->disk_count; i++) {
        pairs[i] = copy_pair(&r->disks[i]);
    }
    return pairs;
}

static HRESULT keep_state(struct recovery *r, struct buffer *state,
                          const struct vss_resync_out *out, struct error *err)
{
    atomic_store(&r->env->progress_total, out->bytes_total);
    atomic_store(&r->env->progress_done, out->bytes_done);
    if (out->method) {
        free(r->method);
        r->method = text_copy(out->method);
    }
    if (!out->state.data) {
        return S_OK;
    }
    if (out->state.bytes > VSS_PROVIDER_STATE_BYTES_MAX) {
        return error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                         "ResyncLuns returned %u bytes of state; the limit is %u", out->state.bytes,
                         VSS_PROVIDER_STATE_BYTES_MAX);
    }
    state->length = 0;
    buffer_add(state, out->state.data, out->state.bytes);
    HRESULT hr = buffer_status(state);
    return SUCCEEDED(hr) ? journal_step(r->env->store, &r->journal_id, RESYNC_STEP_COPY, NULL,
                                        state->data, state->length, err)
                         : error_set(err, hr, "out of memory keeping a resync's state");
}

/* Before 0.10 that code said nothing of what was written. */
static bool says_what_it_began(const struct provider *provider)
{
    const struct vss_provider_table *table = provider_table(provider);
    return table->abi_major > 0 || table->abi_minor >= 10;
}

static HRESULT call_resync(struct recovery *r, enum vss_provider_op op,
                           const struct vss_resync_lun *pairs, struct buffer *state, bool *out_done,
                           struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_resync_in in = {
        .struct_size = sizeof(in),
        .lun_count = (uint32_t)r->disk_count,
        .resync_id = r->resync_id,
        .luns = pairs,
        .state = {.bytes = (uint32_t)state->length, .data = (const uint8_t *)state->data},
    };
    struct vss_resync_out out = {0};
    HRESULT hr = provider_call(r->provider, op, &in, &out, &arena, 0, err);
    if (op == VSS_OP_RESYNC_START && hr == VSS_E_OBJECT_NOT_FOUND) {
        r->is_not_begun = says_what_it_began(r->provider);
    }
    if (SUCCEEDED(hr)) {
        *out_done = out.is_done != 0;
        hr = keep_state(r, state, &out, err);
    }
    provider_arena_free(&arena);
    return hr;
}

static void stop(struct recovery *r, const struct vss_resync_lun *pairs, struct buffer *state)
{
    bool is_done = false;
    HRESULT hr = call_resync(r, VSS_OP_RESYNC_CANCEL, pairs, state, &is_done, NULL);
    if (SUCCEEDED(hr) || hr == VSS_E_OBJECT_NOT_FOUND) {
        entry_note_stopped(r);
    }
}

HRESULT copy_in_array(struct recovery *r, struct error *err)
{
    struct buffer state = BUFFER_INIT;
    bool is_done = false;
    struct vss_resync_lun *pairs = build_pairs(r);
    if (!pairs) {
        return error_set(err, E_OUTOFMEMORY, "out of memory calling ResyncLuns");
    }
    HRESULT hr = call_resync(r, VSS_OP_RESYNC_START, pairs, &state, &is_done, err);
    while (SUCCEEDED(hr) && !is_done) {
        if (atomic_load(&r->env->cancelled)) {
            hr = error_set(err, E_ABORT, "cancelled while the array was copying");
        } else {
            hr = call_resync(r, VSS_OP_RESYNC_POLL, pairs, &state, &is_done, err);
        }
        if (SUCCEEDED(hr) && !is_done) {
            clock_sleep_ms(POLL_PAUSE_MS);
        }
    }
    /* What goes on by itself would write behind our back; it may do so too where the answer to the
     * start alone was lost. */
    if (FAILED(hr)) {
        stop(r, pairs, &state);
    }
    free(pairs);
    buffer_free(&state);
    return hr;
}

/* ---- earlier ones ---------------------------------------------------------------------------- */

static HRESULT cancel_entry(struct recovery *r, const struct journal_entry *entry,
                            const struct vss_resync_lun *pairs, struct vss_resync_lun *room,
                            struct error *err)
{
    const struct journal_step *last = journal_find_step(entry, RESYNC_STEP_COPY, NULL);
    uint32_t count = 0;
    for (size_t i = 0; last && i < r->disk_count; i++) {
        if (journal_speaks_of(entry, r->disks[i].key)) {
            room[count++] = pairs[i];
        }
    }
    if (count == 0) {
        return S_OK;
    }
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_resync_in in = {
        .struct_size = sizeof(in),
        .lun_count = count,
        .resync_id = entry->object_id,
        .luns = room,
        .state = {.bytes = (uint32_t)last->data_bytes, .data = last->data},
    };
    struct vss_resync_out out = {0};
    HRESULT hr = provider_call(r->provider, VSS_OP_RESYNC_CANCEL, &in, &out, &arena, 0, err);
    provider_arena_free(&arena);
    if (FAILED(hr) && hr != VSS_E_OBJECT_NOT_FOUND) { /* that: the array has forgotten it */
        error_prefix(err,
                     "array %s may be copying still for a resync that did not end, and could "
                     "not be told to stop",
                     provider_array(r->provider));
        return hr;
    }
    return S_OK;
}

HRESULT copy_cancel_earlier(struct recovery *r, struct error *err)
{
    struct vss_resync_lun *pairs = build_pairs(r);
    struct vss_resync_lun *room = calloc(r->disk_count + 1, sizeof(*room));
    HRESULT hr =
        pairs && room ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory calling ResyncLuns");
    for (size_t i = 0; SUCCEEDED(hr) && i < r->adopted_kept; i++) {
        hr = cancel_entry(r, &r->adopted[i], pairs, room, err);
    }
    free(room);
    free(pairs);
    return hr;
}
