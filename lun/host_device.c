/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host_device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAGE_BYTES_MAX 4096
#define VPD_HEADER     4u

HRESULT host_device_read(const char *directory, const char *name, uint8_t *out, size_t room,
                         uint32_t *out_length, struct error *err)
{
    char path[PATH_MAX]; /* no allocation, whose failure would look like an absence */
    *out_length = 0;
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? S_FALSE
                   : error_set_errno(err, errno, "cannot open %s", path);
    }
    ssize_t got = read(fd, out, room);
    int reason = errno;
    (void)close(fd);
    if (got < 0) {
        return error_set_errno(err, reason, "cannot read %s", path);
    }
    *out_length = (uint32_t)got;
    return got > 0 ? S_OK : S_FALSE;
}

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "no memory to look for a LUN among this host's devices");
}

static const char *name_of(const char *directory)
{
    const char *slash = strrchr(directory, '/');
    return slash ? slash + 1 : directory;
}

/* Without a page 83: does the kernel know that there is one, and failed to read it? */
static HRESULT check_page_absent(const char *directory, struct error *err)
{
    uint8_t page[PAGE_BYTES_MAX];
    uint32_t length = 0;
    HRESULT hr = host_device_read(directory, "device/vpd_pg0", page, sizeof(page), &length, err);
    for (uint32_t i = VPD_HEADER; i < length; i++) {
        if (page[i] == 0x83) {
            return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                             "the kernel could not read page 83 of %s; have it scan the disk again",
                             name_of(directory));
        }
    }
    return FAILED(hr) ? hr : S_FALSE;
}

HRESULT host_device_identity(const char *directory, struct lun_identity *out, struct error *err)
{
    uint8_t page[PAGE_BYTES_MAX];
    uint32_t length = 0;
    struct error why = {0};
    *out = (struct lun_identity){0};
    HRESULT hr = host_device_read(directory, "device/vpd_pg83", page, sizeof(page), &length, err);
    if (hr == S_FALSE) {
        return check_page_absent(directory, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    hr = identity_parse_vpd83(page, length, out, &why);
    if (FAILED(hr)) {
        identity_free(out);
        return hr == E_OUTOFMEMORY ? no_memory(err)
                                   : error_set(err, VSS_E_VOLUME_NOT_SUPPORTED, "%s: %s",
                                               name_of(directory), error_text(&why));
    }
    /* without its serial number it is no less found */
    if (host_device_read(directory, "device/vpd_pg80", page, sizeof(page), &length, NULL) == S_OK) {
        (void)identity_parse_vpd80(page, length, out, NULL);
    }
    return S_OK;
}

/* S_OK where the device whose directory this is has the identity, or one that contradicts it; else
 * S_FALSE. */
static HRESULT check_device(const char *directory, const struct vss_lun_info *info,
                            struct error *err)
{
    struct lun_identity found = {0};
    struct error why = {0};
    HRESULT hr = host_device_identity(directory, &found, &why);
    if (hr == VSS_E_VOLUME_NOT_SUPPORTED) {
        return S_FALSE; /* what the kernel has of it is no LUN's page 83 */
    }
    if (FAILED(hr)) {
        return error_set(err, hr, "%s", error_text(&why));
    }
    if (hr != S_OK) {
        return hr;
    }
    bool is_it = lun_info_compare(info, &found.info) != LUN_DIFFERENT;
    identity_free(&found);
    return is_it ? S_OK : S_FALSE;
}

HRESULT host_device_find(const char *sysfs, const struct vss_lun_info *info,
                         char out_name[HOST_DEVICE_NAME_BYTES], struct error *err)
{
    char path[PATH_MAX];
    out_name[0] = '\0';
    (void)snprintf(path, sizeof(path), "%s/block", sysfs);
    DIR *dir = opendir(path);
    if (!dir) { /* a host without block devices has no such folder */
        return errno == ENOENT ? S_FALSE : error_set_errno(err, errno, "cannot read %s", path);
    }
    HRESULT hr = S_FALSE;
    errno = 0;
    for (struct dirent *e = readdir(dir); e && hr == S_FALSE; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            (void)snprintf(path, sizeof(path), "%s/block/%s", sysfs, e->d_name);
            hr = check_device(path, info, err);
            if (hr == S_OK) {
                (void)snprintf(out_name, HOST_DEVICE_NAME_BYTES, "%s", e->d_name);
            }
        }
        errno = 0; /* of readdir(), which says so of its failures alone */
    }
    if (hr == S_FALSE && errno != 0) {
        hr = error_set_errno(err, errno, "cannot read %s/block", sysfs);
    }
    (void)closedir(dir);
    return hr;
}
