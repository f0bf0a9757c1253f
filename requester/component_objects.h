/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_COMPONENT_OBJECTS_H
#define LUNSHADOW_REQUESTER_COMPONENT_OBJECTS_H

#include "requester/document/components.h"

#include <lunshadow/component.h>

/* What the objects of <lunshadow/component.h> are made of. */

struct vss_component {
    struct document *document; /* a share */
    xmlNodePtr node;
    struct error err;
};

/* Each takes a share of the document. E_OUTOFMEMORY. */
HRESULT writer_components_new(struct document *document, size_t place,
                              struct vss_writer_components **out);
HRESULT component_new(struct document *document, xmlNodePtr node, struct vss_component **out);

/* What every method of a component begins with: are_arguments is whether none is NULL that may not
 * be. E_INVALIDARG; VSS_E_BAD_STATE. */
HRESULT component_begin(struct vss_component *component, bool are_arguments);

#endif
