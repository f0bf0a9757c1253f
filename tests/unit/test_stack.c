/* SPDX-License-Identifier: Apache-2.0 */

/* From mount points and devices down to disks, over trees as sysfs and mountinfo have them; and
 * over real loop devices, where this host has them. */
#include "unit/registry_fixture.h"

#include "common/process.h"
#include "lun/host/export.h"
#include "lun/host/loop.h"
#include "lun/host/mounts.h"
#include "lun/host/stack.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static char *top;
static char sys[256];
static char proc[256];
static struct host_roots roots;

static void make_directories(const char *path)
{
    char *copy = text_copy(path);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(copy, 0700);
        *slash = '/';
    }
    (void)mkdir(copy, 0700);
    free(copy);
}

static void put(const char *name, const void *bytes, size_t length)
{
    char *path = text_printf("%s/%s", top, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    make_directories(path);
    *slash = '/';
    fixture_write_file(path, bytes, length);
    free(path);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* sys/NAME is the directory of device major:minor. */
static void number(const char *device, unsigned major_number, unsigned minor_number)
{
    char target[256];
    char name[64];
    make_directories(fixture_path(top, "sys/dev/block"));
    (void)snprintf(target, sizeof(target), "../../devices/%s", device);
    (void)snprintf(name, sizeof(name), "sys/dev/block/%u:%u", major_number, minor_number);
    assert_int_equal(symlink(target, fixture_path(top, name)), 0);
}

static void slave(const char *device, const char *of)
{
    char folder[256];
    char link[512];
    char target[256];
    (void)snprintf(folder, sizeof(folder), "sys/devices/%s/slaves", device);
    make_directories(fixture_path(top, folder));
    (void)snprintf(link, sizeof(link), "%s/%s", folder,
                   strrchr(of, '/') ? strrchr(of, '/') + 1 : of);
    (void)snprintf(target, sizeof(target), "../../%s", of);
    assert_int_equal(symlink(target, fixture_path(top, link)), 0);
}

/* Page 83 with one NAA 6 designator that ends in the number. */
static void disk(const char *name, uint8_t id)
{
    uint8_t page[24] = {0, 0x83, 0, 20, 0x01, 0x03, 0, 16, 0x60, 0x01, 0x40, 0x5a};
    char path[128];
    page[23] = id;
    (void)snprintf(path, sizeof(path), "sys/devices/%s/device/vpd_pg83", name);
    put(path, page, sizeof(page));
    (void)snprintf(path, sizeof(path), "sys/devices/%s/size", name);
    put_text(path, "204800\n");
}

static void partition(const char *disk_name, const char *name, const char *start, const char *size)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "sys/devices/%s/%s/partition", disk_name, name);
    put_text(path, "1\n");
    (void)snprintf(path, sizeof(path), "sys/devices/%s/%s/start", disk_name, name);
    put_text(path, start);
    (void)snprintf(path, sizeof(path), "sys/devices/%s/%s/size", disk_name, name);
    put_text(path, size);
}

/* Two disks, a partition on the first; a third by two paths under multipath; LVM over the
 * partition and the second; RAID over disks; a virtual disk; loop devices. */
static int setup(void **state)
{
    (void)state;
    char *made = fixture_directory();
    top = realpath(made, NULL);
    free(made);
    disk("sda", 1);
    disk("sdb", 2);
    disk("sdc", 3);
    disk("sdd", 3);
    partition("sda", "sda1", "2048\n", "100000\n");
    number("sda", 8, 0);
    number("sda/sda1", 8, 1);
    number("sdb", 8, 16);
    slave("dm-0", "sdc");
    slave("dm-0", "sdd");
    put_text("sys/devices/dm-0/dm/uuid", "mpath-3600140\n");
    put_text("sys/devices/dm-0/dm/name", "mpatha\n");
    put_text("sys/devices/dm-0/size", "204800\n");
    number("dm-0", 253, 0);
    slave("dm-1", "sda/sda1");
    slave("dm-1", "sdb");
    put_text("sys/devices/dm-1/dm/uuid", "LVM-abc\n");
    put_text("sys/devices/dm-1/dm/name", "vg-data\n");
    put_text("sys/devices/dm-1/size", "204800\n");
    number("dm-1", 253, 1);
    slave("md0", "sdb");
    slave("md0", "dm-0");
    put_text("sys/devices/md0/size", "204800\n");
    number("md0", 9, 0);
    put_text("sys/devices/vda/size", "204800\n");
    number("vda", 254, 0);
    slave("dm-9", "dm-9");
    put_text("sys/devices/dm-9/size", "8\n");
    number("dm-9", 253, 9);
    (void)snprintf(sys, sizeof(sys), "%s/sys", top);
    (void)snprintf(proc, sizeof(proc), "%s/proc", top);
    roots = (struct host_roots){sys, proc};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_remove(top);
    return 0;
}

static void find(dev_t device, struct host_volume *out)
{
    struct error err = {0};
    if (FAILED(host_volume_of_device(&roots, device, out, &err))) {
        fail_msg("%s", err.text);
    }
}

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
    find(makedev(8, 0), &v);
    assert_string_equal(v.device, "/dev/sda");
    assert_int_equal(v.part_count, 1);
    assert_false(v.is_stacked);
    assert_part(&v.parts[0], "sda", 0, 204800u * 512);
    host_volume_free(&v);
    find(makedev(8, 1), &v);
    assert_string_equal(v.device, "/dev/sda1");
    assert_false(v.is_stacked);
    assert_part(&v.parts[0], "sda", 2048u * 512, 100000u * 512);
    host_volume_free(&v);
}

static void test_paths_of_one_lun_are_one(void **state)
{
    (void)state;
    struct host_volume v;
    find(makedev(253, 0), &v);
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
    find(makedev(253, 1), &v);
    assert_string_equal(v.device, "/dev/mapper/vg-data");
    assert_int_equal(v.part_count, 2);
    assert_true(v.is_stacked);
    bool has_partition = v.parts[0].offset_bytes == 2048u * 512;
    assert_part(&v.parts[has_partition ? 0 : 1], "sda", 2048u * 512, 100000u * 512);
    assert_part(&v.parts[has_partition ? 1 : 0], "sdb", 0, 204800u * 512);
    host_volume_free(&v);
    find(makedev(9, 0), &v);
    assert_string_equal(v.device, "/dev/md0");
    assert_int_equal(v.part_count, 2);
    assert_true(v.is_stacked);
    host_volume_free(&v);
}

static void assert_refused(dev_t device, HRESULT expected, const char *words)
{
    struct host_volume v;
    struct error err = {0};
    assert_int_equal(host_volume_of_device(&roots, device, &v, &err), expected);
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
    put("sys/devices/sdb/device/vpd_pg83", "\0\x83\xff\xff", 4);
    assert_refused(makedev(8, 16), VSS_E_VOLUME_NOT_SUPPORTED, "sdb: VPD page 83");
}

/* '@' stands for the directory of the test. */
static void put_mounts(const char *table)
{
    struct buffer text = BUFFER_INIT;
    for (; *table; table++) {
        if (*table == '@') {
            buffer_add_text(&text, top);
        } else {
            buffer_add(&text, table, 1);
        }
    }
    put_text("proc/self/mountinfo", text.data);
    buffer_free(&text);
}

/* A loop device over a file on a mount of another loop device's. */
static void test_files_on_the_way(void **state)
{
    (void)state;
    struct host_volume v;
    char *inner = text_printf("%s/vol/outer.img\n", top);
    char *file = text_printf("%s/deep/inner.img\n", top);
    make_directories(fixture_path(top, "vol"));
    make_directories(fixture_path(top, "deep"));
    put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
               "2 1 8:1 / @/vol rw - ext4 /dev/sda1 rw\n"
               "3 1 7:0 / @/deep rw - ext4 /dev/loop0 rw\n");
    put_text("sys/devices/loop0/loop/backing_file", inner);
    number("loop0", 7, 0);
    put_text("sys/devices/loop1/loop/backing_file", file);
    number("loop1", 7, 1);
    find(makedev(7, 0), &v);
    assert_int_equal(v.nesting, 1);
    assert_int_equal(v.part_count, 1);
    assert_string_equal(v.parts[0].name, "sda");
    assert_int_equal(strncmp(v.nested_file, inner, strlen(v.nested_file)), 0);
    host_volume_free(&v);
    find(makedev(7, 1), &v);
    assert_int_equal(v.nesting, 2);
    assert_int_equal(strncmp(v.nested_file, file, strlen(v.nested_file)), 0);
    host_volume_free(&v);
    put_text("sys/devices/loop1/loop/backing_file", "/elsewhere/file\n");
    assert_refused(makedev(7, 1), VSS_E_VOLUME_NOT_SUPPORTED, "vda is no SCSI disk");
    free(file);
    free(inner);
}

static void test_mount_points(void **state)
{
    (void)state;
    struct host_volume v;
    struct error err = {0};
    make_directories(fixture_path(top, "vol/sub"));
    make_directories(fixture_path(top, "pool"));
    make_directories(fixture_path(top, "net"));
    make_directories(fixture_path(top, "sys/fs/btrfs/features"));
    make_directories(fixture_path(top, "sys/fs/btrfs/0123/devices"));
    assert_int_equal(
        symlink("../../../../devices/sda", fixture_path(top, "sys/fs/btrfs/0123/devices/sda")), 0);
    assert_int_equal(
        symlink("../../../../devices/sdb", fixture_path(top, "sys/fs/btrfs/0123/devices/sdb")), 0);
    put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
               "2 1 8:1 / @/vol rw - ext4 /dev/sda1 rw\n"
               "3 1 0:40 / @/pool rw - btrfs /dev/sdb rw\n"
               "4 1 0:41 / @/net rw - nfs4 host:/x rw\n");
    HRESULT hr = host_volume_find(&roots, fixture_path(top, "vol/"), &v, &err);
    assert_int_equal(hr, S_OK);
    assert_string_equal(v.device, "/dev/sda1");
    assert_string_equal(v.mount_point, fixture_path(top, "vol"));
    host_volume_free(&v);
    hr = host_volume_find(&roots, fixture_path(top, "pool"), &v, &err);
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
        hr = host_volume_find(&roots, fixture_path(top, wrong[i].name), &v, &err);
        assert_int_equal(hr, wrong[i].expected);
        assert_non_null(strstr(err.text, wrong[i].words));
        assert_null(v.device);
    }
}

/* The identity of a disk of the tree; free with lun_info_free(). */
static void take_identity(dev_t device, struct vss_lun_info *out)
{
    struct host_volume v;
    find(device, &v);
    assert_int_equal(lun_info_copy(&v.parts[0].info, out), S_OK);
    host_volume_free(&v);
}

/* Where the LUN is mounted must be expected, with words in the error text. */
static void assert_mounted(const struct vss_lun_info *info, HRESULT expected, const char *words)
{
    struct error err = {0};
    char *at = NULL;
    HRESULT hr = host_lun_mounted(&roots, info, &at, &err);
    if (hr != expected || !strstr(err.text, words)) {
        fail_msg("0x%08x at %s: \"%s\", not \"%s\"", (unsigned)hr, at ? at : "no place", err.text,
                 words);
    }
    assert_int_equal(at != NULL, hr == S_OK);
    free(at);
}

static void test_where_a_lun_is_mounted(void **state)
{
    (void)state;
    struct vss_lun_info first = {0};
    struct error err = {0};
    char *at = NULL;
    take_identity(makedev(8, 0), &first);
    put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
               "2 1 8:16 / @/other rw - ext4 /dev/sdb rw\n"
               "3 1 0:40 / /dev rw - devtmpfs devtmpfs rw\n"
               "4 1 0:41 / @/net rw - nfs4 host:/dev/x rw\n"
               "5 1 7:7 / @/ram rw - ext4 /dev/loop7 rw\n");
    put_text("sys/devices/loop7/loop/backing_file", "/dev/in-memory\n");
    number("loop7", 7, 7);
    assert_mounted(&first, S_FALSE, "");
    put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
               "2 1 253:1 / @/lvm rw - ext4 /dev/mapper/vg-data rw\n");
    assert_int_equal(host_lun_mounted(&roots, &first, &at, &err), S_OK);
    assert_string_equal(at, fixture_path(top, "lvm"));
    free(at);
    /* what cannot be read may be the mount of it */
    put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
               "2 1 253:1 / @/lvm\n");
    assert_mounted(&first, VSS_E_UNEXPECTED, "table of mounts");
    lun_info_free(&first);
}

/* A mount whose loop device goes while it is looked at. */
static void test_what_is_unmounted_meanwhile(void **state)
{
    (void)state;
    struct vss_lun_info first = {0};
    take_identity(makedev(8, 0), &first);
    put_text("sys/devices/loop6/size", "2048\n");
    make_directories(fixture_path(top, "sys/devices/loop6/loop"));
    char *attribute = text_copy(fixture_path(top, "sys/devices/loop6/loop/backing_file"));
    assert_int_equal(mkfifo(attribute, 0600), 0); /* its reader waits for a writer */
    number("loop6", 7, 6);
    static const char *const after[] = {
        "1 1 254:0 / / rw - ext4 /dev/vda rw\n",
        "1 1 254:0 / / rw - ext4 /dev/vda rw\n2 1 253:1 / @/lvm rw - ext4 /dev/mapper/vg rw\n",
        "1 1 254:0 / / rw - ext4 /dev/vda rw\n2 1 7:6 / @/going rw - ext4 /dev/loop6 rw\n",
    };
    static const HRESULT expected[] = {S_FALSE, S_OK, VSS_E_UNEXPECTED};
    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
        put_text("sys/devices/loop6/size", "2048\n");
        put_mounts(after[2]);
        pid_t pid = fork();
        if (pid == 0) {
            int fd = open(attribute, O_WRONLY | O_CLOEXEC);
            put_mounts(after[i]);
            (void)unlink(fixture_path(top, "sys/devices/loop6/size"));
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
    struct vss_lun_info first = {0};
    struct vss_lun_info second = {0};
    take_identity(makedev(8, 0), &first);
    take_identity(makedev(8, 16), &second);
    put_text("sys/devices/nvme0n1/size", "204800\n");
    slave("dm-2", "vda");
    slave("dm-2", "sda");
    slave("dm-2", "nvme0n1");
    put_text("sys/devices/dm-2/size", "204800\n");
    number("dm-2", 253, 2);
    assert_refused(makedev(253, 2), VSS_E_VOLUME_NOT_SUPPORTED, "is no SCSI disk");
    put_mounts("1 1 253:2 / / rw - ext4 /dev/mapper/vg-mixed rw\n");
    assert_mounted(&first, S_OK, "");
    assert_mounted(&second, S_FALSE, "");
    /* nor does a leg that is not known hide one that is */
    assert_int_equal(symlink("../../gone", fixture_path(top, "sys/devices/dm-2/slaves/zz")), 0);
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
    take_identity(makedev(8, 0), &first);
    take_identity(makedev(253, 0), &third);
    make_directories(fixture_path(top, "dev/mapper"));
    make_directories(fixture_path(top, "pool"));
    make_directories(fixture_path(top, "sys/fs/btrfs/0123/devices"));
    assert_int_equal(
        symlink("../../../../devices/dm-0", fixture_path(top, "sys/fs/btrfs/0123/devices/dm-0")),
        0);
    put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
               "2 1 0:40 / @/pool rw - btrfs @/dev/mapper/mpatha rw\n");
    /* no such name here: which btrfs it is is not known, and this host has the device */
    make_directories(fixture_path(top, "sys/block"));
    assert_mounted(&third, S_FALSE, "");
    assert_int_equal(symlink("../devices/sdc", fixture_path(top, "sys/block/sdc")), 0);
    assert_mounted(&third, VSS_E_UNEXPECTED, "sdc may be one of them");
    assert_mounted(&first, S_FALSE, "");
    if (mknod(fixture_path(top, "dev/mapper/mpatha"), S_IFBLK | 0600, makedev(253, 0)) != 0) {
        print_message("skipped: no device nodes for us here\n");
        skip();
    }
    assert_mounted(&third, S_OK, "");
    assert_mounted(&first, S_FALSE, "");
    assert_int_equal(host_volume_find(&roots, fixture_path(top, "pool"), &v, &err), S_OK);
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
    take_identity(makedev(8, 0), &first);
    put_mounts("1 1 99:9 / / rw - ext4 /dev/gone rw\n");
    assert_mounted(&first, VSS_E_UNEXPECTED, "no block device 99:9");
    put_mounts("1 1 253:9 / / rw - ext4 /dev/dm-9 rw\n");
    assert_mounted(&first, VSS_E_UNEXPECTED, "deep");
    put_mounts("1 1 8:32 / / rw - ext4 /dev/sdf rw\n");
    put_text("sys/devices/sdf/size", "204800\n");
    number("sdf", 8, 32);
    assert_mounted(&first, S_FALSE, ""); /* it has no page 83 */
    put("sys/devices/sdf/device/vpd_pg0", "\0\0\0\3\0\x80\x83", 7);
    assert_mounted(&first, VSS_E_UNEXPECTED, "could not read page 83 of sdf");
    make_directories(fixture_path(top, "sys/devices/sdf/device/vpd_pg83"));
    assert_mounted(&first, VSS_E_UNEXPECTED, "cannot read");
    put_mounts("1 1 253:3 / / rw - ext4 /dev/dm-3 rw\n");
    put_text("sys/devices/dm-3/size", "204800\n");
    number("dm-3", 253, 3);
    assert_mounted(&first, S_FALSE, ""); /* it lies on nothing */
    assert_int_equal(symlink("slaves", fixture_path(top, "sys/devices/dm-3/slaves")), 0);
    assert_mounted(&first, VSS_E_UNEXPECTED, "cannot read");
    assert_int_equal(unlink(fixture_path(top, "sys/devices/dm-3/size")), 0);
    assert_int_equal(unlink(fixture_path(top, "sys/devices/dm-3/slaves")), 0);
    assert_mounted(&first, VSS_E_UNEXPECTED, "dm-3 has gone");
    put_mounts("1 1 0:50 / / rw - zfs pool/root rw\n");
    assert_mounted(&first, S_FALSE, "");
    make_directories(fixture_path(top, "sys/block"));
    assert_int_equal(symlink("../devices/sda", fixture_path(top, "sys/block/sda")), 0);
    assert_mounted(&first, VSS_E_UNEXPECTED, "sda may be one of them");
    lun_info_free(&first);
}

/* At no count of files that may be opened is the LUN not mounted. */
static void test_no_file_to_open(void **state)
{
    (void)state;
    struct vss_lun_info first = {0};
    struct rlimit before;
    char *at = NULL;
    HRESULT hr = S_FALSE;
    take_identity(makedev(8, 0), &first);
    put_mounts("1 1 254:0 / / rw - ext4 /dev/vda rw\n"
               "2 1 253:1 / @/lvm rw - ext4 /dev/mapper/vg-data rw\n");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(close(next), 0);
    int failures = 0;
    for (int spare = 0; spare < 8 && hr != S_OK; spare++) {
        struct rlimit limit = {.rlim_cur = (rlim_t)(next + spare), .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        hr = host_lun_mounted(&roots, &first, &at, NULL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (hr == S_FALSE) {
            fail_msg("with %d files to open the LUN is not mounted", spare);
        }
        failures += FAILED(hr);
    }
    assert_int_equal(hr, S_OK);
    assert_true(failures >= 2); /* the table of mounts, and what it leads to */
    free(at);
    lun_info_free(&first);
}

static void assert_lies_on(const char *path, const struct vss_lun_info *info, HRESULT expected)
{
    struct error err = {0};
    char name[HOST_DEVICE_NAME_BYTES];
    HRESULT hr = host_path_lies_on(&roots, path, info, name, &err);
    if (hr != expected) {
        fail_msg("%s: 0x%08x: %s", path, (unsigned)hr, err.text);
    }
    assert_string_equal(name, hr == S_OK ? "sda" : "");
}

/* Makes the number of the filesystem that the tree is on that of a device of the tree. */
static void place_tree_on(const char *device)
{
    struct stat st;
    char name[64];
    char row[128];
    assert_int_equal(stat(top, &st), 0);
    unsigned major_number = major(st.st_dev) ? major(st.st_dev) : 199;
    unsigned minor_number = minor(st.st_dev);
    (void)snprintf(name, sizeof(name), "sys/dev/block/%u:%u", major_number, minor_number);
    (void)unlink(fixture_path(top, name));
    number(device, major_number, minor_number);
    (void)snprintf(row, sizeof(row), "1 1 %u:%u / / rw - ext4 /dev/x rw\n", major_number,
                   minor_number);
    put_mounts(row);
}

static void test_what_a_path_lies_on(void **state)
{
    (void)state;
    static const char *const above[] = {"sda", "sda/sda1", "dm-1"};
    struct vss_lun_info first = {0};
    struct error err = {0};
    char name[HOST_DEVICE_NAME_BYTES];
    take_identity(makedev(8, 0), &first);
    for (size_t i = 0; i < sizeof(above) / sizeof(above[0]); i++) {
        place_tree_on(above[i]);
        assert_lies_on(top, &first, S_OK);
    }
    place_tree_on("vda");
    assert_lies_on(top, &first, S_FALSE);
    place_tree_on("dm-9");
    assert_lies_on(top, &first, VSS_E_UNEXPECTED);
    assert_int_equal(host_path_lies_on(&roots, "/no/such/path", &first, name, &err),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_non_null(strstr(err.text, "/no/such/path"));
    /* no device number of its own, as /proc: a btrfs, a zfs, one in memory */
    make_directories(fixture_path(top, "sys/fs/btrfs/0123/devices"));
    assert_int_equal(
        symlink("../../../../devices/sda", fixture_path(top, "sys/fs/btrfs/0123/devices/sda")), 0);
    put_mounts("1 1 0:40 / /proc rw - btrfs @/dev/sda rw\n");
    assert_lies_on("/proc", &first, S_OK);
    put_mounts("1 1 0:40 / /proc rw - zfs pool rw\n");
    assert_lies_on("/proc", &first, S_FALSE);
    put_mounts("1 1 0:40 / /proc rw - tmpfs tmpfs rw\n");
    assert_lies_on("/proc", &first, S_FALSE);
    lun_info_free(&first);
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
    put_text("file", "");
    assert_int_equal(truncate(fixture_path(top, "file"), 2 << 20), 0);
    HRESULT hr = loop_attach(fixture_path(top, "file"), &range, &fd, name, &err);
    if (FAILED(hr)) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(loop_backing_file("/sys", st.st_rdev, file));
    assert_string_equal(file, fixture_path(top, "file"));
    hr = host_volume_find(&host, name, &v, &err);
    if (SUCCEEDED(hr)) {
        assert_int_equal(v.nesting, 1); /* the machine's own disk is a SCSI one */
        assert_string_equal(v.nested_file, fixture_path(top, "file"));
        host_volume_free(&v);
    } else {
        assert_int_equal(hr, VSS_E_VOLUME_NOT_SUPPORTED);
    }
    assert_int_equal(close(fd), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_disks_and_partitions),
        TEST(test_paths_of_one_lun_are_one),
        TEST(test_volumes_of_several_disks),
        TEST(test_what_is_no_scsi_disk),
        TEST(test_files_on_the_way),
        TEST(test_mount_points),
        TEST(test_where_a_lun_is_mounted),
        TEST(test_what_is_unmounted_meanwhile),
        TEST(test_one_leg_of_several_is_a_lun),
        TEST(test_a_btrfs_on_device_mapper),
        TEST(test_unknown_is_not_elsewhere),
        TEST(test_no_file_to_open),
        TEST(test_what_a_path_lies_on),
        TEST(test_a_real_loop_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
