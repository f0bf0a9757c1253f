/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_IN_USE_H
#define LUNSHADOW_LUN_HOST_IN_USE_H

#include "lun/host/stack.h"

/* What this host's kernel has on a LUN, so that writing over it would be written over in turn. */
struct host_use {
    char *mount_point; /* where this process has it mounted, and can unmount it; NULL: elsewhere */
    char *text; /* "mounted on this host at /srv", "... in the mount namespace of process 77 (x)",
                   "used on this host for swap at /dev/sdb2" */
};

/* Is the LUN mounted, or swapped to? S_OK with the first use (free with host_use_free()): in this
 * process's table of mounts, in /proc/swaps, then in the tables of all processes that proc shows,
 * one for each mount namespace and root directory. S_FALSE where it is not; what a mount lies on is
 * told, and refused, as host_mount_lies_on() does. What ends while it is looked at (a mount, a
 * process, a swap) is no use. Not seen: a mount namespace that no process has which proc shows.
 * Processes whose table proc does not let us read: to root VSS_E_UNEXPECTED, to others a line in
 * the log. */
HRESULT host_lun_in_use(const struct host_roots *roots, const struct vss_lun_info *info,
                        struct host_use *out, struct error *err);

void host_use_free(struct host_use *use); /* leaves it all-zero */

#endif
