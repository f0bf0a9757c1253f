/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_LABEL_MBR_H
#define LUNSHADOW_LUN_LABEL_MBR_H

#include "lun/label/label.h"

#define MBR_TYPE_GPT 0xee
#define MBR_TYPE_LDM 0x42

/* What block 0 is. */
enum mbr_kind {
    MBR_ABSENT,    /* no partition table: nothing, or the boot sector of a filesystem */
    MBR_EMPTY,     /* a table without entries, but with a signature */
    MBR_TABLE,     /* a table with entries */
    MBR_PROTECTIVE /* a table with an EEh entry: the disk is GPT */
};

struct mbr {
    enum mbr_kind kind;
    uint32_t signature;
    bool is_hybrid; /* PROTECTIVE with further entries */
};

/* Looks at block 0 (at least 512 bytes) of a disk of block_count blocks. */
void mbr_examine(const uint8_t *block, uint64_t block_count, struct mbr *out);

uint32_t mbr_get_signature(const uint8_t *block);
void mbr_set_signature(uint8_t *block, uint32_t signature);

/* Adds the partitions of the table in block 0 to label, the logical ones too where with_logicals.
 */
HRESULT mbr_list_partitions(struct block_device *dev, const uint8_t *block, bool with_logicals,
                            struct label *label, struct error *err);

#endif
