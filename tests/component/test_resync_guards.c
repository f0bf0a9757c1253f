/* SPDX-License-Identifier: Apache-2.0 */
/* What others do to the destinations of a resync by the array until it is done: fences that are
 * broken, labels and content that change, a set that is made of them. */
#include "component/callback_fixture.h"

#include "common/id.h"
#include "common/log.h"
#include "common/process.h"
#include "lun/label/edges.h"
#include "lun/scsi.h"
#include "provider/set/set.h"
#include "registry/journal.h"
#include "resync/ids_change.h"
#include "resync/recover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TRANSPORTABLE ((uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)

/* Another administrator's tool takes every reservation away, and stays. */
static struct lun *preempt_fence(struct array *a, size_t which)
{
    const struct lun_options options = {.initiator_name =
                                            "iqn.2026-01.org.lunshadow.test:stranger"};
    struct error err = {0};
    struct lun *lun = NULL;
    uint64_t keys[64];
    size_t count = 0;
    assert_ok(lun_open(a->urls[which], &options, false, &lun, &err), &err);
    uint64_t n = lun->address.lun;
    assert_ok(scsi_pr_read_keys(lun->session, n, keys, 64, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_ok(scsi_pr_register(lun->session, n, 0, 0x5757, &err), &err);
    assert_ok(scsi_pr_preempt(lun->session, n, 0x5757, keys[0], &err), &err);
    return lun;
}

static void break_fence(struct array *a, size_t which)
{
    leave(preempt_fence(a, which));
}

static HRESULT break_fence_then_poll(void *self, const struct vss_call *call, const void *in,
                                     void *out)
{
    if (calls++ == 0) {
        break_fence(running, 1);
    }
    return real[VSS_OP_RESYNC_POLL](self, call, in, out);
}

static HRESULT break_fence_then_prepare(void *self, const struct vss_call *call, const void *in,
                                        void *out)
{
    if (calls++ == 0) {
        break_fence(running, 1);
    }
    return real[VSS_OP_BEGIN_PREPARE_SNAPSHOT](self, call, in, out);
}

/* What happens right before the second destination is wiped. */
static void (*before_second_wipe)(struct array *a);
static unsigned wipes;

HRESULT __real_edges_wipe(struct block_device *device, const struct edges *edges,
                          struct error *err);
HRESULT __wrap_edges_wipe(struct block_device *device, const struct edges *edges,
                          struct error *err);

HRESULT __wrap_edges_wipe(struct block_device *device, const struct edges *edges, struct error *err)
{
    if (before_second_wipe && ++wipes == 2) {
        before_second_wipe(running);
    }
    return __real_edges_wipe(device, edges, err);
}

/* Until it is cut off another host writes to the first MiB of a LUN. */
static HRESULT write_before_eviction(void *self, const struct vss_call *call, const void *in,
                                     void *out)
{
    const struct vss_state_change_in *change = in;
    if (change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY) {
        array_fill(running, 0, 600u << 10, 4096, 0xd7);
    }
    return real[VSS_OP_ON_LUN_STATE_CHANGE](self, call, in, out);
}

/* Of the second LUN. */
static void drop_partition(struct array *a, int number)
{
    char line[512];
    (void)snprintf(line, sizeof(line), "PATH=$PATH:/usr/sbin:/sbin; sgdisk -d %d '%s'", number,
                   a->files[1]);
    run_shell(line);
}

static HRESULT relabel_before_eviction(void *self, const struct vss_call *call, const void *in,
                                       void *out)
{
    const struct vss_state_change_in *change = in;
    if (change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY) {
        drop_partition(running, 2);
    }
    return real[VSS_OP_ON_LUN_STATE_CHANGE](self, call, in, out);
}

static HRESULT refuse_to_let_in(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    return change->is_resync && change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY
               ? veto(self, call, in, out)
               : real[VSS_OP_ON_LUN_STATE_CHANGE](self, call, in, out);
}

static void a_fence_lost_before_the_wipe_is_noticed(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    uint64_t digests[2];
    make_two(a, &set, digests);
    replace(a, VSS_OP_BEGIN_PREPARE_SNAPSHOT, break_fence_then_prepare); /* of the safety copy */
    start_recovery(a, &set, 2, &r);
    recovery_set_undo(r, UNDO_REQUIRED);
    assert_refused(recovery_run(r, 0, &err), VSS_E_PROVIDER_VETO, &err, "persistent reservation");
    recovery_free(r);
    restore(a, VSS_OP_BEGIN_PREPARE_SNAPSHOT);
    assert_int_equal(array_digest(a->files[0]), digests[0]);
    assert_int_equal(array_digest(a->files[1]), digests[1]);
    assert_int_equal(open_entries(a), 0);
    array_delete_set(
        a, &set); /* nothing is left: of what was not overwritten there is no safety copy */
}

/* All is copied then, and looks like nothing. */
static void lose_fence_while_copying(struct array *a, struct set_record *set)
{
    uint64_t digests[2];
    make_two(a, set, digests);
    replace(a, VSS_OP_RESYNC_POLL, break_fence_then_poll);
    fail_to_recover(a, set, 2, "persistent reservation");
    restore(a, VSS_OP_RESYNC_POLL);
    assert_blank(a, 0);
    assert_blank(a, 1);
}

static void a_fence_lost_while_the_array_copies_is_noticed(void **state)
{
    struct array *a = *state;
    struct set_record set;
    lose_fence_while_copying(a, &set);
    assert_int_equal(open_entries(a), 1);
    recover(a, &set, 2);
    array_delete_set(a, &set);
}

/* The array is done by then: who has no use for the destinations can close what is left. */
static void what_is_left_of_scratch_luns_is_closed(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    lose_fence_while_copying(a, &set);
    assert_ok(recover_close_blank(a->env, &err), &err);
    assert_int_equal(open_entries(a), 0);
    array_delete_set(a, &set);
}

static HRESULT cut_then_poll(void *self, const struct vss_call *call, const void *in, void *out)
{
    if (calls++ == 0) {
        cut_sessions(running);
    }
    return real[VSS_OP_RESYNC_POLL](self, call, in, out);
}

static void a_session_lost_while_the_array_copies_is_opened_anew(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digests[2];
    make_two(a, &set, digests);
    replace(a, VSS_OP_RESYNC_POLL, cut_then_poll);
    recover(a, &set, 2);
    restore(a, VSS_OP_RESYNC_POLL);
    assert_int_not_equal(array_digest(a->files[0]), digests[0]);
    assert_int_equal(open_entries(a), 0);
    array_delete_set(a, &set);
}

static void fail_at_second_wipe(struct array *a, const struct set_record *set,
                                void (*act)(struct array *a), const char *words)
{
    struct error err = {0};
    struct recovery *r = NULL;
    running = a;
    wipes = 0;
    before_second_wipe = act;
    start_recovery(a, set, 2, &r);
    assert_true(FAILED(recovery_run(r, 0, &err)));
    assert_non_null(strstr(err.text, words));
    recovery_free(r);
    before_second_wipe = NULL;
}

static void a_session_lost_at_the_wipe_takes_no_label(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digests[2];
    make_two(a, &set, digests);
    fail_at_second_wipe(a, &set, cut_sessions, "");
    assert_int_equal(array_digest(a->files[0]), digests[0]);
    assert_int_equal(array_digest(a->files[1]), digests[1]);
    assert_int_equal(open_entries(a), 0);
    recover(a, &set, 2);
    array_delete_set(a, &set);
}

static struct lun *stranger;

static void take_second_fence(struct array *a)
{
    stranger = preempt_fence(a, 1);
}

static void take_second_label(struct array *a)
{
    struct error err = {0};
    uint8_t block[512] = {0};
    take_second_fence(a);
    assert_ok(block_write(&stranger->block, 1, 1, block, &err), &err);
}

static void a_label_that_was_not_wiped_is_none_to_put_back(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digests[2];
    make_two(a, &set, digests);
    fail_at_second_wipe(a, &set, take_second_fence, "");
    leave(stranger);
    assert_int_equal(array_digest(a->files[0]), digests[0]);
    assert_int_equal(array_digest(a->files[1]), digests[1]);
    assert_int_equal(open_entries(a), 0);
    array_delete_set(a, &set);
}

/* Those that could have it are told to be lost too: none of them looks whole. */
static void a_label_that_cannot_be_put_back_takes_all(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digests[2];
    make_two(a, &set, digests);
    fail_at_second_wipe(a, &set, take_second_label, "not whole");
    assert_blank(a, 0);
    assert_int_equal(open_entries(a), 1);
    leave(stranger);
    recover(a, &set, 2);
    array_delete_set(a, &set);
}

/* ---- a part of what another one left -----------------------------------------------------------
 */

/* This process lives: what failed in it is no less unfinished. */
static void a_part_of_what_is_half_written_is_refused(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    uint64_t digests[2];
    make_two(a, &set, digests);
    replace(a, VSS_OP_RESYNC_POLL, veto);
    fail_to_recover(a, &set, 2, "not whole");
    restore(a, VSS_OP_RESYNC_POLL);
    uint64_t left = array_digest(a->files[0]);
    start_recovery(a, &set, 1, &r);
    assert_refused(recovery_run(r, 0, &err), VSS_E_BAD_STATE, &err, "did not end");
    recovery_free(r);
    assert_int_equal(array_digest(a->files[0]), left);
    recover(a, &set, 2);
    array_delete_set(a, &set);
}

/* ---- before the fence --------------------------------------------------------------------------
 */

/* Where the wipe fails, what is put back is what was there when it began. */
static void what_others_wrote_until_the_fence_stays(void **state)
{
    struct array *a = *state;
    struct set_record set;
    struct error err = {0};
    struct recovery *r = NULL;
    uint64_t digests[2];
    make_two(a, &set, digests);
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, write_before_eviction);
    update_lun(a, 2, "readonly=1");
    start_recovery(a, &set, 2, &r);
    assert_true(FAILED(recovery_run(r, 0, &err)));
    recovery_free(r);
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    uint64_t after = array_digest(a->files[0]);
    assert_int_not_equal(after, digests[0]);
    array_fill(a, 0, 600u << 10, 4096, 0xd7);
    assert_int_equal(array_digest(a->files[0]), after);
    assert_int_equal(open_entries(a), 0);
    set_record_free(&set);
}

static void a_label_that_changed_until_the_fence_ends_it(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digests[2];
    make_two(a, &set, digests);
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, relabel_before_eviction);
    fail_to_recover(a, &set, 2, "after they were checked");
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    assert_int_equal(array_digest(a->files[0]), digests[0]);
    assert_int_equal(open_entries(a), 0);
    recover(a, &set, 2);
    array_delete_set(a, &set);
}

/* Another host takes a partition away right before a set is cut. */
static HRESULT repartition_then_cut(void *self, const struct vss_call *call, const void *in,
                                    void *out)
{
    drop_partition(running, 3);
    return real[VSS_OP_PRE_COMMIT_SNAPSHOTS](self, call, in, out);
}

/* Its partitions are not those that were read when it was added to the set. */
static void a_copy_of_other_partitions_is_recovered(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    replace(a, VSS_OP_PRE_COMMIT_SNAPSHOTS, repartition_then_cut);
    array_create(a, TRANSPORTABLE, 2, &set);
    restore(a, VSS_OP_PRE_COMMIT_SNAPSHOTS);
    uint64_t digest = array_digest(a->files[1]);
    for (int i = 0; i < 2; i++) { /* as the array made it, and with the ids of an imported copy */
        array_fill(a, 1, 4u << 20, 1u << 20, 0x56);
        recover(a, &set, 2);
        assert_int_equal(array_digest(a->files[1]), digest);
        assert_int_equal(open_entries(a), 0);
        assert_ok(set_import(a->env, &set, &err), &err);
    }
    array_delete_set(a, &set);
}

/* What failed in this process, and overwrote nothing, is no reason: only its fence may be there. */
static void a_part_of_what_was_left_alone_is_recovered(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digests[2];
    uint64_t original = array_digest(a->files[0]);
    make_two(a, &set, digests);
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, refuse_to_let_in);
    fail_to_recover(a, &set, 2, "are whole");
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    assert_int_equal(open_entries(a), 1);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x56);
    recover(a, &set, 1);
    assert_int_equal(array_digest(a->files[0]), original);
    recover(a, &set, 2); /* ends the other one, too */
    assert_int_equal(open_entries(a), 0);
    array_delete_set(a, &set);
}

/* ---- a set of the same LUN ---------------------------------------------------------------------
 */

static struct set_environment *second;     /* of another process, as it were */
static const struct set_record *recovered; /* by it */
static struct set_builder *late;           /* of it */
static HRESULT second_hr;
static struct error second_err;

static HRESULT resync_meanwhile(void *self, const struct vss_call *call, const void *in, void *out)
{
    struct recovery *r = NULL;
    second_hr = recovery_new(second, recovered, &r, &second_err);
    if (SUCCEEDED(second_hr)) {
        second_hr = recovery_add(r, &recovered->snapshots[0].snapshot_id, NULL, &second_err);
    }
    if (SUCCEEDED(second_hr)) {
        second_hr = recovery_run(r, 0, &second_err);
    }
    recovery_free(r);
    return real[VSS_OP_END_PREPARE_SNAPSHOTS](self, call, in, out);
}

static HRESULT commit_meanwhile(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    struct set_record set = {0};
    if (change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY) {
        second_hr = set_commit(late, NULL, &set, &second_err);
        set_record_free(&set);
    }
    return real[VSS_OP_ON_LUN_STATE_CHANGE](self, call, in, out);
}

/* What is about to be cut is not overwritten, nor what is about to be overwritten cut. */
static void a_set_and_a_resync_keep_out_of_each_other(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record old;
    struct set_record set;
    int32_t deleted = 0;
    VSS_ID id;
    array_create(a, TRANSPORTABLE, 1, &old);
    recovered = &old;
    assert_ok(set_environment_open(a->config, a->state, &second, &err), &err);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x55);
    uint64_t digest = array_digest(a->files[0]);
    replace(a, VSS_OP_END_PREPARE_SNAPSHOTS, resync_meanwhile);
    array_create(a, TRANSPORTABLE, 2, &set);
    restore(a, VSS_OP_END_PREPARE_SNAPSHOTS);
    assert_refused(second_hr, VSS_E_BAD_STATE, &second_err, "has not ended its create");
    assert_int_equal(array_digest(a->files[0]), digest);
    assert_ok(set_delete(a->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err), &err);
    set_record_free(&set);
    error_clear(&second_err);
    assert_ok(set_start(second, TRANSPORTABLE, &late, &id, &err), &err);
    assert_ok(set_add_volume(late, a->urls[0], NULL, &id, &err), &err);
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, commit_meanwhile);
    recover(a, &old, 1);
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    assert_refused(second_hr, VSS_E_BAD_STATE, &second_err, "has not ended its resync");
    set_builder_free(late);
    set_environment_close(second);
    array_delete_set(a, &old);
}

/* Fresh ids for a LUN, as `lunshadow ids` gives them. */
static HRESULT change_ids(struct set_environment *env, const char *url, struct error *err)
{
    struct ids_change *change = NULL;
    struct vss_disk_ids wanted = {0};
    HRESULT hr = ids_change_new(env, &change, err);
    if (SUCCEEDED(hr)) {
        hr = ids_change_add(change, url, err);
    }
    if (SUCCEEDED(hr)) {
        hr = label_fresh_ids(&ids_change_get(change, 0)->current, 0, 0, &wanted);
    }
    if (SUCCEEDED(hr)) {
        hr = ids_change_stage(change, 0, &wanted, false, err);
    }
    if (SUCCEEDED(hr)) {
        hr = ids_change_apply(change, "of a test", err);
    }
    disk_ids_free(&wanted);
    ids_change_free(change);
    return hr;
}

static HRESULT change_ids_meanwhile(void *self, const struct vss_call *call, const void *in,
                                    void *out)
{
    second_hr = change_ids(second, running->urls[1], &second_err);
    return real[VSS_OP_END_PREPARE_SNAPSHOTS](self, call, in, out);
}

static void begin_late(struct array *a, size_t which)
{
    struct error err = {0};
    VSS_ID id;
    assert_ok(set_start(a->env, TRANSPORTABLE, &late, &id, &err), &err);
    assert_ok(set_add_volume(late, a->urls[which], NULL, &id, &err), &err);
}

static void refuse_late(struct array *a, const char *words)
{
    struct error err = {0};
    struct set_record set = {0};
    assert_refused(set_commit(late, NULL, &set, &err), VSS_E_BAD_STATE, &err, words);
    set_builder_free(late);
    array_assert_nothing_left(a);
}

/* Between being added and being cut: what the set would say of its original is not true any more.
 */
static void an_original_is_what_it_was_when_it_was_added(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    running = a;
    begin_late(a, 1);
    assert_ok(change_ids(a->env, a->urls[1], &err), &err);
    refuse_late(a, "other disk ids");
    begin_late(a, 1);
    drop_partition(a, 3);
    refuse_late(a, "other partitions");
    begin_late(a, 0); /* what is no label may change at any time */
    array_fill(a, 0, 600u << 10, 4096, 0xd7);
    struct set_record set = {0};
    assert_ok(set_commit(late, NULL, &set, &err), &err);
    set_builder_free(late);
    array_delete_set(a, &set);
}

static void a_set_and_a_change_of_ids_keep_out_of_each_other(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    VSS_ID change_id = id_new();
    VSS_ID entry_id;
    char key[LUN_KEY_BYTES];
    error_clear(&second_err);
    assert_ok(set_environment_open(a->config, a->state, &second, &err), &err);
    replace(a, VSS_OP_END_PREPARE_SNAPSHOTS, change_ids_meanwhile);
    array_create(a, TRANSPORTABLE, 2, &set);
    restore(a, VSS_OP_END_PREPARE_SNAPSHOTS);
    assert_refused(second_hr, VSS_E_BAD_STATE, &second_err, "has not ended its create");
    (void)lun_info_key(&set.luns[0].source, key);
    array_delete_set(a, &set);
    begin_late(a, 0);
    struct store *store = second->store;
    assert_ok(journal_open(store, JOURNAL_DISK_IDS, &change_id, "ids", &entry_id, &err), &err);
    assert_ok(journal_step(store, &entry_id, "lun", key, NULL, 0, &err), &err);
    struct set_record none = {0};
    assert_refused(set_commit(late, NULL, &none, &err), VSS_E_BAD_STATE, &err,
                   "has not ended its disk-ids");
    set_builder_free(late);
    assert_ok(journal_close(store, &entry_id, &err), &err);
    set_environment_close(second);
    array_assert_nothing_left(a);
}

/* ---- a session that ends -----------------------------------------------------------------------
 */

static const char *cut_at; /* in the line of the command that is the last to be answered */
static atomic_int cut_in;  /* so many of those are */

/* As a resync of another LUN that begins: everybody is cut off their target. */
static void cut_when_due(enum log_level level, const char *line, void *user)
{
    (void)level;
    if (strstr(line, cut_at) && atomic_fetch_sub(&cut_in, 1) == 1) {
        cut_sessions(user);
    }
}

static void cut_after(struct array *a, const char *what, int count)
{
    cut_at = what;
    atomic_store(&cut_in, count);
    log_set_sink(cut_when_due, a, LOG_TRACE);
}

/* False: there were not that many. */
static bool was_cut(void)
{
    log_set_sink(NULL, NULL, LOG_ERROR);
    return atomic_load(&cut_in) <= 0;
}

/* Behind the address may be another LUN by now. */
static void a_lun_goes_on_in_a_new_session_where_it_is_the_same(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct lun *lun = NULL;
    struct label *label = NULL;
    uint8_t block[512];
    assert_ok(lun_open(a->urls[1], &a->env->lun, true, &lun, &err), &err);
    assert_int_equal(lun_renew(lun, &a->env->lun, &err), S_FALSE);
    cut_sessions(a);
    assert_true(FAILED(block_read(&lun->block, 0, 1, block, NULL)));
    assert_int_equal(lun_renew(lun, &a->env->lun, &err), S_OK);
    assert_ok(block_read(&lun->block, 0, 1, block, &err), &err);
    cut_sessions(a);
    update_lun(a, 2, "scsi_id=60014050000000000000000000000077");
    assert_true(FAILED(lun_read_label(lun, &a->env->lun, &label, NULL)));
    assert_refused(lun_renew(lun, &a->env->lun, &err), VSS_E_OBJECT_NOT_FOUND, &err, "by now");
    lun_close(lun);
}

static void a_volume_is_added_beside_a_resync_that_begins(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    VSS_ID id;
    bool is_cut = true;
    for (int command = 1; is_cut; command++) {
        assert_ok(set_start(a->env, TRANSPORTABLE, &b, &id, &err), &err);
        cut_after(a, "lun=2 ", command);
        HRESULT hr = set_add_volume(b, a->urls[1], NULL, &id, &err);
        is_cut = was_cut();
        assert_ok(hr, &err);
        set_builder_free(b);
    }
}

static void a_destination_is_added_beside_a_resync_that_begins(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    bool is_cut = true;
    array_create(a, TRANSPORTABLE, 1, &set);
    for (int command = 1; is_cut; command++) {
        assert_ok(recovery_new(a->env, &set, &r, &err), &err);
        cut_after(a, "lun=1 ", command);
        HRESULT hr = recovery_add(r, &set.snapshots[0].snapshot_id, NULL, &err);
        is_cut = was_cut();
        assert_ok(hr, &err);
        recovery_free(r);
    }
    array_delete_set(a, &set);
}

/* A copy's target may have destinations too. */
static void a_set_is_broken_beside_a_resync_that_begins(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    for (int read = 1; read <= 3; read++) {
        array_create(a, TRANSPORTABLE, 1, &set);
        assert_ok(set_import(a->env, &set, &err), &err);
        cut_after(a, "cdb=88 ", read);
        HRESULT hr = set_break(a->env, &set.set_id, VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE, &err);
        assert_true(was_cut());
        assert_ok(hr, &err);
        set_record_free(&set);
    }
}

int main(void)
{
    (void)setenv("LUNSHADOW_PROVIDER_IN_PROCESS", "1", 1);
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(a_fence_lost_before_the_wipe_is_noticed),
        array_test(a_fence_lost_while_the_array_copies_is_noticed),
        array_test(what_is_left_of_scratch_luns_is_closed),
        array_test(a_session_lost_while_the_array_copies_is_opened_anew),
        array_test(a_session_lost_at_the_wipe_takes_no_label),
        array_test(a_label_that_was_not_wiped_is_none_to_put_back),
        array_test(a_label_that_cannot_be_put_back_takes_all),
        array_test(a_part_of_what_is_half_written_is_refused),
        array_test(what_others_wrote_until_the_fence_stays),
        array_test(a_label_that_changed_until_the_fence_ends_it),
        array_test(a_copy_of_other_partitions_is_recovered),
        array_test(a_part_of_what_was_left_alone_is_recovered),
        array_test(a_set_and_a_resync_keep_out_of_each_other),
        array_test(an_original_is_what_it_was_when_it_was_added),
        array_test(a_set_and_a_change_of_ids_keep_out_of_each_other),
        array_test(a_lun_goes_on_in_a_new_session_where_it_is_the_same),
        array_test(a_volume_is_added_beside_a_resync_that_begins),
        array_test(a_destination_is_added_beside_a_resync_that_begins),
        array_test(a_set_is_broken_beside_a_resync_that_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
