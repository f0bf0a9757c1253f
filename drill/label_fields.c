/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/label_fields.h"

#include "common/id.h"
#include "drill/image.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define SHADOW_BITS      0xf000000000000000ull
#define GPT_HEADER_BYTES 92
#define CHAIN_MAX        64

static uint32_t get32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof(v));
    return le32toh(v);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof(v));
    return le64toh(v);
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof(value));
}

static uint32_t crc(const void *data, size_t bytes)
{
    return (uint32_t)crc32(0, data, (uInt)bytes);
}

/* Bytes of blocks that must lie in one fixed area; NULL where they do not. */
static uint8_t *blocks_at(const struct layout *l, uint8_t *fixed, uint64_t lba, uint64_t blocks)
{
    for (size_t i = 0; i < l->fixed_count; i++) {
        const struct range *r = &l->fixed[i];
        if (lba >= r->first_block && lba - r->first_block < r->block_count) {
            bool fits = blocks <= r->block_count - (lba - r->first_block);
            return fits ? image_fixed_block(l, fixed, lba) : NULL;
        }
    }
    return NULL;
}

/* ---- MBR ---- */

static bool is_extended(uint8_t type)
{
    return type == 0x05 || type == 0x0f || type == 0x85;
}

static void add_mbr(struct fields *f, uint32_t number, const uint8_t *entry, uint64_t base)
{
    if (entry[4] == 0 || f->partition_count == FIELDS_PARTITIONS_MAX) {
        return;
    }
    uint64_t first = base + get32(entry + 8);
    f->partitions[f->partition_count++] =
        (struct fields_partition){.number = number,
                                  .first_lba = first,
                                  .last_lba = first + get32(entry + 12) - 1,
                                  .mbr_type = entry[4],
                                  .mbr_boot = entry[0]};
}

static HRESULT read_chain(const struct layout *l, uint8_t *fixed, uint64_t start, struct fields *f,
                          struct error *err)
{
    uint64_t at = start;
    for (uint32_t n = 5; n < 5 + CHAIN_MAX; n++) {
        const uint8_t *block = blocks_at(l, fixed, at, 1);
        if (!block || block[510] != 0x55 || block[511] != 0xaa) {
            return error_set(err, VSS_E_UNEXPECTED,
                             "LUN %u has no extended boot record at block %" PRIu64, l->number, at);
        }
        add_mbr(f, n, block + 446, at);
        const uint8_t *next = block + 462;
        if (next[4] == 0) {
            return S_OK;
        }
        at = start + get32(next + 8);
    }
    return error_set(err, VSS_E_UNEXPECTED, "LUN %u has a chain of boot records without end",
                     l->number);
}

static HRESULT read_mbr(const struct layout *l, uint8_t *fixed, struct fields *f, struct error *err)
{
    f->kind = FIELDS_MBR;
    HRESULT hr = S_OK;
    for (uint32_t i = 0; i < 4; i++) {
        add_mbr(f, i + 1, fixed + 446 + (size_t)16 * i, 0);
    }
    for (uint32_t i = 0; i < 4 && SUCCEEDED(hr); i++) {
        const uint8_t *entry = fixed + 446 + (size_t)16 * i;
        if (is_extended(entry[4])) {
            hr = read_chain(l, fixed, get32(entry + 8), f, err);
        }
    }
    return hr;
}

/* ---- GPT ---- */

static const char *header_fault(const struct layout *l, const uint8_t *block, uint64_t lba)
{
    if (!block || memcmp(block, "EFI PART", 8) != 0) {
        return "no signature";
    }
    uint8_t copy[GPT_HEADER_BYTES];
    memcpy(copy, block, sizeof(copy));
    put32(copy + 16, 0);
    if (get32(block + 12) != GPT_HEADER_BYTES || get32(block + 16) != crc(copy, sizeof(copy))) {
        return "header check sum";
    }
    if (get64(block + 24) != lba || get64(block + 32) != (lba == 1 ? l->block_count - 1 : 1)) {
        return "header in the wrong place";
    }
    if (get32(block + 84) != 128 || get32(block + 80) != FIELDS_PARTITIONS_MAX) {
        return "unusual entry size or count";
    }
    return NULL;
}

static uint64_t entries_blocks(const struct layout *l)
{
    return (FIELDS_PARTITIONS_MAX * (size_t)128 + l->block_bytes - 1) / l->block_bytes;
}

/* Returns the entry array, NULL where header or array are not good. */
static uint8_t *read_header(const struct layout *l, uint8_t *fixed, uint64_t lba,
                            struct fields_header *h)
{
    const uint8_t *block = blocks_at(l, fixed, lba, 1);
    h->reason = header_fault(l, block, lba);
    if (h->reason) {
        return NULL;
    }
    h->own_lba = lba;
    h->other_lba = get64(block + 32);
    h->first_usable_lba = get64(block + 40);
    h->last_usable_lba = get64(block + 48);
    h->disk_guid = id_from_bytes(block + 56);
    h->entries_lba = get64(block + 72);
    h->entry_count = get32(block + 80);
    h->entry_bytes = get32(block + 84);
    uint8_t *entries = blocks_at(l, fixed, h->entries_lba, entries_blocks(l));
    if (!entries || get32(block + 88) != crc(entries, FIELDS_PARTITIONS_MAX * (size_t)128)) {
        h->reason = "entries' check sum";
        return NULL;
    }
    h->is_valid = true;
    return entries;
}

static void read_entries(const uint8_t *entries, struct fields *f)
{
    static const uint8_t unused[16];
    for (uint32_t i = 0; i < FIELDS_PARTITIONS_MAX; i++) {
        const uint8_t *e = entries + (size_t)128 * i;
        if (memcmp(e, unused, sizeof(unused)) == 0) {
            continue;
        }
        struct fields_partition *p = &f->partitions[f->partition_count++];
        p->number = i + 1;
        p->type = id_from_bytes(e);
        p->guid = id_from_bytes(e + 16);
        p->first_lba = get64(e + 32);
        p->last_lba = get64(e + 40);
        p->attributes = get64(e + 48);
        memcpy(p->name, e + 56, FIELDS_NAME_BYTES);
    }
}

static void read_gpt(const struct layout *l, uint8_t *fixed, struct fields *f)
{
    f->kind = FIELDS_GPT;
    const uint8_t *first = read_header(l, fixed, 1, &f->primary);
    const uint8_t *second = read_header(l, fixed, l->block_count - 1, &f->backup);
    f->entries_agree =
        first && second && memcmp(first, second, FIELDS_PARTITIONS_MAX * (size_t)128) == 0;
    if (first || second) {
        read_entries(first ? first : second, f);
    }
}

HRESULT fields_read(const struct layout *layout, const uint8_t *fixed, struct fields **out,
                    struct error *err)
{
    *out = NULL;
    struct fields *f = calloc(1, sizeof(*f));
    size_t bytes = layout->fixed_blocks * layout->block_bytes;
    uint8_t *copy = malloc(bytes ? bytes : 1);
    HRESULT hr = f && copy ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory for a label");
    if (SUCCEEDED(hr)) {
        memcpy(copy, fixed, bytes);
        if (!blocks_at(layout, copy, 0, 1)) {
            hr = error_set(err, VSS_E_UNEXPECTED, "block 0 of LUN %u is data", layout->number);
        }
    }
    bool has_mbr = SUCCEEDED(hr) && copy[510] == 0x55 && copy[511] == 0xaa;
    if (has_mbr) {
        f->mbr_signature = get32(copy + 440);
        if (copy[450] == 0xee) {
            read_gpt(layout, copy, f);
        } else {
            hr = read_mbr(layout, copy, f, err);
        }
    }
    free(copy);
    if (FAILED(hr)) {
        free(f);
        return hr;
    }
    *out = f;
    return S_OK;
}

/* ---- ids ---- */

HRESULT fields_take_ids(struct fields *fields, const struct fields *ids, struct error *err)
{
    if (fields->kind != ids->kind || fields->partition_count != ids->partition_count) {
        return error_set(err, VSS_E_UNEXPECTED, "the two labels are not of one form");
    }
    fields->mbr_signature = ids->mbr_signature;
    fields->primary.disk_guid = ids->primary.disk_guid;
    fields->backup.disk_guid = ids->backup.disk_guid;
    for (size_t i = 0; i < fields->partition_count; i++) {
        fields->partitions[i].guid = ids->partitions[i].guid;
    }
    return S_OK;
}

static void patch_half(const struct layout *l, uint8_t *fixed, uint64_t lba,
                       const struct fields_header *at, const struct fields *ids)
{
    uint8_t *header = blocks_at(l, fixed, lba, 1);
    uint8_t *entries = blocks_at(l, fixed, at->entries_lba, entries_blocks(l));
    for (size_t i = 0; i < ids->partition_count; i++) {
        id_to_bytes(&ids->partitions[i].guid,
                    entries + (size_t)128 * (ids->partitions[i].number - 1) + 16);
    }
    id_to_bytes(&ids->primary.disk_guid, header + 56);
    put32(header + 88, crc(entries, FIELDS_PARTITIONS_MAX * (size_t)128));
    put32(header + 16, 0);
    put32(header + 16, crc(header, GPT_HEADER_BYTES));
}

HRESULT fields_patch(const struct layout *layout, uint8_t *fixed, const struct fields *ids,
                     struct error *err)
{
    struct fields *now = NULL;
    HRESULT hr = fields_read(layout, fixed, &now, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (now->kind != ids->kind || now->kind == FIELDS_NONE ||
        (now->kind == FIELDS_GPT && (!now->primary.is_valid || !now->backup.is_valid))) {
        free(now);
        return error_set(err, VSS_E_UNEXPECTED, "LUN %u has no whole label of that kind",
                         layout->number);
    }
    put32(fixed + 440, ids->mbr_signature);
    if (now->kind == FIELDS_GPT) {
        patch_half(layout, fixed, 1, &now->primary, ids);
        patch_half(layout, fixed, layout->block_count - 1, &now->backup, ids);
    }
    free(now);
    return S_OK;
}

/* True where no (or, with equal, every) id of a is the one of b. */
static bool ids_are(const struct fields *a, const struct fields *b, bool equal)
{
    if (a->kind != b->kind || a->partition_count != b->partition_count) {
        return false;
    }
    if (a->kind == FIELDS_MBR) {
        return (a->mbr_signature == b->mbr_signature) == equal;
    }
    bool all = id_equal(&a->primary.disk_guid, &b->primary.disk_guid) == equal;
    for (size_t i = 0; i < a->partition_count; i++) {
        all = all && id_equal(&a->partitions[i].guid, &b->partitions[i].guid) == equal;
    }
    return all;
}

bool fields_ids_all_differ(const struct fields *a, const struct fields *b)
{
    return ids_are(a, b, false);
}

bool fields_ids_equal(const struct fields *a, const struct fields *b)
{
    return ids_are(a, b, true);
}

bool fields_has_shadow_bits(const struct fields *fields)
{
    for (size_t i = 0; i < fields->partition_count; i++) {
        if (fields->partitions[i].attributes & SHADOW_BITS) {
            return true;
        }
    }
    return false;
}

char *fields_id_text(const struct fields *fields, char out[FIELDS_TEXT_BYTES])
{
    char id[ID_TEXT_BYTES];
    const struct fields_header *h = fields->primary.is_valid ? &fields->primary : &fields->backup;
    if (fields->kind == FIELDS_NONE) {
        (void)snprintf(out, FIELDS_TEXT_BYTES, "no label");
    } else if (fields->kind == FIELDS_MBR) {
        (void)snprintf(out, FIELDS_TEXT_BYTES, "signature 0x%08x", fields->mbr_signature);
    } else {
        (void)snprintf(out, FIELDS_TEXT_BYTES, "disk %s", id_text(&h->disk_guid, id));
    }
    return out;
}

/* ---- comparing ---- */

struct comparison {
    struct buffer *differences;
    size_t count;
};

static void compare_number(struct comparison *c, const char *where, const char *field,
                           uint64_t expected, uint64_t found)
{
    c->count++;
    if (expected != found) {
        buffer_printf(c->differences, "%s%s %s is %#" PRIx64 ", expected %#" PRIx64,
                      c->differences->length ? "; " : "", where, field, found, expected);
    }
}

static void compare_id(struct comparison *c, const char *where, const char *field,
                       const VSS_ID *expected, const VSS_ID *found)
{
    char a[ID_TEXT_BYTES];
    char b[ID_TEXT_BYTES];
    c->count++;
    if (!id_equal(expected, found)) {
        buffer_printf(c->differences, "%s%s %s is %s, expected %s",
                      c->differences->length ? "; " : "", where, field, id_text(found, b),
                      id_text(expected, a));
    }
}

static void compare_header(struct comparison *c, const char *where, const struct fields_header *a,
                           const struct fields_header *b)
{
    compare_number(c, where, "validity", a->is_valid, b->is_valid);
    compare_number(c, where, "own block", a->own_lba, b->own_lba);
    compare_number(c, where, "other header's block", a->other_lba, b->other_lba);
    compare_number(c, where, "first usable block", a->first_usable_lba, b->first_usable_lba);
    compare_number(c, where, "last usable block", a->last_usable_lba, b->last_usable_lba);
    compare_number(c, where, "entries' block", a->entries_lba, b->entries_lba);
    compare_number(c, where, "entry count", a->entry_count, b->entry_count);
    compare_number(c, where, "entry size", a->entry_bytes, b->entry_bytes);
    compare_id(c, where, "disk GUID", &a->disk_guid, &b->disk_guid);
}

static void compare_partition(struct comparison *c, const struct fields_partition *a,
                              const struct fields_partition *b)
{
    char where[32];
    (void)snprintf(where, sizeof(where), "partition %u", a->number);
    compare_number(c, where, "number", a->number, b->number);
    compare_number(c, where, "first block", a->first_lba, b->first_lba);
    compare_number(c, where, "last block", a->last_lba, b->last_lba);
    compare_number(c, where, "type", a->mbr_type, b->mbr_type);
    compare_number(c, where, "boot flag", a->mbr_boot, b->mbr_boot);
    compare_id(c, where, "type GUID", &a->type, &b->type);
    compare_id(c, where, "GUID", &a->guid, &b->guid);
    compare_number(c, where, "attributes", a->attributes, b->attributes);
    compare_number(c, where, "name differs", 0, memcmp(a->name, b->name, sizeof(a->name)) != 0);
}

void fields_compare(const struct fields *expected, const struct fields *found,
                    struct buffer *out_differences, size_t *out_count)
{
    struct comparison c = {.differences = out_differences};
    compare_number(&c, "label", "kind", expected->kind, found->kind);
    compare_number(&c, "label", "MBR signature", expected->mbr_signature, found->mbr_signature);
    compare_number(&c, "label", "agreement of both entry arrays", expected->entries_agree,
                   found->entries_agree);
    compare_header(&c, "primary header", &expected->primary, &found->primary);
    compare_header(&c, "backup header", &expected->backup, &found->backup);
    compare_number(&c, "label", "number of partitions", expected->partition_count,
                   found->partition_count);
    for (size_t i = 0; i < expected->partition_count && i < found->partition_count; i++) {
        compare_partition(&c, &expected->partitions[i], &found->partitions[i]);
    }
    *out_count = c.count;
}
