/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/filesystem.h"

#include "common/clock.h"
#include "lun/host/mounts.h"

#include <blkid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define TYPE_BYTES      32
#define BUSY_TRIES      50
#define BUSY_PAUSE_MS   20
#define COPY_ATTRIBUTES (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* ---- the mount point ------------------------------------------------------------------------- */

static bool is_empty_directory(int directory)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    size_t count = 0;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && count < 3; e = readdir(dir)) {
        count++;
    }
    bool is_empty = dir && count == 2; /* "." and ".." */
    if (dir) {
        (void)closedir(dir);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    return is_empty;
}

static bool is_mount_point(int directory)
{
    struct statx st;
    return statx(directory, "", AT_EMPTY_PATH, STATX_TYPE, &st) == 0 &&
           (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

HRESULT filesystem_open_mount_point(const char *path, int *out_fd, struct error *err)
{
    *out_fd = -1;
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool is_mounted = fd >= 0 && is_mount_point(fd);
    if (fd >= 0 && !is_mounted && is_empty_directory(fd)) {
        *out_fd = fd;
        return S_OK;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return error_set(err, E_INVALIDARG, "%s is %s; name an empty directory", path,
                     is_mounted ? "a mount point" : "not an empty directory");
}

/* ---- mounting -------------------------------------------------------------------------------- */

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

/* The filesystem as a mount that is nowhere yet; it goes when *out_fd is closed. */
static HRESULT make_mount(const char *device, const char *type, int *out_fd, struct error *err)
{
    int fs = fsopen(type, FSOPEN_CLOEXEC);
    bool is_made =
        fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "source", device, 0) == 0 &&
        fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) == 0 &&
        (strcmp(type, "xfs") != 0 || fsconfig(fs, FSCONFIG_SET_FLAG, "nouuid", NULL, 0) == 0) &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0;
    *out_fd = is_made ? fsmount(fs, FSMOUNT_CLOEXEC, COPY_ATTRIBUTES) : -1;
    int reason = errno;
    if (fs >= 0) {
        (void)close(fs);
    }
    return *out_fd >= 0
               ? S_OK
               : error_set(err, VSS_E_UNEXPECTED, "the kernel does not mount the copy's %s: %s",
                           type, strerror(reason));
}

/* Is what fd has open the mount that path names? The table of mounts follows no link. */
static HRESULT compare_place(int fd, const char *path, bool *out_is_it, struct error *err)
{
    struct statx st;
    struct host_mount found;
    *out_is_it = false;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) != 0 ||
        !(st.stx_mask & STATX_MNT_ID)) {
        return error_set(err, VSS_E_UNEXPECTED, "the kernel does not tell which mount %s is", path);
    }
    HRESULT hr = host_mount_find("/proc", path, &found, err);
    if (SUCCEEDED(hr)) {
        *out_is_it = found.id == st.stx_mnt_id && strcmp(found.path, path) == 0;
        host_mount_free(&found);
    }
    return hr;
}

static HRESULT check_place(int mount_fd, const char *path, struct error *err)
{
    bool is_there = false;
    HRESULT hr = compare_place(mount_fd, path, &is_there, err);
    if (SUCCEEDED(hr) && !is_there) {
        hr = error_set(err, VSS_E_UNEXPECTED,
                       "%s was moved or replaced while the copy was made ready, so it is not "
                       "mounted: look who may write to the directories above it, then try again",
                       path);
    }
    return hr;
}

/* By its descriptor, since nobody knows its path; for good once that is closed. */
static void detach(int mount_fd)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", mount_fd);
    (void)umount2(name, MNT_DETACH);
}

HRESULT filesystem_mount_copy(const char *device, int device_fd, int mount_point_fd,
                              const char *path, struct error *err)
{
    char type[TYPE_BYTES];
    int mount_fd = -1;
    HRESULT hr = probe(device, device_fd, type, err);
    if (SUCCEEDED(hr)) {
        hr = make_mount(device, type, &mount_fd, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    if (move_mount(mount_fd, "", mount_point_fd, "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
        hr = error_set(err, VSS_E_UNEXPECTED, "the kernel does not mount the copy's %s at %s: %s",
                       type, path, strerror(errno));
    } else {
        hr = check_place(mount_fd, path, err);
        if (FAILED(hr)) {
            detach(mount_fd);
        }
    }
    (void)close(mount_fd);
    return hr;
}

/* ---- unmounting ------------------------------------------------------------------------------ */

/* The directory above path, opened, and path's name in there: so long as something is mounted on it
 * nobody can rename that or put a link in its place. */
static HRESULT open_parent(const char *path, int *out_fd, const char **out_name, struct error *err)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    if (length == 0 || length >= sizeof(parent)) {
        return error_set(err, E_INVALIDARG, "%.200s is not the absolute path of a mount", path);
    }
    memcpy(parent, path, length);
    parent[length] = '\0';
    *out_name = path + length;
    *out_fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *out_fd >= 0 ? S_OK : error_set_errno(err, errno, "cannot open %s", parent);
}

/* A descriptor of the mount itself would keep it busy, so it is closed before. */
static HRESULT check_mounted(int parent, const char *name, const char *path, struct error *err)
{
    bool is_it = false;
    int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot open %s", path);
    }
    HRESULT hr = compare_place(fd, path, &is_it, err);
    (void)close(fd);
    if (SUCCEEDED(hr) && !is_it) {
        hr = error_set(err, VSS_E_UNEXPECTED,
                       "%s is not what the table of mounts has there, so it is not unmounted: look "
                       "who may write to the directories above it",
                       path);
    }
    return hr;
}

/* Whoever walks through all mounts has this one open for a moment, too. */
static HRESULT unmount_in(int parent, const char *name, const char *path, struct error *err)
{
    char place[PATH_MAX];
    (void)snprintf(place, sizeof(place), "/proc/self/fd/%d/%s", parent, name);
    int rc = umount2(place, UMOUNT_NOFOLLOW);
    for (int i = 0; rc != 0 && errno == EBUSY && i < BUSY_TRIES; i++) {
        clock_sleep_ms(BUSY_PAUSE_MS);
        rc = umount2(place, UMOUNT_NOFOLLOW);
    }
    if (rc == 0) {
        return S_OK;
    }
    if (errno == EBUSY) {
        return error_set(err, VSS_E_PROVIDER_VETO,
                         "%s is in use; `fuser -vm %s` names the processes", path, path);
    }
    return error_set(err, VSS_E_UNEXPECTED, "cannot unmount %s: %s", path, strerror(errno));
}

HRESULT filesystem_unmount(const char *path, struct error *err)
{
    const char *name = NULL;
    int parent = -1;
    HRESULT hr = open_parent(path, &parent, &name, err);
    if (SUCCEEDED(hr)) {
        hr = check_mounted(parent, name, path, err);
    }
    if (SUCCEEDED(hr)) {
        hr = unmount_in(parent, name, path, err);
    }
    if (parent >= 0) {
        (void)close(parent);
    }
    return hr;
}
