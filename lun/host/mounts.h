/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_MOUNTS_H
#define LUNSHADOW_LUN_HOST_MOUNTS_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What is mounted on this host, as /proc/self/mountinfo tells it, read by libmount; or as another
 * process has it (HOST_SELF: this one), whose paths are paths there. proc is "/proc" (a test gives
 * a tree of its own). */
#define HOST_SELF "self"

struct host_mount {
    char *path;    /* where: the mount point */
    char *root;    /* which directory of the filesystem: "/" unless it is a bind mount */
    char *source;  /* "/dev/sda1", "host:/export", or what the filesystem says; NULL: nothing */
    char *fs_type; /* "ext4" */
    uint64_t id;   /* the kernel's number of this mount (statx(2): stx_mnt_id); 0: unknown */
    dev_t device;  /* major 0: no block device of its own (network, btrfs, tmpfs) */
    bool is_network;
};

/* The mount that path (absolute, without symbolic links) lies on: of several on one place the
 * uppermost. In a changed root (chroot) that is no mount point, "/" with nothing but its device
 * where the table has no mount for a path that is there. VSS_E_OBJECT_NOT_FOUND: no such path, and
 * no mount for it; VSS_E_UNEXPECTED: the table cannot be read. Free with host_mount_free(). */
HRESULT host_mount_find(const char *proc, const char *path, struct host_mount *out,
                        struct error *err);

/* As host_mount_find() in the table of a process ("77"), by the text of the path alone. S_FALSE: it
 * has no mount for it. */
HRESULT host_mount_find_of(const char *proc, const char *process, const char *path,
                           struct host_mount *out, struct error *err);

/* The first mount of a block device, the oldest first. S_FALSE: it is not mounted. */
HRESULT host_mount_of_device(const char *proc, dev_t device, struct host_mount *out,
                             struct error *err);

/* All that a process has, in the table's order; free with host_mounts_free(). */
HRESULT host_mounts_load(const char *proc, const char *process, struct host_mount **out,
                         size_t *out_count, struct error *err);
void host_mounts_free(struct host_mount *mounts, size_t count);

void host_mount_free(struct host_mount *mount); /* leaves it all-zero */

#endif
