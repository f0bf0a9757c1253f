/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_DOCUMENT_INDEX_H
#define LUNSHADOW_REQUESTER_DOCUMENT_INDEX_H

#include "requester/document/xml.h"

#include <libxml/hash.h>

/* Nodes of a tree by place, and by the two names that a component has, each in constant time; the
 * nodes belong to their tree. Begin from all-zero. */
struct node_index {
    xmlNodePtr *nodes;
    size_t count;
    size_t capacity;
    xmlHashTablePtr names; /* NULL until the first name */
};

/* At the end. E_OUTOFMEMORY. */
HRESULT node_index_add(struct node_index *index, xmlNodePtr node);

/* Likewise, under a logical path (NULL and "" are the same: none) and a name.
 * VSS_E_OBJECT_ALREADY_EXISTS. */
HRESULT node_index_add_named(struct node_index *index, const char *path, const char *name,
                             xmlNodePtr node);

/* NULL: not there. */
xmlNodePtr node_index_find(const struct node_index *index, const char *path, const char *name);

/* Adds all children of parent of this namespace and name, in their order. E_OUTOFMEMORY. */
HRESULT node_index_add_children(struct node_index *index, const xmlNode *parent, const char *ns,
                                const char *name);

void node_index_free(struct node_index *index); /* leaves it all-zero */

#endif
