/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_LAYOUT_H
#define LUNSHADOW_DRILL_LAYOUT_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which blocks of a LUN are the drill's data, each of them stamped; all others (labels, extended
 * boot records, gaps) are kept byte for byte as they are: its fixed areas. */

struct range {
    uint64_t first_block;
    uint64_t block_count;
};

struct layout {
    uint32_t number; /* of the LUN in the drill, from 1: stands in every stamp */
    uint32_t block_bytes;
    uint64_t block_count;
    struct range *data; /* ascending, apart, not empty */
    size_t data_count;
    struct range *fixed; /* all the rest, ascending */
    size_t fixed_count;
    uint64_t data_blocks;  /* sum of data */
    uint64_t fixed_blocks; /* sum of fixed */
};

/* ranges are copied. E_INVALIDARG where they are not ascending, overlap or leave the LUN. */
HRESULT layout_make(uint32_t number, uint32_t block_bytes, uint64_t block_count,
                    const struct range *ranges, size_t count, struct layout *out,
                    struct error *err);
void layout_free(struct layout *layout); /* leaves it all-zero */

/* The LUN's block of the index-th data block, index < data_blocks. */
uint64_t layout_block(const struct layout *layout, uint64_t index);

/* "FIRST+COUNT,FIRST+COUNT": the form the workload's command line has. */
char *layout_text(const struct layout *layout); /* malloc'ed; NULL when memory is short */
HRESULT layout_parse_ranges(const char *text, struct range **out, size_t *out_count,
                            struct error *err);

#endif
