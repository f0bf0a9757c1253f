/* SPDX-License-Identifier: Apache-2.0 */

/* Writer Metadata Documents: what others wrote loads and keeps its bytes, what is hostile is
 * refused; and the list of writers that a session gathers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/id.h"
#include "requester/writer_metadata.h"
#include "unit/metadata_samples.h"

static struct metadata *must_load(const void *xml, size_t length)
{
    struct metadata *metadata = NULL;
    struct error err = {0};
    if (FAILED(metadata_load(xml, length, &metadata, &err))) {
        fail_msg("%s", err.text);
    }
    return metadata;
}

static void assert_saves_as(const void *xml, size_t length, const char *expected)
{
    struct metadata *metadata = must_load(xml, length);
    char *saved = NULL;
    assert_int_equal(metadata_save(metadata, &saved, NULL), S_OK);
    assert_string_equal(saved, expected);
    free(saved);
    metadata_release(metadata);
}

static void test_same_bytes(void **unused)
{
    (void)unused;
    static const char *const texts[] = {WINDOWS_DB_METADATA, OWN_METADATA};
    for (size_t i = 0; i < 2; i++) {
        assert_saves_as(texts[i], strlen(texts[i]), texts[i]);
        char *declared = text_printf("<?xml version=\"1.0\"?>\r\n%s\n", texts[i]);
        assert_saves_as(declared, strlen(declared), texts[i]);
        free(declared);
    }
}

/* UTF-16, little-endian, with mark and a NUL at the end, as tools on Windows leave it. */
static void test_utf16(void **unused)
{
    (void)unused;
    size_t length = strlen(OWN_METADATA);
    char *wide = calloc(length + 2, 2);
    assert_non_null(wide);
    memcpy(wide, "\xff\xfe", 2);
    for (size_t i = 0; i < length; i++) {
        wide[2 * (i + 1)] = OWN_METADATA[i];
    }
    assert_saves_as(wide, 2 * (length + 2), OWN_METADATA);
    free(wide);
}

static void test_head(void **unused)
{
    (void)unused;
    struct metadata *metadata = must_load(WINDOWS_DB_METADATA, strlen(WINDOWS_DB_METADATA));
    VSS_ID instance;
    VSS_ID writer;
    VSS_ID expected;
    struct metadata_identity identity;
    struct metadata_restore_method method;
    uint32_t major = 0;
    uint32_t minor = 0;
    metadata_ids(metadata, &instance, &writer);
    assert_true(id_parse(DB_INSTANCE_ID, &expected) && id_equal(&instance, &expected));
    assert_true(id_parse(DB_WRITER_ID, &expected) && id_equal(&writer, &expected));
    assert_int_equal(metadata_identity(metadata, &identity, NULL), S_OK);
    assert_string_equal(identity.name, "DbServerWriter");
    assert_string_equal(identity.instance_name, "DB one");
    assert_int_equal(identity.usage, VSS_UT_USERDATA);
    assert_int_equal(identity.source, VSS_ST_TRANSACTEDDB);
    assert_int_equal(metadata_version(metadata, &major, &minor, NULL), S_OK);
    assert_true(major == 1 && minor == 7);
    assert_int_equal(metadata_backup_schema(metadata, &major, NULL), S_OK);
    assert_int_equal(major, 881);
    assert_int_equal(metadata_restore_method(metadata, &method, NULL), S_OK);
    assert_int_equal(method.method, VSS_RME_RESTORE_IF_CAN_REPLACE);
    assert_int_equal(method.writer_restore, VSS_WRE_ALWAYS);
    assert_null(method.service);
    metadata_release(metadata);
}

#define IDS "writerId=\"" DB_WRITER_ID "\" instanceId=\"" DB_INSTANCE_ID "\""

static void test_refused(void **unused)
{
    (void)unused;
    static const struct {
        const char *xml;
        HRESULT code;
        const char *says;
    } cases[] = {
        {"", VSS_E_CORRUPT_XML_DOCUMENT, "empty"},
        {"a", VSS_E_CORRUPT_XML_DOCUMENT, "line 1"},
        {METADATA_OPEN "><IDENTIFICATION " IDS "/>", VSS_E_CORRUPT_XML_DOCUMENT, "line 1"},
        {"<WRITER_METADATA/>", VSS_E_INVALID_XML_DOCUMENT, "root"},
        {"<BACKUP_COMPONENTS xmlns=\"x-schema:#VssWriterMetadataInfo\"/>",
         VSS_E_INVALID_XML_DOCUMENT, "root"},
        {"<WRITER_METADATA xmlns=\"x-schema:#VssComponentMetadata\"/>", VSS_E_INVALID_XML_DOCUMENT,
         "root"},
        {"<!DOCTYPE a [<!ENTITY e \"x\">]>" METADATA_OPEN "><IDENTIFICATION " IDS
         "/>&e;" METADATA_CLOSE,
         VSS_E_INVALID_XML_DOCUMENT, "DTD"},
        {METADATA_OPEN "/>", VSS_E_INVALID_XML_DOCUMENT, "line 1"},
        {METADATA_OPEN "><IDENTIFICATION " IDS "/>\n<IDENTIFICATION " IDS "/>" METADATA_CLOSE,
         VSS_E_INVALID_XML_DOCUMENT, "one IDENTIFICATION"},
        {METADATA_OPEN ">\n<IDENTIFICATION writerId=\"" DB_WRITER_ID "\"/>" METADATA_CLOSE,
         VSS_E_INVALID_XML_DOCUMENT, "line 2, IDENTIFICATION: attribute instanceId"},
        {METADATA_OPEN "><IDENTIFICATION " IDS "/><BACKUP_LOCATIONS><FILE_GROUP "
                       "componentName=\"a\"/>\n<FILE_GROUP componentName=\"a\" logicalPath=\"\"/>"
                       "</BACKUP_LOCATIONS>" METADATA_CLOSE,
         VSS_E_INVALID_XML_DOCUMENT, "line 2, FILE_GROUP: component \"a\" is there twice"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct metadata *metadata = NULL;
        struct error err = {0};
        assert_int_equal(metadata_load(cases[i].xml, strlen(cases[i].xml), &metadata, &err),
                         cases[i].code);
        assert_null(metadata);
        if (!strstr(err.text, cases[i].says)) {
            fail_msg("case %zu says: %s", i, err.text);
        }
    }
}

static void test_gathered(void **unused)
{
    (void)unused;
    struct gathered_writers writers = {0};
    struct error err = {0};
    VSS_ID id;
    assert_int_equal(
        gathered_writers_add(&writers, WINDOWS_DB_METADATA, strlen(WINDOWS_DB_METADATA), &err),
        S_OK);
    assert_int_equal(gathered_writers_add(&writers, OWN_METADATA, strlen(OWN_METADATA), &err),
                     S_OK);
    assert_int_equal(gathered_writers_add(&writers, OWN_METADATA, strlen(OWN_METADATA), &err),
                     VSS_E_INVALID_XML_DOCUMENT);
    assert_non_null(strstr(err.text, "Own writer has the instance id of another one"));
    assert_int_equal(gathered_writers_add(&writers, "<a/>", 4, NULL), VSS_E_INVALID_XML_DOCUMENT);
    assert_int_equal(gathered_writers_add(&writers, "<a", 2, NULL), VSS_E_INVALID_XML_DOCUMENT);
    assert_int_equal(writers.count, 2);
    assert_string_equal(writers.items[0].name, "DbServerWriter");
    assert_string_equal(writers.items[0].instance_name, "DB one");
    assert_null(writers.items[1].instance_name);
    assert_true(id_parse(BOOT_INSTANCE_ID, &id));
    assert_ptr_equal(gathered_writers_find(&writers, &id), &writers.items[1]);
    assert_false(gathered_writers_has_class(&writers, &id));
    assert_true(id_parse(BOOT_WRITER_ID, &id));
    assert_true(gathered_writers_has_class(&writers, &id));
    assert_null(gathered_writers_find(&writers, &id));
    gathered_writers_clear(&writers);
    assert_int_equal(writers.count, 0);
}

static void test_no_name(void **unused)
{
    (void)unused;
    static const char xml[] = METADATA_OPEN ">\n\n<IDENTIFICATION " IDS "/>" METADATA_CLOSE;
    struct gathered_writers writers = {0};
    struct error err = {0};
    assert_int_equal(gathered_writers_add(&writers, xml, strlen(xml), &err),
                     VSS_E_INVALID_XML_DOCUMENT);
    assert_non_null(strstr(err.text, "line 3, IDENTIFICATION: lacks attribute friendlyName"));
    assert_int_equal(writers.count, 0);
    gathered_writers_clear(&writers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_utf16),
        cmocka_unit_test(test_head),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_gathered),   cmocka_unit_test(test_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
