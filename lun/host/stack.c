/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/stack.h"

#include "common/buffer.h"
#include "common/log.h"
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

/* One way down. What is found to be no disk of a LUN does not end it: other legs may be. */
struct descent {
    const struct host_roots *roots;
    const char *process; /* whose table of mounts names the files on the way; NULL: this one's */
    struct host_volume *volume;
    int depth;
    struct error elsewhere; /* set: a leg ends at what is no LUN's disk for sure; which */
    struct error untold;    /* set: a filesystem on disks that it does not name; which */
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

/* An attribute's line; S_FALSE where it is not there. */
static HRESULT read_line(const char *directory, const char *name, char out[TEXT_BYTES],
                         struct error *err)
{
    uint32_t got = 0;
    HRESULT hr = host_device_read(directory, name, (uint8_t *)out, TEXT_BYTES - 1, &got, err);
    out[got] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return hr;
}

/* A number that every such device has: no extent is made up of what could not be read. */
static HRESULT read_number(const char *directory, const char *name, uint64_t *out,
                           struct error *err)
{
    char text[TEXT_BYTES];
    char *end = NULL;
    *out = 0;
    HRESULT hr = read_line(directory, name, text, err);
    if (hr == S_FALSE) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s has gone; try again", directory);
    }
    if (FAILED(hr)) {
        return hr;
    }
    *out = strtoull(text, &end, 10);
    return end != text && *end == '\0'
               ? S_OK
               : error_set(err, VSS_E_UNEXPECTED, "%s/%s is not a number", directory, name);
}

/* The bytes of all of a device, where not a part of it is meant. */
static HRESULT complete_range(const char *directory, struct range *range, struct error *err)
{
    uint64_t sectors = 0;
    if (range->bytes) {
        return S_OK;
    }
    HRESULT hr = read_number(directory, "size", &sectors, err);
    range->bytes = sectors * SECTOR_BYTES;
    return hr;
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
    return errno == ENOENT
               ? error_set(err, VSS_E_OBJECT_NOT_FOUND, "this host has no block device %u:%u",
                           major(device), minor(device))
               : error_set_errno(err, errno, "cannot look at %s", path);
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
    struct host_part *part = NULL;
    struct lun_identity found = {0};
    HRESULT hr = host_device_identity(directory, &found, err);
    if (hr == VSS_E_OBJECT_NOT_FOUND) { /* the disk is there, who it is is not known */
        return error_translate(err, VSS_E_VOLUME_NOT_SUPPORTED);
    }
    if (hr != S_OK) {
        return hr;
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

static HRESULT descend_link(struct descent *d, const char *folder, const char *name,
                            struct range range, struct error *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    char *real = realpath(path, NULL);
    if (!real) {
        return errno == ENOENT
                   ? error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s has gone; try again", path)
                   : error_set_errno(err, errno, "cannot look at %s", path);
    }
    HRESULT hr = descend(d, real, range, err);
    free(real);
    return hr;
}

/* All devices in a folder of links to them ("slaves", btrfs's "devices"); *out_count of them, none
 * where there is no such folder. */
static HRESULT descend_into(struct descent *d, const char *folder, struct range range,
                            bool only_first, size_t *out_count, struct error *err)
{
    *out_count = 0;
    DIR *dir = opendir(folder);
    if (!dir) {
        return errno == ENOENT || errno == ENOTDIR
                   ? S_OK
                   : error_set_errno(err, errno, "cannot read %s", folder);
    }
    HRESULT hr = S_OK;
    errno = 0;
    for (struct dirent *e = readdir(dir); e && SUCCEEDED(hr); e = readdir(dir)) {
        if (e->d_name[0] != '.' && !(only_first && *out_count > 0)) {
            hr = descend_link(d, folder, e->d_name, range, err);
            (*out_count)++;
        }
        errno = 0; /* of readdir(), which says so of its failures alone */
    }
    if (SUCCEEDED(hr) && errno != 0) {
        hr = error_set_errno(err, errno, "cannot read %s", folder);
    }
    (void)closedir(dir);
    return hr;
}

static HRESULT descend_partition(struct descent *d, const char *directory, struct range range,
                                 struct error *err)
{
    uint64_t start = 0;
    HRESULT hr = read_number(directory, "start", &start, err);
    if (SUCCEEDED(hr)) {
        hr = complete_range(directory, &range, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    range.offset += start * SECTOR_BYTES;
    char *disk = strndup(directory, (size_t)(name_of(directory) - directory) - 1);
    hr = disk ? descend(d, disk, range, err) : no_memory(err);
    free(disk);
    return hr;
}

static HRESULT descend_file(struct descent *d, const char *file, struct error *err);

/* The file of a loop device may be an export here, or where another process has the device. */
static HRESULT identify_file(const struct descent *d, const char *file, char **out_url,
                             char out_key[LUN_KEY_BYTES], struct error *err)
{
    HRESULT hr = export_identify(file, out_url, out_key, err);
    if (hr != S_FALSE || !d->process) {
        return hr;
    }
    char *there = text_printf("%s/%s/root%s", d->roots->proc, d->process, file);
    hr = there ? export_identify(there, out_url, out_key, err) : no_memory(err);
    free(there);
    return hr;
}

static HRESULT descend_loop(struct descent *d, const char *directory, struct range range,
                            const char *file, struct error *err)
{
    char *url = NULL;
    char key[LUN_KEY_BYTES];
    struct host_part *part = NULL;
    HRESULT hr = identify_file(d, file, &url, key, err);
    if (hr == S_FALSE) {
        return descend_file(d, file, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    uint64_t start = 0;
    hr = read_number(directory, "loop/offset", &start, err);
    range.offset += start;
    if (SUCCEEDED(hr)) {
        hr = complete_range(directory, &range, err);
    }
    if (SUCCEEDED(hr)) {
        hr = append_part(d, directory, &range, &part, err);
    }
    if (FAILED(hr)) {
        free(url);
        return hr;
    }
    part->url = url;
    (void)snprintf(part->key, sizeof(part->key), "%s", key);
    return S_OK;
}

/* It lies on no other. A device that has gone meanwhile has nothing in sysfs either. */
static HRESULT end_leaf(struct descent *d, const char *directory, struct error *err)
{
    char size[TEXT_BYTES];
    uint32_t length = 0;
    HRESULT hr = host_device_read(directory, "size", (uint8_t *)size, sizeof(size), &length, err);
    if (hr == S_FALSE) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s has gone; try again", directory);
    }
    (void)error_set(&d->elsewhere, VSS_E_VOLUME_NOT_SUPPORTED,
                    "%s is no SCSI disk and lies on none", name_of(directory));
    return hr;
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
    HRESULT hr = read_line(directory, "dm/uuid", uuid, err);
    if (FAILED(hr)) {
        free(folder);
        return hr;
    }
    bool is_multipath = strncmp(uuid, "mpath-", 6) == 0;
    d->volume->is_stacked = d->volume->is_stacked || !is_multipath;
    if (!is_multipath) {
        range = (struct range){0}; /* where in its slaves a byte lies is not looked at */
    }
    hr = descend_into(d, folder, range, is_multipath, &count, err);
    if (SUCCEEDED(hr) && count == 0) {
        hr = end_leaf(d, directory, err);
    }
    free(folder);
    return hr;
}

/* What a loop device is of, and whether it is a partition, decide where the way goes. */
static HRESULT descend(struct descent *d, const char *directory, struct range range,
                       struct error *err)
{
    uint8_t text[TEXT_BYTES];
    uint8_t file[PAGE_BYTES];
    uint32_t length = 0;
    if (d->depth >= DEPTH_MAX) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s: devices lie upon each other more than %d deep", name_of(directory),
                         DEPTH_MAX);
    }
    HRESULT hr = host_device_read(directory, "partition", text, sizeof(text), &length, err);
    bool is_partition = hr == S_OK;
    if (SUCCEEDED(hr)) {
        hr = host_device_read(directory, "loop/backing_file", file, sizeof(file) - 1, &length, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    file[length] = '\0';
    file[strcspn((const char *)file, "\n")] = '\0';
    d->depth++;
    if (is_partition) {
        hr = descend_partition(d, directory, range, err);
    } else if (length > 0) {
        hr = descend_loop(d, directory, range, (const char *)file, err);
    } else {
        hr = complete_range(directory, &range, err);
        hr = SUCCEEDED(hr) ? add_disk(d, directory, &range, err) : hr;
        hr = hr == S_FALSE ? descend_slaves(d, directory, range, err) : hr;
    }
    d->depth--;
    return hr;
}

/* "/dev/mapper/NAME" of device mapper, else "/dev/NAME". */
static HRESULT find_name(const char *directory, char **out, struct error *err)
{
    char name[TEXT_BYTES];
    HRESULT hr = read_line(directory, "dm/name", name, err);
    if (FAILED(hr)) {
        return hr;
    }
    *out = hr == S_OK ? text_printf("/dev/mapper/%s", name)
                      : text_printf("/dev/%s", name_of(directory));
    return *out ? S_OK : no_memory(err);
}

/* ---- mounts ---------------------------------------------------------------------------------- */

static bool is_absent(int reason)
{
    return reason == ENOENT || reason == ENOTDIR;
}

/* The directory of the device that a mount is of. S_FALSE: it is of none, or does not name it. */
static HRESULT find_mount_directory(const struct host_roots *roots, const struct host_mount *mount,
                                    char **out, struct error *err)
{
    struct stat st;
    *out = NULL;
    if (major(mount->device)) {
        return find_directory(roots, mount->device, out, err);
    }
    /* Elsewhere than in /dev a source is no device, and to look at it may wait for a server. */
    const char *source = mount->source ? mount->source : "";
    if (source[0] != '/' || !strstr(source, "/dev/")) {
        return S_FALSE;
    }
    if (stat(source, &st) != 0) {
        return is_absent(errno) ? S_FALSE
                                : error_set_errno(err, errno, "cannot look at %.200s", source);
    }
    return S_ISBLK(st.st_mode) ? find_directory(roots, st.st_rdev, out, err) : S_FALSE;
}

/* The folder of links to the devices of the btrfs that has the device of that name. S_FALSE: none
 * has. */
static HRESULT find_btrfs_folder(const struct host_roots *roots, const char *name,
                                 char out[PATH_MAX], struct error *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/fs/btrfs", roots->sys);
    DIR *dir = opendir(path);
    if (!dir) {
        return errno == ENOENT ? S_FALSE : error_set_errno(err, errno, "cannot read %s", path);
    }
    HRESULT hr = S_FALSE;
    errno = 0;
    for (struct dirent *e = readdir(dir); e && hr == S_FALSE; e = readdir(dir)) {
        (void)snprintf(path, sizeof(path), "%s/fs/btrfs/%s/devices/%s", roots->sys, e->d_name,
                       name);
        (void)snprintf(out, PATH_MAX, "%s/fs/btrfs/%s/devices", roots->sys, e->d_name);
        if (e->d_name[0] != '.' && access(path, F_OK) == 0) {
            hr = S_OK;
        } else if (e->d_name[0] != '.' && errno != ENOENT && errno != ENOTDIR) {
            hr = error_set_errno(err, errno, "cannot look at %s", path);
        }
        errno = 0; /* of readdir(), which says so of its failures alone */
    }
    if (hr == S_FALSE && errno != 0) {
        hr = error_set_errno(err, errno, "cannot read %s/fs/btrfs", roots->sys);
    }
    (void)closedir(dir);
    return hr;
}

/* A btrfs has no device number of its own; its table row names one of its devices, by any of the
 * device's names. The kernel's own, which sysfs has, is directory's. */
static HRESULT descend_btrfs(struct descent *d, const struct host_mount *mount,
                             const char *directory, struct error *err)
{
    const char *name = directory ? name_of(directory) : mount->source ? name_of(mount->source) : "";
    char folder[PATH_MAX];
    size_t count = 0;
    HRESULT hr = *name ? find_btrfs_folder(d->roots, name, folder, err) : S_FALSE;
    if (hr == S_OK) {
        hr = descend_into(d, folder, (struct range){0}, false, &count, err);
        d->volume->is_stacked = d->volume->is_stacked || count > 1;
    }
    if (SUCCEEDED(hr) && count == 0) {
        (void)error_set(&d->untold, VSS_E_VOLUME_NOT_SUPPORTED,
                        "the devices of the btrfs at %s are not known", mount->path);
    }
    return hr;
}

/* Filesystems on disks of which neither the table of mounts nor sysfs tells. */
static bool hides_disks(const char *fs_type)
{
    return strcmp(fs_type, "zfs") == 0 || strcmp(fs_type, "bcachefs") == 0;
}

static HRESULT name_mounted(const struct host_mount *mount, const char *directory, char **out,
                            struct error *err)
{
    if (directory) {
        return find_name(directory, out, err);
    }
    *out = mount->source ? text_printf("/dev/%s", name_of(mount->source)) : text_copy("");
    return *out ? S_OK : no_memory(err);
}

/* out_device: NULL, or the name of the device that the mount is of. */
static HRESULT descend_mount(struct descent *d, const struct host_mount *mount, char **out_device,
                             struct error *err)
{
    char *directory = NULL;
    HRESULT hr = find_mount_directory(d->roots, mount, &directory, err);
    if (SUCCEEDED(hr) && out_device) {
        hr = name_mounted(mount, directory, out_device, err);
    }
    if (FAILED(hr)) {
        free(directory);
        return hr;
    }
    if (strcmp(mount->fs_type, "btrfs") == 0) {
        hr = descend_btrfs(d, mount, directory, err);
    } else if (directory) {
        hr = descend(d, directory, (struct range){0}, err);
    } else if (hides_disks(mount->fs_type)) {
        (void)error_set(&d->untold, VSS_E_VOLUME_NOT_SUPPORTED,
                        "%s is a %s, which does not tell the disks that it lies on", mount->path,
                        mount->fs_type);
    } else {
        (void)error_set(&d->elsewhere, VSS_E_VOLUME_NOT_SUPPORTED,
                        "%s is a %s, which lies on no disk of this host", mount->path,
                        mount->fs_type);
    }
    free(directory);
    return FAILED(hr) ? hr : S_OK;
}

static HRESULT find_file_mount(const struct descent *d, const char *file, struct host_mount *out,
                               struct error *err)
{
    HRESULT hr =
        d->process ? host_mount_find_of(d->roots->proc, d->process, file, out, err) : S_FALSE;
    return hr == S_FALSE ? host_mount_find(d->roots->proc, file, out, err) : hr;
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
    HRESULT hr = find_file_mount(d, file, &mount, err);
    if (SUCCEEDED(hr)) {
        hr = descend_mount(d, &mount, NULL, err);
        host_mount_free(&mount);
    }
    return hr;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* The end of every way down for a volume, all of which must lie on disks of LUNs. */
static HRESULT end_volume(const struct descent *d, HRESULT hr, struct error *err)
{
    d->volume->is_stacked = d->volume->is_stacked || d->volume->part_count > 1;
    if (SUCCEEDED(hr) && FAILED(d->untold.code)) {
        hr = error_set(err, d->untold.code, "%s", d->untold.text);
    } else if (SUCCEEDED(hr) && FAILED(d->elsewhere.code)) {
        hr = error_set(err, d->elsewhere.code, "%s", d->elsewhere.text);
    }
    if (FAILED(hr)) {
        host_volume_free(d->volume);
    }
    return hr;
}

HRESULT host_volume_of_device(const struct host_roots *roots, dev_t device, struct host_volume *out,
                              struct error *err)
{
    memset(out, 0, sizeof(*out));
    struct descent d = {.roots = roots, .volume = out};
    char *directory = NULL;
    HRESULT hr = find_directory(roots, device, &directory, err);
    if (SUCCEEDED(hr)) {
        hr = find_name(directory, &out->device, err);
    }
    if (SUCCEEDED(hr)) {
        hr = descend(&d, directory, (struct range){0}, err);
    }
    free(directory);
    return end_volume(&d, hr, err);
}

static HRESULT find_mounted(const struct host_roots *roots, const struct host_mount *mount,
                            struct host_volume *out, struct error *err)
{
    memset(out, 0, sizeof(*out));
    struct descent d = {.roots = roots, .volume = out};
    HRESULT hr = descend_mount(&d, mount, &out->device, err);
    if (SUCCEEDED(hr)) {
        out->mount_point = text_copy(mount->path);
        hr = out->mount_point ? S_OK : no_memory(err);
    }
    return end_volume(&d, hr, err);
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

static const struct host_part *find_part(const struct host_volume *volume,
                                         const struct vss_lun_info *info)
{
    char key[LUN_KEY_BYTES];
    (void)lun_info_key(info, key);
    for (size_t i = 0; i < volume->part_count; i++) {
        const struct host_part *p = &volume->parts[i];
        if (p->url ? strcmp(p->key, key) == 0 : lun_info_compare(info, &p->info) != LUN_DIFFERENT) {
            return p;
        }
    }
    return NULL;
}

/* A filesystem does not tell its disks: the LUN is one of them only where this host has it. */
static HRESULT judge_untold(const struct descent *d, const struct vss_lun_info *info,
                            struct error *err)
{
    char device[HOST_DEVICE_NAME_BYTES];
    HRESULT hr = host_device_find(d->roots->sys, info, device, err);
    return hr == S_OK ? error_set(err, VSS_E_UNEXPECTED,
                                  "%s, and %s may be one of them; where it is not, take the device "
                                  "away from this host (log out of its target)",
                                  d->untold.text, device)
                      : hr;
}

/* Does what a way down has found lie on the LUN? S_OK and the name of its part; S_FALSE: for sure
 * not. One leg that is the LUN decides, whatever the others are, and were they not to be known. */
static HRESULT judge(const struct descent *d, HRESULT hr, const struct vss_lun_info *info,
                     char out_name[HOST_DEVICE_NAME_BYTES], struct error *err)
{
    const struct host_part *part = find_part(d->volume, info);
    if (part) {
        (void)snprintf(out_name, HOST_DEVICE_NAME_BYTES, "%s", part->name);
        return S_OK;
    }
    if (FAILED(hr)) {
        return hr;
    }
    return FAILED(d->untold.code) ? judge_untold(d, info, err) : S_FALSE;
}

/* As judge(), and ends the way down. An unknown answer has a code of its own: to a caller that
 * looks for a LUN or a volume "not found" or "not supported" would mean that. */
static HRESULT end_judged(const struct descent *d, HRESULT hr, const char *what,
                          const struct vss_lun_info *info, char out_name[HOST_DEVICE_NAME_BYTES],
                          struct error *why, struct error *err)
{
    hr = judge(d, hr, info, out_name, why);
    if (hr == VSS_E_VOLUME_NOT_SUPPORTED || hr == VSS_E_OBJECT_NOT_FOUND) {
        hr = VSS_E_UNEXPECTED;
    }
    host_volume_free(d->volume);
    return FAILED(hr)
               ? error_set(err, hr, "what %s lies on is not known: %s", what, error_text(why))
               : hr;
}

HRESULT host_mount_lies_on(const struct host_roots *roots, const char *process,
                           const struct host_mount *mount, const struct vss_lun_info *info,
                           char out_name[HOST_DEVICE_NAME_BYTES], struct error *err)
{
    struct host_volume volume = {0};
    struct descent d = {.roots = roots, .process = process, .volume = &volume};
    struct error why = {0};
    HRESULT hr = descend_mount(&d, mount, NULL, &why);
    return end_judged(&d, hr, mount->path, info, out_name, &why, err);
}

/* The table may have a mount that another one hides. */
static dev_t device_of(const struct host_mount *mount, const struct stat *st)
{
    return major(st->st_dev) ? st->st_dev : mount->device;
}

/* The kernel's name of a device, where this process has no file for it. S_FALSE: it is none. */
static HRESULT find_named(const struct host_roots *roots, const char *name, char **out,
                          struct error *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/class/block/%s", roots->sys, name);
    *out = realpath(path, NULL);
    return *out              ? S_OK
           : errno == ENOENT ? S_FALSE
                             : error_set_errno(err, errno, "cannot look at %s", path);
}

static HRESULT descend_swap_device(struct descent *d, const char *file, const struct stat *st,
                                   struct error *err)
{
    char *directory = NULL;
    HRESULT hr = st ? find_directory(d->roots, st->st_rdev, &directory, err)
                    : find_named(d->roots, name_of(file), &directory, err);
    if (hr == S_OK) {
        hr = descend(d, directory, (struct range){0}, err);
    } else if (hr == S_FALSE) {
        (void)error_set(&d->untold, VSS_E_VOLUME_NOT_SUPPORTED,
                        "%s is used for swap, and is not there", file);
    }
    free(directory);
    return hr;
}

static HRESULT descend_swap_file(struct descent *d, const char *file, const struct stat *st,
                                 struct error *err)
{
    struct host_mount mount;
    HRESULT hr = host_mount_find(d->roots->proc, file, &mount, err);
    if (SUCCEEDED(hr)) {
        mount.device = device_of(&mount, st);
        hr = descend_mount(d, &mount, NULL, err);
        host_mount_free(&mount);
    }
    return hr;
}

HRESULT host_swap_lies_on(const struct host_roots *roots, const char *file,
                          const struct vss_lun_info *info, char out_name[HOST_DEVICE_NAME_BYTES],
                          struct error *err)
{
    struct stat st;
    struct host_volume volume = {0};
    struct descent d = {.roots = roots, .volume = &volume};
    struct error why = {0};
    HRESULT hr = S_OK;
    bool is_here = stat(file, &st) == 0;
    if (!is_here && !is_absent(errno)) {
        hr = error_set_errno(&why, errno, "cannot look at %.200s", file);
    } else if (is_here && !S_ISBLK(st.st_mode)) {
        hr = descend_swap_file(&d, file, &st, &why);
    } else {
        hr = descend_swap_device(&d, file, is_here ? &st : NULL, &why);
    }
    return end_judged(&d, hr, file, info, out_name, &why, err);
}

HRESULT host_path_lies_on(const struct host_roots *roots, const char *path,
                          const struct vss_lun_info *info, char out_name[HOST_DEVICE_NAME_BYTES],
                          struct error *err)
{
    struct stat st;
    struct host_mount mount = {0};
    char *real = realpath(path, NULL);
    out_name[0] = '\0';
    if (!real || stat(real, &st) != 0) {
        HRESULT failed = error_set_errno(err, errno, "cannot look at %s", path);
        free(real);
        return failed;
    }
    HRESULT hr = host_mount_find(roots->proc, real, &mount, err);
    if (SUCCEEDED(hr) && hides_disks(mount.fs_type)) {
        log_line(LOG_WARNING, "%s lies on a %s: whether that lies on a LUN cannot be told", path,
                 mount.fs_type);
        hr = S_FALSE;
    } else if (SUCCEEDED(hr)) {
        mount.device = device_of(&mount, &st);
        hr = host_mount_lies_on(roots, NULL, &mount, info, out_name, err);
    }
    host_mount_free(&mount);
    free(real);
    return hr;
}
