/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_METADATA_OBJECTS_H
#define LUNSHADOW_REQUESTER_METADATA_OBJECTS_H

#include "requester/document/metadata_internal.h"
#include "requester/writer_metadata.h"

#include <lunshadow/metadata.h>

/* What the objects of <lunshadow/metadata.h> are made of. */

/* The classes of the writers that a session gathered, shared by count. */
struct writer_classes {
    atomic_uint refs;
    size_t count;
    VSS_ID ids[];
};
HRESULT writer_classes_new(const struct gathered_writers *writers, struct writer_classes **out);
struct writer_classes *writer_classes_share(struct writer_classes *classes); /* NULL gives NULL */
void writer_classes_release(struct writer_classes *classes);                 /* NULL is harmless */

/* Each takes shares of its own. classes NULL: nothing is known of other writers. */
HRESULT examine_new(struct metadata *metadata, struct writer_classes *classes,
                    struct vss_examine_writer_metadata **out);
HRESULT wm_component_new(struct metadata *metadata, const xmlNode *node,
                         struct writer_classes *classes, struct vss_wm_component **out,
                         struct error *err);

/* A file set as any element has it (path, filespec, recursive, filespecBackupType, ours
 * alternatePath), copied. E_OUTOFMEMORY. */
HRESULT filedesc_new(const xmlNode *node, struct vss_wm_filedesc **out, struct error *err);

/* The one at index; VSS_E_OBJECT_NOT_FOUND, what naming it in the text. */
HRESULT filedesc_at(const struct node_index *index, uint32_t place, const char *what,
                    struct vss_wm_filedesc **out, struct error *err);

/* A copy of text for a caller; NULL gives NULL. */
HRESULT object_text(const char *text, char **out, struct error *err);

#endif
