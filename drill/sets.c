/* SPDX-License-Identifier: Apache-2.0 */
/* The drill as a client of the requester API. */
#include "common/clock.h"
#include "common/id.h"
#include "drill/internal.h"

#include <stdlib.h>
#include <string.h>

#define POLL_MS  100u
#define WAIT_MS  120000u /* for another import on this machine */
#define PAUSE_MS 200u
#define TRIES    6 /* of one set, where the host is too busy to cut it in time */

HRESULT drill_call(struct vss_backup_components *session, HRESULT hr, const char *method,
                   struct error *err)
{
    if (FAILED(hr)) {
        const char *text = vss_backup_components_error_text(session);
        (void)error_set(err, hr, "%s: %s", method,
                        text && *text ? text : vss_error_explanation(hr));
    }
    return hr;
}

HRESULT drill_session(struct drill *d, const char *xml, bool for_restore,
                      struct vss_backup_components **out, struct error *err)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = d->config;
    options.state_directory = d->state;
    char *text = NULL;
    *out = NULL;
    HRESULT hr = vss_create_backup_components(&options, out, &text);
    if (FAILED(hr)) {
        (void)error_set(err, hr, "CreateVssBackupComponents: %s",
                        text ? text : vss_error_explanation(hr));
        vss_free_string(text);
        return hr;
    }
    hr = for_restore ? vss_backup_components_initialize_for_restore(*out, xml)
                     : vss_backup_components_initialize_for_backup(*out, xml);
    hr = drill_call(*out, hr, for_restore ? "InitializeForRestore" : "InitializeForBackup", err);
    if (FAILED(hr)) {
        vss_backup_components_release(*out);
        *out = NULL;
    }
    return hr;
}

static HRESULT wait_for_end(struct drill *d, struct vss_async *async, uint32_t *out_steps,
                            HRESULT *out_status)
{
    uint64_t last_done = 0;
    HRESULT hr = S_OK;
    *out_status = VSS_S_ASYNC_PENDING;
    while (SUCCEEDED(hr) && *out_status == VSS_S_ASYNC_PENDING) {
        uint64_t done = 0;
        uint64_t total = 0;
        if (drill_was_stopped(d)) {
            (void)vss_async_cancel(async);
        } else {
            /* A failure that is waited for comes back here too; QueryStatus has it as well. */
            (void)vss_async_wait(async, POLL_MS);
        }
        hr = vss_async_query_status(async, out_status);
        vss_async_progress(async, &done, &total);
        if (done > last_done) {
            last_done = done;
            *out_steps += 1;
        }
    }
    return hr;
}

HRESULT drill_wait(struct drill *d, struct vss_backup_components *session, HRESULT hr,
                   struct vss_async *async, const char *method, uint32_t *out_steps,
                   struct error *err)
{
    uint32_t steps = 0;
    HRESULT status = S_OK;
    if (FAILED(hr)) {
        return drill_call(session, hr, method, err);
    }
    hr = wait_for_end(d, async, out_steps ? out_steps : &steps, &status);
    if (SUCCEEDED(hr)) {
        hr = status == VSS_S_ASYNC_FINISHED    ? S_OK
             : status == VSS_S_ASYNC_CANCELLED ? E_ABORT
                                               : status;
    }
    if (hr != S_OK) {
        const char *text = vss_async_error_text(async);
        (void)error_set(err, hr, "%s: %s", method,
                        text && *text ? text : vss_error_explanation(hr));
    }
    vss_async_release(async);
    return hr;
}

HRESULT drill_async(struct drill *d, struct vss_backup_components *session, const char *method,
                    HRESULT (*start)(struct vss_backup_components *, struct vss_async **),
                    struct error *err)
{
    struct vss_async *async = NULL;
    HRESULT hr = start(session, &async);
    return drill_wait(d, session, hr, async, method, NULL, err);
}

/* ---- create ---- */

static HRESULT begin_backup(struct drill *d, struct vss_backup_components *s, uint32_t extra,
                            struct error *err)
{
    uint32_t writers = 0;
    uint32_t context = VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE | extra;
    HRESULT hr = drill_call(s, vss_backup_components_set_context(s, context), "SetContext", err);
    if (SUCCEEDED(hr)) {
        hr = drill_call(s,
                        vss_backup_components_set_backup_state(s, false, false, VSS_BT_FULL, false),
                        "SetBackupState", err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_async(d, s, "GatherWriterMetadata", vss_backup_components_gather_writer_metadata,
                         err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_call(s, vss_backup_components_get_writer_metadata_count(s, &writers),
                        "GetWriterMetadataCount", err);
    }
    return hr;
}

static HRESULT add_luns(struct drill *d, struct vss_backup_components *s, struct drill_set *set,
                        struct error *err)
{
    HRESULT hr = drill_call(s, vss_backup_components_start_snapshot_set(s, &set->set_id),
                            "StartSnapshotSet", err);
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        hr = drill_call(
            s,
            vss_backup_components_add_to_snapshot_set(s, d->luns[i].url, NULL, &set->snapshots[i]),
            "AddToSnapshotSet", err);
    }
    return hr;
}

static HRESULT commit(struct drill *d, struct vss_backup_components *s, struct drill_set *set,
                      struct error *err)
{
    HRESULT hr =
        drill_async(d, s, "PrepareForBackup", vss_backup_components_prepare_for_backup, err);
    if (SUCCEEDED(hr)) {
        hr = drill_async(d, s, "DoSnapshotSet", vss_backup_components_do_snapshot_set, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    set->exists = true;
    hr = drill_call(s, vss_backup_components_save_as_xml(s, &set->xml), "SaveAsXML", err);
    if (SUCCEEDED(hr)) {
        hr = drill_async(d, s, "BackupComplete", vss_backup_components_backup_complete, err);
    }
    return hr;
}

/* GetSnapshotProperties says what was asked for. */
static HRESULT check_properties(struct drill *d, struct vss_backup_components *s,
                                const struct drill_set *set, struct error *err)
{
    for (size_t i = 0; i < DRILL_LUNS; i++) {
        struct vss_snapshot_prop p = {0};
        HRESULT hr = vss_backup_components_get_snapshot_properties(s, &set->snapshots[i], &p);
        if (FAILED(hr)) {
            return drill_call(s, hr, "GetSnapshotProperties", err);
        }
        bool held = id_equal(&p.snapshot_id, &set->snapshots[i]) &&
                    id_equal(&p.snapshot_set_id, &set->set_id) && p.snapshots_count == DRILL_LUNS &&
                    p.status == VSS_SS_CREATED && p.original_volume_name &&
                    strcmp(p.original_volume_name, d->luns[i].url) == 0 &&
                    (p.snapshot_attributes & VSS_VOLSNAP_ATTR_TRANSPORTABLE) != 0;
        (void)report_check(d->report, "snapshot properties", held, "%s, %d in the set, state %d",
                           p.original_volume_name ? p.original_volume_name : "no volume",
                           p.snapshots_count, p.status);
        vss_free_snapshot_properties(&p);
    }
    return S_OK;
}

static HRESULT create_once(struct drill *d, struct drill_set *set, uint32_t extra,
                           struct error *err)
{
    struct vss_backup_components *s = NULL;
    uint64_t started_us = clock_monotonic_us();
    *set = (struct drill_set){0};
    HRESULT hr = drill_session(d, NULL, false, &s, err);
    if (SUCCEEDED(hr)) {
        hr = begin_backup(d, s, extra, err);
    }
    if (SUCCEEDED(hr)) {
        hr = add_luns(d, s, set, err);
    }
    if (SUCCEEDED(hr)) {
        hr = commit(d, s, set, err);
    }
    set->create_us = clock_monotonic_us() - started_us;
    if (SUCCEEDED(hr)) {
        hr = check_properties(d, s, set, err);
    }
    vss_backup_components_release(s);
    return hr;
}

HRESULT drill_create_set(struct drill *d, enum drill_set_use use, uint32_t extra, struct error *err)
{
    struct drill_set *set = &d->sets[use];
    HRESULT hr = create_once(d, set, extra, err);
    for (int n = 1; hr == VSS_E_HOLD_WRITES_TIMEOUT && n < TRIES && !drill_was_stopped(d); n++) {
        report_note(d->report, "%s: the host is busy, the set is made again", error_text(err));
        hr = create_once(d, set, extra, err);
    }
    return hr;
}

/* ---- import ---- */

/* Who the copy is, and that it is none of the LUNs that are not copies. */
static HRESULT know_copy(struct drill *d, struct drill_set *set, size_t lun, struct error *err)
{
    struct raw *raw = NULL;
    HRESULT hr = raw_open(&set->copies[lun], d->initiator, &raw, err);
    if (SUCCEEDED(hr)) {
        hr = raw_inquiry(raw, 0x83, &set->identities[lun], err);
    }
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        if (raw_page_equal(&set->identities[lun], &d->luns[i].identity)) {
            hr = error_set(err, VSS_E_UNEXPECTED, "the copy %s is an original", raw->name);
        }
    }
    if (SUCCEEDED(hr) && (strcmp(set->copies[lun].target, d->target) == 0 ||
                          strcmp(set->copies[lun].target, d->foreign_target) == 0)) {
        hr = error_set(err, VSS_E_UNEXPECTED, "the copy %s is on a target of others", raw->name);
    }
    raw_close(raw);
    return hr;
}

static HRESULT find_copies(struct drill *d, struct vss_backup_components *s, struct drill_set *set,
                           struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < DRILL_LUNS && SUCCEEDED(hr); i++) {
        struct vss_snapshot_prop p = {0};
        hr = drill_call(s, vss_backup_components_get_snapshot_properties(s, &set->snapshots[i], &p),
                        "GetSnapshotProperties", err);
        if (SUCCEEDED(hr)) {
            const char *device = p.snapshot_device_object ? p.snapshot_device_object : "nothing";
            hr = raw_parse(device, &set->copies[i], err);
        }
        vss_free_snapshot_properties(&p);
        if (SUCCEEDED(hr)) {
            hr = know_copy(d, set, i, err);
        }
    }
    return hr;
}

static HRESULT import_once(struct drill *d, const char *xml, struct vss_backup_components **out,
                           struct error *err)
{
    HRESULT hr = drill_session(d, xml, false, out, err);
    if (SUCCEEDED(hr)) {
        hr = drill_async(d, *out, "ImportSnapshots", vss_backup_components_import_snapshots, err);
    }
    if (FAILED(hr)) {
        vss_backup_components_release(*out);
        *out = NULL;
    }
    return hr;
}

/* Another import ends, and is no reason why a drill should fail. What a dead process left has the
 * same code and does not end; the wait for it does. */
HRESULT drill_import(struct drill *d, const char *xml, struct vss_backup_components **out,
                     struct error *err)
{
    uint64_t until_us = clock_monotonic_us() + WAIT_MS * 1000ull;
    HRESULT hr = import_once(d, xml, out, err);
    if (hr == VSS_E_BAD_STATE) {
        report_note(d->report, "waiting for up to %u s: %s", WAIT_MS / 1000, error_text(err));
    }
    while (hr == VSS_E_BAD_STATE && clock_monotonic_us() < until_us && !drill_was_stopped(d)) {
        clock_sleep_ms(PAUSE_MS);
        error_clear(err);
        hr = import_once(d, xml, out, err);
    }
    return hr;
}

HRESULT drill_import_set(struct drill *d, enum drill_set_use use, struct error *err)
{
    struct drill_set *set = &d->sets[use];
    struct vss_backup_components *s = NULL;
    HRESULT hr = drill_import(d, set->xml, &s, err);
    if (SUCCEEDED(hr) && hr != S_OK) {
        hr = error_translate(err, VSS_E_SOME_SNAPSHOTS_NOT_IMPORTED);
    }
    if (SUCCEEDED(hr)) {
        hr = find_copies(d, s, set, err);
    }
    set->imported = SUCCEEDED(hr);
    vss_backup_components_release(s);
    return hr;
}

/* ---- break and delete ---- */

static HRESULT open_for_all(struct drill *d, struct vss_backup_components **out, struct error *err)
{
    HRESULT hr = drill_session(d, NULL, false, out, err);
    if (SUCCEEDED(hr)) {
        hr = drill_call(*out, vss_backup_components_set_context(*out, VSS_CTX_ALL), "SetContext",
                        err);
    }
    return hr;
}

HRESULT drill_break_set(struct drill *d, enum drill_set_use use, uint32_t flags, struct error *err)
{
    struct vss_backup_components *s = NULL;
    struct vss_async *async = NULL;
    HRESULT hr = open_for_all(d, &s, err);
    if (SUCCEEDED(hr)) {
        hr = vss_backup_components_break_snapshot_set_ex(s, &d->sets[use].set_id, flags, &async);
        hr = drill_wait(d, s, hr, async, "BreakSnapshotSetEx", NULL, err);
    }
    if (SUCCEEDED(hr)) {
        d->sets[use].exists = false;
    }
    vss_backup_components_release(s);
    return hr;
}

HRESULT drill_delete(struct drill *d, const VSS_ID *id, int32_t type, int32_t *out_deleted,
                     struct error *err)
{
    struct vss_backup_components *s = NULL;
    VSS_ID not_deleted;
    *out_deleted = 0;
    HRESULT hr = open_for_all(d, &s, err);
    if (SUCCEEDED(hr)) {
        hr = vss_backup_components_delete_snapshots(s, id, type, true, out_deleted, &not_deleted);
        hr = drill_call(s, hr, "DeleteSnapshots", err);
    }
    vss_backup_components_release(s);
    return hr;
}
