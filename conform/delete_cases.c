/* SPDX-License-Identifier: Apache-2.0 */
/* OnLunEmpty: the end of one copy, and of nothing else. */
#include "conform/cases.h"
#include "conform/trial.h"

void case_delete_gone(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_FINISHED) && trial_expect_visible(&t)) {
        conform_renew(c);
        bool is_done = true;
        for (uint32_t i = 0; is_done && i < t.lun_count; i++) {
            is_done = trial_must_delete(&t, i);
        }
        if (is_done) {
            trial_expect_gone(&t, 0, t.lun_count, "after OnLunEmpty");
        }
    }
    trial_end(&t);
}

void case_delete_only_that(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_FINISHED) && trial_expect_visible(&t) && trial_must_delete(&t, 0)) {
        trial_look(&t);
        if (!t.urls[1]) {
            conform_fail(c, "OnLunEmpty of the copy of %s took that of %s away too",
                         t.luns[0].device, t.luns[1].device);
        }
        (void)trial_expect_content(&t, 1, c->scratch[1].digest,
                                   "what it was before another copy was deleted");
    }
    trial_end(&t);
}

void case_delete_twice(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_FINISHED) && trial_must_delete(&t, 0)) {
        HRESULT hr = trial_call(&t, VSS_OP_ON_LUN_EMPTY, 0, 1, &err);
        if (hr != S_OK && hr != VSS_E_OBJECT_NOT_FOUND) {
            conform_fail(c, "the second OnLunEmpty gave 0x%08x: %s", (unsigned)hr,
                         error_text(&err));
        }
    }
    trial_end(&t);
}

/* A copy that nothing is remembered of, and whose identity is the original's: whatever the answer
 * is, it must not be found by that. */
void case_delete_original(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    uint64_t digest = 0;
    trial_start(&t, c);
    (void)lun_info_copy(&t.luns[0].source, &t.luns[0].destination);
    HRESULT hr = trial_call(&t, VSS_OP_ON_LUN_EMPTY, 0, 1, &err);
    (void)conform_survived(c, VSS_OP_ON_LUN_EMPTY, hr, &err, "an original");
    struct lun *lun = scratch_open(c, 0, true);
    if (lun && conform_digest(c, lun->url, &digest) && digest != c->scratch[0].digest) {
        conform_fail(c, "OnLunEmpty of %s, an original, wrote to it", lun->url);
        c->scratch[0].digest = digest; /* it has been said */
    }
    lun_close(lun);
    trial_end(&t);
}
