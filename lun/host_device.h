/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_DEVICE_H
#define LUNSHADOW_LUN_HOST_DEVICE_H

#include "lun/identity.h"

/* This host's own SCSI block devices, as the kernel's sysfs shows them. sysfs is "/sys" (a test
 * gives a tree of its own). */

#define HOST_DEVICE_NAME_BYTES 64

/* Who the device of a directory in sysfs ("/sys/block/sda") is: S_OK, freed by identity_free();
 * S_FALSE where the kernel has no page 83 of it. */
HRESULT host_device_identity(const char *directory, struct lun_identity *out, struct error *err);

/* A block device with this identity (page 83 as the kernel read it): S_OK and its name ("sda"),
 * S_FALSE where there is none. A device whose designators contradict counts as found. */
HRESULT host_device_find(const char *sysfs, const struct vss_lun_info *info,
                         char out_name[HOST_DEVICE_NAME_BYTES], struct error *err);

/* Does the filesystem that path is on lie on a LUN with this identity, through partitions, device
 * mapper and RAID too? S_OK and the device's name, or S_FALSE. */
HRESULT host_device_backs_path(const char *sysfs, const char *path, const struct vss_lun_info *info,
                               char out_name[HOST_DEVICE_NAME_BYTES], struct error *err);

#endif
