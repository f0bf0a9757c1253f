/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_DISKS_H
#define LUNSHADOW_LUN_HOST_DISKS_H

#include "lun/identity.h"
#include "lun/info.h"

/* The labels of this host's disks: whole devices that have hardware behind them (a virtual
 * machine's too), not what is made of others (partitions, loop devices, device mapper, RAID). */
struct host_disk {
    const char *name;                /* "/dev/sda" */
    const struct vss_lun_info *info; /* page 83 as the kernel read it; NULL: it has none */
    const struct vss_disk_ids *ids;
};

/* Calls on_disk for each that has a label, until it fails, and returns what it did. What cannot be
 * read (not ours to read, no medium, no sound label) is passed over, the log says so. sysfs is
 * "/sys" and dev "/dev" (a test gives trees of its own). E_OUTOFMEMORY, or the failure where it
 * cannot be told which disks there are. */
HRESULT host_disks_each(const char *sysfs, const char *dev,
                        HRESULT (*on_disk)(const struct host_disk *disk, void *user,
                                           struct error *err),
                        void *user, struct error *err);

#endif
