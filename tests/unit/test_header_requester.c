/* SPDX-License-Identifier: Apache-2.0 */

/* requester.h alone, as the first header of a stranger's C program: it needs nothing before it.
 * That this compiles is most of the test. */
#include <lunshadow/requester.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_initializer(void **unused)
{
    (void)unused;
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    assert_int_equal(options.struct_size, sizeof(options));
    assert_null(options.config_path);
    assert_null(options.state_directory);
}

/* A stranger's first mistake is a NULL handle: refused, not followed. */
static void test_null_handles(void **unused)
{
    (void)unused;
    struct vss_async *async = NULL;
    struct vss_enum_object *objects = NULL;
    struct vss_examine_writer_metadata *metadata = NULL;
    struct vss_writer_components *writer = NULL;
    struct vss_snapshot_prop prop;
    VSS_ID id = {0};
    uint32_t number = 0;
    int32_t deleted = 0;
    bool flag = false;
    char *text = NULL;
    const HRESULT results[] = {
        vss_create_backup_components(NULL, NULL, NULL),
        vss_backup_components_initialize_for_backup(NULL, NULL),
        vss_backup_components_initialize_for_restore(NULL, ""),
        vss_backup_components_set_context(NULL, 0),
        vss_backup_components_set_backup_state(NULL, true, true, 1, true),
        vss_backup_components_gather_writer_metadata(NULL, &async),
        vss_backup_components_get_writer_metadata_count(NULL, &number),
        vss_backup_components_get_writer_metadata(NULL, 0, &id, &metadata),
        vss_backup_components_get_writer_metadata_ex(NULL, 0, &id, &metadata),
        vss_read_document(NULL, 0, &text, NULL),
        vss_read_document("", 0, NULL, NULL),
        vss_backup_components_get_writer_components_count(NULL, &number),
        vss_backup_components_get_writer_components(NULL, 0, &writer),
        vss_backup_components_add_component(NULL, &id, &id, 1, "", "n"),
        vss_backup_components_set_backup_options(NULL, &id, 1, "", "n", ""),
        vss_backup_components_set_previous_backup_stamp(NULL, &id, 1, "", "n", ""),
        vss_backup_components_set_backup_succeeded(NULL, &id, &id, 1, "", "n", true),
        vss_backup_components_set_restore_state(NULL, 1),
        vss_backup_components_set_selected_for_restore(NULL, &id, 1, "", "n", true),
        vss_backup_components_set_selected_for_restore_ex(NULL, &id, 1, "", "n", true, &id),
        vss_backup_components_set_restore_options(NULL, &id, 1, "", "n", ""),
        vss_backup_components_set_additional_restores(NULL, &id, 1, "", "n", true),
        vss_backup_components_set_authoritative_restore(NULL, &id, 1, "", "n", true),
        vss_backup_components_set_restore_name(NULL, &id, 1, "", "n", ""),
        vss_backup_components_set_roll_forward(NULL, &id, 1, "", "n", 1, NULL),
        vss_backup_components_add_restore_subcomponent(NULL, &id, 1, "", "n", "", "s", false),
        vss_backup_components_add_new_target(NULL, &id, 1, "", "n", "p", "f", false, "d"),
        vss_backup_components_add_alternative_location_mapping(NULL, &id, 1, "", "n", "p", "f",
                                                               false, "d"),
        vss_backup_components_set_ranges_file_path(NULL, &id, 1, "", "n", 0, "f"),
        vss_backup_components_set_file_restore_status(NULL, &id, 1, "", "n", 1),
        vss_backup_components_free_writer_metadata(NULL),
        vss_backup_components_start_snapshot_set(NULL, &id),
        vss_backup_components_add_to_snapshot_set(NULL, "", NULL, &id),
        vss_backup_components_is_volume_supported(NULL, NULL, "", &flag),
        vss_backup_components_prepare_for_backup(NULL, &async),
        vss_backup_components_do_snapshot_set(NULL, &async),
        vss_backup_components_backup_complete(NULL, &async),
        vss_backup_components_abort_backup(NULL),
        vss_backup_components_save_as_xml(NULL, &text),
        vss_backup_components_get_snapshot_properties(NULL, &id, &prop),
        vss_backup_components_query(NULL, NULL, VSS_OBJECT_NONE, VSS_OBJECT_SNAPSHOT, &objects),
        vss_backup_components_import_snapshots(NULL, &async),
        vss_backup_components_break_snapshot_set(NULL, &id),
        vss_backup_components_break_snapshot_set_ex(NULL, &id, 0, &async),
        vss_backup_components_delete_snapshots(NULL, &id, VSS_OBJECT_SNAPSHOT, true, &deleted, &id),
        vss_backup_components_add_snapshot_to_recovery_set(NULL, &id, 0, NULL),
        vss_backup_components_recover_set(NULL, 0, &async),
        vss_backup_components_recovery_report(NULL, &text),
        vss_backup_components_get_session_id(NULL, &id),
        vss_backup_components_expose_snapshot(NULL, &id, NULL, 0, "/", &text),
        vss_backup_components_unexpose_snapshot(NULL, &id),
        vss_backup_components_revert_to_snapshot(NULL, &id, true),
        vss_backup_components_query_revert_status(NULL, "", &async),
        vss_backup_components_get_root_and_logical_prefix_paths(NULL, "/", false, &text, &text),
        vss_should_block_revert(NULL, NULL, &flag, NULL),
        vss_is_volume_snapshotted(NULL, NULL, &flag, &deleted, NULL),
        vss_async_wait(NULL, VSS_INFINITE),
        vss_async_query_status(NULL, &deleted),
        vss_async_cancel(NULL),
        vss_enum_object_skip(NULL, 1),
        vss_enum_object_reset(NULL),
    };
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        assert_int_equal(results[i], E_INVALIDARG);
    }
    struct vss_object_prop item;
    assert_int_equal(vss_enum_object_next(NULL, 1, &item, &number), E_POINTER);
    assert_int_equal(vss_enum_object_clone(NULL, &objects), E_POINTER);
    assert_string_equal(vss_backup_components_error_text(NULL), "");
    assert_string_equal(vss_async_error_text(NULL), "");
}

static void test_null_to_free(void **unused)
{
    (void)unused;
    vss_backup_components_release(NULL);
    vss_async_release(NULL);
    vss_async_progress(NULL, NULL, NULL);
    vss_enum_object_release(NULL);
    vss_free_snapshot_properties(NULL);
    vss_free_provider_properties(NULL);
    vss_free_object_properties(NULL);
    vss_free_string(NULL);
    struct vss_object_prop unknown = {.type = VSS_OBJECT_UNKNOWN};
    vss_free_object_properties(&unknown);
    assert_int_equal(unknown.type, VSS_OBJECT_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initializer),
        cmocka_unit_test(test_null_handles),
        cmocka_unit_test(test_null_to_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
