/* SPDX-License-Identifier: Apache-2.0 */
/* BreakSnapshotSetEx with each of its flags. */
#include "drill/internal.h"

#include <stdlib.h>
#include <string.h>

static const char *code_name(HRESULT hr)
{
    const char *name = vss_error_name(hr);
    return name ? name : "a code without a name";
}

/* Of all originals, then of all copies of the first set. */
struct digests {
    uint8_t bytes[2 * DRILL_LUNS][IMAGE_DIGEST_BYTES];
};

static HRESULT take_digests(struct drill *d, struct digests *out, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < (size_t)2 * DRILL_LUNS && SUCCEEDED(hr); i++) {
        const struct raw_address *address =
            i < DRILL_LUNS ? &d->luns[i].address : &d->sets[SET_CUT].copies[i - DRILL_LUNS];
        struct raw *raw = NULL;
        hr = raw_open(address, d->initiator, &raw, err);
        if (SUCCEEDED(hr)) {
            hr = image_digest(raw, out->bytes[i], err);
            report_bytes(d->report, d->lun_bytes);
        }
        raw_close(raw);
    }
    return hr;
}

HRESULT phase_break_refused(struct drill *d, struct error *err)
{
    struct digests before;
    struct digests after;
    struct error refusal = {0};
    HRESULT hr = take_digests(d, &before, err);
    if (FAILED(hr)) {
        return hr;
    }
    HRESULT code = drill_break_set(d, SET_CUT, VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL, &refusal);
    (void)report_check(d->report, "refused while the originals are visible",
                       code == VSS_E_BREAK_REVERT_ID_FAILED, "%s: %s", code_name(code),
                       refusal.text);
    hr = take_digests(d, &after, err);
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "not one byte was changed",
                           memcmp(&before, &after, sizeof(before)) == 0,
                           "%d originals and %d copies, whole", DRILL_LUNS, DRILL_LUNS);
    }
    if (SUCCEEDED(hr) && code != VSS_E_BREAK_REVERT_ID_FAILED) {
        hr = error_set(err, VSS_E_UNEXPECTED, "the set was to stay, and is gone");
    }
    return hr;
}

static HRESULT check_broken_copy(struct drill *d, size_t index, struct error *err)
{
    struct drill_lun *l = &d->luns[index];
    const struct raw_address *address = &d->sets[SET_CUT].copies[index];
    uint8_t *fixed = NULL;
    struct fields *found = NULL;
    char text[FIELDS_TEXT_BYTES];
    HRESULT hr = drill_read_fixed(d, index, address, &fixed, err);
    if (SUCCEEDED(hr)) {
        hr = fields_read(&l->layout, fixed, &found, err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "the copy has the original's disk ids",
                           fields_ids_equal(found, l->label_at_cut), "LUN %u's copy: %s",
                           l->layout.number, fields_id_text(found, text));
        check_tools(d, index, fixed, found);
        check_image(d, "and the original's data at the cut", l->image_at_cut, address, IMAGE_DATA);
    }
    free(found);
    free(fixed);
    return hr;
}

static HRESULT break_masked(struct drill *d, struct error *err)
{
    struct raw *raw = NULL;
    HRESULT hr = raw_open(&d->luns[0].address, d->initiator, &raw, NULL);
    raw_close(raw);
    (void)report_check(d->report, "the originals are masked", FAILED(hr), "%s", d->target);
    hr = drill_break_set(d, SET_CUT, VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL, err);
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        hr = check_broken_copy(d, i, err);
    }
    return hr;
}

HRESULT phase_break_revert(struct drill *d, struct error *err)
{
    struct error later = {0};
    HRESULT hr = lab_mask_target(d->lab, d->target, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = break_masked(d, err);
    HRESULT unmasked = lab_unmask_target(d->lab, d->target, &later);
    if (SUCCEEDED(hr) && FAILED(unmasked)) {
        hr = error_set(err, unmasked, "%s", error_text(&later));
    }
    return hr;
}

/* ---- read-write, mask ---- */

/* Writes a block of a copy with what stands there already. */
static HRESULT try_to_write(struct drill *d, const struct drill_set *set, size_t lun,
                            HRESULT *out_code, struct error *err)
{
    struct raw *raw = NULL;
    uint8_t *data = NULL;
    HRESULT hr = guarded_open_copy(d, set, lun, &raw, err);
    if (SUCCEEDED(hr)) {
        data = malloc(raw->block_bytes);
        hr = data ? raw_read(raw, raw->block_count / 2, 1, data, err)
                  : error_set(err, E_OUTOFMEMORY, "out of memory for a block");
    }
    if (SUCCEEDED(hr)) {
        *out_code = raw_write(raw, raw->block_count / 2, 1, data, NULL);
    }
    raw_close(raw);
    free(data);
    return hr;
}

static HRESULT make_set(struct drill *d, enum drill_set_use use, uint32_t extra, struct error *err)
{
    HRESULT hr = drill_create_set(d, use, extra, err);
    return SUCCEEDED(hr) ? drill_import_set(d, use, err) : hr;
}

static HRESULT check_writable(struct drill *d, const char *name, HRESULT wanted, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        HRESULT code = S_OK;
        hr = try_to_write(d, &d->sets[SET_READ_WRITE], i, &code, err);
        if (SUCCEEDED(hr)) {
            (void)report_check(d->report, name, code == wanted, "LUN %zu's copy: %s", i + 1,
                               code_name(code));
        }
    }
    return hr;
}

static HRESULT break_read_write(struct drill *d, struct error *err)
{
    HRESULT hr = make_set(d, SET_READ_WRITE, VSS_VOLSNAP_ATTR_PLEX, err);
    if (SUCCEEDED(hr)) {
        for (size_t i = 0; i < DRILL_LUNS; i++) {
            check_image(d, "a full copy holds its original's data", d->luns[i].image_at_cut,
                        &d->sets[SET_READ_WRITE].copies[i], IMAGE_DATA);
        }
        hr = check_writable(d, "a copy refuses to be written", E_ACCESSDENIED, err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_break_set(d, SET_READ_WRITE, VSS_BREAKEX_FLAG_MAKE_READ_WRITE, err);
    }
    return SUCCEEDED(hr) ? check_writable(d, "after MAKE_READ_WRITE it can be written", S_OK, err)
                         : hr;
}

static HRESULT break_mask(struct drill *d, struct error *err)
{
    struct drill_set *set = &d->sets[SET_MASK];
    /* a clone asked for by name, where the array can make one */
    uint32_t extra = d->lab->has_reflink ? VSS_VOLSNAP_ATTR_DIFFERENTIAL : 0;
    HRESULT hr = make_set(d, SET_MASK, extra, err);
    if (SUCCEEDED(hr)) {
        hr = drill_break_set(d, SET_MASK, VSS_BREAKEX_FLAG_MASK_LUNS, err);
    }
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        struct raw *raw = NULL;
        bool is_listed = true;
        HRESULT code = raw_open(&set->copies[i], d->initiator, &raw, NULL);
        raw_close(raw);
        hr = raw_is_listed(set->copies[i].portal, set->copies[i].target, d->initiator, &is_listed,
                           err);
        if (SUCCEEDED(hr)) {
            (void)report_check(d->report, "after MASK_LUNS nobody can log in",
                               FAILED(code) && !is_listed, "LUN %zu's copy: %s", i + 1,
                               set->copies[i].target);
        }
    }
    return hr;
}

HRESULT phase_break_others(struct drill *d, struct error *err)
{
    HRESULT hr = break_read_write(d, err);
    return SUCCEEDED(hr) ? break_mask(d, err) : hr;
}
