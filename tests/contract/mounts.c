/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted on this host: copies that are exposed, volumes by the names they have here, and
 * what a mount keeps from being done. */
#include "contract/array_bench.h"
#include "contract/memory.h"
#include "unit/registry_fixture.h"

#include "lun/host/export.h"
#include "lun/host/loop.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PERSISTENT ((uint32_t)VSS_CTX_NAS_ROLLBACK)
#define VOLUME_LUN 22

static struct array_bench ab;
static char volume[320];   /* a LUN that is one ext4 */
static char exposed[200];  /* where its copy is exposed */
static char original[200]; /* where it is mounted, while it is */
static char export_directory[200];
static VSS_ID set_id;
static VSS_ID copy_id;

static void ready(struct trial *t)
{
    trial_context(t, VSS_CTX_ALL);
}

/* ---- copies that are exposed ---- */

static HRESULT expose(struct trial *t, unsigned null)
{
    return vss_backup_components_expose_snapshot(
        null == 1 ? NULL : t->session, null == 2 ? NULL : &copy_id, NULL,
        VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY, null == 3 ? NULL : exposed, null == 4 ? NULL : &t->text);
}

static HRESULT unexpose(struct trial *t, unsigned null)
{
    return vss_backup_components_unexpose_snapshot(null == 1 ? NULL : t->session,
                                                   null == 2 ? NULL : &copy_id);
}

static bool is_exposed(void)
{
    struct trial t = {.bench = &ab.bench};
    ready(&t);
    trial_must(&t, vss_backup_components_get_snapshot_properties(t.session, &copy_id, &t.snapshot));
    bool is_it = (t.snapshot.snapshot_attributes & VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY) != 0;
    trial_drop(&t);
    return is_it;
}

static void ready_to_expose(struct trial *t)
{
    bool is_it = is_exposed();
    ready(t);
    if (is_it) {
        trial_must(t, unexpose(t, 0));
    }
}

static void ready_exposed(struct trial *t)
{
    bool is_it = is_exposed();
    ready(t);
    if (!is_it) {
        trial_must(t, expose(t, 0));
    }
}

static const struct method methods[] = {
    {"ExposeSnapshot", NULLS | RIGHTS | UNBEGUN, 0, 4, 0, ready, expose},
    {"ExposeSnapshot", WORKS | MEMORY, 0, 0, 23, ready_to_expose, expose},
    {"UnexposeSnapshot", NULLS | RIGHTS | UNBEGUN, 0, 2, 0, ready, unexpose},
    {"UnexposeSnapshot", WORKS | MEMORY, 0, 0, 23, ready_exposed, unexpose},
};

static void try_refused_exposures(void)
{
    static const VSS_ID stranger = {1, 2, 3, {4}};
    const VSS_ID copy = copy_id;
    struct trial t = {.bench = &ab.bench};
    ready_to_expose(&t);
    copy_id = stranger;
    contract_expect_on(&t, "ExposeSnapshot", expose(&t, 0), VSS_E_OBJECT_NOT_FOUND);
    contract_expect_on(&t, "UnexposeSnapshot", unexpose(&t, 0), VSS_E_OBJECT_NOT_FOUND);
    copy_id = copy;
    contract_expect_on(&t, "UnexposeSnapshot", unexpose(&t, 0), VSS_E_OBJECT_NOT_FOUND);
    trial_drop(&t);
}

static void try_with_damage(const char *heading, HRESULT (*call)(struct trial *t, unsigned null))
{
    struct trial t = {.bench = &ab.bench};
    ready(&t);
    registry_damage(&ab.bench);
    contract_expect_on(&t, heading, call(&t, 0), VSS_E_UNEXPECTED);
    trial_drop(&t);
    registry_restore(&ab.bench);
}

static void try_expose_with(const char *fault, HRESULT code)
{
    struct trial t = {.bench = &ab.bench};
    array_bench_fault(&ab, fault);
    ready_to_expose(&t);
    contract_expect_on(&t, "ExposeSnapshot", expose(&t, 0), code);
    trial_drop(&t);
    array_bench_fault(&ab, NULL);
}

/* A process works in it. */
static void try_busy_exposure(void)
{
    struct trial t = {.bench = &ab.bench};
    ready_exposed(&t);
    int fd = open(exposed, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    contract_expect_on(&t, "UnexposeSnapshot", unexpose(&t, 0), VSS_E_PROVIDER_VETO);
    (void)close(fd);
    contract_expect_on(&t, "UnexposeSnapshot", unexpose(&t, 0), S_OK);
    trial_drop(&t);
}

/* ---- the volume itself ---- */

/* As a kernel that is an initiator would have it. */
static void mount_volume(void)
{
    struct error err = {0};
    struct lun *lun = NULL;
    struct export_options options = {.mode = EXPORT_WRITABLE};
    struct loop_range range = {.bytes = ARRAY_BENCH_LUN_BYTES, .block_bytes = 512};
    char file[256];
    char loop[LOOP_NAME_BYTES];
    int fd = -1;
    (void)snprintf(file, sizeof(file), "%s/disk", export_directory);
    assert_ok(lun_open(volume, NULL, true, &lun, &err), &err);
    assert_ok(export_start(export_directory, volume, &lun->identity.info, &options, &err), &err);
    lun_close(lun);
    assert_ok(loop_attach(file, &range, &fd, loop, &err), &err);
    contract_check(mount(loop, original, "ext4", 0, "") == 0, "the volume is mounted");
    (void)close(fd);
}

static void unmount_volume(void)
{
    struct error err = {0};
    contract_check(fixture_unmount(original), "the volume is unmounted");
    assert_ok(export_stop(export_directory, &err), &err);
}

/* ---- volumes on volumes ---- */

static HRESULT add(struct trial *t, const char *name)
{
    return vss_backup_components_add_to_snapshot_set(t->session, name, NULL, &t->id);
}

/* A loop device on a file of 2 MiB; it goes when fd is closed. */
static int attach(const char *file, char loop[LOOP_NAME_BYTES])
{
    struct error err = {0};
    struct loop_range range = {.bytes = 2u << 20, .block_bytes = 512};
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    contract_check(fd >= 0 && ftruncate(fd, (off_t)range.bytes) == 0, file);
    (void)close(fd);
    assert_ok(loop_attach(file, &range, &fd, loop, &err), &err);
    return fd;
}

/* A file of the volume as a disk, and a file of that as one more. */
static void try_nested_volumes(void)
{
    struct trial t = {.bench = &ab.bench};
    char file[256];
    char outer[LOOP_NAME_BYTES];
    char inner[LOOP_NAME_BYTES];
    bool is_supported = false;
    mount_volume();
    (void)snprintf(file, sizeof(file), "%s/disk.img", original);
    int outer_fd = attach(file, outer);
    trial_context(&t, PERSISTENT);
    trial_must(&t, vss_backup_components_start_snapshot_set(t.session, &t.id));
    trial_must(&t, add(&t, original));
    contract_expect_on(&t, "AddToSnapshotSet", add(&t, outer), VSS_E_NESTED_VOLUME_LIMIT);
    trial_drop(&t);
    contract_check(array_bench_run(&ab, "mkfs.ext2 -q -F original/disk.img") &&
                       mount(outer, exposed, "ext2", 0, "") == 0,
                   "a file of the volume is mounted");
    (void)snprintf(file, sizeof(file), "%s/inner.img", exposed);
    int inner_fd = attach(file, inner);
    trial_backup(&t);
    contract_expect_on(
        &t, "IsVolumeSupported",
        vss_backup_components_is_volume_supported(t.session, NULL, inner, &is_supported),
        VSS_E_NESTED_VOLUME_LIMIT);
    trial_drop(&t);
    (void)close(inner_fd);
    contract_check(fixture_unmount(exposed), "a file of the volume is unmounted");
    (void)close(outer_fd);
    unmount_volume();
}

/* ---- a revert of what is mounted ---- */

static HRESULT revert(struct trial *t, bool force_dismount)
{
    return vss_backup_components_revert_to_snapshot(t->session, &copy_id, force_dismount);
}

/* Nothing is written to a mounted volume, short of memory or not. */
static void try_revert_without_memory(void)
{
    bool was_met = true;
    long stride = contract_stride("RevertToSnapshot", 31);
    for (long number = 1; was_met; number += stride) {
        struct trial t = {.bench = &ab.bench};
        ready(&t);
        memory_fail_at(number);
        HRESULT hr = revert(&t, false);
        was_met = memory_stop();
        contract_expect_on(&t, "RevertToSnapshot", hr,
                           hr == E_OUTOFMEMORY ? E_OUTOFMEMORY : VSS_E_VOLUME_IN_USE);
        trial_drop(&t);
    }
}

#define WRITER_ID "5a3c1f62-6c1f-4c6c-9f0b-0d2b8d3f6a11"

/* A writer with files on the volume, which is named as one that blocks. */
static void add_blocking_writer(void)
{
    char line[512];
    contract_check(
        array_bench_run(&ab, "mkdir -p original/data && cat > writer <<'END'\n"
                             "#!/bin/sh\n"
                             "while read -r event number rest; do\n"
                             "case $event in\n"
                             "set) continue ;;\n"
                             "identify) printf 'lunshadow-writer 1\\nmetadata\\n%s\\n.\\n' "
                             "\"$(cat \"${0%/*}/meta.xml\")\" ;;\n"
                             "esac\n"
                             "echo \"ok $number\"\n"
                             "done\n"
                             "END\n"
                             "chmod 755 writer && cat > meta.xml <<END\n"
                             "<WRITER_METADATA xmlns='x-schema:#VssWriterMetadataInfo' "
                             "version='1.2'><IDENTIFICATION writerId='" WRITER_ID "' "
                             "instanceId='d8b1f0f4-58a7-4c0b-8a39-1a2f4c7be911' "
                             "friendlyName='App' usage='USER_DATA' dataSource='OTHER'/>"
                             "<RESTORE_METHOD method='RESTORE_IF_CAN_BE_REPLACED' "
                             "writerRestore='never' rebootRequired='no'/><BACKUP_LOCATIONS>"
                             "<FILE_GROUP componentName='data' selectable='yes' "
                             "selectableForRestore='yes'><FILE_LIST path='$PWD/original/data' "
                             "filespec='*' recursive='yes'/></FILE_GROUP></BACKUP_LOCATIONS>"
                             "</WRITER_METADATA>\nEND\n"
                             "printf '[writer]\\nprogram = %s/writer\\n' \"$PWD\" "
                             "> lab/writers.d/app.conf"),
        "a writer is made");
    (void)snprintf(line, sizeof(line), "printf '[revert]\\nblocking_writers = %s\\n' >> '%s'",
                   WRITER_ID, ab.bench.config);
    contract_check(array_bench_run(&ab, line), "the writer is named");
}

static HRESULT should_block(bool *out_is_blocked)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = ab.bench.config;
    options.state_directory = ab.bench.state;
    return vss_should_block_revert(&options, original, out_is_blocked, NULL);
}

/* Short of memory, a writer that blocks is not taken for one that does not. */
static void try_block_without_memory(void)
{
    bool was_met = true;
    long stride = contract_stride("ShouldBlockRevert", 97);
    add_blocking_writer();
    for (long number = 1; was_met; number += stride) {
        bool is_blocked = false;
        char text[64];
        (void)snprintf(text, sizeof(text), "allocation %ld failed", number);
        memory_fail_at(number);
        HRESULT hr = should_block(&is_blocked);
        was_met = memory_stop();
        contract_expect("ShouldBlockRevert", hr, FAILED(hr) && was_met ? E_OUTOFMEMORY : S_OK,
                        text);
        contract_check(FAILED(hr) || is_blocked, text);
    }
    contract_check(array_bench_run(&ab, "rm lab/writers.d/app.conf"), "the writer is gone");
    array_bench_fault(&ab, NULL); /* and is not named any more */
}

static void try_revert_of_a_mount(void)
{
    struct trial t = {.bench = &ab.bench};
    mount_volume();
    ready(&t);
    contract_expect_on(&t, "RevertToSnapshot", revert(&t, false), VSS_E_VOLUME_IN_USE);
    int fd = open(original, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    contract_expect_on(&t, "RevertToSnapshot", revert(&t, true), VSS_E_VOLUME_IN_USE);
    trial_drop(&t);
    (void)close(fd);
    try_revert_without_memory();
    try_block_without_memory();
    unmount_volume();
}

/* ---- */

static bool is_possible(void)
{
    return caller_can_change() && access("/dev/fuse", R_OK | W_OK) == 0 &&
           access("/dev/loop-control", R_OK | W_OK) == 0 &&
           array_bench_run(&ab, "command -v qemu-storage-daemon");
}

static void skip_all(void)
{
    static const char why[] = "only root mounts, with FUSE, loop devices and qemu-storage-daemon";
    static const HRESULT of_expose[] = {E_ACCESSDENIED,         E_INVALIDARG,
                                        E_OUTOFMEMORY,          VSS_E_BAD_STATE,
                                        VSS_E_OBJECT_NOT_FOUND, VSS_E_PROVIDER_VETO,
                                        VSS_E_UNEXPECTED,       VSS_E_UNEXPECTED_PROVIDER_ERROR};
    for (size_t i = 0; i < sizeof(of_expose) / sizeof(of_expose[0]); i++) {
        contract_skip("ExposeSnapshot", of_expose[i], why);
        if (of_expose[i] != VSS_E_UNEXPECTED_PROVIDER_ERROR) {
            contract_skip("UnexposeSnapshot", of_expose[i], why);
        }
    }
    contract_skip("AddToSnapshotSet", VSS_E_NESTED_VOLUME_LIMIT, why);
    contract_skip("IsVolumeSupported", VSS_E_NESTED_VOLUME_LIMIT, why);
    contract_skip("RevertToSnapshot", VSS_E_VOLUME_IN_USE, why);
}

static void make_places(void)
{
    (void)snprintf(exposed, sizeof(exposed), "%s/exposed", ab.array->base);
    (void)snprintf(original, sizeof(original), "%s/original", ab.array->base);
    (void)snprintf(export_directory, sizeof(export_directory), "%s/export", ab.array->base);
    contract_check(mkdir(exposed, 0700) == 0 && mkdir(original, 0700) == 0, "directories are made");
    array_bench_add_lun(&ab, VOLUME_LUN, true, volume);
    contract_check(array_bench_run(&ab, "mkfs.ext4 -q -F lab/disks/extra22.img"),
                   "a filesystem is made");
}

static void try_all(void)
{
    make_places();
    array_bench_copy(&ab, volume, PERSISTENT, &set_id, &copy_id);
    CONTRACT_TRY(&ab.bench, methods);
    try_refused_exposures();
    try_with_damage("ExposeSnapshot", expose);
    try_with_damage("UnexposeSnapshot", unexpose);
    try_expose_with("FillInLunInfo:VSS_E_PROVIDER_VETO", VSS_E_PROVIDER_VETO);
    try_expose_with("FillInLunInfo:segv", VSS_E_UNEXPECTED_PROVIDER_ERROR);
    try_busy_exposure();
    try_nested_volumes();
    try_revert_of_a_mount();
    array_bench_delete_set(&ab, &set_id);
    array_bench_check_nothing_left(&ab);
}

int main(void)
{
    contract_begin("mounts");
    array_bench_start(&ab);
    if (is_possible()) {
        try_all();
    } else {
        skip_all();
    }
    array_bench_stop(&ab);
    return contract_end();
}
