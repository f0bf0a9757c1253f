/* SPDX-License-Identifier: Apache-2.0 */
/* Every write to a LUN after it was made: in a session that has just said who it is. */
#include "drill/internal.h"
#include "drill/stamp.h"

#include <stdlib.h>
#include <string.h>

HRESULT guarded_open_known(const struct raw_address *address, const char *initiator,
                           const struct raw_page *identity, struct raw **out, struct error *err)
{
    struct raw_page page = {0};
    struct raw *raw = NULL;
    *out = NULL;
    HRESULT hr = raw_open(address, initiator, &raw, err);
    if (SUCCEEDED(hr)) {
        hr = raw_inquiry(raw, 0x83, &page, err);
    }
    if (SUCCEEDED(hr) && (identity->length == 0 || !raw_page_equal(&page, identity))) {
        hr = error_set(err, VSS_E_UNEXPECTED,
                       "%s is not the LUN that the drill knows there: refusing to write to it",
                       raw->name);
    }
    if (FAILED(hr)) {
        raw_close(raw);
        return hr;
    }
    *out = raw;
    return S_OK;
}

HRESULT guarded_open(struct drill *d, size_t lun, struct raw **out, struct error *err)
{
    return guarded_open_known(&d->luns[lun].address, d->initiator, &d->luns[lun].identity, out,
                              err);
}

HRESULT guarded_open_copy(struct drill *d, const struct drill_set *set, size_t lun,
                          struct raw **out, struct error *err)
{
    *out = NULL;
    if (!set->imported) {
        return error_set(err, VSS_E_UNEXPECTED,
                         "the copies of a set that was not imported are not "
                         "known: refusing to write to one");
    }
    return guarded_open_known(&set->copies[lun], d->initiator, &set->identities[lun], out, err);
}

/* One of each three groups of 64 KiB, without a pattern. */
static bool is_chosen(uint64_t salt, uint64_t group)
{
    return stamp_index(salt, 0, group / 3, 3) == group % 3;
}

static HRESULT damage_range(struct raw *raw, const struct range *range, uint64_t salt,
                            const uint8_t *noise, uint64_t *out_blocks, struct error *err)
{
    uint64_t group_blocks = 65536 / raw->block_bytes;
    uint64_t end = range->first_block + range->block_count;
    for (uint64_t at = range->first_block; at < end; at += group_blocks) {
        uint64_t blocks = end - at < group_blocks ? end - at : group_blocks;
        if (!is_chosen(salt, at / group_blocks)) {
            continue;
        }
        HRESULT hr = raw_write(raw, at, blocks, noise, err);
        if (FAILED(hr)) {
            return hr;
        }
        *out_blocks += blocks;
    }
    return S_OK;
}

HRESULT guarded_damage(struct drill *d, size_t lun, uint64_t salt, uint64_t *out_blocks,
                       struct error *err)
{
    const struct layout *layout = &d->luns[lun].layout;
    struct raw *raw = NULL;
    uint8_t *noise = malloc(65536);
    *out_blocks = 0;
    HRESULT hr = noise ? guarded_open(d, lun, &raw, err)
                       : error_set(err, E_OUTOFMEMORY, "out of memory for damage");
    if (SUCCEEDED(hr)) {
        memset(noise, 0xdb, 65536);
    }
    for (size_t i = 0; i < layout->data_count && SUCCEEDED(hr); i++) {
        hr = damage_range(raw, &layout->data[i], salt, noise, out_blocks, err);
    }
    if (SUCCEEDED(hr)) {
        hr = raw_flush(raw, err);
    }
    raw_close(raw);
    free(noise);
    return hr;
}

HRESULT guarded_wipe_labels(struct drill *d, size_t lun, struct error *err)
{
    const struct layout *layout = &d->luns[lun].layout;
    struct raw *raw = NULL;
    uint8_t *zeros = calloc(layout->fixed_blocks, layout->block_bytes);
    HRESULT hr = zeros ? guarded_open(d, lun, &raw, err)
                       : error_set(err, E_OUTOFMEMORY, "out of memory for damage");
    if (SUCCEEDED(hr)) {
        hr = image_write_fixed(layout, raw, zeros, err);
    }
    raw_close(raw);
    free(zeros);
    return hr;
}

HRESULT guarded_new_ids(struct drill *d, size_t lun, struct error *err)
{
    struct drill_lun *l = &d->luns[lun];
    struct raw *raw = NULL;
    struct fields *now = NULL;
    uint8_t *fixed = malloc(l->layout.fixed_blocks * l->layout.block_bytes);
    HRESULT hr = fixed ? guarded_open(d, lun, &raw, err)
                       : error_set(err, E_OUTOFMEMORY, "out of memory for a label");
    if (SUCCEEDED(hr)) {
        hr = image_read_fixed(&l->layout, raw, fixed, err);
    }
    if (SUCCEEDED(hr)) {
        hr = disk_label_new_ids(l->form, &l->layout, d->scratch, fixed, err);
    }
    if (SUCCEEDED(hr)) {
        hr = image_write_fixed(&l->layout, raw, fixed, err);
    }
    if (SUCCEEDED(hr)) {
        hr = fields_read(&l->layout, fixed, &now, err);
    }
    if (SUCCEEDED(hr)) {
        free(l->label_before);
        l->label_before = now;
    }
    raw_close(raw);
    free(fixed);
    return hr;
}
