/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/label/gpt.h"

#include "common/id.h"
#include "lun/label/bytes.h"
#include "lun/label/partitions.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#define MIN_HEADER_BYTES 92u
#define MIN_ENTRY_BYTES  128u
#define NAME_OFFSET      56
#define NAME_UNITS       36

/* Offsets in a header: UEFI 2.10 table 5-5. */
#define AT_REVISION      8
#define AT_HEADER_BYTES  12
#define AT_HEADER_CRC    16
#define AT_MY_LBA        24
#define AT_ALTERNATE_LBA 32
#define AT_FIRST_USABLE  40
#define AT_LAST_USABLE   48
#define AT_DISK_GUID     56
#define AT_ENTRIES_LBA   72
#define AT_ENTRY_COUNT   80
#define AT_ENTRY_BYTES   84
#define AT_ENTRIES_CRC   88

/* The two partition types of a dynamic disk (LDM): metadata and data. */
static const VSS_ID ldm_types[] = {
    {0x5808c8aa, 0x7e8f, 0x42e0, {0x85, 0xd2, 0xe1, 0xe9, 0x04, 0x34, 0xcf, 0xb3}},
    {0xaf9b60a0, 0x1431, 0x4f62, {0xbc, 0x68, 0x33, 0x11, 0x71, 0x4a, 0x69, 0xad}},
};

uint32_t gpt_crc(const uint8_t *data, uint32_t length)
{
    return (uint32_t)crc32(0, data, length);
}

/* The checksum of a header is taken with its own field as zero. */
static uint32_t header_crc(const uint8_t *block, uint32_t header_bytes)
{
    static const uint8_t zero[4] = {0};
    uLong crc = crc32(0, block, AT_HEADER_CRC);
    crc = crc32(crc, zero, sizeof(zero));
    return (uint32_t)crc32(crc, block + AT_HEADER_CRC + 4, header_bytes - AT_HEADER_CRC - 4);
}

bool gpt_has_signature(const uint8_t *block)
{
    return memcmp(block, "EFI PART", 8) == 0;
}

static void get_fields(const uint8_t *block, struct label_gpt_header *h)
{
    h->revision = get_le32(block + AT_REVISION);
    h->header_bytes = get_le32(block + AT_HEADER_BYTES);
    h->alternate_lba = get_le64(block + AT_ALTERNATE_LBA);
    h->first_usable_lba = get_le64(block + AT_FIRST_USABLE);
    h->last_usable_lba = get_le64(block + AT_LAST_USABLE);
    h->disk_guid = id_from_bytes(block + AT_DISK_GUID);
    h->entries_lba = get_le64(block + AT_ENTRIES_LBA);
    h->entry_count = get_le32(block + AT_ENTRY_COUNT);
    h->entry_bytes = get_le32(block + AT_ENTRY_BYTES);
    h->entries_crc = get_le32(block + AT_ENTRIES_CRC);
}

static const char *find_entry_size_fault(const struct label_gpt_header *h)
{
    if (h->entry_bytes < MIN_ENTRY_BYTES || (h->entry_bytes & (h->entry_bytes - 1)) != 0) {
        return "its entry size is not 128 times a power of two";
    }
    if (h->entry_count == 0) {
        return "it has no room for a single partition";
    }
    if ((uint64_t)h->entry_count * h->entry_bytes > GPT_MAX_ENTRIES_BYTES) {
        return "its partition entries take more than 4 MiB";
    }
    return NULL;
}

/* Needs a sound entry size. What each copy must keep clear of is what the other and the partitions
 * own. */
static const char *find_range_fault(const struct label_gpt_header *h, uint32_t block_bytes,
                                    uint64_t block_count, bool is_backup)
{
    uint64_t blocks = gpt_entries_blocks(h, block_bytes);
    if (h->first_usable_lba > h->last_usable_lba || h->last_usable_lba >= block_count) {
        return "its usable blocks leave the disk";
    }
    if (h->first_usable_lba <= GPT_PRIMARY_LBA) {
        return "its usable blocks include the primary header";
    }
    if (is_backup) {
        bool fits = h->lba > h->last_usable_lba && h->entries_lba > h->last_usable_lba &&
                    h->entries_lba < h->lba && blocks <= h->lba - h->entries_lba;
        if (!fits) {
            return "its partition entries do not lie between the usable blocks and itself";
        }
        return h->alternate_lba == GPT_PRIMARY_LBA ? NULL
                                                   : "it does not point to the primary header";
    }
    bool fits = h->entries_lba > h->lba && h->entries_lba < h->first_usable_lba &&
                blocks <= h->first_usable_lba - h->entries_lba;
    if (!fits) {
        return "its partition entries do not lie between itself and the usable blocks";
    }
    return h->alternate_lba > h->last_usable_lba
               ? NULL
               : "it places the backup header among usable blocks";
}

static const char *find_fault(const uint8_t *block, uint32_t block_bytes, uint64_t block_count,
                              bool is_backup, const struct label_gpt_header *h)
{
    if (!gpt_has_signature(block)) {
        return "there is no GPT signature";
    }
    if (h->header_bytes < MIN_HEADER_BYTES || h->header_bytes > block_bytes) {
        return "its header size is impossible";
    }
    if (get_le32(block + AT_HEADER_CRC) != header_crc(block, h->header_bytes)) {
        return "its header checksum is wrong";
    }
    if (h->revision >> 16 != 1) {
        return "its revision is not 1.x";
    }
    if (get_le64(block + AT_MY_LBA) != h->lba) {
        return "it says that it belongs in another block";
    }
    const char *fault = find_entry_size_fault(h);
    return fault ? fault : find_range_fault(h, block_bytes, block_count, is_backup);
}

void gpt_parse_header(const uint8_t *block, uint32_t block_bytes, uint64_t block_count,
                      uint64_t lba, bool is_backup, struct label_gpt_header *out)
{
    *out = (struct label_gpt_header){.lba = lba};
    get_fields(block, out);
    out->reason = find_fault(block, block_bytes, block_count, is_backup, out);
    out->is_valid = !out->reason;
    out->is_intact = out->is_valid;
}

uint32_t gpt_entries_bytes(const struct label_gpt_header *header)
{
    return header->entry_count * header->entry_bytes;
}

uint32_t gpt_entries_blocks(const struct label_gpt_header *header, uint32_t block_bytes)
{
    return (gpt_entries_bytes(header) + block_bytes - 1) / block_bytes;
}

static void mark_invalid(struct label_gpt_header *header, const char *reason)
{
    header->is_valid = false;
    header->reason = reason;
}

void gpt_check_entries(struct label_gpt_header *header, const uint8_t *entries)
{
    if (gpt_crc(entries, gpt_entries_bytes(header)) != header->entries_crc) {
        mark_invalid(header, "the checksum of its partition entries is wrong");
    }
}

void gpt_check_agreement(const struct label_gpt_header *primary, struct label_gpt_header *backup)
{
    if (!id_equal(&primary->disk_guid, &backup->disk_guid)) {
        mark_invalid(backup, "its disk GUID is not the primary's");
    } else if (primary->entries_crc != backup->entries_crc ||
               primary->entry_count != backup->entry_count ||
               primary->entry_bytes != backup->entry_bytes) {
        mark_invalid(backup, "its partition entries are not the primary's");
    } else if (primary->first_usable_lba != backup->first_usable_lba ||
               primary->last_usable_lba != backup->last_usable_lba) {
        mark_invalid(backup, "its usable blocks are not the primary's");
    }
}

/* ---- partitions ---- */

/* Appends one character as UTF-8 and returns the new end. */
static char *put_character(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

static uint32_t name_unit(const uint8_t *entry, unsigned index)
{
    const uint8_t *at = entry + NAME_OFFSET + 2 * (size_t)index;
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

/* A name goes to terminals: what would steer one is replaced. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

static void get_name(const uint8_t *entry, char out[LABEL_NAME_BYTES])
{
    char *end = out;
    for (unsigned i = 0; i < NAME_UNITS; i++) {
        uint32_t c = name_unit(entry, i);
        if (c == 0) {
            break;
        }
        uint32_t low =
            c >= 0xd800 && c < 0xdc00 && i + 1 < NAME_UNITS ? name_unit(entry, i + 1) : 0;
        if (low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i++;
        } else if ((c >= 0xd800 && c < 0xe000) || is_control(c)) {
            c = 0xfffd;
        }
        end = put_character(end, c);
    }
    *end = '\0';
}

bool gpt_entry_is_used(const uint8_t *entry)
{
    VSS_ID type = id_from_bytes(entry);
    return !id_is_null(&type);
}

static bool is_dynamic_disk(const VSS_ID *type)
{
    return id_equal(type, &ldm_types[0]) || id_equal(type, &ldm_types[1]);
}

static HRESULT add_entry(const char *disk, const struct label_gpt_header *header,
                         const uint8_t *entry, uint32_t number, struct label *label,
                         struct error *err)
{
    struct label_partition p = {.number = number,
                                .first_lba = get_le64(entry + 32),
                                .last_lba = get_le64(entry + 40),
                                .type_guid = id_from_bytes(entry),
                                .guid = id_from_bytes(entry + GPT_ENTRY_GUID),
                                .attributes = get_le64(entry + GPT_ENTRY_ATTRIBUTES)};
    if (p.first_lba > p.last_lba || p.first_lba < header->first_usable_lba ||
        p.last_lba > header->last_usable_lba) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s: partition %" PRIu32 " (blocks %" PRIu64 " to %" PRIu64
                         ") does not lie in the usable blocks %" PRIu64 " to %" PRIu64
                         "; correct the partition table first",
                         disk, number, p.first_lba, p.last_lba, header->first_usable_lba,
                         header->last_usable_lba);
    }
    get_name(entry, p.name);
    label->has_dynamic_disk = label->has_dynamic_disk || is_dynamic_disk(&p.type_guid);
    return partitions_add(label, &p, err);
}

HRESULT gpt_list_partitions(const char *disk, const struct label_gpt_header *header,
                            const uint8_t *entries, struct label *label, struct error *err)
{
    for (uint32_t i = 0; i < header->entry_count; i++) {
        const uint8_t *entry = entries + (size_t)i * header->entry_bytes;
        if (!gpt_entry_is_used(entry)) {
            continue;
        }
        HRESULT hr = add_entry(disk, header, entry, i + 1, label, err);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return partitions_check_overlap(disk, label->partitions, label->partition_count, err);
}

void gpt_rewrite_header(uint8_t *block, const struct gpt_header_change *change)
{
    put_le64(block + AT_MY_LBA, change->lba);
    put_le64(block + AT_ALTERNATE_LBA, change->alternate_lba);
    put_le64(block + AT_ENTRIES_LBA, change->entries_lba);
    id_to_bytes(&change->disk_guid, block + AT_DISK_GUID);
    put_le32(block + AT_ENTRIES_CRC, change->entries_crc);
    put_le32(block + AT_HEADER_CRC, header_crc(block, get_le32(block + AT_HEADER_BYTES)));
}
