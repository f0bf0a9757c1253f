/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_WRITER_METADATA_H
#define LUNSHADOW_REQUESTER_WRITER_METADATA_H

#include "requester/document/metadata.h"

/* The writers that a session gathered, each with the document that it answered with. Begin from
 * all-zero. */
struct gathered_writer {
    VSS_ID instance_id;  /* once in a list */
    VSS_ID writer_id;    /* its class */
    char *name;          /* friendly name */
    char *instance_name; /* NULL: none */
    struct metadata *metadata;
};

struct gathered_writers {
    struct gathered_writer *items;
    size_t count;
    size_t capacity;
};

/* Adds the writer that a Writer Metadata Document describes. VSS_E_INVALID_XML_DOCUMENT with line
 * and reason: also for an instance id that the list has, and for a document without a name. After a
 * failure the list is as before. */
HRESULT gathered_writers_add(struct gathered_writers *writers, const void *xml, size_t length,
                             struct error *err);

/* The writer of this instance id; NULL: not there. */
const struct gathered_writer *gathered_writers_find(const struct gathered_writers *writers,
                                                    const VSS_ID *instance_id);

bool gathered_writers_has_class(const struct gathered_writers *writers, const VSS_ID *writer_id);

void gathered_writers_clear(struct gathered_writers *writers); /* leaves it all-zero */

#endif
