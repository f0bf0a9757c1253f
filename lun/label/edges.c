/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/label/edges.h"

#include "lun/label/bytes.h"
#include "lun/label/gpt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define EDGE_BYTES     (1u << 20)
#define MAX_EDGE_BYTES (16u << 20)
#define CHUNK_BYTES    (1u << 20)

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "memory is short for the edges of a disk");
}

HRESULT edges_extent(const struct block_device *dev, const struct label *label,
                     uint32_t *out_head_blocks, uint32_t *out_tail_blocks)
{
    uint64_t head = EDGE_BYTES / dev->block_bytes;
    uint64_t tail = head;
    uint64_t max = MAX_EDGE_BYTES / dev->block_bytes;
    *out_head_blocks = 0;
    *out_tail_blocks = 0;
    bool is_gpt = label && label->kind == VSS_DISK_LABEL_GPT;
    if (is_gpt && label->primary.is_valid) {
        const struct label_gpt_header *h = &label->primary;
        uint64_t end = h->entries_lba + gpt_entries_blocks(h, dev->block_bytes);
        head = end > head ? end : head;
        /* A backup that was not read, or is damaged, has its entries in front of the last block. */
        uint64_t mirrored = 1 + (uint64_t)gpt_entries_blocks(h, dev->block_bytes);
        tail = mirrored > tail ? mirrored : tail;
    }
    /* A backup that is not in the last block (the disk has grown) is of no use to a reader that
     * finds no primary, and belongs to the body. */
    if (is_gpt && label->backup.is_valid && label->backup.lba == dev->block_count - 1) {
        uint64_t blocks = dev->block_count - label->backup.entries_lba;
        tail = blocks > tail ? blocks : tail;
    }
    if (head > max || tail > max) {
        return VSS_E_VOLUME_NOT_SUPPORTED;
    }
    if (dev->block_count < head + tail) {
        head = (dev->block_count + 1) / 2;
        tail = dev->block_count - head;
    }
    *out_head_blocks = (uint32_t)head;
    *out_tail_blocks = (uint32_t)tail;
    return S_OK;
}

static size_t bytes_of(const struct edges *edges, uint32_t blocks)
{
    return (size_t)blocks * edges->block_bytes;
}

static uint64_t tail_lba(const struct edges *edges)
{
    return edges->block_count - edges->tail_blocks;
}

/* Zeroed, for a geometry that holds. */
static struct edges *new_edges(uint32_t block_bytes, uint64_t block_count, uint32_t head_blocks,
                               uint32_t tail_blocks)
{
    struct edges *edges = calloc(1, sizeof(*edges));
    if (!edges) {
        return NULL;
    }
    edges->block_bytes = block_bytes;
    edges->block_count = block_count;
    edges->head_blocks = head_blocks;
    edges->tail_blocks = tail_blocks;
    edges->head = calloc((size_t)head_blocks + 1, block_bytes); /* never of size 0 */
    edges->tail = calloc((size_t)tail_blocks + 1, block_bytes);
    if (!edges->head || !edges->tail) {
        edges_free(edges);
        return NULL;
    }
    return edges;
}

void edges_free(struct edges *edges)
{
    if (!edges) {
        return;
    }
    free(edges->head);
    free(edges->tail);
    free(edges);
}

HRESULT edges_read(struct block_device *dev, const struct label *label, struct edges **out,
                   struct error *err)
{
    return edges_read_least(dev, label, 0, 0, out, err);
}

HRESULT edges_read_least(struct block_device *dev, const struct label *label, uint32_t head_blocks,
                         uint32_t tail_blocks, struct edges **out, struct error *err)
{
    *out = NULL;
    uint32_t head = 0;
    uint32_t tail = 0;
    HRESULT hr = edges_extent(dev, label, &head, &tail);
    if (FAILED(hr)) {
        return error_set(err, hr,
                         "%s: its GPT entries lie more than 16 MiB from the edge of the disk; move "
                         "them with sgdisk",
                         dev->name);
    }
    head = head_blocks > head ? head_blocks : head;
    tail = tail_blocks > tail ? tail_blocks : tail;
    if (dev->block_count < (uint64_t)head + tail) {
        head = (uint32_t)((dev->block_count + 1) / 2);
        tail = (uint32_t)(dev->block_count - head);
    }
    struct edges *edges = new_edges(dev->block_bytes, dev->block_count, head, tail);
    if (!edges) {
        return no_memory(err);
    }
    hr = block_read(dev, 0, head, edges->head, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = block_read(dev, tail_lba(edges), tail, edges->tail, err);
    if (FAILED(hr)) {
        goto out;
    }
    *out = edges;
    edges = NULL;
out:
    edges_free(edges);
    return hr;
}

/* ---- writing ---- */

static HRESULT check_geometry(const struct block_device *dev, const struct edges *edges,
                              struct error *err)
{
    if (dev->block_bytes == edges->block_bytes && dev->block_count == edges->block_count) {
        return S_OK;
    }
    return error_set(err, E_INVALIDARG,
                     "%s: has %" PRIu64 " blocks of %" PRIu32 " bytes, but the edges come from a "
                     "disk of %" PRIu64 " blocks of %" PRIu32 " bytes; use a disk of that size",
                     dev->name, dev->block_count, dev->block_bytes, edges->block_count,
                     edges->block_bytes);
}

/* Compares what the device holds with data, or with zeros where data is NULL. */
static HRESULT read_back(struct block_device *dev, uint64_t lba, uint32_t blocks,
                         const uint8_t *data, uint8_t *scratch, struct error *err)
{
    uint32_t chunk = CHUNK_BYTES / dev->block_bytes;
    uint32_t done = 0;
    while (done < blocks) {
        uint32_t n = blocks - done < chunk ? blocks - done : chunk;
        size_t bytes = (size_t)n * dev->block_bytes;
        HRESULT hr = block_read(dev, lba + done, n, scratch, err);
        if (FAILED(hr)) {
            return hr;
        }
        bool is_same = data ? memcmp(scratch, data + (size_t)done * dev->block_bytes, bytes) == 0
                            : scratch[0] == 0 && memcmp(scratch, scratch + 1, bytes - 1) == 0;
        if (!is_same) {
            return error_set(err, VSS_E_UNEXPECTED,
                             "%s: blocks %" PRIu64 " to %" PRIu64
                             " do not read back as they were written",
                             dev->name, lba + done, lba + done + n - 1);
        }
        done += n;
    }
    return S_OK;
}

static HRESULT write_zeros(struct block_device *dev, uint64_t lba, uint32_t blocks,
                           const uint8_t *zeros, struct error *err)
{
    uint32_t chunk = CHUNK_BYTES / dev->block_bytes;
    uint32_t done = 0;
    while (done < blocks) {
        uint32_t n = blocks - done < chunk ? blocks - done : chunk;
        HRESULT hr = block_write(dev, lba + done, n, zeros, err);
        if (FAILED(hr)) {
            return hr;
        }
        done += n;
    }
    return S_OK;
}

static HRESULT write_wiped(struct block_device *dev, const struct edges *extent, uint8_t *scratch,
                           struct error *err)
{
    uint32_t first = extent->head_blocks > 0 ? 1 : 0;
    HRESULT hr = write_zeros(dev, 0, first, scratch, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = block_flush(dev, err); /* without block 0 the rest is no label to anyone */
    if (FAILED(hr)) {
        return hr;
    }
    hr = write_zeros(dev, first, extent->head_blocks - first, scratch, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = write_zeros(dev, tail_lba(extent), extent->tail_blocks, scratch, err);
    if (FAILED(hr)) {
        return hr;
    }
    return block_flush(dev, err);
}

HRESULT edges_wipe(struct block_device *dev, const struct edges *extent, struct error *err)
{
    HRESULT hr = check_geometry(dev, extent, err);
    if (FAILED(hr)) {
        return hr;
    }
    uint8_t *scratch = calloc(1, CHUNK_BYTES);
    if (!scratch) {
        return no_memory(err);
    }
    hr = write_wiped(dev, extent, scratch, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = read_back(dev, 0, extent->head_blocks, NULL, scratch, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = read_back(dev, tail_lba(extent), extent->tail_blocks, NULL, scratch, err);
out:
    free(scratch);
    return hr;
}

/* The head without block 0, from its end towards it. */
static HRESULT write_head_backwards(struct block_device *dev, const struct edges *edges,
                                    struct error *err)
{
    uint32_t chunk = CHUNK_BYTES / edges->block_bytes;
    uint32_t left = edges->head_blocks;
    while (left > 1) {
        uint32_t n = left - 1 < chunk ? left - 1 : chunk;
        left -= n;
        HRESULT hr = block_write(dev, left, n, edges->head + bytes_of(edges, left), err);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return block_flush(dev, err);
}

/* All but block 0, without which it is no label to anyone. */
static HRESULT write_rest(struct block_device *dev, const struct edges *edges, uint8_t *scratch,
                          struct error *err)
{
    HRESULT hr = block_write(dev, tail_lba(edges), edges->tail_blocks, edges->tail, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = block_flush(dev, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = write_head_backwards(dev, edges, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = read_back(dev, tail_lba(edges), edges->tail_blocks, edges->tail, scratch, err);
    if (FAILED(hr) || edges->head_blocks <= 1) {
        return hr;
    }
    return read_back(dev, 1, edges->head_blocks - 1, edges->head + edges->block_bytes, scratch,
                     err);
}

/* What does not read back is no label that may stay. */
static HRESULT write_block_0(struct block_device *dev, const struct edges *edges, uint8_t *scratch,
                             struct error *err)
{
    uint32_t blocks = edges->head_blocks > 0 ? 1 : 0;
    HRESULT hr = block_write(dev, 0, blocks, edges->head, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = block_flush(dev, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = read_back(dev, 0, blocks, edges->head, scratch, err);
    if (FAILED(hr)) {
        memset(scratch, 0, edges->block_bytes);
        if (FAILED(block_write(dev, 0, blocks, scratch, NULL)) || FAILED(block_flush(dev, NULL))) {
            error_prefix(err, "the disk's label may be there, and is not to be trusted");
        }
    }
    return hr;
}

HRESULT edges_write(struct block_device *dev, const struct edges *edges, struct error *err)
{
    HRESULT hr = check_geometry(dev, edges, err);
    if (FAILED(hr)) {
        return hr;
    }
    uint8_t *scratch = malloc(CHUNK_BYTES);
    if (!scratch) {
        return no_memory(err);
    }
    hr = write_rest(dev, edges, scratch, err);
    if (SUCCEEDED(hr)) {
        hr = write_block_0(dev, edges, scratch, err);
    }
    free(scratch);
    return hr;
}

/* ---- the byte form ----
 *
 * "LUNEDGE1", block_bytes u32, head_blocks u32, tail_blocks u32, block_count u64, all
 * little-endian; head and tail, one after the other, as one zlib stream (labels are mostly zeros);
 * CRC32 of all that u32. */

#define PACK_MAGIC        "LUNEDGE1"
#define PACK_HEADER_BYTES 28u

HRESULT edges_pack(const struct edges *edges, struct buffer *out)
{
    size_t head_bytes = bytes_of(edges, edges->head_blocks);
    size_t tail_bytes = bytes_of(edges, edges->tail_blocks);
    uLongf packed_bytes = compressBound((uLong)(head_bytes + tail_bytes));
    uint8_t *whole = malloc(head_bytes + tail_bytes + 1);
    uint8_t *packed = malloc(PACK_HEADER_BYTES + packed_bytes + 4);
    HRESULT hr = S_OK;
    if (!whole || !packed) {
        hr = E_OUTOFMEMORY;
        goto out;
    }
    memcpy(whole, edges->head, head_bytes);
    memcpy(whole + head_bytes, edges->tail, tail_bytes);
    memcpy(packed, PACK_MAGIC, 8);
    put_le32(packed + 8, edges->block_bytes);
    put_le32(packed + 12, edges->head_blocks);
    put_le32(packed + 16, edges->tail_blocks);
    put_le64(packed + 20, edges->block_count);
    if (compress2(packed + PACK_HEADER_BYTES, &packed_bytes, whole,
                  (uLong)(head_bytes + tail_bytes), Z_BEST_SPEED) != Z_OK) {
        hr = E_OUTOFMEMORY; /* the only reason left: the room is sufficient */
        goto out;
    }
    uint32_t length = PACK_HEADER_BYTES + (uint32_t)packed_bytes;
    put_le32(packed + length, (uint32_t)crc32(0, packed, length));
    buffer_add(out, packed, (size_t)length + 4);
    hr = buffer_status(out);
out:
    free(packed);
    free(whole);
    return hr;
}

static HRESULT refuse_pack(const char *reason, struct error *err)
{
    return error_set(err, VSS_E_UNEXPECTED, "saved edges of a disk: %s; they cannot be used",
                     reason);
}

static bool is_sound_geometry(const struct edges *e)
{
    return e->block_bytes >= 512 && e->block_bytes <= 65536 &&
           (e->block_bytes & (e->block_bytes - 1)) == 0 &&
           e->head_blocks <= MAX_EDGE_BYTES / e->block_bytes &&
           e->tail_blocks <= MAX_EDGE_BYTES / e->block_bytes &&
           e->block_count >= (uint64_t)e->head_blocks + e->tail_blocks;
}

static HRESULT check_pack(const uint8_t *bytes, size_t length, struct edges *out_geometry,
                          struct error *err)
{
    if (length < PACK_HEADER_BYTES + 4 || length > UINT32_MAX ||
        memcmp(bytes, PACK_MAGIC, 8) != 0) {
        return refuse_pack("not the form in which they are saved", err);
    }
    if ((uint32_t)crc32(0, bytes, (uInt)(length - 4)) != get_le32(bytes + length - 4)) {
        return refuse_pack("the checksum is wrong", err);
    }
    *out_geometry = (struct edges){.block_bytes = get_le32(bytes + 8),
                                   .head_blocks = get_le32(bytes + 12),
                                   .tail_blocks = get_le32(bytes + 16),
                                   .block_count = get_le64(bytes + 20)};
    return is_sound_geometry(out_geometry) ? S_OK : refuse_pack("the sizes are impossible", err);
}

/* Head and tail out of the stream, which must be exactly as long as both. */
static HRESULT inflate_into(const uint8_t *packed, size_t packed_bytes, struct edges *edges,
                            struct error *err)
{
    size_t head_bytes = bytes_of(edges, edges->head_blocks);
    size_t tail_bytes = bytes_of(edges, edges->tail_blocks);
    uLongf wanted = (uLongf)(head_bytes + tail_bytes);
    uLongf got = wanted;
    uLong used = (uLong)packed_bytes;
    uint8_t *whole = malloc(wanted + 1);
    if (!whole) {
        return no_memory(err);
    }
    HRESULT hr = S_OK;
    if (uncompress2(whole, &got, packed, &used) != Z_OK || got != wanted || used != packed_bytes) {
        hr = refuse_pack("the content has another length than it should have", err);
        goto out;
    }
    memcpy(edges->head, whole, head_bytes);
    memcpy(edges->tail, whole + head_bytes, tail_bytes);
out:
    free(whole);
    return hr;
}

HRESULT edges_unpack(const void *data, size_t length, struct edges **out, struct error *err)
{
    *out = NULL;
    const uint8_t *bytes = data;
    struct edges geometry = {0};
    HRESULT hr = check_pack(bytes, length, &geometry, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct edges *edges = new_edges(geometry.block_bytes, geometry.block_count,
                                    geometry.head_blocks, geometry.tail_blocks);
    if (!edges) {
        return no_memory(err);
    }
    hr = inflate_into(bytes + PACK_HEADER_BYTES, length - PACK_HEADER_BYTES - 4, edges, err);
    if (FAILED(hr)) {
        edges_free(edges);
        return hr;
    }
    *out = edges;
    return S_OK;
}

/* ---- as a device ---- */

struct edges_device {
    struct block_device dev; /* first */
    struct edges *edges;
};

/* The saved bytes of one block, or NULL between head and tail. */
static uint8_t *find_block(const struct edges *edges, uint64_t lba)
{
    if (lba < edges->head_blocks) {
        return edges->head + bytes_of(edges, (uint32_t)lba);
    }
    if (lba >= tail_lba(edges)) {
        return edges->tail + bytes_of(edges, (uint32_t)(lba - tail_lba(edges)));
    }
    return NULL;
}

static HRESULT device_read(struct block_device *dev, uint64_t lba, uint32_t blocks, void *data,
                           struct error *err)
{
    const struct edges *edges = ((const struct edges_device *)dev)->edges;
    (void)err;
    for (uint32_t i = 0; i < blocks; i++) {
        uint8_t *to = (uint8_t *)data + bytes_of(edges, i);
        const uint8_t *from = find_block(edges, lba + i);
        if (from) {
            memcpy(to, from, edges->block_bytes);
        } else {
            memset(to, 0, edges->block_bytes);
        }
    }
    return S_OK;
}

static HRESULT device_write(struct block_device *dev, uint64_t lba, uint32_t blocks,
                            const void *data, struct error *err)
{
    const struct edges *edges = ((const struct edges_device *)dev)->edges;
    for (uint32_t i = 0; i < blocks; i++) {
        if (!find_block(edges, lba + i)) {
            return error_set(err, E_ACCESSDENIED,
                             "%s: block %" PRIu64 " lies between the edges and cannot be written",
                             dev->name, lba + i);
        }
    }
    for (uint32_t i = 0; i < blocks; i++) {
        memcpy(find_block(edges, lba + i), (const uint8_t *)data + bytes_of(edges, i),
               edges->block_bytes);
    }
    return S_OK;
}

static HRESULT device_flush(struct block_device *dev, struct error *err)
{
    (void)dev;
    (void)err;
    return S_OK;
}

static void device_close(struct block_device *dev)
{
    free(dev);
}

static const struct block_device_ops device_ops = {device_read, device_write, device_flush,
                                                   device_close};

HRESULT edges_as_device(struct edges *edges, struct block_device **out, struct error *err)
{
    *out = NULL;
    struct edges_device *device = calloc(1, sizeof(*device));
    if (!device) {
        return no_memory(err);
    }
    device->dev = (struct block_device){.ops = &device_ops,
                                        .name = "saved edges",
                                        .block_bytes = edges->block_bytes,
                                        .block_count = edges->block_count};
    device->edges = edges;
    *out = &device->dev;
    return S_OK;
}
