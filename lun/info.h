/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_INFO_H
#define LUNSHADOW_LUN_INFO_H

#include "common/error.h"

#include <jansson.h>
#include <lunshadow/lun.h>
#include <stdbool.h>

/* Deep copies and their end. A copy owns every string and array in it (malloc); freeing is harmless
 * on an all-zero structure and leaves one behind. Failures leave *out all-zero: E_OUTOFMEMORY;
 * E_INVALIDARG where a count is not 0 and its array is NULL. */
HRESULT lun_info_copy(const struct vss_lun_info *from, struct vss_lun_info *out);
void lun_info_free(struct vss_lun_info *info);
HRESULT disk_ids_copy(const struct vss_disk_ids *from, struct vss_disk_ids *out);
void disk_ids_free(struct vss_disk_ids *ids);
/* Only what the kind has is compared: two of kind NONE are equal. */
bool disk_ids_equal(const struct vss_disk_ids *a, const struct vss_disk_ids *b);
/* Are both of one kind of label, with partitions of the same numbers in the same order? */
bool disk_ids_share_partitions(const struct vss_disk_ids *a, const struct vss_disk_ids *b);
/* The partition of that number, ids' own; NULL where it has none. */
const struct vss_partition_id *disk_ids_partition(const struct vss_disk_ids *ids, uint32_t number);

/* JSON forms, for the registry and for --json. *_to_json returns a new reference, NULL when memory
 * is short. *_from_json takes any JSON: a wrong type, an odd hex text or a number out of range
 * gives VSS_E_UNEXPECTED with the key named; unknown keys are passed over. Identifier bytes are hex
 * text; so are signature and attributes ("0x...": a JSON reader keeps 53 bits of a number). Strings
 * that are not UTF-8 are written with '?' for each byte above 7Fh. A kind outside enum
 * vss_disk_label gives NULL too. */
json_t *lun_info_to_json(const struct vss_lun_info *info);
HRESULT lun_info_from_json(const json_t *json, struct vss_lun_info *out, struct error *err);
json_t *disk_ids_to_json(const struct vss_disk_ids *ids);
HRESULT disk_ids_from_json(const json_t *json, struct vss_disk_ids *out, struct error *err);

/* The VDS m_diskSignature form of ids: GPT disk GUID; MBR signature in data1; null for none. */
VSS_ID disk_ids_signature(const struct vss_disk_ids *ids);

#endif
