/* SPDX-License-Identifier: Apache-2.0 */
/* The drill's own tools on a real array: a cut made while tgtd is stopped passes, one with a gap or
 * with one wrong byte does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/id.h"
#include "drill/cut.h"
#include "drill/workload.h"
#include "lab/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LUNS      3
#define LUN_BYTES (32u * 1024 * 1024)
#define TARGET    "iqn.2026-11.local.lunshadow:test-workload"
#define INITIATOR "iqn.2026-11.local.lunshadow:test-initiator"
#define SEED      7u
#define CUTS      20

struct bench {
    char *scratch;
    struct lab *lab;
    struct layout layouts[LUNS];
    struct workload_lun luns[LUNS];
    struct image *images[LUNS];
};

static void check(HRESULT hr, const struct error *err)
{
    if (FAILED(hr)) {
        fail_msg("%s", error_text(err));
    }
}

static void add_lun(struct bench *b, uint32_t number, uint32_t block_bytes)
{
    struct error err = {0};
    char file[32];
    (void)snprintf(file, sizeof(file), "lun-%u.img", number);
    struct lab_lun_options options = {.target = TARGET,
                                      .lun = number,
                                      .file = file,
                                      .bytes = LUN_BYTES,
                                      .block_bytes = block_bytes};
    check(lab_add_lun(b->lab, &options, &err), &err);
    uint64_t blocks = LUN_BYTES / block_bytes;
    struct range ranges[] = {{100, blocks / 2 - 200}, {blocks / 2, blocks / 2 - 100}};
    struct layout *layout = &b->layouts[number - 1];
    check(layout_make(number, block_bytes, blocks, ranges, 2, layout, &err), &err);
    struct workload_lun *lun = &b->luns[number - 1];
    (void)snprintf(lun->address.portal, sizeof(lun->address.portal), "%s", b->lab->portal);
    (void)snprintf(lun->address.target, sizeof(lun->address.target), "%s", TARGET);
    lun->address.lun = (int)number;
    lun->layout = layout;
    struct raw *raw = NULL;
    check(raw_open(&lun->address, INITIATOR, &raw, &err), &err);
    check(image_new(layout, SEED, &b->images[number - 1], &err), &err);
    check(image_write(b->images[number - 1], raw, &err), &err);
    check(image_capture(b->images[number - 1], raw, &err), &err);
    raw_close(raw);
}

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct error err = {0};
    char scratch[] = "/var/tmp/lsw-XXXXXX";
    assert_non_null(b);
    assert_non_null(mkdtemp(scratch));
    b->scratch = strdup(scratch);
    char *directory = text_printf("%s/lab", scratch);
    struct lab_options options = {.directory = directory, .image_bytes = 2ull << 30};
    check(lab_up(&options, &b->lab, &err), &err);
    free(directory);
    for (uint32_t i = 1; i <= LUNS; i++) {
        add_lun(b, i, i == 3 ? 4096 : 512);
    }
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    struct error err = {0};
    check(lab_down(b->lab, &err), &err);
    for (size_t i = 0; i < LUNS; i++) {
        image_free(b->images[i]);
        layout_free(&b->layouts[i]);
    }
    const char *command[] = {"rm", "-rf", b->scratch, NULL};
    check(process_run(command, 10000, NULL, &err), &err);
    free(b->scratch);
    free(b);
    return 0;
}

static struct raw *open_lun(struct bench *b, size_t index)
{
    struct error err = {0};
    struct raw *raw = NULL;
    check(raw_open(&b->luns[index].address, INITIATOR, &raw, &err), &err);
    return raw;
}

/* ---- taking copies of the backing files ---- */

static char *copy_path(struct bench *b, const char *kind, int n, size_t lun)
{
    return text_printf("%s/%s-%d-%zu.img", b->lab->disks, kind, n, lun + 1);
}

static void clone_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(in >= 0 && out >= 0);
    if (ioctl(out, FICLONE, in) != 0) {
        ssize_t n;
        do {
            n = copy_file_range(in, NULL, out, NULL, LUN_BYTES, 0);
        } while (n > 0);
        assert_int_equal(n, 0);
    }
    (void)close(in);
    (void)close(out);
}

/* So many records more are on all LUNs. */
static void wait_for_records(const struct acks *acks, uint64_t records)
{
    uint64_t until = acks_count(acks) + records * LUNS;
    while (acks_count(acks) < until) {
        clock_sleep_ms(1);
    }
}

/* With some records between two of them where it is told of the workload's; NULL: none. */
static void take_copies(struct bench *b, const char *kind, int n, const struct acks *between)
{
    for (size_t i = 0; i < LUNS; i++) {
        char *from = text_printf("%s/lun-%zu.img", b->lab->disks, i + 1);
        char *to = copy_path(b, kind, n, i);
        clone_file(from, to);
        free(from);
        free(to);
        if (between && i + 1 < LUNS) {
            wait_for_records(between, 10);
        }
    }
}

static char main_thread_state(pid_t pid)
{
    char path[64];
    char text[256] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    (void)fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    const char *end = strrchr(text, ')');
    return end ? end[2] : '?';
}

static void take_held_copies(struct bench *b, int n)
{
    assert_int_equal(kill(b->lab->tgtd_pid, SIGSTOP), 0);
    while (main_thread_state(b->lab->tgtd_pid) != 'T') {
        clock_sleep_ms(1);
    }
    take_copies(b, "held", n, NULL);
    assert_int_equal(kill(b->lab->tgtd_pid, SIGCONT), 0);
}

static void check_copies(struct bench *b, const char *kind, int n, const struct acks *acks,
                         struct cut_result *out)
{
    struct error err = {0};
    struct cut_member members[LUNS];
    for (size_t i = 0; i < LUNS; i++) {
        char *path = copy_path(b, kind, n, i);
        members[i].before = b->images[i];
        check(raw_open_file(path, b->layouts[i].block_bytes, true, &members[i].raw, &err), &err);
        free(path);
    }
    check(cut_check(members, LUNS, acks, out, &err), &err);
    for (size_t i = 0; i < LUNS; i++) {
        raw_close(members[i].raw);
    }
}

/* ---- the tests ---- */

static void the_fill_is_what_the_image_says(void **state)
{
    struct bench *b = *state;
    struct error err = {0};
    for (size_t i = 0; i < LUNS; i++) {
        struct raw *raw = open_lun(b, i);
        struct image_difference d;
        check(image_compare(b->images[i], raw, IMAGE_ALL, &d, &err), &err);
        assert_int_equal(d.different_blocks, 0);
        assert_int_equal(d.compared_blocks, raw->block_count);
        raw_close(raw);
    }
}

static void one_changed_byte_is_found_where_it_is(void **state)
{
    struct bench *b = *state;
    struct error err = {0};
    struct raw *raw = open_lun(b, 1);
    uint8_t block[512];
    check(raw_read(raw, 5000, 1, block, &err), &err);
    block[300] ^= 1;
    check(raw_write(raw, 5000, 1, block, &err), &err);
    struct image_difference d;
    check(image_compare(b->images[1], raw, IMAGE_ALL, &d, &err), &err);
    assert_int_equal(d.different_blocks, 1);
    assert_int_equal(d.first_block, 5000);
    assert_int_equal(d.first_byte, 300);
    block[300] ^= 1;
    check(raw_write(raw, 5000, 1, block, &err), &err);
    check(image_compare(b->images[1], raw, IMAGE_ALL, &d, &err), &err);
    assert_int_equal(d.different_blocks, 0);
    raw_close(raw);
}

static void a_write_past_the_end_is_refused(void **state)
{
    struct bench *b = *state;
    struct error err = {0};
    struct raw *raw = open_lun(b, 0);
    uint8_t block[1024] = {0};
    assert_int_equal(raw_write(raw, raw->block_count - 1, 2, block, &err), E_INVALIDARG);
    assert_false(raw->is_lost);
    raw_close(raw);
}

static void a_cut_session_is_noticed(void **state)
{
    struct bench *b = *state;
    struct error err = {0};
    struct raw *raw = open_lun(b, 0);
    assert_true(raw_is_alive(raw));
    check(lab_mask_target(b->lab, TARGET, &err), &err);
    assert_false(raw_is_alive(raw));
    raw_close(raw);
    assert_int_equal(raw_open(&b->luns[0].address, INITIATOR, &raw, NULL), VSS_E_OBJECT_NOT_FOUND);
    assert_null(raw);
    bool is_listed = true;
    check(raw_is_listed(b->lab->portal, TARGET, INITIATOR, &is_listed, &err), &err);
    assert_false(is_listed);
    check(lab_unmask_target(b->lab, TARGET, &err), &err);
    check(raw_is_listed(b->lab->portal, TARGET, INITIATOR, &is_listed, &err), &err);
    assert_true(is_listed);
}

static void flip_one_byte(struct bench *b, const char *kind, int n, size_t lun, off_t offset)
{
    char *path = copy_path(b, kind, n, lun);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    (void)close(fd);
    free(path);
}

static void run_and_take(struct bench *b, const struct workload_plan *plan)
{
    struct error err = {0};
    struct workload *load = NULL;
    check(workload_start(plan, &load, &err), &err);
    clock_sleep_ms(1100);
    uint64_t now = clock_monotonic_us();
    print_message(
        "%lu records in the last second\n",
        (unsigned long)workload_records_between(workload_acks(load), LUNS, now - 1000000, now));
    for (int n = 0; n < CUTS; n++) {
        take_held_copies(b, n);
        clock_sleep_ms(40);
    }
    take_copies(b, "gap", 0, workload_acks(load));
    check(workload_check(load, &err), &err);
    check(workload_stop(load, &err), &err);
}

static void only_held_copies_are_one_moment(void **state)
{
    struct bench *b = *state;
    struct error err = {0};
    char *log = text_printf("%s/acks", b->scratch);
    struct workload_plan plan = {.log_path = log,
                                 .seed = SEED,
                                 .first_record = 1,
                                 .record_limit = 1000000,
                                 .initiator = INITIATOR,
                                 .luns = b->luns,
                                 .lun_count = LUNS};
    run_and_take(b, &plan);
    struct acks *acks = NULL;
    struct cut_result r;
    check(acks_open(log, &acks, &err), &err);
    for (int n = 0; n < CUTS; n++) {
        check_copies(b, "held", n, acks, &r);
        if (!cut_holds(&r)) {
            fail_msg("cut %d of %d: %s", n + 1, CUTS, r.text);
        }
        assert_true(r.newest[0] > 0);
    }
    print_message("cut: %s; %lu records in the second before\n", r.text,
                  (unsigned long)r.records_in_second);
    check_copies(b, "gap", 0, acks, &r);
    assert_false(r.is_in_order);
    flip_one_byte(b, "held", 3, 1, (off_t)5000 * 512 + 77);
    check_copies(b, "held", 3, acks, &r);
    assert_true(r.is_in_order);
    assert_false(r.is_whole);
    assert_int_equal(r.bad_blocks, 1);
    assert_int_equal(r.first_bad_member, 1);
    assert_int_equal(r.first_bad_block, 5000);
    for (size_t i = 0; i < LUNS; i++) { /* and the LUNs are what the whole log says */
        struct raw *raw = open_lun(b, i);
        struct image_difference d;
        check(image_apply(b->images[i], acks, UINT64_MAX, &err), &err);
        check(image_compare(b->images[i], raw, IMAGE_ALL, &d, &err), &err);
        assert_int_equal(d.different_blocks, 0);
        raw_close(raw);
    }
    acks_close(acks);
    free(log);
}

static void a_workload_without_its_lun_says_so(void **state)
{
    struct bench *b = *state;
    struct error err = {0};
    struct workload_lun lun = b->luns[0];
    lun.address.lun = 99;
    char *log = text_printf("%s/acks-none", b->scratch);
    struct workload_plan plan = {.log_path = log,
                                 .seed = SEED,
                                 .first_record = 1,
                                 .record_limit = 10,
                                 .initiator = INITIATOR,
                                 .luns = &lun,
                                 .lun_count = 1};
    struct workload *load = NULL;
    assert_true(FAILED(workload_start(&plan, &load, &err)));
    assert_null(load);
    assert_non_null(strstr(err.text, "/99"));
    free(log);
}

int main(void)
{
    if (access("/usr/sbin/tgtd", X_OK) != 0) {
        print_message("skipped: tgtd is not installed\n");
        return 77;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fill_is_what_the_image_says),
        cmocka_unit_test(one_changed_byte_is_found_where_it_is),
        cmocka_unit_test(a_write_past_the_end_is_refused),
        cmocka_unit_test(a_cut_session_is_noticed),
        cmocka_unit_test(a_workload_without_its_lun_says_so),
        cmocka_unit_test(only_held_copies_are_one_moment),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
