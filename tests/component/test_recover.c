/* SPDX-License-Identifier: Apache-2.0 */
/* What a dead process left, at chosen steps of each operation: which way is possible, and what it
 * leaves. (A resync: test_recover_resync.c; every step of all of them: the crash matrix.) */
#include "component/dead_fixture.h"

#include "common/id.h"
#include "lun/scsi.h"
#include "provider/host/internal.h"
#include "provider/set/claim.h"
#include "provider/set/claimed.h"
#include "provider/set/import.h"
#include "provider/set/label_change.h"
#include "registry/set_marks.h"
#include "resync/recover.h"
#include "resync/recovery.h"

#include <endian.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TRANSPORTABLE ((uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)
#define COPIES        2

static void load_set(struct array *a, struct set_record *set)
{
    struct error err = {0};
    VSS_ID id = set->set_id;
    set_record_free(set);
    assert_ok(sets_load(a->env->store, &id, set, &err), &err);
}

static void copy_ids(struct array *a, const struct set_record *set, struct vss_disk_ids *out)
{
    for (size_t i = 0; i < COPIES; i++) {
        array_read_ids(a, set->luns[i].copy_url, &out[i]);
    }
}

static void free_ids(struct vss_disk_ids *ids)
{
    for (size_t i = 0; i < COPIES; i++) {
        disk_ids_free(&ids[i]);
    }
}

static void assert_ids(struct array *a, const struct set_record *set,
                       const struct vss_disk_ids *expected)
{
    for (size_t i = 0; i < COPIES; i++) {
        struct vss_disk_ids now;
        array_read_ids(a, set->luns[i].copy_url, &now);
        assert_true(disk_ids_equal(&now, &expected[i]));
        disk_ids_free(&now);
    }
}

/* ---- break: the labels are changed, and nothing more came to be --------------------------------
 */

static bool break_half(struct set_environment *env, const struct set_record *set)
{
    VSS_ID entry;
    bool is_torn = false;
    struct set_record copy;
    return SUCCEEDED(set_record_copy(set, &copy)) &&
           SUCCEEDED(
               claim_open(env->store, JOURNAL_BREAK, &set->set_id, "break",
                          json_pack("{s:i}", "flags", (int)VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE),
                          &entry, NULL)) &&
           SUCCEEDED(label_change_copies(env, providers_at(env->providers, 0), &copy,
                                         LABEL_CHANGE_REVERT_RW, &entry, &is_torn, NULL));
}

static void dead_break_is_taken_back(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct vss_disk_ids before[COPIES];
    array_create(a, VSS_CTX_APP_ROLLBACK, COPIES, &set);
    copy_ids(a, &set, before);
    in_dead_process(a, &set, break_half);
    assert_refused(set_break(a->env, &set.set_id, 0, &err), VSS_E_BAD_STATE, &err, "recover");
    deal_with(a, RECOVER_ROLLBACK);
    assert_ids(a, &set, before);
    free_ids(before);
    load_set(a, &set);
    array_delete_set(a, &set);
}

static struct array *with_twin;
static const struct vss_lun_info *twin_of;
static vss_provider_callback real_before;

/* The last that the array is asked before the labels are written. */
static HRESULT change_then_add_twin(void *self, const struct vss_call *call, const void *in,
                                    void *out)
{
    HRESULT hr = real_before(self, call, in, out);
    add_twin(with_twin, twin_of);
    return hr;
}

/* The array shows no copy beside a LUN with its identity; one that comes later the host finds. */
static void old_labels_are_not_given_to_a_twin(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct journal_entry *entry = NULL;
    struct provider *p = providers_at(a->env->providers, 0);
    struct set_record set;
    struct vss_disk_ids before[COPIES];
    char twin[256];
    array_create(a, VSS_CTX_APP_ROLLBACK, COPIES, &set);
    copy_ids(a, &set, before);
    in_dead_process(a, &set, break_half);
    add_twin(a, &set.luns[0].copy);
    (void)snprintf(twin, sizeof(twin), "%s/twin.img", a->lab->disks);
    uint64_t digest = array_digest(twin);
    load_one(a, &entry);
    assert_refused(recover_entry(a->env, &entry->entry_id, RECOVER_ROLLBACK, &err),
                   VSS_E_PROVIDER_VETO, &err, TWIN_TARGET " LUN 1");
    journal_free_all(entry, 1);
    error_clear(&err);
    assert_ok(lab_remove_target(a->lab, TWIN_TARGET, &err), &err);
    with_twin = a;
    twin_of = &set.luns[0].copy;
    real_before = p->ops[VSS_OP_ON_LUN_STATE_CHANGE];
    p->ops[VSS_OP_ON_LUN_STATE_CHANGE] = change_then_add_twin;
    assert_twin_refused(a, RECOVER_ROLLBACK, set.luns[0].copy_url);
    p->ops[VSS_OP_ON_LUN_STATE_CHANGE] = real_before;
    assert_int_equal(array_digest(twin), digest);
    deal_with(a, RECOVER_ROLLBACK);
    assert_ids(a, &set, before);
    free_ids(before);
    load_set(a, &set);
    array_delete_set(a, &set);
}

static void dead_break_is_finished(void **state)
{
    struct array *a = *state;
    struct set_record set;
    struct vss_disk_ids before[COPIES];
    array_create(a, VSS_CTX_APP_ROLLBACK, COPIES, &set);
    copy_ids(a, &set, before);
    in_dead_process(a, &set, break_half);
    deal_with(a, RECOVER_RESUME);
    assert_int_equal(sets_load(a->env->store, &set.set_id, &(struct set_record){0}, NULL),
                     VSS_E_OBJECT_NOT_FOUND);
    for (size_t i = 0; i < COPIES; i++) { /* as asked for: own ids kept, shadow-copy bit gone */
        struct vss_disk_ids now;
        array_read_ids(a, set.luns[i].copy_url, &now);
        assert_memory_equal(&now.disk_guid, &before[i].disk_guid, sizeof(now.disk_guid));
        assert_int_equal(now.mbr_signature, before[i].mbr_signature);
        disk_ids_free(&now);
    }
    free_ids(before);
    set_record_free(&set);
}

static bool break_announced(struct set_environment *env, const struct set_record *set)
{
    VSS_ID entry;
    return SUCCEEDED(claim_open(env->store, JOURNAL_BREAK, &set->set_id, "break",
                                json_pack("{s:i}", "flags", 0), &entry, NULL));
}

/* An array that was started anew shows its own LUNs, and no copies until it is asked for them. */
static void dead_break_is_finished_on_a_restarted_array(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct lun *lun = NULL;
    array_create(a, VSS_CTX_APP_ROLLBACK, COPIES, &set);
    in_dead_process(a, &set, break_announced);
    for (size_t i = 0; i < COPIES; i++) {
        struct lun_address copy;
        assert_ok(lun_address_parse(set.luns[i].copy_url, &copy, &err), &err);
        assert_ok(lab_remove_lun(a->lab, copy.target, (uint32_t)copy.lun, &err), &err);
    }
    deal_with(a, RECOVER_RESUME);
    assert_int_equal(sets_load(a->env->store, &set.set_id, &(struct set_record){0}, NULL),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_ok(lun_open(set.luns[0].copy_url, &a->env->lun, true, &lun, &err), &err);
    lun_close(lun);
    set_record_free(&set);
}

/* ---- import ---------------------------------------------------------------------------------- */

static bool import_half(struct set_environment *env, const struct set_record *set)
{
    VSS_ID entry;
    bool is_torn = false;
    struct set_record copy;
    return SUCCEEDED(set_record_copy(set, &copy)) &&
           SUCCEEDED(claim_open(env->store, JOURNAL_IMPORT, &set->set_id, "import", json_object(),
                                &entry, NULL)) &&
           SUCCEEDED(journal_step(env->store, &entry, IS_KNOWN_STEP, NULL, NULL, 0, NULL)) &&
           SUCCEEDED(set_import_copies(env, providers_at(env->providers, 0), &copy, &entry,
                                       &is_torn, NULL));
}

/* No target lets anybody see a copy. */
static void assert_hidden(struct array *a)
{
    struct array_shown shown;
    array_look(a, &shown);
    assert_int_equal(shown.let_in, 0);
}

static void dead_import_is_taken_back(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct array_shown shown;
    uint64_t digests[COPIES];
    char files[COPIES][320];
    array_create(a, TRANSPORTABLE, COPIES, &set);
    for (size_t i = 0; i < COPIES; i++) {
        char id[ID_TEXT_BYTES];
        (void)snprintf(files[i], sizeof(files[i]), "%s/.lunshadow-%s-%zu.copy", a->lab->disks,
                       id_text(&set.set_id, id), i + 1);
        digests[i] = array_digest(files[i]);
    }
    in_dead_process(a, &set, import_half);
    assert_int_not_equal(array_digest(files[1]), digests[1]);
    array_look(a, &shown);
    assert_int_equal(shown.let_in, 1);
    assert_int_equal(shown.luns, COPIES);
    deal_with(a, RECOVER_ROLLBACK);
    assert_hidden(a);
    for (size_t i = 0; i < COPIES; i++) {
        assert_int_equal(array_digest(files[i]), digests[i]);
    }
    assert_ok(set_import(a->env, &set, &err), &err);
    array_delete_set(a, &set);
}

/* LocateLuns was called, and nothing more: no label was written, and nobody knows the places. */
static bool import_shown(struct set_environment *env, const struct set_record *set)
{
    VSS_ID entry;
    struct set_record copy;
    return SUCCEEDED(set_record_copy(set, &copy)) && SUCCEEDED(sets_save(env->store, set, NULL)) &&
           SUCCEEDED(claim_open(env->store, JOURNAL_IMPORT, &set->set_id, "import", json_object(),
                                &entry, NULL)) &&
           SUCCEEDED(journal_step(env->store, &entry, IS_NEW_STEP, NULL, NULL, 0, NULL)) &&
           SUCCEEDED(set_locate(env, providers_at(env->providers, 0), &copy, NULL));
}

static void dead_import_of_a_document_is_taken_back(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct array_shown shown;
    array_create(a, TRANSPORTABLE, COPIES, &set);
    assert_ok(sets_delete(a->env->store, &set.set_id, &err), &err); /* another host's set */
    in_dead_process(a, &set, import_shown);
    array_look(a, &shown);
    assert_int_equal(shown.writable, COPIES);
    assert_int_equal(shown.let_in, 1);
    deal_with(a, RECOVER_ROLLBACK);
    assert_hidden(a);
    assert_int_equal(sets_load(a->env->store, &set.set_id, &(struct set_record){0}, NULL),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_ok(set_import(a->env, &set, &err), &err);
    array_delete_set(a, &set);
}

static void dead_import_is_finished(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, COPIES, &set);
    in_dead_process(a, &set, import_half);
    deal_with(a, RECOVER_RESUME);
    load_set(a, &set);
    for (size_t i = 0; i < COPIES; i++) {
        assert_non_null(set.luns[i].copy_url);
        assert_true(set.snapshots[i].attributes & VSS_VOLSNAP_ATTR_IMPORTED);
        struct vss_disk_ids now;
        array_read_ids(a, set.luns[i].copy_url, &now);
        assert_true(disk_ids_equal(&now, &set.luns[i].copy_ids));
        disk_ids_free(&now);
    }
    array_delete_set(a, &set);
}

/* ---- delete ---------------------------------------------------------------------------------- */

static bool delete_announced(struct set_environment *env, const struct set_record *set)
{
    char id[ID_TEXT_BYTES];
    VSS_ID entry;
    return SUCCEEDED(claim_open(env->store, JOURNAL_DELETE, &set->set_id, "delete",
                                json_pack("{s:s, s:i}", "object", id_text(&set->set_id, id), "type",
                                          (int)VSS_OBJECT_SNAPSHOT_SET),
                                &entry, NULL));
}

static bool delete_half(struct set_environment *env, const struct set_record *set)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    return delete_announced(env, set) &&
           SUCCEEDED(journal_load_open(env->store, false, &entries, &count, NULL)) && count == 1 &&
           SUCCEEDED(journal_step(env->store, &entries[0].entry_id, LUN_EMPTY_STEP, "some", NULL, 0,
                                  NULL));
}

static void dead_delete_is_closed_or_finished(void **state)
{
    struct array *a = *state;
    struct set_record set;
    array_create(a, TRANSPORTABLE, COPIES, &set);
    in_dead_process(a, &set, delete_announced);
    deal_with(a, RECOVER_ROLLBACK);
    load_set(a, &set);
    in_dead_process(a, &set, delete_half);
    assert_impossible(a, RECOVER_ROLLBACK, "cannot come back");
    deal_with(a, RECOVER_RESUME);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

/* ---- create, and copies without a session ---------------------------------------------------- */

static bool create_auto_release(struct set_environment *env, const struct set_record *set)
{
    struct set_builder *b = NULL;
    struct set_record out;
    VSS_ID id;
    return SUCCEEDED(set_start(env, VSS_CTX_BACKUP, &b, &id, NULL)) &&
           SUCCEEDED(set_add_volume(b, set->luns[0].source_url, NULL, &id, NULL)) &&
           SUCCEEDED(set_commit(b, NULL, &out, NULL));
}

static void copies_of_a_dead_session_are_deleted(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct lun_mapping lun = {.source_url = a->urls[0]};
    struct set_record asked = {.luns = &lun, .lun_count = 1};
    VSS_ID *sets = NULL;
    size_t count = 0;
    struct set_record own;
    array_create(a, VSS_CTX_BACKUP, 1, &own); /* of this process, which lives */
    in_dead_process(a, &asked, create_auto_release);
    assert_ok(set_marks_load_abandoned(a->env->store, &sets, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_refused(recover_abandoned(a->env, &own.set_id, &err), VSS_E_BAD_STATE, &err, "none");
    error_clear(&err);
    assert_ok(recover_abandoned(a->env, &sets[0], &err), &err);
    free(sets);
    array_delete_set(a, &own);
}

static bool announce_create(struct set_environment *env, const struct set_record *set)
{
    VSS_ID entry;
    return SUCCEEDED(
        journal_open(env->store, JOURNAL_CREATE, &set->set_id, "create", &entry, NULL));
}

static void a_create_is_never_finished(void **state)
{
    struct array *a = *state;
    struct set_record set = {.set_id = id_new()};
    in_dead_process(a, &set, announce_create);
    assert_impossible(a, RECOVER_RESUME, "create the set again");
    deal_with(a, RECOVER_ROLLBACK);
    array_assert_nothing_left(a);
}

/* ---- forgetting ------------------------------------------------------------------------------ */

static void a_hopeless_entry_can_be_forgotten(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct journal_entry *entry = NULL;
    array_create(a, VSS_CTX_APP_ROLLBACK, COPIES, &set);
    in_dead_process(a, &set, break_half);
    for (size_t i = 0; i < COPIES; i++) { /* somebody deletes the copies on the array */
        char target[128];
        const char *name = strstr(set.luns[i].copy_url, "iqn.");
        (void)snprintf(target, sizeof(target), "%.*s", (int)strcspn(name, "/"), name);
        (void)lab_remove_target(a->lab, target, NULL);
    }
    char line[160];
    (void)snprintf(line, sizeof(line), "rm -f %s/.lunshadow-*", a->lab->disks);
    const char *const argv[] = {"sh", "-c", line, NULL};
    assert_ok(process_run(argv, 10000, NULL, &err), &err);
    load_one(a, &entry);
    assert_true(FAILED(recover_entry(a->env, &entry->entry_id, RECOVER_ROLLBACK, NULL)));
    assert_true(FAILED(recover_entry(a->env, &entry->entry_id, RECOVER_RESUME, NULL)));
    assert_ok(recover_forget(a->env, &entry->entry_id, &err), &err);
    assert_none_open(a);
    assert_refused(recover_forget(a->env, &entry->entry_id, &err), VSS_E_OBJECT_NOT_FOUND, &err,
                   "dealt with");
    journal_free_all(entry, 1);
    array_delete_set(a, &set); /* nothing keeps others from working any more */
}

int main(void)
{
    /* Callbacks can be replaced only where the plug-in is loaded. */
    (void)setenv("LUNSHADOW_PROVIDER_IN_PROCESS", "1", 1);
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(dead_break_is_taken_back),
        array_test(old_labels_are_not_given_to_a_twin),
        array_test(dead_break_is_finished),
        array_test(dead_break_is_finished_on_a_restarted_array),
        array_test(dead_import_is_taken_back),
        array_test(dead_import_of_a_document_is_taken_back),
        array_test(dead_import_is_finished),
        array_test(dead_delete_is_closed_or_finished),
        array_test(copies_of_a_dead_session_are_deleted),
        array_test(a_create_is_never_finished),
        array_test(a_hopeless_entry_can_be_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
