/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/stack.h"

#include "common/buffer.h"
#include "lun/host/export.h"
#include "lun/host/loop.h"
#include "lun/host/mounts.h"

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

/* Stacks are shallow; a loop in a hostile tree is not. */
#define DEPTH_MAX    16
#define PARTS_MAX    256
#define PAGE_BYTES   4096
#define SECTOR_BYTES 512u /* sysfs counts in these, whatever the disk's blocks are */
#define TEXT_BYTES   256

/* One way down. */
struct descent {
    const struct host_roots *roots;
    struct host_volume *volume;
    int depth;
};

/* What of a device is meant: bytes 0 is all of it. */
struct range {
    uint64_t offset;
    uint64_t bytes;
};

void host_volume_free(struct host_volume *volume)
{
    for (size_t i = 0; i < volume->part_count; i++) {
        lun_info_free(&volume->parts[i].info);
        free(volume->parts[i].url);
    }
    free(volume->parts);
    free(volume->device);
    free(volume->mount_point);
    free(volume->nested_file);
    memset(volume, 0, sizeof(*volume));
}

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "no memory to find the disks of a volume");
}

/* ---- sysfs ----------------------------------------------------------------------------------- */

/* An attribute's bytes; how many, 0 where it is not there. */
static uint32_t read_bytes(const char *directory, const char *name, uint8_t *out, size_t room)
{
    char path[PATH_MAX]; /* no allocation, whose failure would look like an absence */
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, out, room) : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return got > 0 ? (uint32_t)got : 0;
}

/* An attribute's line; false where it is not there. */
static bool read_line(const char *directory, const char *name, char out[TEXT_BYTES])
{
    uint32_t got = read_bytes(directory, name, (uint8_t *)out, TEXT_BYTES - 1);
    out[got] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return got > 0;
}

static uint64_t read_number(const char *directory, const char *name)
{
    char text[TEXT_BYTES];
    return read_line(directory, name, text) ? strtoull(text, NULL, 10) : 0;
}

static const char *name_of(const char *directory)
{
    const char *slash = strrchr(directory, '/');
    return slash ? slash + 1 : directory;
}

/* The device's directory without symbolic links. */
static HRESULT find_directory(const struct host_roots *roots, dev_t device, char **out,
                              struct error *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/dev/block/%u:%u", roots->sys, major(device),
                   minor(device));
    *out = realpath(path, NULL);
    if (*out) {
        return S_OK;
    }
    return errno == ENOMEM
               ? no_memory(err)
               : error_set(err, VSS_E_OBJECT_NOT_FOUND, "this host has no block device %u:%u",
                           major(device), minor(device));
}

/* ---- leaves ---------------------------------------------------------------------------------- */

static HRESULT append_part(struct descent *d, const char *directory, const struct range *range,
                           struct host_part **out, struct error *err)
{
    struct host_volume *v = d->volume;
    if (v->part_count >= PARTS_MAX) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED, "the volume lies on more than %d disks",
                         PARTS_MAX);
    }
    struct host_part *grown = realloc(v->parts, (v->part_count + 1) * sizeof(*grown));
    if (!grown) {
        return no_memory(err);
    }
    v->parts = grown;
    *out = &v->parts[v->part_count++];
    **out = (struct host_part){.offset_bytes = range->offset, .bytes = range->bytes};
    (void)snprintf((*out)->name, sizeof((*out)->name), "%s", name_of(directory));
    return S_OK;
}

/* A disk whose page 83 the kernel has read. S_FALSE: it is none. */
static HRESULT add_disk(struct descent *d, const char *directory, const struct range *range,
                        struct error *err)
{
    uint8_t page[PAGE_BYTES];
    struct host_part *part = NULL;
    struct lun_identity found = {0};
    uint32_t length = read_bytes(directory, "device/vpd_pg83", page, sizeof(page));
    HRESULT hr = length ? identity_parse_vpd83(page, length, &found, NULL) : S_FALSE;
    if (length == 0 || FAILED(hr)) {
        identity_free(&found);
        return hr == E_OUTOFMEMORY ? no_memory(err) : S_FALSE;
    }
    length = read_bytes(directory, "device/vpd_pg80", page, sizeof(page));
    if (length > 0) {
        (void)identity_parse_vpd80(page, length, &found, NULL);
    }
    hr = append_part(d, directory, range, &part, err);
    if (SUCCEEDED(hr)) {
        hr = lun_info_copy(&found.info, &part->info);
        (void)lun_info_key(&part->info, part->key);
    }
    identity_free(&found);
    return FAILED(hr) ? error_set(err, hr, "no memory to find the disks of a volume") : S_OK;
}

/* ---- layers ---------------------------------------------------------------------------------- */

static HRESULT descend(struct descent *d, const char *directory, struct range range,
                       struct error *err);

/* All devices in a folder of links to them ("slaves", btrfs's "devices"); *out_count of them. */
static HRESULT descend_into(struct descent *d, const char *folder, struct range range,
                            bool only_first, size_t *out_count, struct error *err)
{
    DIR *dir = opendir(folder);
    HRESULT hr = S_OK;
    *out_count = 0;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && SUCCEEDED(hr); e = readdir(dir)) {
        if (e->d_name[0] == '.' || (only_first && *out_count > 0)) {
            continue;
        }
        char path[PATH_MAX];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        char *real = realpath(path, NULL);
        if (real) {
            hr = descend(d, real, range, err);
        } else {
            hr = errno == ENOMEM ? no_memory(err)
                                 : error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s has gone", path);
        }
        (*out_count)++;
        free(real);
    }
    if (dir) {
        (void)closedir(dir);
    }
    return hr;
}

static HRESULT descend_partition(struct descent *d, const char *directory, struct range range,
                                 struct error *err)
{
    struct range whole = {.offset = read_number(directory, "start") * SECTOR_BYTES + range.offset,
                          .bytes = range.bytes ? range.bytes
                                               : read_number(directory, "size") * SECTOR_BYTES};
    char *disk = strndup(directory, (size_t)(name_of(directory) - directory) - 1);
    HRESULT hr = disk ? descend(d, disk, whole, err) : no_memory(err);
    free(disk);
    return hr;
}

/* A filesystem that has the file of a loop device: its disks are the volume's. */
static HRESULT descend_file(struct descent *d, const char *file, struct error *err)
{
    struct host_volume *v = d->volume;
    struct host_mount mount;
    if (!v->nested_file) {
        v->nested_file = text_copy(file);
        if (!v->nested_file) {
            return no_memory(err);
        }
    }
    v->nesting++;
    HRESULT hr = host_mount_find(d->roots->proc, file, &mount, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct error why = {0};
    char *directory = NULL;
    hr = major(mount.device) ? find_directory(d->roots, mount.device, &directory, &why)
                             : VSS_E_OBJECT_NOT_FOUND;
    if (SUCCEEDED(hr)) {
        hr = descend(d, directory, (struct range){0}, err);
    } else if (hr == VSS_E_OBJECT_NOT_FOUND) {
        hr = error_set(err, VSS_E_VOLUME_NOT_SUPPORTED, "%s is a file on %s (%s), on no disk here",
                       file, mount.path, mount.fs_type);
    } else {
        hr = error_set(err, hr, "%s", error_text(&why));
    }
    free(directory);
    host_mount_free(&mount);
    return hr;
}

static HRESULT descend_loop(struct descent *d, const char *directory, struct range range,
                            const char *file, struct error *err)
{
    char *url = NULL;
    char key[LUN_KEY_BYTES];
    struct host_part *part = NULL;
    HRESULT hr = export_identify(file, &url, key, err);
    if (hr == S_FALSE) {
        return descend_file(d, file, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    range.offset += read_number(directory, "loop/offset");
    range.bytes = range.bytes ? range.bytes : read_number(directory, "size") * SECTOR_BYTES;
    hr = append_part(d, directory, &range, &part, err);
    if (FAILED(hr)) {
        free(url);
        return hr;
    }
    part->url = url;
    (void)snprintf(part->key, sizeof(part->key), "%s", key);
    return S_OK;
}

/* Device mapper, RAID. Paths of one LUN are one LUN, and a partition that kpartx made of it is one
 * of it; all else is a device of its own upon others. */
static HRESULT descend_slaves(struct descent *d, const char *directory, struct range range,
                              struct error *err)
{
    char uuid[TEXT_BYTES] = "";
    size_t count = 0;
    char *folder = text_printf("%s/slaves", directory);
    if (!folder) {
        return no_memory(err);
    }
    bool is_multipath = read_line(directory, "dm/uuid", uuid) && strncmp(uuid, "mpath-", 6) == 0;
    d->volume->is_stacked = d->volume->is_stacked || !is_multipath;
    if (!is_multipath) {
        range = (struct range){0}; /* where in its slaves a byte lies is not looked at */
    }
    HRESULT hr = descend_into(d, folder, range, is_multipath, &count, err);
    if (SUCCEEDED(hr) && count == 0) {
        hr = error_set(err, VSS_E_VOLUME_NOT_SUPPORTED, "%s is no SCSI disk and lies on none",
                       name_of(directory));
    }
    free(folder);
    return hr;
}

static HRESULT descend(struct descent *d, const char *directory, struct range range,
                       struct error *err)
{
    char text[TEXT_BYTES];
    if (d->depth >= DEPTH_MAX) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s: devices lie upon each other more than %d deep", name_of(directory),
                         DEPTH_MAX);
    }
    d->depth++;
    HRESULT hr = S_FALSE;
    uint8_t file[PAGE_BYTES];
    uint32_t length = read_bytes(directory, "loop/backing_file", file, sizeof(file) - 1);
    file[length] = '\0';
    file[strcspn((const char *)file, "\n")] = '\0';
    if (read_line(directory, "partition", text)) {
        hr = descend_partition(d, directory, range, err);
    } else if (length > 0) {
        hr = descend_loop(d, directory, range, (const char *)file, err);
    } else {
        range.bytes = range.bytes ? range.bytes : read_number(directory, "size") * SECTOR_BYTES;
        hr = add_disk(d, directory, &range, err);
        hr = hr == S_FALSE ? descend_slaves(d, directory, range, err) : hr;
    }
    d->depth--;
    return hr;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* "/dev/mapper/NAME" of device mapper, else "/dev/NAME". */
static char *device_name(const char *directory)
{
    char name[TEXT_BYTES];
    return read_line(directory, "dm/name", name) ? text_printf("/dev/mapper/%s", name)
                                                 : text_printf("/dev/%s", name_of(directory));
}

static HRESULT find_in(const struct host_roots *roots, const char *directory,
                       struct host_volume *out, struct error *err)
{
    struct descent d = {.roots = roots, .volume = out};
    out->device = device_name(directory);
    HRESULT hr = out->device ? descend(&d, directory, (struct range){0}, err) : no_memory(err);
    out->is_stacked = out->is_stacked || out->part_count > 1;
    return hr;
}

HRESULT host_volume_of_device(const struct host_roots *roots, dev_t device, struct host_volume *out,
                              struct error *err)
{
    memset(out, 0, sizeof(*out));
    char *directory = NULL;
    HRESULT hr = find_directory(roots, device, &directory, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = find_in(roots, directory, out, err);
    if (FAILED(hr)) {
        host_volume_free(out);
    }
    free(directory);
    return hr;
}

/* The folder of links to the devices of the btrfs that has the device of that name; false where
 * there is none. */
static bool find_btrfs_folder(const struct host_roots *roots, const char *name, char out[PATH_MAX])
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/fs/btrfs", roots->sys);
    DIR *dir = opendir(path);
    bool is_found = false;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && !is_found; e = readdir(dir)) {
        (void)snprintf(path, sizeof(path), "%s/fs/btrfs/%s/devices/%s", roots->sys, e->d_name,
                       name);
        (void)snprintf(out, PATH_MAX, "%s/fs/btrfs/%s/devices", roots->sys, e->d_name);
        is_found = e->d_name[0] != '.' && access(path, F_OK) == 0;
    }
    if (dir) {
        (void)closedir(dir);
    }
    return is_found;
}

/* A btrfs has no device number of its own; its table row names one of its devices. */
static HRESULT find_btrfs(const struct host_roots *roots, const struct host_mount *mount,
                          struct host_volume *out, struct error *err)
{
    const char *name = mount->source ? name_of(mount->source) : "";
    char folder[PATH_MAX];
    struct descent d = {.roots = roots, .volume = out};
    size_t count = 0;
    if (!find_btrfs_folder(roots, name, folder)) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "the devices of the btrfs at %s are not known", mount->path);
    }
    out->device = text_printf("/dev/%s", name);
    HRESULT hr = out->device ? descend_into(&d, folder, (struct range){0}, false, &count, err)
                             : no_memory(err);
    out->is_stacked = out->is_stacked || count > 1 || out->part_count > 1;
    return hr;
}

static HRESULT find_mounted(const struct host_roots *roots, const struct host_mount *mount,
                            struct host_volume *out, struct error *err)
{
    HRESULT hr = S_OK;
    memset(out, 0, sizeof(*out));
    if (major(mount->device)) {
        hr = host_volume_of_device(roots, mount->device, out, err);
    } else if (strcmp(mount->fs_type, "btrfs") == 0) {
        hr = find_btrfs(roots, mount, out, err);
    } else {
        hr = error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                       "%s is a %s, which lies on no disk of this host", mount->path,
                       mount->fs_type);
    }
    if (SUCCEEDED(hr)) {
        out->mount_point = text_copy(mount->path);
        hr = out->mount_point ? S_OK : no_memory(err);
    }
    if (FAILED(hr)) {
        host_volume_free(out);
    }
    return hr;
}

static HRESULT find_by_path(const struct host_roots *roots, const char *name,
                            struct host_volume *out, struct error *err)
{
    struct host_mount mount;
    char *path = realpath(name, NULL);
    if (!path) {
        return error_set_errno(err, errno, "%.200s", name);
    }
    HRESULT hr = host_mount_find(roots->proc, path, &mount, err);
    if (FAILED(hr)) {
        free(path);
        return hr;
    }
    if (strcmp(mount.path, path) == 0) {
        hr = find_mounted(roots, &mount, out, err);
    } else {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND,
                       "%.200s is no volume: it lies on the one mounted at %s; name that", name,
                       mount.path);
    }
    host_mount_free(&mount);
    free(path);
    return hr;
}

HRESULT host_volume_find(const struct host_roots *roots, const char *name, struct host_volume *out,
                         struct error *err)
{
    struct stat st;
    memset(out, 0, sizeof(*out));
    if (stat(name, &st) != 0) {
        return error_set_errno(err, errno, "%.200s", name);
    }
    return S_ISBLK(st.st_mode) ? host_volume_of_device(roots, st.st_rdev, out, err)
                               : find_by_path(roots, name, out, err);
}

/* ---- the other way round --------------------------------------------------------------------- */

static bool lies_on(const struct host_volume *volume, const struct vss_lun_info *info)
{
    char key[LUN_KEY_BYTES];
    (void)lun_info_key(info, key);
    for (size_t i = 0; i < volume->part_count; i++) {
        const struct host_part *p = &volume->parts[i];
        if (p->url ? strcmp(p->key, key) == 0 : lun_info_compare(info, &p->info) != LUN_DIFFERENT) {
            return true;
        }
    }
    return false;
}

/* It is known what the volume lies on, and that is no LUN. Any other failure leaves it unknown. */
static bool lies_elsewhere(HRESULT hr)
{
    return hr == VSS_E_VOLUME_NOT_SUPPORTED || hr == VSS_E_OBJECT_NOT_FOUND;
}

HRESULT host_lun_mounted(const struct host_roots *roots, const struct vss_lun_info *info,
                         char **out_mount_point, struct error *err)
{
    struct host_mount *mounts = NULL;
    size_t count = 0;
    *out_mount_point = NULL;
    HRESULT hr = host_mounts_load(roots->proc, &mounts, &count, err);
    bool is_found = false;
    for (size_t i = 0; i < count && !is_found && SUCCEEDED(hr); i++) {
        struct host_volume volume;
        struct error why = {0};
        hr = find_mounted(roots, &mounts[i], &volume, &why);
        is_found = SUCCEEDED(hr) && lies_on(&volume, info);
        if (lies_elsewhere(hr)) {
            hr = S_OK;
        } else if (FAILED(hr)) {
            (void)error_set(err, hr, "what %s lies on is not known: %s", mounts[i].path,
                            error_text(&why));
        }
        host_volume_free(&volume);
        if (is_found) {
            *out_mount_point = text_copy(mounts[i].path);
            hr = *out_mount_point ? S_OK : no_memory(err);
        }
    }
    host_mounts_free(mounts, count);
    return FAILED(hr) ? hr : is_found ? S_OK : S_FALSE;
}
