/* SPDX-License-Identifier: Apache-2.0 */

/* The methods on components of a restore: each answer, and each code for its reason. */

#include "unit/components_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/id.h"
#include "requester/document/components.h"

static void test_restore_selection(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_restore(f, BACKUP_OPEN("") RESTORED BACKUP_CLOSE);
    struct vss_component *component = only_component(s);
    bool selected = true;
    assert_refusal(
        s, vss_backup_components_set_selected_for_restore(s, &f->writer, TYPE, PATH, NAME, true),
        VSS_E_BAD_STATE, "GatherWriterMetadata");
    gather(s, both_writers, 1);
    assert_int_equal(vss_component_is_selected_for_restore(component, &selected), S_OK);
    assert_false(selected);
    assert_refusal(s,
                   vss_backup_components_add_restore_subcomponent(s, &f->writer, TYPE, PATH, NAME,
                                                                  "p", "n", false),
                   VSS_E_BAD_STATE, "SetSelectedForRestore");
    assert_int_equal(
        vss_backup_components_set_selected_for_restore(s, &f->writer, TYPE, PATH, NAME, true),
        S_OK);
    assert_int_equal(vss_component_is_selected_for_restore(component, &selected), S_OK);
    assert_true(selected);
    assert_int_equal(vss_backup_components_add_restore_subcomponent(s, &f->writer, TYPE, PATH, NAME,
                                                                    "p", "n", false),
                     S_OK);
    assert_refusal(s,
                   vss_backup_components_add_restore_subcomponent(s, &f->writer, TYPE, PATH, NAME,
                                                                  "p", "n", true),
                   E_INVALIDARG, "reserved");
    assert_refusal(s,
                   vss_backup_components_add_restore_subcomponent(s, &f->writer, TYPE, PATH, NAME,
                                                                  NULL, "n", false),
                   E_INVALIDARG, "subcomponent_logical_path");
    char *texts[2] = {NULL, NULL};
    bool repair = true;
    uint32_t count = 0;
    assert_int_equal(vss_component_get_restore_subcomponent_count(component, &count), S_OK);
    assert_int_equal(count, 1);
    assert_int_equal(
        vss_component_get_restore_subcomponent(component, 0, &texts[0], &texts[1], &repair), S_OK);
    assert_string_equal(texts[0], "p");
    assert_string_equal(texts[1], "n");
    assert_false(repair);
    vss_free_string(texts[0]);
    vss_free_string(texts[1]);
    assert_int_equal(
        vss_component_get_restore_subcomponent(component, 1, &texts[0], &texts[1], &repair),
        VSS_E_OBJECT_NOT_FOUND);
    assert_null(texts[0]);
    vss_component_release(component);

    assert_refusal(
        s, vss_backup_components_set_selected_for_restore(s, &f->writer, TYPE, PATH, "x", true),
        VSS_E_OBJECT_NOT_FOUND, "\"x\"");
    assert_refusal(
        s,
        vss_backup_components_set_selected_for_restore(s, &f->other_writer, TYPE, PATH, NAME, true),
        VSS_E_OBJECT_NOT_FOUND, "runs here");
    assert_refusal(s,
                   vss_backup_components_set_selected_for_restore_ex(s, &f->writer, TYPE, PATH,
                                                                     NAME, true, &f->writer),
                   VSS_E_OBJECT_NOT_FOUND, "no writer instance");
    assert_int_equal(vss_backup_components_set_selected_for_restore_ex(s, &f->writer, TYPE, PATH,
                                                                       NAME, true, &f->instance),
                     S_OK);
    char *xml = NULL;
    assert_int_equal(vss_backup_components_save_as_xml(s, &xml), S_OK);
    assert_non_null(strstr(xml, "ls:restoreInstance=\"a6ad56c2-b509-4e6c-bb19-49d8f43532f0\""));
    vss_free_string(xml);
    assert_int_equal(vss_backup_components_set_selected_for_restore_ex(s, &f->writer, TYPE, PATH,
                                                                       NAME, false, NULL),
                     S_OK);
    assert_int_equal(vss_backup_components_save_as_xml(s, &xml), S_OK);
    assert_null(strstr(xml, "restoreInstance"));
    vss_free_string(xml);
    vss_backup_components_release(s);
}

static void test_no_selection_where_all_is_restored(void **state)
{
    const struct fixture *f = *state;
    static const char xml[] =
        "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\" selectComponents=\"no\"/>";
    struct vss_backup_components *s = begin_restore(f, xml);
    gather(s, both_writers, 1);
    assert_refusal(
        s, vss_backup_components_set_selected_for_restore(s, &f->writer, TYPE, PATH, NAME, true),
        VSS_E_BAD_STATE, "does not select components");
    vss_backup_components_release(s);
}

/* Two instances of one class that both have the component: the name alone says too little. */
static void test_two_instances(void **state)
{
    static const char xml[] = BACKUP_OPEN("") RESTORED
        "</WRITER_COMPONENTS><WRITER_COMPONENTS instanceId=\"" DB_INSTANCE_ID
        "\" writerId=\"" DB_WRITER_ID "\">"
        "<COMPONENT logicalPath=\"SRV\\one\" componentName=\"master\""
        " componentType=\"filegroup\"/>" BACKUP_CLOSE;
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_restore(f, xml);
    gather(s, both_writers, 1);
    assert_refusal(s,
                   vss_backup_components_set_restore_options(s, &f->writer, TYPE, PATH, NAME, "x"),
                   E_INVALIDARG, "several instances");
    assert_refusal(
        s, vss_backup_components_set_selected_for_restore(s, &f->writer, TYPE, PATH, NAME, true),
        E_INVALIDARG, "several instances");
    assert_int_equal(vss_backup_components_set_selected_for_restore_ex(s, &f->writer, TYPE, PATH,
                                                                       NAME, true, &f->instance),
                     S_OK);
    vss_backup_components_release(s);
}

static void test_restore_values(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_restore(f, BACKUP_OPEN("") RESTORED BACKUP_CLOSE);
    struct vss_component *c = only_component(s);
    const VSS_ID *w = &f->writer;
    char *text = NULL;
    bool flag = false;
    int32_t word = 7;
    assert_int_equal(vss_component_get_file_restore_status(c, &word), S_OK);
    assert_int_equal(word, VSS_RS_UNDEFINED);
    assert_int_equal(vss_backup_components_set_restore_options(s, w, TYPE, PATH, NAME, "o"), S_OK);
    assert_text(vss_component_get_restore_options(c, &text), text, "o");
    assert_int_equal(vss_backup_components_set_additional_restores(s, w, TYPE, PATH, NAME, true),
                     S_OK);
    assert_int_equal(vss_component_get_additional_restores(c, &flag), S_OK);
    assert_true(flag);
    assert_int_equal(vss_backup_components_set_authoritative_restore(s, w, TYPE, PATH, NAME, true),
                     S_OK);
    assert_int_equal(vss_component_get_authoritative_restore(c, &flag), S_OK);
    assert_true(flag);
    assert_int_equal(vss_backup_components_set_restore_name(s, w, TYPE, PATH, NAME, "copy"), S_OK);
    assert_text(vss_component_get_restore_name(c, &text), text, "copy");
    assert_int_equal(
        vss_backup_components_set_file_restore_status(s, w, TYPE, PATH, NAME, VSS_RS_FAILED), S_OK);
    assert_int_equal(vss_component_get_file_restore_status(c, &word), S_OK);
    assert_int_equal(word, VSS_RS_FAILED);
    for (int32_t bad = -1; bad < 5; bad += 5) {
        assert_refusal(s,
                       vss_backup_components_set_file_restore_status(s, w, TYPE, PATH, NAME, bad),
                       E_INVALIDARG, "fileRestoreStatus");
    }
    assert_refusal(
        s, vss_backup_components_set_roll_forward(s, w, TYPE, PATH, NAME, VSS_RF_PARTIAL, NULL),
        E_INVALIDARG, "needs the point");
    assert_refusal(s,
                   vss_backup_components_set_roll_forward(s, w, TYPE, PATH, NAME, VSS_RF_ALL, "12"),
                   E_INVALIDARG, "VSS_RF_PARTIAL only");
    assert_refusal(s, vss_backup_components_set_roll_forward(s, w, TYPE, PATH, NAME, 4, NULL),
                   E_INVALIDARG, "rollForward");
    assert_int_equal(
        vss_backup_components_set_roll_forward(s, w, TYPE, PATH, NAME, VSS_RF_PARTIAL, "12"), S_OK);
    assert_int_equal(vss_component_get_roll_forward(c, &word, &text), S_OK);
    assert_int_equal(word, VSS_RF_PARTIAL);
    assert_text(S_OK, text, "12");
    assert_int_equal(
        vss_backup_components_set_roll_forward(s, w, TYPE, PATH, NAME, VSS_RF_NONE, NULL), S_OK);
    assert_int_equal(vss_component_get_roll_forward(c, &word, &text), S_OK);
    assert_true(word == VSS_RF_NONE && !text);
    assert_text(vss_component_get_backup_stamp(c, &text), text, "7");
    assert_text(vss_component_get_backup_metadata(c, &text), text, "m");
    vss_component_release(c);
    vss_backup_components_release(s);
}

static void test_locations(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_restore(f, BACKUP_OPEN("") RESTORED BACKUP_CLOSE);
    struct vss_component *c = only_component(s);
    const VSS_ID *w = &f->writer;
    assert_refusal(s,
                   vss_backup_components_add_new_target(s, w, TYPE, PATH, NAME, "D:\\data",
                                                        "master.mdf", false, "E:\\"),
                   VSS_E_BAD_STATE, "GatherWriterMetadata");
    gather(s, both_writers, 1);
    assert_int_equal(vss_backup_components_add_new_target(s, w, TYPE, PATH, NAME, "D:\\data\\",
                                                          "master.mdf", false, "E:\\"),
                     S_OK);
    assert_int_equal(vss_backup_components_add_alternative_location_mapping(
                         s, w, TYPE, PATH, NAME, "%SystemRoot%\\log", "*.ldf", true, "F:\\"),
                     S_OK);
    assert_refusal(s,
                   vss_backup_components_add_alternative_location_mapping(
                       s, w, TYPE, PATH, NAME, "%SystemRoot%\\log", "*.ldf", false, "F:\\"),
                   VSS_E_OBJECT_NOT_FOUND, "no writer that runs has a file set");
    assert_refusal(s,
                   vss_backup_components_add_new_target(s, w, TYPE, PATH, "x", "D:\\data",
                                                        "master.mdf", false, "E:\\"),
                   VSS_E_OBJECT_NOT_FOUND, "\"x\"");
    assert_refusal(s,
                   vss_backup_components_add_new_target(s, w, TYPE, PATH, NAME, "D:\\data",
                                                        "master.mdf", false, NULL),
                   E_INVALIDARG, "destination");
    uint32_t count = 0;
    struct vss_wm_filedesc *file = NULL;
    char *text = NULL;
    bool recursive = false;
    assert_int_equal(vss_component_get_new_target_count(c, &count), S_OK);
    assert_int_equal(count, 1);
    assert_int_equal(vss_component_get_new_target(c, 1, &file), VSS_E_OBJECT_NOT_FOUND);
    assert_int_equal(vss_component_get_new_target(c, 0, &file), S_OK);
    assert_text(vss_wm_filedesc_get_alternate_location(file, &text), text, "E:\\");
    assert_text(vss_wm_filedesc_get_filespec(file, &text), text, "master.mdf");
    vss_wm_filedesc_release(file);
    assert_int_equal(vss_component_get_alternate_location_mapping_count(c, &count), S_OK);
    assert_int_equal(count, 1);
    assert_int_equal(vss_component_get_alternate_location_mapping(c, 0, &file), S_OK);
    assert_text(vss_wm_filedesc_get_path(file, &text), text, "%SystemRoot%\\log");
    assert_int_equal(vss_wm_filedesc_get_recursive(file, &recursive), S_OK);
    assert_true(recursive);
    vss_wm_filedesc_release(file);
    vss_component_release(c);
    vss_backup_components_release(s);
}

static void test_ranges(void **state)
{
    const struct fixture *f = *state;
    struct vss_backup_components *s = begin_restore(f, BACKUP_OPEN("") RESTORED BACKUP_CLOSE);
    struct vss_component *c = only_component(s);
    char *texts[4];
    assert_int_equal(
        vss_component_get_partial_file(c, 0, &texts[0], &texts[1], &texts[2], &texts[3]), S_OK);
    assert_text(S_OK, texts[0], "D:\\data");
    assert_text(S_OK, texts[1], "a");
    assert_text(S_OK, texts[2], "0:1");
    assert_null(texts[3]);
    assert_refusal(
        s, vss_backup_components_set_ranges_file_path(s, &f->writer, TYPE, PATH, NAME, 1, "r"),
        VSS_E_OBJECT_NOT_FOUND, "no partial file 1");
    assert_refusal(
        s, vss_backup_components_set_ranges_file_path(s, &f->writer, TYPE, PATH, NAME, 0, NULL),
        E_INVALIDARG, "ranges_file");
    assert_int_equal(
        vss_backup_components_set_ranges_file_path(s, &f->writer, TYPE, PATH, NAME, 0, "E:\\r"),
        S_OK);
    assert_int_equal(
        vss_component_get_partial_file(c, 0, &texts[0], &texts[1], &texts[2], &texts[3]), S_OK);
    assert_text(S_OK, texts[2], "File=E:\\r");
    vss_free_string(texts[0]);
    vss_free_string(texts[1]);
    assert_int_equal(vss_component_get_partial_file(c, 0, &texts[0], NULL, &texts[2], &texts[3]),
                     E_INVALIDARG);
    vss_component_release(c);
    vss_backup_components_release(s);
}

static void test_restore_state(void **state)
{
    struct vss_backup_components *s = create_session(*state);
    assert_refusal(s, vss_backup_components_set_restore_state(s, VSS_RTYPE_BY_COPY),
                   VSS_E_BAD_STATE, "InitializeForRestore");
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    assert_refusal(s, vss_backup_components_set_restore_state(s, VSS_RTYPE_BY_COPY),
                   VSS_E_BAD_STATE, "not initialized for restore");
    vss_backup_components_release(s);

    s = begin_restore(*state, BACKUP_OPEN("") RESTORED BACKUP_CLOSE);
    assert_refusal(s, vss_backup_components_set_restore_state(s, VSS_RTYPE_UNDEFINED), E_INVALIDARG,
                   "not a type of restore");
    assert_int_equal(vss_backup_components_set_restore_state(s, VSS_RTYPE_BY_COPY), S_OK);
    char *xml = NULL;
    assert_int_equal(vss_backup_components_save_as_xml(s, &xml), S_OK);
    assert_non_null(strstr(xml, "ls:restoreType=\"byCopy\""));
    vss_free_string(xml);
    vss_backup_components_release(s);

    s = begin_restore(*state, BACKUP_OPEN(" ls:restoreType=\"x\"") RESTORED BACKUP_CLOSE);
    assert_refusal(s, vss_backup_components_set_restore_state(s, VSS_RTYPE_IMPORT),
                   VSS_E_INVALID_XML_DOCUMENT, "restoreType");
    vss_backup_components_release(s);
}

/* What is not valid in a component is said by whatever would build upon it. */
static void test_components_that_are_not_valid(void **state)
{
    static const char *const components[] = {
        "<COMPONENT componentName=\"a\" componentType=\"heap\"/>",
        "<COMPONENT componentName=\"a\"/>",
        "<COMPONENT componentName=\"a\" componentType=\"filegroup\"><BACKUP_METADATA/></COMPONENT>",
        "<COMPONENT componentName=\"a\" componentType=\"filegroup\" ls:backupSucceeded=\"1\"/>",
        "<COMPONENT componentName=\"a\" componentType=\"filegroup\" ls:restoreTarget=\"moon\"/>",
        "<COMPONENT componentName=\"a\" componentType=\"filegroup\" ls:failure=\"-1\"/>",
    };
    const struct fixture *f = *state;
    const VSS_ID *w = &f->writer;
    for (size_t i = 0; i < sizeof(components) / sizeof(components[0]); i++) {
        char *xml = text_printf("%s\n%s%s", BACKUP_OPEN(""), components[i], BACKUP_CLOSE);
        struct vss_backup_components *s = begin_restore(f, xml);
        gather(s, both_writers, 1);
        const HRESULT results[] = {
            vss_backup_components_set_restore_options(s, w, TYPE, NULL, "a", "o"),
            vss_backup_components_set_additional_restores(s, w, TYPE, NULL, "a", true),
            vss_backup_components_set_selected_for_restore(s, w, TYPE, NULL, "a", true),
            vss_backup_components_set_selected_for_restore_ex(s, w, TYPE, NULL, "a", true, NULL),
            vss_backup_components_set_file_restore_status(s, w, TYPE, NULL, "a", VSS_RS_ALL),
            vss_backup_components_set_ranges_file_path(s, w, TYPE, NULL, "a", 0, "r"),
            vss_backup_components_add_new_target(s, w, TYPE, NULL, "a", "p", "f", false, "d"),
            vss_backup_components_add_alternative_location_mapping(s, w, TYPE, NULL, "a", "p", "f",
                                                                   false, "d"),
            vss_backup_components_add_restore_subcomponent(s, w, TYPE, NULL, "a", "p", "n", false),
        };
        for (size_t j = 0; j < sizeof(results) / sizeof(results[0]); j++) {
            assert_int_equal(results[j], VSS_E_INVALID_XML_DOCUMENT);
        }
        assert_non_null(strstr(vss_backup_components_error_text(s), "line 2"));
        /* their documented lists lack that code */
        assert_int_equal(
            vss_backup_components_set_authoritative_restore(s, w, TYPE, NULL, "a", true),
            VSS_E_UNEXPECTED);
        assert_int_equal(vss_backup_components_set_restore_name(s, w, TYPE, NULL, "a", "n"),
                         VSS_E_UNEXPECTED);
        assert_int_equal(
            vss_backup_components_set_roll_forward(s, w, TYPE, NULL, "a", VSS_RF_ALL, NULL),
            VSS_E_UNEXPECTED);
        char *saved = NULL;
        assert_int_equal(vss_backup_components_save_as_xml(s, &saved), S_OK);
        assert_non_null(strstr(saved, components[i])); /* as it was */
        vss_free_string(saved);
        vss_backup_components_release(s);
        free(xml);
    }
}

static void test_writer_without_ids(void **state)
{
    struct vss_backup_components *s = begin_restore(
        *state, "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\"><WRITER_COMPONENTS>"
                "<COMPONENT componentName=\"a\" componentType=\"filegroup\"/>"
                "</WRITER_COMPONENTS></BACKUP_COMPONENTS>");
    struct vss_writer_components *writer = NULL;
    VSS_ID ids[2];
    assert_int_equal(vss_backup_components_get_writer_components(s, 0, &writer), S_OK);
    assert_int_equal(vss_writer_components_get_writer_info(writer, &ids[0], &ids[1]),
                     VSS_E_INVALID_XML_DOCUMENT);
    assert_non_null(strstr(vss_writer_components_error_text(writer), "line 1, WRITER_COMPONENTS"));
    vss_writer_components_release(writer);
    vss_backup_components_release(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, components_setup, components_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_restore_selection),  TEST(test_no_selection_where_all_is_restored),
        TEST(test_two_instances),      TEST(test_restore_values),
        TEST(test_locations),          TEST(test_ranges),
        TEST(test_restore_state),      TEST(test_components_that_are_not_valid),
        TEST(test_writer_without_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
