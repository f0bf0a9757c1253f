/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/compare.h"

#define PATHS     2u
#define BLOCK_MIN 512u

static HRESULT compare_opened(struct pipeline *a, struct pipeline *b,
                              const struct compare_options *options, struct compare_result *out,
                              struct error *err)
{
    uint32_t block = a->block_bytes > b->block_bytes ? a->block_bytes : b->block_bytes;
    out->a_bytes = a->bytes;
    out->b_bytes = b->bytes;
    out->compared_bytes = a->bytes < b->bytes ? a->bytes : b->bytes;
    out->block_bytes = block > BLOCK_MIN ? block : BLOCK_MIN;
    struct engine_options engine = {.mode = ENGINE_COMPARE,
                                    .end = out->compared_bytes,
                                    .grain_bytes = out->block_bytes,
                                    .stops_at_difference = options->stops_at_first,
                                    .bytes_per_second = options->bytes_per_second,
                                    .cancelled = options->cancelled,
                                    .progress = options->progress};
    HRESULT hr = engine_run(&a, &b, &engine, &out->report, err);
    if (FAILED(hr)) {
        return hr;
    }
    bool is_equal = out->report.first_difference == UINT64_MAX && a->bytes == b->bytes;
    return is_equal ? S_OK : S_FALSE;
}

HRESULT compare_devices(const char *a, const char *b, const struct compare_options *options,
                        struct compare_result *out, struct error *err)
{
    struct pipeline_options open = {.lun = options->lun,
                                    .is_read_only = true,
                                    .paths = options->paths ? options->paths : PATHS};
    struct pipeline *first = NULL;
    struct pipeline *second = NULL;
    *out = (struct compare_result){.report = {.first_difference = UINT64_MAX}};
    HRESULT hr = pipeline_open(a, &open, &first, err);
    if (SUCCEEDED(hr)) {
        hr = pipeline_open(b, &open, &second, err);
    }
    if (SUCCEEDED(hr)) {
        hr = compare_opened(first, second, options, out, err);
    }
    pipeline_close(second);
    pipeline_close(first);
    return hr;
}
