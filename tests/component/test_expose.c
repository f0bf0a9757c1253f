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
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "component/expose_fixture.h"
#include "lun/host/export_daemon.h"
#include "lun/host/filesystem.h"
#include "lun/host/loop.h"
#include "provider/helper.h"
#include "provider/set/claim.h"
#include "provider/set/expose.h"
#include "provider/set/rollback.h"

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void a_partition_is_mounted_and_unmounted(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    struct statvfs st;
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = mounted_directory(a, "at");
    uint64_t before = array_digest(a->files[1]);
    mounted_expose(a, id, at);
    mounted_assert_file(at, "file", MOUNTED_TEXT);
    assert_int_equal(statvfs(at, &st), 0);
    assert_true((st.f_flag & ST_RDONLY) && (st.f_flag & ST_NOSUID) && (st.f_flag & ST_NODEV));
    assert_int_equal(open(mounted_path(a, "at/new"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600), -1);
    assert_int_equal(errno, EROFS);

    /* it is the copy: the original changes, the mount does not */
    SHELL("dd if=/dev/zero of='%s' bs=1M seek=2 count=40 conv=notrunc status=none", a->files[1]);
    assert_true(array_digest(a->files[1]) != before);
    SHELL("echo 3 > /proc/sys/vm/drop_caches");
    mounted_assert_file(at, "file", MOUNTED_TEXT);

    char *exposed = NULL;
    assert_refused(set_expose(a->env, id, mounted_directory(a, "twice"), &exposed, &err),
                   VSS_E_BAD_STATE, &err, "exposed already");
    mounted_unexpose(a, id);
    assert_false(is_there(mounted_path(a, "at/file")));
    mounted_assert_no_export(a);
    error_clear(&err);
    assert_refused(set_unexpose(a->env, id, &err), VSS_E_OBJECT_NOT_FOUND, &err, "not exposed");
    mounted_expose(a, id, at); /* and once more */
    mounted_assert_file(at, "file", MOUNTED_TEXT);
    mounted_delete_set(a, &set); /* deleting ends it */
    assert_false(is_there(mounted_path(a, "at/file")));
}

static void a_mount_in_use_stays(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    int32_t deleted = 0;
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = mounted_directory(a, "at");
    mounted_expose(a, id, at);
    int fd = open(mounted_path(a, "at/file"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_refused(set_unexpose(a->env, id, &err), VSS_E_PROVIDER_VETO, &err, "in use");
    error_clear(&err);
    assert_refused(set_delete(a->env, &set.set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
                   VSS_E_PROVIDER_VETO, &err, "in use");
    assert_int_equal(deleted, 0);
    error_clear(&err);
    assert_refused(set_break(a->env, &set.set_id, VSS_BREAKEX_FLAG_MASK_LUNS, &err),
                   VSS_E_PROVIDER_VETO, &err, "in use");
    mounted_assert_file(at, "file", MOUNTED_TEXT);
    assert_int_equal(close(fd), 0);
    mounted_delete_set(a, &set);
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
    const char *original = mounted_directory(a, "original");
    const char *at = mounted_directory(a, "at");
    SHELL("%s '%s/%s' && mount -o loop '%s/%s' '%s'", make, a->lab->disks, name, a->lab->disks,
          name, original);
    SHELL("cd '%s'; printf '" MOUNTED_TEXT
          "' > file; sync; for i in 1 2 3 4; do echo $i > f$i; done; "
          "sync f4",
          original);
    mounted_make_set(a, MOUNTED_PERSISTENT, url, &set);
    mounted_expose(a, &set.snapshots[0].snapshot_id, at);
    mounted_assert_file(at, "file", MOUNTED_TEXT);
    mounted_unexpose(a, &set.snapshots[0].snapshot_id);
    SHELL("umount '%s'", original);
    mounted_delete_set(a, &set);
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
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT | VSS_VOLSNAP_ATTR_TRANSPORTABLE, &set);
    const VSS_ID copy = set.snapshots[0].snapshot_id;
    const VSS_ID *id = &copy;
    const char *at = mounted_directory(a, "at");
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
    mounted_delete_set(a, &set);

    /* a copy without a filesystem, and one that ends with its session */
    mounted_make_set(a, MOUNTED_PERSISTENT, a->urls[0], &set);
    error_clear(&err);
    assert_refused(set_expose(a->env, &set.snapshots[0].snapshot_id, at, &exposed, &err),
                   VSS_E_UNEXPECTED, &err, "no filesystem");
    mounted_assert_no_export(a);
    mounted_delete_set(a, &set);
    mounted_make_set(a, VSS_CTX_FILE_SHARE_BACKUP, a->urls[0], &set);
    error_clear(&err);
    assert_refused(set_expose(a->env, &set.snapshots[0].snapshot_id, at, &exposed, &err),
                   E_INVALIDARG, &err, "not persistent");
    mounted_delete_set(a, &set);
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
    (void)mkdir(mounted_path(a, "state/exposed"), 0700);
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
    mounted_assert_file(at, "file", MOUNTED_TEXT);
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
    const char *directory = mounted_export_lun(a, url, "above", 60);
    SHELL("cmp '%s/disk' '%s/lun300.img'", directory, a->lab->disks);
    assert_ok(export_stop(directory, &err), &err);
}

/* An array that went away: whoever reads the export is told within the keeper's time, and can let
 * go; without the keeper they would wait for ever. */
static void a_lost_lun_ends_its_export(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    int status = 0;
    const char *directory = mounted_export_lun(a, a->urls[0], "lost", 6);
    char *disk = export_file(directory);
    clock_sleep_ms(7000); /* longer than the keeper's time: an array that answers is let be */
    assert_int_equal(mounted_read_block(disk), 0);
    assert_int_equal(kill(a->lab->tgtd_pid, SIGSTOP), 0);
    pid_t reader = fork();
    if (reader == 0) {
        _exit(mounted_read_block(disk) == 0 ? 1 : 0);
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

/* A daemon that was killed, and somebody who has its file open still. */
static void an_open_file_of_a_dead_daemon_stops_nothing(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    int daemon = -1;
    const char *directory = mounted_export_lun(a, a->urls[0], "killed", 60);
    char *disk = export_file(directory);
    assert_int_equal(export_daemon_open(directory, &daemon, &err), S_OK);
    int user = open(disk, O_RDONLY | O_CLOEXEC);
    assert_true(user >= 0);
    assert_int_equal(pidfd_send_signal(daemon, SIGKILL, NULL, 0), 0);
    struct pollfd ended = {.fd = daemon, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, 60000), 1);
    (void)close(daemon);
    HRESULT hr = export_stop(directory, &err);
    (void)close(user);
    assert_ok(hr, &err);
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
    const char *directory = mounted_export_lun(a, a->urls[0], "taken", 10);
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
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = mounted_directory(a, "at");

    /* by `recover` */
    let_one_die(a, &set, at);
    assert_ok(journal_load_open(a->env->store, true, &entries, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_ok(set_rollback(a->env, &entries[0], &err), &err);
    journal_free_all(entries, count);
    assert_false(is_there(mounted_path(a, "at/file")));
    mounted_assert_no_export(a);

    /* by the next exposure, elsewhere */
    let_one_die(a, &set, at);
    mounted_expose(a, id, mounted_directory(a, "elsewhere"));
    assert_false(is_there(mounted_path(a, "at/file")));
    mounted_assert_file(mounted_path(a, "elsewhere"), "file", MOUNTED_TEXT);
    mounted_delete_set(a, &set);
}

/* As after a restart of the machine: the record says exposed, and nothing is there. */
static void an_exposure_that_is_no_more(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct set_record known = {0};
    struct error err = {0};
    char id[ID_TEXT_BYTES];
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT, &set);
    const VSS_ID *snapshot = &set.snapshots[0].snapshot_id;
    const char *at = mounted_directory(a, "at");
    mounted_expose(a, snapshot, at);
    SHELL("umount '%s'", at);
    SHELL("kill -9 $(cat '%s/exposed/%s/pid')", a->state, id_text(snapshot, id));
    assert_ok(sets_find_by_snapshot(a->env->store, snapshot, &known, &err), &err);
    assert_non_null(known.snapshots[0].exposed_name);
    assert_int_equal(expose_find(&known.snapshots[0], &err), S_FALSE);
    set_record_free(&known);
    mounted_expose(a, snapshot, at);
    mounted_assert_file(at, "file", MOUNTED_TEXT);
    SHELL("umount '%s'", at);
    mounted_unexpose(a, snapshot);
    mounted_delete_set(a, &set);
}

/* The array is gone: what was mounted can still be taken away, and soon. */
static void without_its_array(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    mounted_expose(a, id, mounted_directory(a, "at"));
    process_kill(&a->lab->tgtd);
    uint64_t before = clock_monotonic_us();
    mounted_unexpose(a, id);
    assert_true(clock_monotonic_us() - before < 20000000);
    assert_false(is_there(mounted_path(a, "at/file")));
    mounted_assert_no_export(a);
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
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = mounted_directory(a, "at");
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
    mounted_delete_set(a, &set);
}

/* The secret reaches the daemon, and neither its command line nor a file that stays. */
static void with_chap(void **state)
{
    struct array *a = *state;
    struct set_record set = {0};
    struct error err = {0};
    char *portal = text_printf("[portal chap]\naddress = %s\nuser = me\nsecret_file = %s\n",
                               a->lab->portal, mounted_path(a, "secret"));
    const char *const account[] = {"--mode", "account",    "--op",          "new", "--user",
                                   "me",     "--password", "open-sesame-1", NULL};
    mounted_make_ext4_set(a, MOUNTED_PERSISTENT, &set);
    const VSS_ID *id = &set.snapshots[0].snapshot_id;
    const char *at = mounted_directory(a, "at");
    SHELL("umask 077; printf 'open-sesame-1\\n' > '%s'", mounted_path(a, "secret"));
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
    mounted_expose(a, id, at);
    mounted_assert_file(at, "file", MOUNTED_TEXT);
    SHELL("! grep -rqa open-sesame '%s/exposed/'*/pid '%s/exposed/'*/lun", a->state, a->state);
    SHELL("for c in /proc/[0-9]*/cmdline; do if tr '\\0' ' ' 2>/dev/null < $c | "
          "grep '^[^ ]*qemu-storage-daemon' | grep -q open-sesame; then exit 1; fi; done");
    SHELL("! test -e '%s/exposed/'*/secret", a->state);
    free(portal);
    mounted_delete_set(a, &set);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, array_start, mounted_stop)

int main(void)
{
    array_need_mounts();
    const struct CMUnitTest tests[] = {
        TEST(a_partition_is_mounted_and_unmounted),
        TEST(a_mount_in_use_stays),
        TEST(xfs_beside_its_mounted_original),
        TEST(ext4_beside_its_mounted_original),
        TEST(what_is_refused),
        TEST(a_lun_above_255_is_no_other),
        TEST(a_lost_lun_ends_its_export),
        TEST(an_open_file_of_a_dead_daemon_stops_nothing),
        TEST(an_export_without_its_file_ends),
        TEST(what_a_dead_process_left_goes),
        TEST(an_exposure_that_is_no_more),
        TEST(without_its_array),
        TEST(through_the_api),
        TEST(with_chap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
