/* SPDX-License-Identifier: Apache-2.0 */

/* Changing disk ids: what the system's own tools say of the result, and what happens when any
 * operation fails. */

#include "label_util.h"

#include "common/id.h"
#include "lun/label/diff.h"
#include "lun/label/disk_ids.h"
#include "lun/label/gpt.h"
#include "lun/label/mbr.h"

#include <ctype.h>
#include <unistd.h>

/* ---- the tools as judges ---- */

static void must_say(const char *text, const char *wanted)
{
    if (!strstr(text, wanted)) {
        fail_msg("\"%s\" is not in: %s", wanted, text);
    }
}

static const char *upper_id(const VSS_ID *id, char out[ID_TEXT_BYTES])
{
    id_text(id, out);
    for (char *c = out; *c; c++) {
        *c = (char)toupper((unsigned char)*c);
    }
    return out;
}

static void judge_by_blkid(const char *device, const char *uuid)
{
    char line[64];
    (void)snprintf(line, sizeof(line), "PTUUID=%s\n", uuid);
    char *text = tool("blkid -p -o export '%s' 2>&1", device);
    must_say(text, line);
    free(text);
}

/* sgdisk -v exits with 0 whatever it finds, and finds "no problems" in a disk of which it just said
 * that a header is lost: both texts count. */
static void must_be_sound(const char *device)
{
    char *text = tool("sgdisk -v '%s' 2>&1", device);
    must_say(text, "No problems found");
    assert_null(strstr(text, "ERROR"));
    assert_null(strstr(text, "CRC"));
    free(text);
}

static void judge_by_sgdisk(const char *device, const struct vss_disk_ids *ids)
{
    char id[ID_TEXT_BYTES];
    char line[128];
    must_be_sound(device);
    char *text = tool("sgdisk -p '%s' 2>&1", device);
    (void)snprintf(line, sizeof(line), "Disk identifier (GUID): %s\n",
                   upper_id(&ids->disk_guid, id));
    must_say(text, line);
    free(text);
    for (uint32_t i = 0; i < ids->partition_count; i++) {
        const struct vss_partition_id *p = &ids->partitions[i];
        text = tool("sgdisk -i %u '%s' 2>&1", p->number, device);
        (void)snprintf(line, sizeof(line), "Partition unique GUID: %s\n", upper_id(&p->guid, id));
        must_say(text, line);
        (void)snprintf(line, sizeof(line), "Attribute flags: %016llX\n",
                       (unsigned long long)p->attributes);
        must_say(text, line);
        free(text);
    }
    judge_by_blkid(device, id_text(&ids->disk_guid, id));
}

/* Tools that know no other block size see it through a loop device, where there can be one. */
static void judge_4096(const char *path, const struct vss_disk_ids *ids)
{
    char *text = tool("printf 'v\\nq\\n' | fdisk -b 4096 '%s' 2>&1", path);
    must_say(text, "No errors detected");
    free(text);
    if (geteuid() != 0) {
        print_message("not root: no loop device for sgdisk and blkid\n");
        return;
    }
    char *loop = tool_try("losetup --sector-size 4096 -r -f --show '%s' 2>/dev/null", path);
    loop[strcspn(loop, "\n")] = '\0';
    if (loop[0] == '\0') {
        print_message("no loop device: sgdisk and blkid were not asked\n");
    } else {
        judge_by_sgdisk(loop, ids);
        free(tool("losetup -d '%s' 2>&1", loop));
    }
    free(loop);
}

static void judge(const char *path, uint32_t block_bytes, const struct vss_disk_ids *ids)
{
    if (ids->kind == VSS_DISK_LABEL_MBR) {
        char uuid[16];
        (void)snprintf(uuid, sizeof(uuid), "%08x", ids->mbr_signature);
        judge_by_blkid(path, uuid);
    } else if (block_bytes == 4096) {
        judge_4096(path, ids);
    } else {
        judge_by_sgdisk(path, ids);
    }
}

static void write_ids(struct block_device *dev, const struct vss_disk_ids *ids, bool repair)
{
    struct disk_ids_transaction t = {0};
    struct error err = {S_OK, ""};
    HRESULT hr = disk_ids_stage(&t, dev, ids, repair, &err);
    if (SUCCEEDED(hr)) {
        hr = disk_ids_apply(&t, NULL, NULL, &err);
    }
    if (FAILED(hr)) {
        fail_msg("%08x %s", (unsigned)hr, err.text);
    }
    disk_ids_transaction_free(&t);
    assert_null(t.members);
}

static void read_ids(struct block_device *dev, struct vss_disk_ids *out)
{
    struct label *label = must_read(dev, LABEL_FULL);
    assert_int_equal(label_ids(label, out), S_OK);
    label_free(label);
}

static void check_image(const char *path, uint32_t block_bytes, const struct vss_disk_ids *ids)
{
    struct block_device *dev = NULL;
    assert_int_equal(block_open_file(path, block_bytes, true, &dev, NULL), S_OK);
    struct label *label = must_read(dev, LABEL_FULL);
    struct vss_disk_ids now;
    assert_int_equal(label_ids(label, &now), S_OK);
    assert_true(disk_ids_equal(&now, ids));
    compare_with_sfdisk(path, label);
    disk_ids_free(&now);
    label_free(label);
    block_close(dev);
    judge(path, block_bytes, ids);
}

/* Fresh ids with the shadow bits, judged; then the old ones again: every byte must be as before. */
static void change_and_restore(char *path, uint32_t block_bytes)
{
    struct memory_disk *before = memory_load(path, block_bytes);
    struct block_device *dev = NULL;
    assert_int_equal(block_open_file(path, block_bytes, false, &dev, NULL), S_OK);
    struct vss_disk_ids original;
    struct vss_disk_ids fresh;
    read_ids(dev, &original);
    assert_int_equal(label_fresh_ids(&original, GPT_ATTR_SHADOW_BITS, 4, &fresh), S_OK);
    assert_false(disk_ids_equal(&original, &fresh));
    assert_int_equal(fresh.mbr_signature == 0, original.mbr_signature == 0);
    write_ids(dev, &fresh, false);
    check_image(path, block_bytes, &fresh);
    write_ids(dev, &original, false);
    struct memory_disk *after = memory_load(path, block_bytes);
    assert_memory_equal(after->bytes, before->bytes, memory_bytes(before));
    memory_free(after);
    memory_free(before);
    disk_ids_free(&original);
    disk_ids_free(&fresh);
    block_close(dev);
    free(path);
}

static void need_tools(void)
{
    need_tool("sgdisk");
    need_tool("sfdisk");
    need_tool("fdisk");
    need_tool("blkid");
}

static void tools_agree_with_every_change(void **state)
{
    (void)state;
    need_tools();
    char *dir = image_dir();
    change_and_restore(make_mbr(dir), 512);
    change_and_restore(make_gpt(dir), 512);
    change_and_restore(make_gpt_4096(dir), 4096);
    change_and_restore(make_hybrid(dir), 512);
    change_and_restore(make_gpt_256(dir), 512);
    image_dir_remove(dir);
}

/* What the walk over staged writes says must be all that changes, and nothing else. */
static void diff_is_what_is_written(void **state)
{
    (void)state;
    static const struct gpt_spec specs[] = {{128, 128, 92}, {128, 256, 96}, {3, 4096, 512}};
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        struct memory_disk *disk = memory_new("disk", 5000, 512);
        gpt_write(disk, &specs[i]);
        struct memory_disk *patched = memory_copy(disk);
        struct disk_ids_transaction t = {0};
        struct vss_disk_ids original;
        struct vss_disk_ids fresh;
        read_ids(&disk->dev, &original);
        assert_int_equal(label_fresh_ids(&original, 4, 0, &fresh), S_OK);
        assert_int_equal(disk_ids_stage(&t, &disk->dev, &fresh, false, NULL), S_OK);
        struct label_diff_walk walk = {0};
        struct label_diff run;
        while (label_diff_next(&t.members[0].writes, 512, &walk, &run)) {
            assert_true(run.bytes > 0 && run.bytes < 64);
            assert_memory_equal(patched->bytes + run.offset, run.old_data, run.bytes);
            memcpy(patched->bytes + run.offset, run.new_data, run.bytes);
        }
        json_t *json = label_diff_to_json(&t.members[0].writes, 512);
        assert_true(json_array_size(json) >= 8); /* two sides: checksum, GUID, two partitions */
        json_decref(json);
        assert_int_equal(disk_ids_apply(&t, NULL, NULL, NULL), S_OK);
        assert_memory_equal(disk->bytes, patched->bytes, memory_bytes(disk));
        struct vss_disk_ids now;
        read_ids(&disk->dev, &now);
        assert_true(disk_ids_equal(&now, &fresh));
        disk_ids_free(&now);
        disk_ids_free(&fresh);
        disk_ids_free(&original);
        disk_ids_transaction_free(&t);
        memory_free(patched);
        memory_free(disk);
    }
}

static void zero_blocks(const char *path, uint64_t lba, uint64_t blocks)
{
    free(tool("dd if=/dev/zero of='%s' bs=512 seek=%llu count=%llu conv=notrunc 2>&1", path,
              (unsigned long long)lba, (unsigned long long)blocks));
}

/* Blocks of one header are lost; sgdisk sees it; the repair makes the disk what it was. */
static void repair_image(const char *path, uint64_t lba, uint64_t blocks)
{
    struct memory_disk *before = memory_load(path, 512);
    struct block_device *dev = NULL;
    zero_blocks(path, lba, blocks);
    char *text = tool_try("sgdisk -v '%s' 2>&1", path);
    must_say(text, "ERROR");
    free(text);
    assert_int_equal(block_open_file(path, 512, false, &dev, NULL), S_OK);
    struct vss_disk_ids ids;
    read_ids(dev, &ids);
    struct disk_ids_transaction t = {0};
    struct error err = {S_OK, ""};
    assert_int_equal(disk_ids_stage(&t, dev, &ids, false, &err), VSS_E_CANNOT_REVERT_DISKID);
    must_say(err.text, "repair the label first");
    assert_int_equal(t.count, 0);
    write_ids(dev, &ids, true);
    check_image(path, 512, &ids);
    struct memory_disk *after = memory_load(path, 512);
    assert_memory_equal(after->bytes, before->bytes, memory_bytes(before));
    memory_free(after);
    memory_free(before);
    disk_ids_free(&ids);
    block_close(dev);
}

static void one_lost_header_is_rebuilt(void **state)
{
    (void)state;
    need_tools();
    char *dir = image_dir();
    char *path = make_gpt(dir);
    uint64_t last = (64u << 20) / 512 - 1;
    repair_image(path, 1, 1);
    repair_image(path, 2, 32);
    repair_image(path, 1, 33);
    repair_image(path, last, 1);
    repair_image(path, last - 32, 32);
    free(path);
    image_dir_remove(dir);
}

static void grown_disk_gets_its_backup_at_the_end(void **state)
{
    (void)state;
    need_tools();
    char *dir = image_dir();
    char *path = make_gpt(dir);
    zero_blocks(path, (64u << 20) / 512 - 1, 1);
    assert_int_equal(truncate(path, 96 << 20), 0);
    struct block_device *dev = NULL;
    assert_int_equal(block_open_file(path, 512, false, &dev, NULL), S_OK);
    struct vss_disk_ids ids;
    read_ids(dev, &ids);
    write_ids(dev, &ids, true);
    check_image(path, 512, &ids);
    disk_ids_free(&ids);
    block_close(dev);
    free(path);
    image_dir_remove(dir);
}

static void repair_needs_room(void **state)
{
    (void)state;
    static const struct gpt_spec usual = {128, 128, 92};
    struct memory_disk *disk = memory_new("disk", 4096, 512);
    gpt_write(disk, &usual);
    disk->dev.block_count = 4090; /* the backup's place is cut off, the usable blocks are not */
    struct vss_disk_ids ids;
    read_ids(&disk->dev, &ids);
    struct disk_ids_transaction t = {0};
    struct error err = {S_OK, ""};
    assert_int_equal(disk_ids_stage(&t, &disk->dev, &ids, true, &err), VSS_E_CANNOT_REVERT_DISKID);
    must_say(err.text, "no room for a backup");
    disk_ids_free(&ids);
    memory_free(disk);
}

static void ids_of_another_disk_are_refused(void **state)
{
    (void)state;
    static const struct gpt_spec usual = {128, 128, 92};
    struct memory_disk *disk = memory_new("disk", 4096, 512);
    gpt_write(disk, &usual);
    struct vss_disk_ids ids;
    read_ids(&disk->dev, &ids);
    struct disk_ids_transaction t = {0};
    ids.partitions[1].number = 4;
    assert_int_equal(disk_ids_stage(&t, &disk->dev, &ids, false, NULL), VSS_E_CANNOT_REVERT_DISKID);
    ids.partition_count = 1;
    assert_int_equal(disk_ids_stage(&t, &disk->dev, &ids, false, NULL), VSS_E_CANNOT_REVERT_DISKID);
    struct vss_disk_ids none = {.kind = VSS_DISK_LABEL_NONE};
    assert_int_equal(disk_ids_stage(&t, &disk->dev, &none, false, NULL),
                     VSS_E_CANNOT_REVERT_DISKID);
    assert_null(t.members);
    disk_ids_free(&ids);
    memory_free(disk);
}

static void unlabelled_disk_is_a_no_op(void **state)
{
    (void)state;
    struct memory_disk *disk = memory_new("disk", 100, 512);
    struct vss_disk_ids none;
    read_ids(&disk->dev, &none);
    struct disk_ids_transaction t = {0};
    assert_int_equal(disk_ids_stage(&t, &disk->dev, &none, false, NULL), S_OK);
    assert_int_equal(t.members[0].writes.count, 0);
    assert_int_equal(disk_ids_stage(&t, &disk->dev, &none, false, NULL), E_INVALIDARG); /* twice */
    assert_int_equal(disk_ids_apply(&t, NULL, NULL, NULL), S_OK);
    disk_ids_transaction_free(&t);
    memory_free(disk);
}

/* ---- faults ---- */

#define DISKS 3
#define ITEMS                                                                                      \
    (1 + 5 + 4) /* the MBR; both copies of the second and its MBR; both copies of the third */

/* Three disks of a set: MBR, GPT with a signature on its MBR, GPT of 4096-byte blocks without one.
 */
struct set {
    struct memory_disk *disks[DISKS];
    struct memory_disk *before[DISKS];
    struct vss_disk_ids fresh[DISKS];
    struct faults faults;
    struct disk_ids_transaction transaction;
};

static void make_disks(struct set *set)
{
    static const struct gpt_spec usual = {128, 128, 92};
    static const struct gpt_spec large = {256, 256, 92};
    set->disks[0] = memory_new("disk 0", 500, 512);
    uint8_t *b = memory_block(set->disks[0], 0);
    b[450] = 0x83;
    le_put(b + 454, 4, 63);
    le_put(b + 458, 4, 400);
    mbr_set_signature(b, 0x12345678);
    b[510] = 0x55;
    b[511] = 0xaa;
    set->disks[1] = memory_new("disk 1", 200, 512);
    gpt_write(set->disks[1], &usual);
    mbr_set_signature(memory_block(set->disks[1], 0), 0x99);
    set->disks[2] = memory_new("disk 2", 100, 4096);
    gpt_write(set->disks[2], &large);
}

/* All staged, no faults yet; before the first write nothing of the disks was changed. */
static void set_up(struct set *set)
{
    *set = (struct set){0};
    make_disks(set);
    for (size_t i = 0; i < DISKS; i++) {
        struct vss_disk_ids ids;
        set->before[i] = memory_copy(set->disks[i]);
        read_ids(&set->disks[i]->dev, &ids);
        assert_int_equal(label_fresh_ids(&ids, GPT_ATTR_SHADOW_BITS, 0, &set->fresh[i]), S_OK);
        disk_ids_free(&ids);
        assert_int_equal(
            disk_ids_stage(&set->transaction, &set->disks[i]->dev, &set->fresh[i], false, NULL),
            S_OK);
        set->disks[i]->faults = &set->faults;
    }
}

static void tear_down(struct set *set)
{
    disk_ids_transaction_free(&set->transaction);
    for (size_t i = 0; i < DISKS; i++) {
        memory_free(set->disks[i]);
        memory_free(set->before[i]);
        disk_ids_free(&set->fresh[i]);
    }
}

static void all_as_before(struct set *set)
{
    for (size_t i = 0; i < DISKS; i++) {
        assert_memory_equal(set->disks[i]->bytes, set->before[i]->bytes,
                            memory_bytes(set->before[i]));
    }
}

static void all_fresh(struct set *set)
{
    set->faults = (struct faults){0};
    for (size_t i = 0; i < DISKS; i++) {
        struct vss_disk_ids ids;
        read_ids(&set->disks[i]->dev, &ids);
        assert_true(disk_ids_equal(&ids, &set->fresh[i]));
        disk_ids_free(&ids);
    }
}

/* count operations in a row go wrong, beginning with each in turn, until a run ends before them.
 * Returns the number of runs that failed. */
static uint64_t fail_everywhere(uint64_t count, bool lie)
{
    for (uint64_t first = 1;; first++) {
        struct set set;
        set_up(&set);
        set.faults = (struct faults){.first = first, .count = count, .lie = lie};
        struct error err = {S_OK, ""};
        HRESULT hr = disk_ids_apply(&set.transaction, NULL, NULL, &err);
        uint64_t calls = set.faults.calls;
        if (SUCCEEDED(hr)) {
            all_fresh(&set);
        } else {
            assert_int_equal(hr, VSS_E_CANNOT_REVERT_DISKID);
            assert_int_equal(err.code, VSS_E_CANNOT_REVERT_DISKID);
            must_say(err.text, "disk ");
            assert_true(strstr(err.text, "nothing was written") ||
                        strstr(err.text, "every disk has its old label again"));
            all_as_before(&set);
        }
        tear_down(&set);
        if (calls < first) {
            assert_int_equal(hr, S_OK);
            return first - 1;
        }
        assert_true(lie || FAILED(hr));
        assert_true(first < 1000);
    }
}

static void every_operation_may_fail(void **state)
{
    (void)state;
    /* Each item is looked at, written, flushed and read back. */
    assert_int_equal(fail_everywhere(1, false), ITEMS * 4);
}

static void the_way_back_may_stumble_too(void **state)
{
    (void)state;
    assert_true(fail_everywhere(2, false) >= ITEMS * 4);
    assert_true(fail_everywhere(3, false) >= ITEMS * 4);
}

static void writes_that_lie_are_noticed(void **state)
{
    (void)state;
    assert_true(fail_everywhere(1, true) >= ITEMS * 4);
}

static void a_disk_that_stays_dead_is_named(void **state)
{
    (void)state;
    struct set set;
    set_up(&set);
    set.faults = (struct faults){.first = 20, .count = UINT64_MAX / 2};
    struct error err = {S_OK, ""};
    assert_int_equal(disk_ids_apply(&set.transaction, NULL, NULL, &err),
                     VSS_E_CANNOT_REVERT_DISKID);
    must_say(err.text, "NOT put back");
    assert_true(set.transaction.is_torn);
    must_say(err.text, "disk 1");
    tear_down(&set);
}

static void change_under_our_feet_is_noticed(void **state)
{
    (void)state;
    struct set set;
    set_up(&set);
    memory_block(set.disks[2], 2)[16] ^= 1;
    memory_block(set.before[2], 2)[16] ^= 1;
    struct error err = {S_OK, ""};
    assert_int_equal(disk_ids_apply(&set.transaction, NULL, NULL, &err),
                     VSS_E_CANNOT_REVERT_DISKID);
    must_say(err.text, "disk 2: the label blocks");
    must_say(err.text, "nothing was written");
    all_as_before(&set);
    tear_down(&set);
}

struct sink {
    struct set *set;
    HRESULT answer;
    unsigned calls;
};

/* Sees every old byte before the first write. */
static HRESULT take_undo(const struct disk_ids_transaction *transaction, void *user,
                         struct error *err)
{
    struct sink *sink = user;
    sink->calls++;
    assert_int_equal(transaction->count, DISKS);
    for (size_t m = 0; m < DISKS; m++) {
        const struct disk_ids_member *member = &transaction->members[m];
        for (size_t i = 0; i < member->writes.count; i++) {
            const struct label_write *w = &member->writes.items[i];
            assert_memory_equal(w->old_data, memory_block(sink->set->before[m], w->lba),
                                (size_t)w->blocks * member->dev->block_bytes);
        }
    }
    all_as_before(sink->set);
    return FAILED(sink->answer) ? error_set(err, sink->answer, "the journal is full") : S_OK;
}

static void undo_sink_comes_first(void **state)
{
    (void)state;
    struct set set;
    set_up(&set);
    struct sink sink = {&set, VSS_E_INSUFFICIENT_STORAGE, 0};
    struct error err = {S_OK, ""};
    assert_int_equal(disk_ids_apply(&set.transaction, take_undo, &sink, &err),
                     VSS_E_CANNOT_REVERT_DISKID);
    must_say(err.text, "the journal is full; nothing was written");
    assert_int_equal(set.faults.calls, 0);
    all_as_before(&set);
    sink.answer = S_OK;
    assert_int_equal(disk_ids_apply(&set.transaction, take_undo, &sink, NULL), S_OK);
    assert_int_equal(sink.calls, 2);
    all_fresh(&set);
    tear_down(&set);
}

static bool is_whole(struct memory_disk *disk, const struct vss_disk_ids *one,
                     const struct vss_disk_ids *other)
{
    struct vss_disk_ids ids;
    disk->faults = NULL;
    read_ids(&disk->dev, &ids);
    /* The MBR of a GPT disk is written last, for itself. */
    ids.mbr_signature = one->kind == VSS_DISK_LABEL_GPT ? one->mbr_signature : ids.mbr_signature;
    bool is_one = disk_ids_equal(&ids, one);
    ids.mbr_signature = one->kind == VSS_DISK_LABEL_GPT ? other->mbr_signature : ids.mbr_signature;
    bool is_other = disk_ids_equal(&ids, other);
    disk_ids_free(&ids);
    return is_one || is_other;
}

/* The power fails after each write in turn: every disk carries one whole label or the other. */
static void power_may_fail_at_any_write(void **state)
{
    (void)state;
    for (uint64_t writes = 1; writes <= ITEMS; writes++) {
        struct set set;
        set_up(&set);
        struct vss_disk_ids old[DISKS];
        for (size_t i = 0; i < DISKS; i++) {
            set.disks[i]->faults = NULL;
            read_ids(&set.disks[i]->dev, &old[i]);
            set.disks[i]->faults = &set.faults;
        }
        set.faults.dead_after = writes;
        HRESULT hr = disk_ids_apply(&set.transaction, NULL, NULL, NULL);
        assert_int_equal(hr, writes < ITEMS ? VSS_E_CANNOT_REVERT_DISKID : S_OK);
        for (size_t i = 0; i < DISKS; i++) {
            assert_true(is_whole(set.disks[i], &old[i], &set.fresh[i]));
            disk_ids_free(&old[i]);
        }
        tear_down(&set);
    }
}

/* The same while a lost primary is rebuilt: the backup must not be touched before it stands. */
static void power_may_fail_during_a_repair(void **state)
{
    (void)state;
    static const struct gpt_spec usual = {128, 128, 92};
    for (uint64_t writes = 1; writes <= 4; writes++) {
        struct memory_disk *disk = memory_new("disk", 200, 512);
        gpt_write(disk, &usual);
        memset(memory_block(disk, 1), 0, 10 * 512);
        struct vss_disk_ids ids;
        struct vss_disk_ids fresh;
        read_ids(&disk->dev, &ids);
        assert_int_equal(label_fresh_ids(&ids, 0, 0, &fresh), S_OK);
        struct disk_ids_transaction t = {0};
        assert_int_equal(disk_ids_stage(&t, &disk->dev, &fresh, true, NULL), S_OK);
        assert_int_equal(t.members[0].writes.count, 4);
        struct faults faults = {.dead_after = writes};
        disk->faults = &faults;
        (void)disk_ids_apply(&t, NULL, NULL, NULL);
        assert_true(is_whole(disk, &ids, &fresh));
        disk_ids_transaction_free(&t);
        disk_ids_free(&ids);
        disk_ids_free(&fresh);
        memory_free(disk);
    }
}

static void fresh_ids_are_fresh(void **state)
{
    (void)state;
    struct vss_disk_ids from = {.kind = VSS_DISK_LABEL_MBR, .mbr_signature = 0};
    struct vss_disk_ids out;
    assert_int_equal(label_fresh_ids(&from, 0, 0, &out), S_OK);
    assert_int_not_equal(out.mbr_signature, 0);
    struct vss_partition_id p = {.number = 2, .attributes = 5};
    from =
        (struct vss_disk_ids){.kind = VSS_DISK_LABEL_GPT, .partition_count = 1, .partitions = &p};
    assert_int_equal(label_fresh_ids(&from, GPT_ATTR_SHADOW_BITS, 1, &out), S_OK);
    assert_int_equal(out.mbr_signature, 0);
    assert_false(id_is_null(&out.disk_guid));
    assert_false(id_is_null(&out.partitions[0].guid));
    assert_false(id_equal(&out.disk_guid, &out.partitions[0].guid));
    assert_int_equal(out.partitions[0].number, 2);
    assert_true(out.partitions[0].attributes == (GPT_ATTR_SHADOW_BITS | 4));
    disk_ids_free(&out);
    from.mbr_signature = 9;
    assert_int_equal(label_fresh_ids(&from, 0, 0, &out), S_OK);
    assert_int_not_equal(out.mbr_signature, 0);
    assert_int_not_equal(out.mbr_signature, 9);
    disk_ids_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tools_agree_with_every_change),
        cmocka_unit_test(diff_is_what_is_written),
        cmocka_unit_test(one_lost_header_is_rebuilt),
        cmocka_unit_test(grown_disk_gets_its_backup_at_the_end),
        cmocka_unit_test(repair_needs_room),
        cmocka_unit_test(ids_of_another_disk_are_refused),
        cmocka_unit_test(unlabelled_disk_is_a_no_op),
        cmocka_unit_test(every_operation_may_fail),
        cmocka_unit_test(the_way_back_may_stumble_too),
        cmocka_unit_test(writes_that_lie_are_noticed),
        cmocka_unit_test(a_disk_that_stays_dead_is_named),
        cmocka_unit_test(change_under_our_feet_is_noticed),
        cmocka_unit_test(undo_sink_comes_first),
        cmocka_unit_test(power_may_fail_at_any_write),
        cmocka_unit_test(power_may_fail_during_a_repair),
        cmocka_unit_test(fresh_ids_are_fresh),
    };
    return cmocka_run_group_tests_name("disk_ids", tests, NULL, NULL);
}
