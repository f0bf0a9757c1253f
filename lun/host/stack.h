/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_STACK_H
#define LUNSHADOW_LUN_HOST_STACK_H

#include "lun/host/mounts.h"
#include "lun/host_device.h"

#include <sys/types.h>

/* From a block device or a mount point of this host down to the disks that it lies on: partitions,
 * multipath, LVM and other device mapper targets, RAID, btrfs of several devices, loop devices. All
 * is read from sysfs and the table of mounts. */
struct host_roots {
    const char *sys;  /* "/sys"; a test gives trees of its own */
    const char *proc; /* "/proc" */
};
#define HOST_ROOTS_INIT                                                                            \
    {                                                                                              \
        "/sys", "/proc"                                                                            \
    }

/* What of one disk is the volume's. */
struct host_part {
    char name[HOST_DEVICE_NAME_BYTES]; /* the kernel's, "sda": for messages */
    struct vss_lun_info info; /* page 83 (and 80) as the kernel read it; all-zero for an export */
    char *url;                /* of an export (lun/host/export.h): its LUN's address; else NULL */
    char key[LUN_KEY_BYTES];  /* and key */
    uint64_t offset_bytes;
    uint64_t bytes;
};

struct host_volume {
    char *device;            /* its canonical name: "/dev/mapper/vg-data", "/dev/sda1" */
    char *mount_point;       /* where it was found mounted; NULL: it was named by its device */
    bool is_stacked;         /* more than a part of one LUN: LVM, RAID, several devices */
    struct host_part *parts; /* with nesting: those of the filesystem that has the file */
    size_t part_count;
    unsigned nesting;  /* files on the way: a loop device is one */
    char *nested_file; /* the file of the uppermost of them; NULL without */
};

/* name: a block device or a mount point, absolute; blanks of any kind and a '/' at the end are its
 * own. Nothing of a disk itself is read. VSS_E_OBJECT_NOT_FOUND: there is no such file, or it is
 * none of both (the text names the mount point that it is on); VSS_E_VOLUME_NOT_SUPPORTED: what
 * lies below is no SCSI disk (the text says what it is), or a network filesystem. Free with
 * host_volume_free(). */
HRESULT host_volume_find(const struct host_roots *roots, const char *name, struct host_volume *out,
                         struct error *err);

/* As host_volume_find() for a device number. */
HRESULT host_volume_of_device(const struct host_roots *roots, dev_t device, struct host_volume *out,
                              struct error *err);

void host_volume_free(struct host_volume *volume); /* leaves it all-zero */

/* Does a mount lie on the LUN, through whatever is between, were it one disk of several: S_OK and
 * the name of the disk ("sda"), S_FALSE where it does not. A LUN that contradicts counts as the
 * same. Only what is known to be no LUN's disk (a network filesystem, one in memory, a disk that is
 * not SCSI or has no page 83) is S_FALSE. Where it cannot be told (a device has gone, sysfs or a
 * page 83 cannot be read, a zfs while this host has the LUN's device), that is the error,
 * VSS_E_UNEXPECTED or errno's. process: whose table of mounts has it ("77"); NULL: this one's. */
HRESULT host_mount_lies_on(const struct host_roots *roots, const char *process,
                           const struct host_mount *mount, const struct vss_lun_info *info,
                           char out_name[HOST_DEVICE_NAME_BYTES], struct error *err);

/* As host_mount_lies_on() for what /proc/swaps names, a block device or a file. */
HRESULT host_swap_lies_on(const struct host_roots *roots, const char *file,
                          const struct vss_lun_info *info, char out_name[HOST_DEVICE_NAME_BYTES],
                          struct error *err);

/* Does the filesystem that path is on lie on the LUN? S_OK and the name of the disk ("sda"); else
 * as host_mount_lies_on(), but a zfs is S_FALSE and a line in the log. */
HRESULT host_path_lies_on(const struct host_roots *roots, const char *path,
                          const struct vss_lun_info *info, char out_name[HOST_DEVICE_NAME_BYTES],
                          struct error *err);

#endif
