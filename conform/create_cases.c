/* SPDX-License-Identifier: Apache-2.0 */
/* From BeginPrepareSnapshot to PostCommitSnapshots. */
#include "common/clock.h"
#include "common/id.h"
#include "conform/cases.h"
#include "conform/dependent_writer.h"
#include "conform/trial.h"

#include <stdlib.h>

#define VOLUMES_MAX     64u /* of a set, as VSS has it */
#define QUICK_US        2000000u
#define COMMIT_QUICK_US 1000000u
#define HOLD_LIMIT_US   10000000u
#define TRIES           3 /* a machine that was busy elsewhere is no finding */
#define WRITES_AT_LEAST 20u

void case_begin_same_lun(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    HRESULT hr = trial_begin(&t, 0, &err);
    if (SUCCEEDED(hr)) {
        hr = trial_begin(&t, 0, &err); /* a second volume on it */
    }
    for (uint32_t i = 1; SUCCEEDED(hr) && i < t.lun_count; i++) {
        hr = trial_begin(&t, i, &err);
    }
    if (conform_succeeded(c, VSS_OP_BEGIN_PREPARE_SNAPSHOT, hr, &err)) {
        t.stage = TRIAL_BEGUN;
        (void)trial_advance(&t, TRIAL_DESCRIBED);
    }
    trial_end(&t);
}

/* The first set is abandoned without a word, behind each step up to its cut. */
void case_begin_new_set(struct conform *c)
{
    static const enum trial_stage stages[] = {TRIAL_BEGUN, TRIAL_PREPARED, TRIAL_PRE_COMMITTED,
                                              TRIAL_COMMITTED};
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
        struct trial abandoned;
        struct trial t;
        trial_start(&abandoned, c);
        trial_start(&t, c);
        if (trial_advance(&abandoned, stages[i])) {
            (void)trial_advance(&t, TRIAL_DESCRIBED);
        }
        trial_end(&t);
        trial_end(&abandoned);
    }
}

void case_begin_many_volumes(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    HRESULT hr = S_OK;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < VOLUMES_MAX; i++) {
        hr = trial_begin(&t, i % t.lun_count, &err);
    }
    if (FAILED(hr) && hr != VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED) {
        conform_fail_op(c, VSS_OP_BEGIN_PREPARE_SNAPSHOT, "%s", error_text(&err));
    }
    trial_end(&t);
}

static uint64_t slower(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The slower one of the two quick operations; 0 after a failure. */
static uint64_t time_preparation(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    uint64_t taken_us = 0;
    trial_start(&t, c);
    HRESULT hr = S_OK;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < t.lun_count; i++) {
        hr = trial_begin(&t, i, &err);
        taken_us = slower(taken_us, t.taken_us);
    }
    if (conform_succeeded(c, VSS_OP_BEGIN_PREPARE_SNAPSHOT, hr, &err)) {
        t.stage = TRIAL_BEGUN;
        bool is_done = trial_advance(&t, TRIAL_PRE_COMMITTED);
        taken_us = is_done ? slower(taken_us, t.taken_us) : 0;
    }
    trial_end(&t);
    return taken_us;
}

void case_begin_quick(struct conform *c)
{
    uint64_t taken_us = QUICK_US + 1;
    if (conform_skip_offline(c, CONFORM_TIMES)) {
        return;
    }
    for (int i = 0; i < TRIES && taken_us > QUICK_US; i++) {
        taken_us = time_preparation(c);
    }
    if (taken_us > QUICK_US) {
        conform_fail(c, "BeginPrepareSnapshot or PreCommitSnapshots took %llu ms",
                     (unsigned long long)(taken_us / 1000));
    }
}

void case_prepare_foreign(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    struct vss_lun_info foreign = conform_foreign_lun();
    trial_start(&t, c);
    t.luns[t.lun_count - 1].source = foreign;
    t.luns[t.lun_count - 1].device = CONFORM_FOREIGN_DEVICE;
    HRESULT hr = S_OK;
    for (uint32_t i = 0; SUCCEEDED(hr) && i < t.lun_count; i++) {
        hr = trial_begin(&t, i, &err);
    }
    if (SUCCEEDED(hr)) {
        hr = trial_call(&t, VSS_OP_END_PREPARE_SNAPSHOTS, 0, t.lun_count, &err);
    }
    (void)conform_refused(c, VSS_OP_END_PREPARE_SNAPSHOTS, hr, &err,
                          "a set with a LUN of another array");
    trial_end(&t);
    lun_info_free(&foreign);
}

/* That the states are no larger than they may be is the host's to say; that they are enough is seen
 * in new processes. */
void case_prepare_states(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_PREPARED)) {
        conform_renew(c);
        (void)trial_advance(&t, TRIAL_POST_COMMITTED);
    }
    for (size_t i = 0; i < t.lun_count; i++) {
        if (t.luns[i].state.bytes > VSS_PROVIDER_STATE_BYTES_MAX) {
            conform_fail(c, "a state of %u bytes", t.luns[i].state.bytes);
        }
    }
    trial_end(&t);
}

void case_commit_order(struct conform *c)
{
    struct trial t;
    struct error err = {0};
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_PRE_COMMITTED)) {
        HRESULT hr = trial_call(&t, VSS_OP_POST_COMMIT_SNAPSHOTS, 0, t.lun_count, &err);
        (void)conform_refused(c, VSS_OP_POST_COMMIT_SNAPSHOTS, hr, &err,
                              "a set that was never committed");
    }
    trial_end(&t);
}

void case_commit_figures(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    if (trial_advance(&t, TRIAL_COMMITTED)) {
        const struct vss_states_out *times = &t.times;
        uint64_t end_us = t.called_at_us + t.taken_us;
        /* A recorded call was at another time. */
        bool is_within = c->is_offline ||
                         (times->first_cut_us >= t.called_at_us && times->last_cut_us <= end_us);
        bool has_hold = times->hold.held_at_us || times->hold.released_at_us;
        if (!times->first_cut_us || times->last_cut_us < times->first_cut_us || !is_within) {
            conform_fail(
                c, "the cut is said to have been from %lld to %lld us of a call of %llu us",
                (long long)(times->first_cut_us - t.called_at_us),
                (long long)(times->last_cut_us - t.called_at_us), (unsigned long long)t.taken_us);
        }
        if (!has_hold && t.lun_count > 1 &&
            provider_capabilities(c->provider)->consistent_set != VSS_CAPABILITY_NATIVE) {
            conform_fail_op(c, VSS_OP_COMMIT_SNAPSHOTS,
                            "CommitSnapshots of %u LUNs reports no hold, and consistent-set is not "
                            "native: such a set is refused",
                            t.lun_count);
        }
        if (has_hold && (times->hold.held_at_us > times->first_cut_us ||
                         times->hold.released_at_us < times->last_cut_us)) {
            conform_fail(c, "the cut is said to have been outside of the hold");
        }
    }
    trial_end(&t);
}

void case_commit_quick(struct conform *c)
{
    uint64_t taken_us = COMMIT_QUICK_US + 1;
    if (conform_skip_offline(c, CONFORM_TIMES)) {
        return;
    }
    for (int i = 0; i < TRIES && taken_us > COMMIT_QUICK_US; i++) {
        struct trial t;
        trial_start(&t, c);
        taken_us = trial_advance(&t, TRIAL_COMMITTED) ? t.taken_us : 0;
        trial_end(&t);
    }
    if (taken_us > COMMIT_QUICK_US) {
        conform_fail(c, "CommitSnapshots took %llu ms", (unsigned long long)(taken_us / 1000));
    }
}

static bool fill_originals(struct trial *t)
{
    for (size_t i = 0; i < t->lun_count; i++) {
        scratch_fill(t->c, i);
    }
    return !conform_has_failed(t->c);
}

/* Copies of this kind (0: the provider's choice). What is written right before the cut must be on
 * them, and nothing of what is written after it. */
static void make_copies(struct conform *c, uint32_t kind)
{
    struct trial t;
    uint64_t cut[TRIAL_LUNS] = {0};
    trial_start(&t, c);
    t.context |= kind;
    bool is_made = trial_advance(&t, TRIAL_PRE_COMMITTED) && fill_originals(&t);
    for (size_t i = 0; i < t.lun_count; i++) {
        cut[i] = c->scratch[i].digest;
    }
    is_made = is_made && trial_advance(&t, TRIAL_COMMITTED) && fill_originals(&t) &&
              trial_advance(&t, TRIAL_POST_COMMITTED) && fill_originals(&t);
    if (is_made && trial_advance(&t, TRIAL_SHOWN) && trial_expect_visible(&t)) {
        for (uint32_t i = 0; i < t.lun_count; i++) {
            (void)trial_expect_content(&t, i, cut[i], "what its original was at the commit");
        }
    }
    trial_end(&t);
}

void case_commit_content(struct conform *c)
{
    make_copies(c, 0);
}

static void make_claimed_copies(struct conform *c, uint32_t kind)
{
    question_expect_context(c, kind);
    make_copies(c, kind);
}

void case_commit_differential(struct conform *c)
{
    make_claimed_copies(c, VSS_VOLSNAP_ATTR_DIFFERENTIAL);
}

void case_commit_plex(struct conform *c)
{
    make_claimed_copies(c, VSS_VOLSNAP_ATTR_PLEX);
}

void case_commit_originals(struct conform *c)
{
    struct trial t;
    trial_start(&t, c);
    (void)trial_advance(&t, TRIAL_FINISHED);
    trial_end(&t);
    for (size_t i = 0; i < c->scratch_count; i++) {
        uint64_t now = 0;
        if (conform_digest(c, c->scratch[i].url, &now) && now != c->scratch[i].digest) {
            conform_fail(c, "%s was written to", c->scratch[i].url);
            c->scratch[i].digest = now; /* it has been said */
        }
    }
}

/* What the writer had written of each LUN when CommitSnapshots was called, and when it returned. */
struct moments {
    uint64_t before[TRIAL_LUNS];
    uint64_t after[TRIAL_LUNS];
};

/* One more record than was acknowledged may have been under way. */
static void expect_one_moment(struct trial *t, const struct moments *m)
{
    uint64_t on[TRIAL_LUNS] = {0};
    for (size_t i = 0; i < t->lun_count; i++) {
        if (!dependent_writer_read(t->c, t->urls[i], &on[i])) {
            return;
        }
        if (on[i] < m->before[i] || on[i] > m->after[i] + 1) {
            conform_fail(
                t->c,
                "the copy of %s has record %llu; %llu was the last before the commit, %llu "
                "when it was over",
                t->luns[i].device, (unsigned long long)on[i], (unsigned long long)m->before[i],
                (unsigned long long)m->after[i]);
        }
    }
    if (on[1] > on[0] || on[0] - on[1] > 1) {
        conform_fail(t->c,
                     "record %llu is the last on the first copy and %llu on the second, where each "
                     "was written only after the first LUN had acknowledged its own",
                     (unsigned long long)on[0], (unsigned long long)on[1]);
    }
}

/* Cuts while the writer goes on, before and after. */
static bool cut_under_writes(struct trial *t, struct dependent_writer *writer, struct moments *m)
{
    if (!dependent_writer_wait(t->c, writer, WRITES_AT_LEAST) ||
        !trial_advance(t, TRIAL_PRE_COMMITTED) ||
        !dependent_writer_wait(t->c, writer, WRITES_AT_LEAST)) {
        return false;
    }
    dependent_writer_look(writer, m->before);
    bool is_cut = trial_advance(t, TRIAL_COMMITTED);
    dependent_writer_look(writer, m->after);
    return is_cut && dependent_writer_wait(t->c, writer, WRITES_AT_LEAST) &&
           trial_advance(t, TRIAL_POST_COMMITTED);
}

void case_commit_point_in_time(struct conform *c)
{
    struct trial t;
    struct moments m = {0};
    trial_start(&t, c);
    struct dependent_writer *writer = dependent_writer_start(c);
    bool is_cut = writer && cut_under_writes(&t, writer, &m);
    dependent_writer_stop(c, writer);
    if (is_cut && trial_advance(&t, TRIAL_SHOWN) && trial_expect_visible(&t)) {
        expect_one_moment(&t, &m);
    }
    trial_end(&t);
}
