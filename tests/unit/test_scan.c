/* SPDX-License-Identifier: Apache-2.0 */
/* What a target lists that cannot be addressed: a target without a network. */
#include "unit/fake_session.h"

#include "lun/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TARGET "iqn.2026-11.lunshadow:fake"

static const char *listed; /* the target's LUNs, eight bytes each */
static size_t listed_bytes;

/* Every LUN is a disk of its own. */
static void answer(struct scsi_command *c)
{
    const struct fake_disk disk = {.id = (uint8_t)c->lun};
    uint8_t list[512] = {[3] = (uint8_t)listed_bytes};
    if (c->cdb[0] == FAKE_INQUIRY) {
        fake_answer_inquiry(c, &disk);
    } else if (c->cdb[0] == FAKE_REPORT_LUNS) {
        memcpy(list + 8, listed, listed_bytes);
        fake_give(c, list, 8 + listed_bytes);
    } else {
        fake_answer_capacity(c, 256, 512);
    }
}

/* LUNs 1 and 300 are rows, whatever else the list has; words NULL: nothing is amiss. */
static void assert_scanned(const char *list, size_t bytes, const char *words)
{
    struct scan *scan = NULL;
    struct error err = {0};
    listed = list;
    listed_bytes = bytes;
    if (FAILED(scan_portal("127.0.0.1", TARGET, SCAN_NO_LABEL, NULL, &scan, &err))) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(scan->count, 2);
    assert_int_equal(scan->luns[0].address.lun, 1);
    assert_int_equal(scan->luns[1].address.lun, 300);
    assert_int_equal(scan->luns[0].result, S_OK);
    assert_int_equal(scan->target_error_count, words != NULL);
    if (words) {
        assert_string_equal(scan->target_errors[0].target, TARGET);
        assert_true(FAILED(scan->target_errors[0].error.code));
        if (!strstr(scan->target_errors[0].error.text, words)) {
            fail_msg("\"%s\" does not say \"%s\"", scan->target_errors[0].error.text, words);
        }
    }
    scan_free(scan);
}

#define KNOWN            "\x41\x2c\0\0\0\0\0\0\0\1\0\0\0\0\0\0"
#define SCANNED(list, w) assert_scanned(KNOWN list, sizeof(KNOWN list) - 1, w)

static void test_what_is_left_out_is_told(void **state)
{
    (void)state;
    SCANNED("", NULL);
    SCANNED("\x81\x02\0\0\0\0\0\0", "logical unit addressing, LUN field 8102000000000000");
    SCANNED("\xd2\x01\x02\x03\0\0\0\0", "extended addressing, LUN field d201020300000000");
    SCANNED("\x01\x05\0\0\0\0\0\0", "another bus, LUN field 0105000000000000");
    SCANNED("\0\x01\0\x05\0\0\0\0", "more than one level, LUN field 0001000500000000");
    SCANNED("\x01\x05\0\0\0\0\0\0\x81\x02\0\0\0\0\0\0", "0105000000000000");
}

static void test_well_known_luns_are_no_disks(void **state)
{
    (void)state;
    SCANNED("\xc1\x01\0\0\0\0\0\0\xc1\x02\0\0\0\0\0\0", NULL);
    SCANNED("\xc1\x01\0\0\0\0\0\0\x81\x02\0\0\0\0\0\0", "8102000000000000");
    SCANNED("\xc1\x01\0\1\0\0\0\0", "c101000100000000");
}

int main(void)
{
    fake_answer = answer;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_left_out_is_told),
        cmocka_unit_test(test_well_known_luns_are_no_disks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
