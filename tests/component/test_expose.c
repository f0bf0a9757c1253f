/* SPDX-License-Identifier: Apache-2.0 */

/* Copies as mounts: real filesystems on a real tgtd, through the FUSE export and loop devices of
 * this host. Root only; skipped where the host has no FUSE, no loop devices or no
 * qemu-storage-daemon. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lunshadow/requester.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "component/array_fixture.h"
#include "lun/host/export.h"
#include "lun/host/export_daemon.h"
#include "lun/host/filesystem.h"
#include "lun/host/loop.h"
#include "provider/helper.h"
#include "provider/set/claim.h"
#include "provider/set/expose.h"
#include "provider/set/rollback.h"

#define PERSISTENT VSS_CTX_NAS_ROLLBACK
#define TEXT       "what the volume held\n"

/* ---- tools ---- */

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

static const char *path_in(const struct array *a, const char *name)
{
    static char paths[8][160];
    static size_t next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", a->base, name);
    return path;
}

static const char *make_directory(const struct array *a, const char *name)
{
    const char *path = path_in(a, name);
    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static void assert_file(const char *directory, const char *name, const char *expected)
{
    char text[256] = "";
    char *path = text_printf("%s/%s", directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail_msg("%s: %s", path, strerror(errno));
    }
    ssize_t got = read(fd, text, sizeof(text) - 1);
    assert_true(got >= 0);
    assert_int_equal(close(fd), 0);
    assert_string_equal(text, expected);
    free(path);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Files below "exposed/" of the state directory, and daemons that serve one: 0 of each. */
static void assert_no_export(const struct array *a)
{
    SHELL("! test -e '%s/exposed' || test -z \"$(ls -A '%s/exposed')\"", a->state, a->state);
    SHELL("for c in /proc/[0-9]*/cmdline; do if tr '\\0' ' ' 2>/dev/null < $c | "
          "grep -q '^[^ ]*qemu-storage-daemon .*%s'; then exit 1; fi; done",
          a->state);
    SHELL("! grep -q '%s/exposed' /proc/self/mountinfo", a->state);
}

/* An ext4 on partition 2 of the GPT LUN, made where the array keeps it. */
static void make_ext4(const struct array *a)
{
    SHELL("mkdir '%s/tree'; printf '" TEXT "' > '%s/tree/file'", a->base, a->base);
    SHELL("start=$(sgdisk -i 2 '%s' | sed -n 's/^First sector: \\([0-9]*\\).*/\\1/p');"
          "size=$(sgdisk -i 2 '%s' | sed -n 's/^Partition size: \\([0-9]*\\).*/\\1/p');"
          "mkfs.ext4 -q -F -d '%s/tree' -E offset=$((start * 512)) '%s' $((size / 2))k",
          a->files[1], a->files[1], a->base, a->files[1]);
}

static void make_set(struct array *a, uint32_t context, const char *volume, struct set_record *out)
{
    struct error err = {0};
    struct set_builder *builder = NULL;
    VSS_ID id;
    assert_ok(set_start(a->env, context, &builder, &id, &err), &err);
    assert_ok(set_add_volume(builder, volume, NULL, &id, &err), &err);
    assert_ok(set_commit(builder, NULL, out, &err), &err);
    set_builder_free(builder);
}

static void make_ext4_set(struct array *a, uint32_t context, struct set_record *out)
{
    char volume[340];
    make_ext4(a);
    (void)snprintf(volume, sizeof(volume), "%s#2", a->urls[1]);
    make_set(a, context, volume, out);
}

static void delete_set(struct array *a, struct set_record *set)
{
    struct error err = {0};
    int32_t deleted = 0;
    assert_ok(set_delete(a->env, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    set_record_free(set);
    assert_no_export(a);
    array_assert_nothing_left(a);
}

static void expose(struct array *a, const VSS_ID *snapshot_id, const char *path)
{
    struct error err = {0};
    char *exposed = NULL;
    assert_ok(set_expose(a->env, snapshot_id, path, &exposed, &err), &err);
    assert_string_equal(exposed, path);
    free(exposed);
}

static void unexpose(struct array *a, const VSS_ID *snapshot_id)
{
    struct error err = {0};
    assert_ok(set_unexpose(a->env, snapshot_id, &err), &err);
}

/* Past the page cache; errno, 0: read. */
static int read_block(const char *path)
{
    void *block = NULL;
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    int reason = fd < 0 ? errno : 0;
    if (!reason && posix_memalign(&block, 4096, 4096) == 0 &&
        pread(fd, block, 4096, 8192) != 4096) {
        reason = errno;
    }
    free(block);
    if (fd >= 0) {
        (void)close(fd);
    }
    return reason;
}

/* ---- tests ---- */

static void a_partition_is_mounted_and_unmounted(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    struct statvfs st;
    make_ext4_set(a, PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = make_directory(a, "at");
    uint64_t before = array_digest(a->files[1]);
    expose(a, id, at);
    assert_file(at, "file", TEXT);
    assert_int_equal(statvfs(at, &st), 0);
    assert_true((st.f_flag & ST_RDONLY) && (st.f_flag & ST_NOSUID) && (st.f_flag & ST_NODEV));
    assert_int_equal(open(path_in(a, "at/new"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600), -1);
    assert_int_equal(errno, EROFS);

    /* it is the copy: the original changes, the mount does not */
    SHELL("dd if=/dev/zero of='%s' bs=1M seek=2 count=40 conv=notrunc status=none", a->files[1]);
    assert_true(array_digest(a->files[1]) != before);
    SHELL("echo 3 > /proc/sys/vm/drop_caches");
    assert_file(at, "file", TEXT);

    char *exposed = NULL;
    assert_refused(set_expose(a->env, id, make_directory(a, "twice"), &exposed, &err),
                   VSS_E_BAD_STATE, &err, "exposed already");
    unexpose(a, id);
    assert_false(is_there(path_in(a, "at/file")));
    assert_no_export(a);
    error_clear(&err);
    assert_refused(set_unexpose(a->env, id, &err), VSS_E_OBJECT_NOT_FOUND, &err, "not exposed");
    expose(a, id, at); /* and once more */
    assert_file(at, "file", TEXT);
    delete_set(a, &set); /* deleting ends it */
    assert_false(is_there(path_in(a, "at/file")));
}

static void a_mount_in_use_stays(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    int32_t deleted = 0;
    make_ext4_set(a, PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = make_directory(a, "at");
    expose(a, id, at);
    int fd = open(path_in(a, "at/file"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_refused(set_unexpose(a->env, id, &err), VSS_E_PROVIDER_VETO, &err, "in use");
    error_clear(&err);
    assert_refused(set_delete(a->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
                   VSS_E_PROVIDER_VETO, &err, "in use");
    assert_int_equal(deleted, 0);
    error_clear(&err);
    assert_refused(set_break(a->env, &set.set_id, VSS_BREAKEX_FLAG_MASK_LUNS, &err),
                   VSS_E_PROVIDER_VETO, &err, "in use");
    assert_file(at, "file", TEXT);
    assert_int_equal(close(fd), 0);
    delete_set(a, &set);
}

/* The original is mounted and was written to a moment ago: its log has to be replayed, its UUID is
 * in use. */
static void with_a_log(struct array *a, const char *type, const char *make)
{
    struct error err = {0};
    struct set_record set = {0};
    char url[320];
    char name[32];
    (void)snprintf(name, sizeof(name), "%s.img", type);
    struct lab_lun_options lun = {
        .target = ARRAY_TARGET, .lun = 9, .file = name, .bytes = 512u << 20, .block_bytes = 512};
    assert_ok(lab_add_lun(a->lab, &lun, &err), &err);
    (void)snprintf(url, sizeof(url), "iscsi://%s/" ARRAY_TARGET "/9", a->lab->portal);
    const char *original = make_directory(a, "original");
    const char *at = make_directory(a, "at");
    SHELL("%s '%s/%s' && mount -o loop '%s/%s' '%s'", make, a->lab->disks, name, a->lab->disks,
          name, original);
    SHELL("cd '%s'; printf '" TEXT "' > file; sync; for i in 1 2 3 4; do echo $i > f$i; done; "
          "sync f4",
          original);
    make_set(a, PERSISTENT, url, &set);
    expose(a, &set.snapshots[0].snapshot_id, at);
    assert_file(at, "file", TEXT);
    unexpose(a, &set.snapshots[0].snapshot_id);
    SHELL("umount '%s'", original);
    delete_set(a, &set);
}

static void xfs_beside_its_mounted_original(void **state)
{
    with_a_log(*state, "xfs", "mkfs.xfs -q -f");
}

static void ext4_beside_its_mounted_original(void **state)
{
    with_a_log(*state, "ext4", "mkfs.ext4 -q -F");
}

static void what_is_refused(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    char *exposed = NULL;
    VSS_ID unknown = {1, 2, 3, {4}};
    make_ext4_set(a, PERSISTENT | VSS_VOLSNAP_ATTR_TRANSPORTABLE, &set);
    const VSS_ID copy = set.snapshots[0].snapshot_id;
    const VSS_ID *id = &copy;
    const char *at = make_directory(a, "at");
    assert_refused(set_expose(a->env, &unknown, at, &exposed, &err), VSS_E_OBJECT_NOT_FOUND, &err,
                   NULL);
    error_clear(&err);
    assert_refused(set_expose(a->env, id, at, &exposed, &err), VSS_E_BAD_STATE, &err,
                   "import its set first");
    error_clear(&err);
    assert_ok(set_import(a->env, &set, &err), &err);
    static const char *const paths[] = {"at", "/nowhere/at/all", "/proc", "/etc", "/etc/passwd"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        error_clear(&err);
        assert_refused(set_expose(a->env, id, paths[i], &exposed, &err), E_INVALIDARG, &err, NULL);
        assert_null(exposed);
    }
    delete_set(a, &set);

    /* a copy without a filesystem, and one that ends with its session */
    make_set(a, PERSISTENT, a->urls[0], &set);
    error_clear(&err);
    assert_refused(set_expose(a->env, &set.snapshots[0].snapshot_id, at, &exposed, &err),
                   VSS_E_UNEXPECTED, &err, "no filesystem");
    assert_no_export(a);
    delete_set(a, &set);
    make_set(a, VSS_CTX_FILE_SHARE_BACKUP, a->urls[0], &set);
    error_clear(&err);
    assert_refused(set_expose(a->env, &set.snapshots[0].snapshot_id, at, &exposed, &err),
                   E_INVALIDARG, &err, "not persistent");
    delete_set(a, &set);
}

/* Whoever owns a directory above can do this between the look at the directory and the mount: here
 * what starts the daemon does it. */
static void expose_while(struct array *a, const VSS_ID *id, const char *at, const char *swap)
{
    struct error err = {0};
    char *exposed = NULL;
    char *path = text_copy(getenv("PATH"));
    SHELL("mkdir -p '%s/bin'; real=$(command -v qemu-storage-daemon); cd '%s/bin'; "
          "printf '%%s\n' '#!/bin/sh -e' \"cd '%s'\" \"%s\" \"exec $real \\\"\\$@\\\"\" "
          "> qemu-storage-daemon; chmod 0755 qemu-storage-daemon",
          a->base, a->base, a->base, swap);
    char *with_swap = text_printf("%s/bin:%s", a->base, path);
    assert_int_equal(setenv("PATH", with_swap, 1), 0);
    HRESULT hr = set_expose(a->env, id, at, &exposed, &err);
    assert_int_equal(setenv("PATH", path, 1), 0);
    free(with_swap);
    free(path);
    assert_refused(hr, VSS_E_UNEXPECTED, &err, "moved or replaced");
    assert_null(exposed);
    assert_no_export(a);
    SHELL("! awk '{ print $5 }' /proc/self/mountinfo | grep '^%s/' | grep -v '/lab/disks$'",
          a->base);
}

static void a_mount_point_that_is_swapped(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    make_ext4_set(a, PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = make_directory(a, "at");
    (void)make_directory(a, "elsewhere");
    (void)make_directory(a, "above");
    const char *below = make_directory(a, "above/at");

    expose_while(a, id, at, "mv at moved; ln -s elsewhere at");
    SHELL("cd '%s'; rm at; rmdir moved; mkdir at", a->base);
    expose_while(a, id, at, "mv at moved; mkdir at");
    expose_while(a, id, below, "mv above gone; mkdir -p above/at");
    expose_while(a, id, below, "mv above away; mkdir other other/at; ln -s other above");

    expose(a, id, at);
    assert_file(at, "file", TEXT);
    delete_set(a, &set);
}

/* A path that leads to a mount of somebody else's by now. */
static void only_what_the_table_names_is_unmounted(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    SHELL("cd '%s'; mkdir real real/at; ln -s real link; mount -t tmpfs none real/at", a->base);
    assert_refused(filesystem_unmount(path_in(a, "link/at"), &err), VSS_E_UNEXPECTED, &err,
                   "not unmounted");
    error_clear(&err);
    assert_refused(filesystem_unmount(path_in(a, "real"), &err), VSS_E_UNEXPECTED, &err,
                   "not unmounted");
    error_clear(&err);
    assert_ok(filesystem_unmount(path_in(a, "real/at"), &err), &err);
    SHELL("! grep -q '%s/real' /proc/self/mountinfo", a->base);
}

/* The directory that exports lie in, as somebody else of the state directory's group may have made
 * it. */
static void a_directory_of_somebody_else(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    char *exposed = NULL;
    make_ext4_set(a, PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = make_directory(a, "at");
    static const char *const plants[] = {"mkdir exposed; chown 65534 exposed",
                                         "mkdir -m 0770 exposed", "mkdir own; ln -s own exposed",
                                         "touch exposed"};
    for (size_t i = 0; i < sizeof(plants) / sizeof(plants[0]); i++) {
        SHELL("cd '%s'; %s", a->state, plants[i]);
        error_clear(&err);
        assert_refused(set_expose(a->env, id, at, &exposed, &err), E_ACCESSDENIED, &err,
                       "root's alone");
        assert_null(exposed);
        assert_ok(journal_check_clean(a->env->store, &err), &err);
        SHELL("cd '%s'; ! test -d exposed/ || test -z \"$(ls -A exposed/)\"; rm -rf own exposed",
              a->state);
    }
    expose(a, id, at);
    assert_file(at, "file", TEXT);
    delete_set(a, &set);
}

/* The steps of set_expose() up to the point where the record would be written. */
static void expose_and_die(const struct array *a, const struct set_record *set, const char *at)
{
    struct set_environment *env = NULL;
    struct error err = {0};
    VSS_ID entry = id_null;
    char id[ID_TEXT_BYTES];
    char name[LOOP_NAME_BYTES];
    int fd = -1;
    int mount_point = -1;
    assert_ok(set_environment_open(a->config, a->state, &env, &err), &err);
    const struct lun_mapping *m = &set->luns[0];
    const struct volume_extent *e = &set->snapshots[0].extents[0];
    json_t *plan = json_pack("{s:s, s:s}", "snapshot", id_text(&set->snapshots[0].snapshot_id, id),
                             "path", at);
    assert_ok(claim_open(env->store, JOURNAL_EXPOSE, &set->set_id, "expose", plan, &entry, &err),
              &err);
    char *directory = text_printf("%s/exposed/%s", a->state, id);
    (void)mkdir(path_in(a, "state/exposed"), 0700);
    struct export_options options = {.lun = &env->lun, .mode = EXPORT_SCRATCH};
    assert_ok(export_start(directory, m->copy_url, &m->copy, &options, &err), &err);
    char *file = export_file(directory);
    struct loop_range range = {.offset_bytes = e->first_lba * m->block_bytes,
                               .bytes = e->block_count * m->block_bytes,
                               .block_bytes = 512};
    assert_ok(loop_attach(file, &range, &fd, name, &err), &err);
    assert_ok(filesystem_open_mount_point(at, &mount_point, &err), &err);
    assert_ok(filesystem_mount_copy(name, fd, mount_point, at, &err), &err);
    _exit(0);
}

static void let_one_die(const struct array *a, const struct set_record *set, const char *at)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        expose_and_die(a, set, at);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_file(at, "file", TEXT);
}

/* A LUN as a file, with a keeper of 3 s. Returns the export's directory. */
static const char *export_lun(struct array *a, const char *url, const char *name)
{
    struct error err = {0};
    struct lun *lun = NULL;
    struct export_options options = {.lun = &a->env->lun,
                                     .mode = EXPORT_WRITABLE,
                                     .keeper = helper_program("lunshadow-export-keeper"),
                                     .lost_after_s = 3};
    const char *directory = path_in(a, name);
    assert_ok(lun_open(url, &a->env->lun, true, &lun, &err), &err);
    assert_ok(export_start(directory, url, &lun->identity.info, &options, &err), &err);
    lun_close(lun);
    return directory;
}

/* The two bytes of LUN 300 are those of LUN 44 behind bus 1 where nobody says which form they have.
 */
static void a_lun_above_255_is_no_other(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    static const uint32_t numbers[] = {44, 300};
    char url[320];
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "lun%u.img", numbers[i]);
        SHELL("yes %u | head -c 8M > '%s/%s'", numbers[i], a->lab->disks, name);
        struct lab_lun_options lun = {
            .target = ARRAY_TARGET, .lun = numbers[i], .file = name, .block_bytes = 512};
        assert_ok(lab_add_lun(a->lab, &lun, &err), &err);
    }
    (void)snprintf(url, sizeof(url), "iscsi://%s/" ARRAY_TARGET "/300", a->lab->portal);
    const char *directory = export_lun(a, url, "above");
    SHELL("cmp '%s/disk' '%s/lun300.img'", directory, a->lab->disks);
    assert_ok(export_stop(directory, &err), &err);
}

/* What is there was made when nobody else could write there, and can be replaced now. */
static void an_export_that_others_can_replace(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    char *url = NULL;
    char key[LUN_KEY_BYTES];
    SHELL("mkdir '%s/exports'", a->base);
    const char *directory = export_lun(a, a->urls[0], "exports/one");
    char *disk = export_file(directory);
    assert_int_equal(export_identify(disk, &url, key, &err), S_OK);
    assert_string_equal(url, a->urls[0]);
    free(url);
    SHELL("chmod g+w '%s/exports'", a->base);
    assert_int_equal(export_identify(disk, &url, key, &err), S_FALSE);
    assert_null(url);
    assert_refused(export_stop(directory, &err), E_ACCESSDENIED, &err, "root's alone");
    assert_int_equal(read_block(disk), 0);
    SHELL("chmod g-w '%s/exports'", a->base);
    error_clear(&err);
    assert_ok(export_stop(directory, &err), &err);
    free(disk);
}

/* An array that went away: whoever reads the export is told within the keeper's time, and can let
 * go; without the keeper they would wait for ever. */
static void a_lost_lun_ends_its_export(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    int status = 0;
    const char *directory = export_lun(a, a->urls[0], "lost");
    char *disk = export_file(directory);
    clock_sleep_ms(5000); /* longer than the keeper's time: an array that answers is let be */
    assert_int_equal(read_block(disk), 0);
    assert_int_equal(kill(a->lab->tgtd_pid, SIGSTOP), 0);
    pid_t reader = fork();
    if (reader == 0) {
        _exit(read_block(disk) == 0 ? 1 : 0);
    }
    uint64_t started_us = clock_monotonic_us();
    pid_t ended = 0;
    while (ended == 0 && clock_monotonic_us() - started_us < 60000000) {
        clock_sleep_ms(50);
        ended = waitpid(reader, &status, WNOHANG);
    }
    assert_int_equal(kill(a->lab->tgtd_pid, SIGCONT), 0);
    assert_int_equal(ended, reader);
    assert_int_equal(status, 0);
    assert_ok(export_stop(directory, &err), &err);
    assert_int_equal(access(directory, F_OK), -1);
    free(disk);
}

/* Whoever took the file away without ending the daemon has left something that nobody can end by
 * the directory any more. */
static void an_export_without_its_file_ends(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    int daemon = -1;
    const char *directory = export_lun(a, a->urls[0], "taken");
    assert_int_equal(export_daemon_open(directory, &daemon, &err), S_OK);
    char *disk = export_file(directory);
    assert_int_equal(umount2(disk, MNT_DETACH), 0);
    assert_int_equal(unlink(disk), 0);
    struct pollfd ended = {.fd = daemon, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, 30000), 1);
    (void)close(daemon);
    assert_int_equal(export_daemon_open(directory, &daemon, &err), S_FALSE);
    assert_ok(export_stop(directory, &err), &err);
    free(disk);
}

static void what_a_dead_process_left_goes(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    struct journal_entry *entries = NULL;
    size_t count = 0;
    make_ext4_set(a, PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = make_directory(a, "at");

    /* by `recover` */
    let_one_die(a, &set, at);
    assert_ok(journal_load_open(a->env->store, true, &entries, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_ok(set_rollback(a->env, &entries[0], &err), &err);
    journal_free_all(entries, count);
    assert_false(is_there(path_in(a, "at/file")));
    assert_no_export(a);

    /* by the next exposure, elsewhere */
    let_one_die(a, &set, at);
    expose(a, id, make_directory(a, "elsewhere"));
    assert_false(is_there(path_in(a, "at/file")));
    assert_file(path_in(a, "elsewhere"), "file", TEXT);
    delete_set(a, &set);
}

/* As after a restart of the machine: the record says exposed, and nothing is there. */
static void an_exposure_that_is_no_more(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct set_record known = {0};
    struct error err = {0};
    char id[ID_TEXT_BYTES];
    make_ext4_set(a, PERSISTENT, &set);
    const VSS_ID *snapshot = &set.snapshots[0].snapshot_id;
    const char *at = make_directory(a, "at");
    expose(a, snapshot, at);
    SHELL("umount '%s'", at);
    SHELL("kill -9 $(cat '%s/exposed/%s/pid')", a->state, id_text(snapshot, id));
    assert_ok(sets_find_by_snapshot(a->env->store, snapshot, &known, &err), &err);
    assert_non_null(known.snapshots[0].exposed_name);
    assert_int_equal(expose_find(&known.snapshots[0], &err), S_FALSE);
    set_record_free(&known);
    expose(a, snapshot, at);
    assert_file(at, "file", TEXT);
    SHELL("umount '%s'", at);
    unexpose(a, snapshot);
    delete_set(a, &set);
}

/* The array is gone: what was mounted can still be taken away, and soon. */
static void without_its_array(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    make_ext4_set(a, PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    expose(a, id, make_directory(a, "at"));
    process_kill(&a->lab->tgtd);
    uint64_t before = clock_monotonic_us();
    unexpose(a, id);
    assert_true(clock_monotonic_us() - before < 20000000);
    assert_false(is_there(path_in(a, "at/file")));
    assert_no_export(a);
    set_record_free(&set);
}

static void must(struct vss_backup_components *s, HRESULT hr)
{
    if (FAILED(hr)) {
        fail_msg("%s: %s", vss_error_name(hr), vss_backup_components_error_text(s));
    }
}

/* The methods of the API, and what GetSnapshotProperties says. */
static void through_the_api(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_backup_components *s = NULL;
    struct vss_snapshot_prop prop;
    char *exposed = NULL;
    make_ext4_set(a, PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = make_directory(a, "at");
    options.config_path = a->config;
    options.state_directory = a->state;
    assert_int_equal(vss_create_backup_components(&options, &s, NULL), S_OK);
    assert_int_equal(vss_backup_components_expose_snapshot(
                         s, id, NULL, VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY, at, &exposed),
                     VSS_E_BAD_STATE);
    must(s, vss_backup_components_initialize_for_backup(s, NULL));
    static const struct {
        const char *path_from_root;
        int32_t attributes;
        const char *expose;
    } wrong[] = {
        {NULL, VSS_VOLSNAP_ATTR_EXPOSED_REMOTELY, "share"},
        {NULL, VSS_VOLSNAP_ATTR_EXPOSED_REMOTELY | VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY, "/mnt"},
        {NULL, 0, "/mnt"},
        {"sub", VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY, "/mnt"},
        {NULL, VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY, "X:"},
        {NULL, VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY, "\\\\host\\share"},
        {NULL, VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY, NULL},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(vss_backup_components_expose_snapshot(s, id, wrong[i].path_from_root,
                                                               wrong[i].attributes, wrong[i].expose,
                                                               &exposed),
                         E_INVALIDARG);
        assert_true(vss_backup_components_error_text(s)[0] != '\0');
    }
    must(s, vss_backup_components_expose_snapshot(s, id, NULL, VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY, at,
                                                  &exposed));
    assert_string_equal(exposed, at);
    vss_free_string(exposed);
    must(s, vss_backup_components_get_snapshot_properties(s, id, &prop));
    assert_string_equal(prop.exposed_name, at);
    assert_null(prop.exposed_path);
    assert_true(prop.snapshot_attributes & VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY);
    vss_free_snapshot_properties(&prop);
    must(s, vss_backup_components_unexpose_snapshot(s, id));
    assert_int_equal(vss_backup_components_unexpose_snapshot(s, id), VSS_E_OBJECT_NOT_FOUND);
    must(s, vss_backup_components_get_snapshot_properties(s, id, &prop));
    assert_null(prop.exposed_name);
    assert_false(prop.snapshot_attributes & VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY);
    vss_free_snapshot_properties(&prop);
    vss_backup_components_release(s);
    delete_set(a, &set);
}

/* The secret reaches the daemon, and neither its command line nor a file that stays. */
static void with_chap(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    char *portal = text_printf("[portal chap]\naddress = %s\nuser = me\nsecret_file = %s\n",
                               a->lab->portal, path_in(a, "secret"));
    const char *const account[] = {"--mode", "account",    "--op",          "new", "--user",
                                   "me",     "--password", "open-sesame-1", NULL};
    make_ext4_set(a, PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = make_directory(a, "at");
    SHELL("umask 077; printf 'open-sesame-1\\n' > '%s'", path_in(a, "secret"));
    SHELL("sed -i '/^\\[portal/,/^$/d' '%s'", a->config);
    array_configure(a, portal);
    assert_ok(lab_tgtadm(a->lab, account, NULL, &err), &err);
    struct buffer show = BUFFER_INIT;
    assert_ok(lab_show(a->lab, &show, &err), &err);
    for (const char *t = show.data; t && (t = strstr(t, "Target ")) != NULL; t += 7) {
        char tid[16];
        (void)snprintf(tid, sizeof(tid), "%d", atoi(t + 7));
        const char *const bind[] = {"--mode", "account", "--op", "bind", "--tid",
                                    tid,      "--user",  "me",   NULL};
        assert_ok(lab_tgtadm(a->lab, bind, NULL, &err), &err);
    }
    buffer_free(&show);
    expose(a, id, at);
    assert_file(at, "file", TEXT);
    SHELL("! grep -rqa open-sesame '%s/exposed/'*/pid '%s/exposed/'*/lun", a->state, a->state);
    SHELL("for c in /proc/[0-9]*/cmdline; do if tr '\\0' ' ' 2>/dev/null < $c | "
          "grep '^[^ ]*qemu-storage-daemon' | grep -q open-sesame; then exit 1; fi; done");
    SHELL("! test -e '%s/exposed/'*/secret", a->state);
    free(portal);
    delete_set(a, &set);
}

/* Also after a test that failed in the middle: nothing of it may keep the lab's disks. */
static int stop(void **state)
{
    const struct array *a = *state;
    char *line = text_printf("for m in at elsewhere twice original; do umount -q '%s'/$m; done;"
                             "for p in '%s'/exposed/*/pid; do test -e $p && kill $(cat $p); done;"
                             "sleep 0.1; umount -q '%s'/exposed/*/disk; true",
                             a->base, a->state, a->state);
    const char *const argv[] = {"sh", "-c", line, NULL};
    (void)process_run(argv, 20000, NULL, NULL);
    free(line);
    return array_stop(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, array_start, stop)

int main(void)
{
    array_need_mounts();
    const struct CMUnitTest tests[] = {
        TEST(a_partition_is_mounted_and_unmounted),
        TEST(a_mount_in_use_stays),
        TEST(xfs_beside_its_mounted_original),
        TEST(ext4_beside_its_mounted_original),
        TEST(what_is_refused),
        TEST(a_mount_point_that_is_swapped),
        TEST(only_what_the_table_names_is_unmounted),
        TEST(a_directory_of_somebody_else),
        TEST(a_lun_above_255_is_no_other),
        TEST(an_export_that_others_can_replace),
        TEST(a_lost_lun_ends_its_export),
        TEST(an_export_without_its_file_ends),
        TEST(what_a_dead_process_left_goes),
        TEST(an_exposure_that_is_no_more),
        TEST(without_its_array),
        TEST(through_the_api),
        TEST(with_chap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
