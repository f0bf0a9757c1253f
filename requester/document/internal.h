/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_DOCUMENT_INTERNAL_H
#define LUNSHADOW_REQUESTER_DOCUMENT_INTERNAL_H

#include "requester/document/document.h"
#include "requester/document/xml.h"

#include <stdatomic.h>

/* Where the last entry of a list was found: the next one is beside it. Nodes are never removed. */
struct list_cursor {
    xmlNodePtr component;
    int list; /* enum component_list */
    size_t place;
    xmlNodePtr entry;
};

struct document {
    atomic_uint refs;
    atomic_bool is_busy;
    atomic_bool is_closed;
    xmlDocPtr xml;
    xmlNodePtr root;
    struct document_writer *writers; /* components.h */
    size_t writer_count;
    size_t writer_capacity;
    struct list_cursor cursor;
};

/* ---- parse.c ---- */

/* Bytes to a tree within the limits, without a DTD; the root is not looked at.
 * VSS_E_CORRUPT_XML_DOCUMENT: not XML at all; VSS_E_INVALID_XML_DOCUMENT: XML that is not accepted.
 */
HRESULT document_parse(const void *xml, size_t length, xmlDocPtr *out, struct error *err);

/* ---- save.c ---- */

/* The element and all below it as one line of UTF-8 without declaration; malloc'ed.
 * VSS_E_UNEXPECTED: more bytes than could be loaded again. */
HRESULT document_serialise(xmlNodePtr root, char **out_xml, struct error *err);

/* ---- document_set.c ---- */

/* The set description of a root: *out NULL where there is none. Refuses several of them, and a
 * snapshot id that is none or is there twice. */
HRESULT document_find_set(const xmlNode *root, xmlNodePtr *out, struct error *err);

/* A set description of ours into *out (all-zero on failure); S_FALSE for one of another product. */
HRESULT document_read_set(const xmlNode *node, struct set_record *out, struct error *err);

/* Fills node, a new SNAPSHOT_SET_DESCRIPTION. */
void document_write_set(struct xml_writer *w, xmlNodePtr node, const struct set_record *set);

/* ---- document_lun.c ---- */

/* A LUN_MAPPING of ours, without its number. */
void document_read_lun(struct xml_reader *r, const xmlNode *node, struct lun_mapping *out);
void document_write_lun(struct xml_writer *w, xmlNodePtr parent, size_t index,
                        const struct lun_mapping *lun);

/* Whether two mappings say the same; E_OUTOFMEMORY. */
HRESULT document_same_lun(const struct lun_mapping *a, const struct lun_mapping *b, bool *out);

/* A URL or volume name: refuses one that carries a user. NULL is harmless. */
void document_check_url(struct xml_reader *r, const xmlNode *node, const char *name,
                        const char *url);

#endif
