/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/host/lun_access.h"

#include "common/log.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct vss_host_lun {
    struct lun *lun;
    bool is_written; /* since the last flush */
    struct vss_host_lun *next;
};

/* Copies what the plug-in's structure has room for. */
static void tell(struct vss_host_lun_info *info, const struct lun *lun)
{
    struct vss_host_lun_info all = {.struct_size = info->struct_size,
                                    .block_bytes = lun->block.block_bytes,
                                    .block_count = lun->block.block_count,
                                    .info = &lun->identity.info};
    size_t room = info->struct_size < sizeof(all) ? info->struct_size : sizeof(all);
    memcpy(info, &all, room);
}

HRESULT lun_access_open(struct lun_access *access, const struct config *config, const char *device,
                        uint32_t flags, struct vss_host_lun **out, struct vss_host_lun_info *info,
                        struct error *err)
{
    *out = NULL;
    if (!device || flags & ~VSS_HOST_LUN_WRITE) {
        return error_set(err, E_INVALIDARG, "lun_open() without a device or with unknown flags");
    }
    struct vss_host_lun *handle = calloc(1, sizeof(*handle));
    if (!handle) {
        return error_set(err, E_OUTOFMEMORY, "no memory to open %s", device);
    }
    const struct lun_options options = {.config = config};
    HRESULT hr = lun_open(device, &options, !(flags & VSS_HOST_LUN_WRITE), &handle->lun, err);
    if (FAILED(hr)) {
        free(handle);
        return hr;
    }
    handle->next = access->first;
    access->first = handle;
    if (info) {
        tell(info, handle->lun);
    }
    *out = handle;
    return S_OK;
}

/* Where the list points to this handle; NULL for one that is not open in this call. */
static struct vss_host_lun **find(struct lun_access *access, const struct vss_host_lun *lun)
{
    struct vss_host_lun **at = &access->first;
    while (*at && *at != lun) {
        at = &(*at)->next;
    }
    return *at ? at : NULL;
}

static HRESULT refuse_handle(struct error *err)
{
    return error_set(err, E_INVALIDARG, "a LUN that this call has not opened, or has closed");
}

HRESULT lun_access_read(struct lun_access *access, struct vss_host_lun *lun, uint64_t lba,
                        uint32_t blocks, void *data, struct error *err)
{
    struct vss_host_lun **at = find(access, lun);
    if (!at || (!data && blocks)) {
        return refuse_handle(err);
    }
    return block_read(&(*at)->lun->block, lba, blocks, data, err);
}

HRESULT lun_access_write(struct lun_access *access, struct vss_host_lun *lun, uint64_t lba,
                         uint32_t blocks, const void *data, struct error *err)
{
    struct vss_host_lun **at = find(access, lun);
    if (!at || (!data && blocks)) {
        return refuse_handle(err);
    }
    HRESULT hr = block_write(&(*at)->lun->block, lba, blocks, data, err);
    (*at)->is_written = (*at)->is_written || SUCCEEDED(hr);
    return hr;
}

HRESULT lun_access_close(struct lun_access *access, struct vss_host_lun *lun, struct error *err)
{
    struct vss_host_lun **at = find(access, lun);
    if (!at) {
        return refuse_handle(err);
    }
    HRESULT hr = lun->is_written ? block_flush(&lun->lun->block, err) : S_OK;
    *at = lun->next;
    lun_close(lun->lun);
    free(lun);
    return hr;
}

void lun_access_close_all(struct lun_access *access)
{
    while (access->first) {
        log_line(LOG_WARNING, "the plug-in left %s open; closed", access->first->lun->url);
        (void)lun_access_close(access, access->first, NULL);
    }
}
