/* SPDX-License-Identifier: Apache-2.0 */

/* Components of a session: which there are, and what a backup says of each. */

#include "requester/session_components.h"

#include "requester/component_objects.h"

#include "common/id.h"

#include <string.h>

/* ---- shared ---- */

void session_note_selection(struct vss_backup_components *session, bool selects_components)
{
    if (selects_components) {
        session_add_conditions(session, SESSION_COMPONENTS);
    } else {
        session_drop_conditions(session, SESSION_COMPONENTS);
    }
}

HRESULT session_check_component(struct vss_backup_components *session,
                                const struct component_arguments *arguments)
{
    const struct component_name *name = &arguments->name;
    if (arguments->needs_instance && !arguments->instance_id) {
        return session_null_argument(session, "instance_id");
    }
    if (!arguments->writer_id) {
        return session_null_argument(session, "writer_id");
    }
    if (!name->name || !name->name[0]) {
        return error_set(&session->err, E_INVALIDARG, "component_name is NULL or empty");
    }
    if (name->type != VSS_CT_DATABASE && name->type != VSS_CT_FILEGROUP) {
        return error_set(&session->err, E_INVALIDARG, "%d is not a type of component", name->type);
    }
    const char *path = name->logical_path ? name->logical_path : "";
    if (!xml_can_hold(name->name) || !xml_can_hold(path) ||
        strlen(name->name) > COMPONENT_TEXT_MAX || strlen(path) > COMPONENT_TEXT_MAX) {
        return error_set(&session->err, E_INVALIDARG,
                         "a component's name and path are UTF-8 without control characters, of at "
                         "most %zu bytes",
                         COMPONENT_TEXT_MAX);
    }
    return S_OK;
}

HRESULT session_begin_component(struct vss_backup_components *session, enum session_method method,
                                const struct component_arguments *arguments, xmlNodePtr *out)
{
    HRESULT hr = session_begin(session, method);
    if (FAILED(hr)) {
        return hr;
    }
    hr = session_check_component(session, arguments);
    if (SUCCEEDED(hr)) {
        hr = document_find_component(session->document, arguments->instance_id,
                                     arguments->writer_id, &arguments->name, out, &session->err);
    }
    if (SUCCEEDED(hr)) {
        hr = component_check(*out, &session->err);
    }
    return FAILED(hr) ? session_end(session, method, hr) : S_OK;
}

HRESULT session_set_component_text(struct vss_backup_components *session,
                                   enum session_method method,
                                   const struct component_arguments *arguments,
                                   enum component_text which, const char *text)
{
    xmlNodePtr component = NULL;
    HRESULT hr = session_begin_component(session, method, arguments, &component);
    if (FAILED(hr)) {
        return hr;
    }
    hr = text ? component_set_text(component, which, text, &session->err)
              : session_null_argument(session, "the text");
    return session_end(session, method, hr);
}

HRESULT session_set_component_flag(struct vss_backup_components *session,
                                   enum session_method method,
                                   const struct component_arguments *arguments,
                                   enum component_flag which, bool value)
{
    xmlNodePtr component = NULL;
    HRESULT hr = session_begin_component(session, method, arguments, &component);
    if (FAILED(hr)) {
        return hr;
    }
    hr = component_set_flag(component, which, value, &session->err);
    return session_end(session, method, hr);
}

/* ---- which there are ---- */

HRESULT vss_backup_components_get_writer_components_count(struct vss_backup_components *session,
                                                          uint32_t *out_writers)
{
    if (out_writers) {
        *out_writers = 0;
    }
    HRESULT hr = session_begin(session, METHOD_GET_WRITER_COMPONENTS_COUNT);
    if (FAILED(hr)) {
        return hr;
    }
    if (out_writers) {
        *out_writers = (uint32_t)document_count_writers(session->document);
    } else {
        hr = session_null_argument(session, "out_writers");
    }
    return session_end(session, METHOD_GET_WRITER_COMPONENTS_COUNT, hr);
}

HRESULT vss_backup_components_get_writer_components(struct vss_backup_components *session,
                                                    uint32_t index,
                                                    struct vss_writer_components **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_GET_WRITER_COMPONENTS);
    if (FAILED(hr)) {
        return hr;
    }
    if (!out) {
        hr = session_null_argument(session, "out");
        goto out;
    }
    if (!document_writer_at(session->document, index)) {
        hr = error_set(&session->err, VSS_E_OBJECT_NOT_FOUND,
                       "the document has no writer %u with components; it has %zu, from 0", index,
                       document_count_writers(session->document));
        goto out;
    }
    hr = writer_components_new(session->document, index, out);
    if (FAILED(hr)) {
        hr = error_set(&session->err, hr, "out of memory");
    }
out:
    return session_end(session, METHOD_GET_WRITER_COMPONENTS, hr);
}

/* ---- AddComponent ---- */

/* The writer must have answered, and have such a component. */
static HRESULT find_gathered(struct vss_backup_components *session,
                             const struct component_arguments *arguments,
                             const struct gathered_writer **out)
{
    char text[ID_TEXT_BYTES];
    const struct gathered_writer *writer =
        gathered_writers_find(&session->writers, arguments->instance_id);
    if (!writer || !id_equal(&writer->writer_id, arguments->writer_id)) {
        return error_set(&session->err, E_INVALIDARG,
                         "no writer instance %s of that class was gathered",
                         id_text(arguments->instance_id, text));
    }
    bool has_component = false;
    HRESULT hr =
        metadata_has_component(writer->metadata, &arguments->name, &has_component, &session->err);
    if (SUCCEEDED(hr) && !has_component) {
        hr = error_set(&session->err, E_INVALIDARG,
                       "writer %.100s has no component \"%.200s\" of that type and logical path",
                       writer->name, arguments->name.name);
    }
    *out = writer;
    return hr;
}

static HRESULT add_component(struct vss_backup_components *session,
                             const struct component_arguments *arguments)
{
    HRESULT hr = session_check_component(session, arguments);
    if (FAILED(hr)) {
        return hr;
    }
    const struct gathered_writer *writer = NULL;
    hr = find_gathered(session, arguments, &writer);
    if (FAILED(hr)) {
        return hr;
    }
    struct component_owner owner = {.instance_id = writer->instance_id,
                                    .writer_id = writer->writer_id,
                                    .instance_name = writer->instance_name};
    hr = metadata_backup_schema(writer->metadata, &owner.backup_schema, &session->err);
    return SUCCEEDED(hr)
               ? document_add_component(session->document, &owner, &arguments->name, &session->err)
               : hr;
}

HRESULT vss_backup_components_add_component(struct vss_backup_components *session,
                                            const VSS_ID *instance_id, const VSS_ID *writer_id,
                                            int32_t component_type, const char *logical_path,
                                            const char *component_name)
{
    HRESULT hr = session_begin(session, METHOD_ADD_COMPONENT);
    if (FAILED(hr)) {
        return hr;
    }
    const struct component_arguments arguments = {
        .instance_id = instance_id,
        .needs_instance = true,
        .writer_id = writer_id,
        .name = {component_type, logical_path, component_name}};
    hr = add_component(session, &arguments);
    return session_end(session, METHOD_ADD_COMPONENT, hr);
}

/* ---- what a backup says ---- */

HRESULT vss_backup_components_set_backup_succeeded(struct vss_backup_components *session,
                                                   const VSS_ID *instance_id,
                                                   const VSS_ID *writer_id, int32_t component_type,
                                                   const char *logical_path,
                                                   const char *component_name, bool succeeded)
{
    const struct component_arguments arguments = {
        .instance_id = instance_id,
        .needs_instance = true,
        .writer_id = writer_id,
        .name = {component_type, logical_path, component_name}};
    return session_set_component_flag(session, METHOD_SET_BACKUP_SUCCEEDED, &arguments,
                                      COMPONENT_BACKUP_SUCCEEDED, succeeded);
}

HRESULT vss_backup_components_set_backup_options(struct vss_backup_components *session,
                                                 const VSS_ID *writer_id, int32_t component_type,
                                                 const char *logical_path,
                                                 const char *component_name, const char *options)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    return session_set_component_text(session, METHOD_SET_BACKUP_OPTIONS, &arguments,
                                      COMPONENT_BACKUP_OPTIONS, options);
}

HRESULT vss_backup_components_set_previous_backup_stamp(
    struct vss_backup_components *session, const VSS_ID *writer_id, int32_t component_type,
    const char *logical_path, const char *component_name, const char *stamp)
{
    const struct component_arguments arguments = {
        .writer_id = writer_id, .name = {component_type, logical_path, component_name}};
    return session_set_component_text(session, METHOD_SET_PREVIOUS_BACKUP_STAMP, &arguments,
                                      COMPONENT_PREVIOUS_BACKUP_STAMP, stamp);
}
