/* SPDX-License-Identifier: Apache-2.0 */
#include "resync/compare.h"

#include "common/clock.h"
#include "common/log.h"
#include "lun/identity.h"

#include <inttypes.h>

#define PATHS      2u
#define BLOCK_MIN  512u
#define PAUSE_MS   200u
#define CONNECT_MS 2000u /* of one try to open a lost LUN anew */

struct side {
    const char *name;
    struct pipeline *pipe;
    uint64_t bytes;
    bool is_known;
    struct vss_lun_info info; /* then: which LUN it is */
};

struct comparison {
    struct side a;
    struct side b;
    const struct compare_options *options;
    struct lun_options lun;
};

/* ---- sessions -------------------------------------------------------------------------------- */

static HRESULT note_identity(void *user, struct lun *path, struct error *err)
{
    struct side *side = user;
    if (side->is_known) {
        return S_OK;
    }
    HRESULT hr = lun_info_copy(&path->identity.info, &side->info);
    side->is_known = SUCCEEDED(hr);
    return FAILED(hr) ? error_set(err, hr, "out of memory comparing") : S_OK;
}

static HRESULT open_side(struct comparison *c, struct side *side, struct error *err)
{
    struct pipeline_options open = {.lun = &c->lun,
                                    .is_read_only = true,
                                    .paths = c->options->paths ? c->options->paths : PATHS,
                                    .expected = side->is_known ? &side->info : NULL,
                                    .on_path = note_identity,
                                    .user = side};
    HRESULT hr = pipeline_open(side->name, &open, &side->pipe, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (side->bytes != 0 && side->bytes != side->pipe->bytes) {
        return error_set(err, VSS_E_PROVIDER_VETO,
                         "%s has %" PRIu64 " bytes by now, not %" PRIu64 "; compare it anew",
                         side->pipe->name, side->pipe->bytes, side->bytes);
    }
    side->bytes = side->pipe->bytes;
    return S_OK;
}

static void close_both(struct comparison *c)
{
    pipeline_close(c->b.pipe);
    pipeline_close(c->a.pipe);
    c->a.pipe = NULL;
    c->b.pipe = NULL;
}

static HRESULT open_both(struct comparison *c, struct error *err)
{
    HRESULT hr = open_side(c, &c->a, err);
    if (SUCCEEDED(hr)) {
        hr = open_side(c, &c->b, err);
    }
    if (FAILED(hr)) {
        close_both(c);
    }
    return hr;
}

static bool is_cancelled(const struct comparison *c)
{
    return c->options->cancelled && atomic_load(c->options->cancelled);
}

/* Another LUN, or one of another size, does not become the same one by waiting. */
static HRESULT reopen(void *user, struct error *err)
{
    struct comparison *c = user;
    struct error why = {0};
    uint64_t until_us = clock_monotonic_us() + (uint64_t)c->options->patience_ms * 1000;
    log_line(LOG_WARNING, "a session is lost; opening it anew");
    close_both(c);
    c->lun.timeout_ms = CONNECT_MS;
    HRESULT hr = open_both(c, &why);
    while (FAILED(hr) && hr != VSS_E_PROVIDER_VETO && !is_cancelled(c) &&
           clock_monotonic_us() < until_us) {
        clock_sleep_ms(PAUSE_MS);
        error_clear(&why);
        hr = open_both(c, &why);
    }
    c->lun.timeout_ms = c->options->lun ? c->options->lun->timeout_ms : 0;
    return FAILED(hr) ? error_set(err, hr, "a session was lost and did not come back: %s",
                                  error_text(&why))
                      : S_OK;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static HRESULT compare_opened(struct comparison *c, struct compare_result *out, struct error *err)
{
    const struct compare_options *options = c->options;
    uint32_t a_block = c->a.pipe->block_bytes;
    uint32_t b_block = c->b.pipe->block_bytes;
    uint32_t block = a_block > b_block ? a_block : b_block;
    out->a_bytes = c->a.bytes;
    out->b_bytes = c->b.bytes;
    out->compared_bytes = c->a.bytes < c->b.bytes ? c->a.bytes : c->b.bytes;
    out->block_bytes = block > BLOCK_MIN ? block : BLOCK_MIN;
    if (options->progress_total) {
        atomic_store(options->progress_total, out->compared_bytes);
    }
    struct engine_options engine = {.mode = ENGINE_COMPARE,
                                    .end = out->compared_bytes,
                                    .grain_bytes = out->block_bytes,
                                    .stops_at_difference = options->stops_at_first,
                                    .bytes_per_second = options->bytes_per_second,
                                    .cancelled = options->cancelled,
                                    .progress = options->progress,
                                    .reopen = options->patience_ms ? reopen : NULL,
                                    .user = c};
    HRESULT hr = engine_run(&c->a.pipe, &c->b.pipe, &engine, &out->report, err);
    if (FAILED(hr)) {
        return hr;
    }
    bool is_equal = out->report.first_difference == UINT64_MAX && c->a.bytes == c->b.bytes;
    return is_equal ? S_OK : S_FALSE;
}

HRESULT compare_devices(const char *a, const char *b, const struct compare_options *options,
                        struct compare_result *out, struct error *err)
{
    struct comparison c = {.a = {.name = a}, .b = {.name = b}, .options = options};
    if (options->lun) {
        c.lun = *options->lun;
    }
    *out = (struct compare_result){.report = {.first_difference = UINT64_MAX}};
    HRESULT hr = open_both(&c, err);
    if (SUCCEEDED(hr)) {
        hr = compare_opened(&c, out, err);
    }
    close_both(&c);
    lun_info_free(&c.b.info);
    lun_info_free(&c.a.info);
    return hr;
}
