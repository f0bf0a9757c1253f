/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/writer_view.h"

#include "cli/session.h"

#include <stdlib.h>

void writer_rows_free(struct writer_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        vss_free_string(rows->items[i].name);
        vss_free_string(rows->items[i].message);
    }
    free(rows->items);
    *rows = (struct writer_rows){0};
}

static HRESULT read_rows(struct vss_backup_components *session, struct writer_rows *out,
                         struct error *err)
{
    uint32_t count = 0;
    HRESULT hr =
        session_check(session, vss_backup_components_get_writer_status_count(session, &count), err);
    if (FAILED(hr)) {
        return hr;
    }
    out->items = calloc(count ? count : 1, sizeof(*out->items));
    if (!out->items) {
        return error_set(err, E_OUTOFMEMORY, "not enough memory to list the writers");
    }
    for (uint32_t i = 0; i < count && SUCCEEDED(hr); i++) {
        struct writer_row *row = &out->items[out->count++];
        hr = vss_backup_components_get_writer_status_ex(
            session, i, &row->instance_id, &row->class_id, &row->name, &row->state, &row->failure,
            &row->application, &row->message);
        hr = session_check(session, hr, err);
    }
    return hr;
}

static HRESULT gather(struct vss_backup_components *session, bool may_be_cancelled,
                      struct writer_rows *out, struct error *err)
{
    static const char what[] = "asking the writers how they stand";
    struct vss_async *async = NULL;
    *out = (struct writer_rows){0};
    HRESULT hr = vss_backup_components_gather_writer_status(session, &async);
    hr = may_be_cancelled ? session_wait(session, hr, async, what, err)
                          : session_wait_to_end(session, hr, async, what, err);
    if (SUCCEEDED(hr)) {
        hr = read_rows(session, out, err);
    }
    if (FAILED(hr)) {
        writer_rows_free(out);
    }
    return hr;
}

HRESULT writer_rows_gather(struct vss_backup_components *session, struct writer_rows *out,
                           struct error *err)
{
    return gather(session, true, out, err);
}

static HRESULT check(struct vss_backup_components *session, bool may_be_cancelled,
                     struct error *err)
{
    struct writer_rows rows;
    const struct writer_row *first = NULL;
    size_t failed = 0;
    HRESULT hr = gather(session, may_be_cancelled, &rows, err);
    for (size_t i = 0; i < rows.count; i++) {
        if (FAILED(rows.items[i].failure)) {
            first = first ? first : &rows.items[i];
            failed++;
        }
    }
    if (first && failed > 1) {
        hr = error_set(err, first->failure, "%s (and %zu more: see lunshadow events)",
                       first->message, failed - 1);
    } else if (first) {
        hr = error_set(err, first->failure, "%s", first->message);
    }
    writer_rows_free(&rows);
    return hr;
}

HRESULT writer_rows_check(struct vss_backup_components *session, struct error *err)
{
    return check(session, true, err);
}

HRESULT writer_rows_check_to_end(struct vss_backup_components *session, struct error *err)
{
    return check(session, false, err);
}

const char *writer_state_name(int32_t state)
{
    static const char *const names[VSS_WS_COUNT] = {
        [VSS_WS_UNKNOWN] = "unknown",
        [VSS_WS_STABLE] = "stable",
        [VSS_WS_WAITING_FOR_FREEZE] = "waiting for freeze",
        [VSS_WS_WAITING_FOR_THAW] = "waiting for thaw",
        [VSS_WS_WAITING_FOR_POST_SNAPSHOT] = "waiting for post-snapshot",
        [VSS_WS_WAITING_FOR_BACKUP_COMPLETE] = "waiting for backup-complete",
        [VSS_WS_FAILED_AT_IDENTIFY] = "failed at identify",
        [VSS_WS_FAILED_AT_PREPARE_BACKUP] = "failed at prepare-backup",
        [VSS_WS_FAILED_AT_PREPARE_SNAPSHOT] = "failed at prepare-snapshot",
        [VSS_WS_FAILED_AT_FREEZE] = "failed at freeze",
        [VSS_WS_FAILED_AT_THAW] = "failed at thaw",
        [VSS_WS_FAILED_AT_POST_SNAPSHOT] = "failed at post-snapshot",
        [VSS_WS_FAILED_AT_BACKUP_COMPLETE] = "failed at backup-complete",
        [VSS_WS_FAILED_AT_PRE_RESTORE] = "failed at pre-restore",
        [VSS_WS_FAILED_AT_POST_RESTORE] = "failed at post-restore",
        [VSS_WS_FAILED_AT_BACKUPSHUTDOWN] = "failed at backup-shutdown",
    };
    return state >= 0 && state < VSS_WS_COUNT ? names[state] : names[VSS_WS_UNKNOWN];
}
