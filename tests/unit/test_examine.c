/* SPDX-License-Identifier: Apache-2.0 */

/* The objects of metadata.h over documents alone: each method's answer, and each code for its
 * reason. */

#include "unit/registry_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lunshadow/metadata.h>

#include "common/id.h"
#include "unit/metadata_samples.h"

static int setup(void **state)
{
    *state = fixture_directory();
    return setenv("LUNSHADOW_STATE_DIR", *state, 1);
}

static int teardown(void **state)
{
    fixture_remove(*state);
    return unsetenv("LUNSHADOW_STATE_DIR");
}

static struct vss_examine_writer_metadata *examine(const char *xml)
{
    struct vss_examine_writer_metadata *m = NULL;
    char *text = NULL;
    if (FAILED(vss_create_examine_writer_metadata(NULL, xml, &m, &text))) {
        fail_msg("%s", text);
    }
    assert_null(text);
    return m;
}

static void assert_says(const char *text, const char *says)
{
    if (!strstr(text, says)) {
        fail_msg("\"%s\" does not say \"%s\"", text, says);
    }
    assert_null(strchr(text, '\n'));
}

#define assert_refusal(m, call, code, says)                                                        \
    do {                                                                                           \
        assert_int_equal(call, code);                                                              \
        assert_says(vss_examine_writer_metadata_error_text(m), says);                              \
    } while (0)

static void assert_text(char *text, const char *expected)
{
    assert_string_equal(text, expected);
    vss_free_string(text);
}

/* ---- making one ---- */

static void assert_not_made(const struct vss_session_options *options, const char *xml, HRESULT hr,
                            const char *says)
{
    struct vss_examine_writer_metadata *m = (void *)&hr;
    char *text = NULL;
    assert_int_equal(vss_create_examine_writer_metadata(options, xml, &m, &text), hr);
    assert_null(m);
    assert_says(text, says);
    vss_free_string(text);
    assert_int_equal(vss_create_examine_writer_metadata(options, xml, &m, NULL), hr);
}

static void test_create(void **state)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    assert_int_equal(vss_create_examine_writer_metadata(NULL, OWN_METADATA, NULL, NULL),
                     E_INVALIDARG);
    assert_not_made(NULL, NULL, E_INVALIDARG, "xml is NULL");
    assert_not_made(NULL, OWN_METADATA "x", VSS_E_INVALID_XML_DOCUMENT, "line 1");
    assert_not_made(NULL, "<a/>", VSS_E_INVALID_XML_DOCUMENT, "WRITER_METADATA");
    options.state_directory = *state;
    options.struct_size = 1;
    assert_not_made(&options, OWN_METADATA, E_INVALIDARG, "struct_size");
    options.struct_size = sizeof(options);

    assert_int_equal(chmod(*state, 0777), 0); /* everybody may change it: so nobody's to trust */
    assert_not_made(&options, OWN_METADATA, E_ACCESSDENIED, *state);
    assert_int_equal(chmod(*state, 0700), 0);

    static const char damaged[] = "not a database";
    fixture_write_file(fixture_path(*state, "registry.db"), damaged, sizeof(damaged));
    assert_not_made(&options, OWN_METADATA, VSS_E_UNEXPECTED, "registry.db");
}

static void test_read_document(void **state)
{
    (void)state;
    static const char wide[] = "\xff\xfe<\0a\0 \0b\0=\0'\0\xe4\0'\0/\0>\0\0";
    static const char declared[] = "<?xml version='1.0'?>\r\n<a b='\xc3\xa4'/>\n\0";
    char *xml = NULL;
    char *text = NULL;
    assert_int_equal(vss_read_document(wide, sizeof(wide), &xml, &text), S_OK);
    assert_text(xml, "<a b=\"\xc3\xa4\"/>");
    assert_int_equal(vss_read_document(declared, sizeof(declared), &xml, NULL), S_OK);
    assert_text(xml, "<a b=\"\xc3\xa4\"/>");
    assert_int_equal(vss_read_document("<a>", 3, &xml, &text), VSS_E_INVALID_XML_DOCUMENT);
    assert_null(xml);
    assert_says(text, "line 1");
    vss_free_string(text);
    assert_int_equal(vss_read_document("<!DOCTYPE a><a/>", 16, &xml, &text),
                     VSS_E_INVALID_XML_DOCUMENT);
    assert_says(text, "DTD");
    vss_free_string(text);
    assert_int_equal(vss_read_document("", 0, &xml, NULL), VSS_E_INVALID_XML_DOCUMENT);
    assert_int_equal(vss_read_document(NULL, 3, &xml, NULL), E_INVALIDARG);
}

/* ---- the head ---- */

static void test_identity(void **state)
{
    (void)state;
    struct vss_examine_writer_metadata *m = examine(WINDOWS_DB_METADATA);
    VSS_ID ids[2];
    VSS_ID expected;
    char *name = NULL;
    char *instance = NULL;
    int32_t usage = -1;
    int32_t source = -1;
    assert_int_equal(vss_examine_writer_metadata_get_identity_ex(m, &ids[0], &ids[1], &name,
                                                                 &instance, &usage, &source),
                     S_OK);
    assert_true(id_parse(DB_INSTANCE_ID, &expected) && id_equal(&ids[0], &expected));
    assert_true(id_parse(DB_WRITER_ID, &expected) && id_equal(&ids[1], &expected));
    assert_true(usage == VSS_UT_USERDATA && source == VSS_ST_TRANSACTEDDB);
    assert_text(name, "DbServerWriter");
    assert_text(instance, "DB one");
    assert_refusal(m,
                   vss_examine_writer_metadata_get_identity_ex(m, &ids[0], &ids[1], &name, NULL,
                                                               &usage, &source),
                   E_INVALIDARG, "NULL");
    assert_null(name);
    assert_true(usage == 0 && id_is_null(&ids[0]));
    vss_examine_writer_metadata_release(m);

    m = examine(OWN_METADATA);
    assert_int_equal(
        vss_examine_writer_metadata_get_identity(m, &ids[0], &ids[1], &name, &usage, &source),
        S_OK);
    assert_text(name, "Own writer");
    assert_refusal(
        m, vss_examine_writer_metadata_get_identity(m, &ids[0], NULL, &name, &usage, &source),
        E_INVALIDARG, "NULL");
    assert_int_equal(vss_examine_writer_metadata_get_identity_ex(m, &ids[0], &ids[1], &name,
                                                                 &instance, &usage, &source),
                     S_OK);
    assert_null(instance);
    vss_free_string(name);
    vss_examine_writer_metadata_release(m);
}

#define IDS "writerId=\"" DB_WRITER_ID "\" instanceId=\"" DB_INSTANCE_ID "\""

/* A document that says nothing but who it is of, and that badly. */
#define BARE METADATA_OPEN " backupSchema=\"x\">\n<IDENTIFICATION " IDS " majorVersion=\"-1\"/>"

static void test_head_that_is_not_valid(void **state)
{
    (void)state;
    struct vss_examine_writer_metadata *m = examine(BARE METADATA_CLOSE);
    VSS_ID ids[2];
    char *texts[2] = {NULL, NULL};
    int32_t numbers[2] = {7, 7};
    uint32_t counts[3] = {7, 7, 7};
    bool flag = true;
    struct vss_wm_filedesc *file = NULL;
    struct vss_wm_component *component = NULL;
    assert_refusal(m,
                   vss_examine_writer_metadata_get_identity(m, &ids[0], &ids[1], &texts[0],
                                                            &numbers[0], &numbers[1]),
                   VSS_E_INVALID_XML_DOCUMENT,
                   "line 2, IDENTIFICATION: lacks attribute friendlyName");
    assert_refusal(m,
                   vss_examine_writer_metadata_get_identity_ex(m, &ids[0], &ids[1], &texts[0],
                                                               &texts[1], &numbers[0], &numbers[1]),
                   VSS_E_INVALID_XML_DOCUMENT, "friendlyName");
    assert_refusal(m, vss_examine_writer_metadata_get_version(m, &counts[0], &counts[1]),
                   VSS_E_UNEXPECTED, "majorVersion");
    assert_true(counts[0] == 0 && counts[1] == 0);
    assert_refusal(m, vss_examine_writer_metadata_get_backup_schema(m, &counts[0]),
                   VSS_E_INVALID_XML_DOCUMENT, "backupSchema");
    assert_refusal(m,
                   vss_examine_writer_metadata_get_restore_method(
                       m, &numbers[0], &texts[0], &texts[1], &numbers[1], &flag, &counts[0]),
                   VSS_E_INVALID_XML_DOCUMENT, "needs one RESTORE_METHOD");
    assert_false(flag);
    assert_refusal(m, vss_examine_writer_metadata_get_alternate_location_mapping(m, 0, &file),
                   VSS_E_INVALID_XML_DOCUMENT, "needs one RESTORE_METHOD");
    assert_refusal(
        m, vss_examine_writer_metadata_get_file_counts(m, &counts[0], &counts[1], &counts[2]),
        VSS_E_INVALID_XML_DOCUMENT, "needs one BACKUP_LOCATIONS");
    assert_true(counts[0] == 0 && counts[1] == 0 && counts[2] == 0);
    assert_refusal(m, vss_examine_writer_metadata_get_include_file(m, 0, &file),
                   VSS_E_INVALID_XML_DOCUMENT, "needs one BACKUP_LOCATIONS");
    assert_refusal(m, vss_examine_writer_metadata_get_exclude_file(m, 0, &file),
                   VSS_E_INVALID_XML_DOCUMENT, "needs one BACKUP_LOCATIONS");
    assert_refusal(m, vss_examine_writer_metadata_get_component(m, 0, &component),
                   VSS_E_INVALID_XML_DOCUMENT, "needs one BACKUP_LOCATIONS");
    assert_refusal(m, vss_examine_writer_metadata_get_exclude_from_snapshot_count(m, &counts[0]),
                   VSS_E_UNEXPECTED, "needs one BACKUP_LOCATIONS");
    assert_refusal(m, vss_examine_writer_metadata_get_exclude_from_snapshot_file(m, 0, &file),
                   VSS_E_UNEXPECTED, "needs one BACKUP_LOCATIONS");
    assert_true(!file && !component && !texts[0] && !texts[1]);
    vss_examine_writer_metadata_release(m);
}

static void test_restore_method(void **state)
{
    (void)state;
    struct vss_examine_writer_metadata *m = examine(OWN_METADATA);
    char *service = NULL;
    char *procedure = NULL;
    int32_t method = 0;
    int32_t restore = 0;
    bool reboot = false;
    uint32_t mappings = 0;
    struct vss_wm_filedesc *mapping = NULL;
    char *text = NULL;
    assert_int_equal(vss_examine_writer_metadata_get_restore_method(
                         m, &method, &service, &procedure, &restore, &reboot, &mappings),
                     S_OK);
    assert_true(method == VSS_RME_STOP_RESTORE_START && restore == VSS_WRE_IF_REPLACE_FAILS);
    assert_true(reboot && mappings == 1);
    assert_text(service, "own.service");
    assert_text(procedure, "see the manual");
    assert_int_equal(vss_examine_writer_metadata_get_alternate_location_mapping(m, 0, &mapping),
                     S_OK);
    assert_int_equal(vss_wm_filedesc_get_alternate_location(mapping, &text), S_OK);
    assert_text(text, "/srv/alternate");
    vss_wm_filedesc_release(mapping);
    assert_refusal(m, vss_examine_writer_metadata_get_alternate_location_mapping(m, 1, &mapping),
                   VSS_E_OBJECT_NOT_FOUND, "no alternate location mapping 1");
    assert_refusal(m, vss_examine_writer_metadata_get_alternate_location_mapping(m, 0, NULL),
                   E_INVALIDARG, "NULL");
    assert_refusal(m,
                   vss_examine_writer_metadata_get_restore_method(m, &method, &service, &procedure,
                                                                  &restore, &reboot, NULL),
                   E_INVALIDARG, "NULL");
    vss_examine_writer_metadata_release(m);

    m = examine(METADATA_OPEN "><IDENTIFICATION " IDS "/><RESTORE_METHOD method=\"GUESS\""
                              " writerRestore=\"never\"/>" METADATA_CLOSE);
    assert_refusal(m,
                   vss_examine_writer_metadata_get_restore_method(m, &method, &service, &procedure,
                                                                  &restore, &reboot, &mappings),
                   VSS_E_INVALID_XML_DOCUMENT, "not known: \"GUESS\"");
    vss_examine_writer_metadata_release(m);
}

static void test_numbers(void **state)
{
    (void)state;
    struct vss_examine_writer_metadata *m = examine(WINDOWS_DB_METADATA);
    uint32_t numbers[3] = {9, 9, 9};
    assert_int_equal(vss_examine_writer_metadata_get_backup_schema(m, &numbers[0]), S_OK);
    assert_int_equal(numbers[0], 0x371);
    assert_int_equal(vss_examine_writer_metadata_get_version(m, &numbers[0], &numbers[1]), S_OK);
    assert_true(numbers[0] == 1 && numbers[1] == 7);
    assert_int_equal(
        vss_examine_writer_metadata_get_file_counts(m, &numbers[0], &numbers[1], &numbers[2]),
        S_OK);
    assert_true(numbers[0] == 0 && numbers[1] == 1 && numbers[2] == 2);
    assert_int_equal(vss_examine_writer_metadata_get_exclude_from_snapshot_count(m, &numbers[0]),
                     S_OK);
    assert_int_equal(numbers[0], 1);
    assert_refusal(m, vss_examine_writer_metadata_get_backup_schema(m, NULL), E_INVALIDARG, "NULL");
    assert_refusal(m, vss_examine_writer_metadata_get_version(m, NULL, &numbers[1]), E_INVALIDARG,
                   "NULL");
    assert_refusal(m, vss_examine_writer_metadata_get_file_counts(m, NULL, &numbers[1], NULL),
                   E_INVALIDARG, "NULL");
    assert_refusal(m, vss_examine_writer_metadata_get_exclude_from_snapshot_count(m, NULL),
                   E_INVALIDARG, "NULL");
    vss_examine_writer_metadata_release(m);
}

/* ---- saving and loading ---- */

static void assert_empty(struct vss_examine_writer_metadata *m)
{
    VSS_ID ids[2];
    char *text = NULL;
    int32_t number = 0;
    uint32_t count = 0;
    struct vss_wm_filedesc *file = NULL;
    assert_refusal(m, vss_examine_writer_metadata_save_as_xml(m, &text), VSS_E_UNEXPECTED,
                   "the object is empty");
    assert_refusal(
        m, vss_examine_writer_metadata_get_identity(m, &ids[0], &ids[1], &text, &number, &number),
        VSS_E_UNEXPECTED, "the object is empty");
    assert_refusal(m, vss_examine_writer_metadata_get_exclude_file(m, 0, &file), VSS_E_UNEXPECTED,
                   "the object is empty");
    assert_refusal(m, vss_examine_writer_metadata_get_backup_schema(m, &count),
                   VSS_E_INVALID_XML_DOCUMENT, "the object is empty");
}

static void test_save_and_load(void **state)
{
    (void)state;
    struct vss_examine_writer_metadata *m = examine(WINDOWS_DB_METADATA);
    struct vss_wm_component *old = NULL;
    char *text = NULL;
    assert_int_equal(vss_examine_writer_metadata_get_component(m, 0, &old), S_OK);
    assert_refusal(m, vss_examine_writer_metadata_save_as_xml(m, NULL), E_INVALIDARG, "NULL");
    assert_refusal(m, vss_examine_writer_metadata_load_from_xml(m, NULL), E_INVALIDARG, "xml");
    assert_int_equal(vss_examine_writer_metadata_save_as_xml(m, &text), S_OK);
    assert_text(text, WINDOWS_DB_METADATA);

    assert_refusal(m, vss_examine_writer_metadata_load_from_xml(m, METADATA_OPEN ">"), S_FALSE,
                   "line 1");
    assert_empty(m);
    assert_refusal(m, vss_examine_writer_metadata_load_from_xml(m, "<!DOCTYPE a><a/>"),
                   VSS_E_INVALID_XML_DOCUMENT, "DTD");
    assert_empty(m);
    assert_int_equal(vss_examine_writer_metadata_load_from_xml(m, OWN_METADATA), S_OK);
    assert_int_equal(vss_examine_writer_metadata_save_as_xml(m, &text), S_OK);
    assert_text(text, OWN_METADATA);
    assert_string_equal(vss_examine_writer_metadata_error_text(m), "");
    vss_examine_writer_metadata_release(m);

    /* what came from the first document outlives it */
    struct vss_component_info *info = NULL;
    assert_int_equal(vss_wm_component_get_component_info(old, &info), S_OK);
    assert_string_equal(info->component_name, "master");
    vss_wm_component_free_component_info(old, info);
    vss_wm_component_release(old);
}

/* ---- components ---- */

static struct vss_wm_component *component_at(const char *xml, uint32_t index)
{
    struct vss_examine_writer_metadata *m = examine(xml);
    struct vss_wm_component *component = NULL;
    if (FAILED(vss_examine_writer_metadata_get_component(m, index, &component))) {
        fail_msg("%s", vss_examine_writer_metadata_error_text(m));
    }
    vss_examine_writer_metadata_release(m);
    return component;
}

static void test_component_info(void **state)
{
    (void)state;
    struct vss_wm_component *component = component_at(WINDOWS_DB_METADATA, 0);
    struct vss_component_info *info = NULL;
    assert_int_equal(vss_wm_component_get_component_info(component, &info), S_OK);
    assert_int_equal(info->type, VSS_CT_FILEGROUP);
    assert_string_equal(info->logical_path, "SRV\\one");
    assert_string_equal(info->caption, "main");
    assert_true(info->notify_on_backup_complete && !info->restore_metadata);
    assert_true(info->selectable && info->selectable_for_restore);
    assert_int_equal(info->component_flags, VSS_CF_NOT_SYSTEM_STATE);
    assert_true(info->file_count == 2 && info->database_count == 0 && info->dependency_count == 0);
    assert_null(info->icon);
    vss_wm_component_free_component_info(component, info);
    assert_int_equal(vss_wm_component_get_component_info(component, NULL), E_INVALIDARG);
    vss_wm_component_release(component);

    component = component_at(OWN_METADATA, 0);
    assert_int_equal(vss_wm_component_get_component_info(component, &info), S_OK);
    assert_int_equal(info->type, VSS_CT_DATABASE);
    assert_null(info->logical_path);
    assert_true(info->database_count == 1 && info->log_file_count == 2 && info->file_count == 0);
    assert_int_equal(info->icon_size_bytes, 4);
    assert_memory_equal(info->icon, "\x89PNG", 4);
    vss_wm_component_free_component_info(NULL, info);
    vss_wm_component_release(component);
}

#define WITH_COMPONENT(element)                                                                    \
    METADATA_OPEN "><IDENTIFICATION " IDS "/><BACKUP_LOCATIONS>\n" element                         \
                  "</BACKUP_LOCATIONS>" METADATA_CLOSE

static void test_component_that_is_not_valid(void **state)
{
    (void)state;
    static const struct {
        const char *xml;
        const char *says;
    } cases[] = {
        {WITH_COMPONENT("<FILE_GROUP/>"), "line 2, FILE_GROUP: lacks attribute componentName"},
        {WITH_COMPONENT("<FILE_GROUP componentName=\"a\" selectable=\"1\"/>"), "selectable"},
        {WITH_COMPONENT("<FILE_GROUP componentName=\"a\" componentFlags=\"4294967296\"/>"),
         "componentFlags"},
        {WITH_COMPONENT("<DATABASE xmlns=\"urn:lunshadow:document:1\" componentName=\"a\""
                        " icon=\"0g\"/>"),
         "icon"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vss_wm_component *component = component_at(cases[i].xml, 0);
        struct vss_component_info *info = NULL;
        assert_int_equal(vss_wm_component_get_component_info(component, &info),
                         VSS_E_INVALID_XML_DOCUMENT);
        assert_null(info);
        assert_says(vss_wm_component_error_text(component), cases[i].says);
        vss_wm_component_release(component);
    }
}

static void test_indexes(void **state)
{
    (void)state;
    struct vss_examine_writer_metadata *m = examine(WINDOWS_DB_METADATA);
    struct vss_wm_component *component = NULL;
    struct vss_wm_filedesc *file = NULL;
    struct vss_wm_dependency *dependency = NULL;
    assert_refusal(m, vss_examine_writer_metadata_get_component(m, 2, &component),
                   VSS_E_OBJECT_NOT_FOUND, "no component 2; there are 2");
    assert_refusal(m, vss_examine_writer_metadata_get_component(m, 0, NULL), E_INVALIDARG, "NULL");
    assert_refusal(m, vss_examine_writer_metadata_get_exclude_file(m, 1, &file),
                   VSS_E_OBJECT_NOT_FOUND, "no exclude file 1");
    assert_refusal(m, vss_examine_writer_metadata_get_exclude_file(m, 0, NULL), E_INVALIDARG,
                   "NULL");
    assert_refusal(m, vss_examine_writer_metadata_get_include_file(m, 0, &file),
                   VSS_E_OBJECT_NOT_FOUND, "no include file 0");
    assert_refusal(m, vss_examine_writer_metadata_get_exclude_from_snapshot_file(m, 1, &file),
                   E_INVALIDARG, "there are 1");
    vss_examine_writer_metadata_release(m);

    component = component_at(OWN_METADATA, 0);
    assert_int_equal(vss_wm_component_get_file(component, 0, &file), VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(vss_wm_component_get_database_file(component, 1, &file),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(vss_wm_component_get_database_log_file(component, 2, &file),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_says(vss_wm_component_error_text(component), "no log file 2");
    assert_int_equal(vss_wm_component_get_dependency(component, UINT32_MAX, &dependency),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(vss_wm_component_get_file(component, 0, NULL), E_INVALIDARG);
    assert_int_equal(vss_wm_component_get_database_file(component, 0, NULL), E_INVALIDARG);
    assert_int_equal(vss_wm_component_get_database_log_file(component, 0, NULL), E_INVALIDARG);
    assert_int_equal(vss_wm_component_get_dependency(component, 0, NULL), E_INVALIDARG);
    assert_true(!file && !dependency);
    vss_wm_component_release(component);
}

/* ---- files ---- */

static void test_file(void **state)
{
    (void)state;
    struct vss_wm_component *component = component_at(WINDOWS_DB_METADATA, 0);
    struct vss_wm_filedesc *file = NULL;
    char *text = NULL;
    bool recursive = false;
    uint32_t mask = 0;
    assert_int_equal(vss_wm_component_get_file(component, 1, &file), S_OK);
    vss_wm_component_release(component);
    assert_int_equal(vss_wm_filedesc_get_path(file, &text), S_OK);
    assert_text(text, "%SystemRoot%\\log");
    assert_int_equal(vss_wm_filedesc_get_filespec(file, &text), S_OK);
    assert_text(text, "*.ldf");
    assert_int_equal(vss_wm_filedesc_get_recursive(file, &recursive), S_OK);
    assert_true(recursive);
    assert_int_equal(vss_wm_filedesc_get_backup_type_mask(file, &mask), S_OK);
    assert_int_equal(mask, 0xf0f);
    text = (char *)"";
    assert_int_equal(vss_wm_filedesc_get_alternate_location(file, &text), S_FALSE);
    assert_null(text);
    assert_int_equal(vss_wm_filedesc_get_path(file, NULL), E_INVALIDARG);
    assert_int_equal(vss_wm_filedesc_get_filespec(file, NULL), E_INVALIDARG);
    assert_int_equal(vss_wm_filedesc_get_recursive(file, NULL), E_INVALIDARG);
    assert_int_equal(vss_wm_filedesc_get_backup_type_mask(file, NULL), E_INVALIDARG);
    assert_int_equal(vss_wm_filedesc_get_alternate_location(file, NULL), E_INVALIDARG);
    vss_wm_filedesc_release(file);

    component = component_at(OWN_METADATA, 0);
    assert_int_equal(vss_wm_component_get_database_file(component, 0, &file), S_OK);
    assert_int_equal(vss_wm_filedesc_get_backup_type_mask(file, &mask), S_OK);
    assert_int_equal(mask, 0x101);
    vss_wm_filedesc_release(file);
    assert_int_equal(vss_wm_component_get_database_log_file(component, 1, &file), S_OK);
    assert_int_equal(vss_wm_filedesc_get_path(file, &text), S_OK);
    assert_text(text, "/srv/wal2");
    assert_int_equal(vss_wm_filedesc_get_backup_type_mask(file, &mask), S_OK);
    assert_int_equal(mask, 0xf0f); /* says none */
    vss_wm_filedesc_release(file);
    vss_wm_component_release(component);

    component = component_at(OWN_METADATA, 1);
    assert_int_equal(vss_wm_component_get_file(component, 0, &file), S_OK);
    assert_int_equal(vss_wm_filedesc_get_alternate_location(file, &text), S_OK);
    assert_text(text, "/srv/here");
    vss_wm_filedesc_release(file);
    vss_wm_component_release(component);
}

static void test_file_that_is_not_valid(void **state)
{
    (void)state;
    struct vss_wm_component *component = component_at(
        WITH_COMPONENT("<FILE_GROUP componentName=\"a\">\n<FILE_LIST recursive=\"1\""
                       " filespecBackupType=\"0x1\" xmlns:l=\"urn:lunshadow:document:1\""
                       " l:alternatePath=\"\"/></FILE_GROUP>"),
        0);
    struct vss_wm_filedesc *file = NULL;
    char *text = NULL;
    bool recursive = true;
    uint32_t mask = 7;
    assert_int_equal(vss_wm_component_get_file(component, 0, &file), S_OK);
    assert_int_equal(vss_wm_filedesc_get_path(file, &text), VSS_E_INVALID_XML_DOCUMENT);
    assert_says(vss_wm_filedesc_error_text(file), "line 3, FILE_LIST: lacks attribute path");
    assert_int_equal(vss_wm_filedesc_get_filespec(file, &text), VSS_E_INVALID_XML_DOCUMENT);
    assert_int_equal(vss_wm_filedesc_get_recursive(file, &recursive), VSS_E_INVALID_XML_DOCUMENT);
    assert_int_equal(vss_wm_filedesc_get_backup_type_mask(file, &mask), VSS_E_INVALID_XML_DOCUMENT);
    assert_int_equal(vss_wm_filedesc_get_alternate_location(file, &text),
                     VSS_E_INVALID_XML_DOCUMENT);
    assert_says(vss_wm_filedesc_error_text(file), "alternatePath");
    assert_true(!text && !recursive && mask == 0);
    vss_wm_filedesc_release(file);
    vss_wm_component_release(component);
}

/* ---- dependencies ---- */

static void test_dependency(void **state)
{
    (void)state;
    struct vss_wm_component *component = component_at(OWN_METADATA, 0);
    struct vss_wm_dependency *dependency = NULL;
    VSS_ID id;
    VSS_ID expected;
    char *text = NULL;
    assert_int_equal(vss_wm_component_get_dependency(component, 0, &dependency), S_OK);
    vss_wm_component_release(component);
    assert_int_equal(vss_wm_dependency_get_writer_id(dependency, &id), S_OK);
    assert_true(id_parse(DB_WRITER_ID, &expected) && id_equal(&id, &expected));
    assert_int_equal(vss_wm_dependency_get_logical_path(dependency, &text), S_OK);
    assert_text(text, "SRV\\one");
    assert_int_equal(vss_wm_dependency_get_component_name(dependency, &text), S_OK);
    assert_text(text, "master");
    assert_int_equal(vss_wm_dependency_get_writer_id(dependency, NULL), E_INVALIDARG);
    assert_int_equal(vss_wm_dependency_get_logical_path(dependency, NULL), E_INVALIDARG);
    assert_int_equal(vss_wm_dependency_get_component_name(dependency, NULL), E_INVALIDARG);
    vss_wm_dependency_release(dependency);

    component = component_at(WITH_COMPONENT("<FILE_GROUP componentName=\"a\">"
                                            "<l:DEPENDENCY xmlns:l=\"urn:lunshadow:document:1\""
                                            " writerId=\"x\"/></FILE_GROUP>"),
                             0);
    assert_int_equal(vss_wm_component_get_dependency(component, 0, &dependency), S_OK);
    assert_int_equal(vss_wm_dependency_get_writer_id(dependency, &id), VSS_E_INVALID_XML_DOCUMENT);
    assert_int_equal(vss_wm_dependency_get_logical_path(dependency, &text),
                     VSS_E_INVALID_XML_DOCUMENT);
    assert_int_equal(vss_wm_dependency_get_component_name(dependency, &text),
                     VSS_E_INVALID_XML_DOCUMENT);
    assert_says(vss_wm_dependency_error_text(dependency), "writerId is not an id");
    vss_wm_dependency_release(dependency);
    vss_wm_component_release(component);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_create),
        TEST(test_read_document),
        TEST(test_identity),
        TEST(test_head_that_is_not_valid),
        TEST(test_restore_method),
        TEST(test_numbers),
        TEST(test_save_and_load),
        TEST(test_component_info),
        TEST(test_component_that_is_not_valid),
        TEST(test_indexes),
        TEST(test_file),
        TEST(test_file_that_is_not_valid),
        TEST(test_dependency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
