/* SPDX-License-Identifier: Apache-2.0 */
/* What other hosts do to a resync by the array: one of the same destinations, with reservations of
 * their own, and copies of a shared set that they delete; and a target that closes sessions while
 * disk ids are written. */
#include "component/callback_fixture.h"

#include "lun/label/disk_ids.h"
#include "lun/scsi.h"
#include "provider/set/set.h"
#include "resync/recovery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct lun *stranger;
static struct set_environment *second; /* of another host */

/* ---- another host's resync ---------------------------------------------------------------------
 */

static uint32_t shown_again; /* LUNs that others were let in to */

/* Another host begins one of the second LUN. */
static void begin_there(struct array *a)
{
    const struct lun_options options = {.initiator_name =
                                            "iqn.2026-01.org.lunshadow.test:stranger"};
    struct error err = {0};
    assert_ok(lun_open(a->urls[1], &options, false, &stranger, &err), &err);
    assert_ok(scsi_pr_register(stranger->session, stranger->address.lun, 0, 0x5757, &err), &err);
}

static HRESULT begin_there_then_evict(void *self, const struct vss_call *call, const void *in,
                                      void *out)
{
    const struct vss_state_change_in *change = in;
    bool is_first = change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY;
    HRESULT hr = real[VSS_OP_ON_LUN_STATE_CHANGE](self, call, in, out);
    if (is_first) {
        begin_there(running);
    } else {
        shown_again += change->set.lun_count;
    }
    return hr;
}

static void a_resync_of_another_host_is_not_disturbed(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digests[2];
    make_two(a, &set, digests);
    begin_there(a);
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, veto); /* neither cut off nor let in */
    fail_to_recover(a, &set, 2, "registered by others");
    assert_int_equal(calls, 0);
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    leave(stranger);
    shown_again = 0;
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, begin_there_then_evict);
    fail_to_recover(a, &set, 2, "registered by others");
    assert_int_equal(shown_again, 1);
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    leave(stranger);
    assert_int_equal(array_digest(a->files[0]), digests[0]);
    assert_int_equal(array_digest(a->files[1]), digests[1]);
    assert_int_equal(open_entries(a), 0);
    recover(a, &set, 2);
    array_delete_set(a, &set);
}

static bool is_writing_ids;
static unsigned flushes_left; /* until every session is cut */

HRESULT __real_disk_ids_apply(struct disk_ids_transaction *transaction,
                              disk_ids_undo_sink undo_sink, void *user, struct error *err);
HRESULT __wrap_disk_ids_apply(struct disk_ids_transaction *transaction,
                              disk_ids_undo_sink undo_sink, void *user, struct error *err);

HRESULT __wrap_disk_ids_apply(struct disk_ids_transaction *transaction,
                              disk_ids_undo_sink undo_sink, void *user, struct error *err)
{
    is_writing_ids = true;
    HRESULT hr = __real_disk_ids_apply(transaction, undo_sink, user, err);
    is_writing_ids = false;
    return hr;
}

HRESULT __real_block_flush(struct block_device *device, struct error *err);
HRESULT __wrap_block_flush(struct block_device *device, struct error *err);

HRESULT __wrap_block_flush(struct block_device *device, struct error *err)
{
    if (is_writing_ids && flushes_left && --flushes_left == 0) {
        cut_sessions(running);
    }
    return __real_block_flush(device, err);
}

/* Between any two writes of the labels, all of the copying done. */
static void a_session_lost_while_ids_are_written_costs_no_copy(void **state)
{
    struct array *a = *state;
    struct set_record set;
    uint64_t digests[2];
    char line[700];
    make_two(a, &set, digests);
    (void)snprintf(line, sizeof(line),
                   "PATH=$PATH:/usr/sbin:/sbin; sfdisk -q --no-reread --disk-id '%s' 0x55667788; "
                   "sgdisk -G '%s'",
                   a->files[0], a->files[1]);
    run_shell(line); /* ids that the copies have not */
    recover(a, &set, 2);
    digests[0] = array_digest(a->files[0]);
    digests[1] = array_digest(a->files[1]);
    running = a;
    unsigned at = 0;
    while (flushes_left == 0) {
        array_fill(a, 0, 4u << 20, 1u << 20, 0x56);
        flushes_left = ++at;
        recover(a, &set, 2);
        assert_int_equal(array_digest(a->files[0]), digests[0]);
        assert_int_equal(array_digest(a->files[1]), digests[1]);
    }
    assert_true(at > 4); /* and labels were torn */
    flushes_left = 0;
    assert_int_equal(open_entries(a), 0);
    array_delete_set(a, &set);
}

/* ---- copies that another host deletes ----------------------------------------------------------
 */

static struct set_record theirs; /* the same set, in the registry of another host */

static void import_there(struct array *a, const struct set_record *set)
{
    struct error err = {0};
    char state[128];
    (void)snprintf(state, sizeof(state), "%s/other-state", a->base);
    assert_int_equal(set_record_copy(set, &theirs), S_OK);
    assert_ok(set_environment_open(a->config, state, &second, &err), &err);
    assert_ok(set_import(second, &theirs, &err), &err);
}

static void delete_there(const VSS_ID *id, int32_t type)
{
    struct error err = {0};
    int32_t deleted = 0;
    assert_ok(set_delete(second, id, type, &deleted, NULL, &err), &err);
}

static void leave_there(void)
{
    set_record_free(&theirs);
    set_environment_close(second);
}

static HRESULT delete_then_evict(void *self, const struct vss_call *call, const void *in, void *out)
{
    if (calls++ == 0) {
        delete_there(&theirs.snapshots[1].snapshot_id, VSS_OBJECT_SNAPSHOT);
    }
    return real[VSS_OP_ON_LUN_STATE_CHANGE](self, call, in, out);
}

static HRESULT delete_then_start(void *self, const struct vss_call *call, const void *in, void *out)
{
    if (calls++ == 0) {
        delete_there(&theirs.snapshots[1].snapshot_id, VSS_OBJECT_SNAPSHOT);
    }
    return real[VSS_OP_RESYNC_START](self, call, in, out);
}

/* What they hold stays, and nothing is left to be dealt with. */
static void assert_left_alone(struct array *a, const struct set_record *set,
                              const uint64_t digests[2], HRESULT code)
{
    struct error err = {0};
    struct recovery *r = NULL;
    start_recovery(a, set, 2, &r);
    assert_refused(recovery_run(r, 0, &err), code, &err, "gone");
    recovery_free(r);
    assert_int_equal(array_digest(a->files[0]), digests[0]);
    assert_int_equal(array_digest(a->files[1]), digests[1]);
    assert_int_equal(open_entries(a), 0);
}

static void a_copy_that_another_host_deleted_is_no_reason_to_wipe(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record stranger_set;
    uint64_t digests[2];
    make_two(a, &set, digests);
    import_there(a, &set);
    delete_there(&theirs.snapshots[1].snapshot_id, VSS_OBJECT_SNAPSHOT);
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, veto); /* nobody is cut off */
    assert_left_alone(a, &set, digests, VSS_E_BAD_STATE);
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    recover(a, &set, 1); /* the other copy is there */
    digests[0] = array_digest(a->files[0]);
    assert_int_equal(set_record_copy(&set, &stranger_set), S_OK); /* as its document has it */
    int32_t deleted = 0;
    assert_ok(set_delete(a->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err), &err);
    assert_left_alone(a, &stranger_set, digests, VSS_E_BAD_STATE);
    set_record_free(&stranger_set);
    set_record_free(&set);
    leave_there();
    array_assert_nothing_left(a);
}

/* A copy goes while that operation of the resync is called. */
static void lose_copy_in(struct array *a, enum vss_provider_op op, vss_provider_callback callback,
                         HRESULT code)
{
    struct set_record set;
    uint64_t digests[2];
    make_two(a, &set, digests);
    import_there(a, &set);
    replace(a, op, callback);
    assert_left_alone(a, &set, digests, code);
    restore(a, op);
    leave_there();
    array_delete_set(a, &set);
}

static void a_copy_may_go_until_the_wipe(void **state)
{
    lose_copy_in(*state, VSS_OP_ON_LUN_STATE_CHANGE, delete_then_evict, VSS_E_BAD_STATE);
}

/* The labels are wiped by then, and come back: the array has begun nothing. */
static void a_copy_that_goes_at_the_last_moment_takes_no_label(void **state)
{
    lose_copy_in(*state, VSS_OP_RESYNC_START, delete_then_start, VSS_E_OBJECT_NOT_FOUND);
}

static HRESULT not_found(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    (void)out;
    call->host->error(call, "the test says gone");
    return VSS_E_OBJECT_NOT_FOUND;
}

/* It may have written something: the promise came with 0.10. */
static void an_older_plug_in_does_not_say_that_it_began_nothing(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    uint64_t digests[2];
    make_two(a, &set, digests);
    struct provider *p = providers_at(a->env->providers, 0);
    uint16_t minor = p->table.abi_minor;
    p->table.abi_minor = 9;
    replace(a, VSS_OP_RESYNC_START, not_found);
    start_recovery(a, &set, 2, &r);
    assert_refused(recovery_run(r, 0, &err), VSS_E_OBJECT_NOT_FOUND, &err, "not whole");
    recovery_free(r);
    restore(a, VSS_OP_RESYNC_START);
    assert_blank(a, 0);
    assert_blank(a, 1);
    assert_int_equal(open_entries(a), 1);
    p->table.abi_minor = minor;
    recover(a, &set, 2);
    array_delete_set(a, &set);
}

int main(void)
{
    (void)setenv("LUNSHADOW_PROVIDER_IN_PROCESS", "1", 1);
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(a_resync_of_another_host_is_not_disturbed),
        array_test(a_session_lost_while_ids_are_written_costs_no_copy),
        array_test(a_copy_that_another_host_deleted_is_no_reason_to_wipe),
        array_test(a_copy_may_go_until_the_wipe),
        array_test(a_copy_that_goes_at_the_last_moment_takes_no_label),
        array_test(an_older_plug_in_does_not_say_that_it_began_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
