/* SPDX-License-Identifier: Apache-2.0 */
/* What a resync did: for its caller, and for listings. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "registry/recoveries.h"
#include "resync/internal.h"

#include <stdlib.h>

void results_free(struct recovery *r)
{
    for (size_t i = 0; r->results && i < r->member_count; i++) {
        free(r->results[i].destination_url);
        free(r->results[i].method);
        free(r->results[i].ids_note);
        free(r->results[i].undo_note);
        free(r->results[i].text);
    }
    free(r->results);
    r->results = NULL;
}

static bool has_failed_disk(const struct recovery *r)
{
    for (size_t i = 0; i < r->disk_count; i++) {
        if (FAILED(r->disks[i].failure.code)) {
            return true;
        }
    }
    return false;
}

/* A set is recovered as a whole or not at all: who is not to blame was stopped by who is. */
static const char *judge(const struct recovery *r, const struct recovery_disk *d, HRESULT result,
                         HRESULT *out)
{
    *out = SUCCEEDED(result) ? S_OK : result;
    if (SUCCEEDED(result)) {
        return "";
    }
    if (r->is_done) {
        *out = S_OK;
        return "done; what came after it failed";
    }
    if (FAILED(d->failure.code)) {
        *out = d->failure.code;
        return error_text(&d->failure);
    }
    if (has_failed_disk(r)) {
        *out = E_ABORT;
        return r->is_written ? "unfinished: another member failed"
                             : "left alone: another member failed";
    }
    return r->is_written ? "unfinished: the recovery failed" : "left alone: the recovery failed";
}

HRESULT results_keep(struct recovery *r, HRESULT result)
{
    results_free(r);
    r->results = calloc(r->member_count, sizeof(*r->results));
    if (!r->results) {
        return E_OUTOFMEMORY;
    }
    HRESULT hr = S_OK;
    for (size_t i = 0; i < r->member_count; i++) {
        const struct recovery_member *m = &r->members[i];
        const struct recovery_disk *d = &r->disks[m->disk];
        HRESULT own;
        const char *text = judge(r, d, result, &own);
        r->results[i] = (struct recovery_member_result){
            .snapshot_id = m->snapshot->snapshot_id,
            .destination_url = volume_text(&m->destination),
            .method = text_copy(r->method ? r->method : ""),
            .ids_note = text_copy(d->ids_note ? d->ids_note : ""),
            .undo_note = text_copy(r->undo_note ? r->undo_note : ""),
            .is_written = r->is_written || r->was_invalid,
            .result = own,
            .text = text_copy(text),
        };
        bool has_all = r->results[i].destination_url && r->results[i].method &&
                       r->results[i].ids_note && r->results[i].undo_note && r->results[i].text;
        hr = has_all ? hr : E_OUTOFMEMORY;
    }
    return hr;
}

static json_t *members_json(const struct recovery *r)
{
    json_t *all = json_array();
    for (size_t i = 0; all && i < r->member_count; i++) {
        const struct recovery_disk *d = &r->disks[r->members[i].disk];
        char id[ID_TEXT_BYTES];
        json_t *one =
            json_pack("{s:s, s:s, s:s, s:o?, s:o?}", "snapshot",
                      id_text(&r->members[i].snapshot->snapshot_id, id), "destination_key", d->key,
                      "destination_url", d->lun ? d->lun->url : "", "ids_before",
                      disk_ids_to_json(&d->before), "ids_after", disk_ids_to_json(&d->wanted));
        if (!one || json_array_append_new(all, one) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

void results_record(struct recovery *r, uint32_t flags, int64_t started, HRESULT result)
{
    json_t *json = members_json(r);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    struct recovery_record row = {.resync_id = r->resync_id,
                                  .set_id = r->set->set_id,
                                  .started = started,
                                  .ended = result == VSS_S_ASYNC_PENDING ? 0 : clock_filetime(),
                                  .flags = flags,
                                  .result = result,
                                  .members = text};
    struct error why = {0};
    if (text && FAILED(recoveries_save(r->env->store, &row, &why))) {
        log_line(LOG_WARNING, "the recovery's row could not be written: %s", error_text(&why));
    }
    free(text);
    json_decref(json);
}
