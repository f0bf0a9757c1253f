/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_HOST_FILESYSTEM_H
#define LUNSHADOW_LUN_HOST_FILESYSTEM_H

#include "common/error.h"

/* Mounting a filesystem of a copy beside its original. */

/* Mounts what device (opened as device_fd) has at path: read-only, without device nodes and set-ID
 * programs, and so that its identifiers, which are its original's too, collide with nothing (XFS:
 * nouuid). The log of a filesystem that was in use is replayed, for which the device must take
 * writes. VSS_E_UNEXPECTED: there is no filesystem (the text says what is), or the kernel does not
 * mount it. */
HRESULT filesystem_mount_copy(const char *device, int device_fd, const char *path,
                              struct error *err);

/* Unmounts what is at path. VSS_E_PROVIDER_VETO: in use; VSS_E_UNEXPECTED: anything else. */
HRESULT filesystem_unmount(const char *path, struct error *err);

#endif
