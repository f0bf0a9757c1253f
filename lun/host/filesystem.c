/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/filesystem.h"

#include <blkid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#define TYPE_BYTES 32
#define COPY_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV)

/* What is on the device: the type of a filesystem. */
static HRESULT probe(const char *device, int device_fd, char out_type[TYPE_BYTES],
                     struct error *err)
{
    const char *type = NULL;
    const char *usage = NULL;
    blkid_probe p = blkid_new_probe();
    if (!p) {
        return error_set(err, E_OUTOFMEMORY, "no memory to look at %s", device);
    }
    HRESULT hr = S_OK;
    if (blkid_probe_set_device(p, device_fd, 0, 0) != 0 ||
        blkid_probe_enable_superblocks(p, 1) != 0 ||
        blkid_probe_set_superblocks_flags(p, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE) != 0) {
        hr = error_set(err, VSS_E_UNEXPECTED, "cannot look at %s", device);
    } else if (blkid_do_safeprobe(p) != 0 ||
               blkid_probe_lookup_value(p, "TYPE", &type, NULL) != 0 ||
               blkid_probe_lookup_value(p, "USAGE", &usage, NULL) != 0) {
        hr = error_set(err, VSS_E_UNEXPECTED,
                       "the copy has no filesystem there: name the partition when the set is made, "
                       "or is it raw or damaged?");
    } else if (strcmp(usage, "filesystem") != 0 || strlen(type) >= TYPE_BYTES) {
        hr = error_set(err, VSS_E_UNEXPECTED, "the copy has no filesystem there, but %s", type);
    } else {
        (void)snprintf(out_type, TYPE_BYTES, "%s", type);
    }
    blkid_free_probe(p);
    return hr;
}

HRESULT filesystem_mount_copy(const char *device, int device_fd, const char *path,
                              struct error *err)
{
    char type[TYPE_BYTES];
    HRESULT hr = probe(device, device_fd, type, err);
    if (FAILED(hr)) {
        return hr;
    }
    const char *options = strcmp(type, "xfs") == 0 ? "nouuid" : "";
    if (mount(device, path, type, COPY_FLAGS, options) != 0) {
        return error_set(err, VSS_E_UNEXPECTED, "the kernel does not mount the copy's %s: %s", type,
                         strerror(errno));
    }
    return S_OK;
}

HRESULT filesystem_unmount(const char *path, struct error *err)
{
    if (umount2(path, UMOUNT_NOFOLLOW) == 0) {
        return S_OK;
    }
    if (errno == EBUSY) {
        return error_set(err, VSS_E_PROVIDER_VETO,
                         "%s is in use; `fuser -vm %s` names the processes", path, path);
    }
    return error_set(err, VSS_E_UNEXPECTED, "cannot unmount %s: %s", path, strerror(errno));
}
