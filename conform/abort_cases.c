/* SPDX-License-Identifier: Apache-2.0 */
/* AbortSnapshots: nothing is left, whatever the set had come to. */
#include "conform/cases.h"
#include "conform/trial.h"

#include <stdio.h>

static HRESULT abort_set(struct trial *t, struct error *err)
{
    return trial_call(t, VSS_OP_ABORT_SNAPSHOTS, 0, t->lun_count, err);
}

void case_abort_every_stage(struct conform *c)
{
    static const char *const names[] = {"",
                                        "",
                                        "EndPrepareSnapshots",
                                        "PreCommitSnapshots",
                                        "CommitSnapshots",
                                        "PostCommitSnapshots",
                                        "GetTargetLuns",
                                        "LocateLuns"};
    for (int stage = TRIAL_PREPARED; stage <= TRIAL_SHOWN && !conform_has_failed(c); stage++) {
        struct trial t;
        struct error err = {0};
        trial_start(&t, c);
        if (trial_advance(&t, (enum trial_stage)stage)) {
            conform_renew(c);
            HRESULT hr = abort_set(&t, &err);
            if (conform_succeeded(c, VSS_OP_ABORT_SNAPSHOTS, hr, &err)) {
                char when[64];
                (void)snprintf(when, sizeof(when), "after an abort behind %s", names[stage]);
                trial_expect_gone(&t, 0, t.lun_count, when);
            }
        }
        trial_end(&t);
    }
}

static void expect_documented(struct conform *c, HRESULT hr, const struct error *err)
{
    if (hr != S_OK && hr != VSS_E_OBJECT_NOT_FOUND) {
        conform_fail(c, "the second AbortSnapshots gave 0x%08x: %s", (unsigned)hr, error_text(err));
    }
}

void case_abort_twice(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_COMMITTED)) {
        HRESULT hr = abort_set(&t, &err);
        if (conform_succeeded(c, VSS_OP_ABORT_SNAPSHOTS, hr, &err)) {
            hr = abort_set(&t, &err);
            expect_documented(c, hr, &err);
        }
    }
    trial_end(&t);
}

/* As after an EndPrepareSnapshots whose process died: the set's id is all there is. */
void case_abort_without_states(struct conform *c)
{
    struct trial t;
    struct trial bare;
    struct error err = {0};
    trial_start(&t, c);
    trial_start(&bare, c);
    bare.set_id = t.set_id;
    if (trial_advance(&t, TRIAL_PREPARED)) {
        conform_renew(c);
        HRESULT hr = abort_set(&bare, &err);
        if (conform_succeeded(c, VSS_OP_ABORT_SNAPSHOTS, hr, &err)) {
            trial_expect_gone(&t, 0, t.lun_count, "after an abort by the set's id alone");
        }
    }
    trial_end(&t);
    trial_end(&bare);
}

/* The abort of a set that nobody knows, and of one that failed, are no other set's affair. */
void case_abort_other_set(struct conform *c)
{
    struct trial t;
    struct trial other;
    struct error err = {0};
    trial_start(&t, c);
    trial_start(&other, c);
    if (trial_advance(&t, TRIAL_SHOWN) && trial_expect_visible(&t)) {
        HRESULT hr = abort_set(&other, &err);
        (void)conform_survived(c, VSS_OP_ABORT_SNAPSHOTS, hr, &err, "a set that nobody knows");
        if (trial_advance(&other, TRIAL_PREPARED)) {
            (void)abort_set(&other, &err);
        }
        (void)trial_expect_visible(&t);
    }
    trial_end(&other);
    trial_end(&t);
}
