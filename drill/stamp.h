/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_STAMP_H
#define LUNSHADOW_DRILL_STAMP_H

#include <stdbool.h>
#include <stdint.h>

/* Every data block of a drill is predictable to the last byte: a header of 64 bytes (magic, seed,
 * LUN number, block, record, checksum) and a body derived from them. Record 0 is the base fill. */
struct stamp {
    uint32_t lun;
    uint64_t block;
    uint64_t record;
};

void stamp_fill(uint64_t seed, const struct stamp *stamp, uint32_t block_bytes, void *out);

/* Reads a header; true where magic, seed and checksum hold: the block is whole and of this drill.
 */
bool stamp_read(uint64_t seed, const void *block, uint32_t block_bytes, struct stamp *out);

/* Which data block, of data_blocks, record n of a LUN goes to: one of STAMP_PLACES, spread over all
 * of them. Their number is bounded because each block written after a clone was taken becomes an
 * extent of its own, and extents are what the next clone costs. */
#define STAMP_PLACES 512u
uint64_t stamp_index(uint64_t seed, uint32_t lun, uint64_t record, uint64_t data_blocks);

#endif
