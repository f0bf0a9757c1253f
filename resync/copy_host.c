/* SPDX-License-Identifier: Apache-2.0 */
/* This host copies, where the array does not: all bodies first, then all edges. */
#include "common/buffer.h"
#include "common/log.h"
#include "resync/changes.h"
#include "resync/host_copy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_ONE_IN 32u
#define PROBES        64u /* chunks of a disk whose list of changes is made use of */
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

/* Of another LUN than the original most may differ: then it is not worth comparing. */
static void use_list(struct host_copy *c, bool is_original)
{
    if (!changes_list(c->r, c->disk, &c->changes)) {
        return;
    }
    c->listed_bytes = change_map_marked(&c->changes, c->begin, c->end);
    if (is_original || c->listed_bytes <= (c->end - c->begin) / 2) {
        c->mode = ENGINE_DIFFERENTIAL;
        c->reason = "the array lists what has changed";
    } else {
        change_map_free(&c->changes);
    }
}

static bool has_list(const struct host_copy *c)
{
    return c->changes.words != NULL;
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
        use_list(c, is_original);
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
        change_map_free(&r->host[i].changes);
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
    o.changes = !is_again && has_list(c) ? &c->changes : NULL;
    o.mark = on_mark;
    HRESULT hr = engine_run(&c->source, &c->destination, &o, &report, err);
    c->total.read_bytes += report.read_bytes;
    c->total.written_bytes += report.written_bytes;
    c->total.zeroed_bytes += report.zeroed_bytes;
    c->total.different_blocks += report.different_blocks;
    c->total.reopened += report.reopened;
    return hr;
}

/* One chunk of so many is read back; 0: none. An array's list of changes is never just believed. */
static uint32_t verify_one_in(const struct host_copy *c)
{
    switch (c->r->policy.verify) {
    case VERIFY_FULL:
        return 1;
    case VERIFY_SAMPLE:
        return SAMPLE_ONE_IN;
    case VERIFY_NONE:
        break;
    }
    uint64_t one_in = (c->end - c->begin) / PROBES / c->source->max_bytes;
    return !has_list(c) ? 0 : one_in < 2 ? 2 : (uint32_t)one_in;
}

/* Does the byte lie where the array promised that nothing has changed? */
static bool is_promised_equal(const struct host_copy *c, uint64_t offset)
{
    uint64_t end = 0;
    return has_list(c) && change_map_next(&c->changes, offset, &end) > offset;
}

/* S_FALSE: the array's list of changes was wrong, and is made use of no more. */
static HRESULT verify_body(struct host_copy *c, struct error *err)
{
    struct engine_report report;
    struct engine_options o = engine_options(c, ENGINE_COMPARE);
    o.one_in = verify_one_in(c);
    if (o.one_in == 0) {
        return S_OK;
    }
    o.progress_base += c->end - c->begin;
    HRESULT hr = engine_run(&c->source, &c->destination, &o, &report, err);
    c->total.reopened += report.reopened;
    c->verified_bytes = report.looked_bytes;
    if (FAILED(hr) || report.first_difference == UINT64_MAX || c->is_distrusted) {
        return hr;
    }
    if (is_promised_equal(c, report.first_difference)) {
        log_line(LOG_WARNING,
                 "%s: the array's list of changes has not got byte %" PRIu64
                 ", which differs; all of it is compared",
                 c->disk->key, report.first_difference);
        change_map_free(&c->changes);
        c->verified_bytes = 0;
        c->reason = "the array's list of changes was wrong";
        hr = S_FALSE;
    } else {
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
            c->is_by_list = !is_again && has_list(c);
            /* the first one ends the notes of whatever was copied to it before */
            hr = host_copy_note(c, is_again ? c->begin : c->resumed_from, err);
        }
        if (SUCCEEDED(hr)) {
            hr = copy_body(c, is_again, err);
        }
        if (SUCCEEDED(hr)) {
            /* a loss during the copy was made good by it */
            c->is_distrusted = false;
            hr = verify_body(c, err);
        }
        if (hr == S_OK && !c->is_distrusted) {
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
    const char *mode = has_list(c)              ? "changed-block list"
                       : c->mode == ENGINE_FULL ? "full"
                                                : "compare";
    buffer_printf(out,
                  "%shost copy (the array leaves it to the host), %s (%s): read %" PRIu64
                  " bytes, wrote %" PRIu64 ", unmapped %" PRIu64,
                  out->length ? "; " : "", mode, c->reason, t->read_bytes, t->written_bytes,
                  t->zeroed_bytes);
    if (has_list(c)) {
        buffer_printf(out, ", listed %" PRIu64 " of %" PRIu64, c->listed_bytes, c->end - c->begin);
    }
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
    enum copy_verify how = c->r->policy.verify;
    how = how == VERIFY_NONE && c->verified_bytes ? VERIFY_SAMPLE : how;
    buffer_printf(out, ", %s", verified[how]);
    if (how != VERIFY_NONE) {
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
        total += (c->end - c->begin) * (verify_one_in(c) ? 2 : 1);
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
