/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/document/internal.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define REASON_BYTES 160

/* One parse: what its callbacks noticed. */
struct parse_state {
    HRESULT status;
    struct error *err;
    size_t nodes;
    size_t namespaces;
    bool is_memory_short;
};

static pthread_once_t parser_once = PTHREAD_ONCE_INIT;

static struct parse_state *state_of(xmlParserCtxtPtr parser)
{
    return parser->_private;
}

static void refuse(xmlParserCtxtPtr parser, const char *reason)
{
    struct parse_state *state = state_of(parser);
    if (SUCCEEDED(state->status)) {
        int line = parser->input ? parser->input->line : 0;
        state->status = error_set(state->err, VSS_E_INVALID_XML_DOCUMENT,
                                  "the document, line %d: %s", line, reason);
    }
    xmlStopParser(parser);
}

/* libxml2's errors to ours: the one place that knows both. Its messages quote the document, so only
 * their printable part is kept. */
static HRESULT map_error(const xmlError *error, struct error *err)
{
    if (error->code == XML_ERR_NO_MEMORY) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while parsing a document");
    }
    char reason[REASON_BYTES] = "";
    size_t used = 0;
    for (const char *c = error->message; c && *c && used + 1 < sizeof(reason); c++) {
        if (*c >= ' ' && *c <= '~') {
            reason[used++] = *c;
        }
    }
    reason[used] = '\0';
    return error_set(err, VSS_E_CORRUPT_XML_DOCUMENT, "the document, line %d: not XML: %s",
                     error->line, used > 0 ? reason : "unreadable");
}

static void on_error(void *user, xmlErrorPtr error)
{
    struct parse_state *state = state_of(user);
    if (error->level >= XML_ERR_ERROR && SUCCEEDED(state->status)) {
        state->status = map_error(error, state->err);
    }
}

/* Errors that the parser does not call its own. Not all callers inside libxml2 are told that memory
 * was short: they go on, and the tree has holes. */
static void on_report(void *user, xmlErrorPtr error)
{
    struct parse_state *state = user;
    state->is_memory_short = state->is_memory_short || error->code == XML_ERR_NO_MEMORY;
}

/* Parses while this thread's reports are heard. What went wrong for want of memory is not the
 * document's fault, whatever it looked like later. */
static xmlDocPtr read_bytes(xmlParserCtxtPtr parser, const char *bytes, size_t length,
                            const char *encoding)
{
    struct parse_state *state = state_of(parser);
    xmlStructuredErrorFunc before = xmlStructuredError;
    void *context_before = xmlStructuredErrorContext;
    xmlSetStructuredErrorFunc(state, on_report);
    xmlDocPtr xml = xmlCtxtReadMemory(parser, bytes, (int)length, NULL, encoding,
                                      XML_PARSE_NONET | XML_PARSE_NOBLANKS);
    xmlSetStructuredErrorFunc(context_before, before);
    if (state->is_memory_short) {
        error_clear(state->err);
        state->status =
            error_set(state->err, E_OUTOFMEMORY, "out of memory while parsing a document");
    }
    return xml;
}

/* Called before anything inside the DTD is looked at. */
static void on_dtd(void *user, const xmlChar *name, const xmlChar *external_id,
                   const xmlChar *system_id)
{
    (void)name;
    (void)external_id;
    (void)system_id;
    refuse(user, "has a DTD, which is never accepted; remove the DOCTYPE");
}

/* False once the limit is passed. */
static bool count_nodes(xmlParserCtxtPtr parser, size_t more)
{
    struct parse_state *state = state_of(parser);
    state->nodes += more;
    if (state->nodes > DOCUMENT_NODES_MAX) {
        refuse(parser, "too many elements and attributes");
        return false;
    }
    return true;
}

static void on_element(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                       int namespace_count, const xmlChar **namespaces, int attribute_count,
                       int defaulted_count, const xmlChar **attributes)
{
    xmlParserCtxtPtr parser = user;
    if (parser->nodeNr >= DOCUMENT_DEPTH_MAX) {
        refuse(parser, "elements are nested too deep");
        return;
    }
    if ((unsigned)attribute_count > DOCUMENT_ATTRIBUTES_MAX) { /* has_crowded_element() failed us */
        refuse(parser, "an element has too many attributes");
        return;
    }
    struct parse_state *state = state_of(parser);
    state->namespaces += (size_t)namespace_count;
    if (state->namespaces > DOCUMENT_NAMESPACES_MAX) {
        refuse(parser, "too many namespaces");
        return;
    }
    if (count_nodes(parser, 1 + (size_t)attribute_count + (size_t)namespace_count)) {
        xmlSAX2StartElementNs(user, name, prefix, uri, namespace_count, namespaces, attribute_count,
                              defaulted_count, attributes);
    }
}

static void on_comment(void *user, const xmlChar *text)
{
    if (count_nodes(user, 1)) {
        xmlSAX2Comment(user, text);
    }
}

static void on_instruction(void *user, const xmlChar *target, const xmlChar *data)
{
    if (count_nodes(user, 1)) {
        xmlSAX2ProcessingInstruction(user, target, data);
    }
}

static void on_cdata(void *user, const xmlChar *text, int length)
{
    if (count_nodes(user, 1)) {
        xmlSAX2CDataBlock(user, text, length);
    }
}

static void set_callbacks(xmlParserCtxtPtr parser, struct parse_state *state)
{
    parser->_private = state;
    parser->sax->serror = on_error;
    parser->sax->internalSubset = on_dtd;
    parser->sax->startElementNs = on_element;
    parser->sax->comment = on_comment;
    parser->sax->processingInstruction = on_instruction;
    parser->sax->cdataBlock = on_cdata;
}

/* Bytes of one code unit, by the byte order mark. */
static size_t unit_bytes(const unsigned char *bytes, size_t length)
{
    bool is_wide = length >= 2 && ((bytes[0] == 0xff && bytes[1] == 0xfe) ||
                                   (bytes[0] == 0xfe && bytes[1] == 0xff));
    return is_wide ? 2 : 1;
}

/* Writers of such files leave a NUL at the end, as wide as their characters. */
static size_t without_nuls(const unsigned char *bytes, size_t length)
{
    size_t unit = unit_bytes(bytes, length);
    while (length >= unit && length % unit == 0 && bytes[length - 1] == 0 &&
           bytes[length - unit] == 0) {
        length -= unit;
    }
    return length;
}

/* Code unit at the given place where it is ASCII, else 0. In the wrong order of bytes U+2200 would
 * be a quote. */
static unsigned char ascii_at(const unsigned char *bytes, size_t unit, bool is_big_endian)
{
    if (unit == 1) {
        return bytes[0];
    }
    unsigned char high = bytes[is_big_endian ? 0 : 1];
    return high == 0 ? bytes[is_big_endian ? 1 : 0] : 0;
}

/* libxml2 takes quadratic time over the attributes of one element and calls us after it: so they
 * are counted before, by the '=' outside quotes. '<' is in no attribute, so each begins anew. */
static bool has_crowded_element(const unsigned char *bytes, size_t length)
{
    size_t unit = unit_bytes(bytes, length);
    size_t count = 0;
    unsigned char quote = 0;
    bool is_tag = false;
    bool is_big_endian = bytes[0] == 0xfe; /* of no account where units are bytes */
    for (size_t i = 0; i + unit <= length; i += unit) {
        unsigned char c = ascii_at(bytes + i, unit, is_big_endian);
        if (c == '<') {
            is_tag = true;
            quote = 0;
            count = 0;
        } else if (!is_tag) {
            continue;
        } else if (quote) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '>') {
            is_tag = false;
        } else if (c == '=' && ++count > DOCUMENT_ATTRIBUTES_MAX) {
            return true;
        }
    }
    return false;
}

/* What the bytes are; a declaration that says otherwise is passed over, so that no other encoding
 * ever gets past has_crowded_element(). */
static const char *encoding_of(const char *bytes, size_t length)
{
    if (unit_bytes((const unsigned char *)bytes, length) == 1) {
        return "UTF-8";
    }
    return (unsigned char)bytes[0] == 0xff ? "UTF-16LE" : "UTF-16BE";
}

/* Keeps the tree in UTF-8 terms: else how text is written would depend on how it once came. */
static HRESULT forget_encoding(xmlDocPtr xml, struct error *err)
{
    xmlChar *utf8 = xmlStrdup(BAD_CAST "UTF-8");
    if (!utf8) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while parsing a document");
    }
    if (xml->encoding) {
        xmlFree((xmlChar *)xml->encoding);
    }
    xml->encoding = utf8;
    return S_OK;
}

static HRESULT parse_bytes(const char *bytes, size_t length, xmlDocPtr *out, struct error *err)
{
    struct parse_state state = {.status = S_OK, .err = err};
    xmlParserCtxtPtr parser = xmlNewParserCtxt();
    if (!parser) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while parsing a document");
    }
    set_callbacks(parser, &state);
    xmlDocPtr xml = read_bytes(parser, bytes, length, encoding_of(bytes, length));
    xmlFreeParserCtxt(parser);
    if (SUCCEEDED(state.status) && !xml) {
        state.status = error_set(err, VSS_E_CORRUPT_XML_DOCUMENT, "the document is not XML");
    }
    if (SUCCEEDED(state.status)) {
        state.status = forget_encoding(xml, err);
    }
    if (FAILED(state.status)) {
        xmlFreeDoc(xml);
        return state.status;
    }
    *out = xml;
    return S_OK;
}

HRESULT document_parse(const void *xml, size_t length, xmlDocPtr *out, struct error *err)
{
    *out = NULL;
    (void)pthread_once(&parser_once, xmlInitParser);
    length = without_nuls(xml, length);
    if (length == 0) {
        return error_set(err, VSS_E_CORRUPT_XML_DOCUMENT, "the document is empty");
    }
    if (length > DOCUMENT_BYTES_MAX) {
        return error_set(err, VSS_E_INVALID_XML_DOCUMENT,
                         "the document has %zu bytes; at most %zu are accepted", length,
                         DOCUMENT_BYTES_MAX);
    }
    if (has_crowded_element(xml, length)) {
        return error_set(err, VSS_E_INVALID_XML_DOCUMENT,
                         "the document has an element with more than %u attributes",
                         DOCUMENT_ATTRIBUTES_MAX);
    }
    return parse_bytes(xml, length, out, err);
}
