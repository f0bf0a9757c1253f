/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/document/xml.h"

#include "common/buffer.h"
#include "common/id.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_TEXT_BYTES 24

/* ---- text that XML can carry ---- */

/* Bytes of the well-formed UTF-8 character at s, and which it is; 0 where there is none. */
static size_t character_length(const unsigned char *s, uint32_t *out)
{
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    *out = s[0];
    if (length == 1) {
        return 1;
    }
    if (s[0] < 0xc2 || s[0] > 0xf4) {
        return 0;
    }
    uint32_t value = s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (s[i] & 0x3fu);
    }
    bool is_overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
    bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
    bool is_none = value == 0xfffe || value == 0xffff || value > 0x10ffff;
    *out = value;
    return is_overlong || is_surrogate || is_none ? 0 : length;
}

/* Likewise, of one that is written as it is. */
static size_t plain_length(const unsigned char *s)
{
    uint32_t value = 0;
    size_t length = character_length(s, &value);
    bool is_control = value < 0x20 || (value >= 0x7f && value < 0xa0);
    return is_control || value == '%' ? 0 : length;
}

bool xml_can_hold(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        uint32_t value = 0;
        size_t length = character_length(s, &value);
        if (length == 0 || (value < 0x20 && !strchr("\t\n\r", (int)value))) {
            return false;
        }
        s += length;
    }
    return true;
}

static char *escape(const char *text)
{
    struct buffer b = BUFFER_INIT;
    buffer_add_text(&b, "");
    for (const char *c = text; *c;) {
        size_t length = plain_length((const unsigned char *)c);
        if (length > 0) {
            buffer_add(&b, c, length);
            c += length;
        } else {
            buffer_printf(&b, "%%%02x", (unsigned)(unsigned char)*c);
            c++;
        }
    }
    return buffer_take(&b);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that two hex digits stand for; -1 where they are not that. */
static int hex_byte(const char *text)
{
    int high = hex_value(text[0]);
    int low = high < 0 ? -1 : hex_value(text[1]);
    return low < 0 ? -1 : high * 16 + low;
}

/* In place; false for a broken escape or an escaped NUL. */
static bool unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        int byte = hex_byte(from + 1);
        if (byte <= 0) {
            return false;
        }
        *to++ = (char)byte;
        from += 2;
    }
    *to = '\0';
    return true;
}

/* ---- writing ---- */

xmlNodePtr xml_add(struct xml_writer *w, xmlNodePtr parent, xmlNsPtr ns, const char *name)
{
    if (FAILED(w->status) || !parent) {
        return NULL;
    }
    xmlNodePtr node = xmlNewDocNode(parent->doc, ns, BAD_CAST name, NULL);
    if (!node || !node->name || !xmlAddChild(parent, node)) {
        xmlFreeNode(node);
        w->status = E_OUTOFMEMORY;
        return NULL;
    }
    return node;
}

/* An attribute without a value yet: the one that is there, or a new one. */
static xmlAttrPtr find_or_add(xmlNodePtr node, xmlNsPtr ns, const char *name)
{
    xmlAttrPtr attribute = xmlHasNsProp(node, BAD_CAST name, ns ? ns->href : NULL);
    if (attribute) {
        return attribute;
    }
    attribute = xmlNewNsProp(node, ns, BAD_CAST name, NULL);
    if (attribute && !attribute->name) {
        (void)xmlRemoveProp(attribute);
        return NULL;
    }
    return attribute;
}

/* libxml2 itself does not say when there was no memory for a value: so it is made first, and the
 * old one stays where that fails. */
static void put(struct xml_writer *w, xmlNodePtr node, xmlNsPtr ns, const char *name,
                const char *value)
{
    if (FAILED(w->status) || !node) {
        return;
    }
    xmlNodePtr text = value ? xmlNewDocText(node->doc, BAD_CAST value) : NULL;
    xmlAttrPtr attribute = text && text->content ? find_or_add(node, ns, name) : NULL;
    if (!attribute) {
        xmlFreeNode(text);
        w->status = E_OUTOFMEMORY;
        return;
    }
    xmlFreeNodeList(attribute->children);
    text->parent = (xmlNodePtr)attribute;
    attribute->children = text;
    attribute->last = text;
}

static void put_own(struct xml_writer *w, xmlNodePtr node, const char *name, const char *value)
{
    put(w, node, node && node->ns != w->own ? w->own : NULL, name, value);
}

void xml_put_plain(struct xml_writer *w, xmlNodePtr node, const char *name, const char *value)
{
    put(w, node, NULL, name, value);
}

void xml_put_own(struct xml_writer *w, xmlNodePtr node, const char *name, const char *value)
{
    put_own(w, node, name, value);
}

/* One that node can use: with a prefix, and nothing between hides it. */
static xmlNsPtr find_own(const xmlNode *node)
{
    for (const xmlNode *n = node; n && n->type == XML_ELEMENT_NODE; n = n->parent) {
        for (xmlNsPtr ns = n->nsDef; ns; ns = ns->next) {
            if (ns->prefix && ns->href && strcmp((const char *)ns->href, DOCUMENT_NS_OWN) == 0 &&
                xmlSearchNs(node->doc, (xmlNodePtr)node, ns->prefix) == ns) {
                return ns;
            }
        }
    }
    return NULL;
}

/* libxml2 does not say when it could not copy a name: half a declaration would be another one. */
static void drop_half(xmlNodePtr node, xmlNsPtr ns)
{
    xmlNsPtr *at = &node->nsDef;
    while (*at != ns) {
        at = &(*at)->next;
    }
    *at = ns->next;
    xmlFreeNs(ns);
}

static void declare_own(xmlNodePtr node)
{
    static const char *const prefixes[] = {DOCUMENT_PREFIX_OWN, "ls1", "ls2", "ls3"};
    xmlNsPtr ns = NULL;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]) && !ns; i++) {
        /* NULL where the node declares that prefix for something else */
        ns = xmlNewNs(node, BAD_CAST DOCUMENT_NS_OWN, BAD_CAST prefixes[i]);
    }
    if (ns && (!ns->href || !ns->prefix)) {
        drop_half(node, ns);
    }
}

xmlNsPtr xml_own_namespace(xmlNodePtr node)
{
    xmlNsPtr own = find_own(node);
    if (!own) {
        declare_own(xmlDocGetRootElement(node->doc));
        own = find_own(node);
    }
    if (!own) {
        declare_own(node);
        own = find_own(node);
    }
    return own;
}

void xml_remove(xmlNodePtr node)
{
    if (node) {
        xmlUnlinkNode(node);
        xmlFreeNode(node);
    }
}

void xml_put_text(struct xml_writer *w, xmlNodePtr node, const char *name, const char *text)
{
    if (!text) {
        return;
    }
    char *escaped = escape(text);
    put_own(w, node, name, escaped);
    free(escaped);
}

void xml_put_unsigned(struct xml_writer *w, xmlNodePtr node, const char *name, uint64_t value)
{
    char text[NUMBER_TEXT_BYTES];
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    put_own(w, node, name, text);
}

void xml_put_signed(struct xml_writer *w, xmlNodePtr node, const char *name, int64_t value)
{
    char text[NUMBER_TEXT_BYTES];
    (void)snprintf(text, sizeof(text), "%" PRId64, value);
    put_own(w, node, name, text);
}

void xml_put_bool(struct xml_writer *w, xmlNodePtr node, const char *name, bool value)
{
    put_own(w, node, name, value ? "yes" : "no");
}

void xml_put_id(struct xml_writer *w, xmlNodePtr node, const char *name, const VSS_ID *id)
{
    char text[ID_TEXT_BYTES];
    put_own(w, node, name, id_text(id, text));
}

void xml_put_bytes(struct xml_writer *w, xmlNodePtr node, const char *name, const uint8_t *bytes,
                   size_t length)
{
    if (!bytes) {
        return;
    }
    struct buffer b = BUFFER_INIT;
    buffer_add_text(&b, "");
    for (size_t i = 0; i < length; i++) {
        buffer_printf(&b, "%02x", bytes[i]);
    }
    char *text = buffer_take(&b);
    put_own(w, node, name, text);
    free(text);
}

/* ---- reading ---- */

void xml_refuse(struct xml_reader *r, const xmlNode *node, const char *format, ...)
{
    if (FAILED(r->status)) {
        return;
    }
    char reason[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    r->status = error_set(r->err, VSS_E_INVALID_XML_DOCUMENT, "the document, line %ld, %.64s: %s",
                          xmlGetLineNo(node), (const char *)node->name, reason);
}

bool xml_is(const xmlNode *node, const char *ns, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0 &&
           node->ns && strcmp((const char *)node->ns->href, ns) == 0;
}

static xmlNodePtr find_from(xmlNodePtr node, const char *ns, const char *name)
{
    while (node && !xml_is(node, ns, name)) {
        node = node->next;
    }
    return node;
}

xmlNodePtr xml_first(const xmlNode *parent, const char *ns, const char *name)
{
    return find_from(parent->children, ns, name);
}

xmlNodePtr xml_next(const xmlNode *node, const char *ns, const char *name)
{
    return find_from(node->next, ns, name);
}

size_t xml_count(const xmlNode *parent, const char *ns, const char *name)
{
    size_t count = 0;
    for (xmlNodePtr n = xml_first(parent, ns, name); n; n = xml_next(n, ns, name)) {
        count++;
    }
    return count;
}

xmlNodePtr xml_only(struct xml_reader *r, const xmlNode *parent, const char *ns, const char *name)
{
    xmlNodePtr node = xml_first(parent, ns, name);
    if (!node || xml_next(node, ns, name)) {
        xml_refuse(r, parent, "needs one %s", name);
        return NULL;
    }
    return node;
}

/* Value of an attribute; NULL where it is absent. Without a DTD it is one text node, or none. */
static const char *attribute_value(struct xml_reader *r, const xmlNode *node, const char *ns,
                                   const char *name)
{
    const xmlAttr *attribute = xmlHasNsProp(node, BAD_CAST name, (const xmlChar *)ns);
    if (!attribute) {
        return NULL;
    }
    const xmlNode *value = attribute->children;
    if (!value) {
        return "";
    }
    if (value->type != XML_TEXT_NODE || value->next || !value->content) {
        xml_refuse(r, node, "attribute %s is not plain text", name);
        return NULL;
    }
    return (const char *)value->content;
}

static bool is_own(const xmlNode *node)
{
    return node->ns && strcmp((const char *)node->ns->href, DOCUMENT_NS_OWN) == 0;
}

static const char *own_value(struct xml_reader *r, const xmlNode *node, const char *name)
{
    return attribute_value(r, node, is_own(node) ? NULL : DOCUMENT_NS_OWN, name);
}

/* As own_value(), where the attribute must be there. NULL once something failed. */
static const char *needed_value(struct xml_reader *r, const xmlNode *node, const char *name)
{
    if (FAILED(r->status)) {
        return NULL;
    }
    const char *value = own_value(r, node, name);
    if (!value) {
        xml_refuse(r, node, "lacks attribute %s", name);
    }
    return value;
}

static bool parse_unsigned(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (!*text) {
        return false;
    }
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(*c - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

const char *xml_get_plain(struct xml_reader *r, const xmlNode *node, const char *name)
{
    return FAILED(r->status) ? NULL : attribute_value(r, node, NULL, name);
}

const char *xml_need_plain(struct xml_reader *r, const xmlNode *node, const char *name)
{
    const char *value = xml_get_plain(r, node, name);
    if (!value) {
        xml_refuse(r, node, "lacks attribute %s", name);
    }
    return value;
}

bool xml_get_plain_bool(struct xml_reader *r, const xmlNode *node, const char *name)
{
    const char *text = xml_get_plain(r, node, name);
    bool value = false;
    if (text && !xml_parse_bool(text, &value)) {
        xml_refuse(r, node, "attribute %s is neither yes nor no", name);
    }
    return value;
}

uint32_t xml_get_plain_number(struct xml_reader *r, const xmlNode *node, const char *name,
                              uint32_t absent)
{
    const char *text = xml_get_plain(r, node, name);
    uint32_t value = absent;
    if (text && !xml_parse_number(text, &value)) {
        xml_refuse(r, node, "attribute %s is not a number from 0 to %u", name, UINT32_MAX);
    }
    return value;
}

const char *xml_get_own(struct xml_reader *r, const xmlNode *node, const char *name)
{
    return FAILED(r->status) ? NULL : own_value(r, node, name);
}

int32_t xml_word(const char *text, const char *const words[], int32_t count, int32_t other)
{
    for (int32_t i = 0; text && i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            return i;
        }
    }
    return other;
}

bool xml_has(const xmlNode *node, const char *name)
{
    return xmlHasNsProp(node, BAD_CAST name, is_own(node) ? NULL : BAD_CAST DOCUMENT_NS_OWN) !=
           NULL;
}

void xml_get_text(struct xml_reader *r, const xmlNode *node, const char *name, char **out)
{
    const char *value = FAILED(r->status) ? NULL : own_value(r, node, name);
    if (!value) {
        return;
    }
    char *text = text_copy(value);
    if (!text) {
        r->status = error_set(r->err, E_OUTOFMEMORY, "out of memory while reading a document");
        return;
    }
    if (!unescape(text)) {
        xml_refuse(r, node, "attribute %s has a broken %% escape", name);
        free(text);
        return;
    }
    *out = text;
}

uint64_t xml_get_unsigned(struct xml_reader *r, const xmlNode *node, const char *name, uint64_t max)
{
    const char *text = needed_value(r, node, name);
    uint64_t value = 0;
    if (text && (!parse_unsigned(text, &value) || value > max)) {
        xml_refuse(r, node, "attribute %s is not a number from 0 to %" PRIu64, name, max);
        return 0;
    }
    return value;
}

int64_t xml_get_signed(struct xml_reader *r, const xmlNode *node, const char *name, int64_t min,
                       int64_t max)
{
    const char *text = needed_value(r, node, name);
    if (!text) {
        return 0;
    }
    bool is_negative = text[0] == '-';
    uint64_t size = 0;
    bool is_number =
        parse_unsigned(text + (is_negative ? 1 : 0), &size) && size <= (uint64_t)INT64_MAX;
    int64_t value = is_negative ? -(int64_t)(size & INT64_MAX) : (int64_t)(size & INT64_MAX);
    if (!is_number || value < min || value > max) {
        xml_refuse(r, node, "attribute %s is not a number from %" PRId64 " to %" PRId64, name, min,
                   max);
        return 0;
    }
    return value;
}

bool xml_parse_number(const char *text, uint32_t *out)
{
    uint64_t value = 0;
    if (!parse_unsigned(text, &value) || value > UINT32_MAX) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

bool xml_parse_bool(const char *text, bool *out)
{
    *out = strcmp(text, "yes") == 0;
    return *out || strcmp(text, "no") == 0;
}

bool xml_get_bool(struct xml_reader *r, const xmlNode *node, const char *name)
{
    const char *text = needed_value(r, node, name);
    bool value = false;
    if (text && !xml_parse_bool(text, &value)) {
        xml_refuse(r, node, "attribute %s is neither yes nor no", name);
    }
    return value;
}

void xml_get_id(struct xml_reader *r, const xmlNode *node, const char *name, VSS_ID *out)
{
    const char *text = needed_value(r, node, name);
    if (text && !id_parse(text, out)) {
        xml_refuse(r, node, "attribute %s is not an id", name);
    }
}

void xml_get_bytes(struct xml_reader *r, const xmlNode *node, const char *name, size_t max,
                   uint8_t **out, uint32_t *out_length)
{
    const char *text = FAILED(r->status) ? NULL : own_value(r, node, name);
    if (!text) {
        return;
    }
    size_t length = strlen(text) / 2;
    if (strlen(text) % 2 != 0 || length > max) {
        xml_refuse(r, node, "attribute %s is not hex digits of at most %zu bytes", name, max);
        return;
    }
    uint8_t *bytes = malloc(length > 0 ? length : 1);
    if (!bytes) {
        r->status = error_set(r->err, E_OUTOFMEMORY, "out of memory while reading a document");
        return;
    }
    for (size_t i = 0; i < length; i++) {
        int byte = hex_byte(text + 2 * i);
        if (byte < 0) {
            xml_refuse(r, node, "attribute %s is not hex digits", name);
            free(bytes);
            return;
        }
        bytes[i] = (uint8_t)byte;
    }
    *out = bytes;
    *out_length = (uint32_t)length;
}
