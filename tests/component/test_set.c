/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshot sets on a real tgtd: create, import, break, delete, and every refusal. */
#include "component/array_fixture.h"

#include "common/id.h"
#include "lun/scan.h"
#include "registry/journal.h"
#include "registry/locks.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ROLLBACK      ((uint32_t)VSS_CTX_APP_ROLLBACK)
#define TRANSPORTABLE (ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)

static void delete_set(struct array *a, const VSS_ID *set_id)
{
    struct error err = {0};
    int32_t deleted = 0;
    assert_ok(set_delete(a->env, set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err), &err);
    assert_true(deleted > 0);
}

static void transportable_set_is_not_surfaced(void **state)
{
    struct array *a = *state;
    uint64_t before[ARRAY_LUNS];
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        before[i] = array_digest(a->files[i]);
    }
    struct set_record set;
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        const char *reason = NULL;
        const struct lun_mapping *m = &set.luns[i];
        assert_int_equal(before[i], array_digest(a->files[i]));
        assert_null(m->copy_url);
        assert_true(lun_info_is_unique(&m->copy, &reason));
        assert_int_equal(lun_info_compare(&m->copy, &m->source), LUN_DIFFERENT);
        assert_true(set.snapshots[i].attributes & VSS_VOLSNAP_ATTR_NOT_SURFACED);
        assert_true(set.snapshots[i].attributes & VSS_VOLSNAP_ATTR_HARDWARE_ASSISTED);
        assert_int_equal(set.snapshots[i].status, VSS_SS_CREATED);
    }
    assert_true(set.hold_us > 0 && set.cut_us <= set.hold_us);
    delete_set(a, &set.set_id);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

/* The label of a copy: the original's partitions under new ids, with the shadow-copy bits. */
static void assert_fresh_ids(struct array *a, const struct lun_mapping *m)
{
    struct vss_disk_ids ids = {0};
    array_read_ids(a, m->copy_url, &ids);
    assert_true(disk_ids_equal(&ids, &m->copy_ids));
    assert_int_equal(ids.kind, m->source_ids.kind);
    assert_int_equal(ids.partition_count, m->source_ids.partition_count);
    if (ids.kind == VSS_DISK_LABEL_MBR) {
        assert_int_not_equal(ids.mbr_signature, m->source_ids.mbr_signature);
        assert_int_not_equal(ids.mbr_signature, 0);
    } else {
        assert_false(id_equal(&ids.disk_guid, &m->source_ids.disk_guid));
    }
    for (uint32_t i = 0; i < ids.partition_count; i++) {
        assert_false(id_equal(&ids.partitions[i].guid, &m->source_ids.partitions[i].guid));
        assert_true((ids.partitions[i].attributes & GPT_ATTR_SHADOW_BITS) == GPT_ATTR_SHADOW_BITS);
    }
    disk_ids_free(&ids);
}

static void assert_write_protected(struct array *a, const char *url)
{
    struct error err = {0};
    struct lun *lun = NULL;
    uint8_t block[4096] = {0};
    assert_ok(lun_open(url, &a->env->lun, false, &lun, &err), &err);
    assert_int_equal(block_write(&lun->block, 4096, 1, block, &err), E_ACCESSDENIED);
    lun_close(lun);
}

static void imported_copies_have_ids_of_their_own(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    assert_ok(set_import(a->env, &set, &err), &err);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        struct vss_disk_ids original = {0};
        const struct lun_mapping *m = &set.luns[i];
        assert_non_null(m->copy_url);
        assert_string_equal(set.snapshots[i].device, m->copy_url);
        assert_true(set.snapshots[i].attributes & VSS_VOLSNAP_ATTR_IMPORTED);
        assert_false(set.snapshots[i].attributes & VSS_VOLSNAP_ATTR_NOT_SURFACED);
        assert_fresh_ids(a, m);
        assert_write_protected(a, m->copy_url);
        array_read_ids(a, a->urls[i], &original);
        assert_true(disk_ids_equal(&original, &m->source_ids));
        disk_ids_free(&original);
    }
    delete_set(a, &set.set_id);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void importing_again_changes_nothing_else(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    assert_ok(set_import(a->env, &set, &err), &err);
    assert_ok(set_import(a->env, &set, &err), &err);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        assert_fresh_ids(a, &set.luns[i]);
    }
    delete_set(a, &set.set_id);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void other_contexts_import_by_themselves(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, ROLLBACK, 2, &set);
    assert_non_null(set.luns[0].copy_url);
    assert_false(set.snapshots[0].attributes & VSS_VOLSNAP_ATTR_IMPORTED);
    assert_fresh_ids(a, &set.luns[1]);
    delete_set(a, &set.set_id);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void copies_on_another_host_come_from_the_description_alone(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, &set);
    char own_state[sizeof(a->state)];
    memcpy(own_state, a->state, sizeof(own_state));
    (void)snprintf(a->state, sizeof(a->state), "%s/other-host", a->base);
    array_configure(a, "[limits]\n");
    assert_ok(set_import(a->env, &set, &err), &err);
    assert_fresh_ids(a, &set.luns[1]);
    delete_set(a, &set.set_id);
    set_record_free(&set);
    memcpy(a->state, own_state, sizeof(own_state));
    array_reopen(a);
    struct set_record *left = NULL;
    size_t count = 0;
    assert_ok(sets_load_all(a->env->store, &left, &count, &err), &err);
    assert_int_equal(count, 1); /* this host only knows that it made them */
    VSS_ID id = left[0].set_id;
    sets_free_all(left, count);
    delete_set(a, &id); /* deleting what is gone already is no failure */
    array_assert_nothing_left(a);
}

/* ---- break ----------------------------------------------------------------------------------- */

static void import_new(struct array *a, struct set_record *set)
{
    struct error err = {0};
    array_create(a, TRANSPORTABLE, ARRAY_LUNS, set);
    assert_ok(set_import(a->env, set, &err), &err);
}

static void revert_is_refused_while_originals_are_visible(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    import_new(a, &set);
    struct vss_disk_ids before[ARRAY_LUNS];
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        array_read_ids(a, set.luns[i].copy_url, &before[i]);
    }
    HRESULT hr = set_break(a->env, &set.set_id, VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL, &err);
    assert_refused(hr, VSS_E_BREAK_REVERT_ID_FAILED, &err, a->urls[0]);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        struct vss_disk_ids after;
        array_read_ids(a, set.luns[i].copy_url, &after);
        assert_true(disk_ids_equal(&before[i], &after));
        disk_ids_free(&before[i]);
        disk_ids_free(&after);
    }
    delete_set(a, &set.set_id);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

/* Broken copies are no longer ours to delete: the test takes them off the array itself. */
static void remove_broken(struct array *a, const struct set_record *set)
{
    struct error err = {0};
    struct lun_address address;
    assert_ok(lun_address_parse(set->luns[0].copy_url, &address, &err), &err);
    assert_ok(lab_remove_target(a->lab, address.target, &err), &err);
    char line[512];
    (void)snprintf(line, sizeof(line), "rm -f '%s'/.lunshadow-*", a->lab->disks);
    const char *const argv[] = {"sh", "-c", line, NULL};
    assert_ok(process_run(argv, 5000, NULL, &err), &err);
}

static void revert_gives_the_originals_ids_once_they_are_masked(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    import_new(a, &set);
    assert_ok(lab_mask_target(a->lab, ARRAY_TARGET, &err), &err);
    uint32_t flags = VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL | VSS_BREAKEX_FLAG_MAKE_READ_WRITE;
    assert_ok(set_break(a->env, &set.set_id, flags, &err), &err);
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        struct vss_disk_ids ids;
        array_read_ids(a, set.luns[i].copy_url, &ids);
        assert_true(disk_ids_equal(&ids, &set.luns[i].source_ids));
        disk_ids_free(&ids);
    }
    uint8_t block[4096] = {0};
    struct lun *lun = NULL;
    assert_ok(lun_open(set.luns[0].copy_url, &a->env->lun, false, &lun, &err), &err);
    assert_ok(block_write(&lun->block, 8192, 1, block, &err), &err);
    lun_close(lun);
    assert_ok(lab_unmask_target(a->lab, ARRAY_TARGET, &err), &err);
    remove_broken(a, &set);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void plain_break_keeps_new_ids_beside_visible_originals(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    import_new(a, &set);
    assert_ok(set_break(a->env, &set.set_id, 0, &err), &err);
    struct vss_disk_ids ids;
    array_read_ids(a, set.luns[1].copy_url, &ids);
    assert_true(id_equal(&ids.disk_guid, &set.luns[1].copy_ids.disk_guid));
    assert_false(ids.partitions[0].attributes & GPT_ATTR_SHADOW_COPY);
    assert_true(ids.partitions[0].attributes & GPT_ATTR_READ_ONLY);
    disk_ids_free(&ids);
    assert_write_protected(a, set.luns[1].copy_url);
    remove_broken(a, &set);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

/* Neither ids may be the right ones: the set stays, until it is said which. */
static void silent_portal_proves_nothing(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    const uint32_t flags[] = {0, VSS_BREAKEX_FLAG_MAKE_READ_WRITE,
                              VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL};
    import_new(a, &set);
    assert_ok(lab_mask_target(a->lab, ARRAY_TARGET, &err), &err);
    array_configure(a, "[portal dead]\naddress = 127.0.0.1:9\n");
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        HRESULT hr = set_break(a->env, &set.set_id, flags[i], &err);
        assert_refused(hr, VSS_E_BREAK_REVERT_ID_FAILED, &err, "127.0.0.1:9");
        assert_non_null(strstr(err.text, "--no-revert-identity"));
        error_clear(&err);
        assert_fresh_ids(a, &set.luns[0]);
        assert_write_protected(a, set.luns[0].copy_url);
    }
    assert_ok(set_break(a->env, &set.set_id, VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE, &err), &err);
    struct vss_disk_ids ids;
    array_read_ids(a, set.luns[1].copy_url, &ids);
    assert_true(id_equal(&ids.disk_guid, &set.luns[1].copy_ids.disk_guid));
    disk_ids_free(&ids);
    assert_ok(lab_unmask_target(a->lab, ARRAY_TARGET, &err), &err);
    remove_broken(a, &set);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

/* Whatever else there is: the answer is known. */
static void visible_original_is_enough_beside_a_silent_portal(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    import_new(a, &set);
    array_configure(a, "[portal dead]\naddress = 127.0.0.1:9\n");
    HRESULT hr = set_break(a->env, &set.set_id, VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL, &err);
    assert_refused(hr, VSS_E_BREAK_REVERT_ID_FAILED, &err, a->urls[0]);
    error_clear(&err);
    assert_ok(set_break(a->env, &set.set_id, 0, &err), &err);
    struct vss_disk_ids ids;
    array_read_ids(a, set.luns[1].copy_url, &ids);
    assert_true(id_equal(&ids.disk_guid, &set.luns[1].copy_ids.disk_guid));
    disk_ids_free(&ids);
    remove_broken(a, &set);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void masked_copies_are_seen_by_nobody(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    import_new(a, &set);
    struct lun *lun = NULL;
    assert_ok(lun_open(set.luns[0].copy_url, &a->env->lun, true, &lun, &err), &err);
    assert_ok(set_break(a->env, &set.set_id, VSS_BREAKEX_FLAG_MASK_LUNS, &err), &err);
    uint8_t block[4096];
    assert_true(FAILED(block_read(&lun->block, 0, 1, block, NULL)));
    lun_close(lun);
    assert_int_equal(lun_open(set.luns[0].copy_url, &a->env->lun, true, &lun, NULL),
                     VSS_E_OBJECT_NOT_FOUND);
    remove_broken(a, &set);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void break_flags_are_checked(void **state)
{
    struct array *a = *state;
    VSS_ID id = id_new();
    static const uint32_t bad[] = {0x100, 0x800, 0x4 | 0x8, 0x1 | 0x2, 0x1 | 0x4};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(set_break(a->env, &id, bad[i], NULL), E_INVALIDARG);
    }
    assert_int_equal(set_break(a->env, &id, 0, NULL), VSS_E_OBJECT_NOT_FOUND);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void bad_volumes_are_named(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    VSS_ID set_id;
    VSS_ID id;
    assert_ok(set_start(a->env, ROLLBACK, &b, &set_id, &err), &err);
    char url[400];
    (void)snprintf(url, sizeof(url), "iscsi://%s/" ARRAY_TARGET "/77", a->lab->portal);
    assert_refused(set_add_volume(b, url, NULL, &id, &err), VSS_E_OBJECT_NOT_FOUND, &err, NULL);
    error_clear(&err);
    assert_refused(set_add_volume(b, "iscsi://127.0.0.1:9/iqn.2026-01.x:y/1", NULL, &id, &err),
                   VSS_E_OBJECT_NOT_FOUND, &err, "127.0.0.1:9");
    error_clear(&err);
    (void)snprintf(url, sizeof(url), "%s#9", a->urls[1]);
    assert_refused(set_add_volume(b, url, NULL, &id, &err), VSS_E_OBJECT_NOT_FOUND, &err, "9");
    error_clear(&err);
    VSS_ID nobody = id_new();
    assert_refused(set_add_volume(b, a->urls[0], &nobody, &id, &err), VSS_E_PROVIDER_NOT_REGISTERED,
                   &err, NULL);
    error_clear(&err);
    assert_ok(set_add_volume(b, a->urls[0], NULL, &id, &err), &err);
    assert_refused(set_add_volume(b, a->urls[0], NULL, &id, &err), E_INVALIDARG, &err, a->urls[0]);
    set_builder_free(b);
    array_assert_nothing_left(a);
}

static void factory_identity_is_no_identity(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct lab_lun_options lun = {.target = ARRAY_TARGET,
                                  .lun = 9,
                                  .file = "factory.img",
                                  .bytes = 8u << 20,
                                  .block_bytes = 512,
                                  .scsi_id = "",
                                  .serial = ""};
    assert_ok(lab_add_lun(a->lab, &lun, &err), &err);
    struct set_builder *b = NULL;
    VSS_ID id;
    assert_ok(set_start(a->env, ROLLBACK, &b, &id, &err), &err);
    char url[400];
    (void)snprintf(url, sizeof(url), "iscsi://%s/" ARRAY_TARGET "/9", a->lab->portal);
    assert_refused(set_add_volume(b, url, NULL, &id, &err), VSS_E_VOLUME_NOT_SUPPORTED, &err, url);
    set_builder_free(b);
}

static void two_volumes_on_one_lun_share_one_copy(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    struct set_record set;
    VSS_ID set_id;
    VSS_ID ids[2];
    assert_ok(set_start(a->env, ROLLBACK, &b, &set_id, &err), &err);
    for (int i = 0; i < 2; i++) {
        char url[400];
        (void)snprintf(url, sizeof(url), "%s#%d", a->urls[1], i + 1);
        assert_ok(set_add_volume(b, url, NULL, &ids[i], &err), &err);
    }
    assert_ok(set_commit(b, NULL, &set, &err), &err);
    set_builder_free(b);
    assert_int_equal(set.lun_count, 1);
    assert_int_equal(set.snapshot_count, 2);
    assert_non_null(strstr(set.snapshots[1].device, "#2"));
    int32_t deleted = 0;
    assert_ok(set_delete(a->env, &ids[0], VSS_OBJECT_SNAPSHOT, &deleted, NULL, &err), &err);
    assert_int_equal(deleted, 1);
    struct vss_disk_ids still;
    array_read_ids(a, set.luns[0].copy_url, &still); /* the other snapshot keeps the LUN */
    disk_ids_free(&still);
    assert_ok(set_delete(a->env, &ids[1], VSS_OBJECT_SNAPSHOT, &deleted, NULL, &err), &err);
    assert_int_equal(set_delete(a->env, &ids[1], VSS_OBJECT_SNAPSHOT, &deleted, NULL, NULL),
                     VSS_E_OBJECT_NOT_FOUND);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

static void one_set_at_a_time(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *first = NULL;
    struct set_builder *second = NULL;
    VSS_ID id;
    assert_ok(set_start(a->env, ROLLBACK, &first, &id, &err), &err);
    assert_refused(set_start(a->env, ROLLBACK, &second, &id, &err), VSS_E_SNAPSHOT_SET_IN_PROGRESS,
                   &err, NULL);
    set_builder_free(first);
    error_clear(&err);
    assert_ok(set_start(a->env, ROLLBACK, &second, &id, &err), &err);
    set_builder_free(second);
}

static void contexts_are_checked(void **state)
{
    struct array *a = *state;
    struct set_builder *b = NULL;
    VSS_ID id;
    uint32_t both = VSS_VOLSNAP_ATTR_PLEX | VSS_VOLSNAP_ATTR_DIFFERENTIAL;
    assert_int_equal(set_start(a->env, VSS_CTX_ALL, &b, &id, NULL), VSS_E_BAD_STATE);
    assert_int_equal(set_start(a->env, ROLLBACK | both, &b, &id, NULL), E_INVALIDARG);
    assert_int_equal(set_start(a->env, VSS_CTX_CLIENT_ACCESSIBLE, &b, &id, NULL),
                     VSS_E_UNSUPPORTED_CONTEXT);
    assert_null(b);
}

static HRESULT refuse(void *user, struct error *err)
{
    (void)user;
    return error_set(err, VSS_E_WRITERERROR_RETRYABLE, "a writer said no");
}

static HRESULT count(void *user, struct error *err)
{
    (void)err;
    (*(int *)user)++;
    return S_OK;
}

static void refusing_hooks_leave_nothing(void **state)
{
    struct array *a = *state;
    for (int which = 0; which < 2; which++) {
        struct error err = {0};
        struct set_builder *b = NULL;
        struct set_record set;
        VSS_ID id;
        int thawed = 0;
        struct set_hooks hooks = {.user = &thawed,
                                  .prepare = which == 0 ? refuse : NULL,
                                  .freeze = which == 1 ? refuse : NULL,
                                  .thaw = count};
        assert_ok(set_start(a->env, ROLLBACK, &b, &id, &err), &err);
        assert_ok(set_add_volume(b, a->urls[0], NULL, &id, &err), &err);
        assert_refused(set_commit(b, &hooks, &set, &err), VSS_E_WRITERERROR_RETRYABLE, &err,
                       "a writer said no");
        assert_int_equal(thawed, which); /* what was frozen is thawed, and only that */
        set_builder_free(b);
        array_assert_nothing_left(a);
    }
}

static void dead_array_is_a_clear_failure(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    struct set_record set;
    VSS_ID id;
    assert_ok(set_start(a->env, ROLLBACK, &b, &id, &err), &err);
    assert_ok(set_add_volume(b, a->urls[0], NULL, &id, &err), &err);
    assert_int_equal(kill(a->lab->tgtd_pid, SIGKILL), 0);
    HRESULT hr = set_commit(b, NULL, &set, &err);
    assert_true(hr == VSS_E_PROVIDER_VETO || hr == VSS_E_UNEXPECTED_PROVIDER_ERROR);
    assert_true(err.text[0] != '\0');
    set_builder_free(b);
}

int main(void)
{
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(transportable_set_is_not_surfaced),
        array_test(imported_copies_have_ids_of_their_own),
        array_test(importing_again_changes_nothing_else),
        array_test(other_contexts_import_by_themselves),
        array_test(copies_on_another_host_come_from_the_description_alone),
        array_test(revert_is_refused_while_originals_are_visible),
        array_test(revert_gives_the_originals_ids_once_they_are_masked),
        array_test(plain_break_keeps_new_ids_beside_visible_originals),
        array_test(silent_portal_proves_nothing),
        array_test(visible_original_is_enough_beside_a_silent_portal),
        array_test(masked_copies_are_seen_by_nobody),
        array_test(break_flags_are_checked),
        array_test(bad_volumes_are_named),
        array_test(factory_identity_is_no_identity),
        array_test(two_volumes_on_one_lun_share_one_copy),
        array_test(one_set_at_a_time),
        array_test(contexts_are_checked),
        array_test(refusing_hooks_leave_nothing),
        array_test(dead_array_is_a_clear_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
