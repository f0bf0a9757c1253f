/* SPDX-License-Identifier: Apache-2.0 */
/* ResyncLuns: copies over the originals again. */
#include "common/clock.h"
#include "conform/cases.h"
#include "conform/resync.h"

#include <stdlib.h>
#include <string.h>

#define EDGES_BYTES ((size_t)2 * TRIAL_EDGE_BYTES) /* of both ends */
#define STOPPED_MS  1200u /* after which what was not stopped has written again */

void case_resync_content(struct conform *c)
{
    struct resync r;
    if (resync_prepare(&r, c) && resync_start(&r) && resync_finish(&r, false)) {
        resync_expect_content(&r);
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
        goes_on = !r.is_done && !conform_has_failed(c) && resync_poll(&r);
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
        for (size_t i = 0; i < r.t.lun_count; i++) {
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
        for (uint32_t i = 0; i < r.t.lun_count; i++) {
            (void)trial_expect_content(&r.t, i, r.wanted[i], "what it was before the resync");
            scratch_fill(c, i);
        }
        if (!conform_has_failed(c) && resync_start(&r) && resync_finish(&r, false)) {
            resync_expect_content(&r);
        }
    }
    resync_end(&r);
}

void case_resync_new_process(struct conform *c)
{
    struct resync r;
    if (resync_prepare(&r, c) && resync_start(&r) && resync_finish(&r, true)) {
        resync_expect_content(&r);
    }
    resync_end(&r);
}

/* First and last blocks of a LUN, one behind the other: on the copy, on its destination before. */
struct edges {
    uint8_t copy[EDGES_BYTES];
    uint8_t old[EDGES_BYTES];
    uint8_t now[EDGES_BYTES];
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

static bool read_old_edges(struct resync *r, uint32_t i, struct edges *e)
{
    struct error err = {0};
    struct lun *lun = NULL;
    if (FAILED(trial_open_copy(&r->t, i, true, &lun, &err))) {
        conform_fail(r->t.c, "%s", error_text(&err));
    }
    bool is_read = lun && read_edges(r->t.c, lun, e->copy);
    lun_close(lun);
    return is_read && read_edges_of_scratch(r->t.c, i, e->old);
}

/* The first byte of a block that was not the copy's before and is now; UINT64_MAX: none. */
static uint64_t find_label(const struct edges *e, uint32_t block, uint64_t lun_bytes)
{
    for (uint64_t at = 0; at < EDGES_BYTES; at += block) {
        if (memcmp(e->copy + at, e->old + at, block) != 0 &&
            memcmp(e->copy + at, e->now + at, block) == 0) {
            return at < TRIAL_EDGE_BYTES ? at : lun_bytes - EDGES_BYTES + at;
        }
    }
    return UINT64_MAX;
}

/* Looks, then asks: an array that works while nobody asks may have come to the ends by now, and
 * then says so. */
static bool poll_for_labels(struct resync *r, struct edges *edges)
{
    struct conform *c = r->t.c;
    uint64_t found[TRIAL_LUNS] = {0};
    uint64_t bodies = 0;
    for (uint32_t i = 0; i < r->t.lun_count; i++) {
        const struct scratch *s = &c->scratch[i];
        uint64_t bytes = s->block_count * s->block_bytes;
        if (!read_edges_of_scratch(c, i, edges[i].now)) {
            return false;
        }
        found[i] = find_label(&edges[i], s->block_bytes, bytes);
        bodies += bytes - EDGES_BYTES;
    }
    if (!resync_poll(r)) {
        return false;
    }
    for (uint32_t i = 0; !r->is_done && r->bytes_done < bodies && i < r->t.lun_count; i++) {
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
    struct edges *edges = calloc(TRIAL_LUNS, sizeof(*edges));
    bool goes_on = resync_prepare(&r, c) && trial_expect_visible(&r.t);
    if (!edges) {
        conform_fail(c, "out of memory");
        goes_on = false;
    }
    for (uint32_t i = 0; goes_on && i < r.t.lun_count; i++) {
        goes_on = read_old_edges(&r, i, &edges[i]);
    }
    goes_on = goes_on && resync_start(&r);
    while (goes_on && !r.is_done) {
        goes_on = poll_for_labels(&r, edges);
    }
    free(edges);
    resync_end(&r);
}

/* Nothing is written any more to what was to be overwritten. */
static bool expect_stopped(struct resync *r)
{
    struct conform *c = r->t.c;
    if (!trial_must_change_destinations(&r->t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY)) {
        return false;
    }
    for (size_t i = 0; i < r->t.onto_count; i++) {
        scratch_fill(c, r->t.onto[i]);
    }
    clock_sleep_ms(c->is_offline ? 0 : STOPPED_MS);
    for (size_t i = 0; !c->is_offline && i < r->t.onto_count; i++) {
        struct scratch *s = &c->scratch[r->t.onto[i]];
        uint64_t found = 0;
        if (conform_digest(c, s->url, &found) && found != s->digest) {
            conform_fail(c, "%s is still written to after the resync was cancelled", s->url);
            s->digest = found; /* it has been said */
        }
    }
    return !conform_has_failed(c);
}

static void start_again(struct resync *r)
{
    conform_renew(r->t.c);
    if (resync_start(r) && resync_finish(r, false)) {
        resync_expect_content(r);
    }
}

/* Cancelled twice; then the same resync from its beginning makes the destination whole. */
void case_resync_cancel(struct conform *c)
{
    struct resync r;
    if (resync_prepare(&r, c) && resync_start(&r) && resync_must_cancel(&r) &&
        resync_must_cancel(&r) && expect_stopped(&r)) {
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
        resync_forget_state(&r);
        HRESULT hr = resync_cancel(&r, &err);
        bool is_cancelled =
            hr == VSS_E_OBJECT_NOT_FOUND || conform_succeeded(c, VSS_OP_RESYNC_CANCEL, hr, &err);
        if (is_cancelled && expect_stopped(&r)) {
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
        r.t.onto_count = 1;
        HRESULT hr = resync_try_start(&r, &err);
        c->scratch[0].is_onto = false; /* it is not the destination */
        (void)conform_refused(c, VSS_OP_RESYNC_START, hr, &err, "a destination of another array");
    }
    resync_end(&r);
    lun_info_free(&foreign);
}

/* One copy that another host has deleted keeps all of it from beginning: the host puts the labels
 * back that it has wiped for it. */
void case_resync_gone(struct conform *c)
{
    struct resync r;
    struct error err = {0};
    if (resync_prepare(&r, c) &&
        trial_must_change_destinations(&r.t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY) &&
        trial_must_delete(&r.t, r.t.lun_count - 1)) {
        HRESULT hr = resync_try_start(&r, &err);
        (void)conform_refused(c, VSS_OP_RESYNC_START, hr, &err, "a copy that was deleted");
    }
    resync_end(&r);
}

/* A session on each LUN, which must be over after PRE_RECOVERY. */
void case_resync_ends_sessions(struct conform *c)
{
    struct resync r;
    struct lun *luns[TRIAL_LUNS] = {NULL};
    bool goes_on = resync_prepare(&r, c);
    for (size_t i = 0; goes_on && i < r.t.lun_count; i++) {
        luns[i] = scratch_open(c, i, true);
        goes_on = luns[i] != NULL;
    }
    goes_on = goes_on &&
              trial_must_change_destinations(&r.t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY);
    for (size_t i = 0; goes_on && i < r.t.lun_count; i++) {
        struct error err = {0};
        if (luns[i] && SUCCEEDED(lun_identify(luns[i], &err))) {
            conform_fail(c, "a session on %s is still served after PRE_RECOVERY", luns[i]->url);
        }
    }
    for (size_t i = 0; i < r.t.lun_count; i++) {
        lun_close(luns[i]);
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
    } else if (lun) {
        resync_expect_content(r);
    }
    if (lun) {
        c->scratch[index].block_count = lun->block.block_count;
    }
    lun_close(lun);
}

/* The first copy, and no other, over the larger LUN. */
void case_resync_size(struct conform *c)
{
    struct resync r;
    struct error err = {0};
    size_t index = conform_larger_lun(c);
    bool resizes = provider_capabilities(c->provider)->resize == VSS_CAPABILITY_NATIVE;
    bool goes_on = resync_prepare(&r, c);
    r.t.onto[0] = index;
    r.t.onto_count = 1;
    r.luns[0].destination = c->scratch[index].info;
    if (goes_on && resizes && resync_start(&r)) {
        expect_resized(&r, index);
    } else if (goes_on && !resizes &&
               trial_must_change_destinations(&r.t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY)) {
        (void)conform_refused(c, VSS_OP_RESYNC_START, resync_try_start(&r, &err), &err,
                              "a larger destination (resize is not claimed)");
    }
    resync_end(&r);
}
