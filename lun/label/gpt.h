/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_LABEL_GPT_H
#define LUNSHADOW_LUN_LABEL_GPT_H

#include "lun/label/label.h"

#define GPT_PRIMARY_LBA       1u
#define GPT_MAX_ENTRIES_BYTES (4u << 20)
#define GPT_MIN_ENTRIES_BYTES 16384u /* what UEFI reserves at least, and nearly every disk has */

/* Offsets within an entry that a change of ids touches. */
#define GPT_ENTRY_GUID       16
#define GPT_ENTRY_ATTRIBUTES 48

bool gpt_has_signature(const uint8_t *block);

/* Reads the header in block, which was found at lba of a disk of this geometry, and checks all that
 * can be checked without the entries. */
void gpt_parse_header(const uint8_t *block, uint32_t block_bytes, uint64_t block_count,
                      uint64_t lba, bool is_backup, struct label_gpt_header *out);

/* Of a header that is valid so far. */
uint32_t gpt_entries_bytes(const struct label_gpt_header *header);
uint32_t gpt_entries_blocks(const struct label_gpt_header *header, uint32_t block_bytes);

/* Marks the header invalid where its entries do not have its checksum. */
void gpt_check_entries(struct label_gpt_header *header, const uint8_t *entries);

/* Marks the backup invalid where it describes another label than the primary; both are valid so
 * far. */
void gpt_check_agreement(const struct label_gpt_header *primary, struct label_gpt_header *backup);

bool gpt_entry_is_used(const uint8_t *entry);

/* Adds the partitions in use to label. */
HRESULT gpt_list_partitions(const char *disk, const struct label_gpt_header *header,
                            const uint8_t *entries, struct label *label, struct error *err);

/* What a header is rewritten to. The bytes that are not named here stay as they are in block. */
struct gpt_header_change {
    uint64_t lba;
    uint64_t alternate_lba;
    uint64_t entries_lba;
    VSS_ID disk_guid;
    uint32_t entries_crc;
};

/* Writes the change into the header in block and gives it its checksum. */
void gpt_rewrite_header(uint8_t *block, const struct gpt_header_change *change);

uint32_t gpt_crc(const uint8_t *data, uint32_t length);

#endif
