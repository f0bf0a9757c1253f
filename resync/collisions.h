/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_COLLISIONS_H
#define LUNSHADOW_RESYNC_COLLISIONS_H

#include "provider/set/environment.h"

/* Two disks with one id are taken for one another by every system that sees both. */

/* A disk that is to get ids. */
struct collision_disk {
    const char *url; /* without secrets */
    const struct vss_lun_info *info;
    const struct vss_disk_ids *before; /* ids that it has are nothing new to those who see it */
    const struct vss_disk_ids *wanted;
};

/* Would an id that is new to its disk be seen twice: on two of the disks, or on one and another LUN
 * behind a configured portal or a disk of this host (lun/host/disks.h)?
 * VSS_E_CANNOT_REVERT_DISKID names the id and the other one; so it does a portal, target or LUN
 * that did not answer, where must_see_all (it proves nothing; else the log says so). S_OK without a
 * look where no id is new. */
HRESULT collisions_check(struct set_environment *env, const struct collision_disk *disks,
                         size_t count, bool must_see_all, struct error *err);

#endif
