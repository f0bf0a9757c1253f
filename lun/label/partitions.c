/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/label/partitions.h"

#include <inttypes.h>
#include <stdlib.h>

HRESULT partitions_add(struct label *label, const struct label_partition *partition,
                       struct error *err)
{
    size_t count = label->partition_count;
    bool is_full = (count & (count - 1)) == 0; /* the capacity is the next power of two */
    if (is_full) {
        size_t capacity = count ? 2 * count : 1;
        struct label_partition *grown =
            realloc(label->partitions, capacity * sizeof(*label->partitions));
        if (!grown) {
            return error_set(err, E_OUTOFMEMORY, "memory is short for a list of partitions");
        }
        label->partitions = grown;
    }
    label->partitions[count] = *partition;
    label->partition_count = count + 1;
    return S_OK;
}

static int by_first_lba(const void *a, const void *b)
{
    const struct label_partition *pa = *(const struct label_partition *const *)a;
    const struct label_partition *pb = *(const struct label_partition *const *)b;
    if (pa->first_lba != pb->first_lba) {
        return pa->first_lba < pb->first_lba ? -1 : 1;
    }
    return pa->number < pb->number ? -1 : 1;
}

static HRESULT check_sorted(const char *disk, const struct label_partition *const *sorted,
                            size_t count, struct error *err)
{
    for (size_t i = 1; i < count; i++) {
        const struct label_partition *a = sorted[i - 1];
        const struct label_partition *b = sorted[i];
        if (b->first_lba <= a->last_lba) {
            return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                             "%s: partition %" PRIu32 " (blocks %" PRIu64 " to %" PRIu64
                             ") overlaps partition %" PRIu32 " (blocks %" PRIu64 " to %" PRIu64
                             "); correct the partition table first",
                             disk, a->number, a->first_lba, a->last_lba, b->number, b->first_lba,
                             b->last_lba);
        }
    }
    return S_OK;
}

HRESULT partitions_check_overlap(const char *disk, const struct label_partition *partitions,
                                 size_t count, struct error *err)
{
    if (count < 2) {
        return S_OK;
    }
    const struct label_partition **sorted = calloc(count, sizeof(*sorted));
    if (!sorted) {
        return error_set(err, E_OUTOFMEMORY, "memory is short for a list of partitions");
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &partitions[i];
    }
    qsort(sorted, count, sizeof(*sorted), by_first_lba);
    HRESULT hr = check_sorted(disk, sorted, count, err);
    free(sorted);
    return hr;
}
