/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/document/metadata_internal.h"

#include "common/id.h"

#include <stdlib.h>
#include <string.h>

#define ROOT_NAME "WRITER_METADATA"

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory while loading a Writer Metadata Document");
}

/* ---- loading ---- */

static void check_root(struct xml_reader *r, const struct metadata *m)
{
    if (!m->root || !xml_is(m->root, DOCUMENT_NS_METADATA, ROOT_NAME)) {
        r->status = error_set(r->err, VSS_E_INVALID_XML_DOCUMENT,
                              "not a Writer Metadata Document: its root is not " ROOT_NAME
                              " in the namespace " DOCUMENT_NS_METADATA);
    }
}

static void read_id(struct xml_reader *r, const xmlNode *node, const char *name, VSS_ID *out)
{
    const char *text = xml_get_plain(r, node, name);
    if (SUCCEEDED(r->status) && (!text || !id_parse(text, out) || id_is_null(out))) {
        xml_refuse(r, node, "attribute %s is not an id", name);
    }
}

static void read_ids(struct xml_reader *r, struct metadata *m)
{
    if (FAILED(r->status)) {
        return;
    }
    m->identification = xml_only(r, m->root, DOCUMENT_NS_METADATA, "IDENTIFICATION");
    if (m->identification) {
        read_id(r, m->identification, "writerId", &m->writer_id);
        read_id(r, m->identification, "instanceId", &m->instance_id);
    }
}

/* One without a name keeps its place; it is refused when it is asked for. */
static void index_component(struct xml_reader *r, struct metadata *m, xmlNodePtr node)
{
    const char *name = xml_get_plain(r, node, "componentName");
    const char *path = xml_get_plain(r, node, "logicalPath");
    if (FAILED(r->status)) {
        return;
    }
    HRESULT hr = name ? node_index_add_named(&m->components, path, name, node)
                      : node_index_add(&m->components, node);
    if (hr == VSS_E_OBJECT_ALREADY_EXISTS) {
        xml_refuse(r, node, "component \"%.100s\" is there twice", name);
    } else if (FAILED(hr)) {
        r->status = no_memory(r->err);
    }
}

static void index_locations(struct xml_reader *r, struct metadata *m, const xmlNode *locations)
{
    for (xmlNodePtr n = locations->children; n && SUCCEEDED(r->status); n = n->next) {
        if (xml_is(n, DOCUMENT_NS_METADATA, "FILE_GROUP") ||
            xml_is(n, DOCUMENT_NS_OWN, "DATABASE")) {
            index_component(r, m, n);
        }
    }
    if (FAILED(node_index_add_children(&m->excluded, locations, DOCUMENT_NS_METADATA,
                                       "EXCLUDE_FILES")) ||
        FAILED(node_index_add_children(&m->excluded_from_snapshot, locations, DOCUMENT_NS_METADATA,
                                       "EXCLUDE_FILES_FROM_SNAPSHOT"))) {
        r->status = no_memory(r->err);
    }
}

static void index_all(struct xml_reader *r, struct metadata *m)
{
    if (FAILED(r->status)) {
        return;
    }
    const xmlNode *locations = xml_first(m->root, DOCUMENT_NS_METADATA, "BACKUP_LOCATIONS");
    if (locations) {
        index_locations(r, m, locations);
    }
    const xmlNode *method = xml_first(m->root, DOCUMENT_NS_METADATA, "RESTORE_METHOD");
    if (method && FAILED(node_index_add_children(&m->mappings, method, DOCUMENT_NS_OWN,
                                                 "ALTERNATE_LOCATION"))) {
        r->status = no_memory(r->err);
    }
}

HRESULT metadata_load(const void *xml, size_t length, struct metadata **out, struct error *err)
{
    *out = NULL;
    struct metadata *m = calloc(1, sizeof(*m));
    if (!m) {
        return no_memory(err);
    }
    atomic_init(&m->refs, 1);
    struct xml_reader r = {S_OK, err};
    r.status = document_parse(xml, length, &m->xml, err);
    if (SUCCEEDED(r.status)) {
        m->root = xmlDocGetRootElement(m->xml);
        check_root(&r, m);
    }
    read_ids(&r, m);
    index_all(&r, m);
    if (FAILED(r.status)) {
        metadata_release(m);
        return r.status;
    }
    *out = m;
    return S_OK;
}

struct metadata *metadata_share(struct metadata *metadata)
{
    atomic_fetch_add(&metadata->refs, 1);
    return metadata;
}

void metadata_release(struct metadata *metadata)
{
    if (!metadata || atomic_fetch_sub(&metadata->refs, 1) > 1) {
        return;
    }
    node_index_free(&metadata->components);
    node_index_free(&metadata->excluded);
    node_index_free(&metadata->excluded_from_snapshot);
    node_index_free(&metadata->mappings);
    xmlFreeDoc(metadata->xml);
    free(metadata);
}

HRESULT metadata_save(const struct metadata *metadata, char **out_xml, struct error *err)
{
    return document_serialise(metadata->root, out_xml, err);
}

/* ---- the head ---- */

void metadata_ids(const struct metadata *metadata, VSS_ID *out_instance_id, VSS_ID *out_writer_id)
{
    *out_instance_id = metadata->instance_id;
    *out_writer_id = metadata->writer_id;
}

/* By enum vss_usage_type and vss_source_type. */
static const char *const usages[] = {"UNDEFINED", "BOOTABLE_SYSTEM_STATE", "SYSTEM_SERVICE",
                                     "USER_DATA", "OTHER"};
static const char *const sources[] = {"UNDEFINED", "TRANSACTION_DB", "NONTRANSACTION_DB", "OTHER"};

HRESULT metadata_identity(const struct metadata *metadata, struct metadata_identity *out,
                          struct error *err)
{
    struct xml_reader r = {S_OK, err};
    const xmlNode *node = metadata->identification;
    *out = (struct metadata_identity){
        .name = xml_need_plain(&r, node, "friendlyName"),
        .instance_name = xml_get_plain(&r, node, "instanceName"),
    };
    const char *usage = xml_get_plain(&r, node, "usage");
    const char *source = xml_get_plain(&r, node, "dataSource");
    out->usage = xml_word(usage, usages, VSS_UT_OTHER + 1, VSS_UT_UNDEFINED);
    out->source = xml_word(source, sources, VSS_ST_OTHER + 1, VSS_ST_UNDEFINED);
    return r.status;
}

HRESULT metadata_version(const struct metadata *metadata, uint32_t *out_major, uint32_t *out_minor,
                         struct error *err)
{
    struct xml_reader r = {S_OK, err};
    *out_major = xml_get_plain_number(&r, metadata->identification, "majorVersion", 0);
    *out_minor = xml_get_plain_number(&r, metadata->identification, "minorVersion", 0);
    return r.status;
}

HRESULT metadata_backup_schema(const struct metadata *metadata, uint32_t *out, struct error *err)
{
    struct xml_reader r = {S_OK, err};
    *out = xml_get_plain_number(&r, metadata->root, "backupSchema", 0);
    return r.status;
}

/* By enum vss_restoremethod_enum and vss_writerrestore_enum. */
static const char *const methods[] = {"UNDEFINED",
                                      "RESTORE_IF_NOT_THERE",
                                      "RESTORE_IF_CAN_BE_REPLACED",
                                      "STOP_RESTORE_START",
                                      "RESTORE_TO_ALTERNATE_LOCATION",
                                      "REPLACE_AT_REBOOT",
                                      "REPLACE_AT_REBOOT_IF_CANNOT_REPLACE",
                                      "CUSTOM",
                                      "RESTORE_STOP_START"};
static const char *const writer_restores[] = {"undefined", "never", "ifReplaceFails", "always"};

static int32_t need_word(struct xml_reader *r, const xmlNode *node, const char *name,
                         const char *const words[], int32_t count)
{
    const char *text = xml_need_plain(r, node, name);
    int32_t value = text ? xml_word(text, words, count, -1) : 0;
    if (value < 0) {
        xml_refuse(r, node, "attribute %s has a value that is not known: \"%.64s\"", name, text);
        return 0;
    }
    return value;
}

HRESULT metadata_restore_method(const struct metadata *metadata,
                                struct metadata_restore_method *out, struct error *err)
{
    struct xml_reader r = {S_OK, err};
    *out = (struct metadata_restore_method){0};
    const xmlNode *node = xml_only(&r, metadata->root, DOCUMENT_NS_METADATA, "RESTORE_METHOD");
    if (!node) {
        return r.status;
    }
    out->method = need_word(&r, node, "method", methods, VSS_RME_RESTORE_STOP_START + 1);
    out->writer_restore = need_word(&r, node, "writerRestore", writer_restores, VSS_WRE_ALWAYS + 1);
    out->is_reboot_required = xml_get_plain_bool(&r, node, "rebootRequired");
    out->service = xml_get_own(&r, node, "service");
    out->user_procedure = xml_get_own(&r, node, "userProcedure");
    return r.status;
}

HRESULT metadata_check_locations(const struct metadata *metadata, struct error *err)
{
    struct xml_reader r = {S_OK, err};
    (void)xml_only(&r, metadata->root, DOCUMENT_NS_METADATA, "BACKUP_LOCATIONS");
    return r.status;
}

HRESULT metadata_check(const struct metadata *metadata, struct error *err)
{
    struct metadata_identity identity;
    struct metadata_restore_method method;
    uint32_t schema = 0;
    HRESULT hr = metadata_identity(metadata, &identity, err);
    if (SUCCEEDED(hr)) {
        hr = metadata_backup_schema(metadata, &schema, err);
    }
    if (SUCCEEDED(hr)) {
        hr = metadata_restore_method(metadata, &method, err);
    }
    return SUCCEEDED(hr) ? metadata_check_locations(metadata, err) : hr;
}
