/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_ENGINE_PACE_H
#define LUNSHADOW_RESYNC_ENGINE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* How large the engine's commands are. Some targets are several times as fast with large ones, some
 * (tgtd as it comes, once its memory allocator gives each large buffer back) with small ones, and
 * neither says so. So both are timed, a stretch of the copy each, and the faster one goes on; the
 * other is given another chance from time to time, ever more seldom. */

#define ENGINE_PACE_SETTLE  (8ull << 20)  /* bytes, of the size before, that may be under way */
#define ENGINE_PACE_TRIAL   (64ull << 20) /* bytes that are timed */
#define ENGINE_PACE_FIRST   (1ull << 30)  /* bytes until the next trial, doubled by each */
#define ENGINE_PACE_LONGEST (16ull << 30)

struct engine_pace {
    uint32_t sizes[2]; /* the larger one first */
    int now;           /* index of the one in use */
    bool is_trial;     /* of sizes[now], against sizes[1 - now] */
    double rates[2];   /* bytes in a microsecond, as last timed; 0: not yet */
    uint64_t begin;    /* moved bytes: from where on this stretch is timed */
    uint64_t begin_us; /* 0: it does not count yet */
    uint64_t interval;
};

/* largest: bytes, a power of two. block_bytes: of the device with the larger blocks, a power of
 * two; both sizes are whole ones. The largest alone where is_steady. */
void engine_pace_begin(struct engine_pace *pace, uint32_t largest, uint32_t block_bytes,
                       bool is_steady);

/* The size for the next command, after moved bytes were read and written, at now_us (of a
 * clock that never shows 0). */
uint32_t engine_pace_next(struct engine_pace *pace, uint64_t moved, uint64_t now_us);

#endif
