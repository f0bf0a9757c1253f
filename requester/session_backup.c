/* SPDX-License-Identifier: Apache-2.0 */

/* How a session begins: initialize, context, backup state; and the writer metadata it gathered. */

#include "requester/session.h"

#include <string.h>

/* The bits that make a context, without what may be or-ed in. */
#define CONTEXT_BITS                                                                               \
    (VSS_VOLSNAP_ATTR_PERSISTENT | VSS_VOLSNAP_ATTR_CLIENT_ACCESSIBLE |                            \
     VSS_VOLSNAP_ATTR_NO_AUTO_RELEASE | VSS_VOLSNAP_ATTR_NO_WRITERS)
#define MODIFIER_BITS                                                                              \
    (VSS_VOLSNAP_ATTR_TRANSPORTABLE | VSS_VOLSNAP_ATTR_DIFFERENTIAL | VSS_VOLSNAP_ATTR_PLEX |      \
     VSS_VOLSNAP_ATTR_NO_AUTORECOVERY | VSS_VOLSNAP_ATTR_NOT_TRANSACTED |                          \
     VSS_VOLSNAP_ATTR_ROLLBACK_RECOVERY | VSS_VOLSNAP_ATTR_TXF_RECOVERY)

/* ---- initialize ---- */

/* xml NULL: a new document. */
static HRESULT take_document(struct vss_backup_components *session, const char *xml)
{
    struct document *document = NULL;
    struct set_record set = {0};
    struct document_session values = {0};
    HRESULT hr = xml ? document_load(xml, strlen(xml), &document, &session->err)
                     : document_new(&document, &session->err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = document_get_session(document, &values, &session->err);
    if (SUCCEEDED(hr)) {
        hr = document_get_set(document, &set, &session->err);
    }
    if (FAILED(hr)) {
        document_free(document);
        return hr;
    }
    session->document = document;
    session->document_set = set;
    session_note_selection(session, values.select_components);
    if (set.snapshot_count > 0) {
        session_add_conditions(session, SESSION_DOCUMENT);
    }
    return S_OK;
}

HRESULT vss_backup_components_initialize_for_backup(struct vss_backup_components *session,
                                                    const char *xml)
{
    HRESULT hr = session_begin(session, METHOD_INITIALIZE_FOR_BACKUP);
    if (FAILED(hr)) {
        return hr;
    }
    hr = take_document(session, xml);
    return session_end(session, METHOD_INITIALIZE_FOR_BACKUP, hr);
}

HRESULT vss_backup_components_initialize_for_restore(struct vss_backup_components *session,
                                                     const char *xml)
{
    HRESULT hr = session_begin(session, METHOD_INITIALIZE_FOR_RESTORE);
    if (FAILED(hr)) {
        return hr;
    }
    hr = xml ? take_document(session, xml) : session_null_argument(session, "xml");
    return session_end(session, METHOD_INITIALIZE_FOR_RESTORE, hr);
}

/* ---- context and backup state ---- */

static bool is_context(uint32_t bits)
{
    return bits == VSS_CTX_BACKUP || bits == VSS_CTX_FILE_SHARE_BACKUP ||
           bits == VSS_CTX_NAS_ROLLBACK || bits == VSS_CTX_APP_ROLLBACK ||
           bits == VSS_CTX_CLIENT_ACCESSIBLE || bits == VSS_CTX_CLIENT_ACCESSIBLE_WRITERS;
}

static HRESULT check_context(uint32_t context, struct error *err)
{
    if (context == VSS_CTX_ALL) {
        return S_OK;
    }
    uint32_t modifiers = context & ~(uint32_t)CONTEXT_BITS;
    if (!is_context(context & CONTEXT_BITS)) {
        return error_set(err, E_INVALIDARG, "0x%x is not a context", context);
    }
    if (modifiers & ~(uint32_t)MODIFIER_BITS) {
        return error_set(err, E_INVALIDARG,
                         "context 0x%x has attributes that a requester cannot choose: 0x%x",
                         context, modifiers & ~(uint32_t)MODIFIER_BITS);
    }
    if (modifiers && (context & VSS_VOLSNAP_ATTR_CLIENT_ACCESSIBLE)) {
        return error_set(err, E_INVALIDARG,
                         "client-accessible contexts take no further attributes (0x%x)", modifiers);
    }
    uint32_t methods = VSS_VOLSNAP_ATTR_DIFFERENTIAL | VSS_VOLSNAP_ATTR_PLEX;
    if ((modifiers & methods) == methods) {
        return error_set(err, E_INVALIDARG, "a copy is differential or a plex, not both");
    }
    return S_OK;
}

HRESULT vss_backup_components_set_context(struct vss_backup_components *session, uint32_t context)
{
    HRESULT hr = session_begin(session, METHOD_SET_CONTEXT);
    if (FAILED(hr)) {
        return hr;
    }
    hr = check_context(context, &session->err);
    if (SUCCEEDED(hr)) {
        session->context = context;
        if (context == VSS_CTX_ALL) {
            session_add_conditions(session, SESSION_ALL);
        } else if (context & VSS_VOLSNAP_ATTR_NO_WRITERS) {
            session_add_conditions(session, SESSION_NO_WRITERS);
        }
    }
    return session_end(session, METHOD_SET_CONTEXT, hr);
}

HRESULT vss_backup_components_set_backup_state(struct vss_backup_components *session,
                                               bool select_components,
                                               bool backup_bootable_system_state,
                                               int32_t backup_type, bool partial_file_support)
{
    HRESULT hr = session_begin(session, METHOD_SET_BACKUP_STATE);
    if (FAILED(hr)) {
        return hr;
    }
    struct document_session values = {0};
    if (backup_type <= VSS_BT_UNDEFINED || backup_type > VSS_BT_OTHER) {
        hr = error_set(&session->err, E_INVALIDARG, "%d is not a type of backup", backup_type);
        goto out;
    }
    hr = document_get_session(session->document, &values, &session->err);
    if (FAILED(hr)) {
        goto out;
    }
    values.select_components = select_components;
    values.bootable_system_state = backup_bootable_system_state;
    values.backup_type = backup_type;
    values.partial_file_support = partial_file_support;
    hr = document_set_session(session->document, &values, &session->err);
    if (SUCCEEDED(hr)) {
        session_note_selection(session, select_components);
    }
out:
    return session_end(session, METHOD_SET_BACKUP_STATE, hr);
}

/* ---- writer metadata ---- */

HRESULT vss_backup_components_get_writer_metadata_count(struct vss_backup_components *session,
                                                        uint32_t *out_writers)
{
    if (out_writers) {
        *out_writers = 0;
    }
    HRESULT hr = session_begin(session, METHOD_GET_WRITER_METADATA_COUNT);
    if (FAILED(hr)) {
        return hr;
    }
    if (out_writers) {
        *out_writers = (uint32_t)session->writers.count;
    } else {
        hr = session_null_argument(session, "out_writers");
    }
    return session_end(session, METHOD_GET_WRITER_METADATA_COUNT, hr);
}

HRESULT vss_backup_components_free_writer_metadata(struct vss_backup_components *session)
{
    HRESULT hr = session_begin(session, METHOD_FREE_WRITER_METADATA);
    if (FAILED(hr)) {
        return hr;
    }
    return session_end(session, METHOD_FREE_WRITER_METADATA, S_OK);
}
