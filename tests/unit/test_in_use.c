/* SPDX-License-Identifier: Apache-2.0 */

/* Where a LUN is in use: mounts of all namespaces and swaps, over trees as sysfs and /proc are. */
#include "unit/registry_fixture.h"

#include "common/process.h"
#include "lun/host/in_use.h"
#include "unit/host_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the LUN is mounted must be expected, with words in the error text. */
static void assert_mounted(const struct vss_lun_info *info, HRESULT expected, const char *words)
{
    struct error err = {0};
    struct host_use use;
    HRESULT hr = host_lun_in_use(&tree_roots, info, &use, &err);
    if (hr != expected || !strstr(err.text, words)) {
        fail_msg("0x%08x, %s: \"%s\", not \"%s\"", (unsigned)hr, use.text ? use.text : "no use",
                 err.text, words);
    }
    assert_int_equal(use.text != NULL, hr == S_OK);
    assert_int_equal(use.mount_point != NULL, hr == S_OK);
    host_use_free(&use);
}

/* The LUN must be in use, as words say, and not to be unmounted by us. */
static void assert_used(const struct vss_lun_info *info, const char *words)
{
    struct error err = {0};
    struct host_use use;
    HRESULT hr = host_lun_in_use(&tree_roots, info, &use, &err);
    if (hr != S_OK || !strstr(use.text, words)) {
        fail_msg("0x%08x, %s: \"%s\", not \"%s\"", (unsigned)hr, use.text ? use.text : "no use",
                 err.text, words);
    }
    assert_null(use.mount_point);
    host_use_free(&use);
}

static void test_where_a_lun_is_mounted(void **state)
{
    (void)state;
    struct vss_lun_info first = {0};
    struct error err = {0};
    struct host_use use;
    tree_identity(makedev(8, 0), &first);
    tree_put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
                    "2 1 8:16 / @/other rw - ext4 /dev/sdb rw\n"
                    "3 1 0:40 / /dev rw - devtmpfs devtmpfs rw\n"
                    "4 1 0:41 / @/net rw - nfs4 host:/dev/x rw\n"
                    "5 1 7:7 / @/ram rw - ext4 /dev/loop7 rw\n");
    tree_put_text("sys/devices/loop7/loop/backing_file", "/dev/in-memory\n");
    tree_number("loop7", 7, 7);
    assert_mounted(&first, S_FALSE, "");
    tree_put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
                    "2 1 253:1 / @/lvm rw - ext4 /dev/mapper/vg-data rw\n");
    assert_int_equal(host_lun_in_use(&tree_roots, &first, &use, &err), S_OK);
    assert_string_equal(use.mount_point, fixture_path(tree_top, "lvm"));
    assert_non_null(strstr(use.text, use.mount_point));
    host_use_free(&use);
    /* what cannot be read may be the mount of it */
    tree_put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
                    "2 1 253:1 / @/lvm\n");
    assert_mounted(&first, VSS_E_UNEXPECTED, "table of mounts");
    lun_info_free(&first);
}

static void test_mounted_in_another_namespace(void **state)
{
    (void)state;
    struct vss_lun_info first = {0};
    tree_identity(makedev(8, 0), &first);
    tree_put_mounts("1 0 254:0 / / rw - ext4 /dev/vda rw\n");
    tree_put_table("proc/7/mountinfo", "1 0 254:0 / / rw - ext4 /dev/vda rw\n");
    assert_mounted(&first, S_FALSE, "");
    tree_make_directories(fixture_path(tree_top, "proc/70")); /* it has ended */
    tree_put("proc/71/mountinfo", "", 0);
    tree_put_text("proc/77/comm", "data\033base\n");
    tree_put_table("proc/77/mountinfo", "5 0 254:0 / / rw - ext4 /dev/vda rw\n"
                                        "6 5 253:1 / /data rw - ext4 /dev/mapper/vg-data rw\n");
    assert_used(&first, "at /data in the mount namespace of process 77 (data?base)");
    /* the same namespace below another root */
    tree_put_table("proc/77/mountinfo", "1 0 254:0 / / rw - ext4 /dev/vda rw\n");
    tree_put_table("proc/78/mountinfo", "1 0 254:0 / /root rw - ext4 /dev/vda rw\n"
                                        "6 1 8:1 / /data rw - ext4 /dev/sda1 rw\n");
    assert_used(&first, "at /data in the mount namespace of process 78 ()");
    tree_put_table("proc/78/mountinfo", "8 0 99:9 / / rw - ext4 /dev/gone rw\n");
    assert_mounted(&first, VSS_E_UNEXPECTED, "namespace of process 78");
    tree_put_table("proc/78/mountinfo", "8 0 99:9 / /\n");
    assert_mounted(&first, VSS_E_UNEXPECTED, "namespace of process 78");
    lun_info_free(&first);
}

/* A loop device's file is named as the process has it that mounted the device. */
static void test_a_loop_device_of_another_namespace(void **state)
{
    (void)state;
    struct vss_lun_info first = {0};
    struct vss_lun_info second = {0};
    tree_identity(makedev(8, 0), &first);
    tree_identity(makedev(8, 16), &second);
    tree_put_text("sys/devices/loop3/loop/backing_file", "/images/a\n");
    tree_number("loop3", 7, 3);
    tree_put_mounts("1 0 8:16 / / rw - ext4 /dev/sdb rw\n");
    tree_put_table("proc/77/mountinfo", "5 0 254:0 / / rw - ext4 /dev/vda rw\n"
                                        "6 5 7:3 / /deep rw - ext4 /dev/loop3 rw\n"
                                        "7 5 8:1 / /images rw - ext4 /dev/sda1 rw\n");
    assert_used(&first, "at /deep in the mount namespace of process 77");
    assert_mounted(&second, S_OK, "");
    lun_info_free(&first);
    lun_info_free(&second);
}

/* Who is not root looks at what is shown; root refuses what is not. */
static void test_processes_that_are_hidden(void **state)
{
    (void)state;
    struct vss_lun_info first = {0};
    struct error err = {0};
    struct host_use use;
    tree_identity(makedev(8, 0), &first);
    tree_put_mounts("1 0 254:0 / / rw - ext4 /dev/vda rw\n");
    tree_put_table("proc/77/mountinfo", "5 0 8:1 / / rw - ext4 /dev/sda1 rw\n");
    const char *const open_up[] = {"chmod", "-R", "a+rX", tree_top, NULL};
    assert_int_equal(process_run(open_up, 10000, NULL, &err), S_OK);
    assert_int_equal(chmod(fixture_path(tree_top, "proc/77/mountinfo"), 0), 0);
    bool is_root = geteuid() == 0;
    if (is_root) {
        assert_int_equal(seteuid(65534), 0);
    }
    HRESULT hr = host_lun_in_use(&tree_roots, &first, &use, &err);
    if (is_root) {
        assert_int_equal(seteuid(0), 0);
    }
    assert_int_equal(hr, S_FALSE);
    /* nor is it an absence that the file cannot be read */
    assert_int_equal(unlink(fixture_path(tree_top, "proc/77/mountinfo")), 0);
    assert_int_equal(symlink("mountinfo", fixture_path(tree_top, "proc/77/mountinfo")), 0);
    assert_mounted(&first, VSS_E_UNEXPECTED, "process 77");
    lun_info_free(&first);
}

static void test_what_is_swapped_to(void **state)
{
    (void)state;
    static const char heading[] = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
    struct vss_lun_info first = {0};
    struct vss_lun_info second = {0};
    tree_identity(makedev(8, 0), &first);
    tree_identity(makedev(8, 16), &second);
    tree_put_mounts("1 0 254:0 / / rw - ext4 /dev/vda rw\n");
    tree_put_text("proc/swaps", heading);
    assert_mounted(&first, S_FALSE, "");
    tree_make_directories(fixture_path(tree_top, "sys/class/block"));
    assert_int_equal(
        symlink("../../devices/sda/sda1", fixture_path(tree_top, "sys/class/block/sda1")), 0);
    char *rows = text_printf("%s/no/dev/sda1   partition\t8\t0\t-2\n", heading);
    tree_put_text("proc/swaps", rows);
    free(rows);
    assert_used(&first, "swap at /no/dev/sda1");
    assert_mounted(&second, S_FALSE, "");
    /* a file, on whatever has it */
    tree_place_on("sdb");
    tree_put_text("a file", "");
    rows = text_printf("%s%s/a\\040file   file\t8\t0\t-2\n", heading, tree_top);
    tree_put_text("proc/swaps", rows);
    tree_put_mounts("1 0 0:40 / / rw - tmpfs tmpfs rw\n");
    free(rows);
    assert_used(&second, "a file");
    assert_mounted(&first, S_FALSE, "");
    /* what is not known may be the LUN where this host has it */
    tree_put_text("proc/swaps", "/no/dev/sdz partition 8 0 -2\n");
    tree_make_directories(fixture_path(tree_top, "sys/block"));
    assert_mounted(&first, S_FALSE, "");
    assert_int_equal(symlink("../devices/sda", fixture_path(tree_top, "sys/block/sda")), 0);
    assert_mounted(&first, VSS_E_UNEXPECTED, "sda may be one of them");
    assert_int_equal(unlink(fixture_path(tree_top, "proc/swaps")), 0);
    tree_make_directories(fixture_path(tree_top, "proc/swaps"));
    assert_mounted(&second, VSS_E_UNEXPECTED, "cannot read");
    lun_info_free(&first);
    lun_info_free(&second);
}

/* A mount whose loop device goes while it is looked at. */
static void test_what_is_unmounted_meanwhile(void **state)
{
    (void)state;
    struct vss_lun_info first = {0};
    tree_identity(makedev(8, 0), &first);
    tree_put_text("sys/devices/loop6/size", "2048\n");
    tree_make_directories(fixture_path(tree_top, "sys/devices/loop6/loop"));
    char *attribute = text_copy(fixture_path(tree_top, "sys/devices/loop6/loop/backing_file"));
    assert_int_equal(mkfifo(attribute, 0600), 0); /* its reader waits for a writer */
    tree_number("loop6", 7, 6);
    static const char *const after[] = {
        "1 1 254:0 / / rw - ext4 /dev/vda rw\n",
        "1 1 254:0 / / rw - ext4 /dev/vda rw\n2 1 253:1 / @/lvm rw - ext4 /dev/mapper/vg rw\n",
        "1 1 254:0 / / rw - ext4 /dev/vda rw\n2 1 7:6 / @/going rw - ext4 /dev/loop6 rw\n",
    };
    static const HRESULT expected[] = {S_FALSE, S_OK, VSS_E_UNEXPECTED};
    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
        tree_put_text("sys/devices/loop6/size", "2048\n");
        tree_put_mounts(after[2]);
        pid_t pid = fork();
        if (pid == 0) {
            int fd = open(attribute, O_WRONLY | O_CLOEXEC);
            tree_put_mounts(after[i]);
            (void)unlink(fixture_path(tree_top, "sys/devices/loop6/size"));
            _exit(fd < 0);
        }
        assert_true(pid > 0);
        assert_mounted(&first, expected[i], expected[i] == VSS_E_UNEXPECTED ? "has gone" : "");
        int status = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    free(attribute);
    lun_info_free(&first);
}

/* A LUN and a disk that is none under one volume: whichever of them is looked at first. */
static void test_one_leg_of_several_is_a_lun(void **state)
{
    (void)state;
    struct host_volume v;
    struct vss_lun_info first = {0};
    struct vss_lun_info second = {0};
    tree_identity(makedev(8, 0), &first);
    tree_identity(makedev(8, 16), &second);
    tree_put_text("sys/devices/nvme0n1/size", "204800\n");
    tree_slave("dm-2", "vda");
    tree_slave("dm-2", "sda");
    tree_slave("dm-2", "nvme0n1");
    tree_put_text("sys/devices/dm-2/size", "204800\n");
    tree_number("dm-2", 253, 2);
    assert_int_equal(host_volume_of_device(&tree_roots, makedev(253, 2), &v, NULL),
                     VSS_E_VOLUME_NOT_SUPPORTED);
    tree_put_mounts("1 1 253:2 / / rw - ext4 /dev/mapper/vg-mixed rw\n");
    assert_mounted(&first, S_OK, "");
    assert_mounted(&second, S_FALSE, "");
    /* nor does a leg that is not known hide one that is */
    assert_int_equal(symlink("../../gone", fixture_path(tree_top, "sys/devices/dm-2/slaves/zz")),
                     0);
    assert_mounted(&second, VSS_E_UNEXPECTED, "has gone");
    lun_info_free(&first);
    lun_info_free(&second);
}

/* The table names a btrfs's device as it was mounted, sysfs by the kernel's name. */
static void test_a_btrfs_on_device_mapper(void **state)
{
    (void)state;
    struct host_volume v;
    struct error err = {0};
    struct vss_lun_info first = {0};
    struct vss_lun_info third = {0};
    tree_identity(makedev(8, 0), &first);
    tree_identity(makedev(253, 0), &third);
    tree_make_directories(fixture_path(tree_top, "dev/mapper"));
    tree_make_directories(fixture_path(tree_top, "pool"));
    tree_make_directories(fixture_path(tree_top, "sys/fs/btrfs/0123/devices"));
    assert_int_equal(symlink("../../../../devices/dm-0",
                             fixture_path(tree_top, "sys/fs/btrfs/0123/devices/dm-0")),
                     0);
    tree_put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
                    "2 1 0:40 / @/pool rw - btrfs @/dev/mapper/mpatha rw\n");
    /* no such name here: which btrfs it is is not known, and this host has the device */
    tree_make_directories(fixture_path(tree_top, "sys/block"));
    assert_mounted(&third, S_FALSE, "");
    assert_int_equal(symlink("../devices/sdc", fixture_path(tree_top, "sys/block/sdc")), 0);
    assert_mounted(&third, VSS_E_UNEXPECTED, "sdc may be one of them");
    assert_mounted(&first, S_FALSE, "");
    if (mknod(fixture_path(tree_top, "dev/mapper/mpatha"), S_IFBLK | 0600, makedev(253, 0)) != 0) {
        print_message("skipped: no device nodes for us here\n");
        skip();
    }
    assert_mounted(&third, S_OK, "");
    assert_mounted(&first, S_FALSE, "");
    assert_int_equal(host_volume_find(&tree_roots, fixture_path(tree_top, "pool"), &v, &err), S_OK);
    assert_string_equal(v.device, "/dev/mapper/mpatha");
    assert_int_equal(v.part_count, 1);
    host_volume_free(&v);
    lun_info_free(&first);
    lun_info_free(&third);
}

/* What a mount lies on cannot be found out: each might be the LUN. */
static void test_unknown_is_not_elsewhere(void **state)
{
    (void)state;
    struct vss_lun_info first = {0};
    tree_identity(makedev(8, 0), &first);
    tree_put_mounts("1 1 99:9 / / rw - ext4 /dev/gone rw\n");
    assert_mounted(&first, VSS_E_UNEXPECTED, "no block device 99:9");
    tree_put_mounts("1 1 253:9 / / rw - ext4 /dev/dm-9 rw\n");
    assert_mounted(&first, VSS_E_UNEXPECTED, "deep");
    tree_put_mounts("1 1 8:32 / / rw - ext4 /dev/sdf rw\n");
    tree_put_text("sys/devices/sdf/size", "204800\n");
    tree_number("sdf", 8, 32);
    assert_mounted(&first, S_FALSE, ""); /* it has no page 83 */
    tree_put("sys/devices/sdf/device/vpd_pg0", "\0\0\0\3\0\x80\x83", 7);
    assert_mounted(&first, VSS_E_UNEXPECTED, "could not read page 83 of sdf");
    tree_make_directories(fixture_path(tree_top, "sys/devices/sdf/device/vpd_pg83"));
    assert_mounted(&first, VSS_E_UNEXPECTED, "cannot read");
    tree_put_mounts("1 1 253:3 / / rw - ext4 /dev/dm-3 rw\n");
    tree_put_text("sys/devices/dm-3/size", "204800\n");
    tree_number("dm-3", 253, 3);
    assert_mounted(&first, S_FALSE, ""); /* it lies on nothing */
    assert_int_equal(symlink("slaves", fixture_path(tree_top, "sys/devices/dm-3/slaves")), 0);
    assert_mounted(&first, VSS_E_UNEXPECTED, "cannot read");
    assert_int_equal(unlink(fixture_path(tree_top, "sys/devices/dm-3/size")), 0);
    assert_int_equal(unlink(fixture_path(tree_top, "sys/devices/dm-3/slaves")), 0);
    assert_mounted(&first, VSS_E_UNEXPECTED, "dm-3 has gone");
    tree_put_mounts("1 1 0:50 / / rw - zfs pool/root rw\n");
    assert_mounted(&first, S_FALSE, "");
    tree_make_directories(fixture_path(tree_top, "sys/block"));
    assert_int_equal(symlink("../devices/sda", fixture_path(tree_top, "sys/block/sda")), 0);
    assert_mounted(&first, VSS_E_UNEXPECTED, "sda may be one of them");
    lun_info_free(&first);
}

/* A name that the kernel does not look up stands for what cannot be looked at. */
static void test_what_cannot_be_looked_at(void **state)
{
    (void)state;
    struct vss_lun_info first = {0};
    char name[300];
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    tree_identity(makedev(8, 0), &first);
    char *row = text_printf("1 1 0:60 / / rw - fuse /dev/%s rw\n", name);
    tree_put_mounts(row);
    free(row);
    assert_mounted(&first, VSS_E_UNEXPECTED, "cannot look at /dev/x");
    tree_put_mounts("1 1 0:60 / / rw - fuse /dev/none/such rw\n");
    assert_mounted(&first, S_FALSE, "");
    row = text_printf("/tmp/%s file 8 0 -2\n", name);
    tree_put_text("proc/swaps", row);
    free(row);
    assert_mounted(&first, VSS_E_UNEXPECTED, "cannot look at /tmp/x");
    lun_info_free(&first);
}

/* At no count of files that may be opened is the LUN not mounted. */
static void test_no_file_to_open(void **state)
{
    (void)state;
    struct vss_lun_info first = {0};
    struct rlimit before;
    struct host_use use = {0};
    HRESULT hr = S_FALSE;
    tree_identity(makedev(8, 0), &first);
    tree_put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
                    "2 1 253:1 / @/lvm rw - ext4 /dev/mapper/vg-data rw\n");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(close(next), 0);
    int failures = 0;
    for (int spare = 0; spare < 8 && hr != S_OK; spare++) {
        struct rlimit limit = {.rlim_cur = (rlim_t)(next + spare), .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        hr = host_lun_in_use(&tree_roots, &first, &use, NULL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (hr == S_FALSE) {
            fail_msg("with %d files to open the LUN is not mounted", spare);
        }
        failures += FAILED(hr);
    }
    assert_int_equal(hr, S_OK);
    assert_true(failures >= 2); /* the table of mounts, and what it leads to */
    host_use_free(&use);
    lun_info_free(&first);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_where_a_lun_is_mounted),
        TEST(test_mounted_in_another_namespace),
        TEST(test_a_loop_device_of_another_namespace),
        TEST(test_processes_that_are_hidden),
        TEST(test_what_is_swapped_to),
        TEST(test_what_is_unmounted_meanwhile),
        TEST(test_one_leg_of_several_is_a_lun),
        TEST(test_a_btrfs_on_device_mapper),
        TEST(test_unknown_is_not_elsewhere),
        TEST(test_what_cannot_be_looked_at),
        TEST(test_no_file_to_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
