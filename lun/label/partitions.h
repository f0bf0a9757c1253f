/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_LUN_LABEL_PARTITIONS_H
#define LUNSHADOW_LUN_LABEL_PARTITIONS_H

#include "lun/label/label.h"

/* Appends a copy. E_OUTOFMEMORY. */
HRESULT partitions_add(struct label *label, const struct label_partition *partition,
                       struct error *err);

/* VSS_E_VOLUME_NOT_SUPPORTED where two of them share a block; both are named. */
HRESULT partitions_check_overlap(const char *disk, const struct label_partition *partitions,
                                 size_t count, struct error *err);

#endif
