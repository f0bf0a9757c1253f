/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/disks.h"

#include "common/log.h"
#include "lun/host_device.h"
#include "lun/label/disk_ids.h"
#include "lun/label/label.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES     512u
#define BLOCK_BYTES_MAX 65536u

struct walk {
    const char *sysfs;
    const char *dev;
    HRESULT (*on_disk)(const struct host_disk *disk, void *user, struct error *err);
    void *user;
};

/* S_FALSE: it is made of others. */
static HRESULT check_kind(const char *directory, struct error *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/device", directory);
    if (access(path, F_OK) == 0) {
        return S_OK;
    }
    return errno == ENOENT || errno == ENOTDIR
               ? S_FALSE
               : error_set_errno(err, errno, "cannot look at %s", path);
}

static HRESULT read_block_bytes(const char *directory, uint32_t *out, struct error *err)
{
    char text[32];
    uint32_t length = 0;
    HRESULT hr = host_device_read(directory, "queue/logical_block_size", (uint8_t *)text,
                                  sizeof(text) - 1, &length, err);
    text[length] = '\0';
    unsigned long bytes = strtoul(text, NULL, 10);
    bool is_sound = bytes >= BLOCK_BYTES && bytes <= BLOCK_BYTES_MAX && (bytes & (bytes - 1)) == 0;
    *out = is_sound ? (uint32_t)bytes : BLOCK_BYTES;
    return hr;
}

static HRESULT read_ids(const char *name, uint32_t bytes, struct vss_disk_ids *out,
                        struct error *err)
{
    struct block_device *device = NULL;
    struct label *label = NULL;
    HRESULT hr = block_open_file(name, bytes, true, &device, err);
    if (SUCCEEDED(hr)) {
        hr = label_read(device, LABEL_FULL, &label, err);
    }
    if (SUCCEEDED(hr)) {
        hr = label_ids(label, out);
    }
    label_free(label);
    block_close(device);
    return hr;
}

static HRESULT look_at_label(const struct walk *w, const char *directory, const char *name,
                             struct error *err)
{
    uint32_t bytes = 0;
    struct vss_disk_ids ids = {0};
    struct lun_identity identity = {0};
    struct error why = {0};
    HRESULT known = S_FALSE;
    HRESULT hr = read_block_bytes(directory, &bytes, &why);
    if (SUCCEEDED(hr)) {
        hr = read_ids(name, bytes, &ids, &why);
    }
    if (SUCCEEDED(hr)) {
        known = host_device_identity(directory, &identity, NULL);
    }
    if (hr == E_OUTOFMEMORY || known == E_OUTOFMEMORY) {
        hr = error_set(err, E_OUTOFMEMORY, "no memory to look at the label of %s", name);
    } else if (FAILED(hr)) {
        log_line(LOG_INFO, "the label of %s is not looked at: %s", name, error_text(&why));
        hr = S_OK;
    } else if (ids.kind != VSS_DISK_LABEL_NONE) {
        struct host_disk disk = {name, known == S_OK ? &identity.info : NULL, &ids};
        hr = w->on_disk(&disk, w->user, err);
    }
    identity_free(&identity);
    disk_ids_free(&ids);
    return hr;
}

static HRESULT look_at(const struct walk *w, const char *entry, struct error *err)
{
    char directory[PATH_MAX];
    char name[PATH_MAX];
    (void)snprintf(directory, sizeof(directory), "%s/block/%s", w->sysfs, entry);
    (void)snprintf(name, sizeof(name), "%s/%s", w->dev, entry);
    HRESULT hr = check_kind(directory, err);
    return hr == S_OK ? look_at_label(w, directory, name, err) : hr;
}

HRESULT host_disks_each(const char *sysfs, const char *dev,
                        HRESULT (*on_disk)(const struct host_disk *disk, void *user,
                                           struct error *err),
                        void *user, struct error *err)
{
    struct walk w = {sysfs, dev, on_disk, user};
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/block", sysfs);
    DIR *dir = opendir(path);
    if (!dir) { /* a host without block devices has no such folder */
        return errno == ENOENT ? S_OK : error_set_errno(err, errno, "cannot read %s", path);
    }
    HRESULT hr = S_OK;
    errno = 0;
    for (struct dirent *e = readdir(dir); e && SUCCEEDED(hr); e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            hr = look_at(&w, e->d_name, err);
        }
        errno = 0; /* of readdir(), which says so of its failures alone */
    }
    if (SUCCEEDED(hr) && errno != 0) {
        hr = error_set_errno(err, errno, "cannot read %s", path);
    }
    (void)closedir(dir);
    return FAILED(hr) ? hr : S_OK;
}
