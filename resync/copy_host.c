/* SPDX-License-Identifier: Apache-2.0 */
/* This host copies, where the array does not: all bodies first, then all edges. */
#include "common/buffer.h"
#include "common/log.h"
#include "resync/host_copy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_ONE_IN 32u
#define ROUNDS_MAX    4 /* how often a disk is copied again because others may have written to it */

/* ---- before anything is written ---- */

/* The copy's label and edges; the body is what lies between the wider edges of both disks. */
static HRESULT read_edges(struct host_copy *c, struct error *err)
{
    struct lun *lun = NULL;
    struct label *label = NULL;
    struct error why = {0};
    const struct edges *own = c->disk->edges;
    HRESULT hr = lun_open(c->url, &c->r->env->lun, true, &lun, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = label_read(&lun->block, LABEL_FULL, &label, &why);
    if (hr == VSS_E_VOLUME_NOT_SUPPORTED) {
        log_line(LOG_WARNING, "%s: its label cannot be read: %s", lun->url, error_text(&why));
        hr = S_OK;
    }
    hr = FAILED(hr) ? error_set(err, hr, "%s", error_text(&why))
                    : edges_read_least(&lun->block, label, own->head_blocks, own->tail_blocks,
                                       &c->edges, err);
    label_free(label);
    lun_close(lun);
    if (SUCCEEDED(hr)) {
        uint64_t block = c->edges->block_bytes;
        c->begin = c->edges->head_blocks * block;
        c->end = (c->edges->block_count - c->edges->tail_blocks) * block;
    }
    return hr;
}

static void choose(struct host_copy *c)
{
    bool is_original = lun_info_compare(&c->disk->info, &c->disk->mapping->source) == LUN_SAME;
    switch (c->r->policy.choice) {
    case COPY_COMPARE:
        c->mode = ENGINE_DIFFERENTIAL;
        c->reason = "as asked for";
        break;
    case COPY_FULL:
        c->mode = ENGINE_FULL;
        c->reason = "as asked for";
        break;
    case COPY_AUTO:
        c->mode = is_original ? ENGINE_DIFFERENTIAL : ENGINE_FULL;
        c->reason = is_original ? "the destination is the original"
                                : "the destination is another LUN than the original";
        break;
    }
}

static HRESULT prepare(struct host_copy *c, struct error *err)
{
    HRESULT hr = copy_find(c->r, c->disk->mapping, &c->url, err);
    if (SUCCEEDED(hr)) {
        hr = read_edges(c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = host_copy_open(c, err);
    }
    if (SUCCEEDED(hr)) {
        choose(c);
        c->resumed_from = host_copy_noted(c);
    }
    return hr;
}

HRESULT copy_host_prepare(struct recovery *r, struct error *err)
{
    HRESULT hr = S_OK;
    r->host = calloc(r->disk_count + 1, sizeof(*r->host));
    if (!r->host) {
        return error_set(err, E_OUTOFMEMORY, "out of memory copying");
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        r->host[i] = (struct host_copy){.r = r, .disk = &r->disks[i]};
        hr = prepare(&r->host[i], err);
    }
    return hr;
}

void copy_host_free(struct recovery *r)
{
    for (size_t i = 0; r->host && i < r->disk_count; i++) {
        host_copy_close(&r->host[i]);
        edges_free(r->host[i].edges);
        free(r->host[i].url);
    }
    free(r->host);
    r->host = NULL;
}

/* ---- the body ---- */

static HRESULT on_lost(void *user, struct error *err)
{
    return host_copy_reconnect(user, err);
}

static HRESULT on_mark(void *user, uint64_t offset, struct error *err)
{
    return host_copy_note(user, offset, err);
}

static struct engine_options engine_options(struct host_copy *c, enum engine_mode mode)
{
    struct set_environment *env = c->r->env;
    return (struct engine_options){.mode = mode,
                                   .begin = c->begin,
                                   .end = c->end,
                                   .from = c->begin,
                                   .grain_bytes = c->edges->block_bytes,
                                   .bytes_per_second = c->r->policy.bytes_per_second,
                                   .cancelled = &env->cancelled,
                                   .progress = &env->progress_done,
                                   .progress_base = c->progress_base,
                                   .reopen = on_lost,
                                   .user = c};
}

static HRESULT copy_body(struct host_copy *c, bool is_again, struct error *err)
{
    struct engine_report report;
    struct engine_options o = engine_options(c, is_again ? ENGINE_DIFFERENTIAL : c->mode);
    o.from = is_again ? c->begin : c->resumed_from;
    o.mark = on_mark;
    HRESULT hr = engine_run(&c->source, &c->destination, &o, &report, err);
    c->total.read_bytes += report.read_bytes;
    c->total.written_bytes += report.written_bytes;
    c->total.zeroed_bytes += report.zeroed_bytes;
    c->total.different_blocks += report.different_blocks;
    c->total.reopened += report.reopened;
    return hr;
}

static HRESULT verify_body(struct host_copy *c, struct error *err)
{
    struct engine_report report;
    struct engine_options o = engine_options(c, ENGINE_COMPARE);
    if (c->r->policy.verify == VERIFY_NONE) {
        return S_OK;
    }
    o.one_in = c->r->policy.verify == VERIFY_SAMPLE ? SAMPLE_ONE_IN : 0;
    o.progress_base += c->end - c->begin;
    HRESULT hr = engine_run(&c->source, &c->destination, &o, &report, err);
    c->total.reopened += report.reopened;
    c->verified_bytes = report.looked_bytes;
    if (SUCCEEDED(hr) && report.first_difference != UINT64_MAX && !c->is_distrusted) {
        hr = error_set(err, VSS_E_UNEXPECTED,
                       "%s does not hold what was written to it: byte %" PRIu64 " and %" PRIu64
                       " blocks in all read back otherwise; see the array's own log",
                       c->disk->lun->url, report.first_difference, report.different_blocks);
    }
    return hr;
}

/* Until nobody else can have written to it since. */
static HRESULT whole_body(struct host_copy *c, bool is_again, struct error *err)
{
    HRESULT hr = S_OK;
    for (int round = 0; SUCCEEDED(hr) && round < ROUNDS_MAX; round++) {
        c->is_distrusted = false;
        hr = host_copy_ensure(c, err);
        is_again = is_again || hr == S_FALSE;
        if (SUCCEEDED(hr)) {
            c->is_distrusted = false; /* it is compared from the beginning now */
            hr = copy_body(c, is_again, err);
        }
        if (SUCCEEDED(hr)) {
            /* a loss during the copy was made good by it */
            c->is_distrusted = false;
            hr = verify_body(c, err);
        }
        if (SUCCEEDED(hr) && !c->is_distrusted) {
            return S_OK;
        }
        is_again = true;
    }
    return FAILED(hr) ? hr
                      : error_set(err, VSS_E_PROVIDER_VETO,
                                  "%s lost its fence %d times: others could write to it; keep them "
                                  "away, then run the same resync again",
                                  c->disk->key, ROUNDS_MAX);
}

/* ---- the edges ---- */

/* S_FALSE: sessions or the fence were lost, and what was written is to be written again. */
static HRESULT try_edges(struct host_copy *c, struct error *err)
{
    struct error why = {0};
    HRESULT hr = host_copy_ensure(c, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (hr == S_FALSE) {
        hr = whole_body(c, true, err);
        if (FAILED(hr)) {
            return hr;
        }
    }
    hr = edges_write(&c->disk->lun->block, c->edges, &why);
    /* Of a LUN whose fence was broken meanwhile a refused write is no surprise. */
    bool is_ours =
        fence_check(c->disk, NULL) == S_OK && SUCCEEDED(destination_check_identity(c->disk, NULL));
    if (!is_ours) {
        return S_FALSE;
    }
    return SUCCEEDED(hr) ? S_OK : error_set(err, hr, "%s", error_text(&why));
}

static HRESULT write_edges(struct host_copy *c, struct error *err)
{
    HRESULT hr = S_FALSE;
    for (int round = 0; hr == S_FALSE && round < ROUNDS_MAX; round++) {
        hr = try_edges(c, err);
    }
    return hr == S_FALSE ? error_set(err, VSS_E_PROVIDER_VETO,
                                     "%s lost its session or fence %d times while its label was "
                                     "written; run the same "
                                     "resync again",
                                     c->disk->key, ROUNDS_MAX)
                         : hr;
}

/* ---- all of it ---- */

static void say(struct host_copy *c, struct buffer *out)
{
    static const char *const verified[] = {"not verified", "verified a sample of", "verified"};
    const struct engine_report *t = &c->total;
    const char *mode = c->mode == ENGINE_FULL ? "full" : "compare";
    buffer_printf(out,
                  "%shost copy (the array leaves it to the host), %s (%s): read %" PRIu64
                  " bytes, wrote %" PRIu64 ", unmapped %" PRIu64,
                  out->length ? "; " : "", mode, c->reason, t->read_bytes, t->written_bytes,
                  t->zeroed_bytes);
    if (c->mode != ENGINE_FULL) {
        buffer_printf(out, ", different %" PRIu64,
                      t->different_blocks * (uint64_t)c->edges->block_bytes);
    }
    if (c->resumed_from > c->begin) {
        buffer_printf(out, ", resumed at byte %" PRIu64, c->resumed_from);
    }
    if (t->reopened) {
        buffer_printf(out, ", %u lost sessions opened anew", t->reopened);
    }
    buffer_printf(out, ", %s", verified[c->r->policy.verify]);
    if (c->r->policy.verify != VERIFY_NONE) {
        buffer_printf(out, " %" PRIu64 " bytes", c->verified_bytes);
    }
}

static HRESULT keep_method(struct recovery *r, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    for (size_t i = 0; i < r->disk_count; i++) {
        say(&r->host[i], &text);
    }
    free(r->method);
    r->method = buffer_take(&text);
    buffer_free(&text);
    if (!r->method) {
        return error_set(err, E_OUTOFMEMORY, "out of memory copying");
    }
    log_line(LOG_INFO, "%s", r->method);
    return S_OK;
}

static void plan_progress(struct recovery *r)
{
    uint64_t total = 0;
    for (size_t i = 0; i < r->disk_count; i++) {
        struct host_copy *c = &r->host[i];
        c->progress_base = total;
        total += (c->end - c->begin) * (r->policy.verify == VERIFY_NONE ? 1 : 2);
    }
    atomic_store(&r->env->progress_done, 0);
    atomic_store(&r->env->progress_total, total);
}

HRESULT copy_by_host(struct recovery *r, struct error *err)
{
    HRESULT hr = S_OK;
    plan_progress(r);
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = whole_body(&r->host[i], false, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = write_edges(&r->host[i], err);
    }
    if (SUCCEEDED(hr)) {
        atomic_store(&r->env->progress_done, atomic_load(&r->env->progress_total));
        hr = keep_method(r, err);
    }
    copy_host_free(r);
    return hr;
}
