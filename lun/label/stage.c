/* SPDX-License-Identifier: Apache-2.0 */
/* Staging: what must be written where so that a label carries other ids. */
#include "lun/label/label.h"

#include "common/id.h"
#include "lun/label/bytes.h"
#include "lun/label/gpt.h"
#include "lun/label/mbr.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One of the two copies of a GPT: where it is or shall be, as it stands and as it shall be. */
struct side {
    bool is_valid;
    uint64_t header_lba;
    uint64_t entries_lba;
    uint8_t *old_header;
    uint8_t *new_header;
    uint8_t *old_entries;
    uint8_t *new_entries;
};

struct gpt_plan {
    struct block_device *dev;
    const struct label *label;
    const struct vss_disk_ids *ids;
    const struct label_gpt_header *good; /* the header that counts */
    uint32_t entries_blocks;
    struct side primary;
    struct side backup;
};

static HRESULT refuse(const struct block_device *dev, const char *reason, struct error *err)
{
    return error_set(err, VSS_E_CANNOT_REVERT_DISKID, "%s: its disk ids cannot be changed: %s",
                     dev->name, reason);
}

static HRESULT no_memory(const struct block_device *dev, struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "%s: memory is short for its label", dev->name);
}

void label_writes_free(struct label_writes *writes)
{
    for (size_t i = 0; i < writes->count; i++) {
        free(writes->items[i].old_data);
        free(writes->items[i].new_data);
    }
    free(writes->items);
    *writes = (struct label_writes){0};
}

/* Takes the two buffers over, also where it fails, and leaves NULL behind. Blocks that stay as they
 * are are not written. */
static HRESULT add_write(struct label_writes *writes, const struct block_device *dev, uint64_t lba,
                         uint32_t blocks, uint8_t **old_data, uint8_t **new_data, struct error *err)
{
    HRESULT hr = S_OK;
    bool is_same = memcmp(*old_data, *new_data, (size_t)blocks * dev->block_bytes) == 0;
    struct label_write *grown = NULL;
    if (!is_same) {
        grown = realloc(writes->items, (writes->count + 1) * sizeof(*grown));
        hr = grown ? S_OK : no_memory(dev, err);
    }
    if (grown) {
        writes->items = grown;
        grown[writes->count++] = (struct label_write){lba, blocks, *old_data, *new_data};
    } else {
        free(*old_data);
        free(*new_data);
    }
    *old_data = NULL;
    *new_data = NULL;
    return hr;
}

static HRESULT read_blocks(struct block_device *dev, uint64_t lba, uint32_t blocks, uint8_t **out,
                           struct error *err)
{
    *out = malloc((size_t)blocks * dev->block_bytes);
    if (!*out) {
        return no_memory(dev, err);
    }
    return block_read(dev, lba, blocks, *out, err);
}

static HRESULT copy_blocks(const struct block_device *dev, uint32_t blocks, const uint8_t *from,
                           uint8_t **out, struct error *err)
{
    *out = malloc((size_t)blocks * dev->block_bytes);
    if (!*out) {
        return no_memory(dev, err);
    }
    memcpy(*out, from, (size_t)blocks * dev->block_bytes);
    return S_OK;
}

/* ---- MBR ---- */

static HRESULT stage_signature(struct block_device *dev, const struct label *label,
                               uint32_t signature, struct label_writes *out, struct error *err)
{
    uint8_t *old_data = NULL;
    uint8_t *new_data = NULL;
    struct mbr mbr = {0};
    HRESULT hr = read_blocks(dev, 0, 1, &old_data, err);
    if (FAILED(hr)) {
        goto out;
    }
    mbr_examine(old_data, dev->block_count, &mbr);
    bool is_gpt = label->kind == VSS_DISK_LABEL_GPT;
    if (mbr.kind == MBR_ABSENT || (mbr.kind == MBR_PROTECTIVE) != is_gpt ||
        mbr.signature != label->mbr_signature) {
        hr = refuse(dev, "block 0 changed after it was read; try again", err);
        goto out;
    }
    hr = copy_blocks(dev, 1, old_data, &new_data, err);
    if (FAILED(hr)) {
        goto out;
    }
    mbr_set_signature(new_data, signature);
    mbr_examine(new_data, dev->block_count, &mbr);
    if (mbr.kind == MBR_ABSENT) {
        hr = refuse(dev, "an MBR with neither a partition nor a signature would be no label", err);
        goto out;
    }
    hr = add_write(out, dev, 0, 1, &old_data, &new_data, err);
out:
    free(old_data);
    free(new_data);
    return hr;
}

static HRESULT stage_mbr(struct block_device *dev, const struct label *label,
                         const struct vss_disk_ids *ids, struct label_writes *out,
                         struct error *err)
{
    if (ids->partition_count != 0) {
        return refuse(dev, "partitions of an MBR have no ids, but some are given", err);
    }
    return stage_signature(dev, label, ids->mbr_signature, out, err);
}

/* ---- GPT ---- */

static HRESULT check_partitions(const struct block_device *dev, const struct label *label,
                                const struct vss_disk_ids *ids, struct error *err)
{
    bool is_same = label->partition_count == ids->partition_count;
    for (size_t i = 0; is_same && i < label->partition_count; i++) {
        is_same = label->partitions[i].number == ids->partitions[i].number;
    }
    return is_same ? S_OK
                   : refuse(dev, "the ids given are for other partitions than the disk has", err);
}

static HRESULT check_headers(const struct block_device *dev, const struct label *label, bool repair,
                             struct error *err)
{
    if (!label->backup_was_read) {
        return refuse(dev, "its backup GPT header was not read", err);
    }
    const struct label_gpt_header *bad = NULL;
    if (!label->primary.is_valid) {
        bad = &label->primary;
    } else if (!label->backup.is_valid) {
        bad = &label->backup;
    }
    if (!bad || repair) {
        return S_OK;
    }
    return error_set(err, VSS_E_CANNOT_REVERT_DISKID,
                     "%s: its disk ids cannot be changed: GPT header in block %" PRIu64
                     ": %s; repair the label first",
                     dev->name, bad->lba, bad->reason);
}

/* Places for a copy that is not valid are the standard ones, and must be clear of partitions. */
static HRESULT place_sides(struct gpt_plan *plan, struct error *err)
{
    const struct label *label = plan->label;
    uint64_t blocks = plan->entries_blocks;
    uint64_t last = plan->dev->block_count - 1;
    plan->primary = (struct side){.is_valid = label->primary.is_valid,
                                  .header_lba = GPT_PRIMARY_LBA,
                                  .entries_lba = GPT_PRIMARY_LBA + 1};
    plan->backup = (struct side){.is_valid = label->backup.is_valid};
    if (plan->primary.is_valid) {
        plan->primary.entries_lba = label->primary.entries_lba;
    } else if (GPT_PRIMARY_LBA + 1 + blocks > plan->good->first_usable_lba) {
        return refuse(plan->dev, "there is no room for a primary GPT header and its entries", err);
    }
    if (plan->backup.is_valid) {
        plan->backup.header_lba = label->backup.lba;
        plan->backup.entries_lba = label->backup.entries_lba;
        return S_OK;
    }
    if (last - plan->good->last_usable_lba <= blocks) { /* last_usable_lba lies on the disk */
        return refuse(plan->dev, "there is no room for a backup GPT header and its entries", err);
    }
    plan->backup.header_lba = last;
    plan->backup.entries_lba = last - blocks;
    return S_OK;
}

static HRESULT load_side(const struct gpt_plan *plan, struct side *side, struct error *err)
{
    struct block_device *dev = plan->dev;
    HRESULT hr = read_blocks(dev, side->header_lba, 1, &side->old_header, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = read_blocks(dev, side->entries_lba, plan->entries_blocks, &side->old_entries, err);
    if (FAILED(hr) || !side->is_valid) {
        return hr;
    }
    struct label_gpt_header now;
    gpt_parse_header(side->old_header, dev->block_bytes, dev->block_count, side->header_lba,
                     side == &plan->backup, &now);
    if (now.is_valid && now.entries_lba == side->entries_lba &&
        now.entries_crc == plan->good->entries_crc &&
        gpt_entries_bytes(&now) == gpt_entries_bytes(plan->good)) {
        gpt_check_entries(&now, side->old_entries);
        gpt_check_agreement(plan->good, &now);
    } else {
        now.is_valid = false;
    }
    return now.is_valid ? S_OK : refuse(dev, "its GPT changed after it was read; try again", err);
}

static void put_ids(const struct gpt_plan *plan, uint8_t *entries)
{
    for (uint32_t i = 0; i < plan->ids->partition_count; i++) {
        const struct vss_partition_id *p = &plan->ids->partitions[i];
        uint8_t *entry = entries + (size_t)(p->number - 1) * plan->good->entry_bytes;
        id_to_bytes(&p->guid, entry + GPT_ENTRY_GUID);
        put_le64(entry + GPT_ENTRY_ATTRIBUTES, p->attributes);
    }
}

/* The new blocks of one side: its own old ones, or, where it is rebuilt, those of the good side. */
static HRESULT renew_side(const struct gpt_plan *plan, struct side *side, const struct side *other,
                          struct error *err)
{
    const struct side *from = side->is_valid ? side : other;
    HRESULT hr = copy_blocks(plan->dev, 1, from->old_header, &side->new_header, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = copy_blocks(plan->dev, plan->entries_blocks, from->old_entries, &side->new_entries, err);
    if (FAILED(hr)) {
        return hr;
    }
    put_ids(plan, side->new_entries);
    struct gpt_header_change change = {
        .lba = side->header_lba,
        .alternate_lba = other->header_lba,
        .entries_lba = side->entries_lba,
        .disk_guid = plan->ids->disk_guid,
        .entries_crc = gpt_crc(side->new_entries, gpt_entries_bytes(plan->good))};
    gpt_rewrite_header(side->new_header, &change);
    return S_OK;
}

static HRESULT add_side(const struct gpt_plan *plan, struct side *side, struct label_writes *out,
                        struct error *err)
{
    HRESULT hr = add_write(out, plan->dev, side->entries_lba, plan->entries_blocks,
                           &side->old_entries, &side->new_entries, err);
    if (FAILED(hr)) {
        return hr;
    }
    return add_write(out, plan->dev, side->header_lba, 1, &side->old_header, &side->new_header,
                     err);
}

static void free_side(struct side *side)
{
    free(side->old_header);
    free(side->new_header);
    free(side->old_entries);
    free(side->new_entries);
}

static HRESULT prepare_sides(struct gpt_plan *plan, struct error *err)
{
    HRESULT hr = place_sides(plan, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = load_side(plan, &plan->primary, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = load_side(plan, &plan->backup, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = renew_side(plan, &plan->primary, &plan->backup, err);
    if (FAILED(hr)) {
        return hr;
    }
    return renew_side(plan, &plan->backup, &plan->primary, err);
}

static HRESULT stage_headers(struct block_device *dev, const struct label *label,
                             const struct vss_disk_ids *ids, struct label_writes *out,
                             struct error *err)
{
    struct gpt_plan plan = {.dev = dev,
                            .label = label,
                            .ids = ids,
                            .good = label->primary.is_valid ? &label->primary : &label->backup};
    plan.entries_blocks = gpt_entries_blocks(plan.good, dev->block_bytes);
    HRESULT hr = prepare_sides(&plan, err);
    if (FAILED(hr)) {
        goto out;
    }
    /* The good copy is overwritten last. */
    struct side *first = plan.primary.is_valid ? &plan.backup : &plan.primary;
    struct side *second = plan.primary.is_valid ? &plan.primary : &plan.backup;
    hr = add_side(&plan, first, out, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = add_side(&plan, second, out, err);
out:
    free_side(&plan.backup);
    free_side(&plan.primary);
    return hr;
}

static HRESULT stage_gpt(struct block_device *dev, const struct label *label,
                         const struct vss_disk_ids *ids, bool repair, struct label_writes *out,
                         struct error *err)
{
    HRESULT hr = check_partitions(dev, label, ids, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = check_headers(dev, label, repair, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = stage_headers(dev, label, ids, out, err);
    if (FAILED(hr)) {
        return hr;
    }
    return stage_signature(dev, label, ids->mbr_signature, out, err);
}

HRESULT label_stage_ids(struct block_device *dev, const struct label *label,
                        const struct vss_disk_ids *ids, bool repair, struct label_writes *out,
                        struct error *err)
{
    *out = (struct label_writes){0};
    if (label->kind != ids->kind) {
        return refuse(dev, "the ids given are for another kind of label than the disk has", err);
    }
    if (label->kind == VSS_DISK_LABEL_NONE) {
        return S_OK;
    }
    if (label->has_dynamic_disk) {
        return refuse(dev, "it is a dynamic disk, which keeps further ids of its own", err);
    }
    HRESULT hr = label->kind == VSS_DISK_LABEL_MBR ? stage_mbr(dev, label, ids, out, err)
                                                   : stage_gpt(dev, label, ids, repair, out, err);
    if (FAILED(hr)) {
        label_writes_free(out);
    }
    return hr;
}
