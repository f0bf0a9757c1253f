/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"
#include "resync/unfinished.h"

#include <endian.h>
#include <stdlib.h>
#include <sys/random.h>

#define KEYS_MAX 64

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

/* Registrations that may stay in the way: none but those of a dead resync of ours. */
static HRESULT check_registrants(const struct recovery *r, const struct recovery_disk *disk,
                                 const uint64_t *keys, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (i >= KEYS_MAX || !unfinished_has_fence(r, disk->key, keys[i])) {
            return error_set(err, VSS_E_PROVIDER_VETO,
                             "%s: %zu persistent reservation keys are registered by others (one "
                             "is 0x%016llx), who could write to it; release them first",
                             disk->lun->url, count, (unsigned long long)keys[i < KEYS_MAX ? i : 0]);
        }
    }
    return S_OK;
}

static HRESULT take_reservation(struct recovery *r, struct recovery_disk *disk,
                                const uint64_t *old_keys, size_t old_count, struct error *err)
{
    struct lun *lun = disk->lun;
    uint64_t key = new_key();
    uint64_t stored = htole64(key);
    HRESULT hr = journal_step(r->env->store, &r->journal_id, "fence", disk->key, &stored,
                              sizeof(stored), err);
    if (FAILED(hr)) {
        return hr;
    }
    /* From before the answer, which may get lost where the registration did not. */
    lun->reservation_key = key;
    disk->is_fenced = true;
    hr = scsi_pr_register(lun->session, lun->address.lun, 0, key, err);
    for (size_t i = 0; i < old_count && SUCCEEDED(hr); i++) {
        hr = scsi_pr_preempt(lun->session, lun->address.lun, key, old_keys[i], err);
    }
    return SUCCEEDED(hr) ? scsi_pr_reserve(lun->session, lun->address.lun, key, err) : hr;
}

HRESULT fence_raise(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    struct lun *lun = disk->lun;
    uint64_t keys[KEYS_MAX];
    size_t count = 0;
    struct error why = {0};
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
    return SUCCEEDED(hr) ? take_reservation(r, disk, keys, count, err) : hr;
}

HRESULT fence_drop_key(struct lun *lun, uint64_t old_key, struct error *err)
{
    uint64_t keys[KEYS_MAX];
    size_t count = 0;
    HRESULT hr = scsi_pr_read_keys(lun->session, lun->address.lun, keys, KEYS_MAX, &count, err);
    bool is_there = count > KEYS_MAX; /* among those that were not listed, perhaps */
    for (size_t i = 0; SUCCEEDED(hr) && i < count && i < KEYS_MAX; i++) {
        is_there = is_there || keys[i] == old_key;
    }
    if (FAILED(hr) || !is_there) {
        return hr;
    }
    uint64_t own = old_key ^ 0x5a5a5a5a5a5a5a5aull;
    own = own ? own : 1;
    hr = scsi_pr_register(lun->session, lun->address.lun, 0, own, err);
    if (SUCCEEDED(hr)) {
        hr = scsi_pr_preempt(lun->session, lun->address.lun, own, old_key, err);
        HRESULT end =
            scsi_pr_register(lun->session, lun->address.lun, own, 0, SUCCEEDED(hr) ? err : NULL);
        hr = FAILED(hr) ? hr : end;
    }
    return hr;
}

/* The session that raised it may be lost, and its registration with it out of reach. */
static HRESULT lower_anew(struct recovery *r, const struct recovery_disk *disk, uint64_t key,
                          struct error *err)
{
    struct lun *lun = NULL;
    HRESULT hr = lun_open(disk->open_name, &r->env->lun, false, &lun, err);
    if (SUCCEEDED(hr) && lun_info_compare(&disk->info, &lun->identity.info) != LUN_SAME) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s is another LUN by now", lun->url);
    }
    if (SUCCEEDED(hr)) {
        hr = fence_drop_key(lun, key, err);
    }
    lun_close(lun);
    return hr;
}

HRESULT fence_lower(struct recovery *r, struct recovery_disk *disk, struct error *err)
{
    struct lun *lun = disk->lun;
    if (!disk->is_fenced || !lun) {
        return S_OK;
    }
    uint64_t key = lun->reservation_key;
    /* Unregistering the holder releases too; release first, so that waiting initiators are told. */
    (void)scsi_pr_release(lun->session, lun->address.lun, key, NULL);
    HRESULT hr = scsi_pr_register(lun->session, lun->address.lun, key, 0, NULL);
    if (FAILED(hr)) {
        struct error why = {0};
        hr = lower_anew(r, disk, key, &why);
        if (FAILED(hr)) {
            hr = error_set(err, VSS_E_PROVIDER_VETO,
                           "%s: its persistent reservation (key 0x%016llx) could not be taken off, "
                           "so others cannot write to it: %s; do that with `lunshadow recover "
                           "--rollback`",
                           lun->url, (unsigned long long)key, error_text(&why));
        }
    }
    lun->reservation_key = 0;
    disk->is_fenced = false;
    return hr;
}
