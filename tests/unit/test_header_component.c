/* SPDX-License-Identifier: Apache-2.0 */

/* component.h alone, as the first header of a stranger's C program, and what its functions do with
 * NULL objects. */
#include <lunshadow/component.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_null_objects(void **unused)
{
    (void)unused;
    struct vss_component *component = NULL;
    struct vss_wm_filedesc *file = NULL;
    VSS_ID id;
    char *text = NULL;
    HRESULT code = S_OK;
    int32_t number = 0;
    int64_t time = 0;
    uint32_t count = 0;
    bool flag = false;
    const HRESULT results[] = {
        vss_writer_components_get_component_count(NULL, &count),
        vss_writer_components_get_writer_info(NULL, &id, &id),
        vss_writer_components_get_component(NULL, 0, &component),
        vss_component_get_logical_path(NULL, &text),
        vss_component_get_component_type(NULL, &number),
        vss_component_get_component_name(NULL, &text),
        vss_component_get_backup_succeeded(NULL, &flag),
        vss_component_get_backup_options(NULL, &text),
        vss_component_get_backup_stamp(NULL, &text),
        vss_component_get_previous_backup_stamp(NULL, &text),
        vss_component_get_backup_metadata(NULL, &text),
        vss_component_set_backup_stamp(NULL, ""),
        vss_component_set_backup_metadata(NULL, ""),
        vss_component_add_partial_file(NULL, "", "", "", NULL),
        vss_component_get_partial_file_count(NULL, &count),
        vss_component_get_partial_file(NULL, 0, &text, &text, &text, &text),
        vss_component_add_differenced_files_by_last_modify_time(NULL, "", "", true, 0),
        vss_component_add_differenced_files_by_last_modify_lsn(NULL, "", "", true, ""),
        vss_component_get_differenced_files_count(NULL, &count),
        vss_component_get_differenced_file(NULL, 0, &text, &text, &flag, &text, &time),
        vss_component_is_selected_for_restore(NULL, &flag),
        vss_component_get_additional_restores(NULL, &flag),
        vss_component_get_restore_options(NULL, &text),
        vss_component_set_restore_metadata(NULL, ""),
        vss_component_get_restore_metadata(NULL, &text),
        vss_component_set_restore_target(NULL, 1),
        vss_component_get_restore_target(NULL, &number),
        vss_component_get_file_restore_status(NULL, &number),
        vss_component_get_alternate_location_mapping_count(NULL, &count),
        vss_component_get_alternate_location_mapping(NULL, 0, &file),
        vss_component_get_new_target_count(NULL, &count),
        vss_component_get_new_target(NULL, 0, &file),
        vss_component_add_directed_target(NULL, "", "", "", "", "", ""),
        vss_component_get_directed_target_count(NULL, &count),
        vss_component_get_directed_target(NULL, 0, &text, &text, &text, &text, &text, &text),
        vss_component_get_restore_subcomponent_count(NULL, &count),
        vss_component_get_restore_subcomponent(NULL, 0, &text, &text, &flag),
        vss_component_get_authoritative_restore(NULL, &flag),
        vss_component_get_roll_forward(NULL, &number, &text),
        vss_component_get_restore_name(NULL, &text),
        vss_component_set_pre_restore_failure_msg(NULL, ""),
        vss_component_get_pre_restore_failure_msg(NULL, &text),
        vss_component_set_post_restore_failure_msg(NULL, ""),
        vss_component_get_post_restore_failure_msg(NULL, &text),
        vss_component_set_prepare_for_backup_failure_msg(NULL, ""),
        vss_component_get_prepare_for_backup_failure_msg(NULL, &text),
        vss_component_set_post_snapshot_failure_msg(NULL, ""),
        vss_component_get_post_snapshot_failure_msg(NULL, &text),
        vss_component_set_failure(NULL, S_OK, S_OK, NULL, 0),
        vss_component_get_failure(NULL, &code, &code, &text, &count),
    };
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        assert_int_equal(results[i], E_INVALIDARG);
    }
}

static void test_null_to_free(void **unused)
{
    (void)unused;
    vss_writer_components_release(NULL);
    vss_component_release(NULL);
    assert_string_equal(vss_writer_components_error_text(NULL), "");
    assert_string_equal(vss_component_error_text(NULL), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_objects),
        cmocka_unit_test(test_null_to_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
