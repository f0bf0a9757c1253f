/* SPDX-License-Identifier: Apache-2.0 */
/* What is answered from the registry alone, and what needs neither a registry nor an array. */
#include "contract/contract.h"

#include "common/id.h"
#include "unit/registry_fixture.h"

#include <stdlib.h>
#include <string.h>

static VSS_ID snapshot_id; /* a completed copy that the registry has */
static VSS_ID set_id;      /* its set */
static const VSS_ID stranger = {1, 2, 3, {4}};

static void ready_for_all(struct trial *t)
{
    trial_context(t, VSS_CTX_ALL);
}

/* ---- query and properties ---- */

static HRESULT query(struct trial *t, unsigned null)
{
    return vss_backup_components_query(null == 1 ? NULL : t->session, NULL, VSS_OBJECT_NONE,
                                       VSS_OBJECT_SNAPSHOT, null == 2 ? NULL : &t->objects);
}

static HRESULT get_properties(struct trial *t, unsigned null)
{
    return vss_backup_components_get_snapshot_properties(null == 1 ? NULL : t->session,
                                                         null == 2 ? NULL : &snapshot_id,
                                                         null == 3 ? NULL : &t->snapshot);
}

/* ---- enumerators ---- */

static void ready_enumerator(struct trial *t)
{
    ready_for_all(t);
    trial_must(t, query(t, 0));
}

static HRESULT next(struct trial *t, unsigned null)
{
    uint32_t fetched = 0;
    return vss_enum_object_next(null == 1 ? NULL : t->objects, 1, null == 2 ? NULL : &t->object,
                                null == 3 ? NULL : &fetched);
}

static HRESULT skip_one(struct trial *t, unsigned null)
{
    return vss_enum_object_skip(null == 1 ? NULL : t->objects, 1);
}

static HRESULT reset(struct trial *t, unsigned null)
{
    return vss_enum_object_reset(null == 1 ? NULL : t->objects);
}

static HRESULT clone(struct trial *t, unsigned null)
{
    return vss_enum_object_clone(null == 1 ? NULL : t->objects, null == 2 ? NULL : &t->clone);
}

/* ---- break and delete, on the registry's side ---- */

static HRESULT break_set(struct trial *t, unsigned null)
{
    return vss_backup_components_break_snapshot_set(null == 1 ? NULL : t->session,
                                                    null == 2 ? NULL : &set_id);
}

static HRESULT break_set_ex(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_break_snapshot_set_ex(
                               null == 1 ? NULL : t->session, null == 2 ? NULL : &set_id, 0,
                               null == 3 ? NULL : &t->async));
}

static HRESULT delete_set(struct trial *t, unsigned null)
{
    int32_t deleted = 0;
    return vss_backup_components_delete_snapshots(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &set_id, VSS_OBJECT_SNAPSHOT_SET, false,
        null == 3 ? NULL : &deleted, null == 4 ? NULL : &t->id);
}

/* ---- paths ---- */

static HRESULT get_paths(struct trial *t, unsigned null)
{
    char *prefix = NULL;
    HRESULT hr = vss_backup_components_get_root_and_logical_prefix_paths(
        null == 1 ? NULL : t->session, null == 2 ? NULL : "/etc/passwd", false,
        null == 3 ? NULL : &t->text, null == 4 ? NULL : &prefix);
    vss_free_string(prefix);
    return hr;
}

static const struct method methods[] = {
    {"Query", WORKS | MEMORY | NULLS | RIGHTS | DAMAGE | UNBEGUN, 0, 2, 0, ready_for_all, query},
    {"GetSnapshotProperties", WORKS | MEMORY | NULLS | RIGHTS | DAMAGE | UNBEGUN, 0, 3, 0,
     ready_for_all, get_properties},
    {"EnumObject Next", WORKS | MEMORY | NULLS, E_POINTER, 3, 0, ready_enumerator, next},
    {"EnumObject Skip", WORKS, 0, 0, 0, ready_enumerator, skip_one},
    {"EnumObject Reset", WORKS, 0, 0, 0, ready_enumerator, reset},
    {"EnumObject Clone", WORKS | MEMORY | NULLS, E_POINTER, 2, 0, ready_enumerator, clone},
    {"BreakSnapshotSet", NULLS | RIGHTS | DAMAGE, 0, 2, 0, ready_for_all, break_set},
    {"BreakSnapshotSetEx", NULLS | RIGHTS | DAMAGE, 0, 3, 0, ready_for_all, break_set_ex},
    {"DeleteSnapshots", NULLS | RIGHTS | DAMAGE, 0, 4, 0, ready_for_all, delete_set},
    {"GetRootAndLogicalPrefixPaths", WORKS | MEMORY | NULLS, 0, 4, 0, trial_backup, get_paths},
};

static void try_what_is_not_there(const struct bench *b)
{
    struct trial t = {.bench = b};
    int32_t deleted = 0;
    ready_for_all(&t);
    contract_expect_on(&t, "Query",
                       vss_backup_components_query(t.session, &snapshot_id, VSS_OBJECT_SNAPSHOT,
                                                   VSS_OBJECT_SNAPSHOT, &t.objects),
                       E_INVALIDARG);
    contract_expect_on(
        &t, "GetSnapshotProperties",
        vss_backup_components_get_snapshot_properties(t.session, &stranger, &t.snapshot),
        VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(&t, "BreakSnapshotSet",
                       vss_backup_components_break_snapshot_set(t.session, &stranger),
                       VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(
        &t, "BreakSnapshotSetEx",
        vss_backup_components_break_snapshot_set_ex(t.session, &stranger, 0, &t.async),
        VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(
        &t, "BreakSnapshotSetEx",
        vss_backup_components_break_snapshot_set_ex(
            t.session, &set_id,
            VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL | VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE, &t.async),
        E_INVALIDARG);
    contract_expect_on(&t, "DeleteSnapshots",
                       vss_backup_components_delete_snapshots(
                           t.session, &stranger, VSS_OBJECT_SNAPSHOT, false, &deleted, &t.id),
                       VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(&t, "DeleteSnapshots",
                       vss_backup_components_delete_snapshots(
                           t.session, &set_id, VSS_OBJECT_PROVIDER, false, &deleted, &t.id),
                       E_INVALIDARG);
    trial_drop(&t);
}

/* ---- the thread's model ---- */

static void try_models(void)
{
    contract_expect("CoInitializeEx", vss_co_initialize_ex(NULL, COINIT_MULTITHREADED), S_OK, "");
    contract_expect("CoInitializeEx", vss_co_initialize_ex(NULL, COINIT_MULTITHREADED), S_FALSE,
                    "");
    contract_expect("CoInitializeEx", vss_co_initialize_ex(NULL, COINIT_APARTMENTTHREADED),
                    RPC_E_CHANGED_MODE, "");
    vss_co_uninitialize();
    vss_co_uninitialize();
    contract_expect("CoInitializeEx", vss_co_initialize_ex(NULL, COINIT_APARTMENTTHREADED), S_OK,
                    "");
    vss_co_uninitialize();
}

/* The copies are the fixture's: no array has them. */
static void save_copies(const struct bench *b)
{
    struct store *store = fixture_open(b->state);
    struct set_record set = fixture_set(1, 2);
    snapshot_id = set.snapshots[0].snapshot_id;
    set_id = set.set_id;
    contract_check(sets_save(store, &set, NULL) == S_OK, "a set is saved");
    set_record_free(&set);
    store_close(store);
}

int main(void)
{
    struct bench b;
    contract_begin("registry");
    bench_start(&b);
    save_copies(&b);
    CONTRACT_TRY(&b, methods);
    try_what_is_not_there(&b);
    try_models();
    bench_stop(&b);
    return contract_end();
}
