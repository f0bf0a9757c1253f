/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Designators as literals: code set, type, bytes. */
#define ID(code_set, type, text)                                                                   \
    {                                                                                              \
        code_set, type, sizeof(text) - 1, (uint8_t *)(uintptr_t)(text)                             \
    }
#define NAA(text)  ID(1, 3, text)
#define EUI(text)  ID(1, 2, text)
#define NAME(text) ID(3, 8, text)
#define T10(text)  ID(2, 1, text)

#define NAA6_A "\x60\x01\x40\x5a\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\x01"
#define NAA6_B "\x60\x01\x40\x5a\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\x02"
#define NAA5_A "\x50\x00\xc5\x00\x30\x11\xcb\x2b"
#define EUI_A  "\x00\x11\x22\x33\x44\x55\x66\x77"
#define EUI_B  "\x00\x11\x22\x33\x44\x55\x66\x78"
#define T10_A  "ACME    DISK-0001"
#define T10_B  "ACME    DISK-0002"

static void test_rank(void **state)
{
    (void)state;
    static const struct {
        struct vss_storage_identifier id;
        enum lun_id_rank rank;
    } rows[] = {
        {NAA(NAA6_A), LUN_ID_NAA},
        {NAA(NAA5_A), LUN_ID_NAA},
        {NAA("\x20\x00\x00\x11\x22\x33\x44\x55"), LUN_ID_NAA},
        {NAA("\x33\x33\x33\x30\x00\x00\x07\xd0"), LUN_ID_NONE}, /* locally assigned */
        {NAA("\x35\x00\xc5\x00\x30\x11\xcb\x2b"), LUN_ID_NONE},
        {NAA("\x10\x00\xc5\x00\x30\x11\xcb\x2b"), LUN_ID_NONE}, /* reserved */
        {NAA("\x60\x00\x00\x0a\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\x01"), LUN_ID_NONE},
        {NAA("\x60\x01\x40\x50\0\0\0\0\0\0\0\0\0\0\0\0"), LUN_ID_NONE}, /* body zero */
        {NAA("\x60\x01\x40\x50\0\0\0\0\0\0\0\0\0\0\0\1"), LUN_ID_NAA},
        {NAA("\x50\x00\x00\x00\x30\x11\xcb\x2b"), LUN_ID_NONE}, /* OUI zero */
        {NAA("\x50\x00\xc5\x00\0\0\0\0"), LUN_ID_NONE},
        {NAA("\x20\x00\xc5\x00\x30\0\0\0"), LUN_ID_NONE},
        {NAA("\x20\x00\x00\x00\x00\x11\x22\x33"), LUN_ID_NONE},
        {NAA("\x21\x23\x00\x11\x22\0\0\0"), LUN_ID_NAA},
        {NAA("\x60\x01\x40\x5a\x11\x22\x33\x44"), LUN_ID_NONE}, /* too short for a 6h */
        {NAA("\x50\x00\xc5\x00\x30\x11\xcb\x2b\x00"), LUN_ID_NONE},
        {NAA(""), LUN_ID_NONE},
        {ID(2, 3, NAA6_A), LUN_ID_NONE}, /* not binary */
        {EUI(EUI_A), LUN_ID_EUI64},
        {EUI("\0\0\0\x33\x44\x55\x66\x77"), LUN_ID_NONE},
        {EUI("\x00\x11\x22\0\0\0\0\0"), LUN_ID_NONE},
        {EUI("\x00\x11\x22\0\0\0\0\0\0\0\0\1"), LUN_ID_EUI64},
        {EUI("\0\0\0\0\0\0\0\0" EUI_A), LUN_ID_EUI64},
        {EUI("\1\1\1\1\1\1\1\1\0\0\0\1\1\1\1\1"), LUN_ID_NONE}, /* OUI is in the second half */
        {EUI("\x00\x11\x22\x33"), LUN_ID_NONE},
        {NAME("iqn.2026-11.example:lun1\0\0\0"), LUN_ID_SCSI_NAME},
        {NAME("naa.5000C5003011CB2B"), LUN_ID_SCSI_NAME},
        {NAME("naa.3000C5003011CB2B"), LUN_ID_NONE},
        {NAME("eui.0000000000000001"), LUN_ID_NONE},
        {NAME("eui.001122334455667"), LUN_ID_NONE},
        {NAME("naa.50zz"), LUN_ID_NONE},
        {NAME("iqn."), LUN_ID_NONE},
        {NAME("\0\0\0\0\0\0\0\0"), LUN_ID_NONE},
        {NAME("hello world"), LUN_ID_NONE},
        {T10(T10_A), LUN_ID_T10},
        {T10("ACME    "), LUN_ID_NONE},
        {T10("ACME         "), LUN_ID_NONE},
        {T10("            1"), LUN_ID_NONE},
        {T10("IET     00010001"), LUN_ID_NONE}, /* tgtd's factory default */
        {T10("IET     0001000f\0\0\0\0"), LUN_ID_NONE},
        {T10("IET     000100011"), LUN_ID_T10},
        {T10("IET     0001000g"), LUN_ID_T10},
        {T10("IET     60014050000000000000000000000001"), LUN_ID_T10},
        {ID(1, 0, "\x11\x22\x33\x44"), LUN_ID_NONE}, /* vendor specific */
        {ID(1, 6, "\0\0\0\1"), LUN_ID_NONE},
        {ID(1, 7, "0123456789abcdef"), LUN_ID_NONE},
        {ID(1, 99, "0123456789abcdef"), LUN_ID_NONE},
        {{1, 3, 16, NULL}, LUN_ID_NONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (lun_id_rank(&rows[i].id) != rows[i].rank) {
            fail_msg("row %zu: %d, not %d", i, lun_id_rank(&rows[i].id), rows[i].rank);
        }
    }
}

static struct vss_lun_info make(const struct vss_storage_identifier *ids, uint32_t count,
                                const char *serial)
{
    static struct vss_storage_identifier pool[64];
    static size_t used;
    struct vss_lun_info info;
    if (used + count > 64) {
        used = 0;
    }
    memset(&info, 0, sizeof(info));
    if (count > 0) {
        memcpy(&pool[used], ids, count * sizeof(*ids));
    }
    info.version = 1;
    info.device_id.version = 1;
    info.device_id.identifier_count = count;
    info.device_id.identifiers = &pool[used];
    info.vendor_id = (char *)(uintptr_t) "ACME";
    info.product_id = (char *)(uintptr_t) "DISK";
    info.product_revision = (char *)(uintptr_t) "1";
    info.serial_number = (char *)(uintptr_t)serial;
    used += count;
    return info;
}

struct side {
    struct vss_storage_identifier ids[3];
    uint32_t count;
    const char *serial;
};

static void test_compare(void **state)
{
    (void)state;
    static const struct {
        struct side a;
        struct side b;
        enum lun_match match;
    } rows[] = {
        {{{NAA(NAA6_A)}, 1, "1"}, {{NAA(NAA6_A)}, 1, "1"}, LUN_SAME},
        {{{NAA(NAA6_A)}, 1, "1"}, {{NAA(NAA6_B)}, 1, "1"}, LUN_DIFFERENT},
        /* sets intersect; the order does not matter */
        {{{NAA(NAA5_A), NAA(NAA6_A)}, 2, NULL}, {{NAA(NAA6_A)}, 1, "1"}, LUN_SAME},
        {{{NAA(NAA5_A), NAA(NAA6_A)}, 2, ""}, {{NAA(NAA6_B), NAA(NAA5_A)}, 2, "1"}, LUN_SAME},
        /* the best rank that both have decides */
        {{{NAA(NAA6_A), T10(T10_A)}, 2, "1"}, {{T10(T10_A)}, 1, "1"}, LUN_SAME},
        {{{NAA(NAA6_A)}, 1, "1"}, {{T10(T10_A)}, 1, "1"}, LUN_DIFFERENT},
        /* contradictions, either way round */
        {{{NAA(NAA6_A), T10(T10_A)}, 2, "1"}, {{NAA(NAA6_A), T10(T10_B)}, 2, "1"}, LUN_AMBIGUOUS},
        {{{NAA(NAA6_A), T10(T10_A)}, 2, "1"}, {{NAA(NAA6_B), T10(T10_A)}, 2, "1"}, LUN_AMBIGUOUS},
        {{{EUI(EUI_A), T10(T10_A)}, 2, "1"}, {{EUI(EUI_B), T10(T10_B)}, 2, "1"}, LUN_DIFFERENT},
        {{{NAA(NAA6_A)}, 1, "1"}, {{NAA(NAA6_A)}, 1, "2"}, LUN_AMBIGUOUS},
        {{{NAA(NAA6_A)}, 1, "1"}, {{NAA(NAA6_B)}, 1, "2"}, LUN_DIFFERENT},
        /* what does not count is not seen: two factory-fresh LUNs are not one */
        {{{T10("IET     00010001")}, 1, "1"}, {{T10("IET     00010001")}, 1, "1"}, LUN_DIFFERENT},
        {{{NAA("\x33\x33\x33\x30\x00\x00\x07\xd0")}, 1, "1"},
         {{NAA("\x33\x33\x33\x30\x00\x00\x07\xd0")}, 1, "1"},
         LUN_DIFFERENT},
        {{{NAA("\x60\x00\x00\x00\0\0\0\0\0\0\0\0\0\0\0\1"), T10(T10_A)}, 2, "1"},
         {{NAA("\x60\x00\x00\x00\0\0\0\0\0\0\0\0\0\0\0\2"), T10(T10_A)}, 2, "1"},
         LUN_SAME},
        {{{NAA(NAA6_A)}, 0, "1"}, {{NAA(NAA6_A)}, 0, "1"}, LUN_DIFFERENT},
        /* padding of text is not part of it */
        {{{NAME("iqn.2026-11.example:a\0\0\0")}, 1, "1"},
         {{NAME("iqn.2026-11.example:a\0")}, 1, "1"},
         LUN_SAME},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct vss_lun_info a = make(rows[i].a.ids, rows[i].a.count, rows[i].a.serial);
        struct vss_lun_info b = make(rows[i].b.ids, rows[i].b.count, rows[i].b.serial);
        a.bus_type = VDSBusTypeiScsi;
        b.disk_signature.data1 = 7;
        if (lun_info_compare(&a, &b) != rows[i].match ||
            lun_info_compare(&b, &a) != rows[i].match) {
            fail_msg("row %zu: %d and %d, not %d", i, lun_info_compare(&a, &b),
                     lun_info_compare(&b, &a), rows[i].match);
        }
    }
}

static void test_import_rule(void **state)
{
    (void)state;
    const struct vss_storage_identifier ids[] = {NAA(NAA6_A)};
    const struct vss_storage_identifier others[] = {NAA(NAA6_B)};
    const char *reason = NULL;
    struct vss_lun_info a = make(ids, 1, "1");
    struct vss_lun_info b = make(ids, 1, "1");
    assert_true(lun_info_matches(&a, &b, &reason));
    assert_null(reason);
    b.product_revision = (char *)(uintptr_t) "2";
    assert_false(lun_info_matches(&a, &b, &reason));
    assert_string_equal(reason, "product revision");
    b = make(ids, 1, NULL);
    assert_false(lun_info_matches(&a, &b, &reason));
    assert_string_equal(reason, "serial number");
    b = make(ids, 1, "1");
    b.vendor_id = NULL;
    assert_false(lun_info_matches(&a, &b, &reason));
    assert_string_equal(reason, "vendor");
    b = make(ids, 1, "1");
    b.device_type = 5;
    assert_false(lun_info_matches(&a, &b, &reason));
    assert_string_equal(reason, "device type");
    b = make(others, 1, "1");
    assert_false(lun_info_matches(&a, &b, &reason));
    assert_string_equal(reason, "page-83 designators");
    b = make(ids, 1, "2");
    assert_false(lun_info_matches(&a, &b, &reason));
    assert_non_null(strstr(reason, "contradict"));
}

static void test_unique(void **state)
{
    (void)state;
    const struct vss_storage_identifier good[] = {ID(1, 0, "x"), T10(T10_A)};
    const struct vss_storage_identifier weak[] = {T10("IET     00010001"),
                                                  NAA("\x33\x33\x33\x30\x00\x00\x07\xd0")};
    const char *reason = NULL;
    const char *none = NULL;
    struct vss_lun_info info = make(good, 2, NULL);
    assert_true(lun_info_is_unique(&info, &reason));
    assert_null(reason);
    info = make(weak, 2, NULL);
    assert_false(lun_info_is_unique(&info, &reason));
    info = make(weak, 0, NULL);
    assert_false(lun_info_is_unique(&info, &none));
    assert_string_not_equal(reason, none);
}

static void assert_key(const struct vss_storage_identifier *ids, uint32_t count, const char *key)
{
    char out[LUN_KEY_BYTES];
    struct vss_lun_info info = make(ids, count, NULL);
    assert_string_equal(lun_info_key(&info, out), key);
}

static void test_key(void **state)
{
    (void)state;
    const struct vss_storage_identifier all[] = {T10(T10_A), EUI(EUI_A), NAA(NAA5_A)};
    const struct vss_storage_identifier two[] = {NAA(NAA5_A), NAA(NAA6_B), NAA(NAA6_A)};
    const struct vss_storage_identifier names[] = {NAME("iqn.2026-11.example:a\0\0"), T10(T10_A)};
    const struct vss_storage_identifier odd[] = {T10("ACME    \n%\xff")};
    const struct vss_storage_identifier weak[] = {T10("IET     00010001")};
    assert_key(all, 3, "naa.5000c5003011cb2b");
    assert_key(all, 2, "eui.0011223344556677");
    assert_key(two, 3, "naa.6001405a112233445566778899aabb01");
    assert_key(names, 2, "scsi.iqn.2026-11.example:a");
    assert_key(odd, 1, "t10.ACME%20%20%20%20%0A%25%FF");
    assert_key(weak, 1, "none");
    assert_key(weak, 0, "none");

    uint8_t longest[255];
    char out[LUN_KEY_BYTES];
    memset(longest, 0x01, sizeof(longest));
    memcpy(longest, "ACME    ", 8);
    const struct vss_storage_identifier full[] = {{2, 1, 255, longest}};
    struct vss_lun_info info = make(full, 1, NULL);
    assert_true(strlen(lun_info_key(&info, out)) < LUN_KEY_BYTES);
    char *digest = strchr(out, '~');
    assert_non_null(digest);
    assert_int_equal(strlen(digest), LUN_KEY_DIGEST_BYTES);
    assert_int_equal((digest - out) % 3, (4 + 4 + 4 * 3) % 3); /* no escape is cut */

    char other[LUN_KEY_BYTES];
    longest[254] = 0x02; /* beyond what the key shows */
    assert_string_not_equal(lun_info_key(&info, other), out);
    assert_int_equal(strlen(other), strlen(out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rank),        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_import_rule), cmocka_unit_test(test_unique),
        cmocka_unit_test(test_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
