/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/cut.h"

#include "drill/stamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD_BLOCK UINT32_MAX /* no whole block of this LUN at this place */

/* The record that stands in each data block of the copy. */
static uint32_t record_of(const struct image *before, uint64_t block, const uint8_t *data)
{
    struct stamp s;
    bool is_good = stamp_read(before->seed, data, before->layout->block_bytes, &s) &&
                   s.lun == before->layout->number && s.block == block && s.record < BAD_BLOCK;
    return is_good ? (uint32_t)s.record : BAD_BLOCK;
}

static HRESULT read_records(const struct cut_member *m, uint32_t *found, struct error *err)
{
    const struct layout *l = m->before->layout;
    uint64_t step = IMAGE_STEP_BYTES / l->block_bytes;
    uint8_t *data = malloc(IMAGE_STEP_BYTES);
    HRESULT hr = data ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory reading a copy");
    for (size_t r = 0; r < l->data_count && SUCCEEDED(hr); r++) {
        uint64_t end = l->data[r].first_block + l->data[r].block_count;
        for (uint64_t at = l->data[r].first_block; at < end && SUCCEEDED(hr); at += step) {
            uint64_t blocks = end - at < step ? end - at : step;
            hr = raw_read(m->raw, at, blocks, data, err);
            for (uint64_t i = 0; SUCCEEDED(hr) && i < blocks; i++) {
                found[at + i] = record_of(m->before, at + i, data + i * l->block_bytes);
            }
        }
    }
    free(data);
    return hr;
}

/* Only records of this log count: older ones belong to the image before. */
static uint64_t newest_of(const struct layout *l, const uint32_t *found, const struct acks *acks)
{
    uint64_t newest = acks_first_record(acks) - 1;
    for (uint64_t i = 0; i < l->block_count; i++) {
        if (found[i] != BAD_BLOCK && found[i] > newest) {
            newest = found[i];
        }
    }
    return newest;
}

static void compare_records(const struct image *expected, const uint32_t *found, size_t member,
                            struct cut_result *out)
{
    const struct layout *l = expected->layout;
    for (size_t r = 0; r < l->data_count; r++) {
        uint64_t end = l->data[r].first_block + l->data[r].block_count;
        for (uint64_t b = l->data[r].first_block; b < end; b++) {
            if (found[b] == expected->records[b]) {
                continue;
            }
            if (out->bad_blocks++ == 0) {
                out->first_bad_member = member;
                out->first_bad_block = b;
            }
        }
    }
}

static HRESULT check_member(const struct cut_member *m, size_t index, const struct acks *acks,
                            struct cut_result *out, struct error *err)
{
    const struct layout *l = m->before->layout;
    if (m->raw->block_bytes != l->block_bytes || m->raw->block_count != l->block_count) {
        return error_set(err, VSS_E_UNEXPECTED, "%s is not of its original's size", m->raw->name);
    }
    struct image *expected = NULL;
    uint32_t *found = calloc(l->block_count, sizeof(*found));
    HRESULT hr = found ? read_records(m, found, err)
                       : error_set(err, E_OUTOFMEMORY, "out of memory reading a copy");
    if (SUCCEEDED(hr)) {
        out->newest[index] = newest_of(l, found, acks);
        hr = image_copy(m->before, &expected, err);
    }
    if (SUCCEEDED(hr)) {
        hr = image_apply(expected, acks, out->newest[index], err);
    }
    if (SUCCEEDED(hr)) {
        compare_records(expected, found, index, out);
    }
    image_free(expected);
    free(found);
    return hr;
}

static bool is_in_order(const uint64_t *newest, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (newest[i] > newest[i - 1]) {
            return false;
        }
    }
    return newest[0] - newest[count - 1] <= 1;
}

/* The second before the cut, by the workload's own clock. */
static void measure_load(const struct cut_member *members, size_t count, const struct acks *acks,
                         struct cut_result *out)
{
    uint64_t complete = out->newest[count - 1];
    uint32_t last_lun = members[count - 1].before->layout->number;
    uint64_t entries = acks_count(acks);
    for (uint64_t i = entries; i > 0; i--) {
        const struct ack *a = acks_at(acks, i - 1);
        if (a->lun != last_lun || a->record > complete) {
            continue;
        }
        if (out->cut_us == 0) {
            out->cut_us = a->acknowledged_us;
        }
        if (out->cut_us - a->acknowledged_us > 1000000) {
            break;
        }
        out->records_in_second++;
    }
}

static void put_verdict(const struct cut_member *members, size_t count, struct cut_result *out)
{
    char numbers[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof(numbers); i++) {
        int n = snprintf(numbers + used, sizeof(numbers) - used, "%s%" PRIu64, i ? ", " : "",
                         out->newest[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    if (cut_holds(out)) {
        (void)snprintf(out->text, sizeof(out->text),
                       "newest records %s: one moment, every block as the log says", numbers);
    } else if (!out->is_in_order) {
        (void)snprintf(out->text, sizeof(out->text), "newest records %s: not one moment", numbers);
    } else {
        (void)snprintf(out->text, sizeof(out->text),
                       "newest records %s: %" PRIu64 " blocks are not as the log says, the first "
                       "is block %" PRIu64 " of LUN %u",
                       numbers, out->bad_blocks, out->first_bad_block,
                       members[out->first_bad_member].before->layout->number);
    }
}

HRESULT cut_check(const struct cut_member *members, size_t count, const struct acks *acks,
                  struct cut_result *out, struct error *err)
{
    memset(out, 0, sizeof(*out));
    if (count == 0 || count > CUT_LUNS_MAX || acks_first_record(acks) == 0) {
        return error_set(err, E_INVALIDARG, "1 to %d copies and a log that begins at record 1",
                         CUT_LUNS_MAX);
    }
    HRESULT hr = acks_verify(acks, err);
    for (size_t i = 0; i < count && SUCCEEDED(hr); i++) {
        hr = check_member(&members[i], i, acks, out, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    out->is_in_order = is_in_order(out->newest, count);
    out->is_whole = out->bad_blocks == 0;
    measure_load(members, count, acks, out);
    put_verdict(members, count, out);
    return S_OK;
}
