/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_EXPORT_H
#define LUNSHADOW_LUN_HOST_EXPORT_H

#include "lun/lun.h"

/* A LUN as a file of this host, for kernels that are no initiator: qemu-storage-daemon logs in and
 * shows the LUN through FUSE. It outlives the process that started it. All of an export lies in one
 * directory of its own, from which alone it can be found, taken for what it is, and stopped, also
 * after a crash or a restart of the machine:
 *   disk  the LUN's bytes (a FUSE mount on a file)
 *   lun   which LUN: its address and its key, as JSON
 *   pid   of the daemon
 *   scratch  what was written (EXPORT_SCRATCH) */
enum export_mode {
    EXPORT_SCRATCH, /* what is written goes to a file of its own, and away with the export: the LUN
                       is only read */
    EXPORT_WRITABLE
};

struct export_options {
    const struct lun_options *lun; /* may be NULL */
    enum export_mode mode;
    const char *keeper; /* lunshadow-export-keeper, which ends the export when its LUN is lost, so
                           that nobody waits for it for ever; NULL: nobody watches */
    uint32_t lost_after_s; /* it is lost when it has not answered for so long; 0: 120 s */
    const char *device; /* a block device that the kernel has for the LUN, "/dev/sdb", to be used in
                           the place of a login (host_device_open() has looked who it is); NULL:
                           none */
};

/* Opens the LUN at url, compares its identity with info (SAME, else VSS_E_OBJECT_NOT_FOUND), and
 * exports it in directory, which is made (0700; its parent exists, is root's and no link, and
 * nobody else may write to it). directory is absolute. Only root can. On failure nothing is left.
 * E_ACCESSDENIED: not root, or the parent is not like that; VSS_E_OBJECT_NOT_FOUND: no such LUN, or
 * another one; VSS_E_UNEXPECTED: the daemon is not installed or does not start, or directory is
 * there already. Blocks for the network's time-outs, and up to 30 s for the daemon. */
HRESULT export_start(const char *directory, const char *url, const struct vss_lun_info *info,
                     const struct export_options *options, struct error *err);

/* Ends the daemon, takes the mount and the directory away: whatever is left of an export. Never
 * ends a process that is not the directory's daemon. Nothing there is S_OK. E_ACCESSDENIED:
 * the directory or its parent is not root's alone, and nothing in it is touched; VSS_E_UNEXPECTED:
 * the file is still open (a loop device), path named. */
HRESULT export_stop(const char *directory, struct error *err);

/* Opens an export's directory (O_PATH) where it is root's alone, so that what is in it stays meant
 * even if somebody moves a directory above: "/proc/self/fd/N/disk". E_ACCESSDENIED: it is not. */
HRESULT export_open(const char *directory, int *out_fd, struct error *err);

/* "directory/disk"; malloc'ed, NULL when memory is short. */
char *export_file(const char *directory);

/* Which LUN a file is: S_OK with its address (malloc'ed) and key where path is the disk of an
 * export, whose directory and its parent are root's alone; S_FALSE where it is another file. Where
 * that cannot be told, an error. */
HRESULT export_identify(const char *path, char **out_url, char out_key[LUN_KEY_BYTES],
                        struct error *err);

#endif
