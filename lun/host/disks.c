/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/host/disks.h"

#include "common/log.h"
#include "lun/host_device.h"
#include "lun/label/disk_ids.h"
#include "lun/label/label.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES 512u

struct walk {
    const char *sysfs;
    const char *dev;
    HRESULT (*on_disk)(const struct host_disk *disk, void *user, struct error *err);
    void *user;
};

static bool is_disk(const char *directory)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/device", directory);
    return access(path, F_OK) == 0;
}

static uint32_t block_bytes(const char *directory)
{
    char path[PATH_MAX];
    unsigned bytes = 0;
    (void)snprintf(path, sizeof(path), "%s/queue/logical_block_size", directory);
    FILE *file = fopen(path, "re");
    bool is_read = file && fscanf(file, "%5u", &bytes) == 1; /* NOLINT(cert-err34-c) */
    if (file) {
        (void)fclose(file);
    }
    return is_read && bytes >= BLOCK_BYTES && (bytes & (bytes - 1)) == 0 ? bytes : BLOCK_BYTES;
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

static HRESULT look_at(const struct walk *w, const char *entry, struct error *err)
{
    char directory[PATH_MAX];
    char name[PATH_MAX];
    struct vss_disk_ids ids = {0};
    struct lun_identity identity = {0};
    struct error why = {0};
    (void)snprintf(directory, sizeof(directory), "%s/block/%s", w->sysfs, entry);
    (void)snprintf(name, sizeof(name), "%s/%s", w->dev, entry);
    if (!is_disk(directory)) {
        return S_OK;
    }
    HRESULT hr = read_ids(name, block_bytes(directory), &ids, &why);
    HRESULT known = SUCCEEDED(hr) ? host_device_identity(directory, &identity, NULL) : S_FALSE;
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

HRESULT host_disks_each(const char *sysfs, const char *dev,
                        HRESULT (*on_disk)(const struct host_disk *disk, void *user,
                                           struct error *err),
                        void *user, struct error *err)
{
    struct walk w = {sysfs, dev, on_disk, user};
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/block", sysfs);
    DIR *dir = opendir(path);
    HRESULT hr = S_OK; /* also of a host without block devices */
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && SUCCEEDED(hr); e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            hr = look_at(&w, e->d_name, err);
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return hr;
}
