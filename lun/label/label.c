/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/label/label.h"

#include "common/id.h"
#include "lun/label/gpt.h"
#include "lun/label/mbr.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Blocks that were read in one go: a header and, nearly always, its entries. */
struct window {
    uint64_t lba;
    uint32_t blocks;
    uint8_t *data;
};

static HRESULT read_window(struct block_device *dev, uint64_t lba, uint32_t blocks,
                           struct window *out, struct error *err)
{
    out->data = malloc((size_t)blocks * dev->block_bytes);
    if (!out->data) {
        return error_set(err, E_OUTOFMEMORY, "%s: memory is short for its label", dev->name);
    }
    out->lba = lba;
    out->blocks = blocks;
    return block_read(dev, lba, blocks, out->data, err);
}

/* The bytes of these blocks in the window, or NULL where it does not hold them all. */
static const uint8_t *window_find(const struct window *w, uint32_t block_bytes, uint64_t lba,
                                  uint32_t blocks)
{
    if (lba < w->lba || lba - w->lba > w->blocks || blocks > w->blocks - (lba - w->lba)) {
        return NULL;
    }
    return w->data + (size_t)(lba - w->lba) * block_bytes;
}

/* Entries of a header that is valid so far, from the window or the device. */
static HRESULT load_entries(struct block_device *dev, const struct window *w,
                            const struct label_gpt_header *header, uint8_t **out, struct error *err)
{
    uint32_t blocks = gpt_entries_blocks(header, dev->block_bytes);
    uint8_t *entries = malloc((size_t)blocks * dev->block_bytes);
    if (!entries) {
        return error_set(err, E_OUTOFMEMORY, "%s: memory is short for its label", dev->name);
    }
    HRESULT hr = S_OK;
    const uint8_t *found = window_find(w, dev->block_bytes, header->entries_lba, blocks);
    if (found) {
        memcpy(entries, found, (size_t)blocks * dev->block_bytes);
    } else {
        hr = block_read(dev, header->entries_lba, blocks, entries, err);
    }
    if (FAILED(hr)) {
        free(entries);
        return hr;
    }
    *out = entries;
    return S_OK;
}

/* Header and entries at lba, which the window holds. *out_entries is NULL where the header is
 * invalid. */
static HRESULT load_header(struct block_device *dev, const struct window *w, uint64_t lba,
                           bool is_backup, struct label_gpt_header *out, uint8_t **out_entries,
                           struct error *err)
{
    *out_entries = NULL;
    const uint8_t *block = window_find(w, dev->block_bytes, lba, 1);
    gpt_parse_header(block, dev->block_bytes, dev->block_count, lba, is_backup, out);
    if (!out->is_valid) {
        return S_OK;
    }
    HRESULT hr = load_entries(dev, w, out, out_entries, err);
    if (FAILED(hr)) {
        return hr;
    }
    gpt_check_entries(out, *out_entries);
    if (!out->is_valid) {
        free(*out_entries);
        *out_entries = NULL;
    }
    return S_OK;
}

/* The backup at lba (not 0), judged against a valid primary. */
static HRESULT try_backup(struct block_device *dev, const struct label_gpt_header *primary,
                          uint64_t lba, struct label_gpt_header *out, uint8_t **out_entries,
                          struct error *err)
{
    uint64_t wanted = primary->is_valid
                          ? gpt_entries_blocks(primary, dev->block_bytes)
                          : (GPT_MIN_ENTRIES_BYTES + dev->block_bytes - 1) / dev->block_bytes;
    uint64_t first = lba > wanted ? lba - wanted : 0;
    struct window w = {0};
    HRESULT hr = read_window(dev, first, (uint32_t)(lba - first + 1), &w, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = load_header(dev, &w, lba, true, out, out_entries, err);
    if (SUCCEEDED(hr) && out->is_valid && primary->is_valid) {
        gpt_check_agreement(primary, out);
    }
out:
    free(w.data);
    return hr;
}

/* Where the primary says, then at the end of the disk; the first place's reason stays where both
 * fail. */
static HRESULT load_backup(struct block_device *dev, struct label *label, uint8_t **out_entries,
                           struct error *err)
{
    const struct label_gpt_header *primary = &label->primary;
    uint64_t last = dev->block_count - 1;
    bool is_named = primary->is_intact && primary->alternate_lba < last;
    label->backup_was_read = true;
    if (is_named) {
        HRESULT hr =
            try_backup(dev, primary, primary->alternate_lba, &label->backup, out_entries, err);
        if (FAILED(hr) || label->backup.is_valid) {
            return hr;
        }
        free(*out_entries);
        *out_entries = NULL;
    }
    struct label_gpt_header at_end = {0};
    HRESULT hr = try_backup(dev, primary, last, &at_end, out_entries, err);
    if (SUCCEEDED(hr) && (at_end.is_valid || !is_named)) {
        label->backup = at_end;
    }
    return hr;
}

static HRESULT refuse_gpt(const struct block_device *dev, const struct label *label,
                          struct error *err)
{
    if (!label->backup_was_read) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s: GPT: header in block 1: %s; the backup header was not looked at; "
                         "examine the disk with sgdisk -v",
                         dev->name, label->primary.reason);
    }
    return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                     "%s: GPT: header in block 1: %s; backup header in block %" PRIu64
                     ": %s; restore the partition table from a backup of it",
                     dev->name, label->primary.reason, label->backup.lba, label->backup.reason);
}

static HRESULT read_gpt(struct block_device *dev, const struct window *head, enum label_depth depth,
                        struct label *label, struct error *err)
{
    uint8_t *primary_entries = NULL;
    uint8_t *backup_entries = NULL;
    label->kind = VSS_DISK_LABEL_GPT;
    HRESULT hr =
        load_header(dev, head, GPT_PRIMARY_LBA, false, &label->primary, &primary_entries, err);
    if (FAILED(hr)) {
        goto out;
    }
    if (depth == LABEL_FULL) {
        hr = load_backup(dev, label, &backup_entries, err);
        if (FAILED(hr)) {
            goto out;
        }
    }
    if (label->primary.is_valid) {
        hr = gpt_list_partitions(dev->name, &label->primary, primary_entries, label, err);
    } else if (label->backup.is_valid) {
        hr = gpt_list_partitions(dev->name, &label->backup, backup_entries, label, err);
    } else {
        hr = refuse_gpt(dev, label, err);
    }
out:
    free(backup_entries);
    free(primary_entries);
    return hr;
}

static HRESULT read_mbr(struct block_device *dev, const struct window *head, enum label_depth depth,
                        struct label *label, struct error *err)
{
    label->kind = VSS_DISK_LABEL_MBR;
    return mbr_list_partitions(dev, head->data, depth == LABEL_FULL, label, err);
}

/* Some readers would take such a disk for GPT and others not; so looks a label half written. */
static HRESULT refuse_contradiction(const struct block_device *dev, struct error *err)
{
    return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                     "%s: blocks 0 and 1 contradict each other: a protective MBR goes with a GPT "
                     "header; repair the label with sgdisk, or wipe it",
                     dev->name);
}

/* A left-over GPT behind a table of MBR partitions is harmless unless one of them covers it. */
static HRESULT read_table(struct block_device *dev, const struct window *head,
                          enum label_depth depth, bool has_gpt, struct label *label,
                          struct error *err)
{
    HRESULT hr = read_mbr(dev, head, depth, label, err);
    for (size_t i = 0; SUCCEEDED(hr) && has_gpt && i < label->partition_count; i++) {
        if (label->partitions[i].first_lba <= GPT_PRIMARY_LBA) {
            hr = refuse_contradiction(dev, err);
        }
    }
    return hr;
}

static HRESULT read_by_kind(struct block_device *dev, const struct window *head,
                            enum label_depth depth, struct label *label, struct error *err)
{
    struct mbr mbr = {0};
    mbr_examine(head->data, dev->block_count, &mbr);
    label->mbr_signature = mbr.signature;
    label->is_hybrid = mbr.is_hybrid;
    const uint8_t *block = window_find(head, dev->block_bytes, GPT_PRIMARY_LBA, 1);
    bool has_gpt = block && gpt_has_signature(block);
    if (mbr.kind == MBR_TABLE) {
        return read_table(dev, head, depth, has_gpt, label, err);
    }
    if (mbr.kind == MBR_PROTECTIVE && block) {
        return read_gpt(dev, head, depth, label, err);
    }
    if (mbr.kind == MBR_PROTECTIVE || has_gpt) {
        return refuse_contradiction(dev, err);
    }
    return mbr.kind == MBR_EMPTY ? read_mbr(dev, head, depth, label, err) : S_OK;
}

HRESULT label_read(struct block_device *dev, enum label_depth depth, struct label **out,
                   struct error *err)
{
    *out = NULL;
    HRESULT hr = S_OK;
    struct window head = {0};
    struct label *label = calloc(1, sizeof(*label));
    if (!label) {
        return error_set(err, E_OUTOFMEMORY, "%s: memory is short for its label", dev->name);
    }
    label->kind = VSS_DISK_LABEL_NONE;
    label->block_bytes = dev->block_bytes;
    label->block_count = dev->block_count;
    if (dev->block_count > 0) {
        uint32_t wanted = 2 + (GPT_MIN_ENTRIES_BYTES + dev->block_bytes - 1) / dev->block_bytes;
        uint32_t blocks = dev->block_count < wanted ? (uint32_t)dev->block_count : wanted;
        hr = read_window(dev, 0, blocks, &head, err);
        if (FAILED(hr)) {
            goto out;
        }
        hr = read_by_kind(dev, &head, depth, label, err);
        if (FAILED(hr)) {
            goto out;
        }
    }
    *out = label;
    label = NULL;
out:
    label_free(label);
    free(head.data);
    return hr;
}

void label_free(struct label *label)
{
    if (!label) {
        return;
    }
    free(label->partitions);
    free(label);
}

static HRESULT copy_partition_ids(const struct label *label, struct vss_disk_ids *out)
{
    if (label->partition_count == 0) {
        return S_OK;
    }
    out->partitions = calloc(label->partition_count, sizeof(*out->partitions));
    if (!out->partitions) {
        return E_OUTOFMEMORY;
    }
    out->partition_count = (uint32_t)label->partition_count; /* at most 32768 */
    for (size_t i = 0; i < label->partition_count; i++) {
        const struct label_partition *p = &label->partitions[i];
        out->partitions[i] = (struct vss_partition_id){
            .number = p->number, .guid = p->guid, .attributes = p->attributes};
    }
    return S_OK;
}

HRESULT label_ids(const struct label *label, struct vss_disk_ids *out)
{
    *out = (struct vss_disk_ids){.kind = label->kind};
    if (label->kind == VSS_DISK_LABEL_NONE) {
        return S_OK;
    }
    out->mbr_signature = label->mbr_signature;
    HRESULT hr = S_OK;
    if (label->kind == VSS_DISK_LABEL_GPT) {
        out->disk_guid =
            label->primary.is_valid ? label->primary.disk_guid : label->backup.disk_guid;
        hr = copy_partition_ids(label, out);
    }
    if (FAILED(hr)) {
        disk_ids_free(out);
    }
    return hr;
}

static bool is_same_partition(const struct label_partition *a, const struct label_partition *b)
{
    return a->number == b->number && a->first_lba == b->first_lba && a->last_lba == b->last_lba &&
           a->mbr_type == b->mbr_type && id_equal(&a->type_guid, &b->type_guid) &&
           id_equal(&a->guid, &b->guid) && a->attributes == b->attributes;
}

static const VSS_ID *disk_guid(const struct label *label)
{
    return label->primary.is_valid ? &label->primary.disk_guid : &label->backup.disk_guid;
}

bool label_is_same(const struct label *a, const struct label *b)
{
    if (!a || !b) {
        return a == b;
    }
    bool is_same = a->kind == b->kind &&
                   (a->kind == VSS_DISK_LABEL_NONE || a->mbr_signature == b->mbr_signature) &&
                   a->partition_count == b->partition_count && id_equal(disk_guid(a), disk_guid(b));
    for (size_t i = 0; is_same && i < a->partition_count; i++) {
        is_same = is_same_partition(&a->partitions[i], &b->partitions[i]);
    }
    return is_same;
}

static uint32_t fresh_signature(uint32_t old)
{
    uint32_t signature = 0;
    while (signature == 0 || signature == old) {
        signature = id_new().data1; /* the first 32 bits of a random id are all random */
    }
    return signature;
}

HRESULT label_fresh_ids(const struct vss_disk_ids *from, uint64_t set_bits, uint64_t clear_bits,
                        struct vss_disk_ids *out)
{
    HRESULT hr = disk_ids_copy(from, out);
    if (FAILED(hr)) {
        return hr;
    }
    if (out->kind == VSS_DISK_LABEL_MBR || out->mbr_signature != 0) {
        out->mbr_signature = fresh_signature(from->mbr_signature);
    }
    if (out->kind == VSS_DISK_LABEL_GPT) {
        out->disk_guid = id_new();
    }
    for (uint32_t i = 0; i < out->partition_count; i++) {
        struct vss_partition_id *p = &out->partitions[i];
        p->guid = id_new();
        p->attributes = (p->attributes | set_bits) & ~clear_bits;
    }
    return S_OK;
}
