/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_ENGINE_H
#define LUNSHADOW_RESYNC_ENGINE_H

#include "lun/pipeline.h"
#include "resync/change_map.h"

#include <stdatomic.h>

/* The host's own copying and comparing of one device over or with another: many chunks under way at
 * a time, each read, judged and written by itself. Memory: ENGINE_SLOTS chunks on each side that is
 * read, of 512 KiB where a LUN takes part (16 or 32 MiB), of 1 MiB between image files.
 * What is asked for at a time may be less (engine_pace.h). */
#define ENGINE_SLOTS 32

enum engine_mode {
    ENGINE_FULL,         /* reads the source, writes all of it */
    ENGINE_DIFFERENTIAL, /* reads both, writes the blocks that differ */
    ENGINE_COMPARE       /* reads both, writes nothing */
};

struct engine_options {
    enum engine_mode mode;
    uint64_t begin; /* bytes, multiples of both devices' blocks; in ENGINE_COMPARE end is free */
    uint64_t end;
    uint64_t from;            /* where to start; begin, unless what lies before is done already */
    uint32_t grain_bytes;     /* what is counted as a block, and written as one */
    uint32_t one_in;          /* > 1: a chunk taken at random out of each so many, no others */
    bool stops_at_difference; /* ENGINE_COMPARE: the first one in the order of offsets is enough */
    const struct change_map *changes; /* what lies outside is equal, and not looked at; NULL: all */
    uint64_t bytes_per_second;        /* read and written, both devices together; 0: no limit */
    const atomic_bool *cancelled;     /* may be NULL */
    _Atomic uint64_t *progress;       /* progress_base and the bytes dealt with; may be NULL */
    uint64_t progress_base;

    /* What follows may be NULL (and without reopen a lost session is a failure).
     * reopen: a device is lost; opens both anew where needed, which may replace the pointers that
     * engine_run() was given. S_OK: they are what they were: the engine goes on from the last mark.
     * S_FALSE: others may have written to the destination: it goes on from begin, and compares all.
     * ENGINE_COMPARE goes on where it is in both cases: what was lost is read again.
     * mark: all before offset is written and durable. */
    HRESULT (*reopen)(void *user, struct error *err);
    HRESULT (*mark)(void *user, uint64_t offset, struct error *err);
    void *user;
};

struct engine_report {
    uint64_t looked_bytes; /* of the devices' length: what was dealt with, read or not */
    uint64_t read_bytes;
    uint64_t written_bytes;
    uint64_t zeroed_bytes;     /* unmapped instead of written */
    uint64_t hole_bytes;       /* known to be zero on both sides: not read */
    uint64_t different_bytes;  /* single bytes that differ; ENGINE_COMPARE only */
    uint64_t different_blocks; /* of grain_bytes; not counted by ENGINE_FULL */
    uint64_t first_difference; /* offset of a byte; UINT64_MAX: none */
    uint32_t reopened;         /* how often a session was lost */
};

/* Both directions of trouble: a device's failure has its own code and text; E_ABORT where it was
 * cancelled (within a second, what was under way is then lost or done). In each case all before the
 * last mark is as it should be. *out is what was done, also after a failure. */
HRESULT engine_run(struct pipeline *const *source, struct pipeline *const *destination,
                   const struct engine_options *options, struct engine_report *out,
                   struct error *err);

#endif
