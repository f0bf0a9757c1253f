/* SPDX-License-Identifier: Apache-2.0 */

/* The Backup Components Document: what is written is read back, byte for byte, and what is hostile
 * is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/id.h"
#include "lun/info.h"
#include "requester/document/document.h"

#define ROOT_OPEN  "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\""
#define ROOT_CLOSE "</BACKUP_COMPONENTS>"

/* Of the shape that a Windows host writes: writers, components, a set of a product we do not know.
 */
static const char windows_like[] = ROOT_OPEN
    " version=\"1.2\" bootableSystemStateBackup=\"yes\" selectComponents=\"yes\""
    " backupType=\"full\" partialFileSupport=\"no\""
    " snapshotSetId=\"0c9bd1b6-1d5a-4a7c-a9e2-8a2c3f6d1e11\">"
    "<WRITER_COMPONENTS instanceId=\"a6ad56c2-b509-4e6c-bb19-49d8f43532f0\""
    " writerId=\"a65faa63-5ea8-4ebc-9dbd-a0c4db26912a\" backupSchema=\"881\" instanceName=\"DB "
    "&amp; "
    "co\">"
    "<COMPONENT logicalPath=\"SRV\\x\" componentName=\"Käufer\" componentType=\"filegroup\""
    " backupStamp=\"7\"><BACKUP_METADATA metadata=\"&lt;a&gt;&#10;=\"/></COMPONENT>"
    "</WRITER_COMPONENTS>"
    "<WRITER_COMPONENTS instanceId=\"11111111-2222-3333-4444-555555555555\""
    " writerId=\"0BADA1DE-01A9-4625-8278-69E735F39DD2\" backupSchema=\"0\"/>"
    "<SNAPSHOT_SET_DESCRIPTION snapshotSetId=\"0c9bd1b6-1d5a-4a7c-a9e2-8a2c3f6d1e11\" "
    "foreign=\"1\">"
    "<SNAPSHOT_DESCRIPTION snapshotId=\"5b1f8c40-7f51-4d6e-9a55-0d8f0c4d2a01\"><LUN_MAPPING/>"
    "</SNAPSHOT_DESCRIPTION></SNAPSHOT_SET_DESCRIPTION><!--kept-->" ROOT_CLOSE;

/* ---- a set as the sequence makes it: three volumes, two LUNs, the first two share one ---- */

static uint8_t naa[16] = {0x60, 0x01, 0x40, 0x5a, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x10};
static uint8_t t10[] = "IET     00010001";
static uint8_t port[] = "iqn.2026-11.test:one";
static uint8_t address[8] = {0, 1};
static uint8_t state[] = {0, 1, 2, 0xfe, 0xff};

static struct vss_storage_identifier identifiers[] = {
    {VDSStorageIdCodeSetBinary, VDSStorageIdTypeFCPHName, sizeof(naa), naa},
    {VDSStorageIdCodeSetAscii, VDSStorageIdTypeVendorId, 16, t10},
};
static struct vss_interconnect interconnects[] = {{VDS_IA_SCSI, 20, port, 8, address}};

static struct vss_partition_id partitions[] = {
    {1, 0, {0x11111111, 0x2222, 0x3333, {1, 2, 3, 4, 5, 6, 7, 8}}, 0},
    {3, 0, {0xdeadbeef, 0x2222, 0x3333, {1, 2, 3, 4, 5, 6, 7, 8}}, UINT64_C(0xe000000000000001)},
};

static struct vss_lun_info sample_info(void)
{
    return (struct vss_lun_info){
        .version = 1,
        .command_queueing = 1,
        .bus_type = VDSBusTypeiScsi,
        .vendor_id = (char *)"IET",
        .product_id = (char *)"VIRTUAL-DISK",
        .product_revision = (char *)"0001",
        .serial_number = (char *)"beaf 10 \xc3\xa9\x01\xff%",
        .disk_signature = {0x12345678, 0, 0, {0}},
        .device_id = {1, 2, identifiers},
        .interconnect_count = 1,
        .interconnects = interconnects,
    };
}

static struct lun_mapping sample_lun(void)
{
    struct lun_mapping lun = {
        .provider = (char *)"b57190af-454a-4dd0-8afd-e57facd5d9af",
        .array = (char *)"lab \"<&>\"",
        .source_url = (char *)"iscsi://127.0.0.1:3260/iqn.2026-11.test:one/1",
        .block_bytes = 4096,
        .block_count = 65536,
        .state = state,
        .state_bytes = sizeof(state),
    };
    lun.source = sample_info();
    lun.copy = sample_info();
    lun.source_ids = (struct vss_disk_ids){.kind = VSS_DISK_LABEL_GPT,
                                           .mbr_signature = 0xffffffff,
                                           .disk_guid = {1, 2, 3, {4, 5, 6, 7, 8, 9, 10, 11}},
                                           .partition_count = 2,
                                           .partitions = partitions};
    return lun;
}

static struct volume_extent extents[] = {
    {0, 0, 2048, 8192, 0}, {0, 0, 10240, 1024, 0}, {0, 0, 30000, 100, 1024}, {1, 0, 0, 65536, 0}};

struct sample {
    struct set_record set;
    struct snapshot_record snapshots[3];
    struct lun_mapping luns[2];
};

static void make_sample(struct sample *s)
{
    *s = (struct sample){0};
    for (uint32_t i = 0; i < 3; i++) {
        s->snapshots[i] = (struct snapshot_record){
            .snapshot_id = {0xaaaa0000u + i, 1, 2, {3}},
            .provider_id = {0xb57190af, 0x454a, 0x4dd0, {0x8a}},
            .original_volume = (char *)"iscsi://127.0.0.1:3260/iqn.2026-11.test:one/1#1",
            .attributes = 0x10029,
            .status = VSS_SS_CREATED,
            .created = INT64_C(134059500000000000),
        };
    }
    s->snapshots[0].extents = &extents[0];
    s->snapshots[0].extent_count = 1;
    s->snapshots[1].extents = &extents[1];
    s->snapshots[1].extent_count = 2;
    s->snapshots[2].extents = &extents[3];
    s->snapshots[2].extent_count = 1;
    s->luns[0] = sample_lun();
    s->luns[1] = sample_lun();
    s->luns[1].copy_url = (char *)"iscsi://[::1]:3260/iqn.2026-11.test:copy/2";
    s->luns[1].is_empty = true;
    s->set = (struct set_record){.set_id = {0x0c9bd1b6, 0x1d5a, 0x4a7c, {0xa9}},
                                 .context = VSS_CTX_APP_ROLLBACK | 0x20,
                                 .originating_machine = (char *)"",
                                 .cut_us = 1234,
                                 .hold_us = UINT64_MAX,
                                 .snapshots = s->snapshots,
                                 .snapshot_count = 3,
                                 .luns = s->luns,
                                 .lun_count = 2};
}

/* ---- helpers ---- */

static struct document *must_load(const char *xml)
{
    struct document *document = NULL;
    struct error err = {0};
    HRESULT hr = document_load(xml, strlen(xml), &document, &err);
    if (FAILED(hr)) {
        fail_msg("%s: %s", vss_error_name(hr), err.text);
    }
    return document;
}

static char *must_save(const struct document *document)
{
    char *xml = NULL;
    assert_int_equal(document_save(document, &xml, NULL), S_OK);
    return xml;
}

static void assert_refused(const void *xml, size_t length)
{
    struct document *document = NULL;
    struct error err = {0};
    HRESULT hr = document_load(xml, length, &document, &err);
    if (hr != VSS_E_INVALID_XML_DOCUMENT) {
        fail_msg("accepted or another code: 0x%08x for %.200s", (unsigned)hr, (const char *)xml);
    }
    assert_null(document);
    assert_true(err.text[0] != '\0');
    assert_null(strchr(err.text, '\n'));
}

static void assert_text_refused(const char *xml)
{
    assert_refused(xml, strlen(xml));
}

/* A document around the sample set. */
static char *sample_xml(void)
{
    struct sample s;
    make_sample(&s);
    struct document *document = NULL;
    assert_int_equal(document_new(&document, NULL), S_OK);
    struct error err = {0};
    if (FAILED(document_set_set(document, &s.set, &err))) {
        fail_msg("%s", err.text);
    }
    char *xml = must_save(document);
    document_free(document);
    return xml;
}

/* text with the only, or the nth (from 0), occurrence of from replaced. */
static char *replaced(const char *text, const char *from, int nth, const char *to)
{
    const char *at = strstr(text, from);
    for (int i = 0; i < nth && at; i++) {
        at = strstr(at + 1, from);
    }
    if (!at) {
        fail_msg("the sample document lacks %s", from);
        return NULL;
    }
    return text_printf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static char *to_utf16(const char *ascii, bool big_endian, size_t tail_units, size_t *out_length)
{
    size_t n = strlen(ascii);
    char *wide = calloc(n + 1 + tail_units, 2);
    assert_non_null(wide);
    wide[big_endian ? 0 : 1] = (char)0xfe;
    wide[big_endian ? 1 : 0] = (char)0xff;
    for (size_t i = 0; i < n; i++) {
        wide[2 * (i + 1) + (big_endian ? 1 : 0)] = ascii[i];
    }
    *out_length = 2 * (n + 1 + tail_units);
    return wide;
}

/* ---- round trips ---- */

static void test_new_document(void **unused)
{
    (void)unused;
    struct document *document = NULL;
    assert_int_equal(document_new(&document, NULL), S_OK);
    struct document_session session;
    assert_int_equal(document_get_session(document, &session, NULL), S_OK);
    assert_false(session.select_components);
    assert_true(id_is_null(&session.set_id));
    struct set_record set;
    assert_int_equal(document_get_set(document, &set, NULL), S_FALSE);
    char *xml = must_save(document);
    assert_int_equal(strncmp(xml, ROOT_OPEN " version=\"1.2\"", strlen(ROOT_OPEN) + 14), 0);
    free(xml);
    document_free(document);
}

static void test_session_round_trip(void **unused)
{
    (void)unused;
    struct document *document = NULL;
    assert_int_equal(document_new(&document, NULL), S_OK);
    struct document_session in = {true, false, VSS_BT_INCREMENTAL, true, {7, 8, 9, {1}}};
    assert_int_equal(document_set_session(document, &in, NULL), S_OK);
    char *xml = must_save(document);
    struct document *again = must_load(xml);
    struct document_session out;
    assert_int_equal(document_get_session(again, &out, NULL), S_OK);
    assert_true(out.select_components && out.partial_file_support && !out.bootable_system_state);
    assert_int_equal(out.backup_type, VSS_BT_INCREMENTAL);
    assert_true(id_equal(&out.set_id, &in.set_id));
    out.set_id = id_null;
    assert_int_equal(document_set_session(again, &out, NULL), S_OK);
    char *without = must_save(again);
    assert_null(strstr(without, "snapshotSetId"));
    in.backup_type = 7;
    assert_int_equal(document_set_session(document, &in, NULL), E_INVALIDARG);
    free(without);
    free(xml);
    document_free(again);
    document_free(document);
}

static void assert_same_info(const struct vss_lun_info *a, const struct vss_lun_info *b)
{
    assert_string_equal(a->vendor_id, b->vendor_id);
    assert_string_equal(a->serial_number, b->serial_number);
    assert_int_equal(a->command_queueing, b->command_queueing);
    assert_int_equal(a->bus_type, b->bus_type);
    assert_true(id_equal(&a->disk_signature, &b->disk_signature));
    assert_int_equal(a->device_id.identifier_count, b->device_id.identifier_count);
    for (uint32_t i = 0; i < a->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *x = &a->device_id.identifiers[i];
        const struct vss_storage_identifier *y = &b->device_id.identifiers[i];
        assert_int_equal(x->type, y->type);
        assert_int_equal(x->code_set, y->code_set);
        assert_int_equal(x->identifier_bytes, y->identifier_bytes);
        assert_memory_equal(x->identifier, y->identifier, x->identifier_bytes);
    }
    assert_int_equal(a->interconnect_count, b->interconnect_count);
    assert_memory_equal(a->interconnects[0].port, b->interconnects[0].port, 20);
    assert_memory_equal(a->interconnects[0].address, b->interconnects[0].address, 8);
}

static void test_set_round_trip(void **unused)
{
    (void)unused;
    char *xml = sample_xml();
    struct document *document = must_load(xml);
    struct set_record out;
    assert_int_equal(document_get_set(document, &out, NULL), S_OK);
    struct sample in;
    make_sample(&in);
    assert_true(id_equal(&out.set_id, &in.set.set_id));
    assert_int_equal(out.context, in.set.context);
    assert_string_equal(out.originating_machine, "");
    assert_null(out.service_machine);
    assert_true(out.hold_us == UINT64_MAX && out.cut_us == 1234);
    assert_int_equal(out.snapshot_count, 3);
    assert_int_equal(out.lun_count, 2);
    for (size_t i = 0; i < 3; i++) {
        assert_true(id_equal(&out.snapshots[i].snapshot_id, &in.snapshots[i].snapshot_id));
        assert_string_equal(out.snapshots[i].original_volume, in.snapshots[i].original_volume);
        assert_int_equal(out.snapshots[i].extent_count, in.snapshots[i].extent_count);
        assert_memory_equal(out.snapshots[i].extents, in.snapshots[i].extents,
                            out.snapshots[i].extent_count * sizeof(extents[0]));
        assert_true(out.snapshots[i].created == in.snapshots[i].created);
        assert_null(out.snapshots[i].device);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_same_info(&out.luns[i].source, &in.luns[i].source);
        assert_same_info(&out.luns[i].copy, &in.luns[i].copy);
        assert_true(disk_ids_equal(&out.luns[i].source_ids, &in.luns[i].source_ids));
        assert_true(disk_ids_equal(&out.luns[i].copy_ids, &in.luns[i].copy_ids));
        assert_string_equal(out.luns[i].array, in.luns[i].array);
        assert_int_equal(out.luns[i].state_bytes, sizeof(state));
        assert_memory_equal(out.luns[i].state, state, sizeof(state));
    }
    assert_null(out.luns[0].copy_url);
    assert_string_equal(out.luns[1].copy_url, in.luns[1].copy_url);
    assert_true(out.luns[1].is_empty && !out.luns[0].is_empty);
    set_record_free(&out);
    document_free(document);
    free(xml);
}

static void test_same_bytes_again(void **unused)
{
    (void)unused;
    char *sample = sample_xml();
    const char *texts[] = {sample, windows_like,
                           ROOT_OPEN
                           " backupType=\"log\" xmlns:q=\"urn:q\" q:a='\"&#x9;'> "
                           "<q:b>t<![CDATA[<&]]>&#13; &#228;</q:b><?p i?></BACKUP_COMPONENTS>"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct document *first = must_load(texts[i]);
        char *once = must_save(first);
        struct document *second = must_load(once);
        char *twice = must_save(second);
        assert_string_equal(once, twice);
        assert_null(strchr(once, '\n'));
        assert_null(strstr(once, "<?xml"));
        free(once);
        free(twice);
        document_free(first);
        document_free(second);
    }
    struct document *ours = must_load(sample);
    char *same = must_save(ours);
    assert_string_equal(same, sample);
    struct document *theirs = must_load(windows_like);
    char *kept = must_save(theirs);
    assert_string_equal(kept, windows_like);
    free(kept);
    free(same);
    free(sample);
    document_free(ours);
    document_free(theirs);
}

static void test_strangers_survive(void **unused)
{
    (void)unused;
    struct document *document = must_load(windows_like);
    struct set_record set;
    assert_int_equal(document_get_set(document, &set, NULL), S_FALSE);
    struct document_session session;
    assert_int_equal(document_get_session(document, &session, NULL), S_OK);
    assert_true(session.select_components && session.bootable_system_state);
    assert_int_equal(session.backup_type, VSS_BT_FULL);
    session.partial_file_support = true;
    assert_int_equal(document_set_session(document, &session, NULL), S_OK);
    struct sample s;
    make_sample(&s);
    assert_int_equal(document_set_set(document, &s.set, NULL), S_OK);
    char *xml = must_save(document);
    assert_non_null(strstr(xml, "<BACKUP_METADATA metadata=\"&lt;a&gt;&#10;=\"/>"));
    assert_non_null(strstr(xml, "componentName=\"Käufer\""));
    assert_non_null(strstr(xml, "writerId=\"0BADA1DE-01A9-4625-8278-69E735F39DD2\""));
    assert_non_null(strstr(xml, "<!--kept-->"));
    assert_null(strstr(xml, "foreign"));
    assert_int_equal(document_set_set(document, NULL, NULL), S_OK);
    assert_int_equal(document_get_set(document, &set, NULL), S_FALSE);
    char *removed = must_save(document);
    assert_null(strstr(removed, "SNAPSHOT_SET_DESCRIPTION"));
    assert_null(strstr(removed, "urn:lunshadow"));
    free(removed);
    free(xml);
    document_free(document);
}

static void test_ids_in_any_form(void **unused)
{
    (void)unused;
    char *xml = sample_xml();
    char *upper = replaced(xml, "snapshotSetId=\"0c9bd1b6-1d5a-4a7c-a900-000000000000\"", 0,
                           "snapshotSetId=\"{0C9BD1B6-1D5A-4A7C-A900-000000000000}\"");
    struct document *document = must_load(upper);
    struct set_record set;
    assert_int_equal(document_get_set(document, &set, NULL), S_OK);
    assert_int_equal(set.set_id.data1, 0x0c9bd1b6);
    set_record_free(&set);
    document_free(document);
    free(upper);
    free(xml);
}

static void test_unused_lun(void **unused)
{
    (void)unused;
    struct sample s;
    make_sample(&s);
    s.set.snapshot_count = 2;
    struct document *document = NULL;
    assert_int_equal(document_new(&document, NULL), S_OK);
    assert_int_equal(document_set_set(document, &s.set, NULL), S_OK);
    struct set_record out;
    assert_int_equal(document_get_set(document, &out, NULL), S_OK);
    assert_int_equal(out.lun_count, 2);
    assert_string_equal(out.luns[1].copy_url, s.luns[1].copy_url);
    set_record_free(&out);
    document_free(document);
}

/* ---- encodings ---- */

static void test_utf16(void **unused)
{
    (void)unused;
    const char *text =
        "<?xml version=\"1.0\" encoding=\"utf-16\"?>" ROOT_OPEN " version=\"1.2\" x=\"&#228;\"/>";
    for (int big = 0; big < 2; big++) {
        for (size_t tail = 0; tail < 3; tail++) {
            size_t length;
            char *wide = to_utf16(text, big != 0, tail, &length);
            struct document *document = NULL;
            struct error err = {0};
            if (FAILED(document_load(wide, length, &document, &err))) {
                fail_msg("%s", err.text);
            }
            char *xml = must_save(document);
            assert_string_equal(xml, ROOT_OPEN " version=\"1.2\" x=\"ä\"/>");
            free(xml);
            document_free(document);
            free(wide);
        }
    }
}

static void test_utf8_forms(void **unused)
{
    (void)unused;
    struct document *document = NULL;
    static const char mark[] = "\xef\xbb\xbf" ROOT_OPEN "/>\0\0";
    assert_int_equal(document_load(mark, sizeof(mark) - 1, &document, NULL), S_OK);
    document_free(document);
    static const char declared[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n" ROOT_OPEN "/>\n";
    assert_int_equal(document_load(declared, sizeof(declared) - 1, &document, NULL), S_OK);
    document_free(document);
    assert_text_refused(ROOT_OPEN " x=\"\xff\"/>");
    assert_text_refused("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" ROOT_OPEN
                        " x=\"\xe4\"/>");
}

/* ---- hostile documents ---- */

static void test_not_a_document(void **unused)
{
    (void)unused;
    assert_refused("", 0);
    assert_refused("\0\0\0\0", 4);
    assert_refused("\xff\xfe", 2);
    assert_text_refused("not XML at all");
    assert_text_refused("<BACKUP_COMPONENTS/>");
    assert_text_refused("<BACKUP_COMPONENTS xmlns=\"x-schema:#VssWriterMetadataInfo\"/>");
    assert_text_refused("<WRITER_METADATA xmlns=\"x-schema:#VssComponentMetadata\"/>");
    assert_text_refused("<p:BACKUP_COMPONENTS/>");
    assert_text_refused(ROOT_OPEN "><a></b>" ROOT_CLOSE);
    assert_text_refused(ROOT_OPEN "/>" ROOT_OPEN "/>");
    assert_text_refused(ROOT_OPEN "><a u:b=\"\"/>" ROOT_CLOSE);
    assert_text_refused(ROOT_OPEN " x=\"1\" x=\"2\"/>");
    assert_text_refused(ROOT_OPEN " x=\"&unknown;\"/>");
    assert_text_refused(ROOT_OPEN " selectComponents=\"maybe\"/>");
    assert_text_refused(ROOT_OPEN " backupType=\"total\"/>");
    assert_text_refused(ROOT_OPEN " snapshotSetId=\"1\"/>");
    assert_text_refused(ROOT_OPEN
                        "><SNAPSHOT_SET_DESCRIPTION/><SNAPSHOT_SET_DESCRIPTION/>" ROOT_CLOSE);
}

#define WRITER_OPEN                                                                                \
    "<WRITER_COMPONENTS instanceId=\"a6ad56c2-b509-4e6c-bb19-49d8f43532f0\""                       \
    " writerId=\"a65faa63-5ea8-4ebc-9dbd-a0c4db26912a\">"
#define WRITER_CLOSE "</WRITER_COMPONENTS>"

static char *repeated(const char *head, const char *part, size_t count, const char *tail);

static void test_writers_and_components(void **unused)
{
    (void)unused;
    assert_text_refused(ROOT_OPEN ">" WRITER_OPEN WRITER_CLOSE WRITER_OPEN WRITER_CLOSE ROOT_CLOSE);
    assert_text_refused(ROOT_OPEN ">" WRITER_OPEN
                                  "<COMPONENT componentName=\"a\" componentType=\"database\"/>"
                                  "<COMPONENT componentName=\"a\" logicalPath=\"\""
                                  " componentType=\"filegroup\"/>" WRITER_CLOSE ROOT_CLOSE);
    assert_text_refused(ROOT_OPEN ">" WRITER_OPEN "<COMPONENT/>" WRITER_CLOSE ROOT_CLOSE);
    assert_text_refused(ROOT_OPEN "><WRITER_COMPONENTS writerId=\"x\"/>" ROOT_CLOSE);
    assert_text_refused(ROOT_OPEN "><WRITER_COMPONENTS instanceId=\"\"/>" ROOT_CLOSE);
    char *many = repeated(ROOT_OPEN ">", "<WRITER_COMPONENTS/>", 1025, ROOT_CLOSE);
    assert_text_refused(many);
    free(many);
    /* the same name in another path or of another writer is another component */
    struct document *document =
        must_load(ROOT_OPEN ">" WRITER_OPEN "<COMPONENT componentName=\"a\"/>"
                            "<COMPONENT componentName=\"a\" logicalPath=\"b\"/>" WRITER_CLOSE
                            "<WRITER_COMPONENTS><COMPONENT componentName=\"a\"/>" WRITER_CLOSE
                            "<WRITER_COMPONENTS/>" ROOT_CLOSE);
    document_free(document);
}

static void test_dtd(void **unused)
{
    (void)unused;
    assert_text_refused("<!DOCTYPE BACKUP_COMPONENTS>" ROOT_OPEN "/>");
    assert_text_refused("<!DOCTYPE a SYSTEM \"file:///etc/passwd\">" ROOT_OPEN "/>");
    assert_text_refused("<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>" ROOT_OPEN
                        " x=\"&e;\"/>");
    assert_text_refused("<!DOCTYPE a [<!ENTITY % p SYSTEM \"http://127.0.0.1:1/\">%p;]>" ROOT_OPEN
                        "/>");
    assert_text_refused(
        "<!DOCTYPE a [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
        "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d "
        "\"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">"
        "<!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;\"><!ENTITY f "
        "\"&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;\">"
        "]>" ROOT_OPEN " x=\"&f;&f;&f;\">&f;&f;&f;&f;&f;&f;" ROOT_CLOSE);
    size_t length;
    char *wide =
        to_utf16("<!DOCTYPE a [<!ENTITY e \"x\">]>" ROOT_OPEN " x=\"&e;\"/>", false, 0, &length);
    assert_refused(wide, length);
    free(wide);
}

static char *repeated(const char *head, const char *part, size_t count, const char *tail)
{
    struct buffer b = BUFFER_INIT;
    buffer_add_text(&b, head);
    for (size_t i = 0; i < count; i++) {
        buffer_add_text(&b, part);
    }
    buffer_add_text(&b, tail);
    return buffer_take(&b);
}

static void test_limits(void **unused)
{
    (void)unused;
    char *deep = repeated(ROOT_OPEN ">", "<a>", 63, "");
    char *just = repeated(deep, "</a>", 63, ROOT_CLOSE);
    struct document *document = must_load(just);
    document_free(document);
    char *deeper = repeated(ROOT_OPEN ">", "<a>", 64, "");
    char *too_deep = repeated(deeper, "</a>", 64, ROOT_CLOSE);
    assert_text_refused(too_deep);
    char *abyss = repeated(ROOT_OPEN ">", "<a>", 200000, "");
    assert_text_refused(abyss);
    char *nodes = repeated(ROOT_OPEN ">", "<a/>", DOCUMENT_NODES_MAX + 1, ROOT_CLOSE);
    assert_text_refused(nodes);
    char *comments = repeated(ROOT_OPEN ">", "<!---->", DOCUMENT_NODES_MAX + 1, ROOT_CLOSE);
    assert_text_refused(comments);
    char *fitting =
        repeated(ROOT_OPEN ">", "0123456789abcdef", DOCUMENT_BYTES_MAX / 16 - 32, ROOT_CLOSE);
    document_free(must_load(fitting));
    free(fitting);
    char *large = repeated(ROOT_OPEN ">", "0123456789abcdef", DOCUMENT_BYTES_MAX / 16, ROOT_CLOSE);
    assert_text_refused(large);
    /* names repeat, which is wrong too, but must not be what takes the time to notice */
    char *crowded = repeated(ROOT_OPEN "><!-- \" -->", " a=\"\"", 2000000, "/>");
    char *in_tag = replaced(crowded, "-->", 0, "--><a");
    assert_text_refused(in_tag);
    free(in_tag);
    free(crowded);
    free(large);
    free(comments);
    free(nodes);
    free(abyss);
    free(too_deep);
    free(deeper);
    free(just);
    free(deep);
}

/* Too many attributes, of different names, behind one whose value is the character high * 256. */
static char *crowded_behind(char high, bool big_endian, size_t *out_length)
{
    struct buffer b = BUFFER_INIT;
    buffer_add_text(&b, ROOT_OPEN " x=\"\1\"");
    for (unsigned i = 0; i < 300; i++) {
        buffer_printf(&b, " a%u=\"\"", i);
    }
    buffer_add_text(&b, "/>");
    char *text = buffer_take(&b);
    char *wide = to_utf16(text, big_endian, 0, out_length);
    char *unit = wide + 2 * (1 + (strchr(text, 1) - text));
    unit[big_endian ? 0 : 1] = high;
    unit[big_endian ? 1 : 0] = 0;
    free(text);
    return wide;
}

/* U+3C00, U+2200 and U+2700 have the bytes of '<' and of the quotes. */
static void test_crowded_behind_lookalikes(void **unused)
{
    (void)unused;
    static const char highs[] = "<\"'0";
    for (size_t i = 0; i < 8; i++) {
        size_t length = 0;
        char *wide = crowded_behind(highs[i / 2], i % 2 != 0, &length);
        assert_refused(wide, length);
        free(wide);
    }
}

static void test_truncated_anywhere(void **unused)
{
    (void)unused;
    char *xml = sample_xml();
    size_t length = strlen(xml);
    for (size_t i = 0; i < length; i++) {
        assert_refused(xml, i);
    }
    struct document *document = must_load(xml);
    document_free(document);
    free(xml);
}

/* One lie each in a document that is good without it. */
static const struct {
    const char *from;
    int nth;
    const char *to;
} lies[] = {
    {"snapshotId=\"aaaa0001-", 0, "snapshotId=\"aaaa0000-"}, /* twice */
    {"snapshotId=\"aaaa0001-", 0, "snapshotId=\"zaaa0001-"},
    {"snapshotSetId=", 0, "x="},
    {"context=\"41\"", 0, "context=\"\""},
    {"context=\"41\"", 0, "context=\"-1\""},
    {"context=\"41\"", 0, "context=\"0x29\""},
    {"context=\"41\"", 0, "context=\"4294967296\""},
    {"holdMicroseconds=\"18446744073709551615\"", 0, "holdMicroseconds=\"18446744073709551616\""},
    {"status=\"12\"", 0, "status=\"16\""},
    {"status=\"12\"", 0, "status=\"-1\""},
    {"created=\"134059500000000000\"", 0, "created=\"9223372036854775808\""},
    {"ls:providerId=", 0, "providerId="},
    {"blockBytes=\"4096\"", 0, "blockBytes=\"4095\""},
    {"blockBytes=\"4096\"", 0, "blockBytes=\"0\""},
    {"blockCount=\"65536\"", 0, "blockCount=\"0\""},
    {"ls:blockCount=\"65536\"", 0, "ls:blockCount=\"18446744073709551615\""},
    {"ls:isEmpty=\"no\"", 0, "ls:isEmpty=\"0\""},
    {"providerState=\"000102feff\"", 0, "providerState=\"000102fef\""},
    {"providerState=\"000102feff\"", 0, "providerState=\"000102fefg\""},
    {"firstBlock=\"2048\"", 0, "firstBlock=\"65530\""},
    {"firstBlock=\"2048\"", 0, "firstBlock=\"18446744073709551615\""},
    {"blockCount=\"8192\"", 0, "blockCount=\"18446744073709551615\""},
    {"blockCount=\"8192\"", 0, "blockCount=\"0\""},
    {"EXTENT lun=\"1\"", 0, "EXTENT lun=\"2\""},
    {"EXTENT lun=\"1\"", 0, "EXTENT lun=\"0\""},
    {"LUN_MAPPING ls:lun=\"1\"", 0, "LUN_MAPPING ls:lun=\"2\""},
    {"LUN_MAPPING ls:lun=\"1\"", 0, "LUN_MAPPING ls:lun=\"4294967295\""},
    {"LUN_MAPPING ls:lun=\"1\"", 0, "LUN_MAPPING"},
    {"number=\"3\"", 0, "number=\"1\""},
    {"number=\"1\"", 0, "number=\"0\""},
    {"label=\"gpt\"", 0, "label=\"apm\""},
    {"mbrSignature=\"4294967295\"", 0, "mbrSignature=\"4294967296\""},
    {"codeSet=\"1\"", 0, "codeSet=\"16\""},
    {"busType=\"9\"", 0, "busType=\"128\""},
    {"diskSignature=", 0, "x="},
    {"<SOURCE_LUN>", 0, "<SOURCE_LUN/><SOURCE_LUN>"},
    {"serialNumber=\"beaf", 0, "serialNumber=\"%00beaf"},
    {"serialNumber=\"beaf", 0, "serialNumber=\"%4"},
    {"sourceUrl=\"iscsi://", 0, "sourceUrl=\"iscsi://user%25hush@"},
    {"originalVolume=\"iscsi://", 0, "originalVolume=\"iscsi://user@"},
    /* the second description of LUN 0 */
    {"array=\"lab", 1, "array=\"lob"},
    {"number=\"3\"", 1, "number=\"4\""},
    {"attributes=\"16140901064495857665\"", 1, "attributes=\"1\""},
};

static void test_lies(void **unused)
{
    (void)unused;
    char *xml = sample_xml();
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        char *bad = replaced(xml, lies[i].from, lies[i].nth, lies[i].to);
        struct document *document = NULL;
        struct error err = {0};
        HRESULT hr = document_load(bad, strlen(bad), &document, &err);
        if (hr != VSS_E_INVALID_XML_DOCUMENT) {
            fail_msg("lie %zu (%s -> %s) gave 0x%08x", i, lies[i].from, lies[i].to, (unsigned)hr);
        }
        assert_null(strstr(err.text, "hush"));
        free(bad);
    }
    free(xml);
}

/* Whatever a byte becomes: loaded and stable, or refused; never a crash. */
static void test_bytes_flipped(void **unused)
{
    (void)unused;
    char *xml = sample_xml();
    size_t length = strlen(xml);
    unsigned loaded = 0;
    for (size_t i = 0; i < length; i++) {
        char kept = xml[i];
        xml[i] = (char)(kept ^ (char)(1u << (i % 7)));
        struct document *document = NULL;
        if (SUCCEEDED(document_load(xml, length, &document, NULL))) {
            loaded++;
            char *once = must_save(document);
            struct document *again = must_load(once);
            char *twice = must_save(again);
            assert_string_equal(once, twice);
            free(once);
            free(twice);
            document_free(again);
            document_free(document);
        }
        xml[i] = kept;
    }
    assert_true(loaded > 0 && loaded < length);
    free(xml);
}

/* What a document could not give back is not written, and the document stays as it was. */
static void test_unwritable_sets(void **unused)
{
    (void)unused;
    struct document *document = must_load(windows_like);
    struct sample s;
    struct error err = {0};

    make_sample(&s);
    s.luns[0].source_url = (char *)"iscsi://user%hush@127.0.0.1/iqn.a/1";
    assert_int_equal(document_set_set(document, &s.set, &err), E_INVALIDARG);
    assert_null(strstr(err.text, "hush"));

    make_sample(&s);
    s.luns[1].copy_url = (char *)"iscsi://user@127.0.0.1/iqn.a/1";
    assert_int_equal(document_set_set(document, &s.set, NULL), E_INVALIDARG);

    make_sample(&s);
    s.snapshots[2].snapshot_id = s.snapshots[0].snapshot_id;
    assert_int_equal(document_set_set(document, &s.set, NULL), E_INVALIDARG);

    make_sample(&s);
    s.set.lun_count = 1;
    assert_int_equal(document_set_set(document, &s.set, NULL), E_INVALIDARG);

    make_sample(&s);
    s.luns[0].source_ids.kind = 9;
    assert_int_equal(document_set_set(document, &s.set, NULL), E_INVALIDARG);

    char *xml = must_save(document);
    assert_string_equal(xml, windows_like);
    free(xml);
    document_free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_document),
        cmocka_unit_test(test_session_round_trip),
        cmocka_unit_test(test_set_round_trip),
        cmocka_unit_test(test_same_bytes_again),
        cmocka_unit_test(test_strangers_survive),
        cmocka_unit_test(test_ids_in_any_form),
        cmocka_unit_test(test_unused_lun),
        cmocka_unit_test(test_utf16),
        cmocka_unit_test(test_utf8_forms),
        cmocka_unit_test(test_not_a_document),
        cmocka_unit_test(test_writers_and_components),
        cmocka_unit_test(test_dtd),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_crowded_behind_lookalikes),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_bytes_flipped),
        cmocka_unit_test(test_unwritable_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
