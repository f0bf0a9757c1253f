/* SPDX-License-Identifier: Apache-2.0 */
/* Sets and resyncs whose array fails in the middle: real callbacks of the tgt plug-in, with one of
 * them made to fail, or to look around, at a chosen moment. */
#include "component/callback_fixture.h"

#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "common/process.h"
#include "lun/label/edges.h"
#include "provider/host/internal.h"
#include "provider/set/rollback.h"
#include "registry/journal.h"
#include "resync/recovery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ROLLBACK      ((uint32_t)VSS_CTX_APP_ROLLBACK)
#define TRANSPORTABLE (ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)

/* ---- callbacks in place of the plug-in's -------------------------------------------------------
 */

static HRESULT copy_all_then_fail(void *self, const struct vss_call *call, const void *in,
                                  void *out)
{
    const struct vss_resync_out *o = out;
    HRESULT hr = real[VSS_OP_RESYNC_POLL](self, call, in, out);
    return SUCCEEDED(hr) && o->is_done ? veto(self, call, in, out) : hr;
}

static HRESULT count_cancel(void *self, const struct vss_call *call, const void *in, void *out)
{
    calls++;
    return real[VSS_OP_RESYNC_CANCEL](self, call, in, out);
}

/* PRE_RECOVERY of a resync fails; POST_RECOVERY is counted. */
static HRESULT fail_pre_recovery(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    if (change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY) {
        call->host->error(call, "the test says no");
        return VSS_E_PROVIDER_VETO;
    }
    calls++;
    return real[VSS_OP_ON_LUN_STATE_CHANGE](self, call, in, out);
}

static HRESULT fail_read_write(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    return change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_READ_WRITE
               ? veto(self, call, in, out)
               : real[VSS_OP_ON_LUN_STATE_CHANGE](self, call, in, out);
}

/* It has begun, and the answer gets lost. */
static HRESULT start_unheard(void *self, const struct vss_call *call, const void *in, void *out)
{
    HRESULT hr = real[VSS_OP_RESYNC_START](self, call, in, out);
    *(struct vss_resync_out *)out = (struct vss_resync_out){0};
    return SUCCEEDED(hr) ? veto(self, call, in, out) : hr;
}

static void assert_ids(struct array *a, const char *url, const struct vss_disk_ids *expected)
{
    struct vss_disk_ids now;
    array_read_ids(a, url, &now);
    assert_true(disk_ids_equal(&now, expected));
    disk_ids_free(&now);
}

/* The first and the last MiB of a copy onto a LUN. */
static void copy_edges(struct array *a, const struct set_record *set, size_t which)
{
    struct error err = {0};
    struct edges *edges = NULL;
    struct lun *from = NULL;
    struct lun *to = NULL;
    assert_ok(lun_open(set->luns[which].copy_url, &a->env->lun, true, &from, &err), &err);
    assert_ok(lun_open(a->urls[which], &a->env->lun, false, &to, &err), &err);
    assert_ok(edges_read(&from->block, NULL, &edges, &err), &err);
    assert_ok(edges_write(&to->block, edges, &err), &err);
    edges_free(edges);
    lun_close(to);
    lun_close(from);
}

/* ---- resync -----------------------------------------------------------------------------------
 */

static void a_destination_that_was_not_added_is_not_overwritten(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    char url[400];
    array_create(a, TRANSPORTABLE, 2, &set);
    array_fill(a, 1, 4u << 20, 1u << 20, 0x77);
    uint64_t digest = array_digest(a->files[1]);
    start_recovery(a, &set, 1, &r);
    (void)snprintf(url, sizeof(url), "%s#zero", a->urls[1]);
    assert_true(FAILED(recovery_add(r, &set.snapshots[1].snapshot_id, url, &err)));
    error_clear(&err);
    assert_ok(recovery_run(r, VSS_RECOVERY_NO_VOLUME_CHECK, &err), &err);
    recovery_free(r);
    assert_int_equal(array_digest(a->files[1]), digest);
    array_delete_set(a, &set);
}

/* The copy's label is on the destination when the array says no. It is taken off, so that nobody
 * takes the LUN for a whole one; where that is not possible, those ids are not its own. */
static void ids_of_the_copy_are_not_taken_for_the_destinations(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    assert_ok(set_import(a->env, &set, &err), &err);
    replace(a, VSS_OP_RESYNC_POLL, copy_all_then_fail);
    fail_to_recover(a, &set, ARRAY_LUNS, "run the same resync");
    fail_to_recover(a, &set, ARRAY_LUNS, "run the same resync"); /* nor the second time */
    restore(a, VSS_OP_RESYNC_POLL);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        assert_blank(a, i);
    }
    copy_edges(a, &set, 1);
    assert_ids(a, a->urls[1], &set.luns[1].copy_ids); /* what would be mistaken */
    recover(a, &set, ARRAY_LUNS);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        assert_ids(a, a->urls[i], &set.luns[i].source_ids);
    }
    array_delete_set(a, &set);
}

static void half_written_destinations_are_not_released_by_a_second_failure(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, 2, &set);
    replace(a, VSS_OP_RESYNC_POLL, veto);
    fail_to_recover(a, &set, 2, "not whole");
    restore(a, VSS_OP_RESYNC_POLL);
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, fail_pre_recovery);
    fail_to_recover(a, &set, 2, "not whole");
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    assert_int_equal(calls, 0); /* no POST_RECOVERY */
    assert_int_equal(open_entries(a), 1);
    recover(a, &set, 2);
    array_delete_set(a, &set);
}

static void array_that_fails_is_told_to_stop_copying(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, 1, &set);
    replace(a, VSS_OP_RESYNC_POLL, veto);
    replace(a, VSS_OP_RESYNC_CANCEL, count_cancel);
    fail_to_recover(a, &set, 1, "says no");
    restore(a, VSS_OP_RESYNC_POLL);
    assert_int_equal(calls, 2); /* the veto and the cancel */
    recover(a, &set, 1);        /* which cannot know whether that was heard, and says it again */
    assert_int_equal(calls, 3);
    restore(a, VSS_OP_RESYNC_CANCEL);
    array_delete_set(a, &set);
}

static void copying_that_began_unheard_is_told_to_stop(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, 1, &set);
    replace(a, VSS_OP_RESYNC_START, start_unheard);
    replace(a, VSS_OP_RESYNC_CANCEL, count_cancel);
    fail_to_recover(a, &set, 1, "says no");
    restore(a, VSS_OP_RESYNC_START);
    assert_int_equal(calls, 2); /* the veto and the cancel */
    recover(a, &set, 1);
    assert_int_equal(calls, 3);
    restore(a, VSS_OP_RESYNC_CANCEL);
    array_delete_set(a, &set);
}

/* What goes on in the array would write behind the back of the resync that takes over. */
static void earlier_copying_that_does_not_stop_keeps_the_next_from_beginning(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, 1, &set);
    replace(a, VSS_OP_RESYNC_POLL, veto);
    fail_to_recover(a, &set, 1, "says no");
    restore(a, VSS_OP_RESYNC_POLL);
    uint64_t digest = array_digest(a->files[0]);
    replace(a, VSS_OP_RESYNC_CANCEL, veto);
    fail_to_recover(a, &set, 1, "says no");
    restore(a, VSS_OP_RESYNC_CANCEL);
    assert_int_equal(array_digest(a->files[0]), digest);
    assert_int_equal(open_entries(a), 1);
    recover(a, &set, 1);
    array_delete_set(a, &set);
}

static void destination_that_cannot_be_written_is_left_as_it_is(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    array_create(a, TRANSPORTABLE, 2, &set);
    array_fill(a, 0, 4u << 20, 1u << 20, 0x55);
    array_fill(a, 1, 4u << 20, 1u << 20, 0x66);
    uint64_t digests[2] = {array_digest(a->files[0]), array_digest(a->files[1])};
    update_lun(a, 2, "readonly=1");
    start_recovery(a, &set, 2, &r);
    assert_true(FAILED(recovery_run(r, 0, &err)));
    recovery_free(r);
    assert_int_equal(array_digest(a->files[0]), digests[0]);
    assert_int_equal(array_digest(a->files[1]), digests[1]);
    assert_int_equal(open_entries(a), 0);
    update_lun(a, 2, "readonly=0");
    recover(a, &set, 2);
    array_delete_set(a, &set);
}

static void copies_of_other_sets_are_no_destinations(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record other;
    struct recovery *r = NULL;
    array_create(a, TRANSPORTABLE, 1, &set);
    array_create(a, ROLLBACK, 1, &other);
    assert_ok(recovery_new(a->env, &set, &r, &err), &err);
    assert_refused(recovery_add(r, &set.snapshots[0].snapshot_id, other.luns[0].copy_url, &err),
                   VSS_E_VOLUME_NOT_SUPPORTED, &err, "shadow copy");
    recovery_free(r);
    set_record_free(&other);
    set_record_free(&set);
}

/* Cuts every session on the array's target as soon as a reservation is up, and asks to stop. */
static void cut_at_reservation(enum log_level level, const char *line, void *user)
{
    struct array *a = user;
    static bool is_inside;
    (void)level;
    if (is_inside || calls || !strstr(line, "5f 01")) {
        return;
    }
    is_inside = true;
    calls++;
    array_cut_sessions(a);
    atomic_store(&a->env->cancelled, true);
    is_inside = false;
}

static void reservation_of_a_lost_session_is_taken_off(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    struct lun *lun = NULL;
    uint64_t keys[4];
    size_t count = 0;
    array_create(a, TRANSPORTABLE, 1, &set);
    start_recovery(a, &set, 1, &r);
    calls = 0;
    log_set_sink(cut_at_reservation, a, LOG_TRACE);
    HRESULT hr = recovery_run(r, 0, &err);
    log_set_sink(NULL, NULL, LOG_ERROR);
    atomic_store(&a->env->cancelled, false);
    assert_int_equal(calls, 1);
    assert_true(FAILED(hr));
    recovery_free(r);
    assert_ok(lun_open(a->urls[0], &a->env->lun, true, &lun, &err), &err);
    assert_ok(scsi_pr_read_keys(lun->session, lun->address.lun, keys, 4, &count, &err), &err);
    assert_int_equal(count, 0);
    lun_close(lun);
    assert_int_equal(open_entries(a), 0);
    array_delete_set(a, &set);
}

/* ---- two at once ------------------------------------------------------------------------------
 */

static struct set_record *victim;
static HRESULT delete_result;
static HRESULT break_result;
static HRESULT import_result;

/* What another process does while the array copies. */
static HRESULT meddle(void *self, const struct vss_call *call, const void *in, void *out)
{
    struct set_environment *env = NULL;
    struct set_record copy = {0};
    int32_t deleted = 0;
    if (calls++ == 0) {
        assert_int_equal(set_environment_open(running->config, running->state, &env, NULL), S_OK);
        delete_result =
            set_delete(env, &victim->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, NULL);
        break_result = set_break(env, &victim->set_id, VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE, NULL);
        assert_int_equal(set_record_copy(victim, &copy), S_OK);
        import_result = set_import(env, &copy, NULL);
        set_record_free(&copy);
        set_environment_close(env);
    }
    return real[VSS_OP_RESYNC_POLL](self, call, in, out);
}

static void set_is_not_taken_away_under_a_resync(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record found;
    array_create(a, TRANSPORTABLE, 2, &set);
    assert_ok(set_import(a->env, &set, &err), &err);
    victim = &set;
    replace(a, VSS_OP_RESYNC_POLL, meddle);
    recover(a, &set, 2);
    restore(a, VSS_OP_RESYNC_POLL);
    assert_int_equal(delete_result, VSS_E_BAD_STATE);
    assert_int_equal(break_result, VSS_E_BAD_STATE);
    assert_int_equal(import_result, VSS_E_BAD_STATE);
    assert_ok(sets_load(a->env->store, &set.set_id, &found, &err), &err);
    set_record_free(&found);
    array_delete_set(a, &set);
}

/* A copy that an unfinished resync still needs is not deleted by anybody. */
static void copies_outlive_the_resync_that_needs_them(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    int32_t deleted = 0;
    array_create(a, TRANSPORTABLE, 1, &set);
    replace(a, VSS_OP_RESYNC_POLL, veto);
    fail_to_recover(a, &set, 1, "not whole");
    restore(a, VSS_OP_RESYNC_POLL);
    assert_refused(set_delete(a->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
                   VSS_E_BAD_STATE, &err, "resync");
    recover(a, &set, 1);
    array_delete_set(a, &set);
}

static void half_written_destination_is_not_copied(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_builder *b = NULL;
    VSS_ID id;
    array_create(a, TRANSPORTABLE, 1, &set);
    replace(a, VSS_OP_RESYNC_POLL, veto);
    fail_to_recover(a, &set, 1, "not whole");
    restore(a, VSS_OP_RESYNC_POLL);
    assert_ok(set_start(a->env, ROLLBACK, &b, &id, &err), &err);
    assert_refused(set_add_volume(b, a->urls[0], NULL, &id, &err), VSS_E_BAD_STATE, &err,
                   "half-written");
    error_clear(&err);
    assert_ok(set_add_volume(b, a->urls[1], NULL, &id, &err), &err);
    set_builder_free(b);
    recover(a, &set, 1);
    array_delete_set(a, &set);
}

/* A resync that runs may have taken over what another process wants to take back. */
static void nothing_is_taken_back_under_a_resync(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct recovery *r = NULL;
    struct journal_entry entry = {.operation = JOURNAL_RESYNC};
    array_create(a, TRANSPORTABLE, 1, &set);
    start_recovery(a, &set, 1, &r);
    assert_refused(recovery_rollback(a->env, &entry, &err), VSS_E_RESYNC_IN_PROGRESS, &err, NULL);
    recovery_free(r);
    array_delete_set(a, &set);
}

/* ---- sets ------------------------------------------------------------------------------------ */

static const char *change; /* a command for the second copy */
static HRESULT change_second_copy(void *user, struct error *err)
{
    struct array *a = user;
    char line[512];
    (void)snprintf(line, sizeof(line), "%s '%s'/.lunshadow-*-2.copy", change, a->lab->disks);
    const char *const argv[] = {"sh", "-ec", line, NULL};
    return process_run(argv, 10000, NULL, err);
}

/* The array shows the copy, and then another size of it. */
static HRESULT locate_then_shorten(void *self, const struct vss_call *call, const void *in,
                                   void *out)
{
    struct error err = {0};
    char id[ID_TEXT_BYTES];
    HRESULT hr = real[VSS_OP_LOCATE_LUNS](self, call, in, out);
    char *params = text_printf("online=0,path=%s/.lunshadow-%s-2.copy", running->lab->disks,
                               id_text(&((const struct vss_set_in *)in)->set_id, id));
    const char *const argv[] = {"--op",  "update", "--mode",   "logicalunit", "--tid", "2",
                                "--lun", "2",      "--params", params,        NULL};
    assert_ok(change_second_copy(running, &err), &err);
    assert_ok(lab_tgtadm(running->lab, argv, NULL, &err), &err);
    free(params);
    return hr;
}

static void fail_to_create(struct array *a, HRESULT (*thaw)(void *, struct error *), HRESULT code,
                           const char *words)
{
    struct error err = {0};
    struct set_builder *b = NULL;
    struct set_record set;
    VSS_ID id;
    struct set_hooks hooks = {.user = a, .thaw = thaw};
    assert_ok(set_start(a->env, ROLLBACK, &b, &id, &err), &err);
    assert_ok(set_add_volume(b, a->urls[0], NULL, &id, &err), &err);
    assert_ok(set_add_volume(b, a->urls[1], NULL, &id, &err), &err);
    assert_refused(set_commit(b, &hooks, &set, &err), code, &err, words);
    set_builder_free(b);
    array_assert_nothing_left(a);
}

static void set_with_a_copy_that_is_not_found_is_none(void **state)
{
    struct array *a = *state;
    change = "rm";
    fail_to_create(a, change_second_copy, VSS_E_UNEXPECTED_PROVIDER_ERROR, "1 of 2 copy LUNs");
    change = "truncate -s 63M";
    fail_to_create(a, change_second_copy, VSS_E_PROVIDER_VETO, "the size of the original");
    replace(a, VSS_OP_LOCATE_LUNS, locate_then_shorten);
    fail_to_create(a, NULL, VSS_E_UNEXPECTED_PROVIDER_ERROR, "the original had");
    restore(a, VSS_OP_LOCATE_LUNS);
}

static void original_that_is_not_ready_is_not_invisible(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    array_create(a, ROLLBACK, 1, &set);
    update_lun(a, 1, "online=0");
    assert_refused(set_break(a->env, &set.set_id, VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL, &err),
                   VSS_E_BREAK_REVERT_ID_FAILED, &err, "/1");
    assert_ids(a, set.luns[0].copy_url, &set.luns[0].copy_ids);
    update_lun(a, 1, "online=1");
    array_delete_set(a, &set);
}

/* A break that changed the labels and then failed: the registry says what the labels are. */
static void half_done_break_is_known_and_can_be_repeated(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record kept;
    const uint32_t flags = VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL | VSS_BREAKEX_FLAG_MAKE_READ_WRITE;
    array_create(a, ROLLBACK, 2, &set);
    assert_ok(lab_mask_target(a->lab, ARRAY_TARGET, &err), &err);
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, fail_read_write);
    assert_refused(set_break(a->env, &set.set_id, flags, &err), VSS_E_PROVIDER_VETO, &err,
                   "break the set again");
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    error_clear(&err);
    assert_ok(sets_load(a->env->store, &set.set_id, &kept, &err), &err);
    for (size_t i = 0; i < 2; i++) {
        assert_ids(a, set.luns[i].copy_url, &kept.luns[i].copy_ids);
        assert_true(disk_ids_equal(&kept.luns[i].copy_ids, &set.luns[i].source_ids));
    }
    assert_ok(set_break(a->env, &set.set_id, flags, &err), &err);
    assert_int_equal(open_entries(a), 0);
    set_record_free(&kept);
    set_record_free(&set);
}

/* A document that says that the copy is the original, or another LUN than the array's copy. */
static void import_writes_to_nothing_but_the_arrays_copies(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record forged;
    array_create(a, TRANSPORTABLE, 1, &set);
    assert_ok(sets_delete(a->env->store, &set.set_id, &err), &err); /* another host's set */
    uint64_t digests[2] = {array_digest(a->files[0]), array_digest(a->files[1])};
    for (size_t i = 0; i < 2; i++) {
        struct lun *lun = NULL;
        assert_ok(set_record_copy(&set, &forged), &err);
        assert_ok(lun_open(a->urls[i], &a->env->lun, true, &lun, &err), &err);
        lun_info_free(&forged.luns[0].copy);
        assert_ok(lun_info_copy(&lun->identity.info, &forged.luns[0].copy), &err);
        lun_close(lun);
        assert_true(FAILED(set_import(a->env, &forged, &err)));
        error_clear(&err);
        assert_int_equal(array_digest(a->files[i]), digests[i]);
        assert_int_equal(open_entries(a), 0);
        set_record_free(&forged);
    }
    assert_ok(set_import(a->env, &set, &err), &err);
    array_delete_set(a, &set);
}

#define OTHER_TARGET "iqn.2026-01.org.lunshadow.test:other"

/* Another array, whose only LUN has info's identity, and is a disk like the first original. */
static struct lab *start_other_array(struct array *a, const struct vss_lun_info *info,
                                     char out_file[320])
{
    struct error err = {0};
    struct lab *other = NULL;
    char directory[80];
    char text[128];
    char scsi_id[33];
    (void)snprintf(directory, sizeof(directory), "%s/other", a->base);
    struct lab_options options = {.directory = directory, .plain_directory = true};
    assert_ok(lab_up(&options, &other, &err), &err);
    (void)snprintf(out_file, 320, "%s/same.img", other->disks);
    const char *const copy[] = {"cp", a->files[0], out_file, NULL};
    assert_ok(process_run(copy, 60000, NULL, &err), &err);
    array_scsi_id(info, scsi_id);
    struct lab_lun_options lun = {.target = OTHER_TARGET,
                                  .lun = 1,
                                  .file = "same.img",
                                  .block_bytes = 512,
                                  .scsi_id = scsi_id,
                                  .serial = info->serial_number};
    assert_ok(lab_add_lun(other, &lun, &err), &err);
    (void)snprintf(text, sizeof(text), "[portal other]\naddress = %s\n", other->portal);
    array_configure(a, text);
    return other;
}

/* A document that has all of a copy right but its place, where another array's LUN answers as it.
 */
static void import_looks_where_the_array_says(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    char file[320];
    array_create(a, TRANSPORTABLE, 1, &set);
    assert_ok(sets_delete(a->env->store, &set.set_id, &err), &err);
    struct lab *other = start_other_array(a, &set.luns[0].copy, file);
    uint64_t digest = array_digest(file);
    assert_int_equal(set.luns[0].copy.interconnect_count, 1);
    struct vss_interconnect *place = &set.luns[0].copy.interconnects[0];
    free(place->port);
    place->port = (uint8_t *)text_copy(OTHER_TARGET);
    place->port_bytes = strlen(OTHER_TARGET);
    assert_ok(set_import(a->env, &set, &err), &err);
    assert_null(strstr(set.luns[0].copy_url, OTHER_TARGET));
    assert_int_equal(array_digest(file), digest);
    assert_ok(lab_down(other, &err), &err);
    array_delete_set(a, &set);
}

int main(void)
{
    /* Callbacks can be replaced only where the plug-in is loaded. */
    (void)setenv("LUNSHADOW_PROVIDER_IN_PROCESS", "1", 1);
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(a_destination_that_was_not_added_is_not_overwritten),
        array_test(ids_of_the_copy_are_not_taken_for_the_destinations),
        array_test(half_written_destinations_are_not_released_by_a_second_failure),
        array_test(array_that_fails_is_told_to_stop_copying),
        array_test(copying_that_began_unheard_is_told_to_stop),
        array_test(earlier_copying_that_does_not_stop_keeps_the_next_from_beginning),
        array_test(destination_that_cannot_be_written_is_left_as_it_is),
        array_test(copies_of_other_sets_are_no_destinations),
        array_test(reservation_of_a_lost_session_is_taken_off),
        array_test(set_is_not_taken_away_under_a_resync),
        array_test(copies_outlive_the_resync_that_needs_them),
        array_test(half_written_destination_is_not_copied),
        array_test(nothing_is_taken_back_under_a_resync),
        array_test(set_with_a_copy_that_is_not_found_is_none),
        array_test(original_that_is_not_ready_is_not_invisible),
        array_test(half_done_break_is_known_and_can_be_repeated),
        array_test(import_writes_to_nothing_but_the_arrays_copies),
        array_test(import_looks_where_the_array_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
