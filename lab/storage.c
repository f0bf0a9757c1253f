/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/internal.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t default_image_bytes = 16ULL << 30;
static const uint64_t least_image_bytes = 512ULL << 20; /* mkfs.xfs asks for 300 MB */
enum { MKFS_MS = 60000, LOSETUP_MS = 10000, BUSY_PAUSE_MS = 20 };

static HRESULT make_image(const char *path, uint64_t bytes, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot make %s", path);
    }
    HRESULT hr = S_OK;
    if (ftruncate(fd, (off_t)bytes) != 0) {
        hr = error_set_errno(err, errno, "cannot make %s %llu bytes long", path,
                             (unsigned long long)bytes);
    }
    (void)close(fd);
    return hr;
}

/* Attaches the image to a free loop device and mounts that. Buffered, because the image's own
 * filesystem may not take direct I/O (tmpfs, overlay). */
static HRESULT mount_image(const struct lab *lab, struct error *err)
{
    struct buffer device = BUFFER_INIT;
    const char *const mkfs[] = {"mkfs.xfs", "-q", "-m", "reflink=1", lab->image, NULL};
    const char *const attach[] = {"losetup", "--direct-io=off", "-f", "--show", lab->image, NULL};
    HRESULT hr = process_run(mkfs, MKFS_MS, NULL, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = process_run(attach, LOSETUP_MS, &device, err);
    if (FAILED(hr)) {
        goto out;
    }
    device.data[strcspn(device.data, "\n")] = '\0';
    if (mount(device.data, lab->disks, "xfs", MS_NOATIME | MS_NODEV | MS_NOSUID | MS_NOEXEC,
              NULL)) {
        hr = error_set_errno(err, errno, "cannot mount %s on %s", device.data, lab->disks);
    }
out:
    buffer_free(&device);
    return hr;
}

/* Clones four KiB in directory: the only way to know. */
static bool can_clone(const char *directory)
{
    static const char block[4096] = "lunshadow";
    bool can = false;
    int from = open(directory, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    int to = open(directory, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (from >= 0 && to >= 0 && write(from, block, sizeof(block)) == (ssize_t)sizeof(block)) {
        can = ioctl(to, FICLONE, from) == 0;
    }
    if (from >= 0) {
        (void)close(from);
    }
    if (to >= 0) {
        (void)close(to);
    }
    return can;
}

static HRESULT bring_up_image(struct lab *lab, uint64_t bytes, struct error *err)
{
    HRESULT hr = make_image(lab->image, bytes, err);
    if (SUCCEEDED(hr)) {
        hr = mount_image(lab, err);
    }
    if (SUCCEEDED(hr)) {
        lab->is_mounted = true;
        return S_OK;
    }
    HRESULT undone = lab_storage_down(lab, NULL);
    if (SUCCEEDED(undone) && unlink(lab->image) != 0 && errno != ENOENT) {
        undone = VSS_E_UNEXPECTED;
    }
    return FAILED(undone) ? hr : S_FALSE;
}

HRESULT lab_storage_up(struct lab *lab, const struct lab_options *options, struct error *err)
{
    uint64_t bytes = options->image_bytes ? options->image_bytes : default_image_bytes;
    if (bytes < least_image_bytes || bytes > INT64_MAX) {
        return error_set(err, E_INVALIDARG, "a lab's image needs %llu MiB or more",
                         (unsigned long long)(least_image_bytes >> 20));
    }
    if (mkdir(lab->disks, 0700) != 0) {
        return error_set_errno(err, errno, "cannot make %s", lab->disks);
    }
    if (geteuid() == 0 && !options->plain_directory) {
        struct error reason = {0};
        HRESULT hr = bring_up_image(lab, bytes, &reason);
        if (FAILED(hr)) {
            return error_set(err, hr, "%s", reason.text);
        }
        if (hr == S_FALSE) {
            log_line(LOG_WARNING, "no loop-mounted XFS for the lab (%s): using the plain directory",
                     reason.text);
        }
    }
    lab->has_reflink = can_clone(lab->disks);
    log_line(LOG_INFO, "lab disks in %s: %s, copies are %s", lab->disks,
             lab->is_mounted ? "XFS on a loop device" : "plain directory",
             lab->has_reflink ? "clones" : "full copies");
    return S_OK;
}

/* A mount that is dead answers nothing (EIO of a shut-down XFS), and must be unmounted all the
 * more.
 */
bool lab_storage_is_mounted(const struct lab *lab)
{
    struct stat above;
    struct stat here;
    if (stat(lab->directory, &above) != 0 || stat(lab->disks, &here) != 0) {
        return errno != ENOENT && errno != ENOTDIR;
    }
    return above.st_dev != here.st_dev;
}

/* A guard that died together with its caller may have left it frozen; then nothing could end. */
void lab_storage_thaw(const struct lab *lab)
{
    if (!lab_storage_is_mounted(lab)) {
        return;
    }
    int fd = open(lab->disks, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        (void)ioctl(fd, FITHAW, 0);
        (void)close(fd);
    }
}

static HRESULT unmount(const struct lab *lab, struct error *err)
{
    uint64_t deadline = clock_monotonic_us() + lab->busy_ms * 1000ull;
    while (lab_storage_is_mounted(lab)) {
        if (umount2(lab->disks, UMOUNT_NOFOLLOW) == 0) {
            continue;
        }
        if (errno != EBUSY || clock_monotonic_us() >= deadline) {
            return error_set_errno(err, errno,
                                   "cannot unmount %s; end what uses it, then \"lab down\" again",
                                   lab->disks);
        }
        clock_sleep_ms(BUSY_PAUSE_MS);
    }
    return S_OK;
}

/* The loop devices of the image, one per line, as the kernel knows them. */
static HRESULT list_loops(const struct lab *lab, struct buffer *out, struct error *err)
{
    const char *const argv[] = {"losetup", "-l", "-n", "-O", "NAME", "-j", lab->image, NULL};
    return process_run(argv, LOSETUP_MS, out, err);
}

static HRESULT detach_listed(struct buffer *list, struct error *err)
{
    char *rest = list->data;
    for (char *name = strsep(&rest, "\n"); name; name = strsep(&rest, "\n")) {
        if (strncmp(name, "/dev/loop", 9) != 0) {
            continue;
        }
        name[strcspn(name, " ")] = '\0';
        const char *const argv[] = {"losetup", "-d", name, NULL};
        HRESULT hr = process_run(argv, LOSETUP_MS, NULL, err);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return S_OK;
}

/* Detaching is lazy while somebody has the device open, so look until it is gone. */
static HRESULT detach_loops(const struct lab *lab, struct error *err)
{
    uint64_t deadline = clock_monotonic_us() + lab->busy_ms * 1000ull;
    uint32_t pause_ms = 0;
    do {
        struct buffer list = BUFFER_INIT;
        HRESULT hr = list_loops(lab, &list, err);
        bool none = list.length == 0;
        if (SUCCEEDED(hr) && !none && pause_ms == 0) {
            hr = detach_listed(&list, err);
        }
        buffer_free(&list);
        if (FAILED(hr) || none) {
            return hr;
        }
        pause_ms = pause_ms ? BUSY_PAUSE_MS : 1;
        clock_sleep_ms(pause_ms);
    } while (clock_monotonic_us() < deadline);
    return error_set(err, VSS_E_UNEXPECTED, "the loop device of %s is still in use", lab->image);
}

HRESULT lab_storage_down(struct lab *lab, struct error *err)
{
    lab_storage_thaw(lab);
    HRESULT hr = unmount(lab, err);
    if (SUCCEEDED(hr) && access(lab->image, F_OK) == 0) {
        hr = detach_loops(lab, err);
    }
    lab->is_mounted = lab_storage_is_mounted(lab);
    return hr;
}
