/* SPDX-License-Identifier: Apache-2.0 */
/* What the tgt plug-in makes of tgtadm's output, and how it tells LUNs apart. */
#include "provider/arrays/tgt/identity.h"
#include "provider/arrays/tgt/show.h"
#include "provider/arrays/tgt/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void *memory[4096];
static size_t memory_count;
static char last_error[1024];

static void *give_memory(const struct vss_call *call, uint64_t bytes)
{
    (void)call;
    assert_true(memory_count < sizeof(memory) / sizeof(memory[0]));
    return memory[memory_count++] = calloc(1, bytes ? bytes : 1);
}

static void take_error(const struct vss_call *call, const char *line)
{
    (void)call;
    (void)snprintf(last_error, sizeof(last_error), "%s", line);
}

static void take_log(const struct vss_call *call, uint32_t level, const char *line)
{
    (void)level;
    take_error(call, line);
}

static const struct vss_host services = {
    .struct_size = sizeof(services), .alloc = give_memory, .log = take_log, .error = take_error};
static const struct vss_call call = {.struct_size = sizeof(call), .host = &services, .array = "x"};
static const struct tgt tgt = {.call = &call, .copies = "iqn.2026-11.lunshadow:copies"};

static int forget(void **state)
{
    (void)state;
    while (memory_count > 0) {
        free(memory[--memory_count]);
    }
    return 0;
}

#define ID_A "60014051234567890abcdef123456789"

static const char sample[] = "Target 1: iqn.2026-11.t:one\n"
                             "    System information:\n"
                             "        Driver: iscsi\n"
                             "        State: ready\n"
                             "    I_T nexus information:\n"
                             "        I_T nexus: 6\n"
                             "            Initiator: iqn.x:LUN: 9 alias: none\n"
                             "            Connection: 0\n"
                             "                IP Address: 127.0.0.1\n"
                             "    LUN information:\n"
                             "        LUN: 0\n"
                             "            Type: controller\n"
                             "            SCSI ID: IET     00010000\n"
                             "            Size: 0 MB, Block size: 1\n"
                             "            Backing store path: None\n"
                             "        LUN: 1\n"
                             "            Type: disk\n"
                             "            SCSI ID: " ID_A "\n"
                             "            SCSI SN: SN: 1\n"
                             "            Size: 67 MB, Block size: 4096\n"
                             "            Removable media: No\n"
                             "            Readonly: Yes\n"
                             "            Thin-provisioning: Yes\n"
                             "            Backing store type: rdwr\n"
                             "            Backing store path: /srv/a: b\n"
                             "            Backing store flags: sync:direct\n"
                             "    Account information:\n"
                             "        LUN: 5\n"
                             "    ACL information:\n"
                             "        ALL\n"
                             "        iqn.x:foo\n"
                             "Target 7: iqn.2026-11.t:two\n"
                             "    LUN information:\n"
                             "        LUN: 3\n"
                             "            Type: disk\n"
                             "            SCSI ID: IET     00070003\n"
                             "            Backing store path: /srv/a: b\n"
                             "            Backing store flags: \n"
                             "    ACL information:\n";

static HRESULT parse(const char *text, struct tgt_view *out)
{
    char *copy = tgt_copy(&tgt, text, SIZE_MAX / 2);
    return tgt_show_parse(&tgt, copy, out);
}

static void output_is_read(void **state)
{
    (void)state;
    struct tgt_view view;
    assert_int_equal(parse(sample, &view), S_OK);
    const struct tgt_target *one = tgt_view_target(&view, "iqn.2026-11.t:one");
    const struct tgt_target *two = tgt_view_target(&view, "iqn.2026-11.t:two");
    assert_non_null(one);
    assert_null(tgt_view_target(&view, "iqn.2026-11.t:on"));
    assert_int_equal(one->tid, 1);
    assert_false(tgt_lun_is_disk(one->luns));
    const struct tgt_lun *lun = one->luns->next;
    assert_null(lun->next);
    assert_int_equal(lun->number, 1);
    assert_string_equal(lun->scsi_id, ID_A);
    assert_string_equal(lun->serial, "SN: 1");
    assert_string_equal(lun->path, "/srv/a: b");
    assert_string_equal(lun->flags, "sync:direct");
    assert_int_equal(lun->block_bytes, 4096);
    assert_true(lun->is_read_only && lun->is_thin && !lun->is_removable);
    assert_string_equal(one->acl->name, "ALL");
    assert_string_equal(one->acl->next->name, "iqn.x:foo");
    assert_null(one->acl->next->next);
    assert_null(two->acl);
    assert_ptr_equal(tgt_view_by_path(&view, "/srv/a: b", NULL), lun);
    assert_ptr_equal(tgt_view_by_path(&view, "/srv/a: b", lun), two->luns);
    assert_null(tgt_view_by_path(&view, "/srv/a: b", two->luns));
    assert_null(tgt_view_by_path(&view, "None", NULL));
}

static void odd_output_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "tgtadm: can't get the response\n",
        "Target : x\n",
        "Target -1: x\n",
        "Target 99999999999: x\n",
        "Target 1\n",
        "    LUN information:\n",
        "Target 1: x\n    LUN information:\n        LUN: \n",
        "Target 1: x\n    LUN information:\n        LUN: 1x\n",
        "Target 1: x\n    LUN information:\n        LUN: 99999999999999999999999\n",
        "Target 1: x\n    LUN information:\n        nonsense\n",
        "Target 1: x\n    LUN information:\n        LUN: 1\n            Type: a\nb\n",
    };
    struct tgt_view view;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (SUCCEEDED(parse(bad[i], &view))) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    assert_int_equal(parse("", &view), S_OK);
    assert_null(view.targets);
}

/* Wherever the output ends, what was read is whole or refused; sanitizers watch the rest. */
static void every_beginning_is_safe(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof(sample); length++) {
        struct tgt_view view;
        char *text = tgt_copy(&tgt, sample, length);
        if (FAILED(tgt_show_parse(&tgt, text, &view))) {
            continue;
        }
        for (const struct tgt_target *t = view.targets; t; t = t->next) {
            for (const struct tgt_lun *lun = t->luns; lun; lun = lun->next) {
                assert_non_null(lun->scsi_id);
                assert_non_null(lun->path);
            }
        }
        (void)forget(NULL);
    }
}

static void only_unique_ids_count(void **state)
{
    (void)state;
    assert_true(tgt_scsi_id_is_unique(ID_A));
    static const char *const bad[] = {"",
                                      "IET     00010001",
                                      "50014051234567890abcdef123456789",
                                      "60000001234567890abcdef123456789",
                                      "60014050000000000000000000000000",
                                      "6001405123456789 abcdef123456789",
                                      "60014051234567890abcdef12345678",
                                      "60014051234567890abcdef1234567890",
                                      "6001405g234567890abcdef123456789"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (tgt_scsi_id_is_unique(bad[i])) {
            fail_msg("%s is not unique", bad[i]);
        }
    }
    char *one = tgt_identity_new_scsi_id(&tgt);
    char *two = tgt_identity_new_scsi_id(&tgt);
    assert_true(tgt_scsi_id_is_unique(one) && tgt_scsi_id_is_unique(two));
    assert_string_not_equal(one, two);
    assert_true(strlen(tgt_identity_new_serial(&tgt)) >= 16);
}

static void all_designators_must_agree(void **state)
{
    (void)state;
    struct vss_lun_info info;
    assert_int_equal(tgt_identity_describe(&tgt, ID_A, "S", "iqn.x:t", 300, &info), S_OK);
    assert_int_equal(info.interconnects->address[0], 0x41); /* LUN 300 in the flat form */
    assert_int_equal(info.interconnects->address[1], 300 - 256);
    assert_true(tgt_identity_matches(&info, ID_A, "S"));
    assert_false(tgt_identity_matches(&info, ID_A, "T"));
    struct vss_storage_identifier *t10 = &info.device_id.identifiers[0];
    struct vss_storage_identifier *naa = &info.device_id.identifiers[1];
    t10->identifier[5] ^= 1;
    assert_false(tgt_identity_matches(&info, ID_A, "S"));
    t10->identifier[5] ^= 1;
    naa->identifier[15] ^= 1;
    assert_false(tgt_identity_matches(&info, ID_A, "S"));
    naa->identifier[15] ^= 1;
    naa->identifier_bytes = 15;
    assert_false(tgt_identity_matches(&info, ID_A, "S"));
    naa->identifier_bytes = 16;
    info.device_id.identifier_count = 1;
    assert_false(tgt_identity_matches(&info, ID_A, "S"));
    info.device_id.identifiers = naa;
    assert_true(tgt_identity_matches(&info, ID_A, "S"));
    info.serial_number = NULL;
    assert_false(tgt_identity_matches(&info, ID_A, "S"));
}

static void only_our_names_are_copies(void **state)
{
    (void)state;
    static const char set[] = "b57190af-454a-4dd0-8afd-e57facd5d9af";
    char *path = tgt_copy_path(&tgt, "/srv", set, 7, TGT_COPY_SUFFIX);
    assert_string_equal(path, "/srv/.lunshadow-b57190af-454a-4dd0-8afd-e57facd5d9af-7.copy");
    assert_true(tgt_path_is_copy(path, set) && tgt_path_is_copy(path, NULL));
    assert_false(tgt_path_is_copy(path, "c57190af-454a-4dd0-8afd-e57facd5d9af"));
    static const char *const bad[] = {"",
                                      "/",
                                      "/srv/a.img",
                                      ".lunshadow-b57190af-454a-4dd0-8afd-e57facd5d9af-7.copy",
                                      "/.lunshadow-",
                                      "/.lunshadow-b57190af-454a-4dd0-8afd-e57facd5d9af-.copy",
                                      "/.lunshadow-b57190af-454a-4dd0-8afd-e57facd5d9af-7.copy/x",
                                      "/.lunshadow-b57190af-454a-4dd0-8afd-e57facd5d9af-7.img",
                                      "/.lunshadow-b57190af-454a-4dd0-8afd-e57facd5d9af-7",
                                      "/.lunshadow-b57190af-454a-4dd0-8afd-e57facd5d9a",
                                      "/.lunshadow-b57190af-454a-4dd0-8afd-e57facd5d9af-7.copyx"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (tgt_path_is_copy(bad[i], NULL)) {
            fail_msg("%s was taken for a copy", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(output_is_read, forget),
        cmocka_unit_test_teardown(odd_output_is_refused, forget),
        cmocka_unit_test_teardown(every_beginning_is_safe, forget),
        cmocka_unit_test_teardown(only_unique_ids_count, forget),
        cmocka_unit_test_teardown(all_designators_must_agree, forget),
        cmocka_unit_test_teardown(only_our_names_are_copies, forget),
    };
    return cmocka_run_group_tests_name("tgt_show", tests, NULL, NULL);
}
