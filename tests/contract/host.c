/* SPDX-License-Identifier: Apache-2.0 */
/* Copies as this host sees them: what expose and unexpose refuse (nothing is mounted here),
 * reverts, and what a provider asks of the host. */
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
static char volume[320]; /* a LUN that is one ext4 */
static char mount_point[200];
static VSS_ID set_id;
static VSS_ID copy_id;

/* Runs a shell line in the lab's directory; false where it failed. */
static bool run(const char *line)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "PATH=$PATH:/usr/sbin:/sbin; cd '%s'; %s", ab.array->base,
                   line);
    const char *const argv[] = {"sh", "-ec", text, NULL};
    return SUCCEEDED(process_run(argv, 60000, NULL, NULL));
}

/* A copy of one volume, by a session that has ended. */
static void make_copy(const char *of, uint32_t context)
{
    char whole[320];
    (void)snprintf(whole, sizeof(whole), "%s", ab.array->urls[0]);
    (void)snprintf(ab.array->urls[0], sizeof(whole), "%.319s", of);
    vss_free_string(array_bench_make_set(&ab, context, 1, &set_id, &copy_id));
    (void)snprintf(ab.array->urls[0], sizeof(whole), "%s", whole);
}

/* ---- expose ---- */

static HRESULT expose_at(struct trial *t, const VSS_ID *id, const char *at)
{
    return vss_backup_components_expose_snapshot(t->session, id, NULL,
                                                 VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY, at, &t->text);
}

static HRESULT unexpose(struct trial *t, unsigned null)
{
    return vss_backup_components_unexpose_snapshot(null == 1 ? NULL : t->session,
                                                   null == 2 ? NULL : &copy_id);
}

static HRESULT expose(struct trial *t, unsigned null)
{
    return vss_backup_components_expose_snapshot(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &copy_id, NULL,
        VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY, null == 3 ? NULL : mount_point,
        null == 4 ? NULL : &t->text);
}

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

static const struct method exposing[] = {
    {"ExposeSnapshot", NULLS | RIGHTS | UNBEGUN, 0, 4, 0, ready, expose},
    {"UnexposeSnapshot", NULLS | RIGHTS | UNBEGUN, 0, 2, 0, ready, unexpose},
};

static const struct method reverting[] = {
    {"RevertToSnapshot", WORKS | NULLS | RIGHTS, 0, 2, 0, ready, revert},
    {"QueryRevertStatus", WORKS | MEMORY | RIGHTS, 0, 0, 7, ready, query_revert},
    {"ShouldBlockRevert", WORKS | MEMORY | NULLS | RIGHTS | OPENING, 0, 2, 7, NULL, should_block},
};

static void try_expose(void)
{
    static const VSS_ID stranger = {1, 2, 3, {4}};
    struct trial t = {.bench = &ab.bench};
    ready(&t);
    contract_expect_on(&t, "ExposeSnapshot", expose_at(&t, &stranger, mount_point),
                       VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(&t, "UnexposeSnapshot", unexpose(&t, 0), VSS_E_OBJECT_NOT_FOUND);
    trial_drop(&t);
    ready(&t);
    registry_damage(&ab.bench);
    contract_expect_on(&t, "UnexposeSnapshot", unexpose(&t, 0), VSS_E_UNEXPECTED);
    trial_drop(&t);
    registry_restore(&ab.bench);
    ready(&t);
    registry_damage(&ab.bench);
    contract_expect_on(&t, "ExposeSnapshot", expose(&t, 0), VSS_E_UNEXPECTED);
    trial_drop(&t);
    registry_restore(&ab.bench);
}

static void try_expose_with(const char *fault, HRESULT code)
{
    struct trial t = {.bench = &ab.bench};
    array_bench_fault(&ab, fault);
    ready(&t);
    contract_expect_on(&t, "ExposeSnapshot", expose(&t, 0), code);
    trial_drop(&t);
    array_bench_fault(&ab, NULL);
}

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
    make_copy(part, PERSISTENT);
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

static bool can_expose(void)
{
    return caller_can_change() && access("/dev/fuse", R_OK | W_OK) == 0 &&
           run("command -v qemu-storage-daemon");
}

int main(void)
{
    contract_begin("host");
    array_bench_start(&ab);
    array_bench_add_lun(&ab, 22, true, volume);
    contract_check(run("mkfs.ext4 -q -F lab/disks/extra22.img"), "a filesystem is made");
    (void)snprintf(mount_point, sizeof(mount_point), "%s/exposed", ab.array->base);
    contract_check(mkdir(mount_point, 0700) == 0, "a directory is made");
    make_copy(volume, PERSISTENT);
    if (can_expose()) {
        CONTRACT_TRY(&ab.bench, exposing);
        try_expose();
        try_expose_with("FillInLunInfo:VSS_E_PROVIDER_VETO", VSS_E_PROVIDER_VETO);
        try_expose_with("FillInLunInfo:segv", VSS_E_UNEXPECTED_PROVIDER_ERROR);
    } else {
        (void)printf("skipped: copies are exposed by root with FUSE and qemu-storage-daemon\n");
    }
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
