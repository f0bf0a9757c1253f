/* SPDX-License-Identifier: Apache-2.0 */

/* Which writers and components a Backup Components Document has. */

#include "requester/document/components.h"

#include "common/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITER_NAME    "WRITER_COMPONENTS"
#define COMPONENT_NAME "COMPONENT"

/* By enum vss_component_type. */
static const char *const component_types[] = {"undefined", "database", "filegroup"};
#define COMPONENT_TYPE_COUNT (VSS_CT_FILEGROUP + 1)

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory while working on a document");
}

/* ---- finding them all ---- */

/* Absent ones stay null; they are refused when they are asked for. */
static void read_id(struct xml_reader *r, const xmlNode *node, const char *name, VSS_ID *out)
{
    const char *text = xml_get_plain(r, node, name);
    if (text && !id_parse(text, out)) {
        xml_refuse(r, node, "attribute %s is not an id", name);
    }
}

static struct document_writer *find_instance(const struct document *document,
                                             const VSS_ID *instance_id)
{
    for (size_t i = 0; i < document->writer_count; i++) {
        if (id_equal(&document->writers[i].instance_id, instance_id)) {
            return &document->writers[i];
        }
    }
    return NULL;
}

static struct document_writer *reserve_writer(struct document *document)
{
    if (!document->writers || document->writer_count == document->writer_capacity) {
        size_t capacity = document->writer_capacity > 0 ? document->writer_capacity * 2 : 8;
        struct document_writer *grown =
            realloc(document->writers, capacity * sizeof(*document->writers));
        if (!grown) {
            return NULL;
        }
        document->writers = grown;
        document->writer_capacity = capacity;
    }
    struct document_writer *writer = &document->writers[document->writer_count];
    *writer = (struct document_writer){0};
    return writer;
}

static void index_component(struct xml_reader *r, struct document_writer *writer, xmlNodePtr node)
{
    const char *name = xml_need_plain(r, node, "componentName");
    const char *path = xml_get_plain(r, node, "logicalPath");
    if (FAILED(r->status)) {
        return;
    }
    HRESULT hr = node_index_add_named(&writer->components, path, name, node);
    if (hr == VSS_E_OBJECT_ALREADY_EXISTS) {
        xml_refuse(r, node, "component \"%.100s\" is there twice", name);
    } else if (FAILED(hr)) {
        r->status = no_memory(r->err);
    }
}

static void index_writer(struct xml_reader *r, struct document *document, xmlNodePtr node)
{
    if (document->writer_count == DOCUMENT_WRITERS_MAX) {
        xml_refuse(r, node, "a document has at most %u writers", DOCUMENT_WRITERS_MAX);
        return;
    }
    struct document_writer *writer = reserve_writer(document);
    if (!writer) {
        r->status = no_memory(r->err);
        return;
    }
    writer->node = node;
    read_id(r, node, "instanceId", &writer->instance_id);
    read_id(r, node, "writerId", &writer->writer_id);
    if (!id_is_null(&writer->instance_id) && find_instance(document, &writer->instance_id)) {
        xml_refuse(r, node, "this writer instance is there twice");
    }
    document->writer_count++;
    for (xmlNodePtr n = xml_first(node, DOCUMENT_NS_VSS, COMPONENT_NAME); n && SUCCEEDED(r->status);
         n = xml_next(n, DOCUMENT_NS_VSS, COMPONENT_NAME)) {
        index_component(r, writer, n);
    }
}

HRESULT document_index_writers(struct document *document, struct error *err)
{
    struct xml_reader r = {S_OK, err};
    for (xmlNodePtr n = xml_first(document->root, DOCUMENT_NS_VSS, WRITER_NAME);
         n && SUCCEEDED(r.status); n = xml_next(n, DOCUMENT_NS_VSS, WRITER_NAME)) {
        index_writer(&r, document, n);
    }
    return r.status;
}

void document_free_writers(struct document *document)
{
    for (size_t i = 0; i < document->writer_count; i++) {
        node_index_free(&document->writers[i].components);
    }
    free(document->writers);
    document->writers = NULL;
    document->writer_count = 0;
    document->writer_capacity = 0;
}

size_t document_count_writers(const struct document *document)
{
    size_t count = 0;
    for (size_t i = 0; i < document->writer_count; i++) {
        count += document->writers[i].components.count > 0 ? 1 : 0;
    }
    return count;
}

const struct document_writer *document_writer_at(const struct document *document, size_t place)
{
    for (size_t i = 0; i < document->writer_count; i++) {
        if (document->writers[i].components.count > 0 && place-- == 0) {
            return &document->writers[i];
        }
    }
    return NULL;
}

/* ---- adding ---- */

static void put_id(struct xml_writer *w, xmlNodePtr node, const char *name, const VSS_ID *id)
{
    char text[ID_TEXT_BYTES];
    xml_put_plain(w, node, name, id_text(id, text));
}

static struct document_writer *add_writer(struct document *document,
                                          const struct component_owner *owner, struct error *err)
{
    struct document_writer *writer = find_instance(document, &owner->instance_id);
    if (writer) {
        return writer;
    }
    if (document->writer_count == DOCUMENT_WRITERS_MAX) {
        (void)error_set(err, VSS_E_UNEXPECTED, "a document has at most %u writers",
                        DOCUMENT_WRITERS_MAX);
        return NULL;
    }
    writer = reserve_writer(document);
    struct xml_writer w = {document->root->ns, NULL, S_OK};
    xmlNodePtr node = writer ? xml_add(&w, document->root, w.vss, WRITER_NAME) : NULL;
    char schema[16];
    (void)snprintf(schema, sizeof(schema), "%u", owner->backup_schema);
    put_id(&w, node, "instanceId", &owner->instance_id);
    put_id(&w, node, "writerId", &owner->writer_id);
    xml_put_plain(&w, node, "backupSchema", schema);
    if (owner->instance_name) {
        xml_put_plain(&w, node, "instanceName", owner->instance_name);
    }
    if (!node || FAILED(w.status)) {
        xml_remove(node);
        (void)no_memory(err);
        return NULL;
    }
    writer->node = node;
    writer->instance_id = owner->instance_id;
    writer->writer_id = owner->writer_id;
    document->writer_count++;
    return writer;
}

/* One that was made for a component that did not come to be. */
static void drop_if_empty(struct document *document, struct document_writer *writer, bool is_new)
{
    if (is_new) {
        xml_remove(writer->node);
        node_index_free(&writer->components);
        document->writer_count--; /* it is the last one */
    }
}

static HRESULT refuse_second(const struct component_name *name, struct error *err)
{
    return error_set(err, VSS_E_OBJECT_ALREADY_EXISTS,
                     "component \"%.200s\" of logical path \"%.200s\" was added before", name->name,
                     name->logical_path ? name->logical_path : "");
}

HRESULT document_add_component(struct document *document, const struct component_owner *owner,
                               const struct component_name *name, struct error *err)
{
    struct error reason = {0};
    size_t known = document->writer_count;
    struct document_writer *writer = add_writer(document, owner, &reason);
    if (!writer) {
        return error_set(err, reason.code, "%s", error_text(&reason));
    }
    if (!id_equal(&writer->writer_id, &owner->writer_id)) {
        return error_set(err, E_INVALIDARG,
                         "the document has this writer instance with another class");
    }
    if (node_index_find(&writer->components, name->logical_path, name->name)) {
        return refuse_second(name, err);
    }
    struct xml_writer w = {document->root->ns, NULL, S_OK};
    xmlNodePtr node = xml_add(&w, writer->node, w.vss, COMPONENT_NAME);
    if (name->logical_path && name->logical_path[0] != '\0') {
        xml_put_plain(&w, node, "logicalPath", name->logical_path);
    }
    xml_put_plain(&w, node, "componentName", name->name);
    xml_put_plain(&w, node, "componentType", component_types[name->type]);
    if (SUCCEEDED(w.status)) {
        w.status = node_index_add_named(&writer->components, name->logical_path, name->name, node);
    }
    if (FAILED(w.status)) {
        xml_remove(node);
        drop_if_empty(document, writer, document->writer_count > known);
        return no_memory(err);
    }
    return S_OK;
}

/* ---- finding one ---- */

static HRESULT not_found(const struct component_name *name, struct error *err)
{
    return error_set(
        err, VSS_E_OBJECT_NOT_FOUND,
        "the document has no %s component \"%.200s\" of logical path \"%.200s\" of this "
        "writer",
        component_types[name->type], name->name, name->logical_path ? name->logical_path : "");
}

/* One whose type is not valid is found by any type, so that what is wrong with it gets said. */
static bool is_of_type(const xmlNode *component, int32_t type)
{
    struct xml_reader r = {S_OK, NULL};
    const char *text = xml_get_plain(&r, component, "componentType");
    int32_t known = xml_word(text, component_types, COMPONENT_TYPE_COUNT, type);
    return known == type;
}

static bool is_owner(const struct document_writer *writer, const VSS_ID *instance_id,
                     const VSS_ID *writer_id)
{
    return id_equal(&writer->writer_id, writer_id) &&
           (!instance_id || id_equal(&writer->instance_id, instance_id));
}

HRESULT document_find_component(const struct document *document, const VSS_ID *instance_id,
                                const VSS_ID *writer_id, const struct component_name *name,
                                xmlNodePtr *out, struct error *err)
{
    *out = NULL;
    for (size_t i = 0; i < document->writer_count; i++) {
        const struct document_writer *writer = &document->writers[i];
        if (!is_owner(writer, instance_id, writer_id)) {
            continue;
        }
        xmlNodePtr node = node_index_find(&writer->components, name->logical_path, name->name);
        if (!node || !is_of_type(node, name->type)) {
            continue;
        }
        if (*out) {
            *out = NULL;
            return error_set(err, E_INVALIDARG,
                             "several instances of this writer have component \"%.200s\"; name one "
                             "of them",
                             name->name);
        }
        *out = node;
    }
    return *out ? S_OK : not_found(name, err);
}

HRESULT component_get_name(const xmlNode *component, struct component_name *out, struct error *err)
{
    struct xml_reader r = {S_OK, err};
    const char *type = xml_need_plain(&r, component, "componentType");
    const char *path = xml_get_plain(&r, component, "logicalPath");
    *out = (struct component_name){
        .type = xml_word(type, component_types, COMPONENT_TYPE_COUNT, VSS_CT_UNDEFINED),
        .logical_path = path && path[0] ? path : NULL,
        .name = xml_need_plain(&r, component, "componentName"),
    };
    if (SUCCEEDED(r.status) && out->type == VSS_CT_UNDEFINED) {
        xml_refuse(&r, component, "attribute componentType is neither database nor filegroup");
    }
    return r.status;
}
