/* SPDX-License-Identifier: Apache-2.0 */
/* The drill's judges of labels: they accept what the tools made and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drill/disk_label.h"
#include "drill/image.h"
#include "drill/judge.h"
#include "drill/raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DISK_BYTES (64ull << 20)
#define FORMS      3

struct disk {
    enum label_form form;
    struct layout layout;
    uint8_t *fixed;
    struct fields *fields;
};

static char scratch[] = "/var/tmp/lsj-XXXXXX";

static void check(HRESULT hr, const struct error *err)
{
    if (FAILED(hr)) {
        fail_msg("%s", error_text(err));
    }
}

static void read_fields(struct disk *d)
{
    struct error err = {0};
    free(d->fields);
    check(fields_read(&d->layout, d->fixed, &d->fields, &err), &err);
}

static void make(struct disk *d, enum label_form form)
{
    struct error err = {0};
    *d = (struct disk){.form = form};
    check(disk_label_layout(form, 1, DISK_BYTES, &d->layout, &err), &err);
    check(disk_label_make(form, &d->layout, scratch, &d->fixed, &err), &err);
    read_fields(d);
}

static void end(struct disk *d)
{
    layout_free(&d->layout);
    free(d->fixed);
    free(d->fields);
}

static size_t failures(const struct disk *d, const struct fields *expected, bool show)
{
    struct error err = {0};
    struct judgements j;
    size_t failed = 0;
    check(judge_label(&d->layout, d->fixed, expected, scratch, &j, &err), &err);
    assert_true(j.count >= 2);
    for (size_t i = 0; i < j.count; i++) {
        failed += j.items[i].verdict == VERDICT_FAILED;
        if (show && j.items[i].verdict != VERDICT_HELD) {
            print_message("%s: %s\n", j.items[i].name, j.items[i].text);
        }
    }
    return failed;
}

static void fresh_labels_are_good(void **state)
{
    (void)state;
    for (int form = 0; form < FORMS; form++) {
        struct disk d;
        make(&d, (enum label_form)form);
        assert_int_equal(d.fields->kind, form == LABEL_FORM_MBR ? FIELDS_MBR : FIELDS_GPT);
        assert_int_equal(d.fields->partition_count, form == LABEL_FORM_MBR ? 4 : 3);
        if (form != LABEL_FORM_MBR) {
            assert_true(d.fields->primary.is_valid && d.fields->backup.is_valid);
            assert_true(d.fields->entries_agree);
        }
        assert_int_equal(failures(&d, d.fields, true), 0);
        end(&d);
    }
}

static void new_ids_are_new_and_can_be_put_back(void **state)
{
    (void)state;
    struct error err = {0};
    for (int form = 0; form < FORMS; form++) {
        struct disk d;
        make(&d, (enum label_form)form);
        size_t bytes = d.layout.fixed_blocks * d.layout.block_bytes;
        uint8_t *old = malloc(bytes);
        struct fields *before = malloc(sizeof(*before));
        assert_true(old && before);
        memcpy(old, d.fixed, bytes);
        *before = *d.fields;
        check(disk_label_new_ids(d.form, &d.layout, scratch, d.fixed, &err), &err);
        read_fields(&d);
        assert_true(fields_ids_all_differ(before, d.fields));
        assert_false(fields_ids_equal(before, d.fields));
        assert_int_equal(failures(&d, d.fields, true), 0);
        assert_true(failures(&d, before, false) > 0); /* the ids of before are not there */
        check(fields_patch(&d.layout, d.fixed, before, &err), &err);
        assert_memory_equal(d.fixed, old, bytes);
        free(before);
        free(old);
        end(&d);
    }
}

static void every_judge_sees_a_wiped_label(void **state)
{
    (void)state;
    for (int form = 0; form < FORMS; form++) {
        struct disk d;
        make(&d, (enum label_form)form);
        memset(d.fixed, 0, d.layout.fixed_blocks * d.layout.block_bytes);
        struct error err = {0};
        struct judgements j;
        check(judge_label(&d.layout, d.fixed, d.fields, scratch, &j, &err), &err);
        for (size_t i = 0; i < j.count; i++) {
            assert_int_not_equal(j.items[i].verdict, VERDICT_HELD);
        }
        end(&d);
    }
}

static void a_lost_backup_header_is_seen(void **state)
{
    (void)state;
    struct disk d;
    make(&d, LABEL_FORM_GPT);
    uint8_t *last = image_fixed_block(&d.layout, d.fixed, d.layout.block_count - 1);
    assert_non_null(last);
    last[60] ^= 1;
    struct fields *expected = d.fields;
    d.fields = NULL;
    assert_true(failures(&d, expected, false) > 0);
    read_fields(&d);
    assert_false(d.fields->backup.is_valid);
    struct buffer differences = BUFFER_INIT;
    size_t compared = 0;
    fields_compare(expected, d.fields, &differences, &compared);
    assert_true(compared > 40);
    assert_non_null(strstr(differences.data, "backup header"));
    buffer_free(&differences);
    free(expected);
    end(&d);
}

static void a_shadow_bit_is_seen(void **state)
{
    (void)state;
    struct error err = {0};
    struct disk d;
    make(&d, LABEL_FORM_GPT);
    struct fields *expected = d.fields;
    d.fields = NULL;
    char *path = text_printf("%s/bits.img", scratch);
    const char *command[] = {"sgdisk", "-A", "2:set:61", path, NULL};
    struct raw *raw = NULL;
    check(judge_write_file(&d.layout, d.fixed, path, &err), &err);
    check(judge_run(command, NULL, &err), &err);
    check(raw_open_file(path, 512, true, &raw, &err), &err);
    check(image_read_fixed(&d.layout, raw, d.fixed, &err), &err);
    raw_close(raw);
    assert_int_equal(unlink(path), 0);
    read_fields(&d);
    assert_true(fields_has_shadow_bits(d.fields));
    assert_false(fields_has_shadow_bits(expected));
    assert_int_equal(failures(&d, expected, false), 2); /* sgdisk -i and sfdisk -J */
    assert_int_equal(failures(&d, d.fields, true), 0);
    free(path);
    free(expected);
    end(&d);
}

static void texts_that_lie_do_not_pass(void **state)
{
    (void)state;
    char why[200];
    struct disk d;
    make(&d, LABEL_FORM_GPT);
    assert_false(judge_sgdisk_verify("", why, sizeof(why)));
    assert_false(judge_sgdisk_verify("Creating new GPT entries in memory.\n\nNo problems found.\n",
                                     why, sizeof(why)));
    assert_false(
        judge_sgdisk_verify("Problem: the CRC\nNo problems found. 1 free", why, sizeof(why)));
    assert_true(judge_sgdisk_verify("\nNo problems found. 3068 free sectors", why, sizeof(why)));
    assert_false(judge_sgdisk_print("Disk identifier (GUID): 1", d.fields, why, sizeof(why)));
    assert_false(judge_sgdisk_info("Partition #9 does not exist.", &d.fields->partitions[0], why,
                                   sizeof(why)));
    assert_false(judge_sfdisk_json("{}", 512, d.fields, why, sizeof(why)));
    assert_false(judge_sfdisk_json("not JSON", 512, d.fields, why, sizeof(why)));
    assert_false(judge_sfdisk_dump("label: gpt\n", d.fields, why, sizeof(why)));
    assert_false(judge_fdisk_list("Disk identifier: \n", d.fields, why, sizeof(why)));
    end(&d);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(scratch) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(scratch); /* fails, as it should, where a judge left a file */
}

int main(void)
{
    struct error err = {0};
    if (FAILED(judge_check_tools(&err))) {
        print_message("skipped: %s\n", error_text(&err));
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_labels_are_good),
        cmocka_unit_test(new_ids_are_new_and_can_be_put_back),
        cmocka_unit_test(every_judge_sees_a_wiped_label),
        cmocka_unit_test(a_lost_backup_header_is_seen),
        cmocka_unit_test(a_shadow_bit_is_seen),
        cmocka_unit_test(texts_that_lie_do_not_pass),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
