/* SPDX-License-Identifier: Apache-2.0 */
/* Copies on a real array: import, break, delete, and LUNs that are brought back from them. */
#include "contract/array_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRANSPORTABLE ((uint32_t)(VSS_CTX_NAS_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE))
#define NOWHERE       "iscsi://127.0.0.1:1/iqn.2026-01.org.lunshadow.test:none/1"

static struct array_bench ab;
static char *xml; /* of the set that is there now; NULL: none is */
static VSS_ID set_id;
static VSS_ID copy_id;

/* It was broken or deleted. */
static void forget_set(void)
{
    vss_free_string(xml);
    xml = NULL;
}

static bool has_set(void)
{
    struct trial t = {.bench = &ab.bench};
    trial_context(&t, VSS_CTX_ALL);
    HRESULT hr = vss_backup_components_get_snapshot_properties(t.session, &copy_id, &t.snapshot);
    trial_drop(&t);
    return SUCCEEDED(hr);
}

/* A call that ran out of memory at its very end may have done its work. */
static void need_set(void)
{
    if (xml && !has_set()) {
        forget_set();
    }
    if (!xml) {
        xml = array_bench_make_set(&ab, TRANSPORTABLE, 1, &set_id, &copy_id);
    }
}

static void drop_set(void)
{
    if (xml && has_set()) {
        array_bench_delete_set(&ab, &set_id);
        forget_set();
    }
}

/* ---- import ---- */

static HRESULT import(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_import_snapshots(null == 1 ? NULL : t->session,
                                                                  null == 2 ? NULL : &t->async));
}

static void ready_to_import(struct trial *t)
{
    need_set();
    trial_create(t);
    trial_must(t, vss_backup_components_initialize_for_backup(t->session, xml));
}

/* ---- break and delete ---- */

static HRESULT break_set(struct trial *t, unsigned null)
{
    (void)null;
    HRESULT hr = vss_backup_components_break_snapshot_set(t->session, &set_id);
    if (SUCCEEDED(hr)) {
        forget_set();
    }
    return hr;
}

static HRESULT break_set_ex(struct trial *t, unsigned null)
{
    (void)null;
    HRESULT hr = trial_finish(
        t, vss_backup_components_break_snapshot_set_ex(t->session, &set_id, 0, &t->async));
    if (SUCCEEDED(hr)) {
        forget_set();
    }
    return hr;
}

static HRESULT delete_set(struct trial *t, unsigned null)
{
    int32_t deleted = 0;
    (void)null;
    HRESULT hr = vss_backup_components_delete_snapshots(
        t->session, &set_id, VSS_OBJECT_SNAPSHOT_SET, false, &deleted, &t->id);
    if (SUCCEEDED(hr)) {
        forget_set();
    }
    return hr;
}

static void ready_imported(struct trial *t)
{
    struct trial importing = {.bench = t->bench};
    ready_to_import(&importing);
    trial_must(&importing, import(&importing, 0));
    trial_drop(&importing);
    trial_context(t, VSS_CTX_ALL);
}

static void ready_to_delete(struct trial *t)
{
    need_set();
    trial_context(t, VSS_CTX_ALL);
}

/* ---- recovery ---- */

static HRESULT add_member(struct trial *t, unsigned null)
{
    return vss_backup_components_add_snapshot_to_recovery_set(null == 1 ? NULL : t->session,
                                                              null == 2 ? NULL : &copy_id, 0, NULL);
}

static HRESULT recover(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_recover_set(null == 1 ? NULL : t->session, 0,
                                                             null == 2 ? NULL : &t->async));
}

static void ready_to_add(struct trial *t)
{
    need_set();
    trial_create(t);
    trial_must(t, vss_backup_components_initialize_for_restore(t->session, xml));
}

static void ready_to_recover(struct trial *t)
{
    ready_to_add(t);
    trial_must(t, add_member(t, 0));
}

static const struct method methods[] = {
    {"ImportSnapshots", WORKS | MEMORY | NULLS | RIGHTS | THREAD | UNBEGUN | SPENDING, 0, 2, 41,
     ready_to_import, import},
    {"AddSnapshotToRecoverySet", WORKS | MEMORY | NULLS | UNBEGUN, 0, 2, 9, ready_to_add,
     add_member},
    {"RecoverSet", WORKS | MEMORY | NULLS | UNBEGUN | SPENDING, 0, 2, 131, ready_to_recover,
     recover},
    {"DeleteSnapshots", WORKS | MEMORY, 0, 0, 17, ready_to_delete, delete_set},
    {"BreakSnapshotSet", WORKS | MEMORY | SPENDING, 0, 0, 41, ready_imported, break_set},
    {"BreakSnapshotSetEx", WORKS | MEMORY | SPENDING, 0, 0, 61, ready_imported, break_set_ex},
};

/* ---- what is refused ---- */

static void try_import_without_document(void)
{
    struct trial t = {.bench = &ab.bench};
    trial_backup(&t);
    contract_expect_on(&t, "ImportSnapshots", import(&t, 0), VSS_E_BAD_STATE);
    trial_drop(&t);
}

static void try_refused_breaks(void)
{
    struct trial t = {.bench = &ab.bench};
    ready_to_delete(&t);
    contract_expect_on(&t, "BreakSnapshotSet", break_set(&t, 0), VSS_E_OBJECT_NOT_FOUND);
    trial_drop(&t); /* it is not imported here */
    ready_imported(&t);
    trial_drop(&t);
    array_bench_fault(&ab, "OnLunStateChange:VSS_E_PROVIDER_VETO");
    ready_to_delete(&t);
    contract_expect_on(&t, "BreakSnapshotSet", break_set(&t, 0), VSS_E_PROVIDER_VETO);
    contract_expect_on(&t, "BreakSnapshotSetEx", break_set_ex(&t, 0), VSS_E_PROVIDER_VETO);
    trial_drop(&t);
    array_bench_fault(&ab, NULL);
    ready_imported(&t);
    contract_expect_on(
        &t, "BreakSnapshotSetEx",
        trial_finish(&t, vss_backup_components_break_snapshot_set_ex(
                             t.session, &set_id, VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL, &t.async)),
        VSS_E_BREAK_REVERT_ID_FAILED);
    trial_drop(&t);
}

static void try_refused_deletes(void)
{
    struct trial t = {.bench = &ab.bench};
    need_set();
    array_bench_fault(&ab, "OnLunEmpty:VSS_E_PROVIDER_VETO");
    ready_to_delete(&t);
    contract_expect_on(&t, "DeleteSnapshots", delete_set(&t, 0), VSS_E_PROVIDER_VETO);
    trial_drop(&t);
    array_bench_fault(&ab, "OnLunEmpty:segv");
    ready_to_delete(&t);
    contract_expect_on(&t, "DeleteSnapshots", delete_set(&t, 0), VSS_E_UNEXPECTED_PROVIDER_ERROR);
    trial_drop(&t);
    array_bench_fault(&ab, NULL);
}

static void expect_member(const VSS_ID *id, const char *destination, HRESULT code)
{
    struct trial t = {.bench = &ab.bench};
    ready_to_add(&t);
    contract_expect_on(
        &t, "AddSnapshotToRecoverySet",
        vss_backup_components_add_snapshot_to_recovery_set(t.session, id, 0, destination), code);
    trial_drop(&t);
}

static void try_refused_members(void)
{
    static const VSS_ID stranger = {1, 2, 3, {4}};
    struct trial first = {.bench = &ab.bench};
    char url[320];
    array_bench_add_lun(&ab, 21, false, url);
    need_set();
    expect_member(&stranger, NULL, VSS_E_SNAPSHOT_NOT_IN_SET);
    expect_member(&copy_id, NOWHERE, VSS_E_OBJECT_NOT_FOUND);
    expect_member(&copy_id, url, VSS_E_VOLUME_NOT_SUPPORTED);
    array_bench_provider(&ab, LEGACY_PATH); /* a version of the plug-in that has no ResyncLuns */
    expect_member(&copy_id, NULL, VSS_E_LEGACY_PROVIDER);
    array_bench_fault(&ab, NULL);
    ready_to_recover(&first);
    expect_member(&copy_id, NULL, VSS_E_RESYNC_IN_PROGRESS);
    trial_drop(&first);
}

/* ---- recoveries that fail ---- */

static void try_refused_resync(void)
{
    struct trial t = {.bench = &ab.bench};
    need_set();
    array_bench_fault(&ab, "ResyncLuns:VSS_E_PROVIDER_VETO");
    ready_to_recover(&t);
    contract_expect_on(&t, "RecoverSet", recover(&t, 0), VSS_E_PROVIDER_VETO);
    trial_drop(&t);
    array_bench_fault(&ab, NULL);
    ready_to_recover(&t); /* the same again makes the destination whole */
    contract_expect_on(&t, "RecoverSet", recover(&t, 0), S_OK);
    contract_expect_on(&t, "RecoverSet", recover(&t, 0), VSS_E_BAD_STATE);
    trial_drop(&t);
}

/* The copy of an MBR disk over a GPT disk, whose ids cannot be kept. */
static void try_other_label(void)
{
    struct trial t = {.bench = &ab.bench};
    ready_to_add(&t);
    trial_must(&t, vss_backup_components_add_snapshot_to_recovery_set(t.session, &copy_id, 0,
                                                                      ab.array->urls[1]));
    contract_expect_on(&t, "RecoverSet",
                       trial_finish(&t, vss_backup_components_recover_set(
                                            t.session, VSS_RECOVERY_NO_VOLUME_CHECK, &t.async)),
                       VSS_E_CANNOT_REVERT_DISKID);
    trial_drop(&t);
}

/* One partition was copied, and its disk has three. */
static void try_unselected_volume(void)
{
    struct trial t = {.bench = &ab.bench};
    char whole[320];
    drop_set();
    (void)snprintf(whole, sizeof(whole), "%s", ab.array->urls[0]);
    (void)snprintf(ab.array->urls[0], sizeof(whole), "%.300s#2", ab.array->urls[1]);
    ready_to_recover(&t);
    contract_expect_on(&t, "RecoverSet", recover(&t, 0), VSS_E_UNSELECTED_VOLUME);
    trial_drop(&t);
    drop_set();
    (void)snprintf(ab.array->urls[0], sizeof(whole), "%s", whole);
}

/* ---- operations that fail, as those see them who wait ---- */

static void try_failed_operation(void)
{
    struct trial t = {.bench = &ab.bench};
    ready_to_import(&t);
    registry_damage(&ab.bench);
    trial_must(&t, vss_backup_components_import_snapshots(t.session, &t.async));
    contract_expect_on(&t, "Wait", vss_async_wait(t.async, VSS_INFINITE), VSS_E_UNEXPECTED);
    contract_expect_on(&t, "Cancel", vss_async_cancel(t.async), VSS_E_UNEXPECTED);
    trial_drop(&t);
    registry_restore(&ab.bench);
}

static void try_registry_without_content(void)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    char path[600];
    bool is_present = false;
    int32_t capability = 0;
    options.config_path = ab.bench.config;
    options.state_directory = ab.bench.state;
    (void)snprintf(path, sizeof(path), "%s/registry.db", ab.bench.state);
    registry_damage(&ab.bench);
    contract_check(truncate(path, 0) == 0, "truncate");
    contract_expect(
        "IsVolumeSnapshotted",
        vss_is_volume_snapshotted(&options, ab.array->urls[0], &is_present, &capability, NULL),
        VSS_E_UNEXPECTED, "");
    registry_restore(&ab.bench);
}

int main(void)
{
    contract_begin("copies");
    array_bench_start(&ab);
    CONTRACT_TRY(&ab.bench, methods);
    try_import_without_document();
    try_refused_breaks();
    try_refused_deletes();
    try_refused_members();
    try_refused_resync();
    try_other_label();
    try_unselected_volume();
    try_failed_operation();
    try_registry_without_content();
    drop_set();
    array_bench_stop(&ab);
    return contract_end();
}
