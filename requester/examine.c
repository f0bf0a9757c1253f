/* SPDX-License-Identifier: Apache-2.0 */

/* IVssExamineWriterMetadata: an object over a Writer Metadata Document. */

#include "requester/metadata_objects.h"

#include "common/buffer.h"
#include "common/id.h"
#include "registry/store.h"
#include "requester/session.h"

#include <stdlib.h>
#include <string.h>

struct vss_examine_writer_metadata {
    struct metadata *metadata; /* NULL after a load that failed */
    struct writer_classes *classes;
    struct error err;
};

/* ---- classes of writers ---- */

HRESULT writer_classes_new(const struct gathered_writers *writers, struct writer_classes **out)
{
    struct writer_classes *classes =
        calloc(1, sizeof(*classes) + writers->count * sizeof(classes->ids[0]));
    if (!classes) {
        return E_OUTOFMEMORY;
    }
    atomic_init(&classes->refs, 1);
    classes->count = writers->count;
    for (size_t i = 0; i < writers->count; i++) {
        classes->ids[i] = writers->items[i].writer_id;
    }
    *out = classes;
    return S_OK;
}

struct writer_classes *writer_classes_share(struct writer_classes *classes)
{
    if (classes) {
        atomic_fetch_add(&classes->refs, 1);
    }
    return classes;
}

void writer_classes_release(struct writer_classes *classes)
{
    if (classes && atomic_fetch_sub(&classes->refs, 1) == 1) {
        free(classes);
    }
}

/* ---- making and releasing ---- */

HRESULT examine_new(struct metadata *metadata, struct writer_classes *classes,
                    struct vss_examine_writer_metadata **out)
{
    struct vss_examine_writer_metadata *examine = calloc(1, sizeof(*examine));
    if (!examine) {
        return E_OUTOFMEMORY;
    }
    examine->metadata = metadata_share(metadata);
    examine->classes = writer_classes_share(classes);
    *out = examine;
    return S_OK;
}

/* Who may not use the registry may do no backups. */
static HRESULT check_access(const struct vss_session_options *options, struct error *err)
{
    struct vss_session_options known;
    struct store *store = NULL;
    HRESULT hr = session_read_options(options, &known, err);
    if (SUCCEEDED(hr)) {
        hr = store_open(known.state_directory, &store, err);
    }
    store_close(store);
    return session_creation_result(hr, err);
}

static HRESULT create(const struct vss_session_options *options, const char *xml,
                      struct vss_examine_writer_metadata **out, struct error *err)
{
    if (!xml) {
        return error_set(err, E_INVALIDARG, "xml is NULL");
    }
    HRESULT hr = check_access(options, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct metadata *metadata = NULL;
    hr = metadata_load(xml, strlen(xml), &metadata, err);
    if (FAILED(hr)) {
        return hr == VSS_E_CORRUPT_XML_DOCUMENT ? error_translate(err, VSS_E_INVALID_XML_DOCUMENT)
                                                : hr;
    }
    hr = examine_new(metadata, NULL, out);
    metadata_release(metadata);
    return FAILED(hr) ? error_set(err, hr, "out of memory") : S_OK;
}

HRESULT vss_create_examine_writer_metadata(const struct vss_session_options *options,
                                           const char *xml,
                                           struct vss_examine_writer_metadata **out,
                                           char **out_error)
{
    if (out_error) {
        *out_error = NULL;
    }
    if (!out) {
        return E_INVALIDARG;
    }
    *out = NULL;
    struct error err = {0};
    HRESULT hr = create(options, xml, out, &err);
    if (FAILED(hr) && out_error) {
        *out_error = text_copy(error_text(&err));
    }
    return session_at_level(options, hr);
}

void vss_examine_writer_metadata_release(struct vss_examine_writer_metadata *metadata)
{
    if (!metadata) {
        return;
    }
    metadata_release(metadata->metadata);
    writer_classes_release(metadata->classes);
    free(metadata);
}

const char *
vss_examine_writer_metadata_error_text(const struct vss_examine_writer_metadata *metadata)
{
    return metadata && metadata->err.code != S_OK ? error_text(&metadata->err) : "";
}

/* What every method begins with: are_outputs is whether no output is NULL. */
static HRESULT begin(struct vss_examine_writer_metadata *examine, bool are_outputs)
{
    if (!examine) {
        return E_INVALIDARG;
    }
    error_clear(&examine->err);
    if (!are_outputs) {
        return error_set(&examine->err, E_INVALIDARG, "an output is NULL");
    }
    if (!examine->metadata) {
        return error_set(&examine->err, VSS_E_UNEXPECTED,
                         "the object is empty since LoadFromXML failed; load a document first");
    }
    return S_OK;
}

/* ---- the document ---- */

HRESULT vss_examine_writer_metadata_save_as_xml(struct vss_examine_writer_metadata *metadata,
                                                char **out_xml)
{
    if (out_xml) {
        *out_xml = NULL;
    }
    HRESULT hr = begin(metadata, out_xml);
    return SUCCEEDED(hr) ? metadata_save(metadata->metadata, out_xml, &metadata->err) : hr;
}

HRESULT vss_examine_writer_metadata_load_from_xml(struct vss_examine_writer_metadata *metadata,
                                                  const char *xml)
{
    if (!metadata) {
        return E_INVALIDARG;
    }
    error_clear(&metadata->err);
    if (!xml) {
        return error_set(&metadata->err, E_INVALIDARG, "xml is NULL");
    }
    metadata_release(metadata->metadata);
    metadata->metadata = NULL;
    HRESULT hr = metadata_load(xml, strlen(xml), &metadata->metadata, &metadata->err);
    return hr == VSS_E_CORRUPT_XML_DOCUMENT ? error_translate(&metadata->err, S_FALSE) : hr;
}

/* ---- the head ---- */

static HRESULT copy_identity(struct vss_examine_writer_metadata *examine, char **out_name,
                             char **out_instance_name, int32_t *out_usage, int32_t *out_source)
{
    struct metadata_identity identity;
    char *name = NULL;
    char *instance_name = NULL;
    HRESULT hr = metadata_identity(examine->metadata, &identity, &examine->err);
    if (SUCCEEDED(hr)) {
        hr = object_text(identity.name, &name, &examine->err);
    }
    if (SUCCEEDED(hr) && out_instance_name) {
        hr = object_text(identity.instance_name, &instance_name, &examine->err);
    }
    if (FAILED(hr)) {
        free(name);
        return hr;
    }
    *out_name = name;
    if (out_instance_name) {
        *out_instance_name = instance_name;
    }
    *out_usage = identity.usage;
    *out_source = identity.source;
    return S_OK;
}

/* out_instance_name NULL: not asked for. */
static HRESULT get_identity(struct vss_examine_writer_metadata *examine, VSS_ID *out_instance_id,
                            VSS_ID *out_writer_id, char **out_writer_name, char **out_instance_name,
                            int32_t *out_usage, int32_t *out_source)
{
    HRESULT hr = copy_identity(examine, out_writer_name, out_instance_name, out_usage, out_source);
    if (SUCCEEDED(hr)) {
        metadata_ids(examine->metadata, out_instance_id, out_writer_id);
    }
    return hr;
}

/* Each may be NULL. */
static void clear_outputs(VSS_ID *id, VSS_ID *other_id, char **name, int32_t *usage,
                          int32_t *source)
{
    VSS_ID *ids[] = {id, other_id};
    int32_t *numbers[] = {usage, source};
    for (size_t i = 0; i < 2; i++) {
        if (ids[i]) {
            *ids[i] = id_null;
        }
        if (numbers[i]) {
            *numbers[i] = 0;
        }
    }
    if (name) {
        *name = NULL;
    }
}

HRESULT vss_examine_writer_metadata_get_identity(struct vss_examine_writer_metadata *metadata,
                                                 VSS_ID *out_instance_id, VSS_ID *out_writer_id,
                                                 char **out_writer_name, int32_t *out_usage,
                                                 int32_t *out_source)
{
    clear_outputs(out_instance_id, out_writer_id, out_writer_name, out_usage, out_source);
    HRESULT hr = begin(metadata, out_instance_id && out_writer_id && out_writer_name && out_usage &&
                                     out_source);
    return SUCCEEDED(hr) ? get_identity(metadata, out_instance_id, out_writer_id, out_writer_name,
                                        NULL, out_usage, out_source)
                         : hr;
}

HRESULT vss_examine_writer_metadata_get_identity_ex(struct vss_examine_writer_metadata *metadata,
                                                    VSS_ID *out_instance_id, VSS_ID *out_writer_id,
                                                    char **out_writer_name,
                                                    char **out_instance_name, int32_t *out_usage,
                                                    int32_t *out_source)
{
    clear_outputs(out_instance_id, out_writer_id, out_writer_name, out_usage, out_source);
    if (out_instance_name) {
        *out_instance_name = NULL;
    }
    HRESULT hr = begin(metadata, out_instance_id && out_writer_id && out_writer_name &&
                                     out_instance_name && out_usage && out_source);
    return SUCCEEDED(hr) ? get_identity(metadata, out_instance_id, out_writer_id, out_writer_name,
                                        out_instance_name, out_usage, out_source)
                         : hr;
}

HRESULT vss_examine_writer_metadata_get_version(struct vss_examine_writer_metadata *metadata,
                                                uint32_t *out_major, uint32_t *out_minor)
{
    uint32_t major = 0;
    uint32_t minor = 0;
    HRESULT hr = begin(metadata, out_major && out_minor);
    if (SUCCEEDED(hr)) {
        hr = metadata_version(metadata->metadata, &major, &minor, &metadata->err);
        hr = FAILED(hr) ? error_translate(&metadata->err, VSS_E_UNEXPECTED) : S_OK;
    }
    if (out_major) {
        *out_major = SUCCEEDED(hr) ? major : 0;
    }
    if (out_minor) {
        *out_minor = SUCCEEDED(hr) ? minor : 0;
    }
    return hr;
}

HRESULT vss_examine_writer_metadata_get_backup_schema(struct vss_examine_writer_metadata *metadata,
                                                      uint32_t *out_schema)
{
    if (out_schema) {
        *out_schema = 0;
    }
    HRESULT hr = begin(metadata, out_schema);
    if (hr == VSS_E_UNEXPECTED) {
        return error_translate(&metadata->err, VSS_E_INVALID_XML_DOCUMENT);
    }
    return SUCCEEDED(hr) ? metadata_backup_schema(metadata->metadata, out_schema, &metadata->err)
                         : hr;
}

/* ---- restore method and mappings ---- */

static HRESULT copy_method(struct vss_examine_writer_metadata *examine,
                           struct metadata_restore_method *method, char **out_service,
                           char **out_user_procedure)
{
    char *service = NULL;
    char *procedure = NULL;
    HRESULT hr = metadata_restore_method(examine->metadata, method, &examine->err);
    if (SUCCEEDED(hr)) {
        hr = object_text(method->service, &service, &examine->err);
    }
    if (SUCCEEDED(hr)) {
        hr = object_text(method->user_procedure, &procedure, &examine->err);
    }
    if (FAILED(hr)) {
        free(service);
        return hr;
    }
    *out_service = service;
    *out_user_procedure = procedure;
    return S_OK;
}

HRESULT vss_examine_writer_metadata_get_restore_method(struct vss_examine_writer_metadata *metadata,
                                                       int32_t *out_method, char **out_service,
                                                       char **out_user_procedure,
                                                       int32_t *out_writer_restore,
                                                       bool *out_reboot_required,
                                                       uint32_t *out_mappings)
{
    clear_outputs(NULL, NULL, out_service, out_method, out_writer_restore);
    clear_outputs(NULL, NULL, out_user_procedure, NULL, NULL);
    if (out_reboot_required) {
        *out_reboot_required = false;
    }
    if (out_mappings) {
        *out_mappings = 0;
    }
    struct metadata_restore_method method;
    HRESULT hr = begin(metadata, out_method && out_service && out_user_procedure &&
                                     out_writer_restore && out_reboot_required && out_mappings);
    if (SUCCEEDED(hr)) {
        hr = copy_method(metadata, &method, out_service, out_user_procedure);
    }
    if (FAILED(hr)) {
        return hr;
    }
    *out_method = method.method;
    *out_writer_restore = method.writer_restore;
    *out_reboot_required = method.is_reboot_required;
    *out_mappings = (uint32_t)metadata->metadata->mappings.count;
    return S_OK;
}

HRESULT vss_examine_writer_metadata_get_alternate_location_mapping(
    struct vss_examine_writer_metadata *metadata, uint32_t index, struct vss_wm_filedesc **out)
{
    if (out) {
        *out = NULL;
    }
    struct metadata_restore_method method;
    HRESULT hr = begin(metadata, out);
    if (SUCCEEDED(hr)) {
        hr = metadata_restore_method(metadata->metadata, &method, &metadata->err);
    }
    return SUCCEEDED(hr) ? filedesc_at(&metadata->metadata->mappings, index,
                                       "alternate location mapping", out, &metadata->err)
                         : hr;
}

/* ---- files and components ---- */

/* As begin(), for what lies in BACKUP_LOCATIONS. */
static HRESULT begin_locations(struct vss_examine_writer_metadata *examine, bool are_outputs)
{
    HRESULT hr = begin(examine, are_outputs);
    return SUCCEEDED(hr) ? metadata_check_locations(examine->metadata, &examine->err) : hr;
}

HRESULT vss_examine_writer_metadata_get_file_counts(struct vss_examine_writer_metadata *metadata,
                                                    uint32_t *out_include_files,
                                                    uint32_t *out_exclude_files,
                                                    uint32_t *out_components)
{
    HRESULT hr =
        begin_locations(metadata, out_include_files && out_exclude_files && out_components);
    if (out_include_files) {
        *out_include_files = 0;
    }
    if (out_exclude_files) {
        *out_exclude_files = SUCCEEDED(hr) ? (uint32_t)metadata->metadata->excluded.count : 0;
    }
    if (out_components) {
        *out_components = SUCCEEDED(hr) ? (uint32_t)metadata->metadata->components.count : 0;
    }
    return hr;
}

HRESULT vss_examine_writer_metadata_get_include_file(struct vss_examine_writer_metadata *metadata,
                                                     uint32_t index, struct vss_wm_filedesc **out)
{
    if (out) {
        *out = NULL;
    }
    const struct node_index none = {0};
    HRESULT hr = begin_locations(metadata, out);
    return SUCCEEDED(hr) ? filedesc_at(&none, index, "include file", out, &metadata->err) : hr;
}

HRESULT vss_examine_writer_metadata_get_exclude_file(struct vss_examine_writer_metadata *metadata,
                                                     uint32_t index, struct vss_wm_filedesc **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = begin_locations(metadata, out);
    return SUCCEEDED(hr) ? filedesc_at(&metadata->metadata->excluded, index, "exclude file", out,
                                       &metadata->err)
                         : hr;
}

HRESULT vss_examine_writer_metadata_get_component(struct vss_examine_writer_metadata *metadata,
                                                  uint32_t index, struct vss_wm_component **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = begin_locations(metadata, out);
    if (FAILED(hr)) {
        return hr;
    }
    const struct node_index *components = &metadata->metadata->components;
    if (index >= components->count) {
        return error_set(&metadata->err, VSS_E_OBJECT_NOT_FOUND,
                         "there is no component %u; there are %zu, from 0", index,
                         components->count);
    }
    return wm_component_new(metadata->metadata, components->nodes[index], metadata->classes, out,
                            &metadata->err);
}

/* Neither of the two documented lists has a code for a document that is not valid. */
static HRESULT begin_from_snapshot(struct vss_examine_writer_metadata *examine, bool are_outputs)
{
    HRESULT hr = begin_locations(examine, are_outputs);
    return hr == VSS_E_INVALID_XML_DOCUMENT ? error_translate(&examine->err, VSS_E_UNEXPECTED) : hr;
}

HRESULT vss_examine_writer_metadata_get_exclude_from_snapshot_count(
    struct vss_examine_writer_metadata *metadata, uint32_t *out_count)
{
    HRESULT hr = begin_from_snapshot(metadata, out_count);
    if (out_count) {
        *out_count = SUCCEEDED(hr) ? (uint32_t)metadata->metadata->excluded_from_snapshot.count : 0;
    }
    return hr;
}

HRESULT vss_examine_writer_metadata_get_exclude_from_snapshot_file(
    struct vss_examine_writer_metadata *metadata, uint32_t index, struct vss_wm_filedesc **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = begin_from_snapshot(metadata, out);
    if (FAILED(hr)) {
        return hr;
    }
    hr = filedesc_at(&metadata->metadata->excluded_from_snapshot, index, "such excluded file", out,
                     &metadata->err);
    return hr == VSS_E_OBJECT_NOT_FOUND ? error_translate(&metadata->err, E_INVALIDARG) : hr;
}
