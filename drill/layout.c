/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/layout.h"

#include "common/buffer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RANGES_MAX 1024

static HRESULT check_ranges(const struct layout *l, struct error *err)
{
    uint64_t next = 0;
    for (size_t i = 0; i < l->data_count; i++) {
        const struct range *r = &l->data[i];
        if (r->block_count == 0 || r->first_block < next || r->first_block >= l->block_count ||
            r->block_count > l->block_count - r->first_block) {
            return error_set(err, E_INVALIDARG,
                             "range %" PRIu64 "+%" PRIu64
                             " of LUN %u is empty, out of order or past "
                             "its end",
                             r->first_block, r->block_count, l->number);
        }
        next = r->first_block + r->block_count;
    }
    return S_OK;
}

static void add_fixed(struct layout *l, uint64_t first, uint64_t end)
{
    if (end > first) {
        l->fixed[l->fixed_count++] = (struct range){first, end - first};
        l->fixed_blocks += end - first;
    }
}

HRESULT layout_make(uint32_t number, uint32_t block_bytes, uint64_t block_count,
                    const struct range *ranges, size_t count, struct layout *out, struct error *err)
{
    *out = (struct layout){.number = number,
                           .block_bytes = block_bytes,
                           .block_count = block_count,
                           .data = calloc(count + 1, sizeof(struct range)),
                           .data_count = count,
                           .fixed = calloc(count + 1, sizeof(struct range))};
    if (!out->data || !out->fixed) {
        layout_free(out);
        return error_set(err, E_OUTOFMEMORY, "out of memory for the layout of LUN %u", number);
    }
    for (size_t i = 0; i < count; i++) {
        out->data[i] = ranges[i];
    }
    HRESULT hr = check_ranges(out, err);
    if (FAILED(hr)) {
        layout_free(out);
        return hr;
    }
    uint64_t next = 0;
    for (size_t i = 0; i < count; i++) {
        add_fixed(out, next, ranges[i].first_block);
        next = ranges[i].first_block + ranges[i].block_count;
        out->data_blocks += ranges[i].block_count;
    }
    add_fixed(out, next, block_count);
    return S_OK;
}

void layout_free(struct layout *layout)
{
    free(layout->data);
    free(layout->fixed);
    *layout = (struct layout){0};
}

uint64_t layout_block(const struct layout *layout, uint64_t index)
{
    size_t i = 0;
    while (i + 1 < layout->data_count && index >= layout->data[i].block_count) {
        index -= layout->data[i].block_count;
        i++;
    }
    return layout->data[i].first_block + index;
}

char *layout_text(const struct layout *layout)
{
    struct buffer b = BUFFER_INIT;
    for (size_t i = 0; i < layout->data_count; i++) {
        buffer_printf(&b, "%s%" PRIu64 "+%" PRIu64, i ? "," : "", layout->data[i].first_block,
                      layout->data[i].block_count);
    }
    return buffer_take(&b);
}

/* "123" up to stop, which is passed over; false for anything else. */
static bool take_number(const char **text, char stop, uint64_t *out)
{
    char *end = NULL;
    if (**text < '0' || **text > '9') {
        return false;
    }
    *out = strtoull(*text, &end, 10);
    if (stop != '\0' ? *end != stop : (*end != ',' && *end != '\0')) {
        return false;
    }
    *text = *end ? end + 1 : end;
    return true;
}

HRESULT layout_parse_ranges(const char *text, struct range **out, size_t *out_count,
                            struct error *err)
{
    *out = NULL;
    *out_count = 0;
    struct range *ranges = calloc(RANGES_MAX, sizeof(*ranges));
    if (!ranges) {
        return error_set(err, E_OUTOFMEMORY, "out of memory for ranges");
    }
    size_t count = 0;
    const char *rest = text;
    while (*rest && count < RANGES_MAX && take_number(&rest, '+', &ranges[count].first_block) &&
           take_number(&rest, '\0', &ranges[count].block_count)) {
        count++;
    }
    if (count == 0 || *rest) {
        free(ranges);
        return error_set(err, E_INVALIDARG, "%s is not FIRST+COUNT,FIRST+COUNT", text);
    }
    *out = ranges;
    *out_count = count;
    return S_OK;
}
