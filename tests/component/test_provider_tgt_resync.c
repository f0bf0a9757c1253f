/* SPDX-License-Identifier: Apache-2.0 */
/* The tgt plug-in's resync on a real tgtd: copies over their originals, over larger and smaller
 * LUNs. */
#include "common/clock.h"
#include "common/id.h"
#include "common/process.h"
#include "tgt_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define GIB        (1ull << 30)
#define EDGE_BYTES (1u << 20)
#define TARGET_BIG "iqn.2026-11.lunshadow.test:big"

static bool can_clone = true;

struct resync {
    struct vss_resync_lun luns[TGT_TEST_LUNS];
    struct vss_resync_in in;
    struct vss_resync_out out;
};

static void make_resync(struct tgt_fixture *f, struct resync *r, uint32_t count)
{
    memset(r, 0, sizeof(*r));
    for (uint32_t i = 0; i < count; i++) {
        r->luns[i] = (struct vss_resync_lun){.snapshot = f->luns[i].destination,
                                             .destination = f->luns[i].source,
                                             .snapshot_state = f->luns[i].state,
                                             .edge_bytes = EDGE_BYTES};
    }
    r->in = (struct vss_resync_in){
        .struct_size = sizeof(r->in), .lun_count = count, .resync_id = id_new(), .luns = r->luns};
}

static HRESULT run(struct tgt_fixture *f, struct resync *r, enum vss_provider_op op)
{
    r->out = (struct vss_resync_out){.struct_size = sizeof(r->out)};
    HRESULT hr = plugin_host_call(&f->host, op, &r->in, &r->out);
    if (SUCCEEDED(hr) && r->out.state.data) {
        r->in.state = r->out.state;
    }
    return hr;
}

static void run_ok(struct tgt_fixture *f, struct resync *r, enum vss_provider_op op)
{
    HRESULT hr = run(f, r, op);
    if (hr != S_OK) {
        fail_msg("operation %d: 0x%08x %s", (int)op, (unsigned)hr, f->host.error);
    }
}

static void poll_to_the_end(struct tgt_fixture *f, struct resync *r)
{
    uint64_t before = 0;
    for (int i = 0; i < 1000 && !r->out.is_done; i++) {
        run_ok(f, r, VSS_OP_RESYNC_POLL);
        assert_true(r->out.bytes_done >= before && r->out.bytes_done <= r->out.bytes_total);
        before = r->out.bytes_done;
    }
    assert_int_equal(r->out.is_done, 1);
    assert_int_equal(r->out.bytes_done, r->out.bytes_total);
    assert_int_equal(r->out.bytes_total, (uint64_t)r->in.lun_count * TGT_TEST_BYTES);
    print_message("%s\n", r->out.method);
    assert_non_null(strstr(r->out.method, can_clone ? "reflink" : "copied"));
}

static bool is_equal(struct tgt_fixture *f, const char *a, const char *b)
{
    size_t a_bytes = 0;
    size_t b_bytes = 0;
    uint8_t *a_data = tgt_read_file(f, a, &a_bytes);
    uint8_t *b_data = tgt_read_file(f, b, &b_bytes);
    bool equal = a_bytes == b_bytes && memcmp(a_data, b_data, a_bytes) == 0;
    free(a_data);
    free(b_data);
    return equal;
}

static bool is_equal_to_copy(struct tgt_fixture *f, uint32_t i, const char *file)
{
    char *copy = tgt_state_value(f, i, "file");
    bool equal = is_equal(f, copy, file);
    free(copy);
    return equal;
}

static void assert_no_label(struct tgt_fixture *f, const char *file)
{
    static const uint8_t zeros[EDGE_BYTES];
    size_t bytes = 0;
    uint8_t *data = tgt_read_file(f, file, &bytes);
    assert_true(memcmp(data, zeros, EDGE_BYTES) == 0);
    assert_true(memcmp(data + bytes - EDGE_BYTES, zeros, EDGE_BYTES) == 0);
    free(data);
}

/* A set with its copies' identities known, and originals that were written over since. */
static void make_damaged_set(struct tgt_fixture *f)
{
    tgt_make_set(f, 0);
    tgt_create(f);
    tgt_import(f);
    tgt_fill(f, "a.img", TGT_TEST_BYTES, 111);
    tgt_fill(f, "b.img", 8 << 20, 222);
    assert_false(is_equal_to_copy(f, 0, "a.img"));
}

static void clean_up(struct tgt_fixture *f)
{
    for (uint32_t i = 0; i < TGT_TEST_LUNS; i++) {
        assert_int_equal(tgt_delete(f, i), S_OK);
    }
    tgt_fixture_down(f);
}

static void copies_go_over_their_originals(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    struct resync r;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    make_damaged_set(&f);
    struct lun *live = tgt_open(f.devices[0], TGT_TEST_OTHER, false);
    assert_non_null(live);
    uint8_t block[512];
    assert_int_equal(block_read(&live->block, 5000, 1, block, NULL), S_OK);

    const struct vss_state_change_in change = {.struct_size = sizeof(change),
                                               .flags =
                                                   VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY,
                                               .set = f.set,
                                               .is_resync = 1};
    struct vss_states_out ignored = {.struct_size = sizeof(ignored)};
    assert_int_equal(plugin_host_call(&f.host, VSS_OP_ON_LUN_STATE_CHANGE, &change, &ignored),
                     S_OK);
    assert_true(FAILED(block_read(&live->block, 5000, 1, block, NULL)));
    lun_close(live);
    live = tgt_open(f.devices[0], TGT_TEST_OTHER, false); /* back with a fresh login */
    assert_non_null(live);

    make_resync(&f, &r, TGT_TEST_LUNS);
    run_ok(&f, &r, VSS_OP_RESYNC_START);
    assert_int_equal(r.out.is_done, 0);
    assert_no_label(&f, "a.img");
    assert_no_label(&f, "c.img");
    poll_to_the_end(&f, &r);
    assert_true(is_equal_to_copy(&f, 0, "a.img"));
    assert_true(is_equal_to_copy(&f, 1, "b.img"));
    assert_true(is_equal_to_copy(&f, 2, "c.img"));
    uint8_t *data = NULL;
    size_t bytes = 0;
    char *file = tgt_state_value(&f, 0, "file");
    data = tgt_read_file(&f, file, &bytes);
    assert_int_equal(block_read(&live->block, 5000, 1, block, NULL), S_OK);
    assert_memory_equal(block, data + 5000ul * 512, 512); /* a session that is open sees it too */
    free(data);
    free(file);
    assert_int_equal(lun_identify(live, NULL), S_OK);
    assert_int_equal(lun_info_compare(&live->identity.info, &f.sources[0]), LUN_SAME);
    lun_close(live);
    clean_up(&f);
}

/* A set is made of other LUNs of this tgtd while the resync goes on: it waits, and loses nothing.
 */
static void hold_of_another_set_is_waited_for(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    struct resync r;
    make_damaged_set(&f);
    make_resync(&f, &r, TGT_TEST_LUNS);
    run_ok(&f, &r, VSS_OP_RESYNC_START);
    uint64_t begun_us = clock_monotonic_us();
    pid_t holder = tgt_hold_for(&f, 1000);
    run_ok(&f, &r, VSS_OP_RESYNC_POLL);
    assert_true(clock_monotonic_us() - begun_us > 900000); /* it was stopped all the time */
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    poll_to_the_end(&f, &r);
    assert_true(is_equal_to_copy(&f, 0, "a.img"));
    clean_up(&f);
}

static void larger_destination_becomes_as_large(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    struct resync r;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    make_damaged_set(&f);
    tgt_add_lun(&f, TARGET_BIG, 3, "big.img", TGT_TEST_BYTES + (5 << 20), 512, NULL);
    char *url = tgt_url(&f, TARGET_BIG, 3);
    struct lun *big = tgt_open(url, TGT_TEST_ME, false);
    assert_non_null(big);
    assert_int_equal(scsi_pr_register(big->session, 3, 0, 77, NULL), S_OK);
    struct vss_lun_info info;
    assert_int_equal(lun_info_copy(&big->identity.info, &info), S_OK);
    make_resync(&f, &r, 1);
    r.luns[0].destination = info;
    run_ok(&f, &r, VSS_OP_RESYNC_START);
    assert_no_label(&f, "big.img");
    poll_to_the_end(&f, &r);
    assert_true(is_equal_to_copy(&f, 0, "big.img"));
    assert_int_equal(lun_identify(big, NULL), S_OK);
    assert_int_equal(big->identity.block_count, TGT_TEST_BYTES / 512);
    assert_int_equal(lun_info_compare(&big->identity.info, &info), LUN_SAME);
    uint64_t key = 0;
    size_t keys = 0;
    assert_int_equal(scsi_pr_read_keys(big->session, 3, &key, 1, &keys, NULL), S_OK);
    assert_int_equal(keys, 1); /* reservations outlive the change of size */
    assert_int_equal(key, 77);
    lun_close(big);
    lun_info_free(&info);
    free(url);
    clean_up(&f);
}

static void refuse(struct tgt_fixture *f, struct resync *r, HRESULT expected, const char *text)
{
    assert_int_equal(run(f, r, VSS_OP_RESYNC_START), expected);
    print_message("%s\n", f->host.error);
    assert_non_null(strstr(f->host.error, text));
}

static void unfit_destinations_are_left_alone(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    struct resync r;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    make_damaged_set(&f);
    tgt_add_lun(&f, TARGET_BIG, 3, "small.img", TGT_TEST_BYTES - (1 << 20), 512, NULL);
    tgt_fill(&f, "twin.img", TGT_TEST_BYTES - (1 << 20), 3 * 977);
    tgt_fill(&f, "a.twin", TGT_TEST_BYTES, 111);
    char *url = tgt_url(&f, TARGET_BIG, 3);
    struct lun *small = tgt_open(url, TGT_TEST_ME, true);
    assert_non_null(small);

    make_resync(&f, &r, 2); /* the second is wrong: the first must not be touched either */
    r.luns[1].destination = small->identity.info;
    refuse(&f, &r, VSS_E_PROVIDER_VETO, "smaller");
    r.luns[1].destination = f.sources[2];
    refuse(&f, &r, VSS_E_PROVIDER_VETO, "4096");
    r.luns[1].destination = f.sources[0];
    refuse(&f, &r, E_INVALIDARG, "two copies");
    r.luns[1].destination = f.luns[1].destination;
    refuse(&f, &r, VSS_E_PROVIDER_VETO, "the copy itself");
    r.luns[1].destination = f.sources[1];
    r.luns[1].destination.serial_number = (char *)"unknown";
    refuse(&f, &r, VSS_E_OBJECT_NOT_FOUND, "not among");
    r.luns[1].destination = f.sources[1];
    r.luns[1].snapshot_state = f.luns[0].state;
    refuse(&f, &r, VSS_E_PROVIDER_VETO, "another copy");
    r.luns[1].snapshot_state = f.luns[1].state;
    r.luns[1].edge_bytes = UINT64_MAX;
    refuse(&f, &r, E_INVALIDARG, "edges");
    assert_true(is_equal(&f, "small.img", "twin.img"));
    assert_true(is_equal(&f, "a.img", "a.twin"));
    lun_close(small);
    free(url);
    clean_up(&f);
}

static void unfinished_destination_has_no_label(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "version=1\n",
                                      "version=1\nphase=9\nlun=0\noffset=0\ndone=0\nwritten=0\n"
                                      "cloned=0\n",
                                      "version=1\nphase=0\nlun=0\noffset=7\ndone=0\nwritten=0\n"
                                      "cloned=0\n",
                                      "version=1\nphase=0\nlun=9\noffset=0\ndone=0\nwritten=0\n"
                                      "cloned=0\n"};
    static struct tgt_fixture f;
    struct resync r;
    tgt_fixture_up(&f, can_clone ? GIB : 0);
    make_damaged_set(&f);
    make_resync(&f, &r, TGT_TEST_LUNS);
    run_ok(&f, &r, VSS_OP_RESYNC_START);
    const struct vss_state good = r.in.state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        r.in.state =
            (struct vss_state){.bytes = (uint32_t)strlen(bad[i]), .data = (const uint8_t *)bad[i]};
        assert_int_equal(run(&f, &r, VSS_OP_RESYNC_POLL), VSS_E_PROVIDER_VETO);
    }
    r.in.state = good;
    run_ok(&f, &r, VSS_OP_RESYNC_CANCEL);
    for (uint32_t i = 0; i < TGT_TEST_LUNS; i++) {
        static const char *const files[] = {"a.img", "b.img", "c.img"};
        assert_no_label(&f, files[i]);
    }
    run_ok(&f, &r, VSS_OP_RESYNC_START); /* and it can be had again */
    poll_to_the_end(&f, &r);
    assert_true(is_equal_to_copy(&f, 0, "a.img"));
    clean_up(&f);
}

/* The last test's check, in the other way of copying: whichever of the two the others do not use.
 */
static void plain_directories_are_copied(void **state)
{
    (void)state;
    static struct tgt_fixture f;
    struct resync r;
    bool before = can_clone;
    can_clone = false;
    tgt_fixture_up(&f, 0);
    make_damaged_set(&f);
    make_resync(&f, &r, TGT_TEST_LUNS);
    run_ok(&f, &r, VSS_OP_RESYNC_START);
    poll_to_the_end(&f, &r);
    assert_true(is_equal_to_copy(&f, 0, "a.img"));
    assert_true(is_equal_to_copy(&f, 1, "b.img"));
    assert_true(is_equal_to_copy(&f, 2, "c.img"));
    clean_up(&f);
    can_clone = before;
}

static bool look_for_clones(void)
{
    struct lab_options options = {.directory = "/tmp/lunshadow-resync-probe",
                                  .image_bytes = 512ull << 20};
    struct lab *lab = NULL;
    bool has = SUCCEEDED(lab_up(&options, &lab, NULL)) && lab->has_reflink;
    (void)lab_down(lab, NULL);
    return has;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(copies_go_over_their_originals, tgt_fixture_end),
        cmocka_unit_test_teardown(hold_of_another_set_is_waited_for, tgt_fixture_end),
        cmocka_unit_test_teardown(larger_destination_becomes_as_large, tgt_fixture_end),
        cmocka_unit_test_teardown(unfit_destinations_are_left_alone, tgt_fixture_end),
        cmocka_unit_test_teardown(unfinished_destination_has_no_label, tgt_fixture_end),
        cmocka_unit_test_teardown(plain_directories_are_copied, tgt_fixture_end),
    };
    if (!process_has_program("tgtd")) {
        (void)printf("skipped: tgtd is not installed\n");
        return 77;
    }
    can_clone = look_for_clones();
    return cmocka_run_group_tests_name("provider_tgt_resync", tests, NULL, NULL);
}
