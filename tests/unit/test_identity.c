/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_PAGE 4096

struct page {
    uint8_t data[MAX_PAGE];
    uint32_t length;
};

/* All hex bytes of a corpus file; '#' starts a comment. */
static struct page load(const char *name)
{
    char path[512];
    char line[512];
    struct page page = {{0}, 0};
    (void)snprintf(path, sizeof(path), "%s/vpd/%s", TEST_DATA_DIR, name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "#")] = '\0';
        char *at = line;
        for (;;) {
            char *end = NULL;
            unsigned long byte = strtoul(at, &end, 16);
            if (end == at) {
                break;
            }
            assert_true(page.length < MAX_PAGE && byte < 256);
            page.data[page.length++] = (uint8_t)byte;
            at = end;
        }
    }
    (void)fclose(file);
    return page;
}

/* The page with this code in a file that holds several. */
static struct page find_page(const struct page *all, uint8_t code)
{
    struct page found = {{0}, 0};
    uint32_t at = 0;
    while (at + 4 <= all->length) {
        uint32_t length = 4 + (uint32_t)(all->data[at + 2] << 8 | all->data[at + 3]);
        assert_true(at + length <= all->length);
        if (all->data[at + 1] == code) {
            memcpy(found.data, all->data + at, length);
            found.length = length;
            return found;
        }
        at += length;
    }
    fail_msg("page %02x is not in the file", code);
    return found;
}

typedef HRESULT (*parser)(const uint8_t *data, uint32_t length, struct lun_identity *out,
                          struct error *err);

/* From a heap block of exactly that size, so that a sanitizer sees any read past it. */
static HRESULT parse_exact(parser parse, const uint8_t *data, uint32_t length,
                           struct lun_identity *out, struct error *err)
{
    uint8_t *exact = malloc(length ? length : 1);
    assert_non_null(exact);
    memcpy(exact, data, length);
    memset(out, 0, sizeof(*out));
    HRESULT hr = parse(exact, length, out, err);
    free(exact);
    return hr;
}

static const struct lun_identity nothing;

static void assert_refused(parser parse, const uint8_t *data, uint32_t length)
{
    struct lun_identity id;
    struct error err = {0};
    assert_int_equal(parse_exact(parse, data, length, &id, &err), VSS_E_VOLUME_NOT_SUPPORTED);
    assert_memory_equal(&id, &nothing, sizeof(id));
    assert_true(err.text[0] != '\0');
}

/* ---- page 83 ---- */

static void hex_of(const struct vss_storage_identifier *id, char *out)
{
    for (uint32_t i = 0; i < id->identifier_bytes; i++) {
        out += sprintf(out, "%02x", id->identifier[i]);
    }
    *out = '\0';
}

/* Our NAA and EUI-64 designators, in order, against what sg_vpd prints for the same file. */
static void compare_with_sg_vpd(const char *name, const struct lun_identity *id)
{
    char command[640];
    char line[512];
    uint32_t at = 0;
    (void)snprintf(command, sizeof(command), "sg_vpd --inhex=%s/vpd/%s -p di_lu 2>/dev/null",
                   TEST_DATA_DIR, name);
    FILE *pipe = popen(command, "re");
    assert_non_null(pipe);
    while (fgets(line, sizeof(line), pipe)) {
        const char *hex = line + strspn(line, " ");
        char ours[600] = "";
        if (strncmp(hex, "0x", 2) != 0) {
            continue;
        }
        while (at < id->info.device_id.identifier_count &&
               id->info.device_id.identifiers[at].type != VDSStorageIdTypeFCPHName &&
               id->info.device_id.identifiers[at].type != VDSStorageIdTypeEUI64) {
            at++;
        }
        assert_true(at < id->info.device_id.identifier_count);
        hex_of(&id->info.device_id.identifiers[at++], ours);
        line[strcspn(line, "\n")] = '\0';
        assert_string_equal(ours, hex + 2);
    }
    int status = pclose(pipe);
    if (status != 0) {
        print_message("sg_vpd is not there or refused %s: not compared\n", name);
    }
}

static void test_corpus(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        uint32_t designators;
        enum lun_id_rank best;
        const char *key;
    } rows[] = {
        {"vpd_dev_id.hex", 1, LUN_ID_NAA, "naa.5000c5003011cb2b"},
        {"vpd_di_all.hex", 10, LUN_ID_NAA, "naa.6122334455667788aabbccddeeffeedd"},
        {"vpd_di_bad_all.hex", 10, LUN_ID_NAA, "naa.6122334455667788aabbccddeeffeedd"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct page page = load(rows[i].file);
        struct lun_identity id;
        char key[LUN_KEY_BYTES];
        assert_int_equal(parse_exact(identity_parse_vpd83, page.data, page.length, &id, NULL),
                         S_OK);
        assert_int_equal(id.info.device_id.version, 1);
        assert_int_equal(id.info.device_id.identifier_count, rows[i].designators);
        assert_string_equal(lun_info_key(&id.info, key), rows[i].key);
        compare_with_sg_vpd(rows[i].file, &id);
        identity_free(&id);
        assert_memory_equal(&id, &nothing, sizeof(id));
    }
}

static void test_bad_corpus(void **state)
{
    (void)state;
    /* no designator header; trailing bytes that are no designator; other pages */
    static const char *const files[] = {"vpd_di_old_emc_symm.hex",
                                        "vpd_di_name_inject.hex",
                                        "vpd_bl.hex",
                                        "vpd_atai.hex",
                                        "vpd_cpr.hex",
                                        "vpd_sdeb.hex",
                                        "vpd_ref.hex",
                                        "vpd_tpc.hex"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct page page = load(files[i]);
        assert_refused(identity_parse_vpd83, page.data, page.length);
    }
}

static void test_vpd83_cut_anywhere(void **state)
{
    (void)state;
    static const char *const files[] = {"vpd_dev_id.hex", "vpd_di_all.hex"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct page page = load(files[i]);
        for (uint32_t length = 0; length < page.length; length++) {
            assert_refused(identity_parse_vpd83, page.data, length);
        }
    }
}

/* Every length field of every designator, and the page's own, changed to every value: never more
 * than what is there, never a crash; accepted only where the designators still end with the page.
 */
static void test_vpd83_lying_lengths(void **state)
{
    (void)state;
    struct page page = load("vpd_di_all.hex");
    uint32_t accepted = 0;
    for (uint32_t at = 2; at < page.length; at++) {
        for (int value = 0; value < 256; value++) {
            struct page lie = page;
            struct lun_identity id;
            lie.data[at] = (uint8_t)value;
            HRESULT hr = parse_exact(identity_parse_vpd83, lie.data, lie.length, &id, NULL);
            assert_true(hr == S_OK || hr == VSS_E_VOLUME_NOT_SUPPORTED);
            uint32_t total = 0;
            for (uint32_t i = 0; i < id.info.device_id.identifier_count; i++) {
                total += 4 + id.info.device_id.identifiers[i].identifier_bytes;
            }
            assert_true(total <= page.length - 4);
            assert_true(hr == S_OK || total == 0);
            accepted += hr == S_OK;
            identity_free(&id);
        }
    }
    assert_true(accepted > 0);
    for (int low = 0; low < 256; low++) {
        if (low != page.data[3]) {
            struct page lie = page;
            struct lun_identity id;
            lie.data[3] = (uint8_t)low;
            HRESULT hr = parse_exact(identity_parse_vpd83, lie.data, lie.length, &id, NULL);
            /* shorter page lengths that end on a designator are whole pages with bytes behind */
            assert_true(hr == VSS_E_VOLUME_NOT_SUPPORTED || low < page.data[3]);
            identity_free(&id);
        }
    }
}

static void test_vpd83_association(void **state)
{
    (void)state;
    /* port (1) and target (2) designators with an NAA each: none of them is the LUN's */
    static const uint8_t page[] = {0x00, 0x83, 0x00, 0x18, 0x61, 0x93, 0x00, 0x08, 0x50, 0x00,
                                   0xc5, 0x00, 0x30, 0x11, 0xcb, 0x29, 0x61, 0xa3, 0x00, 0x08,
                                   0x50, 0x00, 0xc5, 0x00, 0x30, 0x11, 0xcb, 0x28};
    struct lun_identity id;
    const char *reason = NULL;
    assert_int_equal(parse_exact(identity_parse_vpd83, page, sizeof(page), &id, NULL), S_OK);
    assert_int_equal(id.info.device_id.identifier_count, 0);
    assert_false(lun_info_is_unique(&id.info, &reason));
    assert_non_null(reason);
    identity_free(&id);
}

/* ---- the other answers ---- */

static void test_inquiry(void **state)
{
    (void)state;
    struct page page = load("inq_emc_symm.hex");
    struct lun_identity id;
    assert_int_equal(page.length, 40);
    assert_int_equal(parse_exact(identity_parse_inquiry, page.data, page.length, &id, NULL), S_OK);
    assert_string_equal(id.info.vendor_id, "EMC");
    assert_string_equal(id.info.product_id, "SYMMETRIX");
    assert_string_equal(id.info.product_revision, "5876");
    assert_int_equal(id.info.device_type, 0);
    assert_int_equal(id.info.command_queueing, 1);
    identity_free(&id);
    for (uint32_t length = 0; length < 36; length++) {
        assert_refused(identity_parse_inquiry, page.data, length);
    }
    page.data[4] = 30; /* says that it ends inside the revision */
    assert_refused(identity_parse_inquiry, page.data, page.length);
    page.data[4] = 0x1f;
    memcpy(page.data + 8, "A\0\x1b[2J \xff", 8);
    assert_int_equal(parse_exact(identity_parse_inquiry, page.data, page.length, &id, NULL), S_OK);
    assert_string_equal(id.info.vendor_id, "A%00%1B[2J %FF");
    identity_free(&id);
}

static void test_serial(void **state)
{
    (void)state;
    struct page all = load("vpd_sdeb.hex");
    struct page page = find_page(&all, 0x80);
    struct lun_identity id;
    assert_int_equal(parse_exact(identity_parse_vpd80, page.data, page.length, &id, NULL), S_OK);
    assert_string_equal(id.info.serial_number, "2000");
    identity_free(&id);
    for (uint32_t length = 0; length < page.length; length++) {
        assert_refused(identity_parse_vpd80, page.data, length);
    }
    static const uint8_t padded[] = {0, 0x80, 0, 8, ' ', ' ', 'S', 'N', ' ', '1', ' ', 0};
    assert_int_equal(parse_exact(identity_parse_vpd80, padded, sizeof(padded), &id, NULL), S_OK);
    assert_string_equal(id.info.serial_number, "SN 1");
    identity_free(&id);
    static const uint8_t lie[] = {0, 0x80, 0xff, 0xff, 'S', 'N'};
    assert_refused(identity_parse_vpd80, lie, sizeof(lie));
}

static void test_scsi_debug_page(void **state)
{
    (void)state;
    struct page all = load("vpd_sdeb.hex");
    struct page page = find_page(&all, 0x83);
    struct lun_identity id;
    assert_int_equal(parse_exact(identity_parse_vpd83, page.data, page.length, &id, NULL), S_OK);
    assert_int_equal(id.info.device_id.identifier_count, 2);
    char key[LUN_KEY_BYTES];
    /* its NAA is locally assigned, so the T10 designator counts */
    assert_string_equal(lun_info_key(&id.info, key),
                        "t10.Linux%20%20%20scsi_debug%20%20%20%20%20%202000");
    identity_free(&id);
}

static void put_be(uint8_t *out, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        out[i] = (uint8_t)value;
        value >>= 8;
    }
}

static HRESULT parse_capacity(uint64_t last, uint32_t block, struct lun_identity *id)
{
    uint8_t data[32] = {0};
    put_be(data, last, 8);
    put_be(data + 8, block, 4);
    data[13] = 3;
    data[14] = 0xc0;
    return parse_exact(identity_parse_capacity16, data, sizeof(data), id, NULL);
}

static void test_capacity(void **state)
{
    (void)state;
    struct lun_identity id;
    assert_int_equal(parse_capacity(131071, 512, &id), S_OK);
    assert_true(id.block_count == 131072);
    assert_int_equal(id.block_bytes, 512);
    assert_int_equal(id.physical_block_bytes, 4096);
    assert_true(id.unmapped_reads_zero);
    assert_int_equal(parse_capacity(0, 4096, &id), S_OK);
    assert_true(id.block_count == 1);
    static const struct {
        uint64_t last;
        uint32_t block;
    } bad[] = {{UINT64_MAX, 512}, {UINT64_MAX / 2, 512}, {1000, 0},         {1000, 256},
               {1000, 520},       {1000, 131072},        {1000, UINT32_MAX}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse_capacity(bad[i].last, bad[i].block, &id),
                         VSS_E_VOLUME_NOT_SUPPORTED);
        assert_memory_equal(&id, &nothing, sizeof(id));
    }
    uint8_t data[16] = {0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 2, 0};
    for (uint32_t length = 0; length < sizeof(data); length++) {
        assert_refused(identity_parse_capacity16, data, length);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct page all = load("vpd_sdeb.hex");
    struct page b0 = find_page(&all, 0xb0);
    struct page b1 = find_page(&all, 0xb1);
    uint8_t b2[8] = {0, 0xb2, 0, 4, 0, 0x80, 0, 0};
    struct lun_identity id = {0};
    put_be(b0.data + 8, 8192, 4);
    identity_parse_limits(b0.data, b0.length, b1.data, b1.length, b2, sizeof(b2), &id);
    assert_int_equal(id.max_transfer_blocks, 8192);
    assert_int_equal(id.rotation_rate, 1);
    assert_true(id.supports_unmap);
    id = nothing;
    identity_parse_limits(b0.data, 11, b1.data, 5, b2, 3, &id);
    assert_memory_equal(&id, &nothing, sizeof(id));
    identity_parse_limits(NULL, 0, NULL, 0, NULL, 0, &id);
    assert_memory_equal(&id, &nothing, sizeof(id));
    b0.data[3] = 0xff; /* longer than what came */
    identity_parse_limits(b0.data, b0.length, b1.data, b1.length, b2, sizeof(b2), &id);
    assert_int_equal(id.max_transfer_blocks, 0);
}

/* ---- a whole LUN, from a transport that answers by page ---- */

struct array {
    struct scsi_transport transport;
    struct scsi_command *queue[16];
    size_t queued;
    struct page vpd83;
    bool refuses_serial;
    bool lists_limits;
    uint8_t qualifier_and_type;
    uint32_t inquiry_bytes;
    uint32_t longest_83; /* bytes asked for */
};

static void array_submit(struct scsi_transport *transport, struct scsi_command *command)
{
    struct array *a = (struct array *)transport;
    assert_true(a->queued < 16);
    a->queue[a->queued++] = command;
}

static void answer(struct scsi_command *c, const void *data, uint32_t length)
{
    c->transferred_bytes = length < c->data_bytes ? length : c->data_bytes;
    memcpy(c->data, data, c->transferred_bytes);
}

static void array_answer(struct array *a, struct scsi_command *c)
{
    static const uint8_t serial[] = {0, 0x80, 0, 3, 'S', 'N', '7'};
    static const uint8_t pages[] = {0, 0, 0, 4, 0x00, 0x80, 0x83, 0xb0};
    static const uint8_t limits[] = {0, 0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 0};
    uint8_t inquiry[36] = {0};
    uint8_t capacity[32] = {0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 2, 0};
    inquiry[0] = a->qualifier_and_type;
    inquiry[4] = 31;
    memcpy(inquiry + 8, "VENDOR  PRODUCT         REV1", 28);
    if (c->cdb[0] == 0x9e) {
        answer(c, capacity, sizeof(capacity));
    } else if (c->cdb[1] == 0) {
        answer(c, inquiry, a->inquiry_bytes);
    } else if (c->cdb[2] == 0x83) {
        a->longest_83 = c->data_bytes > a->longest_83 ? c->data_bytes : a->longest_83;
        answer(c, a->vpd83.data, a->vpd83.length);
    } else if (c->cdb[2] == 0x00) {
        answer(c, pages, a->lists_limits ? 8 : 7);
        ((uint8_t *)c->data)[3] = a->lists_limits ? 4 : 3;
    } else if (c->cdb[2] == 0x80 && !a->refuses_serial) {
        answer(c, serial, sizeof(serial));
    } else if (c->cdb[2] == 0xb0) {
        answer(c, limits, sizeof(limits));
    } else {
        c->status = SCSI_STATUS_CHECK_CONDITION;
        c->sense = (struct scsi_sense_code){SCSI_SENSE_ILLEGAL_REQUEST, 0x24, 0, false};
    }
}

static HRESULT array_poll(struct scsi_transport *transport, uint32_t timeout_ms, struct error *err)
{
    struct array *a = (struct array *)transport;
    (void)timeout_ms;
    (void)err;
    while (a->queued > 0) {
        struct scsi_command *c = a->queue[--a->queued];
        array_answer(a, c);
        scsi_finish(transport, c);
    }
    return S_OK;
}

static const struct scsi_transport_ops array_ops = {array_submit, array_poll, NULL, NULL};

static struct array make_array(void)
{
    struct array a;
    memset(&a, 0, sizeof(a));
    a.transport.ops = &array_ops;
    a.transport.name = "fake://array";
    a.transport.max_in_flight = 16;
    a.vpd83 = load("vpd_dev_id.hex");
    a.lists_limits = true;
    a.inquiry_bytes = 36;
    return a;
}

static void test_read_whole(void **state)
{
    (void)state;
    struct array a = make_array();
    struct lun_identity id;
    assert_int_equal(identity_read(&a.transport, 4, &id, NULL), S_OK);
    assert_string_equal(id.info.vendor_id, "VENDOR");
    assert_string_equal(id.info.serial_number, "SN7");
    assert_true(id.block_count == 65536);
    assert_int_equal(id.info.device_id.identifier_count, 1);
    assert_int_equal(id.max_transfer_blocks, 256);
    identity_free(&id);

    a.lists_limits = false; /* the page answers, but page 00 does not name it */
    a.refuses_serial = true;
    assert_int_equal(identity_read(&a.transport, 4, &id, NULL), S_OK);
    assert_int_equal(id.max_transfer_blocks, 0);
    assert_null(id.info.serial_number);
    identity_free(&id);
}

static void test_read_refusals(void **state)
{
    (void)state;
    struct lun_identity id;
    struct error err = {0};
    struct array a = make_array();
    a.qualifier_and_type = 0x7f;
    assert_int_equal(identity_read(&a.transport, 4, &id, &err), VSS_E_OBJECT_NOT_FOUND);
    assert_non_null(strstr(err.text, "fake://array LUN 4"));
    a = make_array();
    a.qualifier_and_type = 0x0c;
    assert_int_equal(identity_read(&a.transport, 4, &id, NULL), VSS_E_VOLUME_NOT_SUPPORTED);
    a = make_array();
    a.inquiry_bytes = 5;
    assert_int_equal(identity_read(&a.transport, 4, &id, NULL), VSS_E_VOLUME_NOT_SUPPORTED);
    a = make_array();
    a.vpd83.length--;
    assert_int_equal(identity_read(&a.transport, 4, &id, NULL), VSS_E_VOLUME_NOT_SUPPORTED);
    assert_memory_equal(&id, &nothing, sizeof(id));
}

static void test_long_page_is_read_again(void **state)
{
    (void)state;
    struct lun_identity id;
    struct array a = make_array();
    uint8_t *p = a.vpd83.data;
    uint32_t used = 4;
    while (used + 20 <= 2004) { /* 100 designators of 16 bytes */
        memcpy(p + used, "\x01\x03\x00\x10\x60\x01\x40\x50\0\0\0\0\0\0\0\0\0\0\0\1", 20);
        used += 20;
    }
    a.vpd83.length = used;
    p[2] = (uint8_t)((used - 4) >> 8);
    p[3] = (uint8_t)(used - 4);
    assert_int_equal(identity_read(&a.transport, 4, &id, NULL), S_OK);
    assert_int_equal(id.info.device_id.identifier_count, 100);
    assert_true(a.longest_83 > 2004);
    identity_free(&id);

    a.vpd83.length = MAX_PAGE; /* and one that lies about more than ever comes */
    p[2] = 0xff;
    p[3] = 0xf0;
    assert_int_equal(identity_read(&a.transport, 4, &id, NULL), VSS_E_VOLUME_NOT_SUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_bad_corpus),
        cmocka_unit_test(test_vpd83_cut_anywhere),
        cmocka_unit_test(test_vpd83_lying_lengths),
        cmocka_unit_test(test_vpd83_association),
        cmocka_unit_test(test_inquiry),
        cmocka_unit_test(test_serial),
        cmocka_unit_test(test_scsi_debug_page),
        cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_read_whole),
        cmocka_unit_test(test_read_refusals),
        cmocka_unit_test(test_long_page_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
