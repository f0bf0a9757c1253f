/* SPDX-License-Identifier: Apache-2.0 */
/* Who the LUNs are, in the product's words, and whether the raw answers say the same. */
#include "common/id.h"
#include "drill/internal.h"
#include "lun/label/label.h"
#include "lun/lun.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* True where every designator the product reports stands in the raw page. */
static bool has_designators(const struct raw_page *page, const struct vss_lun_info *info)
{
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *id = &info->device_id.identifiers[i];
        if (!memmem(page->data, page->length, id->identifier, id->identifier_bytes)) {
            return false;
        }
    }
    return info->device_id.identifier_count > 0;
}

static void print_identity(struct drill *d, const struct lun *lun, const struct label *label)
{
    char key[LUN_KEY_BYTES];
    char id[ID_TEXT_BYTES];
    const struct vss_lun_info *info = &lun->identity.info;
    report_note(d->report, "%s", lun->url);
    report_note(d->report, "  page 83 %s, page 80 %s, INQUIRY %s %s %s, %" PRIu64 " blocks of %u",
                lun_info_key(info, key), info->serial_number ? info->serial_number : "none",
                info->vendor_id ? info->vendor_id : "", info->product_id ? info->product_id : "",
                info->product_revision ? info->product_revision : "", lun->block.block_count,
                lun->block.block_bytes);
    if (label->kind == VSS_DISK_LABEL_MBR) {
        report_note(d->report, "  MBR label, signature 0x%08x, %zu partitions",
                    label->mbr_signature, label->partition_count);
    } else if (label->kind == VSS_DISK_LABEL_GPT) {
        report_note(d->report, "  GPT label, disk %s, %zu partitions",
                    id_text(&label->primary.disk_guid, id), label->partition_count);
    } else {
        report_note(d->report, "  no label");
    }
}

static bool is_same_label(const struct label *label, const struct fields *fields)
{
    bool is_mbr = fields->kind == FIELDS_MBR;
    if (label->kind != (is_mbr ? VSS_DISK_LABEL_MBR : VSS_DISK_LABEL_GPT) ||
        label->partition_count != fields->partition_count ||
        label->mbr_signature != fields->mbr_signature ||
        (!is_mbr && !id_equal(&label->primary.disk_guid, &fields->primary.disk_guid))) {
        return false;
    }
    for (size_t i = 0; i < label->partition_count; i++) {
        const struct label_partition *a = &label->partitions[i];
        const struct fields_partition *b = &fields->partitions[i];
        if (a->number != b->number || a->first_lba != b->first_lba || a->last_lba != b->last_lba ||
            (!is_mbr && !id_equal(&a->guid, &b->guid))) {
            return false;
        }
    }
    return true;
}

/* The judge's own reading of the same LUN. */
static HRESULT compare_with_raw(struct drill *d, size_t index, const struct lun *lun,
                                const struct label *label, struct error *err)
{
    struct drill_lun *l = &d->luns[index];
    struct raw *raw = NULL;
    struct raw_page page = {0};
    struct fields *fields = NULL;
    HRESULT hr = raw_open(&l->address, d->initiator, &raw, err);
    if (SUCCEEDED(hr)) {
        hr = raw_inquiry(raw, 0x83, &page, err);
    }
    if (SUCCEEDED(hr)) {
        hr = fields_read(&l->layout, l->image->fixed_bytes, &fields, err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(d->report, "identity as the raw pages have it",
                           raw_page_equal(&page, &l->identity) &&
                               has_designators(&page, &lun->identity.info) &&
                               raw->block_count == lun->block.block_count &&
                               raw->block_bytes == lun->block.block_bytes,
                           "LUN %u", l->layout.number);
        (void)report_check(d->report, "label as the drill's own reader has it",
                           is_same_label(label, fields), "LUN %u", l->layout.number);
        check_tools(d, index, l->image->fixed_bytes, fields);
    }
    raw_close(raw);
    free(fields);
    return hr;
}

static HRESULT identify(struct drill *d, size_t index, const struct lun_options *options,
                        struct error *err)
{
    struct lun *lun = NULL;
    struct label *label = NULL;
    HRESULT hr = lun_open(d->luns[index].url, options, true, &lun, err);
    if (SUCCEEDED(hr)) {
        hr = label_read(&lun->block, LABEL_FULL, &label, err);
    }
    if (SUCCEEDED(hr)) {
        print_identity(d, lun, label);
        hr = compare_with_raw(d, index, lun, label, err);
    }
    label_free(label);
    lun_close(lun);
    return hr;
}

HRESULT phase_identify(struct drill *d, struct error *err)
{
    struct config *config = NULL;
    HRESULT hr = config_load(d->config, &config, err);
    struct lun_options options = {.config = config};
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        hr = identify(d, i, &options, err);
    }
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        size_t other = (i + 1) % DRILL_LUNS;
        (void)report_check(d->report, "page 83 is of this LUN alone",
                           !raw_page_equal(&d->luns[i].identity, &d->luns[other].identity),
                           "LUN %zu and LUN %zu", i + 1, other + 1);
    }
    config_free(config);
    return hr;
}
