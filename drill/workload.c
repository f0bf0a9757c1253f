/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/workload.h"

#include "common/clock.h"
#include "drill/stamp.h"

#include <stdlib.h>

struct writer {
    const struct workload_plan *plan;
    struct raw **sessions;
    uint8_t *block; /* room for the largest block */
    struct acks *acks;
};

static void close_sessions(struct writer *w)
{
    for (size_t i = 0; w->sessions && i < w->plan->lun_count; i++) {
        raw_close(w->sessions[i]);
    }
    free(w->sessions);
}

static HRESULT open_sessions(struct writer *w, struct error *err)
{
    uint32_t largest = 0;
    w->sessions = calloc(w->plan->lun_count, sizeof(struct raw *));
    if (!w->sessions) {
        return error_set(err, E_OUTOFMEMORY, "out of memory for the workload");
    }
    for (size_t i = 0; i < w->plan->lun_count; i++) {
        const struct workload_lun *lun = &w->plan->luns[i];
        HRESULT hr = raw_open(&lun->address, w->plan->initiator, &w->sessions[i], err);
        if (FAILED(hr)) {
            return hr;
        }
        if (w->sessions[i]->block_bytes != lun->layout->block_bytes ||
            w->sessions[i]->block_count != lun->layout->block_count) {
            return error_set(err, VSS_E_UNEXPECTED, "%s has another size than the plan says",
                             w->sessions[i]->name);
        }
        uint32_t bytes = lun->layout->block_bytes;
        largest = bytes > largest ? bytes : largest;
    }
    w->block = malloc(largest ? largest : 1);
    return w->block ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory for the workload");
}

static HRESULT write_one(struct writer *w, size_t index, uint64_t record, struct error *err)
{
    const struct layout *layout = w->plan->luns[index].layout;
    uint64_t place = stamp_index(w->plan->seed, layout->number, record, layout->data_blocks);
    struct stamp stamp = {layout->number, layout_block(layout, place), record};
    stamp_fill(w->plan->seed, &stamp, layout->block_bytes, w->block);
    uint64_t sent_us = clock_monotonic_us();
    HRESULT hr = raw_write(w->sessions[index], stamp.block, 1, w->block, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct ack ack = {.record = record,
                      .block = stamp.block,
                      .sent_us = sent_us,
                      .acknowledged_us = clock_monotonic_us(),
                      .lun = layout->number};
    return acks_append(w->acks, &ack, err);
}

static HRESULT write_records(struct writer *w, bool (*should_stop)(void *user), void *user,
                             struct error *err)
{
    uint64_t end = w->plan->first_record + w->plan->record_limit;
    for (uint64_t n = w->plan->first_record; n < end && !should_stop(user); n++) {
        for (size_t i = 0; i < w->plan->lun_count; i++) {
            HRESULT hr = write_one(w, i, n, err);
            if (FAILED(hr)) {
                return hr;
            }
        }
    }
    return S_OK;
}

HRESULT workload_run(const struct workload_plan *plan, bool (*should_stop)(void *user), void *user,
                     struct error *err)
{
    struct writer w = {.plan = plan};
    HRESULT hr = open_sessions(&w, err);
    if (SUCCEEDED(hr)) {
        hr = acks_create(plan->log_path, plan->first_record, plan->record_limit * plan->lun_count,
                         &w.acks, err);
    }
    if (SUCCEEDED(hr)) {
        hr = write_records(&w, should_stop, user, err);
    }
    acks_close(w.acks);
    free(w.block);
    close_sessions(&w);
    return hr;
}

uint64_t workload_records_between(const struct acks *acks, uint32_t last_lun, uint64_t from_us,
                                  uint64_t to_us)
{
    uint64_t records = 0;
    for (uint64_t i = acks_count(acks); i > 0; i--) {
        const struct ack *a = acks_at(acks, i - 1);
        if (a->acknowledged_us < from_us) {
            break; /* the log is in the order of time */
        }
        records += a->lun == last_lun && a->acknowledged_us < to_us;
    }
    return records;
}
