/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_FILESYSTEM_H
#define LUNSHADOW_LUN_HOST_FILESYSTEM_H

#include "common/error.h"

/* Mounting a filesystem of a copy beside its original. */

/* Opens the directory that something is to be mounted at: from here on it is meant, whatever path
 * names later. path is absolute, without symbolic links. *out_fd is closed by the caller.
 * E_INVALIDARG: it is no directory, not empty, or a mount point. */
HRESULT filesystem_open_mount_point(const char *path, int *out_fd, struct error *err);

/* Mounts what device (opened as device_fd) has at the directory that mount_point_fd has open, which
 * path names: read-only, without device nodes and set-ID programs, and so that its identifiers,
 * which are its original's too, collide with nothing (XFS: nouuid). The log of a filesystem that
 * was in use is replayed, for which the device must take writes. On failure nothing stays mounted.
 * VSS_E_UNEXPECTED: there is no filesystem (the text says what is), the kernel does not mount it,
 * or path names another directory by now. */
HRESULT filesystem_mount_copy(const char *device, int device_fd, int mount_point_fd,
                              const char *path, struct error *err);

/* Unmounts what the table of mounts has at path, which is absolute, without symbolic links: nothing
 * else where path leads elsewhere by now. VSS_E_PROVIDER_VETO: in use, for a second;
 * VSS_E_OBJECT_NOT_FOUND: no such path; VSS_E_UNEXPECTED: path leads elsewhere, or anything else.
 */
HRESULT filesystem_unmount(const char *path, struct error *err);

#endif
