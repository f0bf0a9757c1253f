/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/host_tree.h"

#include "unit/registry_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

char *tree_top;
struct host_roots tree_roots;
static char sys[256];
static char proc[256];

void tree_make_directories(const char *path)
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

void tree_put(const char *name, const void *bytes, size_t length)
{
    char *path = text_printf("%s/%s", tree_top, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    tree_make_directories(path);
    *slash = '/';
    fixture_write_file(path, bytes, length);
    free(path);
}

void tree_put_text(const char *name, const char *text)
{
    tree_put(name, text, strlen(text));
}

/* sys/NAME is the directory of device major:minor. */
void tree_number(const char *device, unsigned major_number, unsigned minor_number)
{
    char target[256];
    char name[64];
    tree_make_directories(fixture_path(tree_top, "sys/dev/block"));
    (void)snprintf(target, sizeof(target), "../../devices/%s", device);
    (void)snprintf(name, sizeof(name), "sys/dev/block/%u:%u", major_number, minor_number);
    assert_int_equal(symlink(target, fixture_path(tree_top, name)), 0);
}

void tree_slave(const char *device, const char *of)
{
    char folder[256];
    char link[512];
    char target[256];
    (void)snprintf(folder, sizeof(folder), "sys/devices/%s/slaves", device);
    tree_make_directories(fixture_path(tree_top, folder));
    (void)snprintf(link, sizeof(link), "%s/%s", folder,
                   strrchr(of, '/') ? strrchr(of, '/') + 1 : of);
    (void)snprintf(target, sizeof(target), "../../%s", of);
    assert_int_equal(symlink(target, fixture_path(tree_top, link)), 0);
}

/* Page 83 with one NAA 6 designator that ends in the number. */
void tree_disk(const char *name, uint8_t id)
{
    uint8_t page[24] = {0, 0x83, 0, 20, 0x01, 0x03, 0, 16, 0x60, 0x01, 0x40, 0x5a};
    char path[128];
    page[23] = id;
    (void)snprintf(path, sizeof(path), "sys/devices/%s/device/vpd_pg83", name);
    tree_put(path, page, sizeof(page));
    (void)snprintf(path, sizeof(path), "sys/devices/%s/size", name);
    tree_put_text(path, "204800\n");
}

static void partition(const char *disk_name, const char *name, const char *start, const char *size)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "sys/devices/%s/%s/partition", disk_name, name);
    tree_put_text(path, "1\n");
    (void)snprintf(path, sizeof(path), "sys/devices/%s/%s/start", disk_name, name);
    tree_put_text(path, start);
    (void)snprintf(path, sizeof(path), "sys/devices/%s/%s/size", disk_name, name);
    tree_put_text(path, size);
}

/* Two disks, a partition on the first; a third by two paths under multipath; LVM over the
 * partition and the second; RAID over disks; a virtual disk; loop devices. */
int tree_setup(void **state)
{
    (void)state;
    char *made = fixture_directory();
    tree_top = realpath(made, NULL);
    free(made);
    tree_disk("sda", 1);
    tree_disk("sdb", 2);
    tree_disk("sdc", 3);
    tree_disk("sdd", 3);
    partition("sda", "sda1", "2048\n", "100000\n");
    tree_number("sda", 8, 0);
    tree_number("sda/sda1", 8, 1);
    tree_number("sdb", 8, 16);
    tree_slave("dm-0", "sdc");
    tree_slave("dm-0", "sdd");
    tree_put_text("sys/devices/dm-0/dm/uuid", "mpath-3600140\n");
    tree_put_text("sys/devices/dm-0/dm/name", "mpatha\n");
    tree_put_text("sys/devices/dm-0/size", "204800\n");
    tree_number("dm-0", 253, 0);
    tree_slave("dm-1", "sda/sda1");
    tree_slave("dm-1", "sdb");
    tree_put_text("sys/devices/dm-1/dm/uuid", "LVM-abc\n");
    tree_put_text("sys/devices/dm-1/dm/name", "vg-data\n");
    tree_put_text("sys/devices/dm-1/size", "204800\n");
    tree_number("dm-1", 253, 1);
    tree_slave("md0", "sdb");
    tree_slave("md0", "dm-0");
    tree_put_text("sys/devices/md0/size", "204800\n");
    tree_number("md0", 9, 0);
    tree_put_text("sys/devices/vda/size", "204800\n");
    tree_number("vda", 254, 0);
    tree_slave("dm-9", "dm-9");
    tree_put_text("sys/devices/dm-9/size", "8\n");
    tree_number("dm-9", 253, 9);
    (void)snprintf(sys, sizeof(sys), "%s/sys", tree_top);
    (void)snprintf(proc, sizeof(proc), "%s/proc", tree_top);
    tree_roots = (struct host_roots){sys, proc};
    return 0;
}

int tree_teardown(void **state)
{
    (void)state;
    fixture_remove(tree_top);
    return 0;
}

void tree_find(dev_t device, struct host_volume *out)
{
    struct error err = {0};
    if (FAILED(host_volume_of_device(&tree_roots, device, out, &err))) {
        fail_msg("%s", err.text);
    }
}

/* '@' stands for the directory of the test. */
void tree_put_table(const char *name, const char *table)
{
    struct buffer text = BUFFER_INIT;
    for (; *table; table++) {
        if (*table == '@') {
            buffer_add_text(&text, tree_top);
        } else {
            buffer_add(&text, table, 1);
        }
    }
    tree_put_text(name, text.data);
    buffer_free(&text);
}

void tree_put_mounts(const char *table)
{
    tree_put_table("proc/self/mountinfo", table);
}

/* The identity of a disk of the tree; free with lun_info_free(). */
void tree_identity(dev_t device, struct vss_lun_info *out)
{
    struct host_volume v;
    tree_find(device, &v);
    assert_int_equal(lun_info_copy(&v.parts[0].info, out), S_OK);
    host_volume_free(&v);
}

/* Makes the number of the filesystem that the tree is on that of a device of the tree. */
void tree_place_on(const char *device)
{
    struct stat st;
    char name[64];
    char row[128];
    assert_int_equal(stat(tree_top, &st), 0);
    unsigned major_number = major(st.st_dev) ? major(st.st_dev) : 199;
    unsigned minor_number = minor(st.st_dev);
    (void)snprintf(name, sizeof(name), "sys/dev/block/%u:%u", major_number, minor_number);
    (void)unlink(fixture_path(tree_top, name));
    tree_number(device, major_number, minor_number);
    (void)snprintf(row, sizeof(row), "1 1 %u:%u / / rw - ext4 /dev/x rw\n", major_number,
                   minor_number);
    tree_put_mounts(row);
}
