/* SPDX-License-Identifier: Apache-2.0 */

/* metadata.h alone, as the first header of a stranger's C program, and what its functions do with
 * NULL objects. */
#include <lunshadow/metadata.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_null_objects(void **unused)
{
    (void)unused;
    struct vss_wm_component *component = NULL;
    struct vss_wm_filedesc *file = NULL;
    struct vss_wm_dependency *dependency = NULL;
    struct vss_component_info *info = NULL;
    VSS_ID id;
    char *text = NULL;
    int32_t number = 0;
    uint32_t count = 0;
    bool flag = false;
    const HRESULT results[] = {
        vss_create_examine_writer_metadata(NULL, NULL, NULL, NULL),
        vss_examine_writer_metadata_get_identity(NULL, &id, &id, &text, &number, &number),
        vss_examine_writer_metadata_get_identity_ex(NULL, &id, &id, &text, &text, &number, &number),
        vss_examine_writer_metadata_get_file_counts(NULL, &count, &count, &count),
        vss_examine_writer_metadata_get_include_file(NULL, 0, &file),
        vss_examine_writer_metadata_get_exclude_file(NULL, 0, &file),
        vss_examine_writer_metadata_get_component(NULL, 0, &component),
        vss_examine_writer_metadata_get_restore_method(NULL, &number, &text, &text, &number, &flag,
                                                       &count),
        vss_examine_writer_metadata_get_alternate_location_mapping(NULL, 0, &file),
        vss_examine_writer_metadata_get_backup_schema(NULL, &count),
        vss_examine_writer_metadata_save_as_xml(NULL, &text),
        vss_examine_writer_metadata_load_from_xml(NULL, ""),
        vss_examine_writer_metadata_get_version(NULL, &count, &count),
        vss_examine_writer_metadata_get_exclude_from_snapshot_count(NULL, &count),
        vss_examine_writer_metadata_get_exclude_from_snapshot_file(NULL, 0, &file),
        vss_wm_component_get_component_info(NULL, &info),
        vss_wm_component_get_file(NULL, 0, &file),
        vss_wm_component_get_database_file(NULL, 0, &file),
        vss_wm_component_get_database_log_file(NULL, 0, &file),
        vss_wm_component_get_dependency(NULL, 0, &dependency),
        vss_wm_filedesc_get_path(NULL, &text),
        vss_wm_filedesc_get_filespec(NULL, &text),
        vss_wm_filedesc_get_recursive(NULL, &flag),
        vss_wm_filedesc_get_alternate_location(NULL, &text),
        vss_wm_filedesc_get_backup_type_mask(NULL, &count),
        vss_wm_dependency_get_writer_id(NULL, &id),
        vss_wm_dependency_get_logical_path(NULL, &text),
        vss_wm_dependency_get_component_name(NULL, &text),
    };
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        assert_int_equal(results[i], E_INVALIDARG);
    }
}

static void test_null_to_free(void **unused)
{
    (void)unused;
    vss_examine_writer_metadata_release(NULL);
    vss_wm_component_release(NULL);
    vss_wm_component_free_component_info(NULL, NULL);
    vss_wm_filedesc_release(NULL);
    vss_wm_dependency_release(NULL);
    assert_string_equal(vss_examine_writer_metadata_error_text(NULL), "");
    assert_string_equal(vss_wm_component_error_text(NULL), "");
    assert_string_equal(vss_wm_filedesc_error_text(NULL), "");
    assert_string_equal(vss_wm_dependency_error_text(NULL), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_objects),
        cmocka_unit_test(test_null_to_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
