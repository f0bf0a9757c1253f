/* SPDX-License-Identifier: Apache-2.0 */

/* Volumes by the names that this host has for them: a real tgtd's LUN that is mounted here through
 * an export and a loop device. Root only; skipped where the host has no FUSE, no loop devices or no
 * qemu-storage-daemon. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lunshadow/requester.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "component/array_fixture.h"
#include "lun/host/export.h"
#include "lun/host/flush.h"
#include "lun/host/loop.h"
#include "provider/set/expose.h"
#include "registry/journal.h"
#include "resync/recovery.h"

/* Partition 2 of the GPT LUN, mounted at base/vol. */
struct mounted {
    struct array *array;
    char export_directory[128];
    char mount_point[128];
    char loop[LOOP_NAME_BYTES];
    char address[340];
    struct process holder; /* of a mount namespace; else none */
    int holder_fd;         /* it ends where this is closed */
};

static void shell(const char *line)
{
    char *with_path = text_printf("PATH=$PATH:/usr/sbin:/sbin; set -e; %s", line);
    const char *const argv[] = {"sh", "-c", with_path, NULL};
    struct error err = {0};
    assert_ok(process_run(argv, 60000, NULL, &err), &err);
    free(with_path);
}

#define SHELL(...)                                                                                 \
    do {                                                                                           \
        char *line_ = text_printf(__VA_ARGS__);                                                    \
        shell(line_);                                                                              \
        free(line_);                                                                               \
    } while (0)

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void start_export(struct mounted *m)
{
    struct array *a = m->array;
    struct error err = {0};
    struct lun *lun = NULL;
    struct label *label = NULL;
    struct loop_range range = {.block_bytes = 512};
    struct export_options options = {.lun = &a->env->lun, .mode = EXPORT_WRITABLE};
    int fd = -1;
    assert_ok(lun_open(a->urls[1], &a->env->lun, true, &lun, &err), &err);
    assert_ok(label_read(&lun->block, LABEL_FULL, &label, &err), &err);
    for (size_t i = 0; i < label->partition_count; i++) {
        if (label->partitions[i].number == 2) {
            range.offset_bytes = label->partitions[i].first_lba * 512;
            range.bytes =
                (label->partitions[i].last_lba - label->partitions[i].first_lba + 1) * 512;
        }
    }
    assert_true(range.bytes > 0);
    assert_ok(export_start(m->export_directory, a->urls[1], &lun->identity.info, &options, &err),
              &err);
    char *file = export_file(m->export_directory);
    assert_ok(loop_attach(file, &range, &fd, m->loop, &err), &err);
    free(file);
    SHELL("mkfs.ext4 -q -F %s && mkdir '%s' && mount -t ext4 %s '%s'", m->loop, m->mount_point,
          m->loop, m->mount_point);
    assert_int_equal(close(fd), 0);
    label_free(label);
    lun_close(lun);
}

static int start(void **state)
{
    struct mounted *m = calloc(1, sizeof(*m));
    void *array = NULL;
    assert_non_null(m);
    assert_int_equal(array_start(&array), 0);
    m->array = array;
    m->holder = (struct process)PROCESS_INIT;
    m->holder_fd = -1;
    (void)snprintf(m->export_directory, sizeof(m->export_directory), "%s/export", m->array->base);
    (void)snprintf(m->mount_point, sizeof(m->mount_point), "%s/vol", m->array->base);
    (void)snprintf(m->address, sizeof(m->address), "%s#2", m->array->urls[1]);
    *state = m;
    start_export(m);
    return 0;
}

static void end_holder(struct mounted *m)
{
    process_kill(&m->holder);
    if (m->holder_fd >= 0) {
        (void)close(m->holder_fd);
    }
    m->holder_fd = -1;
}

static int stop(void **state)
{
    struct mounted *m = *state;
    void *array = m->array;
    char *line =
        text_printf("fsfreeze -u '%s' 2>/dev/null; umount -q '%s/at'; umount -q '%s/inner'; "
                    "umount -q '%s/pair'; umount -q '%s'; true",
                    m->mount_point, m->array->base, m->array->base, m->array->base, m->mount_point);
    const char *const argv[] = {"sh", "-c", line, NULL};
    end_holder(m);
    (void)umount2(m->mount_point, 0);
    (void)process_run(argv, 20000, NULL, NULL);
    free(line);
    (void)export_stop(m->export_directory, NULL);
    for (int i = 1; i <= 2; i++) { /* of a test that failed in the middle */
        char *directory = text_printf("%s/pair%d", m->array->base, i);
        (void)export_stop(directory, NULL);
        free(directory);
    }
    free(m);
    return array_stop(&array);
}

/* What adding a volume to a new set, in which the others are already, says. */
static HRESULT try_add(struct mounted *m, const char *first, const char *volume, struct error *err)
{
    struct set_builder *builder = NULL;
    VSS_ID id;
    assert_ok(set_start(m->array->env, VSS_CTX_NAS_ROLLBACK, &builder, &id, err), err);
    if (first) {
        assert_ok(set_add_volume(builder, first, NULL, &id, err), err);
    }
    HRESULT hr = set_add_volume(builder, volume, NULL, &id, err);
    set_builder_free(builder);
    return hr;
}

static void make_set(struct mounted *m, const char *volume, struct set_record *out)
{
    struct error err = {0};
    struct set_builder *builder = NULL;
    VSS_ID id;
    assert_ok(set_start(m->array->env, VSS_CTX_NAS_ROLLBACK, &builder, &id, &err), &err);
    assert_ok(set_add_volume(builder, volume, NULL, &id, &err), &err);
    assert_ok(set_commit(builder, NULL, out, &err), &err);
    set_builder_free(builder);
}

/* ---- tests ---- */

static void one_volume_has_one_name(void **state)
{
    struct mounted *m = *state;
    struct error err = {0};
    bool is_supported = false;
    char *below = text_printf("%s/lost+found", m->mount_point);
    const char *const names[] = {m->mount_point, m->loop, m->address};
    for (size_t i = 0; i < 3; i++) {
        error_clear(&err);
        assert_refused(try_add(m, names[i], names[(i + 1) % 3], &err), E_INVALIDARG, &err,
                       "in the snapshot set already");
        assert_non_null(strstr(err.text, m->address));
        error_clear(&err);
        assert_ok(set_is_volume_supported(m->array->env, names[i], NULL, &is_supported, &err),
                  &err);
        assert_true(is_supported);
    }
    error_clear(&err);
    assert_refused(try_add(m, NULL, below, &err), VSS_E_OBJECT_NOT_FOUND, &err, m->mount_point);
    error_clear(&err);
    assert_refused(try_add(m, NULL, "/proc", &err), VSS_E_VOLUME_NOT_SUPPORTED, &err, "proc");
    error_clear(&err);
    assert_refused(try_add(m, NULL, "/dev/nowhere", &err), VSS_E_OBJECT_NOT_FOUND, &err, NULL);
    free(below);
}

/* What was written a moment ago, and never synced, is in the copy. */
static void the_mount_is_flushed(void **state)
{
    struct mounted *m = *state;
    struct error err = {0};
    struct set_record set = {0};
    char *file = text_printf("%s/file", m->mount_point);
    char *at = text_printf("%s/at", m->array->base);
    char *exposed = NULL;
    int32_t deleted = 0;
    write_file(file, "written a moment ago\n");
    make_set(m, m->mount_point, &set);
    assert_string_equal(set.snapshots[0].original_volume, m->address);
    write_file(file, "written later\n");
    assert_int_equal(mkdir(at, 0700), 0);
    assert_ok(set_expose(m->array->env, &set.snapshots[0].snapshot_id, at, &exposed, &err), &err);
    SHELL("test \"$(cat '%s/file')\" = 'written a moment ago'", at);
    SHELL("test \"$(cat '%s')\" = 'written later'", file);
    assert_ok(set_unexpose(m->array->env, &set.snapshots[0].snapshot_id, &err), &err);
    assert_ok(set_delete(m->array->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    set_record_free(&set);
    free(exposed);
    free(at);
    free(file);
}

/* A disk that does not answer: the daemon is stopped while something is to be written. */
static void a_flush_that_does_not_end(void **state)
{
    struct mounted *m = *state;
    struct error err = {0};
    char *file = text_printf("%s/file", m->mount_point);
    write_file(file, "not yet on the disk\n");
    SHELL("kill -STOP $(cat '%s/pid')", m->export_directory);
    uint64_t before = clock_monotonic_us();
    HRESULT hr = host_flush(m->mount_point, 300, &err);
    uint64_t took_us = clock_monotonic_us() - before;
    SHELL("kill -CONT $(cat '%s/pid')", m->export_directory);
    assert_refused(hr, VSS_E_FLUSH_WRITES_TIMEOUT, &err, m->mount_point);
    assert_true(took_us >= 300000 && took_us < 5000000);
    error_clear(&err);
    assert_ok(host_flush(m->mount_point, 10000, &err), &err);
    assert_refused(host_flush("/nowhere", 100, &err), VSS_E_OBJECT_NOT_FOUND, &err, "/nowhere");
    free(file);
}

static HRESULT freeze_disk(void *user, struct error *err)
{
    const struct mounted *m = user;
    (void)err;
    char *file = text_printf("%s/file", m->mount_point);
    write_file(file, "not yet on the disk\n");
    SHELL("kill -STOP $(cat '%s/pid')", m->export_directory);
    free(file);
    return S_OK;
}

static HRESULT thaw_disk(void *user, struct error *err)
{
    const struct mounted *m = user;
    (void)err;
    SHELL("kill -CONT $(cat '%s/pid')", m->export_directory);
    return S_OK;
}

/* Writers do not wait for that. */
static void a_flush_is_over_before_thaw(void **state)
{
    struct mounted *m = *state;
    struct error err = {0};
    struct set_hooks hooks = {.user = m, .freeze = freeze_disk, .thaw = thaw_disk};
    struct set_record set = {0};
    struct set_builder *builder = NULL;
    VSS_ID set_id;
    VSS_ID id;
    SHELL("sed -i 's/^\\[writers\\]/&\\nfrozen_ms = 500/' '%s'", m->array->config);
    array_reopen(m->array);
    assert_ok(set_start(m->array->env, VSS_CTX_NAS_ROLLBACK, &builder, &set_id, &err), &err);
    assert_ok(set_add_volume(builder, m->mount_point, NULL, &id, &err), &err);
    uint64_t before = clock_monotonic_us();
    HRESULT hr = set_commit(builder, &hooks, &set, &err);
    uint64_t took_us = clock_monotonic_us() - before;
    set_builder_free(builder);
    assert_refused(hr, VSS_E_FLUSH_WRITES_TIMEOUT, &err, m->mount_point);
    assert_true(took_us < 8000000);
    assert_int_equal(sets_load(m->array->env->store, &set_id, &set, NULL), VSS_E_OBJECT_NOT_FOUND);
}

/* A loop device on a file of the volume, and one on a file of a filesystem on that. */
static void nested_volumes(void **state)
{
    struct mounted *m = *state;
    struct error err = {0};
    struct loop_range range = {.bytes = 8u << 20, .block_bytes = 512};
    struct loop_range inner_range = {.bytes = 1u << 20, .block_bytes = 512};
    char outer[LOOP_NAME_BYTES];
    char inner[LOOP_NAME_BYTES];
    int outer_fd = -1;
    int inner_fd = -1;
    bool is_supported = true;
    char *file = text_printf("%s/disk.img", m->mount_point);
    char *at = text_printf("%s/inner", m->array->base);
    SHELL("truncate -s 8M '%s'", file);
    assert_ok(loop_attach(file, &range, &outer_fd, outer, &err), &err);
    assert_refused(try_add(m, NULL, outer, &err), VSS_E_VOLUME_NOT_SUPPORTED, &err, file);
    error_clear(&err);
    assert_refused(try_add(m, m->mount_point, outer, &err), VSS_E_NESTED_VOLUME_LIMIT, &err, file);
    error_clear(&err);
    assert_ok(set_is_volume_supported(m->array->env, outer, NULL, &is_supported, &err), &err);
    assert_false(is_supported);

    SHELL("mkfs.ext4 -q -F %s && mkdir '%s' && mount -t ext4 %s '%s' && truncate -s 1M '%s/f'",
          outer, at, outer, at, at);
    char *deep = text_printf("%s/f", at);
    assert_ok(loop_attach(deep, &inner_range, &inner_fd, inner, &err), &err);
    assert_refused(try_add(m, NULL, inner, &err), VSS_E_NESTED_VOLUME_LIMIT, &err, "limit");
    error_clear(&err);
    assert_refused(set_is_volume_supported(m->array->env, inner, NULL, &is_supported, &err),
                   VSS_E_NESTED_VOLUME_LIMIT, &err, "limit");
    assert_int_equal(close(inner_fd), 0);
    SHELL("umount '%s'", at);
    assert_int_equal(close(outer_fd), 0);
    free(deep);
    free(at);
    free(file);
}

static HRESULT run_recovery(struct mounted *m, const struct set_record *set,
                            const char *destination, struct error *err)
{
    struct recovery *recovery = NULL;
    assert_ok(recovery_new(m->array->env, set, &recovery, err), err);
    HRESULT hr = recovery_add(recovery, &set->snapshots[0].snapshot_id, destination, err);
    if (SUCCEEDED(hr)) {
        hr = recovery_run(recovery, VSS_RECOVERY_NO_VOLUME_CHECK, err);
    }
    recovery_free(recovery);
    return hr;
}

/* A mounted destination is not overwritten, by whatever name; afterwards it is. */
static void a_mounted_destination_is_refused(void **state)
{
    struct mounted *m = *state;
    struct error err = {0};
    struct set_record set = {0};
    char *file = text_printf("%s/file", m->mount_point);
    int32_t deleted = 0;
    write_file(file, "good\n");
    make_set(m, m->mount_point, &set);
    write_file(file, "bad\n");
    SHELL("fsfreeze -f '%s'", m->mount_point); /* only a resync could write now */
    uint64_t before = array_digest(m->array->files[1]);
    const char *const names[] = {NULL, m->address, m->mount_point, m->loop};
    for (size_t i = 0; i < 4; i++) {
        error_clear(&err);
        assert_refused(run_recovery(m, &set, names[i], &err), VSS_E_PROVIDER_VETO, &err,
                       m->mount_point);
        assert_true(array_digest(m->array->files[1]) == before);
    }
    SHELL("fsfreeze -u '%s'; umount '%s'", m->mount_point, m->mount_point);
    error_clear(&err);
    assert_ok(export_stop(m->export_directory, &err), &err);
    assert_ok(run_recovery(m, &set, NULL, &err), &err);
    SHELL("start=$(sgdisk -i 2 '%s' | sed -n 's/^First sector: \\([0-9]*\\).*/\\1/p');"
          "mount -o loop,offset=$((start * 512)) '%s' '%s'",
          m->array->files[1], m->array->files[1], m->mount_point);
    SHELL("test \"$(cat '%s')\" = good; umount '%s'", file, m->mount_point);
    assert_ok(set_delete(m->array->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    set_record_free(&set);
    free(file);
}

/* A process that has what is mounted in a mount namespace of its own, until it is ended or we are.
 * But not what other tests have mounted, whose loop devices it would keep. */
static void hold_namespace(struct mounted *m)
{
    /* in a changed root that is no mount point nothing can be made private, which it is there */
    static const char line[] =
        "unshare -m true 2>/dev/null && how=private || how=unchanged; "
        "exec unshare -m --propagation $how sh -c '"
        "others() { cut -d\" \" -f5 /proc/self/mountinfo | grep ^/tmp/ | grep -v \"^$0/\"; }; "
        "others | xargs -r -n 1 mount --make-private; others | tac | xargs -r umount -ql; "
        "echo; read -r line' \"$0\"";
    const char *const argv[] = {"sh", "-c", line, m->array->base, NULL};
    struct process_options options = PROCESS_OPTIONS_INIT;
    struct error err = {0};
    int ends[2];
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    options.in_fd = ends[1];
    options.out_fd = ends[1];
    assert_ok(process_start(argv, &options, &m->holder, &err), &err);
    assert_int_equal(close(ends[1]), 0);
    m->holder_fd = ends[0];
    assert_int_equal(read(m->holder_fd, &byte, 1), 1);
}

static void assert_revert_refused(const struct mounted *m, const VSS_ID *snapshot_id, HRESULT code,
                                  const char *words)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *s = NULL;
    char *why = NULL;
    options.config_path = m->array->config;
    options.state_directory = m->array->state;
    assert_int_equal(vss_create_backup_components(&options, &s, &why), S_OK);
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    HRESULT hr = vss_backup_components_revert_to_snapshot(s, snapshot_id, true);
    const char *text = vss_backup_components_error_text(s);
    if (hr != code || !strstr(text, words)) {
        fail_msg("0x%08x: %s", (unsigned)hr, text);
    }
    vss_backup_components_release(s);
}

/* Unmounted here, and still mounted by a process in a namespace of its own. */
static void a_destination_that_is_mounted_elsewhere_is_refused(void **state)
{
    struct mounted *m = *state;
    struct error err = {0};
    struct set_record set = {0};
    int32_t deleted = 0;
    make_set(m, m->array->urls[1], &set);
    hold_namespace(m);
    SHELL("umount '%s'", m->mount_point);
    char *words = text_printf("at %s in the mount namespace of process %ld (sh)", m->mount_point,
                              (long)m->holder.pid);
    uint64_t before = array_digest(m->array->files[1]);
    assert_refused(run_recovery(m, &set, NULL, &err), VSS_E_PROVIDER_VETO, &err, words);
    /* by force too: from here nothing can be unmounted there */
    assert_revert_refused(m, &set.snapshots[0].snapshot_id, VSS_E_VOLUME_IN_USE, words);
    assert_true(array_digest(m->array->files[1]) == before);
    end_holder(m);
    error_clear(&err);
    assert_ok(export_stop(m->export_directory, &err), &err);
    assert_ok(run_recovery(m, &set, NULL, &err), &err);
    assert_ok(set_delete(m->array->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    set_record_free(&set);
    free(words);
}

/* Force unmounts nothing for a revert that is refused all the same. */
static void a_revert_that_is_refused_unmounts_nothing(void **state)
{
    struct mounted *m = *state;
    struct error err = {0};
    struct set_record set = {0};
    int32_t deleted = 0;
    char *file = export_file(m->export_directory);
    make_set(m, m->mount_point, &set);
    SHELL(
        "first=$(sgdisk -i 3 '%s' | sed -n 's/^First sector: \\([0-9]*\\).*/\\1/p');"
        "loop=$(losetup -f --show -o $((first * 512)) --sizelimit 8M '%s');"
        "mkfs.ext4 -q -F $loop; mkdir '%s/inner'; mount -t ext4 $loop '%s/inner'; losetup -d $loop",
        m->array->files[1], file, m->array->base, m->array->base);
    assert_revert_refused(m, &set.snapshots[0].snapshot_id, VSS_E_VOLUME_NOT_SUPPORTED,
                          "would be overwritten too");
    SHELL("mountpoint -q '%s' && mountpoint -q '%s/inner'", m->mount_point, m->array->base);
    SHELL("umount '%s/inner'", m->array->base);
    assert_ok(set_delete(m->array->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    set_record_free(&set);
    free(file);
}

/* Nor for one onto which somebody is at work, or whose copy somebody has: an entry of theirs says
 * so. */
static void a_revert_beside_an_import_unmounts_nothing(void **state)
{
    struct mounted *m = *state;
    struct error err = {0};
    struct set_record set = {0};
    struct store *store = m->array->env->store;
    int32_t deleted = 0;
    VSS_ID entry_id;
    make_set(m, m->array->urls[1], &set);
    assert_ok(journal_open(store, JOURNAL_IMPORT, &set.set_id, "import", &entry_id, &err), &err);
    assert_revert_refused(m, &set.snapshots[0].snapshot_id, E_FAIL, "has not ended its import");
    SHELL("mountpoint -q '%s'", m->mount_point);
    assert_ok(journal_close(store, &entry_id, &err), &err);
    assert_ok(set_delete(m->array->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    set_record_free(&set);
}

/* ---- several LUNs ---- */

#define PAIR_BYTES (256u << 20)

/* One LUN more as a loop device of this host: "pair1" is LUN 11 by the export of that name. */
static void add_pair(struct mounted *m, int number, const char *url, char loop[LOOP_NAME_BYTES],
                     int *fd)
{
    struct array *a = m->array;
    struct error err = {0};
    struct lun *lun = NULL;
    struct export_options options = {.lun = &a->env->lun, .mode = EXPORT_WRITABLE};
    struct loop_range range = {.bytes = PAIR_BYTES, .block_bytes = 512};
    char *directory = text_printf("%s/pair%d", a->base, number);
    assert_ok(lun_open(url, &a->env->lun, true, &lun, &err), &err);
    assert_ok(export_start(directory, url, &lun->identity.info, &options, &err), &err);
    char *file = export_file(directory);
    assert_ok(loop_attach(file, &range, fd, loop, &err), &err);
    free(file);
    free(directory);
    lun_close(lun);
}

static void stop_pair(struct mounted *m, int fds[2])
{
    struct error err = {0};
    for (int i = 0; i < 2; i++) {
        char *directory = text_printf("%s/pair%d", m->array->base, i + 1);
        assert_int_equal(close(fds[i]), 0);
        clock_sleep_ms(200); /* the loop device lets go */
        assert_ok(export_stop(directory, &err), &err);
        free(directory);
    }
}

/* A btrfs over two LUNs is one volume: both are copied at one moment, and both come back. */
static void a_volume_over_two_luns(void **state)
{
    struct mounted *m = *state;
    struct array *a = m->array;
    struct error err = {0};
    struct set_record set = {0};
    char urls[2][320];
    char loops[2][LOOP_NAME_BYTES];
    int fds[2];
    int32_t deleted = 0;
    bool is_supported = false;
    char *at = text_printf("%s/pair", a->base);
    const char *const argv[] = {"mkfs.btrfs", "--version", NULL};
    if (FAILED(process_run(argv, 5000, NULL, NULL))) {
        print_message("skipped: no mkfs.btrfs (package btrfs-progs)\n");
        free(at);
        skip();
    }
    for (int i = 0; i < 2; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "pair%d.img", i + 1);
        struct lab_lun_options lun = {.target = ARRAY_TARGET,
                                      .lun = (uint32_t)(11 + i),
                                      .file = name,
                                      .bytes = PAIR_BYTES,
                                      .block_bytes = 512};
        assert_ok(lab_add_lun(a->lab, &lun, &err), &err);
        (void)snprintf(urls[i], sizeof(urls[i]), "iscsi://%s/" ARRAY_TARGET "/%d", a->lab->portal,
                       11 + i);
        add_pair(m, i + 1, urls[i], loops[i], &fds[i]);
    }
    SHELL("mkfs.btrfs -q -f -d raid1 -m raid1 %s %s && mkdir '%s' && mount -t btrfs %s '%s'",
          loops[0], loops[1], at, loops[0], at);
    SHELL("printf 'on both' > '%s/file'", at);
    assert_ok(set_is_volume_supported(a->env, at, NULL, &is_supported, &err), &err);
    assert_true(is_supported);
    make_set(m, at, &set);
    assert_int_equal(set.snapshot_count, 1);
    assert_int_equal(set.lun_count, 2);
    assert_int_equal(set.snapshots[0].extent_count, 2);
    assert_int_equal(set.snapshots[0].original_volume[0], '/');
    SHELL("printf 'spoiled' > '%s/file'; sync -f '%s'; umount '%s'", at, at, at);
    stop_pair(m, fds);

    char *exposed = NULL;
    assert_refused(set_expose(a->env, &set.snapshots[0].snapshot_id, at, &exposed, &err),
                   E_INVALIDARG, &err, "2 LUNs");
    struct recovery *recovery = NULL;
    error_clear(&err);
    assert_ok(recovery_new(a->env, &set, &recovery, &err), &err);
    assert_refused(recovery_add(recovery, &set.snapshots[0].snapshot_id, urls[0], &err),
                   VSS_E_VOLUME_NOT_SUPPORTED, &err, "2 LUNs");
    error_clear(&err);
    assert_ok(recovery_add(recovery, &set.snapshots[0].snapshot_id, NULL, &err), &err);
    assert_refused(recovery_run(recovery, 0, &err), VSS_E_UNSELECTED_VOLUME, &err,
                   "volume manager");
    recovery_free(recovery);
    error_clear(&err);
    assert_ok(run_recovery(m, &set, NULL, &err), &err);
    for (int i = 0; i < 2; i++) {
        add_pair(m, i + 1, urls[i], loops[i], &fds[i]);
    }
    SHELL("btrfs device scan %s %s >/dev/null && mount -t btrfs %s '%s'", loops[0], loops[1],
          loops[0], at);
    SHELL("test \"$(cat '%s/file')\" = 'on both'; umount '%s'; btrfs device scan -u", at, at);
    stop_pair(m, fds);
    assert_ok(set_delete(a->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err), &err);
    set_record_free(&set);
    free(at);
}

static void assert_block(const struct mounted *m, const char *volume, bool expected)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    char *text = NULL;
    bool is_blocked = !expected;
    options.config_path = m->array->config;
    options.state_directory = m->array->state;
    if (FAILED(vss_should_block_revert(&options, volume, &is_blocked, &text))) {
        fail_msg("%s: %s", volume, text);
    }
    assert_true(is_blocked == expected);
}

static void assert_block_refused(const struct mounted *m, const char *volume, const char *words)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    char *text = NULL;
    bool is_blocked = true;
    options.config_path = m->array->config;
    options.state_directory = m->array->state;
    assert_int_equal(vss_should_block_revert(&options, volume, &is_blocked, &text), E_INVALIDARG);
    assert_non_null(strstr(text, words));
    assert_false(is_blocked);
    vss_free_string(text);
}

/* A writer with files on the volume, once it is named as one that blocks. */
static void a_writer_blocks_a_revert(void **state)
{
    struct mounted *m = *state;
    struct array *a = m->array;
    assert_block(m, m->mount_point, false);
    SHELL("mkdir '%s/data'", m->mount_point);
    SHELL("cat > '%s/writer' <<'END'\n"
          "#!/bin/sh\n"
          "while read -r event number rest; do\n"
          "case $event in\n"
          "set) continue ;;\n"
          "identify) printf 'lunshadow-writer 1\\nmetadata\\n%%s\\n.\\n' \"$(cat '%s/meta.xml')\" "
          ";;\n"
          "esac\n"
          "echo \"ok $number\"\n"
          "done\n"
          "END\nchmod 755 '%s/writer'",
          a->base, a->base, a->base);
    SHELL("cat > '%s/meta.xml' <<'END'\n"
          "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" version=\"1.2\">"
          "<IDENTIFICATION writerId=\"5a3c1f62-6c1f-4c6c-9f0b-0d2b8d3f6a11\" "
          "instanceId=\"d8b1f0f4-58a7-4c0b-8a39-1a2f4c7be911\" friendlyName=\"App\" "
          "usage=\"USER_DATA\" dataSource=\"OTHER\"/>"
          "<RESTORE_METHOD method=\"RESTORE_IF_CAN_BE_REPLACED\" writerRestore=\"never\" "
          "rebootRequired=\"no\"/><BACKUP_LOCATIONS>"
          "<FILE_GROUP componentName=\"data\" selectable=\"yes\" selectableForRestore=\"yes\">"
          "<FILE_LIST path=\"%s/data\" filespec=\"*\" recursive=\"yes\"/></FILE_GROUP>"
          "</BACKUP_LOCATIONS></WRITER_METADATA>\nEND",
          a->base, m->mount_point);
    SHELL("printf '[writer]\\nprogram = %s/writer\\n' > '%s/lab/writers.d/app.conf'", a->base,
          a->base);
    assert_block(m, m->mount_point, false); /* nobody said that it blocks */
    array_configure(a, "[revert]\nblocking_writers = 11111111-2222-3333-4444-555555555555, "
                       "5a3c1f62-6c1f-4c6c-9f0b-0d2b8d3f6a11\n");
    assert_block(m, m->mount_point, true);
    assert_block(m, m->address, true);
    assert_block(m, a->urls[1], true); /* it has the volume */
    assert_block(m, a->urls[0], false);
    SHELL("mv '%s/meta.xml' '%s/gone'", a->base, a->base);
    assert_block(m, a->urls[0], true); /* who does not say who it is may be the one */
    SHELL("mv '%s/gone' '%s/meta.xml'", a->base, a->base);
    assert_block_refused(m, "/nowhere", "/nowhere");
    assert_block_refused(m, "/proc", "proc");
    SHELL("sed -i 's/^blocking_writers = .*/blocking_writers = App/' '%s'", a->config);
    assert_block_refused(m, m->mount_point, "App is not a writer's id");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    array_need_mounts();
    const struct CMUnitTest tests[] = {
        TEST(one_volume_has_one_name),
        TEST(the_mount_is_flushed),
        TEST(a_flush_that_does_not_end),
        TEST(a_flush_is_over_before_thaw),
        TEST(nested_volumes),
        TEST(a_mounted_destination_is_refused),
        TEST(a_destination_that_is_mounted_elsewhere_is_refused),
        TEST(a_revert_that_is_refused_unmounts_nothing),
        TEST(a_revert_beside_an_import_unmounts_nothing),
        TEST(a_writer_blocks_a_revert),
        TEST(a_volume_over_two_luns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
