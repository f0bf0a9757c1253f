/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/document/internal.h"

#include <libxml/xmlsave.h>
#include <string.h>

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory while writing a document");
}

/* libxml2 does not always say that memory was short, but writes nothing more from then on: so what
 * ends as the root element must is whole. */
static bool is_whole(const xmlNode *root, const char *text, size_t length)
{
    if (!root->children) {
        return length >= 2 && strcmp(text + length - 2, "/>") == 0;
    }
    size_t name = strlen((const char *)root->name);
    bool has_prefix = root->ns && root->ns->prefix;
    return length > name + 2 && text[length - 1] == '>' &&
           text[length - name - 2] == (has_prefix ? ':' : '/') &&
           strncmp(text + length - name - 1, (const char *)root->name, name) == 0;
}

static bool write_tree(xmlBufferPtr buffer, xmlNodePtr root)
{
    xmlBufferSetAllocationScheme(buffer, XML_BUFFER_ALLOC_DOUBLEIT);
    xmlSaveCtxtPtr save = xmlSaveToBuffer(buffer, "UTF-8", XML_SAVE_NO_DECL | XML_SAVE_AS_XML);
    if (!save) {
        return false;
    }
    bool is_written = xmlSaveTree(save, root) >= 0;
    return xmlSaveClose(save) >= 0 && is_written;
}

HRESULT document_serialise(xmlNodePtr root, char **out_xml, struct error *err)
{
    *out_xml = NULL;
    HRESULT hr = S_OK;
    xmlBufferPtr buffer = xmlBufferCreate();
    if (!buffer || !write_tree(buffer, root)) {
        hr = no_memory(err);
        goto out;
    }
    const char *text = (const char *)xmlBufferContent(buffer);
    size_t length = (size_t)xmlBufferLength(buffer);
    if (!text || !is_whole(root, text, length)) {
        hr = no_memory(err);
        goto out;
    }
    if (length > DOCUMENT_BYTES_MAX) {
        hr = error_set(err, VSS_E_UNEXPECTED,
                       "the document has %zu bytes, but only %zu could be loaded again; use fewer "
                       "components in one session",
                       length, DOCUMENT_BYTES_MAX);
        goto out;
    }
    *out_xml = strndup(text, length);
    hr = *out_xml ? S_OK : no_memory(err);
out:
    xmlBufferFree(buffer);
    return hr;
}
