/* SPDX-License-Identifier: Apache-2.0 */

/* LUN resync: the recovery set of a session, its run, and what it did. */

#include "requester/half_written.h"
#include "requester/session.h"

#include "common/buffer.h"
#include "common/id.h"
#include "lun/identity.h"
#include "provider/set/claim.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define RECOVERY_FLAGS (VSS_RECOVERY_REVERT_IDENTITY_ALL | VSS_RECOVERY_NO_VOLUME_CHECK)

/* ---- the recovery set ---- */

static bool has_snapshot(const struct set_record *set, const VSS_ID *snapshot_id)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        if (id_equal(&set->snapshots[i].snapshot_id, snapshot_id)) {
            return true;
        }
    }
    return false;
}

/* The registry knows better than the document what became of a set since it was saved; another
 * host's set it does not know at all. */
static HRESULT load_recovery_set(struct vss_backup_components *session)
{
    struct error unknown = {0};
    HRESULT hr = sets_load(session->env->store, &session->document_set.set_id,
                           &session->recovery_set, &unknown);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        hr = set_record_copy(&session->document_set, &session->recovery_set);
    }
    return FAILED(hr) ? error_set(&session->err, hr, "%s", error_text(&unknown)) : S_OK;
}

static void drop_recovery(struct vss_backup_components *session)
{
    recovery_free(session->recovery);
    session->recovery = NULL;
    set_record_free(&session->recovery_set);
}

static HRESULT need_recovery(struct vss_backup_components *session)
{
    if (session->recovery) {
        return S_OK;
    }
    HRESULT hr = load_recovery_set(session);
    if (SUCCEEDED(hr)) {
        hr = recovery_new(session->env, &session->recovery_set, &session->recovery, &session->err);
    }
    if (FAILED(hr)) {
        drop_recovery(session);
        return hr;
    }
    recovery_set_copy(session->recovery, &session->copy);
    recovery_set_undo(session->recovery, session->undo == VSS_UNDO_REQUIRED      ? UNDO_REQUIRED
                                         : session->undo == VSS_UNDO_WHERE_CHEAP ? UNDO_WHERE_CHEAP
                                                                                 : UNDO_NONE);
    return S_OK;
}

static HRESULT add_member(struct vss_backup_components *session, const VSS_ID *snapshot_id,
                          uint32_t flags, const char *destination)
{
    if (flags != 0) {
        return error_set(&session->err, E_INVALIDARG, "flags must be 0, not 0x%x", flags);
    }
    if (!has_snapshot(&session->document_set, snapshot_id)) {
        char text[ID_TEXT_BYTES];
        return error_set(&session->err, VSS_E_SNAPSHOT_NOT_IN_SET,
                         "the document does not describe shadow copy %s; load the one that was "
                         "saved when it was made",
                         id_text(snapshot_id, text));
    }
    bool is_first = !session->recovery;
    HRESULT hr = need_recovery(session);
    if (FAILED(hr)) {
        return hr;
    }
    hr = recovery_add(session->recovery, snapshot_id, destination, &session->err);
    if (FAILED(hr) && is_first) {
        drop_recovery(session); /* an empty one must not keep others from recovering */
    }
    return hr;
}

HRESULT vss_backup_components_add_snapshot_to_recovery_set(struct vss_backup_components *session,
                                                           const VSS_ID *snapshot_id,
                                                           uint32_t flags,
                                                           const char *destination_volume)
{
    HRESULT hr = session_begin(session, METHOD_ADD_SNAPSHOT_TO_RECOVERY_SET);
    if (FAILED(hr)) {
        return hr;
    }
    hr = snapshot_id ? add_member(session, snapshot_id, flags, destination_volume)
                     : session_null_argument(session, "snapshot_id");
    return session_end(session, METHOD_ADD_SNAPSHOT_TO_RECOVERY_SET, hr);
}

/* May an open resync be onto what this set is to be brought back to? Onto one of its originals it
 * is; onto other LUNs where it is one of this set. A set without LUNs, and an original without an
 * identity, do not tell. */
static bool may_concern(const struct journal_entry *entry, const struct set_record *set)
{
    char key[LUN_KEY_BYTES];
    const char *reason = NULL;
    bool may = set->lun_count == 0 || claim_speaks_of(entry, &set->set_id);
    for (size_t i = 0; i < set->lun_count && !may; i++) {
        const struct vss_lun_info *source = &set->luns[i].source;
        may = !lun_info_is_unique(source, &reason) ||
              journal_speaks_of(entry, lun_info_key(source, key));
    }
    return may;
}

/* Before the session was told what shall be overwritten. */
static bool may_be_half_written(const struct vss_backup_components *session)
{
    struct journal_entry *entries = NULL;
    size_t count = 0;
    HRESULT hr = journal_load_open(session->env->store, false, &entries, &count, NULL);
    bool may = FAILED(hr);
    for (size_t i = 0; i < count && !may; i++) {
        may = entries[i].destination_invalid && may_concern(&entries[i], &session->document_set);
    }
    journal_free_all(entries, count);
    return may;
}

bool session_is_half_written(const struct vss_backup_components *session)
{
    return session->recovery ? recovery_is_half_written(session->recovery)
                             : may_be_half_written(session);
}

/* ---- the report ---- */

static json_t *code_to_json(HRESULT code)
{
    const char *name = vss_error_name(code);
    char text[16];
    (void)snprintf(text, sizeof(text), "0x%08x", (unsigned)code);
    return json_string(name ? name : text);
}

/* What an array says may not be UTF-8, which JSON must be. */
static json_t *text_to_json(const char *text)
{
    json_t *json = text ? json_string(text) : json_null();
    return json ? json : json_string("(not UTF-8)");
}

static json_t *member_to_json(const struct recovery_member_result *member)
{
    char id[ID_TEXT_BYTES];
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:o}", "snapshot",
                     id_text(&member->snapshot_id, id), "destination",
                     text_to_json(member->destination_url), "method", text_to_json(member->method),
                     "ids", text_to_json(member->ids_note), "undo",
                     text_to_json(member->undo_note[0] ? member->undo_note : NULL), "written",
                     member->is_written, "result", code_to_json(member->result), "error",
                     text_to_json(member->text));
}

/* NULL when memory is short; so it was where a recovery that failed has no results. */
static char *make_report(const struct recovery *recovery, HRESULT hr)
{
    size_t count = 0;
    const struct recovery_member_result *members = recovery_results(recovery, &count);
    json_t *array = count || SUCCEEDED(hr) ? json_array() : NULL;
    for (size_t i = 0; i < count && array; i++) {
        if (json_array_append_new(array, member_to_json(&members[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    char *text = array ? json_dumps(array, JSON_COMPACT) : NULL;
    json_decref(array);
    return text;
}

HRESULT vss_backup_components_recovery_report(struct vss_backup_components *session,
                                              char **out_json)
{
    if (out_json) {
        *out_json = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_RECOVERY_REPORT);
    if (FAILED(hr)) {
        return hr;
    }
    if (!out_json) {
        hr = session_null_argument(session, "out_json");
        goto out;
    }
    *out_json = text_copy(session->has_run_recovery ? session->recovery_report : "[]");
    if (!*out_json) {
        hr = error_set(&session->err, E_OUTOFMEMORY, "out of memory while writing a report");
    }
out:
    return session_end(session, METHOD_RECOVERY_REPORT, hr);
}

bool session_has_written(struct vss_backup_components *session)
{
    char *text = NULL;
    if (FAILED(vss_backup_components_recovery_report(session, &text))) {
        return true;
    }
    json_t *report = json_loads(text, 0, NULL);
    vss_free_string(text);
    bool is_written = !report;
    size_t index = 0;
    const json_t *member = NULL;
    json_array_foreach(report, index, member)
    {
        is_written = is_written || json_is_true(json_object_get(member, "written"));
    }
    json_decref(report);
    return is_written;
}

/* ---- the run ---- */

/* The recovery set is spent by its run, however that ended: after a failure each destination is to
 * be looked at anew. */
static HRESULT run_recovery(struct vss_backup_components *session, struct error *err)
{
    HRESULT hr = recovery_run(session->recovery, session->argument_flags, err);
    free(session->recovery_report);
    session->recovery_report = make_report(session->recovery, hr);
    session->has_run_recovery = true;
    drop_recovery(session);
    return hr;
}

HRESULT vss_backup_components_recover_set(struct vss_backup_components *session, uint32_t flags,
                                          struct vss_async **out)
{
    if (out) {
        *out = NULL;
    }
    HRESULT hr = session_begin(session, METHOD_RECOVER_SET);
    if (FAILED(hr)) {
        return hr;
    }
    if (!out) {
        return session_null_argument(session, "out");
    }
    if (flags & ~(uint32_t)RECOVERY_FLAGS) {
        return error_set(&session->err, E_INVALIDARG, "0x%x are not flags of a recovery",
                         flags & ~(uint32_t)RECOVERY_FLAGS);
    }
    session->argument_flags = flags;
    return session_run(session, METHOD_RECOVER_SET, run_recovery, out);
}
