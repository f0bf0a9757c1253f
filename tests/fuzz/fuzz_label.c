/* SPDX-License-Identifier: Apache-2.0 */

/* Disk labels: what is read makes sense, gets other ids and back, at each step of the way one label
 * or the other is there, and nothing but the label is written.
 *
 * The input is a disk: what to do with it (DO_...), a byte that chooses its size, one that is laid
 * over its ids to make others, and then extents: a place (two bytes, little-endian: a block from
 * the start, or, from 8000h on, FFFFh minus a block from the end), a length (two bytes), so many
 * bytes. Later extents cover earlier ones, and what none covers is zero. */

#include "fuzz/fuzz.h"

#include <string.h>

#include "common/id.h"
#include "lun/label/bytes.h"
#include "lun/label/diff.h"
#include "lun/label/disk_ids.h"
#include "lun/label/edges.h"
#include "lun/label/gpt.h"

#define DO_BLOCKS_4096 0x01
#define DO_SEAL        0x02 /* checksums are made right */
#define DO_MIRROR      0x04 /* the backup GPT is made of the primary */
#define DO_REPAIR      0x08
#define DO_EDGES       0x10 /* wipes and writes the edges of the disk too */
#define DO_ATTRIBUTES  0x20 /* other attributes too */

#define HEADER_BYTES  3u
#define EXTENT_HEADER 4u
#define MAX_EXTENTS   256
#define MAX_SEALED    (64u << 10)
#define MAX_COMPARED  256
#define NAME          "disk"

/* ---- a disk made of extents ---- */

struct extent {
    uint64_t begin; /* bytes */
    size_t bytes;
    uint8_t *data; /* owned */
};

struct disk {
    struct block_device dev; /* first */
    struct extent extents[MAX_EXTENTS];
    size_t count;
    uint64_t clear_from; /* blocks that a change of ids must not write: up to clear_to */
    uint64_t clear_to;
};

static void cover(struct disk *disk, uint64_t begin, size_t bytes, const void *data)
{
    uint64_t size = disk->dev.block_count * disk->dev.block_bytes;
    if (begin >= size || bytes == 0) {
        return;
    }
    bytes = bytes < size - begin ? bytes : (size_t)(size - begin);
    fuzz_check(disk->count < MAX_EXTENTS);
    struct extent *e = &disk->extents[disk->count++];
    *e = (struct extent){.begin = begin, .bytes = bytes, .data = malloc(bytes)};
    fuzz_check(e->data);
    memcpy(e->data, data, bytes);
}

static HRESULT disk_read(struct block_device *dev, uint64_t lba, uint32_t blocks, void *data,
                         struct error *err)
{
    const struct disk *disk = (const struct disk *)dev;
    uint64_t begin = lba * dev->block_bytes;
    uint64_t end = begin + (uint64_t)blocks * dev->block_bytes;
    (void)err;
    fuzz_check(lba < dev->block_count && blocks <= dev->block_count - lba);
    memset(data, 0, (size_t)(end - begin));
    for (size_t i = 0; i < disk->count; i++) {
        const struct extent *e = &disk->extents[i];
        uint64_t from = e->begin > begin ? e->begin : begin;
        uint64_t to = e->begin + e->bytes < end ? e->begin + e->bytes : end;
        if (from < to) {
            memcpy((uint8_t *)data + (from - begin), e->data + (from - e->begin), to - from);
        }
    }
    return S_OK;
}

static HRESULT disk_write(struct block_device *dev, uint64_t lba, uint32_t blocks, const void *data,
                          struct error *err)
{
    struct disk *disk = (struct disk *)dev;
    (void)err;
    fuzz_check(lba < dev->block_count && blocks <= dev->block_count - lba);
    fuzz_check(lba + blocks <= disk->clear_from || lba >= disk->clear_to);
    cover(disk, lba * dev->block_bytes, (size_t)blocks * dev->block_bytes, data);
    return S_OK;
}

static HRESULT disk_flush(struct block_device *dev, struct error *err)
{
    (void)dev;
    (void)err;
    return S_OK;
}

static const struct block_device_ops disk_ops = {
    .read = disk_read, .write = disk_write, .flush = disk_flush};

/* What was covered after there were so many extents is as it was before. */
static void uncover(struct disk *disk, size_t count)
{
    while (disk->count > count) {
        free(disk->extents[--disk->count].data);
    }
}

static uint64_t choose_size(uint8_t choice)
{
    static const uint64_t sizes[] = {0,    1,     2,        3,          4,           6,
                                     8,    34,    67,       68,         128,         2048,
                                     4096, 65536, 1u << 20, 0xffffffff, 0x100000000, 1ull << 36};
    return sizes[choice % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void disk_init(struct disk *disk, const uint8_t *data, size_t size)
{
    uint32_t block_bytes = data[0] & DO_BLOCKS_4096 ? 4096 : 512;
    *disk = (struct disk){.dev = {.ops = &disk_ops,
                                  .name = NAME,
                                  .block_bytes = block_bytes,
                                  .block_count = choose_size(data[1])}};
    data += HEADER_BYTES;
    size -= HEADER_BYTES;
    while (size >= EXTENT_HEADER && disk->count < MAX_EXTENTS / 4) {
        uint32_t place = get_le32(data) & 0xffff;
        uint64_t lba = place < 0x8000 ? place : disk->dev.block_count - 1 - (0xffff - place);
        size_t bytes = get_le32(data) >> 16;
        data += EXTENT_HEADER;
        size -= EXTENT_HEADER;
        bytes = bytes < size ? bytes : size;
        if (lba < disk->dev.block_count) {
            cover(disk, lba * block_bytes, bytes, data);
        }
        data += bytes;
        size -= bytes;
    }
}

/* ---- checksums ---- */

/* Header and entries at lba, with whatever they hold but the right checksums; then the same as a
 * backup at the end of the disk. */
static void seal(struct disk *disk, uint64_t lba, bool is_mirrored)
{
    uint8_t block[4096];
    struct label_gpt_header h;
    struct block_device *dev = &disk->dev;
    if (lba >= dev->block_count) {
        return;
    }
    fuzz_check(block_read(dev, lba, 1, block, NULL) == S_OK);
    gpt_parse_header(block, dev->block_bytes, dev->block_count, lba, lba != 1, &h);
    uint64_t bytes = (uint64_t)h.entry_count * h.entry_bytes;
    uint64_t blocks = (bytes + dev->block_bytes - 1) / dev->block_bytes;
    if (h.header_bytes < 92 || h.header_bytes > dev->block_bytes || bytes > MAX_SEALED ||
        h.entries_lba >= dev->block_count || blocks > dev->block_count - h.entries_lba) {
        return;
    }
    uint8_t *entries = malloc((size_t)blocks * dev->block_bytes + 1);
    fuzz_check(entries);
    fuzz_check(block_read(dev, h.entries_lba, (uint32_t)blocks, entries, NULL) == S_OK);
    struct gpt_header_change change = {.lba = lba,
                                       .alternate_lba = h.alternate_lba,
                                       .entries_lba = h.entries_lba,
                                       .disk_guid = h.disk_guid,
                                       .entries_crc = gpt_crc(entries, (uint32_t)bytes)};
    gpt_rewrite_header(block, &change);
    cover(disk, lba * dev->block_bytes, dev->block_bytes, block);
    change.lba = h.alternate_lba < dev->block_count ? h.alternate_lba : dev->block_count - 1;
    if (is_mirrored && change.lba >= blocks) {
        change.alternate_lba = lba;
        change.entries_lba = change.lba - blocks;
        gpt_rewrite_header(block, &change);
        cover(disk, change.entries_lba * dev->block_bytes, (size_t)(blocks * dev->block_bytes),
              entries);
        cover(disk, change.lba * dev->block_bytes, dev->block_bytes, block);
    }
    free(entries);
}

/* ---- what must hold of a label ---- */

static void check_line(const struct error *err)
{
    fuzz_check(fuzz_is_line(err->text));
    fuzz_check(strncmp(err->text, NAME ": ", strlen(NAME ": ")) == 0);
}

/* UTF-8 without control characters. */
static void check_name(const char *name)
{
    const uint8_t *at = (const uint8_t *)name;
    fuzz_check(memchr(name, '\0', LABEL_NAME_BYTES));
    while (*at) {
        unsigned more = *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : *at >= 0x80 ? 1 : 0;
        uint32_t c = more ? *at & (0x3fu >> more) : *at;
        at++;
        for (; more > 0; more--, at++) {
            fuzz_check((*at & 0xc0) == 0x80);
            c = c << 6 | (*at & 0x3f);
        }
        fuzz_check(c >= 0x20 && (c < 0x7f || c >= 0xa0) && (c < 0xd800 || c >= 0xe000));
        fuzz_check(c < 0x110000);
    }
}

static bool is_within(const struct label_partition *inner, const struct label_partition *outer)
{
    return inner->first_lba >= outer->first_lba && inner->last_lba <= outer->last_lba;
}

static bool is_apart(const struct label_partition *a, const struct label_partition *b)
{
    return a->last_lba < b->first_lba || b->last_lba < a->first_lba;
}

/* A logical partition lies in an extended one, and nothing else in anything. */
static void check_places(const struct label *label)
{
    const struct label_partition *p = label->partitions;
    size_t count = label->partition_count < MAX_COMPARED ? label->partition_count : MAX_COMPARED;
    for (size_t i = 0; i < count; i++) {
        bool is_logical = label->kind == VSS_DISK_LABEL_MBR && p[i].number > 4;
        bool is_contained = false;
        for (size_t k = 0; k < count; k++) {
            bool is_container = is_logical && p[k].number <= 4;
            is_contained = is_contained || (is_container && is_within(&p[i], &p[k]));
            fuzz_check(i == k || is_container || (p[k].number > 4 && !is_logical) ||
                       is_apart(&p[i], &p[k]));
        }
        fuzz_check(!is_logical || is_contained);
    }
}

static void check_header(const struct label *label, const struct label_gpt_header *h)
{
    fuzz_check(h->is_valid == !h->reason);
    if (h->is_valid) {
        fuzz_check(h->lba < label->block_count && h->last_usable_lba < label->block_count);
        fuzz_check(h->lba < h->first_usable_lba || h->lba > h->last_usable_lba);
        fuzz_check(gpt_entries_bytes(h) > 0 && gpt_entries_bytes(h) <= GPT_MAX_ENTRIES_BYTES);
    }
}

static void check_label(const struct label *label, const struct disk *disk)
{
    fuzz_check(label->block_count == disk->dev.block_count);
    fuzz_check(label->kind != VSS_DISK_LABEL_NONE || label->partition_count == 0);
    fuzz_check(label->kind == VSS_DISK_LABEL_GPT || !label->is_hybrid);
    for (size_t i = 0; i < label->partition_count; i++) {
        const struct label_partition *p = &label->partitions[i];
        fuzz_check(p->first_lba > 0 && p->first_lba <= p->last_lba);
        fuzz_check(p->last_lba < label->block_count);
        fuzz_check(p->number > (i > 0 ? p[-1].number : 0));
        check_name(p->name);
    }
    check_places(label);
    if (label->kind == VSS_DISK_LABEL_GPT) {
        fuzz_check(label->primary.is_valid || label->backup.is_valid);
        check_header(label, &label->primary);
        check_header(label, &label->backup);
    }
}

static struct vss_disk_ids ids_of(const struct label *label)
{
    struct vss_disk_ids ids;
    fuzz_check(label_ids(label, &ids) == S_OK);
    return ids;
}

/* The same but for its ids. */
static void check_same_partitions(const struct label *a, const struct label *b)
{
    fuzz_check(a->kind == b->kind && a->partition_count == b->partition_count);
    for (size_t i = 0; i < a->partition_count; i++) {
        const struct label_partition *p = &a->partitions[i];
        const struct label_partition *q = &b->partitions[i];
        fuzz_check(p->number == q->number && p->mbr_type == q->mbr_type);
        fuzz_check(p->first_lba == q->first_lba && p->last_lba == q->last_lba);
        fuzz_check(id_equal(&p->type_guid, &q->type_guid) && strcmp(p->name, q->name) == 0);
    }
}

/* The label at this moment: one of the two sets of ids, whole; the MBR's signature comes last. */
static void check_moment(struct disk *disk, const struct label *before,
                         const struct vss_disk_ids *old_ids, const struct vss_disk_ids *new_ids)
{
    struct label *label = NULL;
    fuzz_check(label_read(&disk->dev, LABEL_FULL, &label, NULL) == S_OK);
    struct vss_disk_ids now = ids_of(label);
    check_same_partitions(before, label);
    fuzz_check(now.mbr_signature == old_ids->mbr_signature ||
               now.mbr_signature == new_ids->mbr_signature);
    if (now.mbr_signature != new_ids->mbr_signature) {
        now.mbr_signature = new_ids->mbr_signature;
    }
    bool is_new = disk_ids_equal(&now, new_ids);
    now.mbr_signature = old_ids->mbr_signature;
    fuzz_check(is_new || disk_ids_equal(&now, old_ids));
    disk_ids_free(&now);
    label_free(label);
}

/* ---- changing its ids ---- */

static void mark(VSS_ID *id, uint8_t change)
{
    id->data1 ^= change;
    id->data4[7] ^= change;
}

static struct vss_disk_ids other_ids(const struct vss_disk_ids *old, uint8_t change,
                                     bool with_attributes)
{
    struct vss_disk_ids ids;
    fuzz_check(disk_ids_copy(old, &ids) == S_OK);
    ids.mbr_signature ^= (uint32_t)change << 24 | change;
    mark(&ids.disk_guid, change);
    for (uint32_t i = 0; i < ids.partition_count; i++) {
        mark(&ids.partitions[i].guid, change);
        ids.partitions[i].attributes ^= with_attributes ? GPT_ATTR_SHADOW_BITS : 0;
    }
    return ids;
}

static void check_fresh(const struct vss_disk_ids *old)
{
    struct vss_disk_ids fresh;
    const uint64_t set = GPT_ATTR_SHADOW_COPY;
    fuzz_check(label_fresh_ids(old, set, GPT_ATTR_READ_ONLY, &fresh) == S_OK);
    fuzz_check(disk_ids_equal(old, &fresh) == (old->kind == VSS_DISK_LABEL_NONE));
    for (uint32_t i = 0; i < fresh.partition_count; i++) {
        fuzz_check(fresh.partitions[i].number == old->partitions[i].number);
        fuzz_check(!id_equal(&fresh.partitions[i].guid, &old->partitions[i].guid));
        fuzz_check((fresh.partitions[i].attributes & set) == set);
    }
    disk_ids_free(&fresh);
}

/* The runs are what differs, all of it. */
static void check_diff(const struct label_writes *writes, uint32_t block_bytes)
{
    struct label_diff_walk walk = {0};
    struct label_diff run;
    size_t shown = 0;
    size_t differs = 0;
    for (size_t i = 0; i < writes->count; i++) {
        const struct label_write *w = &writes->items[i];
        for (size_t k = 0; k < (size_t)w->blocks * block_bytes; k++) {
            differs += w->old_data[k] != w->new_data[k];
        }
    }
    while (label_diff_next(writes, block_bytes, &walk, &run)) {
        fuzz_check(run.bytes > 0 && run.old_data[0] != run.new_data[0]);
        fuzz_check(run.old_data[run.bytes - 1] != run.new_data[run.bytes - 1]);
        for (uint32_t k = 0; k < run.bytes; k++) {
            shown += run.old_data[k] != run.new_data[k];
        }
    }
    fuzz_check(shown == differs);
    json_t *json = label_diff_to_json(writes, block_bytes);
    fuzz_check(json);
    json_decref(json);
}

/* Block 0 and what lies around the usable blocks may be written, partitions may not. */
static void protect(struct disk *disk, const struct label *label)
{
    const struct label_gpt_header *h = label->primary.is_valid ? &label->primary : &label->backup;
    disk->clear_from = 1;
    disk->clear_to = disk->dev.block_count;
    if (label->kind == VSS_DISK_LABEL_GPT) {
        disk->clear_from = h->first_usable_lba;
        disk->clear_to = h->last_usable_lba + 1;
    }
}

/* Item by item, as a host would leave the disk that loses its power in between. */
static void check_moments(struct disk *disk, const struct label *label,
                          const struct label_writes *writes, const struct vss_disk_ids *old_ids,
                          const struct vss_disk_ids *new_ids)
{
    size_t mark_count = disk->count;
    for (size_t i = 0; i < writes->count; i++) {
        const struct label_write *w = &writes->items[i];
        fuzz_check(block_write(&disk->dev, w->lba, w->blocks, w->new_data, NULL) == S_OK);
        check_moment(disk, label, old_ids, new_ids);
    }
    for (size_t i = writes->count; i > 0; i--) {
        const struct label_write *w = &writes->items[i - 1];
        fuzz_check(block_write(&disk->dev, w->lba, w->blocks, w->old_data, NULL) == S_OK);
        check_moment(disk, label, old_ids, new_ids);
    }
    uncover(disk, mark_count);
}

static void check_applied(struct disk *disk, const struct label *label,
                          const struct vss_disk_ids *new_ids)
{
    struct disk_ids_transaction transaction = {0};
    struct label *after = NULL;
    fuzz_check(label_read(&disk->dev, LABEL_FULL, &after, NULL) == S_OK);
    struct vss_disk_ids ids = ids_of(after);
    fuzz_check(disk_ids_equal(&ids, new_ids));
    check_label(after, disk);
    check_same_partitions(label, after);
    fuzz_check(after->is_hybrid == label->is_hybrid);
    fuzz_check(after->kind != VSS_DISK_LABEL_GPT ||
               (after->primary.is_valid && after->backup.is_valid));
    fuzz_check(disk_ids_stage(&transaction, &disk->dev, new_ids, false, NULL) == S_OK);
    fuzz_check(transaction.members[0].writes.count == 0);
    disk_ids_transaction_free(&transaction);
    disk_ids_free(&ids);
    label_free(after);
}

/* What was staged holds what is there, and puts it back. */
static void check_old_data(struct disk *disk, const struct label_writes *writes)
{
    for (size_t i = 0; i < writes->count; i++) {
        const struct label_write *w = &writes->items[i];
        size_t bytes = (size_t)w->blocks * disk->dev.block_bytes;
        uint8_t *data = malloc(bytes);
        fuzz_check(data && block_read(&disk->dev, w->lba, w->blocks, data, NULL) == S_OK);
        fuzz_check(memcmp(data, w->old_data, bytes) == 0);
        free(data);
    }
}

static void change_ids(struct disk *disk, const struct label *label, uint8_t what, uint8_t change)
{
    struct disk_ids_transaction transaction = {0};
    struct error err = {0};
    struct vss_disk_ids old_ids = ids_of(label);
    struct vss_disk_ids new_ids = other_ids(&old_ids, change, (what & DO_ATTRIBUTES) != 0);
    size_t count = disk->count;
    check_fresh(&old_ids);
    HRESULT hr = disk_ids_stage(&transaction, &disk->dev, &new_ids, (what & DO_REPAIR) != 0, &err);
    if (FAILED(hr)) {
        fuzz_check(hr == VSS_E_CANNOT_REVERT_DISKID && transaction.count == 0);
        check_line(&err);
        goto out;
    }
    const struct label_writes *writes = &transaction.members[0].writes;
    fuzz_check(disk->count == count);
    protect(disk, label);
    check_old_data(disk, writes);
    check_diff(writes, disk->dev.block_bytes);
    check_moments(disk, label, writes, &old_ids, &new_ids);
    fuzz_check(disk_ids_apply(&transaction, NULL, NULL, &err) == S_OK && !transaction.is_torn);
    if (label->kind != VSS_DISK_LABEL_NONE) {
        check_applied(disk, label, &new_ids);
    }
out:
    uncover(disk, count);
    disk->clear_from = UINT64_MAX;
    disk_ids_transaction_free(&transaction);
    disk_ids_free(&new_ids);
    disk_ids_free(&old_ids);
}

/* ---- its edges ---- */

/* Wiped it is no disk with a label to anybody; written again it is the same. */
static void change_edges(struct disk *disk, const struct label *label)
{
    struct edges *edges = NULL;
    struct error err = {0};
    struct label *wiped = NULL;
    struct label *again = NULL;
    size_t count = disk->count;
    HRESULT hr = edges_read(&disk->dev, label, &edges, &err);
    if (FAILED(hr)) {
        fuzz_check(hr == VSS_E_VOLUME_NOT_SUPPORTED);
        check_line(&err);
        return;
    }
    fuzz_check(edges_wipe(&disk->dev, edges, NULL) == S_OK);
    fuzz_check(label_read(&disk->dev, LABEL_FULL, &wiped, NULL) == S_OK);
    fuzz_check(wiped->kind == VSS_DISK_LABEL_NONE);
    fuzz_check(edges_write(&disk->dev, edges, NULL) == S_OK);
    fuzz_check(label_read(&disk->dev, LABEL_FULL, &again, NULL) == S_OK);
    check_same_partitions(label, again);
    label_free(again);
    label_free(wiped);
    edges_free(edges);
    uncover(disk, count);
}

static void check_primary(struct disk *disk, const struct label *full)
{
    struct label *label = NULL;
    HRESULT hr = label_read(&disk->dev, LABEL_PRIMARY_ONLY, &label, NULL);
    bool needs_backup = full->kind == VSS_DISK_LABEL_GPT && !full->primary.is_valid;
    fuzz_check(SUCCEEDED(hr) == !needs_backup);
    if (label) {
        fuzz_check(label->kind == full->kind && label->mbr_signature == full->mbr_signature);
        fuzz_check(label->partition_count <= full->partition_count);
    }
    label_free(label);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct disk disk;
    struct error err = {0};
    struct label *label = NULL;
    if (size < HEADER_BYTES) {
        return 0;
    }
    disk_init(&disk, data, size);
    if (data[0] & (DO_SEAL | DO_MIRROR)) {
        seal(&disk, GPT_PRIMARY_LBA, (data[0] & DO_MIRROR) != 0);
        if (!(data[0] & DO_MIRROR)) {
            seal(&disk, disk.dev.block_count - 1, false);
        }
    }
    disk.clear_from = UINT64_MAX;
    HRESULT hr = label_read(&disk.dev, LABEL_FULL, &label, &err);
    if (SUCCEEDED(hr)) {
        check_label(label, &disk);
        check_primary(&disk, label);
        change_ids(&disk, label, data[0], data[2]);
        if (data[0] & DO_EDGES) {
            change_edges(&disk, label);
        }
    } else {
        fuzz_check(hr == VSS_E_VOLUME_NOT_SUPPORTED && !label);
        check_line(&err);
    }
    label_free(label);
    uncover(&disk, 0);
    return 0;
}
