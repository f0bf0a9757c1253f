/* SPDX-License-Identifier: Apache-2.0 */

/* Copies as mounts of this host. */
#include "provider/set/expose.h"
#include "requester/session.h"

static HRESULT check_arguments(struct vss_backup_components *session, const char *path_from_root,
                               int32_t attributes, const char *expose)
{
    if (attributes == VSS_VOLSNAP_ATTR_EXPOSED_REMOTELY) {
        return error_set(&session->err, E_INVALIDARG,
                         "this host has no file shares of its own: expose locally, and share that "
                         "directory");
    }
    if (attributes != VSS_VOLSNAP_ATTR_EXPOSED_LOCALLY) {
        return error_set(&session->err, E_INVALIDARG,
                         "attributes must be EXPOSED_LOCALLY, not 0x%x", (unsigned)attributes);
    }
    if (path_from_root) {
        return error_set(&session->err, E_INVALIDARG,
                         "a local exposure shows the whole volume: path_from_root must be NULL");
    }
    if (expose[0] != '/') {
        return error_set(&session->err, E_INVALIDARG,
                         "%.200s is not an absolute path: a local exposure is a directory, not a "
                         "share",
                         expose);
    }
    return S_OK;
}

HRESULT vss_backup_components_expose_snapshot(struct vss_backup_components *session,
                                              const VSS_ID *snapshot_id, const char *path_from_root,
                                              int32_t attributes, const char *expose,
                                              char **out_exposed)
{
    if (out_exposed) {
        *out_exposed = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_EXPOSE_SNAPSHOT);
    if (FAILED(hr)) {
        return hr;
    }
    if (!snapshot_id || !expose || !out_exposed) {
        hr = session_null_argument(session, "snapshot_id, expose or out_exposed");
    } else {
        hr = check_arguments(session, path_from_root, attributes, expose);
    }
    if (SUCCEEDED(hr)) {
        hr = set_expose(session->env, snapshot_id, expose, out_exposed, &session->err);
    }
    return session_end(session, METHOD_EXPOSE_SNAPSHOT, hr);
}

HRESULT vss_backup_components_unexpose_snapshot(struct vss_backup_components *session,
                                                const VSS_ID *snapshot_id)
{
    HRESULT hr = session_begin(session, METHOD_UNEXPOSE_SNAPSHOT);
    if (FAILED(hr)) {
        return hr;
    }
    hr = snapshot_id ? set_unexpose(session->env, snapshot_id, &session->err)
                     : session_null_argument(session, "snapshot_id");
    return session_end(session, METHOD_UNEXPOSE_SNAPSHOT, hr);
}
