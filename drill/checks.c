/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that several phases make. */
#include "drill/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

HRESULT drill_read_fixed(struct drill *d, size_t lun, const struct raw_address *address,
                         uint8_t **out, struct error *err)
{
    const struct layout *layout = &d->luns[lun].layout;
    struct raw *raw = NULL;
    *out = NULL;
    uint8_t *fixed = malloc(layout->fixed_blocks * layout->block_bytes);
    HRESULT hr = fixed ? raw_open(address, d->initiator, &raw, err)
                       : error_set(err, E_OUTOFMEMORY, "out of memory for a label");
    if (SUCCEEDED(hr) &&
        (raw->block_bytes != layout->block_bytes || raw->block_count != layout->block_count)) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s has not the size of LUN %u", raw->name,
                       layout->number);
    }
    if (SUCCEEDED(hr)) {
        hr = image_read_fixed(layout, raw, fixed, err);
    }
    raw_close(raw);
    if (FAILED(hr)) {
        free(fixed);
        return hr;
    }
    *out = fixed;
    return S_OK;
}

HRESULT drill_read_label(struct drill *d, size_t lun, const struct raw_address *address,
                         struct fields **out, struct error *err)
{
    uint8_t *fixed = NULL;
    *out = NULL;
    HRESULT hr = drill_read_fixed(d, lun, address, &fixed, err);
    if (SUCCEEDED(hr)) {
        hr = fields_read(&d->luns[lun].layout, fixed, out, err);
    }
    free(fixed);
    return hr;
}

void check_image(struct drill *d, const char *name, const struct image *image,
                 const struct raw_address *address, enum image_part parts)
{
    struct error err = {0};
    struct raw *raw = NULL;
    struct image_difference diff = {0};
    HRESULT hr = raw_open(address, d->initiator, &raw, &err);
    if (SUCCEEDED(hr)) {
        hr = image_compare(image, raw, parts, &diff, &err);
    }
    raw_close(raw);
    if (FAILED(hr)) {
        report_error(d->report, name, &err);
        return;
    }
    report_bytes(d->report, diff.compared_blocks * image->layout->block_bytes);
    if (diff.different_blocks == 0) {
        (void)report_check(d->report, name, true, "LUN %u: %" PRIu64 " blocks compared",
                           image->layout->number, diff.compared_blocks);
    } else {
        (void)report_check(d->report, name, false,
                           "LUN %u: %" PRIu64 " of %" PRIu64 " blocks differ, the first is block "
                           "%" PRIu64 " at byte %u: %s",
                           image->layout->number, diff.different_blocks, diff.compared_blocks,
                           diff.first_block, diff.first_byte, diff.found);
    }
}

void check_tools(struct drill *d, size_t lun, const uint8_t *fixed, const struct fields *expected)
{
    struct error err = {0};
    struct judgements j;
    uint32_t number = d->luns[lun].layout.number;
    if (FAILED(judge_label(&d->luns[lun].layout, fixed, expected, d->scratch, &j, &err))) {
        report_error(d->report, "outside tools on the label", &err);
        return;
    }
    for (size_t i = 0; i < j.count; i++) {
        const struct judgement *one = &j.items[i];
        if (one->verdict == VERDICT_SKIPPED) {
            /* An addition to tools that did judge, so its absence is a note and no check. */
            report_note(d->report, "LUN %u: %s: %s", number, one->name, one->text);
        } else {
            (void)report_check(d->report, one->name, one->verdict == VERDICT_HELD, "LUN %u%s%s",
                               number, *one->text ? ": " : "", one->text);
        }
    }
}

/* The label's bytes are those at the cut with the expected ids in them, and nothing else was
 * changed. */
static HRESULT check_bytes(struct drill *d, size_t lun, const uint8_t *fixed,
                           const struct fields *expected, struct error *err)
{
    struct drill_lun *l = &d->luns[lun];
    size_t bytes = l->layout.fixed_blocks * l->layout.block_bytes;
    uint8_t *wanted = malloc(bytes);
    HRESULT hr = wanted ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory for a label");
    if (SUCCEEDED(hr)) {
        memcpy(wanted, l->image_at_cut->fixed_bytes, bytes);
        hr = fields_patch(&l->layout, wanted, expected, err);
    }
    if (SUCCEEDED(hr)) {
        size_t at = 0;
        while (at < bytes && wanted[at] == fixed[at]) {
            at++;
        }
        (void)report_check(d->report, "label areas, byte for byte", at == bytes,
                           "LUN %u: %zu bytes%s", l->layout.number, at,
                           at == bytes ? "" : " are equal, then they differ");
    }
    free(wanted);
    return hr;
}

static HRESULT check_fields(struct drill *d, size_t lun, const uint8_t *fixed,
                            const struct fields *expected, struct error *err)
{
    struct drill_lun *l = &d->luns[lun];
    struct fields *found = NULL;
    struct buffer differences = BUFFER_INIT;
    size_t compared = 0;
    char id[FIELDS_TEXT_BYTES];
    HRESULT hr = fields_read(&l->layout, fixed, &found, err);
    if (FAILED(hr)) {
        return hr;
    }
    fields_compare(expected, found, &differences, &compared);
    bool held = differences.length == 0 && SUCCEEDED(buffer_status(&differences));
    (void)report_check(d->report, "label, field by field", held, "LUN %u, %s: %zu fields%s%s",
                       l->layout.number, fields_id_text(found, id), compared, held ? "" : ": ",
                       held               ? ""
                       : differences.data ? differences.data
                                          : "out of memory");
    if (found->kind == FIELDS_GPT) {
        (void)report_check(d->report, "no shadow-copy bits in the label",
                           !fields_has_shadow_bits(found), "LUN %u", l->layout.number);
    }
    buffer_free(&differences);
    free(found);
    return S_OK;
}

void check_label(struct drill *d, size_t lun, const struct raw_address *address,
                 const struct fields *expected)
{
    struct error err = {0};
    uint8_t *fixed = NULL;
    HRESULT hr = drill_read_fixed(d, lun, address, &fixed, &err);
    if (SUCCEEDED(hr)) {
        hr = check_fields(d, lun, fixed, expected, &err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_bytes(d, lun, fixed, expected, &err);
    }
    if (SUCCEEDED(hr)) {
        check_tools(d, lun, fixed, expected);
    } else {
        report_error(d->report, "label", &err);
    }
    free(fixed);
}
