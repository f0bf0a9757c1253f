/* SPDX-License-Identifier: Apache-2.0 */
/* RecoverSet: the order in which destinations are overwritten. Until the first wipe everything can
 * be taken back; from there on the journal entry says that the destinations are not whole, until
 * they are, which is journaled before anybody else is let in again. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "provider/set/label_change.h"
#include "registry/events.h"
#include "registry/set_marks.h"
#include "resync/copy.h"
#include "resync/state_change.h"
#include "resync/undo.h"
#include "resync/unfinished.h"

#include <stdlib.h>
#include <string.h>

#define RECOVERY_FLAGS (VSS_RECOVERY_REVERT_IDENTITY_ALL | VSS_RECOVERY_NO_VOLUME_CHECK)

/* ---- calls ----------------------------------------------------------------------------------- */

/* Nobody is let in to what this resync, or an earlier one, left half-written, nor to what another
 * host's may be at work on, which lets others in at its own end. */
static bool may_be_opened(const struct recovery *r, const struct recovery_disk *d)
{
    return r->is_done || !(r->is_written || d->was_invalid || d->is_others);
}

static HRESULT change_state(struct recovery *r, uint32_t flag, struct error *err)
{
    bool is_end = flag == VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY;
    struct vss_set_lun *luns = calloc(r->disk_count, sizeof(*luns));
    size_t count = 0;
    if (!luns) {
        return error_set(err, E_OUTOFMEMORY, "out of memory calling OnLunStateChange");
    }
    for (size_t i = 0; i < r->disk_count; i++) {
        if (!is_end || may_be_opened(r, &r->disks[i])) {
            luns[count++] = (struct vss_set_lun){.source = r->disks[i].info};
        }
    }
    HRESULT hr = count ? state_change(r->provider, &r->resync_id, luns, count, flag, err) : S_OK;
    free(luns);
    return hr;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static HRESULT check_disk(struct recovery *r, size_t index, uint32_t flags, struct error *err)
{
    struct recovery_disk *d = &r->disks[index];
    HRESULT hr = destination_check_identity(d, err);
    if (SUCCEEDED(hr)) {
        hr = fence_check_others(r, d, err);
    }
    if (SUCCEEDED(hr)) {
        hr = destination_refresh_label(r, d, err);
    }
    if (SUCCEEDED(hr) && !r->may_be_mounted) {
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
    if (SUCCEEDED(hr)) {
        hr = copy_check(r, err);
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

static bool is_same_edges(const struct edges *a, const struct edges *b)
{
    return a->block_count == b->block_count && a->head_blocks == b->head_blocks &&
           a->tail_blocks == b->tail_blocks &&
           memcmp(a->head, b->head, (size_t)a->head_blocks * a->block_bytes) == 0 &&
           memcmp(a->tail, b->tail, (size_t)a->tail_blocks * a->block_bytes) == 0;
}

/* Others could write until the fence was up: what they did to the edges belongs to what is put back
 * should the wipe fail. Another label is not what the checks have seen. */
static HRESULT refresh_edges(struct recovery *r, struct recovery_disk *d, struct error *err)
{
    struct edges *now = NULL;
    HRESULT hr = edges_read(&d->lun->block, d->label, &now, err);
    if (FAILED(hr) || is_same_edges(now, d->edges)) {
        edges_free(now);
        return hr;
    }
    edges_free(d->edges);
    d->edges = now;
    hr = destination_refresh_label(r, d, err);
    if (hr == S_FALSE) {
        return error_set(err, VSS_E_PROVIDER_VETO,
                         "%s got other partitions or ids after they were checked; run it again",
                         d->lun->url);
    }
    return SUCCEEDED(hr) ? entry_keep_edges(r, d, err) : hr;
}

/* Since they were checked another host may have begun a resync of some: which, is looked at of all.
 */
static HRESULT reopen_all(struct recovery *r, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < r->disk_count; i++) {
        struct recovery_disk *d = &r->disks[i];
        struct error why = {0};
        HRESULT one = destination_reopen(r, d, &why);
        if (SUCCEEDED(one)) {
            one = fence_check_others(r, d, &why);
            d->is_others = one == VSS_E_PROVIDER_VETO;
        }
        (void)blame(d, one, &why);
        hr = FAILED(hr) || SUCCEEDED(one) ? hr : error_set(err, one, "%s", error_text(&why));
    }
    return hr;
}

static HRESULT evict_and_fence(struct recovery *r, struct error *err)
{
    HRESULT hr = change_state(r, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY, err);
    if (SUCCEEDED(hr)) {
        hr = reopen_all(r, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = fence_raise(r, &r->disks[i], err);
        if (SUCCEEDED(hr)) {
            hr = refresh_edges(r, &r->disks[i], err);
        }
        (void)blame(&r->disks[i], hr, err);
    }
    return hr;
}

/* A LUN that takes no writes, or none of ours by now, has its edges still. */
static bool has_edges(struct recovery_disk *d)
{
    struct edges *now = NULL;
    if (!d->lun || FAILED(destination_check_identity(d, NULL)) ||
        FAILED(edges_read(&d->lun->block, d->label, &now, NULL))) {
        return false;
    }
    bool is_same = is_same_edges(now, d->edges);
    edges_free(now);
    return is_same;
}

/* Gives wiped destinations their edges back: right as long as no copying began, and nobody else
 * could write. False: not all of them have them. */
static bool put_edges_back(struct recovery *r, size_t count)
{
    bool is_back = true;
    for (size_t i = 0; i < count; i++) {
        struct recovery_disk *d = &r->disks[i];
        bool is_put = destination_regain(r, d, NULL) == S_OK &&
                      SUCCEEDED(edges_write(&d->lun->block, d->edges, NULL));
        is_back = (is_put || has_edges(d)) && is_back;
    }
    return is_back;
}

static void take_wipe_back(struct recovery *r, size_t count)
{
    r->is_written = !put_edges_back(r, count);
}

static bool is_zero(const uint8_t *data, size_t bytes)
{
    return bytes == 0 || (data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0);
}

static bool is_blank(const struct edges *e)
{
    return is_zero(e->head, (size_t)e->head_blocks * e->block_bytes) &&
           is_zero(e->tail, (size_t)e->tail_blocks * e->block_bytes);
}

/* It may carry the copy's label by now: what is not what it shall be must not look like it. */
static void blank(struct recovery *r, struct recovery_disk *d)
{
    struct label *label = NULL;
    struct edges *now = NULL;
    struct error why = {0};
    HRESULT hr = destination_regain(r, d, &why);
    if (SUCCEEDED(hr)) {
        (void)label_read(&d->lun->block, LABEL_FULL, &label, NULL);
        hr = edges_read(&d->lun->block, label, &now, &why);
    }
    if (SUCCEEDED(hr) && !is_blank(now)) {
        hr = edges_wipe(&d->lun->block, now, &why);
    }
    if (FAILED(hr)) {
        log_line(LOG_ERROR, "%s may look whole, and is not: do not use it: %s", d->key,
                 error_text(&why));
    }
    edges_free(now);
    label_free(label);
}

/* What the journal says of one it says of all. */
static void blank_all(struct recovery *r)
{
    for (size_t i = 0; i < r->disk_count; i++) {
        blank(r, &r->disks[i]);
    }
}

static HRESULT check_guarded(struct recovery *r, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = blame(&r->disks[i], destination_check_guarded(r, &r->disks[i], err), err);
    }
    return hr;
}

/* Hours may lie between the fence and here, where an array took a safety copy. */
static HRESULT wipe(struct recovery *r, struct error *err)
{
    HRESULT hr = check_guarded(r, err);
    if (SUCCEEDED(hr)) {
        hr = copy_check(r, err);
    }
    if (SUCCEEDED(hr) && atomic_load(&r->env->cancelled)) {
        hr = error_set(err, E_ABORT, "cancelled before anything was written");
    }
    if (SUCCEEDED(hr)) {
        hr = entry_announce_wipe(r, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        r->is_written = true;
        hr = edges_wipe(&r->disks[i].lun->block, r->disks[i].edges, err);
        (void)blame(&r->disks[i], hr, err);
        if (FAILED(hr)) {
            take_wipe_back(r, i + 1);
        }
    }
    if (FAILED(hr) && r->is_written) {
        entry_note_stopped(r); /* it has not begun */
        blank_all(r);
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
        hr = ids_fit(&r->disks[i], err);
        hr = SUCCEEDED(hr) ? disk_ids_stage(&transaction, &r->disks[i].lun->block,
                                            &r->disks[i].wanted, true, err)
                           : hr;
    }
    if (SUCCEEDED(hr)) {
        struct label_journal journal = {
            .store = r->env->store, .entry_id = &r->journal_id, .lun_keys = keys};
        hr = disk_ids_apply(&transaction, label_journal_sink, &journal, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        struct error why = {0};
        if (FAILED(disk_ids_remember(r->env->store, r->disks[i].key, &r->disks[i].wanted,
                                     "written by a resync", &why))) {
            log_line(LOG_WARNING, "%s: its new disk ids are not in its history: %s",
                     r->disks[i].key, error_text(&why));
        }
    }
    disk_ids_transaction_free(&transaction);
    free(keys);
    return FAILED(hr) && hr != E_OUTOFMEMORY ? error_translate(err, VSS_E_CANNOT_REVERT_DISKID)
                                             : hr;
}

/* S_FALSE: a session was lost, which is there again, and nobody else can have written. */
static HRESULT regain_all(struct recovery *r)
{
    bool was_lost = false;
    HRESULT hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        was_lost = was_lost || FAILED(destination_check_identity(&r->disks[i], NULL));
        hr = destination_check_guarded(r, &r->disks[i], NULL);
    }
    return FAILED(hr) ? hr : was_lost ? S_FALSE : S_OK;
}

/* Hours of copying are not lost for a session that is: labels that are written in part are so with
 * the same partitions, and are read and written again. */
static HRESULT apply_ids_again(struct recovery *r, HRESULT hr, struct error *err)
{
    if (SUCCEEDED(hr) || regain_all(r) != S_FALSE) {
        return hr;
    }
    log_line(LOG_WARNING, "a session was lost while disk ids were written; writing them again");
    struct error why = {0};
    hr = apply_ids(r, &why);
    if (SUCCEEDED(hr)) {
        error_clear(err);
        return hr;
    }
    return error_set(err, hr, "%s", error_text(&why));
}

/* What follows the wipe. */
static HRESULT copy_all(struct recovery *r, struct error *err)
{
    HRESULT hr = recovery_copy(r, err);
    bool is_copied = SUCCEEDED(hr);
    if (r->is_not_begun) {
        take_wipe_back(r, r->disk_count);
    }
    if (!r->is_written) {
        return hr;
    }
    if (SUCCEEDED(hr)) {
        hr = check_guarded(r, err);
    }
    if (SUCCEEDED(hr) && !r->is_verbatim) {
        hr = apply_ids_again(r, apply_ids(r, err), err);
    }
    if (FAILED(hr) && is_copied) {
        entry_note_stopped(r);
    }
    if (FAILED(hr)) {
        blank_all(r);
    }
    return hr;
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
    return SUCCEEDED(hr) ? copy_all(r, err) : hr;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The first failure is told; all are logged. */
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

/* The entry of destinations that nothing was done to. While their fence is up, or the array keeps
 * others away from them, it stays as that of a resync that had only begun. */
static HRESULT close_begun(struct recovery *r, HRESULT released)
{
    struct store *store = r->env->store;
    if (FAILED(released)) {
        return journal_mark_invalid(store, &r->journal_id, false, NULL);
    }
    HRESULT hr = store_begin(store, NULL);
    if (FAILED(hr)) {
        return hr;
    }
    if (!id_is_null(&r->safety_id)) { /* it would put back older data, were we to die before it is
                                         deleted */
        hr = set_marks_drop_safety(store, &r->safety_id, NULL);
    }
    if (SUCCEEDED(hr)) {
        hr = journal_close(store, &r->journal_id, NULL);
    }
    return store_end(store, hr, NULL);
}

static HRESULT release(struct recovery *r, struct error *err)
{
    HRESULT hr = lower_all(r, err);
    HRESULT told =
        change_state(r, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_POST_RECOVERY, SUCCEEDED(hr) ? err : NULL);
    return FAILED(hr) ? hr : told;
}

/* Nobody else is let in before the journal knows that nothing is to be overwritten again. */
static HRESULT conclude_done(struct recovery *r, struct error *err)
{
    HRESULT hr = entry_announce_done(r, err);
    if (FAILED(hr)) {
        error_prefix(err,
                     "the destinations are whole, but that could not be noted: they stay fenced "
                     "until the same resync, or `lunshadow recover --resume`, was run again");
        return hr;
    }
    r->is_done = true;
    hr = release(r, err);
    if (FAILED(hr)) {
        error_prefix(err, "the destinations are whole; `lunshadow recover --resume` tries again to "
                          "let others in");
        return hr;
    }
    return journal_close(r->env->store, &r->journal_id, err);
}

/* Releases the destinations; the journal entry stays where what it says is true. */
static HRESULT conclude_failed(struct recovery *r, HRESULT result, struct error *err)
{
    HRESULT released = release(r, NULL);
    if (!r->is_written) {
        (void)close_begun(r, released);
    }
    if (r->is_written || r->was_invalid) {
        error_prefix(err,
                     "the destinations are not whole and carry no label; run the same resync "
                     "again%s to make them whole",
                     r->is_registered ? ", or `lunshadow recover --resume`," : "");
    }
    return result;
}

static HRESULT conclude(struct recovery *r, HRESULT result, struct error *err)
{
    return SUCCEEDED(result) ? conclude_done(r, err) : conclude_failed(r, result, err);
}

/* Safety copies that nobody needs: after the row that says how it ended, for which others wait; an
 * array takes its time to delete. */
static void drop_needless(struct recovery *r, HRESULT result)
{
    if (FAILED(result) && !r->is_written) {
        undo_drop(r);
    }
    for (size_t i = 0; SUCCEEDED(result) && i < r->adopted_kept; i++) {
        undo_drop_of(r->env, r, &r->adopted[i]);
    }
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

HRESULT recovery_check_but_mounts(struct recovery *r, uint32_t flags, struct error *err)
{
    r->may_be_mounted = true;
    HRESULT hr = recovery_check(r, flags, err);
    r->may_be_mounted = false;
    return hr;
}

/* Waiting for it may have taken minutes: all is looked at again then. */
static HRESULT reserve_undo(struct recovery *r, uint32_t flags, struct error *err)
{
    HRESULT hr = undo_reserve(r, err);
    if (hr != S_FALSE) {
        return hr;
    }
    hr = S_OK;
    for (size_t i = 0; SUCCEEDED(hr) && i < r->disk_count; i++) {
        hr = destination_reopen(r, &r->disks[i], err);
    }
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
        hr = reserve_undo(r, flags, err);
    }
    if (SUCCEEDED(hr)) {
        hr = entry_open(r, flags, err);
    }
    if (FAILED(hr)) {
        undo_release(r);
        if (r->member_count > 0 && !r->was_run) {
            (void)results_keep(r, hr);
        }
        return hr;
    }
    r->was_run = true;
    int64_t started = clock_filetime();
    results_record(r, flags, started, VSS_S_ASYNC_PENDING);
    hr = overwrite(r, err);
    undo_release(r);
    hr = conclude(r, hr, err);
    lock_release(r->lock);
    r->lock = NULL; /* before the row: who reads there that it ended may begin the next */
    results_record(r, flags, started, hr);
    drop_needless(r, hr);
    if (FAILED(hr)) {
        events_add(r->env->store, LOG_ERROR, hr, &r->resync_id, err ? error_text(err) : "");
    }
    HRESULT kept = results_keep(r, hr);
    return FAILED(hr) ? hr : kept;
}
