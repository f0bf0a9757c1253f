/* SPDX-License-Identifier: Apache-2.0 */
/* Sets on a real array: volumes that are added, the cut, import, break and delete. */
#include "contract/array_bench.h"

#include "unit/writers_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RELEASED      ((uint32_t)VSS_CTX_FILE_SHARE_BACKUP) /* goes with its session */
#define TRANSPORTABLE ((uint32_t)(VSS_CTX_NAS_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE))
#define NOWHERE       "iscsi://127.0.0.1:1/iqn.2026-01.org.lunshadow.test:none/1"

static struct array_bench ab;

/* ---- adding volumes ---- */

static HRESULT add(struct trial *t, unsigned null)
{
    return vss_backup_components_add_to_snapshot_set(null == 1 ? NULL : t->session,
                                                     null == 2 ? NULL : ab.array->urls[0], NULL,
                                                     null == 3 ? NULL : &t->id);
}

static HRESULT is_supported(struct trial *t, unsigned null)
{
    bool answer = false;
    return vss_backup_components_is_volume_supported(null == 1 ? NULL : t->session, NULL,
                                                     null == 2 ? NULL : ab.array->urls[0],
                                                     null == 3 ? NULL : &answer);
}

static HRESULT is_snapshotted(struct trial *t, unsigned null)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    bool is_present = false;
    int32_t capability = 0;
    options.config_path = t->bench->config;
    options.state_directory = t->bench->state;
    return vss_is_volume_snapshotted(&options, null == 1 ? NULL : ab.array->urls[0],
                                     null == 2 ? NULL : &is_present, null == 3 ? NULL : &capability,
                                     NULL);
}

static void ready_to_add(struct trial *t)
{
    trial_context(t, RELEASED);
    trial_must(t, vss_backup_components_start_snapshot_set(t->session, &t->id));
}

/* ---- the cut ---- */

static HRESULT do_set(struct trial *t, unsigned null)
{
    return trial_finish(t, vss_backup_components_do_snapshot_set(null == 1 ? NULL : t->session,
                                                                 null == 2 ? NULL : &t->async));
}

static void ready_to_commit(struct trial *t)
{
    ready_to_add(t);
    trial_must(t, add(t, 0));
}

static const struct method methods[] = {
    {"AddToSnapshotSet", WORKS | MEMORY | NULLS | RIGHTS | UNBEGUN, 0, 3, 0, ready_to_add, add},
    {"IsVolumeSupported", WORKS | MEMORY | NULLS | RIGHTS | UNBEGUN, 0, 3, 0, trial_backup,
     is_supported},
    {"IsVolumeSnapshotted", WORKS | MEMORY | OPENING | NULLS | RIGHTS, 0, 3, 5, NULL,
     is_snapshotted},
    {"DoSnapshotSet", WORKS | MEMORY | SPENDING, 0, 0, 13, ready_to_commit, do_set},
};

/* One volume of a name, by a provider (NULL: any). */
static void try_volume(const char *volume, const VSS_ID *provider_id, HRESULT code)
{
    struct trial t = {.bench = &ab.bench};
    ready_to_add(&t);
    contract_expect_on(
        &t, "AddToSnapshotSet",
        vss_backup_components_add_to_snapshot_set(t.session, volume, provider_id, &t.id), code);
    trial_drop(&t);
}

/* A backing file that is shorter than its LUN: reads end in a medium error. */
static void try_unreadable_lun(void)
{
    struct trial t = {.bench = &ab.bench};
    char url[320];
    char path[512];
    bool answer = false;
    array_bench_add_lun(&ab, 20, true, url);
    (void)snprintf(path, sizeof(path), "%s/extra20.img", ab.array->lab->disks);
    contract_check(truncate(path, 0) == 0, "a backing file is cut");
    try_volume(url, NULL, VSS_E_UNEXPECTED);
    trial_backup(&t);
    contract_expect_on(&t, "IsVolumeSupported",
                       vss_backup_components_is_volume_supported(t.session, NULL, url, &answer),
                       VSS_E_UNEXPECTED);
    trial_drop(&t);
}

static void try_nowhere(void)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct trial t = {.bench = &ab.bench};
    bool answer = false;
    int32_t capability = 0;
    try_volume(NOWHERE, NULL, VSS_E_OBJECT_NOT_FOUND);
    trial_backup(&t);
    contract_expect_on(&t, "IsVolumeSupported",
                       vss_backup_components_is_volume_supported(t.session, NULL, NOWHERE, &answer),
                       VSS_E_OBJECT_NOT_FOUND);
    trial_drop(&t);
    options.config_path = ab.bench.config;
    options.state_directory = ab.bench.state;
    contract_expect("IsVolumeSnapshotted",
                    vss_is_volume_snapshotted(&options, NOWHERE, &answer, &capability, NULL),
                    VSS_E_OBJECT_NOT_FOUND, "");
}

static void try_volumes(void)
{
    static const VSS_ID unknown = {1, 2, 3, {4}};
    struct trial t = {.bench = &ab.bench};
    char url[320];
    try_nowhere();
    try_unreadable_lun();
    try_volume(ab.array->urls[0], &unknown, VSS_E_PROVIDER_NOT_REGISTERED);
    array_bench_add_lun(&ab, 21, false, url);
    try_volume(url, NULL, VSS_E_VOLUME_NOT_SUPPORTED);
    trial_context(&t, RELEASED);
    contract_expect_on(&t, "AddToSnapshotSet", add(&t, 0), VSS_E_BAD_STATE);
    trial_drop(&t);
}

static void try_65_volumes(void)
{
    struct trial t = {.bench = &ab.bench};
    struct error err = {0};
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "F='%s'; PATH=$PATH:/usr/sbin:/sbin; sgdisk -Z \"$F\" >/dev/null 2>&1; "
                   "set --; n=1; while [ $n -le 65 ]; do "
                   "set -- \"$@\" -n $n:$((n * 1024 + 1024)):+511K; n=$((n + 1)); done; "
                   "sgdisk -a 1 \"$@\" \"$F\" >/dev/null",
                   ab.array->files[1]);
    const char *const argv[] = {"sh", "-ec", text, NULL};
    assert_ok(process_run(argv, 120000, NULL, &err), &err);
    ready_to_add(&t);
    for (int i = 1; i <= 64; i++) {
        (void)snprintf(text, sizeof(text), "%s#%d", ab.array->urls[1], i);
        trial_must(&t, vss_backup_components_add_to_snapshot_set(t.session, text, NULL, &t.id));
    }
    (void)snprintf(text, sizeof(text), "%s#65", ab.array->urls[1]);
    contract_expect_on(&t, "AddToSnapshotSet",
                       vss_backup_components_add_to_snapshot_set(t.session, text, NULL, &t.id),
                       VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED);
    trial_drop(&t);
}

/* ---- what a provider does ---- */

static void try_faults(const char *heading, void (*ready)(struct trial *t),
                       HRESULT (*call)(struct trial *t, unsigned null))
{
    static const struct {
        const char *heading;
        const char *fault;
        HRESULT code;
    } faults[] = {
        {"AddToSnapshotSet", "BeginPrepareSnapshot:VSS_E_PROVIDER_VETO", VSS_E_PROVIDER_VETO},
        {"AddToSnapshotSet", "BeginPrepareSnapshot:segv", VSS_E_UNEXPECTED_PROVIDER_ERROR},
        {"AddToSnapshotSet", "BeginPrepareSnapshot:VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED",
         VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED},
        {"IsVolumeSnapshotted", "FillInLunInfo:VSS_E_PROVIDER_VETO", VSS_E_PROVIDER_VETO},
        {"IsVolumeSnapshotted", "FillInLunInfo:segv", VSS_E_UNEXPECTED_PROVIDER_ERROR},
        {"DoSnapshotSet", "PreCommitSnapshots:VSS_E_INSUFFICIENT_STORAGE",
         VSS_E_INSUFFICIENT_STORAGE},
        {"DoSnapshotSet", "CommitSnapshots:VSS_E_HOLD_WRITES_TIMEOUT", VSS_E_HOLD_WRITES_TIMEOUT},
        {"DoSnapshotSet", "CommitSnapshots:VSS_E_PROVIDER_VETO", VSS_E_PROVIDER_VETO},
        {"DoSnapshotSet", "CommitSnapshots:segv", VSS_E_UNEXPECTED_PROVIDER_ERROR},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (strcmp(faults[i].heading, heading) == 0) {
            struct trial t = {.bench = &ab.bench};
            array_bench_fault(&ab, faults[i].fault);
            if (ready) {
                ready(&t);
            }
            contract_expect_on(&t, heading, call(&t, 0), faults[i].code);
            trial_drop(&t);
        }
    }
    array_bench_fault(&ab, NULL);
}

/* The named provider says that it does not know the LUN. */
static void try_lying_provider(void)
{
    array_bench_fault(&ab, "AreLunsSupported:S_OK");
    try_volume(ab.array->urls[0], &ab.provider_id, VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER);
    array_bench_fault(&ab, NULL);
}

/* ---- operations that are stopped ---- */

/* A writer that prepares for the cut until it is told to give up. */
static void ready_to_linger(struct trial *t, struct writers_fixture *f)
{
    struct lab *lab = ab.array->lab;
    *f = (struct writers_fixture){.directory = ab.array->base};
    (void)snprintf(f->writers, sizeof(f->writers), "%s/writers.d", lab->directory);
    (void)snprintf(f->log, sizeof(f->log), "%s/log", f->directory);
    writers_add(f, "slow", NULL,
                "[ $event = prepare-snapshot ] && { " WRITERS_STAY "; echo ok $late; }");
    trial_context(t, (uint32_t)VSS_CTX_APP_ROLLBACK);
    trial_must(
        t, trial_finish(t, vss_backup_components_gather_writer_metadata(t->session, &t->async)));
    trial_must(
        t, vss_backup_components_set_backup_state(t->session, false, false, VSS_BT_FULL, false));
    trial_must(t, vss_backup_components_start_snapshot_set(t->session, &t->id));
    trial_must(t, add(t, 0));
    trial_must(t, trial_finish(t, vss_backup_components_prepare_for_backup(t->session, &t->async)));
}

static void try_cancel(void)
{
    struct trial t = {.bench = &ab.bench};
    struct writers_fixture f;
    char path[600];
    ready_to_linger(&t, &f);
    trial_must(&t, vss_backup_components_do_snapshot_set(t.session, &t.async));
    writers_await(&f, "there");
    contract_expect_on(&t, "Cancel", vss_async_cancel(t.async), S_OK);
    contract_expect_on(&t, "Cancel", vss_async_cancel(t.async), VSS_S_ASYNC_CANCELLED);
    trial_drop(&t);
    (void)snprintf(path, sizeof(path), "%s/slow.conf", f.writers);
    contract_check(unlink(path) == 0, "the writer is taken away");
}

int main(void)
{
    contract_begin("sets");
    array_bench_start(&ab);
    CONTRACT_TRY(&ab.bench, methods);
    array_bench_check_nothing_left(&ab);
    try_faults("AddToSnapshotSet", ready_to_add, add);
    try_faults("IsVolumeSnapshotted", NULL, is_snapshotted);
    try_faults("DoSnapshotSet", ready_to_commit, do_set);
    try_lying_provider();
    try_cancel();
    array_bench_check_nothing_left(&ab);
    try_volumes();
    try_65_volumes();
    array_bench_stop(&ab);
    return contract_end();
}
