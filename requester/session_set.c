/* SPDX-License-Identifier: Apache-2.0 */

/* Snapshot sets of a session: made, imported, broken, deleted. */

#include "requester/session_writers.h"

#include "common/id.h"

#include <stdlib.h>

#define BREAK_FLAGS                                                                                \
    (VSS_BREAKEX_FLAG_MASK_LUNS | VSS_BREAKEX_FLAG_MAKE_READ_WRITE |                               \
     VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL | VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE)

/* ---- making ---- */

static void give_up_set(struct vss_backup_components *session)
{
    set_builder_free(session->builder);
    session->builder = NULL;
    session->set_id = id_null;
    if (session->document) {
        /* removing an attribute cannot fail */
        (void)session_note_set(session, NULL, NULL);
    }
}

HRESULT vss_backup_components_start_snapshot_set(struct vss_backup_components *session,
                                                 VSS_ID *out_set_id)
{
    if (out_set_id) {
        *out_set_id = id_null;
    }
    HRESULT hr = session_begin(session, METHOD_START_SNAPSHOT_SET);
    if (FAILED(hr)) {
        return hr;
    }
    if (!out_set_id) {
        hr = session_null_argument(session, "out_set_id");
        goto out;
    }
    hr = set_start(session->env, session->context, &session->builder, &session->set_id,
                   &session->err);
    if (hr == VSS_E_UNSUPPORTED_CONTEXT) {
        hr = error_translate(&session->err, VSS_E_BAD_STATE); /* as VSS_CTX_ALL */
    }
    if (FAILED(hr)) {
        goto out;
    }
    hr = session_note_set(session, &session->set_id, &session->err);
    if (FAILED(hr)) {
        give_up_set(session);
        goto out;
    }
    *out_set_id = session->set_id;
out:
    return session_end(session, METHOD_START_SNAPSHOT_SET, hr);
}

HRESULT vss_backup_components_add_to_snapshot_set(struct vss_backup_components *session,
                                                  const char *volume, const VSS_ID *provider_id,
                                                  VSS_ID *out_snapshot_id)
{
    if (out_snapshot_id) {
        *out_snapshot_id = id_null;
    }
    HRESULT hr = session_begin(session, METHOD_ADD_TO_SNAPSHOT_SET);
    if (FAILED(hr)) {
        return hr;
    }
    if (!volume || !out_snapshot_id) {
        hr = session_null_argument(session, volume ? "out_snapshot_id" : "volume");
    } else {
        hr = set_add_volume(session->builder, volume, provider_id, out_snapshot_id, &session->err);
    }
    return session_end(session, METHOD_ADD_TO_SNAPSHOT_SET, hr);
}

/* Such copies are the Windows system provider's; no array makes them. */
static bool is_client_accessible(const struct vss_backup_components *session)
{
    return session->context != VSS_CTX_ALL &&
           (session->context & VSS_VOLSNAP_ATTR_CLIENT_ACCESSIBLE);
}

HRESULT vss_backup_components_is_volume_supported(struct vss_backup_components *session,
                                                  const VSS_ID *provider_id, const char *volume,
                                                  bool *out_supported)
{
    if (out_supported) {
        *out_supported = false;
    }
    HRESULT hr = session_begin(session, METHOD_IS_VOLUME_SUPPORTED);
    if (FAILED(hr)) {
        return hr;
    }
    if (!volume || !out_supported) {
        hr = session_null_argument(session, volume ? "out_supported" : "volume");
    } else if (!is_client_accessible(session)) {
        hr = set_is_volume_supported(session->env, volume, provider_id, out_supported,
                                     &session->err);
    }
    return session_end(session, METHOD_IS_VOLUME_SUPPORTED, hr);
}

HRESULT vss_backup_components_abort_backup(struct vss_backup_components *session)
{
    HRESULT hr = session_begin_abort(session, METHOD_ABORT_BACKUP);
    if (FAILED(hr)) {
        return hr;
    }
    writers_abort(session->writer_host);
    writers_report(session->writer_host, session->env->store);
    if (session->builder) {
        give_up_set(session);
    }
    return session_end(session, METHOD_ABORT_BACKUP, S_OK);
}

/* Room for the id of a set to delete at the end; before the copies exist, because after that
 * nothing may fail for want of memory. */
static HRESULT reserve_release(struct vss_backup_components *session, struct error *err)
{
    VSS_ID *grown = realloc(session->released_sets,
                            (session->released_count + 1) * sizeof(*session->released_sets));
    if (!grown) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while making a set");
    }
    session->released_sets = grown;
    return S_OK;
}

/* A set that cannot be described must not stay behind. */
static HRESULT describe_set(struct vss_backup_components *session, const struct set_record *set,
                            struct error *err)
{
    if ((session->context & VSS_VOLSNAP_ATTR_TRANSPORTABLE) == 0) {
        return S_OK;
    }
    HRESULT hr = document_set_set(session->document, set, err);
    if (FAILED(hr)) {
        int32_t deleted = 0;
        atomic_store(&session->env->cancelled, false);
        (void)set_delete(session->env, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, NULL);
    }
    return hr;
}

static HRESULT commit_set(struct vss_backup_components *session, struct error *err)
{
    struct set_record set = {0};
    struct set_hooks hooks = session_writer_hooks(session);
    bool is_released = (session->context & VSS_VOLSNAP_ATTR_NO_AUTO_RELEASE) == 0;
    HRESULT hr = reserve_release(session, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = set_commit(session->builder, &hooks, &set, err);
    if (SUCCEEDED(hr) && set.snapshot_count == 0) {
        hr = session_tell_empty_set(session, err);
    }
    if (FAILED(hr)) {
        goto out;
    }
    HRESULT described = describe_set(session, &set, err);
    if (FAILED(described)) {
        hr = described;
        goto out;
    }
    if (is_released) {
        session->released_sets[session->released_count++] = set.set_id;
    }
out:
    set_builder_free(session->builder);
    session->builder = NULL;
    set_record_free(&set);
    session_end_sequence(session, hr);
    if (FAILED(hr)) {
        give_up_set(session);
    }
    return hr;
}

HRESULT vss_backup_components_do_snapshot_set(struct vss_backup_components *session,
                                              struct vss_async **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_DO_SNAPSHOT_SET);
    if (FAILED(hr)) {
        return hr;
    }
    if (!out) {
        return session_null_argument(session, "out");
    }
    return session_run(session, METHOD_DO_SNAPSHOT_SET, commit_set, out);
}

/* ---- importing ---- */

static HRESULT import_set(struct vss_backup_components *session, struct error *err)
{
    return set_import(session->env, &session->document_set, err);
}

HRESULT vss_backup_components_import_snapshots(struct vss_backup_components *session,
                                               struct vss_async **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_IMPORT_SNAPSHOTS);
    if (FAILED(hr)) {
        return hr;
    }
    if (!out) {
        return session_null_argument(session, "out");
    }
    return session_run(session, METHOD_IMPORT_SNAPSHOTS, import_set, out);
}

/* ---- breaking ---- */

static HRESULT check_break(struct vss_backup_components *session, const VSS_ID *set_id,
                           uint32_t flags)
{
    const uint32_t reverts =
        VSS_BREAKEX_FLAG_REVERT_IDENTITY_ALL | VSS_BREAKEX_FLAG_REVERT_IDENTITY_NONE;
    if (flags & ~(uint32_t)BREAK_FLAGS) {
        return error_set(&session->err, E_INVALIDARG, "0x%x are not flags of a break",
                         flags & ~(uint32_t)BREAK_FLAGS);
    }
    if ((flags & reverts) == reverts) {
        return error_set(&session->err, E_INVALIDARG,
                         "a break reverts all identities or none, not both");
    }
    if ((flags & VSS_BREAKEX_FLAG_MASK_LUNS) && flags != VSS_BREAKEX_FLAG_MASK_LUNS) {
        return error_set(&session->err, E_INVALIDARG,
                         "masking LUNs goes with no other flag of a break");
    }
    struct set_record set = {0};
    HRESULT hr = sets_load(session->env->store, set_id, &set, &session->err);
    set_record_free(&set);
    return hr;
}

HRESULT vss_backup_components_break_snapshot_set(struct vss_backup_components *session,
                                                 const VSS_ID *set_id)
{
    HRESULT hr = session_begin(session, METHOD_BREAK_SNAPSHOT_SET);
    if (FAILED(hr)) {
        return hr;
    }
    hr = set_id ? set_break(session->env, set_id, 0, &session->err)
                : session_null_argument(session, "set_id");
    return session_end(session, METHOD_BREAK_SNAPSHOT_SET, hr);
}

static HRESULT break_set(struct vss_backup_components *session, struct error *err)
{
    return set_break(session->env, &session->argument_id, session->argument_flags, err);
}

HRESULT vss_backup_components_break_snapshot_set_ex(struct vss_backup_components *session,
                                                    const VSS_ID *set_id, uint32_t flags,
                                                    struct vss_async **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_BREAK_SNAPSHOT_SET_EX);
    if (FAILED(hr)) {
        return hr;
    }
    if (!set_id || !out) {
        return session_null_argument(session, set_id ? "out" : "set_id");
    }
    hr = check_break(session, set_id, flags);
    if (FAILED(hr)) {
        return session_end(session, METHOD_BREAK_SNAPSHOT_SET_EX, hr);
    }
    session->argument_id = *set_id;
    session->argument_flags = flags;
    return session_run(session, METHOD_BREAK_SNAPSHOT_SET_EX, break_set, out);
}

/* ---- deleting ---- */

HRESULT vss_backup_components_delete_snapshots(struct vss_backup_components *session,
                                               const VSS_ID *object_id, int32_t object_type,
                                               bool force, int32_t *out_deleted,
                                               VSS_ID *out_nondeleted)
{
    (void)force; /* as the header says */
    if (out_deleted) {
        *out_deleted = 0;
    }
    if (out_nondeleted) {
        *out_nondeleted = id_null;
    }
    HRESULT hr = session_begin(session, METHOD_DELETE_SNAPSHOTS);
    if (FAILED(hr)) {
        return hr;
    }
    if (!object_id || !out_deleted || !out_nondeleted) {
        hr = session_null_argument(session, "object_id, out_deleted or out_nondeleted");
    } else {
        hr = set_delete(session->env, object_id, object_type, out_deleted, out_nondeleted,
                        &session->err);
    }
    return session_end(session, METHOD_DELETE_SNAPSHOTS, hr);
}
