/* SPDX-License-Identifier: Apache-2.0 */

/* The table of mounts, from texts as the kernel writes them. */
#include "unit/registry_fixture.h"

#include "lun/host/filesystem.h"
#include "lun/host/mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const char table[] = "22 1 8:2 / / rw,relatime - ext4 /dev/sda2 rw\n"
                            "23 22 0:5 / /dev rw - devtmpfs devtmpfs rw\n"
                            "30 22 8:17 / /srv/data rw - xfs /dev/sdb1 rw\n"
                            "31 30 8:33 / /srv/data/old rw - ext4 /dev/sdc1 rw\n"
                            "32 22 8:17 /sub /srv/with\\040blank rw - xfs /dev/sdb1 rw\n"
                            "33 22 0:44 / /net rw - nfs4 files:/export rw\n"
                            "34 22 0:45 /@ /pool rw - btrfs /dev/sdd rw,subvol=/@\n"
                            "35 30 8:49 / /srv/data rw - ext4 /dev/sdd1 rw\n";

static char *proc;

static int setup(void **state)
{
    (void)state;
    proc = fixture_directory();
    assert_int_equal(mkdir(fixture_path(proc, "self"), 0700), 0);
    fixture_write_file(fixture_path(proc, "self/mountinfo"), table, sizeof(table) - 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_remove(proc);
    return 0;
}

static void assert_mount(const char *path, const char *mount_point, dev_t device,
                         const char *source)
{
    struct host_mount m;
    struct error err = {0};
    HRESULT hr = host_mount_find(proc, path, &m, &err);
    if (FAILED(hr)) {
        fail_msg("%s: %s", path, err.text);
    }
    assert_string_equal(m.path, mount_point);
    assert_true(m.device == device);
    assert_true(m.id >= 22 && m.id <= 35);
    assert_string_equal(m.source, source);
    host_mount_free(&m);
    assert_null(m.path);
}

static void test_the_deepest_and_uppermost(void **state)
{
    (void)state;
    assert_mount("/", "/", makedev(8, 2), "/dev/sda2");
    assert_mount("/srv", "/", makedev(8, 2), "/dev/sda2");
    assert_mount("/srv/database", "/", makedev(8, 2), "/dev/sda2");
    assert_mount("/srv/data/old/x", "/srv/data/old", makedev(8, 33), "/dev/sdc1");
    assert_mount("/srv/with blank/x", "/srv/with blank", makedev(8, 17), "/dev/sdb1");
    /* mounted over another: that one is hidden */
    assert_mount("/srv/data/f", "/srv/data", makedev(8, 49), "/dev/sdd1");
    assert_mount("/pool", "/pool", makedev(0, 45), "/dev/sdd");
}

static void test_what_kind(void **state)
{
    (void)state;
    struct host_mount m;
    assert_int_equal(host_mount_find(proc, "/net/a", &m, NULL), S_OK);
    assert_true(m.is_network);
    assert_string_equal(m.fs_type, "nfs4");
    host_mount_free(&m);
    assert_int_equal(host_mount_find(proc, "/pool/a", &m, NULL), S_OK);
    assert_false(m.is_network);
    assert_string_equal(m.root, "/@");
    host_mount_free(&m);
}

static void test_by_device(void **state)
{
    (void)state;
    struct host_mount m;
    assert_int_equal(host_mount_of_device(proc, makedev(8, 17), &m, NULL), S_OK);
    assert_string_equal(m.path, "/srv/data");
    host_mount_free(&m);
    assert_int_equal(host_mount_of_device(proc, makedev(8, 99), &m, NULL), S_FALSE);
    assert_null(m.path);
}

static void test_no_table(void **state)
{
    (void)state;
    struct host_mount m;
    struct error err = {0};
    fixture_write_file(fixture_path(proc, "self/mountinfo"), "", 0);
    assert_int_equal(host_mount_find(proc, "/x", &m, &err), VSS_E_OBJECT_NOT_FOUND);
    assert_non_null(strstr(err.text, "/x"));
    error_clear(&err);
    assert_int_equal(host_mount_find("/nowhere", "/x", &m, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "/nowhere/self/mountinfo"));
}

/* As in a chroot whose directory is no mount point: only what lies below it is told. */
/* ---- unmounting ---- */

static int busy_left;

int __real_umount2(const char *path, int flags);
int __wrap_umount2(const char *path, int flags);

int __wrap_umount2(const char *path, int flags)
{
    if (busy_left > 0) {
        busy_left--;
        errno = EBUSY;
        return -1;
    }
    return __real_umount2(path, flags);
}

static void test_a_passing_look_is_waited_for(void **state)
{
    (void)state;
    struct error err = {0};
    char *path = text_printf("%s/at", proc);
    assert_int_equal(mkdir(path, 0700), 0);
    if (mount("none", path, "tmpfs", 0, "size=1m") != 0) {
        print_message("skipped: only root mounts\n");
        free(path);
        skip();
        return;
    }
    busy_left = 3;
    HRESULT hr = filesystem_unmount(path, &err);
    if (FAILED(hr)) {
        busy_left = 0;
        (void)fixture_unmount(path);
        fail_msg("%s", err.text);
    }
    free(path);
}

static void test_a_root_that_is_no_mount(void **state)
{
    (void)state;
    struct host_mount m;
    struct stat root;
    static const char below[] = "30 1 0:21 / /proc rw - proc proc rw\n";
    fixture_write_file(fixture_path(proc, "self/mountinfo"), below, sizeof(below) - 1);
    assert_int_equal(stat("/", &root), 0);
    assert_int_equal(host_mount_find(proc, "/etc", &m, NULL), S_OK);
    assert_string_equal(m.path, "/");
    assert_string_equal(m.root, "/");
    assert_null(m.source);
    assert_true(m.device == root.st_dev);
    host_mount_free(&m);
    assert_int_equal(host_mount_find(proc, "/no/such/path", &m, NULL), VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(host_mount_find(proc, "/proc/self", &m, NULL), S_OK);
    assert_string_equal(m.path, "/proc");
    host_mount_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_deepest_and_uppermost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_device, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_passing_look_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_root_that_is_no_mount, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
