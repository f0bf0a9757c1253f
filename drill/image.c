/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/image.h"

#include "drill/stamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

HRESULT image_new(const struct layout *layout, uint64_t seed, struct image **out, struct error *err)
{
    *out = NULL;
    struct image *image = calloc(1, sizeof(*image));
    uint32_t *records = calloc(layout->block_count, sizeof(*records));
    if (!image || !records) {
        free(image);
        free(records);
        return error_set(err, E_OUTOFMEMORY, "out of memory for the image of LUN %u",
                         layout->number);
    }
    *image = (struct image){.layout = layout, .seed = seed, .records = records};
    *out = image;
    return S_OK;
}

HRESULT image_copy(const struct image *from, struct image **out, struct error *err)
{
    HRESULT hr = image_new(from->layout, from->seed, out, err);
    if (FAILED(hr)) {
        return hr;
    }
    size_t fixed_bytes = from->layout->fixed_blocks * from->layout->block_bytes;
    memcpy((*out)->records, from->records, from->layout->block_count * sizeof(uint32_t));
    if (from->fixed_bytes) {
        (*out)->fixed_bytes = malloc(fixed_bytes);
        if (!(*out)->fixed_bytes) {
            image_free(*out);
            *out = NULL;
            return error_set(err, E_OUTOFMEMORY, "out of memory for an image");
        }
        memcpy((*out)->fixed_bytes, from->fixed_bytes, fixed_bytes);
    }
    return S_OK;
}

void image_free(struct image *image)
{
    if (image) {
        free(image->records);
        free(image->fixed_bytes);
        free(image);
    }
}

static bool is_data_block(const struct layout *l, uint64_t block)
{
    for (size_t i = 0; i < l->data_count; i++) {
        if (block >= l->data[i].first_block &&
            block - l->data[i].first_block < l->data[i].block_count) {
            return true;
        }
    }
    return false;
}

HRESULT image_apply(struct image *image, const struct acks *acks, uint64_t up_to, struct error *err)
{
    uint64_t count = acks_count(acks);
    for (uint64_t i = 0; i < count; i++) {
        const struct ack *a = acks_at(acks, i);
        if (a->lun != image->layout->number || a->record > up_to) {
            continue;
        }
        if (!is_data_block(image->layout, a->block) || a->record > UINT32_MAX) {
            return error_set(err, VSS_E_UNEXPECTED,
                             "the workload's log says that record %" PRIu64
                             " went to block %" PRIu64 " of LUN %u, which is no data block",
                             a->record, a->block, a->lun);
        }
        image->records[a->block] = (uint32_t)a->record;
    }
    return S_OK;
}

static void build_blocks(const struct image *image, uint64_t first, uint64_t count, uint8_t *out)
{
    for (uint64_t i = 0; i < count; i++) {
        struct stamp s = {image->layout->number, first + i, image->records[first + i]};
        stamp_fill(image->seed, &s, image->layout->block_bytes,
                   out + i * image->layout->block_bytes);
    }
}

HRESULT image_write(const struct image *image, struct raw *raw, struct error *err)
{
    const struct layout *l = image->layout;
    uint64_t step = IMAGE_STEP_BYTES / l->block_bytes;
    uint8_t *data = malloc(IMAGE_STEP_BYTES);
    HRESULT hr = data ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory filling a LUN");
    for (size_t r = 0; r < l->data_count && SUCCEEDED(hr); r++) {
        uint64_t left = l->data[r].block_count;
        uint64_t at = l->data[r].first_block;
        while (left > 0 && SUCCEEDED(hr)) {
            uint64_t blocks = left < step ? left : step;
            build_blocks(image, at, blocks, data);
            hr = raw_write(raw, at, blocks, data, err);
            at += blocks;
            left -= blocks;
        }
    }
    free(data);
    return SUCCEEDED(hr) ? raw_flush(raw, err) : hr;
}

HRESULT image_read_fixed(const struct layout *layout, struct raw *raw, uint8_t *out,
                         struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < layout->fixed_count && SUCCEEDED(hr); i++) {
        const struct range *r = &layout->fixed[i];
        hr = raw_read(raw, r->first_block, r->block_count, out, err);
        out += r->block_count * layout->block_bytes;
    }
    return hr;
}

HRESULT image_write_fixed(const struct layout *layout, struct raw *raw, const uint8_t *bytes,
                          struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < layout->fixed_count && SUCCEEDED(hr); i++) {
        const struct range *r = &layout->fixed[i];
        hr = raw_write(raw, r->first_block, r->block_count, bytes, err);
        bytes += r->block_count * layout->block_bytes;
    }
    return SUCCEEDED(hr) ? raw_flush(raw, err) : hr;
}

HRESULT image_capture(struct image *image, struct raw *raw, struct error *err)
{
    uint8_t *bytes = malloc(image->layout->fixed_blocks * image->layout->block_bytes + 1);
    if (!bytes) {
        return error_set(err, E_OUTOFMEMORY, "out of memory for label areas");
    }
    HRESULT hr = image_read_fixed(image->layout, raw, bytes, err);
    if (FAILED(hr)) {
        free(bytes);
        return hr;
    }
    free(image->fixed_bytes);
    image->fixed_bytes = bytes;
    return S_OK;
}

uint8_t *image_fixed_block(const struct layout *layout, uint8_t *bytes, uint64_t block)
{
    for (size_t i = 0; i < layout->fixed_count; i++) {
        const struct range *r = &layout->fixed[i];
        if (block >= r->first_block && block - r->first_block < r->block_count) {
            return bytes + (block - r->first_block) * layout->block_bytes;
        }
        bytes += r->block_count * layout->block_bytes;
    }
    return NULL;
}

static void describe(const struct image *image, uint64_t block, const uint8_t *found, bool is_data,
                     struct image_difference *out)
{
    struct stamp s;
    if (!is_data) {
        (void)snprintf(out->found, sizeof(out->found), "a label area that was changed");
    } else if (stamp_read(image->seed, found, image->layout->block_bytes, &s)) {
        (void)snprintf(out->found, sizeof(out->found),
                       "record %" PRIu64 " of LUN %u, block %" PRIu64 ", where record %u belongs",
                       s.record, s.lun, s.block, image->records[block]);
    } else {
        (void)snprintf(out->found, sizeof(out->found), "no whole block of this drill");
    }
}

static void compare_blocks(const struct image *image, uint64_t first, uint64_t count,
                           const uint8_t *expected, const uint8_t *found, bool is_data,
                           struct image_difference *out)
{
    uint32_t size = image->layout->block_bytes;
    out->compared_blocks += count;
    if (memcmp(expected, found, count * size) == 0) {
        return;
    }
    for (uint64_t i = 0; i < count; i++, expected += size, found += size) {
        if (memcmp(expected, found, size) == 0) {
            continue;
        }
        if (out->different_blocks++ == 0) {
            out->first_block = first + i;
            while (expected[out->first_byte] == found[out->first_byte]) {
                out->first_byte++;
            }
            describe(image, first + i, found, is_data, out);
        }
    }
}

struct comparison {
    const struct image *image;
    struct raw *raw;
    uint8_t *expected;
    uint8_t *found;
    struct image_difference *out;
};

static HRESULT compare_range(struct comparison *c, const struct range *range, const uint8_t *fixed,
                             struct error *err)
{
    uint32_t size = c->image->layout->block_bytes;
    uint64_t step = IMAGE_STEP_BYTES / size;
    uint64_t at = range->first_block;
    uint64_t left = range->block_count;
    while (left > 0) {
        uint64_t blocks = left < step ? left : step;
        HRESULT hr = raw_read(c->raw, at, blocks, c->found, err);
        if (FAILED(hr)) {
            return hr;
        }
        if (!fixed) {
            build_blocks(c->image, at, blocks, c->expected);
        }
        compare_blocks(c->image, at, blocks, fixed ? fixed : c->expected, c->found, !fixed, c->out);
        fixed = fixed ? fixed + blocks * size : NULL;
        at += blocks;
        left -= blocks;
    }
    return S_OK;
}

static HRESULT compare_all(struct comparison *c, enum image_part parts, struct error *err)
{
    const struct layout *l = c->image->layout;
    const uint8_t *fixed = c->image->fixed_bytes;
    HRESULT hr = S_OK;
    for (size_t i = 0; (parts & IMAGE_DATA) && i < l->data_count && SUCCEEDED(hr); i++) {
        hr = compare_range(c, &l->data[i], NULL, err);
    }
    for (size_t i = 0; (parts & IMAGE_FIXED) && i < l->fixed_count && SUCCEEDED(hr); i++) {
        hr = compare_range(c, &l->fixed[i], fixed, err);
        fixed += l->fixed[i].block_count * l->block_bytes;
    }
    return hr;
}

HRESULT image_compare(const struct image *image, struct raw *raw, enum image_part parts,
                      struct image_difference *out, struct error *err)
{
    memset(out, 0, sizeof(*out));
    if (raw->block_bytes != image->layout->block_bytes ||
        raw->block_count != image->layout->block_count ||
        ((parts & IMAGE_FIXED) && !image->fixed_bytes)) {
        return error_set(err, VSS_E_UNEXPECTED, "%s has another size than its image", raw->name);
    }
    struct comparison c = {.image = image,
                           .raw = raw,
                           .expected = malloc(IMAGE_STEP_BYTES),
                           .found = malloc(IMAGE_STEP_BYTES),
                           .out = out};
    HRESULT hr = c.expected && c.found
                     ? compare_all(&c, parts, err)
                     : error_set(err, E_OUTOFMEMORY, "out of memory comparing %s", raw->name);
    free(c.expected);
    free(c.found);
    return hr;
}

static HRESULT digest_all(struct raw *raw, uint8_t *data, XXH3_state_t *state, struct error *err)
{
    uint64_t step = IMAGE_STEP_BYTES / raw->block_bytes;
    (void)XXH3_128bits_reset(state);
    for (uint64_t at = 0; at < raw->block_count; at += step) {
        uint64_t blocks = raw->block_count - at < step ? raw->block_count - at : step;
        HRESULT hr = raw_read(raw, at, blocks, data, err);
        if (FAILED(hr)) {
            return hr;
        }
        (void)XXH3_128bits_update(state, data, blocks * raw->block_bytes);
    }
    return S_OK;
}

HRESULT image_digest(struct raw *raw, uint8_t out[IMAGE_DIGEST_BYTES], struct error *err)
{
    uint8_t *data = malloc(IMAGE_STEP_BYTES);
    XXH3_state_t *state = XXH3_createState();
    HRESULT hr = data && state ? digest_all(raw, data, state, err)
                               : error_set(err, E_OUTOFMEMORY, "out of memory reading a LUN");
    if (SUCCEEDED(hr)) {
        XXH128_canonical_t canonical;
        XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
        memcpy(out, canonical.digest, IMAGE_DIGEST_BYTES);
    }
    (void)XXH3_freeState(state);
    free(data);
    return hr;
}
