/* SPDX-License-Identifier: Apache-2.0 */
/* What a target lists that cannot be addressed, and what goes away while it is looked at: targets
 * without a network. */
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
static bool has_silent_lun; /* LUN 1 does not say who it is */

/* Every LUN is a disk of its own. */
static void answer(struct scsi_command *c)
{
    const struct fake_disk disk = {.id = (uint8_t)c->lun};
    uint8_t list[512] = {[3] = (uint8_t)listed_bytes};
    if (c->cdb[0] == FAKE_INQUIRY && c->lun == 1 && has_silent_lun) {
        fake_refuse(c);
    } else if (c->cdb[0] == FAKE_INQUIRY) {
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

/* ---- while others are at work ---- */

#define MOST_LOGINS 3

/* A portal of three targets; what happens at the logins to the middle one, by their number. */
enum event {
    NOTHING,
    CUT,    /* it fails */
    GONE,   /* so it does, because the target is gone */
    SILENT, /* one of its LUNs does not say who it is */
    FEWER   /* that LUN is gone */
};

static const struct story {
    enum event at_login[MOST_LOGINS];
    bool is_portal_silent; /* but for the first discovery */
    unsigned logins;       /* to the middle one */
    size_t rows;
    size_t failed_rows;
    size_t errors;
} * story;

static const char *const names[] = {TARGET "-a", TARGET "-b", TARGET "-c"};
static unsigned logins;
static unsigned discoveries;
static bool is_gone;

static HRESULT enter(const struct lun_address *address)
{
    bool is_middle = strcmp(address->target, names[1]) == 0;
    assert_true(logins < MOST_LOGINS);
    enum event event = is_middle ? story->at_login[logins++] : NOTHING;
    is_gone = is_gone || event == GONE;
    has_silent_lun = event == SILENT;
    listed = KNOWN;
    listed_bytes = event == FEWER ? 8 : 16; /* LUN 300 comes first */
    return event == CUT || event == GONE ? VSS_E_UNEXPECTED : S_OK;
}

HRESULT __wrap_lun_discover(const char *portal, const struct lun_options *options, char ***out,
                            size_t *out_count, struct error *err);

HRESULT __wrap_lun_discover(const char *portal, const struct lun_options *options, char ***out,
                            size_t *out_count, struct error *err)
{
    (void)portal;
    (void)options;
    *out = NULL;
    *out_count = 0;
    if (discoveries++ > 0 && story->is_portal_silent) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "the portal does not answer");
    }
    *out = calloc(3, sizeof(**out));
    assert_non_null(*out);
    for (size_t i = 0; i < 3; i++) {
        if (i != 1 || !is_gone) {
            (*out)[(*out_count)++] = strdup(names[i]);
        }
    }
    return S_OK;
}

static size_t count_failed_rows(const struct scan *scan)
{
    size_t failed = 0;
    for (size_t i = 0; i < scan->count; i++) {
        failed += FAILED(scan->luns[i].result);
        assert_true(i == 0 || strcmp(scan->luns[i - 1].url, scan->luns[i].url) < 0);
    }
    return failed;
}

static void assert_told(const struct story *told)
{
    struct scan *scan = NULL;
    struct error err = {0};
    story = told;
    logins = 0;
    discoveries = 0;
    is_gone = false;
    fake_refuse_session = enter;
    if (FAILED(scan_portal("127.0.0.1", NULL, SCAN_NO_LABEL, NULL, &scan, &err))) {
        fail_msg("%s", err.text);
    }
    fake_refuse_session = NULL;
    has_silent_lun = false;
    assert_int_equal(scan->count, told->rows);
    assert_int_equal(count_failed_rows(scan), told->failed_rows);
    assert_int_equal(scan->target_error_count, told->errors);
    assert_int_equal(logins, told->logins);
    if (told->errors) {
        assert_string_equal(scan->target_errors[0].target, names[1]);
    }
    scan_free(scan);
}

static void test_nothing_is_looked_at_twice_without_need(void **state)
{
    (void)state;
    assert_told(&(struct story){.logins = 1, .rows = 6});
    assert_int_equal(discoveries, 1);
}

static void test_target_that_is_cut_off_is_looked_at_once_more(void **state)
{
    (void)state;
    assert_told(&(struct story){{CUT}, .logins = 2, .rows = 6});
    assert_told(&(struct story){{CUT, CUT}, .logins = 2, .rows = 4, .errors = 1});
}

static void test_target_that_went_away_is_no_failure(void **state)
{
    (void)state;
    assert_told(&(struct story){{GONE, CUT}, .logins = 2, .rows = 4});
    assert_told(&(struct story){{CUT, GONE}, .logins = 2, .rows = 4});
    assert_told(&(struct story){{SILENT, GONE}, .logins = 2, .rows = 4});
    assert_told(&(struct story){
        {GONE, CUT}, .is_portal_silent = true, .logins = 2, .rows = 4, .errors = 1});
}

static void test_lun_that_went_away_is_no_failure(void **state)
{
    (void)state;
    assert_told(&(struct story){{SILENT, FEWER}, .logins = 2, .rows = 5});
    assert_told(&(struct story){{SILENT}, .logins = 2, .rows = 6});
    assert_told(&(struct story){{SILENT, SILENT}, .logins = 2, .rows = 6, .failed_rows = 1});
    assert_told(&(struct story){{SILENT, CUT}, .logins = 2, .rows = 6, .failed_rows = 1});
}

int main(void)
{
    fake_answer = answer;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_left_out_is_told),
        cmocka_unit_test(test_well_known_luns_are_no_disks),
        cmocka_unit_test(test_nothing_is_looked_at_twice_without_need),
        cmocka_unit_test(test_target_that_is_cut_off_is_looked_at_once_more),
        cmocka_unit_test(test_target_that_went_away_is_no_failure),
        cmocka_unit_test(test_lun_that_went_away_is_no_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
