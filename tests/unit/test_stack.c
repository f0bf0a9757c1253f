/* SPDX-License-Identifier: Apache-2.0 */

/* From mount points and devices down to disks, over trees as sysfs and mountinfo have them; and
 * over real loop devices, where this host has them. */
#include "unit/registry_fixture.h"

#include "lun/host/export.h"
#include "lun/host/export_daemon.h"
#include "lun/host/loop.h"
#include "unit/host_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void assert_part(const struct host_part *part, const char *name, uint64_t offset,
                        uint64_t bytes)
{
    assert_string_equal(part->name, name);
    assert_true(part->offset_bytes == offset);
    assert_true(part->bytes == bytes);
    assert_null(part->url);
    assert_int_equal(strncmp(part->key, "naa.6001405a", 12), 0);
}

static void test_disks_and_partitions(void **state)
{
    (void)state;
    struct host_volume v;
    tree_find(makedev(8, 0), &v);
    assert_string_equal(v.device, "/dev/sda");
    assert_int_equal(v.part_count, 1);
    assert_false(v.is_stacked);
    assert_part(&v.parts[0], "sda", 0, 204800u * 512);
    host_volume_free(&v);
    tree_find(makedev(8, 1), &v);
    assert_string_equal(v.device, "/dev/sda1");
    assert_false(v.is_stacked);
    assert_part(&v.parts[0], "sda", 2048u * 512, 100000u * 512);
    host_volume_free(&v);
}

static void test_paths_of_one_lun_are_one(void **state)
{
    (void)state;
    struct host_volume v;
    tree_find(makedev(253, 0), &v);
    assert_string_equal(v.device, "/dev/mapper/mpatha");
    assert_int_equal(v.part_count, 1);
    assert_false(v.is_stacked);
    assert_true(v.parts[0].bytes == 204800u * 512);
    host_volume_free(&v);
}

static void test_volumes_of_several_disks(void **state)
{
    (void)state;
    struct host_volume v;
    tree_find(makedev(253, 1), &v);
    assert_string_equal(v.device, "/dev/mapper/vg-data");
    assert_int_equal(v.part_count, 2);
    assert_true(v.is_stacked);
    bool has_partition = v.parts[0].offset_bytes == 2048u * 512;
    assert_part(&v.parts[has_partition ? 0 : 1], "sda", 2048u * 512, 100000u * 512);
    assert_part(&v.parts[has_partition ? 1 : 0], "sdb", 0, 204800u * 512);
    host_volume_free(&v);
    tree_find(makedev(9, 0), &v);
    assert_string_equal(v.device, "/dev/md0");
    assert_int_equal(v.part_count, 2);
    assert_true(v.is_stacked);
    host_volume_free(&v);
}

static void assert_refused(dev_t device, HRESULT expected, const char *words)
{
    struct host_volume v;
    struct error err = {0};
    assert_int_equal(host_volume_of_device(&tree_roots, device, &v, &err), expected);
    if (!strstr(err.text, words)) {
        fail_msg("\"%s\" says nothing of \"%s\"", err.text, words);
    }
    assert_null(v.device);
}

static void test_what_is_no_scsi_disk(void **state)
{
    (void)state;
    assert_refused(makedev(254, 0), VSS_E_VOLUME_NOT_SUPPORTED, "vda is no SCSI disk");
    assert_refused(makedev(99, 99), VSS_E_OBJECT_NOT_FOUND, "99:99");
    assert_refused(makedev(253, 9), VSS_E_VOLUME_NOT_SUPPORTED, "deep"); /* it lies on itself */
    tree_put("sys/devices/sdb/device/vpd_pg83", "\0\x83\xff\xff", 4);
    assert_refused(makedev(8, 16), VSS_E_VOLUME_NOT_SUPPORTED, "sdb: VPD page 83");
}

/* What sysfs has of a device, as it is where it cannot be read: a directory stands for that. */
static void make_unreadable(const char *name)
{
    assert_int_equal(unlink(fixture_path(tree_top, name)), 0);
    tree_make_directories(fixture_path(tree_top, name));
}

/* An extent made up of 0 would be another one. */
static void test_extents_that_cannot_be_read(void **state)
{
    (void)state;
    make_unreadable("sys/devices/sda/sda1/start");
    assert_refused(makedev(8, 1), VSS_E_UNEXPECTED, "sda1/start");
    tree_put_text("sys/devices/sda/sda2/partition", "2\n");
    tree_put_text("sys/devices/sda/sda2/start", "2048\n");
    tree_number("sda/sda2", 8, 2);
    assert_refused(makedev(8, 2), VSS_E_OBJECT_NOT_FOUND, "sda2 has gone");
    tree_put_text("sys/devices/sda/sda2/size", "many\n");
    assert_refused(makedev(8, 2), VSS_E_UNEXPECTED, "sda2/size is not a number");
    make_unreadable("sys/devices/sdb/size");
    assert_refused(makedev(8, 16), VSS_E_UNEXPECTED, "sdb/size");
}

/* Which paths are one LUN, and what a volume is called. */
static void test_device_mapper_that_cannot_be_read(void **state)
{
    (void)state;
    make_unreadable("sys/devices/dm-0/dm/uuid");
    assert_refused(makedev(253, 0), VSS_E_UNEXPECTED, "dm/uuid");
    make_unreadable("sys/devices/dm-1/dm/name");
    assert_refused(makedev(253, 1), VSS_E_UNEXPECTED, "dm/name");
}

/* The file of an export, which is a LUN of its own. */
static void test_a_loop_device_whose_offset_cannot_be_read(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: exports are root's\n");
        skip();
    }
    struct host_volume v;
    char *disk = text_printf("%s/exposed/a/disk\n", tree_top);
    tree_put_text("exposed/a/lun", "{\"url\": \"iscsi://portal/target/1\", \"key\": \"naa.6\"}");
    tree_put_text("sys/devices/loop0/loop/backing_file", disk);
    tree_put_text("sys/devices/loop0/loop/offset", "1048576\n");
    tree_put_text("sys/devices/loop0/size", "204800\n");
    tree_number("loop0", 7, 0);
    tree_find(makedev(7, 0), &v);
    assert_string_equal(v.parts[0].url, "iscsi://portal/target/1");
    assert_true(v.parts[0].offset_bytes == 1048576);
    host_volume_free(&v);
    make_unreadable("sys/devices/loop0/loop/offset");
    assert_refused(makedev(7, 0), VSS_E_UNEXPECTED, "loop/offset");
    free(disk);
}

/* A loop device over a file on a mount of another loop device's. */
static void test_files_on_the_way(void **state)
{
    (void)state;
    struct host_volume v;
    char *inner = text_printf("%s/vol/outer.img\n", tree_top);
    char *file = text_printf("%s/deep/inner.img\n", tree_top);
    tree_make_directories(fixture_path(tree_top, "vol"));
    tree_make_directories(fixture_path(tree_top, "deep"));
    tree_put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
                    "2 1 8:1 / @/vol rw - ext4 /dev/sda1 rw\n"
                    "3 1 7:0 / @/deep rw - ext4 /dev/loop0 rw\n");
    tree_put_text("sys/devices/loop0/loop/backing_file", inner);
    tree_number("loop0", 7, 0);
    tree_put_text("sys/devices/loop1/loop/backing_file", file);
    tree_number("loop1", 7, 1);
    tree_find(makedev(7, 0), &v);
    assert_int_equal(v.nesting, 1);
    assert_int_equal(v.part_count, 1);
    assert_string_equal(v.parts[0].name, "sda");
    assert_int_equal(strncmp(v.nested_file, inner, strlen(v.nested_file)), 0);
    host_volume_free(&v);
    tree_find(makedev(7, 1), &v);
    assert_int_equal(v.nesting, 2);
    assert_int_equal(strncmp(v.nested_file, file, strlen(v.nested_file)), 0);
    host_volume_free(&v);
    tree_put_text("sys/devices/loop1/loop/backing_file", "/elsewhere/file\n");
    assert_refused(makedev(7, 1), VSS_E_VOLUME_NOT_SUPPORTED, "vda is no SCSI disk");
    free(file);
    free(inner);
}

static void test_mount_points(void **state)
{
    (void)state;
    struct host_volume v;
    struct error err = {0};
    tree_make_directories(fixture_path(tree_top, "vol/sub"));
    tree_make_directories(fixture_path(tree_top, "pool"));
    tree_make_directories(fixture_path(tree_top, "net"));
    tree_make_directories(fixture_path(tree_top, "sys/fs/btrfs/features"));
    tree_make_directories(fixture_path(tree_top, "sys/fs/btrfs/0123/devices"));
    assert_int_equal(
        symlink("../../../../devices/sda", fixture_path(tree_top, "sys/fs/btrfs/0123/devices/sda")),
        0);
    assert_int_equal(
        symlink("../../../../devices/sdb", fixture_path(tree_top, "sys/fs/btrfs/0123/devices/sdb")),
        0);
    tree_put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
                    "2 1 8:1 / @/vol rw - ext4 /dev/sda1 rw\n"
                    "3 1 0:40 / @/pool rw - btrfs /dev/sdb rw\n"
                    "4 1 0:41 / @/net rw - nfs4 host:/x rw\n");
    HRESULT hr = host_volume_find(&tree_roots, fixture_path(tree_top, "vol/"), &v, &err);
    assert_int_equal(hr, S_OK);
    assert_string_equal(v.device, "/dev/sda1");
    assert_string_equal(v.mount_point, fixture_path(tree_top, "vol"));
    host_volume_free(&v);
    hr = host_volume_find(&tree_roots, fixture_path(tree_top, "pool"), &v, &err);
    assert_int_equal(hr, S_OK);
    assert_int_equal(v.part_count, 2);
    assert_true(v.is_stacked);
    host_volume_free(&v);
    static const struct {
        const char *name;
        HRESULT expected;
        const char *words;
    } wrong[] = {
        {"vol/sub", VSS_E_OBJECT_NOT_FOUND, "mounted at"},
        {"nowhere", VSS_E_OBJECT_NOT_FOUND, "nowhere"},
        {"net", VSS_E_VOLUME_NOT_SUPPORTED, "nfs4"},
        {"proc/self/mountinfo", VSS_E_OBJECT_NOT_FOUND, "mounted at /"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        error_clear(&err);
        hr = host_volume_find(&tree_roots, fixture_path(tree_top, wrong[i].name), &v, &err);
        assert_int_equal(hr, wrong[i].expected);
        assert_non_null(strstr(err.text, wrong[i].words));
        assert_null(v.device);
    }
}

static void assert_lies_on(const char *path, const struct vss_lun_info *info, HRESULT expected)
{
    struct error err = {0};
    char name[HOST_DEVICE_NAME_BYTES];
    HRESULT hr = host_path_lies_on(&tree_roots, path, info, name, &err);
    if (hr != expected) {
        fail_msg("%s: 0x%08x: %s", path, (unsigned)hr, err.text);
    }
    assert_string_equal(name, hr == S_OK ? "sda" : "");
}

static void test_what_a_path_lies_on(void **state)
{
    (void)state;
    static const char *const above[] = {"sda", "sda/sda1", "dm-1"};
    struct vss_lun_info first = {0};
    struct error err = {0};
    char name[HOST_DEVICE_NAME_BYTES];
    tree_identity(makedev(8, 0), &first);
    for (size_t i = 0; i < sizeof(above) / sizeof(above[0]); i++) {
        tree_place_on(above[i]);
        assert_lies_on(tree_top, &first, S_OK);
    }
    tree_place_on("vda");
    assert_lies_on(tree_top, &first, S_FALSE);
    tree_place_on("dm-9");
    assert_lies_on(tree_top, &first, VSS_E_UNEXPECTED);
    assert_int_equal(host_path_lies_on(&tree_roots, "/no/such/path", &first, name, &err),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_non_null(strstr(err.text, "/no/such/path"));
    /* no device number of its own, as /proc: a btrfs, a zfs, one in memory */
    tree_make_directories(fixture_path(tree_top, "sys/fs/btrfs/0123/devices"));
    assert_int_equal(
        symlink("../../../../devices/sda", fixture_path(tree_top, "sys/fs/btrfs/0123/devices/sda")),
        0);
    tree_put_mounts("1 1 0:40 / /proc rw - btrfs @/dev/sda rw\n");
    assert_lies_on("/proc", &first, S_OK);
    tree_put_mounts("1 1 0:40 / /proc rw - zfs pool rw\n");
    assert_lies_on("/proc", &first, S_FALSE);
    tree_put_mounts("1 1 0:40 / /proc rw - tmpfs tmpfs rw\n");
    assert_lies_on("/proc", &first, S_FALSE);
    lun_info_free(&first);
}

/* What cannot be read may be the file of an export, which nobody ends below its mount. */
static void test_the_file_of_a_loop_device(void **state)
{
    (void)state;
    char file[LOOP_FILE_BYTES];
    struct error err = {0};
    tree_put_text("sys/devices/loop0/loop/backing_file", "/exposed/a/disk\n");
    tree_number("loop0", 7, 0);
    assert_int_equal(loop_backing_file(tree_roots.sys, makedev(7, 0), file, &err), S_OK);
    assert_string_equal(file, "/exposed/a/disk");
    assert_int_equal(loop_backing_file(tree_roots.sys, makedev(8, 0), file, &err), S_FALSE);
    assert_int_equal(loop_backing_file(tree_roots.sys, makedev(99, 9), file, &err), S_FALSE);
    assert_string_equal(file, "");
    make_unreadable("sys/devices/loop0/loop/backing_file");
    assert_int_equal(loop_backing_file(tree_roots.sys, makedev(7, 0), file, &err),
                     VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "backing_file"));
}

/* A file whose directory cannot be looked at may be an export, and its LUN not what the file lies
 * on. */
static void test_an_export_that_cannot_be_looked_at(void **state)
{
    (void)state;
    struct error err = {0};
    char *url = NULL;
    char key[LUN_KEY_BYTES];
    char name[300];
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    char *disk = text_printf("%s/%s/disk", tree_top, name);
    assert_int_equal(export_identify(disk, &url, key, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "cannot look at"));
    free(disk);
    static const char *const others[] = {"/nowhere/at/all/disk", "/dev/null/at/disk", "/tmp/disk",
                                         "/etc/passwd"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(export_identify(others[i], &url, key, &err), S_FALSE);
        assert_null(url);
    }
}

/* One that cannot be looked at may be the export's: ended without it, the export would leave it. */
static void test_a_daemon_that_cannot_be_looked_at(void **state)
{
    (void)state;
    struct error err = {0};
    struct rlimit before;
    char pid[32];
    int pidfd = -1;
    (void)snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    tree_put_text("exposed/a/pid", pid);
    const char *directory = fixture_path(tree_top, "exposed/a");
    assert_int_equal(export_daemon_open(directory, &pidfd, &err), S_FALSE); /* it is us */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(close(next), 0);
    struct rlimit limit = {.rlim_cur = (rlim_t)next + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0); /* room for the pidfd */
    HRESULT hr = export_daemon_open(directory, &pidfd, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(FAILED(hr));
    assert_int_equal(pidfd, -1);
    assert_non_null(strstr(err.text, "cannot look at process"));
}

/* This host's own: a loop device over a file, which lies on what this machine boots from. */
static void test_a_real_loop_device(void **state)
{
    (void)state;
    static const struct host_roots host = HOST_ROOTS_INIT;
    struct loop_range range = {.offset_bytes = 4096, .bytes = 1u << 20, .block_bytes = 512};
    struct host_volume v;
    struct error err = {0};
    char name[LOOP_NAME_BYTES];
    char file[LOOP_FILE_BYTES];
    struct stat st;
    int fd = -1;
    if (geteuid() != 0 || access("/dev/loop-control", R_OK | W_OK) != 0) {
        print_message("skipped: no loop devices for us here\n");
        skip();
    }
    tree_put_text("file", "");
    assert_int_equal(truncate(fixture_path(tree_top, "file"), 2 << 20), 0);
    HRESULT hr = loop_attach(fixture_path(tree_top, "file"), &range, &fd, name, &err);
    if (FAILED(hr)) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(loop_backing_file("/sys", st.st_rdev, file, &err), S_OK);
    assert_string_equal(file, fixture_path(tree_top, "file"));
    hr = host_volume_find(&host, name, &v, &err);
    if (SUCCEEDED(hr)) {
        assert_int_equal(v.nesting, 1); /* the machine's own disk is a SCSI one */
        assert_string_equal(v.nested_file, fixture_path(tree_top, "file"));
        host_volume_free(&v);
    } else {
        assert_int_equal(hr, VSS_E_VOLUME_NOT_SUPPORTED);
    }
    assert_int_equal(close(fd), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_disks_and_partitions),
        TEST(test_paths_of_one_lun_are_one),
        TEST(test_volumes_of_several_disks),
        TEST(test_what_is_no_scsi_disk),
        TEST(test_extents_that_cannot_be_read),
        TEST(test_a_loop_device_whose_offset_cannot_be_read),
        TEST(test_files_on_the_way),
        TEST(test_mount_points),
        TEST(test_what_a_path_lies_on),
        TEST(test_the_file_of_a_loop_device),
        TEST(test_device_mapper_that_cannot_be_read),
        TEST(test_an_export_that_cannot_be_looked_at),
        TEST(test_a_daemon_that_cannot_be_looked_at),
        TEST(test_a_real_loop_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
