/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host_device.h"

#include "common/buffer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
    char *path = text_printf("%s/%s", directory, name);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    free(path);
    if (fd < 0) {
        return 0;
    }
    ssize_t got = read(fd, out, room);
    (void)close(fd);
    return got > 0 ? (uint32_t)got : 0;
}

/* True where the device whose directory this is has the identity, or one that contradicts it. */
static bool is_device(const char *directory, const struct vss_lun_info *info)
{
    uint8_t page[PAGE_BYTES_MAX];
    struct lun_identity found = {0};
    uint32_t length = read_attribute(directory, "device/vpd_pg83", page, sizeof(page));
    if (length == 0 || FAILED(identity_parse_vpd83(page, length, &found, NULL))) {
        identity_free(&found);
        return false;
    }
    length = read_attribute(directory, "device/vpd_pg80", page, sizeof(page));
    if (length) {
        (void)identity_parse_vpd80(page, length, &found, NULL);
    }
    bool is_it = lun_info_compare(info, &found.info) != LUN_DIFFERENT;
    identity_free(&found);
    return is_it;
}

static void set_name(char out[HOST_DEVICE_NAME_BYTES], const char *name)
{
    (void)snprintf(out, HOST_DEVICE_NAME_BYTES, "%s", name);
}

HRESULT host_device_find(const char *sysfs, const struct vss_lun_info *info,
                         char out_name[HOST_DEVICE_NAME_BYTES], struct error *err)
{
    out_name[0] = '\0';
    char *top = text_printf("%s/block", sysfs);
    DIR *dir = top ? opendir(top) : NULL;
    if (!dir) {
        free(top);
        return S_FALSE; /* a host without block devices */
    }
    HRESULT hr = S_FALSE;
    for (struct dirent *e = readdir(dir); e && hr == S_FALSE; e = readdir(dir)) {
        char *device = e->d_name[0] == '.' ? NULL : text_printf("%s/%s", top, e->d_name);
        if (device && is_device(device, info)) {
            set_name(out_name, e->d_name);
            hr = S_OK;
        }
        free(device);
    }
    (void)closedir(dir);
    free(top);
    (void)err;
    return hr;
}

static bool stack_has(const char *directory, const struct vss_lun_info *info, int depth,
                      char out_name[HOST_DEVICE_NAME_BYTES]);

/* The devices that this one is made of. */
static bool any_slave_has(const char *directory, const struct vss_lun_info *info, int depth,
                          char out_name[HOST_DEVICE_NAME_BYTES])
{
    char *slaves = text_printf("%s/slaves", directory);
    DIR *dir = slaves ? opendir(slaves) : NULL;
    bool found = false;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && !found; e = readdir(dir)) {
        char *slave = e->d_name[0] == '.' ? NULL : text_printf("%s/%s", slaves, e->d_name);
        found = slave && stack_has(slave, info, depth + 1, out_name);
        free(slave);
    }
    if (dir) {
        (void)closedir(dir);
    }
    free(slaves);
    return found;
}

static bool stack_has(const char *directory, const struct vss_lun_info *info, int depth,
                      char out_name[HOST_DEVICE_NAME_BYTES])
{
    if (depth > STACK_DEPTH_MAX) {
        return false;
    }
    char *real = realpath(directory, NULL);
    if (!real) {
        return false;
    }
    char *partition = text_printf("%s/partition", real);
    if (partition && access(partition, F_OK) == 0) {
        char *slash = strrchr(real, '/'); /* a partition's directory lies in its disk's */
        *slash = '\0';
    }
    free(partition);
    bool found = is_device(real, info);
    if (found) {
        const char *slash = strrchr(real, '/');
        set_name(out_name, slash ? slash + 1 : real);
    } else {
        found = any_slave_has(real, info, depth, out_name);
    }
    free(real);
    return found;
}

HRESULT host_device_backs_path(const char *sysfs, const char *path, const struct vss_lun_info *info,
                               char out_name[HOST_DEVICE_NAME_BYTES], struct error *err)
{
    out_name[0] = '\0';
    struct stat st;
    if (stat(path, &st) != 0) {
        return error_set_errno(err, errno, "cannot look at %s", path);
    }
    char *device = text_printf("%s/dev/block/%u:%u", sysfs, major(st.st_dev), minor(st.st_dev));
    if (!device) {
        return error_set(err, E_OUTOFMEMORY, "out of memory looking at %s", path);
    }
    HRESULT hr = stack_has(device, info, 0, out_name) ? S_OK : S_FALSE;
    free(device);
    return hr;
}
