/* SPDX-License-Identifier: Apache-2.0 */
/* What a dead resync left, at chosen steps: which way is possible, and what it leaves. */
#include "component/dead_fixture.h"

#include "common/id.h"
#include "lun/scsi.h"
#include "provider/host/internal.h"
#include "provider/set/claim.h"
#include "resync/recovery.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TRANSPORTABLE ((uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)
#define FENCE_KEY     UINT64_C(0x6c756e736861646f)

/* ---- resync: as a process leaves it that dies right before the wipe, or in the middle of it -----
 */

static bool resync_announced(struct set_environment *env, const struct set_record *set)
{
    char id[ID_TEXT_BYTES];
    char snapshot[ID_TEXT_BYTES];
    char key[LUN_KEY_BYTES];
    VSS_ID resync_id = id_new();
    VSS_ID entry;
    char *plan =
        json_dumps(json_pack("{s:i, s:[{s:s, s:n}]}", "flags", 0, "members", "snapshot",
                             id_text(&set->snapshots[0].snapshot_id, snapshot), "destination"),
                   0);
    char *ids = json_dumps(disk_ids_to_json(&set->luns[0].source_ids), 0);
    (void)id_text(&set->set_id, id);
    return plan && ids &&
           SUCCEEDED(
               journal_open(env->store, JOURNAL_RESYNC, &resync_id, "resync", &entry, NULL)) &&
           SUCCEEDED(journal_step(env->store, &entry, CLAIM_STEP, NULL, id, strlen(id), NULL)) &&
           SUCCEEDED(journal_step(env->store, &entry, PLAN_STEP, NULL, plan, strlen(plan), NULL)) &&
           SUCCEEDED(journal_step(env->store, &entry, "ids-before",
                                  lun_info_key(&set->luns[0].source, key), ids, strlen(ids), NULL));
}

static bool resync_half(struct set_environment *env, const struct set_record *set)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    return resync_announced(env, set) &&
           SUCCEEDED(journal_load_open(env->store, false, &entries, &count, NULL)) && count == 1 &&
           SUCCEEDED(journal_mark_invalid(env->store, &entries[0].entry_id, true, NULL));
}

static void dead_resync_is_finished(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digest = array_digest(a->files[0]);
    array_create(a, TRANSPORTABLE, 1, &set);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x77);
    in_dead_process(a, &set, resync_announced);
    deal_with(a, RECOVER_RESUME);
    assert_int_equal(array_digest(a->files[0]), digest);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x78);
    in_dead_process(a, &set, resync_announced);
    deal_with(a, RECOVER_ROLLBACK);
    assert_int_not_equal(array_digest(a->files[0]), digest);
    in_dead_process(a, &set, resync_half);
    assert_impossible(a, RECOVER_ROLLBACK, "resume it");
    deal_with(a, RECOVER_RESUME);
    assert_int_equal(array_digest(a->files[0]), digest);
    array_delete_set(a, &set);
}

/* Done, but the target was away when the fence was to be taken off; and who took it off later may
 * have died too, with registrations of its own: LEFT_... */
enum { LEFT_FENCE = 1, LEFT_FIRST_BROOM = 2, LEFT_SECOND_BROOM = 4, LEFT_ALL = 7 };
static unsigned left;

static bool leave_registrations(struct set_environment *env, const char *url)
{
    static const uint64_t keys[] = {FENCE_KEY, FENCE_KEY ^ 0x5a5a5a5a5a5a5a5a,
                                    FENCE_KEY ^ 0xa5a5a5a5a5a5a5a5};
    bool ok = true;
    for (unsigned i = 0, reserved = 0; ok && i < 3; i++) {
        struct lun *lun = NULL;
        if (!(left >> i & 1)) {
            continue;
        }
        ok = SUCCEEDED(lun_open(url, &env->lun, true, &lun, NULL)) &&
             SUCCEEDED(scsi_pr_register(lun->session, lun->address.lun, 0, keys[i], NULL));
        if (ok && !reserved++) {
            ok = SUCCEEDED(scsi_pr_reserve(lun->session, lun->address.lun, keys[i], NULL));
        }
    }
    return ok;
}

static bool resync_fenced(struct set_environment *env, const struct set_record *set)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    char key[LUN_KEY_BYTES];
    const uint64_t stored = htole64(FENCE_KEY);
    bool ok = resync_announced(env, set) && leave_registrations(env, set->luns[0].source_url) &&
              SUCCEEDED(journal_load_open(env->store, false, &entries, &count, NULL)) && count == 1;
    const VSS_ID *entry = ok ? &entries[0].entry_id : NULL;
    return ok &&
           SUCCEEDED(journal_step(env->store, entry, "fence",
                                  lun_info_key(&set->luns[0].source, key), &stored, sizeof(stored),
                                  NULL)) &&
           SUCCEEDED(journal_step(env->store, entry, "done", NULL, NULL, 0, NULL));
}

static void assert_no_registration(struct array *a)
{
    struct error err = {0};
    struct lun *lun = NULL;
    uint64_t keys[1];
    size_t count = 0;
    assert_ok(lun_open(a->urls[0], &a->env->lun, true, &lun, &err), &err);
    assert_ok(scsi_pr_read_keys(lun->session, lun->address.lun, keys, 1, &count, &err), &err);
    lun_close(lun);
    assert_int_equal(count, 0);
}

static void a_resync_that_is_done_only_loses_its_fence(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, 1, &set);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x77); /* written since: another resync would undo it */
    uint64_t digest = array_digest(a->files[0]);
    for (left = LEFT_FENCE; left <= LEFT_ALL; left++) {
        in_dead_process(a, &set, resync_fenced);
        assert_impossible(a, RECOVER_ROLLBACK, "it was done");
        deal_with(a, RECOVER_RESUME);
        assert_no_registration(a);
        assert_int_equal(array_digest(a->files[0]), digest);
    }
    array_delete_set(a, &set);
}

static void no_fence_is_looked_for_on_a_twin(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, 1, &set);
    left = LEFT_FENCE;
    in_dead_process(a, &set, resync_fenced);
    add_twin(a, &set.luns[0].source);
    assert_twin_refused(a, RECOVER_RESUME, set.luns[0].source_url);
    deal_with(a, RECOVER_RESUME);
    assert_no_registration(a);
    array_delete_set(a, &set);
}

/* Nor does what a dying recovery left keep the same resync from running. */
static void another_resync_takes_what_is_left_of_a_fence(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    uint64_t digest = array_digest(a->files[0]);
    array_create(a, TRANSPORTABLE, 1, &set);
    for (left = LEFT_FENCE; left <= LEFT_ALL; left++) {
        struct recovery *r = NULL;
        array_fill(a, 0, 4u << 20, 1u << 20, 0x77);
        in_dead_process(a, &set, resync_fenced);
        assert_ok(recovery_new(a->env, &set, &r, &err), &err);
        assert_ok(recovery_add(r, &set.snapshots[0].snapshot_id, NULL, &err), &err);
        assert_ok(recovery_run(r, 0, &err), &err);
        recovery_free(r);
        assert_none_open(a);
        assert_no_registration(a);
        assert_int_equal(array_digest(a->files[0]), digest);
    }
    array_delete_set(a, &set);
}

/* ---- what is whole, and not let go of ----------------------------------------------------------
 */

static vss_provider_callback real_change;
static struct set_environment *changing;
static int let_in; /* POST_RECOVERY of a resync */

static HRESULT refuse_to_let_in(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    if (change->is_resync && change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY) {
        call->host->error(call, "the test says no");
        return VSS_E_PROVIDER_VETO;
    }
    return real_change(self, call, in, out);
}

static HRESULT count_let_in(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    let_in += change->is_resync && change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY &&
              change->set.lun_count == 1 && change->set.luns[0].source.version;
    return real_change(self, call, in, out);
}

static HRESULT die(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    HRESULT hr = real_change(self, call, in, out);
    if (change->is_resync && change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY) {
        _exit(0);
    }
    return hr;
}

static void replace(struct set_environment *env, vss_provider_callback callback)
{
    struct provider *p = providers_at(env->providers, 0);
    changing = env;
    real_change = p->ops[VSS_OP_ON_LUN_STATE_CHANGE];
    p->ops[VSS_OP_ON_LUN_STATE_CHANGE] = callback;
}

static HRESULT resync_some(struct set_environment *env, const struct set_record *set, size_t count,
                           struct error *err)
{
    struct recovery *r = NULL;
    HRESULT hr = recovery_new(env, set, &r, err);
    for (size_t i = 0; i < count && SUCCEEDED(hr); i++) {
        hr = recovery_add(r, &set->snapshots[i].snapshot_id, NULL, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recovery_run(r, 0, err);
    }
    recovery_free(r);
    return hr;
}

static bool resync_not_let_go(struct set_environment *env, const struct set_record *set)
{
    struct error err = {0};
    replace(env, refuse_to_let_in);
    return resync_some(env, set, 1, &err) == VSS_E_PROVIDER_VETO &&
           strstr(err.text, "are whole") != NULL;
}

static const struct vss_lun_info *expected; /* to be let in, alone */

static HRESULT cancel_and_watch(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    if (change->is_resync && change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY) {
        atomic_store(&changing->cancelled, true);
    }
    if (change->is_resync && change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY) {
        assert_int_equal(change->set.lun_count, 1);
        assert_int_equal(lun_info_compare(&change->set.luns[0].source, expected), LUN_SAME);
        let_in++;
    }
    return real_change(self, call, in, out);
}

static bool resync_dies_before_the_wipe(struct set_environment *env, const struct set_record *set)
{
    replace(env, die);
    (void)resync_some(env, set, set->snapshot_count, NULL);
    return false;
}

/* Hosts use it by then: to copy again would take what they wrote. */
static void a_resync_that_is_done_is_not_done_again(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digest = array_digest(a->files[0]);
    array_create(a, TRANSPORTABLE, 1, &set);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x77);
    in_dead_process(a, &set, resync_not_let_go);
    assert_int_equal(array_digest(a->files[0]), digest);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x78);
    digest = array_digest(a->files[0]);
    assert_impossible(a, RECOVER_ROLLBACK, "it was done");
    let_in = 0;
    replace(a->env, count_let_in);
    deal_with(a, RECOVER_RESUME);
    assert_int_equal(let_in, 1);
    assert_int_equal(array_digest(a->files[0]), digest);
    array_delete_set(a, &set);
}

/* An entry that was read before another process had made its destinations whole. */
static void what_was_dealt_with_meanwhile_is_not_done_again(void **state)
{
    bool (*const acts[])(struct set_environment *, const struct set_record *) = {
        resync_half, resync_not_let_go, resync_announced};
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, 1, &set);
    for (size_t i = 0; i < 3; i++) {
        struct error err = {0};
        struct journal_entry *stale = NULL;
        in_dead_process(a, &set, acts[i]);
        load_one(a, &stale);
        assert_ok(resync_some(a->env, &set, 1, &err), &err);
        array_fill(a, 0, 4u << 20, 1u << 20, (uint8_t)(0x31 + i)); /* by a host */
        uint64_t digest = array_digest(a->files[0]);
        assert_refused(recovery_resume(a->env, stale, &err), VSS_E_OBJECT_NOT_FOUND, &err,
                       "dealt with");
        error_clear(&err);
        assert_true(FAILED(recovery_rollback(a->env, stale, &err)));
        assert_int_equal(array_digest(a->files[0]), digest);
        journal_free_all(stale, 1);
    }
    array_delete_set(a, &set);
}

static void hosts_are_let_in_again_where_nothing_was_done(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, 1, &set);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x77);
    uint64_t digest = array_digest(a->files[0]);
    in_dead_process(a, &set, resync_dies_before_the_wipe);
    let_in = 0;
    replace(a->env, count_let_in);
    deal_with(a, RECOVER_ROLLBACK);
    assert_int_equal(let_in, 1);
    assert_int_equal(array_digest(a->files[0]), digest);
    array_delete_set(a, &set);
}

/* Of two destinations an earlier resync had begun to overwrite the first. */
static void leave_first_half(struct array *a, struct set_record *set)
{
    array_create(a, TRANSPORTABLE, 2, set);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x77);
    array_fill(a, 1, 4u << 20, 1u << 20, 0x78);
    in_dead_process(a, set, resync_half);
    let_in = 0;
    expected = &set->luns[1].source;
}

static void make_whole(struct array *a, struct set_record *set)
{
    struct error err = {0};
    assert_int_equal(let_in, 1);
    providers_at(a->env->providers, 0)->ops[VSS_OP_ON_LUN_STATE_CHANGE] = real_change;
    atomic_store(&a->env->cancelled, false);
    assert_ok(resync_some(a->env, set, 2, &err), &err);
    array_delete_set(a, set);
}

static void no_host_is_let_in_to_what_is_half_written(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    leave_first_half(a, &set);
    replace(a->env, cancel_and_watch);
    assert_refused(resync_some(a->env, &set, 2, &err), E_ABORT, &err, "before anything");
    make_whole(a, &set);
}

static void nor_by_taking_another_resync_back(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct journal_entry *entries = NULL;
    size_t count = 0;
    leave_first_half(a, &set);
    in_dead_process(a, &set, resync_dies_before_the_wipe);
    assert_ok(journal_load_open(a->env->store, true, &entries, &count, &err), &err);
    assert_int_equal(count, 2);
    replace(a->env, cancel_and_watch);
    assert_ok(recover_entry(a->env, &entries[1].entry_id, RECOVER_ROLLBACK, &err), &err);
    journal_free_all(entries, count);
    make_whole(a, &set);
}

/* ---- forgetting what a resync that runs has taken over ----------------------------------------
 */

static vss_provider_callback real_poll;
static struct array *copying;
static VSS_ID taken_over;
static HRESULT (*while_copying)(struct set_environment *env, const VSS_ID *entry_id,
                                struct error *err);
static HRESULT meanwhile_hr;

static HRESULT act_then_poll(void *self, const struct vss_call *call, const void *in, void *out)
{
    struct error err = {0};
    if (while_copying) {
        meanwhile_hr = while_copying(copying->env, &taken_over, &err);
        while_copying = NULL;
    }
    return real_poll(self, call, in, out);
}

/* As an older version forgets it. */
static HRESULT close_it(struct set_environment *env, const VSS_ID *entry_id, struct error *err)
{
    return journal_close(env->store, entry_id, err);
}

static void what_a_resync_has_taken_over_is_not_lost_to_it(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digest = array_digest(a->files[0]);
    array_create(a, TRANSPORTABLE, 1, &set);
    struct provider *p = providers_at(a->env->providers, 0);
    real_poll = p->ops[VSS_OP_RESYNC_POLL];
    p->ops[VSS_OP_RESYNC_POLL] = act_then_poll;
    copying = a;
    for (int i = 0; i < 2; i++) {
        struct error err = {0};
        struct journal_entry *entry = NULL;
        array_fill(a, 0, 4u << 20, 1u << 20, 0x77);
        in_dead_process(a, &set, resync_half);
        load_one(a, &entry);
        taken_over = entry->entry_id;
        journal_free_all(entry, 1);
        while_copying = i == 0 ? recover_forget : close_it;
        assert_ok(resync_some(a->env, &set, 1, &err), &err);
        assert_int_equal(meanwhile_hr, i == 0 ? VSS_E_RESYNC_IN_PROGRESS : S_OK);
        assert_int_equal(array_digest(a->files[0]), digest);
        assert_none_open(a);
        assert_no_registration(a);
    }
    p->ops[VSS_OP_RESYNC_POLL] = real_poll;
    array_delete_set(a, &set);
}

int main(void)
{
    /* Callbacks can be replaced only where the plug-in is loaded. */
    (void)setenv("LUNSHADOW_PROVIDER_IN_PROCESS", "1", 1);
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(dead_resync_is_finished),
        array_test(a_resync_that_is_done_is_not_done_again),
        array_test(what_was_dealt_with_meanwhile_is_not_done_again),
        array_test(hosts_are_let_in_again_where_nothing_was_done),
        array_test(no_host_is_let_in_to_what_is_half_written),
        array_test(nor_by_taking_another_resync_back),
        array_test(what_a_resync_has_taken_over_is_not_lost_to_it),
        array_test(a_resync_that_is_done_only_loses_its_fence),
        array_test(no_fence_is_looked_for_on_a_twin),
        array_test(another_resync_takes_what_is_left_of_a_fence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
