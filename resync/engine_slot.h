/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_RESYNC_ENGINE_SLOT_H
#define LUNSHADOW_RESYNC_ENGINE_SLOT_H

#include "resync/engine.h"
#include "resync/engine_pace.h"

/* Stretches of one chunk that are written by themselves; what lies less than a 64th of the most
 * apart is written in one. */
#define ENGINE_RUNS 64

struct engine_slot {
    struct engine *engine;
    bool is_busy;
    bool is_lost; /* ENGINE_COMPARE: an answer was lost, the same chunk is to be read again */
    uint64_t offset;
    uint32_t bytes;
    bool source_is_zero;
    bool destination_is_zero; /* known without reading */
    uint8_t *source;          /* most_bytes, and room for the rest of a block */
    uint8_t *destination;     /* NULL in ENGINE_FULL */
    size_t pending;
    struct pipeline_request reads[2];
    struct pipeline_request writes[ENGINE_RUNS];
};

struct engine {
    struct pipeline *const *source;
    struct pipeline *const *destination;
    const struct engine_options *options;
    struct engine_report *report;
    enum engine_mode mode; /* FULL becomes DIFFERENTIAL where the destination is to be distrusted */
    uint32_t most_bytes;   /* of a chunk */
    uint32_t chunk_bytes;  /* what pace says now */
    struct engine_pace pace;
    const struct change_map *changes; /* NULL where the destination is to be distrusted */
    uint64_t cursor;                  /* where the next chunk begins */
    uint64_t run_end;                 /* of what may have changed from there on */
    uint64_t sample_end;              /* of the group that the last chunk was taken from */
    uint64_t random;
    uint64_t flushed_to; /* what the flush under way covers */
    uint64_t durable;
    uint64_t marked;
    uint64_t marked_us;
    bool is_flushing;
    struct pipeline_request flush;
    uint32_t reopens_left;
    double budget; /* bytes that may be moved now; below 0: wait */
    uint64_t budget_us;
    struct error failure; /* of a request */
    bool is_gone;         /* the devices could not be opened anew: there are none */
    struct engine_slot slots[ENGINE_SLOTS];
};

/* Buffers for the mode and the devices as they are now; keeps those that are there. */
HRESULT engine_slots_fit(struct engine *e, struct error *err);
void engine_slots_free(struct engine *e);

/* Starts on the chunk at s->offset. */
void engine_slot_begin(struct engine *e, struct engine_slot *s, bool source_is_hole,
                       bool destination_is_hole);

void engine_fail(struct engine *e, HRESULT hr, const char *text);
bool engine_is_stopping(const struct engine *e);

#endif
