/* SPDX-License-Identifier: Apache-2.0 */
/* The journal entry of a resync: all that whoever finds it later needs to end it. */
#include "common/buffer.h"
#include "common/id.h"
#include "provider/set/claim.h"
#include "resync/unfinished.h"

#include <stdlib.h>
#include <string.h>

static HRESULT journal_ids(struct recovery *r, const char *step, const struct recovery_disk *d,
                           const struct vss_disk_ids *ids, struct error *err)
{
    json_t *json = disk_ids_to_json(ids);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    HRESULT hr =
        text ? journal_step(r->env->store, &r->journal_id, step, d->key, text, strlen(text), err)
             : error_set(err, E_OUTOFMEMORY, "out of memory journaling disk ids");
    free(text);
    json_decref(json);
    return hr;
}

HRESULT entry_keep_edges(struct recovery *r, const struct recovery_disk *disk, struct error *err)
{
    struct buffer packed = BUFFER_INIT;
    HRESULT hr = edges_pack(disk->edges, &packed);
    if (SUCCEEDED(hr)) {
        hr = journal_step(r->env->store, &r->journal_id, RESYNC_STEP_EDGES, disk->key, packed.data,
                          packed.length, err);
    }
    buffer_free(&packed);
    return hr;
}

static HRESULT journal_disk(struct recovery *r, const struct recovery_disk *d, struct error *err)
{
    HRESULT hr = entry_keep_edges(r, d, err);
    if (SUCCEEDED(hr)) {
        hr = journal_ids(r, "ids-before", d, &d->before, err);
    }
    if (SUCCEEDED(hr)) {
        hr = journal_ids(r, RESYNC_STEP_WANTED, d, &d->wanted, err);
    }
    return hr;
}

static bool has_copy(const struct set_record *set, const struct lun_mapping *wanted)
{
    for (size_t i = 0; i < set->lun_count; i++) {
        const struct lun_mapping *m = &set->luns[i];
        if (!m->is_empty && lun_info_compare(&m->copy, &wanted->copy) == LUN_SAME) {
            return true;
        }
    }
    return false;
}

HRESULT recovery_check_claims(const struct recovery *r, struct error *err)
{
    struct set_record now = {0};
    HRESULT hr = claim_check(r->env->store, JOURNAL_RESYNC, &r->set->set_id, err);
    for (size_t i = 0; i < r->disk_count && SUCCEEDED(hr); i++) {
        hr = claim_check_destination(r->env->store, &r->disks[i].info, err);
    }
    if (FAILED(hr) || !r->is_registered) {
        return hr;
    }
    hr = sets_load(r->env->store, &r->set->set_id, &now, err);
    if (hr == VSS_E_OBJECT_NOT_FOUND) {
        hr = error_translate(err, VSS_E_BAD_STATE); /* it was there when its snapshot was added */
    }
    for (size_t i = 0; i < r->disk_count && SUCCEEDED(hr); i++) {
        if (!has_copy(&now, r->disks[i].mapping)) {
            hr = error_set(err, VSS_E_BAD_STATE, "the copy of %s is gone",
                           r->disks[i].mapping->source_url);
        }
    }
    set_record_free(&now);
    return FAILED(hr) ? hr : S_OK;
}

/* What the caller asked for, so that `recover` can ask for it again. A destination is named without
 * its secrets; null: the original. */
static json_t *plan_json(const struct recovery *r, uint32_t flags)
{
    json_t *members = json_array();
    for (size_t i = 0; members && i < r->member_count; i++) {
        const struct recovery_member *m = &r->members[i];
        if (i > 0 && m->snapshot == r->members[i - 1].snapshot) {
            continue; /* another LUN of it */
        }
        char id[ID_TEXT_BYTES];
        char *name = m->is_named ? volume_text(&m->destination) : NULL;
        json_t *one = m->is_named && !name
                          ? NULL
                          : json_pack("{s:s, s:s?}", "snapshot",
                                      id_text(&m->snapshot->snapshot_id, id), "destination", name);
        free(name);
        if (json_array_append_new(members, one) != 0) {
            json_decref(members);
            members = NULL;
        }
    }
    const struct lun_mapping *m = &r->set->luns[0];
    return json_pack("{s:I, s:b, s:i, s:i, s:I, s:s?, s:s?, s:o}", "flags", (json_int_t)flags,
                     "verbatim", (int)r->is_verbatim, "undo", (int)r->undo, "verify",
                     r->wish.has_verify ? (int)r->wish.verify : -1, "rate",
                     (json_int_t)r->wish.bytes_per_second, "array", m->array, "provider",
                     m->provider, "members", members);
}

static HRESULT journal_plan(struct recovery *r, uint32_t flags, struct error *err)
{
    json_t *json = plan_json(r, flags);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    HRESULT hr =
        text ? journal_step(r->env->store, &r->journal_id, PLAN_STEP, NULL, text, strlen(text), err)
             : error_set(err, E_OUTOFMEMORY, "out of memory journaling a resync");
    free(text);
    json_decref(json);
    return hr;
}

HRESULT entry_open(struct recovery *r, uint32_t flags, struct error *err)
{
    char id[ID_TEXT_BYTES];
    struct store *store = r->env->store;
    char *text = text_printf("resync of set %s onto %zu LUNs, first %s",
                             id_text(&r->set->set_id, id), r->disk_count, r->disks[0].lun->url);
    HRESULT hr = text ? store_begin(store, err) : E_OUTOFMEMORY;
    if (FAILED(hr)) {
        free(text);
        return hr;
    }
    hr = recovery_check_claims(r, err);
    if (SUCCEEDED(hr)) {
        hr = journal_open(store, JOURNAL_RESYNC, &r->resync_id, text, &r->journal_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = journal_step(store, &r->journal_id, CLAIM_STEP, NULL, id, strlen(id), err);
    }
    if (SUCCEEDED(hr)) {
        hr = journal_plan(r, flags, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = journal_disk(r, &r->disks[i], err);
    }
    free(text);
    return store_end(store, hr, err);
}

HRESULT entry_announce_wipe(struct recovery *r, struct error *err)
{
    struct store *store = r->env->store;
    HRESULT hr = store_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = journal_mark_invalid(store, &r->journal_id, true, err);
    if (SUCCEEDED(hr)) {
        hr = journal_step(store, &r->journal_id, RESYNC_STEP_WIPE, NULL, NULL, 0, err);
    }
    /* Before it is asked to: its answer may get lost where the request did not. */
    if (SUCCEEDED(hr) && !r->copies_by_host) {
        hr = journal_step(store, &r->journal_id, RESYNC_STEP_COPY, NULL, NULL, 0, err);
    }
    return store_end(store, hr, err);
}

void entry_note_stopped(struct recovery *r)
{
    (void)journal_step(r->env->store, &r->journal_id, RESYNC_STEP_STOPPED, NULL, NULL, 0, NULL);
}

HRESULT entry_announce_done(struct recovery *r, struct error *err)
{
    struct store *store = r->env->store;
    HRESULT hr = store_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = journal_mark_invalid(store, &r->journal_id, false, err);
    if (SUCCEEDED(hr)) {
        hr = journal_step(store, &r->journal_id, RESYNC_STEP_DONE, NULL, NULL, 0, err);
    }
    if (SUCCEEDED(hr)) {
        hr = unfinished_close(r, err);
    }
    return store_end(store, hr, err);
}
