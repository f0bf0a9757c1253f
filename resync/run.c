/* SPDX-License-Identifier: Apache-2.0 */
/* RecoverSet: the order in which destinations are overwritten. Until the first wipe everything can
 * be taken back; from there on the journal entry stays open until the destinations are whole. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "provider/set/claim.h"
#include "provider/set/label_change.h"
#include "registry/events.h"
#include "registry/recoveries.h"
#include "resync/copy.h"
#include "resync/unfinished.h"

#include <stdlib.h>
#include <string.h>

#define RECOVERY_FLAGS (VSS_RECOVERY_REVERT_IDENTITY_ALL | VSS_RECOVERY_NO_VOLUME_CHECK)

/* ---- calls ----------------------------------------------------------------------------------- */

/* PRE_RECOVERY closes every session on the destinations, ours too; POST_RECOVERY ends it. */
static HRESULT change_state(struct recovery *r, uint32_t flag, struct error *err)
{
    struct vss_set_lun *luns = calloc(r->disk_count, sizeof(*luns));
    if (!luns) {
        return error_set(err, E_OUTOFMEMORY, "out of memory calling OnLunStateChange");
    }
    for (size_t i = 0; i < r->disk_count; i++) {
        const struct recovery_disk *d = &r->disks[i];
        luns[i] = (struct vss_set_lun){.source = d->info};
    }
    struct vss_state_change_in in = {
        .struct_size = sizeof(in),
        .flags = flag,
        .set = {.struct_size = sizeof(struct vss_set_in),
                .set_id = r->resync_id,
                .lun_count = (uint32_t)r->disk_count,
                .luns = luns},
        .is_resync = 1,
    };
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_states_out out = {0};
    HRESULT hr = provider_call(r->provider, VSS_OP_ON_LUN_STATE_CHANGE, &in, &out, &arena, 0, err);
    provider_arena_free(&arena);
    free(luns);
    return hr;
}

/* ---- journal --------------------------------------------------------------------------------- */

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

static HRESULT journal_disk(struct recovery *r, const struct recovery_disk *d, struct error *err)
{
    struct buffer packed = BUFFER_INIT;
    HRESULT hr = edges_pack(d->edges, &packed);
    if (SUCCEEDED(hr)) {
        hr = journal_step(r->env->store, &r->journal_id, "edges-before", d->key, packed.data,
                          packed.length, err);
    }
    buffer_free(&packed);
    if (SUCCEEDED(hr)) {
        hr = journal_ids(r, "ids-before", d, &d->before, err);
    }
    if (SUCCEEDED(hr)) {
        hr = journal_ids(r, "ids-wanted", d, &d->wanted, err);
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

/* The copies are still there, and nobody is at work on them. */
static HRESULT check_set(const struct recovery *r, struct error *err)
{
    struct set_record now = {0};
    HRESULT hr = claim_check(r->env->store, JOURNAL_RESYNC, &r->set->set_id, err);
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

static HRESULT open_journal(struct recovery *r, struct error *err)
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
    hr = check_set(r, err);
    if (SUCCEEDED(hr)) {
        hr = journal_open(store, JOURNAL_RESYNC, &r->resync_id, text, &r->journal_id, err);
    }
    if (SUCCEEDED(hr)) {
        hr = journal_step(store, &r->journal_id, CLAIM_STEP, NULL, id, strlen(id), err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = journal_disk(r, &r->disks[i], err);
    }
    free(text);
    return store_end(store, hr, err);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static HRESULT check_and_plan(struct recovery *r, uint32_t flags, struct error *err)
{
    HRESULT hr = unfinished_adopt(r, err);
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        struct recovery_disk *d = &r->disks[i];
        hr = destination_check_identity(d, err);
        if (SUCCEEDED(hr) && !(flags & VSS_RECOVERY_NO_VOLUME_CHECK)) {
            hr = destination_check_volumes(r, i, err);
        }
        if (SUCCEEDED(hr)) {
            hr = unfinished_recall_ids(r, d, err);
        }
        if (SUCCEEDED(hr)) {
            hr = ids_plan(d, flags, err);
        }
        if (SUCCEEDED(hr)) {
            edges_free(d->edges);
            d->edges = NULL;
            hr = edges_read(&d->lun->block, d->label, &d->edges, err);
        }
    }
    return hr;
}

static HRESULT evict_and_fence(struct recovery *r, struct error *err)
{
    HRESULT hr = change_state(r, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY, err);
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = destination_reopen(r, &r->disks[i], err);
        if (SUCCEEDED(hr)) {
            hr = fence_raise(r, &r->disks[i], err);
        }
    }
    return hr;
}

/* A LUN that takes no writes has its edges still. */
static bool has_edges(const struct recovery_disk *d)
{
    struct edges *now = NULL;
    const struct edges *old = d->edges;
    if (FAILED(edges_read(&d->lun->block, d->label, &now, NULL))) {
        return false;
    }
    bool is_same = now->block_count == old->block_count && now->head_blocks == old->head_blocks &&
                   now->tail_blocks == old->tail_blocks &&
                   memcmp(now->head, old->head, (size_t)old->head_blocks * old->block_bytes) == 0 &&
                   memcmp(now->tail, old->tail, (size_t)old->tail_blocks * old->block_bytes) == 0;
    edges_free(now);
    return is_same;
}

/* Gives wiped destinations their edges back: right as long as no copying began. */
static HRESULT put_edges_back(struct recovery *r, size_t count)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < count; i++) {
        const struct recovery_disk *d = &r->disks[i];
        HRESULT one = edges_write(&d->lun->block, d->edges, NULL);
        hr = FAILED(one) && !has_edges(d) ? one : hr;
    }
    return hr;
}

static HRESULT wipe(struct recovery *r, struct error *err)
{
    HRESULT hr = journal_mark_invalid(r->env->store, &r->journal_id, true, err);
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        r->is_written = true;
        hr = edges_wipe(&r->disks[i].lun->block, r->disks[i].edges, err);
        if (FAILED(hr) && SUCCEEDED(put_edges_back(r, i + 1))) {
            r->is_written = false;
        }
    }
    return hr;
}

static HRESULT apply_ids(struct recovery *r, struct error *err)
{
    struct disk_ids_transaction transaction = {0};
    const char **keys = calloc(r->disk_count, sizeof(*keys));
    HRESULT hr = keys ? S_OK : error_set(err, E_OUTOFMEMORY, "out of memory changing disk ids");
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        keys[i] = r->disks[i].key;
        hr = disk_ids_stage(&transaction, &r->disks[i].lun->block, &r->disks[i].wanted, true, err);
    }
    if (SUCCEEDED(hr)) {
        struct label_journal journal = {
            .store = r->env->store, .entry_id = &r->journal_id, .lun_keys = keys};
        hr = disk_ids_apply(&transaction, label_journal_sink, &journal, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = disk_ids_remember(r->env->store, r->disks[i].key, &r->disks[i].wanted, err);
    }
    disk_ids_transaction_free(&transaction);
    free(keys);
    return FAILED(hr) && hr != E_OUTOFMEMORY ? error_translate(err, VSS_E_CANNOT_REVERT_DISKID)
                                             : hr;
}

static HRESULT overwrite(struct recovery *r, struct error *err)
{
    HRESULT hr = evict_and_fence(r, err);
    if (SUCCEEDED(hr) && atomic_load(&r->env->cancelled)) {
        hr = error_set(err, E_ABORT, "cancelled before anything was written");
    }
    if (SUCCEEDED(hr)) {
        hr = wipe(r, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recovery_copy(r, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = destination_check_identity(&r->disks[i], err);
    }
    return SUCCEEDED(hr) ? apply_ids(r, err) : hr;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The first failure is told; the others are logged. */
static HRESULT lower_all(struct recovery *r, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < r->disk_count; i++) {
        struct error why = {0};
        HRESULT one = fence_lower(r, &r->disks[i], &why);
        if (FAILED(one)) {
            log_line(LOG_WARNING, "%s", error_text(&why));
            hr = FAILED(hr) ? hr : error_set(err, one, "%s", error_text(&why));
        }
    }
    return hr;
}

/* Closes the entry of destinations that need it no more; where a fence is left, it stays as one of
 * a resync that had only begun. */
static HRESULT close_entry(struct recovery *r, HRESULT fence_hr, struct error *err)
{
    return SUCCEEDED(fence_hr) ? journal_close(r->env->store, &r->journal_id, err)
                               : journal_mark_invalid(r->env->store, &r->journal_id, false, err);
}

/* Releases the destinations, then closes the journal entry unless what it guards is still true. */
static HRESULT conclude(struct recovery *r, HRESULT result, struct error *err)
{
    struct error *told = SUCCEEDED(result) ? err : NULL;
    HRESULT fence_hr = lower_all(r, told);
    bool is_whole = SUCCEEDED(result) || !(r->is_written || r->was_invalid);
    HRESULT hr = S_OK;
    if (is_whole) {
        hr = change_state(r, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY, told);
    }
    if (SUCCEEDED(hr) && (is_whole || !r->is_written)) {
        hr = close_entry(r, fence_hr, told);
    }
    if (SUCCEEDED(result) && SUCCEEDED(hr)) {
        hr = unfinished_close(r, err);
    }
    if (!is_whole) {
        error_prefix(err, "the destinations are not whole and carry no label; run the same resync "
                          "again to make them whole");
    }
    if (SUCCEEDED(hr)) {
        hr = fence_hr;
    }
    return FAILED(result) ? result : hr;
}

static HRESULT keep_results(struct recovery *r, HRESULT result)
{
    r->results = calloc(r->member_count, sizeof(*r->results));
    if (!r->results) {
        return E_OUTOFMEMORY;
    }
    HRESULT hr = S_OK;
    for (size_t i = 0; i < r->member_count; i++) {
        const struct recovery_member *m = &r->members[i];
        const struct recovery_disk *d = &r->disks[m->disk];
        r->results[i] = (struct recovery_member_result){
            .snapshot_id = m->snapshot->snapshot_id,
            .destination_url = volume_text(&m->destination),
            .method = text_copy(r->method ? r->method : ""),
            .ids_note = text_copy(d->ids_note ? d->ids_note : ""),
            .result = result,
        };
        bool has_all =
            r->results[i].destination_url && r->results[i].method && r->results[i].ids_note;
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

/* For listings: a failure to write it changes nothing. */
static void record(struct recovery *r, uint32_t flags, int64_t started, HRESULT result)
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

static HRESULT check_call(const struct recovery *r, uint32_t flags, struct error *err)
{
    if (flags & ~(uint32_t)RECOVERY_FLAGS) {
        return error_set(err, E_INVALIDARG, "0x%x are not flags of a recovery", flags);
    }
    if (r->member_count == 0 || r->results) {
        return error_set(err, VSS_E_BAD_STATE, "%s",
                         r->results ? "this recovery set was run already"
                                    : "the recovery set is empty");
    }
    return S_OK;
}

HRESULT recovery_run(struct recovery *r, uint32_t flags, struct error *err)
{
    HRESULT hr = check_call(r, flags, err);
    if (SUCCEEDED(hr)) {
        hr = check_and_plan(r, flags, err);
    }
    if (SUCCEEDED(hr)) {
        hr = open_journal(r, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    int64_t started = clock_filetime();
    record(r, flags, started, VSS_S_ASYNC_PENDING);
    hr = conclude(r, overwrite(r, err), err);
    record(r, flags, started, hr);
    if (FAILED(hr)) {
        events_add(r->env->store, LOG_ERROR, hr, &r->resync_id, err ? error_text(err) : "");
    }
    HRESULT kept = keep_results(r, hr);
    lock_release(r->lock);
    r->lock = NULL;
    return FAILED(hr) ? hr : kept;
}
