/* SPDX-License-Identifier: Apache-2.0 */
/* ResyncLuns: copies over the originals again. */
#include "common/clock.h"
#include "common/id.h"
#include "conform/cases.h"
#include "conform/trial.h"

#include <stdlib.h>
#include <string.h>

#define POLL_MS   20u
#define WHOLE_MIN 30u /* of a whole resync */

/* One resync of the set's copies over the LUNs they were made of. */
struct resync {
    struct trial t;
    VSS_ID id;
    struct vss_resync_lun luns[TRIAL_LUNS];
    uint32_t lun_count;
    struct vss_state state; /* owned */
    uint64_t bytes_total;
    uint64_t bytes_done;
    bool is_done;
    uint64_t wanted[TRIAL_LUNS]; /* digests of the copies */
};

static HRESULT resync_call(struct resync *r, enum vss_provider_op op, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_resync_out out = {0};
    struct vss_resync_in in = {
        .struct_size = sizeof(in), .lun_count = r->lun_count, .resync_id = r->id, .luns = r->luns};
    if (op != VSS_OP_RESYNC_START) {
        in.state = r->state;
    }
    error_clear(err);
    HRESULT hr = conform_call(r->t.c, op, &in, &out, &arena, err);
    uint8_t *state =
        SUCCEEDED(hr) && out.state.data ? malloc(out.state.bytes ? out.state.bytes : 1) : NULL;
    if (state) {
        memcpy(state, out.state.data, out.state.bytes);
        free((void *)(uintptr_t)r->state.data);
        r->state = (struct vss_state){.bytes = out.state.bytes, .data = state};
    }
    if (SUCCEEDED(hr) && op != VSS_OP_RESYNC_CANCEL) {
        r->bytes_total = out.bytes_total;
        r->bytes_done = out.bytes_done;
        r->is_done = out.is_done != 0;
    }
    provider_arena_free(&arena);
    return hr;
}

static bool must_call(struct resync *r, enum vss_provider_op op)
{
    struct error err = {0};
    HRESULT hr = resync_call(r, op, &err);
    return conform_succeeded(r->t.c, op, hr, &err);
}

/* A set whose originals have other content by now, and everything set for start. */
static bool resync_prepare(struct resync *r, struct conform *c)
{
    *r = (struct resync){.id = id_new(), .lun_count = TRIAL_LUNS};
    return trial_prepare_resync(&r->t, c, r->luns, r->wanted);
}

/* The array is about to write: to those LUNs still? */
static bool destinations_are_scratch(struct resync *r)
{
    for (size_t i = 0; !r->t.c->is_offline && i < TRIAL_LUNS; i++) {
        lun_close(scratch_open(r->t.c, i, true));
    }
    return !conform_has_failed(r->t.c);
}

static bool resync_start(struct resync *r)
{
    bool is_started =
        destinations_are_scratch(r) &&
        trial_must_change_destinations(&r->t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY) &&
        must_call(r, VSS_OP_RESYNC_START);
    for (size_t i = 0; is_started && i < TRIAL_LUNS; i++) {
        r->t.c->scratch[i].is_onto = true;
    }
    return is_started;
}

/* Polls to the end; renews: each in a process of its own. */
static bool resync_finish(struct resync *r, bool renews)
{
    uint64_t end_us = clock_monotonic_us() + 60000000ull * WHOLE_MIN;
    while (!r->is_done) {
        if (renews) {
            conform_renew(r->t.c);
        }
        if (!must_call(r, VSS_OP_RESYNC_POLL)) {
            return false;
        }
        if (!r->is_done && clock_monotonic_us() > end_us) {
            conform_fail(r->t.c, "the resync is not done after %u minutes", WHOLE_MIN);
            return false;
        }
        if (!r->is_done) {
            clock_sleep_ms(POLL_MS);
        }
    }
    return trial_must_change_destinations(&r->t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY);
}

static void expect_destinations(struct resync *r)
{
    struct conform *c = r->t.c;
    for (size_t i = 0; i < TRIAL_LUNS; i++) {
        uint64_t found = 0;
        if (conform_digest(c, c->scratch[i].url, &found) && found != r->wanted[i]) {
            conform_fail(c, "after the resync %s is not what its copy is", c->scratch[i].url);
        }
    }
}

static void resync_end(struct resync *r)
{
    trial_end(&r->t);
    free((void *)(uintptr_t)r->state.data);
}

/* ---- cases ----------------------------------------------------------------------------------- */

void case_resync_content(struct conform *c)
{
    struct resync r;
    if (resync_prepare(&r, c) && resync_start(&r) && resync_finish(&r, false)) {
        expect_destinations(&r);
    }
    resync_end(&r);
}

void case_resync_progress(struct conform *c)
{
    struct resync r;
    uint64_t last = 0;
    bool goes_on = resync_prepare(&r, c) && resync_start(&r);
    while (goes_on) {
        if (r.bytes_done < last || r.bytes_done > r.bytes_total) {
            conform_fail(c, "%llu of %llu bytes are said to be done after %llu were",
                         (unsigned long long)r.bytes_done, (unsigned long long)r.bytes_total,
                         (unsigned long long)last);
        }
        last = r.bytes_done;
        goes_on = !r.is_done && !conform_has_failed(c) && must_call(&r, VSS_OP_RESYNC_POLL);
    }
    if (r.is_done && (r.bytes_total == 0 || r.bytes_done != r.bytes_total)) {
        conform_fail(c, "at the end %llu of %llu bytes are done", (unsigned long long)r.bytes_done,
                     (unsigned long long)r.bytes_total);
    }
    resync_end(&r);
}

void case_resync_identity(struct conform *c)
{
    struct resync r;
    if (resync_prepare(&r, c) && resync_start(&r) && resync_finish(&r, false)) {
        for (size_t i = 0; i < TRIAL_LUNS; i++) {
            const char *reason = NULL;
            struct lun *lun = scratch_open(c, i, true);
            if (lun && !lun_info_matches(&c->scratch[i].info, &lun->identity.info, &reason)) {
                conform_fail(c, "the resync changed %s: %s", lun->url, reason);
            }
            lun_close(lun);
        }
    }
    resync_end(&r);
}

/* The copy is what it was, and good for another resync. */
void case_resync_copy_intact(struct conform *c)
{
    struct resync r;
    bool is_done = resync_prepare(&r, c) && resync_start(&r) && resync_finish(&r, false);
    if (is_done && trial_expect_visible(&r.t)) {
        for (uint32_t i = 0; i < TRIAL_LUNS; i++) {
            (void)trial_expect_content(&r.t, i, r.wanted[i], "what it was before the resync");
            scratch_fill(c, i);
        }
        r.id = id_new();
        r.is_done = false;
        if (!conform_has_failed(c) && resync_start(&r) && resync_finish(&r, false)) {
            expect_destinations(&r);
        }
    }
    resync_end(&r);
}

void case_resync_new_process(struct conform *c)
{
    struct resync r;
    if (resync_prepare(&r, c) && resync_start(&r) && resync_finish(&r, true)) {
        expect_destinations(&r);
    }
    resync_end(&r);
}

/* First and last blocks of a LUN, one behind the other: on the copy, on its destination before. */
struct edges {
    uint8_t *copy;
    uint8_t *old;
    uint8_t *now;
};

static bool read_edges(struct conform *c, struct lun *lun, uint8_t *out)
{
    struct error err = {0};
    uint32_t blocks = TRIAL_EDGE_BYTES / lun->block.block_bytes;
    HRESULT hr = block_read(&lun->block, 0, blocks, out, &err);
    if (SUCCEEDED(hr)) {
        hr = block_read(&lun->block, lun->block.block_count - blocks, blocks,
                        out + TRIAL_EDGE_BYTES, &err);
    }
    if (FAILED(hr)) {
        conform_fail(c, "the ends of %s cannot be read: %s", lun->url, error_text(&err));
    }
    return SUCCEEDED(hr);
}

static bool read_edges_of_scratch(struct conform *c, size_t index, uint8_t *out)
{
    struct lun *lun = scratch_open(c, index, true);
    bool is_read = lun && read_edges(c, lun, out);
    lun_close(lun);
    return is_read;
}

static bool edges_open(struct resync *r, uint32_t i, struct edges *e)
{
    struct error err = {0};
    struct lun *lun = NULL;
    e->copy = malloc(2 * TRIAL_EDGE_BYTES);
    e->old = malloc(2 * TRIAL_EDGE_BYTES);
    e->now = malloc(2 * TRIAL_EDGE_BYTES);
    HRESULT hr = e->copy && e->old && e->now ? trial_open_copy(&r->t, i, true, &lun, &err)
                                             : error_set(&err, E_OUTOFMEMORY, "out of memory");
    if (FAILED(hr)) {
        conform_fail(r->t.c, "%s", error_text(&err));
    }
    bool is_read = lun && read_edges(r->t.c, lun, e->copy);
    lun_close(lun);
    return is_read && read_edges_of_scratch(r->t.c, i, e->old);
}

static void edges_close(struct edges *e)
{
    free(e->copy);
    free(e->old);
    free(e->now);
}

/* The first byte of a block that was not the copy's before and is now; UINT64_MAX: none. */
static uint64_t find_label(const struct edges *e, uint32_t block, uint64_t lun_bytes)
{
    for (uint64_t at = 0; at < 2 * TRIAL_EDGE_BYTES; at += block) {
        if (memcmp(e->copy + at, e->old + at, block) != 0 &&
            memcmp(e->copy + at, e->now + at, block) == 0) {
            return at < TRIAL_EDGE_BYTES ? at : lun_bytes - 2 * TRIAL_EDGE_BYTES + at;
        }
    }
    return UINT64_MAX;
}

/* Looks, then asks: an array that works while nobody asks may have come to the ends by now, and
 * then says so. */
static bool poll_for_labels(struct resync *r, const struct edges *edges)
{
    struct conform *c = r->t.c;
    uint64_t found[TRIAL_LUNS];
    uint64_t bodies = 0;
    for (uint32_t i = 0; i < TRIAL_LUNS; i++) {
        const struct scratch *s = &c->scratch[i];
        uint64_t bytes = s->block_count * s->block_bytes;
        if (!read_edges_of_scratch(c, i, edges[i].now)) {
            return false;
        }
        found[i] = find_label(&edges[i], s->block_bytes, bytes);
        bodies += bytes - 2 * TRIAL_EDGE_BYTES;
    }
    if (!must_call(r, VSS_OP_RESYNC_POLL)) {
        return false;
    }
    for (uint32_t i = 0; !r->is_done && r->bytes_done < bodies && i < TRIAL_LUNS; i++) {
        if (found[i] != UINT64_MAX) {
            conform_fail(c,
                         "byte %llu of %s is the copy's while the resync is at %llu of %llu bytes",
                         (unsigned long long)found[i], c->scratch[i].url,
                         (unsigned long long)r->bytes_done, (unsigned long long)r->bytes_total);
        }
    }
    return !conform_has_failed(c);
}

/* No block of an end must become the copy's while the bodies are not done. */
void case_resync_labels_last(struct conform *c)
{
    struct resync r;
    struct edges edges[TRIAL_LUNS] = {{0}};
    bool goes_on = resync_prepare(&r, c) && trial_expect_visible(&r.t);
    for (uint32_t i = 0; goes_on && i < TRIAL_LUNS; i++) {
        goes_on = edges_open(&r, i, &edges[i]);
    }
    goes_on = goes_on && resync_start(&r);
    while (goes_on && !r.is_done) {
        goes_on = poll_for_labels(&r, edges);
    }
    for (size_t i = 0; i < TRIAL_LUNS; i++) {
        edges_close(&edges[i]);
    }
    resync_end(&r);
}

static void start_again(struct resync *r)
{
    conform_renew(r->t.c);
    r->id = id_new();
    r->is_done = false;
    if (resync_start(r) && resync_finish(r, false)) {
        expect_destinations(r);
    }
}

/* Cancelled twice; then the same resync from its beginning makes the destination whole. */
void case_resync_cancel(struct conform *c)
{
    struct resync r;
    if (resync_prepare(&r, c) && resync_start(&r) && must_call(&r, VSS_OP_RESYNC_CANCEL) &&
        must_call(&r, VSS_OP_RESYNC_CANCEL)) {
        start_again(&r);
    }
    resync_end(&r);
}

/* The answer to start was lost: there is no state, and the array may have begun. */
void case_resync_cancel_unheard(struct conform *c)
{
    struct resync r;
    struct error err = {0};
    if (resync_prepare(&r, c) && resync_start(&r)) {
        free((void *)(uintptr_t)r.state.data);
        r.state = (struct vss_state){0};
        HRESULT hr = resync_call(&r, VSS_OP_RESYNC_CANCEL, &err);
        if (hr == VSS_E_OBJECT_NOT_FOUND || conform_succeeded(c, VSS_OP_RESYNC_CANCEL, hr, &err)) {
            start_again(&r);
        }
    }
    resync_end(&r);
}

void case_resync_foreign(struct conform *c)
{
    struct resync r;
    struct error err = {0};
    struct vss_lun_info foreign = conform_foreign_lun();
    if (resync_prepare(&r, c)) {
        r.luns[0].destination = foreign;
        r.lun_count = 1;
        HRESULT hr = resync_call(&r, VSS_OP_RESYNC_START, &err);
        (void)conform_refused(c, VSS_OP_RESYNC_START, hr, &err, "a destination of another array");
    }
    resync_end(&r);
    lun_info_free(&foreign);
}

void case_resync_ends_sessions(struct conform *c)
{
    struct resync r;
    struct error err = {0};
    if (resync_prepare(&r, c)) {
        struct lun *lun = scratch_open(c, 0, true);
        if (lun &&
            trial_must_change_destinations(&r.t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY) &&
            SUCCEEDED(lun_identify(lun, &err))) {
            conform_fail(c, "a session on %s is still served after PRE_RECOVERY", lun->url);
        }
        lun_close(lun);
    }
    resync_end(&r);
}

static void expect_resized(struct resync *r, size_t index)
{
    struct conform *c = r->t.c;
    struct lun *lun = resync_finish(r, false) ? scratch_open(c, index, true) : NULL;
    if (lun && lun->block.block_count != c->scratch[0].block_count) {
        conform_fail(c, "%s has %llu blocks after the resync, the copy %llu", lun->url,
                     (unsigned long long)lun->block.block_count,
                     (unsigned long long)c->scratch[0].block_count);
    }
    if (lun) {
        c->scratch[index].block_count = lun->block.block_count;
    }
    lun_close(lun);
}

static void resync_larger(struct resync *r, size_t index)
{
    struct conform *c = r->t.c;
    struct error err = {0};
    bool resizes = provider_capabilities(c->provider)->resize == VSS_CAPABILITY_NATIVE;
    r->luns[0].destination = c->scratch[index].info;
    r->lun_count = 1;
    HRESULT hr = resync_call(r, VSS_OP_RESYNC_START, &err);
    if (!resizes) {
        (void)conform_refused(c, VSS_OP_RESYNC_START, hr, &err,
                              "a larger destination (resize is not claimed)");
    } else if (conform_succeeded(c, VSS_OP_RESYNC_START, hr, &err)) {
        c->scratch[index].is_onto = true;
        expect_resized(r, index);
    }
}

void case_resync_size(struct conform *c)
{
    struct resync r;
    size_t index = conform_larger_lun(c);
    if (resync_prepare(&r, c)) {
        lun_close(scratch_open(c, index, true));
        if (!conform_has_failed(c)) {
            resync_larger(&r, index);
        }
    }
    resync_end(&r);
}
