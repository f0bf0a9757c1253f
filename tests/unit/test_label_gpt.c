/* SPDX-License-Identifier: Apache-2.0 */

/* GPT: tables of sgdisk and sfdisk, every block and entry size, damage and lies. */

#include "label_util.h"

#include "common/id.h"
#include "lun/label/gpt.h"

static const struct gpt_spec usual = {128, 128, 92};

static struct memory_disk *new_gpt(void)
{
    struct memory_disk *disk = memory_new("disk", 4096, 512);
    gpt_write(disk, &usual);
    return disk;
}

static struct label *read_image(const char *path, uint32_t block_bytes)
{
    struct block_device *dev = NULL;
    assert_int_equal(block_open_file(path, block_bytes, true, &dev, NULL), S_OK);
    struct label *label = must_read(dev, LABEL_FULL);
    assert_int_equal(label->kind, VSS_DISK_LABEL_GPT);
    assert_true(label->primary.is_valid);
    assert_true(label->backup.is_valid);
    assert_int_equal(label->backup.lba, dev->block_count - 1);
    compare_with_sfdisk(path, label);
    block_close(dev);
    return label;
}

static void tool_tables_read_as_the_tools_say(void **state)
{
    (void)state;
    need_tool("sgdisk");
    need_tool("sfdisk");
    char *dir = image_dir();
    char *path = make_gpt(dir);
    struct label *label = read_image(path, 512);
    assert_int_equal(label->partition_count, 3);
    assert_string_equal(label->partitions[0].name, "caf\xc3\xa9 data");
    assert_int_equal(label->partitions[2].number, 4);
    assert_int_equal(label->partitions[2].attributes, 4);
    assert_int_equal(label->mbr_signature, 0);
    assert_false(label->is_hybrid);
    label_free(label);
    free(path);

    path = make_gpt_4096(dir);
    label_free(read_image(path, 4096));
    free(path);

    path = make_gpt_256(dir);
    label = read_image(path, 512);
    assert_int_equal(label->primary.entry_count, 256);
    assert_int_equal(label->partitions[2].number, 256);
    label_free(label);
    free(path);

    path = make_hybrid(dir);
    label = read_image(path, 512);
    assert_true(label->is_hybrid);
    assert_int_equal(label->mbr_signature, 0x44332211);
    struct vss_disk_ids ids;
    assert_int_equal(label_ids(label, &ids), S_OK);
    assert_int_equal(ids.mbr_signature, 0x44332211);
    assert_int_equal(ids.partition_count, 3);
    disk_ids_free(&ids);
    label_free(label);
    free(path);
    image_dir_remove(dir);
}

static void every_size_is_read(void **state)
{
    (void)state;
    static const struct gpt_spec specs[] = {
        {128, 128, 92}, {4, 128, 92}, {3, 4096, 512}, {128, 256, 96}, {1000, 1024, 92}};
    for (uint32_t block_bytes = 512; block_bytes <= 65536; block_bytes *= 2) {
        for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
            struct memory_disk *disk = memory_new("disk", 5000, block_bytes);
            gpt_write(disk, &specs[i]);
            struct label *label = must_read(&disk->dev, LABEL_FULL);
            assert_true(label->primary.is_valid && label->backup.is_valid);
            assert_int_equal(label->partition_count, 2);
            assert_int_equal(label->partitions[1].number, 3);
            assert_int_equal(label->partitions[1].last_lba, label->primary.last_usable_lba);
            label_free(label);
            memory_free(disk);
        }
    }
}

static void primary_depth_stays_at_the_head(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt();
    struct label *label = must_read(&disk->dev, LABEL_PRIMARY_ONLY);
    assert_false(label->backup_was_read);
    assert_int_equal(disk->reads, 1);
    assert_int_equal(disk->highest_read, 33);
    label_free(label);
    disk->reads = 0;
    label = must_read(&disk->dev, LABEL_FULL);
    assert_int_equal(disk->reads, 2); /* header and entries of the backup in one */
    label_free(label);
    memory_free(disk);

    static const struct gpt_spec large = {512, 128, 92};
    disk = memory_new("disk", 4096, 512);
    gpt_write(disk, &large);
    label_free(must_read(&disk->dev, LABEL_PRIMARY_ONLY));
    assert_int_equal(disk->reads, 2);
    assert_int_equal(disk->highest_read, 2 + 128 - 1);
    memory_free(disk);
}

static void one_good_header_is_enough(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt();
    memory_block(disk, 1)[60] ^= 1;
    struct label *label = must_read(&disk->dev, LABEL_FULL);
    assert_false(label->primary.is_valid);
    assert_non_null(strstr(label->primary.reason, "header checksum"));
    assert_true(label->backup.is_valid);
    assert_int_equal(label->partition_count, 2);
    struct vss_disk_ids ids;
    assert_int_equal(label_ids(label, &ids), S_OK);
    assert_int_equal(ids.disk_guid.data1, 0x77777777);
    disk_ids_free(&ids);
    label_free(label);
    must_refuse(&disk->dev, LABEL_PRIMARY_ONLY, VSS_E_VOLUME_NOT_SUPPORTED, "not looked at");

    memory_block(disk, 1)[60] ^= 1;
    memory_block(disk, 4095 - 32)[200] ^= 1; /* an entry of the backup */
    label = must_read(&disk->dev, LABEL_FULL);
    assert_true(label->primary.is_valid);
    assert_false(label->backup.is_valid);
    assert_non_null(strstr(label->backup.reason, "entries"));
    label_free(label);

    memory_block(disk, 1)[60] ^= 1;
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "backup header in block 4095");
    memory_free(disk);
}

static void headers_that_disagree(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt();
    memory_block(disk, 4095)[56] = 1;
    gpt_seal(disk, 4095);
    struct label *label = must_read(&disk->dev, LABEL_FULL);
    assert_true(label->primary.is_valid);
    assert_false(label->backup.is_valid);
    assert_non_null(strstr(label->backup.reason, "disk GUID"));
    assert_int_equal(label->primary.disk_guid.data1, 0x77777777);
    label_free(label);

    memory_block(disk, 4095)[56] = 0x77;
    memory_block(disk, 4095 - 32)[16] ^= 1; /* a partition's GUID */
    gpt_seal(disk, 4095);
    label = must_read(&disk->dev, LABEL_FULL);
    assert_false(label->backup.is_valid);
    assert_non_null(strstr(label->backup.reason, "entries are not the primary's"));
    label_free(label);
    memory_free(disk);
}

static void grown_disk_keeps_its_backup(void **state)
{
    (void)state;
    struct memory_disk *small = new_gpt();
    struct memory_disk *grown = memory_new("grown", 8192, 512);
    memcpy(grown->bytes, small->bytes, memory_bytes(small));
    struct label *label = must_read(&grown->dev, LABEL_FULL);
    assert_true(label->backup.is_valid);
    assert_int_equal(label->backup.lba, 4095);
    label_free(label);
    memory_block(grown, 2)[GPT_ENTRY_GUID] ^= 1; /* as a change of ids that was cut short */
    label = must_read(&grown->dev, LABEL_FULL);
    assert_false(label->primary.is_valid);
    assert_true(label->backup.is_valid);
    assert_int_equal(label->backup.lba, 4095);
    label_free(label);
    memory_free(grown);
    memory_free(small);
}

static void backup_at_the_end_is_found_too(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt();
    le_put(memory_block(disk, 1) + 32, 8, 4090); /* points at nothing */
    gpt_seal(disk, 1);
    struct label *label = must_read(&disk->dev, LABEL_FULL);
    assert_true(label->primary.is_valid);
    assert_true(label->backup.is_valid);
    assert_int_equal(label->backup.lba, 4095);
    label_free(label);
    le_put(memory_block(disk, 1) + 32, 8, UINT64_MAX);
    gpt_seal(disk, 1);
    label = must_read(&disk->dev, LABEL_FULL);
    assert_true(label->backup.is_valid);
    label_free(label);
    memory_free(disk);
}

static void truncated_disks_are_refused(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt();
    for (uint64_t count = 4000; count > 1; count = count * 2 / 3) {
        disk->dev.block_count = count;
        must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "GPT");
        must_refuse(&disk->dev, LABEL_PRIMARY_ONLY, VSS_E_VOLUME_NOT_SUPPORTED, "GPT");
    }
    memory_free(disk);
}

static void block_0_and_1_must_agree(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt();
    memset(memory_block(disk, 0), 0, 512);
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "contradict");
    memset(memory_block(disk, 1), 0, 33 * 512);
    must_be(&disk->dev, VSS_DISK_LABEL_NONE); /* a left-over backup is no label */
    uint8_t *mbr = memory_block(disk, 0);
    mbr[446 + 4] = 0xee;
    le_put(mbr + 446 + 8, 4, 1);
    le_put(mbr + 446 + 12, 4, 4095);
    mbr[510] = 0x55;
    mbr[511] = 0xaa;
    struct label *label = must_read(&disk->dev, LABEL_FULL); /* from the backup */
    assert_int_equal(label->partition_count, 2);
    label_free(label);
    memset(memory_block(disk, 4095), 0, 512);
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, "no GPT signature");
    memory_free(disk);
}

/* One field of the primary header is set and sealed, the backup is gone: must be refused. */
static void refuse_field(int offset, int bytes, uint64_t value, const char *reason)
{
    struct memory_disk *disk = new_gpt();
    memset(memory_block(disk, 4095), 0, 512);
    le_put(memory_block(disk, 1) + offset, bytes, value);
    uint64_t header_bytes = le_get(memory_block(disk, 1) + 12, 4);
    if (header_bytes >= 20 && header_bytes <= 512) {
        gpt_seal_header(disk, 1);
    }
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, reason);
    memory_free(disk);
}

static void lies_in_the_header_are_refused(void **state)
{
    (void)state;
    refuse_field(8, 4, 0x20000, "revision");
    refuse_field(12, 4, 91, "header size");
    refuse_field(12, 4, 513, "header size");
    refuse_field(12, 4, UINT32_MAX, "header size");
    refuse_field(12, 4, 0, "header size");
    refuse_field(24, 8, 2, "another block");
    refuse_field(32, 8, 100, "backup header among");
    refuse_field(32, 8, 1, "backup header among");
    refuse_field(40, 8, 0, "usable blocks include");
    refuse_field(40, 8, UINT64_MAX, "usable blocks leave");
    refuse_field(40, 8, 10, "do not lie between");
    refuse_field(48, 8, 4096, "usable blocks leave");
    refuse_field(48, 8, UINT64_MAX, "usable blocks leave");
    refuse_field(72, 8, 0, "do not lie between");
    refuse_field(72, 8, 1, "do not lie between");
    refuse_field(72, 8, 3, "do not lie between");
    refuse_field(72, 8, UINT64_MAX, "do not lie between");
    refuse_field(72, 8, UINT64_MAX - 31, "do not lie between");
    refuse_field(80, 4, 0, "no room");
    refuse_field(80, 4, 129, "do not lie between");
    refuse_field(80, 4, 127, "checksum of its partition entries");
    refuse_field(80, 4, UINT32_MAX, "4 MiB");
    refuse_field(80, 4, 32769, "4 MiB");
    refuse_field(84, 4, 0, "entry size");
    refuse_field(84, 4, 64, "entry size");
    refuse_field(84, 4, 384, "entry size");
    refuse_field(84, 4, UINT32_MAX, "entry size");
    refuse_field(84, 4, 0x80000000u, "4 MiB");
    refuse_field(88, 4, 12345, "checksum of its partition entries");
}

static void refuse_entry(uint64_t first, uint64_t last, const char *reason)
{
    struct memory_disk *disk = new_gpt();
    uint8_t *entry = memory_block(disk, 2) + 256; /* partition 3 */
    le_put(entry + 32, 8, first);
    le_put(entry + 40, 8, last);
    gpt_seal(disk, 1);
    must_refuse(&disk->dev, LABEL_FULL, VSS_E_VOLUME_NOT_SUPPORTED, reason);
    memory_free(disk);
}

static void bad_partitions_are_refused(void **state)
{
    (void)state;
    refuse_entry(34, 40, "overlaps");
    refuse_entry(37, 37, "overlaps");
    refuse_entry(30, 33, "usable blocks");
    refuse_entry(33, 100, "usable blocks");
    refuse_entry(4000, 4063, "usable blocks");
    refuse_entry(101, 100, "usable blocks");
    refuse_entry(0, UINT64_MAX, "usable blocks");
    refuse_entry(UINT64_MAX, UINT64_MAX, "usable blocks");
    refuse_entry(UINT64_MAX, 0, "usable blocks");
}

static void names_are_utf8(void **state)
{
    (void)state;
    static const uint16_t units[] = {'A', 0x1b, 0xe9, 0x20ac, 0xd83d, 0xde00, 0xd83d, 'B', 0xdc00};
    struct memory_disk *disk = new_gpt();
    uint8_t *name = memory_block(disk, 2) + 56;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        le_put(name + 2 * i, 2, units[i]);
    }
    uint8_t *longest = memory_block(disk, 2) + 256 + 56;
    memset(longest, 0xff, 72); /* 36 units of three bytes each */
    gpt_seal(disk, 1);
    struct label *label = must_read(&disk->dev, LABEL_FULL);
    assert_string_equal(label->partitions[0].name,
                        "A\xef\xbf\xbd\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbd"
                        "B\xef\xbf\xbd");
    assert_int_equal(strlen(label->partitions[1].name), 108);
    label_free(label);
    memory_free(disk);
}

static void dynamic_disk_is_seen(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt();
    VSS_ID ldm;
    assert_true(id_parse("af9b60a0-1431-4f62-bc68-3311714a69ad", &ldm));
    id_to_bytes(&ldm, memory_block(disk, 2));
    gpt_seal(disk, 1);
    struct label *label = must_read(&disk->dev, LABEL_FULL);
    assert_true(label->has_dynamic_disk);
    label_free(label);
    memory_free(disk);
}

static void read_failures_are_passed_on(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt();
    struct faults faults = {.count = 1};
    disk->faults = &faults;
    for (faults.first = 1; faults.first <= 2; faults.first++) {
        faults.calls = 0;
        must_refuse(&disk->dev, LABEL_FULL, VSS_E_UNEXPECTED, "injected");
    }
    memory_free(disk);
}

/* Each byte of the first 34 blocks is damaged in turn. What a checksum covers must be noticed; the
 * rest must at least not be mistaken for more than it is. */
static void every_flipped_byte_is_survived(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt();
    struct label *label = NULL;
    for (size_t at = 0; at < 34u * 512; at++) {
        bool is_covered = (at >= 512 && at < 512 + 92) || at >= 1024;
        disk->bytes[at] ^= 0x5a;
        HRESULT hr = label_read(&disk->dev, LABEL_FULL, &label, NULL);
        if (is_covered) {
            assert_int_equal(hr, S_OK); /* by the backup */
            assert_false(label->primary.is_valid);
            assert_true(label->backup.is_valid);
            assert_int_equal(label->partition_count, 2);
        } else if (at >= 512) {
            assert_int_equal(hr, S_OK);
            assert_true(label->primary.is_valid);
        } else {
            assert_true(hr == S_OK || hr == VSS_E_VOLUME_NOT_SUPPORTED);
            assert_true(FAILED(hr) || label->kind == VSS_DISK_LABEL_GPT);
        }
        label_free(label);
        label = NULL;
        hr = label_read(&disk->dev, LABEL_PRIMARY_ONLY, &label, NULL);
        assert_true(!is_covered || hr == VSS_E_VOLUME_NOT_SUPPORTED);
        label_free(label);
        disk->bytes[at] ^= 0x5a;
    }
    memory_free(disk);
}

/* Hostile content under good checksums: any bytes in header and entries. */
static void random_headers_are_survived(void **state)
{
    (void)state;
    struct memory_disk *disk = new_gpt();
    struct memory_disk *clean = memory_copy(disk);
    uint64_t seed = 7;
    for (int round = 0; round < 5000; round++) {
        memcpy(disk->bytes, clean->bytes, 34u * 512);
        for (int i = 0; i < 4; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t at = seed >> 33 & 1 ? 512 + 24 + (seed >> 34) % 64 : 1024 + (seed >> 34) % 512;
            disk->bytes[at] = seed >> 60 & 1 ? 0xff : (uint8_t)(seed >> 50);
        }
        const uint8_t *h = memory_block(disk, 1);
        bool is_local = le_get(h + 72, 8) < 34 && le_get(h + 80, 4) * le_get(h + 84, 4) < 17000;
        if (is_local) {
            gpt_seal(disk, 1);
        } else {
            gpt_seal_header(disk, 1);
        }
        struct label *label = NULL;
        HRESULT hr = label_read(&disk->dev, LABEL_FULL, &label, NULL);
        assert_true(hr == S_OK || hr == VSS_E_VOLUME_NOT_SUPPORTED);
        for (size_t i = 0; label && i < label->partition_count; i++) {
            assert_true(label->partitions[i].last_lba < disk->dev.block_count);
        }
        label_free(label);
    }
    memory_free(clean);
    memory_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tool_tables_read_as_the_tools_say),
        cmocka_unit_test(every_size_is_read),
        cmocka_unit_test(primary_depth_stays_at_the_head),
        cmocka_unit_test(one_good_header_is_enough),
        cmocka_unit_test(headers_that_disagree),
        cmocka_unit_test(grown_disk_keeps_its_backup),
        cmocka_unit_test(backup_at_the_end_is_found_too),
        cmocka_unit_test(truncated_disks_are_refused),
        cmocka_unit_test(block_0_and_1_must_agree),
        cmocka_unit_test(lies_in_the_header_are_refused),
        cmocka_unit_test(bad_partitions_are_refused),
        cmocka_unit_test(names_are_utf8),
        cmocka_unit_test(dynamic_disk_is_seen),
        cmocka_unit_test(read_failures_are_passed_on),
        cmocka_unit_test(every_flipped_byte_is_survived),
        cmocka_unit_test(random_headers_are_survived),
    };
    return cmocka_run_group_tests_name("label_gpt", tests, NULL, NULL);
}
