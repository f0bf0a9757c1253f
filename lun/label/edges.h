/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_LABEL_EDGES_H
#define LUNSHADOW_LUN_LABEL_EDGES_H

#include "common/buffer.h"
#include "lun/label/label.h"

/* Head and tail of a disk: what carries its label. A disk whose edges are zero looks empty to every
 * reader, so a disk being overwritten has its edges wiped first and written last. */
struct edges {
    uint32_t block_bytes;
    uint64_t block_count;
    uint32_t head_blocks; /* from block 0 */
    uint32_t tail_blocks; /* up to the last block; head and tail never overlap */
    uint8_t *head;
    uint8_t *tail;
};

/* How much of a disk its edges are: 1 MiB each, more where a valid GPT's entry array reaches
 * further (label may be NULL), the whole disk split in two where it is smaller than that. A backup
 * that is not in the last block of the disk does not count. VSS_E_VOLUME_NOT_SUPPORTED where an
 * edge would be larger than 16 MiB. */
HRESULT edges_extent(const struct block_device *dev, const struct label *label,
                     uint32_t *out_head_blocks, uint32_t *out_tail_blocks);

/* VSS_E_VOLUME_NOT_SUPPORTED as edges_extent(). *out is freed by edges_free(). */
HRESULT edges_read(struct block_device *dev, const struct label *label, struct edges **out,
                   struct error *err);
/* As edges_read(), at least so many blocks at each end. */
HRESULT edges_read_least(struct block_device *dev, const struct label *label, uint32_t head_blocks,
                         uint32_t tail_blocks, struct edges **out, struct error *err);
void edges_free(struct edges *edges); /* NULL is harmless */

/* Zeros over the extent, the primary label's block 0 first and flushed alone; flushed and read
 * back. The content of extent is not looked at. A device of another geometry: E_INVALIDARG, nothing
 * written. A block that does not read back: VSS_E_UNEXPECTED. */
HRESULT edges_wipe(struct block_device *dev, const struct edges *extent, struct error *err);

/* Tail first, then the head from its end, flushed and read back; block 0 last and alone, so that
 * the disk is valid only when all is there and was seen. Where block 0 does not read back it is
 * zeroed again, as far as the device lets us. The device must have the same geometry: E_INVALIDARG.
 * A block that does not read back: VSS_E_UNEXPECTED. */
HRESULT edges_write(struct block_device *dev, const struct edges *edges, struct error *err);

/* A byte form with a checksum, for the journal, appended to out (compressed: labels are mostly
 * zeros); edges_unpack() refuses any damage (VSS_E_UNEXPECTED). */
HRESULT edges_pack(const struct edges *edges, struct buffer *out);
HRESULT edges_unpack(const void *data, size_t length, struct edges **out, struct error *err);

/* The edges as a device in memory, so that a label can be read and re-labelled before it is
 * written: blocks between head and tail read as zero and refuse writes (E_ACCESSDENIED), so logical
 * partitions of an MBR are not seen there. Writes change edges. The edges must outlive it. */
HRESULT edges_as_device(struct edges *edges, struct block_device **out, struct error *err);

#endif
