/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_DEVICE_H
#define LUNSHADOW_LUN_HOST_DEVICE_H

#include "lun/identity.h"

/* This host's own SCSI block devices, as the kernel's sysfs shows them. sysfs is "/sys" (a test
 * gives a tree of its own). */

#define HOST_DEVICE_NAME_BYTES 64

/* An attribute of a directory in sysfs: S_OK and its bytes, S_FALSE where it is not there (any
 * more) or empty. What cannot be read fails, as error_from_errno() says, and is never taken for
 * absent. */
HRESULT host_device_read(const char *directory, const char *name, uint8_t *out, size_t room,
                         uint32_t *out_length, struct error *err);

/* Who the device of a directory in sysfs ("/sys/block/sda") is: S_OK, freed by identity_free();
 * S_FALSE where it has no page 83: no SCSI disk, or one that says nothing of itself.
 * VSS_E_VOLUME_NOT_SUPPORTED: the kernel's page 83 is not sound; VSS_E_OBJECT_NOT_FOUND: there is
 * one that the kernel could not read, so that it may be any LUN; others as host_device_read(). */
HRESULT host_device_identity(const char *directory, struct lun_identity *out, struct error *err);

/* A block device with this identity (page 83 as the kernel read it): S_OK and its name ("sda"),
 * S_FALSE where there is none. A device whose designators contradict counts as found, one whose
 * page 83 is not sound does not: this tells what may be visible, not what may be opened. What sysfs
 * does not let us read fails, as does (VSS_E_UNEXPECTED) a disk whose page 83 the kernel could not
 * read. */
HRESULT host_device_find(const char *sysfs, const struct vss_lun_info *info,
                         char out_name[HOST_DEVICE_NAME_BYTES], struct error *err);

/* The block device that is this LUN beyond doubt, opened for reading: page 83 as the kernel read it
 * is the same, and so is what the device itself answers now (INQUIRY through SG_IO), for the
 * kernel's may be of a LUN that had the number before. S_OK with its name; while it is open the
 * kernel gives that name to no other disk. S_FALSE and -1: there is none. dev is "/dev". Blocks for
 * as long as a device does not answer, 10 s each. A disk whose page 83 the kernel could not read is
 * passed over with a warning; else fails as host_device_find(). */
HRESULT host_device_open(const char *sysfs, const char *dev, const struct vss_lun_info *info,
                         char out_name[HOST_DEVICE_NAME_BYTES], int *out_fd, struct error *err);

#endif
