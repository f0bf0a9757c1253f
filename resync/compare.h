/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_COMPARE_H
#define LUNSHADOW_RESYNC_COMPARE_H

#include "resync/engine.h"

/* What two devices hold, compared: the copy engine's reader, and its judge. */
struct compare_options {
    const struct lun_options *lun;
    uint32_t paths;            /* sessions of each LUN; 0: 2 */
    bool stops_at_first;       /* the first difference is enough: counts are then of no account */
    uint64_t bytes_per_second; /* 0: no limit */
    const atomic_bool *cancelled;     /* may be NULL */
    _Atomic uint64_t *progress;       /* bytes of compared_bytes; may be NULL */
    _Atomic uint64_t *progress_total; /* compared_bytes, as soon as it is known; may be NULL */
    uint32_t patience_ms; /* how long a lost LUN may stay away; 0: a loss is a failure */
};

struct compare_result {
    uint64_t a_bytes; /* sizes; the longer one's rest is not looked at */
    uint64_t b_bytes;
    uint64_t compared_bytes;
    uint32_t block_bytes; /* what different_blocks counts: the larger block of both, 512 at least */
    struct engine_report report;
};

/* a, b: a LUN's URL, or the path of a raw image file or block device each; only read. S_OK: equal,
 * in size too; S_FALSE: not. Codes of pipeline_open() and engine_run(). A lost session is opened
 * anew where page 83 shows that it is the same LUN, of the same size. */
HRESULT compare_devices(const char *a, const char *b, const struct compare_options *options,
                        struct compare_result *out, struct error *err);

#endif
