/* SPDX-License-Identifier: Apache-2.0 */

/* MBR: tables of sfdisk, extended partitions, boot sectors that are no table, damage. */

#include "label_util.h"

#include "lun/label/mbr.h"

static void put_entry(uint8_t *block, unsigned index, uint8_t type, uint32_t start, uint32_t blocks)
{
    uint8_t *e = block + 446 + (size_t)16 * index;
    e[4] = type;
    le_put(e + 8, 4, start);
    le_put(e + 12, 4, blocks);
    block[510] = 0x55;
    block[511] = 0xaa;
}

static struct memory_disk *new_disk(void)
{
    return memory_new("disk", 8192, 512);
}

/* A table with an extended partition 4 at 1000, 5000 blocks long. */
static struct memory_disk *new_extended(void)
{
    struct memory_disk *disk = new_disk();
    mbr_set_signature(memory_block(disk, 0), 0xabcd1234);
    put_entry(memory_block(disk, 0), 0, 0x83, 100, 800);
    put_entry(memory_block(disk, 0), 3, 0x05, 1000, 5000);
    return disk;
}

/* The record at lba: one logical partition behind it, then the next record, relative to 1000. */
static void put_record(struct memory_disk *disk, uint64_t lba, uint32_t blocks, uint32_t next)
{
    put_entry(memory_block(disk, lba), 0, 0x83, 1, blocks);
    if (next) {
        put_entry(memory_block(disk, lba), 1, 0x05, next, blocks + 1);
    }
}

static void tool_table_reads_as_sfdisk_says(void **state)
{
    (void)state;
    need_tool("sfdisk");
    char *dir = image_dir();
    char *path = make_mbr(dir);
    struct block_device *dev = NULL;
    assert_int_equal(block_open_file(path, 512, true, &dev, NULL), S_OK);
    struct label *label = must_read(dev, LABEL_FULL);
    assert_int_equal(label->mbr_signature, 0x1a2b3c4d);
    assert_int_equal(label->partition_count, 6);
    assert_int_equal(label->partitions[5].number, 7);
    assert_false(label->has_dynamic_disk);
    compare_with_sfdisk(path, label);
    label_free(label);
    block_close(dev);
    free(path);
    image_dir_remove(dir);
}

static void empty_table_with_signature_is_a_label(void **state)
{
    (void)state;
    need_tool("sfdisk");
    char *dir = image_dir();
    char *path = image_new(dir, "empty.img", 1 << 20);
    free(tool("echo 'label: dos' | sfdisk -q '%s' 2>&1", path));
    struct memory_disk *disk = memory_load(path, 512);
    struct label *label = must_read(&disk->dev, LABEL_FULL);
    assert_int_equal(label->kind, VSS_DISK_LABEL_MBR);
    assert_int_equal(label->partition_count, 0);
    compare_with_sfdisk(path, label);
    label_free(label);
    mbr_set_signature(memory_block(disk, 0), 0); /* now it says nothing at all */
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);
    memory_free(disk);
    free(path);
    image_dir_remove(dir);
}

static void primary_depth_is_one_read(void **state)
{
    (void)state;
    struct memory_disk *disk = new_extended();
    put_record(disk, 1000, 50, 0);
    struct label *label = must_read(&disk->dev, LABEL_PRIMARY_ONLY);
    assert_int_equal(label->partition_count, 2);
    assert_int_equal(disk->reads, 1);
    assert_int_equal(disk->highest_read, 33);
    label_free(label);
    memory_free(disk);
}

/* Boot sectors as mkfs.vfat and format.com lay them out: the fields that tell them from a table. */
static void put_fat_parameters(uint8_t *b)
{
    memcpy(b, "\xeb\x58\x90mkfs.fat", 11);
    le_put(b + 11, 2, 512);
    b[13] = 8;
    le_put(b + 14, 2, 32);
    b[16] = 2;
    b[21] = 0xf8;
    b[510] = 0x55;
    b[511] = 0xaa;
}

static void filesystem_boot_sectors_are_no_label(void **state)
{
    (void)state;
    struct memory_disk *disk = new_disk();
    uint8_t *b = memory_block(disk, 0);
    put_fat_parameters(b);
    memcpy(b + 430, "boot code here", 14); /* also where a signature would be */
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);
    put_entry(b, 0, 0x0c, 0, 8192); /* the whole disk, from block 0: what mkfs.vfat may write */
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);
    put_entry(b, 0, 0x0c, 2048, 99999); /* makes no full sense beside a parameter block */
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);

    memset(b, 0, 512);
    memcpy(b, "\xeb\x52\x90NTFS    ", 11);
    memcpy(b + 440, "\x01\x02\x03\x04", 4);
    b[510] = 0x55;
    b[511] = 0xaa;
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);
    memcpy(b,
           "\xeb\x76\x90"
           "EXFAT   ",
           11);
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);
    memory_free(disk);
}

static void boot_code_is_no_label(void **state)
{
    (void)state;
    struct memory_disk *disk = new_disk();
    uint8_t *b = memory_block(disk, 0);
    put_entry(b, 0, 0x83, 2048, 100);
    mbr_set_signature(b, 7);
    must_be(&disk->dev, VSS_DISK_LABEL_MBR);
    b[446 + 16] = 0x4e; /* one boot flag that is none */
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);
    b[446 + 16] = 0x80;
    must_be(&disk->dev, VSS_DISK_LABEL_MBR);
    put_entry(b, 0, 0x65, 0, 0x20746f6e); /* every entry nonsense: at block 0, past the end */
    put_entry(b, 2, 0x20, 0x646e756f, 0x20746f6e);
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);
    memory_free(disk);
}

static void boot_loader_over_an_old_filesystem_is_a_table(void **state)
{
    (void)state;
    struct memory_disk *disk = new_disk();
    put_fat_parameters(memory_block(disk, 0));
    put_entry(memory_block(disk, 0), 0, 0x83, 2048, 4096);
    must_be(&disk->dev, VSS_DISK_LABEL_MBR);
    memory_free(disk);
}

static void blank_and_tiny_disks_have_no_label(void **state)
{
    (void)state;
    struct memory_disk *disk = new_disk();
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);
    disk->dev.block_count = 1;
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);
    disk->dev.block_count = 0;
    must_be(&disk->dev, VSS_DISK_LABEL_NONE);
    memory_free(disk);
}

static void partition_off_the_disk_is_refused(void **state)
{
    (void)state;
    struct memory_disk *disk = new_disk();
    uint8_t *b = memory_block(disk, 0);
    put_entry(b, 0, 0x83, 100, 800);
    put_entry(b, 1, 0x83, 8000, 193);
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "partition 2");
    put_entry(b, 1, 0x83, 8000, 192);
    must_be(&disk->dev, VSS_DISK_LABEL_MBR);
    put_entry(b, 1, 0x83, 8000, UINT32_MAX);
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "partition 2");
    put_entry(b, 1, 0x83, UINT32_MAX, UINT32_MAX);
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "partition 2");
    memory_free(disk);
}

static void overlap_is_refused(void **state)
{
    (void)state;
    struct memory_disk *disk = new_extended();
    put_entry(memory_block(disk, 0), 1, 0x83, 899, 10);
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "overlaps");
    put_entry(memory_block(disk, 0), 1, 0x83, 900, 10);
    put_record(disk, 1000, 200, 100); /* 1001..1200 */
    put_record(disk, 1100, 200, 0);   /* 1101..1300 */
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "overlaps");
    put_record(disk, 1000, 99, 100);
    must_be(&disk->dev, VSS_DISK_LABEL_MBR);
    memory_free(disk);
}

static void chains_that_lie_are_refused(void **state)
{
    (void)state;
    struct memory_disk *disk = new_extended();
    struct block_device *dev = &disk->dev;
    must_be(dev, VSS_DISK_LABEL_MBR); /* no record at all: nothing was ever made there */
    put_record(disk, 1000, 50, 100);
    must_refuse(dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "chain is broken");
    put_record(disk, 1100, 50, 100); /* to itself */
    must_refuse(dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "comes back");
    put_entry(memory_block(disk, 1100), 1, 0x05, 0, 9); /* to the first */
    must_refuse(dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "comes back");
    put_entry(memory_block(disk, 1100), 1, 0x05, 5000, 9);
    must_refuse(dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "outside");
    put_entry(memory_block(disk, 1100), 1, 0x05, UINT32_MAX, UINT32_MAX);
    must_refuse(dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "outside");
    put_entry(memory_block(disk, 1100), 1, 0, 0, 0);
    must_be(dev, VSS_DISK_LABEL_MBR);
    put_entry(memory_block(disk, 1100), 2, 0x83, UINT32_MAX,
              5); /* garbage the kernel passes over */
    must_be(dev, VSS_DISK_LABEL_MBR);
    put_entry(memory_block(disk, 1100), 0, 0x83, 0, 5); /* covers its own record */
    must_refuse(dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "does not lie behind it");
    put_entry(memory_block(disk, 1100), 0, 0x83, 1, 4900);
    must_refuse(dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "does not lie behind it");
    put_entry(memory_block(disk, 1100), 0, 0x83, UINT32_MAX, UINT32_MAX);
    must_refuse(dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "does not lie behind it");
    memory_free(disk);
}

static void put_records(struct memory_disk *disk, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        put_record(disk, 1000 + 10 * (uint64_t)i, 5, i + 1 < count ? 10 * (i + 1) : 0);
    }
}

static void logicals_are_counted_and_bounded(void **state)
{
    (void)state;
    struct memory_disk *disk = new_extended();
    put_records(disk, 128);
    struct label *label = must_read(&disk->dev, LABEL_FULL);
    assert_int_equal(label->partition_count, 130);
    assert_int_equal(label->partitions[129].number, 132);
    assert_int_equal(label->partitions[129].first_lba, 1000 + 1270 + 1);
    label_free(label);
    put_records(disk, 129);
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "128");
    /* Records without partitions are bounded too. */
    for (uint32_t i = 0; i < 400; i++) {
        memset(memory_block(disk, 1000 + 10 * (uint64_t)i), 0, 512);
        put_entry(memory_block(disk, 1000 + 10 * (uint64_t)i), 1, 5, 10 * (i + 1), 5);
    }
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "128");
    memory_free(disk);
}

static void dynamic_disk_is_seen_and_left_alone(void **state)
{
    (void)state;
    struct memory_disk *disk = new_disk();
    put_entry(memory_block(disk, 0), 0, 0x42, 63, 8000);
    mbr_set_signature(memory_block(disk, 0), 5);
    struct label *label = must_read(&disk->dev, LABEL_FULL);
    assert_true(label->has_dynamic_disk);
    struct vss_disk_ids ids = {.kind = VSS_DISK_LABEL_MBR, .mbr_signature = 6};
    struct label_writes writes;
    struct error err = {S_OK, ""};
    assert_int_equal(label_stage_ids(&disk->dev, label, &ids, false, &writes, &err),
                     VSS_E_CANNOT_REVERT_DISKID);
    assert_int_equal(writes.count, 0);
    label_free(label);
    memory_free(disk);
}

static void staging_touches_four_bytes(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_new("disk", 1024, 4096);
    uint8_t *b = memory_block(disk, 0);
    put_entry(b, 0, 0x83, 100, 100);
    mbr_set_signature(b, 5);
    memset(b + 512, 0x99, 4096 - 512);
    struct label *label = must_read(&disk->dev, LABEL_FULL);
    struct vss_disk_ids ids = {.kind = VSS_DISK_LABEL_MBR, .mbr_signature = 0xa1b2c3d4};
    struct label_writes writes;
    assert_int_equal(label_stage_ids(&disk->dev, label, &ids, false, &writes, NULL), S_OK);
    assert_int_equal(writes.count, 1);
    assert_int_equal(writes.items[0].blocks, 1);
    assert_memory_equal(writes.items[0].old_data, b, 4096);
    mbr_set_signature(b, 0xa1b2c3d4);
    assert_memory_equal(writes.items[0].new_data, b, 4096);
    label_writes_free(&writes);
    /* The disk is not any more what the label says: refuse. */
    assert_int_equal(label_stage_ids(&disk->dev, label, &ids, false, &writes, NULL),
                     VSS_E_CANNOT_REVERT_DISKID);
    label_free(label);
    label = must_read(&disk->dev, LABEL_FULL);
    assert_int_equal(label_stage_ids(&disk->dev, label, &ids, false, &writes, NULL), S_OK);
    assert_int_equal(writes.count, 0); /* nothing to do */
    ids.kind = VSS_DISK_LABEL_GPT;
    assert_int_equal(label_stage_ids(&disk->dev, label, &ids, false, &writes, NULL),
                     VSS_E_CANNOT_REVERT_DISKID);
    label_free(label);
    memory_free(disk);
}

/* Any bytes: an answer, no crash, and what is listed lies on the disk. */
static void random_tables_are_survived(void **state)
{
    (void)state;
    struct memory_disk *disk = new_disk();
    uint64_t seed = 42;
    for (int round = 0; round < 20000; round++) {
        for (int lba = 0; lba < 8; lba++) {
            uint8_t *b = memory_block(disk, (uint64_t)lba * 100);
            for (int i = 440; i < 510; i++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                uint8_t r = (uint8_t)(seed >> 56);
                bool is_flag = i >= 446 && (i - 446) % 16 == 0;
                bool is_high = (i - 446) % 16 == 10 || (i - 446) % 16 == 11 ||
                               (i - 446) % 16 == 14 || (i - 446) % 16 == 15;
                bool is_type = i >= 446 && (i - 446) % 16 == 4;
                b[i] = is_flag || is_high ? 0 : is_type && r % 2 ? 5 : r % 8 ? r : 0;
            }
            b[510] = 0x55;
            b[511] = 0xaa;
        }
        struct label *label = NULL;
        HRESULT hr = label_read(&disk->dev, LABEL_FULL, &label, NULL);
        assert_true(SUCCEEDED(hr) || hr == VSS_E_VOLUME_NOT_SUPPORTED);
        for (size_t i = 0; label && i < label->partition_count; i++) {
            assert_true(label->partitions[i].first_lba <= label->partitions[i].last_lba);
            assert_true(label->partitions[i].last_lba < disk->dev.block_count);
        }
        label_free(label);
    }
    memory_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tool_table_reads_as_sfdisk_says),
        cmocka_unit_test(empty_table_with_signature_is_a_label),
        cmocka_unit_test(primary_depth_is_one_read),
        cmocka_unit_test(filesystem_boot_sectors_are_no_label),
        cmocka_unit_test(boot_code_is_no_label),
        cmocka_unit_test(boot_loader_over_an_old_filesystem_is_a_table),
        cmocka_unit_test(blank_and_tiny_disks_have_no_label),
        cmocka_unit_test(partition_off_the_disk_is_refused),
        cmocka_unit_test(overlap_is_refused),
        cmocka_unit_test(chains_that_lie_are_refused),
        cmocka_unit_test(logicals_are_counted_and_bounded),
        cmocka_unit_test(dynamic_disk_is_seen_and_left_alone),
        cmocka_unit_test(staging_touches_four_bytes),
        cmocka_unit_test(random_tables_are_survived),
    };
    return cmocka_run_group_tests_name("label_mbr", tests, NULL, NULL);
}
