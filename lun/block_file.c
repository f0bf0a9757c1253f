/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/block.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_device {
    struct block_device dev; /* first */
    int fd;
    char *path;
};

static size_t byte_count(const struct block_device *dev, uint32_t blocks)
{
    return (size_t)blocks * dev->block_bytes;
}

static off_t byte_offset(const struct block_device *dev, uint64_t lba)
{
    return (off_t)(lba * dev->block_bytes); /* in range: the file's size is an off_t */
}

static HRESULT file_read(struct block_device *dev, uint64_t lba, uint32_t blocks, void *data,
                         struct error *err)
{
    const struct file_device *file = (const struct file_device *)dev;
    size_t wanted = byte_count(dev, blocks);
    size_t done = 0;
    while (done < wanted) {
        ssize_t got = pread(file->fd, (char *)data + done, wanted - done,
                            byte_offset(dev, lba) + (off_t)done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_set_errno(err, errno, "%s: cannot read at block %" PRIu64, dev->name,
                                   lba + done / dev->block_bytes);
        }
        if (got == 0) {
            return error_set(err, VSS_E_UNEXPECTED,
                             "%s: ends at block %" PRIu64 ", which it did not when it was opened; "
                             "find out what shortened it",
                             dev->name, lba + done / dev->block_bytes);
        }
        done += (size_t)got;
    }
    return S_OK;
}

static HRESULT file_write(struct block_device *dev, uint64_t lba, uint32_t blocks, const void *data,
                          struct error *err)
{
    const struct file_device *file = (const struct file_device *)dev;
    size_t wanted = byte_count(dev, blocks);
    size_t done = 0;
    while (done < wanted) {
        ssize_t put = pwrite(file->fd, (const char *)data + done, wanted - done,
                             byte_offset(dev, lba) + (off_t)done);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return error_set_errno(err, put < 0 ? errno : EIO, "%s: cannot write at block %" PRIu64,
                                   dev->name, lba + done / dev->block_bytes);
        }
        done += (size_t)put;
    }
    return S_OK;
}

static HRESULT file_flush(struct block_device *dev, struct error *err)
{
    const struct file_device *file = (const struct file_device *)dev;
    if (fdatasync(file->fd) != 0) {
        return error_set_errno(err, errno, "%s: cannot flush", dev->name);
    }
    return S_OK;
}

static void file_close(struct block_device *dev)
{
    struct file_device *file = (struct file_device *)dev;
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    free(file->path);
    free(file);
}

static const struct block_device_ops file_ops = {file_read, file_write, file_flush, file_close};

static HRESULT measure(struct file_device *file, struct error *err)
{
    struct stat st;
    if (fstat(file->fd, &st) != 0) {
        return error_set_errno(err, errno, "%s: cannot be examined", file->path);
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        return error_set(err, E_INVALIDARG, "%s: is neither a file nor a block device", file->path);
    }
    off_t size = lseek(file->fd, 0, SEEK_END); /* st_size is 0 for a block device */
    if (size < 0) {
        return error_set_errno(err, errno, "%s: its size cannot be read", file->path);
    }
    if ((uint64_t)size % file->dev.block_bytes != 0) {
        return error_set(err, E_INVALIDARG,
                         "%s: %" PRIu64 " bytes are not a whole number of blocks of %" PRIu32
                         " bytes; give another block size, or a complete image",
                         file->path, (uint64_t)size, file->dev.block_bytes);
    }
    file->dev.block_count = (uint64_t)size / file->dev.block_bytes;
    return S_OK;
}

static HRESULT open_path(struct file_device *file, const char *path, struct error *err)
{
    file->path = strdup(path);
    if (!file->path) {
        return error_set(err, E_OUTOFMEMORY, "%s: memory is short", path);
    }
    file->dev.name = file->path;
    /* O_NONBLOCK: a FIFO by that name must not make us wait; files and block devices ignore it. */
    int flags = (file->dev.is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
    file->fd = open(path, flags);
    if (file->fd < 0) {
        return error_set_errno(err, errno, "%s: cannot be opened", path);
    }
    return S_OK;
}

HRESULT block_open_file(const char *path, uint32_t block_bytes, bool read_only,
                        struct block_device **out, struct error *err)
{
    *out = NULL;
    if (block_bytes < 512 || block_bytes > 65536 || (block_bytes & (block_bytes - 1)) != 0) {
        return error_set(err, E_INVALIDARG,
                         "%s: a block size of %" PRIu32
                         " bytes is not a power of two between 512 and 65536",
                         path, block_bytes);
    }
    struct file_device *file = calloc(1, sizeof(*file));
    if (!file) {
        return error_set(err, E_OUTOFMEMORY, "%s: memory is short", path);
    }
    file->dev.ops = &file_ops;
    file->dev.block_bytes = block_bytes;
    file->dev.is_read_only = read_only;
    file->fd = -1;
    HRESULT hr = open_path(file, path, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = measure(file, err);
    if (FAILED(hr)) {
        goto out;
    }
    *out = &file->dev;
    file = NULL;
out:
    if (file) {
        file_close(&file->dev);
    }
    return hr;
}
