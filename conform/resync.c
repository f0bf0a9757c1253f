/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/resync.h"

#include "common/clock.h"
#include "common/id.h"

#include <stdlib.h>
#include <string.h>

#define POLL_MS   20u
#define WHOLE_MIN 30u /* of a whole resync */

static void keep_state(struct resync *r, const struct vss_state *from)
{
    uint8_t *state = from->data ? malloc(from->bytes ? from->bytes : 1) : NULL;
    if (state) {
        memcpy(state, from->data, from->bytes);
        resync_forget_state(r);
        r->state = (struct vss_state){.bytes = from->bytes, .data = state};
    }
}

static HRESULT call(struct resync *r, enum vss_provider_op op, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_resync_out out = {0};
    struct vss_resync_in in = {.struct_size = sizeof(in),
                               .lun_count = r->t.onto_count,
                               .resync_id = r->id,
                               .luns = r->luns};
    if (op != VSS_OP_RESYNC_START) {
        in.state = r->state;
    }
    error_clear(err);
    HRESULT hr = conform_call(r->t.c, op, &in, &out, &arena, err);
    if (SUCCEEDED(hr)) {
        keep_state(r, &out.state);
    }
    if (SUCCEEDED(hr) && op != VSS_OP_RESYNC_CANCEL) {
        r->bytes_total = out.bytes_total;
        r->bytes_done = out.bytes_done;
        r->is_done = out.is_done != 0;
    }
    provider_arena_free(&arena);
    return hr;
}

bool resync_prepare(struct resync *r, struct conform *c)
{
    *r = (struct resync){.id = id_new()};
    return trial_prepare_copies(&r->t, c, r->wanted) && trial_prepare_pairs(&r->t, r->luns);
}

/* The array is about to write: to those LUNs still? */
static bool destinations_are_scratch(struct resync *r)
{
    struct conform *c = r->t.c;
    for (size_t i = 0; !c->is_offline && i < r->t.onto_count; i++) {
        lun_close(scratch_open(c, r->t.onto[i], true));
        (void)scratch_is_unused(c, r->t.onto[i]);
    }
    return !conform_has_failed(c);
}

HRESULT resync_try_start(struct resync *r, struct error *err)
{
    r->id = id_new();
    r->is_done = false;
    resync_forget_state(r);
    HRESULT hr = call(r, VSS_OP_RESYNC_START, err);
    r->is_started = SUCCEEDED(hr);
    r->end_us = clock_monotonic_us() + 60000000ull * WHOLE_MIN;
    for (size_t i = 0; r->is_started && i < r->t.onto_count; i++) {
        r->t.c->scratch[r->t.onto[i]].is_onto = true;
    }
    return hr;
}

bool resync_start(struct resync *r)
{
    struct error err = {0};
    if (!destinations_are_scratch(r) ||
        !trial_must_change_destinations(&r->t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY)) {
        return false;
    }
    HRESULT hr = resync_try_start(r, &err);
    return conform_succeeded(r->t.c, VSS_OP_RESYNC_START, hr, &err);
}

bool resync_poll(struct resync *r)
{
    struct conform *c = r->t.c;
    struct error err = {0};
    if (conform_is_interrupted(c)) {
        conform_fail(c, "interrupted while a resync was under way");
        return false;
    }
    if (clock_monotonic_us() > r->end_us) {
        conform_fail(c, "the resync is not done after %u minutes", WHOLE_MIN);
        return false;
    }
    clock_sleep_ms(c->is_offline ? 0 : POLL_MS);
    HRESULT hr = call(r, VSS_OP_RESYNC_POLL, &err);
    return conform_succeeded(c, VSS_OP_RESYNC_POLL, hr, &err);
}

bool resync_finish(struct resync *r, bool renews)
{
    while (!r->is_done) {
        if (renews) {
            conform_renew(r->t.c);
        }
        if (!resync_poll(r)) {
            return false;
        }
    }
    return trial_must_change_destinations(&r->t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY);
}

HRESULT resync_cancel(struct resync *r, struct error *err)
{
    HRESULT hr = call(r, VSS_OP_RESYNC_CANCEL, err);
    if (SUCCEEDED(hr) || hr == VSS_E_OBJECT_NOT_FOUND) {
        r->is_started = false;
    }
    return hr;
}

bool resync_must_cancel(struct resync *r)
{
    struct error err = {0};
    HRESULT hr = resync_cancel(r, &err);
    return conform_succeeded(r->t.c, VSS_OP_RESYNC_CANCEL, hr, &err);
}

void resync_forget_state(struct resync *r)
{
    free((void *)(uintptr_t)r->state.data);
    r->state = (struct vss_state){0};
}

void resync_expect_content(struct resync *r)
{
    struct conform *c = r->t.c;
    for (size_t i = 0; i < r->t.onto_count; i++) {
        const struct scratch *s = &c->scratch[r->t.onto[i]];
        uint64_t found = 0;
        if (conform_digest(c, s->url, &found) && found != r->wanted[i]) {
            conform_fail(c, "after the resync %s is not what its copy is", s->url);
        }
    }
}

void resync_end(struct resync *r)
{
    struct error err = {0};
    struct conform *c = r->t.c;
    if (c->provider && r->is_started && !r->is_done) {
        (void)resync_cancel(r, &err);
    }
    if (c->provider && r->is_started && !r->is_done) {
        conform_fail(c, "a resync onto %s may go on: %s", c->scratch[r->t.onto[0]].url,
                     error_text(&err));
    }
    trial_end(&r->t);
    resync_forget_state(r);
}
