/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_DOCUMENT_XML_H
#define LUNSHADOW_REQUESTER_DOCUMENT_XML_H

#include "common/error.h"

#include <libxml/tree.h>
#include <stdbool.h>
#include <stdint.h>

/* Typed attributes on libxml2's tree. Reader and writer keep their first failure: later calls do
 * nothing, so that a function reads all it wants and looks at status once, at its end.
 *
 * An attribute of ours has our namespace on an element of VSS, and none on an element of ours. Text
 * has '%', control characters and what is not UTF-8 as %XX, because XML cannot carry all that a
 * device may say. */

#define DOCUMENT_NS_VSS      "x-schema:#VssComponentMetadata"  /* Backup Components Documents */
#define DOCUMENT_NS_METADATA "x-schema:#VssWriterMetadataInfo" /* Writer Metadata Documents */
#define DOCUMENT_NS_OWN      "urn:lunshadow:document:1"
#define DOCUMENT_PREFIX_OWN  "ls"

/* Whether an attribute can carry text as it is: UTF-8 without control characters other than tab and
 * line breaks. */
bool xml_can_hold(const char *text);

struct xml_writer {
    xmlNsPtr vss;
    xmlNsPtr own;
    HRESULT status;
};

/* A child in namespace ns (w->vss or w->own) at the end of parent; NULL once something failed. */
xmlNodePtr xml_add(struct xml_writer *w, xmlNodePtr parent, xmlNsPtr ns, const char *name);

/* An attribute without namespace, as VSS has them; value must be plain text. */
void xml_put_plain(struct xml_writer *w, xmlNodePtr node, const char *name, const char *value);

/* An attribute of ours as it stands, for text that xml_can_hold(); w->own must be set. */
void xml_put_own(struct xml_writer *w, xmlNodePtr node, const char *name, const char *value);

void xml_put_text(struct xml_writer *w, xmlNodePtr node, const char *name,
                  const char *text); /* NULL: leaves the attribute out */
void xml_put_unsigned(struct xml_writer *w, xmlNodePtr node, const char *name, uint64_t value);
void xml_put_signed(struct xml_writer *w, xmlNodePtr node, const char *name, int64_t value);
void xml_put_bool(struct xml_writer *w, xmlNodePtr node, const char *name, bool value);
void xml_put_id(struct xml_writer *w, xmlNodePtr node, const char *name, const VSS_ID *id);
void xml_put_bytes(struct xml_writer *w, xmlNodePtr node, const char *name, const uint8_t *bytes,
                   size_t length); /* hex; NULL: leaves the attribute out */

/* Our namespace, with a prefix, in the scope of node; declared on the root, or on node where that
 * does not do. NULL when memory is short. */
xmlNsPtr xml_own_namespace(xmlNodePtr node);

void xml_remove(xmlNodePtr node); /* from its tree, with all below it; NULL is harmless */

struct xml_reader {
    HRESULT status;
    struct error *err;
};

/* VSS_E_INVALID_XML_DOCUMENT with the line and name of node. */
void xml_refuse(struct xml_reader *r, const xmlNode *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* First child, next sibling, number of children of this namespace (URI) and name. */
xmlNodePtr xml_first(const xmlNode *parent, const char *ns, const char *name);
xmlNodePtr xml_next(const xmlNode *node, const char *ns, const char *name);
size_t xml_count(const xmlNode *parent, const char *ns, const char *name);
bool xml_is(const xmlNode *node, const char *ns, const char *name);

/* The one child of VSS or ours; refuses none and several. */
xmlNodePtr xml_only(struct xml_reader *r, const xmlNode *parent, const char *ns, const char *name);

/* An attribute without namespace; NULL where it is absent. Borrowed. */
const char *xml_get_plain(struct xml_reader *r, const xmlNode *node, const char *name);

/* Likewise, where it must be there; NULL once something failed. */
const char *xml_need_plain(struct xml_reader *r, const xmlNode *node, const char *name);

/* "yes", "no", or absent, which is no; a decimal number of 32 bits, or absent. */
bool xml_get_plain_bool(struct xml_reader *r, const xmlNode *node, const char *name);
uint32_t xml_get_plain_number(struct xml_reader *r, const xmlNode *node, const char *name,
                              uint32_t absent);

/* An attribute of ours as it stands there, for text that needs no escapes; NULL where it is absent.
 * Borrowed. */
const char *xml_get_own(struct xml_reader *r, const xmlNode *node, const char *name);

/* The place of text among words; other where it is none of them or NULL. */
int32_t xml_word(const char *text, const char *const words[], int32_t count, int32_t other);

bool xml_has(const xmlNode *node, const char *name);

/* Attributes of ours; an absent one is refused, except by xml_get_text() and xml_get_bytes(), which
 * leave *out alone then. */
void xml_get_text(struct xml_reader *r, const xmlNode *node, const char *name, char **out);
uint64_t xml_get_unsigned(struct xml_reader *r, const xmlNode *node, const char *name,
                          uint64_t max);
int64_t xml_get_signed(struct xml_reader *r, const xmlNode *node, const char *name, int64_t min,
                       int64_t max);
bool xml_get_bool(struct xml_reader *r, const xmlNode *node, const char *name);
void xml_get_id(struct xml_reader *r, const xmlNode *node, const char *name, VSS_ID *out);
void xml_get_bytes(struct xml_reader *r, const xmlNode *node, const char *name, size_t max,
                   uint8_t **out, uint32_t *out_length);

/* A decimal number of 32 bits. False, and *out as it was, where it is none. */
bool xml_parse_number(const char *text, uint32_t *out);

/* "yes" or "no". False where it is neither. */
bool xml_parse_bool(const char *text, bool *out);

#endif
