/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of all operations. */
#include "common/id.h"
#include "conform/cases.h"
#include "conform/trial.h"

#include <string.h>

/* Those of struct vss_set_in that come before a copy is given up, in order. */
static const enum vss_provider_op set_ops[] = {VSS_OP_END_PREPARE_SNAPSHOTS,
                                               VSS_OP_PRE_COMMIT_SNAPSHOTS,
                                               VSS_OP_COMMIT_SNAPSHOTS,
                                               VSS_OP_POST_COMMIT_SNAPSHOTS,
                                               VSS_OP_GET_TARGET_LUNS,
                                               VSS_OP_LOCATE_LUNS,
                                               VSS_OP_PRE_FINAL_COMMIT_SNAPSHOTS,
                                               VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS};
#define SET_OPS (sizeof(set_ops) / sizeof(set_ops[0]))

static HRESULT call_any(struct trial *t, enum vss_provider_op op, uint32_t count, struct error *err)
{
    return op == VSS_OP_GET_TARGET_LUNS && count ? trial_describe(t, err)
                                                 : trial_call(t, op, 0, count, err);
}

static void must(struct trial *t, enum vss_provider_op op, HRESULT hr, const struct error *err)
{
    (void)conform_succeeded(t->c, op, hr, err);
}

/* Goes on after a failure: so that what is not done yet is named in one go. */
void case_life_whole(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    HRESULT hr = S_OK;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < t.lun_count; i++) {
        hr = trial_begin(&t, i, &err);
    }
    must(&t, VSS_OP_BEGIN_PREPARE_SNAPSHOT, hr, &err);
    for (size_t n = 0; n < SET_OPS; n++) {
        hr = call_any(&t, set_ops[n], t.lun_count, &err);
        must(&t, set_ops[n], hr, &err);
    }
    hr = trial_change(&t, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY, 0, t.lun_count, &err);
    must(&t, VSS_OP_ON_LUN_STATE_CHANGE, hr, &err);
    hr = S_OK;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < t.lun_count; i++) {
        hr = trial_call(&t, VSS_OP_ON_LUN_EMPTY, i, 1, &err);
    }
    must(&t, VSS_OP_ON_LUN_EMPTY, hr, &err);
    hr = trial_call(&t, VSS_OP_ABORT_SNAPSHOTS, 0, t.lun_count, &err);
    must(&t, VSS_OP_ABORT_SNAPSHOTS, hr, &err);
    trial_end(&t);
}

void case_life_new_processes(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    bool goes_on = true;
    for (int stage = TRIAL_BEGUN; goes_on && stage <= TRIAL_FINISHED; stage++) {
        goes_on = trial_advance(&t, (enum trial_stage)stage);
        conform_renew(c);
    }
    if (goes_on && trial_expect_visible(&t)) {
        for (uint32_t i = 0; i < t.lun_count; i++) {
            (void)trial_expect_content(&t, i, c->scratch[i].digest, "what its original is");
            HRESULT hr = trial_call(&t, VSS_OP_ON_LUN_EMPTY, i, 1, &err);
            must(&t, VSS_OP_ON_LUN_EMPTY, hr, &err);
            conform_renew(c);
        }
        trial_expect_gone(&t, 0, t.lun_count, "after OnLunEmpty");
    }
    trial_end(&t);
}

static void delete_set(struct trial *t)
{
    struct error err = {0};
    for (uint32_t i = 0; i < t->lun_count; i++) {
        HRESULT hr = trial_call(t, VSS_OP_ON_LUN_EMPTY, i, 1, &err);
        must(t, VSS_OP_ON_LUN_EMPTY, hr, &err);
    }
}

/* The copies of the first are not touched by the making and the end of the second. */
void case_life_two_sets(struct conform *c)
{
    struct trial first;
    struct trial second;
    uint64_t cut[TRIAL_LUNS] = {0};
    trial_start(&first, c);
    trial_start(&second, c);
    for (size_t i = 0; i < first.lun_count; i++) {
        cut[i] = c->scratch[i].digest;
    }
    bool has_first = trial_advance(&first, TRIAL_FINISHED);
    for (size_t i = 0; has_first && i < first.lun_count; i++) {
        scratch_fill(c, i);
    }
    if (has_first && trial_advance(&second, TRIAL_FINISHED) && trial_expect_visible(&second)) {
        for (uint32_t i = 0; i < first.lun_count; i++) {
            (void)trial_expect_content(&second, i, c->scratch[i].digest, "the second set's");
        }
        delete_set(&second);
        if (trial_expect_visible(&first)) {
            for (uint32_t i = 0; i < first.lun_count; i++) {
                (void)trial_expect_content(&first, i, cut[i], "the first set's");
            }
        }
    }
    trial_end(&second);
    trial_end(&first);
}

/* Nothing was prepared, nothing is remembered: there is nothing to cut or to show. */
void case_life_unknown_set(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    static const enum vss_provider_op ops[] = {VSS_OP_COMMIT_SNAPSHOTS,
                                               VSS_OP_POST_COMMIT_SNAPSHOTS, VSS_OP_GET_TARGET_LUNS,
                                               VSS_OP_LOCATE_LUNS};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        HRESULT hr = call_any(&t, ops[i], t.lun_count, &err);
        (void)conform_refused(c, ops[i], hr, &err, "a set that was never prepared");
    }
    t.may_hold_copies = true;
    trial_end(&t);
}

/* States are like files that others can write. */
void case_life_foreign_states(struct conform *c)
{
    static const uint8_t garbage[VSS_PROVIDER_STATE_BYTES_MAX] = "\xff\n=;/../../etc/passwd%s%n";
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    for (size_t n = 1; n < SET_OPS; n++) {
        struct vss_set_lun kept[TRIAL_LUNS];
        memcpy(kept, t.luns, sizeof(kept));
        for (size_t i = 0; i < t.lun_count; i++) {
            t.luns[i].state = (struct vss_state){.bytes = sizeof(garbage), .data = garbage};
        }
        struct vss_set_in in = {.struct_size = sizeof(in),
                                .context = t.context,
                                .set_id = t.set_id,
                                .lun_count = t.lun_count,
                                .snapshot_count = t.lun_count,
                                .luns = t.luns,
                                .initiator = c->initiator};
        struct provider_arena arena = PROVIDER_ARENA_INIT;
        struct vss_states_out states = {0};
        struct vss_target_luns_out targets = {0};
        void *out = set_ops[n] == VSS_OP_GET_TARGET_LUNS ? (void *)&targets : (void *)&states;
        error_clear(&err);
        HRESULT hr = conform_call(c, set_ops[n], &in, out, &arena, &err);
        (void)conform_survived(c, set_ops[n], hr, &err, "a set with states of somebody else");
        provider_arena_free(&arena);
        memcpy(t.luns, kept, sizeof(kept));
    }
    t.may_hold_copies = true;
    trial_end(&t);
}

void case_life_no_luns(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    for (size_t n = 0; n < SET_OPS; n++) {
        struct vss_target_luns_out targets = {0};
        struct provider_arena arena = PROVIDER_ARENA_INIT;
        struct vss_set_in in = {.struct_size = sizeof(in), .set_id = t.set_id};
        error_clear(&err);
        HRESULT hr = set_ops[n] == VSS_OP_GET_TARGET_LUNS
                         ? conform_call(c, set_ops[n], &in, &targets, &arena, &err)
                         : trial_call(&t, set_ops[n], 0, 0, &err);
        (void)conform_survived(c, set_ops[n], hr, &err, "a set without LUNs");
        provider_arena_free(&arena);
    }
    HRESULT hr = trial_call(&t, VSS_OP_ABORT_SNAPSHOTS, 0, 0, &err);
    (void)conform_survived(c, VSS_OP_ABORT_SNAPSHOTS, hr, &err, "a set without LUNs");
    trial_end(&t);
}
