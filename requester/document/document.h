/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_DOCUMENT_DOCUMENT_H
#define LUNSHADOW_REQUESTER_DOCUMENT_DOCUMENT_H

#include "common/error.h"
#include "registry/sets.h"

/* The Backup Components Document. Element and attribute names of VSS where they are known
 * (BACKUP_COMPONENTS, SNAPSHOT_SET_DESCRIPTION, SNAPSHOT_DESCRIPTION, LUN_MAPPING, SOURCE_LUN,
 * DESTINATION_LUN, LUN_INFORMATION, snapshotSetId, snapshotId, diskSignature), in
 * x-schema:#VssComponentMetadata. What else a set needs (identity, extents, disk ids, provider
 * state) is ours: attributes and elements in the namespace urn:lunshadow:document:1, below those of
 * VSS.
 *
 * A LUN_MAPPING stands below each snapshot that lies on its LUN, numbered by its place in
 * set_record.luns; two snapshots on one LUN repeat it word for word. One that no snapshot lies on
 * (its snapshots were deleted) stands below the set.
 *
 * Children and attributes that we do not know survive a load and save; those inside a snapshot set
 * description go when the description is replaced. */
struct document;

/* Limits of document_load(). Nodes are elements, attributes, comments and the like: they, not
 * bytes, decide how much memory a document takes. libxml2 takes 10,000,000 bytes at most. */
#define DOCUMENT_BYTES_MAX      ((size_t)8 * 1024 * 1024)
#define DOCUMENT_NODES_MAX      1000000u
#define DOCUMENT_DEPTH_MAX      64
#define DOCUMENT_ATTRIBUTES_MAX 256u /* of one element */
#define DOCUMENT_NAMESPACES_MAX 256u /* declarations in all */
#define DOCUMENT_LUNS_MAX       1024u

/* What a document says of the session itself. */
struct document_session {
    bool select_components;
    bool bootable_system_state;
    int32_t backup_type; /* enum vss_backup_type */
    bool partial_file_support;
    VSS_ID set_id; /* null: none */
};

HRESULT document_new(struct document **out, struct error *err);

/* UTF-8, or UTF-16 with a byte order mark; NULs at the end are passed over.
 * VSS_E_INVALID_XML_DOCUMENT with line and reason: not XML, another root or namespace, a DTD (and
 * so any entity), past one of the limits above, an id twice, a number or id that is none, extents
 * outside their LUN, two descriptions of one LUN that differ, a URL that carries a user. */
HRESULT document_load(const void *xml, size_t length, struct document **out, struct error *err);

/* One line, UTF-8, no XML declaration, the root element alone; malloc'ed. The same document always
 * gives the same bytes, loaded again or not. (Line breaks inside text that we do not know stay.) */
HRESULT document_save(const struct document *document, char **out_xml, struct error *err);

/* The same object once more; each is freed, and the last one frees the document. */
struct document *document_share(struct document *document);
void document_free(struct document *document); /* NULL is harmless */

/* A document belongs to its session, and while an operation of that runs to the operation. What
 * others share of it asks first: VSS_E_BAD_STATE. Both take NULL. */
void document_set_busy(struct document *document, bool is_busy);
void document_close(struct document *document); /* its session is gone */
HRESULT document_check_use(const struct document *document, struct error *err);

HRESULT document_get_session(const struct document *document, struct document_session *out,
                             struct error *err);
HRESULT document_set_session(struct document *document, const struct document_session *session,
                             struct error *err);

/* What kind of restore it is (enum vss_restore_type), an attribute of ours on the root.
 * E_INVALIDARG: none; VSS_E_INVALID_XML_DOCUMENT: the document has one that is not known. */
HRESULT document_set_restore_type(struct document *document, int32_t restore_type,
                                  struct error *err);

/* The snapshot set description, freed by set_record_free(). S_FALSE and all-zero where the document
 * has none, or one of another product, which says nothing that we can use. */
HRESULT document_get_set(const struct document *document, struct set_record *out,
                         struct error *err);

/* Replaces it; NULL removes it. E_INVALIDARG, and the document as it was, for what document_load()
 * would refuse. */
HRESULT document_set_set(struct document *document, const struct set_record *set,
                         struct error *err);

#endif
