/* SPDX-License-Identifier: Apache-2.0 */
/* GetTargetLuns, LocateLuns, OnLunStateChange: the copies as LUNs. */
#include "conform/cases.h"
#include "conform/trial.h"

#include <string.h>

#define STRANGER "iqn.2026-11.invalid:stranger"

/* ---- GetTargetLuns --------------------------------------------------------------------------- */

static void expect_unique(struct trial *t, uint32_t i)
{
    const struct vss_lun_info *copy = &t->luns[i].destination;
    const char *reason = NULL;
    char key[LUN_KEY_BYTES];
    (void)lun_info_key(copy, key);
    if (!lun_info_is_unique(copy, &reason)) {
        conform_fail(t->c, "the copy of %s cannot be told from others: %s", t->luns[i].device,
                     reason);
    }
    for (size_t n = 0; n < t->c->scratch_count; n++) {
        if (lun_info_compare(copy, &t->c->scratch[n].info) != LUN_DIFFERENT) {
            conform_fail(t->c, "the copy of %s has the identity of the original %s: %s",
                         t->luns[i].device, t->c->scratch[n].url, key);
        }
    }
    for (uint32_t n = 0; n < i; n++) {
        if (lun_info_compare(copy, &t->luns[n].destination) != LUN_DIFFERENT) {
            conform_fail(t->c, "two copies have the identity %s", key);
        }
    }
}

void case_targets_unique(struct conform *c)
{
    static const VSS_ID null_id;
    struct trial t;
    trial_start(&t, c);
    bool is_described = trial_advance(&t, TRIAL_DESCRIBED);
    for (uint32_t i = 0; is_described && i < t.lun_count; i++) {
        const struct vss_lun_info *copy = &t.luns[i].destination;
        expect_unique(&t, i);
        if (copy->version != 1 || copy->device_type != 0) {
            conform_fail(c, "version %u and device type %u instead of 1 and 0 (disk)",
                         copy->version, copy->device_type);
        }
        if (memcmp(&copy->disk_signature, &null_id, sizeof(null_id)) != 0) {
            conform_fail(c, "the disk signature of a copy is not null");
        }
    }
    trial_end(&t);
}

void case_targets_order(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_SHOWN) && trial_expect_visible(&t)) {
        for (uint32_t i = 0; i < t.lun_count; i++) {
            (void)trial_expect_content(&t, i, c->scratch[i].digest, "that LUN's");
        }
    }
    trial_end(&t);
}

static void expect_match(struct trial *t, uint32_t i)
{
    struct error err = {0};
    struct lun *lun = NULL;
    const char *reason = NULL;
    if (FAILED(lun_open(t->urls[i], &t->c->env.lun, true, &lun, &err))) {
        conform_fail(t->c, "%s cannot be opened: %s", t->urls[i], error_text(&err));
    } else if (!lun_info_matches(&t->luns[i].destination, &lun->identity.info, &reason)) {
        conform_fail(t->c, "%s differs from what GetTargetLuns promised: %s", lun->url, reason);
    }
    lun_close(lun);
}

void case_targets_live(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_SHOWN) && trial_expect_visible(&t)) {
        for (uint32_t i = 0; i < t.lun_count; i++) {
            expect_match(&t, i);
        }
    }
    trial_end(&t);
}

/* Asked again, in another process, before and after the copies are shown. */
void case_targets_stable(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    bool goes_on = trial_advance(&t, TRIAL_DESCRIBED);
    for (int round = 0; goes_on && round < 2; round++) {
        struct vss_lun_info first = {0};
        const char *reason = NULL;
        goes_on = round == 0 || trial_advance(&t, TRIAL_SHOWN);
        (void)lun_info_copy(&t.luns[0].destination, &first);
        conform_renew(c);
        if (goes_on) {
            HRESULT hr = trial_describe(&t, &err);
            goes_on = conform_succeeded(c, VSS_OP_GET_TARGET_LUNS, hr, &err);
        }
        if (goes_on && !lun_info_matches(&first, &t.luns[0].destination, &reason)) {
            conform_fail(c, "GetTargetLuns describes the same copy differently: %s", reason);
            goes_on = false;
        }
        lun_info_free(&first);
    }
    trial_end(&t);
}

static void expect_size(struct trial *t, uint32_t i)
{
    const struct scratch *s = &t->c->scratch[i];
    struct error err = {0};
    struct lun *lun = NULL;
    if (FAILED(lun_open(t->urls[i], &t->c->env.lun, true, &lun, &err))) {
        conform_fail(t->c, "%s cannot be opened: %s", t->urls[i], error_text(&err));
    } else if (lun->block.block_count != s->block_count ||
               lun->block.block_bytes != s->block_bytes) {
        conform_fail(t->c, "%s has %llu blocks of %u bytes, its original %llu of %u", lun->url,
                     (unsigned long long)lun->block.block_count, lun->block.block_bytes,
                     (unsigned long long)s->block_count, s->block_bytes);
    }
    lun_close(lun);
}

void case_targets_size(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_SHOWN) && trial_expect_visible(&t)) {
        for (uint32_t i = 0; i < t.lun_count; i++) {
            expect_size(&t, i);
        }
    }
    trial_end(&t);
}

/* ---- LocateLuns ------------------------------------------------------------------------------ */

void case_locate_visible(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_SHOWN)) {
        (void)trial_expect_visible(&t);
    }
    trial_end(&t);
}

void case_locate_writable(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_SHOWN) && trial_expect_visible(&t)) {
        for (uint32_t i = 0; i < t.lun_count; i++) {
            trial_expect_writable(&t, i, true, "after LocateLuns");
        }
    }
    trial_end(&t);
}

static void expect_hidden_from_stranger(struct trial *t, uint32_t i)
{
    struct lun_options options = t->c->env.lun;
    struct lun *lun = NULL;
    options.initiator_name = STRANGER;
    if (SUCCEEDED(lun_open(t->urls[i], &options, true, &lun, NULL))) {
        conform_fail(t->c, "%s is shown to " STRANGER " too", t->urls[i]);
    }
    lun_close(lun);
}

void case_locate_alone(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_SHOWN) && trial_expect_visible(&t)) {
        for (uint32_t i = 0; i < t.lun_count; i++) {
            expect_hidden_from_stranger(&t, i);
        }
    }
    trial_end(&t);
}

static void expect_shown_to_stranger(struct trial *t, uint32_t i)
{
    struct lun_options options = t->c->env.lun;
    struct error err = {0};
    struct lun *lun = NULL;
    options.initiator_name = STRANGER;
    if (FAILED(lun_open(t->urls[i], &options, true, &lun, &err))) {
        conform_fail(t->c, "%s is not shown to " STRANGER ": %s", t->urls[i], error_text(&err));
    }
    lun_close(lun);
}

/* As where another host imports them. */
void case_locate_other_host(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_SHOWN) && trial_expect_visible(&t)) {
        HRESULT hr = trial_locate(&t, STRANGER, 0, t.lun_count, &err);
        bool is_done = conform_succeeded(c, VSS_OP_LOCATE_LUNS, hr, &err);
        for (uint32_t i = 0; is_done && i < t.lun_count; i++) {
            expect_shown_to_stranger(&t, i);
        }
    }
    trial_end(&t);
}

void case_locate_again(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_SHOWN) && trial_expect_visible(&t)) {
        conform_renew(c);
        if (trial_do(&t, VSS_OP_LOCATE_LUNS)) {
            (void)trial_expect_visible(&t);
        }
    }
    trial_end(&t);
}

/* ---- OnLunStateChange ------------------------------------------------------------------------ */

void case_final_read_only(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_SHOWN) && trial_expect_visible(&t) &&
        trial_advance(&t, TRIAL_FINISHED)) {
        for (uint32_t i = 0; i < t.lun_count; i++) {
            trial_expect_writable(&t, i, false, "after POST_RECOVERY and PostFinalCommitSnapshots");
        }
    }
    trial_end(&t);
}

/* Read-only, then what flag says: writable again. */
static void make_writable(struct conform *c, uint32_t flag, const char *when)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_FINISHED) && trial_expect_visible(&t) &&
        trial_must_change(&t, flag)) {
        for (uint32_t i = 0; i < t.lun_count; i++) {
            trial_expect_writable(&t, i, true, when);
        }
    }
    trial_end(&t);
}

void case_state_read_write(struct conform *c)
{
    make_writable(c, VSS_ONLUNSTATECHANGE_NOTIFY_READ_WRITE, "after NOTIFY_READ_WRITE");
}

void case_state_recovery(struct conform *c)
{
    make_writable(c, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY, "after PRE_RECOVERY");
}

void case_mask_hides(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_FINISHED) && trial_expect_visible(&t) &&
        trial_must_change(&t, VSS_ONLUNSTATECHANGE_DO_MASK_LUNS)) {
        (void)trial_expect_invisible(&t, "after DO_MASK_LUNS");
    }
    trial_end(&t);
}

static bool is_alive(struct lun *lun)
{
    struct error err = {0};
    return SUCCEEDED(lun_identify(lun, &err));
}

void case_mask_ends_sessions(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    struct lun *luns[TRIAL_LUNS] = {NULL};
    trial_start(&t, c);
    bool goes_on = trial_advance(&t, TRIAL_FINISHED) && trial_expect_visible(&t);
    for (uint32_t i = 0; goes_on && i < t.lun_count; i++) {
        goes_on = SUCCEEDED(trial_open_copy(&t, i, true, &luns[i], &err));
        if (!goes_on) {
            conform_fail(c, "%s cannot be opened: %s", t.urls[i], error_text(&err));
        }
    }
    goes_on = goes_on && trial_must_change(&t, VSS_ONLUNSTATECHANGE_DO_MASK_LUNS);
    for (uint32_t i = 0; goes_on && i < t.lun_count; i++) {
        if (luns[i] && is_alive(luns[i])) {
            conform_fail(c, "a session on %s is still served after DO_MASK_LUNS", luns[i]->url);
        }
    }
    for (uint32_t i = 0; i < t.lun_count; i++) {
        lun_close(luns[i]);
    }
    trial_end(&t);
}

void case_mask_keeps(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_FINISHED) &&
        trial_must_change(&t, VSS_ONLUNSTATECHANGE_DO_MASK_LUNS)) {
        conform_renew(c);
        if (trial_do(&t, VSS_OP_LOCATE_LUNS) && trial_expect_visible(&t)) {
            for (uint32_t i = 0; i < t.lun_count; i++) {
                (void)trial_expect_content(&t, i, c->scratch[i].digest,
                                           "what it was before it was masked");
            }
        }
    }
    trial_end(&t);
}
