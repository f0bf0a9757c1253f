/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/label/mbr.h"

#include "lun/label/bytes.h"
#include "lun/label/partitions.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SIGNATURE_OFFSET 440
#define ENTRIES_OFFSET   446
#define ENTRY_BYTES      16
#define MAX_LOGICALS     128u

struct entry {
    uint8_t boot_flag;
    uint8_t type;
    uint32_t start;  /* blocks; relative in an EBR */
    uint32_t blocks; /* 0: the entry is not used, whatever its type: so the kernel reads it */
};

static struct entry get_entry(const uint8_t *block, unsigned index)
{
    const uint8_t *e = block + ENTRIES_OFFSET + (size_t)ENTRY_BYTES * index;
    return (struct entry){e[0], e[4], get_le32(e + 8), get_le32(e + 12)};
}

static bool has_boot_magic(const uint8_t *block)
{
    return block[510] == 0x55 && block[511] == 0xaa;
}

static bool is_extended(uint8_t type)
{
    return type == 0x05 || type == 0x0f || type == 0x85;
}

static bool is_power_of_two(uint32_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* A FAT parameter block: geometry that only a real one has. */
static bool is_fat_boot_sector(const uint8_t *b)
{
    bool has_jump = (b[0] == 0xeb && b[2] == 0x90) || b[0] == 0xe9;
    uint32_t sector_bytes = (uint32_t)b[11] | (uint32_t)b[12] << 8;
    uint32_t reserved_sectors = (uint32_t)b[14] | (uint32_t)b[15] << 8;
    uint8_t fats = b[16];
    uint8_t media = b[21];
    return has_jump && is_power_of_two(sector_bytes) && sector_bytes >= 512 &&
           sector_bytes <= 4096 && is_power_of_two(b[13]) && reserved_sectors != 0 &&
           (fats == 1 || fats == 2) && (media == 0xf0 || media >= 0xf8);
}

static bool is_filesystem_boot_sector(const uint8_t *b)
{
    return memcmp(b + 3, "NTFS    ", 8) == 0 || memcmp(b + 3, "EXFAT   ", 8) == 0 ||
           is_fat_boot_sector(b);
}

static bool has_legal_flags(const uint8_t *block)
{
    for (unsigned i = 0; i < 4; i++) {
        uint8_t flag = get_entry(block, i).boot_flag;
        if (flag != 0x00 && flag != 0x80) {
            return false;
        }
    }
    return true;
}

struct tally {
    unsigned used;
    unsigned gpt;  /* EEh entries */
    bool gpt_at_1; /* one of them at block 1 */
    bool any_starts_inside;
    bool any_lies_inside;
};

static struct tally count_entries(const uint8_t *block, uint64_t block_count)
{
    struct tally t = {0};
    for (unsigned i = 0; i < 4; i++) {
        struct entry e = get_entry(block, i);
        if (e.blocks == 0) {
            continue;
        }
        t.used++;
        if (e.type == MBR_TYPE_GPT) {
            t.gpt++;
            t.gpt_at_1 = t.gpt_at_1 || e.start == 1;
        }
        if (e.start != 0 && e.start < block_count) {
            t.any_starts_inside = true;
            t.any_lies_inside = t.any_lies_inside || e.blocks <= block_count - e.start;
        }
    }
    return t;
}

static enum mbr_kind classify(const uint8_t *block, const struct tally *t)
{
    bool flags_are_legal = has_legal_flags(block);
    /* The kernel takes EEh at block 1 for GPT and does not look at flags. */
    if (t->gpt_at_1 || (t->gpt > 0 && flags_are_legal)) {
        return MBR_PROTECTIVE;
    }
    if (!flags_are_legal) {
        return MBR_ABSENT;
    }
    bool is_filesystem = is_filesystem_boot_sector(block);
    if (t->used == 0) {
        bool has_signature = mbr_get_signature(block) != 0;
        return has_signature && !is_filesystem ? MBR_EMPTY : MBR_ABSENT;
    }
    /* Boot loaders keep the parameter block of a filesystem that was there before: entries that
     * make full sense outweigh it. */
    bool is_sensible = is_filesystem ? t->any_lies_inside : t->any_starts_inside;
    return is_sensible ? MBR_TABLE : MBR_ABSENT;
}

void mbr_examine(const uint8_t *block, uint64_t block_count, struct mbr *out)
{
    *out = (struct mbr){MBR_ABSENT, 0, false};
    if (!has_boot_magic(block)) {
        return;
    }
    struct tally t = count_entries(block, block_count);
    out->kind = classify(block, &t);
    if (out->kind != MBR_ABSENT) {
        out->signature = mbr_get_signature(block);
    }
    out->is_hybrid = out->kind == MBR_PROTECTIVE && t.used > t.gpt;
}

uint32_t mbr_get_signature(const uint8_t *block)
{
    return get_le32(block + SIGNATURE_OFFSET);
}

void mbr_set_signature(uint8_t *block, uint32_t signature)
{
    put_le32(block + SIGNATURE_OFFSET, signature);
}

/* ---- partitions ---- */

/* One walk over an extended partition. */
struct chain {
    struct block_device *dev;
    struct label *label;
    const struct label_partition *container;
    uint64_t visited[MAX_LOGICALS + 1]; /* EBRs */
    size_t visited_count;
    uint8_t *block;
};

static HRESULT add_partition(struct label *label, uint32_t number, uint8_t type, uint64_t first,
                             uint32_t blocks, struct error *err)
{
    struct label_partition p = {
        .number = number, .first_lba = first, .last_lba = first + blocks - 1, .mbr_type = type};
    label->has_dynamic_disk = label->has_dynamic_disk || type == MBR_TYPE_LDM;
    return partitions_add(label, &p, err);
}

static HRESULT refuse_chain(const struct chain *chain, uint64_t lba, const char *reason,
                            struct error *err)
{
    return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                     "%s: extended partition %" PRIu32 ": boot record at block %" PRIu64
                     ": %s; correct the partition table first",
                     chain->dev->name, chain->container->number, lba, reason);
}

static bool lies_within(uint64_t first, uint64_t blocks, const struct label_partition *outer)
{
    return first >= outer->first_lba && first <= outer->last_lba &&
           blocks <= outer->last_lba - first + 1;
}

/* Adds the data partitions of the EBR at lba. */
static HRESULT add_logicals(struct chain *chain, uint64_t lba, uint32_t *number, struct error *err)
{
    for (unsigned i = 0; i < 4; i++) {
        struct entry e = get_entry(chain->block, i);
        if (e.blocks == 0 || is_extended(e.type)) {
            continue;
        }
        bool fits = e.start != 0 && lies_within(lba + e.start, e.blocks, chain->container);
        if (!fits && i >= 2) {
            continue; /* often garbage; the kernel passes over it too */
        }
        if (!fits) {
            return refuse_chain(
                chain, lba, "its partition does not lie behind it in the extended partition", err);
        }
        if (*number >= 5 + MAX_LOGICALS) {
            return refuse_chain(chain, lba, "more than 128 logical partitions", err);
        }
        HRESULT hr = add_partition(chain->label, *number, e.type, lba + e.start, e.blocks, err);
        if (FAILED(hr)) {
            return hr;
        }
        (*number)++;
    }
    return S_OK;
}

/* Where the next EBR is; 0: this was the last. */
static uint64_t next_record(const struct chain *chain)
{
    for (unsigned i = 0; i < 4; i++) {
        struct entry e = get_entry(chain->block, i);
        if (e.blocks != 0 && is_extended(e.type)) {
            return chain->container->first_lba + e.start;
        }
    }
    return 0;
}

static HRESULT visit(struct chain *chain, uint64_t lba, struct error *err)
{
    if (!lies_within(lba, 1, chain->container)) {
        return refuse_chain(chain, lba, "lies outside the extended partition", err);
    }
    for (size_t i = 0; i < chain->visited_count; i++) {
        if (chain->visited[i] == lba) {
            return refuse_chain(chain, lba, "the chain comes back to it", err);
        }
    }
    if (chain->visited_count > MAX_LOGICALS) {
        return refuse_chain(chain, lba, "the chain is longer than 128", err);
    }
    chain->visited[chain->visited_count++] = lba;
    return block_read(chain->dev, lba, 1, chain->block, err);
}

static HRESULT walk_chain(struct chain *chain, uint32_t *number, struct error *err)
{
    uint64_t lba = chain->container->first_lba;
    while (lba != 0) {
        HRESULT hr = visit(chain, lba, err);
        if (FAILED(hr)) {
            return hr;
        }
        if (!has_boot_magic(chain->block)) {
            /* An extended partition in which nothing was ever made has no record at all. Further
             * on, the rest of the chain is lost, and with it the view of what lies there. */
            return chain->visited_count == 1
                       ? S_OK
                       : refuse_chain(chain, lba, "has no boot signature: the chain is broken",
                                      err);
        }
        hr = add_logicals(chain, lba, number, err);
        if (FAILED(hr)) {
            return hr;
        }
        lba = next_record(chain);
    }
    return S_OK;
}

static HRESULT list_primaries(struct block_device *dev, const uint8_t *block, struct label *label,
                              struct error *err)
{
    for (unsigned i = 0; i < 4; i++) {
        struct entry e = get_entry(block, i);
        if (e.blocks == 0) {
            continue;
        }
        if (e.start == 0 || e.start >= dev->block_count || e.blocks > dev->block_count - e.start) {
            return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                             "%s: partition %u (%" PRIu32 " blocks at block %" PRIu32
                             ") does not lie on the disk of %" PRIu64
                             " blocks; correct the partition table first",
                             dev->name, i + 1, e.blocks, e.start, dev->block_count);
        }
        HRESULT hr = add_partition(label, i + 1, e.type, e.start, e.blocks, err);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return partitions_check_overlap(dev->name, label->partitions, label->partition_count, err);
}

static HRESULT list_logicals(struct block_device *dev, struct label *label, struct error *err)
{
    size_t primaries = label->partition_count;
    uint32_t number = 5;
    HRESULT hr = S_OK;
    uint8_t *block = malloc(dev->block_bytes);
    if (!block) {
        return error_set(err, E_OUTOFMEMORY, "%s: memory is short for one block", dev->name);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < primaries; i++) {
        struct label_partition container = label->partitions[i]; /* the list moves as it grows */
        if (is_extended(container.mbr_type)) {
            struct chain chain = {
                .dev = dev, .label = label, .container = &container, .block = block};
            hr = walk_chain(&chain, &number, err);
        }
    }
    free(block);
    if (FAILED(hr)) {
        return hr;
    }
    return partitions_check_overlap(dev->name, label->partitions + primaries,
                                    label->partition_count - primaries, err);
}

HRESULT mbr_list_partitions(struct block_device *dev, const uint8_t *block, bool with_logicals,
                            struct label *label, struct error *err)
{
    HRESULT hr = list_primaries(dev, block, label, err);
    if (FAILED(hr) || !with_logicals || label->partition_count == 0) {
        return hr;
    }
    return list_logicals(dev, label, err);
}
