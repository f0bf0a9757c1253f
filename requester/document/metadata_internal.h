/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_DOCUMENT_METADATA_INTERNAL_H
#define LUNSHADOW_REQUESTER_DOCUMENT_METADATA_INTERNAL_H

#include "requester/document/index.h"
#include "requester/document/internal.h"
#include "requester/document/metadata.h"

#include <stdatomic.h>

struct metadata {
    atomic_uint refs;
    xmlDocPtr xml;
    xmlNodePtr root;
    const xmlNode *identification;
    VSS_ID instance_id;
    VSS_ID writer_id;
    struct node_index components; /* FILE_GROUP and ls:DATABASE, in their order */
    struct node_index excluded;
    struct node_index excluded_from_snapshot;
    struct node_index mappings; /* ls:ALTERNATE_LOCATION */
};

#endif
