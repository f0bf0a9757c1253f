/* SPDX-License-Identifier: Apache-2.0 */

/* IVssWriterComponentsExt and IVssComponent: objects over a session's document. */

#include "requester/component_objects.h"

#include "common/buffer.h"
#include "common/id.h"

#include <stdlib.h>

/* ---- writers ---- */

struct vss_writer_components {
    struct document *document; /* a share */
    size_t place;              /* among the writers that have components, which only grow */
    struct error err;
};

HRESULT writer_components_new(struct document *document, size_t place,
                              struct vss_writer_components **out)
{
    struct vss_writer_components *writer = calloc(1, sizeof(*writer));
    if (!writer) {
        return E_OUTOFMEMORY;
    }
    writer->document = document_share(document);
    writer->place = place;
    *out = writer;
    return S_OK;
}

void vss_writer_components_release(struct vss_writer_components *writer)
{
    if (writer) {
        document_free(writer->document);
        free(writer);
    }
}

const char *vss_writer_components_error_text(const struct vss_writer_components *writer)
{
    return writer && FAILED(writer->err.code) ? error_text(&writer->err) : "";
}

/* NULL: an argument is none. */
static const struct document_writer *begin_writer(struct vss_writer_components *writer,
                                                  bool are_outputs)
{
    if (!writer) {
        return NULL;
    }
    error_clear(&writer->err);
    if (!are_outputs) {
        (void)error_set(&writer->err, E_INVALIDARG, "an output is NULL");
        return NULL;
    }
    return document_writer_at(writer->document, writer->place);
}

HRESULT vss_writer_components_get_component_count(struct vss_writer_components *writer,
                                                  uint32_t *out_components)
{
    const struct document_writer *components = begin_writer(writer, out_components);
    if (out_components) {
        *out_components = components ? (uint32_t)components->components.count : 0;
    }
    return components ? S_OK : E_INVALIDARG;
}

HRESULT vss_writer_components_get_writer_info(struct vss_writer_components *writer,
                                              VSS_ID *out_instance_id, VSS_ID *out_writer_id)
{
    if (out_instance_id) {
        *out_instance_id = id_null;
    }
    if (out_writer_id) {
        *out_writer_id = id_null;
    }
    const struct document_writer *components =
        begin_writer(writer, out_instance_id && out_writer_id);
    if (!components) {
        return E_INVALIDARG;
    }
    if (id_is_null(&components->instance_id) || id_is_null(&components->writer_id)) {
        struct xml_reader r = {S_OK, &writer->err};
        xml_refuse(&r, components->node, "lacks attribute instanceId or writerId");
        return r.status;
    }
    *out_instance_id = components->instance_id;
    *out_writer_id = components->writer_id;
    return S_OK;
}

HRESULT vss_writer_components_get_component(struct vss_writer_components *writer, uint32_t index,
                                            struct vss_component **out)
{
    if (out) {
        *out = NULL;
    }
    const struct document_writer *components = begin_writer(writer, out);
    if (!components) {
        return E_INVALIDARG;
    }
    if (index >= components->components.count) {
        return error_set(&writer->err, VSS_E_OBJECT_NOT_FOUND,
                         "there is no component %u; there are %zu, from 0", index,
                         components->components.count);
    }
    HRESULT hr = component_new(writer->document, components->components.nodes[index], out);
    return FAILED(hr) ? error_set(&writer->err, hr, "out of memory") : S_OK;
}

/* ---- components ---- */

HRESULT component_new(struct document *document, xmlNodePtr node, struct vss_component **out)
{
    struct vss_component *component = calloc(1, sizeof(*component));
    if (!component) {
        return E_OUTOFMEMORY;
    }
    component->document = document_share(document);
    component->node = node;
    *out = component;
    return S_OK;
}

void vss_component_release(struct vss_component *component)
{
    if (component) {
        document_free(component->document);
        free(component);
    }
}

const char *vss_component_error_text(const struct vss_component *component)
{
    return component && FAILED(component->err.code) ? error_text(&component->err) : "";
}

HRESULT component_begin(struct vss_component *component, bool are_arguments)
{
    if (!component) {
        return E_INVALIDARG;
    }
    error_clear(&component->err);
    if (!are_arguments) {
        return error_set(&component->err, E_INVALIDARG, "an argument is NULL");
    }
    return document_check_use(component->document, &component->err);
}

/* S_FALSE for NULL. */
static HRESULT give_text(struct vss_component *component, const char *text, char **out)
{
    if (!text) {
        return S_FALSE;
    }
    *out = text_copy(text);
    return *out ? S_OK : error_set(&component->err, E_OUTOFMEMORY, "out of memory");
}

static HRESULT get_text(struct vss_component *component, enum component_text which, char **out)
{
    if (out) {
        *out = NULL;
    }
    const char *text = NULL;
    HRESULT hr = component_begin(component, out);
    if (SUCCEEDED(hr)) {
        hr = component_get_text(component->node, which, &text, &component->err);
    }
    return SUCCEEDED(hr) ? give_text(component, text, out) : hr;
}

static HRESULT set_text(struct vss_component *component, enum component_text which,
                        const char *text)
{
    HRESULT hr = component_begin(component, text);
    return SUCCEEDED(hr) ? component_set_text(component->node, which, text, &component->err) : hr;
}

static HRESULT get_flag(struct vss_component *component, enum component_flag which, bool *out)
{
    if (out) {
        *out = false;
    }
    HRESULT hr = component_begin(component, out);
    return SUCCEEDED(hr) ? component_get_flag(component->node, which, out, &component->err) : hr;
}

static HRESULT get_word(struct vss_component *component, enum component_word which, int32_t *out)
{
    if (out) {
        *out = 0;
    }
    HRESULT hr = component_begin(component, out);
    return SUCCEEDED(hr) ? component_get_word(component->node, which, out, &component->err) : hr;
}

/* ---- which one it is ---- */

HRESULT vss_component_get_logical_path(struct vss_component *component, char **out_path)
{
    if (out_path) {
        *out_path = NULL;
    }
    struct component_name name = {0};
    HRESULT hr = component_begin(component, out_path);
    if (SUCCEEDED(hr)) {
        hr = component_get_name(component->node, &name, &component->err);
    }
    return SUCCEEDED(hr) ? give_text(component, name.logical_path, out_path) : hr;
}

HRESULT vss_component_get_component_type(struct vss_component *component, int32_t *out_type)
{
    if (out_type) {
        *out_type = VSS_CT_UNDEFINED;
    }
    struct component_name name = {0};
    HRESULT hr = component_begin(component, out_type);
    if (SUCCEEDED(hr)) {
        hr = component_get_name(component->node, &name, &component->err);
    }
    if (SUCCEEDED(hr)) {
        *out_type = name.type;
    }
    return hr;
}

HRESULT vss_component_get_component_name(struct vss_component *component, char **out_name)
{
    if (out_name) {
        *out_name = NULL;
    }
    struct component_name name = {0};
    HRESULT hr = component_begin(component, out_name);
    if (SUCCEEDED(hr)) {
        hr = component_get_name(component->node, &name, &component->err);
    }
    return SUCCEEDED(hr) ? give_text(component, name.name, out_name) : hr;
}

/* ---- texts, flags, words ---- */

HRESULT vss_component_get_backup_succeeded(struct vss_component *component, bool *out_succeeded)
{
    return get_flag(component, COMPONENT_BACKUP_SUCCEEDED, out_succeeded);
}

HRESULT vss_component_get_backup_options(struct vss_component *component, char **out_options)
{
    return get_text(component, COMPONENT_BACKUP_OPTIONS, out_options);
}

HRESULT vss_component_get_backup_stamp(struct vss_component *component, char **out_stamp)
{
    return get_text(component, COMPONENT_BACKUP_STAMP, out_stamp);
}

HRESULT vss_component_get_previous_backup_stamp(struct vss_component *component, char **out_stamp)
{
    return get_text(component, COMPONENT_PREVIOUS_BACKUP_STAMP, out_stamp);
}

HRESULT vss_component_get_backup_metadata(struct vss_component *component, char **out_metadata)
{
    return get_text(component, COMPONENT_BACKUP_METADATA, out_metadata);
}

HRESULT vss_component_set_backup_stamp(struct vss_component *component, const char *stamp)
{
    return set_text(component, COMPONENT_BACKUP_STAMP, stamp);
}

HRESULT vss_component_set_backup_metadata(struct vss_component *component, const char *metadata)
{
    return set_text(component, COMPONENT_BACKUP_METADATA, metadata);
}

HRESULT vss_component_is_selected_for_restore(struct vss_component *component, bool *out_selected)
{
    return get_flag(component, COMPONENT_SELECTED_FOR_RESTORE, out_selected);
}

HRESULT vss_component_get_additional_restores(struct vss_component *component, bool *out_additional)
{
    return get_flag(component, COMPONENT_ADDITIONAL_RESTORES, out_additional);
}

HRESULT vss_component_get_restore_options(struct vss_component *component, char **out_options)
{
    return get_text(component, COMPONENT_RESTORE_OPTIONS, out_options);
}

HRESULT vss_component_set_restore_metadata(struct vss_component *component, const char *metadata)
{
    return set_text(component, COMPONENT_RESTORE_METADATA, metadata);
}

HRESULT vss_component_get_restore_metadata(struct vss_component *component, char **out_metadata)
{
    return get_text(component, COMPONENT_RESTORE_METADATA, out_metadata);
}

HRESULT vss_component_set_restore_target(struct vss_component *component, int32_t target)
{
    HRESULT hr = component_begin(component, true);
    return SUCCEEDED(hr) ? component_set_word(component->node, COMPONENT_RESTORE_TARGET, target,
                                              &component->err)
                         : hr;
}

HRESULT vss_component_get_restore_target(struct vss_component *component, int32_t *out_target)
{
    return get_word(component, COMPONENT_RESTORE_TARGET, out_target);
}

HRESULT vss_component_get_file_restore_status(struct vss_component *component, int32_t *out_status)
{
    return get_word(component, COMPONENT_FILE_RESTORE_STATUS, out_status);
}

HRESULT vss_component_get_authoritative_restore(struct vss_component *component,
                                                bool *out_authoritative)
{
    return get_flag(component, COMPONENT_AUTHORITATIVE_RESTORE, out_authoritative);
}

HRESULT vss_component_get_roll_forward(struct vss_component *component, int32_t *out_type,
                                       char **out_point)
{
    if (out_type) {
        *out_type = VSS_RF_UNDEFINED;
    }
    if (out_point) {
        *out_point = NULL;
    }
    int32_t type = VSS_RF_UNDEFINED;
    const char *point = NULL;
    HRESULT hr = component_begin(component, out_type && out_point);
    if (SUCCEEDED(hr)) {
        hr = component_get_word(component->node, COMPONENT_ROLL_FORWARD, &type, &component->err);
    }
    if (SUCCEEDED(hr)) {
        hr = component_get_text(component->node, COMPONENT_ROLL_FORWARD_POINT, &point,
                                &component->err);
    }
    if (SUCCEEDED(hr)) {
        hr = give_text(component, point, out_point);
    }
    if (FAILED(hr)) {
        return hr;
    }
    *out_type = type;
    return S_OK;
}

HRESULT vss_component_get_restore_name(struct vss_component *component, char **out_name)
{
    return get_text(component, COMPONENT_RESTORE_NAME, out_name);
}

/* ---- failures ---- */

HRESULT vss_component_set_pre_restore_failure_msg(struct vss_component *component,
                                                  const char *message)
{
    return set_text(component, COMPONENT_PRE_RESTORE_FAILURE, message);
}

HRESULT vss_component_get_pre_restore_failure_msg(struct vss_component *component,
                                                  char **out_message)
{
    return get_text(component, COMPONENT_PRE_RESTORE_FAILURE, out_message);
}

HRESULT vss_component_set_post_restore_failure_msg(struct vss_component *component,
                                                   const char *message)
{
    return set_text(component, COMPONENT_POST_RESTORE_FAILURE, message);
}

HRESULT vss_component_get_post_restore_failure_msg(struct vss_component *component,
                                                   char **out_message)
{
    return get_text(component, COMPONENT_POST_RESTORE_FAILURE, out_message);
}

HRESULT vss_component_set_prepare_for_backup_failure_msg(struct vss_component *component,
                                                         const char *message)
{
    return set_text(component, COMPONENT_PREPARE_FOR_BACKUP_FAILURE, message);
}

HRESULT vss_component_get_prepare_for_backup_failure_msg(struct vss_component *component,
                                                         char **out_message)
{
    return get_text(component, COMPONENT_PREPARE_FOR_BACKUP_FAILURE, out_message);
}

HRESULT vss_component_set_post_snapshot_failure_msg(struct vss_component *component,
                                                    const char *message)
{
    return set_text(component, COMPONENT_POST_SNAPSHOT_FAILURE, message);
}

HRESULT vss_component_get_post_snapshot_failure_msg(struct vss_component *component,
                                                    char **out_message)
{
    return get_text(component, COMPONENT_POST_SNAPSHOT_FAILURE, out_message);
}

/* What a writer may say itself; that it does not respond is said of it. */
static bool is_reportable(HRESULT code)
{
    return code == S_OK || code == VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT ||
           code == VSS_E_WRITERERROR_OUTOFRESOURCES || code == VSS_E_WRITERERROR_TIMEOUT ||
           code == VSS_E_WRITERERROR_RETRYABLE || code == VSS_E_WRITERERROR_NONRETRYABLE;
}

HRESULT vss_component_set_failure(struct vss_component *component, HRESULT code,
                                  HRESULT application_code, const char *application_message,
                                  uint32_t reserved)
{
    HRESULT hr = component_begin(component, true);
    if (FAILED(hr)) {
        return hr;
    }
    if (!is_reportable(code) || reserved != 0) {
        return error_set(&component->err, E_INVALIDARG,
                         reserved != 0 ? "reserved is not 0"
                                       : "0x%08x is not a failure that a writer may report",
                         (unsigned)code);
    }
    const struct component_failure failure = {code, application_code, application_message};
    return component_set_failure(component->node, &failure, &component->err);
}

HRESULT vss_component_get_failure(struct vss_component *component, HRESULT *out_code,
                                  HRESULT *out_application_code, char **out_application_message,
                                  uint32_t *out_reserved)
{
    if (out_code) {
        *out_code = S_OK;
    }
    if (out_application_code) {
        *out_application_code = S_OK;
    }
    if (out_application_message) {
        *out_application_message = NULL;
    }
    if (out_reserved) {
        *out_reserved = 0;
    }
    struct component_failure failure = {0};
    HRESULT hr = component_begin(component, out_code && out_application_code &&
                                                out_application_message && out_reserved);
    if (SUCCEEDED(hr)) {
        hr = component_get_failure(component->node, &failure, &component->err);
    }
    if (SUCCEEDED(hr)) {
        hr = give_text(component, failure.application_message, out_application_message);
    }
    if (FAILED(hr)) {
        return hr;
    }
    *out_code = failure.code;
    *out_application_code = failure.application_code;
    return S_OK;
}
