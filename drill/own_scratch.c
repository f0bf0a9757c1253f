/* SPDX-License-Identifier: Apache-2.0 */
/* Which LUNs a drill may write to: those that the configuration calls scratch, by address and by
 * identity. */
#include "common/buffer.h"
#include "drill/own_internal.h"
#include "lun/scratch.h"

#include <stdlib.h>
#include <string.h>

#define EDGE_BYTES (1u << 20)

void own_forget(struct own_drill *o)
{
    for (size_t i = 0; i < o->options->count; i++) {
        free(o->volumes[i].url);
        free(o->scratch[i].url);
        lun_info_free(&o->volumes[i].info);
        lun_info_free(&o->scratch[i].info);
        lock_release(o->scratch[i].lock);
    }
}

static HRESULT look(struct own_drill *o, const char *name, bool is_scratch, struct own_lun *out,
                    struct error *err)
{
    struct lun *lun = NULL;
    struct raw *raw = NULL;
    const char *reason = NULL;
    const struct lun_options options = {.config = o->config};
    out->name = name;
    HRESULT hr = lun_open(name, &options, true, &lun, err);
    if (SUCCEEDED(hr) && !lun_info_is_unique(&lun->identity.info, &reason)) {
        hr = error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                       "%s has no page-83 identity that is its alone: %s", lun->url, reason);
    }
    if (SUCCEEDED(hr) && is_scratch) {
        hr = scratch_check(o->config, lun, err);
    }
    if (SUCCEEDED(hr)) {
        (void)lun_info_key(&lun->identity.info, out->key);
        out->block_bytes = lun->block.block_bytes;
        out->block_count = lun->block.block_count;
        out->url = text_copy(lun->url);
        hr = out->url ? lun_info_copy(&lun->identity.info, &out->info) : E_OUTOFMEMORY;
        hr = FAILED(hr) ? error_set(err, hr, "out of memory for the drill") : hr;
    }
    if (SUCCEEDED(hr)) {
        hr = raw_parse(lun->url, &out->address, err);
    }
    if (SUCCEEDED(hr)) {
        hr = raw_open(&out->address, o->base.initiator, &raw, err);
    }
    if (SUCCEEDED(hr)) {
        hr = raw_inquiry(raw, 0x83, &out->identity, err);
    }
    raw_close(raw);
    lun_close(lun);
    return hr;
}

static HRESULT check_fits(const struct own_lun *scratch, const struct own_lun *volume,
                          struct error *err)
{
    if (scratch->block_bytes != volume->block_bytes) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s has blocks of %u bytes, %s of %u: choose another scratch LUN",
                         scratch->url, scratch->block_bytes, volume->url, volume->block_bytes);
    }
    if (scratch->block_count < volume->block_count) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED, "%s is smaller than %s", scratch->url,
                         volume->url);
    }
    return S_OK;
}

/* A scratch LUN is none of the volumes and no other scratch LUN, by any of its designators. */
static HRESULT check_apart(const struct own_drill *o, size_t index, struct error *err)
{
    const struct own_lun *scratch = &o->scratch[index];
    for (size_t i = 0; i < o->options->count; i++) {
        const struct own_lun *others[] = {&o->volumes[i], i == index ? NULL : &o->scratch[i]};
        for (size_t k = 0; k < 2; k++) {
            if (others[k] && (lun_info_compare(&others[k]->info, &scratch->info) != LUN_DIFFERENT ||
                              raw_page_equal(&others[k]->identity, &scratch->identity))) {
                return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                                 "%s and %s are or may be one LUN: nothing is written to it",
                                 scratch->url, others[k]->url);
            }
        }
    }
    return S_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const struct own_lun *const *one = a;
    const struct own_lun *const *other = b;
    return strcmp((*one)->key, (*other)->key);
}

/* Before it is asked who uses them, until they are wiped: what another drill recovered onto one is
 * neither overwritten nor wiped. None is waited for. */
static HRESULT take_locks(struct own_drill *o, struct error *err)
{
    struct own_lun *order[DRILL_OWN_LUNS_MAX] = {NULL};
    HRESULT hr = S_OK;
    for (size_t i = 0; i < o->options->count; i++) {
        order[i] = &o->scratch[i];
    }
    qsort(order, o->options->count, sizeof(order[0]), compare_keys);
    for (size_t i = 0; i < o->options->count && SUCCEEDED(hr); i++) {
        hr = lock_take_scratch(order[i]->key, &order[i]->lock, err);
    }
    return hr;
}

HRESULT own_look(struct own_drill *o, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < o->options->count && SUCCEEDED(hr); i++) {
        hr = look(o, o->options->volumes[i], false, &o->volumes[i], err);
        if (SUCCEEDED(hr)) {
            hr = look(o, o->options->onto[i], true, &o->scratch[i], err);
        }
        if (SUCCEEDED(hr)) {
            hr = check_fits(&o->scratch[i], &o->volumes[i], err);
        }
    }
    for (size_t i = 0; i < o->options->count && SUCCEEDED(hr); i++) {
        hr = check_apart(o, i, err);
    }
    if (SUCCEEDED(hr)) {
        hr = take_locks(o, err);
    }
    for (size_t i = 0; i < o->options->count && SUCCEEDED(hr); i++) {
        hr = scratch_check_unused(o->scratch[i].url, &o->scratch[i].info, err);
    }
    return hr;
}

HRESULT own_check_scratch(struct own_drill *o, size_t index, struct error *err)
{
    struct raw *raw = NULL;
    HRESULT hr = guarded_open_known(&o->scratch[index].address, o->base.initiator,
                                    &o->scratch[index].identity, &raw, err);
    raw_close(raw);
    return hr;
}

static HRESULT wipe(struct own_drill *o, const struct own_lun *lun, const uint8_t *zeros,
                    struct error *err)
{
    struct raw *raw = NULL;
    HRESULT hr = guarded_open_known(&lun->address, o->base.initiator, &lun->identity, &raw, err);
    if (SUCCEEDED(hr)) { /* whoever uses it would lose what it has there */
        hr = scratch_check_unused(lun->url, &lun->info, err);
    }
    if (FAILED(hr)) {
        raw_close(raw);
        return hr;
    }
    uint64_t edge = EDGE_BYTES / raw->block_bytes;
    edge = edge < raw->block_count ? edge : raw->block_count;
    hr = raw_write(raw, 0, edge, zeros, err);
    if (SUCCEEDED(hr)) {
        hr = raw_write(raw, raw->block_count - edge, edge, zeros, err);
    }
    if (SUCCEEDED(hr)) {
        hr = raw_flush(raw, err);
    }
    raw_close(raw);
    return hr;
}

bool own_wipe(struct own_drill *o)
{
    bool has_all = true;
    uint8_t *zeros = calloc(1, EDGE_BYTES);
    for (size_t i = 0; i < o->options->count; i++) {
        struct error why = {0};
        HRESULT hr = zeros ? wipe(o, &o->scratch[i], zeros, &why)
                           : error_set(&why, E_OUTOFMEMORY, "out of memory for wiping");
        has_all = has_all && SUCCEEDED(hr);
        if (FAILED(hr)) {
            report_leftover(o->base.report, "%s may still look like %s: %s", o->scratch[i].url,
                            o->volumes[i].url, error_text(&why));
        }
    }
    free(zeros);
    return has_all;
}
