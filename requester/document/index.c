/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/document/index.h"

#include <stdlib.h>

#define NAMES_BEGIN 64

HRESULT node_index_add(struct node_index *index, xmlNodePtr node)
{
    if (index->count == index->capacity) {
        size_t capacity = index->capacity > 0 ? index->capacity * 2 : 8;
        xmlNodePtr *grown = realloc(index->nodes, capacity * sizeof(*grown));
        if (!grown) {
            return E_OUTOFMEMORY;
        }
        index->nodes = grown;
        index->capacity = capacity;
    }
    index->nodes[index->count++] = node;
    return S_OK;
}

static const xmlChar *key(const char *path)
{
    return BAD_CAST(path ? path : "");
}

HRESULT node_index_add_named(struct node_index *index, const char *path, const char *name,
                             xmlNodePtr node)
{
    if (node_index_find(index, path, name)) {
        return VSS_E_OBJECT_ALREADY_EXISTS;
    }
    if (!index->names) {
        index->names = xmlHashCreate(NAMES_BEGIN);
    }
    HRESULT hr = index->names ? node_index_add(index, node) : E_OUTOFMEMORY;
    if (FAILED(hr)) {
        return hr;
    }
    /* libxml2 does not say when it could not copy a name; such an entry is never found */
    if (xmlHashAddEntry2(index->names, BAD_CAST name, key(path), node) != 0 ||
        node_index_find(index, path, name) != node) {
        index->count--;
        return E_OUTOFMEMORY;
    }
    return S_OK;
}

xmlNodePtr node_index_find(const struct node_index *index, const char *path, const char *name)
{
    return index->names ? xmlHashLookup2(index->names, BAD_CAST name, key(path)) : NULL;
}

HRESULT node_index_add_children(struct node_index *index, const xmlNode *parent, const char *ns,
                                const char *name)
{
    for (xmlNodePtr n = xml_first(parent, ns, name); n; n = xml_next(n, ns, name)) {
        HRESULT hr = node_index_add(index, n);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return S_OK;
}

void node_index_free(struct node_index *index)
{
    free(index->nodes);
    if (index->names) {
        xmlHashFree(index->names, NULL);
    }
    *index = (struct node_index){0};
}
