/* SPDX-License-Identifier: Apache-2.0 */
/* What a set's operations that fail leave behind: looked up on the array, in the registry and in
 * the journal. Real callbacks of the tgt plug-in, with one of them made to fail, or another claim.
 */
#include "component/array_fixture.h"

#include "common/id.h"
#include "provider/host/internal.h"
#include "provider/set/candidate.h"
#include "provider/set/claim.h"
#include "provider/set/import.h"
#include "provider/set/rollback.h"
#include "registry/journal.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROLLBACK      ((uint32_t)VSS_CTX_APP_ROLLBACK)
#define TRANSPORTABLE (ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)

/* ---- one callback of the plug-in replaced -------------------------------------------------------
 */

static vss_provider_callback real[VSS_OP_COUNT];
static int calls;

static void replace(struct array *a, enum vss_provider_op op, vss_provider_callback callback)
{
    struct provider *p = providers_at(a->env->providers, 0);
    calls = 0;
    real[op] = p->ops[op];
    p->ops[op] = callback;
}

static void restore(struct array *a, enum vss_provider_op op)
{
    providers_at(a->env->providers, 0)->ops[op] = real[op];
}

static HRESULT veto(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    (void)out;
    calls++;
    call->host->error(call, "the test says no");
    return VSS_E_PROVIDER_VETO;
}

static HRESULT fail_pre_recovery(void *self, const struct vss_call *call, const void *in, void *out)
{
    const struct vss_state_change_in *change = in;
    return change->flags == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY
               ? veto(self, call, in, out)
               : real[VSS_OP_ON_LUN_STATE_CHANGE](self, call, in, out);
}

/* Of the copies that are found, the array says of so many that they are its own. */
static int known_copies;

static HRESULT disown(void *self, const struct vss_call *call, const void *in, void *out)
{
    struct vss_supported_out *o = out;
    HRESULT hr = real[VSS_OP_FILL_IN_LUN_INFO](self, call, in, out);
    o->is_supported = calls++ < known_copies && o->is_supported;
    return hr;
}

/* A cut without a word on how long I/O was held. */
static HRESULT commit_without_hold(void *self, const struct vss_call *call, const void *in,
                                   void *out)
{
    struct vss_states_out *o = out;
    HRESULT hr = real[VSS_OP_COMMIT_SNAPSHOTS](self, call, in, out);
    o->hold.held_at_us = o->hold.released_at_us = 0;
    return hr;
}

/* ---- helpers ----------------------------------------------------------------------------------
 */

static size_t open_entries(struct array *a)
{
    struct error err = {0};
    struct journal_entry *entries = NULL;
    size_t count = 0;
    assert_ok(journal_load_open(a->env->store, false, &entries, &count, &err), &err);
    journal_free_all(entries, count);
    return count;
}

static void assert_ids(struct array *a, const char *url, const struct vss_disk_ids *expected)
{
    struct vss_disk_ids now;
    array_read_ids(a, url, &now);
    assert_true(disk_ids_equal(&now, expected));
    disk_ids_free(&now);
}

static void assert_unknown(struct array *a, const struct set_record *set)
{
    assert_int_equal(sets_load(a->env->store, &set->set_id, &(struct set_record){0}, NULL),
                     VSS_E_OBJECT_NOT_FOUND);
}

static void assert_let_in(struct array *a, size_t count)
{
    struct array_shown shown;
    array_look(a, &shown);
    assert_int_equal(shown.let_in, count);
}

static void assert_all_read_only(struct array *a, size_t count)
{
    struct array_shown shown;
    array_look(a, &shown);
    assert_int_equal(shown.luns, count);
    assert_int_equal(shown.writable, 0);
}

/* SQL on the registry, past the product. */
static void on_registry(struct array *a, const char *sql)
{
    sqlite3 *db = NULL;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/registry.db", a->state);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* ---- import -----------------------------------------------------------------------------------
 */

/* Another host's set, as far as this one's registry knows. */
static void make_foreign(struct array *a, size_t count, struct set_record *set)
{
    struct error err = {0};
    array_create(a, TRANSPORTABLE, count, set);
    assert_ok(sets_delete(a->env->store, &set->set_id, &err), &err);
}

static void failed_import_of_a_document_leaves_nothing_shown(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    make_foreign(a, 2, &set);
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, fail_pre_recovery);
    assert_refused(set_import(a->env, &set, &err), VSS_E_PROVIDER_VETO, &err, "says no");
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    error_clear(&err);
    assert_let_in(a, 0);
    assert_unknown(a, &set);
    assert_int_equal(open_entries(a), 0);
    assert_ok(set_import(a->env, &set, &err), &err);
    array_delete_set(a, &set);
}

/* The only entry that is open. */
static void roll_back(struct array *a)
{
    struct error err = {0};
    struct journal_entry *entries = NULL;
    size_t count = 0;
    assert_ok(journal_load_open(a->env->store, false, &entries, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_ok(set_rollback(a->env, &entries[0], &err), &err);
    journal_free_all(entries, count);
    assert_int_equal(open_entries(a), 0);
}

/* What is shown stays known: to `recover` too. */
static void import_that_cannot_be_hidden_stays_known(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record kept;
    make_foreign(a, 2, &set);
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, veto);
    assert_refused(set_import(a->env, &set, &err), VSS_E_PROVIDER_VETO, &err, "says no");
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    error_clear(&err);
    assert_let_in(a, 1);
    assert_ok(sets_load(a->env->store, &set.set_id, &kept, &err), &err);
    set_record_free(&kept);
    roll_back(a);
    assert_let_in(a, 0);
    assert_unknown(a, &set);
    assert_ok(set_import(a->env, &set, &err), &err);
    array_delete_set(a, &set);
}

/* Nothing had been done to the array, so whoever sees the copies goes on to see them. */
static void import_that_had_not_begun_hides_nothing(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    VSS_ID entry;
    array_create(a, TRANSPORTABLE, 2, &set);
    assert_ok(set_locate(a->env, providers_at(a->env->providers, 0), &set, &err), &err);
    assert_ok(claim_open(a->env->store, JOURNAL_IMPORT, &set.set_id, "import", json_object(),
                         &entry, &err),
              &err);
    roll_back(a);
    assert_let_in(a, 1);
    array_delete_set(a, &set);
}

/* An array that says that it cannot mask keeps nobody from going on. */
static void array_that_cannot_mask_keeps_no_entry_open(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    make_foreign(a, 1, &set);
    providers_at(a->env->providers, 0)->capabilities.mask = VSS_CAPABILITY_NO;
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, veto);
    assert_refused(set_import(a->env, &set, &err), VSS_E_PROVIDER_VETO, &err, "says no");
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    assert_unknown(a, &set);
    assert_int_equal(open_entries(a), 0);
    error_clear(&err);
    assert_ok(set_import(a->env, &set, &err), &err);
    array_delete_set(a, &set);
}

/* Whether a copy was found or not. */
static void dry_import_leaves_nothing_shown(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    array_create(a, TRANSPORTABLE, 2, &set);
    a->env->is_dry_run = true;
    assert_int_equal(set_import(a->env, &set, &err), E_ABORT);
    assert_let_in(a, 0);
    error_clear(&err);
    known_copies = 0;
    replace(a, VSS_OP_FILL_IN_LUN_INFO, disown);
    assert_int_equal(set_import(a->env, &set, &err), VSS_E_NO_SNAPSHOTS_IMPORTED);
    restore(a, VSS_OP_FILL_IN_LUN_INFO);
    assert_let_in(a, 0);
    a->env->is_dry_run = false;
    array_delete_set(a, &set);
}

/* What such a document says is not sent to the array, which shows the copies to somebody. */
static void document_that_is_not_believed_hides_nothing(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record forged;
    array_create(a, TRANSPORTABLE, 1, &set);
    assert_ok(set_import(a->env, &set, &err), &err);
    assert_ok(sets_delete(a->env->store, &set.set_id, &err), &err); /* another host's set */
    assert_ok(set_record_copy(&set, &forged), &err);
    lun_info_free(&forged.luns[0].copy);
    assert_ok(lun_info_copy(&set.luns[0].source, &forged.luns[0].copy), &err);
    for (int i = 0; i < 2; i++) {
        a->env->is_dry_run = i;
        assert_refused(set_import(a->env, &forged, &err), VSS_E_NO_SNAPSHOTS_IMPORTED, &err,
                       "the array another LUN");
        error_clear(&err);
        assert_let_in(a, 1);
        assert_all_read_only(a, 1);
    }
    a->env->is_dry_run = false;
    set_record_free(&forged);
    assert_ok(set_import(a->env, &set, &err), &err);
    array_delete_set(a, &set);
}

/* Imported copies stay read-only, however another import of them ends. */
static void imported_copies_stay_read_only(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    array_create(a, TRANSPORTABLE, 2, &set);
    assert_ok(set_import(a->env, &set, &err), &err);
    assert_all_read_only(a, 2);
    a->env->is_dry_run = true;
    assert_int_equal(set_import(a->env, &set, &err), E_ABORT);
    a->env->is_dry_run = false;
    assert_let_in(a, 1);
    assert_all_read_only(a, 2);
    replace(a, VSS_OP_ON_LUN_STATE_CHANGE, fail_pre_recovery); /* and no label is written */
    error_clear(&err);
    assert_refused(set_import(a->env, &set, &err), VSS_E_PROVIDER_VETO, &err, "says no");
    restore(a, VSS_OP_ON_LUN_STATE_CHANGE);
    assert_all_read_only(a, 2);
    replace(a, VSS_OP_FILL_IN_LUN_INFO, disown);
    known_copies = 0;
    assert_int_equal(set_import(a->env, &set, &err), VSS_E_NO_SNAPSHOTS_IMPORTED);
    assert_all_read_only(a, 2);
    calls = 0;
    known_copies = 1; /* one is found where it is looked for first, the other nowhere */
    assert_int_equal(set_import(a->env, &set, &err), VSS_S_SOME_SNAPSHOTS_NOT_IMPORTED);
    restore(a, VSS_OP_FILL_IN_LUN_INFO);
    assert_all_read_only(a, 2);
    assert_int_equal(open_entries(a), 0);
    array_delete_set(a, &set);
}

/* A copy that was deleted is not one that was found. */
static void none_imported_is_said_beside_deleted_copies(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record kept;
    int32_t deleted = 0;
    array_create(a, ROLLBACK, 2, &set);
    assert_ok(set_delete(a->env, &set.snapshots[0].snapshot_id, VSS_OBJECT_SNAPSHOT, &deleted, NULL,
                         &err),
              &err);
    known_copies = 0;
    replace(a, VSS_OP_FILL_IN_LUN_INFO, disown);
    assert_refused(set_import(a->env, &set, &err), VSS_E_NO_SNAPSHOTS_IMPORTED, &err,
                   "no copy was found");
    restore(a, VSS_OP_FILL_IN_LUN_INFO);
    error_clear(&err);
    assert_ok(sets_load(a->env->store, &set.set_id, &kept, &err), &err);
    assert_non_null(kept.luns[1].copy_url);
    set_record_free(&kept);
    array_delete_set(a, &set);
}

/* ---- break ------------------------------------------------------------------------------------
 */

/* Labels and array are changed, and the registry cannot forget the set: it is what it was. */
static void break_that_the_registry_cannot_note_is_taken_back(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    struct set_record kept;
    const uint32_t flags = VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE | VSS_BREAKEX_FLAG_MAKE_READ_WRITE;
    array_create(a, ROLLBACK, 2, &set);
    on_registry(a, "CREATE TRIGGER full BEFORE DELETE ON sets"
                   " BEGIN SELECT RAISE(ABORT, 'the test says full'); END");
    HRESULT hr = set_break(a->env, &set.set_id, flags, &err);
    on_registry(a, "DROP TRIGGER full");
    assert_true(FAILED(hr) && strstr(err.text, "the test says full"));
    error_clear(&err);
    assert_int_equal(open_entries(a), 0);
    assert_all_read_only(a, 2);
    assert_ok(sets_load(a->env->store, &set.set_id, &kept, &err), &err);
    for (size_t i = 0; i < 2; i++) {
        assert_true(disk_ids_equal(&kept.luns[i].copy_ids, &set.luns[i].copy_ids));
        assert_ids(a, kept.luns[i].copy_url, &set.luns[i].copy_ids);
    }
    set_record_free(&kept);
    array_delete_set(a, &set);
}

/* ---- arrays that do not cut several LUNs at once ------------------------------------------------
 */

static void claim_consistent_set(struct array *a, uint32_t capability)
{
    providers_at(a->env->providers, 0)->capabilities.consistent_set = capability;
}

/* The first count LUNs. */
static HRESULT make_set(struct array *a, size_t count, struct set_record *set, struct error *err)
{
    struct set_builder *b = NULL;
    VSS_ID id;
    HRESULT hr = set_start(a->env, ROLLBACK, &b, &id, err);
    for (size_t i = 0; i < count && SUCCEEDED(hr); i++) {
        hr = set_add_volume(b, a->urls[i], NULL, &id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = set_commit(b, NULL, set, err);
    }
    set_builder_free(b);
    return hr;
}

static void array_without_consistent_sets_gets_one_lun_a_set(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_builder *b = NULL;
    struct set_record set;
    VSS_ID id;
    char url[400];
    claim_consistent_set(a, VSS_CAPABILITY_NO);
    assert_ok(set_start(a->env, ROLLBACK, &b, &id, &err), &err);
    (void)snprintf(url, sizeof(url), "%s#1", a->urls[1]);
    assert_ok(set_add_volume(b, url, NULL, &id, &err), &err);
    assert_refused(set_add_volume(b, a->urls[0], NULL, &id, &err), VSS_E_VOLUME_NOT_SUPPORTED, &err,
                   "array lab cannot cut several LUNs at one point in time");
    error_clear(&err);
    (void)snprintf(url, sizeof(url), "%s#2", a->urls[1]); /* another volume, the same LUN */
    assert_ok(set_add_volume(b, url, NULL, &id, &err), &err);
    assert_ok(set_commit(b, NULL, &set, &err), &err);
    set_builder_free(b);
    assert_int_equal(set.lun_count, 1);
    array_delete_set(a, &set);
}

/* Nor a volume that lies on several of its LUNs. */
static void array_without_consistent_sets_gets_no_volume_on_two_luns(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct candidate first;
    struct candidate second;
    struct provider *p = NULL;
    assert_ok(candidate_find(a->env, a->urls[0], &first, &err), &err);
    assert_ok(candidate_find(a->env, a->urls[1], &second, &err), &err);
    struct candidate_lun luns[2] = {first.luns[0], second.luns[0]};
    const struct candidate both = {.text = (char *)"both", .luns = luns, .lun_count = 2};
    assert_ok(candidate_choose_provider(a->env, &both, ROLLBACK, NULL, &p, &err), &err);
    claim_consistent_set(a, VSS_CAPABILITY_NO);
    assert_ok(candidate_choose_provider(a->env, &first, ROLLBACK, NULL, &p, &err), &err);
    assert_refused(candidate_choose_provider(a->env, &both, ROLLBACK, NULL, &p, &err),
                   VSS_E_VOLUME_NOT_SUPPORTED, &err, "array lab not at one point in time");
    candidate_free(&second);
    candidate_free(&first);
}

static void luns_that_were_not_held_are_no_set(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set;
    claim_consistent_set(a, VSS_CAPABILITY_EMULATED);
    assert_ok(make_set(a, 2, &set, &err), &err); /* the real one holds, and says so */
    array_delete_set(a, &set);
    replace(a, VSS_OP_COMMIT_SNAPSHOTS, commit_without_hold);
    assert_refused(make_set(a, 2, &set, &err), VSS_E_UNEXPECTED_PROVIDER_ERROR, &err,
                   "array lab does not cut several LUNs at one point in time by itself");
    array_assert_nothing_left(a);
    error_clear(&err);
    assert_ok(make_set(a, 1, &set, &err), &err); /* one LUN is one point in time */
    array_delete_set(a, &set);
    claim_consistent_set(a, VSS_CAPABILITY_NATIVE);
    assert_ok(make_set(a, 2, &set, &err), &err);
    restore(a, VSS_OP_COMMIT_SNAPSHOTS);
    array_delete_set(a, &set);
}

int main(void)
{
    /* Callbacks can be replaced only where the plug-in is loaded. */
    (void)setenv("LUNSHADOW_PROVIDER_IN_PROCESS", "1", 1);
#define array_test(name) cmocka_unit_test_setup_teardown(name, array_start, array_stop)
    const struct CMUnitTest tests[] = {
        array_test(failed_import_of_a_document_leaves_nothing_shown),
        array_test(import_that_cannot_be_hidden_stays_known),
        array_test(import_that_had_not_begun_hides_nothing),
        array_test(array_that_cannot_mask_keeps_no_entry_open),
        array_test(dry_import_leaves_nothing_shown),
        array_test(document_that_is_not_believed_hides_nothing),
        array_test(imported_copies_stay_read_only),
        array_test(none_imported_is_said_beside_deleted_copies),
        array_test(break_that_the_registry_cannot_note_is_taken_back),
        array_test(array_without_consistent_sets_gets_one_lun_a_set),
        array_test(array_without_consistent_sets_gets_no_volume_on_two_luns),
        array_test(luns_that_were_not_held_are_no_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
