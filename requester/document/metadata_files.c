/* SPDX-License-Identifier: Apache-2.0 */

/* Which components and files a Writer Metadata Document knows. */

#include "requester/document/metadata_internal.h"

#include "common/buffer.h"

#include <stdlib.h>
#include <string.h>

static int32_t type_of(const xmlNode *component)
{
    return xml_is(component, DOCUMENT_NS_OWN, "DATABASE") ? VSS_CT_DATABASE : VSS_CT_FILEGROUP;
}

static const xmlNode *find_component(const struct metadata *metadata,
                                     const struct component_name *name)
{
    const xmlNode *node = node_index_find(&metadata->components, name->logical_path, name->name);
    return node && type_of(node) == name->type ? node : NULL;
}

HRESULT metadata_has_component(const struct metadata *metadata, const struct component_name *name,
                               bool *out, struct error *err)
{
    *out = find_component(metadata, name) != NULL;
    return metadata_check_locations(metadata, err);
}

/* ---- file sets ---- */

static size_t length_without_separator(const char *path)
{
    size_t length = strlen(path);
    return length > 1 && (path[length - 1] == '\\' || path[length - 1] == '/') ? length - 1
                                                                               : length;
}

static bool is_same_path(const char *a, const char *b)
{
    size_t length = length_without_separator(a);
    return length == length_without_separator(b) && strncmp(a, b, length) == 0;
}

static bool is_file_element(const xmlNode *node)
{
    return xml_is(node, DOCUMENT_NS_METADATA, "FILE_LIST") ||
           xml_is(node, DOCUMENT_NS_OWN, "DATABASE_FILE") ||
           xml_is(node, DOCUMENT_NS_OWN, "LOG_FILE");
}

static bool is_file_set(struct xml_reader *r, const xmlNode *node, const struct file_set *files)
{
    const char *path = xml_need_plain(r, node, "path");
    const char *filespec = xml_need_plain(r, node, "filespec");
    bool is_recursive = xml_get_plain_bool(r, node, "recursive");
    return SUCCEEDED(r->status) && is_same_path(path, files->path) &&
           strcmp(filespec, files->filespec) == 0 && is_recursive == files->is_recursive;
}

static bool has_files(struct xml_reader *r, const xmlNode *component, const struct file_set *files)
{
    for (const xmlNode *n = component->children; n && SUCCEEDED(r->status); n = n->next) {
        if (is_file_element(n) && is_file_set(r, n, files)) {
            return true;
        }
    }
    return false;
}

/* Its logical path is the path and name of the one above it, or goes on behind that. */
static bool is_below(struct xml_reader *r, const xmlNode *component, const char *above)
{
    const char *path = xml_get_plain(r, component, "logicalPath");
    size_t length = strlen(above);
    return path && strncmp(path, above, length) == 0 &&
           (path[length] == '\0' || path[length] == '\\');
}

static bool has_files_below(struct xml_reader *r, const struct metadata *metadata,
                            const struct component_name *name, const struct file_set *files)
{
    bool has_path = name->logical_path && name->logical_path[0];
    char *above =
        has_path ? text_printf("%s\\%s", name->logical_path, name->name) : text_copy(name->name);
    if (!above) {
        r->status = error_set(r->err, E_OUTOFMEMORY, "out of memory while reading a document");
        return false;
    }
    bool is_found = false;
    for (size_t i = 0; i < metadata->components.count && SUCCEEDED(r->status) && !is_found; i++) {
        const xmlNode *component = metadata->components.nodes[i];
        is_found = is_below(r, component, above) && has_files(r, component, files);
    }
    free(above);
    return is_found;
}

HRESULT metadata_has_file_set(const struct metadata *metadata, const struct component_name *name,
                              const struct file_set *files, bool *out, struct error *err)
{
    struct xml_reader r = {S_OK, err};
    const xmlNode *component = find_component(metadata, name);
    *out = component &&
           (has_files(&r, component, files) || has_files_below(&r, metadata, name, files));
    return r.status;
}
