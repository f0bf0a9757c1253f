/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host_device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Stacks of device mapper on RAID on partitions are shallow; a loop in a hostile tree is not. */
#define STACK_DEPTH_MAX 16
#define PAGE_BYTES_MAX  4096

/* Reads a sysfs attribute; returns its length, 0 where it is not there. */
static uint32_t read_attribute(const char *directory, const char *name, uint8_t *out, size_t room)
{
    char path[PATH_MAX]; /* no allocation, whose failure would look like an absence */
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t got = read(fd, out, room);
    (void)close(fd);
    return got > 0 ? (uint32_t)got : 0;
}

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "no memory to look for a LUN among this host's devices");
}

HRESULT host_device_identity(const char *directory, struct lun_identity *out, struct error *err)
{
    uint8_t page[PAGE_BYTES_MAX];
    *out = (struct lun_identity){0};
    uint32_t length = read_attribute(directory, "device/vpd_pg83", page, sizeof(page));
    HRESULT hr = length ? identity_parse_vpd83(page, length, out, NULL) : S_FALSE;
    if (length == 0 || FAILED(hr)) {
        identity_free(out);
        return hr == E_OUTOFMEMORY ? no_memory(err) : S_FALSE;
    }
    length = read_attribute(directory, "device/vpd_pg80", page, sizeof(page));
    if (length) {
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
    HRESULT hr = host_device_identity(directory, &found, err);
    if (hr != S_OK) {
        return hr;
    }
    bool is_it = lun_info_compare(info, &found.info) != LUN_DIFFERENT;
    identity_free(&found);
    return is_it ? S_OK : S_FALSE;
}

static void set_name(char out[HOST_DEVICE_NAME_BYTES], const char *name)
{
    (void)snprintf(out, HOST_DEVICE_NAME_BYTES, "%s", name);
}

HRESULT host_device_find(const char *sysfs, const struct vss_lun_info *info,
                         char out_name[HOST_DEVICE_NAME_BYTES], struct error *err)
{
    char path[PATH_MAX];
    out_name[0] = '\0';
    (void)snprintf(path, sizeof(path), "%s/block", sysfs);
    DIR *dir = opendir(path);
    HRESULT hr = S_FALSE; /* also of a host without block devices */
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && hr == S_FALSE; e = readdir(dir)) {
        if (e->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/block/%s", sysfs, e->d_name);
        hr = check_device(path, info, err);
        if (hr == S_OK) {
            set_name(out_name, e->d_name);
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return hr;
}

static HRESULT find_in_stack(const char *directory, const struct vss_lun_info *info, int depth,
                             char out_name[HOST_DEVICE_NAME_BYTES], struct error *err);

/* The devices that this one is made of. */
static HRESULT find_in_slaves(const char *directory, const struct vss_lun_info *info, int depth,
                              char out_name[HOST_DEVICE_NAME_BYTES], struct error *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/slaves", directory);
    DIR *dir = opendir(path);
    HRESULT hr = S_FALSE;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && hr == S_FALSE; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            (void)snprintf(path, sizeof(path), "%s/slaves/%s", directory, e->d_name);
            hr = find_in_stack(path, info, depth + 1, out_name, err);
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return hr;
}

static HRESULT find_in_stack(const char *directory, const struct vss_lun_info *info, int depth,
                             char out_name[HOST_DEVICE_NAME_BYTES], struct error *err)
{
    char partition[PATH_MAX];
    if (depth > STACK_DEPTH_MAX) {
        return S_FALSE;
    }
    char *real = realpath(directory, NULL);
    if (!real) {
        return errno == ENOMEM ? no_memory(err) : S_FALSE;
    }
    (void)snprintf(partition, sizeof(partition), "%s/partition", real);
    if (access(partition, F_OK) == 0) {
        char *slash = strrchr(real, '/'); /* a partition's directory lies in its disk's */
        *slash = '\0';
    }
    HRESULT hr = check_device(real, info, err);
    if (hr == S_OK) {
        const char *slash = strrchr(real, '/');
        set_name(out_name, slash ? slash + 1 : real);
    } else if (hr == S_FALSE) {
        hr = find_in_slaves(real, info, depth, out_name, err);
    }
    free(real);
    return hr;
}

HRESULT host_device_backs_path(const char *sysfs, const char *path, const struct vss_lun_info *info,
                               char out_name[HOST_DEVICE_NAME_BYTES], struct error *err)
{
    char device[PATH_MAX];
    out_name[0] = '\0';
    struct stat st;
    if (stat(path, &st) != 0) {
        return error_set_errno(err, errno, "cannot look at %s", path);
    }
    (void)snprintf(device, sizeof(device), "%s/dev/block/%u:%u", sysfs, major(st.st_dev),
                   minor(st.st_dev));
    return find_in_stack(device, info, 0, out_name, err);
}
