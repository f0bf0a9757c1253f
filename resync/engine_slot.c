/* SPDX-License-Identifier: Apache-2.0 */
/* One chunk: read, judge, write. */
#include "resync/engine_slot.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 4096u

/* ---- buffers ---- */

static uint8_t *new_buffer(const struct engine *e)
{
    void *data = NULL;
    return posix_memalign(&data, ALIGNMENT, (size_t)e->most_bytes + PIPELINE_BLOCK_MAX) == 0 ? data
                                                                                             : NULL;
}

HRESULT engine_slots_fit(struct engine *e, struct error *err)
{
    uint32_t a = (*e->source)->max_bytes;
    uint32_t b = (*e->destination)->max_bytes;
    uint32_t most = a < b ? a : b;
    if (e->most_bytes && most < e->most_bytes) {
        return error_set(err, VSS_E_PROVIDER_VETO,
                         "the target takes less in one command than it did before; start again");
    }
    e->most_bytes = e->most_bytes ? e->most_bytes : most;
    for (size_t i = 0; i < ENGINE_SLOTS; i++) {
        struct engine_slot *s = &e->slots[i];
        s->engine = e;
        s->source = s->source ? s->source : new_buffer(e);
        if (e->mode != ENGINE_FULL && !s->destination) {
            s->destination = new_buffer(e);
        }
        if (!s->source || (e->mode != ENGINE_FULL && !s->destination)) {
            return error_set(err, E_OUTOFMEMORY, "out of memory copying");
        }
    }
    return S_OK;
}

void engine_slots_free(struct engine *e)
{
    for (size_t i = 0; i < ENGINE_SLOTS; i++) {
        free(e->slots[i].source);
        free(e->slots[i].destination);
    }
}

static bool is_zero(const uint8_t *data, size_t bytes)
{
    return bytes == 0 || (data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0);
}

/* ---- writing ---- */

static void end_chunk(struct engine_slot *s)
{
    s->is_busy = false;
}

static void on_written(struct pipeline_request *r)
{
    struct engine_slot *s = r->user;
    s->pending--;
    if (FAILED(r->result)) {
        engine_fail(s->engine, r->result, r->own.owner->err.text);
    }
    if (s->pending == 0) {
        end_chunk(s);
    }
}

static void submit_write(struct engine_slot *s, enum pipeline_op op, uint32_t begin, uint32_t end)
{
    struct engine *e = s->engine;
    struct pipeline_request *r = &s->writes[s->pending++];
    *r = (struct pipeline_request){.op = op,
                                   .offset = s->offset + begin,
                                   .bytes = end - begin,
                                   .data = s->source + begin,
                                   .on_done = on_written,
                                   .user = s};
    if (op == PIPELINE_ZERO) {
        e->report->zeroed_bytes += end - begin;
    } else {
        e->report->written_bytes += end - begin;
        e->budget -= end - begin;
    }
    pipeline_submit(*e->destination, r);
}

/* Zeros are unmapped where that is sure to read as zero. */
static void write_chunk(struct engine_slot *s)
{
    bool is_unmapped = s->source_is_zero && (*s->engine->destination)->can_zero;
    submit_write(s, is_unmapped ? PIPELINE_ZERO : PIPELINE_WRITE, 0, s->bytes);
}

/* ---- judging ---- */

static void count_difference(struct engine_slot *s, uint32_t begin, uint32_t end)
{
    struct engine_report *report = s->engine->report;
    uint64_t bytes = 0;
    for (uint32_t i = begin; i < end; i++) {
        bytes += s->source[i] != s->destination[i];
    }
    report->different_blocks++;
    report->different_bytes += bytes;
    uint32_t at = begin;
    while (s->source[at] == s->destination[at]) {
        at++;
    }
    if (s->offset + at < report->first_difference) {
        report->first_difference = s->offset + at;
    }
}

/* The next block from at on that differs; s->bytes where none does. */
static uint32_t find_difference(const struct engine_slot *s, uint32_t at, uint32_t *out_end)
{
    uint32_t grain = s->engine->options->grain_bytes;
    for (; at < s->bytes; at += grain) {
        uint32_t bytes = s->bytes - at < grain ? s->bytes - at : grain;
        if (memcmp(s->source + at, s->destination + at, bytes) != 0) {
            *out_end = at + bytes;
            return at;
        }
    }
    return s->bytes;
}

/* Blocks that differ, in stretches: those that lie near each other are written as one. */
static void write_differences(struct engine_slot *s)
{
    uint32_t gap = s->engine->most_bytes / ENGINE_RUNS;
    uint32_t end = 0;
    uint32_t begin = find_difference(s, 0, &end);
    while (begin < s->bytes) {
        uint32_t run_end = end;
        s->engine->report->different_blocks++;
        uint32_t next = find_difference(s, run_end, &end);
        while (next < s->bytes && next - run_end < gap) {
            s->engine->report->different_blocks++;
            run_end = end;
            next = find_difference(s, run_end, &end);
        }
        submit_write(s, PIPELINE_WRITE, begin, run_end);
        begin = next;
    }
}

static void compare(struct engine_slot *s)
{
    uint32_t end = 0;
    uint32_t at = find_difference(s, 0, &end);
    while (at < s->bytes) {
        count_difference(s, at, end);
        at = find_difference(s, end, &end);
    }
}

/* Both sides, or the source alone, are in memory. */
static void judge(struct engine_slot *s)
{
    struct engine *e = s->engine;
    if (e->mode == ENGINE_FULL) {
        s->source_is_zero = s->source_is_zero || is_zero(s->source, s->bytes);
        if (!s->source_is_zero || !s->destination_is_zero) {
            write_chunk(s);
        }
    } else if (memcmp(s->source, s->destination, s->bytes) == 0) {
        /* nothing to do */
    } else if (e->mode == ENGINE_COMPARE) {
        compare(s);
    } else if (is_zero(s->source, s->bytes) && (*e->destination)->can_zero) {
        uint32_t end = 0;
        for (uint32_t at = find_difference(s, 0, &end); at < s->bytes;
             at = find_difference(s, end, &end)) {
            e->report->different_blocks++;
        }
        s->source_is_zero = true;
        write_chunk(s);
    } else {
        write_differences(s);
    }
    if (s->pending == 0) {
        end_chunk(s);
    }
}

/* ---- reading ---- */

static void on_read(struct pipeline_request *r)
{
    struct engine_slot *s = r->user;
    struct engine *e = s->engine;
    s->pending--;
    if (FAILED(r->result)) {
        engine_fail(e, r->result, r->own.owner->err.text);
    }
    if (s->pending > 0) {
        return;
    }
    if (engine_is_stopping(e)) {
        s->is_lost = e->mode == ENGINE_COMPARE;
        end_chunk(s); /* nothing new is begun */
        return;
    }
    judge(s);
}

static void submit_read(struct engine_slot *s, struct pipeline *p, struct pipeline_request *r,
                        void *data)
{
    *r = (struct pipeline_request){.op = PIPELINE_READ,
                                   .offset = s->offset,
                                   .bytes = s->bytes,
                                   .data = data,
                                   .on_done = on_read,
                                   .user = s};
    s->engine->report->read_bytes += s->bytes;
    s->engine->budget -= s->bytes;
    pipeline_submit(p, r);
}

void engine_slot_begin(struct engine *e, struct engine_slot *s, bool source_is_hole,
                       bool destination_is_hole)
{
    s->is_busy = true;
    e->report->looked_bytes += s->is_lost ? 0 : s->bytes;
    s->is_lost = false;
    s->source_is_zero = source_is_hole;
    s->destination_is_zero = destination_is_hole;
    bool reads_destination = e->mode != ENGINE_FULL && !destination_is_hole;
    if (source_is_hole && destination_is_hole) {
        e->report->hole_bytes += s->bytes;
        end_chunk(s);
        return;
    }
    if (source_is_hole) {
        memset(s->source, 0, s->bytes);
    }
    if (destination_is_hole && s->destination) {
        memset(s->destination, 0, s->bytes);
    }
    s->pending = (size_t)!source_is_hole + reads_destination;
    if (s->pending == 0) { /* a hole over data, and no need to look at that */
        judge(s);
        return;
    }
    if (!source_is_hole) {
        submit_read(s, *e->source, &s->reads[0], s->source);
    }
    if (reads_destination) {
        submit_read(s, *e->destination, &s->reads[1], s->destination);
    }
}
