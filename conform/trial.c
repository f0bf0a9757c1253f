/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/trial.h"

#include "common/clock.h"
#include "common/id.h"
#include "conform/cases.h"

#include <stdlib.h>
#include <string.h>

void trial_start(struct trial *t, struct conform *c)
{
    uint32_t lun_count =
        c->provider && !conform_is_claimed(c, NEEDS_CONSISTENT_SET) ? 1 : TRIAL_LUNS;
    *t = (struct trial){.c = c,
                        .lun_count = lun_count,
                        .set_id = id_new(),
                        .context = VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE,
                        .onto_count = lun_count};
    for (size_t i = 0; i < TRIAL_LUNS; i++) {
        t->onto[i] = i;
        t->luns[i] = (struct vss_set_lun){
            .snapshot_id = id_new(), .device = c->scratch[i].url, .source = c->scratch[i].info};
    }
}

void trial_forget_urls(struct trial *t)
{
    for (size_t i = 0; i < TRIAL_LUNS; i++) {
        free(t->urls[i]);
        t->urls[i] = NULL;
    }
}

static bool is_ended(HRESULT hr)
{
    return SUCCEEDED(hr) || hr == VSS_E_OBJECT_NOT_FOUND;
}

/* Deleted one by one, or else aborted: one of the two must have worked. */
static void take_away(struct trial *t)
{
    struct error err = {0};
    bool is_deleted = t->stage >= TRIAL_POST_COMMITTED;
    for (uint32_t i = 0; t->stage >= TRIAL_POST_COMMITTED && i < t->lun_count; i++) {
        is_deleted = is_ended(trial_call(t, VSS_OP_ON_LUN_EMPTY, i, 1, &err)) && is_deleted;
    }
    bool is_aborted = is_ended(trial_call(t, VSS_OP_ABORT_SNAPSHOTS, 0, t->lun_count, &err));
    if (!is_deleted && !is_aborted) {
        char id[ID_TEXT_BYTES];
        conform_fail(t->c, "copies of set %s may be left behind: %s", id_text(&t->set_id, id),
                     error_text(&err));
    }
}

void trial_end(struct trial *t)
{
    if (t->c->provider && t->is_recovering) {
        (void)trial_must_change_destinations(t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY);
    }
    if (t->c->provider && t->may_hold_copies) {
        take_away(t);
    }
    trial_forget_urls(t);
    for (size_t i = 0; i < TRIAL_LUNS; i++) {
        free((void *)(uintptr_t)t->luns[i].state.data);
        lun_info_free(&t->luns[i].destination);
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static HRESULT timed_call(struct trial *t, enum vss_provider_op op, const void *in, void *out,
                          struct provider_arena *arena, struct error *err)
{
    error_clear(err);
    t->called_at_us = clock_monotonic_us();
    HRESULT hr = conform_call(t->c, op, in, out, arena, err);
    t->taken_us = clock_monotonic_us() - t->called_at_us;
    return hr;
}

static struct vss_set_in set_in(const struct trial *t, uint32_t first, uint32_t count)
{
    return (struct vss_set_in){.struct_size = sizeof(struct vss_set_in),
                               .context = t->context,
                               .set_id = t->set_id,
                               .lun_count = count,
                               .snapshot_count = count,
                               .luns = count ? &t->luns[first] : NULL};
}

static HRESULT keep_states(struct trial *t, const struct vss_states_out *out, uint32_t first,
                           uint32_t count)
{
    for (uint32_t i = 0; out->states && i < count; i++) {
        const struct vss_state *from = &out->states[i];
        uint8_t *copy = from->data ? malloc(from->bytes ? from->bytes : 1) : NULL;
        if (from->data && !copy) {
            return E_OUTOFMEMORY;
        }
        if (copy) {
            memcpy(copy, from->data, from->bytes);
            free((void *)(uintptr_t)t->luns[first + i].state.data);
            t->luns[first + i].state = (struct vss_state){.bytes = from->bytes, .data = copy};
        }
    }
    return S_OK;
}

static HRESULT call_with_states(struct trial *t, enum vss_provider_op op, const void *in,
                                uint32_t first, uint32_t count, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_states_out out = {0};
    HRESULT hr = timed_call(t, op, in, op == VSS_OP_ON_LUN_EMPTY ? NULL : &out, &arena, err);
    if (SUCCEEDED(hr)) {
        hr = keep_states(t, &out, first, count);
    }
    if (op == VSS_OP_COMMIT_SNAPSHOTS) {
        t->times = out;
        t->times.states = NULL;
    }
    provider_arena_free(&arena);
    return hr;
}

HRESULT trial_call(struct trial *t, enum vss_provider_op op, uint32_t first, uint32_t count,
                   struct error *err)
{
    struct vss_set_in in = set_in(t, first, count);
    t->may_hold_copies = t->may_hold_copies || op == VSS_OP_END_PREPARE_SNAPSHOTS;
    if (op == VSS_OP_LOCATE_LUNS) {
        in.initiator = t->c->initiator;
    }
    return call_with_states(t, op, &in, first, count, err);
}

HRESULT trial_locate(struct trial *t, const char *initiator, uint32_t first, uint32_t count,
                     struct error *err)
{
    struct vss_set_in in = set_in(t, first, count);
    in.initiator = initiator ? initiator : t->c->initiator;
    return call_with_states(t, VSS_OP_LOCATE_LUNS, &in, first, count, err);
}

bool trial_do(struct trial *t, enum vss_provider_op op)
{
    struct error err = {0};
    HRESULT hr = trial_call(t, op, 0, t->lun_count, &err);
    return conform_succeeded(t->c, op, hr, &err);
}

HRESULT trial_begin(struct trial *t, uint32_t lun, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_states_out out = {0};
    struct vss_luns_in in = {.struct_size = sizeof(in),
                             .context = t->context,
                             .set_id = t->set_id,
                             .snapshot_id = t->has_begun[lun] ? id_new() : t->luns[lun].snapshot_id,
                             .lun_count = 1,
                             .devices = &t->luns[lun].device,
                             .luns = &t->luns[lun].source};
    t->has_begun[lun] = true;
    HRESULT hr = timed_call(t, VSS_OP_BEGIN_PREPARE_SNAPSHOT, &in, &out, &arena, err);
    if (SUCCEEDED(hr)) {
        hr = keep_states(t, &out, lun, 1);
    }
    provider_arena_free(&arena);
    return hr;
}

/* What was there before the set is no copy: it is forgotten, so that no operation is told to treat
 * it as one. */
static HRESULT check_is_new(struct trial *t, uint32_t i, struct error *err)
{
    char key[LUN_KEY_BYTES];
    const char *url = conform_was_there(t->c, &t->luns[i].destination);
    if (!url) {
        return S_OK;
    }
    HRESULT hr = error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR,
                           "GetTargetLuns: the copy of %s is said to be %s, which is %s and was "
                           "there before the set",
                           t->luns[i].device, lun_info_key(&t->luns[i].destination, key), url);
    for (size_t n = 0; n < TRIAL_LUNS; n++) {
        lun_info_free(&t->luns[n].destination);
    }
    return hr;
}

HRESULT trial_describe(struct trial *t, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_target_luns_out out = {0};
    struct vss_set_in in = set_in(t, 0, t->lun_count);
    HRESULT hr = timed_call(t, VSS_OP_GET_TARGET_LUNS, &in, &out, &arena, err);
    if (SUCCEEDED(hr) && !out.luns) {
        hr = error_set(err, VSS_E_UNEXPECTED_PROVIDER_ERROR, "GetTargetLuns returned no LUNs");
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < t->lun_count; i++) {
        lun_info_free(&t->luns[i].destination);
        hr = lun_info_copy(&out.luns[i], &t->luns[i].destination);
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < t->lun_count; i++) {
        hr = check_is_new(t, i, err);
    }
    provider_arena_free(&arena);
    return hr;
}

HRESULT trial_change(struct trial *t, uint32_t flag, uint32_t first, uint32_t count,
                     struct error *err)
{
    const struct vss_state_change_in in = {
        .struct_size = sizeof(in), .flags = flag, .set = set_in(t, first, count)};
    return call_with_states(t, VSS_OP_ON_LUN_STATE_CHANGE, &in, first, count, err);
}

bool trial_must_change(struct trial *t, uint32_t flag)
{
    struct error err = {0};
    HRESULT hr = trial_change(t, flag, 0, t->lun_count, &err);
    return conform_succeeded(t->c, VSS_OP_ON_LUN_STATE_CHANGE, hr, &err);
}

bool trial_must_delete(struct trial *t, uint32_t i)
{
    struct error err = {0};
    HRESULT hr = trial_call(t, VSS_OP_ON_LUN_EMPTY, i, 1, &err);
    return conform_succeeded(t->c, VSS_OP_ON_LUN_EMPTY, hr, &err);
}

bool trial_must_change_destinations(struct trial *t, uint32_t flag)
{
    struct error err = {0};
    struct vss_set_lun destinations[TRIAL_LUNS];
    struct vss_state_change_in in = {.struct_size = sizeof(in),
                                     .flags = flag,
                                     .is_resync = 1,
                                     .set = set_in(t, 0, t->onto_count)};
    for (uint32_t i = 0; i < t->onto_count; i++) {
        const struct scratch *s = &t->c->scratch[t->onto[i]];
        destinations[i] = (struct vss_set_lun){
            .snapshot_id = t->luns[i].snapshot_id, .device = s->url, .source = s->info};
    }
    in.set.luns = destinations;
    HRESULT hr = call_with_states(t, VSS_OP_ON_LUN_STATE_CHANGE, &in, 0, 0, &err);
    t->is_recovering = SUCCEEDED(hr) && flag == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY;
    return conform_succeeded(t->c, VSS_OP_ON_LUN_STATE_CHANGE, hr, &err);
}

bool trial_prepare_copies(struct trial *t, struct conform *c, uint64_t *wanted)
{
    trial_start(t, c);
    for (size_t i = 0; i < t->lun_count; i++) {
        scratch_fill(c, i);
        wanted[i] = c->scratch[i].digest;
    }
    return !conform_has_failed(c) && trial_advance(t, TRIAL_SHOWN);
}

bool trial_prepare_pairs(struct trial *t, struct vss_resync_lun *luns)
{
    struct conform *c = t->c;
    if (!trial_advance(t, TRIAL_FINISHED)) {
        return false;
    }
    for (size_t i = 0; i < t->lun_count; i++) {
        scratch_fill(c, i);
        luns[i] = (struct vss_resync_lun){.snapshot = t->luns[i].destination,
                                          .destination = c->scratch[i].info,
                                          .snapshot_state = t->luns[i].state,
                                          .edge_bytes = TRIAL_EDGE_BYTES};
    }
    return !conform_has_failed(c);
}

/* ---- stages ---------------------------------------------------------------------------------- */

static bool begin_all(struct trial *t)
{
    struct error err = {0};
    bool is_done = true;
    for (uint32_t i = 0; is_done && i < t->lun_count; i++) {
        HRESULT hr = trial_begin(t, i, &err);
        is_done = conform_succeeded(t->c, VSS_OP_BEGIN_PREPARE_SNAPSHOT, hr, &err);
    }
    return is_done;
}

static bool describe(struct trial *t)
{
    struct error err = {0};
    HRESULT hr = trial_describe(t, &err);
    return conform_succeeded(t->c, VSS_OP_GET_TARGET_LUNS, hr, &err);
}

static bool step_to(struct trial *t, enum trial_stage stage)
{
    switch (stage) {
    case TRIAL_BEGUN:
        return begin_all(t);
    case TRIAL_PREPARED:
        return trial_do(t, VSS_OP_END_PREPARE_SNAPSHOTS);
    case TRIAL_PRE_COMMITTED:
        return trial_do(t, VSS_OP_PRE_COMMIT_SNAPSHOTS);
    case TRIAL_COMMITTED:
        return trial_do(t, VSS_OP_COMMIT_SNAPSHOTS);
    case TRIAL_POST_COMMITTED:
        return trial_do(t, VSS_OP_POST_COMMIT_SNAPSHOTS);
    case TRIAL_DESCRIBED:
        return describe(t);
    case TRIAL_SHOWN:
        return trial_do(t, VSS_OP_LOCATE_LUNS);
    default:
        return trial_must_change(t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY) &&
               trial_do(t, VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS) &&
               trial_do(t, VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS);
    }
}

bool trial_advance(struct trial *t, enum trial_stage to)
{
    while (t->stage < to) {
        enum trial_stage next = (enum trial_stage)(t->stage + 1);
        if (!step_to(t, next)) {
            return false;
        }
        t->stage = next;
    }
    return true;
}
