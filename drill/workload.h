/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_WORKLOAD_H
#define LUNSHADOW_DRILL_WORKLOAD_H

#include "drill/acks.h"
#include "drill/layout.h"
#include "drill/raw.h"

/* Dependent writes: record n goes to the second LUN only after record n on the first was
 * acknowledged, and so on; one block per record and LUN. A point-in-time copy of all LUNs holds n
 * on each, or n on the first few and n - 1 on the rest: nothing else can be. */

struct workload_lun {
    struct raw_address address;
    const struct layout *layout;
};

struct workload_plan {
    const char *log_path;
    uint64_t seed;
    uint64_t first_record;
    uint64_t record_limit; /* how many records at most: the log's room */
    const char *initiator;
    const struct workload_lun *luns;
    size_t lun_count;
};

/* Runs it here, over one session per LUN, until should_stop says so (asked between records) or the
 * log is full. The record in flight is finished first. */
HRESULT workload_run(const struct workload_plan *plan, bool (*should_stop)(void *user), void *user,
                     struct error *err);

/* The same as a process of its own, lunshadow-workload. */
struct workload;

/* Returns when the first record was acknowledged (waits up to 10 s). */
HRESULT workload_start(const struct workload_plan *plan, struct workload **out, struct error *err);

/* Its log, growing; borrowed. */
const struct acks *workload_acks(const struct workload *workload);

/* S_OK while it runs; else VSS_E_UNEXPECTED with the program's last words. */
HRESULT workload_check(struct workload *workload, struct error *err);

/* Asks it to stop, waits for its end, frees. Fails where it did not end well; then the log does not
 * tell what is on the LUNs. NULL is harmless. */
HRESULT workload_stop(struct workload *workload, struct error *err);

/* Path of the program: $LUNSHADOW_LIBEXECDIR, the build's own, or the installed one. malloc'ed. */
char *workload_program(void);

/* How many records became complete (acknowledged on the last LUN, number last_lun) in from_us <= t
 * < to_us. */
uint64_t workload_records_between(const struct acks *acks, uint32_t last_lun, uint64_t from_us,
                                  uint64_t to_us);

#endif
