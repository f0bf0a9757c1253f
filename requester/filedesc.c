/* SPDX-License-Identifier: Apache-2.0 */

/* File sets, as both documents have them. */

#include "requester/metadata_objects.h"

#include "common/buffer.h"

#include <stdlib.h>

/* Values as the document has them; each is looked at when it is asked for. */
struct vss_wm_filedesc {
    char *path; /* these: NULL where absent */
    char *filespec;
    char *recursive;
    char *alternate;
    char *mask;
    char *place; /* "the document, line 7, FILE_LIST" */
    struct error err;
};

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory while reading a document");
}

HRESULT object_text(const char *text, char **out, struct error *err)
{
    *out = text_copy(text);
    return text && !*out ? no_memory(err) : S_OK;
}

static void take(struct xml_reader *r, const char *value, char **out)
{
    if (SUCCEEDED(r->status)) {
        r->status = object_text(value, out, r->err);
    }
}

HRESULT filedesc_new(const xmlNode *node, struct vss_wm_filedesc **out, struct error *err)
{
    struct vss_wm_filedesc *filedesc = calloc(1, sizeof(*filedesc));
    if (!filedesc) {
        return no_memory(err);
    }
    struct xml_reader r = {S_OK, err};
    take(&r, xml_get_plain(&r, node, "path"), &filedesc->path);
    take(&r, xml_get_plain(&r, node, "filespec"), &filedesc->filespec);
    take(&r, xml_get_plain(&r, node, "recursive"), &filedesc->recursive);
    take(&r, xml_get_own(&r, node, "alternatePath"), &filedesc->alternate);
    take(&r, xml_get_plain(&r, node, "filespecBackupType"), &filedesc->mask);
    filedesc->place =
        text_printf("the document, line %ld, %.64s", xmlGetLineNo(node), (const char *)node->name);
    if (SUCCEEDED(r.status) && !filedesc->place) {
        r.status = no_memory(err);
    }
    if (FAILED(r.status)) {
        vss_wm_filedesc_release(filedesc);
        return r.status;
    }
    *out = filedesc;
    return S_OK;
}

HRESULT filedesc_at(const struct node_index *index, uint32_t place, const char *what,
                    struct vss_wm_filedesc **out, struct error *err)
{
    if (place >= index->count) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "there is no %s %u; there are %zu, from 0",
                         what, place, index->count);
    }
    return filedesc_new(index->nodes[place], out, err);
}

/* The two ends of each method. */
static bool begin(struct vss_wm_filedesc *filedesc, const void *out)
{
    if (filedesc) {
        error_clear(&filedesc->err);
    }
    if (filedesc && !out) {
        (void)error_set(&filedesc->err, E_INVALIDARG, "the output is NULL");
    }
    return filedesc && out;
}

static HRESULT refuse(struct vss_wm_filedesc *filedesc, const char *reason)
{
    return error_set(&filedesc->err, VSS_E_INVALID_XML_DOCUMENT, "%s: %s", filedesc->place, reason);
}

HRESULT vss_wm_filedesc_get_path(struct vss_wm_filedesc *filedesc, char **out_path)
{
    if (out_path) {
        *out_path = NULL;
    }
    if (!begin(filedesc, out_path)) {
        return E_INVALIDARG;
    }
    return filedesc->path ? object_text(filedesc->path, out_path, &filedesc->err)
                          : refuse(filedesc, "lacks attribute path");
}

HRESULT vss_wm_filedesc_get_filespec(struct vss_wm_filedesc *filedesc, char **out_filespec)
{
    if (out_filespec) {
        *out_filespec = NULL;
    }
    if (!begin(filedesc, out_filespec)) {
        return E_INVALIDARG;
    }
    return filedesc->filespec ? object_text(filedesc->filespec, out_filespec, &filedesc->err)
                              : refuse(filedesc, "lacks attribute filespec");
}

HRESULT vss_wm_filedesc_get_recursive(struct vss_wm_filedesc *filedesc, bool *out_recursive)
{
    if (out_recursive) {
        *out_recursive = false;
    }
    if (!begin(filedesc, out_recursive)) {
        return E_INVALIDARG;
    }
    bool value = false;
    if (filedesc->recursive && !xml_parse_bool(filedesc->recursive, &value)) {
        return refuse(filedesc, "attribute recursive is neither yes nor no");
    }
    *out_recursive = value;
    return S_OK;
}

HRESULT vss_wm_filedesc_get_alternate_location(struct vss_wm_filedesc *filedesc,
                                               char **out_alternate_location)
{
    if (out_alternate_location) {
        *out_alternate_location = NULL;
    }
    if (!begin(filedesc, out_alternate_location)) {
        return E_INVALIDARG;
    }
    if (!filedesc->alternate) {
        return S_FALSE;
    }
    return filedesc->alternate[0] != '\0'
               ? object_text(filedesc->alternate, out_alternate_location, &filedesc->err)
               : refuse(filedesc, "attribute alternatePath is empty");
}

HRESULT vss_wm_filedesc_get_backup_type_mask(struct vss_wm_filedesc *filedesc, uint32_t *out_mask)
{
    if (out_mask) {
        *out_mask = 0;
    }
    if (!begin(filedesc, out_mask)) {
        return E_INVALIDARG;
    }
    uint32_t mask = VSS_FSBT_ALL_BACKUP_REQUIRED | VSS_FSBT_ALL_SNAPSHOT_REQUIRED;
    if (filedesc->mask && !xml_parse_number(filedesc->mask, &mask)) {
        return refuse(filedesc, "attribute filespecBackupType is not a number");
    }
    *out_mask = mask;
    return S_OK;
}

const char *vss_wm_filedesc_error_text(const struct vss_wm_filedesc *filedesc)
{
    return filedesc && FAILED(filedesc->err.code) ? error_text(&filedesc->err) : "";
}

void vss_wm_filedesc_release(struct vss_wm_filedesc *filedesc)
{
    if (!filedesc) {
        return;
    }
    free(filedesc->path);
    free(filedesc->filespec);
    free(filedesc->recursive);
    free(filedesc->alternate);
    free(filedesc->mask);
    free(filedesc->place);
    free(filedesc);
}
