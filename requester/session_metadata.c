/* SPDX-License-Identifier: Apache-2.0 */

/* What a session tells of its writers; documents as bytes. */

#include "requester/metadata_objects.h"
#include "requester/session.h"

#include "common/buffer.h"
#include "common/id.h"

/* The parts that every document of a writer has are looked at before it is given out. */
static HRESULT make_examine(struct vss_backup_components *session, uint32_t index,
                            struct vss_examine_writer_metadata **out)
{
    if (index >= session->writers.count) {
        return error_set(&session->err, VSS_E_OBJECT_NOT_FOUND,
                         "there is no writer %u; there are %zu, from 0", index,
                         session->writers.count);
    }
    const struct gathered_writer *writer = &session->writers.items[index];
    HRESULT hr = metadata_check(writer->metadata, &session->err);
    if (FAILED(hr)) {
        error_prefix(&session->err, "writer %.100s", writer->name);
        return hr;
    }
    struct writer_classes *classes = NULL;
    hr = writer_classes_new(&session->writers, &classes);
    if (SUCCEEDED(hr)) {
        hr = examine_new(writer->metadata, classes, out);
    }
    writer_classes_release(classes);
    return FAILED(hr) ? error_set(&session->err, hr, "out of memory") : S_OK;
}

static HRESULT get_writer_metadata(struct vss_backup_components *session,
                                   enum session_method method, uint32_t index,
                                   VSS_ID *out_instance_id,
                                   struct vss_examine_writer_metadata **out)
{
    if (out_instance_id) {
        *out_instance_id = id_null;
    }
    if (out) {
        *out = NULL;
    }
    HRESULT hr = session_begin(session, method);
    if (FAILED(hr)) {
        return hr;
    }
    if (!out_instance_id || !out) {
        hr = session_null_argument(session, out ? "out_instance_id" : "out");
        goto out;
    }
    hr = make_examine(session, index, out);
    if (SUCCEEDED(hr)) {
        *out_instance_id = session->writers.items[index].instance_id;
    }
out:
    return session_end(session, method, hr);
}

HRESULT vss_backup_components_get_writer_metadata(struct vss_backup_components *session,
                                                  uint32_t index, VSS_ID *out_instance_id,
                                                  struct vss_examine_writer_metadata **out)
{
    return get_writer_metadata(session, METHOD_GET_WRITER_METADATA, index, out_instance_id, out);
}

HRESULT vss_backup_components_get_writer_metadata_ex(struct vss_backup_components *session,
                                                     uint32_t index, VSS_ID *out_instance_id,
                                                     struct vss_examine_writer_metadata **out)
{
    return get_writer_metadata(session, METHOD_GET_WRITER_METADATA_EX, index, out_instance_id, out);
}

HRESULT vss_read_document(const void *bytes, size_t length, char **out_xml, char **out_error)
{
    if (out_error) {
        *out_error = NULL;
    }
    if (!out_xml) {
        return E_INVALIDARG;
    }
    *out_xml = NULL;
    struct error err = {0};
    xmlDocPtr xml = NULL;
    HRESULT hr = bytes ? document_parse(bytes, length, &xml, &err)
                       : error_set(&err, E_INVALIDARG, "bytes is NULL");
    if (SUCCEEDED(hr)) {
        hr = document_serialise(xmlDocGetRootElement(xml), out_xml, &err);
    }
    xmlFreeDoc(xml);
    if (FAILED(hr) && out_error) {
        *out_error = text_copy(error_text(&err));
    }
    return hr == VSS_E_CORRUPT_XML_DOCUMENT ? VSS_E_INVALID_XML_DOCUMENT : hr;
}
