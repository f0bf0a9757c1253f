/* SPDX-License-Identifier: Apache-2.0 */

/* IVssComponent: what it has several of. */

#include "requester/component_objects.h"
#include "requester/metadata_objects.h"

#include "common/buffer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXTS_MAX 6

/* ---- reading entries ---- */

static HRESULT count(struct vss_component *component, enum component_list list, uint32_t *out)
{
    HRESULT hr = component_begin(component, out);
    if (out) {
        *out = SUCCEEDED(hr) ? (uint32_t)component_count_entries(component->node, list) : 0;
    }
    return hr;
}

/* Empties the texts; false where one of them is NULL. */
static bool clear(char **const outs[], size_t text_count)
{
    bool are_all = true;
    for (size_t i = 0; i < text_count; i++) {
        if (outs[i]) {
            *outs[i] = NULL;
        }
        are_all = are_all && outs[i];
    }
    return are_all;
}

static HRESULT find(struct vss_component *component, enum component_list list, uint32_t index,
                    xmlNodePtr *out)
{
    HRESULT hr = component_begin(component, true);
    if (FAILED(hr)) {
        return hr;
    }
    *out = component_entry(component->document, component->node, list, index);
    return *out ? S_OK
                : error_set(&component->err, VSS_E_OBJECT_NOT_FOUND, "there is no entry %u", index);
}

/* Copies the attributes of these names; optional ones (from first_optional on) stay NULL where they
 * are absent. On failure none is set. */
static HRESULT copy_texts(struct vss_component *component, const xmlNode *entry,
                          const char *const names[], char **const outs[], size_t text_count,
                          size_t first_optional)
{
    struct xml_reader r = {S_OK, &component->err};
    char *copies[TEXTS_MAX] = {NULL};
    for (size_t i = 0; i < text_count; i++) {
        const char *text = i < first_optional ? xml_need_plain(&r, entry, names[i])
                                              : xml_get_plain(&r, entry, names[i]);
        if (SUCCEEDED(r.status)) {
            r.status = object_text(text, &copies[i], &component->err);
        }
    }
    for (size_t i = 0; i < text_count; i++) {
        if (SUCCEEDED(r.status)) {
            *outs[i] = copies[i];
        } else {
            free(copies[i]);
        }
    }
    return r.status;
}

static HRESULT read_flag(struct vss_component *component, const xmlNode *entry, const char *name,
                         bool *out)
{
    struct xml_reader r = {S_OK, &component->err};
    *out = xml_get_plain_bool(&r, entry, name);
    return r.status;
}

static HRESULT add(struct vss_component *component, enum component_list list, bool are_arguments,
                   const struct component_value *values, size_t value_count)
{
    HRESULT hr = component_begin(component, are_arguments);
    return SUCCEEDED(hr)
               ? component_add_entry(component->node, list, values, value_count, &component->err)
               : hr;
}

static const char *flag_text(bool flag)
{
    return flag ? "yes" : "no";
}

/* ---- file sets: mappings and targets ---- */

static HRESULT get_filedesc(struct vss_component *component, enum component_list list,
                            uint32_t index, struct vss_wm_filedesc **out)
{
    if (out) {
        *out = NULL;
    }
    xmlNodePtr entry = NULL;
    HRESULT hr = component_begin(component, out);
    if (SUCCEEDED(hr)) {
        hr = find(component, list, index, &entry);
    }
    return SUCCEEDED(hr) ? filedesc_new(entry, out, &component->err) : hr;
}

HRESULT vss_component_get_alternate_location_mapping_count(struct vss_component *component,
                                                           uint32_t *out_count)
{
    return count(component, COMPONENT_ALTERNATE_LOCATIONS, out_count);
}

HRESULT vss_component_get_alternate_location_mapping(struct vss_component *component,
                                                     uint32_t index, struct vss_wm_filedesc **out)
{
    return get_filedesc(component, COMPONENT_ALTERNATE_LOCATIONS, index, out);
}

HRESULT vss_component_get_new_target_count(struct vss_component *component, uint32_t *out_count)
{
    return count(component, COMPONENT_NEW_TARGETS, out_count);
}

HRESULT vss_component_get_new_target(struct vss_component *component, uint32_t index,
                                     struct vss_wm_filedesc **out)
{
    return get_filedesc(component, COMPONENT_NEW_TARGETS, index, out);
}

/* ---- partial files ---- */

HRESULT vss_component_add_partial_file(struct vss_component *component, const char *path,
                                       const char *filename, const char *ranges,
                                       const char *metadata)
{
    const struct component_value values[] = {
        {"path", path}, {"filename", filename}, {"ranges", ranges}, {"metadata", metadata}};
    return add(component, COMPONENT_PARTIAL_FILES, path && filename && ranges, values, 4);
}

HRESULT vss_component_get_partial_file_count(struct vss_component *component, uint32_t *out_count)
{
    return count(component, COMPONENT_PARTIAL_FILES, out_count);
}

/* What SetRangesFilePath said goes before what the writer said. */
static HRESULT replace_ranges(struct vss_component *component, const xmlNode *entry,
                              char **out_ranges)
{
    struct xml_reader r = {S_OK, &component->err};
    const char *file = xml_get_plain(&r, entry, "rangesFile");
    if (!file) {
        return r.status;
    }
    char *ranges = text_printf("File=%s", file);
    if (!ranges) {
        return error_set(&component->err, E_OUTOFMEMORY, "out of memory");
    }
    free(*out_ranges);
    *out_ranges = ranges;
    return S_OK;
}

HRESULT vss_component_get_partial_file(struct vss_component *component, uint32_t index,
                                       char **out_path, char **out_filename, char **out_ranges,
                                       char **out_metadata)
{
    static const char *const names[] = {"path", "filename", "ranges", "metadata"};
    char *copies[4] = {NULL};
    char **const inner[] = {&copies[0], &copies[1], &copies[2], &copies[3]};
    char **const outs[] = {out_path, out_filename, out_ranges, out_metadata};
    xmlNodePtr entry = NULL;
    if (!clear(outs, 4)) {
        return component_begin(component, false);
    }
    HRESULT hr = find(component, COMPONENT_PARTIAL_FILES, index, &entry);
    if (SUCCEEDED(hr)) {
        hr = copy_texts(component, entry, names, inner, 4, 3);
    }
    if (SUCCEEDED(hr)) {
        hr = replace_ranges(component, entry, &copies[2]);
    }
    for (size_t i = 0; i < 4; i++) {
        if (SUCCEEDED(hr)) {
            *outs[i] = copies[i];
        } else {
            free(copies[i]);
        }
    }
    return hr;
}

/* ---- differenced files ---- */

HRESULT vss_component_add_differenced_files_by_last_modify_time(struct vss_component *component,
                                                                const char *path,
                                                                const char *filespec,
                                                                bool recursive,
                                                                int64_t last_modify_time)
{
    char time[24];
    (void)snprintf(time, sizeof(time), "%" PRId64, last_modify_time);
    const struct component_value values[] = {{"path", path},
                                             {"filespec", filespec},
                                             {"recursive", flag_text(recursive)},
                                             {"lastModifyTime", time}};
    HRESULT hr = component_begin(component, path && filespec);
    if (SUCCEEDED(hr) && last_modify_time < 0) {
        return error_set(&component->err, E_INVALIDARG, "last_modify_time is negative");
    }
    return SUCCEEDED(hr) ? add(component, COMPONENT_DIFFERENCED_FILES, true, values, 4) : hr;
}

HRESULT vss_component_add_differenced_files_by_last_modify_lsn(struct vss_component *component,
                                                               const char *path,
                                                               const char *filespec, bool recursive,
                                                               const char *lsn)
{
    const struct component_value values[] = {
        {"path", path}, {"filespec", filespec}, {"recursive", flag_text(recursive)}, {"lsn", lsn}};
    return add(component, COMPONENT_DIFFERENCED_FILES, path && filespec && lsn, values, 4);
}

HRESULT vss_component_get_differenced_files_count(struct vss_component *component,
                                                  uint32_t *out_count)
{
    return count(component, COMPONENT_DIFFERENCED_FILES, out_count);
}

static HRESULT read_time(struct vss_component *component, const xmlNode *entry, int64_t *out)
{
    struct xml_reader r = {S_OK, &component->err};
    *out = xml_has(entry, "lastModifyTime")
               ? xml_get_signed(&r, entry, "lastModifyTime", 0, INT64_MAX)
               : 0;
    return r.status;
}

HRESULT vss_component_get_differenced_file(struct vss_component *component, uint32_t index,
                                           char **out_path, char **out_filespec,
                                           bool *out_recursive, char **out_lsn,
                                           int64_t *out_last_modify_time)
{
    static const char *const names[] = {"path", "filespec", "lsn"};
    char **const outs[] = {out_path, out_filespec, out_lsn};
    if (out_recursive) {
        *out_recursive = false;
    }
    if (out_last_modify_time) {
        *out_last_modify_time = 0;
    }
    xmlNodePtr entry = NULL;
    bool recursive = false;
    int64_t time = 0;
    if (!clear(outs, 3) || !out_recursive || !out_last_modify_time) {
        return component_begin(component, false);
    }
    HRESULT hr = find(component, COMPONENT_DIFFERENCED_FILES, index, &entry);
    if (SUCCEEDED(hr)) {
        hr = read_flag(component, entry, "recursive", &recursive);
    }
    if (SUCCEEDED(hr)) {
        hr = read_time(component, entry, &time);
    }
    if (SUCCEEDED(hr)) {
        hr = copy_texts(component, entry, names, outs, 3, 2);
    }
    if (FAILED(hr)) {
        return hr;
    }
    *out_recursive = recursive;
    *out_last_modify_time = time;
    return S_OK;
}

/* ---- directed targets ---- */

static const char *const directed_names[] = {"sourcePath",          "sourceFilename",
                                             "sourceRanges",        "destinationPath",
                                             "destinationFilename", "destinationRanges"};

HRESULT vss_component_add_directed_target(struct vss_component *component, const char *source_path,
                                          const char *source_filename, const char *source_ranges,
                                          const char *destination_path,
                                          const char *destination_filename,
                                          const char *destination_ranges)
{
    const char *const texts[] = {source_path,      source_filename,      source_ranges,
                                 destination_path, destination_filename, destination_ranges};
    struct component_value values[TEXTS_MAX];
    bool are_all = true;
    for (size_t i = 0; i < TEXTS_MAX; i++) {
        values[i] = (struct component_value){directed_names[i], texts[i]};
        are_all = are_all && texts[i];
    }
    return add(component, COMPONENT_DIRECTED_TARGETS, are_all, values, TEXTS_MAX);
}

HRESULT vss_component_get_directed_target_count(struct vss_component *component,
                                                uint32_t *out_count)
{
    return count(component, COMPONENT_DIRECTED_TARGETS, out_count);
}

HRESULT vss_component_get_directed_target(struct vss_component *component, uint32_t index,
                                          char **out_source_path, char **out_source_filename,
                                          char **out_source_ranges, char **out_destination_path,
                                          char **out_destination_filename,
                                          char **out_destination_ranges)
{
    char **const outs[] = {out_source_path,      out_source_filename,      out_source_ranges,
                           out_destination_path, out_destination_filename, out_destination_ranges};
    xmlNodePtr entry = NULL;
    if (!clear(outs, TEXTS_MAX)) {
        return component_begin(component, false);
    }
    HRESULT hr = find(component, COMPONENT_DIRECTED_TARGETS, index, &entry);
    return SUCCEEDED(hr) ? copy_texts(component, entry, directed_names, outs, TEXTS_MAX, TEXTS_MAX)
                         : hr;
}

/* ---- subcomponents ---- */

HRESULT vss_component_get_restore_subcomponent_count(struct vss_component *component,
                                                     uint32_t *out_count)
{
    return count(component, COMPONENT_RESTORE_SUBCOMPONENTS, out_count);
}

HRESULT vss_component_get_restore_subcomponent(struct vss_component *component, uint32_t index,
                                               char **out_logical_path, char **out_component_name,
                                               bool *out_repair)
{
    static const char *const names[] = {"logicalPath", "componentName"};
    char **const outs[] = {out_logical_path, out_component_name};
    if (out_repair) {
        *out_repair = false;
    }
    xmlNodePtr entry = NULL;
    bool repair = false;
    if (!clear(outs, 2) || !out_repair) {
        return component_begin(component, false);
    }
    HRESULT hr = find(component, COMPONENT_RESTORE_SUBCOMPONENTS, index, &entry);
    if (SUCCEEDED(hr)) {
        hr = read_flag(component, entry, "repair", &repair);
    }
    if (SUCCEEDED(hr)) {
        hr = copy_texts(component, entry, names, outs, 2, 2);
    }
    if (SUCCEEDED(hr)) {
        *out_repair = repair;
    }
    return hr;
}
