/* SPDX-License-Identifier: Apache-2.0 */
/* Reverts of what is not mounted here, and what a provider asks of the host. */
#include "contract/array_bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PERSISTENT ((uint32_t)VSS_CTX_NAS_ROLLBACK)
#define NOWHERE    "iscsi://127.0.0.1:1/iqn.2026-01.org.lunshadow.test:none/1"

static struct array_bench ab;
static char volume[320]; /* a whole LUN */
static VSS_ID set_id;
static VSS_ID copy_id;

static void ready(struct trial *t)
{
    trial_context(t, VSS_CTX_ALL);
}

/* ---- revert ---- */

static HRESULT revert(struct trial *t, unsigned null)
{
    return vss_backup_components_revert_to_snapshot(null == 1 ? NULL : t->session,
                                                    null == 2 ? NULL : &copy_id, false);
}

static HRESULT query_revert(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_query_revert_status(null == 1 ? NULL : t->session,
                                                                     null == 2 ? NULL : volume,
                                                                     null == 3 ? NULL : &t->async));
}

static HRESULT should_block(struct trial *t, unsigned null)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    bool is_blocked = false;
    options.config_path = t->bench->config;
    options.state_directory = t->bench->state;
    return vss_should_block_revert(&options, null == 1 ? NULL : volume,
                                   null == 2 ? NULL : &is_blocked, NULL);
}

static const struct method reverting[] = {
    {"RevertToSnapshot", WORKS | MEMORY | NULLS | RIGHTS, 0, 2, 61, ready, revert},
    {"QueryRevertStatus", WORKS | MEMORY | RIGHTS, 0, 0, 7, ready, query_revert},
    {"ShouldBlockRevert", WORKS | MEMORY | NULLS | RIGHTS | OPENING, 0, 2, 7, NULL, should_block},
};

static void expect_query(const char *of, HRESULT code)
{
    struct trial t = {.bench = &ab.bench};
    ready(&t);
    contract_expect_on(
        &t, "QueryRevertStatus",
        trial_finish(&t, vss_backup_components_query_revert_status(t.session, of, &t.async)), code);
    trial_drop(&t);
}

static void try_revert(void)
{
    static const VSS_ID stranger = {1, 2, 3, {4}};
    struct trial t = {.bench = &ab.bench};
    char url[320];
    trial_create(&t);
    contract_expect_on(&t, "RevertToSnapshot", revert(&t, 0), E_FAIL);
    contract_expect_on(&t, "QueryRevertStatus", query_revert(&t, 0), E_FAIL);
    trial_drop(&t);
    ready(&t);
    contract_expect_on(&t, "QueryRevertStatus", query_revert(&t, 1), E_INVALIDARG);
    contract_expect_on(&t, "QueryRevertStatus", query_revert(&t, 2), E_POINTER);
    contract_expect_on(&t, "QueryRevertStatus", query_revert(&t, 3), E_POINTER);
    contract_expect_on(&t, "RevertToSnapshot",
                       vss_backup_components_revert_to_snapshot(t.session, &stranger, false),
                       VSS_E_OBJECT_NOT_FOUND);
    trial_drop(&t);
    expect_query("no name of a volume", E_INVALIDARG);
    expect_query(NOWHERE, VSS_E_OBJECT_NOT_FOUND);
    array_bench_add_lun(&ab, 21, false, url);
    expect_query(url, VSS_E_VOLUME_NOT_SUPPORTED);
}

/* An array that cannot be used: its fault is none. */
static void try_revert_without_array(void)
{
    struct trial t = {.bench = &ab.bench};
    array_bench_fault(&ab, "no fault");
    ready(&t);
    contract_expect_on(&t, "RevertToSnapshot", revert(&t, 0), VSS_E_PROVIDER_NOT_REGISTERED);
    trial_drop(&t);
    array_bench_fault(&ab, NULL);
}

/* Its plug-in is a version that has no ResyncLuns. */
static void try_revert_by_legacy_provider(void)
{
    struct trial t = {.bench = &ab.bench};
    array_bench_provider(&ab, LEGACY_PATH);
    ready(&t);
    contract_expect_on(&t, "RevertToSnapshot", revert(&t, 0), E_NOTIMPL);
    contract_expect_on(&t, "QueryRevertStatus", query_revert(&t, 0), E_NOTIMPL);
    trial_drop(&t);
    array_bench_fault(&ab, NULL);
}

/* Another session is about to bring something back. */
static void try_two_at_once(void)
{
    struct trial t = {.bench = &ab.bench};
    struct trial restoring = {.bench = &ab.bench};
    VSS_ID other_set;
    VSS_ID other_copy;
    char *xml = array_bench_make_set(&ab, (uint32_t)(PERSISTENT | VSS_VOLSNAP_ATTR_TRANSPORTABLE),
                                     1, &other_set, &other_copy);
    trial_create(&restoring);
    trial_must(&restoring, vss_backup_components_initialize_for_restore(restoring.session, xml));
    trial_must(&restoring, vss_backup_components_add_snapshot_to_recovery_set(
                               restoring.session, &other_copy, 0, NULL));
    ready(&t);
    contract_expect_on(&t, "RevertToSnapshot", revert(&t, 0), VSS_E_REVERT_IN_PROGRESS);
    trial_drop(&t);
    trial_drop(&restoring);
    array_bench_delete_set(&ab, &other_set);
    vss_free_string(xml);
}

static void try_registry_without_content(void)
{
    struct trial t = {.bench = &ab.bench};
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/registry.db", ab.bench.state);
    registry_damage(&ab.bench);
    contract_check(truncate(path, 0) == 0, "truncate");
    contract_expect("ShouldBlockRevert", should_block(&t, 0), VSS_E_UNEXPECTED, "");
    registry_restore(&ab.bench);
}

/* A partition was copied, and its LUN has two more. */
static void try_revert_of_a_part(void)
{
    struct trial t = {.bench = &ab.bench};
    char part[340];
    (void)snprintf(part, sizeof(part), "%s#2", ab.array->urls[1]);
    array_bench_copy(&ab, part, PERSISTENT, &set_id, &copy_id);
    ready(&t);
    contract_expect_on(&t, "RevertToSnapshot", revert(&t, 0), VSS_E_VOLUME_NOT_SUPPORTED);
    trial_drop(&t);
    array_bench_delete_set(&ab, &set_id);
}

static void try_revert_of_what_does_not_last(void)
{
    struct trial t = {.bench = &ab.bench};
    struct trial other = {.bench = &ab.bench};
    trial_context(&t, (uint32_t)VSS_CTX_FILE_SHARE_BACKUP);
    trial_must(&t, vss_backup_components_start_snapshot_set(t.session, &t.id));
    trial_must(&t, vss_backup_components_add_to_snapshot_set(t.session, volume, NULL, &copy_id));
    trial_must(&t, trial_finish(&t, vss_backup_components_do_snapshot_set(t.session, &t.async)));
    ready(&other);
    contract_expect_on(&other, "RevertToSnapshot", revert(&other, 0), VSS_E_UNSUPPORTED_CONTEXT);
    trial_drop(&other);
    trial_drop(&t);
}

/* ---- faults of a set ---- */

static void try_set_with(const char *fault, HRESULT code)
{
    struct trial t = {.bench = &ab.bench};
    array_bench_fault(&ab, fault);
    trial_context(&t, (uint32_t)VSS_CTX_FILE_SHARE_BACKUP);
    trial_must(&t, vss_backup_components_start_snapshot_set(t.session, &t.id));
    trial_must(&t, vss_backup_components_add_to_snapshot_set(t.session, volume, NULL, &t.id));
    contract_expect_on(&t, "DoSnapshotSet",
                       trial_finish(&t, vss_backup_components_do_snapshot_set(t.session, &t.async)),
                       code);
    trial_drop(&t);
    array_bench_fault(&ab, NULL);
}

int main(void)
{
    contract_begin("host");
    array_bench_start(&ab);
    array_bench_add_lun(&ab, 22, true, volume);
    array_bench_copy(&ab, volume, PERSISTENT, &set_id, &copy_id);
    CONTRACT_TRY(&ab.bench, reverting);
    try_revert();
    try_revert_without_array();
    try_revert_by_legacy_provider();
    try_two_at_once();
    try_registry_without_content();
    array_bench_delete_set(&ab, &set_id);
    try_revert_of_a_part();
    try_revert_of_what_does_not_last();
    try_set_with("CommitSnapshots:VSS_E_REBOOT_REQUIRED", VSS_E_REBOOT_REQUIRED);
    try_set_with("PreCommitSnapshots:VSS_E_FLUSH_WRITES_TIMEOUT", VSS_E_FLUSH_WRITES_TIMEOUT);
    array_bench_stop(&ab);
    return contract_end();
}
