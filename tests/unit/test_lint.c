/* SPDX-License-Identifier: Apache-2.0 */
/* The identity linter on LUNs that no lab array can be made to show, and on a sysfs tree. */
#include "lun/lint/lint.h"

#include "common/buffer.h"
#include "common/id.h"
#include "common/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LUNS 4
#define NAA  "\x60\x01\x40\x51\x23\x45\x67\x89\x0a\xbc\xde\xf1\x23\x45\x67\x89"

/* LUNs 1, 2, ... of a target each, nothing wrong with any. */
struct world {
    struct scan scan;
    struct scan_lun luns[LUNS];
    char urls[LUNS][64];
    char serials[LUNS][8];
    struct vss_storage_identifier ids[LUNS][2];
    uint8_t bytes[LUNS][2][40];
    struct label labels[LUNS];
    struct label_partition partitions[LUNS][2];
    struct lint_report report;
    char sysfs[64];
};

static void set_designator(struct world *w, size_t lun, size_t at, int32_t type, const char *bytes,
                           uint32_t length)
{
    struct vss_storage_identifier *id = &w->ids[lun][at];
    bool is_text = type == VDSStorageIdTypeVendorId || type == VDSStorageIdTypeScsiNameString;
    memcpy(w->bytes[lun][at], bytes, length);
    *id = (struct vss_storage_identifier){.code_set = is_text ? VDSStorageIdCodeSetAscii
                                                              : VDSStorageIdCodeSetBinary,
                                          .type = type,
                                          .identifier_bytes = length,
                                          .identifier = w->bytes[lun][at]};
    struct vss_storage_device_id_descriptor *page = &w->luns[lun].identity.info.device_id;
    page->identifier_count = (uint32_t)at + 1;
}

static void make_label(struct world *w, size_t lun)
{
    struct label *label = &w->labels[lun];
    *label = (struct label){.kind = VSS_DISK_LABEL_GPT,
                            .primary = {.is_valid = true},
                            .partitions = w->partitions[lun],
                            .partition_count = 2};
    label->primary.disk_guid.data1 = 0x1000 + (uint32_t)lun;
    for (uint32_t i = 0; i < 2; i++) {
        w->partitions[lun][i] = (struct label_partition){.number = i + 1};
        w->partitions[lun][i].guid.data1 = 0x2000 + 16 * (uint32_t)lun + i;
    }
    w->luns[lun].label = label;
}

static void make_lun(struct world *w, size_t i)
{
    struct scan_lun *lun = &w->luns[i];
    char naa[] = NAA;
    naa[15] = (char)i;
    (void)snprintf(lun->address.portal, sizeof(lun->address.portal), "127.0.0.1:3260");
    (void)snprintf(lun->address.target, sizeof(lun->address.target), "iqn.2026-11.test:%zu", i);
    lun->address.lun = i + 1;
    (void)snprintf(w->urls[i], sizeof(w->urls[i]), "iscsi://127.0.0.1:3260/t%zu/%zu", i, i + 1);
    (void)snprintf(w->serials[i], sizeof(w->serials[i]), "S%zu", i);
    lun->url = w->urls[i];
    lun->identity.block_bytes = 512;
    lun->identity.block_count = 2048;
    lun->identity.info.vendor_id = (char *)"ACME";
    lun->identity.info.product_id = (char *)"DISK";
    lun->identity.info.serial_number = w->serials[i];
    lun->identity.info.device_id.identifiers = w->ids[i];
    set_designator(w, i, 0, VDSStorageIdTypeFCPHName, naa, 16);
    make_label(w, i);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    for (size_t i = 0; i < LUNS; i++) {
        make_lun(w, i);
    }
    w->scan = (struct scan){.luns = w->luns, .count = LUNS};
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    if (w->sysfs[0]) {
        const char *const argv[] = {"rm", "-rf", w->sysfs, NULL};
        (void)process_run(argv, 10000, NULL, NULL);
    }
    lint_report_free(&w->report);
    free(w);
    return 0;
}

static void lint(struct world *w)
{
    struct scan *scans[] = {&w->scan};
    struct lint_input in = {
        .scans = scans, .scan_count = 1, .sysfs = w->sysfs[0] ? w->sysfs : NULL};
    lint_report_free(&w->report);
    assert_int_equal(lint_run(&in, &w->report, NULL), S_OK);
}

/* Exactly one finding: this one, about so many LUNs. */
static void expect_only(struct world *w, const char *name, size_t luns)
{
    lint(w);
    assert_int_equal(w->report.count, 1);
    assert_string_equal(w->report.findings[0].name, name);
    assert_int_equal(w->report.findings[0].url_count, luns);
    assert_true(w->report.findings[0].text[0] && w->report.findings[0].remedy[0]);
}

static void expect_nothing(struct world *w)
{
    lint(w);
    assert_int_equal(w->report.count, 0);
}

static void sound_luns_and_failed_rows_are_no_finding(void **state)
{
    struct world *w = *state;
    expect_nothing(w);
    w->luns[1] = w->luns[0];
    w->luns[1].result = VSS_E_OBJECT_NOT_FOUND; /* would be everything's duplicate */
    w->luns[1].identity.info.serial_number = (char *)"OTHER";
    expect_nothing(w);
}

static void paths_are_one_lun_until_something_differs(void **state)
{
    struct world *w = *state;
    struct scan_lun path = w->luns[0];
    w->luns[1].identity = path.identity;
    w->luns[1].label = path.label;
    expect_nothing(w);
    w->luns[1].identity.block_count++;
    lint(w);
    assert_int_equal(w->report.count, 3); /* with its serial number and its disk GUID */
    assert_string_equal(w->report.findings[0].name, "designator-duplicate");
    assert_non_null(strstr(w->report.findings[0].text, "differ in their size"));
    assert_string_equal(w->report.findings[1].name, "serial-duplicate");
    assert_string_equal(w->report.findings[2].name, "disk-guid-duplicate");
}

static const struct lint_finding *find(struct world *w, const char *name)
{
    lint(w);
    for (size_t i = 0; i < w->report.count; i++) {
        if (strcmp(w->report.findings[i].name, name) == 0) {
            return &w->report.findings[i];
        }
    }
    return NULL;
}

/* The LUN at from, as if it were another one with its designator. */
static void copy_designator(struct world *w, size_t to, size_t from)
{
    w->luns[to].identity.info.device_id = w->luns[from].identity.info.device_id;
}

/* One LUN tells so little that it may be either of two others, which are not one. */
static void those_that_tell_less_hide_no_difference(void **state)
{
    struct world *w = *state;
    copy_designator(w, 1, 0);
    copy_designator(w, 2, 0);
    w->luns[0].identity.info.serial_number = NULL;
    w->luns[0].label = NULL;
    const struct lint_finding *f = find(w, "designator-duplicate");
    assert_non_null(f);
    assert_int_equal(f->url_count, 3);
    assert_non_null(strstr(f->text, "serial number"));
    assert_non_null(strstr(f->text, w->urls[1]));
    assert_non_null(strstr(f->text, w->urls[2]));
    assert_null(strstr(f->text, w->urls[0]));
    w->luns[2].identity.info.serial_number = w->serials[1]; /* by their labels alone */
    f = find(w, "designator-duplicate");
    assert_non_null(f);
    assert_non_null(strstr(f->text, "disk id"));
    assert_non_null(find(w, "serial-duplicate"));
    w->luns[2].label = NULL; /* by their vendors alone, the first one's being blank */
    w->luns[0].identity.info.vendor_id = (char *)" ";
    w->luns[2].identity.info.vendor_id = (char *)"OTHER";
    f = find(w, "designator-duplicate");
    assert_non_null(f);
    assert_non_null(strstr(f->text, "INQUIRY strings"));
}

static void paths_that_tell_less_are_one_lun(void **state)
{
    struct world *w = *state;
    for (size_t i = 1; i < LUNS; i++) {
        w->luns[i].identity = w->luns[0].identity;
        w->luns[i].label = w->luns[0].label;
    }
    expect_nothing(w);
    w->luns[0].label = NULL;
    w->luns[2].label = NULL;
    w->luns[1].identity.info.product_id = (char *)"";
    w->luns[3].identity.info.vendor_id = NULL;
    expect_nothing(w);
    w->luns[0].identity.info.serial_number = NULL;
    expect_only(w, "serial-missing", 1);
}

static void no_or_no_suited_designator_is_missing(void **state)
{
    struct world *w = *state;
    w->luns[2].identity.info.device_id.identifier_count = 0;
    expect_only(w, "designator-missing", 1);
    assert_string_equal(w->report.findings[0].urls[0], w->urls[2]);
    set_designator(w, 2, 0, VDSStorageIdTypeVendorSpecific, "abcdefgh", 8);
    expect_only(w, "designator-missing", 1);
    set_designator(w, 2, 0, VDSStorageIdTypeFCPHName, "\x70\x01\x40\x51\x23\x45\x67\x89", 8);
    expect_only(w, "designator-missing", 1);
}

static void blank_and_local_ones_are_named(void **state)
{
    struct world *w = *state;
    set_designator(w, 0, 0, VDSStorageIdTypeVendorId, "ACME            ", 16);
    expect_only(w, "designator-blank", 1);
    set_designator(w, 0, 0, VDSStorageIdTypeFCPHName, "\x60\x01\x40\x50\0\0\0\0\0\0\0\0\0\0\0\0",
                   16);
    expect_only(w, "designator-blank", 1);
    set_designator(w, 0, 0, VDSStorageIdTypeEUI64, "\0\0\0\0\0\0\0\0", 8);
    expect_only(w, "designator-blank", 1);
    set_designator(w, 0, 0, VDSStorageIdTypeFCPHName, "\x30\0\0\x01\0\0\0\x01", 8);
    expect_only(w, "designator-local", 1);
    assert_int_equal(w->report.findings[0].severity, LINT_ERROR);
    set_designator(w, 0, 1, VDSStorageIdTypeFCPHName, NAA, 16); /* and something better beside it */
    expect_nothing(w);
}

static void serials_are_missing_or_contradict(void **state)
{
    struct world *w = *state;
    w->luns[3].identity.info.serial_number = NULL;
    expect_only(w, "serial-missing", 1);
    w->luns[3].identity.info.serial_number = (char *)"   ";
    expect_only(w, "serial-missing", 1);
    w->luns[3].identity.info.serial_number = (char *)"S3";
    set_designator(w, 3, 1, VDSStorageIdTypeVendorId, "ACME    DISK            S4", 26);
    expect_only(w, "serial-mismatch", 1);
    set_designator(w, 3, 1, VDSStorageIdTypeVendorId, "ACME    DISK            S3", 26);
    expect_nothing(w);
    set_designator(w, 3, 1, VDSStorageIdTypeVendorId, "ACME    something else", 22);
    expect_nothing(w);
}

static void partition_ids_within_one_disk_and_across(void **state)
{
    struct world *w = *state;
    w->partitions[0][1].guid = w->partitions[0][0].guid;
    expect_only(w, "partition-guid-duplicate", 1);
    w->partitions[0][1].guid = w->partitions[1][1].guid;
    expect_only(w, "partition-guid-duplicate", 2);
    w->labels[0].primary.disk_guid = w->labels[1].primary.disk_guid;
    expect_only(w, "disk-guid-duplicate", 2); /* a copy is told once */
    w->labels[0].primary.is_valid = false;
    w->labels[0].backup = w->labels[1].primary;
    expect_only(w, "disk-guid-duplicate", 2);
}

/* ---- this host's devices ---- */

static void make_sysfs(struct world *w, const char *wwid, const char *target)
{
    (void)snprintf(w->sysfs, sizeof(w->sysfs), "/tmp/lunshadow-lint-XXXXXX");
    assert_non_null(mkdtemp(w->sysfs));
    char *script = text_printf(
        "cd '%s'; d=devices/host2/session7/target2:0:0/2:0:0:2; mkdir -p block $d/block/sdq "
        "class/iscsi_session/session7 devices/loop0; ln -s ../../../2:0:0:2 $d/block/sdq/device; "
        "ln -s ../$d/block/sdq block/sdq; ln -s ../devices/loop0 block/loop0; echo '%s' >$d/wwid; "
        "echo '%s' >class/iscsi_session/session7/targetname",
        w->sysfs, wwid, target);
    const char *const argv[] = {"sh", "-ec", script, NULL};
    assert_int_equal(process_run(argv, 10000, NULL, NULL), S_OK);
    free(script);
}

static void drop_sysfs(struct world *w)
{
    const char *const argv[] = {"rm", "-rf", w->sysfs, NULL};
    assert_int_equal(process_run(argv, 10000, NULL, NULL), S_OK);
    w->sysfs[0] = '\0';
}

static void cached_wwid_is_compared_with_the_live_page(void **state)
{
    struct world *w = *state;
    make_sysfs(w,
               "naa.600140512345678"
               "90abcdef123456701",
               w->luns[1].address.target);
    expect_nothing(w); /* LUN 2 of target 1 has the NAA that ends in 01 */
    drop_sysfs(w);
    make_sysfs(w, "naa.60014051234567890abcdef1234567ff", w->luns[1].address.target);
    expect_only(w, "wwid-stale", 1);
    assert_string_equal(w->report.findings[0].urls[0], w->urls[1]);
    assert_non_null(strstr(w->report.findings[0].remedy, "/sys/block/sdq/device/delete"));
    drop_sysfs(w);
    make_sysfs(w, "naa.60014051234567890abcdef1234567ff", w->luns[2].address.target);
    expect_nothing(w); /* another LUN number: nothing is known of it */
    drop_sysfs(w);
    make_sysfs(w, "naa.60014051234567890abcdef1234567ff", "");
    expect_nothing(w);
}

static void wwids_of_other_forms(void **state)
{
    struct world *w = *state;
    set_designator(w, 1, 0, VDSStorageIdTypeVendorId, "ACME    DISK S1     ", 20);
    make_sysfs(w, "t10.ACME    DISK S1     ", w->luns[1].address.target);
    expect_nothing(w);
    drop_sysfs(w);
    make_sysfs(w, "t10.ACME    DISK S2", w->luns[1].address.target);
    expect_only(w, "wwid-stale", 1);
    drop_sysfs(w);
    set_designator(w, 1, 0, VDSStorageIdTypeScsiNameString, "iqn.2026-11.test:lun", 20);
    make_sysfs(w, "iqn.2026-11.test:lun", w->luns[1].address.target);
    expect_nothing(w);
    drop_sysfs(w);
    make_sysfs(w, "", w->luns[1].address.target);
    expect_nothing(w);
}

/* What the world shows now is the later look. */
static void confirm(struct world *w)
{
    struct scan *scans[] = {&w->scan};
    struct lint_input in = {.scans = scans, .scan_count = 1};
    struct lint_report later = {0};
    assert_int_equal(lint_run(&in, &later, NULL), S_OK);
    lint_confirm(&w->report, &later);
    lint_report_free(&later);
}

static void share_disk_guid(struct world *w, size_t lun, uint32_t guid)
{
    w->labels[lun].primary.disk_guid.data1 = guid;
}

static void what_a_later_look_does_not_have_is_dropped(void **state)
{
    struct world *w = *state;
    share_disk_guid(w, 1, 0x1000);
    expect_only(w, "disk-guid-duplicate", 2);
    confirm(w);
    assert_int_equal(w->report.count, 1);
    assert_int_equal(w->report.findings[0].url_count, 2);
    share_disk_guid(w, 1, 0x1001);
    confirm(w);
    assert_int_equal(w->report.count, 0);

    share_disk_guid(w, 1, 0x1000); /* another finding of that name */
    expect_only(w, "disk-guid-duplicate", 2);
    share_disk_guid(w, 1, 0x1001);
    share_disk_guid(w, 3, 0x1002);
    confirm(w);
    assert_int_equal(w->report.count, 0);
}

/* A third LUN that had the id for a moment is no part of it. */
static void the_fewer_luns_are_told(void **state)
{
    struct world *w = *state;
    share_disk_guid(w, 1, 0x1000);
    for (int first = 0; first < 2; first++) {
        share_disk_guid(w, 2, first ? 0x1000 : 0x1002);
        lint(w);
        share_disk_guid(w, 2, first ? 0x1002 : 0x1000);
        confirm(w);
        assert_int_equal(w->report.count, 1);
        assert_int_equal(w->report.findings[0].url_count, 2);
        assert_string_equal(w->report.findings[0].urls[1], w->urls[1]);
    }
}

/* One name, the same LUNs: neither stands for both. */
static void findings_that_are_alike_are_all_kept(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < 2; i++) {
        w->partitions[1][i].guid = w->partitions[0][i].guid;
    }
    lint(w);
    size_t before = w->report.count;
    assert_true(before > 0);
    confirm(w);
    assert_int_equal(w->report.count, before);
    for (size_t i = 0; i < before; i++) {
        assert_string_equal(w->report.findings[i].name, "partition-guid-duplicate");
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(w->report.findings[i].text, w->report.findings[k].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sound_luns_and_failed_rows_are_no_finding, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(paths_are_one_lun_until_something_differs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(those_that_tell_less_hide_no_difference, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths_that_tell_less_are_one_lun, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_or_no_suited_designator_is_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(blank_and_local_ones_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(serials_are_missing_or_contradict, set_up, tear_down),
        cmocka_unit_test_setup_teardown(partition_ids_within_one_disk_and_across, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(cached_wwid_is_compared_with_the_live_page, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(wwids_of_other_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_later_look_does_not_have_is_dropped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_fewer_luns_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(findings_that_are_alike_are_all_kept, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
