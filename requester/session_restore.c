/* SPDX-License-Identifier: Apache-2.0 */

/* What a restore says of components, before the writers are told and after. */

#include "requester/session_components.h"

#include "common/id.h"

HRESULT vss_backup_components_set_restore_state(struct vss_backup_components *session,
                                                int32_t restore_type)
{
    HRESULT hr = session_begin(session, METHOD_SET_RESTORE_STATE);
    if (FAILED(hr)) {
        return hr;
    }
    hr = document_set_restore_type(session->document, restore_type, &session->err);
    return session_end(session, METHOD_SET_RESTORE_STATE, hr);
}

/* ---- selection ---- */

/* The writer that shall restore the component must run. *out_instance: the one that was asked for;
 * NULL where any of the class will do. */
static HRESULT find_live(struct vss_backup_components *session,
                         const struct component_arguments *arguments,
                         const struct gathered_writer **out_instance)
{
    char text[ID_TEXT_BYTES];
    *out_instance = NULL;
    if (!arguments->instance_id || id_is_null(arguments->instance_id)) {
        return gathered_writers_has_class(&session->writers, arguments->writer_id)
                   ? S_OK
                   : error_set(&session->err, VSS_E_OBJECT_NOT_FOUND,
                               "no writer of class %s runs here",
                               id_text(arguments->writer_id, text));
    }
    const struct gathered_writer *writer =
        gathered_writers_find(&session->writers, arguments->instance_id);
    if (!writer || !id_equal(&writer->writer_id, arguments->writer_id)) {
        return error_set(&session->err, VSS_E_OBJECT_NOT_FOUND,
                         "no writer instance %s of that class runs here",
                         id_text(arguments->instance_id, text));
    }
    *out_instance = writer;
    return S_OK;
}

/* The document's component: where a live instance was named and the document has it of that same
 * instance, that one; else the one of the class. */
static HRESULT find_selected(struct vss_backup_components *session,
                             const struct component_arguments *arguments,
                             const struct gathered_writer *instance, xmlNodePtr *out)
{
    if (instance &&
        SUCCEEDED(document_find_component(session->document, &instance->instance_id,
                                          arguments->writer_id, &arguments->name, out, NULL))) {
        return S_OK;
    }
    return document_find_component(session->document, NULL, arguments->writer_id, &arguments->name,
                                   out, &session->err);
}

static HRESULT select_component(struct vss_backup_components *session,
                                const struct component_arguments *arguments, bool is_selected)
{
    const struct gathered_writer *instance = NULL;
    xmlNodePtr component = NULL;
    char text[ID_TEXT_BYTES];
    HRESULT hr = session_check_component(session, arguments);
    if (SUCCEEDED(hr)) {
        hr = find_live(session, arguments, &instance);
    }
    if (SUCCEEDED(hr)) {
        hr = find_selected(session, arguments, instance, &component);
    }
    if (SUCCEEDED(hr)) {
        hr = component_check(component, &session->err);
    }
    if (SUCCEEDED(hr)) {
        bool is_named = instance && is_selected;
        hr = component_set_text(component, COMPONENT_RESTORE_INSTANCE,
                                is_named ? id_text(&instance->instance_id, text) : NULL,
                                &session->err);
    }
    return SUCCEEDED(hr) ? component_set_flag(component, COMPONENT_SELECTED_FOR_RESTORE,
                                              is_selected, &session->err)
                         : hr;
}

static HRESULT set_selected(struct vss_backup_components *session, enum session_method method,
                            const struct component_arguments *arguments, bool is_selected)
{
    HRESULT hr = session_begin(session, method);
    if (FAILED(hr)) {
        return hr;
    }
    hr = select_component(session, arguments, is_selected);
    return session_end(session, method, hr);
}

HRESULT vss_backup_components_set_selected_for_restore(struct vss_backup_components *session,
                                                       const VSS_ID *writer_id,
                                                       int32_t component_type,
                                                       const char *logical_path,
                                                       const char *component_name, bool selected)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    return set_selected(session, METHOD_SET_SELECTED_FOR_RESTORE, &arguments, selected);
}

HRESULT vss_backup_components_set_selected_for_restore_ex(
    struct vss_backup_components *session, const VSS_ID *writer_id, int32_t component_type,
    const char *logical_path, const char *component_name, bool selected, const VSS_ID *instance_id)
{
    const struct component_arguments arguments = {
        .instance_id = instance_id,
        .writer_id = writer_id,
        .name = {component_type, logical_path, component_name}};
    return set_selected(session, METHOD_SET_SELECTED_FOR_RESTORE_EX, &arguments, selected);
}

/* ---- one thing each ---- */

HRESULT vss_backup_components_set_restore_options(struct vss_backup_components *session,
                                                  const VSS_ID *writer_id, int32_t component_type,
                                                  const char *logical_path,
                                                  const char *component_name, const char *options)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    return session_set_component_text(session, METHOD_SET_RESTORE_OPTIONS, &arguments,
                                      COMPONENT_RESTORE_OPTIONS, options);
}

HRESULT vss_backup_components_set_additional_restores(struct vss_backup_components *session,
                                                      const VSS_ID *writer_id,
                                                      int32_t component_type,
                                                      const char *logical_path,
                                                      const char *component_name, bool additional)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    return session_set_component_flag(session, METHOD_SET_ADDITIONAL_RESTORES, &arguments,
                                      COMPONENT_ADDITIONAL_RESTORES, additional);
}

HRESULT vss_backup_components_set_authoritative_restore(
    struct vss_backup_components *session, const VSS_ID *writer_id, int32_t component_type,
    const char *logical_path, const char *component_name, bool authoritative)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    return session_set_component_flag(session, METHOD_SET_AUTHORITATIVE_RESTORE, &arguments,
                                      COMPONENT_AUTHORITATIVE_RESTORE, authoritative);
}

HRESULT vss_backup_components_set_restore_name(struct vss_backup_components *session,
                                               const VSS_ID *writer_id, int32_t component_type,
                                               const char *logical_path, const char *component_name,
                                               const char *name)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    return session_set_component_text(session, METHOD_SET_RESTORE_NAME, &arguments,
                                      COMPONENT_RESTORE_NAME, name);
}

HRESULT vss_backup_components_set_file_restore_status(struct vss_backup_components *session,
                                                      const VSS_ID *writer_id,
                                                      int32_t component_type,
                                                      const char *logical_path,
                                                      const char *component_name, int32_t status)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    xmlNodePtr component = NULL;
    HRESULT hr =
        session_begin_component(session, METHOD_SET_FILE_RESTORE_STATUS, &arguments, &component);
    if (FAILED(hr)) {
        return hr;
    }
    hr = component_set_word(component, COMPONENT_FILE_RESTORE_STATUS, status, &session->err);
    return session_end(session, METHOD_SET_FILE_RESTORE_STATUS, hr);
}

static HRESULT set_roll_forward(struct vss_backup_components *session, xmlNodePtr component,
                                int32_t type, const char *point)
{
    bool is_partial = type == VSS_RF_PARTIAL;
    if (is_partial && (!point || !point[0])) {
        return error_set(&session->err, E_INVALIDARG,
                         "VSS_RF_PARTIAL needs the point to roll forward to");
    }
    if (!is_partial && point && point[0]) {
        return error_set(&session->err, E_INVALIDARG, "a point goes with VSS_RF_PARTIAL only");
    }
    HRESULT hr = component_set_word(component, COMPONENT_ROLL_FORWARD, type, &session->err);
    return SUCCEEDED(hr) ? component_set_text(component, COMPONENT_ROLL_FORWARD_POINT,
                                              is_partial ? point : NULL, &session->err)
                         : hr;
}

HRESULT vss_backup_components_set_roll_forward(struct vss_backup_components *session,
                                               const VSS_ID *writer_id, int32_t component_type,
                                               const char *logical_path, const char *component_name,
                                               int32_t type, const char *point)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    xmlNodePtr component = NULL;
    HRESULT hr = session_begin_component(session, METHOD_SET_ROLL_FORWARD, &arguments, &component);
    if (FAILED(hr)) {
        return hr;
    }
    hr = set_roll_forward(session, component, type, point);
    return session_end(session, METHOD_SET_ROLL_FORWARD, hr);
}

/* ---- where files go ---- */

/* Whether a running writer of the class has the file set in the component, or in one below it. */
static HRESULT find_file_set(struct vss_backup_components *session,
                             const struct component_arguments *arguments,
                             const struct file_set *files)
{
    for (size_t i = 0; i < session->writers.count; i++) {
        const struct gathered_writer *writer = &session->writers.items[i];
        bool has_files = false;
        if (!id_equal(&writer->writer_id, arguments->writer_id)) {
            continue;
        }
        HRESULT hr = metadata_has_file_set(writer->metadata, &arguments->name, files, &has_files,
                                           &session->err);
        if (FAILED(hr) || has_files) {
            return hr;
        }
    }
    return error_set(&session->err, VSS_E_OBJECT_NOT_FOUND,
                     "no writer that runs has a file set \"%.200s\", \"%.200s\"%s in component "
                     "\"%.200s\"",
                     files->path, files->filespec, files->is_recursive ? ", recursive," : "",
                     arguments->name.name);
}

static HRESULT add_location(struct vss_backup_components *session, enum session_method method,
                            const struct component_arguments *arguments,
                            const struct file_set *files, const char *destination,
                            enum component_list list)
{
    xmlNodePtr component = NULL;
    HRESULT hr = session_begin_component(session, method, arguments, &component);
    if (FAILED(hr)) {
        return hr;
    }
    if (!files->path || !files->filespec || !destination) {
        hr = session_null_argument(session, "a path, file specification or destination");
        goto out;
    }
    hr = find_file_set(session, arguments, files);
    if (FAILED(hr)) {
        goto out;
    }
    const struct component_value values[] = {{"path", files->path},
                                             {"filespec", files->filespec},
                                             {"recursive", files->is_recursive ? "yes" : "no"},
                                             {"alternatePath", destination}};
    hr = component_add_entry(component, list, values, 4, &session->err);
out:
    return session_end(session, method, hr);
}

HRESULT vss_backup_components_add_alternative_location_mapping(
    struct vss_backup_components *session, const VSS_ID *writer_id, int32_t component_type,
    const char *logical_path, const char *component_name, const char *path, const char *filespec,
    bool recursive, const char *destination)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    const struct file_set files = {path, filespec, recursive};
    return add_location(session, METHOD_ADD_ALTERNATIVE_LOCATION_MAPPING, &arguments, &files,
                        destination, COMPONENT_ALTERNATE_LOCATIONS);
}

HRESULT vss_backup_components_add_new_target(struct vss_backup_components *session,
                                             const VSS_ID *writer_id, int32_t component_type,
                                             const char *logical_path, const char *component_name,
                                             const char *path, const char *filename, bool recursive,
                                             const char *alternate_path)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    const struct file_set files = {path, filename, recursive};
    return add_location(session, METHOD_ADD_NEW_TARGET, &arguments, &files, alternate_path,
                        COMPONENT_NEW_TARGETS);
}

HRESULT vss_backup_components_set_ranges_file_path(struct vss_backup_components *session,
                                                   const VSS_ID *writer_id, int32_t component_type,
                                                   const char *logical_path,
                                                   const char *component_name,
                                                   uint32_t partial_file, const char *ranges_file)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    xmlNodePtr component = NULL;
    HRESULT hr =
        session_begin_component(session, METHOD_SET_RANGES_FILE_PATH, &arguments, &component);
    if (FAILED(hr)) {
        return hr;
    }
    xmlNodePtr entry =
        component_entry(session->document, component, COMPONENT_PARTIAL_FILES, partial_file);
    if (!ranges_file) {
        hr = session_null_argument(session, "ranges_file");
    } else if (!entry) {
        hr = error_set(&session->err, VSS_E_OBJECT_NOT_FOUND,
                       "component \"%.200s\" has no partial file %u", component_name, partial_file);
    } else {
        hr = component_set_entry_text(entry, "rangesFile", ranges_file, &session->err);
    }
    return session_end(session, METHOD_SET_RANGES_FILE_PATH, hr);
}

/* ---- subcomponents ---- */

static HRESULT add_subcomponent(struct vss_backup_components *session, xmlNodePtr component,
                                const char *path, const char *name, bool repair)
{
    bool is_selected = false;
    if (!path || !name) {
        return session_null_argument(session,
                                     path ? "subcomponent_name" : "subcomponent_logical_path");
    }
    if (repair) {
        return error_set(&session->err, E_INVALIDARG, "repair is reserved; pass false");
    }
    HRESULT hr =
        component_get_flag(component, COMPONENT_SELECTED_FOR_RESTORE, &is_selected, &session->err);
    if (SUCCEEDED(hr) && !is_selected) {
        hr = error_set(&session->err, VSS_E_BAD_STATE,
                       "AddRestoreSubcomponent: the component is not selected for restore; call "
                       "SetSelectedForRestore first");
    }
    const struct component_value values[] = {
        {"logicalPath", path}, {"componentName", name}, {"repair", "no"}};
    return SUCCEEDED(hr) ? component_add_entry(component, COMPONENT_RESTORE_SUBCOMPONENTS, values,
                                               3, &session->err)
                         : hr;
}

HRESULT vss_backup_components_add_restore_subcomponent(
    struct vss_backup_components *session, const VSS_ID *writer_id, int32_t component_type,
    const char *logical_path, const char *component_name, const char *subcomponent_logical_path,
    const char *subcomponent_name, bool repair)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    xmlNodePtr component = NULL;
    HRESULT hr =
        session_begin_component(session, METHOD_ADD_RESTORE_SUBCOMPONENT, &arguments, &component);
    if (FAILED(hr)) {
        return hr;
    }
    hr = add_subcomponent(session, component, subcomponent_logical_path, subcomponent_name, repair);
    return session_end(session, METHOD_ADD_RESTORE_SUBCOMPONENT, hr);
}
