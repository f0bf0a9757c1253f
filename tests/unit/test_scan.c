/* SPDX-License-Identifier: Apache-2.0 */
/* What a target lists that cannot be addressed: a target without a network. */
#include "lun/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define INQUIRY     0x12
#define REPORT_LUNS 0xa0
#define TARGET      "iqn.2026-11.lunshadow:fake"

/* One command is done in each poll. */
static struct target {
    struct scsi_transport transport; /* first */
    struct scsi_command *queue[64];
    size_t queued;
    const char *list; /* of its LUNs, eight bytes each */
    size_t list_bytes;
} fake;

static void fake_submit(struct scsi_transport *transport, struct scsi_command *command)
{
    (void)transport;
    assert_true(fake.queued < 64);
    fake.queue[fake.queued++] = command;
}

static void give(struct scsi_command *c, const void *data, size_t bytes)
{
    size_t given = bytes < c->data_bytes ? bytes : c->data_bytes;
    memcpy(c->data, data, given);
    c->transferred_bytes = (uint32_t)given;
}

/* Every LUN is a disk of its own. */
static void answer_inquiry(struct scsi_command *c)
{
    static const char standard[36] = "\0\0\6\2\37\0\0\0VENDOR  PRODUCT         0001";
    static const uint8_t pages[] = {0, 0, 0, 2, 0x00, 0x83};
    uint8_t ids[24] = {0, 0x83, 0, 20, 0x01, 0x03, 0, 16, 0x60, 0x01, 0x40, 0x5a};
    ids[23] = (uint8_t)c->lun;
    if ((c->cdb[1] & 1) == 0) {
        give(c, standard, sizeof(standard));
    } else if (c->cdb[2] == 0x00) {
        give(c, pages, sizeof(pages));
    } else if (c->cdb[2] == 0x83) {
        give(c, ids, sizeof(ids));
    } else {
        c->status = SCSI_STATUS_CHECK_CONDITION;
        c->sense = (struct scsi_sense_code){.key = SCSI_SENSE_ILLEGAL_REQUEST, .asc = 0x24};
    }
}

static void answer(struct scsi_command *c)
{
    uint8_t capacity[32] = {[7] = 0xff, [10] = 2};
    uint8_t list[512] = {[3] = (uint8_t)fake.list_bytes};
    if (c->cdb[0] == INQUIRY) {
        answer_inquiry(c);
    } else if (c->cdb[0] == REPORT_LUNS) {
        memcpy(list + 8, fake.list, fake.list_bytes);
        give(c, list, 8 + fake.list_bytes);
    } else {
        give(c, capacity, sizeof(capacity));
    }
}

static HRESULT fake_poll(struct scsi_transport *transport, uint32_t timeout_ms, struct error *err)
{
    (void)timeout_ms;
    (void)err;
    if (fake.queued > 0) {
        struct scsi_command *c = fake.queue[0];
        memmove(fake.queue, fake.queue + 1, --fake.queued * sizeof(c));
        c->result = S_OK;
        answer(c);
        scsi_finish(transport, c);
    }
    return S_OK;
}

static void fake_close(struct scsi_transport *transport)
{
    (void)transport;
    fake.queued = 0;
}

static const struct scsi_transport_ops fake_ops = {fake_submit, fake_poll, fake_close, NULL};

HRESULT __wrap_lun_open_session(const struct lun_address *address,
                                const struct lun_options *options, struct scsi_transport **out,
                                struct error *err);

HRESULT __wrap_lun_open_session(const struct lun_address *address,
                                const struct lun_options *options, struct scsi_transport **out,
                                struct error *err)
{
    (void)address;
    (void)options;
    (void)err;
    fake.transport = (struct scsi_transport){&fake_ops, "fake://array", 32, 0, false};
    *out = &fake.transport;
    return S_OK;
}

/* LUNs 1 and 300 are rows, whatever else the list has; words NULL: nothing is amiss. */
static void assert_scanned(const char *list, size_t bytes, const char *words)
{
    struct scan *scan = NULL;
    struct error err = {0};
    fake.list = list;
    fake.list_bytes = bytes;
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_left_out_is_told),
        cmocka_unit_test(test_well_known_luns_are_no_disks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
