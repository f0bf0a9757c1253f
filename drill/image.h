/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_IMAGE_H
#define LUNSHADOW_DRILL_IMAGE_H

#include "drill/acks.h"
#include "drill/layout.h"
#include "drill/raw.h"

/* What a LUN must contain: for each data block the record that it was last written with, for the
 * fixed areas their bytes. */
struct image {
    const struct layout *layout; /* outlives the image */
    uint64_t seed;
    uint32_t *records;    /* by block of the LUN; 0: base fill */
    uint8_t *fixed_bytes; /* all fixed areas, one after the other; NULL until captured */
};

HRESULT image_new(const struct layout *layout, uint64_t seed, struct image **out,
                  struct error *err);
HRESULT image_copy(const struct image *from, struct image **out, struct error *err);
void image_free(struct image *image); /* NULL is harmless */

/* Applies the log's entries for this LUN up to and including record up_to. VSS_E_UNEXPECTED where
 * an entry names a block that is no data block. */
HRESULT image_apply(struct image *image, const struct acks *acks, uint64_t up_to,
                    struct error *err);

/* Writes every data block as the image has it. */
HRESULT image_write(const struct image *image, struct raw *raw, struct error *err);

/* Takes the fixed areas as they stand on the LUN now. */
HRESULT image_capture(struct image *image, struct raw *raw, struct error *err);

/* Fixed areas, one after the other: room for layout->fixed_blocks blocks. */
HRESULT image_read_fixed(const struct layout *layout, struct raw *raw, uint8_t *out,
                         struct error *err);
HRESULT image_write_fixed(const struct layout *layout, struct raw *raw, const uint8_t *bytes,
                          struct error *err);

/* Where the bytes of one block of a fixed area are in such a run; NULL where it is a data block. */
uint8_t *image_fixed_block(const struct layout *layout, uint8_t *bytes, uint64_t block);

enum image_part { IMAGE_DATA = 1, IMAGE_FIXED = 2, IMAGE_ALL = 3 };

struct image_difference {
    uint64_t compared_blocks;
    uint64_t different_blocks;
    uint64_t first_block; /* of the differing ones, and the next two about it */
    uint32_t first_byte;
    char found[128]; /* what stands there, in words */
};

/* Compares every block of these parts. A difference is a success of the call. */
HRESULT image_compare(const struct image *image, struct raw *raw, enum image_part parts,
                      struct image_difference *out, struct error *err);

/* XXH3-128 of a whole LUN. */
#define IMAGE_DIGEST_BYTES 16
HRESULT image_digest(struct raw *raw, uint8_t out[IMAGE_DIGEST_BYTES], struct error *err);

/* For readers that walk a LUN: how many blocks to take at once. */
#define IMAGE_STEP_BYTES ((size_t)4 * 1024 * 1024)

#endif
