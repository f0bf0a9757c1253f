/* SPDX-License-Identifier: Apache-2.0 */
/* The drill of a database as a client of the requester API. */
#include "drill/postgresql_internal.h"

#include "common/clock.h"

#include <lunshadow/metadata.h>
#include <stdlib.h>
#include <string.h>

#define WRITER    "PostgreSQL"
#define COMPONENT "cluster" /* of the writer: a file group without logical path */

/* ---- the writer ---- */

struct writer {
    VSS_ID instance_id;
    VSS_ID class_id;
};

static HRESULT find_writer(struct vss_backup_components *s, struct writer *out, struct error *err)
{
    uint32_t count = 0;
    bool is_found = false;
    HRESULT hr = drill_call(s, vss_backup_components_get_writer_metadata_count(s, &count),
                            "GetWriterMetadataCount", err);
    for (uint32_t i = 0; i < count && SUCCEEDED(hr) && !is_found; i++) {
        struct vss_examine_writer_metadata *metadata = NULL;
        char *name = NULL;
        int32_t usage = 0;
        int32_t source = 0;
        hr = drill_call(
            s, vss_backup_components_get_writer_metadata(s, i, &out->instance_id, &metadata),
            "GetWriterMetadata", err);
        if (SUCCEEDED(hr)) {
            hr = vss_examine_writer_metadata_get_identity(metadata, &out->instance_id,
                                                          &out->class_id, &name, &usage, &source);
        }
        is_found = SUCCEEDED(hr) && strcmp(name, WRITER) == 0;
        vss_free_string(name);
        vss_examine_writer_metadata_release(metadata);
    }
    return FAILED(hr) || is_found
               ? hr
               : error_set(err, VSS_E_OBJECT_NOT_FOUND, "no writer " WRITER " answered");
}

/* What the writer itself says: an event that it failed at is no failure of the method. */
static HRESULT check_writer(struct pg_drill *p, struct vss_backup_components *s,
                            const struct writer *w, const char *event, struct error *err)
{
    VSS_ID instance;
    VSS_ID class_id;
    char *name = NULL;
    char *message = NULL;
    int32_t state = 0;
    HRESULT failure = E_FAIL;
    HRESULT application = S_OK;
    uint32_t count = 0;
    HRESULT hr = drill_async(&p->base, s, "GatherWriterStatus",
                             vss_backup_components_gather_writer_status, err);
    if (SUCCEEDED(hr)) {
        hr = drill_call(s, vss_backup_components_get_writer_status_count(s, &count),
                        "GetWriterStatusCount", err);
    }
    for (uint32_t i = 0; i < count && SUCCEEDED(hr) && FAILED(failure); i++) {
        vss_free_string(name);
        vss_free_string(message);
        hr = drill_call(s,
                        vss_backup_components_get_writer_status_ex(s, i, &instance, &class_id,
                                                                   &name, &state, &failure,
                                                                   &application, &message),
                        "GetWriterStatusEx", err);
        if (SUCCEEDED(hr) && memcmp(&class_id, &w->class_id, sizeof(class_id)) != 0) {
            failure = E_FAIL;
        }
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(p->base.report, "the writer did its part", failure == S_OK, "%s%s%s",
                           event, message && *message ? ": " : "", message ? message : "");
        hr = failure == S_OK ? S_OK : error_set(err, failure, "the writer failed at %s", event);
    }
    vss_free_string(name);
    vss_free_string(message);
    (void)vss_backup_components_free_writer_status(s);
    return hr;
}

/* ---- create ---- */

static HRESULT begin(struct pg_drill *p, struct vss_backup_components *s, struct writer *w,
                     struct error *err)
{
    uint32_t context = VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE;
    HRESULT hr = drill_call(s, vss_backup_components_set_context(s, context), "SetContext", err);
    if (SUCCEEDED(hr)) {
        hr = drill_call(s,
                        vss_backup_components_set_backup_state(s, true, false, VSS_BT_FULL, false),
                        "SetBackupState", err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_async(&p->base, s, "GatherWriterMetadata",
                         vss_backup_components_gather_writer_metadata, err);
    }
    if (SUCCEEDED(hr)) {
        hr = find_writer(s, w, err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_call(s,
                        vss_backup_components_add_component(s, &w->instance_id, &w->class_id,
                                                            VSS_CT_FILEGROUP, NULL, COMPONENT),
                        "AddComponent", err);
    }
    return hr;
}

/* Volumes as this host knows them: by their mount points. */
static HRESULT add_volumes(struct pg_drill *p, struct vss_backup_components *s, struct error *err)
{
    HRESULT hr = drill_call(s, vss_backup_components_start_snapshot_set(s, &p->set_id),
                            "StartSnapshotSet", err);
    for (size_t i = 0; i < PG_VOLUMES && SUCCEEDED(hr); i++) {
        hr = drill_call(s,
                        vss_backup_components_add_to_snapshot_set(s, p->volumes[i].mount_path, NULL,
                                                                  &p->snapshots[i]),
                        "AddToSnapshotSet", err);
    }
    return hr;
}

static HRESULT commit(struct pg_drill *p, struct vss_backup_components *s, const struct writer *w,
                      struct error *err)
{
    HRESULT hr =
        drill_async(&p->base, s, "PrepareForBackup", vss_backup_components_prepare_for_backup, err);
    p->before_cut_us = clock_monotonic_us();
    if (SUCCEEDED(hr)) {
        hr = drill_async(&p->base, s, "DoSnapshotSet", vss_backup_components_do_snapshot_set, err);
    }
    p->after_cut_us = clock_monotonic_us();
    if (SUCCEEDED(hr)) {
        p->has_set = true;
        hr = check_writer(p, s, w, "freeze and thaw", err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_call(s,
                        vss_backup_components_set_backup_succeeded(s, &w->instance_id, &w->class_id,
                                                                   VSS_CT_FILEGROUP, NULL,
                                                                   COMPONENT, true),
                        "SetBackupSucceeded", err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_async(&p->base, s, "BackupComplete", vss_backup_components_backup_complete, err);
    }
    return SUCCEEDED(hr)
               ? drill_call(s, vss_backup_components_save_as_xml(s, &p->xml), "SaveAsXML", err)
               : hr;
}

HRESULT pg_create(struct pg_drill *p, struct error *err)
{
    struct vss_backup_components *s = NULL;
    struct writer writer = {0};
    HRESULT hr = drill_session(&p->base, NULL, false, &s, err);
    if (SUCCEEDED(hr)) {
        hr = begin(p, s, &writer, err);
    }
    if (SUCCEEDED(hr)) {
        hr = add_volumes(p, s, err);
    }
    if (SUCCEEDED(hr)) {
        hr = commit(p, s, &writer, err);
    }
    vss_backup_components_release(s);
    return hr;
}

/* ---- recover ---- */

static HRESULT add_members(struct pg_drill *p, struct vss_backup_components *s, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < PG_VOLUMES && SUCCEEDED(hr); i++) {
        hr = drill_call(
            s, vss_backup_components_add_snapshot_to_recovery_set(s, &p->snapshots[i], 0, NULL),
            "AddSnapshotToRecoverySet", err);
    }
    return hr;
}

static HRESULT recover_set(struct pg_drill *p, struct vss_backup_components *s, struct error *err)
{
    struct vss_async *async = NULL;
    uint64_t started_us = clock_monotonic_us();
    HRESULT hr = vss_backup_components_recover_set(s, 0, &async);
    hr = drill_wait(&p->base, s, hr, async, "RecoverSet", NULL, err);
    p->recovery_us = clock_monotonic_us() - started_us;
    return hr;
}

HRESULT pg_recover_mounted(struct pg_drill *p, struct error *err)
{
    struct vss_backup_components *s = NULL;
    HRESULT hr = drill_session(&p->base, p->xml, true, &s, err);
    if (SUCCEEDED(hr)) {
        hr = add_members(p, s, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recover_set(p, s, err);
    }
    vss_backup_components_release(s);
    return hr;
}

static HRESULT tell_before(struct pg_drill *p, struct vss_backup_components *s, struct writer *w,
                           struct error *err)
{
    HRESULT hr = drill_async(&p->base, s, "GatherWriterMetadata",
                             vss_backup_components_gather_writer_metadata, err);
    if (SUCCEEDED(hr)) {
        hr = find_writer(s, w, err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_call(s,
                        vss_backup_components_set_selected_for_restore(
                            s, &w->class_id, VSS_CT_FILEGROUP, NULL, COMPONENT, true),
                        "SetSelectedForRestore", err);
    }
    p->down_since_us = clock_monotonic_us();
    if (SUCCEEDED(hr)) {
        hr = drill_async(&p->base, s, "PreRestore", vss_backup_components_pre_restore, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_writer(p, s, w, "PreRestore", err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(p->base.report, "the server is down", !pg_server_answers(&p->server),
                           "after PreRestore");
    }
    return hr;
}

static HRESULT reopen(struct pg_drill *p, struct error *err)
{
    HRESULT hr = pg_volumes_export(p, err);
    if (SUCCEEDED(hr)) {
        hr = pg_volumes_check(p, err);
    }
    return SUCCEEDED(hr) ? pg_volumes_mount(p, err) : hr;
}

static HRESULT tell_after(struct pg_drill *p, struct vss_backup_components *s,
                          const struct writer *w, struct error *err)
{
    HRESULT hr = drill_async(&p->base, s, "PostRestore", vss_backup_components_post_restore, err);
    return SUCCEEDED(hr) ? check_writer(p, s, w, "PostRestore", err) : hr;
}

HRESULT pg_recover(struct pg_drill *p, struct error *err)
{
    struct vss_backup_components *s = NULL;
    struct writer writer = {0};
    HRESULT hr = drill_session(&p->base, p->xml, true, &s, err);
    if (SUCCEEDED(hr)) {
        hr = tell_before(p, s, &writer, err);
    }
    if (SUCCEEDED(hr)) {
        hr = pg_volumes_unmount(p, err);
    }
    if (SUCCEEDED(hr)) {
        hr = add_members(p, s, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recover_set(p, s, err);
    }
    if (SUCCEEDED(hr)) {
        hr = reopen(p, err);
    }
    if (SUCCEEDED(hr)) {
        hr = tell_after(p, s, &writer, err);
    }
    vss_backup_components_release(s);
    return hr;
}

HRESULT pg_delete(struct pg_drill *p, struct error *err)
{
    int32_t deleted = 0;
    HRESULT hr = drill_delete(&p->base, &p->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, err);
    if (SUCCEEDED(hr) && deleted != PG_VOLUMES) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%d of %d copies were deleted", deleted, PG_VOLUMES);
    }
    p->has_set = FAILED(hr);
    return hr;
}
