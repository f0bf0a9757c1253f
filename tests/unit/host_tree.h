/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_HOST_TREE_H
#define LUNSHADOW_TESTS_HOST_TREE_H

#include "lun/host/stack.h"

#include <stddef.h>
#include <stdint.h>

/* A tree as sysfs and /proc are, in a directory of its own. Everything here fails the running test
 * where it cannot do its work; names of files are below tree_top. */
extern char *tree_top;
extern struct host_roots tree_roots; /* tree_top/sys and tree_top/proc */

/* cmocka's. Two disks sda and sdb, a partition sda1; a third by two paths (sdc, sdd) under
 * multipath (dm-0); LVM over sda1 and sdb (dm-1); RAID over sdb and dm-0 (md0); a virtual disk
 * (vda); a device that lies on itself (dm-9). */
int tree_setup(void **state);
int tree_teardown(void **state);

void tree_make_directories(const char *path);
void tree_put(const char *name, const void *bytes, size_t length);
void tree_put_text(const char *name, const char *text);

/* Tables of mounts: '@' stands for tree_top. tree_put_mounts(): this process's. */
void tree_put_table(const char *name, const char *table);
void tree_put_mounts(const char *table);

/* sys/devices/NAME is the directory of device major:minor. */
void tree_number(const char *device, unsigned major_number, unsigned minor_number);
/* device lies on another one. */
void tree_slave(const char *device, const char *of);
/* Page 83 with one NAA 6 designator that ends in id. */
void tree_disk(const char *name, uint8_t id);

/* Makes the number of the filesystem that the tree is on that of a device of the tree. */
void tree_place_on(const char *device);

/* Free with host_volume_free(). */
void tree_find(dev_t device, struct host_volume *out);
/* The identity of a disk of the tree; free with lun_info_free(). */
void tree_identity(dev_t device, struct vss_lun_info *out);

#endif
