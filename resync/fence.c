/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"
#include "resync/unfinished.h"

#include <endian.h>
#include <stdlib.h>
#include <sys/random.h>

#define KEYS_MAX 64
#define BROOMS   2

static uint64_t new_key(void)
{
    uint64_t key = 0;
    while (key == 0) {
        if (getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
            abort();
        }
    }
    return key;
}

static bool has_registered(const struct recovery_disk *disk, uint64_t key)
{
    for (size_t i = 0; i < disk->fence_key_count; i++) {
        if (fence_is_of_key(disk->fence_keys[i], key)) {
            return true;
        }
    }
    return false;
}

/* Of this resync, or of a dead one that it takes over. */
static bool is_ours(const struct recovery *r, const struct recovery_disk *disk, uint64_t key)
{
    return has_registered(disk, key) || unfinished_has_fence(r, disk->key, key);
}

/* Registrations that may stay in the way: none but ours. */
static HRESULT check_registrants(const struct recovery *r, const struct recovery_disk *disk,
                                 const uint64_t *keys, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (i >= KEYS_MAX || !is_ours(r, disk, keys[i])) {
            return error_set(err, VSS_E_PROVIDER_VETO,
                             "%s: %zu persistent reservation keys are registered by others (one "
                             "is 0x%016llx), who could write to it; release them first",
                             disk->lun->url, count, (unsigned long long)keys[i < KEYS_MAX ? i : 0]);
        }
    }
    return S_OK;
}

HRESULT fence_check_others(const struct recovery *r, const struct recovery_disk *disk,
                           struct error *err)
{
    struct lun *lun = disk->lun;
    uint64_t keys[KEYS_MAX];
    size_t count = 0;
    struct error why = {0};
    HRESULT hr = scsi_pr_read_keys(lun->session, lun->address.lun, keys, KEYS_MAX, &count, &why);
    if (hr == E_NOTIMPL) {
        return S_OK;
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why))
                      : check_registrants(r, disk, keys, count, err);
}

/* A new key, journaled and remembered before it is registered: the answer may get lost where the
 * registration did not. */
static HRESULT announce_key(struct recovery *r, struct recovery_disk *disk, const char *step,
                            uint64_t *out, struct error *err)
{
    size_t count = disk->fence_key_count;
    uint64_t *grown = realloc(disk->fence_keys, (count + 1) * sizeof(*grown));
    if (!grown) {
        return error_set(err, E_OUTOFMEMORY, "out of memory fencing %s", disk->lun->url);
    }
    disk->fence_keys = grown;
    uint64_t key = new_key();
    uint64_t stored = htole64(key);
    HRESULT hr =
        journal_step(r->env->store, &r->journal_id, step, disk->key, &stored, sizeof(stored), err);
    if (SUCCEEDED(hr)) {
        disk->fence_keys[disk->fence_key_count++] = key;
        *out = key;
    }
    return hr;
}

/* Registers disk->lun and takes the reservation from whichever of our old sessions has it: PREEMPT
 * of the holder moves it in one step. */
static HRESULT take_reservation(struct recovery *r, struct recovery_disk *disk, const char *step,
                                const uint64_t *old_keys, size_t old_count, struct error *err)
{
    struct lun *lun = disk->lun;
    uint64_t key = 0;
    HRESULT hr = announce_key(r, disk, step, &key, err);
    if (FAILED(hr)) {
        return hr;
    }
    lun->reservation_key = key;
    disk->is_fenced = true;
    hr = scsi_pr_register(lun->session, lun->address.lun, 0, key, err);
    for (size_t i = 0; i < old_count && SUCCEEDED(hr); i++) {
        hr = scsi_pr_preempt_and_abort(lun->session, lun->address.lun, key, old_keys[i], err);
    }
    if (SUCCEEDED(hr)) {
        hr = scsi_pr_reserve(lun->session, lun->address.lun, key, err);
    }
    if (SUCCEEDED(hr)) { /* the others are registered no more */
        disk->fence_keys[0] = key;
        disk->fence_key_count = 1;
    }
    return hr;
}

/* *out_was_up: a reservation of ours stood all the time. */
static HRESULT raise_fence(struct recovery *r, struct recovery_disk *disk, bool *out_was_up,
                           struct error *err)
{
    struct lun *lun = disk->lun;
    uint64_t keys[KEYS_MAX];
    uint64_t holder = 0;
    uint8_t type = 0;
    size_t count = 0;
    struct error why = {0};
    *out_was_up = false;
    HRESULT hr = scsi_pr_read_keys(lun->session, lun->address.lun, keys, KEYS_MAX, &count, &why);
    if (hr == E_NOTIMPL) {
        log_line(LOG_WARNING,
                 "%s has no persistent reservations: other initiators were cut off, but are not "
                 "kept from coming back while it is overwritten",
                 lun->url);
        return S_OK;
    }
    if (FAILED(hr)) {
        return error_set(err, hr, "%s", error_text(&why));
    }
    hr = check_registrants(r, disk, keys, count, err);
    if (SUCCEEDED(hr)) {
        hr = scsi_pr_read_reservation(lun->session, lun->address.lun, &holder, &type, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    *out_was_up =
        hr == S_OK && type == SCSI_PR_WRITE_EXCLUSIVE_REGISTRANTS_ONLY && is_ours(r, disk, holder);
    /* Also where the reservation is made and its answer gets lost: then the next try finds it. */
    disk->fence_was_down = disk->fence_was_down || !*out_was_up;
    return take_reservation(r, disk, *out_was_up ? RESYNC_STEP_FENCE : RESYNC_STEP_ANEW, keys,
                            count, err);
}

HRESULT fence_raise(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    HRESULT hr = raise_fence(r, disk, &disk->fence_was_kept, err);
    disk->fence_was_down = false; /* as nothing was written behind it yet */
    return hr;
}

HRESULT fence_restore(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    bool was_up = false;
    if (disk->fence_key_count == 0) {
        return S_OK;
    }
    HRESULT hr = raise_fence(r, disk, &was_up, err);
    if (FAILED(hr) || !disk->fence_was_down) {
        return hr;
    }
    disk->fence_was_down = false;
    return S_FALSE;
}

HRESULT fence_add_path(struct recovery *r, struct recovery_disk *disk, struct lun *path,
                       struct error *err)
{
    uint64_t key = 0;
    if (!disk->is_fenced) {
        return S_OK;
    }
    HRESULT hr = announce_key(r, disk, RESYNC_STEP_FENCE, &key, err);
    return SUCCEEDED(hr) ? scsi_pr_register(path->session, path->address.lun, 0, key, err) : hr;
}

HRESULT fence_check(struct recovery_disk *disk, struct error *err)
{
    struct lun *lun = disk->lun;
    uint64_t holder = 0;
    uint8_t type = 0;
    if (!disk->is_fenced) {
        return disk->fence_key_count ? S_FALSE : S_OK;
    }
    HRESULT hr = scsi_pr_read_reservation(lun->session, lun->address.lun, &holder, &type, err);
    if (FAILED(hr)) {
        return hr;
    }
    bool is_up = hr == S_OK && holder == lun->reservation_key &&
                 type == SCSI_PR_WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
    return is_up ? S_OK : S_FALSE;
}

static bool is_listed(const uint64_t *keys, size_t count, uint64_t key)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i] == key) {
            return true;
        }
    }
    return false;
}

/* Whoever dies in here leaves a registration of one of these, beside the key or in its place. */
static uint64_t broom_key(uint64_t key, unsigned which)
{
    static const uint64_t patterns[BROOMS] = {0x5a5a5a5a5a5a5a5a, 0xa5a5a5a5a5a5a5a5};
    uint64_t broom = key ^ patterns[which];
    return broom ? broom : 1 + which;
}

bool fence_is_of_key(uint64_t key, uint64_t seen)
{
    return seen == key || seen == broom_key(key, 0) || seen == broom_key(key, 1);
}

/* With a registration of the first broom: removes the key and the second one; then, with the second
 * one in its place, what an earlier try has left of the first. */
static HRESULT sweep(struct lun *lun, uint64_t key, const uint64_t *keys, size_t count,
                     struct error *err)
{
    const uint64_t victims[] = {key, broom_key(key, 1), broom_key(key, 0)};
    uint64_t own = broom_key(key, 0);
    HRESULT hr = scsi_pr_register(lun->session, lun->address.lun, 0, own, err);
    if (FAILED(hr)) {
        return hr;
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < 3; i++) {
        if (!is_listed(keys, count, victims[i])) {
            continue;
        }
        if (victims[i] == own) {
            hr = scsi_pr_register(lun->session, lun->address.lun, own, broom_key(key, 1), err);
            own = SUCCEEDED(hr) ? broom_key(key, 1) : own;
        }
        if (SUCCEEDED(hr)) {
            hr = scsi_pr_preempt(lun->session, lun->address.lun, own, victims[i], err);
        }
    }
    HRESULT end =
        scsi_pr_register(lun->session, lun->address.lun, own, 0, SUCCEEDED(hr) ? err : NULL);
    return FAILED(hr) ? hr : end;
}

HRESULT fence_drop_key(struct lun *lun, uint64_t key, struct error *err)
{
    size_t count = 0;
    uint64_t *keys = calloc(SCSI_PR_KEYS_MAX, sizeof(*keys));
    if (!keys) {
        return error_set(err, E_OUTOFMEMORY, "out of memory taking a fence off %s", lun->url);
    }
    HRESULT hr =
        scsi_pr_read_keys(lun->session, lun->address.lun, keys, SCSI_PR_KEYS_MAX, &count, err);
    bool is_there = false;
    for (size_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        is_there = is_there || fence_is_of_key(key, keys[i]);
    }
    if (is_there) {
        hr = sweep(lun, key, keys, count, err);
    }
    free(keys);
    return hr;
}

/* The session that raised it may be lost, and its registration with it out of reach. */
static HRESULT lower_anew(struct recovery *r, const struct recovery_disk *disk, struct error *err)
{
    struct lun *lun = NULL;
    HRESULT hr = lun_open(disk->open_name, &r->env->lun, false, &lun, err);
    if (SUCCEEDED(hr) && lun_info_compare(&disk->info, &lun->identity.info) != LUN_SAME) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s is another LUN by now", lun->url);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < disk->fence_key_count; i++) {
        hr = fence_drop_key(lun, disk->fence_keys[i], err);
    }
    lun_close(lun);
    return hr;
}

/* By the holder itself: our other registrations first, while it may still preempt them. */
static HRESULT lower_here(const struct recovery_disk *disk)
{
    struct lun *lun = disk->lun;
    uint64_t key = lun ? lun->reservation_key : 0;
    if (key == 0) {
        return VSS_E_BAD_STATE;
    }
    HRESULT hr = S_OK;
    for (size_t i = 0; i < disk->fence_key_count; i++) {
        if (disk->fence_keys[i] != key) {
            HRESULT one =
                scsi_pr_preempt(lun->session, lun->address.lun, key, disk->fence_keys[i], NULL);
            hr = FAILED(hr) ? hr : one;
        }
    }
    /* Unregistering the holder releases too; release first, so that waiting initiators are told. */
    (void)scsi_pr_release(lun->session, lun->address.lun, key, NULL);
    HRESULT end = scsi_pr_register(lun->session, lun->address.lun, key, 0, NULL);
    return FAILED(end) ? end : hr;
}

HRESULT fence_lower(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    if (disk->fence_key_count == 0) {
        return S_OK;
    }
    HRESULT hr = lower_here(disk);
    if (FAILED(hr)) {
        struct error why = {0};
        hr = lower_anew(r, disk, &why);
        if (FAILED(hr)) {
            hr = error_set(err, VSS_E_PROVIDER_VETO,
                           "%s: its persistent reservation (key 0x%016llx) could not be taken off, "
                           "so others cannot write to it: %s; do that with `lunshadow recover "
                           "--rollback`",
                           disk->lun ? disk->lun->url : disk->key,
                           (unsigned long long)disk->fence_keys[0], error_text(&why));
        }
    }
    if (disk->lun) {
        disk->lun->reservation_key = 0;
    }
    disk->is_fenced = false;
    disk->fence_key_count = 0;
    return hr;
}
