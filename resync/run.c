/* SPDX-License-Identifier: Apache-2.0 */
/* RecoverSet: the order in which destinations are overwritten. Until the first wipe everything can
 * be taken back; from there on the journal entry stays open until the destinations are whole. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"
#include "provider/set/label_change.h"
#include "registry/events.h"
#include "resync/copy.h"
#include "resync/undo.h"
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

/* ---- steps ----------------------------------------------------------------------------------- */

static HRESULT check_disk(struct recovery *r, size_t index, uint32_t flags, struct error *err)
{
    struct recovery_disk *d = &r->disks[index];
    HRESULT hr = destination_check_identity(d, err);
    if (SUCCEEDED(hr)) {
        hr = destination_check_unmounted(d, err);
    }
    if (SUCCEEDED(hr) && !(flags & VSS_RECOVERY_NO_VOLUME_CHECK)) {
        hr = destination_check_volumes(r, index, err);
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
    return hr;
}

/* All members are checked, so that one call tells all that is in the way. */
static HRESULT check_disks(struct recovery *r, uint32_t flags, struct error *err)
{
    struct error first = {0};
    size_t failed = 0;
    for (size_t i = 0; i < r->disk_count; i++) {
        struct error *failure = &r->disks[i].failure;
        error_clear(failure);
        HRESULT hr = check_disk(r, i, flags, failure);
        if (FAILED(hr)) {
            (void)error_set(&first, hr, "%s", error_text(failure)); /* the first one stays */
            failed++;
        }
    }
    if (failed == 0) {
        return S_OK;
    }
    return failed == 1 ? error_set(err, first.code, "%s", first.text)
                       : error_set(err, first.code, "%.800s; %zu of %zu destinations are refused",
                                   first.text, failed, r->disk_count);
}

static HRESULT check_and_plan(struct recovery *r, uint32_t flags, struct error *err)
{
    HRESULT hr = unfinished_adopt(r, err);
    if (SUCCEEDED(hr)) {
        hr = check_disks(r, flags, err);
    }
    return SUCCEEDED(hr) && !r->is_verbatim ? ids_check_collisions(r, flags, err) : hr;
}

/* Keeps on which destination a step failed; returns hr. */
static HRESULT blame(struct recovery_disk *d, HRESULT hr, const struct error *err)
{
    if (FAILED(hr) && SUCCEEDED(d->failure.code)) {
        (void)error_set(&d->failure, hr, "%s", err ? error_text(err) : "");
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
        (void)blame(&r->disks[i], hr, err);
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
    HRESULT hr = entry_announce_wipe(r, err);
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        r->is_written = true;
        hr = edges_wipe(&r->disks[i].lun->block, r->disks[i].edges, err);
        (void)blame(&r->disks[i], hr, err);
        if (FAILED(hr) && SUCCEEDED(put_edges_back(r, i + 1))) {
            r->is_written = false;
        }
    }
    return hr;
}

static HRESULT apply_ids(struct recovery *r, struct error *err)
{
    struct disk_ids_transaction transaction = {0};
    const char **keys = calloc(r->disk_count + 1, sizeof(*keys));
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
        hr = disk_ids_remember(r->env->store, r->disks[i].key, &r->disks[i].wanted,
                               "written by a resync", err);
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
        hr = copy_cancel_earlier(r, err);
    }
    if (SUCCEEDED(hr) && !r->is_verbatim) {
        hr = undo_prepare(r, err);
    }
    if (SUCCEEDED(hr)) {
        hr = copy_prepare(r, err);
    }
    if (SUCCEEDED(hr)) {
        hr = wipe(r, err);
    }
    if (SUCCEEDED(hr)) {
        hr = recovery_copy(r, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = blame(&r->disks[i], destination_check_identity(&r->disks[i], err), err);
    }
    return SUCCEEDED(hr) && !r->is_verbatim ? apply_ids(r, err) : hr;
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
 * a resync that had only begun, or that is done but for that. */
static HRESULT close_entry(struct recovery *r, HRESULT result, HRESULT fence_hr, struct error *err)
{
    struct store *store = r->env->store;
    if (SUCCEEDED(fence_hr)) {
        return journal_close(store, &r->journal_id, err);
    }
    HRESULT hr = journal_mark_invalid(store, &r->journal_id, false, err);
    if (SUCCEEDED(hr) && SUCCEEDED(result)) {
        hr = journal_step(store, &r->journal_id, RESYNC_STEP_DONE, NULL, NULL, 0, err);
    }
    return hr;
}

/* And with it those that this resync took over: they must not outlive what has made them whole. */
static HRESULT close_entries(struct recovery *r, HRESULT result, HRESULT fence_hr,
                             struct error *err)
{
    HRESULT hr = store_begin(r->env->store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = close_entry(r, result, fence_hr, err);
    if (SUCCEEDED(result) && SUCCEEDED(hr)) {
        hr = unfinished_close(r, err);
    }
    return store_end(r->env->store, hr, err);
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
        hr = close_entries(r, result, fence_hr, told);
    }
    if (!is_whole) {
        error_prefix(err,
                     "the destinations are not whole and carry no label; run the same resync "
                     "again%s to make them whole",
                     r->is_registered ? ", or `lunshadow recover --resume`," : "");
    }
    if (SUCCEEDED(hr)) {
        hr = fence_hr;
    }
    return FAILED(result) ? result : hr;
}

static HRESULT check_call(const struct recovery *r, uint32_t flags, struct error *err)
{
    if (flags & ~(uint32_t)RECOVERY_FLAGS) {
        return error_set(err, E_INVALIDARG, "0x%x are not flags of a recovery", flags);
    }
    if (r->member_count == 0 || r->was_run) {
        return error_set(err, VSS_E_BAD_STATE, "%s",
                         r->was_run ? "this recovery set was run already"
                                    : "the recovery set is empty");
    }
    return S_OK;
}

HRESULT recovery_check(struct recovery *r, uint32_t flags, struct error *err)
{
    HRESULT hr = check_call(r, flags, err);
    return SUCCEEDED(hr) ? check_and_plan(r, flags, err) : hr;
}

HRESULT recovery_run(struct recovery *r, uint32_t flags, struct error *err)
{
    HRESULT hr = check_call(r, flags, err);
    if (SUCCEEDED(hr)) {
        hr = check_and_plan(r, flags, err);
    }
    if (SUCCEEDED(hr) && r->env->is_dry_run) {
        return recovery_preview(r, err);
    }
    if (SUCCEEDED(hr)) {
        hr = entry_open(r, flags, err);
    }
    if (FAILED(hr)) {
        if (r->member_count > 0 && !r->was_run) {
            (void)results_keep(r, hr);
        }
        return hr;
    }
    r->was_run = true;
    int64_t started = clock_filetime();
    results_record(r, flags, started, VSS_S_ASYNC_PENDING);
    hr = conclude(r, overwrite(r, err), err);
    results_record(r, flags, started, hr);
    if (FAILED(hr)) {
        events_add(r->env->store, LOG_ERROR, hr, &r->resync_id, err ? error_text(err) : "");
    }
    HRESULT kept = results_keep(r, hr);
    lock_release(r->lock);
    r->lock = NULL;
    return FAILED(hr) ? hr : kept;
}
