/* SPDX-License-Identifier: Apache-2.0 */

/* Edges of a disk: extent, wiping, writing back in an order that survives a crash, the saved form.
 */

#include "label_util.h"

#include "lun/label/disk_ids.h"
#include "lun/label/edges.h"

#include <zlib.h>

static const struct gpt_spec usual = {128, 128, 92};

static struct memory_disk *new_gpt_of(uint64_t blocks, uint32_t block_bytes,
                                      const struct gpt_spec *spec)
{
    size_t bytes = (size_t)spec->entry_count * spec->entry_bytes;
    size_t label_blocks = bytes / block_bytes + 8;
    struct memory_disk *disk = memory_new("disk", blocks, block_bytes);
    for (size_t i = 0; i < memory_bytes(disk); i++) {
        disk->bytes[i] = (uint8_t)(i * 2654435761u >> 13); /* a body that is not zero */
    }
    memset(disk->bytes, 0, label_blocks * block_bytes);
    memset(memory_block(disk, blocks - label_blocks), 0, label_blocks * block_bytes);
    gpt_write(disk, spec);
    return disk;
}

static struct memory_disk *new_gpt(uint64_t blocks, uint32_t block_bytes)
{
    return new_gpt_of(blocks, block_bytes, &usual);
}

static struct edges *must_read_edges(struct block_device *dev)
{
    struct label *label = must_read(dev, LABEL_FULL);
    struct edges *edges = NULL;
    struct error err = {S_OK, ""};
    HRESULT hr = edges_read(dev, label, &edges, &err);
    if (FAILED(hr)) {
        fail_msg("%s", err.text);
    }
    label_free(label);
    return edges;
}

static void check_extent(uint64_t blocks, uint32_t block_bytes, const struct gpt_spec *spec,
                         uint32_t head, uint32_t tail)
{
    struct memory_disk *disk = memory_new("disk", blocks, block_bytes);
    struct label *label = NULL;
    if (spec) {
        gpt_write(disk, spec);
        label = must_read(&disk->dev, LABEL_FULL);
    }
    uint32_t got_head = 0;
    uint32_t got_tail = 0;
    assert_int_equal(edges_extent(&disk->dev, label, &got_head, &got_tail), S_OK);
    assert_int_equal(got_head, head);
    assert_int_equal(got_tail, tail);
    label_free(label);
    memory_free(disk);
}

static void extent_covers_the_label(void **state)
{
    (void)state;
    static const struct gpt_spec large = {1024, 2048, 92}; /* 2 MiB of entries */
    check_extent(8192, 512, NULL, 2048, 2048);
    check_extent(8192, 512, &usual, 2048, 2048);
    check_extent(4096, 4096, &usual, 256, 256);
    check_extent(64, 65536, &usual, 16, 16);
    check_extent(40000, 512, &large, 2 + 4096, 1 + 4096);
    check_extent(4095, 512, NULL, 2048, 2047);
    check_extent(101, 512, NULL, 51, 50);
    check_extent(1, 512, NULL, 1, 0);
    check_extent(0, 512, NULL, 0, 0);
}

/* The primary alone says how large the backup's entries must be. */
static void extent_covers_a_damaged_backup(void **state)
{
    (void)state;
    static const struct gpt_spec large = {1024, 2048, 92};
    struct memory_disk *disk = memory_new("disk", 40000, 512);
    gpt_write(disk, &large);
    memory_block(disk, 39999)[0] = 0;
    struct label *label = must_read(&disk->dev, LABEL_FULL);
    uint32_t head = 0;
    uint32_t tail = 0;
    assert_int_equal(edges_extent(&disk->dev, label, &head, &tail), S_OK);
    assert_int_equal(tail, 1 + 4096);
    label_free(label);
    memory_free(disk);
}

static void extent_has_a_bound(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_new("disk", 80000, 512);
    gpt_write(disk, &usual);
    uint8_t *h = memory_block(disk, 1);
    le_put(h + 40, 8, 70000); /* usable blocks begin late, the entries lie just before */
    le_put(h + 72, 8, 60000);
    memcpy(memory_block(disk, 60000), memory_block(disk, 2), 32 * 512);
    memset(memory_block(disk, 60000), 0, 128); /* partition 1 would lie outside now */
    gpt_seal(disk, 1);
    struct label *label = must_read(&disk->dev, LABEL_FULL);
    assert_true(label->primary.is_valid);
    struct edges *edges = NULL;
    assert_int_equal(edges_read(&disk->dev, label, &edges, NULL), VSS_E_VOLUME_NOT_SUPPORTED);
    assert_null(edges);
    label_free(label);
    memory_free(disk);
}

/* Wiped and written back: the body never changes, nothing is left in between, all is as before at
 * last. */
static void wipe_and_write(uint64_t blocks, uint32_t block_bytes, const struct gpt_spec *spec)
{
    struct memory_disk *disk = new_gpt_of(blocks, block_bytes, spec);
    struct memory_disk *before = memory_copy(disk);
    struct edges *edges = must_read_edges(&disk->dev);
    size_t head = (size_t)edges->head_blocks * block_bytes;
    size_t tail = (size_t)edges->tail_blocks * block_bytes;
    size_t whole = memory_bytes(disk);
    assert_int_equal(edges_wipe(&disk->dev, edges, NULL), S_OK);
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);
    for (size_t i = 0; i < whole; i++) {
        bool is_body = i >= head && i < whole - tail;
        if (disk->bytes[i] != (is_body ? before->bytes[i] : 0)) {
            fail_msg("byte %zu", i);
        }
    }
    assert_int_equal(edges_write(&disk->dev, edges, NULL), S_OK);
    assert_memory_equal(disk->bytes, before->bytes, whole);
    edges_free(edges);
    memory_free(before);
    memory_free(disk);
}

static void wiped_and_written_back(void **state)
{
    (void)state;
    static const struct gpt_spec large = {1024, 2048,
                                          92}; /* 2 MiB of entries, edges of 4098 blocks */
    wipe_and_write(40000, 512, &large);
    wipe_and_write(8192, 512, &usual);
    wipe_and_write(1024, 4096, &usual);
    wipe_and_write(2001, 512, &usual); /* smaller than two edges, an odd number of blocks */
    wipe_and_write(200, 512, &usual);
}

/* Nothing but all of it looks like a label: the power fails after each write in turn. */
static void half_written_is_never_valid(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt(8192, 512);
    struct memory_disk *before = memory_copy(disk);
    struct edges *edges = must_read_edges(&disk->dev);
    struct label *label = NULL;
    for (uint64_t writes = 1; writes <= 3; writes++) {
        struct faults faults = {.dead_after = writes};
        memcpy(disk->bytes, before->bytes, memory_bytes(disk));
        disk->faults = &faults;
        HRESULT hr = edges_wipe(&disk->dev, edges, NULL);
        assert_int_equal(hr, writes < 3 ? VSS_E_UNEXPECTED : S_OK); /* read back */
        hr = label_read(&disk->dev, LABEL_FULL, &label, NULL);
        assert_true(FAILED(hr) || label->kind == VSS_DISK_LABEL_NONE);
        label_free(label);
    }
    struct memory_disk *wiped = memory_copy(disk);
    for (uint64_t writes = 1; writes <= 3; writes++) { /* tail, head, block 0 */
        struct faults faults = {.dead_after = writes};
        memcpy(disk->bytes, wiped->bytes, memory_bytes(disk));
        disk->faults = &faults;
        HRESULT hr = edges_write(&disk->dev, edges, NULL);
        assert_int_equal(hr, writes < 3 ? VSS_E_UNEXPECTED : S_OK);
        hr = label_read(&disk->dev, LABEL_FULL, &label, NULL);
        bool is_label = SUCCEEDED(hr) && label->kind == VSS_DISK_LABEL_GPT;
        assert_int_equal(is_label, writes == 3);
        label_free(label);
    }
    edges_free(edges);
    memory_free(wiped);
    memory_free(before);
    memory_free(disk);
}

static HRESULT (*write_truly)(struct block_device *dev, uint64_t lba, uint32_t blocks,
                              const void *data, struct error *err);
static uint64_t false_lba;

/* One byte of one block becomes another one, where it is not zero that is written. */
static HRESULT write_falsely(struct block_device *dev, uint64_t lba, uint32_t blocks,
                             const void *data, struct error *err)
{
    HRESULT hr = write_truly(dev, lba, blocks, data, err);
    bool has_it = lba <= false_lba && false_lba - lba < blocks;
    size_t at = has_it ? (size_t)(false_lba - lba) * dev->block_bytes + 7 : 0;
    if (has_it && ((const uint8_t *)data)[at] != 0) {
        ((struct memory_disk *)dev)->bytes[false_lba * dev->block_bytes + 7] ^= 1;
    }
    return hr;
}

/* Whatever block does not read back, no label is left: neither where a reader would not notice the
 * difference. */
static void what_does_not_read_back_leaves_no_label(void **state)
{
    (void)state;
    static const uint64_t lbas[] = {0, 1000, 7000}; /* block 0's boot code, head, tail */
    for (size_t i = 0; i < sizeof(lbas) / sizeof(lbas[0]); i++) {
        struct memory_disk *disk = new_gpt(8192, 512);
        *(memory_block(disk, lbas[i]) + 7) = 0x5a;
        struct edges *edges = must_read_edges(&disk->dev);
        struct block_device_ops ops = *disk->dev.ops;
        struct label *label = NULL;
        struct error err = {0};
        write_truly = ops.write;
        ops.write = write_falsely;
        disk->dev.ops = &ops;
        false_lba = lbas[i];
        assert_int_equal(edges_wipe(&disk->dev, edges, NULL), S_OK);
        assert_int_equal(edges_write(&disk->dev, edges, &err), VSS_E_UNEXPECTED);
        assert_non_null(strstr(err.text, "do not read back"));
        HRESULT hr = label_read(&disk->dev, LABEL_FULL, &label, NULL);
        assert_true(FAILED(hr) || label->kind == VSS_DISK_LABEL_NONE);
        label_free(label);
        assert_int_equal(disk->bytes[510], 0); /* nothing of block 0: to any reader it is empty */
        false_lba = UINT64_MAX;                /* the disk was mended */
        assert_int_equal(edges_write(&disk->dev, edges, NULL), S_OK);
        must_be(&disk->dev, VSS_DISK_LABEL_GPT);
        edges_free(edges);
        memory_free(disk);
    }
}

static void every_failure_is_reported(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt(8192, 512);
    struct edges *edges = must_read_edges(&disk->dev);
    struct faults faults = {.first = 1, .count = 1};
    disk->faults = &faults;
    for (int lie = 0; lie < 2; lie++) {
        unsigned failures = 0;
        for (faults.first = 1;; faults.first++) {
            memset(disk->bytes, 0xff, memory_bytes(disk));
            faults.calls = 0;
            faults.lie = lie != 0;
            HRESULT hr = edges_wipe(&disk->dev, edges, NULL);
            if (SUCCEEDED(hr)) {
                hr = edges_write(&disk->dev, edges, NULL);
            }
            failures += FAILED(hr) ? 1 : 0;
            if (faults.calls < faults.first) {
                break;
            }
        }
        /* Wiping: 3 writes, 2 flushes, 2 reads; writing: 3, 3, 3. A lie of the writes alone shows,
         * where what they were to write differs from what was there: not where the body of an edge
         * is zero. */
        assert_true(lie ? failures >= 4 : failures == 16);
    }
    edges_free(edges);
    memory_free(disk);
}

static void another_geometry_is_refused(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt(8192, 512);
    struct edges *edges = must_read_edges(&disk->dev);
    disk->dev.block_count = 8191;
    assert_int_equal(edges_wipe(&disk->dev, edges, NULL), E_INVALIDARG);
    assert_int_equal(edges_write(&disk->dev, edges, NULL), E_INVALIDARG);
    disk->dev.block_bytes = 1024;
    disk->dev.block_count = 8192;
    assert_int_equal(edges_write(&disk->dev, edges, NULL), E_INVALIDARG);
    edges_free(edges);
    memory_free(disk);
}

/* ---- the saved form ---- */

static void saved_and_restored(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt(8192, 512);
    struct edges *edges = must_read_edges(&disk->dev);
    struct buffer saved = BUFFER_INIT;
    buffer_add_text(&saved, "before"); /* appended, not replaced */
    assert_int_equal(edges_pack(edges, &saved), S_OK);
    struct edges *again = NULL;
    assert_int_equal(edges_unpack(saved.data + 6, saved.length - 6, &again, NULL), S_OK);
    assert_int_equal(again->block_bytes, edges->block_bytes);
    assert_int_equal(again->block_count, edges->block_count);
    assert_int_equal(again->head_blocks, edges->head_blocks);
    assert_int_equal(again->tail_blocks, edges->tail_blocks);
    assert_memory_equal(again->head, edges->head, (size_t)edges->head_blocks * 512);
    assert_memory_equal(again->tail, edges->tail, (size_t)edges->tail_blocks * 512);
    buffer_free(&saved);
    edges_free(again);
    edges_free(edges);
    memory_free(disk);
}

static void damage_to_the_saved_form_is_noticed(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_new("disk", 400, 512);
    gpt_write(disk, &usual);
    struct edges *edges = must_read_edges(&disk->dev);
    struct buffer saved = BUFFER_INIT;
    struct edges *again = NULL;
    assert_int_equal(edges_pack(edges, &saved), S_OK);
    for (size_t i = 0; i < saved.length; i++) {
        saved.data[i] ^= 0x10;
        assert_int_equal(edges_unpack(saved.data, saved.length, &again, NULL), VSS_E_UNEXPECTED);
        saved.data[i] ^= 0x10;
        assert_int_equal(edges_unpack(saved.data, i, &again, NULL), VSS_E_UNEXPECTED);
        assert_null(again);
    }
    buffer_free(&saved);
    edges_free(edges);
    memory_free(disk);
}

/* A good checksum over sizes that lie. */
static void refuse_sizes(uint32_t block_bytes, uint32_t head, uint32_t tail, uint64_t blocks)
{
    struct memory_disk *disk = memory_new("disk", 400, 512);
    struct edges *edges = must_read_edges(&disk->dev);
    struct buffer saved = BUFFER_INIT;
    struct edges *again = NULL;
    assert_int_equal(edges_pack(edges, &saved), S_OK);
    uint8_t *b = (uint8_t *)saved.data;
    le_put(b + 8, 4, block_bytes);
    le_put(b + 12, 4, head);
    le_put(b + 16, 4, tail);
    le_put(b + 20, 8, blocks);
    le_put(b + saved.length - 4, 4, crc32(0, b, (uInt)saved.length - 4));
    HRESULT wanted = block_bytes == 512 && head == 200 && tail == 200 ? S_OK : VSS_E_UNEXPECTED;
    assert_int_equal(edges_unpack(saved.data, saved.length, &again, NULL), wanted);
    edges_free(again);
    buffer_free(&saved);
    edges_free(edges);
    memory_free(disk);
}

static void lying_sizes_are_refused(void **state)
{
    (void)state;
    refuse_sizes(512, 200, 200, 400);
    refuse_sizes(512, 200, 199, 400);
    refuse_sizes(512, 201, 200, 401);
    refuse_sizes(512, 0, 0, 400);
    refuse_sizes(0, 200, 200, 400);
    refuse_sizes(513, 200, 200, 400);
    refuse_sizes(0x80000000u, 200, 200, 400);
    refuse_sizes(512, UINT32_MAX, UINT32_MAX, UINT64_MAX);
    refuse_sizes(512, 200, UINT32_MAX, UINT64_MAX);
    refuse_sizes(512, 300, 200, 400);
}

/* ---- as a device ---- */

static void label_is_changed_before_it_is_written(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt(8192, 512);
    struct memory_disk *before = memory_copy(disk);
    struct edges *edges = must_read_edges(&disk->dev);
    struct block_device *dev = NULL;
    assert_int_equal(edges_as_device(edges, &dev, NULL), S_OK);
    struct label *label = must_read(dev, LABEL_FULL);
    assert_int_equal(label->partition_count, 2);
    struct vss_disk_ids ids;
    struct vss_disk_ids fresh;
    assert_int_equal(label_ids(label, &ids), S_OK);
    assert_int_equal(label_fresh_ids(&ids, 0, 0, &fresh), S_OK);
    struct disk_ids_transaction t = {0};
    assert_int_equal(disk_ids_stage(&t, dev, &fresh, false, NULL), S_OK);
    assert_int_equal(disk_ids_apply(&t, NULL, NULL, NULL), S_OK);
    disk_ids_transaction_free(&t);
    assert_memory_equal(disk->bytes, before->bytes, memory_bytes(disk)); /* not yet */
    assert_int_equal(edges_write(&disk->dev, edges, NULL), S_OK);
    struct label *written = must_read(&disk->dev, LABEL_FULL);
    struct vss_disk_ids now;
    assert_int_equal(label_ids(written, &now), S_OK);
    assert_true(disk_ids_equal(&now, &fresh));
    assert_false(disk_ids_equal(&now, &ids));
    label_free(written);
    label_free(label);
    disk_ids_free(&ids);
    disk_ids_free(&fresh);
    disk_ids_free(&now);
    block_close(dev);
    edges_free(edges);
    memory_free(before);
    memory_free(disk);
}

static void between_the_edges_is_nothing(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt(8192, 512);
    struct edges *edges = must_read_edges(&disk->dev);
    struct block_device *dev = NULL;
    uint8_t *whole = malloc(memory_bytes(disk));
    assert_non_null(whole);
    assert_int_equal(edges_as_device(edges, &dev, NULL), S_OK);
    assert_int_equal(block_read(dev, 0, 8192, whole, NULL), S_OK);
    assert_memory_equal(whole, disk->bytes, (size_t)2048 * 512);
    assert_memory_equal(whole + (size_t)6144 * 512, memory_block(disk, 6144), (size_t)2048 * 512);
    assert_int_equal(whole[(size_t)2048 * 512], 0);
    assert_memory_equal(whole + (size_t)2048 * 512, whole + (size_t)2048 * 512 + 1,
                        (size_t)4096 * 512 - 1);
    memset(whole, 0xab, (size_t)2 * 512);
    assert_int_equal(block_write(dev, 2048, 1, whole, NULL), E_ACCESSDENIED);
    assert_int_equal(block_write(dev, 6143, 2, whole, NULL), E_ACCESSDENIED);
    assert_int_equal(block_write(dev, 2047, 2, whole, NULL), E_ACCESSDENIED);
    assert_memory_equal(edges->head, disk->bytes, (size_t)2048 * 512); /* nothing half done */
    assert_int_equal(block_write(dev, 6144, 2, whole, NULL), S_OK);
    assert_memory_equal(edges->tail, whole, (size_t)2 * 512);
    assert_int_equal(block_read(dev, 8192, 1, whole, NULL), E_INVALIDARG);
    free(whole);
    block_close(dev);
    edges_free(edges);
    memory_free(disk);
}

static void head_and_tail_may_touch(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt(201, 512);
    struct edges *edges = must_read_edges(&disk->dev);
    struct block_device *dev = NULL;
    uint8_t data[4 * 512];
    memset(data, 0x3c, sizeof(data));
    assert_int_equal(edges_as_device(edges, &dev, NULL), S_OK);
    assert_int_equal(block_write(dev, 99, 4, data, NULL), S_OK);
    assert_memory_equal(edges->head + (size_t)99 * 512, data, 2 * 512);
    assert_memory_equal(edges->tail, data, 2 * 512);
    block_close(dev);
    edges_free(edges);
    memory_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extent_covers_the_label),
        cmocka_unit_test(extent_covers_a_damaged_backup),
        cmocka_unit_test(extent_has_a_bound),
        cmocka_unit_test(wiped_and_written_back),
        cmocka_unit_test(half_written_is_never_valid),
        cmocka_unit_test(what_does_not_read_back_leaves_no_label),
        cmocka_unit_test(every_failure_is_reported),
        cmocka_unit_test(another_geometry_is_refused),
        cmocka_unit_test(saved_and_restored),
        cmocka_unit_test(damage_to_the_saved_form_is_noticed),
        cmocka_unit_test(lying_sizes_are_refused),
        cmocka_unit_test(label_is_changed_before_it_is_written),
        cmocka_unit_test(between_the_edges_is_nothing),
        cmocka_unit_test(head_and_tail_may_touch),
    };
    return cmocka_run_group_tests_name("edges", tests, NULL, NULL);
}
