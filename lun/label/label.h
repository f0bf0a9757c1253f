/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_LABEL_LABEL_H
#define LUNSHADOW_LUN_LABEL_LABEL_H

#include "lun/block.h"
#include "lun/info.h"

/* A disk label as read: MBR (with logical partitions of extended ones), GPT, or none, which is
 * legal. Sources: UEFI 2.10 chapter 5; for extended partitions the EBR chain as Linux reads it. */

#define LABEL_NAME_BYTES 109 /* 36 UTF-16 units as UTF-8, NUL included */

#define GPT_ATTR_READ_ONLY       0x1000000000000000ull
#define GPT_ATTR_SHADOW_COPY     0x2000000000000000ull
#define GPT_ATTR_HIDDEN          0x4000000000000000ull
#define GPT_ATTR_NO_DRIVE_LETTER 0x8000000000000000ull
#define GPT_ATTR_SHADOW_BITS                                                                       \
    (GPT_ATTR_READ_ONLY | GPT_ATTR_SHADOW_COPY | GPT_ATTR_HIDDEN | GPT_ATTR_NO_DRIVE_LETTER)

struct label_partition {
    uint32_t number; /* as the kernel counts: MBR 1..4, logical from 5; GPT index + 1 */
    uint64_t first_lba;
    uint64_t last_lba; /* inclusive */
    uint8_t mbr_type;  /* MBR only */
    VSS_ID type_guid;  /* GPT only, and the next three */
    VSS_ID guid;
    uint64_t attributes;
    char name[LABEL_NAME_BYTES]; /* unpaired surrogates and control characters as U+FFFD */
};

/* One GPT header as found. */
struct label_gpt_header {
    bool is_valid; /* signature, size, CRCs, own LBA and ranges all hold; a backup also describes
                      the same label as a valid primary */
    const char *reason;     /* static text: why not; NULL when valid */
    bool is_intact;         /* all of that but its entries: what it says of the other one counts */
    uint64_t lba;           /* where it was looked for */
    uint64_t alternate_lba; /* where it says that the other header is */
    uint32_t revision;
    uint32_t header_bytes;
    uint64_t first_usable_lba;
    uint64_t last_usable_lba;
    uint64_t entries_lba;
    uint32_t entry_count;
    uint32_t entry_bytes;
    uint32_t entries_crc;
    VSS_ID disk_guid;
};

struct label {
    int32_t kind; /* enum vss_disk_label */
    uint32_t block_bytes;
    uint64_t block_count;
    uint32_t mbr_signature;          /* also of a protective MBR */
    bool is_hybrid;                  /* GPT whose MBR lists more than the protective entry */
    bool backup_was_read;            /* false after LABEL_PRIMARY_ONLY; GPT only */
    struct label_gpt_header primary; /* GPT only */
    struct label_gpt_header backup;
    struct label_partition *partitions; /* in use, by number; extended containers included */
    size_t partition_count;
    bool has_dynamic_disk; /* an LDM partition (MBR 42h, or the two GPT types): never reverted,
                              never a resync destination */
};

/* PRIMARY_ONLY reads what stands at the head of the disk and no more, one read for the usual label:
 * no backup header, no logical partitions (their extended container is listed). */
enum label_depth { LABEL_PRIMARY_ONLY, LABEL_FULL };

/* Reads and validates. Succeeds with kind NONE where there is no label: also where block 0 is the
 * boot sector of a filesystem, or ends in 55AA but holds no partition table (boot flags or all
 * entries make no sense, or neither an entry nor a signature), and where only a backup GPT header
 * is left over.
 *
 * A disk says it is GPT by an EEh entry in its MBR. A GPT with one good header succeeds (look at
 * primary and backup). The backup is looked for where the primary says (also where only the entries
 * of the primary do not hold), then in the last block; where it describes another label than a
 * valid primary, the primary counts and the backup is marked invalid.
 *
 * VSS_E_VOLUME_NOT_SUPPORTED where the disk says it is GPT and no header holds (PRIMARY_ONLY: the
 * primary does not), where block 1 has the GPT signature while block 0 has no table, an empty one,
 * or one whose partition covers block 1, where partitions overlap or leave the disk, or where an
 * EBR chain loops, breaks off or has more than 128 logical partitions: header, LBA and reason are
 * named. Entry arrays above 4 MiB are refused. *out is freed by label_free(). */
HRESULT label_read(struct block_device *dev, enum label_depth depth, struct label **out,
                   struct error *err);
void label_free(struct label *label); /* NULL is harmless */

/* Do two labels, each as read, say the same of their disk: kind, ids, and every partition's place,
 * type, ids and attributes? NULL is the same as NULL alone. */
bool label_is_same(const struct label *a, const struct label *b);

/* The ids of a label as read; freed by disk_ids_free(). */
HRESULT label_ids(const struct label *label, struct vss_disk_ids *out);

/* One run of blocks to be written, with what stands there now: a staged write. */
struct label_write {
    uint64_t lba;
    uint32_t blocks;
    uint8_t *old_data; /* blocks * block_bytes */
    uint8_t *new_data;
};

struct label_writes {
    struct label_write *items;
    size_t count;
};

/* Stages the writes that give the disk these ids: MBR signature; or GPT disk GUID, partition GUIDs
 * and attributes in both entry arrays, both headers, all CRCs, the protective MBR's signature left
 * alone unless ids say otherwise. Nothing is written. label must come from LABEL_FULL. Kinds must
 * agree; ids must name exactly the partitions in use, by number; the disk must still hold the label
 * as it was read and must not be a dynamic disk; otherwise VSS_E_CANNOT_REVERT_DISKID. Both GPT
 * headers must be valid, unless repair is true: then the bad one is rebuilt from the good one, the
 * primary in blocks 1 and 2, the backup in the last blocks of the disk, refused where partitions
 * may lie there. Label kind NONE with ids of kind NONE stages nothing and succeeds; so do ids that
 * are there already, where nothing is to be repaired.
 *
 * Order of items: backup entries, backup header, primary entries, primary header, MBR; where the
 * primary is being rebuilt, the primary pair first. So at each moment (items written and flushed
 * one by one, and put back in the reverse order) one valid header describes a whole label. */
HRESULT label_stage_ids(struct block_device *dev, const struct label *label,
                        const struct vss_disk_ids *ids, bool repair, struct label_writes *out,
                        struct error *err);
void label_writes_free(struct label_writes *writes);

/* Fresh ids for a copy: new random MBR signature (never 0) or disk GUID and partition GUIDs;
 * attributes have set_bits added, then clear_bits removed. The signature of a GPT disk's MBR stays
 * 0 where it is 0 (as UEFI writes it) and is fresh where somebody gave it one. Kind NONE stays
 * NONE. */
HRESULT label_fresh_ids(const struct vss_disk_ids *from, uint64_t set_bits, uint64_t clear_bits,
                        struct vss_disk_ids *out);

#endif
