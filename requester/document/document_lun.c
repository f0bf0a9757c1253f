/* SPDX-License-Identifier: Apache-2.0 */
#include "common/id.h"
#include "requester/document/internal.h"

#include <lunshadow/provider.h>
#include <stdlib.h>
#include <string.h>

#define IDENTIFIER_BYTES_MAX   255 /* the length field of a designator is one byte */
#define INTERCONNECT_BYTES_MAX 4096
#define BLOCK_BYTES_MIN        512
#define BLOCK_BYTES_MAX        ((uint64_t)1024 * 1024)
#define CODE_SET_MAX           15 /* four bits each in page 83 */
#define IDENTIFIER_TYPE_MAX    15

/* By enum vss_disk_label. */
static const char *const label_names[] = {"none", "mbr", "gpt"};

/* ---- writing ---- */

static void write_identity(struct xml_writer *w, xmlNodePtr parent, const struct vss_lun_info *info)
{
    xmlNodePtr node = xml_add(w, parent, w->vss, "LUN_INFORMATION");
    char text[ID_TEXT_BYTES];
    xml_put_plain(w, node, "diskSignature", id_text(&info->disk_signature, text));
    xml_put_unsigned(w, node, "version", info->version);
    xml_put_unsigned(w, node, "deviceType", info->device_type);
    xml_put_unsigned(w, node, "deviceTypeModifier", info->device_type_modifier);
    xml_put_bool(w, node, "commandQueueing", info->command_queueing != 0);
    xml_put_signed(w, node, "busType", info->bus_type);
    xml_put_text(w, node, "vendorId", info->vendor_id);
    xml_put_text(w, node, "productId", info->product_id);
    xml_put_text(w, node, "productRevision", info->product_revision);
    xml_put_text(w, node, "serialNumber", info->serial_number);
    xml_put_unsigned(w, node, "deviceIdVersion", info->device_id.version);
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *from = &info->device_id.identifiers[i];
        xmlNodePtr child = xml_add(w, node, w->own, "IDENTIFIER");
        xml_put_signed(w, child, "codeSet", from->code_set);
        xml_put_signed(w, child, "type", from->type);
        xml_put_bytes(w, child, "bytes", from->identifier, from->identifier_bytes);
    }
    for (uint32_t i = 0; i < info->interconnect_count; i++) {
        const struct vss_interconnect *from = &info->interconnects[i];
        xmlNodePtr child = xml_add(w, node, w->own, "INTERCONNECT");
        xml_put_signed(w, child, "addressType", from->address_type);
        xml_put_bytes(w, child, "port", from->port, from->port_bytes);
        xml_put_bytes(w, child, "address", from->address, from->address_bytes);
    }
}

static void write_ids(struct xml_writer *w, xmlNodePtr parent, const struct vss_disk_ids *ids)
{
    xmlNodePtr node = xml_add(w, parent, w->own, "DISK_IDS");
    bool is_known = ids->kind >= VSS_DISK_LABEL_NONE && ids->kind <= VSS_DISK_LABEL_GPT;
    xml_put_text(w, node, "label", is_known ? label_names[ids->kind] : "unknown");
    xml_put_unsigned(w, node, "mbrSignature", ids->mbr_signature);
    xml_put_id(w, node, "diskGuid", &ids->disk_guid);
    for (uint32_t i = 0; i < ids->partition_count; i++) {
        xmlNodePtr child = xml_add(w, node, w->own, "PARTITION");
        xml_put_unsigned(w, child, "number", ids->partitions[i].number);
        xml_put_id(w, child, "guid", &ids->partitions[i].guid);
        xml_put_unsigned(w, child, "attributes", ids->partitions[i].attributes);
    }
}

static void write_side(struct xml_writer *w, xmlNodePtr parent, const char *name,
                       const struct vss_lun_info *info, const struct vss_disk_ids *ids)
{
    xmlNodePtr node = xml_add(w, parent, w->vss, name);
    write_identity(w, node, info);
    write_ids(w, node, ids);
}

void document_write_lun(struct xml_writer *w, xmlNodePtr parent, size_t index,
                        const struct lun_mapping *lun)
{
    xmlNodePtr node = xml_add(w, parent, w->vss, "LUN_MAPPING");
    xml_put_unsigned(w, node, "lun", index);
    xml_put_text(w, node, "provider", lun->provider);
    xml_put_text(w, node, "array", lun->array);
    xml_put_text(w, node, "sourceUrl", lun->source_url);
    xml_put_text(w, node, "copyUrl", lun->copy_url);
    xml_put_unsigned(w, node, "blockBytes", lun->block_bytes);
    xml_put_unsigned(w, node, "blockCount", lun->block_count);
    xml_put_bool(w, node, "isEmpty", lun->is_empty);
    xml_put_bytes(w, node, "providerState", lun->state, lun->state_bytes);
    write_side(w, node, "SOURCE_LUN", &lun->source, &lun->source_ids);
    write_side(w, node, "DESTINATION_LUN", &lun->copy, &lun->copy_ids);
}

/* ---- reading ---- */

static bool allocate(struct xml_reader *r, size_t count, size_t size, void **out)
{
    if (FAILED(r->status) || count == 0) {
        return false;
    }
    *out = calloc(count, size);
    if (!*out) {
        r->status = error_set(r->err, E_OUTOFMEMORY, "out of memory while reading a document");
    }
    return *out != NULL;
}

static void read_identifiers(struct xml_reader *r, const xmlNode *node,
                             struct vss_storage_device_id_descriptor *out)
{
    size_t count = xml_count(node, DOCUMENT_NS_OWN, "IDENTIFIER");
    if (!allocate(r, count, sizeof(*out->identifiers), (void **)&out->identifiers)) {
        return;
    }
    out->identifier_count = (uint32_t)count;
    const xmlNode *n = xml_first(node, DOCUMENT_NS_OWN, "IDENTIFIER");
    for (size_t i = 0; i < count; i++, n = xml_next(n, DOCUMENT_NS_OWN, "IDENTIFIER")) {
        struct vss_storage_identifier *to = &out->identifiers[i];
        to->code_set = (int32_t)xml_get_signed(r, n, "codeSet", 0, CODE_SET_MAX);
        to->type = (int32_t)xml_get_signed(r, n, "type", 0, IDENTIFIER_TYPE_MAX);
        xml_get_bytes(r, n, "bytes", IDENTIFIER_BYTES_MAX, &to->identifier, &to->identifier_bytes);
    }
}

static void read_interconnects(struct xml_reader *r, const xmlNode *node, struct vss_lun_info *out)
{
    size_t count = xml_count(node, DOCUMENT_NS_OWN, "INTERCONNECT");
    if (!allocate(r, count, sizeof(*out->interconnects), (void **)&out->interconnects)) {
        return;
    }
    out->interconnect_count = (uint32_t)count;
    const xmlNode *n = xml_first(node, DOCUMENT_NS_OWN, "INTERCONNECT");
    for (size_t i = 0; i < count; i++, n = xml_next(n, DOCUMENT_NS_OWN, "INTERCONNECT")) {
        struct vss_interconnect *to = &out->interconnects[i];
        to->address_type = (int32_t)xml_get_signed(r, n, "addressType", 0, VDS_IA_SCSI);
        xml_get_bytes(r, n, "port", INTERCONNECT_BYTES_MAX, &to->port, &to->port_bytes);
        xml_get_bytes(r, n, "address", INTERCONNECT_BYTES_MAX, &to->address, &to->address_bytes);
    }
}

static void read_identity(struct xml_reader *r, const xmlNode *parent, struct vss_lun_info *out)
{
    const xmlNode *node = xml_only(r, parent, DOCUMENT_NS_VSS, "LUN_INFORMATION");
    if (!node) {
        return;
    }
    const char *signature = xml_get_plain(r, node, "diskSignature");
    if (!signature || !id_parse(signature, &out->disk_signature)) {
        xml_refuse(r, node, "attribute diskSignature is not an id");
    }
    out->version = (uint32_t)xml_get_unsigned(r, node, "version", 1);
    out->device_type = (uint8_t)xml_get_unsigned(r, node, "deviceType", UINT8_MAX);
    out->device_type_modifier = (uint8_t)xml_get_unsigned(r, node, "deviceTypeModifier", UINT8_MAX);
    out->command_queueing = xml_get_bool(r, node, "commandQueueing") ? 1 : 0;
    out->bus_type =
        (int32_t)xml_get_signed(r, node, "busType", VDSBusTypeUnknown, VDSBusTypeMaxReserved);
    xml_get_text(r, node, "vendorId", &out->vendor_id);
    xml_get_text(r, node, "productId", &out->product_id);
    xml_get_text(r, node, "productRevision", &out->product_revision);
    xml_get_text(r, node, "serialNumber", &out->serial_number);
    out->device_id.version = (uint32_t)xml_get_unsigned(r, node, "deviceIdVersion", 1);
    read_identifiers(r, node, &out->device_id);
    read_interconnects(r, node, out);
}

static void read_partitions(struct xml_reader *r, const xmlNode *node, struct vss_disk_ids *out)
{
    size_t count = xml_count(node, DOCUMENT_NS_OWN, "PARTITION");
    if (!allocate(r, count, sizeof(*out->partitions), (void **)&out->partitions)) {
        return;
    }
    out->partition_count = (uint32_t)count;
    uint32_t last = 0;
    const xmlNode *n = xml_first(node, DOCUMENT_NS_OWN, "PARTITION");
    for (size_t i = 0; i < count; i++, n = xml_next(n, DOCUMENT_NS_OWN, "PARTITION")) {
        struct vss_partition_id *to = &out->partitions[i];
        to->number = (uint32_t)xml_get_unsigned(r, n, "number", UINT32_MAX);
        xml_get_id(r, n, "guid", &to->guid);
        to->attributes = xml_get_unsigned(r, n, "attributes", UINT64_MAX);
        if (to->number <= last) {
            xml_refuse(r, n, "partitions are not in the order of their numbers");
        }
        last = to->number;
    }
}

static void read_ids(struct xml_reader *r, const xmlNode *parent, struct vss_disk_ids *out)
{
    const xmlNode *node = xml_only(r, parent, DOCUMENT_NS_OWN, "DISK_IDS");
    if (!node) {
        return;
    }
    char *label = NULL;
    xml_get_text(r, node, "label", &label);
    out->kind = -1;
    for (int32_t i = VSS_DISK_LABEL_NONE; label && i <= VSS_DISK_LABEL_GPT; i++) {
        if (strcmp(label, label_names[i]) == 0) {
            out->kind = i;
        }
    }
    free(label);
    if (out->kind < 0) {
        out->kind = VSS_DISK_LABEL_NONE;
        xml_refuse(r, node, "attribute label is not none, mbr or gpt");
    }
    out->mbr_signature = (uint32_t)xml_get_unsigned(r, node, "mbrSignature", UINT32_MAX);
    xml_get_id(r, node, "diskGuid", &out->disk_guid);
    read_partitions(r, node, out);
}

static void read_side(struct xml_reader *r, const xmlNode *parent, const char *name,
                      struct vss_lun_info *info, struct vss_disk_ids *ids)
{
    const xmlNode *node = xml_only(r, parent, DOCUMENT_NS_VSS, name);
    if (node) {
        read_identity(r, node, info);
        read_ids(r, node, ids);
    }
}

static void read_size(struct xml_reader *r, const xmlNode *node, struct lun_mapping *out)
{
    out->block_bytes = xml_get_unsigned(r, node, "blockBytes", BLOCK_BYTES_MAX);
    out->block_count = xml_get_unsigned(r, node, "blockCount", UINT64_MAX);
    if (FAILED(r->status)) {
        return;
    }
    if (out->block_bytes < BLOCK_BYTES_MIN || (out->block_bytes & (out->block_bytes - 1)) != 0) {
        xml_refuse(r, node, "attribute blockBytes is not a power of two from %d", BLOCK_BYTES_MIN);
    } else if (out->block_count == 0 || out->block_count > UINT64_MAX / out->block_bytes) {
        xml_refuse(r, node, "attribute blockCount is no size of a LUN");
    }
}

void document_read_lun(struct xml_reader *r, const xmlNode *node, struct lun_mapping *out)
{
    xml_get_text(r, node, "provider", &out->provider);
    xml_get_text(r, node, "array", &out->array);
    xml_get_text(r, node, "sourceUrl", &out->source_url);
    xml_get_text(r, node, "copyUrl", &out->copy_url);
    document_check_url(r, node, "sourceUrl", out->source_url);
    document_check_url(r, node, "copyUrl", out->copy_url);
    read_size(r, node, out);
    out->is_empty = xml_get_bool(r, node, "isEmpty");
    xml_get_bytes(r, node, "providerState", VSS_PROVIDER_STATE_BYTES_MAX, &out->state,
                  &out->state_bytes);
    read_side(r, node, "SOURCE_LUN", &out->source, &out->source_ids);
    read_side(r, node, "DESTINATION_LUN", &out->copy, &out->copy_ids);
}

void document_check_url(struct xml_reader *r, const xmlNode *node, const char *name,
                        const char *url)
{
    static const char scheme[] = "iscsi://";
    if (url && strncmp(url, scheme, sizeof(scheme) - 1) == 0 && strchr(url, '@')) {
        xml_refuse(r, node, "attribute %s carries a user; secrets belong into the configuration",
                   name);
    }
}

/* ---- comparing ---- */

/* The element as text; the same for what is the same. NULL when memory is short. */
static xmlBufferPtr lun_text(const struct lun_mapping *lun)
{
    xmlDocPtr xml = xmlNewDoc(BAD_CAST "1.0");
    xmlNodePtr root = xml ? xmlNewDocNode(xml, NULL, BAD_CAST "root", NULL) : NULL;
    xmlBufferPtr buffer = xmlBufferCreate();
    if (root) {
        (void)xmlDocSetRootElement(xml, root);
    }
    struct xml_writer w = {NULL, NULL, root && buffer ? S_OK : E_OUTOFMEMORY};
    if (SUCCEEDED(w.status)) {
        w.vss = xmlNewNs(root, BAD_CAST DOCUMENT_NS_VSS, BAD_CAST "vss");
        w.own = xmlNewNs(root, BAD_CAST DOCUMENT_NS_OWN, BAD_CAST "own");
        document_write_lun(&w, root, 0, lun);
    }
    if (FAILED(w.status) || !w.vss || !w.own || xmlNodeDump(buffer, xml, root, 0, 0) < 0) {
        xmlBufferFree(buffer);
        buffer = NULL;
    }
    xmlFreeDoc(xml);
    return buffer;
}

HRESULT document_same_lun(const struct lun_mapping *a, const struct lun_mapping *b, bool *out)
{
    xmlBufferPtr first = lun_text(a);
    xmlBufferPtr second = lun_text(b);
    HRESULT hr = first && second ? S_OK : E_OUTOFMEMORY;
    *out = SUCCEEDED(hr) && xmlStrEqual(xmlBufferContent(first), xmlBufferContent(second));
    xmlBufferFree(first);
    xmlBufferFree(second);
    return hr;
}
