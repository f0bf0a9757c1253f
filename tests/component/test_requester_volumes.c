/* SPDX-License-Identifier: Apache-2.0 */

/* What the requester API says of volumes, over a real tgtd. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <lunshadow/requester.h>

#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "component/array_fixture.h"
#include "lun/label/edges.h"
#include "registry/journal.h"
#include "registry/recoveries.h"
#include "resync/recovery.h"

static struct vss_session_options options_of(const struct array *a)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = a->config;
    options.state_directory = a->state;
    return options;
}

static void must(struct vss_backup_components *s, HRESULT hr)
{
    if (FAILED(hr)) {
        fail_msg("%s: %s", vss_error_name(hr), vss_backup_components_error_text(s));
    }
}

static void assert_snapshotted(const struct array *a, const char *volume, bool expected)
{
    struct vss_session_options options = options_of(a);
    bool is_present = !expected;
    int32_t capability = -1;
    char *text = NULL;
    if (FAILED(vss_is_volume_snapshotted(&options, volume, &is_present, &capability, &text))) {
        fail_msg("%s: %s", volume, text);
    }
    assert_int_equal(capability, 0);
    assert_true(is_present == expected);
}

static void assert_not_answered(const struct array *a, const char *volume, HRESULT expected)
{
    struct vss_session_options options = options_of(a);
    bool is_present = true;
    int32_t capability = -1;
    char *text = NULL;
    assert_int_equal(vss_is_volume_snapshotted(&options, volume, &is_present, &capability, &text),
                     expected);
    assert_non_null(text);
    assert_false(is_present);
    vss_free_string(text);
}

/* A set of LUN 1's second partition alone. */
static void is_volume_snapshotted(void **state)
{
    struct array *a = *state;
    struct set_builder *builder = NULL;
    struct set_record set = {0};
    struct error err = {0};
    VSS_ID id;
    char partition[340];
    char other[340];
    int32_t deleted = 0;
    (void)snprintf(partition, sizeof(partition), "%s#2", a->urls[1]);
    (void)snprintf(other, sizeof(other), "%s#1", a->urls[1]);
    assert_snapshotted(a, partition, false);
    HRESULT hr = set_start(a->env, VSS_CTX_NAS_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE, &builder,
                           &id, &err);
    assert_ok(hr, &err);
    assert_ok(set_add_volume(builder, partition, NULL, &id, &err), &err);
    assert_snapshotted(a, partition, false); /* nothing is complete yet */
    assert_ok(set_commit(builder, NULL, &set, &err), &err);
    set_builder_free(builder);

    assert_snapshotted(a, partition, true);
    assert_snapshotted(a, a->urls[1], true); /* a part of it */
    assert_snapshotted(a, other, false);
    assert_snapshotted(a, a->urls[0], false);
    assert_ok(set_delete(a->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err), &err);
    assert_snapshotted(a, partition, false);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void is_volume_snapshotted_refuses(void **state)
{
    struct array *a = *state;
    char volume[400];
    assert_not_answered(a, "lun1", E_INVALIDARG);
    (void)snprintf(volume, sizeof(volume), "%s#9", a->urls[1]);
    assert_not_answered(a, volume, VSS_E_OBJECT_NOT_FOUND);
    (void)snprintf(volume, sizeof(volume), "iscsi://%s/%s/99", a->lab->portal, ARRAY_TARGET);
    assert_not_answered(a, volume, VSS_E_OBJECT_NOT_FOUND);
    assert_not_answered(a, "iscsi://127.0.0.1:1/iqn.2026-11.x:y/1", VSS_E_OBJECT_NOT_FOUND);
}

/* ---- revert ---- */

static struct vss_backup_components *open_for_backup(const struct array *a)
{
    struct vss_session_options options = options_of(a);
    struct vss_backup_components *s = NULL;
    char *text = NULL;
    if (FAILED(vss_create_backup_components(&options, &s, &text))) {
        fail_msg("%s", text);
    }
    must(s, vss_backup_components_initialize_for_backup(s, NULL));
    return s;
}

/* The status of the volume's revert once it ended. */
static HRESULT revert_status(struct vss_backup_components *s, const char *volume)
{
    struct vss_async *async = NULL;
    HRESULT status = S_OK;
    must(s, vss_backup_components_query_revert_status(s, volume, &async));
    (void)vss_async_wait(async, VSS_INFINITE);
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    vss_async_release(async);
    return status;
}

static void assert_not_reverted(struct vss_backup_components *s, const VSS_ID *id, HRESULT expected,
                                const char *words)
{
    HRESULT hr = vss_backup_components_revert_to_snapshot(s, id, false);
    const char *text = vss_backup_components_error_text(s);
    if (hr != expected || (words && !strstr(text, words))) {
        fail_msg("0x%08x instead of 0x%08x: %s", (unsigned)hr, (unsigned)expected, text);
    }
}

static void a_volume_is_reverted(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    int32_t deleted = 0;
    uint64_t before = array_digest(a->files[0]);
    array_create(a, VSS_CTX_NAS_ROLLBACK, 1, &set);
    array_fill(a, 0, 8u << 20, 1u << 20, 99);
    assert_true(array_digest(a->files[0]) != before);
    struct vss_backup_components *s = open_for_backup(a);
    assert_int_equal(revert_status(s, a->urls[0]), VSS_S_ASYNC_FINISHED); /* none runs */
    must(s, vss_backup_components_revert_to_snapshot(s, &set.snapshots[0].snapshot_id, false));
    struct vss_backup_components *other = open_for_backup(a);
    assert_int_equal(revert_status(other, a->urls[0]), VSS_S_ASYNC_FINISHED);
    assert_true(array_digest(a->files[0]) == before);
    assert_int_equal(revert_status(s, a->urls[0]), VSS_S_ASYNC_FINISHED);
    vss_backup_components_release(other);
    /* the copy is still good, and a session's release waits for the end */
    array_fill(a, 0, 8u << 20, 1u << 20, 98);
    must(s, vss_backup_components_revert_to_snapshot(s, &set.snapshots[0].snapshot_id, true));
    vss_backup_components_release(s);
    assert_true(array_digest(a->files[0]) == before);
    assert_ok(set_delete(a->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err), &err);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void edit_config(const struct array *a, const char *sed_script)
{
    struct error err = {0};
    char *command = text_printf("sed -i '%s' '%s'", sed_script, a->config);
    const char *const argv[] = {"sh", "-c", command, NULL};
    assert_ok(process_run(argv, 10000, NULL, &err), &err);
    free(command);
}

/* Whether a volume is its: another array may say so, and only where none does nobody can tell. */
static void an_array_that_cannot_be_asked_is_none_that_says_no(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    array_create(a, VSS_CTX_NAS_ROLLBACK, 1, &set);
    edit_config(a, "s,^\\[array .*,[array ahead]\\nprovider = fault/tgt\\nfault = "
                   "FillInLunInfo:VSS_E_PROVIDER_VETO\\n\\n&,");
    assert_snapshotted(a, a->urls[0], true);
    edit_config(a, "s,^provider = tgt$,provider = fault/tgt\\nfault = "
                   "FillInLunInfo:VSS_E_PROVIDER_VETO,");
    assert_not_answered(a, a->urls[0], VSS_E_PROVIDER_VETO);
    edit_config(a, "/^fault = /d");
    edit_config(a, "s,fault/tgt,tgt,");
    array_delete_set(a, &set);
}

/* What is asked within 10 s; no release where it goes on: that would wait for it. */
static HRESULT soon_status(struct vss_backup_components *s, const char *volume)
{
    struct vss_async *async = NULL;
    HRESULT status = S_OK;
    must(s, vss_backup_components_query_revert_status(s, volume, &async));
    (void)vss_async_wait(async, 10000);
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    assert_int_not_equal(status, VSS_S_ASYNC_PENDING);
    vss_async_release(async);
    return status;
}

/* It leaves its entry open in a process that lives, and the next revert takes that over. */
static void a_revert_that_failed_past_its_wipe_has_ended(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    uint64_t before = array_digest(a->files[0]);
    array_create(a, VSS_CTX_NAS_ROLLBACK, 1, &set);
    array_fill(a, 0, 8u << 20, 1u << 20, 99);
    edit_config(a, "s,^provider = tgt$,provider = fault/tgt\\nfault = "
                   "ResyncLuns poll:VSS_E_PROVIDER_VETO,");
    struct vss_backup_components *s = open_for_backup(a);
    /* which says so itself where it failed before it was seen */
    (void)vss_backup_components_revert_to_snapshot(s, &set.snapshots[0].snapshot_id, false);
    assert_int_equal(soon_status(s, a->urls[0]), E_FAIL);
    assert_int_equal(soon_status(s, a->urls[0]), E_FAIL);
    edit_config(a, "/^fault = /s,poll,poll:9,");
    must(s, vss_backup_components_revert_to_snapshot(s, &set.snapshots[0].snapshot_id, false));
    assert_int_equal(soon_status(s, a->urls[0]), VSS_S_ASYNC_FINISHED);
    vss_backup_components_release(s);
    assert_true(array_digest(a->files[0]) == before);
    array_delete_set(a, &set);
}

static atomic_int cuts_left;

/* As a resync that begins: whoever has just got its first answer is cut off. */
static void cut_at_command(enum log_level level, const char *line, void *user)
{
    (void)level;
    if (strstr(line, "lun=1") && atomic_fetch_sub(&cuts_left, 1) > 0) {
        array_cut_sessions(user);
    }
}

static void asking_outlives_being_cut_off(void **state)
{
    struct array *a = *state;
    struct vss_async *async = NULL;
    struct vss_backup_components *s = open_for_backup(a);
    atomic_store(&cuts_left, 1);
    log_set_sink(cut_at_command, a, LOG_TRACE);
    HRESULT hr = vss_backup_components_query_revert_status(s, a->urls[0], &async);
    log_set_sink(NULL, NULL, LOG_ERROR);
    must(s, hr);
    assert_true(atomic_load(&cuts_left) <= 0);
    vss_async_release(async);
    vss_backup_components_release(s);
}

static atomic_int commands_until_cut;

static void cut_after_commands(enum log_level level, const char *line, void *user)
{
    (void)level;
    if (strstr(line, "lun=1 ") && atomic_fetch_sub(&commands_until_cut, 1) == 1) {
        array_cut_sessions(user);
    }
}

/* Whichever of its commands is the last that is answered: no revert runs, and its label is read. */
static void asking_outlives_being_cut_off_anywhere(void **state)
{
    struct array *a = *state;
    struct vss_async *async = NULL;
    struct vss_backup_components *s = open_for_backup(a);
    for (int command = 1; atomic_load(&commands_until_cut) <= 0; command++) {
        atomic_store(&commands_until_cut, command);
        log_set_sink(cut_after_commands, a, LOG_TRACE);
        HRESULT hr = vss_backup_components_query_revert_status(s, a->urls[0], &async);
        log_set_sink(NULL, NULL, LOG_ERROR);
        must(s, hr);
        vss_async_release(async);
    }
    vss_backup_components_release(s);
}

/* A resync of the volume as another process runs it, without a row that says how it ended. */
static void open_entry(struct array *a, const struct set_record *set, VSS_ID *out_entry_id)
{
    struct error err = {0};
    char key[LUN_KEY_BYTES];
    VSS_ID resync_id = id_new();
    (void)lun_info_key(&set->luns[0].source, key);
    assert_ok(journal_open(a->env->store, JOURNAL_RESYNC, &resync_id, "resync", out_entry_id, &err),
              &err);
    assert_ok(journal_step(a->env->store, out_entry_id, "ids-before", key, NULL, 0, &err), &err);
}

/* It goes on while it is asked for. */
static struct vss_backup_components *watch_entry(struct array *a, struct set_record *set,
                                                 VSS_ID *out_entry_id, struct vss_async **out)
{
    array_create(a, VSS_CTX_NAS_ROLLBACK, 1, set);
    struct vss_backup_components *s = open_for_backup(a);
    open_entry(a, set, out_entry_id);
    must(s, vss_backup_components_query_revert_status(s, a->urls[0], out));
    return s;
}

static void watching_a_revert_can_be_cancelled(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    struct vss_async *async = NULL;
    HRESULT status = S_OK;
    VSS_ID entry_id;
    struct vss_backup_components *s = watch_entry(a, &set, &entry_id, &async);
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    assert_int_equal(status, VSS_S_ASYNC_PENDING);
    (void)alarm(30); /* instead of a wait without end */
    assert_int_equal(vss_async_cancel(async), S_OK);
    (void)alarm(0);
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    assert_int_equal(status, VSS_S_ASYNC_CANCELLED);
    vss_async_release(async);
    assert_ok(journal_close(a->env->store, &entry_id, &err), &err);
    vss_backup_components_release(s);
    array_delete_set(a, &set);
}

static void an_end_that_nobody_tells_of_is_no_success(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    struct vss_async *async = NULL;
    HRESULT status = S_OK;
    VSS_ID entry_id;
    struct vss_backup_components *s = watch_entry(a, &set, &entry_id, &async);
    assert_ok(journal_close(a->env->store, &entry_id, &err), &err);
    (void)vss_async_wait(async, VSS_INFINITE);
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    assert_int_equal(status, E_FAIL);
    assert_non_null(strstr(vss_async_error_text(async), "does not say how"));
    vss_async_release(async);
    vss_backup_components_release(s);
    array_delete_set(a, &set);
}

/* From the wipe on the LUN has no label that would know the partition. */
static void a_partition_has_a_revert_status_without_its_label(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    struct vss_async *async = NULL;
    HRESULT status = S_OK;
    VSS_ID entry_id;
    char volume[340];
    (void)snprintf(volume, sizeof(volume), "%s#1", a->urls[0]);
    array_create(a, VSS_CTX_NAS_ROLLBACK, 1, &set);
    struct vss_backup_components *s = open_for_backup(a);
    assert_int_equal(revert_status(s, volume), VSS_S_ASYNC_FINISHED);
    open_entry(a, &set, &entry_id);
    struct lun *lun = NULL;
    struct edges *edges = NULL;
    assert_ok(lun_open(a->urls[0], &a->env->lun, false, &lun, &err), &err);
    assert_ok(edges_read(&lun->block, NULL, &edges, &err), &err);
    assert_ok(edges_wipe(&lun->block, edges, &err), &err);
    must(s, vss_backup_components_query_revert_status(s, volume, &async));
    (void)vss_async_wait(async, 300);
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    assert_int_equal(status, VSS_S_ASYNC_PENDING);
    assert_int_equal(vss_async_cancel(async), S_OK);
    vss_async_release(async);
    assert_ok(edges_write(&lun->block, edges, &err), &err);
    edges_free(edges);
    lun_close(lun);
    assert_ok(journal_close(a->env->store, &entry_id, &err), &err);
    (void)snprintf(volume, sizeof(volume), "%s#9", a->urls[0]);
    assert_int_equal(vss_backup_components_query_revert_status(s, volume, &async),
                     VSS_E_OBJECT_NOT_FOUND);
    vss_backup_components_release(s);
    array_delete_set(a, &set);
}

/* The next resync of the volume begins before anybody has looked again. */
static void the_revert_that_is_watched_is_the_one_that_is_told_of(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    struct vss_async *async = NULL;
    HRESULT status = S_OK;
    VSS_ID first_id;
    VSS_ID second_id;
    struct journal_entry *entries = NULL;
    size_t count = 0;
    struct vss_backup_components *s = watch_entry(a, &set, &first_id, &async);
    assert_ok(journal_load_open(a->env->store, false, &entries, &count, &err), &err);
    assert_int_equal(count, 1);
    struct recovery_record row = {.resync_id = entries[0].object_id,
                                  .set_id = set.set_id,
                                  .started = 1,
                                  .ended = 2,
                                  .result = S_OK,
                                  .members = (char *)"[]"};
    journal_free_all(entries, count);
    assert_ok(store_begin(a->env->store, &err), &err);
    assert_ok(journal_close(a->env->store, &first_id, &err), &err);
    assert_ok(recoveries_save(a->env->store, &row, &err), &err);
    open_entry(a, &set, &second_id);
    assert_ok(store_end(a->env->store, S_OK, &err), &err);
    (void)vss_async_wait(async, 5000);
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    assert_int_equal(status, VSS_S_ASYNC_FINISHED);
    assert_ok(journal_close(a->env->store, &second_id, &err), &err);
    vss_async_release(async);
    vss_backup_components_release(s);
    array_delete_set(a, &set);
}

static void make_set(struct array *a, uint32_t context, const char *volume, struct set_record *out)
{
    struct error err = {0};
    struct set_builder *builder = NULL;
    VSS_ID id;
    assert_ok(set_start(a->env, context, &builder, &id, &err), &err);
    assert_ok(set_add_volume(builder, volume, NULL, &id, &err), &err);
    assert_ok(set_commit(builder, NULL, out, &err), &err);
    set_builder_free(builder);
}

static void what_is_not_reverted(void **state)
{
    struct array *a = *state;
    struct set_record whole = {0};
    struct set_record partition = {0};
    struct set_record fleeting = {0};
    struct recovery *recovery = NULL;
    struct error err = {0};
    VSS_ID unknown = {1, 2, 3, {4}};
    char volume[340];
    uint64_t before = array_digest(a->files[1]);
    (void)snprintf(volume, sizeof(volume), "%s#2", a->urls[1]);
    make_set(a, VSS_CTX_NAS_ROLLBACK, a->urls[0], &whole);
    make_set(a, VSS_CTX_APP_ROLLBACK, volume, &partition);
    make_set(a, VSS_CTX_FILE_SHARE_BACKUP, a->urls[0], &fleeting);
    struct vss_backup_components *s = open_for_backup(a);
    assert_int_equal(vss_backup_components_revert_to_snapshot(s, NULL, false), E_INVALIDARG);
    assert_not_reverted(s, &unknown, VSS_E_OBJECT_NOT_FOUND, NULL);
    assert_not_reverted(s, &fleeting.snapshots[0].snapshot_id, VSS_E_UNSUPPORTED_CONTEXT,
                        "not persistent");
    assert_not_reverted(s, &partition.snapshots[0].snapshot_id, VSS_E_VOLUME_NOT_SUPPORTED, "#1");
    assert_true(array_digest(a->files[1]) == before);

    /* somebody is at it */
    assert_ok(recovery_new(a->env, &whole, &recovery, &err), &err);
    assert_ok(recovery_add(recovery, &whole.snapshots[0].snapshot_id, NULL, &err), &err);
    assert_not_reverted(s, &whole.snapshots[0].snapshot_id, VSS_E_REVERT_IN_PROGRESS, NULL);
    recovery_free(recovery);
    vss_backup_components_release(s);

    /* without its array */
    edit_config(a, "/^\\[array/,/^\\[/{/^\\[array/d;/^\\[/!d}");
    s = open_for_backup(a);
    assert_not_reverted(s, &whole.snapshots[0].snapshot_id, VSS_E_PROVIDER_NOT_REGISTERED, NULL);
    struct vss_async *async = NULL;
    assert_int_equal(vss_backup_components_query_revert_status(s, a->urls[0], &async),
                     VSS_E_VOLUME_NOT_SUPPORTED);
    vss_backup_components_release(s);
    set_record_free(&whole);
    set_record_free(&partition);
    set_record_free(&fleeting);
}

static void what_has_no_revert_status(void **state)
{
    struct array *a = *state;
    struct vss_async *async = NULL;
    struct vss_backup_components *s = open_for_backup(a);
    assert_int_equal(vss_backup_components_query_revert_status(s, NULL, &async), E_POINTER);
    assert_int_equal(vss_backup_components_query_revert_status(s, a->urls[0], NULL), E_POINTER);
    assert_int_equal(vss_backup_components_query_revert_status(s, "lun", &async), E_INVALIDARG);
    assert_int_equal(vss_backup_components_query_revert_status(s, "/nowhere", &async),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(vss_backup_components_query_revert_status(s, "/proc", &async),
                     VSS_E_VOLUME_NOT_SUPPORTED);
    assert_null(async);
    vss_backup_components_release(s);
}

/* ---- codes of the provider ---- */

/* What making a set of one volume comes to for a session of that level. */
static HRESULT create_at(const struct array *a, uint32_t level)
{
    struct vss_session_options options = options_of(a);
    struct vss_backup_components *s = NULL;
    struct vss_async *async = NULL;
    HRESULT status = S_OK;
    VSS_ID id;
    options.platform_level = level;
    assert_int_equal(vss_create_backup_components(&options, &s, NULL), S_OK);
    must(s, vss_backup_components_initialize_for_backup(s, NULL));
    must(s, vss_backup_components_set_context(s, VSS_CTX_NAS_ROLLBACK));
    must(s, vss_backup_components_start_snapshot_set(s, &id));
    must(s, vss_backup_components_add_to_snapshot_set(s, a->urls[0], NULL, &id));
    must(s, vss_backup_components_do_snapshot_set(s, &async));
    (void)vss_async_wait(async, VSS_INFINITE);
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    assert_true(FAILED(status) ? vss_async_error_text(async)[0] != '\0' : true);
    vss_async_release(async);
    vss_backup_components_release(s);
    return status;
}

static void a_provider_asks_for_a_restart(void **state)
{
    struct array *a = *state;
    edit_config(a, "s,^provider = tgt$,provider = fault/tgt\\nfault = "
                   "CommitSnapshots:VSS_E_REBOOT_REQUIRED,");
    assert_int_equal(create_at(a, VSS_PLATFORM_NEWEST), VSS_E_REBOOT_REQUIRED);
    assert_int_equal(create_at(a, VSS_PLATFORM_VISTA), VSS_E_REBOOT_REQUIRED);
    assert_int_equal(create_at(a, VSS_PLATFORM_2003), VSS_E_UNEXPECTED_PROVIDER_ERROR);
    array_assert_nothing_left(a);
}

/* ---- another host ---- */

/* A registry of its own and another initiator's name, and nothing of the first host's but the
 * document. */
static void a_document_is_enough_on_another_host(void **state)
{
    struct array *a = *state;
    struct array other = *a;
    struct vss_async *async = NULL;
    struct vss_snapshot_prop prop;
    struct error err = {0};
    VSS_ID set_id;
    VSS_ID ids[ARRAY_LUNS];
    HRESULT status = S_OK;
    int32_t deleted = 0;
    char *xml = NULL;
    uint64_t before = array_digest(a->files[0]);
    struct vss_backup_components *s = open_for_backup(a);
    must(s, vss_backup_components_set_context(s, VSS_CTX_NAS_ROLLBACK |
                                                     VSS_VOLSNAP_ATTR_TRANSPORTABLE));
    must(s, vss_backup_components_start_snapshot_set(s, &set_id));
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        must(s, vss_backup_components_add_to_snapshot_set(s, a->urls[i], NULL, &ids[i]));
    }
    must(s, vss_backup_components_do_snapshot_set(s, &async));
    (void)vss_async_wait(async, VSS_INFINITE);
    vss_async_release(async);
    must(s, vss_backup_components_save_as_xml(s, &xml));
    vss_backup_components_release(s);
    assert_null(strstr(xml, "org.lunshadow.test:host")); /* nobody's initiator name is in it */

    (void)snprintf(other.state, sizeof(other.state), "%s/other-state", a->base);
    (void)snprintf(other.config, sizeof(other.config), "%s/other.conf", a->base);
    char *command =
        text_printf("sed 's/test:host$/test:other-host/' '%s' > '%s'", a->config, other.config);
    const char *const argv[] = {"sh", "-c", command, NULL};
    assert_ok(process_run(argv, 10000, NULL, &err), &err);
    free(command);
    struct vss_session_options options = options_of(&other);
    assert_int_equal(vss_create_backup_components(&options, &s, NULL), S_OK);
    must(s, vss_backup_components_initialize_for_backup(s, xml));
    must(s, vss_backup_components_import_snapshots(s, &async));
    (void)vss_async_wait(async, VSS_INFINITE);
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    if (status != VSS_S_ASYNC_FINISHED) {
        fail_msg("0x%08x: %s", (unsigned)status, vss_async_error_text(async));
    }
    vss_async_release(async);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        must(s, vss_backup_components_get_snapshot_properties(s, &ids[i], &prop));
        assert_non_null(prop.snapshot_device_object);
        assert_true(prop.snapshot_attributes & VSS_VOLSNAP_ATTR_IMPORTED);
        vss_free_snapshot_properties(&prop);
    }
    vss_backup_components_release(s);

    /* and brings the original back from there */
    array_fill(a, 0, 8u << 20, 1u << 20, 97);
    assert_int_equal(vss_create_backup_components(&options, &s, NULL), S_OK);
    must(s, vss_backup_components_initialize_for_restore(s, xml));
    must(s, vss_backup_components_add_snapshot_to_recovery_set(s, &ids[0], 0, NULL));
    must(s, vss_backup_components_recover_set(s, 0, &async));
    (void)vss_async_wait(async, VSS_INFINITE);
    assert_int_equal(vss_async_query_status(async, &status), S_OK);
    assert_int_equal(status, VSS_S_ASYNC_FINISHED);
    vss_async_release(async);
    vss_backup_components_release(s);
    assert_true(array_digest(a->files[0]) == before);

    assert_int_equal(vss_create_backup_components(&options, &s, NULL), S_OK);
    must(s, vss_backup_components_initialize_for_backup(s, NULL));
    VSS_ID left;
    must(s, vss_backup_components_delete_snapshots(s, &set_id, VSS_OBJECT_SNAPSHOT_SET, false,
                                                   &deleted, &left));
    assert_int_equal(deleted, ARRAY_LUNS);
    vss_backup_components_release(s);
    assert_ok(set_delete(a->env, &set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err), &err);
    vss_free_string(xml);
    array_assert_nothing_left(a);
}

static int start(void **state)
{
    int failed = array_start(state);
    if (failed) {
        return failed;
    }
    const struct array *a = *state;
    return setenv("LUNSHADOW_LOCK_DIR", a->state, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_volume_snapshotted, start, array_stop),
        cmocka_unit_test_setup_teardown(is_volume_snapshotted_refuses, start, array_stop),
        cmocka_unit_test_setup_teardown(an_array_that_cannot_be_asked_is_none_that_says_no, start,
                                        array_stop),
        cmocka_unit_test_setup_teardown(a_volume_is_reverted, start, array_stop),
        cmocka_unit_test_setup_teardown(a_revert_that_failed_past_its_wipe_has_ended, start,
                                        array_stop),
        cmocka_unit_test_setup_teardown(asking_outlives_being_cut_off, start, array_stop),
        cmocka_unit_test_setup_teardown(asking_outlives_being_cut_off_anywhere, start, array_stop),
        cmocka_unit_test_setup_teardown(a_partition_has_a_revert_status_without_its_label, start,
                                        array_stop),
        cmocka_unit_test_setup_teardown(the_revert_that_is_watched_is_the_one_that_is_told_of,
                                        start, array_stop),
        cmocka_unit_test_setup_teardown(watching_a_revert_can_be_cancelled, start, array_stop),
        cmocka_unit_test_setup_teardown(an_end_that_nobody_tells_of_is_no_success, start,
                                        array_stop),
        cmocka_unit_test_setup_teardown(what_is_not_reverted, start, array_stop),
        cmocka_unit_test_setup_teardown(what_has_no_revert_status, start, array_stop),
        cmocka_unit_test_setup_teardown(a_provider_asks_for_a_restart, start, array_stop),
        cmocka_unit_test_setup_teardown(a_document_is_enough_on_another_host, start, array_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
