/* SPDX-License-Identifier: Apache-2.0 */

/* Writer Metadata Documents: one that loads is saved to bytes that load again and are saved to the
 * same bytes, and every method of the objects over it answers with a code of its list. */

#include "fuzz/fuzz.h"

#include <string.h>

#include "requester/metadata_objects.h"

typedef HRESULT get_text(struct vss_wm_filedesc *, char **);
typedef HRESULT get_file(struct vss_wm_component *, uint32_t, struct vss_wm_filedesc **);
typedef HRESULT get_listed(struct vss_examine_writer_metadata *, uint32_t,
                           struct vss_wm_filedesc **);

/* What a getter of these objects may say of a document. */
static void check_code(HRESULT hr)
{
    fuzz_check(hr == S_OK || hr == S_FALSE || hr == VSS_E_INVALID_XML_DOCUMENT ||
               hr == VSS_E_UNEXPECTED);
}

static void check_file(struct vss_wm_filedesc *file)
{
    char *text = NULL;
    bool flag = false;
    uint32_t mask = 0;
    get_text *const texts[] = {vss_wm_filedesc_get_path, vss_wm_filedesc_get_filespec,
                               vss_wm_filedesc_get_alternate_location};
    for (size_t i = 0; i < 3; i++) {
        HRESULT hr = texts[i](file, &text);
        check_code(hr);
        fuzz_check((hr == S_OK) == (text != NULL));
        vss_free_string(text);
    }
    check_code(vss_wm_filedesc_get_recursive(file, &flag));
    check_code(vss_wm_filedesc_get_backup_type_mask(file, &mask));
    vss_wm_filedesc_release(file);
}

static void check_dependency(struct vss_wm_dependency *dependency)
{
    VSS_ID id;
    char *text = NULL;
    check_code(vss_wm_dependency_get_writer_id(dependency, &id));
    check_code(vss_wm_dependency_get_logical_path(dependency, &text));
    vss_free_string(text);
    check_code(vss_wm_dependency_get_component_name(dependency, &text));
    vss_free_string(text);
    vss_wm_dependency_release(dependency);
}

static void check_component(struct vss_wm_component *component)
{
    struct vss_component_info *info = NULL;
    struct vss_wm_filedesc *file = NULL;
    struct vss_wm_dependency *dependency = NULL;
    get_file *const files[] = {vss_wm_component_get_file, vss_wm_component_get_database_file,
                               vss_wm_component_get_database_log_file};
    check_code(vss_wm_component_get_component_info(component, &info));
    vss_wm_component_free_component_info(component, info);
    for (size_t i = 0; i < 3; i++) {
        for (uint32_t j = 0; files[i](component, j, &file) == S_OK; j++) {
            check_file(file);
        }
    }
    for (uint32_t i = 0; vss_wm_component_get_dependency(component, i, &dependency) == S_OK; i++) {
        check_dependency(dependency);
    }
    vss_wm_component_release(component);
}

static void check_lists(struct vss_examine_writer_metadata *examine)
{
    struct vss_wm_filedesc *file = NULL;
    struct vss_wm_component *component = NULL;
    get_listed *const files[] = {vss_examine_writer_metadata_get_exclude_file,
                                 vss_examine_writer_metadata_get_exclude_from_snapshot_file,
                                 vss_examine_writer_metadata_get_alternate_location_mapping};
    for (size_t i = 0; i < 3; i++) {
        for (uint32_t j = 0; files[i](examine, j, &file) == S_OK; j++) {
            check_file(file);
        }
    }
    for (uint32_t i = 0; vss_examine_writer_metadata_get_component(examine, i, &component) == S_OK;
         i++) {
        check_component(component);
    }
}

static void check_head(struct vss_examine_writer_metadata *examine)
{
    VSS_ID ids[2];
    char *texts[2] = {NULL, NULL};
    int32_t numbers[2];
    uint32_t counts[3];
    bool flag = false;
    check_code(vss_examine_writer_metadata_get_identity_ex(examine, &ids[0], &ids[1], &texts[0],
                                                           &texts[1], &numbers[0], &numbers[1]));
    vss_free_string(texts[0]);
    vss_free_string(texts[1]);
    check_code(vss_examine_writer_metadata_get_restore_method(
        examine, &numbers[0], &texts[0], &texts[1], &numbers[1], &flag, &counts[0]));
    vss_free_string(texts[0]);
    vss_free_string(texts[1]);
    check_code(
        vss_examine_writer_metadata_get_file_counts(examine, &counts[0], &counts[1], &counts[2]));
    check_code(vss_examine_writer_metadata_get_backup_schema(examine, &counts[0]));
    check_code(vss_examine_writer_metadata_get_version(examine, &counts[0], &counts[1]));
}

static void check_same_again(struct metadata *metadata)
{
    char *once = NULL;
    char *twice = NULL;
    struct metadata *again = NULL;
    if (FAILED(metadata_save(metadata, &once, NULL))) {
        return; /* escapes may make it too long */
    }
    fuzz_check(metadata_load(once, strlen(once), &again, NULL) == S_OK);
    fuzz_check(metadata_save(again, &twice, NULL) == S_OK && strcmp(once, twice) == 0);
    free(once);
    free(twice);
    metadata_release(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct metadata *metadata = NULL;
    struct vss_examine_writer_metadata *examine = NULL;
    struct error err = {0};
    HRESULT hr = metadata_load(data, size, &metadata, &err);
    if (FAILED(hr)) {
        fuzz_check(hr == VSS_E_INVALID_XML_DOCUMENT || hr == VSS_E_CORRUPT_XML_DOCUMENT);
        fuzz_check(!metadata && err.text[0] != '\0' && !strchr(err.text, '\n'));
        return 0;
    }
    check_same_again(metadata);
    fuzz_check(examine_new(metadata, NULL, &examine) == S_OK);
    metadata_release(metadata);
    check_head(examine);
    check_lists(examine);
    vss_examine_writer_metadata_release(examine);
    return 0;
}
