/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_LABEL_DIFF_H
#define LUNSHADOW_LUN_LABEL_DIFF_H

#include "lun/label/label.h"

/* What staged writes change, byte by byte, for a person who wants to see it before. */

/* A run of bytes; runs that are less than 8 equal bytes apart are one. */
struct label_diff {
    uint64_t offset; /* from the beginning of the disk */
    uint32_t bytes;
    const uint8_t *old_data; /* borrowed from the writes */
    const uint8_t *new_data;
};

/* Where a walk over writes is; starts all-zero. */
struct label_diff_walk {
    size_t item;
    size_t at; /* bytes into the item */
};

/* The next run; false past the last one. */
bool label_diff_next(const struct label_writes *writes, uint32_t block_bytes,
                     struct label_diff_walk *walk, struct label_diff *out);

/* All runs in the order of the disk: [{"offset": N, "old": "hex", "new": "hex"}, ...]; NULL when
 * memory is short. */
json_t *label_diff_to_json(const struct label_writes *writes, uint32_t block_bytes);

#endif
