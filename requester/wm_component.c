/* SPDX-License-Identifier: Apache-2.0 */

/* Components and dependencies of a Writer Metadata Document. */

#include "requester/metadata_objects.h"

#include "common/id.h"

#include <stdlib.h>

#define ICON_BYTES_MAX ((size_t)1024 * 1024)

struct vss_wm_component {
    struct metadata *metadata; /* a share: node lives in it */
    const xmlNode *node;
    struct writer_classes *classes;
    struct node_index files;
    struct node_index database_files;
    struct node_index log_files;
    struct node_index dependencies;
    struct error err;
};

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory while reading a document");
}

HRESULT wm_component_new(struct metadata *metadata, const xmlNode *node,
                         struct writer_classes *classes, struct vss_wm_component **out,
                         struct error *err)
{
    struct vss_wm_component *component = calloc(1, sizeof(*component));
    if (!component) {
        return no_memory(err);
    }
    component->metadata = metadata_share(metadata);
    component->classes = writer_classes_share(classes);
    component->node = node;
    const char *own = DOCUMENT_NS_OWN;
    if (FAILED(
            node_index_add_children(&component->files, node, DOCUMENT_NS_METADATA, "FILE_LIST")) ||
        FAILED(node_index_add_children(&component->database_files, node, own, "DATABASE_FILE")) ||
        FAILED(node_index_add_children(&component->log_files, node, own, "LOG_FILE")) ||
        FAILED(node_index_add_children(&component->dependencies, node, own, "DEPENDENCY"))) {
        vss_wm_component_release(component);
        return no_memory(err);
    }
    *out = component;
    return S_OK;
}

void vss_wm_component_release(struct vss_wm_component *component)
{
    if (!component) {
        return;
    }
    node_index_free(&component->files);
    node_index_free(&component->database_files);
    node_index_free(&component->log_files);
    node_index_free(&component->dependencies);
    writer_classes_release(component->classes);
    metadata_release(component->metadata);
    free(component);
}

const char *vss_wm_component_error_text(const struct vss_wm_component *component)
{
    return component && FAILED(component->err.code) ? error_text(&component->err) : "";
}

static bool begin(struct vss_wm_component *component, const void *out)
{
    if (component) {
        error_clear(&component->err);
    }
    if (component && !out) {
        (void)error_set(&component->err, E_INVALIDARG, "the output is NULL");
    }
    return component && out;
}

/* ---- what it is ---- */

static void read_text(struct xml_reader *r, const char *value, char **out)
{
    if (SUCCEEDED(r->status)) {
        r->status = object_text(value, out, r->err);
    }
}

static HRESULT read_info(const struct vss_wm_component *component, struct vss_component_info *info,
                         struct error *err)
{
    struct xml_reader r = {S_OK, err};
    const xmlNode *node = component->node;
    const char *path = xml_get_plain(&r, node, "logicalPath");
    info->type = xml_is(node, DOCUMENT_NS_OWN, "DATABASE") ? VSS_CT_DATABASE : VSS_CT_FILEGROUP;
    read_text(&r, path && path[0] ? path : NULL, &info->logical_path);
    read_text(&r, xml_need_plain(&r, node, "componentName"), &info->component_name);
    read_text(&r, xml_get_plain(&r, node, "caption"), &info->caption);
    xml_get_bytes(&r, node, "icon", ICON_BYTES_MAX, &info->icon, &info->icon_size_bytes);
    info->restore_metadata = xml_get_plain_bool(&r, node, "restoreMetadata");
    info->notify_on_backup_complete = xml_get_plain_bool(&r, node, "notifyOnBackupComplete");
    info->selectable = xml_get_plain_bool(&r, node, "selectable");
    info->selectable_for_restore = xml_get_plain_bool(&r, node, "selectableForRestore");
    info->component_flags = xml_get_plain_number(&r, node, "componentFlags", 0);
    info->file_count = (uint32_t)component->files.count;
    info->database_count = (uint32_t)component->database_files.count;
    info->log_file_count = (uint32_t)component->log_files.count;
    info->dependency_count = (uint32_t)component->dependencies.count;
    return r.status;
}

HRESULT vss_wm_component_get_component_info(struct vss_wm_component *component,
                                            struct vss_component_info **out)
{
    if (out) {
        *out = NULL;
    }
    if (!begin(component, out)) {
        return E_INVALIDARG;
    }
    struct vss_component_info *info = calloc(1, sizeof(*info));
    if (!info) {
        return no_memory(&component->err);
    }
    HRESULT hr = read_info(component, info, &component->err);
    if (FAILED(hr)) {
        vss_wm_component_free_component_info(component, info);
        return hr;
    }
    *out = info;
    return S_OK;
}

void vss_wm_component_free_component_info(struct vss_wm_component *component,
                                          struct vss_component_info *info)
{
    (void)component;
    if (!info) {
        return;
    }
    free(info->logical_path);
    free(info->component_name);
    free(info->caption);
    free(info->icon);
    free(info);
}

/* ---- its files ---- */

HRESULT vss_wm_component_get_file(struct vss_wm_component *component, uint32_t index,
                                  struct vss_wm_filedesc **out)
{
    if (out) {
        *out = NULL;
    }
    return begin(component, out)
               ? filedesc_at(&component->files, index, "file set", out, &component->err)
               : E_INVALIDARG;
}

HRESULT vss_wm_component_get_database_file(struct vss_wm_component *component, uint32_t index,
                                           struct vss_wm_filedesc **out)
{
    if (out) {
        *out = NULL;
    }
    return begin(component, out) ? filedesc_at(&component->database_files, index, "database file",
                                               out, &component->err)
                                 : E_INVALIDARG;
}

HRESULT vss_wm_component_get_database_log_file(struct vss_wm_component *component, uint32_t index,
                                               struct vss_wm_filedesc **out)
{
    if (out) {
        *out = NULL;
    }
    return begin(component, out)
               ? filedesc_at(&component->log_files, index, "log file", out, &component->err)
               : E_INVALIDARG;
}

/* ---- what it depends on ---- */

struct vss_wm_dependency {
    struct metadata *metadata; /* a share: node lives in it */
    const xmlNode *node;
    struct writer_classes *classes;
    struct error err;
};

HRESULT vss_wm_component_get_dependency(struct vss_wm_component *component, uint32_t index,
                                        struct vss_wm_dependency **out)
{
    if (out) {
        *out = NULL;
    }
    if (!begin(component, out)) {
        return E_INVALIDARG;
    }
    if (index >= component->dependencies.count) {
        return error_set(&component->err, VSS_E_OBJECT_NOT_FOUND,
                         "there is no dependency %u; there are %zu, from 0", index,
                         component->dependencies.count);
    }
    struct vss_wm_dependency *dependency = calloc(1, sizeof(*dependency));
    if (!dependency) {
        return no_memory(&component->err);
    }
    dependency->metadata = metadata_share(component->metadata);
    dependency->classes = writer_classes_share(component->classes);
    dependency->node = component->dependencies.nodes[index];
    *out = dependency;
    return S_OK;
}

void vss_wm_dependency_release(struct vss_wm_dependency *dependency)
{
    if (!dependency) {
        return;
    }
    writer_classes_release(dependency->classes);
    metadata_release(dependency->metadata);
    free(dependency);
}

const char *vss_wm_dependency_error_text(const struct vss_wm_dependency *dependency)
{
    return dependency && FAILED(dependency->err.code) ? error_text(&dependency->err) : "";
}

static HRESULT read_writer_id(struct vss_wm_dependency *dependency, VSS_ID *out)
{
    struct xml_reader r = {S_OK, &dependency->err};
    const char *text = xml_need_plain(&r, dependency->node, "writerId");
    if (text && !id_parse(text, out)) {
        xml_refuse(&r, dependency->node, "attribute writerId is not an id");
    }
    return r.status;
}

/* S_OK; S_FALSE where it is known that no writer manages the component. */
static HRESULT find_manager(struct vss_wm_dependency *dependency)
{
    VSS_ID writer_id;
    HRESULT hr = read_writer_id(dependency, &writer_id);
    if (FAILED(hr) || !dependency->classes) {
        return hr;
    }
    for (size_t i = 0; i < dependency->classes->count; i++) {
        if (id_equal(&dependency->classes->ids[i], &writer_id)) {
            return S_OK;
        }
    }
    return S_FALSE;
}

static bool begin_dependency(struct vss_wm_dependency *dependency, const void *out)
{
    if (dependency) {
        error_clear(&dependency->err);
    }
    if (dependency && !out) {
        (void)error_set(&dependency->err, E_INVALIDARG, "the output is NULL");
    }
    return dependency && out;
}

HRESULT vss_wm_dependency_get_writer_id(struct vss_wm_dependency *dependency, VSS_ID *out_writer_id)
{
    if (out_writer_id) {
        *out_writer_id = id_null;
    }
    if (!begin_dependency(dependency, out_writer_id)) {
        return E_INVALIDARG;
    }
    HRESULT hr = find_manager(dependency);
    return FAILED(hr) || FAILED(read_writer_id(dependency, out_writer_id)) ? dependency->err.code
                                                                           : hr;
}

HRESULT vss_wm_dependency_get_logical_path(struct vss_wm_dependency *dependency, char **out_path)
{
    if (out_path) {
        *out_path = NULL;
    }
    if (!begin_dependency(dependency, out_path)) {
        return E_INVALIDARG;
    }
    struct xml_reader r = {S_OK, &dependency->err};
    HRESULT found = find_manager(dependency);
    r.status = FAILED(found) ? found : S_OK;
    const char *path = xml_get_plain(&r, dependency->node, "logicalPath");
    read_text(&r, path && path[0] ? path : NULL, out_path);
    return FAILED(r.status) ? r.status : found;
}

HRESULT vss_wm_dependency_get_component_name(struct vss_wm_dependency *dependency, char **out_name)
{
    if (out_name) {
        *out_name = NULL;
    }
    if (!begin_dependency(dependency, out_name)) {
        return E_INVALIDARG;
    }
    struct xml_reader r = {S_OK, &dependency->err};
    HRESULT found = find_manager(dependency);
    r.status = FAILED(found) ? found : S_OK;
    read_text(&r, xml_need_plain(&r, dependency->node, "componentName"), out_name);
    return FAILED(r.status) ? r.status : found;
}
