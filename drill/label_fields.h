/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_LABEL_FIELDS_H
#define LUNSHADOW_DRILL_LABEL_FIELDS_H

#include "common/buffer.h"
#include "common/error.h"
#include "drill/layout.h"

/* A disk label field by field, read from a layout's fixed areas by code of the drill's own
 * (UEFI 2.10 chapter 5, the extended boot record chain as Linux reads it). It reads what the drill
 * itself labelled: it is a judge, not a product, and calls anything unusual wrong. */

enum fields_kind { FIELDS_NONE, FIELDS_MBR, FIELDS_GPT };

#define FIELDS_PARTITIONS_MAX 128
#define FIELDS_NAME_BYTES     72 /* UTF-16LE as the entry has it */

struct fields_partition {
    uint32_t number;
    uint64_t first_lba;
    uint64_t last_lba;
    uint8_t mbr_type; /* MBR */
    uint8_t mbr_boot;
    VSS_ID type; /* GPT, and all below */
    VSS_ID guid;
    uint64_t attributes;
    uint8_t name[FIELDS_NAME_BYTES];
};

struct fields_header {
    bool is_valid;
    const char *reason; /* static text, NULL when valid */
    uint64_t own_lba;
    uint64_t other_lba;
    uint64_t first_usable_lba;
    uint64_t last_usable_lba;
    uint64_t entries_lba;
    uint32_t entry_count;
    uint32_t entry_bytes;
    VSS_ID disk_guid;
};

struct fields {
    enum fields_kind kind;
    uint32_t mbr_signature;
    struct fields_header primary; /* GPT */
    struct fields_header backup;
    bool entries_agree; /* GPT: both entry arrays are the same bytes */
    struct fields_partition partitions[FIELDS_PARTITIONS_MAX];
    size_t partition_count;
};

/* VSS_E_UNEXPECTED: structures where the layout has data, a chain without end. A damaged GPT header
 * is not a failure: look at is_valid. *out is freed with free(). */
HRESULT fields_read(const struct layout *layout, const uint8_t *fixed, struct fields **out,
                    struct error *err);

/* Replaces what RecoverSet and break may choose: MBR signature, disk GUID, partition GUIDs. Both
 * must be of one kind with the same partitions; else VSS_E_UNEXPECTED. */
HRESULT fields_take_ids(struct fields *fields, const struct fields *ids, struct error *err);

/* Writes those ids into the bytes of a label that fields_read() calls whole, with the check sums.
 */
HRESULT fields_patch(const struct layout *layout, uint8_t *fixed, const struct fields *ids,
                     struct error *err);

/* Names every field that differs, "; " between them; *out_count is how many fields were compared.
 */
void fields_compare(const struct fields *expected, const struct fields *found,
                    struct buffer *out_differences, size_t *out_count);

/* True where every id (signature or disk GUID, and each partition's GUID) of a differs from b's. */
bool fields_ids_all_differ(const struct fields *a, const struct fields *b);
bool fields_ids_equal(const struct fields *a, const struct fields *b);

/* Bits 60 to 63 of any partition: read-only, shadow copy, hidden, no drive letter. */
bool fields_has_shadow_bits(const struct fields *fields);

/* "signature 0x1234abcd" or "disk <guid>". Returns out. */
#define FIELDS_TEXT_BYTES 64
char *fields_id_text(const struct fields *fields, char out[FIELDS_TEXT_BYTES]);

#endif
