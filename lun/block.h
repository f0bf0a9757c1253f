/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_BLOCK_H
#define LUNSHADOW_LUN_BLOCK_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Anything that is read and written by block number: a LUN over SCSI, an image file. Labels and
 * edges work on this and on nothing else. The head of each kind's own structure. */
struct block_device;

struct block_device_ops {
    HRESULT(*read)
    (struct block_device *dev, uint64_t lba, uint32_t blocks, void *data, struct error *err);
    HRESULT(*write)
    (struct block_device *dev, uint64_t lba, uint32_t blocks, const void *data, struct error *err);
    HRESULT (*flush)(struct block_device *dev, struct error *err);
    void (*close)(struct block_device *dev);
};

struct block_device {
    const struct block_device_ops *ops;
    const char *name;     /* for messages */
    uint32_t block_bytes; /* a power of two, 512..65536 */
    uint64_t block_count;
    bool is_read_only; /* writes are refused before they are sent */
};

/* Any count of blocks; the device splits it. VSS_E_UNEXPECTED names device and LBA; a range past
 * the end is E_INVALIDARG and nothing is read or written; E_ACCESSDENIED where the device is
 * read-only (flushing such a device does nothing and succeeds). No blocks at all is a success that
 * touches nothing. */
HRESULT block_read(struct block_device *dev, uint64_t lba, uint32_t blocks, void *data,
                   struct error *err);
HRESULT block_write(struct block_device *dev, uint64_t lba, uint32_t blocks, const void *data,
                    struct error *err);
HRESULT block_flush(struct block_device *dev, struct error *err);
void block_close(struct block_device *dev); /* NULL is harmless */

/* An image file (or a local block device) as a device of block_bytes blocks; its size must be a
 * whole number of them, else E_INVALIDARG. errno is mapped by error_from_errno(), so a full
 * filesystem is VSS_E_INSUFFICIENT_STORAGE. */
HRESULT block_open_file(const char *path, uint32_t block_bytes, bool read_only,
                        struct block_device **out, struct error *err);

#endif
