/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk's way: its slot reads one side or both, judges what came, writes what is to be written,
 * and is free for the next chunk. Each block is written at most once between two losses of a
 * session, so that no order between chunks is needed. */
#include "resync/engine.h"

#include "common/clock.h"
#include "resync/engine_slot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TURN_MS     100u /* how soon a wish to stop is seen */
#define STOP_US     500000u
#define MARK_US     5000000u
#define MARK_BYTES  (4ull << 30)
#define REOPENS_MAX 16u     /* without a mark in between */
#define BURST_US    100000u /* what a rate limit lets through at once */

/* ---- the next chunk ---- */

static uint64_t xorshift(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

/* Where a sample is wanted: the chunk of this group that is looked at. */
static void skip_to_sample(struct engine *e)
{
    uint32_t one_in = e->options->one_in;
    if (one_in < 2) {
        return;
    }
    uint64_t group = (uint64_t)one_in * e->chunk_bytes;
    uint64_t begin = e->cursor;
    uint64_t end = (begin / group + 1) * group;
    end = end < e->options->end ? end : e->options->end;
    uint64_t chunks = (end - begin + e->chunk_bytes - 1) / e->chunk_bytes;
    e->sample_end = end;
    e->cursor = begin + xorshift(&e->random) % chunks * e->chunk_bytes;
    e->cursor -= e->cursor > begin ? e->cursor % e->chunk_bytes : 0;
}

/* Moves the cursor over what has not changed. False: that was all. */
static bool has_more(struct engine *e)
{
    uint64_t end = e->options->end;
    e->run_end = end;
    if (e->changes && e->cursor < end) {
        uint64_t next = change_map_next(e->changes, e->cursor, &e->run_end);
        e->cursor = next < end ? next : end;
        e->run_end = e->run_end < end ? e->run_end : end;
    }
    return e->cursor < end;
}

/* The chunk at the cursor; moves the cursor behind it. */
static void next_chunk(struct engine *e, struct engine_slot *s)
{
    e->chunk_bytes = engine_pace_next(&e->pace, e->report->read_bytes + e->report->written_bytes,
                                      clock_monotonic_us());
    skip_to_sample(e);
    uint64_t end = (e->cursor / e->chunk_bytes + 1) * e->chunk_bytes;
    end = end < e->run_end ? end : e->run_end;
    s->offset = e->cursor;
    s->bytes = (uint32_t)(end - e->cursor);
    e->cursor = e->options->one_in > 1 ? e->sample_end : end;
}

static bool is_hole(struct pipeline *p, const struct engine_slot *s)
{
    bool is_hole = false;
    uint64_t end = 0;
    pipeline_run_at(p, s->offset, &is_hole, &end);
    return is_hole && end >= s->offset + s->bytes;
}

/* True where the rate limit lets another chunk begin. */
static bool has_budget(struct engine *e)
{
    uint64_t rate = e->options->bytes_per_second;
    if (rate == 0) {
        return true;
    }
    uint64_t now = clock_monotonic_us();
    double earned = (double)(now - e->budget_us) * (double)rate / 1e6;
    double most = (double)rate * BURST_US / 1e6;
    e->budget_us = now;
    e->budget += earned;
    e->budget = e->budget > most ? most : e->budget;
    return e->budget >= 0;
}

static void fill(struct engine *e)
{
    for (size_t i = 0; i < ENGINE_SLOTS; i++) {
        struct engine_slot *s = &e->slots[i];
        if (s->is_busy || (!s->is_lost && !has_more(e))) {
            continue;
        }
        if (!has_budget(e) || engine_is_stopping(e)) {
            return;
        }
        if (!s->is_lost) {
            next_chunk(e, s);
        }
        engine_slot_begin(e, s, is_hole(*e->source, s), is_hole(*e->destination, s));
    }
}

/* ---- marks ---- */

/* All before it is answered. */
static uint64_t low_water(const struct engine *e)
{
    uint64_t low = e->cursor;
    for (size_t i = 0; i < ENGINE_SLOTS; i++) {
        const struct engine_slot *s = &e->slots[i];
        low = (s->is_busy || s->is_lost) && s->offset < low ? s->offset : low;
    }
    return low;
}

static void on_flushed(struct pipeline_request *r)
{
    struct engine *e = r->user;
    e->is_flushing = false;
    if (FAILED(r->result)) {
        engine_fail(e, r->result, (*e->destination)->err.text);
    } else {
        e->durable = e->flushed_to;
    }
}

static void flush(struct engine *e)
{
    e->is_flushing = true;
    e->flushed_to = low_water(e);
    e->flush = (struct pipeline_request){.op = PIPELINE_FLUSH, .on_done = on_flushed, .user = e};
    pipeline_submit(*e->destination, &e->flush);
}

static HRESULT mark(struct engine *e, struct error *err)
{
    e->marked = e->durable;
    e->marked_us = clock_monotonic_us();
    e->reopens_left = REOPENS_MAX;
    return e->options->mark ? e->options->mark(e->options->user, e->marked, err) : S_OK;
}

/* Makes durable what has gathered, and says so. */
static HRESULT keep_marks(struct engine *e, struct error *err)
{
    if (e->options->mode == ENGINE_COMPARE || e->is_flushing) {
        return S_OK;
    }
    if (e->durable > e->marked) {
        return mark(e, err);
    }
    uint64_t low = low_water(e);
    bool is_due = clock_monotonic_us() - e->marked_us >= MARK_US || low - e->marked >= MARK_BYTES;
    bool is_end = low >= e->options->end;
    if (low > e->marked && (is_due || is_end) && !engine_is_stopping(e)) {
        flush(e);
    }
    return S_OK;
}

/* ---- trouble ---- */

void engine_fail(struct engine *e, HRESULT hr, const char *text)
{
    (void)error_set(&e->failure, hr, "%s", text);
}

bool engine_is_stopping(const struct engine *e)
{
    return FAILED(e->failure.code) || (*e->source)->is_lost || (*e->destination)->is_lost;
}

static size_t in_flight(const struct engine *e)
{
    return (*e->source)->in_flight + (*e->destination)->in_flight;
}

/* Lets what is under way end; what does not in time is dropped with its sessions. */
static void settle(struct engine *e, uint64_t patience_us)
{
    uint64_t until = clock_monotonic_us() + patience_us;
    while (in_flight(e) > 0 && clock_monotonic_us() < until) {
        pipeline_turn(*e->source, *e->destination, TURN_MS);
    }
    if (in_flight(e) > 0) {
        pipeline_drop(*e->source);
        pipeline_drop(*e->destination);
    }
    for (size_t i = 0; i < ENGINE_SLOTS; i++) {
        struct engine_slot *s = &e->slots[i];
        s->is_lost = s->is_lost || (s->is_busy && e->mode == ENGINE_COMPARE);
        s->is_busy = false;
    }
    e->is_flushing = false;
}

static HRESULT cancel(struct engine *e, struct error *err)
{
    engine_fail(e, E_ABORT, "cancelled while copying");
    settle(e, STOP_US);
    return error_set(err, E_ABORT, "cancelled at byte %" PRIu64 " of %" PRIu64, low_water(e),
                     e->options->end);
}

/* After a loss nothing that is not durable is believed to be written; what was compared is. */
static HRESULT mend(struct engine *e, struct error *err)
{
    bool is_lost = (*e->source)->is_lost || (*e->destination)->is_lost;
    const struct pipeline *p = (*e->source)->is_lost ? *e->source : *e->destination;
    settle(e, STOP_US);
    const char *why = p->err.text[0] ? p->err.text : "a session was lost";
    if (!is_lost || !e->options->reopen || e->reopens_left == 0) {
        return FAILED(e->failure.code) ? error_set(err, e->failure.code, "%s", e->failure.text)
                                       : error_set(err, VSS_E_UNEXPECTED, "%s", why);
    }
    e->reopens_left--;
    e->report->reopened++;
    HRESULT hr = e->options->reopen(e->options->user, err);
    if (FAILED(hr)) {
        e->is_gone = true;
        return hr;
    }
    if (hr == S_FALSE) {
        e->mode = e->mode == ENGINE_FULL ? ENGINE_DIFFERENTIAL : e->mode;
        e->changes = NULL;
        e->durable = e->options->begin;
        e->marked = e->durable;
        hr = e->options->mark ? e->options->mark(e->options->user, e->marked, err) : S_OK;
    }
    if (SUCCEEDED(hr)) {
        hr = engine_slots_fit(e, err);
    }
    e->cursor = e->mode == ENGINE_COMPARE ? e->cursor : e->marked;
    error_clear(&e->failure);
    return hr;
}

/* ---- the run ---- */

static bool is_done(const struct engine *e)
{
    if (e->cursor < e->options->end || in_flight(e) > 0) {
        return false;
    }
    if (e->mode == ENGINE_COMPARE) {
        return low_water(e) >= e->options->end;
    }
    return e->marked >= e->options->end;
}

static HRESULT turn(struct engine *e, struct error *err)
{
    const atomic_bool *cancelled = e->options->cancelled;
    if (cancelled && atomic_load(cancelled)) {
        return cancel(e, err);
    }
    if (engine_is_stopping(e)) {
        return mend(e, err);
    }
    if (e->options->stops_at_difference && e->report->first_difference != UINT64_MAX) {
        e->cursor = e->options->end; /* smaller offsets are under way already */
    }
    fill(e);
    HRESULT hr = keep_marks(e, err);
    if (SUCCEEDED(hr) && !is_done(e)) {
        pipeline_turn(*e->source, *e->destination, TURN_MS);
    }
    if (e->options->progress) {
        atomic_store(e->options->progress,
                     e->options->progress_base + low_water(e) - e->options->begin);
    }
    return hr;
}

/* What is read and compared together has to begin at a block of either. */
static uint32_t larger_block(const struct engine *e)
{
    uint32_t source = (*e->source)->block_bytes;
    uint32_t destination = (*e->destination)->block_bytes;
    return source > destination ? source : destination;
}

static HRESULT check(const struct engine *e, struct error *err)
{
    const struct engine_options *o = e->options;
    uint64_t least = (*e->source)->bytes < (*e->destination)->bytes ? (*e->source)->bytes
                                                                    : (*e->destination)->bytes;
    uint32_t read_block = larger_block(e);
    uint32_t block = (*e->destination)->block_bytes;
    bool is_even =
        o->mode == ENGINE_COMPARE || (o->end % block == 0 && o->grain_bytes % block == 0);
    if (o->begin > o->from || o->from > o->end || o->end > least || o->from % read_block ||
        o->begin % read_block || !is_even || !o->grain_bytes || (o->changes && o->one_in > 1)) {
        return error_set(err, E_INVALIDARG, "bytes %" PRIu64 " to %" PRIu64 " are no range of both",
                         o->begin, o->end);
    }
    return S_OK;
}

HRESULT engine_run(struct pipeline *const *source, struct pipeline *const *destination,
                   const struct engine_options *options, struct engine_report *out,
                   struct error *err)
{
    *out = (struct engine_report){.first_difference = UINT64_MAX};
    struct engine *e = calloc(1, sizeof(*e));
    if (!e) {
        return error_set(err, E_OUTOFMEMORY, "out of memory copying");
    }
    e->source = source;
    e->destination = destination;
    e->options = options;
    e->report = out;
    e->mode = options->mode;
    e->changes = options->changes;
    e->cursor = e->durable = e->marked = options->from;
    e->marked_us = e->budget_us = clock_monotonic_us();
    e->reopens_left = REOPENS_MAX;
    e->random = e->marked_us | 1;
    HRESULT hr = check(e, err);
    if (SUCCEEDED(hr)) {
        hr = engine_slots_fit(e, err);
    }
    engine_pace_begin(&e->pace, e->most_bytes, larger_block(e), options->one_in > 1);
    /* Within a run each chunk is looked at before it is written, never after. */
    pipeline_forget_runs(*source);
    pipeline_forget_runs(*destination);
    while (SUCCEEDED(hr) && !is_done(e)) {
        hr = turn(e, err);
    }
    if (FAILED(hr) && !e->is_gone) {
        settle(e, STOP_US);
    }
    engine_slots_free(e);
    free(e);
    return hr;
}
