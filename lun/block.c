/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/block.h"

#include <inttypes.h>

static HRESULT check_range(const struct block_device *dev, uint64_t lba, uint32_t blocks,
                           const char *what, struct error *err)
{
    if (lba <= dev->block_count && blocks <= dev->block_count - lba) {
        return S_OK;
    }
    return error_set(err, E_INVALIDARG,
                     "%s: cannot %s %" PRIu32 " blocks at block %" PRIu64
                     ": the device ends at block %" PRIu64 "; check that it is the right one",
                     dev->name, what, blocks, lba, dev->block_count);
}

HRESULT block_read(struct block_device *dev, uint64_t lba, uint32_t blocks, void *data,
                   struct error *err)
{
    HRESULT hr = check_range(dev, lba, blocks, "read", err);
    if (FAILED(hr) || blocks == 0) {
        return hr;
    }
    return dev->ops->read(dev, lba, blocks, data, err);
}

static HRESULT check_writable(const struct block_device *dev, struct error *err)
{
    if (!dev->is_read_only) {
        return S_OK;
    }
    return error_set(err, E_ACCESSDENIED,
                     "%s: opened read-only, so nothing is written; open it for writing", dev->name);
}

HRESULT block_write(struct block_device *dev, uint64_t lba, uint32_t blocks, const void *data,
                    struct error *err)
{
    HRESULT hr = check_writable(dev, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = check_range(dev, lba, blocks, "write", err);
    if (FAILED(hr) || blocks == 0) {
        return hr;
    }
    return dev->ops->write(dev, lba, blocks, data, err);
}

HRESULT block_flush(struct block_device *dev, struct error *err)
{
    /* Nothing can have been written, and some devices refuse the command where they refuse writes.
     */
    if (dev->is_read_only) {
        return S_OK;
    }
    return dev->ops->flush(dev, err);
}

void block_close(struct block_device *dev)
{
    if (dev) {
        dev->ops->close(dev);
    }
}
