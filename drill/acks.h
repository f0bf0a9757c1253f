/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_ACKS_H
#define LUNSHADOW_DRILL_ACKS_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

/* The workload's log: one entry for each write that was acknowledged, in that order, in a
 * memory-mapped file that only grows. It lies on a filesystem that is no part of the array. Times
 * are CLOCK_MONOTONIC. */
struct ack {
    uint64_t record;
    uint64_t block;
    uint64_t sent_us;
    uint64_t acknowledged_us;
    uint32_t lun;
    uint32_t check; /* of the fields above */
};

_Static_assert(sizeof(struct ack) == 40, "an entry is 40 bytes");

struct acks;

/* Makes the file (which must not be there) with room for capacity entries; sparse. */
HRESULT acks_create(const char *path, uint64_t first_record, uint64_t capacity, struct acks **out,
                    struct error *err);

/* Maps a log for reading; it may still be growing. VSS_E_UNEXPECTED: not such a log, or damaged. */
HRESULT acks_open(const char *path, struct acks **out, struct error *err);
void acks_close(struct acks *acks); /* NULL is harmless */

/* check is filled in. VSS_E_INSUFFICIENT_STORAGE when the log is full. */
HRESULT acks_append(struct acks *acks, const struct ack *ack, struct error *err);

uint64_t acks_first_record(const struct acks *acks);
uint64_t acks_count(const struct acks *acks); /* entries by now */
const struct ack *acks_at(const struct acks *acks, uint64_t index);

/* Every entry's check. VSS_E_UNEXPECTED names the first that does not hold. */
HRESULT acks_verify(const struct acks *acks, struct error *err);

#endif
