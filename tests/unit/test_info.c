/* SPDX-License-Identifier: Apache-2.0 */

/* LUN information and disk ids: copies, equality, JSON there and back, JSON that is hostile. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/id.h"
#include "lun/info.h"

static uint8_t naa[] = {0x60, 0x01, 0x40, 0x5f, 0, 1, 2, 3};
static uint8_t t10[] = {'I', 'E', 'T', ' '};
static uint8_t port[] = "iqn.2026-01.test:t1";
static uint8_t lun_bytes[8] = {0, 1};
static struct vss_storage_identifier identifiers[] = {
    {VDSStorageIdCodeSetBinary, VDSStorageIdTypeFCPHName, sizeof(naa), naa},
    {VDSStorageIdCodeSetAscii, VDSStorageIdTypeVendorId, sizeof(t10), t10},
    {VDSStorageIdCodeSetBinary, VDSStorageIdTypeVendorSpecific, 0, NULL},
};
static struct vss_interconnect interconnects[] = {
    {VDS_IA_SCSI, sizeof(port) - 1, port, sizeof(lun_bytes), lun_bytes},
};

static struct vss_lun_info sample(void)
{
    return (struct vss_lun_info){.version = 1,
                                 .command_queueing = 1,
                                 .bus_type = VDSBusTypeiScsi,
                                 .vendor_id = (char *)"IET",
                                 .product_id = (char *)"VIRTUAL-\xc3\xa9",
                                 .serial_number = (char *)"",
                                 .disk_signature = {0x1a2b3c4d, 0, 0, {0}},
                                 .device_id = {1, 3, identifiers},
                                 .interconnect_count = 1,
                                 .interconnects = interconnects};
}

static struct vss_partition_id partitions[] = {
    {.number = 1, .attributes = 0x8000000000000001u, .guid = {1, 2, 3, {4}}},
    {.number = 128, .attributes = 0, .guid = {9, 8, 7, {6}}},
};

static struct vss_disk_ids sample_ids(void)
{
    return (struct vss_disk_ids){.kind = VSS_DISK_LABEL_GPT,
                                 .mbr_signature = 0xf0000001u,
                                 .disk_guid = {0xffffffffu, 1, 2, {3}},
                                 .partition_count = 2,
                                 .partitions = partitions};
}

static void same_bytes(const uint8_t *a, const uint8_t *b, uint32_t length)
{
    if (length > 0) {
        assert_ptr_not_equal(a, b);
        assert_memory_equal(a, b, length);
    }
}

static void same_info(const struct vss_lun_info *a, const struct vss_lun_info *b)
{
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->device_type, b->device_type);
    assert_int_equal(a->command_queueing, b->command_queueing);
    assert_int_equal(a->bus_type, b->bus_type);
    assert_string_equal(a->vendor_id, b->vendor_id);
    assert_string_equal(a->product_id, b->product_id);
    assert_null(b->product_revision);
    assert_string_equal(a->serial_number, b->serial_number);
    assert_true(id_equal(&a->disk_signature, &b->disk_signature));
    assert_int_equal(a->device_id.version, b->device_id.version);
    assert_int_equal(a->device_id.identifier_count, b->device_id.identifier_count);
    for (uint32_t i = 0; i < a->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *ia = &a->device_id.identifiers[i];
        const struct vss_storage_identifier *ib = &b->device_id.identifiers[i];
        assert_int_equal(ia->code_set, ib->code_set);
        assert_int_equal(ia->type, ib->type);
        assert_int_equal(ia->identifier_bytes, ib->identifier_bytes);
        same_bytes(ia->identifier, ib->identifier, ia->identifier_bytes);
    }
    assert_int_equal(a->interconnect_count, b->interconnect_count);
    for (uint32_t i = 0; i < a->interconnect_count; i++) {
        const struct vss_interconnect *ia = &a->interconnects[i];
        const struct vss_interconnect *ib = &b->interconnects[i];
        assert_int_equal(ia->address_type, ib->address_type);
        assert_int_equal(ia->port_bytes, ib->port_bytes);
        assert_int_equal(ia->address_bytes, ib->address_bytes);
        same_bytes(ia->port, ib->port, ia->port_bytes);
        same_bytes(ia->address, ib->address, ia->address_bytes);
    }
}

static void copies_are_deep(void **state)
{
    (void)state;
    struct vss_lun_info from = sample();
    struct vss_lun_info copy;
    assert_int_equal(lun_info_copy(&from, &copy), S_OK);
    same_info(&from, &copy);
    assert_ptr_not_equal(from.vendor_id, copy.vendor_id);
    lun_info_free(&copy);
    static const struct vss_lun_info zero;
    assert_memory_equal(&copy, &zero, sizeof(zero));
    lun_info_free(&copy);

    struct vss_disk_ids ids = sample_ids();
    struct vss_disk_ids ids_copy;
    assert_int_equal(disk_ids_copy(&ids, &ids_copy), S_OK);
    assert_true(disk_ids_equal(&ids, &ids_copy));
    assert_ptr_not_equal(ids.partitions, ids_copy.partitions);
    disk_ids_free(&ids_copy);
    disk_ids_free(&ids_copy);
}

static void counts_without_arrays_are_refused(void **state)
{
    (void)state;
    struct vss_lun_info copy;
    struct vss_lun_info from = sample();
    from.device_id.identifiers = NULL;
    assert_int_equal(lun_info_copy(&from, &copy), E_INVALIDARG);
    assert_null(copy.vendor_id);
    from = sample();
    from.interconnects = NULL;
    assert_int_equal(lun_info_copy(&from, &copy), E_INVALIDARG);
    struct vss_storage_identifier hollow = {1, 3, 8, NULL};
    from = sample();
    from.device_id.identifiers = &hollow;
    from.device_id.identifier_count = 1;
    assert_int_equal(lun_info_copy(&from, &copy), E_INVALIDARG);
    struct vss_disk_ids ids = {.kind = VSS_DISK_LABEL_GPT, .partition_count = 3};
    struct vss_disk_ids ids_copy;
    assert_int_equal(disk_ids_copy(&ids, &ids_copy), E_INVALIDARG);
}

static void equality_looks_at_everything(void **state)
{
    (void)state;
    struct vss_disk_ids a = sample_ids();
    struct vss_disk_ids b;
    assert_int_equal(disk_ids_copy(&a, &b), S_OK);
    b.mbr_signature ^= 1;
    assert_false(disk_ids_equal(&a, &b));
    b.mbr_signature ^= 1;
    b.disk_guid.data4[7] = 1;
    assert_false(disk_ids_equal(&a, &b));
    b.disk_guid.data4[7] = 0;
    b.partitions[1].attributes = 1;
    assert_false(disk_ids_equal(&a, &b));
    b.partitions[1].attributes = 0;
    b.partitions[1].guid.data1 = 0;
    assert_false(disk_ids_equal(&a, &b));
    b.partitions[1].guid.data1 = 9;
    b.partitions[1].number = 5;
    assert_false(disk_ids_equal(&a, &b));
    b.partitions[1].number = 128;
    assert_true(disk_ids_equal(&a, &b));
    b.partition_count = 1;
    assert_false(disk_ids_equal(&a, &b));
    b.partition_count = 2;
    b.kind = VSS_DISK_LABEL_MBR;
    assert_false(disk_ids_equal(&a, &b));
    disk_ids_free(&b);

    const struct vss_disk_ids bare = {.kind = VSS_DISK_LABEL_MBR, .mbr_signature = 1};
    struct vss_disk_ids other = bare;
    other.disk_guid.data1 = 1; /* an MBR has none */
    assert_true(disk_ids_equal(&bare, &other));
    other.mbr_signature = 2;
    assert_false(disk_ids_equal(&bare, &other));
}

static void signature_has_the_vds_form(void **state)
{
    (void)state;
    struct vss_disk_ids ids = sample_ids();
    VSS_ID signature = disk_ids_signature(&ids);
    assert_true(id_equal(&signature, &ids.disk_guid));
    ids.kind = VSS_DISK_LABEL_MBR;
    signature = disk_ids_signature(&ids);
    VSS_ID wanted = {0xf0000001u, 0, 0, {0}};
    assert_true(id_equal(&signature, &wanted));
    ids.kind = VSS_DISK_LABEL_NONE;
    signature = disk_ids_signature(&ids);
    assert_true(id_is_null(&signature));
}

static void json_there_and_back(void **state)
{
    (void)state;
    struct vss_lun_info from = sample();
    json_t *json = lun_info_to_json(&from);
    assert_non_null(json);
    char *text = json_dumps(json, 0); /* as the registry keeps it */
    json_decref(json);
    json = json_loads(text, 0, NULL);
    struct vss_lun_info back;
    struct error err = {S_OK, ""};
    assert_int_equal(lun_info_from_json(json, &back, &err), S_OK);
    same_info(&from, &back);
    lun_info_free(&back);
    json_decref(json);
    free(text);

    for (int32_t kind = VSS_DISK_LABEL_NONE; kind <= VSS_DISK_LABEL_GPT; kind++) {
        struct vss_disk_ids ids = sample_ids();
        ids.kind = kind;
        if (kind == VSS_DISK_LABEL_MBR) {
            ids.disk_guid = id_null;
            ids.partition_count = 0;
        }
        json = disk_ids_to_json(&ids);
        struct vss_disk_ids ids_back;
        assert_int_equal(disk_ids_from_json(json, &ids_back, &err), S_OK);
        assert_true(disk_ids_equal(&ids, &ids_back));
        disk_ids_free(&ids_back);
        json_decref(json);
    }
    struct vss_disk_ids odd = {.kind = 3};
    assert_null(disk_ids_to_json(&odd));
}

static void text_that_is_not_utf8_is_shown(void **state)
{
    (void)state;
    struct vss_lun_info from = sample();
    from.product_id = (char *)"bad\xff\xc3";
    json_t *json = lun_info_to_json(&from);
    assert_string_equal(json_string_value(json_object_get(json, "product_id")), "bad??");
    json_decref(json);
}

/* One key of good JSON is replaced by other JSON (NULL: removed): refused, and the key named. */
static void refuse_key(json_t *good, const char *path_key, const char *key, const char *value,
                       bool is_ids)
{
    json_t *json = json_deep_copy(good);
    json_t *object = path_key ? json_array_get(json_object_get(json, path_key), 0) : json;
    if (value) {
        json_object_set_new(object, key, json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
    } else {
        json_object_del(object, key);
    }
    struct error err = {S_OK, ""};
    struct vss_lun_info info;
    struct vss_disk_ids ids;
    HRESULT hr =
        is_ids ? disk_ids_from_json(json, &ids, &err) : lun_info_from_json(json, &info, &err);
    assert_int_equal(hr, VSS_E_UNEXPECTED);
    if (!strstr(err.text, key)) {
        fail_msg("%s does not name %s", err.text, key);
    }
    json_decref(json);
}

static void hostile_lun_json_is_refused(void **state)
{
    (void)state;
    struct vss_lun_info from = sample();
    json_t *good = lun_info_to_json(&from);
    refuse_key(good, NULL, "version", NULL, false);
    refuse_key(good, NULL, "version", "-1", false);
    refuse_key(good, NULL, "version", "4294967296", false);
    refuse_key(good, NULL, "version", "1.0", false);
    refuse_key(good, NULL, "device_type", "256", false);
    refuse_key(good, NULL, "bus_type", "\"9\"", false);
    refuse_key(good, NULL, "bus_type", "2147483648", false);
    refuse_key(good, NULL, "vendor_id", "7", false);
    refuse_key(good, NULL, "serial_number", "\"a\\u0000b\"", false);
    refuse_key(good, NULL, "disk_signature", "\"xyz\"", false);
    refuse_key(good, NULL, "disk_signature", "null", false);
    refuse_key(good, NULL, "identifiers", "{}", false);
    refuse_key(good, NULL, "identifiers", NULL, false);
    refuse_key(good, "identifiers", "identifier", "\"abc\"", false);
    refuse_key(good, "identifiers", "identifier", "\"zz\"", false);
    refuse_key(good, "identifiers", "identifier", "[]", false);
    refuse_key(good, "identifiers", "type", "true", false);
    refuse_key(good, "interconnects", "port", "\"0\"", false);
    refuse_key(good, "interconnects", "address", NULL, false);
    char long_hex[2 * 256 + 3];
    memset(long_hex, 'a', sizeof(long_hex));
    long_hex[0] = long_hex[sizeof(long_hex) - 2] = '"';
    long_hex[sizeof(long_hex) - 1] = '\0';
    refuse_key(good, "identifiers", "identifier", long_hex, false);
    json_object_set_new(good, "something_newer", json_true()); /* passed over */
    json_object_del(good, "vendor_id");                        /* may be unknown */
    struct vss_lun_info info;
    assert_int_equal(lun_info_from_json(good, &info, NULL), S_OK);
    assert_null(info.vendor_id);
    lun_info_free(&info);
    json_decref(good);
    assert_int_equal(lun_info_from_json(NULL, &info, NULL), VSS_E_UNEXPECTED);
}

static void hostile_ids_json_is_refused(void **state)
{
    (void)state;
    struct vss_disk_ids from = sample_ids();
    json_t *good = disk_ids_to_json(&from);
    refuse_key(good, NULL, "kind", "\"apm\"", true);
    refuse_key(good, NULL, "kind", "2", true);
    refuse_key(good, NULL, "mbr_signature", "\"0x123\"", true);
    refuse_key(good, NULL, "mbr_signature", "\"0x123456789\"", true);
    refuse_key(good, NULL, "mbr_signature", "305419896", true);
    refuse_key(good, NULL, "mbr_signature", "\"0x-1234567\"", true);
    refuse_key(good, NULL, "disk_guid", NULL, true);
    refuse_key(good, NULL, "partitions", "null", true);
    refuse_key(good, "partitions", "number", "0", true);
    refuse_key(good, "partitions", "number", "128", true); /* as the second: not ascending */
    refuse_key(good, "partitions", "guid", "\"\"", true);
    refuse_key(good, "partitions", "attributes", "\"8000000000000001\"", true);
    refuse_key(good, "partitions", "attributes", "\"0x 00000000000001\"", true);
    json_decref(good);
    struct vss_disk_ids ids;
    assert_int_equal(disk_ids_from_json(NULL, &ids, NULL), VSS_E_UNEXPECTED);
}

static uint64_t allocations_left;

static void *failing_malloc(size_t bytes)
{
    return allocations_left == 0 ? NULL : (allocations_left--, malloc(bytes));
}

/* Each allocation of the JSON library fails in turn: NULL, and nothing is lost. */
static void short_memory_gives_null(void **state)
{
    (void)state;
    struct vss_lun_info info = sample();
    struct vss_disk_ids ids = sample_ids();
    bool all_done = false;
    json_set_alloc_funcs(failing_malloc, free);
    for (uint64_t n = 0; !all_done && n < 1000; n++) {
        allocations_left = n;
        json_t *a = lun_info_to_json(&info);
        json_t *b = a ? disk_ids_to_json(&ids) : NULL;
        all_done = a && b;
        json_decref(a);
        json_decref(b);
    }
    json_set_alloc_funcs(malloc, free);
    assert_true(all_done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_deep),
        cmocka_unit_test(counts_without_arrays_are_refused),
        cmocka_unit_test(equality_looks_at_everything),
        cmocka_unit_test(signature_has_the_vds_form),
        cmocka_unit_test(json_there_and_back),
        cmocka_unit_test(text_that_is_not_utf8_is_shown),
        cmocka_unit_test(hostile_lun_json_is_refused),
        cmocka_unit_test(hostile_ids_json_is_refused),
        cmocka_unit_test(short_memory_gives_null),
    };
    return cmocka_run_group_tests_name("info", tests, NULL, NULL);
}
