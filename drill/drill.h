/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_DRILL_H
#define LUNSHADOW_DRILL_DRILL_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The recovery drill: a private array is made, its LUNs are shadow-copied under load, damaged,
 * brought back and proven back, and everything is taken away again. It writes to LUNs of its own
 * list only. */
struct drill_options {
    const char *state_directory; /* the report goes to DIRECTORY/drills/; NULL: as everywhere */
    const char *work_directory;  /* for the array: absent or empty, its path at most 60 bytes; NULL:
                                    one below $TMPDIR or /var/tmp. Removed at the end */
    uint64_t lun_bytes;          /* of each LUN: a multiple of 4 MiB, 64 MiB..16 GiB; 0: 256 MiB */
    uint32_t seconds;            /* of load before the cut, 2..600; 0: 3 */
    bool keep;                   /* leave the array up and say how to look at it */
    bool json;                   /* the report as JSON, and nothing else, on out */
    bool plain_directory;        /* no loop mount even as root: copies are full copies */
    FILE *out;
    bool (*should_stop)(void); /* asked often; true: end now and clean up; NULL: never */
};

enum drill_result {
    DRILL_PASSED = 0,      /* every check held */
    DRILL_FAILED = 1,      /* a check failed or could not be made */
    DRILL_DID_NOT_RUN = 2, /* nothing was written to any LUN; err says why */
    DRILL_LEFT_BEHIND = 3  /* passed, but something stayed: the report lists it */
};

/* Blocks for about a minute. Its registry and configuration are its own, in the work directory.
 * Ignores SIGPIPE while it runs: a lost session is a result. Call it from a thread that lives as
 * long as it runs. */
enum drill_result drill_run(const struct drill_options *options, struct error *err);

#endif
