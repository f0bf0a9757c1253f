/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/components.h"

#include "cli/session.h"

#include <lunshadow/component.h>
#include <lunshadow/metadata.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a writer has ---- */

struct offer {
    VSS_ID instance_id;
    VSS_ID writer_id;
    struct vss_component_info **infos;
    uint32_t count;
};

static void offer_free(struct offer *offer)
{
    for (uint32_t i = 0; i < offer->count; i++) {
        vss_wm_component_free_component_info(NULL, offer->infos[i]);
    }
    free(offer->infos);
    *offer = (struct offer){0};
}

static HRESULT metadata_check(const struct vss_examine_writer_metadata *metadata, HRESULT hr,
                              struct error *err)
{
    if (FAILED(hr)) {
        const char *text = vss_examine_writer_metadata_error_text(metadata);
        (void)error_set(err, hr, "%s", *text ? text : vss_error_explanation(hr));
    }
    return hr;
}

static HRESULT read_info(struct vss_examine_writer_metadata *metadata, uint32_t index,
                         struct vss_component_info **out, struct error *err)
{
    struct vss_wm_component *component = NULL;
    HRESULT hr = metadata_check(
        metadata, vss_examine_writer_metadata_get_component(metadata, index, &component), err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = vss_wm_component_get_component_info(component, out);
    if (FAILED(hr)) {
        (void)error_set(err, hr, "%s", vss_wm_component_error_text(component));
    }
    vss_wm_component_release(component);
    return hr;
}

static HRESULT read_offer(struct vss_examine_writer_metadata *metadata, struct offer *out,
                          struct error *err)
{
    char *name = NULL;
    int32_t usage = 0;
    int32_t source = 0;
    uint32_t include = 0;
    uint32_t exclude = 0;
    uint32_t count = 0;
    HRESULT hr = vss_examine_writer_metadata_get_identity(metadata, &out->instance_id,
                                                          &out->writer_id, &name, &usage, &source);
    vss_free_string(name);
    if (SUCCEEDED(hr)) {
        hr = vss_examine_writer_metadata_get_file_counts(metadata, &include, &exclude, &count);
    }
    hr = metadata_check(metadata, hr, err);
    if (FAILED(hr)) {
        return hr;
    }
    out->infos = calloc(count ? count : 1, sizeof(struct vss_component_info *));
    if (!out->infos) {
        return error_set(err, E_OUTOFMEMORY, "not enough memory for a writer's components");
    }
    for (uint32_t i = 0; i < count && SUCCEEDED(hr); i++) {
        struct vss_component_info *info = NULL;
        hr = read_info(metadata, i, &info, err);
        if (info) {
            out->infos[out->count++] = info;
        }
    }
    return hr;
}

/* ---- which of them ---- */

/* What follows this step in a logical path, "" at its end; NULL: the path does not begin with it.
 */
static const char *after_step(const char *path, const char *step)
{
    size_t length = strlen(step);
    if (strncmp(path, step, length) != 0) {
        return NULL;
    }
    path += length;
    if (*path == '\\' || *path == '/') {
        return path + 1;
    }
    return *path == '\0' ? path : NULL;
}

static bool is_below(const struct vss_component_info *info, const struct vss_component_info *above)
{
    if (!info || !above) {
        return false;
    }
    const char *path = info->logical_path;
    if (path && above->logical_path && above->logical_path[0]) {
        path = after_step(path, above->logical_path);
    }
    return path && *path && after_step(path, above->component_name);
}

static bool comes_with_another(const struct offer *offer, uint32_t index)
{
    for (uint32_t i = 0; i < offer->count; i++) {
        const struct vss_component_info *above = offer->infos[i];
        if (is_below(offer->infos[index], above) && above->selectable) {
            return true;
        }
    }
    return false;
}

static HRESULT add_offer(struct vss_backup_components *session, const struct offer *offer,
                         struct error *err)
{
    HRESULT hr = S_OK;
    for (uint32_t i = 0; i < offer->count && SUCCEEDED(hr); i++) {
        const struct vss_component_info *info = offer->infos[i];
        if (!info || comes_with_another(offer, i)) {
            continue;
        }
        hr = vss_backup_components_add_component(session, &offer->instance_id, &offer->writer_id,
                                                 info->type, info->logical_path,
                                                 info->component_name);
        /* a database and a file group of one name: the first stands for both */
        hr = hr == VSS_E_OBJECT_ALREADY_EXISTS ? S_OK : session_check(session, hr, err);
    }
    return hr;
}

static HRESULT add_writer(struct vss_backup_components *session, uint32_t index, struct error *err)
{
    struct vss_examine_writer_metadata *metadata = NULL;
    struct offer offer = {0};
    VSS_ID instance_id;
    HRESULT hr = session_check(
        session,
        vss_backup_components_get_writer_metadata_ex(session, index, &instance_id, &metadata), err);
    if (SUCCEEDED(hr)) {
        hr = read_offer(metadata, &offer, err);
    }
    if (SUCCEEDED(hr)) {
        hr = add_offer(session, &offer, err);
    }
    offer_free(&offer);
    vss_examine_writer_metadata_release(metadata);
    return hr;
}

HRESULT components_add(const struct cli *cli, struct vss_backup_components *session,
                       struct error *err)
{
    uint32_t count = 0;
    HRESULT hr = session_check(
        session, vss_backup_components_get_writer_metadata_count(session, &count), err);
    for (uint32_t i = 0; i < count && SUCCEEDED(hr); i++) {
        struct error why = {0};
        hr = add_writer(session, i, &why);
        if (hr == VSS_E_INVALID_XML_DOCUMENT) {
            error_prefix(&why, "what a writer says of its components is not kept");
            cli_warn(cli, &why);
            hr = S_OK;
        } else if (FAILED(hr)) {
            (void)error_set(err, hr, "%s", error_text(&why));
        }
    }
    return hr;
}

/* ---- afterwards ---- */

static HRESULT set_succeeded(struct vss_backup_components *session,
                             struct vss_writer_components *writer, uint32_t index)
{
    struct vss_component *component = NULL;
    VSS_ID instance_id = id_null;
    VSS_ID writer_id = id_null;
    char *path = NULL;
    char *name = NULL;
    int32_t type = 0;
    HRESULT hr = vss_writer_components_get_writer_info(writer, &instance_id, &writer_id);
    if (SUCCEEDED(hr)) {
        hr = vss_writer_components_get_component(writer, index, &component);
    }
    if (SUCCEEDED(hr)) {
        hr = vss_component_get_component_type(component, &type);
    }
    if (SUCCEEDED(hr)) {
        hr = vss_component_get_logical_path(component, &path);
    }
    if (SUCCEEDED(hr)) {
        hr = vss_component_get_component_name(component, &name);
    }
    if (SUCCEEDED(hr)) {
        hr = vss_backup_components_set_backup_succeeded(session, &instance_id, &writer_id, type,
                                                        path, name, true);
    }
    vss_free_string(path);
    vss_free_string(name);
    vss_component_release(component);
    return hr;
}

HRESULT components_succeeded(struct vss_backup_components *session, struct error *err)
{
    uint32_t writers = 0;
    HRESULT hr = vss_backup_components_get_writer_components_count(session, &writers);
    for (uint32_t i = 0; i < writers && SUCCEEDED(hr); i++) {
        struct vss_writer_components *writer = NULL;
        uint32_t count = 0;
        hr = vss_backup_components_get_writer_components(session, i, &writer);
        if (SUCCEEDED(hr)) {
            hr = vss_writer_components_get_component_count(writer, &count);
        }
        for (uint32_t j = 0; j < count && SUCCEEDED(hr); j++) {
            hr = set_succeeded(session, writer, j);
        }
        vss_writer_components_release(writer);
    }
    return session_check(session, hr, err);
}
