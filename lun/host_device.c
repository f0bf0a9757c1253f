/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host_device.h"

#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAGE_BYTES_MAX 4096
#define VPD_HEADER     4u
#define ASK_MS         10000u

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
    if (got < 0) { /* sysfs takes an attribute that is open away too */
        return reason == ENODEV ? S_FALSE : error_set_errno(err, reason, "cannot read %s", path);
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
            return error_set(err, VSS_E_OBJECT_NOT_FOUND,
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

/* How the device whose directory this is compares, by what the kernel has of it. Fails as
 * host_device_identity(). */
static HRESULT compare_device(const char *directory, const struct vss_lun_info *info,
                              enum lun_match *out, struct error *err)
{
    struct lun_identity found = {0};
    struct error why = {0};
    *out = LUN_DIFFERENT;
    HRESULT hr = host_device_identity(directory, &found, &why);
    if (hr == S_OK) {
        *out = lun_info_compare(info, &found.info);
        identity_free(&found);
    }
    /* what is not sound is no LUN's page 83 */
    return FAILED(hr) && hr != VSS_E_VOLUME_NOT_SUPPORTED
               ? error_set(err, hr, "%s", error_text(&why))
               : S_OK;
}

/* ---- all of them ----------------------------------------------------------------------------- */

struct search {
    const struct vss_lun_info *info;
    const char *dev; /* "/dev"; to open it */
    int fd;
};

typedef HRESULT (*look)(struct search *s, const char *directory, const char *name,
                        struct error *err);

/* Looks at one after the other while the answer is S_FALSE. */
static HRESULT look_at_all(const char *sysfs, look at, struct search *s,
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
            hr = at(s, path, e->d_name, err);
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

static HRESULT may_be_it(struct search *s, const char *directory, const char *name,
                         struct error *err)
{
    enum lun_match match = LUN_DIFFERENT;
    (void)name;
    HRESULT hr = compare_device(directory, s->info, &match, err);
    if (hr == VSS_E_OBJECT_NOT_FOUND) { /* it may be any LUN */
        hr = error_translate(err, VSS_E_UNEXPECTED);
    }
    return FAILED(hr) ? hr : match != LUN_DIFFERENT ? S_OK : S_FALSE;
}

HRESULT host_device_find(const char *sysfs, const struct vss_lun_info *info,
                         char out_name[HOST_DEVICE_NAME_BYTES], struct error *err)
{
    struct search s = {.info = info, .fd = -1};
    return look_at_all(sysfs, may_be_it, &s, out_name, err);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Page 83 as the device answers now. Returns what arrived of wanted bytes; 0: no good answer. */
static uint32_t ask_page83(int fd, void *out, uint32_t wanted)
{
    uint8_t cdb[6] = {0x12, 0x01, 0x83, (uint8_t)(wanted >> 8), (uint8_t)wanted, 0};
    uint8_t sense[32];
    struct sg_io_hdr io = {.interface_id = 'S',
                           .dxfer_direction = SG_DXFER_FROM_DEV,
                           .cmd_len = sizeof(cdb),
                           .cmdp = cdb,
                           .mx_sb_len = sizeof(sense),
                           .sbp = sense,
                           .dxfer_len = wanted,
                           .dxferp = out,
                           .timeout = ASK_MS};
    bool is_good = ioctl(fd, SG_IO, &io) == 0 && (io.info & SG_INFO_OK_MASK) == SG_INFO_OK &&
                   io.resid >= 0 && (uint32_t)io.resid <= wanted;
    return is_good ? wanted - (uint32_t)io.resid : 0;
}

/* Asked for as many bytes as the kernel has: a page that has grown since is not the same. */
static HRESULT ask_device(const char *directory, int fd, const struct vss_lun_info *info,
                          enum lun_match *out, struct error *err)
{
    uint8_t page[PAGE_BYTES_MAX];
    uint32_t length = 0;
    struct lun_identity found = {0};
    *out = LUN_DIFFERENT;
    HRESULT hr = host_device_read(directory, "device/vpd_pg83", page, sizeof(page), &length, err);
    if (FAILED(hr)) {
        return hr;
    }
    length = length ? ask_page83(fd, page, length) : 0;
    hr = length ? identity_parse_vpd83(page, length, &found, NULL) : S_FALSE;
    if (hr == S_OK) {
        *out = lun_info_compare(info, &found.info);
    }
    identity_free(&found);
    return hr == E_OUTOFMEMORY ? no_memory(err) : S_OK;
}

/* S_FALSE where it is not the LUN beyond doubt. */
static HRESULT open_if_it(struct search *s, const char *directory, const char *name,
                          struct error *err)
{
    char path[PATH_MAX];
    enum lun_match match = LUN_DIFFERENT;
    struct error why = {0};
    HRESULT hr = compare_device(directory, s->info, &match, &why);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        log_line(LOG_WARNING, "%s/%s is not used: %s", s->dev, name, error_text(&why));
        return S_FALSE;
    }
    if (FAILED(hr)) {
        return error_set(err, hr, "%s", error_text(&why));
    }
    if (match != LUN_SAME) {
        return S_FALSE;
    }
    (void)snprintf(path, sizeof(path), "%s/%s", s->dev, name);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        log_line(LOG_WARNING, "%s is not used: it cannot be opened: %s", path, strerror(errno));
        return S_FALSE;
    }
    hr = ask_device(directory, fd, s->info, &match, err);
    if (SUCCEEDED(hr) && match == LUN_SAME) {
        s->fd = fd;
        return S_OK;
    }
    (void)close(fd);
    if (SUCCEEDED(hr)) {
        log_line(LOG_WARNING,
                 "%s is not used: it does not answer as the LUN that the kernel has it for; "
                 "`lunshadow lint` says how to mend that",
                 path);
    }
    return FAILED(hr) ? hr : S_FALSE;
}

HRESULT host_device_open(const char *sysfs, const char *dev, const struct vss_lun_info *info,
                         char out_name[HOST_DEVICE_NAME_BYTES], int *out_fd, struct error *err)
{
    struct search s = {.info = info, .dev = dev, .fd = -1};
    HRESULT hr = look_at_all(sysfs, open_if_it, &s, out_name, err);
    *out_fd = s.fd;
    return hr;
}
