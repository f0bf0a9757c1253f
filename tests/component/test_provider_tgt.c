/* SPDX-License-Identifier: Apache-2.0 */
/* The tgt plug-in on a real tgtd: creating, showing, hiding and deleting copies. */
#include "common/clock.h"
#include "common/process.h"
#include "tgt_fixture.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define GIB (1ull << 30)

/* Records go round in this many slots of 4096 bytes, 1 MiB into each LUN. */
#define SLOTS      512ul
#define SLOT_BYTES 4096ul
#define FIRST_BYTE (1u << 20)

static bool can_clone = true;

/* ---- a writer of dependent records: n on LUN b only after n on LUN a was acknowledged, c after b
 */

static void write_record(struct lun *lun, uint64_t n)
{
    static uint64_t block[SLOT_BYTES / 8];
    for (size_t i = 0; i < SLOT_BYTES / 8; i++) {
        block[i] = n;
    }
    uint32_t blocks = SLOT_BYTES / lun->block.block_bytes;
    uint64_t lba = (FIRST_BYTE + n % SLOTS * SLOT_BYTES) / lun->block.block_bytes;
    if (FAILED(block_write(&lun->block, lba, blocks, block, NULL))) {
        _exit(1);
    }
}

static pid_t start_writer(struct tgt_fixture *f)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct lun *luns[TGT_TEST_LUNS];
        for (int i = 0; i < TGT_TEST_LUNS; i++) {
            luns[i] = tgt_open(f->devices[i], TGT_TEST_OTHER, false);
            if (!luns[i]) {
                _exit(2);
            }
        }
        for (uint64_t n = 1;; n++) {
            for (int i = 0; i < TGT_TEST_LUNS; i++) {
                write_record(luns[i], n);
            }
            if (n == SLOTS && write(ready[1], "x", 1) != 1) {
                _exit(3);
            }
        }
    }
    char byte;
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return pid;
}

static void stop_writer(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0); /* it must still be writing */
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* The last record in a copy; asserts that no record before it is missing or torn. */
static uint64_t last_record(struct tgt_fixture *f, const char *file)
{
    size_t bytes = 0;
    uint64_t last = 0;
    uint8_t *data = tgt_read_file(f, file, &bytes);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        uint64_t n = 0;
        memcpy(&n, data + FIRST_BYTE + slot * SLOT_BYTES, 8);
        last = n > last ? n : last;
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        uint64_t n = 0;
        const uint8_t *start = data + FIRST_BYTE + slot * SLOT_BYTES;
        memcpy(&n, start, 8);
        assert_true(n % SLOTS == slot && n + SLOTS > last && n <= last);
        assert_memory_equal(start, start + 8, SLOT_BYTES - 8);
    }
    free(data);
    return last;
}

static void check_cut(struct tgt_fixture *f)
{
    uint64_t last[TGT_TEST_LUNS];
    for (uint32_t i = 0; i < TGT_TEST_LUNS; i++) {
        char *file = tgt_state_value(f, i, "file");
        last[i] = last_record(f, file);
        free(file);
    }
    print_message("records at the cut: %ju %ju %ju; cut %ju us, held %ju us\n", (uintmax_t)last[0],
                  (uintmax_t)last[1], (uintmax_t)last[2],
                  (uintmax_t)(f->commit.last_cut_us - f->commit.first_cut_us),
                  (uintmax_t)(f->commit.hold.released_at_us - f->commit.hold.held_at_us));
    assert_true(last[0] > SLOTS);
    assert_true(f->commit.hold.held_at_us <= f->commit.first_cut_us);
    assert_true(f->commit.first_cut_us < f->commit.last_cut_us);
    assert_true(f->commit.last_cut_us <= f->commit.hold.released_at_us);
    assert_true(last[1] <= last[0] && last[0] - last[1] <= 1);
    assert_true(last[2] <= last[1] && last[0] - last[2] <= 1);
}

/* ---- what a copy must be like */

static void assert_equal_files(struct tgt_fixture *f, const char *a, const char *b)
{
    size_t a_bytes = 0;
    size_t b_bytes = 0;
    uint8_t *a_data = tgt_read_file(f, a, &a_bytes);
    uint8_t *b_data = tgt_read_file(f, b, &b_bytes);
    assert_int_equal(a_bytes, b_bytes);
    assert_true(memcmp(a_data, b_data, a_bytes) == 0);
    free(a_data);
    free(b_data);
}

static char *copy_url(struct tgt_fixture *f, uint32_t i)
{
    char *target = tgt_state_value(f, i, "target");
    char *number = tgt_state_value(f, i, "number");
    char *url = tgt_url(f, target, (uint32_t)strtoul(number, NULL, 10));
    free(target);
    free(number);
    return url;
}

static void assert_copies_are_as_told(struct tgt_fixture *f)
{
    for (uint32_t i = 0; i < TGT_TEST_LUNS; i++) {
        const char *reason = "";
        char *url = copy_url(f, i);
        struct lun *lun = tgt_open(url, TGT_TEST_ME, false);
        assert_non_null(lun);
        if (!lun_info_matches(&f->luns[i].destination, &lun->identity.info, &reason)) {
            fail_msg("%s: %s", url, reason);
        }
        assert_int_equal(lun_info_compare(&f->luns[i].source, &lun->identity.info), LUN_DIFFERENT);
        assert_int_equal(lun->identity.block_bytes, f->identities[i].block_bytes);
        assert_int_equal(lun->identity.block_count, f->identities[i].block_count);
        uint8_t block[4096] = {0};
        assert_int_equal(block_write(&lun->block, 1, 1, block, NULL), S_OK);
        lun_close(lun);
        assert_null(tgt_open(url, TGT_TEST_OTHER, true));
        free(url);
    }
}

static HRESULT write_to_copy(struct tgt_fixture *f, uint32_t i)
{
    uint8_t block[4096] = {0};
    char *url = copy_url(f, i);
    struct lun *lun = tgt_open(url, TGT_TEST_ME, false);
    free(url);
    HRESULT hr = lun ? block_write(&lun->block, 1, 1, block, NULL) : VSS_E_OBJECT_NOT_FOUND;
    lun_close(lun);
    return hr;
}

static void check_life_of_copies(struct tgt_fixture *f)
{
    tgt_import(f);
    assert_copies_are_as_told(f);
    f->set.initiator = TGT_TEST_OTHER; /* a second import is for another host alone */
    tgt_call_ok(f, VSS_OP_LOCATE_LUNS);
    assert_int_equal(write_to_copy(f, 0), VSS_E_OBJECT_NOT_FOUND);
    tgt_import(f);
    tgt_import(f);
    assert_int_equal(tgt_change(f, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY), S_OK);
    assert_int_equal(write_to_copy(f, 2), E_ACCESSDENIED);
    assert_int_equal(tgt_change(f, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY), S_OK);
    assert_int_equal(write_to_copy(f, 2), S_OK);
    char *url = copy_url(f, 1);
    struct lun *lun = tgt_open(url, TGT_TEST_ME, false);
    assert_non_null(lun);
    assert_int_equal(tgt_change(f, VSS_ONLUNSTATECHANGE_DO_MASK_LUNS), S_OK);
    uint8_t block[4096];
    assert_true(FAILED(block_read(&lun->block, 1, 1, block, NULL)));
    lun_close(lun);
    assert_null(tgt_open(url, TGT_TEST_ME, true));
    free(url);
    assert_int_equal(tgt_count_files(f), TGT_TEST_LUNS);
}

static void create_under_load(uint64_t image_bytes, uint32_t context, const char *mode)
{
    static struct tgt_fixture f;
    tgt_fixture_up(&f, image_bytes);
    tgt_make_set(&f, context);
    pid_t writer = start_writer(&f);
    tgt_create(&f);
    stop_writer(writer);
    assert_int_equal(f.host.hold_count, 1);
    char *found = tgt_state_value(&f, 0, "mode");
    assert_string_equal(found, mode);
    free(found);
    check_cut(&f);
    check_life_of_copies(&f);
    tgt_delete_all(&f);
    tgt_fixture_down(&f);
}

static void clones_are_cut_under_load(void **state)
{
    (void)state;
    create_under_load(can_clone ? GIB : 0, VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE,
                      can_clone ? "clone" : "held");
}

static void full_copies_are_cut_under_load(void **state)
{
    (void)state;
    create_under_load(0, VSS_CTX_BACKUP | VSS_VOLSNAP_ATTR_PLEX, "held");
}

static bool shares_blocks(const char *path)
{
    union {
        struct fiemap map;
        uint8_t space[sizeof(struct fiemap) + 256 * sizeof(struct fiemap_extent)];
    } u = {.map = {.fm_length = FIEMAP_MAX_OFFSET,
                   .fm_flags = FIEMAP_FLAG_SYNC,
                   .fm_extent_count = 256}};
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, FS_IOC_FIEMAP, &u.map), 0);
    assert_in_range(u.map.fm_mapped_extents, 1, 255);
    for (uint32_t i = 0; i < u.map.fm_mapped_extents; i++) {
        found = found || (u.map.fm_extents[i].fe_flags & FIEMAP_EXTENT_SHARED);
    }
    (void)close(fd);
    return found;
}

static void plexes_share_nothing(void **state)
{
    (void)state;
    if (!can_clone) {
        skip();
    }
    static struct tgt_fixture f;
    tgt_fixture_up(&f, GIB);
    tgt_make_set(&f, VSS_CTX_BACKUP | VSS_VOLSNAP_ATTR_PLEX);
    tgt_call_ok(&f, VSS_OP_END_PREPARE_SNAPSHOTS);
    assert_int_equal(tgt_count_files(&f), 2 * TGT_TEST_LUNS);
    pid_t writer = start_writer(&f);
    for (int op = VSS_OP_PRE_COMMIT_SNAPSHOTS; op <= VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS; op++) {
        tgt_call_ok(&f, (enum vss_provider_op)op);
    }
    stop_writer(writer);
    check_cut(&f);
    assert_int_equal(tgt_count_files(&f), TGT_TEST_LUNS);
    char *file = tgt_state_value(&f, 0, "file");
    assert_false(shares_blocks(file));
    free(file);
    tgt_delete_all(&f);
    tgt_make_set(&f, VSS_CTX_BACKUP | VSS_VOLSNAP_ATTR_DIFFERENTIAL);
    tgt_create(&f);
    file = tgt_state_value(&f, 0, "file");
    assert_true(shares_blocks(file)); /* so the question above can be answered with yes */
    assert_equal_files(&f, "a.img", file);
    free(file);
    tgt_delete_all(&f);
    tgt_fixture_down(&f);
}

/* ---- giving up */

static void abort_leaves_nothing(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    for (int last = VSS_OP_END_PREPARE_SNAPSHOTS; last <= VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS;
         last++) {
        tgt_make_set(&f, last % 2 ? VSS_VOLSNAP_ATTR_PLEX : 0);
        for (int op = VSS_OP_END_PREPARE_SNAPSHOTS; op <= last; op++) {
            tgt_call_ok(&f, (enum vss_provider_op)op);
        }
        if (last == VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS) {
            tgt_import(&f);
        }
        assert_true(tgt_count_files(&f) >= TGT_TEST_LUNS);
        if (last == VSS_OP_COMMIT_SNAPSHOTS) { /* a host that lost its states */
            for (int i = 0; i < TGT_TEST_LUNS; i++) {
                f.luns[i].state = (struct vss_state){0};
            }
        }
        tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS);
        assert_int_equal(tgt_count_files(&f), 0);
        assert_false(tgt_shows(&f, "lunshadow:copies"));
        tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS);
    }
    tgt_fixture_down(&f);
}

static void abort_spares_other_sets(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    tgt_create(&f);
    tgt_import(&f);
    struct vss_state kept[TGT_TEST_LUNS];
    struct vss_set_in first = f.set;
    for (int i = 0; i < TGT_TEST_LUNS; i++) {
        kept[i] = f.luns[i].state;
    }
    tgt_make_set(&f, 0);
    plugin_host_set(&f.host, "lab", "no"); /* copies of other sets are not foreign */
    tgt_create(&f);
    tgt_call_ok(&f, VSS_OP_ABORT_SNAPSHOTS);
    assert_int_equal(tgt_count_files(&f), TGT_TEST_LUNS);
    assert_true(tgt_shows(&f, "lunshadow:copies"));
    f.set.set_id = first.set_id;
    for (int i = 0; i < TGT_TEST_LUNS; i++) {
        f.luns[i].state = kept[i];
    }
    tgt_delete_all(&f);
    tgt_fixture_down(&f);
}

/* ---- what is not ours, and vetoes */

static void masking_takes_only_what_is_asked(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    tgt_make_set(&f, 0);
    tgt_create(&f);
    tgt_import(&f);
    f.set.lun_count = 1;
    assert_int_equal(tgt_change(&f, VSS_ONLUNSTATECHANGE_DO_MASK_LUNS), S_OK);
    f.set.lun_count = TGT_TEST_LUNS;
    assert_int_equal(write_to_copy(&f, 0), VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(write_to_copy(&f, 1), S_OK);
    assert_int_equal(tgt_count_files(&f), TGT_TEST_LUNS);
    tgt_import(&f);
    assert_int_equal(write_to_copy(&f, 0), S_OK);
    char *target = tgt_state_value(&f, 0, "target");
    assert_int_equal(lab_unmask_target(f.lab, target, NULL), S_OK);
    const char *const open_up[] = {"--lld", "iscsi", "--op", "bind", "--mode", "target",
                                   "--tid", "3",     "-I",   "ALL",  NULL};
    (void)lab_tgtadm(f.lab, open_up, NULL, NULL);
    assert_int_equal(tgt_change(&f, VSS_ONLUNSTATECHANGE_DO_MASK_LUNS), VSS_E_PROVIDER_VETO);
    assert_non_null(strstr(f.host.error, "ALL"));
    free(target);
    tgt_delete_all(&f);
    tgt_fixture_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(clones_are_cut_under_load, tgt_fixture_end),
        cmocka_unit_test_teardown(full_copies_are_cut_under_load, tgt_fixture_end),
        cmocka_unit_test_teardown(plexes_share_nothing, tgt_fixture_end),
        cmocka_unit_test_teardown(abort_leaves_nothing, tgt_fixture_end),
        cmocka_unit_test_teardown(abort_spares_other_sets, tgt_fixture_end),
        cmocka_unit_test_teardown(masking_takes_only_what_is_asked, tgt_fixture_end),
    };
    if (!process_has_program("tgtd")) {
        (void)printf("skipped: tgtd is not installed\n");
        return 77;
    }
    can_clone = tgt_can_clone();
    if (!can_clone) {
        (void)printf("no reflink filesystem can be mounted here: copies are full copies\n");
    }
    return cmocka_run_group_tests_name("provider_tgt", tests, NULL, NULL);
}
